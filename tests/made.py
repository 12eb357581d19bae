"""Instances made of keywords, written by pydicom."""

from __future__ import annotations

import io
import struct
from collections.abc import Sequence
from typing import Any

from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.uid import UID

EXPLICIT = "1.2.840.10008.1.2.1"
_NATIVE = ("1.2.840.10008.1.2", EXPLICIT, "1.2.840.10008.1.2.2", "1.2.840.10008.1.2.1.99")
SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"


def uid(*numbers: int) -> str:
    """Below the arc for examples."""
    return ".".join(map(str, (2, 999, 20, *numbers)))


def path(*numbers: int) -> str:
    """Of a study, series or instance by its numbers, below the service root."""
    names = ("studies", "series", "instances")
    return "".join(f"/{name}/{uid(*numbers[: depth + 1])}" for depth, name in enumerate(names[: len(numbers)]))


def made(
    study: int = 1,
    series: int = 1,
    number: int = 1,
    *,
    syntax: str = EXPLICIT,
    frames: Sequence[bytes] = (),
    **values: Any,
) -> bytes:
    """A file. With `frames` an image of 2 rows and 2 columns of 8 bits: native, or these codestreams."""
    compressed = syntax not in _NATIVE
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = UID(syntax)
    dataset.SOPClassUID = SECONDARY_CAPTURE
    dataset.SOPInstanceUID = uid(study, series, number)
    dataset.StudyInstanceUID = uid(study)
    dataset.SeriesInstanceUID = uid(study, series)
    if frames:
        dataset.SamplesPerPixel = 1
        dataset.PhotometricInterpretation = "MONOCHROME2"
        dataset.NumberOfFrames = len(frames)
        dataset.Rows = dataset.Columns = 2
        dataset.BitsAllocated = dataset.BitsStored = 8
        dataset.HighBit = 7
        dataset.PixelRepresentation = 0
        dataset.PixelData = encapsulate(list(frames)) if compressed else b"".join(frames)
        dataset["PixelData"].VR = "OB"
        dataset["PixelData"].is_undefined_length = compressed
    for keyword, value in values.items():
        setattr(dataset, keyword, value)
    dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    buffer = io.BytesIO()
    if compressed:
        # Otherwise pydicom writes no transfer syntax that it does not know.
        dataset.preamble = bytes(128)
        dataset.save_as(buffer, implicit_vr=False, little_endian=True, force_encoding=True)
    else:
        dataset.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


def rle(samples: bytes) -> bytes:
    """The codestream of a frame of at most 128 samples of 8 bits in RLE (PS3.5 G): one segment, nothing repeated."""
    segment = bytes([len(samples) - 1]) + samples
    header = struct.pack("<16I", 1, 64, *[0] * 14)
    return header + segment + b"\0" * (len(segment) % 2)
