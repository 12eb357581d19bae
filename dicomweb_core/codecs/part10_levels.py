"""Where the scanner stands: data sets, sequences, and the budget of one file."""

from __future__ import annotations

from typing import Final, NamedTuple

from dicomweb_core.codecs.character_sets import CharacterSet
from dicomweb_core.errors import InvalidDataset, TooLarge
from dicomweb_core.values.attributes import Attribute, Attributes
from dicomweb_core.values.limits import Limits

MAX_WARNINGS: Final = 32
DEEPEST: Final = 80
"""Sequences nested deeper than this make JSON that orjson does not write (three brackets each, 254 at most)."""


def tag_name(tag: int) -> str:
    """As errors write it: (0010,0020)."""
    return f"({tag >> 16:04X},{tag & 0xFFFF:04X})"


class Element(NamedTuple):
    """An element whose header was read."""

    tag: int
    key: str
    at: int
    vr: str
    """As written, or as the dictionary has it."""
    length: int
    begin: int
    """The first byte of the value field."""
    guessed: bool
    """The VR comes from the dictionary."""


class Level:
    """A data set that is being read: the whole one (`sequence` is None) or an item."""

    __slots__ = (
        "attributes",
        "big_endian",
        "charset",
        "delimited",
        "disordered",
        "end",
        "implicit",
        "last",
        "scrap",
        "sequence",
    )

    def __init__(self, sequence: Sequence | None, end: int, charset: CharacterSet, *, delimited: bool) -> None:
        self.sequence = sequence
        self.attributes: Attributes = {}
        self.end = end
        """The first byte behind, or that of the next longer thing if `delimited`."""
        self.delimited = delimited
        """Of undefined length, ended by an Item Delimitation Item."""
        self.charset = charset
        self.implicit = False
        self.big_endian = False
        self.last = 0
        """The largest tag so far."""
        self.disordered = False
        self.scrap = False
        """Belongs to a repeated element, which is read over."""

    @property
    def parent(self) -> Level | None:
        """The data set the sequence is in."""
        return self.sequence.parent if self.sequence is not None else None

    @property
    def path(self) -> str:
        """What comes before a tag in the path of a bulk value: "" or `TAG/item/` of every sequence around."""
        parts: list[str] = []
        sequence = self.sequence
        while sequence is not None:
            parts.append(f"{sequence.key}/{len(sequence.items) - 1}/")
            sequence = sequence.parent.sequence
        return "".join(reversed(parts))


class Sequence:
    """A sequence that is being read (PS3.5 7.5)."""

    __slots__ = ("big_endian", "delimited", "depth", "detect", "end", "implicit", "items", "key", "parent")

    def __init__(self, parent: Level, key: str, end: int, *, delimited: bool) -> None:
        self.parent = parent
        self.key = key
        self.items: list[Attributes] = []
        self.end = end
        self.delimited = delimited
        self.depth: int = 1 + (parent.sequence.depth if parent.sequence is not None else 0)
        self.implicit = parent.implicit
        self.big_endian = parent.big_endian
        self.detect = False
        """Came as UN: items are Implicit VR by the standard (PS3.5 6.2.2), Explicit VR by mistake."""


class Budget:
    """What one file may cost (`Limits`), and what was odd in it."""

    __slots__ = ("_more", "_warned", "elements", "limits", "text", "warnings")

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.elements = limits.elements
        """Left, items included."""
        self.text = limits.metadata_bytes
        """Left of the JSON text, estimated before values are read."""
        self.warnings: list[str] = []
        self._warned: set[str] = set()
        self._more = 0

    def warn(self, text: str) -> None:
        """Keeps a sentence for whoever stores the instance; a few dozen at most."""
        if text in self._warned:
            return
        if len(self.warnings) >= MAX_WARNINGS:
            self._more += 1
            return
        self._warned.add(text)
        self.warnings.append(text)

    def all_warnings(self) -> tuple[str, ...]:
        """Every sentence once, in order."""
        more = (f"There are {self._more} more warnings.",) if self._more else ()
        return (*self.warnings, *more)

    def check(self) -> None:
        """Raises TooLarge when the file has cost too much."""
        if self.elements < 0:
            ceiling = self.limits.elements
            raise TooLarge(f"The data set has more than {ceiling} elements.", limit="elements", ceiling=ceiling)
        if self.text < 0:
            ceiling = self.limits.metadata_bytes
            raise TooLarge(
                f"The attributes of the data set are more than {ceiling} bytes of JSON.",
                limit="metadata_bytes",
                ceiling=ceiling,
            )

    def check_depth(self, tag: int, at: int, depth: int) -> None:
        """Raises TooLarge for a sequence that is nested too deep."""
        ceiling = min(self.limits.sequence_depth, DEEPEST)
        if depth > ceiling:
            raise TooLarge(
                f"{tag_name(tag)} at byte {at} is nested more than {ceiling} sequences deep.",
                limit="sequence_depth",
                ceiling=ceiling,
            )


def broken(tag: int, at: int, what: str) -> InvalidDataset:
    """The error for an element or item that begins at this offset."""
    return InvalidDataset(f"{tag_name(tag)} at byte {at} {what}.")


def sort_attributes(attributes: Attributes) -> None:
    """Ascending, in place: the sequence around holds this very dict (PS3.18 F.2.2)."""
    in_order: list[tuple[str, Attribute]] = sorted(attributes.items())
    attributes.clear()
    attributes.update(in_order)
