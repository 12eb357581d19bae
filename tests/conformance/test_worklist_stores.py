"""Our worklist stores through the kit that we ship."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest

from dicomweb_core.storage.worklists import WorklistStore
from dicomweb_core.testing.worklist_store import WorklistStoreConformance
from dicomweb_lmdb import LMDBWorklistStore
from dicomweb_memory import MemoryWorklistStore


class TestMemoryWorklistStore(WorklistStoreConformance):
    def make_store(self) -> WorklistStore:
        return MemoryWorklistStore()


class TestLMDBWorklistStore(WorklistStoreConformance):
    root: Path

    @pytest.fixture(autouse=True)
    def _root(self, tmp_path: Path) -> None:
        self.root = tmp_path

    def make_store(self) -> WorklistStore:
        self.made = Path(tempfile.mkdtemp(dir=self.root))
        return LMDBWorklistStore(self.made)

    def reopen_store(self, store: WorklistStore) -> WorklistStore:
        return LMDBWorklistStore(self.made)


@pytest.mark.parametrize("kind", ["memory", "lmdb"])
def test_a_decision_within_a_decision_is_refused_and_nothing_waits_for_ever(kind: str, tmp_path: Path) -> None:
    store: WorklistStore = MemoryWorklistStore() if kind == "memory" else LMDBWorklistStore(tmp_path)
    with pytest.raises(RuntimeError, match="cannot wait"):
        store.transact(lambda _: store.transact(lambda _: None))
    assert store.transact(lambda _: 1) == 1
    store.close()
