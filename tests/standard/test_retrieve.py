"""Retrieve (PS3.18 10.4): instances, metadata, frames, bulk data, over both backends."""

from __future__ import annotations

import io
import struct
import warnings
from pathlib import Path
from typing import Any

import pydicom
import pytest
from lxml import etree
from pydicom.encaps import generate_frames

from dicomweb_core import InstanceStore, Limits, OriginServer
from dicomweb_memory import MemoryInstanceStore
from tests.clients import ANY_DICOM, BASE, JSON, OCTETS, Client, file_bytes
from tests.made import EXPLICIT, made, path, uid
from tests.witnesses.real_files import name_of, real_files

XML = 'multipart/related; type="application/dicom+xml"'
DICOM = 'multipart/related; type="application/dicom"'
ELE = "1.2.840.10008.1.2.1"

CT = file_bytes("CT_small.dcm")
BIG_ENDIAN = file_bytes("MR_small_bigendian.dcm")
IMPLICIT = file_bytes("MR_small_implicit.dcm")
DEFLATED = file_bytes("image_dfl.dcm")
JPEG_LS = file_bytes("MR_small_jpeg_ls_lossless.dcm")
JPEG = file_bytes("SC_rgb_jpeg_dcmtk.dcm")
MULTI_FRAME = file_bytes("SC_rgb_rle_2frame.dcm")
ONE_BIT = file_bytes("liver.dcm")


def url_of(instance: bytes) -> str:
    data = pydicom.dcmread(io.BytesIO(instance), stop_before_pixels=True)
    return f"/studies/{data.StudyInstanceUID}/series/{data.SeriesInstanceUID}/instances/{data.SOPInstanceUID}"


def stored(client: Client, *instances: bytes) -> str:
    """Stores instances; the path of the first."""
    assert client.store(*instances).status == 200
    return url_of(instances[0])


@pytest.mark.parametrize("level", [1, 2, 3], ids=["study", "series", "instance"])
def test_every_level_returns_its_instances_RET_01_RET_02_RET_12(client: Client, level: int) -> None:
    url = stored(client, CT)
    answer = client.get("/".join(url.split("/")[: 1 + 2 * level]), ANY_DICOM)
    assert answer.status == 200
    assert (answer.header("Content-Type") or "").startswith('multipart/related; type="application/dicom"')
    assert answer.length is not None
    ((headers, content),) = answer.parts
    assert content == CT
    assert headers["content-type"] == f"application/dicom; transfer-syntax={ELE}"
    assert headers["content-location"] == BASE + url
    assert headers["content-length"] == str(len(CT))


def test_single_part_of_one_instance_RET_04(client: Client) -> None:
    url = stored(client, CT)
    answer = client.get(url, "application/dicom")
    assert answer.status == 200
    assert answer.header("Content-Type") == f"application/dicom; transfer-syntax={ELE}"
    assert answer.header("Content-Location") == BASE + url
    assert answer.header("X-Content-Type-Options") == "nosniff"
    assert answer.content == CT


@pytest.mark.parametrize("level", [1, 2])
def test_single_part_of_several_is_not_acceptable_RET_05(client: Client, level: int) -> None:
    url = stored(client, CT)
    answer = client.get("/".join(url.split("/")[: 1 + 2 * level]), "application/dicom")
    assert answer.status == 406
    assert answer.json["available"]


@pytest.mark.parametrize("target", ["", "/metadata", "/frames/1", "/bulkdata/7FE00010", "/bulkdata", "/pixeldata"])
def test_unknown_instance_RET_06(memory_client: Client, target: str) -> None:
    assert memory_client.get("/studies/1.2/series/1.3/instances/1.4" + target).status == 404


def test_instance_under_another_series_RET_14(client: Client) -> None:
    study, series, instance = stored(client, CT).split("/")[2::2]
    assert client.get(f"/studies/{study}/series/1.2.3/instances/{instance}", ANY_DICOM).status == 404
    assert client.get(f"/studies/1.2.3/series/{series}/instances/{instance}", ANY_DICOM).status == 404


@pytest.mark.parametrize("uid", ["abc", "1..2", "1.2.", ".1", "1" * 65, "1.2%0A", "%C2%B2", "1.2;x=y", "..%5c"])
def test_malformed_uid_RET_08_A15_A38(memory_client: Client, uid: str) -> None:
    assert memory_client.get(f"/studies/{uid}").status == 400


@pytest.mark.parametrize(
    ("instance", "accept", "expected"),
    [
        pytest.param(IMPLICIT, DICOM, ELE, id="COM-22 implicit to explicit"),
        pytest.param(BIG_ENDIAN, DICOM, ELE, id="COM-22 big endian to explicit"),
        pytest.param(DEFLATED, DICOM, ELE, id="COM-23 deflated to explicit"),
        pytest.param(CT, "*/*", ELE, id="COM-15 wildcard gives the default"),
        pytest.param(JPEG, DICOM, "1.2.840.10008.1.2.4.50", id="RET-15 lossy stays lossy"),
        pytest.param(JPEG_LS, "*/*", "1.2.840.10008.1.2.4.80", id="wildcard takes what needs no decoding"),
    ],
)
def test_transfer_syntax_sent(client: Client, instance: bytes, accept: str, expected: str) -> None:
    url = stored(client, instance)
    ((headers, content),) = client.get(url, accept).parts
    assert headers["content-type"] == f"application/dicom; transfer-syntax={expected}"
    data = pydicom.dcmread(io.BytesIO(content))
    assert data.file_meta.TransferSyntaxUID == expected  # RET-13
    original = pydicom.dcmread(io.BytesIO(instance))
    assert data.PatientName == original.PatientName
    if original.file_meta.TransferSyntaxUID.is_encapsulated:
        assert data.PixelData == original.PixelData
    else:
        assert (data.pixel_array == original.pixel_array).all()


def test_retired_syntaxes_can_be_kept_from_the_wire_COM_22(server: OriginServer) -> None:
    client = Client(OriginServer(instances=server.site.instances, send_retired_syntaxes=False))
    url = stored(client, IMPLICIT)
    ((headers, _),) = client.get(url, ANY_DICOM).parts
    assert headers["content-type"] == f"application/dicom; transfer-syntax={ELE}"


def test_unsupported_transfer_syntax_RET_09(client: Client) -> None:
    url = stored(client, CT)
    answer = client.get(url, f"{DICOM}; transfer-syntax=1.2.840.10008.1.2.4.999")
    assert answer.status == 406
    assert answer.json["available"]


@pytest.mark.parametrize("level", [1, 2, 3], ids=["study", "series", "instance"])
def test_metadata_MET_01_MET_02_JSN_01_JSN_05(client: Client, level: int) -> None:
    url = stored(client, CT)
    answer = client.get("/".join(url.split("/")[: 1 + 2 * level]) + "/metadata")
    assert answer.status == 200
    assert answer.header("Content-Type") == JSON
    (data,) = answer.json
    assert data["00100010"] == {"vr": "PN", "Value": [{"Alphabetic": "CompressedSamples^CT1"}]}
    assert list(data) == sorted(data)
    assert not [tag for tag in data if tag.startswith("0002") or tag.endswith("0000")]


def test_metadata_as_xml_MET_03_XML_01(client: Client) -> None:
    url = stored(client, CT)
    answer = client.get(url + "/metadata", XML)
    ((headers, content),) = answer.parts
    assert headers["content-type"] == "application/dicom+xml"
    assert b"http://dicom.nema.org/PS3.19/models/NativeDICOM" in content


def bulk_urls(attributes: dict[str, Any]) -> list[tuple[str, str]]:
    """VR and URL of all bulk data, at all depths."""
    found = []
    for attribute in attributes.values():
        if "BulkDataURI" in attribute:
            found.append((attribute["vr"], attribute["BulkDataURI"]))
        if attribute["vr"] == "SQ":
            for item in attribute.get("Value", []):
                found += bulk_urls(item)
    return found


@pytest.mark.parametrize("name", ["CT_small.dcm", "MR_small_bigendian.dcm", "image_dfl.dcm", "rtdose.dcm", "liver.dcm"])
def test_every_bulk_data_uri_resolves_MET_06_BLK_01_BLK_02(client: Client, name: str) -> None:
    url = stored(client, file_bytes(name))
    (data,) = client.get(url + "/metadata").json
    urls = bulk_urls(data)
    assert urls
    for _vr, bulk in urls:
        answer = client.get(bulk, OCTETS)
        assert answer.status == 200
        ((headers, content),) = answer.parts
        assert headers["content-location"] == bulk
        assert content
        assert client.get(bulk, "application/octet-stream").content == content  # BLK-10


def test_pixel_data_of_a_big_endian_instance_is_little_endian_BLK_20(client: Client) -> None:
    url = stored(client, BIG_ENDIAN)
    original = pydicom.dcmread(io.BytesIO(BIG_ENDIAN))
    expected = original.pixel_array.astype("<i2").tobytes()
    for target in ("/frames/1", "/bulkdata/7FE00010", "/pixeldata"):
        ((_, content),) = client.get(url + target, OCTETS).parts
        assert content == expected


def test_frames_come_in_the_order_asked_for_BLK_08_BLK_14_BLK_15_BLK_16(client: Client) -> None:
    url = stored(client, MULTI_FRAME)
    data = pydicom.dcmread(io.BytesIO(MULTI_FRAME))
    first, second = generate_frames(data.PixelData, number_of_frames=2)
    answer = client.get(url + "/frames/2,1", 'multipart/related; type="application/octet-stream"; transfer-syntax=*')
    assert [content for _, content in answer.parts] == [second, first]
    assert [headers["content-location"] for headers, _ in answer.parts] == [
        f"{BASE}{url}/frames/2",
        f"{BASE}{url}/frames/1",
    ]
    assert {headers["content-type"] for headers, _ in answer.parts} == {
        "image/dicom-rle; transfer-syntax=1.2.840.10008.1.2.5"
    }


@pytest.mark.parametrize(
    ("frames", "status"),
    [("1", 200), ("1,2", 200), ("3", 404), ("1,3", 404), ("0", 400), ("-1", 400), ("x", 400), ("1,", 400), ("1-2", 400),
     ("1" * 300, 400), (",".join(["1"] * 10_001), 413)],
    ids=lambda value: str(value)[:12],
)  # fmt: skip
def test_frame_lists_BLK_12_BLK_13_A20(client: Client, frames: str, status: int) -> None:
    url = stored(client, MULTI_FRAME)
    assert client.get(f"{url}/frames/{frames}").status == status


def test_one_bit_frames_begin_at_bit_0_BLK_21(client: Client) -> None:
    url = stored(client, ONE_BIT)
    data = pydicom.dcmread(io.BytesIO(ONE_BIT))
    bits = "".join(f"{byte:08b}"[::-1] for byte in data.PixelData)
    size = data.Rows * data.Columns
    for number in range(1, int(data.NumberOfFrames) + 1):
        ((_, content),) = client.get(f"{url}/frames/{number}", OCTETS).parts
        frame = "".join(f"{byte:08b}"[::-1] for byte in content)
        assert frame[:size] == bits[(number - 1) * size : number * size]


def test_single_part_frame_BLK_10_BLK_11(client: Client) -> None:
    url = stored(client, JPEG_LS)
    answer = client.get(url + "/frames/1", "image/jls")
    assert answer.status == 200
    assert answer.header("Content-Type") == "image/jls; transfer-syntax=1.2.840.10008.1.2.4.80"
    assert answer.content[:2] == b"\xff\xd8"


@pytest.mark.parametrize("level", [1, 2, 3], ids=["study", "series", "instance"])
def test_pixel_data_and_bulk_data_at_every_level_BLK_03_BLK_04_BLK_05_BLK_06_BLK_07(client: Client, level: int) -> None:
    url = stored(client, CT)
    (data,) = client.get(url + "/metadata").json
    target = "/".join(url.split("/")[: 1 + 2 * level])
    ((headers, content),) = client.get(target + "/pixeldata", OCTETS).parts
    assert content == pydicom.dcmread(io.BytesIO(CT)).PixelData
    assert headers["content-location"] == data["7FE00010"]["BulkDataURI"]
    bulk = client.get(target + "/bulkdata", OCTETS).parts
    assert {headers["content-location"] for headers, _ in bulk} == {uri for _, uri in bulk_urls(data)}


def test_octet_stream_of_an_instance_is_its_bulk_data_RET_03(client: Client) -> None:
    url = stored(client, CT)
    assert [part for _, part in client.get(url, OCTETS).parts] == [
        part for _, part in client.get(url + "/bulkdata", OCTETS).parts
    ]


def test_urls_are_relative_on_request(server: OriginServer) -> None:
    client = Client(OriginServer(instances=server.site.instances, relative_urls=True))
    url = stored(client, CT)
    (data,) = client.get(url + "/metadata").json
    assert data["7FE00010"]["BulkDataURI"] == f"/dicom-web{url}/bulkdata/7FE00010"


# -- what belongs to every part ----------------------------------------------------------------------------------------

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


# -- metadata ----------------------------------------------------------------------------------------------------------


MAY_BE_BULK = {
    *("DS", "FL", "FD", "IS", "LT", "OB", "OD", "OF", "OL", "OV", "OW"),
    *("SL", "SS", "ST", "SV", "UC", "UL", "UN", "US", "UT", "UV"),
}  # PS3.18 10.4.3.3.2


def paths(attributes: dict[str, Any], at: str = "") -> set[str]:
    """Of all attributes at all depths."""
    found = set()
    for tag, attribute in attributes.items():
        found.add(at + tag)
        if attribute["vr"] == "SQ":
            for position, item in enumerate(attribute.get("Value", [])):
                found |= paths(item, f"{at}{tag}/{position}/")
    return found


def paths_of(dataset: pydicom.Dataset, at: str = "") -> set[str]:
    """The same by pydicom, less what metadata never have (JSN-04; PS3.10 7.2)."""
    found = set()
    for element in dataset:
        tag = f"{element.tag:08X}"
        if not tag.endswith("0000") and tag != "FFFCFFFC":
            found.add(at + tag)
            if element.VR == "SQ":
                for position, item in enumerate(element.value):
                    found |= paths_of(item, f"{at}{tag}/{position}/")
    return found


@pytest.mark.parametrize("inline", [0, 1 << 30], ids=["all bulk", "all inline"])
@pytest.mark.parametrize("file", real_files(), ids=name_of)
def test_metadata_have_every_attribute_MET_04_MET_05_JSN_17(memory_client: Client, file: Path, inline: int) -> None:
    limits = Limits(
        inline_binary_bytes=inline,
        inline_numbers_bytes=inline,
        inline_icc_profile_bytes=inline,
        inline_text_bytes=inline,
    )
    client = Client(OriginServer(instances=MemoryInstanceStore(), limits=limits))
    sent = file.read_bytes()
    answer = client.store(sent)
    if answer.status != 200:  # which these are is listed in tests/witnesses
        assert answer.status == 400
        return
    (data,) = client.get(url_of(sent) + "/metadata").json
    for attribute in data.values():
        assert len(attribute.keys() & {"Value", "BulkDataURI", "InlineBinary"}) == len(attribute) - 1
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        original = pydicom.dcmread(io.BytesIO(sent))
        theirs = paths_of(original)
    assert paths(data) == theirs
    assert {vr for vr, _ in bulk_urls(data)} <= MAY_BE_BULK


def test_metadata_as_xml_are_one_document_a_part_XML_03(client: Client) -> None:
    url = stored(client, made(1, 1, 1), made(1, 1, 2), made(1, 2, 1))
    parts = client.get("/".join(url.split("/")[:3]) + "/metadata", XML).parts
    roots = [etree.fromstring(content) for _, content in parts]
    assert [root.findtext("*[@tag='00080018']/*") for root in roots] == [uid(1, 1, 1), uid(1, 1, 2), uid(1, 2, 1)]


@pytest.mark.parametrize("charset", ["utf-8", "UTF-8", "ISO-8859-1;q=0.1,utf-8", "ISO_IR%20192"])
def test_the_charset_of_metadata_MET_07_JSN_18(client: Client, charset: str) -> None:
    """UTF-8 is what is supported, whatever the file was written in."""
    client.store(made(SpecificCharacterSet="ISO_IR 100", PatientName="Ångström^Jörg"))
    answer = client.get(f"{path(1)}/metadata?charset={charset}")
    assert answer.status == 200
    assert answer.json[0]["00100010"]["Value"] == [{"Alphabetic": "Ångström^Jörg"}]
    assert answer.json[0]["00080005"]["Value"] == ["ISO_IR 192"]
    ((_, xml),) = client.get(f"{path(1)}/metadata?charset={charset}", XML).parts
    assert "Ångström" in xml.decode("utf-8")


def test_padding_is_no_part_of_a_value_JSN_19(client: Client) -> None:
    """And is there again in the Part 10 file that is converted."""
    sent = made(1, 1, 10, syntax="1.2.840.10008.1.2", PatientID="odd", AccessionNumber="x ", ImageType=["A", "BC "])
    url = stored(client, sent)
    (data,) = client.get(url + "/metadata").json
    assert data["00100020"]["Value"] == ["odd"]
    assert data["00080050"]["Value"] == ["x"]
    assert data["00080008"]["Value"] == ["A", "BC"]
    name = uid(1, 1, 10)
    assert len(name) % 2 == 1
    assert data["00080018"]["Value"] == [name]
    converted = client.get(url, "application/dicom").content
    assert struct.pack("<HH2sH", 0x10, 0x20, b"LO", 4) + b"odd " in converted
    assert struct.pack("<HH2sH", 8, 0x18, b"UI", len(name) + 1) + name.encode() + b"\0" in converted


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


@pytest.mark.parametrize("file", real_files(), ids=name_of)
def test_every_bulk_data_uri_of_a_real_file_resolves_MET_06(memory_client: Client, file: Path) -> None:
    sent = file.read_bytes()
    if memory_client.store(sent).status != 200:
        return
    (data,) = memory_client.get(url_of(sent) + "/metadata").json
    for _, bulk in bulk_urls(data):
        for accept in ("*/*", 'multipart/related; type="application/octet-stream"; transfer-syntax=*'):
            answer = memory_client.get(bulk, accept)
            assert answer.status == 200, bulk
            assert answer.parts, bulk
            assert all(content for _, content in answer.parts), bulk


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
