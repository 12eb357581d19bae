"""Range requests in bytes (RFC 9110 14)."""

from __future__ import annotations

import re
from typing import Final

from dicomweb_core.errors import RangeNotSatisfiable
from dicomweb_core.values.blobs import Span

RANGES: Final = 8
"""More ranges than this in one request are not worth their answer: it is the whole representation (14.2)."""

_BYTES: Final = re.compile(r"[ \t]*+bytes[ \t]*+=(.*)", re.IGNORECASE | re.DOTALL)
_RANGE: Final = re.compile(r"([0-9]{1,20})-([0-9]{0,20})|-([0-9]{1,20})")


def parse_ranges(text: str, size: int) -> tuple[Span, ...]:
    """The spans of a representation of `size` bytes that a Range header asks for, in its order.

    Empty when the header is to be ignored (14.2): malformed, of another unit, too many ranges, or some that overlap.
    Raises RangeNotSatisfiable when it is well formed and nothing of it exists.
    """
    match = _BYTES.fullmatch(text) if len(text) <= 64 * RANGES else None
    if match is None:
        return ()
    ranges = [element for part in match[1].split(",") if (element := part.strip(" \t"))]
    if not 1 <= len(ranges) <= RANGES:
        return ()
    spans: list[Span] = []
    for element in ranges:
        bounds = _RANGE.fullmatch(element)
        if bounds is None or (bounds[2] and int(bounds[2]) < int(bounds[1])):
            return ()
        if bounds[3] is not None:
            length = min(int(bounds[3]), size)
            spans.append(Span(size - length, length))
        elif int(bounds[1]) < size:
            first = int(bounds[1])
            last = min(int(bounds[2]), size - 1) if bounds[2] else size - 1
            spans.append(Span(first, last - first + 1))
    spans = [span for span in spans if span.length]
    if not spans:
        raise RangeNotSatisfiable(f"None of the bytes asked for exist: there are {size}.", size=size)
    return () if _overlap(spans) else tuple(spans)


def content_range(span: Span, size: int) -> str:
    """Content-Range of a part (14.4)."""
    return f"bytes {span.offset}-{span.offset + span.length - 1}/{size}"


def _overlap(spans: list[Span]) -> bool:
    end = 0
    for span in sorted(spans):
        if span.offset < end:
            return True
        end = span.offset + span.length
    return False
