"""Events over real WebSockets: a server made of `websockets`, which loses connections and sends again."""

from __future__ import annotations

import builtins
import json
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from websockets.exceptions import ConnectionClosed, ConnectionClosedOK
from websockets.protocol import State
from websockets.sync.server import ServerConnection, serve

from dicomweb_worklist import (
    ConnectionLost,
    Event,
    EventStream,
    EventType,
    HTTPTransport,
    MissingLibrary,
    NotFound,
    OriginTransport,
    Refused,
    WorklistClient,
    new_workitem,
)
from tests.client.worklists import origin

Came = list[tuple[str, str | None]]
"""Path and Authorization of each request."""

Script = Callable[[ServerConnection], None]
"""What a server does with a connection, which it closes then."""


def report(number: int, workitem: str = "2.25.1", state: str = "SCHEDULED") -> str:
    values = {
        "00000002": ("UI", "1.2.840.10008.5.1.4.34.6.4"),
        "00000110": ("US", number),
        "00001000": ("UI", workitem),
        "00001002": ("US", 1),
        "00404041": ("CS", "READY"),
        "00741000": ("CS", state),
    }
    return json.dumps({tag: {"vr": vr, "Value": [value]} for tag, (vr, value) in values.items()})


@contextmanager
def serving(
    *scripts: Script, refuse: dict[str, int] | None = None
) -> Iterator[tuple[str, list[tuple[str, str | None]]]]:
    """Where it is, and who came. The last script is for all connections that follow."""
    came: Came = []

    def refused(connection: ServerConnection, request: object) -> object:
        path = request.path
        status = (refuse or {}).get(path)
        came.append((path, request.headers.get("Authorization")))
        return None if status is None else connection.respond(HTTPStatus(status), "No.\n")

    def handle(connection: ServerConnection) -> None:
        number = sum(path not in (refuse or {}) for path, _ in came)
        scripts[min(number, len(scripts)) - 1](connection)

    with serve(handle, "127.0.0.1", 0, process_request=refused, ping_interval=None) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.socket.getsockname()[1]}/s", came
        finally:
            server.shutdown()
            thread.join()


def sending(*texts: str) -> Script:
    """Sends, and waits until the client has taken all."""

    def script(connection: ServerConnection) -> None:
        for text in texts:
            connection.send(text)
        pong = connection.ping()
        while connection.protocol.state is State.OPEN and not pong.wait(0.02):
            pass

    return script


def idle(connection: ServerConnection) -> None:
    for _ in connection:
        pass


def stream(url: str, *, timeout: float | None = 5, **headers: str) -> EventStream:
    return WorklistClient.at(url, aetitle="ME", headers=headers).events(timeout=timeout)


def numbers(events: list[Event]) -> list[int]:
    return [event.message_id for event in events]


def test_events_of_a_connection() -> None:
    with serving(sending(report(1), report(2, "2.25.2", "IN PROGRESS")), idle) as (url, _), stream(url) as events:
        first, second = next(events), next(events)
    assert first == Event(
        EventType.STATE_REPORT,
        "2.25.1",
        1,
        {"00404041": {"vr": "CS", "Value": ["READY"]}, "00741000": {"vr": "CS", "Value": ["SCHEDULED"]}},
    )
    assert (first.state, first.readiness) == ("SCHEDULED", "READY")
    assert (second.workitem, second.state) == ("2.25.2", "IN PROGRESS")


def test_what_is_sent_again_after_a_reconnect_is_dropped() -> None:
    one, two, three = report(1), report(2), report(3)
    with (
        serving(sending(one, two), sending(one, two, three), sending(two, three, report(4)), idle) as (url, _),
        stream(url) as events,
    ):
        assert numbers([next(events) for _ in range(4)]) == [1, 2, 3, 4]
        assert events.connections == 3


def test_the_same_twice_on_one_connection_are_two() -> None:
    with serving(sending(report(1), report(1)), idle) as (url, _), stream(url) as events:
        assert numbers([next(events), next(events)]) == [1, 1]


def sent_together(connection: ServerConnection, text: str) -> threading.Event:
    """A message and a ping behind it, in one packet; what is set when the ping is answered."""
    connection.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_CORK, 1)
    connection.send(text)
    pong = connection.ping()
    connection.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_CORK, 0)
    return pong


def test_a_ping_is_answered_when_what_came_before_is_taken() -> None:
    looked = threading.Event()
    answered: list[bool] = []

    def script(connection: ServerConnection) -> None:
        pong = sent_together(connection, report(1))
        answered.append(pong.wait(0.2))
        looked.set()
        answered.append(pong.wait(5))
        connection.send(report(2))
        idle(connection)

    with serving(script) as (url, _), stream(url) as events:
        assert next(events).message_id == 1
        assert looked.wait(5)
        assert next(events).message_id == 2
    assert answered == [False, True]


@pytest.mark.parametrize("asked", [False, True], ids=["not taken", "taken"])
def test_who_leaves_says_goodbye_and_no_more_than_what_was_taken(asked: bool) -> None:
    left = threading.Event()
    ends: list[object] = []

    def script(connection: ServerConnection) -> None:
        pong = sent_together(connection, report(1))
        with pytest.raises(ConnectionClosed) as caught:
            connection.recv(timeout=5)
        ends.extend((type(caught.value), pong.is_set()))
        left.set()

    with serving(script) as (url, _):
        events = stream(url, timeout=0.1)
        assert next(events).message_id == 1
        if asked:
            assert list(events) == []
        events.close()
        assert left.wait(5)
    assert ends == [ConnectionClosedOK, asked]


def test_a_message_in_fragments_and_one_that_is_no_event() -> None:
    def script(connection: ServerConnection) -> None:
        connection.send([report(1)[:20], report(1)[20:]])
        for nonsense in ("", "[]", "7", "{}", "{", '{"00001002": {"vr": "US", "Value": ["x"]}}'):
            connection.send(nonsense)
        connection.send(report(2))
        connection.send(report(3).replace('"Value": [1]', '"Value": [9]'))
        idle(connection)

    with serving(script) as (url, _), stream(url) as events:
        assert numbers([next(events), next(events)]) == [1, 2]
        assert next(events).type == 9


def test_nothing_for_so_long_ends_it() -> None:
    with serving(sending(report(1)), idle) as (url, _), stream(url, timeout=0.6) as events:
        assert numbers(list(events)) == [1]
        assert list(events) == []


def test_close_wakes_who_waits() -> None:
    with serving(idle) as (url, came), stream(url, timeout=None) as events:
        found: list[list[Event]] = []
        waiting = threading.Thread(target=lambda: found.append(list(events)))
        waiting.start()
        waiting.join(0.2)
        assert waiting.is_alive()
        events.close()
        waiting.join(5)
        assert found == [[]]
        assert len(came) == 1


def test_a_server_that_is_not_there_yet_is_waited_for() -> None:
    with serving(idle) as (url, _):
        pass
    events = stream(url, timeout=0.3)
    events.open()
    assert list(events) == []
    assert events.connections == 0


@pytest.mark.parametrize(
    ("refuse", "expected"),
    [
        ({"/s/subscribers/ME": 404}, ["/s/subscribers/ME", "/s/ws/subscribers/ME"]),
        ({"/s/subscribers/ME": 400}, ["/s/subscribers/ME", "/s/ws/subscribers/ME"]),
        ({}, ["/s/subscribers/ME"]),
    ],
)
def test_the_paths_of_servers_are_tried(refuse: dict[str, int], expected: list[str]) -> None:
    with serving(sending(report(1)), idle, refuse=refuse) as (url, came), stream(url) as events:
        assert next(events).message_id == 1
    assert [path for path, _ in came][: len(expected)] == expected


@pytest.mark.parametrize(("status", "error"), [(401, Refused), (403, Refused), (404, NotFound)])
def test_a_server_that_does_not_want(status: int, error: type[Exception]) -> None:
    refuse = {"/s/subscribers/ME": status, "/s/ws/subscribers/ME": status}
    with serving(idle, refuse=refuse) as (url, _), pytest.raises(error):
        next(stream(url))


def test_a_server_that_fails_is_tried_again() -> None:
    refuse = {"/s/subscribers/ME": 503, "/s/ws/subscribers/ME": 503}
    with serving(idle, refuse=refuse) as (url, came):
        assert list(stream(url, timeout=0.5)) == []
    assert len(came) > 2


def test_our_headers_go_to_our_host_only() -> None:
    secret = {"Authorization": "Bearer secret"}
    with serving(sending(report(1)), idle) as (url, came):
        transport = HTTPTransport(url, headers=secret)
        elsewhere = url.replace("http://127.0.0.1", "ws://localhost") + "/subscribers/ME"
        for given in (None, elsewhere):
            with EventStream(transport, "ME", lambda given=given: given, timeout=5) as events:
                assert events.connections == 1
    assert [authorization for _, authorization in came[:2]] == ["Bearer secret", None]
    assert (
        HTTPTransport("https://h/s", headers=secret).notification_urls(None, "A B")[0] == "wss://h/s/subscribers/A%20B"
    )


def test_the_url_of_a_subscription_is_used() -> None:
    with serving(sending(report(1)), idle) as (url, came):
        transport = HTTPTransport(url)
        given = "ws" + url.removeprefix("http") + "/elsewhere?aet=ME"
        with EventStream(transport, "ME", lambda: given, timeout=5) as events:
            assert next(events).message_id == 1
        assert came[0][0] == "/s/elsewhere?aet=ME"


@pytest.mark.parametrize("status", [426, 501])
def test_where_there_is_no_websocket_it_is_polled(status: int) -> None:
    """A server of ours behind one that lets no upgrade through."""
    server = origin()
    ours = WorklistClient(OriginTransport(server), aetitle="ME")
    uid = ours.create(new_workitem("a"))
    ours.subscribe(uid)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            answer = (status, (), b"") if "Upgrade" in self.headers else None
            found = answer or OriginTransport(server).send(
                "GET", self.path.removeprefix("/s"), tuple(self.headers.items())
            )
            self.send_response(found[0])
            for name, value in (*found[1], ("Content-Length", str(len(found[2])))):
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(found[2])

        def log_message(self, format: str, *arguments: object) -> None:
            """Nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as listening:
        thread = threading.Thread(target=listening.serve_forever)
        thread.start()
        client = WorklistClient.at(f"http://127.0.0.1:{listening.server_port}/s", aetitle="ME")
        with client, client.events(timeout=5) as events:
            assert next(events).state == "SCHEDULED"
            ours.claim(uid)
            assert next(events).state == "IN PROGRESS"
        listening.shutdown()
        thread.join()
    server.close()


def test_a_library_that_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    imported = builtins.__import__

    def without(name: str, *arguments: object, **named: object) -> object:
        if name.startswith("websockets"):
            raise ModuleNotFoundError(name)
        return imported(name, *arguments, **named)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(MissingLibrary, match="pip install"):
        next(stream("http://127.0.0.1:9/s"))


def test_a_server_that_speaks_no_http() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def answer() -> None:
            for _ in range(3):
                connection, _address = listening.accept()
                with connection:
                    connection.recv(1000)
                    connection.sendall(b"220 mail.example SMTP\r\n\r\n")

        thread = threading.Thread(target=answer)
        thread.start()
        url = f"ws://127.0.0.1:{listening.getsockname()[1]}/s"
        transport = HTTPTransport("http://127.0.0.1:1")
        for _ in range(3):
            with pytest.raises(ConnectionLost):
                transport.open_notifications(url)
        thread.join()
