"""Hostile clients over a real socket (A30-A36, A38, A72): what they break is their own connection."""

from __future__ import annotations

import http.client
import socket
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from dicomweb_core.testing.samples import sample
from tests.clients import multipart
from tests.served import Served

SAMPLE = sample(1, 1, 1)
OTHER = sample(2, 1, 1)
CONTENT_TYPE, PAYLOAD = multipart(OTHER.part10)


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    store = tmp_path_factory.mktemp("hostile")
    with Served("--store", str(store / "store"), "--workers", "1", "--threads", "4") as running:
        content_type, payload = multipart(SAMPLE.part10)
        assert running.request("POST", "/studies", payload, {"Content-Type": content_type})[0] == 200
        yield running


@pytest.fixture(autouse=True)
def unharmed(served: Served) -> Iterator[None]:
    """After each attack the next request is answered, the store is what it was, and nothing was logged of it."""
    yield
    status, content = served.request("GET", f"/{SAMPLE.ref.path}", headers={"Accept": "application/dicom"})
    assert (status, content) == (200, SAMPLE.part10)
    status, content = served.request("GET", "/instances")
    assert status == 200
    assert content.count(b'"00080018"') == 1
    log = served.log()
    assert "Traceback" not in log, log
    assert "Sample^" not in log


def raw(served: Served, *pieces: bytes, half_close: bool = False) -> bytes:
    """All that the server answers to these bytes."""
    with closing(socket.create_connection(("127.0.0.1", served.port), timeout=20)) as connection:
        try:
            for piece in pieces:
                connection.sendall(piece)
            if half_close:
                connection.shutdown(socket.SHUT_WR)
            answer = b""
            while data := connection.recv(65536):
                answer += data
        except (ConnectionError, BrokenPipeError):
            pass
        return answer


def head(served: Served, *headers: str, method: str = "POST", path: str = "/studies") -> bytes:
    lines = [f"{method} {served.mount}{path} HTTP/1.1", "Host: archive.example", "Connection: close", *headers]
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n"


def status_of(answer: bytes) -> int:
    return int(answer.split(b" ", 2)[1]) if answer.startswith(b"HTTP/1.") else 0


TYPE = f"Content-Type: {CONTENT_TYPE}"


@pytest.mark.parametrize(
    "headers",
    [
        ["Content-Length: -1"], ["Content-Length: abc"], ["Content-Length: 9223372036854775808"],
        ["Content-Length: " + "9" * 30], ["Content-Length: 5, 6"], ["Content-Length: 5", "Content-Length: 6"],
        ["Content-Length: 0x10"], ["Content-Length: +5"], ["Content-Length:"], [], ["Content-Length: 0"],
        ["Transfer-Encoding: chunked", "Content-Length: 5"], ["Transfer-Encoding: gzip, chunked"],
        ["Transfer-Encoding: identity"], ["Transfer-Encoding: xchunked"],
    ],
    ids=lambda headers: " ".join(headers)[:40] or "absent",
)  # fmt: skip
def test_lengths_that_are_none_A30(served: Served, headers: list[str]) -> None:
    answer = raw(served, head(served, TYPE, *headers), PAYLOAD[:100], half_close=True)
    assert status_of(answer) in (0, 400, 411, 413, 501)


@pytest.mark.parametrize(
    "chunks",
    [
        b"zz\r\nabc\r\n0\r\n\r\n", b"-1\r\n", b"FFFFFFFFFFFFFFFF\r\nabc", b"5\r\nabc\r\n0\r\n\r\n", b"0\r\n\r\n",
        b"\r\n\r\n",
        b"3;" + b"x" * 100_000 + b"\r\nabc\r\n0\r\n\r\n", b"3\r\nabcde\r\n0\r\n\r\n", b"0\r\nX: y\r\n" * 100,
        b"%x\r\n%s" % (len(PAYLOAD), PAYLOAD[:500]),
    ],
    ids=lambda chunks: ascii(chunks[:16]),
)  # fmt: skip
def test_chunks_that_are_none_A30(served: Served, chunks: bytes) -> None:
    answer = raw(served, head(served, TYPE, "Transfer-Encoding: chunked"), chunks, half_close=True)
    assert status_of(answer) in (0, 400, 413, 501)


@pytest.mark.parametrize("sent", [0, 60, 300, len(PAYLOAD) - 60, len(PAYLOAD) - 1])
def test_a_client_that_leaves_in_the_middle_A30(served: Served, sent: int) -> None:
    with closing(socket.create_connection(("127.0.0.1", served.port), timeout=20)) as connection:
        connection.sendall(head(served, TYPE, f"Content-Length: {len(PAYLOAD)}") + PAYLOAD[:sent])
        # RST instead of FIN
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    answer = raw(served, head(served, TYPE, f"Content-Length: {len(PAYLOAD)}"), PAYLOAD[:sent], half_close=True)
    assert status_of(answer) in (0, 400)


def test_a_slow_client_does_not_keep_others_waiting_A30(served: Served) -> None:
    slow = [socket.create_connection(("127.0.0.1", served.port), timeout=20) for _ in range(3)]
    try:
        for connection in slow:
            connection.sendall(head(served, TYPE, f"Content-Length: {len(PAYLOAD)}") + PAYLOAD[:200])
        begin = time.monotonic()
        for number in range(5):
            for connection in slow:
                connection.sendall(PAYLOAD[200 + number : 201 + number])
            assert served.request("GET", "/studies")[0] == 200
        assert time.monotonic() - begin < 5
    finally:
        for connection in slow:
            connection.close()


def test_a_client_that_does_not_read_A30(served: Served) -> None:
    with closing(socket.create_connection(("127.0.0.1", served.port), timeout=20)) as connection:
        path = f"/{SAMPLE.ref.path}/frames/" + ",".join(["1"] * 3000)
        connection.sendall(
            head(served, "Accept: multipart/related; type=application/octet-stream", method="GET", path=path)
        )
        assert connection.recv(10)
        assert served.request("GET", "/studies")[0] == 200


@pytest.mark.parametrize(
    ("content_type", "payload"),
    [
        ("multipart/related; type=application/dicom", PAYLOAD), ("multipart/related; boundary=", PAYLOAD),
        ('multipart/related; boundary="', PAYLOAD), ("multipart/related; boundary=" + "b" * 300, PAYLOAD),
        ("multipart/related; boundary=\xe9", PAYLOAD), ('multipart/related; boundary="a b;c\\"d"', PAYLOAD),
        ("multipart/form-data; boundary=x", PAYLOAD), ("multipart/related; type=text/html; boundary=x", PAYLOAD),
        ("multipart/related; boundary=x", b"--x\r\n" * 1000), ("multipart/related; boundary=x", b"--x--"),
        ("multipart/related; boundary=x", b""), ("multipart/related; boundary=x", b"x" * 1_000_000),
        ("multipart/related; boundary=x", b"--x\r\nA: " + b"b" * 1_000_000),
        ("multipart/related; boundary=x", b"--x\r\n" + b"A: b\r\n" * 100_000),
        ("multipart/related; boundary=x", b"--x\r\nContent-Type: text/html\r\n\r\n<script>\r\n--x--"),
        ("multipart/related; boundary=x", b"--x\r\n\r\n\r\n" * 30_000 + b"--x--"),
        ("application/dicom", b""), ("application/dicom", b"x" * 1_000_000), ("application/dicom; q=\xff", b"x"),
        ("", PAYLOAD), ("x" * 10_000, PAYLOAD), ("application/dicom+json", b"[{}]"),
    ],
    ids=lambda value: ascii(value[:40]),
)  # fmt: skip
def test_payloads_that_are_none_A32_A33(served: Served, content_type: str, payload: bytes) -> None:
    headers = (f"Content-Type: {content_type}", f"Content-Length: {len(payload)}")
    answer = raw(served, head(served, *headers), payload)
    assert status_of(answer) in (400, 409, 413, 415)
    assert b"<script>" not in answer


@pytest.mark.parametrize(
    "header",
    [
        "Accept: " + "*/*," * 7000, "Accept: " + "a" * 100_000, "X: " + "y" * 100_000, "Host: evil\x00", "Host: a b",
        "Host: user@evil.example", "Host: evil.example/path", "Host: ", "Host: evil:99999", "Host: [::1", "Host: a,b",
        "X-Forwarded-Host: evil.example", "X-Forwarded-Proto: javascript", "X-Forwarded-Prefix: //evil.example/..",
        "Forwarded: host=evil.example;proto=https", "X-Original-URL: /evil.example", "X-Forwarded-For: 127.0.0.1",
        "X_Forwarded_Host: evil.example", "Content-Encoding: gzip", "Expect: 100-continue", "Expect: nonsense",
        "Range: bytes=0-0,1-1", "Upgrade: h2c", "TE: trailers", "Cookie: " + "a=b;" * 5000, " folded: x", "no colon",
    ],
    ids=lambda header: ascii(header[:30]),
)  # fmt: skip
def test_headers_reach_no_url_A34_A36(served: Served, header: str) -> None:
    own = [] if header.startswith("Host:") else ["Host: archive.example"]
    for path in ("/studies", f"/{SAMPLE.ref.path}/metadata", f"/{SAMPLE.ref.path}"):
        lines = [f"GET {served.mount}{path} HTTP/1.1", *own, "Connection: close", header]
        answer = raw(served, "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n")
        assert status_of(answer) in (100, 200, 206, 400, 406, 413, 414, 415, 417, 431), answer[:300]
        if not header.startswith("Host: evil"):
            assert b"evil" not in answer
        assert b"javascript" not in answer


@pytest.mark.parametrize(
    "path",
    [
        "/studies/%2e%2e/%2e%2e/etc/passwd", "/studies/..%2f..%2fx", "/studies/%00", "/studies/%ff%fe", "/studies/%",
        "/studies/%zz", "/studies/1.2%0d%0aX-Evil:%20y", "//evil.example/studies", "/studies;x=y", "/studies/%5c..%5c",
        "/studies/%252e%252e", "/studies/" + "1" * 7000, "/studies/" + "1" * 100_000, "/studies?x=%0d%0aX-Evil:%20y",
        "/studies?" + "&".join(f"a{n}=1" for n in range(900)), "/studies\x7f", "/studies/\xe9", "/studies#x",
    ],
    ids=lambda path: ascii(path[:30]),
)  # fmt: skip
def test_paths_A35_A38(served: Served, path: str) -> None:
    answer = raw(served, head(served, method="GET", path=path))
    assert status_of(answer) in (0, 200, 400, 404, 414, 431), answer[:300]
    assert b"X-Evil" not in answer.partition(b"\r\n\r\n")[0]
    assert b"root:" not in answer
    assert answer.partition(b"\r\n\r\n")[0].count(b"\r\n") < 100


@pytest.mark.parametrize(
    "method", ["TRACE", "CONNECT", "PATCH", "PUT", "PROPFIND", "GET\x00", "DELETE\t", "X" * 5000, "get"]
)
def test_methods_A37(served: Served, method: str) -> None:
    answer = raw(served, head(served, "Content-Length: 0", method=method))
    assert status_of(answer) in (0, 400, 405, 414, 501)
    assert b"archive.example\r\nConnection" not in answer


def test_requests_in_one_go_are_answered_one_by_one_A30(served: Served) -> None:
    """What a payload contains is not the next request."""
    inner = f"DELETE {served.mount}/{SAMPLE.ref.path} HTTP/1.1\r\nHost: archive.example\r\n\r\n".encode()
    first = (
        f"POST {served.mount}/series HTTP/1.1\r\nHost: archive.example\r\nContent-Length: {len(inner)}\r\n\r\n".encode()
    )
    answer = raw(served, first + inner + head(served, method="GET"))
    assert [int(piece[:3]) for piece in answer.split(b"HTTP/1.1 ")[1:]] in ([405, 200], [405])


def test_a_flipped_bit_cuts_the_connection_A72(tmp_path: Path) -> None:
    damaged = sample(1, 1, 1, rows=2048, columns=1024)
    content_type, payload = multipart(damaged.part10, sample(1, 1, 2).part10)
    with Served("--store", str(tmp_path / "store"), "--workers", "1") as running:
        assert running.request("POST", "/studies", payload, {"Content-Type": content_type})[0] == 200
        (content,) = (tmp_path / "store").glob("blobs/**/*.dcm")
        with content.open("r+b") as file:
            file.seek(len(damaged.part10) - 1)
            last = file.read(1)
            file.seek(len(damaged.part10) - 1)
            file.write(bytes([last[0] ^ 1]))
        for target in (f"/{damaged.ref.path}", f"/{damaged.ref.of_study.path}"):
            connection = http.client.HTTPConnection("127.0.0.1", running.port, timeout=20)
            accept = "application/dicom, multipart/related; type=application/dicom"
            connection.request(
                "GET", running.mount + target, headers={"Accept": accept.split(", ")[target.count("/") < 4]}
            )
            response = connection.getresponse()
            assert response.status == 200
            with pytest.raises((http.client.IncompleteRead, ConnectionError)):
                response.read()
            connection.close()
        assert running.request("GET", "/studies")[0] == 200
