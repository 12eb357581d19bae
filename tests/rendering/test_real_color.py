"""Every color file that pydicom and pydicom-data ship, beside what pydicom makes of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.pixels import apply_color_lut, apply_icc_profile, convert_color_space
from pydicom.pixels.processing import apply_rescale

from dicomweb_core.codecs.part10_reader import BytesSource, read_part10
from dicomweb_core.errors import DICOMwebError
from dicomweb_core.rendering.color import is_color, render_color
from dicomweb_core.rendering.icc import stored_profile
from dicomweb_core.values.limits import Limits
from dicomweb_core.values.pixels import ImagePixel, NativeFrame
from dicomweb_core.values.renderings import ColorSpace, Rendering, VOIFunction, Window
from tests.rendering.color_frames import RealColor, real_color
from tests.rendering.gray_frames import no_bulk
from tests.witnesses.real_files import real_files


def _color_files() -> list[Path]:
    found = []
    for path in real_files():
        try:
            instance = read_part10(BytesSource(path.read_bytes()), Limits())
        except DICOMwebError:
            continue
        traits = instance.layout.traits
        if instance.layout.frames is not None and traits.get("photometric") not in ("MONOCHROME1", "MONOCHROME2", None):
            found.append(path)
    return found


FILES = [pytest.param(path, id=path.name) for path in _color_files()]


def test_enough_files_are_compared() -> None:
    assert len(FILES) > 60


def _expected(real: RealColor) -> np.ndarray[Any, np.dtype[Any]]:
    photometric = real.frame.image.photometric
    if photometric == "PALETTE COLOR":
        if not real.dataset.original_encoding[1]:
            # pydicom reads segmented palettes as they lie in the file, others as if they were little endian.
            for tag in (0x00281201, 0x00281202, 0x00281203):
                if tag in real.dataset:
                    real.dataset[tag].value = np.frombuffer(real.dataset[tag].value, "u2").byteswap().tobytes()
        return apply_color_lut(real.stored, real.dataset) / 257.0
    if photometric == "YBR_FULL":
        return convert_color_space(real.stored, "YBR_FULL", "RGB")
    assert photometric == "RGB"
    return real.stored * (255 / (2**real.dataset.BitsStored - 1))


@pytest.mark.parametrize("path", FILES)
def test_a_real_frame_is_what_pydicom_makes_of_it_REN_08_REN_31(path: Path) -> None:
    real = real_color(path)
    assert is_color(real.frame.image, real.attributes)
    picture = render_color(real.frame, real.attributes, real.bulk, Rendering())
    expected = _expected(real)
    assert picture.samples.shape == expected.shape
    assert np.abs(picture.samples - expected.astype(np.float64)).max() <= 1
    assert picture.icc_profile is None


def named(name: str) -> Path:
    return next(path for path in real_files() if path.name == name)


def test_native_half_chrominances_are_those_of_the_file_that_was_compressed() -> None:
    """SC_ybr_full_422_uncompressed.dcm as it lies in the file: Y Y Cb Cr."""
    path = named("SC_ybr_full_422_uncompressed.dcm")
    real = real_color(path)
    image = ImagePixel(100, 100, 3, 8, 8, photometric="YBR_FULL_422")
    frame = NativeFrame(real.dataset.PixelData[: image.frame_bytes], image)
    picture = render_color(frame, real.attributes, real.bulk, Rendering())
    assert np.abs(picture.samples - _expected(real).astype(np.int64)).max() <= 1


def test_below_the_supplemental_palette_is_grayscale() -> None:
    """eCT_Supplemental.dcm: perfusion in color over CT (PS3.3 C.8.16.2.1.1.1)."""
    real = real_color(named("eCT_Supplemental.dcm"))
    assert is_color(real.frame.image, real.attributes)
    window = Window(500, 1000, VOIFunction.LINEAR)
    picture = render_color(real.frame, real.attributes, real.bulk, Rendering(window=window))
    first = 1024
    colored = real.stored >= first
    assert 0.05 < colored.mean() < 0.5
    dataset = real.dataset
    del dataset.PixelPresentation
    expected = apply_color_lut(real.stored, dataset) / 257.0
    assert np.abs(picture.samples[colored] - expected[colored]).max() <= 1
    measures = dataset.SharedFunctionalGroupsSequence[0].get("PixelValueTransformationSequence")
    measures = measures or dataset.PerFrameFunctionalGroupsSequence[0].PixelValueTransformationSequence
    dataset.update(measures[0])
    dataset.WindowCenter, dataset.WindowWidth = 500, 1000
    dataset.BitsStored = 16
    values = apply_rescale(real.stored, dataset)
    levels = np.clip(((values - 499.5) / 999 + 0.5) * 255, 0, 255)
    assert np.abs(picture.samples[~colored] - levels[~colored][:, None]).max() <= 1


@pytest.mark.parametrize("name", ["fall", "hotiron", "hotmetalblue", "pet", "pet20step", "spring", "summer", "winter"])
def test_well_known_palettes_and_their_profiles_are_read(name: str) -> None:
    """Half of them are segmented, of 8 bits."""
    dataset = dcmread(named(f"{name}.dcm"))
    attributes = dataset.to_json_dict()
    ramp = np.arange(256, dtype=np.uint8).reshape(16, 16)
    frame = NativeFrame(ramp.tobytes(), ImagePixel(16, 16, 1, 8, 8, photometric="PALETTE COLOR"))
    picture = render_color(frame, attributes, no_bulk, Rendering())
    expected = apply_color_lut(ramp, dataset)
    assert (picture.samples == expected).all()
    profile = stored_profile(attributes, no_bulk, Limits())
    assert profile is not None
    assert profile == picture.icc_profile
    converted = render_color(frame, attributes, no_bulk, Rendering(color_space=ColorSpace.SRGB))
    witness = apply_icc_profile(expected, dataset, color_space="sRGB")
    assert np.abs(converted.samples.astype(int) - witness).max() <= 1
