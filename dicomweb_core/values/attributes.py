"""A data set in memory: the DICOM JSON Model (PS3.18 F) as plain dicts.

`Attributes` maps 8 upper-case hex digits to `{"vr": ..., "Value"|"InlineBinary"|"BulkDataURI": ...}`, ascending.
"""

from __future__ import annotations

from typing import Any, Final

import orjson

Attribute = dict[str, Any]
Attributes = dict[str, Attribute]

INSTANCE_URL: Final = b"\x01"
"""Stands in stored JSON text where the absolute URL of the instance goes (inside BulkDataURI). A raw control
character cannot occur in JSON text (RFC 8259 7), so replacing it is safe whatever the data are."""

BINARY_VRS: Final = frozenset({"OB", "OD", "OF", "OL", "OV", "OW", "UN"})
"""VRs that are InlineBinary or BulkDataURI, never Value (PS3.18 F.2.3)."""

BULK_VRS: Final = BINARY_VRS | {"DS", "FL", "FD", "IS", "LT", "SL", "SS", "ST", "SV", "UC", "UL", "US", "UT", "UV"}
"""VRs that may become a BulkDataURI (PS3.18 F.2.2)."""

PIXEL_DATA: Final = ("7FE00010", "7FE00008", "7FE00009")
"""Pixel Data, Float Pixel Data, Double Float Pixel Data (PS3.3 C.7.6.3, C.7.6.24, C.7.6.25)."""


def first_value(attributes: Attributes, tag: str) -> Any:
    """The first value of an attribute, or None when it is absent or empty."""
    values = attributes.get(tag, {}).get("Value")
    return values[0] if values else None


def first_text(attributes: Attributes, tag: str) -> str:
    """The first value as text (of a person name the alphabetic group), or an empty text."""
    value = first_value(attributes, tag)
    if isinstance(value, dict):
        value = value.get("Alphabetic")
    return "" if value is None else str(value)


class SpelledNumbers(list[Any]):
    """Values of a DS whose numbers JSON would write otherwise than the data set does: 1.0 for `1.000000`."""

    __slots__ = ("text",)
    text: bytes
    """The JSON array of the same values, each number spelled as in the data set."""


def json_text(attributes: Attributes | Attribute) -> bytes:
    """The DICOM JSON text; DS numbers keep their spelling. Raises TypeError for what JSON cannot hold."""
    return orjson.dumps(attributes, default=_spelled, option=orjson.OPT_PASSTHROUGH_SUBCLASS)


def _spelled(values: object) -> orjson.Fragment:
    if isinstance(values, SpelledNumbers):
        return orjson.Fragment(values.text)
    raise TypeError
