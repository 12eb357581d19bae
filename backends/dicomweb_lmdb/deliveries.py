"""What this process has delivered of the queues, and for whom it listens.

Every process says so on disk, a little later. A report is forgotten when all processes have delivered it that listen
for its receiver; one that was killed counts for a while, and then no more.
"""

from __future__ import annotations

import math
import os
import threading
import time
from typing import Final

from dicomweb_core.errors import StorageUnavailable
from dicomweb_lmdb.group_commit import GroupCommit
from dicomweb_lmdb.worklist_changes import LMDBWorklistTransaction

FORGET_SECONDS: Final = 1.0
"""How long delivered reports may stay on disk: forgetting many costs one commit."""

LEASE_SECONDS: Final = 60.0
"""How long a process that listens counts since it has said so last."""


class Deliveries:
    """Of one store in one process. Thread-safe."""

    def __init__(self, commits: GroupCommit, lease_seconds: float) -> None:
        self._commits = commits
        self._lease_seconds = lease_seconds
        self.reset()

    def reset(self) -> None:
        """For the child of a fork, where no other thread exists: what was delivered is the parent's to forget."""
        self._lock = threading.Lock()
        self._process = os.urandom(8).hex()
        self._delivered: dict[str, int] = {}
        """What was not forgotten on disk yet."""
        self._positions: dict[str, int] = {}
        """Of those who are listened for."""
        self._left: set[str] = set()
        """Those who are not any more, and still are on disk."""
        self._written: set[str] = set()
        """Those who are on disk."""
        self._due = math.inf

    def up_to(self, receiver: str) -> int:
        """The sequence number up to which reports were delivered here and may not be forgotten yet."""
        return self._delivered.get(receiver, 0)

    def listen(self, receiver: str) -> None:
        """On disk when this returns. Raises StorageUnavailable."""
        with self._lock:
            self._left.discard(receiver)
            position = self._positions.setdefault(receiver, self._delivered.get(receiver, 0))
            if receiver in self._written:
                return
        until = time.time() + self._lease_seconds
        self._commits.run(lambda transaction: transaction.listen(self._process, until, {receiver: position}))
        with self._lock:
            self._written.add(receiver)
            self._due = min(self._due, time.monotonic() + self._lease_seconds / 4)

    def unlisten(self, receiver: str) -> None:
        """On disk a little later."""
        with self._lock:
            if self._positions.pop(receiver, None) is not None:
                self._left.add(receiver)
                self._soon()

    def deliver(self, receiver: str, up_to: int) -> None:
        """Here now, on disk a little later."""
        with self._lock:
            self._delivered[receiver] = max(up_to, self._delivered.get(receiver, 0))
            if receiver in self._positions:
                self._positions[receiver] = max(up_to, self._positions[receiver])
            self._soon()

    def write_in_time(self) -> None:
        """Says on disk what it is time to say."""
        if time.monotonic() >= self._due:
            self.write()

    def write(self) -> None:
        """Says it now. What fails is tried again later."""
        if self._commits.within():
            return
        with self._lock:
            self._due = math.inf
            idle = not (self._delivered or self._positions or self._left)
        if idle:
            return
        left: set[str] = set()

        def decide(transaction: LMDBWorklistTransaction) -> tuple[dict[str, int], dict[str, int]]:
            # what is true at this moment: who begins to listen from here on writes it behind this
            with self._lock:
                left.update(self._left)
                left.difference_update(self._positions)
                self._left.clear()
                self._written -= left
                delivered, positions = dict(self._delivered), dict(self._positions)
            now = time.time()
            transaction.unlisten(self._process, left)
            transaction.listen(self._process, now + self._lease_seconds, positions)
            return positions, {
                receiver: transaction.deliver(receiver, up_to, now) for receiver, up_to in delivered.items()
            }

        try:
            positions, forgotten = self._commits.run(decide)
        except StorageUnavailable:
            with self._lock:
                self._left |= left - self._positions.keys()
                self._soon()
            return
        with self._lock:
            self._written |= positions.keys()
            for receiver, up_to in forgotten.items():
                if self._delivered.get(receiver) == up_to:
                    del self._delivered[receiver]
            if self._delivered or self._left:
                self._soon()
            elif self._positions:
                self._due = min(self._due, time.monotonic() + self._lease_seconds / 4)

    def close(self) -> None:
        """Nobody listens here any more."""
        for receiver in tuple(self._positions):
            self.unlisten(receiver)
        self.write()

    def _soon(self) -> None:
        self._due = min(self._due, time.monotonic() + FORGET_SECONDS)
