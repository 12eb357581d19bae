"""Native frames to codestreams, without loss (PS3.5 8.2, A.4)."""

from __future__ import annotations

from dicomweb_core.values.limits import Limits
from dicomweb_core.values.pixels import ImagePixel, NativeFrame


def encoded_image(image: ImagePixel, transfer_syntax_uid: str) -> ImagePixel:
    """What the data set of frames encoded so must say: Photometric Interpretation, Planar Configuration, bits."""
    raise NotImplementedError


def encodable_in(image: ImagePixel) -> tuple[str, ...]:
    """The UIDs of the transfer syntaxes that native frames like this can be encoded in here, without loss."""
    raise NotImplementedError


def encode(frame: NativeFrame, transfer_syntax_uid: str, limits: Limits) -> bytes:
    """The codestream of one frame, without a pad byte at its end.

    Raises InvalidFrame when the transfer syntax cannot hold such a frame, and MissingCodec.
    """
    raise NotImplementedError
