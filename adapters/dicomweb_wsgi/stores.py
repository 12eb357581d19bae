"""The stores the command line can use, and its own errors."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Final, TypeVar

from dicomweb_core import InstanceStore, WorklistStore
from dicomweb_core.errors import StorageUnavailable
from dicomweb_memory import MemoryInstanceStore, MemoryWorklistStore

T = TypeVar("T")

_WORKLIST: Final = "worklist"
"""Where the worklist is in the folder of a store."""


class CannotRun(Exception):
    """What was asked for cannot be done here. The text is one line for the person who asked."""


def missing_extra(what: str, extra: str) -> CannotRun:
    """For a distribution that is not installed."""
    return CannotRun(f"{what} is not installed; run: pip install 'dicomweb-core[{extra}]'")


def lmdb_store(path: str, *, must_exist: bool = False) -> InstanceStore:
    """The store in a folder, made if it is not there. The caller closes it. Raises CannotRun."""
    # Imported when asked for: the extra is optional.
    try:
        from dicomweb_lmdb import LMDBInstanceStore
    except ModuleNotFoundError as error:
        if error.name != "lmdb":
            raise
        raise missing_extra("LMDB", "lmdb") from None
    if must_exist and not os.path.isdir(path):
        raise CannotRun(f"there is no store at {path}")
    return _opened(LMDBInstanceStore, path)


def memory_store() -> InstanceStore:
    """A store in memory: empty, and gone with the process."""
    return MemoryInstanceStore()


def lmdb_worklist(path: str, *, must_exist: bool = False) -> WorklistStore:
    """The worklist in the folder of a store, made if it is not there. `must_exist` is for the folder. The caller closes
    it. Raises CannotRun."""
    try:
        from dicomweb_lmdb import LMDBWorklistStore
    except ModuleNotFoundError as error:
        if error.name != "lmdb":
            raise
        raise missing_extra("LMDB", "lmdb") from None
    if must_exist and not os.path.isdir(path):
        raise CannotRun(f"there is no store at {path}")
    return _opened(LMDBWorklistStore, os.path.join(path, _WORKLIST))


def _opened(kind: Callable[[str], T], path: str) -> T:
    try:
        return kind(path)
    except StorageUnavailable as error:
        cause = error.__cause__
        reason = getattr(cause, "strerror", None) or str(error)
        raise CannotRun(f"the store at {path} cannot be opened: {reason}") from None


def memory_worklist() -> WorklistStore:
    """A worklist in memory: empty, and gone with the process."""
    return MemoryWorklistStore()
