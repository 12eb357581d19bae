"""Any instance store, made to fail, stall or fall short at the n-th call of a method."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

from dicomweb_core.storage.instances import (
    BlobReader,
    Candidates,
    InstanceStore,
    OnDuplicate,
    Outcome,
    Pending,
    Problem,
    StagedBlob,
    Statistics,
    StoredInstance,
    StudySummary,
)
from dicomweb_core.values.messages import Buffer
from dicomweb_core.values.queries import Query
from dicomweb_core.values.resources import InstanceRef, Ref, StudyRef

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Fault:
    """What goes wrong, and when.

    `method` is one of the store, or `write`, `seal`, `discard` of a staged blob, or `read` of a reader.
    """

    method: str
    nth: int = 1
    """The call it happens at, from 1, counted over all objects of the store."""
    error: Exception | None = None
    """Raised."""
    afterwards: bool = False
    """The call does its work first: what a power cut between a commit and its answer looks like."""
    stall: float = 0.0
    """Seconds it takes longer."""
    truncate: int | None = None
    """`read` gives so many bytes; `instances` and `metadata` give so many, then raise `error` if there is one."""
    always: bool = False
    """Also at every later call."""


class FaultyStore:
    """Does what the store does, except for the faults. `calls` counts what was called."""

    def __init__(self, store: InstanceStore, *faults: Fault) -> None:
        self._store = store
        self._faults = faults
        self._lock = threading.Lock()
        self.calls: Counter[str] = Counter()

    def call(self, method: str, work: Callable[[], T]) -> T:
        """Does the work of one call, with the fault that is due."""
        fault = self._due(method)
        if fault is None:
            return work()
        time.sleep(fault.stall)
        if fault.error is not None and fault.truncate is None and not fault.afterwards:
            raise fault.error
        result = work()
        if fault.error is not None and fault.afterwards:
            raise fault.error
        if fault.truncate is None:
            return result
        if isinstance(result, bytes):
            return result[: fault.truncate]  # type: ignore[return-value]
        return _cut(result, fault)  # type: ignore[return-value, arg-type]

    def _due(self, method: str) -> Fault | None:
        with self._lock:
            self.calls[method] += 1
            number = self.calls[method]
        for fault in self._faults:
            if fault.method == method and (fault.nth == number or (fault.always and fault.nth < number)):
                return fault
        return None

    def stage(self) -> StagedBlob:
        """As the store, its blob watched."""
        return _FaultyBlob(self, self.call("stage", self._store.stage))

    def commit(self, pending: Sequence[Pending], *, on_duplicate: OnDuplicate) -> list[Outcome]:
        """As the store."""
        own = [Pending(blob.blob if isinstance(blob, _FaultyBlob) else blob, record) for blob, record in pending]
        return self.call("commit", lambda: self._store.commit(own, on_duplicate=on_duplicate))

    def get(self, ref: InstanceRef) -> StoredInstance:
        """As the store."""
        return self.call("get", lambda: self._store.get(ref))

    def open(self, instance: InstanceRef | StoredInstance) -> BlobReader:
        """As the store, its reader watched."""
        return _FaultyReader(self, self.call("open", lambda: self._store.open(instance)))

    def instances(self, within: Ref) -> Iterator[StoredInstance]:
        """As the store."""
        return self.call("instances", lambda: self._store.instances(within))

    def metadata(self, within: Ref) -> Iterator[tuple[InstanceRef, bytes]]:
        """As the store."""
        return self.call("metadata", lambda: self._store.metadata(within))

    def version(self, within: Ref) -> bytes:
        """As the store."""
        return self.call("version", lambda: self._store.version(within))

    def study(self, ref: StudyRef) -> StudySummary:
        """As the store."""
        return self.call("study", lambda: self._store.study(ref))

    def candidates(self, query: Query) -> Candidates:
        """As the store."""
        return self.call("candidates", lambda: self._store.candidates(query))

    def delete(self, within: Ref) -> int:
        """As the store."""
        return self.call("delete", lambda: self._store.delete(within))

    def statistics(self) -> Statistics:
        """As the store."""
        return self.call("statistics", self._store.statistics)

    def verify(self) -> Iterator[Problem]:
        """As the store."""
        return self.call("verify", self._store.verify)

    def close(self) -> None:
        """As the store."""
        self.call("close", self._store.close)


class _FaultyBlob:
    def __init__(self, store: FaultyStore, blob: StagedBlob) -> None:
        self._store = store
        self.blob = blob

    def write(self, data: Buffer) -> None:
        self._store.call("write", lambda: self.blob.write(data))

    def seal(self) -> BlobReader:
        return _FaultyReader(self._store, self._store.call("seal", self.blob.seal))

    def discard(self) -> None:
        self._store.call("discard", self.blob.discard)


class _FaultyReader:
    def __init__(self, store: FaultyStore, reader: BlobReader) -> None:
        self._store = store
        self._reader = reader

    @property
    def size(self) -> int:
        return self._reader.size

    def read(self, offset: int, length: int) -> bytes:
        return self._store.call("read", lambda: self._reader.read(offset, length))

    def close(self) -> None:
        self._reader.close()


def _cut(items: Iterator[T], fault: Fault) -> Iterator[T]:
    assert fault.truncate is not None
    for _, item in zip(range(fault.truncate), items, strict=False):
        yield item
    if fault.error is not None:
        raise fault.error
