"""Where frames lie, and that reading them gives their bytes (PS3.5 8 and A.4)."""

from __future__ import annotations

import base64
import struct
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dicomweb_core.codecs.byte_order import word_bytes
from dicomweb_core.codecs.frame_index import index_frames, read_frame, read_native_little_endian
from dicomweb_core.values.attributes import Attributes
from dicomweb_core.values.blobs import BulkValue, FrameIndex, Span
from dicomweb_core.values.limits import Limits
from tests.octets import Encapsulated, Octets, encapsulated

NATIVE = "1.2.840.10008.1.2.1"
JPEG = "1.2.840.10008.1.2.4.50"
RLE = "1.2.840.10008.1.2.5"
MPEG4 = "1.2.840.10008.1.2.4.102"

STARTS = {
    "JPEG": b"\xff\xd8\xff\xe0",
    "JPEG-LS": b"\xff\xd8\xff\xf7",
    "JPEG 2000 codestream": b"\xff\x4f\xff\x51",
    "JP2 box": b"\x00\x00\x00\x0cjP  \r\n\x87\n",
    "JPEG XL codestream": b"\xff\x0a",
    "JPEG XL box": b"\x00\x00\x00\x0cJXL \r\n\x87\n",
    "RLE header": struct.pack("<II", 3, 64),
}


def image(rows: int = 2, columns: int = 3, samples: int = 1, bits: int = 8, **more: Any) -> Attributes:
    """Attributes of the Image Pixel Module; keywords `photometric` and `frames`."""
    attributes: Attributes = {
        "00280002": {"vr": "US", "Value": [samples]},
        "00280010": {"vr": "US", "Value": [rows]},
        "00280011": {"vr": "US", "Value": [columns]},
        "00280100": {"vr": "US", "Value": [bits]},
    }
    if "frames" in more:
        attributes["00280008"] = {"vr": "IS", "Value": [more["frames"]]}
    if "photometric" in more:
        attributes["00280004"] = {"vr": "CS", "Value": [more["photometric"]]}
    return attributes


def index_native(
    content: bytes, attributes: Attributes, *, element: str = "7FE00010", lead: int = 7
) -> tuple[FrameIndex | None, tuple[str, ...], Octets]:
    source = Octets(bytes(lead) + content + b"\xaa" * 4)
    pixel = BulkValue(element, "OW", lead, len(content))
    frames, warnings = index_frames(
        source,
        attributes,
        pixel,
        transfer_syntax_uid=NATIVE,
        basic_offset_table=None,
        fragments=b"",
        limits=Limits(),
    )
    return frames, warnings, source


def index_encapsulated(
    pixels: Encapsulated, attributes: Attributes, *, syntax: str = JPEG, bulk: dict[str, BulkValue] | None = None
) -> tuple[FrameIndex | None, tuple[str, ...]]:
    return index_frames(
        pixels.source,
        attributes,
        BulkValue("7FE00010", "OB", 100, pixels.source.size - 108, encapsulated=True),
        transfer_syntax_uid=syntax,
        basic_offset_table=pixels.basic_offset_table,
        fragments=pixels.fragments,
        limits=Limits(),
        bulk=bulk,
    )


def all_frames(source: Octets, frames: FrameIndex | None, chunk_bytes: int = 5) -> list[bytes]:
    assert frames is not None
    read = [b"".join(read_frame(source, frames, index, chunk_bytes)) for index in range(frames.count)]
    assert [len(frame) for frame in read] == [frames.length(index) for index in range(frames.count)]
    return read


# -- native ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("attributes", "bytes_of_a_frame"),
    [
        pytest.param(image(2, 3), 6, id="8 bit"),
        pytest.param(image(2, 3, bits=16), 12, id="16 bit"),
        pytest.param(image(2, 3, samples=3), 18, id="RGB"),
        pytest.param(image(3, 3), 9, id="odd, no padding between frames PS3.5 8.2"),
        pytest.param(image(2, 4, 3, photometric="YBR_FULL_422"), 16, id="YBR_FULL_422 has 2 samples a pixel"),
        pytest.param(image(2, 4, 3, photometric="YBR_FULL"), 24, id="YBR_FULL has 3"),
        pytest.param(image(2, 3, bits=32), 24, id="32 bit"),
        pytest.param(image(2, 3, bits=64), 48, id="64 bit"),
    ],
)
@pytest.mark.parametrize("count", [1, 2, 5])
def test_native_frames_follow_one_another(attributes: Attributes, bytes_of_a_frame: int, count: int) -> None:
    content = bytes(i % 251 for i in range(bytes_of_a_frame * count))
    attributes = {**attributes, "00280008": {"vr": "IS", "Value": [count]}}
    frames, warnings, source = index_native(content + bytes(len(content) % 2), attributes)
    assert warnings == ()
    assert all_frames(source, frames) == [
        content[i * bytes_of_a_frame : (i + 1) * bytes_of_a_frame] for i in range(count)
    ]


@pytest.mark.parametrize(("element", "bits"), [("7FE00008", 32), ("7FE00009", 64)])
def test_float_pixel_data_have_samples_of_their_own_size(element: str, bits: int) -> None:
    content = bytes(range(2 * 3 * bits // 8))
    frames, warnings, source = index_native(content, image(2, 3, bits=16), element=element)
    assert warnings == ()
    assert all_frames(source, frames) == [content]
    assert frames is not None
    assert frames.element == element


def test_a_number_of_frames_that_is_absent_is_one() -> None:
    frames, warnings, source = index_native(bytes(range(6)), image())
    assert (all_frames(source, frames), warnings) == ([bytes(range(6))], ())


@pytest.mark.parametrize("text", ["2", " 2", "+2", 2, 2.0, "02"])
def test_number_of_frames_is_a_number_or_a_text(text: object) -> None:
    frames, warnings, _ = index_native(bytes(12), image(frames=text))
    assert frames is not None
    assert (frames.count, warnings) == (2, ())


def test_no_pixel_data_is_nothing_wrong() -> None:
    arguments: dict[str, Any] = {"basic_offset_table": None, "fragments": b"", "limits": Limits()}
    assert index_frames(Octets(b""), image(), None, transfer_syntax_uid=NATIVE, **arguments) == (None, ())


def test_what_is_behind_the_last_frame_is_not_a_frame() -> None:
    frames, warnings, source = index_native(bytes(range(6)) + b"\xff" * 30, image(frames=1))
    assert all_frames(source, frames) == [bytes(range(6))]
    assert len(warnings) == 1


def test_only_frames_wholly_present_are_indexed_and_the_rest_is_said() -> None:
    frames, warnings, source = index_native(bytes(range(16)), image(frames=3))
    assert all_frames(source, frames) == [bytes(range(6)), bytes(range(6, 12))]
    assert warnings == ("Number of Frames (0028,0008) says 3, but the pixel data have 2 whole frames.",)


def test_data_that_are_not_subsampled_though_they_say_so_are_read_as_they_are() -> None:
    content = bytes(range(48))
    frames, warnings, source = index_native(content, image(2, 4, 3, photometric="YBR_FULL_422", frames=2))
    assert all_frames(source, frames) == [content[:24], content[24:]]
    assert len(warnings) == 1


@given(
    rows=st.integers(1, 9),
    columns=st.integers(1, 9),
    count=st.integers(1, 6),
    chunk_bytes=st.integers(1, 7),
    content=st.data(),
)
def test_one_bit_frames_begin_at_bit_0_BLK_21(
    rows: int, columns: int, count: int, chunk_bytes: int, content: st.DataObject
) -> None:
    pixels = rows * columns
    bits = content.draw(st.lists(st.integers(0, 1), min_size=pixels * count, max_size=pixels * count))
    packed = sum(bit << i for i, bit in enumerate(bits)).to_bytes((len(bits) + 15) // 16 * 2, "little")
    frames, _, source = index_native(packed, image(rows, columns, bits=1, frames=count))
    expected = [
        sum(bit << i for i, bit in enumerate(bits[k * pixels : (k + 1) * pixels])).to_bytes((pixels + 7) // 8, "little")
        for k in range(count)
    ]
    assert all_frames(source, frames, chunk_bytes) == expected


# -- big endian --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("vr", "bits", "word"),
    [
        ("OB", 8, 1),
        ("OB", 1, 1),
        ("OW", 8, 2),
        ("OW", 1, 2),
        ("OW", 16, 2),
        ("OB", 16, 2),
        ("OW", 32, 4),
        ("OL", 32, 4),
        ("OF", 32, 4),
        ("OD", 64, 8),
        ("OV", 64, 8),
        ("OW", 24, 1),
    ],
)
def test_words_of_pixel_data(vr: str, bits: int, word: int) -> None:
    assert word_bytes(vr, bits) == word


@given(
    word=st.sampled_from([("OB", 8), ("OW", 8), ("OW", 1), ("OW", 16), ("OW", 32), ("OD", 64)]),
    rows=st.integers(1, 5),
    columns=st.integers(1, 5),
    count=st.integers(1, 4),
    chunk_bytes=st.integers(1, 20),
    seed=st.randoms(use_true_random=False),
)
def test_big_endian_frames_come_out_little_endian(
    word: tuple[str, int], rows: int, columns: int, count: int, chunk_bytes: int, seed: Any
) -> None:
    vr, bits = word
    size = (rows * columns * count * bits + 7) // 8
    little = seed.randbytes(size + size % 2)
    step = word_bytes(vr, bits)
    big = b"".join(little[i : i + step][::-1] for i in range(0, len(little), step))
    attributes = image(rows, columns, bits=bits, frames=count)
    frames, _, from_little = index_native(little, attributes)
    _, _, from_big = index_native(big, attributes)
    assert frames is not None
    assert [
        b"".join(read_native_little_endian(from_big, frames, index, chunk_bytes, vr=vr, bits_allocated=bits))
        for index in range(count)
    ] == all_frames(from_little, frames)


# -- encapsulated ------------------------------------------------------------------------------------------------------


def offsets_of(pixels: Encapsulated, sizes: list[int]) -> list[int]:
    """Of the first item of each frame, frames having so many fragments."""
    return [pixels.item_offsets[sum(sizes[:i])] for i in range(len(sizes))]


@pytest.mark.parametrize("start", STARTS)
@settings(max_examples=20)
@given(
    frames=st.lists(st.lists(st.binary(max_size=9), min_size=1, max_size=4), min_size=2, max_size=6),
    table=st.booleans(),
)
def test_fragments_are_put_together_to_frames_BLK_15(frames: list[list[bytes]], table: bool, start: str) -> None:
    # A fragment that continues a frame cannot begin like a codestream.
    fragments = [(STARTS[start] if i == 0 else b"\x01") + piece for frame in frames for i, piece in enumerate(frame)]
    sizes = [len(frame) for frame in frames]
    pixels = encapsulated(fragments)
    if table:
        offsets = offsets_of(pixels, sizes)
        pixels = encapsulated(fragments, struct.pack(f"<{len(offsets)}I", *offsets))
    index, warnings = index_encapsulated(pixels, image(frames=len(frames)))
    assert warnings == ()
    ends = [sum(sizes[: i + 1]) for i in range(len(sizes))]
    expected = [b"".join(fragments[end - size : end]) for size, end in zip(sizes, ends, strict=True)]
    assert all_frames(pixels.source, index) == expected
    assert index is not None
    assert FrameIndex.unpack(index.pack()) == index


def test_one_fragment_a_frame_needs_no_table_and_no_reads() -> None:
    fragments = [bytes([n]) * n for n in range(1, 6)]
    pixels = encapsulated(fragments)
    index, warnings = index_encapsulated(pixels, image(frames=5), syntax=RLE)
    assert (warnings, pixels.source.reads) == ((), 0)
    assert all_frames(pixels.source, index) == fragments


def test_one_frame_is_all_fragments() -> None:
    pixels = encapsulated([b"ab", b"", b"cd"])
    index, warnings = index_encapsulated(pixels, image())
    assert (all_frames(pixels.source, index), warnings) == ([b"abcd"], ())


def test_frames_are_found_by_the_beginnings_of_codestreams_with_few_reads() -> None:
    fragments = [STARTS["JPEG"] + b"x", b"more", b"more"] * 2_000
    pixels = encapsulated(fragments)
    index, warnings = index_encapsulated(pixels, image(frames=2_000))
    assert index is not None
    assert (index.count, warnings) == (2_000, ())
    assert pixels.source.reads < 50
    assert pixels.source.longest_read <= 4_096


def test_a_video_is_one_unit() -> None:
    pixels = encapsulated([b"ab", b"cd", b"ef"])
    index, warnings = index_encapsulated(pixels, image(frames=250), syntax=MPEG4)
    assert (all_frames(pixels.source, index), warnings) == ([b"abcdef"], ())


def extended(offsets: list[int], lengths: list[int]) -> Attributes:
    """The Extended Offset Table, inline."""
    return {
        tag: {"vr": "OV", "InlineBinary": base64.b64encode(struct.pack(f"<{len(numbers)}Q", *numbers)).decode()}
        for tag, numbers in (("7FE00001", offsets), ("7FE00002", lengths))
    }


def test_the_extended_offset_table_gives_lengths_without_padding() -> None:
    pixels = encapsulated([b"ab", b"cde\0", b"f\0"])
    attributes = {**image(frames=3), **extended(list(pixels.item_offsets), [2, 3, 1])}
    index, warnings = index_encapsulated(pixels, attributes)
    assert (all_frames(pixels.source, index), warnings) == ([b"ab", b"cde", b"f"], ())


def test_the_extended_offset_table_may_be_bulk() -> None:
    fragments = [b"ab", b"cde\0"]
    lead = struct.pack("<QQQQ", 0, 10, 2, 3)
    pixels = encapsulated(fragments, lead=len(lead))
    source = Octets(lead + pixels.source.read(len(lead), pixels.source.size - len(lead)))
    attributes = {**image(frames=2), "7FE00001": {"vr": "OV", "BulkDataURI": "x"}}
    bulk = {
        "7FE00001": BulkValue("7FE00001", "OV", 0, 16),
        "7FE00002": BulkValue("7FE00002", "OV", 16, 16),
    }
    index, warnings = index_encapsulated(pixels._replace(source=source), attributes, bulk=bulk)
    assert (all_frames(source, index), warnings) == ([b"ab", b"cde"], ())


def test_reading_beyond_the_last_frame_is_refused_before_anything_is_read() -> None:
    pixels = encapsulated([b"ab"])
    index, _ = index_encapsulated(pixels, image())
    assert index is not None
    with pytest.raises(IndexError):
        read_frame(pixels.source, index, 1, 100)


@pytest.mark.parametrize(("syntax", "is_encapsulated"), [(NATIVE, True), (JPEG, False)], ids=["native", "compressed"])
def test_pixel_data_in_a_form_their_transfer_syntax_does_not_have(syntax: str, is_encapsulated: bool) -> None:
    pixels = encapsulated([b"abcdef"])
    frames, warnings = index_frames(
        pixels.source,
        image(),
        BulkValue("7FE00010", "OB", 100, 6, is_encapsulated),
        transfer_syntax_uid=syntax,
        basic_offset_table=Span(108, 0),
        fragments=pixels.fragments,
        limits=Limits(),
    )
    assert frames is None
    assert len(warnings) == 1
