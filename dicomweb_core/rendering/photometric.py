"""Planes of samples to RGB, by Photometric Interpretation (PS3.3 C.7.6.3.1.2)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

Plane = NDArray[Any]
"""Unsigned integers of shape (pixels,)."""
RGB = NDArray[np.uint8]

_BAND: Final = 1 << 15
"""Pixels converted at once: what is floating point stays in the cache of the processor."""


class ColorModel(NamedTuple):
    """How many samples a pixel has, and `to_rgb(planes, peak, out)`: `peak` is the largest value a sample can have,
    `out` has the shape (pixels, 3)."""

    samples: int
    to_rgb: Callable[[tuple[Plane, ...], int, RGB], None]


class YBRCoefficients(NamedTuple):
    """What one step of a sample adds, for 8 bits; `black` is the luminance of black."""

    luminance: float
    red_cr: float
    green_cb: float
    green_cr: float
    blue_cb: float
    black: int


_FULL: Final = YBRCoefficients(1.0, 1.402, -0.114 * 1.772 / 0.587, -0.299 * 1.402 / 0.587, 1.772, 0)
"""ITU-R BT.601, all codes are used."""
_PARTIAL: Final = YBRCoefficients(
    255 / 219,
    1.402 * 255 / 224,
    -0.114 * 1.772 / 0.587 * 255 / 224,
    -0.299 * 1.402 / 0.587 * 255 / 224,
    1.772 * 255 / 224,
    16,
)
"""The same with black at 16, white at 235, and chrominances from 16 to 240."""


def _rgb(planes: tuple[Plane, ...], peak: int, out: RGB) -> None:
    for channel, plane in enumerate(planes):
        _scale(plane, peak, out[:, channel])


def _scale(plane: Plane, peak: int, out: RGB) -> None:
    if peak == 0xFF:
        out[:] = plane
        return
    for start in range(0, len(plane), _BAND):
        values = plane[start : start + _BAND] * np.float32(255 / peak)
        values += 0.5
        out[start : start + _BAND] = values


def _ybr(coefficients: YBRCoefficients) -> Callable[[tuple[Plane, ...], int, RGB], None]:
    def to_rgb(planes: tuple[Plane, ...], peak: int, out: RGB) -> None:
        scale = 255 / peak
        # One added half makes the cut behind the point a rounding.
        shift = np.float32(0.5 - coefficients.black * coefficients.luminance)
        gray = np.float32((peak + 1) // 2)
        luminance, red_cr, green_cb, green_cr, blue_cb = (np.float32(scale * part) for part in coefficients[:5])
        for start in range(0, len(out), _BAND):
            light, blueness, redness = (plane[start : start + _BAND].astype(np.float32) for plane in planes)
            if luminance != 1:
                light *= luminance
            light += shift
            blueness -= gray
            redness -= gray
            band = out[start : start + _BAND]
            _sum_into(band[:, 0], light, redness * red_cr)
            _sum_into(band[:, 2], light, blueness * blue_cb)
            blueness *= green_cb
            redness *= green_cr
            blueness += redness
            _sum_into(band[:, 1], light, blueness)

    return to_rgb


def _sum_into(out: RGB, light: NDArray[np.float32], colour: NDArray[np.float32]) -> None:
    colour += light
    np.clip(colour, 0, 255, out=colour)
    out[:] = colour


def _cmyk(planes: tuple[Plane, ...], peak: int, out: RGB) -> None:
    """Retired. No ink is 0."""
    for start in range(0, len(out), _BAND):
        *inks, black = (plane[start : start + _BAND].astype(np.float32) / np.float32(peak) for plane in planes)
        for channel, ink in enumerate(inks):
            out[start : start + _BAND, channel] = (1 - ink) * (1 - black) * 255 + np.float32(0.5)


def _hsv(planes: tuple[Plane, ...], peak: int, out: RGB) -> None:
    """Retired. The largest hue is the whole circle."""
    for start in range(0, len(out), _BAND):
        hue, saturation, value = (
            plane[start : start + _BAND].astype(np.float32) / np.float32(peak) for plane in planes
        )
        for channel, sixths in enumerate((5, 3, 1)):
            place = (sixths + hue * 6) % 6
            missing = np.clip(np.minimum(place, 4 - place), 0, 1)
            out[start : start + _BAND, channel] = value * (1 - saturation * missing) * 255 + np.float32(0.5)


def _argb(planes: tuple[Plane, ...], peak: int, out: RGB) -> None:
    """Retired. What the alpha plane selects from a palette is for the caller."""
    _rgb(planes[1:], peak, out)


MODELS: Final = {
    "RGB": ColorModel(3, _rgb),
    # Of native frames these two are names that stayed behind when somebody decompressed them.
    "YBR_ICT": ColorModel(3, _rgb),
    "YBR_RCT": ColorModel(3, _rgb),
    "XYB": ColorModel(3, _rgb),
    "YBR_FULL": ColorModel(3, _ybr(_FULL)),
    "YBR_FULL_422": ColorModel(3, _ybr(_FULL)),
    "YBR_PARTIAL_422": ColorModel(3, _ybr(_PARTIAL)),
    "YBR_PARTIAL_420": ColorModel(3, _ybr(_PARTIAL)),
    "CMYK": ColorModel(4, _cmyk),
    "HSV": ColorModel(3, _hsv),
    "ARGB": ColorModel(4, _argb),
}
"""Photometric Interpretation -> model, but for those with a palette."""
