"""Unique identifiers (PS3.5 9.1)."""

from __future__ import annotations

import re
from typing import Final

from dicomweb_core.errors import InvalidUID

MAX_UID_LENGTH: Final = 64
# Components with leading zeros are not legal, but real devices write them and nothing here depends on it.
# [0-9] and not \d: other scripts have digits too.
_UID: Final = re.compile(r"[0-9]+(?:\.[0-9]+)*")


def parse_uid(text: str, what: str = "UID") -> str:
    """The text itself, if it is a UID. `what` names it in the error. Raises InvalidUID."""
    if len(text) > MAX_UID_LENGTH or _UID.fullmatch(text) is None:
        shown = text if len(text) <= MAX_UID_LENGTH else text[:MAX_UID_LENGTH] + "…"
        raise InvalidUID(f"{what} {shown!r} is not a DICOM UID (PS3.5 9.1).")
    return text


def is_uid(text: str) -> bool:
    """Whether the text is a UID, leading zeros of a component allowed."""
    return len(text) <= MAX_UID_LENGTH and _UID.fullmatch(text) is not None
