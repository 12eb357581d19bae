"""The kit finds broken stores: each mutant breaks one promise, and a test of the kit says so."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import pytest

from dicomweb_core.errors import NotFound
from dicomweb_core.storage.instances import (
    BlobReader,
    InstanceStore,
    OnDuplicate,
    Outcome,
    Pending,
    Statistics,
    StoredInstance,
    StudySummary,
)
from dicomweb_core.testing.blob_reader import check_blob_reader
from dicomweb_core.testing.faults import Fault, FaultyStore
from dicomweb_core.testing.instance_store import InstanceStoreConformance, failures
from dicomweb_core.testing.samples import archive, sample
from dicomweb_core.values.queries import Level, Query
from dicomweb_core.values.resources import InstanceRef, Ref, StudyRef
from dicomweb_memory import MemoryInstanceStore
from dicomweb_memory.instances import MemoryCandidates


class ForgetsWhatWasDeleted(MemoryInstanceStore):
    def delete(self, within: Ref) -> int:
        count = super().delete(within)
        self._deleted.clear()
        return count


class TakesEverything(MemoryInstanceStore):
    def commit(self, pending: Sequence[Pending], *, on_duplicate: OnDuplicate) -> list[Outcome]:
        return super().commit(pending, on_duplicate=OnDuplicate.REPLACE)


class AnswersStoredAlways(MemoryInstanceStore):
    def commit(self, pending: Sequence[Pending], *, on_duplicate: OnDuplicate) -> list[Outcome]:
        return [Outcome.STORED for _ in super().commit(pending, on_duplicate=on_duplicate)]


class SearchesBackwards(MemoryInstanceStore):
    def candidates(self, query: Query) -> MemoryCandidates:
        return MemoryCandidates(list(super().candidates(query))[::-1])


class MissesTheLast(MemoryInstanceStore):
    def candidates(self, query: Query) -> MemoryCandidates:
        return MemoryCandidates(list(super().candidates(query))[:-1])


class ClaimsToHaveCompared(MemoryInstanceStore):
    class _Claiming(MemoryCandidates):
        exact = True

    def candidates(self, query: Query) -> MemoryCandidates:
        return self._Claiming(list(super().candidates(query)))


class ListsInAnyOrder(MemoryInstanceStore):
    def metadata(self, within: Ref) -> Iterator[tuple[InstanceRef, bytes]]:
        return iter(sorted(super().metadata(within)))


class RaisesLate(MemoryInstanceStore):
    def instances(self, within: Ref) -> Iterator[Any]:
        yield from super().instances(within)


class CountsWrongly(MemoryInstanceStore):
    def delete(self, within: Ref) -> int:
        super().delete(within)
        return 1


class LosesAStudyUpdate(MemoryInstanceStore):
    def study(self, ref: StudyRef) -> StudySummary:
        summary = super().study(ref)
        return summary._replace(sop_classes=summary.sop_classes[:1])


class CountsBytesTwice(MemoryInstanceStore):
    def statistics(self) -> Statistics:
        counted = super().statistics()
        return counted._replace(bytes=2 * counted.bytes)


class CountsVersionsFromOne(MemoryInstanceStore):
    def version(self, within: Ref) -> bytes:
        return super().version(within)[16:]


class VersionMissesDeletions(MemoryInstanceStore):
    def version(self, within: Ref) -> bytes:
        newest = max(self.get(found.ref).version for found in self.instances(within))
        return self._token + bytes([newest])


class VersionIsOfTheWholeStore(MemoryInstanceStore):
    def version(self, within: Ref) -> bytes:
        return super().version(within)[:16] + bytes([self._versions])


class _Short:
    def __init__(self, reader: BlobReader) -> None:
        self._reader = reader

    @property
    def size(self) -> int:
        return self._reader.size

    def read(self, offset: int, length: int) -> bytes:
        return self._reader.read(offset, length)[:60_000]

    def close(self) -> None:
        self._reader.close()


class ReadsShort(MemoryInstanceStore):
    def open(self, instance: InstanceRef | StoredInstance) -> BlobReader:
        return _Short(super().open(instance))


class NotDurable(MemoryInstanceStore):
    """Says that it can be reopened, and comes back empty."""


MUTANTS: tuple[tuple[type[MemoryInstanceStore], str], ...] = (
    (ForgetsWhatWasDeleted, "what_was_deleted_is_gone_until_it_is_stored_again"),
    (TakesEverything, "other_bytes_meet_the_policy_A16"),
    (AnswersStoredAlways, "of_sixteen_storing_the_same_exactly_one_stores_A16"),
    (SearchesBackwards, "every_level_comes_in_order_of_arrival"),
    (MissesTheLast, "candidates_are_never_too_few_and_exact_when_they_say_so"),
    (ClaimsToHaveCompared, "candidates_are_never_too_few_and_exact_when_they_say_so"),
    (ListsInAnyOrder, "instances_and_metadata_come_series_by_series_in_order_of_arrival"),
    (RaisesLate, "what_was_never_there_is_not_found"),
    (CountsWrongly, "delete_says_how_many_and_leaves_the_rest"),
    (LosesAStudyUpdate, "a_study_is_summarised"),
    (CountsBytesTwice, "statistics"),
    (CountsVersionsFromOne, "versions_of_two_stores_are_different_A39"),
    (VersionMissesDeletions, "the_version_of_what_contains_a_change_is_another_and_never_comes_again_A39"),
    (VersionIsOfTheWholeStore, "what_changes_nothing_leaves_the_version_and_others_are_not_touched_A39"),
    (ReadsShort, "what_was_written_can_be_read_when_sealed_and_when_committed"),
)


@pytest.mark.parametrize(("mutant", "test"), MUTANTS, ids=lambda one: getattr(one, "__name__", None))
def test_the_kit_finds_a_broken_store(mutant: type[MemoryInstanceStore], test: str) -> None:
    class Kit(InstanceStoreConformance):
        def make_store(self) -> InstanceStore:
            return mutant()

    assert set(failures(Kit, f"test_{test}")) == {f"test_{test}"}


def test_the_kit_finds_a_store_that_is_empty_when_reopened() -> None:
    class Kit(InstanceStoreConformance):
        def make_store(self) -> InstanceStore:
            return NotDurable()

        def reopen_store(self, store: InstanceStore) -> InstanceStore:
            return NotDurable()

    test = "test_close_is_idempotent_and_what_was_stored_stays"
    assert set(failures(Kit, test)) == {test}


def test_a_wrapped_store_without_faults_passes_the_kit() -> None:
    class Kit(InstanceStoreConformance):
        def make_store(self) -> InstanceStore:
            return FaultyStore(MemoryInstanceStore())

    assert failures(Kit) == {}


def test_a_fault_comes_at_its_call_and_only_there() -> None:
    store = FaultyStore(MemoryInstanceStore(), Fault("get", nth=2, error=NotFound("By order.")))
    made = sample()
    blob = store.stage()
    blob.write(made.part10)
    blob.seal().close()
    assert store.commit([Pending(blob, made.record)], on_duplicate=OnDuplicate.KEEP) == [Outcome.STORED]
    store.get(made.ref)
    with pytest.raises(NotFound, match="By order"):
        store.get(made.ref)
    store.get(made.ref)
    assert store.calls["get"] == 3


def test_a_fault_after_the_commit_leaves_what_was_committed() -> None:
    store = FaultyStore(MemoryInstanceStore(), Fault("commit", error=OSError("Power cut."), afterwards=True))
    made = sample()
    blob = store.stage()
    blob.write(made.part10)
    blob.seal().close()
    with pytest.raises(OSError, match="Power cut"):
        store.commit([Pending(blob, made.record)], on_duplicate=OnDuplicate.KEEP)
    assert store.statistics().instances == 1


def test_a_truncated_read_and_a_truncated_iterator() -> None:
    inner = MemoryInstanceStore()
    for made in archive(1, 1, 3):
        blob = inner.stage()
        blob.write(made.part10)
        blob.seal().close()
        inner.commit([Pending(blob, made.record)], on_duplicate=OnDuplicate.KEEP)
    cut = Fault("instances", truncate=2, error=OSError("Medium lost."))
    store = FaultyStore(inner, Fault("read", truncate=10), cut)
    with pytest.raises(AssertionError):
        check_blob_reader(store.open(sample().ref), sample().part10)
    seen = []
    with pytest.raises(OSError, match="Medium lost"):
        seen += store.instances(sample().ref.of_study)
    assert len(list(store.candidates(Query(Level.INSTANCE)))) == 3
