"""Peak memory of `dicomweb serve` does not grow with an instance or a study."""

from __future__ import annotations

import hashlib
import http.client
import json
import struct
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from websockets.sync.client import connect

from dicomweb_core.testing.samples import sample
from tests.clients import ANY_DICOM, multipart
from tests.rules.made_workitems import sent
from tests.served import Served

CEILING = 150 << 20
CHUNK = 1 << 20
WORKITEM = (json.dumps(sent()).encode(), {"Content-Type": "application/dicom+json"})


def large_instance(size: int) -> tuple[bytes, int, int]:
    """Header of a multi-frame instance, frames, and bytes a frame: pixels of about `size` bytes follow the header."""
    rows = columns = 1024
    frames = size // (rows * columns * 2)
    small = sample(1, 1, 1, rows=rows, columns=columns, frames=1).part10
    one = rows * columns * 2
    head = small[: len(small) - one]
    assert head[-12:-8] == b"\xe0\x7f\x10\x00"
    number = b"\x28\x00\x08\x00IS" + struct.pack("<H", 4) + f"{frames:<4}".encode()
    at = head.index(b"\x28\x00\x10\x00")  # Number of Frames stands before Rows
    assert b"\x28\x00\x08\x00" not in head
    head = head[:at] + number + head[at:-4] + struct.pack("<I", one * frames)
    return head, frames, one


def peak(served: Served) -> int:
    return max(served.peak_memory().values())


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("size", [2_046 << 20], ids=["2 GiB"])
def test_one_large_instance_stays_under_150_mib(tmp_path: Path, size: int) -> None:
    head, frames, one = large_instance(size)
    pixels = hashlib.sha256(b"seed").digest() * (CHUNK // 32)
    content_type, shell = multipart(b"<instance>")
    before, after = shell.split(b"<instance>")
    sent = hashlib.sha256(head)

    def payload() -> Iterator[bytes]:
        yield before + head
        for _ in range(frames * one // CHUNK):
            sent.update(pixels)
            yield pixels
        yield after

    with Served("--store", str(tmp_path / "store"), "--workers", "1") as served:
        status, answer = served.request("POST", "/studies", payload(), {"Content-Type": content_type})
        assert status == 200, answer
        ref = sample(1, 1, 1).ref
        connection = http.client.HTTPConnection("127.0.0.1", served.port, timeout=120)
        connection.request("GET", f"{served.mount}/{ref.path}", headers={"Accept": "application/dicom"})
        response = connection.getresponse()
        received = hashlib.sha256()
        while data := response.read(CHUNK):
            received.update(data)
        connection.close()
        assert received.digest() == sent.digest()
        status, frame = served.request(
            "GET", f"/{ref.path}/frames/{frames}", headers={"Accept": "application/octet-stream"}
        )
        assert status == 200
        assert frame == pixels * (one // CHUNK)
        assert peak(served) < CEILING, served.peak_memory()


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_study_of_2000_instances_stays_under_150_mib(tmp_path: Path) -> None:
    samples = [sample(1, 1, number, rows=256, columns=256) for number in range(1, 2_001)]
    content_type, shell = multipart(b"<instance>")
    before, after = shell.split(b"<instance>")

    def payload() -> Iterator[bytes]:
        for item in samples:
            yield before + item.part10 + b"\r\n"
        yield after[2:]

    with Served("--store", str(tmp_path / "store"), "--workers", "1") as served:
        status, answer = served.request("POST", "/studies", payload(), {"Content-Type": content_type})
        assert status == 200, answer[:500]
        study = f"/studies/{samples[0].ref.study}"
        connection = http.client.HTTPConnection("127.0.0.1", served.port, timeout=120)
        connection.request("GET", served.mount + study, headers={"Accept": ANY_DICOM})
        response = connection.getresponse()
        length = 0
        while data := response.read(CHUNK):
            length += len(data)
        connection.close()
        assert length > sum(len(item.part10) for item in samples)
        status, _ = served.request("GET", study + "/metadata")
        assert status == 200
        assert peak(served) < CEILING, served.peak_memory()


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_transcoding_a_large_instance_stays_under_150_mib(tmp_path: Path) -> None:
    """Into RLE Lossless and back, in the processes of the codecs too: 256 frames of 2 MiB."""
    head, frames, one = large_instance(512 << 20)
    pixels = hashlib.sha256(b"seed").digest() * (one // 64) + bytes(one // 2)
    content_type, shell = multipart(b"<instance>")
    before, after = shell.split(b"<instance>")
    path = f"/{sample(1, 1, 1).ref.path}"

    def store(served: Served, chunks: Iterator[bytes]) -> None:
        def payload() -> Iterator[bytes]:
            yield before
            yield from chunks
            yield after

        status, answer = served.request("POST", "/studies", payload(), {"Content-Type": content_type})
        assert status == 200, answer

    def native() -> Iterator[bytes]:
        yield head
        for _ in range(frames):
            yield pixels

    def retrieved(served: Served, target: str, accept: str) -> Iterator[bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", served.port, timeout=120)
        connection.request("GET", served.mount + target, headers={"Accept": accept})
        response = connection.getresponse()
        assert response.status == 200
        while data := response.read(CHUNK):
            yield data
        connection.close()

    with (
        Served("--store", str(tmp_path / "one"), "--workers", "1") as first,
        Served("--store", str(tmp_path / "two"), "--workers", "1") as second,
    ):
        store(first, native())
        store(second, retrieved(first, path, "application/dicom; transfer-syntax=1.2.840.10008.1.2.5"))
        expected, found = hashlib.sha256(), hashlib.sha256()
        for _ in range(frames):
            expected.update(pixels)
        for data in retrieved(second, path + "/pixeldata", "application/octet-stream"):
            found.update(data)
        assert found.digest() == expected.digest()
        for served in (first, second):
            assert len(served.pids()) > 2, "the codecs run in a process"
            assert peak(served) < CEILING, served.peak_memory()


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/smaps_rollup").exists(), reason="needs Linux")
def test_500_idle_subscribers_stay_under_100_mib(tmp_path: Path) -> None:
    options = ("--store", str(tmp_path / "store"), "--workers", "4", "--codec-processes", "0")
    with Served(*options) as served, ExitStack() as listening:
        for number in range(40):
            served.request("GET", f"/workitems?limit={number + 1}")
        before = shared(served)
        root = f"ws://127.0.0.1:{served.port}{served.mount}/subscribers"
        connections = [listening.enter_context(connect(f"{root}/IDLE{number}")) for number in range(500)]
        assert shared(served) - before < 100 << 20
        # they are there, all of them
        for number, connection in list(enumerate(connections))[::25]:
            uid = f"2.25.{number + 1}"
            assert served.request("POST", f"/workitems?workitem={uid}", *WORKITEM)[0] == 201
            assert served.request("POST", f"/workitems/{uid}/subscribers/IDLE{number}")[0] == 201
            assert uid in str(connection.recv(timeout=20))


def shared(served: Served) -> int:
    """Bytes of all processes; what several have counts once."""
    total = 0
    for pid in served.pids():
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
        total += sum(int(line.split()[1]) << 10 for line in lines if line.startswith("Pss:"))
    return total
