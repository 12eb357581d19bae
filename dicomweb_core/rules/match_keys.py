"""Match keys of a query: attribute identifiers, and values by the rules of their VR (PS3.18 8.3.4.1, PS3.4 C.2.2.2)."""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from dicomweb_core.codecs.dictionary import tag_of, vr_of
from dicomweb_core.errors import InvalidQuery
from dicomweb_core.rules import date_times, person_names
from dicomweb_core.rules.levels import is_private, is_private_creator
from dicomweb_core.rules.matching import NUMBER_VRS, number
from dicomweb_core.rules.texts import has_wildcard
from dicomweb_core.values.attributes import BINARY_VRS
from dicomweb_core.values.limits import Limits
from dicomweb_core.values.queries import (
    AllValues,
    AnyUID,
    CombinedRange,
    Condition,
    EmptyValue,
    MatchKey,
    Range,
    SingleValue,
    Universal,
    Wildcard,
    WithinItem,
)
from dicomweb_core.values.uids import is_uid

Path = tuple[str, ...]
"""Tags from the outside in."""

_WILDCARD_VRS: Final = frozenset({"AE", "CS", "LO", "LT", "PN", "SH", "ST", "UC", "UR", "UT", "UN"})
_DELIMITED_VRS: Final = frozenset({"AE", "AS", "CS", "LO", "PN", "SH", "UC"})
"""Text VRs in which a backslash separates values (PS3.5 6.2), and which AllValues applies to (PS3.4 C.2.2.2.8)."""

_WITHOUT_COMMA: Final = frozenset({"AS", "AT", "CS"})
"""VRs whose repertoire has no comma, so that one can separate values."""

_INTEGER_VRS: Final = NUMBER_VRS - {"DS", "FL", "FD"}
_TAG: Final = re.compile(r"[0-9A-Fa-f]{8}")
_LIST: Final = re.compile(r"[,\\]")
_RETRIEVE_URL: Final = "00081190"
_QUESTION_MARK_LENGTH: Final = 256
"""Characters of a pattern with `?`: its comparison may take time in proportion to pattern and text multiplied."""


class Given(NamedTuple):
    """A parameter as sent: its name, and its values, decoded."""

    name: str
    values: list[str]


class Matching(NamedTuple):
    """How values of the query are to be read (PS3.18 8.3.4.2, 8.3.4.5, 8.3.4.6, 8.3.4.1.1)."""

    fuzzy: bool
    empty_value: bool
    multiple_value: bool
    timezone: int | None
    value_bytes: int


def path_of(name: str, limits: Limits) -> Path | None:
    """The tags of an attribute identifier, None if it is none. Raises InvalidQuery when it is too deep."""
    if name.count(".") >= limits.search_path_depth:
        raise InvalidQuery(f"An attribute path has more than {limits.search_path_depth} tags (search_path_depth).")
    path = []
    for identifier in name.split("."):
        tag = identifier.upper() if _TAG.fullmatch(identifier) else tag_of(identifier)
        if tag is None or not _is_searchable(tag):
            return None
        path.append(tag)
    return tuple(path)


def independent_of_block(tag: str) -> str:
    """A private tag without the block that one data set has happened to reserve (PS3.5 7.8.1)."""
    return f"{tag[:4]}00{tag[6:]}"


def match_keys(given: dict[Path, Given], matching: Matching) -> tuple[MatchKey, ...]:
    """The keys, those of one sequence together. Raises InvalidQuery."""
    # nested calls go as deep as a path, which `path_of` bounds
    creators = {path[0]: _creator(key) for path, key in given.items() if len(path) == 1 and is_private_creator(path[0])}
    keys: list[MatchKey] = []
    for tag in dict.fromkeys(path[0] for path in given):
        whole = given.get((tag,))
        members = {path[1:]: key for path, key in given.items() if path[0] == tag and len(path) > 1}
        if not members:
            keys.append(_leaf(tag, given[(tag,)], creators, matching))
            continue
        one = next(iter(members.values()))
        if not is_private(tag) and vr_of(tag) != "SQ":
            raise InvalidQuery(f"{one.name} goes into an attribute that is no sequence (PS3.18 8.3.1).")
        if whole is not None and not _is_universal(whole):
            raise InvalidQuery(f"{whole.name} cannot be matched by a value beside its members (PS3.4 C.2.2.2.6).")
        keys.append(_key(tag, "SQ", WithinItem(match_keys(members, matching)), one, creators))
    return _combined(keys, given)


def _is_universal(key: Given) -> bool:
    return all(not value.strip(" ").strip("*") for value in key.values)


def _is_searchable(tag: str) -> bool:
    """Whether it can be in a data set (PS3.5 7.1, 7.8), so without the groups of commands, files and items."""
    if is_private(tag):
        return (
            tag[:4] not in ("0001", "0003", "0005", "0007", "FFFF")
            and tag[4:8] >= "0010"
            and not ("0100" <= tag[4:8] < "1000")
        )
    return tag[:4] not in ("0000", "0002", "FFFE") and tag[4:8] != "0000" and vr_of(tag) is not None


def _creator(key: Given) -> str:
    if len(key.values) > 1:
        raise InvalidQuery(f"{key.name} is given more than once (PS3.18 8.3.4.1).")
    return key.values[0].strip()


def _key(tag: str, vr: str, condition: Condition, key: Given, creators: dict[str, str]) -> MatchKey:
    if not is_private(tag):
        return MatchKey(tag, vr, condition)
    creator = creators.get(f"{tag[:4]}00{tag[4:6]}")
    if not creator:
        raise InvalidQuery(f"{key.name} is private and its private creator is not given (PS3.18 8.3.4.1).")
    return MatchKey(independent_of_block(tag), vr, condition, creator)


def _leaf(tag: str, key: Given, creators: dict[str, str], matching: Matching) -> MatchKey:
    if is_private_creator(tag):
        value = creators[tag]
        return MatchKey(f"{tag[:4]}0010", "LO", SingleValue(value) if value else Universal())
    vr = "UN" if is_private(tag) else vr_of(tag) or "UN"
    if len(key.values) > 1 and vr != "UI":
        raise InvalidQuery(f"{key.name} is given more than once (PS3.18 8.3.4.1).")
    condition = _condition(tag, vr, key, matching)
    made = _key(tag, vr, condition, key, creators)
    if vr == "PN" and matching.fuzzy:
        made = made._replace(fuzzy=True)
    if vr in ("DA", "TM", "DT") and matching.timezone is not None:
        made = made._replace(timezone=matching.timezone)
    return made


def _condition(tag: str, vr: str, key: Given, matching: Matching) -> Condition:
    value = key.values[0]
    if _is_universal(key):
        return Universal()
    if value == '""' and len(key.values) == 1 and matching.empty_value:
        return EmptyValue()
    if vr == "UI":
        return _uids(key)
    if len(value.encode("utf-8", "surrogatepass")) > matching.value_bytes:
        raise InvalidQuery(f"The value of {key.name} has more than {matching.value_bytes} bytes (search_key_bytes).")
    if vr == "SQ" or (vr in BINARY_VRS and vr != "UN") or tag == _RETRIEVE_URL:
        raise InvalidQuery(f"{key.name} cannot be matched by a value (PS3.4 C.2.2.2).")
    if vr in ("DA", "TM", "DT"):
        ends = date_times.range_ends(vr, value, key.name)
        return Range(*ends) if ends is not None else SingleValue(date_times.single(vr, value, key.name))
    if matching.multiple_value and (vr in _DELIMITED_VRS or vr == "AT"):
        several = re.split(r"[,\\]" if vr in _WITHOUT_COMMA else r"\\", value)
        if len(several) > 1:
            return _all_values(vr, several, key)
    if vr == "AT":
        return SingleValue(_tag_value(value, key))
    if vr in NUMBER_VRS:
        return SingleValue(_number(vr, value, key))
    return _text(vr, value, key)


def _uids(key: Given) -> AnyUID:
    uids = frozenset(uid for value in key.values for part in _LIST.split(value) if (uid := part.strip()))
    if not uids or not all(map(is_uid, uids)):
        raise InvalidQuery(f"The value of {key.name} is no UID or list of UIDs (PS3.5 9.1, PS3.4 C.2.2.2.2).")
    return AnyUID(uids)


def _all_values(vr: str, several: list[str], key: Given) -> AllValues:
    values = [value.strip() for value in several]
    if not all(values) or any(map(has_wildcard, values)):
        raise InvalidQuery(f"The values of {key.name} are empty or have wildcards (PS3.4 C.2.2.2.8).")
    return AllValues(tuple(_tag_value(value, key) if vr == "AT" else value for value in values))


def _tag_value(value: str, key: Given) -> str:
    if _TAG.fullmatch(value.strip()) is None:
        raise InvalidQuery(f"The value of {key.name} is no tag of 8 hexadecimal digits (PS3.18 F.2.3).")
    return value.strip().upper()


def _number(vr: str, value: str, key: Given) -> str:
    by_value = number(value)
    if by_value is None or (vr in _INTEGER_VRS and not isinstance(by_value, int)):
        raise InvalidQuery(f"The value of {key.name} is no {vr} (PS3.5 6.2).")
    return value.strip()


def _text(vr: str, value: str, key: Given) -> Condition:
    if vr in _DELIMITED_VRS and "\\" in value:
        raise InvalidQuery(
            f"{key.name} has several values; only UIDs are a list unless multiplevaluematching is true "
            f"(PS3.18 8.3.4.1, 8.3.4.6)."
        )
    if vr == "PN":
        groups = [person_names.group(text) for text in value.split("=")]
        if len(groups) > 3 or not any(groups):
            raise InvalidQuery(f"The value of {key.name} is no person name (PS3.5 6.2.1).")
    if vr in _WILDCARD_VRS and has_wildcard(value):
        if "?" in value and len(value) > _QUESTION_MARK_LENGTH:
            raise InvalidQuery(f"The pattern of {key.name} has more than {_QUESTION_MARK_LENGTH} characters.")
        return Wildcard(value)
    return SingleValue(value)


def _combined(keys: list[MatchKey], given: dict[Path, Given]) -> tuple[MatchKey, ...]:
    """A date and its time that are ranges of one form are one interval (PS3.18 8.3.4.1.1, PS3.4 C.2.2.2.5.4)."""
    ranges = {key.tag: key.condition for key in keys if isinstance(key.condition, Range) and key.creator is None}
    combined: list[MatchKey] = []
    for key in keys:
        condition = ranges.get(key.tag)
        partner = (date_times.TIME_OF_DATE if key.vr == "DA" else date_times.DATE_OF_TIME).get(key.tag, "")
        other = ranges.get(partner)
        if condition is None:
            combined.append(key)
        elif other is not None and _form(condition) == _form(other):
            if key.vr == "DA":
                whole = CombinedRange(
                    partner, _joined(condition.first, other.first), _joined(condition.last, other.last)
                )
                _check_order(whole.first, whole.last, given, key.tag)
                combined.append(key._replace(condition=whole))
        else:
            _check_order(condition.first, condition.last, given, key.tag)
            combined.append(key)
    return tuple(combined)


def _form(condition: Range) -> tuple[bool, bool]:
    return condition.first is None, condition.last is None


def _joined(date: str | None, time: str | None) -> str | None:
    return None if date is None or time is None else date + time


def _check_order(first: str | None, last: str | None, given: dict[Path, Given], tag: str) -> None:
    if len(first or "") != 12 and len(first or "") != 20:
        return  # dates and date times have been compared by their rules
    if first is not None and last is not None and first > last and (tag,) in given:
        raise InvalidQuery(f"The range of {given[(tag,)].name} ends before it begins (PS3.4 C.2.2.2.5).")
