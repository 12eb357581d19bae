"""What holds for one frame: root, shared and per-frame attributes as one data set (PS3.3 C.7.6.16)."""

from __future__ import annotations

import math
from types import MappingProxyType
from typing import Any, Final

from dicomweb_core.values.attributes import Attributes

_SHARED: Final = "52009229"
_PER_FRAME: Final = "52009230"
_VOI_LUT: Final = ("00281050", "00281051", "00281055", "00281056", "00283010")
_MODALITY_LUT: Final = ("00281052", "00281053", "00281054", "00283000")

MACROS: Final = MappingProxyType(
    {
        "00289145": _MODALITY_LUT,  # Pixel Value Transformation
        "00289132": _VOI_LUT,  # Frame VOI LUT
        "00289422": (),  # Frame Pixel Data Properties
        "00289110": ("00280030", "00280034"),  # Pixel Measures; a root Pixel Aspect Ratio would contradict it
        "00209113": (),  # Plane Position
        "00209116": (),  # Plane Orientation
        "00209111": (),  # Frame Content
        "00209071": (),  # Frame Anatomy
        "0048021A": (),  # Plane Position (Slide)
        "00480207": (),  # Optical Path Identification
        "0062000A": (),  # Segment Identification
        "00189329": (),  # CT Image Frame Type
        "00189226": (),  # MR Image Frame Type
        "00189751": (),  # PET Frame Type
        "00289443": (),  # Frame Display Shutter
    }
)
"""Functional group macros whose one item is merged into the data set -> attributes of outer levels that it replaces
even where it has none itself: a window of the frame is not overruled by a LUT of the whole object. The sequences of
all other macros (Real World Value Mapping (0040,9096), Derivation Image ...) stay sequences."""

_SPACINGS: Final = ("00280030", "00181164", "00182010")
"""Pixel Spacing, Imager Pixel Spacing, Nominal Scanned Pixel Spacing."""
_PIXEL_ASPECT_RATIO: Final = "00280034"
_MOST_ASPECT: Final = 100.0


def frame_attributes(attributes: Attributes, index: int) -> Attributes:
    """The attributes of frame `index` (0-based): those of the frame before shared ones before those of the root.

    The functional groups themselves are left out. Of the per-frame groups only the item of this frame is touched. What
    is ill-formed, or has no item for this frame, is as if absent. Values are shared with `attributes`, not copied.
    """
    if _SHARED not in attributes and _PER_FRAME not in attributes:
        return attributes
    groups = [item for item in (_item(attributes, _SHARED, 0), _item(attributes, _PER_FRAME, index)) if item]
    merged = {tag: value for tag, value in attributes.items() if tag not in (_SHARED, _PER_FRAME)}
    for group in groups:
        for tag, value in group.items():
            merged[tag] = value
            macro = _item(group, tag, 0) if tag in MACROS else None
            if macro:
                for replaced in MACROS[tag]:
                    merged.pop(replaced, None)
                merged.update(macro)
    return merged


def numbers(attributes: Attributes, tag: str) -> list[float]:
    """The values of an attribute, NaN for each that is no number. Texts are read: DS and IS may be texts in JSON."""
    values = attributes.get(tag, {}).get("Value")
    return [_number(value) for value in values] if isinstance(values, list) else []


def finite_number(attributes: Attributes, tag: str) -> float | None:
    """The first value of an attribute, or None when it is absent or no finite number."""
    found = numbers(attributes, tag)
    return found[0] if found and math.isfinite(found[0]) else None


def sequence_items(attributes: Attributes, tag: str) -> list[Attributes]:
    """The items of a sequence, without those that are empty or ill-formed."""
    values = attributes.get(tag, {}).get("Value")
    return [item for item in values if isinstance(item, dict) and item] if isinstance(values, list) else []


def pixel_aspect(attributes: Attributes) -> float:
    """Height of a pixel divided by its width, from its spacing or Pixel Aspect Ratio (PS3.3 C.7.6.3.1.7).

    1.0 where neither says anything else that can be meant (0.01 to 100), and where rounding makes the difference.
    """
    for tag in (*_SPACINGS, _PIXEL_ASPECT_RATIO):
        found = numbers(attributes, tag)[:2]
        if len(found) == 2 and all(math.isfinite(number) and number > 0 for number in found):
            ratio = found[0] / found[1]
            if not 1 / _MOST_ASPECT <= ratio <= _MOST_ASPECT:
                continue
            return ratio if abs(ratio - 1) > 1e-3 else 1.0
    return 1.0


def _item(attributes: Attributes, tag: str, index: int) -> Attributes | None:
    values: Any = attributes.get(tag, {}).get("Value")
    if not isinstance(values, list) or not 0 <= index < len(values):
        return None
    item = values[index]
    return item if isinstance(item, dict) else None


def _number(value: Any) -> float:
    if isinstance(value, int | float | str):
        try:
            return float(value)
        except (ValueError, OverflowError):
            pass
    return math.nan
