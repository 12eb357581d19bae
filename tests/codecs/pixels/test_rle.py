"""The RLE encoder (PS3.5 G), read by others."""

from __future__ import annotations

import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dicomweb_core.codecs.pixels.encoding import encode, encoded_image
from dicomweb_core.values.limits import Limits
from dicomweb_core.values.pixels import ImagePixel, NativeFrame
from tests.codecs.pixels.readers import READERS, RLE, array_of, frame_of, random_frame, read_back


def row(octets: bytes) -> bytes:
    """The only segment of one row of 8 bits, without its pad byte where its length tells that there is one."""
    codestream = encode(NativeFrame(octets, ImagePixel(1, len(octets), 1, 8, 8)), RLE, Limits())
    assert struct.unpack("<16L", codestream[:64]) == (1, 64, *[0] * 14)
    return codestream[64:]


VARIED = bytes(range(256)) * 2


@pytest.mark.parametrize(
    ("octets", "segment"),
    [
        pytest.param(b"\x05", b"\x00\x05", id="one byte is a literal run"),
        pytest.param(b"\x05\x06", b"\x01\x05\x06\x00", id="padded to even length"),
        pytest.param(b"\x05" * 3, b"\xfe\x05", id="three equal bytes are a replicate run"),
        pytest.param(
            b"\x01\x05\x05\x02", b"\x03\x01\x05\x05\x02\x00", id="two equal ones between literals are literal"
        ),
        pytest.param(b"\x01\x02\x02\x02\x02\x03", b"\x00\x01\xfd\x02\x00\x03", id="replicate between literals"),
        pytest.param(b"\x07" * 128, b"\x81\x07", id="128 equal bytes are the longest replicate run"),
        pytest.param(b"\x07" * 129, b"\x81\x07\x00\x07", id="129: and one more"),
        pytest.param(b"\x07" * 256, b"\x81\x07\x81\x07", id="256: two of the longest"),
        pytest.param(b"\x07" * 130, b"\x81\x07\xff\x07", id="130: and a replicate run of two"),
        pytest.param(
            VARIED[:128], b"\x7f" + VARIED[:128] + b"\x00", id="128 different bytes are the longest literal run"
        ),
        pytest.param(VARIED[:129], b"\x7f" + VARIED[:128] + b"\x00\x80\x00", id="129: and one more"),
        pytest.param(b"\x01\x01\x01\x02\x02\x02", b"\xfe\x01\xfe\x02", id="two replicate runs side by side"),
    ],
)
def test_a_row_is_packed(octets: bytes, segment: bytes) -> None:
    assert row(octets) == segment


def test_no_run_crosses_the_end_of_a_row() -> None:
    codestream = encode(NativeFrame(b"\x09" * 12, ImagePixel(3, 4, 1, 8, 8)), RLE, Limits())
    assert codestream[64:] == b"\xfd\x09" * 3
    literal = encode(NativeFrame(bytes(range(6)), ImagePixel(3, 2, 1, 8, 8)), RLE, Limits())
    assert literal[64:] == b"\x01\x00\x01\x01\x02\x03\x01\x04\x05\x00"


def test_the_most_significant_byte_comes_first() -> None:
    codestream = encode(NativeFrame(b"\x34\x12" * 3, ImagePixel(1, 3, 1, 16, 16)), RLE, Limits())
    assert struct.unpack("<16L", codestream[:64]) == (2, 64, 66, *[0] * 13)
    assert codestream[64:] == b"\xfe\x12\xfe\x34"


@pytest.mark.parametrize("planar", [False, True])
def test_every_sample_is_a_plane(planar: bool) -> None:
    image = ImagePixel(1, 3, 3, 8, 8, photometric="RGB", planar=planar)
    pixels = np.full((1, 3, 3), (1, 2, 3))
    codestream = encode(frame_of(pixels, image), RLE, Limits())
    assert struct.unpack("<16L", codestream[:64]) == (3, 64, 66, 68, *[0] * 12)
    assert codestream[64:] == b"\xfe\x01\xfe\x02\xfe\x03"
    assert encoded_image(image, RLE).planar


@pytest.mark.parametrize("reader", READERS[RLE])
@pytest.mark.parametrize(
    ("rows", "columns"), [(1, 1), (1, 7), (7, 1), (5, 2), (1, 65535), (65535, 1), (3, 127), (3, 129), (2, 40000)]
)
@pytest.mark.parametrize("bits", [8, 16])
def test_shapes(rows: int, columns: int, bits: int, reader: str) -> None:
    image = ImagePixel(rows, columns, 1, bits, bits)
    frame = random_frame(image)
    # Runs of one, two and three, and the noise.
    for cells in (array_of(frame), np.repeat(array_of(frame), 3, axis=1)[:, 1 : columns + 1]):
        runs = frame_of(cells, image)
        np.testing.assert_array_equal(read_back(runs, RLE, READERS[RLE][reader]), cells)


RUNS = st.lists(st.tuples(st.integers(0, 65535), st.integers(1, 300)), min_size=1, max_size=30)


@pytest.mark.parametrize("reader", READERS[RLE])
@settings(max_examples=40, deadline=None)
@given(
    runs=RUNS,
    columns=st.integers(1, 400),
    bits=st.sampled_from([8, 16]),
    signed=st.booleans(),
    samples=st.sampled_from([1, 3]),
    planar=st.booleans(),
)
def test_what_is_packed_is_read_by_others(
    reader: str, runs: list[tuple[int, int]], columns: int, bits: int, signed: bool, samples: int, planar: bool
) -> None:
    cells = np.repeat([value for value, _ in runs], [length for _, length in runs])
    rows = -(-cells.size // (columns * samples))
    colour = samples == 3
    image = ImagePixel(
        rows, columns, samples, bits, bits, signed and not colour, "RGB" if colour else "MONOCHROME2", planar and colour
    )
    array = np.resize(cells, (rows, columns, 3) if colour else (rows, columns)).astype(f"<u{bits // 8}")
    frame = frame_of(array, image)
    np.testing.assert_array_equal(read_back(frame, RLE, READERS[RLE][reader]), array_of(frame))


def test_nothing_grows_beyond_a_byte_for_every_128() -> None:
    image = ImagePixel(64, 512, 1, 8, 8)
    frame = random_frame(image)
    assert len(encode(frame, RLE, Limits())) <= 64 + image.frame_bytes * 129 // 128 + 1
