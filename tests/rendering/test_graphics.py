"""Graphic and text objects, drawn upon blank images (PS3.3 C.10.5)."""

from __future__ import annotations

import math
import time
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dicomweb_core.errors import CannotRender
from dicomweb_core.values.attributes import Attributes
from tests.rendering.gray_frames import made_attributes
from tests.rendering.made_states import area, drawn, graphic, item, shown
from tests.rendering.made_states import state_attributes as state

BLANK = np.zeros((100, 100), np.uint8)


def drawing(*objects: Any, blank: Any = BLANK, size: tuple[int, int] | None = None, **values: Any) -> Any:
    """Gray levels of the objects upon a blank image."""
    return shown(blank, state(GraphicAnnotationSequence=drawn(*objects), **values), size=size).samples


def bounds(samples: Any) -> tuple[int, int, int, int]:
    """Columns and rows of what is drawn: left, top, right, bottom, inclusive."""
    rows, columns = np.nonzero(samples)
    return int(columns.min()), int(rows.min()), int(columns.max()), int(rows.max())


# -- graphics --


def test_a_polyline_lies_on_the_pixels_between_its_points() -> None:
    found = drawing(graphic("POLYLINE", [10.5, 20.5, 30.5, 20.5, 30.5, 40.5]))
    assert (found[20, 11:30] == 255).all()
    assert (found[21:40, 30] == 255).all()
    assert bounds(found) == (10, 20, 30, 40)
    assert found[22:, :30].max() == 0


def test_edges_are_smooth() -> None:
    found = drawing(graphic("POLYLINE", [10, 10, 90, 50]))
    assert len(np.unique(found)) > 5


def test_pixel_units_count_from_the_corner_of_the_first_pixel() -> None:
    found = drawing(graphic("POLYLINE", [10, 20, 30, 20, 30, 40, 10, 40, 10, 20], filled="Y"))
    assert (found[21:39, 11:29] == 255).all()
    assert bounds(found) == (9, 19, 30, 40), "half of the line lies outside"


def test_display_units_are_fractions_of_the_displayed_area() -> None:
    shape = graphic("POLYLINE", [0.5, 0.5, 1, 0.5, 1, 1, 0.5, 1, 0.5, 0.5], "DISPLAY", "Y")
    assert bounds(drawing(shape)) == (49, 49, 99, 99)
    selection = area(1, 1, 20, 40)
    found = drawing(shape, DisplayedAreaSelectionSequence=selection, ImageRotation=90)
    assert found.shape == (20, 40)
    assert bounds(found) == (19, 9, 39, 19)


@pytest.mark.parametrize(
    ("attributes", "number", "origin"),
    [
        ({}, 1, (0, 0)),
        ({"ColumnPositionInTotalImagePixelMatrix": 301, "RowPositionInTotalImagePixelMatrix": 101}, 1, (300, 100)),
        ({"TotalPixelMatrixColumns": 250, "TotalPixelMatrixRows": 150}, 1, (0, 0)),
        ({"TotalPixelMatrixColumns": 250, "TotalPixelMatrixRows": 150}, 5, (100, 100)),
        ({"TotalPixelMatrixColumns": 250, "TotalPixelMatrixRows": 150}, 9, (200, 0)),
    ],
)
def test_matrix_units_count_in_the_matrix_of_all_tiles(attributes: Any, number: int, origin: tuple[int, int]) -> None:
    x, y = origin
    image = made_attributes(**attributes)
    found = [
        shown(BLANK, state(GraphicAnnotationSequence=drawn(shape)), image=image, number=number).samples
        for shape in (graphic("POINT", [x + 50.5, y + 30.5], "MATRIX"), graphic("POINT", [50.5, 30.5]))
    ]
    assert found[0].max() == 255
    assert (found[0] == found[1]).all()
    selection = area(x + 11, y + 21, x + 60, y + 40, PixelOriginInterpretation="VOLUME")
    attributes = state(DisplayedAreaSelectionSequence=selection)
    ramp = np.arange(10_000, dtype=np.uint16).reshape(100, 100)
    cut = shown(ramp, attributes, image=image, number=number, bits=16).samples
    assert (cut == ramp[20:40, 10:60]).all()


@pytest.mark.parametrize(
    ("angle", "flip", "corner"),
    [
        (0, "N", (10, 20)),
        (90, "N", (79, 10)),
        (180, "N", (89, 79)),
        (270, "N", (20, 89)),
        (0, "Y", (89, 20)),
        (90, "Y", (20, 10)),
    ],
)
def test_graphics_turn_with_the_image(angle: int, flip: str, corner: tuple[int, int]) -> None:
    found = drawing(graphic("POINT", [10.5, 20.5]), ImageRotation=angle, ImageHorizontalFlip=flip)
    column, row = corner
    assert bounds(found) == (column - 2, row - 2, column + 2, row + 2)


def test_graphics_are_drawn_in_the_size_of_the_picture() -> None:
    found = drawing(graphic("POLYLINE", [25, 25, 75, 25]), size=(400, 400))
    assert found.shape == (400, 400)
    assert bounds(found)[::2] == (99, 300)
    assert (found[:, 200] > 0).sum() <= 2, "the line does not become thicker"


def test_circle_is_given_by_center_and_a_point_on_it() -> None:
    found = drawing(graphic("CIRCLE", [50, 50, 50, 70]))
    rows, columns = np.nonzero(found > 127)
    distances = np.hypot(columns + 0.5 - 50, rows + 0.5 - 50)
    assert distances.min() > 19
    assert distances.max() < 21
    assert len(rows) > 100


def test_ellipse_is_given_by_the_ends_of_its_axes() -> None:
    found = drawing(graphic("ELLIPSE", [20, 50, 80, 50, 50, 40, 50, 60], filled="Y"))
    assert bounds(found) == (19, 39, 80, 60)
    expected = math.pi * 30 * 10
    assert expected * 0.97 < (found > 127).sum() < expected * 1.08


def test_interpolated_goes_through_all_points_and_bends_between() -> None:
    points = [20.5, 50.5, 50.5, 20.5, 80.5, 50.5]
    curve, line = drawing(graphic("INTERPOLATED", points)), drawing(graphic("POLYLINE", points))
    for x, y in ((20, 50), (50, 20), (80, 50)):
        assert curve[y, x] > 60
    assert ((curve > 127) != (line > 127)).sum() > 20


def test_a_point_can_be_seen() -> None:
    found = drawing(graphic("POINT", [50.5, 30.5]))
    assert found[30, 50] == 255
    assert bounds(found) == (48, 28, 52, 32)


def test_what_is_not_closed_is_not_filled() -> None:
    found = drawing(graphic("POLYLINE", [10, 10, 90, 10, 90, 90], filled="Y"))
    assert found[30, 60] == 0


def test_styles_of_an_object_come_before_its_layer() -> None:
    red = {"PatternOnColorCIELabValue": [35579, 53662, 50858]}
    shape = graphic("POLYLINE", [10, 10, 90, 10, 90, 90, 10, 90, 10, 10], filled="Y")
    shape.LineStyleSequence = [item(LineThickness=5.0, **red)]
    shape.FillStyleSequence = [item(PatternOnColorCIELabValue=[65535, 0x8080, 0x8080], PatternOnOpacity=0.5)]
    found = drawing(shape)
    assert found[50, 50].tolist() == [128, 128, 128]
    assert found[11, 50, 0] > 240
    assert found[11, 50, 1:].max() < 20
    assert 180 < found[12, 50, 0] < 200, "half of the pixel"
    assert found[13, 50].tolist() == [128, 128, 128]


# -- text --


def text(value: str, **values: Any) -> Any:
    return item(UnformattedTextValue=value, **values)


def boxed(value: str, left: float, top: float, right: float, bottom: float, align: str = "LEFT", **values: Any) -> Any:
    return text(
        value,
        BoundingBoxAnnotationUnits="PIXEL",
        BoundingBoxTopLeftHandCorner=[left, top],
        BoundingBoxBottomRightHandCorner=[right, bottom],
        BoundingBoxTextHorizontalJustification=align,
        **values,
    )


WIDE = np.full((200, 300), 90, np.uint8)


@pytest.mark.parametrize(("align", "side"), [("LEFT", 0), ("CENTER", 1), ("RIGHT", 2)])
def test_text_stands_in_its_box(align: str, side: int) -> None:
    found = drawing(boxed("Mi", 100, 50, 280, 80, align), blank=WIDE)
    left, top, right, bottom = bounds(found != 90)
    assert 97 <= left < right <= 283
    assert 47 <= top < bottom <= 83
    assert found.max() == 255, "letters"
    assert found.min() == 0, "their outline"
    space = (left - 100, 280 - right)
    assert [space[0] < 6, abs(space[0] - space[1]) < 8, space[1] < 6][side]


def test_text_is_upright_however_the_image_is_turned() -> None:
    # A box of 180 x 30 that lies down in the image stands on the display.
    upright = drawing(boxed("Mi", 50, 100, 80, 280), blank=np.full((300, 200), 90, np.uint8), ImageRotation=90)
    left, top, right, bottom = bounds(upright != 90)
    assert upright.shape == (200, 300)
    assert right - left > bottom - top
    assert left >= 17
    assert right <= 203
    assert top >= 47
    assert bottom <= 83
    plain = drawing(boxed("Mi", 20, 50, 200, 80), blank=WIDE)
    assert (upright == plain).all()


def test_lines_stand_below_one_another() -> None:
    one, two = (drawing(boxed(value, 10, 10, 200, 190), blank=WIDE) for value in ("MM", "MM\r\nMM"))
    assert bounds(two != 90)[3] > bounds(one != 90)[3] + 8


def test_without_box_text_stands_beside_its_anchor_with_a_line_to_it() -> None:
    anchored = {"AnchorPointAnnotationUnits": "PIXEL", "AnchorPoint": [150, 100]}
    hidden = drawing(text("Mi", **anchored, AnchorPointVisibility="N"), blank=WIDE)
    assert hidden[98:103, 148:152].tolist() == [[90] * 4] * 5
    assert bounds(hidden != 90)[0] > 150
    visible = drawing(text("Mi", **anchored, AnchorPointVisibility="Y"), blank=WIDE)
    assert visible[100, 150] == 255
    corner = drawing(text("Mi", **{**anchored, "AnchorPoint": [299, 1]}), blank=WIDE)
    assert (corner == 255).sum() > 20, "it is kept within the picture"


def test_text_of_a_bitmap_of_other_scripts_never_fails() -> None:
    found = drawing(boxed("病変 \u202e кость \x00\x1b ไทย", 10, 10, 290, 60), blank=WIDE)
    assert (found != 90).any()


# -- hostile --


def hostile(kind: str, data: list[Any], units: str = "PIXEL") -> Attributes:
    """A state whose graphic data no data set could be made of."""
    attributes = state(GraphicAnnotationSequence=drawn(graphic(kind, [1.0, 1.0], units)))
    found = attributes["00700001"]["Value"][0]["00700009"]["Value"][0]
    found["00700022"] = {"vr": "FL", "Value": data}
    return attributes


@pytest.mark.parametrize("kind", ["POINT", "POLYLINE", "INTERPOLATED", "CIRCLE", "ELLIPSE", "BANANA"])
@pytest.mark.parametrize(
    "data",
    [
        [],
        [1],
        [1, 2, 3],
        [math.nan, 1, 2, 3],
        [1e308, -1e308, 1e308, 1e308],
        [1e7, 1, 1, 1, 1, 1, 1, 1],
        ["x", None, 1, 2],
        [[1, 2], {}, 1, 1],
        "1234",
    ],
    ids=str,
)
def test_graphics_that_cannot_be_meant_are_left_out_A26(kind: str, data: Any) -> None:
    assert shown(BLANK, hostile(kind, data)).samples.max() == 0


@given(
    kind=st.sampled_from(["POINT", "POLYLINE", "INTERPOLATED", "CIRCLE", "ELLIPSE"]),
    data=st.lists(st.floats(-1e6, 1e6, width=32), min_size=2, max_size=12),
    units=st.sampled_from(["PIXEL", "DISPLAY"]),
)
@settings(max_examples=60, deadline=5_000)
def test_any_points_are_drawn_or_left_out_A26(kind: str, data: list[float], units: str) -> None:
    assert shown(BLANK, hostile(kind, data, units)).samples.shape == BLANK.shape


def test_far_lines_cost_no_more_than_near_ones_A26() -> None:
    begun = time.perf_counter()
    found = shown(BLANK, hostile("POLYLINE", [-999_999.0, 50.5, 999_999.0, 50.5] * 100)).samples
    assert (found[50] == 255).all()
    assert found[52].max() == 0
    assert time.perf_counter() - begun < 5


@pytest.mark.parametrize(
    "attributes",
    [
        pytest.param(hostile("POLYLINE", [1.0, 2.0] * 300_000), id="points"),
        pytest.param(state(GraphicAnnotationSequence=drawn(*[graphic("POINT", [500, 500])] * 6_000)), id="objects"),
        pytest.param(state(GraphicAnnotationSequence=drawn(*[boxed("M" * 9_000, 1, 1, 50, 50)] * 30)), id="letters"),
    ],
)
def test_more_graphics_than_there_can_be_are_refused_A26(attributes: Attributes) -> None:
    with pytest.raises(CannotRender, match="more graphics"):
        shown(BLANK, attributes)


def test_text_of_any_length_is_bounded_A26() -> None:
    begun = time.perf_counter()
    found = drawing(boxed("M" * 100_000 + "\n" * 5_000, -500, 10, 290, 60), blank=WIDE)
    assert found.shape == WIDE.shape
    assert time.perf_counter() - begun < 5
