"""Values of attributes as texts that compare (PS3.5 6.2, PS3.4 C.2.2.2.1, C.2.2.2.4).

Matching and the index terms use these same functions, so that what an index finds is what matching finds.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterator
from typing import Any, Final

from dicomweb_core.values.attributes import Attribute

_CONTROLS: Final = dict.fromkeys([*range(0x20), 0x7F])
_WILD_RUN: Final = re.compile(r"[*?]+")


def normal(text: str) -> str:
    """Without control characters and padding (PS3.5 6.2), composed (Unicode NFC). Case is kept."""
    if text.isascii() and text.isprintable():
        return text.strip()
    return unicodedata.normalize("NFC", text.translate(_CONTROLS)).strip()


def values_of(attribute: Attribute | None) -> list[Any]:
    """The values, `None` for empty ones; an empty list if there are none or they are not in `Value`."""
    values = attribute.get("Value") if attribute is not None else None
    return values if isinstance(values, list) else []


def texts_of(attribute: Attribute | None) -> Iterator[str]:
    """The non-empty values as normal texts. Person names and items are no texts."""
    for value in values_of(attribute):
        if value is None or isinstance(value, dict):
            continue
        if text := normal(value if isinstance(value, str) else str(value)):
            yield text


def is_empty(attribute: Attribute | None) -> bool:
    """Whether an attribute is absent or has no value (PS3.4 C.2.2.2.7)."""
    if attribute is None:
        return True
    if "InlineBinary" in attribute or "BulkDataURI" in attribute:
        return False
    return all(value is None or value == "" or value == {} for value in values_of(attribute))


def has_wildcard(text: str) -> bool:
    """Whether it contains `*` or `?` (PS3.4 C.2.2.2.4). There is no escape."""
    return "*" in text or "?" in text


def literal_prefix(pattern: str) -> str:
    """What stands before the first wildcard."""
    found = _WILD_RUN.search(pattern)
    return pattern if found is None else pattern[: found.start()]


def text_test(pattern: str) -> Callable[[str], bool]:
    """Whether a text matches a wildcard pattern in full. No backtracking, whatever the pattern."""
    if "?" in pattern:
        match = re.compile(_translate(pattern, utf8=False)).fullmatch
        return lambda text: match(text) is not None
    first, *middle, last = pattern.split("*") if "*" in pattern else (pattern, "")
    middle = [part for part in middle if part]

    def test(text: str) -> bool:
        end = len(text) - len(last)
        if len(first) > end or not text.startswith(first) or not text.endswith(last):
            return False
        position = len(first)
        for part in middle:
            found = text.find(part, position, end)
            if found < 0:
                return False
            position = found + len(part)
        return True

    return test if "*" in pattern else pattern.__eq__


def utf8_pattern(pattern: str, *, unless: bytes) -> re.Pattern[bytes]:
    """A wildcard pattern over UTF-8, to match in full; what ends with the one byte `unless` matches in any case."""
    return re.compile(f"(?:{_translate(pattern, utf8=True)}|(?s:.*)\\x{unless[0]:02x})".encode("ascii"))


def _translate(pattern: str, *, utf8: bool) -> str:
    """Atomic groups make the first place where a part fits final: no backtracking over runs."""
    one = "(?:[\\x00-\\x7f]|[\\xc2-\\xf4][\\x80-\\xbf]+)" if utf8 else "(?s:.)"

    def fixed(text: str) -> str:
        if not utf8:
            return re.escape(text)
        return "".join(f"\\x{byte:02x}" for byte in text.encode("utf-8", "surrogatepass"))

    # parts are separated by runs that contain `*`; a part is text with single wildcards in it
    parts: list[list[str]] = [[]]
    position = 0
    for run in _WILD_RUN.finditer(pattern):
        parts[-1] += (fixed(pattern[position : run.start()]), one * run[0].count("?"))
        if "*" in run[0]:
            parts.append([])
        position = run.end()
    parts[-1].append(fixed(pattern[position:]))
    first, *others = ("".join(part) for part in parts)
    if not others:
        return first
    middle = "".join(f"(?>(?s:.*?){part})" for part in others[:-1] if part)
    return f"{first}{middle}(?s:.*){others[-1]}"
