"""Searches over the index (PS3.18 10.6): which ids may match, and the rows of a page of them.

The probes of a query are answered level by level from the study down. What an index cannot narrow cheaply is left to
the comparison that follows: the answer is then a superset, and says so.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from dicomweb_core.rules.index_terms import TRUNCATED, probes
from dicomweb_core.storage.instances import Candidate, InstanceSummary, SeriesSummary, StudySummary
from dicomweb_core.values.queries import Level, Probe, Query
from dicomweb_core.values.resources import InstanceRef, StudyRef
from dicomweb_lmdb import lookups
from dicomweb_lmdb.environment import Environment, View
from dicomweb_lmdb.keys import (
    TIERS,
    TOTALS_KEY,
    id_of,
    pack_block,
    pack_id,
    pack_member,
    pack_pair,
    pair_of,
    tag_key,
)
from dicomweb_lmdb.rows import InstanceRow, SeriesRow, study_summary, total_of_level, totals_of

Ids = NDArray[np.uint64]
"""Ascending."""

_BATCH: Final = 128
_BATCH_BYTES: Final = 4 << 20
_MOST_IDS: Final = 1_000_000
"""Found by one probe. What finds more does not narrow: 8 MB and a walk through the index are saved."""
_FEW_OF_ALL: Final = 1_000
"""What does not decide and finds more than a quarter of all entities, and these, is not worth the walk."""
_MOST_TERMS: Final = 250_000
"""Looked at for one probe."""
_MOST_ABOVE: Final = 20_000
"""Entities of a level above whose members are listed; for more it is cheaper to compare again."""
_WORTH: Final = 16
"""A probe that finds so many times what is left is asked about each of those, one by one."""


class _Found(NamedTuple):
    """What a probe finds: terms of the index with how many ids each has."""

    probe: Probe
    keys: list[bytes]
    total: int
    exact: bool


class LMDBCandidates:
    """Candidates as ids; rows are read page by page, each batch in a transaction of its own."""

    def __init__(
        self, environment: Environment, level: Level, ids: Ids | None, *, exact: bool, needs_metadata: bool
    ) -> None:
        self._environment = environment
        self._level = level
        self._ids = ids
        self._exact = exact
        self._needs_metadata = needs_metadata

    @property
    def exact(self) -> bool:
        """Whether every candidate matches."""
        return self._exact

    def __len__(self) -> int:
        if self._ids is not None:
            return len(self._ids)
        with self._environment.read() as view:
            return _total(view, self._level)

    def __iter__(self) -> Iterator[Candidate]:
        return self.page(0, 1 << 62)

    def page(self, offset: int, limit: int) -> Iterator[Candidate]:
        """At most `limit`, after the first `offset`."""
        if self._ids is not None:
            yield from self._page_of_ids(self._ids[offset : offset + limit])
            return
        following: int | None = None
        while limit > 0:
            with self._environment.read() as view:
                if following is None:
                    following = _id_at(view, self._level, offset)
                batch = _ids_from(view, self._level, following, min(_BATCH, limit))
                found, looked_at = _candidates(view, self._level, batch, needs_metadata=self._needs_metadata)
            if not batch:
                return
            following = batch[looked_at - 1] + 1
            limit -= len(found)
            yield from found

    def _page_of_ids(self, ids: Ids) -> Iterator[Candidate]:
        at = 0
        while at < len(ids):
            batch = ids[at : at + _BATCH].tolist()
            with self._environment.read() as view:
                found, looked_at = _candidates(view, self._level, batch, needs_metadata=self._needs_metadata)
            at += looked_at
            yield from found


def search(environment: Environment, query: Query) -> LMDBCandidates:
    """The candidates of a query."""
    asked, exact = probes(query)
    with environment.read() as view:
        ids, all_used = _ids_of(view, query, asked)
    return LMDBCandidates(environment, query.level, ids, exact=exact and all_used, needs_metadata=query.needs_metadata)


# -- which ids --


def _ids_of(view: View, query: Query, asked: tuple[Probe, ...]) -> tuple[Ids | None, bool]:
    """The ids, None for all; whether every probe was used and is exact."""
    found = [_look_up(view, probe) for probe in asked if probe.level <= query.level]
    usable = [one for one in found if one is not None]
    exact = len(usable) == len(asked) and all(one.exact for one in usable)
    least = min((one.total for one in usable), default=0)
    within = _within(view, query)
    ids: Ids | None = None
    for level in Level:
        if level > query.level:
            break
        if ids is not None and len(ids) == 0:
            return ids, exact
        if level in within:
            ids = within[level]
        elif ids is not None:
            ids = _below(view, level, ids)
        for one in sorted((one for one in usable if one.probe.level is level), key=lambda one: one.total):
            if ids is None and level < query.level and one.total > max(_MOST_ABOVE, least):
                exact = False  # its members are too many to list, and another probe finds fewer
                continue
            ids = _load(view, one) if ids is None else _narrow(view, ids, one)
    return ids, exact


def _within(view: View, query: Query) -> dict[Level, Ids]:
    """The one study, and series, the search is in; empty if it is in everything."""
    within = query.within
    if within is None:
        return {}
    study = lookups.study_id(view, within.study)
    if study is None:
        return {Level.STUDY: _NO_IDS}
    of_study = {Level.STUDY: np.array([study], np.uint64)}
    if isinstance(within, StudyRef):
        return of_study
    series = lookups.series_id(view, study, within.series)
    return of_study | {Level.SERIES: _NO_IDS if series is None else np.array([series], np.uint64)}


def _look_up(view: View, probe: Probe) -> _Found | None:
    """The terms a probe finds; None if they are too many to be of use."""
    beginning = tag_key(probe.level, probe.tag)
    keys, total, exact, looked_at = [], 0, probe.exact, 0
    most = _MOST_IDS if probe.exact else min(_MOST_IDS, _FEW_OF_ALL + _total(view, probe.level) // 4)
    fits = probe.pattern.fullmatch if probe.pattern is not None else None
    with view.txn.cursor(view.tables.terms) as cursor:
        for first, last in probe.ranges:
            if first == last:
                if cursor.set_key(beginning + first) and (fits is None or fits(first)):
                    keys.append(beginning + first)
                    total += cursor.count()
                continue
            end = beginning + last
            if not cursor.set_range(beginning + first):
                continue
            for key in cursor.iternext_nodup(keys=True, values=False):
                if key > end or not key.startswith(beginning):
                    break
                looked_at += 1
                if fits is not None:
                    if fits(key[len(beginning) :]) is None:
                        continue
                    # A pattern takes whatever is cut short: that has to be compared with the whole value.
                    exact = exact and not key.endswith(TRUNCATED)
                keys.append(key)
                total += cursor.count()
                if total > most or looked_at > _MOST_TERMS:
                    return None
    if total > most:
        return None
    return _Found(probe, keys, total, exact)


def _load(view: View, found: _Found) -> Ids:
    """The ids of all terms, each once."""
    parts = []
    with view.txn.cursor(view.tables.terms) as cursor:
        single = bytearray()
        for key in found.keys:
            if cursor.set_key(key):
                if cursor.count() == 1:
                    single += cursor.value()
                else:
                    parts.append(
                        _members(cursor.getmulti([key], dupdata=True, dupfixed_bytes=8, keyfixed=True), len(key))
                    )
    parts.append(np.frombuffer(bytes(single), np.uint64))
    return np.unique(np.concatenate(parts)) if len(found.keys) != 1 else np.concatenate(parts)


def _narrow(view: View, ids: Ids, found: _Found) -> Ids:
    """Those of the ids that a probe finds."""
    if not len(ids) or not found.total:
        return _NO_IDS
    if len(found.keys) > 1 or found.total < _WORTH * len(ids):
        return _common(ids, _load(view, found))
    key = found.keys[0]
    with view.txn.cursor(view.tables.terms) as cursor:
        return np.array([one for one in ids.tolist() if cursor.set_key_dup(key, pack_member(one))], np.uint64)


def _common(ids: Ids, others: Ids) -> Ids:
    """The ids in both."""
    few, many = (ids, others) if len(ids) < len(others) else (others, ids)
    at = np.minimum(np.searchsorted(many, few), len(many) - 1)
    both: Ids = few[many[at] == few]
    return both


def _below(view: View, level: Level, ids: Ids) -> Ids:
    """The ids of a level below those of the level above, in order of arrival."""
    table = view.tables.series_of_study if level is Level.SERIES else view.tables.instances_of_series
    if not len(ids):
        return _NO_IDS
    keys = [pack_id(one) for one in ids.tolist()]
    with view.txn.cursor(table) as cursor:
        found = _members(cursor.getmulti(keys, dupdata=True, dupfixed_bytes=8, keyfixed=True), 8)
    return found if len(ids) == 1 else np.sort(found)


def _members(structured: memoryview, key_bytes: int) -> Ids:
    """The ids out of what `getmulti` gives: key and id, one after the other."""
    pairs = np.frombuffer(structured, np.dtype([("key", f"V{key_bytes}"), ("id", "=u8")]))
    return np.ascontiguousarray(pairs["id"])


_NO_IDS: Final = np.array([], np.uint64)


# -- all of a level --


def _total(view: View, level: Level) -> int:
    """How many entities of a level there are."""
    return total_of_level(totals_of(view.txn.get(TOTALS_KEY, db=view.tables.store)), level)


def _id_at(view: View, level: Level, offset: int) -> int:
    """An id with exactly `offset` living ids of the level before it."""
    first = 0
    for tier, shift in enumerate(TIERS):
        found = _block_at(view, level, tier, first >> shift, offset)
        if found is None:
            return _AFTER_ALL
        block, offset = found
        first = block << shift
    ids = _ids_from(view, level, first, offset + 1)
    return ids[-1] if len(ids) > offset else _AFTER_ALL


def _block_at(view: View, level: Level, tier: int, first: int, offset: int) -> tuple[int, int] | None:
    """The block, not before `first`, that holds the living id after `offset` others, and how many of those it holds."""
    with view.txn.cursor(view.tables.counts) as cursor:
        if cursor.set_range(pack_block(level, tier, first)):
            for key, count in cursor.iternext():
                if key[:2] != bytes((level, tier)):
                    break
                if offset < id_of(count):
                    return id_of(key[2:]), offset
                offset -= id_of(count)
    return None


_AFTER_ALL: Final = (1 << 64) - 1


def _ids_from(view: View, level: Level, first: int, limit: int) -> list[int]:
    """At most that many ids of a level, from one on."""
    ids: list[int] = []
    tables = view.tables
    table = {Level.STUDY: tables.studies, Level.SERIES: tables.series, Level.INSTANCE: tables.arrivals}[level]
    with view.txn.cursor(table) as cursor:
        if cursor.set_range(pack_id(first)):
            for key in cursor.iternext(keys=True, values=False):
                ids.append(id_of(key))
                if len(ids) >= limit:
                    break
    return ids


# -- rows --


def _candidates(view: View, level: Level, ids: list[int], *, needs_metadata: bool) -> tuple[list[Candidate], int]:
    """The rows of the ids that are still there, and how many ids were looked at: not all, if the texts are long."""
    rows = _Rows(view, needs_metadata=needs_metadata)
    read = {Level.STUDY: rows.study, Level.SERIES: rows.series, Level.INSTANCE: rows.instance}[level]
    found = []
    for looked_at, one in enumerate(ids, 1):
        candidate = read(one)
        if candidate is not None:
            found.append(candidate)
        if rows.bytes > _BATCH_BYTES:
            return found, looked_at
    return found, len(ids)


class _Rows:
    """Candidates by id; the rows of the levels above are read once."""

    def __init__(self, view: View, *, needs_metadata: bool) -> None:
        self._view = view
        self._needs_metadata = needs_metadata
        self._studies: dict[int, StudySummary] = {}
        self._series: dict[int, tuple[StudySummary, SeriesSummary]] = {}
        self.bytes = 0

    def study(self, study: int) -> Candidate | None:
        packed = self._view.txn.get(pack_id(study), db=self._view.tables.studies)
        if packed is None:
            return None
        self.bytes += len(packed)
        return Candidate(study_summary(packed))

    def series(self, series: int) -> Candidate | None:
        above = self._above(series)
        if above is None:
            return None
        self.bytes += len(above[1].attributes)
        return Candidate(*above)

    def instance(self, instance: int) -> Candidate | None:
        txn, tables = self._view
        arrived = txn.get(pack_id(instance), db=tables.arrivals)
        if arrived is None:
            return None
        _, series = pair_of(arrived)
        above, key = self._above(series), pack_pair(series, instance)
        packed = txn.get(key, db=tables.instances)
        if above is None or packed is None:
            return None
        row = InstanceRow.unpack(packed)
        metadata = txn.get(key, db=tables.metadata, default=b"") if self._needs_metadata else b""
        self.bytes += len(packed) + len(metadata)
        study, of_series = above
        ref = InstanceRef(study.ref.study, of_series.ref.series, row.uid)
        return Candidate(study, of_series, InstanceSummary(ref, row.attributes, row.transfer_syntax_uid, metadata))

    def _above(self, series: int) -> tuple[StudySummary, SeriesSummary] | None:
        if series not in self._series:
            packed = self._view.txn.get(pack_id(series), db=self._view.tables.series)
            if packed is None:
                return None
            row = SeriesRow.unpack(packed)
            study = self._studies.get(row.study_id)
            if study is None:
                of_study = self._view.txn.get(pack_id(row.study_id), db=self._view.tables.studies)
                if of_study is None:
                    return None
                study = self._studies[row.study_id] = study_summary(of_study)
            self._series[series] = (study, row.summary(study.ref))
        return self._series[series]
