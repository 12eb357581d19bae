"""The query of a search as text (PS3.18 8.3, 8.3.4): what is understood, what is ignored, what is refused."""

from __future__ import annotations

from dataclasses import replace
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dicomweb_core.errors import BadRequest, InvalidQuery, URITooLong
from dicomweb_core.rules.query_parser import parse_query
from dicomweb_core.values.limits import Limits
from dicomweb_core.values.queries import (
    AllValues,
    AnyUID,
    AttributePath,
    CombinedRange,
    Condition,
    EmptyValue,
    Level,
    Query,
    Range,
    SingleValue,
    Universal,
    Wildcard,
    WithinItem,
)
from dicomweb_core.values.resources import SeriesRef, StudyRef
from tests.entities import parse

STUDY, SERIES, INSTANCE = Level


def condition(query: str, level: Level = STUDY) -> Condition:
    """Of the only key of a query."""
    (key,) = parse(level, query).keys
    return key.condition


@pytest.mark.parametrize("query", ["", "&", "&&", "=", "=x", "&=&"])
def test_a_query_without_parameters_asks_for_everything(query: str) -> None:
    assert parse(STUDY, query) == Query(STUDY)


@pytest.mark.parametrize("within", [None, StudyRef("1.2"), SeriesRef("1.2", "1.3")])
def test_the_resource_is_kept(within: StudyRef | SeriesRef | None) -> None:
    assert parse(INSTANCE, "", within) == Query(INSTANCE, within)


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("PatientID=P", SingleValue("P")),
        ("PatientID=a%2Cb", SingleValue("a,b")),
        ("PatientID=a,b", SingleValue("a,b")),
        ("PatientID=a+b", SingleValue("a b")),
        ("PatientID=a%2Bb", SingleValue("a+b")),
        ("PatientID=a=b", SingleValue("a=b")),
        ("PatientID=%C3%A9", SingleValue("é")),
        ("PatientID=é", SingleValue("é")),
        ("PatientID=", Universal()),
        ("PatientID", Universal()),
        ("PatientID=*", Universal()),
        ("PatientID=*x*", Wildcard("*x*")),
        ("PatientName=*x*", Wildcard("*x*")),
        ("PatientID=%3F", Wildcard("?")),
        ("PatientID=* *", Wildcard("* *")),
        ("StudyDate=20200101", SingleValue("20200101")),
        ("StudyDate=2020.01.01", SingleValue("20200101")),
        ("StudyDate=20200101-", Range("20200101", None)),
        ("StudyDate=-20200101", Range(None, "20200101")),
        ("StudyDate=20200101-20200102", Range("20200101", "20200102")),
        ("StudyDate=20200101%20-%2020200102", Range("20200101", "20200102")),
        ("StudyTime=10", SingleValue("100000000000")),
        ("StudyTime=10-1030", Range("100000000000", "103059999999")),
        ("StudyTime=10:30:15.5", SingleValue("103015500000")),
        ("StudyInstanceUID=1.2,1.3", AnyUID(frozenset({"1.2", "1.3"}))),
        ("StudyInstanceUID=1.2%5C1.3", AnyUID(frozenset({"1.2", "1.3"}))),
        ("0020000D=1.2&StudyInstanceUID=1.3", AnyUID(frozenset({"1.2", "1.3"}))),
        ("PatientSize=1.80", SingleValue("1.80")),
        ('PatientID=""', SingleValue('""')),
        ('emptyvaluematching=true&PatientID=""', EmptyValue()),
        ("ModalitiesInStudy=CT%5CMR&multiplevaluematching=true", AllValues(("CT", "MR"))),
        ("ModalitiesInStudy=CT,MR&multiplevaluematching=true", AllValues(("CT", "MR"))),
        ("MedicalAlerts=a,b&multiplevaluematching=true", SingleValue("a,b")),
    ],
)
def test_values_by_their_vr_COM_05(query: str, expected: Condition) -> None:
    assert condition(query) == expected


def test_series_are_asked_for_by_repeated_uids_SEA_12() -> None:
    (key,) = parse(SERIES, "0020000E=1.2&0020000E=1.3&SeriesInstanceUID=1.4,1.5").keys
    assert key.condition == AnyUID(frozenset({"1.2", "1.3", "1.4", "1.5"}))


def test_a_plus_is_a_plus_in_times_and_zones_SEA_22() -> None:
    query = parse(INSTANCE, "AcquisitionDateTime=20200101120000+0130&TimezoneOffsetFromUTC=+0200")
    assert query.timezone == 120
    assert query.keys[0].condition == SingleValue("20200101120000000000+0130")
    assert query.keys[0].timezone == 120


def test_dates_and_times_are_combined_SEA_19() -> None:
    query = "StudyTime=1000-1800&StudyDate=20060705-20060707"
    assert condition(query) == CombinedRange("00080030", "20060705100000000000", "20060707180059999999")


def test_times_of_combined_ranges_may_cross_midnight_SEA_19() -> None:
    query = "StudyTime=1800-1000&StudyDate=20060705-20060707"
    assert condition(query) == CombinedRange("00080030", "20060705180000000000", "20060707100059999999")


def test_keys_of_one_sequence_are_one_key_SEA_20() -> None:
    path = "RequestAttributesSequence"
    (key,) = parse(SERIES, f"{path}.ScheduledProcedureStepID=A&00400275.RequestedProcedureID=B").keys
    assert key.tag == "00400275"
    assert isinstance(key.condition, WithinItem)
    assert [(inner.tag, inner.condition) for inner in key.condition.keys] == [
        ("00400009", SingleValue("A")),
        ("00401001", SingleValue("B")),
    ]


def test_private_keys_lose_their_block_SEA_11() -> None:
    keys = parse(INSTANCE, "00230010=AcmeCompany&00231001=x").keys
    assert [(key.tag, key.creator, key.condition) for key in keys] == [
        ("00230010", None, SingleValue("AcmeCompany")),
        ("00230001", "AcmeCompany", SingleValue("x")),
    ]


REFUSED = [
    # COM-03, SEA-07, SEA-43, A61, A65
    "limit=-1", "limit=x", "limit=", "limit", "limit=1.5", "limit=1&limit=1", "limit=%2B1", "limit=1e3", "limit=٣",
    "offset=-1", "offset=x", "offset=1&offset=2", "fuzzymatching=maybe", "fuzzymatching=True", "fuzzymatching=",
    "fuzzymatching=true&fuzzymatching=true", "emptyvaluematching=1", "multiplevaluematching=no",
    "StudyDate=-", "StudyDate=--", "StudyDate=20200102-20200101", "StudyDate=99999999", "StudyDate=20200230",
    "StudyDate=2020", "StudyDate=20200101-x", "StudyDate=20200101-20200102-20200103", "StudyDate=2020*",
    "StudyDate=٢٠٢٠٠١٠١", "StudyDate=00000101", "StudyDate=20200101,20200102",
    "StudyTime=25", "StudyTime=1060", "StudyTime=10153", "StudyTime=1800-1000", "StudyTime=10.5", "StudyTime=-",
    "StudyDate=20200101-&StudyTime=1800-1000", "StudyDate=20200101-20200101&StudyTime=1800-1000",
    "StudyInstanceUID=x", "StudyInstanceUID=1.2*", "StudyInstanceUID=1.2&StudyInstanceUID=x", "StudyInstanceUID=1..2",
    "StudyInstanceUID=" + "1" * 65, "StudyInstanceUID=,", "StudyInstanceUID=../x",
    "PatientID=a&PatientID=a", "PatientID=a&00100020=b", "PatientID=a%5Cb", "PatientName=^^", "PatientName=a=b=c=d",
    "PatientSize=x", "PatientSize=1*", "PatientSize=NaN", "PatientSize=1_0", "NumberOfStudyRelatedSeries=1.5",
    "PregnancyStatus=1.5", "PregnancyStatus=x",
    "OtherPatientIDsSequence=x", "PatientID.PatientName=x", "OtherPatientIDsSequence.Nothing=x",
    "OtherPatientIDsSequence=x&OtherPatientIDsSequence.PatientID=x", "OtherPatientIDsSequence.OtherPatientIDs=a%5Cb",
    "RetrieveURL=x", "TimezoneOffsetFromUTC=x", "TimezoneOffsetFromUTC=%2B0100&TimezoneOffsetFromUTC=%2B0100",
    # what looks like an attribute, and is none
    "Nothing=x", "PatientNam=x", "FFFFFFFF=x", "FFFEE000=x", "a.b=c", ".=x", "PatientID.=x", ".PatientID=x",
    "RequestAttributesSequence.=x",
    "patient.id=x", "Patient ID=x",
    # not UTF-8, not percent-encoded, NULL
    "PatientID=%FF", "PatientID=%C3", "PatientID=%", "PatientID=%zz", "PatientID=%0", "PatientID=%00", "%FF=x",
    "PatientID=%ED%A0%80", "PatientID=%C0%80", "PatientID=\x00", "PatientID=\udcff", "limit=%FF", "includefield=%FF",
]  # fmt: skip


@pytest.mark.parametrize("query", REFUSED)
def test_what_is_malformed_is_refused_COM_03(query: str) -> None:
    with pytest.raises(InvalidQuery):
        parse(STUDY, query)


@pytest.mark.parametrize(
    "query",
    [
        *("00100099=x", "00100000=x", "00020010=1.2", "00010010=x", "DEADBEEF=x"),
        # private without its creator
        *("00231001=x", "00230010=&00231001=x", "00230011=Acme&00231001=x", "00230001=x"),
        "ReferencedImageSequence.00231001=x&00230010=Acme",
    ],
)
def test_private_and_unknown_tags_are_refused_at_instance_level_SEA_11(query: str) -> None:
    with pytest.raises(InvalidQuery):
        parse(INSTANCE, query)


DEEPER = [
    (STUDY, "SeriesInstanceUID=1.2", "Series"),
    (STUDY, "SOPInstanceUID=1.2", "Instance"),
    (STUDY, "SeriesDescription=x", "Series"),
    (STUDY, "RequestAttributesSequence.RequestedProcedureID=x", "Series"),
    (STUDY, "InstanceNumber=1", "Instance"),
    (STUDY, "00230010=Acme", "Instance"),
    (SERIES, "SOPClassUID=1.2", "Instance"),
    (SERIES, "InstanceNumber=1", "Instance"),
    (SERIES, "AvailableTransferSyntaxUID=1.2", "Instance"),
]


@pytest.mark.parametrize(("level", "query", "named"), DEEPER)
def test_keys_below_the_level_are_refused_by_name(level: Level, query: str, named: str) -> None:
    with pytest.raises(InvalidQuery, match=f"the {named} level") as refused:
        parse(level, query)
    assert query.partition("=")[0] in str(refused.value)


@pytest.mark.parametrize(("name", "tag"), [("Modality", "00080061"), ("00080016", "00080062")])
def test_studies_are_asked_for_what_is_in_them(name: str, tag: str) -> None:
    assert [key.tag for key in parse(STUDY, f"{name}=1.2").keys] == [tag]


@pytest.mark.parametrize("name", ["Limit", "OFFSET", "IncludeField", "Fuzzymatching", "Accept"])
def test_another_case_of_a_parameter_is_another_parameter_COM_04(name: str) -> None:
    query = parse(STUDY, f"{name}=-1")
    assert replace(query, warnings=()) == Query(STUDY)
    assert query.warnings == (f"The parameter {name} is not supported and has been ignored.",)


@pytest.mark.parametrize("name", ["orderby", "_", "x-y", "patientid", "count", "includeField"])
def test_unknown_parameters_are_ignored_with_a_warning_COM_02(name: str) -> None:
    query = parse(STUDY, f"{name}=1&PatientID=P")
    assert replace(query, warnings=()) == parse(STUDY, "PatientID=P")
    assert query.warnings == (f"The parameter {name} is not supported and has been ignored.",)


def test_warnings_carry_no_header_syntax_A35() -> None:
    query = parse(STUDY, "x%0D%0ASet-Cookie%3A%20a=1&%E2%80%A8=2&" + "y" * 100 + "=3")
    assert all(text.isascii() and text.isprintable() and len(text) < 100 for text in query.warnings)
    assert query.keys == ()


def test_accept_and_charset_are_not_for_the_search() -> None:
    assert parse(STUDY, "accept=a/b&charset=utf-8&accept=c/d") == Query(STUDY)


@pytest.mark.parametrize(
    ("text", "limit"),
    [("0", 0), ("25", 25), ("007", 7), ("1" + "0" * 30, 10**18), ("0" * 40 + "3", 3), ("9" * 5000, 10**18)],
)
def test_limit_and_offset_SEA_39(text: str, limit: int) -> None:
    query = parse(STUDY, f"limit={text}&offset={text}")
    assert (query.limit, query.offset) == (limit, limit)


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("includefield=StudyDescription", [("00081030",)]),
        ("includefield=00081030&includefield=PatientSize", [("00081030",), ("00101020",)]),
        ("includefield=00081030,PatientSize", [("00081030",), ("00101020",)]),
        ("includefield=00081030%2CPatientSize", [("00081030",), ("00101020",)]),
        ("includefield=00081030,,+PatientSize+,", [("00081030",), ("00101020",)]),
        ("includefield=0010002d", []),
        ("includefield=PatientSize,PatientSize", [("00101020",)]),
        ("includefield=OtherPatientIDsSequence.PatientID", [("00101002", "00100020")]),
        ("includefield=00101002.PatientID,OtherPatientIDsSequence", [("00101002", "00100020"), ("00101002",)]),
        ("includefield=", []),
        ("includefield=Nothing,x,00100099,a.b,PatientID.PatientName,%22", []),
        ("includefield=SeriesDescription,InstanceNumber,00091001", []),
    ],
)
def test_includefield_SEA_27(query: str, expected: list[tuple[str, ...]]) -> None:
    parsed = parse(STUDY, query)
    assert [path.tags for path in parsed.include] == expected
    assert not parsed.include_all


def test_includefield_all_SEA_28() -> None:
    query = parse(STUDY, "includefield=PatientSize,all")
    assert query.include_all
    assert query.include == (AttributePath(("00101020",)),)


def test_includefield_of_upper_levels_SEA_29() -> None:
    names = "PatientSize,SeriesDescription,Rows"
    assert [len(parse(level, f"includefield={names}").include) for level in Level] == [1, 2, 3]


def test_private_includefield_needs_its_creator_SEA_31() -> None:
    assert parse(INSTANCE, "00090010=ACME&includefield=00091001").include == (AttributePath(("00090001",), "ACME"),)
    assert parse(INSTANCE, "includefield=00091001").include == ()


@pytest.mark.parametrize(
    ("query", "needed"),
    [
        ("", False),
        ("Rows=512", False),
        ("includefield=Rows,PatientSize,SeriesDescription", False),
        ("PatientID=x&Modality=CT&SOPInstanceUID=1.2", False),
        ("AvailableTransferSyntaxUID=1.2", False),
        ("KVP=120", True),
        ("includefield=KVP", True),
        ("includefield=all", True),
        ("00090010=ACME", True),
        ("ReferencedImageSequence.ReferencedSOPInstanceUID=1.2", True),
    ],
)
def test_whether_the_metadata_are_needed(query: str, needed: bool) -> None:
    assert parse(INSTANCE, query).needs_metadata is needed


def test_studies_and_series_never_need_metadata() -> None:
    assert not parse(STUDY, "includefield=all,KVP").needs_metadata
    assert not parse(SERIES, "includefield=all,KVP").needs_metadata


def test_fuzzymatching_is_for_names_SEA_24() -> None:
    keys = parse(STUDY, "PatientName=x&PatientID=x&fuzzymatching=true").keys
    assert [key.fuzzy for key in keys] == [True, False]


DEEP = "OtherPatientIDsSequence.IssuerOfPatientIDQualifiersSequence.UniversalEntityID=x"


@pytest.mark.parametrize(
    ("limits", "query", "error"),
    [
        (Limits(search_keys=2), "PatientID=a&StudyID=b&AccessionNumber=c", InvalidQuery),
        (Limits(search_key_bytes=10), "PatientID=" + "a" * 11, InvalidQuery),
        (Limits(search_key_bytes=10), "PatientID=" + "é" * 6, InvalidQuery),
        (Limits(search_include_fields=2), "includefield=a,b,c", InvalidQuery),
        (Limits(search_include_fields=2), "includefield=a&includefield=b&includefield=c", InvalidQuery),
        (Limits(search_path_depth=2), DEEP, InvalidQuery),
        (Limits(uri_bytes=10), "PatientID=a", URITooLong),
    ],
)
def test_ceilings(limits: Limits, query: str, error: type[Exception]) -> None:
    with pytest.raises(error):
        parse_query(STUDY, None, query, limits)
    assert parse(STUDY, query.replace("includefield=b", "")) is not None


def test_long_lists_of_uids_are_no_long_values() -> None:
    uids = [f"1.2.3.4.5.6.7.8.9.{n}" for n in range(1000)]
    assert condition("StudyInstanceUID=" + ",".join(uids)) == AnyUID(frozenset(uids))


def test_errors_name_the_parameter_and_not_its_value() -> None:
    with pytest.raises(InvalidQuery) as refused:
        parse(STUDY, "StudyDate=SECRET")
    assert "StudyDate" in str(refused.value)
    assert "SECRET" not in str(refused.value)


NAMES = st.sampled_from(
    [
        *("PatientName", "PatientID", "StudyDate", "StudyTime", "00100020", "StudyInstanceUID", "PatientSize", "limit"),
        *("offset", "fuzzymatching", "includefield", "OtherPatientIDsSequence.PatientID", "00090010", "00091001"),
        *("AcquisitionDateTime", "emptyvaluematching", "multiplevaluematching", "TimezoneOffsetFromUTC", "Modality"),
    ]
)
VALUES = st.one_of(
    st.text(max_size=20),
    st.text(alphabet='0123456789-.:+*?,\\^=" ', max_size=30),
    st.sampled_from(["true", "false", "1", "20200101-20200102", "all", '""']),
)


@given(st.lists(st.tuples(st.one_of(NAMES, st.text(max_size=12)), VALUES), max_size=6), st.sampled_from(Level))
def test_any_query_is_parsed_or_refused(pairs: list[tuple[str, str]], level: Level) -> None:
    encoded = "&".join(f"{quote(n.encode('utf-8', 'ignore'))}={quote(v.encode('utf-8', 'ignore'))}" for n, v in pairs)
    for query in (encoded, "&".join(f"{name}={value}" for name, value in pairs)):
        try:
            parsed = parse(level, query)
        except BadRequest:
            continue
        assert hash(parsed) == hash(parse(level, query))
