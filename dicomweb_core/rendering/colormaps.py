"""Colours that mean something: CIELab of the standard, colours told apart by eye, and a map for quantities."""

from __future__ import annotations

import colorsys
import math
from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from dicomweb_core.rendering.inks import srgb_of

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
    red, green, blue = (round(255 * part) for part in srgb_of(values))
    return red, green, blue


def quantity_colors(entries: int = 256) -> ColorTable:
    """A table from dark violet over green to bright yellow: more is brighter, everywhere."""
    return _between(_DARK_TO_BRIGHT, entries)


def _between(colors: Sequence[Color], entries: int) -> ColorTable:
    places = np.linspace(0, len(colors) - 1, entries)
    table: NDArray[Any] = np.array(colors, np.float64)
    parts = [np.interp(places, np.arange(len(colors)), table[:, part]) for part in range(3)]
    found: ColorTable = np.rint(np.stack(parts, axis=1)).astype(np.uint8)
    return found
