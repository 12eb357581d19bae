"""Data sets to send, built from what they are to say: a new workitem, its progress, what was performed.

A new workitem has every attribute that PS3.4 Table CC.2.5-3 requires, empty where nothing is known. A time without
time zone is one of the place where this runs. Data sets ascend.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, Final, NamedTuple

from dicomweb_worklist.datasets import PROGRESS, STATE, TRANSACTION_UID, Attributes, WorkitemState

_REQUIRED: Final = {
    "00081080": "LO",  # Admitting Diagnoses Description
    "00081084": "SQ",  # Admitting Diagnoses Code Sequence
    TRANSACTION_UID: "UI",
    "00100010": "PN",  # Patient's Name
    "00100021": "LO",  # Issuer of Patient ID
    "00100024": "SQ",  # Issuer of Patient ID Qualifiers Sequence
    "00100030": "DA",  # Patient's Birth Date
    "00100040": "CS",  # Patient's Sex
    "00101002": "SQ",  # Other Patient IDs Sequence
    "00380010": "LO",  # Admission ID
    "00380014": "SQ",  # Issuer of Admission ID Sequence
    "00400400": "LT",  # Comments on the Scheduled Procedure Step
    "00404018": "SQ",  # Scheduled Workitem Code Sequence
    "00404021": "SQ",  # Input Information Sequence
    "00404025": "SQ",  # Scheduled Station Name Code Sequence
    "00404026": "SQ",  # Scheduled Station Class Code Sequence
    "00404027": "SQ",  # Scheduled Station Geographic Location Code Sequence
    "0040A370": "SQ",  # Referenced Request Sequence
    PROGRESS: "SQ",
    "00741202": "LO",  # Worklist Label
    "00741210": "SQ",  # Scheduled Processing Parameters Sequence
    "00741216": "SQ",  # Unified Procedure Step Performed Procedure Sequence
}
"""What has to be there and may be empty."""


class Code(NamedTuple):
    """A coded concept (PS3.3 8)."""

    value: str
    scheme: str
    meaning: str


class Patient(NamedTuple):
    """Who the workitem is about. The name in the form of DICOM, `Doe^Jane`, the birth date as `19800131`."""

    name: str = ""
    id: str = ""
    issuer: str = ""
    birth_date: str = ""
    sex: str = ""


NOBODY: Final = Patient()


class Instances(NamedTuple):
    """Instances of one series, and where they are retrieved (PS3.4 Table CC.2.5-2c): one of the two is needed."""

    study: str
    series: str
    sops: Iterable[tuple[str, str]]
    """SOP Class UID and SOP Instance UID of each."""
    retrieve_url: str = ""
    """By WADO-RS."""
    retrieve_aetitle: str = ""
    """By DIMSE."""


def coded(code: Code) -> Attributes:
    """An item of a sequence of codes."""
    return _dataset({"00080100": ("SH", code.value), "00080102": ("SH", code.scheme), "00080104": ("LO", code.meaning)})


def new_workitem(
    label: str,
    *,
    worklist: str = "",
    priority: str = "MEDIUM",
    start: datetime | None = None,
    readiness: str = "READY",
    workitem_code: Code | None = None,
    station: Code | None = None,
    station_class: Code | None = None,
    location: Code | None = None,
    patient: Patient = NOBODY,
    study: str = "",
    comments: str = "",
    inputs: Iterable[Instances] = (),
    attributes: Mapping[str, Any] | None = None,
) -> Attributes:
    """A data set to create a workitem with (PS3.4 Table CC.2.5-3).

    `label` says what is to be done, `worklist` names the worklist (a server has a default), `priority` is HIGH, MEDIUM
    or LOW, `start` when it is to begin (now), `readiness` of the inputs READY, INCOMPLETE or UNAVAILABLE, `study` the
    Study Instance UID of the inputs. `attributes` are other ones, or take the place of these.
    """
    given = _dataset(
        {
            "00100010": ("PN", {"Alphabetic": patient.name} if patient.name else ""),
            "00100020": ("LO", patient.id),
            "00100021": ("LO", patient.issuer),
            "00100030": ("DA", patient.birth_date),
            "00100040": ("CS", patient.sex),
            "0020000D": ("UI", study),
            "00400400": ("LT", comments),
            "00404005": ("DT", _time(start)),
            "00404018": ("SQ", _codes(workitem_code)),
            "00404021": ("SQ", [_access(one) for one in inputs]),
            "00404025": ("SQ", _codes(station)),
            "00404026": ("SQ", _codes(station_class)),
            "00404027": ("SQ", _codes(location)),
            "00404041": ("CS", readiness),
            STATE: ("CS", WorkitemState.SCHEDULED.value),
            "00741200": ("CS", priority),
            "00741202": ("LO", worklist),
            "00741204": ("LO", label),
        }
    )
    empty = {tag: {"vr": vr} for tag, vr in _REQUIRED.items()}
    # Patient ID is required if it is known (1C), unlike the others.
    return dict(sorted({**empty, **given, **(attributes or {})}.items()))


def progress(percent: float | None = None, description: str = "", *, contact_uri: str = "") -> Attributes:
    """An Update that says how far a claimed workitem is; it takes the place of what was said before."""
    item = _dataset(
        {
            "00741004": ("DS", "" if percent is None else percent),
            "00741006": ("ST", description),
            "00741008": ("SQ", [_dataset({"0074100A": ("UR", contact_uri)})] if contact_uri else []),
        }
    )
    return {PROGRESS: {"vr": "SQ", "Value": [item]}}


def performed_procedure(
    workitem_code: Code,
    station: Code,
    *,
    start: datetime | None = None,
    end: datetime | None = None,
    outputs: Iterable[Instances] = (),
    description: str = "",
    attributes: Mapping[str, Any] | None = None,
) -> Attributes:
    """An Update with what a workitem needs to be completed (PS3.4 CC.2.5.1.1): what was done, where, when (now), and
    what came out of it, if anything. `attributes` are other ones of the performed procedure."""
    item = _dataset(
        {
            "00400254": ("LO", description),
            "00404019": ("SQ", _codes(workitem_code)),
            "00404028": ("SQ", _codes(station)),
            "00404050": ("DT", _time(start)),
            "00404051": ("DT", _time(end)),
        }
    )
    # There also when nothing came out of it.
    item["00404033"] = _element("SQ", [_access(one) for one in outputs])
    return {"00741216": {"vr": "SQ", "Value": [dict(sorted({**item, **(attributes or {})}.items()))]}}


def _access(instances: Instances) -> Attributes:
    sops = [_dataset({"00081150": ("UI", sop_class), "00081155": ("UI", uid)}) for sop_class, uid in instances.sops]
    by_url = [_dataset({"00081190": ("UR", instances.retrieve_url)})] if instances.retrieve_url else []
    by_dimse = [_dataset({"00080054": ("AE", instances.retrieve_aetitle)})] if instances.retrieve_aetitle else []
    if not (by_url or by_dimse):
        raise ValueError("Instances are retrieved somewhere: retrieve_url, or retrieve_aetitle.")
    return _dataset(
        {
            "00081199": ("SQ", sops),
            "0020000D": ("UI", instances.study),
            "0020000E": ("UI", instances.series),
            "0040E020": ("CS", "DICOM"),
            "0040E021": ("SQ", by_dimse),
            "0040E025": ("SQ", by_url),
        }
    )


def _codes(code: Code | None) -> list[Attributes]:
    return [] if code is None else [coded(code)]


def _time(moment: datetime | None) -> str:
    """DT with its offset from UTC (PS3.5 6.2)."""
    moment = (moment or datetime.now()).astimezone()
    return moment.strftime("%Y%m%d%H%M%S%z")[:19]


def _dataset(values: Mapping[str, tuple[str, Any]]) -> Attributes:
    """Of VR and value each; what has none is left out."""
    return {tag: _element(vr, value) for tag, (vr, value) in values.items() if value not in ("", [])}


def _element(vr: str, value: Any) -> dict[str, Any]:
    if vr == "SQ":
        return {"vr": vr, "Value": value} if value else {"vr": vr}
    return {"vr": vr, "Value": [value]}
