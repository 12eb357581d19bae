"""Hostile metadata and bulk data (A24, A31, A33, A50-A54): nothing is fetched, nothing grows, one fails alone."""

from __future__ import annotations

import io
import json
import socket
import struct
import time
import tracemalloc
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from dicomweb_core import Limits, OriginServer, Request
from dicomweb_core.storage.instances import StagedBlob
from dicomweb_lmdb import LMDBInstanceStore
from dicomweb_lmdb.blobs import LMDBStagedBlob
from dicomweb_memory import MemoryInstanceStore
from tests.clients import BASE, JSON, Client
from tests.made import made, path
from tests.metadata_messages import (
    XML,
    Bulk,
    Model,
    comments,
    dataset,
    image,
    message,
    pixel_data,
    post,
    reasons,
    xml_of,
)

FOUR = b"\1\2\3\4"


def limited(**limits: Any) -> Client:
    return Client(OriginServer(instances=MemoryInstanceStore(), limits=Limits(**limits)))


def send(client: Client, metadata: bytes, kind: str = JSON, bulk: tuple[Bulk, ...] = ()) -> int:
    content_type, payload = message(kind, [metadata], bulk)
    return client.request("POST", "/studies", payload, Content_Type=content_type).status


# -- A31, A33: what the payload says it is -------------------------------------------------------------------------


@pytest.mark.parametrize("coding", ["gzip", "deflate", "br"])
def test_coded_payloads_and_parts_are_refused_A31(memory_client: Client, coding: str) -> None:
    content_type, payload = message(JSON, [json.dumps([image()]).encode()], [Bulk(FOUR)])
    answer = memory_client.request("POST", "/studies", payload, Content_Type=content_type, Content_Encoding=coding)
    assert answer.status == 415
    answer = post(memory_client, [image()], Bulk(FOUR, headers=f"Content-Encoding: {coding}\r\n"))
    assert answer.status == 400
    assert any("Content-Encoding" in comment for comment in comments(answer))
    assert memory_client.get("/instances").json == []


@pytest.mark.parametrize(
    ("content_type", "status"),
    [
        ("multipart/related; type=application/dicom+json; boundary=B", 200),
        ('multipart/related; boundary="B"; type="APPLICATION/DICOM+JSON"', 200),
        ('multipart/related; type="application/dicom+json; transfer-syntax=*"; boundary=B', 415),
        ('multipart/related; type="application/dicom+json"', 400),
        ('multipart/related; type="application/octet-stream"; boundary=B', 415),
        ('multipart/related; type="image/jpeg"; boundary=B', 415),
        ('multipart/mixed; type="application/dicom+json"; boundary=B', 415),
        ("multipart/form-data; boundary=B", 415),
    ],
)
def test_type_parameters_A33(memory_client: Client, content_type: str, status: int) -> None:
    _, payload = message(JSON, [json.dumps([dataset()]).encode()])
    assert memory_client.request("POST", "/studies", payload, Content_Type=content_type).status == status


# -- A50: JSON -----------------------------------------------------------------------------------------------------

NESTED = '{"00081140":{"vr":"SQ","Value":[' * 100_000
NO_JSON = {
    "depth of 1e5": NESTED.encode(),
    "closed depth of 1e5": (NESTED + "]}}" * 100_000).encode(),
    "duplicate keys": b'[{"00100020":{"vr":"LO"},"00100020":{"vr":"LO"}}]',
    "duplicate vr": b'[{"00100020":{"vr":"LO","vr":"SH"}}]',
    "NaN": b'[{"00189087":{"vr":"FD","Value":[NaN]}}]',
    "Infinity": b'[{"00189087":{"vr":"FD","Value":[-Infinity]}}]',
    "1e400": b'[{"00189087":{"vr":"FD","Value":[1e400]}}]',
    "lone surrogate": b'[{"00100020":{"vr":"LO","Value":["\\ud800"]}}]',
    "BOM": b"\xef\xbb\xbf[]",
    "UTF-16": json.dumps([dataset()]).encode("utf-16"),
    "trailing comma": b"[{},]",
    "nothing": b"",
    "NUL": b"[\0]",
}


@pytest.mark.parametrize("text", NO_JSON.values(), ids=["A50 " + name for name in NO_JSON])
def test_what_is_no_json_is_refused_whole(memory_client: Client, text: bytes) -> None:
    assert send(memory_client, text) == 400
    assert memory_client.request("POST", "/studies", text, Content_Type=JSON).status == 400


BAD: dict[str, Any] = {
    "an array": [],
    "a text": "text",
    "null": None,
    "a number": 7,
    "a keyword": {"PatientID": {"vr": "LO"}},
    "a key of 7 digits": {"0010002": {"vr": "LO"}},
    "the same tag in two spellings": {"0010001A": {"vr": "LO"}, "0010001a": {"vr": "LO"}},
    "no vr": {"00100020": {"Value": ["x"]}},
    "an unknown vr": {"00100020": {"vr": "XX", "Value": ["x"]}},
    "a Value that is no list": {"00100020": {"vr": "LO", "Value": "x"}},
    "bad base64": {"00091001": {"vr": "OB", "InlineBinary": "*"}},
    "Value and InlineBinary": {"00091001": {"vr": "OB", "Value": [], "InlineBinary": "AA=="}},
    "BulkDataURI and InlineBinary": {"00091001": {"vr": "OB", "BulkDataURI": "a", "InlineBinary": "AA=="}},
    "a person name that is a text": {"00100010": {"vr": "PN", "Value": ["A^B"]}},
    "an integer beyond 2^53": {"00081161": {"vr": "UL", "Value": [2**53 + 1]}},
    "an item that is a text": {"00081140": {"vr": "SQ", "Value": ["x"]}},
    "a BulkDataURI of LO": {"00100020": {"vr": "LO", "BulkDataURI": "a"}},
    "a UID that is none": {"0020000D": {"vr": "UI", "Value": ["../../etc"]}},
    "a UID that is a number": {"0020000D": {"vr": "US", "Value": [1]}},
    "a UID that is an object": {"00080018": {"vr": "UI", "Value": [{}]}},
}


@pytest.mark.parametrize("bad", BAD.values(), ids=["A50 " + name for name in BAD])
def test_a_bad_data_set_fails_alone(memory_client: Client, bad: Any) -> None:
    model = {**dataset(1), **bad} if isinstance(bad, dict) else bad
    answer = post(memory_client, [dataset(2), model, dataset(3)])
    assert answer.status == 202
    assert len(comments(answer)) == 1
    assert len(memory_client.get("/instances").json) == 2


def test_lower_case_tags_are_tags_A50(memory_client: Client) -> None:
    model = {tag.lower(): attribute for tag, attribute in dataset().items()}
    assert post(memory_client, [model]).status == 200


def test_half_a_million_keys_fail_alone_A50(memory_client: Client) -> None:
    keys = ",".join(f'"{0x00090000 + number:08X}":{{"vr":"LO"}}' for number in range(0x1000, 0x1000 + 510_000))
    text = f"[{{{keys}}},{json.dumps(dataset())}]".encode()
    content_type, payload = message(JSON, [text])
    answer = memory_client.request("POST", "/studies", payload, Content_Type=content_type)
    assert (answer.status, reasons(answer)) == (202, [0xA700])


def test_the_metadata_of_a_request_are_limited_together_A50() -> None:
    client = limited(model_bytes=10_000)
    long = dataset(X00104000={"vr": "LT", "Value": ["x" * 6_000]})
    assert post(client, [long]).status == 200
    assert post(client, [long, long]).status == 413
    assert post(client, [long, long], kind=XML).status == 413


# -- A51: BulkDataURI ----------------------------------------------------------------------------------------------

URIS = [
    "file:///etc/passwd",
    "/etc/passwd",
    "http://169.254.169.254/latest/meta-data/",
    "gopher://localhost:70/_x",
    "//evil.example/x",
    "data:application/octet-stream;base64,AQIDBA==",
    "../../../other-tenant/studies/1/bulkdata/7FE00010",
    f"{BASE}{path(1, 1, 9)}/bulkdata/7FE00010",
    f"..{path(1, 1, 9)}/bulkdata/7FE00010",
    "http://[::1",
    "http://[::1]:port/",
    "cid:",
    "cid:other",
    "?",
    "#",
    "\u2603",
]


@pytest.mark.parametrize("kind", [JSON, XML])
@pytest.mark.parametrize("uri", URIS, ids=["A51 " + ascii(uri) for uri in URIS])
def test_no_uri_leads_out_of_the_message(
    memory_client: Client, monkeypatch: pytest.MonkeyPatch, uri: str, kind: str
) -> None:
    """Not to files, not to sockets, and not to what this server has: bytes that the sender could not have."""
    secret = made(1, 1, 9, frames=[FOUR])
    memory_client.store(secret)

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("somebody opens something")

    monkeypatch.setattr(socket, "socket", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setattr(Path, "open", refuse)
    monkeypatch.setattr("builtins.open", refuse)
    answer = post(memory_client, [image(1, uri=uri)], Bulk(FOUR, "other/part"), kind=kind)
    assert answer.status == 400
    (comment,) = comments(answer)
    assert comment.endswith("names no part of this request, and others are not followed.")
    assert memory_client.get(path(1, 1, 1), "*/*").status == 404


# -- A52: parts ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("uri", "location"),
    [("http://a/B", "http://a/b"), ("http://a/%62", "http://a/b"), ("a", "a "), ("x/frames/1", "x"), ("a", "b/../a/")],
)
def test_names_differ_by_case_and_encoding_A52(memory_client: Client, uri: str, location: str) -> None:
    expected = 200 if location.strip() == uri else 400
    assert post(memory_client, [image(uri=uri)], Bulk(FOUR, location)).status == expected


def test_frames_that_are_not_as_many_as_stated_A52(memory_client: Client) -> None:
    frames = [imagecodecs.jpeg8_encode(np.zeros((2, 2), "u1"))] * 3
    model = image(X00280008={"vr": "IS", "Value": [4]})
    answer = post(memory_client, [model], *(Bulk(frame, media_type="image/jpeg") for frame in frames))
    assert (answer.status, reasons(answer)) == (409, [0xA900])
    model = image(X00280008={"vr": "IS", "Value": [3]})
    answer = post(
        memory_client,
        [model],
        *(Bulk(f, f"pixels/frames/{n}", "image/jpeg") for n, f in zip((1, 2, 4), frames, strict=True)),
    )
    assert (answer.status, reasons(answer)) == (409, [0xA900])


def test_many_unused_parts_cost_little_A52() -> None:
    """Memory for their names, no file descriptors, one line in the report."""
    client = Client(OriginServer(instances=MemoryInstanceStore()))
    text = json.dumps([dataset()]).encode()
    one = b"--B\r\nContent-Type: image/jpeg\r\nContent-Location: http://a/%d\r\n\r\nxy\r\n"
    payload = b"--B\r\nContent-Type: application/dicom+json\r\n\r\n" + text + b"\r\n"
    payload += b"".join(one % number for number in range(20_000)) + b"--B--"
    begin = time.process_time()
    answer = client.request(
        "POST", "/studies", payload, Content_Type='multipart/related; type="application/dicom+json"; boundary=B'
    )
    assert answer.status == 202
    assert len(comments(answer)) == 1
    assert time.process_time() - begin < 10


def test_shared_parts_do_not_multiply_without_end_A52() -> None:
    """A small request does not fill the disk."""
    client = limited(bulk_reuse=4)
    models = [image(number, columns=500, rows=20) for number in range(1, 11)]
    answer = post(client, models, Bulk(bytes(10_000)))
    assert answer.status == 202
    assert len(client.get("/instances").json) == 4
    assert reasons(answer) == [0xA700] * 6


def test_one_value_of_one_instance_cannot_multiply_a_part_A52() -> None:
    client = limited(bulk_reuse=4)
    values = {f"X0009{number:04X}": pixel_data("a") for number in range(0x1001, 0x1100)}
    answer = post(client, [dataset(**values)], Bulk(FOUR, "a"))
    assert (answer.status, reasons(answer)) == (409, [0xA700])


@pytest.mark.parametrize("vr", ["OW", "OF", "OD", "FL", "FD", "UL", "UT"])
def test_bytes_that_are_no_value_of_their_vr_A52(memory_client: Client, vr: str) -> None:
    model = dataset(X00091001={"vr": vr, "BulkDataURI": "a"})
    answer = post(memory_client, [model], Bulk(b"\xff", "a"))
    assert answer.status == 400
    assert len(comments(answer)) == 1


class Slow:
    """A payload that is made while it is read."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces = pieces

    def read(self, size: int = -1, /) -> bytes:
        return next(self._pieces, b"")


def test_memory_does_not_grow_with_the_bulk_data_A52(tmp_path: Path) -> None:
    chunk = bytes(1 << 20)
    model = image(rows=8_192, columns=8_192)
    head, _ = message(JSON, [json.dumps([model]).encode()])

    def pieces() -> Iterator[bytes]:
        yield b"--B\r\nContent-Type: application/dicom+json\r\n\r\n" + json.dumps([model]).encode()
        yield b"\r\n--B\r\nContent-Type: application/octet-stream\r\nContent-Location: pixels\r\n\r\n"
        for _ in range(64):
            yield chunk
        yield b"\r\n--B--\r\n"

    store = LMDBInstanceStore(tmp_path / "store")
    server = OriginServer(instances=store)
    tracemalloc.start()
    response = server.handle(Request("POST", "/studies", headers=(("Content-Type", head),), body=Slow(pieces())))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert response.status == 200, response.body.read()
    assert peak < 32 << 20
    store.close()
    assert len(contents(tmp_path)) == 1


def contents(folder: Path) -> list[Path]:
    """The content files of a store, committed or not."""
    return [
        file for file in folder.rglob("*") if file.is_file() and file.suffix != ".mdb" and file.stat().st_size > 65_536
    ]


class RememberingStore(LMDBInstanceStore):
    """Keeps what it staged from being collected."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.staged: list[StagedBlob] = []

    def stage(self) -> LMDBStagedBlob:
        self.staged.append(blob := super().stage())
        return blob


@pytest.mark.parametrize("cut", [10, 100_000])
def test_what_was_staged_is_discarded_A52(tmp_path: Path, cut: int) -> None:
    """Of a message that breaks off, and of one whose data sets fail."""
    store = RememberingStore(tmp_path / "store")
    client = Client(OriginServer(instances=store))
    content_type, payload = message(JSON, [json.dumps([image()]).encode()], [Bulk(bytes(300_000))])
    assert client.request("POST", "/studies", payload[:-cut], Content_Type=content_type).status == 400
    assert post(client, [image(rows=65_535, columns=65_535)], Bulk(bytes(300_000))).status == 409
    assert len(store.staged) >= 2
    assert contents(tmp_path) == []
    store.close()


# -- A53: XML ------------------------------------------------------------------------------------------------------

DOCUMENT = xml_of(dataset()).decode()
XML_ATTACKS = {
    "a DOCTYPE": "<!DOCTYPE x>" + DOCUMENT,
    "an external entity": '<!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/passwd">]>' + DOCUMENT,
    "a parameter entity": '<!DOCTYPE x [<!ENTITY % e SYSTEM "http://127.0.0.1:1/"> %e;]>' + DOCUMENT,
    "an entity that nobody declared": DOCUMENT.replace("1.2.840", "&e;"),
    "another namespace": DOCUMENT.replace("dicom.nema.org", "example.org"),
    "depth of 1e5": "<NativeDicomModel>" + "<a>" * 100_000,
    "UTF-7": '<?xml version="1.0" encoding="UTF-7"?>' + DOCUMENT,
    "NUL": DOCUMENT.replace("1.2.840", "\0"),
    "text": "hello",
    "nothing": "",
}


@pytest.mark.parametrize("text", XML_ATTACKS.values(), ids=["A53 " + name for name in XML_ATTACKS])
def test_hostile_xml_fails_alone(memory_client: Client, text: str) -> None:
    assert send(memory_client, text.encode(), XML) == 400
    assert memory_client.request("POST", "/studies", text.encode(), Content_Type=XML).status == 400
    content_type, payload = message(XML, [xml_of(dataset(2)), text.encode()])
    assert memory_client.request("POST", "/studies", payload, Content_Type=content_type).status == 202
    assert len(memory_client.get("/instances").json) == 1


# -- A54, A24: contradictions and images ---------------------------------------------------------------------------

JPEG = imagecodecs.jpeg8_encode(np.zeros((2, 2), "u1"))


def cmyk_jpeg() -> bytes:
    buffer = io.BytesIO()
    Image.new("CMYK", (2, 2)).save(buffer, "JPEG")
    return buffer.getvalue()


def us(value: int) -> Model:
    return {"vr": "US", "Value": [value]}


CONTRADICTIONS: dict[str, tuple[Model, Bulk]] = {
    "Rows": (image(rows=3), Bulk(JPEG, media_type="image/jpeg")),
    "Rows of 65535": (image(rows=65_535, columns=65_535), Bulk(JPEG, media_type="image/jpeg")),
    "Columns": (image(columns=1), Bulk(JPEG, media_type="image/jpeg")),
    "Samples per Pixel": (image(X00280002=us(3)), Bulk(JPEG, media_type="image/jpeg")),
    "Bits Allocated": (image(X00280100=us(1)), Bulk(JPEG, media_type="image/jpeg")),
    "Rows that are a text": (image(X00280010={"vr": "LO", "Value": ["2"]}), Bulk(JPEG, media_type="image/jpeg")),
    "Bits that are a text": (image(X00280100={"vr": "LO", "Value": ["8"]}), Bulk(JPEG, media_type="image/jpeg")),
    "Bits Stored of 0": (image(X00280101=us(0)), Bulk(JPEG, media_type="image/jpeg")),
    "Photometric": (image(X00280004={"vr": "CS", "Value": ["RGB"]}), Bulk(JPEG, media_type="image/jpeg")),
    "another media type": (image(), Bulk(JPEG, media_type="image/jp2")),
    "another transfer syntax": (image(), Bulk(JPEG, media_type="image/jpeg; transfer-syntax=1.2.840.10008.1.2.4.70")),
    "no codestream": (image(), Bulk(b"hello", media_type="image/jpeg")),
    "CMYK": (
        dataset(X7FE00010=pixel_data()),
        Bulk(cmyk_jpeg(), media_type="image/jpeg"),
    ),
    "an empty codestream": (image(), Bulk(b"", media_type="image/jp2")),
    "a codestream cut short": (image(), Bulk(JPEG[:20], media_type="image/jpeg")),
    "native and too short": (image(rows=65_535, columns=65_535), Bulk(FOUR)),
    "native without Rows": (dataset(X7FE00010=pixel_data()), Bulk(FOUR)),
    "native with a text for Rows": (image(X00280010={"vr": "LO", "Value": ["2"]}), Bulk(FOUR)),
    "frames that are no number": (image(X00280008={"vr": "IS", "Value": ["9" * 5_000]}), Bulk(FOUR)),
    "PNG of another size": (
        image(rows=3),
        Bulk(imagecodecs.png_encode(np.zeros((2, 2), "u1")), media_type="image/png"),
    ),
    "no PNG": (image(), Bulk(b"GIF", media_type="image/png")),
    "PNG cut short": (image(), Bulk(imagecodecs.png_encode(np.zeros((2, 2), "u1"))[:40], media_type="image/png")),
    "GIF cut short": (dataset(X7FE00010=pixel_data()), Bulk(b"GIF89a" + bytes(2), media_type="image/gif")),
    "GIF of nothing": (dataset(X7FE00010=pixel_data()), Bulk(b"GIF89a\2\0\2\0" + bytes(9), media_type="image/gif")),
}


@pytest.mark.parametrize("name", CONTRADICTIONS, ids=["A54 " + name for name in CONTRADICTIONS])
def test_metadata_that_contradict_their_bulk_data_fail_alone(memory_client: Client, name: str) -> None:
    model, bulk = CONTRADICTIONS[name]
    answer = post(memory_client, [model, dataset(2)], bulk)
    assert answer.status == 202, answer.content
    assert reasons(answer) == [0xA900], comments(answer)
    assert len(memory_client.get("/instances").json) == 1


@pytest.mark.parametrize(
    "media_type", ["image/tiff", "text/html", "video/quicktime", "image/jpeg; transfer-syntax=1.2.840.10008.1.2.5"]
)
def test_media_types_that_no_pixels_have_A54(memory_client: Client, media_type: str) -> None:
    answer = post(memory_client, [image()], Bulk(JPEG, media_type=media_type))
    assert (answer.status, reasons(answer)) == (400, [0xC122])


def test_file_meta_in_metadata_is_ignored_A54(memory_client: Client) -> None:
    group: dict[str, Any] = {
        "X00020002": {"vr": "UI", "Value": ["1.2.3"]},
        "X00020010": {"vr": "UI", "Value": ["1.2.840.10008.1.2.2"]},
        "X00020102": {"vr": "OB", "BulkDataURI": "file:///etc/passwd"},
    }
    assert post(memory_client, [image(**group)], Bulk(FOUR)).status == 200
    assert not any(tag.startswith("0002") for tag in memory_client.get(f"{path(1, 1, 1)}/metadata").json[0])


def png_of(columns: int, rows: int) -> bytes:
    """A PNG whose header says this, and little else."""

    def chunk(name: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))

    header = struct.pack(">IIBBBBB", columns, rows, 8, 6, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(9))) + chunk(b"IEND", b"")


@pytest.mark.parametrize(
    ("media_type", "bomb"),
    [
        pytest.param("image/png", png_of(65_535, 65_535), id="A24 PNG of 12 GiB"),
        pytest.param("image/png", png_of(2**31 - 1, 2**31 - 1), id="A24 PNG of 12 EiB"),
        pytest.param("image/png", png_of(0, 5), id="A24 PNG of nothing"),
        pytest.param("image/gif", b"GIF89a" + struct.pack("<HH", 65_535, 65_535) + bytes(20), id="A24 GIF of 12 GiB"),
    ],
)
def test_image_bombs_cost_nothing(memory_client: Client, media_type: str, bomb: bytes) -> None:
    tracemalloc.start()
    answer = post(memory_client, [dataset(X7FE00010=pixel_data())], Bulk(bomb, media_type=media_type))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert answer.status == 409
    assert peak < 8 << 20


HARMLESS = {"multipart/related", "image/jpeg", "application/octet-stream"}
HTML_BEHIND = b"<html><script>alert(1)</script></html>"


def image_file(name: str) -> bytes:
    """Gray levels in rows that differ, with all that may stand beside them: an orientation that turns them, a profile,
    a comment and a page behind the end."""
    buffer = io.BytesIO()
    exif = Image.Exif()
    exif[0x0112] = 6
    extra: dict[str, Any] = {"quality": 100, "comment": "<script>alert(1)</script>"} if name == "JPEG" else {}
    Image.fromarray(GRAY_ROWS).save(buffer, name, exif=exif, icc_profile=bytes(200), **extra)
    return buffer.getvalue() + HTML_BEHIND


GRAY_ROWS = np.repeat(np.arange(0, 240, 60, dtype=np.uint8), 8).reshape(4, 8)


@pytest.mark.parametrize("name", ["JPEG", "PNG"])
def test_what_stands_beside_the_pixels_of_an_image_does_nothing_A24(memory_client: Client, name: str) -> None:
    """What is shown are the samples as they are coded, and nothing that is sent is anything but an image."""
    media_type = f"image/{name.lower()}"
    answer = post(memory_client, [dataset(X7FE00010=pixel_data())], Bulk(image_file(name), media_type=media_type))
    assert answer.status == 200, comments(answer)
    shown = memory_client.get(f"{path(1, 1, 1)}/rendered?iccprofile=no", "image/png")
    assert np.abs(np.asarray(Image.open(io.BytesIO(shown.content))).astype(int) - GRAY_ROWS).max() <= 1
    assert memory_client.get(f"{path(1, 1, 1)}/thumbnail").status == 200
    for accept in ('multipart/related; type="*/*"', "image/jpeg", "application/octet-stream", "text/html"):
        frame = memory_client.get(f"{path(1, 1, 1)}/frames/1", accept)
        assert frame.header("X-Content-Type-Options") == "nosniff"
        if HTML_BEHIND in frame.content:
            assert (frame.header("Content-Type") or "").partition(";")[0] in HARMLESS
        if frame.status == 200 and (frame.header("Content-Type") or "").startswith("multipart/"):
            assert {headers["content-type"].partition(";")[0] for headers, _ in frame.parts} <= HARMLESS


def saved(form: str, mode: str = "RGB", **options: Any) -> bytes:
    """A picture of 2 x 2."""
    buffer = io.BytesIO()
    Image.new(mode, (2, 2)).save(buffer, form, **options)
    return buffer.getvalue()


ZIP = b"PK\x05\x06" + bytes(18)


@pytest.mark.parametrize(
    ("media_type", "file", "status"),
    [
        pytest.param("image/jpeg", saved("JPEG") + ZIP, 200, id="A24 JPEG that is a ZIP too"),
        pytest.param("image/png", saved("PNG") + ZIP, 200, id="A24 PNG that is a ZIP too"),
        pytest.param("image/jpeg", saved("JPEG", "CMYK"), 409, id="A24 CMYK"),
        pytest.param("image/png", saved("PNG", save_all=True, append_images=[Image.new("RGB", (2, 2), "red")]), 409,
                     id="A24 animated PNG"),
        pytest.param("image/jpeg", b"<html><script>", 409, id="A24 no JPEG"),
    ],
)  # fmt: skip
def test_what_pictures_carry_beside_pixels(memory_client: Client, media_type: str, file: bytes, status: int) -> None:
    color = {"X00280002": {"vr": "US", "Value": [3]}, "X00280004": {"vr": "CS", "Value": ["RGB"]}}
    answer = post(memory_client, [image(**color)], Bulk(file, media_type=media_type))
    assert answer.status == status, comments(answer)
    if status == 200:
        frame = memory_client.get(f"{path(1, 1, 1)}/frames/1", 'multipart/related; type="*/*"; transfer-syntax=*')
        assert frame.header("X-Content-Type-Options") == "nosniff"
        assert memory_client.get(f"{path(1, 1, 1)}/rendered", "image/png").status == 200


def test_images_do_not_grow_out_of_proportion_A24() -> None:
    client = limited(inflated_bytes=50_000, bulk_reuse=2)
    png = imagecodecs.png_encode(np.zeros((400, 400), "u1"))
    answer = post(client, [dataset(X7FE00010=pixel_data())], Bulk(png, media_type="image/png"))
    assert (answer.status, reasons(answer)) == (409, [0xA700])


# -- anything ------------------------------------------------------------------------------------------------------

JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=4,
)
VRS = st.sampled_from(["AT", "CS", "DS", "FD", "IS", "LO", "OB", "OW", "PN", "SQ", "UI", "UN", "US", "UT", "XX"])
DESCRIBING = st.sampled_from(
    [
        *("00020010", "00080005", "00080016", "00080018", "0020000D", "0020000E", "00280002", "00280004", "00280006"),
        *("00280008", "00280010", "00280011", "00280100", "00280101", "00282110", "00420011", "00420012", "7FE00010"),
    ]
)
ATTRIBUTES = JSON_VALUES | st.fixed_dictionaries(
    {"vr": VRS},
    optional={
        "Value": JSON_VALUES | st.lists(JSON_VALUES, max_size=2),
        "BulkDataURI": st.sampled_from(["pixels", "pixels/frames/1", "cid:x", ""]) | JSON_VALUES,
        "InlineBinary": st.sampled_from(["", "AAAA", "*"]),
    },
)
CONTENTS = st.sampled_from(
    [b"", FOUR, JPEG, JPEG[:-5], imagecodecs.png_encode(np.zeros((2, 2), "u1")), b"GIF89a", b"\0" * 99]
)
MEDIA_TYPES = st.sampled_from(
    [
        *("application/octet-stream", "image/jpeg", "image/jp2", "image/jls", "image/png", "image/gif", "video/mp4"),
        *("image/dicom-rle", "application/pdf", "application/json", "text/xml", "x", "application/octet-stream; a"),
        "application/octet-stream; transfer-syntax=1.2.840.10008.1.2.4.50",
        "application/octet-stream; transfer-syntax=1.2.840.10008.1.2.2",
        "image/jpeg; transfer-syntax=1.2",
    ]
)
BULK = st.builds(Bulk, CONTENTS, st.sampled_from(["pixels", "pixels/frames/1", "pixels/frames/2", ""]), MEDIA_TYPES)


@given(st.dictionaries(DESCRIBING, ATTRIBUTES, max_size=4), st.lists(BULK, max_size=3), st.booleans())
def test_no_metadata_and_no_parts_break_the_server(changes: Model, bulk: list[Bulk], pixels: bool) -> None:
    client = Client(OriginServer(instances=MemoryInstanceStore()))
    model = {**(image() if pixels else dataset()), **changes}
    answer = post(client, [model], *bulk)
    assert answer.status in (200, 202, 400, 409), answer.content
    assert client.get("/instances?includefield=all").status == 200
    assert post(client, [dataset(7)]).status == 200
