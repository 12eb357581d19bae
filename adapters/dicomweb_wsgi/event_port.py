"""Notification connections on a port of their own, beside a server that gives no socket (PS3.18 11.10.3.2).

Nothing else is answered there. Handshakes are authorised by the origin in a few threads, for that may take its time.
"""

from __future__ import annotations

import contextlib
import logging
import re
import selectors
import socket
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final
from urllib.parse import unquote

from websockets.http11 import Request as HandshakeRequest
from websockets.server import ServerProtocol

from dicomweb_core.errors import DICOMwebError, NotFound
from dicomweb_core.status_report import error_response
from dicomweb_core.values.messages import Request, Response
from dicomweb_wsgi.environs import path_below, query_of
from dicomweb_wsgi.event_channel import EventChannel
from dicomweb_wsgi.event_hub import EventHub
from dicomweb_wsgi.upgrades import HANDSHAKE, handshake

logger = logging.getLogger("dicomweb_wsgi")

_HANDSHAKE_SECONDS: Final = 10.0
"""Within which a client has to have said what it wants."""
_HANDSHAKE_BYTES: Final = 16_384
_THREADS: Final = 4
_BACKLOG: Final = 1_024
_PLACE: Final = re.compile(r"(?:/ws)?/subscribers/[^/]+/?")
"""What is asked of the origin. Any other answer could take long, and is not given here."""


class EventPort:
    """A listening socket in the loop of a hub. `base_url` is the URL of the service, where its own pages come from."""

    def __init__(
        self,
        listening: socket.socket,
        hub: EventHub,
        handle: Callable[[Request], Response],
        mount: str,
        base_url: str,
    ) -> None:
        listening.setblocking(False)
        listening.listen(_BACKLOG)
        self.socket = listening
        self.hub = hub
        self._handle = handle
        self._mount = mount
        self._base_url = base_url
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="dicomweb handshake")
        hub.add(self)

    def advance(self, *, readable: bool, now: float) -> int:
        """Takes one who knocks."""
        if readable:
            try:
                connected, _ = self.socket.accept()
            except (BlockingIOError, ConnectionAbortedError):
                return selectors.EVENT_READ
            except OSError:
                # No descriptor is left. Who knocks goes on knocking: not to be asked before the next turn.
                return 0
            if self.hub.full:
                connected.close()
            else:
                self.hub.add(_Handshake(self, connected, now))
        return selectors.EVENT_READ

    def last_words(self, now: float) -> None:
        """None: nobody is there yet."""

    def close(self) -> None:
        """Nobody is taken any more."""
        self.socket.close()
        self._threads.shutdown(wait=False)

    def answer(self, asking: _Handshake, request: HandshakeRequest) -> None:
        """Has a handshake answered, in another thread."""
        self._threads.submit(self._answer, asking, request)

    def _answer(self, asking: _Handshake, request: HandshakeRequest) -> None:
        """Gives the connection to the hub, or says why not."""
        response: Response | None = None
        try:
            path, _, query = _latin(request.path).partition("?")
            path = path_below(self._mount, unquote(path, "latin-1"))
            if not _PLACE.fullmatch(path):
                raise NotFound("Only notification connections are opened here.")
            headers = tuple((name.title(), _latin(value)) for name, value in request.headers.raw_items())
            protocol = handshake({name: ", ".join(request.headers.get_all(name)) for name in HANDSHAKE})
            response = self._handle(Request("GET", path, query_of(query), headers, base_url=self._base_url))
            if response.feed is None:
                asking.refuse(response)
                return
            self.hub.require_place()
            self.hub.connect(asking.leave(), EventChannel(protocol, response.feed, time.monotonic()))
            response = None
        except DICOMwebError as error:
            asking.refuse(error_response(error))
        except OSError:
            # No descriptor is left, or the hub has closed everything: this connection, too.
            asking.end()
        except Exception:
            logger.exception("A notification connection could not be opened")
            asking.refuse(error_response(DICOMwebError("The server failed unexpectedly.")))
        finally:
            if response is not None:
                response.body.close()


def _latin(text: str) -> str:
    """As WSGI has it: bytes as latin-1. Older releases of websockets have surrogates for those above ASCII."""
    return text.encode("latin-1", "surrogateescape").decode("latin-1")


class _Handshake:
    """Who has connected and has not said yet what for."""

    def __init__(self, port: EventPort, connected: socket.socket, now: float) -> None:
        connected.setblocking(False)
        self.socket = connected
        self._port = port
        self._protocol = ServerProtocol()
        self._until = now + _HANDSHAKE_SECONDS
        self._received = 0
        self._asked = False
        self._left = False

    def advance(self, *, readable: bool, now: float) -> int:
        """Reads the request; then it is another thread's, which ends it."""
        if self._left:
            raise ConnectionAbortedError("The handshake is over.")
        if self._asked:
            return 0
        if now > self._until:
            raise ConnectionAbortedError("Nothing was asked.")
        if readable:
            data = self.socket.recv(_HANDSHAKE_BYTES)
            self._received += len(data)
            if not data or self._received > _HANDSHAKE_BYTES:
                raise ConnectionAbortedError("There is no handshake.")
            self._protocol.receive_data(data)
            for event in self._protocol.events_received():
                if isinstance(event, HandshakeRequest):
                    self._asked = True
                    self._port.answer(self, event)
                    return 0
            if self._protocol.handshake_exc is not None:
                raise ConnectionAbortedError("There is no handshake.")
        return selectors.EVENT_READ

    def last_words(self, now: float) -> None:
        """None."""

    def leave(self) -> socket.socket:
        """Ends here; the connection goes on with the socket that is returned."""
        connected = self.socket.dup()
        self.end()
        return connected

    def refuse(self, response: Response) -> None:
        """Answers and ends."""
        payload = response.body.read()
        lines = [f"HTTP/1.1 {response.status} Refused", "Connection: close", f"Content-Length: {len(payload)}"]
        lines += [f"{name}: {value}" for name, value in response.headers]
        with contextlib.suppress(OSError):
            self.socket.send("\r\n".join([*lines, "", ""]).encode("latin-1", "replace") + payload)
            self.socket.shutdown(socket.SHUT_WR)
        self.end()

    def end(self) -> None:
        """From any thread."""
        self._left = True
        self._port.hub.soon(self)

    def close(self) -> None:
        """Idempotent."""
        self.socket.close()
