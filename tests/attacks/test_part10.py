"""Hostile and broken Part 10 files (A01-A11, A15): refused with our errors, or read as legal JSON; nothing else."""

from __future__ import annotations

import json
import random
import struct
import time
import tracemalloc
import zlib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.data import get_charset_files, get_testdata_files

from dicomweb_core.codecs.part10_reader import BytesSource, ReadInstance, read_part10
from dicomweb_core.errors import DICOMwebError, InvalidDataset, TooLarge
from dicomweb_core.values.limits import Limits
from tests.part10_bytes import (
    BIG_ENDIAN,
    DEFLATED,
    EXPLICIT,
    IMPLICIT,
    UNDEFINED,
    data_set,
    deflated,
    element,
    end,
    file_meta,
    fragments,
    implicit,
    item,
    part10,
    uids,
)

SEQUENCE = 0x00400275
LIMITS = Limits()


def read(content: bytes, limits: Limits = LIMITS) -> ReadInstance:
    return read_part10(BytesSource(content), limits)


def refuse_constant(name: str) -> Any:
    raise AssertionError(f"{name} is no JSON")


def read_or_refuse(content: bytes, limits: Limits = LIMITS) -> ReadInstance | None:
    """Any other outcome is an error of the test."""
    try:
        found = read(content, limits)
    except DICOMwebError:
        return None
    text = found.metadata.replace(b"\x01", b"\\u0001").decode("utf-8")
    model = json.loads(text, parse_constant=refuse_constant)
    assert model == found.attributes
    assert list(model) == sorted(model)
    return found


def values_file(*elements: bytes, syntax: str = EXPLICIT) -> bytes:
    """A file of exactly these bytes behind the File Meta Information."""
    return file_meta(syntax) + b"".join(elements)


# -- A01, A02, A03: preamble and File Meta Information -------------------------------------------------------------

PREAMBLES = {
    "MZ": b"MZ",
    "ELF": b"\x7fELF",
    "PDF": b"%PDF-1.7",
    "GIF": b"GIF89a",
    "TIFF": b"II*\0",
    "ZIP": b"PK\3\4",
    "JSON": b'{"a":1}',
    "shell": b"#!/bin/sh\n",
    "0xFF": b"\xff" * 128,
}


@pytest.mark.parametrize("preamble", PREAMBLES.values(), ids=PREAMBLES)
def test_the_preamble_may_be_anything_A01(preamble: bytes) -> None:
    assert read(preamble.ljust(128, b"\0") + part10()[128:]).sop_instance_uid == "1.2.3.4"


@pytest.mark.parametrize(
    "content", [b"", b"D", b"DICM", bytes(131), bytes(132), b"text" * 100, part10()[128:], part10()[132:]]
)
def test_without_preamble_and_prefix_nothing_is_read_A02(content: bytes) -> None:
    with pytest.raises(InvalidDataset, match="DICM"):
        read(content)


def meta_file(*elements: bytes) -> bytes:
    return bytes(128) + b"DICM" + b"".join(elements) + data_set()


SYNTAX = element(0x00020010, "UI", b"1.2.840.10008.1.2.1\0")


@pytest.mark.parametrize("length", [None, 0, 1, 7, 4000, 0xFFFFFFFF])
def test_the_group_length_of_the_file_meta_information_is_not_believed_A03(length: int | None) -> None:
    claimed = [] if length is None else [element(0x00020000, "UL", struct.pack("<I", length))]
    assert read(meta_file(*claimed, SYNTAX)).transfer_syntax_uid == EXPLICIT


@pytest.mark.parametrize(
    ("elements", "what"),
    [
        pytest.param([], "is missing", id="no transfer syntax"),
        pytest.param([element(0x00020010, "UI", b"")], "is missing", id="empty"),
        pytest.param([element(0x00020010, "UI", b"..")], "is not a UID", id="no UID"),
        pytest.param([element(0x00020010, "UI", b"../../x\0")], "is not a UID", id="a path"),
        pytest.param([SYNTAX, element(0x00020010, "UI", b"1.2.840.10008.1.2\0")], "twice", id="two"),
        pytest.param([element(0x00020001, "ZZ", bytes(2)), SYNTAX], "no VR of PS3.5", id="no VR"),
        pytest.param([implicit(0x00020010, b"1.2.840.10008.1.2.1\0")], "no VR of PS3.5", id="implicit"),
        pytest.param([element(0x00020001, "OB", length=0xFFFFFFFE), SYNTAX], "longer than the file", id="too long"),
        pytest.param([element(0x00020102, "OB", b"")] * 2000, "more than 1024", id="many"),
    ],
)
def test_broken_file_meta_information_is_refused_A03(elements: list[bytes], what: str) -> None:
    with pytest.raises(InvalidDataset, match=what):
        read(meta_file(*elements))


def test_the_data_set_wins_over_the_file_meta_information_A03() -> None:
    found = read(meta_file(element(0x00020003, "UI", b"9.9.9\0"), SYNTAX))
    assert found.sop_instance_uid == "1.2.3.4"
    assert any("(0002,0003)" in warning for warning in found.warnings)


def test_an_unknown_transfer_syntax_is_stored_A03() -> None:
    found = read(part10(element(0x00100010, "PN", b"Doe "), syntax="1.2.999.7"))
    assert found.transfer_syntax_uid == "1.2.999.7"
    assert found.attributes["00100010"]["Value"] == [{"Alphabetic": "Doe"}]


# -- A04: the bytes are not what the transfer syntax says -----------------------------------------------------------

IMPLICIT_SET = b"".join(implicit(tag, each[8:]) for tag, each in sorted(uids().items()))
ENCODINGS = {
    "implicit": (IMPLICIT, IMPLICIT_SET),
    "explicit": (EXPLICIT, data_set()),
    "big": (BIG_ENDIAN, data_set(order=">")),
    "deflated": (DEFLATED, deflated(data_set())),
}


@pytest.mark.parametrize("bytes_of", ENCODINGS)
@pytest.mark.parametrize("declared", ENCODINGS)
def test_a_wrong_transfer_syntax_never_gives_wrong_metadata_A04(declared: str, bytes_of: str) -> None:
    content = file_meta(ENCODINGS[declared][0]) + ENCODINGS[bytes_of][1]
    found = read_or_refuse(content)
    if found is None:
        assert declared != bytes_of
        return
    right = read(file_meta(ENCODINGS[bytes_of][0]) + ENCODINGS[bytes_of][1])
    assert found.attributes == right.attributes
    assert bool(found.warnings) == (declared != bytes_of)


def test_implicit_and_explicit_vr_are_told_apart_A04() -> None:
    for declared, other in (("implicit", "explicit"), ("explicit", "implicit")):
        found = read(file_meta(ENCODINGS[declared][0]) + ENCODINGS[other][1])
        assert any("against its transfer syntax" in warning for warning in found.warnings)


# -- A05, A06: depth and number -------------------------------------------------------------------------------------


def nested(depth: int, *, delimited: bool, inside_un: bool = False) -> bytes:
    """Sequences in one another, built without recursion."""
    if delimited:
        opening = element(SEQUENCE, "SQ", length=UNDEFINED) + struct.pack("<HHI", 0xFFFE, 0xE000, UNDEFINED)
        closing = struct.pack("<HHI", 0xFFFE, 0xE00D, 0) + end()
        if inside_un:
            opening = implicit(SEQUENCE, length=UNDEFINED) + struct.pack("<HHI", 0xFFFE, 0xE000, UNDEFINED)
            outer = element(SEQUENCE, "UN", length=UNDEFINED) + struct.pack("<HHI", 0xFFFE, 0xE000, UNDEFINED)
            return outer + opening * (depth - 1) + closing * depth
        return opening * depth + closing * depth
    content = b""
    for _ in range(depth):
        content = element(SEQUENCE, "SQ", item(content))
    return content


@pytest.mark.parametrize("form", ["defined", "undefined", "UN"])
@pytest.mark.parametrize("depth", [1, 50, 64, 65, 250, 1000])
def test_the_depth_of_sequences_is_limited_A05(form: str, depth: int) -> None:
    content = part10(nested(depth, delimited=form != "defined", inside_un=form == "UN"))
    if depth <= 64:
        text = read(content).metadata
        assert text.count(b'"00400275"') == depth
    else:
        with pytest.raises(TooLarge) as refusal:
            read(content)
        assert refusal.value.limit == "sequence_depth"


@pytest.mark.parametrize("depth", [20_000, 100_000])
def test_very_deep_sequences_cost_nothing_A05(depth: int) -> None:
    content = part10(nested(depth, delimited=True))
    begin = time.process_time()
    with pytest.raises(TooLarge):
        read(content)
    assert time.process_time() - begin < 1


def test_no_ceiling_makes_json_too_deep_to_write_A05() -> None:
    with pytest.raises(TooLarge):
        read(part10(nested(500, delimited=True)), Limits(sequence_depth=10_000))


def test_a_million_items_are_refused_in_time_A06() -> None:
    content = part10(element(SEQUENCE, "SQ", item() * 1_000_001))
    begin = time.process_time()
    with pytest.raises(TooLarge) as refusal:
        read(content)
    assert refusal.value.limit == "elements"
    assert time.process_time() - begin < 5


@pytest.mark.parametrize("what", ["items", "elements", "nested", "repeated"])
def test_elements_and_items_are_counted_A06(what: str) -> None:
    many = 1000
    content = {
        "items": element(SEQUENCE, "SQ", item() * many),
        "elements": b"".join(element(0x00091000 + i, "LO", b"a") for i in range(many)),
        "nested": element(SEQUENCE, "SQ", item(element(0x00100010, "PN", b"A ")) * (many // 2)),
        "repeated": element(0x00100020, "LO", b"") * many,
    }[what]
    whole = values_file(*(each for _, each in sorted(uids().items())), content)
    with pytest.raises(TooLarge) as refusal:
        read(whole, Limits(elements=many - 1))
    assert refusal.value.limit == "elements"
    assert read_or_refuse(whole, Limits(elements=many + 10)) is not None


@pytest.mark.parametrize("vr", ["PN", "DS", "CS", "AT", "FD"])
def test_many_values_of_one_element_cost_no_more_than_their_budget_A06(vr: str) -> None:
    value = b"\\" * 2_000_000 if vr in ("PN", "DS", "CS") else bytes(2_000_000)
    tag = {"PN": 0x40080119, "CS": 0x00080008, "DS": 0x00200032, "AT": 0x00280009, "FD": 0x00189087}[vr]
    values = {**{each: data[8:] for each, data in uids().items()}, tag: value}
    whole = file_meta(IMPLICIT) + b"".join(implicit(each, values[each]) for each in sorted(values))
    begin = time.process_time()
    tracemalloc.start()
    with pytest.raises(TooLarge) as refusal:
        read(whole, Limits(metadata_bytes=1 << 20, inline_text_bytes=1 << 24))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert refusal.value.limit == "metadata_bytes"
    assert peak < 8 << 20
    assert time.process_time() - begin < 2


def test_a_value_that_may_not_be_bulk_data_is_limited_A06() -> None:
    content = file_meta(IMPLICIT) + IMPLICIT_SET + implicit(0x40080119, b"A" * 2000)
    assert read(content).attributes["40080119"]["vr"] == "PN"
    with pytest.raises(TooLarge) as refusal:
        read(content, Limits(value_bytes=1999))
    assert refusal.value.limit == "value_bytes"


def test_memory_is_that_of_the_metadata_A06() -> None:
    content = part10(element(0x00091001, "OB", bytes(50 << 20)), fragments(b"", *[bytes(1 << 20)] * 50))
    source = BytesSource(content)
    read_part10(source, LIMITS)
    tracemalloc.start()
    found = read_part10(source, LIMITS)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 2 << 20
    assert [value.path for value in found.layout.bulk] == ["00091001", "7FE00010"]


# -- A07, A08, A09, A10: structure ----------------------------------------------------------------------------------

LENGTHS = [
    pytest.param(element(0x00104000, "LT", b"abcd", length=0xFFFE), id="short form, beyond the end"),
    pytest.param(element(0x00189074, "UT", b"abcd", length=0xFFFFFFFE), id="long form, beyond the end"),
    pytest.param(element(0x00189074, "UT", b"abcd", length=0x80000000), id="negative when signed"),
    pytest.param(element(0x00189074, "UT", b"abcd", length=UNDEFINED), id="UT of undefined length"),
    pytest.param(element(0x00091001, "OF", b"abcd", length=UNDEFINED), id="OF of undefined length"),
    pytest.param(element(SEQUENCE, "SQ", struct.pack("<HHI", 0xFFFE, 0xE000, 100)), id="item beyond the sequence"),
    pytest.param(element(SEQUENCE, "SQ", item() + b"\0\0\0\0"), id="rest behind the items"),
    pytest.param(element(SEQUENCE, "SQ", b"\x08\0\0\1" * 4), id="no item"),
    pytest.param(element(SEQUENCE, "SQ", item(element(0x00100010, "PN", b"A ", length=9))), id="element beyond item"),
    pytest.param(element(SEQUENCE, "SQ", item(b"\x10\0\x10")), id="half a header in an item"),
    pytest.param(element(SEQUENCE, "SQ", item(element(0xFFFEE00D, "\0\0"))), id="delimiter in an item of known length"),
    pytest.param(element(SEQUENCE, "SQ", item(), length=UNDEFINED), id="no sequence delimiter"),
    pytest.param(element(0xFFFEE0DD, "\0\0"), id="stray sequence delimiter"),
    pytest.param(element(0xFFFEE000, "\0\0"), id="stray item"),
    pytest.param(element(0xFFFF0010, "UN", b"abcd"), id="group FFFF"),
    pytest.param(element(0x00000002, "UI", b"1.2 "), id="group 0000"),
    pytest.param(element(0x7FE00010, "OB", length=UNDEFINED) + item(b"ab"), id="pixel data without delimiter"),
    pytest.param(element(0x7FE00010, "OB", item(b"abcd")[:10], length=UNDEFINED), id="half a fragment"),
    pytest.param(fragments(b"").replace(b"\xfe\xff\x00\xe0", b"\xfe\xff\x01\xe0"), id="no fragment"),
]


@pytest.mark.parametrize("content", LENGTHS)
def test_broken_structure_is_refused_and_named_A07(content: bytes) -> None:
    with pytest.raises(InvalidDataset, match=r"byte \d+") as refusal:
        read(part10(content))
    assert refusal.value.reason == 0xC000


def test_a_fragment_beyond_the_end_is_named_A07() -> None:
    content = part10(element(0x7FE00010, "OB", item(b"") + item(b"abcd")[:10], length=UNDEFINED))
    with pytest.raises(InvalidDataset, match=r"\(FFFE,E000\) at byte \d+ is a fragment of 4 bytes"):
        read(content)


def test_group_0002_inside_the_data_set_is_refused_A03() -> None:
    with pytest.raises(InvalidDataset, match=r"\(0002,0010\) at byte \d+ does not belong"):
        read(part10() + SYNTAX)


def small_files() -> dict[str, bytes]:
    """One of each form, about a kilobyte."""
    rich = (
        element(0x00080005, "CS", b"ISO_IR 100"),
        element(0x00100010, "PN", b"Doe^Jane"),
        element(SEQUENCE, "SQ", item(element(0x00080100, "SH", b"T-1 ")) + item(b"", delimited=True)),
        element(0x00400555, "SQ", item(element(0x0040A043, "SQ", item(), length=8)) + end(), length=UNDEFINED),
        element(0x00091001, "OB", bytes(1100)),
    )
    native = element(0x7FE00010, "OW", bytes(8))
    return {
        "native": part10(*rich, native),
        "encapsulated": part10(*rich, fragments(b"", b"abcd", b"efgh"), syntax="1.2.840.10008.1.2.4.50"),
        "deflated": part10(*rich, native, syntax=DEFLATED),
        "implicit": file_meta(IMPLICIT) + IMPLICIT_SET + implicit(SEQUENCE + 1, item(implicit(0x00080100, b"T-1 "))),
    }


@pytest.mark.parametrize("form", ["native", "encapsulated", "deflated", "implicit"])
def test_a_truncated_file_is_refused_unless_it_ends_between_elements_A08(form: str) -> None:
    content = small_files()[form]
    whole = read(content)
    accepted = []
    for length in range(len(content)):
        found = read_or_refuse(content[:length])
        if found is not None:
            assert found.layout.dataset_length == length - found.layout.dataset_offset
            assert found.attributes.items() <= whole.attributes.items()
            accepted.append(length)
    # Behind the last UID (0020,000E) every end of a top-level element looks like the end of the file.
    behind = [tag for tag in whole.attributes if tag >= "0020000E"]
    assert len(accepted) == (0 if form == "deflated" else len(behind) - 1)


def test_zeros_behind_the_data_set_are_padding_and_all_else_is_refused_A09() -> None:
    content = part10(element(0x7FE00010, "OW", bytes(8)))
    found = read(content + bytes(100_000))
    assert found.layout.dataset_length == len(content) - found.layout.dataset_offset
    assert found.attributes == read(content).attributes
    for garbage in (b"\1", b"garbage behind", bytes(99_999) + b"\1", b"\0\0\0\0\0\0\0\1", b"\x0d\x0a"):
        with pytest.raises(InvalidDataset):
            read(content + garbage)


def test_padding_is_no_attribute_and_what_follows_it_is_read_over_A09() -> None:
    found = read(part10(element(0xFFFCFFFC, "OB", bytes(3000))))
    assert "FFFCFFFC" not in found.attributes
    assert found.layout.bulk == ()


def test_the_first_of_repeated_elements_counts_A09() -> None:
    large, small = element(0x00091001, "OB", b"\1" * 2000), element(0x00091001, "OB", b"\2" * 2)
    found = read(
        part10(
            element(0x0020000D, "UI", b"6.6.6\0"),
            large,
            small,
            element(SEQUENCE, "SQ", item(large)),
            element(SEQUENCE, "SQ", item(large) + item(large)),
        )
    )
    assert found.study_uid == "1.2.3"
    assert [value.path for value in found.layout.bulk] == ["00091001", "00400275/0/00091001"]
    assert len(found.attributes["00400275"]["Value"]) == 1
    assert any("(0020,000D) is there more than once" in warning for warning in found.warnings)


def test_elements_out_of_order_are_put_in_order_A09() -> None:
    parts = [element(0x00280010, "US", b"\7\0"), *(each for _, each in sorted(uids().items(), reverse=True))]
    inner = item(element(0x00100020, "LO", b"1 ") + element(0x00100010, "PN", b"A "))
    found = read(values_file(*parts, element(SEQUENCE, "SQ", inner)))
    assert list(found.attributes) == sorted(found.attributes)
    assert list(found.attributes["00400275"]["Value"][0]) == ["00100010", "00100020"]
    assert any("out of order" in warning for warning in found.warnings)


def test_group_lengths_are_read_over() -> None:
    found = read(part10(element(0x00080000, "UL", bytes(4)), element(0x00280000, "UL", b"\1\2\3\4")))
    assert not [tag for tag in found.attributes if tag.endswith("0000")]


@pytest.mark.parametrize("code", ["ZZ", "  ", "\0\0", "--", "??", "sq"])
@pytest.mark.parametrize("tag", [0x00100010, 0x00280010, 0x7FE00010, 0x00091001])
@pytest.mark.parametrize("long_form", [False, True])
def test_an_unknown_vr_never_moves_what_follows_A10(code: str, tag: int, long_form: bool) -> None:
    head = struct.pack("<HH", tag >> 16, tag & 0xFFFF) + code.encode()
    odd = head + (struct.pack("<HI", 0, 4) if long_form else struct.pack("<H", 4)) + b"abcd"
    found = read_or_refuse(part10(odd, element(0x7FE10010, "LO", b"behind")))
    if found is not None:
        assert found.attributes["7FE10010"] == {"vr": "LO", "Value": ["behind"]}
        assert found.study_uid == "1.2.3"


@pytest.mark.parametrize("vr", ["LO", "UN", "SQ", "US", "OB", "AT", "PN", "DS"])
@pytest.mark.parametrize("tag", [0x0020000D, 0x00080018])
def test_a_uid_of_another_vr_is_that_uid_or_refused_A10(vr: str, tag: int) -> None:
    content = {each: data for each, data in uids().items() if each != tag}
    value = item() if vr == "SQ" else b"1.2.3.44"
    keyed = sorted([*content.items(), (tag, element(tag, vr, value))])
    found = read_or_refuse(values_file(*(data for _, data in keyed)))
    if found is not None:
        assert "1.2.3.44" in (found.study_uid, found.sop_instance_uid)


@pytest.mark.parametrize("vr", ["UL", "IS", "OB", "SQ", "UN", "LO"])
@pytest.mark.parametrize("tag", [0x00280010, 0x00280011, 0x7FE00010])
def test_the_image_pixel_module_may_have_any_vr_A10(vr: str, tag: int) -> None:
    value = item() if vr == "SQ" else b"\7\0\0\0"
    base = [element(each, "US", b"\1\0") for each in (0x00280010, 0x00280011) if each != tag]
    read_or_refuse(part10(*base, element(0x00280100, "US", b"\x08\0"), element(tag, vr, value)))


# -- A11: deflate ---------------------------------------------------------------------------------------------------


def test_a_deflate_bomb_is_stopped_A11() -> None:
    bomb = file_meta(DEFLATED) + deflated(data_set(element(0x7FE00010, "OW", bytes(64 << 20))))
    assert len(bomb) < 100_000
    tracemalloc.start()
    begin = time.process_time()
    with pytest.raises(TooLarge) as refusal:
        read(bomb, Limits(inflated_bytes=32 << 20))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert refusal.value.limit == "inflated_bytes"
    assert peak < 4 << 20
    assert time.process_time() - begin < 5


def test_a_deflated_data_set_is_counted_in_inflated_bytes_A11() -> None:
    content = data_set(element(0x00091001, "OB", b"\5" * 3000), element(0x7FE00010, "OW", bytes(300_000)))
    found = read(file_meta(DEFLATED) + deflated(content))
    bulk = found.layout.bulk_value("00091001")
    assert bulk is not None
    assert found.layout.deflated
    assert found.layout.dataset_length == len(content)
    begin = bulk.offset - found.layout.dataset_offset
    assert content[begin : begin + bulk.length] == b"\5" * 3000


@pytest.mark.parametrize("behind", [b"", b"\0", bytes(100_000), "gzip"], ids=["nothing", "pad", "zeros", "gzip"])
def test_what_writers_leave_behind_a_deflate_stream_is_read_over_A11(behind: bytes | str) -> None:
    content = data_set()
    tail = struct.pack("<II", zlib.crc32(content), len(content)) if isinstance(behind, str) else behind
    assert read(file_meta(DEFLATED) + deflated(content) + tail).study_uid == "1.2.3"


@pytest.mark.parametrize(
    "stream",
    [
        b"",
        b"\0",
        deflated(data_set())[:-1],
        deflated(data_set()) + b"garbage!",
        deflated(data_set()) + bytes(70_000) + b"x",
        deflated(deflated(data_set())),
        zlib.compress(data_set()),
        data_set(),
    ],
    ids=["nothing", "a byte", "cut", "garbage", "late garbage", "twice", "zlib", "not deflated"],
)
def test_a_broken_deflate_stream_is_refused_A11(stream: bytes) -> None:
    with pytest.raises(InvalidDataset):
        read(file_meta(DEFLATED) + stream)


# -- A15: UIDs ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "uid", ["", "1..2", "1.2.", ".1", "1.2.a", "../x", "/etc/passwd", "1" * 65, "1.2\\1.3", "1\x002", "١.٢"]
)
@pytest.mark.parametrize("tag", [0x0020000D, 0x0020000E, 0x00080018, 0x00080016])
def test_what_is_no_uid_identifies_nothing_A15(tag: int, uid: str) -> None:
    keyed = sorted({**uids(), tag: element(tag, "UI", uid.encode())}.items())
    with pytest.raises(InvalidDataset, match=r"UID \("):
        read(values_file(*(data for _, data in keyed)))


# -- anything else --------------------------------------------------------------------------------------------------


def seeds() -> list[bytes]:
    """Small real files and those made here."""
    names = ("test-SR.dcm", "rtplan.dcm", "nested_priv_SQ.dcm", "UN_sequence.dcm", "MR_small_RLE.dcm", "badVR.dcm")
    paths = [Path(path) for name in names for path in get_testdata_files(f"**/{name}")]
    paths += [Path(path) for path in get_charset_files("**/chrH3*.dcm")]
    return [*small_files().values(), *(path.read_bytes()[:8192] for path in paths)]


SEEDS = seeds()
INTERESTING = st.sampled_from(
    [
        b"\xff" * 4,
        b"\xff\xff\xff\xfe",
        bytes(4),
        b"\xfe\xff\x00\xe0",
        b"\xfe\xff\x0d\xe0",
        b"SQ",
        b"UN",
        b"\\",
        b"\x1b$B",
    ]
)


@given(
    st.sampled_from(SEEDS),
    st.lists(st.tuples(st.floats(0, 1, exclude_max=True), INTERESTING | st.binary(min_size=1, max_size=4)), max_size=6),
)
def test_mutated_files_are_read_as_legal_json_or_refused(seed: bytes, changes: list[tuple[float, bytes]]) -> None:
    content = bytearray(seed)
    for where, what in changes:
        at = 132 + int(where * (len(content) - 132))
        content[at : at + len(what)] = what
    read_or_refuse(bytes(content), Limits(inflated_bytes=1 << 20))


def test_many_small_mutations_are_read_as_legal_json_or_refused() -> None:
    chance = random.Random(20240229)
    outcomes = set()
    for _ in range(500):
        content = bytearray(chance.choice(SEEDS))
        for _ in range(chance.randint(1, 4)):
            at = chance.randrange(132, len(content))
            if chance.random() < 0.3:
                del content[at : at + chance.randint(1, 8)]
            else:
                content[at : at + 1] = bytes([chance.randrange(256)])
        outcomes.add(read_or_refuse(bytes(content), Limits(inflated_bytes=1 << 20)) is None)
    assert outcomes == {True, False}
