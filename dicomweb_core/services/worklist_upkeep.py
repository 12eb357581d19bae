"""What a worklist needs beside its transactions: news of a restart, and the end of old workitems (PS3.4 CC.2.1.3)."""

from __future__ import annotations

import logging
import threading
import time
from typing import Final

from dicomweb_core.errors import StorageUnavailable
from dicomweb_core.rules.subscriptions import may_be_deleted
from dicomweb_core.rules.workitem_changes import WorklistPolicy
from dicomweb_core.services.report_queues import RESTARTED
from dicomweb_core.storage.worklists import WorklistStore, WorklistTransaction

logger = logging.getLogger("dicomweb_core")

_AT_ONCE: Final = 200
"""Workitems removed in one decision, for which others wait."""
_BETWEEN_SECONDS: Final = 60.0


def announce_restart(worklist: WorklistStore) -> int:
    """Queues an SCP Status Change for every AE with a subscription or a report; for how many AEs (PS3.4 CC.2.4.3).

    One that waits already is enough.
    """
    receivers = tuple(worklist.receivers())

    def decide(transaction: WorklistTransaction) -> int:
        told = [receiver for receiver in receivers if transaction.last_queued(receiver) != RESTARTED]
        for receiver in told:
            transaction.queue(receiver, RESTARTED)
        return len(told)

    return worklist.transact(decide) if receivers else 0


def purge(worklist: WorklistStore, policy: WorklistPolicy, now: float) -> int:
    """Removes final workitems that were kept as long as the policy says and have no deletion lock; how many.

    `now` is in seconds since 1970 (UTC). Their reports stay queued. Without a policy nothing is removed.
    """
    if policy.retention_seconds is None:
        return 0
    before = now - policy.retention_seconds
    removed = 0
    while (some := worklist.transact(lambda transaction: _purge(transaction, policy, before, now))) > 0:
        removed += some
    return removed


def _purge(transaction: WorklistTransaction, policy: WorklistPolicy, before: float, now: float) -> int:
    removed = 0
    for uid in transaction.finals(before):
        workitem = transaction.get(uid)
        if workitem is None:
            continue
        held = policy.lock_seconds is None or now - workitem.changed < policy.lock_seconds
        if may_be_deleted(workitem, transaction.subscriptions(uid) if held else ()):
            transaction.remove(uid)
            removed += 1
            if removed == _AT_ONCE:
                break
    return removed


class Sweep:
    """Purges from time to time, in a thread that has just created a workitem: what grows pays for what shrinks."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._next = 0.0

    def in_time(self, worklist: WorklistStore, policy: WorklistPolicy) -> None:
        """Purges if it is time to. What fails is tried the next time."""
        if policy.retention_seconds is None or time.monotonic() < self._next or not self._lock.acquire(blocking=False):
            return
        try:
            self._next = time.monotonic() + _BETWEEN_SECONDS
            purge(worklist, policy, time.time())
        except StorageUnavailable:
            logger.warning("Old workitems could not be removed")
        finally:
            self._lock.release()
