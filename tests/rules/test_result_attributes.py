"""What a search returns (PS3.18 10.6.3.3, Tables 10.6.3-3, 10.6.3-4, 10.6.3-5)."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from dicomweb_core.codecs.dictionary import tag_of, vr_of
from dicomweb_core.rules.result_attributes import result, result_attributes
from dicomweb_core.values.attributes import Attributes
from dicomweb_core.values.queries import Level
from dicomweb_core.values.resources import SeriesRef, StudyRef
from tests.entities import answer, attributes, candidate, parse

STUDY, SERIES, INSTANCE = Level
OF_STUDY, OF_SERIES = StudyRef("1.2.3"), SeriesRef("1.2.3", "1.2.3.4")


def tags(keywords: str) -> set[str]:
    return {tag_of(keyword) or keyword for keyword in keywords.split()}


R_STUDY = tags(
    """StudyDate StudyTime AccessionNumber ModalitiesInStudy ReferringPhysicianName RetrieveURL PatientName PatientID
    PatientBirthDate PatientSex StudyInstanceUID StudyID NumberOfStudyRelatedSeries NumberOfStudyRelatedInstances
    InstanceAvailability"""
)
R_SERIES = tags("Modality RetrieveURL SeriesInstanceUID SeriesNumber NumberOfSeriesRelatedInstances")
R_INSTANCE = tags(
    "SOPClassUID SOPInstanceUID InstanceAvailability RetrieveURL InstanceNumber AvailableTransferSyntaxUID"
)
UID_STUDY, UID_SERIES = {"0020000D"}, {"0020000E"}

RESOURCES = [
    pytest.param(STUDY, None, R_STUDY, id="SEA-32 /studies"),
    pytest.param(SERIES, OF_STUDY, R_SERIES | UID_STUDY, id="SEA-32 /studies/{study}/series"),
    pytest.param(SERIES, None, R_SERIES | R_STUDY, id="SEA-37 /series"),
    pytest.param(INSTANCE, OF_SERIES, R_INSTANCE | UID_STUDY | UID_SERIES, id="SEA-32 /studies/{}/series/{}/instances"),
    pytest.param(INSTANCE, OF_STUDY, R_INSTANCE | R_SERIES | UID_STUDY, id="SEA-37 /studies/{study}/instances"),
    pytest.param(INSTANCE, None, R_INSTANCE | R_SERIES | R_STUDY, id="SEA-37 /instances"),
]


@pytest.mark.parametrize(("level", "within", "expected"), RESOURCES)
def test_required_attributes_are_there_even_if_unknown(level: Level, within: Any, expected: set[str]) -> None:
    found = answer("", level, within, modalities=())
    assert set(found) == expected
    known = tags(
        """StudyInstanceUID SeriesInstanceUID SOPInstanceUID RetrieveURL InstanceAvailability NumberOfStudyRelatedSeries
        NumberOfStudyRelatedInstances NumberOfSeriesRelatedInstances AvailableTransferSyntaxUID"""
    )
    for tag, attribute in found.items():
        assert attribute["vr"] == vr_of(tag)
        assert set(attribute) == ({"vr", "Value"} if tag in known else {"vr"}), tag


FULL: dict[str, Any] = {
    "SpecificCharacterSet": "ISO_IR 192", "ImageType": ["ORIGINAL", "PRIMARY"], "SOPClassUID": "1.2",
    "StudyDate": "20200101", "StudyTime": "1015", "AccessionNumber": "A", "Modality": "CT", "Manufacturer": "M",
    "ReferringPhysicianName": "Roe^R", "TimezoneOffsetFromUTC": "+0100", "StudyDescription": "Head",
    "SeriesDescription": "Axial", "PatientName": "Doe^John", "PatientID": "P", "PatientBirthDate": "19700101",
    "PatientSex": "O", "PatientSize": 1.8, "KVP": 120, "StudyID": "S", "SeriesNumber": 2, "InstanceNumber": 7,
    "NumberOfFrames": 1, "Rows": 512, "Columns": 256, "BitsAllocated": 16,
    "PerformedProcedureStepStartDate": "20200101", "PerformedProcedureStepStartTime": "1010",
    "x00090010": ("LO", "OTHER"), "x00090011": ("LO", "ACME"), "x00091101": ("LO", "secret"),
}  # fmt: skip


@pytest.mark.parametrize(
    ("level", "within", "known"),
    [
        pytest.param(STUDY, None, "TimezoneOffsetFromUTC", id="study"),
        pytest.param(
            SERIES,
            OF_STUDY,
            """TimezoneOffsetFromUTC SeriesDescription PerformedProcedureStepStartDate
            PerformedProcedureStepStartTime""",
            id="series",
        ),
        pytest.param(
            INSTANCE, OF_SERIES, "TimezoneOffsetFromUTC Rows Columns BitsAllocated NumberOfFrames", id="SEA-36 instance"
        ),
    ],
)
def test_conditional_attributes_are_there_when_known(level: Level, within: Any, known: str) -> None:
    assert set(answer("", level, within, **FULL)) - set(answer("", level, within)) == tags(known)


def test_values_are_those_of_the_entity() -> None:
    found = answer("", INSTANCE, None, **FULL)
    assert found["00100010"] == {"vr": "PN", "Value": [{"Alphabetic": "Doe^John"}]}
    assert found["00200011"] == {"vr": "IS", "Value": [2]}
    assert found["00280010"] == {"vr": "US", "Value": [512]}
    assert found["00081190"] == {"vr": "UR", "Value": ["http://host/dicomweb/it"]}
    assert found["00201206"]["Value"] == [2]
    assert found["00201208"]["Value"] == [5]
    assert found["00201209"]["Value"] == [3]
    assert found["00083002"] == {"vr": "UI", "Value": ["1.2.840.10008.1.2.1"]}


def test_modalities_of_a_study_SEA_34() -> None:
    assert answer("", modalities=("CT", "PT"))["00080061"] == {"vr": "CS", "Value": ["CT", "PT"]}


def test_match_keys_are_returned_SEA_30() -> None:
    query = "PatientSize=&StudyDescription=*&PatientComments=&OtherPatientIDsSequence.PatientID="
    found = answer(query, **FULL)
    assert found["00101020"] == {"vr": "DS", "Value": [1.8]}
    assert found["00081030"] == {"vr": "LO", "Value": ["Head"]}
    assert found["00104000"] == {"vr": "LT"}
    assert found["00101002"] == {"vr": "SQ"}
    assert answer("StudyDate=20200101-&StudyTime=10-", SERIES, OF_STUDY, **FULL)["00080030"]["Value"] == ["1015"]


def test_all_values_are_returned_when_one_matches_SEA_21() -> None:
    assert answer("MedicalAlerts=a", MedicalAlerts=["a", "b"])["00102000"]["Value"] == ["a", "b"]


@pytest.mark.parametrize(
    ("level", "expected"),
    [(STUDY, {"00081030"}), (SERIES, {"00081030", "00080070"}), (INSTANCE, {"00081030", "00080070", "00180060"})],
)
def test_includefield_by_level_SEA_29(level: Level, expected: set[str]) -> None:
    names = "StudyDescription,Manufacturer,KVP"
    before = set(answer("", level, **FULL))
    assert set(answer(f"includefield={names}", level, **FULL)) - before == expected


def test_includefield_of_what_is_not_there_is_left_out() -> None:
    assert answer("includefield=PatientComments") == answer("")


@pytest.mark.parametrize(
    ("level", "within", "there", "missing"),
    [
        (STUDY, None, "PatientSize StudyDescription", "Manufacturer KVP 00091101"),
        (SERIES, OF_STUDY, "Manufacturer", "PatientSize KVP PatientName"),
        (SERIES, None, "Manufacturer PatientSize", "KVP"),
        (INSTANCE, OF_SERIES, "KVP ImageType 00091101 00090011", "PatientName Manufacturer"),
    ],
)
def test_includefield_all_SEA_28(level: Level, within: Any, there: str, missing: str) -> None:
    found = answer("includefield=all", level, within, **FULL)
    assert tags(there) <= set(found)
    assert not tags(missing) & set(found)
    assert set(answer("", level, within, **FULL)) <= set(found)


def test_a_private_includefield_returns_element_and_creator_SEA_31() -> None:
    found = answer("00090010=ACME&includefield=00091001", INSTANCE, OF_SERIES, **FULL)
    assert found["00091101"] == {"vr": "LO", "Value": ["secret"]}
    assert found["00090011"] == {"vr": "LO", "Value": ["ACME"]}
    assert "00091001" not in found


def test_a_private_match_key_returns_element_and_creator_SEA_30() -> None:
    found = answer("00090010=ACME&00091001=secret", INSTANCE, OF_SERIES, **FULL)
    assert {"00090011", "00091101"} <= set(found)


ITEMS = [
    attributes(ScheduledProcedureStepID="S1", RequestedProcedureID="R1", ScheduledProcedureStepDescription="one"),
    attributes(ScheduledProcedureStepID="S2", ScheduledProcedureStepDescription="two"),
]


def items(query: str) -> list[Attributes]:
    found: list[Attributes] = answer(query, SERIES, OF_STUDY, RequestAttributesSequence=ITEMS)["00400275"]["Value"]
    return found


def test_request_attributes_have_their_two_required_members() -> None:
    assert items("") == [
        attributes(ScheduledProcedureStepID="S1", RequestedProcedureID="R1"),
        attributes(ScheduledProcedureStepID="S2", RequestedProcedureID=None),
    ]


def test_of_a_matched_sequence_the_matching_items_are_returned() -> None:
    query = "RequestAttributesSequence.ScheduledProcedureStepID=S2"
    assert items(query) == [attributes(ScheduledProcedureStepID="S2", RequestedProcedureID=None)]


def test_members_asked_for_are_returned_SEA_27() -> None:
    query = (
        "RequestAttributesSequence.ScheduledProcedureStepID=S2&includefield=00400275.ScheduledProcedureStepDescription"
    )
    assert [set(item) for item in items(query)] == [{"00400007", "00400009", "00401001"}]
    assert items(query)[0]["00400007"]["Value"] == ["two"]


@pytest.mark.parametrize("query", ["includefield=RequestAttributesSequence", "includefield=all"])
def test_a_sequence_asked_for_by_name_is_whole(query: str) -> None:
    assert items(query) == ITEMS


def test_deep_paths_select_members_of_members_SEA_27() -> None:
    inner = attributes(CodeValue="C", CodeMeaning="meaning")
    steps = [attributes(RequestedProcedureCodeSequence=[inner], RequestedProcedureID="R")]
    found = answer(
        "includefield=RequestAttributesSequence.RequestedProcedureCodeSequence.CodeValue",
        SERIES,
        OF_STUDY,
        RequestAttributesSequence=steps,
    )
    assert found["00400275"]["Value"][0]["00321064"]["Value"] == [attributes(CodeValue="C")]


def test_items_of_another_sequence_are_selected_too() -> None:
    ids = [attributes(PatientID="A", TypeOfPatientID="TEXT"), attributes(PatientID="B", TypeOfPatientID="RFID")]
    found = answer("OtherPatientIDsSequence.PatientID=B", OtherPatientIDsSequence=ids)
    assert found["00101002"]["Value"] == [attributes(PatientID="B")]


def test_items_match_in_the_time_zone_of_the_entity_SEA_22() -> None:
    step = attributes(ScheduledProcedureStepStartDateTime="20200101233000")
    query = "ReferencedImageSequence.ScheduledProcedureStepStartDateTime=20200102073000&TimezoneOffsetFromUTC=%2B0900"
    found = answer(query, INSTANCE, OF_SERIES, ReferencedImageSequence=[step], TimezoneOffsetFromUTC="+0100")
    assert len(found["00081140"]["Value"]) == 1


@pytest.mark.parametrize("query", ["", "includefield=PatientSize", "includefield=00080005", "includefield=all"])
def test_tags_ascend(query: str) -> None:
    for level in Level:
        for name in ("Doe", "Dœ"):
            found = list(answer(query, level, **{**FULL, "PatientName": name}))
            assert found == sorted(found)


def test_the_character_set_is_there_when_it_matters() -> None:
    utf8 = {"vr": "CS", "Value": ["ISO_IR 192"]}
    assert answer("", PatientName="山田")["00080005"] == utf8
    assert answer("includefield=SpecificCharacterSet")["00080005"] == utf8
    assert answer("SpecificCharacterSet=")["00080005"] == utf8
    assert "00080005" not in answer("", **FULL)
    # below (0008,0005)
    low = answer("includefield=00080001", INSTANCE, OF_SERIES, x00080001=("UL", 3), SOPClassUID="é")
    assert list(low)[:2] == ["00080001", "00080005"]


def test_there_is_no_bulk_data_in_results() -> None:
    bulk = {"vr": "OB", "BulkDataURI": "\x01/bulk"}
    inline = {"vr": "OB", "InlineBinary": "AAAA"}
    found = candidate(INSTANCE)
    assert found.instance is not None
    metadata = orjson.dumps(
        {"00282000": inline, "00420011": bulk, "00081140": {"vr": "SQ", "Value": [{"00420011": bulk}]}}
    )
    found = found._replace(instance=found.instance._replace(metadata=metadata.replace(b"\\u0001", b"\x01")))
    text = result(parse(INSTANCE, "includefield=all", OF_SERIES), found, "u")
    assert b"BulkDataURI" not in text
    assert b"InlineBinary" not in text
    named = orjson.loads(result(parse(INSTANCE, "includefield=00420011,ICCProfile", OF_SERIES), found, "u"))
    assert named["00282000"] == inline
    assert "00420011" not in named


def test_attributes_of_a_result_are_the_callers_own() -> None:
    query, found = parse(SERIES, ""), candidate(SERIES, **FULL)
    mine = result_attributes(query, found, "u")
    mine["00100010"]["Value"][0]["Alphabetic"] = "changed"
    assert result_attributes(query, found, "u")["00100010"]["Value"] == [{"Alphabetic": "Doe^John"}]


def test_a_study_counts_for_its_instances_where_they_disagree_A16() -> None:
    found = candidate(INSTANCE, PatientName="First")
    assert found.instance is not None
    other = orjson.dumps(attributes(PatientName="Second", KVP=1))
    found = found._replace(instance=found.instance._replace(metadata=other))
    answered = result_attributes(parse(INSTANCE, "includefield=KVP"), found, "u")
    assert answered["00100010"]["Value"] == [{"Alphabetic": "First"}]
