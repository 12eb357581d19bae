"""The application alone: one environ in, status, headers and chunks out (PEP 3333)."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterator
from typing import Any
from wsgiref.validate import validator

import pytest

from dicomweb_core.errors import ClientDisconnected, TooLarge
from dicomweb_core.testing.probe_origin import ProbeOrigin
from dicomweb_core.values.limits import Limits
from dicomweb_core.values.messages import Body, Request, Response
from dicomweb_wsgi import WSGIApplication, wsgi_application
from dicomweb_wsgi.chunks import ResponseCut


class Answering:
    """An origin of one function."""

    def __init__(self, answer: Callable[[Request], Response]) -> None:
        self.answer = answer
        self.requests: list[Request] = []

    def handle(self, request: Request) -> Response:
        self.requests.append(request)
        return self.answer(request)


def ok(_request: Request) -> Response:
    return Response(200, (("Content-Type", "text/plain"),), Body.of(b"ok"))


def environ_of(path: str = "/", payload: bytes = b"", **changes: Any) -> dict[str, Any]:
    return {
        "REQUEST_METHOD": "GET",
        "SCRIPT_NAME": "",
        "PATH_INFO": path,
        "QUERY_STRING": "",
        "SERVER_NAME": "127.0.0.1",
        "SERVER_PORT": "80",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "http",
        "wsgi.input": io.BytesIO(payload),
        "wsgi.errors": io.StringIO(),
        "wsgi.multithread": True,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
    } | changes


def answer_of(
    application: WSGIApplication, environ: dict[str, Any]
) -> tuple[str, list[tuple[str, str]], Iterator[bytes]]:
    started: list[tuple[str, list[tuple[str, str]]]] = []

    def start_response(status: str, headers: list[tuple[str, str]], *_exc_info: object) -> Callable[[bytes], object]:
        started.append((status, headers))
        return lambda _data: None

    chunks = application(environ, start_response)
    ((status, headers),) = started
    return status, headers, iter(chunks)


def test_it_is_an_application_by_the_letter_of_pep_3333() -> None:
    application = validator(wsgi_application(ProbeOrigin()))
    for method, path, query in (("GET", "/echo", "a=b"), ("HEAD", "/down", "chunks=2&size=3&known=1")):
        environ = environ_of(path, REQUEST_METHOD=method, QUERY_STRING=query)
        status, _, chunks = answer_of(application, environ)
        assert status == "200 OK"
        assert (b"".join(chunks) == b"") == (method == "HEAD")
        chunks.close()  # type: ignore[attr-defined]  # the validator's iterator has it


@pytest.mark.parametrize(
    ("mount", "path_info", "path"),
    [
        pytest.param("", "/studies", "/studies", id="no mount"),
        pytest.param("", "", "/", id="empty path"),
        pytest.param("", "*", "/*", id="asterisk"),
        pytest.param("", "//studies", "//studies", id="A38 two slashes"),
        pytest.param("", "/studies/", "/studies/", id="A38 slash at the end"),
        pytest.param("", "/a/../b", "/a/../b", id="A38 dots stay what they are"),
        pytest.param("", "/\xc3\xa9", "/é", id="UTF-8"),
        pytest.param("", "/a\0b", "/a\0b", id="A38 NUL"),
        pytest.param("/dicom-web", "/dicom-web", "/", id="the mount itself"),
        pytest.param("/dicom-web", "/dicom-web/", "/", id="the mount and a slash"),
        pytest.param("/dicom-web/", "/dicom-web/studies", "/studies", id="below the mount"),
        pytest.param("/dicom-web", "/dicom-website", None, id="A38 beside the mount"),
        pytest.param("/dicom-web", "/DICOM-WEB/studies", None, id="A38 case"),
        pytest.param("/dicom-web", "/studies", None, id="outside the mount"),
        pytest.param("/dicom-web", "", None, id="outside, empty"),
    ],
)
def test_paths(mount: str, path_info: str, path: str | None) -> None:
    origin = Answering(ok)
    status, _, _ = answer_of(wsgi_application(origin, mount=mount), environ_of(path_info))
    if path is None:
        assert (status, origin.requests) == ("404 Not Found", [])
    else:
        assert [request.path for request in origin.requests] == [path]


@pytest.mark.parametrize("path_info", ["/\xff", "/\xc3", "/\xed\xa0\x80", "/\xc0\xaf"])
def test_a_path_that_is_not_utf_8_is_refused_A38(path_info: str) -> None:
    origin = Answering(ok)
    status, headers, chunks = answer_of(wsgi_application(origin), environ_of(path_info))
    assert status == "400 Bad Request"
    assert ("X-Content-Type-Options", "nosniff") in headers
    assert json.loads(b"".join(chunks))["error"] == "BadRequest"
    assert origin.requests == []


def test_a_path_of_64_kib_reaches_the_origin_A38() -> None:
    origin = Answering(ok)
    answer_of(wsgi_application(origin), environ_of("/" + "x" * 65_536))
    assert len(origin.requests[0].path) == 65_537


def test_bytes_in_the_query_that_are_no_ascii_are_encoded() -> None:
    origin = Answering(ok)
    answer_of(wsgi_application(origin), environ_of(QUERY_STRING="PatientName=M\xc3\xbcller&x=%C3%BC"))
    assert origin.requests[0].query == "PatientName=M%C3%BCller&x=%C3%BC"


def test_headers_reach_the_origin_once() -> None:
    origin = Answering(ok)
    environ = environ_of(
        HTTP_ACCEPT_CHARSET="utf-8", CONTENT_TYPE="a/b", HTTP_CONTENT_TYPE="c/d", CONTENT_LENGTH="", HTTP_X="\xe9"
    )
    answer_of(wsgi_application(origin), environ)
    assert dict(origin.requests[0].headers) == {"Accept-Charset": "utf-8", "Content-Type": "a/b", "X": "\xe9"}


def test_the_public_url_is_taken_as_it_is() -> None:
    origin = Answering(ok)
    application = wsgi_application(origin, mount="/dicom-web", public_url="https://a.org/x/")
    answer_of(application, environ_of("/dicom-web/studies", HTTP_HOST="evil host", SCRIPT_NAME="/y"))
    assert origin.requests[0].base_url == "https://a.org/x"


def test_a_malformed_host_is_a_bad_request_A36() -> None:
    origin = Answering(ok)
    status, _, _ = answer_of(wsgi_application(origin), environ_of(HTTP_HOST="evil host"))
    assert (status, origin.requests) == ("400 Bad Request", [])


# -- payloads ---------------------------------------------------------------------------------------------------


class Socket(io.BytesIO):
    """A stream that goes on after the payload: to read beyond it would hang."""

    def __init__(self, payload: bytes, *, cut: bool = False) -> None:
        super().__init__(payload if cut else payload + b"GET / HTTP/1.1\r\n")

    def read(self, size: int | None = -1, /) -> bytes:
        assert size is not None
        assert size >= 0, "a WSGI input may block for ever when asked for everything"
        return super().read(size)


def reading(*sizes: int) -> tuple[Answering, list[bytes]]:
    pieces: list[bytes] = []

    def answer(request: Request) -> Response:
        pieces.extend(request.body.read(size) for size in sizes)
        return ok(request)

    return Answering(answer), pieces


def test_not_a_byte_beyond_content_length_is_read_A30() -> None:
    origin, pieces = reading(2, 0, 100, 100, -1)
    stream = Socket(b"abcde")
    answer_of(wsgi_application(origin), environ_of(CONTENT_LENGTH="5", **{"wsgi.input": stream}))
    assert pieces == [b"ab", b"", b"cde", b"", b""]
    assert stream.tell() == 5


def test_without_length_there_is_no_payload_A30() -> None:
    for absent in ({}, {"CONTENT_LENGTH": ""}, {"CONTENT_LENGTH": "0"}, {"CONTENT_LENGTH": "00000000000000000000000"}):
        origin, pieces = reading(100)
        stream = Socket(b"")
        answer_of(wsgi_application(origin), environ_of(**absent, **{"wsgi.input": stream}))
        assert pieces == [b""]
        assert stream.tell() == 0


def test_a_stream_that_ends_by_itself_is_read_to_its_end() -> None:
    origin, pieces = reading(3, -1, 1)
    answer_of(wsgi_application(origin), environ_of("/", b"abcdefgh", **{"wsgi.input_terminated": True}))
    assert pieces == [b"abc", b"defgh", b""]


def test_chunked_wins_over_content_length_A30() -> None:
    origin, pieces = reading(-1)
    environ = environ_of(
        "/", b"abcdefgh", CONTENT_LENGTH="3", HTTP_TRANSFER_ENCODING="chunked", **{"wsgi.input_terminated": True}
    )
    answer_of(wsgi_application(origin), environ)
    assert pieces == [b"abcdefgh"]


def test_chunked_that_the_server_does_not_decode_needs_a_length_A30() -> None:
    origin, pieces = reading(-1)
    environ = environ_of("/", b"3\r\nabc\r\n0\r\n\r\n", HTTP_TRANSFER_ENCODING="chunked")
    status, _, _ = answer_of(wsgi_application(origin), environ)
    assert (status, pieces) == ("411 Length Required", [])


@pytest.mark.parametrize(
    ("length", "status"),
    [
        ("-1", 400), ("+1", 400), ("1_0", 400), ("1.0", 400), ("0x1", 400), ("5, 5", 400), ("5, 6", 400), (" 5", 400),
        ("\xb2", 400), ("abc", 400), ("4294967296", 413), (str(2**63), 413), (str(2**64), 413), ("9" * 5000, 413),
        ("1001", 413), ("1000", 200),
    ],
)  # fmt: skip
def test_content_lengths_A30(length: str, status: int) -> None:
    application = wsgi_application(Answering(ok), limits=Limits(request_bytes=1000))
    answered, _, _ = answer_of(application, environ_of("/", bytes(1000), CONTENT_LENGTH=length))
    assert answered.startswith(str(status))


def test_a_payload_of_unknown_length_has_a_ceiling_A30() -> None:
    def answer(request: Request) -> Response:
        with pytest.raises(TooLarge):
            request.body.read(-1)
        return ok(request)

    origin = Answering(answer)
    application = wsgi_application(origin, limits=Limits(request_bytes=1000))
    answer_of(application, environ_of("/", bytes(1001), **{"wsgi.input_terminated": True}))
    assert len(origin.requests) == 1


def test_a_payload_that_ends_early_is_no_payload_A30() -> None:
    origin, pieces = reading(-1)
    stream = Socket(b"abcd", cut=True)
    status, _, chunks = answer_of(wsgi_application(origin), environ_of(CONTENT_LENGTH="5", **{"wsgi.input": stream}))
    assert pieces == []
    assert status == "400 Bad Request"
    assert json.loads(next(chunks))["error"] == "ClientDisconnected"


@pytest.mark.parametrize("failure", [ConnectionResetError(), OSError(), ValueError("bad chunk"), TimeoutError()])
def test_whatever_a_server_raises_the_client_has_left_A30(failure: Exception) -> None:
    class Failing(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            raise failure

    seen: list[Exception] = []

    def answer(request: Request) -> Response:
        try:
            request.body.read(10)
        except ClientDisconnected as error:
            seen.append(error)
            raise
        return ok(request)

    environ = environ_of(CONTENT_LENGTH="5", **{"wsgi.input": Failing()})
    status, _, chunks = answer_of(wsgi_application(Answering(answer)), environ)
    assert [error.__cause__ for error in seen] == [failure]
    assert status == "400 Bad Request"
    next(chunks)
    with pytest.raises(ResponseCut):  # where the next request would begin is unknown
        next(chunks)


# -- responses --------------------------------------------------------------------------------------------------


class Closing:
    """Counts how often a body is closed, and which chunks were asked of it."""

    def __init__(self, *chunks: bytes, length: int | None = None) -> None:
        self.closed = 0
        self.asked = 0
        self.body = Body(self._asked(chunks), length=length, close=self._close)

    def _asked(self, chunks: tuple[bytes, ...]) -> Iterator[bytes]:
        for chunk in chunks:
            self.asked += 1
            yield chunk

    def _close(self) -> None:
        self.closed += 1


def served(closing: Closing, status: int = 200, **changes: Any) -> tuple[list[tuple[str, str]], Iterator[bytes]]:
    application = wsgi_application(Answering(lambda _request: Response(status, (), closing.body)))
    _, headers, chunks = answer_of(application, environ_of(**changes))
    return headers, chunks


def test_chunks_pass_as_they_are_and_only_when_asked_for() -> None:
    closing = Closing(b"ab", b"", b"cd", b"e", length=5)
    headers, chunks = served(closing)
    assert headers == [("Content-Length", "5")]
    assert (next(chunks), closing.asked) == (b"ab", 1)
    assert list(chunks) == [b"cd", b"e"]
    assert list(chunks) == []


def test_buffers_become_bytes() -> None:
    body = Body([memoryview(b"ab"), bytearray(b"cd")])  # type: ignore[list-item]  # what an origin might do wrong
    _, _, chunks = answer_of(wsgi_application(Answering(lambda _request: Response(200, (), body))), environ_of())
    assert [type(chunk) for chunk in chunks] == [bytes, bytes]


@pytest.mark.parametrize(
    ("chunks", "length", "passed"),
    [
        pytest.param((b"abc",), 4, [b"abc"], id="short"),
        pytest.param((), 1, [], id="nothing"),
        pytest.param((b"abc", b"d"), 3, [b"abc"], id="long"),
        pytest.param((b"abcd",), 3, [], id="long at once"),
    ],
)
def test_a_length_that_is_not_kept_cuts(chunks: tuple[bytes, ...], length: int, passed: list[bytes]) -> None:
    closing = Closing(*chunks, length=length)
    _, iterator = served(closing)
    assert [next(iterator) for _ in passed] == passed
    with pytest.raises(ResponseCut):
        next(iterator)
    iterator.close()  # type: ignore[attr-defined]  # PEP 3333: the server calls it
    assert closing.closed == 1


def test_closing_early_closes_the_body() -> None:
    closing = Closing(b"a", b"b")
    _, chunks = served(closing)
    next(chunks)
    chunks.close()  # type: ignore[attr-defined]  # PEP 3333: the server calls it
    chunks.close()  # type: ignore[attr-defined]
    assert (closing.closed, closing.asked) == (1, 1)


@pytest.mark.parametrize(
    ("status", "method"), [(200, "HEAD"), (206, "HEAD"), (404, "HEAD"), (204, "GET"), (304, "GET")]
)
def test_without_payload_the_body_is_closed_unread(status: int, method: str) -> None:
    closing = Closing(b"abc", length=3)
    headers, chunks = served(closing, status, REQUEST_METHOD=method)
    assert list(chunks) == []
    assert (closing.closed, closing.asked) == (1, 0)
    assert headers == ([("Content-Length", "3")] if method == "HEAD" else [])


def test_a_server_that_refuses_the_headers_leaves_no_body_open() -> None:
    closing = Closing(b"abc")
    application = wsgi_application(Answering(lambda _request: Response(200, (), closing.body)))

    def refuse(*_arguments: object) -> Callable[[bytes], object]:
        raise RuntimeError

    with pytest.raises(RuntimeError):
        application(environ_of(), refuse)
    assert closing.closed == 1


@pytest.mark.parametrize("name", ["A\r\nB", "A:B", "", "A B", "Ä"])
def test_a_header_name_that_is_no_token_is_never_sent_A35(name: str) -> None:
    body = Closing(b"abc")
    application = wsgi_application(Answering(lambda _request: Response(200, ((name, "x"),), body.body)))
    with pytest.raises(ValueError, match="token"):
        answer_of(application, environ_of())
    assert body.closed == 1


def test_framing_is_left_to_the_server() -> None:
    headers = (("Connection", "close"), ("Transfer-Encoding", "chunked"), ("Content-Length", "7"), ("Date", "x"))
    application = wsgi_application(Answering(lambda _request: Response(200, headers, Body.of(b"ab"))))
    assert answer_of(application, environ_of())[1] == [("Date", "x"), ("Content-Length", "2")]


def test_statuses_without_a_name_have_a_status_line() -> None:
    application = wsgi_application(Answering(lambda _request: Response(599)))
    assert answer_of(application, environ_of())[0] == "599 Status"


# -- what the origin left unread --------------------------------------------------------------------------------


def drained(payload: bytes, length: int, **changes: Any) -> tuple[Socket, Iterator[bytes]]:
    stream = Socket(payload, cut=True)
    environ = environ_of(CONTENT_LENGTH=str(length), **{"wsgi.input": stream}, **changes)
    return stream, answer_of(wsgi_application(Answering(ok)), environ)[2]


def test_the_rest_is_read_after_the_answer() -> None:
    stream, chunks = drained(bytes(200_000), 200_000)
    assert next(chunks) == b"ok"
    assert stream.tell() == 0
    assert list(chunks) == []
    assert stream.tell() == 200_000


def test_a_rest_that_does_not_come_ends_the_connection() -> None:
    _, chunks = drained(b"", 5)
    assert next(chunks) == b"ok"
    with pytest.raises(ResponseCut):
        next(chunks)


def test_a_server_that_closes_by_itself_needs_no_exception() -> None:
    _, chunks = drained(b"", 5, **{"gunicorn.socket": None})
    assert list(chunks) == [b"ok"]


def test_a_rest_without_end_is_given_up() -> None:
    class Endless(io.BytesIO):
        given = 0

        def read(self, size: int | None = -1, /) -> bytes:
            assert size is not None
            self.given += size
            return bytes(size)

    stream = Endless()
    environ = environ_of(CONTENT_LENGTH=str(1 << 41), **{"wsgi.input": stream})
    chunks = answer_of(wsgi_application(Answering(ok)), environ)[2]
    assert next(chunks) == b"ok"
    with pytest.raises(ResponseCut):
        next(chunks)
    assert stream.given <= 65 << 20
