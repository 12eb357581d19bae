"""Codestreams to native frames: real files against other decoders and their uncompressed twins, made ones exactly."""

from __future__ import annotations

import struct
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pydicom
import pytest
from pydicom.encaps import generate_frames
from pydicom.pixels import get_decoder

from dicomweb_core.codecs.pixels import decoding
from dicomweb_core.codecs.pixels.decoding import decode, missing_decoder, native_image
from dicomweb_core.errors import InvalidFrame, MissingCodec
from dicomweb_core.values.limits import Limits
from dicomweb_core.values.pixels import ImagePixel
from dicomweb_core.values.transfer_syntaxes import TRANSFER_SYNTAXES
from tests.codecs.pixels import made_codestreams as made
from tests.codecs.pixels.made_codestreams import DICOM, MONOCHROME, RGB, RLE, YBR, Made
from tests.witnesses.real_files import real_files

LIMITS = Limits()
UNREADABLE = {"JPEG2000-embedded-sequence-delimiter.dcm": "its width was written over by a delimiter, on purpose"}
TWINS = {
    "693_J2KR.dcm": "693_UNCR.dcm",
    "MR2_J2KR.dcm": "MR2_UNCR.dcm",
    "RG1_J2KR.dcm": "RG1_UNCR.dcm",
    "RG3_J2KR.dcm": "RG3_UNCR.dcm",
    "MR_small_RLE.dcm": "MR_small.dcm",
    "MR_small_jp2klossless.dcm": "MR_small.dcm",
    "MR_small_jpeg_ls_lossless.dcm": "MR_small.dcm",
    "emri_small_RLE.dcm": "emri_small.dcm",
    "emri_small_jpeg_2k_lossless.dcm": "emri_small.dcm",
    "emri_small_jpeg_ls_lossless.dcm": "emri_small.dcm",
    "SC_rgb_rle.dcm": "SC_rgb.dcm",
    "SC_rgb_rle_2frame.dcm": "SC_rgb_2frame.dcm",
    "SC_rgb_rle_16bit.dcm": "SC_rgb_16bit.dcm",
    "SC_rgb_rle_16bit_2frame.dcm": "SC_rgb_16bit_2frame.dcm",
    "SC_rgb_rle_32bit.dcm": "SC_rgb_32bit.dcm",
    "SC_rgb_rle_32bit_2frame.dcm": "SC_rgb_32bit_2frame.dcm",
    "SC_rgb_jpeg_gdcm.dcm": "SC_rgb.dcm",
    "OBXXXX1A_rle.dcm": "OBXXXX1A.dcm",
    "OBXXXX1A_rle_2frame.dcm": "OBXXXX1A_2frame.dcm",
    "rtdose_rle.dcm": "rtdose.dcm",
    "rtdose_rle_1frame.dcm": "rtdose_1frame.dcm",
}
"""Compressed without loss -> the same image uncompressed."""


@cache
def compressed_files() -> dict[str, Path]:
    found = {}
    for path in real_files():
        try:
            dataset = pydicom.dcmread(path)
            if dataset["PixelData"].is_undefined_length and dataset.file_meta.TransferSyntaxUID in TRANSFER_SYNTAXES:
                found[path.name] = path
        except Exception:  # no pixel data, or none that pydicom reads
            continue
    return found


def image_of(dataset: pydicom.Dataset) -> ImagePixel:
    return ImagePixel(
        rows=dataset.Rows,
        columns=dataset.Columns,
        samples=dataset.SamplesPerPixel,
        bits_allocated=dataset.BitsAllocated,
        bits_stored=dataset.BitsStored,
        signed=dataset.PixelRepresentation == 1,
        photometric=dataset.PhotometricInterpretation,
        planar=dataset.get("PlanarConfiguration", 0) == 1,
    )


def codestreams_of(dataset: pydicom.Dataset) -> list[bytes]:
    frames = int(dataset.get("NumberOfFrames", 1) or 1)
    return list(generate_frames(dataset.PixelData, number_of_frames=frames))


def array(data: bytes, image: ImagePixel) -> np.ndarray[Any, Any]:
    """Shape (rows, columns, samples), whatever the planes."""
    cells = np.frombuffer(data, f"<{'i' if image.signed else 'u'}{image.bits_allocated // 8}")
    if image.planar:
        return cells.reshape(image.samples, image.rows, image.columns).transpose(1, 2, 0)
    return cells.reshape(image.rows, image.columns, image.samples)


def native(it: Made) -> bytes:
    kind = "i" if it.image.signed else "u"
    return it.samples.astype(f"<{kind}{it.image.bits_allocated // 8}").tobytes()


# -- real files -------------------------------------------------------------------------------------------------------


def test_there_are_real_files() -> None:
    assert len(compressed_files()) > 50


@pytest.mark.parametrize("name", sorted(set(compressed_files()) - set(UNREADABLE)))
def test_real_file_is_decoded_as_others_decode_it(name: str) -> None:
    dataset = pydicom.dcmread(compressed_files()[name])
    uid, image = dataset.file_meta.TransferSyntaxUID, image_of(dataset)
    # Another inverse DCT differs by a little; what was compressed without loss by nothing.
    bound = 3 if TRANSFER_SYNTAXES[uid].media_type == "image/jpeg" and TRANSFER_SYNTAXES[uid].lossy else 0
    frame = decode(codestreams_of(dataset)[0], uid, image, LIMITS)
    assert frame.image == native_image(image, uid)
    assert len(frame.data) == frame.image.frame_bytes
    decoder = get_decoder(uid)
    opinions = decoder.available_plugins if image.rows * image.columns < 1 << 20 else decoder.available_plugins[:1]
    for plugin in opinions:
        try:
            theirs, meaning = decoder.as_array(dataset, index=0, raw=True, decoding_plugin=plugin)
        except Exception:  # this plugin cannot
            continue
        ours = array(frame.data, frame.image).astype(np.int64)
        assert np.abs(ours - theirs.reshape(ours.shape)).max() <= bound, plugin
        assert meaning["photometric_interpretation"] in (frame.image.photometric, image.photometric)


@pytest.mark.parametrize("name", sorted(TWINS))
def test_every_frame_of_a_lossless_file_is_that_of_its_uncompressed_twin(name: str) -> None:
    files = {path.name: path for path in real_files()}
    dataset, twin = pydicom.dcmread(files[name]), pydicom.dcmread(files[TWINS[name]])
    image = image_of(dataset)
    expected = twin.pixel_array.reshape(-1, image.rows, image.columns, image.samples)
    codestreams = codestreams_of(dataset)
    assert len(codestreams) == len(expected)
    for codestream, pixels in zip(codestreams, expected, strict=True):
        frame = decode(codestream, dataset.file_meta.TransferSyntaxUID, image, LIMITS)
        assert np.array_equal(array(frame.data, frame.image), pixels)


@pytest.mark.parametrize("name", sorted(UNREADABLE))
def test_a_file_that_nobody_can_read_is_refused(name: str) -> None:
    dataset = pydicom.dcmread(compressed_files()[name])
    with pytest.raises(InvalidFrame, match="Columns"):
        decode(codestreams_of(dataset)[0], dataset.file_meta.TransferSyntaxUID, image_of(dataset), LIMITS)


# -- made ones --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", sorted(made.lossless()))
def test_what_was_encoded_without_loss_comes_back(name: str) -> None:
    it = made.lossless()[name]
    assert decode(it.codestream, it.uid, it.image, LIMITS) == (native(it), it.image)


@pytest.mark.parametrize("name", sorted(made.lossy()))
def test_what_was_encoded_with_loss_comes_back_nearly(name: str) -> None:
    it = made.lossy()[name]
    frame = decode(it.codestream, it.uid, it.image, LIMITS)
    difference = array(frame.data, it.image).astype(int) - it.samples.reshape(*it.samples.shape[:2], -1)
    assert np.abs(difference).max() <= 16
    assert np.abs(difference).mean() <= 4


@pytest.mark.parametrize("name", sorted(name for name in made.lossless() if "RGB" in name or "RCT" in name))
def test_planes_where_the_data_set_has_planes(name: str) -> None:
    it = made.lossless()[name]
    frame = decode(it.codestream, it.uid, replace(it.image, planar=True), LIMITS)
    assert frame.image.planar
    assert frame.data == it.samples.transpose(2, 0, 1).tobytes()


@pytest.mark.parametrize("name", ["JPEG lossless", "JPEG-LS", "JPEG 2000", "HTJ2K", "JPEG XL"])
def test_more_bits_allocated_than_the_codestream_needs(name: str) -> None:
    it = made.lossless()[name]
    wide = replace(it.image, bits_allocated=32, bits_stored=32)
    assert decode(it.codestream, it.uid, wide, LIMITS).data == it.samples.astype("<u4").tobytes()


BITS = np.random.default_rng(5).integers(0, 2, (33, 47)).astype("u1")
PACKED = np.packbits(BITS.reshape(-1), bitorder="little").tobytes()


@pytest.mark.parametrize(
    ("uid", "codestream"),
    [
        pytest.param(f"{DICOM}.4.90", made.j2k(BITS, 1), id="JPEG 2000"),
        pytest.param(f"{DICOM}.4.110", imagecodecs.jpegxl_encode(BITS, lossless=True, bitspersample=1), id="JPEG XL"),
        pytest.param(RLE, made.rle_frame([bytes(imagecodecs.packbits_encode(PACKED))]), id="RLE"),
        pytest.param(made.DEFLATED_FRAME, made.deflated(PACKED), id="deflated frame"),
        pytest.param(made.UNCOMPRESSED, PACKED, id="encapsulated uncompressed"),
    ],
)
def test_single_bits_are_packed(uid: str, codestream: bytes) -> None:
    image = ImagePixel(33, 47, 1, 1, 1)
    assert decode(bytes(codestream), uid, image, LIMITS).data == PACKED


def test_an_odd_frame_loses_its_pad_byte() -> None:
    image = ImagePixel(3, 3, 1, 8, 8)
    for uid, codestream in ((made.UNCOMPRESSED, bytes(10)), (made.DEFLATED_FRAME, made.deflated(bytes(10)))):
        assert decode(codestream, uid, image, LIMITS).data == bytes(9)
        with pytest.raises(InvalidFrame):
            decode(codestream, uid, replace(image, columns=2), LIMITS)


# -- colours ----------------------------------------------------------------------------------------------------------

RED = np.zeros((48, 40, 3), "u1") + np.array([200, 30, 60], "u1")
RED_YBR = (84, 114, 211)
"""By PS3.3 C.7.6.3.1.2."""


def with_adobe_marker(codestream: bytes, payload: bytes) -> bytes:
    """In the place of whatever APP0 and APP14 there are."""
    at = 2
    while codestream[at + 1] in (0xE0, 0xEE):
        at += 2 + int.from_bytes(codestream[at + 2 : at + 4])
    return b"\xff\xd8\xff\xee" + struct.pack(">H", len(payload) + 2) + payload + codestream[at:]


ADOBE = b"Adobe\0\x64\0\0\0\0"
AS_YBR = made.jpeg(RED)
AS_RGB = made.jpeg(RED, colorspace="RGB", outcolorspace="RGB")


@pytest.mark.parametrize(
    ("codestream", "photometric", "becomes", "pixel"),
    [
        pytest.param(AS_YBR, "YBR_FULL_422", "YBR_FULL", RED_YBR, id="JFIF, as the data set says"),
        pytest.param(AS_YBR, "YBR_FULL", "YBR_FULL", RED_YBR, id="not subsampled, says the data set"),
        pytest.param(AS_RGB, "RGB", "RGB", (200, 30, 60), id="Adobe RGB, as the data set says"),
        pytest.param(AS_YBR, "RGB", "RGB", (200, 30, 60), id="JFIF, but the data set says RGB"),
        pytest.param(AS_RGB, "YBR_FULL_422", "YBR_FULL", RED_YBR, id="Adobe RGB, but the data set says YBR"),
        pytest.param(with_adobe_marker(AS_YBR, ADOBE + b"\1"), "RGB", "RGB", (200, 30, 60), id="Adobe YCC, but RGB"),
        pytest.param(with_adobe_marker(AS_RGB, ADOBE[:10]), "RGB", "RGB", (200, 30, 60), id="Adobe marker too short"),
        pytest.param(AS_YBR, "YBR_PARTIAL_420", "YBR_FULL", RED_YBR, id="YBR_PARTIAL_420 becomes YBR_FULL"),
    ],
)
def test_jpeg_colours_are_what_the_metadata_promise(
    codestream: bytes, photometric: str, becomes: str, pixel: tuple[int, int, int]
) -> None:
    image = replace(RGB, photometric=photometric)
    frame = decode(codestream, f"{DICOM}.4.50", image, LIMITS)
    assert frame.image == native_image(image, f"{DICOM}.4.50") == replace(image, photometric=becomes)
    assert np.abs(array(frame.data, frame.image).astype(int) - pixel).max() <= 3


@pytest.mark.parametrize("photometric", ["YBR_RCT", "YBR_ICT"])
def test_the_component_transform_is_undone(photometric: str) -> None:
    it = made.lossless()["JPEG 2000, RCT"]
    frame = decode(it.codestream, it.uid, replace(it.image, photometric=photometric), LIMITS)
    assert frame == (native(it), RGB)


def test_ybr_that_was_compressed_without_loss_is_left_alone() -> None:
    for name in ("JPEG lossless, RGB", "JPEG-LS, RGB", "JPEG 2000, no RCT", "JPEG XL, RGB", "RLE, RGB"):
        it = made.lossless()[name]
        frame = decode(it.codestream, it.uid, replace(it.image, photometric="YBR_FULL"), LIMITS)
        assert frame == (native(it), replace(RGB, photometric="YBR_FULL"))


def test_a_recompressed_jpeg_has_the_samples_of_the_jpeg() -> None:
    jpeg = made.jpeg(made.colour())
    recompressed = bytes(imagecodecs.jpegxl_encode_jpeg(jpeg))
    assert decode(recompressed, f"{DICOM}.4.111", YBR, LIMITS) == decode(jpeg, f"{DICOM}.4.50", YBR, LIMITS)


# -- traps ------------------------------------------------------------------------------------------------------------


def test_lossless_jpeg_whose_prediction_leaves_the_range_wraps() -> None:
    samples = np.tile(np.array([0, 65535, 1, 65534, 32768, 0, 40000, 3], "<u2"), (8, 1))
    image = ImagePixel(8, 8, 1, 16, 16)
    assert decode(made.lossless_jpeg(samples, 16), f"{DICOM}.4.70", image, LIMITS).data == samples.tobytes()


def test_lossy_htj2k_is_clamped_not_wrapped(monkeypatch: pytest.MonkeyPatch) -> None:
    """OpenJPH wraps 255 to 0: it must not be asked for .203, nor for what is not reversible."""
    it = made.lossless()["HTJ2K, RGB"]
    asked = []
    library = decoding._imagecodecs()
    assert library is not None
    theirs = library.htj2k_decode
    monkeypatch.setattr(library, "htj2k_decode", lambda *given, **named: asked.append(1) or theirs(*given, **named))
    assert decode(it.codestream, f"{DICOM}.4.203", it.image, LIMITS).data == native(it)
    assert not asked
    assert decode(it.codestream, f"{DICOM}.4.201", it.image, LIMITS).data == native(it)
    assert asked


def test_precision_above_bits_stored_is_tolerated() -> None:
    it = made.lossless()["JPEG lossless, 16 bits"]
    assert it.image.bits_stored == 12
    assert decode(it.codestream, it.uid, it.image, LIMITS).data == native(it)


def test_a_sign_that_only_the_data_set_has() -> None:
    """J2K_pixelrep_mismatch.dcm is one; the reverse is this."""
    signed = made.grey().astype("<i2") - 2048
    codestream = made.j2k(signed, 12)
    image = replace(MONOCHROME, signed=False)
    expected = (signed.view("<u2") & 0xFFF).tobytes()
    assert decode(codestream, f"{DICOM}.4.90", image, LIMITS).data == expected


def test_rle_runs_may_reach_behind_the_frame() -> None:
    image = ImagePixel(2, 3, 1, 8, 8)
    for tail in (b"\xfb\7\0", b"\xf0\7", b"\xfb\7\x80\0"):
        assert decode(made.rle_frame([tail]), RLE, image, LIMITS).data == b"\7" * 6


# -- without the library ----------------------------------------------------------------------------------------------

WITHOUT = [name for name, it in sorted(made.lossless().items()) if it.uid in decoding._FAMILIES]
PLAIN = sorted(set(made.lossless()) - set(WITHOUT))


@pytest.fixture
def no_library(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decoding, "_imagecodecs", lambda: None)
    monkeypatch.setattr(decoding, "_unpack", lambda: None)


@pytest.mark.usefixtures("no_library")
@pytest.mark.parametrize("name", WITHOUT)
def test_without_the_library_its_name_is_said(name: str) -> None:
    it = made.lossless()[name]
    assert "imagecodecs" in (missing_decoder(it.uid) or "")
    with pytest.raises(MissingCodec, match="imagecodecs"):
        decode(it.codestream, it.uid, it.image, LIMITS)


@pytest.mark.usefixtures("no_library")
@pytest.mark.parametrize("name", PLAIN)
def test_some_need_no_library(name: str) -> None:
    it = made.lossless()[name]
    assert missing_decoder(it.uid) is None
    assert decode(it.codestream, it.uid, it.image, LIMITS).data == native(it)


@pytest.mark.parametrize("uid", sorted(uid for uid, syntax in TRANSFER_SYNTAXES.items() if not syntax.video))
def test_every_still_syntax_has_a_decoder(uid: str) -> None:
    assert missing_decoder(uid) is None


@pytest.mark.parametrize("uid", [f"{DICOM}.4.100", f"{DICOM}.4.107", "1.2.3.4"])
def test_video_and_the_unknown_are_not_decoded(uid: str) -> None:
    assert missing_decoder(uid)
    with pytest.raises(MissingCodec):
        decode(b"\0\0\1\xb3", uid, YBR, LIMITS)


def test_threads_do_not_mix_their_frames() -> None:
    several = list(made.lossless().values())
    with ThreadPoolExecutor(4) as pool:
        frames = list(pool.map(lambda it: decode(it.codestream, it.uid, it.image, LIMITS).data, several * 5))
    assert frames == [native(it) for it in several] * 5
