"""What a search returns of an entity (PS3.18 10.6.3.3, Tables 10.6.3-3, 10.6.3-4, 10.6.3-5).

* The required attributes of the table of the resource, empty when unknown; the conditional ones when known.
* Attributes used as match keys, and those of `includefield`, at the level of the resource or above.
* Of a sequence that was matched: the items that match, with the members that were matched or asked for (PS3.4
  C.2.2.2.6). A sequence named by `includefield` is returned whole.
* Never a BulkDataURI, and InlineBinary only where an attribute is asked for by name.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, Final

import orjson

from dicomweb_core.codecs.dictionary import vr_of
from dicomweb_core.rules.entities import computed, instance_attributes, parsed
from dicomweb_core.rules.levels import (
    COMPUTED_TAGS,
    SPECIFIC_CHARACTER_SET,
    TIMEZONE_OFFSET,
    is_private,
    is_private_creator,
    level_of,
)
from dicomweb_core.rules.matching import creator_elements, matches, private_elements
from dicomweb_core.rules.summaries import strip_bulk
from dicomweb_core.values.attributes import Attribute, Attributes
from dicomweb_core.values.candidates import Candidate
from dicomweb_core.values.queries import CombinedRange, Level, MatchKey, Query, WithinItem
from dicomweb_core.values.resources import SeriesRef

_REQUIRED: Final = {
    Level.STUDY: (
        *("00080020", "00080030", "00080050", "00080061", "00080090", "00100010", "00100020", "00100030", "00100040"),
        *("0020000D", "00200010", "00201206", "00201208"),
    ),
    Level.SERIES: ("00080060", "0020000E", "00200011", "00201209"),
    Level.INSTANCE: ("00080016", "00080018", "00200013"),
}
"""Types U and R."""

_IF_KNOWN: Final = {
    Level.STUDY: ("00080056", "00080201"),
    Level.SERIES: ("00080201", "0008103E", "00400244", "00400245", "00400275"),
    Level.INSTANCE: ("00080056", "00080201", "00083002", "00280008", "00280010", "00280011", "00280100"),
}
"""Type C, and Available Transfer Syntax UID."""

_UNIQUE_KEYS: Final = {Level.STUDY: "0020000D", Level.SERIES: "0020000E", Level.INSTANCE: "00080018"}
_RETRIEVE_URL: Final = "00081190"
_CHARACTER_SET: Final = b'"00080005":{"vr":"CS","Value":["ISO_IR 192"]}'
_COMPUTED: Final = 3
"""Place of the computed attributes, behind those of the three levels."""

_NEVER_EMPTY: Final = frozenset({"00080056", "00080201", "00083002", _RETRIEVE_URL, SPECIFIC_CHARACTER_SET})
"""Returned with a value or not at all (PS3.4 C.4.1.1.3.2)."""


@dataclass(frozen=True, slots=True)
class _Selection:
    """What to return of a sequence: the members, None for whole items; and which items, all without keys."""

    members: tuple[tuple[str, str | None, _Selection], ...] | None = None
    keys: tuple[MatchKey, ...] = ()
    required: tuple[str, ...] = ()


_WHOLE: Final = _Selection()
# (0040,0275) Request Attributes Sequence: Scheduled Procedure Step ID, Requested Procedure ID (Table 10.6.3-4)
_REQUEST_ATTRIBUTES: Final = _Selection(
    (("00400009", None, _WHOLE), ("00401001", None, _WHOLE)), (), ("00400009", "00401001")
)


@dataclass(frozen=True, slots=True)
class _Plan:
    """A query, prepared for many candidates."""

    picks: tuple[tuple[str, int, Attribute | None], ...]
    """Ascending: tag, place of its source, and what stands for it when it is unknown."""
    sequences: dict[str, _Selection]
    private: tuple[tuple[str, str | None, _Selection], ...]
    all_of: tuple[Level, ...]
    character_set: bool


def result(query: Query, candidate: Candidate, retrieve_url: str) -> bytes:
    """One result as the text of a JSON object, tags ascending. `retrieve_url` is the absolute URL of the entity."""
    plan = _plan(query)
    found = _selected(plan, candidate, retrieve_url)
    text = orjson.dumps(found)
    if plan.character_set or not text.isascii():
        # everything else of a result has a higher tag, apart from what nobody should store
        if text[2:10] < b"00080005":
            found[SPECIFIC_CHARACTER_SET] = {"vr": "CS", "Value": ["ISO_IR 192"]}
            return orjson.dumps(dict(sorted(found.items())))
        return b"{" + _CHARACTER_SET + b"," + text[1:]
    return text


def result_attributes(query: Query, candidate: Candidate, retrieve_url: str) -> Attributes:
    """The same as attributes, the caller's own."""
    attributes: Attributes = orjson.loads(result(query, candidate, retrieve_url))
    return attributes


def _selected(plan: _Plan, candidate: Candidate, retrieve_url: str) -> Attributes:
    study, series, instance = candidate
    of_study: Attributes = orjson.loads(study.attributes) if series is None else parsed(study.attributes)
    of_series: Attributes = {}
    of_instance: Attributes = {}
    if series is not None:
        of_series = orjson.loads(series.attributes) if instance is None else parsed(series.attributes)
    if instance is not None:
        of_instance = instance_attributes(instance)
    own = computed(candidate)
    own[_RETRIEVE_URL] = {"vr": "UR", "Value": [retrieve_url]}
    sources = (of_study, of_series, of_instance, own)

    found: Attributes = {}
    for tag, place, unknown in plan.picks:
        attribute = sources[place].get(tag)
        if attribute is not None and len(attribute) > 1 and "BulkDataURI" not in attribute:
            found[tag] = attribute
        elif unknown is not None:
            found[tag] = unknown
    if not plan.sequences and not plan.private and not plan.all_of:
        return found

    entity = next((source for source in sources if TIMEZONE_OFFSET in source), of_study)
    for tag, selection in plan.sequences.items():
        if tag in found:
            found[tag] = _of_sequence(found[tag], selection, entity)
    for tag, creator, selection in plan.private:
        _add_private(found, of_instance, tag, creator, selection, entity)
    for level in plan.all_of:
        _add_all(found, sources[level - 1], level)
    return dict(sorted(found.items()))


@lru_cache(maxsize=128)
def _plan(query: Query) -> _Plan:
    whole = frozenset(path.tags[0] for path in query.include if len(path.tags) == 1 and path.creator is None)
    levels = _levels(query)
    required = {_UNIQUE_KEYS[level] for level in Level if level <= query.level}
    known = {_RETRIEVE_URL, *whole}
    selections: dict[tuple[str, str | None], _Selection] = {}
    for level in levels:
        required.update(_REQUIRED[level])
        known.update(_IF_KNOWN[level])
    if Level.SERIES in levels:
        selections["00400275", None] = _REQUEST_ATTRIBUTES
    for key in query.keys:
        if isinstance(key.condition, CombinedRange):
            required.add(key.condition.time_tag)
        if key.creator is None and not is_private_creator(key.tag):
            required.add(key.tag)
        if isinstance(key.condition, WithinItem):
            before = selections.get((key.tag, key.creator), _Selection(()))
            selections[key.tag, key.creator] = _with_keys(before, key.condition.keys)
        elif is_private(key.tag):
            selections.setdefault((key.tag, key.creator), _WHOLE)
    for path in query.include:
        place = (path.tags[0], path.creator)
        if len(path.tags) == 1:
            selections[place] = _WHOLE
        else:
            selections[place] = _with_path(selections.get(place, _Selection(())), path.tags[1:])
            if path.creator is None:
                known.add(path.tags[0])
    all_of = levels if query.include_all else ()
    wanted = sorted((required | known) - {SPECIFIC_CHARACTER_SET})
    picks = tuple((tag, _place(tag), _unknown(tag, required)) for tag in wanted)
    return _Plan(
        picks,
        {
            tag: selection
            for (tag, _), selection in selections.items()
            if not is_private(tag) and (vr_of(tag) == "SQ") and level_of(tag) not in all_of
        },
        tuple((tag, creator, selection) for (tag, creator), selection in selections.items() if is_private(tag)),
        all_of,
        SPECIFIC_CHARACTER_SET in whole,
    )


def _levels(query: Query) -> tuple[Level, ...]:
    """Those whose tables are returned: without a study or series in the path also the levels above (10.6.3.3)."""
    if isinstance(query.within, SeriesRef):
        return (query.level,)
    first = Level.STUDY if query.within is None else Level.SERIES
    return tuple(level for level in Level if first <= level <= query.level)


def _place(tag: str) -> int:
    return _COMPUTED if tag in COMPUTED_TAGS or tag in _UNIQUE_KEYS.values() else level_of(tag) - 1


def _unknown(tag: str, required: set[str]) -> Attribute | None:
    if tag not in required or tag in _NEVER_EMPTY:
        return None
    return {"vr": vr_of(tag) or "UN"}


def _with_keys(selection: _Selection, keys: tuple[MatchKey, ...]) -> _Selection:
    """A selection that also returns what is matched, and only items that match."""
    members = {(tag, creator): inner for tag, creator, inner in selection.members or ()}
    for key in keys:
        place = (key.tag, key.creator)
        if isinstance(key.condition, WithinItem):
            members[place] = _with_keys(members.get(place, _Selection(())), key.condition.keys)
        else:
            members.setdefault(place, _WHOLE)
    return _Selection(_members(members), keys, selection.required)


def _with_path(selection: _Selection, tags: tuple[str, ...]) -> _Selection:
    """A selection that also returns a member of a member."""
    if selection.members is None or not tags:
        return replace(selection, members=None)
    members = {(tag, creator): inner for tag, creator, inner in selection.members}
    place = (tags[0], None)
    members[place] = _with_path(members.get(place, _Selection(())), tags[1:]) if len(tags) > 1 else _WHOLE
    return replace(selection, members=_members(members))


def _members(
    members: dict[tuple[str, str | None], _Selection],
) -> tuple[tuple[str, str | None, _Selection], ...]:
    return tuple((tag, creator, inner) for (tag, creator), inner in sorted(members.items(), key=lambda m: m[0][0]))


def _of_sequence(attribute: Attribute, selection: _Selection, entity: Attributes) -> Attribute:
    """The items and members of a sequence that are selected. Nested as deep as the paths of the query."""
    if selection.members is None and not selection.keys:
        return _without_bulk(attribute)
    items: list[Any] = []
    for item in attribute.get("Value") or ():
        if not isinstance(item, dict) or not matches(selection.keys, item, entity):
            continue
        if selection.members is None:
            items.append(item)
            continue
        picked: Attributes = {tag: {"vr": vr_of(tag) or "UN"} for tag in selection.required}
        for tag, creator, inner in selection.members:
            if is_private(tag):
                _add_private(picked, item, tag, creator, inner, entity)
            elif tag in item and "BulkDataURI" not in item[tag]:
                picked[tag] = _of_sequence(item[tag], inner, entity) if item[tag].get("vr") == "SQ" else item[tag]
        items.append(dict(sorted(picked.items())))
    vr = attribute.get("vr", "SQ")
    return _without_bulk({"vr": vr, "Value": items} if items else {"vr": vr})


def _without_bulk(attribute: Attribute) -> Attribute:
    text = orjson.dumps(attribute)
    if b'"BulkDataURI"' not in text and b'"InlineBinary"' not in text:
        return attribute
    loaded: Attribute = orjson.loads(text)
    strip_bulk(loaded)
    return loaded


def _add_private(
    found: Attributes, attributes: Attributes, tag: str, creator: str | None, selection: _Selection, entity: Attributes
) -> None:
    """A private element with its creator (10.6.3.3), or the creator elements of a group."""
    if creator is None:
        for creator_tag in creator_elements(attributes, tag[:4]):
            found[creator_tag] = attributes[creator_tag]
        return
    for creator_tag, element in private_elements(attributes, tag, creator):
        attribute = attributes.get(element)
        if attribute is not None and "BulkDataURI" not in attribute:
            found[creator_tag] = attributes[creator_tag]
            found[element] = _of_sequence(attribute, selection, entity) if attribute.get("vr") == "SQ" else attribute


def _add_all(found: Attributes, attributes: Attributes, level: Level) -> None:
    """Every attribute of a level (8.3.4.3)."""
    for tag, attribute in attributes.items():
        if level_of(tag) is not level or tag in COMPUTED_TAGS or tag == SPECIFIC_CHARACTER_SET:
            continue
        if "BulkDataURI" in attribute or "InlineBinary" in attribute:
            continue
        if tag not in found or len(found[tag]) == 1:
            found[tag] = _without_bulk(attribute) if attribute.get("vr") == "SQ" else attribute
