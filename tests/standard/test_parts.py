"""The parts of retrieved payloads (PS3.18 8.6.1.2, 8.7.3, 10.4.3.3): what each is, and which there are."""

from __future__ import annotations

import io

import pydicom
import pytest

from dicomweb_core import InstanceStore, Limits, OriginServer
from dicomweb_core.values.transfer_syntaxes import TRANSFER_SYNTAXES, transfer_syntax
from tests import part10_bytes
from tests.clients import ANY_DICOM, BASE, OCTETS, Client, file_bytes
from tests.made import EXPLICIT, made, path
from tests.standard.test_retrieve import DICOM, ELE, XML, bulk_urls, stored, url_of

VIDEO = made(1, 4, 1, syntax="1.2.840.10008.1.2.4.102", frames=[b"\0\0\0\x18ftypmp42", b"moov of", b"three "])


@pytest.mark.parametrize("target", ["", "/metadata", "/bulkdata", "/pixeldata"])
@pytest.mark.parametrize("level", [1, 2, 3], ids=["study", "series", "instance"])
def test_every_part_says_what_it_is_MUL_04(client: Client, level: int, target: str) -> None:
    """Content-Location is below the URL asked for, and what is there is the part."""
    url = stored(client, made(1, 1, 1, frames=[b"abcd", b"efgh"]), made(1, 1, 2, frames=[b"ijkl"]), made(1, 2, 1))
    below = "/".join(url.split("/")[: 1 + 2 * level])
    accept = {"": DICOM, "/metadata": XML}.get(target, OCTETS)
    parts = client.get(below + target, accept).parts
    assert len(parts) == ([3, 2, 1] if target in ("", "/metadata") else [2, 2, 1])[level - 1]
    for headers, content in parts:
        location = headers["content-location"]
        assert location.startswith(f"{BASE}{below}/" if level < 3 else BASE + below)
        assert [part for _, part in client.get(location, accept).parts] == [content]
        assert headers["content-length"] == str(len(content))


@pytest.mark.parametrize("name", ["CT_small.dcm", "liver.dcm", "rtdose.dcm", "image_dfl.dcm"])
def test_bulk_data_are_named_as_in_the_metadata_MUL_09(store: InstanceStore, name: str) -> None:
    """With ceilings of 0 every value that may be bulk data is, also those within sequences."""
    limits = Limits(inline_binary_bytes=0, inline_numbers_bytes=0, inline_icc_profile_bytes=0, inline_text_bytes=0)
    client = Client(OriginServer(instances=store, limits=limits))
    url = stored(client, file_bytes(name))
    (data,) = client.get(url + "/metadata").json
    parts = client.get(url + "/bulkdata", OCTETS).parts
    locations = [headers["content-location"] for headers, _ in parts]
    assert sorted(locations) == sorted(uri for _, uri in bulk_urls(data))
    assert len(set(locations)) == len(locations)
    for headers, content in parts:
        assert client.get(headers["content-location"], "application/octet-stream").content == content


def test_parts_differ_in_transfer_syntax_and_media_type_MUL_11_BLK_18(client: Client) -> None:
    syntaxes = {
        EXPLICIT: "application/octet-stream",
        "1.2.840.10008.1.2.5": "image/dicom-rle",
        "1.2.840.10008.1.2.4.80": "image/jls",
        "1.2.840.10008.1.2.4.50": "image/jpeg",
    }
    for number, syntax in enumerate(syntaxes, 1):
        client.store(made(1, 1, number, syntax=syntax, frames=[b"abcd"]))
    parts = client.get(path(1), ANY_DICOM).parts
    assert [headers["content-type"] for headers, _ in parts] == [
        f"application/dicom; transfer-syntax={syntax}" for syntax in syntaxes
    ]
    for (_, content), syntax in zip(parts, syntaxes, strict=True):
        assert pydicom.dcmread(io.BytesIO(content)).file_meta.TransferSyntaxUID == syntax
    for target in ("/pixeldata", "/bulkdata"):
        parts = client.get(path(1) + target, "*/*").parts
        assert [headers["content-type"] for headers, _ in parts] == [
            f"{media_type}; transfer-syntax={syntax}" for syntax, media_type in syntaxes.items()
        ]
        assert {content for _, content in parts} == {b"abcd"}


def test_what_cannot_be_sent_is_counted_in_a_warning_COM_45(client: Client) -> None:
    client.store(made(1, 1, 1), made(1, 1, 2, syntax="1.2.840.10008.1.2.5", frames=[b"abcd"]), made(1, 1, 3))
    answer = client.get(path(1), f"{DICOM}; transfer-syntax={ELE}")
    assert len(answer.parts) == 2
    assert answer.header("Warning") == f"299 {BASE}: 1 of 3 instances cannot be sent in an acceptable form"


# -- pixel data --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("target", ["/frames/1", "/frames/1,2", "/bulkdata/7FE00010", "/bulkdata", "/pixeldata"])
@pytest.mark.parametrize("syntax", [EXPLICIT, "1.2.840.10008.1.2", "1.2.840.10008.1.2.2", "1.2.840.10008.1.2.1.99"])
def test_octets_in_parts_BLK_09(client: Client, target: str, syntax: str) -> None:
    url = stored(client, made(syntax=syntax, frames=[b"abcd", b"efgh"]))
    answer = client.get(url + target, OCTETS)
    assert answer.status == 200
    assert (answer.header("Content-Type") or "").startswith('multipart/related; type="application/octet-stream"')
    contents = [content for _, content in answer.parts]
    assert contents == {"/frames/1": [b"abcd"], "/frames/1,2": [b"abcd", b"efgh"]}.get(target, [b"abcdefgh"])
    assert {headers["content-type"].split(";")[0] for headers, _ in answer.parts} == {"application/octet-stream"}


@pytest.mark.parametrize("target", ["/frames/1", "/bulkdata/7FE00010", "/bulkdata", "/pixeldata"])
@pytest.mark.parametrize("accept", ['multipart/related; type="video/mp4"', 'multipart/related; type="video/*"', "*/*"])
def test_video_is_one_part_BLK_17(client: Client, target: str, accept: str) -> None:
    """Though there are three frames, and here three fragments."""
    url = stored(client, VIDEO)
    ((headers, content),) = client.get(url + target, accept).parts
    assert content == b"\0\0\0\x18ftypmp42moov of\0three "
    assert headers["content-type"] == "video/mp4; transfer-syntax=1.2.840.10008.1.2.4.102"
    assert client.get(url + "/frames/2", accept).status == 404


VIDEOS = sorted(syntax.uid for syntax in TRANSFER_SYNTAXES.values() if syntax.video)


@pytest.mark.parametrize("target", ["/frames/1", "/bulkdata/7FE00010", "/pixeldata", "/rendered"])
@pytest.mark.parametrize("syntax", VIDEOS)
def test_video_of_every_transfer_syntax_by_its_media_type_BLK_17(
    memory_client: Client, syntax: str, target: str
) -> None:
    """Also in lower case: one of them is video/H265. And a part of it, as players ask."""
    url = stored(memory_client, made(syntax=syntax, frames=[b"abcdefgh"]))
    named = transfer_syntax(syntax).media_type
    for media_type in (named, named.lower(), named.upper()):
        whole = memory_client.get(url + target, media_type)
        assert (whole.status, whole.content) == (200, b"abcdefgh")
        assert (whole.header("Content-Type") or "").partition(";")[0] == named
        assert memory_client.get(url + target, f'multipart/related; type="{media_type}"').status == 200
        some = memory_client.get(url + target, media_type, Range="bytes=2-3")
        assert (some.status, some.content) == (206, b"cd")


D_ROWS = {
    "image/jpeg": "1.2.840.10008.1.2.4.70",
    "image/dicom-rle": "1.2.840.10008.1.2.5",
    "image/jls": "1.2.840.10008.1.2.4.80",
    "image/jp2": "1.2.840.10008.1.2.4.90",
    "image/jpx": "1.2.840.10008.1.2.4.92",
    "image/jphc": "1.2.840.10008.1.2.4.201",
    "image/jxl": "1.2.840.10008.1.2.4.110",
}


@pytest.mark.parametrize("media_type", D_ROWS)
def test_image_types_without_transfer_syntax_BLK_18(client: Client, media_type: str) -> None:
    """What is stored so is sent as the type alone asks for it, and says what it is; nothing else has this type."""
    syntax = D_ROWS[media_type]
    url = stored(client, made(syntax=syntax, frames=[b"abcd", b"efgh"]))
    assert client.get(url + "/frames/1", media_type).content == b"abcd"  # BLK-11
    answer = client.get(url + "/frames/1,2", f'multipart/related; type="{media_type}"')
    assert (answer.header("Content-Type") or "").startswith(f'multipart/related; type="{media_type}"')
    assert [content for _, content in answer.parts] == [b"abcd", b"efgh"]
    assert {headers["content-type"] for headers, _ in answer.parts} == {f"{media_type}; transfer-syntax={syntax}"}
    for other in D_ROWS.keys() - {media_type}:
        assert client.get(url + "/frames/1", other).status == 406
        assert client.get(url + "/frames/1", f"{media_type}; transfer-syntax={D_ROWS[other]}").status == 406


RLE_IMAGE = made(1, 1, 1, syntax="1.2.840.10008.1.2.5", frames=[b"abcd"])
NATIVE_IMAGE = made(1, 1, 2, frames=[b"efgh"])


@pytest.mark.parametrize("order", [(RLE_IMAGE, NATIVE_IMAGE), (NATIVE_IMAGE, RLE_IMAGE)], ids=["RLE first", "RLE last"])
@pytest.mark.parametrize("target", ["/pixeldata", "/bulkdata"])
def test_pixel_data_that_cannot_be_sent_are_counted_in_a_warning(
    client: Client, order: tuple[bytes, bytes], target: str
) -> None:
    client.store(*order)
    answer = client.get(path(1) + target, OCTETS)
    assert answer.status == 200
    assert [content for _, content in answer.parts] == [b"efgh"]
    assert answer.header("Warning") == f"299 {BASE}: 1 of 2 values cannot be sent in an acceptable form"


@pytest.mark.parametrize("level", [1, 3], ids=["study", "instance"])
def test_bulk_data_beside_compressed_pixel_data_are_sent_as_octets(client: Client, level: int) -> None:
    """Each value is negotiated for itself (8.7.8.1)."""
    client.store(made(syntax="1.2.840.10008.1.2.5", frames=[b"abcd"], EncapsulatedDocument=b"%PDF" * 1_000))
    target = path(*(1, 1, 1)[:level]) + "/bulkdata"
    answer = client.get(target, OCTETS)
    assert answer.status == 200
    assert [content for _, content in answer.parts] == [b"%PDF" * 1_000]
    answer = client.get(target, "*/*")
    assert [content for _, content in answer.parts] == [b"%PDF" * 1_000, b"abcd"]
    root = answer.parts[0][0]["content-type"].split(";")[0]
    assert (answer.header("Content-Type") or "").startswith(f'multipart/related; type="{root}"')  # MUL-07


@pytest.mark.parametrize("target", ["/pixeldata", "/bulkdata"])
@pytest.mark.parametrize("level", [1, 2, 3], ids=["study", "series", "instance"])
def test_without_bulk_data_there_are_no_parts_MUL_10(client: Client, level: int, target: str) -> None:
    client.store(made())
    for accept in ("*/*", OCTETS):
        answer = client.get(path(*(1, 1, 1)[:level]) + target, accept)
        assert (answer.status, answer.parts) == (200, [])
    assert client.get(path(*(1, 1, 1)[:level]) + target, "image/png").status == 406


def test_frames_that_cannot_be_told_apart_are_counted_in_a_warning(client: Client) -> None:
    three = part10_bytes.part10(
        part10_bytes.element(0x00280008, "IS", b"2 "),
        part10_bytes.fragments(b"", b"ab", b"cd", b"ef"),
        syntax="1.2.840.10008.1.2.5",
    )
    client.store(three, made(4, SOPInstanceUID="1.2.9", StudyInstanceUID="1.2.3", frames=[b"abcd"]))
    answer = client.get("/studies/1.2.3/pixeldata", "*/*")
    assert [content for _, content in answer.parts] == [b"abcd"]
    assert answer.header("Warning") == f"299 {BASE}: 1 of 2 values cannot be sent in an acceptable form"
    answer = client.get(f"{url_of(three)}/pixeldata", "*/*")
    assert answer.status == 406
