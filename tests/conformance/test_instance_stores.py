"""Our instance stores through the kit that we ship."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest

from dicomweb_core.storage.instances import InstanceStore
from dicomweb_core.testing.instance_store import InstanceStoreConformance
from dicomweb_lmdb import LMDBInstanceStore
from dicomweb_memory import MemoryInstanceStore


class TestMemoryInstanceStore(InstanceStoreConformance):
    def make_store(self) -> MemoryInstanceStore:
        return MemoryInstanceStore()


class TestLMDBInstanceStore(InstanceStoreConformance):
    root: Path

    @pytest.fixture(autouse=True)
    def _root(self, tmp_path: Path) -> None:
        self.root = tmp_path

    def make_store(self) -> LMDBInstanceStore:
        self.made = Path(tempfile.mkdtemp(dir=self.root))
        return LMDBInstanceStore(self.made)

    def reopen_store(self, store: InstanceStore) -> LMDBInstanceStore:
        return LMDBInstanceStore(self.made)
