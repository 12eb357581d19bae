"""How elements begin in Explicit VR Little Endian (PS3.5 7.1.2)."""

from __future__ import annotations

import struct
from typing import Final

LONG_LENGTH_VRS: Final = frozenset({"OB", "OD", "OF", "OL", "OV", "OW", "SQ", "SV", "UC", "UN", "UR", "UT", "UV"})
"""VRs whose length has 32 bits (PS3.5 Table 7.1-1); of all others it has 16."""
SHORT_LENGTH_VRS: Final = frozenset(
    {
        "AE", "AS", "AT", "CS", "DA", "DS", "DT", "FD", "FL", "IS", "LO",
        "LT", "PN", "SH", "SL", "SS", "ST", "TM", "UI", "UL", "US",
    }
)  # fmt: skip
"""VRs whose length has 16 bits (PS3.5 Table 7.1-2)."""

LONGEST_SHORT_VALUE: Final = 65_534
UNDEFINED_LENGTH: Final = 0xFFFFFFFF

ITEM: Final = struct.pack("<HHI", 0xFFFE, 0xE000, UNDEFINED_LENGTH)
"""The beginning of an item of undefined length."""
ITEM_DELIMITATION: Final = struct.pack("<HHI", 0xFFFE, 0xE00D, 0)
SEQUENCE_DELIMITATION: Final = struct.pack("<HHI", 0xFFFE, 0xE0DD, 0)


def element_header(tag: int, vr: str, length: int) -> bytes:
    """Tag, VR and length. A value too long for the length of its VR becomes UN (PS3.5 6.2.2, PS3.18 8.7.3.4)."""
    if vr in SHORT_LENGTH_VRS:
        if length <= LONGEST_SHORT_VALUE:
            return struct.pack("<HH2sH", tag >> 16, tag & 0xFFFF, vr.encode("ascii"), length)
        vr = "UN"
    return struct.pack("<HH2sHI", tag >> 16, tag & 0xFFFF, vr.encode("ascii"), 0, length)


def item_header(length: int) -> bytes:
    """The beginning of an item or fragment of so many bytes."""
    return struct.pack("<HHI", 0xFFFE, 0xE000, length)
