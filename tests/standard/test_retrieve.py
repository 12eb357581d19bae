"""Retrieve (PS3.18 10.4): instances, metadata, frames, bulk data, over both backends."""

from __future__ import annotations

import io
from typing import Any

import pydicom
import pytest
from pydicom.encaps import generate_frames

from dicomweb_core import OriginServer
from tests.clients import ANY_DICOM, BASE, JSON, OCTETS, Client, file_bytes

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
        pytest.param(JPEG_LS, "*/*", ELE, id="COM-24 wildcard decodes what is lossless"),
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
    if data.file_meta.TransferSyntaxUID.is_encapsulated:
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
