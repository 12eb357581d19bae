"""Placeholder until the rules of matching arrive: what an index keeps of an entity, and what it can be asked."""

from __future__ import annotations

from typing import Final

from dicomweb_core.values.attributes import Attributes
from dicomweb_core.values.queries import AnyUID, Level, Probe, Query, Range, SingleValue, Term

_INDEXED: Final = {
    Level.STUDY: ("00080020", "00080050", "00080061", "00080062", "00100010", "00100020", "0020000D"),
    Level.SERIES: ("00080060", "0020000E"),
    Level.INSTANCE: ("00080016", "00080018"),
}


def terms(level: Level, attributes: Attributes) -> frozenset[Term]:
    """The terms of an entity of this level."""
    found = set()
    for tag in _INDEXED[level]:
        for value in attributes.get(tag, {}).get("Value", ()):
            text = value.get("Alphabetic", "") if isinstance(value, dict) else str(value)
            found.add(Term(level, tag, text.casefold().encode()[:128]))
    return frozenset(found)


def probes(query: Query) -> tuple[tuple[Probe, ...], bool]:
    """The questions to the index, and whether all keys are answered exactly by them."""
    made, exact = [], True
    for key in query.keys:
        level = next((level for level, tags in _INDEXED.items() if key.tag in tags), None)
        condition = key.condition
        if level is None or level > query.level:
            exact = False
        elif isinstance(condition, SingleValue):
            value = condition.value.casefold().encode()[:128]
            made.append(Probe(level, key.tag, ((value, value),), exact=True))
        elif isinstance(condition, AnyUID):
            ranges = tuple((uid.encode(), uid.encode()) for uid in sorted(condition.values))
            made.append(Probe(level, key.tag, ranges, exact=True))
        elif isinstance(condition, Range):
            first, last = (condition.first or "").encode(), condition.last
            made.append(Probe(level, key.tag, ((first, b"\xff" if last is None else last.encode()),), exact=True))
        else:
            exact = False
    return tuple(made), exact
