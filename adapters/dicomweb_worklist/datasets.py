"""Data sets in the DICOM JSON Model (PS3.18 F) as plain dicts, and what is read from them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from enum import IntEnum, StrEnum
from typing import Any, Final, Protocol
from uuid import uuid4

from dicomweb_worklist.errors import ServerFailed
from dicomweb_worklist.transport import Answer

Attributes = dict[str, Any]
"""8 upper-case hex digits -> `{"vr": ..., "Value": [...]}`."""


class HasJSON(Protocol):
    """A data set of another library, such as pydicom's."""

    def to_json_dict(self) -> dict[str, Any]:
        """The DICOM JSON Model."""


Dataset = Mapping[str, Any] | HasJSON
"""What is taken as a data set."""

SOP_INSTANCE_UID: Final = "00080018"
STATE: Final = "00741000"
PROGRESS: Final = "00741002"
TRANSACTION_UID: Final = "00081195"


class WorkitemState(StrEnum):
    """Procedure Step State (0074,1000) (PS3.4 Table CC.1.1-1)."""

    SCHEDULED = "SCHEDULED"
    IN_PROGRESS = "IN PROGRESS"
    CANCELED = "CANCELED"
    COMPLETED = "COMPLETED"


class EventType(IntEnum):
    """Event Type ID (0000,1002) (PS3.4 Table CC.2.4-1)."""

    STATE_REPORT = 1
    CANCEL_REQUESTED = 2
    PROGRESS_REPORT = 3
    SERVER_STATUS = 4
    ASSIGNED = 5


def new_uid() -> str:
    """A UID that nobody else has (PS3.5 B.2)."""
    return f"2.25.{uuid4().int}"


def attributes_of(dataset: Dataset) -> Attributes:
    """A data set as a dict of ours; its values are not copied."""
    if isinstance(dataset, Mapping):
        return dict(dataset)
    return dataset.to_json_dict()


def first(attributes: Mapping[str, Any], tag: str) -> Any:
    """The first value of an attribute; None when it is absent or empty."""
    element = attributes.get(tag)
    values = element.get("Value") if isinstance(element, Mapping) else None
    return values[0] if isinstance(values, list) and values else None


def text(attributes: Mapping[str, Any], tag: str) -> str:
    """The first value as text, of a person name the alphabetic group; an empty one when there is none."""
    value = first(attributes, tag)
    if isinstance(value, Mapping):
        value = value.get("Alphabetic")
    return "" if value is None else str(value)


def state_of(workitem: Mapping[str, Any]) -> WorkitemState:
    """Raises ValueError when it has none of the four."""
    return WorkitemState(text(workitem, STATE))


def uid_of(workitem: Mapping[str, Any]) -> str:
    """The UID a workitem is addressed with; empty when the data set does not have it."""
    return text(workitem, SOP_INSTANCE_UID)


def received(answer: Answer) -> list[Attributes]:
    """The data sets of a payload: an array (PS3.18 11.1.3), or the bare object that some servers send for one.

    Raises ServerFailed.
    """
    if not answer.body.strip():
        return []
    try:
        found = json.loads(answer.body)
    except (ValueError, RecursionError):
        found = None
    if isinstance(found, dict):
        found = [found]
    if not isinstance(found, list) or not all(isinstance(one, dict) for one in found):
        raise ServerFailed("The answer is not in the DICOM JSON Model.", status=answer.status)
    return found
