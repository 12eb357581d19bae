"""The value of a content item by its Value Type, as phrases (PS3.3 C.17.3.2.1, C.18)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

from dicomweb_core.rendering.reports.phrases import (
    Phrase,
    ReferencedInstance,
    Tone,
    Unit,
    Words,
    coded_entries,
)
from dicomweb_core.rendering.reports.tables import tabulated
from dicomweb_core.rendering.reports.wording import is_elsewhere, items, keyword, line, text, texts, whole_numbers
from dicomweb_core.values.attributes import Attributes

_SHOWN: Final = 16
"""Points, channels, times and the like that are written out; of the others the number is said."""

_TERM_WORDS: Final = {
    "POINT": "point",
    "MULTIPOINT": "points",
    "POLYLINE": "polyline",
    "POLYGON": "polygon",
    "CIRCLE": "circle",
    "ELLIPSE": "ellipse",
    "ELLIPSOID": "ellipsoid",
    "MULTISEGMENT": "segments in pairs of points from",
    "SEGMENT": "segment from",
    "BEGIN": "from",
    "END": "until",
}
"""Graphic Type (PS3.3 C.18.6.1.2, C.18.9.1.2) and Temporal Range Type (C.18.7.1.1)."""


def value_of(attributes: Attributes, value_type: str) -> list[Phrase]:
    """What the item says. Of an unknown value type whatever is there; never nothing, but for containers."""
    if value_type == "CONTAINER":
        return []
    read = _READERS.get(value_type)
    phrases = list(read(attributes)) if read else [phrase for read in _ANY for phrase in read(attributes)]
    return phrases or [Words("no value", Tone.NOTE)]


def referenced_instance(item: Attributes, *, pictured: bool = False) -> ReferencedInstance:
    """An item of Referenced SOP Sequence (PS3.3 10.8, C.18.4, C.18.5)."""
    details = [f"segment {number}" for number in whole_numbers(item, "0062000B")[:_SHOWN]]
    channels = [str(number) for number in whole_numbers(item, "0040A0B0")]
    # multiplex group and channel, in pairs
    details += [f"channel {'/'.join(channels[at : at + 2])}" for at in range(0, len(channels), 2)][:_SHOWN]
    if len(channels) > 2 * _SHOWN:
        details.append(f"{len(channels) // 2 - _SHOWN} more channels")
    details += [
        f"shown with {text(state, '00081150') or 'another object'}" for state in items(item, "00081199")[:_SHOWN]
    ]
    return ReferencedInstance(
        class_uid=line(keyword(item, "00081150")),
        class_name=text(item, "00081150") or "Instance",
        instance_uid=line(keyword(item, "00081155")),
        frames=whole_numbers(item, "00081160"),
        details=tuple(details),
        pictured=pictured,
    )


def _worded(tag: str, tone: Tone = Tone.VALUE) -> Callable[[Attributes], Iterator[Phrase]]:
    def read(attributes: Attributes) -> Iterator[Phrase]:
        if is_elsewhere(attributes, tag):
            yield Words("a value too large to be shown here", Tone.NOTE)
        yield from (Words(value, tone) for value in texts(attributes, tag))

    return read


def _code(attributes: Attributes) -> Iterator[Phrase]:
    yield from coded_entries(attributes, "0040A168")


def _number(attributes: Attributes) -> Iterator[Phrase]:
    """Numeric Value, or where it is missing the more exact ones (PS3.3 C.18.1)."""
    for measured in items(attributes, "0040A300"):
        numerators, denominators = texts(measured, "0040A162"), texts(measured, "0040A163")
        fractions = [f"{top}/{bottom}" for top, bottom in zip(numerators, denominators, strict=False)]
        for number in texts(measured, "0040A30A") or fractions or texts(measured, "0040A161"):
            yield Words(line(number), Tone.NUMBER)
            yield from (Unit(unit) for unit in coded_entries(measured, "004008EA"))
    yield from coded_entries(attributes, "0040A301")


def _references(*, pictured: bool) -> Callable[[Attributes], Iterator[Phrase]]:
    def read(attributes: Attributes) -> Iterator[Phrase]:
        yield from (referenced_instance(item, pictured=pictured) for item in items(attributes, "00081199"))

    return read


def _coordinates(axes: int) -> Callable[[Attributes], Iterator[Phrase]]:
    def read(attributes: Attributes) -> Iterator[Phrase]:
        term = keyword(attributes, "00700023")
        if is_elsewhere(attributes, "00700022"):
            yield Words(f"{_TERM_WORDS.get(term, line(term).lower())}, too many points to be shown here", Tone.NOTE)
            return
        numbers = texts(attributes, "00700022")
        if not (term or numbers):
            return
        points = [f"({', '.join(numbers[at : at + axes])})" for at in range(0, len(numbers), axes)][:_SHOWN]
        yield Words(" ".join([_TERM_WORDS.get(term, line(term).lower()), *points]).strip())
        if len(numbers) > axes * _SHOWN:
            yield Words(f"and {-(-len(numbers) // axes) - _SHOWN} more points", Tone.NOTE)
        yield Words("in mm, of the patient" if axes == 3 else "column, row", Tone.NOTE)

    return read


def _times(attributes: Attributes) -> Iterator[Phrase]:
    term = keyword(attributes, "0040A130")
    if term:
        yield Words(_TERM_WORDS.get(term, line(term).lower()))
    for tag, unit in (("0040A132", "samples"), ("0040A138", "s"), ("0040A13A", "")):
        found = texts(attributes, tag)
        if found:
            yield Words(", ".join(map(line, found[:_SHOWN])) + (f" {unit}" if unit else ""))
        if len(found) > _SHOWN:
            yield Words(f"and {len(found) - _SHOWN} more", Tone.NOTE)


def _table(attributes: Attributes) -> Iterator[Phrase]:
    yield from map(tabulated, items(attributes, "0040A801"))


_READERS: Final[dict[str, Callable[[Attributes], Iterator[Phrase]]]] = {
    "TEXT": _worded("0040A160", Tone.PROSE),
    "CODE": _code,
    "NUM": _number,
    "PNAME": _worded("0040A123"),
    "DATE": _worded("0040A121"),
    "TIME": _worded("0040A122"),
    "DATETIME": _worded("0040A120"),
    "UIDREF": _worded("0040A124"),
    "IMAGE": _references(pictured=True),
    "WAVEFORM": _references(pictured=True),
    "COMPOSITE": _references(pictured=False),
    "SCOORD": _coordinates(2),
    "SCOORD3D": _coordinates(3),
    "TCOORD": _times,
    "TABLE": _table,
}
"""Value type to what reads its value."""

_ANY: Final = tuple(read for name, read in _READERS.items() if name not in ("IMAGE", "WAVEFORM", "SCOORD3D"))
