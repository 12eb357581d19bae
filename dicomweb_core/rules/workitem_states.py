"""What each request does in each state (PS3.4 Table CC.1.1-2, CC.2.1.3, CC.2.2.3, CC.2.6.3; PS3.18 11.6 to 11.8).

PS3.18 names 400 and 409 for the same reason in one place; every conflict with the state is 409 here and what concerns
the Transaction UID 400, but an Update of a final workitem is 400 (11.6.2).
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from types import MappingProxyType
from typing import Final, NamedTuple

from dicomweb_core.errors import InvalidWorkitemRequest, NoSuchWorkitem, WorkitemConflict, WorkitemRefused
from dicomweb_core.rules.workitem_codes import Code
from dicomweb_core.values.workitems import Workitem, WorkitemState

ALREADY_CANCELED: Final = "The UPS is already in the requested state of CANCELED."
ALREADY_COMPLETED: Final = "The UPS is already in the requested state of COMPLETED."
UID_MISSING: Final = "The Transaction UID is missing."
UID_INCORRECT: Final = "The Transaction UID is incorrect."
NOT_CLAIMED: Final = "The target URI did not reference a claimed Workitem."
UPDATE_INCONSISTENT: Final = "The submitted request is inconsistent with the current state of the Workitem."
CHANGE_INCONSISTENT: Final = "The submitted request is inconsistent with the state of the UPS Instance."


class Request(Enum):
    """A transaction; Change State by the state it asks for."""

    CREATE = "create"
    UPDATE = "update"
    TO_SCHEDULED = "change state to SCHEDULED"
    TO_IN_PROGRESS = "change state to IN PROGRESS"
    TO_COMPLETED = "change state to COMPLETED"
    TO_CANCELED = "change state to CANCELED"
    CANCEL = "request cancellation"


TO: Final = MappingProxyType(
    {
        WorkitemState.SCHEDULED: Request.TO_SCHEDULED,
        WorkitemState.IN_PROGRESS: Request.TO_IN_PROGRESS,
        WorkitemState.COMPLETED: Request.TO_COMPLETED,
        WorkitemState.CANCELED: Request.TO_CANCELED,
    }
)
"""The request of a Change State."""


class Proof(Enum):
    """Of ownership: what the Transaction UID of a request is, compared with that of the workitem."""

    RIGHT = "right"
    """The same; of a SCHEDULED workitem, which has none, any."""
    WRONG = "wrong"
    MISSING = "missing"


class Action(Enum):
    """What is done when a request is granted."""

    CREATE = "create"
    UPDATE = "update"
    CLAIM = "claim"
    COMPLETE = "complete"
    CANCEL = "cancel"
    """By the performer."""
    CANCEL_BY_SERVER = "cancel by server"
    TELL_PERFORMER = "tell performer"
    """Of the wish to cancel; nothing is stored."""
    NOTHING = "nothing"


class Outcome(NamedTuple):
    """A cell: an action, or the error it is refused with. `warning` is the text of a Warning header."""

    code: Code
    action: Action | None = None
    refusal: type[WorkitemRefused] | None = None
    sentence: str = ""
    warning: str = ""


def _done(action: Action, code: Code = Code.SUCCESS, warning: str = "") -> Outcome:
    return Outcome(code, action, warning=warning)


def _invalid(code: Code, sentence: str, warning: str) -> Outcome:
    return Outcome(code, None, InvalidWorkitemRequest, sentence, warning)


def _conflict(code: Code, sentence: str, warning: str = "") -> Outcome:
    return Outcome(code, None, WorkitemConflict, sentence, warning)


_ABSENT: Final = Outcome(Code.NO_SUCH_WORKITEM, None, NoSuchWorkitem, "There is no such workitem.")
_CREATE: Final = _done(Action.CREATE)
_EXISTS: Final = _conflict(Code.DUPLICATE, "There is or was a workitem of this UID.")

_UPDATE: Final = _done(Action.UPDATE)
_EARLY: Final = _conflict(Code.NOT_IN_PROGRESS, "Nobody has claimed the workitem, it has no owner.", NOT_CLAIMED)
_NOT_OWNED: Final = _invalid(
    Code.WRONG_TRANSACTION_UID, "The Transaction UID of the workitem was not given.", UPDATE_INCONSISTENT
)
_CLOSED: Final = _invalid(Code.FINAL, "The workitem is in a final state.", UPDATE_INCONSISTENT)

_NEVER: Final = _conflict(Code.ONLY_CREATED_SCHEDULED, "Nothing goes back to SCHEDULED.", CHANGE_INCONSISTENT)
_UNSIGNED: Final = _invalid(Code.WRONG_TRANSACTION_UID, UID_MISSING, UID_MISSING)
_MISSIGNED: Final = _invalid(Code.WRONG_TRANSACTION_UID, UID_INCORRECT, UID_INCORRECT)
_CLAIM: Final = _done(Action.CLAIM)
_CLAIMED: Final = _conflict(Code.ALREADY_IN_PROGRESS, "The workitem is already IN PROGRESS.", CHANGE_INCONSISTENT)
_TOO_EARLY: Final = _conflict(Code.NOT_IN_PROGRESS, "The workitem is not IN PROGRESS.", CHANGE_INCONSISTENT)
_TOO_LATE: Final = _conflict(Code.FINAL, "The workitem is in a final state.", CHANGE_INCONSISTENT)
_COMPLETE: Final = _done(Action.COMPLETE)
_CANCEL: Final = _done(Action.CANCEL)
_COMPLETED: Final = _done(Action.NOTHING, Code.ALREADY_COMPLETED, ALREADY_COMPLETED)
_CANCELED: Final = _done(Action.NOTHING, Code.ALREADY_CANCELED, ALREADY_CANCELED)

_BY_SERVER: Final = _done(Action.CANCEL_BY_SERVER)
_TELL: Final = _done(Action.TELL_PERFORMER)
_PERFORMED: Final = _conflict(Code.COMPLETED, "The workitem is already COMPLETED.")

_STATES: Final = (
    *(None, WorkitemState.SCHEDULED, WorkitemState.IN_PROGRESS),
    *(WorkitemState.COMPLETED, WorkitemState.CANCELED),
)
_ANY: Final = (Proof.RIGHT, Proof.WRONG, Proof.MISSING)
_RIGHT: Final = (Proof.RIGHT,)
_WRONG: Final = (Proof.WRONG,)
_MISSING: Final = (Proof.MISSING,)

# Columns: no workitem, SCHEDULED, IN PROGRESS, COMPLETED, CANCELED. None: cannot be, see `Proof.RIGHT`.
_ROWS: Final[tuple[tuple[Request, tuple[Proof, ...], tuple[Outcome | None, ...]], ...]] = (
    (Request.CREATE, _ANY, (_CREATE, _EXISTS, _EXISTS, _EXISTS, _EXISTS)),
    (Request.UPDATE, _MISSING, (_ABSENT, _UPDATE, _NOT_OWNED, _CLOSED, _CLOSED)),
    (Request.UPDATE, _RIGHT, (_ABSENT, _EARLY, _UPDATE, _CLOSED, _CLOSED)),
    (Request.UPDATE, _WRONG, (_ABSENT, _EARLY, _NOT_OWNED, _CLOSED, _CLOSED)),
    (Request.TO_SCHEDULED, _ANY, (_ABSENT, _NEVER, _NEVER, _NEVER, _NEVER)),
    (Request.TO_IN_PROGRESS, _RIGHT, (_ABSENT, _CLAIM, _CLAIMED, _TOO_LATE, _TOO_LATE)),
    (Request.TO_IN_PROGRESS, _WRONG, (_ABSENT, None, _MISSIGNED, _MISSIGNED, _MISSIGNED)),
    (Request.TO_IN_PROGRESS, _MISSING, (_ABSENT, _UNSIGNED, _UNSIGNED, _UNSIGNED, _UNSIGNED)),
    (Request.TO_COMPLETED, _RIGHT, (_ABSENT, _TOO_EARLY, _COMPLETE, _COMPLETED, _TOO_LATE)),
    (Request.TO_COMPLETED, _WRONG, (_ABSENT, None, _MISSIGNED, _MISSIGNED, _MISSIGNED)),
    (Request.TO_COMPLETED, _MISSING, (_ABSENT, _UNSIGNED, _UNSIGNED, _UNSIGNED, _UNSIGNED)),
    (Request.TO_CANCELED, _RIGHT, (_ABSENT, _TOO_EARLY, _CANCEL, _TOO_LATE, _CANCELED)),
    (Request.TO_CANCELED, _WRONG, (_ABSENT, None, _MISSIGNED, _MISSIGNED, _MISSIGNED)),
    (Request.TO_CANCELED, _MISSING, (_ABSENT, _UNSIGNED, _UNSIGNED, _UNSIGNED, _UNSIGNED)),
    (Request.CANCEL, _ANY, (_ABSENT, _BY_SERVER, _TELL, _PERFORMED, _CANCELED)),
)

OUTCOMES: Final[Mapping[tuple[Request, WorkitemState | None, Proof], Outcome]] = MappingProxyType(
    {
        (request, state, proof): outcome
        for request, proofs, outcomes in _ROWS
        for proof in proofs
        for state, outcome in zip(_STATES, outcomes, strict=True)
        if outcome is not None
    }
)
"""The whole table. State None: there is no workitem."""


def proof(stored: Workitem | None, transaction_uid: str | None) -> Proof:
    """What a Transaction UID proves. One that was canceled by the server never had an owner: all are wrong."""
    if transaction_uid is None:
        return Proof.MISSING
    if stored is None or stored.state is WorkitemState.SCHEDULED or stored.transaction_uid == transaction_uid:
        return Proof.RIGHT
    return Proof.WRONG


def outcome(request: Request, stored: Workitem | None, transaction_uid: str | None = None) -> Outcome:
    """The cell of a request. The Transaction UID is without padding, None if there is none."""
    state = None if stored is None else stored.state
    return OUTCOMES[request, state, proof(stored, transaction_uid)]


def permitted(request: Request, stored: Workitem | None, transaction_uid: str | None = None) -> Outcome:
    """The cell of a request that is granted. Raises NoSuchWorkitem, InvalidWorkitemRequest, WorkitemConflict."""
    found = outcome(request, stored, transaction_uid)
    if found.refusal is not None:
        raise found.refusal(found.sentence, code=found.code, warning=found.warning)
    return found
