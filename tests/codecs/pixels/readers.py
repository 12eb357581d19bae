"""Decoders that are not ours, to read what we encode; and frames to be encoded."""

from __future__ import annotations

import warnings
import zlib
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.pixels import get_decoder

from dicomweb_core.codecs.pixels.encoding import encode, encoded_image
from dicomweb_core.values.limits import Limits
from dicomweb_core.values.pixels import ImagePixel, NativeFrame

DICOM = "1.2.840.10008.1.2"
NATIVE, ENCAPSULATED, DEFLATED, RLE = f"{DICOM}.1", f"{DICOM}.1.98", f"{DICOM}.8.1", f"{DICOM}.5"
JPEG, JPEG_SV1, JPEG_LS, JPEG_2000 = f"{DICOM}.4.57", f"{DICOM}.4.70", f"{DICOM}.4.80", f"{DICOM}.4.90"
HTJ2K, HTJ2K_RPCL, JPEG_XL = f"{DICOM}.4.201", f"{DICOM}.4.202", f"{DICOM}.4.110"

Reader = Callable[[bytes, ImagePixel], Any]
"""Codestream and what its data set says -> array of the native samples, color by pixel."""


def by_pydicom(uid: str, plugin: str) -> Reader:
    """pydicom, from a data set, with this plugin of its."""

    def read(codestream: bytes, image: ImagePixel) -> Any:
        decoder = get_decoder(uid)
        if plugin not in decoder.available_plugins:
            pytest.skip(f"{plugin} is not installed")
        dataset = Dataset()
        dataset.file_meta = FileMetaDataset()
        dataset.file_meta.TransferSyntaxUID = uid
        dataset.Rows, dataset.Columns, dataset.SamplesPerPixel = image.rows, image.columns, image.samples
        # gdcm refuses fewer than 8 bits, or crashes.
        stored = max(image.bits_stored, 8) if plugin == "gdcm" else image.bits_stored
        dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = image.bits_allocated, stored, stored - 1
        dataset.PixelRepresentation = int(image.signed)
        dataset.PhotometricInterpretation = image.photometric
        if image.samples > 1:
            dataset.PlanarConfiguration = int(image.planar)
        dataset.PixelData = encapsulate([codestream + b"\0" * (len(codestream) % 2)])
        dataset["PixelData"].VR = "OB"
        with warnings.catch_warnings():
            # Small frames may become as long as they were by chance.
            warnings.filterwarnings("ignore", message="The number of bytes of compressed pixel data matches")
            return decoder.as_array(dataset, raw=True, decoding_plugin=plugin)[0]

    return read


def by_imagecodecs(name: str, **options: Any) -> Reader:
    """A decoder of imagecodecs. Samples come back without a sign where the codestream has none."""

    def read(codestream: bytes, image: ImagePixel) -> Any:
        imagecodecs = pytest.importorskip("imagecodecs")
        array = getattr(imagecodecs, f"{name}_decode")(codestream, **options)
        if image.samples == 3 and array.shape[0] == 3 and array.shape[2:] != (3,):
            array = np.moveaxis(array, 0, 2)
        if image.signed and array.dtype.kind == "u":
            array = array.astype(f"u{image.bits_allocated // 8}").view(f"i{image.bits_allocated // 8}")
        return array.reshape(image.rows, image.columns, *[3] * (image.samples == 3))

    return read


def by_zlib(codestream: bytes, image: ImagePixel) -> Any:
    """RFC 1951."""
    return array_of(NativeFrame(zlib.decompress(codestream, -zlib.MAX_WBITS), image))


def as_it_is(codestream: bytes, image: ImagePixel) -> Any:
    """No compression."""
    return array_of(NativeFrame(codestream, image))


READERS: dict[str, dict[str, Reader]] = {
    NATIVE: {"as it is": as_it_is},
    ENCAPSULATED: {"as it is": as_it_is},
    DEFLATED: {"zlib": by_zlib},
    RLE: {"pydicom": by_pydicom(RLE, "pydicom"), "pylibjpeg-rle": by_pydicom(RLE, "pylibjpeg")},
    JPEG_LS: {
        "CharLS": by_imagecodecs("jpegls"),
        "pyjpegls": by_pydicom(JPEG_LS, "pyjpegls"),
    },
    JPEG_2000: {"OpenJPEG": by_imagecodecs("jpeg2k"), "pylibjpeg-openjpeg": by_pydicom(JPEG_2000, "pylibjpeg")},
    HTJ2K: {
        "OpenJPH": by_imagecodecs("htj2k"),
        "OpenJPEG": by_imagecodecs("jpeg2k"),
        "pylibjpeg-openjpeg": by_pydicom(HTJ2K, "pylibjpeg"),
    },
    HTJ2K_RPCL: {
        "OpenJPH": by_imagecodecs("htj2k"),
        "OpenJPEG": by_imagecodecs("jpeg2k"),
        "pylibjpeg-openjpeg": by_pydicom(HTJ2K_RPCL, "pylibjpeg"),
    },
    JPEG_SV1: {"libjpeg-turbo": by_imagecodecs("jpeg8"), "gdcm": by_pydicom(JPEG_SV1, "gdcm")},
    JPEG: {"libjpeg-turbo": by_imagecodecs("jpeg8"), "gdcm": by_pydicom(JPEG, "gdcm")},
    JPEG_XL: {"libjxl": by_imagecodecs("jpegxl")},
}
"""Transfer syntax -> name of the library -> reader."""


def array_of(frame: NativeFrame) -> Any:
    """The samples of a native frame of whole bytes, color by pixel."""
    image = frame.image
    cells = np.frombuffer(frame.data, f"<{'i' if image.signed else 'u'}{image.bits_allocated // 8}")
    if image.samples == 1:
        return cells.reshape(image.rows, image.columns)
    if image.planar:
        return np.moveaxis(cells.reshape(image.samples, image.rows, image.columns), 0, 2)
    return cells.reshape(image.rows, image.columns, image.samples)


def frame_of(array: Any, image: ImagePixel) -> NativeFrame:
    """The opposite of `array_of`."""
    cells = array.astype(f"<{'i' if image.signed else 'u'}{image.bits_allocated // 8}")
    return NativeFrame((np.moveaxis(cells, 2, 0) if image.planar else cells).tobytes(), image)


def extremes(image: ImagePixel, bits: int | None = None) -> tuple[int, int]:
    """The lowest and the highest value in so many bits, Bits Stored if not said."""
    bits = bits or image.bits_stored
    return (-(1 << bits - 1), (1 << bits - 1) - 1) if image.signed else (0, (1 << bits) - 1)


def random_frame(image: ImagePixel, seed: int = 7, bits: int | None = None) -> NativeFrame:
    """Noise that has both extremes in it."""
    shape = (image.rows, image.columns) if image.samples == 1 else (image.rows, image.columns, image.samples)
    lowest, highest = extremes(image, bits)
    array = np.random.default_rng(seed).integers(lowest, highest, shape, np.int64, endpoint=True)
    array.flat[0], array.flat[-1] = lowest, highest
    return frame_of(array, image)


def read_back(frame: NativeFrame, uid: str, reader: Reader) -> Any:
    """What somebody else reads from our codestream, by what `encoded_image` says."""
    return reader(encode(frame, uid, Limits()), encoded_image(frame.image, uid))
