"""What an index keeps of an entity and what a query asks of it (PS3.18 Table 10.6.1-5, PS3.4 C.2.2.2).

The terms of an entity and the probes of a query are made by the same normalisation that `matching` uses: an entity that
matches a key has a term that satisfies every probe of the key. A probe that is `exact` finds no other entities.

A value longer than `TERM_BYTES` is cut, and its term ends with `TRUNCATED`. A pattern matches such a term in any case,
so what an exact probe with a pattern finds through one has to be matched again.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

from dicomweb_core.codecs.dictionary import tag_of
from dicomweb_core.rules import date_times, person_names
from dicomweb_core.rules.texts import has_wildcard, literal_prefix, normal, texts_of, utf8_pattern, values_of
from dicomweb_core.values.attributes import Attribute, Attributes
from dicomweb_core.values.queries import (
    AllValues,
    AnyUID,
    CombinedRange,
    Level,
    MatchKey,
    Probe,
    Query,
    Range,
    SingleValue,
    Term,
    Universal,
    Wildcard,
)

TERM_BYTES: Final = 120
"""Of one term at most, the mark of a truncated one included."""

TRUNCATED: Final = b"\x01"
"""Last byte of a term that is only the beginning of a value. Never elsewhere in a term."""

_AFTER_ALL: Final = b"\xff"

_INDEXED: Final[dict[Level, dict[str, str]]] = {
    level: {tag: vr for keyword, vr in keywords.items() if (tag := tag_of(keyword)) is not None}
    for level, keywords in {
        Level.STUDY: {
            "StudyInstanceUID": "UI",
            "PatientID": "LO",
            "PatientName": "PN",
            "PatientBirthDate": "DA",
            "StudyDate": "DA",
            "AccessionNumber": "SH",
            "StudyID": "SH",
            "StudyDescription": "LO",
            "ReferringPhysicianName": "PN",
            "ModalitiesInStudy": "CS",
            "SOPClassesInStudy": "UI",
        },
        Level.SERIES: {"SeriesInstanceUID": "UI", "Modality": "CS", "PerformedProcedureStepStartDate": "DA"},
        Level.INSTANCE: {"SOPInstanceUID": "UI", "SOPClassUID": "UI"},
    }.items()
}

_LEVEL_OF: Final = {tag: level for level, tags in _INDEXED.items() for tag in tags}

INDEXED_TAGS: Final = frozenset(_LEVEL_OF)
"""The attributes that have terms, of all levels."""


def terms(level: Level, attributes: Attributes) -> frozenset[Term]:
    """The terms of one entity. For a study, Modalities and SOP Classes in Study have to be among the attributes.

    Every value of an attribute is a term, of a person name every component group. Values that are no dates have none.
    """
    found: set[Term] = set()
    for tag, vr in _INDEXED[level].items():
        attribute = attributes.get(tag)
        if attribute is not None:
            found.update(Term(level, tag, term_bytes(text)) for text in _normal_values(vr, attribute))
    return frozenset(found)


def terms_of_values(level: Level, tag: str, values: tuple[str, ...]) -> frozenset[Term]:
    """The terms of computed values: Modalities in Study (0008,0061), SOP Classes in Study (0008,0062)."""
    return frozenset(Term(level, tag, term_bytes(text)) for value in values if (text := normal(value)))


def term_bytes(text: str) -> bytes:
    """UTF-8 of a normal text, cut at a character if it is too long. Contains neither 0x00 nor 0xFF."""
    encoded = text.encode("utf-8", "surrogatepass")
    if len(encoded) <= TERM_BYTES - 1:
        return encoded
    return _cut(encoded, TERM_BYTES - 1) + TRUNCATED


def probes(query: Query) -> tuple[tuple[Probe, ...], bool]:
    """The probes an index can answer, all of which hold for every match, and whether they decide the query.

    They decide it if nothing that all of them find fails to match: every key is universal or has exact probes only.
    """
    found: list[Probe] = []
    decided = True
    for key in query.keys:
        if isinstance(key.condition, Universal):
            continue
        of_key = _probes_of(key)
        found += of_key
        decided = decided and bool(of_key) and all(probe.exact for probe in of_key)
    return tuple(found), decided


def _normal_values(vr: str, attribute: Attribute) -> list[str]:
    if vr == "PN":
        return [group for value in values_of(attribute) for group in person_names.groups_of(value) if group]
    if vr == "DA":
        return [date for text in texts_of(attribute) if (date := date_times.date(text)) is not None]
    return list(texts_of(attribute))


def _probes_of(key: MatchKey) -> list[Probe]:
    if key.creator is not None or key.fuzzy or key.tag not in _LEVEL_OF:
        return []
    vr = _INDEXED[_LEVEL_OF[key.tag]][key.tag]
    match key.condition:
        case SingleValue(value) if vr == "DA":
            return [_dates(key, value, value)]
        case Range(first, last) if vr == "DA":
            return [_dates(key, first, last)]
        case CombinedRange(_, first, last):
            return [_dates(key, first and first[:8], last and last[:8], exact=False)]
        case SingleValue(value) | Wildcard(value) if vr == "PN":
            return _names(key, value)
        case SingleValue(value):
            return [_equal(key.tag, (normal(value),))]
        case AnyUID(uids):
            return [_equal(key.tag, tuple(sorted(uids)))]
        case AllValues(several) if vr != "PN":
            return [_equal(key.tag, (normal(value),)) for value in several]
        case Wildcard(pattern):
            return [_like(key.tag, normal(pattern))]
    return []


def _equal(tag: str, texts: tuple[str, ...], *, exact: bool = True) -> Probe:
    wanted = tuple(term_bytes(text) for text in texts)
    exact = exact and not any(term.endswith(TRUNCATED) for term in wanted)
    return Probe(_LEVEL_OF[tag], tag, tuple((term, term) for term in wanted), None, exact)


def _like(tag: str, pattern: str, *, exact: bool = True) -> Probe:
    prefix = literal_prefix(pattern)
    encoded = prefix.encode("utf-8", "surrogatepass")
    # a shorter prefix also begins the terms of values that were cut at a character
    begin = _cut(encoded, TERM_BYTES - 4)
    only_prefix = begin == encoded and pattern[len(prefix) :].strip("*") == ""
    return Probe(
        _LEVEL_OF[tag],
        tag,
        ((begin, begin + _AFTER_ALL),),
        None if only_prefix else utf8_pattern(pattern, unless=TRUNCATED),
        exact,
    )


def _names(key: MatchKey, value: str) -> list[Probe]:
    """One group is compared with every group of a name; of several the first given one only narrows the search."""
    groups = [person_names.group(text) for text in value.split("=")]
    wanted = next((group for group in groups if group), "")
    exact = len(groups) == 1
    if not wanted:
        return []
    if not has_wildcard(wanted):
        return [_equal(key.tag, (wanted,), exact=exact)]
    if "^" in wanted:
        # its empty components at the end match as if they were there: only what stands before the first is sure
        return [_like(key.tag, literal_prefix(wanted.partition("^")[0]) + "*", exact=False)]
    return [_like(key.tag, wanted, exact=exact)]


def _dates(key: MatchKey, first: str | None, last: str | None, *, exact: bool = True) -> Probe:
    if key.timezone is not None:
        # offsets lie between -12:00 and +14:00, so a date is at most two days from what it is elsewhere
        first, last, exact = first and _days_from(first, -2), last and _days_from(last, 2), False
    begin = (first or "").encode("ascii")
    end = last.encode("ascii") if last else _AFTER_ALL
    return Probe(_LEVEL_OF[key.tag], key.tag, ((begin, end),), None, exact)


def _days_from(date: str, days: int) -> str:
    try:
        day = datetime(int(date[:4]), int(date[4:6]), int(date[6:])) + timedelta(days=days)
    except (ValueError, OverflowError):
        return "00000000" if days < 0 else "99999999"
    return f"{day.year:04}{day.month:02}{day.day:02}"


def _cut(encoded: bytes, length: int) -> bytes:
    """At most that many bytes, whole characters."""
    if len(encoded) <= length:
        return encoded
    while length and encoded[length] & 0xC0 == 0x80:
        length -= 1
    return encoded[:length]
