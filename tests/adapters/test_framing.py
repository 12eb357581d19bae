"""How long a payload is, told both ways, over a socket (PS3.18 8.4.3, 10.5.1.3; RFC 9112 6)."""

from __future__ import annotations

import http.client
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.clients import multipart
from tests.made import EXPLICIT, made, path
from tests.served import Served

INSTANCE = path(1, 1, 1)
IMPLICIT = "1.2.840.10008.1.2"


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    store: Path = tmp_path_factory.mktemp("framing") / "store"
    with Served("--store", str(store), "--workers", "1") as running:
        content_type, body = multipart(
            made(1, 1, 1, syntax=IMPLICIT, frames=[b"abcd"], RedPaletteColorLookupTableData=b"")
        )
        status, _ = running.request("POST", "/studies", body, {"Content-Type": content_type})
        assert status == 200
        yield running


@pytest.mark.parametrize(("size", "frames"), [(1, 1), (1_000, 10_000), (1 << 20, 10_000)])
def test_uploads_of_known_length_and_in_chunks_STO_08(served: Served, size: int, frames: int) -> None:
    study = 10 + size
    for series, chunked in enumerate((False, True), 1):
        instance = made(study, series, 1, frames=[b"abcd"] * frames)
        content_type, body = multipart(instance)
        pieces = (body[position : position + size] for position in range(0, len(body), size))
        status, _ = served.request("POST", "/studies", pieces if chunked else body, {"Content-Type": content_type})
        assert status == 200
        retrieved = served.request("GET", path(study, series, 1), None, {"Accept": "application/dicom"})
        assert retrieved == (200, instance)


ANSWERS = [
    ("GET", "/studies", "*/*", 200),
    ("GET", INSTANCE, f"application/dicom; transfer-syntax={IMPLICIT}", 200),
    ("GET", INSTANCE, f"application/dicom; transfer-syntax={EXPLICIT}", 200),
    ("GET", path(1), "*/*", 200),
    ("GET", path(1) + "/metadata", "*/*", 200),
    ("GET", path(1) + "/metadata", 'multipart/related; type="application/dicom+xml"', 200),
    ("GET", path(1) + "/pixeldata", "*/*", 200),
    ("GET", INSTANCE + "/bulkdata/00281201", "application/octet-stream", 200),
    ("GET", path(9), "*/*", 404),
    ("OPTIONS", "/", "*/*", 200),
    ("POST", "/studies", "*/*", 415),
    ("PUT", "/studies", "*/*", 405),
]


@pytest.mark.parametrize(("method", "target", "accept", "status"), ANSWERS)
def test_an_answer_has_a_length_or_is_chunked_COM_34(
    served: Served, method: str, target: str, accept: str, status: int
) -> None:
    with closing(http.client.HTTPConnection("127.0.0.1", served.port, timeout=20)) as connection:
        connection.request(method, served.mount + target, headers={"Accept": accept})
        response = connection.getresponse()
        content = response.read()
    assert response.status == status
    lengths = response.headers.get_all("Content-Length", [])
    codings = response.headers.get_all("Transfer-Encoding", [])
    assert sorted((len(lengths), len(codings))) == [0, 1]
    if lengths:
        assert lengths == [str(len(content))]
    else:
        assert codings == ["chunked"]


def test_an_empty_payload_has_a_length_of_zero_COM_34(served: Served) -> None:
    with closing(http.client.HTTPConnection("127.0.0.1", served.port, timeout=20)) as connection:
        connection.request(
            "GET", f"{served.mount}{INSTANCE}/bulkdata/00281201", headers={"Accept": "application/octet-stream"}
        )
        response = connection.getresponse()
        assert response.status == 200
        assert response.headers["Content-Length"] == "0"
        assert response.read() == b""
