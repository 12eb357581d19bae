"""ZIP archives sent by a client, read by their central directory (PKWARE APPNOTE 6.3).

Names mean nothing here: entries are numbered. The directory is read in windows, and no length in it is believed before
it has been compared with the bytes that are there.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from typing import Final, NamedTuple

from dicomweb_core.codecs.window import Window
from dicomweb_core.errors import InvalidPayload, TooLarge, UnsupportedMediaType
from dicomweb_core.values.blobs import ByteSource
from dicomweb_core.values.limits import Limits

STORED: Final = 0
DEFLATED: Final = 8
PLAUSIBLE_RATIO: Final = 32
"""Deflated entries may be larger than `Limits.inflated_bytes` if they shrank by no more than this."""

_ENCRYPTED: Final = 0x2041  # traditional, strong, masked headers: APPNOTE 4.4.4
_MOST_16: Final = 0xFFFF
_MOST_32: Final = 0xFFFFFFFF
_LONGEST_COMMENT: Final = 0xFFFF
_INPUT_BYTES: Final = 1 << 16
_OUTPUT_BYTES: Final = 1 << 18

_LOCAL: Final = struct.Struct("<4s22xHH")
_CENTRAL: Final = struct.Struct("<4s4xHH4x3L3H8xL")
_END: Final = struct.Struct("<4sHHHHLLH")
_END_64: Final = struct.Struct("<4sQ4xLLQQQQ")
_LOCATOR_64: Final = struct.Struct("<4sLQL")


class ZippedFile(NamedTuple):
    """An entry of the directory. Numbers count all entries from 1."""

    number: int
    offset: int
    """Of its local header, from the begin of the archive as sent."""
    compressed: int
    """Bytes in the archive."""
    length: int
    """Bytes of the file, as the directory says."""
    checksum: int
    method: int
    encrypted: bool


class _Place(NamedTuple):
    """Where the directory is."""

    offset: int
    size: int
    shift: int
    """Bytes before the archive: offsets do not count them."""


def zipped_files(source: ByteSource, limits: Limits) -> Iterator[ZippedFile]:
    """The files of an archive in the order of its directory; folders are left out.

    The whole directory is checked before the first. Raises InvalidPayload for what is no archive in one piece, and
    when entries overlap, as in an archive that unfolds to a multiple of what was sent. Raises TooLarge beyond
    `Limits.multipart_parts` entries or `Limits.request_bytes` in all.
    """
    place = _directory_place(source)
    spans: list[tuple[int, int]] = []
    total = 0
    for file in _files(source, place, limits):
        spans.append((file.offset, file.offset + _LOCAL.size + file.compressed))
        total += file.length
    if total > limits.request_bytes:
        raise TooLarge(
            f"The files of the archive are larger than {limits.request_bytes} bytes.",
            limit="request_bytes",
            ceiling=limits.request_bytes,
        )
    spans.sort()
    behind = 0
    for begin, end in spans:
        if begin < behind:
            raise InvalidPayload("Entries of the archive overlap.")
        behind = end
    if behind > place.offset:
        raise InvalidPayload("An entry of the archive lies behind its directory.")
    return _files(source, place, limits)


def unzipped(source: ByteSource, file: ZippedFile, limits: Limits) -> Iterator[bytes]:
    """The content of a file in chunks; its length and checksum are compared when it ends.

    Raises InvalidPayload for what is broken or encrypted, UnsupportedMediaType for a method other than stored and
    deflated, and TooLarge when it would inflate to more than `Limits.inflated_bytes` and is not a plausible data set.
    """
    if file.encrypted:
        raise InvalidPayload("The entry is encrypted.")
    if file.method not in (STORED, DEFLATED):
        raise UnsupportedMediaType(f"The entry is compressed by method {file.method}; 0 and 8 are supported.")
    ceiling = max(limits.inflated_bytes, PLAUSIBLE_RATIO * file.compressed)
    if file.length > ceiling:
        raise TooLarge(f"The entry inflates to more than {ceiling} bytes.", limit="inflated_bytes", ceiling=ceiling)
    begin = _content_begin(source, file)
    end = begin + file.compressed
    if end > source.size:
        raise InvalidPayload("The entry does not end in the archive.")
    length = checksum = 0
    for chunk in (_inflated if file.method == DEFLATED else _read)(source, begin, end, limits):
        length += len(chunk)
        checksum = zlib.crc32(chunk, checksum)
        if length > file.length:
            break
        yield chunk
    if length != file.length or checksum != file.checksum:
        raise InvalidPayload("The entry has not the length or checksum that the directory of the archive says.")


def _content_begin(source: ByteSource, file: ZippedFile) -> int:
    if file.offset + _LOCAL.size > source.size:
        raise InvalidPayload("The entry does not begin in the archive.")
    signature, name, extra = _LOCAL.unpack(source.read(file.offset, _LOCAL.size))
    if signature != b"PK\x03\x04":
        raise InvalidPayload("The entry does not begin with a local header.")
    return file.offset + _LOCAL.size + int(name) + int(extra)


def _read(source: ByteSource, begin: int, end: int, limits: Limits) -> Iterator[bytes]:
    while begin < end:
        chunk = source.read(begin, min(limits.chunk_bytes, end - begin))
        begin += len(chunk)
        yield chunk


def _inflated(source: ByteSource, begin: int, end: int, limits: Limits) -> Iterator[bytes]:
    inflate = zlib.decompressobj(-zlib.MAX_WBITS)
    while not inflate.eof:
        feed = inflate.unconsumed_tail
        if not feed:
            feed = source.read(begin, min(_INPUT_BYTES, end - begin))
            begin += len(feed)
        try:
            chunk = inflate.decompress(feed, _OUTPUT_BYTES)
        except zlib.error:
            raise InvalidPayload("The entry cannot be inflated.") from None
        if chunk:
            yield chunk
        elif not feed and not inflate.eof:
            raise InvalidPayload("The deflated entry is truncated.")


def _directory_place(source: ByteSource) -> _Place:
    tail_begin = max(0, source.size - _END.size - _LONGEST_COMMENT)
    tail = source.read(tail_begin, source.size - tail_begin)
    at = tail.rfind(b"PK\x05\x06")
    while at >= 0:
        # The signature may stand in the comment too: the record is where its comment ends with the archive.
        if len(tail) - at >= _END.size:
            _, disk, of_disk, here, count, size, offset, comment = _END.unpack_from(tail, at)
            if at + _END.size + comment == len(tail):
                break
        at = tail.rfind(b"PK\x05\x06", 0, at)
    else:
        raise InvalidPayload("The payload does not end like a ZIP archive.")
    end = tail_begin + at
    if _MOST_32 in (size, offset) or _MOST_16 in (disk, of_disk, here, count):
        end, disk, of_disk, here, count, size, offset = _end_64(source, end)
    if disk or of_disk or here != count:
        raise InvalidPayload("The archive is one of several parts.")
    shift = end - size - offset
    if shift < 0:
        raise InvalidPayload("The directory of the archive does not lie in it.")
    return _Place(offset + shift, size, shift)


def _end_64(source: ByteSource, end: int) -> tuple[int, int, int, int, int, int, int]:
    """Where the ZIP64 end of central directory begins, and what it says."""
    if end >= _LOCATOR_64.size + _END_64.size:
        signature, _, at, _ = _LOCATOR_64.unpack(source.read(end - _LOCATOR_64.size, _LOCATOR_64.size))
        if signature == b"PK\x06\x07" and at + _END_64.size <= end:
            signature, _, disk, of_disk, here, count, size, offset = _END_64.unpack(source.read(at, _END_64.size))
            if signature == b"PK\x06\x06":
                return at, disk, of_disk, here, count, size, offset
    raise InvalidPayload("The archive has no ZIP64 directory where it says.")


def _files(source: ByteSource, place: _Place, limits: Limits) -> Iterator[ZippedFile]:
    window = Window(source, place.offset)
    at, end, number = place.offset, place.offset + place.size, 0
    while at < end:
        number += 1
        if number > limits.multipart_parts:
            raise TooLarge(
                f"The archive has more than {limits.multipart_parts} entries.",
                limit="multipart_parts",
                ceiling=limits.multipart_parts,
            )
        record = window.peek(at, _CENTRAL.size)
        if len(record) < _CENTRAL.size or record[:4] != b"PK\x01\x02":
            raise InvalidPayload(f"Entry {number} of the archive's directory is broken.")
        _, flags, method, checksum, compressed, length, name, extra, comment, offset = _CENTRAL.unpack(record)
        name_end = at + _CENTRAL.size + name
        is_folder = name > 0 and not length and window.peek(name_end - 1, 1) == b"/"
        if _MOST_32 in (compressed, length, offset):
            length, compressed, offset = _numbers_64(window.peek(name_end, extra), (length, compressed, offset), number)
        at = name_end + extra + comment
        if at > end:
            raise InvalidPayload(f"Entry {number} of the archive's directory is broken.")
        if not is_folder:
            yield ZippedFile(
                number, offset + place.shift, compressed, length, checksum, method, bool(flags & _ENCRYPTED)
            )


def _numbers_64(extra: bytes, numbers: tuple[int, int, int], entry: int) -> tuple[int, ...]:
    """Those that do not fit into 32 bits stand in an extra field, in this order (APPNOTE 4.5.3)."""
    at = 0
    while at + 4 <= len(extra):
        kind, size = struct.unpack_from("<HH", extra, at)
        field = extra[at + 4 : at + 4 + size]
        if kind == 1:
            given = iter(struct.unpack_from(f"<{len(field) // 8}Q", field))
            found = [next(given, -1) if number == _MOST_32 else number for number in numbers]
            if -1 not in found:
                return tuple(found)
            break
        at += 4 + size
    raise InvalidPayload(f"Entry {entry} of the archive's directory has no ZIP64 numbers.")
