"""Media types (RFC 9110 8.3.1; PS3.18 8.7), parsed once; type, subtype and parameter names in lower case."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from dicomweb_core.errors import BadRequest

Parameters = tuple[tuple[str, str], ...]

# Possessive quantifiers: no text makes a match go back over what it has read.
_TOKEN: Final = r"[!#$%&'*+.^_`|~0-9A-Za-z-]++"
_ESSENCE: Final = re.compile(rf"[ \t]*+({_TOKEN})/({_TOKEN})[ \t]*+(?=;|\Z)")
# A value without quotes may hold what a token may not: `type=application/dicom` is legal by PS3.18 8.7.1, and
# boundaries with `=` or `:` are seen without quotes.
_PARAMETER: Final = re.compile(
    rf';[ \t]*+(?:({_TOKEN})[ \t]*+=[ \t]*+(?:"([^"\\]*+(?:\\.[^"\\]*+)*+)"[ \t]*+|([^;"]*+)))?(?=;|\Z)'
)
_ESCAPED: Final = re.compile(r"\\(.)")
_ELEMENT: Final = re.compile(r'[^",]*+(?:"[^"\\]*+(?:\\.[^"\\]*+)*+"[^",]*+)*')
_ILLEGAL: Final = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
_IS_TOKEN: Final = re.compile(_TOKEN)


@dataclass(frozen=True, slots=True)
class MediaType:
    """A media type or media range. Parameter values are without quotes and keep their case."""

    type: str
    subtype: str
    params: Parameters = ()

    @classmethod
    def parse(cls, text: str) -> MediaType:
        """A Content-Type, or one element of an Accept. Quotes around `type` are optional (PS3.18 8.7.1).

        Raises BadRequest, also when a parameter is given twice with different values.
        """
        match = None if _ILLEGAL.search(text) else _ESSENCE.match(text)
        if match is None:
            raise BadRequest("A media type is not of the form type/subtype (RFC 9110 8.3.1).")
        return cls(match[1].lower(), match[2].lower(), _parameters(text, match.end()))

    @property
    def essence(self) -> str:
        """`type/subtype`, without parameters."""
        return f"{self.type}/{self.subtype}"

    def param(self, name: str) -> str | None:
        """The value of a parameter (name in lower case), or None when absent."""
        return next((value for key, value in self.params if key == name), None)

    def __str__(self) -> str:
        """As a header value; parameter values are quoted only where they have to be."""
        return self.essence + "".join(f"; {name}={_quoted(value)}" for name, value in self.params)


def split_list(text: str) -> list[str]:
    """The elements of a comma list (RFC 9110 5.6.1), trimmed, empty ones left out; commas in quotes do not part.

    A quote that is never closed takes the rest of the text into its element.
    """
    elements = []
    position = 0
    while position < len(text):
        match = _ELEMENT.match(text, position)
        end = match.end() if match else position
        if end < len(text) and text[end] == '"':
            end = len(text)
        if element := text[position:end].strip(" \t"):
            elements.append(element)
        position = end + 1
    return elements


def _parameters(text: str, position: int) -> Parameters:
    found: dict[str, str] = {}
    while position < len(text):
        match = _PARAMETER.match(text, position)
        if match is None:
            raise BadRequest("A media type has a malformed parameter (RFC 9110 5.6.6).")
        position = match.end()
        if match[1] is None:
            continue
        name = match[1].lower()
        value = match[3].rstrip(" \t") if match[2] is None else _ESCAPED.sub(r"\1", match[2])
        if found.setdefault(name, value) != value:
            raise BadRequest(f"The media type parameter {name[:40]!r} is given twice.")
    return tuple(found.items())


def _quoted(value: str) -> str:
    if _IS_TOKEN.fullmatch(value):
        return value
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
