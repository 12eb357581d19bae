"""The worklist on a local disk (PS3.4 CC): LMDB in a directory of its own."""

from __future__ import annotations

import os
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final, TypeVar

import lmdb

from dicomweb_core.errors import Gone, NotFound
from dicomweb_core.values.queries import MatchKey
from dicomweb_core.values.workitems import QueuedReport, Workitem
from dicomweb_lmdb import worklist_changes
from dicomweb_lmdb.deliveries import LEASE_SECONDS, Deliveries
from dicomweb_lmdb.environment import EnvironmentOf
from dicomweb_lmdb.group_commit import GroupCommit
from dicomweb_lmdb.worklist_candidates import search
from dicomweb_lmdb.worklist_changes import LMDBWorklistTransaction
from dicomweb_lmdb.worklist_rows import (
    WORKLIST,
    WorklistView,
    behind_pairs,
    first_of,
    pack_sequence,
    pair_key,
    queue_key,
    report_of,
    sequence_of,
    text_key,
    workitem_of,
)

MAP_SIZE: Final = 1 << 38
"""Address space, not disk: what the tables can ever grow to."""

T = TypeVar("T")


class LMDBWorklistStore:
    """The worklist below a directory, for many threads and processes of one machine. One of its own: `dicomweb` has it
    in `worklist` below the directory of the instances.

    Decisions of threads that wait at the same time share a durable commit, and may run in the thread of one of them.
    What was delivered is forgotten at once in this process, after a second in others, and again delivered if this one
    is killed before that. A process that listens and is killed counts for `lease_seconds` more.
    """

    def __init__(
        self, path: str | os.PathLike[str], *, map_size: int = MAP_SIZE, lease_seconds: float = LEASE_SECONDS
    ) -> None:
        self._environment = EnvironmentOf(Path(path), WORKLIST, map_size=map_size)
        self._commits = GroupCommit(self._environment)
        self._deliveries = Deliveries(self._commits, lease_seconds)
        _stores.add(self)
        with self._environment.read():
            pass

    def transact(self, decide: Callable[[LMDBWorklistTransaction], T]) -> T:
        """Durable on return. Raises what `decide` raises, StorageUnavailable, RuntimeError within another decision."""
        self._deliveries.write_in_time()
        return self._commits.run(decide)

    def get(self, uid: str) -> Workitem:
        """Raises NotFound, Gone."""
        with self._environment.read() as view:
            row = view.txn.get(text_key(uid), db=view.tables.workitems)
            if row is None and view.txn.get(text_key(uid), db=view.tables.removed) is not None:
                raise Gone("The workitem was deleted.")
        if row is None:
            raise NotFound("There is no such workitem.")
        return workitem_of(row)

    def candidates(self, keys: tuple[MatchKey, ...]) -> Iterator[Workitem]:
        """Those that may match."""
        return search(self._environment, keys)

    # -- reports --

    def queued(self, receiver: str, after: int = 0, limit: int = 100) -> tuple[QueuedReport, ...]:
        """The next reports."""
        self._deliveries.write_in_time()
        beginning = pair_key(receiver)
        first = queue_key(receiver, max(after, self._deliveries.up_to(receiver)) + 1)
        rows: list[tuple[bytes, bytes]] = []
        with self._environment.read() as view, view.txn.cursor(view.tables.queues) as cursor:
            if limit > 0 and cursor.set_range(first):
                for key, row in cursor.iternext():
                    if not key.startswith(beginning) or len(rows) == limit:
                        break
                    rows.append((key, row))
        return tuple(report_of(sequence_of(key), row) for key, row in rows)

    def listen(self, receiver: str) -> int:
        """Costs a durable commit, when it is the first in this process."""
        self._deliveries.listen(receiver)
        with self._environment.read() as view:
            return max(worklist_changes.delivered(view, receiver), self._deliveries.up_to(receiver))

    def unlisten(self, receiver: str) -> None:
        """Other processes know it a little later."""
        self._deliveries.unlisten(receiver)

    def delivered(self, receiver: str, up_to: int) -> None:
        """Forgets them: here now, on disk a little later."""
        self._deliveries.deliver(receiver, min(up_to, self.latest()))

    def receivers(self) -> tuple[str, ...]:
        """Ascending."""
        found: set[str] = set()
        with self._environment.read() as view:
            for table in (view.tables.subscribed, view.tables.generators):
                found.update(receiver for receiver, _ in _last_pairs(view, table))
            for receiver, last in _last_pairs(view, view.tables.queues):
                if sequence_of(last) > self._deliveries.up_to(receiver):
                    found.add(receiver)
        return tuple(sorted(found))

    def latest(self) -> int:
        """The sequence number given last."""
        self._deliveries.write_in_time()
        with self._environment.read() as view:
            return worklist_changes.latest(view)

    def receivers_since(self, sequence: int) -> frozenset[str]:
        """Also those whose reports were delivered a moment ago."""
        found: set[bytes] = set()
        with self._environment.read() as view, view.txn.cursor(view.tables.news) as cursor:
            if cursor.set_range(pack_sequence(sequence + 1)):
                found.update(cursor.iternext(keys=False))
        return frozenset(receiver.decode("utf-8") for receiver in found)

    def close(self) -> None:
        """Frees what is held. Idempotent. Nothing acknowledged depends on it."""
        self._deliveries.close()
        self._environment.close()

    def after_fork(self) -> None:
        """In the child."""
        self._deliveries.reset()


def _last_pairs(view: WorklistView, table: lmdb._Database) -> Iterator[tuple[str, bytes]]:
    """The first texts of the pairs of a table, each with its last pair."""
    with view.txn.cursor(table) as cursor:
        there = cursor.first()
        while there:
            following = behind_pairs(cursor.key())
            more = cursor.set_range(following)
            last = cursor.prev() if more else cursor.last()
            assert last
            yield first_of(cursor.key()), cursor.key()
            there = more and cursor.set_range(following)


_stores: Final[weakref.WeakSet[LMDBWorklistStore]] = weakref.WeakSet()


def _after_fork() -> None:
    for store in _stores:
        store.after_fork()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
