"""Grayscale frames: of real files, decoded by pydicom, and made of arrays."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from pydicom import Dataset, dcmread
from pydicom.pixels import pixel_array

from dicomweb_core.codecs.part10_reader import BytesSource, read_part10
from dicomweb_core.rendering.frame_attributes import frame_attributes
from dicomweb_core.rendering.grayscale import render_grayscale
from dicomweb_core.rendering.lookup_tables import Bulk
from dicomweb_core.values.attributes import Attributes
from dicomweb_core.values.limits import Limits
from dicomweb_core.values.pixels import ImagePixel, NativeFrame
from dicomweb_core.values.renderings import Rendering, Window
from tests.samples import source_of


class RealFrame(NamedTuple):
    """A frame of a file, as rendering gets it and as pydicom has it."""

    frame: NativeFrame
    attributes: Attributes
    """Of the frame."""
    bulk: Bulk
    dataset: Dataset
    stored: np.ndarray[Any, np.dtype[Any]]
    """Of shape (rows, columns)."""


def real_frame(path: Path, index: int = 0) -> RealFrame:
    """Frame `index` (0-based) of a file."""
    content = path.read_bytes()
    instance = read_part10(BytesSource(content), Limits())
    source = source_of(content, instance)

    def bulk(place: str) -> bytes:
        value = instance.layout.bulk_value(place)
        assert value is not None
        return source.read(value.offset, value.length)

    dataset = dcmread(path)
    assert instance.layout.frames is not None
    dataset.NumberOfFrames = instance.layout.frames.count  # one file says "1A"
    stored = pixel_array(dataset, raw=True, index=index)
    bits = dataset.BitsAllocated
    image = ImagePixel(
        *stored.shape,
        samples=1,
        bits_allocated=bits,
        bits_stored=dataset.BitsStored,
        signed=stored.dtype.kind == "i",
        photometric=dataset.PhotometricInterpretation,
    )
    native = stored.astype(stored.dtype.newbyteorder("<")).tobytes()
    if bits == 1:
        native = np.packbits(stored.reshape(-1), bitorder="little").tobytes()
    return RealFrame(NativeFrame(native, image), frame_attributes(instance.attributes, index), bulk, dataset, stored)


def no_bulk(path: str) -> bytes:
    """Of objects whose values are all in the metadata."""
    raise AssertionError(f"{path} is not asked for")


def made_frame(stored: Any, **image: Any) -> NativeFrame:
    """A frame of these samples: `image` are fields of ImagePixel that the array does not tell."""
    stored = np.atleast_2d(np.asarray(stored))
    floating = stored.dtype.kind == "f"
    bits = image.pop("bits_allocated", stored.dtype.itemsize * 8)
    fields: dict[str, Any] = {
        "rows": stored.shape[0],
        "columns": stored.shape[1],
        "samples": 1,
        "bits_allocated": bits,
        "bits_stored": bits,
        "signed": stored.dtype.kind == "i",
        "floating": floating,
        **image,
    }
    data = stored.astype(stored.dtype.newbyteorder("<")).tobytes()
    if bits == 1:
        data = np.packbits(stored.reshape(-1).astype(np.uint8), bitorder="little").tobytes()
    return NativeFrame(data, ImagePixel(**fields))


def made_attributes(**values: Any) -> Attributes:
    """Attributes by keyword, through pydicom's JSON. Data sets become sequences."""
    dataset = Dataset()
    for keyword, value in values.items():
        setattr(dataset, keyword, [value] if isinstance(value, Dataset) else value)
    attributes: Attributes = dataset.to_json_dict()
    return attributes


def lut_item(descriptor: list[int], entries: Any, vr: str = "US") -> dict[str, Any]:
    """An item of a LUT sequence in the DICOM JSON Model."""
    data = {"vr": vr, **({"Value": list(entries)} if vr == "US" else {"InlineBinary": entries})}
    return {"00283002": {"vr": "US", "Value": descriptor}, "00283006": data}


def gray(
    stored: Any, attributes: Attributes | None = None, window: Window | None = None, bits: int = 8, **image: Any
) -> list[int]:
    """Gray levels of a made frame, row by row."""
    frame = made_frame(stored, **image)
    picture = render_grayscale(frame, attributes or {}, no_bulk, Rendering(window=window), bits=bits)
    assert picture.samples.dtype == (np.uint8 if bits == 8 else np.uint16)
    return [int(level) for level in picture.samples.reshape(-1)]
