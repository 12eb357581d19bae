"""What a display shows of an image, by pydicom's steps and numpy: nothing of it is ours.

Stored values are pydicom's (`pixel_array(raw=True)`); LUTs, windows, palettes and color spaces are those of
`pydicom.pixels`; the default window is made again from what `dicomweb_core.rendering.grayscale.default_window` says.
"""

from __future__ import annotations

import copy
import io
import warnings
from typing import Any

import imagecodecs
import numpy as np
import pydicom
from numpy.typing import NDArray
from PIL import Image, ImageCms
from pydicom import Dataset
from pydicom.encaps import generate_frames
from pydicom.pixels import apply_color_lut, apply_modality_lut, apply_presentation_lut, apply_voi_lut, pixel_array
from pydicom.pixels.processing import convert_color_space

Levels = NDArray[np.float64]
"""0 to 255, not rounded; (rows, columns) or (rows, columns, 3)."""

_MACROS = (
    "PixelValueTransformationSequence",
    "FrameVOILUTSequence",
    "IdentityPixelValueTransformationSequence",
)
_BASELINE = ("1.2.840.10008.1.2.4.50", "1.2.840.10008.1.2.4.51")
_EXTENDED = "1.2.840.10008.1.2.4.51"
_ENTRIES_OF_PALETTES = (0x00281201, 0x00281202, 0x00281203)
"""Of big endian files pydicom takes these to be little endian; segmented ones it takes as they are."""


def displayed(content: bytes, index: int, window: tuple[float, float, str] | None = None) -> Levels:
    """Frame `index` (0-based) of a file; `window`: center, width and function as in the parameter of PS3.18 8.3.5.1.4.

    Raises what pydicom raises when it cannot decode the frame.
    """
    dataset = pydicom.dcmread(io.BytesIO(content))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        stored = stored_values(dataset, index)
        if dataset.SamplesPerPixel == 3:
            return _true_color(dataset, stored)
        if dataset.PhotometricInterpretation == "PALETTE COLOR":
            return _palette_color(dataset, stored)
        at_frame_level(dataset, index)
        if window is not None:
            _replace_window(dataset, window)
        if dataset.get("PixelPresentation") in ("COLOR", "MIXED") and "RedPaletteColorLookupTableData" in dataset:
            return _supplemental(dataset, stored)
        return _grayscale(dataset, stored, spread=_spread_of_all(content, index))


def _spread_of_all(content: bytes, index: int) -> tuple[float, float] | None:
    """Frames without a window share the default one of the frame in the middle; None: that is this frame. Of a number
    of frames that is no number the first is taken."""
    dataset = pydicom.dcmread(io.BytesIO(content))
    number = str(dataset.get("NumberOfFrames", 1) or 1)
    middle = int(number) // 2 if number.isdecimal() else 0
    if index == middle:
        return None
    stored = stored_values(dataset, middle)
    at_frame_level(dataset, middle)
    seen = ~_is_padding(dataset, stored)
    return _spread(apply_modality_lut(stored, dataset)[seen].astype(np.float64)) if seen.any() else None


def stored_values(dataset: Dataset, index: int) -> NDArray[Any]:
    """Of one frame. Bits above Bits Stored mean nothing: pydicom clears them of some transfer syntaxes only.

    JPEG Extended of 12 bits, which pydicom cannot decode, is decoded by libjpeg-turbo.
    """
    dataset = copy.copy(dataset)
    dataset.NumberOfFrames = _number_of_frames(dataset)
    if dataset.file_meta.TransferSyntaxUID == _EXTENDED and dataset.BitsAllocated == 16:
        (codestream,) = generate_frames(dataset.PixelData, number_of_frames=1)
        return np.asarray(imagecodecs.jpeg_decode(codestream))
    plugin = "pillow" if dataset.file_meta.TransferSyntaxUID in _BASELINE and dataset.BitsStored == 8 else ""
    stored = pixel_array(dataset, raw=True, index=index, decoding_plugin=plugin)
    unused = stored.dtype.itemsize * 8 - dataset.BitsStored
    if stored.dtype.kind == "f" or not unused or dataset.BitsAllocated == 1:
        return stored
    kind = np.dtype(f"{'i' if dataset.PixelRepresentation else 'u'}{stored.dtype.itemsize}")
    return (stored.astype(kind) << unused) >> unused


def _number_of_frames(dataset: Dataset) -> int:
    number = str(dataset.get("NumberOfFrames", 1) or 1)
    if number.isdecimal():
        return int(number)
    # badVR.dcm says 1A: as many as there are.
    return len(dataset.PixelData) // (dataset.Rows * dataset.Columns * dataset.BitsAllocated // 8)


def at_frame_level(dataset: Dataset, index: int) -> None:
    """pydicom's steps know no functional groups: their attributes are put into the data set."""
    for sequence, number in [("SharedFunctionalGroupsSequence", 0), ("PerFrameFunctionalGroupsSequence", index)]:
        for macro in _MACROS:
            if sequence in dataset and macro in dataset[sequence][number]:
                dataset.update(dataset[sequence][number][macro][0])


def _replace_window(dataset: Dataset, window: tuple[float, float, str]) -> None:
    if "VOILUTSequence" in dataset:
        del dataset.VOILUTSequence
    dataset.WindowCenter, dataset.WindowWidth, function = window
    dataset.VOILUTFunction = function.upper().replace("-", "_")


# -- grayscale ---------------------------------------------------------------------------------------------------------


def _grayscale(
    dataset: Dataset,
    stored: NDArray[Any],
    meant: NDArray[np.bool_] | None = None,
    spread: tuple[float, float] | None = None,
) -> Levels:
    """`meant`: the pixels that a default window may see; all by default. `spread`: the default window itself."""
    levels = _fraction(dataset, stored, meant, spread) * 255
    if dataset.get("PresentationLUTShape") in ("IDENTITY", "INVERSE"):
        levels = apply_presentation_lut(levels, dataset)
    if dataset.PhotometricInterpretation == "MONOCHROME1" and dataset.get("PresentationLUTShape") != "INVERSE":
        levels = 255 - levels
    levels[_is_padding(dataset, stored)] = 0
    return np.asarray(levels)


def _fraction(
    dataset: Dataset, stored: NDArray[Any], meant: NDArray[np.bool_] | None, spread: tuple[float, float] | None
) -> Levels:
    """0.0 is black, 1.0 is white, before inversion."""
    values = apply_modality_lut(stored, dataset)
    if "VOILUTSequence" in dataset:
        highest = (1 << dataset.VOILUTSequence[0].LUTDescriptor[2]) - 1
        return np.asarray(apply_voi_lut(values, dataset, index=0, prefer_lut=True) / highest)
    low, high = _possible(dataset)
    if dataset.get("WindowWidth") is not None:
        return np.asarray((apply_voi_lut(values.astype(np.float64), dataset, index=0) - low) / (high - low))
    if _bits(dataset) > 8:
        seen = ~_is_padding(dataset, stored) if meant is None else meant & ~_is_padding(dataset, stored)
        low, high = spread or (_spread(values[seen].astype(np.float64)) if seen.any() else (low, high))
    if low == high:
        return np.full(values.shape, np.nan)
    return np.asarray(np.clip((values - low) / (high - low), 0, 1))


def _bits(dataset: Dataset) -> int:
    if "ModalityLUTSequence" in dataset:
        return int(dataset.ModalityLUTSequence[0].LUTDescriptor[2])
    return int(dataset.BitsStored)


def _possible(dataset: Dataset) -> tuple[float, float]:
    """All that the Modality LUT can give."""
    if "ModalityLUTSequence" in dataset:
        return 0, (1 << _bits(dataset)) - 1
    bits = dataset.BitsStored
    signed = dataset.PixelRepresentation and bits > 1
    low, high = (-(1 << (bits - 1)), (1 << (bits - 1)) - 1) if signed else (0, (1 << bits) - 1)
    slope, intercept = float(dataset.get("RescaleSlope", 1)), float(dataset.get("RescaleIntercept", 0))
    return low * slope + intercept, high * slope + intercept


def _spread(values: Levels) -> tuple[float, float]:
    """The default window: the full range, unless at most 0.1 % of the pixels at either end take more than half."""
    ordered = np.sort(values, axis=None)
    stray = int(0.001 * ordered.size)
    low, high = ordered[0], ordered[-1]
    inner_low, inner_high = ordered[stray], ordered[-1 - stray]
    if inner_low < inner_high and inner_high - inner_low < (high - low) / 2:
        return float(inner_low), float(inner_high)
    return float(low), float(high)


def _is_padding(dataset: Dataset, stored: NDArray[Any]) -> NDArray[np.bool_]:
    first = dataset.get("PixelPaddingValue")
    if first is None:
        return np.zeros(stored.shape, np.bool_)
    low, high = sorted([first, dataset.get("PixelPaddingRangeLimit", first)])
    return (stored >= low) & (stored <= high)


# -- color -------------------------------------------------------------------------------------------------------------


def _true_color(dataset: Dataset, stored: NDArray[Any]) -> Levels:
    if dataset.PhotometricInterpretation in ("YBR_FULL", "YBR_FULL_422"):
        return convert_color_space(stored, "YBR_FULL", "RGB").astype(np.float64)
    assert dataset.PhotometricInterpretation in ("RGB", "YBR_RCT", "YBR_ICT")
    return stored * (255 / (2**dataset.BitsStored - 1))


def _palette_color(dataset: Dataset, stored: NDArray[Any]) -> Levels:
    if not dataset.original_encoding[1]:
        for tag in _ENTRIES_OF_PALETTES:
            if tag in dataset:
                dataset[tag].value = np.frombuffer(dataset[tag].value, "u2").byteswap().tobytes()
    colors = apply_color_lut(stored, dataset)
    return colors / (257.0 if colors.dtype == np.uint16 else 1.0)


def _supplemental(dataset: Dataset, stored: NDArray[Any]) -> Levels:
    """Colors from the first value mapped upwards, grayscale below (PS3.3 C.8.16.2.1.1.1)."""
    colored = stored >= dataset.RedPaletteColorLookupTableDescriptor[1]
    plain = copy.copy(dataset)
    for keyword in ("PixelPresentation", "RescaleType"):
        if keyword in plain:
            del plain[keyword]
    levels = np.repeat(_grayscale(plain, stored, ~colored)[:, :, None], 3, axis=2)
    levels[colored] = _palette_color(plain, stored)[colored]
    return levels


def converted(levels: NDArray[np.uint8], source: bytes, target: bytes) -> NDArray[np.uint8]:
    """RGB from one ICC profile to another, by LittleCMS with the intent of the source."""
    profiles = [ImageCms.ImageCmsProfile(io.BytesIO(profile)) for profile in (source, target)]
    intent = ImageCms.Intent(ImageCms.getDefaultIntent(profiles[0]))
    image = ImageCms.profileToProfile(Image.fromarray(levels), *profiles, renderingIntent=intent)
    assert image is not None
    return np.asarray(image)
