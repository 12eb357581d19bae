"""Settings and servers every test shares."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from dicomweb_core import InstanceStore, OriginServer
from dicomweb_core.storage.worklists import WorklistStore
from dicomweb_lmdb import LMDBInstanceStore, LMDBWorklistStore
from dicomweb_memory import MemoryInstanceStore, MemoryWorklistStore
from tests.clients import Client

# A shell without a terminal starts what runs behind it with interrupts ignored, and processes hand that down: the
# servers that tests interrupt would not hear it.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN and threading.current_thread() is threading.main_thread():
    signal.signal(signal.SIGINT, signal.default_int_handler)

settings.register_profile(
    "default", max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow], print_blob=True
)
settings.register_profile("thorough", max_examples=1000, deadline=None, parent=settings.get_profile("default"))
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "default"))


@pytest.fixture(params=["memory", "lmdb"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[InstanceStore]:
    """An empty store of each backend."""
    opened: InstanceStore = (
        MemoryInstanceStore() if request.param == "memory" else LMDBInstanceStore(tmp_path / "store")
    )
    yield opened
    opened.close()


@pytest.fixture(params=["memory", "lmdb"])
def worklist(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[WorklistStore]:
    """An empty worklist of each backend."""
    opened: WorklistStore = (
        MemoryWorklistStore() if request.param == "memory" else LMDBWorklistStore(tmp_path / "worklist")
    )
    yield opened
    opened.close()


@pytest.fixture
def server(store: InstanceStore) -> OriginServer:
    """A server with default settings over an empty store."""
    return OriginServer(instances=store)


@pytest.fixture
def client(server: OriginServer) -> Client:
    """Talks to `server` without a socket."""
    return Client(server)


@pytest.fixture
def memory_client() -> Client:
    """Talks to a server over an empty in-memory store: for what no backend can influence."""
    return Client(OriginServer(instances=MemoryInstanceStore()))
