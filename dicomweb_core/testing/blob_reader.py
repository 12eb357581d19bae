"""What every `BlobReader` owes, and a count of those still open."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable

from dicomweb_core.storage.instances import BlobReader


def check_blob_reader(reader: BlobReader, content: bytes) -> None:
    """Reads it in many ways and compares with what it has to contain; closes it."""
    assert reader.size == len(content), f"size is {reader.size}, not {len(content)}"
    assert reader.read(0, len(content)) == content, "the whole is not what was written"
    assert reader.read(0, 0) == b"", "nothing read at the beginning"
    assert reader.read(len(content), 0) == b"", "nothing read at the end"
    chosen = random.Random(len(content))
    spans = [(chosen.randint(0, len(content)), chosen.choice((1, 7, 65_536, 200_000))) for _ in range(40)]
    edges = [at + move for at in range(0, len(content), 65_536) for move in (-1, 0, 1)]
    for offset, length in spans + [(edge, 2) for edge in edges if edge >= 0]:
        length = min(length, len(content) - offset)
        if length >= 0:
            got = reader.read(offset, length)
            assert type(got) is bytes, f"read gives {type(got).__name__}, not bytes"
            assert got == content[offset : offset + length], f"wrong bytes at {offset}, {length}"
    for offset, length in ((0, len(content) + 1), (len(content), 1), (len(content) + 1, 0), (-1, 1), (0, -1)):
        assert raises(ValueError, lambda o=offset, n=length: reader.read(o, n)), f"read({offset}, {length}) is accepted"  # type: ignore[misc]
    reader.close()
    reader.close()


def raises(kind: type[BaseException], call: Callable[[], object]) -> bool:
    """Whether the call raises that, and not something else."""
    try:
        call()
    except kind:
        return True
    return False


class OpenReaders:
    """Counts readers: `watch` wraps one."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.open = 0
        """How many are open now."""
        self.opened = 0
        """How many were opened in all."""

    def watch(self, reader: BlobReader) -> BlobReader:
        """The same reader, counted until it is closed."""
        with self._lock:
            self.open += 1
            self.opened += 1
        return _Watched(reader, self)

    def closed(self) -> None:
        """One less is open."""
        with self._lock:
            self.open -= 1


class _Watched:
    def __init__(self, reader: BlobReader, readers: OpenReaders) -> None:
        self._reader = reader
        self._readers: OpenReaders | None = readers

    @property
    def size(self) -> int:
        return self._reader.size

    def read(self, offset: int, length: int) -> bytes:
        return self._reader.read(offset, length)

    def close(self) -> None:
        readers, self._readers = self._readers, None
        self._reader.close()
        if readers is not None:
            readers.closed()
