"""Notification connections over real sockets, on every server that lets them through (PS3.18 8.10.4, 8.10.5)."""

from __future__ import annotations

import base64
import hashlib
import http.client
import json
import os
import signal
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, suppress
from pathlib import Path
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect
from websockets.typing import Origin

from dicomweb_core.values.workitems import Subscription
from dicomweb_lmdb import LMDBWorklistStore
from tests.rules.made_workitems import OURS, sent
from tests.served import Served
from tests.worklists import ALL

JSON = "application/dicom+json"
KEY = "dGhlIHNhbXBsZSBub25jZQ=="


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """Four workers over one store."""
    store = str(tmp_path_factory.mktemp("store"))
    options = ("--workers", "4", "--codec-processes", "0", "--cors-origin", "https://viewer.example")
    with Served("--store", store, *options) as running:
        yield running


@pytest.fixture(scope="module")
def kept(served: Served) -> Path:
    """Where the worklist is."""
    return Path(served.arguments[served.arguments.index("--store") + 1], "worklist")


def ask(served: Served, method: str, path: str, dataset: Any = None, **headers: str) -> http.client.HTTPResponse:
    """A request and its answer, read."""
    with closing(http.client.HTTPConnection("127.0.0.1", served.port, timeout=20)) as connection:
        sends = {name.replace("_", "-"): value for name, value in headers.items()}
        if dataset is not None:
            sends["Content-Type"] = JSON
        body = None if dataset is None else json.dumps(dataset).encode()
        connection.request(method, served.mount + path, body, sends)
        answer = connection.getresponse()
        answer.read()
        return answer


def create(served: Served, uid: str) -> None:
    assert ask(served, "POST", f"/workitems?workitem={uid}", sent()).status == 201


def subscribe(served: Served, aet: str, target: str = ALL, query: str = "") -> str:
    """Where to listen."""
    answer = ask(served, "POST", f"/workitems/{target}/subscribers/{aet}{query}")
    assert answer.status == 201
    return answer.headers["Content-Location"]


def received(connection: ClientConnection, count: int, seconds: float = 10) -> list[Any]:
    """So many events."""
    return [json.loads(connection.recv(timeout=seconds)) for _ in range(count)]


def quiet(connection: ClientConnection) -> bool:
    """Whether nothing comes for a while."""
    try:
        connection.recv(timeout=0.3)
    except TimeoutError:
        return True
    return False


def left(connection: ClientConnection) -> Iterator[str | bytes]:
    """What still comes before the server ends the connection."""
    with suppress(ConnectionClosed):
        while True:
            yield connection.recv(timeout=10)


class Listening:
    """A client that comes and goes, and drops what it has got already: reports come at least once, with one text."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._seen: set[str] = set()

    def until(self, count: int) -> list[Any]:
        """So many events that are new, over a connection of its own; and then nothing."""
        events: list[Any] = []
        with connect(self._url) as connection:
            while len(events) < count:
                text = connection.recv(timeout=10)
                assert isinstance(text, str)
                if text not in self._seen:
                    self._seen.add(text)
                    events.append(json.loads(text))
            assert quiet(connection)
        return events


def about(events: list[Any]) -> list[str]:
    return [event["00001000"]["Value"][0] for event in events]


def states(events: list[Any]) -> list[str]:
    return [event["00741000"]["Value"][0] for event in events]


def shaken(served: Served, path: str = "/subscribers/SHAKE", **changed: str | None) -> tuple[int, dict[str, str]]:
    """Status and headers of an opening handshake, made by hand."""
    headers: dict[str, str | None] = {
        "Host": f"127.0.0.1:{served.port}",
        "Upgrade": "websocket",
        "Connection": "keep-alive, Upgrade",
        "Sec-WebSocket-Key": KEY,
        "Sec-WebSocket-Version": "13",
    }
    headers |= {name.replace("_", "-"): value for name, value in changed.items()}
    lines = [f"{name}: {value}\r\n" for name, value in headers.items() if value is not None]
    with socket.create_connection(("127.0.0.1", served.port), timeout=10) as client:
        client.sendall(f"GET {served.mount}{path} HTTP/1.1\r\n{''.join(lines)}\r\n".encode())
        head = b""
        while b"\r\n\r\n" not in head and (data := client.recv(4_096)):
            head += data
    status, *fields = head.split(b"\r\n\r\n")[0].decode().split("\r\n")
    pairs = (field.partition(": ") for field in fields)
    return int(status.split()[1]), {name.lower(): value for name, _, value in pairs}


# -- the handshake --


def test_the_handshake_is_that_of_rfc_6455_U094(served: Served) -> None:
    status, headers = shaken(served)
    expected = base64.b64encode(hashlib.sha1(KEY.encode() + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest())
    assert status == 101
    assert headers["sec-websocket-accept"] == expected.decode()
    assert headers["upgrade"].lower() == "websocket"
    assert headers["connection"].lower() == "upgrade"
    assert "sec-websocket-protocol" not in headers
    assert "sec-websocket-extensions" not in headers


@pytest.mark.parametrize(
    ("changed", "status"),
    [
        pytest.param({"Sec_WebSocket_Version": "8"}, 426, id="old version"),
        pytest.param({"Sec_WebSocket_Version": None}, 426, id="no version"),
        pytest.param({"Sec_WebSocket_Key": None}, 400, id="no key"),
        pytest.param({"Sec_WebSocket_Key": "c2hvcnQ="}, 400, id="short key"),
        pytest.param({"Upgrade": None, "Connection": None}, 426, id="plain"),
        pytest.param({"Upgrade": "h2c"}, 426, id="another protocol"),
        pytest.param({"Connection": "close"}, 426, id="not hop by hop"),
        pytest.param({"Origin": "https://evil.example"}, 403, id="A82 foreign page"),
        pytest.param({"Origin": "null"}, 403, id="A82 sandboxed page"),
        pytest.param({"Origin": "https://viewer.example.evil.example"}, 403, id="A82 suffix"),
        pytest.param({"Origin": "https://viewer.example"}, 101, id="allowed page"),
    ],
)
def test_handshakes_U094(served: Served, changed: dict[str, str | None], status: int) -> None:
    found, headers = shaken(served, **changed)
    assert found == status
    if status == 426:
        assert headers["upgrade"] == "websocket"
        assert headers["sec-websocket-version"] == "13"


def test_a_page_of_the_server_itself_may_connect(served: Served) -> None:
    assert shaken(served, Origin=f"http://127.0.0.1:{served.port}")[0] == 101
    assert shaken(served, Origin="http://127.0.0.1:1")[0] == 403


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/subscribers/SHAKE", 101),
        ("/ws/subscribers/SHAKE", 101),
        ("/subscribers/SHAKE%20ME", 101),
        ("/subscribers/12345678901234567", 400),
        ("/subscribers/%20", 400),
        ("/subscribers/A%5CB", 400),
        ("/subscribers/A%0D%0AX:%20y", 400),
        ("/subscribers", 404),
        ("/studies", 200),
    ],
)
def test_where_connections_are_opened_U095(served: Served, path: str, status: int) -> None:
    assert shaken(served, path)[0] == status


# -- events --


def test_an_event_is_one_text_with_one_object_U096_U097(served: Served) -> None:
    with connect(subscribe(served, "SHAPE", query="?deletionlock=true")) as connection:
        create(served, "2.25.100")
        text = connection.recv(timeout=10)
        assert isinstance(text, str)
        event = json.loads(text)
        assert list(event) == sorted(event)
        assert event["00000002"] == {"vr": "UI", "Value": ["1.2.840.10008.5.1.4.34.6.1"]}
        assert event["00001000"] == {"vr": "UI", "Value": ["2.25.100"]}
        assert event["00001002"] == {"vr": "US", "Value": [1]}
        assert event["00000110"]["vr"] == "US"
        assert event["00741000"] == {"vr": "CS", "Value": ["SCHEDULED"]}
        assert event["00404041"] == {"vr": "CS", "Value": ["READY"]}
        assert ask(served, "DELETE", f"/workitems/{ALL}/subscribers/SHAPE").status == 200
        create(served, "2.25.101")
        assert quiet(connection)


def test_every_connection_of_an_ae_gets_every_event_in_order_U101_U102(served: Served) -> None:
    url = subscribe(served, "SEVERAL")
    uids = [f"2.25.2{number:02}" for number in range(30)]
    with ExitStack() as stack:
        connections = [stack.enter_context(connect(url)) for _ in range(8)]
        for uid in uids:
            create(served, uid)
            change = {"00741000": {"vr": "CS", "Value": ["IN PROGRESS"]}, "00081195": {"vr": "UI", "Value": [OURS]}}
            assert ask(served, "PUT", f"/workitems/{uid}/state", change).status == 200
        for connection in connections:
            events = received(connection, 2 * len(uids))
            assert about(events) == [uid for uid in uids for _ in range(2)]
            assert states(events) == ["SCHEDULED", "IN PROGRESS"] * len(uids)
            assert quiet(connection)


def test_a_closed_connection_ends_no_subscription_and_no_lock_U093(served: Served, kept: Path) -> None:
    create(served, "2.25.300")
    url = subscribe(served, "COMES_AND_GOES", "2.25.300", "?deletionlock=true")
    listening = Listening(url)
    assert states(listening.until(1)) == ["SCHEDULED"]
    assert ask(served, "POST", "/workitems/2.25.300/cancelrequest").status == 202
    assert states(listening.until(2)) == ["IN PROGRESS", "CANCELED"]
    with closing(LMDBWorklistStore(kept)) as worklist:
        held = worklist.transact(lambda transaction: transaction.subscriptions("2.25.300"))
    assert Subscription("2.25.300", "COMES_AND_GOES", deletion_lock=True) in held
    assert ask(served, "DELETE", "/workitems/2.25.300/subscribers/COMES_AND_GOES").status == 200


def test_who_connects_before_subscribing_gets_the_first_report(served: Served) -> None:
    create(served, "2.25.400")
    with connect(f"ws://127.0.0.1:{served.port}{served.mount}/subscribers/EARLY") as connection:
        assert quiet(connection)
        subscribe(served, "EARLY", "2.25.400")
        assert about(received(connection, 1)) == ["2.25.400"]


def test_idle_connections_cost_no_worker(served: Served) -> None:
    with ExitStack() as idle:
        for number in range(120):
            idle.enter_context(connect(f"ws://127.0.0.1:{served.port}{served.mount}/subscribers/IDLE{number}"))
        for _ in range(20):
            assert served.request("GET", "/workitems?limit=1")[0] in (200, 204)


def test_a_client_that_vanishes_is_noticed_and_loses_nothing(served: Served) -> None:
    url = subscribe(served, "VANISHES")
    with connect(url) as connection:
        # reset, not closed
        connection.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        connection.socket.close()
        create(served, "2.25.500")
    with connect(url) as connection:
        assert about(received(connection, 1)) == ["2.25.500"]


def test_what_no_client_has_read_comes_again_A82(served: Served) -> None:
    """A client whose machine has stopped answers no ping; another connection gets what it was sent."""
    url = subscribe(served, "STOPPED")
    with socket.create_connection(("127.0.0.1", served.port)) as stopped:
        request = [f"GET {served.mount}/subscribers/STOPPED HTTP/1.1", f"Host: 127.0.0.1:{served.port}"]
        request += ["Upgrade: websocket", "Connection: Upgrade", f"Sec-WebSocket-Key: {KEY}"]
        stopped.sendall("\r\n".join([*request, "Sec-WebSocket-Version: 13", "", ""]).encode())
        assert stopped.recv(4_096).startswith(b"HTTP/1.1 101")
        create(served, "2.25.600")
        assert b"2.25.600" in stopped.recv(4_096)
    with connect(url) as connection:
        assert about(received(connection, 1)) == ["2.25.600"]


def holder_of(served: Served, port: int) -> int:
    """The worker that has the connection of a client from this port."""
    wanted = (f"{served.port:04X}", f"{port:04X}")
    rows = [row.split() for row in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    (inode,) = [row[9] for row in rows if (row[1][-4:], row[2][-4:]) == wanted and row[9] != "0"]
    for pid in served.pids():
        for link in Path(f"/proc/{pid}/fd").iterdir():
            try:
                if os.readlink(link) == f"socket:[{inode}]":
                    return pid
            except OSError:
                continue
    raise AssertionError("nobody has the connection")


@pytest.mark.skipif(not Path("/proc/net/tcp").exists(), reason="needs Linux")
def test_a_worker_killed_between_a_change_and_its_delivery_loses_no_event(served: Served) -> None:
    url = subscribe(served, "SURVIVES")
    create(served, "2.25.700")
    listening = Listening(url)
    assert about(listening.until(1)) == ["2.25.700"]
    with connect(url) as connection:
        worker = holder_of(served, connection.local_address[1])
        os.kill(worker, signal.SIGSTOP)
        try:
            for number in range(701, 711):
                create(served, f"2.25.{number}")
        finally:
            os.kill(worker, signal.SIGKILL)
        # what the connection before has got may come again
        assert set(about(list(map(json.loads, left(connection))))) <= {"2.25.700"}
    assert about(listening.until(10)) == [f"2.25.{number}" for number in range(701, 711)]


# -- other servers --


@pytest.mark.parametrize("kind", ["waitress", "werkzeug"])
def test_on_other_servers_of_the_command_line(kind: str) -> None:
    with Served("--server", kind) as served:
        with connect(subscribe(served, "OTHER")) as connection:
            create(served, "2.25.1")
            assert about(received(connection, 1)) == ["2.25.1"]
            with connect(subscribe(served, "OTHER"), origin=Origin(f"http://127.0.0.1:{served.port}")):
                pass
            with (
                pytest.raises(InvalidStatus) as refused,
                connect(subscribe(served, "OTHER"), origin=Origin("https://evil.example")),
            ):
                pass
            assert refused.value.response.status_code == 403
            served.process.send_signal(signal.SIGTERM)
            with pytest.raises(ConnectionClosed) as closed:
                connection.recv(timeout=10)
            assert closed.value.rcvd is not None
            assert closed.value.rcvd.code == 1001
        assert served.process.wait(20) == 0
        assert "Traceback" not in served.log()


def test_on_the_port_of_events_nothing_else_is_answered() -> None:
    with Served("--server", "waitress") as served:
        url = subscribe(served, "OTHER")
        port = int(url.split(":")[2].split("/")[0])
        assert port != served.port
        for path, status in (
            (f"{served.mount}/studies", 404),
            ("/elsewhere", 404),
            (f"{served.mount}/subscribers/A", 0),
        ):
            with pytest.raises(InvalidStatus) as refused:
                connect(
                    f"ws://127.0.0.1:{port}{path}",
                    additional_headers={"Sec-WebSocket-Version": "7"} if not status else {},
                )
            assert refused.value.response.status_code == (status or 426)
        with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=10)) as connection:
            connection.request("GET", f"{served.mount}/subscribers/A")
            assert connection.getresponse().status == 426
        # who says nothing, or nonsense, or too much harms nobody
        silent = socket.create_connection(("127.0.0.1", port))
        for nonsense in (b"\0" * 100, b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 5_000, b"\r\n" * 10):
            with socket.create_connection(("127.0.0.1", port)) as client:
                client.sendall(nonsense)
        with connect(url) as listening:
            create(served, "2.25.1")
            assert about(received(listening, 1)) == ["2.25.1"]
        silent.close()
        assert "Traceback" not in served.log()


# -- streams --


@pytest.mark.parametrize("kind", ["gunicorn", "waitress", "werkzeug"])
def test_streams_begin_at_once_and_do_not_keep_a_server_from_stopping(kind: str) -> None:
    with Served("--server", kind) as served:
        subscribe(served, "STREAM")
        with closing(http.client.HTTPConnection("127.0.0.1", served.port, timeout=20)) as connection:
            # as browsers ask: what is compressed would come when there is enough of it
            headers = {"Accept": "text/event-stream", "Accept-Encoding": "gzip, deflate, br, zstd"}
            connection.request("GET", f"{served.mount}/subscribers/STREAM", headers=headers)
            answer = connection.getresponse()
            assert answer.status == 200
            assert answer.headers["Content-Type"] == "text/event-stream"
            assert answer.readline() == b"retry: 500\n"
            create(served, "2.25.1")
            lines = [answer.readline() for _ in range(3)]
            assert lines[1] == b"id: 1\n"
            assert about([json.loads(lines[2].removeprefix(b"data: "))]) == ["2.25.1"]
            begin = time.monotonic()
            stopper = threading.Timer(0.2, served.process.send_signal, [signal.SIGTERM])
            stopper.start()
            while answer.readline():
                pass
            assert served.process.wait(20) == 0
            # far less than the life of a stream
            assert time.monotonic() - begin < 15
