"""HTTP/1.1 by the standard library: keep-alive, TLS, headers of one's own."""

from __future__ import annotations

import http.client
import socket
import threading
from collections import deque
from collections.abc import Mapping
from selectors import EVENT_READ, DefaultSelector
from ssl import SSLCertVerificationError, SSLContext, create_default_context
from typing import Final
from urllib.parse import quote, urlsplit

from dicomweb_worklist.errors import ConnectionLost, ServerFailed, Untrusted
from dicomweb_worklist.transport import Answer, Headers, Texts
from dicomweb_worklist.websocket import WebSocket

MOST_BYTES: Final = 256 << 20
"""Of one answer."""
_MOST_IDLE: Final = 8


class HTTPTransport:
    """To the service at a URL. Thread-safe: a connection is used by one request at a time and kept for others."""

    def __init__(
        self,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        timeout: float = 30.0,
        tls: SSLContext | None = None,
        most_bytes: int = MOST_BYTES,
    ) -> None:
        """`url` is the service root, `headers` go with every request (`Authorization`), `timeout` is the longest
        silence in seconds. Raises ValueError when the URL is not http or https."""
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
            raise ValueError(f"{url!r} is not the URL of a service: http://host/path.")
        if parts.username is not None:
            raise ValueError("A URL with a password in it ends in logs: give headers={'Authorization': ...}.")
        self.url = url.rstrip("/")
        self._host: str = parts.hostname
        self._port = parts.port or {"http": 80, "https": 443}[parts.scheme]
        self._prefix = parts.path.rstrip("/")
        self._tls = (tls or create_default_context()) if parts.scheme == "https" else None
        self._tls_of_websockets = tls
        self._headers: Headers = tuple((headers or {}).items())
        self._timeout = timeout
        self._most_bytes = most_bytes
        self._idle: deque[http.client.HTTPConnection] = deque(maxlen=_MOST_IDLE)
        self._lock = threading.Lock()

    def send(self, method: str, path: str, headers: Headers, body: bytes = b"", *, patience: float = 0.0) -> Answer:
        """See `Transport`. Raises ConnectionLost, Untrusted; ServerFailed for an answer that is too long."""
        connection = self._connected()
        if connection.sock is not None:
            connection.sock.settimeout(self._timeout + patience)
        try:
            connection.putrequest(method, self._prefix + path, skip_accept_encoding=True)
            for name, value in (*self._headers, *headers):
                connection.putheader(name, value)
            if body or method in ("POST", "PUT"):
                connection.putheader("Content-Length", str(len(body)))
            connection.endheaders(body or None)
            response = connection.getresponse()
            content = response.read(self._most_bytes + 1)
            if response.length and len(content) <= self._most_bytes:
                raise http.client.IncompleteRead(content, response.length)  # reading so many bytes does not raise it
        except (OSError, http.client.HTTPException) as error:
            connection.close()
            raise ConnectionLost(f"The connection to {self.url} was lost: {_said(error)}.") from error
        except BaseException:
            connection.close()
            raise
        if len(content) > self._most_bytes:
            connection.close()
            raise ServerFailed(f"The answer is longer than {self._most_bytes} bytes.", status=response.status)
        self._keep(connection, response)
        return Answer(response.status, tuple(response.getheaders()), content)

    def close(self) -> None:
        """Closes the connections that are idle. Idempotent."""
        with self._lock:
            idle, self._idle = self._idle, deque(maxlen=_MOST_IDLE)
        for connection in idle:
            connection.close()

    def notification_urls(self, given: str | None, aetitle: str) -> tuple[str, ...]:
        """Where the connection of an AE may be (PS3.18 8.10.4), the likeliest first: as a subscription said, at the
        path of PS3.18 since 2026, and at the one of many servers."""
        base = "ws" + self.url.removeprefix("http")
        own = (f"{base}/{place}/{quote(aetitle, safe='')}" for place in ("subscribers", "ws/subscribers"))
        return tuple(dict.fromkeys((*((given,) if given else ()), *own)))

    def open_notifications(self, url: str) -> Texts:
        """See `OpensNotifications`. Our headers go to our host only, and not from TLS to where there is none."""
        parts = urlsplit(url)
        trusted = parts.hostname == self._host and (parts.scheme == "wss" or self._tls is None)
        return WebSocket.opened(
            url, self._headers if trusted else (), timeout=self._timeout, tls=self._tls_of_websockets
        )

    def _connected(self) -> http.client.HTTPConnection:
        while True:
            with self._lock:
                connection = self._idle.pop() if self._idle else None
            if connection is None:
                break
            if connection.sock is not None and not _readable(connection.sock):
                return connection
            connection.close()
        if self._tls is None:
            connection = http.client.HTTPConnection(self._host, self._port, timeout=self._timeout)
        else:
            connection = http.client.HTTPSConnection(self._host, self._port, timeout=self._timeout, context=self._tls)
        try:
            connection.connect()
        except SSLCertVerificationError as error:
            connection.close()
            raise Untrusted(f"{self.url} is not trusted: {error.verify_message}.") from error
        except OSError as error:
            connection.close()
            raise ConnectionLost(f"{self.url} cannot be reached: {_said(error)}.", sent=False) from error
        return connection

    def _keep(self, connection: http.client.HTTPConnection, response: http.client.HTTPResponse) -> None:
        if response.will_close or connection.sock is None:
            connection.close()
            return
        with self._lock:
            # The deque lets go of the oldest by itself, but does not close it.
            oldest = self._idle.popleft() if len(self._idle) == _MOST_IDLE else None
            self._idle.append(connection)
        if oldest is not None:
            oldest.close()


def _readable(connection: socket.socket) -> bool:
    """Nothing is expected on an idle connection: what can be read is its end."""
    with DefaultSelector() as selector:
        selector.register(connection, EVENT_READ)
        return bool(selector.select(0))


def _said(error: Exception) -> str:
    said = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return str(said).rstrip(".")
