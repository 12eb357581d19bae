"""Lossless encoders (PS3.5 8.2, A.4): what comes out is read by decoders of others, bit for bit."""

from __future__ import annotations

import struct
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dicomweb_core.codecs.pixels.encoding import encodable_in, encode, encoded_image, missing_encoder
from dicomweb_core.errors import InvalidFrame
from dicomweb_core.values.limits import Limits
from dicomweb_core.values.pixels import ImagePixel, NativeFrame
from dicomweb_core.values.transfer_syntaxes import TRANSFER_SYNTAXES
from tests.cases import case
from tests.codecs.pixels.readers import (
    DEFLATED,
    DICOM,
    ENCAPSULATED,
    HTJ2K,
    HTJ2K_RPCL,
    JPEG,
    JPEG_2000,
    JPEG_LS,
    JPEG_SV1,
    JPEG_XL,
    NATIVE,
    READERS,
    RLE,
    array_of,
    extremes,
    frame_of,
    random_frame,
    read_back,
)

pytest.importorskip("imagecodecs")

ANY = {NATIVE, ENCAPSULATED, DEFLATED}
"""Hold whatever bits there are."""
J2K = {JPEG_2000, HTJ2K, HTJ2K_RPCL}
LOSSLESS_JPEG = {JPEG, JPEG_SV1}
ALL = ANY | J2K | LOSSLESS_JPEG | {RLE, JPEG_LS, JPEG_XL}

MAY_HOLD = {
    "8": (ImagePixel(9, 14, 1, 8, 8), ALL),
    "8, 7 stored": (ImagePixel(9, 14, 1, 8, 7), ALL),
    "8, 2 stored": (ImagePixel(9, 14, 1, 8, 2), ALL),
    "8, 1 stored": (ImagePixel(9, 14, 1, 8, 1), ALL - {JPEG_LS}),
    "8 signed": (ImagePixel(9, 14, 1, 8, 8, True), ALL - {JPEG_XL}),
    "8 signed, 6 stored": (ImagePixel(9, 14, 1, 8, 6, True), ALL - {JPEG_XL}),
    "16": (ImagePixel(9, 14, 1, 16, 16), ALL),
    "16, 12 stored": (ImagePixel(9, 14, 1, 16, 12), ALL),
    "16, 8 stored": (ImagePixel(9, 14, 1, 16, 8), ALL),
    "16 MONOCHROME1": (ImagePixel(9, 14, 1, 16, 10, photometric="MONOCHROME1"), ALL),
    "16 signed": (ImagePixel(9, 14, 1, 16, 16, True), ALL - {JPEG_XL}),
    "16 signed, 12 stored": (ImagePixel(9, 14, 1, 16, 12, True), ALL - {JPEG_XL}),
    "32": (ImagePixel(9, 14, 1, 32, 32), ANY),
    "32 signed, 24 stored": (ImagePixel(9, 14, 1, 32, 24, True), ANY),
    "palette 8": (ImagePixel(9, 14, 1, 8, 8, photometric="PALETTE COLOR"), ALL - {JPEG_XL}),
    "palette 16": (ImagePixel(9, 14, 1, 16, 16, photometric="PALETTE COLOR"), ALL - {JPEG_XL}),
    "RGB 8": (ImagePixel(9, 14, 3, 8, 8, photometric="RGB"), ALL),
    "RGB 8 planar": (ImagePixel(9, 14, 3, 8, 8, photometric="RGB", planar=True), ALL),
    "RGB 16": (ImagePixel(9, 14, 3, 16, 16, photometric="RGB"), ALL),
    "RGB 16, 12 stored, planar": (ImagePixel(9, 14, 3, 16, 12, photometric="RGB", planar=True), ALL),
    "RGB of one pixel, planar": (ImagePixel(1, 1, 3, 8, 8, photometric="RGB", planar=True), ALL),
    "YBR_FULL 8": (ImagePixel(9, 14, 3, 8, 8, photometric="YBR_FULL"), ALL - {JPEG_XL}),
    "YBR_FULL 8 planar": (ImagePixel(9, 14, 3, 8, 8, photometric="YBR_FULL", planar=True), ALL - {JPEG_XL}),
    "YBR_FULL 16": (ImagePixel(9, 14, 3, 16, 16, photometric="YBR_FULL"), ANY | J2K | LOSSLESS_JPEG),
    "RGB signed": (ImagePixel(9, 14, 3, 8, 8, True, photometric="RGB"), ANY),
    "palette signed": (ImagePixel(9, 14, 1, 8, 8, True, photometric="PALETTE COLOR"), ANY),
}
"""Images, and the transfer syntaxes that may hold them by Tables 8.2.1-2 to 8.2.15-1 of PS3.5, as far as we do."""

HELD_AS_IT_LIES = {
    "1 bit": (ImagePixel(3, 5, 1, 1, 1), ANY),
    "YBR_FULL_422": (ImagePixel(2, 4, 3, 8, 8, photometric="YBR_FULL_422"), ANY),
    "4 samples": (ImagePixel(2, 4, 4, 8, 8, photometric="CMYK"), ANY),
    "12 bits": (ImagePixel(2, 3, 1, 12, 12), ANY),
    "64 bits": (ImagePixel(2, 3, 1, 64, 64), ANY),
    "float": (ImagePixel(2, 3, 1, 32, 32, floating=True), {NATIVE}),
    "double": (ImagePixel(2, 3, 1, 64, 64, floating=True), {NATIVE}),
    "RGB that says it has one sample": (ImagePixel(2, 3, 1, 8, 8, photometric="RGB"), ANY),
}


@pytest.mark.parametrize(("image", "uids"), [pytest.param(*row, id=kind) for kind, row in MAY_HOLD.items()])
def test_round_trip(image: ImagePixel, uids: set[str]) -> None:
    """Noise, then every value the lowest, then the highest."""
    shape = array_of(random_frame(image)).shape
    flat = [frame_of(np.full(shape, value), image) for value in extremes(image)]
    for frame in (random_frame(image), *flat):
        expected = array_of(frame)
        for uid in sorted(uids):
            for name, reader in READERS[uid].items():
                with case(TRANSFER_SYNTAXES[uid].name, name):
                    np.testing.assert_array_equal(read_back(frame, uid, reader), expected)


@pytest.mark.parametrize(("image", "uids"), [pytest.param(*case, id=kind) for kind, case in MAY_HOLD.items()])
def test_what_may_hold_it_is_offered_and_nothing_else(image: ImagePixel, uids: set[str]) -> None:
    offered = encodable_in(image)
    assert set(offered) == uids
    assert offered[0] == NATIVE
    for uid in {*TRANSFER_SYNTAXES, "1.2.3"} - uids:
        with pytest.raises(InvalidFrame):
            encode(random_frame(image), uid, Limits())
        with pytest.raises(InvalidFrame):
            encoded_image(image, uid)


@pytest.mark.parametrize(("image", "uids"), [pytest.param(*case, id=kind) for kind, case in HELD_AS_IT_LIES.items()])
def test_what_is_not_whole_samples_is_held_as_it_lies(image: ImagePixel, uids: set[str]) -> None:
    frame = NativeFrame(bytes(range(image.frame_bytes)), image)
    assert set(encodable_in(image)) == uids
    for uid in uids - {DEFLATED}:
        assert encode(frame, uid, Limits()) == frame.data
        assert encoded_image(image, uid) == image
    for uid in set(TRANSFER_SYNTAXES) - uids:
        with pytest.raises(InvalidFrame):
            encode(frame, uid, Limits())


ABOVE = [
    ImagePixel(5, 6, samples, allocated, stored, signed, "RGB" if samples == 3 else "MONOCHROME2")
    for allocated, stored in ((8, 1), (8, 5), (16, 9), (16, 12), (16, 15))
    for samples, signed in ((1, False), (1, True), (3, False))
]


@pytest.mark.parametrize("image", ABOVE, ids=str)
def test_bits_above_bits_stored_survive(image: ImagePixel) -> None:
    """Overlays, or what a modality left there. pydicom masks them: so read by the libraries themselves."""
    frame = random_frame(image, bits=image.bits_allocated)
    for uid in encodable_in(image):
        name = next(iter(READERS[uid]))
        if name != "pydicom":
            np.testing.assert_array_equal(read_back(frame, uid, READERS[uid][name]), array_of(frame))
    # The segments of RLE, unpacked by a reader that is told that all bits count.
    whole = replace(image, bits_stored=image.bits_allocated)
    codestream = encode(frame, RLE, Limits())
    read = READERS[RLE]["pydicom"](codestream, encoded_image(whole, RLE))
    np.testing.assert_array_equal(read, array_of(frame))


def jpeg_precision(codestream: bytes) -> int:
    """Of the frame header of JPEG and JPEG-LS (SOF3, SOF55)."""
    place = max(codestream.find(b"\xff\xc3\x00"), codestream.find(b"\xff\xf7\x00"))
    assert place > 0
    return codestream[place + 4]


def j2k_precision(codestream: bytes) -> int:
    """Ssiz of the first component, with its sign bit (ISO 15444-1 A.5.1)."""
    assert codestream[:4] == b"\xff\x4f\xff\x51"
    return codestream[42]


@pytest.mark.parametrize(
    ("stored", "signed", "uid", "expected"),
    [
        (12, False, JPEG_SV1, 12),
        (12, True, JPEG_SV1, 16),  # two's complement of the whole cell: nobody puts back a sign that was cut off
        (12, False, JPEG_2000, 11),
        (12, True, JPEG_2000, 0x80 | 11),
        (12, False, HTJ2K, 11),
        (12, True, HTJ2K, 0x80 | 11),
        (16, True, HTJ2K_RPCL, 0x80 | 15),
    ],
)
def test_codestreams_say_bits_stored(stored: int, signed: bool, uid: str, expected: int) -> None:
    codestream = encode(random_frame(ImagePixel(9, 14, 1, 16, stored, signed)), uid, Limits())
    assert (jpeg_precision if uid == JPEG_SV1 else j2k_precision)(codestream) == expected


@pytest.mark.parametrize(
    ("uid", "photometric", "after", "planar"),
    [
        (JPEG_2000, "RGB", "YBR_RCT", False),
        (HTJ2K, "RGB", "YBR_RCT", False),
        (HTJ2K_RPCL, "RGB", "YBR_RCT", False),
        (JPEG_2000, "YBR_FULL", "YBR_FULL", False),
        (HTJ2K, "YBR_FULL", "YBR_FULL", False),
        (JPEG_LS, "RGB", "RGB", False),
        (JPEG_LS, "YBR_FULL", "YBR_FULL", False),
        (JPEG_SV1, "RGB", "RGB", False),
        (JPEG, "YBR_FULL", "YBR_FULL", False),
        (JPEG_XL, "RGB", "RGB", False),
        (RLE, "RGB", "RGB", True),
        (RLE, "YBR_FULL", "YBR_FULL", True),
        (DEFLATED, "RGB", "RGB", None),
        (ENCAPSULATED, "RGB", "RGB", None),
        (NATIVE, "YBR_FULL", "YBR_FULL", None),
    ],
)
@pytest.mark.parametrize("before", [False, True])
def test_what_the_data_set_says(uid: str, photometric: str, after: str, planar: bool | None, before: bool) -> None:
    image = ImagePixel(9, 14, 3, 8, 8, photometric=photometric, planar=before)
    said = encoded_image(image, uid)
    assert said == replace(image, photometric=after, planar=before if planar is None else planar)
    if uid in J2K:
        # SGcod: the multiple component transformation is used, or not (ISO 15444-1 A.6.1).
        codestream = encode(random_frame(image), uid, Limits())
        assert codestream[codestream.index(b"\xff\x52") + 8] == (after == "YBR_RCT")


def test_one_sample_has_no_planar_configuration_to_change() -> None:
    image = ImagePixel(2, 2, 1, 8, 8)
    assert encoded_image(image, RLE) == image


@pytest.mark.parametrize("uid", [JPEG, JPEG_SV1])
def test_jpeg_lossless_predicts_by_selection_value_1(uid: str) -> None:
    codestream = encode(random_frame(ImagePixel(9, 14, 3, 8, 8, photometric="RGB")), uid, Limits())
    scan = codestream.index(b"\xff\xda")
    length, components = struct.unpack_from(">HB", codestream, scan + 2)
    assert (length, components) == (12, 3), "one scan, interleaved"
    assert codestream[scan + 2 + length - 3 : scan + 2 + length] == b"\x01\x00\x00", "Ss, Se, Ah and Al"


@pytest.mark.parametrize("uid", [JPEG, JPEG_SV1])
def test_jpeg_lossless_says_of_ycbcr_nothing_that_is_not_true(uid: str) -> None:
    """An Adobe segment with transform 0 would say that it is RGB."""
    rgb, ybr = (
        encode(random_frame(ImagePixel(9, 14, 3, 8, 8, photometric=photometric)), uid, Limits())
        for photometric in ("RGB", "YBR_FULL")
    )
    assert rgb[2:4] == b"\xff\xee"
    assert rgb[6:18] == b"Adobe\x00\x64\x00\x00\x00\x00\x00"
    assert ybr[2:4] == b"\xff\xc3"


@pytest.mark.parametrize("photometric", ["RGB", "YBR_FULL"])
def test_jpeg_ls_has_no_header_of_a_file(photometric: str) -> None:
    """SPIFF would say RGB of both. SOI, SOF55; ILV is 2: interleaved by sample."""
    codestream = encode(random_frame(ImagePixel(9, 14, 3, 8, 8, photometric=photometric)), JPEG_LS, Limits())
    assert codestream[:4] == b"\xff\xd8\xff\xf7"
    assert codestream[codestream.index(b"\xff\xda") + 4 :][:10] == bytes([3, 1, 0, 2, 0, 3, 0, 0, 2, 0])


@pytest.mark.parametrize(("rows", "columns"), [(8, 8), (64, 3000), (4100, 2), (1, 65535)])
def test_rpcl_begins_with_a_thumbnail(rows: int, columns: int) -> None:
    """PS3.5 10.18: progression RPCL, a base resolution of at most 64, and TLM."""
    image = ImagePixel(rows, columns, 1, 16, 12)
    frame = random_frame(image)
    codestream = encode(frame, HTJ2K_RPCL, Limits())
    cod = codestream.index(b"\xff\x52")
    assert codestream[cod + 5] == 2, "RPCL"
    assert -(-max(rows, columns) // (1 << codestream[cod + 9])) <= 64
    assert b"\xff\x55" in codestream[: codestream.index(b"\xff\x90")]
    for read in READERS[HTJ2K_RPCL].values():
        np.testing.assert_array_equal(read(codestream, image), array_of(frame))


@pytest.mark.parametrize(("rows", "columns"), [(1, 1), (1, 9), (9, 1), (2, 2), (1, 65535), (65535, 1)])
@pytest.mark.parametrize("bits", [8, 16])
def test_shapes(rows: int, columns: int, bits: int) -> None:
    image = ImagePixel(rows, columns, 1, bits, bits)
    frame = random_frame(image)
    for uid in encodable_in(image):
        name, read = next(iter(READERS[uid].items()))
        np.testing.assert_array_equal(read_back(frame, uid, read), array_of(frame), err_msg=f"{uid} {name}")


@settings(max_examples=60, deadline=None)
@given(
    rows=st.integers(1, 20),
    columns=st.integers(1, 20),
    allocated=st.sampled_from([8, 16]),
    stored=st.integers(2, 16),
    kind=st.sampled_from(["MONOCHROME2", "signed", "RGB", "planar"]),
    uid=st.sampled_from([JPEG_LS, JPEG_2000, HTJ2K, HTJ2K_RPCL, JPEG_SV1, JPEG_XL]),
    seed=st.integers(0, 1 << 32),
    excess=st.integers(0, 3),
)
def test_any_small_frame(
    rows: int, columns: int, allocated: int, stored: int, kind: str, uid: str, seed: int, excess: int
) -> None:
    stored = min(stored, allocated)
    colour = kind in ("RGB", "planar")
    image = ImagePixel(
        rows,
        columns,
        3 if colour else 1,
        allocated,
        stored,
        kind == "signed" and uid != JPEG_XL,
        "RGB" if colour else "MONOCHROME2",
        kind == "planar",
    )
    frame = random_frame(image, seed, bits=min(allocated, stored + excess))
    name = next(iter(READERS[uid]))
    np.testing.assert_array_equal(read_back(frame, uid, READERS[uid][name]), array_of(frame))


def test_a_frame_of_another_length_is_refused() -> None:
    image = ImagePixel(4, 4, 1, 16, 12)
    for uid in encodable_in(image):
        for length in (31, 33, 0):
            with pytest.raises(InvalidFrame):
                encode(NativeFrame(bytes(length), image), uid, Limits())


def test_a_frame_above_the_ceiling_is_refused() -> None:
    image = ImagePixel(4, 4, 1, 16, 12)
    assert encode(NativeFrame(bytes(32), image), RLE, Limits(frame_bytes=32))
    with pytest.raises(InvalidFrame):
        encode(NativeFrame(bytes(32), image), RLE, Limits(frame_bytes=31))


def test_missing_encoder_is_a_sentence() -> None:
    for uid in ALL:
        assert missing_encoder(uid) is None
    for uid in (f"{DICOM}.4.50", f"{DICOM}.4.100", "1.2.3"):
        sentence = missing_encoder(uid)
        assert sentence is not None
        assert sentence.endswith(".")


WITHOUT_IMAGECODECS = """
import sys
sys.modules["imagecodecs"] = sys.modules["isal"] = None
import zlib
from dicomweb_core.codecs.pixels.encoding import encodable_in, encode, missing_encoder
from dicomweb_core.errors import MissingCodec
from dicomweb_core.values.limits import Limits
from dicomweb_core.values.pixels import ImagePixel, NativeFrame

D = "1.2.840.10008.1.2"
image = ImagePixel(2, 2, 1, 16, 12)
frame = NativeFrame(bytes(range(8)), image)
assert encodable_in(image) == (f"{D}.1", f"{D}.5", f"{D}.8.1", f"{D}.1.98"), encodable_in(image)
assert encode(frame, f"{D}.5", Limits())
assert zlib.decompress(encode(frame, f"{D}.8.1", Limits()), -15) == frame.data
assert "imagecodecs" in missing_encoder(f"{D}.4.80")
try:
    encode(frame, f"{D}.4.80", Limits())
except MissingCodec as error:
    assert "imagecodecs" in error.detail
else:
    raise AssertionError
"""


def test_without_imagecodecs_some_encoders_are_left() -> None:
    subprocess.run([sys.executable, "-c", WITHOUT_IMAGECODECS], check=True, env={"PYTHONPATH": ":".join(sys.path)})


def test_imagecodecs_is_loaded_when_it_is_needed() -> None:
    program = "import sys, dicomweb_core.codecs.pixels.encoding\nassert 'imagecodecs' not in sys.modules"
    subprocess.run([sys.executable, "-c", program], check=True, env={"PYTHONPATH": ":".join(sys.path)})
