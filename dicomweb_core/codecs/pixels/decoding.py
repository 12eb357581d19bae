"""Codestreams to native frames (PS3.5 8.2, A.4)."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from types import ModuleType
from typing import Final

from dicomweb_core.codecs.pixels.codestreams import HTJ2K, JPEG, JPEG_2000, JPEG_LS, JPEG_XL, Codestream, describe
from dicomweb_core.codecs.pixels.jpeg2000_header import has_whole_tile_parts
from dicomweb_core.codecs.pixels.jpegxl_header import is_recompressed_jpeg
from dicomweb_core.codecs.pixels.rle_decoding import Unpack, decode_rle
from dicomweb_core.codecs.pixels.samples import Samples, blank, native_bytes, rgb_to_ybr, with_sign
from dicomweb_core.errors import InvalidFrame, MissingCodec
from dicomweb_core.values.limits import Limits
from dicomweb_core.values.pixels import ImagePixel, NativeFrame
from dicomweb_core.values.transfer_syntaxes import transfer_syntax

_DICOM: Final = "1.2.840.10008.1.2"
_JPEG_BASELINE: Final = f"{_DICOM}.4.50"
_RLE: Final = f"{_DICOM}.5"
_DEFLATED_FRAME: Final = f"{_DICOM}.8.1"
_UNCOMPRESSED: Final = f"{_DICOM}.1.98"
_HTJ2K_LOSSLESS: Final = frozenset({f"{_DICOM}.4.201", f"{_DICOM}.4.202"})

_FAMILIES: Final = {
    **{f"{_DICOM}.4.{arc}": frozenset({JPEG}) for arc in ("50", "51", "52", "53", "55", "57", "58", "70")},
    **{f"{_DICOM}.4.{arc}": frozenset({JPEG_LS}) for arc in ("80", "81")},
    **{f"{_DICOM}.4.{arc}": frozenset({JPEG_2000, HTJ2K}) for arc in ("90", "91", "92", "93", "201", "202", "203")},
    **{f"{_DICOM}.4.{arc}": frozenset({JPEG_XL}) for arc in ("110", "111", "112")},
}
"""Transfer syntaxes that need a library, and which codestreams are read in them. What a codestream is, its header
says: a process or a wavelet other than the one of the transfer syntax is read as well."""

_BECOMES_FULL: Final = frozenset({"YBR_FULL_422", "YBR_PARTIAL_422", "YBR_PARTIAL_420"})
_BECOMES_RGB: Final = frozenset({"YBR_ICT", "YBR_RCT", "XYB"})
_EOI: Final = b"\xff\xd9"
_UNTOUCHED: Final = 0x55
_HUFFMAN: Final = frozenset(f"{_DICOM}.4.{arc}" for arc in ("50", "51", "55", "57", "70"))
_BLOCK_SAMPLES_PER_BYTE: Final = 512
"""A Huffman code has at least one bit: for each 8x8 block, or for each sample of a lossless process."""
_SCANS: Final = 256
"""Scans of one JPEG: each costs a pass over the whole frame."""


def native_image(image: ImagePixel, transfer_syntax_uid: str, codestream: bytes | None = None) -> ImagePixel:
    """How frames stored in this transfer syntax lie once they are decoded.

    Rows, Columns, bits and sign stay; Planar Configuration stays as the data set has it, so that what the metadata say
    is true of native frames too; YBR_ICT and YBR_RCT become RGB, YBR_FULL_422 and YBR_PARTIAL_420 of codestreams
    become YBR_FULL (a sample of each for every pixel). `codestream` is the first frame, where it has a say: none has,
    samples of other colours are converted to those promised here.
    """
    compressed = transfer_syntax_uid in _FAMILIES or transfer_syntax_uid == _RLE
    if not compressed or image.samples != 3:
        return image
    if image.photometric in _BECOMES_FULL:
        return replace(image, photometric="YBR_FULL")
    if image.photometric in _BECOMES_RGB:
        return replace(image, photometric="RGB")
    return image


def missing_decoder(transfer_syntax_uid: str) -> str | None:
    """None if frames of this transfer syntax can be decoded here; else a sentence that says what is missing."""
    syntax = transfer_syntax(transfer_syntax_uid)
    if syntax.video:
        return f"Video ({syntax.name}) is sent as it is stored; it is not decoded."
    if transfer_syntax_uid in _FAMILIES:
        if _imagecodecs() is None:
            return f"Decoding {syntax.name} needs the library imagecodecs (extra `pixels`), which is not installed."
        return None
    if not syntax.encapsulated or transfer_syntax_uid in (_RLE, _DEFLATED_FRAME, _UNCOMPRESSED):
        return None
    return f"There is no decoder for the transfer syntax {transfer_syntax_uid}."


def decode(codestream: bytes, transfer_syntax_uid: str, image: ImagePixel, limits: Limits) -> NativeFrame:
    """One frame. `image` is what its data set says; the result's `image` is `native_image` of it.

    Bits beyond those the codestream has are filled with the sign. A codestream without its end marker is refused,
    since decoders would fill what is missing with grey; damage before that marker is seen if the library sees it.

    Raises InvalidFrame when the codestream is broken, contradicts `image`, or would be larger than
    `Limits.frame_bytes` (seen from its header, before anything is allocated), and MissingCodec.
    """
    native = native_image(image, transfer_syntax_uid)
    if native.frame_bytes > limits.frame_bytes:
        raise InvalidFrame(f"The frame has more than {limits.frame_bytes} bytes (frame_bytes) when decoded.")
    if transfer_syntax_uid in _FAMILIES:
        library = _imagecodecs()
        if library is None:
            raise MissingCodec(missing_decoder(transfer_syntax_uid) or "")
        header = describe(codestream)
        _refuse_contradiction(header, transfer_syntax_uid, image)
        samples = _DECODERS[header.family](library, codestream, header, transfer_syntax_uid, native)
        return NativeFrame(native_bytes(_placed(samples, header, native), native), native)
    if transfer_syntax_uid == _RLE:
        return NativeFrame(decode_rle(codestream, native, _unpack()), native)
    if transfer_syntax_uid == _DEFLATED_FRAME:
        return NativeFrame(_inflated(codestream, native.frame_bytes), native)
    missing = missing_decoder(transfer_syntax_uid)
    if missing:
        raise MissingCodec(missing)
    return NativeFrame(_uncompressed(codestream, native.frame_bytes), native)


def _refuse_contradiction(header: Codestream, transfer_syntax_uid: str, image: ImagePixel) -> None:
    """A23: the codestream's header against the data set, before a decoder allocates by either of them."""
    if header.family not in _FAMILIES[transfer_syntax_uid]:
        raise InvalidFrame(f"The codestream is {header.family}, not {transfer_syntax(transfer_syntax_uid).name}.")
    for name, found, expected in (
        ("Rows", header.rows, image.rows),
        ("Columns", header.columns, image.columns),
        ("Samples per Pixel", header.samples, image.samples),
    ):
        if found != expected:
            raise InvalidFrame(f"The {header.family} codestream has {found} where {name} is {expected}.")
    if header.bits > image.bits_allocated or image.floating:
        raise InvalidFrame(
            f"The {header.family} codestream has a precision of {header.bits} bits, more than Bits Allocated, "
            f"{image.bits_allocated}."
        )


def _placed(samples: Samples, header: Codestream, native: ImagePixel) -> Samples:
    """Of the sign that the data set promises."""
    if samples.size != native.rows * native.columns * native.samples or samples.dtype.kind not in "iu":
        raise InvalidFrame(f"The {header.family} codestream decodes to another size than its header says.")
    return with_sign(samples, min(header.bits, native.bits_stored), signed=native.signed)


def _jpeg(library: ModuleType, codestream: bytes, header: Codestream, uid: str, native: ImagePixel) -> Samples:
    """Samples as they are stored, colours converted only where markers and data set contradict one another."""
    least = header.rows * header.columns // (8 if header.lossless else _BLOCK_SAMPLES_PER_BYTE)
    if header.transfer_syntax_uid in _HUFFMAN and len(codestream) < least:
        raise InvalidFrame("The JPEG codestream is too short for its size.")
    if header.scans and codestream.count(b"\xff\xda") > _SCANS:
        raise InvalidFrame("The JPEG codestream has more scans than any image needs.")
    _refuse_unended(codestream, header)
    space = {3: "YCBCR", 4: "CMYK"}.get(header.samples)
    wanted = space
    if space == "YCBCR" and header.colour_certain and header.photometric != "RGB" and native.photometric == "RGB":
        wanted = "RGB"
    samples = _decoded(library.jpeg8_decode, codestream, header, colorspace=space, outcolorspace=wanted)
    return _as_promised(samples, header, native)


def _as_promised(samples: Samples, header: Codestream, native: ImagePixel) -> Samples:
    """RGB where the data set promises YBR_FULL becomes that."""
    if header.colour_certain and header.photometric in ("RGB", "XYB") and native.photometric == "YBR_FULL":
        return rgb_to_ybr(samples, header.bits)
    return samples


def _jpeg_ls(library: ModuleType, codestream: bytes, header: Codestream, uid: str, native: ImagePixel) -> Samples:
    _refuse_unended(codestream, header)
    return _decoded(library.jpegls_decode, codestream, header)


def _jpeg2000(library: ModuleType, codestream: bytes, header: Codestream, uid: str, native: ImagePixel) -> Samples:
    """OpenJPEG, which also inverts the component transform (RGB), or the faster OpenJPH for what is lossless by
    transfer syntax and wavelet: of lossy ones it wraps samples where it should clamp them."""
    _refuse_unended(codestream, header)
    if header.family == HTJ2K and header.lossless and uid in _HTJ2K_LOSSLESS:
        samples = _high_throughput(library, codestream, header)
        if samples is not None:
            return samples
    if header.start or header.end:
        # The bare codestream: what boxes say of colours is not for the decoder to act on.
        codestream = codestream[header.start : header.end]
    return _decoded(library.jpeg2k_decode, codestream, header)


def _high_throughput(library: ModuleType, codestream: bytes, header: Codestream) -> Samples | None:
    """By OpenJPH, None if it did not reach the end: its binding keeps errors to itself and leaves the rest as it was
    in memory, so the last row is marked beforehand."""
    if header.start or not has_whole_tile_parts(codestream, header):
        return None
    samples = _blank(header)
    samples[-1] = _UNTOUCHED
    try:
        library.htj2k_decode(codestream, out=samples)
    except Exception:
        return None
    return None if (samples[-1] == _UNTOUCHED).all() else samples


def _jpegxl(library: ModuleType, codestream: bytes, header: Codestream, uid: str, native: ImagePixel) -> Samples:
    """A recompressed JPEG is rebuilt, for only then its samples are those that were stored (PS3.5 8.2.17)."""
    if is_recompressed_jpeg(codestream):
        try:
            rebuilt = bytes(library.jpegxl_decode_jpeg(codestream))
        except Exception as error:
            raise InvalidFrame("The JPEG in the JPEG XL file cannot be rebuilt.") from error
        inner = describe(rebuilt)
        _refuse_contradiction(inner, _JPEG_BASELINE, native)
        return _jpeg(library, rebuilt, inner, uid, native)
    return _as_promised(_decoded(library.jpegxl_decode, codestream, header, index=0), header, native)


_DECODERS: Final = {JPEG: _jpeg, JPEG_LS: _jpeg_ls, JPEG_2000: _jpeg2000, HTJ2K: _jpeg2000, JPEG_XL: _jpegxl}


def _blank(header: Codestream) -> Samples:
    shape = (header.rows, header.columns, header.samples)
    size = 1 if header.bits <= 8 else 2 if header.bits <= 16 else 4
    return blank(shape if header.samples > 1 else shape[:2], f"{'i' if header.signed else 'u'}{size}")


def _decoded(decoder: Callable[..., Samples], codestream: bytes, header: Codestream, **options: object) -> Samples:
    try:
        return decoder(codestream, out=_blank(header), **options)
    except Exception as error:
        # Libraries raise what they like; their words may quote the machine.
        raise InvalidFrame(f"The {header.family} codestream cannot be decoded.") from error


def _refuse_unended(codestream: bytes, header: Codestream) -> None:
    """EOI of JPEG and EOC of JPEG 2000 are the same two bytes, and cannot occur in the coded data before."""
    if codestream.rfind(_EOI, header.coded) < 0:
        raise InvalidFrame(f"The {header.family} codestream is cut short: it has no end marker.")


def _inflated(codestream: bytes, size: int) -> bytes:
    """Raw deflate (PS3.5 A.4.13); a pad byte may follow."""
    inflate = zlib.decompressobj(-zlib.MAX_WBITS)
    try:
        frame = inflate.decompress(codestream, size + 1)
    except zlib.error as error:
        raise InvalidFrame("The deflated frame cannot be inflated.") from error
    return _uncompressed(frame, size)


def _uncompressed(frame: bytes, size: int) -> bytes:
    """Without the pad byte that makes a length even (PS3.5 8.2)."""
    if len(frame) == size:
        return frame
    if len(frame) == size + 1 and size % 2:
        return frame[:size]
    raise InvalidFrame(f"The frame has {len(frame)} bytes where its attributes make {size}.")


@cache
def _imagecodecs() -> ModuleType | None:
    try:
        import imagecodecs
    except ImportError:
        return None
    return imagecodecs


@cache
def _unpack() -> Unpack | None:
    """PackBits of the library, where it is installed."""
    library = _imagecodecs()
    if library is None:
        return None
    decoder = library.packbits_decode

    def unpack(segment: memoryview, out: bytearray) -> int:
        try:
            return len(decoder(segment, out=out))
        except Exception as error:
            raise InvalidFrame("An RLE segment cannot be decoded.") from error

    return unpack
