"""What a granted request makes of a workitem: the new one, the reports, the warnings (PS3.4 CC.2.1, .2, .5, .6).

Pure: a store calls them in its transaction, again if it has to. Nothing given is changed. `now` has a time zone.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

from dicomweb_core.errors import InvalidWorkitemRequest, WorkitemConflict
from dicomweb_core.rules.texts import texts_of
from dicomweb_core.rules.workitem_checks import (
    COMMUNICATIONS,
    CONTACT,
    PROGRESS,
    REASON,
    REASON_CODES,
    SOP_CLASS_UID,
    SOP_INSTANCE_UID,
    STATE,
    Violation,
    check_cancellation,
    check_create,
    check_update,
    completed,
    dotted,
    missing_for,
)
from dicomweb_core.rules.workitem_codes import Code
from dicomweb_core.rules.workitem_reports import cancel_requested, of_creation, of_update, state_report
from dicomweb_core.rules.workitem_requirements import (
    SPECIFIC_CHARACTER_SET,
    TRANSACTION_UID,
    Use,
    is_blank,
    items_of,
    requirements,
)
from dicomweb_core.rules.workitem_states import (
    CHANGE_INCONSISTENT,
    OUTCOMES,
    TO,
    UID_INCORRECT,
    UPDATE_INCONSISTENT,
    Action,
    Proof,
    Request,
    permitted,
)
from dicomweb_core.values.attributes import Attribute, Attributes, first_text, json_text
from dicomweb_core.values.uids import is_uid
from dicomweb_core.values.workitems import (
    FILTERED_WORKLIST,
    UPS_PUSH,
    WORKLIST,
    EventReport,
    Workitem,
    WorkitemState,
)

CREATED_MODIFIED: Final = "The Workitem was created with modifications."

MODIFIED: Final = "00404010"
"""Scheduled Procedure Step Modification DateTime."""
WORKLIST_LABEL: Final = "00741202"
_CANCELLATION: Final = "00404052"
"""Procedure Step Cancellation DateTime."""
_NAMED: Final = 12
"""Attributes that an error names."""

# 110513: Discontinued for unspecified reason (PS3.16 CID 9300)
_UNSPECIFIED: Final[Attribute] = {
    "vr": "SQ",
    "Value": [
        {
            "00080100": {"vr": "SH", "Value": ["110513"]},
            "00080102": {"vr": "SH", "Value": ["DCM"]},
            "00080104": {"vr": "LO", "Value": ["Discontinued for unspecified reason"]},
        }
    ],
}


@dataclass(frozen=True, slots=True)
class WorklistPolicy:
    """What the standard leaves to a site."""

    strict_types: bool = False
    """Whether a type 2 attribute that was not sent is an error (400). Else a Create adds it, with a Warning."""
    strict_reasons: bool = False
    """Whether a performer who cancels must have said why (C304, 409). Else the code for no reason is filled in."""
    worklist_label: str = "Default"
    """For workitems that come without."""
    requester: str = "UNKNOWN"
    """AE title in a Cancel Requested report when nobody said who requests."""
    deletion_locks: bool = True
    """Whether subscriptions get the deletion lock they ask for (B301)."""
    filtered_subscriptions: bool = True
    """Whether there are subscriptions to those workitems that match a filter. Else 403."""
    retention_seconds: float | None = None
    """How long a workitem is kept in a final state when nobody has a deletion lock (PS3.4 CC.2.1.3); None: for ever."""
    lock_seconds: float | None = None
    """How long a deletion lock counts from then on; None: until it is released."""


@dataclass(frozen=True, slots=True)
class Change:
    """What was decided. Not repeated when nothing changed: then there is no workitem and no report."""

    workitem: Workitem | None = None
    """To be stored; None: what is stored stays."""
    reports: tuple[EventReport, ...] = ()
    """In order, for all subscribers; of a Create for those whose subscriptions are made with it."""
    code: Code = Code.SUCCESS
    warnings: tuple[str, ...] = ()
    """Texts for Warning headers (PS3.18 11.4.3.2 to 11.8.3.2)."""


def uid_of(target: str | None, attributes: Attributes) -> str | None:
    """Of the workitem to be created: from the URL, else from (0008,0018); None if it is in neither (11.4.1).

    Raises InvalidWorkitemRequest when it is no UID, or not the same in both.
    """
    named = _uid(first_text(attributes, SOP_INSTANCE_UID))
    target = _uid(target or "")
    for uid in (target, named):
        if uid is not None and not is_uid(uid):
            raise InvalidWorkitemRequest("The workitem UID is not a DICOM UID (PS3.5 9.1).", code=Code.INVALID_VALUE)
    if target is not None and named is not None and target != named:
        raise InvalidWorkitemRequest(
            "The workitem UID in the URL and the SOPInstanceUID of the data set differ.",
            code=Code.INVALID_VALUE,
            offending=("SOPInstanceUID",),
        )
    return target or named


def created(
    stored: Workitem | None,
    uid: str,
    attributes: Attributes,
    now: datetime,
    policy: WorklistPolicy,
    *,
    remembered: bool = False,
) -> Change:
    """A new workitem (11.4). `stored` is what has the UID already, `remembered` whether something had it.

    Raises InvalidWorkitemRequest for the data set, WorkitemConflict when the UID is taken.
    """
    given, added = (attributes, ()) if policy.strict_types else completed(attributes)
    _refuse(check_create(given))
    if remembered or uid in (WORKLIST, FILTERED_WORKLIST):
        taken = OUTCOMES[Request.CREATE, WorkitemState.SCHEDULED, Proof.MISSING]
        raise WorkitemConflict(taken.sentence, code=taken.code)
    permitted(Request.CREATE, stored)
    found = {tag: _stored(attribute) for tag, attribute in given.items() if tag != TRANSACTION_UID}
    unlabelled = is_blank(found.get(WORKLIST_LABEL))
    if unlabelled:
        found[WORKLIST_LABEL] = {"vr": "LO", "Value": [policy.worklist_label]}
    found[SOP_CLASS_UID] = {"vr": "UI", "Value": [UPS_PUSH]}
    found[SOP_INSTANCE_UID] = {"vr": "UI", "Value": [uid]}
    found[STATE] = _state(WorkitemState.SCHEDULED)
    found[MODIFIED] = _date_time(now)
    workitem = Workitem(uid, WorkitemState.SCHEDULED, _ordered(found), changed=now.timestamp())
    if added or unlabelled:
        return Change(workitem, of_creation(workitem), Code.CREATED_MODIFIED, (CREATED_MODIFIED,))
    return Change(workitem, of_creation(workitem))


def updated(
    stored: Workitem | None,
    attributes: Attributes,
    transaction_uid: str | None,
    now: datetime,
    policy: WorklistPolicy,
) -> Change:
    """An Update (11.6): all of it or nothing. `transaction_uid` is that of the URL; the data set may have it as well.

    Sequences are replaced whole, empty attributes blank what is stored, what is not named stays. One that changes
    nothing leaves the workitem as it is and makes no report.
    Raises NoSuchWorkitem, InvalidWorkitemRequest, WorkitemConflict.
    """
    if stored is None:
        permitted(Request.UPDATE, None)
        return Change()
    permitted(Request.UPDATE, stored, _proof(transaction_uid, attributes, UPDATE_INCONSISTENT))
    _refuse(check_update(attributes, stored.attributes, strict=policy.strict_types))
    rows = requirements()
    after = dict(stored.attributes)
    for tag, attribute in attributes.items():
        if tag == SPECIFIC_CHARACTER_SET or (tag in rows and rows[tag].update.use is not Use.TAKEN):
            continue
        if not _same(after.get(tag), attribute):
            after[tag] = _stored(attribute)
    if after == stored.attributes:
        return Change()
    after[MODIFIED] = _date_time(now)
    workitem = replace(stored, attributes=_ordered(after), changed=now.timestamp())
    return Change(workitem, of_update(stored, workitem))


def state_changed(
    stored: Workitem | None,
    attributes: Attributes,
    now: datetime,
    policy: WorklistPolicy,
    *,
    performer: str | None = None,
) -> Change:
    """A Change State (11.7): Procedure Step State and Transaction UID are `attributes`, `performer` an AE title.

    Raises NoSuchWorkitem, InvalidWorkitemRequest, WorkitemConflict.
    """
    if stored is None:
        permitted(Request.TO_IN_PROGRESS, None)
        return Change()
    request = _request(attributes)
    if request is Request.TO_SCHEDULED:
        permitted(request, stored)
    transaction_uid = _proof(None, attributes, UID_INCORRECT)
    granted = permitted(request, stored, transaction_uid)
    match granted.action:
        case Action.CLAIM:
            claimed = replace(stored, transaction_uid=transaction_uid, performer=performer)
            return _moved(claimed, WorkitemState.IN_PROGRESS, claimed.attributes, now)
        case Action.COMPLETE:
            return _final(stored, WorkitemState.COMPLETED, stored.attributes, now)
        case Action.CANCEL:
            code = None if policy.strict_reasons else _UNSPECIFIED
            return _final(stored, WorkitemState.CANCELED, _canceled(stored.attributes, now, code), now)
    return Change(code=granted.code, warnings=(granted.warning,))


def cancellation_requested(
    stored: Workitem | None, attributes: Attributes, requester: str | None, now: datetime, policy: WorklistPolicy
) -> Change:
    """A Request Cancellation (11.8), `attributes` empty without payload, `requester` an AE title if it is known.

    Raises NoSuchWorkitem, InvalidWorkitemRequest, WorkitemConflict.
    """
    granted = permitted(Request.CANCEL, stored)
    if stored is None:
        return Change()
    _refuse(check_cancellation(attributes))
    match granted.action:
        case Action.TELL_PERFORMER:
            return Change(reports=(cancel_requested(stored, requester or policy.requester, attributes),))
        case Action.CANCEL_BY_SERVER:
            first = _moved(stored, WorkitemState.IN_PROGRESS, stored.attributes, now)
            why = _with_reasons(stored.attributes, attributes)
            second = _moved(stored, WorkitemState.CANCELED, _canceled(why, now, _UNSPECIFIED), now)
            return replace(second, reports=first.reports + second.reports)
    return Change(code=granted.code, warnings=(granted.warning,))


# -- requests -----------------------------------------------------------------------------------------------------


def _refuse(violations: list[Violation]) -> None:
    """Raises InvalidWorkitemRequest for the first and names the others."""
    if not violations:
        return
    sentence = violations[0].sentence
    names = tuple(dict.fromkeys(dotted(violation.path) for violation in violations))
    if len(names) > 1:
        sentence += f" Also wrong: {_names(names[1:])}."
    raise InvalidWorkitemRequest(sentence, code=violations[0].code, offending=names)


def _names(names: Iterable[str]) -> str:
    several = list(names)
    more = f" and {len(several) - _NAMED} more" if len(several) > _NAMED else ""
    return ", ".join(several[:_NAMED]) + more


def _uid(text: str) -> str | None:
    return text.strip(" \0") or None


def _proof(given: str | None, attributes: Attributes, warning: str) -> str | None:
    """The Transaction UID of a request, which no error quotes."""
    texts = (given or "", *texts_of(attributes.get(TRANSACTION_UID)))
    found = {uid for text in texts if (uid := _uid(text)) is not None}
    if len(found) > 1:
        sentence = "Several Transaction UIDs are given, and they differ."
    elif all(map(is_uid, found)):
        return next(iter(found), None)
    else:
        sentence = "The Transaction UID is not a DICOM UID (PS3.5 9.1)."
    raise InvalidWorkitemRequest(
        sentence, code=Code.WRONG_TRANSACTION_UID, warning=warning, offending=("TransactionUID",)
    )


def _request(attributes: Attributes) -> Request:
    values = attributes.get(STATE, {}).get("Value") or []
    text = str(values[0]).strip() if len(values) == 1 else ""
    for state, request in TO.items():
        if state.value == text:
            return request
    states = ", ".join(state.value for state in WorkitemState)
    raise InvalidWorkitemRequest(
        f"ProcedureStepState is none of {states}.", code=Code.INVALID_ARGUMENT, offending=("ProcedureStepState",)
    )


# -- workitems ----------------------------------------------------------------------------------------------------


def _moved(stored: Workitem, state: WorkitemState, attributes: Attributes, now: datetime) -> Change:
    found = _ordered({**attributes, STATE: _state(state)})
    workitem = replace(stored, state=state, attributes=found, changed=now.timestamp())
    return Change(workitem, (state_report(workitem),))


def _final(stored: Workitem, state: WorkitemState, attributes: Attributes, now: datetime) -> Change:
    moved = _moved(stored, state, attributes, now)
    if moved.workitem is not None and (missing := missing_for(state, moved.workitem.attributes)):
        names = tuple(map(dotted, missing))
        raise WorkitemConflict(
            f"A {state.value} workitem needs {_names(names)}.",
            code=Code.FINAL_REQUIREMENTS,
            warning=CHANGE_INCONSISTENT,
            offending=names,
        )
    return moved


def _with_reasons(attributes: Attributes, request: Attributes) -> Attributes:
    """With what a request for cancellation says in the Progress Information."""
    why: Attributes = {tag: request[tag] for tag in (REASON, REASON_CODES) if not is_blank(request.get(tag))}
    contact = {tag: request[tag] for tag in CONTACT if not is_blank(request.get(tag))}
    if CONTACT[0] in contact:
        known = [
            item for progress in items_of(attributes.get(PROGRESS)) for item in items_of(progress.get(COMMUNICATIONS))
        ]
        why[COMMUNICATIONS] = {"vr": "SQ", "Value": [*known, contact]}
    return _with_progress(attributes, why)


def _canceled(attributes: Attributes, now: datetime, code: Attribute | None) -> Attributes:
    """With the time of cancellation, and the code for its reason, where there are none."""
    given = (items_of(attributes.get(PROGRESS)) or [{}])[0]
    made: Attributes = {}
    if is_blank(given.get(_CANCELLATION)):
        made[_CANCELLATION] = _date_time(now)
    if code is not None and is_blank(given.get(REASON_CODES)):
        made[REASON_CODES] = code
    return _with_progress(attributes, made)


def _with_progress(attributes: Attributes, members: Attributes) -> Attributes:
    if not members:
        return attributes
    first, *others = items_of(attributes.get(PROGRESS)) or [{}]
    items = [dict(sorted({**first, **members}.items())), *others]
    return _ordered({**attributes, PROGRESS: {"vr": "SQ", "Value": items}})


def _ordered(attributes: Attributes) -> Attributes:
    """Ascending, and with the character set that its text is in: the one of JSON, whatever a client has said."""
    found = {tag: attribute for tag, attribute in sorted(attributes.items()) if tag != SPECIFIC_CHARACTER_SET}
    if json_text(found).isascii():
        return found
    return dict(sorted({**found, SPECIFIC_CHARACTER_SET: {"vr": "CS", "Value": ["ISO_IR 192"]}}.items()))


def _same(stored: Attribute | None, given: Attribute) -> bool:
    return stored == given or (is_blank(stored) and is_blank(given))


def _stored(attribute: Attribute) -> Attribute:
    return {"vr": attribute["vr"]} if is_blank(attribute) else attribute


def _state(state: WorkitemState) -> Attribute:
    return {"vr": "CS", "Value": [state.value]}


def _date_time(now: datetime) -> Attribute:
    return {"vr": "DT", "Value": [now.strftime("%Y%m%d%H%M%S.%f%z")]}
