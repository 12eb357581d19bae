"""One durable commit for the decisions of all threads that wait for one."""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Callable
from typing import Any, Final, Generic, TypeVar

import lmdb

from dicomweb_core.errors import OutOfSpace, StorageUnavailable
from dicomweb_lmdb.environment import EnvironmentOf
from dicomweb_lmdb.worklist_changes import LMDBWorklistTransaction
from dicomweb_lmdb.worklist_rows import WorklistTables

T = TypeVar("T")


class _Waiting(Generic[T]):
    """A decision and what came of it, which counts when it is done."""

    __slots__ = ("decide", "done", "error", "result")

    def __init__(self, decide: Callable[[LMDBWorklistTransaction], T]) -> None:
        self.decide = decide
        self.done = False
        self.error: BaseException | None = None
        self.result: T


class _NotTogether(Exception):
    """A decision failed and had written: each has to have a transaction of its own."""


class GroupCommit:
    """Runs decisions one after the other, several in one transaction.

    The first thread that waits leads: it takes the write lock, and the decisions that came in meanwhile. Nobody is told
    a result before the commit. If one fails that had written, or there is no room, all run again, each by itself.
    """

    def __init__(self, environment: EnvironmentOf[WorklistTables]) -> None:
        self._environment = environment
        self.reset()
        _groups.add(self)

    def reset(self) -> None:
        """For the child of a fork, where no other thread exists."""
        self._changed = threading.Condition()
        self._waiting: list[_Waiting[Any]] = []
        self._leader: int | None = None

    def within(self) -> bool:
        """Whether this thread is running a decision now."""
        return self._leader == threading.get_ident()

    def run(self, decide: Callable[[LMDBWorklistTransaction], T]) -> T:
        """What it gives, once that is durable. Raises what it raises, StorageUnavailable, RuntimeError within one."""
        if self.within():
            raise RuntimeError("A decision cannot wait for another one.")
        mine = _Waiting(decide)
        with self._changed:
            self._waiting.append(mine)
            while not mine.done and self._leader is not None:
                self._changed.wait()
            if not mine.done:
                self._leader = threading.get_ident()
        if not mine.done:
            try:
                self._lead(mine)
            finally:
                with self._changed:
                    self._leader = None
                    self._changed.notify_all()
        if mine.error is not None:
            raise mine.error
        return mine.result

    def _lead(self, mine: _Waiting[Any]) -> None:
        group: list[_Waiting[Any]] = []
        try:
            self._decide(group)
        except BaseException:
            # This thread was interrupted, or there is no transaction: the others may try for themselves.
            with self._changed:
                self._waiting = [one for one in (*group, *self._waiting) if one is not mine and not one.done]
            raise
        for one in group:
            one.done = True

    def _decide(self, group: list[_Waiting[Any]]) -> None:
        """Fills the group with those that wait. Raises StorageUnavailable while there is none."""
        try:
            self._together(group)
        except (_NotTogether, OutOfSpace) as error:
            if not group:
                raise
            if len(group) == 1:
                group[0].error = error.__cause__ if isinstance(error, _NotTogether) else error
                return
            for one in group:
                self._alone(one)
        except StorageUnavailable as error:
            if not group:
                raise
            for one in group:
                one.error = StorageUnavailable(error.detail)

    def _together(self, group: list[_Waiting[Any]]) -> None:
        with self._environment.write() as view:
            with self._changed:
                group += self._waiting
                self._waiting = []
            for one in group:
                transaction = LMDBWorklistTransaction(view)
                try:
                    one.result = one.decide(transaction)
                except lmdb.Error:
                    raise
                except BaseException as error:
                    if transaction.wrote:
                        raise _NotTogether from error
                    one.error = error

    def _alone(self, one: _Waiting[Any]) -> None:
        one.error = None
        try:
            with self._environment.write() as view:
                one.result = one.decide(LMDBWorklistTransaction(view))
        except BaseException as error:
            one.error = error
        one.done = True


_groups: Final[weakref.WeakSet[GroupCommit]] = weakref.WeakSet()


def _after_fork() -> None:
    for group in _groups:
        group.reset()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
