"""The query of a search, from text to `Query` (PS3.18 8.3.1, 8.3.4, 10.6.1.2).

A filter that is not understood never widens the result: a name that looks like an attribute (8 hex digits, a dotted
path, or a first letter in upper case) but is none is refused. Other unknown parameters are ignored, with a warning.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

from dicomweb_core.codecs.dictionary import vr_of
from dicomweb_core.errors import InvalidQuery, URITooLong
from dicomweb_core.rules.levels import (
    COMPUTED_TAGS,
    SPECIFIC_CHARACTER_SET,
    TIMEZONE_OFFSET,
    is_private,
    is_private_creator,
    level_of,
)
from dicomweb_core.rules.match_keys import Given, Matching, independent_of_block, match_keys, path_of
from dicomweb_core.rules.query_parameters import (
    FLAGS,
    RESERVED,
    WITH_PLUS,
    count,
    decoded,
    few,
    field_names,
    flag,
    ignored,
    looks_like_attribute,
    pairs,
    shown,
    timezone_of,
)
from dicomweb_core.rules.summaries import INSTANCE_SUMMARY_TAGS
from dicomweb_core.values.limits import Limits
from dicomweb_core.values.queries import AttributePath, Level, MatchKey, Query
from dicomweb_core.values.resources import SeriesRef, StudyRef

_TAG: Final = re.compile(r"[0-9A-Fa-f]{8}")

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
    for name, raw in pairs(query):
        if name in RESERVED:
            reserved.setdefault(name, []).append(raw)
            continue
        path = path_of(name, limits)
        if path is not None:
            if level is Level.STUDY and len(path) == 1:
                path = (_OF_STUDY.get(path[0], path[0]),)
            value = decoded(raw, name, plus_is_space=path[0] != TIMEZONE_OFFSET and vr_of(path[-1]) not in WITH_PLUS)
            given.setdefault(path, Given(name, [])).values.append(value)
            if len(given) > limits.search_keys:
                raise InvalidQuery(f"The query has more than {limits.search_keys} match keys (search_keys).")
        elif name.lower() not in RESERVED and looks_like_attribute(name):
            raise InvalidQuery(f"{shown(name)} is no attribute that can be matched (PS3.18 8.3.4.1).")
        elif name:
            warnings.append(ignored(name))

    fuzzy, empty_value, multiple_value = (flag(name, reserved) for name in FLAGS)
    include, include_all = _include_fields(reserved.get("includefield", ()), level, given, limits)
    timezone, asked = timezone_of(given)
    include += asked
    _check_levels(level, given)
    keys = match_keys(given, Matching(fuzzy, empty_value, multiple_value, timezone, limits.search_key_bytes))
    return Query(
        level=level,
        within=within,
        keys=keys,
        include=include,
        include_all=include_all,
        limit=count("limit", reserved),
        offset=count("offset", reserved) or 0,
        timezone=timezone,
        needs_metadata=_needs_metadata(level, keys, include, include_all),
        warnings=few(list(dict.fromkeys(warnings))),
    )


def parse_metadata_fields(query: str, limits: Limits) -> frozenset[str] | None:
    """The tags at the top of a data set that `includefield` asks for in a request for metadata; None: all of them.

    The standard has the parameter for searches only (PS3.18 8.3.4.3); its values are the same here. Of a dotted path
    it is the sequence, of a private attribute also its creator. What tells instances apart is always among them.
    Raises InvalidQuery for what is no attribute: unlike in a search, nothing else says that it was not understood.
    """
    raws = [raw for name, raw in pairs(query) if name == "includefield"] if "includefield" in query else []
    names = field_names(raws, limits)
    if not names or "all" in names:
        return None
    tags = set(METADATA_TAGS)
    for name in names:
        path = (name.upper(),) if _TAG.fullmatch(name) else path_of(name, limits)
        if path is None or (len(path) > 1 and not is_private(path[0]) and vr_of(path[0]) != "SQ"):
            raise InvalidQuery(f"{shown(name)} in includefield is no attribute (PS3.18 8.3.4.1).")
        tags.add(path[0])
        if is_private(path[0]) and not is_private_creator(path[0]):
            tags.add(f"{path[0][:4]}00{path[0][4:6]}")
    return frozenset(tags)


METADATA_TAGS: Final = ("00080005", "00080016", "00080018", "0020000D", "0020000E")
"""Specific Character Set and the UIDs: in metadata whatever `includefield` says."""


def _check_levels(level: Level, given: dict[tuple[str, ...], Given]) -> None:
    for path, key in given.items():
        of = level_of(path[0])
        if of > level:
            raise InvalidQuery(
                f"{shown(key.name)} is an attribute of the {of.name.title()} level and cannot be matched in a search "
                f"for {_RESOURCES[level]} (PS3.18 10.6.1.2.1)."
            )


def _include_fields(
    raws: Iterable[str], level: Level, given: dict[tuple[str, ...], Given], limits: Limits
) -> tuple[tuple[AttributePath, ...], bool]:
    """What is understood of `includefield` and belongs to the level or above (PS3.18 8.3.4.3, 10.6.3.3)."""
    names = field_names(raws, limits)
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
