"""A moving window over a Part 10 file: headers come from memory, large values are never read.

Bytes are fetched forwards only and each at most once, so that a deflated data set can be read the same way.
"""

from __future__ import annotations

import struct
import zlib
from typing import Final, Protocol

from dicomweb_core.errors import InvalidDataset, TooLarge
from dicomweb_core.values.blobs import ByteSource
from dicomweb_core.values.limits import Limits

WINDOW_BYTES: Final = 1 << 16
_INPUT_BYTES: Final = 1 << 16
_OUTPUT_BYTES: Final = 1 << 18
_UNBOUNDED: Final = 1 << 62


class ForwardSource(Protocol):
    """A ByteSource that may learn its size only at the end: then `read` gives less than asked."""

    @property
    def size(self) -> int:
        """In bytes; too large until the end was seen."""

    def read(self, offset: int, length: int, /) -> bytes:
        """These bytes, fewer at the end."""


class Window:
    """`data` are the bytes from `base` up to `available`, all counted from the begin of the file."""

    __slots__ = ("_forwards", "available", "base", "data", "size", "source")

    def __init__(self, source: ForwardSource, begin: int = 0, *, forwards: bool = False) -> None:
        self._forwards = forwards
        self.source = source
        self.size = source.size
        self.data = b""
        self.base = self.available = begin

    def refill(self, at: int) -> None:
        """Moves the window to begin at `at`, which is not before it. Beyond the end it is empty."""
        kept = self.data[at - self.base :] if at < self.available else b""
        begin = at + len(kept)
        wanted = min(WINDOW_BYTES, self.size - begin)
        fresh = self.source.read(begin, wanted) if wanted > 0 else b""
        if len(fresh) < wanted:
            self.size = self.source.size
        self.data = kept + fresh
        self.base, self.available = at, at + len(self.data)

    def peek(self, at: int, length: int) -> bytes:
        """These bytes, fewer at the end of the file. `length` is less than the window."""
        if at + length > self.available:
            self.refill(at)
        return self.data[at - self.base : at - self.base + length]

    def peek_far(self, at: int, length: int) -> bytes:
        """`peek` for headers with large values between them: reads no more than the header if it lies far away."""
        if at < self.available + WINDOW_BYTES or self.size - at < WINDOW_BYTES:
            return self.peek(at, length)
        self.data = self.source.read(at, length)
        self.base, self.available = at, at + len(self.data)
        return self.data

    def glance(self, at: int, length: int) -> bytes:
        """Bytes ahead without moving the window; none when they lie outside and the source only goes forwards."""
        if at + length <= self.available:
            return self.data[at - self.base : at - self.base + length]
        if self._forwards or at + length > self.size:
            return b""
        return self.source.read(at, length)

    def take(self, at: int, length: int) -> bytes:
        """Exactly these bytes, any number. The window moves behind them if they do not lie in it.

        Raises InvalidDataset at the end of the file.
        """
        end = at + length
        if end <= self.available:
            return self.data[at - self.base : end - self.base]
        if end > self.size:
            raise truncated(at)
        kept = self.data[at - self.base :] if at < self.available else b""
        begin = at + len(kept)
        value = kept + self.source.read(begin, end - begin)
        self.data, self.base, self.available = b"", end, end
        if len(value) < length:
            self.size = self.source.size
            raise truncated(at)
        return value


def truncated(at: int) -> InvalidDataset:
    """The file ends inside what begins at this offset."""
    return InvalidDataset(f"The file is truncated: what begins at byte {at} does not end in it.")


class InflatedSource:
    """A file whose data set is deflated (PS3.5 A.5), as if it had been stored inflated.

    Read forwards it costs one pass and one window of memory; reading behind begins again. `size` is a number beyond
    all files until the end was read. Raises InvalidDataset for a broken or cut stream, TooLarge beyond
    `Limits.inflated_bytes`.
    """

    def __init__(self, source: ByteSource, dataset_offset: int, limits: Limits) -> None:
        self._source = source
        self._begin = dataset_offset
        self._limit = limits.inflated_bytes
        self._known = _UNBOUNDED
        self._rewind()

    def resume(self, source: ByteSource) -> None:
        """Goes on with another reader of the same file: what was inflated is not inflated again."""
        self._source = source

    def _rewind(self) -> None:
        self._inflate = zlib.decompressobj(-zlib.MAX_WBITS)
        self._checksum = 0
        self._input = self._begin
        self._position = self._begin
        self._pending = b""
        self._ended = False

    @property
    def size(self) -> int:
        """Bytes of File Meta Information and inflated data set."""
        return self._known

    def read(self, offset: int, length: int, /) -> bytes:
        """These bytes, fewer at the end."""
        if offset < self._begin:
            head = self._source.read(offset, min(length, self._begin - offset))
            return head + (self.read(self._begin, length - len(head)) if len(head) < length else b"")
        if offset < self._position:
            self._rewind()
        parts: list[bytes] = []
        while length and not (self._ended and not self._pending):
            if not self._pending:
                self._pending = self._inflate_some()
                continue
            skipped = min(offset - self._position, len(self._pending))
            part = self._pending[skipped : skipped + length] if self._position + skipped == offset else b""
            self._pending = self._pending[skipped + len(part) :]
            self._position += skipped + len(part)
            parts.append(part)
            offset += len(part)
            length -= len(part)
        return b"".join(parts)

    def _inflate_some(self) -> bytes:
        """The next inflated bytes; none when the stream has just ended or wants more input."""
        feed = self._inflate.unconsumed_tail
        if not feed:
            feed = self._source.read(self._input, min(_INPUT_BYTES, self._source.size - self._input))
            self._input += len(feed)
        try:
            out = self._inflate.decompress(feed, _OUTPUT_BYTES)
        except zlib.error:
            raise InvalidDataset("The deflated data set cannot be inflated (PS3.5 A.5).") from None
        if self._position + len(out) - self._begin > self._limit:
            raise TooLarge(
                f"The data set inflates to more than {self._limit} bytes.",
                limit="inflated_bytes",
                ceiling=self._limit,
            )
        self._checksum = zlib.crc32(out, self._checksum)
        if self._inflate.eof:
            self._end(len(out))
        elif not feed and not out:
            raise InvalidDataset("The deflated data set is truncated (PS3.5 A.5).")
        return out

    def _end(self, inflated: int) -> None:
        self._ended = True
        self._known = self._position + inflated
        behind = self._inflate.unused_data
        at = self._input
        # Some writers leave the trailer of a gzip member behind the stream (RFC 1952 2.3.1).
        length = self._known - self._begin
        trailer = struct.pack("<II", self._checksum, length & 0xFFFFFFFF)
        if len(behind) < 8 and at < self._source.size:
            more = self._source.read(at, min(8, self._source.size - at))
            behind, at = behind + more, at + len(more)
        behind = behind.removeprefix(trailer)
        while behind or at < self._source.size:
            # One byte may pad the stream to an even length (PS3.5 A.5); more zeros do no harm.
            if behind.strip(b"\0"):
                raise InvalidDataset(f"There is something behind the deflated data set, before byte {at}.")
            behind = self._source.read(at, min(_INPUT_BYTES, self._source.size - at))
            at += len(behind)
