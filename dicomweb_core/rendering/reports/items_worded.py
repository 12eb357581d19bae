"""What stands before the value of a content item: a label and a relationship in words."""

from __future__ import annotations

from typing import Final

from dicomweb_core.rendering.reports.content_items import CONTENT_SEQUENCE, ContentItem
from dicomweb_core.rendering.reports.phrases import coded_entries
from dicomweb_core.rendering.reports.wording import items, line
from dicomweb_core.values.attributes import Attributes

_LABELS: Final = {
    "": "See",
    "TEXT": "Text",
    "CODE": "Code",
    "NUM": "Measurement",
    "PNAME": "Person",
    "DATE": "Date",
    "TIME": "Time",
    "DATETIME": "Date and time",
    "UIDREF": "UID",
    "IMAGE": "Image",
    "WAVEFORM": "Waveform",
    "COMPOSITE": "Object",
    "SCOORD": "Region",
    "SCOORD3D": "Region in space",
    "TCOORD": "Interval",
    "TABLE": "Table",
    "CONTAINER": "Section",
}
"""Value type to what an item without a concept name is called."""

_RELATIONSHIPS: Final = {
    "HAS OBS CONTEXT": "observation context",
    "HAS ACQ CONTEXT": "acquisition context",
    "HAS CONCEPT MOD": "in detail",
    "HAS PROPERTIES": "property",
    "INFERRED FROM": "inferred from",
    "SELECTED FROM": "selected from",
}
"""PS3.3 Table C.17.3-8; CONTAINS needs no words."""

_LANGUAGE_OF_CONTENT: Final = "121049"
"""(121049, DCM, "Language of Content Item and Descendants"): PS3.16 TID 1204."""


def label_of(item: ContentItem) -> str:
    """The concept name, or the kind of value."""
    if item.name is not None:
        return item.name.readable
    if item.depth == 0:
        return "Report"
    return _LABELS.get(item.value_type) or line(item.value_type).capitalize()


def relationship_of(item: ContentItem) -> str:
    """Words for the relationship to the item that contains it, or an empty text."""
    if item.relationship in ("", "CONTAINS"):
        return ""
    return _RELATIONSHIPS.get(item.relationship) or line(item.relationship).lower()


def language_of(attributes: Attributes) -> str:
    """The language that an item states for itself and what it contains, as RFC 5646 has it, or an empty text."""
    for item in items(attributes, CONTENT_SEQUENCE):
        if any(name.value == _LANGUAGE_OF_CONTENT for name in coded_entries(item, "0040A043")):
            return next((language.value for language in coded_entries(item, "0040A168")), "")
    return ""
