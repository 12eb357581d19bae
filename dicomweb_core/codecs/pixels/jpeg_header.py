"""Headers of JPEG (ISO/IEC 10918-1 B.2) and JPEG-LS (ISO/IEC 14495-1 C.2)."""

from __future__ import annotations

from typing import Final, NamedTuple

from dicomweb_core.codecs.pixels.codestream import JPEG, JPEG_LS, Codestream, cut_short
from dicomweb_core.errors import InvalidFrame

_DICOM: Final = "1.2.840.10008.1.2.4."
_SOI, _EOI, _SOS, _APP0, _APP14, _LS_FRAME = 0xD8, 0xD9, 0xDA, 0xE0, 0xEE, 0xF7
_ALONE: Final = frozenset({0x01, *range(0xD0, 0xD8)})
"""Markers without a segment: TEM, RST0 to RST7."""
_LOSSLESS: Final = frozenset({0xC3, 0xCB})
_SYNTAXES: Final = {
    0xC0: "50",
    0xC1: "51",
    0xC2: "55",
    0xC9: "52",
    0xCB: "58",
}
"""Frame marker -> transfer syntax; SOF3 is .57 or .70 by its predictor. Hierarchical ones (SOF5 to 7) have none."""
_FRAMES: Final = frozenset({*_SYNTAXES, 0xC3, _LS_FRAME})
_SEGMENTS: Final = 4_096
"""More are no header but an attempt: an ICC profile of 16 MiB needs 256."""
_RGB_NAMES: Final = frozenset({b"RGB", b"rgb"})


class _Markers(NamedTuple):
    frame: int
    """Second byte of the SOF marker."""
    frame_segment: bytes
    scan_segment: bytes
    adobe_transform: int | None
    """Byte 11 of APP14, if it is that long."""
    jfif: bool
    coded: int
    """Where the first scan's data begin."""


def describe_jpeg(codestream: bytes) -> Codestream:
    """Of bytes that begin with SOI. Raises InvalidFrame."""
    markers = _markers(codestream)
    segment, scan = markers.frame_segment, markers.scan_segment
    if len(segment) < 6 or len(segment) != 6 + 3 * segment[5] or not scan or len(scan) != 4 + 2 * scan[0]:
        raise cut_short(JPEG)
    samples = segment[5]
    ls = markers.frame == _LS_FRAME
    if ls and scan[0] > 1 and scan[-2] not in (1, 2):
        # 14495-1 C.2.3; the library reads for seconds what cannot be.
        raise InvalidFrame("The JPEG-LS codestream interleaves its components in no way that there is.")
    photometric, certain = _colour(markers, samples)
    return Codestream(
        family=JPEG_LS if ls else JPEG,
        media_type="image/jls" if ls else "image/jpeg",
        transfer_syntax_uid=_DICOM + _syntax(markers),
        rows=int.from_bytes(segment[1:3]),
        columns=int.from_bytes(segment[3:5]),
        samples=samples,
        bits=segment[0],
        signed=False,
        lossless=scan[-3] == 0 if ls else markers.frame in _LOSSLESS,
        photometric=photometric,
        colour_certain=certain,
        coded=markers.coded,
        scans=markers.frame == 0xC2 or scan[0] < samples,
    )


def _markers(codestream: bytes) -> _Markers:
    """The segments up to the first scan."""
    at, frame, frame_segment, transform, jfif = 2, 0, b"", None, False
    end = len(codestream) - 4
    for _ in range(_SEGMENTS):
        if at > end or codestream[at] != 0xFF:
            raise cut_short(JPEG)
        code = codestream[at + 1]
        if code == 0xFF:  # a fill byte
            at += 1
            continue
        at += 2
        if code in _ALONE:
            continue
        length = codestream[at] << 8 | codestream[at + 1]
        if length < 2 or at + length > end + 4 or code in (_SOI, _EOI):
            raise cut_short(JPEG)
        if code == _SOS:
            if not frame:
                break
            return _Markers(frame, frame_segment, codestream[at + 2 : at + length], transform, jfif, at + length)
        if code in _FRAMES:
            if frame:
                raise InvalidFrame("The JPEG codestream has several frame headers.")
            frame, frame_segment = code, codestream[at + 2 : at + length]
        elif code == _APP14 and length >= 14 and codestream.startswith(b"Adobe", at + 2):
            transform = codestream[at + 13]
        elif code == _APP0 and codestream.startswith(b"JFIF\0", at + 2):
            jfif = True
        at += length
    raise InvalidFrame("The JPEG codestream has no frame header of a process that DICOM has.")


def _syntax(markers: _Markers) -> str:
    scan = markers.scan_segment
    if markers.frame == _LS_FRAME:
        return "80" if scan[-3] == 0 else "81"
    if markers.frame == 0xC3:
        return "70" if scan[-3] == 1 else "57"
    if markers.frame == 0xC0 and markers.frame_segment[0] != 8:
        return "51"
    return _SYNTAXES[markers.frame]


def _colour(markers: _Markers, samples: int) -> tuple[str, bool]:
    """Photometric Interpretation, and whether it is certain. Markers of JFIF and Adobe speak of DCT only: what a
    lossless encoder was given nobody but the data set knows."""
    if samples != 3:
        return "MONOCHROME2", samples == 1
    segment = markers.frame_segment
    if markers.frame == _LS_FRAME or markers.frame in _LOSSLESS:
        return "RGB", False
    full = "YBR_FULL_422" if segment[7] >> 4 > segment[10] >> 4 else "YBR_FULL"
    if markers.adobe_transform is not None:
        return ("RGB" if markers.adobe_transform == 0 else full), True
    names = segment[6::3]
    if names in _RGB_NAMES:
        return "RGB", True
    if markers.jfif:
        return full, True
    # Nobody halves the chrominance of what has none.
    return full, segment[7] != segment[10]
