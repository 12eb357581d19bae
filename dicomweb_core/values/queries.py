"""A parsed search (PS3.18 8.3.4, 10.6; PS3.4 C.2.2.2): what to match, what to return, which page."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import IntEnum
from typing import NamedTuple

from dicomweb_core.values.resources import SeriesRef, StudyRef


class Level(IntEnum):
    """Of the Query/Retrieve information model (PS3.4 C.6.1.1). Patient attributes belong to STUDY."""

    STUDY = 1
    SERIES = 2
    INSTANCE = 3


# No tuples: two conditions of different kinds must never be equal, plans are kept by query.


@dataclass(frozen=True, slots=True)
class SingleValue:
    """Equal by the rules of the VR (PS3.4 C.2.2.2.1). DA, TM and DT are normalised as in `Range`."""

    value: str


@dataclass(frozen=True, slots=True)
class AnyUID:
    """One of the UIDs (PS3.4 C.2.2.2.2)."""

    values: frozenset[str]


@dataclass(frozen=True, slots=True)
class Universal:
    """Everything matches, the attribute is returned (PS3.4 C.2.2.2.3)."""


@dataclass(frozen=True, slots=True)
class Wildcard:
    """`*` any run, `?` exactly one character (PS3.4 C.2.2.2.4)."""

    pattern: str


@dataclass(frozen=True, slots=True)
class Range:
    """DA, TM or DT between two values, both included, None for an open end (PS3.4 C.2.2.2.5).

    The ends are as `rules.date_times` normalises them: DA 8 digits, TM 12 (HHMMSSFFFFFF), DT both, its offset behind.
    """

    first: str | None
    last: str | None


@dataclass(frozen=True, slots=True)
class CombinedRange:
    """A DA and a TM attribute as one interval (PS3.18 8.3.4.1.1). Ends are 20 digits, YYYYMMDDHHMMSSFFFFFF."""

    time_tag: str
    first: str | None
    last: str | None


@dataclass(frozen=True, slots=True)
class EmptyValue:
    """Absent or empty (PS3.4 C.2.2.2.7)."""


@dataclass(frozen=True, slots=True)
class AllValues:
    """Every one of the values is among those of the entity (PS3.4 C.2.2.2.8)."""

    values: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class WithinItem:
    """All keys match within one item of the sequence (PS3.4 C.2.2.2.6)."""

    keys: tuple[MatchKey, ...]


Condition = SingleValue | AnyUID | Universal | Wildcard | Range | CombinedRange | EmptyValue | AllValues | WithinItem


class MatchKey(NamedTuple):
    """An attribute and what its values must satisfy.

    A private attribute has the block-independent tag `gggg00ee`, its creator (PS3.5 7.8.1), and VR UN: the entity says
    what it is. A private creator is an attribute of its own, in whatever block: `gggg0010` without a creator.
    """

    tag: str
    vr: str
    condition: Condition
    creator: str | None = None
    fuzzy: bool = False
    """Of a person name: by words, see `rules.person_names`."""
    timezone: int | None = None
    """Minutes east of UTC that the dates and times of the condition are in; None if they are the entity's own."""


class AttributePath(NamedTuple):
    """An attribute of `includefield`: tags from the outside in (PS3.18 8.3.4.3), creator if the first is private."""

    tags: tuple[str, ...]
    creator: str | None = None


@dataclass(frozen=True, slots=True)
class Query:
    """A search of one resource. `limit` None means the server's own (`Limits.search_results`)."""

    level: Level
    within: StudyRef | SeriesRef | None = None
    keys: tuple[MatchKey, ...] = ()
    include: tuple[AttributePath, ...] = ()
    include_all: bool = False
    limit: int | None = None
    offset: int = 0
    timezone: int | None = None
    """Timezone Offset From UTC of the query, in minutes (PS3.18 8.3.4.1.1)."""
    needs_metadata: bool = False
    """Whether a key or a returned attribute is only in the full metadata of an instance."""
    warnings: tuple[str, ...] = ()
    """Texts for Warning headers: what of the query could not be honoured (PS3.18 8.3.4)."""


class Term(NamedTuple):
    """A normalised value of an attribute, for an index. Bytes never contain 0x00 or 0xFF."""

    level: Level
    tag: str
    value: bytes


@dataclass(frozen=True, slots=True)
class Probe:
    """A question an index can answer: terms of `tag` within any of the ranges (both ends included).

    With a pattern, only terms it matches in full. `exact`: the entities with such a term are those that match the
    key, no more; else they are a superset that has to be matched again. A term found through a pattern that ends with
    `index_terms.TRUNCATED` makes the answer inexact.
    """

    level: Level
    tag: str
    ranges: tuple[tuple[bytes, bytes], ...]
    pattern: re.Pattern[bytes] | None = None
    exact: bool = False
