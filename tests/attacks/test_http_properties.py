"""Ranges, validators, cross-origin requests and compression under attack (A29, A39, A40, A41)."""

from __future__ import annotations

import gzip
import http.client
import time
from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dicomweb_core import Access, OriginServer
from dicomweb_core.errors import Forbidden, Unauthorized
from dicomweb_core.testing.samples import sample
from dicomweb_memory import MemoryInstanceStore
from tests.clients import ANY_DICOM, JSON, Client, multipart
from tests.made import made, path
from tests.served import Served

INSTANCE = path(1, 1, 1)
SINGLE = "application/dicom"
FRAMES = [bytes(range(4)), bytes(range(4, 8))]


# -- A29 --


@pytest.fixture(scope="module")
def large() -> Client:
    client = Client(OriginServer(instances=MemoryInstanceStore()))
    client.store(sample(1, 1, 1, rows=2048, columns=1024).part10)
    return client


LARGE = "/" + sample(1, 1, 1).ref.path


@pytest.mark.parametrize(
    "wanted",
    [
        pytest.param(",".join(f"5-{n}" for n in range(6, 1300)), id="CVE-2011-3192"),
        pytest.param(",".join(f"{n}-{n}" for n in range(10_000)), id="10,000 single bytes"),
        pytest.param("0-," * 8, id="the whole, eight times"),
        pytest.param(",".join(["-9999999"] * 8), id="the end, eight times"),
        pytest.param("0-1000000,1-1000001", id="two that overlap"),
        pytest.param("0-0," * 100_000, id="a header without end"),
        pytest.param("5-2", id="backwards"),
    ],
)
def test_ranges_never_multiply_an_answer_A29(large: Client, wanted: str) -> None:
    begin = time.perf_counter()
    answer = large.get(LARGE, SINGLE, Range="bytes=" + wanted)
    assert answer.status == 200
    assert len(answer.content) == answer.length
    assert answer.header("Content-Range") is None
    assert time.perf_counter() - begin < 2


@given(wanted=st.lists(st.tuples(st.integers(0, 700), st.integers(0, 700)), min_size=1, max_size=10))
def test_no_ranges_make_an_answer_longer_than_the_whole_and_its_heads_A29(wanted: list[tuple[int, int]]) -> None:
    client = Client(OriginServer(instances=MemoryInstanceStore()))
    client.store(made(1, 1, 1, frames=FRAMES))
    whole = client.get(INSTANCE, SINGLE).content
    answer = client.get(INSTANCE, SINGLE, Range="bytes=" + ",".join(f"{a}-{b}" for a, b in wanted))
    assert answer.status in (200, 206, 416)
    assert len(answer.content) <= len(whole) + 8 * 250
    assert answer.length == len(answer.content)


# -- A39 --


def guarded(store: MemoryInstanceStore) -> Client:
    """Everybody sees the patient of their name; nobody without one anything; `clerk` may not read at all."""

    def authorize(access: Access) -> Mapping[str, str] | None:
        user = access.request.header("Authorization")
        if user is None:
            raise Unauthorized
        if user == "clerk":
            raise Forbidden("Reading is not for clerks.")
        return None if user == "admin" else {"PatientID": user}

    return Client(OriginServer(instances=store, authorize=authorize))


TARGETS = [
    (path(1), ANY_DICOM),
    (INSTANCE, SINGLE),
    (path(1) + "/metadata", JSON),
    (INSTANCE + "/frames/1", "application/octet-stream"),
    (INSTANCE + "/bulkdata/7FE00010", "application/octet-stream"),
]


@pytest.mark.parametrize(("target", "accept"), TARGETS, ids=[target for target, _ in TARGETS])
def test_304_tells_the_unauthorised_nothing_A39(target: str, accept: str) -> None:
    store = MemoryInstanceStore()
    client = guarded(store)
    Client(OriginServer(instances=store)).store(made(1, 1, 1, frames=FRAMES, PatientID="ann"))
    tag = client.get(target, accept, Authorization="ann").header("ETag")
    assert tag
    assert client.get(target, accept, Authorization="ann", If_None_Match=tag).status == 304
    for held in (tag, "*", f'"x", {tag}'):
        for conditions in ({"If_None_Match": held}, {"If_Match": held}, {"If_None_Match": held, "Range": "bytes=0-0"}):
            nobody = client.get(target, accept, **conditions)
            assert (nobody.status, nobody.header("ETag")) == (401, None)
            assert client.get(target, accept, Authorization="clerk", **conditions).status == 403
            other = client.get(target, accept, Authorization="bob", **conditions)
            never = client.get(target.replace(path(1), path(9)), accept, Authorization="bob", **conditions)
            assert other.status == never.status == 404
            assert other.header("ETag") is None


@pytest.mark.parametrize(("target", "accept"), TARGETS, ids=[target for target, _ in TARGETS])
def test_tags_differ_between_scopes_and_stores_A39(target: str, accept: str) -> None:
    """Also where the bytes are the same: what one tenant has says nothing to another."""
    tags = set()
    for _ in range(2):
        store = MemoryInstanceStore()
        client = guarded(store)
        Client(OriginServer(instances=store)).store(made(1, 1, 1, frames=FRAMES, PatientID="ann"))
        for user in ("ann", "admin"):
            tag = client.get(target, accept, Authorization=user).header("ETag")
            assert tag is not None
            tags.add(tag)
    assert len(tags) == 4


def test_a_list_of_ten_thousand_tags_is_no_work_A39(memory_client: Client) -> None:
    memory_client.store(made(1, 1, 1, frames=FRAMES))
    tag = memory_client.get(INSTANCE, SINGLE).header("ETag")
    many = ", ".join(f'W/"{number:032}"' for number in range(10_000))
    begin = time.perf_counter()
    for header in ("If_None_Match", "If_Match"):
        answer = memory_client.get(INSTANCE, SINGLE, **{header: f"{many}, {tag}"})
        assert answer.status == (200 if header == "If_None_Match" else 412)
    assert memory_client.get("/studies", If_None_Match=many).status == 200
    assert time.perf_counter() - begin < 0.5


CONDITIONS = st.sampled_from(["If_None_Match", "If_Match", "If_Range", "Range", "Accept_Encoding", "Accept_Charset"])


@given(
    headers=st.dictionaries(CONDITIONS, st.text(max_size=40) | st.sampled_from(['"', 'W/"', "*", "bytes=-", "gzip;q="]))
)
def test_no_header_breaks_an_answer_A34_A39(headers: dict[str, str]) -> None:
    client = Client(OriginServer(instances=MemoryInstanceStore()))
    client.store(made(1, 1, 1, frames=FRAMES))
    for target, accept in [*TARGETS, ("/studies", JSON)]:
        assert client.get(target, accept, **headers).status in (200, 206, 304, 406, 412, 416)


# -- A40 --

VIEWER = "https://good.example"


@pytest.mark.parametrize(
    "origin",
    [
        "https://evil.example", "https://evil-good.example", "https://good.example.evil.example",
        "https://good.example:8443", "http://good.example", "https://good.example/", "https://GOOD.example",
        "https://sub.good.example", "null", "", " https://good.example", "https://good.example,https://evil.example",
        "https://good.example\r\nX-Evil: 1", "*", ".", "https://good_example",
    ],
)  # fmt: skip
@pytest.mark.parametrize("configured", [(VIEWER,), (VIEWER, "null"), ()], ids=str)
def test_an_origin_is_compared_whole_A40(origin: str, configured: tuple[str, ...]) -> None:
    client = Client(OriginServer(instances=MemoryInstanceStore(), cors_origins=configured))
    for headers in ({}, {"Access_Control_Request_Method": "GET"}):
        answer = client.request("OPTIONS", "/studies", Origin=origin, **headers)
        assert not [name for name, _ in answer.headers if name.lower().startswith("access-control-")]


@pytest.mark.parametrize("configured", [VIEWER, "*"])
def test_no_answer_allows_credentials_A40(configured: str) -> None:
    client = Client(OriginServer(instances=MemoryInstanceStore(), cors_origins=[configured]))
    for method, headers in (
        ("GET", {}),
        ("GET", {"Cookie": "session=1", "Authorization": "Basic eDp5"}),
        ("OPTIONS", {"Access_Control_Request_Method": "DELETE", "Access_Control_Request_Headers": "authorization"}),
        ("GET", {"Accept": "image/png"}),
    ):
        answer = client.request(method, "/studies", Origin=VIEWER, **headers)
        assert answer.header("Access-Control-Allow-Origin") == configured
        assert answer.header("Access-Control-Allow-Credentials") is None


def test_what_differs_by_origin_says_so_to_caches_always_A40() -> None:
    """Also to a request without Origin: else a cache gives its answer to the viewer, who cannot read it."""
    client = Client(OriginServer(instances=MemoryInstanceStore(), cors_origins=[VIEWER]))
    for headers in ({}, {"Origin": VIEWER}, {"Origin": "https://evil.example"}, {"Accept": "image/png"}):
        assert "Origin" in (client.get("/studies", **headers).header("Vary") or "").split(", ")
    preflight = client.request("OPTIONS", "/studies", Origin=VIEWER, Access_Control_Request_Method="GET")
    assert preflight.header("Vary") == "Origin"
    assert int(preflight.header("Access-Control-Max-Age") or 0) <= 86_400
    anybody = Client(OriginServer(instances=MemoryInstanceStore(), cors_origins=["*"]))
    assert anybody.get("/studies", Origin=VIEWER).header("Vary") == "Accept, Accept-Charset, Accept-Encoding"


def test_a_page_can_ask_for_and_read_what_it_needs_A40() -> None:
    client = Client(OriginServer(instances=MemoryInstanceStore(), cors_origins=[VIEWER]))
    preflight = client.request("OPTIONS", "/studies", Origin=VIEWER, Access_Control_Request_Method="GET")
    allowed = set((preflight.header("Access-Control-Allow-Headers") or "").split(", "))
    assert {"Accept", "Authorization", "If-None-Match", "If-Match", "If-Range", "Range"} <= allowed
    client.store(made(1, 1, 1, frames=FRAMES))
    for headers in ({}, {"Range": "bytes=0-1"}, {"If_None_Match": "*"}, {"Range": "bytes=99999-"}):
        answer = client.get(INSTANCE, SINGLE, Origin=VIEWER, **headers)
        exposed = set((answer.header("Access-Control-Expose-Headers") or "").split(", "))
        assert {"ETag", "Content-Range", "Content-Encoding", "Accept-Ranges", "Content-Location"} <= exposed


# -- A41 --


def test_compression_can_be_switched_off_and_never_touches_pixels_A41() -> None:
    store = MemoryInstanceStore()
    client = Client(OriginServer(instances=store))
    client.store(made(1, 1, 1, frames=[bytes(4)] * 2000, ImageComments="word " * 1000))
    for target, accept in TARGETS:
        answer = client.get(target, accept, Accept_Encoding="gzip, zstd")
        assert (answer.header("Content-Encoding") is not None) == (accept == JSON)
    off = Client(OriginServer(instances=store, content_codings=()))
    for target, accept in [*TARGETS, ("/instances?includefield=all", JSON)]:
        assert off.get(target, accept, Accept_Encoding="gzip, zstd, *").header("Content-Encoding") is None


# -- over a socket --


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder: Path = tmp_path_factory.mktemp("http")
    with Served("--store", str(folder / "store"), "--workers", "2", "--cors-origin", VIEWER) as running:
        content_type, payload = multipart(made(1, 1, 1, frames=FRAMES, ImageComments="word " * 1000))
        assert running.request("POST", "/studies", payload, {"Content-Type": content_type})[0] == 200
        yield running


def exchange(served: Served, method: str, target: str, **headers: str) -> tuple[int, Any, bytes]:
    with closing(http.client.HTTPConnection("127.0.0.1", served.port, timeout=20)) as connection:
        names = {name.replace("_", "-"): value for name, value in headers.items()}
        connection.request(method, served.mount + target, headers=names)
        response = connection.getresponse()
        return response.status, response.headers, response.read()


def test_conditions_ranges_and_codings_over_a_socket_A29_A39_A41(served: Served) -> None:
    status, headers, whole = exchange(served, "GET", INSTANCE, Accept=SINGLE)
    assert (status, headers["Accept-Ranges"]) == (200, "bytes")
    etag = headers["ETag"]
    for _ in range(6):  # any of the workers
        status, headers, content = exchange(served, "GET", INSTANCE, Accept=SINGLE, If_None_Match=etag)
        assert (status, content, headers["ETag"]) == (304, b"", etag)
        assert headers["Content-Type"] is None
    status, headers, content = exchange(served, "GET", INSTANCE, Accept=SINGLE, Range="bytes=128-131", If_Range=etag)
    assert (status, content, headers["Content-Length"]) == (206, b"DICM", "4")
    assert headers["Content-Range"] == f"bytes 128-131/{len(whole)}"
    status, headers, content = exchange(served, "GET", INSTANCE, Accept=SINGLE, Range="bytes=0-0,-1")
    assert (status, headers["Content-Length"]) == (206, str(len(content)))
    status, headers, _ = exchange(served, "GET", INSTANCE, Accept=SINGLE, Range=f"bytes={len(whole)}-")
    assert (status, headers["Content-Range"]) == (416, f"bytes */{len(whole)}")
    status, headers, content = exchange(served, "HEAD", INSTANCE, Accept=SINGLE)
    assert (status, headers["Content-Length"], headers["ETag"], content) == (200, str(len(whole)), etag, b"")
    plain = exchange(served, "GET", INSTANCE + "/metadata")[2]
    status, headers, content = exchange(
        served, "GET", INSTANCE + "/metadata", Accept_Encoding="gzip", Origin=VIEWER, Accept=JSON
    )
    assert (status, headers["Content-Encoding"]) == (200, "gzip")
    assert headers["Content-Length"] == str(len(content))
    assert gzip.decompress(content) == plain
    assert headers.get_all("Vary") == ["Accept, Accept-Charset, Accept-Encoding, Origin"]
    assert headers["Cache-Control"] == "private, no-cache"
