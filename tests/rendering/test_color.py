"""Made color frames: every Photometric Interpretation, and what is wrong with them (PS3.3 C.7.6.3.1.2)."""

from __future__ import annotations

import colorsys
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dicomweb_core.errors import CannotRender
from dicomweb_core.rendering.color import is_color, render_color
from dicomweb_core.values.pixels import ImagePixel, NativeFrame
from dicomweb_core.values.renderings import Rendering, VOIFunction, Window
from tests.rendering.color_frames import made_color, palette_attributes, rgb
from tests.rendering.gray_frames import made_attributes, made_frame, no_bulk

RNG = np.random.default_rng(1)


def test_rgb_is_as_it_is_stored() -> None:
    stored = RNG.integers(0, 256, (5, 7, 3), np.uint8)
    assert rgb(made_color(stored)) == stored.tolist()


@pytest.mark.parametrize("photometric", ["RGB", "YBR_FULL"])
def test_planes_make_the_same_picture_as_pixels(photometric: str) -> None:
    stored = RNG.integers(0, 256, (5, 7, 3), np.uint8)
    planar = made_color(stored.transpose(2, 0, 1), photometric, planar=True)
    assert rgb(planar) == rgb(made_color(stored, photometric))


@pytest.mark.parametrize("photometric", ["YBR_ICT", "YBR_RCT", "XYB"])
def test_names_of_transforms_within_codestreams_mean_nothing_of_native_frames(photometric: str) -> None:
    stored = RNG.integers(0, 256, (5, 7, 3), np.uint8)
    assert rgb(made_color(stored, photometric)) == stored.tolist()


@pytest.mark.parametrize(("bits", "allocated"), [(5, 8), (8, 16), (10, 16), (12, 16), (16, 16), (32, 32)])
@pytest.mark.parametrize("photometric", ["RGB", "YBR_FULL"])
def test_bits_stored_are_brought_to_eight(photometric: str, bits: int, allocated: int) -> None:
    peak = (1 << bits) - 1
    fine = RNG.integers(0, peak + 1, (3, 4, 3), np.uint64)
    coarse = fine * 255 / peak
    frame = made_color(fine.astype(f"u{allocated // 8}"), photometric, bits_stored=bits)
    if photometric == "RGB":
        expected = np.floor(coarse + 0.5)
    else:
        neutral = (1 << (bits - 1)) * 255 / peak
        expected = np.clip(_from_ybr(*(coarse[..., plane] for plane in range(3)), neutral), 0, 255)
    assert np.abs(np.array(rgb(frame)) - expected).max() <= 1


def _from_ybr(luminance: Any, blueness: Any, redness: Any, neutral: float) -> Any:
    """ITU-R BT.601, from the weights of the three colors (PS3.3 C.7.6.3.1.2)."""
    red = luminance + 1.402 * (redness - neutral)
    blue = luminance + 1.772 * (blueness - neutral)
    return np.stack([red, (luminance - 0.299 * red - 0.114 * blue) / 0.587, blue], axis=-1)


def test_what_is_above_bits_stored_is_not_color() -> None:
    stored = np.array([[[0xF00A, 0x1005, 0x000F]]], np.uint16)
    assert rgb(made_color(stored, bits_stored=4)) == [[[170, 85, 255]]]


def test_the_largest_values_stay_the_largest() -> None:
    for dtype in (np.uint8, np.uint16, np.uint32):
        assert rgb(made_color(np.full((1, 1, 3), np.iinfo(dtype).max, dtype))) == [[[255, 255, 255]]]


@pytest.mark.parametrize(
    ("photometric", "stored", "expected"),
    [
        ("YBR_FULL", [0, 128, 128], [0, 0, 0]),
        ("YBR_FULL", [255, 128, 128], [255, 255, 255]),
        ("YBR_FULL", [76, 85, 255], [254, 0, 0]),
        ("YBR_FULL", [150, 44, 21], [0, 255, 1]),
        ("YBR_FULL", [29, 255, 107], [0, 0, 254]),
        ("YBR_PARTIAL_420", [16, 128, 128], [0, 0, 0]),
        ("YBR_PARTIAL_420", [235, 128, 128], [255, 255, 255]),
        ("YBR_PARTIAL_420", [81, 90, 240], [254, 0, 0]),
        ("YBR_PARTIAL_420", [145, 54, 34], [0, 255, 1]),
        ("YBR_PARTIAL_420", [41, 240, 110], [0, 0, 255]),
        ("YBR_PARTIAL_420", [0, 128, 128], [0, 0, 0]),
        ("CMYK", [0, 0, 0, 0], [255, 255, 255]),
        ("CMYK", [0, 0, 0, 255], [0, 0, 0]),
        ("CMYK", [255, 0, 0, 0], [0, 255, 255]),
        ("CMYK", [0, 128, 255, 51], [204, 102, 0]),
        ("ARGB", [0, 1, 2, 3], [1, 2, 3]),
    ],
)
def test_colors_everybody_knows(photometric: str, stored: list[int], expected: list[int]) -> None:
    found = np.array(rgb(made_color(np.array([[stored]], np.uint8), photometric)))
    assert np.abs(found - expected).max() <= 1


@given(st.tuples(*[st.integers(0, 255)] * 3))
def test_hsv_is_as_python_has_it(stored: tuple[int, int, int]) -> None:
    expected = np.array(colorsys.hsv_to_rgb(*(sample / 255 for sample in stored))) * 255
    found = np.array(rgb(made_color(np.array([[stored]], np.uint8), "HSV")))
    assert np.abs(found - expected).max() <= 0.51


@pytest.mark.parametrize(("full", "half"), [("YBR_FULL", "YBR_FULL_422"), ("YBR_PARTIAL_420", "YBR_PARTIAL_422")])
def test_two_pixels_share_their_chrominances(full: str, half: str) -> None:
    packed = np.array([50, 60, 100, 200, 70, 80, 30, 220], np.uint8)
    frame = NativeFrame(packed.tobytes(), ImagePixel(2, 2, 3, 8, 8, photometric=half))
    whole = [[[50, 100, 200], [60, 100, 200]], [[70, 30, 220], [80, 30, 220]]]
    assert rgb(frame) == rgb(made_color(np.array(whole, np.uint8), full))


def test_an_alpha_plane_selects_from_its_palette() -> None:
    attributes = palette_attributes([2, 0, 8], [9, 10], [9, 20], [9, 30], size=1)
    stored = np.array([[[0, 1, 2, 3], [1, 1, 2, 3]]], np.uint8)
    assert rgb(made_color(stored, "ARGB"), attributes) == [[[1, 2, 3], [10, 20, 30]]]


@pytest.mark.parametrize(
    "frame",
    [
        pytest.param(NativeFrame(bytes(4), ImagePixel(2, 2, 1, 8, 8, photometric="RGB")), id="A23 RGB of one sample"),
        pytest.param(NativeFrame(bytes(4), ImagePixel(2, 2, 1, 8, 8, photometric="YBR_FULL")), id="A23 YBR of one"),
        pytest.param(NativeFrame(bytes(12), ImagePixel(2, 2, 3, 8, 8, photometric="CMYK")), id="A23 CMYK of three"),
        pytest.param(NativeFrame(bytes(12), ImagePixel(2, 2, 3, 8, 8, photometric="PALETTE COLOR")), id="A23 palette"),
        pytest.param(NativeFrame(bytes(12), ImagePixel(2, 2, 3, 8, 8, photometric="")), id="A23 nameless"),
        pytest.param(NativeFrame(bytes(12), ImagePixel(2, 2, 3, 8, 8, photometric="MONOCHROME2")), id="A23 MONOCHROME"),
        pytest.param(NativeFrame(bytes(11), ImagePixel(2, 2, 3, 8, 8, photometric="RGB")), id="A22 too short"),
        pytest.param(NativeFrame(bytes(2), ImagePixel(2, 2, 3, 1, 1, photometric="RGB")), id="A22 one bit"),
        pytest.param(NativeFrame(bytes(18), ImagePixel(2, 2, 3, 12, 12, photometric="RGB")), id="A22 twelve bits"),
        pytest.param(
            NativeFrame(bytes(6), ImagePixel(1, 3, 3, 8, 8, photometric="YBR_FULL_422")), id="A22 odd half chrominance"
        ),
        pytest.param(
            NativeFrame(bytes(16), ImagePixel(2, 2, 1, 32, 32, photometric="PALETTE COLOR")), id="A23 palette of 32"
        ),
    ],
)
def test_what_is_no_color_frame_says_so(frame: NativeFrame) -> None:
    with pytest.raises(CannotRender):
        render_color(frame, palette_attributes([1, 0, 8], [1], [1], [1], size=1), no_bulk, Rendering())


def supplemental(first: int = 100) -> dict[str, Any]:
    colors = palette_attributes([2, first, 16], [0xFFFF, 0], [0, 0xFFFF], [0, 0])
    return {**made_attributes(PixelPresentation="COLOR", WindowCenter=50, WindowWidth=100), **colors}


def test_a_supplemental_palette_colors_what_it_maps_and_what_is_above() -> None:
    frame = made_frame(np.array([[0, 50, 99, 100, 101, 4000]], np.uint16), bits_stored=12)
    assert rgb(frame, supplemental()) == [
        [[0, 0, 0], [129, 129, 129], [255, 255, 255], [255, 0, 0], [0, 255, 0], [0, 255, 0]]
    ]


def test_the_window_counts_below_a_supplemental_palette_only() -> None:
    frame = made_frame(np.array([[0, 50, 100]], np.uint16))
    rendering = Rendering(window=Window(25, 50, VOIFunction.LINEAR_EXACT))
    picture = render_color(frame, supplemental(), no_bulk, rendering)
    assert picture.samples.tolist() == [[[0, 0, 0], [255, 255, 255], [255, 0, 0]]]


def test_the_default_window_does_not_see_colors() -> None:
    attributes = supplemental()
    del attributes["00281050"], attributes["00281051"]
    ramp = np.arange(100, dtype=np.uint16)
    alone = rgb(made_frame(np.stack([ramp, ramp])), attributes)
    beside_colors = rgb(made_frame(np.stack([ramp, np.full(100, 60_000, np.uint16)])), attributes)
    assert beside_colors[0] == alone[0]
    assert beside_colors[1] == [[0, 255, 0]] * 100


def test_a_supplemental_palette_may_begin_below_zero() -> None:
    frame = made_frame(np.array([[-6, -5, -4]], np.int16))
    attributes = supplemental(0x10000 - 5)
    assert rgb(frame, attributes)[0][1:] == [[255, 0, 0], [0, 255, 0]]


def test_what_is_color() -> None:
    gray = ImagePixel(1, 1, 1, 16, 16)
    assert not is_color(gray, {})
    assert not is_color(gray, made_attributes(PixelPresentation="COLOR"))
    assert not is_color(gray, {**supplemental(), **made_attributes(PixelPresentation="MONOCHROME")})
    assert is_color(gray, supplemental())
    assert is_color(replace(gray, photometric="PALETTE COLOR"), {})
    assert is_color(replace(gray, photometric="UNHEARD OF"), {})


def test_pixels_keep_their_aspect() -> None:
    frame = made_color(np.zeros((2, 2, 3), np.uint8))
    picture = render_color(frame, made_attributes(PixelAspectRatio=[4, 3]), no_bulk, Rendering())
    assert picture.pixel_aspect == pytest.approx(4 / 3)
