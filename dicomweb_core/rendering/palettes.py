"""Palette Color Lookup Tables, discrete and segmented (PS3.3 C.7.6.3.1.5, C.7.6.3.1.6, C.7.9.2)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from dicomweb_core.errors import CannotRender
from dicomweb_core.rendering.lookup_tables import Bulk, value_bytes
from dicomweb_core.values.attributes import Attributes

_CHANNELS: Final = (
    ("Red", "00281101", "00281201", "00281221"),
    ("Green", "00281102", "00281202", "00281222"),
    ("Blue", "00281103", "00281203", "00281223"),
)
"""Name, LUT Descriptor, LUT Data, Segmented LUT Data."""

_MOST_ENTRIES: Final = 65_536
_MOST_SEGMENTED_BYTES: Final = 1 << 20
"""A segmented LUT is shorter than the one it stands for, or has no reason to be."""
_MOST_SEGMENTS: Final = 1 << 18
_KEPT: Final = 12
"""Expanded tables of one color, each at most 128 KiB, and the segments they were made from."""
_DISCRETE, _LINEAR, _INDIRECT = 0, 1, 2


@dataclass(frozen=True, slots=True)
class Palette:
    """Color n is that of the value `first` + n. Values below and above get the first and the last color."""

    first: int
    colors: NDArray[np.uint8]
    """Shape (entries, 3), at least one entry."""

    def colors_of(self, values: NDArray[Any]) -> NDArray[np.uint8]:
        """Colors of integers; of the shape of `values` and 3."""
        indexes = values.astype(np.int64)
        indexes -= self.first
        np.clip(indexes, 0, len(self.colors) - 1, out=indexes)
        return self.colors.take(indexes, axis=0)


def has_palette(attributes: Attributes) -> bool:
    """Whether there is one, be it broken."""
    return bool(attributes.get("00281101", {}).get("Value"))


def first_mapped(attributes: Attributes, *, signed: bool) -> int:
    """The second value of the descriptors. Raises CannotRender for a broken descriptor."""
    return _descriptor(attributes, *_CHANNELS[0][:2], signed=signed)[1]


def palette(attributes: Attributes, bulk: Bulk, *, signed: bool) -> Palette:
    """The palette of a data set, or of an item that has one. `signed`: the values it maps are (Pixel Representation).

    16-bit entries are brought to 8 bits over their full range; where none is above 255 they are 8-bit entries that
    somebody forgot to scale. Raises CannotRender, saying what is wrong with it, and what `bulk` raises.
    """
    described = [_descriptor(attributes, name, tag, signed=signed) for name, tag, _, _ in _CHANNELS]
    if len({(count, first) for count, first, _ in described}) > 1:
        raise CannotRender("The Palette Color Lookup Tables of red, green and blue map different values.")
    count, first, bits = described[0]
    channels = [_entries(attributes, channel, bulk, count, bits) for channel in _CHANNELS]
    highest = max(int(channel.max()) for channel in channels)
    # What is there counts for more than what the descriptor says of it.
    wide = highest > 0xFF
    peak = max((1 << bits) - 1, 0xFF) if wide else 0xFF
    if highest > peak:
        peak = 0xFFFF
    stacked = np.stack(channels, axis=1).astype(np.uint32)
    if wide:
        stacked = (stacked * 0xFF + peak // 2) // peak
    return Palette(first, stacked.astype(np.uint8))


def _descriptor(attributes: Attributes, name: str, tag: str, *, signed: bool) -> tuple[int, int, int]:
    """Number of entries, first value mapped, bits of an entry."""
    values = attributes.get(tag, {}).get("Value")
    if values is None:
        raise CannotRender(f"The {name} Palette Color Lookup Table Descriptor is missing.")
    if not isinstance(values, list) or len(values) != 3 or not all(type(value) is int for value in values):
        raise CannotRender(f"The {name} Palette Color Lookup Table Descriptor is not three numbers.")
    count, first, bits = values
    if not -0x8000 <= count <= 0xFFFF or not -0x8000 <= first <= 0xFFFF or not 1 <= bits <= 16:
        raise CannotRender(f"The {name} Palette Color Lookup Table Descriptor has values that none can have.")
    first &= 0xFFFF
    if signed and first & 0x8000:
        first -= 0x10000
    return (count & 0xFFFF) or _MOST_ENTRIES, first, bits


def _entries(
    attributes: Attributes, channel: tuple[str, str, str, str], bulk: Bulk, count: int, bits: int
) -> NDArray[Any]:
    """`count` entries of 8 or 16 bits, as they are stored."""
    name, _, plain, segmented = channel
    data = value_bytes(attributes.get(plain, {}), bulk)
    if data:
        # Entries of 8 bits may lie one or two to a word: the length tells.
        if len(data) >= 2 * count:
            return np.frombuffer(data, "<u2", count)
        if len(data) >= count:
            return np.frombuffer(data, np.uint8, count)
        raise CannotRender(f"The {name} Palette Color Lookup Table Data are shorter than their descriptor says.")
    data = value_bytes(attributes.get(segmented, {}), bulk)
    if not data:
        raise CannotRender(f"The {name} Palette Color Lookup Table Data are missing.")
    if len(data) > _MOST_SEGMENTED_BYTES:
        raise CannotRender(f"The Segmented {name} Palette Color Lookup Table Data are too long.")
    try:
        return _expanded(data, bits, count)
    except ValueError as error:
        raise CannotRender(f"The Segmented {name} Palette Color Lookup Table Data {error}.") from error


@lru_cache(maxsize=_KEPT)
def _expanded(data: bytes, bits: int, count: int) -> NDArray[Any]:
    """Kept for the next frame; read-only."""
    units = np.frombuffer(data, np.uint8) if bits <= 8 else np.frombuffer(data, "<u2", len(data) // 2)
    entries = _expand(units, count)
    entries.flags.writeable = False
    return entries


def _expand(units: NDArray[Any], count: int) -> NDArray[Any]:
    """Segments to `count` entries (PS3.3 C.7.9.2); what is beyond them is not looked at. `units` are of 8 or 16 bits,
    as operation codes, lengths and entries are. Raises ValueError with the end of a sentence."""
    entries = np.empty(count, units.dtype)
    filled = position = 0
    copied_left, resume = 0, 0
    for _ in range(_MOST_SEGMENTS):
        if filled == count:
            return entries
        if position + 2 > len(units):
            raise ValueError("end before all their entries are given")
        code, length = int(units[position]), int(units[position + 1])
        position += 2
        if code == _DISCRETE:
            given = units[position : position + min(length, count - filled)]
            entries[filled : filled + len(given)] = given
            filled += len(given)
            position += length
        elif code == _LINEAR:
            if not filled or position >= len(units):
                raise ValueError("have a linear segment without its ends")
            filled = _draw_line(entries, filled, length, int(units[position]))
            position += 1
        elif code == _INDIRECT and not copied_left:
            target, position = _target(units, position)
            if length:
                position, resume, copied_left = target, position, length + 1
        else:
            raise ValueError("have a segment of an unknown type, or an indirect one that leads to another")
        if copied_left:
            # The indirect segment itself counts as the first.
            copied_left -= 1
            if copied_left == 0:
                position = resume
    raise ValueError("have too many segments")


def _draw_line(entries: NDArray[Any], filled: int, length: int, end: int) -> int:
    """From the last entry, which is not repeated, to `end`, which is the last of `length` entries."""
    start = int(entries[filled - 1])
    drawn = min(length, len(entries) - filled)
    steps = np.arange(1, drawn + 1)
    entries[filled : filled + drawn] = np.rint(start + (end - start) * steps / max(length, 1))
    return filled + drawn


def _target(units: NDArray[Any], position: int) -> tuple[int, int]:
    """Where an indirect segment points, and the position behind it. The offset is in bytes, least significant first,
    32 bits long (C.7.9.2.3)."""
    size = units.itemsize
    raw = units[position : position + 4 // size].tobytes()
    offset, odd = divmod(int.from_bytes(raw, "little"), size)
    if len(raw) != 4 or odd or offset >= len(units):
        raise ValueError("have an indirect segment that leads nowhere")
    return offset, position + 4 // size
