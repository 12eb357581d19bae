"""Hostile ZIP archives, and instances that would make the archive of a client hostile (A76, A35)."""

from __future__ import annotations

import io
import random
import re
import stat
import struct
import time
import tracemalloc
import zipfile
import zlib
from pathlib import Path

import pytest

from dicomweb_core import Limits, OriginServer
from dicomweb_lmdb import LMDBInstanceStore
from dicomweb_memory import MemoryInstanceStore
from tests.clients import Answer, Client
from tests.made import made, path

ZIP = "application/zip"
INSTANCE = made(1, 1, 1, frames=[bytes(4)])
MEGABYTE = 1 << 20


def client_of(**limits: int) -> Client:
    return Client(OriginServer(instances=MemoryInstanceStore(), limits=Limits(**limits)))


def send(client: Client, archive: bytes) -> Answer:
    return client.request("POST", "/studies", archive, Content_Type=ZIP)


def stored(client: Client) -> int:
    return client.server.site.instances.statistics().instances


def archive_of(files: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def comments(answer: Answer) -> list[str]:
    failed = answer.json["0008119A"]["Value"]
    return [item["00741048"]["Value"][0]["00000902"]["Value"][0] for item in failed]


def patched(archive: bytes, signature: bytes, offset: int, form: str, value: int) -> bytes:
    """The archive with a number behind the first such signature replaced."""
    changed = bytearray(archive)
    struct.pack_into(form, changed, archive.index(signature) + offset, value)
    return bytes(changed)


CENTRAL, LOCAL, END = b"PK\x01\x02", b"PK\x03\x04", b"PK\x05\x06"

PATIENTS = ("../../etc/passwd^x", "..\\..\\windows^system32", "/absolute", "C:\\x", "a\u202efdp.exe", "Müller^Jörg",
            'x"; filename="evil.exe', "a\r\nX-Injected: 1", "山田^太郎", "con.dcm")  # fmt: skip


HEADERS = {
    *("Content-Type", "Content-Disposition", "X-Content-Type-Options"),
    *("ETag", "Accept-Ranges", "Cache-Control", "Vary"),
}


@pytest.mark.parametrize("name", PATIENTS, ids=[f"A76 A35 {ascii(name)[:24]}" for name in PATIENTS])
def test_nothing_of_a_patient_names_a_file(name: str) -> None:
    client = client_of()
    file = made(1, 1, 1, SpecificCharacterSet="ISO_IR 192", PatientName=name, PatientID=name.replace("\\", ""))
    assert client.store(file).status == 200
    for target in (path(1), path(1, 1), path(1, 1, 1)):
        answer = client.get(target, ZIP)
        (entry,) = zipfile.ZipFile(io.BytesIO(answer.content)).namelist()
        assert re.fullmatch(r"([0-9.]+/){2}[0-9.]+\.dcm", entry)
        assert not {"", ".", ".."} & set(entry.split("/"))
        assert re.fullmatch(r'attachment; filename="[0-9.]+\.zip"', answer.header("Content-Disposition") or "")
        # Nor does any other header come from the sender.
        assert {key for key, _ in answer.headers} <= HEADERS


def test_names_in_an_upload_touch_no_file_system_A76(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = tmp_path / "store"
    inside = tmp_path / "a" / "b"
    inside.mkdir(parents=True)
    monkeypatch.chdir(inside)
    names = [
        "../evil-1",
        "../../evil-2",
        str(tmp_path / "evil-3"),
        "..\\evil-4",
        "evil-5\0.dcm",
        "évil-6",
        "a" * 60_000,
    ]
    with_store = LMDBInstanceStore(root)
    try:
        client = Client(OriginServer(instances=with_store))
        answer = send(client, archive_of({name: made(1, 1, n + 1) for n, name in enumerate(names)}))
        assert answer.status == 200
        assert with_store.statistics().instances == len(names)
        assert [problem.description for problem in with_store.verify()] == []
    finally:
        with_store.close()
    outside = [found for found in tmp_path.rglob("*") if root not in found.parents and found.is_file()]
    assert outside == []
    assert [found for found in root.rglob("*") if b"evil" in bytes(found.name, "utf-8")] == []


def test_names_are_not_echoed_A35() -> None:
    answer = send(client_of(), archive_of({"Doe^John\r\nX-Injected: 1": b"no instance"}))
    assert answer.status == 400
    assert b"Doe" not in answer.content
    assert b"Injected" not in answer.content


def overlapping(count: int) -> bytes:
    """The cheap bomb: many records of the directory for the same bytes."""
    one = archive_of({"1": INSTANCE})
    begin, end = one.index(CENTRAL), one.index(END)
    directory = one[begin:end] * count
    return one[:begin] + directory + END + struct.pack("<4H2LH", 0, 0, count, count, len(directory), begin, 0)


def quoted() -> bytes:
    """The better bomb: each entry is deflated data that begin with the header of the next one in a stored block, and
    go on with its content. The checksums are left out: nothing gets as far as there."""
    deflate = zlib.compressobj(9, wbits=-15)
    deflated = deflate.compress(bytes(MEGABYTE)) + deflate.flush()
    files, records = deflated, [(len(deflated), MEGABYTE, 31 + len(deflated))]
    for _ in range(20):
        compressed, length, _ = records[-1]
        head = struct.pack("<4s5H3L2H", LOCAL, 20, 0, 8, 0, 33, 0, compressed, length, 1, 0) + b"1"
        files = struct.pack("<BHH", 0, len(head), 0xFFFF ^ len(head)) + head + files
        records.append((len(files), length + len(head), 31 + len(files)))
    compressed, length, _ = records[-1]
    files = struct.pack("<4s5H3L2H", LOCAL, 20, 0, 8, 0, 33, 0, compressed, length, 1, 0) + b"1" + files
    directory = b"".join(
        struct.pack(
            "<4s6H3L5H2L", CENTRAL, 20, 20, 0, 8, 0, 33, 0, compressed, length, 1, 0, 0, 0, 0, 0, len(files) - from_end
        )
        + b"1"
        for compressed, length, from_end in records
    )
    count = len(records)
    return files + directory + END + struct.pack("<4H2LH", 0, 0, count, count, len(directory), len(files), 0)


def test_the_bomb_of_these_tests_is_one() -> None:
    """Each of its entries inflates, and together they are much more than what is sent."""
    bomb = quoted()
    with zipfile.ZipFile(io.BytesIO(bomb)) as archive:
        files = archive.infolist()
        assert sum(file.file_size for file in files) > 5_000 * len(bomb)
        for file in files:
            begin = file.header_offset + 31
            inflate = zlib.decompressobj(-15)
            assert len(inflate.decompress(bomb[begin : begin + file.compress_size])) == file.file_size
            assert inflate.eof


@pytest.mark.parametrize("bomb", [overlapping(2), overlapping(5000), quoted()], ids=["two", "thousands", "quoted"])
def test_entries_that_overlap_are_refused_before_anything_is_unpacked_A76(bomb: bytes) -> None:
    client = client_of()
    answer = send(client, bomb)
    assert answer.status == 400
    assert "overlap" in answer.json["detail"]
    assert stored(client) == 0


def peak_of(client: Client, archive: bytes) -> tuple[Answer, int]:
    """What the answer cost beyond the archive itself, which the memory store holds."""
    tracemalloc.start()
    try:
        answer = send(client, archive)
        return answer, tracemalloc.get_traced_memory()[1] - 3 * len(archive)
    finally:
        tracemalloc.stop()


def test_an_entry_that_inflates_without_measure_is_not_inflated_A76() -> None:
    bomb = archive_of({"1": INSTANCE[:300] + bytes(30 * MEGABYTE), "2": INSTANCE})
    assert len(bomb) < MEGABYTE // 8
    client = client_of(inflated_bytes=4 * MEGABYTE)
    answer, peak = peak_of(client, bomb)
    assert answer.status == 202
    assert stored(client) == 1
    assert answer.json["0008119A"]["Value"][0]["00081197"]["Value"] == [0xA700]
    assert peak < 3 * MEGABYTE


def test_what_inflates_little_may_be_large() -> None:
    """The ceiling is for bombs: a large instance that is deflated as instances are comes in."""
    noise = random.Random(76).randbytes(200_000)
    client = client_of(inflated_bytes=50_000)
    assert send(client, archive_of({"1": made(1, 1, 1, frames=[noise])})).status == 200


def test_an_entry_that_lies_about_its_length_stops_there_A76() -> None:
    bomb = archive_of({"1": INSTANCE[:300] + bytes(30 * MEGABYTE)})
    client = client_of()
    answer, peak = peak_of(client, patched(bomb, CENTRAL, 24, "<L", 1000))
    assert answer.status == 400
    assert "length or checksum" in comments(answer)[0]
    assert peak < 3 * MEGABYTE


def test_what_is_no_instance_is_not_unpacked_A76() -> None:
    bomb = archive_of({"1": bytes(30 * MEGABYTE)})
    begin = time.process_time()
    answer, peak = peak_of(client_of(), bomb)
    assert answer.status == 400
    assert "not a Part 10 file" in comments(answer)[0]
    assert peak < 3 * MEGABYTE
    assert time.process_time() - begin < 1


def test_all_entries_together_have_a_ceiling_A76() -> None:
    client = client_of(request_bytes=3000)
    assert send(client, archive_of({str(n): INSTANCE[:300] + bytes(900) for n in range(4)})).status == 413
    assert stored(client) == 0


def test_entries_have_a_ceiling_A76() -> None:
    client = client_of(multipart_parts=10)
    assert send(client, archive_of({f"{n}/": b"" for n in range(11)})).status == 413
    assert send(client, archive_of({str(n): made(1, 1, n + 1) for n in range(10)})).status == 200


def test_an_archive_in_an_archive_is_not_opened_A76() -> None:
    client = client_of()
    answer = send(client, archive_of({"inner.zip": archive_of({"1": INSTANCE}), "2": INSTANCE}))
    assert answer.status == 202
    assert len(comments(answer)) == 1
    assert stored(client) == 1


def symbolic_link() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        link = zipfile.ZipInfo("link.dcm")
        link.create_system = 3
        link.external_attr = (stat.S_IFLNK | 0o777) << 16
        archive.writestr(link, "/etc/passwd")
    return buffer.getvalue()


PLAIN = archive_of({"1": INSTANCE}, zipfile.ZIP_STORED)
DEFLATED = archive_of({"1": INSTANCE})
WRONG = {
    "encrypted": (patched(DEFLATED, CENTRAL, 8, "<H", 1), "encrypted"),
    "strongly encrypted": (patched(DEFLATED, CENTRAL, 8, "<H", 0x41), "encrypted"),
    "bzip2": (archive_of({"1": INSTANCE}, zipfile.ZIP_BZIP2), "method 12"),
    "lzma": (archive_of({"1": INSTANCE}, zipfile.ZIP_LZMA), "method 14"),
    "checksum": (patched(PLAIN, CENTRAL, 16, "<L", 7), "checksum"),
    "longer than stored": (patched(PLAIN, CENTRAL, 24, "<L", len(INSTANCE) + 1), "length"),
    "shorter than stored": (patched(PLAIN, CENTRAL, 24, "<L", len(INSTANCE) - 1), "length"),
    "no local header": (patched(PLAIN, LOCAL, 0, "<L", 0), "local header"),
    "long name in the local header": (patched(PLAIN, LOCAL, 26, "<H", 0xFFFF), "does not end in the archive"),
    "not deflated": (patched(PLAIN, CENTRAL, 10, "<H", 8), "inflated"),
    "deflated, cut": (patched(DEFLATED, CENTRAL, 20, "<L", 100), "truncated"),
    "symbolic link": (symbolic_link(), "not a Part 10 file"),
}


@pytest.mark.parametrize(("archive", "reason"), WRONG.values(), ids=[f"A76 {name}" for name in WRONG])
def test_what_is_wrong_with_an_entry_is_said(archive: bytes, reason: str) -> None:
    client = client_of()
    answer = send(client, archive)
    assert answer.status == 400
    (comment,) = comments(answer)
    assert reason in comment
    assert stored(client) == 0


BROKEN = {
    "nothing": b"",
    "not an archive": bytes(70_000),
    "gzip": b"\x1f\x8b\x08" + bytes(100),
    "instance": INSTANCE,
    "end alone": END + bytes(18),
    "end, cut": DEFLATED[:-1],
    "something behind": DEFLATED + b"x",
    "directory before the archive": patched(DEFLATED, END, 16, "<L", 0xFFFFFFF0),
    "directory larger than the archive": patched(DEFLATED, END, 12, "<L", 0x7FFFFFFF),
    "directory cut": patched(DEFLATED, END, 12, "<L", 20),
    "several discs": patched(DEFLATED, END, 4, "<H", 1),
    "ZIP64 that is not there": patched(DEFLATED, END, 16, "<L", 0xFFFFFFFF),
    "no ZIP64 numbers": patched(DEFLATED, CENTRAL, 42, "<L", 0xFFFFFFFF),
    "name beyond the directory": patched(DEFLATED, CENTRAL, 28, "<H", 0xFFFF),
    "entry in the directory": patched(DEFLATED, CENTRAL, 42, "<L", len(DEFLATED) - 30),
}


@pytest.mark.parametrize("archive", BROKEN.values(), ids=[f"A76 {name}" for name in BROKEN])
def test_what_is_no_archive_is_refused_whole(archive: bytes) -> None:
    client = client_of()
    answer = send(client, archive)
    assert answer.status == 400
    assert answer.json["error"] == "InvalidPayload"
    assert stored(client) == 0


def test_the_end_is_found_behind_its_like_in_a_comment_A76() -> None:
    buffer = io.BytesIO(DEFLATED)
    with zipfile.ZipFile(buffer, "a") as archive:
        archive.comment = END + bytes(18) + b"behind"
    assert send(client_of(), buffer.getvalue()).status == 200


def test_a_cut_archive_stores_nothing_A76() -> None:
    archive = archive_of({str(n): made(1, 1, n + 1) for n in range(3)})
    client = client_of()
    for cut in range(0, len(archive), 7):
        assert send(client, archive[:cut]).status == 400, cut
    assert stored(client) == 0


@pytest.mark.parametrize("seed", range(4))
def test_whatever_is_flipped_the_server_has_an_answer_A76(seed: int) -> None:
    """And an instance comes in whole or not at all."""
    chance = random.Random(seed)
    files = {str(n): made(1, 1, n + 1, frames=[bytes(4)]) for n in range(3)}
    archive = archive_of(files, chance.choice([zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED]))
    for _ in range(150):
        client = client_of()
        changed = bytearray(archive)
        for _ in range(chance.randint(1, 3)):
            changed[chance.randrange(len(changed))] ^= 1 << chance.randrange(8)
        answer = send(client, bytes(changed))
        assert answer.status in (200, 202, 400, 409, 413)
        if answer.status < 300:
            kept = client.get(path(1), ZIP).content
            with zipfile.ZipFile(io.BytesIO(kept)) as opened:
                assert {opened.read(name) for name in opened.namelist()} <= set(files.values())
