"""Whether an entity matches a query (PS3.4 C.2.2.2, PS3.18 8.3.4.1.1).

Stored values may be anything a device has written: what cannot be read as its VR matches nothing but universal
matching, and nothing raises. IS and DS, and all binary numbers, are equal by value, not by spelling (CP-2305).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from functools import lru_cache
from itertools import zip_longest
from typing import Any, Final

from dicomweb_core.rules import date_times, person_names
from dicomweb_core.rules.levels import TIMEZONE_OFFSET, is_private, is_private_creator
from dicomweb_core.rules.texts import is_empty, normal, text_test, texts_of, values_of
from dicomweb_core.values.attributes import Attribute, Attributes
from dicomweb_core.values.queries import (
    AllValues,
    AnyUID,
    CombinedRange,
    EmptyValue,
    MatchKey,
    Range,
    SingleValue,
    Universal,
    Wildcard,
    WithinItem,
)

NUMBER_VRS: Final = frozenset({"IS", "DS", "US", "SS", "UL", "SL", "UV", "SV", "FL", "FD"})

_INTEGER: Final = re.compile(r"[+-]?[0-9]{1,32}")
_DECIMAL: Final = re.compile(r"[+-]?(?:[0-9]{1,32}(?:\.[0-9]{0,32})?|\.[0-9]{1,32})(?:[eE][+-]?[0-9]{1,4})?")

_Test = Callable[[Attributes, Attributes], bool]
"""Of the attributes of an entity or item, and those of the entity it is in, whose time zone applies."""


def matches(keys: tuple[MatchKey, ...], attributes: Attributes, entity: Attributes | None = None) -> bool:
    """Whether all keys match. `attributes` are those of all levels in one, the computed ones included.

    For an item of a sequence, `entity` are the attributes around it, for their time zone.
    """
    around = attributes if entity is None else entity
    return all(test(attributes, around) for test in _tests(keys))


def number(value: Any) -> int | float | None:
    """A number or its text (PS3.5 6.2 IS, DS) by value, None if it is neither."""
    if isinstance(value, int | float):
        return value
    if not isinstance(value, str):
        return None
    text = value.strip()
    if _INTEGER.fullmatch(text):
        return int(text)
    return float(text) if _DECIMAL.fullmatch(text) else None


def private_elements(attributes: Attributes, tag: str, creator: str) -> Iterator[tuple[str, str]]:
    """For each block that the creator has reserved: the tags of its creator element and of the element, there or not.

    `tag` is block-independent, `gggg00ee` (PS3.5 7.8.1).
    """
    group, element = tag[:4], tag[6:]
    for block in range(0x10, 0x100):
        creator_tag = f"{group}00{block:02X}"
        if creator_tag in attributes and creator in texts_of(attributes[creator_tag]):
            yield creator_tag, f"{group}{block:02X}{element}"


def creator_elements(attributes: Attributes, group: str) -> Iterator[str]:
    """The tags of the private creators of a group."""
    for block in range(0x10, 0x100):
        if (tag := f"{group}00{block:02X}") in attributes:
            yield tag


@lru_cache(maxsize=256)
def _tests(keys: tuple[MatchKey, ...]) -> tuple[_Test, ...]:
    """Prepared once per query, since the same keys meet many entities."""
    return tuple(_test(key) for key in keys)


def _test(key: MatchKey) -> _Test:
    match key.condition:
        case Universal():
            return lambda attributes, entity: True
        case WithinItem(keys):
            return _item_test(key, keys)
        case EmptyValue():
            return lambda attributes, entity: all(is_empty(attribute) for attribute in _attributes(key, attributes))
        case CombinedRange():
            return _combined_test(key, key.condition)
        case AllValues(wanted):
            tests = [_value_test(key._replace(condition=SingleValue(value))) for value in wanted]
            return lambda attributes, entity: any(
                all(test(attribute, attributes, entity) for test in tests) for attribute in _attributes(key, attributes)
            )
    value_test = _value_test(key)
    if not is_private(key.tag):
        tag = key.tag
        return lambda attributes, entity: tag in attributes and value_test(attributes[tag], attributes, entity)
    return lambda attributes, entity: any(
        value_test(attribute, attributes, entity) for attribute in _attributes(key, attributes)
    )


def _attributes(key: MatchKey, attributes: Attributes) -> Iterator[Attribute]:
    """The attributes a key names: one, of a private key one per block of its creator, or none."""
    if key.creator is not None:
        for _, tag in private_elements(attributes, key.tag, key.creator):
            if tag in attributes:
                yield attributes[tag]
    elif is_private_creator(key.tag):
        for tag in creator_elements(attributes, key.tag[:4]):
            yield attributes[tag]
    elif key.tag in attributes:
        yield attributes[key.tag]


def _item_test(key: MatchKey, keys: tuple[MatchKey, ...]) -> _Test:
    # nested as deep as the path of a key, which the parser bounds
    tests = _tests(keys)

    def test(attributes: Attributes, entity: Attributes) -> bool:
        items = [item for a in _attributes(key, attributes) for item in values_of(a) if isinstance(item, dict)]
        # an absent sequence is as one whose only item is empty: universal and empty value matching hold
        return any(all(test(item, entity) for test in tests) for item in items or [{}])

    return test


_ValueTest = Callable[[Attribute, Attributes, Attributes], bool]


def _value_test(key: MatchKey) -> _ValueTest:
    """Whether any value of an attribute satisfies a single value, UID list, wildcard or range."""
    condition = key.condition
    if key.vr == "PN" and isinstance(condition, SingleValue | Wildcard):
        text = condition.value if isinstance(condition, SingleValue) else condition.pattern
        named = person_names.fuzzy_test(text) if key.fuzzy else person_names.literal_test(text)
        return lambda attribute, *_: any(named(value) for value in values_of(attribute) if value is not None)
    if key.vr in ("DA", "TM"):
        return _date_or_time_test(key)
    if key.vr == "DT":
        return _date_time_test(key)
    if isinstance(condition, SingleValue) and (key.vr in NUMBER_VRS or key.vr == "UN"):
        return _number_test(condition.value, also_text=key.vr == "UN")
    if isinstance(condition, Wildcard):
        like = text_test(normal(condition.pattern))
        if key.vr == "UN":
            return lambda attribute, *_: any(map(like, _any_texts(attribute)))
        return lambda attribute, *_: any(map(like, texts_of(attribute)))
    if isinstance(condition, AnyUID):
        wanted = condition.values
        return lambda attribute, *_: any(uid in wanted for uid in texts_of(attribute))
    if isinstance(condition, SingleValue):
        single = normal(condition.value)
        return lambda attribute, *_: single in texts_of(attribute)
    return lambda *_: False


def _number_test(text: str, *, also_text: bool) -> _ValueTest:
    wanted = number(text)
    single = normal(text)

    def test(attribute: Attribute, *_: Attributes) -> bool:
        if also_text and single in _any_texts(attribute):
            return True
        return wanted is not None and any(
            number(value) == wanted for value in values_of(attribute) if not also_text or not isinstance(value, str)
        )

    return test


def _any_texts(attribute: Attribute) -> Iterator[str]:
    """The values of an attribute of unknown VR; of a person name each group."""
    yield from texts_of(attribute)
    for value in values_of(attribute):
        if isinstance(value, dict) and attribute.get("vr") == "PN":
            yield from (normal(text) for text in value.values() if isinstance(text, str))


def _bounds(key: MatchKey) -> tuple[str | None, str | None]:
    match key.condition:
        case SingleValue(value):
            return value, value
        case Range(first, last) | CombinedRange(_, first, last):
            return first, last
    return "~", ""


def _zone(key: MatchKey, entity: Attributes) -> int | None:
    """What to add to a local time of the entity to have it in the zone of the key; None without both zones."""
    if key.timezone is None:
        return None
    for text in texts_of(entity.get(TIMEZONE_OFFSET)):
        minutes = date_times.offset(text)
        return None if minutes is None else key.timezone - minutes
    return None


def _date_or_time_test(key: MatchKey) -> _ValueTest:
    """A DA or TM by itself. With time zones the date depends on the time, and the other way round."""
    first, last = _bounds(key)
    normalise = date_times.date if key.vr == "DA" else date_times.time
    partner = (date_times.TIME_OF_DATE if key.vr == "DA" else date_times.DATE_OF_TIME).get(key.tag)

    def test(attribute: Attribute, attributes: Attributes, entity: Attributes) -> bool:
        zone = _zone(key, entity)
        if zone and partner:
            dates, times = (attribute, attributes.get(partner))[:: 1 if key.vr == "DA" else -1]
            part = slice(0, 8) if key.vr == "DA" else slice(8, 20)
            found: Iterator[str] = (
                date_times.shifted(date + time, zone)[part] if time and date else (date if key.vr == "DA" else time)
                for date, time in _dates_and_times(dates, times)
            )
        else:
            found = (value for text in texts_of(attribute) if (value := normalise(text)) is not None)
        return any(value and (first is None or first <= value) and (last is None or value <= last) for value in found)

    return test


def _dates_and_times(dates: Attribute | None, times: Attribute | None) -> Iterator[tuple[str, str]]:
    """The values of a DA and a TM attribute in pairs, empty where there is none or it is no date or time."""
    for date, time in zip_longest(texts_of(dates), texts_of(times)):
        yield (date and date_times.date(date)) or "", (time and date_times.time(time)) or ""


def _combined_test(key: MatchKey, condition: CombinedRange) -> _Test:
    first, last = condition.first or "", condition.last or "~"

    def test(attributes: Attributes, entity: Attributes) -> bool:
        zone = _zone(key, entity) or 0
        for date, time in _dates_and_times(attributes.get(key.tag), attributes.get(condition.time_tag)):
            if not date:
                continue
            if time:
                begin = end = date_times.shifted(date + time, zone)
            else:
                # some time that day
                begin, end = date + date_times.DAY_BEGINS, date + date_times.DAY_ENDS
            if end >= first and begin <= last:
                return True
        return False

    return test


def _date_time_test(key: MatchKey) -> _ValueTest:
    first, last = _bounds(key)
    begin = None if first is None else date_times.split_offset(first)
    end = None if last is None else date_times.split_offset(last)

    def compared(at: date_times.Moment, other: date_times.Moment, local: int | None) -> tuple[str, str]:
        """Both in UTC if both zones are known, else as they are written."""
        here = at.offset if at.offset is not None else local
        there = other.offset if other.offset is not None else key.timezone
        if here is None or there is None:
            return at.digits, other.digits
        return date_times.shifted(at.digits, -here), date_times.shifted(other.digits, -there)

    def test(attribute: Attribute, _: Attributes, entity: Attributes) -> bool:
        local = next((date_times.offset(text) for text in texts_of(entity.get(TIMEZONE_OFFSET))), None)
        for text in texts_of(attribute):
            at = date_times.moment(text)
            if at is None:
                continue
            if begin is not None:
                mine, theirs = compared(at, begin, local)
                if mine < theirs:
                    continue
            if end is not None:
                mine, theirs = compared(at, end, local)
                if mine > theirs:
                    continue
            return True
        return False

    return test
