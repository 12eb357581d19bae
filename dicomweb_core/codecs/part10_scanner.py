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
from typing import Final, NamedTuple

from dicomweb_core.codecs.character_sets import DEFAULT, UNICODE_TERM, character_set
from dicomweb_core.codecs.part10_fragments import walk_fragments
from dicomweb_core.codecs.part10_headers import Headers
from dicomweb_core.codecs.part10_levels import Budget, Element, Level, Sequence, broken, sort_attributes, tag_name
from dicomweb_core.codecs.part10_plain import Plain, read_plain_explicit, read_plain_implicit
from dicomweb_core.codecs.part10_signs import Unresolved, resolve_signs
from dicomweb_core.codecs.part10_values import READERS, TEXT, Oddity, ceiling
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

_VR_CODES: Final = frozenset(vr.encode("ascii") for vr in READERS[False])

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
        self._budget = Budget(limits)
        self._headers = Headers(window, self._budget)
        self._at = window.base
        self._bulk: list[BulkValue] = []
        self._pixel: BulkValue | None = None
        self._table: Span | None = None
        self._fragments = b""
        self._unresolved: list[Unresolved] = []

    def run(self, *, implicit: bool, big_endian: bool) -> Scan:
        root = Level(None, self._window.size, DEFAULT, delimited=False)
        root.implicit, root.big_endian = self._headers.encoding(self._at, implicit=implicit, big_endian=big_endian)
        level: Level | None = root
        while level is not None:
            following = None if level.scrap else self._read_plain(level)
            level = following or self._read_any(level)
        resolve_signs(self._unresolved, self._budget)
        warnings = self._budget.all_warnings()
        return Scan(root.attributes, tuple(self._bulk), self._pixel, self._table, self._fragments, self._at, warnings)

    def _read_plain(self, level: Level) -> Level | None:
        """Reads plain elements. Which level comes next; None when `_read_any` must decide."""
        read = read_plain_implicit if level.implicit else read_plain_explicit
        found = read(self._window, self._headers, self._budget, level, self._at)
        self._at = found.at
        if found.sequence is not None:
            return self._open_plain(level, found)
        return self._close_plain(level, found) if level.sequence is not None else None

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
        element = self._headers.read(level, at, head, tag, length)
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

    def _skip(self, level: Level, element: Element) -> Level:
        if element.length == _UNDEFINED:
            raise broken(element.tag, element.at, "has an undefined length")
        self._at = element.begin + element.length
        return level

    def _out_of_order(self, level: Level, element: Element) -> bool:
        """Notes an element that comes too late; whether it is a repeated one."""
        if element.key in level.attributes:
            self._budget.warn(f"{tag_name(element.tag)} is there more than once; the first one counts.")
            return True
        self._budget.warn(f"{tag_name(element.tag)} is out of order.")
        level.disordered = True
        return False

    # -- values ----------------------------------------------------------------------------------------------------

    def _read_value(self, level: Level, element: Element, *, scrap: bool) -> Level:
        if element.length == _UNDEFINED:
            return self._read_undefined(level, element, scrap=scrap)
        vr = element.vr
        if vr == "UN" and not element.guessed and not level.big_endian and element.length < 0xFFFF:
            vr = self._headers.known_vr(level, element.tag) or vr
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

    def _attribute(self, level: Level, element: Element, vr: str, *, scrap: bool) -> Attribute:
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
                self._unresolved.append(Unresolved(level, attribute, b"", element.tag))
            return attribute
        top_pixel_data = level.sequence is None and element.key in PIXEL_DATA
        if top_pixel_data or element.length > self._most(vr, element.tag):
            return self._bulk_attribute(level, element, vr, scrap=scrap, pixel=top_pixel_data)
        value = self._kept(element, vr)
        if signed and not scrap:
            attribute = {"vr": vr}
            self._unresolved.append(Unresolved(level, attribute, value, element.tag))
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

    def _kept(self, element: Element, vr: str) -> bytes:
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

    def _bulk_attribute(self, level: Level, element: Element, vr: str, *, scrap: bool, pixel: bool) -> Attribute:
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
        element: Element,
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

    # -- sequences -------------------------------------------------------------------------------------------------

    def _begins_with_item(self, element: Element) -> bool:
        head = self._window.peek(element.begin, 4)
        return not element.length or head in _ITEM_BEGINS

    def _read_undefined(self, level: Level, element: Element, *, scrap: bool) -> Level:
        vr = element.vr
        if level.sequence is None and element.tag == _PIXEL_DATA and vr != "SQ":
            return self._read_fragments(level, element, "OB" if vr not in ("OB", "OW") else vr, scrap=scrap)
        if vr in ("SQ", "UN"):
            # Also a private attribute of unknown VR, and UN by the standard (PS3.5 6.2.2).
            return self._open(level, element, level.end, scrap=scrap, detect=vr == "UN")
        if vr in ("OB", "OW", "OB or OW"):
            return self._read_fragments(level, element, "OB" if vr == "OB or OW" else vr, scrap=scrap)
        raise broken(element.tag, element.at, f"is {vr} with an undefined length")

    def _open(self, level: Level, element: Element, end: int, *, scrap: bool, detect: bool) -> Level:
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

    def _close_plain(self, level: Level, found: Plain) -> Level | None:
        """What comes behind an item that ends here, or None."""
        if level.delimited:
            if found.tag != _ITEM_END or found.length:
                return None
            self._at += 8
        elif self._at != level.end:
            return None
        return self._close(level)

    def _open_plain(self, level: Level, found: Plain) -> Level | None:
        """A sequence that is in order, or None."""
        delimited, begin, window = found.length == _UNDEFINED, found.begin, self._window
        end = level.end if delimited else begin + found.length
        if end > level.end or begin + 4 > window.available or found.sequence is None:
            return None
        if found.length and window.data[begin - window.base : begin - window.base + 4] not in _ITEM_BEGINS:
            return None
        sequence = Sequence(level, found.sequence, end, delimited=delimited)
        self._budget.elements -= 1
        self._budget.text -= 32
        self._budget.check_depth(found.tag, self._at, sequence.depth)
        level.attributes[found.sequence] = {"vr": "SQ"}
        level.last = found.tag
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
        if not (sequence.detect or sequence.implicit) and self._window.data[at + 4 - base : at + 6 - base] in _VR_CODES:
            return level
        if sequence.detect or not sequence.implicit:
            head = self._window.peek(at, 8)
            explicit = head[4:6] in self._headers.explicit[sequence.big_endian]
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

    def _read_fragments(self, level: Level, element: Element, vr: str, *, scrap: bool) -> Level:
        """Encapsulated pixel data (PS3.5 A.4)."""
        found = walk_fragments(self._window, element, level, self._limits)
        self._at = found.stop
        pixel = level.sequence is None and element.tag == _PIXEL_DATA and not scrap
        attribute: Attribute = {"vr": vr}
        if found.basic_offset_table is not None:
            if pixel:
                self._table, self._fragments = found.basic_offset_table, found.fragments
            attribute = self._note_bulk(
                level, element, vr, element.begin, found.length, scrap=scrap, pixel=pixel, encapsulated=True
            )
        if not scrap:
            level.attributes[element.key] = attribute
        return level
