"""The worklist in memory (PS3.4 CC): the simplest store that keeps every promise, and the oracle for others."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import TypeVar

import orjson

from dicomweb_core.errors import Gone, NotFound
from dicomweb_core.rules.workitem_terms import start_of
from dicomweb_core.values.attributes import json_text
from dicomweb_core.values.queries import MatchKey
from dicomweb_core.values.workitems import EventReport, Generator, QueuedReport, Subscription, Workitem

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class _Stored:
    """A workitem whose attributes are a text: nobody else can change it."""

    start: str
    workitem: Workitem
    text: bytes

    @classmethod
    def of(cls, workitem: Workitem) -> _Stored:
        return cls(start_of(workitem.attributes), replace(workitem, attributes={}), json_text(workitem.attributes))

    def read(self) -> Workitem:
        return replace(self.workitem, attributes=orjson.loads(self.text))


@dataclass(frozen=True, slots=True)
class _QueuedText:
    sequence: int
    report: EventReport
    text: bytes
    queued: float

    @classmethod
    def of(cls, sequence: int, report: EventReport) -> _QueuedText:
        return cls(sequence, replace(report, attributes={}), json_text(report.attributes), time.time())

    def read(self) -> QueuedReport:
        return QueuedReport(self.sequence, replace(self.report, attributes=orjson.loads(self.text)), self.queued)


@dataclass(slots=True)
class _State:
    """All there is. Once committed no table of it is changed any more."""

    workitems: dict[str, _Stored] = field(default_factory=dict)
    removed: dict[str, None] = field(default_factory=dict)
    subscriptions: dict[tuple[str, str], Subscription] = field(default_factory=dict)
    """By workitem and receiver."""
    generators: dict[tuple[str, bool], Generator] = field(default_factory=dict)
    """By receiver and whether filtered."""
    queues: dict[str, tuple[_QueuedText, ...]] = field(default_factory=dict)
    latest: int = 0


class MemoryWorklistTransaction:
    """Copies each table that it changes, before the first change."""

    def __init__(self, committed: _State) -> None:
        self.state = replace(committed)
        self._copied: set[str] = set()

    def get(self, uid: str) -> Workitem | None:
        """None when there is none."""
        found = self.state.workitems.get(uid)
        return None if found is None else found.read()

    def was_deleted(self, uid: str) -> bool:
        """Whether it was removed."""
        return uid in self.state.removed

    def put(self, workitem: Workitem) -> None:
        """Creates or replaces it."""
        stored = _Stored.of(workitem)
        self._own("workitems", "removed")
        self.state.workitems[workitem.uid] = stored
        self.state.removed.pop(workitem.uid, None)

    def remove(self, uid: str) -> None:
        """With its subscriptions. Without effect if there is none."""
        if uid in self.state.workitems:
            self._own("workitems", "removed", "subscriptions")
            del self.state.workitems[uid]
            self.state.removed[uid] = None
            for subscription in self.subscriptions(uid):
                del self.state.subscriptions[uid, subscription.receiver]

    def uids(self) -> Iterator[str]:
        """Ascending; those of the moment of the call."""
        return iter(sorted(self.state.workitems))

    def finals(self, before: float) -> Iterator[str]:
        """By the time of their last change; those of the moment of the call."""
        found = (one.workitem for one in self.state.workitems.values())
        return iter(
            [
                uid
                for changed, uid in sorted((one.changed, one.uid) for one in found if one.state.final)
                if changed < before
            ]
        )

    def subscriptions(self, uid: str) -> tuple[Subscription, ...]:
        """By receiver."""
        return tuple(sorted(one for one in self.state.subscriptions.values() if one.workitem == uid))

    def subscriptions_of(self, receiver: str) -> Iterator[Subscription]:
        """By workitem; those of the moment of the call."""
        return iter(sorted(one for one in self.state.subscriptions.values() if one.receiver == receiver))

    def subscribe(self, subscription: Subscription) -> None:
        """Creates or replaces it."""
        self._own("subscriptions")
        self.state.subscriptions[subscription.workitem, subscription.receiver] = subscription

    def unsubscribe(self, uid: str, receiver: str) -> None:
        """Without effect if there is none."""
        self._own("subscriptions")
        self.state.subscriptions.pop((uid, receiver), None)

    def generators(self) -> tuple[Generator, ...]:
        """By receiver, those without filter first."""
        return tuple(one for _, one in sorted(self.state.generators.items(), key=lambda item: item[0]))

    def put_generator(self, generator: Generator) -> None:
        """Creates or replaces it."""
        self._own("generators")
        self.state.generators[generator.receiver, generator.filter is not None] = generator

    def remove_generator(self, receiver: str, *, filtered: bool) -> None:
        """Without effect if there is none."""
        self._own("generators")
        self.state.generators.pop((receiver, filtered), None)

    def queue(self, receiver: str, report: EventReport) -> None:
        """Appends it."""
        queued = _QueuedText.of(self.state.latest + 1, report)
        self._own("queues")
        self.state.latest += 1
        self.state.queues[receiver] = (*self.state.queues.get(receiver, ()), queued)

    def queue_length(self, receiver: str) -> int:
        """How many are queued."""
        return len(self.state.queues.get(receiver, ()))

    def last_queued(self, receiver: str) -> EventReport | None:
        """None when nothing is queued."""
        queue = self.state.queues.get(receiver, ())
        return queue[-1].read().report if queue else None

    def shorten(self, receiver: str, leave: int, instead: EventReport) -> None:
        """Forgets the oldest."""
        queue = self.state.queues.get(receiver, ())
        excess = len(queue) - leave
        if excess > 0:
            self._own("queues")
            last = _QueuedText.of(queue[excess - 1].sequence, instead)
            self.state.queues[receiver] = (last, *queue[excess:])

    def discard(self, receiver: str) -> None:
        """Forgets what is queued."""
        self.forget(receiver, self.state.latest)

    def forget(self, receiver: str, up_to: int) -> None:
        """Forgets what is queued up to a sequence number."""
        self._own("queues")
        rest = tuple(one for one in self.state.queues.pop(receiver, ()) if one.sequence > up_to)
        if rest:
            self.state.queues[receiver] = rest

    def _own(self, *tables: str) -> None:
        for table in tables:
            if table not in self._copied:
                self._copied.add(table)
                setattr(self.state, table, dict(getattr(self.state, table)))


class MemoryWorklistStore:
    """The worklist of one process, gone with it. Reads see the state that was committed last, and wait for nobody."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._deciding: int | None = None
        self._state = _State()

    def transact(self, decide: Callable[[MemoryWorklistTransaction], T]) -> T:
        """One decision after the other. Raises RuntimeError within another decision."""
        if self._deciding == threading.get_ident():
            raise RuntimeError("A decision cannot wait for another one.")
        with self._lock:
            self._deciding = threading.get_ident()
            try:
                transaction = MemoryWorklistTransaction(self._state)
                result = decide(transaction)
                self._state = transaction.state
            finally:
                self._deciding = None
        return result

    def get(self, uid: str) -> Workitem:
        """Raises NotFound, Gone."""
        state = self._state
        if uid in state.workitems:
            return state.workitems[uid].read()
        if uid in state.removed:
            raise Gone("The workitem was deleted.")
        raise NotFound("There is no such workitem.")

    def candidates(self, keys: tuple[MatchKey, ...]) -> Iterator[Workitem]:
        """All there are at this moment."""
        ordered = sorted(self._state.workitems.values(), key=lambda one: (one.start, one.workitem.uid))
        return (one.read() for one in ordered)

    def queued(self, receiver: str, after: int = 0, limit: int = 100) -> tuple[QueuedReport, ...]:
        """The next reports."""
        following = (one for one in self._state.queues.get(receiver, ()) if one.sequence > after)
        return tuple(one.read() for one, _ in zip(following, range(limit), strict=False))

    def listen(self, receiver: str) -> int:
        """There is no other process, and what was delivered is gone."""
        return 0

    def unlisten(self, receiver: str) -> None:
        """Nothing is held."""

    def delivered(self, receiver: str, up_to: int) -> None:
        """Forgets them."""
        self.transact(lambda transaction: transaction.forget(receiver, up_to))

    def receivers(self) -> tuple[str, ...]:
        """Ascending."""
        state = self._state
        of_generators = {receiver for receiver, _ in state.generators}
        return tuple(sorted({receiver for _, receiver in state.subscriptions} | of_generators | set(state.queues)))

    def latest(self) -> int:
        """The sequence number given last."""
        return self._state.latest

    def receivers_since(self, sequence: int) -> tuple[str, ...]:
        """Those with such a report."""
        return tuple(receiver for receiver, queue in self._state.queues.items() if queue[-1].sequence > sequence)

    def close(self) -> None:
        """Nothing is held."""
