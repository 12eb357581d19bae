"""Region, viewport and pixel aspect (PS3.18 8.3.5.1.3, 9.5.1.2.4, 9.5.1.2.5)."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from dicomweb_core.errors import InvalidQuery
from dicomweb_core.rendering.geometry import Box, Interpolation, fitted_size, place, scaled
from dicomweb_core.rendering.pictures import Picture
from dicomweb_core.values.limits import Limits
from dicomweb_core.values.renderings import Region, Rendering, Viewport

RNG = np.random.default_rng(5)
LIMITS = Limits()


def placed(samples: Any, viewport: Viewport | None = None, aspect: float = 1.0, region: Region | None = None) -> Any:
    rendering = Rendering(viewport=viewport, region=region)
    return place(Picture(samples, pixel_aspect=aspect), rendering, LIMITS).samples


def smooth(rows: int = 256, columns: int = 512) -> Any:
    """Red grows to the right, green downwards; samples do not change much from one to the next."""
    down, across = np.mgrid[0:rows, 0:columns]
    red, green = across * 255 / max(1, columns - 1), down * 255 / max(1, rows - 1)
    return np.stack([red, green, np.full_like(red, 100)], axis=-1).astype(np.uint8)


IMAGE = smooth()


@pytest.mark.parametrize(
    ("viewport", "size"),
    [
        pytest.param(Viewport(100, 100), (100, 50), id="REN-15 shrinks"),
        pytest.param(Viewport(1024, 1024), (1024, 512), id="REN-15 enlarges"),
        pytest.param(Viewport(100, 100, 0, 0, 256, 256), (100, 100), id="REN-16 left half"),
        pytest.param(Viewport(100, 100, crop_width=512, flip_horizontal=True), (100, 50), id="REN-17 mirrored"),
        pytest.param(Viewport(512, 512, 0, 0, 512, 512), (512, 256), id="REN-16 partly outside is cut"),
        pytest.param(Viewport(512, 256), (512, 256), id="REN-15 same size"),
        pytest.param(Viewport(1, 1), (1, 1), id="REN-15 at least one pixel"),
        pytest.param(Viewport(10**10, 1), (2, 1), id="A26 one side is enormous"),
        pytest.param(Viewport(300, 1000, 10.5, 20.25, 30, 10), (300, 100), id="REN-16 fractions"),
        pytest.param(Viewport(100, 100, 500, 0, 100, 12), (100, 100), id="REN-16 aspect of what is inside"),
        pytest.param(Viewport(100, 100, 256), (100, 100), id="REN-18 to the edge"),
    ],
)
def test_examples_of_sizes(viewport: Viewport, size: tuple[int, int]) -> None:
    samples = placed(IMAGE, viewport)
    assert (samples.shape[1], samples.shape[0]) == size
    assert samples.flags.c_contiguous


def test_scaling_keeps_what_is_seen_REN_15() -> None:
    for width, height in [(100, 50), (1024, 512), (37, 18)]:
        found = placed(IMAGE, Viewport(width, height)).astype(int)
        expected = smooth(*found.shape[:2]).astype(int)
        assert np.abs(found - expected).max() <= 255 / width + 6


def test_a_crop_is_applied_before_scaling_REN_16() -> None:
    crop = Viewport(50, 50, 128, 64, 100, 100)
    alone = placed(np.ascontiguousarray(IMAGE[64:164, 128:228]), Viewport(50, 50))
    assert (placed(IMAGE, crop) == alone).all()


def test_a_crop_of_the_same_size_is_exact_REN_16() -> None:
    noise = RNG.integers(0, 256, (40, 60), np.uint8)
    assert (placed(noise, Viewport(20, 10, 5, 7, 20, 10)) == noise[7:17, 5:25]).all()


@pytest.mark.parametrize("shape", [(40, 60), (40, 60, 3)])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_flips_are_exact_REN_17(shape: tuple[int, ...], dtype: Any) -> None:
    noise = RNG.integers(0, np.iinfo(dtype).max, shape, dtype)
    across = placed(noise, Viewport(60, 40, crop_width=60, flip_horizontal=True))
    assert (across == noise[:, ::-1]).all()
    down = placed(noise, Viewport(60, 40, flip_vertical=True))
    assert (down == noise[::-1]).all()
    both = placed(noise, Viewport(10, 10, 5, 7, 10, 10, flip_horizontal=True, flip_vertical=True))
    assert (both == noise[7:17, 5:15][::-1, ::-1]).all()
    assert both.dtype == dtype


def test_a_flip_turns_the_cropped_part_in_place_REN_17() -> None:
    plain = placed(IMAGE, Viewport(33, 33, 10, 20, 200, 100))
    turned = placed(IMAGE, Viewport(33, 33, 10, 20, 200, 100, flip_horizontal=True))
    assert (turned == plain[:, ::-1]).all()


@pytest.mark.parametrize("aspect", [1.0, 2.0, 0.5])
def test_without_a_viewport_the_matrix_stays_REN_19(aspect: float) -> None:
    assert (placed(IMAGE, aspect=aspect) == IMAGE).all()


@pytest.mark.parametrize(("aspect", "size"), [(2.0, (50, 50)), (0.5, (100, 25)), (4 / 3, (75, 50)), (1.0, (100, 50))])
def test_pixels_become_square_before_scaling(aspect: float, size: tuple[int, int]) -> None:
    picture = place(Picture(IMAGE, pixel_aspect=aspect), Rendering(viewport=Viewport(100, 50)), LIMITS)
    assert (picture.columns, picture.rows) == size
    assert picture.pixel_aspect == 1.0


@pytest.mark.parametrize(
    "viewport",
    [
        pytest.param(Viewport(10, 10, 512, 0), id="right of it"),
        pytest.param(Viewport(10, 10, 0, 256), id="below"),
        pytest.param(Viewport(10, 10, 1e15, 1e15, 1, 1), id="far away"),
        pytest.param(Viewport(10, 10, 1, 1, 1e-300, 1e-300), id="nothing"),
    ],
)
def test_a_crop_outside_the_image_is_refused_REN_20_A26(viewport: Viewport) -> None:
    with pytest.raises(InvalidQuery, match="viewport"):
        placed(IMAGE, viewport)


def test_an_enormous_picture_is_refused_before_it_is_made_A26() -> None:
    with pytest.raises(InvalidQuery, match="rendered_pixels"):
        placed(IMAGE, Viewport(10**9, 10**9))


def test_the_limit_is_for_what_grows() -> None:
    limits = Limits(rendered_pixels=5_000)
    picture = Picture(IMAGE)
    assert place(picture, Rendering(), limits).rows == 256
    assert place(picture, Rendering(viewport=Viewport(512, 256)), limits).rows == 256
    assert place(picture, Rendering(viewport=Viewport(100, 50)), limits).rows == 50
    with pytest.raises(InvalidQuery):
        place(picture, Rendering(viewport=Viewport(514, 257)), limits)


@pytest.mark.parametrize(
    ("region", "box"),
    [
        pytest.param(Region(0, 0, 1, 1), (0, 0, 512, 256), id="all"),
        pytest.param(Region(0.5, 0.25, 1, 0.75), (256, 64, 512, 192), id="a part"),
        pytest.param(Region(0.1, 0.1, 0.2, 0.2), (51, 26, 102, 51), id="rounded"),
        pytest.param(Region(0.9999, 0.9999, 1, 1), (511, 255, 512, 256), id="less than a pixel"),
        pytest.param(Region(0, 0, 1e-9, 1e-9), (0, 0, 1, 1), id="nearly nothing"),
    ],
)
def test_a_region_is_cut_out_of_whole_pixels(region: Region, box: tuple[int, int, int, int]) -> None:
    left, top, right, bottom = box
    assert (placed(IMAGE, region=region) == IMAGE[top:bottom, left:right]).all()


def test_the_region_comes_before_the_viewport_REN_27() -> None:
    half = placed(np.ascontiguousarray(IMAGE[:, 256:]), Viewport(64, 64))
    assert (placed(IMAGE, Viewport(64, 64), region=Region(0.5, 0, 1, 1)) == half).all()
    corner = placed(IMAGE, Viewport(50, 50, 100, 100), region=Region(0.5, 0, 1, 1))
    assert (corner == placed(IMAGE, Viewport(50, 50, 356, 100))).all()


def test_what_is_outside_does_not_bleed_into_a_crop() -> None:
    image = np.zeros((64, 64), np.uint8)
    image[:, 32:] = 255
    assert placed(image, Viewport(200, 400, 0, 0, 32, 64)).max() == 0
    assert placed(image, Viewport(200, 400, 32, 0, 32, 64)).min() == 255


def test_scaling_is_like_that_of_pillow() -> None:
    noise = RNG.integers(0, 256, (90, 120, 3), np.uint8)
    expected = Image.fromarray(noise).resize((40, 30), Image.Resampling.BICUBIC)
    assert np.abs(placed(noise, Viewport(40, 30)).astype(int) - np.asarray(expected)).mean() < 8


def test_sixteen_bits_are_scaled_as_such() -> None:
    ramp = (np.mgrid[0:64, 0:64][1] * 1000).astype(np.uint16)
    found = placed(ramp, Viewport(128, 128))
    assert found.dtype == np.uint16
    assert len(np.unique(found)) > 100
    spike = np.zeros((9, 9), np.uint16)
    spike[4, 4] = 65535
    assert placed(spike, Viewport(99, 99)).max() == 65535


def test_labels_stay_labels() -> None:
    labels = RNG.choice(np.array([0, 7, 200], np.uint8), (31, 47))
    for size in [(10, 7), (47, 31), (100, 66), (500, 330)]:
        found = scaled(labels, Box(0, 0, 47, 31), *size, Interpolation.NEAREST)
        assert found.shape == size[::-1]
        assert set(np.unique(found)) <= {0, 7, 200}
    doubled = scaled(labels, Box(0, 0, 47, 31), 94, 62, Interpolation.NEAREST)
    assert (doubled == labels.repeat(2, axis=0).repeat(2, axis=1)).all()


SIDES = st.integers(1, 4000)
ASPECTS = st.floats(0.01, 100)


@given(SIDES, SIDES, SIDES, SIDES, ASPECTS)
def test_the_result_touches_the_viewport_and_never_exceeds_it_REN_15(
    columns: int, rows: int, width: int, height: int, aspect: float
) -> None:
    across, down = fitted_size(Box(0, 0, columns, rows), Viewport(width, height), aspect)
    assert across == width or down == height
    assert 1 <= across <= width
    assert 1 <= down <= height
    exact = columns / (rows * aspect)
    if across == width:
        assert abs(down - min(height, max(1, width / exact))) <= 0.5 + 1e-6
    else:
        assert abs(across - min(width, max(1, height * exact))) <= 0.5 + 1e-6


SMALL = st.integers(1, 40)
PLACES = st.floats(0, 45, allow_subnormal=False)


@given(SMALL, SMALL, SMALL, SMALL, PLACES, PLACES, st.none() | PLACES, st.none() | PLACES, st.sampled_from([1, 0.3, 5]))
def test_every_crop_gives_a_picture_or_is_refused_A26(
    columns: int,
    rows: int,
    width: int,
    height: int,
    left: float,
    top: float,
    crop_width: float | None,
    crop_height: float | None,
    aspect: float,
) -> None:
    viewport = Viewport(width, height, left, top, crop_width, crop_height)
    samples = np.full((rows, columns), 77, np.uint8)
    try:
        found = placed(samples, viewport, aspect)
    except InvalidQuery:
        assert left >= columns or top >= rows or crop_width is not None or crop_height is not None
        return
    assert found.shape[0] == height or found.shape[1] == width
    assert (found == 77).all()
