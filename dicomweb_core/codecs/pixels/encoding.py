"""Native frames to codestreams, without loss (PS3.5 8.2, A.4)."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Final

from dicomweb_core.codecs.pixels import lossless
from dicomweb_core.codecs.pixels.rle import encode_rle
from dicomweb_core.errors import InvalidFrame, MissingCodec
from dicomweb_core.values.limits import Limits
from dicomweb_core.values.pixels import ImagePixel, NativeFrame
from dicomweb_core.values.transfer_syntaxes import EXPLICIT_VR_LITTLE_ENDIAN, transfer_syntax

try:
    from isal.isal_zlib import compressobj

    _DEFLATE_LEVEL = 2
except ImportError:
    from zlib import compressobj  # type: ignore[assignment]  # the same promise

    _DEFLATE_LEVEL = 6

_DICOM: Final = "1.2.840.10008.1.2"


@dataclass(frozen=True, slots=True)
class _Row:
    """Images that a transfer syntax may hold: a row of Tables 8.2.1-2 to 8.2.15-1 in PS3.5."""

    photometrics: tuple[str, ...]
    signed: bool
    """Pixel Representation may be 1."""
    allocated: tuple[int, ...]
    stored: range

    def holds(self, image: ImagePixel) -> bool:
        samples = 3 if self.photometrics[0] in ("RGB", "YBR_FULL") else 1
        return (
            image.photometric in self.photometrics
            and image.samples == samples
            and (self.signed or not image.signed)
            and image.bits_allocated in self.allocated
            and image.bits_stored in self.stored
        )


_GREY: Final = ("MONOCHROME1", "MONOCHROME2")
_ANY_BITS: Final = range(1, 17)

_JPEG: Final = (
    _Row(_GREY, True, (8, 16), _ANY_BITS),
    _Row(("PALETTE COLOR",), False, (8, 16), _ANY_BITS),
    _Row(("RGB", "YBR_FULL"), False, (8, 16), _ANY_BITS),
)
_JPEG_LS: Final = (
    _Row(_GREY, True, (8, 16), range(2, 17)),
    _Row(("PALETTE COLOR",), False, (8, 16), range(2, 17)),
    _Row(("RGB",), False, (8, 16), range(2, 17)),
    _Row(("YBR_FULL",), False, (8,), range(2, 9)),
)
# The tables also have 1, 24, 32 and 40 bits allocated here: no library reads them all back.
_JPEG_2000: Final = _JPEG
# No sign: JPEG XL has none.
_JPEG_XL: Final = (_Row(_GREY, False, (8, 16), _ANY_BITS), _Row(("RGB",), False, (8, 16), _ANY_BITS))
# The table also has 1 bit allocated: hardly anybody reads it.
_RLE: Final = (
    _Row(_GREY, True, (8, 16), _ANY_BITS),
    _Row(("PALETTE COLOR",), False, (8, 16), _ANY_BITS),
    _Row(("RGB",), False, (8, 16), _ANY_BITS),
    _Row(("YBR_FULL",), False, (8,), range(1, 9)),
)


def _same(frame: NativeFrame) -> bytes:
    return frame.data


def _deflated(frame: NativeFrame) -> bytes:
    """RFC 1951 without a zlib header (PS3.5 A.4.13)."""
    deflater = compressobj(_DEFLATE_LEVEL, zlib.DEFLATED, -zlib.MAX_WBITS)
    return deflater.compress(frame.data) + deflater.flush()


@dataclass(frozen=True, slots=True)
class _Encoder:
    encode: Callable[[NativeFrame], bytes]
    rows: tuple[_Row, ...] | None = None
    """What it may hold; None: the bits of any frame, as they lie."""
    codec: str = ""
    """Name of the codec in imagecodecs; empty: no library is needed."""
    rgb_becomes: str = "RGB"
    planar: bool = False

    def holds(self, image: ImagePixel) -> bool:
        if self.rows is None:
            return True
        return not image.floating and any(row.holds(image) for row in self.rows)


_ENCODERS: Final[dict[str, _Encoder]] = {
    EXPLICIT_VR_LITTLE_ENDIAN: _Encoder(_same),
    f"{_DICOM}.4.80": _Encoder(lossless.jpeg_ls, _JPEG_LS, "JPEGLS"),
    f"{_DICOM}.4.201": _Encoder(lossless.htj2k, _JPEG_2000, "HTJ2K", "YBR_RCT"),
    f"{_DICOM}.4.90": _Encoder(lossless.jpeg_2000, _JPEG_2000, "JPEG2K", "YBR_RCT"),
    f"{_DICOM}.4.70": _Encoder(lossless.jpeg, _JPEG, "JPEG8"),
    f"{_DICOM}.5": _Encoder(encode_rle, _RLE, planar=True),
    f"{_DICOM}.4.202": _Encoder(lossless.htj2k_rpcl, _JPEG_2000, "HTJ2K", "YBR_RCT"),
    f"{_DICOM}.4.57": _Encoder(lossless.jpeg, _JPEG, "JPEG8"),
    f"{_DICOM}.4.110": _Encoder(lossless.jpeg_xl, _JPEG_XL, "JPEGXL"),
    f"{_DICOM}.8.1": _Encoder(_deflated),
    f"{_DICOM}.1.98": _Encoder(_same),
}
"""In the order of our preference: native, then what is small and quick and read by many."""


def encoded_image(image: ImagePixel, transfer_syntax_uid: str) -> ImagePixel:
    """What the data set of frames encoded so must say: Photometric Interpretation, Planar Configuration, bits.

    Raises InvalidFrame when the transfer syntax cannot hold such frames.
    """
    encoder = _encoder(image, transfer_syntax_uid)
    if encoder.rows is None or image.samples == 1:
        return image
    photometric = encoder.rgb_becomes if image.photometric == "RGB" else image.photometric
    return replace(image, photometric=photometric, planar=encoder.planar)


@lru_cache(maxsize=1024)
def encodable_in(image: ImagePixel) -> tuple[str, ...]:
    """The UIDs of the transfer syntaxes that native frames like this can be encoded in here, without loss.

    In the order of our preference; Explicit VR Little Endian, as they are, is always the first.
    """
    return tuple(
        uid
        for uid, encoder in _ENCODERS.items()
        if _allows(uid, encoder, image) and not (encoder.codec and lossless.missing(encoder.codec))
    )


def missing_encoder(transfer_syntax_uid: str) -> str | None:
    """None if some frames can be encoded in this transfer syntax here; else a sentence that says what is missing."""
    encoder = _ENCODERS.get(transfer_syntax_uid)
    if encoder is None:
        return f"There is no encoder for {transfer_syntax(transfer_syntax_uid).name} frames."
    return lossless.missing(encoder.codec) if encoder.codec else None


def encode(frame: NativeFrame, transfer_syntax_uid: str, limits: Limits) -> bytes:
    """The codestream of one frame, without a pad byte at its end.

    Every bit of every pixel cell survives, those above Bits Stored too. Raises InvalidFrame when the transfer syntax
    cannot hold such a frame, or it is larger than `Limits.frame_bytes`, and MissingCodec.
    """
    encoder = _encoder(frame.image, transfer_syntax_uid)
    missing = lossless.missing(encoder.codec) if encoder.codec else None
    if missing:
        raise MissingCodec(missing)
    if len(frame.data) != frame.image.frame_bytes:
        raise InvalidFrame("A frame has more or fewer bytes than Rows, Columns and Bits Allocated say.")
    if len(frame.data) > limits.frame_bytes:
        raise InvalidFrame("The frame is larger than this server encodes.")
    return encoder.encode(frame)


def _allows(uid: str, encoder: _Encoder, image: ImagePixel) -> bool:
    # Float Pixel Data are never encapsulated (PS3.5 A.4).
    return encoder.holds(image) and (uid == EXPLICIT_VR_LITTLE_ENDIAN or not image.floating)


def _encoder(image: ImagePixel, uid: str) -> _Encoder:
    encoder = _ENCODERS.get(uid)
    if encoder is None or not _allows(uid, encoder, image):
        raise InvalidFrame(f"{transfer_syntax(uid).name} cannot hold such frames, or not without loss.")
    return encoder
