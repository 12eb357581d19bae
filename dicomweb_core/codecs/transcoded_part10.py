"""A stored Part 10 file in another transfer syntax, its frames made anew (PS3.5 8.2, A.4, A.5; PS3.18 8.7.3.4)."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Generator, Iterable, Iterator
from itertools import chain
from typing import Final, NamedTuple

from dicomweb_core.codecs.dataset_walk import Kind, Step
from dicomweb_core.codecs.explicit_little_endian import ExplicitCopy, gathered
from dicomweb_core.codecs.explicit_vr import SEQUENCE_DELIMITATION, UNDEFINED_LENGTH, element_header, item_header
from dicomweb_core.codecs.file_meta_writer import with_transfer_syntax
from dicomweb_core.codecs.frame_index import joined
from dicomweb_core.errors import InvalidFrame
from dicomweb_core.values.blobs import ByteSource
from dicomweb_core.values.limits import Limits
from dicomweb_core.values.pixels import ImagePixel
from dicomweb_core.values.transfer_syntaxes import transfer_syntax

LONGEST_VALUE: Final = UNDEFINED_LENGTH - 1
"""Bytes of the longest value field that can be written: lengths are even, and all ones mean undefined (PS3.5 7.1.2).
Longer pixel data have no form that is not encapsulated (PS3.18 8.7.3.4 note 2)."""

_SAMPLES_PER_PIXEL: Final = 0x00280002
_PHOTOMETRIC_INTERPRETATION: Final = 0x00280004
_PLANAR_CONFIGURATION: Final = 0x00280006
_BITS_ALLOCATED: Final = 0x00280100
_BITS_STORED: Final = 0x00280101
_HIGH_BIT: Final = 0x00280102
_PIXEL_REPRESENTATION: Final = 0x00280103
_OFFSET_TABLES: Final = frozenset({0x7FE00001, 0x7FE00002, 0x7FE00003})
"""Extended Offset Table, its lengths, and Encapsulated Pixel Data Value Total Length: of the frames as stored."""
_PIXEL_DATA: Final = 0x7FE00010


class NewFrames(NamedTuple):
    """What takes the place of the frames of an instance."""

    image: ImagePixel
    """What is true of each of them."""
    number: int
    """How many there are."""
    frames: Iterable[bytes]
    """As many, each native and begun at bit 0, or a codestream without padding. One is asked for at a time."""

    @property
    def native_bytes(self) -> int:
        """Of all of them without compression and padding."""
        return (self.image.frame_bits * self.number + 7) // 8


def transcoded_part10(
    source: ByteSource,
    dataset_offset: int,
    *,
    transfer_syntax_uid: str,
    target_uid: str,
    limits: Limits,
    pixels: NewFrames | None = None,
) -> Iterator[bytes]:
    """The file in chunks: File Meta Information with the target UID, data set as `ExplicitCopy` has it, but that its
    outermost Image Pixel Module (PS3.3 C.7.6.3) is true for `pixels`, which take the place of its Pixel Data.

    Without `pixels` nothing but the encoding of the data set changes: for what is native and stays so. Attributes
    that are true already keep their bytes, missing ones are inserted. Lossy Image Compression (0028,2110) and UIDs
    stay, as nothing is lost. Raises InvalidDataset, InvalidFrame (a frame cannot be made; encapsulated pixel data
    within a sequence are no part of `pixels`), also after the first chunks.
    """
    stored, target = transfer_syntax(transfer_syntax_uid), transfer_syntax(target_uid)
    copy = ExplicitCopy(source, dataset_offset, transfer_syntax_uid=transfer_syntax_uid, limits=limits)
    meta = with_transfer_syntax(source, dataset_offset, target_uid)
    pieces = copy.unchanged()
    if pixels is not None:
        element = _fragments(pixels) if target.encapsulated else _native(pixels)
        pieces = _amended(copy, _ImagePixelModule(pixels.image, decoded=stored.encapsulated), element)
    if target.deflated:
        yield meta
        yield from _deflated(gathered(pieces))
    else:
        yield from gathered(chain((meta,), pieces))


def _amended(copy: ExplicitCopy, module: _ImagePixelModule, pixel_data: Iterable[bytes]) -> Iterator[bytes]:
    skipping = False
    for step in copy.steps():
        if skipping:
            skipping = step.kind is not Kind.SEQUENCE_END
        elif not step.top:
            if step.kind is Kind.FRAGMENTS:
                raise InvalidFrame("Encapsulated pixel data within a sequence cannot be sent in another form.")
            yield from copy.encoded(step)
        else:
            yield module.missing_before(step.tag)
            if step.tag == _PIXEL_DATA:
                skipping = step.kind is Kind.FRAGMENTS
                yield from pixel_data
                pixel_data = ()
            elif step.tag not in _OFFSET_TABLES and not (yield from module.replacing(step, copy)):
                yield from copy.encoded(step)


class _ImagePixelModule:
    """The attributes that have to be true for the new frames, each written once, in the order of tags."""

    def __init__(self, image: ImagePixel, *, decoded: bool) -> None:
        """`decoded`: the stored frames were codestreams; High Bit was about what came out of them."""
        self._values: dict[int, int | str] = {
            _SAMPLES_PER_PIXEL: image.samples,
            _PHOTOMETRIC_INTERPRETATION: image.photometric,
            _PLANAR_CONFIGURATION: int(image.planar),
            _BITS_ALLOCATED: image.bits_allocated,
            _BITS_STORED: image.bits_stored,
            _HIGH_BIT: image.high_bit,
            _PIXEL_REPRESENTATION: int(image.signed),
        }
        if image.samples == 1:
            del self._values[_PLANAR_CONFIGURATION]
        self._pending = list(self._values)
        self._bits_differ = decoded

    def missing_before(self, tag: int) -> bytes:
        """The elements that come before this one and were not met."""
        missing = b""
        while self._pending and self._pending[0] < tag:
            missing += self._element(self._pending.pop(0))
        return missing

    def replacing(self, step: Step, copy: ExplicitCopy) -> Generator[bytes, None, bool]:
        """Whether an element is one of these, as `yield from` returns it; it is written as far as it has to be."""
        if step.tag not in self._values or step.kind is not Kind.VALUE:
            return False
        if step.tag not in self._pending:
            return True  # the second, or behind its place
        self._pending.remove(step.tag)
        if self._is_true(step, copy):
            yield from copy.encoded(step)
        else:
            yield self._element(step.tag)
        return True

    def _is_true(self, step: Step, copy: ExplicitCopy) -> bool:
        wanted = self._values[step.tag]
        found = copy.text(step) if isinstance(wanted, str) else copy.number(step)
        if step.tag == _HIGH_BIT and not self._bits_differ and found is not None:
            return True  # native cells are encoded as they are, wherever in them the samples lie
        return found == wanted

    def _element(self, tag: int) -> bytes:
        self._bits_differ = self._bits_differ or tag in (_BITS_ALLOCATED, _BITS_STORED)
        value = self._values[tag]
        if isinstance(value, int):
            return element_header(tag, "US", 2) + struct.pack("<H", value)
        text = value.encode("ascii", "replace")
        text += b" " * (len(text) % 2)
        return element_header(tag, "CS", len(text)) + text


def _native(pixels: NewFrames) -> Iterator[bytes]:
    """One value of even length (PS3.5 8.2, A.2)."""
    length = pixels.native_bytes
    if length > LONGEST_VALUE:
        raise InvalidFrame("Without compression the pixel data are longer than a value can be (PS3.5 7.1.2).")
    yield element_header(_PIXEL_DATA, "OW" if pixels.image.bits_allocated > 8 else "OB", length + length % 2)
    yield from joined(_counted(pixels), pixels.image.frame_bits)
    if length % 2:
        yield b"\0"


def _fragments(pixels: NewFrames) -> Iterator[bytes]:
    """A fragment for each frame behind an empty Basic Offset Table (PS3.5 A.4)."""
    yield element_header(_PIXEL_DATA, "OB", UNDEFINED_LENGTH) + item_header(0)
    for frame in _counted(pixels):
        padding = len(frame) % 2
        yield item_header(len(frame) + padding)
        yield frame
        if padding:
            yield b"\0"
    yield SEQUENCE_DELIMITATION


def _counted(pixels: NewFrames) -> Iterator[bytes]:
    """The frames; raises InvalidFrame if they are fewer or more than was said."""
    count = 0
    for frame in pixels.frames:
        count += 1
        yield frame
    if count != pixels.number:
        raise InvalidFrame(f"There are {count} frames, not {pixels.number}.")


def _deflated(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """A raw deflate stream of even length (PS3.5 A.5)."""
    compressor = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    size = 0
    for chunk in chunks:
        if out := compressor.compress(chunk):
            size += len(out)
            yield out
    out = compressor.flush()
    yield out + b"\0" * ((size + len(out)) % 2)
