"""Rules common to all services (PS3.18 chapter 8)."""

from __future__ import annotations

import io
import logging
from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dicomweb_core import Access, OriginServer, Request
from dicomweb_core.errors import Forbidden, Unauthorized
from dicomweb_core.values.messages import Body
from dicomweb_memory import MemoryInstanceStore
from tests.clients import ANY_DICOM, BASE, JSON, OCTETS, Answer, Client, multipart
from tests.made import made, path
from tests.standard.test_retrieve import BIG_ENDIAN, CT, DICOM, XML, stored, url_of


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
        pytest.param("/metadata", f"{XML}; q=0.9, application/dicom+json; q=0.1", 200, id="COM-12"),
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


# -- headers of every kind of answer -----------------------------------------------------------------------------------

STUDY, INSTANCE = path(1), path(1, 1, 1)
STORE_TYPE, STORE_BODY = multipart(made(1, 1, 2))
STORE = {"Content_Type": STORE_TYPE}
WADL = "application/vnd.sun.wadl+xml"
PREFLIGHT = {"Origin": "https://viewer.example", "Access_Control_Request_Method": "GET"}

ANSWERS = [
    # method, target, headers, status, Content-Type up to its parameters, Content-Location
    ("GET", "/studies", {}, 200, JSON, None),
    ("GET", "/studies", {"Accept": XML}, 200, "multipart/related", None),
    ("GET", "/studies?PatientID=nobody", {}, 200, JSON, None),
    ("GET", "/instances", {}, 200, JSON, None),
    ("GET", STUDY, {"Accept": DICOM}, 200, "multipart/related", None),
    ("GET", INSTANCE, {"Accept": DICOM}, 200, "multipart/related", None),
    ("GET", INSTANCE, {"Accept": "application/dicom"}, 200, "application/dicom", INSTANCE),
    ("GET", INSTANCE, {"Accept": OCTETS}, 200, "multipart/related", None),
    ("GET", STUDY + "/metadata", {}, 200, JSON, STUDY + "/metadata"),
    ("GET", path(1, 1) + "/metadata", {}, 200, JSON, path(1, 1) + "/metadata"),
    ("GET", INSTANCE + "/metadata", {}, 200, JSON, INSTANCE + "/metadata"),
    ("GET", INSTANCE + "/metadata", {"Accept": XML}, 200, "multipart/related", None),
    ("GET", INSTANCE + "/frames/1", {}, 200, "multipart/related", None),
    ("GET", INSTANCE + "/frames/2", {"Accept": "application/octet-stream"}, 200, "application/octet-stream",
     INSTANCE + "/frames/2"),
    ("GET", INSTANCE + "/bulkdata/7FE00010", {"Accept": "application/octet-stream"}, 200, "application/octet-stream",
     INSTANCE + "/bulkdata/7FE00010"),
    ("GET", INSTANCE + "/bulkdata", {}, 200, "multipart/related", None),
    ("GET", STUDY + "/bulkdata", {}, 200, "multipart/related", None),
    ("GET", STUDY + "/pixeldata", {}, 200, "multipart/related", None),
    ("OPTIONS", "/", {"Accept": WADL}, 200, WADL, None),
    ("OPTIONS", "/", {"Accept": "application/json"}, 200, "application/json", None),
    ("OPTIONS", "/", PREFLIGHT, 204, None, None),
    ("POST", "/studies", STORE, 200, JSON, STUDY),
    ("POST", STUDY, STORE, 200, JSON, STUDY),
    ("POST", "/studies", STORE | {"Accept": "application/dicom+xml"}, 200, "application/dicom+xml", STUDY),
    ("POST", "/studies", STORE | {"Accept": XML}, 200, "multipart/related", STUDY),
    ("POST", path(2), STORE, 409, JSON, None),
    ("POST", "/studies", {"Content_Type": "text/plain"}, 415, "application/json", None),
    ("POST", "/studies", {"Content_Type": "application/dicom"}, 400, JSON, None),
    ("GET", "/studies?limit=x", {}, 400, "application/json", None),
    ("GET", "/studies/x", {}, 400, "application/json", None),
    ("GET", path(9), {}, 404, "application/json", None),
    ("GET", "/nothing", {}, 404, "application/json", None),
    ("DELETE", "/series", {}, 405, "application/json", None),
    ("GET", STUDY, {"Accept": "image/png"}, 406, "application/json", None),
    ("GET", "/studies/" + "1" * 70_000, {}, 414, "application/json", None),
    ("DELETE", STUDY, {}, 204, None, None),
]  # fmt: skip


def parameters(content_type: str, name: str) -> int:
    return content_type.lower().replace(" ", "").count(f";{name}=")


@pytest.mark.parametrize(
    ("method", "target", "headers", "status", "content_type", "location"),
    ANSWERS,
    ids=[f"COM-26 COM-33 COM-34 COM-37 {row[3]} {row[0]} {row[1][:60]} {row[2].get('Accept')}" for row in ANSWERS],
)
def test_headers_of_an_answer(
    memory_client: Client,
    method: str,
    target: str,
    headers: dict[str, str],
    status: int,
    content_type: str | None,
    location: str | None,
) -> None:
    memory_client.store(made(1, 1, 1, frames=[b"abcd", b"efgh"]))
    if "Content_Type" not in headers:
        body = b""
    else:
        body = STORE_BODY if headers["Content_Type"] == STORE_TYPE else b"no DICOM"
    answer = memory_client.request(method, target, body, **headers)
    assert answer.status == status
    names = [name.lower() for name, _ in answer.headers]
    assert names.count("content-type") == (content_type is not None)
    assert bool(answer.content) == (content_type is not None)
    assert ((answer.header("Content-Type") or "").split(";")[0] or None) == content_type
    stated = [answer.header("Content-Type") or ""]
    if content_type == "multipart/related":
        stated += [part["content-type"] for part, _ in answer.parts]
    for each in stated:
        assert parameters(each, "transfer-syntax") <= 1
        assert parameters(each, "charset") <= 1
    assert (answer.header("Content-Location") or None) == (BASE + location if location else None)
    # The length stands in the body; the transfer is the adapter's.
    assert not {"content-length", "transfer-encoding", "content-encoding"} & set(names)
    assert answer.length in (None, len(answer.content))


def test_an_answer_of_unknown_length_says_none_COM_34(memory_client: Client) -> None:
    url = stored(memory_client, BIG_ENDIAN)
    answer = memory_client.get(url, DICOM)
    assert answer.length is None
    assert answer.header("Content-Length") is None


@pytest.mark.parametrize("coding", ["gzip", "br, gzip;q=0.5", "*", "identity;q=0"])
@pytest.mark.parametrize("target", ["", "/frames/1", "/bulkdata/7FE00010"])
def test_pixel_data_and_files_get_no_content_coding_COM_35(memory_client: Client, target: str, coding: str) -> None:
    url = stored(memory_client, CT)
    accept = {"": "application/dicom"}.get(target, "application/octet-stream")
    answer = memory_client.get(url + target, accept, Accept_Encoding=coding)
    assert answer.header("Content-Encoding") is None
    assert answer.content == memory_client.get(url + target, accept).content


@pytest.mark.parametrize("charset", ["klingon", "%FF", "", "*", "utf-8,utf-8", "ISO-8859-99", "'%22"])
@pytest.mark.parametrize("target", ["/studies", "/studies/{}/metadata", "/studies/{}", "/studies/{}/instances"])
def test_an_unsupported_charset_is_ignored_COM_29(memory_client: Client, target: str, charset: str) -> None:
    target = target.format(stored(memory_client, CT).split("/")[2])

    def contents(answer: Answer) -> object:
        assert answer.status == 200
        return answer.json if answer.header("Content-Type") == JSON else [content for _, content in answer.parts]

    without = contents(memory_client.get(target))
    assert contents(memory_client.get(f"{target}?charset={charset}")) == without
    assert contents(memory_client.get(target, Accept_Charset="klingon, *;q=0")) == without


TEXT = st.text(st.characters(codec="utf-8"), max_size=30)
HEADERS = st.sampled_from(["Accept", "Content-Type", "Content-Encoding", "Accept-Charset", "Range", "Origin", "X-é"])
PATHS = st.lists(
    st.sampled_from(["studies", "series", "instances", "metadata", "frames", "bulkdata", "pixeldata", "1.2", "1", ""])
    | TEXT,
    max_size=8,
).map(lambda segments: "/" + "/".join(segments))


@given(
    method=st.sampled_from(["GET", "HEAD", "POST", "DELETE", "OPTIONS", "PUT", "BREW"]) | TEXT,
    where=PATHS | st.sampled_from([path(1), path(1, 1), path(1, 1, 1), path(1, 1, 1) + "/frames/1"]),
    query=TEXT | st.sampled_from(["limit=1", "accept=*/*", "PatientID=%", "includefield=all&charset=x"]),
    headers=st.lists(st.tuples(HEADERS, TEXT | st.sampled_from([ANY_DICOM, XML, JSON, "*/*", STORE_TYPE]))),
    body=st.binary(max_size=60) | st.just(STORE_BODY),
)
def test_every_request_gets_a_response_with_a_valid_status_COM_01(
    method: str, where: str, query: str, headers: list[tuple[str, str]], body: bytes
) -> None:
    client = Client(OriginServer(instances=MemoryInstanceStore()))
    client.store(made(1, 1, 1, frames=[b"abcd"]))
    response = client.server.handle(Request(method, where, query, tuple(headers), io.BytesIO(body), BASE))
    content = response.body.read()
    assert 200 <= response.status <= 599
    assert response.status != 500
    assert bool(content) or response.status == 204
