"""RLE Lossless to native frames (PS3.5 G)."""

from __future__ import annotations

import struct
from collections.abc import Callable
from itertools import pairwise
from typing import Final

import numpy as np

from dicomweb_core.errors import InvalidFrame
from dicomweb_core.values.pixels import ImagePixel

Unpack = Callable[[memoryview, bytearray], int]
"""Decodes a segment into the buffer and says how many bytes it made; raises InvalidFrame."""

_HEADER: Final = struct.Struct("<16I")
_SEGMENTS: Final = 15
_LONGEST_RUN: Final = 128
_EXPANSION: Final = 64
"""Two bytes of a segment make at most 128 (PS3.5 G.3.1)."""


def decode_rle(codestream: bytes, image: ImagePixel, unpack: Unpack | None = None) -> bytes:
    """The native frame, `image.frame_bytes` long. Raises InvalidFrame.

    A segment is one byte of each sample, the most significant first (PS3.5 G.2); of Bits Allocated 1 it is the frame
    as it is packed. `unpack` takes the place of the decoder of this module.
    """
    unpack = unpack or unpack_segment
    bits = image.bits_allocated
    if bits != 1 and bits % 8:
        raise InvalidFrame(f"RLE has no segments for Bits Allocated {bits}.")
    cell = max(1, bits // 8)
    size = image.rows * image.columns if bits > 1 else image.frame_bytes
    planes = image.samples if bits > 1 else 1
    segments = _segments(codestream, planes * cell)
    if any(_EXPANSION * len(segment) < size for segment in segments):
        raise InvalidFrame("The RLE segments are too short for Rows and Columns.")
    interleaved = image.samples > 1 and not image.planar
    frame = np.empty((size, planes, cell) if interleaved else (planes, size, cell), np.uint8)
    # The last run may reach beyond the last sample.
    unpacked = bytearray(size + _LONGEST_RUN)
    made = np.frombuffer(unpacked, np.uint8, size)
    for number, segment in enumerate(segments):
        if unpack(segment, unpacked) < size:
            raise InvalidFrame("An RLE segment does not hold as many bytes as Rows and Columns make.")
        if len(segments) == 1:
            return made.tobytes()
        plane, significance = divmod(number, cell)
        target = frame[:, plane] if interleaved else frame[plane]
        target[:, cell - 1 - significance] = made
    return frame.tobytes()


def _segments(codestream: bytes, expected: int) -> list[memoryview]:
    """By the 64 bytes of the header (PS3.5 G.5)."""
    if len(codestream) < _HEADER.size:
        raise InvalidFrame("The RLE frame is shorter than its header.")
    count, *offsets = _HEADER.unpack_from(codestream)
    if count != expected or count > _SEGMENTS:
        raise InvalidFrame(
            f"The RLE header has {count} segments; Samples per Pixel and Bits Allocated make {expected}."
        )
    bounds = [*offsets[:count], len(codestream)]
    if bounds[0] < _HEADER.size or any(end <= start for start, end in pairwise(bounds)):
        raise InvalidFrame("The RLE header has segments out of order or out of range.")
    view = memoryview(codestream)
    return [view[start:end] for start, end in pairwise(bounds)]


def unpack_segment(segment: memoryview, out: bytearray) -> int:
    """PackBits (PS3.5 G.3.2) in Python. What comes behind a full buffer is padding."""
    size, room, at, done = len(segment), len(out), 0, 0
    while done < room and at < size:
        head = segment[at]
        at += 1
        if head == 128:
            continue
        count = min(head + 1 if head < 128 else 257 - head, room - done)
        run = segment[at : at + count] if head < 128 else segment[at : at + 1].tobytes() * count
        if len(run) < count:
            break
        out[done : done + count] = run
        at += count if head < 128 else 1
        done += count
    return done
