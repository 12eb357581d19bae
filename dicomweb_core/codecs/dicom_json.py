"""DICOM JSON Model (PS3.18 F.2): text <-> Attributes. The reader is strict in what it returns.

It takes a few liberties of writers and removes them: lower-case tags, empty `Value`, `null` groups of a person name,
backslashes between values, InlineBinary for binary numbers (F.2.7). Group lengths, groups 0000 and 0002, padding and
members of an attribute that F.2.2 does not define are left out. Everything else is refused with the path of the tag.
"""

from __future__ import annotations

import binascii
import math
import re
import struct
from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType
from typing import Any, Final

import orjson

from dicomweb_core.codecs.json_numbers import SpelledNumber, parsed
from dicomweb_core.errors import InvalidPayload, TooLarge
from dicomweb_core.values.attributes import BINARY_VRS, BULK_VRS, INSTANCE_URL, Attribute, Attributes
from dicomweb_core.values.limits import Limits

SINGLE_TEXT_VRS: Final = frozenset({"LT", "ST", "UR", "UT"})
"""VRs of one value, in which a backslash is text (PS3.5 6.2)."""

TEXT_VRS: Final = SINGLE_TEXT_VRS | {"AE", "AS", "CS", "DA", "DT", "LO", "SH", "TM", "UC", "UI"}
"""VRs that are strings in JSON and nothing else, but for AT (F.2.3)."""

NON_FINITE: Final = ("NaN", "Infinity", "-Infinity")
"""How FL and FD values are written that are not JSON numbers. F.2.3 is silent."""

_PERSON_NAME_GROUPS: Final = ("Alphabetic", "Ideographic", "Phonetic")
_INTEGERS: Final = MappingProxyType(
    {
        "SL": (-(1 << 31), (1 << 31) - 1),
        "SS": (-(1 << 15), (1 << 15) - 1),
        "SV": (-(1 << 63), (1 << 63) - 1),
        "UL": (0, (1 << 32) - 1),
        "US": (0, (1 << 16) - 1),
        "UV": (0, (1 << 64) - 1),
    }
)
_FLOAT_MAX: Final = MappingProxyType({"FL": float.fromhex("0x1.fffffefffffffp+127"), "FD": math.inf})
"""What still rounds to a number of the VR: the shortest text of the largest binary32 number is above that number."""
_WORD_BYTES: Final = MappingProxyType({"OB": 1, "UN": 1, "OW": 2, "OF": 4, "OL": 4, "OD": 8, "OV": 8})
_NUMBER_CODES: Final = MappingProxyType(
    {"SS": "h", "US": "H", "SL": "i", "UL": "I", "SV": "q", "UV": "Q", "FL": "f", "FD": "d"}
)
_LONGEST_DS: Final = 16
_TAG: Final = re.compile(r"[0-9A-Fa-f]{8}")
_INTEGER: Final = re.compile(r" *[+-]?[0-9]{1,20} *")
_URI: Final = re.compile(r"[^\x00-\x20\x7f]+")
_STRING: Final = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"([ \t\r\n]*:)?')
# Without command and file meta elements, group lengths, delimiters and padding: no part of a data set (F.2.2).
_NOT_ATTRIBUTES: Final = re.compile(r"0000....|0002....|....0000|FFFE....|FFFCFFFC")
_CONTENTS: Final = ("Value", "InlineBinary", "BulkDataURI")


class _Malformed(Exception):
    """What is wrong with an attribute, to which the caller adds its path."""


def read(text: bytes, limits: Limits) -> list[Attributes]:
    """The data sets of a JSON array, or of one object, as strict Attributes: see `normalised`.

    Raises InvalidPayload, also for a name that occurs twice in an object (F.3.1), and TooLarge.
    """
    return [normalised(dataset, limits) for dataset in parse(text, limits)]


def parse(text: bytes, limits: Limits) -> list[Any]:
    """The elements of a JSON array, or one object: what `normalised` makes data sets of, one by one.

    Raises InvalidPayload, also for a name that occurs twice in an object (F.3.1), and TooLarge.
    """
    if len(text) > limits.model_bytes:
        raise TooLarge(
            f"A JSON text is longer than {limits.model_bytes} bytes.", limit="model_bytes", ceiling=limits.model_bytes
        )
    given = parsed(text)
    names = _STRING.findall(text)
    if len(names) - names.count(b"") != _count_names(given):
        raise InvalidPayload("A name occurs twice in a JSON object.")
    return given if isinstance(given, list) else [given]


def normalised(dataset: object, limits: Limits) -> Attributes:
    """A data set in the one form that everything of ours relies on.

    Tags are 8 upper-case digits, ascending; every attribute has a `vr` and at most one of Value, InlineBinary and
    BulkDataURI; Value is never empty and every value is of the type F.2.3 has for the VR, None where it is empty.
    Raises InvalidPayload with the path of the offending tag, and TooLarge.
    """
    if not isinstance(dataset, dict):
        raise InvalidPayload("A data set must be a JSON object.")
    root: Attributes = {}
    pending: list[tuple[Mapping[str, object], Attributes, str, int]] = [(dataset, root, "", 0)]
    count = 0
    while pending:
        given, attributes, path, depth = pending.pop()
        count += 1 + len(given)
        _check(count <= limits.elements, limits, "elements", "elements in a data set")
        for tag, content in sorted(_tagged(given, path)):
            try:
                attribute = _attribute(content)
            except _Malformed as malformed:
                raise InvalidPayload(f"Attribute {path}{tag} {malformed}.") from None
            attributes[tag] = attribute
            if attribute["vr"] == "SQ" and "Value" in attribute:
                _check(depth < limits.sequence_depth, limits, "sequence_depth", "nested sequences")
                items: list[Attributes] = [{} for _ in attribute["Value"]]
                pending += [
                    (item, items[index], f"{path}{tag}/{index}/", depth + 1)
                    for index, item in enumerate(attribute["Value"])
                ]
                attribute["Value"] = items
    return root


def dump(attributes: Attributes | Iterable[Attributes]) -> bytes:
    """The JSON text of a data set, or of an array of them. Raises InvalidPayload for what JSON cannot hold."""
    try:
        return orjson.dumps(attributes if isinstance(attributes, dict) else list(attributes))
    except TypeError as error:
        raise InvalidPayload("A data set has a value that JSON cannot hold.") from error


def with_urls(text: bytes, instance_url: str) -> bytes:
    """Stored JSON text with the absolute URL of its instance in place of every `INSTANCE_URL`."""
    return text.replace(INSTANCE_URL, orjson.dumps(instance_url)[1:-1])


def _check(within: bool, limits: Limits, limit: str, what: str) -> None:
    if not within:
        ceiling: int = getattr(limits, limit)
        raise TooLarge(f"There are more than {ceiling} {what}.", limit=limit, ceiling=ceiling)


def _count_names(parsed: object) -> int:
    count = 0
    pending = [parsed]
    while pending:
        value = pending.pop()
        if isinstance(value, dict):
            count += len(value)
            pending.extend(value.values())
        elif isinstance(value, list):
            pending.extend(value)
    return count


def _tagged(given: Mapping[str, object], path: str) -> list[tuple[str, Any]]:
    """The attributes by tag in upper case, without those that do not belong to a data set."""
    found: dict[str, Any] = {}
    for name, content in given.items():
        if _TAG.fullmatch(name) is None:
            raise InvalidPayload(f"{path}{_shown(name)} is not a tag of 8 hexadecimal digits.")
        tag = name.upper()
        if tag in found:
            raise InvalidPayload(f"Attribute {path}{tag} occurs twice.")
        found[tag] = content
    return [(tag, content) for tag, content in found.items() if _NOT_ATTRIBUTES.fullmatch(tag) is None]


def _attribute(given: object) -> Attribute:
    """Raises _Malformed."""
    if not isinstance(given, dict):
        raise _Malformed("must be an object with a `vr`")
    vr = given.get("vr")
    if not isinstance(vr, str):
        raise _Malformed("has no `vr`")
    if vr not in _VALUES and vr not in BINARY_VRS and vr != "SQ":
        raise _Malformed("has a `vr` that is not one of PS3.5")
    contents = [name for name in _CONTENTS if name in given]
    if not contents:
        return {"vr": vr}
    if len(contents) > 1:
        raise _Malformed(f"has both {contents[0]} and {contents[1]}")
    content = given[contents[0]]
    match contents[0]:
        case "BulkDataURI":
            return {"vr": vr, "BulkDataURI": _bulk_data_uri(vr, content)}
        case "InlineBinary":
            return _inline_binary(vr, content)
        case _:
            values = _value(vr, content)
            return {"vr": vr, "Value": values} if values else {"vr": vr}


def _value(vr: str, content: object) -> list[Any]:
    if not isinstance(content, list):
        raise _Malformed("has a Value that is not an array")
    if vr == "SQ":
        if not all(isinstance(item, dict) for item in content):
            raise _Malformed("has an item that is not an object")
        return content
    if vr in BINARY_VRS:
        if content not in ([], [""], [None]):
            raise _Malformed(f"has a Value, which {vr} does not allow")
        return []
    values = _VALUES[vr](vr, content)
    return [] if values == [None] else values


def _bulk_data_uri(vr: str, content: object) -> str:
    if vr not in BULK_VRS:
        raise _Malformed(f"has a BulkDataURI, which {vr} does not allow")
    if not isinstance(content, str) or _URI.fullmatch(content) is None:
        raise _Malformed("has a BulkDataURI that is not a URI")
    return content


def _inline_binary(vr: str, content: object) -> Attribute:
    if vr not in BINARY_VRS and vr not in _NUMBER_CODES:
        raise _Malformed(f"has InlineBinary, which {vr} does not allow")
    if content is None or content == "":
        return {"vr": vr}
    if not isinstance(content, str):
        raise _Malformed("has InlineBinary that is not a string")
    encoded = "".join(content.split())
    try:
        value = binascii.a2b_base64(encoded.encode("ascii"), strict_mode=True)
    except ValueError:
        raise _Malformed("has InlineBinary that is not base64") from None
    size = _WORD_BYTES.get(vr) or struct.calcsize(_NUMBER_CODES[vr])
    if len(value) % size:
        raise _Malformed(f"has InlineBinary of a length that is not a multiple of {size} bytes")
    if vr in BINARY_VRS:
        return {"vr": vr, "InlineBinary": encoded}
    numbers = struct.unpack(f"<{len(value) // size}{_NUMBER_CODES[vr]}", value)
    return {"vr": vr, "Value": [_finite_or_text(number) for number in numbers]}


def _finite_or_text(number: float) -> float | str:
    if math.isfinite(number):
        return number
    return "NaN" if math.isnan(number) else "Infinity" if number > 0 else "-Infinity"


def _texts(vr: str, values: list[object]) -> list[Any]:
    if not all(value is None or isinstance(value, str) for value in values):
        raise _Malformed("has a value that is not a string")
    if vr in SINGLE_TEXT_VRS:
        if len(values) > 1:
            raise _Malformed(f"has several values, which {vr} does not allow")
        return [value or None for value in values]
    return [part or None for value in values for part in _split(value)]


def _split(value: object) -> list[str]:
    """The values between backslashes (F.2.4 note)."""
    return value.split("\\") if isinstance(value, str) else [""]


def _tags(_vr: str, values: list[object]) -> list[Any]:
    if not all(value is None or value == "" or (isinstance(value, str) and _TAG.fullmatch(value)) for value in values):
        raise _Malformed("has a value that is not a tag of 8 hexadecimal digits")
    return [value.upper() if isinstance(value, str) and value else None for value in values]


def _numbers_or_texts(vr: str, values: list[object]) -> list[Any]:
    found: list[Any] = []
    for value in values:
        if value is None or isinstance(value, str):
            parts = _split(value)
            if vr in _INTEGERS:
                for part in filter(None, parts):
                    _check_integer(vr, int(part) if _INTEGER.fullmatch(part) else None)
            found += [part or None for part in parts]
        elif vr == "DS":
            found.append(_decimal(value))
        else:
            found.append(_integer(vr, value))
    return found


def _floats(vr: str, values: list[object]) -> list[Any]:
    found: list[Any] = []
    for value in values:
        if value is None or value == "":
            found.append(None)
        elif value in NON_FINITE:
            found.append(value)
        else:
            number = _number(value)
            if abs(number) > _FLOAT_MAX[vr]:
                raise _Malformed(f"has a number that {vr} cannot hold")
            found.append(number)
    return found


def _integers(vr: str, values: list[object]) -> list[Any]:
    return [None if value is None or value == "" else _integer(vr, value) for value in values]


def _number(value: object) -> int | float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise _Malformed("has a value that is not a number")
    return float(value) if isinstance(value, SpelledNumber) else value


def _decimal(value: object) -> int | float | str:
    """As its text where that fits a DS and the number alone would lose it."""
    if isinstance(value, SpelledNumber) and len(value.text) <= _LONGEST_DS:
        return value.text
    return _number(value)


def _integer(vr: str, value: object) -> int:
    number = _number(value)
    # Integers beyond 64 bits arrive as floats, rounded.
    integer = int(number) if isinstance(number, int) or (number.is_integer() and abs(number) <= 2**53) else None
    return _check_integer(vr, integer)


def _check_integer(vr: str, number: int | None) -> int:
    if number is None:
        raise _Malformed("has a value that is not an integer")
    low, high = _INTEGERS.get(vr, (-(1 << 63), (1 << 63) - 1))
    if not low <= number <= high:
        raise _Malformed(f"has a number that {vr} cannot hold")
    return number


def _person_names(_vr: str, values: list[object]) -> list[Any]:
    found: list[Any] = []
    for value in values:
        if value is None or value == "":
            found.append(None)
        elif isinstance(value, dict):
            found += _person_name(value)
        else:
            raise _Malformed("has a person name that is not an object")
    return found


def _person_name(given: Mapping[str, object]) -> list[dict[str, str] | None]:
    if not given.keys() <= set(_PERSON_NAME_GROUPS):
        raise _Malformed("has a person name with an unknown group")
    groups = [given.get(group) or "" for group in _PERSON_NAME_GROUPS]
    texts = [group for group in groups if isinstance(group, str)]
    if len(texts) < len(groups):
        raise _Malformed("has a person name with a group that is not a string")
    if any("\\" in text or "=" in text for text in texts):
        if texts[1] or texts[2]:
            raise _Malformed("has a person name with a delimiter inside a group")
        # The whole value of the Part 10 form stands in the first group.
        return [_groups(name.split("=")) for name in texts[0].split("\\")]
    return [_groups(texts)]


def _groups(texts: list[str]) -> dict[str, str] | None:
    if len(texts) > len(_PERSON_NAME_GROUPS):
        raise _Malformed("has a person name with more than three groups")
    return {group: text for group, text in zip(_PERSON_NAME_GROUPS, texts, strict=False) if text} or None


_VALUES: Final[Mapping[str, Callable[[str, list[object]], list[Any]]]] = MappingProxyType(
    {
        **dict.fromkeys(sorted(TEXT_VRS), _texts),
        **dict.fromkeys(("DS", "IS", "SV", "UV"), _numbers_or_texts),
        **dict.fromkeys(("FL", "FD"), _floats),
        **dict.fromkeys(("SL", "SS", "UL", "US"), _integers),
        "AT": _tags,
        "PN": _person_names,
    }
)


def _shown(name: str) -> str:
    return ascii(name if len(name) <= 40 else name[:40] + "…")
