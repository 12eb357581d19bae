"""Event reports and what they contain (PS3.4 Table CC.2.4-1, CC.2.4.3).

Attributes are event information, ascending, without command elements; their values are those of the workitem, not
copies. No report has the Transaction UID.
"""

from __future__ import annotations

from enum import Enum
from typing import Final

from dicomweb_core.rules.workitem_checks import CONTACT, PROGRESS, REASON, REASON_CODES, STATE
from dicomweb_core.rules.workitem_requirements import is_blank, items_of
from dicomweb_core.values.attributes import Attribute, Attributes, json_text
from dicomweb_core.values.workitems import (
    UPS_PUSH,
    WORKLIST,
    EventReport,
    EventType,
    QueuedReport,
    Workitem,
    WorkitemState,
)

READINESS: Final = "00404041"
STATION_NAMES: Final = "00404025"
PERFORMERS: Final = "00404034"
"""Scheduled Human Performers Sequence."""
REQUESTING_AE: Final = "00741236"

_MESSAGE_IDS: Final = 1 << 16
"""How many there are: US (PS3.7 10.3.1)."""
_OF_PERFORMER: Final = ("00404009", "00404036")
"""Human Performer Code Sequence, Organization: in an item of the workitem, at the top of the report."""
_PROGRESSES: Final = ("00741004", "00741006", "00741007", "00741008")
"""What makes a Progress Report when it changes: Progress, its Description and Parameters, Communications URI."""


class ServerStatus(Enum):
    """SCP Status (0074,1242)."""

    RESTARTED = "RESTARTED"
    GOING_DOWN = "GOING DOWN"


class Start(Enum):
    """Whether a list was kept (PS3.4 CC.2.4.3)."""

    WARM = "WARM START"
    COLD = "COLD START"


def state_report(workitem: Workitem) -> EventReport:
    """UPS State Report. Of a CANCELED one also why, as far as it is known."""
    found: Attributes = {STATE: _code_string(workitem.state.value)}
    readiness = workitem.attributes.get(READINESS)
    found[READINESS] = {"vr": "CS"} if readiness is None else readiness
    if workitem.state is WorkitemState.CANCELED:
        for item in items_of(workitem.attributes.get(PROGRESS)):
            found |= _populated(item, (REASON, REASON_CODES))
    return _report(workitem.uid, EventType.STATE_REPORT, found)


def cancel_requested(workitem: Workitem, requester: str, request: Attributes) -> EventReport:
    """UPS Cancel Requested. `request` is the payload of the request, whose reasons and contact are repeated."""
    found = _populated(request, (REASON, REASON_CODES, *CONTACT))
    found[REQUESTING_AE] = {"vr": "AE", "Value": [requester]}
    return _report(workitem.uid, EventType.CANCEL_REQUESTED, found)


def progress_report(workitem: Workitem) -> EventReport | None:
    """UPS Progress Report; None when there is no progress to report, which is its only content."""
    progress = workitem.attributes.get(PROGRESS)
    if progress is None or is_blank(progress):
        return None
    return _report(workitem.uid, EventType.PROGRESS_REPORT, {PROGRESS: progress})


def assigned(workitem: Workitem) -> tuple[EventReport, ...]:
    """UPS Assigned, one for each human performer; one without any if there is none, empty if there is no station."""
    station = _populated(workitem.attributes, (STATION_NAMES,))
    performers = items_of(workitem.attributes.get(PERFORMERS)) or [{}]
    return tuple(
        _report(workitem.uid, EventType.ASSIGNED, station | _populated(performer, _OF_PERFORMER))
        for performer in performers
    )


def server_status(status: ServerStatus, subscriptions: Start, workitems: Start) -> EventReport:
    """SCP Status Change: once for each AE, about the worklist. Before going down, what the restart will be."""
    texts = (("00741242", status.value), ("00741244", subscriptions.value), ("00741246", workitems.value))
    return _report(WORKLIST, EventType.SERVER_STATUS, {tag: _code_string(text) for tag, text in texts})


def event_text(queued: QueuedReport) -> bytes:
    """The data set that is sent for a report (PS3.18 8.10.5, 11.13): event information and what of the command tells
    what it is about. The Message ID counts with the queue: a report that is sent again has it again."""
    report = queued.report
    command: Attributes = {
        "00000002": {"vr": "UI", "Value": [UPS_PUSH]},
        "00000110": {"vr": "US", "Value": [queued.sequence % _MESSAGE_IDS]},
        "00001000": {"vr": "UI", "Value": [report.workitem]},
        "00001002": {"vr": "US", "Value": [int(report.type)]},
    }
    return json_text({**command, **report.attributes})


def of_creation(workitem: Workitem) -> tuple[EventReport, ...]:
    """For those who are subscribed because it was created, in order."""
    populated = not all(is_blank(workitem.attributes.get(tag)) for tag in (STATION_NAMES, PERFORMERS))
    return (state_report(workitem), *(assigned(workitem) if populated else ()))


def of_update(before: Workitem, after: Workitem) -> tuple[EventReport, ...]:
    """For all subscribers, in order. What has not really changed makes none; nor does a change of state."""
    reports: list[EventReport] = []
    if _differ(before, after, (READINESS,)):
        reports.append(state_report(after))
    if _progress(before) != _progress(after) and (progress := progress_report(after)) is not None:
        reports.append(progress)
    if _differ(before, after, (STATION_NAMES, PERFORMERS)):
        reports += assigned(after)
    return tuple(reports)


def _differ(before: Workitem, after: Workitem, tags: tuple[str, ...]) -> bool:
    return _populated(before.attributes, tags) != _populated(after.attributes, tags)


def _progress(workitem: Workitem) -> list[Attributes]:
    found = (_populated(item, _PROGRESSES) for item in items_of(workitem.attributes.get(PROGRESS)))
    return [item for item in found if item]


def _populated(attributes: Attributes, tags: tuple[str, ...]) -> Attributes:
    return {tag: attributes[tag] for tag in tags if not is_blank(attributes.get(tag))}


def _code_string(text: str) -> Attribute:
    return {"vr": "CS", "Value": [text]}


def _report(uid: str, kind: EventType, attributes: Attributes) -> EventReport:
    return EventReport(uid, kind, dict(sorted(attributes.items())))
