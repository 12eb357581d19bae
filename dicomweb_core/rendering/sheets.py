"""A sheet of paper with lines, areas and texts in millimetres: written as SVG, or drawn as a picture."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple
from xml.sax.saxutils import escape

import numpy as np
from numpy.typing import NDArray

from dicomweb_core.rendering import pillow
from dicomweb_core.rendering.colormaps import Color
from dicomweb_core.rendering.fonts import Script, script
from dicomweb_core.rendering.layers import check_size, stroke, thinned
from dicomweb_core.rendering.pictures import Picture
from dicomweb_core.values.limits import Limits

Points = NDArray[np.float64]
"""Of shape (points, 2): right and down from the upper left corner of the sheet, in millimetres."""

_FINE: Final = 2
"""Parts of a pixel, each way, that are drawn and then averaged."""
_LEAST_TEXT: Final = 5.0
"""Pixels: smaller texts cannot be read and are left out."""
_LEAST_GAP: Final = 3.0
"""Pixels between the lines of a grid; a closer grid is only a darker ground and is left out."""
_BASELINE: Final = 0.95
"""Of the size: where `Script.line` puts it below the upper edge."""
_LONGEST_TEXT: Final = 120
_UNSAFE: Final = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff\u202a-\u202e\u2066-\u2069]")
"""Not allowed in XML, or turning the direction of what follows."""


class Line(NamedTuple):
    """From point to point."""

    points: Points
    color: Color
    width: float


class Grid(NamedTuple):
    """Lines across and down an area, from its upper left corner on, both edges included."""

    left: float
    top: float
    width: float
    height: float
    step: float
    color: Color
    line: float


class Area(NamedTuple):
    """A filled rectangle."""

    left: float
    top: float
    width: float
    height: float
    color: Color


class Text(NamedTuple):
    """One line of text; `y` is its baseline, `size` the height of the font."""

    x: float
    y: float
    text: str
    size: float
    color: Color
    anchor: str = "start"
    """`start`, `middle` or `end`: what of the text is at `x`."""


Mark = Line | Grid | Area | Text


@dataclass(frozen=True, slots=True)
class Sheet:
    """Marks in the order in which they are drawn. Sizes are millimetres."""

    width: float
    height: float
    marks: Sequence[Mark]
    title: str
    description: str
    background: Color = (255, 255, 255)


def plain(text: str) -> str:
    """Without control characters, not longer than anyone reads in a picture."""
    text = " ".join(_UNSAFE.sub(" ", text).split())
    return text if len(text) <= _LONGEST_TEXT else text[: _LONGEST_TEXT - 1] + "…"


def svg(sheet: Sheet) -> bytes:
    """An SVG document (UTF-8) of the size of the sheet, without scripts, styles, links and anything from outside.

    It is named and described for those who do not see it.
    """
    width, height = _mm(sheet.width), _mm(sheet.height)
    head = (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        f'<svg xmlns="http://www.w3.org/2000/svg" version="1.1" width="{width}mm" height="{height}mm" '
        f'viewBox="0 0 {width} {height}" role="img">\n'
        f"<title>{escape(plain(sheet.title))}</title>\n<desc>{escape(_UNSAFE.sub(' ', sheet.description))}</desc>\n"
        f'<rect width="{width}" height="{height}" fill="{_hex(sheet.background)}"/>\n'
    )
    marks = "".join(_svg_mark(mark) for mark in sheet.marks)
    return f"{head}{marks}</svg>\n".encode()


def draw(sheet: Sheet, width: int, limits: Limits, fonts: Script | None = None, *, texts: bool = True) -> Picture:
    """The sheet as RGB, that many pixels wide. Raises MissingCodec, and CannotRender when it would be too large.

    What would be too small to see, texts and fine grids, is left out, and so are all texts without `texts`; lines are
    never thinner than a pixel.
    """
    pillow.require_pillow()
    height = max(1, round(sheet.height * width / sheet.width))
    check_size(height * _FINE, width * _FINE, limits)
    canvas = pillow.Image.new("RGB", (width * _FINE, height * _FINE), sheet.background)
    pen = pillow.ImageDraw.Draw(canvas)
    scale = width * _FINE / sheet.width
    fonts = fonts or script()
    drawn = 0.0
    for mark in sheet.marks:
        match mark:
            case Area():
                right, bottom = mark.left + mark.width, mark.top + mark.height
                pen.rectangle([edge * scale for edge in (mark.left, mark.top, right, bottom)], fill=mark.color)
            case Grid():
                if mark.step * scale >= _LEAST_GAP * _FINE:
                    thick = max(round(mark.line * scale), 1)
                    for line in _grid_lines(mark):
                        drawn = stroke(pen, line * scale, canvas.size, thick, mark.color, drawn=drawn)
            case Line():
                thick = max(round(mark.width * scale), _FINE)
                drawn = stroke(pen, thinned(mark.points * scale), canvas.size, thick, mark.color, drawn=drawn)
            case Text() if texts:
                _draw_text(canvas, mark, scale, fonts)
    return Picture(np.asarray(canvas.reduce(_FINE)))


def _draw_text(canvas: pillow.Image.Image, mark: Text, scale: float, fonts: Script) -> None:
    if mark.size * scale < _LEAST_TEXT * _FINE:
        return
    size = round(mark.size * scale)
    letters = fonts.line(plain(mark.text), size).letters
    width = letters.shape[1]
    left = mark.x * scale - {"start": 0.0, "middle": width / 2, "end": width}[mark.anchor]
    place = (round(left), round(mark.y * scale) - math.ceil(size * _BASELINE))
    canvas.paste(mark.color, place, pillow.Image.fromarray(letters))


def _svg_mark(mark: Mark) -> str:
    match mark:
        case Area(left, top, width, height, color):
            return (
                f'<rect x="{_mm(left)}" y="{_mm(top)}" width="{_mm(width)}" height="{_mm(height)}" '
                f'fill="{_hex(color)}"/>\n'
            )
        case Grid():
            path = "".join(f"M{_mm(a[0])} {_mm(a[1])}L{_mm(b[0])} {_mm(b[1])}" for a, b in _grid_lines(mark))
            return f'<path d="{path}" fill="none" stroke="{_hex(mark.color)}" stroke-width="{_mm(mark.line)}"/>\n'
        case Line(points, color, width):
            path = " ".join(f"{_mm(x)},{_mm(y)}" for x, y in points.tolist())
            return (
                f'<polyline points="{path}" fill="none" stroke="{_hex(color)}" stroke-width="{_mm(width)}" '
                'stroke-linejoin="round"/>\n'
            )
        case Text(x, y, text, size, color, anchor):
            return (
                f'<text x="{_mm(x)}" y="{_mm(y)}" font-family="sans-serif" font-size="{_mm(size)}" '
                f'fill="{_hex(color)}" text-anchor="{anchor}">{escape(plain(text))}</text>\n'
            )


def _grid_lines(grid: Grid) -> list[Points]:
    right, bottom = grid.left + grid.width, grid.top + grid.height
    across = np.arange(0, grid.height + grid.step / 2, grid.step) + grid.top
    down = np.arange(0, grid.width + grid.step / 2, grid.step) + grid.left
    lines = [np.array([[grid.left, y], [right, y]]) for y in across]
    return lines + [np.array([[x, grid.top], [x, bottom]]) for x in down]


def _mm(number: float) -> str:
    """Hundredths of a millimetre, as short as it can be."""
    return f"{number:.2f}".rstrip("0").rstrip(".")


def _hex(color: Color) -> str:
    return f"#{color[0]:02x}{color[1]:02x}{color[2]:02x}"
