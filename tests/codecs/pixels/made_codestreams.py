"""Small codestreams of every transfer syntax, made with the encoders of the library, and what they hold."""

from __future__ import annotations

import struct
import zlib
from functools import cache
from typing import Any, NamedTuple

import imagecodecs
import numpy as np
from numpy.typing import NDArray

from dicomweb_core.values.pixels import ImagePixel

DICOM = "1.2.840.10008.1.2"
RLE = f"{DICOM}.5"
DEFLATED_FRAME = f"{DICOM}.8.1"
UNCOMPRESSED = f"{DICOM}.1.98"

Samples = NDArray[Any]


class Made(NamedTuple):
    codestream: bytes
    uid: str
    image: ImagePixel
    samples: Samples
    """What it was made of."""


@cache
def grey() -> Samples:
    """48 rows of 40 pixels, 12 bits: a smooth image with noise."""
    rows, columns = np.mgrid[:48, :40]
    noise = np.random.default_rng(7).normal(0, 9, rows.shape)
    return (2000 + 1500 * np.sin(rows / 9) * np.cos(columns / 7) + noise).astype("<u2")


@cache
def colour() -> Samples:
    """The same in 8 bit RGB."""
    return np.stack([grey() // 16, grey() // 20, 255 - grey() // 16], -1).astype("u1")


MONOCHROME = ImagePixel(48, 40, 1, 16, 12)
SIGNED = ImagePixel(48, 40, 1, 16, 12, signed=True)
RGB = ImagePixel(48, 40, 3, 8, 8, photometric="RGB")
YBR = ImagePixel(48, 40, 3, 8, 8, photometric="YBR_FULL_422")


def deflated(frame: bytes) -> bytes:
    deflate = zlib.compressobj(6, zlib.DEFLATED, -zlib.MAX_WBITS)
    return deflate.compress(frame) + deflate.flush()


def rle(samples: Samples) -> bytes:
    """PS3.5 G: shape (rows, columns[, samples]), each row packed for itself."""
    cells = samples.reshape(*samples.shape[:2], -1, 1).view("u1")
    segments = [
        b"".join(imagecodecs.packbits_encode(row.tobytes()) for row in cells[:, :, sample, significance])
        for sample in range(cells.shape[2])
        for significance in reversed(range(cells.shape[3]))
    ]
    return rle_frame([segment + b"\0" * (len(segment) % 2) for segment in segments])


def rle_frame(segments: list[bytes]) -> bytes:
    offsets = [64]
    for segment in segments[:-1]:
        offsets.append(offsets[-1] + len(segment))
    header = struct.pack("<16I", len(segments), *offsets, *[0] * (15 - len(offsets)))
    return header + b"".join(segments)


def lossless_jpeg(samples: Samples, bits: int, predictor: int = 1) -> bytes:
    colours = {"colorspace": "RGB", "outcolorspace": "RGB"} if samples.ndim == 3 else {}
    return bytes(imagecodecs.jpeg8_encode(samples, lossless=True, predictor=predictor, bitspersample=bits, **colours))


def j2k(samples: Samples, bits: int, **options: Any) -> bytes:
    return bytes(
        imagecodecs.jpeg2k_encode(samples, level=0, reversible=True, codecformat="j2k", bitspersample=bits, **options)
    )


def jpeg(samples: Samples, **options: Any) -> bytes:
    return bytes(imagecodecs.jpeg8_encode(samples, level=90, **options))


@cache
def lossless() -> dict[str, Made]:
    """Those whose samples come back."""
    signed = grey().astype("<i2") - 2048
    twos = signed.view("<u2") & 0xFFF
    return {
        name: Made(bytes(codestream), uid, image, samples)
        for name, codestream, uid, image, samples in (
            ("JPEG lossless", lossless_jpeg(grey(), 12), f"{DICOM}.4.70", MONOCHROME, grey()),
            ("JPEG lossless, predictor 6", lossless_jpeg(grey(), 12, 6), f"{DICOM}.4.57", MONOCHROME, grey()),
            ("JPEG lossless, 16 bits", lossless_jpeg(grey(), 16), f"{DICOM}.4.70", MONOCHROME, grey()),
            ("JPEG lossless, signed", lossless_jpeg(twos, 12), f"{DICOM}.4.70", SIGNED, signed),
            ("JPEG lossless, RGB", lossless_jpeg(colour(), 8), f"{DICOM}.4.70", RGB, colour()),
            ("JPEG-LS", imagecodecs.jpegls_encode(grey()), f"{DICOM}.4.80", MONOCHROME, grey()),
            ("JPEG-LS, signed", imagecodecs.jpegls_encode(signed.view("<u2")), f"{DICOM}.4.80", SIGNED, signed),
            ("JPEG-LS, masked", imagecodecs.jpegls_encode(twos), f"{DICOM}.4.80", SIGNED, signed),
            ("JPEG-LS, RGB", imagecodecs.jpegls_encode(colour()), f"{DICOM}.4.80", RGB, colour()),
            ("JPEG 2000", j2k(grey(), 12), f"{DICOM}.4.90", MONOCHROME, grey()),
            ("JPEG 2000 as .91", j2k(grey(), 12), f"{DICOM}.4.91", MONOCHROME, grey()),
            ("JPEG 2000 as Part 2", j2k(grey(), 12), f"{DICOM}.4.92", MONOCHROME, grey()),
            ("JPEG 2000, signed", j2k(signed, 12), f"{DICOM}.4.90", SIGNED, signed),
            ("JPEG 2000, RCT", j2k(colour(), 8, mct=True), f"{DICOM}.4.90", RGB, colour()),
            ("JPEG 2000, no RCT", j2k(colour(), 8, mct=False), f"{DICOM}.4.90", RGB, colour()),
            ("HTJ2K", imagecodecs.htj2k_encode(grey()), f"{DICOM}.4.201", MONOCHROME, grey()),
            ("HTJ2K, signed", imagecodecs.htj2k_encode(signed), f"{DICOM}.4.202", SIGNED, signed),
            ("HTJ2K, RGB", imagecodecs.htj2k_encode(colour()), f"{DICOM}.4.202", RGB, colour()),
            ("HTJ2K as .203", imagecodecs.htj2k_encode(colour()), f"{DICOM}.4.203", RGB, colour()),
            ("JPEG XL", imagecodecs.jpegxl_encode(grey(), lossless=True), f"{DICOM}.4.110", MONOCHROME, grey()),
            ("JPEG XL, RGB", imagecodecs.jpegxl_encode(colour(), lossless=True), f"{DICOM}.4.112", RGB, colour()),
            ("RLE", rle(grey()), RLE, MONOCHROME, grey()),
            ("RLE, 8 bits", rle((grey() >> 4).astype("u1")), RLE, ImagePixel(48, 40, 1, 8, 8), grey() >> 4),
            ("RLE, 32 bits", rle(grey() * np.uint32(70000)), RLE, ImagePixel(48, 40, 1, 32, 32),
             grey() * np.uint32(70000)),
            ("RLE, signed", rle(signed), RLE, SIGNED, signed),
            ("RLE, RGB", rle(colour()), RLE, RGB, colour()),
            ("deflated frame", deflated(grey().tobytes()) + b"\0", DEFLATED_FRAME, MONOCHROME, grey()),
            ("encapsulated uncompressed", grey().tobytes(), UNCOMPRESSED, MONOCHROME, grey()),
        )
    }  # fmt: skip


@cache
def lossy() -> dict[str, Made]:
    """Those whose samples come back nearly."""
    return {
        name: Made(bytes(codestream), uid, image, samples)
        for name, codestream, uid, image, samples in (
            ("JPEG baseline", jpeg((grey() >> 4).astype("u1")), f"{DICOM}.4.50", ImagePixel(48, 40, 1, 8, 8),
             grey() >> 4),
            ("JPEG extended, 12 bits", jpeg(grey(), bitspersample=12), f"{DICOM}.4.51", MONOCHROME, grey()),
            ("JPEG baseline, RGB", jpeg(colour(), colorspace="RGB", outcolorspace="RGB"), f"{DICOM}.4.50", RGB,
             colour()),
            ("JPEG-LS near", imagecodecs.jpegls_encode(colour(), level=2), f"{DICOM}.4.81", RGB, colour()),
            ("JPEG 2000 lossy", imagecodecs.jpeg2k_encode(colour(), level=45, codecformat="j2k", mct=True),
             f"{DICOM}.4.91", RGB, colour()),
            ("JPEG XL lossy", imagecodecs.jpegxl_encode(colour(), level=95), f"{DICOM}.4.112", RGB, colour()),
        )
    }  # fmt: skip
