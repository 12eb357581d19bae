"""Which content coding an answer gets (RFC 9110 8.4, 12.5.3)."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final, NamedTuple

IDENTITY: Final = "identity"
SMALLEST: Final = 1_024
"""Bytes from which an answer is worth compressing."""

_TEXTS: Final = frozenset(
    {"application/json", "application/dicom+json", "application/dicom+xml", "application/xml", "image/svg+xml"}
    | {"application/vnd.sun.wadl+xml"}
)
_TEXT_PARTS: Final = re.compile(r'multipart/related; type="application/dicom\+(?:xml|json)"')
_ELEMENT: Final = re.compile(
    r"[ \t]*+([!#$%&'*+.^_`|~0-9A-Za-z-]++)[ \t]*+(?:;[ \t]*+[qQ]=([01](?:\.[0-9]{0,3}+)?+)[ \t]*+)?(?:,|\Z)"
)
_LONGEST: Final = 1_024
_ALIASES: Final = {"x-gzip": "gzip"}


class Coding(NamedTuple):
    """What a client takes. `name` is None for no coding; `required` says that it refuses an answer without one."""

    name: str | None = None
    required: bool = False


def choose_coding(accept_encoding: str | None, available: tuple[str, ...]) -> Coding:
    """The coding of highest quality; among equals the first of `available`.

    Without the header, and when nothing that is available is accepted, there is none: 12.5.3 allows that to be sent.
    What is malformed, or longer than a kilobyte, is as if it were absent.
    """
    if accept_encoding is None or len(accept_encoding) > _LONGEST:
        return Coding()
    return _chosen(accept_encoding, available)


@lru_cache(maxsize=128)
def _chosen(accept_encoding: str, available: tuple[str, ...]) -> Coding:
    qualities: dict[str, float] = {}
    position = 0
    while position < len(accept_encoding):
        match = _ELEMENT.match(accept_encoding, position)
        if match is None:
            return Coding()
        name = match[1].lower()
        quality = float(match[2]) if match[2] is not None else 1.0
        qualities.setdefault(_ALIASES.get(name, name), min(quality, 1.0))
        position = match.end()
    others = qualities.get("*", 0.0)
    ranked = [(qualities.get(name, others), name) for name in available]
    quality, best = max(ranked, key=lambda one: one[0], default=(0.0, ""))
    plain = qualities.get(IDENTITY, qualities.get("*"))
    if not quality or (plain is not None and plain > quality):
        return Coding()
    return Coding(best, plain == 0.0)


def is_text(content_type: str) -> bool:
    """Whether an answer of this type is worth compressing: never pixel data, never DICOM files, and no stream of
    events, each of which would wait in the compressor for the next."""
    essence = content_type.partition(";")[0].strip()
    if essence == "text/event-stream":
        return False
    return essence in _TEXTS or essence.startswith("text/") or _TEXT_PARTS.match(content_type) is not None
