"""Overlay planes (60xx): in Overlay Data, or in bits of the pixels that no sample uses (PS3.3 C.9.2, PS3.5 8.1.2)."""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from dicomweb_core.rendering.frame_attributes import finite_number, numbers
from dicomweb_core.rendering.lookup_tables import Bulk, value_bytes
from dicomweb_core.rendering.stored_values import cells_of
from dicomweb_core.values.attributes import Attributes
from dicomweb_core.values.pixels import NativeFrame

GROUPS: Final = tuple(range(0x6000, 0x6020, 2))
"""Sixteen planes (PS3.5 7.6)."""

_MOST_PIXELS: Final = 1 << 28
_MOST_FRAMES: Final = 1 << 24


class Overlay(NamedTuple):
    """One plane, as it lies upon one frame."""

    group: int
    mask: NDArray[np.bool_]
    """(rows, columns) of the overlay itself."""
    top: int
    """Row of the image that the first row of the overlay lies upon, 0-based; negative above the image."""
    left: int

    def over(self, rows: int, columns: int) -> NDArray[np.bool_]:
        """The mask in the matrix of an image."""
        whole = np.zeros((rows, columns), np.bool_)
        top, left = max(self.top, 0), max(self.left, 0)
        bottom = min(self.top + self.mask.shape[0], rows)
        right = min(self.left + self.mask.shape[1], columns)
        if top < bottom and left < right:
            part = self.mask[top - self.top : bottom - self.top, left - self.left : right - self.left]
            whole[top:bottom, left:right] = part
        return whole


def overlay(
    attributes: Attributes, group: int, bulk: Bulk, frame: NativeFrame | None, number: int = 1
) -> Overlay | None:
    """The plane of a group (0x6000 to 0x601E), or None: absent, ill-formed, shorter than its size says, or of other
    frames. Without `frame`, planes within pixel data count as absent. Raises what `bulk` raises."""
    if not any(tag.startswith(f"{group:04X}") for tag in attributes):
        return None
    index = _frame_index(attributes, group, number)
    if index is None:
        return None
    if f"{group:04X}3000" in attributes:
        mask = _from_data(attributes, group, bulk, index)
    else:
        mask = None if frame is None else _from_pixels(attributes, group, frame)
    if mask is None:
        return None
    origin = numbers(attributes, _tag(group, 0x50))
    usable = len(origin) == 2 and all(abs(place) <= 1 << 20 for place in origin)
    top, left = (int(place) - 1 for place in origin) if usable else (0, 0)
    return Overlay(group, mask, top, left)


def _tag(group: int, element: int) -> str:
    return f"{group:04X}{element:04X}"


def _frame_index(attributes: Attributes, group: int, number: int) -> int | None:
    """Of the overlay's frames, the 0-based one that lies upon this frame. One without Number of Frames in Overlay and
    Image Frame Origin lies upon all."""
    frames = finite_number(attributes, _tag(group, 0x15))
    origin = finite_number(attributes, _tag(group, 0x51))
    if origin is None and (frames is None or frames <= 1):
        return 0
    index = number - int(origin or 1)
    return index if 0 <= index < min(max(frames or 1, 1), _MOST_FRAMES) else None


def _size(attributes: Attributes, group: int) -> tuple[int, int] | None:
    rows, columns = (finite_number(attributes, _tag(group, element)) for element in (0x10, 0x11))
    if rows is None or columns is None or not (1 <= rows <= 0xFFFF and 1 <= columns <= 0xFFFF):
        return None
    return (int(rows), int(columns)) if rows * columns <= _MOST_PIXELS else None


def _from_data(attributes: Attributes, group: int, bulk: Bulk, index: int) -> NDArray[np.bool_] | None:
    size = _size(attributes, group)
    if size is None or (finite_number(attributes, _tag(group, 0x100)) or 1) != 1:
        return None
    data = value_bytes(attributes[_tag(group, 0x3000)], bulk)
    count = size[0] * size[1]
    first_bit = index * count
    if len(data) * 8 < first_bit + count:
        return None
    packed = np.frombuffer(data, np.uint8, offset=first_bit // 8)
    shift = first_bit % 8
    bits: NDArray[Any] = np.unpackbits(packed, count=shift + count, bitorder="little")[shift:]
    return bits.view(np.bool_).reshape(size)


def _from_pixels(attributes: Attributes, group: int, frame: NativeFrame) -> NDArray[np.bool_] | None:
    """Retired: a bit of each cell that does not belong to the sample."""
    image, size = frame.image, _size(attributes, group)
    bit = finite_number(attributes, _tag(group, 0x102))
    if bit is None or image.samples != 1 or image.floating or size not in (None, (image.rows, image.columns)):
        return None
    high_bit = finite_number(attributes, "00280102")
    high = int(high_bit) if high_bit is not None and 0 <= high_bit < image.bits_allocated else image.high_bit
    if not 0 <= bit < image.bits_allocated or high - image.bits_stored < bit <= high or image.bits_allocated == 1:
        return None
    cells = cells_of(frame)
    found: NDArray[np.bool_] = (cells & cells.dtype.type(1 << int(bit))) != 0
    return found
