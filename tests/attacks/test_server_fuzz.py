"""Random requests into the whole server (A04, A08-A14, A32-A38, A60, A61): no failure, strict JSON, and the next
request is answered."""

from __future__ import annotations

import io
import json

from hypothesis import example, given, settings
from hypothesis import strategies as st

from dicomweb_core import OriginServer, Request
from dicomweb_core.testing.samples import sample
from dicomweb_memory import MemoryInstanceStore
from tests.attacks.test_part10 import INTERESTING, SEEDS
from tests.attacks.test_server_poison import BIG_ENDIAN_IMAGE
from tests.clients import Client, multipart
from tests.crawl import crawl

KNOWN = sample(1, 1, 1)
STUDY, SERIES, INSTANCE = KNOWN.ref


def filled_client() -> Client:
    client = Client(OriginServer(instances=MemoryInstanceStore()))
    client.store(KNOWN.part10)
    return client


CLIENT = filled_client()


def still_answers(client: Client) -> None:
    assert client.get(f"/{KNOWN.ref.path}", "application/dicom").content == KNOWN.part10


def ask(client: Client, method: str, path: str, query: str = "", body: bytes = b"", **headers: str) -> None:
    given = tuple((name.replace("_", "-"), value) for name, value in headers.items())
    response = client.server.handle(Request(method, path, query, given, io.BytesIO(body), client.base_url))
    content = response.body.read()
    assert response.status < 500, content[:300]
    for name, value in response.headers:
        assert value.isprintable(), (name, value)
    if (response.header("Content-Type") or "").startswith(("application/json", "application/dicom+json")):
        json.loads(content)


pieces = st.sampled_from(
    [
        b"\r\n", b"--x", b"--x--", b"\r\n--x\r\n", b"\r\n--x--", b"Content-Type: application/dicom\r\n\r\n",
        b"\r\n\r\n",
        b"Content-Type: text/html\r\n\r\n", b"Content-Length: 5\r\n", b"A: b\r\n", b" folded\r\n", b"\0", b"--", b"x",
        b"Content-Transfer-Encoding: base64\r\n", b"Content-Type: application/dicom; transfer-syntax=\xff\r\n\r\n",
        KNOWN.part10, KNOWN.part10[:300], KNOWN.part10[128:],
    ]
)  # fmt: skip


@settings(max_examples=max(settings().max_examples // 3, 20))
@given(st.lists(pieces | st.binary(max_size=20), max_size=12).map(b"".join))
def test_multipart_payloads_A32(payload: bytes) -> None:
    client = filled_client()
    ask(client, "POST", "/studies", body=payload, Content_Type="multipart/related; type=application/dicom; boundary=x")
    still_answers(client)
    assert crawl(client) == 1


@settings(max_examples=max(settings().max_examples // 2, 20))
@given(
    st.sampled_from([*SEEDS, BIG_ENDIAN_IMAGE]),
    st.lists(st.tuples(st.floats(0, 1, exclude_max=True), INTERESTING | st.binary(min_size=1, max_size=4)), max_size=6),
)
def test_mutated_instances_A08(seed: bytes, changes: list[tuple[float, bytes]]) -> None:
    content = bytearray(seed)
    for where, what in changes:
        at = 132 + int(where * (len(content) - 132))
        content[at : at + len(what)] = what
    client = filled_client()
    content_type, body = multipart(bytes(content), sample(1, 1, 2).part10)
    ask(client, "POST", "/studies", body=body, Content_Type=content_type, Accept="*/*")
    assert crawl(client) in (2, 3)


words = st.sampled_from(
    [
        "studies", "series", "instances", "metadata", "frames", "bulkdata", "pixeldata", STUDY, SERIES, INSTANCE,
        "1", "0",
        "7FE00010", "..", ".", "", "%2e", "1,2", "rendered", "00400275/0/00400009", "\0", "\ud800", "é", ";", "a b",
    ]
)  # fmt: skip
names = st.sampled_from(
    [
        "PatientName", "PatientID", "StudyDate", "StudyTime", "limit", "offset", "includefield", "fuzzymatching",
        "accept",
        "00100020", "00090010", "00091001", "00400275.00400009", "StudyInstanceUID", "TimezoneOffsetFromUTC", "x",
        "charset",
        "emptyvaluematching", "multiplevaluematching", "ModalitiesInStudy", "", "PatientName.x", "Rows", "7FE00010",
    ]
)  # fmt: skip
values = st.sampled_from(
    [
        "*", "?", "all", "true", "1", "-1", "0", "20200101", "20200101-", "-", '""', "%00", "%FF", "%", "+", "1.2",
        "\\",
        ",", "1e9", "P1", "Sample*", "%2B0100", "00100020", "PatientComments", "CT,MR", "\ud800", "é", "=", "^", "a=b",
        "application/dicom", "*/*", "application/dicom%2Bjson", "multipart/related;type=x",
    ]
)  # fmt: skip
queries = st.lists(
    st.tuples(names | st.text(max_size=5), st.lists(values | st.text(max_size=5), max_size=3).map("".join)), max_size=5
).map(lambda pairs: "&".join(f"{name}={value}" for name, value in pairs))
accepts = st.lists(
    st.sampled_from(
        [
            "application/dicom", "application/dicom+json", "application/dicom+xml", "multipart/related", ";type=",
            ";q=", '"',
            ",", ";", "*/*", "transfer-syntax=*", ";transfer-syntax=", "1.2.840.10008.1.2.1", "image/jpeg", "0.5", "\0",
            "application/octet-stream", "\r\n", "*", "é", "\ud800", " ",
        ]
    ),
    max_size=8,
).map("".join)  # fmt: skip


@given(st.lists(words, max_size=8).map(lambda w: "/" + "/".join(w)), st.sampled_from(["GET", "POST", "OPTIONS", "PUT"]))
@example("/", "GET")
@example("", "GET")
def test_paths_A38(path: str, method: str) -> None:
    ask(CLIENT, method, path, Accept="*/*")
    still_answers(CLIENT)


@given(
    st.sampled_from(["/studies", "/series", "/instances", f"/studies/{STUDY}/series", f"/studies/{STUDY}"]),
    queries,
    accepts,
)
def test_queries_and_accepts_A34_A60_A61(path: str, query: str, accept: str) -> None:
    ask(CLIENT, "GET", path, query)
    ask(CLIENT, "GET", path, query, Accept=accept)
    still_answers(CLIENT)


@given(
    st.sampled_from(
        ["", "/metadata", "/frames/1", "/bulkdata", "/bulkdata/7FE00010", "/pixeldata", "/bulkdata/00080018"]
    ),
    accepts,
    queries,
)
def test_accepts_of_retrieve_A34(suffix: str, accept: str, query: str) -> None:
    ask(CLIENT, "GET", f"/{KNOWN.ref.path}{suffix}", query, Accept=accept)
    still_answers(CLIENT)


@given(accepts | st.text(max_size=30), st.binary(max_size=50))
def test_content_types_A33(content_type: str, body: bytes) -> None:
    client = filled_client()
    ask(client, "POST", "/studies", body=body, Content_Type=content_type, Content_Encoding="")
    still_answers(client)
