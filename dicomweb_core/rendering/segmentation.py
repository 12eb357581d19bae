"""Segmentations in colour, over the image they were drawn on (PS3.3 A.51, C.8.20)."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from dicomweb_core.errors import CannotRender
from dicomweb_core.rendering.colormaps import Color, cielab_color, distinct_color
from dicomweb_core.rendering.frame_attributes import (
    finite_number,
    frame_attributes,
    numbers,
    pixel_aspect,
    sequence_items,
)
from dicomweb_core.rendering.layers import RGB, check_size, outline, rgb_of, tint, tint_by
from dicomweb_core.rendering.lookup_tables import Bulk
from dicomweb_core.rendering.palettes import has_palette, palette
from dicomweb_core.rendering.pictures import Picture
from dicomweb_core.rendering.planes import (
    Plane,
    SourceImage,
    derivation_source,
    parallel,
    plane_of,
    same_grid,
    source_image,
)
from dicomweb_core.rendering.stored_values import cells_of
from dicomweb_core.values.attributes import Attributes, first_text
from dicomweb_core.values.limits import Limits
from dicomweb_core.values.pixels import NativeFrame

_SEGMENTATION_TYPE: Final = "00620001"
_SEGMENTS: Final = "00620002"
_SEGMENT_NUMBER: Final = "00620004"
_REFERENCED_SEGMENT: Final = "0062000B"
_DISPLAY_CIELAB: Final = "0062000D"
_MAXIMUM_FRACTION: Final = "0062000E"
_PIXEL_PADDING: Final = "00280120"
_NUMBER_OF_FRAMES: Final = "00280008"
_REFERENCED_SERIES: Final = "00081115"
_REFERENCED_INSTANCES: Final = "0008114A"

_FILL: Final = 0.35
"""Of the colour over the image: its gray levels stay readable below."""
_FRACTION_FILL: Final = 0.6
"""The same where the fraction is 1."""
_EDGE: Final = 0.95
_BAND: Final = 1 << 19
"""Pixels whose places are computed at once."""

Values = NDArray[Any]
"""Of shape (rows, columns): what the frame has at each pixel."""


def segment_colors(attributes: Attributes) -> dict[int, Color]:
    """Segment Number -> colour of each segment: Recommended Display CIELab Value, else one that differs from others'.

    Segments without a number that can be meant are left out.
    """
    found: dict[int, Color] = {}
    for index, item in enumerate(sequence_items(attributes, _SEGMENTS)):
        number = finite_number(item, _SEGMENT_NUMBER)
        if number is not None and 0 <= number <= 0xFFFF:
            color = cielab_color(item.get(_DISPLAY_CIELAB, {}).get("Value"))
            found.setdefault(int(number), color or distinct_color(index))
    return found


def source_of(attributes: Attributes, index: int) -> SourceImage | None:
    """The image that frame `index` (0-based) was drawn on, or None: then `referenced_images` and
    `planes.frame_shows_plane` may find it."""
    return derivation_source(attributes, index)


def referenced_images(attributes: Attributes) -> tuple[SourceImage, ...]:
    """All instances of Referenced Series Sequence, in its order (PS3.3 C.12.4)."""
    items = [
        instance
        for series in sequence_items(attributes, _REFERENCED_SERIES)
        for instance in sequence_items(series, _REFERENCED_INSTANCES)
    ]
    return tuple(found for found in map(source_image, items) if found is not None)


def segment_of(attributes: Attributes, index: int) -> int | None:
    """The Segment Number that frame `index` (0-based) is about; None of a label map, which has all of them.

    TILED_FULL objects do not say: all tiles of a segment come before those of the next (PS3.3 C.7.6.17.3).
    """
    if _segmentation_type(attributes) == "LABELMAP":
        return None
    number = finite_number(frame_attributes(attributes, index), _REFERENCED_SEGMENT)
    if number is not None and 0 <= number <= 0xFFFF:
        return int(number)
    segments = list(segment_colors(attributes))
    frames = int(finite_number(attributes, _NUMBER_OF_FRAMES) or 1)
    if not segments or frames < len(segments):
        return segments[0] if segments else 1
    return segments[min(index * len(segments) // frames, len(segments) - 1)]


def frames_beside(attributes: Attributes, index: int) -> tuple[int, ...]:
    """Indexes (0-based) of all frames that lie where frame `index` lies, itself included: one for each segment there.

    Together they are the picture of that slice (`render_segments`).
    """
    place = _place(attributes, index)
    count = _group_count(attributes)
    if place is None:
        return (index,)
    return tuple(other for other in range(count) if other == index or _place(attributes, other) == place) or (index,)


def representative_frame(attributes: Attributes) -> int:
    """The index (0-based) of a frame that stands for the object: in the middle of the slices with most segments."""
    places: dict[tuple[float, ...], list[int]] = {}
    for index in range(_group_count(attributes)):
        place = _place(attributes, index)
        if place is not None:
            places.setdefault(place, []).append(index)
    if not places:
        count = int(finite_number(attributes, _NUMBER_OF_FRAMES) or 1)
        return max(count, 1) // 2
    most = max(map(len, places.values()))
    richest = sorted((place, frames) for place, frames in places.items() if len(frames) == most)
    if most == 1:
        # One segment a slice: of the segment with most slices, or a picture would show where two of them end.
        by_segment: dict[int | None, list[tuple[tuple[float, ...], list[int]]]] = {}
        for place, frames in richest:
            by_segment.setdefault(segment_of(attributes, frames[0]), []).append((place, frames))
        richest = max(by_segment.values(), key=len)
    return richest[len(richest) // 2][1][0]


def render_segments(
    frames: Mapping[int, NativeFrame],
    attributes: Attributes,
    source: Picture | None,
    source_attributes: Attributes | None = None,
    *,
    bulk: Bulk,
    limits: Limits,
) -> Picture:
    """Frames of one slice by index (0-based), in colour over `source`, of its size; without it over black.

    `source_attributes` are those of the source's frame (`frame_attributes`): pixels are put where they lie in the
    patient. Without them the frame is laid on the source as a whole, if they have the same proportions. A source that
    cannot be brought together with the frames is left out. Raises CannotRender.
    """
    if not frames:
        raise CannotRender("There is no frame to show.")
    first = next(iter(frames))
    size = (frames[first].image.rows, frames[first].image.columns)
    check_size(*size, limits)
    colors = segment_colors(attributes)
    canvas: RGB | None = None
    for index, frame in sorted(frames.items()):
        values = cells_of(frame)
        place = frame_attributes(attributes, index)
        if source is not None:
            onto = _onto(values, plane_of(place), source, plane_of(source_attributes or {}))
            if onto is None and canvas is None:
                source = None
            else:
                values = onto if onto is not None else np.zeros((source.rows, source.columns), values.dtype)
        if canvas is None:
            canvas = np.zeros((*size, 3), np.uint8) if source is None else rgb_of(source)
        if values.shape != canvas.shape[:2]:
            raise CannotRender("The frames of one slice differ in size.")
        _paint(canvas, values, place, attributes, index, colors, over=source is not None, bulk=bulk)
    assert canvas is not None
    aspect = source.pixel_aspect if source is not None else pixel_aspect(frame_attributes(attributes, first))
    return Picture(canvas, pixel_aspect=aspect)


def _paint(
    canvas: RGB,
    values: Values,
    place: Attributes,
    attributes: Attributes,
    index: int,
    colors: Mapping[int, Color],
    *,
    over: bool,
    bulk: Bulk,
) -> None:
    kind = _segmentation_type(attributes)
    if kind == "LABELMAP":
        _paint_labels(canvas, values, attributes, colors, over=over, bulk=bulk)
        return
    number = segment_of(attributes, index)
    color = colors.get(number if number is not None else 1) or distinct_color(max(number or 1, 1) - 1)
    if kind == "FRACTIONAL":
        highest = finite_number(place, _MAXIMUM_FRACTION)
        if highest is None or not 0 < highest <= 0xFFFF:
            highest = 255.0
        share = np.minimum(values.astype(np.float32) / np.float32(highest), np.float32(1))
        tint_by(canvas, share * np.float32(_FRACTION_FILL) if over else share, color)
    else:
        _paint_mask(canvas, values != 0, color, over=over)


def _paint_mask(canvas: RGB, mask: NDArray[np.bool_], color: Color, *, over: bool) -> None:
    tint(canvas, mask, color, _FILL if over else 0.8)
    tint(canvas, outline(mask), color, _EDGE if over else 1.0)


def _paint_labels(
    canvas: RGB, labels: Values, attributes: Attributes, colors: Mapping[int, Color], *, over: bool, bulk: Bulk
) -> None:
    """0 is no segment unless one is described; Pixel Padding Value never is (PS3.3 C.8.20.2.3)."""
    if labels.dtype.kind != "u" or labels.dtype.itemsize > 2:
        raise CannotRender("A label map must have 8 or 16 bits.")
    table = np.array([distinct_color(max(label, 1) - 1) for label in range(256)], np.uint8)
    table = np.resize(table, (0x10000, 3))
    for number, color in colors.items():
        table[number] = color
    if has_palette(attributes):
        found = palette(attributes, bulk, signed=False)
        end = min(found.first + len(found.colors), len(table))
        table[found.first : end] = found.colors[: end - found.first]
    shown = labels != 0 if 0 not in colors else np.ones(labels.shape, np.bool_)
    padding = finite_number(attributes, _PIXEL_PADDING)
    if padding is not None:
        shown &= labels != padding
    edge = np.zeros(labels.shape, np.bool_)
    edge[1:] |= labels[1:] != labels[:-1]
    edge[:, 1:] |= labels[:, 1:] != labels[:, :-1]
    edge[:-1] |= labels[1:] != labels[:-1]
    edge[:, :-1] |= labels[:, 1:] != labels[:, :-1]
    for mask, alpha in ((shown & ~edge, _FILL if over else 0.8), (shown & edge, _EDGE if over else 1.0)):
        under = canvas[mask].astype(np.float32)
        under += (table[labels[mask]] - under) * np.float32(alpha)
        canvas[mask] = np.rint(under).astype(np.uint8)


def _onto(values: Values, plane: Plane | None, source: Picture, source_plane: Plane | None) -> Values | None:
    """The values at the pixels of the source, 0 where the frame does not reach; None when nothing says where."""
    shape = (source.rows, source.columns)
    if plane is not None and source_plane is not None:
        if not parallel(plane, source_plane):
            return None
        if values.shape == shape and same_grid(plane, source_plane, shape):
            return values
        return _resampled(values, plane, shape, source_plane)
    if values.shape == shape:
        return values
    if values.shape[0] * shape[1] != values.shape[1] * shape[0]:
        return None
    rows = np.arange(shape[0]) * values.shape[0] // shape[0]
    columns = np.arange(shape[1]) * values.shape[1] // shape[1]
    return np.asarray(values[rows[:, None], columns])


def _resampled(values: Values, plane: Plane, shape: tuple[int, int], source: Plane) -> Values:
    """The nearest pixel's value for each pixel of the source."""
    found = np.zeros(shape, values.dtype)
    steps = np.stack([source.row * source.spacing[1], source.column * source.spacing[0]])
    origin = plane.pixels(source.position[None])[0]
    along = plane.pixels(plane.position + steps)
    columns = np.arange(shape[1])
    band = max(1, _BAND // shape[1])
    for top in range(0, shape[0], band):
        rows = np.arange(top, min(top + band, shape[0]))[:, None]
        x = np.rint(origin[0] + columns * along[0, 0] + rows * along[1, 0])
        y = np.rint(origin[1] + columns * along[0, 1] + rows * along[1, 1])
        inside = (x >= 0) & (x < values.shape[1]) & (y >= 0) & (y < values.shape[0])
        found[top : top + band][inside] = values[y[inside].astype(np.intp), x[inside].astype(np.intp)]
    return found


def _segmentation_type(attributes: Attributes) -> str:
    return first_text(attributes, _SEGMENTATION_TYPE).strip(" \0").upper()


def _group_count(attributes: Attributes) -> int:
    values = attributes.get("52009230", {}).get("Value")
    return len(values) if isinstance(values, list) else 0


def _place(attributes: Attributes, index: int) -> tuple[float, ...] | None:
    """z, y and x of the plane, in hundredths of a millimetre, or of the tile in the Total Pixel Matrix: frames of one
    place have equal ones. None when the frame does not say."""
    groups = attributes.get("52009230", {}).get("Value")
    item = groups[index] if isinstance(groups, list) and 0 <= index < len(groups) else None
    if not isinstance(item, dict):
        return None
    for sequence, tags in (("00209113", ("00200032",)), ("0048021A", ("0048021E", "0048021F", "0040074A"))):
        for position in sequence_items(item, sequence)[:1]:
            values = [number for tag in tags for number in numbers(position, tag)]
            if values and all(math.isfinite(number) and abs(number) < 1e12 for number in values):
                return tuple(round(number, 2) for number in reversed(values))
    return None
