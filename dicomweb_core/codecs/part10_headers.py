"""Headers of data elements: tag, VR, length (PS3.5 7.1), also where VR and length have to be guessed."""

from __future__ import annotations

import struct
from functools import lru_cache
from typing import Final, Literal

from dicomweb_core.codecs.dictionary import PUBLIC_VRS, TAG_TEXT, private_vr, public_vr
from dicomweb_core.codecs.part10_levels import Budget, Element, Level, broken, tag_name
from dicomweb_core.codecs.part10_values import ValueRule, value_rules
from dicomweb_core.codecs.window import Window, truncated
from dicomweb_core.errors import InvalidDataset
from dicomweb_core.values.limits import Limits

_UNDEFINED: Final = 0xFFFFFFFF
_ITEM_END: Final = 0xFFFEE00D
_EXPLICIT: Final = {order: struct.Struct(f"{order}HH2sH") for order in "<>"}
_LONG: Final = {order: struct.Struct(f"{order}I") for order in "<>"}


@lru_cache(maxsize=16)
def explicit_rules(limits: Limits, big_endian: bool) -> dict[bytes, ValueRule]:
    """The rule of every VR, by the two bytes that say it."""
    return {vr.encode("ascii"): rule for vr, rule in value_rules(limits, big_endian=big_endian).items()}


@lru_cache(maxsize=16)
def implicit_rules(limits: Limits) -> dict[int, tuple[str, ValueRule]]:
    """8 hex digits and rule of every attribute that the dictionary knows without ambiguity."""
    rules = value_rules(limits, big_endian=False)
    return {tag: (text, rules[PUBLIC_VRS[tag]]) for tag, text in TAG_TEXT.items() if PUBLIC_VRS.get(tag) in rules}


class Headers:
    """Reads the header of any element; what is plain the scanner reads itself."""

    __slots__ = ("_budget", "_window", "explicit", "implicit")

    def __init__(self, window: Window, budget: Budget) -> None:
        self._window = window
        self._budget = budget
        self.explicit = {order: explicit_rules(budget.limits, order) for order in (False, True)}
        self.implicit = implicit_rules(budget.limits)

    def encoding(self, at: int, *, implicit: bool, big_endian: bool) -> tuple[bool, bool]:
        """What the first element says, which wins over the transfer syntax if it disagrees about VRs."""
        head = self._window.peek(at, 8)
        if len(head) < 8:
            return implicit, big_endian
        little, big = int.from_bytes(head[:2], "little"), int.from_bytes(head[:2], "big")
        if (big if big_endian else little) > 0xFF >= (little if big_endian else big):
            raise InvalidDataset(f"The byte order of the data set at byte {at} is not that of its transfer syntax.")
        explicit = head[4:6] in self.explicit[big_endian]
        if explicit == implicit:
            if not explicit and (big_endian or int.from_bytes(head[4:], "little") > self._window.size - at - 8):
                raise broken(little << 16 | int.from_bytes(head[2:4], "little"), at, "has no VR of PS3.5")
            found = "Explicit" if explicit else "Implicit"
            self._budget.warn(f"The data set is {found} VR, against its transfer syntax; it was read as {found} VR.")
        return not explicit, big_endian

    def read(self, level: Level, at: int, head: bytes, tag: int, length: int) -> Element:
        """The header at this byte. `head` are up to 12 bytes, `length` is that of Implicit VR.

        Raises InvalidDataset when the length cannot be told.
        """
        if level.implicit:
            return self._implicit_header(level, at, tag, length)
        return self._explicit_header(level, at, tag, head)

    def _implicit_header(self, level: Level, at: int, tag: int, length: int) -> Element:
        vr = self.known_vr(level, tag) or "UN"
        return Element(tag, f"{tag:08X}", at, vr, length, at + 8, True)

    def _explicit_header(self, level: Level, at: int, tag: int, head: bytes) -> Element:
        order, key = ">" if level.big_endian else "<", f"{tag:08X}"
        code = head[4:6]
        rule = self.explicit[level.big_endian].get(code)
        if rule is None:
            return self._strange_header(level, at, tag, head)
        if rule.long_form:
            if len(head) < 12 or at + 12 > level.end:
                raise truncated(at)
            (length,) = _LONG[order].unpack_from(head, 8)
            return Element(tag, key, at, rule.vr, length, at + 12, False)
        length = int.from_bytes(head[6:8], "big" if level.big_endian else "little")
        return Element(tag, key, at, rule.vr, length, at + 8, False)

    def _strange_header(self, level: Level, at: int, tag: int, head: bytes) -> Element:
        """An element whose VR is none: of a later edition (32 bits of length, PS3.5 6.2), one with 16 bits, or without
        VR at all. It is taken for what makes the next header sensible."""
        order: Literal["big", "little"] = "big" if level.big_endian else "little"
        key = f"{tag:08X}"
        code = head[4:6]
        forms: list[Element] = []
        if len(head) == 12 and head[6:8] == b"\0\0" and code.isalpha():
            forms.append(Element(tag, key, at, "UN", int.from_bytes(head[8:12], order), at + 12, True))
        forms.append(Element(tag, key, at, "UN", int.from_bytes(head[6:8], order), at + 8, True))
        if not level.big_endian:
            vr = self.known_vr(level, tag) or "UN"
            forms.append(Element(tag, key, at, vr, int.from_bytes(head[4:8], order), at + 8, True))
        for form in forms:
            if form.length != _UNDEFINED and self._is_sensible(level, form):
                self._budget.warn(f"{tag_name(tag)} has no VR of PS3.5.")
                return form
        raise broken(tag, at, "has no VR of PS3.5, and its length cannot be told")

    def _is_sensible(self, level: Level, form: Element) -> bool:
        """Whether an element of known form, or the end, comes behind."""
        stop = form.begin + form.length
        if stop >= level.end:
            return stop == level.end and not level.delimited
        head = self._window.glance(stop, 8)
        if len(head) < 8:
            return False
        group, number, code, _ = _EXPLICIT[">" if level.big_endian else "<"].unpack(head)
        tag = group << 16 | number
        if tag == _ITEM_END:
            return level.delimited
        return tag > form.tag and code in self.explicit[level.big_endian]

    def known_vr(self, level: Level, tag: int) -> str | None:
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
