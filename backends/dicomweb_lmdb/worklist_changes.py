"""What one decision sees of the worklist and does to it, within a write transaction."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from typing import Final

import lmdb

from dicomweb_core.rules.workitem_terms import order_of, terms
from dicomweb_core.values.workitems import EventReport, Generator, Subscription, Workitem
from dicomweb_lmdb.worklist_rows import (
    EVERY,
    LATEST_KEY,
    WorklistView,
    behind_pairs,
    final_key,
    first_of,
    generator_key,
    generator_of,
    generator_row,
    pack_sequence,
    pack_time,
    pair_key,
    queue_key,
    report_of,
    report_row,
    second_of,
    sequence_of,
    subscription_of,
    subscription_row,
    text_key,
    workitem_of,
    workitem_row,
)

_BATCH: Final = 1_000
_NOTHING: Final = b""
_LONGEST_LEASE_SECONDS: Final = 86_400.0
"""No process counts for longer: it has said so while the clock was wrong."""


class LMDBWorklistTransaction:
    """`wrote` says whether anything was attempted to be changed: only then there is something to undo."""

    def __init__(self, view: WorklistView) -> None:
        self._view = view
        self.wrote = False

    # -- workitems --

    def get(self, uid: str) -> Workitem | None:
        """None when there is none."""
        row = self._view.txn.get(text_key(uid), db=self._view.tables.workitems)
        return None if row is None else workitem_of(row)

    def was_deleted(self, uid: str) -> bool:
        """Whether it was removed."""
        return self._view.txn.get(text_key(uid), db=self._view.tables.removed) is not None

    def put(self, workitem: Workitem) -> None:
        """Creates or replaces it."""
        row, old = workitem_row(workitem), self.get(workitem.uid)
        txn, tables = self._writing()
        if old is None:
            txn.delete(text_key(workitem.uid), db=tables.removed)
        txn.put(text_key(workitem.uid), row, db=tables.workitems)
        self._index(old, workitem)

    def remove(self, uid: str) -> None:
        """With its subscriptions. Without effect if there is none."""
        old = self.get(uid)
        if old is None:
            return
        txn, tables = self._writing()
        self._index(old, None)
        txn.delete(text_key(uid), db=tables.workitems)
        txn.put(text_key(uid), _NOTHING, db=tables.removed)
        for subscription in self.subscriptions(uid):
            self.unsubscribe(uid, subscription.receiver)

    def uids(self) -> Iterator[str]:
        """Ascending. The transaction may write meanwhile."""
        for key, _ in self._rows(self._view.tables.workitems, _NOTHING):
            yield key.decode("utf-8")

    def finals(self, before: float) -> Iterator[str]:
        """By the time of their last change. The transaction may write meanwhile."""
        end = pack_time(before)
        for key, _ in self._rows(self._view.tables.finals, _NOTHING):
            if key[: len(end)] >= end:
                return
            yield key[len(end) :].decode("utf-8")

    def _index(self, old: Workitem | None, new: Workitem | None) -> None:
        before, after = _index_rows(old), _index_rows(new)
        txn, table = self._view.txn, self._view.tables.terms
        if old is not None and old.state.final:
            txn.delete(final_key(old), db=self._view.tables.finals)
        if new is not None and new.state.final:
            txn.put(final_key(new), _NOTHING, db=self._view.tables.finals)
        for term, order in before - after:
            txn.delete(term, order, db=table)
        for term, order in after - before:
            txn.put(term, order, db=table)

    # -- subscriptions --

    def subscriptions(self, uid: str) -> tuple[Subscription, ...]:
        """By receiver."""
        found = self._rows(self._view.tables.subscriptions, pair_key(uid))
        return tuple(subscription_of(uid, second_of(key), row) for key, row in found)

    def subscriptions_of(self, receiver: str) -> Iterator[Subscription]:
        """By workitem. The transaction may write meanwhile."""
        for key, _ in self._rows(self._view.tables.subscribed, pair_key(receiver)):
            uid = second_of(key)
            row = self._view.txn.get(pair_key(uid, receiver), db=self._view.tables.subscriptions)
            if row is not None:
                yield subscription_of(uid, receiver, row)

    def subscribe(self, subscription: Subscription) -> None:
        """Creates or replaces it."""
        txn, tables = self._writing()
        uid, receiver = subscription.workitem, subscription.receiver
        txn.put(pair_key(uid, receiver), subscription_row(subscription), db=tables.subscriptions)
        txn.put(pair_key(receiver, uid), _NOTHING, db=tables.subscribed)

    def unsubscribe(self, uid: str, receiver: str) -> None:
        """Without effect if there is none."""
        txn, tables = self._writing()
        txn.delete(pair_key(uid, receiver), db=tables.subscriptions)
        txn.delete(pair_key(receiver, uid), db=tables.subscribed)

    def generators(self) -> tuple[Generator, ...]:
        """By receiver, those without filter first."""
        found = self._rows(self._view.tables.generators, _NOTHING)
        return tuple(generator_of(first_of(key), row) for key, row in found)

    def put_generator(self, generator: Generator) -> None:
        """Creates or replaces it."""
        row = generator_row(generator)
        txn, tables = self._writing()
        txn.put(generator_key(generator.receiver, filtered=generator.filter is not None), row, db=tables.generators)

    def remove_generator(self, receiver: str, *, filtered: bool) -> None:
        """Without effect if there is none."""
        txn, tables = self._writing()
        txn.delete(generator_key(receiver, filtered=filtered), db=tables.generators)

    # -- reports --

    def queue(self, receiver: str, report: EventReport) -> None:
        """Appends it."""
        row = report_row(report, time.time())
        txn, tables = self._writing()
        sequence = latest(self._view) + 1
        txn.put(LATEST_KEY, pack_sequence(sequence), db=tables.store)
        txn.put(queue_key(receiver, sequence), row, db=tables.queues)
        txn.put(pack_sequence(sequence), text_key(receiver), db=tables.news)
        self._count(receiver, 1)

    def queue_length(self, receiver: str) -> int:
        """How many are queued."""
        packed = self._view.txn.get(text_key(receiver), db=self._view.tables.lengths)
        return 0 if packed is None else sequence_of(packed)

    def last_queued(self, receiver: str) -> EventReport | None:
        """None when nothing is queued."""
        with self._view.txn.cursor(self._view.tables.queues) as cursor:
            behind = cursor.set_range(behind_pairs(pair_key(receiver)))
            if not (cursor.prev() if behind else cursor.last()) or not cursor.key().startswith(pair_key(receiver)):
                return None
            return report_of(sequence_of(cursor.key()), cursor.value()).report

    def shorten(self, receiver: str, leave: int, instead: EventReport) -> None:
        """Forgets the oldest."""
        excess = self.queue_length(receiver) - leave
        if excess <= 0:
            return
        oldest = islice(self._rows(self._view.tables.queues, pair_key(receiver)), excess)
        *_, (last, _) = oldest
        self.forget(receiver, sequence_of(last))
        txn, tables = self._writing()
        txn.put(last, report_row(instead, time.time()), db=tables.queues)
        txn.put(last[-8:], text_key(receiver), db=tables.news)
        self._count(receiver, 1)

    def discard(self, receiver: str) -> None:
        """Forgets what is queued."""
        self.forget(receiver, latest(self._view))

    def forget(self, receiver: str, up_to: int) -> None:
        """Forgets what is queued up to a sequence number."""
        beginning, last = pair_key(receiver), queue_key(receiver, up_to)
        if not any(key <= last for key, _ in self._rows(self._view.tables.queues, beginning, most=1)):
            return
        txn, tables = self._writing()
        forgotten = 0
        with txn.cursor(tables.queues) as cursor:
            there = cursor.set_range(beginning)
            while there and cursor.key().startswith(beginning) and cursor.key() <= last:
                txn.delete(cursor.key()[-8:], db=tables.news)
                there = cursor.delete()
                forgotten += 1
        self._count(receiver, -forgotten)

    def _count(self, receiver: str, more: int) -> None:
        length = self.queue_length(receiver) + more
        txn, tables = self._writing()
        if length:
            txn.put(text_key(receiver), pack_sequence(length), db=tables.lengths)
        else:
            txn.delete(text_key(receiver), db=tables.lengths)

    # -- listeners --

    def listen(self, process: str, until: float, positions: Mapping[str, int]) -> None:
        """A process that counts until then, and how far its listeners are; without any it does not count any more."""
        txn, tables = self._writing()
        if positions:
            txn.put(text_key(process), pack_time(until), db=tables.processes)
        else:
            txn.delete(text_key(process), db=tables.processes)
        for receiver, position in positions.items():
            txn.put(pair_key(receiver, process), pack_sequence(position), db=tables.listening)

    def unlisten(self, process: str, receivers: Iterable[str]) -> None:
        """Nobody of a process listens for these any more."""
        txn, tables = self._writing()
        for receiver in receivers:
            txn.delete(pair_key(receiver, process), db=tables.listening)

    def deliver(self, receiver: str, up_to: int, now: float) -> int:
        """Forgets what all processes have delivered that count; up to where."""
        txn, tables = self._writing()
        # of an AE that has nothing queued there is nothing to know, and anybody can think of AE titles
        if up_to > delivered(self._view, receiver) and self.queue_length(receiver):
            txn.put(text_key(receiver), pack_sequence(up_to), db=tables.delivered)
        for key, position in self._rows(tables.listening, pair_key(receiver)):
            until = txn.get(text_key(second_of(key)), db=tables.processes)
            if until is None or not pack_time(now) <= until <= pack_time(now + _LONGEST_LEASE_SECONDS):
                txn.delete(key, db=tables.listening)
                txn.delete(text_key(second_of(key)), db=tables.processes)
            else:
                up_to = min(up_to, sequence_of(position))
        self.forget(receiver, up_to)
        return up_to

    def _writing(self) -> WorklistView:
        self.wrote = True
        return self._view

    def _rows(self, table: lmdb._Database, beginning: bytes, most: int = _BATCH) -> Iterator[tuple[bytes, bytes]]:
        """Keys that begin so, and their values, read in batches: what is written meanwhile does not disturb it."""
        after = beginning
        while True:
            batch: list[tuple[bytes, bytes]] = []
            with self._view.txn.cursor(table) as cursor:
                if cursor.set_range(after):
                    for key, value in cursor.iternext():
                        if len(batch) == most or not key.startswith(beginning):
                            break
                        batch.append((key, value))
            yield from batch
            if len(batch) < most:
                return
            after = batch[-1][0] + b"\x00"


def latest(view: WorklistView) -> int:
    """The sequence number given last."""
    packed = view.txn.get(LATEST_KEY, db=view.tables.store)
    return 0 if packed is None else sequence_of(packed)


def delivered(view: WorklistView, receiver: str) -> int:
    """The sequence number up to which somebody has got the reports of a receiver."""
    packed = view.txn.get(text_key(receiver), db=view.tables.delivered)
    return 0 if packed is None else sequence_of(packed)


def _index_rows(workitem: Workitem | None) -> set[tuple[bytes, bytes]]:
    if workitem is None:
        return set()
    order = order_of(workitem.uid, workitem.attributes)
    return {(term, order) for term in (EVERY, *terms(workitem.attributes))}
