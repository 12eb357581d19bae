"""An RT Structure Set whose images are not here: its regions by themselves, seen from the feet."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from dicomweb_core.errors import CannotRender
from dicomweb_core.rendering.colormaps import Color
from dicomweb_core.rendering.contours import Contour, Region, contour_lines, contours_of, counted, regions_of
from dicomweb_core.rendering.fonts import script
from dicomweb_core.rendering.lookup_tables import Bulk
from dicomweb_core.rendering.pictures import Picture
from dicomweb_core.rendering.sheets import Area, Line, Mark, Sheet, Text, draw, plain
from dicomweb_core.values.attributes import Attributes
from dicomweb_core.values.limits import Limits

_VIEW: Final = 200.0
"""Width and height of the view on the sheet."""
_MARGIN: Final = 12.0
_LEGEND: Final = 90.0
_ROW: Final = 6.0
_LETTERS: Final = 4.2
_GROUND: Final[Color] = (16, 18, 24)
_INK: Final[Color] = (205, 208, 214)
_FAINT: Final[Color] = (130, 134, 142)
_SMALLEST: Final = 10.0
"""Millimetres of the patient that fill the view at least: of points alone."""
_MOST_NAMES: Final = int((_VIEW - 2 * _MARGIN) / _ROW)


def render_structure_set(
    attributes: Attributes,
    *,
    bulk: Bulk,
    width: int,
    limits: Limits,
    font_paths: tuple[str, ...] = (),
    texts: bool = True,
) -> Picture:
    """All contours of all regions, projected along the patient's axis on a plain ground, with a legend of ROI names.

    Seen as axial images are: the patient's right is at the left, the front above. `width` is that of the picture in
    pixels; it is two thirds as high. Without `texts` there is no legend and no letter, and it is square.
    `font_paths`: see `fonts.script`. Raises CannotRender when there is no contour, or are too many, and MissingCodec.
    """
    spent = [0]
    found: list[tuple[Region, list[Contour]]] = []
    for region in counted(regions_of(attributes), limits):
        contours = list(contours_of(region, bulk, limits, spent))
        if contours:
            found.append((region, contours))
    if not found:
        raise CannotRender("The structure set has no contours.")
    sheet = _sheet(found)
    if not texts:
        sheet = replace(sheet, width=_VIEW)
    return draw(sheet, width, limits, script(font_paths), texts=texts)


def _sheet(found: list[tuple[Region, list[Contour]]]) -> Sheet:
    points = np.concatenate([contour.points for _, contours in found for contour in contours])[:, :2]
    low, high = points.min(axis=0), points.max(axis=0)
    scale = (_VIEW - 2 * _MARGIN) / max(float((high - low).max()), _SMALLEST)
    shift = _VIEW / 2 - (low + high) / 2 * scale
    marks: list[Mark] = []
    for region, contours in found:
        for contour in contours:
            places: NDArray[np.float64] = contour.points[:, :2] * scale + shift
            marks += [Line(line, region.color, 0.35) for line in contour_lines(contour, places, 3.0)]
    middle = _VIEW / 2
    for x, y, letter in (
        (_MARGIN / 2, middle, "R"),
        (_VIEW - _MARGIN / 2, middle, "L"),
        (middle, _MARGIN * 0.6, "A"),
        (middle, _VIEW - _MARGIN * 0.3, "P"),
    ):
        marks.append(Text(x, y, letter, _LETTERS * 1.3, _FAINT, "middle"))
    marks += _scale_bar(scale)
    marks += _legend(found)
    names = ", ".join(region.name for region, _ in found[:_MOST_NAMES])
    return Sheet(_VIEW + _LEGEND, _VIEW, marks, "RT Structure Set", f"Contours of {names}.", _GROUND)


def _scale_bar(scale: float) -> list[Mark]:
    length = next(length for length in (1000, 500, 200, 100, 50, 20, 10, 5, 2, 1) if length * scale <= _VIEW / 3)
    x, y = _MARGIN, _VIEW - _MARGIN / 2
    bar = np.array([[x, y - 1.5], [x, y], [x + length * scale, y], [x + length * scale, y - 1.5]])
    shown = f"{length // 10} cm" if length >= 10 else f"{length} mm"
    return [Line(bar, _INK, 0.4), Text(x + 1.5, y - 1.5, shown, _LETTERS, _INK)]


def _legend(found: list[tuple[Region, list[Contour]]]) -> list[Mark]:
    marks: list[Mark] = []
    y = _MARGIN
    for place, (region, contours) in enumerate(found):
        if place == _MOST_NAMES - 1 and len(found) > _MOST_NAMES:
            marks.append(Text(_VIEW, y + _LETTERS * 0.8, f"and {len(found) - place} more", _LETTERS, _FAINT))
            break
        name = plain(region.name)
        marks.append(Area(_VIEW, y, _LETTERS, _LETTERS, region.color))
        marks.append(Text(_VIEW + 7, y + _LETTERS * 0.8, name if len(name) <= 32 else name[:31] + "…", _LETTERS, _INK))
        marks.append(Text(_VIEW + _LEGEND - 4, y + _LETTERS * 0.8, str(len(contours)), _LETTERS, _FAINT, "end"))
        y += _ROW
    return marks
