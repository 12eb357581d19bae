"""Windows: the linear and sigmoid VOI LUT functions (PS3.3 C.11.2.1.2, C.11.2.1.3), and one for objects without."""

from __future__ import annotations

import math
from typing import Final

import numpy as np
from numpy.typing import NDArray

from dicomweb_core.rendering.frame_attributes import numbers
from dicomweb_core.values.attributes import Attributes, first_text
from dicomweb_core.values.renderings import VOIFunction, Window

_CENTER: Final = "00281050"
_WIDTH: Final = "00281051"
_FUNCTION: Final = "00281056"
_FUNCTIONS: Final = {function.name: function for function in VOIFunction}

_LARGEST: Final = 1e30
"""No quantity of a picture is larger: such a window is garbage, and everything would be one gray."""
_HUGE: Final = 8e307
"""The difference of two numbers up to this one is finite."""

OUTLIERS: Final = 0.001
"""Share of the pixels at either end that may be left out of the default window."""
_WORTH: Final = 0.5
"""They are left out if they would take more than this share of the gray levels."""


def file_window(attributes: Attributes) -> Window | None:
    """The first Window Center, Window Width pair that can be used, with VOI LUT Function; or None.

    Not used are widths that are not positive, and what is not finite or beyond all measure. A LINEAR width below 1,
    which PS3.3 C.11.2.1.2.1 forbids, is common in maps of small quantities: it is taken as LINEAR_EXACT. An unknown
    function is taken as LINEAR.
    """
    function = _FUNCTIONS.get(first_text(attributes, _FUNCTION).strip().upper(), VOIFunction.LINEAR)
    for center, width in zip(numbers(attributes, _CENTER), numbers(attributes, _WIDTH), strict=False):
        if abs(center) <= _LARGEST and 1 / _LARGEST <= width <= _LARGEST:
            if width < 1 and function is VOIFunction.LINEAR:
                return Window(center, width, VOIFunction.LINEAR_EXACT)
            return Window(center, width, function)
    return None


def apply_window(values: NDArray[np.float64], window: Window) -> None:
    """Values (not NaN) become what the window makes of them, in place: 0.0 is the lowest output, 1.0 the highest."""
    center, width, function = window
    if function is VOIFunction.LINEAR:
        if width <= 1:
            np.greater(values, center - 0.5, out=values)
            return
        center, width = center - 0.5, width - 1
    values -= center
    if function is VOIFunction.SIGMOID:
        values /= width  # not times 4 / width, which may be infinite: of the center it would be no number
        values *= -4
        np.minimum(values, 700.0, out=values)  # exp is finite there
        np.exp(values, out=values)
        values += 1
        np.reciprocal(values, out=values)
        return
    values /= width
    values += 0.5
    np.clip(values, 0.0, 1.0, out=values)


def range_window(low: float, high: float) -> Window | None:
    """`low` becomes the lowest output and `high` the highest; None when there is nothing between them."""
    low, high = (min(max(bound, -_HUGE), _HUGE) for bound in (low, high))
    width = high - low
    if not width > 0 or not math.isfinite(1 / width):
        return None
    return Window(low / 2 + high / 2, width, VOIFunction.LINEAR_EXACT)


def spread_window(values: NDArray[np.float64], counts: NDArray[np.int64] | None = None) -> Window | None:
    """The default window: the full range of `values` (finite; `counts` of pixels each, else one).

    Unless a few stray pixels (hot pixels, metal, burned-in marks: at most `OUTLIERS` of all at either end) would take
    more than half of the gray levels from the rest: then the range of the rest. None when all values are the same.
    """
    if not values.size:
        return None
    order = np.argsort(values)
    values = values[order]
    low, high = float(values[0]), float(values[-1])
    ends = np.arange(1, len(values) + 1) if counts is None else np.cumsum(counts[order])
    outside = OUTLIERS * float(ends[-1])
    inner_low = float(values[np.searchsorted(ends, outside, side="right")])
    inner_high = float(values[np.searchsorted(ends, float(ends[-1]) - outside, side="left")])
    inner = range_window(inner_low, inner_high)
    full = range_window(low, high)
    if inner is not None and full is not None and inner.width < _WORTH * full.width:
        return inner
    return full
