"""The LMDB store and the in-memory store through the same random operations."""

from __future__ import annotations

from pathlib import Path

import pytest

from dicomweb_core.storage.instances import InstanceStore
from dicomweb_core.testing.random_walk import RandomWalk
from dicomweb_lmdb import LMDBInstanceStore
from dicomweb_memory import MemoryInstanceStore


def _walk(path: Path, seed: int, steps: int) -> None:
    def reopen(store: InstanceStore) -> InstanceStore:
        store.close()
        return LMDBInstanceStore(path)

    walk = RandomWalk(LMDBInstanceStore(path), MemoryInstanceStore(), seed=seed, reopen=reopen)
    walk.walk(steps)
    walk.store.close()


@pytest.mark.parametrize("seed", range(6))
def test_lmdb_answers_as_memory_does(tmp_path: Path, seed: int) -> None:
    _walk(tmp_path / "store", seed, 150)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(100, 120))
def test_lmdb_answers_as_memory_does_for_long(tmp_path: Path, seed: int) -> None:
    _walk(tmp_path / "store", seed, 1500)


def test_a_walk_finds_a_store_that_forgets(tmp_path: Path) -> None:
    class Forgetful(MemoryInstanceStore):
        def delete(self, within):  # type: ignore[no-untyped-def]
            count = super().delete(within)
            self._deleted.clear()
            return count

    with pytest.raises(AssertionError, match="NotFound"):
        RandomWalk(Forgetful(), MemoryInstanceStore(), seed=1).walk(1000)
