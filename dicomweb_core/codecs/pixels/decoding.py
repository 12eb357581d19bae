"""Codestreams to native frames (PS3.5 8.2, A.4)."""

from __future__ import annotations

from dicomweb_core.values.limits import Limits
from dicomweb_core.values.pixels import ImagePixel, NativeFrame


def native_image(image: ImagePixel, transfer_syntax_uid: str, codestream: bytes | None = None) -> ImagePixel:
    """How frames stored in this transfer syntax lie once they are decoded.

    Rows, Columns, bits and sign stay; Planar Configuration stays as the data set has it, so that what the metadata say
    is true of native frames too; YBR_ICT and YBR_RCT become RGB, YBR_FULL_422 and YBR_PARTIAL_420 of codestreams
    become YBR_FULL (a sample of each for every pixel). `codestream` is the first frame, where it has a say.
    """
    raise NotImplementedError


def missing_decoder(transfer_syntax_uid: str) -> str | None:
    """None if frames of this transfer syntax can be decoded here; else a sentence that says what is missing."""
    raise NotImplementedError


def decode(codestream: bytes, transfer_syntax_uid: str, image: ImagePixel, limits: Limits) -> NativeFrame:
    """One frame. `image` is what its data set says; the result's `image` is `native_image` of it.

    Raises InvalidFrame when the codestream is broken, contradicts `image`, or would be larger than
    `Limits.frame_bytes` (seen from its header, before anything is allocated), and MissingCodec.
    """
    raise NotImplementedError
