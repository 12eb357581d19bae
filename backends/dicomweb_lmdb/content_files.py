"""Content files: the Part 10 files that are too large for the tables, each written once and never changed.

    blobs/<writer>/<block>/<number>.dcm     4,096 numbers a block
    writers/<writer>.lock                   held with flock as long as the writer lives

A writer is a process that stores; its token is random, so that a name is never used twice. A file in use is named in
the table `contents`; what is unused and of a dead writer is swept, so a crash leaves nothing behind for good.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import secrets
import stat
import threading
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Final

from dicomweb_core.errors import CorruptBlob
from dicomweb_lmdb.environment import as_ours
from dicomweb_lmdb.rows import ContentName

BLOCK_OF_FILES: Final = 4096
_FLUSHING_THREADS: Final = 8
_FLUSHED_AT_ONCE: Final = 32
"""Files that wait for a thread, each with an open descriptor. Whoever seals one more waits."""
_SUFFIX: Final = ".dcm"
# O_NONBLOCK: a FIFO in the place of a file must not keep us waiting. It means nothing to a regular file.
_READ: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
_CREATE: Final = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_DIRECTORY: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class ContentFiles:
    """The content files below a store."""

    def __init__(self, root: Path) -> None:
        self.blobs = root / "blobs"
        self.locks = root / "writers"

    def path(self, name: ContentName) -> str:
        """Where a file lies."""
        # By hand: this is on the way of every retrieval, and pathlib takes its time.
        return f"{self.blobs}/{name.token.hex()}/{name.number // BLOCK_OF_FILES}/{name.number}{_SUFFIX}"

    def block(self, token: bytes, block: int) -> Path:
        """The directory of a block."""
        return self.blobs / token.hex() / str(block)

    def open(self, name: ContentName, size: int) -> int:
        """A descriptor to read with. Raises FileNotFoundError, CorruptBlob, StorageUnavailable."""
        try:
            descriptor = os.open(self.path(name), _READ)
        except FileNotFoundError:
            raise
        except OSError as error:
            if os.path.lexists(self.path(name)) and not stat.S_ISREG(os.lstat(self.path(name)).st_mode):
                raise CorruptBlob("The content of an instance is not a regular file.") from error
            raise as_ours(error) from error
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode) or found.st_size != size:
            os.close(descriptor)
            raise CorruptBlob("The content of an instance is not a regular file of its size.")
        return descriptor

    def unlink(self, name: ContentName) -> bool:
        """Removes a file; whether it is not there any more. Open readers go on."""
        try:
            os.unlink(self.path(name))
        except FileNotFoundError:
            return True
        except OSError:
            return False
        return True

    def names(self, token: bytes, first_block: int = 0) -> Iterator[ContentName]:
        """The files of a writer that there are, from a block on."""
        for block in _listed(self.blobs / token.hex()):
            directory = self.blobs / token.hex() / block
            if not block.isdecimal() or int(block) < first_block or directory.is_symlink():
                continue
            for entry in _listed(directory):
                number, suffix = os.path.splitext(entry)
                if number.isdecimal() and suffix == _SUFFIX:
                    yield ContentName(token, int(number))

    def remove_empty(self, token: bytes) -> None:
        """Removes the directories of a dead writer that hold nothing."""
        directory = self.blobs / token.hex()
        for block in _listed(directory):
            with contextlib.suppress(OSError):
                os.rmdir(directory / block)
        with contextlib.suppress(OSError):
            os.rmdir(directory)

    def dead_writers(self) -> Iterator[bytes]:
        """Tokens of writers that live no more. Each is ours alone while the generator is suspended at it.

        Whoever resumes it has swept: the lock file of the writer goes.
        """
        for entry in _listed(self.locks):
            with contextlib.suppress(ValueError, OSError):
                token = bytes.fromhex(entry.removesuffix(".lock"))
                descriptor = os.open(self.locks / entry, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
                try:
                    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    yield token
                    os.unlink(self.locks / entry)
                finally:
                    os.close(descriptor)


class Writer:
    """This process as one that writes content files. Threads share it."""

    def __init__(self, files: ContentFiles) -> None:
        self.pid = os.getpid()
        self._files = files
        self._lock = threading.Lock()
        self._next = 0
        self._unsettled: set[int] = set()
        self._threads: ThreadPoolExecutor | None = None
        self._waiting = threading.BoundedSemaphore(_FLUSHED_AT_ONCE)
        _make_directory(files.blobs)
        _make_directory(files.locks)
        self.token, self._descriptor = self._claim()
        _make_directory(files.blobs / self.token.hex())

    def create(self) -> tuple[ContentName, int]:
        """A new file and a descriptor to write and read it. Raises OSError."""
        with self._lock:
            number = self._next
            if number % BLOCK_OF_FILES == 0:
                _make_directory(self._files.block(self.token, number // BLOCK_OF_FILES))
            self._next += 1
            self._unsettled.add(number)
        name = ContentName(self.token, number)
        try:
            return name, os.open(self._files.path(name), _CREATE, 0o600)
        except OSError:
            self.settle(name)
            raise

    def settle(self, name: ContentName) -> None:
        """The file is in use, or gone."""
        with self._lock:
            self._unsettled.discard(name.number)

    @property
    def first_unsettled_block(self) -> int:
        """All files of the blocks before are in use or gone: nobody has to look there after our death."""
        with self._lock:
            return min(self._unsettled, default=self._next) // BLOCK_OF_FILES

    def flush(self, descriptor: int) -> Future[None]:
        """Begins to make a file durable, and closes the descriptor. The result raises OSError."""
        with self._lock:
            if self._threads is None:
                self._threads = ThreadPoolExecutor(_FLUSHING_THREADS, thread_name_prefix="flush")
        self._waiting.acquire()
        return self._threads.submit(self._flush, descriptor)

    def _flush(self, descriptor: int) -> None:
        try:
            os.fdatasync(descriptor)
        finally:
            os.close(descriptor)
            self._waiting.release()

    def flush_directories(self, names: list[ContentName]) -> None:
        """Makes it durable that the files exist. Raises OSError."""
        for block in {name.number // BLOCK_OF_FILES for name in names}:
            _flush_directory(self._files.block(self.token, block))

    def close(self) -> None:
        """Ends the writer. If all its files are settled, nobody has to sweep after it."""
        if self._threads is not None and self.pid == os.getpid():
            self._threads.shutdown(wait=True)
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor < 0:
            return
        if self.pid == os.getpid() and not self._unsettled:
            with contextlib.suppress(OSError):
                os.unlink(self._lock_path(self.token))
            self._files.remove_empty(self.token)
        # Never unlocked by name: after a fork the lock is shared, and is gone when the last holder is.
        os.close(descriptor)

    def __del__(self) -> None:
        if getattr(self, "_descriptor", -1) >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def _lock_path(self, token: bytes) -> Path:
        return self._files.locks / f"{token.hex()}.lock"

    def _claim(self) -> tuple[bytes, int]:
        while True:
            token = secrets.token_bytes(8)
            path = self._lock_path(token)
            descriptor = os.open(path, _CREATE, 0o600)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                # Somebody who sweeps may have been faster than the lock, and removed what we hold.
                if os.stat(path).st_ino == os.fstat(descriptor).st_ino:
                    _flush_directory(self._files.locks)
                    return token, descriptor
            except (BlockingIOError, FileNotFoundError):
                pass
            os.close(descriptor)


def _listed(directory: Path) -> list[str]:
    try:
        return os.listdir(directory)
    except (FileNotFoundError, NotADirectoryError):
        return []


def _make_directory(path: Path) -> None:
    if path.is_dir():
        return
    path.mkdir(mode=0o700, exist_ok=True)
    _flush_directory(path.parent)


def _flush_directory(path: Path) -> None:
    descriptor = os.open(path, _DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
