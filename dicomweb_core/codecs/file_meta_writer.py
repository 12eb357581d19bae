"""Writing preamble, prefix and File Meta Information (PS3.10 7.1), always Explicit VR Little Endian."""

from __future__ import annotations

import struct
from typing import Final

from dicomweb_core.codecs.explicit_vr import LONG_LENGTH_VRS, element_header
from dicomweb_core.errors import InvalidDataset

IMPLEMENTATION_CLASS_UID: Final = "2.25.224467379138183047126163424471436712801"
IMPLEMENTATION_VERSION_NAME: Final = "DICOMWEB_CORE_0"

_PREFIX: Final = bytes(128) + b"DICM"
_GROUP_LENGTH: Final = 0x0000
_TRANSFER_SYNTAX_UID: Final = 0x0010


def file_meta(transfer_syntax_uid: str, sop_class_uid: str, sop_instance_uid: str) -> bytes:
    """Preamble of zeros, prefix and File Meta Information of a file that we write."""
    return _assembled(
        [
            _element(0x0001, "OB", b"\x00\x01"),
            _element(0x0002, "UI", _uid(sop_class_uid)),
            _element(0x0003, "UI", _uid(sop_instance_uid)),
            _element(_TRANSFER_SYNTAX_UID, "UI", _uid(transfer_syntax_uid)),
            _element(0x0012, "UI", _uid(IMPLEMENTATION_CLASS_UID)),
            _element(0x0013, "SH", IMPLEMENTATION_VERSION_NAME.encode().ljust(16)),
        ]
    )


def with_transfer_syntax(head: bytes, transfer_syntax_uid: str) -> bytes:
    """The File Meta Information of `head` (all bytes before a data set) for another transfer syntax.

    Preamble of zeros and prefix go before. Elements other than the transfer syntax and the group length are kept as
    they are. Raises InvalidDataset.
    """
    elements = []
    begin = len(_PREFIX)
    while begin < len(head):
        element, end = _next(head, begin)
        if element == _TRANSFER_SYNTAX_UID:
            elements.append(_element(element, "UI", _uid(transfer_syntax_uid)))
        elif element != _GROUP_LENGTH:
            elements.append(head[begin:end])
        begin = end
    return _assembled(elements)


def _next(head: bytes, begin: int) -> tuple[int, int]:
    """The number of the element that begins here, and where it ends."""
    try:
        group, element, vr, length = struct.unpack_from("<HH2sH", head, begin)
        value = begin + 8
        if vr.decode("latin_1") in LONG_LENGTH_VRS:
            (length,) = struct.unpack_from("<I", head, value)
            value += 4
    except struct.error:
        raise InvalidDataset("The File Meta Information ends inside an element (PS3.10 7.1).") from None
    if group != 2 or value + length > len(head):
        raise InvalidDataset("The File Meta Information is not as long as it says (PS3.10 7.1).")
    return element, value + length


def _element(element: int, vr: str, value: bytes) -> bytes:
    return element_header(0x00020000 | element, vr, len(value)) + value


def _assembled(elements: list[bytes]) -> bytes:
    group = b"".join(elements)
    return _PREFIX + _element(_GROUP_LENGTH, "UL", struct.pack("<I", len(group))) + group


def _uid(uid: str) -> bytes:
    value = uid.encode("ascii")
    return value + b"\0" * (len(value) % 2)
