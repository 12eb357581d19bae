"""File Meta Information (PS3.10 7.1): preamble, prefix and group 0002, always Explicit VR Little Endian."""

from __future__ import annotations

import struct
from typing import Final, NamedTuple

from dicomweb_core.codecs.window import Window
from dicomweb_core.errors import InvalidDataset
from dicomweb_core.values.uids import is_uid

_LONG: Final = frozenset({b"OB", b"OW", b"UN", b"UT", b"SQ", b"OF", b"OD", b"OL", b"OV", b"UC", b"UR", b"SV", b"UV"})
_SHORT: Final = frozenset(
    {b"AE", b"AS", b"AT", b"CS", b"DA", b"DS", b"DT", b"FL", b"FD", b"IS", b"LO", b"LT"}
    | {b"PN", b"SH", b"SL", b"SS", b"ST", b"TM", b"UI", b"UL", b"US"}
)
_MEDIA_STORAGE_SOP_CLASS: Final = 0x0002
_MEDIA_STORAGE_SOP_INSTANCE: Final = 0x0003
_TRANSFER_SYNTAX: Final = 0x0010
_WANTED: Final = frozenset({_MEDIA_STORAGE_SOP_CLASS, _MEDIA_STORAGE_SOP_INSTANCE, _TRANSFER_SYNTAX})
_MAX_ELEMENTS: Final = 1024


class FileMeta(NamedTuple):
    """What the File Meta Information says. The UIDs of the SOP are empty when absent."""

    transfer_syntax_uid: str
    sop_class_uid: str
    sop_instance_uid: str
    dataset_offset: int
    """The first byte behind."""


def read_file_meta(window: Window) -> FileMeta:
    """Reads up to the first element of another group; the group length (0002,0000) is not believed.

    The window is left there. Raises InvalidDataset when there is no prefix or no Transfer Syntax UID (0002,0010).
    """
    head = window.peek(0, 132)
    if head[128:] != b"DICM":
        raise InvalidDataset('There is no "DICM" behind a preamble of 128 bytes: this is not a Part 10 file.')
    found: dict[int, str] = {}
    at = 132
    for _ in range(_MAX_ELEMENTS):
        header = window.peek(at, 12)
        if header[:2] != b"\x02\x00":
            break
        at, element, value = _read_element(window, at, header)
        if element not in _WANTED:
            continue
        uid = value.decode("latin_1").strip(" \0")
        if found.setdefault(element, uid) != uid:
            raise InvalidDataset(f"(0002,{element:04X}) is there twice, with different values.")
    else:
        raise InvalidDataset(f"The File Meta Information has more than {_MAX_ELEMENTS} elements.")
    syntax = found.get(_TRANSFER_SYNTAX, "")
    if not is_uid(syntax):
        what = "is not a UID" if syntax else "is missing"
        raise InvalidDataset(f"The Transfer Syntax UID (0002,0010) {what}.")
    sop_class = found.get(_MEDIA_STORAGE_SOP_CLASS, "")
    return FileMeta(syntax, sop_class, found.get(_MEDIA_STORAGE_SOP_INSTANCE, ""), at)


def _read_element(window: Window, at: int, header: bytes) -> tuple[int, int, bytes]:
    """Where the next element begins, the element number, and the value if it is a wanted one."""
    if len(header) < 8:
        raise InvalidDataset(f"The File Meta Information is truncated at byte {at}.")
    element, code, length = struct.unpack_from("<2xH2sH", header)
    begin = at + 8
    if code in _LONG and len(header) == 12:
        (length,) = struct.unpack_from("<I", header, 8)
        begin = at + 12
    elif code not in _SHORT:
        raise InvalidDataset(f"(0002,{element:04X}) at byte {at} has no VR of PS3.5; group 0002 is always Explicit VR.")
    end = begin + length
    if end > window.size:
        raise InvalidDataset(f"(0002,{element:04X}) at byte {at} is longer than the file.")
    value = window.take(begin, length) if element in _WANTED and length <= 1024 else b""
    return end, element, value
