"""What an index keeps of a workitem and what a search asks of it (PS3.4 CC.2.8, Table CC.2.5-3), and their order.

A workitem that matches the keys has every term of `probes`, and its order lies in `start_range`: what has them is a
superset that has to be matched again. The same normalisation as in `matching`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from dicomweb_core.rules import date_times
from dicomweb_core.rules.index_terms import term_bytes
from dicomweb_core.rules.texts import normal, texts_of, values_of
from dicomweb_core.values.attributes import Attributes
from dicomweb_core.values.queries import AllValues, AnyUID, MatchKey, Range, SingleValue, WithinItem

SOP_INSTANCE_UID: Final = "00080018"
START: Final = "00404005"
"""Scheduled Procedure Step Start DateTime."""

NO_START: Final = "0" * 20
"""In the order of a workitem without one start that is a DT: before all others."""

_STATE: Final = 1
_STATION: Final = 2
_STATE_AND_STATION: Final = 5
"""Both in one term, since a performer asks for nothing else all day: one step instead of a walk through either."""

_INDEXED: Final = {
    ("00741000",): ("CS", _STATE),  # Procedure Step State
    ("00404025", "00080100"): ("SH", _STATION),  # Scheduled Station Name Code Sequence > Code Value
    ("00741202",): ("LO", 3),  # Worklist Label
    ("00100020",): ("LO", 4),  # Patient ID
}
"""Where an indexed value is, its VR, and the first byte of its terms. Stores have written these bytes."""

_ZONES_APART: Final = 26 * 60
"""Minutes between the time zones that are farthest apart, -1200 and +1400 (PS3.5 6.2 DT)."""


def start_of(attributes: Attributes) -> str:
    """The start as it is written, without its offset: 20 digits, that sort. NO_START if there is not exactly one."""
    found = [date_times.moment(text) for text in texts_of(attributes.get(START))]
    at = found[0] if len(found) == 1 else None
    return NO_START if at is None else at.digits


def order_of(uid: str, attributes: Attributes) -> bytes:
    """Sorts workitems by start, then by UID, which begins behind 20 bytes. At most 84 bytes."""
    return (start_of(attributes) + uid).encode("ascii")


def terms(attributes: Attributes) -> frozenset[bytes]:
    """The terms of a workitem, each at most 242 bytes."""
    found: set[bytes] = set()
    for path, (_, code) in _INDEXED.items():
        within = [attributes]
        for tag in path[:-1]:
            within = [item for outer in within for item in values_of(outer.get(tag)) if isinstance(item, dict)]
        found.update(_term(code, text) for item in within for text in texts_of(item.get(path[-1])))
    return frozenset(found | set(_combined(found)))


def probes(keys: tuple[MatchKey, ...]) -> tuple[bytes, ...]:
    """Terms that every match has."""
    found = set(_probes((), keys))
    combined = set(_combined(found))
    return tuple(sorted(combined | {term for term in found if not combined or term[0] not in (_STATE, _STATION)}))


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
            first = max(first, _moved(ends[0], key.timezone, -_ZONES_APART) or first)
            last = min(last, _moved(ends[1], key.timezone, _ZONES_APART) or last)
    return first, last


def _moved(end: str | None, timezone: int | None, minutes: int) -> str | None:
    """None for an open end, and at the ends of time. With a time zone what is written may be away from it."""
    if end is None:
        return None
    digits, offset = date_times.split_offset(end)
    if offset is None and timezone is None:
        return digits
    moved = date_times.shifted(digits, minutes)
    return None if moved == digits else moved


def _combined(found: set[bytes]) -> Iterator[bytes]:
    for state in found:
        for station in found:
            if state[0] == _STATE and station[0] == _STATION:
                yield bytes((_STATE_AND_STATION,)) + state[1:] + b"\x00" + station[1:]


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
