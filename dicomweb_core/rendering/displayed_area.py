"""Displayed area and spatial transformation: from pixels of an image to those of the display (PS3.3 C.10.4, C.10.6)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from dicomweb_core.errors import CannotRender
from dicomweb_core.rendering.frame_attributes import finite_number, numbers
from dicomweb_core.rendering.geometry import Box, scaled
from dicomweb_core.rendering.pictures import Samples
from dicomweb_core.values.attributes import Attributes, first_text
from dicomweb_core.values.renderings import Viewport

Points = NDArray[np.float64]
"""(number, 2): x and y."""

_TOP_LEFT: Final = "00700052"
_BOTTOM_RIGHT: Final = "00700053"
_SIZE_MODE: Final = "00700100"
_SPACING: Final = "00700101"
_ASPECT_RATIO: Final = "00700102"
_MAGNIFICATION: Final = "00700103"
_ROTATION: Final = "00700042"
_FLIP: Final = "00700041"

_ORIGIN_INTERPRETATION: Final = "00480301"
_TOTAL_COLUMNS: Final = "00480006"
_TOTAL_ROWS: Final = "00480007"
_TILE: Final = ("0048021E", "0048021F")
"""Column and row of the first pixel of a tile, from 1."""

_FURTHEST: Final = 1e7
_MOST_MATRIX: Final = 1 << 32
_MOST_ASPECT: Final = 100.0
_MOST_MAGNIFICATION: Final = 1e4


class Area(NamedTuple):
    """In pixels of the image; its first pixel lies from 0.0 to 1.0. May reach beyond the image."""

    left: float
    top: float
    right: float
    bottom: float


@dataclass(frozen=True, slots=True)
class DisplayedArea:
    """What of an image is shown, and how large."""

    area: Area
    aspect: float = 1.0
    """Height of a pixel over its width."""
    magnification: float | None = None
    """Of MAGNIFY; None: SCALE TO FIT or TRUE SIZE, which are the same where the display is not known."""


class SpatialTransformation(NamedTuple):
    """Clockwise by so many quarters, then mirrored left to right."""

    quarters: int = 0
    flipped: bool = False


@dataclass(frozen=True, slots=True)
class Placement:
    """Where pixels of the image come to lie in a picture of `columns` x `rows`."""

    columns: int
    rows: int
    matrix: tuple[float, float, float, float, float, float]
    """x' = a x + b y + c, y' = d x + e y + f."""
    spatial: SpatialTransformation
    whole: Area
    """The whole displayed area in pixels of the picture: units DISPLAY count from 0.0 to 1.0 in it."""

    def from_pixels(self, points: Points) -> Points:
        """Points of the image, of which 0.0\\0.0 is the corner of its first pixel, in the picture."""
        a, b, c, d, e, f = self.matrix
        x, y = points[:, 0], points[:, 1]
        return np.stack([a * x + b * y + c, d * x + e * y + f], axis=1)

    def from_display(self, points: Points) -> Points:
        """Fractions of the displayed area in the picture."""
        left, top, right, bottom = self.whole
        x, y = points[:, 0], points[:, 1]
        return np.stack([x * (right - left) + left, y * (bottom - top) + top], axis=1)

    def to_pixels(self, points: Points) -> Points:
        """Points of the picture in the image."""
        a, b, c, d, e, f = self.matrix
        x, y = points[:, 0] - c, points[:, 1] - f
        area = a * e - b * d
        return np.stack([(e * x - b * y) / area, (a * y - d * x) / area], axis=1)


def tile_origin(attributes: Attributes, number: int, rows: int, columns: int) -> tuple[float, float]:
    """Column and row, from 0, that frame `number` (1-based) begins at in the total pixel matrix (PS3.3 C.8.12.4): as
    its functional groups say, else by its number (TILED_FULL). 0.0, 0.0 of images that are no tiles."""
    column, row = (finite_number(attributes, tag) for tag in _TILE)
    if column is not None and row is not None:
        return column - 1, row - 1
    total, height = finite_number(attributes, _TOTAL_COLUMNS), finite_number(attributes, _TOTAL_ROWS)
    if total is None or height is None or not (0 < total <= _MOST_MATRIX and 0 < height <= _MOST_MATRIX):
        return 0.0, 0.0
    across, down = math.ceil(total / columns), math.ceil(height / rows)
    index = (number - 1) % (across * down)
    return float(index % across * columns), float(index // across * rows)


def displayed_area(
    item: Attributes, rows: int, columns: int, aspect: float, tile: tuple[float, float] = (0.0, 0.0)
) -> DisplayedArea:
    """From an item of Displayed Area Selection Sequence, which may be empty: the whole image, then.

    The corners are those *after* rotation and flip, given in columns and rows of the image before: either may be the
    smaller one. `aspect` is that of the image's pixels, for objects that say nothing of it; `tile` is the
    `tile_origin` of the frame, for corners given in the total pixel matrix (Pixel Origin Interpretation VOLUME).
    """
    corners = [numbers(item, tag) for tag in (_TOP_LEFT, _BOTTOM_RIGHT)]
    area = Area(0.0, 0.0, float(columns), float(rows))
    if all(len(corner) == 2 and all(abs(place) <= _FURTHEST for place in corner) for corner in corners):
        (x1, y1), (x2, y2) = corners
        x, y = tile if first_text(item, _ORIGIN_INTERPRETATION).strip().upper() == "VOLUME" else (0.0, 0.0)
        area = Area(min(x1, x2) - 1 - x, min(y1, y2) - 1 - y, max(x1, x2) - x, max(y1, y2) - y)
    mode = first_text(item, _SIZE_MODE).strip().upper()
    magnification = finite_number(item, _MAGNIFICATION) if mode == "MAGNIFY" else None
    if magnification is not None and not 1 / _MOST_MAGNIFICATION <= magnification <= _MOST_MAGNIFICATION:
        magnification = None
    return DisplayedArea(area, _aspect(item, aspect), magnification)


def spatial_transformation(attributes: Attributes) -> SpatialTransformation:
    """Of a presentation state; angles that are no quarters are as if absent."""
    angle = finite_number(attributes, _ROTATION) or 0.0
    quarters = int(angle // 90) % 4 if abs(angle) <= _FURTHEST and angle % 90 == 0 else 0
    return SpatialTransformation(quarters, first_text(attributes, _FLIP).strip().upper() == "Y")


def placement(
    shown: DisplayedArea, spatial: SpatialTransformation, viewport: Viewport | None, most_pixels: int
) -> Placement:
    """Without viewport a pixel of the image has the size of one of the picture (pixels that are not square are
    stretched), or is magnified. With one the displayed area is scaled until it touches two edges; magnified, its middle
    is cut out. Raises CannotRender when the picture has more than `most_pixels`.
    """
    area = shown.area
    width, height = area.right - area.left, area.bottom - area.top
    across, down = max(1.0, 1 / shown.aspect), max(1.0, shown.aspect)
    turned = spatial.quarters % 2 == 1
    full = (height * down, width * across) if turned else (width * across, height * down)
    factor = shown.magnification or 1.0
    if viewport is not None and shown.magnification is None:
        factor = min(viewport.width / full[0], viewport.height / full[1])
    whole = [max(1, math.floor(side * factor + 0.5)) for side in full]
    seen = list(whole)
    if viewport is not None:
        seen = [min(side, limit) for side, limit in zip(whole, (viewport.width, viewport.height), strict=True)]
    if seen[0] * seen[1] > most_pixels:
        raise CannotRender("The displayed area is larger than pictures are made here; a viewport makes it smaller.")
    cut = [(side - limit) // 2 for side, limit in zip(whole, seen, strict=True)]
    sx, sy = (whole[1] / width, whole[0] / height) if turned else (whole[0] / width, whole[1] / height)
    rows = _turned(sx, sy, area, whole, spatial)
    (a, b, c), (d, e, f) = rows
    outer = Area(-cut[0], -cut[1], whole[0] - cut[0], whole[1] - cut[1])
    return Placement(seen[0], seen[1], (a, b, c - cut[0], d, e, f - cut[1]), spatial, outer)


def place_samples(samples: Samples, place: Placement) -> Samples:
    """The samples of an image as `place` says: new and writable. What is outside of the image is black."""
    corners = place.to_pixels(np.array([[0.0, 0.0], [place.columns, place.rows]]))
    (left, top), (right, bottom) = corners.min(axis=0), corners.max(axis=0)
    turned = place.spatial.quarters % 2 == 1
    columns, rows = (place.rows, place.columns) if turned else (place.columns, place.rows)
    canvas: Samples = np.zeros((rows, columns, *samples.shape[2:]), samples.dtype)
    x = _overlap(float(left), float(right), samples.shape[1], columns)
    y = _overlap(float(top), float(bottom), samples.shape[0], rows)
    if x is not None and y is not None:
        box = Box(x.first, y.first, x.last, y.last)
        canvas[y.begin : y.end, x.begin : x.end] = scaled(samples, box, x.end - x.begin, y.end - y.begin)
    turned_canvas: Any = np.rot90(canvas, -place.spatial.quarters)
    return np.ascontiguousarray(turned_canvas[:, ::-1] if place.spatial.flipped else turned_canvas)


class _Overlap(NamedTuple):
    """Along one axis: where the image lies in the canvas, whole pixels, and which part of it that is."""

    begin: int
    end: int
    first: float
    last: float


def _overlap(start: float, stop: float, size: int, canvas: int) -> _Overlap | None:
    start, stop = (round(edge, 6) for edge in (start, stop))
    scale = canvas / (stop - start)
    begin = math.floor((max(start, 0.0) - start) * scale + 0.5)
    end = math.floor((min(stop, size) - start) * scale + 0.5)
    if begin >= end:
        return None
    first, last = (min(max(round(start + edge / scale, 6), 0.0), float(size)) for edge in (begin, end))
    return _Overlap(begin, end, first, last) if first < last else None


def _turned(
    sx: float, sy: float, area: Area, whole: list[int], spatial: SpatialTransformation
) -> tuple[tuple[float, float, float], tuple[float, float, float]]:
    """The matrix of scaling, rotation and flip. `whole` is the size after all of it."""
    x = (sx, 0.0, -area.left * sx)
    y = (0.0, sy, -area.top * sy)
    width, height = (whole[1], whole[0]) if spatial.quarters % 2 else whole
    for _ in range(spatial.quarters):
        x, y = (-y[0], -y[1], height - y[2]), x
        width, height = height, width
    if spatial.flipped:
        x = (-x[0], -x[1], width - x[2])
    return x, y


def _aspect(item: Attributes, default: float) -> float:
    for tag in (_SPACING, _ASPECT_RATIO):
        found = numbers(item, tag)
        if len(found) == 2 and all(0 < part <= _FURTHEST for part in found):
            ratio = found[0] / found[1]
            if 1 / _MOST_ASPECT <= ratio <= _MOST_ASPECT:
                return ratio
    return default
