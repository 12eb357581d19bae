"""Every real file: its metadata and bulk data out of one server, stored in another, give the same data set.

pydicom reads both files and compares every element. Where they differ on purpose a line of DIFFERENCES says why.
"""

from __future__ import annotations

import io
import json
import re
import warnings
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from pydicom import dcmread
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset, FileDataset
from pydicom.encaps import generate_frames
from pydicom.multival import MultiValue

from dicomweb_core import OriginServer
from dicomweb_memory import MemoryInstanceStore
from tests.clients import ANY_DICOM, BASE, JSON, Client
from tests.metadata_messages import Bulk, message
from tests.witnesses.real_files import name_of, real_files
from tests.witnesses.test_metadata_against_pydicom import REFUSED

XML = 'multipart/related; type="application/dicom+xml"'
INSTANCES = [path for path in real_files() if path.name not in REFUSED]


def bulk_data_uris(dataset: dict[str, Any]) -> Iterator[str]:
    pending = [dataset]
    while pending:
        for attribute in pending.pop().values():
            if "BulkDataURI" in attribute:
                yield attribute["BulkDataURI"]
            elif attribute["vr"] == "SQ":
                pending += attribute.get("Value", [])


def round_trip(path: Path, kind: str) -> bytes:
    """The file as it comes back from the second server."""
    first = Client(OriginServer(instances=MemoryInstanceStore()))
    url = first.store(path.read_bytes()).json["00081199"]["Value"][0]["00081190"]["Value"][0]
    (dataset,) = first.get(f"{url}/metadata", JSON).json
    bulk = []
    for uri in bulk_data_uris(dataset):
        answer = first.get(uri, 'multipart/related; type="*/*"; transfer-syntax=*')
        assert answer.status == 200, answer.content
        bulk += [(headers["content-type"], uri, content) for headers, content in answer.parts]
    if kind == JSON:
        metadata = json.dumps([dataset]).encode()
    else:
        ((_, metadata),) = first.get(f"{url}/metadata", XML).parts
    second = Client(OriginServer(instances=MemoryInstanceStore()))
    content_type, body = message(
        kind, [metadata], [Bulk(content, uri, media_type) for media_type, uri, content in bulk]
    )
    answer = second.request("POST", "/studies", body, Content_Type=content_type)
    assert answer.status == 200, answer.content
    ((_, content),) = second.get(url.removeprefix(BASE), ANY_DICOM).parts
    return content


# -- differences on purpose ----------------------------------------------------------------------------------------

Value = DataElement | None
_WORDS = {"OW": 2, "OL": 4, "OF": 4, "OD": 8, "OV": 8}


def _swapped(value: bytes, size: int) -> bytes:
    return b"".join(value[at : at + size][::-1] for at in range(0, len(value), size))


def _is_group_length(before: Value, after: Value) -> bool:
    return after is None and before is not None and before.tag.element == 0


def _is_trailing_padding(before: Value, after: Value) -> bool:
    return after is None and before is not None and before.tag == 0xFFFCFFFC


def _is_character_set(before: Value, after: Value) -> bool:
    return after is not None and after.tag == 0x00080005 and after.value == "ISO_IR 192"


def _is_padded_text(before: Value, after: Value) -> bool:
    if before is None or after is None or before.VR not in ("CS", "LO", "SH") or before.VR != after.VR:
        return False
    old, new = (each.value if isinstance(each.value, MultiValue) else [each.value] for each in (before, after))
    return [text.strip(" ") for text in old] == list(new)


def _is_byte_order(before: Value, after: Value) -> bool:
    if before is None or after is None or before.VR not in _WORDS or before.VR != after.VR:
        return False
    return bool(_swapped(before.value, _WORDS[before.VR]) == after.value)


DIFFERENCES: dict[str, Callable[[Value, Value], bool]] = {
    "Group lengths do not exist in JSON and XML (PS3.18 F.2.2)": _is_group_length,
    "Data Set Trailing Padding means nothing (PS3.10 7.2)": _is_trailing_padding,
    "Text is written as UTF-8, and (0008,0005) says so (PS3.18 F.2)": _is_character_set,
    "Padding of each value is no part of it (PS3.5 6.2)": _is_padded_text,
    "What was big endian is little endian": _is_byte_order,
}

CONTRADICTORY = {
    "JPEG2000-embedded-sequence-delimiter.dcm": "Columns (0028,0011) contradicts the pixel data",
    "badVR.dcm": "Number of Frames (0028,0008) contradicts the pixel data",
}
"""Files that are kept as they are, and refused as metadata with bulk data: their pixel data say otherwise."""

RENUMBERED = {"JPGLosslessP14SV1_1s_1f_8b.dcm"}
"""Files whose private blocks are not numbered from 10H without gaps: XML does not say their numbers (PS3.19 A.1.5)."""


def pixels(dataset: FileDataset) -> list[bytes]:
    """Native pixels as little endian words, or codestreams without the boxes around them and the pad byte."""
    syntax = dataset.file_meta.TransferSyntaxUID
    if not syntax.is_compressed or syntax.is_deflated:
        value = dataset.PixelData
        big = not syntax.is_little_endian and (dataset.BitsAllocated > 8 or dataset["PixelData"].VR == "OW")
        return [_swapped(value, max(2, dataset.BitsAllocated // 8)) if big else value]
    count = int(dataset.get("NumberOfFrames", 1) or 1)
    frames = generate_frames(dataset.PixelData, number_of_frames=count)
    return [frame[max(0, frame.find(b"jp2c") + 4) if frame[4:8] == b"jP  " else 0 :].rstrip(b"\0") for frame in frames]


def without_blocks(dataset: Dataset) -> dict[str, Any]:
    """The elements, private ones under their creator instead of the number of its block (PS3.5 7.8.1)."""
    named: dict[str, Any] = {}
    for element in dataset:
        if element.tag.is_private_creator:
            continue
        name = str(element.tag)
        if element.tag.is_private:
            creator = dataset.get((element.tag.group, element.tag.element >> 8))
            name = f"{creator.value if creator else ''} {element.tag.group:04X} {element.tag.element & 0xFF:02X}"
        named[name] = element
    return named


def differences(before: Dataset, after: Dataset, reasons: set[str], *, renumbered: bool) -> list[str]:
    """What differs without a reason. Collects the reasons there are."""
    found: list[str] = []
    pending = [("", before, after)]
    while pending:
        path, old, new = pending.pop()
        first, second = (
            without_blocks(each) if renumbered else {str(element.tag): element for element in each}
            for each in (old, new)
        )
        for name in sorted(first.keys() | second.keys()):
            x, y = first.get(name), second.get(name)
            if path == "" and name == "(7FE0,0010)" and x is not None and y is not None:
                continue
            if x is not None and y is not None and x.VR == y.VR:
                if x.VR == "SQ" and len(x.value) == len(y.value):
                    pairs = zip(x.value, y.value, strict=True)
                    pending += [(f"{path}{name}/{index}/", *pair) for index, pair in enumerate(pairs)]
                    continue
                if x.value == y.value:
                    continue
            why = next((reason for reason, rule in DIFFERENCES.items() if rule(x, y)), None)
            if why is None:
                found.append(f"{path}{name}: {str(x)[:100]} is now {str(y)[:100]}")
            else:
                reasons.add(why)
    return found


@cache
def comparison(path: Path, kind: str) -> tuple[list[str], frozenset[str]]:
    """What differs without a reason, and the reasons of the rest."""
    reasons: set[str] = set()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        before, after = dcmread(path), dcmread(io.BytesIO(round_trip(path, kind)))
        renumbered = kind != JSON and path.name in RENUMBERED
        found = differences(before, after, reasons, renumbered=renumbered)
        if "PixelData" in before and pixels(before) != pixels(after):
            found.append("Pixel Data")
    return found, frozenset(reasons)


@pytest.mark.parametrize("kind", [JSON, "application/dicom+xml"])
@pytest.mark.parametrize("path", [path for path in INSTANCES if path.name not in CONTRADICTORY], ids=name_of)
def test_metadata_and_bulk_data_are_the_instance(path: Path, kind: str) -> None:
    assert comparison(path, kind)[0] == []


def test_every_listed_difference_occurs() -> None:
    paths = [path for path in INSTANCES if path.name not in CONTRADICTORY]
    assert set().union(*(comparison(path, JSON)[1] for path in paths)) == set(DIFFERENCES)


@pytest.mark.parametrize("path", [path for path in INSTANCES if path.name in CONTRADICTORY], ids=name_of)
def test_what_contradicts_itself_is_refused(path: Path) -> None:
    with pytest.raises(AssertionError, match=re.escape(CONTRADICTORY[path.name])):
        round_trip(path, JSON)
