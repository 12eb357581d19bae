"""Plain elements, which are nearly all: known VR, defined length, moderate size, inside the window.

Straight-line code, as fast as Python gets. It stops at the first element of any other kind; `part10_scanner` decides
about that one. Budgets are settled at the end: a call reads no further than the window, so none is passed by much.
"""

from __future__ import annotations

import struct
from typing import Final, NamedTuple

from dicomweb_core.codecs.dictionary import TAG_TEXT
from dicomweb_core.codecs.part10_headers import Headers
from dicomweb_core.codecs.part10_levels import Budget, Level, tag_name
from dicomweb_core.codecs.part10_values import TEXT, Oddity
from dicomweb_core.codecs.window import Window

_EXPLICIT: Final = {order: struct.Struct(f"{order}HH2sH").unpack_from for order in "<>"}
_LONG: Final = {order: struct.Struct(f"{order}I").unpack_from for order in "<>"}
_IMPLICIT: Final = struct.Struct("<HHI").unpack_from


class Plain(NamedTuple):
    """Where the plain elements ended."""

    at: int
    """The header of the next element."""
    tag: int
    """What was seen of it, and its length; both 0 when it was not looked at."""
    length: int
    begin: int
    """The first byte of its value field, if `sequence`."""
    sequence: str | None
    """8 hex digits of its tag if it is a sequence in order."""


def read_plain_explicit(window: Window, headers: Headers, budget: Budget, level: Level, at: int) -> Plain:
    """Reads on from the header at byte `at`; Explicit VR of either byte order."""
    charset, attributes = level.charset, level.attributes
    order = ">" if level.big_endian else "<"
    header, long_length = _EXPLICIT[order], _LONG[order]
    rules, tags = headers.explicit[level.big_endian], TAG_TEXT
    data, base, at, last = window.data, window.base, at, level.last
    end = min(window.available, level.end)
    text, before = budget.text, len(attributes)
    sequence: str | None = None
    tag = length = begin = 0
    while at + 12 <= end:
        group, element, code, length = header(data, at - base)
        tag = group << 16 | element
        rule = rules.get(code)
        if rule is None or tag <= last:
            # Only of a delimiter these four bytes are zero.
            length |= code != b"\0\0"
            break
        vr, long_form, reader, most, weight = rule
        begin = at + 8
        if long_form:
            (length,) = long_length(data, at + 8 - base)
            begin = at + 12
        stop = begin + length
        key = tags.get(tag)
        if length > most or stop > end or reader is None:
            sequence = key if vr == "SQ" else None
            break
        if key is None:
            if not group & 1 or group < 9 or group == 0xFFFF or not element:
                break
            key = f"{tag:08X}"
        text -= length * weight + 32
        if length > 4096 and vr in TEXT:
            text -= 24 * data.count(b"\\", begin - base, stop - base)
            if text < 0:
                break
        if not length:
            attributes[key] = {"vr": vr}
        else:
            try:
                attributes[key] = reader(data[begin - base : stop - base], charset)
            except Oddity as odd:
                attributes[key] = odd.attribute
                budget.warn(f"{tag_name(tag)} {odd.note}.")
        at, last = stop, tag
    budget.elements -= len(attributes) - before
    budget.text = text
    if text < 0 or budget.elements < 0:
        budget.check()
    level.last = last
    return Plain(at, tag, length, begin, sequence)


def read_plain_implicit(window: Window, headers: Headers, budget: Budget, level: Level, at: int) -> Plain:
    """The same for Implicit VR Little Endian and attributes that the dictionary knows."""
    charset, attributes = level.charset, level.attributes
    header, rules = _IMPLICIT, headers.implicit
    data, base, at, last = window.data, window.base, at, level.last
    end = min(window.available, level.end)
    text, before = budget.text, len(attributes)
    sequence: str | None = None
    tag = length = begin = 0
    while at + 8 <= end:
        group, element, length = header(data, at - base)
        tag = group << 16 | element
        known = rules.get(tag)
        if known is None or tag <= last:
            break
        key, (vr, _long_form, reader, most, weight) = known
        begin = at + 8
        stop = begin + length
        if length > most or stop > end or reader is None:
            sequence = key if vr == "SQ" else None
            break
        text -= length * weight + 32
        if length > 4096 and vr in TEXT:
            text -= 24 * data.count(b"\\", begin - base, stop - base)
            if text < 0:
                break
        if not length:
            attributes[key] = {"vr": vr}
        else:
            try:
                attributes[key] = reader(data[begin - base : stop - base], charset)
            except Oddity as odd:
                attributes[key] = odd.attribute
                budget.warn(f"{tag_name(tag)} {odd.note}.")
        at, last = stop, tag
    budget.elements -= len(attributes) - before
    budget.text = text
    if text < 0 or budget.elements < 0:
        budget.check()
    level.last = last
    return Plain(at, tag, length, begin, sequence)
