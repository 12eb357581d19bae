"""Documents on their way out: bytes, what they are, and the headers that keep them harmless."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple

_CHUNK_CHARACTERS: Final = 16_384


class Document(NamedTuple):
    """A document that is being written. What can fail has failed before it exists."""

    content: Iterator[bytes]
    """Once only."""
    media_type: str
    headers: tuple[tuple[str, str], ...]
    """To be sent with it: Content-Security-Policy and the like."""


def utf8_chunks(pieces: Iterable[str]) -> Iterator[bytes]:
    """Pieces of text, gathered into chunks of some ten kilobytes."""
    gathered: list[str] = []
    size = 0
    for piece in pieces:
        gathered.append(piece)
        size += len(piece)
        if size >= _CHUNK_CHARACTERS:
            yield "".join(gathered).encode("utf-8")
            gathered.clear()
            size = 0
    if gathered:
        yield "".join(gathered).encode("utf-8")
