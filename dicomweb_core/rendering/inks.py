"""Gray levels and colours of what is drawn upon a picture, and the drawing (PS3.3 C.10.7.1.1, PS3.4 N.2.3)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from dicomweb_core.rendering.frame_attributes import numbers
from dicomweb_core.rendering.pictures import Samples
from dicomweb_core.values.attributes import Attributes

Coverage = NDArray[np.uint8]
"""(rows, columns): 0 leaves a pixel as it is, 255 replaces it."""

_P_VALUES: Final = 65_535.0
_COLORLESS: Final = 2.0
"""a* and b* up to this size are seen as gray."""
_WHITE_D50: Final = (0.9642, 1.0, 0.8249)
_XYZ_D50_TO_SRGB: Final = (
    (3.1338561, -1.6168667, -0.4906146),
    (-0.9787684, 1.9161415, 0.0334540),
    (0.0719453, -0.2289914, 1.4052427),
)
"""With Bradford's adaptation of the white point."""


class Ink(NamedTuple):
    """0.0 is black, 1.0 is white."""

    gray: float
    rgb: tuple[float, float, float] | None = None
    """sRGB; None: gray is meant."""


WHITE: Final = Ink(1.0)
BLACK: Final = Ink(0.0)


def ink_of(attributes: Attributes, gray_tag: str, cielab_tag: str, default: Ink | None) -> Ink | None:
    """From a P-Value (0 to 65535) and a PCS-Value (CIELab, three times 16 bits). Of a colour that has no chroma the
    P-Value counts, if there is one. `default` where neither can be used."""
    gray, lab = numbers(attributes, gray_tag), numbers(attributes, cielab_tag)
    level = gray[0] / _P_VALUES if gray and 0 <= gray[0] <= _P_VALUES else None
    if len(lab) == 3 and all(0 <= part <= _P_VALUES for part in lab):
        rgb = srgb_of(lab)
        if any(abs(part / 257 - 128) > _COLORLESS for part in lab[1:]):
            red, green, blue = rgb
            return Ink(0.2126 * red + 0.7152 * green + 0.0722 * blue if level is None else level, rgb)
        return Ink(rgb[1] if level is None else level)
    return default if level is None else Ink(level)


def srgb_of(lab: Sequence[float]) -> tuple[float, float, float]:
    """PCS-Values (L* of 0 to 100, a* and b* of -128 to 127, each in 16 bits) as sRGB, 0.0 to 1.0, clipped."""
    lightness = (lab[0] * 100 / _P_VALUES + 16) / 116
    parts = (lightness + (lab[1] / 257 - 128) / 500, lightness, lightness - (lab[2] / 257 - 128) / 200)
    xyz = [
        white * (part**3 if part > 6 / 29 else (part - 4 / 29) * 3 * (6 / 29) ** 2)
        for white, part in zip(_WHITE_D50, parts, strict=True)
    ]
    red, green, blue = (
        _encoded(sum(factor * part for factor, part in zip(row, xyz, strict=True))) for row in _XYZ_D50_TO_SRGB
    )
    return red, green, blue


def _encoded(linear: float) -> float:
    linear = min(max(linear, 0.0), 1.0)
    return 12.92 * linear if linear <= 0.0031308 else 1.055 * math.pow(linear, 1 / 2.4) - 0.055


def contrast(ink: Ink) -> Ink:
    """What an outline around the ink is drawn with, so that it can be read on any background."""
    return BLACK if ink.gray >= 0.4 else WHITE


def blend(samples: Samples, coverage: Coverage, left: int, top: int, ink: Ink) -> None:
    """Draw upon `samples` (writable), in place. What lies outside is cut. Upon grayscale a colour becomes its gray."""
    first_row, first_column = max(top, 0), max(left, 0)
    last_row = min(top + coverage.shape[0], samples.shape[0])
    last_column = min(left + coverage.shape[1], samples.shape[1])
    if first_row >= last_row or first_column >= last_column:
        return
    covered = coverage[first_row - top : last_row - top, first_column - left : last_column - left]
    target: NDArray[Any] = samples[first_row:last_row, first_column:last_column]
    peak = np.iinfo(samples.dtype).max
    if target.ndim == 3:
        value = np.array(ink.rgb or (ink.gray,) * 3) * peak
    else:
        value = np.array(ink.gray * peak)
    drawn = covered > 0
    share = covered[drawn].astype(np.float64) / 255
    before = target[drawn].astype(np.float64)
    if target.ndim == 3:
        share = share[:, np.newaxis]
    target[drawn] = np.rint(before + (value - before) * share).astype(samples.dtype)
