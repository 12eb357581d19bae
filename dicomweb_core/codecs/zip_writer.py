"""ZIP archives written as a stream: nothing is compressed, nothing is sought (PKWARE APPNOTE 6.3).

An entry that fits into memory stands behind a local header with its checksum and length: readers that go forwards only
can use it. A longer one is followed by a data descriptor, for its checksum is known only then. Sizes and offsets beyond
32 bits, and more than 65,535 entries, are written in ZIP64 form.
"""

from __future__ import annotations

import re
import struct
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from typing import Final, NamedTuple
from zlib import crc32

from dicomweb_core.errors import CorruptBlob

HELD_BYTES: Final = 1 << 20
"""Entries up to this size are read before their header is written."""

_MOST_16: Final = 0xFFFF
_MOST_32: Final = 0xFFFFFFFF
_LONGEST_NAME: Final = 255
_DIRECTORY_BYTES: Final = 1 << 16
# No segment begins with a dot: neither `..` nor a hidden file.
_NAME: Final = re.compile(r"(?:[0-9A-Za-z_][0-9A-Za-z._-]*/)*[0-9A-Za-z_][0-9A-Za-z._-]*")

_LOCAL: Final = struct.Struct("<4s5H3L2H")
_DESCRIPTOR: Final = struct.Struct("<4s3L")
_DESCRIPTOR_64: Final = struct.Struct("<4sLQQ")
_LOCAL_64: Final = struct.pack("<HHQQ", 1, 16, 0, 0)
_CENTRAL: Final = struct.Struct("<4s6H3L5H2L")
_END: Final = struct.Struct("<4s4H2LH")
_END_64: Final = struct.Struct("<4sQ2H2L4Q")
_LOCATOR_64: Final = struct.Struct("<4sLQL")

_PLAIN, _WITH_DESCRIPTOR, _ZIP64 = 10, 20, 45  # version needed to extract, APPNOTE 4.4.3
_DESCRIPTOR_FOLLOWS: Final = 0x0008
_TIME, _DATE = 0, 0x0021  # 1980-01-01: when a file was stored is nobody's business, and equal requests are equal


class ZipEntry(NamedTuple):
    """A file of the archive. `open` starts reading it; closing the iterator it returns frees what it holds."""

    name: str
    """ASCII letters, digits, `._-`, and `/` between folders."""
    length: int | None
    """In bytes; None when it is not known before it is made."""
    open: Callable[[], Iterator[bytes]]


def write_zip(entries: Iterable[ZipEntry]) -> Iterator[bytes]:
    """The archive in chunks. Names have to be distinct; that is the caller's part.

    Memory: one chunk of an entry and `HELD_BYTES`, and the directory, deflated. Raises ValueError for a name that is
    not safe, CorruptBlob when an entry has not its length, and what the entries raise.
    """
    directory = _Directory()
    offset = 0
    for entry in entries:
        name = _checked(entry.name)
        written = _Written(offset)
        for chunk in _entry(entry, name, written):
            offset += len(chunk)
            yield chunk
        directory.add(name, written)
    yield from directory.chunks(offset)


def zip_length(entries: Iterable[tuple[str, int]]) -> int:
    """Bytes of an archive of entries with these names and lengths."""
    offset = directory = count = 0
    for name, length in entries:
        directory += _CENTRAL.size + len(name) + len(_central_64(length, offset))
        offset += _LOCAL.size + len(name) + length
        if length > HELD_BYTES:
            is_64 = length >= _MOST_32
            offset += len(_LOCAL_64) + _DESCRIPTOR_64.size if is_64 else _DESCRIPTOR.size
        count += 1
    return offset + directory + len(_end(count, directory, offset))


class _Written:
    """What is known of an entry when it has been written."""

    def __init__(self, offset: int) -> None:
        self.offset = offset
        self.length = 0
        self.checksum = 0
        self.version = _PLAIN
        self.flags = 0

    def count(self, chunk: bytes) -> bytes:
        """The chunk, counted."""
        self.length += len(chunk)
        self.checksum = crc32(chunk, self.checksum)
        return chunk


def _entry(entry: ZipEntry, name: bytes, written: _Written) -> Iterator[bytes]:
    content = entry.open()
    with ExitStack() as stack:
        close = getattr(content, "close", None)
        if close is not None:
            stack.callback(close)
        held: list[bytes] = []
        for chunk in content:
            held.append(written.count(chunk))
            if written.length > HELD_BYTES:
                break
        else:
            _check_length(entry, written)
            yield b"".join((_local(name, written), *held))
            return
        if entry.length is None or entry.length >= _MOST_32:
            written.version, form = _ZIP64, _DESCRIPTOR_64
        else:
            written.version, form = _WITH_DESCRIPTOR, _DESCRIPTOR
        written.flags = _DESCRIPTOR_FOLLOWS
        yield _local(name, written)
        yield from held
        held.clear()
        for chunk in content:
            yield written.count(chunk)
        _check_length(entry, written)
        yield form.pack(b"PK\x07\x08", written.checksum, written.length, written.length)


def _check_length(entry: ZipEntry, written: _Written) -> None:
    if entry.length is not None and written.length != entry.length:
        raise CorruptBlob("An instance has not the length it was said to have.")


def _local(name: bytes, written: _Written) -> bytes:
    """Local file header. Where a descriptor follows, checksum and lengths stand there (APPNOTE 4.4.4)."""
    extra = b""
    checksum, length = written.checksum, written.length
    if written.flags:
        checksum = length = 0
    if written.version == _ZIP64:
        length, extra = _MOST_32, _LOCAL_64
    head = _LOCAL.pack(
        b"PK\x03\x04", written.version, written.flags, 0, _TIME, _DATE, checksum, length, length, len(name), len(extra)
    )
    return head + name + extra


class _Directory:
    """The central directory, kept deflated: its records are much alike."""

    def __init__(self) -> None:
        self._deflate = zlib.compressobj(1, wbits=-zlib.MAX_WBITS)
        self._deflated: list[bytes] = []
        self._size = 0
        self._count = 0

    def add(self, name: bytes, written: _Written) -> None:
        """The record of an entry."""
        extra = _central_64(written.length, written.offset)
        length, offset = min(written.length, _MOST_32), min(written.offset, _MOST_32)
        version = _ZIP64 if extra else written.version
        record = _CENTRAL.pack(
            b"PK\x01\x02", _ZIP64, version, written.flags, 0, _TIME, _DATE, written.checksum, length, length,
            len(name), len(extra), 0, 0, 0, 0, offset,
        ) + name + extra  # fmt: skip
        if deflated := self._deflate.compress(record):
            self._deflated.append(deflated)
        self._size += len(record)
        self._count += 1

    def chunks(self, offset: int) -> Iterator[bytes]:
        """The directory, which begins at `offset`, and the end of the archive."""
        self._deflated.append(self._deflate.flush())
        inflate = zlib.decompressobj(-zlib.MAX_WBITS)
        for deflated in self._deflated:
            while deflated:
                yield inflate.decompress(deflated, _DIRECTORY_BYTES)
                deflated = inflate.unconsumed_tail
        yield inflate.flush() + _end(self._count, self._size, offset)


def _central_64(length: int, offset: int) -> bytes:
    """The ZIP64 extra field of a record of the directory: what does not fit into 32 bits (APPNOTE 4.5.3)."""
    beyond = [length, length] if length >= _MOST_32 else []
    if offset >= _MOST_32:
        beyond.append(offset)
    return struct.pack(f"<HH{len(beyond)}Q", 1, 8 * len(beyond), *beyond) if beyond else b""


def _end(count: int, size: int, offset: int) -> bytes:
    """End of central directory; in ZIP64 form before it when a number does not fit."""
    end = b""
    if count >= _MOST_16 or size >= _MOST_32 or offset >= _MOST_32:
        end = _END_64.pack(b"PK\x06\x06", _END_64.size - 12, _ZIP64, _ZIP64, 0, 0, count, count, size, offset)
        end += _LOCATOR_64.pack(b"PK\x06\x07", 0, offset + size, 1)
    count = min(count, _MOST_16)
    return end + _END.pack(b"PK\x05\x06", 0, 0, count, count, min(size, _MOST_32), min(offset, _MOST_32), 0)


def _checked(name: str) -> bytes:
    if len(name) > _LONGEST_NAME or _NAME.fullmatch(name) is None:
        raise ValueError("The name of an entry has other than ASCII letters, digits and ._-/ in it.")
    return name.encode("ascii")
