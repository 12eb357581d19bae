"""The LMDB environment of a store: opened once per process, never carried across a fork, foreign errors made ours."""

from __future__ import annotations

import errno
import os
import secrets
import threading
import time
import weakref
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Generic, NamedTuple, TypeVar

import lmdb

from dicomweb_core.errors import OutOfSpace, StorageUnavailable
from dicomweb_lmdb.keys import FORMAT_KEY, IDENTITY_KEY

FORMAT: Final = b"2"
"""Of the files. A store of another format is not touched."""

_READERS: Final = 1024
_MOST_TABLES: Final = 32
_READER_CHECK_SECONDS: Final = 30.0
_FORK_SECONDS: Final = 10.0
"""How long a fork waits for transactions of other threads to end."""

_SMALLER_MAPS: Final = (64 << 30, 8 << 30, 1 << 30)
"""Tried in turn where the address space is limited."""

NO_ROOM: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


class Tables(NamedTuple):
    """The tables. Ids are 64-bit, ascending in order of arrival and never reused; in keys they are big endian."""

    store: lmdb._Database
    """`format`, `identity` (16 random bytes), `counters`, `totals`."""
    studies: lmdb._Database
    """study -> StudyRow"""
    series: lmdb._Database
    """series -> SeriesRow"""
    instances: lmdb._Database
    """series, instance -> InstanceRow"""
    files: lmdb._Database
    """series, instance -> FileRow, with the content if it is small"""
    metadata: lmdb._Database
    """series, instance -> metadata text: a series is one range"""
    arrivals: lmdb._Database
    """instance -> study, series"""
    counts: lmdb._Database
    """level, tier, block of ids -> how many of them live"""
    deleted: lmdb._Database
    """hash of a path -> nothing: what was here and is gone"""
    contents: lmdb._Database
    """writer, number -> nothing: the content files in use"""
    trash: lmdb._Database
    """writer, number -> nothing: content files to unlink"""
    writers: lmdb._Database
    """writer -> first block of its files that may hold unused ones"""
    series_of_study: lmdb._Database
    """study -> series, many"""
    instances_of_series: lmdb._Database
    """series -> instance, many"""
    terms: lmdb._Database
    """level, tag, value -> id, many"""


_MANY: Final = frozenset({"series_of_study", "instances_of_series", "terms"})


TablesT = TypeVar("TablesT", bound=tuple[lmdb._Database, ...])


class Layout(NamedTuple, Generic[TablesT]):
    """Which tables a kind of store has."""

    tables: type[TablesT]
    """A NamedTuple. One of the fields is `store`, which has `format` and `identity` (16 random bytes)."""
    many: frozenset[str]
    """Tables with many ids for a key: 64-bit, native."""
    sorted_many: frozenset[str]
    """Tables with many texts for a key, ascending."""
    format: bytes


INSTANCES: Final = Layout(Tables, _MANY, frozenset(), FORMAT)


class ViewOf(NamedTuple, Generic[TablesT]):
    """A transaction and the tables to read, or write, in it."""

    txn: lmdb.Transaction[bytes]
    tables: TablesT


View = ViewOf[Tables]


class _Opened(NamedTuple, Generic[TablesT]):
    pid: int
    lmdb: lmdb.Environment
    tables: TablesT


class EnvironmentOf(Generic[TablesT]):
    """Transactions over one directory. Threads share it; every process opens its own when it needs it."""

    def __init__(self, path: Path, layout: Layout[TablesT], *, map_size: int) -> None:
        self._path = path
        self._layout = layout
        self._map_size = map_size
        self._lock = threading.Lock()
        self._idle = threading.Condition(self._lock)
        self._opened: _Opened[TablesT] | None = None
        self._active = 0
        self._held = False
        self._stale = False
        self._closed = False
        self._checked = time.monotonic()
        _environments.add(self)

    def read(self) -> Reading[TablesT]:
        """A context that gives a View of one moment. Keep it short: it holds back pages that writers free."""
        return Reading(self)

    def write(self) -> Writing[TablesT]:
        """A context that gives a View to write in; durable when it is left, nothing happened if it raises."""
        return Writing(self)

    def close(self) -> None:
        """Waits for transactions of other threads. Idempotent."""
        with self._idle:
            self._closed = True
            self._idle.wait_for(lambda: not self._active, _FORK_SECONDS)
            self._release()

    def enter(self) -> _Opened[TablesT]:
        """Opened, and kept open until `leave`. Raises StorageUnavailable."""
        with self._idle:
            while self._held:
                self._idle.wait()
            opened = self._opened
            if self._closed:
                raise StorageUnavailable("The store is closed.")
            if opened is None or opened.pid != os.getpid():
                opened = self._open()
            self._active += 1
            return opened

    def leave(self, error: BaseException | None) -> None:
        """Ends what `enter` began."""
        with self._idle:
            self._active -= 1
            if isinstance(error, (lmdb.PanicError, lmdb.MapResizedError)):
                self._stale = True
            if not self._active:
                if self._stale:
                    self._release()
                self._idle.notify_all()

    def check_readers(self, opened: _Opened[TablesT]) -> bool:
        """Frees the slots of dead readers, now and then; whether it was time."""
        now = time.monotonic()
        if now - self._checked < _READER_CHECK_SECONDS:
            return False
        self._checked = now
        opened.lmdb.reader_check()
        return True

    def before_fork(self) -> None:
        """LMDB must not be used across a fork: closes, and holds everybody until `after_fork`."""
        with self._idle:
            self._held = True
            self._idle.wait_for(lambda: not self._active, _FORK_SECONDS)
            if not self._active:
                self._release()
        self._lock.acquire()

    def after_fork(self, *, child: bool) -> None:
        """Goes on. In the child no other thread exists."""
        if child:
            self._lock = threading.Lock()
            self._idle = threading.Condition(self._lock)
            self._active = 0
            self._held = False
        else:
            self._held = False
            self._idle.notify_all()
            self._lock.release()

    def _release(self) -> None:
        opened, self._opened, self._stale = self._opened, None, False
        if opened is not None:
            opened.lmdb.close()

    def _open(self) -> _Opened[TablesT]:
        # Somebody forked without telling Python. What was inherited holds no transaction of ours.
        self._release()
        try:
            self._path.mkdir(mode=0o700, parents=True, exist_ok=True)
            environment = self._map()
            try:
                opened = _Opened(os.getpid(), environment, _tables(environment, self._layout))
                environment.reader_check()
            except BaseException:
                environment.close()
                raise
        except (lmdb.Error, OSError) as error:
            raise as_ours(error) from error
        self._opened = opened
        return opened

    def _map(self) -> lmdb.Environment:
        for size in (self._map_size, *(size for size in _SMALLER_MAPS if size < self._map_size)):
            try:
                return lmdb.open(
                    str(self._path), map_size=size, max_readers=_READERS, max_dbs=_MOST_TABLES, mode=0o700,
                    # A spare transaction would hold a slot of the reader table that a forked child shares.
                    max_spare_txns=0,
                )  # fmt: skip
            except lmdb.MemoryError:
                continue
            except lmdb.Error as error:
                if "already open" not in str(error):
                    raise
                raise StorageUnavailable(
                    "This folder is open in this process already. A worklist and a store of instances need one each."
                ) from error
        raise StorageUnavailable("There is no address space for the store.")


class Environment(EnvironmentOf[Tables]):
    """Of an instance store."""

    def __init__(self, path: Path, *, map_size: int) -> None:
        super().__init__(path, INSTANCES, map_size=map_size)


class Reading(Generic[TablesT]):
    """See `EnvironmentOf.read`."""

    __slots__ = ("_environment", "_txn")

    def __init__(self, environment: EnvironmentOf[TablesT]) -> None:
        self._environment = environment

    def __enter__(self) -> ViewOf[TablesT]:
        opened = self._environment.enter()
        try:
            self._txn = opened.lmdb.begin()
        except lmdb.Error as error:
            self._environment.leave(error)
            raise as_ours(error) from error
        return ViewOf(self._txn, opened.tables)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._txn.abort()
        self._environment.leave(error)
        if isinstance(error, lmdb.Error):
            raise as_ours(error) from error


class Writing(Generic[TablesT]):
    """See `EnvironmentOf.write`. `attempted` says that the commit began: then only a look can tell if it happened."""

    __slots__ = ("_environment", "_txn", "attempted", "checked_readers")

    def __init__(self, environment: EnvironmentOf[TablesT]) -> None:
        self._environment = environment
        self.attempted = False
        self.checked_readers = False

    def __enter__(self) -> ViewOf[TablesT]:
        opened = self._environment.enter()
        try:
            self.checked_readers = self._environment.check_readers(opened)
            self._txn = opened.lmdb.begin(write=True)
        except lmdb.Error as error:
            self._environment.leave(error)
            raise as_ours(error) from error
        return ViewOf(self._txn, opened.tables)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        failed = error
        try:
            if failed is None:
                self.attempted = True
                self._txn.commit()
            else:
                self._txn.abort()
        except lmdb.Error as at_commit:
            failed = at_commit
        finally:
            self._environment.leave(failed)
        if isinstance(failed, lmdb.Error):
            raise as_ours(failed) from failed


def as_ours(error: lmdb.Error | OSError) -> StorageUnavailable:
    """The error of the family for one of LMDB or the operating system."""
    no_room = isinstance(error, (lmdb.MapFullError, lmdb.DiskError, lmdb.TxnFullError))
    if no_room or getattr(error, "errno", None) in NO_ROOM or getattr(error, "code", None) in NO_ROOM:
        return OutOfSpace("There is no room in the storage.")
    return StorageUnavailable("The storage cannot be used now.")


def _tables(environment: lmdb.Environment, layout: Layout[TablesT]) -> TablesT:
    """Opens all tables, makes those that are not there. Raises StorageUnavailable if they are of another format."""
    # A handle opened in a read transaction does not outlive it. Where nothing is new, nothing is written.
    with environment.begin(write=True) as txn:
        made = {}
        for name in layout.tables._fields:  # type: ignore[attr-defined]  # a NamedTuple
            ids = name in layout.many
            many = ids or name in layout.sorted_many
            made[name] = environment.open_db(name.encode(), txn=txn, dupsort=many, dupfixed=ids, integerdup=ids)
        store = made["store"]
        found = txn.get(FORMAT_KEY, db=store)
        if found is None:
            txn.put(FORMAT_KEY, layout.format, db=store)
            txn.put(IDENTITY_KEY, secrets.token_bytes(16), db=store)
        elif found != layout.format:
            raise StorageUnavailable("The store was written by another version of this program.")
    return layout.tables(**made)


_environments: weakref.WeakSet[EnvironmentOf[Any]] = weakref.WeakSet()
_forking: list[EnvironmentOf[Any]] = []
_one_fork = threading.Lock()


def _before_fork() -> None:
    _one_fork.acquire()
    _forking[:] = _environments
    for environment in _forking:
        environment.before_fork()


def _after_fork(*, child: bool) -> None:
    for environment in _forking:
        environment.after_fork(child=child)
    _forking.clear()
    _one_fork.release()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=_before_fork,
        after_in_parent=lambda: _after_fork(child=False),
        after_in_child=lambda: _after_fork(child=True),
    )
