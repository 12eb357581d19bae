"""What an object is to somebody who wants to look at it (PS3.18 8.7.2, PS3.4 B.5)."""

from __future__ import annotations

from enum import Enum
from functools import lru_cache
from types import MappingProxyType
from typing import Final

_STORAGE: Final = "1.2.840.10008.5.1.4.1.1."


class Kind(Enum):
    """How an object is shown."""

    IMAGE = "image"
    """Frames, each a picture."""
    VIDEO = "video"
    """One codestream of all frames, which is not decoded."""
    SEGMENTATION = "segmentation"
    PARAMETRIC_MAP = "parametric map"
    STRUCTURE_SET = "structure set"
    WAVEFORM = "waveform"
    PRESENTATION_STATE = "presentation state"
    REPORT = "report"
    """A content tree: structured reports and key object selections."""
    DOCUMENT = "document"
    """Encapsulated."""
    OTHER = "other"
    """Nothing that can be seen."""


_FAMILIES: Final = MappingProxyType(
    {
        _STORAGE + "66.4": Kind.SEGMENTATION,
        _STORAGE + "66.7": Kind.SEGMENTATION,
        _STORAGE + "30": Kind.PARAMETRIC_MAP,
        _STORAGE + "481.3": Kind.STRUCTURE_SET,
        _STORAGE + "9.": Kind.WAVEFORM,
        _STORAGE + "11.": Kind.PRESENTATION_STATE,
        _STORAGE + "88.": Kind.REPORT,
        _STORAGE + "104.": Kind.DOCUMENT,
    }
)
"""SOP Class UID, or the beginning of some, which ends in a dot -> kind."""


@lru_cache(maxsize=512)
def kind_of(sop_class_uid: str, *, frames: bool, video: bool, document: bool) -> Kind:
    """The kind of an object. `frames`: it has pixel data whose frames are known; `video`: they are one codestream;
    `document`: it has an Encapsulated Document (0042,0011)."""
    for name, kind in _FAMILIES.items():
        if sop_class_uid == name or (name.endswith(".") and sop_class_uid.startswith(name)):
            return kind
    if video:
        return Kind.VIDEO
    if frames:
        return Kind.IMAGE
    return Kind.DOCUMENT if document else Kind.OTHER
