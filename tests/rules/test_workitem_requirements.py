"""PS3.4 Table CC.2.5-3 as it is read, and the checks that walk it."""

from __future__ import annotations

from typing import Any

import pytest

from dicomweb_core.codecs.dictionary import keyword_of, tag_of, vr_of
from dicomweb_core.rules.workitem_checks import (
    MOST_VIOLATIONS,
    Violation,
    check_create,
    check_update,
    completed,
    dotted,
    missing_for,
)
from dicomweb_core.rules.workitem_codes import Code
from dicomweb_core.rules.workitem_requirements import (
    Members,
    Path,
    Requirement,
    Use,
    matchable,
    requirement,
    requirements,
    returned,
    single_value_only,
)
from dicomweb_core.values.attributes import Attributes
from dicomweb_core.values.queries import AttributePath, MatchKey, SingleValue
from dicomweb_core.values.workitems import WorkitemState
from tests.entities import attributes
from tests.rules.made_workitems import EMPTY, TYPE_1, TYPE_2, code, performed, performer, sent, workitem


def path(name: str) -> Path:
    return tuple(tag_of(keyword) or keyword for keyword in name.split("."))


def found(violations: list[Violation]) -> list[tuple[str, int]]:
    return [(dotted(violation.path), violation.code) for violation in violations]


def rows(members: Members, around: Path = ()) -> list[tuple[Path, Requirement]]:
    listed = []
    for tag, row in members.items():
        listed.append(((*around, tag), row))
        listed += rows(row.members, (*around, tag))
    return listed


def placed(tags: Path, value: Any) -> Attributes:
    """A data set with a value where a path leads."""
    made: Attributes = {tags[-1]: value}
    for tag in reversed(tags[:-1]):
        made = {tag: {"vr": "SQ", "Value": [made]}}
    return made


# -- the table ----------------------------------------------------------------------------------------------------


def test_every_row_agrees_with_the_dictionary() -> None:
    wrong = {
        tags: row.keyword
        for tags, row in rows(requirements())
        if (vr_of(row.tag), keyword_of(row.tag)) != (row.vr, row.keyword) or tags[-1] != row.tag
    }
    assert wrong == {}


def test_the_table_has_what_the_standard_has() -> None:
    table = rows(requirements())
    assert {dotted((row.tag,)) for tags, row in table if len(tags) == 1 and row.create.client == "1"} == set(TYPE_1)
    assert {dotted((row.tag,)) for tags, row in table if len(tags) == 1 and row.create.client == "2"} == set(TYPE_2)
    assert {dotted(tags) for tags, row in table if row.create.use is Use.EMPTY} == set(EMPTY)
    assert sum(len(tags) == 1 for tags, _ in table) == 46
    assert {row.update.use for tags, row in table if row.tag == "00081195"} == {Use.LOCK}
    assert dotted(path("ReferencedRequestSequence.AccessionNumber")) == "ReferencedRequestSequence.AccessionNumber"
    assert requirement(path("PatientComments")) is None


def test_macros_are_in_the_items_of_the_sequences_that_include_them() -> None:
    deep = requirement(path("ScheduledProcessingParametersSequence.MeasurementUnitsCodeSequence.CodeMeaning"))
    assert deep is not None
    assert deep.create.client == "1"


# -- create -------------------------------------------------------------------------------------------------------


def test_the_smallest_data_set_is_enough() -> None:
    assert check_create(sent()) == []


@pytest.mark.parametrize("keyword", TYPE_1)
def test_type_1_must_have_a_value_U007_U006(keyword: str) -> None:
    assert found(check_create(sent(**{keyword: ...}))) == [(keyword, Code.MISSING_ATTRIBUTE)]
    assert found(check_create(sent(**{keyword: None}))) == [(keyword, Code.MISSING_VALUE)]


@pytest.mark.parametrize("keyword", [*TYPE_2, *EMPTY])
def test_type_2_must_be_there_U008(keyword: str) -> None:
    assert check_create(sent(**{keyword: None})) == []
    assert found(check_create(sent(**{keyword: ...}))) == [(keyword, Code.MISSING_ATTRIBUTE)]


def test_what_may_be_empty_is_added_in_every_item_U008() -> None:
    items = [attributes(StudyInstanceUID="1.2"), attributes(StudyInstanceUID="1.3", AccessionNumber="A")]
    given = sent(ReferencedRequestSequence=items, PatientName=..., TransactionUID=...)
    made, added = completed(given)
    assert check_create(made) == []
    assert path("PatientName") in added
    assert path("ReferencedRequestSequence.RequestedProcedureID") in added
    assert path("TransactionUID") not in added
    requests = made["0040A370"]["Value"]
    assert requests[0]["00080050"] == {"vr": "SH"}
    assert requests[1]["00080050"] == {"vr": "SH", "Value": ["A"]}
    assert list(requests[0]) == sorted(requests[0])
    assert items == [attributes(StudyInstanceUID="1.2"), attributes(StudyInstanceUID="1.3", AccessionNumber="A")]
    assert completed(made) == (made, ())


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        pytest.param({"ProcedureStepState": "IN PROGRESS"}, ("ProcedureStepState", 0xC309), id="U006 state"),
        pytest.param({"ProcedureStepState": "scheduled"}, ("ProcedureStepState", 0xC309), id="U006 spelling"),
        pytest.param({"TransactionUID": "2.25.1"}, ("TransactionUID", 0x0106), id="U009"),
        pytest.param(
            {EMPTY[1]: attributes(ProcedureStepProgress="1")}, (EMPTY[1], 0x0106), id="U010 progress information"
        ),
        pytest.param({EMPTY[2]: performed()}, (EMPTY[2], 0x0106), id="U010 performed procedure"),
        pytest.param({EMPTY[2]: {}}, (EMPTY[2], 0x0106), id="U010 an item without attributes is an item"),
        pytest.param(
            {"ScheduledProcedureStepPriority": "STAT"}, ("ScheduledProcedureStepPriority", 0x0106), id="U020 priority"
        ),
        pytest.param({"InputReadinessState": "ready"}, ("InputReadinessState", 0x0106), id="U020 readiness"),
        pytest.param(
            {"InputReadinessState": ["READY", "READY"]}, ("InputReadinessState", 0x0106), id="U020 several values"
        ),
        pytest.param(
            {"ScheduledProcedureStepStartDateTime": "tomorrow"},
            ("ScheduledProcedureStepStartDateTime", 0x0106),
            id="no DT",
        ),
        pytest.param({"PatientBirthDate": "20241301"}, ("PatientBirthDate", 0x0106), id="no DA"),
        pytest.param({"StudyInstanceUID": "1.2.x"}, ("StudyInstanceUID", 0x0106), id="no UI"),
        pytest.param({"x00100010": ("LO", "Doe")}, ("PatientName", 0x0106), id="another VR"),
        pytest.param({"x00404025": ("LO", "CAD")}, ("ScheduledStationNameCodeSequence", 0x0106), id="no sequence"),
        pytest.param({"SOPClassUID": "1.2.840.10008.5.1.4.34.6.4"}, ("SOPClassUID", 0x0105), id="U012 another class"),
        pytest.param(
            {"ScheduledStationNameCodeSequence": attributes(CodeValue="A", CodingSchemeDesignator="B")},
            ("ScheduledStationNameCodeSequence.CodeMeaning", 0x0120),
            id="type 1 of a macro",
        ),
        pytest.param(
            {"ScheduledStationNameCodeSequence": attributes(CodeMeaning="A")},
            ("ScheduledStationNameCodeSequence.CodeValue", 0x0120),
            id="type 1C: no code at all",
        ),
        pytest.param(
            {"ScheduledStationNameCodeSequence": attributes(LongCodeValue="A", CodeMeaning="A")},
            ("ScheduledStationNameCodeSequence.CodingSchemeDesignator", 0x0120),
            id="type 1C: a code without scheme",
        ),
        pytest.param(
            {
                "ScheduledProcessingParametersSequence": attributes(
                    ValueType="TEXT", ConceptNameCodeSequence=code(), NumericValue="3"
                )
            },
            ("ScheduledProcessingParametersSequence.TextValue", 0x0120),
            id="type 1C: by value type",
        ),
        pytest.param(
            {"ScheduledHumanPerformersSequence": attributes(HumanPerformerCodeSequence=code(), HumanPerformerName="D")},
            ("ScheduledHumanPerformersSequence.HumanPerformerOrganization", 0x0120),
            id="type 1 of an item",
        ),
        pytest.param(
            {"x00404021": ("SQ", {"00420011": {"vr": "OB", "BulkDataURI": "https://elsewhere"}})},
            ("InputInformationSequence.EncapsulatedDocument", 0x0106),
            id="U019 in an item",
        ),
        pytest.param(
            {"x00091001": ("SQ", {"00081195": {"vr": "UI", "Value": ["2.25.1"]}})},
            ("00091001.TransactionUID", 0x0105),
            id="U023 Transaction UID hidden in an item",
        ),
    ],
)
def test_a_create_is_refused(values: dict[str, Any], expected: tuple[str, int]) -> None:
    assert expected in found(check_create(sent(**values)))


@pytest.mark.parametrize(
    "values",
    [
        {"SOPClassUID": "1.2.840.10008.5.1.4.34.6.1", "SOPInstanceUID": "2.25.1"},
        {"ScheduledProcedureStepModificationDateTime": "nonsense"},
        {"ScheduledStationNameCodeSequence": attributes(URNCodeValue="urn:a", CodeMeaning="A")},
        {"ScheduledHumanPerformersSequence": [performer("A"), performer("B")]},
        {"AdmittingDiagnosesDescription": ["a", "b"]},
        {"PatientComments": "of no row", "x00090010": ("LO", "ACME"), "x00091001": ("UN", None)},
        {"GenderIdentitySequence": attributes(GenderIdentityCodeSequence=code(), EffectiveStartDateTime="2020")},
        {
            "InputInformationSequence": attributes(
                TypeOfInstances="DICOM",
                ReferencedSOPSequence=attributes(ReferencedSOPClassUID="1.2", ReferencedSOPInstanceUID="1.3"),
                WADORSRetrievalSequence=attributes(RetrieveURL="https://here"),
            )
        },
    ],
)
def test_a_create_is_taken(values: dict[str, Any]) -> None:
    assert check_create(sent(**values)) == []


def test_no_violation_quotes_a_value() -> None:
    secret = "Garibaldi"
    given = sent(ProcedureStepState=secret, ScheduledProcedureStepPriority=secret, PatientBirthDate=secret)
    given |= attributes(StudyInstanceUID=secret, TransactionUID=secret, SOPClassUID=secret)
    violations = check_create(given)
    assert len(violations) == 6
    assert secret not in repr(violations)


def test_violations_are_not_collected_without_end() -> None:
    items = [attributes(CodeValue="A")] * (MOST_VIOLATIONS * 10)
    assert len(check_create(sent(ScheduledStationNameCodeSequence=items))) == MOST_VIOLATIONS


# -- update -------------------------------------------------------------------------------------------------------

STORED = workitem(
    PatientName="Doe^J",
    CommentsOnTheScheduledProcedureStep="none",
    ScheduledWorkitemCodeSequence=code("WORK"),
    OtherPatientIDsSequence=[attributes(PatientID="1", IssuerOfPatientID="A")],
    ReferencedRequestSequence=attributes(StudyInstanceUID="1.2", AccessionNumber="A1"),
).attributes

FORBIDDEN = [tags for tags, row in rows(requirements()) if row.update.use is Use.FORBIDDEN]


def new_value(row: Requirement) -> dict[str, Any]:
    values = {"DA": "20200101", "DT": "2020", "TM": "10", "UI": "1.2.3", "PN": {"Alphabetic": "New"}, "SQ": {}}
    return {"vr": row.vr, "Value": [values.get(row.vr, "NEW")]}


def test_the_forbidden_are_many() -> None:
    assert len([tags for tags in FORBIDDEN if len(tags) == 1]) == 19
    assert path("OtherPatientIDsSequence.IssuerOfPatientID") in FORBIDDEN


def test_an_update_with_a_forbidden_attribute_is_refused_U035() -> None:
    for tags in FORBIDDEN:
        row = requirement(tags)
        assert row is not None
        violations = found(check_update(placed(tags, new_value(row)), STORED))
        outermost = next(tags[:depth] for depth in range(1, len(tags) + 1) if tags[:depth] in FORBIDDEN)
        assert (dotted(outermost), Code.NOT_ALLOWED) in violations, dotted(tags)


def test_a_forbidden_attribute_may_say_what_is_stored_U035() -> None:
    for tags in FORBIDDEN:
        row = requirement(tags)
        assert row is not None
        stored = placed(tags, new_value(row))
        refused = [violation for violation in check_update(stored, stored) if violation.code is Code.NOT_ALLOWED]
        assert bool(refused) == (dotted(tags) == "ProcedureStepState"), dotted(tags)


@pytest.mark.parametrize("stored", [STORED, workitem().attributes], ids=["full", "mostly empty"])
def test_what_was_read_can_be_sent_back_but_for_the_state_U034(stored: Attributes) -> None:
    assert found(check_update(stored, stored)) == [("ProcedureStepState", Code.NOT_ALLOWED)]


@pytest.mark.parametrize(
    ("keyword", "allowed"),
    [
        ("ProcedureStepLabel", False),
        ("WorklistLabel", False),
        ("ScheduledProcedureStepPriority", False),
        ("InputReadinessState", False),
        ("ScheduledWorkitemCodeSequence", False),
        ("CommentsOnTheScheduledProcedureStep", False),
        ("ScheduledStationNameCodeSequence", True),
        ("ScheduledHumanPerformersSequence", True),
        ("StudyInstanceUID", True),
        ("OutputDestinationSequence", True),
        ("MedicalAlerts", True),
        ("PatientComments", True),
    ],
)
def test_what_may_be_made_empty_U038(keyword: str, allowed: bool) -> None:
    violations = found(check_update(attributes(**{keyword: None}), STORED))
    assert violations == ([] if allowed else [(keyword, Code.MISSING_VALUE)])


def test_members_of_an_item_may_be_empty_U038() -> None:
    item = attributes(ProcedureStepProgress="5", ProcedureStepProgressDescription=None, ReasonForCancellation=None)
    before = attributes(ProcedureStepProgressDescription="begun", ReasonForCancellation="none")
    stored = STORED | attributes(ProcedureStepProgressInformationSequence=before)
    assert check_update(attributes(ProcedureStepProgressInformationSequence=item), stored) == []
    uri = attributes(ContactURI=None)
    given = attributes(ProcedureStepProgressInformationSequence=attributes(ProcedureStepCommunicationsURISequence=uri))
    assert [name.split(".")[-1] for name, _ in found(check_update(given, STORED))] == ["ContactURI"]


def test_items_may_lack_what_may_be_empty_unless_the_site_is_strict_U052() -> None:
    given = attributes(UnifiedProcedureStepPerformedProcedureSequence=performed(OutputInformationSequence=...))
    assert check_update(given, STORED) == []
    name = "UnifiedProcedureStepPerformedProcedureSequence.OutputInformationSequence"
    assert found(check_update(given, STORED, strict=True)) == [(name, Code.MISSING_ATTRIBUTE)]


def test_at_most_one_item_of_progress_and_of_performed_procedure() -> None:
    given = attributes(
        ProcedureStepProgressInformationSequence=[attributes(ProcedureStepProgress="1")] * 2,
        UnifiedProcedureStepPerformedProcedureSequence=[performed()] * 2,
    )
    assert found(check_update(given, STORED)) == [(EMPTY[1], Code.INVALID_VALUE), (EMPTY[2], Code.INVALID_VALUE)]


# -- final states -------------------------------------------------------------------------------------------------

PERFORMED = "UnifiedProcedureStepPerformedProcedureSequence"
PROGRESS = "ProcedureStepProgressInformationSequence"
NEEDED = (
    *("PerformedStationNameCodeSequence", "PerformedProcedureStepStartDateTime"),
    *("PerformedProcedureStepEndDateTime", "PerformedWorkitemCodeSequence", "OutputInformationSequence"),
)


def final(performed_item: Any = None, progress_item: Any = None, **values: Any) -> Attributes:
    return STORED | attributes(**{PERFORMED: performed_item, PROGRESS: progress_item, **values})


def missing(state: WorkitemState, of: Attributes) -> set[str]:
    return set(map(dotted, missing_for(state, of)))


def test_a_completed_workitem_was_performed_U051() -> None:
    assert missing(WorkitemState.COMPLETED, final()) == {PERFORMED}
    assert missing(WorkitemState.COMPLETED, final({})) == {f"{PERFORMED}.{keyword}" for keyword in NEEDED}
    assert missing(WorkitemState.COMPLETED, final(performed())) == set()


@pytest.mark.parametrize("keyword", NEEDED)
def test_each_is_needed_in_every_item_U052_U053(keyword: str) -> None:
    expected = {f"{PERFORMED}.{keyword}"}
    assert missing(WorkitemState.COMPLETED, final([performed(), performed(**{keyword: ...})])) == expected
    if keyword == "OutputInformationSequence":
        expected = set()  # U053: nothing was produced
    assert missing(WorkitemState.COMPLETED, final(performed(**{keyword: None}))) == expected


def test_a_canceled_workitem_says_when_and_why_and_not_what_was_performed_U057() -> None:
    when, why = "ProcedureStepCancellationDateTime", "ProcedureStepDiscontinuationReasonCodeSequence"
    assert missing(WorkitemState.CANCELED, final()) == {PROGRESS}
    assert missing(WorkitemState.CANCELED, final(None, {})) == {f"{PROGRESS}.{when}", f"{PROGRESS}.{why}"}
    assert missing(WorkitemState.CANCELED, final(None, attributes(**{when: "2024", why: code()}))) == set()


@pytest.mark.parametrize("state", [WorkitemState.COMPLETED, WorkitemState.CANCELED])
@pytest.mark.parametrize("keyword", ["ScheduledProcedureStepPriority", "SOPInstanceUID", "InputReadinessState"])
def test_both_need_what_they_had_from_the_beginning(state: WorkitemState, keyword: str) -> None:
    progress = attributes(
        ProcedureStepCancellationDateTime="2024", ProcedureStepDiscontinuationReasonCodeSequence=code()
    )
    assert missing(state, final(performed(), progress, **{keyword: None})) == {keyword}


# -- search -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        *((name, True) for name in ("SOPInstanceUID", "ProcedureStepState", "WorklistLabel", "PatientName")),
        *((name, True) for name in ("ScheduledStationNameCodeSequence.CodeValue", "ReplacedProcedureStepSequence")),
        *((name, True) for name in ("IssuerOfAdmissionIDSequence.LocalNamespaceEntityID", "MedicalAlerts")),
        *((name, True) for name in ("ReferencedRequestSequence.AccessionNumber", "GenderIdentitySequence")),
        *((name, True) for name in ("ScheduledHumanPerformersSequence.HumanPerformerCodeSequence.CodeValue",)),
        *((name, False) for name in ("TransactionUID", "ScheduledStationNameCodeSequence.CodeMeaning")),
        *((name, False) for name in ("ScheduledProcessingParametersSequence.ValueType", "StudyDate")),
        *((name, False) for name in ("SpecificCharacterSet", "TimezoneOffsetFromUTC")),
        *((name, False) for name in ("ProcedureStepProgressInformationSequence", "PatientComments")),
        *((name, False) for name in ("ScheduledStationNameCodeSequence.TransactionUID",)),
    ],
)  # fmt: skip
def test_match_keys_U105_U107(name: str, expected: bool) -> None:
    assert matchable(path(name)) is expected


def test_keys_without_wildcards() -> None:
    keywords = ("ProcedureStepState", "InputReadinessState", "ScheduledProcedureStepPriority", "ProcedureStepLabel")
    assert [single_value_only(path(keyword)) for keyword in keywords] == [True, True, True, False]


def test_a_result_has_types_1_and_2_even_if_empty_U106() -> None:
    result = returned({})
    expected = {row.tag for tags, row in rows(requirements()) if len(tags) == 1 and row.returned in ("1", "2")}
    assert result.keys() == expected
    assert {tag_of(keyword) for keyword in ("SOPClassUID", "SOPInstanceUID", "PatientName", PROGRESS)} <= expected
    assert all(attribute == {"vr": vr_of(tag)} for tag, attribute in result.items())
    assert list(result) == sorted(result)


def test_a_result_has_what_is_known_matched_and_asked_for_U106_U107() -> None:
    stored = STORED | attributes(
        MedicalAlerts="Latex",
        PatientComments="C",
        CommentsOnTheScheduledProcedureStep="D",
        ExpectedCompletionDateTime="2025",
        x00090010=("LO", "ACME"),
        x00091001=("LO", "private"),
    )
    plain = returned(stored)
    assert {dotted((tag,)) for tag in stored.keys() - plain.keys()} >= {"PatientComments", "ExpectedCompletionDateTime"}
    assert plain["00102000"]["Value"] == ["Latex"]
    assert "00380050" not in plain
    key = MatchKey(tag_of("ExpectedCompletionDateTime") or "", "DT", SingleValue("2025"))
    include = (
        AttributePath(path("PatientComments")),
        AttributePath(("00090001",), "ACME"),
        AttributePath(("00081195",)),
    )
    asked = returned(stored, (key,), include)
    assert asked.keys() - plain.keys() == {key.tag, tag_of("PatientComments"), "00090010", "00091001"}
    everything = returned(stored, everything=True)
    assert everything.keys() == stored.keys() | plain.keys()
    assert returned(stored | attributes(TransactionUID="2.25.1"), everything=True) == everything
