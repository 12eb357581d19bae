"""What every attribute of a workitem must, may and must not be: PS3.4 Table CC.2.5-3, read once from the table beside.

Columns of `workitem_attributes.csv`, a row for each attribute, those of a macro by the name of the macro:

* `create`, `update`: types of client and server (PS3.4 5.4.2.1), or `no`, `empty`, `ignored`, `lock`.
* `final`: R, RC, P, X, O (CC.2.5.1.1); `P0` is P that a sequence without items satisfies.
* `match`: R, O, U, `-`, or `inherit`: as the sequence that includes the macro. `rule` `single`: without wildcards.
* `returned`: the type a search returns it with. `macro`: what each item of the sequence also follows.
* `condition`: when a type 1C or 2C is required; empty where the data set does not tell.
* `values`: the enumerated ones (PS3.3 C.30.2). `items`: the most a sequence may have.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from functools import lru_cache
from importlib import resources
from typing import Final, NamedTuple

from dicomweb_core.codecs.dictionary import vr_of
from dicomweb_core.rules.matching import private_elements
from dicomweb_core.values.attributes import Attribute, Attributes
from dicomweb_core.values.queries import AttributePath, MatchKey

Path = tuple[str, ...]
"""Tags from the outside in."""


class Use(Enum):
    """What a transaction makes of an attribute that a client sends."""

    TAKEN = "taken"
    FORBIDDEN = "no"
    EMPTY = "empty"
    """Must be there without value."""
    IGNORED = "ignored"
    """The server knows better."""
    LOCK = "lock"
    """No attribute but the proof of ownership."""


class Usage(NamedTuple):
    """In one transaction. The types are those of PS3.4 5.4.2.1."""

    use: Use
    client: str = "3"
    server: str = "3"


class When(Enum):
    """How members of the same item decide whether a conditional attribute is required."""

    UNLESS = "unless"
    """None of them has a value."""
    WITH = "with"
    """One of them has a value."""
    IF = "if"
    """One of them has this value, `tag=value`."""


class Condition(NamedTuple):
    """Of a type 1C or 2C."""

    when: When
    operands: tuple[str, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Requirement:
    """A row of the table. `members` are those of each item, macros included."""

    tag: str
    keyword: str
    vr: str
    create: Usage
    update: Usage
    final: str
    match: str
    single_value: bool
    returned: str
    condition: Condition | None
    values: frozenset[str]
    most_items: int | None
    members: Mapping[str, Requirement]


Members = Mapping[str, Requirement]
"""Requirements of a data set or of an item, by tag."""

TRANSACTION_UID: Final = "00081195"
SPECIFIC_CHARACTER_SET: Final = "00080005"
_TABLE: Final = "workitem_attributes.csv"
_RETURNED_EMPTY: Final = frozenset({"1", "2"})
_RETURNED_IF_KNOWN: Final = frozenset({"1C", "2C"})


@lru_cache(maxsize=1)
def requirements() -> Members:
    """Those of a data set, in the order of the table."""
    text = resources.files("dicomweb_core.rules").joinpath(_TABLE).read_text(encoding="utf-8")
    scopes: dict[str, dict[Path, dict[str, str]]] = {}
    for row in csv.DictReader(text.splitlines()):
        scopes.setdefault(row["scope"], {})[tuple(row["tags"].split(">"))] = row
    return _members(scopes, "dataset", (), "-")


def requirement(path: Path) -> Requirement | None:
    """The row of an attribute; None for one the table does not name, which may be there and means nothing."""
    row: Requirement | None = None
    members = requirements()
    for tag in path:
        row = members.get(tag)
        if row is None:
            return None
        members = row.members
    return row


def is_blank(attribute: Attribute | None) -> bool:
    """Whether it is absent or has no value. A sequence has one when it has an item, whatever is in it."""
    if attribute is None:
        return True
    if attribute.get("vr") == "SQ":
        return not attribute.get("Value")
    if "InlineBinary" in attribute or "BulkDataURI" in attribute:
        return False
    return all(value is None or value == "" for value in attribute.get("Value") or ())


def items_of(attribute: Attribute | None) -> list[Attributes]:
    """Those of a sequence; none if it is absent."""
    return [] if attribute is None or attribute.get("vr") != "SQ" else list(attribute.get("Value") or ())


def applies(condition: Condition | None, item: Attributes) -> bool:
    """Whether a conditional attribute is required in an item. Where the data set does not tell, it is not."""
    if condition is None:
        return False
    match condition.when:
        case When.UNLESS:
            return all(is_blank(item.get(tag)) for tag in condition.operands)
        case When.WITH:
            return any(not is_blank(item.get(tag)) for tag in condition.operands)
        case When.IF:
            pairs = (operand.split("=") for operand in condition.operands)
            return any(value in (item.get(tag, {}).get("Value") or ()) for tag, value in pairs)


def matchable(path: Path) -> bool:
    """Whether a search may have it as a match key. Never the Transaction UID."""
    row = requirement(path)
    return row is not None and row.match in ("R", "O", "U")


def single_value_only(path: Path) -> bool:
    """Whether `*` and `?` in a match key stand for themselves."""
    row = requirement(path)
    return row is not None and row.single_value


def returned(
    attributes: Attributes,
    keys: tuple[MatchKey, ...] = (),
    include: tuple[AttributePath, ...] = (),
    *,
    everything: bool = False,
) -> Attributes:
    """What a search returns of a workitem (PS3.18 11.9.2), ascending; the values are those stored, not copies.

    Types 1 and 2 and match keys, empty if there is no value; types 1C and 2C, and what is asked for, if there is one.
    Sequences whole. Never the Transaction UID, which no workitem has among its attributes.
    """
    rows = requirements()
    empty, known = map(set, _returned_tags())
    empty.update(key.tag for key in keys if key.creator is None and key.tag != SPECIFIC_CHARACTER_SET)
    for path in include:
        if path.creator is None:
            known.add(path.tags[0])
        else:
            for pair in private_elements(attributes, path.tags[0], path.creator):
                known.update(pair if pair[1] in attributes else ())
    found: Attributes = {}
    for tag in sorted(empty | known | attributes.keys() if everything else empty | known):
        attribute = attributes.get(tag)
        if tag == TRANSACTION_UID:
            continue
        if attribute is not None and (everything or tag in empty or not is_blank(attribute)):
            found[tag] = attribute
        elif tag in empty:
            found[tag] = {"vr": rows[tag].vr if tag in rows else vr_of(tag) or "UN"}
    return found


@lru_cache(maxsize=1)
def _returned_tags() -> tuple[frozenset[str], frozenset[str]]:
    """Those of every result, and those of results that have a value: most of the work of a search otherwise."""
    rows = requirements().items()
    return (
        frozenset(tag for tag, row in rows if row.returned in _RETURNED_EMPTY),
        frozenset(tag for tag, row in rows if row.returned in _RETURNED_IF_KNOWN),
    )


# -- reading the table --------------------------------------------------------------------------------------------


def _members(scopes: Mapping[str, Mapping[Path, dict[str, str]]], scope: str, around: Path, match: str) -> Members:
    # nested as deep as the table, which no client writes
    found: dict[str, Requirement] = {}
    for path, row in scopes[scope].items():
        if path[:-1] != around:
            continue
        own = match if row["match"] == "inherit" else row["match"]
        members = {**_members(scopes, scope, path, own)}
        if row["macro"]:
            members |= _members(scopes, row["macro"], (), own)
        found[path[-1]] = Requirement(
            tag=path[-1],
            keyword=row["keyword"],
            vr=row["vr"],
            create=_usage(row["create"]),
            update=_usage(row["update"]),
            final=row["final"],
            match=own,
            single_value=row["rule"] == "single",
            returned=row["returned"],
            condition=_condition(row["condition"]),
            values=frozenset(row["values"].split("|")) - {""},
            most_items=int(row["items"]) if row["items"] else None,
            members=members,
        )
    return found


def _usage(text: str) -> Usage:
    if "/" not in text:
        return Usage(Use(text))
    client, server = text.split("/")
    return Usage(Use.TAKEN, client, server)


def _condition(text: str) -> Condition | None:
    when, *operands = text.split() or [""]
    return Condition(When(when), tuple(operands)) if operands else None
