"""Which fragments make which frame of encapsulated pixel data (PS3.5 A.4).

Positions are those of the source. A fragment's span is its content, behind the 8 bytes of the item's tag and length.
"""

from __future__ import annotations

import base64
import binascii
import struct
from array import array
from collections.abc import Iterator, Mapping
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from dicomweb_core.values.attributes import Attributes
from dicomweb_core.values.blobs import BulkValue, ByteSource, FrameIndex, Span
from dicomweb_core.values.limits import Limits

EXTENDED_OFFSET_TABLE: Final = "7FE00001"
EXTENDED_OFFSET_TABLE_LENGTHS: Final = "7FE00002"

_CODESTREAM_STARTS: Final = (
    b"\xff\xd8\xff",  # JPEG and JPEG-LS: SOI, and the marker behind it
    b"\xff\x4f\xff\x51",  # JPEG 2000 and HTJ2K: SOC, SIZ
    b"\x00\x00\x00\x0cjP  \r\n\x87\n",  # JP2 signature box
    b"\xff\x0a",  # JPEG XL codestream
    b"\x00\x00\x00\x0cJXL \r\n\x87\n",  # JPEG XL signature box
)
_LONGEST_START: Final = max(map(len, _CODESTREAM_STARTS))
_SCAN_WINDOW: Final = 4_096
_SCAN_BLOCK: Final = 16_384

Spans = NDArray[np.uint64]
"""Shape (n, 2): offset and length of each fragment."""
Firsts = NDArray[np.uint32]
"""The index of the first fragment of each frame, ascending, beginning with 0."""


class Encapsulation(NamedTuple):
    """What was found between the tag of the pixel data and its sequence delimiter (PS3.5 A.4)."""

    source: ByteSource
    video: bool
    """One codestream for all frames."""
    basic_offset_table: Span | None
    """None or length 0: the table is empty."""
    fragments: Spans

    @property
    def item_offsets(self) -> NDArray[np.uint64]:
        """Of each fragment's item tag, counted from the first one: what both offset tables hold."""
        offsets: NDArray[np.uint64] = self.fragments[:, 0] - self.fragments[0, 0]
        return offsets


class _Division(NamedTuple):
    """A way to divide the fragments into frames, and whose word it is."""

    firsts: Firsts
    name: str
    lengths: NDArray[np.uint64] | None = None
    """Bytes of each frame without padding; only the Extended Offset Table knows them."""


def index_encapsulated(
    encapsulation: Encapsulation,
    attributes: Attributes,
    number_of_frames: int | None,
    bulk: Mapping[str, BulkValue],
    limits: Limits,
    warnings: list[str],
) -> FrameIndex | None:
    """The frames, or None when no boundary can be told. `number_of_frames` None: it is not readable.

    A division with the right number of frames is preferred, in the order: Extended Offset Table, Basic Offset Table,
    one fragment a frame, one frame of all, beginnings of codestreams. A video is one unit, index 0.
    """
    fragments = encapsulation.fragments
    if not len(fragments):
        warnings.append("The encapsulated Pixel Data (7FE0,0010) has no fragments; no frame can be retrieved.")
        return None
    if len(fragments) > limits.fragments:
        warnings.append(
            f"The Pixel Data (7FE0,0010) has more than {limits.fragments} fragments; frames are not indexed."
        )
        return None
    if encapsulation.video:
        return _frame_index(fragments, np.zeros(1, np.uint32), 1, warnings)
    divisions = _divisions(encapsulation, attributes, number_of_frames, bulk, warnings)
    division = _choose(divisions, number_of_frames, warnings)
    if division is None:
        warnings.append(
            f"The frames of {len(fragments)} fragments cannot be told apart: there is no usable offset table, "
            "and Number of Frames (0028,0008) and the fragments do not agree."
        )
        return None
    found = len(division.firsts)
    if number_of_frames is not None and found != number_of_frames:
        warnings.append(
            f"Number of Frames (0028,0008) says {number_of_frames}, but there are {found} by {division.name}."
        )
    if division.lengths is not None:
        fragments = np.stack((fragments[:, 0], division.lengths), axis=1)
    count = found if number_of_frames is None else min(found, number_of_frames)
    if count > limits.frames:
        warnings.append(f"There are more than {limits.frames} frames; they are not indexed.")
        return None
    return _frame_index(fragments, division.firsts, count, warnings)


def _frame_index(fragments: Spans, firsts: Firsts, count: int, warnings: list[str]) -> FrameIndex:
    """The first `count` frames."""
    ends = np.append(firsts[1:], np.uint32(len(fragments)))[:count]
    sizes = np.add.reduceat(fragments[:, 1], firsts)[:count]
    if not sizes.all():
        warnings.append(f"{count - np.count_nonzero(sizes)} of {count} frames are empty.")
    used = int(ends[-1])
    spans = fragments[:used].astype("<u8", copy=False).tobytes()
    if used == count:
        return FrameIndex(count=count, spans=spans)
    first_fragment = np.append(firsts[:count], ends[-1]).astype("<u4").tobytes()
    return FrameIndex(count=count, spans=spans, first_fragment=first_fragment)


def _choose(divisions: Iterator[_Division], number_of_frames: int | None, warnings: list[str]) -> _Division | None:
    """The first with the right number of frames, else the first of all."""
    first = None
    for division in divisions:
        if number_of_frames is None or len(division.firsts) == number_of_frames:
            if first is not None:
                warnings.append(f"There are {len(first.firsts)} frames by {first.name}, which is ignored.")
            return division
        first = first or division
    return first


def _divisions(
    encapsulation: Encapsulation,
    attributes: Attributes,
    number_of_frames: int | None,
    bulk: Mapping[str, BulkValue],
    warnings: list[str],
) -> Iterator[_Division]:
    """The possible ones, the most trusted first; what costs reads comes last."""
    count = len(encapsulation.fragments)
    each = np.arange(count, dtype=np.uint32)
    lengths = _extended_lengths(encapsulation, attributes, bulk, warnings)
    if lengths is not None:
        yield _Division(each, "the Extended Offset Table", lengths)
    firsts = _basic_offsets(encapsulation)
    if firsts is not None:
        yield _Division(firsts, "the Basic Offset Table")
    elif encapsulation.basic_offset_table is not None and encapsulation.basic_offset_table.length:
        warnings.append("The Basic Offset Table does not fit the fragments and is ignored.")
    if count == number_of_frames or count == 1:
        yield _Division(each, "one fragment a frame")
    if number_of_frames == 1:
        yield _Division(each[:1], "one frame of all fragments")
    begins = _codestream_starts(encapsulation)
    if len(begins):
        yield _Division(begins, "the beginnings of codestreams")


def _basic_offsets(encapsulation: Encapsulation) -> Firsts | None:
    """The Basic Offset Table as fragment indexes; None when it is empty or an entry is not where an item begins."""
    table, fragments = encapsulation.basic_offset_table, encapsulation.fragments
    if table is None or table.length == 0 or table.length % 4 or table.length > 4 * len(fragments):
        return None
    offsets = np.frombuffer(encapsulation.source.read(*table), "<u4").astype(np.uint64)
    items = encapsulation.item_offsets
    if offsets[0] != 0 or (offsets[1:] <= offsets[:-1]).any() or offsets[-1] > items[-1]:
        return None
    firsts = np.searchsorted(items, offsets)
    if (items[firsts] != offsets).any():
        return None
    return firsts.astype(np.uint32)


def _extended_lengths(
    encapsulation: Encapsulation, attributes: Attributes, bulk: Mapping[str, BulkValue], warnings: list[str]
) -> NDArray[np.uint64] | None:
    """The lengths of the frames by the Extended Offset Table (PS3.3 C.7.6.3.1.8), None when it is absent or wrong.

    With this table every frame has exactly one fragment, so the offsets are known: they only prove the table.
    A length may fall short of the fragment by the one byte that pads it.
    """
    if EXTENDED_OFFSET_TABLE not in attributes:
        return None
    expected = 8 * len(encapsulation.fragments)
    offsets = _octets(encapsulation.source, attributes, EXTENDED_OFFSET_TABLE, bulk, expected)
    lengths = _octets(encapsulation.source, attributes, EXTENDED_OFFSET_TABLE_LENGTHS, bulk, expected)
    if offsets is not None and lengths is not None:
        frame_lengths = np.frombuffer(lengths, "<u8")
        padding = encapsulation.fragments[:, 1] - frame_lengths
        if (np.frombuffer(offsets, "<u8") == encapsulation.item_offsets).all() and (padding <= 1).all():
            return frame_lengths
    warnings.append("The Extended Offset Table (7FE0,0001) does not fit the fragments and is ignored.")
    return None


def _octets(
    source: ByteSource, attributes: Attributes, tag: str, bulk: Mapping[str, BulkValue], expected: int
) -> bytes | None:
    """The value of a binary attribute if it has the expected length, else None."""
    value = bulk.get(tag)
    if value is not None:
        return source.read(value.offset, value.length) if value.length == expected else None
    text = attributes.get(tag, {}).get("InlineBinary", "")
    if not isinstance(text, str) or len(text) != (expected + 2) // 3 * 4:
        return None
    try:
        octets = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return None
    return octets if len(octets) == expected else None


def _codestream_starts(encapsulation: Encapsulation) -> Firsts:
    """The fragments that begin like the first one, if that begins like a codestream; else empty.

    Inside a JPEG, JPEG-LS or JPEG 2000 codestream its start marker cannot occur by chance: behind 0xFF the entropy
    coders stuff a zero.
    """
    begins = array("I")
    kind = b""
    for index, head in enumerate(_heads(encapsulation)):
        begun = _codestream_kind(head)
        kind = kind or begun
        if not kind:
            break
        if begun == kind:
            begins.append(index)
    return np.array(begins, dtype=np.uint32)


def _codestream_kind(head: bytes) -> bytes:
    """A name for the kind of codestream that begins with these bytes; empty when none does."""
    for start in _CODESTREAM_STARTS:
        if head.startswith(start):
            return start
    if len(head) < 8:
        return b""
    segments, first = struct.unpack_from("<II", head)
    # PS3.5 G.5: an RLE header counts up to 15 segments, and the first lies right behind its 64 bytes.
    return b"RLE" if 1 <= segments <= 15 and first == 64 else b""


def _heads(encapsulation: Encapsulation) -> Iterator[bytes]:
    """The first bytes of each fragment, read in windows, because fragments can be many and small."""
    source = encapsulation.source
    size = source.size
    begin, window = 0, b""
    for block in range(0, len(encapsulation.fragments), _SCAN_BLOCK):
        for offset, length in encapsulation.fragments[block : block + _SCAN_BLOCK].tolist():
            wanted = min(length, _LONGEST_START)
            if offset + wanted > begin + len(window):
                begin, window = offset, source.read(offset, min(_SCAN_WINDOW, size - offset))
            yield window[offset - begin : offset - begin + wanted]
