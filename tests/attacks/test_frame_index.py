"""What hostile or broken pixel data must not do to the frame index: raise, hang, or invent frames."""

from __future__ import annotations

import base64
import struct
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dicomweb_core.codecs.frame_index import index_frames
from dicomweb_core.values.blobs import BulkValue
from dicomweb_core.values.limits import Limits
from tests.codecs.test_frame_index import STARTS, all_frames, extended, image, index_encapsulated, index_native
from tests.octets import encapsulated


@pytest.mark.parametrize(
    "number", [-1, 0, "0", "-1", "abc", "1e9", "0x1A", "1_0", 1.5, "9" * 400, True, {}, None, [], "\u0661"], ids=repr
)
def test_unreadable_number_of_frames_A20(number: Any) -> None:
    frames, warnings, source = index_native(bytes(range(12)), image(frames=number))
    assert all_frames(source, frames) == [bytes(range(6)), bytes(range(6, 12))]
    assert warnings == ("Number of Frames (0028,0008) is not a positive number.",)
    pixels = encapsulated([STARTS["JPEG"] + b"1", b"x", STARTS["JPEG"] + b"2"])
    index, warnings = index_encapsulated(pixels, image(frames=number))
    assert all_frames(pixels.source, index) == [STARTS["JPEG"] + b"1x", STARTS["JPEG"] + b"2"]
    assert warnings == ("Number of Frames (0028,0008) is not a positive number.",)


@pytest.mark.parametrize("number", [3, 10**9, "99999999999999"])
def test_more_frames_claimed_than_there_are_A20(number: Any) -> None:
    frames, warnings, source = index_native(bytes(range(12)), image(frames=number))
    assert len(all_frames(source, frames)) == 2
    assert len(warnings) == 1
    pixels = encapsulated([STARTS["JPEG"] + b"1", STARTS["JPEG"] + b"2"])
    index, warnings = index_encapsulated(pixels, image(frames=number))
    assert len(all_frames(pixels.source, index)) == 2
    assert len(warnings) == 1


def test_fewer_frames_claimed_than_there_are_A20() -> None:
    fragments = [STARTS["JPEG"] + bytes([n]) for n in range(4)]
    pixels = encapsulated(fragments)
    index, warnings = index_encapsulated(pixels, image(frames=2))
    assert all_frames(pixels.source, index) == fragments[:2]
    assert len(warnings) == 1


def test_frames_that_nothing_tells_apart_are_not_guessed_A20() -> None:
    for fragments, number in (([b"a", b"b", b"c"], 2), ([b"a", b"b"], 3), ([b"a", b"b"], "x")):
        index, warnings = index_encapsulated(encapsulated(fragments), image(frames=number))
        assert index is None
        assert "cannot be told apart" in warnings[-1]


FRAGMENTS = [STARTS["JPEG"] + b"1", b"more", STARTS["JPEG"] + b"2", b"more"]
ITEMS = encapsulated(FRAGMENTS).item_offsets


@pytest.mark.parametrize(
    "table",
    [
        pytest.param(struct.pack("<II", 0, ITEMS[2] + 1), id="inside an item"),
        pytest.param(struct.pack("<II", ITEMS[2], 0), id="unsorted"),
        pytest.param(struct.pack("<II", 0, 0), id="overlapping"),
        pytest.param(struct.pack("<II", 0, 0xFFFFFFFE), id="beyond the data"),
        pytest.param(struct.pack("<II", ITEMS[1], ITEMS[2]), id="first not at 0"),
        pytest.param(struct.pack("<II", 0, ITEMS[2])[:7], id="not a multiple of 4"),
        pytest.param(struct.pack("<IIb", 0, ITEMS[2], 0), id="odd"),
        pytest.param(bytes(4_000), id="more entries than fragments"),
        pytest.param(struct.pack("<I", 0), id="one entry for two frames"),
        pytest.param(struct.pack("<III", 0, ITEMS[1], ITEMS[2]), id="three entries for two frames"),
    ],
)
def test_a_basic_offset_table_that_is_wrong_is_ignored_A21(table: bytes) -> None:
    pixels = encapsulated(FRAGMENTS, table)
    index, warnings = index_encapsulated(pixels, image(frames=2))
    assert all_frames(pixels.source, index) == [b"".join(FRAGMENTS[:2]), b"".join(FRAGMENTS[2:])]
    assert len(warnings) == 1
    assert "ignored" in warnings[0]


def test_a_basic_offset_table_stands_if_nothing_knows_better_A21() -> None:
    pixels = encapsulated([b"a", b"b", b"c"], struct.pack("<II", 0, ITEMS[0] + 9))
    index, warnings = index_encapsulated(pixels, image(frames=7))
    assert all_frames(pixels.source, index) == [b"a", b"bc"]
    assert warnings == ("Number of Frames (0028,0008) says 7, but there are 2 by the Basic Offset Table.",)


@pytest.mark.parametrize(
    ("offsets", "lengths"),
    [
        pytest.param([0, 10], [2, 4], id="length beyond the fragment"),
        pytest.param([0, 10], [2, 1], id="length cuts the frame"),
        pytest.param([0, 11], [2, 3], id="offset inside an item"),
        pytest.param([10, 0], [2, 3], id="unsorted"),
        pytest.param([0], [2], id="too few"),
        pytest.param([0, 10, 20], [2, 3, 3], id="too many"),
        pytest.param([0, 10], [2], id="fewer lengths than offsets"),
        pytest.param([0, 2**64 - 1], [2, 2**64 - 1], id="huge"),
        pytest.param([], [], id="empty"),
    ],
)
def test_an_extended_offset_table_that_is_wrong_is_ignored_A21(offsets: list[int], lengths: list[int]) -> None:
    pixels = encapsulated([b"ab", b"cd\0"])
    index, warnings = index_encapsulated(pixels, {**image(frames=2), **extended(offsets, lengths)})
    assert all_frames(pixels.source, index) == [b"ab", b"cd\0"]
    assert len(warnings) == 1


@pytest.mark.parametrize(
    "value", [{"Value": [1]}, {"InlineBinary": "!" * 24}, {"InlineBinary": 7}, {}, {"BulkDataURI": "x"}]
)
def test_an_extended_offset_table_that_is_no_binary_value_A21(value: dict[str, Any]) -> None:
    pixels = encapsulated([b"ab", b"cd"])
    attributes = {**image(frames=2), "7FE00001": {"vr": "OV", **value}, "7FE00002": {"vr": "OV", **value}}
    index, warnings = index_encapsulated(pixels, attributes)
    assert all_frames(pixels.source, index) == [b"ab", b"cd"]
    assert len(warnings) == 1


def test_an_extended_offset_table_without_lengths_A21() -> None:
    pixels = encapsulated([b"ab"])
    table = base64.b64encode(bytes(8)).decode()
    index, warnings = index_encapsulated(pixels, {**image(), "7FE00001": {"vr": "OV", "InlineBinary": table}})
    assert all_frames(pixels.source, index) == [b"ab"]
    assert len(warnings) == 1


def test_no_fragments_and_empty_fragments_A21() -> None:
    index, warnings = index_encapsulated(encapsulated([]), image())
    assert index is None
    assert len(warnings) == 1
    pixels = encapsulated([b"a", b"", b"b"])
    index, warnings = index_encapsulated(pixels, image(frames=3))
    assert all_frames(pixels.source, index) == [b"a", b"", b"b"]
    assert warnings == ("1 of 3 frames are empty.",)


def test_delimiters_inside_fragments_are_content_A21() -> None:
    fragments = [struct.pack("<HHI", 0xFFFE, 0xE0DD, 0), struct.pack("<HHI", 0xFFFE, 0xE000, 2**32 - 1)]
    pixels = encapsulated(fragments)
    index, _ = index_encapsulated(pixels, image(frames=2))
    assert all_frames(pixels.source, index) == fragments


@pytest.mark.slow
def test_a_million_fragments_of_one_frame_A21() -> None:
    pixels = encapsulated([b""] * 1_000_000)
    begun = time.process_time()
    for number, count in ((1, 1), (1_000_000, 1_000_000)):
        index, _ = index_encapsulated(pixels, image(frames=number))
        assert index is not None
        assert index.count == count
    index, _ = index_encapsulated(encapsulated([STARTS["JPEG"]] + [b"xx"] * 999_999), image(frames=2))
    assert index is not None
    assert index.count == 1
    assert time.process_time() - begun < 8


def test_ceilings_of_fragments_and_frames_A21() -> None:

    pixels = encapsulated([b"a", b"b", b"c"])
    for limits in (Limits(fragments=2), Limits(frames=2)):
        index, warnings = index_frames(
            pixels.source,
            image(frames=3),
            BulkValue("7FE00010", "OB", 100, 27, encapsulated=True),
            transfer_syntax_uid="1.2.840.10008.1.2.5",
            basic_offset_table=None,
            fragments=pixels.fragments,
            limits=limits,
        )
        assert index is None
        assert "more than 2" in warnings[0]


@pytest.mark.parametrize(
    "attributes",
    [
        pytest.param(image(65535, 65535, 255, 64), id="64 bit overflow"),
        pytest.param(image(2**32, 2**32, 2**32, 2**32), id="any overflow"),
        pytest.param(image(0, 3), id="Rows 0"),
        pytest.param(image(2, -3), id="Columns negative"),
        pytest.param(image(2, 3, samples=0), id="Samples 0"),
        pytest.param(image(2, 3, bits=0), id="Bits Allocated 0"),
        pytest.param(image(1, 1, bits=7), id="Bits Allocated 7"),
        pytest.param(image(1, 1, bits=12), id="Bits Allocated 12"),
        pytest.param(image(1, 1, bits=65535), id="Bits Allocated 65535"),
        pytest.param({**image(), "00280010": {"vr": "SQ", "Value": [{}]}}, id="Rows a sequence"),
        pytest.param({**image(), "00280010": {"vr": "OB", "InlineBinary": "AAAA"}}, id="Rows binary"),
        pytest.param({**image(), "00280010": {"vr": "US", "Value": []}}, id="Rows without a value"),
        pytest.param({**image(), "00280010": {"vr": "US"}}, id="Rows empty"),
        pytest.param({}, id="nothing"),
    ],
)
def test_sizes_that_make_no_frame_A22(attributes: dict[str, Any]) -> None:
    frames, warnings, _ = index_native(bytes(64), attributes)
    assert frames is None
    assert len(warnings) == 1


@given(
    fragments=st.lists(st.binary(max_size=12), max_size=6),
    table=st.one_of(
        st.binary(max_size=30), st.lists(st.integers(0, 99), max_size=6).map(lambda n: struct.pack(f"<{len(n)}I", *n))
    ),
    number=st.one_of(st.none(), st.integers(-2, 9), st.text(max_size=3)),
)
def test_nothing_raises_and_no_byte_is_in_two_frames_A21(fragments: list[bytes], table: bytes, number: Any) -> None:
    pixels = encapsulated(fragments, table)
    index, _ = index_encapsulated(pixels, image(frames=number))
    if index is not None:
        whole = b"".join(fragments)
        assert whole.startswith(b"".join(all_frames(pixels.source, index)))
