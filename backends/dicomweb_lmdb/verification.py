"""Reads a whole store and compares it with itself: contents with checksums, rows with rows, rows with the index."""

from __future__ import annotations

from collections.abc import Iterator

from dicomweb_core.errors import CorruptBlob, NotFound
from dicomweb_core.storage.instances import Problem
from dicomweb_core.values.queries import Level
from dicomweb_core.values.resources import InstanceRef
from dicomweb_lmdb import lookups
from dicomweb_lmdb.blobs import BLOCK, open_blob
from dicomweb_lmdb.content_files import ContentFiles
from dicomweb_lmdb.environment import Environment, View
from dicomweb_lmdb.index import instance_keys, series_keys, study_keys
from dicomweb_lmdb.keys import TOTALS_KEY, id_of, pack_id, pack_member, pack_pair, pair_of
from dicomweb_lmdb.rows import FileRow, InstanceRow, SeriesRow, StudyRow, totals_of

_BATCH = 64
_READ_BYTES = 16 * BLOCK


def verify(environment: Environment, files: ContentFiles) -> Iterator[Problem]:
    """What is wrong. What is stored or deleted meanwhile is not mistaken for a problem."""
    yield from _totals(environment)
    following = 0
    while True:
        with environment.read() as view:
            batch = _studies_from(view, following)
            found = [problem for _, row, number in batch for problem in _study(view, number, row)]
        if not batch:
            break
        yield from found
        following = batch[-1][2] + 1
    after = (0, 0)
    while True:
        with environment.read() as view:
            instances = _instances_from(view, after)
            found = [problem for one in instances for problem in _instance(view, *one)]
            refs = [(_ref(view, series, row), series, number) for series, number, row in instances]
            contents = [lookups.file_row(view, series, number) for series, number, _ in instances]
        if not instances:
            return
        yield from found
        for (ref, series, number), content in zip(refs, contents, strict=True):
            if content is not None and ref is not None:
                yield from _content(environment, files, ref, (series, number), content)
        after = (instances[-1][0], instances[-1][1] + 1)


def _totals(environment: Environment) -> Iterator[Problem]:
    with environment.read() as view:
        txn, tables = view
        totals = totals_of(txn.get(TOTALS_KEY, db=tables.store))
        counted = [txn.stat(table)["entries"] for table in (tables.studies, tables.series, tables.arrivals)]
        rows = {txn.stat(table)["entries"] for table in (tables.instances, tables.files, tables.metadata)}
    if list(totals[:3]) != counted or rows != {totals.instances}:
        yield Problem(None, "The totals of the store are not what it contains.")


def _studies_from(view: View, first: int) -> list[tuple[bytes, StudyRow, int]]:
    found = []
    with view.txn.cursor(view.tables.studies) as cursor:
        if cursor.set_range(pack_id(first)):
            for key, packed in cursor.iternext():
                found.append((packed, StudyRow.unpack(packed), id_of(key)))
                if len(found) == _BATCH:
                    break
    return found


def _study(view: View, number: int, row: StudyRow) -> Iterator[Problem]:
    """Counts and index of a study and its series."""
    instances, series = 0, 0
    for one in lookups.members(view, view.tables.series_of_study, number):
        of_series = lookups.series_row(view, one)
        if of_series is None or of_series.study_id != number:
            yield Problem(None, "A study lists a series that is not there.")
            continue
        series += 1
        instances += of_series.instances
        with view.txn.cursor(view.tables.instances_of_series) as cursor:
            listed = cursor.count() if cursor.set_key(pack_id(one)) else 0
        if listed != of_series.instances or listed != _rows_of(view, one):
            yield Problem(None, "A series does not contain as many instances as it says.")
        yield from _indexed(view, one, series_keys(of_series), None)
    if (series, instances) != (row.series, row.instances) or instances != sum(row.sop_classes.values()):
        yield Problem(None, "A study does not contain what it says.")
    yield from _indexed(view, number, study_keys(row), None)


def _rows_of(view: View, series: int) -> int:
    count = 0
    with view.txn.cursor(view.tables.instances) as cursor:
        if cursor.set_range(pack_pair(series, 0)):
            for key in cursor.iternext(keys=True, values=False):
                if pair_of(key)[0] != series:
                    break
                count += 1
    return count


def _instances_from(view: View, first: tuple[int, int]) -> list[tuple[int, int, InstanceRow]]:
    found = []
    with view.txn.cursor(view.tables.instances) as cursor:
        if cursor.set_range(pack_pair(*first)):
            for key, packed in cursor.iternext():
                found.append((*pair_of(key), InstanceRow.unpack(packed)))
                if len(found) == _BATCH:
                    break
    return found


def _ref(view: View, series: int, row: InstanceRow) -> InstanceRef | None:
    of_series = lookups.series_row(view, series)
    study = lookups.study_row(view, of_series.study_id) if of_series is not None else None
    if of_series is None or study is None:
        return None
    return InstanceRef(study.uid, of_series.uid, row.uid)


def _instance(view: View, series: int, number: int, row: InstanceRow) -> Iterator[Problem]:
    """The rows of an instance among one another and with the index."""
    txn, tables = view
    ref, key = _ref(view, series, row), pack_pair(series, number)
    file: FileRow | None = lookups.file_row(view, series, number)
    of_series: SeriesRow | None = lookups.series_row(view, series)
    if ref is None or of_series is None:
        yield Problem(None, "An instance is of no series.")
        return
    if txn.get(pack_id(number), db=tables.arrivals) != pack_pair(of_series.study_id, series):
        yield Problem(ref, "The order of arrival does not know the instance.")
    if txn.get(key, db=tables.metadata) is None:
        yield Problem(ref, "The metadata are missing.")
    if file is None or file.size != row.size:
        yield Problem(ref, "The content is not described as the instance is.")
    elif file.name is not None and txn.get(file.name.pack(), db=tables.contents) is None:
        yield Problem(ref, "The content file is not marked as used.")
    yield from _indexed(view, number, instance_keys(row.uid, row.attributes), ref)


def _indexed(view: View, number: int, keys: frozenset[bytes], ref: InstanceRef | None) -> Iterator[Problem]:
    with view.txn.cursor(view.tables.terms) as cursor:
        if not all(cursor.set_key_dup(key, pack_member(number)) for key in keys):
            level = Level(next(iter(keys))[0]).name.lower()
            yield Problem(ref, f"The index does not find the {level} by its attributes.")


def _content(
    environment: Environment, files: ContentFiles, ref: InstanceRef, place: tuple[int, int], row: FileRow
) -> Iterator[Problem]:
    try:
        reader = open_blob(files, row)
        try:
            for at in range(0, row.size, _READ_BYTES):
                reader.read(at, min(_READ_BYTES, row.size - at))
        finally:
            reader.close()
    except (CorruptBlob, FileNotFoundError) as error:
        with environment.read() as view:
            try:
                now = lookups.file_row(view, *lookups.find_instance(view, ref))
            except NotFound:
                now = None
        if now == row:
            detail = error.detail if isinstance(error, CorruptBlob) else "The content file is missing."
            yield Problem(ref, detail)
