"""Display shutters in presentation states (PS3.3 C.7.6.11, C.7.6.15)."""

from __future__ import annotations

import base64
import math
from typing import Any

import numpy as np
import pytest

from dicomweb_core.rendering.shutters import shutter
from tests.rendering.gray_frames import made_attributes, no_bulk
from tests.rendering.made_states import levels, state_attributes

OPEN = 77
COVERED = 200
IMAGE = np.full((5, 6), OPEN, np.uint8)


def _seen(**values: Any) -> list[str]:
    """The image: '.' where it is covered."""
    found = levels(IMAGE, state_attributes(ShutterPresentationValue=COVERED * 257, **values))
    return ["".join({OPEN: "o", COVERED: "."}[level] for level in row) for row in found]


RECTANGLE: dict[str, Any] = {
    "ShutterLeftVerticalEdge": 2,
    "ShutterRightVerticalEdge": 4,
    "ShutterUpperHorizontalEdge": 3,
    "ShutterLowerHorizontalEdge": 4,
}
CIRCLE: dict[str, Any] = {"CenterOfCircularShutter": [3, 3], "RadiusOfCircularShutter": 2}
POLYGON: dict[str, Any] = {"VerticesOfThePolygonalShutter": [1, 1, 1, 5, 5, 1]}
SEEN_RECTANGLE = ["......", "......", ".ooo..", ".ooo..", "......"]
SEEN_CIRCLE = ["..o...", ".ooo..", "ooooo.", ".ooo..", "..o..."]
SEEN_POLYGON = ["ooooo.", "oooo..", "ooo...", "oo....", "o....."]


@pytest.mark.parametrize(
    ("shape", "values", "seen"),
    [
        ("RECTANGULAR", RECTANGLE, SEEN_RECTANGLE),
        ("CIRCULAR", CIRCLE, SEEN_CIRCLE),
        ("POLYGONAL", POLYGON, SEEN_POLYGON),
    ],
)
def test_each_shape(shape: str, values: dict[str, Any], seen: list[str]) -> None:
    assert _seen(ShutterShape=shape, **values) == seen


def test_of_several_shapes_the_least_of_the_image_remains() -> None:
    expected = [
        "".join("o" if set(cells) == {"o"} else "." for cells in zip(*rows, strict=True))
        for rows in zip(SEEN_RECTANGLE, SEEN_CIRCLE, SEEN_POLYGON, strict=True)
    ]
    values = RECTANGLE | CIRCLE | POLYGON
    assert _seen(ShutterShape=["RECTANGULAR", "CIRCULAR", "POLYGONAL"], **values) == expected


def test_bitmap_covers_where_it_is_1() -> None:
    attributes = state_attributes(
        ShutterShape="BITMAP", ShutterOverlayGroup=0x6004, ShutterPresentationValue=COVERED * 257, x60041001="L"
    )
    mask = np.zeros((5, 6), np.uint8)
    mask[1, 2] = mask[4, 5] = 1
    attributes["60040010"] = {"vr": "US", "Value": [5]}
    attributes["60040011"] = {"vr": "US", "Value": [6]}
    packed = np.packbits(mask.reshape(-1), bitorder="little").tobytes()
    attributes["60043000"] = {"vr": "OW", "InlineBinary": base64.b64encode(packed).decode()}
    assert (np.array(levels(IMAGE, attributes)) == np.where(mask == 1, COVERED, OPEN)).all()


def test_a_circle_is_one_on_the_display() -> None:
    attributes = made_attributes(ShutterShape="CIRCULAR", CenterOfCircularShutter=[51, 51], RadiusOfCircularShutter=40)
    covered = shutter(attributes, no_bulk, 101, 101, aspect=2.0)
    assert covered is not None
    rows, columns = np.nonzero(~covered)
    assert (np.ptp(columns), np.ptp(rows)) == (80, 40)


def test_it_turns_with_the_image() -> None:
    turned = _seen(ShutterShape="RECTANGULAR", ImageRotation=180, **RECTANGLE)
    assert turned == [row[::-1] for row in SEEN_RECTANGLE[::-1]]


@pytest.mark.parametrize(
    ("shape", "tag", "value"),
    [
        ("RECTANGULAR", "00181602", [9]),
        ("RECTANGULAR", "00181604", []),
        ("RECTANGULAR", "00181608", ["x"]),
        ("CIRCULAR", "00181612", [-1]),
        ("CIRCULAR", "00181610", [1e308, 1]),
        ("CIRCULAR", "00181610", [math.nan, 1]),
        ("POLYGONAL", "00181620", [1, 1, 2]),
        ("POLYGONAL", "00181620", [1, 1, 2, 2, 1e300, 3]),
        ("POLYGONAL", "00181620", [1, 2] * 20_000),
        ("BITMAP", "00181623", [0x6000]),
        ("BITMAP", "00181623", [-4]),
        ("TRIANGULAR", "00181602", [1]),
        (7, "00181602", [1]),
    ],
)
def test_ill_formed_shapes_cover_nothing_A26(shape: Any, tag: str, value: list[Any]) -> None:
    attributes = made_attributes(**RECTANGLE, **CIRCLE, **POLYGON)
    attributes["00181600"] = {"vr": "CS", "Value": [shape]}
    attributes[tag] = {"vr": "IS", "Value": value}
    assert shutter(attributes, no_bulk, 5, 6, 1.0) is None
