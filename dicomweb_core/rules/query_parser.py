"""The query of a search, from text to `Query` (PS3.18 8.3.1, 8.3.4, 10.6.1.2).

A filter that is not understood never widens the result: a name that looks like an attribute (8 hex digits, a dotted
path, or a first letter in upper case) but is none is refused. Other unknown parameters are ignored, with a warning.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final
from urllib.parse import unquote_to_bytes

from dicomweb_core.codecs.dictionary import vr_of
from dicomweb_core.errors import InvalidQuery, URITooLong
from dicomweb_core.rules import date_times
from dicomweb_core.rules.levels import (
    COMPUTED_TAGS,
    SPECIFIC_CHARACTER_SET,
    TIMEZONE_OFFSET,
    is_private,
    is_private_creator,
    level_of,
)
from dicomweb_core.rules.match_keys import Given, Matching, independent_of_block, match_keys, path_of
from dicomweb_core.rules.summaries import INSTANCE_SUMMARY_TAGS
from dicomweb_core.values.limits import Limits
from dicomweb_core.values.queries import AttributePath, Level, MatchKey, Query
from dicomweb_core.values.resources import SeriesRef, StudyRef

IGNORED: Final = "The parameter {name} is not supported and has been ignored."
OTHERS_IGNORED: Final = "{number} other parameters are not supported and have been ignored."
REMAINING: Final = "There are {remaining} additional results that can be requested"  # 8.3.4.4.1

_FLAGS: Final = ("fuzzymatching", "emptyvaluematching", "multiplevaluematching")
_RESERVED: Final = frozenset({*_FLAGS, "includefield", "limit", "offset", "accept", "charset"})
_TAG: Final = re.compile(r"[0-9A-Fa-f]{8}")
_PLAIN: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,63}")
_BROKEN_ESCAPE: Final = re.compile(r"%(?![0-9A-Fa-f]{2})")
_UNBOUNDED: Final = 10**18
_MOST_WARNINGS: Final = 8

_OF_STUDY: Final = {"00080060": "00080061", "00080016": "00080062"}
"""Modality and SOP Class UID ask a study for what is in it: Modalities in Study, SOP Classes in Study."""

_RESOURCES: Final = {Level.STUDY: "studies", Level.SERIES: "series", Level.INSTANCE: "instances"}


def parse_query(level: Level, within: StudyRef | SeriesRef | None, query: str, limits: Limits) -> Query:
    """A search of the entities of `level` below `within`, from the part of the URL behind `?` as it was sent.

    Raises InvalidQuery, which names the parameter, and URITooLong.
    """
    if len(query) > limits.uri_bytes:
        raise URITooLong("The query is too long.", limit="uri_bytes", ceiling=limits.uri_bytes)
    reserved: dict[str, list[str]] = {}
    given: dict[tuple[str, ...], Given] = {}
    warnings: list[str] = []
    for name, raw in _pairs(query):
        if name in _RESERVED:
            reserved.setdefault(name, []).append(raw)
            continue
        path = path_of(name, limits)
        if path is not None:
            if level is Level.STUDY and len(path) == 1:
                path = (_OF_STUDY.get(path[0], path[0]),)
            value = _decoded(raw, name, plus_is_space=path[0] != TIMEZONE_OFFSET and vr_of(path[-1]) not in _WITH_PLUS)
            given.setdefault(path, Given(name, [])).values.append(value)
            if len(given) > limits.search_keys:
                raise InvalidQuery(f"The query has more than {limits.search_keys} match keys (search_keys).")
        elif name.lower() not in _RESERVED and _looks_like_attribute(name):
            raise InvalidQuery(f"{_shown(name)} is no attribute that can be matched (PS3.18 8.3.4.1).")
        elif name:
            warnings.append(IGNORED.format(name=name if _PLAIN.fullmatch(name) else "with an unusual name"))

    fuzzy, empty_value, multiple_value = (_flag(flag, reserved) for flag in _FLAGS)
    include, include_all = _include_fields(reserved.get("includefield", ()), level, given, limits)
    timezone, asked = _timezone(given)
    include += asked
    _check_levels(level, given)
    keys = match_keys(given, Matching(fuzzy, empty_value, multiple_value, timezone, limits.search_key_bytes))
    return Query(
        level=level,
        within=within,
        keys=keys,
        include=include,
        include_all=include_all,
        limit=_count("limit", reserved),
        offset=_count("offset", reserved) or 0,
        timezone=timezone,
        needs_metadata=_needs_metadata(level, keys, include, include_all),
        warnings=_few(list(dict.fromkeys(warnings))),
    )


def parse_metadata_fields(query: str, limits: Limits) -> frozenset[str] | None:
    """The tags at the top of a data set that `includefield` asks for in a request for metadata; None: all of them.

    The standard has the parameter for searches only (PS3.18 8.3.4.3); its values are the same here. Of a dotted path
    it is the sequence, of a private attribute also its creator. What tells instances apart is always among them.
    Raises InvalidQuery for what is no attribute: unlike in a search, nothing else says that it was not understood.
    """
    raws = [raw for name, raw in _pairs(query) if name == "includefield"] if "includefield" in query else []
    names = _names(raws, limits)
    if not names or "all" in names:
        return None
    tags = set(METADATA_TAGS)
    for name in names:
        path = (name.upper(),) if _TAG.fullmatch(name) else path_of(name, limits)
        if path is None or (len(path) > 1 and not is_private(path[0]) and vr_of(path[0]) != "SQ"):
            raise InvalidQuery(f"{_shown(name)} in includefield is no attribute (PS3.18 8.3.4.1).")
        tags.add(path[0])
        if is_private(path[0]) and not is_private_creator(path[0]):
            tags.add(f"{path[0][:4]}00{path[0][4:6]}")
    return frozenset(tags)


METADATA_TAGS: Final = ("00080005", "00080016", "00080018", "0020000D", "0020000E")
"""Specific Character Set and the UIDs: in metadata whatever `includefield` says."""


def _names(raws: Iterable[str], limits: Limits) -> list[str]:
    names = [name for raw in raws for part in _decoded(raw, "includefield").split(",") if (name := part.strip())]
    if len(names) > limits.search_include_fields:
        raise InvalidQuery(f"The query has more than {limits.search_include_fields} includefields.")
    return names


def _few(warnings: list[str]) -> tuple[str, ...]:
    """Each becomes a header, and clients and proxies refuse answers with many of them."""
    if len(warnings) <= _MOST_WARNINGS:
        return tuple(warnings)
    named = warnings[: _MOST_WARNINGS - 1]
    return (*named, OTHERS_IGNORED.format(number=len(warnings) - len(named)))


_WITH_PLUS: Final = frozenset({"DT", "TM"})


def _pairs(query: str) -> Iterable[tuple[str, str]]:
    """Decoded names and raw values, empty pairs left out."""
    for pair in query.split("&"):
        name, _, raw = pair.partition("=")
        if name:
            yield _decoded(name, "a parameter name"), raw


def _decoded(raw: str, name: str, *, plus_is_space: bool = True) -> str:
    """Percent-decoded UTF-8 (PS3.18 8.3.1). Raises InvalidQuery."""
    if plus_is_space:
        raw = raw.replace("+", " ")
    if "%" in raw or not raw.isascii() or "\0" in raw:
        if _BROKEN_ESCAPE.search(raw):
            raise InvalidQuery(f"{_shown(name)} has a % that is no escape (RFC 3986 2.1).")
        try:
            raw = unquote_to_bytes(raw).decode("utf-8")
        except UnicodeError as error:
            raise InvalidQuery(f"{_shown(name)} is not UTF-8 (PS3.18 8.3.4.1).") from error
        if "\0" in raw:
            raise InvalidQuery(f"{_shown(name)} contains a NULL (PS3.18 8.3.1).")
    return raw


def _looks_like_attribute(name: str) -> bool:
    return _TAG.fullmatch(name) is not None or "." in name or name[:1].isupper()


def _shown(name: str) -> str:
    return repr(name if len(name) <= 80 else name[:80] + "…")


def _only(name: str, reserved: dict[str, list[str]]) -> str | None:
    values = reserved.get(name)
    if values is None:
        return None
    if len(values) > 1:
        raise InvalidQuery(f"The parameter {name} is given more than once.")
    return _decoded(values[0], name)


def _flag(name: str, reserved: dict[str, list[str]]) -> bool:
    value = _only(name, reserved)
    if value not in (None, "true", "false"):
        raise InvalidQuery(f"The parameter {name} is neither true nor false (PS3.18 8.3.4).")
    return value == "true"


def _count(name: str, reserved: dict[str, list[str]]) -> int | None:
    value = _only(name, reserved)
    if value is None:
        return None
    if not (value.isascii() and value.isdigit()):
        raise InvalidQuery(f"The parameter {name} is not an unsigned integer (PS3.18 8.3.4.4).")
    return int(value) if len(value) <= 18 else (int(value[-18:]) if not value[:-18].strip("0") else _UNBOUNDED)


def _timezone(given: dict[tuple[str, ...], Given]) -> tuple[int | None, tuple[AttributePath, ...]]:
    """Takes what is no match key out: the time zone (PS3.18 8.3.4.1.1), and the character set (PS3.4 C.2.2.2)."""
    asked: tuple[AttributePath, ...] = ()
    if given.pop((SPECIFIC_CHARACTER_SET,), None) is not None:
        asked = (AttributePath((SPECIFIC_CHARACTER_SET,)),)
    zone = given.pop((TIMEZONE_OFFSET,), None)
    if zone is None:
        return None, asked
    if len(zone.values) > 1:
        raise InvalidQuery(f"{_shown(zone.name)} is given more than once.")
    text = zone.values[0]
    if not text:
        return None, (*asked, AttributePath((TIMEZONE_OFFSET,)))
    minutes = date_times.offset(text)
    if minutes is None:
        raise InvalidQuery(f"The value of {_shown(zone.name)} is no offset ±HHMM (PS3.3 C.12.1.1.8).")
    return minutes, asked


def _check_levels(level: Level, given: dict[tuple[str, ...], Given]) -> None:
    for path, key in given.items():
        of = level_of(path[0])
        if of > level:
            raise InvalidQuery(
                f"{_shown(key.name)} is an attribute of the {of.name.title()} level and cannot be matched in a search "
                f"for {_RESOURCES[level]} (PS3.18 10.6.1.2.1)."
            )


def _include_fields(
    raws: Iterable[str], level: Level, given: dict[tuple[str, ...], Given], limits: Limits
) -> tuple[tuple[AttributePath, ...], bool]:
    """What is understood of `includefield` and belongs to the level or above (PS3.18 8.3.4.3, 10.6.3.3)."""
    names = _names(raws, limits)
    found: dict[AttributePath, None] = {}
    for name in names:
        path = path_of(name, limits)
        if name == "all" or path is None or (level_of(path[0]) > level and path[0] != SPECIFIC_CHARACTER_SET):
            continue
        if any(is_private(tag) for tag in path[1:]) or any(vr_of(tag) != "SQ" for tag in path[1:-1]):
            continue
        if is_private(path[0]):
            creator = given.get((f"{path[0][:4]}00{path[0][4:6]}",))
            if is_private_creator(path[0]) or creator is None or not creator.values[0].strip():
                continue
            found[AttributePath((independent_of_block(path[0]), *path[1:]), creator.values[0].strip())] = None
        elif len(path) == 1 or vr_of(path[0]) == "SQ":
            found[AttributePath(path)] = None
    return tuple(found), "all" in names


def _needs_metadata(
    level: Level, keys: tuple[MatchKey, ...], include: tuple[AttributePath, ...], include_all: bool
) -> bool:
    """Only instances have attributes that are in no summary."""
    if level is not Level.INSTANCE:
        return False
    tops = {key.tag for key in keys} | {path.tags[0] for path in include}
    return include_all or any(
        level_of(tag) is Level.INSTANCE
        and tag not in INSTANCE_SUMMARY_TAGS
        and tag not in COMPUTED_TAGS
        and tag != SPECIFIC_CHARACTER_SET
        for tag in tops
    )
