"""The payload of a response as the iterable a WSGI server sends (PEP 3333)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Self

from dicomweb_core.values.messages import Body
from dicomweb_wsgi.payload import Payload


class ResponseCut(Exception):
    """The response cannot be completed. Out of the iterable it makes the server cut the connection.

    Deliberately no OSError: servers take those for a client that has left, and some go on as if all was sent.
    """


class ResponseChunks:
    """Chunks of a body as `bytes`, exactly as many bytes as it promises, or ResponseCut.

    When all is sent, what the client still sends of its request is read away; when that fails and the server would
    take it for the next request (`reuses_connection`), ResponseCut. `close` closes the body in any case.
    """

    __slots__ = ("_body", "_chunks", "_payload", "_remaining", "_reuses_connection")

    def __init__(self, body: Body, payload: Payload | None, *, omit: bool, reuses_connection: bool) -> None:
        self._body = body
        self._payload = payload
        self._reuses_connection = reuses_connection
        if omit:
            body.close()
            self._chunks: Iterator[bytes] = iter(())
            self._remaining = None
        else:
            self._chunks = iter(body)
            self._remaining = body.length

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> bytes:
        try:
            chunk = next(self._chunks, None)
            while chunk is not None and not chunk:
                chunk = next(self._chunks, None)
        except Exception as error:
            raise ResponseCut("The payload of the response could not be produced to its end.") from error
        if chunk is None:
            self._end()
            raise StopIteration
        if self._remaining is not None:
            self._remaining -= len(chunk)
            if self._remaining < 0:
                raise ResponseCut("The payload of the response is longer than its length.")
        return chunk if type(chunk) is bytes else bytes(chunk)

    def close(self) -> None:
        """Closes the body."""
        self._body.close()

    def _end(self) -> None:
        if self._remaining:
            raise ResponseCut("The payload of the response is shorter than its length.")
        payload, self._payload = self._payload, None
        if payload is not None and not payload.drain() and self._reuses_connection:
            raise ResponseCut("The payload of the request was not read to its end.")
