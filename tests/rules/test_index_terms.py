"""What an index finds is what matching finds (PS3.4 C.2.2.2): never less, and no more where a probe says so."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from dicomweb_core.errors import BadRequest
from dicomweb_core.rules.index_terms import INDEXED_TAGS, TERM_BYTES, TRUNCATED, probes, terms, terms_of_values
from dicomweb_core.rules.matching import matches
from dicomweb_core.values.attributes import Attributes
from dicomweb_core.values.queries import Level, Probe, Term
from tests.entities import attributes, parse

STUDY, SERIES, INSTANCE = Level


def finds(probe: Probe, found: frozenset[Term]) -> set[bytes]:
    """The terms that satisfy a probe, as an index looks for them."""
    return {
        term.value
        for term in found
        if (term.level, term.tag) == (probe.level, probe.tag)
        and any(first <= term.value <= last for first, last in probe.ranges)
        and (probe.pattern is None or probe.pattern.fullmatch(term.value))
    }


def verdicts(query: str, entity: Attributes, level: Level = STUDY) -> tuple[bool, bool, bool]:
    """Whether the entity matches, whether the index finds it, and whether that is said to be the same."""
    parsed = parse(level, query)
    of_index = frozenset[Term]().union(*(terms(each, entity) for each in Level))
    asked, decided = probes(parsed)
    hits = [finds(probe, of_index) for probe in asked]
    cut = any(
        value.endswith(TRUNCATED) for probe, hit in zip(asked, hits, strict=True) if probe.pattern for value in hit
    )
    return matches(parsed.keys, entity), all(hits), decided and not cut


ALPHABET = "abAB01^=*?- \\,.éÉßΣσςⅷあ山\u0308\u00a0\U0001f600\x1b\x01"
TEXTS = st.one_of(
    st.text(ALPHABET, max_size=8),
    st.text("aé山\U0001f600", min_size=100, max_size=130),
    st.builds(
        lambda n, c, t: c * n + t, st.integers(100, 125), st.sampled_from("aé山\U0001f600"), st.text("ab", max_size=8)
    ),
)
STORED = st.one_of(st.none(), TEXTS, st.lists(st.one_of(TEXTS, st.none()), max_size=3))
DATES = st.one_of(
    st.dates().map(lambda d: d.strftime("%Y%m%d").zfill(8)),
    st.sampled_from(["20200101", "20200102", "2020.01.01", "garbage", "20209999", "", " 20200101 "]),
)
KEYWORDS = [
    "PatientID",
    "AccessionNumber",
    "StudyDescription",
    "PatientName",
    "ReferringPhysicianName",
    "ModalitiesInStudy",
]


@st.composite
def key_for(draw: st.DrawFn, stored: Any) -> str:
    """A key that has a fair chance: a value of the entity, parts of it replaced by wildcards."""
    values = [value for value in (stored if isinstance(stored, list) else [stored]) if value]
    if not values or draw(st.integers(0, 5)) == 0:
        return draw(TEXTS)
    value = draw(st.sampled_from(values))
    first, last = sorted((draw(st.integers(0, len(value))), draw(st.integers(0, len(value)))))
    patterns = (value[:first] + "*", "*" + value[first:], "*" + value[first:last] + "*", value[:first] + "?*")
    mixed = (value[:first] + "*" + value[last:], value[:first] + "?" + value[first + 1 :])
    return draw(st.sampled_from([value, *patterns, *mixed, value.swapcase(), value + "^"]))


@settings(max_examples=400)
@given(st.data(), st.sampled_from(KEYWORDS), STORED, st.booleans())
def test_texts_and_names(data: st.DataObject, keyword: str, stored: Any, fuzzy: bool) -> None:
    entity = attributes(**{keyword: stored})
    key = data.draw(key_for(stored))
    try:
        matched, found, same = verdicts(f"{keyword}={quote(key)}&fuzzymatching={'true' if fuzzy else 'false'}", entity)
    except BadRequest:
        return
    assert found or not matched
    assert matched == found or not same


@settings(max_examples=200)
@given(
    st.lists(DATES, max_size=2),
    st.one_of(st.none(), st.sampled_from(["1000", "2359", "x", "120000.5"])),
    DATES,
    DATES,
    st.sampled_from(["{a}", "{a}-", "-{b}", "{a}-{b}", "{a}-{b}&StudyTime=10-1100", "{a}-&StudyTime=2300-"]),
    st.sampled_from(["", "&TimezoneOffsetFromUTC=%2B1400", "&TimezoneOffsetFromUTC=-1200"]),
    st.sampled_from([None, "+1400", "-1200", "+0100", "x"]),
)
@example(["20200101"], "2359", "20191231", "20191231", "{a}", "&TimezoneOffsetFromUTC=-1200", "+1400")
@example(["20200101"], "0000", "20191231", "20191231", "{a}-{b}", "&TimezoneOffsetFromUTC=-1200", "+1400")
@example(["20200101"], "2359", "20200103", "20200103", "{a}", "&TimezoneOffsetFromUTC=%2B1400", "-1200")
@example(["20200103"], "0000", "20200101", "20200101", "{a}", "&TimezoneOffsetFromUTC=-1200", "+1400")
def test_dates(
    dates: list[str], time: str | None, a: str, b: str, form: str, zone: str, stored_zone: str | None
) -> None:
    entity = attributes(StudyDate=dates, StudyTime=time, TimezoneOffsetFromUTC=stored_zone)
    try:
        matched, found, same = verdicts(f"StudyDate={form.format(a=a, b=b)}{zone}".replace(" ", ""), entity)
    except BadRequest:
        return
    assert found or not matched
    assert matched == found or not same


@pytest.mark.parametrize(
    "query",
    [
        *("PatientID=abc", "PatientID=a*", "PatientID=*b*", "PatientID=a?c", "PatientName=doe*", "PatientName=*DOE*"),
        *("StudyDate=20200101", "StudyDate=20200101-20200201", "ModalitiesInStudy=CT", "StudyInstanceUID=1.2,1.3"),
        *("PatientID=abc&StudyDate=-20200101&PatientName=*", "ModalitiesInStudy=CT%5CMR&multiplevaluematching=true"),
        *("", "PatientID=", "PatientComments=*"),
    ],
)
def test_common_queries_are_decided_by_the_index(query: str) -> None:
    assert probes(parse(STUDY, query))[1]


@pytest.mark.parametrize(
    "query",
    [
        *("PatientComments=x", "PatientName=doe&fuzzymatching=true", "StudyDate=20200101-20200102&StudyTime=10-11"),
        *("StudyDate=20200101&TimezoneOffsetFromUTC=%2B0100", "PatientName=doe^*", "PatientName=a=b"),
        *("PatientID=%22%22&emptyvaluematching=true", "PatientID=abc&PatientComments=x", "PatientID=" + "a" * 120),
        "OtherPatientIDsSequence.PatientID=x",
    ],
)
def test_other_queries_are_not(query: str) -> None:
    assert not probes(parse(STUDY, query))[1]


def test_probes_of_upper_levels_say_so() -> None:
    asked, decided = probes(parse(INSTANCE, "PatientID=a&Modality=CT&SOPClassUID=1.2"))
    assert [(probe.level, probe.tag) for probe in asked] == [
        (STUDY, "00100020"),
        (SERIES, "00080060"),
        (INSTANCE, "00080016"),
    ]
    assert decided


def test_every_value_and_group_is_a_term() -> None:
    entity = attributes(PatientName=["Doe^J=ドウ", "Roe"], PatientID=["a", None, " B "], StudyDate=["20200101", "x"])
    assert terms(STUDY, entity) == {
        Term(STUDY, "00100010", b"doe^j"),
        Term(STUDY, "00100010", "ドウ".encode()),
        Term(STUDY, "00100010", b"roe"),
        Term(STUDY, "00100020", b"a"),
        Term(STUDY, "00100020", b"B"),
        Term(STUDY, "00080020", b"20200101"),
    }


def test_computed_values_have_the_same_terms() -> None:
    entity = attributes(ModalitiesInStudy=["CT", "PT"])
    assert terms_of_values(STUDY, "00080061", ("CT", "PT")) == terms(STUDY, entity)


@given(TEXTS)
def test_terms_are_short_and_clean_A60(text: str) -> None:
    for level in Level:
        for term in terms(level, {tag: {"vr": "LO", "Value": [text, text * 50]} for tag in INDEXED_TAGS}):
            assert 0 < len(term.value) <= TERM_BYTES
            assert b"\x00" not in term.value
            assert b"\xff" not in term.value
            assert TRUNCATED not in term.value[:-1]
            assert term.value.removesuffix(TRUNCATED).decode()
