"""Where codecs run: in this process, or in processes of their own."""

from __future__ import annotations

from typing import Protocol

from dicomweb_core.codecs.pixels.decoding import decode
from dicomweb_core.codecs.pixels.encoding import encode
from dicomweb_core.values.limits import Limits
from dicomweb_core.values.pixels import ImagePixel, NativeFrame


class FrameCodec(Protocol):
    """Decodes and encodes single frames. Used by many threads at once."""

    def decode(self, codestream: bytes, transfer_syntax_uid: str, image: ImagePixel) -> NativeFrame:
        """See `codecs.pixels.decoding.decode`; also raises InvalidFrame when the codec crashed or took too long."""

    def encode(self, frame: NativeFrame, transfer_syntax_uid: str) -> bytes:
        """See `codecs.pixels.encoding.encode`; also raises InvalidFrame when the codec crashed or took too long."""

    def close(self) -> None:
        """Frees what is held. Idempotent."""


class CodecInProcess:
    """Codecs called directly: fastest. A codec library that crashes takes the process with it."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits

    def decode(self, codestream: bytes, transfer_syntax_uid: str, image: ImagePixel) -> NativeFrame:
        """See `FrameCodec`."""
        return decode(codestream, transfer_syntax_uid, image, self._limits)

    def encode(self, frame: NativeFrame, transfer_syntax_uid: str) -> bytes:
        """See `FrameCodec`."""
        return encode(frame, transfer_syntax_uid, self._limits)

    def close(self) -> None:
        """Nothing is held."""
