"""Presentation states over made images: every stage with exact expectations (PS3.4 N.2, PS3.3 C.10, C.11)."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from dicomweb_core.errors import CannotRender
from dicomweb_core.rendering.icc_profiles import adobe_rgb_profile
from dicomweb_core.rendering.presentation_state import (
    COLOR,
    PSEUDO_COLOR,
    ReferencedImage,
    display_order,
    presentation_state,
)
from dicomweb_core.values.limits import Limits
from dicomweb_core.values.pixels import ImagePixel, NativeFrame
from dicomweb_core.values.renderings import ColorSpace, Rendering
from tests.rendering.gray_frames import lut_item, made_attributes, made_frame, no_bulk
from tests.rendering.made_states import IMAGE, OTHER, area, drawn, graphic, item, levels, referring, shown
from tests.rendering.made_states import state_attributes as state

GRAY = np.array([[10, 20, 30], [40, 50, 60]], np.uint8)


def sequence(*items: Any) -> dict[str, Any]:
    return {"vr": "SQ", "Value": list(items)}


# -- images --


def test_images_are_those_referred_to_in_order_without_repetition_REN_29() -> None:
    attributes = state(
        ReferencedSeriesSequence=[
            item(SeriesInstanceUID="2.999.8", ReferencedImageSequence=referring(OTHER, [3, 1]) + referring(IMAGE)),
            item(SeriesInstanceUID="2.999.7", ReferencedImageSequence=referring("2.999.3") * 2),
        ]
    )
    capture = "1.2.840.10008.5.1.4.1.1.7"
    assert presentation_state(attributes, no_bulk).images == (
        ReferencedImage("2.999.8", capture, OTHER, (3, 1)),
        ReferencedImage("2.999.8", capture, IMAGE),
        ReferencedImage("2.999.7", capture, "2.999.3"),
    )


@pytest.mark.parametrize(
    ("attributes", "why"),
    [
        (state(SOPClassUID="1.2.840.10008.5.1.4.1.1.11.4"), "SOP Class"),
        (state(ReferencedSeriesSequence=[]), "no image"),
        ({}, "SOP Class"),
    ],
)
def test_what_is_no_state_that_can_be_applied_is_refused(attributes: Any, why: str) -> None:
    with pytest.raises(CannotRender, match=why):
        presentation_state(attributes, no_bulk)


AXIAL = [1, 0, 0, 0, 1, 0]


@pytest.mark.parametrize(
    ("frames", "order"),
    [
        pytest.param(
            [{"DimensionIndexValues": [2, 1]}, {"DimensionIndexValues": [1, 2]}, {"DimensionIndexValues": [1, 1]}],
            [2, 1, 0],
            id="dimension index values come first",
        ),
        pytest.param(
            [
                {"ImagePositionPatient": [0, 0, 9], "ImageOrientationPatient": AXIAL},
                {"ImagePositionPatient": [5, 0, -3], "ImageOrientationPatient": AXIAL},
                {"ImagePositionPatient": [0, 0, 2], "ImageOrientationPatient": AXIAL},
            ],
            [1, 2, 0],
            id="then the position",
        ),
        pytest.param(
            [{"ImagePositionVolume": [0, 0, 2]}, {"ImagePositionVolume": [0, 0, 1]}],
            [1, 0],
            id="then that in the volume",
        ),
        pytest.param([{"ImagePositionPatient": [0, 0, 9]}, {}], [0, 1], id="only when all frames have it"),
    ],
)
def test_frames_are_shown_in_order_REN_29(frames: list[dict[str, Any]], order: list[int]) -> None:
    assert display_order([made_attributes(**frame) for frame in frames]) == order


# -- gray levels --


def test_the_luts_of_the_image_do_not_count() -> None:
    image = made_attributes(
        WindowCenter=20, WindowWidth=4, RescaleSlope=9, RescaleIntercept=-7, PresentationLUTShape="INVERSE"
    )
    inverted = made_frame(GRAY, photometric="MONOCHROME1")
    assert levels(GRAY, state(), image=image, frame=inverted) == GRAY.tolist()


def test_without_voi_lut_all_that_the_modality_lut_can_give_is_shown() -> None:
    stored = np.array([[0, 1024, 4095]], np.uint16)
    frame = made_frame(stored, bits_stored=12)
    assert levels(stored, state(), frame=frame) == [[0, 64, 255]]
    rescaled = state(RescaleSlope=2, RescaleIntercept=-1000, RescaleType="HU")
    assert levels(stored, rescaled, frame=frame) == [[0, 64, 255]]


def test_the_window_is_that_of_the_state_in_units_of_its_rescale() -> None:
    attributes = state(
        RescaleSlope=2, RescaleIntercept=-100, SoftcopyVOILUTSequence=[item(WindowCenter=-40.5, WindowWidth=80)]
    )
    # 10 -> -80, 20 -> -60 ... 40 -> -20, 50 -> 0: from -80.5 to -1.5.
    expected = np.clip((np.array([-80, -60, -40, -20, 0, 20]) + 41) / 79 + 0.5, 0, 1)
    assert levels(GRAY, attributes) == np.rint(expected * 255).reshape(2, 3).astype(int).tolist()


@pytest.mark.parametrize(
    ("references", "number", "own"),
    [
        (None, 1, True),
        (referring(IMAGE), 1, True),
        (referring(OTHER), 1, False),
        (referring(OTHER) + referring(IMAGE), 1, True),
        (referring(IMAGE, [2, 3]), 1, False),
        (referring(IMAGE, [2, 3]), 3, True),
    ],
)
def test_a_voi_lut_is_of_the_images_and_frames_it_refers_to(references: Any, number: int, own: bool) -> None:
    voi = item(WindowCenter=35, WindowWidth=1)
    if references:
        voi.ReferencedImageSequence = references
    found = levels(GRAY, state(SoftcopyVOILUTSequence=[voi]), number=number)
    assert found == ([[0, 0, 0], [255, 255, 255]] if own else GRAY.tolist())


def test_luts_of_the_state_modality_then_voi_then_presentation() -> None:
    attributes = state()
    attributes["00283000"] = sequence(lut_item([3, 0, 8], [2, 1, 0]))
    attributes["00283110"] = sequence({"00283010": sequence(lut_item([3, 0, 8], [0, 128, 255]))})
    attributes["20500010"] = sequence(lut_item([256, 0, 8], range(255, -1, -1)))
    assert levels(np.array([[0, 1, 2]], np.uint8), attributes) == [[0, 127, 255]]


@pytest.mark.parametrize(("shape", "first"), [("IDENTITY", 10), ("INVERSE", 245)])
def test_presentation_lut_shape(shape: str, first: int) -> None:
    assert levels(GRAY, state(PresentationLUTShape=shape))[0][0] == first


def test_sixteen_bits() -> None:
    attributes = state(ImageRotation=180)
    found = shown(np.array([[0, 65535], [257, 1000]], np.uint16), attributes, bits=16).samples
    assert found.dtype == np.uint16
    assert found.tolist() == [[1000, 257], [65535, 0]]


# -- colour --


def rgb_frame(colors: Any) -> NativeFrame:
    samples = np.asarray(colors, np.uint8)
    image = ImagePixel(samples.shape[0], samples.shape[1], 3, 8, 8, photometric="RGB")
    return NativeFrame(samples.tobytes(), image)


def test_color_state_over_color() -> None:
    frame = rgb_frame([[[255, 0, 0], [0, 255, 0]]])
    attributes = state(SOPClassUID=COLOR, ImageHorizontalFlip="Y")
    assert levels(None, attributes, frame=frame) == [[[0, 255, 0], [255, 0, 0]]]


def test_the_profile_of_a_color_state_is_that_of_its_pixels() -> None:
    frame = rgb_frame([[[200, 10, 10]]])
    attributes = state(SOPClassUID=COLOR, ICCProfile=adobe_rgb_profile())
    plain = shown(None, attributes, frame=frame)
    assert plain.icc_profile == adobe_rgb_profile()
    assert plain.samples.tolist() == [[[200, 10, 10]]]
    red = shown(None, attributes, frame=frame, rendering=Rendering(color_space=ColorSpace.SRGB)).samples[0, 0]
    assert red[0] > 220, "Adobe's red is more than that of sRGB"


def test_pseudo_color_maps_what_the_voi_lut_gives() -> None:
    attributes = state(SOPClassUID=PSEUDO_COLOR, SoftcopyVOILUTSequence=[item(WindowCenter=35, WindowWidth=1)])
    for channel, entries in zip("123", ([0, 255], [10, 20], [99, 0]), strict=True):
        attributes[f"0028110{channel}"] = {"vr": "US", "Value": [2, 0, 8]}
        attributes[f"0028120{channel}"] = {"vr": "OW", "Value": entries}
    assert levels(np.array([[30, 40]], np.uint8), attributes) == [[[0, 10, 99], [255, 20, 0]]]


# -- geometry --


@pytest.mark.parametrize("flip", ["N", "Y"])
@pytest.mark.parametrize("angle", [0, 90, 180, 270])
def test_rotation_clockwise_then_flip(angle: int, flip: str) -> None:
    expected = np.rot90(GRAY, -angle // 90)
    if flip == "Y":
        expected = expected[:, ::-1]
    assert levels(GRAY, state(ImageRotation=angle, ImageHorizontalFlip=flip)) == expected.tolist()


def test_ninety_degrees_bring_the_left_column_to_the_top() -> None:
    assert levels(GRAY, state(ImageRotation=90)) == [[40, 10], [50, 20], [60, 30]]


def test_displayed_area_is_cut_out() -> None:
    assert levels(GRAY, state(DisplayedAreaSelectionSequence=area(2, 1, 3, 1))) == [[20, 30]]


def test_displayed_area_beyond_the_image_is_black() -> None:
    found = levels(GRAY, state(DisplayedAreaSelectionSequence=area(0, 2, 4, 3)))
    assert found == [[0, 40, 50, 60, 0], [0, 0, 0, 0, 0]]
    assert levels(GRAY, state(DisplayedAreaSelectionSequence=area(100, 100, 101, 100))) == [[0, 0]]


def test_corners_of_a_turned_area_are_those_after_turning() -> None:
    # Turned by 180 degrees, the upper left corner of the display is the lower right one of the image.
    attributes = state(DisplayedAreaSelectionSequence=area(3, 2, 2, 1), ImageRotation=180)
    assert levels(GRAY, attributes) == [[60, 50], [30, 20]]


@pytest.mark.parametrize("mode", ["SCALE TO FIT", "TRUE SIZE"])
def test_displayed_area_is_scaled_into_the_viewport_and_touches_it(mode: str) -> None:
    attributes = state(DisplayedAreaSelectionSequence=area(1, 1, 2, 1, mode))
    assert shown(GRAY, attributes, size=(40, 40)).samples.shape == (20, 40)
    assert shown(GRAY, state(), size=(40, 10)).samples.shape == (10, 15)


def test_magnified_area_is_cut_to_the_viewport_in_its_middle() -> None:
    attributes = state(
        DisplayedAreaSelectionSequence=area(1, 1, 4, 1, "MAGNIFY", PresentationPixelMagnificationRatio=3.0)
    )
    stored = np.array([[10, 20, 30, 40]], np.uint8)
    assert shown(stored, attributes).samples.shape == (3, 12)
    found = shown(stored, attributes, size=(2, 100)).samples
    assert found.shape == (3, 2)
    assert 20 <= found.min() <= found.max() <= 30


def test_pixels_that_are_not_square_are_stretched() -> None:
    attributes = state(DisplayedAreaSelectionSequence=area(1, 1, 3, 2, PresentationPixelAspectRatio=[2, 1]))
    assert shown(GRAY, attributes).samples.shape == (4, 3)
    turned = state(
        DisplayedAreaSelectionSequence=area(1, 1, 3, 2, PresentationPixelAspectRatio=[2, 1]), ImageRotation=90
    )
    assert shown(GRAY, turned).samples.shape == (3, 4)


@pytest.mark.parametrize(
    "selection",
    [
        area(-(2**31), -(2**31), 2**31 - 1, 2**31 - 1),
        area(1, 1, 3, 2, "MAGNIFY", PresentationPixelMagnificationRatio=1e9),
        area(1, 1, 3, 2, PresentationPixelAspectRatio=[0, 1]),
        area(1, 1, 3, 2, PresentationPixelSpacing=["0", "1e-300"]),
    ],
)
def test_areas_that_cannot_be_meant_are_left_out_A26(selection: Any) -> None:
    assert levels(GRAY, state(DisplayedAreaSelectionSequence=selection)) == GRAY.tolist()


def test_areas_larger_than_pictures_are_refused_A26() -> None:
    limits = Limits(rendered_pixels=1_000)
    attributes = state(DisplayedAreaSelectionSequence=area(-100, -100, 100, 100))
    with pytest.raises(CannotRender, match="viewport"):
        shown(GRAY, attributes, limits=limits)
    assert shown(GRAY, attributes, limits=limits, size=(10, 10)).samples.shape == (10, 10)
    huge = area(1, 1, 3, 2, "MAGNIFY", PresentationPixelMagnificationRatio=9000.0)
    with pytest.raises(CannotRender, match="viewport"):
        shown(GRAY, state(DisplayedAreaSelectionSequence=huge), limits=limits)
    assert shown(GRAY, state(DisplayedAreaSelectionSequence=huge), limits=limits, size=(9, 9)).samples.shape == (9, 9)


# -- layers --


def layers(*found: tuple[str, int, int]) -> list[Any]:
    return [
        item(GraphicLayer=name, GraphicLayerOrder=order, GraphicLayerRecommendedDisplayGrayscaleValue=gray * 257)
        for name, order, gray in found
    ]


SQUARE = [0.0, 0, 8, 0, 8, 8, 0, 8, 0, 0]


def test_higher_layers_are_drawn_over_lower_ones() -> None:
    attributes = state(
        GraphicLayerSequence=layers(("HIGH", 2, 200), ("LOW", 1, 100)),
        GraphicAnnotationSequence=drawn(graphic("POLYLINE", SQUARE, filled="Y"), layer="HIGH")
        + drawn(graphic("POLYLINE", SQUARE, filled="Y"), layer="LOW"),
    )
    assert shown(np.zeros((8, 8), np.uint8), attributes).samples[4, 4] == 200


def test_a_layer_with_a_color_makes_the_picture_one_of_color() -> None:
    colored = item(
        GraphicLayer="L",
        GraphicLayerOrder=1,
        GraphicLayerRecommendedDisplayCIELabValue=[35579, 53662, 50858],  # sRGB red
    )
    attributes = state(
        GraphicLayerSequence=[colored],
        GraphicAnnotationSequence=drawn(graphic("POLYLINE", SQUARE, filled="Y")),
    )
    found = shown(np.full((16, 16), 77, np.uint8), attributes).samples
    assert np.abs(found[4, 4].astype(int) - [255, 0, 0]).max() <= 3
    assert found[12, 12].tolist() == [77, 77, 77]


def test_annotations_are_of_the_images_they_refer_to() -> None:
    own, others = (
        drawn(graphic("POLYLINE", SQUARE, filled="Y"), ReferencedImageSequence=referring(uid)) for uid in (IMAGE, OTHER)
    )
    blank = np.zeros((8, 8), np.uint8)
    assert shown(blank, state(GraphicAnnotationSequence=own)).samples[4, 4] == 255
    assert shown(blank, state(GraphicAnnotationSequence=others)).samples.max() == 0


def test_overlays_of_the_image_are_shown_where_a_layer_activates_them() -> None:
    image = {
        "60000010": {"vr": "US", "Value": [2]},
        "60000011": {"vr": "US", "Value": [3]},
        "60000050": {"vr": "SS", "Value": [1, 1]},
        "60003000": {"vr": "OW", "InlineBinary": "CQA="},  # bits 0 and 3
    }
    assert levels(GRAY, state(), image=image) == GRAY.tolist()
    assert levels(GRAY, state(x60001001="L"), image=image) == [[255, 20, 30], [255, 50, 60]]
    assert levels(GRAY, state(x60001001="L", ImageRotation=90), image=image) == [[255, 255], [50, 20], [60, 30]]
    assert levels(GRAY, state(x60021001="L"), image=image) == GRAY.tolist()


def test_overlays_of_the_state_come_before_those_of_the_image() -> None:
    attributes = state(x60001001="L")
    plane = {"60000010": {"vr": "US", "Value": [1]}, "60000011": {"vr": "US", "Value": [1]}}
    attributes |= {**plane, "60000050": {"vr": "SS", "Value": [2, 3]}}
    attributes["60003000"] = {"vr": "OW", "InlineBinary": "AQA="}
    image = {**plane, "60003000": {"vr": "OW", "InlineBinary": "AQA="}}
    assert levels(GRAY, attributes, image=image) == [[10, 20, 30], [40, 50, 255]]
