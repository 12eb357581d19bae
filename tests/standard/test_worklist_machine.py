"""Random requests of several clients, with listeners, sweeps and restarts: the server against a naive model of it."""

from __future__ import annotations

import itertools
import json
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from dicomweb_core.rules.workitem_changes import WorklistPolicy
from dicomweb_core.storage.worklists import WorklistStore
from dicomweb_core.values.events import EventFeed
from dicomweb_core.values.messages import Response
from dicomweb_lmdb import LMDBWorklistStore
from dicomweb_memory import MemoryWorklistStore
from tests.clients import JSON
from tests.clients import Answer as Answered
from tests.entities import attributes
from tests.rules.made_workitems import code
from tests.standard.naive_worklist import ALL, FILTERED, Answer, Content, Naive, Waiting
from tests.worklists import DONE, WorklistClient, value, warning

UIDS = st.sampled_from(["2.25.1", "2.25.2", "2.25.3", "2.25.40"])
AETS = st.sampled_from(["RIS", "PACS 1"])
OWNERS = st.sampled_from(["2.25.4711", "2.25.4711", "2.25.4712", None])
"""Transaction UIDs."""
STATES = st.sampled_from(["SCHEDULED", "IN PROGRESS", "IN PROGRESS", "COMPLETED", "COMPLETED", "CANCELED", "CANCELLED"])
CHANGES = st.sampled_from(["update", "update", "SCHEDULED", "IN PROGRESS", "IN PROGRESS", "COMPLETED", "CANCELED"])
LOCKS = st.booleans()
FILTERS = st.sampled_from(
    [("WorklistLabel", "CT"), ("WorklistLabel", "MR 1"), ("ProcedureStepState", "IN PROGRESS")]
)  # fmt: skip
UPDATES: st.SearchStrategy[tuple[str, str]] = st.one_of(
    st.tuples(st.just("label"), st.sampled_from(["CT", "MR 1"])),
    st.tuples(st.just("readiness"), st.sampled_from(["READY", "UNAVAILABLE"])),
    st.tuples(st.just("station"), st.sampled_from(["S1", "S2"])),
    st.tuples(st.just("progress"), st.sampled_from(["begun", "half"])),
    st.just(("performed", "")),
    st.just(("performed", "")),
    st.just(("forbidden", "")),
)


def dataset(what: str, value_: str) -> dict[str, Any]:
    """What is sent for an update of the model."""
    match what:
        case "label":
            return attributes(WorklistLabel=value_)
        case "readiness":
            return attributes(InputReadinessState=value_)
        case "station":
            return attributes(ScheduledStationNameCodeSequence=code(value_))
        case "progress":
            progress = attributes(ProcedureStepProgressDescription=value_)
            return attributes(ProcedureStepProgressInformationSequence=progress)
        case "performed":
            return DONE
    return attributes(WorklistLabel="New", PatientName="Other^Name")


def content_of(event: dict[str, Any]) -> Content:
    """An event as the model has it. Strict about what else is in it."""
    uid, kind = value(event, "00001000"), value(event, "00001002")
    assert value(event, "00000002") == "1.2.840.10008.5.1.4.34.6.1"
    rest = {tag for tag in event if not tag.startswith("0000")}
    match kind:
        case 1:
            assert rest <= {"00741000", "00404041", "00741238", "0074100E"}
            why = value(event["0074100E"]["Value"][0], "00080100") if "0074100E" in event else ""
            return uid, 1, value(event, "00741000"), value(event, "00404041"), value(event, "00741238"), why
        case 2:
            assert rest <= {"00741236", "00741238"}
            return uid, 2, value(event, "00741236"), value(event, "00741238")
        case 3:
            assert rest == {"00741002"}
            return uid, 3, value(value(event, "00741002"), "00741006")
        case 4:
            assert rest == {"00741242", "00741244", "00741246"}
            return uid, 4, value(event, "00741242")
        case 5:
            assert rest == {"00404025"}
            return uid, 5, value(value(event, "00404025"), "00080100")
    raise AssertionError(f"an event of type {kind}")


@dataclass(eq=False)
class Connection:
    """Of an AE. `read` and `acknowledged` are sequence numbers."""

    aet: str
    response: Response
    read: int
    acknowledged: int

    @property
    def feed(self) -> EventFeed:
        assert self.response.feed is not None
        return self.response.feed


class Worklists(RuleBasedStateMachine):
    """Every rule asks the server and the model the same."""

    opening: Callable[[Path], WorklistStore]

    def __init__(self) -> None:
        super().__init__()
        self.root = Path(tempfile.mkdtemp())
        self.naive = Naive()
        self.connections: list[Connection] = []
        self.begin()

    def begin(self) -> None:
        policy = WorklistPolicy(retention_seconds=0)
        self.client = WorklistClient(type(self).opening(self.root), worklist_policy=policy)

    def teardown(self) -> None:
        self.client.server.close()
        shutil.rmtree(self.root)

    def same(self, answered: Answered, expected: Answer) -> None:
        status, text = expected
        assert answered.status == status, answered.content
        assert answered.header("Warning") == (warning(text) if text else None)

    # -- workitems --

    @rule(uid=UIDS, label=st.sampled_from(["CT", "MR 1", None]), station=st.sampled_from(["", "S1"]))
    def create(self, uid: str, label: str | None, station: str) -> None:
        stations = [code(station)] if station else None
        answered = self.client.create(uid, WorklistLabel=label, ScheduledStationNameCodeSequence=stations)
        self.same(answered, self.naive.create(uid, label, station))

    @rule(uid=UIDS, owner=OWNERS, update=UPDATES, in_data_set=st.booleans())
    def update(self, uid: str, owner: str | None, update: tuple[str, str], in_data_set: bool) -> None:
        sent, query = dataset(*update), ""
        if owner is not None and in_data_set:
            sent = {**sent, **attributes(TransactionUID=owner)}
        elif owner is not None:
            query = f"?transaction-uid={owner}"
        answered = self.client.send("POST", f"/workitems/{uid}{query}", sent)
        self.same(answered, self.naive.update(uid, owner, *update))

    @rule(uid=UIDS, state=STATES, owner=OWNERS)
    def change_state(self, uid: str, state: str, owner: str | None) -> None:
        self.same(self.client.change(state, owner, uid), self.naive.change(uid, state, owner))

    @precondition(lambda self: self.naive.items)
    @rule(data=st.data(), change=CHANGES, update=UPDATES, in_data_set=st.booleans())
    def ask_about_one_that_is_there(
        self, data: st.DataObject, change: str, update: tuple[str, str], in_data_set: bool
    ) -> None:
        """Without proof, with a wrong one, with the right one: random UIDs would seldom be those that matter."""
        uid = data.draw(st.sampled_from(sorted(self.naive.items)))
        for owner in (None, "2.25.4799", self.naive.items[uid].owner or "2.25.4711"):
            if change == "update":
                self.update(uid, owner, update, in_data_set)
            elif owner != "2.25.4799" or self.naive.items[uid].state != "SCHEDULED":
                self.change_state(uid, change, owner)

    @precondition(lambda self: any(item.state == "IN PROGRESS" for item in self.naive.items.values()))
    @rule(data=st.data(), state=st.sampled_from(["COMPLETED", "CANCELED"]))
    def end(self, data: st.DataObject, state: str) -> None:
        claimed = sorted(uid for uid, item in self.naive.items.items() if item.state == "IN PROGRESS")
        uid = data.draw(st.sampled_from(claimed))
        owner = self.naive.items[uid].owner
        self.update(uid, owner, ("performed", ""), in_data_set=False)
        self.change_state(uid, state, owner)

    @rule(uid=UIDS, requester=st.sampled_from(["", "RIS"]), reason=st.sampled_from(["", "wrong input"]))
    def request_cancellation(self, uid: str, requester: str, reason: str) -> None:
        why = attributes(ReasonForCancellation=reason) if reason else None
        query = f"?requester={requester}" if requester else ""
        answered = self.client.send("POST", f"/workitems/{uid}/cancelrequest{query}", why)
        self.same(answered, self.naive.request_cancellation(uid, requester, reason))

    @rule(
        state=st.sampled_from(["", "SCHEDULED", "IN PROGRESS", "COMPLETED"]),
        label=st.sampled_from(["", "CT", "MR 1"]),
    )
    def search(self, state: str, label: str) -> None:
        keys = [f"ProcedureStepState={state}"] * bool(state) + [f"WorklistLabel={label}"] * bool(label)
        answered = self.client.get("/workitems?" + "&".join(keys))
        expected = self.naive.search(state, label)
        assert answered.status == (200 if expected else 204)
        found = [value(one, "00080018") for one in answered.json] if expected else []
        assert found == expected

    @rule()
    def purge(self) -> None:
        assert self.client.server.purge_workitems() == self.naive.purge()

    # -- subscriptions --

    @rule(aet=AETS, uid=UIDS, lock=LOCKS)
    def subscribe(self, aet: str, uid: str, lock: bool) -> None:
        answered = self.client.subscribe(uid, aet, f"?deletionlock={str(lock).lower()}")
        self.same(answered, self.naive.subscribe(aet, uid, lock))

    @rule(aet=AETS, lock=LOCKS, filter_=st.one_of(st.none(), FILTERS))
    def subscribe_worklist(self, aet: str, lock: bool, filter_: tuple[str, str] | None) -> None:
        query = "?deletionlock=true" if lock else "?"
        if filter_ is not None:
            query += "&filter={}={}".format(*filter_)
        answered = self.client.subscribe(ALL if filter_ is None else FILTERED, aet, query)
        self.same(answered, self.naive.subscribe_worklist(aet, lock, filter_))

    @rule(aet=AETS, uid=UIDS | st.sampled_from([ALL, FILTERED]))
    def unsubscribe(self, aet: str, uid: str) -> None:
        answered = self.client.request("DELETE", f"/workitems/{uid}/subscribers/{aet}")
        self.same(answered, self.naive.unsubscribe(aet, uid))

    @rule(aet=AETS, uid=st.sampled_from([ALL, ALL, FILTERED, FILTERED, "2.25.1"]))
    def suspend(self, aet: str, uid: str) -> None:
        answered = self.client.request("POST", f"/workitems/{uid}/subscribers/{aet}/suspend")
        self.same(answered, self.naive.suspend(aet, uid))

    # -- events --

    def told(self, aet: str, read: int, limit: int) -> list[Waiting]:
        waiting = [one for one in self.naive.queues.get(aet, []) if not 0 < one.sequence <= read]
        return waiting[:limit]

    def seen(self, expected: list[Waiting], sequences: list[int], texts: list[bytes]) -> None:
        """What an AE gets is what the model has for it; what comes again is the same."""
        assert [content_of(json.loads(text)) for text in texts] == [one.content for one in expected]
        for one, sequence, text in zip(expected, sequences, texts, strict=True):
            assert json.loads(text)["00000110"]["Value"] == [sequence]
            if one.sequence:
                assert (one.sequence, one.text) == (sequence, text)
            one.sequence, one.text = sequence, text

    def forget_delivered(self, aet: str) -> None:
        mine = [one.acknowledged for one in self.connections if one.aet == aet]
        if mine and min(mine):
            self.naive.forget(aet, min(mine))

    @precondition(lambda self: len(self.connections) < 4)
    @rule(aet=AETS, acknowledging=st.booleans())
    def connect(self, aet: str, acknowledging: bool) -> None:
        after = max((one.sequence for one in self.naive.queues.get(aet, [])), default=0) if acknowledging else 0
        response = self.client.open(
            "GET", f"/subscribers/{aet}?after={after}", Upgrade="websocket", Connection="Upgrade"
        )  # fmt: skip
        assert response.status == 101
        self.connections.append(Connection(aet, response, after, after))
        self.forget_delivered(aet)

    @precondition(lambda self: self.connections)
    @rule(data=st.data(), limit=st.sampled_from([1, 3, 100]), acknowledging=st.booleans())
    def take(self, data: st.DataObject, limit: int, acknowledging: bool) -> None:
        one = data.draw(st.sampled_from(self.connections))
        expected = self.told(one.aet, one.read, limit)
        events = one.feed.take(limit)
        self.seen(expected, [event.sequence for event in events], [event.text for event in events])
        if events:
            one.read = events[-1].sequence
        if events and acknowledging:
            one.acknowledged = data.draw(st.sampled_from(events)).sequence
            one.feed.acknowledge(one.acknowledged)
            self.forget_delivered(one.aet)

    @precondition(lambda self: self.connections)
    @rule(data=st.data())
    def disconnect(self, data: st.DataObject) -> None:
        one = data.draw(st.sampled_from(self.connections))
        one.response.body.close()
        self.connections.remove(one)
        self.forget_delivered(one.aet)

    @rule(aet=AETS)
    def poll(self, aet: str) -> None:
        """All of it, acknowledged by a second request."""
        answered = self.client.get(f"/subscribers/{aet}", JSON)
        waiting = self.told(aet, 0, 1_000)
        texts = [json.dumps(event, separators=(",", ":"), ensure_ascii=False).encode() for event in answered.json]
        self.seen(waiting, [value(event, "00000110") for event in answered.json], texts)
        if waiting:
            after = waiting[-1].sequence
            assert f"?after={after}>" in (answered.header("Link") or "")
            assert self.client.get(f"/subscribers/{aet}?after={after}", JSON).json == []
            mine = [one.acknowledged for one in self.connections if one.aet == aet]
            self.naive.forget(aet, min([after, *mine]))

    @rule()
    def restart(self) -> None:
        self.client.server.close()
        for one in self.connections:
            assert one.feed.take() == ()
            one.response.body.close()
        self.connections = []
        self.begin()
        self.naive.restart()
        self.client.server.announce_restart()

    # -- what is there --

    @invariant()
    def workitems_are_those_of_the_model(self) -> None:
        for uid in ("2.25.1", "2.25.2", "2.25.3", "2.25.40"):
            answered = self.client.get(f"/workitems/{uid}")
            if (missing := self.naive.missing(uid)) is not None:
                self.same(answered, missing)
                continue
            (found,) = answered.json
            item = self.naive.items[uid]
            expected = [item.state, item.label, item.readiness]
            assert [value(found, tag) for tag in ("00741000", "00741202", "00404041")] == expected
            assert "00081195" not in found

    @invariant()
    def subscriptions_and_queues_are_those_of_the_model(self) -> None:
        store = self.client.worklist
        for aet in ("RIS", "PACS 1"):
            mine = store.transact(lambda transaction, aet=aet: list(transaction.subscriptions_of(aet)))  # type: ignore[misc]
            expected = {uid: one.lock for (whose, uid), one in self.naive.subscriptions.items() if whose == aet}
            assert {one.workitem: one.deletion_lock for one in mine} == expected
            queued = store.queued(aet, limit=10_000)
            waiting = self.naive.queues.get(aet, [])
            assert [(one.report.workitem, one.report.type) for one in queued] == [one.content[:2] for one in waiting]
            assert all(one.sequence < other.sequence for one, other in itertools.pairwise(queued))


class OfMemory(Worklists):
    """A restart is another server over the same store."""

    def __init__(self) -> None:
        self.kept = MemoryWorklistStore()
        super().__init__()

    def begin(self) -> None:
        self.client = WorklistClient(self.kept, worklist_policy=WorklistPolicy(retention_seconds=0))


class OfLMDB(Worklists):
    """A restart closes the files and opens them."""

    opening = LMDBWorklistStore


def run(machine: type[Worklists], examples: int, steps: int) -> None:
    chosen = settings(max_examples=examples, stateful_step_count=steps, deadline=None, phases=list(Phase)[:3])
    run_state_machine_as_test(machine, settings=chosen)


@pytest.mark.parametrize(("machine", "examples"), [(OfMemory, 60), (OfLMDB, 10)])
def test_any_sequence_of_requests_and_restarts_ends_where_a_naive_model_does_A80_A81(
    machine: type[Worklists], examples: int
) -> None:
    run(machine, examples, 40)


@pytest.mark.slow
@pytest.mark.parametrize(("machine", "examples"), [(OfMemory, 500), (OfLMDB, 120)])
def test_many_sequences_end_where_a_naive_model_does_A80_A81(machine: type[Worklists], examples: int) -> None:
    run(machine, examples, 60)
