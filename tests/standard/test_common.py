"""Rules common to all services (PS3.18 chapter 8)."""

from __future__ import annotations

import logging
from collections.abc import Mapping

import pytest

from dicomweb_core import Access, OriginServer, Request
from dicomweb_core.errors import Forbidden, Unauthorized
from dicomweb_core.values.messages import Body
from dicomweb_memory import MemoryInstanceStore
from tests.clients import ANY_DICOM, Client
from tests.standard.test_retrieve import BIG_ENDIAN, CT, stored, url_of

DICOM = 'multipart/related; type="application/dicom"'


@pytest.mark.parametrize(
    ("target", "accept", "status"),
    [
        pytest.param("", "image/png", 406, id="COM-16"),
        pytest.param("", f"nonsense, image/unheard-of, {ANY_DICOM}", 200, id="COM-14"),
        pytest.param("", "multipart/related; type=application/dicom; transfer-syntax=*", 200, id="COM-17"),
        pytest.param("", 'Multipart/Related; TYPE="Application/DICOM"; Transfer-Syntax=*', 200, id="COM-18"),
        pytest.param("", f"{DICOM}; transfer-syntax=1.2.840.10008.1.2.1", 200, id="COM-19"),
        pytest.param("", ANY_DICOM, 200, id="COM-20"),
        pytest.param("", f"{DICOM}; transfer-syntax=1.2.840.10008.1.2.5, {DICOM}; q=0.5", 200, id="COM-21"),
        pytest.param("?accept=application/dicom", "*/*", 200, id="COM-08"),
        pytest.param("?accept=application/*", "image/png", 406, id="COM-09"),
        pytest.param("/metadata", 'multipart/related; type="application/dicom+xml", application/dicom+json; q=0.1',
                     200, id="COM-12"),
        pytest.param("/metadata", "application/json", 200, id="alias of DICOM JSON"),
        pytest.param("/metadata", 'application/dicom+json, multipart/related; type=application/octet-stream; '
                     'transfer-syntax=*', 200, id="OHIF"),
        pytest.param("", f"{DICOM}, image/png", 400, id="COM-11"),
    ],
)  # fmt: skip
def test_accept(memory_client: Client, target: str, accept: str, status: int) -> None:
    url = stored(memory_client, CT)
    assert memory_client.get(url + target, accept).status == status


def test_the_accept_parameter_is_preferred_to_the_header_COM_10(memory_client: Client) -> None:
    url = stored(memory_client, CT)
    parameter = "?accept=multipart/related;type=%22application/dicom%2Bxml%22"
    answer = memory_client.get(f"{url}/metadata{parameter}", "application/dicom+json, */*; q=0.1")
    assert (answer.header("Content-Type") or "").startswith('multipart/related; type="application/dicom+xml"')


def test_missing_accept_COM_06_COM_07(memory_client: Client) -> None:
    stored(memory_client, CT)
    assert memory_client.get("/studies").status == 200
    strict = Client(OriginServer(instances=memory_client.server.site.instances, require_accept=True))
    assert strict.get("/studies").status == 406
    assert strict.get("/studies", "*/*").status == 200


@pytest.mark.parametrize(
    ("query", "status"),
    [
        pytest.param("unknown=1&_=12345", 200, id="COM-02 unknown parameters"),
        pytest.param("limit=x", 400, id="COM-03 invalid value"),
        pytest.param("Limit=x", 200, id="COM-04 names are case-sensitive"),
        pytest.param("PatientName=Compressed%53amples%5ECT1", 200, id="COM-05 percent-encoding"),
        pytest.param("PatientName=%FF", 400, id="COM-05 not UTF-8"),
        pytest.param("", 200, id="empty query"),
    ],
)
def test_query_parameters(memory_client: Client, query: str, status: int) -> None:
    stored(memory_client, CT)
    answer = memory_client.get("/studies?" + query)
    assert answer.status == status
    if status == 200:
        assert len(answer.json) == 1


@pytest.mark.parametrize("method", ["PUT", "PATCH", "TRACE", "POST", "DELETE", "x" * 300])
def test_method_that_does_not_apply_COM_41_A37(memory_client: Client, method: str) -> None:
    answer = memory_client.request(method, "/series", X_HTTP_Method_Override="GET")
    assert answer.status == 405
    assert answer.header("Allow") == "GET, HEAD, OPTIONS"


@pytest.mark.parametrize(
    "path",
    ["/nothing", "/studies/1.2/nothing", "/studies/1.2/series/1.3/frames/1", "/studies/1.2/../../etc/passwd", "/..",
     "/studies/1.2/series/1.3/instances/1.4/bulkdata/../../x", "/STUDIES", "/studies/1.2/metadata/x", "/%2e%2e"],
)  # fmt: skip
def test_paths_that_name_nothing_A38(memory_client: Client, path: str) -> None:
    answer = memory_client.get(path)
    assert answer.status == 404
    assert "root" not in answer.json["detail"]


@pytest.mark.parametrize("path", ["/studies/", "//studies", "/studies//"])
def test_empty_segments_do_not_count_A38(memory_client: Client, path: str) -> None:
    assert memory_client.get(path).status == 200


def test_very_long_url_A38(memory_client: Client) -> None:
    assert memory_client.get("/studies/" + "1" * 70_000).status == 414


def test_errors_explain_themselves_COM_43_A94(memory_client: Client) -> None:
    answer = memory_client.get("/studies?StudyDate=yesterday")
    assert answer.status == 400
    assert answer.header("Content-Type") == "application/json"
    assert "StudyDate" in answer.json["detail"]
    assert "Traceback" not in answer.content.decode()


def test_unexpected_failure_is_a_500_without_detail_A94(caplog: pytest.LogCaptureFixture) -> None:
    class Broken(MemoryInstanceStore):
        def candidates(self, query: object) -> object:  # type: ignore[override]
            raise ZeroDivisionError("patient DOE^JANE")

    client = Client(OriginServer(instances=Broken()))
    with caplog.at_level(logging.CRITICAL):
        answer = client.get("/studies")
    assert answer.status == 500
    assert "DOE" not in answer.content.decode()
    assert client.get("/nothing").status == 404


def test_refused_by_authorize_COM_40() -> None:
    def authorize(access: Access) -> Mapping[str, str] | None:
        if access.request.header("Authorization") is None:
            raise Unauthorized(challenge='Bearer realm="archive"')
        if access.request.method != "GET":
            raise Forbidden("Reading only.")
        return None

    client = Client(OriginServer(instances=MemoryInstanceStore(), authorize=authorize))
    answer = client.get("/studies")
    assert answer.status == 401
    assert answer.header("WWW-Authenticate") == 'Bearer realm="archive"'
    assert client.get("/studies", Authorization="Bearer x").status == 200
    content = client.store(CT, Authorization="Bearer x")
    assert content.status == 403


def test_authorize_narrows_everything_a_request_can_see_A64_A91() -> None:
    store = MemoryInstanceStore()
    everybody = Client(OriginServer(instances=store))
    ct, mr = stored(everybody, CT), stored(everybody, BIG_ENDIAN)
    patient = everybody.get("/studies?Modality=CT").json[0]["00100020"]["Value"][0]

    def authorize(access: Access) -> Mapping[str, str] | None:
        return {"PatientID": patient}

    narrowed = Client(OriginServer(instances=store, authorize=authorize))
    for target in ("/studies", "/series", "/instances"):
        assert len(narrowed.get(target).json) == 1
        assert len(everybody.get(target).json) == 2
    assert narrowed.get("/studies?limit=1").header("Warning") is None
    for suffix in ("", "/metadata", "/frames/1", "/bulkdata", "/bulkdata/7FE00010"):
        assert narrowed.get(ct + suffix, "*/*").status == 200
        assert narrowed.get(mr + suffix, "*/*").status == 404
    assert narrowed.request("DELETE", mr).status == 404
    assert everybody.get(mr, "*/*").status == 200
    everybody.request("DELETE", mr)
    answer = narrowed.store(BIG_ENDIAN)
    assert answer.status == 409
    assert answer.json["00081198"]["Value"][0]["00081197"]["Value"] == [0x0124]
    assert everybody.get(url_of(BIG_ENDIAN), "*/*").status == 410


def test_body_is_closed_by_whoever_received_it(memory_client: Client) -> None:
    url = stored(memory_client, CT)
    response = memory_client.server.handle(Request("GET", url, headers=(("Accept", ANY_DICOM),)))
    assert isinstance(response.body, Body)
    response.body.close()
    response.body.close()


@pytest.mark.parametrize("coding", ["gzip", "deflate", "br"])
def test_content_coding_of_requests_A31(memory_client: Client, coding: str) -> None:
    assert memory_client.store(CT, Content_Encoding=coding).status == 415
    assert memory_client.get("/studies").json == []
