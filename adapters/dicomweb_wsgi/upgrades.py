"""From a WSGI request to a WebSocket, on servers that give us the socket (RFC 6455 4.2, PS3.18 8.10.4).

PEP 3333 knows no upgrade. A server whose environ has the socket of the client keeps closing that socket when it is done
with the request; so it is left another one under the same descriptor, and what it gets to know is that the connection
has ended.
"""

from __future__ import annotations

import errno
import os
import socket
import time
from collections.abc import Mapping
from typing import Any, Final

from websockets.http11 import Request as HandshakeRequest
from websockets.server import ServerProtocol

from dicomweb_core.errors import BadRequest, NotOffered, Overloaded, UpgradeRequired
from dicomweb_core.values.events import EventFeed
from dicomweb_wsgi.event_channel import MESSAGE_BYTES, EventChannel
from dicomweb_wsgi.event_hub import EventHub

_GIVE_SOCKETS: Final = ("gunicorn.socket", "werkzeug.socket")
"""Keys in environ."""

HANDSHAKE: Final = ("Host", "Upgrade", "Connection", "Sec-WebSocket-Key", "Sec-WebSocket-Version")
"""The headers that count."""


def handshake(headers: Mapping[str, str]) -> ServerProtocol:
    """The protocol of a connection whose handshake is answered; what it has to send is the answer.

    `headers` by the names of `HANDSHAKE`. No extension and no subprotocol is offered: events are short, and need none.
    Raises UpgradeRequired for another version, BadRequest.
    """
    if headers.get("Sec-WebSocket-Version", "").strip() != "13":
        raise UpgradeRequired("Only version 13 of the WebSocket protocol is spoken here (RFC 6455 4.4).")
    protocol = ServerProtocol(max_size=MESSAGE_BYTES)
    lines = "".join(f"{name}: {headers[name]}\r\n" for name in HANDSHAKE if headers.get(name))
    protocol.receive_data(f"GET / HTTP/1.1\r\n{lines}\r\n".encode("latin-1", "replace"))
    for request in protocol.events_received():
        if isinstance(request, HandshakeRequest):
            response = protocol.accept(request)
            if response.status_code == 101:
                protocol.send_response(response)
                return protocol
    raise BadRequest("The handshake of the WebSocket is malformed (RFC 6455 4.2.1).")


def take_over(environ: Mapping[str, Any], feed: EventFeed, hub: EventHub) -> Exception:
    """Makes the connection of a request a WebSocket of the hub; what the application has to raise then.

    Raises NotOffered where the server gives no socket, UpgradeRequired, BadRequest, Overloaded; then nothing was done.
    """
    key = next((key for key in _GIVE_SOCKETS if type(environ.get(key)) is socket.socket), None)
    if key is None or environ.get("SERVER_PROTOCOL") != "HTTP/1.1":
        raise NotOffered(
            "This server gives WebSockets no way through. The same events come with Accept: text/event-stream, or "
            "as a list with Accept: application/dicom+json."
        )
    protocol = handshake({name: environ.get("HTTP_" + name.upper().replace("-", "_"), "") for name in HANDSHAKE})
    hub.require_place()
    try:
        taken = _taken(environ[key])
    except OSError as error:
        raise Overloaded("There is no room for another connection now.") from error
    hub.connect(taken, EventChannel(protocol, feed, time.monotonic()))
    # What these servers take for a client that has left, without a word in the log. A StopIteration would not get
    # through a middleware that is a generator.
    return ConnectionResetError(errno.ECONNRESET, "The connection has become a WebSocket.")


def _taken(served: socket.socket) -> socket.socket:
    """The connection of a socket, which is left with one that is at its end."""
    ended, other = socket.socketpair()
    with ended:
        other.close()
        # before anything is changed: there may be no descriptor left for it
        taken = served.dup()
        os.dup2(ended.fileno(), served.fileno(), inheritable=False)
    return taken
