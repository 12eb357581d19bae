"""Storage that fails, is damaged or changes meanwhile, seen by clients (A16, A17, A70-A75)."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from dicomweb_core import InstanceStore, Limits, OnDuplicate, OriginServer, Request
from dicomweb_core.errors import CorruptBlob, DICOMwebError, OutOfSpace, StorageUnavailable
from dicomweb_core.storage.instances import BlobReader
from dicomweb_core.testing.faults import Fault, FaultyStore
from dicomweb_core.testing.samples import sample
from dicomweb_core.values.resources import InstanceRef
from dicomweb_lmdb import LMDBInstanceStore
from dicomweb_memory import MemoryInstanceStore
from tests.attacks.test_server_poison import data_set_of, part10
from tests.clients import ANY_DICOM, OCTETS, Client
from tests.crawl import crawl, fine, no_failure
from tests.part10_bytes import DEFLATED, deflated, element, file_meta
from tests.standard.test_store import reasons

ROOT = Path(__file__).parents[2]
LARGE = {"rows": 1024, "columns": 1024}
INSTANCE = f"/{sample(1, 1, 1).ref.path}"


# -- A16, A17 ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("policy", OnDuplicate)
def test_many_threads_store_one_instance_A16(store: InstanceStore, policy: OnDuplicate) -> None:
    client = Client(OriginServer(instances=store, on_duplicate=policy))
    contents = [sample(1, 1, 1, seed=seed).part10 for seed in range(4)]
    neighbours = [sample(1, 1, number).part10 for number in range(2, 6)]

    def put(number: int) -> int:
        answer = no_failure(client.store(contents[number % 4], neighbours[number % 4]))
        stored = len(answer.json["00081199"]["Value"])
        return stored + len(reasons(answer.json))

    with ThreadPoolExecutor(16) as threads:
        assert set(threads.map(put, range(160))) == {2}
    assert crawl(client) == 5
    assert fine(client.get(INSTANCE, "application/dicom")).content in contents
    assert list(store.verify()) == []


@pytest.mark.parametrize("where", ["study", "series"])
def test_one_uid_in_two_places_A16(client: Client, where: str) -> None:
    first = part10(100)
    second = (
        first.replace(b"1.2.100\0", b"1.2.200\0") if where == "study" else first.replace(b"1.2.100.2", b"1.2.100.9")
    )
    answer = client.store(first, second)
    assert answer.status == 202
    assert reasons(answer.json) == [0x0111]
    assert crawl(client) == 1
    assert fine(client.get("/studies/1.2.100", ANY_DICOM)).parts[0][1] == first
    client.request("DELETE", "/studies/1.2.100")
    assert client.store(second).status == 200
    assert crawl(client) == 1


def test_one_series_in_two_studies_A16(client: Client) -> None:
    first = part10(100)
    second = first.replace(b"1.2.100\0", b"1.2.200\0").replace(b"1.2.100.3", b"1.2.200.3")
    assert client.store(first, second).status == 200
    assert crawl(client) == 2
    assert len(client.get("/series?SeriesInstanceUID=1.2.100.2").json) == 2
    client.request("DELETE", "/studies/1.2.100/series/1.2.100.2")
    assert fine(client.get("/studies/1.2.200/series/1.2.100.2", ANY_DICOM)).parts[0][1] == second


def test_attributes_that_disagree_have_one_answer_over_each_backend_A17(tmp_path: Path) -> None:
    variants = [
        [],
        [element(0x00080005, "CS", b"ISO_IR 100"), element(0x00100010, "PN", b"J\xf6rg")],
        [element(0x00080005, "CS", b"ISO_IR 192"), element(0x00100010, "PN", "Jörg^B ".encode())],
        [element(0x00080020, "DA", b"20200101"), element(0x00100020, "LO", b"1 ")],
        [element(0x00080020, "DA", b"garbage "), element(0x00100020, "LO", b"2 "), element(0x00100010, "UN", b"xxxx")],
        [element(0x00080020, "DA", b"20210101"), element(0x00080060, "CS", b"MR"), element(0x00080201, "SH",
        b"+0100 ")],
    ]  # fmt: skip
    files = [
        part10(100, element(0x00080018, "UI", f"1.2.100.3{n}".encode()), *elements)
        for n, elements in enumerate(variants)
    ]
    clients = [
        Client(OriginServer(instances=store))
        for store in (MemoryInstanceStore(), LMDBInstanceStore(tmp_path / "store"))
    ]
    for client in clients:
        for file in files:
            assert client.store(file).status == 200
        assert crawl(client) == len(files)
    for query in ("", "?includefield=all", "?PatientID=1", "?PatientID=2", "?StudyDate=20200101", "?StudyDate=2021-",
                  "?PatientName=J*", "?ModalitiesInStudy=MR"):  # fmt: skip
        for level in ("studies", "series", "instances"):
            assert clients[0].get(f"/{level}{query}").content == clients[1].get(f"/{level}{query}").content


# -- A71: no room, read-only ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["stage", "write", "seal"])
@pytest.mark.parametrize("error", [OutOfSpace("No room."), StorageUnavailable("Read-only.")], ids=["full", "read-only"])
@pytest.mark.parametrize("nth", [1, 2, 3])
def test_storage_that_fails_for_one_instance_A71(method: str, error: StorageUnavailable, nth: int) -> None:
    store = MemoryInstanceStore()
    # A small instance is one write; the first bytes wait until the preamble is complete.
    client = Client(OriginServer(instances=FaultyStore(store, Fault(method, nth, error))))
    samples = [sample(1, 1, number) for number in (1, 2, 3)]
    answer = client.store(*(one.part10 for one in samples))
    assert answer.status == 202
    assert reasons(answer.json) == [0xA700 if isinstance(error, OutOfSpace) else 0x0110]
    assert len(answer.json["00081199"]["Value"]) == 2
    assert crawl(client) == 2


@pytest.mark.parametrize("method", ["stage", "write", "seal", "commit"])
def test_storage_that_fails_for_all_instances_A71(method: str) -> None:
    store = MemoryInstanceStore()
    OriginServer(instances=store).store([sample(9, 1, 1).part10])
    files = [sample(1, 1, number).part10 for number in (1, 2, 3)]
    full = Client(OriginServer(instances=FaultyStore(store, Fault(method, error=OutOfSpace("No room."), always=True))))
    answer = full.store(*files)
    assert answer.status == 409
    assert reasons(answer.json) == [0xA700] * 3
    unavailable = Fault(method, error=StorageUnavailable("Read-only."), always=True)
    broken = Client(OriginServer(instances=FaultyStore(store, unavailable)))
    answer = broken.store(*files)
    assert answer.status == 503
    assert answer.header("Retry-After")
    assert crawl(full) == crawl(broken) == 1


def test_what_an_earlier_commit_stored_is_reported_A71() -> None:
    fault = Fault("stage", 3, StorageUnavailable("Read-only."), always=True)
    store = FaultyStore(MemoryInstanceStore(), fault)
    client = Client(OriginServer(instances=store, limits=Limits(pending_instances=1)))
    answer = client.store(*(sample(1, 1, number).part10 for number in range(1, 6)))
    assert answer.status == 202
    assert len(answer.json["00081199"]["Value"]) == 2
    assert reasons(answer.json) == [0x0110] * 3


FULL_DISK = """
import json, resource, sys
from dicomweb_core import OriginServer
from dicomweb_core.testing.samples import sample
from dicomweb_lmdb import LMDBInstanceStore
from tests.clients import Client
from tests.crawl import crawl
from tests.standard.test_store import reasons

store = LMDBInstanceStore(sys.argv[1])
client = Client(OriginServer(instances=store))
client.store(sample(9, 1, 1).part10)
resource.setrlimit(resource.RLIMIT_FSIZE, (3 << 20, -1))
large = sample(1, 1, 2, rows=2048, columns=1024).part10
answers = [client.store(sample(1, 1, 1).part10, large, sample(1, 1, 3).part10)]
stored = crawl(client)
resource.setrlimit(resource.RLIMIT_FSIZE, (4096, -1))
answers.append(client.store(*(sample(2, 1, n).part10 for n in range(1, 100))))
crawl(client)
resource.setrlimit(resource.RLIMIT_FSIZE, (-1, -1))
answers.append(client.store(large))
print(json.dumps([[a.status, reasons(a.json) if a.status != 503 else []] for a in answers] + [stored, crawl(client),
    len(list(store.verify()))]))
"""


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX limits of the size of files")
def test_disk_full_in_the_middle_of_a_request_A71(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", FULL_DISK, str(tmp_path / "store")],
        env={"PYTHONPATH": ":".join(str(ROOT / part) for part in ("", "adapters", "backends"))},
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    partly, full, later, stored, at_the_end, problems = json.loads(done.stdout)
    assert partly == [202, [0xA700]]
    assert stored == 3
    assert full[0] in (409, 202)
    assert set(full[1]) == {0xA700}
    assert later == [200, []]
    assert at_the_end == stored + 99 - len(full[1]) + 1
    assert problems == 0


# -- A72: bits that flip ----------------------------------------------------------------------------------------------


def flip(store: Path, at: int) -> None:
    (content,) = store.glob("blobs/**/*.dcm")
    with content.open("r+b") as file:
        file.seek(at)
        byte = file.read(1)
        file.seek(at)
        file.write(bytes([byte[0] ^ 4]))


@pytest.mark.parametrize("at", [10, 500, 100_000, -1])
def test_a_flipped_bit_is_never_served_A72(tmp_path: Path, at: int) -> None:
    damaged, healthy = sample(1, 1, 1, rows=2048, columns=1024), sample(1, 1, 2)
    store = LMDBInstanceStore(tmp_path / "store")
    client = Client(OriginServer(instances=store))
    assert client.store(damaged.part10, healthy.part10).status == 200
    flip(tmp_path / "store", at % len(damaged.part10))
    for target in ("", "/bulkdata/7FE00010", "/frames/1", "/pixeldata", "/bulkdata"):
        for accept in ("application/dicom", ANY_DICOM, OCTETS, "application/octet-stream"):
            response = client.server.handle(Request("GET", INSTANCE + target, headers=(("Accept", accept),)))
            if response.status == 200:
                received = b""
                try:
                    for chunk in response.body:
                        received += chunk
                except CorruptBlob:
                    assert response.body.length is None or len(received) < response.body.length
                else:
                    assert damaged.pixels in received
                    assert at in (10, 500)
            else:
                assert response.status in (406, 500)
                assert b"Traceback" not in response.body.read()
            response.body.close()
    assert len(fine(client.get(f"/studies/{damaged.ref.study}/metadata")).json) == 2
    assert fine(client.get(f"/{healthy.ref.path}", "application/dicom")).content == healthy.part10
    assert len(list(store.verify())) == 1
    assert client.store(damaged.part10).status == 200
    assert fine(client.get(INSTANCE, "application/dicom")).content == damaged.part10


# -- A74: meanwhile ---------------------------------------------------------------------------------------------------


class Disturbed(FaultyStore):
    """A store in which something happens whenever a blob is opened."""

    def __init__(self, store: InstanceStore, before_open: Callable[[], object]) -> None:
        super().__init__(store)
        self._before_open = before_open

    def open(self, ref: InstanceRef) -> BlobReader:
        self._before_open()
        return super().open(ref)


@pytest.mark.parametrize("target", ["/frames/1", "/frames/2", "/bulkdata/7FE00010", "", "/pixeldata", "/bulkdata"])
def test_an_instance_replaced_meanwhile_is_never_mixed_A16_A74(store: InstanceStore, target: str) -> None:
    old = sample(1, 1, 1, frames=3)
    new = sample(1, 1, 1, frames=3, seed=2, patient_name="A longer name than before", rows=6)
    direct = OriginServer(instances=store, on_duplicate=OnDuplicate.REPLACE)
    direct.store([old.part10])
    client = Client(OriginServer(instances=Disturbed(store, lambda: direct.store([new.part10]))))
    try:
        answer = client.get(INSTANCE + target, "application/octet-stream" if "/" in target else "application/dicom")
    except DICOMwebError:
        return
    if answer.status == 503:
        return
    assert answer.status == 200
    size = 4 * 4 * 2 if answer.content in old.part10 else 6 * 4 * 2
    whole = (old if size == 32 else new).part10
    assert answer.content in whole
    assert len(answer.content) in (size, 3 * size, len(whole))


@pytest.mark.parametrize("within", ["study", "series", "instance"])
def test_deleted_while_it_is_retrieved_A74(store: InstanceStore, within: str) -> None:
    """What the reader has open goes on; what it has not reached ends the answer visibly."""
    server = OriginServer(instances=store)
    client = Client(server)
    samples = [sample(1, 1, number, **LARGE) for number in (1, 2)]  # type: ignore[arg-type]
    client.store(*(one.part10 for one in samples))
    study = samples[0].ref.of_study.path
    response = server.handle(Request("GET", f"/{study}", headers=(("Accept", ANY_DICOM),)))
    chunks = iter(response.body)
    received = next(chunks) + next(chunks)
    first = samples[0].ref
    path = {"study": first.of_study.path, "series": first.of_series.path, "instance": first.path}[within]
    assert client.request("DELETE", f"/{path}").status == 204
    try:
        for chunk in chunks:
            received += chunk
    except DICOMwebError:
        assert within != "instance"
    else:
        assert len(received) == response.body.length
    response.body.close()
    assert samples[0].part10 in received
    assert client.get(f"/{first.path}", ANY_DICOM).status == 410
    assert len(client.get("/instances").json) == (1 if within == "instance" else 0)


def test_storing_reading_and_deleting_at_once_A74(store: InstanceStore) -> None:
    client = Client(OriginServer(instances=store))
    files = [sample(1, 1, number, rows=200, columns=200).part10 for number in range(1, 5)]
    stop = threading.Event()
    failures: list[object] = []

    def repeat(work: Callable[[], object]) -> None:
        while not stop.is_set():
            try:
                work()
            except DICOMwebError:
                pass  # the connection is cut: an instance went while its study was being sent
            except BaseException as error:
                failures.append(error)
                return

    study = f"/studies/{sample(1, 1, 1).ref.study}"

    def read(target: str, accept: str) -> None:
        # 503: deleted and stored again between two looks at it
        assert client.get(target, accept).status in (200, 404, 410, 503)

    works: list[Callable[[], object]] = [
        lambda: no_failure(client.store(*files)),
        lambda: no_failure(client.request("DELETE", study)),
        lambda: no_failure(client.request("DELETE", INSTANCE)),
        lambda: read(study, ANY_DICOM),
        lambda: read(study + "/metadata", "application/dicom+json"),
        lambda: read(study + "/bulkdata", OCTETS),
        lambda: read(INSTANCE + "/frames/1", "*/*"),
        lambda: read(INSTANCE + "/bulkdata/7FE00010", "*/*"),
        lambda: read("/instances?includefield=all", "application/dicom+json"),
    ]
    threads = [threading.Thread(target=repeat, args=(work,)) for work in works]
    for thread in threads:
        thread.start()
    stop.wait(1)
    stop.set()
    for thread in threads:
        thread.join()
    assert failures == []
    client.store(*files)
    assert crawl(client) == 4
    assert list(store.verify()) == []


# -- A75: other things than files -------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["symlink", "fifo", "directory", "missing", "short"])
def test_other_things_in_the_place_of_content_A75(tmp_path: Path, kind: str) -> None:
    client = Client(OriginServer(instances=LMDBInstanceStore(tmp_path / "store")))
    damaged, healthy = sample(1, 1, 1, **LARGE), sample(1, 1, 2)  # type: ignore[arg-type]
    client.store(damaged.part10, healthy.part10)
    (content,) = (tmp_path / "store").glob("blobs/**/*.dcm")
    moved = tmp_path / "moved"
    content.rename(moved)
    match kind:
        case "symlink":
            content.symlink_to(moved)
        case "fifo":
            os.mkfifo(content)
        case "directory":
            content.mkdir()
        case "short":
            content.write_bytes(damaged.part10[:-1])
    for target in ("", "/frames/1", "/bulkdata/7FE00010"):
        answer = client.get(INSTANCE + target, "*/*")
        assert answer.status == 500
        assert answer.json["error"] == "CorruptBlob"
        assert str(tmp_path) not in answer.content.decode()
    assert fine(client.get(f"/{healthy.ref.path}", "application/dicom")).content == healthy.part10
    assert len(fine(client.get(f"/studies/{damaged.ref.study}/metadata")).json) == 2


# -- A11, A20: deflated frames ----------------------------------------------------------------------------------------


def test_all_frames_of_a_deflated_instance_cost_one_pass_A11(memory_client: Client) -> None:
    frames, one = 500, 64 << 10
    numbers = ((0x00280002, 1), (0x00280010, 256), (0x00280011, 256), (0x00280100, 8), (0x00280101, 8), (0x00280102, 7),
               (0x00280103, 0))  # fmt: skip
    content = file_meta(DEFLATED) + deflated(
        data_set_of(
            100,
            element(0x00280004, "CS", b"MONOCHROME2 "),
            element(0x00280008, "IS", str(frames).encode() + b" "),
            *(element(tag, "US", value.to_bytes(2, "little")) for tag, value in numbers),
            element(0x7FE00010, "OB", bytes(frames * one)),
        )
    )
    assert len(content) < 100_000
    assert memory_client.store(content).status == 200
    url = "/studies/1.2.100/series/1.2.100.2/instances/1.2.100.3"
    begin = time.process_time()
    answer = fine(memory_client.get(f"{url}/frames/" + ",".join(map(str, range(1, frames + 1))), OCTETS))
    assert time.process_time() - begin < 5
    assert len(answer.content) > frames * one
    assert len(fine(memory_client.get(f"{url}/pixeldata", OCTETS)).content) > frames * one
    backwards = ",".join(map(str, range(frames, 0, -1)))
    begin = time.process_time()
    strict = Client(OriginServer(instances=memory_client.server.site.instances, limits=Limits(inflated_bytes=64 << 20)))
    assert strict.get(f"{url}/frames/{backwards}", OCTETS).status == 413
    assert strict.get(f"{url}/frames/2,1", OCTETS).status == 200
    assert time.process_time() - begin < 1
