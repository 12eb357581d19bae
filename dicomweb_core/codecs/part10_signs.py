"""`US or SS` in Implicit VR: only Pixel Representation (0028,0103) tells, and it may come later (PS3.5 A.1)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, NamedTuple

from dicomweb_core.codecs.part10_levels import Budget, Level, tag_name
from dicomweb_core.codecs.part10_values import READERS, Oddity
from dicomweb_core.values.attributes import Attribute

_PIXEL_REPRESENTATION: Final = "00280103"


class Unresolved(NamedTuple):
    """An attribute that waits for its VR."""

    level: Level
    attribute: Attribute
    """Already in its data set; filled in place."""
    value: bytes
    tag: int


def resolve_signs(unresolved: Iterable[Unresolved], budget: Budget) -> None:
    """Fills in VR and values once the whole data set is read; unsigned when nothing around says otherwise."""
    for level, attribute, value, tag in unresolved:
        vr = "SS" if _is_signed(level) else "US"
        attribute["vr"] = vr
        if value:
            try:
                attribute.update(READERS[False][vr](value, level.charset))
            except Oddity as odd:
                attribute.update(odd.attribute)
                budget.warn(f"{tag_name(tag)} {odd.note}.")


def _is_signed(level: Level) -> bool:
    """What the nearest Pixel Representation says."""
    around: Level | None = level
    while around is not None:
        representation = around.attributes.get(_PIXEL_REPRESENTATION, {}).get("Value")
        if representation:
            return bool(representation[0] == 1)
        around = around.parent
    return False
