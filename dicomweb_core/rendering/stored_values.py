"""Stored values of native frames of one sample, and what of them is padding (PS3.5 8.1.1, PS3.3 C.7.5.1.1.2)."""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from dicomweb_core.errors import CannotRender
from dicomweb_core.rendering.frame_attributes import finite_number
from dicomweb_core.values.attributes import Attributes
from dicomweb_core.values.pixels import ImagePixel, NativeFrame

Cells = NDArray[Any]
"""What Bits Allocated hold, as unsigned integers or floating point numbers; bits in bytes."""

_BITS_STORED: Final = "00280101"
_HIGH_BIT: Final = "00280102"


class Coding(NamedTuple):
    """How a stored value lies in its cell."""

    allocated: int
    stored: int
    """Bits of the value."""
    shift: int
    """Bits below it: High Bit + 1 - Bits Stored (retired; now always 0)."""
    signed: bool
    floating: bool

    @property
    def extremes(self) -> tuple[int, int]:
        """The lowest and the highest integer there can be."""
        if self.signed:
            return -(1 << (self.stored - 1)), (1 << (self.stored - 1)) - 1
        return 0, (1 << self.stored) - 1


class Padding(NamedTuple):
    """Pixel Padding Value to Pixel Padding Range Limit, `low` to `high`, both included."""

    low: float
    high: float


def cells_of(frame: NativeFrame) -> Cells:
    """A read-only view of (rows, columns); 1-bit cells are unpacked. Raises CannotRender for what is no such frame."""
    image = frame.image
    if image.samples != 1:
        raise CannotRender("Samples per Pixel of a grayscale image must be 1.")
    if len(frame.data) != image.frame_bytes:
        raise CannotRender("The pixel data of the frame are not as long as Rows, Columns and Bits Allocated say.")
    shape = (image.rows, image.columns)
    if image.floating:
        if image.bits_allocated not in (32, 64):
            raise CannotRender("Floating point pixel data must have 32 or 64 bits.")
        return np.frombuffer(frame.data, f"<f{image.bits_allocated // 8}").reshape(shape)
    if image.bits_allocated == 1:
        packed = np.frombuffer(frame.data, np.uint8)
        return np.unpackbits(packed, count=image.rows * image.columns, bitorder="little").reshape(shape)
    if image.bits_allocated not in (8, 16, 32, 64):
        raise CannotRender(f"Bits Allocated {image.bits_allocated} cannot be rendered: it is not 1, 8, 16, 32 or 64.")
    return np.frombuffer(frame.data, f"<u{image.bits_allocated // 8}").reshape(shape)


def coding_of(image: ImagePixel, attributes: Attributes, cells: Cells) -> Coding:
    """High Bit counts only where the cells bear it out. Decoders put the values of codestreams at the bottom whatever
    High Bit says of them."""
    allocated, stored = image.bits_allocated, image.bits_stored
    coding = Coding(allocated, stored, 0, image.signed and stored > 1, image.floating)
    high_bit = finite_number(attributes, _HIGH_BIT)
    if image.floating or high_bit is None or finite_number(attributes, _BITS_STORED) != stored:
        return coding
    if not stored - 1 < high_bit < allocated or not high_bit.is_integer():
        return coding
    moved = coding._replace(shift=int(high_bit) + 1 - stored)
    return coding if _at_the_bottom(cells, coding, moved.shift) else moved


def _at_the_bottom(cells: Cells, coding: Coding, shift: int) -> bool:
    """Whether there is something in the `shift` lowest bits, and nothing above Bits Stored but a sign."""
    if not (cells & cells.dtype.type((1 << shift) - 1)).any():
        return False
    values = cells.view(f"<i{cells.dtype.itemsize}") if coding.signed else cells
    low, high = coding.extremes
    return low <= int(values.min()) and int(values.max()) <= high


def stored_values(cells: Cells, coding: Coding) -> NDArray[Any]:
    """Integers or floating point numbers, of the shape of `cells`."""
    if coding.floating:
        return cells
    if coding.stored == coding.allocated and coding.shift == 0:
        return cells.view(f"<i{cells.dtype.itemsize}") if coding.signed else cells
    # Fewer than 64 bits are stored, so the numbers are those of a signed type.
    values = cells.astype(np.uint64)
    values >>= np.uint64(coding.shift)
    values &= np.uint64((1 << coding.stored) - 1)
    signed = values.view(np.int64)
    if coding.signed:
        sign = np.int64(1 << (coding.stored - 1))
        signed ^= sign
        signed -= sign
    return signed


def padding_of(coding: Coding, attributes: Attributes) -> Padding | None:
    """What the object has of padding, or None. A value may be written with the other sign than the pixels have."""
    if not coding.floating:
        tags = ("00280120", "00280121")
    elif coding.allocated == 32:
        tags = ("00280122", "00280124")
    else:
        tags = ("00280123", "00280125")
    value, limit = (finite_number(attributes, tag) for tag in tags)
    if value is None:
        return None
    limit = value if limit is None else limit
    if not coding.floating and coding.allocated <= 16:
        value, limit = (_with_sign(int(bound), coding) for bound in (value, limit))
    return Padding(min(value, limit), max(value, limit))


def is_padding(cells: Cells, stored: NDArray[Any], coding: Coding, padding: Padding) -> NDArray[np.bool_]:
    """Which pixels are. Writers also pad with values that Bits Stored cannot hold (-2000 in 12 bits): the whole cell
    counts too."""
    low, high = padding
    with np.errstate(over="ignore"):  # a padding value may be more than the pixels can hold
        found: NDArray[np.bool_] = (stored >= low) & (stored <= high)
    if not coding.floating and coding.stored < coding.allocated:
        whole = cells.view(f"<i{cells.dtype.itemsize}") if coding.signed else cells
        found |= (whole >= low) & (whole <= high)
    return found


def _with_sign(bound: int, coding: Coding) -> int:
    """Of 16 bits at most, as the pixels are signed or not."""
    half = 1 << (coding.allocated - 1)
    if coding.signed and half <= bound < 2 * half:
        return bound - 2 * half
    if not coding.signed and -half <= bound < 0:
        return bound + 2 * half
    return bound
