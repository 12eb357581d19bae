"""Stored values to gray levels, step by step and as a whole (PS3.4 N.2.1)."""

from __future__ import annotations

import math
import tracemalloc
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dicomweb_core.errors import CannotRender
from dicomweb_core.rendering.frame_attributes import frame_attributes
from dicomweb_core.rendering.grayscale import default_window, render_grayscale
from dicomweb_core.values.attributes import Attributes
from dicomweb_core.values.renderings import Rendering, VOIFunction, Window
from tests.rendering.gray_frames import gray, lut_item, made_attributes, made_frame, no_bulk

LINEAR, EXACT, SIGMOID = VOIFunction.LINEAR, VOIFunction.LINEAR_EXACT, VOIFunction.SIGMOID
FULL_8 = Window(127.5, 255, EXACT)


def sequence(keyword_tag: str, *items: Any) -> Attributes:
    return {keyword_tag: {"vr": "SQ", "Value": list(items)}}


def modality_lut(descriptor: list[int], entries: Any) -> Attributes:
    return sequence("00283000", lut_item(descriptor, entries))


def voi_lut(descriptor: list[int], entries: Any) -> Attributes:
    return sequence("00283010", lut_item(descriptor, entries))


def presentation_lut(descriptor: list[int], entries: Any) -> Attributes:
    return sequence("20500010", lut_item(descriptor, entries))


# -- the whole, beside a plain double precision computation ---------------------------------------------------------


def plainly(value: float, slope: float, intercept: float, window: Window, inverted: bool, peak: int) -> float:
    x = value * slope + intercept
    c, w, function = window
    if function is SIGMOID:
        shown = 1 / (1 + math.exp(min(-4 * (x - c) / w, 700)))
    elif function is LINEAR and w == 1:
        shown = float(x > c - 0.5)
    else:
        if function is LINEAR:
            c, w = c - 0.5, w - 1
        shown = min(max((x - c) / w + 0.5, 0.0), 1.0)
    return (1 - shown if inverted else shown) * peak


DTYPES = ["u1", "i1", "u2", "i2", "u4", "i4", "u8", "i8", "f4", "f8"]
windows = st.one_of(
    st.builds(Window, st.integers(-40_000, 70_000), st.integers(1, 70_000), st.just(LINEAR)),
    st.builds(Window, st.floats(-4e4, 7e4), st.floats(0.5, 1e5), st.sampled_from([EXACT, SIGMOID])),
)


@pytest.mark.parametrize("dtype", DTYPES)
@given(data=st.data(), window=windows, inverted=st.booleans(), in_file=st.booleans(), bits=st.sampled_from([8, 16]))
def test_pipeline_is_that_of_the_standard_REN_22_REN_31(
    dtype: str, data: st.DataObject, window: Window, inverted: bool, in_file: bool, bits: int
) -> None:
    if dtype[0] == "f":
        element: st.SearchStrategy[Any] = st.floats(-70_000, 70_000, width=int(dtype[1]) * 8)  # type: ignore[arg-type]
    else:
        limits = np.iinfo(dtype)
        element = st.integers(max(limits.min, -(1 << 40)), min(limits.max, 1 << 40))
    stored = data.draw(st.lists(element, min_size=1, max_size=12))
    slope, intercept = data.draw(st.sampled_from([(1, 0), (1, -1024), (-1, 0), (0.25, 12.5), (3.774114, 0)]))
    attributes = made_attributes(RescaleSlope=slope, RescaleIntercept=intercept)
    if in_file:
        function = {LINEAR: "LINEAR", EXACT: "LINEAR_EXACT", SIGMOID: "SIGMOID"}[window.function]
        attributes |= {
            "00281050": {"vr": "DS", "Value": [window.center]},
            "00281051": {"vr": "DS", "Value": [window.width]},
            "00281056": {"vr": "CS", "Value": [function]},
        }
    photometric = "MONOCHROME1" if inverted else "MONOCHROME2"
    shown = gray(np.array(stored, dtype), attributes, None if in_file else window, bits=bits, photometric=photometric)
    for value, level in zip(stored, shown, strict=True):
        expected = plainly(value, slope, intercept, window, inverted, (1 << bits) - 1)
        assert abs(level - expected) <= 0.5 + 1e-6


# -- stored values --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("cell", "stored", "high_bit", "signed", "value"),
    [
        (0xFFFF, 16, 15, False, 65_535),
        (0xFFFF, 16, 15, True, -1),
        (0x8000, 16, 15, True, -32_768),
        (0xFFFF, 12, 11, False, 4_095),
        (0xF123, 12, 11, False, 0x123),
        (0x0FFF, 12, 11, True, -1),
        (0x0800, 12, 11, True, -2_048),
        (0xF7FF, 12, 11, True, 2_047),
        (0x7FF0, 12, 15, False, 2_047),
        (0xFFF0, 12, 15, True, -1),
        (0x2AAA, 10, 12, False, 0x2AAA >> 3 & 0x3FF),
        (0x0FF0, 12, 15, False, 0xFF),
        (0x0FFF, 12, 15, False, 4_095),
        (0xFFFF, 12, 15, True, -1),
        (0x0FFF, 12, 99, False, 4_095),
        (0x0FFF, 12, 3, False, 4_095),
        (0x0FFF, 12, -1, False, 4_095),
    ],
)
def test_bits_stored_high_bit_and_sign_A22(cell: int, stored: int, high_bit: int, signed: bool, value: int) -> None:
    attributes = made_attributes(BitsStored=stored)
    attributes["00280102"] = {"vr": "US", "Value": [high_bit]}
    frame = np.array([cell], "<u2")
    window = Window(value, 2, EXACT)  # the value itself is mid gray, its neighbours are black and white
    assert gray(frame, attributes, window, bits_stored=stored, signed=signed) == [128]


@pytest.mark.parametrize("bits", [8, 16, 32, 64])
@pytest.mark.parametrize("stored", [1, 7, 8, 15, 16, 31, 33, 63, 64])
@pytest.mark.parametrize("signed", [False, True])
def test_extremes_of_every_width_are_black_and_white(bits: int, stored: int, signed: bool) -> None:
    if stored > bits:
        return
    signed = signed and stored > 1
    low, high = (-(1 << stored - 1), (1 << stored - 1) - 1) if signed else (0, (1 << stored) - 1)
    cells = np.array([low & (1 << bits) - 1, high], f"u{bits // 8}")
    assert gray(cells, bits_stored=stored, signed=signed) == [0, 255]


@pytest.mark.parametrize("columns", [8, 3, 13])
def test_one_bit_cells_are_black_and_white_wherever_the_row_ends(columns: int) -> None:
    mask = np.arange(5 * columns).reshape(5, columns) % 3 == 0
    assert gray(mask.astype("u1"), bits_allocated=1) == (mask.reshape(-1) * 255).tolist()


def test_one_bit_cells_that_claim_a_sign_have_none() -> None:
    assert gray(np.array([0, 1], "u1"), bits_allocated=1, signed=True) == [0, 255]


# -- padding --------------------------------------------------------------------------------------------------------


def pad(value: Any, limit: Any = None, vr: str = "SS") -> Attributes:
    found: Attributes = {"00280120": {"vr": vr, "Value": [value]}}
    if limit is not None:
        found["00280121"] = {"vr": vr, "Value": [limit]}
    return found


@pytest.mark.parametrize(
    ("padding", "dtype", "black"),
    [
        (pad(-2_000), "i2", [-2_000]),
        (pad(63_536, vr="US"), "i2", [-2_000]),
        (pad(-1), "u2", [65_535]),
        (pad(10, 20), "u2", [10, 15, 20]),
        (pad(20, 10), "u2", [10, 15, 20]),
        (pad(-2_000, -1_990), "i2", [-2_000, -1_995, -1_990]),
        (pad(7), "i4", [7]),
        (pad(200), "u1", [200]),
    ],
)
def test_padding_is_black_even_where_low_is_white(padding: Attributes, dtype: str, black: list[int]) -> None:
    stored = np.array([*black, 100, 101, 102], dtype)
    shown = gray(stored, padding, photometric="MONOCHROME1")
    assert shown[: len(black)] == [0] * len(black)
    # 8 bits are shown against all there can be, more against all there is but padding.
    assert shown[len(black) :] == ([155, 154, 153] if dtype == "u1" else [255, 128, 0])


def test_padding_that_bits_stored_cannot_hold() -> None:
    stored = np.array([-2_000, 0, 100], "i2")
    assert gray(stored, pad(-2_000), bits_stored=11, photometric="MONOCHROME1") == [0, 255, 0]


@pytest.mark.parametrize("value", ["x", None, "NaN", {}])
def test_garbage_padding_is_as_if_absent_A26(value: Any) -> None:
    assert gray(np.array([0, 1], "u2"), pad(value)) == [0, 255]


@pytest.mark.parametrize(("dtype", "tag", "limit"), [("f4", "00280122", "00280124"), ("f8", "00280123", "00280125")])
def test_padding_of_floating_point_pixels(dtype: str, tag: str, limit: str) -> None:
    attributes = {tag: {"vr": "FD", "Value": [-9_999.0]}, limit: {"vr": "FD", "Value": [-9_000.0]}}
    stored = np.array([-9_999, -9_500, 0.0, 1.0, 2.0], dtype)
    assert gray(stored, attributes, photometric="MONOCHROME1") == [0, 0, 255, 128, 0]


def test_padding_that_single_precision_cannot_hold_A26() -> None:
    attributes = {"00280122": {"vr": "FL", "Value": [1e308]}}
    assert gray(np.array([0.0, 1.0], "f4"), attributes) == [0, 255]


# -- Modality LUT ---------------------------------------------------------------------------------------------------


def test_modality_lut_is_taken_before_the_rescale_and_its_output_has_the_window() -> None:
    attributes = modality_lut([3, -1, 16], [0, 1_000, 500]) | made_attributes(RescaleSlope=9, RescaleIntercept=9)
    assert gray(np.array([-2, -1, 0, 1, 2], "i2"), attributes, Window(500, 1_000, EXACT)) == [0, 0, 255, 128, 128]


def test_modality_lut_of_wide_cells() -> None:
    attributes = modality_lut([3, 0, 8], [0, 255, 51])
    assert gray(np.array([0, 1, 2, 1 << 31], "u4"), attributes) == [0, 255, 51, 51]


def test_modality_lut_of_8_bits_needs_no_window_and_one_of_16_bits_gets_one() -> None:
    stored = np.array([0, 1, 2], "u2")
    assert gray(stored, modality_lut([3, 0, 8], [10, 20, 30])) == [10, 20, 30]
    assert gray(stored, modality_lut([3, 0, 16], [10, 20, 30])) == [0, 128, 255]


def test_broken_modality_lut_leaves_the_rescale_A26() -> None:
    attributes = modality_lut([1 << 24, 0, 16], [1]) | made_attributes(RescaleSlope=2, RescaleIntercept=-10)
    assert gray(np.array([5], "u2"), attributes, Window(0, 2, EXACT)) == [128]


@pytest.mark.parametrize("slope", [0, "NaN", "Infinity", "1e400", 1e308, "steep", None, {}, 1e-200])
def test_garbage_slope_is_the_identity_A26(slope: Any) -> None:
    attributes = {"00281053": {"vr": "DS", "Value": [slope]}, "00281052": {"vr": "DS", "Value": [-1_024]}}
    assert gray(np.array([77], "u2"), attributes, Window(77, 2, EXACT)) == [128]


@pytest.mark.parametrize("intercept", ["NaN", "low", 1e308, None])
def test_garbage_intercept_is_the_identity_A26(intercept: Any) -> None:
    attributes = {"00281053": {"vr": "DS", "Value": [2]}, "00281052": {"vr": "DS", "Value": [intercept]}}
    assert gray(np.array([77], "u2"), attributes, Window(77, 2, EXACT)) == [128]


def test_negative_slope_shows_high_stored_values_dark() -> None:
    assert gray(np.array([0, 50, 100], "u2"), made_attributes(RescaleSlope=-2, RescaleIntercept=0)) == [255, 128, 0]


# -- VOI LUT --------------------------------------------------------------------------------------------------------


def test_order_of_preference_parameter_then_lut_then_window_then_default() -> None:
    stored = np.array([0, 100, 200], "u2")
    window = made_attributes(WindowCenter=100, WindowWidth=50, VOILUTFunction="LINEAR_EXACT")
    lut = voi_lut([201, 0, 8], [255] + 200 * [0])
    assert gray(stored, lut | window, Window(150, 100, EXACT)) == [0, 0, 255]
    assert gray(stored, lut | window) == [255, 0, 0]
    assert gray(stored, window) == [0, 128, 255]
    assert gray(np.array([0, 50, 200], "u2")) == [0, 64, 255]


def test_broken_voi_lut_leaves_the_window_A26() -> None:
    window = made_attributes(WindowCenter=100, WindowWidth=50)
    assert gray(np.array([0, 200], "u2"), voi_lut([0, 0, 16], [1]) | window) == [0, 255]


def test_voi_lut_is_indexed_by_rescaled_values_also_below_zero() -> None:
    attributes = voi_lut([2, 65_535 - 1_023, 12], [4_095, 0]) | made_attributes(RescaleSlope=1, RescaleIntercept=-1_024)
    assert gray(np.array([0, 1, 2, 60_000], "u2"), attributes) == [255, 0, 0, 0]


def test_voi_lut_of_fewer_than_8_bits_and_of_16_fill_the_gray_levels() -> None:
    stored = np.array([0, 1, 2], "u2")
    assert gray(stored, voi_lut([3, 0, 4], [0, 8, 15])) == [0, 136, 255]
    assert gray(stored, voi_lut([3, 0, 16], [0, 32_896, 65_535])) == [0, 128, 255]
    assert gray(stored, voi_lut([3, 0, 16], [0, 32_896, 65_535]), bits=16) == [0, 32_896, 65_535]


@pytest.mark.parametrize("width", [0, -400, "NaN", 1e308])
def test_garbage_window_of_a_file_is_replaced_by_the_default_A26(width: Any) -> None:
    attributes = {"00281050": {"vr": "DS", "Value": [40]}, "00281051": {"vr": "DS", "Value": [width]}}
    assert gray(np.array([-100, 0, 100], "i2"), attributes) == [0, 128, 255]


# -- Presentation LUT -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("photometric", "shape", "inverted"),
    [
        ("MONOCHROME2", None, False),
        ("MONOCHROME2", "IDENTITY", False),
        ("MONOCHROME2", "INVERSE", True),
        ("MONOCHROME1", None, True),
        ("MONOCHROME1", "IDENTITY", True),
        ("MONOCHROME1", "INVERSE", True),
    ],
)
def test_inversion_happens_once_REN_31(photometric: str, shape: str | None, inverted: bool) -> None:
    attributes = made_attributes(**({"PresentationLUTShape": shape} if shape else {}))
    shown = gray(np.array([0, 51, 255], "u1"), attributes, photometric=photometric)
    assert shown == ([255, 204, 0] if inverted else [0, 51, 255])


def test_presentation_lut_maps_what_the_window_made() -> None:
    attributes = presentation_lut([4, 0, 10], [1_023, 0, 341, 682])
    assert gray(np.array([0, 85, 170, 255], "u1"), attributes) == [255, 0, 85, 170]


def test_broken_presentation_lut_is_left_out_A26() -> None:
    assert gray(np.array([0, 85, 255], "u1"), presentation_lut([4, 0, 10], [1])) == [0, 85, 255]


# -- default window -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("stored", "image", "expected"),
    [
        (np.array([3, 4, 5], "u1"), {}, [3, 4, 5]),
        (np.array([-128, 0, 127], "i1"), {}, [0, 128, 255]),
        (np.array([3, 4, 5], "u2"), {"bits_stored": 8}, [3, 4, 5]),
        (np.array([0, 8, 15], "u1"), {"bits_stored": 4}, [0, 136, 255]),
        (np.array([3, 4, 5], "u2"), {"bits_stored": 12}, [0, 128, 255]),
        (np.array([-30, 0, 30], "i4"), {}, [0, 128, 255]),
        (np.array([1e30, 2e30, 3e30], "f4"), {}, [0, 128, 255]),
        (np.array([-1e308, 0, 1e308], "f8"), {}, [0, 128, 255]),
        (np.array([0, 1e-200, 2e-200], "f8"), {}, [0, 128, 255]),
        (np.array([0.0, np.nan, 1.0, np.inf, -np.inf], "f4"), {}, [0, 0, 255, 255, 0]),
        (np.array([np.nan, np.nan], "f8"), {}, [0, 0]),
        (np.array([0, 0], "u2"), {}, [0, 0]),
        (np.array([65_535, 65_535], "u2"), {}, [255, 255]),
        (np.array([0.5, 0.5], "f4"), {}, [128, 128]),
    ],
)
def test_default_window(stored: Any, image: dict[str, Any], expected: list[int]) -> None:
    assert gray(stored, **image) == expected


@pytest.mark.parametrize(("slope", "expected"), [(2, [0, 51, 255]), (-2, [255, 204, 0])])
def test_8_bits_keep_their_gray_levels_whatever_the_rescale(slope: int, expected: list[int]) -> None:
    attributes = made_attributes(RescaleSlope=slope, RescaleIntercept=-1_024)
    assert gray(np.array([0, 51, 255], "u1"), attributes) == expected


def test_values_that_no_real_world_value_mapping_maps_do_not_count() -> None:
    mapping = {"00409214": {"vr": "FD", "Value": [0.0]}, "00409213": {"vr": "FD", "Value": [1_000.0]}}
    stored = np.array([-9_999, 0, 250, 500], "f4")
    assert gray(stored, sequence("00409096", mapping)) == [0, 0, 128, 255]


def test_default_window_is_none_for_an_object_with_its_own() -> None:
    frame = made_frame(np.array([0, 1_000], "u2"))
    assert default_window(frame, made_attributes(WindowCenter=5, WindowWidth=9), no_bulk) is None
    assert default_window(frame, voi_lut([2, 0, 8], [0, 1]), no_bulk) is None
    assert default_window(frame, {}, no_bulk) == Window(500, 1_000, EXACT)


def test_tables_are_not_mixed_up_between_frames() -> None:
    stored = np.arange(0, 205, 5, dtype="u2")
    variants: list[tuple[Attributes, dict[str, Any]]] = [
        ({}, {}),
        ({}, {"photometric": "MONOCHROME1"}),
        ({}, {"signed": True, "bits_stored": 8}),
        (made_attributes(RescaleSlope=-2, RescaleIntercept=0), {}),
        (pad(100), {}),
        (pad(200), {}),
        (voi_lut([201, 0, 8], range(201)), {}),
        (voi_lut([201, 0, 8], range(200, -1, -1)), {}),
        (presentation_lut([2, 0, 8], [0, 255]), {}),
    ]
    first = [gray(stored, attributes, **image) for attributes, image in variants]
    again = [gray(stored, attributes, **image) for attributes, image in variants]
    assert first == again
    assert len({tuple(levels) for levels in first}) == len(variants)


# -- attacks --------------------------------------------------------------------------------------------------------

TAGS = ["00280101", "00280102", "00280120", "00280121", "00280122", "00280124", "00281050", "00281051", "00281052"]
TAGS += ["00281053", "00281056", "00283000", "00283002", "00283006", "00283010", "00409096", "00409213", "00409214"]
TAGS += ["20500010", "20500020", "00280030", "00280034", "00289132", "00289145", "52009229", "52009230"]

garbage = st.one_of(
    st.none(),
    st.integers(-(1 << 70), 1 << 70),
    st.integers(-3, 20),
    st.floats(),
    st.sampled_from(["", "NaN", "1e308", "-1e-308", "INVERSE", "SIGMOID", "A" * 40]),
)


def attribute_of(values: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    return st.one_of(
        st.just({"vr": "SQ"}),
        st.builds(lambda found: {"vr": "DS", "Value": found}, st.lists(values, min_size=1, max_size=4)),
        st.builds(lambda text: {"vr": "OW", "InlineBinary": text}, st.text("AB/+=", max_size=12)),
    )


items = st.dictionaries(st.sampled_from(TAGS), attribute_of(garbage), max_size=6)


@given(
    attributes=st.dictionaries(st.sampled_from(TAGS), attribute_of(st.one_of(garbage, items)), max_size=12),
    dtype=st.sampled_from(DTYPES),
    stored=st.integers(1, 64),
    bits=st.sampled_from([8, 16]),
)
def test_garbage_in_any_attribute_still_gives_a_picture_A22_A26(
    attributes: Attributes, dtype: str, stored: int, bits: int
) -> None:
    cells = np.arange(-2, 4).astype(dtype)
    shown = gray(cells, frame_attributes(attributes, 0), bits=bits, bits_stored=min(stored, 8 * int(dtype[1])))
    assert len(shown) == 6


def test_memory_beside_a_picture_does_not_grow_with_it() -> None:
    def beside(rows: int) -> int:
        frame = made_frame(np.arange(rows * 1024, dtype="u4").astype("u2").reshape(rows, 1024))
        tracemalloc.start()
        picture = render_grayscale(frame, {}, no_bulk, Rendering())
        peak = tracemalloc.get_traced_memory()[1] - picture.samples.nbytes
        tracemalloc.stop()
        return peak

    assert beside(8_192) < beside(1_024) + (1 << 20)


# -- what is no grayscale frame -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("image", "words"),
    [
        ({"photometric": "RGB"}, "Photometric Interpretation"),
        ({"photometric": "PALETTE COLOR"}, "Photometric Interpretation"),
        ({"samples": 3}, "Samples per Pixel"),
        ({"rows": 7}, "not as long as"),
        ({"bits_allocated": 12, "columns": 4, "rows": 1}, "Bits Allocated 12"),
        ({"bits_allocated": 24, "columns": 2, "rows": 1}, "Bits Allocated 24"),
        ({"bits_allocated": 16, "columns": 3, "rows": 1, "floating": True}, "32 or 64 bits"),
    ],
)
def test_what_is_no_grayscale_frame_cannot_be_rendered_A22_A23(image: dict[str, Any], words: str) -> None:
    frame = made_frame(np.array([1, 2, 3], "u2"))
    frame = frame._replace(image=type(frame.image)(**{**_fields(frame.image), **image}))
    with pytest.raises(CannotRender, match=words):
        render_grayscale(frame, {}, no_bulk, Rendering())


def _fields(image: Any) -> dict[str, Any]:
    return {name: getattr(image, name) for name in image.__slots__}


def test_picture_has_the_aspect_of_its_pixels() -> None:
    frame = made_frame(np.zeros((2, 3), "u1"))
    picture = render_grayscale(frame, made_attributes(PixelSpacing=[2, 1]), no_bulk, Rendering(window=FULL_8))
    assert (picture.rows, picture.columns, picture.pixel_aspect) == (2, 3, 2.0)
