"""Pictures as files: read back by Pillow and imagecodecs."""

from __future__ import annotations

import io
import tracemalloc
from collections.abc import Iterator
from typing import Any

import imagecodecs
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from numpy.typing import NDArray
from PIL import Image, ImageSequence

from dicomweb_core.errors import CannotRender
from dicomweb_core.rendering.icc import in_color_space
from dicomweb_core.rendering.icc_profiles import adobe_rgb_profile, gray_profile, srgb_profile
from dicomweb_core.rendering.pictures import Motion, Picture, Samples
from dicomweb_core.rendering.raster import FORMATS, encode, rendered_types
from dicomweb_core.values.renderings import ColorSpace

LOSSLESS = ("image/png", "image/jp2", "image/jph", "image/jxl")
GRAY = np.add.outer(np.arange(40), np.arange(60)).astype(np.uint8) * 2
RGB = np.stack([GRAY, GRAY[::-1], 255 - GRAY], axis=2)
DEEP = GRAY.astype(np.uint16) * 257 + 3


def file(picture: Picture, media_type: str, quality: int | None = None) -> bytes:
    return b"".join(encode([picture], media_type, quality))


def read(content: bytes, media_type: str) -> NDArray[Any]:
    if media_type == "image/jxl":
        return np.asarray(imagecodecs.jpegxl_decode(content))
    image = Image.open(io.BytesIO(content))
    assert image.get_format_mimetype() in (media_type, "image/jp2")
    return np.asarray(image.convert("RGB") if image.mode == "P" else image)


def test_the_extra_brings_all_types() -> None:
    assert rendered_types() == tuple(FORMATS)


@pytest.mark.parametrize("samples", [GRAY, RGB, DEEP], ids=["gray", "RGB", "16 bits"])
@pytest.mark.parametrize("media_type", LOSSLESS)
def test_nothing_is_lost(media_type: str, samples: Samples) -> None:
    assert np.array_equal(read(file(Picture(samples), media_type), media_type), samples)


@pytest.mark.parametrize("media_type", ["image/jpeg", "image/webp", "image/avif", "image/jp2", "image/jxl"])
def test_little_is_lost(media_type: str) -> None:
    for samples in (GRAY, RGB):
        found = read(file(Picture(samples), media_type, 90), media_type).astype(int)
        if found.ndim > samples.ndim:
            found = found[:, :, 0]
        assert np.abs(found - samples).mean() < 3


@pytest.mark.parametrize("media_type", ["image/jpeg", "image/gif", "image/webp", "image/avif"])
def test_16_bits_become_8(media_type: str) -> None:
    found = read(file(Picture(DEEP), media_type), media_type).astype(int)
    assert np.abs((found[:, :, 0] if found.ndim == 3 else found) - GRAY).mean() < 3


def test_gray_stays_one_component() -> None:
    for media_type, mode in (("image/jpeg", "L"), ("image/png", "L"), ("image/gif", "L"), ("image/jp2", "L")):
        assert Image.open(io.BytesIO(file(Picture(GRAY), media_type))).mode == mode


@pytest.mark.parametrize("media_type", ["image/jpeg", "image/png", "image/webp", "image/avif"])
@pytest.mark.parametrize(("samples", "profile"), [(GRAY, gray_profile()), (RGB, srgb_profile())], ids=["gray", "RGB"])
def test_profiles_are_embedded(media_type: str, samples: Samples, profile: bytes) -> None:
    with_profile = Image.open(io.BytesIO(file(Picture(samples, profile), media_type)))
    assert with_profile.info["icc_profile"] == profile
    assert not Image.open(io.BytesIO(file(Picture(samples), media_type))).info.get("icc_profile")


@pytest.mark.parametrize("media_type", ["image/jp2", "image/jph"])
def test_profiles_in_boxes(media_type: str) -> None:
    content = file(Picture(RGB, srgb_profile()), media_type)
    assert b"colr\x02\x00\x00" + srgb_profile() in content
    assert b"colr\x01\x00\x00\x00\x00\x00\x10" in file(Picture(RGB), media_type)
    assert content[20:24] == media_type[6:].encode() + b" "


@pytest.mark.parametrize("media_type", sorted(FORMATS))
@pytest.mark.parametrize("shape", [(1, 1), (1, 300), (7, 1), (3, 2)])
def test_small_pictures(media_type: str, shape: tuple[int, int]) -> None:
    for samples in (np.full(shape, 7, np.uint8), np.full((*shape, 3), 7, np.uint8)):
        found = read(file(Picture(samples), media_type), media_type)
        assert found.shape[:2] == shape
        assert np.abs(found.astype(int)[..., :3] - 7).max() < 8


def test_a_side_too_long_for_the_type() -> None:
    wide = Picture(np.zeros((1, 70_000), np.uint8))
    for media_type in ("image/jpeg", "image/gif", "image/webp", "image/avif"):
        with pytest.raises(CannotRender, match="rows or columns"):
            file(wide, media_type)
    assert read(file(wide, "image/png"), "image/png").shape == (1, 70_000)


@given(
    arrays.arrays(
        st.sampled_from([np.uint8, np.uint16]),
        st.one_of(
            st.tuples(st.integers(1, 30), st.integers(1, 30)),
            st.tuples(st.integers(1, 30), st.integers(1, 30), st.just(3)),
        ),
    )
)
def test_any_png(samples: Samples) -> None:
    # Pillow reads RGB of 16 bits as 8.
    found = np.asarray(imagecodecs.png_decode(file(Picture(samples), "image/png")))
    assert np.array_equal(found, samples)


def test_a_png_of_several_bands() -> None:
    samples = np.arange(3000 * 2100, dtype=np.uint32).astype(np.uint8).reshape(2100, 3000)
    assert np.array_equal(read(file(Picture(samples), "image/png"), "image/png"), samples)


def test_colors_of_an_animation() -> None:
    pictures = [Picture(RGB), Picture(RGB[::-1])]
    image = Image.open(io.BytesIO(b"".join(encode(pictures, "image/gif", None, Motion(0.04, 2)))))
    assert image.info["duration"] == 40
    for frame, picture in zip(ImageSequence.Iterator(image), pictures, strict=True):
        assert np.abs(np.asarray(frame.convert("RGB")).astype(int) - picture.samples).mean() < 8


def test_frames_of_different_sizes_are_no_animation() -> None:
    chunks = encode([Picture(GRAY), Picture(GRAY[1:])], "image/gif", None, Motion(0.1, 100))
    with pytest.raises(CannotRender, match="one size"):
        list(chunks)


def test_an_animation_needs_the_memory_of_a_frame() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (256, 256), np.uint8)

    def frames() -> Iterator[Picture]:
        for turn in range(100):
            yield Picture(np.roll(noise, turn, 0))

    list(encode([Picture(noise)], "image/gif", None, Motion(0.1, 100)))
    tracemalloc.start()
    try:
        size = sum(len(chunk) for chunk in encode(frames(), "image/gif", None, Motion(0.1, 100)))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert size > 100 * noise.size
    assert peak < 20 * noise.size


@pytest.mark.parametrize("media_type", [name for name, form in FORMATS.items() if not form.profiles])
def test_without_a_profile_colors_are_those_of_srgb(media_type: str) -> None:
    wide = Picture(RGB, adobe_rgb_profile())
    expected = in_color_space(wide, ColorSpace.SRGB)
    assert np.abs(expected.samples.astype(int) - RGB).max() > 20
    found = read(file(wide, media_type), media_type)
    assert np.array_equal(found, read(file(Picture(expected.samples), media_type), media_type))
    assert np.array_equal(read(file(Picture(GRAY, gray_profile()), media_type), media_type), GRAY)
