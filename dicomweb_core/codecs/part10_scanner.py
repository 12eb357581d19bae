"""The structure of a data set in a Part 10 file, in one pass (PS3.5 7, PS3.10 7).

Strict about structure: where it is ambiguous or cut, InvalidDataset names tag and byte. Tolerant about values, see
`part10_values`. Iterative; memory is that of the metadata and one window, whatever the size of the file.

Decisions where the standard leaves them to us:
* A file cut exactly between two elements of the outermost data set looks complete; nothing in the format tells.
* Zeros behind the data set are padding, anything else there is refused.
* Of a repeated element the first one counts. Elements out of order are put in order.
* Group lengths and Data Set Trailing Padding are read over.
"""

from __future__ import annotations

import struct
from array import array
from functools import lru_cache
from sys import byteorder
from typing import Final, NamedTuple

from dicomweb_core.codecs.character_sets import DEFAULT, UNICODE_TERM, character_set
from dicomweb_core.codecs.dictionary import PUBLIC_VRS, TAG_TEXT, private_vr, public_vr
from dicomweb_core.codecs.part10_levels import Budget, Level, Sequence, broken, sort_attributes, tag_name
from dicomweb_core.codecs.part10_values import READERS, TEXT, Oddity, ValueRule, ceiling, value_rules
from dicomweb_core.codecs.window import Window, truncated
from dicomweb_core.errors import InvalidDataset, TooLarge
from dicomweb_core.values.attributes import BULK_VRS, PIXEL_DATA, Attribute, Attributes
from dicomweb_core.values.blobs import BulkValue, Span
from dicomweb_core.values.limits import Limits

_UNDEFINED: Final = 0xFFFFFFFF
_ITEM: Final = 0xFFFEE000
_ITEM_BEGINS: Final = (b"\xfe\xff\x00\xe0", b"\xff\xfe\xe0\x00")
_ITEM_END: Final = 0xFFFEE00D
_SEQUENCE_END: Final = 0xFFFEE0DD
_SPECIFIC_CHARACTER_SET: Final = 0x00080005
_ICC_PROFILE: Final = 0x00282000
_PIXEL_DATA: Final = 0x7FE00010
_TRAILING_PADDING: Final = 0xFFFCFFFC
_FORBIDDEN_GROUPS: Final = frozenset({0x0000, 0x0002, 0xFFFF})
"""Commands, File Meta Information, and what ends nothing (PS3.5 7.1, 7.8)."""

_USUAL_VRS: Final = frozenset(vr.encode("ascii") for vr in READERS[False])

_EXPLICIT: Final = {order: struct.Struct(f"{order}HH2sH") for order in "<>"}
_IMPLICIT: Final = {order: struct.Struct(f"{order}HHI") for order in "<>"}
_LONG: Final = {order: struct.Struct(f"{order}I") for order in "<>"}

_IMPLICIT_AMBIGUITIES: Final = {
    "OB or OW": "OW",
    "US or SS or OW": "OW",
}
"""What Implicit VR means by these (PS3.5 A.1). `US or SS` depends on Pixel Representation, `US or OW` on the length."""


class Scan(NamedTuple):
    """A data set as found. Offsets count bytes of the file, behind the File Meta Information inflated ones."""

    attributes: Attributes
    bulk: tuple[BulkValue, ...]
    pixel: BulkValue | None
    """Top-level pixel data that are not empty."""
    basic_offset_table: Span | None
    fragments: bytes
    """(offset, length) of every fragment of encapsulated top-level Pixel Data, `<QQ` each."""
    end: int
    """The first byte behind the data set, without padding."""
    warnings: tuple[str, ...]


class _Element(NamedTuple):
    """An element whose header was read."""

    tag: int
    key: str
    at: int
    vr: str
    """As written, or as the dictionary has it."""
    length: int
    begin: int
    """The first byte of the value field."""
    guessed: bool
    """The VR comes from the dictionary."""


@lru_cache(maxsize=16)
def _explicit_rules(limits: Limits, big_endian: bool) -> dict[bytes, ValueRule]:
    return {vr.encode("ascii"): rule for vr, rule in value_rules(limits, big_endian=big_endian).items()}


@lru_cache(maxsize=16)
def _implicit_rules(limits: Limits) -> dict[int, tuple[str, ValueRule]]:
    """8 hex digits and rule of every attribute that the dictionary knows without ambiguity."""
    rules = value_rules(limits, big_endian=False)
    return {tag: (text, rules[PUBLIC_VRS[tag]]) for tag, text in TAG_TEXT.items() if PUBLIC_VRS.get(tag) in rules}


def scan(window: Window, limits: Limits, *, implicit: bool, big_endian: bool) -> Scan:
    """Reads the data set that begins where the window stands.

    `implicit` and `big_endian` are what the transfer syntax says. Raises InvalidDataset, TooLarge, and what the
    source raises.
    """
    return _Scanner(window, limits).run(implicit=implicit, big_endian=big_endian)


class _Scanner:
    """One pass. `_at` is where the next header begins, in bytes of the file."""

    def __init__(self, window: Window, limits: Limits) -> None:
        self._window = window
        self._limits = limits
        self._explicit = {order: _explicit_rules(limits, order) for order in (False, True)}
        self._implicit = _implicit_rules(limits)
        self._budget = Budget(limits)
        self._at = window.base
        self._bulk: list[BulkValue] = []
        self._pixel: BulkValue | None = None
        self._table: Span | None = None
        self._fragments = b""
        self._unresolved: list[tuple[Level, Attribute, bytes, int]] = []

    def run(self, *, implicit: bool, big_endian: bool) -> Scan:
        root = Level(None, self._window.size, DEFAULT, delimited=False)
        root.implicit, root.big_endian = self._encoding(implicit, big_endian)
        level: Level | None = root
        while level is not None:
            following: Level | None = None
            if not level.scrap:
                following = self._read_plain_implicit(level) if level.implicit else self._read_plain_explicit(level)
            level = following or self._read_any(level)
        self._resolve_signs()
        warnings = self._budget.all_warnings()
        return Scan(root.attributes, tuple(self._bulk), self._pixel, self._table, self._fragments, self._at, warnings)

    # -- the encoding ----------------------------------------------------------------------------------------------

    def _encoding(self, implicit: bool, big_endian: bool) -> tuple[bool, bool]:
        """What the first element says, which wins over the transfer syntax if it disagrees about VRs."""
        head = self._window.peek(self._at, 8)
        if len(head) < 8:
            return implicit, big_endian
        little, big = int.from_bytes(head[:2], "little"), int.from_bytes(head[:2], "big")
        if (big if big_endian else little) > 0xFF >= (little if big_endian else big):
            raise InvalidDataset(
                f"The byte order of the data set at byte {self._at} is not that of its transfer syntax."
            )
        explicit = head[4:6] in self._explicit[big_endian]
        if explicit == implicit:
            if not explicit and (big_endian or int.from_bytes(head[4:], "little") > self._window.size - self._at - 8):
                raise broken(little << 16 | int.from_bytes(head[2:4], "little"), self._at, "has no VR of PS3.5")
            found = "Explicit" if explicit else "Implicit"
            self._budget.warn(f"The data set is {found} VR, against its transfer syntax; it was read as {found} VR.")
        return not explicit, big_endian

    # -- plain elements: straight-line code, everything else is left to _read_any ----------------------------------

    def _read_plain_explicit(self, level: Level) -> Level | None:
        """Reads elements of known form, defined length and moderate size. Which level comes next; None when
        `_read_any` must decide."""
        window, budget, charset, attributes = self._window, self._budget, level.charset, level.attributes
        order = ">" if level.big_endian else "<"
        header, long_length = _EXPLICIT[order].unpack_from, _LONG[order].unpack_from
        rules, tags = self._explicit[level.big_endian], TAG_TEXT
        data, base, at, last = window.data, window.base, self._at, level.last
        end = min(window.available, level.end)
        text, before = budget.text, len(attributes)
        sequence: str | None = None
        tag = length = 0
        while at + 12 <= end:
            group, element, code, length = header(data, at - base)
            tag = group << 16 | element
            rule = rules.get(code)
            if rule is None or tag <= last:
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
        self._at, level.last = at, last
        if sequence is not None:
            return self._open_plain(level, tag, sequence, begin, length)
        return self._close_plain(level, tag, length) if level.sequence is not None else None

    def _read_plain_implicit(self, level: Level) -> Level | None:
        """The same for Implicit VR Little Endian and attributes of the dictionary."""
        window, budget, charset, attributes = self._window, self._budget, level.charset, level.attributes
        header, rules = _IMPLICIT["<"].unpack_from, self._implicit
        data, base, at, last = window.data, window.base, self._at, level.last
        end = min(window.available, level.end)
        text, before = budget.text, len(attributes)
        sequence: str | None = None
        tag = length = 0
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
        self._at, level.last = at, last
        if sequence is not None:
            return self._open_plain(level, tag, sequence, begin, length)
        return self._close_plain(level, tag, length) if level.sequence is not None else None

    # -- any element -----------------------------------------------------------------------------------------------

    def _read_any(self, level: Level) -> Level | None:
        """Reads one element, or the end of the level. Which level comes next; None behind the data set."""
        at = self._at
        if at == level.end and not level.delimited:
            return self._close(level)
        head = self._window.peek(at, 12)
        if level.sequence is None and self._is_padding(head, at):
            return self._close(level)
        if len(head) < 8 or at + 8 > level.end:
            raise truncated(at)
        order = ">" if level.big_endian else "<"
        group, number, length = _IMPLICIT[order].unpack_from(head)
        tag = group << 16 | number
        if group == 0xFFFE:
            return self._end_item(level, tag, length)
        if group in _FORBIDDEN_GROUPS:
            raise broken(tag, at, "does not belong into a data set")
        element = (
            self._implicit_header(level, tag, length) if level.implicit else self._explicit_header(level, tag, head)
        )
        self._budget.elements -= 1
        self._budget.text -= 32
        self._budget.check()
        if element.length != _UNDEFINED and element.begin + element.length > level.end:
            raise broken(tag, at, f"has a length of {element.length} bytes, which is more than there are")
        if not tag & 0xFFFF or tag == _TRAILING_PADDING:
            return self._skip(level, element)
        scrap = level.scrap
        if tag <= level.last:
            scrap = scrap or self._out_of_order(level, element)
        else:
            level.last = tag
        return self._read_value(level, element, scrap=scrap)

    def _is_padding(self, head: bytes, at: int) -> bool:
        """Whether the file ends here but for zeros. Raises InvalidDataset for other bytes behind zeros."""
        if not head:
            # A deflated data set: only now its size is known.
            if at > self._window.size:
                raise truncated(at)
            return True
        if head[:8].strip(b"\0"):
            return False
        position = at
        while True:
            self._window.refill(position)
            if not self._window.data:
                return True
            if self._window.data.strip(b"\0"):
                raise InvalidDataset(f"There is something behind the end of the data set at byte {at}.")
            position = self._window.available

    def _skip(self, level: Level, element: _Element) -> Level:
        if element.length == _UNDEFINED:
            raise broken(element.tag, element.at, "has an undefined length")
        self._at = element.begin + element.length
        return level

    def _out_of_order(self, level: Level, element: _Element) -> bool:
        """Notes an element that comes too late; whether it is a repeated one."""
        if element.key in level.attributes:
            self._budget.warn(f"{tag_name(element.tag)} is there more than once; the first one counts.")
            return True
        self._budget.warn(f"{tag_name(element.tag)} is out of order.")
        level.disordered = True
        return False

    # -- headers ---------------------------------------------------------------------------------------------------

    def _implicit_header(self, level: Level, tag: int, length: int) -> _Element:
        vr = self._known_vr(level, tag) or "UN"
        return _Element(tag, f"{tag:08X}", self._at, vr, length, self._at + 8, True)

    def _explicit_header(self, level: Level, tag: int, head: bytes) -> _Element:
        at, order, key = self._at, ">" if level.big_endian else "<", f"{tag:08X}"
        code = head[4:6]
        rule = self._explicit[level.big_endian].get(code)
        if rule is None:
            return self._strange_header(level, tag, head)
        if rule.long_form:
            if len(head) < 12 or at + 12 > level.end:
                raise truncated(at)
            (length,) = _LONG[order].unpack_from(head, 8)
            return _Element(tag, key, at, rule.vr, length, at + 12, False)
        length = int.from_bytes(head[6:8], "big" if level.big_endian else "little")
        return _Element(tag, key, at, rule.vr, length, at + 8, False)

    def _strange_header(self, level: Level, tag: int, head: bytes) -> _Element:
        """An element whose VR is none: of a later edition (32 bits of length, PS3.5 6.2), one with 16 bits, or without
        VR at all. It is taken for what makes the next header sensible."""
        at, order, key = self._at, "big" if level.big_endian else "little", f"{tag:08X}"
        code = head[4:6]
        forms: list[_Element] = []
        if len(head) == 12 and head[6:8] == b"\0\0" and code.isalpha():
            forms.append(_Element(tag, key, at, "UN", int.from_bytes(head[8:12], order), at + 12, True))
        forms.append(_Element(tag, key, at, "UN", int.from_bytes(head[6:8], order), at + 8, True))
        if not level.big_endian:
            vr = self._known_vr(level, tag) or "UN"
            forms.append(_Element(tag, key, at, vr, int.from_bytes(head[4:8], order), at + 8, True))
        for form in forms:
            if form.length != _UNDEFINED and self._is_sensible(level, form):
                self._budget.warn(f"{tag_name(tag)} has no VR of PS3.5.")
                return form
        raise broken(tag, at, "has no VR of PS3.5, and its length cannot be told")

    def _is_sensible(self, level: Level, form: _Element) -> bool:
        """Whether an element of known form, or the end, comes behind."""
        stop = form.begin + form.length
        if stop >= level.end:
            return stop == level.end and not level.delimited
        offset = stop - self._window.base
        if stop + 8 > self._window.available:
            return False
        group, number, code, _ = _EXPLICIT[">" if level.big_endian else "<"].unpack_from(self._window.data, offset)
        tag = group << 16 | number
        if tag == _ITEM_END:
            return level.delimited
        return tag > form.tag and code in self._explicit[level.big_endian]

    def _known_vr(self, level: Level, tag: int) -> str | None:
        """The VR by the dictionary, a private one by its creator (PS3.5 7.8.1)."""
        if not tag >> 16 & 1:
            return public_vr(tag)
        number = tag & 0xFFFF
        if 0x10 <= number <= 0xFF:
            return "LO"
        creator = level.attributes.get(f"{tag >> 16:04X}00{number >> 8:02X}", {}).get("Value")
        if not creator or not isinstance(creator[0], str):
            return None
        return private_vr(creator[0], tag >> 16, number)

    # -- values ----------------------------------------------------------------------------------------------------

    def _read_value(self, level: Level, element: _Element, *, scrap: bool) -> Level:
        if element.length == _UNDEFINED:
            return self._read_undefined(level, element, scrap=scrap)
        vr = element.vr
        if vr == "UN" and not element.guessed and not level.big_endian and element.length < 0xFFFF:
            vr = self._known_vr(level, element.tag) or vr
        if vr == "SQ":
            if self._begins_with_item(element):
                return self._open(
                    level, element, element.begin + element.length, scrap=scrap, detect=element.vr == "UN"
                )
            if not element.guessed and element.vr == "SQ":
                raise broken(element.tag, element.at, "is a sequence without items in it")
            self._budget.warn(f"{tag_name(element.tag)} is no sequence, as it should be; it is kept as UN.")
            vr = "UN"
        attribute = self._attribute(level, element, vr, scrap=scrap)
        if not scrap:
            level.attributes[element.key] = attribute
        self._at = element.begin + element.length
        return level

    def _attribute(self, level: Level, element: _Element, vr: str, *, scrap: bool) -> Attribute:
        """The attribute of a value field of defined length."""
        if vr == "US or OW":
            vr = "US" if element.length == 2 else "OW"
        vr = _IMPLICIT_AMBIGUITIES.get(vr, vr)
        signed = vr == "US or SS"
        if signed:
            vr = "US"
        if not element.length:
            attribute: Attribute = {"vr": vr}
            if signed and not scrap:
                self._unresolved.append((level, attribute, b"", element.tag))
            return attribute
        top_pixel_data = level.sequence is None and element.key in PIXEL_DATA
        if top_pixel_data or element.length > self._most(vr, element.tag):
            return self._bulk_attribute(level, element, vr, scrap=scrap, pixel=top_pixel_data)
        value = self._kept(element, vr)
        if signed and not scrap:
            attribute = {"vr": vr}
            self._unresolved.append((level, attribute, value, element.tag))
            return attribute
        try:
            attribute = READERS[level.big_endian][vr](value, level.charset)
        except Oddity as odd:
            attribute = odd.attribute
            self._budget.warn(f"{tag_name(element.tag)} {odd.note}.")
        if element.tag == _SPECIFIC_CHARACTER_SET and not scrap:
            return self._declare(level, attribute, value)
        return attribute

    def _most(self, vr: str, tag: int) -> int:
        return self._limits.inline_icc_profile_bytes if tag == _ICC_PROFILE else ceiling(vr, self._limits)

    def _kept(self, element: _Element, vr: str) -> bytes:
        """The value field, once it is known to be affordable."""
        self._budget.text -= element.length * 4
        self._budget.check()
        value = self._window.take(element.begin, element.length)
        if vr in TEXT:
            self._budget.text -= 24 * value.count(b"\\")
            self._budget.check()
        return value

    def _declare(self, level: Level, attribute: Attribute, value: bytes) -> Attribute:
        """Specific Character Set: from here on, in this data set and below."""
        charset = character_set(value)
        for term in charset.unknown:
            self._budget.warn(f"Specific Character Set (0008,0005) has an unknown term: {term!r}.")
        level.charset = charset
        if charset.declared or charset.unknown:
            return {"vr": "CS", "Value": [UNICODE_TERM]}
        return attribute

    def _bulk_attribute(self, level: Level, element: _Element, vr: str, *, scrap: bool, pixel: bool) -> Attribute:
        if vr not in BULK_VRS:
            most = self._limits.value_bytes
            raise TooLarge(
                f"{tag_name(element.tag)} at byte {element.at} has a value of {element.length} bytes; its VR does not "
                f"allow bulk data, so {most} are the most.",
                limit="value_bytes",
                ceiling=most,
            )
        return self._note_bulk(level, element, vr, element.begin, element.length, scrap=scrap, pixel=pixel)

    def _note_bulk(
        self,
        level: Level,
        element: _Element,
        vr: str,
        begin: int,
        length: int,
        *,
        scrap: bool,
        pixel: bool,
        encapsulated: bool = False,
    ) -> Attribute:
        path = level.path + element.key
        self._budget.text -= len(path)
        if not scrap:
            bulk = BulkValue(path, vr, begin, length, encapsulated)
            self._bulk.append(bulk)
            if pixel and self._pixel is None:
                self._pixel = bulk
        return {"vr": vr, "BulkDataURI": f"\x01/bulkdata/{path}"}

    def _resolve_signs(self) -> None:
        """`US or SS` in Implicit VR: what the nearest Pixel Representation (0028,0103) says (PS3.5 A.1)."""
        for level, attribute, value, tag in self._unresolved:
            around: Level | None = level
            signed = False
            while around is not None:
                representation = around.attributes.get("00280103", {}).get("Value")
                if representation:
                    signed = representation[0] == 1
                    break
                around = around.parent
            vr = "SS" if signed else "US"
            attribute["vr"] = vr
            if value:
                try:
                    attribute.update(READERS[False][vr](value, level.charset))
                except Oddity as odd:
                    attribute.update(odd.attribute)
                    self._budget.warn(f"{tag_name(tag)} {odd.note}.")

    # -- sequences -------------------------------------------------------------------------------------------------

    def _begins_with_item(self, element: _Element) -> bool:
        head = self._window.peek(element.begin, 4)
        return not element.length or head in _ITEM_BEGINS

    def _read_undefined(self, level: Level, element: _Element, *, scrap: bool) -> Level:
        vr = element.vr
        if level.sequence is None and element.tag == _PIXEL_DATA and vr != "SQ":
            return self._read_fragments(level, element, "OB" if vr not in ("OB", "OW") else vr, scrap=scrap)
        if vr in ("SQ", "UN"):
            # Also a private attribute of unknown VR, and UN by the standard (PS3.5 6.2.2).
            return self._open(level, element, level.end, scrap=scrap, detect=vr == "UN")
        if vr in ("OB", "OW", "OB or OW"):
            return self._read_fragments(level, element, "OB" if vr == "OB or OW" else vr, scrap=scrap)
        raise broken(element.tag, element.at, f"is {vr} with an undefined length")

    def _open(self, level: Level, element: _Element, end: int, *, scrap: bool, detect: bool) -> Level:
        delimited = element.length == _UNDEFINED
        sequence = Sequence(level, element.key, end, delimited=delimited)
        self._budget.check_depth(element.tag, element.at, sequence.depth)
        attribute: Attribute = {"vr": "SQ"}
        if not scrap:
            level.attributes[element.key] = attribute
        self._at = element.begin
        if detect and not (element.guessed and level.implicit):
            # PS3.5 6.2.2: Implicit VR Little Endian inside, items included.
            sequence.detect = True
            head = self._window.peek(element.begin, 4)
            sequence.big_endian = level.big_endian and head == b"\xff\xfe\xe0\x00"
        return self._next_item(sequence, scrap=scrap)

    def _close_plain(self, level: Level, tag: int, length: int) -> Level | None:
        """What comes behind an item that ends here, or None. `tag` and `length` are those of the last header."""
        if level.delimited:
            if tag != _ITEM_END or length:
                return None
            self._at += 8
        elif self._at != level.end:
            return None
        return self._close(level)

    def _open_plain(self, level: Level, tag: int, key: str, begin: int, length: int) -> Level | None:
        """A sequence that is in order, or None."""
        end = level.end if length == _UNDEFINED else begin + length
        window = self._window
        if end > level.end or begin + 4 > window.available:
            return None
        if length and window.data[begin - window.base : begin - window.base + 4] not in _ITEM_BEGINS:
            return None
        sequence = Sequence(level, key, end, delimited=length == _UNDEFINED)
        budget = self._budget
        budget.elements -= 1
        budget.text -= 32
        budget.check_depth(tag, self._at, sequence.depth)
        level.attributes[key] = {"vr": "SQ"}
        level.last = tag
        self._at = begin
        return self._next_item(sequence, scrap=False)

    def _next_item(self, sequence: Sequence, *, scrap: bool) -> Level:
        """The next item that is not empty, or the data set around behind the last one."""
        window, budget, items = self._window, self._budget, sequence.items
        header = _IMPLICIT[">" if sequence.big_endian else "<"].unpack_from
        at, end = self._at, sequence.end
        while sequence.delimited or at != end:
            if at + 8 > window.available:
                window.refill(at)
            if at + 8 > window.available or at + 8 > end:
                raise truncated(at)
            group, number, length = header(window.data, at - window.base)
            tag = group << 16 | number
            if tag == _SEQUENCE_END and sequence.delimited:
                if length:
                    raise broken(tag, at, "has a length")
                at += 8
                break
            if tag != _ITEM:
                raise broken(tag, at, "stands where an item of a sequence must")
            budget.elements -= 1
            budget.text -= 3
            if budget.elements < 0 or budget.text < 0:
                budget.check()
            at += 8
            if length:
                self._at = at
                return self._open_item(sequence, at, length, scrap=scrap)
            items.append({})
        self._at = at
        parent = sequence.parent
        if items and not scrap and not parent.scrap:
            parent.attributes[sequence.key]["Value"] = items
        return parent

    def _open_item(self, sequence: Sequence, at: int, length: int, *, scrap: bool) -> Level:
        delimited = length == _UNDEFINED
        end = sequence.end if delimited else at + length
        if end > sequence.end:
            raise broken(_ITEM, at - 8, "is longer than its sequence")
        parent = sequence.parent
        level = Level(sequence, end, parent.charset, delimited=delimited)
        level.implicit, level.big_endian = sequence.implicit, sequence.big_endian
        level.scrap = scrap
        sequence.items.append(level.attributes)
        base = self._window.base
        if (
            not (sequence.detect or sequence.implicit)
            and self._window.data[at + 4 - base : at + 6 - base] in _USUAL_VRS
        ):
            return level
        if sequence.detect or not sequence.implicit:
            head = self._window.peek(at, 8)
            explicit = head[4:6] in self._explicit[sequence.big_endian]
            if sequence.detect:
                level.implicit = not explicit
            elif not explicit and not sequence.big_endian and not head[4:6].isalpha() and head[:2] != b"\xfe\xff":
                level.implicit = self._is_implicit_item(level, head)
        return level

    def _is_implicit_item(self, level: Level, head: bytes) -> bool:
        """Some writers leave the VRs out inside sequences of an explicit data set."""
        length = int.from_bytes(head[4:8], "little")
        if len(head) < 8 or (length != _UNDEFINED and self._at + 8 + length > level.end):
            return False
        self._budget.warn("Items of a sequence are Implicit VR, against the transfer syntax.")
        return True

    def _end_item(self, level: Level, tag: int, length: int) -> Level:
        if tag != _ITEM_END or not level.delimited:
            raise broken(tag, self._at, "stands where an element must")
        if length:
            raise broken(tag, self._at, "has a length")
        self._at += 8
        following = self._close(level)
        assert following is not None
        return following

    def _close(self, level: Level) -> Level | None:
        """The end of a data set. What comes next: an item, the data set around, or None."""
        if level.disordered:
            sort_attributes(level.attributes)
        if level.sequence is None:
            return None
        return self._next_item(level.sequence, scrap=level.scrap)

    # -- fragments -------------------------------------------------------------------------------------------------

    def _read_fragments(self, level: Level, element: _Element, vr: str, *, scrap: bool) -> Level:
        """Encapsulated pixel data (PS3.5 A.4): the item headers only."""
        header = _IMPLICIT[">" if level.big_endian else "<"].unpack
        window, at = self._window, element.begin
        spans = array("Q")
        left = self._limits.fragments
        while True:
            head = window.peek(at, 8)
            if len(head) < 8 or at + 8 > level.end:
                raise broken(element.tag, element.at, "is truncated: it has no sequence delimiter")
            group, number, length = header(head)
            tag = group << 16 | number
            if tag == _SEQUENCE_END:
                break
            stop = at + 8 + length
            if tag != _ITEM or length == _UNDEFINED:
                raise broken(tag, at, "stands where a fragment must")
            if stop > level.end:
                raise broken(tag, at, f"is a fragment of {length} bytes, which is more than there are")
            left -= 1
            if left < -1:
                raise TooLarge(
                    f"{tag_name(element.tag)} has more than {self._limits.fragments} fragments.",
                    limit="fragments",
                    ceiling=self._limits.fragments,
                )
            spans.append(at + 8)
            spans.append(length)
            at = stop
        if length:
            raise broken(tag, at, "has a length")
        self._at = at + 8
        pixel = level.sequence is None and element.tag == _PIXEL_DATA and not scrap
        if pixel and spans:
            self._table = Span(spans[0], spans[1])
            self._fragments = _little_endian(spans[2:])
        attribute: Attribute = {"vr": vr}
        if spans:
            length = at - element.begin
            attribute = self._note_bulk(
                level, element, vr, element.begin, length, scrap=scrap, pixel=pixel, encapsulated=True
            )
        if not scrap:
            level.attributes[element.key] = attribute
        return level


def _little_endian(numbers: array[int]) -> bytes:
    if byteorder == "big":
        numbers.byteswap()
    return numbers.tobytes()
