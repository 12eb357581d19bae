"""Rows of the tables and their bytes: a head in JSON or packed, then texts as they came."""

from __future__ import annotations

import struct
from collections import Counter
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

import orjson

from dicomweb_core.storage.instances import SeriesSummary, Statistics, StudySummary
from dicomweb_core.values.queries import Level
from dicomweb_core.values.resources import SeriesRef, StudyRef


@dataclass(slots=True)
class StudyRow:
    """A study. Changes while a transaction adds to it."""

    uid: str
    attributes: bytes
    series: int = 0
    instances: int = 0
    modalities: Counter[str] = field(default_factory=Counter)
    """Of how many series."""
    sop_classes: Counter[str] = field(default_factory=Counter)
    """Of how many instances."""
    version: int = 0
    """Of the last change to anything in it, out of `Counters.version`."""

    def pack(self) -> bytes:
        """For the table."""
        counts = [self.series, self.instances, dict(self.modalities), dict(self.sop_classes)]
        return _headed([self.uid, *counts, self.version], self.attributes)

    @classmethod
    def unpack(cls, packed: bytes) -> StudyRow:
        """What `pack` made."""
        (uid, series, instances, modalities, sop_classes, version), attributes = _split(packed)
        return cls(uid, attributes, series, instances, Counter(modalities), Counter(sop_classes), version)


def study_summary(packed: bytes) -> StudySummary:
    """A study's row for search."""
    (uid, series, instances, modalities, sop_classes, _version), attributes = _split(packed)
    return StudySummary(
        StudyRef(uid), attributes, series, instances, tuple(sorted(modalities)), tuple(sorted(sop_classes))
    )


@dataclass(slots=True)
class SeriesRow:
    """A series. Changes while a transaction adds to it."""

    study_id: int
    uid: str
    attributes: bytes
    instances: int = 0
    modality: str = ""

    def pack(self) -> bytes:
        """For the table."""
        return _headed([self.study_id, self.uid, self.instances, self.modality], self.attributes)

    @classmethod
    def unpack(cls, packed: bytes) -> SeriesRow:
        """What `pack` made."""
        (study_id, uid, instances, modality), attributes = _split(packed)
        return cls(study_id, uid, attributes, instances, modality)

    def summary(self, study: StudyRef) -> SeriesSummary:
        """For search."""
        return SeriesSummary(SeriesRef(study.study, self.uid), self.attributes, self.instances)


class InstanceRow(NamedTuple):
    """An instance."""

    uid: str
    sop_class_uid: str
    transfer_syntax_uid: str
    size: int
    version: int
    attributes: bytes

    def pack(self) -> bytes:
        """For the table."""
        return _headed(list(self[:5]), self.attributes)

    @classmethod
    def unpack(cls, packed: bytes) -> InstanceRow:
        """What `pack` made."""
        head, attributes = _split(packed)
        uid, sop_class, transfer_syntax, size, version = head
        return cls(uid, sop_class, transfer_syntax, size, version, attributes)


class ContentName(NamedTuple):
    """Which content file: the random token of its writer and a number that this writer used once."""

    token: bytes
    number: int

    def pack(self) -> bytes:
        """As a key: 16 bytes."""
        return self.token + self.number.to_bytes(8, "big")

    @classmethod
    def unpack(cls, packed: bytes) -> ContentName:
        """What `pack` made."""
        return cls(packed[:8], int.from_bytes(packed[8:16], "big"))


class FileRow(NamedTuple):
    """Where the Part 10 file of an instance lies, what is in it, and CRC-32 of each of its blocks (`<I` each)."""

    size: int
    name: ContentName | None
    """None: it is `content`."""
    layout: bytes
    checksums: bytes
    content: bytes

    def pack(self) -> bytes:
        """For the table."""
        name = self.name.pack() if self.name is not None else bytes(16)
        head = _FILE.pack(self.name is not None, self.size, name, len(self.layout), len(self.checksums))
        return b"".join((head, self.layout, self.checksums, self.content))

    @property
    def locator(self) -> bytes:
        """Where the bytes lie, to open them without another look; empty if they lie in the row itself."""
        return self._replace(layout=b"", content=b"").pack() if self.name is not None else b""

    @classmethod
    def unpack(cls, packed: bytes) -> FileRow:
        """What `pack` made."""
        outside, size, name, layout, checksums = _FILE.unpack_from(packed)
        at = _FILE.size
        return cls(
            size,
            ContentName.unpack(name) if outside else None,
            packed[at : at + layout],
            packed[at + layout : at + layout + checksums],
            packed[at + layout + checksums :],
        )


@dataclass(slots=True)
class Counters:
    """The last id of each level and the last version given."""

    study: int = 0
    series: int = 0
    instance: int = 0
    version: int = 0

    def pack(self) -> bytes:
        """For the table."""
        return _FOUR.pack(self.study, self.series, self.instance, self.version)

    @classmethod
    def unpack(cls, packed: bytes | None) -> Counters:
        """What `pack` made."""
        return cls(*_FOUR.unpack(packed)) if packed is not None else cls()


def pack_totals(totals: Statistics) -> bytes:
    """For the table."""
    return _FOUR.pack(*totals)


def totals_of(packed: bytes | None) -> Statistics:
    """What `pack_totals` made; nothing stored is all zeros."""
    return Statistics(*_FOUR.unpack(packed)) if packed is not None else Statistics(0, 0, 0, 0)


def total_of_level(totals: Statistics, level: Level) -> int:
    """How many entities of a level there are."""
    return totals[level - 1]


_FOUR: Final = struct.Struct(">QQQQ")
_FILE: Final = struct.Struct("<?Q16sII")
_LENGTH: Final = struct.Struct("<I")


def _headed(head: list[object], text: bytes) -> bytes:
    encoded = orjson.dumps(head)
    return _LENGTH.pack(len(encoded)) + encoded + text


def _split(packed: bytes) -> tuple[list[Any], bytes]:
    end = 4 + _LENGTH.unpack_from(packed)[0]
    head: list[Any] = orjson.loads(packed[4:end])
    return head, packed[end:]
