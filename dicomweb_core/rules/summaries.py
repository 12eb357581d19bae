"""What a search needs of a data set, per level, as JSON texts made once when it is stored (PS3.18 10.6.3.3)."""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import orjson

from dicomweb_core.rules.index_terms import INDEXED_TAGS
from dicomweb_core.rules.levels import COMPUTED_TAGS, SERIES_TAGS, STUDY_TAGS, TIMEZONE_OFFSET, tags_of
from dicomweb_core.values.attributes import Attribute, Attributes, json_text


class Summaries(NamedTuple):
    """DICOM JSON objects, ascending, without bulk data. They hold what `INSTANCE_SUMMARY_TAGS` and `levels` say."""

    study: bytes
    series: bytes
    instance: bytes


INSTANCE_SUMMARY_TAGS: Final = tags_of(
    """SOPClassUID SOPInstanceUID InstanceNumber Rows Columns BitsAllocated NumberOfFrames ImageType
    InstanceCreationDate InstanceCreationTime AcquisitionDate AcquisitionTime AcquisitionDateTime AcquisitionNumber
    ContentDate ContentTime SliceLocation SamplesPerPixel PhotometricInterpretation ContentLabel"""
)
"""The attributes of the Instance level in `Summaries.instance`; others are only in the metadata of the instance."""

_ATTRIBUTE_BYTES: Final = 4096
"""Of the JSON text of one attribute. What is longer stays out, unless an index or a table of results needs it."""

_SHORT: Final = 512
"""Characters that are never more JSON text than `_ATTRIBUTE_BYTES`."""

_ALWAYS: Final = (
    INDEXED_TAGS
    | INSTANCE_SUMMARY_TAGS
    | tags_of(
        """StudyTime PatientSex TimezoneOffsetFromUTC SeriesNumber SeriesDescription PerformedProcedureStepStartTime
        RequestAttributesSequence"""
    )
)


_PLACE: Final = {
    **dict.fromkeys(STUDY_TAGS - COMPUTED_TAGS, 0),
    **dict.fromkeys(SERIES_TAGS - COMPUTED_TAGS, 1),
    **dict.fromkeys(INSTANCE_SUMMARY_TAGS, 2),
}


def summarise(attributes: Attributes) -> Summaries:
    """The texts for one data set, without attributes with bulk data and long ones that no table of results names.

    Timezone Offset From UTC is in all three: it is a result of every level.
    """
    levels: tuple[Attributes, Attributes, Attributes] = ({}, {}, {})
    for tag, attribute in attributes.items():
        place = _PLACE.get(tag)
        if place is None or "BulkDataURI" in attribute or "InlineBinary" in attribute:
            continue
        if attribute.get("vr") == "SQ" or tag not in _ALWAYS:
            kept = _kept(tag, attribute)
            if kept is None:
                continue
            attribute = kept
        levels[place][tag] = attribute
        if tag == TIMEZONE_OFFSET and attribute.get("Value"):
            levels[1][tag] = levels[2][tag] = attribute
    return Summaries(*map(_text, levels))


def merge(kept: bytes, new: bytes) -> bytes:
    """What is known of an entity after one more instance: `kept`, plus what is absent or empty there.

    `kept` itself when nothing is added, so that identity tells whether something must be written. The first value
    stays for good: what a search says of a study does not depend on which of its instances came last.
    """
    if new == kept:
        return kept
    merged = orjson.loads(kept)
    added = False
    for tag, attribute in orjson.loads(new).items():
        present = merged.get(tag)
        if present is None or (len(present) == 1 and len(attribute) > 1):
            merged[tag] = attribute
            added = True
    return orjson.dumps(dict(sorted(merged.items()))) if added else kept


def _text(attributes: Attributes) -> bytes:
    try:
        return json_text(attributes)
    except TypeError:  # what JSON cannot express, such as a lone surrogate, cannot be a result
        return json_text({tag: attribute for tag, attribute in attributes.items() if _is_json(attribute)})


def _is_json(attribute: Attribute) -> bool:
    try:
        json_text(attribute)
    except TypeError:
        return False
    return True


def _kept(tag: str, attribute: Attribute) -> Attribute | None:
    """The attribute as a summary keeps it, or None if it stays out."""
    values = attribute.get("Value")
    if not values or (len(values) == 1 and isinstance(values[0], str) and len(values[0]) <= _SHORT):
        return attribute
    if not _is_json(attribute):
        return None
    text = json_text(attribute)
    if len(text) > _ATTRIBUTE_BYTES and tag not in _ALWAYS:
        return None
    if b'"BulkDataURI"' in text or b'"InlineBinary"' in text:
        loaded: Attribute = orjson.loads(text)
        strip_bulk(loaded)
        return loaded
    return attribute


def strip_bulk(attribute: Attribute) -> None:
    """Deletes, in place, attributes with a BulkDataURI or InlineBinary from the items of a sequence, at all depths."""
    pending: list[Any] = [attribute]
    while pending:
        for item in pending.pop().get("Value") or ():
            if not isinstance(item, dict):
                continue
            nested = [(tag, inner) for tag, inner in item.items() if isinstance(inner, dict)]
            for tag, inner in nested:
                if "BulkDataURI" in inner or "InlineBinary" in inner:
                    del item[tag]
                elif inner.get("vr") == "SQ":
                    pending.append(inner)
