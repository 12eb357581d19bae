"""Habits of other servers: what they answer, and what they want to be sent."""

from __future__ import annotations

import json

import pytest

from dicomweb_worklist import (
    AlreadyExists,
    Answer,
    Attempts,
    Claim,
    Conflict,
    Dialect,
    Gone,
    Incomplete,
    InvalidRequest,
    LostClaim,
    NotFound,
    OriginTransport,
    Refused,
    ServerFailed,
    WorklistClient,
    WorklistError,
    new_workitem,
    performed_procedure,
    progress,
    uid_of,
)
from tests.client.worklists import SEGMENT, STATION, OtherServer, origin

WORKITEM = {"00080018": {"vr": "UI", "Value": ["2.25.1"]}, "00741000": {"vr": "CS", "Value": ["SCHEDULED"]}}
JSON = ("Content-Type", "application/dicom+json")
INCORRECT = "The Transaction UID is incorrect."
INCONSISTENT = "The submitted request is inconsistent with the state of the UPS Instance."


def client_of(*answers: Answer, dialect: Dialect | None = None) -> WorklistClient:
    return WorklistClient(OtherServer(*answers), aetitle="ME", dialect=dialect, attempts=Attempts(most=1))


def workitems(*found: object) -> Answer:
    return Answer(200, (JSON,), json.dumps(found).encode())


def numbered(number: int) -> dict[str, object]:
    return {"00080018": {"vr": "UI", "Value": [f"2.25.{number}"]}}


def test_retrieve_gives_an_array_or_a_bare_object() -> None:
    bare = Answer(200, (JSON,), json.dumps(WORKITEM).encode())
    assert client_of(bare).retrieve("2.25.1") == client_of(workitems(WORKITEM)).retrieve("2.25.1") == WORKITEM


@pytest.mark.parametrize("body", [b"", b"[]", b"<html>", b'"text"', b"[1]", b"[{}, {}]", b"\xff"])
def test_what_is_no_workitem(body: bytes) -> None:
    with pytest.raises(ServerFailed):
        client_of(Answer(200, (JSON,), body)).retrieve("2.25.1")


@pytest.mark.parametrize("nothing", [Answer(204), Answer(200, (JSON,), b"[]"), Answer(200)])
def test_no_match_is_204_or_an_empty_array(nothing: Answer) -> None:
    assert list(client_of(nothing).search()) == []


def test_a_server_may_give_fewer_at_a_time_without_a_warning() -> None:
    client = client_of(workitems(numbered(1), numbered(2)), workitems(numbered(3)), Answer(204))
    assert [uid_of(one) for one in client.search(page=50)] == ["2.25.1", "2.25.2", "2.25.3"]


def test_a_server_that_does_not_page_is_not_asked_for_ever() -> None:
    for page in (workitems(numbered(1), numbered(2)), workitems({"00741000": {"vr": "CS"}})):
        found = list(client_of(page, page).search())
        assert found == json.loads(page.body)


def test_a_server_that_gives_too_many_is_cut() -> None:
    assert len(list(client_of(workitems(numbered(1), numbered(2))).search(limit=1))) == 1


@pytest.mark.parametrize(
    ("headers", "uid"),
    [
        ((("Location", "http://h/s/workitems/2.25.7"),), "2.25.7"),
        ((("Content-Location", "http://h/s/workitems/2.25.7"),), "2.25.7"),
        ((("Location", "/s/workitems/2.25.7/"),), "2.25.7"),
        ((("Location", "http://h/elsewhere"),), "2.25.1"),
        ((), "2.25.1"),
    ],
)
def test_the_server_may_choose_the_uid(headers: tuple[tuple[str, str], ...], uid: str) -> None:
    assert client_of(Answer(201, headers)).create(new_workitem("a"), "2.25.1") == uid


@pytest.mark.parametrize(
    ("headers", "url"),
    [
        ((("Content-Location", "wss://h/s/ws/subscribers/ME"),), "wss://h/s/ws/subscribers/ME"),
        ((("Location", "ws://h/s/ws/subscribers/ME"),), "ws://h/s/ws/subscribers/ME"),
        ((("Content-Location", "http://h/s"), ("Location", "ws://h/e")), "ws://h/e"),
        ((), None),
    ],
)
def test_where_the_events_are(headers: tuple[tuple[str, str], ...], url: str | None) -> None:
    assert client_of(Answer(201, headers)).subscribe().url == url


@pytest.mark.parametrize(
    "value",
    [
        "299 http://h/s: Deletion Lock not granted.",
        '299 h "Deletion Lock not granted."',
        '299 h "Deletion Lock not granted." "Sat, 25 Aug 2012 23:34:45 GMT"',
        "Warning: 299 http://h/s: Deletion Lock not granted.",
        "Deletion Lock not granted.",
    ],
)
def test_warnings_are_spelled_in_many_ways(value: str) -> None:
    subscribed = client_of(Answer(201, (("warning", value),))).subscribe(deletion_lock=True)
    assert subscribed.warnings == ("Deletion Lock not granted.",)
    assert not subscribed.deletion_lock


@pytest.mark.parametrize(
    ("status", "warning", "body", "kind"),
    [
        (400, INCORRECT, "", LostClaim),
        (409, INCORRECT, "", LostClaim),
        (400, "The Transaction UID is missing.", "", LostClaim),
        (400, INCONSISTENT, "", Conflict),
        (409, INCONSISTENT, "", Conflict),
        (409, "", "", Conflict),
        (400, "", "", InvalidRequest),
        (415, "", "", InvalidRequest),
        (401, "", "", Refused),
        (403, "", '{"status": "C307"}', Refused),
        (404, "", "", NotFound),
        (410, "", "", Gone),
        (500, INCORRECT, "", ServerFailed),
        (503, "", "<html>", ServerFailed),
        (302, "", "", ServerFailed),
        (409, "", '{"status": "C304"}', Incomplete),
        (409, "", '{"status": "0111"}', AlreadyExists),
        (409, "", '[{"00000900": {"vr": "US", "Value": [49924]}}]', Incomplete),
        (409, "", '{"status": "what?", "detail": 7}', Conflict),
    ],
)
def test_refusals_are_understood(status: int, warning: str, body: str, kind: type[WorklistError]) -> None:
    headers = (JSON, *((("Warning", f"299 http://h: {warning}"),) if warning else ()))
    with pytest.raises(WorklistError) as caught:
        client_of(Answer(status, headers, body.encode())).update("2.25.1", progress(1))
    assert type(caught.value) is kind
    assert caught.value.status == status
    assert caught.value.warnings == ((warning,) if warning and status >= 400 else ())


def test_already_in_progress_from_a_server_that_says_it_to_everybody() -> None:
    # The Transaction UID is new and was never sent: it cannot be ours, whatever the code says.
    taken = Answer(409, (JSON,), b'{"status": "C302"}')
    with pytest.raises(Conflict):
        client_of(taken).claim("2.25.1")
    assert client_of(taken).claim(Claim.of("2.25.1")).workitem == "2.25.1"


@pytest.mark.parametrize(
    "dialect",
    [
        Dialect(),
        Dialect(payload_in_array=False),
        Dialect(transaction_uid_in_query=False),
        Dialect(transaction_uid_in_dataset=False),
        Dialect(filter_parameter=False),
        Dialect(requester_parameter=False),
    ],
)
def test_a_dialect_is_what_is_sent_and_ours_understands_all(dialect: Dialect) -> None:
    client = WorklistClient(OriginTransport(origin()), aetitle="ME", dialect=dialect)
    client.subscribe(filter={"ProcedureStepLabel": "a,b", "WorklistLabel": "A"})
    claim = client.claim(client.create(new_workitem("a,b", worklist="A")))
    client.create(new_workitem("b", worklist="A"))
    client.update(claim.workitem, progress(1), claim)
    client.complete(claim, performed_procedure(SEGMENT, STATION))
    assert {event.workitem for event in client.events(timeout=0)} == {claim.workitem}

    other = OtherServer(Answer(200), Answer(200), Answer(201))
    told = WorklistClient(other, aetitle="ME", dialect=dialect)
    claim = told.claim("2.25.1")
    told.update("2.25.1", progress(1), claim)
    told.subscribe(filter={"PatientID": "1,2"})
    (_, state, payload), (_, update, changes), (_, subscribe, _) = other.requests
    assert isinstance(json.loads(payload), list if dialect.payload_in_array else dict)
    assert ("requester=ME" in state) is dialect.requester_parameter
    assert (claim.transaction_uid in update) is dialect.transaction_uid_in_query
    assert (claim.transaction_uid.encode() in changes) is dialect.transaction_uid_in_dataset
    assert ("filter=PatientID=1%2C2" in subscribe) is dialect.filter_parameter
    assert ("?PatientID=1%2C2" in subscribe) is not dialect.filter_parameter


def test_who_has_no_ae_title_has_no_events() -> None:
    nameless = WorklistClient(OtherServer())
    for refused in (nameless.subscribe, nameless.unsubscribe, nameless.suspend, nameless.events):
        with pytest.raises(ValueError, match="AE title"):
            refused()
    for wrong in ("A" * 17, "A\\B", "Ä"):
        with pytest.raises(ValueError, match="no AE title"):
            WorklistClient(OtherServer(), aetitle=wrong)
    with pytest.raises(ValueError, match="filter"):
        WorklistClient(OtherServer(), aetitle="ME").subscribe("2.25.1", filter={"PatientID": "1"})
