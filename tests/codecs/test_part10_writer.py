"""A data set written from the DICOM JSON Model says the same to an independent reader (PS3.18 F, PS3.10 7)."""

from __future__ import annotations

import base64
import math
from collections.abc import Iterator, Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

import pydicom
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.encaps import generate_frames, parse_basic_offsets

from dicomweb_core.codecs.byte_order import WORD_BYTES, swapped
from dicomweb_core.codecs.frame_index import read_chunks, read_frame
from dicomweb_core.codecs.part10_reader import BytesSource, ReadInstance, read_part10
from dicomweb_core.codecs.part10_writer import CHUNK_BYTES, Piece, write_part10
from dicomweb_core.errors import InvalidDataset
from dicomweb_core.values.attributes import Attributes
from dicomweb_core.values.blobs import Span
from dicomweb_core.values.limits import Limits
from tests.samples import readable_files, source_of

NATIVE = "1.2.840.10008.1.2.1"
JPEG = "1.2.840.10008.1.2.4.50"


def no_bulk(path: str, uri: str) -> Sequence[Piece]:
    raise AssertionError(f"{path} asked for {uri}")


def written(attributes: Attributes, *, syntax: str = NATIVE, bulk: Any = no_bulk) -> bytes:
    return b"".join(
        write_part10(
            attributes, transfer_syntax_uid=syntax, sop_class_uid="1.2.3", sop_instance_uid="1.2.3.4", bulk=bulk
        )
    )


def read_again(attributes: Attributes, **options: Any) -> Attributes:
    """The model as pydicom makes it, less the Specific Character Set that is always written."""
    model = pydicom.dcmread(BytesIO(written(attributes, **options))).to_json_dict()
    assert model.pop("00080005") == {"vr": "CS", "Value": ["ISO_IR 192"]}
    return dict(model)


def binary(value: bytes) -> str:
    return base64.b64encode(value).decode()


SAME = {
    "AE": {"00400001": {"vr": "AE", "Value": ["STATION", "B"]}},
    "AS": {"00101010": {"vr": "AS", "Value": ["030Y"]}},
    "AT": {"00280009": {"vr": "AT", "Value": ["0018106A", "00540220"]}},
    "CS": {"00080008": {"vr": "CS", "Value": ["ORIGINAL", "PRIMARY", "X"]}},
    "DA": {"00080020": {"vr": "DA", "Value": ["20240229"]}},
    "DT": {"0008002A": {"vr": "DT", "Value": ["20240229101010.5+0100"]}},
    "FD": {"00189087": {"vr": "FD", "Value": [1e300]}},
    "FL": {"00081163": {"vr": "FD", "Value": [0.5, -0.25]}},
    "LO": {"00080070": {"vr": "LO", "Value": ["Ärzte & Söhne"]}},
    "LT": {"00104000": {"vr": "LT", "Value": ["two\r\nlines \\ and a backslash"]}},
    "SH": {"00080050": {"vr": "SH", "Value": ["A1"]}},
    "SL": {"00186020": {"vr": "SL", "Value": [-(2**31)]}},
    "SS": {"00189219": {"vr": "SS", "Value": [-1, 32767]}},
    "ST": {"00080081": {"vr": "ST", "Value": ["東京"]}},
    "TM": {"00080030": {"vr": "TM", "Value": ["101010"]}},
    "UC": {"00080119": {"vr": "UC", "Value": ["long", "text"]}},
    "UI": {"0008001A": {"vr": "UI", "Value": ["1.2", "1.2.3"]}},
    "UL": {"00081161": {"vr": "UL", "Value": [2**32 - 1]}},
    "UR": {"0008010E": {"vr": "UR", "Value": ["http://example.org/a"]}},
    "US": {"00280010": {"vr": "US", "Value": [65535]}},
    "UT": {"00287FE0": {"vr": "UT", "Value": ["x" * 70_000]}},
    "empty": {"00100010": {"vr": "PN"}},
    "private": {"00090010": {"vr": "LO", "Value": ["ACME"]}, "00091001": {"vr": "OB", "InlineBinary": "AQI="}},
    "PN": {
        "00100010": {
            "vr": "PN",
            "Value": [{"Alphabetic": "Yamada^Tarou", "Ideographic": "山田^太郎", "Phonetic": "やまだ^たろう"}],
        }
    },
    "OB": {"00282000": {"vr": "OB", "InlineBinary": binary(bytes(range(256)))}},
    "OW": {"00281201": {"vr": "OW", "InlineBinary": binary(bytes(512))}},
    "OV": {"7FE00001": {"vr": "OV", "InlineBinary": binary(bytes(16))}},
    "UN": {"00091001": {"vr": "UN", "InlineBinary": binary(b"abcd")}},
    "SQ": {
        "00081140": {
            "vr": "SQ",
            "Value": [{"00081155": {"vr": "UI", "Value": ["1.2"]}}, {}, {"00081115": {"vr": "SQ", "Value": [{}]}}],
        }
    },
}


@pytest.mark.parametrize("attributes", SAME.values(), ids=SAME)
def test_every_vr_comes_back_as_it_was(attributes: Attributes) -> None:
    assert read_again(attributes) == attributes


@pytest.mark.parametrize(
    ("vr", "tag", "value", "expected"),
    [
        ("DS", 0x00101030, [1], b"1 "),
        ("DS", 0x00101030, [0.1, "+1.50", None], b"0.1\\+1.50\\"),
        ("DS", 0x00101030, [1 / 3], b"0.33333333333333"),
        ("DS", 0x00101030, ["1.000000", 2.5], b"1.000000\\2.5"),
        ("DS", 0x00101030, [-1.2345678901234567e-100], b"-1.23456789e-100"),
        ("IS", 0x00200013, [7.0], b"7 "),
        ("IS", 0x00200013, ["+07"], b"+07 "),
        ("UI", 0x00080018, ["1.2.3"], b"1.2.3\0"),
        ("PN", 0x00100010, [{"Alphabetic": "A", "Phonetic": "B"}, None, {"Alphabetic": "C"}], b"A==B\\\\C "),
        ("PN", 0x00100010, ["A^B"], b"A^B "),
        ("PN", 0x00100010, [{"Ideographic": "A"}], b"=A"),
        ("LO", 0x00080070, ["a", None, "b"], b"a\\\\b"),
        ("UV", 0x00081190, ["18446744073709551615"], b"\xff" * 8),
        ("SV", 0x00081190, [-1], b"\xff" * 8),
        ("FL", 0x00081190, ["NaN"], None),
        ("FL", 0x00081190, [3.4028235e38], b"\xff\xff\x7f\x7f"),
        ("FD", 0x00081190, ["Infinity", "-Infinity"], bytes(6) + b"\xf0\x7f" + bytes(6) + b"\xf0\xff"),
    ],
)
def test_value_fields(vr: str, tag: int, value: list[Any], expected: bytes | None) -> None:
    file = written({f"{tag:08X}": {"vr": vr, "Value": value}})
    element = pydicom.dcmread(BytesIO(file)).get_item(tag)
    assert element is not None
    if expected is None:
        (number,) = memoryview(element.value).cast("f")
        assert math.isnan(number)
    else:
        assert element.value == expected
    assert (element.VR, len(element.value) % 2) == (vr, 0)


def test_an_empty_sequence_has_no_items() -> None:
    assert written({"00081140": {"vr": "SQ"}}).endswith(b"\x08\0\x40\x11SQ\0\0\0\0\0\0")


def test_values_too_long_for_their_vr_become_un_COM_25() -> None:
    text = "x" * 65_534
    assert (
        pydicom.dcmread(BytesIO(written({"00104000": {"vr": "LT", "Value": [text]}}))).get_item(0x00104000).VR == "LT"
    )
    element = pydicom.dcmread(BytesIO(written({"00104000": {"vr": "LT", "Value": [text + "yz"]}}))).get_item(0x00104000)
    assert (element.VR, element.value) == ("UN", text.encode() + b"yz")


def test_file_meta_names_the_instance_and_ourselves() -> None:
    meta = pydicom.dcmread(BytesIO(written({}))).file_meta
    assert (meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID) == ("1.2.3", "1.2.3.4")
    assert meta.TransferSyntaxUID == NATIVE
    assert meta.ImplementationClassUID.is_valid
    content = written({"00100010": {"vr": "PN"}})
    assert content[:132] == bytes(128) + b"DICM"
    assert content[132 + 12 + meta.FileMetaInformationGroupLength :][:4] == b"\x08\0\x05\0"


def test_what_belongs_to_no_data_set_is_left_out() -> None:
    attributes = {
        "00020010": {"vr": "UI", "Value": ["1.2"]},
        "00080000": {"vr": "UL", "Value": [4]},
        "FFFCFFFC": {"vr": "OB", "InlineBinary": "AAA="},
        "00100020": {"vr": "LO", "Value": ["1"]},
    }
    assert read_again(attributes) == {"00100020": {"vr": "LO", "Value": ["1"]}}


def test_attributes_are_written_in_ascending_order_and_items_say_their_character_set() -> None:
    item = {"00080005": {"vr": "CS", "Value": ["ISO_IR 100"]}, "00080104": {"vr": "LO", "Value": ["é"]}}
    attributes = {
        "0040A043": {"vr": "SQ", "Value": [item]},
        "00100020": {"vr": "LO", "Value": ["ü"]},
        "0010001a": {"vr": "LO"},
        "0010001B": {"vr": "LO"},
    }
    content = written(attributes)
    places = [
        content.index(start) for start in (b"\x10\0\x1a\0LO", b"\x10\0\x1b\0LO", b"\x10\0\x20\0LO", b"\x40\0\x43\xa0SQ")
    ]
    assert places == sorted(places)
    dataset = pydicom.dcmread(BytesIO(content))
    assert dataset.PatientID == "ü"
    assert dataset.ConceptNameCodeSequence[0].CodeMeaning == "é"
    assert dataset.ConceptNameCodeSequence[0].SpecificCharacterSet == "ISO_IR 192"


def test_a_bulk_value_is_streamed_and_padded() -> None:
    asked = []
    content = bytes(i % 251 for i in range(200_001))

    def chunks() -> Iterator[bytes]:
        for begin in range(0, len(content), 1_000):
            yield content[begin : begin + 1_000]

    def bulk(path: str, uri: str) -> Sequence[Piece]:
        asked.append((path, uri))
        return [Piece(len(content), chunks)]

    item = {"00091001": {"vr": "UN", "BulkDataURI": "b"}}
    attributes = {
        "00081140": {"vr": "SQ", "Value": [{}, item]},
        "7FE00010": {"vr": "OB", "BulkDataURI": "a"},
    }
    dataset = pydicom.dcmread(BytesIO(written(attributes, bulk=bulk)))
    assert dataset.PixelData == content + b"\0"
    assert dataset.ReferencedImageSequence[1][0x00091001].value == content + b"\0"
    assert asked == [("00081140/1/00091001", "b"), ("7FE00010", "a")]


@given(st.lists(st.binary(min_size=1, max_size=20), min_size=1, max_size=6))
def test_compressed_frames_are_encapsulated_a_fragment_each(frames: list[bytes]) -> None:
    pieces = [Piece(len(frame), lambda frame=frame: [frame]) for frame in frames]  # type: ignore[misc]  # loop variable
    attributes = {"7FE00010": {"vr": "OB", "BulkDataURI": "x"}}
    dataset = pydicom.dcmread(BytesIO(written(attributes, syntax=JPEG, bulk=lambda path, uri: pieces)))
    read = list(generate_frames(dataset.PixelData, number_of_frames=len(frames)))
    assert read == [frame + b"\0" * (len(frame) % 2) for frame in frames]
    items = [sum(8 + len(frame) for frame in read[:index]) for index in range(len(read))]
    assert parse_basic_offsets(dataset.PixelData) == items


def test_chunks_are_neither_small_nor_large() -> None:
    attributes = {f"0009{n:04X}": {"vr": "UN", "InlineBinary": binary(bytes(100))} for n in range(0x1000, 0x2000)}
    chunks = list(
        write_part10(attributes, transfer_syntax_uid=NATIVE, sop_class_uid="1", sop_instance_uid="2", bulk=no_bulk)
    )
    assert all(CHUNK_BYTES <= len(chunk) < 2 * CHUNK_BYTES for chunk in chunks[:-1])


def test_nesting_costs_no_recursion_A05() -> None:
    attributes: Attributes = {}
    for _ in range(1_500):
        attributes = {"00081140": {"vr": "SQ", "Value": [attributes]}}
    assert written(attributes).count(b"\x08\0\x40\x11SQ") == 1_500


@pytest.mark.parametrize(
    "attribute",
    [
        pytest.param({"vr": "US", "Value": [65536]}, id="US too large"),
        pytest.param({"vr": "US", "Value": [-1]}, id="US negative"),
        pytest.param({"vr": "US", "Value": [1.5]}, id="US fraction"),
        pytest.param({"vr": "US", "Value": [None]}, id="US null"),
        pytest.param({"vr": "US", "Value": [True]}, id="US true"),
        pytest.param({"vr": "US", "Value": [float("inf")]}, id="US infinite"),
        pytest.param({"vr": "FL", "Value": [1e39]}, id="FL too large"),
        pytest.param({"vr": "FD", "Value": ["secret"]}, id="FD text"),
        pytest.param({"vr": "FD", "Value": [10**400]}, id="FD large integer"),
        pytest.param({"vr": "UV", "Value": ["99999999999999999999"]}, id="UV too large"),
        pytest.param({"vr": "AT", "Value": ["secret"]}, id="AT no tag"),
        pytest.param({"vr": "AT", "Value": [7]}, id="AT number"),
        pytest.param({"vr": "LO", "Value": [{"secret": 1}]}, id="LO object"),
        pytest.param({"vr": "LO", "Value": "secret"}, id="Value no array"),
        pytest.param({"vr": "LO", "Value": ["\ud800secret"]}, id="LO surrogate"),
        pytest.param({"vr": "PN", "Value": [["secret"]]}, id="PN array"),
        pytest.param({"vr": "PN", "Value": [{"Alphabetic": 1}]}, id="PN number"),
        pytest.param({"vr": "IS", "Value": [1.5]}, id="IS fraction"),
        pytest.param({"vr": "DS", "Value": [float("nan")]}, id="DS NaN"),
        pytest.param({"vr": "DS", "Value": [[]]}, id="DS array"),
        pytest.param({"vr": "OB", "Value": [1]}, id="OB numbers"),
        pytest.param({"vr": "OB", "InlineBinary": "secret!"}, id="OB no base64"),
        pytest.param({"vr": "OB", "InlineBinary": 7}, id="OB number"),
        pytest.param({"vr": "LO", "InlineBinary": "AAAA"}, id="LO binary"),
        pytest.param({"vr": "LO", "BulkDataURI": "secret"}, id="LO bulk"),
        pytest.param({"vr": "OB", "BulkDataURI": 7}, id="bulk number"),
        pytest.param({"vr": "SQ", "Value": ["secret"]}, id="SQ of text"),
        pytest.param({"vr": "SQ", "Value": {}}, id="SQ no array"),
        pytest.param({"vr": "ZZ", "Value": ["secret"]}, id="VR ZZ"),
        pytest.param({"vr": 7, "Value": ["secret"]}, id="VR number"),
        pytest.param({"vr": "ÄÖ", "Value": ["secret"]}, id="VR not ASCII"),
        pytest.param({"vr": "US or SS", "Value": [1]}, id="VR ambiguous"),
        pytest.param({"Value": ["secret"]}, id="no VR"),
        pytest.param("secret", id="no object"),
    ],
)
def test_what_is_no_value_is_refused_by_tag_and_not_quoted(attribute: Any) -> None:
    with pytest.raises(InvalidDataset) as refusal:
        written({"00280106": attribute})
    assert "00280106" in str(refusal.value)
    assert "secret" not in str(refusal.value)


def without_character_set(attributes: Attributes) -> Attributes:
    """At every level: the writer always declares UTF-8."""
    return {
        tag: (
            {**attribute, "Value": [without_character_set(item) for item in attribute["Value"]]}
            if attribute["vr"] == "SQ" and "Value" in attribute
            else attribute
        )
        for tag, attribute in attributes.items()
        if tag != "00080005"
    }


@pytest.mark.parametrize(
    ("path", "content", "instance"),
    [pytest.param(*file, id=file[0].name) for file in readable_files() if len(file[1]) < 500_000],
)
def test_what_our_reader_found_is_written_and_found_again(path: Path, content: bytes, instance: ReadInstance) -> None:
    source, layout = source_of(content, instance), instance.layout
    values = {value.path: value for value in layout.bulk}

    def bulk(place: str, uri: str) -> Sequence[Piece]:
        frames, value = layout.frames, values[place]
        if frames is not None and frames.encapsulated and place == frames.element:
            return [
                Piece(frames.length(i), lambda i=i: read_frame(source, frames, i, 1_000))  # type: ignore[misc]
                for i in range(frames.count)
            ]
        word = WORD_BYTES.get(value.vr, 1) if instance.transfer_syntax_uid == "1.2.840.10008.1.2.2" else 1
        return [
            Piece(value.length, lambda: swapped(read_chunks(source, Span(value.offset, value.length), 1_000), word))
        ]

    encapsulated = layout.frames is not None and layout.frames.encapsulated
    syntax = instance.transfer_syntax_uid if encapsulated else NATIVE
    file = b"".join(
        write_part10(
            instance.attributes,
            transfer_syntax_uid=syntax,
            sop_class_uid=instance.sop_class_uid,
            sop_instance_uid=instance.sop_instance_uid,
            bulk=bulk,
        )
    )
    again = read_part10(BytesSource(file), Limits())
    before, after = without_character_set(instance.attributes), without_character_set(again.attributes)
    if encapsulated:
        before["7FE00010"]["vr"] = "OB"
    assert after == before
    assert (again.layout.frames is None) == (layout.frames is None)


@pytest.mark.parametrize("name", ["0010001", "PatientName", "", "0010001G", "00100010 "])
def test_names_that_are_no_tags_are_refused(name: str) -> None:
    with pytest.raises(InvalidDataset):
        written({name: {"vr": "LO"}})


@pytest.mark.parametrize("syntax", ["1.2.840.10008.1.2", "1.2.840.10008.1.2.2", "1.2.840.10008.1.2.1.99"])
def test_only_explicit_little_endian_is_written(syntax: str) -> None:
    with pytest.raises(InvalidDataset) as refusal:
        written({}, syntax=syntax)
    assert refusal.value.reason == 0xC122
