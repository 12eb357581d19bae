"""Encapsulated pixel data as they lie in a file: a Basic Offset Table and fragments (PS3.5 A.4)."""

from __future__ import annotations

import struct
from array import array
from sys import byteorder
from typing import Final, NamedTuple

from dicomweb_core.codecs.part10_levels import Element, Level, broken, tag_name
from dicomweb_core.codecs.window import Window
from dicomweb_core.errors import TooLarge
from dicomweb_core.values.blobs import Span
from dicomweb_core.values.limits import Limits

_ITEM: Final = 0xFFFEE000
_SEQUENCE_END: Final = 0xFFFEE0DD
_UNDEFINED: Final = 0xFFFFFFFF


class Fragments(NamedTuple):
    """What lies between the header of the element and its sequence delimiter."""

    basic_offset_table: Span | None
    """The content of the first item; None when there is no item at all."""
    fragments: bytes
    """(offset, length) of the content of every other item, `<QQ` each."""
    length: int
    """Bytes from the first item tag to the sequence delimiter."""
    stop: int
    """The first byte behind the sequence delimiter."""


def walk_fragments(window: Window, element: Element, level: Level, limits: Limits) -> Fragments:
    """Reads the item headers only. Raises InvalidDataset where they are broken or cut, TooLarge for too many."""
    header = struct.Struct(">HHI" if level.big_endian else "<HHI").unpack
    at = element.begin
    spans = array("Q")
    most = 2 * (limits.fragments + 1)
    while True:
        head = window.peek_far(at, 8)
        if len(head) < 8 or at + 8 > level.end:
            raise broken(element.tag, element.at, "is truncated: it has no sequence delimiter")
        group, number, length = header(head)
        tag = group << 16 | number
        if tag == _SEQUENCE_END:
            break
        stop = at + 8 + length
        if tag != _ITEM or length == _UNDEFINED:
            raise broken(tag, at, "stands where a fragment must")
        if stop > level.end:
            raise broken(tag, at, f"is a fragment of {length} bytes, which is more than there are")
        if len(spans) >= most:
            raise TooLarge(
                f"{tag_name(element.tag)} has more than {limits.fragments} fragments.",
                limit="fragments",
                ceiling=limits.fragments,
            )
        spans.append(at + 8)
        spans.append(length)
        at = stop
    if length:
        raise broken(tag, at, "has a length")
    table = Span(spans[0], spans[1]) if spans else None
    return Fragments(table, _little_endian(spans[2:]), at - element.begin, at + 8)


def _little_endian(numbers: array[int]) -> bytes:
    if byteorder == "big":
        numbers.byteswap()
    return numbers.tobytes()
