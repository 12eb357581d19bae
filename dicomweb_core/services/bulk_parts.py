"""The bulk data parts of a store request while its data sets are written (PS3.18 8.6.1.2, 10.5.1.4)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Final, NamedTuple

from dicomweb_core.codecs.part10_writer import Piece
from dicomweb_core.errors import TooLarge
from dicomweb_core.rules.bulk_references import BulkReferences, PartName
from dicomweb_core.services.site import Site
from dicomweb_core.storage.instances import BlobReader, StagedBlob
from dicomweb_core.values.media_types import MediaType
from dicomweb_core.values.messages import Buffer

_OCTETS: Final = MediaType("application", "octet-stream")

_COST_OF_A_PART: Final = 1024
"""What finding a part costs beside its bytes, counted as bytes."""


class BulkPart(NamedTuple):
    """One part. Its bytes lie from `offset` in the blob of its message."""

    number: int
    """1-based, among all parts of the message."""
    media_type: MediaType
    offset: int
    length: int


class BulkParts:
    """The bytes of all bulk data parts of one message, one after the other in one staged blob.

    One blob, so one file descriptor at most and no memory, however many parts there are. First `begin` and `write`
    each part, then `seal`, then read. `close` discards the bytes.
    """

    def __init__(self, site: Site, request_url: str) -> None:
        self._site = site
        self._request_url = request_url
        self._blob: StagedBlob | None = None
        self._reader: BlobReader | None = None
        self._size = 0
        self._parts: list[BulkPart] = []
        self._names: list[PartName] = []
        self._name_bytes = 0
        self._references: BulkReferences | None = None
        self._written = self._grown = 0
        self._used: set[int] = set()

    def begin(self, number: int, media_type: MediaType | None, name: PartName) -> None:
        """The next part. Raises TooLarge when the names of all parts are longer than `Limits.model_bytes`."""
        self._name_bytes += len(name.location or "") + len(name.content_id or "")
        if self._name_bytes > self._site.limits.model_bytes:
            raise TooLarge(
                "The names of the bulk data parts are too long.",
                limit="model_bytes",
                ceiling=self._site.limits.model_bytes,
            )
        self._parts.append(BulkPart(number, media_type or _OCTETS, self._size, 0))
        self._names.append(name)

    def write(self, data: Buffer) -> None:
        """The next bytes of the part. Raises OutOfSpace, StorageUnavailable."""
        if self._blob is None:
            self._blob = self._site.instances.stage()
        self._blob.write(data)
        self._size += len(data)
        part = self._parts[-1]
        self._parts[-1] = part._replace(length=part.length + len(data))

    def seal(self) -> None:
        """The message is complete. Raises StorageUnavailable."""
        if self._blob is not None:
            self._reader = self._blob.seal()
        self._references = BulkReferences(self._names, self._request_url)

    def parts_of(self, uri: str) -> Sequence[BulkPart]:
        """The parts a BulkDataURI means, see `BulkReferences`. They count as used, and as written once more.

        Raises TooLarge when data sets that share parts would grow far beyond what was sent (`Limits.bulk_reuse`).
        """
        indexes = self._find(uri)
        self._used.update(indexes)
        self._written += sum(self._parts[index].length for index in indexes)
        self._check_reuse()
        return [self._parts[index] for index in indexes]

    def media_type_of(self, uri: str) -> str | None:
        """The media type of the first part a BulkDataURI means, None if there is none. Raises TooLarge."""
        indexes = self._find(uri)
        return self._parts[indexes[0]].media_type.essence if indexes else None

    def _find(self, uri: str) -> Sequence[int]:
        self._check_reuse()
        assert self._references is not None
        indexes = self._references.parts_of(uri)
        self._written += _COST_OF_A_PART * len(indexes)
        return indexes

    def _check_reuse(self) -> None:
        ceiling = self._site.limits.bulk_reuse
        if self._written > ceiling * (self._size + _COST_OF_A_PART * len(self._parts)):
            raise TooLarge(
                f"The bulk data of the request are referenced more than {ceiling} times.",
                limit="bulk_reuse",
                ceiling=ceiling,
            )

    def grow(self, size: int) -> None:
        """Bulk data are stored as `size` bytes of pixels after decoding. Raises TooLarge when those of a request are
        more than `Limits.inflated_bytes` and out of all proportion to what was sent."""
        self._grown += size
        ceiling = max(self._site.limits.inflated_bytes, self._site.limits.bulk_reuse * self._size)
        if self._grown > ceiling:
            raise TooLarge("The images of the request are too large.", limit="inflated_bytes", ceiling=ceiling)

    def piece(self, part: BulkPart, skip: int = 0, length: int | None = None) -> Piece:
        """The bytes of a part from 0-based `skip` on, to be read when they are written."""
        size = part.length - skip if length is None else length
        return Piece(size, lambda: self._chunks(part.offset + skip, size))

    def read(self, part: BulkPart, offset: int, length: int) -> bytes:
        """Some bytes of a part, fewer where it ends. Raises CorruptBlob."""
        length = max(0, min(length, part.length - offset))
        if self._reader is None or not length:
            return b""
        return self._reader.read(part.offset + offset, length)

    def unused(self) -> Iterable[BulkPart]:
        """The parts that nobody asked for."""
        return (part for index, part in enumerate(self._parts) if index not in self._used)

    def close(self) -> None:
        """Discards the bytes. Idempotent."""
        reader, self._reader = self._reader, None
        if reader is not None:
            reader.close()
        if self._blob is not None:
            self._blob.discard()

    def _chunks(self, begin: int, length: int) -> Iterator[bytes]:
        chunk_bytes = self._site.limits.chunk_bytes
        end = begin + length
        while begin < end:
            assert self._reader is not None
            size = min(chunk_bytes, end - begin)
            yield self._reader.read(begin, size)
            begin += size
