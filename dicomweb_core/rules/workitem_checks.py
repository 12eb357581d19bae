"""Whether data sets of requests and workitems are what PS3.4 Table CC.2.5-3 has them be.

Data sets are in the form that `codecs.dicom_json.normalised` promises. No violation quotes a value.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import islice
from typing import Final, NamedTuple

from dicomweb_core.codecs.dictionary import keyword_of
from dicomweb_core.rules import date_times
from dicomweb_core.rules.workitem_codes import Code
from dicomweb_core.rules.workitem_requirements import (
    TRANSACTION_UID,
    Members,
    Path,
    Requirement,
    Usage,
    Use,
    applies,
    is_blank,
    items_of,
    requirement,
    requirements,
)
from dicomweb_core.values.attributes import Attribute, Attributes, json_text
from dicomweb_core.values.uids import is_uid
from dicomweb_core.values.workitems import UPS_PUSH, WorkitemState

MOST_VIOLATIONS: Final = 100
"""A check ends behind so many: nobody reads more."""

STATE: Final = "00741000"
SOP_CLASS_UID: Final = "00080016"
SOP_INSTANCE_UID: Final = "00080018"
PROGRESS: Final = "00741002"
"""Procedure Step Progress Information Sequence."""
COMMUNICATIONS: Final = "00741008"
"""Procedure Step Communications URI Sequence, in it."""
CONTACT: Final = ("0074100A", "0074100C")
"""Contact URI, Contact Display Name."""
REASON: Final = "00741238"
REASON_CODES: Final = "0074100E"

_TEXTS: Final = frozenset({"LO", "LT", "SH", "ST", "UC", "UR", "UT"})
"""One for the other: editions have changed the VR of URIs."""


class Violation(NamedTuple):
    """One thing a data set must not be."""

    code: Code
    path: Path
    sentence: str


class _Column(NamedTuple):
    """Of the table, and how it is read."""

    usage: Callable[[Requirement], Usage]
    transaction: str
    strict: bool
    """Whether type 2 attributes must be present."""
    unchanged: Callable[[Path, Attribute], bool]
    """Whether an attribute that is forbidden, or may not be blanked, says nothing new."""


def dotted(path: Path) -> str:
    """Keywords of a path, tags where there are none."""
    return ".".join(keyword_of(tag) or tag for tag in path)


def check_create(attributes: Attributes) -> list[Violation]:
    """What a workitem cannot be created with (PS3.18 11.4.1.4). Type 2 attributes must be there: see `completed`."""

    def unchanged(path: Path, attribute: Attribute) -> bool:
        if path == (SOP_CLASS_UID,):
            return is_blank(attribute) or attribute.get("Value") == [UPS_PUSH]
        return path == (SOP_INSTANCE_UID,)

    return _check(attributes, requirements(), _Column(lambda row: row.create, "Create", True, unchanged))


def check_update(attributes: Attributes, stored: Attributes, *, strict: bool = False) -> list[Violation]:
    """What a workitem cannot be updated with (PS3.18 11.6.1.4). A forbidden attribute that is as it is stored, in
    any item of a sequence, is none: clients send back what they read. The state is, whatever it says.

    Type 2 attributes may be missing in items unless `strict`.
    """
    known: dict[Path, set[bytes]] = {}

    def unchanged(path: Path, attribute: Attribute) -> bool:
        if path not in known:
            known[path] = _texts_at(stored, path)
        return path != (STATE,) and _text(attribute) in known[path]

    return _check(attributes, requirements(), _Column(lambda row: row.update, "Update", strict, unchanged))


def check_cancellation(attributes: Attributes) -> list[Violation]:
    """What cannot be the payload of a request for cancellation (PS3.4 Table CC.2.2-1). Other attributes do nothing."""
    places = ((PROGRESS, REASON), (PROGRESS, REASON_CODES), *((PROGRESS, COMMUNICATIONS, tag) for tag in CONTACT))
    found = (requirement(path) for path in places)
    rows = {row.tag: replace(row, update=Usage(Use.TAKEN)) for row in found if row is not None}
    return _check(attributes, rows, _Column(lambda row: row.update, "cancellation", False, lambda *_: False))


def completed(attributes: Attributes) -> tuple[Attributes, tuple[Path, ...]]:
    """The data set of a Create with what it must have and may be empty, in each item, and what was not there.

    The Transaction UID is not counted: it is not kept, so that nothing of the workitem is modified.
    """
    root: Attributes = {}
    added: dict[Path, None] = {}
    pending: list[tuple[Path, Attributes, Attributes, Members]] = [((), attributes, root, requirements())]
    while pending:
        path, given, made, rows = pending.pop()
        wanted = {tag for tag, row in rows.items() if _may_be_added(row)} - given.keys()
        for tag in sorted(given.keys() | wanted):
            if tag in wanted:
                made[tag] = {"vr": rows[tag].vr}
                if tag != TRANSACTION_UID:
                    added[(*path, tag)] = None
                continue
            made[tag] = given[tag]
            items = items_of(given[tag])
            if items and tag in rows:
                copies: list[Attributes] = [{} for _ in items]
                made[tag] = {**given[tag], "Value": copies}
                members = rows[tag].members
                pending += [((*path, tag), *pair, members) for pair in zip(items, copies, strict=True)]
    return root, tuple(added)


def missing_for(state: WorkitemState, attributes: Attributes) -> list[Path]:
    """What a workitem needs to be in a final state and does not have, in any item (PS3.4 CC.2.5.1.1).

    RC is taken for granted: a server does not know whether a performer is known.
    """
    needed = {"R", "P", "P0"} if state is WorkitemState.COMPLETED else {"R", "X"}
    missing: dict[Path, None] = {}
    pending: deque[tuple[Path, Attributes, Members]] = deque([((), attributes, requirements())])
    while pending:
        path, item, rows = pending.popleft()
        for tag, row in rows.items():
            if row.final not in needed:
                continue
            attribute = item.get(tag)
            if attribute is None or (row.final != "P0" and is_blank(attribute)):
                missing[(*path, tag)] = None
            pending += [((*path, tag), inner, row.members) for inner in items_of(attribute)]
    return list(missing)


# -- the walk -----------------------------------------------------------------------------------------------------


def _check(attributes: Attributes, rows: Members, column: _Column) -> list[Violation]:
    return list(islice(_violations(attributes, rows, column), MOST_VIOLATIONS))


def _violations(attributes: Attributes, rows: Members, column: _Column) -> Iterator[Violation]:
    pending: deque[tuple[Path, Attributes, Members]] = deque([((), attributes, rows)])
    while pending:
        path, item, members = pending.popleft()
        for row in members.values():
            if violation := _missing(path, item, row, column):
                yield violation
        for tag, attribute in item.items():
            here = (*path, tag)
            member = members.get(tag)
            violation = _anywhere(here, attribute)
            if violation is None and member is not None:
                violation = _present(here, attribute, member, column)
            if violation is not None:
                yield violation
                continue
            inner = member.members if member is not None else {}
            pending += [(here, one, inner) for one in items_of(attribute)]


def _missing(path: Path, item: Attributes, row: Requirement, column: _Column) -> Violation | None:
    usage = column.usage(row)
    here = (*path, row.tag)
    required = usage.client == "1" or (usage.client == "1C" and applies(row.condition, item))
    if usage.use is Use.TAKEN and required:
        if row.tag not in item:
            return Violation(Code.MISSING_ATTRIBUTE, here, f"{dotted(here)} is missing.")
        if is_blank(item[row.tag]):
            return Violation(Code.MISSING_VALUE, here, f"{dotted(here)} has no value.")
    elif row.tag not in item and column.strict and _may_be_empty(usage, row, item):
        return Violation(Code.MISSING_ATTRIBUTE, here, f"{dotted(here)} is missing; it may be empty.")
    return None


def _may_be_empty(usage: Usage, row: Requirement, item: Attributes) -> bool:
    if usage.use is Use.EMPTY or usage.client == "2":
        return usage.use in (Use.EMPTY, Use.TAKEN)
    return usage.client == "2C" and applies(row.condition, item)


def _may_be_added(row: Requirement) -> bool:
    return row.create.use is Use.EMPTY or row.create.client == "2"


def _anywhere(path: Path, attribute: Attribute) -> Violation | None:
    """What no attribute of any transaction may be (PS3.18 11.1.3), in the table or not."""
    if "BulkDataURI" in attribute:
        return Violation(Code.INVALID_VALUE, path, f"{dotted(path)} has a BulkDataURI, which is not supported here.")
    if path[-1] == TRANSACTION_UID and len(path) > 1:
        return Violation(Code.NOT_ALLOWED, path, f"{dotted(path)} is not allowed in an item.")
    return None


def _present(path: Path, attribute: Attribute, row: Requirement, column: _Column) -> Violation | None:
    usage = column.usage(row)
    name = dotted(path)
    if usage.use in (Use.IGNORED, Use.LOCK):
        return None
    if usage.use is Use.FORBIDDEN:
        if column.unchanged(path, attribute):
            return None
        return Violation(Code.NOT_ALLOWED, path, f"{name} may not be sent in {_a(column.transaction)}.")
    if usage.use is Use.EMPTY:
        if is_blank(attribute):
            return None
        return Violation(Code.INVALID_VALUE, path, f"{name} must be created without value.")
    if is_blank(attribute):
        # members of an item are replaced with it, so that there is nothing to blank
        may_blank = column.transaction != "Update" or len(path) > 1 or usage.server != "1"
        if not may_blank and not column.unchanged(path, attribute):
            return Violation(Code.MISSING_VALUE, path, f"{name} may not be made empty.")
        return None
    return _value(path, attribute, row)


def _a(transaction: str) -> str:
    return f"{'an' if transaction == 'Update' else 'a'} {transaction}"


def _value(path: Path, attribute: Attribute, row: Requirement) -> Violation | None:
    name = dotted(path)
    vr, values = attribute.get("vr"), attribute.get("Value") or []
    if vr != row.vr and not (vr in _TEXTS and row.vr in _TEXTS):
        return Violation(Code.INVALID_VALUE, path, f"{name} does not have the VR {row.vr}.")
    if row.most_items is not None and len(values) > row.most_items:
        return Violation(Code.INVALID_VALUE, path, f"{name} has more than {row.most_items} item.")
    if row.values and not (len(values) == 1 and str(values[0]).strip() in row.values):
        code = Code.NOT_CREATED_SCHEDULED if path == (STATE,) else Code.INVALID_VALUE
        return Violation(code, path, f"{name} is none of {', '.join(sorted(row.values))}.")
    valid = _VALID.get(row.vr)
    if valid is not None and not (len(values) == 1 and valid(str(values[0]))):
        return Violation(Code.INVALID_VALUE, path, f"{name} is no {row.vr} (PS3.5 6.2).")
    return None


_VALID: Final[dict[str, Callable[[str], bool]]] = {
    "DA": lambda text: date_times.date(text) is not None,
    "DT": lambda text: date_times.moment(text) is not None,
    "TM": lambda text: date_times.time(text) is not None,
    "UI": lambda text: is_uid(text.rstrip(" \0")),
}
"""By VR; the table has single values of them only."""


def _texts_at(stored: Attributes, path: Path) -> set[bytes]:
    items = [stored]
    for tag in path[:-1]:
        items = [inner for item in items for inner in items_of(item.get(tag))]
    return {_text(item.get(path[-1])) for item in items} or {b""}


def _text(attribute: Attribute | None) -> bytes:
    return b"" if attribute is None or is_blank(attribute) else json_text(attribute)
