"""Headers of JPEG XL (ISO/IEC 18181-1 D, 18181-2), bare or in a file of boxes."""

from __future__ import annotations

from typing import Final

from dicomweb_core.codecs.pixels.codestream import JPEG_XL, Codestream, cut_short
from dicomweb_core.errors import InvalidFrame

_DICOM: Final = "1.2.840.10008.1.2.4."
_HEADER_BYTES: Final = 256
_BOXES: Final = 256
_RATIOS: Final = ((0, 1), (1, 1), (12, 10), (4, 3), (3, 2), (16, 9), (5, 4), (2, 1))
"""Width to height, by the index in the header."""

_Distribution = tuple[tuple[int, int], ...]
"""Of a U32 (18181-1 B.2): bits to read and what is added to them, by its first two bits."""
_LENGTH: Final[_Distribution] = ((9, 1), (13, 1), (18, 1), (30, 1))
_BITS: Final[_Distribution] = ((0, 8), (0, 10), (0, 12), (6, 1))
_FLOAT_BITS: Final[_Distribution] = ((0, 32), (0, 16), (0, 24), (6, 1))
_EXTRA_CHANNELS: Final[_Distribution] = ((0, 0), (0, 1), (4, 2), (12, 1))
_ENUM: Final[_Distribution] = ((0, 0), (0, 1), (4, 2), (6, 18))
_PREVIEW_EIGHTHS: Final[_Distribution] = ((0, 16), (0, 32), (5, 1), (9, 33))
_PREVIEW: Final[_Distribution] = ((6, 1), (8, 65), (10, 321), (12, 1345))


class _Bits:
    """Reads bits, the lowest of each byte first."""

    def __init__(self, header: bytes) -> None:
        self._left = int.from_bytes(header, "little")
        self._count = 8 * len(header)

    def take(self, count: int) -> int:
        if count > self._count:
            raise cut_short(JPEG_XL)
        value = self._left & ((1 << count) - 1)
        self._left >>= count
        self._count -= count
        return value

    def flag(self) -> bool:
        return self.take(1) == 1

    def number(self, distribution: _Distribution) -> int:
        count, more = distribution[self.take(2)]
        return self.take(count) + more


def describe_jpegxl(codestream: bytes) -> Codestream:
    """Of bytes that begin with the codestream signature or the signature box. Raises InvalidFrame, also for
    animations, extra channels and floating point samples, which no frame of DICOM has."""
    header, recompressed = codestream[: _HEADER_BYTES + 2], False
    if codestream[:4] == b"\0\0\0\x0c":
        header, recompressed = _boxed(codestream)
    if header[:2] != b"\xff\x0a":
        raise cut_short(JPEG_XL)
    bits = _Bits(header[2:])
    rows, columns = _size(bits)
    turned, precision, xyb, grey = (False, 8, True, False) if bits.flag() else _metadata(bits)
    syntax = "111" if recompressed else "112"
    return Codestream(
        family=JPEG_XL,
        media_type="image/jxl",
        transfer_syntax_uid=_DICOM + syntax,
        rows=columns if turned else rows,
        columns=rows if turned else columns,
        samples=1 if grey else 3,
        bits=precision,
        signed=False,
        lossless=False,
        photometric="MONOCHROME2" if grey else "YBR_FULL" if recompressed else "XYB" if xyb else "RGB",
        colour_certain=grey or xyb,
    )


def is_recompressed_jpeg(codestream: bytes) -> bool:
    """A file whose JPEG can be had back byte for byte (18181-2 9.6). Raises InvalidFrame."""
    return codestream[:4] == b"\0\0\0\x0c" and _boxed(codestream)[1]


def _boxed(codestream: bytes) -> tuple[bytes, bool]:
    """The begin of the codestream in a file of boxes, and whether a JPEG can be rebuilt from it."""
    at, size, header, recompressed = 0, len(codestream), b"", False
    for _ in range(_BOXES):
        if at + 8 > size:
            break
        length, name, content = int.from_bytes(codestream[at : at + 4]), codestream[at + 4 : at + 8], at + 8
        if length == 1:
            length, content = int.from_bytes(codestream[at + 8 : at + 16]), at + 16
        after = size if length == 0 else at + length
        if after < content or after > size:
            raise cut_short(JPEG_XL)
        if name == b"jbrd":
            recompressed = True
        elif name in (b"jxlc", b"jxlp") and len(header) < _HEADER_BYTES:
            first = content + (4 if name == b"jxlp" else 0)
            header += codestream[first : min(after, first + _HEADER_BYTES)]
        at = after
    return header, recompressed


def _size(bits: _Bits) -> tuple[int, int]:
    eighths = bits.flag()
    rows = (bits.take(5) + 1) * 8 if eighths else bits.number(_LENGTH)
    ratio = bits.take(3)
    if ratio:
        wide, high = _RATIOS[ratio]
        return rows, rows * wide // high
    return rows, (bits.take(5) + 1) * 8 if eighths else bits.number(_LENGTH)


def _metadata(bits: _Bits) -> tuple[bool, int, bool, bool]:
    """Whether decoders exchange rows and columns, precision, whether colours are XYB, whether there are none."""
    turned = False
    if bits.flag():
        turned = bits.take(3) >= 4  # EXIF's orientation, less 1
        if bits.flag():
            _size(bits)
        if bits.flag():
            _preview(bits)
        if bits.flag():
            raise InvalidFrame("The JPEG XL codestream is an animation.")
    if bits.flag():
        raise InvalidFrame(f"The JPEG XL codestream has samples of {bits.number(_FLOAT_BITS)} bit floating point.")
    precision = bits.number(_BITS)
    bits.take(1)  # 16 bit buffers suffice
    if bits.number(_EXTRA_CHANNELS):
        raise InvalidFrame("The JPEG XL codestream has extra channels.")
    xyb = bits.flag()
    if bits.flag():
        return turned, precision, xyb, False
    bits.take(1)  # with an ICC profile
    return turned, precision, xyb, bits.number(_ENUM) == 1


def _preview(bits: _Bits) -> None:
    lengths = _PREVIEW_EIGHTHS if bits.flag() else _PREVIEW
    bits.number(lengths)
    if not bits.take(3):
        bits.number(lengths)
