"""Requests and responses as plain values; bodies are iterators of bytes that somebody closes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Protocol

from dicomweb_core.values.events import EventFeed

Buffer = bytes | bytearray | memoryview
"""Bytes lent until the next read or close of whatever gave them."""

HeaderList = tuple[tuple[str, str], ...]


class Readable(Protocol):
    """What a request body is read from, like a WSGI input stream."""

    def read(self, size: int = -1, /) -> bytes:
        """At most `size` bytes; b"" at the end."""


class EmptyReadable:
    """A request body of nothing."""

    def read(self, size: int = -1, /) -> bytes:
        """b"", always."""
        return b""


@dataclass(frozen=True, slots=True)
class Request:
    """One HTTP request, without the HTTP.

    `path` is percent-decoded UTF-8 below the service root and begins with a slash; `query` is the raw query string.
    `base_url` is the absolute URL of the service root, without a slash at the end: what URLs in answers begin with.
    """

    method: str
    path: str
    query: str = ""
    headers: HeaderList = ()
    body: Readable = field(default_factory=EmptyReadable)
    base_url: str = "http://localhost"

    def header(self, name: str) -> str | None:
        """The value of a header, several joined by a comma (RFC 9110 5.3); None when absent. Any case of `name`."""
        wanted = name.lower()
        values = [value for key, value in self.headers if key.lower() == wanted]
        return ", ".join(values) if values else None


class Body:
    """The payload of a response: chunks of bytes, a length if it is known, and something to close.

    `ranged` reads some of it without the rest: from a 0-based offset, so many bytes, all of them there. Whoever calls
    it does not iterate the body. A body that has it has not begun to read anything.
    `content` is all of it, where that lies in memory anyway.

    Iterate at most once. `close` is idempotent, and whoever received the Response calls it, also if it was never
    iterated. An exception out of the iteration means that the payload is incomplete and the connection must be cut.
    """

    __slots__ = ("_chunks", "_close", "content", "length", "ranged")

    def __init__(
        self,
        chunks: Iterable[bytes] = (),
        *,
        length: int | None = None,
        close: Callable[[], None] | None = None,
        ranged: Callable[[int, int], Iterator[bytes]] | None = None,
    ) -> None:
        self._chunks = chunks
        self.length = length
        self.ranged = ranged
        self.content: bytes | None = None
        self._close = close

    @classmethod
    def of(cls, data: bytes) -> Body:
        """A body of bytes in memory."""
        body = cls(
            (data,) if data else (), length=len(data), ranged=lambda offset, size: iter((data[offset : offset + size],))
        )
        body.content = data
        return body

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._chunks)

    def read(self) -> bytes:
        """All of it, closed afterwards."""
        try:
            return b"".join(self._chunks)
        finally:
            self.close()

    def close(self) -> None:
        """Frees what the body holds."""
        close, self._close = self._close, None
        generator_close = getattr(self._chunks, "close", None)
        if generator_close is not None:
            generator_close()
        if close is not None:
            close()


@dataclass(frozen=True, slots=True)
class Response:
    """One HTTP response. Content-Length is not among the headers: `body.length` says it."""

    status: int
    headers: HeaderList = ()
    body: Body = field(default_factory=lambda: Body.of(b""))
    feed: EventFeed | None = None
    """Of a notification connection, with status 101: to be sent over a WebSocket, each event as a text (PS3.18 8.10.5).
    Closed by the body. Who can open no WebSocket answers 501 (`errors.NotOffered`) instead."""

    def header(self, name: str) -> str | None:
        """The value of a header, several joined by a comma; None when absent. Any case of `name`."""
        wanted = name.lower()
        values = [value for key, value in self.headers if key.lower() == wanted]
        return ", ".join(values) if values else None
