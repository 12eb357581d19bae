"""Value fields of PS3.5 6.2 as attributes of the DICOM JSON Model (PS3.18 F.2.3).

Tolerant: whatever bytes a value has, the outcome is legal JSON that loses nothing. A value that its VR cannot hold
raises `Oddity`, which carries the attribute to use instead.
"""

from __future__ import annotations

import re
import struct
from binascii import b2a_base64
from collections.abc import Callable
from decimal import Decimal
from math import isfinite
from typing import Any, Final, NamedTuple

import numpy as np
import orjson

from dicomweb_core.codecs.character_sets import PARAGRAPHS, PERSON_NAMES, VALUES, CharacterSet
from dicomweb_core.values.attributes import BULK_VRS, Attribute, SpelledNumbers
from dicomweb_core.values.limits import Limits

Reader = Callable[[bytes, CharacterSet], Attribute]
"""A value field that is not empty, without its padding, as an attribute. Raises Oddity."""


class Oddity(Exception):
    """The value breaks a rule of its VR. `attribute` represents it all the same; `note` says what is odd."""

    def __init__(self, attribute: Attribute, note: str) -> None:
        super().__init__(note)
        self.attribute = attribute
        self.note = note


_UNDEFINED_BYTES: Final = "has bytes that the Specific Character Set does not define"
_WRONG_LENGTH: Final = "has a length that its VR does not allow; it is kept as UN"


# -- text ----------------------------------------------------------------------------------------------------------


def _undefined(attribute: Attribute) -> Oddity:
    return Oddity(attribute, _UNDEFINED_BYTES)


def _multi_valued(vr: str, parse: Callable[[str], Any] = str) -> Reader:
    """Text whose values are separated by backslashes; spaces around a value mean nothing, NULs are padding."""
    parsed = parse is not str

    def read(value: bytes, charset: CharacterSet) -> Attribute:
        defined = True
        if charset.plain and value.isascii():
            text = value.decode("ascii")
        else:
            text, defined = charset.decode(value, VALUES)
        if "\\" in text:
            parts = [part.strip(" \0") for part in text.rstrip(" \0").split("\\")]
            values: list[Any] = [parse(part) if part else None for part in parts]
        else:
            text = text.strip(" \0")
            if not text:
                return {"vr": vr}
            values = [parse(text) if parsed else text]
        if not defined:
            raise _undefined({"vr": vr, "Value": values})
        return {"vr": vr, "Value": values}

    return read


def _trailing_padded(vr: str) -> Reader:
    """UC: several values, leading spaces are significant (PS3.5 6.2)."""

    def read(value: bytes, charset: CharacterSet) -> Attribute:
        text, defined = charset.decode(value, VALUES)
        text = text.rstrip(" \0")
        if not text:
            return {"vr": vr}
        attribute: Attribute = {"vr": vr, "Value": [part.rstrip(" \0") or None for part in text.split("\\")]}
        if not defined:
            raise _undefined(attribute)
        return attribute

    return read


def _single_valued(vr: str) -> Reader:
    """LT, ST, UT, UR: a backslash is a character (PS3.5 6.2)."""

    def read(value: bytes, charset: CharacterSet) -> Attribute:
        text, defined = charset.decode(value, PARAGRAPHS)
        text = text.rstrip(" \0")
        if not text:
            return {"vr": vr}
        if not defined:
            raise _undefined({"vr": vr, "Value": [text]})
        return {"vr": vr, "Value": [text]}

    return read


def _person_name(text: str) -> dict[str, str] | None:
    """The groups of a name that are not empty (PS3.18 F.2.2); None when all are."""
    if "=" not in text:
        text = text.rstrip(" \0")
        return {"Alphabetic": text} if text else None
    groups = [group.rstrip(" \0") for group in text.split("=", 2)]
    named = zip(("Alphabetic", "Ideographic", "Phonetic"), groups, strict=False)
    return {name: group for name, group in named if group} or None


def _read_person_names(value: bytes, charset: CharacterSet) -> Attribute:
    defined = True
    if value.isascii() and charset.plain:
        text = value.decode("ascii")
    else:
        text, defined = charset.decode(value, PERSON_NAMES)
    if "\\" in text:
        values = [_person_name(part) for part in text.rstrip(" \0").split("\\")]
    else:
        name = _person_name(text)
        if name is None:
            return {"vr": "PN"}
        values = [name]
    if not defined:
        raise _undefined({"vr": "PN", "Value": values})
    return {"vr": "PN", "Value": values}


# -- numbers in text -----------------------------------------------------------------------------------------------

_JSON_NUMBER: Final = re.compile(r"-?(?:0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?").fullmatch
_EXACT_INTEGERS: Final = 1 << 53
"""Every integer below is a JSON number that all readers understand (RFC 8259 6)."""
_LONGEST_NUMBER: Final = 64
_SHORT: Final = 15
"""Bytes in which no decimal has more digits than a binary64 number always keeps."""
_DECIMAL_POINT_AND_DIGITS: Final = b"0123456789.-\\"
_NUMBER: Final = rb"(?![^\\]{17})-?(?:0|[1-9][0-9]{0,14}+)(?:\.[0-9]++)?(?:[eE][+-]?[0-9]{1,2}+)?"
_NUMBERS: Final = re.compile(rb"(?:%b\\)*+%b" % (_NUMBER, _NUMBER)).fullmatch
"""Legal DS values (PS3.5 Table 6.2-1) that are JSON numbers as they stand and keep all their digits as binary64."""


def _read_decimals(value: bytes, charset: CharacterSet) -> Attribute:
    """DS: a JSON number, spelled as it is, where that is one and reads back as the same decimal; else its text."""
    value = value.strip(b" \0")
    if len(value) > _SHORT or value.translate(None, _DECIMAL_POINT_AND_DIGITS):
        if _NUMBERS(value) is None:
            return _read_mixed_decimals(value, charset)
        return _decimals(b"[%b]" % value.replace(b"\\", b","))
    try:
        return _decimals(b"[%b]" % value.replace(b"\\", b",")) if value else {"vr": "DS"}
    except orjson.JSONDecodeError:
        return _read_mixed_decimals(value, charset)


_read_decimal_texts: Final = _multi_valued("DS")


def _read_mixed_decimals(value: bytes, charset: CharacterSet) -> Attribute:
    """Some of the values are empty, padded, or no JSON numbers."""
    try:
        attribute = _read_decimal_texts(value, charset)
    except Oddity as odd:
        raise Oddity(_with_numbers(odd.attribute), odd.note) from None
    return _with_numbers(attribute)


def _with_numbers(attribute: Attribute) -> Attribute:
    if len(attribute) == 1:
        return attribute
    tokens = (text if text and _is_exact(text) else orjson.dumps(text).decode() for text in attribute["Value"])
    return _decimals(f"[{','.join(tokens)}]".encode())


def _decimals(text: bytes) -> Attribute:
    """From the JSON array."""
    values = orjson.loads(text)
    if orjson.dumps(values) == text:
        return {"vr": "DS", "Value": values}
    spelled = SpelledNumbers(values)
    spelled.text = text
    return {"vr": "DS", "Value": spelled}


def _is_exact(text: str) -> bool:
    """Whether it is written as JSON writes numbers and reads back as the same decimal."""
    match = _JSON_NUMBER(text) if len(text) <= _LONGEST_NUMBER else None
    if match is None:
        return False
    if match.lastindex is None:
        return -_EXACT_INTEGERS < int(text) < _EXACT_INTEGERS
    number = float(text)
    return isfinite(number) and Decimal(text) == Decimal(repr(number))


def _integer(text: str) -> int | str:
    """An IS as a number if its digits are those of the number; else its text."""
    if len(text) > _LONGEST_NUMBER or not text.isascii():
        return text
    try:
        number = int(text)
    except ValueError:
        return text
    return number if str(number) == text and -_EXACT_INTEGERS < number < _EXACT_INTEGERS else text


# -- binary numbers ------------------------------------------------------------------------------------------------


def _binary(vr: str, value: bytes) -> Attribute:
    return {"vr": vr, "InlineBinary": b2a_base64(value, newline=False).decode("ascii")}


def _number_texts(number: float) -> float | str:
    """PS3.18 F is silent about what JSON cannot say."""
    if isfinite(number):
        return number
    return "NaN" if number != number else "Infinity" if number > 0 else "-Infinity"


def _numbers(vr: str, order: str, code: str, each: Callable[[Any], Any] | None = None) -> Reader:
    one = struct.Struct(order + code)
    unpack, size = one.unpack, one.size

    def read(value: bytes, _charset: CharacterSet) -> Attribute:
        if len(value) == size:
            values: list[Any] = [unpack(value)[0]]
        else:
            count, rest = divmod(len(value), size)
            if rest:
                raise Oddity(_binary("UN", value), _WRONG_LENGTH)
            values = list(struct.unpack(f"{order}{count}{code}", value))
        if each is not None:
            values = list(map(each, values))
        return {"vr": vr, "Value": values}

    return read


def _wide_integer(number: int) -> int | str:
    return number if -_EXACT_INTEGERS < number < _EXACT_INTEGERS else str(number)


def _single_precision(order: str) -> Reader:
    """FL: the shortest decimals that read back as the same binary32 numbers."""
    one = struct.Struct(order + "f")

    def read(value: bytes, _charset: CharacterSet) -> Attribute:
        if len(value) % 4:
            raise Oddity(_binary("UN", value), _WRONG_LENGTH)
        if len(value) > 4:
            numbers = np.frombuffer(value, order + "f4")
            if np.isfinite(numbers).all():
                text = orjson.dumps(numbers.astype("=f4"), option=orjson.OPT_SERIALIZE_NUMPY)
                return {"vr": "FL", "Value": orjson.loads(text)}
            return {"vr": "FL", "Value": [_shortest(number) for number in numbers.tolist()]}
        return {"vr": "FL", "Value": [_shortest(one.unpack(value)[0])]}

    return read


_SMALLEST_NORMAL: Final = 2.0**-126


def _shortest(number: float) -> float | str:
    """`number` is a binary32 number."""
    if not isfinite(number):
        return _number_texts(number)
    if number.is_integer() and abs(number) < 1 << 24:
        return number
    # Six digits are never too many for a normal number; a denormal one may need only one.
    for digits in range(6 if abs(number) >= _SMALLEST_NORMAL else 1, 9):
        short = float(f"{number:.{digits}g}")
        try:
            if struct.unpack("<f", struct.pack("<f", short))[0] == number:
                return short
        except OverflowError:
            continue
    return float(f"{number:.9g}")


def _tags(order: str) -> Reader:
    def read(value: bytes, _charset: CharacterSet) -> Attribute:
        if len(value) % 4:
            raise Oddity(_binary("UN", value), _WRONG_LENGTH)
        halves = struct.unpack(f"{order}{len(value) // 2}H", value)
        return {
            "vr": "AT",
            "Value": [f"{g:04X}{e:04X}" for g, e in zip(halves[::2], halves[1::2], strict=True)],
        }

    return read


def _octets(vr: str) -> Reader:
    def read(value: bytes, _charset: CharacterSet) -> Attribute:
        return {"vr": vr, "InlineBinary": b2a_base64(value, newline=False).decode("ascii")}

    return read


def _swapped(vr: str, code: str) -> Reader:
    """InlineBinary is little endian, whatever the data set is (PS3.18 F.2.7)."""
    size = struct.calcsize("=" + code)

    def read(value: bytes, _charset: CharacterSet) -> Attribute:
        if len(value) % size:
            raise Oddity(_binary("UN", value), _WRONG_LENGTH)
        words = np.frombuffer(value, f">u{size}")
        return _binary(vr, words.astype(f"<u{size}").tobytes())

    return read


# -- tables --------------------------------------------------------------------------------------------------------

LONG_FORM: Final = frozenset({"OB", "OD", "OF", "OL", "OV", "OW", "SQ", "SV", "UC", "UN", "UR", "UT", "UV"})
"""VRs with a length of 32 bits in Explicit VR (PS3.5 7.1.2)."""
TEXT: Final = frozenset({"AE", "AS", "CS", "DA", "DS", "DT", "IS", "LO", "PN", "SH", "TM", "UC", "UI"})
"""VRs whose values are separated by backslashes."""


def _readers(order: str) -> dict[str, Reader]:
    readers: dict[str, Reader] = {
        vr: _multi_valued(vr) for vr in ("AE", "AS", "CS", "DA", "DT", "LO", "SH", "TM", "UI")
    }
    readers |= {vr: _single_valued(vr) for vr in ("LT", "ST", "UR", "UT")}
    readers |= {
        "UC": _trailing_padded("UC"),
        "PN": _read_person_names,
        "DS": _read_decimals,
        "IS": _multi_valued("IS", _integer),
        "AT": _tags(order),
        "FL": _single_precision(order),
        "FD": _numbers("FD", order, "d", _number_texts),
        "SV": _numbers("SV", order, "q", _wide_integer),
        "UV": _numbers("UV", order, "Q", _wide_integer),
        "OB": _octets("OB"),
        "UN": _octets("UN"),
    }
    readers |= {vr: _numbers(vr, order, code) for vr, code in (("US", "H"), ("SS", "h"), ("UL", "I"), ("SL", "i"))}
    words = (("OW", "H"), ("OF", "I"), ("OL", "I"), ("OD", "Q"), ("OV", "Q"))
    readers |= {vr: _octets(vr) if order == "<" else _swapped(vr, code) for vr, code in words}
    return readers


READERS: Final[dict[bool, dict[str, Reader]]] = {False: _readers("<"), True: _readers(">")}
"""By whether the data set is big endian, then by VR. SQ has none."""

_WEIGHTS: Final = {"US": 4, "SS": 4, "UL": 4, "SL": 4, "FL": 6, "FD": 4, "SV": 3, "UV": 3, "AT": 4, "DS": 2, "IS": 2}


class ValueRule(NamedTuple):
    """What the scanner must know of a VR. `reader` is None where a value field needs a closer look (SQ, UN)."""

    vr: str
    long_form: bool
    reader: Reader | None
    ceiling: int
    """Bytes up to which the value is in the metadata; -1 with `reader` None."""
    weight: int
    """About how many bytes of JSON text a byte of the value becomes."""


def ceiling(vr: str, limits: Limits) -> int:
    """Bytes up to which a value of this VR is in the metadata (PS3.18 F.2.6, F.2.7)."""
    if vr in ("OB", "OW", "UN"):
        return limits.inline_binary_bytes
    if vr in ("OD", "OF", "OL", "OV"):
        return limits.inline_numbers_bytes
    return limits.inline_text_bytes if vr in BULK_VRS else limits.value_bytes


def value_rules(limits: Limits, *, big_endian: bool) -> dict[str, ValueRule]:
    """The rule of every VR of PS3.5 6.2."""
    rules = {
        vr: ValueRule(vr, vr in LONG_FORM, reader, ceiling(vr, limits), _WEIGHTS.get(vr, 2))
        for vr, reader in READERS[big_endian].items()
    }
    for vr in ("SQ", "UN"):
        rules[vr] = ValueRule(vr, True, None, -1, 2)
    return rules
