"""Values of the DICOM JSON Model as they stand in a data set: little endian, UTF-8, of even length (PS3.18 F.2.3)."""

from __future__ import annotations

import re
import struct
from base64 import b64decode
from collections.abc import Callable
from typing import Any, Final

import orjson

from dicomweb_core.errors import InvalidDataset
from dicomweb_core.values.attributes import Attribute

_TEXT_VRS: Final = frozenset({"AE", "AS", "CS", "DA", "DT", "LO", "LT", "SH", "ST", "TM", "UC", "UI", "UR", "UT"})
_FORMATS: Final = {
    "FD": "d", "FL": "f", "SL": "i", "SS": "h", "SV": "q", "UL": "I", "US": "H", "UV": "Q",
}  # fmt: skip
_BINARY_VRS: Final = frozenset({"OB", "OD", "OF", "OL", "OV", "OW", "UN"})
_NOT_A_JSON_NUMBER: Final = {"NaN": float("nan"), "Infinity": float("inf"), "-Infinity": float("-inf")}
_INTEGER: Final = re.compile(r"[+-]?[0-9]{1,20}")
_TAG: Final = re.compile(r"[0-9A-Fa-f]{8}")
_LONGEST_DS: Final = 16
_PERSON_NAME_GROUPS: Final = ("Alphabetic", "Ideographic", "Phonetic")


def encode_value(tag: str, vr: str, attribute: Attribute) -> bytes:
    """The value field of anything but SQ and what has a BulkDataURI, padded to an even length.

    Raises InvalidDataset, naming the tag, when the value is none of its VR, or the VR is none.
    """
    try:
        if "InlineBinary" in attribute:
            return _inline(vr, attribute["InlineBinary"])
        values = attribute.get("Value", [])
        if not isinstance(values, list):
            raise TypeError
        return _encoder(vr)(values) if values else b""
    except (TypeError, ValueError, OverflowError, AttributeError, struct.error):
        # The text of these would quote the value.
        raise InvalidDataset(f"The value of {tag} is not a value of VR {vr!r} (PS3.18 F.2.3).") from None


def _encoder(vr: str) -> Callable[[list[Any]], bytes]:
    if vr in _TEXT_VRS:
        return _ui if vr == "UI" else _text
    if vr in _FORMATS:
        return lambda values: _numbers(vr, values)
    special = {"AT": _tags, "DS": _decimals, "IS": _integers, "PN": _person_names}.get(vr)
    if special is None:
        raise ValueError(vr)
    return special


def _inline(vr: str, text: object) -> bytes:
    """F.2.7 allows more VRs than F.2.2: any that is not text."""
    if not isinstance(text, str) or vr not in _BINARY_VRS | _FORMATS.keys():
        raise TypeError
    value = b64decode(text, validate=True)
    return value + b"\0" * (len(value) % 2)


def _joined(texts: list[str], padding: bytes = b" ") -> bytes:
    value = "\\".join(texts).encode("utf-8")
    return value + padding * (len(value) % 2)


def _texts(values: list[Any]) -> list[str]:
    if not all(value is None or isinstance(value, str) for value in values):
        raise TypeError
    return [value or "" for value in values]


def _text(values: list[Any]) -> bytes:
    return _joined(_texts(values))


def _ui(values: list[Any]) -> bytes:
    return _joined(_texts(values), b"\0")


def _integers(values: list[Any]) -> bytes:
    return _joined([_written(value, _integer_text) for value in values])


def _decimals(values: list[Any]) -> bytes:
    return _joined([_written(value, _decimal_text) for value in values])


def _written(value: Any, write: Callable[[float], str]) -> str:
    """A text as it is, a number as `write` does it."""
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError
    return write(value)


def _integer_text(number: float) -> str:
    if number != int(number):
        raise ValueError
    return str(int(number))


def _decimal_text(number: float) -> str:
    """The shortest text that gives the number again, or the nearest one in 16 bytes (PS3.5 Table 6.2-1)."""
    if number - number != 0:
        raise ValueError
    text = orjson.dumps(number).decode()
    for digits in range(16, 0, -1):
        if len(text) <= _LONGEST_DS:
            break
        text = f"{number:.{digits}g}"
    return text


def _numbers(vr: str, values: list[Any]) -> bytes:
    numbers = [_float(value) if vr in ("FD", "FL") else _integer(value) for value in values]
    return struct.pack(f"<{len(numbers)}{_FORMATS[vr]}", *numbers)


def _float(value: Any) -> float:
    if isinstance(value, str):
        return _NOT_A_JSON_NUMBER[value] if value in _NOT_A_JSON_NUMBER else _refuse()
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError
    return float(value)


def _refuse() -> float:
    raise ValueError


def _integer(value: Any) -> int:
    """A number, or its decimal text: SV and UV may be written so (PS3.18 F.2.3)."""
    if isinstance(value, str) and _INTEGER.fullmatch(value):
        return int(value)
    if isinstance(value, bool) or not isinstance(value, int | float) or value != int(value):
        raise TypeError
    return int(value)


def _tags(values: list[Any]) -> bytes:
    if not all(isinstance(value, str) and _TAG.fullmatch(value) for value in values):
        raise TypeError
    return b"".join(struct.pack("<HH", int(value[:4], 16), int(value[4:], 16)) for value in values)


def _person_names(values: list[Any]) -> bytes:
    """Groups are joined by `=`, empty ones at the end left out (PS3.5 6.2.1)."""
    names = []
    for value in values:
        groups = {} if value is None else {"Alphabetic": value} if isinstance(value, str) else value
        names.append("=".join(_texts([groups.get(group) for group in _PERSON_NAME_GROUPS])).rstrip("="))
    return _joined(names)
