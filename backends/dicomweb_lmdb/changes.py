"""What one write transaction does to studies, series and instances, their counts and their index."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import orjson

from dicomweb_core.rules.summaries import merge
from dicomweb_core.storage.instances import InstanceRecord, Statistics
from dicomweb_core.values.attributes import first_text
from dicomweb_core.values.queries import Level
from dicomweb_core.values.resources import InstanceRef, SeriesRef, StudyRef
from dicomweb_lmdb import lookups
from dicomweb_lmdb.environment import View
from dicomweb_lmdb.index import instance_keys, recount, reindex, series_keys, study_keys
from dicomweb_lmdb.keys import COUNTERS_KEY, TIERS, TOTALS_KEY, deleted_key, pack_id, pack_member, pack_pair
from dicomweb_lmdb.rows import (
    ContentName,
    Counters,
    FileRow,
    InstanceRow,
    SeriesRow,
    StudyRow,
    pack_totals,
    totals_of,
)

_MODALITY: Final = "00080060"
_NOTHING: Final = b""

# The instances of a series say the same again and again; both are pure.
_merged: Final = lru_cache(maxsize=256)(merge)


@lru_cache(maxsize=256)
def _modality(attributes: bytes) -> str:
    return first_text(orjson.loads(attributes), _MODALITY)


@dataclass(slots=True)
class _Study:
    number: int
    row: StudyRow
    keys: frozenset[bytes] | None
    """What the index says of it; None if that is what follows from the row when it was read."""
    before: tuple[bytes, frozenset[str], frozenset[str]]


@dataclass(slots=True)
class _Series:
    number: int
    row: SeriesRow
    study: _Study
    keys: frozenset[bytes] | None
    before: bytes


class Changes:
    """Collects in memory what many instances change in common; `finish` writes it, once."""

    def __init__(self, view: View) -> None:
        self._view = view
        store = view.tables.store
        self._counters = Counters.unpack(view.txn.get(COUNTERS_KEY, db=store))
        self._totals = list(totals_of(view.txn.get(TOTALS_KEY, db=store)))
        self._studies: dict[int, _Study] = {}
        self._series: dict[int, _Series] = {}
        self._study_ids: dict[str, int] = {}
        self._series_ids: dict[SeriesRef, int] = {}
        self._alive: Counter[tuple[Level, int]] = Counter()
        self._any_deleted = view.txn.stat(view.tables.deleted)["entries"] > 0
        self.unused: list[ContentName] = []
        """Content files nothing names any more; in the trash."""

    def find(self, uid: str) -> tuple[InstanceRef, int, int] | None:
        """Where a SOP Instance UID is, with the ids of series and instance; what was just added included."""
        place = lookups.place_of_instance(self._view, uid)
        if place is None:
            return None
        series = self._opened_series(place[1])
        return InstanceRef(series.study.row.uid, series.row.uid, uid), place[1], place[2]

    # -- adding --

    def insert(self, record: InstanceRecord, file: FileRow) -> None:
        """An instance that is not there."""
        ref = record.ref
        study = self._study_for(ref.of_study, record.study)
        series = self._series_for(study, ref.of_series, record.series)
        self._counters.instance += 1
        number = self._counters.instance
        self._join(series, record, alone=False)
        self._count(Level.INSTANCE, number, 1)
        self._totals[3] += file.size
        series.row.instances += 1
        study.row.instances += 1
        study.row.sop_classes[record.sop_class_uid] += 1
        txn, tables = self._view
        txn.put(pack_id(number), pack_pair(study.number, series.number), db=tables.arrivals, append=True)
        txn.put(pack_id(series.number), pack_member(number), db=tables.instances_of_series)
        self._put(series, number, record, file)
        reindex(self._view, number, (), instance_keys(ref.instance, record.instance))
        self._forget_deletion(ref)

    def replace(self, series_number: int, number: int, record: InstanceRecord, file: FileRow) -> None:
        """Other bytes for an instance that keeps its place."""
        old = self._instance(series_number, number)
        series = self._opened_series(series_number)
        self._join(series, record, alone=True)
        if old.sop_class_uid != record.sop_class_uid:
            _less(series.study.row.sop_classes, old.sop_class_uid)
            series.study.row.sop_classes[record.sop_class_uid] += 1
        self._totals[3] += file.size - old.size
        self._drop_content(series_number, number)
        self._put(series, number, record, file)
        uid = record.ref.instance
        reindex(self._view, number, instance_keys(uid, old.attributes), instance_keys(uid, record.instance))

    def renew(self, series_number: int, number: int, file: FileRow) -> None:
        """The same bytes in a new place, the old one being damaged."""
        self._drop_content(series_number, number)
        self._put_file(series_number, number, file)

    def _join(self, series: _Series, record: InstanceRecord, *, alone: bool) -> None:
        """The attributes of the study and the series after one more, or another, instance.

        Where an instance takes the place of the only one, there is nothing else to say.
        """
        study = series.study.row
        if alone and study.instances == 1:
            study.attributes = record.study
        elif study.attributes != record.study:
            study.attributes = _merged(study.attributes, record.study)
        before = series.row.attributes
        if alone and series.row.instances == 1:
            series.row.attributes = record.series
        elif before != record.series:
            series.row.attributes = _merged(before, record.series)
        modality = _modality(series.row.attributes)
        if modality != series.row.modality:
            _less(study.modalities, series.row.modality)
            if modality:
                study.modalities[modality] += 1
            series.row.modality = modality

    def _put(self, series: _Series, number: int, record: InstanceRecord, file: FileRow) -> None:
        uids = (record.ref.instance, record.sop_class_uid, record.transfer_syntax_uid)
        row = InstanceRow(*uids, file.size, self._new_version(series.study), record.instance)
        key, (txn, tables) = pack_pair(series.number, number), self._view
        txn.put(key, row.pack(), db=tables.instances)
        txn.put(key, record.metadata, db=tables.metadata)
        self._put_file(series.number, number, file)

    def _new_version(self, study: _Study) -> int:
        """One never used before, by an instance or by its study."""
        self._counters.version += 1
        study.row.version = self._counters.version
        return study.row.version

    def _put_file(self, series: int, number: int, file: FileRow) -> None:
        txn, tables = self._view
        txn.put(pack_pair(series, number), file.pack(), db=tables.files)
        if file.name is not None:
            txn.put(file.name.pack(), _NOTHING, db=tables.contents)

    def _forget_deletion(self, ref: InstanceRef) -> None:
        if self._any_deleted:
            for path in (ref, ref.of_series, ref.of_study):
                self._view.txn.delete(deleted_key(path), db=self._view.tables.deleted)

    # -- taking away --

    def remove(self, series_number: int, number: int) -> None:
        """Deletes one instance, and its series and study if they are empty then."""
        old = self._instance(series_number, number)
        series = self._opened_series(series_number)
        study, key = series.study, pack_pair(series_number, number)
        self._new_version(study)
        self._drop_content(series_number, number)
        reindex(self._view, number, instance_keys(old.uid, old.attributes), ())
        txn, tables = self._view
        for table in (tables.instances, tables.files, tables.metadata):
            txn.delete(key, db=table)
        txn.delete(pack_id(number), db=tables.arrivals)
        txn.delete(pack_id(series_number), pack_member(number), db=tables.instances_of_series)
        self._count(Level.INSTANCE, number, -1)
        self._totals[3] -= old.size
        ref = InstanceRef(study.row.uid, series.row.uid, old.uid)
        txn.put(deleted_key(ref), _NOTHING, db=tables.deleted)
        self._any_deleted = True
        series.row.instances -= 1
        study.row.instances -= 1
        _less(study.row.sop_classes, old.sop_class_uid)
        if not series.row.instances:
            self._remove_series(series, ref)

    def _remove_series(self, series: _Series, ref: InstanceRef) -> None:
        study, (txn, tables) = series.study, self._view
        reindex(self._view, series.number, self._keys_of_series(series), ())
        txn.delete(pack_id(series.number), db=tables.series)
        txn.delete(pack_id(study.number), pack_member(series.number), db=tables.series_of_study)
        txn.put(deleted_key(ref.of_series), _NOTHING, db=tables.deleted)
        self._count(Level.SERIES, series.number, -1)
        del self._series[series.number]
        self._series_ids.pop(ref.of_series, None)
        _less(study.row.modalities, series.row.modality)
        study.row.series -= 1
        if not study.row.series:
            reindex(self._view, study.number, self._keys_of_study(study), ())
            txn.delete(pack_id(study.number), db=tables.studies)
            txn.put(deleted_key(ref.of_study), _NOTHING, db=tables.deleted)
            self._count(Level.STUDY, study.number, -1)
            del self._studies[study.number]
            self._study_ids.pop(ref.study, None)

    def _drop_content(self, series: int, number: int) -> None:
        file = lookups.file_row(self._view, series, number)
        if file is not None and file.name is not None:
            txn, tables = self._view
            txn.delete(file.name.pack(), db=tables.contents)
            txn.put(file.name.pack(), _NOTHING, db=tables.trash)
            self.unused.append(file.name)

    # -- in common --

    def finish(self) -> None:
        """Writes the rows of studies and series, the counts and the counters."""
        txn, tables = self._view
        for series in self._series.values():
            if series.keys is not None or series.row.attributes != series.before:
                reindex(self._view, series.number, self._keys_of_series(series), series_keys(series.row))
            txn.put(pack_id(series.number), series.row.pack(), db=tables.series)
        for study in self._studies.values():
            if study.keys is not None or _said(study.row) != study.before:
                reindex(self._view, study.number, self._keys_of_study(study), study_keys(study.row))
            txn.put(pack_id(study.number), study.row.pack(), db=tables.studies)
        recount(self._view, self._alive)
        txn.put(COUNTERS_KEY, self._counters.pack(), db=tables.store)
        txn.put(TOTALS_KEY, pack_totals(Statistics(*self._totals)), db=tables.store)

    def _count(self, level: Level, number: int, change: int) -> None:
        self._alive[level, number >> TIERS[-1]] += change
        self._totals[level - 1] += change

    def _instance(self, series: int, number: int) -> InstanceRow:
        row = lookups.instance_row(self._view, series, number)
        assert row is not None
        return row

    def _study_for(self, ref: StudyRef, attributes: bytes) -> _Study:
        number = self._study_ids.get(ref.study) or lookups.study_id(self._view, ref.study)
        if number is not None:
            self._study_ids[ref.study] = number
            return self._opened_study(number)
        self._counters.study += 1
        number = self._counters.study
        row = StudyRow(ref.study, attributes)
        made = _Study(number, row, frozenset(), _said(row))
        self._studies[number], self._study_ids[ref.study] = made, number
        self._count(Level.STUDY, number, 1)
        return made

    def _series_for(self, study: _Study, ref: SeriesRef, attributes: bytes) -> _Series:
        number = self._series_ids.get(ref) or lookups.series_id(self._view, study.number, ref.series)
        if number is not None:
            self._series_ids[ref] = number
            return self._opened_series(number)
        self._counters.series += 1
        number = self._counters.series
        made = _Series(number, SeriesRow(study.number, ref.series, attributes), study, frozenset(), attributes)
        self._series[number], self._series_ids[ref] = made, number
        study.row.series += 1
        txn, tables = self._view
        txn.put(pack_id(study.number), pack_member(number), db=tables.series_of_study)
        self._count(Level.SERIES, number, 1)
        return made

    def _opened_study(self, number: int) -> _Study:
        if number not in self._studies:
            row = lookups.study_row(self._view, number)
            assert row is not None
            self._studies[number] = _Study(number, row, None, _said(row))
        return self._studies[number]

    def _opened_series(self, number: int) -> _Series:
        if number not in self._series:
            row = lookups.series_row(self._view, number)
            assert row is not None
            study = self._opened_study(row.study_id)
            self._series[number] = _Series(number, row, study, None, row.attributes)
        return self._series[number]

    def _keys_of_study(self, study: _Study) -> frozenset[bytes]:
        if study.keys is not None:
            return study.keys
        attributes, modalities, sop_classes = study.before
        before = StudyRow(study.row.uid, attributes, 0, 0, Counter(modalities), Counter(sop_classes))
        return study_keys(before)

    def _keys_of_series(self, series: _Series) -> frozenset[bytes]:
        if series.keys is not None:
            return series.keys
        return series_keys(SeriesRow(series.row.study_id, series.row.uid, series.before))


def _said(row: StudyRow) -> tuple[bytes, frozenset[str], frozenset[str]]:
    """What the index of a study is made of."""
    return row.attributes, frozenset(row.modalities), frozenset(row.sop_classes)


def _less(counted: Counter[str], what: str) -> None:
    """One less; nothing is kept of what is no more."""
    if counted[what] > 1:
        counted[what] -= 1
    else:
        del counted[what]
