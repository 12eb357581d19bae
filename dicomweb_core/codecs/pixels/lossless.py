"""The lossless encoders of imagecodecs, in the forms that DICOM asks for (PS3.5 A.4.1, A.4.3, A.4.4, A.4.12)."""

from __future__ import annotations

import struct
from collections.abc import Callable
from functools import lru_cache
from types import ModuleType
from typing import Any

from dicomweb_core.codecs.pixels.samples import Samples, bits_needed, samples_of
from dicomweb_core.errors import InvalidFrame
from dicomweb_core.values.pixels import ImagePixel, NativeFrame

_BASE_RESOLUTION = 64
"""Rows and columns of the smallest resolution in HTJ2K Lossless RPCL, at most (PS3.5 10.18)."""


@lru_cache(maxsize=1)
def _library() -> ModuleType | None:
    try:
        import imagecodecs
    except ImportError:
        return None
    return imagecodecs


@lru_cache(maxsize=64)
def missing(codec: str) -> str | None:
    """None if imagecodecs is here and has this codec; else a sentence that names it."""
    library = _library()
    if library is not None and getattr(getattr(library, codec, None), "available", False):
        return None
    return f"This needs the library imagecodecs with its codec {codec}, which is not installed here."


def jpeg(frame: NativeFrame) -> bytes:
    """Process 14, Selection Value 1. Of signed samples the whole cells, as if they had no sign."""
    samples = _side_by_side(frame)
    allocated = frame.image.bits_allocated
    # The sign above Bits Stored must survive: readers do not put it back.
    # Of 8 bits allocated the precision is 8: some readers take no less, and one crashes on 1.
    precision = allocated if frame.image.signed else max(_precision(samples, frame.image), 8 if allocated == 8 else 9)
    space = "UNKNOWN" if frame.image.photometric == "YBR_FULL" else "RGB" if samples.ndim == 3 else None
    return _encoded("jpeg8", samples, lossless=True, predictor=1, bitspersample=precision, colorspace=space)


def jpeg_ls(frame: NativeFrame) -> bytes:
    """Interleaved by sample; the precision is Bits Allocated. Of signed samples the whole cells, as if without sign."""
    samples = _side_by_side(frame)
    # What cannot be compressed becomes longer: at most four times, and stuffed bits (ISO 14495-1 A.2.1, 9.1).
    try:
        codestream = _encoded("jpegls", samples)
    except InvalidFrame:
        codestream = _encoded("jpegls", samples, out=5 * samples.nbytes + 1024)
    return _without_spiff(codestream)


def _without_spiff(codestream: bytes) -> bytes:
    """The encoder begins with a SPIFF header (APP8), which says RGB of whatever has three components."""
    place = 2
    while codestream[place : place + 2] == b"\xff\xe8":
        place += 2 + int.from_bytes(codestream[place + 2 : place + 4], "big")
    return b"".join((codestream[:2], memoryview(codestream)[place:]))


def jpeg_2000(frame: NativeFrame) -> bytes:
    """One tile, reversible; RGB by the reversible colour transform."""
    samples = samples_of(frame)
    return _encoded(
        "jpeg2k",
        samples,
        level=0,
        codecformat="J2K",
        reversible=True,
        bitspersample=_precision(samples, frame.image),
        mct=frame.image.photometric == "RGB",
        numthreads=1,
    )


def htj2k(frame: NativeFrame) -> bytes:
    """One tile, reversible; RGB by the reversible colour transform."""
    return _htj2k(frame)


def htj2k_rpcl(frame: NativeFrame) -> bytes:
    """As `htj2k`, a tile part for each resolution, their lengths in front (PS3.5 10.18)."""
    longest = max(frame.image.rows, frame.image.columns)
    halvings = max(5, (-(-longest // _BASE_RESOLUTION) - 1).bit_length())
    # 1: a tile part for each resolution.
    return _htj2k(frame, resolutions=halvings, tlm=True, tilepart=1)


def jpeg_xl(frame: NativeFrame) -> bytes:
    """A bare codestream, modular, without colour transform."""
    samples = samples_of(frame)
    precision = max(_precision(samples, frame.image), 1 if frame.image.bits_allocated == 8 else 9)
    return _encoded("jpegxl", samples, lossless=True, effort=2, bitspersample=precision, usecontainer=False)


def _htj2k(frame: NativeFrame, **options: Any) -> bytes:
    """The encoder knows only precisions of whole bytes; the codestream gets the one of the samples.

    It subtracts half its range from samples without sign, a decoder adds half of the range it reads in the header:
    so the difference is added here. Coefficients stay the same otherwise (ISO 15444-1 A.5.1, G.1).
    """
    samples = samples_of(frame)
    image = frame.image
    precision = _precision(samples, image)
    if precision < image.bits_allocated and not image.signed:
        samples = samples + samples.dtype.type((1 << image.bits_allocated - 1) - (1 << precision - 1))
    codestream = _encoded("htj2k", samples, reversible=True, rgb=image.photometric == "RGB", **options)
    if precision == image.bits_allocated:
        return codestream
    header = bytearray(codestream[: 42 + 3 * image.samples])
    if header[2:4] != b"\xff\x51" or struct.unpack_from(">H", header, 40) != (image.samples,):
        raise InvalidFrame("The encoder made a header that is not understood.")
    header[42::3] = bytes([precision - 1 | image.signed << 7] * image.samples)
    return b"".join((header, memoryview(codestream)[len(header) :]))


def _precision(samples: Samples, image: ImagePixel) -> int:
    """Bits Stored, or Bits Allocated when something stands above them."""
    if image.bits_stored == image.bits_allocated or bits_needed(samples) > image.bits_stored:
        return image.bits_allocated
    return image.bits_stored


def _side_by_side(frame: NativeFrame) -> Samples:
    """The cells without sign, the samples of a pixel next to each other."""
    samples = samples_of(frame)
    cells = samples.view(samples.dtype.str.replace("i", "u"))
    # Also of one pixel: its planes count as contiguous, but not for every encoder.
    return cells.copy(order="C") if frame.image.samples > 1 and frame.image.planar else cells


def _encoded(codec: str, samples: Samples, **options: Any) -> bytes:
    function: Callable[..., bytes] = getattr(_library(), f"{codec}_encode")
    try:
        return bytes(function(samples, **options))
    except (RuntimeError, ValueError, TypeError, MemoryError):
        raise InvalidFrame("The encoder refused the frame.") from None
