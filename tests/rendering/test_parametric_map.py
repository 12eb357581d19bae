"""Parametric maps: more is brighter, what has no value is black."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from pydicom import Dataset

from dicomweb_core.errors import CannotRender, DICOMwebError
from dicomweb_core.rendering.colormaps import quantity_colors
from dicomweb_core.rendering.parametric_map import real_world_values, render_parametric_map
from dicomweb_core.values.attributes import Attributes
from dicomweb_core.values.limits import Limits
from dicomweb_core.values.renderings import Rendering, VOIFunction, Window
from tests.rendering.gray_frames import made_attributes, made_frame, no_bulk
from tests.rendering.hostile import broken_objects

LIMITS = Limits()
COLORS = quantity_colors()
LEVELS = {tuple(color): level for level, color in enumerate(COLORS.tolist())}


def mapping(first: float = 0.0, last: float = 100.0, **values: Any) -> Attributes:
    item, unit = Dataset(), Dataset()
    item.DoubleFloatRealWorldValueFirstValueMapped = first
    item.DoubleFloatRealWorldValueLastValueMapped = last
    item.RealWorldValueSlope, item.RealWorldValueIntercept = values.get("slope", 2.0), values.get("intercept", 1.0)
    unit.CodeValue = "mm2/s"
    item.MeasurementUnitsCodeSequence = [unit]
    item.LUTLabel = "ADC"
    return made_attributes(RealWorldValueMappingSequence=[item])


def levels(
    stored: Any, attributes: Attributes | None = None, window: Window | None = None, **image: Any
) -> list[int | None]:
    """Which of the 256 colours each pixel has; None: black."""
    frame = made_frame(stored, **image)
    picture = render_parametric_map(frame, attributes or {}, no_bulk, Rendering(window=window), limits=LIMITS)
    pixels = [tuple(pixel) for pixel in picture.samples.reshape(-1, 3).tolist()]
    return [None if pixel == (0, 0, 0) else LEVELS[pixel] for pixel in pixels]


def test_colors_get_brighter_all_the_way() -> None:
    luminance = COLORS.astype(float) @ (0.2126, 0.7152, 0.0722)
    assert (np.diff(luminance) >= -0.5).all()
    assert luminance[-1] - luminance[0] > 180
    assert len(LEVELS) >= 250


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int16, np.int32, np.float32, np.float64])
def test_range_is_what_is_there(dtype: Any) -> None:
    assert levels(np.array([[10, 60, 110]], dtype)) == [0, 128, 255]


def test_what_is_not_a_number_or_padding_or_not_mapped_is_black() -> None:
    attributes = mapping(0, 100) | {"00280122": {"vr": "FL", "Value": [-1.0]}}
    stored = np.array([[np.nan, -1, 0, 50, 100, 101, np.inf]], np.float32)
    assert levels(stored, attributes) == [None, None, 0, 128, 255, None, None]


def test_mapping_of_none_of_the_values_does_not_count() -> None:
    assert levels(np.array([[200, 250, 300]], np.float32), mapping(0, 1)) == [0, 128, 255]


def test_window_of_the_request_before_that_of_the_object() -> None:
    attributes = {"00281050": {"vr": "DS", "Value": [50]}, "00281051": {"vr": "DS", "Value": [101]}}
    stored = np.array([[0, 50, 100, 200]], np.float64)
    assert levels(stored, attributes) == [1, 129, 255, 255]
    assert levels(stored, attributes, Window(100, 200, VOIFunction.LINEAR_EXACT)) == [0, 64, 128, 255]


def test_color_range_of_the_object_is_used() -> None:
    limits = Dataset()
    limits.MinimumStoredValueMapped, limits.MaximumStoredValueMapped = 0.0, 10.0
    attributes = made_attributes(StoredValueColorRangeSequence=[limits])
    assert levels(np.array([[-5, 0, 5, 10, 90]], np.float32), attributes) == [0, 0, 128, 255, 255]


def test_palette_of_the_object_is_used() -> None:
    attributes: Attributes = {}
    for channel, entries in zip("123", ([0, 255], [10, 20], [255, 0]), strict=True):
        attributes[f"0028110{channel}"] = {"vr": "US", "Value": [2, 0, 8]}
        attributes[f"0028120{channel}"] = {"vr": "OW", "Value": entries}
    picture = render_parametric_map(
        made_frame(np.array([[1.0, 9.0]], np.float32)), attributes, no_bulk, Rendering(), limits=LIMITS
    )
    assert picture.samples[0].tolist() == [[0, 10, 255], [255, 20, 0]]


def test_real_world_values_by_slope_and_by_table() -> None:
    found = real_world_values(mapping())
    assert found is not None
    assert (found.of(10), found.unit, found.label) == (21.0, "mm2/s", "ADC")
    attributes = mapping(2, 4)
    item = attributes["00409096"]["Value"][0]
    item["00409212"] = {"vr": "FD", "Value": [0.5, 1.5, 4.5]}
    table = real_world_values(attributes)
    assert table is not None
    assert [table.of(stored) for stored in (0, 2, 3, 4, 9)] == [0.5, 0.5, 1.5, 4.5, 4.5]


@pytest.mark.parametrize(
    "stored", [np.full((2, 2), np.nan), np.full((2, 2), 7.0), np.array([[1e308, -1e308]]), np.array([[1e-320, 0.0]])]
)
def test_extremes_are_shown_somehow(stored: Any) -> None:
    assert len(levels(stored)) == stored.size


def test_map_beyond_the_limit_is_refused_A22() -> None:
    with pytest.raises(CannotRender, match="rendered_pixels"):
        render_parametric_map(made_frame(np.zeros((8, 8))), {}, no_bulk, Rendering(), limits=Limits(rendered_pixels=63))


def test_wrong_objects_are_shown_or_refused() -> None:
    limits = Dataset()
    limits.MinimumStoredValueMapped, limits.MaximumStoredValueMapped = 0.0, 10.0
    attributes = mapping() | made_attributes(StoredValueColorRangeSequence=[limits], WindowCenter=5, WindowWidth=7)
    attributes["00281101"] = attributes["00281102"] = attributes["00281103"] = {"vr": "US", "Value": [2, 0, 8]}
    attributes["00281201"] = attributes["00281202"] = attributes["00281203"] = {"vr": "OW", "Value": [1, 2]}
    frame = made_frame(np.linspace(-5, 20, 16).reshape(4, 4).astype(np.float32))
    pictures = 0
    for broken in broken_objects(attributes, most=300):
        try:
            render_parametric_map(frame, broken, lambda path: b"\1", Rendering(), limits=LIMITS)
        except DICOMwebError:
            continue
        pictures += 1
    assert pictures > 250
