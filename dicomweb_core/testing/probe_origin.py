"""The origin that an adapter is proved with, see `dicomweb_core.testing.adapter`."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Callable, Iterator
from typing import Final
from urllib.parse import parse_qs

from dicomweb_core.errors import ClientDisconnected
from dicomweb_core.values.events import Event
from dicomweb_core.values.messages import Body, Request, Response
from dicomweb_core.values.workitems import EventReport, EventType

_JSON: Final = (("Content-Type", "application/json"),)
_BYTES: Final = (("Content-Type", "application/octet-stream"),)
_PIECE: Final = 65_536


class ProbeOrigin:
    """An origin that tells what reached it, and whose bodies do everything that bodies can do.

    `/echo` the request; `/upload` length and SHA-256 of the payload; `/first` of the payload only its first bytes;
    `/refuse` 413, nothing read; `/down?chunks=&size=&known=` a payload; `/endless?known=` one without end;
    `/short`, `/long`, `/broken?known=` payloads that are not what they promise; `/status?code=`;
    `/headers` a response with hostile header values; `/events?count=` a notification connection, its texts are
    `event 1` and so on; `/observed` what happened so far, as JSON.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._observed = {"opened": 0, "closed": 0, "disconnected": 0}
        self._answers: dict[str, Callable[[Request, dict[str, str]], Response]] = {
            "/echo": self._echo,
            "/upload": self._upload,
            "/first": self._first,
            "/refuse": self._refuse,
            "/down": self._down,
            "/endless": self._endless,
            "/short": self._short,
            "/long": self._long,
            "/broken": self._broken,
            "/status": self._status,
            "/headers": self._hostile_headers,
            "/events": self._events,
            "/observed": self._observations,
        }

    def handle(self, request: Request) -> Response:
        """The answer of the probe. Raises ClientDisconnected when the payload ends early."""
        options = {name: values[-1] for name, values in parse_qs(request.query).items()}
        answer = self._answers.get(request.path)
        if answer is None:
            return _json({"path": request.path}, status=404)
        try:
            return answer(request, options)
        except ClientDisconnected:
            self._count("disconnected")
            raise

    def _count(self, what: str) -> None:
        with self._lock:
            self._observed[what] += 1

    def _body(self, chunks: Iterator[bytes], length: int | None) -> Body:
        self._count("opened")
        return Body(chunks, length=length, close=lambda: self._count("closed"))

    def _echo(self, request: Request, _options: dict[str, str]) -> Response:
        return _json(
            {
                "method": request.method,
                "path": request.path,
                "query": request.query,
                "headers": [list(header) for header in request.headers],
                "base_url": request.base_url,
                "payload": request.body.read(-1).decode("latin-1"),
            }
        )

    def _upload(self, request: Request, _options: dict[str, str]) -> Response:
        digest, length = hashlib.sha256(), 0
        while data := request.body.read(_PIECE):
            if len(data) > _PIECE:
                return _json({"error": "read returned more than asked"}, status=500)
            digest.update(data)
            length += len(data)
        return _json({"length": length, "sha256": digest.hexdigest(), "after": len(request.body.read(1))})

    def _first(self, request: Request, _options: dict[str, str]) -> Response:
        return _json({"length": len(request.body.read(_PIECE))})

    def _refuse(self, _request: Request, _options: dict[str, str]) -> Response:
        return _json({"refused": True}, status=413)

    def _down(self, _request: Request, options: dict[str, str]) -> Response:
        count, size = int(options["chunks"]), int(options["size"])
        chunks = (bytes([index % 256]) * size for index in range(count))
        return Response(200, _BYTES, self._body(chunks, count * size if options["known"] == "1" else None))

    def _endless(self, _request: Request, options: dict[str, str]) -> Response:
        def chunks() -> Iterator[bytes]:
            while True:
                yield bytes(_PIECE)

        return Response(200, _BYTES, self._body(chunks(), 1 << 50 if options["known"] == "1" else None))

    def _short(self, _request: Request, _options: dict[str, str]) -> Response:
        return Response(200, _BYTES, self._body(iter([b"12345"]), 10))

    def _long(self, _request: Request, _options: dict[str, str]) -> Response:
        return Response(200, _BYTES, self._body(iter([b"12345", b"67890"]), 5))

    def _broken(self, _request: Request, options: dict[str, str]) -> Response:
        def chunks() -> Iterator[bytes]:
            yield b"x" * 1000
            raise OSError

        return Response(200, _BYTES, self._body(chunks(), 2000 if options["known"] == "1" else None))

    def _status(self, _request: Request, options: dict[str, str]) -> Response:
        return Response(int(options["code"]), _JSON, self._body(iter([b"{}"]), 2))

    def _hostile_headers(self, _request: Request, _options: dict[str, str]) -> Response:
        hostile = (("Warning", f"299 a{separator}X-Injected: yes") for separator in HOSTILE_SEPARATORS)
        return Response(200, (*_JSON, *hostile), self._body(iter([b"{}"]), 2))

    def _events(self, _request: Request, options: dict[str, str]) -> Response:
        self._count("opened")
        feed = ProbeFeed(int(options["count"]), lambda: self._count("closed"))
        return Response(101, (), Body(close=feed.close), feed)

    def _observations(self, _request: Request, _options: dict[str, str]) -> Response:
        with self._lock:
            return _json(dict(self._observed))


class ProbeFeed:
    """So many events for a notification connection, there at once."""

    receiver = "PROBE"
    ended = False

    def __init__(self, count: int, closed: Callable[[], None]) -> None:
        self._left = count
        self._given = 0
        self._closed: Callable[[], None] | None = closed

    def take(self, limit: int = 100) -> tuple[Event, ...]:
        """The next ones."""
        count = min(limit, self._left)
        self._left -= count
        first, self._given = self._given + 1, self._given + count
        return tuple(
            Event(number, EventReport("2.25.1", EventType.STATE_REPORT, {}), f"event {number}".encode())
            for number in range(first, first + count)
        )

    def notify(self, call: Callable[[], None]) -> None:
        """At once, and never again: all there is is there."""
        call()

    def acknowledge(self, sequence: int) -> None:
        """Nothing is kept."""

    def close(self) -> None:
        """Idempotent."""
        closed, self._closed = self._closed, None
        if closed is not None:
            closed()


HOSTILE_SEPARATORS: Final = ("\r\n", "\n", "\r", "\r\n\r\n", "\0", "\x85", "\u2028", "\x1b", "\x7f", "\U0001f600")


def _json(content: object, *, status: int = 200) -> Response:
    return Response(status, _JSON, Body.of(json.dumps(content).encode()))
