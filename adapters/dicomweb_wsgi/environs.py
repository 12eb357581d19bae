"""What a WSGI environ says of a request (PEP 3333), as the words of the origin.

The path reaches the origin percent-decoded, as every WSGI server gives it: `%2F` in a segment is a slash by then.
No DICOM identifier contains one.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import quote

from dicomweb_core.errors import BadRequest, NotFound
from dicomweb_core.values.messages import HeaderList

_QUERY_CHARACTERS: Final = "".join(map(chr, range(0x21, 0x7F)))


def path_below(mount: str, path_info: str) -> str:
    """The path below a mount, decoded, of a path as WSGI has it: its bytes as latin-1. Raises BadRequest, NotFound."""
    try:
        path = path_info if path_info.isascii() else path_info.encode("latin-1").decode("utf-8")
    except UnicodeError:
        raise BadRequest("The path of the URL is not UTF-8.") from None
    if mount:
        if path != mount and not path.startswith(mount + "/"):
            raise NotFound(f"There is no such resource; the service is at {mount}.")
        path = path[len(mount) :]
    return path if path.startswith("/") else "/" + path


def query_of(query: str) -> str:
    """A query string in ASCII."""
    # Bytes that a client should have percent-encoded; as latin-1 text they would be read as other characters.
    return query if query.isascii() else quote(query.encode("latin-1"), safe=_QUERY_CHARACTERS)


class _HeaderNames(dict[str, str]):
    """`Accept-Charset` for HTTP_ACCEPT_CHARSET; empty if the key of an environ is no header."""

    def __missing__(self, key: str) -> str:
        if key in ("CONTENT_TYPE", "CONTENT_LENGTH"):
            name = key.replace("_", "-").title()
        elif not key.startswith("HTTP_") or key in ("HTTP_CONTENT_TYPE", "HTTP_CONTENT_LENGTH"):
            name = ""
        else:
            name = key[5:].replace("_", "-").title()
        # Clients may send any name: those of the first few hundred are kept, which are all that occur in practice.
        if len(self) < 512:
            self[key] = name
        return name


_HEADER_NAMES: Final = _HeaderNames()


def headers_of(environ: Mapping[str, Any]) -> HeaderList:
    """The headers of a request, those without a value left out."""
    names = _HEADER_NAMES
    return tuple([(name, value) for key, value in environ.items() if (name := names[key]) and value])
