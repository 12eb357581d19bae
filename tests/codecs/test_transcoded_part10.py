"""A stored file with its frames made anew: read back by pydicom, and compared byte for byte where nothing changes."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from io import BytesIO
from typing import Any

import numpy as np
import pydicom
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.encaps import generate_fragments

from dicomweb_core.codecs.frame_index import joined
from dicomweb_core.codecs.part10_reader import BytesSource, read_part10
from dicomweb_core.codecs.transcoded_part10 import LONGEST_VALUE, NewFrames, transcoded_part10
from dicomweb_core.errors import InvalidFrame
from dicomweb_core.values.limits import Limits
from dicomweb_core.values.pixels import ImagePixel
from tests import part10_bytes
from tests.made import made
from tests.part10_bytes import BIG_ENDIAN, DEFLATED, EXPLICIT, IMPLICIT, element, end, item
from tests.samples import source_of

RLE = "1.2.840.10008.1.2.5"
JPEG_LS = "1.2.840.10008.1.2.4.80"
GREY = ImagePixel(2, 2, 1, 8, 8)
RGB = ImagePixel(1, 1, 3, 8, 8, photometric="RGB")
FOUR_RGB = ImagePixel(2, 2, 3, 8, 8, photometric="RGB")
LIMITS = Limits(chunk_bytes=1_000)


def new_frames(image: ImagePixel, *frames: bytes) -> NewFrames:
    return NewFrames(image, len(frames), iter(frames))


def transcoded(content: bytes, target: str, pixels: NewFrames | None = None) -> bytes:
    instance = read_part10(BytesSource(content), Limits())
    return b"".join(
        transcoded_part10(
            source_of(content, instance),
            instance.layout.dataset_offset,
            transfer_syntax_uid=instance.transfer_syntax_uid,
            target_uid=target,
            limits=LIMITS,
            pixels=pixels,
        )
    )


def read(content: bytes) -> pydicom.Dataset:
    return pydicom.dcmread(BytesIO(content))


def items_of(data: pydicom.Dataset) -> list[bytes]:
    """The fragments behind the Basic Offset Table."""
    table, *fragments = generate_fragments(data.PixelData)
    assert table == b""
    return fragments


def data_set_of(content: bytes) -> bytes:
    return content[read_part10(BytesSource(content), Limits()).layout.dataset_offset :]


# -- the pixel data ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("source", [EXPLICIT, IMPLICIT, BIG_ENDIAN, DEFLATED, RLE])
@pytest.mark.parametrize("frames", [(b"abcd",), (b"odd", b"even", b""), (b"x",)], ids=["one", "three", "odd"])
def test_fragments_are_one_a_frame_behind_an_empty_table(source: str, frames: tuple[bytes, ...]) -> None:
    """PS3.5 A.4, with pad bytes that make them even."""
    content = made(syntax=source, frames=[b"abcd"] * len(frames), PatientName="A^B")
    data = read(transcoded(content, JPEG_LS, new_frames(GREY, *frames)))
    assert data.file_meta.TransferSyntaxUID == JPEG_LS
    assert items_of(data) == [frame + b"\0" * (len(frame) % 2) for frame in frames]
    assert data["PixelData"].is_undefined_length
    assert data["PixelData"].VR == "OB"
    assert data.PatientName == "A^B"
    assert data.NumberOfFrames == len(frames)


@pytest.mark.parametrize("target", [EXPLICIT, DEFLATED])
@pytest.mark.parametrize(
    ("image", "frames", "vr", "value"),
    [
        pytest.param(GREY, [b"abcd", b"efgh"], "OB", b"abcdefgh", id="8 bits"),
        pytest.param(ImagePixel(1, 1, 1, 16, 12), [b"ab", b"cd"], "OW", b"abcd", id="16 bits"),
        pytest.param(RGB, [b"abc"], "OB", b"abc\0", id="odd length"),
        pytest.param(RGB, [b"abc", b"def"], "OB", b"abcdef", id="odd frames, even length"),
        pytest.param(ImagePixel(1, 3, 1, 1, 1), [b"\x05", b"\x03", b"\x06"], "OB", b"\x9d\x01", id="1 bit"),
    ],
)
def test_native_pixel_data_are_one_value(
    target: str, image: ImagePixel, frames: Sequence[bytes], vr: str, value: bytes
) -> None:
    """Of even length (PS3.5 8.2), 1-bit frames without padding between them (8.1.1)."""
    content = made(syntax=RLE, frames=[b"abcd"] * len(frames))
    data = read(transcoded(content, target, new_frames(image, *frames)))
    assert data.file_meta.TransferSyntaxUID == target
    assert data.PixelData == value
    assert vr == data["PixelData"].VR
    assert not data["PixelData"].is_undefined_length


def test_a_deflated_stream_is_of_even_length() -> None:
    """PS3.5 A.5; whether it was odd before is up to zlib, so several are tried."""
    for length in range(8):
        content = made(frames=[b"abcd"], PatientComments="x" * length)
        assert len(data_set_of(transcoded(content, DEFLATED))) % 2 == 0
        assert read(transcoded(content, DEFLATED)).PatientComments == "x" * length


def test_without_new_frames_only_the_encoding_changes() -> None:
    content = made(syntax=BIG_ENDIAN, frames=[b"abcd"], PatientName="A^B")
    native = transcoded(content, EXPLICIT)
    assert data_set_of(transcoded(transcoded(content, DEFLATED), EXPLICIT)) == data_set_of(native)
    assert read(native).PixelData == b"abcd"


def test_offset_tables_of_the_stored_frames_are_left_out() -> None:
    """(7FE0,0001) to (7FE0,0003) are about fragments that are gone."""
    content = part10_bytes.part10(
        *image_elements(),
        element(0x7FE00001, "OV", bytes(8)),
        element(0x7FE00002, "OV", struct.pack("<Q", 4)),
        element(0x7FE00003, "UV", struct.pack("<Q", 4)),
        part10_bytes.fragments(b"", b"abcd"),
        element(0xFFFCFFFC, "OB", b"\0\0"),
        syntax=RLE,
    )
    for target in (EXPLICIT, JPEG_LS):
        data = read(transcoded(content, target, new_frames(GREY, b"ABCD")))
        assert [f"{element.tag:08X}"[:4] for element in data].count("7FE0") == 1


def test_one_frame_is_asked_for_at_a_time() -> None:
    """What was asked for has been handed on before the next frame is asked for."""
    sent = 0
    asked: list[int] = []

    def frames() -> Iterator[bytes]:
        for _ in range(5):
            asked.append(sent)
            yield bytes(100_000)

    content = made(syntax=RLE, frames=[b"abcd"] * 5)
    instance = read_part10(BytesSource(content), Limits())
    for chunk in transcoded_part10(
        BytesSource(content),
        instance.layout.dataset_offset,
        transfer_syntax_uid=RLE,
        target_uid=JPEG_LS,
        limits=LIMITS,
        pixels=NewFrames(GREY, 5, frames()),
    ):
        sent += len(chunk)
    assert all(before >= 100_000 * number for number, before in enumerate(asked))


@pytest.mark.parametrize("number", [1, 3])
@pytest.mark.parametrize("target", [EXPLICIT, JPEG_LS])
def test_another_number_of_frames_is_not_sent_as_if_whole(target: str, number: int) -> None:
    content = made(syntax=RLE, frames=[b"abcd"] * 2)
    with pytest.raises(InvalidFrame):
        transcoded(content, target, NewFrames(GREY, number, iter([b"abcd"] * 2)))


def test_native_pixel_data_longer_than_a_value_are_refused() -> None:
    """PS3.5 7.1.2: 32 bits of length, all ones taken, and even."""
    image = ImagePixel(65_535, 65_535, 1, 16, 16)
    assert image.frame_bytes > LONGEST_VALUE
    with pytest.raises(InvalidFrame, match=r"PS3\.5 7\.1\.2"):
        transcoded(made(syntax=RLE, frames=[b"abcd"]), EXPLICIT, new_frames(image, b""))


@given(
    st.integers(1, 40).flatmap(
        lambda bits: st.lists(st.lists(st.booleans(), min_size=bits, max_size=bits), min_size=1, max_size=9)
    )
)
def test_joined_frames_have_no_bits_between_them(frames: list[list[bool]]) -> None:
    together = np.packbits(np.array(frames).ravel(), bitorder="little")
    packed = [np.packbits(frame, bitorder="little").tobytes() for frame in frames]
    assert b"".join(joined(packed, len(frames[0]))) == together.tobytes()


def test_bits_behind_a_frame_do_not_spill_into_the_next() -> None:
    assert b"".join(joined([b"\xf8", b"\x01"], 3)) == b"\x08"


# -- the Image Pixel Module --------------------------------------------------------------------------------------------

MODULE: dict[int, tuple[str, Any]] = {
    0x00280002: ("US", 1),
    0x00280004: ("CS", b"MONOCHROME2 "),
    0x00280010: ("US", 2),
    0x00280011: ("US", 2),
    0x00280100: ("US", 8),
    0x00280101: ("US", 8),
    0x00280102: ("US", 7),
    0x00280103: ("US", 0),
}


def image_elements(order: str = "<", **changes: int | bytes | None) -> list[bytes]:
    """The module, with changes by tag as `t00280004=...`; None leaves one out."""
    values = MODULE | {int(tag[1:], 16): ("CS" if isinstance(v, bytes) else "US", v) for tag, v in changes.items()}
    return [
        element(tag, vr, value if isinstance(value, bytes) else struct.pack(order + "H", value), order=order)
        for tag, (vr, value) in sorted(values.items())
        if value is not None
    ]


ATTRIBUTES = (0x00280002, 0x00280004, 0x00280006, 0x00280100, 0x00280101, 0x00280102, 0x00280103)


def module_of(data: pydicom.Dataset) -> list[object]:
    return [data[tag].value if tag in data else None for tag in ATTRIBUTES]


@pytest.mark.parametrize("target", [EXPLICIT, JPEG_LS])
@pytest.mark.parametrize(
    ("changes", "image", "expected"),
    [
        pytest.param({}, GREY, [1, "MONOCHROME2", None, 8, 8, 7, 0], id="already true"),
        pytest.param(
            {"t00280002": 3, "t00280004": b"YBR_FULL_422", "t00280006": 0},
            ImagePixel(2, 2, 3, 8, 8, photometric="YBR_FULL"),
            [3, "YBR_FULL", 0, 8, 8, 7, 0],
            id="chrominances are full now",
        ),
        pytest.param(
            {"t00280002": 3, "t00280004": b"YBR_RCT ", "t00280006": 0},
            ImagePixel(2, 2, 3, 8, 8, photometric="RGB", planar=True),
            [3, "RGB", 1, 8, 8, 7, 0],
            id="planes",
        ),
        pytest.param(
            {"t00280002": 3, "t00280004": b"RGB "},
            FOUR_RGB,
            [3, "RGB", 0, 8, 8, 7, 0],
            id="planar configuration missing",
        ),
        pytest.param(
            {"t00280100": None, "t00280101": None, "t00280102": None, "t00280103": None},
            ImagePixel(2, 2, 1, 16, 12, signed=True),
            [1, "MONOCHROME2", None, 16, 12, 11, 1],
            id="bits missing",
        ),
        pytest.param(
            {"t00280100": 16, "t00280101": 12, "t00280102": 15},
            ImagePixel(2, 2, 1, 16, 12),
            [1, "MONOCHROME2", None, 16, 12, 11, 0],
            id="high bit of decoded samples",
        ),
        pytest.param(
            {"t00280002": None, "t00280004": None}, GREY, [1, "MONOCHROME2", None, 8, 8, 7, 0], id="beginning missing"
        ),
    ],
)
def test_attributes_are_true_for_the_new_frames(
    target: str, changes: dict[str, Any], image: ImagePixel, expected: list[object]
) -> None:
    """PS3.3 C.7.6.3: as decoded or encoded, in the order of tags, each once."""
    content = part10_bytes.part10(*image_elements(**changes), part10_bytes.fragments(b"", b"abcd"), syntax=RLE)
    written = transcoded(content, target, new_frames(image, bytes(image.frame_bytes)))
    data = read(written)
    assert module_of(data) == expected
    tags = [element.tag for element in data]
    assert tags == sorted(set(tags))
    assert read_part10(BytesSource(written), Limits()).layout.frames is not None


@pytest.mark.parametrize("source", [EXPLICIT, BIG_ENDIAN])
def test_native_samples_stay_where_they_are_in_their_cells(source: str) -> None:
    """High Bit 15 of 12 bits: the cells are encoded whole, so it stays true."""
    order = ">" if source == BIG_ENDIAN else "<"
    changes = {"t00280100": 16, "t00280101": 12, "t00280102": 15}
    pixels = element(0x7FE00010, "OW", bytes(8), order=order)
    content = part10_bytes.part10(*image_elements(order, **changes), pixels, syntax=source)
    data = read(transcoded(content, JPEG_LS, new_frames(ImagePixel(2, 2, 1, 16, 12), b"abcd")))
    assert module_of(data)[3:6] == [16, 12, 15]


def test_all_other_elements_keep_their_bytes() -> None:
    """Also lossy compression, UIDs, private elements, odd values; only Pixel Data differ."""
    others = [
        element(0x00091001, "UN", b"\1\2\3\4"),
        element(0x00080008, "CS", b"DERIVED \\PRIMARY"),
        element(0x00282110, "CS", b"01"),
        element(0x00282112, "DS", b"10.00 "),
        element(0x00081140, "SQ", item(element(0x00280004, "CS", b"RGB "), delimited=True) + end(), length=0xFFFFFFFF),
        element(0x7FE10010, "LO", b"behind"),
    ]
    content = part10_bytes.part10(*others, *image_elements(), element(0x7FE00010, "OB", b"abcd"))
    before, _, behind = data_set_of(content).partition(element(0x7FE00010, "OB", b"abcd"))
    fragments = element(0x7FE00010, "OB", length=0xFFFFFFFF) + item() + item(b"12345\0") + end()
    assert data_set_of(transcoded(content, RLE, new_frames(GREY, b"12345"))) == before + fragments + behind
    assert data_set_of(transcoded(content, EXPLICIT)) == data_set_of(content)


def test_attributes_out_of_order_are_written_once() -> None:
    """A sender that does not sort: what was inserted at its place is left out where it comes late."""
    uids = b"".join(part10_bytes.uids().values())
    module = image_elements()
    content = part10_bytes.file_meta(RLE) + uids + b"".join([*module[1:], module[0]])
    content += part10_bytes.fragments(b"", b"abcd")
    written = transcoded(content, JPEG_LS, new_frames(GREY, b"abcd"))
    assert data_set_of(written).count(element(0x00280002, "US", b"\1\0")) == 1


# -- icons -------------------------------------------------------------------------------------------------------------


def icon(pixel_data: bytes) -> bytes:
    content = b"".join([*image_elements(), pixel_data])
    return element(0x00880200, "SQ", item(content, delimited=True) + end(), length=0xFFFFFFFF)


def test_native_icons_stay() -> None:
    content = part10_bytes.part10(
        icon(element(0x7FE00010, "OB", b"icon")), *image_elements(), part10_bytes.fragments(b"", b"abcd"), syntax=RLE
    )
    for target in (EXPLICIT, JPEG_LS):
        data = read(transcoded(content, target, new_frames(GREY, b"ABCD")))
        assert data.IconImageSequence[0].PixelData == b"icon"


def test_encapsulated_icons_are_refused() -> None:
    content = part10_bytes.part10(
        icon(part10_bytes.fragments(b"", b"icon")), *image_elements(), part10_bytes.fragments(b"", b"abcd"), syntax=RLE
    )
    with pytest.raises(InvalidFrame, match="within a sequence"):
        transcoded(content, EXPLICIT, new_frames(GREY, b"ABCD"))
