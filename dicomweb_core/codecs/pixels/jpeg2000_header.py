"""Headers of JPEG 2000 (ISO/IEC 15444-1 A, I) and HTJ2K (15444-15), bare or in a file of boxes."""

from __future__ import annotations

import struct
from typing import Final, NamedTuple

from dicomweb_core.codecs.pixels.codestream import HTJ2K, JPEG_2000, Codestream, cut_short
from dicomweb_core.errors import InvalidFrame

_DICOM: Final = "1.2.840.10008.1.2.4."
_SIZ, _CAP, _COD, _COC, _TLM, _SOT = 0xFF51, 0xFF50, 0xFF52, 0xFF53, 0xFF55, 0xFF90
_SIZ_FIELDS: Final = struct.Struct(">HIIIIIIIIH")
_PART_2: Final = 0x8000
_PART_15: Final = 0x0002_0000
"""Bit of Pcap: high throughput block coding may occur."""
_RPCL: Final = 2
_BASE_RESOLUTION: Final = 64
"""Rows and columns of the smallest resolution, at most, in HTJ2K Lossless RPCL (PS3.5 10.18)."""
_MARKERS: Final = 1_024
_BOXES: Final = 256
_TILE_PARTS: Final = 100_000
_S_YCC: Final = 18
_FEW_TILES: Final = 256
_TILE_SAMPLES: Final = 4_096
"""A decoder keeps some KiB for each tile before it has seen it."""
_PRECINCT_SAMPLES: Final = 16
"""The same for each precinct of each resolution."""


class _Size(NamedTuple):
    capabilities: int
    rows: int
    columns: int
    components: tuple[tuple[int, int, int], ...]
    """Ssiz, XRsiz, YRsiz of each."""
    tiles: int


class _Coding(NamedTuple):
    progression: int
    levels: int
    """Decompositions: each halves rows and columns."""
    transform: bool
    """Of the components (MCT): YBR_RCT or YBR_ICT."""
    reversible: bool
    lengths: bool = False
    """The lengths of the tile-parts stand in front (TLM)."""


def describe_jpeg2000(codestream: bytes) -> Codestream:
    """Of bytes that begin with SOC, or with the signature box of a JP2 or JPH file. Raises InvalidFrame."""
    start, end, s_ycc = 0, None, False
    if codestream[:4] == b"\0\0\0\x0c":
        start, end, s_ycc = _boxed(codestream)
    if codestream[start : start + 2] != b"\xff\x4f":
        raise cut_short(JPEG_2000)
    size, coding, high_throughput, coded = _main_header(codestream, start + 2)
    _refuse_bombs(size)
    precision, samples = size.components[0][0], len(size.components)
    photometric, certain = _colour(coding, samples, s_ycc)
    return Codestream(
        family=HTJ2K if high_throughput else JPEG_2000,
        media_type=_media_type(size, high_throughput),
        transfer_syntax_uid=_DICOM + _syntax(size, coding, high_throughput),
        rows=size.rows,
        columns=size.columns,
        samples=samples,
        bits=(precision & 0x7F) + 1,
        signed=bool(precision & 0x80),
        lossless=coding.reversible,
        photometric=photometric,
        colour_certain=certain,
        coded=coded,
        start=start,
        end=end,
    )


def has_whole_tile_parts(codestream: bytes, header: Codestream) -> bool:
    """Each tile-part is as long as it says, and EOC follows the last (15444-1 A.4.2). False also if a length is
    left open (Psot 0) or there are very many."""
    at = header.coded
    for _ in range(_TILE_PARTS):
        if codestream.startswith(b"\xff\xd9", at):
            return at > header.coded
        length = int.from_bytes(codestream[at + 6 : at + 10])
        if not codestream.startswith(b"\xff\x90", at) or length < 14:
            return False
        at += length
    return False


def _boxed(codestream: bytes) -> tuple[int, int, bool]:
    """Span of the codestream in a file of boxes, and whether its colours are sYCC (15444-1 I.5)."""
    at, end, s_ycc, size = 0, len(codestream), False, len(codestream)
    for _ in range(_BOXES):
        if at + 8 > end:
            break
        length, name = int.from_bytes(codestream[at : at + 4]), codestream[at + 4 : at + 8]
        content = at + 8
        if length == 1:
            length, content = int.from_bytes(codestream[at + 8 : at + 16]), at + 16
        after = end if length == 0 else at + length
        if after < content or after > size:
            raise cut_short(JPEG_2000)
        if name == b"jp2c":
            return content, after, s_ycc
        if name == b"jp2h":
            at = content  # its boxes are walked like the others
            continue
        if name in (b"pclr", b"cmap"):
            raise InvalidFrame("The JPEG 2000 file has a palette of its own.")
        if name == b"colr" and codestream[content : content + 1] == b"\x01":
            s_ycc = int.from_bytes(codestream[content + 3 : content + 7]) == _S_YCC
        at = after
    raise InvalidFrame("The JPEG 2000 file has no codestream box.")


def _main_header(codestream: bytes, at: int) -> tuple[_Size, _Coding, bool, int]:
    """Up to the first tile-part, which stands at the last of the results."""
    size: _Size | None = None
    coding: _Coding | None = None
    high_throughput, reversible, lengths = False, True, False
    for _ in range(_MARKERS):
        marker = int.from_bytes(codestream[at : at + 2])
        if marker == _SOT:
            break
        length = int.from_bytes(codestream[at + 2 : at + 4])
        segment = codestream[at + 4 : at + 2 + length]
        if marker < 0xFF00 or length < 2 or len(segment) != length - 2:
            raise cut_short(JPEG_2000)
        if marker == _SIZ:
            size = _size(segment)
        elif size is None:
            raise cut_short(JPEG_2000)  # SIZ is the first
        elif marker == _CAP:
            high_throughput = bool(int.from_bytes(segment[:4]) & _PART_15)
        elif marker == _COD:
            coding = _coding(segment, size)
        elif marker == _COC:
            wide = 2 if len(size.components) > 256 else 1
            reversible = reversible and segment[wide + 5 : wide + 6] == b"\x01"
        elif marker == _TLM:
            lengths = True
        at += 2 + length
    if size is None or coding is None:
        raise cut_short(JPEG_2000)
    coding = coding._replace(reversible=coding.reversible and reversible, lengths=lengths)
    return size, coding, high_throughput, at


def _size(segment: bytes) -> _Size:
    if len(segment) < 36:
        raise cut_short(JPEG_2000)
    capabilities, right, bottom, left, top, wide, high, tile_left, tile_top, count = _SIZ_FIELDS.unpack_from(segment)
    parts = segment[36:]
    if not count or len(parts) != 3 * count or right <= left or bottom <= top or not wide or not high:
        raise cut_short(JPEG_2000)
    if tile_left > left or tile_top > top or tile_left + wide <= left or tile_top + high <= top:
        raise cut_short(JPEG_2000)
    return _Size(
        capabilities=capabilities,
        rows=bottom - top,
        columns=right - left,
        components=tuple(zip(parts[0::3], parts[1::3], parts[2::3], strict=True)),
        tiles=-(-(right - tile_left) // wide) * -(-(bottom - tile_top) // high),
    )


def _coding(segment: bytes, size: _Size) -> _Coding:
    """COD (15444-1 A.6.1)."""
    if len(segment) < 10:
        raise cut_short(JPEG_2000)
    levels = segment[5]
    if levels > 32 or (segment[0] & 1 and len(segment) != 11 + levels):
        raise cut_short(JPEG_2000)
    if segment[0] & 1:
        precincts = 0
        for resolution, exponents in enumerate(segment[10:]):
            shift = levels - resolution
            across = (size.columns >> shift >> (exponents & 15)) + 1
            precincts += across * ((size.rows >> shift >> (exponents >> 4)) + 1)
        if precincts > 4_096 + size.rows * size.columns // _PRECINCT_SAMPLES:
            raise InvalidFrame("The JPEG 2000 codestream has more precincts than its size explains.")
    return _Coding(segment[1], levels, transform=segment[4] == 1, reversible=segment[9] == 1)


def _refuse_bombs(size: _Size) -> None:
    if len(size.components) > 4:
        raise InvalidFrame(f"The JPEG 2000 codestream has {len(size.components)} components.")
    if any(part[0] != size.components[0][0] for part in size.components):
        raise InvalidFrame("The components of the JPEG 2000 codestream differ in precision or sign.")
    if any(part[1:] != (1, 1) for part in size.components):
        raise InvalidFrame("The components of the JPEG 2000 codestream are subsampled.")
    if size.tiles > _FEW_TILES and size.tiles * _TILE_SAMPLES > size.rows * size.columns:
        raise InvalidFrame(f"The JPEG 2000 codestream has {size.tiles} tiles, more than its size explains.")


def _colour(coding: _Coding, samples: int, s_ycc: bool) -> tuple[str, bool]:
    if samples < 3:
        return "MONOCHROME2", samples == 1
    if coding.transform:
        return ("YBR_RCT" if coding.reversible else "YBR_ICT"), True
    return ("YBR_FULL", True) if s_ycc else ("RGB", False)


def _media_type(size: _Size, high_throughput: bool) -> str:
    if high_throughput:
        return "image/jphc"
    return "image/jpx" if size.capabilities & _PART_2 else "image/jp2"


def _is_rpcl(size: _Size, coding: _Coding) -> bool:
    """PS3.5 10.18: the resolutions in order, the smallest a thumbnail, and told where they end."""
    smallest = -(-max(size.rows, size.columns) >> coding.levels)
    return coding.progression == _RPCL and smallest <= _BASE_RESOLUTION and coding.lengths


def _syntax(size: _Size, coding: _Coding, high_throughput: bool) -> str:
    if high_throughput:
        return "203" if not coding.reversible else "202" if _is_rpcl(size, coding) else "201"
    first = 92 if size.capabilities & _PART_2 else 90
    return str(first if coding.reversible else first + 1)
