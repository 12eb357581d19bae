"""Texts of data sets in other character sets than UTF-8 (PS3.18 8.8, PS3.19 A.1, RFC 8259)."""

from __future__ import annotations

import json
import re
from typing import Final

import orjson

_UNICODE: Final = b'"00080005":{"vr":"CS","Value":["ISO_IR 192"]}'
_BEYOND_ASCII: Final = re.compile(r"[^\x00-\x7f]+")
_DECLARED: Final = b'<?xml version="1.0" encoding="UTF-8"?>'


def can_write(text: bytes, codec: str) -> bool:
    """Whether a UTF-8 text has only characters of this codec of Python's."""
    if text.isascii():
        return True
    try:
        text.decode("utf-8").encode(codec)
    except UnicodeEncodeError:
        return False
    return True


def with_character_set(text: bytes, terms: tuple[str, ...]) -> bytes:
    """DICOM JSON whose Specific Character Set (0008,0005), wherever it says Unicode, says this."""
    # Within a string its quotes would be escaped.
    return text.replace(_UNICODE, b'"00080005":{"vr":"CS","Value":%b}' % orjson.dumps(terms))


def ascii_json(text: bytes) -> bytes:
    """The same JSON in ASCII: valid whatever superset of it is said to be the character set."""
    if text.isascii():
        return text
    return _BEYOND_ASCII.sub(lambda found: json.dumps(found[0])[1:-1], text.decode("utf-8")).encode("ascii")


def xml_in(document: bytes, name: str, codec: str) -> bytes:
    """A document as `to_xml` makes it, in another character set; what that lacks becomes a character reference."""
    declared = document.replace(_DECLARED, b'<?xml version="1.0" encoding="%b"?>' % name.encode("ascii"), 1)
    return declared.decode("utf-8").encode(codec, "xmlcharrefreplace")
