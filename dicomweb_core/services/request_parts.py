"""The parts of a multipart store request as they arrive (PS3.18 8.6.1.2)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from dicomweb_core.codecs.multipart_decoder import Event, MultipartDecoder, PartData, PartStart
from dicomweb_core.errors import BadRequest, DICOMwebError, InvalidPayload, UnsupportedMediaType
from dicomweb_core.values.limits import Limits
from dicomweb_core.values.messages import Buffer


class RequestPart(NamedTuple):
    """A part. `content` is lent until the next part is asked for, and can be read once."""

    number: int
    """1-based."""
    start: PartStart
    content: Iterator[Buffer]


def request_parts(boundary: bytes, chunks: Iterator[bytes], limits: Limits) -> Iterator[RequestPart]:
    """The parts in order; what is not read of one is skipped. Raises InvalidPayload, TooLarge, and what `chunks` does,
    also while a content is read."""
    events = _events(boundary, chunks, limits)
    number = 0
    for event in events:
        if isinstance(event, PartStart):
            number += 1
            content = _content(events)
            yield RequestPart(number, event, content)
            for _ in content:
                pass


def coding_refusal(part: PartStart) -> DICOMwebError | None:
    """Why the content of a part is not what its Content-Type says: a coding that is not undone."""
    for name, value in part.headers:
        if name.lower() == "content-transfer-encoding" and value.strip().lower() not in ("binary", "8bit", "7bit"):
            return BadRequest("Content-Transfer-Encoding is not used in HTTP (RFC 9110 8.3.3).")
        if name.lower() == "content-encoding" and value.strip().lower() not in ("", "identity"):
            return UnsupportedMediaType("Content-Encoding of a part is not supported.")
    return None


def _events(boundary: bytes, chunks: Iterator[bytes], limits: Limits) -> Iterator[Event]:
    decoder = MultipartDecoder(boundary, limits)
    for chunk in chunks:
        yield from decoder.feed(chunk)
    yield from decoder.end()


def _content(events: Iterator[Event]) -> Iterator[Buffer]:
    for event in events:
        if not isinstance(event, PartData):
            return
        yield event.data
    raise InvalidPayload("The payload ends inside a part.")
