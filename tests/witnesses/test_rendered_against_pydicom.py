"""Every real picture through the server, beside what pydicom, numpy and LittleCMS make of the same file.

Within one gray level; where a window or viewport makes the expectation exact, exactly.
"""

from __future__ import annotations

import io
import shutil
import subprocess
import warnings
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from numpy.typing import NDArray
from PIL import Image
from pydicom.dataset import FileDataset

from dicomweb_core import OriginServer
from dicomweb_memory import MemoryInstanceStore
from tests.clients import Client
from tests.witnesses.display_pipeline import converted, displayed
from tests.witnesses.real_files import real_files

LARGE = 1_500_000
"""Samples, of both frames compared, above which a file is compared in CI only."""

NO_PIXELS_TO_COMPARE = {
    "JPEG2000-embedded-sequence-delimiter.dcm": (406, "its codestream was cut out of another: nobody decodes it"),
    "MR_truncated.dcm": (404, "cut off inside the only frame"),
    "nested_priv_SQ.dcm": (404, "Pixel Data of four bytes without Rows, Columns and Bits Allocated"),
}
"""File -> status of its first frame, and why pydicom cannot decode it either."""

NOT_STORED = {
    "bad_sequence.dcm": "its Study Instance UID is 64 hexadecimal digits, no UID",
    "meta_missing_tsyntax.dcm": "has no Transfer Syntax UID: what its bytes mean is not known",
}

ANOTHER_KIND = {
    "liver.dcm": "a segmentation: its segments have colors",
    "liver_1frame.dcm": "a segmentation: its segments have colors",
    "liver_expb.dcm": "a segmentation: its segments have colors",
    "liver_expb_1frame.dcm": "a segmentation: its segments have colors",
}
"""What is shown otherwise than as its stored values; tests/rendering/test_segmentation.py is about those."""

PIXELS = ("PixelData", "FloatPixelData", "DoubleFloatPixelData")
CLASS_AND_UIDS = {
    "SOPClassUID": "1.2.840.10008.5.1.4.1.1.7",
    "StudyInstanceUID": "2.999.1",
    "SeriesInstanceUID": "2.999.1.1",
    "SOPInstanceUID": "2.999.1.1.1",
}


def read(content: bytes) -> FileDataset:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return pydicom.dcmread(io.BytesIO(content))


@lru_cache
def pictures() -> tuple[Path, ...]:
    """Files with pixel data."""
    found = []
    for path in real_files():
        data = read(path.read_bytes())
        if any(keyword in data for keyword in PIXELS):
            found.append(path)
    return tuple(found)


def samples_in(path: Path) -> int:
    """Of a frame."""
    data = read(path.read_bytes())
    return int(data.get("Rows", 0)) * int(data.get("Columns", 0)) * int(data.get("SamplesPerPixel", 1))


def named(name: str) -> Path:
    return next(path for path in pictures() if path.name == name)


@lru_cache(maxsize=4)
def stored(path: Path) -> tuple[Client, str, bytes] | None:
    """A server with the file in it, the URL of the instance, and the file: with UIDs, if it had none.

    None when it is refused all the same.
    """
    client = Client(OriginServer(instances=MemoryInstanceStore()))
    content = path.read_bytes()
    if client.store(content).status != 200:
        data = read(content)
        for keyword, uid in CLASS_AND_UIDS.items():
            if not data.get(keyword):
                setattr(data, keyword, uid)
        data.file_meta.MediaStorageSOPClassUID = data.SOPClassUID
        data.file_meta.MediaStorageSOPInstanceUID = data.SOPInstanceUID
        buffer = io.BytesIO()
        data.save_as(buffer)
        content = buffer.getvalue()
        if client.store(content).status != 200:
            return None
    (found,) = client.get("/instances").json
    return client, found["00081190"]["Value"][0].removeprefix(client.base_url), content


def png(client: Client, target: str) -> NDArray[Any]:
    answer = client.get(target, "image/png")
    assert answer.status == 200, answer.content
    assert answer.header("Content-Type") == "image/png"
    return np.asarray(Image.open(io.BytesIO(answer.content)))


def rendered(path: Path, query: str = "", frame: int = 1) -> NDArray[Any]:
    found = stored(path)
    assert found is not None
    client, url, _ = found
    return png(client, f"{url}/frames/{frame}/rendered{query}")


def frames_of(content: bytes) -> int:
    stated = str(read(content).get("NumberOfFrames", 1) or 1)
    return int(stated) if stated.isdecimal() else 15  # badVR.dcm says 1A


def sized(paths: tuple[Path, ...]) -> list[Any]:
    return [
        pytest.param(path, id=path.name, marks=[pytest.mark.slow] if 2 * samples_in(path) > LARGE else [])
        for path in paths
    ]


def test_enough_files_are_compared() -> None:
    names = {path.name for path in pictures()}
    assert len(names) > 150
    assert names >= NO_PIXELS_TO_COMPARE.keys() | NOT_STORED.keys() | ANOTHER_KIND.keys()


@pytest.mark.parametrize("path", sized(pictures()))
def test_the_picture_is_that_of_pydicom_within_one_gray_level_REN_31(path: Path) -> None:
    found = stored(path)
    assert (found is None) == (path.name in NOT_STORED)
    if found is None:
        return
    client, url, content = found
    if path.name in NO_PIXELS_TO_COMPARE:
        answer = client.get(url + "/frames/1/rendered", "image/png")
        assert answer.status == NO_PIXELS_TO_COMPARE[path.name][0]
        assert answer.json["detail"]
        with pytest.raises((RuntimeError, ValueError, AttributeError)):
            displayed(content, 0)
        return
    for number in sorted({1, frames_of(content)}):
        picture = png(client, f"{url}/frames/{number}/rendered")
        expected = displayed(content, number - 1)
        assert picture.dtype == np.uint8
        same = picture.shape == expected.shape and np.abs(picture - expected).max() <= 1
        assert same == (path.name not in ANOTHER_KIND), f"frame {number}"


GRAYSCALE = {
    "CT_small.dcm": "signed, rescaled",
    "MR_small.dcm": "signed, padded",
    "MR_small_bigendian.dcm": "big endian",
    "JPGLosslessP14SV1_1s_1f_8b.dcm": "8 bits",
    "emri_small_RLE.dcm": "frames, without rescale",
    "mlut_18.dcm": "Modality LUT Sequence",
    "vlut_04.dcm": "VOI LUT Sequence",
    "rtdose.dcm": "32 bits",
    "eCT_Supplemental.dcm": "functional groups and a palette above the grayscale",
    "MR2_J2KR.dcm": "JPEG 2000",
}
WINDOWS = [
    (40.0, 400.0, "linear"),
    (40.0, 1.0, "linear"),
    (1024.5, 777.0, "linear"),
    (600.0, 1600.0, "linear-exact"),
    (-20.25, 0.5, "linear-exact"),
    (50.0, 350.0, "sigmoid"),
    (1000.0, 3.0, "sigmoid"),
]


@pytest.mark.parametrize("window", WINDOWS, ids=lambda window: ",".join(map(str, window)))
@pytest.mark.parametrize("name", GRAYSCALE)
def test_a_window_that_is_asked_for_is_exact_REN_21(name: str, window: tuple[float, float, str]) -> None:
    found = stored(named(name))
    assert found is not None
    client, url, content = found
    picture = png(client, f"{url}/frames/1/rendered?window={','.join(map(str, window))}")
    expected = displayed(content, 0, window)
    assert picture.shape == expected.shape
    # Rounded to the nearest; a hair is for sums that are made in another order.
    assert np.abs(picture - expected).max() <= 0.5 + 1e-6


VIEWED = ["CT_small.dcm", "SC_rgb.dcm", "emri_small.dcm", "examples_palette.dcm", "JPEG2000.dcm"]
"""Square pixels."""


@pytest.mark.parametrize("name", VIEWED)
def test_crops_and_flips_are_exact_REN_17(name: str) -> None:
    path = named(name)
    whole = rendered(path)
    rows, columns = whole.shape[:2]
    left, top, width, height = columns // 5, rows // 7, columns // 2, rows // 3
    part = whole[top : top + height, left : left + width]
    cases: dict[str, NDArray[Any]] = {
        f"{columns},{rows}": whole,
        f"{width},{height},{left},{top},{width},{height}": part,
        f"{columns},{rows},,,{-columns}": whole[:, ::-1],
        f"{columns},{rows},,,,{-rows}": whole[::-1],
        f"{columns},{rows},0,0,{-columns},{-rows}": whole[::-1, ::-1],
        f"{width},{height},{left},{top},{-width},{height}": part[:, ::-1],
        f"{width},{height},{left},{top},{width},{-height}": part[::-1],
        # Beyond the edges there is nothing to be shown.
        f"{columns},{rows},{left},{top},{columns},{rows}": None,
    }
    for viewport, expected in cases.items():
        picture = rendered(path, f"?viewport={viewport}")
        if expected is None:
            assert picture.shape[:2] == fitted(columns - left, rows - top, columns, rows)
        else:
            assert np.array_equal(picture, expected), viewport


def fitted(width: float, height: float, most_across: int, most_down: int) -> tuple[int, int]:
    """Rows and columns of what touches the viewport (8.3.5.1.3)."""
    factor = min(most_across / width, most_down / height)
    return max(1, int(height * factor + 0.5)), max(1, int(width * factor + 0.5))


@pytest.mark.parametrize("name", VIEWED)
@pytest.mark.parametrize(("across", "down"), [(64, 64), (100, 7), (7, 100), (1, 1), (1000, 1001), (333, 512)])
def test_a_scaled_picture_has_the_size_and_what_was_in_it_REN_17(name: str, across: int, down: int) -> None:
    path = named(name)
    whole = rendered(path)
    rows, columns = whole.shape[:2]
    picture = rendered(path, f"?viewport={across},{down}")
    assert picture.shape[:2] == fitted(columns, rows, across, down)
    assert picture.shape[2:] == whole.shape[2:]
    if 2 * picture.shape[0] >= rows:  # smaller ones are shrunk in two steps
        size = (picture.shape[1], picture.shape[0])
        witness = np.asarray(Image.fromarray(whole).resize(size, Image.Resampling.BICUBIC)).astype(int)
        assert np.abs(picture - witness).max() <= 1


def test_pixels_that_are_not_square_are_made_so() -> None:
    """Pixel Aspect Ratio or Spacing of 2 : 1."""
    data = read(named("CT_small.dcm").read_bytes())
    data.PixelSpacing = [2, 1]
    buffer = io.BytesIO()
    data.save_as(buffer)
    client = Client(OriginServer(instances=MemoryInstanceStore()))
    assert client.store(buffer.getvalue()).status == 200
    (found,) = client.get("/instances").json
    picture = png(client, found["00081190"]["Value"][0] + "/rendered?viewport=100,100")
    assert picture.shape == (100, 50)


SPACES = ["srgb", "adobergb", "rommrgb"]
COLORED = ["SC_rgb.dcm", "examples_palette.dcm", "examples_ybr_color.dcm", "US1_UNCR.dcm"]


def profile_of(client: Client, target: str) -> bytes | None:
    answer = client.get(target, "image/png")
    assert answer.status == 200, answer.content
    found = Image.open(io.BytesIO(answer.content)).info.get("icc_profile")
    assert found is None or isinstance(found, bytes)
    return found


@lru_cache
def with_profile(name: str, space: str) -> tuple[Client, str, bytes]:
    """The file as if its colors were those of another space: no installed image has a profile."""
    found = stored(named(name))
    assert found is not None
    client, url, content = found
    profile = profile_of(client, f"{url}/rendered?iccprofile={space}")
    assert profile is not None
    data = read(content)
    data.ICCProfile = profile
    buffer = io.BytesIO()
    data.save_as(buffer)
    client = Client(OriginServer(instances=MemoryInstanceStore()))
    assert client.store(buffer.getvalue()).status == 200
    return client, url, profile


@pytest.mark.parametrize("target", SPACES)
@pytest.mark.parametrize("source", SPACES)
@pytest.mark.parametrize("name", COLORED)
def test_colors_are_converted_as_littlecms_does_REN_25(name: str, source: str, target: str) -> None:
    client, url, profile = with_profile(name, source)
    frame = f"{url}/frames/1/rendered"
    plain = png(client, frame)
    asked = profile_of(client, f"{frame}?iccprofile={target}")
    assert asked is not None
    assert (asked == profile) == (source == target)
    expected = converted(plain, profile, asked).astype(int)
    assert np.abs(png(client, f"{frame}?iccprofile={target}") - expected).max() <= 1


@pytest.mark.parametrize("name", COLORED)
def test_the_profile_of_the_file_is_in_the_picture_REN_25(name: str) -> None:
    client, url, profile = with_profile(name, "adobergb")
    for query, expected in [("", profile), ("?iccprofile=yes", profile), ("?iccprofile=no", None)]:
        assert profile_of(client, f"{url}/frames/1/rendered{query}") == expected


DCMTK = shutil.which("dcm2img") or shutil.which("dcmj2pnm")
"""The second is what the first was called before version 3.7.0."""


BEYOND_DCMTK = {
    "rtdose_expb.dcm": "32 bits in Explicit VR Big Endian: it takes the halves of a cell for each other",
    "rtdose_expb_1frame.dcm": "the same",
    "SC_ybr_full_uncompressed.dcm": "two levels apart: it rounds its coefficients of YBR",
    "eCT_Supplemental.dcm": "it does not show the supplemental palette",
}
"""What dcmtk shows otherwise, and why; segmentations are `ANOTHER_KIND`."""


def shown_by_dcmtk(path: Path, window: list[str], target: Path) -> NDArray[Any] | None:
    """None for what it cannot read."""
    assert DCMTK is not None
    command = [DCMTK, "-O", "+on", "+F", "1", *window, path, target]
    if subprocess.run(command, capture_output=True, timeout=60, check=False).returncode:
        return None
    return np.asarray(Image.open(target)).astype(int)


@pytest.mark.skipif(DCMTK is None, reason="dcmtk is not installed")
@pytest.mark.slow
def test_dcmtk_shows_the_same(tmp_path: Path) -> None:
    """With the window or VOI LUT of the file, else one that is asked for: the default is for each program to choose.
    Installed versions read no JPEG 2000, and many no JPEG-LS."""
    compared, others = 0, {}
    for path in pictures():
        found = stored(path)
        if found is None or path.name in NO_PIXELS_TO_COMPARE:
            continue
        data = read(path.read_bytes())
        window, query = ["+Ww", "400", "800"], "?window=400,800,linear"
        if "VOILUTSequence" in data:
            window, query = ["+Wl", "1"], ""
        elif data.get("WindowWidth") not in (None, ""):
            window, query = ["+Wi", "1"], ""
        if data.SamplesPerPixel == 3 or data.PhotometricInterpretation == "PALETTE COLOR":
            window, query = [], ""
        expected = shown_by_dcmtk(path, window, tmp_path / "witness.png")
        if expected is None:
            continue
        picture = rendered(path, query).astype(int)
        compared += 1
        if picture.shape != expected.shape or np.abs(picture - expected).max() > 1:
            others[path.name] = picture.shape
    assert compared > 120
    assert others.keys() <= BEYOND_DCMTK.keys() | ANOTHER_KIND.keys()
