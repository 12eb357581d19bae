"""Data sets and workitems for the tests of the worklist rules."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import Any

from dicomweb_core.rules.workitem_changes import Change, WorklistPolicy, created, state_changed, updated
from dicomweb_core.values.attributes import Attributes
from dicomweb_core.values.workitems import Workitem, WorkitemState
from tests.entities import attributes

NOW = datetime(2024, 5, 6, 7, 8, 9, 123, tzinfo=timezone(timedelta(hours=2)))
LATER = NOW + timedelta(minutes=5)
POLICY = WorklistPolicy()
STRICT = WorklistPolicy(strict_types=True, strict_reasons=True)
UID = "2.25.1"
OURS, THEIRS = "2.25.4711", "2.25.4712"
"""Transaction UIDs."""

TYPE_1 = (
    *("ProcedureStepState", "ScheduledProcedureStepPriority", "ProcedureStepLabel"),
    *("ScheduledProcedureStepStartDateTime", "InputReadinessState"),
)
TYPE_2 = (
    *("WorklistLabel", "ScheduledProcessingParametersSequence", "ScheduledStationNameCodeSequence"),
    *("ScheduledStationClassCodeSequence", "ScheduledStationGeographicLocationCodeSequence"),
    *("ScheduledWorkitemCodeSequence", "CommentsOnTheScheduledProcedureStep", "InputInformationSequence"),
    *("PatientName", "IssuerOfPatientID", "IssuerOfPatientIDQualifiersSequence", "OtherPatientIDsSequence"),
    *("PatientBirthDate", "PatientSex", "AdmissionID", "IssuerOfAdmissionIDSequence"),
    *("AdmittingDiagnosesDescription", "AdmittingDiagnosesCodeSequence", "ReferencedRequestSequence"),
)
EMPTY = ("TransactionUID", "ProcedureStepProgressInformationSequence", "UnifiedProcedureStepPerformedProcedureSequence")


def sent(**values: Any) -> Attributes:
    """The smallest data set of a Create that PS3.4 allows, with other values. `...` leaves an attribute out."""
    given: dict[str, Any] = {
        "ProcedureStepState": "SCHEDULED",
        "ScheduledProcedureStepPriority": "MEDIUM",
        "ProcedureStepLabel": "Registration",
        "ScheduledProcedureStepStartDateTime": "20240506080000",
        "InputReadinessState": "READY",
        **dict.fromkeys((*TYPE_2, *EMPTY)),
        "WorklistLabel": "Room 3",
        **values,
    }
    return attributes(**{name: value for name, value in given.items() if value is not ...})


def code(value: str = "CAD01") -> Attributes:
    return attributes(CodeValue=value, CodingSchemeDesignator="99SITE", CodeMeaning=f"meaning of {value}")


def performer(value: str = "P1", organization: str = "Radiology") -> Attributes:
    return attributes(
        HumanPerformerCodeSequence=code(value), HumanPerformerName="Doe^J", HumanPerformerOrganization=organization
    )


def performed(**values: Any) -> Attributes:
    """An item that is enough to complete a workitem. `...` leaves an attribute out."""
    given: dict[str, Any] = {
        "PerformedStationNameCodeSequence": code("STATION"),
        "PerformedProcedureStepStartDateTime": "20240506080000",
        "PerformedProcedureStepEndDateTime": "20240506090000",
        "PerformedWorkitemCodeSequence": code("WORK"),
        "OutputInformationSequence": None,
        **values,
    }
    return attributes(**{name: value for name, value in given.items() if value is not ...})


def of(change: Change) -> Workitem:
    """What a change stores, which it must."""
    assert change.workitem is not None
    return change.workitem


def workitem(state: WorkitemState = WorkitemState.SCHEDULED, **values: Any) -> Workitem:
    """One that came to its state as workitems do. Not SCHEDULED, its Transaction UID is `OURS`."""
    found = of(created(None, UID, sent(**values), NOW, POLICY))
    if state is WorkitemState.SCHEDULED:
        return found
    found = of(claim(found))
    if state is WorkitemState.IN_PROGRESS:
        return found
    done = attributes(UnifiedProcedureStepPerformedProcedureSequence=performed())
    found = of(updated(found, done, OURS, NOW, POLICY))
    return of(change_to(state, found))


def claim(stored: Workitem | None, transaction_uid: str | None = OURS) -> Change:
    return change_to(WorkitemState.IN_PROGRESS, stored, transaction_uid)


def change_to(
    state: WorkitemState,
    stored: Workitem | None,
    transaction_uid: str | None = OURS,
    policy: WorklistPolicy = POLICY,
) -> Change:
    request = attributes(ProcedureStepState=state.value, TransactionUID=transaction_uid)
    return state_changed(stored, request, LATER, policy)


def update(stored: Workitem | None, transaction_uid: str | None = None, /, **values: Any) -> Change:
    return updated(stored, attributes(**values), transaction_uid, LATER, POLICY)
