"""What headers of codestreams say."""

from __future__ import annotations

import io

import imagecodecs
import numpy as np
import pydicom
import pytest

from dicomweb_core.codecs.pixels.codestreams import HTJ2K, JPEG, JPEG_2000, JPEG_LS, JPEG_XL, describe
from dicomweb_core.errors import InvalidFrame
from dicomweb_core.values.transfer_syntaxes import TRANSFER_SYNTAXES
from tests.codecs.pixels import made_codestreams as made
from tests.codecs.pixels.made_codestreams import DICOM
from tests.codecs.pixels.test_decoding import UNREADABLE, codestreams_of, compressed_files

GREY = "MONOCHROME2"

HEADERS = {
    "JPEG lossless": (JPEG, "70", 12, False, True, GREY),
    "JPEG lossless, predictor 6": (JPEG, "57", 12, False, True, GREY),
    "JPEG lossless, 16 bits": (JPEG, "70", 16, False, True, GREY),
    "JPEG lossless, signed": (JPEG, "70", 12, False, True, GREY),
    "JPEG lossless, RGB": (JPEG, "70", 8, False, True, "RGB"),
    "JPEG-LS": (JPEG_LS, "80", 16, False, True, GREY),
    "JPEG-LS, RGB": (JPEG_LS, "80", 8, False, True, "RGB"),
    "JPEG 2000": (JPEG_2000, "90", 12, False, True, GREY),
    "JPEG 2000, signed": (JPEG_2000, "90", 12, True, True, GREY),
    "JPEG 2000, RCT": (JPEG_2000, "90", 8, False, True, "YBR_RCT"),
    "JPEG 2000, no RCT": (JPEG_2000, "90", 8, False, True, "RGB"),
    "HTJ2K": (HTJ2K, "201", 16, False, True, GREY),
    "HTJ2K, signed": (HTJ2K, "201", 16, True, True, GREY),
    "HTJ2K, RGB": (HTJ2K, "201", 8, False, True, "YBR_RCT"),
    "JPEG XL": (JPEG_XL, "112", 16, False, False, GREY),
    "JPEG XL, RGB": (JPEG_XL, "112", 8, False, False, "RGB"),
    "JPEG baseline": (JPEG, "50", 8, False, False, GREY),
    "JPEG extended, 12 bits": (JPEG, "51", 12, False, False, GREY),
    "JPEG baseline, RGB": (JPEG, "50", 8, False, False, "RGB"),
    "JPEG-LS near": (JPEG_LS, "81", 8, False, False, "RGB"),
    "JPEG 2000 lossy": (JPEG_2000, "91", 8, False, False, "YBR_ICT"),
    "JPEG XL lossy": (JPEG_XL, "112", 8, False, False, "XYB"),
}


@pytest.mark.parametrize("name", sorted(HEADERS))
def test_header(name: str) -> None:
    it = {**made.lossless(), **made.lossy()}[name]
    found = describe(it.codestream)
    family, arc, bits, signed, lossless, photometric = HEADERS[name]
    assert (found.family, found.transfer_syntax_uid) == (family, f"{DICOM}.4.{arc}")
    assert (found.bits, found.signed, found.lossless, found.photometric) == (bits, signed, lossless, photometric)
    assert (found.rows, found.columns, found.samples) == (48, 40, it.image.samples)
    assert found.media_type == TRANSFER_SYNTAXES[found.transfer_syntax_uid].media_type
    assert found.bits_allocated == (8 if bits == 8 else 16)


@pytest.mark.parametrize(
    ("options", "arc"),
    [
        ({}, "201"),
        ({"tlm": True}, "202"),
        ({"tlm": True, "resolutions": 1}, "201"),
        ({"tlm": True, "reversible": False}, "203"),
    ],
    ids=str,
)
def test_rpcl_is_what_a_thumbnail_can_be_read_of(options: dict[str, object], arc: str) -> None:
    """PS3.5 10.18: progression RPCL, a base resolution of at most 64, and TLM."""
    codestream = imagecodecs.htj2k_encode(np.zeros((200, 150), "u1"), **options)
    assert describe(bytes(codestream)).transfer_syntax_uid == f"{DICOM}.4.{arc}"


@pytest.mark.parametrize("name", sorted(set(compressed_files()) - set(UNREADABLE)))
def test_header_of_a_real_file(name: str) -> None:
    dataset = pydicom.dcmread(compressed_files()[name])
    uid = dataset.file_meta.TransferSyntaxUID
    if uid == made.RLE:
        with pytest.raises(InvalidFrame):
            describe(codestreams_of(dataset)[0])
        return
    found = describe(codestreams_of(dataset)[0])
    assert (found.rows, found.columns, found.samples) == (dataset.Rows, dataset.Columns, dataset.SamplesPerPixel)
    assert found.bits <= dataset.BitsAllocated
    assert found.media_type == TRANSFER_SYNTAXES[uid].media_type
    # .91 allows the reversible wavelet as well; a baseline file may carry extended 8 bit data.
    assert found.transfer_syntax_uid == uid or (uid == f"{DICOM}.4.91" and found.lossless)
    if found.colour_certain and found.samples == 3 and dataset.PhotometricInterpretation != "RGB":
        assert found.photometric.startswith("YBR")


@pytest.mark.parametrize(
    ("subsampling", "photometric"), [("444", "YBR_FULL"), ("422", "YBR_FULL_422"), ("420", "YBR_FULL_422")]
)
def test_chrominance_of_a_jpeg(subsampling: str, photometric: str) -> None:
    found = describe(made.jpeg(made.colour(), subsampling=subsampling))
    assert (found.photometric, found.colour_certain) == (photometric, True)


def test_a_progressive_jpeg_is_of_the_retired_syntax() -> None:
    image = pytest.importorskip("PIL.Image").fromarray(made.colour())
    file = io.BytesIO()
    image.save(file, "JPEG", progressive=True)
    assert describe(file.getvalue()).transfer_syntax_uid == f"{DICOM}.4.55"


def test_a_jp2_file_says_where_its_codestream_is() -> None:
    file = bytes(imagecodecs.jpeg2k_encode(made.colour(), level=0, reversible=True, codecformat="jp2"))
    found = describe(file)
    bare = describe(file[found.start : found.end])
    assert found.start > 0
    assert bare == found._replace(start=0, end=None, coded=found.coded - found.start)


@pytest.mark.parametrize("rows", [1, 8, 64, 255, 256, 300, 5000])
@pytest.mark.parametrize("columns", [1, 8, 64, 256, 400, 1000])
def test_sizes_of_jpeg_xl(rows: int, columns: int) -> None:
    """Its header has many spellings of a size."""
    codestream = bytes(imagecodecs.jpegxl_encode(np.zeros((rows, columns), "u1"), lossless=True, effort=1))
    found = describe(codestream)
    assert (found.rows, found.columns, found.samples, found.bits) == (rows, columns, 1, 8)


def test_jpeg_xl_in_boxes() -> None:
    assert describe(bytes(imagecodecs.jpegxl_encode_jpeg(made.jpeg(made.colour())))).transfer_syntax_uid.endswith("111")
    boxed = imagecodecs.jpegxl_encode(made.colour(), lossless=True, usecontainer=True)
    assert describe(bytes(boxed)).photometric == "RGB"


@pytest.mark.parametrize(
    "other", [b"", b"\xff", b"\xff\xd8", b"\x89PNG\r\n\x1a\n", b"GIF89a", bytes(100), b"\xff\x4f", b"\xff\x0a"]
)
def test_what_is_no_codestream(other: bytes) -> None:
    with pytest.raises(InvalidFrame):
        describe(other)
