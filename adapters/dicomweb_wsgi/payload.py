"""The payload of a request, read from `wsgi.input` (PEP 3333) and never beyond its end."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any, Final

from dicomweb_core.errors import BadRequest, ClientDisconnected, DICOMwebError, TooLarge
from dicomweb_core.values.messages import Readable

_DRAIN_PIECE: Final = 65_536
_DRAIN_BYTES: Final = 64 << 20
_DRAIN_SECONDS: Final = 10.0


class LengthRequired(BadRequest):
    """The payload is chunked and the server does not decode that (RFC 9110 15.5.12, 411)."""


class Payload:
    """A request body of `length` bytes, or up to the end of the stream when `length` is None.

    `read` may return less than asked; b"" only at the end. It raises ClientDisconnected when the stream ends early
    or fails, TooLarge when more than `ceiling` bytes come.
    """

    __slots__ = ("_ceiling", "_remaining", "_stream", "failed")

    def __init__(self, stream: Readable, length: int | None, *, ceiling: int) -> None:
        self._stream = stream
        self._remaining = length
        self._ceiling = ceiling
        self.failed = False
        """Whether reading has failed: where the next request would begin is then unknown."""

    def read(self, size: int = -1, /) -> bytes:
        """At most `size` bytes; with a negative size all that is left."""
        if size < 0:
            return self._read_all()
        remaining = self._remaining
        if remaining is not None and size > remaining:
            size = remaining
        if size == 0:
            return b""
        try:
            data = self._stream.read(size)
        except Exception as error:
            # Each server has its own exceptions for a lost connection and for broken chunks.
            self.failed = True
            raise ClientDisconnected("The payload could not be read to its end.") from error
        if remaining is None:
            self._ceiling -= len(data)
            if self._ceiling < 0:
                raise TooLarge("The payload is larger than this server takes.", limit="request_bytes")
            if not data:
                self._remaining = 0
            return data
        if not data:
            self.failed = True
            raise ClientDisconnected("The payload ended before its Content-Length.")
        self._remaining = remaining - len(data)
        return data

    def drain(self) -> bool:
        """Reads and forgets what is left, within bounds of size and time; whether the end was reached.

        Closing a connection with unread bytes resets it, and the client may then lose the answer.
        """
        if self.failed:
            return False
        left = _DRAIN_BYTES
        deadline = 0.0
        try:
            while data := self.read(_DRAIN_PIECE):
                left -= len(data)
                deadline = deadline or time.monotonic() + _DRAIN_SECONDS
                if left <= 0 or time.monotonic() > deadline:
                    return False
        except DICOMwebError:
            return False
        return True

    def _read_all(self) -> bytes:
        pieces = []
        while data := self.read(_DRAIN_PIECE):
            pieces.append(data)
        return b"".join(pieces)


def payload_of(environ: Mapping[str, Any], *, ceiling: int) -> Payload:
    """The payload of a request, nothing read yet (RFC 9112 6.3).

    Raises BadRequest for a Content-Length that is no number, TooLarge if it passes the ceiling, LengthRequired.
    """
    stream: Readable = environ["wsgi.input"]
    terminated = bool(environ.get("wsgi.input_terminated"))
    if environ.get("HTTP_TRANSFER_ENCODING"):
        if not terminated:
            raise LengthRequired("This server needs a Content-Length.")
        return Payload(stream, None, ceiling=ceiling)
    text: str = environ.get("CONTENT_LENGTH") or ""
    if not text:
        return Payload(stream, None if terminated else 0, ceiling=ceiling)
    if not (text.isascii() and text.isdigit()):
        raise BadRequest("The Content-Length is not a number.")
    # int() refuses very long texts, and whatever has twenty digits is beyond every ceiling.
    if len(text.lstrip("0")) > 19 or int(text.lstrip("0") or "0") > ceiling:
        raise TooLarge("The payload is larger than this server takes.", limit="request_bytes", ceiling=ceiling)
    return Payload(stream, int(text), ceiling=ceiling)
