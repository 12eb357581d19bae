"""Graphic and text objects of presentation states (PS3.3 C.10.5), drawn upon a picture."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from dicomweb_core.errors import CannotRender
from dicomweb_core.rendering import pillow
from dicomweb_core.rendering.displayed_area import Area, Placement, Points
from dicomweb_core.rendering.fonts import Script, line_height
from dicomweb_core.rendering.frame_attributes import finite_number, numbers, sequence_items
from dicomweb_core.rendering.inks import BLACK, Coverage, Ink, blend, contrast, ink_of
from dicomweb_core.rendering.pictures import Samples
from dicomweb_core.values.attributes import Attributes, first_text

_GRAPHIC_UNITS: Final = "00700005"
_BOX_UNITS: Final = "00700003"
_ANCHOR_UNITS: Final = "00700004"
_GRAPHIC_DATA: Final = "00700022"
_GRAPHIC_TYPE: Final = "00700023"
_GRAPHIC_FILLED: Final = "00700024"
_TEXT: Final = "00700006"
_BOX: Final = ("00700010", "00700011")
_JUSTIFICATION: Final = "00700012"
_ANCHOR: Final = "00700014"
_ANCHOR_VISIBILITY: Final = "00700015"
_TEXT_STYLE: Final = "00700231"
_LINE_STYLE: Final = "00700232"
_FILL_STYLE: Final = "00700233"
_TEXT_COLOR: Final = "00700241"
_HORIZONTAL: Final = "00700242"
_VERTICAL: Final = "00700243"
_PATTERN_ON_COLOR: Final = "00700251"
_PATTERN_ON_OPACITY: Final = "00700284"
_LINE_THICKNESS: Final = "00700253"
_NO_GRAY: Final = ""

MOST_OBJECTS: Final = 5_000
"""That are drawn upon one picture."""
_FURTHEST: Final = 1e6
"""Pixels. Further away nothing is meant to be."""
_SUPERSAMPLED: Final = 16 << 20
"""Cells of a coverage before it is made smaller."""
_ARC_STEPS: Final = 180
_CURVE_STEPS: Final = 12
_LINES: Final = 64
"""Of one text."""
_SMALLEST_TEXT: Final = 9
_LARGEST_TEXT: Final = 96

_Point = NDArray[np.float64]
"""x and y."""


class Stroke(NamedTuple):
    """A line through points of the picture, or the area that it encloses."""

    points: Points
    filled: bool
    width: float
    opacity: float = 1.0


@dataclass(slots=True)
class Canvas:
    """What is drawn upon, and what may still be: a hostile object costs no more than a rich one."""

    samples: Samples
    """Writable."""
    place: Placement
    script: Script
    tile: tuple[float, float] = (0.0, 0.0)
    """`tile_origin` of the frame: units MATRIX count from that of the matrix."""
    objects: int = MOST_OBJECTS
    points: int = 200_000
    """Also letters."""
    cells: int = 1 << 32
    """Pixels that drawn things extend over, together."""
    smoothed: int = 1 << 29
    """Cells that are drawn larger and then made smaller; behind them edges are rough."""

    def spend(self, *, objects: int = 0, points: int = 0, cells: int = 0) -> None:
        """Raises CannotRender when nothing is left."""
        self.objects -= objects
        self.points -= points
        self.cells -= cells
        if min(self.objects, self.points, self.cells) < 0:
            raise CannotRender("The presentation state has more graphics than are drawn here.")

    @property
    def thickness(self) -> float:
        """Of a line that says nothing of it: can be seen on small and large pictures."""
        return max(1.0, self.side / 400)

    @property
    def side(self) -> int:
        """The shorter one, in pixels."""
        return int(min(self.samples.shape[:2]))


def draw_graphic(canvas: Canvas, item: Attributes, ink: Ink) -> None:
    """Draw an item of Graphic Object Sequence.

    What is ill-formed, not finite, or far beyond any image is left out. `ink` is that of its layer; a style of the
    object itself comes first.
    """
    canvas.spend(objects=1)
    points = _points(canvas, item, _GRAPHIC_DATA, _GRAPHIC_UNITS)
    kind = first_text(item, _GRAPHIC_TYPE).strip().upper()
    if points is None or kind not in _OUTLINES:
        return
    width = _line_width(item, canvas)
    outline = _OUTLINES[kind](points, width)
    if outline is None:
        return
    canvas.spend(points=len(outline))
    line = _styled(item, _LINE_STYLE, _PATTERN_ON_COLOR, ink)
    closed = len(outline) > 3 and bool(np.allclose(outline[0], outline[-1], atol=1e-3))
    filled = first_text(item, _GRAPHIC_FILLED).strip().upper() == "Y" and closed
    if kind == "POINT" or filled:
        style = _LINE_STYLE if kind == "POINT" else _FILL_STYLE
        fill = _styled(item, style, _PATTERN_ON_COLOR, line)
        draw_stroke(canvas, Stroke(outline, True, width, _opacity(item, style)), fill)
    if kind != "POINT":
        draw_stroke(canvas, Stroke(outline, False, width, _opacity(item, _LINE_STYLE)), line)


def inks_of(item: Attributes) -> list[Ink]:
    """Those that styles of a graphic or text object ask for."""
    styles = ((_LINE_STYLE, _PATTERN_ON_COLOR), (_FILL_STYLE, _PATTERN_ON_COLOR), (_TEXT_STYLE, _TEXT_COLOR))
    return [_styled(item, style, tag, BLACK) for style, tag in styles]


def draw_text(canvas: Canvas, item: Attributes, ink: Ink) -> None:
    """Draw an item of Text Object Sequence.

    In its bounding box, as large as fits (within what can be read and what is not too loud); beyond it where it must.
    Without box beside its anchor point; to a visible one goes a line. Always upright, with an outline.
    """
    text = first_text(item, _TEXT)
    canvas.spend(objects=1, points=len(text))
    lines = _lines(text)
    box, anchor = _box(canvas, item), _points(canvas, item, _ANCHOR, _ANCHOR_UNITS)
    if not lines or (box is None and anchor is None):
        return
    ink = _styled(item, _TEXT_STYLE, _TEXT_COLOR, ink)
    size = _text_size(canvas, lines, box)
    width = max(canvas.script.width(line, size) for line in lines)
    height = line_height(size) * len(lines)
    if box is None and anchor is not None:
        box = _beside(anchor[0], width, height, canvas)
    assert box is not None
    if anchor is not None and first_text(item, _ANCHOR_VISIBILITY).strip().upper() == "Y":
        _draw_leader(canvas, anchor[0], box, _line_width(item, canvas), ink)
    style = next(iter(sequence_items(item, _TEXT_STYLE)), {})
    words = first_text(style, _HORIZONTAL) or first_text(item, _JUSTIFICATION)
    across = _ALIGNED.get(words.strip().upper(), 0.0)
    down = _ALIGNED.get(first_text(style, _VERTICAL).strip().upper(), 0.0)
    top = box.top + max(0.0, box.bottom - box.top - height) * down
    for number, line in enumerate(lines):
        left = box.left + (box.right - box.left - canvas.script.width(line, size)) * across
        _draw_line(canvas, line, size, (left, top + number * line_height(size)), ink)


def draw_stroke(canvas: Canvas, stroke: Stroke, ink: Ink) -> None:
    """Anti-aliased by drawing it larger."""
    margin = stroke.width + 1
    rows, columns = canvas.samples.shape[:2]
    low, high = stroke.points.min(axis=0) - margin, stroke.points.max(axis=0) + margin
    left, top = (int(max(0, math.floor(edge))) for edge in low)
    right, bottom = (int(min(side, math.ceil(edge))) for side, edge in zip((columns, rows), high, strict=True))
    if left >= right or top >= bottom:
        return
    width, height = right - left, bottom - top
    canvas.spend(cells=width * height)
    fine = min(_SUPERSAMPLED, canvas.smoothed)
    factor = next((n for n in (4, 2) if width * height * n * n <= fine), 1)
    canvas.smoothed -= width * height * factor * factor if factor > 1 else 0
    image = pillow.Image.new("L", (width * factor, height * factor), 0)
    points = (stroke.points - np.array([left, top])) * factor
    if stroke.filled:
        pillow.ImageDraw.Draw(image).polygon([(float(x), float(y)) for x, y in points - 0.5], fill=255)
    else:
        _draw_line_through(image, points, stroke.width * factor)
    coverage: Coverage = np.asarray(image if factor == 1 else image.reduce(factor))
    if stroke.opacity < 1:
        coverage = np.rint(coverage * stroke.opacity).astype(np.uint8)
    blend(canvas.samples, coverage, left, top, ink)


def _draw_line_through(image: pillow.Image.Image, points: Points, width: float) -> None:
    """Segments are polygons of exactly this width; ends and joints are round."""
    draw = pillow.ImageDraw.Draw(image)
    reach = 2 * width
    # Pillow draws the cells on the edges too.
    half = max(width - 1, 0.0) / 2
    for begin, end in _within(points, (-reach, -reach, image.width + reach, image.height + reach)):
        along = end - begin
        length = math.hypot(*along)
        if length > 0:
            aside = np.array([-along[1], along[0]]) * (half / length)
            corners = np.stack([begin + aside, end + aside, end - aside, begin - aside]) - 0.5
            draw.polygon([(float(x), float(y)) for x, y in corners], fill=255)
        if width > 2:
            for x, y in (begin - 0.5, end - 0.5) if length else (begin - 0.5,):
                draw.ellipse([x - half, y - half, x + half, y + half], fill=255)


def _draw_leader(canvas: Canvas, anchor: NDArray[np.float64], box: Area, width: float, ink: Ink) -> None:
    nearest = np.clip(anchor, np.array([box.left, box.top]), np.array([box.right, box.bottom]))
    draw_stroke(canvas, Stroke(np.stack([anchor, nearest]), False, width), ink)
    draw_stroke(canvas, Stroke(_disc(anchor, 2 * width), True, width), ink)


def _draw_line(canvas: Canvas, line: str, size: int, at: tuple[float, float], ink: Ink) -> None:
    """`at` is the upper left corner, without the outline."""
    left, top = at
    if not line.strip() or not -2 * size <= top <= canvas.samples.shape[0] or left > canvas.samples.shape[1]:
        return
    outline = max(1, size // 12)
    found = canvas.script.line(line, size, outline)
    canvas.spend(cells=found.letters.size)
    corner = (math.floor(left) - outline - 1, math.floor(top) - outline)
    blend(canvas.samples, found.outlined, *corner, contrast(ink))
    blend(canvas.samples, found.letters, *corner, ink)


def _within(points: Points, box: tuple[float, float, float, float]) -> Iterator[tuple[_Point, _Point]]:
    """The parts of the segments that lie in the box: a line to far away costs no more than a short one."""
    begins, steps = points[:-1], np.diff(points, axis=0)
    enter, leave = np.zeros(len(begins)), np.ones(len(begins))
    for axis, (low, high) in enumerate([(box[0], box[2]), (box[1], box[3])]):
        start, step = begins[:, axis], steps[:, axis]
        flat = step == 0
        safe = np.where(flat, 1.0, step)
        at_low, at_high = (low - start) / safe, (high - start) / safe
        outside = flat & ((start < low) | (start > high))
        enter = np.maximum(enter, np.where(flat, 0.0, np.minimum(at_low, at_high)))
        leave = np.minimum(leave, np.where(flat, np.where(outside, -1.0, 1.0), np.maximum(at_low, at_high)))
    for n in np.flatnonzero(enter <= leave):
        yield begins[n] + steps[n] * enter[n], begins[n] + steps[n] * leave[n]


def _points(canvas: Canvas, item: Attributes, tag: str, units: str) -> Points | None:
    """The points in the picture; None when ill-formed."""
    values = item.get(tag, {}).get("Value")
    if not isinstance(values, list) or len(values) < 2 or len(values) % 2:
        return None
    canvas.spend(points=len(values) // 2)
    given = np.array(numbers(item, tag), np.float64).reshape(-1, 2)
    unit = first_text(item, units).strip().upper()
    if unit == "MATRIX":
        given = np.stack([given[:, 0] - canvas.tile[0], given[:, 1] - canvas.tile[1]], axis=1)
    if not (np.abs(given) <= _FURTHEST).all():
        return None
    placed = canvas.place.from_display(given) if unit == "DISPLAY" else canvas.place.from_pixels(given)
    return placed if (np.abs(placed) <= _FURTHEST).all() else None


def _box(canvas: Canvas, item: Attributes) -> Area | None:
    corners = [_points(canvas, item, tag, _BOX_UNITS) for tag in _BOX]
    first, second = (None if corner is None else corner[0] for corner in corners)
    if first is None or second is None:
        return None
    return Area(*(float(edge) for edge in (*np.minimum(first, second), *np.maximum(first, second))))


def _beside(anchor: _Point, width: float, height: float, canvas: Canvas) -> Area:
    """To the right of the point and above it; elsewhere where the picture ends."""
    rows, columns = canvas.samples.shape[:2]
    gap = 4 * canvas.thickness
    left, top = float(anchor[0]) + gap, float(anchor[1]) - gap - height
    if left + width > columns:
        left = float(anchor[0]) - gap - width
    if top < 0:
        top = float(anchor[1]) + gap
    left, top = max(0.0, min(left, columns - width)), max(0.0, min(top, rows - height))
    return Area(left, top, left + width, top + height)


def _lines(text: str) -> list[str]:
    for end in ("\r\n", "\r", "\f"):
        text = text.replace(end, "\n")
    return [line.rstrip() for line in text.strip().split("\n")[:_LINES]] if text.strip() else []


def _text_size(canvas: Canvas, lines: list[str], box: Area | None) -> int:
    """The largest that fits into the box; at least what can be read, at most a tenth of the picture."""
    smallest = max(_SMALLEST_TEXT, canvas.side // 40)
    if box is None:
        return min(smallest + canvas.side // 100, _LARGEST_TEXT)
    largest = max(smallest, min(canvas.side // 10, _LARGEST_TEXT))
    widest = max(canvas.script.width(line, largest) for line in lines)
    by_width = largest * (box.right - box.left) / max(widest, 1)
    by_height = largest * (box.bottom - box.top) / (line_height(largest) * len(lines))
    return max(smallest, min(largest, int(by_width), int(by_height)))


def _line_width(item: Attributes, canvas: Canvas) -> float:
    style = next(iter(sequence_items(item, _LINE_STYLE)), {})
    times = finite_number(style, _LINE_THICKNESS)
    return canvas.thickness * (1.0 if times is None else min(max(times, 0.25), 32.0))


def _opacity(item: Attributes, style: str) -> float:
    """Pattern On Opacity: 0.0 is not to be seen."""
    found = finite_number(next(iter(sequence_items(item, style)), {}), _PATTERN_ON_OPACITY)
    return 1.0 if found is None else min(max(found, 0.0), 1.0)


def _styled(item: Attributes, style: str, tag: str, ink: Ink) -> Ink:
    found = next(iter(sequence_items(item, style)), {})
    return ink_of(found, _NO_GRAY, tag, None) or ink


def _disc(center: _Point, radius: float) -> Points:
    return _ellipse(np.stack([center, center + np.array([radius, 0.0]), center + np.array([0.0, radius])]))


def _ellipse(points: Points) -> Points:
    """Center, and the ends of two half axes."""
    angles = np.linspace(0.0, 2 * math.pi, _ARC_STEPS + 1)[:, np.newaxis]
    center, first, second = points
    found: Points = center + np.cos(angles) * (first - center) + np.sin(angles) * (second - center)
    return found


def _outline_of_point(points: Points, width: float) -> Points | None:
    return _disc(points[0], 2 * width)


def _outline_of_polyline(points: Points, _width: float) -> Points | None:
    return points if len(points) > 1 else None


def _outline_of_curve(points: Points, _width: float) -> Points | None:
    """A smooth curve through all points (Catmull-Rom); closed where the last is the first."""
    if len(points) < 3:
        return points if len(points) == 2 else None
    closed = np.allclose(points[0], points[-1], atol=1e-3)
    before, after = (points[-2], points[1]) if closed else (points[0], points[-1])
    p = np.concatenate([before[np.newaxis], points, after[np.newaxis]])
    t = np.linspace(0.0, 1.0, _CURVE_STEPS, endpoint=False)[np.newaxis, :, np.newaxis]
    p0, p1, p2, p3 = (p[n : len(p) - 3 + n, np.newaxis, :] for n in range(4))
    curve = p1 + 0.5 * t * (p2 - p0 + t * (2 * p0 - 5 * p1 + 4 * p2 - p3 + t * (3 * (p1 - p2) + p3 - p0)))
    return np.concatenate([curve.reshape(-1, 2), points[-1:]])


def _outline_of_circle(points: Points, _width: float) -> Points | None:
    """Center, and a point on the circle: it is one on the display, whatever the shape of the pixels."""
    if len(points) != 2:
        return None
    return _disc(points[0], math.hypot(*(points[1] - points[0])))


def _outline_of_ellipse(points: Points, _width: float) -> Points | None:
    """The ends of the major axis, then of the minor axis."""
    if len(points) != 4:
        return None
    return _ellipse(
        np.stack([points[:2].mean(axis=0), points[1], points[:2].mean(axis=0) + (points[3] - points[2]) / 2])
    )


_OUTLINES: Final[dict[str, Callable[[Points, float], Points | None]]] = {
    "POINT": _outline_of_point,
    "POLYLINE": _outline_of_polyline,
    "INTERPOLATED": _outline_of_curve,
    "CIRCLE": _outline_of_circle,
    "ELLIPSE": _outline_of_ellipse,
}
_ALIGNED: Final = {"LEFT": 0.0, "CENTER": 0.5, "RIGHT": 1.0, "TOP": 0.0, "BOTTOM": 1.0}
