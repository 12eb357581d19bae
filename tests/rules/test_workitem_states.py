"""The state machine of workitems (PS3.4 Table CC.1.1-2): every cell, and a naive model beside it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dicomweb_core.errors import (
    BadRequest,
    Conflict,
    DICOMwebError,
    InvalidWorkitemRequest,
    NoSuchWorkitem,
    NotFound,
    WorkitemConflict,
    WorkitemRefused,
)
from dicomweb_core.http_status import status_of
from dicomweb_core.rules.workitem_changes import cancellation_requested, created, updated
from dicomweb_core.rules.workitem_codes import Code
from dicomweb_core.rules.workitem_states import OUTCOMES, Action, Proof, Request, outcome, permitted, proof
from dicomweb_core.values.workitems import Workitem, WorkitemState
from tests.entities import attributes
from tests.rules.made_workitems import LATER, NOW, OURS, POLICY, THEIRS, UID, change_to, performed, sent, workitem

NONE, (SCHEDULED, IN_PROGRESS, CANCELED, COMPLETED) = None, WorkitemState
RIGHT, WRONG, MISSING = Proof

# (DIMSE status, HTTP status, action or Warning text); the columns are as in the table of the standard
OURSELVES = "The Transaction UID is incorrect."
NOTHING_GIVEN = "The Transaction UID is missing."
CHANGE = "The submitted request is inconsistent with the state of the UPS Instance."
UPDATE = "The submitted request is inconsistent with the current state of the Workitem."
UNCLAIMED = "The target URI did not reference a claimed Workitem."
WAS_COMPLETED = "The UPS is already in the requested state of COMPLETED."
WAS_CANCELED = "The UPS is already in the requested state of CANCELED."

CELLS = [
    ("U005", Request.CREATE, RIGHT, NONE, 0, 200, Action.CREATE, ""),
    *(("U005", Request.CREATE, MISSING, s, 0x0111, 409, None, "") for s in WorkitemState),
    ("U041", Request.UPDATE, MISSING, NONE, 0xC307, 404, None, ""),
    ("U027", Request.UPDATE, MISSING, SCHEDULED, 0, 200, Action.UPDATE, ""),
    ("U031", Request.UPDATE, MISSING, IN_PROGRESS, 0xC301, 400, None, UPDATE),
    ("U033", Request.UPDATE, MISSING, COMPLETED, 0xC300, 400, None, UPDATE),
    ("U033", Request.UPDATE, MISSING, CANCELED, 0xC300, 400, None, UPDATE),
    ("U041", Request.UPDATE, RIGHT, NONE, 0xC307, 404, None, ""),
    ("U028", Request.UPDATE, RIGHT, SCHEDULED, 0xC310, 409, None, UNCLAIMED),
    ("U029", Request.UPDATE, RIGHT, IN_PROGRESS, 0, 200, Action.UPDATE, ""),
    ("U033", Request.UPDATE, RIGHT, COMPLETED, 0xC300, 400, None, UPDATE),
    ("U033", Request.UPDATE, RIGHT, CANCELED, 0xC300, 400, None, UPDATE),
    ("U028", Request.UPDATE, WRONG, SCHEDULED, 0xC310, 409, None, UNCLAIMED),
    ("U032", Request.UPDATE, WRONG, IN_PROGRESS, 0xC301, 400, None, UPDATE),
    ("U033", Request.UPDATE, WRONG, COMPLETED, 0xC300, 400, None, UPDATE),
    ("U033", Request.UPDATE, WRONG, CANCELED, 0xC300, 400, None, UPDATE),
    *(("U048", Request.TO_SCHEDULED, p, s, 0xC303, 409, None, CHANGE) for p in Proof for s in WorkitemState),
    *(
        ("U062", request, p, NONE, 0xC307, 404, None, "")
        for request in (Request.TO_SCHEDULED, Request.TO_IN_PROGRESS, Request.TO_COMPLETED, Request.TO_CANCELED)
        for p in Proof
    ),
    ("U044", Request.TO_IN_PROGRESS, RIGHT, SCHEDULED, 0, 200, Action.CLAIM, ""),
    ("U047", Request.TO_IN_PROGRESS, RIGHT, IN_PROGRESS, 0xC302, 409, None, CHANGE),
    ("U064", Request.TO_IN_PROGRESS, RIGHT, COMPLETED, 0xC300, 409, None, CHANGE),
    ("U064", Request.TO_IN_PROGRESS, RIGHT, CANCELED, 0xC300, 409, None, CHANGE),
    *(
        ("U046", Request.TO_IN_PROGRESS, WRONG, s, 0xC301, 400, None, OURSELVES)
        for s in (IN_PROGRESS, COMPLETED, CANCELED)
    ),
    *(("U045", Request.TO_IN_PROGRESS, MISSING, s, 0xC301, 400, None, NOTHING_GIVEN) for s in WorkitemState),
    ("U050", Request.TO_COMPLETED, RIGHT, SCHEDULED, 0xC310, 409, None, CHANGE),
    ("U053", Request.TO_COMPLETED, RIGHT, IN_PROGRESS, 0, 200, Action.COMPLETE, ""),
    ("U058", Request.TO_COMPLETED, RIGHT, COMPLETED, 0xB306, 200, Action.NOTHING, WAS_COMPLETED),
    ("U061", Request.TO_COMPLETED, RIGHT, CANCELED, 0xC300, 409, None, CHANGE),
    ("U054", Request.TO_COMPLETED, WRONG, IN_PROGRESS, 0xC301, 400, None, OURSELVES),
    *(("U060", Request.TO_COMPLETED, WRONG, s, 0xC301, 400, None, OURSELVES) for s in (COMPLETED, CANCELED)),
    *(("U050 U060", Request.TO_COMPLETED, MISSING, s, 0xC301, 400, None, NOTHING_GIVEN) for s in WorkitemState),
    ("U050", Request.TO_CANCELED, RIGHT, SCHEDULED, 0xC310, 409, None, CHANGE),
    ("U057", Request.TO_CANCELED, RIGHT, IN_PROGRESS, 0, 200, Action.CANCEL, ""),
    ("U061", Request.TO_CANCELED, RIGHT, COMPLETED, 0xC300, 409, None, CHANGE),
    ("U059", Request.TO_CANCELED, RIGHT, CANCELED, 0xB304, 200, Action.NOTHING, WAS_CANCELED),
    *(
        ("U060", Request.TO_CANCELED, WRONG, s, 0xC301, 400, None, OURSELVES)
        for s in (IN_PROGRESS, COMPLETED, CANCELED)
    ),
    *(("U050 U060", Request.TO_CANCELED, MISSING, s, 0xC301, 400, None, NOTHING_GIVEN) for s in WorkitemState),
    ("C307", Request.CANCEL, MISSING, NONE, 0xC307, 404, None, ""),
    ("U065", Request.CANCEL, MISSING, SCHEDULED, 0, 200, Action.CANCEL_BY_SERVER, ""),
    ("U068", Request.CANCEL, MISSING, IN_PROGRESS, 0, 200, Action.TELL_PERFORMER, ""),
    ("U070", Request.CANCEL, MISSING, COMPLETED, 0xC311, 409, None, ""),
    ("U070", Request.CANCEL, MISSING, CANCELED, 0xB304, 200, Action.NOTHING, WAS_CANCELED),
]


@pytest.mark.parametrize(
    ("request_", "given_proof", "state", "code", "status", "action", "warning"),
    [
        pytest.param(*cell[1:], id=f"{cell[0]} {cell[1].value}, {cell[3] and cell[3].value}, {cell[2].value}")
        for cell in CELLS
    ],
)
def test_a_cell_of_the_state_table(
    request_: Request,
    given_proof: Proof,
    state: WorkitemState | None,
    code: int,
    status: int,
    action: Action | None,
    warning: str,
) -> None:
    found = OUTCOMES[request_, state, given_proof]
    assert (found.code, found.action, found.warning) == (code, action, warning)
    if found.refusal is None:
        assert status == 200
    else:
        error = found.refusal(found.sentence, code=found.code)
        assert status_of(error) == status
        assert found.sentence


def test_every_cell_is_in_this_table() -> None:
    without_proof = {Request.CREATE, Request.CANCEL}
    asked = {(r, s, p) for _, r, p, s, *_ in CELLS if r not in without_proof}
    assert asked == {
        (r, s, p)
        for r, s, p in OUTCOMES
        if r not in without_proof and not (r is Request.UPDATE and (s, p) == (NONE, WRONG))
    }
    for request in without_proof:
        assert {s for _, r, _, s, *_ in CELLS if r is request} == {NONE, *WorkitemState}
        assert all(
            OUTCOMES[request, s, p] == OUTCOMES[request, s, MISSING] for s in (NONE, *WorkitemState) for p in Proof
        )


@pytest.mark.parametrize(
    ("stored", "transaction_uid", "expected"),
    [
        (None, "2.25.1", RIGHT),
        (None, None, MISSING),
        (Workitem(UID, SCHEDULED, {}), None, MISSING),
        (Workitem(UID, SCHEDULED, {}), "2.25.1", RIGHT),
        (Workitem(UID, IN_PROGRESS, {}, OURS), OURS, RIGHT),
        (Workitem(UID, IN_PROGRESS, {}, OURS), THEIRS, WRONG),
        (Workitem(UID, COMPLETED, {}, OURS), OURS, RIGHT),
        pytest.param(Workitem(UID, CANCELED, {}), OURS, WRONG, id="canceled by the server, never claimed"),
    ],
)
def test_what_a_transaction_uid_proves(stored: Workitem | None, transaction_uid: str | None, expected: Proof) -> None:
    assert proof(stored, transaction_uid) is expected


@pytest.mark.parametrize(
    ("kind", "parent"), [(InvalidWorkitemRequest, BadRequest), (WorkitemConflict, Conflict), (NoSuchWorkitem, NotFound)]
)
def test_refusals_are_what_their_status_says(kind: type[WorkitemRefused], parent: type[DICOMwebError]) -> None:
    assert issubclass(kind, parent)


def test_a_refusal_has_code_sentence_and_warning_U064() -> None:
    with pytest.raises(InvalidWorkitemRequest) as refused:
        permitted(Request.TO_COMPLETED, Workitem(UID, IN_PROGRESS, {}, OURS), THEIRS)
    assert refused.value.code is Code.WRONG_TRANSACTION_UID
    assert refused.value.warning == "The Transaction UID is incorrect."
    assert str(refused.value) == "The Transaction UID is incorrect."


# -- a naive model ------------------------------------------------------------------------------------------------


class NaiveWorkitem:
    """What PS3.4 CC.1.1 says, in the order a reader meets it. `ask` gives DIMSE status and HTTP class."""

    def __init__(self) -> None:
        self.state = ""
        self.owner: str | None = None

    def ask(self, request: str, uid: str | None) -> tuple[int, int]:
        if request == "create":
            if self.state:
                return 0x0111, 409
            self.state = "SCHEDULED"
            return 0, 200
        if not self.state:
            return 0xC307, 404
        if request == "update":
            return self._update(uid)
        if request == "cancel":
            return self._cancel()
        return self._change(request, uid)

    def _update(self, uid: str | None) -> tuple[int, int]:
        if self.state in ("COMPLETED", "CANCELED"):
            return 0xC300, 400
        if self.state == "SCHEDULED":
            return (0, 200) if uid is None else (0xC310, 409)
        return (0, 200) if uid == self.owner else (0xC301, 400)

    def _cancel(self) -> tuple[int, int]:
        if self.state == "COMPLETED":
            return 0xC311, 409
        if self.state == "CANCELED":
            return 0xB304, 200
        if self.state == "SCHEDULED":
            self.state = "CANCELED"
        return 0, 200

    def _change(self, wanted: str, uid: str | None) -> tuple[int, int]:
        if wanted == "SCHEDULED":
            return 0xC303, 409
        if uid is None or (self.state != "SCHEDULED" and uid != self.owner):
            return 0xC301, 400
        if wanted == "IN PROGRESS":
            if self.state == "IN PROGRESS":
                return 0xC302, 409
            if self.state != "SCHEDULED":
                return 0xC300, 409
            self.state, self.owner = wanted, uid
            return 0, 200
        if self.state == "SCHEDULED":
            return 0xC310, 409
        if self.state == wanted:
            return (0xB306 if wanted == "COMPLETED" else 0xB304), 200
        if self.state != "IN PROGRESS":
            return 0xC300, 409
        self.state = wanted
        return 0, 200


def ask(stored: Workitem | None, request: str, uid: str | None) -> tuple[int, int, Workitem | None]:
    """The same of the rules."""
    try:
        match request:
            case "create":
                change = created(stored, UID, sent(), NOW, POLICY)
            case "update":
                done = attributes(UnifiedProcedureStepPerformedProcedureSequence=performed())
                change = updated(stored, done, uid, LATER, POLICY)
            case "cancel":
                change = cancellation_requested(stored, {}, None, LATER, POLICY)
            case _:
                change = change_to(WorkitemState(request), stored, uid)
    except WorkitemRefused as refused:
        return refused.code, status_of(refused), stored
    return change.code, 200, change.workitem or stored


REQUESTS = ["create", "update", "cancel", "SCHEDULED", "IN PROGRESS", "COMPLETED", "CANCELED"]


@given(st.lists(st.tuples(st.sampled_from(REQUESTS), st.sampled_from([None, OURS, THEIRS])), max_size=12))
def test_any_sequence_of_requests_ends_where_a_naive_model_does(requests: list[tuple[str, str | None]]) -> None:
    naive = NaiveWorkitem()
    stored: Workitem | None = None
    has_data = False
    for request, uid in [("create", None), *requests]:
        if request == "COMPLETED" and not has_data:
            continue
        expected = naive.ask(request, uid)
        *found, stored = ask(stored, request, uid)
        assert tuple(found) == expected, request
        assert stored is not None
        assert stored.state.value == naive.state
        assert stored.attributes["00741000"]["Value"] == [naive.state]
        has_data = has_data or (request == "update" and expected == (0, 200))
        assert OURS not in repr(stored)
        assert THEIRS not in repr(stored)


@pytest.mark.parametrize("state", list(WorkitemState))
def test_the_proof_survives_in_every_state_U117(state: WorkitemState) -> None:
    stored = workitem(state)
    expected = None if state is SCHEDULED else OURS
    assert stored.transaction_uid == expected
    assert outcome(Request.UPDATE, stored, OURS) is OUTCOMES[Request.UPDATE, state, RIGHT]
