"""Colours of inks and how they are laid upon samples."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image, ImageCms

from dicomweb_core.rendering.inks import BLACK, WHITE, Ink, blend, ink_of, srgb_of
from dicomweb_core.values.attributes import Attributes


@pytest.mark.parametrize("lab", [(50, 0, 0), (60, 40, 30), (70, -40, 40), (40, 20, -45), (90, -10, 60), (20, 5, 5)])
def test_cielab_is_what_littlecms_makes_of_it(lab: tuple[int, int, int]) -> None:
    # Pillow keeps a* and b* as signed bytes in LAB images.
    pixel = Image.frombytes("LAB", (1, 1), bytes([round(lab[0] * 2.55), lab[1] & 0xFF, lab[2] & 0xFF]))
    profiles = ImageCms.createProfile("LAB", 5000), ImageCms.createProfile("sRGB")
    expected = ImageCms.profileToProfile(pixel, *profiles, renderingIntent=1, outputMode="RGB")
    found = srgb_of([lab[0] * 655.35, (lab[1] + 128) * 257, (lab[2] + 128) * 257])
    assert expected is not None
    assert np.abs(np.array(found) * 255 - np.asarray(expected)[0, 0]).max() < 3


def _layer(gray: int | None, lab: list[int] | None) -> Attributes:
    found: Attributes = {}
    if gray is not None:
        found["00700066"] = {"vr": "US", "Value": [gray]}
    if lab is not None:
        found["00700401"] = {"vr": "US", "Value": lab}
    return found


def test_of_gray_and_color_the_color_counts_unless_it_is_gray() -> None:
    tags = ("00700066", "00700401")
    assert ink_of(_layer(0x8000, None), *tags, WHITE) == Ink(0x8000 / 0xFFFF)
    assert ink_of(_layer(0x8000, [65535, 0x8080, 0x8080]), *tags, WHITE) == Ink(0x8000 / 0xFFFF)
    colored = ink_of(_layer(0x8000, [35579, 53662, 50858]), *tags, WHITE)
    assert colored is not None
    assert colored.gray == 0x8000 / 0xFFFF
    assert colored.rgb == pytest.approx((1, 0, 0), abs=0.02)
    assert ink_of(_layer(70_000, [1, 2]), *tags, WHITE) is WHITE
    assert ink_of({}, *tags, None) is None


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_half_covered_is_half_way(dtype: type) -> None:
    peak = np.iinfo(dtype).max
    samples = np.full((2, 2), peak, dtype)
    blend(samples, np.array([[0, 51], [255, 255]], np.uint8), 0, 0, BLACK)
    assert samples.tolist() == [[peak, round(peak * 0.8)], [0, 0]]


@pytest.mark.parametrize(("left", "top"), [(-1, -1), (2, 1), (-9, 0), (0, 9), (5, 5)])
def test_what_lies_outside_is_cut(left: int, top: int) -> None:
    samples = np.zeros((4, 3, 3), np.uint8)
    blend(samples, np.full((2, 2), 255, np.uint8), left, top, Ink(1.0, (1.0, 0.0, 0.0)))
    expected = np.zeros((20, 20), np.uint8)
    expected[10 + top : 12 + top, 10 + left : 12 + left] = 255
    assert (samples[:, :, 0] == expected[10:14, 10:13]).all()
    assert samples[:, :, 1:].max() == 0
