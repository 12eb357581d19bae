"""Every real file x every transfer syntax that can hold it: instance, frames and pixel data, read back by pydicom.

pydicom decodes the file as it is installed and as it was transcoded; the samples must be the same, bit for bit also
where the source is lossy, for both sides decode the same codestream - but for baseline and extended JPEG, where two
libraries may differ by their inverse cosine transform.
"""

from __future__ import annotations

import io
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pydicom
import pytest
from pydicom.encaps import generate_frames
from pydicom.pixels import pixel_array
from pydicom.uid import UID

from dicomweb_core import OriginServer
from dicomweb_memory import MemoryInstanceStore
from tests.cases import case
from tests.clients import Client
from tests.witnesses.real_files import real_files

ELE = "1.2.840.10008.1.2.1"
DEFLATED = "1.2.840.10008.1.2.1.99"
MEDIA_TYPES = {
    ELE: "application/octet-stream",
    DEFLATED: None,
    "1.2.840.10008.1.2.1.98": "application/octet-stream",
    "1.2.840.10008.1.2.5": "image/dicom-rle",
    "1.2.840.10008.1.2.4.57": "image/jpeg",
    "1.2.840.10008.1.2.4.70": "image/jpeg",
    "1.2.840.10008.1.2.4.80": "image/jls",
    "1.2.840.10008.1.2.4.90": "image/jp2",
    "1.2.840.10008.1.2.4.110": "image/jxl",
    "1.2.840.10008.1.2.4.201": "image/jphc",
    "1.2.840.10008.1.2.8.1": "application/x-deflate",
}
"""Transfer syntax -> media type of its frames; None: a whole data set only."""

JPEG_XL = "1.2.840.10008.1.2.4.110"
JPEG_XL_COLOURS = ("MONOCHROME1", "MONOCHROME2", "RGB", "YBR_RCT", "YBR_ICT")
"""Of sources; codestreams of the last two are RGB when they are decoded."""

COSINE = {"1.2.840.10008.1.2.4.50", "1.2.840.10008.1.2.4.51"}
LARGE = 400_000
"""Bytes of samples above which a file is compared in CI only."""

NOT_DECODED = {
    "JPEG-lossy.dcm",
    "JPEG2000-embedded-sequence-delimiter.dcm",
    "JPGExtended.dcm",
    "MR_truncated.dcm",
    "SC_rgb_jpeg.dcm",
    "badVR.dcm",
}
"""Files with pixel data that pydicom cannot decode, or not so that there is something to compare with."""

REFUSED = {
    "JPEGLSNearLossless_08.dcm",
    "JPEGLSNearLossless_16.dcm",
    "SC_rgb_jls_lossy_line.dcm",
    "SC_rgb_jls_lossy_sample.dcm",
    "bad_sequence.dcm",
}
"""Files with pixel data that are no instances."""


def read(content: bytes) -> Any:
    """All samples as pydicom reads them, colour by pixel, in the colour space they are stored in.

    None when there are none; raises what pydicom raises.
    """
    data = pydicom.dcmread(io.BytesIO(content))
    syntax = data.file_meta.TransferSyntaxUID
    if "PixelData" not in data or "SOPInstanceUID" not in data or syntax == DEFLATED:
        return None
    if syntax in BY_HAND:
        return stored_bits(read_by_hand(data, BY_HAND[syntax]), data)
    plugin = "pillow" if syntax in COSINE and data.BitsStored == 8 else ""
    return stored_bits(pixel_array(io.BytesIO(content), raw=True, decoding_plugin=plugin), data)


def stored_bits(samples: Any, data: pydicom.Dataset) -> Any:
    """Bits above Bits Stored mean nothing: pydicom keeps them of some transfer syntaxes and clears them of others."""
    unused = data.BitsAllocated - data.BitsStored
    if samples.dtype.kind == "f" or not unused:
        return samples
    shift = samples.dtype.itemsize * 8 - data.BitsAllocated + unused
    kind = np.dtype(f"{'i' if data.PixelRepresentation else 'u'}{samples.dtype.itemsize}")
    return (samples.astype(kind) << shift) >> shift


def inflated(frame: bytes, data: pydicom.Dataset) -> Any:
    native = zlib.decompressobj(-15).decompress(frame)
    return uncompressed(native, data)


def uncompressed(frame: bytes, data: pydicom.Dataset) -> Any:
    """A native frame as pydicom reads it, wrapped in a data set of its own."""
    alone = pydicom.Dataset()
    alone.update({tag: data[tag] for tag in data.keys() if tag.group == 0x0028})  # noqa: SIM118
    alone.NumberOfFrames = 1
    alone.file_meta = pydicom.dataset.FileMetaDataset()
    alone.file_meta.TransferSyntaxUID = UID(ELE)
    bits = data.BitsAllocated * (2 if data.PhotometricInterpretation == "YBR_FULL_422" else data.SamplesPerPixel)
    size = (data.Rows * data.Columns * bits + 7) // 8
    alone.PixelData = frame[:size] + b"\0" * (size % 2)
    alone["PixelData"].VR = "OW" if data.BitsAllocated > 8 else "OB"
    return pixel_array(alone, raw=True)


BY_HAND: dict[str, Callable[[bytes, pydicom.Dataset], Any]] = {
    "1.2.840.10008.1.2.1.98": uncompressed,
    "1.2.840.10008.1.2.8.1": inflated,
    "1.2.840.10008.1.2.4.110": lambda frame, data: imagecodecs.jpegxl_decode(frame),
}
"""Transfer syntaxes that pydicom 3.0 cannot decode -> what one frame is."""


def read_by_hand(data: pydicom.Dataset, decoded: Callable[[bytes, pydicom.Dataset], Any]) -> Any:
    number = int(data.get("NumberOfFrames", 1) or 1)
    frames = [decoded(frame, data) for frame in generate_frames(data.PixelData, number_of_frames=number)]
    return np.stack(frames) if number > 1 else frames[0]


def files() -> Iterator[Any]:
    """Instances whose samples pydicom decodes."""
    for path in real_files():
        data = pydicom.dcmread(path)
        if "PixelData" not in data or "SOPInstanceUID" not in data or data.file_meta.TransferSyntaxUID == DEFLATED:
            continue
        if path.name not in NOT_DECODED | REFUSED:
            samples = data.Rows * data.Columns * data.SamplesPerPixel * int(data.get("NumberOfFrames", 1) or 1)
            size = samples * max(data.BitsAllocated // 8, 1)
            yield pytest.param(path, id=path.name, marks=[pytest.mark.slow] if size > LARGE else [])


FILES = list(files())


def must_be_held(data: pydicom.Dataset, target: str) -> bool:
    """Whether a refusal would be wrong: what is 8 or 16 bits, grayscale, palette or three-coloured fits nearly
    everywhere."""
    if target in (ELE, DEFLATED, "1.2.840.10008.1.2.1.98", "1.2.840.10008.1.2.8.1"):
        return True
    if data.BitsAllocated not in (8, 16) or data.SamplesPerPixel not in (1, 3):
        return False
    if target == JPEG_XL:
        return data.PixelRepresentation == 0 and data.PhotometricInterpretation in JPEG_XL_COLOURS
    native = not data.file_meta.TransferSyntaxUID.is_encapsulated
    # Subsampled as it lies, it is no array of three samples a pixel.
    return not (native and data.PhotometricInterpretation == "YBR_FULL_422")


def test_enough_files_were_read() -> None:
    assert len(FILES) > 150


def test_what_is_left_out_is_no_instance() -> None:
    contents = [path.read_bytes() for path in real_files() if path.name in REFUSED]
    assert len(contents) == len(REFUSED)
    assert not OriginServer(instances=MemoryInstanceStore()).store(contents).stored


@pytest.mark.parametrize("path", FILES)
def test_every_file_in_every_transfer_syntax(path: Path) -> None:
    content = path.read_bytes()
    client = Client(OriginServer(instances=MemoryInstanceStore()))
    assert client.store(content).status == 200
    (found,) = client.get("/instances").json
    url = found["00081190"]["Value"][0].removeprefix(client.base_url)
    source, samples = pydicom.dcmread(io.BytesIO(content)), read(content)
    for target in MEDIA_TYPES:
        with case(target):
            check_instance(client, url, target, source, samples)


def check_instance(client: Client, url: str, target: str, source: pydicom.Dataset, samples: Any) -> None:
    """The instance in this transfer syntax has the samples, and its frames are those that are asked for alone."""
    answer = client.get(url, f"application/dicom; transfer-syntax={target}")
    if answer.status == 406 and not must_be_held(source, target):
        return
    assert answer.status == 200, answer.content
    written = pydicom.dcmread(io.BytesIO(answer.content))
    assert written.file_meta.TransferSyntaxUID == target
    read_back = read(answer.content) if target != DEFLATED else pixel_array(io.BytesIO(plain(written)), raw=True)
    assert read_back.shape == samples.shape
    # Of 12 bits there is no second decoder here with the same inverse cosine transform.
    bound = 3 if source.file_meta.TransferSyntaxUID in COSINE and source.BitsStored > 8 else 0
    assert np.abs(read_back.astype(np.int64) - samples).max() <= bound if bound else np.array_equal(read_back, samples)
    assert written.SOPInstanceUID == source.SOPInstanceUID
    media_type = MEDIA_TYPES[target]
    if media_type is not None:
        check_frames(client, url, target, media_type, written)


def plain(data: pydicom.Dataset) -> bytes:
    """The same data set, not deflated: pydicom has no decoder for native pixel data in that transfer syntax."""
    data.file_meta.TransferSyntaxUID = UID(ELE)
    stream = io.BytesIO()
    data.save_as(stream)
    return stream.getvalue()


def check_frames(client: Client, url: str, target: str, media_type: str, written: pydicom.Dataset) -> None:
    """The frames and the pixel data are those of the whole instance."""
    number = int(written.get("NumberOfFrames", 1) or 1)
    accept = f'multipart/related; type="{media_type}"; transfer-syntax={target}'
    expected_type = f"{media_type}; transfer-syntax={target}"
    frames = client.get(f"{url}/frames/{','.join(map(str, range(1, number + 1)))}", accept).parts
    pixels = client.get(url + "/pixeldata", accept).parts
    assert {part["content-type"] for part, _ in (*frames, *pixels)} == {expected_type}
    value = written.PixelData
    if target == ELE:
        (_, whole) = pixels[0]
        assert len(pixels) == 1
        assert whole in (value, value[:-1])
        assert len(frames) == number
        if written.BitsAllocated > 1:
            # Behind the frames a stored value may have more.
            assert whole.startswith(b"".join(content for _, content in frames))
        return
    fragments = list(generate_frames(value, number_of_frames=number))
    assert [content + b"\0" * (len(content) % 2) for _, content in frames] == fragments
    assert pixels == frames or [content for _, content in pixels] == [content for _, content in frames]
