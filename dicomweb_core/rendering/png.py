"""PNG (ISO/IEC 15948): gray and RGB of 8 and 16 bits. Rows are filtered by differences to the row above and deflated at
the fastest level, which is an order of magnitude faster than a search for filters and hardly larger."""

from __future__ import annotations

import struct
import zlib
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from dicomweb_core.rendering.pictures import Picture

try:
    from isal.isal_zlib import compress, compressobj
except ImportError:
    from zlib import compress, compressobj  # type: ignore[assignment]  # the same promise

_SIGNATURE: Final = b"\x89PNG\r\n\x1a\n"
_GRAY, _RGB = 0, 2
_UP: Final = 2
_BAND_BYTES: Final = 4 << 20
"""Filtered at once."""


def encode_png(picture: Picture, _quality: int | None) -> bytes:
    """A whole file, with the profile of the picture if it has one. Nothing is lost."""
    samples = picture.samples
    bits = samples.dtype.itemsize * 8
    header = struct.pack(">IIBBBBB", picture.columns, picture.rows, bits, _GRAY if samples.ndim == 2 else _RGB, 0, 0, 0)
    pieces = [_SIGNATURE, _chunk(b"IHDR", header)]
    if picture.icc_profile is not None:
        pieces.append(_chunk(b"iCCP", b"ICC profile\0\0" + compress(picture.icc_profile, 1)))
    pieces.append(_chunk(b"IDAT", _deflated(samples.reshape(picture.rows, -1))))
    pieces.append(_chunk(b"IEND", b""))
    return b"".join(pieces)


def _deflated(lines: NDArray[Any]) -> bytes:
    """The rows (rows, samples), filtered and as one zlib stream."""
    length = lines.shape[1] * lines.dtype.itemsize
    band = max(1, _BAND_BYTES // length)
    deflater = compressobj(1)
    above = np.zeros(length, np.uint8)
    pieces = []
    for start in range(0, len(lines), band):
        wide = np.ascontiguousarray(lines[start : start + band])
        octets = wide.astype(f">u{wide.dtype.itemsize}", copy=False).view(np.uint8).reshape(len(wide), length)
        filtered = np.empty((len(octets), length + 1), np.uint8)
        filtered[:, 0] = _UP
        np.subtract(octets[0], above, out=filtered[0, 1:])
        np.subtract(octets[1:], octets[:-1], out=filtered[1:, 1:])
        above = octets[-1]
        pieces.append(deflater.compress(filtered.data))
    pieces.append(deflater.flush())
    return b"".join(pieces)


def _chunk(name: bytes, data: bytes) -> bytes:
    return b"".join((struct.pack(">I4s", len(data), name), data, struct.pack(">I", zlib.crc32(data, zlib.crc32(name)))))
