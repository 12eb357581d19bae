"""Arrays of samples <-> native bytes (PS3.5 8.1, 8.2), and their colours (PS3.3 C.7.6.3.1.2)."""

from __future__ import annotations

import math
import threading
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from dicomweb_core.errors import InvalidFrame
from dicomweb_core.values.pixels import ImagePixel, NativeFrame

Samples = NDArray[Any]
"""Of shape (rows, columns), or (rows, columns, samples) when there is more than one sample."""

_CELLS: Final = (1, 8, 16, 32, 64)
_KEPT_BYTES: Final = 4 << 20
_BAND: Final = 1 << 18
"""Pixels converted at once: floating point copies stay this small."""

_TO_YBR: Final = np.array(
    [[0.2990, 0.5870, 0.1140], [-0.1687, -0.3313, 0.5000], [0.5000, -0.4187, -0.0813]], np.float32
)


class _Scratch(threading.local):
    buffer = bytearray()


_scratch: Final = _Scratch()


def blank(shape: tuple[int, ...], dtype: str) -> Samples:
    """Zeros to decode into, so that what a decoder leaves out is not what was in memory before.

    Small ones lie in memory that the thread keeps: they live until it calls this again.
    """
    count = math.prod(shape)
    size = count * np.dtype(dtype).itemsize
    if size > _KEPT_BYTES:
        return np.zeros(shape, dtype)
    if len(_scratch.buffer) < size:
        _scratch.buffer = bytearray(size)
    found = np.frombuffer(_scratch.buffer, dtype, count).reshape(shape)
    found.fill(0)
    return found


def samples_of(frame: NativeFrame) -> Samples:
    """A read-only view of the frame's samples, signed as they are; of whole bytes only (8, 16, 32 or 64 bits).

    Planes stay where they are: the samples of a planar frame are not next to each other in memory.
    """
    image = frame.image
    kind = "i" if image.signed else "u"
    samples = np.frombuffer(frame.data, dtype=f"<{kind}{image.bits_allocated // 8}")
    if image.samples == 1:
        return samples.reshape(image.rows, image.columns)
    if image.planar:
        return samples.reshape(image.samples, image.rows, image.columns).transpose(1, 2, 0)
    return samples.reshape(image.rows, image.columns, image.samples)


def bits_needed(samples: Samples) -> int:
    """The fewest bits that hold every value, with its sign if the array has one; at least 1."""
    highest = int(samples.max())
    if samples.dtype.kind == "u":
        return max(1, highest.bit_length())
    return max(highest, ~int(samples.min()), 0).bit_length() + 1


def native_bytes(samples: Samples, image: ImagePixel) -> bytes:
    """The native frame of them: little endian cells of Bits Allocated, planes if `image.planar`.

    Values are kept; the caller sees to it that they fit.
    """
    if image.bits_allocated not in _CELLS:
        raise InvalidFrame(f"No codestream holds samples of Bits Allocated {image.bits_allocated}.")
    if samples.ndim == 3 and image.planar:
        samples = samples.transpose(2, 0, 1)
    if image.bits_allocated == 1:
        return np.packbits(samples.reshape(-1) & 1, bitorder="little").tobytes()
    kind = "i" if samples.dtype.kind == "i" else "u"
    return samples.astype(f"<{kind}{image.bits_allocated // 8}", copy=False).tobytes()


def with_sign(samples: Samples, precision: int, *, signed: bool) -> Samples:
    """The same low `precision` bits, read as signed (two's complement) or unsigned integers. In place if it can."""
    if (samples.dtype.kind == "i") == signed:
        return samples
    size = samples.dtype.itemsize
    found = samples.view(f"u{size}")
    if precision < 8 * size:
        if not found.flags.writeable:
            found = found.copy()
        found &= found.dtype.type((1 << precision) - 1)
        if signed:
            sign = found.dtype.type(1 << (precision - 1))
            found ^= sign
            found -= sign
    return found.view(f"i{size}") if signed else found


def rgb_to_ybr(samples: Samples, bits: int) -> Samples:
    """RGB to YBR_FULL of the same precision. Shape (rows, columns, 3), unsigned."""
    pixels = samples.reshape(-1, 3)
    converted = np.empty_like(pixels)
    zero = np.array([0, 1 << (bits - 1), 1 << (bits - 1)], np.float32)
    for start in range(0, len(pixels), _BAND):
        band = pixels[start : start + _BAND].astype(np.float32) @ _TO_YBR.T + zero
        converted[start : start + _BAND] = np.clip(np.rint(band, out=band), 0, (1 << bits) - 1, out=band)
    return converted.reshape(samples.shape)
