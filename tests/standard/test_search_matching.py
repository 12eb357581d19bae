"""Matching as PS3.18 8.3.4.1, 10.6.1.2 and PS3.4 C.2.2.2 have it, from the text of the query to the verdict."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import pytest

from dicomweb_core.errors import InvalidQuery
from dicomweb_core.rules.matching import matches
from dicomweb_core.values.queries import Level
from tests.cases import case
from tests.entities import attributes, is_found, parse

STUDY, SERIES, INSTANCE = Level

KEYS = [
    # Table 10.6.1-5: level, keyword, stored, keys that match, keys that do not
    (STUDY, "StudyDate", "20200229", ["20200229", "20200229-", "-20200229", "20200101-20201231"], ["20200301-"]),
    (STUDY, "StudyTime", "101530", ["101530", "101530.000", "10-11", "1015-1015", "-1015"], ["1016-", "1015"]),
    (STUDY, "AccessionNumber", "A-1", ["A-1", "A*", "*1", "A?1", "???", "*-*"], ["a-1", "A", "????", "*2", "A??1"]),
    (STUDY, "ReferringPhysicianName", "Roe^Jane", ["Roe^Jane", "roe^jane", "ROE*", "R?e^*"], ["Roe"]),
    (STUDY, "PatientName", "Doe^John", ["DOE^JOHN", "doe^john^^", "*john", "D?e^Jo*"], ["Doe", "^John", "Doe^*n^*x"]),
    (STUDY, "PatientID", "P 1", ["P 1", "P+1", "P%201", "P*", " P 1 "], ["p 1", "P1", "P", "P  1"]),
    (STUDY, "StudyInstanceUID", "1.2.3", ["1.2.3", "1.2,1.2.3", "1.2%2C1.2.3", "1.2\\1.2.3"], ["1.2", "1.2.30"]),
    (STUDY, "StudyID", "S1", ["S1", "S*"], ["s1", "S"]),
    (SERIES, "Modality", "CT", ["CT", "C*", "?T"], ["ct", "C", "CTX"]),
    (SERIES, "SeriesInstanceUID", "1.2.3.4", ["1.2.3.4", "1.2,1.2.3.4"], ["1.2.3"]),
    (SERIES, "SeriesNumber", 7, ["7", "07", "%2B7", " 7"], ["70", "-7", "17"]),
    (SERIES, "PerformedProcedureStepStartDate", "20200229", ["20200229", "20200228-20200301"], ["20200301"]),
    (SERIES, "PerformedProcedureStepStartTime", "0930", ["0930", "093000", "09-10"], ["0931", "0931-"]),
    (INSTANCE, "SOPClassUID", "1.2.840.1", ["1.2.840.1", "1.2,1.2.840.1"], ["1.2"]),
    (INSTANCE, "SOPInstanceUID", "1.2.3.4.5", ["1.2.3.4.5"], ["1.2.3.4"]),
    (INSTANCE, "InstanceNumber", 3, ["3", "003"], ["30", "-3"]),
]  # fmt: skip


@pytest.mark.parametrize(
    ("level", "keyword", "stored", "key", "found"),
    [
        pytest.param(level, keyword, stored, key, found, id=f"SEA-13 {keyword}={key}")
        for level, keyword, stored, good, bad in KEYS
        for found, keys in ((True, good), (False, bad))
        for key in keys
    ],
)
def test_required_keys(level: Level, keyword: str, stored: Any, key: str, found: bool) -> None:
    assert is_found(f"{keyword}={key}", level, **{keyword: stored}) is found


@pytest.mark.parametrize(
    ("member", "key", "found"),
    [
        pytest.param("ScheduledProcedureStepID", "S1", True, id="SEA-13 ScheduledProcedureStepID"),
        pytest.param("ScheduledProcedureStepID", "S*", True, id="SEA-13 ScheduledProcedureStepID wildcard"),
        pytest.param("ScheduledProcedureStepID", "s1", False, id="SEA-15 ScheduledProcedureStepID"),
        pytest.param("RequestedProcedureID", "R1", True, id="SEA-13 RequestedProcedureID"),
        pytest.param("RequestedProcedureID", "R2", False, id="SEA-13 RequestedProcedureID other"),
    ],
)
def test_request_attributes(member: str, key: str, found: bool) -> None:
    item = attributes(ScheduledProcedureStepID="S1", RequestedProcedureID="R1")
    assert is_found(f"RequestAttributesSequence.{member}={key}", SERIES, RequestAttributesSequence=[item]) is found


@pytest.mark.parametrize(
    ("level", "query"),
    [
        pytest.param(level, query, id=f"SEA-14 {level.name} {query}")
        for level, queries in {
            STUDY: ["PatientID=P", "StudyID=S"],
            SERIES: ["PatientID=P", "StudyID=S", "Modality=CT"],
            INSTANCE: ["PatientID=P", "StudyID=S", "Modality=CT", "InstanceNumber=1", "SOPClassUID=1.2"],
        }.items()
        for query in queries
    ],
)
def test_keys_of_a_level_and_above(level: Level, query: str) -> None:
    stored = {"PatientID": "P", "StudyID": "S", "Modality": "CT", "InstanceNumber": 1, "SOPClassUID": "1.2"}
    assert is_found(query, level, **stored)
    assert not is_found(query, level, **dict.fromkeys(stored))


@pytest.mark.parametrize(
    ("key", "found"),
    [("CT", True), ("PT", True), ("P*", True), ("MR", False), ("CT,PT", False)],
)
@pytest.mark.parametrize("name", ["ModalitiesInStudy", "00080061", "Modality", "00080060"])
def test_a_study_is_asked_for_any_of_its_modalities_SEA_21(name: str, key: str, found: bool) -> None:
    assert is_found(f"{name}={key}", modalities=("CT", "PT")) is found


def test_a_study_is_asked_for_its_sop_classes() -> None:
    assert is_found("SOPClassUID=1.2.840.10008.5.1.4.1.1.2", SOPClassUID="1.2.840.10008.5.1.4.1.1.2")
    assert not is_found("SOPClassesInStudy=1.2.3", SOPClassUID="1.2.840.10008.5.1.4.1.1.2")


@pytest.mark.parametrize(
    "name",
    [
        "00101002.00100020",
        "OtherPatientIDsSequence.PatientID",
        "OtherPatientIDsSequence.00100020",
        "00101002.PatientID",
        "OtherPatientIDsSequence%2EPatientID",
    ],
)
def test_a_path_may_be_of_tags_and_keywords_SEA_10(name: str) -> None:
    ids = [attributes(PatientID="A"), attributes(PatientID="B")]
    assert is_found(f"{name}=B", OtherPatientIDsSequence=ids)
    assert not is_found(f"{name}=C", OtherPatientIDsSequence=ids)


@pytest.mark.parametrize("name", ["PatientID", "00100020", "0010002%30"])
def test_an_attribute_is_a_keyword_or_a_tag_SEA_09(name: str) -> None:
    assert is_found(f"{name}=P", PatientID="P")
    assert not is_found(f"{name}=P", PatientID="Q")


def test_hexadecimal_digits_may_be_in_lower_case_SEA_09() -> None:
    assert is_found("0020000d=1.2.3", StudyInstanceUID="1.2.3")
    assert not is_found("0020000d=1.2.4", StudyInstanceUID="1.2.3")


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("PatientID=A&Type=TEXT", True),
        ("PatientID=B&Type=RFID", True),
        ("PatientID=A&Type=RFID", False),
        ("PatientID=&Type=RFID", True),
        ("PatientID=&Type=", True),
        ("PatientID=C&Type=", False),
    ],
)
def test_keys_of_a_sequence_match_within_one_item_SEA_20(query: str, found: bool) -> None:
    ids = [attributes(PatientID="A", TypeOfPatientID="TEXT"), attributes(PatientID="B", TypeOfPatientID="RFID")]
    query = query.replace("Type", "TypeOfPatientID")
    path = "&".join(f"OtherPatientIDsSequence.{pair}" for pair in query.split("&"))
    assert is_found(path, OtherPatientIDsSequence=ids) is found


def test_a_sequence_without_values_in_its_keys_matches_an_entity_without_it() -> None:
    assert is_found("OtherPatientIDsSequence.PatientID=")
    assert is_found("OtherPatientIDsSequence=&OtherPatientIDsSequence.PatientID=*")
    assert is_found("OtherPatientIDsSequence")


@pytest.mark.parametrize("value", ["", "*", "**", "+"])
@pytest.mark.parametrize(
    "name", ["PatientID", "StudyDate", "StudyInstanceUID", "PatientName", "ReferencedStudySequence"]
)
def test_universal_matching_SEA_17(name: str, value: str) -> None:
    assert is_found(f"{name}={value}")


@pytest.mark.parametrize(
    ("date", "time", "found"),
    [
        pytest.param(date, time, found, id=f"SEA-19 {date} {time}")
        for date, time, found in [
            ("20060705", "095959", False),
            ("20060705", "1000", True),
            ("20060705", "2300", True),
            ("20060706", "0000", True),
            ("20060706", "0300", True),
            ("20060707", "1800", True),
            ("20060707", "180059.999999", True),
            ("20060707", "1801", False),
            ("20060706", None, True),
            ("20060708", None, False),
            (None, "1200", False),
            ("garbage", "1200", False),
        ]
    ],
)
def test_date_and_time_ranges_are_one_interval(date: str | None, time: str | None, found: bool) -> None:
    query = "StudyDate=20060705-20060707&StudyTime=1000-1800"
    assert is_found(query, StudyDate=date, StudyTime=time) is found


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("StudyDate=20060705-&StudyTime=1000-", True),
        ("StudyDate=20060706-&StudyTime=1000-", False),
        ("StudyDate=-20060706&StudyTime=-0800", True),
        ("StudyDate=-20060705&StudyTime=-0800", False),
        # forms differ: each for itself (PS3.4 C.2.2.2.5.4)
        ("StudyDate=20060701-&StudyTime=1000-1800", False),
        ("StudyDate=20060706&StudyTime=0800-1000", True),
        ("StudyTime=0800-1000&StudyDate=20060705-20060706", True),
    ],
)
def test_open_and_mixed_date_and_time_ranges_SEA_19(query: str, found: bool) -> None:
    stored_at = {"StudyDate": "20060706", "StudyTime": "0900"}
    if query.endswith("-0800") and found:
        stored_at = {"StudyDate": "20060705", "StudyTime": "0900"}
    assert is_found(query, **stored_at) is found


@pytest.mark.parametrize(
    ("query", "stored", "found"),
    [
        pytest.param(query, stored, found, id=f"SEA-18 {query} {stored}")
        for query, stored, found in [
            ("AcquisitionDateTime=20200101120000-20200101130000", "20200101123000.5", True),
            ("AcquisitionDateTime=20200101120000-20200101130000", "20200101130000.5", True),
            ("AcquisitionDateTime=20200101120000-20200101130000", "20200101130001", False),
            ("AcquisitionDateTime=2020-2021", "20211231235959", True),
            ("AcquisitionDateTime=2020-2021", "20220101", False),
            ("AcquisitionDateTime=202002-202002", "20200229", True),
            ("AcquisitionDateTime=-2020", "20201231", True),
            ("AcquisitionDateTime=2020-", "2019", False),
            ("AcquisitionDateTime=202001011200", "20200101120000.000", True),
            ("AcquisitionDateTime=20200101120000%2B0100", "20200101110000%2B0000", True),
            ("AcquisitionDateTime=20200101120000+0100", "20200101110000%2B0000", True),
            ("AcquisitionDateTime=20200101120000%2B0100", "20200101110000-0100", False),
            ("AcquisitionDateTime=20200101120000-0500-20200101130000-0500", "20200101173000%2B0000", True),
            ("AcquisitionDateTime=20200101120000-0500-20200101130000-0500", "20200101123000%2B0000", False),
            ("AcquisitionDateTime=20200101120000-0500-", "20200101165959%2B0000", False),
            # without an offset on one side both are taken as they are written
            ("AcquisitionDateTime=20200101120000-20200101130000", "20200101123000%2B0900", True),
        ]
    ],
)
def test_date_time_ranges(query: str, stored: str, found: bool) -> None:
    assert is_found(query, INSTANCE, AcquisitionDateTime=stored.replace("%2B", "+")) is found


@pytest.mark.parametrize(
    ("query", "zone", "found"),
    [
        pytest.param(query, zone, found, id=f"SEA-22 {query} at {zone}")
        for query, zone, found in [
            # stored is 2020-01-01 23:30 of +01:00, which is 22:30 UTC
            ("StudyDate=20200101", "%2B0100", True),
            ("StudyDate=20200101", "-0500", True),
            ("StudyDate=20200102", "%2B0900", True),
            ("StudyDate=20200102", "+0900", True),
            ("StudyDate=20200101", "%2B0900", False),
            ("StudyTime=2230", "%2B0000", True),
            ("StudyTime=2330", "%2B0000", False),
            ("StudyTime=17-18", "-0500", True),
            ("StudyDate=20200102-&StudyTime=0700-", "%2B0900", True),
            ("StudyDate=20200102-&StudyTime=0731-", "%2B0900", False),
            ("StudyDate=20200101-20200102&StudyTime=2300-0000", "%2B0000", False),
            ("StudyDate=20200101-20200102&StudyTime=2300-0000", "%2B0100", True),
        ]
    ],
)
def test_the_time_zone_of_the_query(query: str, zone: str, found: bool) -> None:
    stored = {"StudyDate": "20200101", "StudyTime": "233000", "TimezoneOffsetFromUTC": "+0100"}
    assert is_found(f"{query}&TimezoneOffsetFromUTC={zone}", **stored) is found


def test_an_entity_of_unknown_time_zone_is_compared_as_written_SEA_22() -> None:
    query = "StudyDate=20200101&TimezoneOffsetFromUTC=%2B0900"
    assert is_found(query, StudyDate="20200101", StudyTime="233000")
    assert not is_found(query, StudyDate="20200102", StudyTime="233000")


def test_date_times_without_offset_are_in_the_zone_of_query_and_entity_SEA_22() -> None:
    query = "AcquisitionDateTime=20200102073000&TimezoneOffsetFromUTC=%2B0900"
    assert is_found(query, INSTANCE, AcquisitionDateTime="20200101233000", TimezoneOffsetFromUTC="+0100")
    assert not is_found(query, INSTANCE, AcquisitionDateTime="20200102073000", TimezoneOffsetFromUTC="+0100")


@pytest.mark.parametrize("value", ["x", "0900", "+900", "%2B2500", "%2B0960", "%2B1500", "-1300"])
def test_a_time_zone_that_is_none_SEA_22(value: str) -> None:
    with pytest.raises(InvalidQuery):
        parse(STUDY, f"TimezoneOffsetFromUTC={value}")


@pytest.mark.parametrize(
    ("stored", "key", "found"),
    [
        pytest.param(stored, key, found, id=f"SEA-15 {stored} {key}")
        for stored, key, found in [
            ("Yamada^Tarou=山田^太郎=やまだ^たろう", "山田^太郎", True),
            ("Yamada^Tarou=山田^太郎=やまだ^たろう", "山田*", True),
            ("Yamada^Tarou=山田^太郎=やまだ^たろう", "YAMADA^tarou", True),
            ("Yamada^Tarou=山田^太郎=やまだ^たろう", "yamada*=山田*", True),
            ("Yamada^Tarou=山田^太郎=やまだ^たろう", "=山田*", True),
            ("Yamada^Tarou=山田^太郎=やまだ^たろう", "=yamada*", False),
            ("Yamada^Tarou=山田^太郎=やまだ^たろう", "yamada*=佐藤*", False),
            ("Yamada^Tarou=山田^太郎=やまだ^たろう", "==やまだ^たろう", True),
            ("Müller^Jörg", "MÜLLER^JÖRG", True),
            ("Mu\u0308ller^Jo\u0308rg", "Müller^Jörg", True),
            ("Müller^Jörg", "Muller*", False),
            ("Groß^A", "GROSS^A", True),
            ("Doe ^ John ^", "Doe^John", True),
            ("Doe", "Doe^*", True),
            ("Doe", "Doe^", True),
            ("Doe", "Doe^?*", False),
            ("^John", "*John", True),
        ]
    ],
)
def test_person_names(stored: str, key: str, found: bool) -> None:
    assert is_found(f"PatientName={quote(key)}", PatientName=stored) is found


@pytest.mark.parametrize(
    ("stored", "key", "found"),
    [
        pytest.param(stored, key, found, id=f"SEA-24 {stored} {key}")
        for stored, key, found in [
            ("Doe^John", "john doe", True),
            ("Doe^John", "jo", True),
            ("Doe^John", "ohn", False),
            ("Doe^John", "doe^jane", False),
            ("Müller^Jörg", "muller", True),
            ("Müller^Jörg", "mueller", True),
            ("Müller^Jörg", "MUEL", True),
            ("Mueller^Joerg", "müller jörg", True),
            ("Groß^A", "gross", True),
            ("O'Brien^Pat", "OBrien", True),
            ("Łukasz^Ørsted", "lukasz orsted", True),
            ("Müller-Lüdenscheidt^A", "Lüdenscheidt", True),
            ("Yamada^Tarou=山田^太郎=ヤマダ^タロウ", "やまだ", True),
            ("ﾔﾏﾀﾞ^ﾀﾛｳ", "ヤマダ", True),
            ("Doe^John", "*oh*", True),
            ("Doe^John", "D?e", True),
            ("Doe^John", "doe^j*", True),
            ("Yamada^Tarou=山田^太郎", "yamada 山田", False),
        ]
    ],
)
def test_fuzzy_matching(stored: str, key: str, found: bool) -> None:
    assert is_found(f"fuzzymatching=true&PatientName={quote(key)}", PatientName=stored) is found


def test_without_fuzzymatching_names_match_literally_SEA_24() -> None:
    assert not is_found("PatientName=john+doe", PatientName="Doe^John")
    assert not is_found("PatientName=john+doe&fuzzymatching=false", PatientName="Doe^John")


@pytest.mark.parametrize("name", ["PatientID", "PatientName", "StudyDate", "OtherPatientIDsSequence.PatientID"])
def test_empty_value_matching_SEA_25(name: str) -> None:
    query = f"{name}=%22%22&emptyvaluematching=true"
    present = {
        "PatientID": "P",
        "PatientName": "N",
        "StudyDate": "20200101",
        "OtherPatientIDsSequence": [attributes(PatientID="P")],
    }
    assert is_found(query)
    assert is_found(query, **dict.fromkeys(present))
    assert not is_found(query, **present)


def test_without_emptyvaluematching_quotation_marks_are_a_value_SEA_25() -> None:
    assert not is_found("PatientID=%22%22")
    assert is_found("PatientID=%22%22", PatientID='""')


@pytest.mark.parametrize(
    ("value", "found"),
    [("CT%5CPT", True), ("PT%5CCT", True), ("PT,CT", True), ("CT%5CMR", False), ("CT", True), ("MR", False)],
)
def test_multiple_value_matching_SEA_26(value: str, found: bool) -> None:
    query = f"ModalitiesInStudy={value}&multiplevaluematching=true"
    assert is_found(query, modalities=("CT", "PT", "SR")) is found


def test_any_value_of_several_matches_SEA_21() -> None:
    stored = {"PhysiciansOfRecord": ["Roe^A", "Poe^B"], "OtherPatientNames": ["A", "B"], "MedicalAlerts": ["x", "y"]}
    assert is_found("PhysiciansOfRecord=poe*", **stored)
    assert is_found("MedicalAlerts=y", **stored)
    assert not is_found("MedicalAlerts=x%2Cy", **stored)


PRIVATE = {
    "x00090010": ("LO", "OTHER"),
    "x00090011": ("LO", "ACME"),
    "x00091001": ("LO", "no"),
    "x00091101": ("LO", "yes"),
}


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("00090010=ACME&00091001=yes", True),
        ("00090011=ACME&00091101=yes", True),
        ("00090010=ACME&00091001=no", False),
        ("00090010=ACME&00091001=y*", True),
        ("00090010=OTHER&00091001=no", True),
        ("00090010=OTHER&00091001=yes", False),
        ("00090010=NOBODY&00091001=yes", False),
        ("00090010=ACME", True),
        ("00090010=NOBODY", False),
        ("00090010=OTHER&00090011=ACME&00091001=no&00091101=yes", True),
    ],
)
def test_private_attributes_are_found_by_their_creator_SEA_11(query: str, found: bool) -> None:
    assert is_found(query, INSTANCE, **PRIVATE) is found


def test_private_attributes_of_any_vr_SEA_11() -> None:
    stored = {"x00090010": ("LO", "ACME"), "x00091001": ("DS", 1.5), "x00091002": ("PN", "Doe"), "x00091003": ("US", 7)}
    for query in ("00091001=1.50", "00091002=Doe", "00091003=7"):
        assert is_found(f"00090010=ACME&{query}", INSTANCE, **stored), query
    for query in ("00091001=1.51", "00091002=Do", "00091003=8"):
        assert not is_found(f"00090010=ACME&{query}", INSTANCE, **stored), query


def test_a_private_attribute_within_a_sequence_SEA_11() -> None:
    item = attributes(x00090010=("LO", "ACME"), x00091001=("SH", "v"))
    path = "ReferencedImageSequence"
    query = f"{path}.00090010=ACME&{path}.00091001="
    assert is_found(query + "v", INSTANCE, ReferencedImageSequence=[item])
    assert not is_found(query + "w", INSTANCE, ReferencedImageSequence=[item])


@pytest.mark.parametrize(
    ("stored", "key", "found"),
    [
        (1.5, "1.50", True),
        ("1.50", "1.5", True),
        (1.5, "15e-1", True),
        (1, "1.0", True),
        (1.5, "1.51", False),
        ("x", "1", False),
    ],
)
def test_decimal_strings_are_equal_by_value(stored: Any, key: str, found: bool) -> None:
    assert is_found(f"SliceLocation={key}", INSTANCE, SliceLocation=stored) is found


def test_computed_attributes_are_matched() -> None:
    assert is_found("NumberOfStudyRelatedInstances=5")
    assert not is_found("NumberOfStudyRelatedInstances=6")
    assert is_found("NumberOfSeriesRelatedInstances=3", SERIES)
    assert is_found("AvailableTransferSyntaxUID=1.2.840.10008.1.2.1", INSTANCE)
    assert not is_found("AvailableTransferSyntaxUID=1.2.840.10008.1.2", INSTANCE)
    assert is_found("InstanceAvailability=ONLINE", SERIES)


def test_the_character_set_is_never_matched() -> None:
    assert is_found("SpecificCharacterSet=ISO_IR+100", SpecificCharacterSet="ISO_IR 192")


UGLY: list[Any] = [
    "garbage", "", " ", "20201399", "\x00", "﷽", "1" * 500, -1, 1e300, True, None, {"Alphabetic": 5}, {},
    {"00100010": 3}, [["nested"]], {"Alphabetic": "a=b=c=d"}, "2020-01-01", "25:61", "1e999", "\ud800",
]  # fmt: skip


@pytest.mark.parametrize(
    "query",
    [
        "StudyDate=20200101-&StudyTime=10-",
        "StudyDate=20200101&TimezoneOffsetFromUTC=%2B0100",
        "StudyTime=1000",
        "PatientName=a*",
        "PatientName=a&fuzzymatching=true",
        "PatientID=a?b*",
        "PatientSize=1.5",
        "StudyInstanceUID=1.2",
        "OtherPatientIDsSequence.PatientID=x",
        "ModalitiesInStudy=CT%5CMR&multiplevaluematching=true",
        "SeriesNumber=5",
        "AcquisitionDateTime=2020-",
        "PatientSize=%22%22&emptyvaluematching=true",
        "00090010=ACME&00091001=5",
    ],
)
def test_ugly_values_never_raise(query: str) -> None:
    names = [
        "StudyDate",
        "StudyTime",
        "PatientName",
        "PatientID",
        "PatientSize",
        "OtherPatientIDsSequence",
        "SeriesNumber",
    ]
    names += ["AcquisitionDateTime", "TimezoneOffsetFromUTC", "ModalitiesInStudy"]
    for value in (*UGLY, *([value, value] for value in UGLY)):
        entity = {tag: {"vr": a["vr"], "Value": value} for tag, a in attributes(**dict.fromkeys(names)).items()}
        entity["00090010"] = {"vr": "LO", "Value": ["ACME"]}
        entity["00091001"] = {"vr": "UN", "Value": value}
        with case(ascii(value)):
            assert matches(parse(INSTANCE, query).keys, entity) in (True, False)
