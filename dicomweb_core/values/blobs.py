"""Spans of stored bytes, and where things lie in a stored Part 10 file."""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from typing import Final, NamedTuple, Protocol

import orjson


class ByteSource(Protocol):
    """Bytes that can be read anywhere."""

    @property
    def size(self) -> int:
        """In bytes."""

    def read(self, offset: int, length: int, /) -> bytes:
        """Exactly these bytes. Raises ValueError beyond the end."""


class Span(NamedTuple):
    """Bytes of a blob: 0-based offset and length, both in bytes."""

    offset: int
    length: int


class BulkValue(NamedTuple):
    """A value left out of the metadata: its path (PS3.18 13 of our URLs), VR and where its bytes lie.

    `path` is what stands behind `/bulkdata/`: the tag in 8 upper-case hex digits, inside sequences
    `TAG/item/TAG`, items counted from 0. The bytes are as stored: in a big endian data set numbers are big endian.
    Encapsulated Pixel Data has the span of its fragments, from the item tag of the offset table to the last
    fragment (PS3.5 A.4), without the sequence delimiter.
    """

    path: str
    vr: str
    offset: int
    length: int
    encapsulated: bool = False


@dataclass(frozen=True, slots=True)
class FrameIndex:
    """Where each frame of an instance lies in its Part 10 file. Frame indexes are 0-based.

    Native pixel data: `frame_bits` is the size of a frame in *bits*, frames follow one another from `offset`
    without padding (PS3.5 8.2, 8.1.1: only 1-bit frames can begin inside a byte); `spans` is empty.

    Encapsulated: `spans` is an array of (offset, length) of all fragments, `<QQ` each, 16 bytes an entry, without
    item headers. `first_fragment` is empty when every frame has exactly one fragment; else an array `<I` of
    `count + 1` fragment indexes, frame i being fragments first[i]..first[i+1]-1 (PS3.5 A.4).
    """

    count: int
    element: str = "7FE00010"
    offset: int = 0
    frame_bits: int = 0
    spans: bytes = b""
    first_fragment: bytes = b""

    @property
    def encapsulated(self) -> bool:
        """Whether the frames are codestreams in fragments."""
        return bool(self.spans) or self.frame_bits == 0

    def fragments(self, index: int) -> tuple[Span, ...]:
        """The spans whose concatenation is the frame, whole bytes. Raises IndexError.

        A native frame of 1-bit samples may begin and end inside a byte: the span covers it, `bit_shift` says
        where it begins.
        """
        if not 0 <= index < self.count:
            raise IndexError(index)
        if not self.encapsulated:
            first_bit = index * self.frame_bits
            begin, end = first_bit // 8, (first_bit + self.frame_bits + 7) // 8
            return (Span(self.offset + begin, end - begin),)
        if not self.first_fragment:
            return (Span(*_SPAN.unpack_from(self.spans, index * 16)),)
        first, end = struct.unpack_from("<II", self.first_fragment, index * 4)
        return tuple(Span(*_SPAN.unpack_from(self.spans, i * 16)) for i in range(first, end))

    def bit_shift(self, index: int) -> int:
        """How many low bits of the first byte belong to the frame before (PS3.5 8.1.1); 0 but for 1-bit data."""
        return index * self.frame_bits % 8

    def length(self, index: int) -> int:
        """Bytes of the frame as sent: for 1-bit data the bytes that hold its bits when begun at bit 0."""
        if self.encapsulated:
            return sum(span.length for span in self.fragments(index))
        return (self.frame_bits + 7) // 8

    def pack(self) -> bytes:
        """A compact form for storage. `unpack` reads it."""
        element = int(self.element, 16)
        head = _HEAD.pack(
            1, element, self.count, self.offset, self.frame_bits, len(self.spans), len(self.first_fragment)
        )
        return head + self.spans + self.first_fragment

    @classmethod
    def unpack(cls, data: bytes | memoryview) -> FrameIndex:
        """What `pack` made."""
        _version, element, count, offset, frame_bits, spans, first = _HEAD.unpack_from(data)
        at = _HEAD.size
        return cls(
            count=count,
            element=f"{element:08X}",
            offset=offset,
            frame_bits=frame_bits,
            spans=bytes(data[at : at + spans]),
            first_fragment=bytes(data[at + spans : at + spans + first]),
        )


_SPAN: Final = struct.Struct("<QQ")
_HEAD: Final = struct.Struct("<BIQQQQQ")


@dataclass(frozen=True, slots=True)
class InstanceLayout:
    """Where things lie in a stored Part 10 file.

    For a deflated data set (PS3.5 A.5) offsets from `dataset_offset` on count *inflated* bytes, as if the data set
    had been stored inflated behind the File Meta Information.
    """

    dataset_offset: int
    """The first byte behind the File Meta Information."""
    bulk: tuple[BulkValue, ...] = ()
    frames: FrameIndex | None = None
    deflated: bool = False
    dataset_length: int = 0
    """Bytes of the data set, inflated if it is deflated."""
    traits: dict[str, str | int] = field(default_factory=dict)
    """Attributes that answers need without opening metadata: `photometric`, `bits_allocated`, `sop_class`..."""

    def bulk_value(self, path: str) -> BulkValue | None:
        """The bulk value at a path, or None."""
        return next((value for value in self.bulk if value.path == path), None)

    def pack(self) -> bytes:
        """A compact form for storage. `unpack` reads it."""
        head = orjson.dumps(
            [
                self.dataset_offset,
                self.dataset_length,
                self.deflated,
                [list(b) for b in self.bulk],
                self.traits,
            ]
        )
        frames = self.frames.pack() if self.frames is not None else b""
        return len(head).to_bytes(4, "little") + head + frames

    @classmethod
    def unpack(cls, data: bytes) -> InstanceLayout:
        """What `pack` made."""
        end = 4 + int.from_bytes(data[:4], "little")
        offset, length, deflated, bulk, traits = orjson.loads(data[4:end])
        frames = FrameIndex.unpack(memoryview(data)[end:]) if len(data) > end else None
        return cls(offset, tuple(BulkValue(*b) for b in bulk), frames, deflated, length, traits)
