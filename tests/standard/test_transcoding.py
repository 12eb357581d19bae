"""Representations that are not stored but made: PS3.18 8.7.3, 8.7.8; PS3.5 A. Real files, read back by pydicom."""

from __future__ import annotations

import io
import os
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.encaps import generate_frames

from dicomweb_core import Limits, OriginServer
from dicomweb_core.errors import NotAcceptable, NotFound
from dicomweb_memory import MemoryInstanceStore
from tests import part10_bytes
from tests.clients import ANY_DICOM, BASE, OCTETS, Client, file_bytes
from tests.made import made, path, rle
from tests.standard.test_retrieve import DICOM, ELE, stored

pytest.importorskip("imagecodecs")

ROOT = Path(__file__).parents[2]
DEFLATED = "1.2.840.10008.1.2.1.99"
RLE = "1.2.840.10008.1.2.5"
BASELINE = "1.2.840.10008.1.2.4.50"
JPEG_LOSSLESS = "1.2.840.10008.1.2.4.70"
JPEG_LS = "1.2.840.10008.1.2.4.80"
J2K = "1.2.840.10008.1.2.4.90"
HTJ2K = "1.2.840.10008.1.2.4.201"
JXL = "1.2.840.10008.1.2.4.110"
H264 = "1.2.840.10008.1.2.4.102"

NATIVE = file_bytes("CT_small.dcm")
LOSSLESS = file_bytes("MR_small_jpeg_ls_lossless.dcm")
LOSSY = file_bytes("SC_rgb_jpeg_dcmtk.dcm")
TWO_FRAMES = file_bytes("SC_rgb_rle_2frame.dcm")
ONE_BIT = file_bytes("liver.dcm")
VIDEO = made(9, 1, 1, syntax=H264, frames=[b"\0\0\0\x18ftypmp42"])
BROKEN = made(1, 1, 3, syntax=RLE, frames=[b"broken"])


def read(content: bytes) -> pydicom.Dataset:
    return pydicom.dcmread(io.BytesIO(content))


def syntax_param(headers: dict[str, str]) -> str:
    return headers["content-type"].partition("transfer-syntax=")[2]


# -- instances ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("instance", "accept", "expected"),
    [
        pytest.param(LOSSLESS, DICOM, ELE, id="COM-24 lossless is decoded"),
        pytest.param(LOSSLESS, None, ELE, id="COM-24 without Accept"),
        pytest.param(TWO_FRAMES, DICOM, ELE, id="COM-24 of two frames"),
        pytest.param(LOSSLESS, f"{DICOM}; transfer-syntax={ELE}", ELE, id="COM-24 named"),
        pytest.param(LOSSLESS, ANY_DICOM, JPEG_LS, id="COM-20 as stored"),
        pytest.param(LOSSY, DICOM, BASELINE, id="RET-15 lossy stays"),
        pytest.param(LOSSY, "*/*", BASELINE, id="RET-15 lossy stays for a wildcard"),
        pytest.param(LOSSY, f"{DICOM}; transfer-syntax={ELE}", ELE, id="lossy is decoded when that is named"),
        pytest.param(NATIVE, f"{DICOM}; transfer-syntax={DEFLATED}", DEFLATED, id="native, deflated"),
        pytest.param(LOSSLESS, f"{DICOM}; transfer-syntax={DEFLATED}", DEFLATED, id="decoded and deflated"),
        pytest.param(LOSSLESS, f"{DICOM}; transfer-syntax={J2K}", J2K, id="decoded and encoded"),
        pytest.param(LOSSY, f"{DICOM}; transfer-syntax={JPEG_LS}", JPEG_LS, id="lossy source, encoded without loss"),
        pytest.param(ONE_BIT, f"{DICOM}; transfer-syntax={DEFLATED}", DEFLATED, id="1 bit, deflated"),
        pytest.param(file_bytes("MR_small_bigendian.dcm"), f"{DICOM}; transfer-syntax={RLE}", RLE, id="big endian"),
        pytest.param(file_bytes("MR_small_implicit.dcm"), f"{DICOM}; transfer-syntax={HTJ2K}", HTJ2K, id="implicit VR"),
        pytest.param(file_bytes("image_dfl.dcm"), f"{DICOM}; transfer-syntax={JPEG_LOSSLESS}", JPEG_LOSSLESS,
                     id="deflated source"),
        pytest.param(LOSSLESS, f"{DICOM}; transfer-syntax={J2K}; q=0.5, {DICOM}; transfer-syntax={RLE}", RLE,
                     id="COM-21 by quality"),
    ],
)  # fmt: skip
def test_instances_are_sent_in_RET_13(client: Client, instance: bytes, accept: str | None, expected: str) -> None:
    """(0002,0010) says what the bytes are, and the pixels are those of the stored file."""
    url = stored(client, instance)
    answer = client.get(url, accept)
    assert answer.status == 200
    ((headers, content),) = answer.parts
    assert headers["content-type"] == f"application/dicom; transfer-syntax={expected}"
    data, original = read(content), read(instance)
    assert data.file_meta.TransferSyntaxUID == expected
    assert data.SOPInstanceUID == original.SOPInstanceUID
    assert data.get("LossyImageCompression") == original.get("LossyImageCompression")
    assert np.array_equal(data.pixel_array, original.pixel_array)


def test_one_instance_as_a_single_part(client: Client) -> None:
    url = stored(client, LOSSLESS)
    answer = client.get(url, f"application/dicom; transfer-syntax={J2K}")
    assert answer.header("Content-Type") == f"application/dicom; transfer-syntax={J2K}"
    assert np.array_equal(read(answer.content).pixel_array, read(LOSSLESS).pixel_array)


@pytest.mark.parametrize("syntax", [BASELINE, "1.2.840.10008.1.2.4.91", H264, "1.2.840.10008.1.2", "1.2.3"])
def test_what_would_lose_or_is_unknown_RET_09(client: Client, syntax: str) -> None:
    """Nothing lossy is made, no video, nothing retired."""
    url = stored(client, LOSSLESS)
    assert client.get(url, f"{DICOM}; transfer-syntax={syntax}").status == 406
    assert client.get(f"{url}/frames/1", f"{OCTETS}; transfer-syntax={syntax}").status == 406


def test_each_part_of_a_study_for_itself_MUL_11(client: Client) -> None:
    """8.7.8.1; what has no pixel data comes beside the images though only a transfer syntax of images is accepted."""
    client.store(made(1, 1, 1, frames=[b"abcd"]), made(1, 1, 2), made(1, 2, 3, syntax=RLE, frames=[rle(b"efgh")]))
    answer = client.get(path(1), f"{DICOM}; transfer-syntax={RLE}")
    assert [syntax_param(headers) for headers, _ in answer.parts] == [RLE, ELE, RLE]
    images = [read(content) for _, content in answer.parts]
    assert [image.file_meta.TransferSyntaxUID for image in images] == [RLE, ELE, RLE]
    assert [bytes(image.pixel_array) for image in images if "PixelData" in image] == [b"abcd", b"efgh"]
    assert client.get(path(1, 1, 2), f"{DICOM}; transfer-syntax={RLE}").status == 406  # asked for by itself


def test_a_study_of_all_kinds_by_default_COM_24(client: Client) -> None:
    """Lossless decoded, lossy as stored, video as stored, in one answer without transfer syntax."""
    rows = [
        (made(1, 1, 1, syntax=RLE, frames=[rle(b"abcd")]), ELE),
        (made(1, 1, 2, syntax=BASELINE, frames=[b"\xff\xd8"]), BASELINE),
        (made(1, 1, 3, syntax=H264, frames=[b"moov"]), H264),
        (made(1, 1, 4), ELE),
    ]
    client.store(*[instance for instance, _ in rows])
    assert [syntax_param(headers) for headers, _ in client.get(path(1), DICOM).parts] == [uid for _, uid in rows]


def test_what_cannot_be_decoded_is_sent_as_stored_by_default(client: Client) -> None:
    """8.7.3.4 note 2: a broken frame does not hide the instance, nor the others of its study."""
    client.store(made(1, 1, 1, syntax=RLE, frames=[rle(b"abcd")]), BROKEN)
    answer = client.get(path(1), f"{DICOM}; transfer-syntax={ELE}, {ANY_DICOM}; q=0.5")
    assert [syntax_param(headers) for headers, _ in answer.parts] == [ELE, RLE]
    answer = client.get(path(1), DICOM)
    assert [syntax_param(headers) for headers, _ in answer.parts] == [ELE, RLE]
    answer = client.get(path(1), f"{DICOM}; transfer-syntax={ELE}")
    assert [syntax_param(headers) for headers, _ in answer.parts] == [ELE]
    assert answer.header("Warning") == f"299 {BASE}: 1 of 2 instances cannot be sent in an acceptable form"
    answer = client.get(path(1, 1, 3), f"{DICOM}; transfer-syntax={ELE}")
    assert answer.status == 406
    assert "RLE" in answer.json["detail"]


def test_a_broken_frame_cuts_the_instance(memory_client: Client) -> None:
    """The first frame is good, so the answer begins; it does not end as if it were whole."""
    memory_client.store(made(syntax=RLE, frames=[rle(b"abcd"), b"broken"], EncapsulatedDocument=bytes(100_000)))
    with pytest.raises(NotAcceptable):
        memory_client.get(path(1, 1, 1), f"{DICOM}; transfer-syntax={ELE}")


def icon(pixel_data: bytes) -> bytes:
    group = b"".join(
        part10_bytes.element(tag, "US", struct.pack("<H", value))
        for tag, value in ((0x00280002, 1), (0x00280010, 2), (0x00280011, 2), (0x00280100, 8))
    )
    items = part10_bytes.item(group + pixel_data, delimited=True) + part10_bytes.end()
    return part10_bytes.element(0x00880200, "SQ", items, length=part10_bytes.UNDEFINED)


def test_encapsulated_icons_keep_an_instance_as_it_is(client: Client) -> None:
    image = [
        part10_bytes.element(tag, "US", struct.pack("<H", value))
        for tag, value in ((0x00280002, 1), (0x00280010, 2), (0x00280011, 2), (0x00280100, 8))
    ]
    instance = part10_bytes.part10(
        icon(part10_bytes.fragments(b"", rle(b"icon"))),
        *image,
        part10_bytes.fragments(b"", rle(b"abcd")),
        syntax=RLE,
    )
    url = stored(client, instance)
    assert client.get(url, f"{DICOM}; transfer-syntax={ELE}").status == 406
    ((headers, _),) = client.get(url, DICOM).parts
    assert syntax_param(headers) == RLE
    assert client.get(f"{url}/frames/1", "application/octet-stream").content == b"abcd"


# -- frames ------------------------------------------------------------------------------------------------------------

D_ROWS = {
    "image/jpeg": JPEG_LOSSLESS,
    "image/dicom-rle": RLE,
    "image/jls": JPEG_LS,
    "image/jp2": J2K,
    "image/jphc": HTJ2K,
    "image/jxl": JXL,
}
"""Types that this server encodes, and what they mean without a transfer syntax (Table 8.7.3-5)."""


@pytest.mark.parametrize("form", ["single", "multipart"])
@pytest.mark.parametrize("media_type", D_ROWS)
def test_frames_by_media_type_alone_BLK_18(client: Client, media_type: str, form: str) -> None:
    url = stored(client, made(frames=[b"abcd"]))
    syntax = D_ROWS[media_type]
    if form == "single":
        answer = client.get(f"{url}/frames/1", media_type)
        content_type, content = answer.header("Content-Type"), answer.content
    else:
        answer = client.get(f"{url}/frames/1", f'multipart/related; type="{media_type}"')
        ((headers, content),) = answer.parts
        content_type = headers["content-type"]
        assert headers["content-location"] == f"{BASE}{url}/frames/1"
    assert answer.status == 200
    assert content_type == f"{media_type}; transfer-syntax={syntax}"
    whole = read(client.get(url, f"application/dicom; transfer-syntax={syntax}").content)
    assert next(generate_frames(whole.PixelData, number_of_frames=1)).startswith(content)


@pytest.mark.parametrize("syntax", [J2K, HTJ2K])
def test_codestreams_have_no_boxes_BLK_19(client: Client, syntax: str) -> None:
    """SOC and SIZ come first, not the signature box of a JP2 file."""
    url = stored(client, NATIVE)
    answer = client.get(f"{url}/frames/1", f"{'image/jp2' if syntax == J2K else 'image/jphc'}")
    assert answer.content[:4] == b"\xff\x4f\xff\x51"
    assert b"jP  " not in answer.content[:64]


@pytest.mark.parametrize(
    ("instance", "accept", "expected"),
    [
        pytest.param(NATIVE, 'multipart/related; type="image/*"', None, id="any image type"),
        pytest.param(LOSSLESS, 'multipart/related; type="image/*"', JPEG_LS, id="the stored image type first"),
        pytest.param(LOSSLESS, "*/*", JPEG_LS, id="wildcard as stored"),
        pytest.param(LOSSLESS, f"{OCTETS}; transfer-syntax=*", JPEG_LS, id="COM-20 octets as stored"),
        pytest.param(LOSSLESS, OCTETS, ELE, id="BLK-09 octets are decoded"),
        pytest.param(LOSSLESS, "application/octet-stream", ELE, id="BLK-10 octets in a single part"),
        pytest.param(LOSSY, OCTETS, ELE, id="BLK-09 octets of lossy frames"),
        pytest.param(LOSSY, 'multipart/related; type="image/jpeg"', BASELINE, id="the stored JPEG is meant"),
        pytest.param(
            LOSSY, f'multipart/related; type="image/jpeg"; transfer-syntax={JPEG_LOSSLESS}', JPEG_LOSSLESS,
            id="another JPEG is named",
        ),
        pytest.param(
            LOSSLESS, f'{OCTETS}; transfer-syntax={ELE}, multipart/related; type="image/jls"', JPEG_LS,
            id="COM-21 stored among equals",
        ),
        pytest.param(LOSSLESS, 'multipart/related; type="image/jls"; q=0.4, image/jp2; q=0.5', J2K, id="COM-21 by q"),
    ],
)  # fmt: skip
def test_frames_are_sent_in(client: Client, instance: bytes, accept: str, expected: str | None) -> None:
    url = stored(client, instance)
    answer = client.get(f"{url}/frames/1", accept)
    assert answer.status == 200
    content_type = answer.header("Content-Type") or ""
    if content_type.startswith("multipart"):
        ((headers, _),) = answer.parts
        content_type = headers["content-type"]
    syntax = content_type.partition("transfer-syntax=")[2]
    if expected is None:
        assert content_type.startswith("image/")
    else:
        assert syntax == expected


@pytest.mark.parametrize(
    "name",
    ["MR_small_jpeg_ls_lossless.dcm", "MR_small_RLE.dcm", "MR_small_jp2klossless.dcm", "SC_rgb_rle_2frame.dcm",
     "SC_rgb_jpeg_dcmtk.dcm", "CT_small.dcm", "emri_small_jpeg_ls_lossless.dcm", "rtdose.dcm", "liver.dcm"],
)  # fmt: skip
def test_frames_pixel_data_and_instance_agree_BLK_20(client: Client, name: str) -> None:
    """In Explicit VR Little Endian the frames, one behind the other, are the pixel data, and the Pixel Data."""
    url = stored(client, file_bytes(name))
    whole = read(client.get(url, f"application/dicom; transfer-syntax={ELE}").content)
    count = int(whole.get("NumberOfFrames", 1))
    bits = whole.Rows * whole.Columns * whole.SamplesPerPixel * whole.BitsAllocated
    frames = [c for _, c in client.get(f"{url}/frames/{','.join(map(str, range(1, count + 1)))}", OCTETS).parts]
    assert len(frames) == count
    unpacked = [np.unpackbits(np.frombuffer(frame, np.uint8), bitorder="little")[:bits] for frame in frames]
    together = np.packbits(np.concatenate(unpacked), bitorder="little").tobytes()
    assert whole.PixelData[: len(together)] == together
    assert len(whole.PixelData) - len(together) in (0, 1)
    for target in ("/pixeldata", "/bulkdata/7FE00010"):
        ((headers, content),) = client.get(url + target, OCTETS).parts
        assert headers["content-type"] == f"application/octet-stream; transfer-syntax={ELE}"
        assert headers["content-location"] == f"{BASE}{url}/bulkdata/7FE00010"
        assert int(headers["content-length"]) == len(content)
        assert content.removesuffix(b"\0" * (len(content) - len(together))) == together
        assert client.get(url + target, "application/octet-stream").content == content


def test_compressed_pixel_data_are_a_part_a_frame_BLK_16(client: Client) -> None:
    url = stored(client, TWO_FRAMES)
    for target in ("/pixeldata", "/bulkdata/7FE00010"):
        parts = client.get(url + target, 'multipart/related; type="image/jls"').parts
        assert [headers["content-location"] for headers, _ in parts] == [f"{BASE}{url}/frames/{n}" for n in (1, 2)]
        assert {syntax_param(headers) for headers, _ in parts} == {JPEG_LS}
        frames = client.get(f"{url}/frames/1,2", 'multipart/related; type="image/jls"').parts
        assert [content for _, content in parts] == [content for _, content in frames]


def test_one_bit_pixel_data_have_no_padding_BLK_21(client: Client) -> None:
    """Three frames of 4 bits, decoded: 12 bits in two bytes."""
    image = [
        part10_bytes.element(tag, "US", struct.pack("<H", value))
        for tag, value in (
            (0x00280002, 1), (0x00280010, 2), (0x00280011, 2), (0x00280100, 1), (0x00280101, 1), (0x00280102, 0),
            (0x00280103, 0),
        )
    ]  # fmt: skip
    deflate_frame = "1.2.840.10008.1.2.8.1"
    frames = [part10_bytes.deflated(bits) for bits in (b"\x05", b"\x03", b"\x0e")]
    frames = [frame + b"\0" * (len(frame) % 2) for frame in frames]
    instance = part10_bytes.part10(
        *image,
        part10_bytes.element(0x00280004, "CS", b"MONOCHROME2 "),
        part10_bytes.element(0x00280008, "IS", b"3 "),
        part10_bytes.fragments(b"", *frames),
        syntax=deflate_frame,
    )
    url = stored(client, instance)
    assert [c for _, c in client.get(f"{url}/frames/1,2,3", OCTETS).parts] == [b"\x05", b"\x03", b"\x0e"]
    assert client.get(f"{url}/pixeldata", "application/octet-stream").content == b"\x35\x0e"
    whole = read(client.get(url, f"application/dicom; transfer-syntax={ELE}").content)
    assert whole.PixelData == b"\x35\x0e"


@pytest.mark.parametrize(("tag", "vr", "size"), [(0x7FE00008, "OF", 4), (0x7FE00009, "OD", 8)])
def test_floating_point_pixel_data_are_native_only(client: Client, tag: int, vr: str, size: int) -> None:
    image = [
        part10_bytes.element(tag, "US", struct.pack("<H", value))
        for tag, value in ((0x00280002, 1), (0x00280010, 2), (0x00280011, 2), (0x00280100, size * 8))
    ]
    url = stored(client, part10_bytes.part10(*image, part10_bytes.element(tag, vr, bytes(range(4 * size)))))
    assert client.get(f"{url}/pixeldata", "application/octet-stream").content == bytes(range(4 * size))
    assert client.get(f"{url}/frames/1", OCTETS).status == 200
    for syntax in (RLE, J2K):
        assert client.get(url, f"{DICOM}; transfer-syntax={syntax}").status == 406
    assert client.get(f"{url}/frames/1", 'multipart/related; type="image/*"').status == 406


def test_frames_of_video_are_not_decoded_BLK_17(client: Client) -> None:
    url = stored(client, VIDEO)
    assert client.get(f"{url}/frames/1", OCTETS).status == 406
    assert client.get(f"{url}/frames/1", "video/mp4").content.startswith(b"\0\0\0\x18ftyp")


def test_frames_that_cannot_be_told_apart_stay_as_they_are(client: Client) -> None:
    instance = part10_bytes.part10(
        part10_bytes.element(0x00280008, "IS", b"2 "), part10_bytes.fragments(b"", b"ab", b"cd", b"ef"), syntax=RLE
    )
    url = stored(client, instance)
    assert client.get(url, f"{DICOM}; transfer-syntax={ELE}").status == 406
    ((_, content),) = client.get(url, DICOM).parts
    assert content == instance


def test_another_number_of_frames_than_is_said_stays_as_it_is(client: Client) -> None:
    """A copy would have to say something untrue, or change it."""
    url = stored(client, made(frames=[b"abcd", b"efgh"], NumberOfFrames=3))
    assert client.get(url, f"{DICOM}; transfer-syntax={RLE}").status == 406
    assert client.get(url, DICOM).status == 200


# -- what fails --------------------------------------------------------------------------------------------------------


def test_frames_that_cannot_be_decoded_are_counted_in_a_warning_COM_45(client: Client) -> None:
    url = stored(client, made(syntax=RLE, frames=[rle(b"abcd"), b"broken", rle(b"efgh"), b"also broken!"]))
    answer = client.get(f"{url}/frames/1,2,3", OCTETS)
    assert answer.status == 200
    assert [content for _, content in answer.parts] == [b"abcd", b"efgh"]
    assert answer.header("Warning") == f"299 {BASE}: 1 of 3 frames cannot be sent in this form"
    answer = client.get(f"{url}/frames/2,4", OCTETS)
    assert answer.status == 406
    assert "RLE" in answer.json["detail"]
    assert client.get(f"{url}/frames/2", "*/*").status == 200  # as it is stored


def test_a_frame_that_fails_behind_the_horizon_cuts_the_answer() -> None:
    limits = Limits(decoded_ahead_bytes=8)
    client = Client(OriginServer(instances=MemoryInstanceStore(), limits=limits))
    url = stored(client, made(syntax=RLE, frames=[rle(b"abcd"), rle(b"efgh"), b"broken"]))
    assert [c for _, c in client.get(f"{url}/frames/1,2,1,2", OCTETS).parts] == [b"abcd", b"efgh"] * 2
    with pytest.raises(NotAcceptable):
        client.get(f"{url}/frames/1,2,3", OCTETS)


def test_values_that_cannot_be_decoded_are_counted_in_a_warning(client: Client) -> None:
    client.store(made(1, 1, 1, syntax=RLE, frames=[rle(b"abcd")]), BROKEN)
    answer = client.get(f"{path(1)}/pixeldata", OCTETS)
    assert [content for _, content in answer.parts] == [b"abcd"]
    assert answer.header("Warning") == f"299 {BASE}: 1 of 2 values cannot be sent in an acceptable form"
    answer = client.get(f"{path(1, 1, 3)}/pixeldata", OCTETS)
    assert answer.status == 406


def test_frames_larger_than_the_ceiling_stay_as_they_are() -> None:
    client = Client(OriginServer(instances=MemoryInstanceStore(), limits=Limits(frame_bytes=3)))
    client.store(made(1, 1, 1, syntax=RLE, frames=[rle(b"abcd")]), made(1, 1, 2, frames=[b"abcd"]))
    assert client.get(f"{path(1, 1, 1)}/frames/1", OCTETS).status == 406
    assert client.get(f"{path(1, 1, 1)}/frames/1", "*/*").status == 200
    assert client.get(f"{path(1, 1, 2)}/frames/1", "image/jls").status == 406
    assert [syntax_param(headers) for headers, _ in client.get(path(1), DICOM).parts] == [RLE, ELE]


_WITHOUT_IMAGECODECS = """
import sys
sys.modules["imagecodecs"] = None
from dicomweb_core import OriginServer
from dicomweb_memory import MemoryInstanceStore
from tests.clients import Client, file_bytes
from tests.standard.test_retrieve import DICOM, ELE, OCTETS, stored
client = Client(OriginServer(instances=MemoryInstanceStore()))
native = stored(client, file_bytes("CT_small.dcm"))
url = stored(client, file_bytes("MR_small_jpeg_ls_lossless.dcm"))
for target, accept in [
    (url, DICOM),
    (url, f"{DICOM}; transfer-syntax={ELE}"),
    (url + "/frames/1", OCTETS),
    (url + "/frames/1", "*/*"),
    (url + "/pixeldata", OCTETS),
    (url + "/frames/1", "image/png"),
    (native + "/frames/1", "image/jls"),
    (native, f"{DICOM}; transfer-syntax=1.2.840.10008.1.2.4.80"),
    (native + "/frames/1", OCTETS),
]:
    answer = client.get(target, accept)
    print(answer.status, answer.json["detail"] if answer.status == 406 else "")
"""


def test_without_a_codec_the_refusal_says_which() -> None:
    """What is stored is sent; what needs a library names it. In a process of its own, which has none."""
    environment = dict(os.environ, PYTHONPATH=os.pathsep.join(str(ROOT / p) for p in ("", "adapters", "backends")))
    output = subprocess.run(
        [sys.executable, "-c", _WITHOUT_IMAGECODECS], env=environment, capture_output=True, text=True, timeout=60
    )
    assert output.returncode == 0, output.stderr
    lines = output.stdout.splitlines()
    assert [line[:3] for line in lines] == ["200", "406", "406", "200", "406", "406", "406", "406", "200"]
    assert ["imagecodecs" in line for line in lines] == [False, True, True, False, True, False, True, True, False]


# -- as Python calls ---------------------------------------------------------------------------------------------------


def test_calls_with_a_transfer_syntax(server: OriginServer) -> None:
    client = Client(server)
    uids = stored(client, LOSSLESS).split("/")[2::2]
    pixels = read(LOSSLESS).pixel_array
    assert server.frames(*uids, transfer_syntax=ELE) == [pixels.tobytes()]
    assert server.frames(*uids, [1, 1], transfer_syntax=ELE) == [pixels.tobytes()] * 2
    assert server.frames(*uids, transfer_syntax=JPEG_LS) == server.frames(*uids)
    assert np.array_equal(read(server.instance(*uids, transfer_syntax=J2K)).pixel_array, pixels)
    assert server.instance(*uids, transfer_syntax=JPEG_LS) == server.instance(*uids) == LOSSLESS
    with pytest.raises(NotAcceptable):
        server.frames(*uids, transfer_syntax=BASELINE)
    with pytest.raises(NotAcceptable):
        server.instance(*uids, transfer_syntax="1.2.3")
    with pytest.raises(NotFound):
        server.frames(*uids, [2], transfer_syntax=ELE)
