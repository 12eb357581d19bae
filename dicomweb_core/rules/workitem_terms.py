"""What an index keeps of a workitem and what a search asks of it (PS3.4 CC.2.8, Table CC.2.5-3), and their order.

A workitem that matches the keys has every term of `probes`, and its order lies in `start_range`: what has them is a
superset that has to be matched again. The same normalisation as in `matching`.
"""

from __future__ import annotations

from typing import Final

from dicomweb_core.rules import date_times
from dicomweb_core.rules.index_terms import term_bytes
from dicomweb_core.rules.levels import TIMEZONE_OFFSET
from dicomweb_core.rules.texts import normal, texts_of, values_of
from dicomweb_core.values.attributes import Attributes
from dicomweb_core.values.queries import AllValues, AnyUID, MatchKey, Range, SingleValue, WithinItem

SOP_INSTANCE_UID: Final = "00080018"
START: Final = "00404005"
"""Scheduled Procedure Step Start DateTime."""

NO_START: Final = "0" * 20
"""In the order of a workitem without one start that is a DT: before all others."""

_INDEXED: Final = {
    ("00741000",): ("CS", 1),  # Procedure Step State
    ("00404025", "00080100"): ("SH", 2),  # Scheduled Station Name Code Sequence > Code Value
    ("00741202",): ("LO", 3),  # Worklist Label
    ("00100020",): ("LO", 4),  # Patient ID
}
"""Where an indexed value is, its VR, and the first byte of its terms. Stores have written these bytes."""

_WEST_MOST: Final = 12 * 60
_EAST_MOST: Final = 14 * 60
"""Minutes a time zone is away from UTC (PS3.5 6.2 DT)."""


def start_of(attributes: Attributes) -> str:
    """The start in UTC if its zone is known, else as it is written: 20 digits, that sort. NO_START if there is none."""
    found = [date_times.moment(text) for text in texts_of(attributes.get(START))]
    at = found[0] if len(found) == 1 else None
    if at is None:
        return NO_START
    zone = at.offset
    if zone is None:
        zone = next((date_times.offset(text) for text in texts_of(attributes.get(TIMEZONE_OFFSET))), None)
    return date_times.shifted(at.digits, -zone) if zone else at.digits


def order_of(uid: str, attributes: Attributes) -> bytes:
    """Sorts workitems by start, then by UID, which begins behind 20 bytes. At most 84 bytes."""
    return (start_of(attributes) + uid).encode("ascii")


def terms(attributes: Attributes) -> frozenset[bytes]:
    """The terms of a workitem, each at most 121 bytes."""
    found: set[bytes] = set()
    for path, (_, code) in _INDEXED.items():
        within = [attributes]
        for tag in path[:-1]:
            within = [item for outer in within for item in values_of(outer.get(tag)) if isinstance(item, dict)]
        found.update(_term(code, text) for item in within for text in texts_of(item.get(path[-1])))
    return frozenset(found)


def probes(keys: tuple[MatchKey, ...]) -> tuple[bytes, ...]:
    """Terms that every match has."""
    return tuple(sorted(set(_probes((), keys))))


def uids(keys: tuple[MatchKey, ...]) -> frozenset[str] | None:
    """The SOP Instance UIDs one of which every match has; None if the keys do not say."""
    for key in keys:
        if key.tag == SOP_INSTANCE_UID and key.creator is None:
            match key.condition:
                case AnyUID(values):
                    return values
                case SingleValue(value):
                    return frozenset((normal(value),))
    return None


def start_range(keys: tuple[MatchKey, ...]) -> tuple[str, str]:
    """First and last start of the matches that have one start, 20 digits each. Others are not in it, and may match."""
    first, last = NO_START, "9" * 20
    for key in keys:
        if key.tag == START and key.vr == "DT":
            match key.condition:
                case SingleValue(value):
                    ends: tuple[str | None, str | None] = (value, value)
                case Range(begin, end):
                    ends = (begin, end)
                case _:
                    continue
            # A zone that only one of both has is left out of account by matching: any zone may be meant.
            first = max(first, _moved(ends[0], -_EAST_MOST) or first)
            last = min(last, _moved(ends[1], _WEST_MOST) or last)
    return first, last


def _moved(end: str | None, minutes: int) -> str | None:
    """None for an open end, and at the ends of time."""
    if end is None:
        return None
    digits = date_times.split_offset(end).digits
    moved = date_times.shifted(digits, minutes)
    return None if moved == digits else moved


def _probes(path: tuple[str, ...], keys: tuple[MatchKey, ...]) -> list[bytes]:
    found = []
    for key in keys:
        if key.creator is not None:
            continue
        here = (*path, key.tag)
        vr, code = _INDEXED.get(here, ("", 0))
        match key.condition:
            case WithinItem(inner) if not path:
                found += _probes(here, inner)
            case SingleValue(value) if vr == key.vr:
                found.append(_term(code, normal(value)))
            case AllValues(several) if vr == key.vr:
                found += [_term(code, normal(value)) for value in several]
    return found


def _term(code: int, text: str) -> bytes:
    return bytes((code,)) + term_bytes(text)
