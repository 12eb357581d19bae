"""Grayscale frames as a display shows them (PS3.4 N.2.1, PS3.3 C.11.1, C.11.2, C.11.4).

Stored value -> padding set aside -> Modality LUT -> VOI LUT -> Presentation LUT -> inversion. Up to 16 bits all that is
one table with an entry for every cell there can be, kept for the next frame; wider cells go through it band by band.
A step that is ill-formed in the object is left out, never an error: what is there is shown.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from dicomweb_core.errors import CannotRender
from dicomweb_core.rendering.frame_attributes import finite_number, numbers, pixel_aspect, sequence_items
from dicomweb_core.rendering.lookup_tables import Bulk, LookupTable, lookup_table
from dicomweb_core.rendering.pictures import Picture
from dicomweb_core.rendering.stored_values import (
    Cells,
    Coding,
    Padding,
    cells_of,
    coding_of,
    is_padding,
    padding_of,
    stored_values,
)
from dicomweb_core.rendering.windows import apply_window, file_window, range_window, spread_window
from dicomweb_core.values.attributes import Attributes, first_text
from dicomweb_core.values.pixels import NativeFrame
from dicomweb_core.values.renderings import Rendering, VOIFunction, Window

_MODALITY_LUT_SEQUENCE: Final = "00283000"
_VOI_LUT_SEQUENCE: Final = "00283010"
_PRESENTATION_LUT_SEQUENCE: Final = "20500010"
_PRESENTATION_LUT_SHAPE: Final = "20500020"
_RESCALE_INTERCEPT: Final = "00281052"
_RESCALE_SLOPE: Final = "00281053"
_REAL_WORLD_VALUE_MAPPING: Final = "00409096"
_REAL_WORLD_FIRST: Final = "00409214"
_REAL_WORLD_LAST: Final = "00409213"

_LARGEST: Final = 1e30
_DISPLAY_BITS: Final = 8
_TABLE_BITS: Final = 16
_TABLES: Final = 32
"""Kept: at most 128 KiB each, and the LUTs they were made from."""
_BAND: Final = 1 << 15
"""Pixels that are numbers of 64 bits, of which there are a few arrays, at the same time: 256 KiB."""
_COUNTED: Final = 1 << 20
"""Pixels counted at the same time."""
_SAMPLED: Final = 1 << 20
"""Pixels of wide cells that the default window looks at; up to twice as many where all of them are looked at."""


class Rescale(NamedTuple):
    """Rescale Slope (finite, not 0) and Rescale Intercept."""

    slope: float = 1.0
    intercept: float = 0.0


@dataclass(frozen=True, slots=True)
class Stages:
    """From cells to the display. Compares by content: frames with equal stages share a table."""

    coding: Coding
    padding: Padding | None
    modality: Rescale | LookupTable
    voi: Window | LookupTable
    presentation: LookupTable | None
    inverted: bool
    """MONOCHROME1, or Presentation LUT Shape INVERSE, which says the same of it again (PS3.3 C.8.11.3.1.2)."""


def render_grayscale(
    frame: NativeFrame,
    attributes: Attributes,
    bulk: Bulk,
    rendering: Rendering,
    *,
    bits: int = 8,
    otherwise: Callable[[], Window | None] | None = None,
) -> Picture:
    """The frame through all its stages, of the size it has; uint8, or uint16 with `bits` 16.

    `attributes` are those of the frame (`frame_attributes`). The window is that of `rendering`, else VOI LUT Sequence,
    else Window Center and Width, else what `otherwise` gives, else the default (see `default_window`). Padding and NaN
    are black whatever the stages are. Raises CannotRender when the frame is not one of grayscale, and what `bulk`
    raises.
    """
    if frame.image.photometric.upper() not in ("MONOCHROME1", "MONOCHROME2"):
        raise CannotRender("The Photometric Interpretation of the frame is not MONOCHROME1 or MONOCHROME2.")
    cells = cells_of(frame)
    stages = _stages(frame, cells, attributes, bulk, rendering.window, otherwise)
    peak = (1 << bits) - 1
    samples = np.empty(cells.shape, np.uint8 if peak <= 0xFF else np.uint16)
    table = _table(stages, peak) if _has_table(cells) else None
    flat, levels = cells.reshape(-1), samples.reshape(-1)
    for start in range(0, flat.size, _BAND):
        band = flat[start : start + _BAND]
        if table is None:
            levels[start : start + _BAND] = _levels(band, stages, peak)
        else:
            np.take(table, band, out=levels[start : start + _BAND], mode="wrap")
    return Picture(samples, pixel_aspect=pixel_aspect(attributes))


def default_window(frame: NativeFrame, attributes: Attributes, bulk: Bulk) -> Window | None:
    """The window that `render_grayscale` chooses for a frame whose object has no VOI LUT and no usable window; None
    for an object that has one.

    Of 8 bits or fewer (stored, or out of a Modality LUT): all there can be, since such pixels were made for a display.
    Of more: all there is (`spread_window`) but for padding. Given back as `otherwise` or `Rendering.window`, one
    frame's window serves all frames of a cine, which would flicker otherwise.
    """
    cells = cells_of(frame)
    coding = coding_of(frame.image, attributes, cells)
    modality = _modality(coding, attributes, bulk)
    if _object_voi(coding, modality, attributes, bulk) is not None:
        return None
    return _default(cells, coding, padding_of(coding, attributes), modality, attributes)


def identity_window(frame: NativeFrame, attributes: Attributes, bulk: Bulk) -> Window | None:
    """All that the Modality LUT can give: what a presentation state without VOI LUT means (PS3.4 N.2.1.3). None for
    floating point pixels."""
    cells = cells_of(frame)
    coding = coding_of(frame.image, attributes, cells)
    return _full_range(coding, _modality(coding, attributes, bulk))


def modality_values(frame: NativeFrame, attributes: Attributes, bulk: Bulk) -> NDArray[np.float64]:
    """What the Modality LUT or the rescale makes of the stored values, for example HU: a new array (rows, columns).

    Padding is as any other value. Raises CannotRender when the frame is not one of grayscale, and what `bulk` raises.
    """
    cells = cells_of(frame)
    coding = coding_of(frame.image, attributes, cells)
    return _modality_values(stored_values(cells, coding), _modality(coding, attributes, bulk))


def _stages(
    frame: NativeFrame,
    cells: Cells,
    attributes: Attributes,
    bulk: Bulk,
    window: Window | None,
    otherwise: Callable[[], Window | None] | None,
) -> Stages:
    coding = coding_of(frame.image, attributes, cells)
    padding = padding_of(coding, attributes)
    modality = _modality(coding, attributes, bulk)
    voi = window or _object_voi(coding, modality, attributes, bulk)
    if voi is None and otherwise is not None:
        voi = otherwise()
    if voi is None:
        voi = _default(cells, coding, padding, modality, attributes)
    presentation = lookup_table(attributes, _PRESENTATION_LUT_SEQUENCE, bulk, signed=False)
    inverse = presentation is None and first_text(attributes, _PRESENTATION_LUT_SHAPE).strip().upper() == "INVERSE"
    inverted = inverse or frame.image.photometric.upper() == "MONOCHROME1"
    return Stages(coding, padding, modality, voi, presentation, inverted)


def _modality(coding: Coding, attributes: Attributes, bulk: Bulk) -> Rescale | LookupTable:
    """Modality LUT Sequence, else the rescale; without either, or with one that cannot be meant, the identity."""
    if not coding.floating:
        table = lookup_table(attributes, _MODALITY_LUT_SEQUENCE, bulk, signed=coding.signed)
        if table is not None:
            return table
    slope, intercept = (numbers(attributes, tag) for tag in (_RESCALE_SLOPE, _RESCALE_INTERCEPT))
    found = Rescale(slope[0] if slope else 1.0, intercept[0] if intercept else 0.0)
    meant = 1 / _LARGEST <= abs(found.slope) <= _LARGEST and abs(found.intercept) <= _LARGEST
    return found if meant else Rescale()


def _object_voi(
    coding: Coding, modality: Rescale | LookupTable, attributes: Attributes, bulk: Bulk
) -> Window | LookupTable | None:
    if isinstance(modality, LookupTable) or coding.floating:
        signed = coding.floating
    else:
        signed = min(extreme * modality.slope for extreme in coding.extremes) + modality.intercept < 0
    return lookup_table(attributes, _VOI_LUT_SEQUENCE, bulk, signed=signed) or file_window(attributes)


def _default(
    cells: Cells, coding: Coding, padding: Padding | None, modality: Rescale | LookupTable, attributes: Attributes
) -> Window:
    """See `default_window`. A frame of one value is shown against all that there can be; the middle of it is gray."""
    full = _full_range(coding, modality)
    if full is not None and (modality.bits if isinstance(modality, LookupTable) else coding.stored) <= _DISPLAY_BITS:
        return full
    with np.errstate(all="ignore"):
        if _has_table(cells):
            found = _narrow_range(cells, coding, padding, modality)
        else:
            found = _wide_range(cells, coding, padding, modality, attributes)
    return found or full or Window(0.5, 1.0, VOIFunction.LINEAR_EXACT)


def _full_range(coding: Coding, modality: Rescale | LookupTable) -> Window | None:
    """All there can be of integers."""
    if isinstance(modality, LookupTable):
        return range_window(0.0, float(modality.highest))
    if coding.floating:
        return None
    return range_window(*sorted(extreme * modality.slope + modality.intercept for extreme in coding.extremes))


def _has_table(cells: Cells) -> bool:
    return cells.dtype.kind == "u" and cells.dtype.itemsize * 8 <= _TABLE_BITS


def _narrow_range(
    cells: Cells, coding: Coding, padding: Padding | None, modality: Rescale | LookupTable
) -> Window | None:
    """The window over cells of up to 16 bits."""
    histogram = np.zeros(1 << 8 * cells.dtype.itemsize, np.int64)
    flat = cells.reshape(-1)
    for start in range(0, flat.size, _COUNTED):
        histogram += np.bincount(flat[start : start + _COUNTED], minlength=histogram.size)
    present = np.flatnonzero(histogram).astype(cells.dtype)
    counts = histogram[present]
    stored = stored_values(present, coding)
    values = _modality_values(stored, modality)
    if padding is not None:
        meant = ~is_padding(present, stored, coding, padding)
        values, counts = values[meant], counts[meant]
    return spread_window(values, counts)


def _wide_range(
    cells: Cells, coding: Coding, padding: Padding | None, modality: Rescale | LookupTable, attributes: Attributes
) -> Window | None:
    """The window over cells of 32 or 64 bits: all of them, or one to two million that are evenly spread.

    Of floating point numbers only finite ones count, and only those that a Real World Value Mapping maps, if any.
    """
    flat = cells.reshape(-1)
    sampled = flat[:: max(1, flat.size // _SAMPLED)]
    stored = stored_values(sampled, coding)
    meant = np.isfinite(stored)
    if padding is not None:
        meant &= ~is_padding(sampled, stored, coding, padding)
    low, high = _mapped_range(attributes) if coding.floating else (-np.inf, np.inf)
    within = meant & (stored >= low) & (stored <= high)
    if within.any():
        meant = within
    return spread_window(_modality_values(stored[meant], modality))


def _mapped_range(attributes: Attributes) -> tuple[float, float]:
    for item in sequence_items(attributes, _REAL_WORLD_VALUE_MAPPING):
        first, last = finite_number(item, _REAL_WORLD_FIRST), finite_number(item, _REAL_WORLD_LAST)
        if first is not None and last is not None and first < last:
            return first, last
    return -np.inf, np.inf


def _modality_values(stored: NDArray[Any], modality: Rescale | LookupTable) -> NDArray[np.float64]:
    """A new array. NaN stays NaN."""
    values = stored.astype(np.float64)
    if isinstance(modality, LookupTable):
        return modality.outputs(values).astype(np.float64)
    if modality.slope != 1:
        values *= modality.slope
    if modality.intercept:
        values += modality.intercept
    return values


@lru_cache(maxsize=_TABLES)
def _table(stages: Stages, peak: int) -> NDArray[Any]:
    """What every cell there can be becomes. Read-only."""
    bits = max(8, stages.coding.allocated)
    table = _levels(np.arange(1 << bits, dtype=f"<u{bits // 8}"), stages, peak)
    table.flags.writeable = False
    return table


def _levels(cells: Cells, stages: Stages, peak: int) -> NDArray[Any]:
    """Gray levels 0 to `peak` of cells."""
    stored = stored_values(cells, stages.coding)
    black = None if stages.padding is None else is_padding(cells, stored, stages.coding, stages.padding)
    with np.errstate(all="ignore"):
        values = _modality_values(stored, stages.modality)
        if stages.coding.floating:
            unknown = np.isnan(values)
            values[unknown] = 0
            black = unknown if black is None else black | unknown
        if isinstance(stages.voi, LookupTable):
            values = stages.voi.outputs(values) / stages.voi.highest
        else:
            apply_window(values, stages.voi)
    if stages.presentation is not None:
        last = len(stages.presentation.entries) - 1
        values = stages.presentation.outputs(values * last + stages.presentation.first) / stages.presentation.highest
    if stages.inverted:
        np.subtract(1.0, values, out=values)
    values *= peak
    np.rint(values, out=values)
    levels = values.astype(np.uint8 if peak <= 0xFF else np.uint16)
    if black is not None:
        levels[black] = 0
    return levels
