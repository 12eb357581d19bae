"""Every real file x every transfer syntax that can hold it: instance, frames and pixel data, read back by pydicom.

pydicom decodes the file as it is installed and as it was transcoded; the samples must be the same, bit for bit also
where the source is lossy, for both sides decode the same codestream - but for baseline and extended JPEG, where two
libraries may differ by their inverse cosine transform.
"""

from __future__ import annotations

import contextlib
import io
import warnings
import zlib
from collections.abc import Callable
from functools import lru_cache
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

COSINE = {"1.2.840.10008.1.2.4.50", "1.2.840.10008.1.2.4.51"}
LARGE = 1_500_000
"""Bytes of samples above which a file is compared in CI only."""


@lru_cache
def images() -> tuple[tuple[Path, Any], ...]:
    """Files of integer images that pydicom can read, with their samples."""
    found = []
    for path in real_files():
        with contextlib.suppress(Exception), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            samples = read(path.read_bytes())
            if samples is not None:
                found.append((path, samples))
    return tuple(found)


def read(content: bytes) -> Any:
    """All samples as pydicom reads them, colour by pixel, in the colour space they are stored in.

    None when there are none; raises what pydicom raises.
    """
    data = pydicom.dcmread(io.BytesIO(content))
    syntax = data.file_meta.TransferSyntaxUID
    if "PixelData" not in data or "SOPInstanceUID" not in data or syntax == DEFLATED:
        return None
    if syntax in BY_HAND:
        return read_by_hand(data, BY_HAND[syntax])
    plugin = "pillow" if syntax in COSINE and data.BitsStored == 8 else ""
    return pixel_array(io.BytesIO(content), raw=True, decoding_plugin=plugin)


def inflated(frame: bytes, data: pydicom.Dataset) -> Any:
    native = zlib.decompressobj(-15).decompress(frame)
    if data.BitsAllocated == 1:
        bits = np.unpackbits(np.frombuffer(native, np.uint8), bitorder="little")
        return bits[: data.Rows * data.Columns].reshape(data.Rows, data.Columns)
    return interleaved(np.frombuffer(native, dtype_of(data)), data)


def uncompressed(frame: bytes, data: pydicom.Dataset) -> Any:
    size = data.Rows * data.Columns * data.SamplesPerPixel * data.BitsAllocated // 8
    return interleaved(np.frombuffer(frame[:size], dtype_of(data)), data)


def interleaved(samples: Any, data: pydicom.Dataset) -> Any:
    if data.SamplesPerPixel == 1:
        return samples.reshape(data.Rows, data.Columns)
    if data.PlanarConfiguration:
        return samples.reshape(data.SamplesPerPixel, data.Rows, data.Columns).transpose(1, 2, 0)
    return samples.reshape(data.Rows, data.Columns, data.SamplesPerPixel)


def dtype_of(data: pydicom.Dataset) -> str:
    return f"<{'i' if data.PixelRepresentation else 'u'}{data.BitsAllocated // 8}"


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


def cases() -> list[Any]:
    return [
        pytest.param(
            path,
            samples,
            target,
            id=f"{path.name}-{target}",
            marks=[pytest.mark.slow] if samples.nbytes > LARGE else [],
        )
        for path, samples in images()
        for target in MEDIA_TYPES
    ]


@lru_cache(maxsize=4)
def stored(path: Path) -> tuple[Client, str] | None:
    """A server with the file in it, and the URL of the instance; None if it is no instance."""
    client = Client(OriginServer(instances=MemoryInstanceStore()))
    if client.store(path.read_bytes()).status != 200:
        return None
    (found,) = client.get("/instances").json
    return client, found["00081190"]["Value"][0].removeprefix(client.base_url)


def must_be_held(data: pydicom.Dataset, target: str) -> bool:
    """Whether a refusal would be wrong: what is 8 or 16 bits, grayscale, palette or three-coloured fits everywhere."""
    return target in (ELE, DEFLATED) or (data.BitsAllocated in (8, 16) and data.SamplesPerPixel in (1, 3))


@pytest.mark.parametrize(("path", "samples", "target"), cases())
def test_every_file_in_every_transfer_syntax(path: Path, samples: Any, target: str) -> None:
    found = stored(path)
    if found is None:
        pytest.skip("no SOP instance")
    client, url = found
    source = pydicom.dcmread(path)
    answer = client.get(url, f"application/dicom; transfer-syntax={target}")
    if answer.status == 406 and not must_be_held(source, target):
        return
    assert answer.status == 200, answer.content
    written = pydicom.dcmread(io.BytesIO(answer.content))
    assert written.file_meta.TransferSyntaxUID == target
    read_back = read(answer.content) if target != DEFLATED else pixel_array(io.BytesIO(plain(written)), raw=True)
    assert read_back.shape == samples.shape
    assert np.array_equal(read_back, samples)
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
        if written.BitsAllocated > 1:
            assert b"".join(content for _, content in frames) == whole
        assert len(frames) == number
        return
    fragments = list(generate_frames(value, number_of_frames=number))
    assert [content + b"\0" * (len(content) % 2) for _, content in frames] == fragments
    assert pixels == frames or [content for _, content in pixels] == [content for _, content in frames]
