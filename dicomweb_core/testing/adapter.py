"""Proof that an adapter carries requests and responses of an origin over a real socket unharmed.

Serve `probe_origin.ProbeOrigin()` through your adapter, in one process, and inherit `AdapterProof` in your tests:

    @pytest.fixture(scope="class")
    def server(request):
        with my_server(ProbeOrigin()) as request.cls.address:
            yield

    @pytest.mark.usefixtures("server")
    class TestMyAdapter(AdapterProof):
        root = "/dicom-web"

Plain asserts and http.client: any runner that calls the methods named `test_*` will do.
"""

from __future__ import annotations

import base64
import hashlib
import http.client
import json
import socket
import time
from collections.abc import Callable
from contextlib import closing
from typing import Any, BinaryIO, ClassVar, Final

from dicomweb_core.testing.probe_origin import HOSTILE_SEPARATORS

_PIECE: Final = 65_536
_MEBIBYTE: Final = 1 << 20
_PATIENCE: Final = 15.0
"""Seconds for what must happen at all but is not measured."""

_KEY: Final = b"dGhlIHNhbXBsZSBub25jZQ=="
_HANDSHAKE: Final = (
    *("Upgrade: websocket", "Connection: Upgrade"),
    *(f"Sec-WebSocket-Key: {_KEY.decode()}", "Sec-WebSocket-Version: 13"),
)


class AdapterProof:
    """The promises of an adapter. `address` is where `ProbeOrigin` is served, `root` the path of the service.

    Some servers read a payload to its end before they send an answer, or even before the application sees the request:
    say so by `answers_early` and `sees_clients_leave`. Where no WebSocket can be opened, `opens_websockets` is False.
    """

    address: ClassVar[tuple[str, int]]
    root: ClassVar[str] = ""
    answers_early: ClassVar[bool] = True
    sees_clients_leave: ClassVar[bool] = True
    opens_websockets: ClassVar[bool] = True

    # -- what reaches the origin --

    def test_the_request_reaches_the_origin(self) -> None:
        """Method, decoded path, raw query, headers and base URL."""
        host, port = self.address
        with closing(self.connection()) as connection:
            connection.request("POST", f"{self.root}/%65cho?a=%2C&b=c+d&b=", b"abc", {"Accept": "x/y, z/*;q=0.5"})
            echo = self.answer_of(connection)
        assert echo["method"] == "POST"
        assert echo["path"] == "/echo"
        assert echo["query"] == "a=%2C&b=c+d&b="
        assert ["Accept", "x/y, z/*;q=0.5"] in echo["headers"]
        assert echo["base_url"] == f"http://{host}:{port}{self.root}"
        assert echo["payload"] == "abc"

    def test_a_path_is_utf_8(self) -> None:
        """Percent-encoded UTF-8 arrives as text; what is not UTF-8 is refused, never guessed (A38)."""
        with closing(self.connection()) as connection:
            connection.request("GET", f"{self.root}/stud%C3%AFes/%E2%82%AC")
            assert self.answer_of(connection, 404) == {"path": "/studïes/€"}
        # Some servers replace the bytes before the adapter sees them; then nothing has that name.
        assert self.raw_status(f"GET {self.root}/studies/%ff%fe HTTP/1.1") in (400, 404)

    def test_a_method_override_header_is_no_method(self) -> None:
        """A37."""
        with closing(self.connection()) as connection:
            connection.request("GET", f"{self.root}/echo", headers={"X-HTTP-Method-Override": "DELETE"})
            assert self.answer_of(connection)["method"] == "GET"

    def test_a_payload_of_known_length_arrives(self) -> None:
        """Some MiB in one request, to the last byte, and no byte after it."""
        payload = bytes(range(256)) * 4096 * 5
        with closing(self.connection()) as connection:
            connection.request("POST", f"{self.root}/upload", payload)
            self.assert_arrived(self.answer_of(connection), payload)

    def test_a_chunked_payload_arrives(self) -> None:
        """Chunks of 1 MiB and of one byte, no Content-Length."""
        chunks = [bytes([index]) * _MEBIBYTE for index in range(5)] + [b"x"]
        with closing(self.connection()) as connection:
            connection.request("POST", f"{self.root}/upload", iter(chunks), encode_chunked=True)
            self.assert_arrived(self.answer_of(connection), b"".join(chunks))

    def test_an_absent_payload_is_empty(self) -> None:
        """No Content-Length and no Transfer-Encoding."""
        with closing(self.connection()) as connection:
            connection.request("GET", f"{self.root}/upload")
            self.assert_arrived(self.answer_of(connection), b"")

    def test_a_payload_is_read_while_it_arrives(self) -> None:
        """The origin answers after the first bytes of a GiB of which only one MiB is ever sent."""
        if not self.answers_early:
            return
        with socket.create_connection(self.address, _PATIENCE) as client:
            client.sendall(self.head("POST", "/first", f"Content-Length: {1 << 30}") + bytes(_MEBIBYTE))
            assert client.recv(12) == b"HTTP/1.1 200"

    def test_a_client_that_leaves_while_sending_is_noticed(self) -> None:
        """The origin sees ClientDisconnected instead of an end; the next request is served (A30)."""
        before = self.observed()["disconnected"]
        for framing in ("Content-Length: 1000000", "Transfer-Encoding: chunked"):
            with socket.create_connection(self.address, _PATIENCE) as client:
                body = b"5\r\nabcde\r\n" if "chunked" in framing else b"abcde"
                client.sendall(self.head("POST", "/upload", framing) + body)
        if self.sees_clients_leave:
            self.wait_until(lambda: self.observed()["disconnected"] >= before + 2)
        self.assert_serves()

    def test_a_length_that_is_none_is_refused(self) -> None:
        """A30."""
        for length in ("-1", "abc", "1e3", "0x10", "1_0"):
            status = self.raw_status(f"POST {self.root}/upload HTTP/1.1", f"Content-Length: {length}")
            assert status in (400, 411), length
        self.assert_serves()

    def test_broken_chunks_are_refused(self) -> None:
        """A30: no 5xx, no truncated payload taken for a whole one, and no bytes of it for a request."""
        for chunks in (b"zz\r\nabc\r\n", b"3\r\nabcGET / HTTP/1.1\r\n\r\n", b"5\r\nab\r\n0\r\n\r\n"):
            with socket.create_connection(self.address, _PATIENCE) as client:
                client.sendall(self.head("POST", "/upload", "Transfer-Encoding: chunked") + chunks)
                client.shutdown(socket.SHUT_WR)
                answer = self.received(client)
            assert not answer or answer.startswith(b"HTTP/1.1 400"), answer[:200]
            assert answer.count(b"HTTP/1.1") <= 1, answer
        self.assert_serves()

    # -- what reaches the client --

    def test_a_payload_of_known_length_is_sent_as_such(self) -> None:
        """Content-Length, and exactly these bytes."""
        status, headers, payload = self.get("/down?chunks=5&size=1048576&known=1")
        assert status == 200
        assert headers["Content-Length"] == str(5 * _MEBIBYTE)
        assert headers["Transfer-Encoding"] is None
        assert payload == b"".join(bytes([index]) * _MEBIBYTE for index in range(5))

    def test_a_payload_of_unknown_length_is_sent(self) -> None:
        """Chunked, complete."""
        status, headers, payload = self.get("/down?chunks=40&size=65536&known=0")
        assert status == 200
        assert headers["Content-Length"] is None
        assert payload == b"".join(bytes([index]) * 65536 for index in range(40))

    def test_empty_payloads(self) -> None:
        """Of known and of unknown length."""
        for known in "01":
            status, _, payload = self.get(f"/down?chunks=0&size=1&known={known}")
            assert (status, payload) == (200, b"")

    def test_the_first_byte_is_sent_before_the_last_is_made(self) -> None:
        """A payload without end arrives; when the client leaves, the body is closed (A77)."""
        for known in "01":
            before = self.observed()
            with socket.create_connection(self.address, _PATIENCE) as client:
                client.sendall(self.head("GET", f"/endless?known={known}"))
                received = 0
                while received < 3 * _MEBIBYTE:
                    received += len(client.recv(_PIECE))
            self.wait_until_closed_after(before)

    def test_head_is_get_without_payload(self) -> None:
        """The same status and headers, the body closed unread; endless ones too."""
        for path in ("/down?chunks=3&size=10&known=1", "/down?chunks=3&size=10&known=0", "/endless?known=1"):
            before = self.observed()
            with closing(self.connection()) as connection:
                connection.request("HEAD", self.root + path)
                response = connection.getresponse()
                assert response.status == 200
                assert response.read() == b""
                if "endless" in path:
                    assert response.headers["Content-Length"] == str(1 << 50)
                elif "known=1" in path:
                    assert response.headers["Content-Length"] == "30"
                else:
                    assert response.headers["Content-Length"] is None
            self.wait_until_closed_after(before)

    def test_statuses_without_payload(self) -> None:
        """204 and 304 carry neither payload nor Content-Length, whatever the origin gave."""
        for code in (204, 304):
            before = self.observed()
            status, headers, payload = self.get(f"/status?code={code}")
            assert (status, payload) == (code, b"")
            assert headers["Content-Length"] is None
            self.wait_until_closed_after(before)

    def test_statuses_of_errors_and_unusual_ones(self) -> None:
        """The status arrives as given."""
        for code in (400, 404, 409, 410, 416, 429, 500, 503, 599):
            assert self.get(f"/status?code={code}")[0] == code

    def test_a_payload_that_breaks_off_is_never_complete(self) -> None:
        """An exception out of the body, or fewer bytes than promised, cuts the connection; the body is closed."""
        for path in ("/broken?known=0", "/broken?known=1", "/short"):
            before = self.observed()
            with closing(self.connection()) as connection:
                connection.request("GET", self.root + path)
                response = connection.getresponse()
                try:
                    payload = response.read()
                except (http.client.IncompleteRead, ConnectionError):
                    payload = None
                assert payload is None, f"{path}: {payload!r} looked complete"
            self.wait_until_closed_after(before)
        self.assert_serves()

    def test_a_payload_longer_than_promised_is_not_sent(self) -> None:
        """Its surplus never reaches the client, where it would be read as the next response."""
        with socket.create_connection(self.address, _PATIENCE) as client:
            client.sendall(self.head("GET", "/long"))
            client.shutdown(socket.SHUT_WR)
            answer = self.received(client)
        assert answer.endswith(b"\r\n\r\n12345")
        self.assert_serves()

    def test_header_values_cannot_be_broken_out_of(self) -> None:
        """A35: every header arrives as one line; nothing of its value becomes a header."""
        with socket.create_connection(self.address, _PATIENCE) as client:
            client.sendall(self.head("GET", "/headers", "Connection: close"))
            answer = self.received(client)
        head, _, payload = answer.partition(b"\r\n\r\n")
        assert payload == b"{}"
        lines = head.split(b"\r\n")
        assert sum(line.lower().startswith(b"warning: 299 a") for line in lines) == len(HOSTILE_SEPARATORS)
        assert not any(line.lower().startswith(b"x-injected") for line in lines)
        assert not any(byte < 0x20 or 0x7F <= byte < 0xA0 for line in lines for byte in line)

    # -- connections --

    def test_a_refusal_reaches_a_client_that_is_still_sending(self) -> None:
        """An early answer is read by a client that first sends all of 8 MiB, known length and chunked."""
        for chunked in (False, True):
            with closing(self.connection()) as connection:
                chunks = iter([bytes(_MEBIBYTE)] * 8)
                headers = {} if chunked else {"Content-Length": str(8 * _MEBIBYTE)}
                connection.request("POST", f"{self.root}/refuse", chunks, headers, encode_chunked=chunked)
                assert self.answer_of(connection, 413) == {"refused": True}
        self.assert_serves()

    def test_unread_bytes_are_not_the_next_request(self) -> None:
        """A30: a payload nobody read that looks like a request is not answered."""
        smuggled = f"GET {self.root}/status?code=299 HTTP/1.1\r\nHost: a\r\n\r\n".encode()
        for framing, body in (
            (f"Content-Length: {len(smuggled)}", smuggled),
            ("Transfer-Encoding: chunked", b"%x\r\n%s\r\n0\r\n\r\n" % (len(smuggled), smuggled)),
        ):
            with socket.create_connection(self.address, _PATIENCE) as client:
                client.sendall(self.head("POST", "/refuse", framing) + body)
                client.shutdown(socket.SHUT_WR)
                answer = self.received(client)
            assert answer.startswith(b"HTTP/1.1 413")
            assert b" 299 " not in answer

    def test_a_connection_that_is_kept_serves_on(self) -> None:
        """Requests after errors on one connection get their own answers; a client reconnects if it was closed."""
        with closing(self.connection()) as connection:
            for number in range(4):
                connection.request("POST", f"{self.root}/refuse", b"x" * 100_000)
                assert self.answer_of(connection, 413) == {"refused": True}
                connection.request("POST", f"{self.root}/upload", iter([b"y" * number]), encode_chunked=True)
                self.assert_arrived(self.answer_of(connection), b"y" * number)
                connection.request("GET", f"{self.root}/nowhere{number}")
                assert self.answer_of(connection, 404) == {"path": f"/nowhere{number}"}

    # -- notification connections --

    def test_a_notification_connection_is_a_websocket_or_refused(self) -> None:
        """Each event is one text frame, in order (PS3.18 8.10.5); the feed is closed with the connection. Where there
        are no WebSockets, 501 and the feed is closed."""
        before = self.observed()
        with socket.create_connection(self.address, _PATIENCE) as client:
            client.sendall(self.head("GET", "/events?count=300", *_HANDSHAKE))
            stream = client.makefile("rb")
            status = int(stream.readline().split()[1])
            if not self.opens_websockets:
                assert status == 501
            else:
                assert status == 101
                headers = http.client.parse_headers(stream)
                accept = hashlib.sha1(_KEY + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest()
                assert headers["Sec-WebSocket-Accept"] == base64.b64encode(accept).decode()
                for number in range(1, 301):
                    assert _next_text(stream) == f"event {number}"
                assert self.observed()["closed"] == before["closed"]
            stream.close()
        self.wait_until_closed_after(before)

    def test_handshakes_that_are_none_are_refused_and_their_feeds_closed(self) -> None:
        """RFC 6455 4.2.1, 4.4."""
        for name, status in (("Sec-WebSocket-Key", 400), ("Sec-WebSocket-Version", 426)):
            before = self.observed()
            headers = [header for header in _HANDSHAKE if not header.startswith(name)]
            found = self.raw_status(f"GET {self.root}/events?count=1 HTTP/1.1", *headers)
            assert found == (status if self.opens_websockets else 501)
            self.wait_until_closed_after(before)
        self.assert_serves()

    def test_every_body_is_closed(self) -> None:
        """Whatever happened before, as many bodies were closed as opened."""
        self.get("/down?chunks=2&size=2&known=0")

        def balanced() -> bool:
            observed = self.observed()
            return observed["opened"] == observed["closed"]

        self.wait_until(balanced)

    # -- the client --

    def connection(self) -> http.client.HTTPConnection:
        """A client of the server. The caller closes it."""
        return http.client.HTTPConnection(*self.address, timeout=_PATIENCE)

    def get(self, path: str) -> tuple[int, http.client.HTTPMessage, bytes]:
        """Status, headers and payload of a GET."""
        with closing(self.connection()) as connection:
            connection.request("GET", self.root + path)
            response = connection.getresponse()
            return response.status, response.headers, response.read()

    def head(self, method: str, path: str, *headers: str) -> bytes:
        """The head of a request, to be sent over a socket."""
        host, port = self.address
        lines = (f"{method} {self.root}{path} HTTP/1.1", f"Host: {host}:{port}", *headers, "", "")
        return "\r\n".join(lines).encode("latin-1")

    def raw_status(self, request_line: str, *headers: str) -> int:
        """The status of a request without payload, sent as it stands."""
        host, port = self.address
        with socket.create_connection(self.address, _PATIENCE) as client:
            client.sendall("\r\n".join((request_line, f"Host: {host}:{port}", *headers, "", "")).encode("latin-1"))
            client.shutdown(socket.SHUT_WR)
            answer = self.received(client)
        return int(answer.split(b" ", 2)[1])

    @staticmethod
    def received(client: socket.socket) -> bytes:
        """All that comes until the server closes or resets the connection."""
        pieces = []
        try:
            while data := client.recv(_PIECE):
                pieces.append(data)
        except ConnectionError:
            pass
        return b"".join(pieces)

    def answer_of(self, connection: http.client.HTTPConnection, status: int = 200) -> Any:
        """The JSON that the probe answers with."""
        response = connection.getresponse()
        payload = response.read()
        assert response.status == status, payload
        return json.loads(payload)

    def assert_arrived(self, answer: dict[str, Any], payload: bytes) -> None:
        """What `/upload` says is true of the payload."""
        digest = hashlib.sha256(payload).hexdigest()
        assert answer == {"length": len(payload), "sha256": digest, "after": 0}

    def observed(self) -> dict[str, int]:
        """What the probe has seen so far."""
        counts: dict[str, int] = json.loads(self.get("/observed")[2])
        return counts

    def assert_serves(self) -> None:
        """The server is alive."""
        assert self.get("/status?code=200")[::2] == (200, b"{}")

    def wait_until_closed_after(self, before: dict[str, int]) -> None:
        """Until exactly one more body was closed than the probe had observed before."""
        self.wait_until(lambda: self.observed()["closed"] == before["closed"] + 1)

    @staticmethod
    def wait_until(condition: Callable[[], bool]) -> None:
        """Until it is so, some seconds at most."""
        deadline = time.monotonic() + _PATIENCE
        while not condition():
            assert time.monotonic() < deadline, "it did not happen"
            time.sleep(0.02)


def _next_text(stream: BinaryIO) -> str:
    """The text of the next frame that is one: whole, not masked and shorter than 126 bytes (RFC 6455 5.2)."""
    while True:
        opcode, length = stream.read(2)
        payload = stream.read(length)
        if opcode == 0x81:
            return payload.decode()
