"""Keys of the tables, as bytes that LMDB sorts the way we read."""

from __future__ import annotations

import hashlib
import struct
from typing import Final

from dicomweb_core.values.queries import Level, Term
from dicomweb_core.values.resources import Ref

FORMAT_KEY: Final = b"format"
IDENTITY_KEY: Final = b"identity"
COUNTERS_KEY: Final = b"counters"
TOTALS_KEY: Final = b"totals"

STUDY_UID: Final = "0020000D"
SERIES_UID: Final = "0020000E"
INSTANCE_UID: Final = "00080018"
UID_TAGS: Final = {Level.STUDY: STUDY_UID, Level.SERIES: SERIES_UID, Level.INSTANCE: INSTANCE_UID}
"""The unique keys. They are terms of the index as others are, kept by us alone."""

_ID: Final = struct.Struct(">Q")
_PAIR: Final = struct.Struct(">QQ")
_MEMBER: Final = struct.Struct("=Q")
_BLOCK: Final = struct.Struct(">BBQ")

TIERS: Final = (18, 12, 6)
"""Live ids are counted in blocks of 2^18, 2^12 and 2^6: a page deep inside is found by four short walks."""

pack_id = _ID.pack
pack_pair = _PAIR.pack
pack_block = _BLOCK.pack
pack_member = _MEMBER.pack
"""An id among the many of a key: native, since LMDB compares them as machine integers."""


def id_of(packed: bytes) -> int:
    """What `pack_id` made."""
    number: int = _ID.unpack(packed)[0]
    return number


def pair_of(packed: bytes) -> tuple[int, int]:
    """What `pack_pair` made."""
    first, second = _PAIR.unpack(packed)
    return first, second


def member_of(packed: bytes) -> int:
    """What `pack_member` made."""
    number: int = _MEMBER.unpack(packed)[0]
    return number


def tag_key(level: Level, tag: str) -> bytes:
    """What the keys of all terms of an attribute begin with: 5 bytes."""
    return bytes((level,)) + bytes.fromhex(tag)


def term_key(term: Term) -> bytes:
    """The key of a term. `Term.value` is short enough for LMDB (511 bytes)."""
    return tag_key(term.level, term.tag) + term.value


def uid_key(level: Level, uid: str) -> bytes:
    """The key of an entity's own UID."""
    return _UID_KEYS[level] + uid.encode("ascii")


_UID_KEYS: Final = {level: tag_key(level, tag) for level, tag in UID_TAGS.items()}


def deleted_key(ref: Ref) -> bytes:
    """16 bytes for whatever was deleted: that two paths share them does not happen in the life of a store."""
    return hashlib.blake2b(ref.path.encode("ascii"), digest_size=16).digest()
