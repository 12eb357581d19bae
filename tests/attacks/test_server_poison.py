"""Poisoned instances beside healthy ones (A01-A03, A05, A07, A09, A10, A12-A14): each is stored or refused by itself,
and everything that can be asked about the store afterwards has an answer."""

from __future__ import annotations

import logging
import random
import struct
from collections.abc import Iterator

import pytest

from dicomweb_core.testing.samples import sample
from tests.attacks.test_part10 import LENGTHS, PREAMBLES, nested
from tests.clients import Client
from tests.crawl import crawl, fine
from tests.part10_bytes import (
    BIG_ENDIAN,
    DEFLATED,
    EXPLICIT,
    IMPLICIT,
    deflated,
    element,
    file_meta,
    fragments,
    implicit,
    item,
)
from tests.part10_bytes import part10 as part10_of_one_uid

HEALTHY = [sample(7, 1, number).part10 for number in (1, 2)]
HEALTHY_INSTANCES = f"/studies/{sample(7, 1, 1).ref.study}/instances"

RAW_NUMBERS = [
    *(b"", b"abc", b"NaN", b"Infinity", b"-Infinity", b"1e999", b"-1e999", b"0x1A", b"1_000", b"+1", b" 1 ", b"1\0"),
    *(b".5", b"5.", b"1\\\\2", b"1,5", b"1" * 400, "１".encode(), "١".encode(), b"1.5", b"9" * 20, b"9007199254740993"),
    *(b"--1", b"\\" * 50, b"1e5", b"-0", b"00012", b"1\x1b2", b"\xff\xfe", b"\0\0\0", b"true", b"null", b"[]"),
]
NUMERIC = {"DS": 0x00181041, "IS": 0x00200013, "AS": 0x00101010, "DA": 0x00080020, "TM": 0x00080030, "DT": 0x0008002A}
TEXTS = [
    *(b"\x00", b"a\x00b", b"\r\nSet-Cookie: x=y", b"\n\n", b"\x1b[31m", b"\x0c", "\u202e\u2066".encode(), b"]]>"),
    *(b"</script><script>", b"{{7*7}}", b"%s%n", b"&xxe;", b"<!--", b"\xed\xa0\x80", b"\xed\xbf\xbf\xed\xa0\x80"),
    *(
        b"\xef\xbf\xbe",
        b"\xef\xbf\xbf",
        b"\xf4\x90\x80\x80",
        b"\xc0\xaf",
        b"\xef\xbb\xbfA",
        b"\x01/bulkdata/x",
        b"\x7f",
    ),
    *(b"\xc2\x85", "\u2028".encode(), b'"\\"', b"\\\\", b"a\\b\\\\c", b"^^^^^^^^", b"====", b"=^=^=^", b"\x1b$B"),
    *(
        b"\x1b$B0",
        b"\x1b(",
        b"'",
        b"%00",
        b"..\\..\\",
        b'"BulkDataURI":"\\u0001',
        b"\x83\\\x83^\x83=",
        b"\x81\x5c\x81\x5e",
    ),
]
CHARACTER_SETS = [
    *(b"ISO_IR 192", b"ISO_IR 100", b"", b"ISO 2022 IR 6\\ISO 2022 IR 87", b"\\ISO 2022 IR 149", b"GB18030", b"GBK"),
    *(b"ISO_IR 13", b"nonsense", b"\\".join([b"ISO 2022 IR 87"] * 20), b"\0\0", b"ISO_IR 166", b"UTF-8", b"\xff\xff"),
    b"ISO 2022 IR 13\\ISO 2022 IR 87\\ISO 2022 IR 159",
]
STRINGS = {
    "AE": 0x00080054, "AS": 0x00101010, "CS": 0x00080060, "DA": 0x00080020, "DS": 0x00101030, "DT": 0x0008002A,
    "IS": 0x00200013, "LO": 0x00100020, "LT": 0x00104000, "PN": 0x00100010, "SH": 0x00080050, "ST": 0x00080081,
    "TM": 0x00080030, "UC": 0x00080119, "UI": 0x00080014, "UR": 0x00081190, "UT": 0x0040A160,
}  # fmt: skip
LEVEL_AND_PIXEL_TAGS = (
    *(0x00080005, 0x00080020, 0x00080056, 0x00080060, 0x00080061, 0x00080201, 0x00081190, 0x00083002, 0x00090010),
    *(0x00091001, 0x00100010, 0x00100020, 0x00200013, 0x00201208, 0x00280002, 0x00280004, 0x00280006, 0x00280008),
    *(0x00280010, 0x00280011, 0x00280100, 0x00280101, 0x00280103, 0x00282000, 0x00400275, 0x00420011, 0x00420012),
    *(0x54000100, 0x7FE00001, 0x7FE00002, 0x7FE00008, 0x7FE00009, 0x7FE00010),
)
VRS = ("AT", "DS", "FD", "IS", "LO", "OB", "OV", "OW", "PN", "SQ", "SV", "UC", "UI", "UL", "UN", "UR", "ZZ", "--")
LONG_VRS = frozenset({"OB", "OV", "OW", "SQ", "UC", "UN", "UR"})


def padded(value: bytes) -> bytes:
    return value + b" " * (len(value) % 2)


def data_set_of(number: int, *elements: bytes, order: str = "<") -> bytes:
    """These elements, and UIDs of an instance of its own study, in the order of their tags."""
    uids = ((0x00080016, "1.2.840.10008.5.1.4.1.1.7"), (0x00080018, f"1.2.{number}.3"), (0x0020000D, f"1.2.{number}"),
            (0x0020000E, f"1.2.{number}.2"))  # fmt: skip
    given = {each[:4] for each in elements}
    own = [element(tag, "UI", uid.encode() + b"\0" * (len(uid) % 2), order=order) for tag, uid in uids]
    every = [*(each for each in own if each[:4] not in given), *elements]
    return b"".join(sorted(every, key=lambda each: struct.unpack(f"{order}HH", each[:4])))


def part10(number: int, *elements: bytes, syntax: str = EXPLICIT) -> bytes:
    return file_meta(syntax) + data_set_of(number, *elements, order=">" if syntax == BIG_ENDIAN else "<")


def implicit_part10(number: int, *elements: bytes) -> bytes:
    """The UIDs are explicit nowhere: their headers are made anew."""
    whole = data_set_of(number)
    uids, at = [], 0
    while at < len(whole):
        group, number_in_group, _, length = struct.unpack_from("<HH2sH", whole, at)
        uids.append(implicit(group << 16 | number_in_group, whole[at + 8 : at + 8 + length]))
        at += 8 + length
    return file_meta(IMPLICIT) + b"".join(sorted([*uids, *elements], key=lambda each: struct.unpack("<HH", each[:4])))


def check_beside_healthy(client: Client, poisons: list[bytes]) -> None:
    """Stores all in one request, healthy ones first and last, and asks for everything."""
    answer = client.store(HEALTHY[0], *poisons, HEALTHY[1])
    assert answer.status in (200, 202), answer.content[:300]
    stored = len(answer.json["00081199"]["Value"])
    failed = sum(len(answer.json.get(tag, {}).get("Value", [])) for tag in ("00081198", "0008119A"))
    assert stored + failed == len(poisons) + 2
    assert len(fine(client.get(HEALTHY_INSTANCES)).json) == 2
    assert crawl(client) == stored


@pytest.mark.parametrize("form", ["explicit", "implicit", "big endian"])
def test_numbers_that_are_none_A12(memory_client: Client, form: str) -> None:
    poisons = []
    for number, raw in enumerate(RAW_NUMBERS, 100):
        value = padded(raw)
        if form == "implicit":
            poisons.append(implicit_part10(number, *(implicit(tag, value) for tag in NUMERIC.values())))
        else:
            order, syntax = (">", BIG_ENDIAN) if form == "big endian" else ("<", EXPLICIT)
            elements = [element(tag, vr, value, order=order) for vr, tag in NUMERIC.items()]
            poisons.append(part10(number, *elements, syntax=syntax))
    check_beside_healthy(memory_client, poisons)


def texts(number: int, character_set: bytes, text: bytes) -> bytes:
    """The text in an attribute of each VR, in an item with a character set of its own, and in private elements."""
    value = padded(text)
    inner = element(0x00080005, "CS", b"GB18030 ") + element(0x00400009, "SH", value)
    return part10(
        number,
        element(0x00080005, "CS", padded(character_set)),
        *(element(tag, vr, value) for vr, tag in STRINGS.items()),
        element(0x00400275, "SQ", item(inner)),
        element(0x00090010, "LO", value),
        *(element(tag, vr, value) for tag, vr in ((0x00091001, "LO"), (0x00091002, "UN"), (0x00111001, "PN"))),
    )


@pytest.mark.parametrize("character_set", CHARACTER_SETS, ids=ascii)
def test_texts_of_any_kind_A13_A14(memory_client: Client, character_set: bytes) -> None:
    # Every text meets every character set in the course of the tests of the codecs; here a quarter each.
    first = CHARACTER_SETS.index(character_set) % 4
    check_beside_healthy(
        memory_client, [texts(number, character_set, text) for number, text in enumerate(TEXTS[first::4], 100)]
    )


def test_texts_of_any_kind_at_rest_A13_A14(client: Client, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        check_beside_healthy(client, [texts(number, b"ISO_IR 192", text) for number, text in enumerate(TEXTS, 100)])
    assert not caplog.records


def implicit_nested(depth: int) -> bytes:
    content = b""
    for _ in range(depth):
        content = implicit(0x00400275, item(content))
    return content


def depths() -> Iterator[bytes]:
    number = 100
    for depth in (1, 50, 63, 64, 65, 500):
        for content in (nested(depth, delimited=True), nested(depth, delimited=False)):
            number += 2
            yield part10(number, content)
            yield file_meta(DEFLATED) + deflated(data_set_of(number + 1, content))
        number += 2
        yield part10(number, nested(depth, delimited=True, inside_un=True))
        yield implicit_part10(number + 1, implicit_nested(depth))


def test_depths_A05(client: Client) -> None:
    check_beside_healthy(client, list(depths()))


def test_broken_structures_A07(memory_client: Client) -> None:
    check_beside_healthy(
        memory_client,
        [part10(number, *param.values) for number, param in enumerate(LENGTHS, 100)],  # type: ignore[arg-type]
    )


def test_strange_orders_A02_A03_A09(client: Client) -> None:
    large = element(0x00091001, "OB", b"\1" * 2000)
    check_beside_healthy(
        client,
        [
            part10(100, element(0x0020000D, "UI", b"6.6.6\0"), large, element(0x00091001, "OB", b"xx")),
            part10(101, element(0x00400275, "SQ", item(large) + item(large)), element(0x00400275, "SQ", item(large))),
            part10(102, element(0x00280010, "US", b"\7\0"), element(0x00280010, "US", b"\6\0")),
            part10(103, element(0xFFFCFFFC, "OB", bytes(300))),
            part10(104, element(0x00020010, "UI", b"1.2 ")),
            part10(105, element(0x00000000, "UL", bytes(4)), element(0x00080000, "UL", bytes(4))),
            part10(106, element(0xFFFEE000, "UN", bytes(4))),
            part10(107) + bytes(100),
            part10(108) + b"garbage",
            part10(109)[128:],
            part10(110)[:200],
            b"",
            b"D",
            part10(111, fragments(b"", b"abcd"), syntax="1.2.999.7"),
            part10(112, element(0x7FE00010, "OW", b""), element(0x7FE00008, "OF", bytes(8))),
            part10_of_one_uid(element(0x00080018, "UI", b"1.2\\1.3 ")),
            *(preamble.ljust(128, b"\0") + part10(120 + n)[128:] for n, preamble in enumerate(PREAMBLES.values())),
        ],
    )


def other_vrs(big_endian: bool) -> Iterator[tuple[str, bytes]]:
    """A small image in which one attribute has another VR."""
    order, syntax = (">", BIG_ENDIAN) if big_endian else ("<", EXPLICIT)
    one, sixteen = struct.pack(f"{order}H", 1), struct.pack(f"{order}H", 16)
    image = [element(0x00280004, "CS", b"MONOCHROME2 ", order=order), element(0x7FE00010, "OW", b"\1\2", order=order)]
    image += [element(tag, "US", one, order=order) for tag in (0x00280002, 0x00280010, 0x00280011)]
    image += [element(tag, "US", sixteen, order=order) for tag in (0x00280100, 0x00280101)]
    number = 100
    for vr in VRS:
        for tag in LEVEL_AND_PIXEL_TAGS:
            for value in (b"\7\0\0\0", b"1.2.3.77", b"", b"x" * 2000, bytes(70_000)):
                if len(value) > 0xFFFF and vr not in LONG_VRS:
                    continue
                if vr == "SQ":
                    value = item(element(tag, "UN", value, order=order), order=order) if value else value
                other = element(tag, vr, value, order=order)
                number += 1
                yield vr, part10(number, *(e for e in image if e[:4] != other[:4]), other, syntax=syntax)


BIG_ENDIAN_IMAGE = next(content for vr, content in other_vrs(big_endian=True) if vr == "LO")


@pytest.mark.parametrize("big_endian", [False, True], ids=["little", "big"])
def test_other_vrs_A10(memory_client: Client, big_endian: bool) -> None:
    every = [content for _, content in other_vrs(big_endian)]
    check_beside_healthy(memory_client, random.Random(11).sample(every, 45))


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("big_endian", [False, True], ids=["little", "big"])
@pytest.mark.parametrize("vr", VRS)
def test_every_vr_for_every_attribute_A10(memory_client: Client, vr: str, big_endian: bool) -> None:
    check_beside_healthy(memory_client, [content for each, content in other_vrs(big_endian) if each == vr])


@pytest.mark.parametrize("vr", ["IS", "AT", "DS", "LO", "FD", "SQ", "UN", "OB"])
def test_bits_allocated_that_are_no_number_A10(memory_client: Client, vr: str) -> None:
    value = item(order=">") if vr == "SQ" else b"1.2.3.77"
    poison = part10(
        100, element(0x00280100, vr, value, order=">"), element(0x7FE00010, "OW", b"\1\2", order=">"), syntax=BIG_ENDIAN
    )
    assert memory_client.store(poison).status == 200
    url = "/studies/1.2.100/series/1.2.100.2/instances/1.2.100.3"
    for suffix in ("/pixeldata", "/bulkdata", "/bulkdata/7FE00010"):
        ((_, content),) = fine(
            memory_client.get(url + suffix, 'multipart/related; type="application/octet-stream"')
        ).parts
        assert content == b"\2\1"
