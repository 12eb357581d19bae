"""Codestreams made to hurt, and data sets that contradict theirs: refused, in little time and memory (A22 to A24)."""

from __future__ import annotations

import io
import random
import struct
import time
import tracemalloc
from dataclasses import replace

import imagecodecs
import numpy as np
import pytest

from dicomweb_core.codecs.pixels.codestreams import describe
from dicomweb_core.codecs.pixels.decoding import decode
from dicomweb_core.errors import InvalidFrame
from dicomweb_core.values.limits import Limits
from dicomweb_core.values.pixels import ImagePixel
from tests.cases import case
from tests.codecs.pixels import made_codestreams as made
from tests.codecs.pixels.made_codestreams import DICOM, MONOCHROME, RGB, RLE, YBR, Made

LIMITS = Limits()
MANY = {**made.lossless(), **made.lossy()}
WITH_HEADER = sorted(name for name, it in MANY.items() if it.uid.startswith(f"{DICOM}.4."))
ENDED = sorted(name for name in WITH_HEADER if "XL" not in name)
SECONDS = 2.0

# What the binding of OpenJPH cannot raise it prints.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")


def refused(codestream: bytes, uid: str, image: ImagePixel, match: str = "", limits: Limits = LIMITS) -> None:
    """With little of what Python and numpy allocate, and soon."""
    tracemalloc.start()
    begin = time.monotonic()
    try:
        with pytest.raises(InvalidFrame, match=match or None):
            decode(codestream, uid, image, limits)
        assert tracemalloc.get_traced_memory()[1] < 4 * min(image.frame_bytes, LIMITS.frame_bytes) + (1 << 20)
    finally:
        tracemalloc.stop()
    assert time.monotonic() - begin < SECONDS


# -- A22: attributes that no image has --------------------------------------------------------------------------------


NONSENSE = [
    {"rows": 65_535, "columns": 65_535},
    {"rows": 16_000, "columns": 16_000},
    {"rows": 1, "columns": 1},
    {"samples": 2},
    {"samples": 255},
    {"bits_allocated": 7, "bits_stored": 7},
    {"bits_allocated": 12},
    {"bits_allocated": 24, "bits_stored": 24},
    {"bits_allocated": 64, "bits_stored": 64},
    {"bits_allocated": 1, "bits_stored": 1},
]


@pytest.mark.parametrize("name", sorted(MANY))
def test_attributes_that_the_frame_does_not_have_A22(name: str) -> None:
    it = MANY[name]
    for nonsense in NONSENSE:
        image = replace(it.image, **nonsense)
        with case(nonsense):
            if image.bits_allocated == 64 and it.uid.startswith(f"{DICOM}.4."):
                assert len(decode(it.codestream, it.uid, image, LIMITS).data) == image.frame_bytes
            else:
                refused(it.codestream, it.uid, image)


@pytest.mark.parametrize("name", sorted(MANY))
def test_the_ceiling_is_compared_before_anything_is_read_A22(name: str) -> None:
    it = MANY[name]
    refused(it.codestream, it.uid, it.image, "frame_bytes", replace(LIMITS, frame_bytes=it.image.frame_bytes - 1))


# -- A23: data set against codestream ---------------------------------------------------------------------------------


DISAGREEING = [
    ({"rows": 49}, "Rows"),
    ({"columns": 39}, "Columns"),
    ({"rows": 40, "columns": 48}, "Rows"),
    ({"samples": 4}, "Samples per Pixel"),
    ({"bits_allocated": 1, "bits_stored": 1}, "precision"),
]


@pytest.mark.parametrize("name", WITH_HEADER)
def test_what_disagrees_is_named_A23(name: str) -> None:
    it = MANY[name]
    for change, named in DISAGREEING:
        with case(change):
            refused(it.codestream, it.uid, replace(it.image, **change), named)


@pytest.mark.parametrize("name", WITH_HEADER)
def test_another_codec_than_the_transfer_syntax_says_A23(name: str) -> None:
    it = MANY[name]
    other = f"{DICOM}.4.80" if not it.uid.endswith(("80", "81")) else f"{DICOM}.4.90"
    refused(it.codestream, other, it.image, "codestream is")


@pytest.mark.parametrize("photometric", ["YBR_FULL_422", "YBR_RCT", "XYB", "PALETTE COLOR", "RGB", "", "ÿ\0NONSENSE"])
@pytest.mark.parametrize("name", ["JPEG-LS", "JPEG baseline", "JPEG 2000", "HTJ2K", "JPEG XL", "RLE"])
def test_colours_of_what_has_one_sample_A23(name: str, photometric: str) -> None:
    it = MANY[name]
    frame = decode(it.codestream, it.uid, replace(it.image, photometric=photometric), LIMITS)
    assert frame.data == decode(it.codestream, it.uid, it.image, LIMITS).data
    assert frame.image.photometric == photometric


# -- A24: codestreams made to hurt ------------------------------------------------------------------------------------


def patched(codestream: bytes, marker: bytes, offset: int, value: bytes) -> bytes:
    """`offset` from the first byte of the marker."""
    at = codestream.index(marker) + offset
    return codestream[:at] + value + codestream[at + len(value) :]


HUGE = struct.pack(">HH", 65_535, 65_535)


@pytest.mark.parametrize(
    ("name", "marker"),
    [("JPEG baseline", b"\xff\xc0"), ("JPEG lossless", b"\xff\xc3"), ("JPEG-LS", b"\xff\xf7")],
)
def test_a_huge_size_in_few_bytes_A24(name: str, marker: bytes) -> None:
    it = MANY[name]
    huge = patched(it.codestream, marker, 5, HUGE)
    refused(huge, it.uid, it.image, "Rows")
    refused(huge, it.uid, replace(it.image, rows=65_535, columns=65_535), "frame_bytes")


@pytest.mark.parametrize(("name", "marker"), [("JPEG baseline", b"\xff\xc0"), ("JPEG lossless", b"\xff\xc3")])
def test_a_huffman_code_has_at_least_a_bit_A24(name: str, marker: bytes) -> None:
    """Else the decoder fills 100 megapixels with grey."""
    it = MANY[name]
    large = patched(it.codestream, marker, 5, struct.pack(">HH", 10_000, 10_000))
    refused(large, it.uid, replace(it.image, rows=10_000, columns=10_000), "too short")


def test_many_scans_of_one_jpeg_A24() -> None:
    image = pytest.importorskip("PIL.Image").fromarray(made.colour())
    file = io.BytesIO()
    image.save(file, "JPEG", progressive=True)
    progressive = file.getvalue()
    assert decode(progressive, f"{DICOM}.4.55", YBR, LIMITS)
    last = progressive.rindex(b"\xff\xda")
    refused(progressive[:-2] + progressive[last:-2] * 5_000 + b"\xff\xd9", f"{DICOM}.4.55", YBR, "scans")


def siz(rows: int, columns: int, tile_rows: int, tile_columns: int, components: int) -> bytes:
    content = struct.pack(">HIIIIIIIIH", 0, columns, rows, 0, 0, tile_columns, tile_rows, 0, 0, components)
    content += b"\7\1\1" * components
    return b"\xff\x4f\xff\x51" + struct.pack(">H", len(content) + 2) + content


COD = b"\xff\x52\0\x0c\0\0\0\1\0\5\4\4\0\1"
SMALL_PRECINCTS = b"\xff\x52\0\x12\1\0\0\1\0\5\4\4\0\1" + bytes(6)
TAIL = b"\xff\x5c\0\4\x40\x40\xff\x90\0\x0a\0\0\0\0\0\0\0\1\xff\x93\xff\xd9"


@pytest.mark.parametrize("arc", ["90", "91", "92", "201", "203"])
@pytest.mark.parametrize(
    ("header", "size", "named"),
    [
        pytest.param(siz(512, 512, 4, 4, 1) + COD, (512, 512, 1), "16384 tiles", id="16,384 tiles"),
        pytest.param(siz(512, 512, 512, 512, 33) + COD, (512, 512, 33), "33 components", id="33 components"),
        pytest.param(siz(512, 512, 512, 512, 16_384) + COD, (512, 512, 3), "components", id="16,384 components"),
        pytest.param(siz(512, 512, 512, 512, 1) + SMALL_PRECINCTS, (512, 512, 1), "precincts", id="tiny precincts"),
        pytest.param(siz(512, 512, 512, 512, 0) + COD, (512, 512, 1), "header", id="no component"),
        pytest.param(siz(512, 512, 0, 0, 1) + COD, (512, 512, 1), "header", id="tiles of nothing"),
        pytest.param(siz(2**32 - 1, 2**32 - 1, 2**32 - 1, 2**32 - 1, 1) + COD, (512, 512, 1), "Rows", id="2^64 pixels"),
        pytest.param(siz(512, 512, 512, 512, 1), (512, 512, 1), "header", id="no COD"),
        pytest.param(siz(512, 512, 512, 512, 1) + COD, (512, 512, 1), "", id="no data"),
    ],
)
def test_jpeg_2000_headers_A24(header: bytes, size: tuple[int, int, int], named: str, arc: str) -> None:
    rows, columns, samples = size
    refused(header + TAIL, f"{DICOM}.4.{arc}", ImagePixel(rows, columns, samples, 8, 8), named)


def test_animated_jpeg_xl_A24() -> None:
    animation = imagecodecs.jpegxl_encode(np.stack([made.colour()] * 3), lossless=True, photometric="rgb")
    refused(bytes(animation), f"{DICOM}.4.110", RGB, "animation")


@pytest.mark.parametrize(
    ("frame", "named"),
    [
        pytest.param(b"", "shorter", id="empty"),
        pytest.param(bytes(64), "0 segments", id="no segment"),
        pytest.param(struct.pack("<16I", 15, *range(64, 64 + 15)) + bytes(100), "15 segments", id="15 segments"),
        pytest.param(struct.pack("<16I", 2**32 - 1, *[64] * 15), "segments", id="2^32 segments"),
        pytest.param(struct.pack("<16I", 2, 64, 2**32 - 1, *[0] * 13) + bytes(9), "range", id="offset out of range"),
        pytest.param(struct.pack("<16I", 2, 80, 70, *[0] * 13) + bytes(90), "order", id="offsets descend"),
        pytest.param(struct.pack("<16I", 2, 0, 70, *[0] * 13) + bytes(90), "range", id="segment in the header"),
        pytest.param(made.rle_frame([b"\x81\0", b"\x81\0"]), "too short", id="segments that cannot be so long"),
        pytest.param(made.rle_frame([b"\x81\0" * 14, b"\x81\0" * 16]), "too short|does not hold", id="one is short"),
        pytest.param(made.rle_frame([b"\x81\0" * 500, b"\x81\0" * 500]), "", id="segments that are too long"),
        pytest.param(made.rle_frame([b"\x80" * 5000, b"\x80" * 5000]), "does not hold", id="nothing but no-ops"),
        pytest.param(made.rle_frame([b"\x7f" + bytes(90), b"\x7f" + bytes(90)]), "", id="literals cut short"),
    ],
)
def test_rle_headers_and_segments_A24(frame: bytes, named: str) -> None:
    refused(frame, RLE, MONOCHROME, named)


def test_inflation_stops_at_the_size_of_the_frame_A24() -> None:
    refused(made.deflated(bytes(64 << 20)), made.DEFLATED_FRAME, MONOCHROME)
    refused(made.deflated(bytes(10)), made.DEFLATED_FRAME, MONOCHROME)
    refused(b"\0\1\2\3", made.DEFLATED_FRAME, MONOCHROME)


@pytest.mark.parametrize("name", sorted(MANY))
def test_every_way_to_cut_a_frame_short_A24(name: str) -> None:
    it = MANY[name]
    for length in (0, 1, 2, 3, 10, 30, 64, 65, 100, len(it.codestream) // 2, len(it.codestream) - 8):
        refused(it.codestream[:length], it.uid, it.image)


@pytest.mark.parametrize("name", [name for name in ENDED if "JPEG lossless" not in name and "baseline" not in name
                                  and "extended" not in name])  # fmt: skip
def test_cut_short_but_with_an_end_marker_A24(name: str) -> None:
    """Of JPEG nobody can tell: its data say nowhere how many they are."""
    it = MANY[name]
    refused(it.codestream[: len(it.codestream) * 2 // 3] + b"\xff\xd9", it.uid, it.image)


def mutated(codestream: bytes, chance: random.Random) -> bytes:
    found = bytearray(codestream)
    for _ in range(chance.choice((1, 1, 2, 5))):
        at = chance.randrange(min(len(found), 150) if chance.random() < 0.6 else len(found))
        found[at] = chance.choice((chance.randrange(256), 0, 255, found[at] ^ 1 << chance.randrange(8)))
    kind = chance.random()
    at = chance.randrange(len(found))
    if kind < 0.1:
        del found[at:]
    elif kind < 0.15:
        found[at:at] = chance.randbytes(5)
    elif kind < 0.2:
        del found[at : at + 5]
    return bytes(found)


@pytest.mark.parametrize("name", sorted(MANY))
def test_damage_is_refused_or_decoded_to_the_promised_size_A24(name: str) -> None:
    it: Made = MANY[name]
    chance = random.Random(name)
    for _ in range(200):
        damaged = mutated(it.codestream, chance)
        begin = time.monotonic()
        try:
            frame = decode(damaged, it.uid, it.image, LIMITS)
            assert len(frame.data) == it.image.frame_bytes
        except InvalidFrame as error:
            assert str(error).endswith(".")  # noqa: PT017
        try:
            describe(damaged)
        except InvalidFrame:
            pass
        assert time.monotonic() - begin < SECONDS


def test_jpeg_ls_without_its_end_costs_no_seconds_A24() -> None:
    """CharLS reads on for half a minute when the last of several components lacks the end marker."""
    it = MANY["JPEG-LS near"]
    damaged = bytearray(it.codestream)
    damaged[damaged.rindex(b"\xff\xd9")] = 0x7F
    damaged[82], damaged[140] = 0x80, 0x80
    refused(bytes(damaged), it.uid, it.image, "end marker")


@pytest.mark.parametrize("interleave", [0, 3, 255])
def test_jpeg_ls_that_interleaves_in_no_way_A24(interleave: int) -> None:
    it = MANY["JPEG-LS near"]
    at = it.codestream.index(b"\xff\xda") + 12
    assert it.codestream[at] == 2
    refused(it.codestream[:at] + bytes([interleave]) + it.codestream[at + 1 :], it.uid, it.image, "interleaves")


@pytest.mark.parametrize("beginning", [b"\xff\xd8", b"\xff\xd8\xff\xf7", b"\xff\x4f\xff\x51",
                                       b"\0\0\0\x0cjP  \r\n\x87\n", b"\0\0\0\x0cJXL \r\n\x87\n"])  # fmt: skip
@pytest.mark.parametrize(
    "filling", [b"\xff", b"\0", b"\xff\x01", b"\xff\xe1\0\2", b"\0\0\0\x08free", b"\0\0\0\x08jp2h"]
)
def test_headers_without_end_A24(beginning: bytes, filling: bytes) -> None:
    begin = time.monotonic()
    with pytest.raises(InvalidFrame):
        describe(beginning + filling * (8_000_000 // len(filling)))
    assert time.monotonic() - begin < SECONDS
