"""Tables, keys and rows of the worklist. Texts are UTF-8 JSON, what is in keys sorts the way we read."""

from __future__ import annotations

import struct
from typing import Any, Final, NamedTuple

import lmdb
import orjson

from dicomweb_core.values.attributes import json_text
from dicomweb_core.values.queries import (
    AllValues,
    AnyUID,
    CombinedRange,
    Condition,
    EmptyValue,
    MatchKey,
    Range,
    SingleValue,
    Universal,
    Wildcard,
    WithinItem,
)
from dicomweb_core.values.workitems import (
    EventReport,
    EventType,
    Generator,
    Origin,
    QueuedReport,
    Subscription,
    Workitem,
    WorkitemState,
)
from dicomweb_lmdb.environment import Layout, ViewOf


class WorklistTables(NamedTuple):
    """The tables. A pair as a key is the first text, a byte 0, the second."""

    store: lmdb._Database
    """`format`, `identity`, `latest`: the sequence number given last."""
    workitems: lmdb._Database
    """workitem -> WorkitemRow"""
    terms: lmdb._Database
    """term -> order, many; the empty term has all"""
    removed: lmdb._Database
    """workitem -> nothing: what was here and is gone"""
    subscriptions: lmdb._Database
    """workitem, receiver -> lock, origin"""
    subscribed: lmdb._Database
    """receiver, workitem -> nothing"""
    generators: lmdb._Database
    """receiver, filtered or not -> lock, filter"""
    queues: lmdb._Database
    """receiver, sequence -> report"""
    lengths: lmdb._Database
    """receiver -> how many are queued"""
    news: lmdb._Database
    """sequence -> receiver, of all that is queued"""
    delivered: lmdb._Database
    """receiver -> sequence up to which somebody has got all"""
    listening: lmdb._Database
    """receiver, process -> sequence up to which its listeners have got all"""
    processes: lmdb._Database
    """process -> when it is taken for dead: those that listen"""
    finals: lmdb._Database
    """change, workitem -> nothing: those in a final state"""


WorklistView = ViewOf[WorklistTables]

WORKLIST: Final = Layout(WorklistTables, frozenset(), frozenset({"terms"}), b"worklist 2")

LATEST_KEY: Final = b"latest"

EVERY: Final = b"\x00"
"""The term that every workitem has."""

START_BYTES: Final = 20
"""Of an order: what stands before the UID."""

_SEQUENCE: Final = struct.Struct(">Q")


def text_key(text: str) -> bytes:
    """Of a UID."""
    return text.encode("utf-8")


def pair_key(first: str, second: str = "") -> bytes:
    """Of two texts; of one, what all its pairs begin with."""
    return first.encode("utf-8") + b"\x00" + second.encode("utf-8")


def second_of(key: bytes) -> str:
    """The second text of a pair."""
    return key[key.index(b"\x00") + 1 :].decode("utf-8")


def first_of(key: bytes) -> str:
    """The first text of a pair."""
    return key[: key.index(b"\x00")].decode("utf-8")


def behind_pairs(first: bytes) -> bytes:
    """A key behind all pairs of a text, `first` being such a pair, and before those of any other text."""
    return first[: first.index(b"\x00")] + b"\x01"


def pack_sequence(sequence: int) -> bytes:
    """8 bytes; a sequence number beyond them is the last one."""
    return _SEQUENCE.pack(max(0, min(sequence, (1 << 64) - 1)))


def queue_key(receiver: str, sequence: int) -> bytes:
    """Of a report."""
    return pair_key(receiver) + pack_sequence(sequence)


def sequence_of(packed: bytes) -> int:
    """Of a key of a queue, or of `pack_sequence`."""
    number: int = _SEQUENCE.unpack(packed[-8:])[0]
    return number


def pack_time(seconds: float) -> bytes:
    """8 bytes that sort as the times since 1970 do, to a microsecond."""
    return pack_sequence(round(seconds * 1e6))


def final_key(workitem: Workitem) -> bytes:
    """Of a workitem in a final state."""
    return pack_time(workitem.changed) + text_key(workitem.uid)


def workitem_row(workitem: Workitem) -> bytes:
    """A workitem, packed."""
    fields = [workitem.uid, workitem.state.value, workitem.transaction_uid, workitem.performer, workitem.changed]
    return orjson.dumps([*fields, orjson.Fragment(json_text(workitem.attributes))])


_STATES: Final = {state.value: state for state in WorkitemState}


def workitem_of(row: bytes) -> Workitem:
    """What `workitem_row` packed."""
    uid, state, transaction_uid, performer, changed, attributes = orjson.loads(row)
    return Workitem(uid, _STATES[state], attributes, transaction_uid, performer, changed)


def subscription_row(subscription: Subscription) -> bytes:
    """What is not in the key, packed."""
    return orjson.dumps([subscription.deletion_lock, subscription.origin.value])


def subscription_of(uid: str, receiver: str, row: bytes) -> Subscription:
    """What `subscription_row` packed."""
    deletion_lock, origin = orjson.loads(row)
    return Subscription(uid, receiver, deletion_lock, Origin(origin))


def generator_key(receiver: str, *, filtered: bool) -> bytes:
    """Those without filter come first."""
    return pair_key(receiver, "1" if filtered else "0")


def generator_row(generator: Generator) -> bytes:
    """What is not in the key, packed."""
    keys = None if generator.filter is None else _packed_keys(generator.filter)
    return orjson.dumps([generator.deletion_lock, generator.filter_text, keys])


def generator_of(receiver: str, row: bytes) -> Generator:
    """What `generator_row` packed."""
    deletion_lock, text, keys = orjson.loads(row)
    return Generator(receiver, deletion_lock, None if keys is None else _keys_of(keys), text)


def report_row(report: EventReport, queued: float) -> bytes:
    """A report, packed."""
    fields = [report.workitem, int(report.type), queued]
    return orjson.dumps([*fields, orjson.Fragment(json_text(report.attributes))])


def report_of(sequence: int, row: bytes) -> QueuedReport:
    """What `report_row` packed."""
    uid, kind, queued, attributes = orjson.loads(row)
    return QueuedReport(sequence, EventReport(uid, EventType(kind), attributes), queued)


# -- the keys of a filter: nested as deep as the path of a key, which the parser bounds --

_CONDITIONS: Final = (SingleValue, Universal, Wildcard, Range, CombinedRange, EmptyValue)
_BY_NAME: Final = {kind.__name__: kind for kind in _CONDITIONS}


def _packed_keys(keys: tuple[MatchKey, ...]) -> list[Any]:
    return [[key.tag, key.vr, _packed_condition(key.condition), *key[3:]] for key in keys]


def _packed_condition(condition: Condition) -> list[Any]:
    name = type(condition).__name__
    match condition:
        case SingleValue(value) | Wildcard(value):
            return [name, value]
        case Range(first, last):
            return [name, first, last]
        case CombinedRange(time_tag, first, last):
            return [name, time_tag, first, last]
        case AnyUID(values):
            return [name, sorted(values)]
        case AllValues(several):
            return [name, several]
        case WithinItem(keys):
            return [name, _packed_keys(keys)]
    return [name]


def _keys_of(packed: list[Any]) -> tuple[MatchKey, ...]:
    return tuple(MatchKey(tag, vr, _condition_of(condition), *rest) for tag, vr, condition, *rest in packed)


def _condition_of(packed: list[Any]) -> Condition:
    name, *fields = packed
    match name:
        case "AnyUID":
            return AnyUID(frozenset(fields[0]))
        case "AllValues":
            return AllValues(tuple(fields[0]))
        case "WithinItem":
            return WithinItem(_keys_of(fields[0]))
    made: Condition = _BY_NAME[name](*fields)
    return made
