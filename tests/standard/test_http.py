"""HTTP properties of answers: validators, ranges, content codings, character sets (PS3.18 8.4 - 8.8; RFC 9110)."""

from __future__ import annotations

import gzip
from email.parser import BytesParser
from email.policy import HTTP
from functools import cache

import orjson
import pytest
import zstandard
from lxml import etree

from dicomweb_core import InstanceStore, OnDuplicate, OriginServer, Request
from dicomweb_core.codecs.dicom_xml import from_xml
from dicomweb_core.errors import CorruptBlob
from dicomweb_core.testing.faults import Fault, FaultyStore
from dicomweb_core.testing.samples import sample
from dicomweb_core.values.limits import Limits
from dicomweb_memory import MemoryInstanceStore
from tests.clients import ANY_DICOM, BASE, JSON, OCTETS, Answer, Client
from tests.made import made, path
from tests.standard.test_retrieve import BIG_ENDIAN, url_of

STUDY, SERIES, INSTANCE = path(1), path(1, 1), path(1, 1, 1)
SINGLE = "application/dicom"
PLAIN = "application/octet-stream"
XML = 'multipart/related; type="application/dicom+xml"'
FRAMES = [bytes([65 + n]) * 4 for n in range(3)]
JPEG_BASELINE = "1.2.840.10008.1.2.4.50"
STREAM = b"\xff\xd8" + bytes(range(200)) * 20 + b"\xff\xd9"

STORED = [
    # target, Accept, weak
    (STUDY, ANY_DICOM, True),
    (SERIES, ANY_DICOM, True),
    (INSTANCE, ANY_DICOM, True),
    (INSTANCE, SINGLE, False),
    (STUDY + "/metadata", JSON, False),
    (SERIES + "/metadata", JSON, False),
    (INSTANCE + "/metadata", JSON, False),
    (INSTANCE + "/metadata", XML, True),
    (INSTANCE + "/frames/1", PLAIN, False),
    (INSTANCE + "/frames/1,2", OCTETS, True),
    (INSTANCE + "/bulkdata/7FE00010", PLAIN, False),
    (INSTANCE + "/bulkdata", OCTETS, True),
    (STUDY + "/bulkdata", OCTETS, True),
    (STUDY + "/pixeldata", OCTETS, True),
]
SEARCHES = [
    ("/studies", JSON, False),
    ("/instances?limit=1", JSON, False),
    (STUDY + "/series", JSON, False),
    ("/studies", 'multipart/related; type="application/dicom+xml"', True),
]
EVERY_GET = [pytest.param(*row, id=f"{row[0]} {row[1]}") for row in STORED + SEARCHES]


@pytest.fixture
def filled(client: Client) -> Client:
    assert client.store(made(1, 1, 1, frames=FRAMES, PatientName="Doe^Jane")).status == 200
    return client


# -- validators --


@pytest.mark.parametrize(("target", "accept", "weak"), EVERY_GET)
def test_who_has_it_gets_304_and_nothing_else_COM_46(filled: Client, target: str, accept: str, weak: bool) -> None:
    first = filled.get(target, accept)
    assert first.status == 200
    etag = first.header("ETag")
    assert etag is not None
    assert etag.startswith('W/"' if weak else '"')
    assert filled.get(target, accept).header("ETag") == etag
    opaque = etag.removeprefix("W/")
    for held in (etag, f'"x", {etag}', f"W/{opaque}", "*"):
        again = filled.get(target, accept, If_None_Match=held)
        assert (again.status, again.content) == (304, b""), held
        assert (again.header("ETag") or "").removeprefix("W/") == opaque
        for name in ("Cache-Control", "Vary"):
            assert again.header(name) == first.header(name)
        assert again.header("Content-Type") is None
    for other in ('"x"', opaque.strip('"'), f'"{opaque[1:-2]}"', ""):
        assert filled.get(target, accept, If_None_Match=other).status == 200


@pytest.mark.parametrize(("target", "accept", "weak"), [pytest.param(*row, id=f"{row[0]} {row[1]}") for row in STORED])
def test_a_tag_changes_with_what_is_stored_COM_46(store: InstanceStore, target: str, accept: str, weak: bool) -> None:
    client = Client(OriginServer(instances=store, on_duplicate=OnDuplicate.REPLACE))
    client.store(made(1, 1, 1, frames=FRAMES, PatientName="Doe^Jane"))
    before = client.get(target, accept).header("ETag")
    assert before is not None
    client.store(made(2, 1, 1, frames=FRAMES))
    assert client.get(target, accept, If_None_Match=before).status == 304
    client.store(made(1, 1, 1, frames=FRAMES[::-1], PatientName="Doe^June"))
    replaced = client.get(target, accept, If_None_Match=before)
    assert replaced.status == 200
    client.request("DELETE", INSTANCE)
    client.store(made(1, 1, 1, frames=FRAMES, PatientName="Doe^Jane"))
    again = client.get(target, accept, If_None_Match=f"{before}, {replaced.header('ETag')}")
    assert again.status == 200


def test_adding_an_instance_changes_the_tag_of_its_study_and_not_of_its_neighbour_COM_46(filled: Client) -> None:
    tags = {target: filled.get(target + "/metadata").header("ETag") for target in (STUDY, SERIES, INSTANCE)}
    filled.store(made(1, 1, 2))
    for target, tag in tags.items():
        status = filled.get(target + "/metadata", If_None_Match=str(tag)).status
        assert status == (304 if target == INSTANCE else 200), target


def test_an_answer_that_leaves_something_out_is_not_one_to_keep_COM_46(filled: Client) -> None:
    filled.store(made(1, 1, 2, frames=[STREAM], syntax=JPEG_BASELINE))
    explicit = 'multipart/related; type="application/dicom"; transfer-syntax=1.2.840.10008.1.2.1'
    answer = filled.get(STUDY, explicit)
    assert (answer.status, len(answer.parts)) == (200, 1)
    assert answer.header("Warning") is not None
    assert answer.header("ETag") is None


def test_every_representation_has_its_own_tag_COM_46(filled: Client) -> None:
    tags = [
        filled.get(target, accept, **headers).header("ETag")
        for target, accept, headers in [
            (INSTANCE + "/metadata", JSON, {}),
            (INSTANCE + "/metadata", XML, {}),
            (INSTANCE + "/metadata?charset=ISO-8859-1", JSON, {}),
            (INSTANCE + "/metadata", JSON, {"Accept_Charset": "ISO-8859-1"}),
            (INSTANCE + "/metadata", JSON, {"Accept_Encoding": "identity;q=0, gzip"}),
            (INSTANCE + "/metadata", JSON, {"Accept_Encoding": "identity;q=0, zstd"}),
            (INSTANCE, SINGLE, {}),
            (INSTANCE, ANY_DICOM, {}),
            (SERIES + "/metadata", JSON, {}),
        ]
    ]
    tags.append(Client(filled.server, "http://other.example").get(INSTANCE + "/metadata", JSON).header("ETag"))
    assert None not in tags
    assert len(set(tags)) == len(tags)


def test_tags_survive_a_restart_and_are_the_same_in_every_process_COM_46(filled: Client) -> None:
    tag = filled.get(STUDY, ANY_DICOM).header("ETag")
    other = Client(OriginServer(instances=filled.server.site.instances))
    assert other.get(STUDY, ANY_DICOM).header("ETag") == tag


def test_304_does_no_work_COM_46() -> None:
    store = FaultyStore(MemoryInstanceStore())
    client = Client(OriginServer(instances=store))
    client.store(made(1, 1, 1, frames=FRAMES))
    tags = [(target, accept, client.get(target, accept).header("ETag")) for target, accept, _ in STORED]
    store.calls.clear()
    for target, accept, tag in tags:
        assert client.get(target, accept, If_None_Match=str(tag)).status == 304
    assert store.calls == {"version": len(STORED)}


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"If_Match": "{etag}"}, 200),
        ({"If_Match": '"x", {etag}'}, 200),
        ({"If_Match": "*"}, 200),
        ({"If_Match": '"x"'}, 412),
        ({"If_Match": "W/{etag}"}, 412),
        ({"If_Match": "nonsense"}, 412),
        ({"If_Match": "{etag}", "If_None_Match": "{etag}"}, 304),
        ({"If_Match": '"x"', "If_None_Match": "{etag}"}, 412),
        # There is no Last-Modified to compare with (RFC 9110 13.1.3, 13.1.4).
        ({"If_Unmodified_Since": "Sat, 01 Jan 2000 00:00:00 GMT"}, 200),
        ({"If_Modified_Since": "Fri, 01 Jan 2100 00:00:00 GMT"}, 200),
    ],
    ids=str,
)
@pytest.mark.parametrize("target", [INSTANCE, "/studies"])
def test_conditions_COM_46(filled: Client, target: str, headers: dict[str, str], status: int) -> None:
    accept = SINGLE if target == INSTANCE else JSON
    etag = filled.get(target, accept).header("ETag") or ""
    answer = filled.get(target, accept, **{name: value.format(etag=etag) for name, value in headers.items()})
    assert answer.status == status
    assert filled.request("HEAD", target, Accept=accept, If_None_Match=etag).status == 304


def test_a_condition_does_not_hide_an_error_COM_46(filled: Client) -> None:
    for held in ("*", '"x"'):
        assert filled.get(path(9), SINGLE, If_None_Match=held).status == 404
        assert filled.get(INSTANCE + "/frames/99", PLAIN, If_None_Match=held).status == 404
        assert filled.get(INSTANCE, "image/png", If_None_Match=held, If_Match=held).status == 406


def test_if_match_stops_a_change_COM_46(filled: Client) -> None:
    tag = filled.get(INSTANCE, SINGLE).header("ETag") or ""
    assert filled.request("DELETE", INSTANCE, If_Match=tag).status == 412
    assert filled.get(INSTANCE, SINGLE).status == 200
    assert filled.request("DELETE", INSTANCE, If_Match="*").status == 204


@pytest.mark.parametrize(
    ("method", "target", "expected"),
    [
        ("GET", "/studies", "private, max-age=60"),
        ("GET", INSTANCE, "private, max-age=60"),
        ("HEAD", INSTANCE, "private, max-age=60"),
        ("GET", "/nothing", "no-store"),
        ("GET", path(9), "no-store"),
        ("POST", "/studies", "no-store"),
        ("DELETE", INSTANCE, "no-store"),
    ],
)
def test_what_caches_may_do(method: str, target: str, expected: str) -> None:
    store = MemoryInstanceStore()
    client = Client(OriginServer(instances=store, cache_control="private, max-age=60"))
    client.store(made(1, 1, 1))
    answer = client.request(method, target, Accept="*/*")
    assert answer.header("Cache-Control") == expected
    assert answer.header("Vary") == "Accept, Accept-Charset, Accept-Encoding"
    default = Client(OriginServer(instances=store)).request("GET", "/studies")
    assert default.header("Cache-Control") == "private, no-cache"


@pytest.mark.parametrize(("target", "accept", "weak"), EVERY_GET)
def test_HEAD_has_the_headers_of_GET_and_reads_nothing_stored(target: str, accept: str, weak: bool) -> None:
    store = FaultyStore(MemoryInstanceStore())
    client = Client(OriginServer(instances=store))
    client.store(made(1, 1, 1, frames=FRAMES))

    def head(method: str) -> tuple[int, dict[str, str], int | None]:
        path_, _, query = target.partition("?")
        request = Request(method, path_, query, (("Accept", accept),), base_url=BASE)
        response = client.server.handle(request)
        response.body.close()
        headers = dict(response.headers)
        headers["Content-Type"] = headers["Content-Type"].partition("boundary")[0]
        return response.status, headers, response.body.length

    expected = head("GET")
    store.calls.clear()
    assert head("HEAD") == expected
    if not weak:
        assert store.calls["open"] == 0


# -- ranges --

RANGED = [
    pytest.param(INSTANCE, SINGLE, id="an instance as stored"),
    pytest.param(INSTANCE + "/frames/2", PLAIN, id="a native frame"),
    pytest.param(INSTANCE + "/bulkdata/7FE00010", PLAIN, id="a bulk value"),
    pytest.param(INSTANCE + "/metadata", JSON, id="metadata"),
    pytest.param("/studies", JSON, id="a search"),
    pytest.param(path(2, 1, 1) + "/frames/1", "image/jpeg", id="a codestream in fragments"),
    pytest.param(url_of(BIG_ENDIAN) + "/frames/1", PLAIN, id="a frame of big endian words"),
    pytest.param(url_of(BIG_ENDIAN) + "/bulkdata/7FE00010", PLAIN, id="a value of big endian words"),
    pytest.param(path(5, 1, 1) + "/frames/2", PLAIN, id="a frame that begins inside a byte"),
    pytest.param(path(4, 1, 1) + "/frames/1", PLAIN, id="a frame of a deflated instance"),
]


@pytest.fixture
def various(filled: Client) -> Client:
    filled.store(
        made(2, 1, 1, frames=[STREAM], syntax=JPEG_BASELINE),
        BIG_ENDIAN,
        made(4, 1, 1, frames=FRAMES, syntax="1.2.840.10008.1.2.1.99"),
        made(5, 1, 1, frames=[b"\xab\x5d", b"\x02\x00"], BitsAllocated=1, BitsStored=1, HighBit=0, Rows=3, Columns=3),
    )
    return filled


@pytest.mark.parametrize(("target", "accept"), RANGED)
def test_a_range_of_a_single_part_COM_38_A29(various: Client, target: str, accept: str) -> None:
    whole = various.get(target, accept)
    assert whole.status == 200
    assert whole.header("Accept-Ranges") == "bytes"
    content, size = whole.content, len(whole.content)
    for wanted, first, end in [
        ("0-0", 0, 1),
        ("1-2", 1, 3),
        ("2-", 2, size),
        ("-1", size - 1, size),
        ("-99999999", 0, size),
        (f"{size // 2}-99999999999", size // 2, size),
        (f"{size - 1}-{size - 1}", size - 1, size),
    ]:
        end = min(end, size)
        if first >= end:
            continue
        answer = various.get(target, accept, Range=f"bytes={wanted}")
        assert answer.status == 206, wanted
        assert answer.content == content[first:end]
        assert answer.length == end - first
        assert answer.header("Content-Range") == f"bytes {first}-{end - 1}/{size}"
        for name in ("ETag", "Content-Type", "Content-Location", "Cache-Control", "Vary"):
            assert answer.header(name) == whole.header(name)


@pytest.mark.parametrize(("target", "accept"), RANGED)
def test_a_range_of_nothing_COM_39_A29(various: Client, target: str, accept: str) -> None:
    size = len(various.get(target, accept).content)
    for wanted in (f"{size}-", "99999999-999999999", "-0"):
        answer = various.get(target, accept, Range=f"bytes={wanted}")
        assert answer.status == 416
        assert answer.header("Content-Range") == f"bytes */{size}"
        assert answer.header("ETag") is None


def test_several_ranges_are_a_message_COM_38(filled: Client) -> None:
    whole = filled.get(INSTANCE, SINGLE)
    answer = filled.get(INSTANCE, SINGLE, Range="bytes=128-131, 0-1, -2")
    assert answer.status == 206
    content_type = answer.header("Content-Type") or ""
    assert content_type.startswith("multipart/byteranges; boundary=")
    assert answer.header("Content-Range") is None
    assert answer.length == len(answer.content)
    head = b"Content-Type: " + content_type.encode() + b"\r\n\r\n"
    message = BytesParser(policy=HTTP).parsebytes(head + answer.content)
    size = len(whole.content)
    parts = [(part["Content-Range"], part["Content-Type"].replace('"', "")) for part in message.iter_parts()]  # type: ignore[attr-defined]
    of_part = whole.header("Content-Type")
    expected = [f"bytes 128-131/{size}", f"bytes 0-1/{size}", f"bytes {size - 2}-{size - 1}/{size}"]
    assert parts == [(one, of_part) for one in expected]
    assert b"\r\n\r\nDICM\r\n" in answer.content


@pytest.mark.parametrize(
    "headers",
    [
        {"Range": "bytes=5-2"},
        {"Range": "items=0-0"},
        {"Range": "bytes=0-5", "If_Range": '"x"'},
        {"Range": "bytes=0-5", "If_Range": "W/{etag}"},
        {"Range": "bytes=0-5", "If_Range": "Fri, 01 Jan 2100 00:00:00 GMT"},
    ],
    ids=str,
)
def test_a_range_that_does_not_count_COM_38(filled: Client, headers: dict[str, str]) -> None:
    whole = filled.get(INSTANCE, SINGLE)
    etag = whole.header("ETag") or ""
    answer = filled.get(INSTANCE, SINGLE, **{name: value.format(etag=etag) for name, value in headers.items()})
    assert (answer.status, answer.content) == (200, whole.content)


def test_conditions_come_before_ranges_COM_38_COM_46(filled: Client) -> None:
    etag = filled.get(INSTANCE, SINGLE).header("ETag") or ""

    def status(**headers: str) -> int:
        return filled.get(INSTANCE, SINGLE, Range="bytes=0-5", **headers).status

    assert status(If_Range=etag) == 206
    assert status(If_None_Match=etag) == 304
    assert status(If_Match='"x"') == 412
    assert filled.get(INSTANCE, SINGLE, Range="bytes=99999999-", If_None_Match=etag).status == 304
    assert filled.request("HEAD", INSTANCE, Accept=SINGLE, Range="bytes=0-5").status == 200
    assert filled.get(INSTANCE, ANY_DICOM, Range="bytes=0-5").status == 200
    assert filled.get(INSTANCE, ANY_DICOM).header("Accept-Ranges") is None


def test_a_range_reads_only_what_it_is_of_COM_38() -> None:
    chunk = 1 << 16
    big = sample(1, 1, 1, rows=1024, columns=1024)
    store = FaultyStore(MemoryInstanceStore())
    client = Client(OriginServer(instances=store, limits=Limits(chunk_bytes=chunk)))
    client.store(big.part10)
    reads = {}
    for suffix, accept in (("", SINGLE), ("/frames/1", PLAIN), ("/bulkdata/7FE00010", PLAIN)):
        store.calls.clear()
        answer = client.get(f"/{big.ref.path}{suffix}", accept, Range="bytes=-10")
        assert (answer.status, answer.content) == (206, big.part10[-10:])
        reads[suffix] = store.calls["read"]
    assert reads == {"": 1, "/frames/1": 1, "/bulkdata/7FE00010": 1}


def test_what_cannot_be_read_is_no_206() -> None:
    for headers in ({}, {"Range": "bytes=0-5"}, {"Range": "bytes=0-5,8-9"}):
        store = FaultyStore(MemoryInstanceStore(), Fault("open", error=CorruptBlob("Gone bad.")))
        client = Client(OriginServer(instances=store))
        client.store(made(1, 1, 1, frames=FRAMES))
        assert client.get(INSTANCE, SINGLE, **headers).status == 500


# -- content codings --


def decoded(answer: Answer) -> bytes:
    coding = answer.header("Content-Encoding")
    if coding == "gzip":
        return gzip.decompress(answer.content)
    assert coding == "zstd"
    return zstandard.ZstdDecompressor().decompressobj().decompress(answer.content)


@cache
def words() -> list[bytes]:
    return [made(1, 1, number, PatientName="Doe^Jane", ImageComments="word " * 50) for number in range(2, 40)]


@pytest.fixture
def wordy(filled: Client) -> Client:
    filled.store(*words())
    return filled


@pytest.mark.parametrize("coding", ["gzip", "zstd"])
@pytest.mark.parametrize(
    ("method", "target", "accept"),
    [
        ("GET", STUDY + "/metadata", JSON),
        ("GET", STUDY + "/metadata", XML),
        ("GET", "/instances", JSON),
        ("GET", "/instances", XML),
        ("OPTIONS", "/", "application/json"),
        ("OPTIONS", "/", "application/vnd.sun.wadl+xml"),
    ],
)
def test_texts_are_compressed_for_who_can_read_it_COM_35_COM_36(
    wordy: Client, method: str, target: str, accept: str, coding: str
) -> None:
    plain = wordy.request(method, target, Accept=accept)
    answer = wordy.request(method, target, Accept=accept, Accept_Encoding=coding)
    assert answer.header("Content-Encoding") == coding
    assert len(answer.content) < len(plain.content) / 3
    assert answer.header("Vary") == plain.header("Vary")
    if accept != XML:
        assert decoded(answer) == plain.content
        tag = answer.header("ETag")
        assert tag == f'W/"{(plain.header("ETag") or "").strip(chr(34))}-{coding}"'
        again = wordy.request(method, target, Accept=accept, Accept_Encoding=coding, If_None_Match=str(tag))
        assert (again.status, again.header("ETag"), again.content) == (304, tag, b"")
    else:
        assert decoded(answer).count(b"<NativeDicomModel") == plain.content.count(b"<NativeDicomModel") > 30


def test_long_texts_are_compressed_as_they_are_made_COM_36() -> None:
    client = Client(OriginServer(instances=MemoryInstanceStore()))
    client.store(*(made(1, 1, number, ImageComments=str(number) * 4000) for number in range(700)))
    plain = client.get(STUDY + "/metadata")
    answer = client.get(STUDY + "/metadata", Accept_Encoding="gzip")
    assert plain.length is None
    assert answer.length is None
    assert decoded(answer) == plain.content


def test_short_texts_are_not_compressed_unless_they_have_to_be_COM_36(client: Client) -> None:
    assert client.get("/studies", Accept_Encoding="gzip").header("Content-Encoding") is None
    answer = client.get("/studies", Accept_Encoding="gzip, identity;q=0")
    assert decoded(answer) == b"[]"
    assert answer.length == len(answer.content)


def test_a_range_is_of_the_bytes_without_coding_COM_36_COM_38(wordy: Client) -> None:
    plain = wordy.get("/instances")
    answer = wordy.get("/instances", Accept_Encoding="gzip", Range="bytes=0-9")
    assert (answer.status, answer.content) == (206, plain.content[:10])
    assert answer.header("Content-Encoding") is None
    coded = wordy.get("/instances", Accept_Encoding="gzip")
    assert coded.header("Accept-Ranges") is None
    resumed = wordy.get("/instances", Range="bytes=0-9", If_Range=coded.header("ETag") or "")
    assert resumed.status == 200


def test_a_site_chooses_the_codings_COM_36_A41(wordy: Client) -> None:
    store = wordy.server.site.instances
    off = Client(OriginServer(instances=store, content_codings=()))
    assert off.get("/instances", Accept_Encoding="gzip, zstd").header("Content-Encoding") is None
    one = Client(OriginServer(instances=store, content_codings=("gzip",)))
    assert one.get("/instances", Accept_Encoding="gzip, zstd").header("Content-Encoding") == "gzip"
    with pytest.raises(ValueError, match="content codings"):
        OriginServer(instances=store, content_codings=("br",))


# -- character sets --


@pytest.fixture
def spoken(memory_client: Client) -> Client:
    memory_client.store(made(1, 1, 1, SpecificCharacterSet="ISO_IR 100", PatientName="Buc^Jérôme"))
    memory_client.store(made(2, 1, 1, SpecificCharacterSet="ISO_IR 192", PatientName="Yamada^Tarou=山田^太郎"))
    memory_client.store(made(3, 1, 1, PatientName="Doe^Jane"))
    return memory_client


NAMES = {1: {"Alphabetic": "Buc^Jérôme"}, 2: {"Alphabetic": "Yamada^Tarou", "Ideographic": "山田^太郎"}}


@pytest.mark.parametrize(
    ("study", "charset", "terms"),
    [
        pytest.param(1, "ISO-8859-1", ["ISO_IR 100"], id="COM-32 Latin 1"),
        pytest.param(1, "ISO_IR%20100", ["ISO_IR 100"], id="COM-32 by its Defined Term"),
        pytest.param(1, "GB18030", ["GB18030"], id="COM-32 GB18030"),
        pytest.param(2, "ISO-2022-JP", ["ISO 2022 IR 13", "ISO 2022 IR 87"], id="COM-32 Japanese"),
        pytest.param(2, "UTF-8", ["ISO_IR 192"], id="COM-32 Unicode"),
    ],
)
@pytest.mark.parametrize("target", ["{}/metadata", "/studies?StudyInstanceUID={uid}&includefield=00080005&charset={c}"])
def test_text_comes_in_the_character_set_asked_for_COM_30(
    spoken: Client, study: int, charset: str, terms: list[str], target: str
) -> None:
    target = target.format(path(study), uid=path(study).split("/")[-1], c=charset)
    if "charset" not in target:
        target += f"?charset={charset}"
    answer = spoken.get(target, JSON)
    assert answer.status == 200
    label = answer.header("Content-Type") or ""
    if terms == ["ISO_IR 192"]:
        assert label == JSON
    else:
        assert answer.content.isascii()
        assert label.startswith(f"{JSON}; charset=")
    (found,) = answer.json
    assert found["00100010"]["Value"] == [NAMES[study]]
    assert found["00080005"]["Value"] == terms
    in_xml = spoken.get(target, XML)
    ((headers, document),) = in_xml.parts
    assert etree.fromstring(document).findtext(".//{*}Alphabetic/{*}GivenName") in ("Jérôme", "Tarou")
    assert from_xml(etree.tostring(etree.fromstring(document), encoding="utf-8"), Limits())["00100010"]["Value"] == [
        NAMES[study]
    ]
    if terms != ["ISO_IR 192"]:
        name = headers["content-type"].partition("charset=")[2]
        assert document.startswith(f'<?xml version="1.0" encoding="{name}"?>'.encode())
        assert ("Jérôme" if study == 1 else "山田") in document.decode(name)


@pytest.mark.parametrize("accept", [JSON, XML])
@pytest.mark.parametrize("target", [path(2) + "/metadata", "/studies"])
def test_text_that_the_character_set_lacks_is_406_COM_31(spoken: Client, target: str, accept: str) -> None:
    assert spoken.get(target, accept, Accept_Charset="ISO-8859-1").status == 406
    assert spoken.get(path(1) + "/metadata", accept, Accept_Charset="ISO-8859-1").status == 200


@pytest.mark.parametrize("wanted", ["ISO-8859-1, utf-8;q=0.7, *;q=0.7", "ISO-8859-1, utf-8;q=0.1"])
def test_who_takes_unicode_too_gets_the_text_escaped_COM_31(spoken: Client, wanted: str) -> None:
    answer = spoken.get(path(2) + "/metadata", JSON, Accept_Charset=wanted)
    assert answer.content.isascii()
    (found,) = answer.json
    assert found["00100010"]["Value"] == [NAMES[2]]
    assert found["00080005"]["Value"] == ["ISO_IR 192"]
    ((_, document),) = spoken.get(path(2) + "/metadata", XML, Accept_Charset=wanted).parts
    assert "山田" in "".join(etree.fromstring(document).itertext())


def test_after_the_first_bytes_text_is_escaped_not_cut_COM_31() -> None:
    client = Client(OriginServer(instances=MemoryInstanceStore()))
    client.store(*(made(1, 1, number, ImageComments=str(number) * 4000) for number in range(700)))
    client.store(made(1, 1, 999, SpecificCharacterSet="ISO_IR 192", PatientName="山田"))
    answer = client.get(STUDY + "/metadata", JSON, Accept_Charset="ISO-8859-1")
    assert (answer.status, answer.length) == (200, None)
    assert answer.content.isascii()
    assert answer.json[-1]["00100010"]["Value"] == [{"Alphabetic": "山田"}]
    parts = client.get(STUDY + "/metadata", XML, Accept_Charset="ISO-8859-1").parts
    assert "山田" in "".join(etree.fromstring(parts[-1][1]).itertext())


def test_a_value_that_looks_like_the_element_is_left_alone_COM_32(memory_client: Client) -> None:
    quoted = '"00080005":{"vr":"CS","Value":["ISO_IR 192"]}'
    memory_client.store(made(1, 1, 1, SpecificCharacterSet="ISO_IR 192", ImageComments=quoted, PatientName="é"))
    (found,) = memory_client.get(STUDY + "/metadata?charset=ISO-8859-1", JSON).json
    assert found["00204000"]["Value"] == [quoted]
    assert found["00080005"]["Value"] == ["ISO_IR 100"]


# -- reports --


@pytest.mark.parametrize(
    ("accept", "content_type"),
    [
        ("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", "text/html; charset=utf-8"),
        ("text/html, application/json", "application/json"),
        ("*/*", "application/json"),
        (ANY_DICOM, "application/json"),
    ],
)
def test_a_report_is_a_page_for_a_browser(memory_client: Client, accept: str, content_type: str) -> None:
    answer = memory_client.get("/studies/<script>alert(1)</script>", accept)
    assert answer.status == 404
    assert answer.header("Content-Type") == content_type
    assert answer.header("X-Content-Type-Options") == "nosniff"
    if content_type.startswith("text/html"):
        assert b"<script>" not in answer.content
        assert b"404 NotFound" in answer.content
        assert answer.header("Content-Security-Policy") == "default-src 'none'"
    else:
        assert orjson.loads(answer.content)["error"] == "NotFound"
