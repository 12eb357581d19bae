"""Conditional requests: entity tags and what a client says about those it has (RFC 9110 8.8.3, 13)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple

LIST_BYTES: Final = 16_384
"""A longer list of tags is not read: nothing in it is known here."""

_TAG: Final = re.compile(r'[ \t]*+(W/)?"([\x21\x23-\x7e\x80-\xff]*+)"[ \t]*+(?:,|\Z)')
_NOTHING: Final = re.compile(r"[ \t]*+,")


class EntityTag(NamedTuple):
    """A validator of a representation. `opaque` is what stands between the quotes."""

    opaque: str
    weak: bool = False

    def __str__(self) -> str:
        """As a header value."""
        return f'W/"{self.opaque}"' if self.weak else f'"{self.opaque}"'


def parse_tags(text: str) -> Iterator[EntityTag]:
    """The tags of a list, up to the first that is malformed; none of a list longer than `LIST_BYTES`."""
    position = 0
    while position < len(text) <= LIST_BYTES:
        match = _TAG.match(text, position)
        if match is not None:
            yield EntityTag(match[2], match[1] is not None)
        else:
            match = _NOTHING.match(text, position)
            if match is None:
                return
        position = match.end()


def names_any(text: str) -> bool:
    """Whether the list is `*`: any representation that exists."""
    return text.strip(" \t") == "*"


def known_tag(if_none_match: str, opaque: Iterable[str]) -> EntityTag | None:
    """The first tag listed whose opaque part is one of these (weak comparison, 8.8.3.2): the client has that one."""
    current = frozenset(opaque)
    return next((tag for tag in parse_tags(if_none_match) if tag.opaque in current), None)


def if_match_holds(if_match: str, tag: EntityTag | None) -> bool:
    """Whether the representation with this tag is one of those listed (13.1.1). Weak tags match nothing."""
    if names_any(if_match):
        return True
    return tag is not None and not tag.weak and tag in set(parse_tags(if_match))


def if_range_holds(if_range: str, tag: EntityTag | None) -> bool:
    """Whether the client has a part of just this representation (13.1.5). A date is none of our validators."""
    return tag is not None and not tag.weak and if_range.strip(" \t") == str(tag)
