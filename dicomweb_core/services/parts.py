"""The items of an answer: headers, length and a way to open the bytes, so that nothing is held before its turn."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from typing import NamedTuple

from dicomweb_core.storage.instances import BlobReader
from dicomweb_core.values.blobs import Span
from dicomweb_core.values.messages import HeaderList

Chunks = Iterator[bytes]


class Part(NamedTuple):
    """One item of an answer. `open` starts reading it; closing the iterator it returns frees what it holds."""

    media_type: str
    """With its parameters, as in Content-Type."""
    open: Callable[[], Chunks]
    length: int | None = None
    """In bytes; None when it is not known before it is made."""
    location: str | None = None
    """The URL of the resource the item represents (Content-Location)."""
    ranged: Callable[[int, int], Chunks] | None = None
    """Reads some of it and nothing else: 0-based offset, length, all of it there. Such an item is read as it is
    stored, so opening it late is no risk but that of damage."""

    @classmethod
    def of(cls, data: bytes, media_type: str, location: str | None = None) -> Part:
        """An item in memory."""

        def ranged(offset: int, length: int) -> Chunks:
            return iter((data[offset : offset + length],))

        return cls(media_type, lambda: iter((data,)), len(data), location, ranged)

    @property
    def essence(self) -> str:
        """The media type without its parameters."""
        return self.media_type.partition(";")[0]

    @property
    def headers(self) -> HeaderList:
        """Content-Type first (PS3.18 8.6.1.2.1)."""
        headers: list[tuple[str, str]] = [("Content-Type", self.media_type)]
        if self.location is not None:
            headers.append(("Content-Location", self.location))
        if self.length is not None:
            headers.append(("Content-Length", str(self.length)))
        return tuple(headers)


def read_blob(
    open_blob: Callable[[], BlobReader], chunk_bytes: int, offset: int = 0, length: int | None = None
) -> Chunks:
    """A blob, or so many bytes of it, in chunks. Raises NotFound, CorruptBlob."""
    with closing(open_blob()) as reader:
        position = offset
        end = reader.size if length is None else offset + length
        while position < end:
            size = min(chunk_bytes, end - position)
            yield reader.read(position, size)
            position += size


def within(spans: Iterable[Span], offset: int, length: int) -> Iterator[Span]:
    """What of the spans, one behind the other, lies in `length` bytes from `offset`."""
    for span in spans:
        taken = min(span.length - offset, length) if offset < span.length else 0
        if taken:
            yield Span(span.offset + offset, taken)
        offset = max(offset - span.length, 0)
        length -= taken
