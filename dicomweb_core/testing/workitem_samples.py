"""Workitems, reports and decisions for tests."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace

from dicomweb_core.storage.worklists import WorklistStore, WorklistTransaction
from dicomweb_core.values.attributes import Attribute, Attributes
from dicomweb_core.values.workitems import (
    UPS_PUSH,
    EventReport,
    EventType,
    QueuedReport,
    Subscription,
    Workitem,
    WorkitemState,
)

STATE = "00741000"
STATION_NAME = "00404025"
CODE_VALUE = "00080100"
START = "00404005"
LABEL = "00741202"
PATIENT_ID = "00100020"


class WorklistMaker:
    """How the tests of a kit come to their stores."""

    def make_store(self) -> WorklistStore:
        """A new, empty store. Override it."""
        raise NotImplementedError

    def reopen_store(self, store: WorklistStore) -> WorklistStore | None:
        """The same content, opened anew after `store` was closed; None if the store is not durable."""
        return None

    @contextmanager
    def opened(self, *workitems: Workitem) -> Iterator[WorklistStore]:
        """A store with these in it, closed at the end."""
        store = self.make_store()
        try:
            put(store, *workitems)
            yield store
        finally:
            store.close()


def uid_of(number: int) -> str:
    """Sorts as the number does, up to 9999."""
    return f"2.25.{10_000 + number}"


def workitem(
    number: int,
    state: WorkitemState = WorkitemState.SCHEDULED,
    *,
    start: str | None = "20260101120000",
    station: str = "CT1",
    label: str = "Worklist",
    patient_id: str = "P1",
) -> Workitem:
    """A small one, ascending as all data sets."""
    attributes = {
        "00080016": text("UI", UPS_PUSH),
        "00080018": text("UI", uid_of(number)),
        PATIENT_ID: text("LO", patient_id),
        START: text("DT", start),
        STATION_NAME: {"vr": "SQ", "Value": [{CODE_VALUE: text("SH", station), "00080102": text("SH", "99LOCAL")}]},
        STATE: text("CS", state.value),
        LABEL: text("LO", label),
        "00741204": text("LO", "Größe: 1 × 2"),
    }
    return Workitem(uid_of(number), state, attributes, changed=float(number))


def text(vr: str, *values: str | None) -> Attribute:
    """An attribute of texts; of None alone an empty one."""
    return {"vr": vr} if values == (None,) else {"vr": vr, "Value": list(values)}


def with_attribute(of: Workitem, tag: str, attribute: Attribute) -> Workitem:
    """The same with another attribute."""
    return replace(of, attributes=of.attributes | {tag: attribute})


def in_state(of: Workitem, state: WorkitemState, transaction_uid: str | None = None) -> Workitem:
    """The same in another state, in its data set too."""
    attributes = of.attributes | {STATE: text("CS", state.value)}
    return replace(of, state=state, attributes=attributes, transaction_uid=transaction_uid)


def report(number: int, kind: EventType = EventType.STATE_REPORT, *, count: int = 0) -> EventReport:
    """About a workitem. `numbered` finds the count again."""
    attributes: Attributes = {"00741000": text("CS", "SCHEDULED"), "00741238": text("LT", str(count))}
    return EventReport(uid_of(number), kind, attributes)


def numbered(reports: tuple[QueuedReport, ...]) -> list[int]:
    """The counts of reports."""
    return [int(one.report.attributes["00741238"]["Value"][0]) for one in reports]


def put(store: WorklistStore, *workitems: Workitem) -> None:
    """All in one decision."""

    def decide(transaction: WorklistTransaction) -> None:
        for one in workitems:
            transaction.put(one)

    if workitems:
        store.transact(decide)


def remove(store: WorklistStore, *numbers: int) -> None:
    """All in one decision."""

    def decide(transaction: WorklistTransaction) -> None:
        for number in numbers:
            transaction.remove(uid_of(number))

    store.transact(decide)


def queue(store: WorklistStore, receiver: str, *counts: int) -> None:
    """Reports about workitem 1, all in one decision."""

    def decide(transaction: WorklistTransaction) -> None:
        for count in counts:
            transaction.queue(receiver, report(1, count=count))

    store.transact(decide)


def subscribe(store: WorklistStore, *subscriptions: Subscription) -> None:
    """All in one decision."""

    def decide(transaction: WorklistTransaction) -> None:
        for one in subscriptions:
            transaction.subscribe(one)

    store.transact(decide)


def claim(uid: str, transaction_uid: str) -> Callable[[WorklistTransaction], str | None]:
    """A decision: claims a workitem if nobody has, and gives the Transaction UID it has then."""

    def decide(transaction: WorklistTransaction) -> str | None:
        found = transaction.get(uid)
        if found is not None and found.state is WorkitemState.SCHEDULED:
            found = in_state(found, WorkitemState.IN_PROGRESS, transaction_uid)
            transaction.put(found)
            transaction.queue("WATCHER", EventReport(uid, EventType.STATE_REPORT, {STATE: found.attributes[STATE]}))
        return None if found is None else found.transaction_uid

    return decide
