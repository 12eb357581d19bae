"""Palette Color Lookup Tables (PS3.3 C.7.6.3.1.5, C.7.6.3.1.6, C.7.9.2)."""

from __future__ import annotations

import struct
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom import Dataset
from pydicom.pixels import apply_color_lut

from dicomweb_core.errors import CannotRender
from dicomweb_core.rendering.palettes import palette
from dicomweb_core.values.pixels import ImagePixel, NativeFrame
from tests.rendering.color_frames import palette_attributes, rgb
from tests.rendering.gray_frames import made_frame, no_bulk

COLORS = ([10, 20, 30], [40, 50, 60], [70, 80, 90])
FIRST, MIDDLE, LAST = [10, 40, 70], [20, 50, 80], [30, 60, 90]


def shown(stored: Any, attributes: dict[str, Any], **image: Any) -> Any:
    return rgb(made_frame(stored, photometric="PALETTE COLOR", **image), attributes)[0]


@pytest.mark.parametrize(
    ("stored", "first", "expected"),
    [
        pytest.param(np.array([0, 1, 2], np.uint8), 0, [FIRST, MIDDLE, LAST], id="from zero"),
        pytest.param(np.array([0, 5, 6, 7, 255], np.uint8), 5, [FIRST, FIRST, MIDDLE, LAST, LAST], id="A23 clamped"),
        pytest.param(np.array([0, 65534, 65535], np.uint16), 65534, [FIRST, FIRST, MIDDLE], id="last of 16 bits"),
        pytest.param(np.array([-3, -2, -1, 0, 1], np.int16), 0xFFFE, [FIRST, FIRST, MIDDLE, LAST, LAST], id="signed"),
        pytest.param(np.array([-3, -2, -1, 0, 1], np.int16), -2, [FIRST, FIRST, MIDDLE, LAST, LAST], id="signed in SS"),
        pytest.param(np.array([-128, 0, 1], np.int8), -1, [FIRST, MIDDLE, LAST], id="signed of 8 bits"),
    ],
)
def test_values_select_colors(stored: Any, first: int, expected: list[list[int]]) -> None:
    assert shown(stored, palette_attributes([3, first, 8], *COLORS, size=1)) == expected


def test_unused_bits_do_not_select() -> None:
    attributes = palette_attributes([3, 0, 8], *COLORS, size=1)
    assert shown(np.array([0xFFF1], np.uint16), attributes, bits_stored=4) == [MIDDLE]


@pytest.mark.parametrize(
    ("bits", "size", "factor"),
    [
        pytest.param(8, 1, 1, id="8 bits in bytes"),
        pytest.param(8, 2, 1, id="8 bits in words"),
        pytest.param(16, 2, 257, id="16 bits"),
        pytest.param(16, 2, 256, id="16 bits with a byte of zeros"),
        pytest.param(16, 2, 1, id="16 bits that nobody scaled"),
        pytest.param(8, 2, 257, id="16 bits that are called 8"),
        pytest.param(16, 1, 1, id="8 bits that are called 16"),
        pytest.param(12, 2, 16, id="12 bits"),
    ],
)
def test_entries_come_in_many_widths(bits: int, size: int, factor: int) -> None:
    channels = [[entry * factor for entry in channel] for channel in COLORS]
    found = shown(np.array([0, 1, 2], np.uint8), palette_attributes([3, 0, bits], *channels, size=size))
    assert np.abs(np.array(found) - [FIRST, MIDDLE, LAST]).max() <= (0 if factor in (1, 257) else 1)


def test_dark_palettes_of_16_bits_stay_dark() -> None:
    dark = [[0, 128, 257]] * 3
    assert shown(np.array([0, 1, 2], np.uint8), palette_attributes([3, 0, 16], *dark)) == [[0] * 3, [0] * 3, [1] * 3]


def test_zero_entries_are_65536() -> None:
    ramp = np.arange(65536)
    attributes = palette_attributes([0, 0, 16], ramp, ramp, ramp)
    found = shown(np.array([0, 32768, 65535], np.uint16), attributes)
    assert found == [[0] * 3, [128] * 3, [255] * 3]


def test_a_number_of_entries_in_a_signed_descriptor_is_not_negative() -> None:
    ramp = np.arange(40_000)
    found = palette(palette_attributes([40_000 - 65_536, 0, 16], ramp, ramp, ramp), no_bulk, signed=True)
    assert len(found.colors) == 40_000


BROKEN: dict[str, dict[str, Any]] = {
    "no palette": {},
    "no data": {f"0028110{n}": {"vr": "US", "Value": [3, 0, 8]} for n in (1, 2, 3)},
    "short": palette_attributes([300, 0, 8], *COLORS, size=1),
    "empty": palette_attributes([3, 0, 8], [], [], [], size=1),
    "17 bits": palette_attributes([3, 0, 17], *COLORS),
    "no bits": palette_attributes([3, 0, 0], *COLORS),
    "descriptor of two": palette_attributes([3, 0], *COLORS),
    "huge descriptor": palette_attributes([1 << 24, 0, 16], *COLORS),
    "descriptor of texts": palette_attributes(["3", "0", "16"], *COLORS),  # type: ignore[list-item]
    "data as a sequence": {
        **palette_attributes([3, 0, 8], *COLORS),
        "00281201": {"vr": "SQ", "Value": [{}]},
    },
    "data in broken base64": {
        **palette_attributes([3, 0, 8], *COLORS),
        "00281202": {"vr": "OW", "InlineBinary": "A"},
    },
    "blue of another range": {
        **palette_attributes([3, 0, 8], *COLORS, size=1),
        "00281103": {"vr": "US", "Value": [2, 0, 8]},
    },
}


@pytest.mark.parametrize("attributes", BROKEN.values(), ids=[f"A23 {name}" for name in BROKEN])
def test_a_broken_palette_says_what_is_wrong(attributes: dict[str, Any]) -> None:
    with pytest.raises(CannotRender, match="Palette Color Lookup Table"):
        shown(np.array([0], np.uint8), attributes)


def words(*numbers: int) -> list[int]:
    return list(numbers)


SEGMENTS = {
    "discrete": (words(0, 3, 7, 8, 9), [7, 8, 9]),
    "line upwards": (words(0, 1, 10, 1, 5, 20), [10, 12, 14, 16, 18, 20]),
    "line downwards": (words(0, 1, 20, 1, 4, 0), [20, 15, 10, 5, 0]),
    "level line": (words(0, 1, 20, 1, 3, 20), [20, 20, 20, 20]),
    "line after a line": (words(0, 1, 0, 1, 2, 10, 1, 2, 0), [0, 5, 10, 5, 0]),
    "first segment again": (words(0, 2, 7, 8, 2, 1, 0, 0), [7, 8, 7, 8]),
    "two segments again": (words(0, 1, 0, 1, 2, 10, 2, 2, 0, 0), [0, 5, 10, 0, 5, 10]),
    "line again from elsewhere": (words(0, 1, 0, 1, 2, 10, 0, 1, 2, 2, 1, 6, 0), [0, 5, 10, 2, 6, 10]),
    "goes on behind": (words(0, 2, 7, 8, 2, 1, 0, 0, 0, 1, 9), [7, 8, 7, 8, 9]),
    "no segment again": (words(0, 2, 7, 8, 2, 0, 0, 0, 0, 1, 9), [7, 8, 9]),
    "more than the descriptor says": (words(0, 3, 7, 8, 9, 0, 9), [7, 8, 9]),
}
"""Segments in 16-bit words, and the table (offsets of indirect segments are in bytes)."""


@pytest.mark.parametrize(("segments", "table"), SEGMENTS.values(), ids=SEGMENTS)
def test_segments_become_a_table(segments: list[int], table: list[int]) -> None:
    channels = [segments] * 3
    attributes = palette_attributes([len(table), 0, 16], *channels, segmented=True)
    assert palette(attributes, no_bulk, signed=False).colors[:, 0].tolist() == table


def test_segments_of_8_bits_have_offsets_of_four_bytes() -> None:
    segments = [0, 2, 7, 8, 2, 1, *struct.pack("<I", 0), 1, 2, 4]
    attributes = palette_attributes([6, 0, 8], *[segments] * 3, segmented=True, size=1)
    assert palette(attributes, no_bulk, signed=False).colors[:, 1].tolist() == [7, 8, 7, 8, 6, 4]


BROKEN_SEGMENTS = {
    "line without a start": words(1, 3, 9),
    "line without an end": words(0, 1, 5, 1, 3),
    "unknown type": words(0, 1, 5, 3, 1, 9),
    "fewer entries": words(0, 1, 5, 1, 1, 6),
    "discrete without its entries": words(0, 3, 5),
    "itself again": words(0, 1, 5, 2, 1, 6, 0),
    "behind the end": words(0, 1, 5, 2, 1, 600, 0),
    "far behind the end": words(0, 1, 5, 2, 1, 0, 600),
    "at an odd byte": words(0, 1, 5, 2, 1, 1, 0),
    "cut short": words(0, 1, 5, 2, 1, 0),
    "for ever nothing": words(0, 0, *[2, 60_000, 0, 0] * 200),
}


@pytest.mark.parametrize("segments", BROKEN_SEGMENTS.values(), ids=[f"A23 {name}" for name in BROKEN_SEGMENTS])
def test_broken_segments_say_what_is_wrong(segments: list[int]) -> None:
    attributes = palette_attributes([3, 0, 16], *[segments] * 3, segmented=True)
    with pytest.raises(CannotRender, match="Segmented Red Palette Color Lookup Table Data"):
        palette(attributes, no_bulk, signed=False)


def test_too_long_segments_are_not_read() -> None:
    attributes = palette_attributes([3, 0, 16], *[np.zeros(1 << 20, "<u2")] * 3, segmented=True)
    with pytest.raises(CannotRender, match="too long"):
        palette(attributes, no_bulk, signed=False)


@given(
    st.lists(st.one_of(st.integers(0, 4), st.integers(0, 0xFFFF)), max_size=40),
    st.sampled_from([8, 16]),
    st.integers(0, 300),
)
def test_whatever_segments_there_are_a_palette_or_a_reason_comes_out_A23(
    segments: list[int], bits: int, count: int
) -> None:
    channel = [number & ((1 << bits) - 1) for number in segments]
    attributes = palette_attributes([count, 0, bits], *[channel] * 3, segmented=True, size=bits // 8)
    try:
        found = palette(attributes, no_bulk, signed=False)
    except CannotRender:
        return
    assert found.colors.shape == (count or 65536, 3)


@given(st.data())
def test_segments_are_as_pydicom_expands_them(data: st.DataObject) -> None:
    peak = 0xFFFF
    segments: list[int] = [0, 2, peak, 5]
    count = 2
    for _ in range(data.draw(st.integers(0, 5))):
        length = data.draw(st.integers(1, 6))
        if data.draw(st.booleans()):
            segments += [0, length, *data.draw(st.lists(st.integers(0, peak), min_size=length, max_size=length))]
        else:
            segments += [1, length, data.draw(st.integers(0, peak))]
        count += length
    again = data.draw(st.integers(0, 1))
    segments += [2, 1, 0, 0] * again
    count += 2 * again
    attributes = palette_attributes([count, 0, 16], *[segments] * 3, segmented=True)
    dataset = Dataset.from_json(attributes)
    dataset.set_original_encoding(False, True)
    expected = apply_color_lut(np.arange(count, dtype=np.uint16), dataset) / 257
    image = ImagePixel(1, count, 1, 16, 16, photometric="PALETTE COLOR")
    frame = NativeFrame(np.arange(count, dtype="<u2").tobytes(), image)
    assert np.abs(np.array(rgb(frame, attributes)[0]) - expected).max() <= 0.5
