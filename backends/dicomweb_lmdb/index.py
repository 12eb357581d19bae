"""The index over studies, series and instances: which terms an entity has, and how many entities live.

The terms are those of `rules.index_terms`, except the unique keys: their terms follow from the ref and are the way
from a UID to an id.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import orjson

from dicomweb_core.rules.index_terms import terms
from dicomweb_core.values.attributes import Attributes
from dicomweb_core.values.queries import Level
from dicomweb_lmdb.environment import View
from dicomweb_lmdb.keys import TIERS, UID_TAGS, id_of, pack_block, pack_id, pack_member, term_key, uid_key
from dicomweb_lmdb.rows import SeriesRow, StudyRow

_MODALITIES_IN_STUDY: Final = "00080061"
_SOP_CLASSES_IN_STUDY: Final = "00080062"


def study_keys(row: StudyRow) -> frozenset[bytes]:
    """Of a study as it is now."""
    attributes: Attributes = orjson.loads(row.attributes)
    attributes[_MODALITIES_IN_STUDY] = {"vr": "CS", "Value": sorted(row.modalities)}
    attributes[_SOP_CLASSES_IN_STUDY] = {"vr": "UI", "Value": sorted(row.sop_classes)}
    return _keys(Level.STUDY, row.uid, attributes)


def series_keys(row: SeriesRow) -> frozenset[bytes]:
    """Of a series as it is now."""
    return _keys(Level.SERIES, row.uid, orjson.loads(row.attributes))


def instance_keys(uid: str, attributes: bytes) -> frozenset[bytes]:
    """Of an instance."""
    return _keys(Level.INSTANCE, uid, orjson.loads(attributes))


def reindex(view: View, number: int, old: Iterable[bytes], new: Iterable[bytes]) -> None:
    """Changes what the index says of an entity from `old` to `new` keys."""
    before, after = frozenset(old), frozenset(new)
    member, table = pack_member(number), view.tables.terms
    for key in before - after:
        view.txn.delete(key, member, db=table)
    for key in sorted(after - before):
        view.txn.put(key, member, db=table)


def recount(view: View, changes: dict[tuple[Level, int], int]) -> None:
    """Adds to the numbers of living ids: (level, number of the smallest block) -> by how many."""
    tiers: dict[bytes, int] = {}
    for (level, block), change in changes.items():
        for tier, shift in enumerate(TIERS):
            key = pack_block(level, tier, (block << TIERS[-1]) >> shift)
            tiers[key] = tiers.get(key, 0) + change
    counts = view.tables.counts
    for key, change in tiers.items():
        before = view.txn.get(key, db=counts)
        after = (id_of(before) if before is not None else 0) + change
        if after:
            view.txn.put(key, pack_id(after), db=counts)
        else:
            view.txn.delete(key, db=counts)


def _keys(level: Level, uid: str, attributes: Attributes) -> frozenset[bytes]:
    kept = {term_key(term) for term in terms(level, attributes) if term.tag != UID_TAGS[level]}
    kept.add(uid_key(level, uid))
    return frozenset(kept)
