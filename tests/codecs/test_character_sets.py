"""Specific Character Set (0008,0005): every set of PS3.3 C.12.1.1.2, code extensions, and bytes that are wrong."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dicomweb_core.codecs.character_sets import PARAGRAPHS, PERSON_NAMES, VALUES, character_set
from dicomweb_core.codecs.part10_reader import BytesSource, ReadInstance, read_part10
from dicomweb_core.values.limits import Limits
from tests.part10_bytes import element, item, part10

SINGLE_BYTE = {
    "ISO_IR 100": ("latin_1", "Äneas Jérôme"),
    "ISO_IR 101": ("iso8859_2", "Wałęsa Dvořák"),
    "ISO_IR 109": ("iso8859_3", "Ĉapelo Ħamrun"),
    "ISO_IR 110": ("iso8859_4", "Šķēle Ūdris"),
    "ISO_IR 144": ("iso8859_5", "Люкceмбypг"),
    "ISO_IR 127": ("iso8859_6", "قباني لنزار"),
    "ISO_IR 126": ("iso8859_7", "Διονυσιος"),
    "ISO_IR 138": ("iso8859_8", "שרון דבורה"),
    "ISO_IR 148": ("iso8859_9", "Çavuşoğlu İnönü"),
    "ISO_IR 203": ("iso8859_15", "Œuvre 5 €"),
    "ISO_IR 166": ("tis_620", "สมชาย"),
    "ISO_IR 13": ("shift_jis", "ﾔﾏﾀﾞ ﾀﾛｳ"),
    "ISO_IR 192": ("utf_8", "王小東 Ærø 😀"),
    "GB18030": ("gb18030", "王小东 𠀀"),
    "GBK": ("gbk", "王小东"),
}


def read(*elements: bytes) -> ReadInstance:
    return read_part10(BytesSource(part10(*elements)), Limits())


def declared(terms: str) -> bytes:
    return element(0x00080005, "CS", terms.encode() + b" " * (len(terms) % 2))


@pytest.mark.parametrize("term", SINGLE_BYTE)
@pytest.mark.parametrize(
    ("tag", "vr"), [(0x00081030, "LO"), (0x00104000, "LT"), (0x00080050, "SH"), (0x00189074, "UT")]
)
def test_every_defined_term(term: str, tag: int, vr: str) -> None:
    codec, text = SINGLE_BYTE[term]
    found = read(declared(term), element(tag, vr, text.encode(codec)))
    assert found.attributes[f"{tag:08X}"] == {"vr": vr, "Value": [text]}
    assert found.attributes["00080005"] == {"vr": "CS", "Value": ["ISO_IR 192"]}
    assert json.loads(found.metadata) == found.attributes
    assert found.warnings == ()


# PS3.5 H, I and K.
EXTENDED = [
    pytest.param(
        "\\ISO 2022 IR 87",
        b"Yamada^Tarou=\x1b$B;3ED\x1b(B^\x1b$BB@O:\x1b(B=\x1b$B$d$^$@\x1b(B^\x1b$B$?$m$&\x1b(B",
        {"Alphabetic": "Yamada^Tarou", "Ideographic": "山田^太郎", "Phonetic": "やまだ^たろう"},
        id="PS3.5 H.3.1",
    ),
    pytest.param(
        "ISO 2022 IR 13\\ISO 2022 IR 87",
        b"\xd4\xcf\xc0\xde^\xc0\xdb\xb3=\x1b$B;3ED\x1b(J^\x1b$BB@O:\x1b(J=\x1b$B$d$^$@\x1b(J^\x1b$B$?$m$&\x1b(J",
        {"Alphabetic": "ﾔﾏﾀﾞ^ﾀﾛｳ", "Ideographic": "山田^太郎", "Phonetic": "やまだ^たろう"},
        id="PS3.5 H.3.2",
    ),
    pytest.param(
        "\\ISO 2022 IR 149",
        b"Hong^Gildong=\x1b$)C\xfb\xf3^\x1b$)C\xd1\xce\xd4\xd7=\x1b$)C\xc8\xab^\x1b$)C\xb1\xe6\xb5\xbf",
        {"Alphabetic": "Hong^Gildong", "Ideographic": "洪^吉洞", "Phonetic": "홍^길동"},
        id="PS3.5 I.2",
    ),
    pytest.param(
        "\\ISO 2022 IR 149",
        b"Hong^Gildong=\x1b$)C\xfb\xf3^\xd1\xce\xd4\xd7=\xc8\xab^\xb1\xe6\xb5\xbf",
        {"Alphabetic": "Hong^Gildong", "Ideographic": "洪^吉洞", "Phonetic": "홍^길동"},
        id="no designation behind the delimiters",
    ),
    pytest.param(
        "\\ISO 2022 IR 58",
        b"Zhang^XiaoDong=\x1b$)A\xd5\xc5^\x1b$)A\xd0\xa1\xb6\xab=",
        {"Alphabetic": "Zhang^XiaoDong", "Ideographic": "张^小东"},
        id="PS3.5 K.2",
    ),
    pytest.param(
        "ISO 2022 IR 100\\ISO 2022 IR 126",
        b"J\xe9r\xf4me^\x1b-F\xc4\xe9\xef",
        {"Alphabetic": "Jérôme^Διο"},
        id="two single-byte sets",
    ),
    pytest.param("\\ISO 2022 IR 159", b"A=\x1b$(D0B\x1b(B", {"Alphabetic": "A", "Ideographic": "亹"}, id="JIS X 0212"),
]


@pytest.mark.parametrize(("terms", "value", "name"), EXTENDED)
def test_code_extensions(terms: str, value: bytes, name: dict[str, str]) -> None:
    found = read(declared(terms), element(0x00100010, "PN", value + b" " * (len(value) % 2)))
    assert found.attributes["00100010"] == {"vr": "PN", "Value": [name]}
    assert found.warnings == ()


@pytest.mark.parametrize(
    ("ends", "value", "text"),
    [
        (PERSON_NAMES, b"\x1b-F\xc4^\xc4", "Δ^Ä"),
        (PERSON_NAMES, b"\x1b-F\xc4=\xc4", "Δ=Ä"),
        (VALUES, b"\x1b-F\xc4\\\xc4", "Δ\\Ä"),
        (VALUES, b"\x1b-F\xc4^\xc4", "Δ^Δ"),
        (PARAGRAPHS, b"\x1b-F\xc4\\\xc4", "Δ\\Δ"),
        (PARAGRAPHS, b"\x1b-F\xc4\r\n\xc4", "Δ\r\nÄ"),
    ],
)
def test_a_delimiter_ends_all_designations(ends: bytes, value: bytes, text: str) -> None:
    assert character_set(b"ISO 2022 IR 100\\ISO 2022 IR 126").decode(value, ends) == (text, True)


# Characters one of whose bytes looks like a delimiter, in each set that has some.
LOOKALIKES = [
    ("GBK", "誠".encode("gbk"), "誠", 0x5C),
    ("GB18030", "俓".encode("gb18030"), "俓", 0x5C),
    ("GBK", "僞".encode("gbk"), "僞", 0x5E),
    ("\\ISO 2022 IR 87", b"\x1b$B$\\\x1b(B", "ぼ", 0x5C),
    ("\\ISO 2022 IR 87", b"\x1b$B$=\x1b(B", "そ", 0x3D),
    ("\\ISO 2022 IR 87", b"\x1b$B$^\x1b(B", "ま", 0x5E),
    ("ISO_IR 13", "表".encode("shift_jis"), "表", 0x5C),
]


@pytest.mark.parametrize(("terms", "value", "character", "byte"), LOOKALIKES)
def test_the_second_byte_of_a_character_is_no_delimiter_A13(
    terms: str, value: bytes, character: str, byte: int
) -> None:
    assert byte in value
    found = read(
        declared(terms),
        element(0x00081030, "LO", b"a\\" + value + b"\\b"),
        element(0x00100010, "PN", b"a=" + value + b"^c"),
    )
    assert found.attributes["00081030"]["Value"] == ["a", character, "b"]
    assert found.attributes["00100010"]["Value"] == [{"Alphabetic": "a", "Ideographic": character + "^c"}]


def test_the_backslash_of_iso_ir_13_separates_values_and_is_a_yen_sign_in_paragraphs() -> None:
    value = b"\xb1\\\xb2~"
    found = read(declared("ISO_IR 13"), element(0x00081030, "LO", value), element(0x00104000, "LT", value))
    assert found.attributes["00081030"]["Value"] == ["ｱ", "ｲ‾"]
    assert found.attributes["00104000"]["Value"] == ["ｱ¥ｲ‾"]


def test_an_item_has_the_character_set_around_it_or_its_own() -> None:
    name = element(0x00100010, "PN", "Ä".encode("latin_1") + b" ")
    own = element(0x00080005, "CS", b"ISO_IR 144") + element(0x00100010, "PN", "Ж".encode("iso8859_5") + b" ")
    sequence = element(0x00101002, "SQ", item(name) + item(own) + item(name, delimited=True))
    found = read(declared("ISO_IR 100"), sequence, element(0x00104000, "LT", "é".encode("latin_1") + b" "))
    names = [each["00100010"]["Value"][0]["Alphabetic"] for each in found.attributes["00101002"]["Value"]]
    assert names == ["Ä", "Ж", "Ä"]
    assert found.attributes["00101002"]["Value"][1]["00080005"]["Value"] == ["ISO_IR 192"]
    assert found.attributes["00104000"]["Value"] == ["é"]


@pytest.mark.parametrize(
    ("terms", "shown"),
    [("", None), ("ISO_IR 6", ["ISO_IR 6"]), ("ISO 2022 IR 6", ["ISO 2022 IR 6"])],
)
def test_the_default_repertoire_stays_as_declared(terms: str, shown: list[str] | None) -> None:
    found = read(declared(terms), element(0x00100010, "PN", b"Doe^Jane"))
    assert found.attributes["00080005"].get("Value") == shown


@pytest.mark.parametrize(
    "terms", ["ISO-IR 100", "ISO IR 100", "iso_ir 100", "ISO_IR_100", "ISO2022 IR 100", "ISO 2022-IR 100"]
)
def test_misspelt_terms_are_understood(terms: str) -> None:
    assert character_set(terms.encode()).decode(b"\xc4", VALUES) == ("Ä", True)


@pytest.mark.parametrize(
    "terms", ["UTF-8", "UTF8", "ISO-IR 192", "ISO IR 192", "ISO 2022 IR 192", "ISO_IR 192\\ISO_IR 100"]
)
def test_utf_8_by_other_names(terms: str) -> None:
    assert character_set(terms.encode()).decode("Ä".encode(), VALUES) == ("Ä", True)


def test_an_unknown_term_is_the_default_repertoire_and_is_said_A13() -> None:
    found = read(declared("KLINGON"), element(0x00100010, "PN", b"\xc4 "))
    assert found.attributes["00100010"]["Value"] == [{"Alphabetic": "Ä"}]
    assert found.attributes["00080005"]["Value"] == ["ISO_IR 192"]
    assert any("unknown term" in warning for warning in found.warnings)


WRONG = [
    pytest.param("ISO_IR 192", b"a\xc3", "a\ufffd", id="half a character"),
    pytest.param("ISO_IR 192", b"\xc0\xaf", "\ufffd\ufffd", id="overlong"),
    pytest.param("ISO_IR 192", b"\xed\xa0\x80", "\ufffd\ufffd\ufffd", id="surrogate"),
    pytest.param("ISO_IR 166", b"a\xff", "a\ufffd", id="not in the set"),
    pytest.param("GBK", b"a\xff", "a\ufffd", id="half of two bytes"),
    pytest.param("", b"\xe9", "é", id="8 bits, nothing declared"),
    pytest.param("\\ISO 2022 IR 87", b"\x1b$B\x21", "!", id="half a kanji"),
    pytest.param("\\ISO 2022 IR 87", b"\x1b$B\x7e\x7e\x1b(B", "\ufffd", id="no such kanji"),
    pytest.param("\\ISO 2022 IR 149", b"\x1b$)Z\xb1", "±", id="unknown designation"),
]


@pytest.mark.parametrize(("terms", "value", "text"), WRONG)
def test_undefined_bytes_are_replaced_and_said_A13(terms: str, value: bytes, text: str) -> None:
    found = read(declared(terms), element(0x00081030, "LO", value))
    assert found.attributes["00081030"]["Value"] == [text]
    assert any("(0008,1030) has bytes" in warning for warning in found.warnings)


HARMLESS: list[Any] = ["\ufeffx", "a\x00b", "\x1b[31m", "\u202eabc", "</script>", "{{7*7}}", "%s%n", "a\r\nb\x7f"]


@pytest.mark.parametrize("text", HARMLESS)
def test_strange_characters_are_characters_A14(text: str) -> None:
    found = read(declared("ISO_IR 192"), element(0x00081030, "LO", text.encode()))
    assert json.loads(found.metadata)["00081030"]["Value"] == [text]


TERMS = st.sampled_from([*SINGLE_BYTE, "", "ISO 2022 IR 6", "ISO 2022 IR 13", "ISO 2022 IR 87", "ISO 2022 IR 149"])


@given(
    st.lists(TERMS, min_size=1, max_size=20).map("\\".join),
    st.lists(
        st.sampled_from([b"\x1b$B", b"\x1b(J", b"\x1b$)C", b"\x1b-F", b"\x1b", b"^", b"\\", b"=", b"\n"])
        | st.binary(max_size=4)
    ),
    st.sampled_from([VALUES, PERSON_NAMES, PARAGRAPHS]),
)
def test_decoding_never_fails_and_makes_no_lone_surrogates_A13(terms: str, parts: list[bytes], ends: bytes) -> None:
    text, _ = character_set(terms.encode()).decode(b"".join(parts), ends)
    text.encode("utf-8")


@given(st.text(alphabet="山田太郎やまだ表そまabc ", max_size=12), st.sampled_from(["iso2022_jp", "gbk", "euc_kr"]))
def test_a_value_between_others_is_decoded_as_it_is_alone(text: str, codec: str) -> None:
    terms = {"iso2022_jp": "\\ISO 2022 IR 87", "gbk": "GBK", "euc_kr": "\\ISO 2022 IR 149"}[codec]
    encoded = text.encode(codec, "ignore")
    if codec == "euc_kr":
        encoded = b"\x1b$)C" + encoded
    alone, _ = character_set(terms.encode()).decode(encoded, VALUES)
    between, _ = character_set(terms.encode()).decode(b"x\\" + encoded + b"\\y", VALUES)
    assert between == f"x\\{alone}\\y"
