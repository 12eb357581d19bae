"""Hostile requests through the WSGI application in front of a real server. Over sockets: the proof kit."""

from __future__ import annotations

import gzip
import io
import json
from collections.abc import Callable
from typing import Any

import pytest

from dicomweb_core import Access, OriginServer
from dicomweb_core.testing.samples import sample
from dicomweb_memory import MemoryInstanceStore
from dicomweb_wsgi import wsgi_application
from dicomweb_wsgi.chunks import ResponseCut
from tests.clients import multipart

SAMPLE = sample(1, 1, 1)
INSTANCE = f"/{SAMPLE.ref.path}"
EVIL = "evil.example"


class Answer:
    """Status, headers and payload of one request through the application."""

    def __init__(self, status: str, headers: list[tuple[str, str]], payload: bytes) -> None:
        self.status = int(status.split(" ")[0])
        self.headers = headers
        self.payload = payload

    @property
    def text(self) -> str:
        """All a client sees."""
        return "\n".join(f"{name}: {value}" for name, value in self.headers) + self.payload.decode("latin-1")


class Site:
    """A server with one instance behind the adapter."""

    def __init__(self, server: OriginServer | None = None, **options: Any) -> None:
        self.server = server or OriginServer(instances=MemoryInstanceStore())
        self.server.store([SAMPLE.part10])
        self.application = wsgi_application(self.server, **options)

    def request(
        self, method: str, path: str, query: str = "", payload: bytes = b"", *, ceiling: int = 500, **environ: str
    ) -> Answer:
        started: list[tuple[str, list[tuple[str, str]]]] = []

        def start_response(status: str, headers: list[tuple[str, str]], *_: object) -> Callable[[bytes], object]:
            started.append((status, headers))
            return lambda _data: None

        chunks = self.application(
            {
                "REQUEST_METHOD": method,
                "SCRIPT_NAME": "",
                "PATH_INFO": path,
                "QUERY_STRING": query,
                "SERVER_NAME": "127.0.0.1",
                "SERVER_PORT": "8042",
                "REMOTE_ADDR": "203.0.113.9",
                "HTTP_HOST": "pacs.example.org",
                "CONTENT_LENGTH": str(len(payload)),
                "wsgi.url_scheme": "http",
                "wsgi.input": io.BytesIO(payload),
            }
            | environ,
            start_response,
        )
        answer = Answer(*started[0], b"".join(chunks))
        chunks.close()  # type: ignore[attr-defined]  # PEP 3333: the server calls it
        assert answer.status < ceiling, answer.text
        assert "Traceback" not in answer.text
        return answer

    def still_serves(self) -> bool:
        answer = self.request("GET", INSTANCE, HTTP_ACCEPT="application/dicom")
        return answer.status == 200 and answer.payload == SAMPLE.part10


@pytest.fixture
def site() -> Site:
    return Site()


POISON = {
    "HTTP_X_FORWARDED_HOST": EVIL,
    "HTTP_X_FORWARDED_PROTO": "javascript",
    "HTTP_X_FORWARDED_PREFIX": f"//{EVIL}/..",
    "HTTP_X_FORWARDED_PORT": "1",
    "HTTP_X_FORWARDED_SERVER": EVIL,
    "HTTP_X_ORIGINAL_URL": f"http://{EVIL}/",
    "HTTP_X_REWRITE_URL": f"http://{EVIL}/",
    "HTTP_X_SCRIPT_NAME": f"/{EVIL}",
    "HTTP_FORWARDED": f"for=1.2.3.4;host={EVIL};proto=https, host={EVIL}",
    "HTTP_FRONT_END_HTTPS": "on",
}


@pytest.mark.parametrize("header", [*POISON, "all"])
def test_forwarding_headers_of_a_stranger_change_no_url_A36(site: Site, header: str) -> None:
    headers = POISON if header == "all" else {header: POISON[header]}
    for path in ("/studies", "/instances", INSTANCE + "/metadata"):
        plain = site.request("GET", path)
        poisoned = site.request("GET", path, **headers)
        assert b"http://pacs.example.org:8042/studies" in plain.payload
        assert poisoned.payload == plain.payload
        assert EVIL not in poisoned.text


def test_a_trusted_proxy_decides_the_url_A36() -> None:
    site = Site(trusted_proxies=["203.0.113.0/24"])
    said = {"HTTP_X_FORWARDED_HOST": f"{EVIL}, a.org", "HTTP_X_FORWARDED_PROTO": "https"}
    answer = site.request("GET", "/studies", **said)
    assert b'"https://a.org/studies/' in answer.payload
    assert EVIL not in answer.text


@pytest.mark.parametrize("host", ["a b", f"user@{EVIL}", f"a.org/{EVIL}", "a:b", '"', "a\tb"])
def test_a_host_that_is_none_is_refused_A36(site: Site, host: str) -> None:
    answer = site.request("GET", "/studies", HTTP_HOST=host)
    assert answer.status == 400
    assert f'"{host}"' not in answer.text


METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "OPTIONS", "TRACE", "CONNECT", "PROPFIND", "get", "", "GET /", "\xe9")
PATHS = ("/", "/studies", f"/studies/{SAMPLE.ref.study}/metadata", INSTANCE + "/frames/1", "/series", "/nowhere")


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("path", PATHS)
def test_every_method_on_every_resource_has_an_answer_A37(site: Site, method: str, path: str) -> None:
    answer = site.request(method, path)
    if method not in ("GET", "HEAD", "POST", "OPTIONS"):
        assert answer.status in (400, 404, 405, 501), (answer.status, answer.payload)
    if answer.status == 405:
        assert "Allow" in dict(answer.headers)
    assert (method == "HEAD") <= (answer.payload == b"")
    assert site.still_serves()


@pytest.mark.parametrize("header", ["HTTP_X_HTTP_METHOD_OVERRIDE", "HTTP_X_HTTP_METHOD", "HTTP_X_METHOD_OVERRIDE"])
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_no_header_makes_a_request_a_deletion_A37(site: Site, method: str, header: str) -> None:
    for query in ("", "_method=DELETE"):
        site.request(method, INSTANCE, query, **{header: "DELETE"})
    assert site.still_serves()


@pytest.mark.parametrize(
    "path",
    [
        "/studies/../studies/..", "/../../etc/passwd", "/studies/%2e%2e/x", "/studies/..%2f..", "/studies\\..\\x",
        "/studies/1.2\0", "/studies/1.2;x=y", "/studies/1.2/", "//studies//1.2", "/studies/\xd9\xa1.\xd9\xa2",
        "/STUDIES", "/studies/1.2/SERIES", "/" + "a/" * 2_000, "/studies/" + "1." * 32_000, "/studies/1.2\r\nX: y",
        "/studies/*", "/studies/{study}", "/studies/<script>", "/studies/1.2/series/1.3/instances/1.4/frames/%31",
        INSTANCE + "/bulkdata/../../../x", INSTANCE + "/bulkdata/" + "00400275/0/" * 1_000 + "00091010",
        "*", "http://evil.example/studies", "/.", "/studies/.", "/studies/1..2", "/studies/01.2",
    ],
)  # fmt: skip
@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
def test_strange_paths_name_nothing_A38(site: Site, method: str, path: str) -> None:
    answer = site.request(method, path)
    assert 400 <= answer.status < 500, answer.status
    for name, value in answer.headers:
        assert value.isprintable(), name
    if "<script>" in answer.text:
        assert dict(answer.headers)["Content-Type"] == "application/json"
        assert dict(answer.headers)["X-Content-Type-Options"] == "nosniff"
    assert site.still_serves()


@pytest.mark.parametrize("script", ["", "/", "/pacs", "/pacs/"])
def test_script_names_lead_to_urls_that_work_A38(site: Site, script: str) -> None:
    answer = site.request("GET", "/studies", SCRIPT_NAME=script)
    (study,) = json.loads(answer.payload)
    (url,) = study["00081190"]["Value"]
    prefix = script.rstrip("/")
    assert url == f"http://pacs.example.org:8042{prefix}/studies/{SAMPLE.ref.study}"


@pytest.mark.parametrize("coding", ["gzip", "deflate", "br", "gzip, gzip", "x-unknown"])
def test_encoded_payloads_are_refused_or_bounded_A31(site: Site, coding: str) -> None:
    content_type, payload = multipart(sample(2, 2, 2).part10)
    bomb = gzip.compress(payload + bytes(50 << 20))
    answer = site.request("POST", "/studies", payload=bomb, CONTENT_TYPE=content_type, HTTP_CONTENT_ENCODING=coding)
    assert 400 <= answer.status < 500
    assert site.still_serves()


@pytest.mark.parametrize("missing", [1, 20, 200, 2_000_000])
def test_a_payload_cut_off_is_refused_and_harms_nobody_A30(site: Site, missing: int) -> None:
    content_type, payload = multipart(sample(2, 2, 2).part10)
    sent = payload[: max(len(payload) - missing, 0)]
    environ = {"CONTENT_TYPE": content_type, "CONTENT_LENGTH": str(len(payload))}
    with pytest.raises(ResponseCut):  # the connection is of no use any more
        site.request("POST", "/studies", payload=sent, **environ)
    known = {"CONTENT_TYPE": content_type, "CONTENT_LENGTH": str(len(payload)), "gunicorn.socket": ""}
    assert site.request("POST", "/studies", payload=sent, **known).status == 400
    assert site.still_serves()
    assert len(site.server.search_instances()) == 1


SECRET = "SECRET^PATIENT"


def test_an_unexpected_failure_tells_nothing_A94() -> None:
    def fail(access: Access) -> None:
        raise RuntimeError(f"{SECRET} in /srv/secret/path: {access.request.query}")

    site = Site(OriginServer(instances=MemoryInstanceStore(), authorize=fail))
    answer = site.request("GET", "/studies", "PatientName=" + SECRET, ceiling=600)
    assert answer.status == 500
    for secret in (SECRET, "/srv", "RuntimeError"):
        assert secret not in answer.text
