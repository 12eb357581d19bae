"""The outcome of a store as the Store Instances Response Module and a status (PS3.18 10.5.3, Annex I)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Final, NamedTuple

from dicomweb_core.values.attributes import Attribute, Attributes
from dicomweb_core.values.resources import InstanceRef


class FailureReason(IntEnum):
    """Failure Reason (0008,1197), PS3.18 Table I.2-2 and PS3.7 Annex C."""

    PROCESSING_FAILURE = 0x0110
    DUPLICATE_INSTANCE = 0x0111
    SOP_CLASS_NOT_SUPPORTED = 0x0122
    NOT_AUTHORIZED = 0x0124
    OUT_OF_RESOURCES = 0xA700
    DATA_SET_MISMATCH = 0xA900
    STUDY_MISMATCH = 0xA901
    CANNOT_UNDERSTAND = 0xC000
    TRANSFER_SYNTAX_NOT_SUPPORTED = 0xC122


class WarningReason(IntEnum):
    """Warning Reason (0008,1196), PS3.18 Table I.2-1."""

    COERCION = 0xB000
    ELEMENTS_DISCARDED = 0xB006
    DATA_SET_MISMATCH = 0xB007


class StoredItem(NamedTuple):
    """An instance that is in the store now. `warning` is a Warning Reason, or None.

    `already_stored`: it was there before, and nothing was written.
    """

    ref: InstanceRef
    sop_class_uid: str
    warning: int | None = None
    already_stored: bool = False


class FailedItem(NamedTuple):
    """An instance, or a part of the request, that was not stored. UIDs are empty where they could not be read.

    `source` says which input it was: the 1-based number of the part, or the path of a file.
    """

    reason: int
    detail: str
    sop_class_uid: str = ""
    sop_instance_uid: str = ""
    source: str = ""


@dataclass(slots=True)
class StoreReport:
    """What became of each instance of a store, in no fixed order between the two lists."""

    stored: list[StoredItem] = field(default_factory=list)
    failed: list[FailedItem] = field(default_factory=list)

    @property
    def status(self) -> int:
        """The HTTP status (PS3.18 Table 10.5.3-1)."""
        if self.stored:
            complete = not self.failed and all(item.warning is None for item in self.stored)
            return 200 if complete else 202
        syntax_only = all(item.reason & 0xF000 == 0xC000 for item in self.failed)
        return 400 if syntax_only else 409

    @property
    def study(self) -> str | None:
        """The Study Instance UID of all stored instances, None if there is none or several."""
        studies = {item.ref.study for item in self.stored}
        return studies.pop() if len(studies) == 1 else None


RETRIEVE_URL: Final = "00081190"


def response_module(report: StoreReport, base_url: str) -> Attributes:
    """The Store Instances Response Module (PS3.18 Table I.1-1); URLs begin with `base_url`."""
    module: Attributes = {}
    study_url = [f"{base_url}/studies/{report.study}"] if report.study else None
    module[RETRIEVE_URL] = _value("UR", study_url)
    identified = [item for item in report.failed if item.sop_instance_uid]
    if identified:
        module["00081198"] = _value("SQ", [_failed(item) for item in identified])
    if report.stored:
        module["00081199"] = _value("SQ", [_referenced(item, base_url) for item in report.stored])
    others = [item for item in report.failed if not item.sop_instance_uid]
    if others:
        module["0008119A"] = _value("SQ", [_with_comment({"00081197": _value("US", [o.reason])}, o) for o in others])
    return module


def _value(vr: str, values: Sequence[object] | None) -> Attribute:
    return {"vr": vr, "Value": list(values)} if values else {"vr": vr}


def _referenced(item: StoredItem, base_url: str) -> Attributes:
    attributes: Attributes = {
        "00081150": _value("UI", [item.sop_class_uid]),
        "00081155": _value("UI", [item.ref.instance]),
        RETRIEVE_URL: _value("UR", [f"{base_url}/{item.ref.path}"]),
    }
    if item.warning is not None:
        attributes["00081196"] = _value("US", [item.warning])
    return dict(sorted(attributes.items()))


def _failed(item: FailedItem) -> Attributes:
    attributes: Attributes = {
        "00081150": _value("UI", [item.sop_class_uid] if item.sop_class_uid else None),
        "00081155": _value("UI", [item.sop_instance_uid]),
        "00081197": _value("US", [item.reason]),
    }
    return _with_comment(attributes, item)


def _with_comment(attributes: Attributes, item: FailedItem) -> Attributes:
    """The reason in words, where other servers put it too: Error Comment in Failed Attributes Sequence."""
    if item.detail:
        where = f"Part {item.source}: " if item.source.isdecimal() else ""
        comment: Attributes = {"00000902": _value("LO", [where + item.detail])}
        attributes["00741048"] = _value("SQ", [comment])
    return attributes
