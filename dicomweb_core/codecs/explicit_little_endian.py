"""A stored Part 10 file in Explicit VR Little Endian, whatever it was stored in (PS3.18 8.7.3.4, PS3.5 A.2)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Final

from dicomweb_core.codecs.byte_order import WORD_BYTES, swapped, word_bytes
from dicomweb_core.codecs.dataset_walk import Kind, Step, walk
from dicomweb_core.codecs.explicit_vr import (
    ITEM,
    ITEM_DELIMITATION,
    SEQUENCE_DELIMITATION,
    UNDEFINED_LENGTH,
    element_header,
    item_header,
)
from dicomweb_core.codecs.window import Window
from dicomweb_core.values.attributes import PIXEL_DATA
from dicomweb_core.values.blobs import ByteSource
from dicomweb_core.values.limits import Limits
from dicomweb_core.values.transfer_syntaxes import transfer_syntax

_GATHERED_BYTES: Final = 65_536
_TEXT_BYTES: Final = 256
_BITS_ALLOCATED: Final = 0x00280100
_PIXEL_REPRESENTATION: Final = 0x00280103
_PIXEL_DATA: Final = frozenset(int(tag, 16) for tag in PIXEL_DATA)
_STRUCTURE: Final = {
    Kind.ITEM: ITEM,
    Kind.ITEM_END: ITEM_DELIMITATION,
    Kind.SEQUENCE_END: SEQUENCE_DELIMITATION,
}


class ExplicitCopy:
    """The data set of a stored file, step by step, to be written again in Explicit VR Little Endian.

    Offsets of a deflated source count inflated bytes, see `InstanceLayout`. The elements are those of the source, in
    its order and with its bytes but for byte order; sequences and items get undefined lengths, group lengths are left
    out, and values too long for their VR become UN.
    """

    def __init__(self, source: ByteSource, dataset_offset: int, *, transfer_syntax_uid: str, limits: Limits) -> None:
        syntax = transfer_syntax(transfer_syntax_uid)

        def steps(window: Window) -> Iterator[Step]:
            return walk(window, dataset_offset, implicit=syntax.implicit, big_endian=syntax.big_endian)

        self._window = Window(source, dataset_offset, forwards=syntax.deflated)
        self._walk = steps(self._window)
        self._images = _Images(lambda: _top_pixel_representation(source, dataset_offset, steps))
        self._chunk_bytes = limits.chunk_bytes

    def unchanged(self) -> Iterator[bytes]:
        """The whole data set in pieces of any size. Raises InvalidDataset."""
        for step in self.steps():
            yield from self.encoded(step)

    def steps(self) -> Iterator[Step]:
        """What comes, once; each step is encoded, read or left out before the next is asked for."""
        for step in self._walk:
            self._images.note(step, self._window)
            yield step

    def encoded(self, step: Step) -> Iterator[bytes]:
        """The bytes of a step, a value in chunks. Raises InvalidDataset."""
        word = 1
        if step.kind in _STRUCTURE:
            yield _STRUCTURE[step.kind]
            return
        if step.kind is Kind.FRAGMENT:
            yield item_header(step.length)
        elif step.kind is Kind.VALUE:
            vr = _resolved_vr(step, self._images)
            yield element_header(step.tag, vr, step.length)
            if step.big_endian:
                pixels = step.tag in _PIXEL_DATA
                word = word_bytes(vr, self._images.bits_allocated) if pixels else WORD_BYTES.get(vr, 1)
        else:
            yield element_header(step.tag, step.vr, UNDEFINED_LENGTH)
        if step.length:
            yield from swapped(_value(self._window, step, self._chunk_bytes), word)

    def number(self, step: Step) -> int | None:
        """The only value of a step as an unsigned number of 16 bits; None if it is none."""
        return _number(step, self._window) if step.kind is Kind.VALUE and step.length == 2 else None

    def text(self, step: Step) -> str:
        """The value of a step as a short text without padding; empty if it is none."""
        if step.kind is not Kind.VALUE or step.length > _TEXT_BYTES:
            return ""
        return self._window.peek(step.begin, step.length).decode("latin_1").strip(" \0")


def gathered(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """The same bytes in chunks worth sending: small pieces are joined, large ones are passed on as they are."""
    joined = bytearray()
    for piece in pieces:
        if len(piece) < _GATHERED_BYTES:
            joined += piece
            if len(joined) < _GATHERED_BYTES:
                continue
            piece = b""
        if joined:
            yield bytes(joined)
            joined.clear()
        if piece:
            yield piece
    if joined:
        yield bytes(joined)


def _value(window: Window, step: Step, chunk_bytes: int) -> Iterator[bytes]:
    """The value field or fragment of a step, in chunks of whole words; nothing for other steps."""
    chunk_bytes = max(chunk_bytes // 8, 1) * 8
    for done in range(0, step.length, chunk_bytes):
        yield window.take(step.begin + done, min(chunk_bytes, step.length - done))


def _resolved_vr(step: Step, images: _Images) -> str:
    """One VR where the dictionary has several (PS3.5 A.1)."""
    if step.vr == "US or SS":
        return "SS" if images.signed else "US"
    if step.vr == "US or OW":
        return "US" if step.length == 2 else "OW"
    return "OW" if step.vr.endswith(" or OW") else step.vr


class _Images:
    """What the data sets that are open say about their pixels (PS3.3 C.7.6.3): the innermost that says it is right."""

    def __init__(self, look_ahead: Callable[[], int]) -> None:
        """`look_ahead` finds the Pixel Representation of the outermost data set, where it is needed before its turn."""
        self._look_ahead = look_ahead
        self._signs: list[int | None] = [None]
        self._bits = [0]

    def note(self, step: Step, window: Window) -> None:
        """Follows the steps of the walk, each before its value is taken."""
        if step.kind is Kind.ITEM:
            self._signs.append(None)
            self._bits.append(0)
        elif step.kind is Kind.ITEM_END:
            self._signs.pop()
            self._bits.pop()
        elif step.tag == _PIXEL_REPRESENTATION and self._signs[-1] is None:
            self._signs[-1] = _number(step, window)
        elif step.tag == _BITS_ALLOCATED and not self._bits[-1]:
            self._bits[-1] = _number(step, window)

    @property
    def bits_allocated(self) -> int:
        """Of the innermost data set, 0 when it does not say."""
        return self._bits[-1]

    @property
    def signed(self) -> bool:
        """Whether pixels are signed (0028,0103)."""
        if all(sign is None for sign in self._signs):
            self._signs[0] = self._look_ahead()
        return next((sign for sign in reversed(self._signs) if sign is not None), 0) == 1


def _top_pixel_representation(
    source: ByteSource, dataset_offset: int, steps: Callable[[Window], Iterator[Step]]
) -> int:
    window = Window(source, dataset_offset, forwards=True)
    for step in steps(window):
        if step.top and step.tag >= _PIXEL_REPRESENTATION:
            return _number(step, window) if step.tag == _PIXEL_REPRESENTATION else 0
    return 0


def _number(step: Step, window: Window) -> int:
    """A US value, 0 if it is none."""
    if step.length != 2:
        return 0
    return int.from_bytes(window.peek(step.begin, 2), "big" if step.big_endian else "little")
