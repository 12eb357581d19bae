"""What is drawn over the images of its study - segmentations, contours, presentation states - and parametric maps, as
rendered resources: each on the right pixels, end to end."""

from __future__ import annotations

from typing import Any

import imagecodecs
import numpy as np
import pytest
from numpy.typing import NDArray

from tests.clients import Client
from tests.made import made, path, uid
from tests.standard.made_objects import (
    COLUMNS,
    GRAY,
    ROWS,
    ct,
    item,
    parametric_map,
    reference,
    segmentation,
    structure_set,
)
from tests.standard.test_rendered import picture

SEGMENTATION, MAP, STRUCTURES, STATE = (path(1, series, 1) for series in (2, 3, 4, 6))
MASK = np.zeros((ROWS, COLUMNS), np.bool_)
MASK[5:15, 8:20] = True
INSIDE = np.zeros_like(MASK)
INSIDE[7:13, 10:18] = True
"""Without its edge."""
OTHER = np.ascontiguousarray(GRAY[:, ::-1])


def rgb(gray: NDArray[Any]) -> NDArray[Any]:
    return np.repeat(gray[:, :, None], 3, axis=2)


def shown(client: Client, target: str, query: str = "") -> NDArray[np.uint8]:
    answer = client.get(f"{target}/rendered{query}", "image/png")
    assert answer.status == 200
    return picture(answer)


def colorful(found: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Where a pixel is not gray."""
    spread: NDArray[np.bool_] = np.ptp(found.astype(int), axis=2) > 8
    return spread


@pytest.mark.parametrize("named", [True, False], ids=["frames name their source", "their place tells the source"])
def test_a_segmentation_lies_on_the_slice_it_was_drawn_on(memory_client: Client, named: bool) -> None:
    memory_client.store(ct(1), ct(2, OTHER), segmentation(MASK, [2, 1], named=named))
    for number, gray in ((1, OTHER), (2, GRAY)):
        found = shown(memory_client, f"{SEGMENTATION}/frames/{number}")
        assert np.array_equal(found[~MASK], rgb(gray)[~MASK])
        assert colorful(found)[MASK].all()
        # The image stays readable below: one colour, the gray levels in the same order.
        color = found[INSIDE].astype(int) - np.rint(rgb(gray)[INSIDE] * 0.65)
        assert np.ptp(color, axis=0).max() <= 1


def test_a_segmentation_is_laid_where_it_lies_in_the_patient(memory_client: Client) -> None:
    memory_client.store(ct(1), segmentation(MASK[:, 4:], [1], columns=7))
    expected = np.roll(MASK, 3, axis=1)
    found = shown(memory_client, SEGMENTATION)
    assert found.shape == (ROWS, COLUMNS, 3)
    assert np.array_equal(colorful(found), expected)
    assert np.array_equal(found[~expected], rgb(GRAY)[~expected])


def test_a_segmentation_without_its_source_lies_on_black(memory_client: Client) -> None:
    memory_client.store(segmentation(MASK, [1]))
    before = memory_client.get(f"{SEGMENTATION}/rendered", "image/png")
    found = picture(before)
    assert not found[~MASK].any()
    assert colorful(found)[MASK].all()
    memory_client.store(ct(1))
    after = memory_client.get(f"{SEGMENTATION}/rendered", "image/png", If_None_Match=before.header("ETag") or "")
    assert after.status == 200
    assert np.array_equal(picture(after)[~MASK], rgb(GRAY)[~MASK])


def test_the_window_is_that_of_the_source(memory_client: Client) -> None:
    memory_client.store(ct(1), segmentation(MASK, [1]))
    found = shown(memory_client, SEGMENTATION, "?window=50,50,linear-exact")
    expected = np.rint(np.clip((GRAY.astype(float) - 25) / 50, 0, 1) * 255)
    assert np.abs(found[~MASK] - rgb(expected)[~MASK]).max() <= 1


def test_a_contour_is_drawn_on_its_pixels(memory_client: Client) -> None:
    corners = [(4.0, 6.0), (20.0, 6.0), (20.0, 16.0), (4.0, 16.0)]
    memory_client.store(ct(1, OTHER), ct(2), ct(3, OTHER), structure_set(corners, 2))
    found = shown(memory_client, STRUCTURES).astype(int)
    assert found.shape == (ROWS, COLUMNS, 3)
    line = np.zeros((ROWS, COLUMNS), np.bool_)
    line[6:17, 4:21] = True
    line[7:16, 5:20] = False
    green = found[:, :, 1] - np.maximum(found[:, :, 0], found[:, :, 2])
    assert green[line].min() > 100
    near = np.zeros_like(line)
    near[5:18, 3:22] = True
    near[8:15, 6:19] = False
    assert np.array_equal(found[~near], rgb(GRAY)[~near])


def test_contours_without_their_images_have_a_ground(memory_client: Client) -> None:
    memory_client.store(structure_set([(4.0, 6.0), (20.0, 6.0), (20.0, 16.0), (4.0, 16.0)], 2))
    found = shown(memory_client, STRUCTURES, "?viewport=580,580").astype(int)
    assert found.shape == (400, 580, 3)
    # The contour is 16 by 10 pixels of the same size: so it is here.
    green = np.argwhere(found[:, :380, 1] - found[:, :380, 0] > 100)
    high, wide = np.ptp(green, axis=0)
    assert wide / high == pytest.approx(1.6, abs=0.05)


def test_a_parametric_map_is_brighter_where_there_is_more(memory_client: Client) -> None:
    values = np.linspace(0, 900, ROWS * COLUMNS, dtype=np.float32).reshape(ROWS, COLUMNS)
    values[3, 4], values[5, 6] = np.nan, 2_000  # the latter is not mapped
    memory_client.store(parametric_map(values))
    found = shown(memory_client, MAP)
    assert not found[3, 4].any()
    assert not found[5, 6].any()
    luminance = found @ [0.2126, 0.7152, 0.0722]
    meant = np.nan_to_num(values, nan=2_000) <= 1_000
    assert np.diff(luminance[meant]).min() > -2
    assert np.ptp(luminance[meant]) > 150
    assert colorful(found).mean() > 0.5
    narrow = shown(memory_client, MAP, "?window=450,100,linear-exact")
    assert len(np.unique(narrow[values < 400], axis=0)) == 1
    assert len(np.unique(found[values < 400], axis=0)) > 50


def test_a_presentation_state_of_a_ct(memory_client: Client) -> None:
    stored = GRAY.astype("<u2") * 8
    window = item(WindowCenter="100", WindowWidth="400", VOILUTFunction="LINEAR_EXACT")
    area = item(
        DisplayedAreaTopLeftHandCorner=[1, 1], DisplayedAreaBottomRightHandCorner=[COLUMNS, ROWS],
        PresentationSizeMode="SCALE TO FIT", PresentationPixelAspectRatio=["1", "1"],
    )  # fmt: skip
    line = item(
        GraphicAnnotationUnits="PIXEL", GraphicDimensions=2, NumberOfGraphicPoints=2, GraphicType="POLYLINE",
        GraphicData=[5.5, 5.5, 20.5, 5.5], GraphicFilled="N",
    )  # fmt: skip
    state = made(
        1, 6, 1, SOPClassUID="1.2.840.10008.5.1.4.1.1.11.1", Modality="PR", PresentationLUTShape="IDENTITY",
        ReferencedSeriesSequence=[item(SeriesInstanceUID=uid(1, 1), ReferencedImageSequence=[reference(1)])],
        RescaleSlope="1", RescaleIntercept="-1024", RescaleType="HU", SoftcopyVOILUTSequence=[window],
        DisplayedAreaSelectionSequence=[area], GraphicLayerSequence=[item(GraphicLayer="A", GraphicLayerOrder=1)],
        GraphicAnnotationSequence=[item(GraphicLayer="A", GraphicObjectSequence=[line])],
    )  # fmt: skip
    image = ct(
        1, GRAY, BitsAllocated=16, BitsStored=12, HighBit=11, RescaleSlope="2", RescaleIntercept="0",
        WindowCenter="0", WindowWidth="10", PixelData=stored.tobytes(),
    )  # fmt: skip
    assert memory_client.store(image, state).status == 200
    found = shown(memory_client, STATE).astype(int)
    expected = np.rint(np.clip((stored - 1024.0 + 100) / 400, 0, 1) * 255)
    drawn = np.abs(found - expected) > 1
    assert (found[5, 6:20] > 200).all()
    drawn[4:8, 4:22] = False
    assert not drawn.any()
    assert np.ptp(expected) > 150


def test_colors_of_another_space_are_converted_where_no_profile_is_sent(memory_client: Client) -> None:
    """Below a segmentation, in GIF and in JPEG XL."""
    colors = np.stack([GRAY * 2, OTHER * 2, 255 - GRAY], axis=2)
    image = ct(
        1, SamplesPerPixel=3, PhotometricInterpretation="RGB", PlanarConfiguration=0, ColorSpace="ADOBERGB",
        PixelData=colors.tobytes(),
    )  # fmt: skip
    assert memory_client.store(image, segmentation(MASK, [1])).status == 200
    assert np.array_equal(shown(memory_client, path(1, 1, 1)), colors)
    expected = shown(memory_client, path(1, 1, 1), "?iccprofile=srgb")
    assert np.abs(expected.astype(int) - colors).max() > 20
    assert np.array_equal(shown(memory_client, SEGMENTATION)[~MASK], expected[~MASK])
    lossless = memory_client.get(path(1, 1, 1) + "/rendered", "image/jxl").content
    assert np.array_equal(imagecodecs.jpegxl_decode(lossless), expected)
    few = picture(memory_client.get(path(1, 1, 1) + "/rendered", "image/gif")).astype(int)
    assert np.abs(few - expected).mean() < np.abs(few - colors).mean()
    as_they_are = memory_client.get(path(1, 1, 1) + "/rendered?iccprofile=no", "image/jxl").content
    assert np.array_equal(imagecodecs.jpegxl_decode(as_they_are), colors)
