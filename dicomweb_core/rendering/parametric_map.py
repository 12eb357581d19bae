"""Parametric maps: a quantity at each pixel, as colour (PS3.3 A.75, C.8.32, C.7.6.16.2.11)."""

from __future__ import annotations

import math
from typing import Final, NamedTuple

import numpy as np

from dicomweb_core.errors import CannotRender
from dicomweb_core.rendering.colormaps import Color, ColorTable, quantity_colors
from dicomweb_core.rendering.frame_attributes import finite_number, numbers, pixel_aspect, sequence_items
from dicomweb_core.rendering.layers import check_size
from dicomweb_core.rendering.lookup_tables import Bulk
from dicomweb_core.rendering.palettes import has_palette, palette
from dicomweb_core.rendering.pictures import Picture
from dicomweb_core.rendering.stored_values import cells_of, coding_of, is_padding, padding_of, stored_values
from dicomweb_core.rendering.windows import apply_window, file_window, range_window, spread_window
from dicomweb_core.values.attributes import Attributes, first_text
from dicomweb_core.values.limits import Limits
from dicomweb_core.values.pixels import NativeFrame
from dicomweb_core.values.renderings import Rendering, Window

_MAPPINGS: Final = "00409096"
_FIRSTS: Final = ("00409214", "00409216")
_LASTS: Final = ("00409213", "00409211")
_INTERCEPT: Final = "00409224"
_SLOPE: Final = "00409225"
_LUT_DATA: Final = "00409212"
_UNITS: Final = "004008EA"
_LABEL: Final = "00409210"
_CODE_VALUE: Final = "00080100"
_COLOR_RANGE: Final = "00281230"
_LEAST_STORED: Final = "00281231"
_MOST_STORED: Final = "00281232"
_LARGEST: Final = 1e30
_SAMPLED: Final = 1 << 20
_BAND: Final = 1 << 18
"""Pixels that are floating point numbers at the same time."""
_NOTHING: Final[Color] = (0, 0, 0)

_INK: Final[Color] = (235, 235, 235)


class RealWorldValues(NamedTuple):
    """What stored values mean: one item of Real World Value Mapping Sequence (PS3.3 C.7.6.16.2.11.1)."""

    first: float
    """Least stored value that has a meaning."""
    last: float
    slope: float
    intercept: float
    table: tuple[float, ...]
    """Real World Value LUT Data for the stored values from `first` on; empty: slope and intercept count."""
    unit: str
    """UCUM code, or empty."""
    label: str
    """LUT Label."""

    def of(self, stored: float) -> float:
        """The quantity."""
        if self.table:
            return self.table[min(max(round(stored - self.first), 0), len(self.table) - 1)]
        return stored * self.slope + self.intercept


class _Scale(NamedTuple):
    """From a stored value to a colour."""

    window: Window
    colors: ColorTable
    first: float
    """Stored values from here to `last` are shown."""
    last: float


def real_world_values(attributes: Attributes) -> RealWorldValues | None:
    """The first mapping of a frame (`frame_attributes`) that can be used, or None."""
    for item in sequence_items(attributes, _MAPPINGS):
        first, last = (
            next((found for tag in tags if (found := finite_number(item, tag)) is not None), None)
            for tags in (_FIRSTS, _LASTS)
        )
        slope, intercept = finite_number(item, _SLOPE), finite_number(item, _INTERCEPT)
        table = tuple(numbers(item, _LUT_DATA))
        if not all(map(math.isfinite, table)):
            table = ()
        if not table and (slope is None or not 1 / _LARGEST <= abs(slope) <= _LARGEST):
            continue
        ordered = first is not None and last is not None and first <= last
        units = sequence_items(item, _UNITS)
        return RealWorldValues(
            first if first is not None and ordered else -math.inf,
            last if last is not None and ordered else math.inf,
            slope or 1.0,
            intercept if intercept is not None and abs(intercept) <= _LARGEST else 0.0,
            table if first is not None and ordered else (),
            first_text(units[0], _CODE_VALUE).strip(" \0") if units else "",
            first_text(item, _LABEL).strip(" \0"),
        )
    return None


def render_parametric_map(
    frame: NativeFrame, attributes: Attributes, bulk: Bulk, rendering: Rendering, *, limits: Limits
) -> Picture:
    """The frame in colour, of the size it has: more is brighter; black where there is no value.

    `attributes` are those of the frame. The range is that of `rendering.window`, else Stored Value Color Range, else
    Window Center and Width, else what is there, all in stored values as the Modality LUT of a map is the identity.
    The colours are those of a Palette Color Lookup Table if the object has one, else `quantity_colors`. No value have
    NaN, padding and, if some are mapped, stored values that Real World Value Mapping does not map. Raises
    CannotRender.
    """
    check_size(frame.image.rows, frame.image.columns, limits)
    cells = cells_of(frame)
    scale = _scale(frame, attributes, bulk, rendering.window)
    coding = coding_of(frame.image, attributes, cells)
    padding = padding_of(coding, attributes)
    flat = cells.reshape(-1)
    samples = np.empty((flat.size, 3), np.uint8)
    for start in range(0, flat.size, _BAND):
        band = flat[start : start + _BAND]
        stored = stored_values(band, coding)
        values = stored.astype(np.float64)
        with np.errstate(all="ignore"):
            meant = np.isfinite(values)
            if padding is not None:
                meant &= ~is_padding(band, stored, coding, padding)
            meant &= (values >= scale.first) & (values <= scale.last)
            values[~meant] = scale.window.center
            apply_window(values, scale.window)
        indexes = np.rint(values * (len(scale.colors) - 1)).astype(np.intp)
        samples[start : start + _BAND] = np.where(meant[:, None], scale.colors[indexes], np.uint8(0))
    return Picture(samples.reshape(*cells.shape, 3), pixel_aspect=pixel_aspect(attributes))


def _scale(frame: NativeFrame, attributes: Attributes, bulk: Bulk, window: Window | None) -> _Scale:
    cells = cells_of(frame)
    coding = coding_of(frame.image, attributes, cells)
    flat = cells.reshape(-1)
    sampled = flat[:: max(1, flat.size // _SAMPLED)]
    stored = stored_values(sampled, coding)
    values = stored.astype(np.float64)
    meant = np.isfinite(values)
    padding = padding_of(coding, attributes)
    if padding is not None:
        meant &= ~is_padding(sampled, stored, coding, padding)
    values = values[meant]
    first, last = -math.inf, math.inf
    mapping = real_world_values(attributes)
    if mapping is not None:
        within = (values >= mapping.first) & (values <= mapping.last)
        if within.any():  # else it is not meant for these values
            first, last, values = mapping.first, mapping.last, values[within]
    found = window or _color_range(attributes) or file_window(attributes) or spread_window(values)
    if found is None:
        center = float(values[0]) if len(values) else 0.5
        found = range_window(center - 0.5, center + 0.5) or Window(0.5, 1.0)
    return _Scale(found, _colors(attributes, bulk, signed=coding.signed), first, last)


def _colors(attributes: Attributes, bulk: Bulk, *, signed: bool) -> ColorTable:
    if has_palette(attributes):
        try:
            return palette(attributes, bulk, signed=signed).colors
        except CannotRender:  # the object's own colours cannot be read: the values can still be seen
            pass
    return quantity_colors()


def _color_range(attributes: Attributes) -> Window | None:
    """Stored Value Color Range Sequence (PS3.3 C.7.6.23): what the ends of the palette stand for."""
    for item in sequence_items(attributes, _COLOR_RANGE):
        low, high = finite_number(item, _LEAST_STORED), finite_number(item, _MOST_STORED)
        if low is not None and high is not None and low < high:
            return range_window(low, high)
    return None
