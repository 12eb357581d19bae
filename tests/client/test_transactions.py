"""The client and the server, over HTTP and in one process: the same tests."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime

import pytest
from pydicom.dataset import Dataset as PydicomDataset

from dicomweb_worklist import (
    AlreadyExists,
    Claim,
    Conflict,
    EventType,
    Gone,
    Incomplete,
    InvalidRequest,
    LostClaim,
    NotFound,
    OriginTransport,
    Patient,
    WorkitemState,
    WorklistClient,
    coded,
    new_uid,
    new_workitem,
    performed_procedure,
    progress,
    state_of,
    text,
    uid_of,
)
from tests.client.worklists import SEGMENT, STATION, origin
from tests.served import Served

Clients = Callable[[], WorklistClient]
"""Each call makes one with another AE title."""

DONE = performed_procedure(SEGMENT, STATION)
_numbers = itertools.count(1)


@pytest.fixture(scope="module", params=["http", "process"])
def clients(request: pytest.FixtureRequest) -> Iterator[Clients]:
    if request.param == "process":
        server = origin()
        yield lambda: WorklistClient(OriginTransport(server), aetitle=f"AE {next(_numbers)}")
        server.close()
        return
    with Served("--workers", "1") as served:
        made: list[WorklistClient] = []

        def make() -> WorklistClient:
            made.append(WorklistClient.at(served.address, aetitle=f"AE {next(_numbers)}"))
            return made[-1]

        yield make
        for one in made:
            one.close()


@pytest.fixture
def client(clients: Clients) -> WorklistClient:
    return clients()


@pytest.fixture
def label() -> str:
    """Of workitems of one test; the worklist is shared."""
    return f"test {next(_numbers)}"


def states(client: WorklistClient, label: str) -> list[str]:
    return sorted(state_of(one) for one in client.search({"ProcedureStepLabel": label}))


def test_a_workitem_from_its_creation_to_its_end(client: WorklistClient, label: str) -> None:
    start = datetime(2024, 5, 6, 7, 8, 9, tzinfo=UTC)
    uid = client.create(new_workitem(label, patient=Patient("Doe^Jane", "P1"), station=STATION, start=start))
    created = client.retrieve(uid)
    assert text(created, "00100010") == "Doe^Jane"
    assert (uid_of(created), state_of(created)) == (uid, WorkitemState.SCHEDULED)
    assert text(created, "00404005") == "20240506070809+0000"

    assert client.update(uid, {"00741200": {"vr": "CS", "Value": ["HIGH"]}}) == ()
    claim = client.claim(uid)
    assert claim.workitem == uid
    client.update(uid, progress(40, "half of it"), claim)
    assert client.complete(claim, DONE) == ()
    done = client.retrieve(uid)
    assert state_of(done) is WorkitemState.COMPLETED
    assert text(done, "00741200") == "HIGH"
    assert done["00741002"]["Value"][0]["00741004"]["Value"] == [40]
    assert claim.transaction_uid not in json.dumps(done)


def test_uids_are_chosen_by_the_client_or_given(client: WorklistClient) -> None:
    made, given, within = new_uid(), new_uid(), new_uid()
    assert made != given
    assert client.create(new_workitem("a"), given) == given
    assert client.create(new_workitem("a", attributes={"00080018": {"vr": "UI", "Value": [within]}})) == within
    assert client.create(new_workitem("a")) not in (given, within)
    with pytest.raises(AlreadyExists) as caught:
        client.create(new_workitem("a"), given)
    assert (caught.value.status, caught.value.code) == (409, 0x0111)


def test_what_cannot_be_created_is_said(client: WorklistClient) -> None:
    with pytest.raises(InvalidRequest) as caught:
        client.create(new_workitem("a", priority="SOON"))
    assert caught.value.status == 400
    assert "ScheduledProcedureStepPriority" in caught.value.offending


def test_a_data_set_of_pydicom_is_taken(client: WorklistClient) -> None:
    dataset = PydicomDataset.from_json(new_workitem("von pydicom: Größe", patient=Patient("Yamada^Tarou=山田^太郎")))
    found = client.retrieve(client.create(dataset))
    assert text(found, "00741204") == "von pydicom: Größe"
    changes = PydicomDataset()
    changes.ProcedureStepLabel = "another"
    client.update(uid_of(found), changes)
    assert text(client.retrieve(uid_of(found)), "00741204") == "another"


def test_one_of_two_performers_wins(clients: Clients) -> None:
    one, other = clients(), clients()
    uid = one.create(new_workitem("a"))
    claim = one.claim(uid)
    with pytest.raises(LostClaim) as caught:
        other.claim(uid)
    assert (caught.value.status, caught.value.code) == (400, 0xC301)
    for refused in (lambda: other.update(uid, progress(1)), lambda: other.complete(Claim.of(uid), DONE)):
        with pytest.raises(LostClaim):
            refused()
    assert other.retrieve(uid).get("00741002", {}).get("Value") is None
    with pytest.raises(ValueError, match="another workitem"):
        one.update(new_uid(), progress(1), claim)


def test_a_performer_goes_on_after_a_crash(clients: Clients) -> None:
    claim = Claim.of(clients().create(new_workitem("a")))
    kept = claim.saved()
    assert clients().claim(claim) == claim
    again = Claim.restored(kept)
    assert clients().claim(again) == again == claim
    clients().complete(again, DONE)
    assert "already" in clients().complete(again, DONE)[0]
    with pytest.raises(Conflict):
        clients().cancel(again, "too late")


def test_a_claim_does_not_show_its_transaction_uid() -> None:
    claim = Claim.of("2.25.1")
    assert claim.transaction_uid not in repr(claim) + str(claim) + f"{claim}"
    for wrong in ("", "[]", "{}", '{"workitem": 1, "transaction_uid": 2}', claim.saved()[:-1]):
        with pytest.raises(ValueError, match="no saved claim") as caught:
            Claim.restored(wrong)
        assert claim.transaction_uid not in str(caught.value)


def test_a_workitem_that_lacks_something_is_not_completed(client: WorklistClient) -> None:
    claim = client.claim(client.create(new_workitem("a")))
    with pytest.raises(Incomplete) as caught:
        client.complete(claim)
    assert caught.value.offending == ("UnifiedProcedureStepPerformedProcedureSequence",)
    assert state_of(client.retrieve(claim.workitem)) is WorkitemState.IN_PROGRESS


def test_a_performer_cancels_and_says_why(client: WorklistClient) -> None:
    claim = client.claim(client.create(new_workitem("a")))
    client.update(claim.workitem, progress(70, "stuck"), claim)
    client.cancel(claim, "no disk", [coded(SEGMENT)])
    (item,) = client.retrieve(claim.workitem)["00741002"]["Value"]
    assert text(item, "00741238") == "no disk"
    assert text(item, "00741006") == "stuck"
    assert item["0074100E"]["Value"] == [coded(SEGMENT)]
    assert "already" in client.cancel(claim)[0]


def test_somebody_else_asks_for_cancellation(clients: Clients) -> None:
    performer, watcher = clients(), clients()
    uid = performer.create(new_workitem("a"))
    claim = performer.claim(uid)
    performer.subscribe(uid)
    asked = watcher.request_cancellation(
        uid, "wrong patient", [coded(SEGMENT)], contact_uri="tel:1", contact_name="Desk"
    )
    assert asked == ()
    events = performer.events()
    event = next(event for event in events if event.type is EventType.CANCEL_REQUESTED)
    events.close()
    assert event.workitem == uid
    assert text(event.attributes, "00741236") == watcher.aetitle
    assert (text(event.attributes, "00741238"), text(event.attributes, "0074100A")) == ("wrong patient", "tel:1")
    performer.complete(claim, DONE)
    with pytest.raises(Conflict) as caught:
        watcher.request_cancellation(uid)
    assert caught.value.code == 0xC311

    unclaimed = performer.create(new_workitem("a"))
    assert watcher.request_cancellation(unclaimed) == ()
    assert "already" in watcher.request_cancellation(unclaimed)[0]


def test_what_is_not_there(client: WorklistClient) -> None:
    nowhere = new_uid()
    for missing in (
        lambda: client.retrieve(nowhere),
        lambda: client.update(nowhere, progress(1)),
        lambda: client.claim(nowhere),
        lambda: client.request_cancellation(nowhere),
        lambda: client.subscribe(nowhere),
        lambda: client.unsubscribe(nowhere),
        lambda: client.suspend(),
    ):
        with pytest.raises(NotFound) as caught:
            missing()
        assert not isinstance(caught.value, Gone)
    with pytest.raises(InvalidRequest, match="empty"):
        client.retrieve("")


def test_search_pages(client: WorklistClient, label: str) -> None:
    made = [client.create(new_workitem(label, comments="Größe")) for _ in range(7)]
    filters = {"ProcedureStepLabel": label, "ProcedureStepState": "SCHEDULED"}
    found = [uid_of(one) for one in client.search(filters, page=3)]
    assert sorted(found) == sorted(made)
    assert [uid_of(one) for one in client.search(filters, page=3, limit=4)] == found[:4]
    assert [uid_of(one) for one in client.search(filters, page=3, offset=5)] == found[5:]
    assert list(client.search(filters, limit=0)) == []
    assert {uid_of(one) for one in client.search({"SOPInstanceUID": made[:2]})} == set(made[:2])
    (one,) = client.search({"SOPInstanceUID": made[0]}, includefield=["CommentsOnTheScheduledProcedureStep"])
    assert text(one, "00400400") == "Größe"


def test_no_match(client: WorklistClient) -> None:
    assert list(client.search({"ProcedureStepLabel": "no such thing"})) == []


@pytest.mark.parametrize("value", ["a & b", "50% + 1", "a=b", "a,b", "Größe 山", "a/b?c#d"])
def test_search_for_any_text(client: WorklistClient, value: str) -> None:
    uid = client.create(new_workitem(value, station=STATION))
    filters = {"ProcedureStepLabel": value, "ScheduledStationNameCodeSequence.CodeValue": "GPU1"}
    assert uid in [uid_of(one) for one in client.search(filters)]
    client.subscribe(filter=filters)
    with client.events(timeout=5) as events:
        matching, other = new_workitem(value, station=STATION), new_workitem("other", station=STATION)
        client.create(other)
        uid = client.create(matching)
        assert next(events).workitem == uid
    client.unsubscribe(filtered=True)


def test_a_filter_may_list_uids(client: WorklistClient) -> None:
    uids = [new_uid(), new_uid()]
    client.subscribe(filter={"SOPInstanceUID": uids, "WorklistLabel": "B"})
    with client.events(timeout=5) as events:
        for uid in (*uids, new_uid()):
            client.create(new_workitem("a", worklist="B"), uid)
        assert [next(events).workitem, next(events).workitem] == uids


def test_pages_have_a_size(client: WorklistClient) -> None:
    for wrong in ({"page": 0}, {"limit": -1}, {"offset": -1}):
        with pytest.raises(ValueError, match="page"):
            client.search(**wrong)


def test_a_filter_that_is_not_understood_is_refused(client: WorklistClient) -> None:
    with pytest.raises(InvalidRequest):
        list(client.search({"NoSuchThing": "1"}))
    with pytest.raises(InvalidRequest):
        client.subscribe(filter={"NoSuchThing": "1"})


def test_subscriptions(client: WorklistClient) -> None:
    uid = client.create(new_workitem("a"))
    subscribed = client.subscribe(uid, deletion_lock=True)
    assert subscribed.deletion_lock
    assert subscribed.url is not None
    assert subscribed.url.startswith("ws://")
    client.unsubscribe(uid)
    with pytest.raises(NotFound):
        client.unsubscribe(uid)
    assert not client.subscribe().deletion_lock
    client.suspend()
    client.subscribe()
    client.unsubscribe()


def test_events_come_in_order_and_once(clients: Clients) -> None:
    performer, watcher = clients(), clients()
    uid = performer.create(new_workitem("a"))
    watcher.subscribe(uid)
    with watcher.events(timeout=5) as events:
        assert next(events).state == "SCHEDULED"
        claim = performer.claim(uid)
        performer.update(uid, progress(10), claim)
        performer.complete(claim, DONE)
        found = list(itertools.islice(events, 3))
        assert [(one.type, one.state) for one in found] == [
            (EventType.STATE_REPORT, "IN PROGRESS"),
            (EventType.PROGRESS_REPORT, ""),
            (EventType.STATE_REPORT, "COMPLETED"),
        ]
        assert {one.workitem for one in found} == {uid}
        assert [one.message_id for one in found] == sorted({one.message_id for one in found})
        assert not any(tag.startswith("0000") for one in found for tag in one.attributes)
        assert claim.transaction_uid not in repr(found)
    # Nobody asked for what follows the last one: it was not taken, and comes again, maybe with some before it.
    again = list(watcher.events(timeout=1))
    assert again
    assert again == found[-len(again) :]
    assert list(watcher.events(timeout=1)) == []
