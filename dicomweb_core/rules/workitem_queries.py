"""Match keys of workitems: those of a search, and those of a filter (PS3.18 11.9.1.2, 11.10.1.2; PS3.4 CC.2.8).

Unlike in a search for studies, an attribute that is in no row of the table as a match key is refused: a filter that is
not understood never widens the result.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final
from urllib.parse import quote, unquote_to_bytes

from dicomweb_core.errors import InvalidQuery, InvalidWorkitemRequest, URITooLong
from dicomweb_core.rules.match_keys import Given, Matching, Path, match_keys, path_of
from dicomweb_core.rules.workitem_codes import Code
from dicomweb_core.rules.workitem_requirements import SPECIFIC_CHARACTER_SET, matchable, single_value_only
from dicomweb_core.values.limits import Limits
from dicomweb_core.values.queries import MatchKey, SingleValue, Wildcard, WithinItem

LITERAL: Final = Matching(fuzzy=False, empty_value=False, multiple_value=False, timezone=None, value_bytes=4_096)

_PARAMETERS: Final = frozenset({"deletionlock", "filter", "accept", "charset", "requester"})
"""Of a subscription, in lower case: no match keys."""

_NEXT_PAIR: Final = re.compile(r",(?=[A-Za-z0-9.]+=)")
_BROKEN_ESCAPE: Final = re.compile(r"%(?![0-9A-Fa-f]{2})")


def workitem_keys(
    pairs: Iterable[tuple[str, str]], limits: Limits, matching: Matching = LITERAL
) -> tuple[MatchKey, ...]:
    """The match keys of attribute identifiers and values, both decoded. Specific Character Set is none, and says
    nothing: values are Unicode (PS3.4 C.2.2.2). Raises InvalidQuery."""
    given: dict[Path, Given] = {}
    for name, value in pairs:
        path = path_of(name, limits)
        if path == (SPECIFIC_CHARACTER_SET,):
            continue
        if path is None or not matchable(path):
            shown = repr(name if len(name) <= 80 else name[:80] + "…")
            raise InvalidQuery(f"{shown} is no attribute that can be matched in workitems (PS3.4 Table CC.2.5-3).")
        given.setdefault(path, Given(name, [])).values.append(value)
        if len(given) > limits.search_keys:
            raise InvalidQuery(f"There are more than {limits.search_keys} match keys (search_keys).")
    return _literal((), match_keys(given, matching._replace(value_bytes=limits.search_key_bytes)))


def parse_filter(query: str, limits: Limits) -> tuple[tuple[MatchKey, ...], str]:
    """The filter of a subscription, and its text in a form that this function reads again.

    `query` is the part of the URL behind `?` as it was sent. The filter is the parameter of this name, as it is, or
    percent-encoded as a whole or in parts; else all parameters that are no others of a subscription (PS3.18 of 2019a
    and before). `+` is a plus, as in a time zone. Raises InvalidQuery, URITooLong, and InvalidWorkitemRequest when
    there is no filter.
    """
    if len(query) > limits.uri_bytes:
        raise URITooLong("The query is too long.", limit="uri_bytes", ceiling=limits.uri_bytes)
    parameters = [(_decoded(name), value) for name, _, value in (pair.partition("=") for pair in query.split("&"))]
    filters = [value for name, value in parameters if name.lower() == "filter"]
    if len(filters) > 1:
        raise InvalidQuery("The parameter filter is given more than once.")
    if filters:
        pairs = _pairs(filters[0])
    else:
        # what is in lower case can be no attribute, and is ignored as any unknown parameter (PS3.18 8.3)
        pairs = [
            (name, _decoded(value))
            for name, value in parameters
            if name and name.lower() not in _PARAMETERS and not name[0].islower()
        ]
    keys = workitem_keys(pairs, limits)
    if not keys:
        raise InvalidWorkitemRequest(
            "A filtered subscription needs a filter (PS3.18 Table 11.10.1-2).", code=Code.INVALID_ARGUMENT
        )
    text = "&".join(f"{quote(name, safe='.')}={quote(value, safe='')}" for name, value in pairs)
    return keys, text


def _pairs(raw: str) -> list[tuple[str, str]]:
    if "=" in raw:
        found = [_decoded_pair(pair) for pair in _NEXT_PAIR.split(raw)]
    else:
        found = [pair.partition("=")[::2] for pair in _NEXT_PAIR.split(_decoded(raw)) if pair]
    for name, _ in found:
        if not name:
            raise InvalidQuery("The filter has a value without attribute (PS3.18 11.10.1.2).")
    return found


def _decoded_pair(pair: str) -> tuple[str, str]:
    name, _, value = pair.partition("=")
    return _decoded(name), _decoded(value)


def _decoded(raw: str) -> str:
    """By the rules of a URI, not of a form (RFC 3986 2.1)."""
    if _BROKEN_ESCAPE.search(raw):
        raise InvalidQuery("The query has a % that is no escape (RFC 3986 2.1).")
    try:
        text = unquote_to_bytes(raw).decode("utf-8")
    except UnicodeError as error:
        raise InvalidQuery("The query is not UTF-8 (PS3.18 8.3.4.1).") from error
    if "\0" in text:
        raise InvalidQuery("The query contains a NULL (PS3.18 8.3.1).")
    return text


def _literal(around: Path, keys: tuple[MatchKey, ...]) -> tuple[MatchKey, ...]:
    """With `*` and `?` as they are where the table has single value matching only."""
    # nested calls go as deep as a path, which `path_of` bounds
    return tuple(_literal_key((*around, key.tag), key) for key in keys)


def _literal_key(path: Path, key: MatchKey) -> MatchKey:
    match key.condition:
        case WithinItem(inner):
            return key._replace(condition=WithinItem(_literal(path, inner)))
        case Wildcard(pattern) if single_value_only(path):
            return key._replace(condition=SingleValue(pattern))
    return key
