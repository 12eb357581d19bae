"""The loop of the notification connections, and the port beside a server, when something goes wrong (A82)."""

from __future__ import annotations

import errno
import io
import logging
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from typing import Any

import pytest

from dicomweb_core.errors import Overloaded
from dicomweb_core.values.events import Event
from dicomweb_core.values.messages import Body, Request, Response
from dicomweb_wsgi import event_port, wsgi_application
from dicomweb_wsgi.event_channel import PING_SECONDS, PONG_SECONDS, EventChannel
from dicomweb_wsgi.event_hub import Connection, EventHub
from dicomweb_wsgi.event_port import EventPort
from dicomweb_wsgi.upgrades import handshake, take_over

resource = pytest.importorskip("resource", reason="needs POSIX")

UPGRADE = {
    "Host": "localhost",
    "Upgrade": "websocket",
    "Connection": "Upgrade",
    "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
    "Sec-WebSocket-Version": "13",
}


class Quiet:
    """A feed without events."""

    receiver = "WATCH"
    ended = False

    def __init__(self, *, fails: bool = False) -> None:
        self.closed = threading.Event()
        self._fails = fails

    def take(self, limit: int = 100) -> tuple[Event, ...]:
        return ()

    def notify(self, call: Callable[[], None]) -> None:
        call()

    def acknowledge(self, sequence: int) -> None:
        """Nothing was given."""

    def close(self) -> None:
        self.closed.set()
        if self._fails:
            raise RuntimeError("Broken by order.")


class Listened:
    """An origin that lets everybody listen, and says what it was asked."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.feeds: list[Quiet] = []

    def handle(self, request: Request) -> Response:
        self.asked.append(request.path)
        self.feeds.append(Quiet())
        return Response(101, (), Body(close=self.feeds[-1].close), self.feeds[-1])


@contextmanager
def hub() -> Iterator[EventHub]:
    made = EventHub(100)
    try:
        yield made
    finally:
        made.close()


@contextmanager
def no_descriptors() -> Iterator[None]:
    """No file or socket can be opened in this process."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


def channel(feed: Quiet) -> EventChannel:
    return EventChannel(handshake(UPGRADE), feed, time.monotonic())


def test_a_connection_that_cannot_be_closed_harms_no_other(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.CRITICAL, "dicomweb_wsgi")
    with hub() as loop:
        bad, good = socket.socketpair(), socket.socketpair()
        with bad[1], good[1]:
            loop.connect(bad[0], channel(Quiet(fails=True)))
            loop.connect(good[0], channel(kept := Quiet()))
            for client in (bad[1], good[1]):
                client.settimeout(10)
                assert client.recv(4_096).startswith(b"HTTP/1.1 101")
            bad[1].close()
            good[1].shutdown(socket.SHUT_WR)
            assert kept.closed.wait(10)


def test_a_pong_that_waits_to_be_read_has_come_in_time() -> None:
    ours, client = socket.socketpair()
    connection = Connection(ours, channel(Quiet()))
    with client, closing(connection):
        now = time.monotonic() + PING_SECONDS + 1
        connection.advance(readable=False, now=now)
        assert client.recv(4_096).endswith(b"\x89\x010")
        # masked with zeros
        client.sendall(b"\x8a\x81\0\0\0\0000")
        now += PONG_SECONDS + 1
        connection.advance(readable=False, now=now)
        assert client.recv(4_096) == b"\x89\x010", "it is pinged again, and not closed"
        connection.advance(readable=False, now=now + PONG_SECONDS + 1)
        assert client.recv(4_096).startswith(b"\x88")


def test_a_loop_that_could_not_begin_begins_later() -> None:
    with hub() as loop:
        with no_descriptors(), pytest.raises(Overloaded):
            loop.require_place()
        ours, client = socket.socketpair()
        with client:
            loop.require_place()
            loop.connect(ours, channel(Quiet()))
            client.settimeout(10)
            assert client.recv(4_096).startswith(b"HTTP/1.1 101")


def test_without_a_descriptor_the_connection_stays_with_the_server() -> None:
    environ = {"HTTP_" + name.upper().replace("-", "_"): value for name, value in UPGRADE.items()}
    served, client = socket.socketpair()
    with hub() as loop, served, client:
        loop.require_place()
        environ_of_server = {**environ, "SERVER_PROTOCOL": "HTTP/1.1", "werkzeug.socket": served}
        with no_descriptors(), pytest.raises(Overloaded):
            take_over(environ_of_server, Quiet(), loop)
        served.sendall(b"503")
        assert client.recv(10) == b"503"
        assert isinstance(take_over(environ_of_server, Quiet(), loop), ConnectionResetError)
        assert client.recv(4_096).startswith(b"HTTP/1.1 101")


def test_a_server_gets_to_know_through_any_middleware_that_the_connection_is_gone() -> None:
    application = wsgi_application(Listened())
    served, client = socket.socketpair()
    environ: dict[str, Any] = {"HTTP_" + name.upper().replace("-", "_"): value for name, value in UPGRADE.items()}
    environ |= {"REQUEST_METHOD": "GET", "PATH_INFO": "/subscribers/A", "wsgi.input": io.BytesIO()}
    environ |= {"SERVER_PROTOCOL": "HTTP/1.1", "gunicorn.socket": served}

    def middleware() -> Iterator[bytes]:
        yield from application(environ, lambda *_: lambda _: None)

    with served, client:
        with pytest.raises(ConnectionResetError) as gone:
            next(middleware())
        # what gunicorn knows it by
        assert gone.value.errno == errno.ECONNRESET
        assert served.recv(1) == b""
        assert client.recv(4_096).startswith(b"HTTP/1.1 101")


def test_a_port_without_descriptors_waits_for_better_times() -> None:
    turns = []

    class Counted(EventPort):
        def advance(self, *, readable: bool, now: float) -> int:
            turns.append(readable)
            return super().advance(readable=readable, now=now)

    listening = socket.create_server(("127.0.0.1", 0))
    with hub() as loop, closing(socket.socket()) as client:
        Counted(listening, loop, Listened().handle, "", "http://localhost")
        address = listening.getsockname()
        with no_descriptors():
            client.connect(address)
            time.sleep(1.5)
        assert 0 < len(turns) < 20, "the loop was busy"
        client.sendall(b"GET /subscribers/A HTTP/1.1\r\n\r\n")
        client.settimeout(10)
        assert client.recv(4_096).startswith(b"HTTP/1.1 426")


@contextmanager
def port(origin: Listened, mount: str = "") -> Iterator[Callable[[bytes, dict[str, str]], bytes]]:
    """Says what is answered to a request target and headers."""
    listening = socket.create_server(("127.0.0.1", 0))
    address = listening.getsockname()
    with hub() as loop:
        EventPort(listening, loop, origin.handle, mount, "http://localhost")

        def ask(target: bytes, headers: dict[str, str]) -> bytes:
            with socket.create_connection(address, timeout=10) as client:
                lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items()).encode("latin-1")
                client.sendall(b"GET " + target + b" HTTP/1.1\r\n" + lines + b"\r\n")
                return client.recv(4_096)

        yield ask


@pytest.mark.parametrize(
    ("target", "headers", "status"),
    [
        pytest.param(b"/studies", UPGRADE, 404, id="a search"),
        pytest.param(b"/studies/1.2/rendered", UPGRADE, 404, id="a picture"),
        pytest.param(b"/subscribers/A?wait=30", {"Accept": "application/dicom+json"}, 426, id="a list"),
        pytest.param(b"/subscribers/A", {"Accept": "text/event-stream"}, 426, id="a stream"),
        pytest.param(b"/subscribers/A", UPGRADE | {"Upgrade": "h2c"}, 400, id="another protocol"),
        pytest.param(b"//[/subscribers/A", UPGRADE, 404, id="no URL"),
        pytest.param(b"http://[::1/subscribers/A", UPGRADE, 404, id="no URL either"),
        pytest.param(b"/subscribers/%FF", UPGRADE, 400, id="no UTF-8"),
    ],
)
def test_on_the_port_of_events_nothing_else_is_asked_of_the_origin(
    target: bytes, headers: dict[str, str], status: int, caplog: pytest.LogCaptureFixture
) -> None:
    origin = Listened()
    with port(origin) as ask:
        assert ask(target, headers).startswith(b"HTTP/1.1 %d" % status)
    assert not origin.asked
    assert not caplog.records


@pytest.mark.parametrize("target", [b"/x/subscribers/A%20B", b"/x/ws/subscribers/A%20B?key=%C3%A4"])
def test_on_the_port_of_events_connections_are_opened(target: bytes, caplog: pytest.LogCaptureFixture) -> None:
    origin = Listened()
    with port(origin, "/x") as ask:
        assert ask(target, UPGRADE | {"Cookie": "\xe4"}).startswith(b"HTTP/1.1 101")
    assert origin.asked == [target.partition(b"?")[0].decode().removeprefix("/x").replace("%20", " ")]
    assert not caplog.records


def test_an_authorisation_that_takes_its_time_ends_no_handshake(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(event_port, "_HANDSHAKE_SECONDS", 0.1)

    class Slow(Listened):
        def handle(self, request: Request) -> Response:
            # longer than a turn of the loop
            time.sleep(1.3)
            return super().handle(request)

    with port(Slow()) as ask:
        assert ask(b"/subscribers/A", UPGRADE).startswith(b"HTTP/1.1 101")
    assert not caplog.records
