"""Attacks on the Worklist Service: whatever is sent is answered, and nothing is told that is nobody's business."""

from __future__ import annotations

import json
import logging
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dicomweb_core.storage.worklists import WorklistStore, WorklistTransaction
from dicomweb_core.values.workitems import Generator, Subscription
from dicomweb_memory import MemoryWorklistStore
from tests.clients import JSON
from tests.entities import attributes
from tests.rules.made_workitems import OURS, THEIRS, code, sent
from tests.worklists import ALL, DONE, FILTERED, UID, XML, WorklistClient, value

METHODS = st.sampled_from(["GET", "HEAD", "POST", "PUT", "DELETE"])
SEGMENTS = st.sampled_from(
    [UID, ALL, FILTERED, "2.25.9", "state", "cancelrequest", "subscribers", "suspend", "AET", "%00", "..", "é"]
)
NAMES = st.sampled_from(
    [
        *("workitem", "transaction-uid", "requester", "deletionlock", "filter", "includefield", "limit", "offset"),
        *("accept", "charset", "fuzzymatching", "PatientName", "00741000", "00404025.00080100", "00080201", "00091001"),
        *(UID, "", "TransactionUID"),
    ]
)
VALUES = st.one_of(
    st.sampled_from([UID, OURS, "", "true", "%", "%FF", "%00", "*", "a=b,c=d", "20240101-", "+", "\\", "all", "-1"]),
    st.text(max_size=8),
)
QUERIES = st.lists(st.tuples(NAMES, VALUES), max_size=4).map(
    lambda pairs: "&".join(f"{name}={value}" for name, value in pairs)
)
TAGS = st.sampled_from([*sent(), *DONE, "00741238", "0074100E", "00091001", "00000002", "x"])
JUNK: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=4) | st.sampled_from([OURS, "SCHEDULED"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(TAGS, inner, max_size=3)
        | st.fixed_dictionaries({"vr": st.sampled_from(["SQ", "UI", "CS", "LO", "DT", "PN", "UN"]), "Value": inner})
    ),
    max_leaves=8,
)
DATASETS = st.one_of(JUNK, st.dictionaries(TAGS, JUNK, max_size=4).map(lambda junk: {**sent(), **junk}))
SERVED = WorklistClient(MemoryWorklistStore())


@given(METHODS, st.lists(SEGMENTS, max_size=4), QUERIES, DATASETS, st.sampled_from([JSON, XML, "text/plain"]))
def test_whatever_is_sent_is_answered(
    method: str, segments: list[str], query: str, dataset: Any, content_type: str
) -> None:
    target = "/".join(["/workitems", *segments]) + "?" + query
    body = json.dumps(dataset).encode("utf-8", "replace")
    answer = SERVED.request(method, target, body, Content_Type=content_type)
    assert answer.status < 500, answer.content


@pytest.mark.parametrize("state", ["SCHEDULED", "IN PROGRESS", "COMPLETED", "CANCELED"])
def test_no_answer_and_no_log_has_a_transaction_uid_A80(
    worklist: WorklistStore, state: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    client = WorklistClient(worklist)
    client.subscribe(ALL, query="?deletionlock=true")
    client.bring(state)
    answers = [
        client.get(f"/workitems/{UID}?includefield=TransactionUID"),
        client.get(f"/workitems/{UID}", XML),
        client.get("/workitems?includefield=all&includefield=00081195"),
        client.get(f"/workitems?TransactionUID={OURS}"),
        client.get(f"/workitems?00081195={OURS[:5]}*"),
        client.subscribe(FILTERED, query=f"?filter=TransactionUID={OURS}"),
        client.update("", ProcedureStepLabel="x"),
        client.update(f"?transaction-uid={THEIRS}", ProcedureStepLabel="x"),
        client.update(f"?{OURS}&transaction={THEIRS}", ProcedureStepLabel="x"),
        client.change("IN PROGRESS", OURS),
        client.change("COMPLETED", THEIRS),
        client.change("COMPLETED", OURS + ".x"),
        client.create(UID, TransactionUID=OURS),
        client.send("POST", f"/workitems/{UID}/cancelrequest", sent(TransactionUID=OURS)),
    ]
    told = [repr(answer.headers) + repr(answer.content) for answer in answers]
    told += [repr(report) for report in client.reports()]
    for text in (*told, caplog.text):
        assert OURS not in text
        assert THEIRS not in text


@pytest.mark.parametrize("state", ["SCHEDULED", "IN PROGRESS", "COMPLETED", "CANCELED"])
@pytest.mark.parametrize(
    "proof", [None, "", " ", "\0", [], ["", ""], [OURS, THEIRS], "2.25.x", "2.25." + "1" * 99, 5, {}]
)
def test_what_is_no_transaction_uid_opens_nothing_A80(worklist: WorklistStore, state: str, proof: Any) -> None:
    client = WorklistClient(worklist)
    client.bring(state)
    before = client.workitem()
    given = {
        "00081195": {"vr": "UI"}
        if proof is None
        else {"vr": "UI", "Value": proof if isinstance(proof, list) else [proof]}
    }
    for wanted in ("SCHEDULED", "IN PROGRESS", "COMPLETED", "CANCELED"):
        answer = client.send("PUT", f"/workitems/{UID}/state", given | attributes(ProcedureStepState=wanted))
        assert answer.status in (400, 409)
    if state != "SCHEDULED":
        change = given | attributes(ProcedureStepLabel="Mine")
        assert client.send("POST", f"/workitems/{UID}", change).status == 400
        assert client.update("?transaction-uid=", ProcedureStepLabel="Mine").status == 400
        assert client.update("?transaction-uid=%00", ProcedureStepLabel="Mine").status == 400
    assert client.workitem() == before


@pytest.mark.parametrize("title", ["A%0D%0ASet-Cookie:%20a=b", "%0D%0A", "A%0AB", "A%00B", "%E2%80%A8", "%FF", "A%7FB"])
def test_titles_with_line_ends_go_nowhere_A81(worklist: WorklistStore, title: str) -> None:
    client = WorklistClient(worklist)
    client.bring("IN PROGRESS")
    before = client.workitem()
    for method, target in (
        ("POST", f"/workitems/{UID}/subscribers/{title}"),
        ("POST", f"/workitems/{ALL}/subscribers/{title}"),
        ("DELETE", f"/workitems/{UID}/subscribers/{title}"),
        ("POST", f"/workitems/{ALL}/subscribers/{title}/suspend"),
        ("GET", f"/subscribers/{title}"),
        ("POST", f"/workitems/{UID}/cancelrequest/{title}"),
        ("POST", f"/workitems/{UID}/cancelrequest?requester={title}"),
        ("PUT", f"/workitems/{UID}/state?requester={title}"),
    ):
        answer = client.request(method, target)
        assert answer.status in (400, 404), (method, target)
        assert not any(sign in text for header in answer.headers for text in header for sign in "\r\n\0")
    assert list(worklist.receivers()) == []
    assert client.workitem() == before


def test_ten_thousand_subscribers_are_told_once_each_A81(worklist: WorklistStore) -> None:
    client = WorklistClient(worklist)
    client.create()
    receivers = [f"AE{number}" for number in range(10_000)]

    def subscribe(transaction: WorklistTransaction) -> None:
        for receiver in receivers:
            transaction.subscribe(Subscription(UID, receiver))
            transaction.put_generator(Generator(receiver))

    worklist.transact(subscribe)
    assert client.change("IN PROGRESS").status == 200
    assert client.create("2.25.2").status == 201
    assert len(tuple(worklist.receivers())) == 10_000
    for receiver in (receivers[0], receivers[4_711], receivers[-1]):
        assert client.told(receiver) == [(UID, 1, "IN PROGRESS"), ("2.25.2", 1, "SCHEDULED")]


@pytest.mark.parametrize("target", ["2.25.9", ALL, FILTERED])
def test_nothing_is_left_of_what_is_not_there_A81(worklist: WorklistStore, target: str) -> None:
    client = WorklistClient(worklist)
    client.bring("SCHEDULED")
    assert client.subscribe("2.25.9").status == 404
    assert client.request("DELETE", f"/workitems/{target}/subscribers/WATCH").status == 404
    assert client.request("POST", f"/workitems/{target}/subscribers/WATCH/suspend").status in (400, 404)
    assert list(worklist.receivers()) == []


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 0, 2)])
def test_three_subscriptions_to_one_workitem_tell_once_A81(worklist: WorklistStore, order: tuple[int, ...]) -> None:
    client = WorklistClient(worklist)
    client.create(UID, WorklistLabel="A")
    ways = (("", UID), ("", ALL), ("?filter=WorklistLabel=A", FILTERED))
    for query, target in (ways[number] for number in order):
        assert client.subscribe(target, query=query).status == 201
    client.reports()
    client.change("IN PROGRESS")
    client.create("2.25.2", WorklistLabel="A")
    client.update("", "2.25.2", WorklistLabel="B")
    client.update("", "2.25.2", WorklistLabel="A")
    client.send("POST", "/workitems/2.25.2/cancelrequest")
    assert client.told() == [
        (UID, 1, "IN PROGRESS"),
        ("2.25.2", 1, "SCHEDULED"),
        ("2.25.2", 1, "IN PROGRESS"),
        ("2.25.2", 1, "CANCELED"),
    ]


@pytest.mark.parametrize(("target", "query"), [(ALL, ""), (FILTERED, "?filter=WorklistLabel=Room%203")])
def test_who_suspends_can_still_unsubscribe_A81(worklist: WorklistStore, target: str, query: str) -> None:
    client = WorklistClient(worklist)
    client.create()
    client.subscribe(target, query=query)
    own = f"/workitems/{target}/subscribers/WATCH"
    assert client.request("POST", f"{own}/suspend").status == 200
    client.change("IN PROGRESS")
    assert client.told() == [(UID, 1, "IN PROGRESS")]
    assert client.request("DELETE", own).status == 200, "what it has made is still there"
    client.change("CANCELED")
    assert client.request("DELETE", own).status == 404
    assert client.reports() == []
    assert list(worklist.receivers()) == []


def test_no_event_says_who_the_patient_is_A83(worklist: WorklistStore) -> None:
    client = WorklistClient(worklist)
    client.subscribe(ALL, query="?deletionlock=true")
    secret = dict.fromkeys(("PatientName", "PatientID", "AdmissionID", "ProcedureStepLabel", "WorklistLabel"), "SECRET")
    client.create(**secret, PatientComments="SECRET", ScheduledStationNameCodeSequence=code())
    client.update(InputReadinessState="UNAVAILABLE", MedicalAlerts="SECRET")
    client.change("IN PROGRESS")
    client.send("POST", f"/workitems/{UID}/cancelrequest", attributes(ReasonForCancellation="why"))
    client.change("CANCELED")
    events = client.get("/subscribers/WATCH", JSON)
    assert [value(event, "00001002") for event in events.json] == [1, 5, 1, 1, 2, 1]
    assert b"SECRET" not in events.content


def test_a_request_that_is_narrowed_learns_nothing_by_subscribing_A83(worklist: WorklistStore) -> None:
    whole = WorklistClient(worklist)
    whole.create(UID, PatientID="BOB")
    client = WorklistClient(worklist, authorize=lambda access: {"PatientID": "ANN"})
    for target, query in ((ALL, ""), (ALL, "?deletionlock=true"), (FILTERED, "?filter=PatientID=BOB")):
        assert client.subscribe(target, query=query).status == 403
    there, nowhere = client.subscribe(UID), client.subscribe("2.25.9")
    assert (there.status, there.content) == (nowhere.status, nowhere.content)
    assert list(worklist.receivers()) == []
    whole.subscribe()
    assert client.get("/subscribers/WATCH", JSON).json == []
