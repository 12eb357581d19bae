"""Composite instances in memory (PS3.18 10): the simplest store that keeps every promise, and the oracle for others."""

from __future__ import annotations

import secrets
import threading
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

import orjson

from dicomweb_core.errors import CorruptBlob, Gone, NotFound, Superseded
from dicomweb_core.rules.summaries import merge
from dicomweb_core.storage.instances import (
    BlobReader,
    Candidate,
    InstanceRecord,
    InstanceSummary,
    OnDuplicate,
    Outcome,
    Pending,
    Problem,
    SeriesSummary,
    Statistics,
    StoredInstance,
    StudySummary,
)
from dicomweb_core.values.attributes import first_text
from dicomweb_core.values.limits import Limits
from dicomweb_core.values.messages import Buffer
from dicomweb_core.values.queries import Level, Query
from dicomweb_core.values.resources import InstanceRef, Ref, SeriesRef, StudyRef

_BLOCK_BYTES: Final = 1 << 16


def _checksums(content: bytes | memoryview) -> tuple[int, ...]:
    """CRC-32 of each block: what is read is compared, and not all the rest each time."""
    view = memoryview(content)
    return tuple(zlib.crc32(view[begin : begin + _BLOCK_BYTES]) for begin in range(0, len(content), _BLOCK_BYTES))


class MemoryBlobReader:
    """Reads bytes that nobody changes."""

    def __init__(self, content: bytes, checksums: tuple[int, ...]) -> None:
        self._content = content
        self._checksums = checksums

    @property
    def size(self) -> int:
        """In bytes."""
        return len(self._content)

    def read(self, offset: int, length: int) -> bytes:
        """Exactly these bytes. Raises CorruptBlob, ValueError beyond the end."""
        if offset < 0 or length < 0 or offset + length > len(self._content):
            raise ValueError("Beyond the end of the blob.")
        first, after = offset // _BLOCK_BYTES, -(-(offset + length) // _BLOCK_BYTES)
        blocks = memoryview(self._content)[first * _BLOCK_BYTES : after * _BLOCK_BYTES]
        if _checksums(blocks) != self._checksums[first:after]:
            raise CorruptBlob("The stored bytes of an instance have changed.")
        return self._content[offset : offset + length]

    def close(self) -> None:
        """Nothing is held."""


class MemoryStagedBlob:
    """Bytes that wait for their commit."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self.content: bytes | None = None
        """What was written, once sealed; None before, and after commit or discard."""

    def write(self, data: Buffer) -> None:
        """Appends. Raises ValueError after seal."""
        if self.content is not None:
            raise ValueError("The blob is sealed.")
        self._buffer += data

    def seal(self) -> BlobReader:
        """No more writes. The bytes, to be read."""
        if self.content is None:
            self.content = bytes(self._buffer)
        return MemoryBlobReader(self.content, _checksums(self.content))

    def discard(self) -> None:
        """Forgets the bytes. Idempotent."""
        self._buffer = bytearray()
        self.content = None


@dataclass(slots=True)
class _Instance:
    record: InstanceRecord
    content: bytes
    checksums: tuple[int, ...]
    place: int
    version: int

    @property
    def stored(self) -> StoredInstance:
        record = self.record
        size = len(self.content)
        uids = (record.sop_class_uid, record.transfer_syntax_uid)
        return StoredInstance(record.ref, *uids, size, record.layout, self.version)


@dataclass(slots=True)
class _Series:
    attributes: bytes
    place: int
    instances: dict[str, _Instance] = field(default_factory=dict)


@dataclass(slots=True)
class _Study:
    attributes: bytes
    version: int = 0
    series: dict[str, _Series] = field(default_factory=dict)

    @property
    def instances(self) -> Iterator[_Instance]:
        return (instance for series in self.series.values() for instance in series.instances.values())


class MemoryCandidates:
    """Candidates as they were when asked for."""

    exact = False
    """The core compares everything again: what it answers over this store is the reference for others."""

    def __init__(self, found: list[Candidate]) -> None:
        self._found = found

    def __len__(self) -> int:
        return len(self._found)

    def __iter__(self) -> Iterator[Candidate]:
        return iter(self._found)

    def page(self, offset: int, limit: int) -> Iterator[Candidate]:
        """At most `limit`, after the first `offset`."""
        return iter(self._found[offset : offset + limit])


class MemoryInstanceStore:
    """An `InstanceStore` without a medium: for tests, mock servers and as the oracle. One lock around everything."""

    def __init__(self, *, limits: Limits | None = None) -> None:
        self.limits = limits or Limits()
        self._lock = threading.RLock()
        self._studies: dict[str, _Study] = {}
        self._by_uid: dict[str, InstanceRef] = {}
        self._deleted: set[Ref] = set()
        self._places = 0
        self._versions = 0
        self._token = secrets.token_bytes(16)

    def stage(self) -> MemoryStagedBlob:
        """A place for the bytes of one instance."""
        return MemoryStagedBlob()

    def commit(self, pending: Sequence[Pending], *, on_duplicate: OnDuplicate) -> list[Outcome]:
        """Makes all of them visible at once, one outcome each. Raises ValueError for a blob that is not sealed."""
        contents = []
        for blob, _ in pending:
            if not isinstance(blob, MemoryStagedBlob) or blob.content is None:
                raise ValueError("A blob to commit is of another store, not sealed, or was used before.")
            contents.append(blob.content)
        with self._lock:
            outcomes = [
                self._commit(content, one.record, on_duplicate) for content, one in zip(contents, pending, strict=True)
            ]
        for blob, _ in pending:
            blob.discard()
        return outcomes

    def _commit(self, content: bytes, record: InstanceRecord, on_duplicate: OnDuplicate) -> Outcome:
        ref = record.ref
        known = self._by_uid.get(ref.instance)
        if known is not None and known != ref:
            return Outcome.ELSEWHERE
        if known is not None:
            kept = self._studies[ref.study].series[ref.series].instances[ref.instance]
            if kept.content == content:
                return Outcome.ALREADY_STORED
            if on_duplicate is OnDuplicate.KEEP:
                return Outcome.DUPLICATE
            if on_duplicate is OnDuplicate.IGNORE:
                return Outcome.IGNORED
        self._deleted -= {ref, ref.of_series, ref.of_study}
        study = self._studies.setdefault(ref.study, _Study(record.study))
        self._places += 1
        series = study.series.setdefault(ref.series, _Series(record.series, self._places))
        # Alone, its attributes are all there is to say; else the first to say something is right.
        alone_in_series = series.instances.keys() <= {ref.instance}
        alone_in_study = alone_in_series and len(study.series) == 1
        study.attributes = record.study if alone_in_study else merge(study.attributes, record.study)
        series.attributes = record.series if alone_in_series else merge(series.attributes, record.series)
        self._places += 1
        self._versions += 1
        study.version = self._versions
        place = self._places if known is None else series.instances[ref.instance].place
        series.instances[ref.instance] = _Instance(record, content, _checksums(content), place, self._versions)
        self._by_uid[ref.instance] = ref
        return Outcome.STORED if known is None else Outcome.REPLACED

    def _find(self, within: Ref) -> list[_Instance]:
        """All below, series by series. Raises NotFound, Gone."""
        study = self._studies.get(within.study)
        found: list[_Instance] = []
        if study is not None and isinstance(within, StudyRef):
            found = list(study.instances)
        elif study is not None and not isinstance(within, StudyRef) and within.series in study.series:
            instances = study.series[within.series].instances
            if isinstance(within, SeriesRef):
                found = list(instances.values())
            elif within.instance in instances:
                found = [instances[within.instance]]
        if not found:
            if within in self._deleted:
                raise Gone("It was deleted.")
            raise NotFound("It is not stored here.")
        return found

    def get(self, ref: InstanceRef) -> StoredInstance:
        """Raises NotFound, Gone."""
        with self._lock:
            return self._find(ref)[0].stored

    def open(self, instance: InstanceRef | StoredInstance) -> BlobReader:
        """The Part 10 file. Raises NotFound, Gone, Superseded."""
        stored = instance if isinstance(instance, StoredInstance) else None
        ref = instance.ref if isinstance(instance, StoredInstance) else instance
        with self._lock:
            found = self._find(ref)[0]
            if stored is not None and stored.version != found.version:
                raise Superseded("The instance was replaced meanwhile.")
            return MemoryBlobReader(found.content, found.checksums)

    def instances(self, within: Ref) -> Iterator[StoredInstance]:
        """All below, series by series. Raises NotFound or Gone before the first."""
        with self._lock:
            return iter([found.stored for found in self._find(within)])

    def metadata(self, within: Ref) -> Iterator[tuple[InstanceRef, bytes]]:
        """The metadata of all below, in the same order. Raises NotFound or Gone before the first."""
        with self._lock:
            return iter([(found.record.ref, found.record.metadata) for found in self._find(within)])

    def version(self, within: Ref) -> bytes:
        """Of the instance, or of the study it is in. Raises NotFound, Gone."""
        with self._lock:
            found = self._find(within)[0]
            alone = isinstance(within, InstanceRef)
            number = found.version if alone else self._studies[within.study].version
            return self._token + number.to_bytes(8, "big")

    def study(self, ref: StudyRef) -> StudySummary:
        """Raises NotFound, Gone."""
        with self._lock:
            self._find(ref)
            return self._study_summary(ref, self._studies[ref.study])

    def _study_summary(self, ref: StudyRef, study: _Study) -> StudySummary:
        modalities = {first_text(orjson.loads(series.attributes), "00080060") for series in study.series.values()}
        return StudySummary(
            ref,
            study.attributes,
            len(study.series),
            sum(len(series.instances) for series in study.series.values()),
            tuple(sorted(modalities - {""})),
            tuple(sorted({instance.record.sop_class_uid for instance in study.instances})),
        )

    def candidates(self, query: Query) -> MemoryCandidates:
        """All of the level within `query.within`."""
        found: list[tuple[int, Candidate]] = []
        within = query.within
        with self._lock:
            for place, (uid, study) in enumerate(self._studies.items()):
                if within is not None and within.study != uid:
                    continue
                summary = self._study_summary(StudyRef(uid), study)
                if query.level is Level.STUDY:
                    found.append((place, Candidate(summary)))
                    continue
                for series_uid, series in study.series.items():
                    if isinstance(within, SeriesRef) and within.series != series_uid:
                        continue
                    ref = SeriesRef(uid, series_uid)
                    series_summary = SeriesSummary(ref, series.attributes, len(series.instances))
                    if query.level is Level.SERIES:
                        found.append((series.place, Candidate(summary, series_summary)))
                        continue
                    found += [
                        (instance.place, Candidate(summary, series_summary, _summary(instance.record, query)))
                        for instance in series.instances.values()
                    ]
        return MemoryCandidates([candidate for _, candidate in sorted(found, key=lambda pair: pair[0])])

    def delete(self, within: Ref) -> int:
        """Deletes all below; how many instances. Raises NotFound, Gone."""
        with self._lock:
            found = self._find(within)
            for instance in found:
                ref = instance.record.ref
                study = self._studies[ref.study]
                series = study.series[ref.series]
                self._versions += 1
                study.version = self._versions
                del series.instances[ref.instance], self._by_uid[ref.instance]
                self._deleted.add(ref)
                if not series.instances:
                    del study.series[ref.series]
                    self._deleted.add(ref.of_series)
                if not study.series:
                    del self._studies[ref.study]
                    self._deleted.add(ref.of_study)
            return len(found)

    def statistics(self) -> Statistics:
        """Counts of what is committed."""
        with self._lock:
            all_instances = [instance for study in self._studies.values() for instance in study.instances]
            series = sum(len(study.series) for study in self._studies.values())
            size = sum(len(instance.content) for instance in all_instances)
            return Statistics(len(self._studies), series, len(all_instances), size)

    def verify(self) -> Iterator[Problem]:
        """Compares every checksum."""
        with self._lock:
            all_instances = [instance for study in self._studies.values() for instance in study.instances]
        for instance in all_instances:
            if _checksums(instance.content) != instance.checksums:
                yield Problem(instance.record.ref, "The stored bytes have changed.")

    def close(self) -> None:
        """Nothing is held but memory."""


def _summary(record: InstanceRecord, query: Query) -> InstanceSummary:
    metadata = record.metadata if query.needs_metadata else b""
    return InstanceSummary(record.ref, record.instance, record.transfer_syntax_uid, metadata)
