"""Display shutters: what of an image is covered (PS3.3 C.7.6.11, C.7.6.15)."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from dicomweb_core.rendering import pillow
from dicomweb_core.rendering.frame_attributes import finite_number, numbers
from dicomweb_core.rendering.inks import BLACK, Ink, ink_of
from dicomweb_core.rendering.lookup_tables import Bulk
from dicomweb_core.rendering.overlays import GROUPS, overlay
from dicomweb_core.values.attributes import Attributes

SHAPE: Final = "00181600"
_EDGES: Final = ("00181602", "00181604", "00181606", "00181608")
"""Left, right, upper, lower."""
_MOST_VERTICES: Final = 10_000
_FURTHEST: Final = 1e6


def shutter(attributes: Attributes, bulk: Bulk, rows: int, columns: int, aspect: float) -> NDArray[np.bool_] | None:
    """Which pixels of an image are covered, (rows, columns), or None when there is no usable shutter.

    Of several shapes the least of the image remains. Edges, vertices and points on the circle belong to what is seen;
    rows and columns are 1-based. `aspect` is the height of a pixel over its width: a circle is one on the display.
    """
    shapes = attributes.get(SHAPE, {}).get("Value")
    found = []
    for shape in shapes if isinstance(shapes, list) else []:
        make = _SHAPES.get(shape.strip().upper()) if isinstance(shape, str) else None
        if make is not None:
            found.append(make(attributes, rows, columns, aspect))
        elif shape == "BITMAP":
            found.append(_bitmap(attributes, bulk, rows, columns))
    covered = None
    for mask in found:
        if mask is not None:
            covered = mask if covered is None else covered | mask
    return covered


def shutter_ink(attributes: Attributes) -> Ink:
    """What covered pixels are shown as; black when the object does not say."""
    return ink_of(attributes, "00181622", "00181624", None) or BLACK


def _rectangle(attributes: Attributes, rows: int, columns: int, _aspect: float) -> NDArray[np.bool_] | None:
    left, right, upper, lower = (finite_number(attributes, tag) for tag in _EDGES)
    if left is None or right is None or upper is None or lower is None or left > right or upper > lower:
        return None
    covered = np.ones((rows, columns), np.bool_)
    covered[_inside(upper, lower, rows), _inside(left, right, columns)] = False
    return covered


def _inside(first: float, last: float, size: int) -> slice:
    return slice(int(min(max(first - 1, 0), size)), int(min(max(last, 0), size)))


def _circle(attributes: Attributes, rows: int, columns: int, aspect: float) -> NDArray[np.bool_] | None:
    center, radius = numbers(attributes, "00181610"), finite_number(attributes, "00181612")
    if len(center) != 2 or not all(abs(part) <= _FURTHEST for part in center) or radius is None or radius < 0:
        return None
    down = (np.arange(1, rows + 1) - center[0]) * aspect
    across = np.arange(1, columns + 1) - center[1]
    covered: NDArray[np.bool_] = down[:, np.newaxis] ** 2 + across**2 > min(radius, 4 * _FURTHEST) ** 2
    return covered


def _polygon(attributes: Attributes, rows: int, columns: int, _aspect: float) -> NDArray[np.bool_] | None:
    places = numbers(attributes, "00181620")
    if not 6 <= len(places) <= 2 * _MOST_VERTICES or len(places) % 2 or not all(abs(n) <= _FURTHEST for n in places):
        return None
    image = pillow.Image.new("L", (columns, rows), 255)
    corners = [(column - 1, row - 1) for row, column in zip(places[::2], places[1::2], strict=True)]
    pillow.ImageDraw.Draw(image).polygon(corners, fill=0, outline=0)
    covered: NDArray[np.bool_] = np.asarray(image) != 0
    return covered


def _bitmap(attributes: Attributes, bulk: Bulk, rows: int, columns: int) -> NDArray[np.bool_] | None:
    group = finite_number(attributes, "00181623")
    plane = overlay(attributes, int(group), bulk, None) if group in GROUPS else None
    return None if plane is None else plane.over(rows, columns)


_SHAPES: Final[dict[str, Any]] = {"RECTANGULAR": _rectangle, "CIRCULAR": _circle, "POLYGONAL": _polygon}
