"""The query of a search for workitems, from text to `WorkitemQuery` (PS3.18 8.3.4, 11.9.1.2).

A name that looks like an attribute and cannot be matched is refused; other unknown parameters are ignored, with a
warning. Without match keys all workitems match.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from dicomweb_core.codecs.dictionary import vr_of
from dicomweb_core.errors import URITooLong
from dicomweb_core.rules.levels import SPECIFIC_CHARACTER_SET, TIMEZONE_OFFSET
from dicomweb_core.rules.match_keys import Given, Matching, Path, path_of
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
    timezone_of,
)
from dicomweb_core.rules.workitem_queries import workitem_keys
from dicomweb_core.values.limits import Limits
from dicomweb_core.values.queries import AttributePath, MatchKey

_NO_KEYS: Final = ((TIMEZONE_OFFSET,), (SPECIFIC_CHARACTER_SET,))
"""Attributes that say how keys are to be read."""


@dataclass(frozen=True, slots=True)
class WorkitemQuery:
    """A parsed search. `limit` None means the server's own (`Limits.search_results`)."""

    keys: tuple[MatchKey, ...] = ()
    include: tuple[AttributePath, ...] = ()
    include_all: bool = False
    limit: int | None = None
    offset: int = 0
    warnings: tuple[str, ...] = ()
    """Texts for Warning headers: what of the query could not be honoured."""


def parse_workitem_query(query: str, limits: Limits) -> WorkitemQuery:
    """From the part of the URL behind `?` as it was sent. Raises InvalidQuery with the name, URITooLong."""
    if len(query) > limits.uri_bytes:
        raise URITooLong("The query is too long.", limit="uri_bytes", ceiling=limits.uri_bytes)
    reserved: dict[str, list[str]] = {}
    keys: list[tuple[str, str]] = []
    special: dict[Path, Given] = {}
    warnings: list[str] = []
    for name, raw in pairs(query):
        if name in RESERVED:
            reserved.setdefault(name, []).append(raw)
            continue
        path = path_of(name, limits)
        if path in _NO_KEYS:
            value = decoded(raw, name, plus_is_space=False)
            special.setdefault(path, Given(name, [])).values.append(value)
        elif path is not None:
            keys.append((name, decoded(raw, name, plus_is_space=vr_of(path[-1]) not in WITH_PLUS)))
        elif looks_like_attribute(name):
            keys.append((name, ""))  # is refused there
        else:
            warnings.append(ignored(name))
    fuzzy, empty_value, multiple_value = (flag(name, reserved) for name in FLAGS)
    names = field_names(reserved.get("includefield", ()), limits)
    timezone, asked = timezone_of(special)
    found = (path_of(name, limits) for name in names if name != "all")
    include = tuple(dict.fromkeys(AttributePath(path) for path in found if path is not None))
    matching = Matching(fuzzy, empty_value, multiple_value, timezone, limits.search_key_bytes)
    return WorkitemQuery(
        keys=workitem_keys(keys, limits, matching),
        include=include + asked,
        include_all="all" in names,
        limit=count("limit", reserved),
        offset=count("offset", reserved) or 0,
        warnings=few(list(dict.fromkeys(warnings))),
    )
