"""SIGKILL of the whole server at random moments of a store: acknowledged instances survive, none is half there."""

from __future__ import annotations

import http.client
import random
import threading
import time
from pathlib import Path

import pytest

from dicomweb_core import OriginServer
from dicomweb_core.testing.samples import Sample, sample
from dicomweb_lmdb import LMDBInstanceStore
from tests.clients import multipart
from tests.served import Served

BATCH = 10


def send(served: Served, batches: list[list[Sample]], acknowledged: set[str]) -> None:
    """Stores the batches one after the other until the server is gone."""
    for batch in batches:
        content_type, body = multipart(*(item.part10 for item in batch))
        try:
            status, _ = served.request("POST", "/studies", body, {"Content-Type": content_type})
        except (OSError, http.client.HTTPException):
            return
        assert status == 200
        acknowledged |= {item.ref.instance for item in batch}


@pytest.mark.parametrize(
    "rounds",
    [pytest.param(4, id="few"), pytest.param(30, id="thirty", marks=[pytest.mark.slow, pytest.mark.timeout(900)])],
)
def test_killed_while_storing_500_instances_A70(tmp_path: Path, rounds: int) -> None:
    chance = random.Random(rounds)
    # Half of them are larger than what is kept in the index: both ways to store are killed.
    samples = [
        sample(1 + number // 100, 1 + number // 20, number, rows=8 if number % 2 else 200, columns=200)
        for number in range(500)
    ]
    by_uid = {item.ref.instance: item for item in samples}
    acknowledged: set[str] = set()
    folder = tmp_path / "store"
    halves = 0
    for _ in range(rounds):
        if len(acknowledged) > 400:
            acknowledged.clear()
            folder = tmp_path / f"store{chance.random()}"
        missing = [item for item in samples if item.ref.instance not in acknowledged]
        batches = [missing[start : start + BATCH] for start in range(0, len(missing), BATCH)]
        with Served("--store", str(folder), "--workers", "2") as served:
            halves_of_batches = [batches[::2], batches[1::2]]
            threads = [
                threading.Thread(target=send, args=(served, part, acknowledged), daemon=True)
                for part in halves_of_batches
            ]
            for thread in threads:
                thread.start()
            time.sleep(chance.uniform(0.01, 0.4))
            served.kill()
            for thread in threads:
                thread.join(30)
        began = time.perf_counter()
        store = LMDBInstanceStore(folder)
        server = OriginServer(instances=store)
        found = {item["00080018"]["Value"][0] for item in server.search_instances()}
        assert time.perf_counter() - began < 2, "the store opens at once"
        assert acknowledged <= found, "an acknowledged instance is lost"
        for uid in found:
            assert server.instance(*by_uid[uid].ref) == by_uid[uid].part10
            assert server.metadata(*by_uid[uid].ref)[0]["00080018"]["Value"] == [uid]
        assert list(store.verify()) == []
        halves += bool(found - acknowledged)
        acknowledged |= found
        store.close()
        files = set(folder.rglob("*.dcm"))
        large = {uid for uid in found if len(by_uid[uid].part10) > 65_536}
        assert len(files) == len(large), "orphans are swept when the store is opened"
