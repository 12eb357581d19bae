"""A WSGI application (PEP 3333) around an origin server: environ -> Request -> Response -> chunks.

Methods come from the request line only, never from an override header.
"""

from __future__ import annotations

import re
import socket
import threading
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final, Protocol

from dicomweb_core.errors import DICOMwebError, NotOffered
from dicomweb_core.status_report import error_response
from dicomweb_core.values.limits import Limits
from dicomweb_core.values.messages import Request, Response
from dicomweb_wsgi.base_url import TrustedProxies, base_url, parse_mount, parse_public_url
from dicomweb_wsgi.chunks import ResponseChunks
from dicomweb_wsgi.environs import headers_of, path_below, query_of
from dicomweb_wsgi.payload import LengthRequired, Payload, payload_of

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse

    from dicomweb_wsgi.event_hub import EventHub

WSGIApplication = Callable[[dict[str, Any], "StartResponse"], Iterable[bytes]]
"""Any WSGI application (PEP 3333)."""

_STATUS_LINES: Final = {status.value: f"{status.value} {status.phrase}" for status in HTTPStatus}
_WITHOUT_PAYLOAD: Final = frozenset((204, 304))
_TOKEN: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_UNSAFE_IN_VALUE: Final = re.compile(r"[^\t\x20-\x7e\xa0-\xff]")
_NOT_THE_ORIGINS: Final = frozenset(
    # Framing and connection are the server's (PEP 3333, RFC 9110 7.6.1).
    ("connection", "content-length", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade")
)
_CLOSE_BY_THEMSELVES: Final = frozenset(
    # Servers, known by a key in environ, that do not take the unread rest of a payload for the next request.
    ("gunicorn.socket", "waitress.client_disconnected", "werkzeug.socket")
)
_TAKE_UPGRADE: Final = frozenset(("gunicorn.socket", "werkzeug.socket"))
"""Servers that let `Upgrade` into an answer, which PEP 3333 forbids and RFC 9110 15.5.22 demands."""
_UPGRADE_REQUIRED: Final = 426
_DEFAULT_LIMITS: Final = Limits()


class Origin(Protocol):
    """What is served: an origin server, or anything else that answers requests."""

    def handle(self, request: Request) -> Response:
        """The answer to one request. Raises ClientDisconnected only."""


class Application:
    """The WSGI application that serves an origin, for any server and any number of threads. See `wsgi_application`."""

    def __init__(
        self, origin: Origin, mount: str, fixed_url: str | None, proxies: TrustedProxies, limits: Limits
    ) -> None:
        self._origin = origin
        self._mount = mount
        self._fixed_url = fixed_url
        self._proxies = proxies
        self._limits = limits
        self._hub: EventHub | None = None
        self._lock = threading.Lock()

    def __call__(self, environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        """Answers a request."""
        method: str = environ["REQUEST_METHOD"]
        payload: Payload | None = None
        try:
            payload = payload_of(environ, ceiling=self._limits.request_bytes)
            request = Request(
                method,
                path_below(self._mount, environ.get("PATH_INFO", "")),
                query_of(environ.get("QUERY_STRING", "")),
                headers_of(environ),
                payload,
                self._fixed_url or base_url(environ, self._proxies, self._mount),
            )
            response = self._origin.handle(request)
            if response.feed is not None:
                raise self._upgraded(environ, response)
        except DICOMwebError as error:
            response = _refusal(error)
        try:
            omit = method == "HEAD" or response.status in _WITHOUT_PAYLOAD
            start_response(_status_line(response.status), _wsgi_headers(response, environ))
            return ResponseChunks(
                response.body,
                payload or _unread(environ),
                omit=omit,
                reuses_connection=environ.keys().isdisjoint(_CLOSE_BY_THEMSELVES),
            )
        except BaseException:
            response.body.close()
            raise

    def end_events(self) -> None:
        """Ends what would keep a server from stopping: streams and connections of events. Signal handlers may do it.

        `dicomweb serve` does. Where nobody does, streams end by themselves (`Limits.event_stream_seconds`), and
        connections with the process.
        """
        end = getattr(self._origin, "end_events", None)
        if end is not None:
            end()

    def open_event_port(self, listening: socket.socket, base_url: str) -> None:
        """Opens notification connections also on a bound socket of their own: for servers that let no WebSocket
        through. `OriginServer(event_channel_url=...)` tells clients about it.

        The socket is the application's from then on. `base_url` is the URL of the service, whose own pages may connect.
        To be called in the process that serves. Needs the library websockets.
        """
        from dicomweb_wsgi.event_port import EventPort

        EventPort(listening, self._event_hub(), self._origin.handle, self._mount, base_url)

    def _event_hub(self) -> EventHub:
        from dicomweb_wsgi.event_hub import EventHub

        with self._lock:
            if self._hub is None:
                self._hub = EventHub(self._limits.event_connections)
            return self._hub

    def _upgraded(self, environ: dict[str, Any], response: Response) -> Exception:
        """What tells the server that the connection is not its own any more. Raises what `take_over` raises."""
        assert response.feed is not None
        try:
            # Loaded with the first WebSocket: most processes of most servers never have one.
            from dicomweb_wsgi.upgrades import take_over

            return take_over(environ, response.feed, self._event_hub())
        except ModuleNotFoundError:
            response.body.close()
            raise NotOffered("WebSockets need the library websockets: pip install 'dicomweb-core[wsgi]'.") from None
        except BaseException:
            response.body.close()
            raise


def wsgi_application(
    origin: Origin,
    *,
    mount: str = "",
    public_url: str | None = None,
    trusted_proxies: Sequence[str] = (),
    limits: Limits = _DEFAULT_LIMITS,
) -> Application:
    """The WSGI application that serves an origin, for any server and any number of threads.

    `mount` is the path of the service below the application ("/dicom-web"); what is not below it is not found.
    `public_url` is the URL of the service as clients see it, the mount included; without it, it is taken from each
    request (see `base_url`). `trusted_proxies` are the addresses or networks whose forwarding headers are believed;
    such a proxy must overwrite X-Forwarded-Proto, -Host, -Port and -Prefix or remove them.
    Raises ValueError for arguments that are none of these.
    """
    return Application(
        origin,
        parse_mount(mount),
        parse_public_url(public_url) if public_url else None,
        TrustedProxies.parse(trusted_proxies),
        limits,
    )


def _unread(environ: dict[str, Any]) -> Payload | None:
    """What must be read away when the payload was refused unseen: all that comes, if it ends by itself."""
    if environ.get("wsgi.input_terminated"):
        return Payload(environ["wsgi.input"], None, ceiling=1 << 62)
    text = environ.get("CONTENT_LENGTH") or ""
    # A length that is no number was refused: nobody knows where the next request begins.
    known = text.isascii() and text.isdigit() and len(text) < 20
    payload = Payload(environ["wsgi.input"], int(text) if known else 0, ceiling=1 << 62)
    payload.failed = not known
    return payload


def _status_line(status: int) -> str:
    return _STATUS_LINES.get(status) or f"{status} Status"


@lru_cache(maxsize=256)
def _is_the_origins(name: str) -> bool:
    if not _TOKEN.fullmatch(name):
        raise ValueError("a response header has a name that is no token")
    return name.lower() not in _NOT_THE_ORIGINS


def _wsgi_headers(response: Response, environ: dict[str, Any]) -> list[tuple[str, str]]:
    headers = [
        (name, value if value.isascii() and value.isprintable() else _UNSAFE_IN_VALUE.sub("?", value))
        for name, value in response.headers
        if _is_the_origins(name)
    ]
    length = response.body.length
    if length is not None and response.status not in _WITHOUT_PAYLOAD:
        headers.append(("Content-Length", str(length)))
    if response.status == _UPGRADE_REQUIRED and not environ.keys().isdisjoint(_TAKE_UPGRADE):
        headers.append(("Upgrade", "websocket"))
    return headers


def _refusal(error: DICOMwebError) -> Response:
    """The Status Report the origin would give (PS3.18 8.6.3)."""
    report = error_response(error)
    status = 411 if isinstance(error, LengthRequired) else report.status
    return Response(status, (*report.headers, ("X-Content-Type-Options", "nosniff")), report.body)
