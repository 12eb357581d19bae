"""Color frames: of real files, decoded by pydicom, and made of arrays."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from pydicom import Dataset, dcmread
from pydicom.pixels import pixel_array

from dicomweb_core.codecs.part10_reader import BytesSource, read_part10
from dicomweb_core.rendering.color import render_color
from dicomweb_core.rendering.frame_attributes import frame_attributes
from dicomweb_core.rendering.lookup_tables import Bulk
from dicomweb_core.values.attributes import Attributes
from dicomweb_core.values.limits import Limits
from dicomweb_core.values.pixels import ImagePixel, NativeFrame
from dicomweb_core.values.renderings import Rendering
from tests.rendering.gray_frames import no_bulk
from tests.samples import source_of

DECODED = {"YBR_FULL_422": "YBR_FULL", "YBR_ICT": "RGB", "YBR_RCT": "RGB"}
"""What decoders make of Photometric Interpretations of codestreams, and pydicom of all frames."""


class RealColor(NamedTuple):
    """A frame of a file, as rendering gets it and as pydicom has it."""

    frame: NativeFrame
    attributes: Attributes
    bulk: Bulk
    dataset: Dataset
    stored: np.ndarray[Any, np.dtype[Any]]
    """Of shape (rows, columns) or (rows, columns, 3)."""


def real_color(path: Path) -> RealColor:
    """The first frame of a file."""
    content = path.read_bytes()
    instance = read_part10(BytesSource(content), Limits())
    source = source_of(content, instance)
    dataset = dcmread(path)
    swapped = not dataset.original_encoding[1]

    def bulk(place: str) -> bytes:
        value = instance.layout.bulk_value(place)
        assert value is not None
        data = source.read(value.offset, value.length)
        return np.frombuffer(data, "u2").byteswap().tobytes() if swapped else data

    stored = pixel_array(dataset, raw=True, index=0)
    photometric = str(dataset.PhotometricInterpretation)
    image = ImagePixel(
        *stored.shape[:2],
        samples=stored.shape[2] if stored.ndim == 3 else 1,
        bits_allocated=dataset.BitsAllocated,
        bits_stored=dataset.BitsStored,
        signed=dataset.PixelRepresentation == 1,
        photometric=DECODED.get(photometric, photometric),
    )
    native = stored.astype(stored.dtype.newbyteorder("<")).tobytes()
    return RealColor(NativeFrame(native, image), frame_attributes(instance.attributes, 0), bulk, dataset, stored)


def made_color(stored: Any, photometric: str = "RGB", **image: Any) -> NativeFrame:
    """A frame of samples of shape (rows, columns, samples), or (samples, rows, columns) if `planar`."""
    array = np.asarray(stored)
    samples, rows, columns = array.shape if image.get("planar") else (array.shape[2], *array.shape[:2])
    bits = array.dtype.itemsize * 8
    fields = {"samples": samples, "bits_allocated": bits, "bits_stored": bits, "photometric": photometric, **image}
    data = array.astype(array.dtype.newbyteorder("<")).tobytes()
    return NativeFrame(data, ImagePixel(rows=rows, columns=columns, **fields))


def rgb(frame: NativeFrame, attributes: Attributes | None = None) -> Any:
    """Pixels of a rendered frame: lists of rows of [red, green, blue]."""
    picture = render_color(frame, attributes or {}, no_bulk, Rendering())
    assert picture.samples.dtype == np.uint8
    return picture.samples.tolist()


def palette_attributes(
    descriptor: list[int], *channels: Any, segmented: bool = False, size: int = 2
) -> dict[str, dict[str, Any]]:
    """A palette in the DICOM JSON Model; three channels of numbers, of `size` bytes each."""
    attributes: dict[str, dict[str, Any]] = {}
    for number, channel in enumerate(channels, 1):
        dataset = Dataset()
        data = np.asarray(channel, f"<u{size}").tobytes()
        dataset.add_new(0x00281220 + number if segmented else 0x00281200 + number, "OW", data + bytes(len(data) % 2))
        attributes[f"0028110{number}"] = {"vr": "US", "Value": descriptor}
        attributes.update(dataset.to_json_dict())
    return attributes
