"""Colour laid over a picture."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from dicomweb_core.errors import CannotRender
from dicomweb_core.rendering import pillow
from dicomweb_core.rendering.colormaps import Color
from dicomweb_core.rendering.pictures import Picture
from dicomweb_core.values.limits import Limits

RGB = NDArray[np.uint8]
"""Of shape (rows, columns, 3)."""

Points = NDArray[np.float64]
"""Of shape (points, 2): column and row, 0.0 is the centre of the first pixel."""

_FINEST: Final = 4
"""Parts of a pixel, each way, that a line covers or not."""
_STRAIGHT: Final = 0.9
"""Cosine of a turn that needs no joint."""
_LONGEST: Final = 3e7
"""Pixels of the canvas along all lines of a picture: they would cover it many times."""
_CANVAS: Final = 64 << 20
"""Such parts of a picture at most; of a larger one the parts are larger."""


def check_size(rows: int, columns: int, limits: Limits) -> None:
    """Raises CannotRender before a picture of that size is made."""
    if rows * columns > limits.rendered_pixels:
        raise CannotRender(f"The picture would have more than {limits.rendered_pixels} pixels (limit rendered_pixels).")


def rgb_of(picture: Picture) -> RGB:
    """A new array to draw on. Of 16 bits the upper half is kept."""
    samples: NDArray[Any] = picture.samples
    if samples.dtype.itemsize == 2:
        samples = (samples >> 8).astype(np.uint8)
    if samples.ndim == 2:
        return np.repeat(samples[:, :, None], 3, axis=2)
    return samples.copy()


def tint(rgb: RGB, mask: NDArray[np.bool_], color: Color, alpha: float) -> None:
    """Pixels of `mask` become that much of the colour, in place."""
    under = rgb[mask].astype(np.float32)
    under *= 1 - alpha
    under += np.array(color, np.float32) * np.float32(alpha)
    rgb[mask] = np.rint(under).astype(np.uint8)


def tint_by(rgb: RGB, alphas: NDArray[np.float32], color: Color) -> None:
    """Each pixel becomes as much of the colour as `alphas` (0.0 to 1.0) has for it, in place."""
    mask = alphas > 0
    share = alphas[mask][:, None]
    under = rgb[mask].astype(np.float32)
    under += (np.array(color, np.float32) - under) * share
    rgb[mask] = np.rint(under).astype(np.uint8)


def outline(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Pixels of the mask with a neighbour (left, right, above, below) outside of it, but inside the picture."""
    inner = mask.copy()
    inner[1:] &= mask[:-1]
    inner[:-1] &= mask[1:]
    inner[:, 1:] &= mask[:, :-1]
    inner[:, :-1] &= mask[:, 1:]
    edge: NDArray[np.bool_] = mask & ~inner
    return edge


def line_coverage(shape: tuple[int, int], lines: Sequence[Points], width: float) -> NDArray[np.float32]:
    """How much of each pixel lines of that width (in pixels) cover, 0.0 to 1.0. What lies outside is cut off.

    A line of one point is a dot. Raises MissingCodec.
    """
    pillow.require_pillow()
    covered = np.zeros(shape, np.float32)
    box = _box(lines, width, shape)
    if box is None:
        return covered
    top, left, bottom, right = box
    rows, columns = bottom - top, right - left
    fine = next(parts for parts in (_FINEST, 2, 1) if rows * columns * parts * parts <= _CANVAS or parts == 1)
    canvas = pillow.Image.new("L", (columns * fine, rows * fine))
    pen = pillow.ImageDraw.Draw(canvas)
    thick = max(1, round(width * fine))
    radius = (thick - 1) / 2
    drawn = 0.0
    for points in lines:
        moved = thinned((points - (left, top) + 0.5) * fine - 0.5)
        drawn = stroke(pen, moved, canvas.size, thick, 255, drawn=drawn)
        for x, y in _corners(moved, canvas.size, thick):
            pen.ellipse((x - radius, y - radius, x + radius, y + radius), fill=255)
    blocks = np.asarray(canvas).reshape(rows, fine, columns, fine)
    covered[top:bottom, left:right] = blocks.mean(axis=(1, 3), dtype=np.float32) / np.float32(255)
    return covered


def _box(lines: Sequence[Points], width: float, shape: tuple[int, int]) -> tuple[int, int, int, int] | None:
    """Top, left, bottom, right of the pixels that the lines may touch."""
    if not lines:
        return None
    reach = width / 2 + 1
    size = np.array([shape[1], shape[0]])
    low = np.min([points.min(axis=0) for points in lines], axis=0) - reach
    high = np.max([points.max(axis=0) for points in lines], axis=0) + reach
    left, top = (int(bound) for bound in np.clip(np.floor(low), 0, size))
    right, bottom = (int(bound) for bound in np.clip(np.ceil(high) + 1, 0, size))
    return (top, left, bottom, right) if top < bottom and left < right else None


def thinned(points: Points) -> Points:
    """Without points in the pixel of the one before, but for the last."""
    if len(points) < 3:
        return points
    pixels = np.rint(points)
    kept = np.any(pixels[1:] != pixels[:-1], axis=1)
    return np.asarray(points[np.concatenate([[True], kept[:-1], [True]])])


def stroke(
    pen: pillow.ImageDraw.ImageDraw,
    points: Points,
    size: tuple[int, int],
    thick: int,
    color: Color | int,
    *,
    drawn: float,
) -> float:
    """Draw from point to point what lies within the canvas; coordinates may be of any size.

    Gives back `drawn` and the length of the line. Raises CannotRender when that is more than all lines of a picture
    that can be understood.
    """
    begin, end = _within(points, size, thick)
    drawn += float(np.sqrt(((end - begin) ** 2).sum(axis=1) + 1).sum())
    if drawn > _LONGEST:
        raise CannotRender("The lines of the picture are too many and too long to be drawn.")
    if len(begin) == len(points) - 1 and np.array_equal(begin[1:], end[:-1]):
        pen.line(np.concatenate([begin[:1], end]).reshape(-1).tolist(), fill=color, width=thick)
    else:
        for piece in np.concatenate([begin, end], axis=1).tolist():
            pen.line(piece, fill=color, width=thick)
    return drawn


def _corners(points: Points, size: tuple[int, int], thick: int) -> list[list[float]]:
    """Points where the line turns sharply, and its ends: there it needs round joints. Those outside are left out."""
    step = np.diff(points, axis=0)
    step /= np.maximum(np.hypot(step[:, 0], step[:, 1]), 1e-12)[:, None]
    sharp = np.ones(len(points), np.bool_)
    sharp[1:-1] = (step[1:] * step[:-1]).sum(axis=1) < _STRAIGHT
    inside = np.all((points >= -thick) & (points <= np.array(size) + thick), axis=1)
    found: list[list[float]] = points[sharp & inside].tolist()
    return found


def _within(points: Points, size: tuple[int, int], margin: float) -> tuple[Points, Points]:
    """Begin and end of each piece of a line from point to point that lies in (-margin, size + margin)."""
    start, step = points[:-1], np.diff(points, axis=0)
    first, last = np.zeros(len(start)), np.ones(len(start))
    with np.errstate(all="ignore"):
        for axis in (0, 1):
            for bound, side in ((-margin, 1.0), (size[axis] + margin, -1.0)):
                gap, slope = side * (start[:, axis] - bound), side * step[:, axis]
                crossing = -gap / slope
                first = np.where(slope > 0, np.maximum(first, crossing), first)
                last = np.where(slope < 0, np.minimum(last, crossing), last)
                last = np.where((slope == 0) & (gap < 0), -1.0, last)
    kept = first <= last
    begin, end = (start[kept] + share[kept, None] * step[kept] for share in (first, last))
    whole = last[kept] == 1.0
    end[whole] = points[1:][kept][whole]
    return begin, end
