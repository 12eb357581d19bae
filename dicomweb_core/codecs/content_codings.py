"""Content codings: compressed texts, made as they are sent (RFC 1952, RFC 8878)."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterable, Iterator
from typing import Final, NamedTuple, Protocol

try:
    from isal import isal_zlib as fast_zlib
except ImportError:
    fast_zlib = None  # type: ignore[assignment]
try:
    import zstandard
except ImportError:  # the extra `compression`
    zstandard = None  # type: ignore[assignment]

PIECE_BYTES: Final = 128 << 10
"""Compressed at once: the first byte of an answer waits for no more."""

_GZIP: Final = 31
_GZIP_LEVEL: Final = 1
_ZSTD_LEVEL: Final = 1


class Compressor(Protocol):
    """Takes bytes, gives bytes, some of them later."""

    def compress(self, data: bytes | memoryview, /) -> bytes:
        """What is ready."""

    def flush(self, mode: int = ..., /) -> bytes:
        """What was held back."""


class _Codec(NamedTuple):
    new: Callable[[], Compressor]
    sync: int
    """Flush so that the other side can read all so far."""
    finish: int


def _codecs() -> dict[str, _Codec]:
    found: dict[str, _Codec] = {}
    if zstandard is not None:
        found["zstd"] = _Codec(
            lambda: zstandard.ZstdCompressor(level=_ZSTD_LEVEL).compressobj(),
            zstandard.COMPRESSOBJ_FLUSH_BLOCK,
            zstandard.COMPRESSOBJ_FLUSH_FINISH,
        )
    library = zlib if fast_zlib is None else fast_zlib
    found["gzip"] = _Codec(
        lambda: library.compressobj(_GZIP_LEVEL, zlib.DEFLATED, _GZIP), zlib.Z_SYNC_FLUSH, zlib.Z_FINISH
    )
    return found


_CODECS: Final = _codecs()

AVAILABLE: Final = tuple(_CODECS)
"""Names of the codings that can be made here, the best first."""


def compressed(data: bytes, coding: str) -> bytes:
    """All at once."""
    codec = _CODECS[coding]
    compressor = codec.new()
    return compressor.compress(data) + compressor.flush(codec.finish)


def compressed_chunks(chunks: Iterable[bytes], coding: str) -> Iterator[bytes]:
    """As it comes: what the first chunk says can be read from the first chunk. Closing it closes `chunks`."""
    codec = _CODECS[coding]
    compressor = codec.new()
    first = True
    try:
        for chunk in chunks:
            view = memoryview(chunk)
            for begin in range(0, len(view), PIECE_BYTES):
                data = compressor.compress(view[begin : begin + PIECE_BYTES])
                if first:
                    data += compressor.flush(codec.sync)
                    first = False
                if data:
                    yield data
        yield compressor.flush(codec.finish)
    finally:
        close = getattr(chunks, "close", None)
        if close is not None:
            close()
