"""Entities made of keywords, for the tests of the search rules."""

from __future__ import annotations

from typing import Any

import orjson

from dicomweb_core.codecs.dictionary import tag_of, vr_of
from dicomweb_core.rules.entities import attributes_of
from dicomweb_core.rules.matching import matches
from dicomweb_core.rules.query_parser import parse_query
from dicomweb_core.rules.result_attributes import result
from dicomweb_core.rules.summaries import summarise
from dicomweb_core.values.attributes import Attributes
from dicomweb_core.values.candidates import Candidate, InstanceSummary, SeriesSummary, StudySummary
from dicomweb_core.values.limits import Limits
from dicomweb_core.values.queries import Level, Query
from dicomweb_core.values.resources import InstanceRef, SeriesRef, StudyRef

REF = InstanceRef("1.2.3", "1.2.3.4", "1.2.3.4.5")


def attributes(**values: Any) -> Attributes:
    """Of keywords, or of tags as `x00091001=("LO", "value")`. A list is several values, None is an empty attribute."""
    found: Attributes = {}
    for name, value in values.items():
        if name.startswith("x"):
            tag, (vr, value) = name[1:], value
        else:
            tag = tag_of(name) or name
            vr = vr_of(tag) or "UN"
        if value is None:
            found[tag] = {"vr": vr}
            continue
        several = value if isinstance(value, list) else [value]
        if vr == "PN":
            names = ("Alphabetic", "Ideographic", "Phonetic")
            several = [
                {n: g for n, g in zip(names, v.split("="), strict=False) if g} if isinstance(v, str) else v
                for v in several
            ]
        found[tag] = {"vr": vr, "Value": several}
    return dict(sorted(found.items()))


def candidate(level: Level, *, modalities: tuple[str, ...] = ("CT",), **values: Any) -> Candidate:
    """An entity as a store gives it, its metadata loaded."""
    ref = InstanceRef(
        values.pop("StudyInstanceUID", REF.study),
        values.pop("SeriesInstanceUID", REF.series),
        values.pop("SOPInstanceUID", REF.instance),
    )
    whole = attributes(StudyInstanceUID=ref.study, SeriesInstanceUID=ref.series, SOPInstanceUID=ref.instance, **values)
    texts = summarise(whole)
    sop_classes = tuple(whole.get("00080016", {}).get("Value", ()))
    study = StudySummary(ref.of_study, texts.study, 2, 5, modalities, sop_classes)
    if level is Level.STUDY:
        return Candidate(study)
    series = SeriesSummary(ref.of_series, texts.series, 3)
    if level is Level.SERIES:
        return Candidate(study, series)
    return Candidate(study, series, InstanceSummary(ref, texts.instance, "1.2.840.10008.1.2.1", orjson.dumps(whole)))


def parse(level: Level, query: str, within: StudyRef | SeriesRef | None = None) -> Query:
    """With the ordinary limits."""
    return parse_query(level, within, query, Limits())


def is_found(query: str, level: Level = Level.STUDY, **values: Any) -> bool:
    """Whether a query finds an entity."""
    return matches(parse(level, query).keys, attributes_of(candidate(level, **values)))


def answer(
    query: str, level: Level = Level.STUDY, within: StudyRef | SeriesRef | None = None, **values: Any
) -> Attributes:
    """The result for an entity."""
    parsed = parse(level, query, within)
    loaded: Attributes = orjson.loads(result(parsed, candidate(level, **values), "http://host/dicomweb/it"))
    return loaded
