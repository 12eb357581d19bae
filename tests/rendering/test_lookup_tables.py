"""LUT sequences (PS3.3 C.11.1.1, C.11.2.1.1): every way they are written, and ways they are broken."""

from __future__ import annotations

import base64
from typing import Any

import numpy as np
import pytest

from dicomweb_core.rendering.lookup_tables import LookupTable, lookup_table, value_bytes
from tests.rendering.gray_frames import lut_item, no_bulk

VOI = "00283010"


def sequence(*items: Any) -> dict[str, Any]:
    return {VOI: {"vr": "SQ", "Value": list(items)}}


def read(item: Any, *, signed: bool = False) -> LookupTable | None:
    return lookup_table(sequence(item), VOI, no_bulk, signed=signed)


def inline(entries: Any, dtype: str) -> str:
    return base64.b64encode(np.array(entries, dtype).tobytes()).decode()


def test_entries_of_every_encoding() -> None:
    expected = [10, 20, 250]
    for item in (
        lut_item([3, 5, 8], expected),
        lut_item([3, 5, 8], inline(expected, "<u2"), "OW"),
        lut_item([3, 5, 8], inline(expected, "<u2"), "OB"),
        lut_item([3, 5, 8], inline([*expected, 0], "u1"), "OW"),
        lut_item([3, 5, 8], [10 | 20 << 8, 250]),
        lut_item([3, 5, 8], inline(expected, "u1"), "UN"),
    ):
        table = read(item)
        assert table is not None
        assert (table.first, table.bits, table.entries.tolist()) == (5, 8, expected)


def test_data_in_bulk_are_asked_for_by_the_path_of_the_uri() -> None:
    place = "52009230/3/00289132/0/00283010/0/00283006"
    item = lut_item([2, 0, 16], [])
    item["00283006"] = {"vr": "OW", "BulkDataURI": f"\x01/bulkdata/{place}"}
    asked = []

    def bulk(path: str) -> bytes:
        asked.append(path)
        return b"\x01\x02\x03\x04"

    table = lookup_table(sequence(item), VOI, bulk, signed=False)
    assert table is not None
    assert table.entries.tolist() == [0x0201, 0x0403]
    assert asked == [place]


@pytest.mark.parametrize(
    "attribute",
    [{}, {"vr": "OW"}, {"vr": "OW", "InlineBinary": "="}, {"vr": "OW", "BulkDataURI": "http://elsewhere/lut"}],
)
def test_data_that_cannot_be_read_are_none(attribute: dict[str, Any]) -> None:
    assert value_bytes(attribute, no_bulk) == b""


def test_zero_entries_in_the_descriptor_are_65536() -> None:
    table = read(lut_item([0, 0, 16], range(65_536)))
    assert table is not None
    assert len(table.entries) == 65_536
    assert table.outputs(np.array([0.0, 65_535.0, 70_000.0])).tolist() == [0, 65_535, 65_535]


@pytest.mark.parametrize(
    ("first", "signed", "expected"),
    [
        (64_512, True, -1_024),
        (-1_024, True, -1_024),
        (-1_024, False, 64_512),
        (64_512, False, 64_512),
        (1_024, True, 1_024),
        (-32_768, True, -32_768),
    ],
)
def test_first_input_mapped_has_the_sign_of_the_inputs(first: int, signed: bool, expected: int) -> None:
    table = read(lut_item([2, first, 8], [0, 255]), signed=signed)
    assert table is not None
    assert table.first == expected


def test_number_of_entries_above_32767_written_as_signed() -> None:
    table = read(lut_item([-1, 0, 16], range(65_535)))
    assert table is not None
    assert len(table.entries) == 65_535


def test_inputs_outside_get_the_first_and_the_last_entry_and_between_two_the_nearer() -> None:
    table = read(lut_item([3, 100, 12], [7, 8, 4_000]))
    assert table is not None
    inputs = np.array([-np.inf, -1e300, 99, 100, 100.4, 100.6, 101, 102, 103, np.inf])
    assert table.outputs(inputs).tolist() == [7, 7, 7, 7, 7, 8, 8, 4_000, 4_000, 4_000]


def test_more_data_than_entries_are_cut() -> None:
    table = read(lut_item([2, 0, 16], [1, 2, 3, 4]))
    assert table is not None
    assert table.entries.tolist() == [1, 2]


def test_entries_that_need_more_bits_than_stated_have_them() -> None:
    table = read(lut_item([2, 0, 8], [0, 4_095]))
    assert table is not None
    assert table.highest == 4_095


BROKEN = {
    "no descriptor": {"00283006": {"vr": "US", "Value": [1, 2]}},
    "no data": {"00283002": {"vr": "US", "Value": [2, 0, 16]}},
    "2 ** 24 entries": lut_item([1 << 24, 0, 16], [1, 2]),
    "fewer entries than stated": lut_item([256, 0, 16], range(255)),
    "65536 stated and none there": lut_item([0, 0, 16], []),
    "65536 stated, 16 bits each, one byte each there": lut_item([0, 0, 16], inline(range(256), "u1") * 256, "OW"),
    "0 bits": lut_item([2, 0, 0], [1, 2]),
    "32 bits": lut_item([2, 0, 32], [1, 2]),
    "first input beyond 16 bits": lut_item([2, 1 << 40, 16], [1, 2]),
    "descriptor of two": lut_item([2, 0], [1, 2]),
    "descriptor of texts": lut_item(["2", "0", "16"], [1, 2]),  # type: ignore[list-item]
    "descriptor of fractions": lut_item([2.5, 0, 16], [1, 2]),  # type: ignore[list-item]
    "data are texts": lut_item([2, 0, 16], ["a", "b"]),
    "data are empty values": lut_item([2, 0, 16], [None, None]),
    "data are items": lut_item([2, 0, 16], [{}, {}]),
    "data are lists": lut_item([2, 0, 16], [[1, 2], [3, 4]]),
    "data beyond 16 bits": lut_item([2, 0, 16], [1, 1 << 20]),
    "data beyond all bits": lut_item([2, 0, 16], [1, 1 << 100]),
    "data not base64": lut_item([2, 0, 16], "A", "OW"),
    "item empty": {},
    "item a text": "x",
    "item absent": None,
}


@pytest.mark.parametrize("item", BROKEN.values(), ids=BROKEN)
def test_broken_lut_is_as_if_absent_A26(item: Any) -> None:
    assert read(item) is None


@pytest.mark.parametrize(
    "attribute", [{"vr": "SQ"}, {"vr": "LO", "Value": ["x"]}, {"vr": "UN", "InlineBinary": "AA=="}]
)
def test_sequence_that_is_none_is_as_if_absent_A26(attribute: dict[str, Any]) -> None:
    assert lookup_table({VOI: attribute}, VOI, no_bulk, signed=False) is None


def test_tables_of_the_same_content_are_equal() -> None:
    one, other = read(lut_item([2, 0, 16], [1, 2])), read(lut_item([2, 0, 16], inline([1, 2], "<u2"), "OW"))
    assert one == other
    assert hash(one) == hash(other)
