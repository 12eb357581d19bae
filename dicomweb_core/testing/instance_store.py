"""Proof that an instance store keeps its promise: inherit `InstanceStoreConformance` and say how to make a store.

    class TestMyStore(InstanceStoreConformance):
        def make_store(self):
            return MyStore(...)

With pytest that is all. Without, `failures(TestMyStore)` runs everything and says what failed.
"""

# ruff: noqa: N802 - names carry the IDs of the attacks they stand against
from __future__ import annotations

from collections import Counter
from contextlib import suppress
from typing import Any

from dicomweb_core.errors import Gone, NotFound
from dicomweb_core.storage.instances import (
    OnDuplicate,
    Outcome,
    Statistics,
)
from dicomweb_core.testing.blob_reader import check_blob_reader
from dicomweb_core.testing.samples import (
    archive,
    sample,
    sample_ref,
)
from dicomweb_core.testing.store_calls import at_once, missing, put, refs, studies
from dicomweb_core.testing.store_contents import ContentConformance
from dicomweb_core.testing.store_existence import ExistenceConformance
from dicomweb_core.testing.store_searches import SearchConformance
from dicomweb_core.values.queries import Level, Query


class InstanceStoreConformance(ContentConformance, ExistenceConformance, SearchConformance):
    """Every sentence of `storage.instances` as tests."""

    # -- many at once --

    def test_of_sixteen_storing_the_same_exactly_one_stores_A16(self) -> None:
        for rows in (4, 300):
            with self.opened() as store:
                made = sample(rows=rows, columns=rows)
                outcomes = at_once(16, lambda _, made=made: put(store, [made])[0])  # type: ignore[misc]
                assert Counter(outcomes) == {Outcome.STORED: 1, Outcome.ALREADY_STORED: 15}
                assert store.statistics() == Statistics(1, 1, 1, len(made.part10))
                check_blob_reader(store.open(made.ref), made.part10)

    def test_of_sixteen_storing_other_bytes_exactly_one_stores_A16(self) -> None:
        with self.opened() as store:
            outcomes = at_once(16, lambda n: put(store, [sample(seed=n)])[0])
            assert Counter(outcomes) == {Outcome.STORED: 1, Outcome.DUPLICATE: 15}
            winner = sample(seed=outcomes.index(Outcome.STORED))
            check_blob_reader(store.open(winner.ref), winner.part10)

    def test_of_sixteen_deleting_exactly_one_deletes_A74(self) -> None:
        with self.opened(archive(1, 2, 4)) as store:

            def delete(_: int) -> int:
                try:
                    return store.delete(sample_ref(1).of_study)
                except NotFound:
                    return 0

            assert sorted(at_once(16, delete)) == [0] * 15 + [8]

    def test_many_threads_store_different_instances_of_one_study(self) -> None:
        with self.opened() as store:
            at_once(8, lambda n: [put(store, [sample(1, n % 3 + 1, n * 10 + one)]) for one in range(6)])
            assert store.statistics()[:3] == (1, 3, 48)
            assert store.study(sample_ref(1).of_study).instances == 48

    def test_storing_reading_and_deleting_at_once_A74(self) -> None:
        with self.opened(archive(1, 1, 20)) as store:

            def act(n: int) -> None:
                for turn in range(8):
                    with suppress(NotFound):
                        if n % 3 == 0:
                            put(
                                store,
                                [sample(1, 1, turn, rows=200 if turn % 2 else 4, columns=200)],
                                OnDuplicate.REPLACE,
                            )
                        elif n % 3 == 1:
                            store.delete(sample_ref(1, 1, turn))
                        else:
                            for stored in store.instances(sample_ref(1).of_study):
                                with suppress(NotFound):
                                    reader = store.open(stored.ref)
                                    try:
                                        assert len(reader.read(0, reader.size)) == reader.size
                                    finally:
                                        reader.close()

            at_once(6, act)
            assert store.statistics().instances == len(refs(store.candidates(Query(Level.INSTANCE))))

    # -- lifetime --

    def test_close_is_idempotent_and_what_was_stored_stays(self) -> None:
        store = self.make_store()
        samples = [*archive(2, 1, 2), sample(3, rows=300, columns=300)]
        put(store, samples)
        store.delete(sample_ref(2, 1, 2))
        versions = [store.version(sample_ref(study).of_study) for study in (1, 2, 3)]
        store.close()
        store.close()
        again = self.reopen_store(store)
        if again is None:
            return
        try:
            assert missing(again, sample_ref(2, 1, 2)) is Gone
            for made in samples:
                if made.ref != sample_ref(2, 1, 2):
                    check_blob_reader(again.open(made.ref), made.part10)
            assert [again.version(sample_ref(study).of_study) for study in (1, 2, 3)] == versions
            put(again, [sample(4)])
            order = [sample_ref(study).study for study in (1, 2, 3, 4)]
            assert studies(again.candidates(Query(Level.STUDY))) == order
            assert list(again.verify()) == []
        finally:
            again.close()


def failures(kit: type[Any], *names: str) -> dict[str, Exception]:
    """Runs the tests of the kit with these names, or all: what failed, by name."""
    failed: dict[str, Exception] = {}
    for name in names or sorted(dir(kit)):
        if name.startswith("test_"):
            try:
                getattr(kit(), name)()
            except Exception as error:
                failed[name] = error
    return failed
