"""Bytes in memory as a ByteSource, and encapsulated pixel data made from fragments."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import NamedTuple

from dicomweb_core.values.blobs import Span


class Octets:
    """A ByteSource that refuses what a blob refuses, and knows how much was read."""

    def __init__(self, content: bytes) -> None:
        self._content = content
        self.reads = 0
        self.longest_read = 0

    @property
    def size(self) -> int:
        """In bytes."""
        return len(self._content)

    def read(self, offset: int, length: int, /) -> bytes:
        """Exactly these bytes."""
        if offset < 0 or length < 0 or offset + length > len(self._content):
            raise ValueError("read beyond the end")
        self.reads += 1
        self.longest_read = max(self.longest_read, length)
        return self._content[offset : offset + length]


class Encapsulated(NamedTuple):
    """Encapsulated pixel data in a file, as a scanner reports them."""

    source: Octets
    basic_offset_table: Span
    fragments: bytes
    item_offsets: tuple[int, ...]


def encapsulated(fragments: Sequence[bytes], table: bytes = b"", lead: int = 100) -> Encapsulated:
    """Items behind `lead` other bytes (PS3.5 Table A.4-1)."""
    content = bytearray(b"\xee" * lead + struct.pack("<HHI", 0xFFFE, 0xE000, len(table)) + table)
    first = len(content)
    spans, items = bytearray(), []
    for fragment in fragments:
        items.append(len(content) - first)
        content += struct.pack("<HHI", 0xFFFE, 0xE000, len(fragment))
        spans += struct.pack("<QQ", len(content), len(fragment))
        content += fragment
    content += struct.pack("<HHI", 0xFFFE, 0xE0DD, 0)
    return Encapsulated(Octets(bytes(content)), Span(lead + 8, len(table)), bytes(spans), tuple(items))
