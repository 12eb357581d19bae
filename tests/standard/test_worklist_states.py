"""The states of a workitem over HTTP, on both backends (PS3.18 11.4 to 11.8, PS3.4 Table CC.1.1-2)."""

from __future__ import annotations

import sys
import threading

import pytest

from dicomweb_core.storage.worklists import WorklistStore
from tests.clients import Answer
from tests.entities import attributes
from tests.rules.made_workitems import OURS, THEIRS, sent
from tests.worklists import UID, WorklistClient, value, warning

STATES = (None, "SCHEDULED", "IN PROGRESS", "COMPLETED", "CANCELED")

MISSING = "The Transaction UID is missing."
INCORRECT = "The Transaction UID is incorrect."
CHANGE = "The submitted request is inconsistent with the state of the UPS Instance."
UPDATE = "The submitted request is inconsistent with the current state of the Workitem."
UNCLAIMED = "The target URI did not reference a claimed Workitem."
ALREADY_COMPLETED = "The UPS is already in the requested state of COMPLETED."
ALREADY_CANCELED = "The UPS is already in the requested state of CANCELED."

RIGHT, WRONG, ABSENT = OURS, THEIRS, None

# A cell: HTTP status, DIMSE status of a refusal, Warning, state afterwards (the same as before if left out).
Cell = tuple[int, str, str] | tuple[int, str, str, str]
NONE: Cell = (404, "C307", "")
SIGN: Cell = (400, "C301", MISSING)
OTHER: Cell = (400, "C301", INCORRECT)
BACK: Cell = (409, "C303", CHANGE)
EARLY: Cell = (409, "C310", CHANGE)
LATE: Cell = (409, "C300", CHANGE)
EXISTS: Cell = (409, "0111", "")
DONE: Cell = (200, "", "")
OWNED: Cell = (400, "C301", UPDATE)
CLOSED: Cell = (400, "C300", UPDATE)
FREE: Cell = (409, "C310", UNCLAIMED)

TABLE: list[tuple[str, str | None, list[Cell | None]]] = [
    ("create", ABSENT, [(201, "", "", "SCHEDULED"), EXISTS, EXISTS, EXISTS, EXISTS]),
    ("update", ABSENT, [NONE, DONE, OWNED, CLOSED, CLOSED]),
    ("update", RIGHT, [NONE, FREE, DONE, CLOSED, CLOSED]),
    ("update", WRONG, [NONE, FREE, OWNED, CLOSED, CLOSED]),
    ("SCHEDULED", ABSENT, [NONE, BACK, BACK, BACK, BACK]),
    ("SCHEDULED", RIGHT, [NONE, BACK, BACK, BACK, BACK]),
    ("SCHEDULED", WRONG, [NONE, BACK, BACK, BACK, BACK]),
    ("IN PROGRESS", RIGHT, [NONE, (200, "", "", "IN PROGRESS"), (409, "C302", CHANGE), LATE, LATE]),
    ("IN PROGRESS", WRONG, [NONE, None, OTHER, OTHER, OTHER]),
    ("IN PROGRESS", ABSENT, [NONE, SIGN, SIGN, SIGN, SIGN]),
    ("COMPLETED", RIGHT, [NONE, EARLY, (409, "C304", CHANGE), (200, "", ALREADY_COMPLETED), LATE]),
    ("COMPLETED", WRONG, [NONE, None, OTHER, OTHER, OTHER]),
    ("COMPLETED", ABSENT, [NONE, SIGN, SIGN, SIGN, SIGN]),
    ("CANCELED", RIGHT, [NONE, EARLY, (200, "", "", "CANCELED"), LATE, (200, "", ALREADY_CANCELED)]),
    ("CANCELED", WRONG, [NONE, None, OTHER, OTHER, OTHER]),
    ("CANCELED", ABSENT, [NONE, SIGN, SIGN, SIGN, SIGN]),
    ("cancel", ABSENT, [
        NONE, (202, "", "", "CANCELED"), (202, "", ""), (409, "C311", ""), (202, "", ALREADY_CANCELED),
    ]),
]  # fmt: skip
"""U005 U028 U029 U031 U032 U033 U044 U045 U046 U047 U048 U050 U051 U054 U058 U059 U060 U061 U062 U064 U065 U070."""

CELLS = [
    pytest.param(request, proof, state, cell, id=f"{request}, {name}, {state or 'none'}")
    for request, proof, row in TABLE
    for name in [{RIGHT: "right", WRONG: "wrong", ABSENT: "missing"}[proof]]
    for state, cell in zip(STATES, row, strict=True)
    if cell is not None
]


@pytest.fixture
def client(worklist: WorklistStore) -> WorklistClient:
    return WorklistClient(worklist)


def ask(client: WorklistClient, request: str, transaction_uid: str | None) -> Answer:
    query = f"?transaction-uid={transaction_uid}" if transaction_uid else ""
    match request:
        case "create":
            return client.create()
        case "update":
            return client.update(query, ProcedureStepLabel="New")
        case "cancel":
            return client.send("POST", f"/workitems/{UID}/cancelrequest")
    return client.change(request, transaction_uid)


@pytest.mark.parametrize(("request_", "proof", "state", "cell"), CELLS)
def test_every_cell_of_the_state_table_over_http(
    client: WorklistClient, request_: str, proof: str | None, state: str | None, cell: Cell
) -> None:
    client.bring(state)
    before = client.workitem() if state else None
    answer = ask(client, request_, proof)
    status, code, text, *after = cell
    assert answer.status == status, answer.content
    assert answer.header("Warning") == (warning(text) if text else None)
    assert answer.header("Cache-Control") == "no-store"
    if status >= 400:
        assert answer.json["status"] == code
        assert (client.workitem() if state else None) == before
        for uid in (OURS, THEIRS):
            assert uid not in answer.content.decode() + str(answer.headers)
    else:
        assert answer.content == b""
        assert value(client.workitem(), "00741000") == (after[0] if after else state)


@pytest.mark.parametrize("state", ["IN_PROGRESS", "CANCELLED", "", "in progress"])
def test_what_is_no_state_is_refused_U049(client: WorklistClient, state: str) -> None:
    client.bring("SCHEDULED")
    assert client.change(state).status == 400
    assert value(client.workitem(), "00741000") == "SCHEDULED"


def test_a_workitem_is_performed_and_completed_U053(client: WorklistClient) -> None:
    client.bring("COMPLETED")
    performed = value(client.workitem(), "00741216")
    assert performed["00404033"] == {"vr": "SQ"}


def test_a_canceled_workitem_has_time_and_code_U055_U056_U057(client: WorklistClient) -> None:
    client.bring("IN PROGRESS")
    assert client.change("CANCELED").status == 200
    progress = value(client.workitem(), "00741002")
    assert value(progress, "00404052")
    assert value(value(progress, "0074100E"), "00080100") == "110513"


def test_a_removed_workitem_is_gone_U024_U041_U062(client: WorklistClient) -> None:
    client.bring("COMPLETED")
    client.delete()
    assert client.get(f"/workitems/{UID}").status == 410
    assert client.update(ProcedureStepLabel="New").status == 410
    assert client.change("IN PROGRESS").status == 410
    assert client.send("POST", f"/workitems/{UID}/cancelrequest").status == 410
    assert client.create().status == 409


@pytest.mark.parametrize("spelling", ["/state?requester=PERF", "/state/PERF"])
def test_who_claims_may_say_so_in_two_ways_U063(client: WorklistClient, spelling: str) -> None:
    client.bring("SCHEDULED")
    claim = attributes(ProcedureStepState="IN PROGRESS", TransactionUID=OURS)
    assert client.send("PUT", f"/workitems/{UID}{spelling}", claim).status == 200
    assert client.worklist.get(UID).performer == "PERF"


@pytest.mark.parametrize("spelling", ["/cancelrequest?requester=RIS_A", "/cancelrequest/RIS_A"])
def test_who_wants_to_cancel_is_named_in_the_report_U063_U068_U069(client: WorklistClient, spelling: str) -> None:
    client.bring("IN PROGRESS")
    client.subscribe()
    client.reports()
    why = attributes(ReasonForCancellation="wrong input", ContactURI="tel:+43000", ContactDisplayName="Desk 2")
    assert client.send("POST", f"/workitems/{UID}{spelling}", why).status == 202
    (report,) = client.reports()
    assert report.type == 2
    assert report.attributes == why | attributes(RequestingAE="RIS_A")


def test_cancellation_of_a_scheduled_workitem_U066_U067(client: WorklistClient) -> None:
    client.bring("SCHEDULED")
    client.subscribe()
    client.reports()
    why = attributes(ReasonForCancellation="patient left")
    assert client.send("POST", f"/workitems/{UID}/cancelrequest", why).status == 202
    assert client.told() == [(UID, 1, "IN PROGRESS"), (UID, 1, "CANCELED")]
    assert value(value(client.workitem(), "00741002"), "00741238") == "patient left"


def test_a_cancellation_needs_no_payload_but_takes_none_of_another_type_U071(client: WorklistClient) -> None:
    client.bring("IN PROGRESS")
    target = f"/workitems/{UID}/cancelrequest"
    assert client.request("POST", target).status == 202
    assert client.request("POST", target, Content_Type="application/dicom+json").status == 202
    assert client.request("POST", target, b"{}").status == 415


def race(works: list[threading.Thread]) -> None:
    """Threads that take turns as often as they can."""
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        for work in works:
            work.start()
        for work in works:
            work.join()
    finally:
        sys.setswitchinterval(interval)


def test_one_of_a_hundred_claims_wins_U112(client: WorklistClient) -> None:
    client.bring("SCHEDULED")
    client.subscribe()
    client.reports()
    answers: dict[str, Answer] = {}
    begin = threading.Barrier(100)

    def claim(uid: str) -> None:
        begin.wait()
        answers[uid] = client.change("IN PROGRESS", uid)

    race([threading.Thread(target=claim, args=(f"2.25.{number}",)) for number in range(100, 200)])
    winners = [uid for uid, answer in answers.items() if answer.status == 200]
    losers = [answer for answer in answers.values() if answer.status != 200]
    assert len(winners) == 1
    assert {(answer.status, answer.header("Warning")) for answer in losers} == {(400, warning(INCORRECT))}
    assert client.told() == [(UID, 1, "IN PROGRESS")]
    assert client.change("CANCELED", winners[0]).status == 200


def test_one_of_many_creates_of_one_uid_wins_U113(client: WorklistClient) -> None:
    statuses: list[int] = []
    begin = threading.Barrier(16)

    def create() -> None:
        begin.wait()
        statuses.append(client.create().status)

    race([threading.Thread(target=create) for _ in range(16)])
    assert sorted(statuses) == [201, *[409] * 15]


def test_who_subscribes_to_the_worklist_misses_no_creation_U114(client: WorklistClient) -> None:
    uids = [f"2.25.{number}" for number in range(10, 26)]
    begin = threading.Barrier(len(uids) + 1)

    def create(uid: str) -> None:
        begin.wait()
        assert client.send("POST", "/workitems", sent(SOPInstanceUID=uid)).status == 201

    def subscribe() -> None:
        begin.wait()
        assert client.subscribe("1.2.840.10008.5.1.4.34.5", query="?deletionlock=true").status == 201

    creations = [threading.Thread(target=create, args=(uid,)) for uid in uids]
    race([*creations, threading.Thread(target=subscribe)])
    assert sorted({uid for uid, *_ in client.told()}) == uids
    for uid in uids:
        assert client.request("DELETE", f"/workitems/{uid}/subscribers/WATCH").status == 200
