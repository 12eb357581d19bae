"""`includefield` on metadata, and what a site has inline. The standard has neither; users ask for both."""

from __future__ import annotations

import base64
import io
import warnings
from urllib.parse import quote

import pydicom
import pytest
from lxml import etree

from dicomweb_core import Limits, OriginServer
from dicomweb_core.errors import InvalidQuery
from dicomweb_core.rules.query_parser import parse_metadata_fields
from dicomweb_memory import MemoryInstanceStore
from tests.clients import Client, file_bytes
from tests.made import made, path
from tests.standard.test_metadata import MAY_BE_BULK
from tests.standard.test_retrieve import XML, stored

CT = file_bytes("CT_small.dcm")
ALWAYS = {"00080005", "00080016", "00080018", "0020000D", "0020000E"}

FIELDS = [
    ("includefield=PatientName", {"00100010"}),
    ("includefield=00100010", {"00100010"}),
    ("includefield=PatientName,PixelSpacing", {"00100010", "00280030"}),
    ("includefield=PatientName%2CPixelSpacing", {"00100010", "00280030"}),
    ("includefield=PatientName&includefield=00280030", {"00100010", "00280030"}),
    ("includefield=%20PatientName%20,,", {"00100010"}),
    ("includefield=7fe00010", {"7FE00010"}),
    ("includefield=SOPInstanceUID", set()),
    ("includefield=PatientAddress", set()),
    ("includefield=00091001", {"00090010", "00091001"}),
    ("includefield=OtherPatientIDsSequence.PatientID", {"00101002"}),
    ("accept=application/dicom%2Bjson&includefield=PatientName&unknown=1", {"00100010"}),
]


@pytest.mark.parametrize(("query", "expected"), FIELDS, ids=[query for query, _ in FIELDS])
def test_only_the_fields_asked_for(memory_client: Client, query: str, expected: set[str]) -> None:
    url = stored(memory_client, CT)
    (whole,) = memory_client.get(f"{url}/metadata").json
    (data,) = memory_client.get(f"{url}/metadata?{query}").json
    assert data == {tag: whole[tag] for tag in whole if tag in expected | ALWAYS}
    assert list(data) == sorted(data)
    assert expected <= set(data)


@pytest.mark.parametrize("query", ["includefield=all", "includefield=PatientName,all", "includefield=", "includefield"])
def test_all_fields(memory_client: Client, query: str) -> None:
    url = stored(memory_client, CT)
    assert memory_client.get(f"{url}/metadata?{query}").content == memory_client.get(f"{url}/metadata").content


@pytest.mark.parametrize(
    "name", ["PatientNam", "patientname", "0010001", "xx", "PatientName.", "PatientName.PatientID", "%FF", "%"]
)
def test_what_is_no_attribute_is_refused(memory_client: Client, name: str) -> None:
    url = stored(memory_client, CT)
    assert memory_client.get(f"{url}/metadata?includefield={name}").status == 400


def test_there_are_ceilings_A34() -> None:
    with pytest.raises(InvalidQuery):
        parse_metadata_fields("includefield=" + ",".join(["PatientName"] * 5), Limits(search_include_fields=4))
    with pytest.raises(InvalidQuery):
        parse_metadata_fields("includefield=" + ".".join(["00400275"] * 17), Limits())


@pytest.mark.parametrize("level", [1, 2, 3])
def test_of_every_instance_at_every_level(client: Client, level: int) -> None:
    client.store(made(1, 1, 1, PatientID="a"), made(1, 1, 2, PatientID="b"), made(1, 2, 1, PatientID="c"))
    target = path(*[1, 1, 1][:level])
    answer = client.get(f"{target}/metadata?includefield=PatientID")
    wanted = ALWAYS | {"00100020"}
    whole = client.get(f"{target}/metadata").json
    assert len(whole) == [3, 2, 1][level - 1]
    assert answer.json == [{tag: data[tag] for tag in data if tag in wanted} for data in whole]


def test_as_xml_with_the_creator_of_what_is_private(memory_client: Client) -> None:
    url = stored(memory_client, CT)
    ((_, content),) = memory_client.get(f"{url}/metadata?includefield=PixelSpacing,00091001", XML).parts
    root = etree.fromstring(content)
    assert {attribute.get("tag") for attribute in root} <= ALWAYS | {"00280030", "00090001"}
    assert [value.text for value in root.iterfind("*[@tag='00280030']/*")] == ["0.661468", "0.661468"]
    (private,) = root.iterfind("*[@tag='00090001']")
    assert private.get("privateCreator") == "GEMS_IDEN_01"


def test_numbers_are_spelled_as_in_the_file(memory_client: Client) -> None:
    """JSON has no other way to tell 5.000000 from 5.0 (PS3.18 F.2.3)."""
    url = stored(memory_client, CT)
    for query in ("", "?includefield=SliceThickness"):
        assert b'"00180050":{"vr":"DS","Value":[5.000000]}' in memory_client.get(f"{url}/metadata{query}").content
        ((_, content),) = memory_client.get(f"{url}/metadata{query}", XML).parts
        assert etree.fromstring(content).findtext("*[@tag='00180050']/*") == "5.000000"


# -- what is inline ------------------------------------------------------------------------------------------------


def with_inline(size: int) -> Client:
    limits = Limits(
        inline_binary_bytes=size, inline_numbers_bytes=size, inline_icc_profile_bytes=size, inline_text_bytes=size
    )
    return Client(OriginServer(instances=MemoryInstanceStore(), limits=limits))


FILES = ["CT_small.dcm", "waveform_ecg.dcm", "rtdose.dcm", "liver.dcm", "MR_small_RLE.dcm"]


def raw_values(content: bytes) -> dict[str, bytes]:
    """Value fields at the top of the data set, without pixel data, by pydicom."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        dataset = pydicom.dcmread(io.BytesIO(content))
        items = ((f"{tag:08X}", dataset.get_item(tag)) for tag in list(dataset.keys()) if tag != 0x7FE00010)
        return {name: item.value for name, item in items if isinstance(item.value, bytes) and item.VR != "SQ"}


@pytest.mark.parametrize("name", FILES)
def test_with_a_threshold_of_0_everything_that_may_is_a_bulk_data_uri_and_can_be_had_BLK_09(name: str) -> None:
    client, content = with_inline(0), file_bytes(name)
    url = stored(client, content)
    (data,) = client.get(f"{url}/metadata").json
    raw = raw_values(content)
    fetched = 0
    for tag, attribute in data.items():
        if attribute["vr"] in MAY_BE_BULK and len(attribute) > 1:
            assert list(attribute) == ["vr", "BulkDataURI"], tag
            if tag in raw:
                answer = client.get(attribute["BulkDataURI"], "application/octet-stream")
                assert (answer.status, answer.content) == (200, raw[tag]), tag
                fetched += 1
        else:
            assert "BulkDataURI" not in attribute, tag
    assert fetched >= 3


@pytest.mark.parametrize("name", FILES)
def test_with_a_large_threshold_everything_but_pixel_data_is_inline(name: str) -> None:
    client, content = with_inline(1 << 30), file_bytes(name)
    url = stored(client, content)
    text = client.get(f"{url}/metadata")
    (data,) = text.json
    pixel_data = data.pop("7FE00010", {})
    assert text.content.count(b'"BulkDataURI":') == ("BulkDataURI" in pixel_data)
    raw = raw_values(content)
    for tag, attribute in data.items():
        if "InlineBinary" in attribute and tag in raw:
            assert base64.b64decode(attribute["InlineBinary"]) == raw[tag], tag
    if pixel_data:
        accept = quote('multipart/related; type="application/octet-stream"; transfer-syntax=*', safe="")
        assert client.get(f"{pixel_data['BulkDataURI']}?accept={accept}").status == 200


@pytest.mark.parametrize(("size", "form"), [(1023, "BulkDataURI"), (1024, "InlineBinary")])
def test_a_value_as_large_as_the_threshold_is_inline(size: int, form: str) -> None:
    client = Client(OriginServer(instances=MemoryInstanceStore(), limits=Limits(inline_binary_bytes=size)))
    url = stored(client, made(EncapsulatedDocument=bytes(1024)))
    (data,) = client.get(f"{url}/metadata").json
    assert list(data["00420011"]) == ["vr", form]
