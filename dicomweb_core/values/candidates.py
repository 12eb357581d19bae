"""What a search looks at (PS3.18 10.6): an entity of the queried level as it is stored, with the levels above it."""

from __future__ import annotations

from typing import NamedTuple

from dicomweb_core.values.resources import InstanceRef, SeriesRef, StudyRef


class StudySummary(NamedTuple):
    """A study for search: its attributes as JSON text, and what is computed over its content now."""

    ref: StudyRef
    attributes: bytes
    series: int
    instances: int
    modalities: tuple[str, ...]
    """Distinct, ascending."""
    sop_classes: tuple[str, ...]
    """Distinct, ascending."""


class SeriesSummary(NamedTuple):
    """A series for search."""

    ref: SeriesRef
    attributes: bytes
    instances: int


class InstanceSummary(NamedTuple):
    """An instance for search. `metadata` is empty unless the query needs it."""

    ref: InstanceRef
    attributes: bytes
    transfer_syntax_uid: str
    metadata: bytes


class Candidate(NamedTuple):
    """One entity of the queried level with the levels above it; None below."""

    study: StudySummary
    series: SeriesSummary | None = None
    instance: InstanceSummary | None = None
