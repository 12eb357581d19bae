"""What the queries of all searches have in common: pairs, flags, counts, warnings (PS3.18 8.3.1, 8.3.4)."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final
from urllib.parse import unquote_to_bytes

from dicomweb_core.errors import InvalidQuery
from dicomweb_core.rules import date_times
from dicomweb_core.rules.levels import SPECIFIC_CHARACTER_SET, TIMEZONE_OFFSET
from dicomweb_core.rules.match_keys import Given
from dicomweb_core.values.limits import Limits
from dicomweb_core.values.queries import AttributePath

IGNORED: Final = "The parameter {name} is not supported and has been ignored."
OTHERS_IGNORED: Final = "{number} other parameters are not supported and have been ignored."
REMAINING: Final = "There are {remaining} additional results that can be requested"  # 8.3.4.4.1

FLAGS: Final = ("fuzzymatching", "emptyvaluematching", "multiplevaluematching")
RESERVED: Final = frozenset({*FLAGS, "includefield", "limit", "offset", "accept", "charset"})
WITH_PLUS: Final = frozenset({"DT", "TM"})
"""VRs in whose values `+` is a plus and no space."""

_TAG: Final = re.compile(r"[0-9A-Fa-f]{8}")
_PLAIN: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,63}")
_BROKEN_ESCAPE: Final = re.compile(r"%(?![0-9A-Fa-f]{2})")
_UNBOUNDED: Final = 10**18
_MOST_WARNINGS: Final = 8


def pairs(query: str) -> Iterable[tuple[str, str]]:
    """Decoded names and raw values, empty pairs left out."""
    for pair in query.split("&"):
        name, _, raw = pair.partition("=")
        if name:
            yield decoded(name, "a parameter name"), raw


def decoded(raw: str, name: str, *, plus_is_space: bool = True) -> str:
    """Percent-decoded UTF-8 (PS3.18 8.3.1). Raises InvalidQuery."""
    if plus_is_space:
        raw = raw.replace("+", " ")
    if "%" in raw or not raw.isascii() or "\0" in raw:
        if _BROKEN_ESCAPE.search(raw):
            raise InvalidQuery(f"{shown(name)} has a % that is no escape (RFC 3986 2.1).")
        try:
            raw = unquote_to_bytes(raw).decode("utf-8")
        except UnicodeError as error:
            raise InvalidQuery(f"{shown(name)} is not UTF-8 (PS3.18 8.3.4.1).") from error
        if "\0" in raw:
            raise InvalidQuery(f"{shown(name)} contains a NULL (PS3.18 8.3.1).")
    return raw


def looks_like_attribute(name: str) -> bool:
    """Whether a parameter means to be a match key: 8 hex digits, a dotted path, or a first letter in upper case."""
    return _TAG.fullmatch(name) is not None or "." in name or name[:1].isupper()


def shown(name: str) -> str:
    """A parameter name as an error may quote it."""
    return repr(name if len(name) <= 80 else name[:80] + "…")


def only(name: str, reserved: dict[str, list[str]]) -> str | None:
    """The value of a parameter, None without it. Raises InvalidQuery when there are more."""
    values = reserved.get(name)
    if values is None:
        return None
    if len(values) > 1:
        raise InvalidQuery(f"The parameter {name} is given more than once.")
    return decoded(values[0], name)


def flag(name: str, reserved: dict[str, list[str]]) -> bool:
    """Of a parameter that is true or false; False without it. Raises InvalidQuery."""
    value = only(name, reserved)
    if value not in (None, "true", "false"):
        raise InvalidQuery(f"The parameter {name} is neither true nor false (PS3.18 8.3.4).")
    return value == "true"


def count(name: str, reserved: dict[str, list[str]]) -> int | None:
    """Of a parameter that is an unsigned integer, however large; None without it. Raises InvalidQuery."""
    value = only(name, reserved)
    if value is None:
        return None
    if not (value.isascii() and value.isdigit()):
        raise InvalidQuery(f"The parameter {name} is not an unsigned integer (PS3.18 8.3.4.4).")
    return int(value) if len(value) <= 18 else (int(value[-18:]) if not value[:-18].strip("0") else _UNBOUNDED)


def field_names(raws: Iterable[str], limits: Limits) -> list[str]:
    """The names in values of `includefield`, given raw. Raises InvalidQuery."""
    names = [name for raw in raws for part in decoded(raw, "includefield").split(",") if (name := part.strip())]
    if len(names) > limits.search_include_fields:
        raise InvalidQuery(f"The query has more than {limits.search_include_fields} includefields.")
    return names


def ignored(name: str) -> str:
    """The warning about a parameter that is not known (PS3.18 8.3)."""
    return IGNORED.format(name=name if _PLAIN.fullmatch(name) else "with an unusual name")


def few(warnings: list[str]) -> tuple[str, ...]:
    """Each becomes a header, and clients and proxies refuse answers with many of them."""
    if len(warnings) <= _MOST_WARNINGS:
        return tuple(warnings)
    named = warnings[: _MOST_WARNINGS - 1]
    return (*named, OTHERS_IGNORED.format(number=len(warnings) - len(named)))


def timezone_of(given: dict[tuple[str, ...], Given]) -> tuple[int | None, tuple[AttributePath, ...]]:
    """Takes what is no match key out: the time zone (PS3.18 8.3.4.1.1), and the character set (PS3.4 C.2.2.2)."""
    asked: tuple[AttributePath, ...] = ()
    if given.pop((SPECIFIC_CHARACTER_SET,), None) is not None:
        asked = (AttributePath((SPECIFIC_CHARACTER_SET,)),)
    zone = given.pop((TIMEZONE_OFFSET,), None)
    if zone is None:
        return None, asked
    if len(zone.values) > 1:
        raise InvalidQuery(f"{shown(zone.name)} is given more than once.")
    text = zone.values[0]
    if not text:
        return None, (*asked, AttributePath((TIMEZONE_OFFSET,)))
    minutes = date_times.offset(text)
    if minutes is None:
        raise InvalidQuery(f"The value of {shown(zone.name)} is no offset ±HHMM (PS3.3 C.12.1.1.8).")
    return minutes, asked
