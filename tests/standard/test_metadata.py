"""Retrieve metadata (PS3.18 10.4.1.1.2, Annex F): nothing is missing, and what is referenced is there."""

from __future__ import annotations

import io
import struct
import warnings
from pathlib import Path
from typing import Any

import pydicom
import pytest
from lxml import etree

from dicomweb_core import Limits, OriginServer
from dicomweb_memory import MemoryInstanceStore
from tests.clients import Client
from tests.made import made, path, uid
from tests.standard.test_retrieve import XML, bulk_urls, stored, url_of
from tests.witnesses.real_files import name_of, real_files

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


@pytest.mark.parametrize("file", real_files(), ids=name_of)
def test_metadata_have_every_attribute_MET_04_MET_05_JSN_17(file: Path) -> None:
    """With ceilings of 0 every value that may be bulk data is."""
    limits = Limits(inline_binary_bytes=0, inline_numbers_bytes=0, inline_icc_profile_bytes=0, inline_text_bytes=0)
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
