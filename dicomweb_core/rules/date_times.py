"""Dates and times as texts that compare by meaning (PS3.5 6.2; PS3.4 C.2.2.2.1.3, C.2.2.2.5; PS3.18 8.3.4.1.1).

A *date* is 8 digits, a *time* 12 (HHMMSSFFFFFF), a *moment* both, 20. An *offset* is in minutes east of UTC.
"""

from __future__ import annotations

import re
from calendar import monthrange
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Final, NamedTuple

from dicomweb_core.codecs.dictionary import tag_of
from dicomweb_core.errors import InvalidQuery

DAY_BEGINS: Final = "000000000000"
DAY_ENDS: Final = "235959999999"

_STEMS: Final = (
    *("Study", "Series", "Acquisition", "Content", "InstanceCreation", "PatientBirth"),
    *("PerformedProcedureStepStart", "PerformedProcedureStepEnd"),
)

TIME_OF_DATE: Final = {tag_of(f"{stem}Date") or "": tag_of(f"{stem}Time") or "" for stem in _STEMS}
"""DA attributes and the TM attributes that belong to them."""

DATE_OF_TIME: Final = {of_time: of_date for of_date, of_time in TIME_OF_DATE.items()}

_DATE: Final = re.compile(r"([0-9]{4})(?:([0-9]{2})([0-9]{2})|\.([0-9]{2})\.([0-9]{2}))")
_TIME: Final = re.compile(
    r"([01][0-9]|2[0-3])(?:([0-5][0-9])(?:([0-5][0-9]|60)(?:\.([0-9]{1,6}))?)?"
    r"|:([0-5][0-9])(?::([0-5][0-9]|60)(?:\.([0-9]{1,6}))?)?)?"
)
_OFFSET: Final = re.compile(r"([+-])(0[0-9]|1[0-4])([0-5][0-9])")
_MOMENT: Final = re.compile(r"([0-9]{4}(?:[0-9]{2}){0,5}|[0-9]{14}\.[0-9]{1,6})([+-][0-9]{4})?")
_MOMENT_RANGE: Final = re.compile(
    r"([0-9]{4}(?:[0-9]{2}){0,5}(?:\.[0-9]{1,6})?(?:[+-][0-9]{4})?)? ?- ?"
    r"([0-9]{4}(?:[0-9]{2}){0,5}(?:\.[0-9]{1,6})?(?:[+-][0-9]{4})?)?"
)


class Moment(NamedTuple):
    """A point in time as written: 20 digits, and its own offset if it has one."""

    digits: str
    offset: int | None


@lru_cache(maxsize=4096)
def date(text: str) -> str | None:
    """8 digits of a DA value that is a day of the calendar (legacy `YYYY.MM.DD` too), else None."""
    found = _DATE.fullmatch(text.strip())
    if found is None:
        return None
    year, month, day = found[1], found[2] or found[4], found[3] or found[5]
    if not 1 <= int(month) <= 12 or year == "0000" or not 1 <= int(day) <= monthrange(int(year), int(month))[1]:
        return None
    return f"{year}{month}{day}"


@lru_cache(maxsize=4096)
def time(text: str, *, last: bool = False) -> str | None:
    """12 digits of a TM value (legacy colons too), missing parts as their first or last moment. Else None."""
    found = _TIME.fullmatch(text.strip())
    if found is None:
        return None
    given = found[1] + (found[2] or found[5] or "") + (found[3] or found[6] or "") + (found[4] or found[7] or "")
    return given + (DAY_ENDS if last else DAY_BEGINS)[len(given) :]


def offset(text: str) -> int | None:
    """Minutes east of UTC of `±HHMM` (PS3.3 C.12.1.1.8), else None."""
    found = _OFFSET.fullmatch(text.strip())
    if found is None:
        return None
    minutes = int(found[2]) * 60 + int(found[3])
    if minutes > 14 * 60 or (found[1] == "-" and minutes > 12 * 60):
        return None
    return -minutes if found[1] == "-" else minutes


@lru_cache(maxsize=4096)
def moment(text: str, *, last: bool = False) -> Moment | None:
    """A DT value, missing parts as their first or last moment. Else None."""
    found = _MOMENT.fullmatch(text.strip())
    if found is None:
        return None
    zone = None
    if found[2] is not None:
        zone = offset(found[2])
        if zone is None:
            return None
    digits = found[1].replace(".", "")
    year = digits[:4]
    month = digits[4:6] or ("12" if last else "01")
    if not 1 <= int(month) <= 12 or year == "0000":
        return None
    day = digits[6:8] or (f"{monthrange(int(year), int(month))[1]:02}" if last else "01")
    if date(f"{year}{month}{day}") is None:
        return None
    clock = digits[8:]
    of_day = time(f"{clock[:6]}.{clock[6:]}" if len(clock) > 6 else clock or ("23" if last else "00"), last=last)
    return None if of_day is None else Moment(f"{year}{month}{day}{of_day}", zone)


def shifted(digits: str, minutes: int) -> str:
    """A moment moved. Beyond the years 1 to 9999 it stays where it is."""
    if not minutes:
        return digits
    try:
        year, month, day, hour, minute = digits[:4], digits[4:6], digits[6:8], digits[8:10], digits[10:12]
        at = datetime(int(year), int(month), int(day), int(hour), int(minute)) + timedelta(minutes=minutes)
    except (ValueError, OverflowError):
        return digits
    return f"{at.year:04}{at.month:02}{at.day:02}{at.hour:02}{at.minute:02}{digits[12:]}"


def split_range(vr: str, text: str) -> tuple[str, str] | None:
    """The two ends of a DA, TM or DT range as given, an open end empty; None if it is no range (PS3.4 C.2.2.2.5)."""
    if "-" not in text:
        return None
    if vr != "DT":
        first, _, last = text.partition("-")
        return first.strip(), last.strip()
    # A hyphen of DT is a range or a negative offset; a single value cannot have a negative offset (C.2.2.2.1.3).
    found = _MOMENT_RANGE.fullmatch(text)
    return ("?", "?") if found is None else (found[1] or "", found[2] or "")


def range_ends(vr: str, text: str, name: str) -> tuple[str | None, str | None] | None:
    """Normalised ends of a range, None if the text is no range. DT ends keep their offset as `±HHMM` behind.

    Raises InvalidQuery for ends that are no values of the VR, for no end at all, and when the first is the later one;
    but the times of a range of dates and times may cross midnight (PS3.18 8.3.4.1.1).
    """
    ends = split_range(vr, text)
    if ends is None:
        return None
    first = _end(vr, ends[0], name, last=False) if ends[0] else None
    last = _end(vr, ends[1], name, last=True) if ends[1] else None
    if first is None and last is None:
        raise InvalidQuery(f"The range of {name} has no end (PS3.4 C.2.2.2.5).")
    if vr != "TM" and first is not None and last is not None and _is_later(first, last):
        raise InvalidQuery(f"The range of {name} ends before it begins (PS3.4 C.2.2.2.5).")
    return first, last


def single(vr: str, text: str, name: str) -> str:
    """A DA, TM or DT value normalised. Raises InvalidQuery."""
    return _end(vr, text, name, last=False)


def split_offset(text: str) -> Moment:
    """A normalised DT end, as `range_ends` and `single` give it."""
    return Moment(text[:20], offset(text[20:]) if len(text) > 20 else None)


def _end(vr: str, text: str, name: str, *, last: bool) -> str:
    if vr == "DA":
        normal = date(text)
    elif vr == "TM":
        normal = time(text, last=last)
    else:
        at = moment(text, last=last)
        normal = None if at is None else at.digits + ("" if at.offset is None else text.strip()[-5:])
    if normal is None:
        raise InvalidQuery(f"The value of {name} is no {vr} (PS3.5 6.2).")
    return normal


def _is_later(first: str, last: str) -> bool:
    if len(first) == 8:
        return first > last
    a, b = split_offset(first), split_offset(last)
    if a.offset is None or b.offset is None:
        # one of them is local to each entity
        return a.offset == b.offset and a.digits > b.digits
    return shifted(a.digits, -a.offset) > shifted(b.digits, -b.offset)
