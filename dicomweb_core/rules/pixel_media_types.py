"""Media types of pixel data in a store request, and the transfer syntaxes they become (PS3.18 Table 10.5.2-1)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from dicomweb_core.errors import InvalidDataset
from dicomweb_core.rules.store_report import FailureReason
from dicomweb_core.values.media_types import MediaType
from dicomweb_core.values.transfer_syntaxes import transfer_syntax

_DICOM: Final = "1.2.840.10008.1.2."

CODESTREAM_TYPES: Final[dict[str, tuple[str, ...]]] = {
    "image/jpeg": ("JPEG",),
    "image/dicom+jpeg": ("JPEG",),
    "image/jls": ("JPEG-LS",),
    "image/x-jls": ("JPEG-LS",),
    "image/dicom+jpeg-ls": ("JPEG-LS",),
    "image/jp2": ("JPEG 2000", "HTJ2K"),
    "image/jpx": ("JPEG 2000", "HTJ2K"),
    "image/j2c": ("JPEG 2000", "HTJ2K"),
    "image/dicom+jp2": ("JPEG 2000",),
    "image/dicom+jpx": ("JPEG 2000",),
    "image/jph": ("HTJ2K",),
    "image/jphc": ("HTJ2K",),
    "image/jxl": ("JPEG XL",),
}
"""Media type -> families of codestreams it may be. The narrow syntax is derived from the codestream itself."""

FIXED_TYPES: Final[dict[str, str]] = {
    "image/dicom-rle": f"{_DICOM}5",
    "image/x-dicom-rle": f"{_DICOM}5",
    "image/dicom+rle": f"{_DICOM}5",
    "application/x-deflate": f"{_DICOM}8.1",
}
"""Media type of frames that have no header of their own -> transfer syntax."""

VIDEO_TYPES: Final[dict[str, str]] = {
    "video/mpeg": f"{_DICOM}4.101",
    "video/mp4": f"{_DICOM}4.102",
    "video/h265": f"{_DICOM}4.107",
}
"""Media type -> transfer syntax unless the part names another of the same media type."""

RASTER_TYPES: Final = frozenset({"image/gif", "image/png"})
"""Media types that no transfer syntax has: the pixels are stored without compression."""

_HOLDING: Final[dict[str, tuple[str, ...]]] = {
    "50": ("50", "51"),
    "70": ("70", "57"),
    "80": ("80", "81"),
    "90": ("90", "91", "92", "93"),
    "91": ("91", "93"),
    "92": ("92", "93"),
    "111": ("111", "110", "112"),
    "112": ("112", "110"),  # its header does not say whether something was lost
    "201": ("201", "203"),
    "202": ("202", "201", "203"),
}
"""Narrowest transfer syntax of a codestream -> all that can hold it, the narrowest first; others only themselves."""

_TOLERATED: Final = {f"{_DICOM}4.202": f"{_DICOM}4.201"}
"""Stated transfer syntax -> what its codestreams are often: encoders leave the TLM of PS3.5 10.18 out."""


def holding(narrowest: str) -> list[str]:
    """UIDs of the transfer syntaxes that codestreams of this one may be stored in, itself first."""
    arc = narrowest.removeprefix(f"{_DICOM}4.")
    return [f"{_DICOM}4.{other}" for other in _HOLDING.get(arc, ())] or [narrowest]


def stated_syntax(media_type: MediaType, elsewhere: str | None) -> str | None:
    """The transfer syntax a part says it is in, None if it does not say one.

    `elsewhere` is what the data set said of it: taken where it fits the media type, and left where not.
    Raises InvalidDataset when the parameter of the part contradicts its own media type.
    """
    stated = media_type.param("transfer-syntax")
    if stated in (None, "", "*"):
        return elsewhere if elsewhere is not None and _fits(elsewhere, media_type.essence) else None
    assert stated is not None
    if not _fits(stated, media_type.essence):
        raise InvalidDataset(
            "The transfer-syntax of a bulk data part is none of its media type.",
            reason=FailureReason.TRANSFER_SYNTAX_NOT_SUPPORTED,
        )
    return stated


def _fits(uid: str, essence: str) -> bool:
    syntax = transfer_syntax(uid)
    if not syntax.known or syntax.big_endian:
        return False
    if essence == "application/octet-stream":
        return True
    if essence in FIXED_TYPES:
        return uid == FIXED_TYPES[essence]
    if essence in VIDEO_TYPES:
        return syntax.media_type.lower() == essence
    families = CODESTREAM_TYPES.get(essence, ())
    return bool(families) and _FAMILY_OF.get(syntax.media_type) in families


_FAMILY_OF: Final = {
    "image/jpeg": "JPEG",
    "image/jls": "JPEG-LS",
    "image/jp2": "JPEG 2000",
    "image/jpx": "JPEG 2000",
    "image/jphc": "HTJ2K",
    "image/jxl": "JPEG XL",
}


def common_syntax(narrowest: Sequence[str], stated: str | None) -> str:
    """The transfer syntax that holds all codestreams: the stated one, or the narrowest.

    `narrowest` is that of each codestream. Raises InvalidDataset when there is none.
    """
    shared = holding(narrowest[0])
    for each in dict.fromkeys(narrowest):
        shared = [uid for uid in shared if uid in holding(each)]
    if stated is None and shared:
        return shared[0]
    if stated is not None and (stated in shared or _TOLERATED.get(stated) in shared):
        return stated
    if stated is None:
        problem = "The frames are codestreams of different transfer syntaxes."
    else:
        problem = f"A codestream is not one of {transfer_syntax(stated).name}, which its part says it is."
    raise InvalidDataset(problem, reason=FailureReason.DATA_SET_MISMATCH)
