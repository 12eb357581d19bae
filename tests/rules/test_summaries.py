"""Summaries of a data set per level, and how those of several instances become one."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom import dcmread
from pydicom.data import get_testdata_file

from dicomweb_core.codecs.dictionary import vr_of
from dicomweb_core.rules.levels import COMPUTED_TAGS, SERIES_TAGS, STUDY_TAGS, level_of
from dicomweb_core.rules.summaries import INSTANCE_SUMMARY_TAGS, merge, summarise
from dicomweb_core.values.queries import Level
from tests.entities import attributes


def test_levels_do_not_overlap() -> None:
    assert not STUDY_TAGS & SERIES_TAGS
    assert all(level_of(tag) is Level.INSTANCE for tag in INSTANCE_SUMMARY_TAGS)
    assert all(vr_of(tag) is not None for tag in STUDY_TAGS | SERIES_TAGS | COMPUTED_TAGS)


@pytest.mark.parametrize(
    ("keyword", "place"),
    [("PatientName", 0), ("StudyDescription", 0), ("PatientAge", 0), ("Modality", 1), ("Manufacturer", 1), ("Rows", 2)],
)
def test_each_attribute_is_at_its_level(keyword: str, place: int) -> None:
    made = attributes(**{keyword: None})
    expected: list[dict[str, Any]] = [{}, {}, {}]
    expected[place] = made
    assert [orjson.loads(text) for text in summarise(made)] == expected


def test_what_no_result_needs_stays_out() -> None:
    made = attributes(KVP=120, x00090010=("LO", "A"), NumberOfStudyRelatedInstances=9, RetrieveURL="x", Rows=5)
    assert [orjson.loads(text) for text in summarise(made)] == [{}, {}, attributes(Rows=5)]


def test_the_time_zone_is_at_every_level() -> None:
    made = attributes(TimezoneOffsetFromUTC="+0100")
    assert [orjson.loads(text) for text in summarise(made)] == [made, made, made]


def test_long_attributes_stay_out_unless_a_table_names_them() -> None:
    long = "x" * 5000
    made = attributes(PatientComments=long, PatientID=long, OtherPatientIDsSequence=[attributes(PatientID=long)])
    steps = [attributes(ScheduledProcedureStepID="S")] * 500
    texts = summarise({**made, **attributes(RequestAttributesSequence=steps)})
    assert list(orjson.loads(texts.study)) == ["00100020"]
    assert len(orjson.loads(texts.series)["00400275"]["Value"]) == 500


def test_bulk_data_stay_out() -> None:
    photo = {
        "vr": "SQ",
        "Value": [{"00420011": {"vr": "OB", "BulkDataURI": "x"}, "0040E011": {"vr": "UR", "Value": ["y"]}}],
    }
    made = {
        "00101100": photo,
        "00104000": {"vr": "LT", "BulkDataURI": "x"},
        "00101020": {"vr": "UN", "InlineBinary": "AA=="},
    }
    expected = {"00101100": {"vr": "SQ", "Value": [{"0040E011": {"vr": "UR", "Value": ["y"]}}]}}
    assert orjson.loads(summarise(made).study) == expected
    assert photo["Value"][0]["00420011"]  # type: ignore[index]


def test_what_json_cannot_express_stays_out_alone() -> None:
    made = attributes(PatientID="\ud800", PatientName="Doe", PatientComments="\udcff", PatientSize=2**70)
    assert list(orjson.loads(summarise(made).study)) == ["00100010"]


def test_summaries_of_a_real_file_are_small_and_ascend() -> None:
    made = dcmread(get_testdata_file("CT_small.dcm")).to_json_dict(
        bulk_data_threshold=64, bulk_data_element_handler=str
    )
    for text in summarise(made):
        assert len(text) < 2000
        tags = list(orjson.loads(text))
        assert tags == sorted(tags)
        assert tags


def dumps(**values: Any) -> bytes:
    return orjson.dumps(attributes(**values))


def test_the_same_or_less_adds_nothing() -> None:
    kept = dumps(PatientID="P", PatientName="N", StudyID=None)
    for new in (bytes(bytearray(kept)), dumps(PatientID="Q"), dumps(PatientName=None), dumps(StudyID=None), b"{}"):
        assert merge(kept, new) is kept


def test_what_was_absent_or_empty_is_added_and_the_rest_stays_A17() -> None:
    kept = dumps(PatientID="P", StudyID=None)
    merged = merge(kept, dumps(AccessionNumber="A", PatientID="Q", StudyID="S"))
    assert orjson.loads(merged) == attributes(AccessionNumber="A", PatientID="P", StudyID="S")
    assert list(orjson.loads(merged)) == ["00080050", "00100020", "00200010"]


SOME = st.dictionaries(st.sampled_from(["PatientID", "StudyID", "AccessionNumber"]), st.sampled_from([None, "a", "b"]))


@given(SOME, SOME, SOME)
def test_merging_is_settled_by_the_first(a: dict[str, Any], b: dict[str, Any], c: dict[str, Any]) -> None:
    kept = dumps(**a)
    once = merge(kept, dumps(**b))
    assert merge(once, dumps(**b)) is once
    assert merge(once, kept) is once
    assert merge(merge(kept, dumps(**b)), dumps(**c)) == merge(kept, merge(dumps(**b), dumps(**c)))
