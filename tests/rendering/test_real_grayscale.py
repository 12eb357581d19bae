"""Every grayscale file that pydicom and pydicom-data ship, beside what pydicom's own steps make of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydicom import Dataset
from pydicom.pixels import apply_modality_lut, apply_presentation_lut, apply_voi_lut

from dicomweb_core.codecs.part10_reader import BytesSource, read_part10
from dicomweb_core.errors import DICOMwebError
from dicomweb_core.rendering.grayscale import default_window, modality_values, render_grayscale
from dicomweb_core.values.limits import Limits
from dicomweb_core.values.renderings import Rendering
from tests.rendering.gray_frames import RealFrame, real_frame
from tests.witnesses.real_files import real_files

SAME_PICTURE = {
    "RG1_J2KI.dcm",
    "RG1_J2KR.dcm",
    "RG3_J2KI.dcm",
    "RG3_J2KR.dcm",
    "JPEG2000-embedded-sequence-delimiter.dcm",
}
"""Large JPEG 2000 files whose uncompressed twins are compared: decoding them is slow and is not what is tested."""

NOT_DECODED = {"JPEG-lossy.dcm", "JPGExtended.dcm"}
"""JPEG Extended of 12 bits: pydicom's decoders refuse it."""


def _grayscale_files() -> list[Path]:
    found = []
    for path in real_files():
        try:
            instance = read_part10(BytesSource(path.read_bytes()), Limits())
        except DICOMwebError:
            continue
        traits = instance.layout.traits
        if instance.layout.frames is not None and str(traits.get("photometric")).startswith("MONOCHROME"):
            found.append(path)
    return [path for path in found if path.name not in SAME_PICTURE | NOT_DECODED]


FILES = [pytest.param(path, id=path.name) for path in _grayscale_files()]


def test_enough_files_are_compared() -> None:
    assert len(FILES) > 80


def _frame_level(dataset: Dataset, index: int) -> None:
    """pydicom's steps know no functional groups: their attributes are put into the data set."""
    for sequence, number in [("SharedFunctionalGroupsSequence", 0), ("PerFrameFunctionalGroupsSequence", index)]:
        for macro in ("PixelValueTransformationSequence", "FrameVOILUTSequence"):
            if sequence in dataset and macro in dataset[sequence][number]:
                dataset.update(dataset[sequence][number][macro][0])


def _fraction(found: RealFrame, index: int) -> np.ndarray[Any, np.dtype[Any]]:
    """0.0 is black, 1.0 is white, before inversion."""
    dataset, stored = found.dataset, found.stored
    _frame_level(dataset, index)
    values = apply_modality_lut(stored, dataset).astype(np.float64)
    bits = dataset.BitsStored
    low, high = (-(1 << bits - 1), (1 << bits - 1) - 1) if dataset.PixelRepresentation else (0, (1 << bits) - 1)
    slope, intercept = float(dataset.get("RescaleSlope") or 1), float(dataset.get("RescaleIntercept") or 0)
    if "VOILUTSequence" in dataset:
        highest = (1 << dataset.VOILUTSequence[0].LUTDescriptor[2]) - 1
        return np.asarray(apply_voi_lut(apply_modality_lut(stored, dataset), dataset) / highest)
    if dataset.get("WindowWidth") is not None:
        if "RescaleSlope" in dataset:
            low, high = low * slope + intercept, high * slope + intercept
        return np.asarray((apply_voi_lut(values, dataset) - low) / (high - low))
    if bits <= 8:
        return (values - low) / (high - low)
    meant = values
    if dataset.get("PixelPaddingValue") is not None:
        meant = values[stored != dataset.PixelPaddingValue]
    low, high = meant.min(), meant.max()
    return np.asarray(np.clip((values - low) / (high - low), 0, 1)) if high > low else np.zeros_like(values)


@pytest.mark.parametrize("path", FILES)
def test_picture_is_that_of_pydicom_within_one_gray_level_REN_08_REN_31(path: Path) -> None:
    frames = real_frame(path).dataset.NumberOfFrames
    for index in sorted({0, frames - 1}):
        found = real_frame(path, index)
        picture = render_grayscale(found.frame, found.attributes, found.bulk, Rendering())
        expected = _fraction(found, index) * 255
        if "PresentationLUTShape" in found.dataset:
            assert found.dataset.PresentationLUTShape == "IDENTITY"
            expected = apply_presentation_lut(expected, found.dataset)
        if found.dataset.PhotometricInterpretation == "MONOCHROME1":
            expected = 255 - expected
        if found.dataset.get("PixelPaddingValue") is not None:
            expected[found.stored == found.dataset.PixelPaddingValue] = 0
        assert picture.samples.dtype == np.uint8
        assert np.abs(picture.samples - expected).max() <= 1
        deep = render_grayscale(found.frame, found.attributes, found.bulk, Rendering(), bits=16)
        assert np.abs(deep.samples / 257 - expected).max() <= 1


@pytest.mark.parametrize("path", FILES)
def test_default_window_given_as_parameter_makes_the_same_picture(path: Path) -> None:
    found = real_frame(path)
    window = default_window(found.frame, found.attributes, found.bulk)
    if window is not None:
        plain = render_grayscale(found.frame, found.attributes, found.bulk, Rendering())
        again = render_grayscale(found.frame, found.attributes, found.bulk, Rendering(window=window))
        assert np.array_equal(plain.samples, again.samples)


@pytest.mark.parametrize("path", FILES)
def test_modality_values_are_those_of_pydicom(path: Path) -> None:
    found = real_frame(path)
    _frame_level(found.dataset, 0)
    expected = apply_modality_lut(found.stored, found.dataset)
    assert np.allclose(modality_values(found.frame, found.attributes, found.bulk), expected, rtol=1e-12)
