"""Values of attributes as a person reads them. Whatever an attribute holds, a text comes out, or none.

Every text is without control characters, without the characters that turn the direction of what follows them
(Unicode bidirectional overrides, embeddings and isolates), and can be encoded.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, Final

from dicomweb_core.codecs.dictionary import uid_name
from dicomweb_core.values.attributes import Attribute, Attributes

_UNWANTED: Final = re.compile("[\x00-\x08\x0e-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ufeff]")
# Lone surrogates cannot be encoded; the others are no characters (Unicode 23.7), and an error in HTML.
_NO_CHARACTERS: Final = re.compile(
    "[\ud800-\udfff\ufdd0-\ufdef"
    + "".join(chr(plane << 16 | end) for plane in range(17) for end in (0xFFFE, 0xFFFF))
    + "]"
)
_LINE_ENDS: Final = re.compile("\r\n|[\r\v\f\u2028\u2029]")

_DATE: Final = re.compile(r"([0-9]{4})\.?([0-9]{2})\.?([0-9]{2})")
_TIME: Final = re.compile(r"([0-9]{2}):?(?:([0-9]{2}):?(?:([0-9]{2})(\.[0-9]{1,6})?)?)?")
_DATE_TIME: Final = re.compile(r"([0-9]{4})([0-9]{2})?([0-9]{2})?([0-9]{2}[0-9.]*)?([+-])?(?(5)([0-9]{2})([0-9]{2}))")


def clean(text: str) -> str:
    """A text of lines that end in LF."""
    if text.isascii() and text.isprintable():
        return text.strip(" ")
    return _NO_CHARACTERS.sub("\ufffd", _UNWANTED.sub("", _LINE_ENDS.sub("\n", text))).strip(" \n\t")


def line(text: str) -> str:
    """A text of one line."""
    if text.isascii() and text.isprintable() and "  " not in text:
        return text.strip(" ")
    return " ".join(clean(text).split())


def texts(attributes: Attributes, tag: str) -> list[str]:
    """The values of an attribute that are not empty, each as its VR is read; items have none."""
    return worded(attributes.get(tag))


def worded(attribute: Attribute | None) -> list[str]:
    """As `texts`, of an attribute."""
    if attribute is None:
        return []
    values = attribute.get("Value")
    if not isinstance(values, list):
        return []
    word = _WORDS.get(str(attribute.get("vr")), _plain)
    return [text for value in values if (text := word(value))]


def text(attributes: Attributes, tag: str) -> str:
    """The first of `texts`, or an empty text."""
    found = texts(attributes, tag)
    return found[0] if found else ""


def keyword(attributes: Attributes, tag: str) -> str:
    """The first value as it is compared with terms of the standard; empty when it is no text."""
    values = attributes.get(tag, {}).get("Value")
    return values[0].strip() if isinstance(values, list) and values and isinstance(values[0], str) else ""


def items(attributes: Attributes, tag: str) -> list[Attributes]:
    """The items of a sequence; none when the attribute is something else."""
    attribute = attributes.get(tag, {})
    values = attribute.get("Value") if attribute.get("vr") == "SQ" else None
    return [item for item in values if isinstance(item, dict)] if isinstance(values, list) else []


def whole_numbers(attributes: Attributes, tag: str) -> tuple[int, ...]:
    """The values that are integers, also those written as text."""
    found = []
    values = attributes.get(tag, {}).get("Value")
    for value in values if isinstance(values, list) else ():
        if isinstance(value, str) and len(value) <= 12 and value.strip().isascii() and value.strip().isdigit():
            found.append(int(value))
        elif isinstance(value, int) and not isinstance(value, bool):
            found.append(value)
    return tuple(found)


def is_elsewhere(attributes: Attributes, tag: str) -> bool:
    """Whether the value is too large to be among the attributes (a BulkDataURI)."""
    return "BulkDataURI" in attributes.get(tag, {})


def _plain(value: Any) -> str:
    if isinstance(value, str):
        return clean(value)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return ""
    return repr(value).removesuffix(".0")


def _of_text(form: Callable[[str], str]) -> Callable[[Any], str]:
    return lambda value: form(line(value)) if isinstance(value, str) else _plain(value)


def _date(text: str) -> str:
    match = _DATE.fullmatch(text)
    return "-".join(match.groups()) if match else text


def _time(text: str) -> str:
    match = _TIME.fullmatch(text)
    if match is None:
        return text
    hour, minute, second, fraction = match.groups()
    return ":".join(part for part in (hour, minute or "00", second) if part) + (fraction or "").rstrip("0").rstrip(".")


def _date_time(text: str) -> str:
    match = _DATE_TIME.fullmatch(text)
    if match is None:
        return text
    year, month, day, time, sign, hours, minutes = match.groups()
    date = "-".join(part for part in (year, month, day) if part)
    zone = f"{sign}{hours}:{minutes}" if sign else ""
    return " ".join(part for part in (date, _time(time or ""), zone) if part)


def _unique_identifier(text: str) -> str:
    return uid_name(text) or text


def _person_name(value: Any) -> str:
    """Every representation: alphabetic, and the others in brackets (PS3.5 6.2.1)."""
    if isinstance(value, str):
        value = dict(zip(("Alphabetic", "Ideographic", "Phonetic"), value.split("="), strict=False))
    if not isinstance(value, dict):
        return ""
    groups = [value.get(name) for name in ("Alphabetic", "Ideographic", "Phonetic")]
    alphabetic, *others = [
        [line(part) for part in group.split("^")] if isinstance(group, str) else [] for group in groups
    ]
    family, given, middle, prefix, suffix = (alphabetic + [""] * 5)[:5]
    called = " ".join(part for part in (given, middle) if part)
    first = ", ".join(part for part in (family, called, prefix, suffix, *alphabetic[5:]) if part)
    rest = "; ".join(filter(None, (" ".join(filter(None, group)) for group in others)))
    return f"{first} ({rest})" if first and rest else first or rest


_WORDS: Final[dict[str, Callable[[Any], str]]] = {
    "PN": _person_name,
    "DA": _of_text(_date),
    "TM": _of_text(_time),
    "DT": _of_text(_date_time),
    "UI": _of_text(_unique_identifier),
    "SQ": lambda value: "",
    "CS": _of_text(str),
    "LO": _of_text(str),
    "SH": _of_text(str),
    "UC": _of_text(str),
}
"""VR to what reads one value; the others are read as they are."""
