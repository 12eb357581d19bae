"""ZIP archives as a stream, read back by the standard library and by Info-ZIP."""

from __future__ import annotations

import io
import shutil
import struct
import subprocess
import tracemalloc
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dicomweb_core.codecs import zip_writer
from dicomweb_core.codecs.zip_writer import HELD_BYTES, ZipEntry, write_zip, zip_length
from dicomweb_core.errors import CorruptBlob

MEGABYTE = 1 << 20


def entry(name: str, content: bytes, *, chunk: int = 1 << 18, known: bool = True) -> ZipEntry:
    def chunks() -> Iterator[bytes]:
        return (content[at : at + chunk] for at in range(0, len(content), chunk))

    return ZipEntry(name, len(content) if known else None, chunks)


def read_back(archive: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(archive)) as opened:
        assert opened.testzip() is None
        return {name: opened.read(name) for name in opened.namelist()}


SIZES = st.sampled_from([0, 1, 2, 1000, 70_000, HELD_BYTES - 1, HELD_BYTES, HELD_BYTES + 1, 3 * HELD_BYTES])


@given(st.lists(st.tuples(SIZES, st.booleans(), st.sampled_from([65_536, 1 << 20])), max_size=5))
def test_what_is_written_is_read_and_its_length_known_before(files: list[tuple[int, bool, int]]) -> None:
    contents = {f"1.2/{n}.dcm": bytes([n]) * size for n, (size, _, _) in enumerate(files)}
    entries = [
        entry(name, contents[name], known=known, chunk=chunk)
        for name, (_, known, chunk) in zip(contents, files, strict=True)
    ]
    archive = b"".join(write_zip(entries))
    assert read_back(archive) == contents
    if all(one.length is not None for one in entries):
        assert len(archive) == zip_length((name, len(content)) for name, content in contents.items())


def test_nothing_is_compressed_and_no_time_is_told() -> None:
    archive = b"".join(write_zip([entry("1.2.dcm", b"a" * 5000), entry("1.3.dcm", b"b" * 2 * MEGABYTE)]))
    for file in zipfile.ZipFile(io.BytesIO(archive)).infolist():
        assert file.compress_type == zipfile.ZIP_STORED
        assert file.compress_size == file.file_size
        assert file.date_time == (1980, 1, 1, 0, 0, 0)


def test_small_entries_can_be_read_forwards_only() -> None:
    """Their local headers are complete, so that they can be told apart without the directory."""
    contents = {f"1.{n}.dcm": bytes([n]) * n * 1000 for n in range(1, 6)}
    stream = io.BytesIO(b"".join(write_zip(entry(name, content) for name, content in contents.items())))
    found = {}
    while (head := stream.read(30))[:4] == b"PK\x03\x04":
        flags, method, checksum, compressed, length, name_length, extra = struct.unpack("<4xHH4x3LHH", head[2:])
        name = stream.read(name_length).decode()
        found[name] = stream.read(compressed)
        assert (flags, method, extra, length, zlib.crc32(found[name])) == (0, 0, 0, compressed, checksum)
    assert found == contents


@pytest.mark.parametrize(
    ("length", "said"), [(10, 11), (11, 10), (3 * MEGABYTE, 3 * MEGABYTE + 1), (3 * MEGABYTE, 3 * MEGABYTE - 1),
                         (10, 3 * MEGABYTE), (3 * MEGABYTE, 10)]
)  # fmt: skip
def test_an_entry_of_another_length_than_said_is_an_error(length: int, said: int) -> None:
    """The length of the whole may have been sent already."""
    one = entry("1.dcm", bytes(length))
    with pytest.raises(CorruptBlob):
        b"".join(write_zip([one._replace(length=said)]))


def test_a_failing_entry_is_closed_and_its_error_comes_through() -> None:
    closed = []

    def chunks() -> Iterator[bytes]:
        try:
            yield bytes(2 * MEGABYTE)
            raise CorruptBlob("broken")
        finally:
            closed.append(True)

    with pytest.raises(CorruptBlob, match="broken"):
        b"".join(write_zip([ZipEntry("1.dcm", None, chunks)]))
    assert closed == [True]


def test_an_abandoned_archive_closes_its_entry() -> None:
    closed = []

    def chunks() -> Iterator[bytes]:
        try:
            while True:
                yield bytes(MEGABYTE)
        finally:
            closed.append(True)

    archive = iter(write_zip([ZipEntry("1.dcm", None, chunks)]))
    next(archive)
    archive.close()  # type: ignore[attr-defined]  # it is a generator
    assert closed == [True]


UNSAFE = ("", "/", "/1.dcm", "../1.dcm", "1/../../2.dcm", "1//2.dcm", "1/", ".", "..", ".hidden", "1\\2.dcm", "C:1.dcm",
          "Müller.dcm", "1.dcm\n", "1\0.dcm", "1 2.dcm", "-rf/..", "a" * 256, "\u202e1.dcm", "CON:")  # fmt: skip


@pytest.mark.parametrize("name", UNSAFE, ids=[f"A76 {ascii(name)[:20]}" for name in UNSAFE])
def test_a_name_that_could_leave_its_folder_is_never_written(name: str) -> None:
    with pytest.raises(ValueError, match="name of an entry"):
        b"".join(write_zip([entry(name, b"")]))


def test_more_than_65535_entries_A76(tmp_path: Path) -> None:
    count = 66_000
    archive = tmp_path / "many.zip"
    with archive.open("wb") as file:
        for chunk in write_zip(entry(f"1.2.3/{n % 7}/{n}.dcm", b"%06d" % n) for n in range(count)):
            file.write(chunk)
    assert archive.stat().st_size == zip_length((f"1.2.3/{n % 7}/{n}.dcm", 6) for n in range(count))
    with zipfile.ZipFile(archive) as opened:
        names = opened.namelist()
        assert len(set(names)) == len(names) == count
        assert opened.read("1.2.3/3/65537.dcm") == b"065537"
        assert opened.read(names[-1]) == b"065999"
    # The standard library does not look at the count; others do.
    end = archive.read_bytes()[-(56 + 20 + 22) :]
    assert end[:4] == b"PK\x06\x06"
    assert struct.unpack_from("<QQ", end, 24) == (count, count)
    assert struct.unpack_from("<HH", end, 56 + 20 + 8) == (0xFFFF, 0xFFFF)


def test_memory_does_not_grow_with_entries_A76() -> None:
    """The directory is kept deflated: 5,000 entries with long names are more than a megabyte otherwise."""
    study, series = "1.2.840." + "1" * 50, "1.2.840." + "2" * 50
    entries = (entry(f"{study}/{series}/1.2.840.{'3' * 45}{n:05}.dcm", b"abc") for n in range(5_000))
    tracemalloc.start()
    try:
        size = sum(map(len, write_zip(entries)))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert size > 2 * MEGABYTE
    assert peak < 700_000


def test_memory_does_not_grow_with_an_entry_A76() -> None:
    block = bytes(MEGABYTE)
    one = ZipEntry("1.dcm", None, lambda: (block for _ in range(50)))
    tracemalloc.start()
    try:
        size = sum(map(len, write_zip([one])))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert size > 50 * MEGABYTE
    assert peak < MEGABYTE


def zeros(size: int) -> Iterator[bytes]:
    block = bytes(4 * MEGABYTE)
    for at in range(0, size, len(block)):
        yield block[: size - at]


def sparse(path: Path, chunks: Iterator[bytes]) -> None:
    """Writes a file of mostly zeros without the zeros."""
    block = bytes(4 * MEGABYTE)
    with path.open("wb") as file:
        for chunk in chunks:
            if chunk == block:
                file.seek(len(chunk), io.SEEK_CUR)
            else:
                file.write(chunk)


def test_offsets_and_lengths_beyond_4_gib_A76(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the checksum of four gigabytes only the slow test below can say something."""
    monkeypatch.setattr(zip_writer, "crc32", lambda data, start=0: 0)
    large = (1 << 32) + 5
    archive = tmp_path / "large.zip"
    sparse(
        archive,
        write_zip(
            [
                ZipEntry("1.dcm", large, lambda: zeros(large)),
                ZipEntry("2.dcm", None, lambda: zeros(2 * MEGABYTE)),
                entry("3.dcm", b""),
            ]
        ),
    )
    with zipfile.ZipFile(archive) as opened:
        lengths = {file.filename: file.file_size for file in opened.infolist()}
        assert lengths == {"1.dcm": large, "2.dcm": 2 * MEGABYTE, "3.dcm": 0}
        assert opened.read("3.dcm") == b""
        assert opened.getinfo("3.dcm").header_offset > large


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("known", [True, False])
def test_beyond_4_gib_read_back_by_others_A76(tmp_path: Path, known: bool) -> None:
    large = (1 << 32) + 5
    archive = tmp_path / "large.zip"
    entries = [ZipEntry("1.dcm", large if known else None, lambda: zeros(large)), entry("2.dcm", b"behind")]
    sparse(archive, write_zip(entries))
    if known:
        assert archive.stat().st_size == zip_length([("1.dcm", large), ("2.dcm", 6)])
    with zipfile.ZipFile(archive) as opened:
        assert opened.testzip() is None
        assert opened.read("2.dcm") == b"behind"
    if unzip := shutil.which("unzip"):
        subprocess.run([unzip, "-tq", archive], check=True, stdout=subprocess.DEVNULL)


@pytest.mark.skipif(shutil.which("unzip") is None, reason="Info-ZIP is not installed")
def test_info_zip_finds_no_fault(tmp_path: Path) -> None:
    archive = tmp_path / "some.zip"
    entries = [
        entry("1.2/3/4.dcm", b"abc"),
        entry("1.2/3/5.dcm", bytes(2 * MEGABYTE)),
        entry("1.2/3/6.dcm", bytes(2 * MEGABYTE), known=False),
        entry("1.2/3/7.dcm", b"", known=False),
    ]
    archive.write_bytes(b"".join(write_zip(entries)))
    done = subprocess.run([shutil.which("unzip") or "", "-t", archive], check=True, capture_output=True, text=True)
    assert "No errors detected" in done.stdout
    assert done.stderr == ""
