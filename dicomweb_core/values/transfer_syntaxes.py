"""Transfer syntaxes (PS3.5 A, PS3.6 A) and the media types of their bulk data (PS3.18 8.7.3)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

EXPLICIT_VR_LITTLE_ENDIAN: Final = "1.2.840.10008.1.2.1"
IMPLICIT_VR_LITTLE_ENDIAN: Final = "1.2.840.10008.1.2"
EXPLICIT_VR_BIG_ENDIAN: Final = "1.2.840.10008.1.2.2"
DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN: Final = "1.2.840.10008.1.2.1.99"

_OCTETS: Final = "application/octet-stream"


@dataclass(frozen=True, slots=True)
class TransferSyntax:
    """How a data set is encoded. Made once per UID: compare by `uid`."""

    uid: str
    name: str
    implicit: bool = False
    """VRs are not written but looked up (PS3.5 A.1)."""
    big_endian: bool = False
    deflated: bool = False
    """The whole data set behind the File Meta Information is deflated (PS3.5 A.5)."""
    encapsulated: bool = False
    """Pixel Data of undefined length are fragments (PS3.5 A.4)."""
    lossy: bool | None = None
    """Whether pixels may differ from their source: always (True), never (False), not known (None)."""
    media_type: str = _OCTETS
    """Of bulk pixel data as stored (PS3.18 Tables 8.7.3-2, -4, -5)."""
    video: bool = False
    """One codestream for all frames."""
    retired: bool = False
    known: bool = True
    """Whether the UID is in the table."""


def _compressed(uid: str, name: str, media_type: str, lossy: bool | None, *, retired: bool = False) -> TransferSyntax:
    return TransferSyntax(uid, name, encapsulated=True, lossy=lossy, media_type=media_type, retired=retired)


def _video(uid: str, name: str, media_type: str) -> TransferSyntax:
    return TransferSyntax(uid, name, encapsulated=True, lossy=True, media_type=media_type, video=True)


_DICOM: Final = "1.2.840.10008.1.2"

_NATIVE: Final = (
    TransferSyntax(IMPLICIT_VR_LITTLE_ENDIAN, "Implicit VR Little Endian", implicit=True, lossy=False),
    TransferSyntax(EXPLICIT_VR_LITTLE_ENDIAN, "Explicit VR Little Endian", lossy=False),
    TransferSyntax(EXPLICIT_VR_BIG_ENDIAN, "Explicit VR Big Endian", big_endian=True, lossy=False, retired=True),
    TransferSyntax(
        DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN, "Deflated Explicit VR Little Endian", deflated=True, lossy=False
    ),
    # JPIP: no pixels in the file, but the URL of their provider (PS3.5 A.6, A.7, A.11, A.12).
    TransferSyntax(f"{_DICOM}.4.94", "JPIP Referenced"),
    TransferSyntax(f"{_DICOM}.4.95", "JPIP Referenced Deflate", deflated=True),
    TransferSyntax(f"{_DICOM}.4.204", "JPIP HTJ2K Referenced"),
    TransferSyntax(f"{_DICOM}.4.205", "JPIP HTJ2K Referenced Deflate", deflated=True),
)

_STILL: Final = (
    _compressed(f"{_DICOM}.1.98", "Encapsulated Uncompressed Explicit VR Little Endian", _OCTETS, False),
    _compressed(f"{_DICOM}.4.50", "JPEG Baseline (Process 1)", "image/jpeg", True),
    _compressed(f"{_DICOM}.4.51", "JPEG Extended (Process 2 & 4)", "image/jpeg", True),
    _compressed(f"{_DICOM}.4.52", "JPEG Extended (Process 3 & 5)", "image/jpeg", True, retired=True),
    _compressed(f"{_DICOM}.4.53", "JPEG Spectral Selection (6 & 8)", "image/jpeg", True, retired=True),
    _compressed(f"{_DICOM}.4.55", "JPEG Full Progression (10 & 12)", "image/jpeg", True, retired=True),
    _compressed(f"{_DICOM}.4.57", "JPEG Lossless (Process 14)", "image/jpeg", False),
    _compressed(f"{_DICOM}.4.58", "JPEG Lossless (Process 15)", "image/jpeg", False, retired=True),
    _compressed(f"{_DICOM}.4.70", "JPEG Lossless (Process 14, Selection Value 1)", "image/jpeg", False),
    _compressed(f"{_DICOM}.4.80", "JPEG-LS Lossless", "image/jls", False),
    _compressed(f"{_DICOM}.4.81", "JPEG-LS Near-Lossless", "image/jls", True),
    _compressed(f"{_DICOM}.4.90", "JPEG 2000 Lossless", "image/jp2", False),
    _compressed(f"{_DICOM}.4.91", "JPEG 2000", "image/jp2", None),
    _compressed(f"{_DICOM}.4.92", "JPEG 2000 Part 2 Lossless", "image/jpx", False),
    _compressed(f"{_DICOM}.4.93", "JPEG 2000 Part 2", "image/jpx", None),
    _compressed(f"{_DICOM}.4.110", "JPEG XL Lossless", "image/jxl", False),
    # Whether the recompressed JPEG lost anything was settled before; the recompression loses nothing.
    _compressed(f"{_DICOM}.4.111", "JPEG XL JPEG Recompression", "image/jxl", True),
    _compressed(f"{_DICOM}.4.112", "JPEG XL", "image/jxl", None),
    _compressed(f"{_DICOM}.4.201", "HTJ2K Lossless", "image/jphc", False),
    _compressed(f"{_DICOM}.4.202", "HTJ2K Lossless RPCL", "image/jphc", False),
    _compressed(f"{_DICOM}.4.203", "HTJ2K", "image/jphc", None),
    _compressed(f"{_DICOM}.5", "RLE Lossless", "image/dicom-rle", False),
    _compressed(f"{_DICOM}.8.1", "Deflated Image Frame Compression", "application/x-deflate", False),
)

_VIDEO: Final = tuple(
    _video(f"{_DICOM}.4.{arc}{fragmentable}", name + (" (fragmentable)" if fragmentable else ""), media_type)
    for arc, name, media_type, fragmentables in (
        ("100", "MPEG2 Main Profile / Main Level", "video/mpeg", ("", ".1")),
        ("101", "MPEG2 Main Profile / High Level", "video/mpeg", ("", ".1")),
        ("102", "MPEG-4 AVC/H.264 High Profile / Level 4.1", "video/mp4", ("", ".1")),
        ("103", "MPEG-4 AVC/H.264 BD-compatible High Profile / Level 4.1", "video/mp4", ("", ".1")),
        ("104", "MPEG-4 AVC/H.264 High Profile / Level 4.2 for 2D", "video/mp4", ("", ".1")),
        ("105", "MPEG-4 AVC/H.264 High Profile / Level 4.2 for 3D", "video/mp4", ("", ".1")),
        ("106", "MPEG-4 AVC/H.264 Stereo High Profile / Level 4.2", "video/mp4", ("", ".1")),
        ("107", "HEVC/H.265 Main Profile / Level 5.1", "video/H265", ("",)),
        ("108", "HEVC/H.265 Main 10 Profile / Level 5.1", "video/H265", ("",)),
    )
    for fragmentable in fragmentables
)

TRANSFER_SYNTAXES: Final = {syntax.uid: syntax for syntax in (*_NATIVE, *_STILL, *_VIDEO)}
"""Every transfer syntax with rules of its own, by UID."""


def transfer_syntax(uid: str) -> TransferSyntax:
    """The entry of the table; for any other UID an unknown one: Explicit VR Little Endian (PS3.5 A.4), pixel data
    encapsulated unless their length is defined."""
    return TRANSFER_SYNTAXES.get(uid) or TransferSyntax(uid, "unknown", encapsulated=True, known=False)
