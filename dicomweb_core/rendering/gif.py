"""GIF 89a, one image or an animation that is written frame by frame. Pillow makes the images; what is around them is
written here, so that an animation of any length needs the memory of a frame."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from io import BytesIO
from itertools import chain
from typing import Any, Final

import numpy as np

from dicomweb_core.errors import CannotRender
from dicomweb_core.rendering.pictures import Picture

_EVERY_GRAY: Final = bytes(level for level in range(256) for _ in range(3))
_FOR_EVER: Final = b"!\xff\x0bNETSCAPE2.0\x03\x01\x00\x00\x00"
_END: Final = b";"
_LEAST_DELAY: Final = 2
"""Hundredths of a second: browsers take less for a mistake, and ten."""
_MOST_DELAY: Final = 0xFFFF
_COLORS: Final = 256


def encode_gif(pictures: Iterable[Picture], frame_seconds: float | None) -> Iterator[bytes]:
    """A chunk for each picture, all of them of one size; with `frame_seconds` they repeat for ever.

    Grayscale keeps every level of 8 bits; of RGB each frame has the 256 colors that suit it best.
    """
    coming = iter(pictures)
    first = next(coming)
    size = first.columns, first.rows
    delay = 0
    # The background and the aspect of pixels say nothing.
    head = b"GIF89a" + struct.pack("<HHBBB", *size, 0xF7, 0, 0) + _EVERY_GRAY
    if frame_seconds is not None:
        delay = max(_LEAST_DELAY, min(_MOST_DELAY, round(frame_seconds * 100)))
        head += _FOR_EVER
    for picture in chain((first,), coming):
        if (picture.columns, picture.rows) != size:
            raise CannotRender("The frames of an animation must be of one size.")
        control = b"!\xf9\x04\x04" + struct.pack("<HBB", delay, 0, 0) if frame_seconds is not None else b""
        yield head + control + _image(picture)
        head = b""
    yield _END


def _image(picture: Picture) -> bytes:
    """The image descriptor, the table of its own colors if it is not gray, and the data."""
    from PIL import Image

    image: Any = Image.fromarray(np.ascontiguousarray(picture.samples))
    if picture.samples.ndim == 3:
        image = image.quantize(_COLORS)
    buffer = BytesIO()
    image.save(buffer, "GIF", optimize=False, interlace=False)
    file = buffer.getbuffer()
    flags = file[10]
    colors = 3 << (flags & 7) + 1
    start = 13 + colors
    while file[start] == 0x21:
        start = _behind_blocks(file, start + 2)
    left_top_size, data = file[start : start + 9], file[start + 10 : -1]
    if picture.samples.ndim == 2:
        return b"".join((left_top_size, b"\0", data))
    return b"".join((left_top_size, bytes((0x80 | flags & 7,)), file[13 : 13 + colors], data))


def _behind_blocks(file: memoryview, start: int) -> int:
    while length := file[start]:
        start += length + 1
    return start + 1
