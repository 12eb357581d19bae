"""Blobs: bytes on their way into the store, and readers that never hand out a byte they have not checked."""

from __future__ import annotations

import os
from array import array
from collections.abc import Callable
from concurrent.futures import Future
from typing import Final

from dicomweb_core.errors import CorruptBlob, OutOfSpace, StorageUnavailable
from dicomweb_core.storage.instances import BlobReader
from dicomweb_core.values.messages import Buffer
from dicomweb_lmdb.content_files import ContentFiles, Writer
from dicomweb_lmdb.environment import as_ours
from dicomweb_lmdb.rows import ContentName, FileRow

try:
    from isal.isal_zlib import crc32
except ImportError:  # the same CRC-32, several times slower
    from zlib import crc32

BLOCK: Final = 65_536
"""Bytes under one checksum. A blob of at most one block is kept in the table."""

_WRITE_BYTES: Final = 4 * BLOCK
"""Small writes are gathered to this size."""

_COMPARED_BYTES: Final = 16 * BLOCK


class SmallBlobReader:
    """A blob in memory, at most one block."""

    def __init__(self, content: bytes, checksums: bytes) -> None:
        self._content = content
        self._checksums: bytes | None = checksums

    @property
    def size(self) -> int:
        """In bytes."""
        return len(self._content)

    def read(self, offset: int, length: int) -> bytes:
        """Exactly these bytes. Raises CorruptBlob, ValueError beyond the end."""
        _check_range(offset, length, len(self._content))
        if self._checksums is not None:
            if checksums_of(self._content) != self._checksums:
                raise CorruptBlob("The stored bytes of an instance are not those that were stored.")
            self._checksums = None  # our own copy: it stays right
        return self._content[offset : offset + length]

    def close(self) -> None:
        """Nothing is held."""


class ContentFileReader:
    """A content file, read by whole blocks so that their checksums can be compared. Closes the descriptor it is given.

    The last block is kept: short reads one after the other compute a checksum once.
    """

    def __init__(self, descriptor: int, size: int, checksums: bytes) -> None:
        self._descriptor = descriptor
        self._size = size
        self._checksums = array("I", checksums)
        self._kept: tuple[int, bytes] = (-1, b"")

    @property
    def size(self) -> int:
        """In bytes."""
        return self._size

    def read(self, offset: int, length: int) -> bytes:
        """Exactly these bytes. Raises CorruptBlob, ValueError beyond the end or when closed."""
        _check_range(offset, length, self._size)
        if not length:
            return b""
        if self._descriptor < 0:
            raise ValueError("The reader is closed.")
        if length >= BLOCK:
            return self._read_many(offset, length)
        first, last = offset // BLOCK, (offset + length - 1) // BLOCK
        number, kept = self._kept
        if first == last == number:
            return kept[offset - first * BLOCK : offset - first * BLOCK + length]
        begin = first * BLOCK
        content = self._read_whole(begin, min((last + 1) * BLOCK, self._size) - begin)
        self._check(first, content)
        self._kept = (last, content[(last - first) * BLOCK :])
        return content[offset - begin : offset - begin + length]

    def _read_many(self, offset: int, length: int) -> bytes:
        """More than a block: what is returned is not copied; the rest of its first and last block is read apart."""
        begin = offset // BLOCK * BLOCK
        end = offset + length
        rest = min(-(-end // BLOCK) * BLOCK, self._size) - end
        content = self._read_whole(offset, length)
        block = begin // BLOCK
        at = 0
        if begin < offset:
            before = self._read_whole(begin, offset - begin)
            at = BLOCK - len(before)
            self._compare(block, crc32(memoryview(content)[:at], crc32(before)))
            block += 1
        if rest:
            whole = at + (length - at) // BLOCK * BLOCK
            behind = self._read_whole(end, rest)
            self._compare((end - 1) // BLOCK, crc32(behind, crc32(memoryview(content)[whole:])))
            self._check(block, memoryview(content)[at:whole])
        else:
            self._check(block, memoryview(content)[at:] if at else content)
        return content

    def close(self) -> None:
        """Idempotent."""
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)

    def __del__(self) -> None:
        if getattr(self, "_descriptor", -1) >= 0:
            os.close(self._descriptor)

    def _read_whole(self, offset: int, length: int) -> bytes:
        try:
            content = os.pread(self._descriptor, length, offset)
            if len(content) == length:
                return content
            parts = [content]
            while len(parts[-1]) and (missing := length - sum(map(len, parts))):
                parts.append(os.pread(self._descriptor, missing, offset + length - missing))
        except OSError as error:
            raise CorruptBlob("The stored bytes of an instance cannot be read.") from error
        content = b"".join(parts)
        if len(content) != length:
            raise CorruptBlob("The content of an instance is shorter than it was.")
        return content

    def _check(self, block: int, content: bytes | memoryview) -> None:
        """Compares the checksums of the blocks that lie here whole, the first of this number."""
        view = memoryview(content)
        for at in range(0, len(content), BLOCK):
            self._compare(block, crc32(view[at : at + BLOCK]))
            block += 1

    def _compare(self, block: int, checksum: int) -> None:
        if checksum != self._checksums[block]:
            raise CorruptBlob("The stored bytes of an instance are not those that were stored.")


class LMDBStagedBlob:
    """Bytes of one instance: in memory while they are few, then in their content file."""

    def __init__(self, files: ContentFiles, writer: Callable[[], Writer]) -> None:
        self._files = files
        self._writer_of_process = writer
        self._writer: Writer | None = None
        self._waiting = bytearray()
        self._name: ContentName | None = None
        self._descriptor = -1
        self._checksums = array("I")
        self._checksum = 0
        self._size = 0
        self._written = 0
        self._flushing: Future[None] | None = None
        self._sealed = False
        self._over = False

    @property
    def committable(self) -> bool:
        """Sealed, neither discarded nor committed before."""
        return self._sealed and not self._over

    @property
    def name(self) -> ContentName | None:
        """Its content file, if it is not small."""
        return self._name

    def write(self, data: Buffer) -> None:
        """Appends. Raises OutOfSpace, StorageUnavailable, and ValueError after seal or discard."""
        if self._sealed or self._over:
            raise ValueError("The blob takes no more bytes.")
        view = memoryview(data).cast("B")
        self._account(view)
        try:
            if self._name is None:
                if self._size <= BLOCK:
                    self._waiting += view
                    return
                self._writer = self._writer_of_process()
                self._name, self._descriptor = self._writer.create()
            if len(view) >= BLOCK:
                self._write_waiting()
                self._write(view)
            else:
                self._waiting += view
                if len(self._waiting) >= _WRITE_BYTES:
                    self._write_waiting()
        except OSError as error:
            self.discard()
            raise as_ours(error) from error
        except StorageUnavailable:
            self.discard()
            raise

    def seal(self) -> BlobReader:
        """No more writes. What was written, to be read; it begins to become durable. Raises as `write` does."""
        if self._sealed or self._over:
            raise ValueError("The blob is sealed.")
        if self._size % BLOCK:
            self._checksums.append(self._checksum)
        checksums = self._checksums.tobytes()
        if self._writer is None:
            self._sealed = True
            return SmallBlobReader(bytes(self._waiting), checksums)
        try:
            self._write_waiting()
            reader = ContentFileReader(os.dup(self._descriptor), self._size, checksums)
        except OSError as error:
            self.discard()
            raise as_ours(error) from error
        descriptor, self._descriptor = self._descriptor, -1
        self._flushing = self._writer.flush(descriptor)
        self._sealed = True
        return reader

    def wait_until_durable(self) -> bool:
        """Whether the content is on its medium; False if there was no room for it. Raises StorageUnavailable."""
        if self._flushing is None:
            return True
        try:
            self._flushing.result()
        except OSError as error:
            ours = as_ours(error)
            if isinstance(ours, OutOfSpace):
                return False
            raise ours from error
        return True

    def row(self, layout: bytes) -> FileRow:
        """What the table keeps of it."""
        content = b"" if self._name is not None else bytes(self._waiting)
        return FileRow(self._size, self._name, layout, self._checksums.tobytes(), content)

    def committed(self) -> None:
        """The index names the bytes now: `discard` is without effect from here on."""
        self._over = True
        self._waiting = bytearray()
        if self._writer is not None and self._name is not None:
            self._writer.settle(self._name)

    def abandon(self) -> None:
        """Nobody knows whether the index names the bytes: they stay until the next sweep finds out."""
        self._over = True

    def discard(self) -> None:
        """Forgets the bytes. Idempotent; without effect after a commit that kept them."""
        if self._over:
            return
        self._over = True
        self._waiting = bytearray()
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1
        if self._writer is None or self._name is None or self._writer.pid != os.getpid():
            return  # a forked copy of a staged blob: the file is the parent's
        if self._files.unlink(self._name):
            self._writer.settle(self._name)

    def __del__(self) -> None:
        if not getattr(self, "_over", True):
            self.discard()

    def _account(self, view: memoryview) -> None:
        at = 0
        while at < len(view):
            taken = min(BLOCK - self._size % BLOCK, len(view) - at)
            self._checksum = crc32(view[at : at + taken], self._checksum)
            self._size += taken
            at += taken
            if self._size % BLOCK == 0:
                self._checksums.append(self._checksum)
                self._checksum = 0

    def _write_waiting(self) -> None:
        waiting, self._waiting = self._waiting, bytearray()
        self._write(memoryview(waiting))

    def _write(self, view: memoryview) -> None:
        while len(view):
            written = os.pwrite(self._descriptor, view, self._written)
            self._written += written
            view = view[written:]


def checksums_of(content: bytes) -> bytes:
    """CRC-32 of each block, `=I`."""
    view = memoryview(content)
    return array("I", (crc32(view[at : at + BLOCK]) for at in range(0, len(content), BLOCK))).tobytes()


def open_blob(files: ContentFiles, row: FileRow) -> BlobReader:
    """A reader over a committed blob. Raises FileNotFoundError, CorruptBlob."""
    if row.name is None:
        return SmallBlobReader(row.content, row.checksums)
    return ContentFileReader(files.open(row.name, row.size), row.size, row.checksums)


def same_bytes(files: ContentFiles, one: FileRow, other: FileRow) -> bool:
    """Whether two blobs are equal to the last byte. Raises FileNotFoundError, CorruptBlob."""
    if one.size != other.size or one.checksums != other.checksums:
        return False
    first = open_blob(files, one)
    try:
        second = open_blob(files, other)
        try:
            return all(
                first.read(at, min(_COMPARED_BYTES, one.size - at))
                == second.read(at, min(_COMPARED_BYTES, one.size - at))
                for at in range(0, one.size, _COMPARED_BYTES)
            )
        finally:
            second.close()
    finally:
        first.close()


def _check_range(offset: int, length: int, size: int) -> None:
    if offset < 0 or length < 0 or offset + length > size:
        raise ValueError("Beyond the end of the blob.")
