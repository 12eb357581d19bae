"""Searches over the index of the worklist (PS3.4 CC.2.8), batch by batch.

The index has for each term the orders of its workitems, ascending. The rarest term of a search is walked through, the
others are asked about each order, one by one.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, NamedTuple

from dicomweb_core.rules.workitem_terms import NO_START, order_of, probes, start_range, uids
from dicomweb_core.values.queries import MatchKey
from dicomweb_core.values.workitems import Workitem
from dicomweb_lmdb.environment import EnvironmentOf
from dicomweb_lmdb.worklist_rows import EVERY, START_BYTES, WorklistTables, WorklistView, text_key, workitem_of

_BATCH: Final = 64
_BATCH_BYTES: Final = 1 << 20
_LOOKED_AT: Final = 10_000
"""Orders in one read transaction at most."""


class _Batch(NamedTuple):
    rows: list[bytes]
    following: bytes | None
    """The order to go on with; None at the end."""


def search(environment: EnvironmentOf[WorklistTables], keys: tuple[MatchKey, ...]) -> Iterator[Workitem]:
    """Those that may match, by start and UID. Holds no transaction while it is suspended."""
    wanted = uids(keys)
    if wanted is not None:
        yield from _by_uid(environment, wanted)
        return
    terms, (first, last) = probes(keys), start_range(keys)
    following: bytes | None = _NO_START
    while following is not None:
        with environment.read() as view:
            batch = _batch(view, terms, following, first.encode(), last.encode())
        for row in batch.rows:
            yield workitem_of(row)
        following = batch.following


def _by_uid(environment: EnvironmentOf[WorklistTables], wanted: frozenset[str]) -> Iterator[Workitem]:
    found: list[tuple[bytes, str]] = []
    for uid in wanted:
        row = _row(environment, uid)
        if row is not None:
            workitem = workitem_of(row)
            found.append((order_of(uid, workitem.attributes), uid))
    for _, uid in sorted(found):
        row = _row(environment, uid)
        if row is not None:
            yield workitem_of(row)


def _row(environment: EnvironmentOf[WorklistTables], uid: str) -> bytes | None:
    if not uid:
        return None
    with environment.read() as view:
        return view.txn.get(text_key(uid), db=view.tables.workitems)


def _batch(view: WorklistView, terms: tuple[bytes, ...], begin: bytes, first: bytes, last: bytes) -> _Batch:
    """Rows from an order on. Those without a start are looked at too, whatever the range is."""
    rows: list[bytes] = []
    size = looked_at = 0
    with view.txn.cursor(view.tables.terms) as walk, view.txn.cursor(view.tables.terms) as others:
        sizes = {}
        for term in terms or (EVERY,):
            if not walk.set_key(term):
                return _Batch([], None)
            sizes[term] = walk.count()
        rarest, *rest = sorted(sizes, key=sizes.__getitem__)
        there = walk.set_range_dup(rarest, begin)
        while there:
            order = walk.value()
            looked_at += 1
            if len(rows) == _BATCH or size > _BATCH_BYTES or looked_at > _LOOKED_AT:
                return _Batch(rows, order)
            start = order[:START_BYTES]
            if start > last:
                break
            if start < first and start != _NO_START:
                there = walk.set_range_dup(rarest, first)
                continue
            if all(others.set_key_dup(term, order) for term in rest):
                row = view.txn.get(order[START_BYTES:], db=view.tables.workitems, default=b"")
                rows.append(row)
                size += len(row)
            there = walk.next_dup()
    return _Batch(rows, None)


_NO_START: Final = NO_START.encode()
