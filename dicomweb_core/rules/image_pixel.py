"""Attributes that follow from pixel data, and those that contradict them (PS3.18 10.5.2, PS3.3 C.7.6.3)."""

from __future__ import annotations

import re
from typing import Any, Final

from dicomweb_core.errors import InvalidDataset
from dicomweb_core.rules.store_report import FailureReason
from dicomweb_core.values.attributes import Attribute, Attributes, first_text, first_value
from dicomweb_core.values.pixels import ImagePixel

_SAMPLES: Final = "00280002"
_PHOTOMETRIC: Final = "00280004"
_PLANAR: Final = "00280006"
_FRAMES: Final = "00280008"
_ROWS: Final = "00280010"
_COLUMNS: Final = "00280011"
_BITS_ALLOCATED: Final = "00280100"
_BITS_STORED: Final = "00280101"
_HIGH_BIT: Final = "00280102"
_SIGNED: Final = "00280103"
_LOSSY: Final = "00282110"
_LOSSY_METHOD: Final = "00282114"

_MISMATCH: Final = FailureReason.DATA_SET_MISMATCH
_SIZES: Final = (
    ("Rows (0028,0010)", _ROWS),
    ("Columns (0028,0011)", _COLUMNS),
    ("Samples per Pixel (0028,0002)", _SAMPLES),
    ("Bits Allocated (0028,0100)", _BITS_ALLOCATED),
)

_COUNT: Final = re.compile("[0-9]{1,12}")

LOSSY_METHODS: Final = {
    "JPEG": "ISO_10918_1",
    "JPEG-LS": "ISO_14495_1",
    "JPEG 2000": "ISO_15444_1",
    "HTJ2K": "ISO_15444_15",
    "JPEG XL": "ISO_18181_1",
    "video/mpeg": "ISO_13818_2",
    "video/mp4": "ISO_14496_10",
    "video/h265": "ISO_23008_2",
}
"""Lossy Image Compression Method (0028,2114) by family of codestream, or media type of video (PS3.3 C.7.6.1.1.5.1)."""


def completed(attributes: Attributes, pixels: ImagePixel, *, native: bool = False) -> Attributes:
    """The attributes with what is missing of the Image Pixel Description Macro (PS3.3 Table C.7-11c).

    `pixels` is what the pixel data say of themselves; `native`: they lie exactly so. Raises InvalidDataset, naming the
    attribute, where the data set contradicts its pixel data: nothing is corrected.
    """
    for tag, name, value in (
        (_ROWS, "Rows (0028,0010)", pixels.rows),
        (_COLUMNS, "Columns (0028,0011)", pixels.columns),
        (_SAMPLES, "Samples per Pixel (0028,0002)", pixels.samples),
    ):
        _check(_is_empty(attributes, tag) or first_value(attributes, tag) == value, name)
    allocated = _number(attributes, _BITS_ALLOCATED, "Bits Allocated (0028,0100)")
    if allocated is not None:
        fits = allocated == pixels.bits_allocated if native else allocated >= pixels.bits_stored
        _check(fits, "Bits Allocated (0028,0100)")
    photometric = first_text(attributes, _PHOTOMETRIC)
    if photometric:
        single = photometric.startswith("MONOCHROME") or photometric == "PALETTE COLOR"
        _check(single == (pixels.samples == 1), "Photometric Interpretation (0028,0004)")
    elif pixels.samples not in (1, 3):
        problem = f"Pixel data of {pixels.samples} samples have no Photometric Interpretation (0028,0004) of their own."
        raise InvalidDataset(problem, reason=_MISMATCH)
    stored = _number(attributes, _BITS_STORED, "Bits Stored (0028,0101)") or pixels.bits_stored
    derived: dict[str, Attribute] = {
        _SAMPLES: _value("US", pixels.samples),
        _PHOTOMETRIC: _value("CS", pixels.photometric),
        _ROWS: _value("US", pixels.rows),
        _COLUMNS: _value("US", pixels.columns),
        _BITS_ALLOCATED: _value("US", pixels.bits_allocated),
        _BITS_STORED: _value("US", pixels.bits_stored),
        _HIGH_BIT: _value("US", stored - 1),
        _SIGNED: _value("US", int(pixels.signed)),
    }
    if pixels.samples > 1:
        derived[_PLANAR] = _value("US", 0)
    return _with_missing(attributes, derived)


def with_frames(attributes: Attributes, count: int) -> Attributes:
    """The attributes with Number of Frames (0028,0008), if `count` frames need it said. Raises InvalidDataset when the
    data set says another number."""
    if _is_empty(attributes, _FRAMES):
        return _with_missing(attributes, {_FRAMES: _value("IS", count)}) if count > 1 else attributes
    _check(first_text(attributes, _FRAMES).strip() == str(count), "Number of Frames (0028,0008)")
    return attributes


def with_lossy_compression(attributes: Attributes, method: str) -> Attributes:
    """The attributes with Lossy Image Compression (0028,2110) if they do not say it: something was lost, by `method`,
    a key of LOSSY_METHODS."""
    if not _is_empty(attributes, _LOSSY):
        return attributes
    lossy = {_LOSSY: _value("CS", "01"), _LOSSY_METHOD: _value("CS", LOSSY_METHODS[method])}
    return _with_missing(attributes, lossy)


def check_native(attributes: Attributes, size: int) -> None:
    """Raises InvalidDataset when native pixel data of `size` bytes are not described, or fewer than described.

    More are let through: real files have padding behind the last frame.
    """
    rows, columns, samples, bits = (_required(attributes, tag, name) for name, tag in _SIZES)
    frames = first_text(attributes, _FRAMES).strip() or "1"
    _check(_COUNT.fullmatch(frames) is not None, "Number of Frames (0028,0008)")
    image = ImagePixel(rows, columns, samples, bits, bits, photometric=first_text(attributes, _PHOTOMETRIC))
    _check((int(frames) * image.frame_bits + 7) // 8 <= size, "The size of the image (Rows, Columns, bits, frames)")


def _required(attributes: Attributes, tag: str, name: str) -> int:
    number = _number(attributes, tag, name)
    if number is None:
        raise InvalidDataset(f"{name} is missing: the pixel data cannot be read.", reason=_MISMATCH)
    return number


def _with_missing(attributes: Attributes, derived: dict[str, Attribute]) -> Attributes:
    missing = {tag: attribute for tag, attribute in derived.items() if _is_empty(attributes, tag)}
    return dict(sorted({**attributes, **missing}.items())) if missing else attributes


def _is_empty(attributes: Attributes, tag: str) -> bool:
    return first_value(attributes, tag) is None


def _number(attributes: Attributes, tag: str, name: str) -> int | None:
    """None when it is missing. Raises InvalidDataset for what is no positive integer, whatever its VR says."""
    value = first_value(attributes, tag)
    if value is None:
        return None
    if not isinstance(value, int) or value <= 0:
        raise InvalidDataset(f"{name} is not a number of pixel data.", reason=_MISMATCH)
    return value


def _value(vr: str, value: Any) -> Attribute:
    return {"vr": vr, "Value": [value]}


def _check(holds: bool, name: str) -> None:
    if not holds:
        raise InvalidDataset(f"{name} contradicts the pixel data.", reason=_MISMATCH)
