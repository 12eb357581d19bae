"""A stored file sent in Explicit VR Little Endian has the elements it was stored with (PS3.18 8.7.3.4, PS3.5 A.2)."""

from __future__ import annotations

import struct
import zlib
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dicomweb_core.codecs.part10_reader import BytesSource, ReadInstance, read_part10
from dicomweb_core.codecs.transcoded_part10 import transcoded_part10
from dicomweb_core.codecs.window import InflatedSource
from dicomweb_core.errors import DICOMwebError
from dicomweb_core.values.attributes import Attributes
from dicomweb_core.values.limits import Limits
from dicomweb_core.values.transfer_syntaxes import transfer_syntax
from tests.octets import Octets
from tests.samples import part10, readable_files, source_of

IMPLICIT = "1.2.840.10008.1.2"
EXPLICIT = "1.2.840.10008.1.2.1"
BIG_ENDIAN = "1.2.840.10008.1.2.2"
DEFLATED = "1.2.840.10008.1.2.1.99"
UNDEFINED = 0xFFFFFFFF

FILES = [
    pytest.param(*file, id=file[0].name)
    for file in readable_files()
    if not transfer_syntax(file[2].transfer_syntax_uid).encapsulated
]


def to_explicit_little_endian(source: Any, dataset_offset: int, *, transfer_syntax_uid: str, limits: Limits) -> Any:
    """Chunks of the file, nothing but its encoding changed."""
    return transcoded_part10(
        source,
        dataset_offset,
        transfer_syntax_uid=transfer_syntax_uid,
        target_uid=EXPLICIT,
        limits=limits,
    )


def converted(content: bytes, instance: ReadInstance, chunk_bytes: int = 1_000) -> bytes:
    return b"".join(
        to_explicit_little_endian(
            source_of(content, instance),
            instance.layout.dataset_offset,
            transfer_syntax_uid=instance.transfer_syntax_uid,
            limits=Limits(chunk_bytes=chunk_bytes),
        )
    )


# -- installed files ---------------------------------------------------------------------------------------------------


def test_enough_files_were_compared() -> None:
    syntaxes = [file.values[2].transfer_syntax_uid for file in FILES]
    assert syntaxes.count(IMPLICIT) >= 7
    assert syntaxes.count(BIG_ENDIAN) > 10
    assert syntaxes.count(DEFLATED) >= 2


@pytest.mark.parametrize(("path", "content", "instance"), FILES)
def test_our_reader_finds_the_same_in_the_converted_file(path: Path, content: bytes, instance: ReadInstance) -> None:
    again = read_part10(BytesSource(converted(content, instance)), Limits())
    assert again.transfer_syntax_uid == EXPLICIT
    assert again.attributes == instance.attributes
    assert [value.path for value in again.layout.bulk] == [value.path for value in instance.layout.bulk]


@pytest.mark.parametrize(("path", "content", "instance"), FILES)
def test_pydicom_finds_the_same_in_the_converted_file(path: Path, content: bytes, instance: ReadInstance) -> None:
    before, after = pydicom.dcmread(path), pydicom.dcmread(BytesIO(converted(content, instance)))
    assert after.file_meta.TransferSyntaxUID == EXPLICIT
    before_meta = {e.tag: e for e in before.file_meta if e.tag not in (0x00020000, 0x00020010)}
    assert {e.tag: e for e in after.file_meta if e.tag not in (0x00020000, 0x00020010)} == before_meta
    words = {"PixelData": 2 if before.get("BitsAllocated", 8) <= 16 else before.get("BitsAllocated", 8) // 8}
    expected = {e.tag: e for e in before if e.tag.element and e.tag != 0xFFFCFFFC}
    assert {e.tag for e in after} == set(expected)
    for element in after:
        old = expected[element.tag]
        if element.VR == "OW" and instance.transfer_syntax_uid == BIG_ENDIAN:
            # pydicom leaves OW as it is stored; numpy knows what that means.
            word = words.get(element.keyword, 2)
            assert element.value == np.frombuffer(old.value, f">u{word}").astype(f"<u{word}").tobytes()
        else:
            assert (element.VR, element.value) == (old.VR, old.value)


@pytest.mark.parametrize("syntax", [IMPLICIT, BIG_ENDIAN, DEFLATED])
def test_what_pydicom_writes_again_in_another_syntax_is_converted_alike(syntax: str) -> None:
    compared = 0
    for path, content, instance in (file.values for file in FILES[::3]):
        if instance.transfer_syntax_uid != EXPLICIT or len(content) > 2_000_000:
            continue
        dataset, rewritten = pydicom.dcmread(path), BytesIO()
        dataset.file_meta.TransferSyntaxUID = pydicom.uid.UID(syntax)
        try:
            pydicom.dcmwrite(rewritten, dataset, implicit_vr=syntax == IMPLICIT, little_endian=syntax != BIG_ENDIAN)
            stored = read_part10(BytesSource(rewritten.getvalue()), Limits())
        except (DICOMwebError, ValueError, AttributeError, TypeError):
            continue
        again = read_part10(BytesSource(converted(rewritten.getvalue(), stored)), Limits())
        assert again.attributes == stored.attributes, path.name
        compared += 1
    assert compared > 25


# -- data sets made here -----------------------------------------------------------------------------------------------


def implicit(tag: int, value: bytes, length: int | None = None) -> bytes:
    return struct.pack("<HHI", tag >> 16, tag & 0xFFFF, len(value) if length is None else length) + value


def explicit(tag: int, vr: str, value: bytes, *, order: str = "<", length: int | None = None) -> bytes:
    size = len(value) if length is None else length
    if vr in ("OB", "OW", "OF", "OD", "OL", "OV", "SQ", "UN", "UT", "UC", "UR", "SV", "UV"):
        return struct.pack(f"{order}HH2sHI", tag >> 16, tag & 0xFFFF, vr.encode(), 0, size) + value
    return struct.pack(f"{order}HH2sH", tag >> 16, tag & 0xFFFF, vr.encode(), size) + value


def item(content: bytes, *, order: str = "<", delimited: bool = False) -> bytes:
    if not delimited:
        return struct.pack(f"{order}HHI", 0xFFFE, 0xE000, len(content)) + content
    end = struct.pack(f"{order}HHI", 0xFFFE, 0xE00D, 0)
    return struct.pack(f"{order}HHI", 0xFFFE, 0xE000, UNDEFINED) + content + end


def sequence_end(order: str = "<") -> bytes:
    return struct.pack(f"{order}HHI", 0xFFFE, 0xE0DD, 0)


def convert(dataset: bytes, syntax: str, *, chunk_bytes: int = 1 << 20) -> bytes:
    """The converted data set, without what comes before it."""
    file = part10(dataset, syntax)
    begin = len(file) - len(dataset)
    whole = b"".join(
        to_explicit_little_endian(
            BytesSource(file), begin, transfer_syntax_uid=syntax, limits=Limits(chunk_bytes=chunk_bytes)
        )
    )
    head = part10(b"", EXPLICIT)
    assert whole.startswith(head)
    return whole[len(head) :]


def read_back(dataset: bytes) -> pydicom.Dataset:
    return pydicom.dcmread(BytesIO(part10(dataset, EXPLICIT)))


@pytest.mark.parametrize(
    ("tag", "value", "vr"),
    [
        pytest.param(0x00100010, b"A^B ", "PN", id="by the dictionary"),
        pytest.param(0x60003000, b"abcd", "OW", id="repeating group, OB or OW"),
        pytest.param(0x7FE00010, b"abcd", "OW", id="Pixel Data PS3.5 A.1"),
        pytest.param(0x00283006, b"ab", "US", id="US or OW of 2 bytes"),
        pytest.param(0x00283006, b"abcd", "OW", id="US or OW of more"),
        pytest.param(0x00280106, b"ab", "US", id="US or SS, nothing says signed"),
        pytest.param(0x00091001, b"abcd", "UN", id="private, unknown"),
        pytest.param(0x00090010, b"ACME", "LO", id="private creator"),
        pytest.param(0x00081140, b"abcd", "UN", id="sequence that is none"),
        pytest.param(0x00081140, b"", "SQ", id="empty sequence"),
    ],
)
def test_vrs_of_implicit_elements(tag: int, value: bytes, vr: str) -> None:
    output = convert(implicit(tag, value), IMPLICIT)
    assert output[4:6] == vr.encode()
    if vr != "SQ":
        assert output.endswith(value)


def test_private_elements_get_the_vr_their_creator_has() -> None:
    creator = implicit(0x00190010, b"SIEMENS MR HEADER ")
    output = convert(creator + implicit(0x0019100C, b"50"), IMPLICIT)
    assert output.endswith(explicit(0x0019100C, "IS", b"50"))
    inside = convert(
        creator + implicit(0x00191140, item(implicit(0x0019100C, b"50")), UNDEFINED) + sequence_end(), IMPLICIT
    )
    assert explicit(0x0019100C, "UN", b"50") in inside, (
        "a creator reserves blocks of its own data set only (PS3.5 7.8.1)"
    )


@pytest.mark.parametrize(("sign", "vr"), [(b"\x01\0", b"SS"), (b"\0\0", b"US")], ids=["signed", "unsigned"])
def test_pixel_representation_decides_also_when_it_comes_later(sign: bytes, vr: bytes) -> None:
    representation = implicit(0x00280103, sign)
    smallest = implicit(0x00280106, b"ab")
    nested = implicit(0x00081140, item(smallest))
    assert vr in convert(representation + smallest, IMPLICIT)
    assert explicit(0x00280106, vr.decode(), b"ab") in convert(nested + representation, IMPLICIT)
    other = b"\0\0" if sign == b"\x01\0" else b"\x01\0"
    own = implicit(0x00409096, item(implicit(0x00280103, other) + implicit(0x00409211, b"ab")))
    output = convert(representation + own, IMPLICIT)
    assert output[output.index(b"\x40\0\x11\x92") :][4:6] != vr, "the innermost data set that says is right"


@pytest.mark.parametrize(
    ("vr", "value"),
    [
        ("US", struct.pack(">2H", 1, 2)),
        ("SS", struct.pack(">h", -2)),
        ("UL", struct.pack(">2I", 1, 2)),
        ("SL", struct.pack(">i", -2)),
        ("FL", struct.pack(">2f", 0.5, -1)),
        ("FD", struct.pack(">2d", 0.5, -1)),
        ("SV", struct.pack(">q", -2)),
        ("UV", struct.pack(">Q", 2)),
        ("AT", struct.pack(">4H", 0x0010, 0x0020, 0x7FE0, 0x0010)),
        ("OW", struct.pack(">3H", 1, 2, 3)),
        ("OF", struct.pack(">2f", 0.5, -1)),
        ("OL", struct.pack(">2I", 1, 2)),
        ("OD", struct.pack(">2d", 0.5, -1)),
        ("OV", struct.pack(">2Q", 1, 2)),
        ("OB", b"\x01\x02\x03\x04"),
        ("UN", b"\x01\x02\x03\x04"),
        ("LO", b"text"),
        ("UT", b"text"),
    ],
)
def test_values_of_big_endian_data_sets(vr: str, value: bytes) -> None:
    codes = {"US": "2H", "SS": "h", "UL": "2I", "SL": "i", "FL": "2f", "FD": "2d", "SV": "q", "UV": "Q", "AT": "4H"}
    codes |= {"OW": "3H", "OF": "2f", "OL": "2I", "OD": "2d", "OV": "2Q"}
    little = struct.pack("<" + codes[vr], *struct.unpack(">" + codes[vr], value)) if vr in codes else value
    for chunk_bytes in (1, 8, 1_000):
        output = convert(explicit(0x00111001, vr, value, order=">"), BIG_ENDIAN, chunk_bytes=chunk_bytes)
        assert output == explicit(0x00111001, vr, little)


def test_big_endian_pixel_cells_change_as_a_whole_also_in_items() -> None:
    bits = explicit(0x00280100, "US", struct.pack(">H", 32), order=">")
    icon = explicit(0x00280100, "US", struct.pack(">H", 8), order=">") + explicit(0x7FE00010, "OW", b"ba", order=">")
    dataset = (
        bits
        + explicit(0x00880200, "SQ", item(icon, order=">"), order=">")
        + explicit(0x7FE00010, "OW", b"dcba", order=">")
    )
    output = convert(dataset, BIG_ENDIAN)
    assert output.endswith(explicit(0x7FE00010, "OW", b"abcd"))
    assert explicit(0x7FE00010, "OW", b"ab") in output


@pytest.mark.parametrize("order", ["<", ">"])
def test_un_of_undefined_length_is_implicit_little_endian_inside(order: str) -> None:
    """PS3.5 6.2.2 (CP-246), whatever the data set around is."""
    inside = item(implicit(0x00100020, b"ID"), delimited=True)
    dataset = explicit(0x00091001, "UN", inside, order=order, length=UNDEFINED) + sequence_end()
    syntax = BIG_ENDIAN if order == ">" else EXPLICIT
    output = convert(dataset + explicit(0x00100010, "PN", b"A^B ", order=order), syntax)
    dataset_again = read_back(output)
    assert dataset_again[0x00091001].value[0].PatientID == "ID"
    assert dataset_again.PatientName == "A^B"


def test_values_too_long_for_their_vr_become_un_COM_25() -> None:
    for size, vr in ((65_534, b"LT"), (65_535, b"UN"), (65_536, b"UN"), (200_000, b"UN")):
        value = b"x" * size
        output = convert(implicit(0x00104000, value), IMPLICIT, chunk_bytes=1_000)
        assert output[4:6] == vr
        assert output.endswith(value)
        assert read_back(output).get_item(0x00104000).value == value


def test_a_long_value_that_was_swapped_is_little_endian_as_un_COM_25() -> None:
    values = list(range(40_000))
    output = convert(implicit(0x00280106, struct.pack("<40000H", *values)), IMPLICIT)
    assert output[4:6] == b"UN"


def test_group_lengths_and_trailing_padding_are_left_out() -> None:
    dataset = implicit(0x00100000, b"abcd") + implicit(0x00100020, b"ID") + implicit(0xFFFCFFFC, bytes(10)) + bytes(20)
    assert convert(dataset, IMPLICIT) == explicit(0x00100020, "LO", b"ID")


@pytest.mark.parametrize("delimited", [True, False])
def test_sequences_get_undefined_lengths(delimited: bool) -> None:
    content = item(implicit(0x00081155, b"1.2\0"), delimited=delimited) + item(b"", delimited=delimited)
    length = UNDEFINED if delimited else None
    dataset = implicit(0x00081140, content, length) + (sequence_end() if delimited else b"")
    output = convert(dataset + implicit(0x00100020, b"ID"), IMPLICIT)
    inside = item(explicit(0x00081155, "UI", b"1.2\0"), delimited=True) + item(b"", delimited=True)
    assert output == (
        explicit(0x00081140, "SQ", inside, length=UNDEFINED) + sequence_end() + explicit(0x00100020, "LO", b"ID")
    )


@pytest.mark.parametrize(("syntax", "order"), [(IMPLICIT, "<"), (BIG_ENDIAN, ">")])
def test_fragments_keep_their_bytes(syntax: str, order: str) -> None:
    fragments = item(b"", order=order) + item(b"\xff\xd8ab", order=order) + sequence_end(order)
    header = (
        implicit(0x7FE00010, b"", UNDEFINED)
        if order == "<"
        else explicit(0x7FE00010, "OB", b"", order=order, length=UNDEFINED)
    )
    output = convert(header + fragments, syntax)
    assert output == explicit(0x7FE00010, "OB", item(b"") + item(b"\xff\xd8ab"), length=UNDEFINED) + sequence_end()


def test_a_deflated_data_set_comes_out_inflated() -> None:
    dataset = explicit(0x00100010, "PN", b"A^B ") + explicit(0x7FE00010, "OW", bytes(300_000))
    deflate = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    file = part10(deflate.compress(dataset) + deflate.flush(), DEFLATED)
    begin = len(part10(b"", DEFLATED))
    limits = Limits()
    chunks = to_explicit_little_endian(
        InflatedSource(BytesSource(file), begin, limits), begin, transfer_syntax_uid=DEFLATED, limits=limits
    )
    assert b"".join(chunks) == part10(dataset, EXPLICIT)


def test_memory_is_that_of_a_window_and_a_chunk() -> None:
    dataset = implicit(0x00100020, b"ID") + implicit(0x7FE00010, bytes(3 << 20))
    file = part10(dataset, IMPLICIT)
    source = Octets(file)
    limits = Limits(chunk_bytes=100_000)
    chunks = list(
        to_explicit_little_endian(source, len(file) - len(dataset), transfer_syntax_uid=IMPLICIT, limits=limits)
    )
    assert source.longest_read <= 100_000
    assert max(map(len, chunks)) < 300_000


def test_the_preamble_is_zeroed_and_the_file_meta_is_kept() -> None:
    dataset = implicit(0x00100020, b"ID")
    meta = explicit(0x00020001, "OB", b"\0\x01") + explicit(0x00020010, "UI", IMPLICIT.encode() + b"\0")
    private = explicit(0x00020100, "UI", b"1.2\0") + explicit(0x00020102, "OB", b"abcd")
    file = b"MZ" + bytes(126) + b"DICM" + explicit(0x00020000, "UL", b"\xff\0\0\0") + meta + private + dataset
    output = b"".join(
        to_explicit_little_endian(
            BytesSource(file), len(file) - len(dataset), transfer_syntax_uid=IMPLICIT, limits=Limits()
        )
    )
    assert output[:132] == bytes(128) + b"DICM"
    read = pydicom.dcmread(BytesIO(output))
    assert read.PatientID == "ID"
    assert read.file_meta[0x00020102].value == b"abcd"
    assert read.file_meta.FileMetaInformationGroupLength == len(output) - 144 - len(explicit(0x00100020, "LO", b"ID"))


def test_nesting_costs_no_recursion_A05() -> None:
    depth = 3_000
    begin = implicit(0x00081140, b"", UNDEFINED) + struct.pack("<HHI", 0xFFFE, 0xE000, UNDEFINED)
    end = struct.pack("<HHI", 0xFFFE, 0xE00D, 0) + sequence_end()
    output = convert(begin * depth + end * depth, IMPLICIT)
    assert output.count(b"\x08\0\x40\x11SQ") == depth


SAMPLE = (
    explicit(0x00080008, "CS", b"A\\B ", order=">")
    + explicit(
        0x00081140,
        "SQ",
        item(explicit(0x00081155, "UI", b"1.2\0", order=">"), order=">", delimited=True) + sequence_end(">"),
        order=">",
        length=UNDEFINED,
    )
    + explicit(0x00091001, "UN", item(implicit(0x00100020, b"ID")), order=">", length=UNDEFINED)
    + sequence_end()
    + explicit(0x00280010, "US", b"\0\x01", order=">")
    + explicit(0x7FE00010, "OW", bytes(range(16)), order=">")
)


@given(cut=st.integers(0, len(SAMPLE)), flips=st.lists(st.tuples(st.integers(0, len(SAMPLE) - 1), st.integers(0, 255))))
def test_what_was_never_accepted_raises_our_errors_only_A08(cut: int, flips: list[tuple[int, int]]) -> None:
    broken = bytearray(SAMPLE)
    for at, value in flips[:3]:
        broken[at] = value
    for syntax in (BIG_ENDIAN, IMPLICIT, EXPLICIT):
        try:
            convert(bytes(broken[:cut]), syntax)
        except DICOMwebError:
            continue


def test_the_sample_itself_is_sound() -> None:
    expected: Attributes = {"00081155": {"vr": "UI", "Value": ["1.2"]}}
    read = read_back(convert(SAMPLE, BIG_ENDIAN)).to_json_dict()
    assert read["00081140"]["Value"] == [expected]
    assert read["00091001"]["Value"] == [{"00100020": {"vr": "LO", "Value": ["ID"]}}]
    assert read["00280010"]["Value"] == [1]
