"""multipart/related as bytes: boundary, head of a part, end of the message (RFC 2387, PS3.18 8.6.1.2).

A message is, for each part, `part_head`, its bytes and `PART_END`; then `closing`.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterable
from typing import Final

from dicomweb_core.errors import BadRequest
from dicomweb_core.values.messages import HeaderList

PART_END: Final = b"\r\n"
"""Follows the bytes of each part, also of an empty one."""

_NAME: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_VALUE: Final = re.compile(r"[\x21-\x7e](?:[\x20-\x7e]*[\x21-\x7e])?")


def new_boundary() -> bytes:
    """A boundary that no part contains: 128 random bits. Letters and digits, so that no reader needs quotes."""
    return secrets.token_hex(16).encode("ascii")


def content_type(boundary: bytes, item: str) -> str:
    """Content-Type of a message whose root part is of type `item` (8.6.1.2)."""
    return f'multipart/related; type="{item}"; boundary={boundary.decode("ascii")}'


def part_head(boundary: bytes, headers: HeaderList) -> bytes:
    """What stands before the bytes of a part. Content-Type comes first, wherever it is in `headers` (Table 8.6.1-1).

    Raises BadRequest for a header that is empty or has other than printable ASCII: values come from requests too.
    """
    ordered = sorted(headers, key=lambda header: header[0].lower() != "content-type")
    lines = [f"{_checked(name, _NAME, name)}: {_checked(value, _VALUE, name)}\r\n" for name, value in ordered]
    return b"--%b\r\n%b\r\n" % (boundary, "".join(lines).encode("ascii"))


def closing(boundary: bytes) -> bytes:
    """The end of a message. Alone it is a message of no parts, which is legal (8.6.1.2)."""
    return b"--%b--\r\n" % boundary


def message_length(boundary: bytes, parts: Iterable[tuple[int, int]]) -> int:
    """Bytes of a message of parts with heads and contents of these lengths."""
    return sum(head + content + len(PART_END) for head, content in parts) + len(closing(boundary))


def _checked(text: str, pattern: re.Pattern[str], name: str) -> str:
    if pattern.fullmatch(text) is None:
        raise BadRequest(f"A header of a part cannot be written: {name[:40]!a} has illegal characters.")
    return text
