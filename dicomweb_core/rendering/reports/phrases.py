"""What the value of a content item consists of, before it is written as HTML or as text."""

from __future__ import annotations

from enum import Enum
from typing import NamedTuple

from dicomweb_core.rendering.reports.wording import items, line, text
from dicomweb_core.values.attributes import Attributes


class Tone(Enum):
    """How words are meant."""

    VALUE = "value"
    NUMBER = "number"
    PROSE = "prose"
    """Of several lines, perhaps."""
    NOTE = "note"
    """Words of ours about the value."""


class Words(NamedTuple):
    """A text."""

    text: str
    tone: Tone = Tone.VALUE


class CodedEntry(NamedTuple):
    """A code (PS3.3 8.8). All may be empty."""

    value: str
    scheme: str
    meaning: str

    @property
    def readable(self) -> str:
        """The meaning, or the code where it has none."""
        return self.meaning or self.value or "(no code)"

    @property
    def symbol(self) -> str:
        """As a unit: the UCUM symbol where it can be read, otherwise the meaning (PS3.3 7.2.2)."""
        legible = self.scheme == "UCUM" and self.value != "1" and not set(self.value) & set("{}[]")
        return self.value if legible and self.value else self.readable

    @property
    def code(self) -> str:
        """Value and scheme, or an empty text."""
        return ", ".join(part for part in (self.value, self.scheme) if part)


class Unit(NamedTuple):
    """The unit of the number before it."""

    entry: CodedEntry


class ReferencedInstance(NamedTuple):
    """Another instance (PS3.3 10.8). The UIDs are what the object says, they may be no UIDs."""

    class_uid: str
    class_name: str
    instance_uid: str
    frames: tuple[int, ...]
    """Numbers, 1-based; empty: all."""
    details: tuple[str, ...]
    pictured: bool
    """Whether a thumbnail shows something."""


class Tabulated(NamedTuple):
    """A table (PS3.3 C.18.10). `rows` are of one length; `columns` and `names` are headings, empty ones included."""

    columns: tuple[str, ...]
    names: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


Phrase = Words | CodedEntry | Unit | ReferencedInstance | Tabulated


def coded_entry(item: Attributes) -> CodedEntry:
    """The code in an item of a code sequence: short, long or URN value (PS3.3 8.1)."""
    value = next(filter(None, (line(text(item, tag)) for tag in ("00080100", "00080119", "00080120"))), "")
    return CodedEntry(value, line(text(item, "00080102")), line(text(item, "00080104")))


def coded_entries(attributes: Attributes, tag: str) -> list[CodedEntry]:
    """Those of a code sequence that say something."""
    return [entry for item in items(attributes, tag) if any(entry := coded_entry(item))]
