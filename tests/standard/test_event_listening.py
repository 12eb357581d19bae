"""Listeners of an AE: several at once, reconnects, narrowed ones, iterators and callbacks, on both backends."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

from dicomweb_core import OriginServer
from dicomweb_core.errors import BadRequest, StorageUnavailable
from dicomweb_core.services import event_feeds
from dicomweb_core.services.site import Access
from dicomweb_core.storage.worklists import WorklistStore
from dicomweb_core.values.events import Event, EventFeed
from dicomweb_core.values.workitems import QueuedReport
from dicomweb_lmdb import LMDBWorklistStore
from dicomweb_memory import MemoryInstanceStore, MemoryWorklistStore
from tests.clients import JSON
from tests.worklists import ALL, UID, WorklistClient, value

SECOND, THIRD = "2.25.2", "2.25.3"


@pytest.fixture
def client(worklist: WorklistStore) -> WorklistClient:
    """Everything is subscribed by WATCH, nothing has happened."""
    made = WorklistClient(worklist)
    made.subscribe(ALL)
    return made


@contextmanager
def connected(client: WorklistClient, query: str = "", **headers: str) -> Iterator[EventFeed]:
    """What an adapter sends over a WebSocket."""
    headers = {"Upgrade": "websocket", "Connection": "Upgrade", **headers}
    response = client.open("GET", f"/subscribers/WATCH{query}", **headers)
    assert response.status == 101
    assert response.feed is not None
    try:
        yield response.feed
    finally:
        response.body.close()


def uids(events: tuple[Event, ...] | list[Event]) -> list[str]:
    return [one.report.workitem for one in events]


# -- several, one after the other ---------------------------------------------------------------------------------


def test_every_listener_of_an_ae_gets_every_event_U101(client: WorklistClient) -> None:
    with connected(client) as fast, connected(client) as slow:
        client.create(UID)
        client.create(SECOND)
        first = fast.take()
        assert uids(first) == [UID, SECOND]
        fast.acknowledge(first[-1].sequence)
        assert fast.take() == ()
        client.create(THIRD)
        assert uids(fast.take()) == [THIRD]
        assert slow.take(1) == first[:1]
        assert slow.take(1) == first[1:]
        assert uids(slow.take()) == [THIRD]


def test_what_the_slower_one_has_not_got_is_kept_until_it_leaves(client: WorklistClient) -> None:
    with connected(client) as fast:
        with connected(client) as slow:
            client.create(UID)
            client.create(SECOND)
            fast.acknowledge(fast.take()[-1].sequence)
            slow.acknowledge(slow.take(1)[-1].sequence)
            assert [one.report.workitem for one in client.worklist.queued("WATCH")] == [SECOND]
        assert client.worklist.queued("WATCH") == (), "what the others have got is all that counts"
        client.create(THIRD)
        assert uids(fast.take()) == [THIRD]


def test_what_was_acknowledged_does_not_come_again_and_the_rest_does(client: WorklistClient) -> None:
    with connected(client) as feed:
        for uid in (UID, SECOND, THIRD):
            client.create(uid)
        events = feed.take()
        feed.acknowledge(events[0].sequence)
        feed.acknowledge(0)
    with connected(client) as again:
        assert again.take() == events[1:], "the same sequence numbers, the same texts"
        again.acknowledge(events[1].sequence)
    with connected(client, f"?after={events[2].sequence}") as last:
        assert last.take() == ()
    assert client.worklist.queued("WATCH") == ()


def test_a_server_that_stops_forgets_nothing_that_a_slow_listener_has_not_got(client: WorklistClient) -> None:
    worklist = client.worklist
    client.create()
    with connected(client) as slow, connected(client) as fast:
        events = fast.take()
        fast.acknowledge(events[0].sequence)
        client.server.site.required_feeds.close()
        slow.close()
    assert [one.sequence for one in worklist.queued("WATCH")] == [events[0].sequence]


def test_the_end_of_a_connection_keeps_subscriptions_and_locks_U093(client: WorklistClient) -> None:
    client.create()
    client.subscribe(query="?deletionlock=true")
    with connected(client) as feed:
        feed.acknowledge(feed.take()[-1].sequence)
    subscriptions = client.worklist.transact(lambda transaction: transaction.subscriptions(UID))
    assert [(one.receiver, one.deletion_lock) for one in subscriptions] == [("WATCH", True)]
    client.change("IN PROGRESS")
    with connected(client) as feed:
        assert [value(one.report.attributes, "00741000") for one in feed.take()] == ["IN PROGRESS"]


def test_listeners_are_told_that_there_is_something(client: WorklistClient) -> None:
    told = threading.Event()
    with connected(client) as feed:
        feed.notify(told.set)
        assert told.is_set(), "for what is there already"
        assert feed.take() == ()
        told.clear()
        client.create()
        assert told.wait(20)
        assert uids(feed.take()) == [UID]


def test_reports_wait_while_nobody_listens_and_over_a_restart_U117(tmp_path: Path) -> None:
    client = WorklistClient(LMDBWorklistStore(tmp_path))
    client.subscribe(ALL)
    for uid in (UID, SECOND, THIRD):
        client.create(uid)
    with connected(client) as feed:
        events = feed.take()
        feed.acknowledge(events[0].sequence)
    client.server.close()
    again = WorklistClient(LMDBWorklistStore(tmp_path))
    assert again.server.announce_restart() == 1
    with connected(again) as feed:
        *missed, restarted = feed.take()
        assert tuple(missed) == events[1:]
        assert restarted.report.type == 4
        feed.acknowledge(missed[-1].sequence)
    again.server.close()


def test_who_unsubscribes_gets_nothing_any_more(client: WorklistClient) -> None:
    client.create()
    with connected(client) as feed:
        assert client.request("DELETE", f"/workitems/{ALL}/subscribers/WATCH").status == 200
        assert feed.take() == ()
        client.create(SECOND)
        assert feed.take() == ()


# -- narrowed -----------------------------------------------------------------------------------------------------


def of_patient(access: Access) -> Mapping[str, str] | None:
    patient = access.request.header("Authorization")
    return {"PatientID": patient} if patient else None


def test_a_narrowed_listener_sees_the_events_of_its_workitems_only_A83(worklist: WorklistStore) -> None:
    client = WorklistClient(worklist, authorize=of_patient)
    client.subscribe(ALL)
    client.create(UID, PatientID="ANN")
    client.create(SECOND, PatientID="BOB")
    with connected(client) as whole, connected(client, Authorization="ANN") as narrowed:
        client.change("IN PROGRESS", uid=SECOND)
        client.change("IN PROGRESS", uid=UID)
        client.server.announce_restart()
        assert uids(whole.take()) == [UID, SECOND, SECOND, UID, ALL]
        assert uids(narrowed.take()) == [UID, UID, ALL], "that the server was restarted concerns all"
        assert client.get("/subscribers/WATCH", JSON, Authorization="BOB").content.count(b'"2.25.1"') == 0
        assert client.get("/subscribers/WATCH", JSON, Authorization="EVE").json[:-1] == []


def test_what_is_outside_now_is_not_told_even_of_before_A83(worklist: WorklistStore) -> None:
    client = WorklistClient(worklist, authorize=of_patient)
    client.subscribe(ALL)
    client.create(UID, PatientID="ANN")
    client.create(SECOND, PatientID="ANN")
    moved = client.worklist.get(UID)
    moved.attributes["00100020"] = {"vr": "LO", "Value": ["BOB"]}
    client.worklist.transact(lambda transaction: transaction.put(moved))
    with connected(client, Authorization="ANN") as narrowed:
        client.delete(SECOND)
        assert narrowed.take() == ()


def test_what_a_narrowed_listener_passes_over_does_not_stay_queued_for_ever(worklist: WorklistStore) -> None:
    client = WorklistClient(worklist, authorize=of_patient)
    client.subscribe(ALL)
    client.create(UID, PatientID="BOB")
    with connected(client, Authorization="ANN") as narrowed:
        assert narrowed.take() == ()
        assert worklist.queued("WATCH") == ()


def test_what_a_narrowed_listener_may_not_see_is_not_in_its_way_A83(worklist: WorklistStore) -> None:
    client = WorklistClient(worklist, authorize=of_patient)
    client.subscribe(ALL)
    for number in range(10, 40):
        client.create(f"2.25.{number}", PatientID="BOB")
    client.create(UID, PatientID="ANN")
    with connected(client, Authorization="ANN") as narrowed:
        assert uids(narrowed.take(5)) == [UID]


def test_a_listener_that_passes_over_many_lets_others_have_their_turn_A82(
    worklist: WorklistStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(event_feeds, "_LOOKED_AT", 10)
    client = WorklistClient(worklist, authorize=of_patient)
    client.subscribe(ALL)
    for number in range(10, 40):
        client.create(f"2.25.{number}", PatientID="BOB")
    client.create(UID, PatientID="ANN")
    told: list[bool] = []
    with connected(client, Authorization="ANN") as narrowed:
        narrowed.notify(lambda: told.append(True))
        took = []
        while told:
            told.clear()
            took.append(uids(narrowed.take(5)))
        assert took == [[], [], [], [UID]]


# -- forks --------------------------------------------------------------------------------------------------------


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_in_the_child_of_a_fork_others_listen(tmp_path: Path) -> None:
    """As the workers of a server that has loaded the application before it forks."""
    client = WorklistClient(LMDBWorklistStore(tmp_path))
    client.subscribe(ALL)
    called = Called()
    with client.server.on_event("WATCH", called):
        child = os.fork()
        if child == 0:
            status = 1
            try:
                told = threading.Event()
                with connected(client) as feed:
                    feed.notify(told.set)
                    told.clear()
                    client.create(UID)
                    assert told.wait(10)
                    assert uids(feed.take()) == [UID]
                    feed.acknowledge(client.worklist.latest())
                    assert client.worklist.queued("WATCH") == ()
                status = 0
            finally:
                os._exit(status)
        assert os.waitpid(child, 0)[1] == 0
        assert uids(called.wait_for(1)) == [UID]
    client.server.close()


# -- iterators ----------------------------------------------------------------------------------------------------


def test_an_iterator_has_what_waits_and_ends_when_nothing_comes(client: WorklistClient) -> None:
    client.create(UID)
    client.create(SECOND)
    assert uids(list(client.server.events(" WATCH ", timeout=0.01))) == [UID, SECOND]
    assert list(client.server.events("WATCH", timeout=0)) == []


def test_an_event_counts_when_the_next_one_is_asked_for(client: WorklistClient) -> None:
    client.create(UID)
    client.create(SECOND)
    events = client.server.events("WATCH", timeout=0.01)
    first, second = next(events), next(events)
    del events
    assert list(client.server.events("WATCH", timeout=0)) == [second]
    assert first.report.workitem == UID


def test_an_iterator_waits_for_what_happens(client: WorklistClient) -> None:
    threading.Timer(0.02, client.create).start()
    assert next(client.server.events("WATCH")).report.workitem == UID


@pytest.mark.parametrize("title", ["", " ", "A" * 17, "A\\B", "A\r\nB"])
def test_what_is_no_ae_title_has_no_events(client: WorklistClient, title: str) -> None:
    with pytest.raises(BadRequest):
        client.server.events(title)
    with pytest.raises(BadRequest):
        client.server.on_event(title, print)


@pytest.mark.parametrize("waiting", [True, False])
def test_a_server_that_is_closed_ends_its_iterators(tmp_path: Path, waiting: bool) -> None:
    client = WorklistClient(LMDBWorklistStore(tmp_path))
    client.subscribe(ALL)
    client.create(UID)
    client.create(SECOND)
    events = client.server.events("WATCH")
    assert uids([next(events)]) == [UID]
    if waiting:
        assert uids([next(events)]) == [SECOND]
        closing = threading.Timer(0.02, client.server.close)
        closing.start()
        assert list(events) == []
        closing.join()
    else:
        client.server.close()
        assert list(events) == []
    again = WorklistClient(LMDBWorklistStore(tmp_path))
    left = [] if waiting else [UID, SECOND]
    assert uids(list(again.server.events("WATCH", timeout=0))) == left
    again.server.close()


# -- callbacks ----------------------------------------------------------------------------------------------------


class Called:
    """A callback that can be waited for."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self._news = threading.Condition()

    def __call__(self, event: Event) -> None:
        with self._news:
            self.events.append(event)
            self._news.notify_all()

    def wait_for(self, count: int) -> list[Event]:
        with self._news:
            assert self._news.wait_for(lambda: len(self.events) >= count, timeout=30)
            return list(self.events)


def test_a_callback_is_called_for_each_event_in_order(client: WorklistClient) -> None:
    client.create(UID)
    called = Called()
    with client.server.on_event("WATCH", called):
        client.create(SECOND)
        client.change("IN PROGRESS")
        assert uids(called.wait_for(3)) == [UID, SECOND, UID]
    client.create(THIRD)
    time.sleep(0.03)
    assert len(called.events) == 3
    assert uids(list(client.server.events("WATCH", timeout=0))) == [THIRD]


def test_a_callback_that_fails_is_called_again(client: WorklistClient, caplog: pytest.LogCaptureFixture) -> None:
    called = Called()

    def fail_first(event: Event) -> None:
        called(event)
        if len(called.events) == 1:
            raise ValueError("not yet")

    client.create(UID)
    client.create(SECOND)
    with client.server.on_event("WATCH", fail_first):
        assert uids(called.wait_for(3)) == [UID, UID, SECOND]
    assert "called again" in caplog.text
    assert client.worklist.queued("WATCH") == ()


def test_a_listener_is_closed_while_a_callback_fails_again_and_again(client: WorklistClient) -> None:
    called = Called()

    def fail(event: Event) -> None:
        called(event)
        raise ValueError("never")

    client.create(UID)
    with client.server.on_event("WATCH", fail):
        called.wait_for(1)
    assert uids(list(client.server.events("WATCH", timeout=0))) == [UID], "not delivered"


def test_a_listener_is_closed_by_its_own_callback(client: WorklistClient) -> None:
    called = Called()

    def once(event: Event) -> None:
        listener.close()
        called(event)

    listener = client.server.on_event("WATCH", once)
    client.create(UID)
    client.create(SECOND)
    called.wait_for(1)
    listener.close()
    time.sleep(0.03)
    assert uids(called.events) == [UID]
    assert uids(list(client.server.events("WATCH", timeout=0)))[-1:] == [SECOND]


def test_listeners_are_closed_while_they_wait_and_with_the_server(tmp_path: Path) -> None:
    server = OriginServer(instances=MemoryInstanceStore(), worklist=LMDBWorklistStore(tmp_path))
    one, two = (server.on_event("WATCH", print) for _ in range(2))
    one.close()
    one.close()
    server.close()
    two.close()


class Failing(MemoryWorklistStore):
    """Cannot be read for a moment."""

    def __init__(self) -> None:
        super().__init__()
        self.fails = 1

    def queued(self, receiver: str, after: int = 0, limit: int = 100) -> tuple[QueuedReport, ...]:
        if self.fails:
            self.fails -= 1
            raise StorageUnavailable("The disk is away.")
        return super().queued(receiver, after, limit)


def test_a_callback_outlives_a_store_that_fails(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.CRITICAL)
    client = WorklistClient(Failing())
    client.subscribe(ALL)
    client.create(UID)
    called = Called()
    with client.server.on_event("WATCH", called):
        assert uids(called.wait_for(1)) == [UID]


def test_a_store_that_is_away_for_long_is_in_the_log_once(caplog: pytest.LogCaptureFixture) -> None:
    class Away(MemoryWorklistStore):
        looks = 0

        def latest(self) -> int:
            self.looks += 1
            if self.looks in (2, 3):
                raise StorageUnavailable("The disk is away.")
            return super().latest()

    client = WorklistClient(worklist := Away())
    client.subscribe(ALL)
    with connected(client) as feed:
        until = time.monotonic() + 30
        while worklist.looks < 5 and time.monotonic() < until:
            time.sleep(0.02)
        client.create(UID)
        assert uids(feed.take()) == [UID]
    assert [one.message for one in caplog.records] == ["The worklist cannot be watched for events"]
