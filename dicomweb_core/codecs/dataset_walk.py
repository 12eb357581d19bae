"""The elements of a data set one after another, for whoever writes them again (PS3.5 7). Nothing is kept.

It takes the decisions of `part10_scanner`, where that has accepted a file before; what it would refuse raises
InvalidDataset here too. Memory is that of one window and the sequences that are open.
"""

from __future__ import annotations

import struct
from collections.abc import Generator, Iterator
from enum import Enum
from typing import Final, NamedTuple

from dicomweb_core.codecs.dictionary import private_vr, public_vr
from dicomweb_core.codecs.explicit_vr import LONG_LENGTH_VRS, SHORT_LENGTH_VRS, UNDEFINED_LENGTH
from dicomweb_core.codecs.part10_levels import broken
from dicomweb_core.codecs.window import Window, truncated

_ITEM: Final = 0xFFFEE000
_ITEM_END: Final = 0xFFFEE00D
_SEQUENCE_END: Final = 0xFFFEE0DD
_TRAILING_PADDING: Final = 0xFFFCFFFC
_PIXEL_DATA: Final = 0x7FE00010
_ITEM_STARTS: Final = (b"\xfe\xff\x00\xe0", b"\xff\xfe\xe0\x00")
_CREATOR_BYTES: Final = 256
_VRS: Final = {vr.encode("ascii"): vr for vr in LONG_LENGTH_VRS | SHORT_LENGTH_VRS}
_HEADER: Final = {False: struct.Struct("<HHI"), True: struct.Struct(">HHI")}


class Kind(Enum):
    """What a step is."""

    VALUE = "an element with a value field of defined length"
    SEQUENCE = "the beginning of a sequence"
    FRAGMENTS = "the beginning of encapsulated data"
    FRAGMENT = "one fragment"
    ITEM = "the beginning of an item"
    ITEM_END = "the end of an item"
    SEQUENCE_END = "the end of a sequence or of encapsulated data"


class Step(NamedTuple):
    """`begin` and `length` are those of the value field or fragment, in bytes. An ambiguous `vr` ("US or SS") is as
    the dictionary has it. `top` says whether the element is in the outermost data set."""

    kind: Kind
    tag: int = 0
    vr: str = ""
    begin: int = 0
    length: int = 0
    big_endian: bool = False
    top: bool = False


class _Sequence(NamedTuple):
    """`detect`: it came as UN, so its items are Implicit VR by the standard (PS3.5 6.2.2), Explicit VR by mistake."""

    parent: _DataSet
    end: int
    delimited: bool
    detect: bool
    big_endian: bool


class _DataSet(NamedTuple):
    """The outermost data set (`sequence` None) or an item."""

    sequence: _Sequence | None
    end: int
    delimited: bool
    implicit: bool
    big_endian: bool
    creators: dict[int, str]
    """Private Creators by group and block, `ggggbb` (PS3.5 7.8.1)."""


class _Header(NamedTuple):
    vr: str
    begin: int
    length: int
    guessed: bool
    """The VR comes from the dictionary."""


def walk(window: Window, at: int, *, implicit: bool, big_endian: bool) -> Iterator[Step]:
    """The steps of the data set that begins at `at`, without group lengths and Data Set Trailing Padding.

    The values of a step can be taken from the window until the next step is asked for. Raises InvalidDataset.
    """
    head = window.peek(at, 8)
    explicit = head[4:6] in _VRS if len(head) == 8 else not implicit
    place: _DataSet | _Sequence = _DataSet(None, window.size, False, not explicit, big_endian, {})
    while True:
        if isinstance(place, _Sequence):
            at, place, step = _next_item(window, at, place)
            yield step
        elif _is_end(window, at, place):
            if place.sequence is None:
                return
            at += 8 if place.delimited else 0
            place = place.sequence
            yield Step(Kind.ITEM_END)
        else:
            tag, header = _header(window, at, place)
            if header.length != UNDEFINED_LENGTH and header.begin + header.length > place.end:
                raise broken(tag, at, "is longer than what it is in")
            if not tag & 0xFFFF or tag == _TRAILING_PADDING:
                at = header.begin + header.length
                continue
            sequence = _sequence(window, place, tag, header)
            if sequence is not None:
                yield Step(Kind.SEQUENCE, tag, "SQ", top=place.sequence is None)
                at, place = header.begin, sequence
            elif header.length == UNDEFINED_LENGTH:
                yield Step(Kind.FRAGMENTS, tag, "OW" if header.vr == "OW" else "OB", top=place.sequence is None)
                at = yield from _fragments(window, header.begin, place, tag)
            else:
                _note_creator(window, place, tag, header)
                vr = "UN" if header.vr == "SQ" else header.vr
                top = place.sequence is None
                yield Step(Kind.VALUE, tag, vr, header.begin, header.length, place.big_endian, top)
                at = header.begin + header.length


def _is_end(window: Window, at: int, place: _DataSet) -> bool:
    """Whether nothing more is in the data set. The outermost one ends with the file, or with zeros."""
    if place.sequence is None:
        return not window.peek(at, 8).strip(b"\0")
    if not place.delimited:
        return at >= place.end
    head = window.peek(at, 8)
    if len(head) < 8:
        raise truncated(at)
    group, number, _ = _HEADER[place.big_endian].unpack(head)
    return bool(group << 16 | number == _ITEM_END)


def _next_item(window: Window, at: int, place: _Sequence) -> tuple[int, _DataSet | _Sequence, Step]:
    """The next item, or the end of the sequence."""
    if not place.delimited and at >= place.end:
        return at, place.parent, Step(Kind.SEQUENCE_END)
    tag, length = _item_header(window, at, big_endian=place.big_endian)
    if tag == _SEQUENCE_END and place.delimited:
        return at + 8, place.parent, Step(Kind.SEQUENCE_END)
    if tag != _ITEM:
        raise broken(tag, at, "stands where an item of a sequence must")
    at += 8
    delimited = length == UNDEFINED_LENGTH
    end = place.end if delimited else at + length
    implicit = place.parent.implicit
    if place.detect or not implicit:
        head = window.peek(at, 8)
        explicit = head[4:6] in _VRS
        if place.detect:
            implicit = not explicit
        elif not explicit and not place.big_endian and not head[4:6].isalpha() and head[:2] != b"\xfe\xff":
            # Some writers leave the VRs out inside sequences of an explicit data set.
            value = int.from_bytes(head[4:8], "little")
            implicit = len(head) == 8 and length != 0 and (value == UNDEFINED_LENGTH or at + 8 + value <= end)
    return at, _DataSet(place, end, delimited, implicit, place.big_endian, {}), Step(Kind.ITEM)


def _item_header(window: Window, at: int, *, big_endian: bool) -> tuple[int, int]:
    head = window.peek(at, 8)
    if len(head) < 8:
        raise truncated(at)
    group, number, length = _HEADER[big_endian].unpack(head)
    return group << 16 | number, length


def _sequence(window: Window, place: _DataSet, tag: int, header: _Header) -> _Sequence | None:
    """The sequence that begins with this element; None when it is none."""
    begin, length = header.begin, header.length
    delimited = length == UNDEFINED_LENGTH
    if header.vr not in ("SQ", "UN") or (header.vr == "UN" and not delimited):
        return None
    if delimited and place.sequence is None and tag == _PIXEL_DATA and header.vr == "UN":
        return None
    head = window.peek(begin, 4)
    if not delimited and length and head not in _ITEM_STARTS:
        return None
    detect = header.vr == "UN" and not (header.guessed and place.implicit)
    big_endian = place.big_endian and (not detect or head == b"\xff\xfe\xe0\x00")
    return _Sequence(place, place.end if delimited else begin + length, delimited, detect, big_endian)


def _fragments(window: Window, at: int, place: _DataSet, tag: int) -> Generator[Step, None, int]:
    """Fragments up to the sequence delimiter (PS3.5 A.4), the offset table first. Returns where it goes on."""
    while True:
        item, length = _item_header(window, at, big_endian=place.big_endian)
        at += 8
        if item == _SEQUENCE_END:
            yield Step(Kind.SEQUENCE_END)
            return at
        if item != _ITEM or length == UNDEFINED_LENGTH:
            raise broken(tag, at, "is no encapsulated data")
        yield Step(Kind.FRAGMENT, item, "", at, length)
        at += length


# -- headers -----------------------------------------------------------------------------------------------------------


def _header(window: Window, at: int, place: _DataSet) -> tuple[int, _Header]:
    head = window.peek(at, 12)
    if len(head) < 8:
        raise truncated(at)
    group, number, length = _HEADER[place.big_endian].unpack_from(head)
    tag = group << 16 | number
    if group == 0xFFFE:
        raise broken(tag, at, "stands where an element must")
    if place.implicit:
        return tag, _Header(_known_vr(place, tag) or "UN", at + 8, length, True)
    vr = _VRS.get(head[4:6])
    if vr is None:
        return tag, _strange_header(window, at, place, tag, head)
    order = ">" if place.big_endian else "<"
    if vr in SHORT_LENGTH_VRS:
        return tag, _Header(vr, at + 8, struct.unpack_from(order + "H", head, 6)[0], False)
    if len(head) < 12:
        raise truncated(at)
    return tag, _Header(vr, at + 12, struct.unpack_from(order + "I", head, 8)[0], False)


def _strange_header(window: Window, at: int, place: _DataSet, tag: int, head: bytes) -> _Header:
    """An element whose VR is none of PS3.5: it is taken for what makes the next header sensible."""
    order = ">" if place.big_endian else "<"
    forms = []
    if len(head) == 12 and head[6:8] == b"\0\0" and head[4:6].isalpha():
        forms.append(_Header("UN", at + 12, struct.unpack_from(order + "I", head, 8)[0], True))
    forms.append(_Header("UN", at + 8, struct.unpack_from(order + "H", head, 6)[0], True))
    if not place.big_endian:
        forms.append(_Header(_known_vr(place, tag) or "UN", at + 8, struct.unpack_from("<I", head, 4)[0], True))
    for form in forms:
        if form.length != UNDEFINED_LENGTH and _is_sensible(window, place, tag, form):
            return form
    raise broken(tag, at, "has no VR of PS3.5, and its length cannot be told")


def _is_sensible(window: Window, place: _DataSet, tag: int, form: _Header) -> bool:
    """Whether an element of known form, or the end, comes behind."""
    stop = form.begin + form.length
    if stop >= place.end:
        return stop == place.end and not place.delimited
    head = window.glance(stop, 8)
    if len(head) < 8:
        return False
    group, number, _ = _HEADER[place.big_endian].unpack(head)
    following = group << 16 | number
    if following == _ITEM_END:
        return place.delimited
    return following > tag and head[4:6] in _VRS


def _known_vr(place: _DataSet, tag: int) -> str | None:
    """The VR by the dictionary, of a private element by its creator (PS3.5 7.8.1)."""
    group, number = tag >> 16, tag & 0xFFFF
    if not group & 1:
        return public_vr(tag)
    if 0x10 <= number <= 0xFF:
        return "LO"
    creator = place.creators.get(group << 8 | number >> 8)
    return private_vr(creator, group, number) if creator else None


def _note_creator(window: Window, place: _DataSet, tag: int, header: _Header) -> None:
    group, number = tag >> 16, tag & 0xFFFF
    if group & 1 and 0x10 <= number <= 0xFF and header.length <= _CREATOR_BYTES:
        value = window.peek(header.begin, header.length).decode("latin_1")
        place.creators.setdefault(group << 8 | number, value.split("\\")[0].strip(" \0"))
