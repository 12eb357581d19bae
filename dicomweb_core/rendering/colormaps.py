"""Colours that mean something: CIELab of the standard, colours told apart by eye, and a map for quantities."""

from __future__ import annotations

import colorsys
import math
from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from dicomweb_core.rendering.lookup_tables import Bulk, value_bytes
from dicomweb_core.values.attributes import Attributes

Color = tuple[int, int, int]
"""Red, green and blue of sRGB, 0 to 255."""

ColorTable = NDArray[np.uint8]
"""Of shape (entries, 3)."""

_DISTINCT: Final[tuple[Color, ...]] = (
    (230, 70, 60),
    (70, 190, 90),
    (70, 140, 245),
    (245, 195, 50),
    (200, 90, 220),
    (50, 205, 210),
    (245, 135, 50),
    (245, 130, 190),
    (165, 215, 60),
    (150, 130, 250),
    (190, 140, 90),
    (120, 220, 170),
)
"""Bright enough to be seen over gray, each far from the ones before it."""
_GOLDEN: Final = (math.sqrt(5) - 1) / 2

_D50: Final = (0.96422, 1.0, 0.82521)
_TO_LINEAR_SRGB: Final = (
    (3.1338561, -1.6168667, -0.4906146),
    (-0.9787684, 1.9161415, 0.0334540),
    (0.0719453, -0.2289914, 1.4052427),
)
"""From XYZ of D50, the white of the ICC Profile Connection Space."""

_DARK_TO_BRIGHT: Final[tuple[Color, ...]] = (
    (68, 1, 84),
    (71, 45, 123),
    (59, 82, 139),
    (44, 114, 142),
    (33, 145, 140),
    (40, 174, 128),
    (94, 201, 98),
    (173, 220, 48),
    (253, 231, 37),
)
"""Equal steps to the eye, also of those who do not see all colours, and also in print without colours."""

_DESCRIPTORS: Final = ("00281101", "00281102", "00281103")
_DATA: Final = ("00281201", "00281202", "00281203")
_MOST_ENTRIES: Final = 65_536


def distinct_color(index: int) -> Color:
    """Colour `index` (0-based) of an endless row of colours that can be told apart, best at its begin."""
    if index < len(_DISTINCT):
        return _DISTINCT[index]
    hue = (index * _GOLDEN) % 1.0
    red, green, blue = colorsys.hsv_to_rgb(hue, 0.75 if index % 2 else 0.5, 0.95)
    return round(red * 255), round(green * 255), round(blue * 255)


def cielab_color(values: object) -> Color | None:
    """The sRGB colour of a CIELab value as the standard encodes it: three numbers of 16 bits (PS3.3 C.10.7.1.1).

    L* 0 to 100 is 0 to 65535; a* and b* -128 to 127 likewise. Colours that sRGB does not have become the nearest in
    each component. None for anything that is no such value.
    """
    if not isinstance(values, list) or len(values) != 3:
        return None
    if not all(type(value) is int and 0 <= value <= 0xFFFF for value in values):
        return None
    lightness, a, b = values[0] / 655.35, values[1] / 257 - 128, values[2] / 257 - 128
    y = (lightness + 16) / 116
    xyz = [white * _unfolded(f) for white, f in zip(_D50, (y + a / 500, y, y - b / 200), strict=True)]
    linear = [sum(factor * part for factor, part in zip(row, xyz, strict=True)) for row in _TO_LINEAR_SRGB]
    red, green, blue = (round(255 * _companded(part)) for part in linear)
    return red, green, blue


def quantity_colors(entries: int = 256) -> ColorTable:
    """A table from dark violet over green to bright yellow: more is brighter, everywhere."""
    return _between(_DARK_TO_BRIGHT, entries)


def palette_colors(attributes: Attributes, bulk: Bulk) -> tuple[int, ColorTable] | None:
    """The first stored value mapped and the colours of a Palette Color Lookup Table (PS3.3 C.7.6.3.1.5), or None
    without one that can be read. Segmented tables are not. Raises what `bulk` raises."""
    planes: list[NDArray[np.uint8]] = []
    first = 0
    for descriptor_tag, data_tag in zip(_DESCRIPTORS, _DATA, strict=True):
        descriptor = attributes.get(descriptor_tag, {}).get("Value")
        if not isinstance(descriptor, list) or len(descriptor) != 3 or not all(type(n) is int for n in descriptor):
            return None
        count, first = descriptor[0] & 0xFFFF or _MOST_ENTRIES, descriptor[1]
        plane = _palette_plane(value_bytes(attributes.get(data_tag, {}), bulk), count, descriptor[2])
        if plane is None or (planes and len(plane) != len(planes[0])):
            return None
        planes.append(plane)
    return first, np.stack(planes, axis=1)


def _palette_plane(data: bytes, count: int, bits: int) -> NDArray[np.uint8] | None:
    """Entries of 16 bits lose their lower half, which no display shows. Those of 8 bits may lie in words."""
    if bits == 16 and len(data) >= 2 * count:
        return (np.frombuffer(data, "<u2", count) >> 8).astype(np.uint8)
    if bits == 8 and len(data) >= 2 * count:
        words = np.frombuffer(data, "<u2", count)
        return (words if int(words.max()) < 256 else words >> 8).astype(np.uint8)
    if bits == 8 and len(data) >= count:
        return np.frombuffer(data, np.uint8, count)
    return None


def _between(colors: Sequence[Color], entries: int) -> ColorTable:
    places = np.linspace(0, len(colors) - 1, entries)
    table: NDArray[Any] = np.array(colors, np.float64)
    parts = [np.interp(places, np.arange(len(colors)), table[:, part]) for part in range(3)]
    found: ColorTable = np.rint(np.stack(parts, axis=1)).astype(np.uint8)
    return found


def _unfolded(f: float) -> float:
    return f**3 if f > 6 / 29 else 3 * (6 / 29) ** 2 * (f - 4 / 29)


def _companded(linear: float) -> float:
    linear = min(max(linear, 0.0), 1.0)
    return 12.92 * linear if linear <= 0.0031308 else 1.055 * linear ** (1 / 2.4) - 0.055
