"""Writing preamble, prefix and File Meta Information (PS3.10 7.1), always Explicit VR Little Endian."""

from __future__ import annotations

import struct
from typing import Final

from dicomweb_core.codecs.explicit_vr import LONG_LENGTH_VRS, element_header
from dicomweb_core.errors import InvalidDataset
from dicomweb_core.values.blobs import ByteSource

IMPLEMENTATION_CLASS_UID: Final = "2.25.224467379138183047126163424471436712801"
IMPLEMENTATION_VERSION_NAME: Final = "DICOMWEB_CORE_0"

_PREFIX: Final = bytes(128) + b"DICM"
_GROUP_LENGTH: Final = 0x0000
_TRANSFER_SYNTAX_UID: Final = 0x0010
_LONGEST_KEPT: Final = 65_536


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


def with_transfer_syntax(source: ByteSource, dataset_offset: int, transfer_syntax_uid: str) -> bytes:
    """The File Meta Information of a file, made over for another transfer syntax; preamble of zeros and prefix before.

    The elements are kept as they are, but for the transfer syntax, the group length and private information of
    unreasonable size (0002,0102). Raises InvalidDataset.
    """
    elements = []
    at = len(_PREFIX)
    while at < dataset_offset:
        head = source.read(at, min(12, dataset_offset - at))
        element, vr, begin, length = _header(head, at)
        if begin + length > dataset_offset:
            raise InvalidDataset("The File Meta Information is not as long as it says (PS3.10 7.1).")
        if element == _TRANSFER_SYNTAX_UID:
            elements.append(_element(element, "UI", _uid(transfer_syntax_uid)))
        elif element != _GROUP_LENGTH and length <= _LONGEST_KEPT:
            elements.append(_element(element, vr, source.read(begin, length)))
        at = begin + length
    return _assembled(elements)


def _header(head: bytes, at: int) -> tuple[int, str, int, int]:
    """Number, VR, begin and length of the value of an element."""
    if len(head) < 8 or head[:2] != b"\x02\0":
        raise InvalidDataset(f"The File Meta Information is broken at byte {at} (PS3.10 7.1).")
    element, code, length = struct.unpack_from("<2xH2sH", head)
    vr = code.decode("latin_1")
    if vr not in LONG_LENGTH_VRS:
        return element, vr, at + 8, length
    if len(head) < 12:
        raise InvalidDataset(f"The File Meta Information is broken at byte {at} (PS3.10 7.1).")
    return element, vr, at + 12, int.from_bytes(head[8:12], "little")


def _element(element: int, vr: str, value: bytes) -> bytes:
    return element_header(0x00020000 | element, vr, len(value)) + value


def _assembled(elements: list[bytes]) -> bytes:
    group = b"".join(elements)
    return _PREFIX + _element(_GROUP_LENGTH, "UL", struct.pack("<I", len(group))) + group


def _uid(uid: str) -> bytes:
    value = uid.encode("ascii")
    return value + b"\0" * (len(value) % 2)
