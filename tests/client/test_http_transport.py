"""The transport over real sockets: connections that end at every moment."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from dicomweb_worklist import Attempts, ConnectionLost, HTTPTransport, ServerFailed, WorklistClient

OK = b"HTTP/1.1 200 OK\r\nContent-Type: application/dicom+json\r\nContent-Length: 4\r\n\r\n[{}]"
CLOSE = b""
"""Instead of an answer: the connection is closed."""


@contextmanager
def answering(*connections: tuple[bytes, ...]) -> Iterator[tuple[str, list[bytes]]]:
    """A server whose n-th connection gets these answers and is closed then; its URL, and the requests it has read."""
    requests: list[bytes] = []

    def run() -> None:
        for answers in connections:
            connection, _ = listening.accept()
            with connection:
                for answer in answers:
                    requests.append(connection.recv(65536))
                    connection.sendall(answer)

    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=run)
        thread.start()
        yield f"http://127.0.0.1:{listening.getsockname()[1]}/s", requests
        thread.join(5)


def test_a_connection_is_kept() -> None:
    with answering((OK, OK)) as (url, requests):
        transport = HTTPTransport(url, headers={"Authorization": "Bearer secret"})
        for _ in range(2):
            assert transport.send("GET", "/x?y=1", ()).status == 200
        transport.close()
    assert len(requests) == 2
    for request in requests:
        assert request.startswith(b"GET /s/x?y=1 HTTP/1.1\r\n")
        assert b"Authorization: Bearer secret\r\n" in request


def test_one_that_the_server_has_closed_is_not_used_again() -> None:
    with answering((OK,), (OK,)) as (url, requests):
        transport = HTTPTransport(url)
        transport.send("GET", "/x", ())
        # Its end has to arrive first.
        (connection,) = transport._idle
        assert connection.sock is not None
        connection.sock.settimeout(5)
        connection.sock.recv(1, socket.MSG_PEEK)
        assert transport.send("POST", "/x", ()).status == 200
        transport.close()
    assert requests[1].endswith(b"Content-Length: 0\r\n\r\n")


@pytest.mark.parametrize("broken", [CLOSE, b"HTTP/1.1 2", OK[:-1], OK[:-4], b"nonsense\r\n\r\n"])
def test_an_answer_that_breaks_off_is_lost_and_asked_for_again(broken: bytes) -> None:
    with answering((broken,)) as (url, _), pytest.raises(ConnectionLost) as caught:
        HTTPTransport(url).send("GET", "/x", ())
    assert caught.value.sent
    with answering((broken,), (broken,), (OK,)) as (url, requests):
        client = WorklistClient(HTTPTransport(url), attempts=Attempts(pause=0))
        assert client.retrieve("2.25.1") == {}
        client.close()
    assert len(requests) == 3


def test_nobody_is_there() -> None:
    with answering() as (url, _):
        pass
    with pytest.raises(ConnectionLost, match="cannot be reached") as caught:
        HTTPTransport(url).send("GET", "/x", ())
    assert not caught.value.sent


def test_silence_has_an_end() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        transport = HTTPTransport(f"http://127.0.0.1:{listening.getsockname()[1]}", timeout=0.1)
        with pytest.raises(ConnectionLost) as caught:
            transport.send("GET", "/x", ())
    assert caught.value.sent


def test_an_answer_has_a_greatest_length() -> None:
    with answering((OK,)) as (url, _), pytest.raises(ServerFailed, match="longer than 3"):
        HTTPTransport(url, most_bytes=3).send("GET", "/x", ())


@pytest.mark.parametrize("url", ["", "ftp://h", "h/s", "http://", "http://h/s?x=1", "http://user:secret@h/s"])
def test_what_is_no_service(url: str) -> None:
    with pytest.raises(ValueError):
        HTTPTransport(url)
