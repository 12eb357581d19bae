"""A server that is killed and comes back: what happened meanwhile arrives, in order and once."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from dicomweb_core import OriginServer
from dicomweb_lmdb import LMDBWorklistStore
from dicomweb_memory import MemoryInstanceStore
from dicomweb_worklist import EventType, OriginTransport, WorklistClient, new_workitem, progress
from tests.served import Served


@contextmanager
def beside(folder: Path) -> Iterator[WorklistClient]:
    """A performer in this process, over the worklist of the server."""
    server = OriginServer(instances=MemoryInstanceStore(), worklist=LMDBWorklistStore(folder / "worklist"))
    try:
        yield WorklistClient(OriginTransport(server), aetitle="PERFORMER")
    finally:
        server.close()


@pytest.mark.slow
def test_a_watcher_misses_nothing_while_the_server_is_killed_and_started_again(tmp_path: Path) -> None:
    percents = itertools.count(1)
    with Served("--store", str(tmp_path), "--workers", "1") as served, beside(tmp_path) as performer:
        claim = performer.claim(performer.create(new_workitem("a")))
        watcher = WorklistClient.at(served.address, aetitle="WATCHER")
        watcher.subscribe(claim.workitem)

        def proceed(steps: int) -> None:
            for percent in itertools.islice(percents, steps):
                performer.update(claim.workitem, progress(percent), claim)

        with watcher, watcher.events(timeout=30) as events:
            assert next(events).state == "IN PROGRESS"
            proceed(20)
            next(events)
            served.kill()
            proceed(20)
            with Served("--store", str(tmp_path), "--workers", "1", "--port", str(served.port)):
                proceed(20)
                told = (event for event in events if event.type is EventType.PROGRESS_REPORT)
                found = [
                    event.attributes["00741002"]["Value"][0]["00741004"]["Value"][0]
                    for event in itertools.islice(told, 59)
                ]
            assert events.connections > 1
    assert found == list(range(2, 61))
