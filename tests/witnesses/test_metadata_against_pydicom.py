"""Our metadata and pydicom's, element by element, over every real file that installed packages ship.

Where we differ on purpose a line of DIFFERENCES says why; nothing else may differ. Bulk values are compared by their
bytes. The outcome is a table: files refused, and those that are no instances.
"""

from __future__ import annotations

import base64
import json
import struct
import sys
import warnings
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any

import pydicom
import pytest
from lxml import etree
from pydicom.multival import MultiValue

from dicomweb_core.codecs.dicom_xml import to_xml
from dicomweb_core.codecs.file_meta import read_file_meta
from dicomweb_core.codecs.json_numbers import with_number_texts
from dicomweb_core.codecs.part10_reader import BytesSource, read_part10
from dicomweb_core.codecs.part10_scanner import Scan, scan
from dicomweb_core.codecs.window import ForwardSource, InflatedSource, Window
from dicomweb_core.errors import InvalidDataset
from dicomweb_core.values.attributes import Attributes, json_text
from dicomweb_core.values.limits import Limits
from dicomweb_core.values.transfer_syntaxes import transfer_syntax
from tests.witnesses.real_files import name_of, real_files

LIMITS = Limits()


def scan_file(content: bytes) -> tuple[ForwardSource, Scan, bool]:
    """The data set without asking for UIDs, what its offsets count in, and whether it is big endian."""
    source: ForwardSource = BytesSource(content)
    window = Window(source)
    meta = read_file_meta(window)
    syntax = transfer_syntax(meta.transfer_syntax_uid)
    if syntax.deflated:
        source = InflatedSource(BytesSource(content), meta.dataset_offset, LIMITS)
        window = Window(source, meta.dataset_offset, forwards=True)
    else:
        window.refill(meta.dataset_offset)
    found = scan(window, LIMITS, implicit=syntax.implicit, big_endian=syntax.big_endian)
    return source, found, syntax.big_endian


# -- differences on purpose ----------------------------------------------------------------------------------------
# (name, reason, whether (key, ours, theirs) is one of these). `ours` or `theirs` is None where an attribute is missing.

Attribute = dict[str, Any]
_WORDS = {"OW": 2, "OF": 4, "OL": 4, "OD": 8, "OV": 8}


def _values(attribute: Attribute | None) -> list[Any]:
    return (attribute or {}).get("Value", [])


def _is_group_length(key: str, ours: Attribute | None, theirs: Attribute | None) -> bool:
    return ours is None and key.endswith("0000")


def _is_padding(key: str, ours: Attribute | None, theirs: Attribute | None) -> bool:
    return ours is None and key == "FFFCFFFC"


def _is_character_set(key: str, ours: Attribute | None, theirs: Attribute | None) -> bool:
    return key == "00080005" and _values(ours) == ["ISO_IR 192"] and bool(_values(theirs))


def _is_single_precision(key: str, ours: Attribute | None, theirs: Attribute | None) -> bool:
    def exact(values: list[Any]) -> list[bytes]:
        return [struct.pack("<f", value) for value in values]

    if ours is None or theirs is None or ours["vr"] != "FL" or theirs["vr"] != "FL":
        return False
    return exact(_values(ours)) == exact(_values(theirs))


def _is_padded_text(key: str, ours: Attribute | None, theirs: Attribute | None) -> bool:
    values = _values(theirs)
    if (
        ours is None
        or theirs is None
        or ours["vr"] != theirs["vr"]
        or not all(isinstance(v, str | None) for v in values)
    ):
        return False
    stripped = [(value or "").strip(" \0") or None for value in values]
    return bool(values) and _values(ours) == stripped


def _is_number_text(key: str, ours: Attribute | None, theirs: Attribute | None) -> bool:
    if ours is None or theirs is None or ours["vr"] not in ("IS", "DS") or ours["vr"] != theirs["vr"]:
        return False
    return [None if value is None else float(value) for value in _values(ours)] == _values(theirs)


def _is_byte_order(key: str, ours: Attribute | None, theirs: Attribute | None) -> bool:
    if ours is None or theirs is None or ours["vr"] not in _WORDS:
        return False
    size = _WORDS[ours["vr"]]
    mine, other = (base64.b64decode(each.get("InlineBinary", "")) for each in (ours, theirs))
    return mine == b"".join(other[i : i + size][::-1] for i in range(0, len(other), size))


Rule = Callable[[str, Attribute | None, Attribute | None], bool]
DIFFERENCES: dict[str, Rule] = {
    "Group lengths do not exist in JSON (PS3.18 F.2.2)": _is_group_length,
    "Data Set Trailing Padding means nothing (PS3.10 7.2)": _is_padding,
    "The text of JSON is UTF-8, and (0008,0005) says so (PS3.18 F.2)": _is_character_set,
    "FL: the shortest decimal of the same binary32 number; pydicom writes that of the binary64": _is_single_precision,
    "Padding of each value is no part of it (PS3.5 6.2), an empty one is null (PS3.18 F.2.5)": _is_padded_text,
    "IS that are not written like JSON numbers keep their text (PS3.18 F.2.3)": _is_number_text,
    "InlineBinary is little endian (PS3.18 F.2.7); pydicom writes what lies in the file": _is_byte_order,
}


def reason(key: str, ours: Attribute | None, theirs: Attribute | None) -> str | None:
    """Why they differ; None when there is no reason to."""
    return next((name for name, rule in DIFFERENCES.items() if rule(key, ours, theirs)), None)


def differences(path: str, ours: Attributes, theirs: Attributes, reasons: set[str]) -> list[str]:
    """Paths and contents of what differs without a reason. Collects the reasons there are."""
    found: list[str] = []
    pending = [(path, ours, theirs)]
    while pending:
        path, ours, theirs = pending.pop()
        for key in sorted(ours.keys() | theirs.keys()):
            mine, other = ours.get(key), theirs.get(key)
            if mine == other:
                continue
            why = reason(key, mine, other)
            if why is not None:
                reasons.add(why)
                continue
            items = _values(mine), _values(other)
            both_sequences = mine is not None and other is not None and mine["vr"] == other["vr"] == "SQ"
            if both_sequences and len(items[0]) == len(items[1]):
                pending += [(f"{path}{key}/{i}/", *pair) for i, pair in enumerate(zip(*items, strict=True))]
            else:
                found.append(f"{path}{key}: {str(mine)[:100]} is not {str(other)[:100]}")
    return found


def fill_in(found: Scan, source: ForwardSource, *, big_endian: bool) -> int:
    """Puts InlineBinary for every BulkDataURI, as pydicom does; how many. Each must be where its path says."""
    bulk = {value.path: value for value in found.bulk}
    count = 0
    pending = [("", found.attributes)]
    while pending:
        path, attributes = pending.pop()
        for key, attribute in attributes.items():
            if "BulkDataURI" in attribute:
                assert attribute.pop("BulkDataURI") == f"\x01/bulkdata/{path}{key}"
                value = bulk.pop(path + key)
                raw = source.read(value.offset, value.length)
                size = _WORDS.get(value.vr, 1) if big_endian else 1
                raw = b"".join(raw[i : i + size][::-1] for i in range(0, len(raw), size)) if size > 1 else raw
                attribute["InlineBinary"] = base64.b64encode(raw).decode()
                count += 1
            elif attribute["vr"] == "SQ":
                pending += [(f"{path}{key}/{i}/", item) for i, item in enumerate(_values(attribute))]
    assert not bulk
    return count


UNREADABLE = {
    "DICOMDIR-nooffset",
    "MR_truncated.dcm",
    "emri_small_jpeg_2k_lossless_too_short.dcm",
    "meta_missing_tsyntax.dcm",
    "rtplan_truncated.dcm",
}
"""Files whose structure is broken: there are no metadata to compare. REFUSED says why."""

BEYOND_PYDICOM: dict[str, Attributes] = {"badVR.dcm": {"00280008": {"vr": "IS", "Value": ["1A"]}}}
"""Values that pydicom reads and cannot write as JSON, by file and tag."""


@lru_cache
def comparison(path: Path) -> tuple[list[str], frozenset[str]]:
    """What differs without a reason, and the reasons of the rest. Raises InvalidDataset."""
    source, found, big_endian = scan_file(path.read_bytes())
    fill_in(found, source, big_endian=big_endian)
    assert sorted(found.attributes) == list(found.attributes)
    reasons: set[str] = set()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        dataset = pydicom.dcmread(path)
        for key, value in BEYOND_PYDICOM.get(path.name, {}).items():
            with pytest.raises(ValueError):
                dataset[key].to_json_dict(None, 0)
            del dataset[key]
            assert found.attributes.pop(key) == value
        theirs = json.loads(json.dumps(dataset.to_json_dict()))
    return differences("", found.attributes, theirs, reasons), frozenset(reasons)


@pytest.mark.parametrize("path", [path for path in real_files() if path.name not in UNREADABLE], ids=name_of)
def test_metadata_are_those_of_pydicom(path: Path) -> None:
    assert comparison(path)[0] == []


def test_every_listed_difference_occurs() -> None:
    readable = (path for path in real_files() if path.name not in UNREADABLE)
    assert set().union(*(comparison(path)[1] for path in readable)) == set(DIFFERENCES)


# -- spelling ------------------------------------------------------------------------------------------------------


def _spellings(dataset: pydicom.Dataset, at: str = "") -> dict[str, list[str]]:
    """DS and IS values by path, as they stand in the file but for padding."""
    found: dict[str, list[str]] = {}
    for element in dataset:
        path = f"{at}{element.tag:08X}"
        if element.VR == "SQ":
            for index, item in enumerate(element.value, 1):
                found |= _spellings(item, f"{path}/{index}/")
        elif element.VR in ("DS", "IS") and element.value not in (None, ""):
            values = element.value if isinstance(element.value, MultiValue) else [element.value]
            found[path] = [getattr(value, "original_string", str(value)) for value in values]
    return found


def _spellings_of_xml(parent: etree._Element, at: str = "") -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for attribute in parent:
        path = at + attribute.get("tag", "")
        if attribute.get("vr") == "SQ":
            for item in attribute:
                found |= _spellings_of_xml(item, f"{path}/{item.get('number')}/")
        elif attribute.get("vr") in ("DS", "IS") and len(attribute):
            found[path] = [value.text or "" for value in attribute]
    return found


@pytest.mark.parametrize("path", [path for path in real_files() if path.name not in UNREADABLE], ids=name_of)
def test_xml_has_ds_and_is_as_the_file_spells_them(path: Path) -> None:
    """Private blocks have other numbers in XML: only public attributes can be compared by tag."""
    _, found, _ = scan_file(path.read_bytes())
    document = etree.fromstring(to_xml(with_number_texts(json_text(found.attributes))))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        dataset = pydicom.dcmread(path)
        for key in BEYOND_PYDICOM.get(path.name, {}):
            del dataset[key]
        dataset.remove_private_tags()
        theirs = _spellings(dataset)
    ours = _spellings_of_xml(document)
    assert {key: ours.get(key) for key in theirs} == theirs


def test_spellings_that_json_numbers_would_lose_occur() -> None:
    texts = [
        json_text(scan_file(path.read_bytes())[1].attributes) for path in real_files() if path.name == "CT_small.dcm"
    ]
    assert len(texts) == 1
    assert b'"00180050":{"vr":"DS","Value":[5.000000]}' in texts[0]


# -- what is refused -----------------------------------------------------------------------------------------------

NO_STUDY = "has no Study Instance UID"
REFUSED = {
    "DICOMDIR": NO_STUDY,
    "DICOMDIR-bigEnd": NO_STUDY,
    "DICOMDIR-empty.dcm": NO_STUDY,
    "DICOMDIR-implicit": NO_STUDY,
    "DICOMDIR-nooffset": "is longer than its sequence",
    "DICOMDIR-nopatient": NO_STUDY,
    "DICOMDIR-reordered": NO_STUDY,
    "JPEGLSNearLossless_08.dcm": NO_STUDY,
    "JPEGLSNearLossless_16.dcm": NO_STUDY,
    "MR_truncated.dcm": "which is more than there are",
    "SC_rgb_jls_lossy_line.dcm": NO_STUDY,
    "SC_rgb_jls_lossy_sample.dcm": NO_STUDY,
    "UN_sequence.dcm": NO_STUDY,
    "bad_sequence.dcm": "is not a UID",
    "chrSQEncoding.dcm": NO_STUDY,
    "chrSQEncoding1.dcm": NO_STUDY,
    "emri_small_jpeg_2k_lossless_too_short.dcm": "has no sequence delimiter",
    "empty_charset_LEI.dcm": NO_STUDY,
    "meta_missing_tsyntax.dcm": "Transfer Syntax UID (0002,0010) is missing",
    "nested_priv_SQ.dcm": NO_STUDY,
    "no_meta_group_length.dcm": NO_STUDY,
    "priv_SQ.dcm": NO_STUDY,
    "rtplan_truncated.dcm": "which is more than there are",
    # Color Palette Storage: instances without a patient (PS3.18 12).
    "fall.dcm": NO_STUDY,
    "hotiron.dcm": NO_STUDY,
    "hotmetalblue.dcm": NO_STUDY,
    "pet.dcm": NO_STUDY,
    "pet20step.dcm": NO_STUDY,
    "spring.dcm": NO_STUDY,
    "summer.dcm": NO_STUDY,
    "winter.dcm": NO_STUDY,
}
"""Real files that are refused, and what the refusal says. All others are instances."""


def _refuse_constant(name: str) -> Any:
    raise AssertionError(f"{name} is no JSON")


@pytest.mark.parametrize("path", real_files(), ids=name_of)
def test_real_files_are_read_or_refused_as_listed(path: Path) -> None:
    content = path.read_bytes()
    if path.name in REFUSED:
        with pytest.raises(InvalidDataset) as refusal:
            read_part10(BytesSource(content), LIMITS)
        assert REFUSED[path.name] in str(refusal.value)
        return
    read = read_part10(BytesSource(content), LIMITS)
    text = read.metadata.replace(b"\x01", b"\\u0001")
    assert json.loads(text, parse_constant=_refuse_constant) == read.attributes
    assert read.layout.dataset_offset + read.layout.dataset_length <= len(content) or read.layout.deflated
    assert sys.getsizeof(read.layout.pack()) < 100_000
