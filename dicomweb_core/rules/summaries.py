"""What a search needs of a data set, per level, as JSON texts made once when it is stored (PS3.18 10.6.3.3)."""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import orjson

from dicomweb_core.rules.index_terms import INDEXED_TAGS
from dicomweb_core.rules.levels import COMPUTED_TAGS, TIMEZONE_OFFSET, level_of, tags_of
from dicomweb_core.values.attributes import Attribute, Attributes
from dicomweb_core.values.queries import Level


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

_ALWAYS: Final = (
    INDEXED_TAGS
    | INSTANCE_SUMMARY_TAGS
    | tags_of(
        """StudyTime PatientSex TimezoneOffsetFromUTC SeriesNumber SeriesDescription PerformedProcedureStepStartTime
        RequestAttributesSequence"""
    )
)


def summarise(attributes: Attributes) -> Summaries:
    """The texts for one data set, without attributes with bulk data and long ones that no table of results names.

    Timezone Offset From UTC is in all three: it is a result of every level.
    """
    levels: tuple[Attributes, Attributes, Attributes] = ({}, {}, {})
    for tag, attribute in attributes.items():
        level = level_of(tag)
        if (level is Level.INSTANCE and tag not in INSTANCE_SUMMARY_TAGS) or tag in COMPUTED_TAGS:
            continue
        kept = _without_bulk(tag, attribute)
        if kept is None:
            continue
        levels[level - 1][tag] = kept
        if tag == TIMEZONE_OFFSET and kept.get("Value"):
            levels[1][tag] = levels[2][tag] = kept
    return Summaries(*(orjson.dumps(level) for level in levels))


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


def _without_bulk(tag: str, attribute: Attribute) -> Attribute | None:
    """The attribute as a summary keeps it, or None if it stays out."""
    if "BulkDataURI" in attribute or "InlineBinary" in attribute:
        return None
    try:
        text = orjson.dumps(attribute)
    except TypeError:  # what JSON cannot express cannot be a result
        return None
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
