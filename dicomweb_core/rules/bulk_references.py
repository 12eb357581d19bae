"""Which parts of a message a BulkDataURI means (PS3.18 8.6.1.2, 10.5.1.4). Names are compared; nothing is ever fetched.

A part is meant by its Content-Location: the same text, or the same URL once both are resolved against the URL of the
request (RFC 3986 5); else by its Content-ID and a `cid:` URI (RFC 2392). Case and percent-encoding count.
The frames of compressed pixel data are parts of the same name in the order of the message, or parts named
`{uri}/frames/1`, `{uri}/frames/2`...; where the URI ends with `/bulkdata/7FE00010`, also `/frames/1` in its place.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple
from urllib.parse import unquote, urljoin

_OF_PIXEL_DATA: Final = "/bulkdata/7FE00010"


class PartName(NamedTuple):
    """What a part is called: its Content-Location and its Content-ID, as they stand in its headers."""

    location: str | None
    content_id: str | None


class BulkReferences:
    """The parts of a message by name. Indexes are 0-based, in the order of the message."""

    def __init__(self, names: Iterable[PartName], request_url: str) -> None:
        self._request_url = request_url
        self._locations: dict[str, list[int]] = {}
        self._resolved: dict[str, list[int]] = {}
        self._content_ids: dict[str, list[int]] = {}
        for index, (location, content_id) in enumerate(names):
            if location:
                self._locations.setdefault(location, []).append(index)
                self._resolved.setdefault(self._absolute(location), []).append(index)
            if content_id:
                self._content_ids.setdefault(content_id.removeprefix("<").removesuffix(">"), []).append(index)

    def parts_of(self, uri: str) -> Sequence[int]:
        """The parts that a BulkDataURI means, more than one where they are frames; none if there is no such part."""
        absolute = self._absolute(uri)
        found = self._locations.get(uri) or self._resolved.get(absolute)
        if found:
            return found
        if uri[:4].lower() == "cid:":
            return self._content_ids.get(unquote(uri[4:]), ())
        return self._frames(absolute) or self._frames(absolute.removesuffix(_OF_PIXEL_DATA))

    def _frames(self, url: str) -> list[int]:
        """One part for each number from 1 without a gap; a number that several parts have is nobody's."""
        found: list[int] = []
        while len(parts := self._resolved.get(f"{url}/frames/{len(found) + 1}", ())) == 1:
            found += parts
        return found

    def _absolute(self, uri: str) -> str:
        try:
            return urljoin(self._request_url, uri)
        except ValueError:
            return uri
