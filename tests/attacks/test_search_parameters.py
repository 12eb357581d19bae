"""Hostile parameters of a search (A60, A61, A65): refused or answered, quickly, and never by more than asked for."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import quote

import pytest

from dicomweb_core.errors import BadRequest, InvalidQuery, URITooLong
from dicomweb_core.rules.index_terms import probes, terms
from dicomweb_core.rules.matching import matches
from dicomweb_core.rules.result_attributes import result
from dicomweb_core.values.queries import Level, WithinItem
from tests.entities import attributes, candidate, is_found, parse

STUDY, SERIES, INSTANCE = Level


@contextmanager
def within(seconds: float) -> Iterator[None]:
    before = time.process_time()
    yield
    assert time.process_time() - before < seconds


INJECTIONS = [
    "'", "''", "' OR '1'='1", "%", "%25", "_", "P_", "P%", "\\", "\\\\", "\\%", ";", "--", "$", "^P", "P$", ".", ".*",
    "P.", "[P]", "(P)", "P|Q", "P+", "P{1}", "\\w", "\\d+", "(?i)p", "(?:P", "\n", "P\n", "\xff", "‮", "PQ",
    '{"$ne":""}', "${jndi:x}", "{{7*7}}", "../..", "P Q", "p",
]  # fmt: skip


@pytest.mark.parametrize("value", INJECTIONS, ids=ascii)
def test_nothing_but_wildcards_has_a_meaning_A60(value: str) -> None:
    for name in ("PatientID", "AccessionNumber", "PatientComments"):
        try:
            found = is_found(f"{name}={quote(value)}", **{name: "P"})
        except InvalidQuery:
            continue
        assert found is (value.strip() == "P"), name
        assert is_found(f"{name}={quote(value)}", **{name: value}) is bool(value.strip()), name


@pytest.mark.parametrize("pattern", ["P.", "[P]*", "P|Q*", "(P)*", "\\w*", ".*"])
def test_a_wildcard_does_not_bring_expressions_A60(pattern: str) -> None:
    for query in (f"StudyDescription={quote(pattern)}", f"PatientComments={quote(pattern)}"):
        try:
            parsed = parse(STUDY, query)
        except InvalidQuery:
            continue
        assert not matches(parsed.keys, attributes(StudyDescription="PX", PatientComments="PX"))
        for probe in probes(parsed)[0]:
            assert probe.pattern is None or not probe.pattern.fullmatch(b"PX")


CATASTROPHES = [
    "*" * 100,
    "*a" * 100 + "b",
    "?" * 64,
    "*?" * 50,
    "a*" * 1000 + "b",
    "*" + "a" * 120 + "?*b",
    "*a?" * 60 + "b",
]


@pytest.mark.parametrize("pattern", CATASTROPHES, ids=lambda p: p[:8])
@pytest.mark.parametrize("name", ["PatientID", "PatientName", "PatientComments"])
def test_wildcards_are_linear_A60(name: str, pattern: str) -> None:
    query = parse(STUDY, f"{name}={pattern}")
    long = attributes(**{name: "a" * 100_000})
    short = terms(STUDY, attributes(**{name: ["a" * n for n in range(118, 130)]}))
    with within(1):
        assert matches(query.keys, long) is (set(pattern) <= {"*", "?"} and "*" in pattern)
        for probe in probes(query)[0]:
            for _ in range(100):
                for term in short:
                    if probe.pattern is not None:
                        probe.pattern.fullmatch(term.value)


@pytest.mark.parametrize(
    "name", ["PatientName", "PatientID", "StudyDate", "StudyInstanceUID", "PatientSize", "limit", "x"]
)
def test_long_values_are_refused_quickly_A60(name: str) -> None:
    with within(1), pytest.raises(URITooLong):
        parse(STUDY, f"{name}=" + "1" * 1_000_000)
    with within(1):
        try:
            parse(STUDY, f"{name}=" + "1" * 60_000)
        except BadRequest:
            pass


def test_many_parameters_are_quick_A61() -> None:
    with within(1):
        parse(INSTANCE, "includefield=" + ",".join(["PatientSize", "KVP", "nothing"] * 1300))
        parse(STUDY, "&".join(f"x{n}=1" for n in range(8000)))
    with within(1), pytest.raises(InvalidQuery):
        parse(INSTANCE, "includefield=" + ",".join(["PatientSize"] * 5000))
    with within(1), pytest.raises(InvalidQuery):
        parse(INSTANCE, "&".join(f"{0x00090010 + n:08X}=A&{0x00091001 + (n << 8):08X}=x" for n in range(200)))


@pytest.mark.parametrize("depth", [16, 17, 100, 1000])
def test_deep_paths_A61(depth: int) -> None:
    path = ".".join(["ReferencedSeriesSequence"] * (depth - 1) + ["SeriesInstanceUID"])
    for query in (f"{path}=1.2", f"includefield={path}"):
        if depth > 16:
            with pytest.raises(InvalidQuery):
                parse(INSTANCE, query)
            continue
        parsed = parse(INSTANCE, query)
        assert result(parsed, candidate(INSTANCE), "u")
        assert len(parsed.keys) == 0 or isinstance(parsed.keys[0].condition, WithinItem)


@pytest.mark.parametrize(
    "query",
    [
        *(
            "Nothing=x",
            "PatientNam=x",
            "00100099=x",
            "PatientID.x=y",
            "00091001=x",
            "SeriesDescription=x",
            "StudyDate=x",
        ),
        *(
            "PatientID=a&PatientID=b",
            "StudyDate=-",
            "StudyDate=--",
            "StudyDate=20200102-20200101",
            "StudyDate=20209999",
        ),
        *("StudyTime=2500-", "limit=1e18", "offset=abc", "fuzzymatching=maybe", "RetrieveURL=x", "SOPInstanceUID=1.2"),
    ],
)
def test_what_is_not_understood_never_widens_the_result_A61_A65(query: str) -> None:
    with pytest.raises(BadRequest):
        parse(STUDY, query)


@pytest.mark.parametrize("zone", ["%2B1400", "-1200", "%2B0000", "-0000"])
@pytest.mark.parametrize("date", ["00010101", "99991231", "20200229"])
def test_time_zones_at_the_edges_of_the_calendar_A65(date: str, zone: str) -> None:
    stored = {"StudyDate": date, "StudyTime": "000000", "TimezoneOffsetFromUTC": "+0000"}
    for form in ("{0}", "{0}-", "-{0}", "{0}-{0}", "{0}-{0}&StudyTime=00-23"):
        query = f"StudyDate={form.format(date)}&TimezoneOffsetFromUTC={zone}"
        assert is_found(query, **stored) in (True, False)
        parsed = parse(STUDY, query)
        entity = terms(STUDY, attributes(**stored))
        if is_found(query, **stored):
            for probe in probes(parsed)[0]:
                assert any(first <= term.value <= last for term in entity for first, last in probe.ranges)


def test_many_items_are_matched_in_proportion_A61() -> None:
    items = [attributes(PatientID=str(n)) for n in range(50_000)]
    entity = attributes(OtherPatientIDsSequence=items)
    query = parse(STUDY, "OtherPatientIDsSequence.PatientID=x&OtherPatientIDsSequence.TypeOfPatientID=*")
    with within(2):
        assert not matches(query.keys, entity)
