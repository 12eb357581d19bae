"""Answers that do not arrive: what is tried again, and what that means."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from dicomweb_core import OriginServer
from dicomweb_worklist import (
    AlreadyExists,
    Answer,
    Attempts,
    Claim,
    Conflict,
    ConnectionLost,
    EventType,
    LostClaim,
    NotFound,
    OriginTransport,
    ServerFailed,
    WorkitemState,
    WorklistClient,
    new_uid,
    new_workitem,
    performed_procedure,
    progress,
    state_of,
)
from dicomweb_worklist.transport import Headers
from tests.client.worklists import SEGMENT, STATION, LosingTransport, OtherServer, origin

DONE = performed_procedure(SEGMENT, STATION)
AT_ONCE = Attempts(most=3, pause=0)


@pytest.fixture
def server() -> OriginServer:
    return origin()


@pytest.fixture
def client(server: OriginServer) -> WorklistClient:
    """One whose answers arrive."""
    return WorklistClient(OriginTransport(server), aetitle="OTHER")


def losing(server: OriginServer, *lost: int, sent: bool = True, status: int | None = None) -> WorklistClient:
    transport = LosingTransport(server, *lost, sent=sent, status=status)
    return WorklistClient(transport, aetitle="ME", attempts=AT_ONCE)


def requests_of(client: WorklistClient) -> list[tuple[str, str]]:
    transport = client._transport
    assert isinstance(transport, LosingTransport)
    return transport.requests


@pytest.mark.parametrize("status", [None, 502, 504])
def test_a_claim_whose_answer_is_lost_is_ours(server: OriginServer, client: WorklistClient, status: int | None) -> None:
    mine = losing(server, 1, status=status)
    claim = mine.claim(client.create(new_workitem("a")))
    assert requests_of(mine) == [("PUT", "state")] * 2
    mine.complete(claim, DONE)
    assert state_of(client.retrieve(claim.workitem)) is WorkitemState.COMPLETED


def test_a_claim_that_did_not_arrive_may_be_lost_to_another(server: OriginServer, client: WorklistClient) -> None:
    uid = client.create(new_workitem("a"))

    class Overtaken(LosingTransport):
        def send(self, method: str, path: str, headers: Headers, body: bytes = b"", *, patience: float = 0.0) -> Answer:
            if not self.requests:
                client.claim(uid)
            return super().send(method, path, headers, body, patience=patience)

    with pytest.raises(LostClaim):
        WorklistClient(Overtaken(server, 1), attempts=AT_ONCE).claim(uid)


def test_a_claim_of_which_nothing_is_known_can_be_sent_again(server: OriginServer, client: WorklistClient) -> None:
    claim = Claim.of(client.create(new_workitem("a")))
    mine = losing(server, 1, 2, 3)
    with pytest.raises(ConnectionLost):
        mine.claim(claim)
    assert mine.claim(claim) is claim


def test_create_is_safe_to_repeat(server: OriginServer, client: WorklistClient) -> None:
    mine = losing(server, 1)
    uid = mine.create(new_workitem("a"))
    assert requests_of(mine) == [("POST", "workitems")] * 2
    assert len(list(client.search())) == 1
    assert state_of(client.retrieve(uid)) is WorkitemState.SCHEDULED


def test_create_with_a_uid_that_was_given_looks_whose_it_is(server: OriginServer, client: WorklistClient) -> None:
    workitem = new_workitem("a")
    mine = losing(server, 1)
    uid = new_uid()
    assert mine.create(workitem, uid) == uid
    assert [method for method, _ in requests_of(mine)] == ["POST", "POST", "GET"]
    foreign = client.create(new_workitem("another"))
    with pytest.raises(AlreadyExists):
        losing(server, 1).create(workitem, foreign)


def test_update_complete_and_cancel_are_repeated(server: OriginServer, client: WorklistClient) -> None:
    claim = client.claim(client.create(new_workitem("a")))
    client.subscribe(claim.workitem)
    losing(server, 1).update(claim.workitem, progress(5), claim)
    assert "already in the requested state of COMPLETED" in losing(server, 1, 3).complete(claim, DONE)[-1]
    kinds = [event.type for event in client.events(timeout=0)]
    assert kinds == [EventType.STATE_REPORT, EventType.PROGRESS_REPORT, EventType.STATE_REPORT]

    canceled = client.claim(client.create(new_workitem("a")))
    warnings = losing(server, 3).cancel(canceled, "why not")
    assert "already in the requested state of CANCELED" in warnings[-1]


def test_what_was_completed_before_a_crash_is_completed(server: OriginServer, client: WorklistClient) -> None:
    claim = client.claim(client.create(new_workitem("a")))
    with pytest.raises(ConnectionLost):
        losing(server, 2, 3, 4).complete(claim, DONE)
    (warning,) = client.complete(claim, DONE)
    assert "already" in warning


def test_what_was_canceled_does_not_count_as_completed(client: WorklistClient) -> None:
    claim = client.claim(client.create(new_workitem("a")))
    client.cancel(claim)
    with pytest.raises(Conflict):
        client.complete(claim, DONE)
    assert state_of(client.retrieve(claim.workitem)) is WorkitemState.CANCELED


def test_what_is_not_updated_is_not_completed() -> None:
    in_progress = Answer(200, body=b'[{"00741000": {"vr": "CS", "Value": ["IN PROGRESS"]}}]')
    other = OtherServer(Answer(409), in_progress)
    with pytest.raises(Conflict):
        WorklistClient(other).complete(Claim.of("2.25.1"), DONE)
    assert [method for method, *_ in other.requests] == ["POST", "GET"]


def test_a_request_for_cancellation_is_sent_once(server: OriginServer, client: WorklistClient) -> None:
    uid = client.create(new_workitem("a"))
    client.claim(uid)
    mine = losing(server, 1)
    with pytest.raises(ConnectionLost):
        mine.request_cancellation(uid)
    assert len(requests_of(mine)) == 1
    never_sent = losing(server, 1, sent=False)
    never_sent.request_cancellation(uid)
    assert len(requests_of(never_sent)) == 2


def test_the_end_of_a_subscription_is_repeated(server: OriginServer, client: WorklistClient) -> None:
    mine = losing(server, 1, 3, 5, 7)
    uid = client.create(new_workitem("a"))
    mine.subscribe(uid)
    mine.unsubscribe(uid)
    mine.subscribe()
    mine.suspend()
    assert len(requests_of(mine)) == 8
    with pytest.raises(NotFound):
        mine.suspend()


@pytest.mark.parametrize(
    "ask",
    [lambda client, uid: client.retrieve(uid), lambda client, uid: list(client.search())],
    ids=["retrieve", "search"],
)
def test_reading_is_repeated(
    server: OriginServer, client: WorklistClient, ask: Callable[[WorklistClient, str], object]
) -> None:
    uid = client.create(new_workitem("a"))
    assert ask(losing(server, 1, 2), uid) == ask(client, uid)
    mine = losing(server, 1, 2, 3)
    with pytest.raises(ConnectionLost):
        ask(mine, uid)
    assert len(requests_of(mine)) == 3


def test_events_whose_answer_is_lost_come_again(server: OriginServer, client: WorklistClient) -> None:
    mine = losing(server, 2, 3)
    uid = client.create(new_workitem("a"))
    mine.subscribe(uid)
    with mine.events(timeout=5) as events:
        assert next(events).state == "SCHEDULED"
        client.claim(uid)
        assert next(events).state == "IN PROGRESS"
        assert events.connections == 3


def test_a_failure_of_the_server_is_no_lost_answer(server: OriginServer, client: WorklistClient) -> None:
    mine = losing(server, 1, status=500)
    with pytest.raises(ServerFailed):
        mine.retrieve(client.create(new_workitem("a")))
    assert len(requests_of(mine)) == 1


def test_a_request_is_sent_at_least_once() -> None:
    with pytest.raises(ValueError):
        WorklistClient(OtherServer(), attempts=Attempts(most=0))
