"""Responses from items: single part, multipart/related, long texts (PS3.18 8.6)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from itertools import chain
from typing import Final

from dicomweb_core.codecs.multipart_encoder import (
    PART_END,
    closing,
    content_type,
    message_length,
    new_boundary,
    part_head,
)
from dicomweb_core.services.parts import Chunks, Part
from dicomweb_core.values.messages import Body, HeaderList, Response

HELD_BYTES: Final = 256 << 10
"""A text is held up to this size to say its length; what is longer is sent as it is made, so that it begins early."""

JOIN_BYTES: Final = 64 << 10
"""Parts up to this size are sent in one piece with their headers; texts of a list in pieces of about this size."""


def single_answer(data: bytes, media_type: str, *, status: int = 200, headers: HeaderList = ()) -> Response:
    """Bytes in memory."""
    return Response(status, (("Content-Type", media_type), *headers), Body.of(data))


def part_answer(part: Part, *, headers: HeaderList = ()) -> Response:
    """One item as a single part payload. Its first chunk is made before the status is decided: here, or, of what can
    be read in ranges, when it is known which."""
    chunks = part.open() if part.ranged is not None else started(part.open())
    content_location = (("Content-Location", part.location),) if part.location else ()
    return Response(
        200,
        (("Content-Type", part.media_type), *content_location, *headers),
        Body(chunks, length=part.length, ranged=part.ranged),
    )


def multipart_answer(
    parts: Iterable[Part],
    root_type: str,
    *,
    status: int = 200,
    headers: HeaderList = (),
) -> Response:
    """Items as multipart/related (PS3.18 8.6.1.2), `root_type` without parameters.

    The length is known when `parts` is a sequence and each part knows its own. The first chunk of the first part is
    made before the status is decided.
    """
    boundary = new_boundary()
    length = None
    headed: Iterable[tuple[bytes, Part]] = ((part_head(boundary, part.headers), part) for part in parts)
    if isinstance(parts, Sequence):
        headed = list(headed)
        known = [(len(head), part.length) for head, part in headed if part.length is not None]
        if len(known) == len(headed):
            length = message_length(boundary, known)
    chunks = started(_multipart_chunks(headed, boundary))
    return Response(
        status, (("Content-Type", content_type(boundary, root_type)), *headers), Body(chunks, length=length)
    )


def _multipart_chunks(headed: Iterable[tuple[bytes, Part]], boundary: bytes) -> Chunks:
    before = b""
    for begin, part in headed:
        head = before + begin
        content = part.open()
        with ExitStack() as stack:
            close = getattr(content, "close", None)
            if close is not None:
                stack.callback(close)
            if part.length is not None and part.length <= JOIN_BYTES:
                yield b"".join((head, *content, PART_END))
                before = b""
                continue
            first = next(content, b"")
            # Headers go out with the first content: what fails, fails before them, and one send is saved.
            yield head + first
            yield from content
            before = PART_END
    yield before + closing(boundary)


def text_answer(pieces: Iterator[bytes], media_type: str, *, headers: HeaderList = ()) -> Response:
    """A text made piece by piece: with its length if it is short, else sent as it is made."""
    held: list[bytes] = []
    size = 0
    for piece in pieces:
        held.append(piece)
        size += len(piece)
        if size > HELD_BYTES:
            body = Body(_resumed(held, pieces))
            return Response(200, (("Content-Type", media_type), *headers), body)
    return single_answer(b"".join(held), media_type, headers=headers)


def started(chunks: Chunks) -> Chunks:
    """The same chunks, the first one made now: what can fail fails before the status line."""
    first = next(chunks, None)
    return chunks if first is None else _resumed([first], chunks)


def _resumed(held: list[bytes], rest: Chunks) -> Chunks:
    """What was held, then the rest; closing it closes the rest, also before it began."""
    return _Resumed(held, rest)


class _Resumed(Iterator[bytes]):
    """A generator that was never started does not run its `finally`; this closes the rest in any case."""

    def __init__(self, held: list[bytes], rest: Chunks) -> None:
        self._rest = rest
        self._chunks = chain(held, rest)

    def __next__(self) -> bytes:
        return next(self._chunks)

    def close(self) -> None:
        """Frees what the rest holds."""
        close = getattr(self._rest, "close", None)
        if close is not None:
            close()
