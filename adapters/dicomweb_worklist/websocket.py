"""A notification connection: a WebSocket by the sans-IO protocol of `websockets` (RFC 6455, PS3.18 8.10.4).

Not by its own connections, for those answer pings as they arrive: a server that takes the answer to a ping for a
receipt would forget messages that still lie in a buffer here. Here a ping is answered when what came before is taken.
"""

from __future__ import annotations

import contextlib
import socket
import time
from collections.abc import Iterable
from ssl import SSLCertVerificationError, SSLContext, create_default_context
from typing import TYPE_CHECKING, Any, Final, Self
from urllib.parse import urlsplit

from dicomweb_worklist.errors import ConnectionLost, MissingLibrary, ServerFailed, Untrusted, error_of
from dicomweb_worklist.transport import Answer, Headers

if TYPE_CHECKING:
    from websockets.client import ClientProtocol

_PORTS: Final = {"ws": 80, "wss": 443}
_SWITCHING_PROTOCOLS: Final = 101
_RECEIVED_BYTES: Final = 64 << 10
_MOST_MESSAGE_BYTES: Final = 16 << 20
_NORMAL_CLOSURE: Final = 1000
_GOODBYE: Final = 1.0
_SILENCE: Final = 20.0
"""Seconds without a word after which a server is pinged, and after as many more is taken for dead."""


class WebSocket:
    """An open connection. See `Texts`."""

    def __init__(self, connection: socket.socket, protocol: ClientProtocol) -> None:
        self._socket = connection
        self._protocol = protocol
        self._early: list[str] = []
        self._fragments: list[bytes] = []
        self._silence = 0.0
        self._pinged = False

    @classmethod
    def opened(cls, url: str, headers: Headers = (), *, timeout: float, tls: SSLContext | None = None) -> Self:
        """Connects and shakes hands. `timeout` in seconds. Raises ConnectionLost, Untrusted, MissingLibrary; what
        `error_of` makes of an answer that refuses it, with its status."""
        try:
            from websockets.client import ClientProtocol
            from websockets.uri import parse_uri
        except ModuleNotFoundError:
            raise MissingLibrary(
                "Events over a WebSocket need websockets, which is not installed: pip install 'dicomweb-core[wsgi]'; "
                "events(websocket=False) asks a server that offers it by long polling."
            ) from None
        parts = urlsplit(url)
        if parts.scheme not in _PORTS or not parts.hostname:
            raise ServerFailed(f"{url!r} is not the URL of a notification connection.")
        try:
            connection = socket.create_connection((parts.hostname, parts.port or _PORTS[parts.scheme]), timeout)
        except OSError as error:
            raise ConnectionLost(f"{url} cannot be reached: {_said(error)}.", sent=False) from error
        try:
            if parts.scheme == "wss":
                context = tls or create_default_context()
                connection = context.wrap_socket(connection, server_hostname=parts.hostname)
            opened = cls(connection, ClientProtocol(parse_uri(url), max_size=_MOST_MESSAGE_BYTES))
            opened._shake_hands(headers, time.monotonic() + timeout)
        except SSLCertVerificationError as error:
            connection.close()
            raise Untrusted(f"{url} is not trusted: {error.verify_message}.") from error
        except OSError as error:
            connection.close()
            raise ConnectionLost(f"The connection to {url} was lost: {_said(error)}.") from error
        except BaseException:
            connection.close()
            raise
        return opened

    def receive(self, wait: float) -> list[str]:
        """See `Texts`. A server that says nothing is pinged, and given up if it says nothing to that either."""
        if self._early:
            early, self._early = self._early, []
            return early
        try:
            self._flush()
            if self._protocol.close_expected():
                raise ConnectionLost("The server has closed the notification connection.")
            self._socket.settimeout(max(wait, 0.001))
            try:
                data = self._socket.recv(_RECEIVED_BYTES)
            except TimeoutError:
                self._wonder(wait)
                return []
        except OSError as error:
            raise ConnectionLost(f"The notification connection was lost: {_said(error)}.") from error
        if not data:
            raise ConnectionLost("The server has ended the notification connection.")
        self._silence, self._pinged = 0.0, False
        self._protocol.receive_data(data)
        return self._texts(self._protocol.events_received())

    def interrupt(self) -> None:
        """See `Texts`."""
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """See `Texts`. Says goodbye and waits a second for the answer: a connection that is cut takes with it what the
        server has not read yet, such as our last answers to pings."""
        from websockets.protocol import State

        with contextlib.suppress(OSError):
            if self._protocol.state is State.OPEN:
                self._protocol.data_to_send()  # these would say that what came last was taken
                self._protocol.send_close(_NORMAL_CLOSURE)
                deadline = time.monotonic() + _GOODBYE
                self._socket.settimeout(_GOODBYE)
                self._flush()
                while self._socket.recv(_RECEIVED_BYTES) and time.monotonic() < deadline:
                    pass
        self._socket.close()

    def _wonder(self, waited: float) -> None:
        self._silence += waited
        if self._silence > 2 * _SILENCE:
            raise ConnectionLost("The server does not answer on the notification connection.")
        if self._silence > _SILENCE and not self._pinged:
            self._pinged = True
            self._protocol.send_ping(b"")
            self._flush()

    def _flush(self) -> None:
        """Answers to pings among it, which say that all before was taken."""
        for data in self._protocol.data_to_send():
            if data:
                self._socket.sendall(data)

    def _texts(self, frames: Iterable[Any]) -> list[str]:
        from websockets.frames import Opcode

        texts = []
        for frame in frames:
            if frame.opcode in (Opcode.TEXT, Opcode.BINARY, Opcode.CONT):
                self._fragments.append(bytes(frame.data))
                if frame.fin:
                    texts.append(b"".join(self._fragments).decode("utf-8", "replace"))
                    self._fragments.clear()
        return texts

    def _shake_hands(self, headers: Headers, deadline: float) -> None:
        request = self._protocol.connect()
        for name, value in headers:
            request.headers[name] = value
        self._protocol.send_request(request)
        self._flush()
        events: list[Any] = []
        while not events:
            self._socket.settimeout(max(deadline - time.monotonic(), 0.001))
            data = self._socket.recv(_RECEIVED_BYTES)
            if data:
                self._protocol.receive_data(data)
            else:
                self._protocol.receive_eof()
            events = self._protocol.events_received()
            if not events and (not data or self._protocol.handshake_exc is not None):
                raise ConnectionLost("The server ended the connection, or does not speak HTTP.")
        response, *frames = events
        if response.status_code != _SWITCHING_PROTOCOLS:
            raise error_of(
                Answer(response.status_code, tuple(response.headers.raw_items()), bytes(response.body or b""))
            )
        if self._protocol.handshake_exc is not None:
            raise ServerFailed(f"The server does not speak WebSocket: {self._protocol.handshake_exc}.", status=101)
        self._early = self._texts(frames)


def _said(error: OSError) -> str:
    return str(error.strerror or error or type(error).__name__).rstrip(".")
