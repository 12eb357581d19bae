"""What a small upload may cost in time and memory (A06, A11), measured in a process of its own."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest

from dicomweb_core import OriginServer
from dicomweb_core.testing.samples import sample
from dicomweb_memory import MemoryInstanceStore

ROOT = Path(__file__).parents[2]

PROGRAM = """
import io, json, re, sys, time
from dicomweb_core import OriginServer, Request
from dicomweb_lmdb import LMDBInstanceStore
from tests.attacks.test_server_memory import uploads
from tests.clients import ANY_DICOM, multipart
from tests.crawl import LITTLE_ENDIAN, XML

def peak():
    return int(re.search(r"VmHWM:\\s+(\\d+)", open("/proc/self/status").read())[1]) << 10

content_type, payload = multipart(uploads(sys.argv[2]))
server = OriginServer(instances=LMDBInstanceStore(sys.argv[1]))
server.search_studies()
costs = {}

def cost(name, *request):
    open("/proc/self/clear_refs", "w").write("5")
    before, begin = peak(), time.process_time()
    response = server.handle(Request(*request))
    size = 0
    for chunk in response.body:
        size += len(chunk)
    response.body.close()
    costs[name] = [response.status, size, time.process_time() - begin, peak() - before]

cost("store", "POST", "/studies", "", (("Content-Type", content_type),), io.BytesIO(payload))
url = "/studies/1.2.3/series/1.2.3.5/instances/1.2.3.4"
for name, suffix, accept in (("json", "/metadata", "*/*"), ("xml", "/metadata", XML), ("bulk", "/bulkdata", "*/*"),
                             ("little", "", LITTLE_ENDIAN), ("stored", "", ANY_DICOM)):
    cost(name, "GET", url + suffix, "", (("Accept", accept),))
cost("search", "GET", "/instances", "includefield=all")
print(json.dumps([len(payload), costs]))
"""


def uploads(kind: str) -> bytes:
    """A small file that is more than it seems."""
    from tests.part10_bytes import DEFLATED, data_set, deflated, element, file_meta, item, part10, uids

    match kind:
        case "bomb":
            return file_meta(DEFLATED) + deflated(data_set(element(0x7FE00010, "OW", bytes(64 << 20))))
        case "bomb beyond the limit":
            return file_meta(DEFLATED) + deflated(data_set(element(0x7FE00010, "OW", bytes((1 << 30) + 2))))
        case "items":
            return part10(element(0x52009230, "SQ", item() * 100_000))
        case "full items":
            return part10(element(0x52009230, "SQ", item(element(0x00100010, "PN", b"A^")) * 240_000))
        case "full items that searches return":
            # Request Attributes Sequence: each search for series would return them.
            return part10(element(0x00400275, "SQ", item(element(0x00100010, "PN", b"A^")) * 240_000))
        case "too many items":
            return part10(element(0x00400275, "SQ", item() * 1_100_000))
        case "repeated":
            return (
                file_meta() + b"".join(each for _, each in sorted(uids().items())) + element(0x00100010, "PN") * 10**6
            )
        case "elements":
            private = (element(0x00211000 + number, "LO", b"ab") for number in range(40_000))
            return file_meta() + b"".join((*(each for _, each in sorted(uids().items())), *private))
    raise ValueError(kind)


def costs(tmp_path: Path, kind: str) -> tuple[int, dict[str, tuple[int, int, float, int]]]:
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", PROGRAM, str(tmp_path / "store"), kind],
        env={"PYTHONPATH": ":".join(str(ROOT / part) for part in ("", "adapters", "backends"))},
        capture_output=True, text=True, timeout=110, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    sent, found = json.loads(done.stdout)
    return sent, found


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="Linux tells the peak of memory")
@pytest.mark.parametrize(
    ("kind", "status", "mebibytes"),
    [
        pytest.param("bomb", 200, 24),
        pytest.param("bomb beyond the limit", 409, 24, marks=pytest.mark.slow),
        pytest.param("items", 200, 100),
        pytest.param("elements", 200, 150),
        pytest.param("repeated", 409, 50, marks=pytest.mark.slow),
        pytest.param("full items", 200, 300, marks=pytest.mark.slow),
        pytest.param("full items that searches return", 409, 300, marks=pytest.mark.slow),
        pytest.param("too many items", 409, 150, marks=pytest.mark.slow),
    ],
)
def test_small_uploads_stay_small_A06_A11(tmp_path: Path, kind: str, status: int, mebibytes: int) -> None:
    sent, found = costs(tmp_path, kind)
    assert found["store"][0] == status
    for name, (_, size, seconds, memory) in found.items():
        assert seconds < 5 * max(1, (sent + size) / (10 << 20)), (name, seconds)
        assert memory < mebibytes << 20, (name, memory >> 20)
    if status == 200:
        assert (
            found["json"][0] == found["xml"][0] == found["little"][0] == found["stored"][0] == found["search"][0] == 200
        )
        if kind == "bomb":
            assert found["little"][1] > 64 << 20


def test_reading_a_large_instance_from_memory_takes_time_by_its_size_A06() -> None:
    large = sample(1, 1, 1, rows=4096, columns=4096, frames=4)
    server = OriginServer(instances=MemoryInstanceStore())
    begin = time.process_time()
    server.store([large.part10])
    assert server.instance(*large.ref) == large.part10
    assert time.process_time() - begin < 2
