"""Value fields become attributes of the DICOM JSON Model (PS3.18 F.2), whatever their bytes are."""

from __future__ import annotations

import base64
import json
import math
import struct
from decimal import Decimal
from typing import Any

import numpy as np
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dicomweb_core.codecs.character_sets import character_set
from dicomweb_core.codecs.part10_reader import BytesSource, ReadInstance, read_part10
from dicomweb_core.codecs.part10_values import READERS, Oddity
from dicomweb_core.values.attributes import Attribute, json_text
from dicomweb_core.values.limits import Limits
from tests.part10_bytes import BIG_ENDIAN, EXPLICIT, IMPLICIT, element, file_meta, implicit, item, part10, uids

PRIVATE = 0x00091001
"""Of nobody: any VR may stand here."""


def read(content: bytes, **limits: int) -> ReadInstance:
    return read_part10(BytesSource(content), Limits(**limits))


def attribute(vr: str, value: bytes, *, syntax: str = EXPLICIT) -> Attribute:
    order = ">" if syntax == BIG_ENDIAN else "<"
    found = read(part10(element(PRIVATE, vr, value, order=order), syntax=syntax))
    written = json.loads(found.metadata, parse_constant=lambda name: pytest.fail(name))
    assert written["00091001"] == found.attributes["00091001"]
    result: Attribute = found.attributes["00091001"]
    return result


def inline(value: bytes) -> str:
    return base64.b64encode(value).decode()


def packed(code: str, *numbers: float) -> bytes:
    return struct.pack(f"<{len(numbers)}{code}", *numbers)


TEXT = [
    ("AE", b" STATION ", ["STATION"]),
    ("AS", b"030Y", ["030Y"]),
    ("CS", b"ORIGINAL\\PRIMARY \\X ", ["ORIGINAL", "PRIMARY", "X"]),
    ("CS", b"A\\\\B ", ["A", None, "B"]),
    ("CS", b"A\\", ["A", None]),
    ("CS", b"\\A", [None, "A"]),
    ("DA", b"20240229", ["20240229"]),
    ("DA", b"no date ", ["no date"]),
    ("DT", b"20240229101010.5+0100 ", ["20240229101010.5+0100"]),
    ("LO", b" both sides ", ["both sides"]),
    ("LO", b"nul\0", ["nul"]),
    ("LT", b" two\r\nlines \\ one value  ", [" two\r\nlines \\ one value"]),
    ("ST", b"a\\b ", ["a\\b"]),
    ("UT", b"a\\b", ["a\\b"]),
    ("UR", b"http://x/\\y ", ["http://x/\\y"]),
    ("UC", b" a\\ b ", [" a", " b"]),
    ("SH", b"A1", ["A1"]),
    ("TM", b"101010.5", ["101010.5"]),
    ("UI", b"1.2.3\0", ["1.2.3"]),
    ("UI", b"1.2.3\\1.2.4\0", ["1.2.3", "1.2.4"]),
    ("UI", b"../../etc/passwd", ["../../etc/passwd"]),
    ("PN", b"Doe^Jane ", [{"Alphabetic": "Doe^Jane"}]),
    ("PN", b"A=B=C", [{"Alphabetic": "A", "Ideographic": "B", "Phonetic": "C"}]),
    ("PN", b"=B=", [{"Ideographic": "B"}]),
    ("PN", b"A\\\\B^^", [{"Alphabetic": "A"}, None, {"Alphabetic": "B^^"}]),
    ("PN", b"A\\=\\B ", [{"Alphabetic": "A"}, None, {"Alphabetic": "B"}]),
]


@pytest.mark.parametrize(("vr", "value", "expected"), TEXT)
def test_text_loses_its_padding_and_nothing_else(vr: str, value: bytes, expected: list[Any]) -> None:
    assert attribute(vr, value) == {"vr": vr, "Value": expected}


@pytest.mark.parametrize(
    "vr", ["AE", "CS", "DA", "DS", "IS", "LO", "LT", "PN", "SH", "ST", "TM", "UC", "UI", "UR", "UT"]
)
@pytest.mark.parametrize("value", [b"", b" ", b"\0", b"  \0"], ids=["nothing", "space", "nul", "both"])
def test_an_empty_value_has_no_value(vr: str, value: bytes) -> None:
    assert attribute(vr, value) == {"vr": vr}


NUMBER_TEXT = [
    # (text, what JSON says): a number only if it is written as JSON writes it and is the same number again.
    ("1", 1),
    ("-5", -5),
    ("0", 0),
    ("1.5", 1.5),
    ("-0.25", -0.25),
    ("1.000000", 1.0),
    ("1e5", 100000.0),
    ("0.6614680000001", 0.6614680000001),
    ("+1", "+1"),
    (".5", ".5"),
    ("1.", "1."),
    ("01", "01"),
    ("-0", 0),
    ("1E5 x", "1E5 x"),
    ("abc", "abc"),
    ("NaN", "NaN"),
    ("Infinity", "Infinity"),
    ("1e999", "1e999"),
    ("1e-999", "1e-999"),
    ("0x1A", "0x1A"),
    ("1_000", "1_000"),
    ("1,5", "1,5"),
    ("9007199254740991", 9007199254740991),
    ("9007199254740993", "9007199254740993"),
    ("123456789012345678901234567890", "123456789012345678901234567890"),
    ("0.1000000000000000055511151231257827", "0.1000000000000000055511151231257827"),
    ("9" * 400, "9" * 400),
]


@pytest.mark.parametrize(("text", "expected"), NUMBER_TEXT, ids=[text[:20] for text, _ in NUMBER_TEXT])
def test_ds_is_a_number_only_if_it_is_the_same_number_A12(text: str, expected: float | str) -> None:
    found = attribute("DS", text.encode() + b" " * (len(text) % 2))["Value"]
    assert found == [expected]
    assert type(found[0]) is type(expected)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        *(("7", 7), ("-12", -12), (" 1 ", 1), ("7\0", 7), ("٣", "Ù£")),
        *((text, text) for text in ("007", "+7", "1.5", "1e3", "1_0", "-0", "12345678901234567890")),
    ],
)
def test_is_is_a_number_only_if_its_digits_are_those_of_the_number_A12(text: str, expected: int | str) -> None:
    found = attribute("IS", text.encode())["Value"]
    assert found == [expected]
    assert type(found[0]) is type(expected)


def test_numbers_and_texts_may_stand_side_by_side() -> None:
    assert attribute("DS", b"1.5\\\\+2\\ 3 ")["Value"] == [1.5, None, "+2", 3]


SPELLINGS = [
    ("1.000000", "[1.000000]"),
    ("1.000000\\2.50", "[1.000000,2.50]"),
    ("1\\0\\0\\1.0", "[1,0,0,1.0]"),
    ("-0", "[-0]"),
    ("1E2\\1e+02\\1e16", "[1E2,1e+02,1e16]"),
    (" 1.50 \\-2.0 ", "[1.50,-2.0]"),
    ("1.50\\\\+1\\.5\\01\\1.", '[1.50,null,"+1",".5","01","1."]'),
    ("1,5\\2.0", '["1,5",2.0]'),
    ("1]\\[2\\true\\null\\{}", '["1]","[2","true","null","{}"]'),
    ("1.0\\1 2\\3\n", '[1.0,"1 2","3\\n"]'),
    ('1"\\2.0', '["1\\"",2.0]'),
    ("0.12345678901234\\-0.123456789012\\1.5", "[0.12345678901234,-0.123456789012,1.5]"),
    ("9007199254740993\\1.0", '["9007199254740993",1.0]'),
    ("1.0e-999\\1.0", '["1.0e-999",1.0]'),
    ("1.000000\\0.1000000000000000055511151231257827", '[1.000000,"0.1000000000000000055511151231257827"]'),
]


@pytest.mark.parametrize(("text", "expected"), SPELLINGS, ids=[text[:30] for text, _ in SPELLINGS])
def test_ds_numbers_keep_their_spelling_in_json_A12(text: str, expected: str) -> None:
    found = attribute("DS", text.encode())
    assert json_text(found) == b'{"vr":"DS","Value":' + expected.encode() + b"}"
    assert found["Value"] == orjson.loads(expected)


@given(
    st.lists(st.from_regex(r"-?[0-9]{0,9}\.?[0-9]{0,9}([eE][+-]?[0-9]{1,3})?", fullmatch=True), min_size=1, max_size=9)
)
def test_every_ds_keeps_its_digits_and_its_value_A12(texts: list[str]) -> None:
    found = attribute("DS", "\\".join(texts).encode())
    shown = json.loads(json_text(found), parse_float=str, parse_int=str).get("Value", [None] * len(texts))
    assert [value or "" for value in shown] == texts
    for text, number in zip(texts, found.get("Value", ()), strict=False):
        if isinstance(number, int | float):
            assert Decimal(text) == Decimal(repr(number))


def test_bytes_that_are_no_text_do_not_cost_other_values_their_spelling() -> None:
    with pytest.raises(Oddity) as odd:
        READERS[False]["DS"](b"1.50\\\xff", character_set(b"ISO_IR 192"))
    assert json_text(odd.value.attribute).startswith(b'{"vr":"DS","Value":[1.50,"')


@given(st.decimals(allow_nan=False, allow_infinity=False, places=5).map(lambda d: f"{d:f}"))
def test_a_ds_never_changes_its_value(text: str) -> None:
    value = attribute("DS", text.encode())["Value"][0]
    assert value == text or float(text) == value


BINARY = [
    ("US", packed("H", 1, 65535), [1, 65535]),
    ("SS", packed("h", -1), [-1]),
    ("UL", packed("I", 4294967295), [4294967295]),
    ("SL", packed("i", -1, 5), [-1, 5]),
    ("SV", packed("q", -(2**53) + 1, -(2**53), 7), [-(2**53) + 1, str(-(2**53)), 7]),
    ("UV", packed("Q", 2**53, 2**53 - 1), [str(2**53), 2**53 - 1]),
    ("FD", packed("d", 0.1, math.nan, math.inf, -math.inf), [0.1, "NaN", "Infinity", "-Infinity"]),
    ("FL", packed("f", 0.1), [0.1]),
    ("FL", packed("f", 0.1, 16777216.0, 1 / 3), [0.1, 16777216.0, 0.33333334]),
    ("FL", packed("f", math.nan, 0.1, -math.inf), ["NaN", 0.1, "-Infinity"]),
    ("FL", packed("I", 1), [1e-45]),
    ("FL", packed("I", 1, 2), [1e-45, 3e-45]),
    ("AT", packed("H", 0x0018, 0x00FF, 0xFFFE, 0xE000), ["001800FF", "FFFEE000"]),
]


@pytest.mark.parametrize(("vr", "value", "expected"), BINARY)
def test_binary_numbers(vr: str, value: bytes, expected: list[Any]) -> None:
    assert attribute(vr, value) == {"vr": vr, "Value": expected}


SWAP = {"US": 2, "SS": 2, "AT": 2, "UL": 4, "SL": 4, "FL": 4, "SV": 8, "UV": 8, "FD": 8}


@pytest.mark.parametrize(("vr", "value", "expected"), BINARY)
def test_binary_numbers_of_a_big_endian_file(vr: str, value: bytes, expected: list[Any]) -> None:
    size = SWAP[vr]
    swapped = b"".join(value[i : i + size][::-1] for i in range(0, len(value), size))
    assert attribute(vr, swapped, syntax=BIG_ENDIAN) == {"vr": vr, "Value": expected}


@pytest.mark.parametrize(("vr", "size"), [("OB", 1), ("UN", 1), ("OW", 2), ("OF", 4), ("OL", 4), ("OD", 8), ("OV", 8)])
@pytest.mark.parametrize("syntax", [EXPLICIT, BIG_ENDIAN], ids=["little", "big"])
def test_inline_binary_is_little_endian(vr: str, size: int, syntax: str) -> None:
    value = bytes(range(16))
    stored = b"".join(value[i : i + size][::-1] for i in range(0, 16, size)) if syntax == BIG_ENDIAN else value
    assert attribute(vr, stored, syntax=syntax) == {"vr": vr, "InlineBinary": inline(value)}


@pytest.mark.parametrize("vr", ["US", "SS", "UL", "SL", "FL", "FD", "SV", "UV", "AT"])
@pytest.mark.parametrize("length", [1, 3, 5])
def test_numbers_of_a_wrong_length_are_kept_as_un_A12(vr: str, length: int) -> None:
    value = bytes(range(1, length + 1))
    found = read(part10(element(PRIVATE, vr, value)))
    assert found.attributes["00091001"] == {"vr": "UN", "InlineBinary": inline(value)}
    assert any("(0009,1001) has a length" in warning for warning in found.warnings)


@given(st.lists(st.floats(width=32), min_size=1, max_size=5))
def test_every_fl_reads_back_as_the_same_number(numbers: list[float]) -> None:
    for number, text in zip(numbers, attribute("FL", packed("f", *numbers))["Value"], strict=True):
        if isinstance(text, str):
            assert str(np.float32(number)).lower()[:3] == text.lower()[:3]
        else:
            assert struct.pack("<f", text) == struct.pack("<f", number)
            assert significant_digits(text) <= significant_digits(number)


def significant_digits(number: float) -> int:
    return len(Decimal(repr(number)).normalize().as_tuple().digits)


# -- VRs that are not written --------------------------------------------------------------------------------------


def implicit_file(*elements: tuple[int, bytes]) -> bytes:
    """Implicit VR with these values and the UIDs."""
    values = [(tag, each[8:]) for tag, each in uids().items()]
    return file_meta(IMPLICIT) + b"".join(implicit(tag, value) for tag, value in sorted([*values, *elements]))


SIGNED, UNSIGNED = (0x00280103, b"\1\0"), (0x00280103, b"\0\0")
SMALLEST = (0x00280106, b"\xff\xff")


@pytest.mark.parametrize(
    ("elements", "expected"),
    [
        pytest.param([SIGNED, SMALLEST], {"vr": "SS", "Value": [-1]}, id="signed"),
        pytest.param([UNSIGNED, SMALLEST], {"vr": "US", "Value": [65535]}, id="unsigned"),
        pytest.param([SMALLEST], {"vr": "US", "Value": [65535]}, id="not said"),
    ],
)
def test_us_or_ss_follows_pixel_representation(elements: list[tuple[int, bytes]], expected: Attribute) -> None:
    assert read(implicit_file(*elements)).attributes["00280106"] == expected


def test_us_or_ss_in_an_item_follows_the_pixel_representation_around_it() -> None:
    content = item(implicit(0x00189810, b"\xff\xff"))
    found = read(implicit_file((0x00189803, content), SIGNED)).attributes
    assert found["00189803"] == {"vr": "SQ", "Value": [{"00189810": {"vr": "SS", "Value": [-1]}}]}


@pytest.mark.parametrize(
    ("tag", "value", "expected"),
    [
        (0x00283006, b"\1\0\2\0", {"vr": "OW", "InlineBinary": inline(b"\1\0\2\0")}),
        (0x00283006, b"\7\0", {"vr": "US", "Value": [7]}),
        (0x60003000, b"\1\2", {"vr": "OW", "InlineBinary": inline(b"\1\2")}),
        (0x60020010, b"\7\0", {"vr": "US", "Value": [7]}),
        (0x54001010, b"\1\2", {"vr": "OW", "InlineBinary": inline(b"\1\2")}),
        (0x00081199, b"no", {"vr": "UN", "InlineBinary": inline(b"no")}),
        (0x0018FFFF, b"\1\2", {"vr": "UN", "InlineBinary": inline(b"\1\2")}),
    ],
    ids=["LUT", "LUT of one", "overlay", "overlay rows", "waveform", "no sequence", "unknown"],
)
def test_implicit_vr(tag: int, value: bytes, expected: Attribute) -> None:
    assert read(implicit_file((tag, value))).attributes[f"{tag:08X}"] == expected


def test_a_private_attribute_has_the_vr_its_creator_gave_it() -> None:
    found = read(implicit_file((0x00090010, b"GEMS_IDEN_01"), (0x00091001, b"GE_GENESIS_FF "))).attributes
    assert found["00090010"] == {"vr": "LO", "Value": ["GEMS_IDEN_01"]}
    assert found["00091001"] == {"vr": "LO", "Value": ["GE_GENESIS_FF"]}


def test_un_of_a_known_attribute_gets_its_vr() -> None:
    found = read(part10(element(0x00100010, "UN", b"Doe^Jane"), element(0x00280010, "UN", b"\7\0"))).attributes
    assert found["00100010"] == {"vr": "PN", "Value": [{"Alphabetic": "Doe^Jane"}]}
    assert found["00280010"] == {"vr": "US", "Value": [7]}


def test_a_sequence_as_un_is_read_as_implicit_vr() -> None:
    content = item(implicit(0x00080100, b"121181"))
    found = read(part10(element(0x0040A043, "UN", content))).attributes
    assert found["0040A043"] == {"vr": "SQ", "Value": [{"00080100": {"vr": "SH", "Value": ["121181"]}}]}


# -- what is left out ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("vr", "limit"),
    [("OB", "inline_binary_bytes"), ("OW", "inline_binary_bytes"), ("UN", "inline_binary_bytes")]
    + [(vr, "inline_numbers_bytes") for vr in ("OD", "OF", "OL", "OV")]
    + [(vr, "inline_text_bytes") for vr in ("DS", "FD", "FL", "IS", "LT", "SL", "SS", "ST", "SV", "UC", "UL", "US")]
    + [(vr, "inline_text_bytes") for vr in ("UT", "UV")],
)
def test_a_large_value_is_left_out_where_its_vr_allows_it(vr: str, limit: str) -> None:
    value = b"1" * 48
    content = part10(element(PRIVATE, vr, value))
    assert "BulkDataURI" not in read(content, **{limit: 48}).attributes["00091001"]
    found = read(content, **{limit: 47})
    assert found.attributes["00091001"] == {"vr": vr, "BulkDataURI": "\x01/bulkdata/00091001"}
    assert b'"BulkDataURI":"\x01/bulkdata/00091001"' in found.metadata
    bulk = found.layout.bulk_value("00091001")
    assert bulk is not None
    assert content[bulk.offset : bulk.offset + bulk.length] == value


def test_the_icc_profile_has_a_ceiling_of_its_own() -> None:
    content = part10(element(0x00282000, "OB", bytes(3000)))
    assert "InlineBinary" in read(content).attributes["00282000"]
    assert "BulkDataURI" in read(content, inline_icc_profile_bytes=2999).attributes["00282000"]


def test_a_large_value_in_an_item_has_the_path_of_its_item() -> None:
    inner = element(0x00091010, "OB", bytes(2000))
    outer = element(0x00400275, "SQ", item() + item(element(0x00400008, "SQ", item(inner), order="<")))
    found = read(part10(outer))
    assert [value.path for value in found.layout.bulk] == ["00400275/1/00400008/0/00091010"]
    items = found.attributes["00400275"]["Value"]
    assert items[0] == {}
    assert items[1]["00400008"]["Value"][0]["00091010"]["BulkDataURI"] == "\x01/bulkdata/" + found.layout.bulk[0].path


@pytest.mark.parametrize(("tag", "vr"), [(0x7FE00010, "OW"), (0x7FE00008, "OF"), (0x7FE00009, "OD")])
@pytest.mark.parametrize("syntax", [EXPLICIT, BIG_ENDIAN])
def test_pixel_data_are_never_inline(tag: int, vr: str, syntax: str) -> None:
    order = ">" if syntax == BIG_ENDIAN else "<"
    found = read(part10(element(tag, vr, bytes(8), order=order), syntax=syntax))
    assert found.attributes[f"{tag:08X}"] == {"vr": vr, "BulkDataURI": f"\x01/bulkdata/{tag:08X}"}


def test_no_text_of_the_file_can_look_like_a_bulk_data_reference() -> None:
    text = b'"BulkDataURI":"\x01/bulkdata/7FE00010"'
    found = read(part10(element(PRIVATE, "UT", text), element(0x00091010, "OB", bytes(2000))))
    assert found.metadata.count(b"\x01") == 1
    assert found.attributes["00091001"]["Value"] == [text.decode()]


def test_traits_are_what_answers_need() -> None:
    content = part10(
        element(0x00280002, "US", b"\1\0"),
        element(0x00280004, "CS", b"MONOCHROME2 "),
        element(0x00280100, "US", b"\x10\0"),
        element(0x00282110, "CS", b"00"),
        element(0x00420012, "LO", b"application/pdf "),
    )
    assert read(content).layout.traits == {
        "samples": 1,
        "photometric": "MONOCHROME2",
        "bits_allocated": 16,
        "lossy": "00",
        "mime": "application/pdf",
    }
