"""Workitems, subscriptions and event reports (PS3.4 CC, PS3.18 11)."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum, IntEnum
from typing import Final, NamedTuple

from dicomweb_core.values.attributes import Attributes
from dicomweb_core.values.queries import MatchKey

UPS_PUSH: Final = "1.2.840.10008.5.1.4.34.6.1"
"""SOP Class of every workitem (PS3.4 CC.3.1)."""

WORKLIST: Final = "1.2.840.10008.5.1.4.34.5"
"""Target of a subscription to all workitems: the UPS Global Subscription SOP Instance (PS3.4 CC.2.3.2)."""

FILTERED_WORKLIST: Final = "1.2.840.10008.5.1.4.34.5.1"
"""Target of a subscription to those that match a filter."""


class WorkitemState(Enum):
    """Procedure Step State (0074,1000) (PS3.4 Table CC.1.1-1)."""

    SCHEDULED = "SCHEDULED"
    IN_PROGRESS = "IN PROGRESS"
    CANCELED = "CANCELED"
    COMPLETED = "COMPLETED"

    @property
    def final(self) -> bool:
        """Whether nothing can be changed any more."""
        return self in (WorkitemState.CANCELED, WorkitemState.COMPLETED)


@dataclass(frozen=True, slots=True)
class Workitem:
    """A workitem as it is stored. The Transaction UID is a field and no attribute: no answer can contain it."""

    uid: str
    state: WorkitemState
    attributes: Attributes
    """The data set, (0074,1000) and the UIDs of class and instance included, (0008,1195) never."""
    transaction_uid: str | None = field(default=None, repr=False)
    """Of the performer who claimed it; kept in final states (PS3.4 CC.1.1)."""
    performer: str | None = None
    """AE title of who claimed it, if it was said."""
    changed: float = 0.0
    """Seconds since 1970 (UTC) of the last change: how long a final one is kept counts from here."""


class EventType(IntEnum):
    """Event Type ID (0000,1002) (PS3.4 Table CC.2.4-1)."""

    STATE_REPORT = 1
    CANCEL_REQUESTED = 2
    PROGRESS_REPORT = 3
    SERVER_STATUS = 4
    ASSIGNED = 5


@dataclass(frozen=True, slots=True)
class EventReport:
    """What happened to a workitem. `attributes` are the event information, without command elements."""

    workitem: str
    type: EventType
    attributes: Attributes


class QueuedReport(NamedTuple):
    """A report on its way to one receiver. `sequence` ascends for each receiver in the order of commits."""

    sequence: int
    report: EventReport
    queued: float
    """Seconds since 1970 (UTC)."""


class Origin(Enum):
    """What made a subscription (PS3.4 CC.2.3.1)."""

    WORKITEM = "workitem"
    WORKLIST = "worklist"
    FILTERED_WORKLIST = "filtered worklist"


class Subscription(NamedTuple):
    """Of one AE to one workitem: it alone decides whether an event is sent (PS3.4 CC.2.3.1)."""

    workitem: str
    receiver: str
    """AE title, without spaces around it."""
    deletion_lock: bool = False
    origin: Origin = Origin.WORKITEM


class Generator(NamedTuple):
    """Makes a subscription for each workitem, or each that matches (PS3.4 CC.2.3.1). One of each kind per AE."""

    receiver: str
    deletion_lock: bool = False
    filter: tuple[MatchKey, ...] | None = None
    """None: of the whole worklist."""
    filter_text: str = ""
    """The query the filter was parsed from: what a store keeps."""
