"""Attacks on the Worklist Service: whatever is sent is answered, and nothing is told that is nobody's business."""

from __future__ import annotations

import json
import logging
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dicomweb_core.storage.worklists import WorklistStore
from dicomweb_memory import MemoryWorklistStore
from tests.clients import JSON
from tests.rules.made_workitems import OURS, THEIRS, sent
from tests.worklists import ALL, DONE, FILTERED, UID, XML, WorklistClient

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
def test_no_answer_and_no_log_has_a_transaction_uid(
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
