"""ICC profiles: those of stored images, those made here, and the `iccprofile` parameter (PS3.18 8.3.5.1.5)."""

from __future__ import annotations

import base64
import io
import struct
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import ImageCms

from dicomweb_core.rendering.color import render_color
from dicomweb_core.rendering.icc import WELL_KNOWN, in_color_space, stored_profile
from dicomweb_core.rendering.icc_profiles import adobe_rgb_profile, gray_profile, romm_rgb_profile, srgb_profile
from dicomweb_core.rendering.pictures import Picture
from dicomweb_core.values.limits import Limits
from dicomweb_core.values.renderings import ColorSpace, Rendering
from tests.rendering.color_frames import made_color
from tests.rendering.gray_frames import no_bulk

RNG = np.random.default_rng(3)
COLORS = RNG.integers(0, 256, (16, 16, 3), np.uint8)

# Matrices as published by Bruce Lindbloom: RGB working spaces and chromatic adaptation.
SRGB_TO_D65 = np.array(
    [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750], [0.0193339, 0.1191920, 0.9503041]]
)
D65_TO_ADOBE = np.array(
    [[2.0413690, -0.5649464, -0.3446944], [-0.9692660, 1.8760108, 0.0415560], [0.0134474, -0.1183897, 1.0154096]]
)
D65_TO_D50 = np.array(
    [[1.0478112, 0.0228866, -0.0501270], [0.0295424, 0.9904844, -0.0170491], [-0.0092345, 0.0150436, 0.7521316]]
)
D50_TO_ROMM = np.array([[1.3459433, -0.2556075, -0.0511118], [-0.5445989, 1.5081673, 0.0205351], [0.0, 0.0, 1.2118128]])


def lcms_profile(name: str = "sRGB") -> bytes:
    return ImageCms.ImageCmsProfile(ImageCms.createProfile(name)).tobytes()


def _light(samples: Any) -> Any:
    codes = samples / 255
    return np.where(codes <= 0.04045, codes / 12.92, ((codes + 0.055) / 1.055) ** 2.4)


def _adobe(samples: Any) -> Any:
    light = _light(samples) @ (D65_TO_ADOBE @ SRGB_TO_D65).T
    return np.clip(light, 0, 1) ** (256 / 563) * 255


def _romm(samples: Any) -> Any:
    light = np.clip(_light(samples) @ (D50_TO_ROMM @ D65_TO_D50 @ SRGB_TO_D65).T, 0, 1)
    return np.where(light < 1 / 512, light * 16, light ** (1 / 1.8)) * 255


@pytest.mark.parametrize(
    ("space", "expected"), [(ColorSpace.ADOBE_RGB, _adobe), (ColorSpace.ROMM_RGB, _romm)], ids=["adobergb", "rommrgb"]
)
def test_spaces_are_where_their_primaries_put_them_REN_25(space: ColorSpace, expected: Any) -> None:
    found = in_color_space(Picture(COLORS), space)
    assert np.abs(found.samples - expected(COLORS.astype(float))).max() <= 1.5
    assert found.icc_profile == WELL_KNOWN[space]()


@pytest.mark.parametrize(
    ("space", "stored", "expected"),
    [
        (ColorSpace.ADOBE_RGB, [255, 0, 0], [219, 0, 0]),
        (ColorSpace.ADOBE_RGB, [0, 255, 0], [144, 255, 60]),
        (ColorSpace.ADOBE_RGB, [255, 255, 255], [255, 255, 255]),
        (ColorSpace.ROMM_RGB, [255, 0, 0], [179, 70, 26]),
        (ColorSpace.ROMM_RGB, [255, 255, 255], [255, 255, 255]),
        (ColorSpace.ROMM_RGB, [0, 0, 0], [0, 0, 0]),
    ],
)
def test_colors_everybody_knows(space: ColorSpace, stored: list[int], expected: list[int]) -> None:
    assert in_color_space(Picture(np.array([[stored]], np.uint8)), space).samples.tolist() == [[expected]]


@pytest.mark.parametrize("profile", [srgb_profile, adobe_rgb_profile, romm_rgb_profile, gray_profile])
def test_littlecms_reads_the_profiles_made_here(profile: Any) -> None:
    read = ImageCms.ImageCmsProfile(io.BytesIO(profile())).profile
    assert read.xcolor_space.strip() == ("GRAY" if profile is gray_profile else "RGB")
    assert read.version == pytest.approx(2.1)
    assert read.profile_description
    assert struct.unpack_from(">I", profile())[0] == len(profile())
    if profile is not gray_profile:
        white = sum(np.array(color[0]) for color in (read.red_colorant, read.green_colorant, read.blue_colorant))
        assert white == pytest.approx([0.9642, 1.0, 0.8249], abs=1e-4)


def _curve(profile: bytes, tag: bytes) -> list[int]:
    """Entries of a tone curve (ICC.1:2001-04 6.5.3)."""
    for place in range(132, 132 + 12 * struct.unpack_from(">I", profile, 128)[0], 12):
        if profile[place : place + 4] == tag:
            start = struct.unpack_from(">I", profile, place + 4)[0]
            assert profile[start : start + 4] == b"curv"
            count = struct.unpack_from(">I", profile, start + 8)[0]
            return list(struct.unpack_from(f">{count}H", profile, start + 12))
    raise AssertionError(tag)


@pytest.mark.parametrize(
    ("profile", "tag", "linear_below", "slope", "above"),
    [
        pytest.param(romm_rgb_profile, b"gTRC", 1 / 32, 16, lambda code: code**1.8, id="ROMM RGB"),
        pytest.param(srgb_profile, b"bTRC", 0.04045, 12.92, lambda code: ((code + 0.055) / 1.055) ** 2.4, id="sRGB"),
        pytest.param(gray_profile, b"kTRC", 0.04045, 12.92, lambda code: ((code + 0.055) / 1.055) ** 2.4, id="gray"),
    ],
)
def test_shadows_are_linear(profile: Any, tag: bytes, linear_below: float, slope: float, above: Any) -> None:
    curve = _curve(profile(), tag)
    for number, light in enumerate(curve):
        code = number / (len(curve) - 1)
        assert light == pytest.approx(65535 * (code / slope if code <= linear_below else above(code)), abs=0.51)
    assert (curve[0], curve[-1]) == (0, 65535)


def test_the_profile_of_srgb_is_that_of_littlecms() -> None:
    """Whose profile is of version 4, with a formula in place of a table."""
    found = in_color_space(Picture(COLORS, lcms_profile()), ColorSpace.SRGB)
    assert np.abs(found.samples.astype(int) - COLORS).max() <= 1
    grays = np.repeat(np.arange(256, dtype=np.uint8), 3).reshape(1, 256, 3)
    assert (in_color_space(Picture(grays, lcms_profile()), ColorSpace.SRGB).samples == grays).all()


def test_there_and_back_again() -> None:
    """Colors that are not near the edge, where 8 bits are too few."""
    inner = RNG.integers(64, 192, (16, 16, 3), np.uint8)
    for space in (ColorSpace.ADOBE_RGB, ColorSpace.ROMM_RGB):
        there = in_color_space(Picture(inner), space)
        assert np.abs(there.samples.astype(int) - inner).max() > 3
        assert np.abs(in_color_space(there, ColorSpace.SRGB).samples.astype(int) - inner).max() <= 3


@pytest.mark.parametrize(
    ("space", "stored", "embedded"),
    [
        pytest.param(None, None, None, id="absent, nothing stored"),
        pytest.param(None, "adobe", "adobe", id="absent, stored"),
        pytest.param(ColorSpace.NO, None, None, id="no, nothing stored"),
        pytest.param(ColorSpace.NO, "adobe", None, id="no, stored"),
        pytest.param(ColorSpace.YES, None, "srgb", id="yes, nothing stored"),
        pytest.param(ColorSpace.YES, "adobe", "adobe", id="yes, stored"),
        pytest.param(ColorSpace.SRGB, None, "srgb", id="srgb, nothing stored"),
        pytest.param(ColorSpace.ADOBE_RGB, "adobe", "adobe", id="adobergb, stored"),
    ],
)
def test_samples_stay_where_no_other_space_is_asked_for_REN_25(
    space: ColorSpace | None, stored: str | None, embedded: str | None
) -> None:
    profiles = {None: None, "adobe": adobe_rgb_profile(), "srgb": srgb_profile()}
    found = in_color_space(Picture(COLORS, profiles[stored], 2.0), space)
    assert (found.samples == COLORS).all()
    assert found.icc_profile == profiles[embedded]
    assert found.pixel_aspect == 2.0


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_gray_is_given_a_gray_profile_or_becomes_color(dtype: Any) -> None:
    scale = np.iinfo(dtype).max // 255
    gray = (np.arange(0, 256, dtype=dtype) * scale).astype(dtype).reshape(16, 16)
    assert in_color_space(Picture(gray), None).icc_profile is None
    with_profile = in_color_space(Picture(gray), ColorSpace.YES)
    assert with_profile.icc_profile == gray_profile()
    assert (with_profile.samples == gray).all()
    found = in_color_space(Picture(gray), ColorSpace.SRGB)
    assert found.samples.tolist() == np.repeat((gray // scale)[:, :, None], 3, axis=2).tolist()
    assert found.icc_profile == srgb_profile()


# -- stored profiles --


def inline(data: bytes) -> dict[str, Any]:
    return {"vr": "OB", "InlineBinary": base64.b64encode(data).decode()}


def path_item(identifier: str, profile: bytes) -> dict[str, Any]:
    return {"00480106": {"vr": "SH", "Value": [identifier]}, "00282000": inline(profile)}


def test_the_profile_is_that_of_the_root() -> None:
    assert stored_profile({"00282000": inline(adobe_rgb_profile())}, no_bulk, Limits()) == adobe_rgb_profile()


def test_the_pad_byte_is_no_part_of_a_profile() -> None:
    odd = bytearray(srgb_profile() + b"x")
    odd[0:4] = struct.pack(">I", len(odd))
    assert stored_profile({"00282000": inline(bytes(odd) + b"\0")}, no_bulk, Limits()) == bytes(odd)


@pytest.mark.parametrize(
    ("identifier", "expected"), [("1", adobe_rgb_profile), ("2", romm_rgb_profile), (None, adobe_rgb_profile)]
)
def test_a_slide_has_a_profile_for_each_optical_path(identifier: str | None, expected: Any) -> None:
    paths = [path_item("1", adobe_rgb_profile()), path_item("2", romm_rgb_profile())]
    attributes: dict[str, Any] = {"00480105": {"vr": "SQ", "Value": paths}}
    if identifier:
        attributes["00480106"] = {"vr": "SH", "Value": [identifier]}
    assert stored_profile(attributes, no_bulk, Limits()) == expected()


def test_a_large_profile_is_read_from_the_bulk_data() -> None:
    asked = []

    def bulk(path: str) -> bytes:
        asked.append(path)
        return romm_rgb_profile()

    uri = "http://host/studies/1/series/2/instances/3/bulkdata/00480105/0/00282000"
    item = {"00282000": {"vr": "OB", "BulkDataURI": uri}}
    assert stored_profile({"00480105": {"vr": "SQ", "Value": [item]}}, bulk, Limits()) == romm_rgb_profile()
    assert asked == ["00480105/0/00282000"]


@pytest.mark.parametrize(
    ("term", "expected"),
    [("ADOBERGB", adobe_rgb_profile()), ("ROMMRGB", romm_rgb_profile()), ("SRGB", None), ("", None)],
)
def test_a_color_space_without_a_profile_says_as_much(term: str, expected: bytes | None) -> None:
    attributes = {"00282002": {"vr": "CS", "Value": [term]}}
    assert stored_profile(attributes, no_bulk, Limits()) == expected


def changed(position: int, replacement: bytes) -> bytes:
    profile = bytearray(adobe_rgb_profile())
    profile[position : position + len(replacement)] = replacement
    return bytes(profile)


BROKEN = {
    "empty": b"",
    "a few bytes": b"ICC",
    "cut": adobe_rgb_profile()[:-4],
    "header only": adobe_rgb_profile()[:128],
    "no signature": changed(36, b"xxxx"),
    "of CMYK": changed(16, b"CMYK"),
    "of gray": gray_profile(),
    "a device link": changed(12, b"link"),
    "of another connection space": changed(20, b"RGB "),
    "no tags": changed(128, struct.pack(">I", 0)),
    "many tags": changed(128, struct.pack(">I", 0xFFFFFFFF)),
    "a tag beyond the end": changed(136, struct.pack(">II", 0xFFFFFFF0, 0x20)),
    "size of four bytes": changed(0, struct.pack(">I", 4)),
    "text": b"<svg onload=alert(1)>" * 100,
}


@pytest.mark.parametrize("profile", BROKEN.values(), ids=BROKEN)
def test_a_malformed_profile_counts_as_none(profile: bytes) -> None:
    attributes = {"00282000": inline(profile)}
    assert stored_profile(attributes, no_bulk, Limits()) is None
    frame = made_color(COLORS)
    for space in (None, ColorSpace.NO, ColorSpace.YES, ColorSpace.SRGB):
        picture = render_color(frame, attributes, no_bulk, Rendering(color_space=space))
        assert (picture.samples == COLORS).all()


def test_a_profile_beyond_the_limit_counts_as_none() -> None:
    attributes = {"00282000": inline(adobe_rgb_profile())}
    limit = len(adobe_rgb_profile()) - 1
    assert stored_profile(attributes, no_bulk, Limits(icc_profile_bytes=limit)) is None
    assert stored_profile(attributes, no_bulk, Limits(icc_profile_bytes=limit + 1)) is not None


def test_what_littlecms_refuses_is_taken_for_srgb() -> None:
    no_curves = adobe_rgb_profile().replace(b"rTRC", b"xTRC")
    attributes = {"00282000": inline(no_curves)}
    picture = render_color(made_color(COLORS), attributes, no_bulk, Rendering(color_space=ColorSpace.ADOBE_RGB))
    assert (picture.samples == in_color_space(Picture(COLORS), ColorSpace.ADOBE_RGB).samples).all()


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.sampled_from([lcms_profile(), srgb_profile(), adobe_rgb_profile()]),
    st.lists(st.tuples(st.integers(0, 600), st.binary(min_size=1, max_size=8)), min_size=1, max_size=6),
)
def test_damaged_profiles_never_break_a_picture_A23(profile: bytes, damages: list[tuple[int, bytes]]) -> None:
    damaged = bytearray(profile)
    for position, replacement in damages:
        damaged[position : position + len(replacement)] = replacement
    rendering = Rendering(color_space=ColorSpace.SRGB)
    picture = render_color(made_color(COLORS), {"00282000": inline(bytes(damaged))}, no_bulk, rendering)
    assert picture.samples.shape == COLORS.shape
    assert picture.icc_profile == srgb_profile()
