"""An instance store on a local disk (PS3.18 10): LMDB for rows, index and small files, content files for the rest."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Final, NamedTuple, TypeVar

from dicomweb_core.errors import CorruptBlob, Superseded
from dicomweb_core.storage.instances import (
    BlobReader,
    InstanceRecord,
    OnDuplicate,
    Outcome,
    Pending,
    Problem,
    Statistics,
    StoredInstance,
    StudySummary,
)
from dicomweb_core.values.limits import Limits
from dicomweb_core.values.queries import Query
from dicomweb_core.values.resources import InstanceRef, Ref, StudyRef
from dicomweb_lmdb import lookups, sweeping
from dicomweb_lmdb.blobs import LMDBStagedBlob, open_blob, same_bytes
from dicomweb_lmdb.candidates import LMDBCandidates, search
from dicomweb_lmdb.changes import Changes
from dicomweb_lmdb.content_files import ContentFiles, Writer
from dicomweb_lmdb.environment import Environment, View, as_ours
from dicomweb_lmdb.keys import IDENTITY_KEY, TOTALS_KEY, pack_id, pack_pair, pair_of
from dicomweb_lmdb.rows import ContentName, FileRow, InstanceRow, StudyRow, study_summary, totals_of
from dicomweb_lmdb.verification import verify

MAP_SIZE: Final = 1 << 40
"""Address space, not disk: what the tables can ever grow to."""

_BATCH: Final = 128
_BATCH_BYTES: Final = 4 << 20

T = TypeVar("T")


class _Prepared(NamedTuple):
    """One pending instance whose content is durable."""

    blob: LMDBStagedBlob
    record: InstanceRecord
    file: FileRow


class LMDBInstanceStore:
    """Composite instances below a directory, for many threads and processes of one machine.

    A commit is durable when it returns. Opening takes no longer for a large store than for a small one; it removes
    what processes that died have left. The directory must be on a local file system.
    """

    def __init__(self, path: str | os.PathLike[str], *, limits: Limits | None = None, map_size: int = MAP_SIZE) -> None:
        self.limits = limits or Limits()
        root = Path(path)
        self._environment = Environment(root, map_size=map_size)
        self._files = ContentFiles(root)
        self._writer: Writer | None = None
        self._writer_lock = threading.Lock()
        self._unlinked: list[ContentName] = []
        with self._environment.read():
            pass
        sweeping.sweep(self._environment, self._files)

    # -- storing --

    def stage(self) -> LMDBStagedBlob:
        """A place for the bytes of one instance."""
        return LMDBStagedBlob(self._files, self._writer_of_process)

    def commit(self, pending: Sequence[Pending], *, on_duplicate: OnDuplicate) -> list[Outcome]:
        """Makes all of them visible and durable at once, one outcome each, in order.

        Raises OutOfSpace, StorageUnavailable when nothing was committed, ValueError for a blob that is not sealed.
        """
        blobs: list[LMDBStagedBlob] = []
        for blob, _ in pending:
            if not isinstance(blob, LMDBStagedBlob) or not blob.committable:
                raise ValueError("A blob to commit is of another store, not sealed, or was used before.")
            blobs.append(blob)
        if len(set(map(id, blobs))) < len(blobs):
            raise ValueError("A blob occurs twice among the pending.")
        try:
            prepared = [
                _Prepared(blob, one.record, blob.row(one.record.layout)) if blob.wait_until_durable() else None
                for blob, one in zip(blobs, pending, strict=True)
            ]
            self._flush_directories([one for one in prepared if one is not None])
            known = self._compare(prepared)
            outcomes = self._write(prepared, on_duplicate, known)
        finally:
            for blob in blobs:
                blob.discard()
        return outcomes

    def _flush_directories(self, prepared: list[_Prepared]) -> None:
        names = [one.file.name for one in prepared if one.file.name is not None]
        if names:
            try:
                self._writer_of_process().flush_directories(names)
            except OSError as error:
                raise as_ours(error) from error

    def _compare(self, prepared: list[_Prepared | None]) -> dict[tuple[FileRow, FileRow], bool | None]:
        """Comparisons of contents that are there already, made before the write lock is taken."""
        known: dict[tuple[FileRow, FileRow], bool | None] = {}
        with self._environment.read() as view:
            pairs = []
            for one in prepared:
                place = lookups.place_of_instance(view, one.record.ref.instance) if one is not None else None
                kept = lookups.file_row(view, *place[1:]) if place is not None else None
                if one is not None and kept is not None:
                    pairs.append((kept, one.file))
        for kept, new in pairs:
            known[kept, new] = self._same(kept, new)
        return known

    def _same(self, kept: FileRow, new: FileRow) -> bool | None:
        """Whether the bytes are the same; None if those kept should be, by their checksums, and are damaged."""
        if kept.size != new.size or kept.checksums != new.checksums:
            return False
        try:
            return same_bytes(self._files, kept, new)
        except (FileNotFoundError, CorruptBlob):
            return None

    def _write(
        self,
        prepared: list[_Prepared | None],
        on_duplicate: OnDuplicate,
        known: dict[tuple[FileRow, FileRow], bool | None],
    ) -> list[Outcome]:
        outcomes = []
        keeping: list[LMDBStagedBlob] = []
        writing = self._environment.write()
        try:
            with writing as view:
                self._forget_unlinked(view)
                changes = Changes(view)
                for one in prepared:
                    outcome, kept = Outcome.OUT_OF_SPACE, False
                    if one is not None:
                        outcome, kept = self._store(view, changes, one, on_duplicate, known)
                    if one is not None and kept:
                        keeping.append(one.blob)
                    outcomes.append(outcome)
                changes.finish()
                if any(blob.name is not None for blob in keeping):
                    sweeping.record_writer(view, self._writer_of_process())
        except BaseException:
            if writing.attempted:
                for blob in keeping:
                    blob.abandon()
            raise
        for blob in keeping:
            blob.committed()
        self._unlink(changes.unused)
        if writing.checked_readers:
            sweeping.sweep(self._environment, self._files)
        return outcomes

    def _store(
        self,
        view: View,
        changes: Changes,
        one: _Prepared,
        on_duplicate: OnDuplicate,
        known: dict[tuple[FileRow, FileRow], bool | None],
    ) -> tuple[Outcome, bool]:
        """The outcome of one instance, and whether its blob is in use now."""
        found = changes.find(one.record.ref.instance)
        if found is None:
            changes.insert(one.record, one.file)
            return Outcome.STORED, True
        ref, series, number = found
        if ref != one.record.ref:
            return Outcome.ELSEWHERE, False
        kept = lookups.file_row(view, series, number)
        assert kept is not None
        same = known[kept, one.file] if (kept, one.file) in known else self._same(kept, one.file)
        if same is None:
            changes.renew(series, number, one.file)
            return Outcome.ALREADY_STORED, True
        if same:
            return Outcome.ALREADY_STORED, False
        if on_duplicate is OnDuplicate.KEEP:
            return Outcome.DUPLICATE, False
        if on_duplicate is OnDuplicate.IGNORE:
            return Outcome.IGNORED, False
        changes.replace(series, number, one.record, one.file)
        return Outcome.REPLACED, True

    # -- retrieving --

    def get(self, ref: InstanceRef) -> StoredInstance:
        """Raises NotFound, Gone."""
        with self._environment.read() as view:
            place = lookups.find_instance(view, ref)
            return _stored(view, ref, *place)

    def open(self, instance: InstanceRef | StoredInstance) -> BlobReader:
        """The Part 10 file. Raises NotFound, Gone, Superseded, CorruptBlob."""
        if not isinstance(instance, StoredInstance):
            return self._open_current(instance)
        if instance.locator:
            with contextlib.suppress(FileNotFoundError):  # replaced or deleted, or lost
                return open_blob(self._files, FileRow.unpack(instance.locator))
        return self._open_current(instance.ref, instance.version)

    def _open_current(self, ref: InstanceRef, version: int | None = None) -> BlobReader:
        missing: FileRow | None = None
        while True:
            with self._environment.read() as view:
                place = lookups.find_instance(view, ref)
                row = lookups.file_row(view, *place)
                if version is not None:
                    found = lookups.instance_row(view, *place)
                    if found is None or found.version != version:
                        raise Superseded("The instance was replaced meanwhile.")
            assert row is not None
            if row == missing:
                raise CorruptBlob("The content of an instance is missing.")
            try:
                return open_blob(self._files, row)
            except FileNotFoundError:
                missing = row  # replaced or deleted since we looked, or lost

    def instances(self, within: Ref) -> Iterator[StoredInstance]:
        """All below, series by series. Raises NotFound or Gone before the first."""

        def read(view: View, ref: InstanceRef, series: int, number: int) -> tuple[StoredInstance, int]:
            stored = _stored(view, ref, series, number)
            return stored, len(stored.packed_layout)

        return self._all(within, read)

    def metadata(self, within: Ref) -> Iterator[tuple[InstanceRef, bytes]]:
        """The metadata of all below, in the same order. Raises NotFound or Gone before the first."""

        def read(view: View, ref: InstanceRef, series: int, number: int) -> tuple[tuple[InstanceRef, bytes], int]:
            text = view.txn.get(pack_pair(series, number), db=view.tables.metadata, default=b"")
            return (ref, text), len(text)

        return self._all(within, read)

    def _all(self, within: Ref, read: Callable[[View, InstanceRef, int, int], tuple[T, int]]) -> Iterator[T]:
        with self._environment.read() as view:
            scope = lookups.find(view, within)
            first, after = _batch(view, within, scope, (scope.series or 0, 0), read)

        def rest() -> Iterator[T]:
            found, following = first, after
            while True:
                yield from found
                if following is None:
                    return
                with self._environment.read() as view:
                    found, following = _batch(view, within, scope, following, read)

        return rest()

    def version(self, within: Ref) -> bytes:
        """Of the instance, or of the study it is in. Raises NotFound, Gone."""
        with self._environment.read() as view:
            place = lookups.find(view, within)
            row: InstanceRow | StudyRow | None
            if place.series is not None and place.instance is not None:
                row = lookups.instance_row(view, place.series, place.instance)
            else:
                row = lookups.study_row(view, place.study)
            identity = view.txn.get(IDENTITY_KEY, db=view.tables.store)
        assert row is not None
        assert identity is not None
        return identity + row.version.to_bytes(8, "big")

    def study(self, ref: StudyRef) -> StudySummary:
        """Raises NotFound, Gone."""
        with self._environment.read() as view:
            packed = view.txn.get(pack_id(lookups.find(view, ref).study), db=view.tables.studies)
        assert packed is not None
        return study_summary(packed)

    def candidates(self, query: Query) -> LMDBCandidates:
        """Those that may match."""
        return search(self._environment, query)

    # -- deleting --

    def delete(self, within: Ref) -> int:
        """Deletes all below; how many instances. Durable on return. Raises NotFound, Gone."""
        with self._environment.write() as view:
            self._forget_unlinked(view)
            scope = lookups.find(view, within)
            if scope.instance is not None and scope.series is not None:
                doomed = [(scope.series, scope.instance)]
            else:
                tables = view.tables
                series = (
                    [scope.series]
                    if scope.series is not None
                    else list(lookups.members(view, tables.series_of_study, scope.study))
                )
                doomed = [
                    (one, number) for one in series for number in lookups.members(view, tables.instances_of_series, one)
                ]
            changes = Changes(view)
            for place in doomed:
                changes.remove(*place)
            changes.finish()
        self._unlink(changes.unused)
        return len(doomed)

    def _unlink(self, unused: list[ContentName]) -> None:
        """Unlinks what the index has let go. What the trash says of it is removed by the next transaction."""
        self._unlinked += [name for name in unused if self._files.unlink(name)]

    def _forget_unlinked(self, view: View) -> None:
        while self._unlinked:
            with contextlib.suppress(IndexError):
                view.txn.delete(self._unlinked.pop().pack(), db=view.tables.trash)

    # -- the whole --

    def statistics(self) -> Statistics:
        """Counts of what is committed."""
        with self._environment.read() as view:
            return totals_of(view.txn.get(TOTALS_KEY, db=view.tables.store))

    def verify(self) -> Iterator[Problem]:
        """Reads everything and compares checksums and index."""
        return verify(self._environment, self._files)

    def close(self) -> None:
        """Frees what is held. Idempotent. Nothing acknowledged depends on it."""
        with self._writer_lock:
            writer, self._writer = self._writer, None
            if writer is not None:
                writer.close()
        self._environment.close()

    def _writer_of_process(self) -> Writer:
        with self._writer_lock:
            if self._writer is None or self._writer.pid != os.getpid():
                try:
                    self._writer = Writer(self._files)
                except OSError as error:
                    raise as_ours(error) from error
            return self._writer


def _stored(view: View, ref: InstanceRef, series: int, number: int) -> StoredInstance:
    row, file = lookups.instance_row(view, series, number), lookups.file_row(view, series, number)
    assert row is not None
    assert file is not None
    return StoredInstance(
        ref, row.sop_class_uid, row.transfer_syntax_uid, row.size, file.layout, row.version, file.locator
    )


def _batch(
    view: View,
    within: Ref,
    scope: lookups.Place,
    first: tuple[int, int],
    read: Callable[[View, InstanceRef, int, int], tuple[T, int]],
) -> tuple[list[T], tuple[int, int] | None]:
    """Some of the instances in the scope, from (series, instance) on, and where to go on; None at the end."""
    found: list[T] = []
    read_bytes = 0
    if isinstance(within, InstanceRef):
        assert scope.series is not None
        assert scope.instance is not None
        return [read(view, within, scope.series, scope.instance)[0]], None
    tables = view.tables
    of_study = (
        [scope.series]
        if scope.series is not None
        else lookups.members(view, tables.series_of_study, scope.study, first[0])
    )
    for series in of_study:
        row = lookups.series_row(view, series)
        begin = first[1] if series == first[0] else 0
        if row is None:
            continue
        with view.txn.cursor(tables.instances) as cursor:
            if not cursor.set_range(pack_pair(series, begin)):
                continue
            for key, packed in cursor.iternext():
                owner, number = pair_of(key)
                if owner != series:
                    break
                if len(found) >= _BATCH or read_bytes > _BATCH_BYTES:
                    return found, (series, number)
                ref = InstanceRef(within.study, row.uid, InstanceRow.unpack(packed).uid)
                one, size = read(view, ref, series, number)
                found.append(one)
                read_bytes += size
    return found, None
