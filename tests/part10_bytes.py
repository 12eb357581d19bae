"""Part 10 files built byte by byte, also broken ones that no library writes."""

from __future__ import annotations

import struct
import zlib

EXPLICIT = "1.2.840.10008.1.2.1"
IMPLICIT = "1.2.840.10008.1.2"
BIG_ENDIAN = "1.2.840.10008.1.2.2"
DEFLATED = "1.2.840.10008.1.2.1.99"
UNDEFINED = 0xFFFFFFFF
LONG_FORM = frozenset({"OB", "OD", "OF", "OL", "OV", "OW", "SQ", "SV", "UC", "UN", "UR", "UT", "UV"})


def element(tag: int, vr: str, value: bytes = b"", *, length: int | None = None, order: str = "<") -> bytes:
    """Explicit VR, as PS3.5 7.1.2 has it; `length` is what the header claims."""
    head = struct.pack(f"{order}HH", tag >> 16, tag & 0xFFFF) + vr.encode("latin_1")
    claimed = len(value) if length is None else length
    if vr in LONG_FORM:
        return head + struct.pack(f"{order}HI", 0, claimed) + value
    return head + struct.pack(f"{order}H", claimed) + value


def implicit(tag: int, value: bytes = b"", *, length: int | None = None) -> bytes:
    """Implicit VR Little Endian (PS3.5 7.1.3)."""
    return struct.pack("<HHI", tag >> 16, tag & 0xFFFF, len(value) if length is None else length) + value


def item(content: bytes = b"", *, delimited: bool = False, order: str = "<") -> bytes:
    """An item of a sequence (PS3.5 7.5)."""
    if delimited:
        head, tail = (0xFFFE, 0xE000, UNDEFINED), struct.pack(f"{order}HHI", 0xFFFE, 0xE00D, 0)
        return struct.pack(f"{order}HHI", *head) + content + tail
    return struct.pack(f"{order}HHI", 0xFFFE, 0xE000, len(content)) + content


def end(order: str = "<") -> bytes:
    """A Sequence Delimitation Item."""
    return struct.pack(f"{order}HHI", 0xFFFE, 0xE0DD, 0)


def fragments(*contents: bytes) -> bytes:
    """Encapsulated Pixel Data with these items, the Basic Offset Table first."""
    return element(0x7FE00010, "OB", length=UNDEFINED) + b"".join(map(item, contents)) + end()


def uids(*, order: str = "<") -> dict[int, bytes]:
    """What every instance must have, by tag."""
    return {
        tag: element(tag, "UI", value, order=order)
        for tag, value in (
            (0x00080016, b"1.2.840.10008.5.1.4.1.1.7\0"),
            (0x00080018, b"1.2.3.4\0"),
            (0x0020000D, b"1.2.3\0"),
            (0x0020000E, b"1.2.3.5\0"),
        )
    }


def data_set(*elements: bytes, order: str = "<") -> bytes:
    """These elements of Explicit VR and the UIDs, in the order of their tags; equal tags in the order given."""
    keyed = [(struct.unpack(f"{order}HH", each[:4]), each) for each in (*uids(order=order).values(), *elements)]
    return b"".join(each for _, each in sorted(keyed, key=lambda pair: pair[0]))


def file_meta(syntax: str = EXPLICIT) -> bytes:
    """Preamble, prefix and group 0002 with a group length."""
    padded = syntax.encode() + b"\0" * (len(syntax) % 2)
    group = (
        element(0x00020001, "OB", b"\0\1")
        + element(0x00020002, "UI", b"1.2.840.10008.5.1.4.1.1.7\0")
        + element(0x00020003, "UI", b"1.2.3.4\0")
        + element(0x00020010, "UI", padded)
    )
    return bytes(128) + b"DICM" + element(0x00020000, "UL", struct.pack("<I", len(group))) + group


def part10(*elements: bytes, syntax: str = EXPLICIT) -> bytes:
    """A whole file of Explicit VR with these elements and the UIDs."""
    order = ">" if syntax == BIG_ENDIAN else "<"
    content = data_set(*elements, order=order)
    if syntax == DEFLATED:
        content = deflated(content)
    return file_meta(syntax) + content


def deflated(content: bytes) -> bytes:
    """A raw deflate stream (PS3.5 A.5)."""
    compressor = zlib.compressobj(9, wbits=-zlib.MAX_WBITS)
    return compressor.compress(content) + compressor.flush()
