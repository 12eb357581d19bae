"""Where each frame lies in a stored data set, and its bytes (PS3.5 8 and A.4, PS3.18 8.7.3.3)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

import numpy as np

from dicomweb_core.codecs.byte_order import swapped, word_bytes
from dicomweb_core.codecs.encapsulated_frames import Encapsulation, index_encapsulated
from dicomweb_core.errors import CorruptBlob
from dicomweb_core.values.attributes import Attributes, first_text
from dicomweb_core.values.blobs import BulkValue, ByteSource, FrameIndex, Span
from dicomweb_core.values.limits import Limits
from dicomweb_core.values.transfer_syntaxes import transfer_syntax

_ROWS: Final = "00280010"
_COLUMNS: Final = "00280011"
_SAMPLES_PER_PIXEL: Final = "00280002"
_PHOTOMETRIC_INTERPRETATION: Final = "00280004"
_NUMBER_OF_FRAMES: Final = "00280008"
_BITS_ALLOCATED: Final = "00280100"
_NAMES: Final = {
    _ROWS: "Rows (0028,0010)",
    _COLUMNS: "Columns (0028,0011)",
    _SAMPLES_PER_PIXEL: "Samples per Pixel (0028,0002)",
    _BITS_ALLOCATED: "Bits Allocated (0028,0100)",
}
_FLOAT_BITS: Final = {"7FE00008": 32, "7FE00009": 64}
"""Bits of a sample of Float and Double Float Pixel Data, whatever Bits Allocated says (PS3.3 C.7.6.24, C.7.6.25)."""
_HALF_CHROMINANCE: Final = frozenset({"YBR_FULL_422", "YBR_PARTIAL_422"})
"""Two luminances share a pair of chrominances: two samples a pixel on average (PS3.3 C.7.6.3.1.2)."""
_INTEGER: Final = re.compile(r"[+-]?[0-9]{1,18}")


def index_frames(
    source: ByteSource,
    attributes: Attributes,
    pixel: BulkValue | None,
    *,
    transfer_syntax_uid: str,
    basic_offset_table: Span | None,
    fragments: bytes,
    limits: Limits,
    bulk: Mapping[str, BulkValue] | None = None,
) -> tuple[FrameIndex | None, tuple[str, ...]]:
    """The frames that are certain, and one sentence for each thing that is wrong.

    `attributes` is the whole data set, `pixel` its pixel data (None: there are none, and nothing is wrong).
    `fragments` are all fragments behind the Basic Offset Table, packed `<QQ` (offset and length of the content).
    `bulk` has the bulk values by path: a large Extended Offset Table is among them. Input never makes it raise;
    what `source.read` raises passes through.
    """
    if pixel is None:
        return None, ()
    warnings: list[str] = []
    syntax = transfer_syntax(transfer_syntax_uid)
    if syntax.known and pixel.encapsulated != syntax.encapsulated:
        form = "encapsulated" if pixel.encapsulated else "native"
        return None, (f"The pixel data are {form}, which their transfer syntax does not allow; no frame is indexed.",)
    frames: FrameIndex | None
    if pixel.encapsulated:
        entries = np.frombuffer(fragments, "<u8").reshape(-1, 2)
        encapsulation = Encapsulation(source, syntax.video, basic_offset_table, entries)
        number = _number_of_frames(attributes, warnings)
        frames = index_encapsulated(encapsulation, attributes, number, bulk or {}, limits, warnings)
    else:
        frames = _index_native(attributes, pixel, limits, warnings)
    return frames, tuple(warnings)


def _index_native(attributes: Attributes, pixel: BulkValue, limits: Limits, warnings: list[str]) -> FrameIndex | None:
    """Frames follow one another without padding (PS3.5 8.2); only those wholly present are indexed."""
    number = _number_of_frames(attributes, warnings)
    bits = _native_frame_bits(attributes, pixel, number, warnings)
    if bits is None:
        return None
    present = pixel.length * 8 // bits
    if number is not None and present < number:
        warnings.append(f"Number of Frames (0028,0008) says {number}, but the pixel data have {present} whole frames.")
    elif number is not None and present > number and bits >= 16:
        # Of smaller frames the pad byte alone could hold one.
        warnings.append(f"Number of Frames (0028,0008) says {number}, but the pixel data would hold {present}.")
    count = present if number is None else min(number, present)
    if count > limits.frames:
        warnings.append(f"There are more than {limits.frames} frames; they are not indexed.")
        return None
    if count == 0:
        return None
    return FrameIndex(count=count, element=pixel.path, offset=pixel.offset, frame_bits=bits)


def _native_frame_bits(
    attributes: Attributes, pixel: BulkValue, number_of_frames: int | None, warnings: list[str]
) -> int | None:
    """Bits of a frame, None when the attributes do not say."""
    size: dict[str, int] = {}
    for tag, name in _NAMES.items():
        value = _integer(attributes, tag)
        if tag == _BITS_ALLOCATED and pixel.path in _FLOAT_BITS:
            value = _FLOAT_BITS[pixel.path]
        if value is None or value <= 0:
            warnings.append(f"{name} is missing or not a positive number; no frame is indexed.")
            return None
        size[tag] = value
    cell = size[_BITS_ALLOCATED]
    if cell != 1 and cell % 8:
        warnings.append("Bits Allocated (0028,0100) is neither 1 nor a multiple of 8; no frame is indexed.")
        return None
    pixels = size[_ROWS] * size[_COLUMNS]
    samples = size[_SAMPLES_PER_PIXEL]
    full = pixels * samples * cell
    if samples != 3 or first_text(attributes, _PHOTOMETRIC_INTERPRETATION).strip() not in _HALF_CHROMINANCE:
        return full
    if number_of_frames is not None and 0 <= pixel.length - full * number_of_frames // 8 <= 1:
        warnings.append("The pixel data are not subsampled, though Photometric Interpretation (0028,0004) says so.")
        return full
    return pixels * 2 * cell


def _number_of_frames(attributes: Attributes, warnings: list[str]) -> int | None:
    """Number of Frames (0028,0008); 1 when it is absent or empty, None when it is not a positive number."""
    if "Value" not in attributes.get(_NUMBER_OF_FRAMES, {}):
        return 1
    number = _integer(attributes, _NUMBER_OF_FRAMES)
    if number is None or number <= 0:
        warnings.append("Number of Frames (0028,0008) is not a positive number.")
        return None
    return number


def _integer(attributes: Attributes, tag: str) -> int | None:
    """The first value as an integer, None when it is not one. IS may be a JSON number or a text (PS3.18 F.2.3)."""
    values = attributes.get(tag, {}).get("Value")
    value: Any = values[0] if isinstance(values, list) and values else None
    if isinstance(value, str):
        text = value.strip(" \0")
        return int(text) if _INTEGER.fullmatch(text) else None
    if isinstance(value, float):
        return int(value) if value.is_integer() else None
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def read_frame(source: ByteSource, frames: FrameIndex, index: int, chunk_bytes: int) -> Iterator[bytes]:
    """The bytes of one frame as stored, in chunks of at most `chunk_bytes`. `index` is 0-based.

    A native frame that begins inside a byte is shifted to begin at bit 0; bits behind its end are zero
    (PS3.18 8.7.3.3.1 note 2). An encapsulated frame is its fragments, one behind the other, without item headers.
    Raises IndexError before the first chunk is asked for; the reader's errors while they are read.
    """
    spans = frames.fragments(index)
    chunks = (chunk for span in spans for chunk in read_chunks(source, span, chunk_bytes))
    return _from_bit_0(chunks, frames, index)


def read_native_little_endian(
    source: ByteSource, frames: FrameIndex, index: int, chunk_bytes: int, *, vr: str, bits_allocated: int
) -> Iterator[bytes]:
    """Like `read_frame`, of native pixel data stored big endian (PS3.5 A.3), in little endian order."""
    (span,) = frames.fragments(index)
    word = word_bytes(vr, bits_allocated)
    begin = (span.offset - frames.offset) // word * word
    end = span.offset - frames.offset + span.length
    aligned = min(-(-end // word) * word, source.size - frames.offset)
    words = Span(frames.offset + begin, aligned - begin)
    chunks = swapped(read_chunks(source, words, max(chunk_bytes // word, 1) * word), word)
    lead = span.offset - words.offset
    return _from_bit_0(_part(chunks, lead, span.length), frames, index)


def read_chunks(source: ByteSource, span: Span, chunk_bytes: int) -> Iterator[bytes]:
    """The bytes of a span, in order, in chunks of at most `chunk_bytes`. Raises CorruptBlob if there are fewer."""
    for done in range(0, span.length, chunk_bytes):
        wanted = min(chunk_bytes, span.length - done)
        chunk = source.read(span.offset + done, wanted)
        if len(chunk) != wanted:
            raise CorruptBlob("The stored file is shorter than its layout says.")
        yield chunk


def _part(chunks: Iterable[bytes], skip: int, length: int) -> Iterator[bytes]:
    """`length` bytes behind the first `skip`."""
    for chunk in chunks:
        piece = chunk[skip : skip + length]
        skip -= min(skip, len(chunk))
        length -= len(piece)
        if piece:
            yield piece


def _from_bit_0(chunks: Iterator[bytes], frames: FrameIndex, index: int) -> Iterator[bytes]:
    """Drops the bits before and behind a native frame; the first pixel is the lowest bit (PS3.5 8.1.1)."""
    if frames.encapsulated or frames.frame_bits % 8 == 0:
        return chunks
    return _shifted(chunks, frames.bit_shift(index), frames.frame_bits)


def _shifted(chunks: Iterable[bytes], shift: int, bits: int) -> Iterator[bytes]:
    """`bits` bits behind the first `shift` (less than 8), the rest of the last byte zero."""
    carried, carried_bits = 0, -shift
    left = bits
    for chunk in chunks:
        value = int.from_bytes(chunk, "little")
        if carried_bits < 0:
            value >>= -carried_bits
            available = len(chunk) * 8 + carried_bits
        else:
            value = value << carried_bits | carried
            available = len(chunk) * 8 + carried_bits
        whole = min(available, left) // 8 * 8
        if whole:
            yield (value & ((1 << whole) - 1)).to_bytes(whole // 8, "little")
        carried, carried_bits = value >> whole, available - whole
        left -= whole
    if left:
        yield (carried & ((1 << left) - 1)).to_bytes(1, "little")


def joined(frames: Iterable[bytes], frame_bits: int) -> Iterator[bytes]:
    """Native frames, each begun at bit 0, one behind the other without padding between them (PS3.5 8.1.1,
    PS3.18 8.7.3.3.1 note 2); the last byte is filled with zeros."""
    if frame_bits % 8 == 0:
        yield from frames
        return
    carried, carried_bits = 0, 0
    for frame in frames:
        value = (int.from_bytes(frame, "little") & ((1 << frame_bits) - 1)) << carried_bits | carried
        whole, carried_bits = divmod(carried_bits + frame_bits, 8)
        carried = value >> whole * 8
        yield (value & ((1 << whole * 8) - 1)).to_bytes(whole, "little")
    if carried_bits:
        yield carried.to_bytes(1, "little")
