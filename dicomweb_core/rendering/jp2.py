"""JP2 and JPH files: the boxes around a codestream (ISO/IEC 15444-1 I, 15444-15 D). Samples come from imagecodecs."""

from __future__ import annotations

import struct
from typing import Any, Final

from dicomweb_core.rendering.pictures import Picture

_SIGNATURE: Final = b"\x00\x00\x00\x0cjP  \r\n\x87\n"
_ENUMERATED, _PROFILE = 1, 2
_SRGB, _GRAY = 16, 17
_LEAST_RATIO, _RATIOS = 25, 30
"""Peak signal to noise in dB at quality 0, and how much more it is at 100."""


def encode_jp2(picture: Picture, quality: int | None) -> bytes:
    """JPEG 2000. Without a quality, or with 100, nothing is lost."""
    import imagecodecs

    lossless = quality in (None, 100)
    codestream = imagecodecs.jpeg2k_encode(
        picture.samples,
        level=0 if lossless else _LEAST_RATIO + _RATIOS * (quality or 0) // 100,
        codecformat="J2K",
        reversible=lossless,
        mct=picture.samples.ndim == 3,
        numthreads=1,
    )
    return _file(b"jp2 ", picture, codestream)


def encode_jph(picture: Picture, _quality: int | None) -> bytes:
    """High-throughput JPEG 2000. Nothing is lost."""
    import imagecodecs

    return _file(
        b"jph ",
        picture,
        imagecodecs.htj2k_encode(picture.samples, reversible=True, rgb=picture.samples.ndim == 3),
    )


def _file(brand: bytes, picture: Picture, codestream: Any) -> bytes:
    gray = picture.samples.ndim == 2
    bits = picture.samples.dtype.itemsize * 8
    header = struct.pack(">IIHBBBB", picture.rows, picture.columns, 1 if gray else 3, bits - 1, 7, 0, 0)
    if picture.icc_profile is None:
        color = struct.pack(">BBBI", _ENUMERATED, 0, 0, _GRAY if gray else _SRGB)
    else:
        color = struct.pack(">BBB", _PROFILE, 0, 0) + picture.icc_profile
    boxes = _box(b"jp2h", _box(b"ihdr", header) + _box(b"colr", color))
    # A length of 0: up to the end of the file.
    return b"".join((_SIGNATURE, _box(b"ftyp", brand + bytes(4) + brand), boxes, bytes(4), b"jp2c", codestream))


def _box(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I4s", 8 + len(content), name) + content
