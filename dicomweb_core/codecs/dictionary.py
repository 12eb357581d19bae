"""The data dictionary: VR, keyword and number of every attribute (PS3.6 6, private ones as known to pydicom).

Tags are numbers (0x00100010) below and 8 upper-case hex digits in the DICOM JSON Model. A VR may be ambiguous:
`US or SS`, `OB or OW`, `US or OW`, `US or SS or OW`; nobody writes those, `part10_values` decides.
"""

from __future__ import annotations

import sys
from functools import lru_cache
from importlib import import_module
from importlib.util import find_spec, module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Final


def _table(name: str) -> ModuleType:
    """A table of pydicom without the rest of it: the package loads every codec that it finds, which takes most of the
    time in which a server begins, and much of its memory."""
    loaded = sys.modules.get(f"pydicom.{name}")
    package = find_spec("pydicom")
    for place in (package and package.submodule_search_locations) or ():
        file = Path(place, f"{name}.py")
        if loaded is None and file.is_file():
            spec = spec_from_file_location(f"{__name__}.{name}", file)
            assert spec is not None
            assert spec.loader is not None
            loaded = module_from_spec(spec)
            spec.loader.exec_module(loaded)
    return loaded or import_module(f"pydicom.{name}")


_Entry = tuple[str, str, str, str, str]
"""VR, VM, name, whether retired, keyword."""
_PUBLIC: Final[dict[int, _Entry]] = _table("_dicom_dict").DicomDictionary
_REPEATING: Final[dict[str, _Entry]] = _table("_dicom_dict").RepeatersDictionary
_PRIVATE: Final[dict[str, dict[str, tuple[str, str, str, str]]]] = _table("_private_dict").private_dictionaries
_UIDS: Final[dict[str, tuple[str, ...]]] = _table("_uid_dict").UID_dictionary

_SPECIAL: Final = frozenset(
    {0x00080005, 0x7FE00008, 0x7FE00009, 0x7FE00010, 0xFFFCFFFC, 0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD}
)
"""Specific Character Set, pixel data, padding, items and delimiters."""

_LATER: Final[dict[int, tuple[str, str]]] = {
    0x00100011: ("SQ", "PersonNamesToUseSequence"),
    0x00100012: ("LT", "NameToUse"),
    0x00100013: ("UT", "NameToUseComment"),
    0x00100014: ("SQ", "ThirdPersonPronounsSequence"),
    0x00100015: ("SQ", "PronounCodeSequence"),
    0x00100016: ("UT", "PronounComment"),
    0x00100041: ("SQ", "GenderIdentitySequence"),
    0x00100042: ("UT", "SexParametersForClinicalUseCategoryComment"),
    0x00100043: ("SQ", "SexParametersForClinicalUseCategorySequence"),
    0x00100044: ("SQ", "GenderIdentityCodeSequence"),
    0x00100045: ("UT", "GenderIdentityComment"),
    0x00100046: ("SQ", "SexParametersForClinicalUseCategoryCodeSequence"),
    0x00100047: ("UR", "SexParametersForClinicalUseCategoryReference"),
    0x0040A034: ("DT", "EffectiveStartDateTime"),
    0x0040A035: ("DT", "EffectiveStopDateTime"),
}
"""VR and keyword of attributes of later editions of PS3.6 that pydicom 3.0 does not have; what pydicom has wins."""

TAG_TEXT: Final[dict[int, str]] = {
    tag: f"{tag:08X}" for tag in (*_PUBLIC, *_LATER) if tag >= 0x00040000 and tag & 0xFFFF and tag not in _SPECIAL
}
"""Number to 8 hex digits of the attributes that may stand in a data set and need no special care: without command
and file meta groups, group lengths, and what is special."""

PUBLIC_VRS: Final[dict[int, str]] = {tag: vr for tag, (vr, _) in _LATER.items()} | {
    tag: entry[0] for tag, entry in _PUBLIC.items() if entry[0] != "NONE"
}
"""VR by number, without repeating groups."""


_TAGS: Final = {keyword: tag for tag, (_, keyword) in _LATER.items()} | {
    entry[4]: tag for tag, entry in _PUBLIC.items() if entry[4]
}
"""Number by keyword; some retired attributes have none."""


def _repeaters() -> dict[int, dict[int, _Entry]]:
    """Repeating groups by mask, then by masked number: a few look-ups, not one per repeating attribute."""
    tables: dict[int, dict[int, _Entry]] = {}
    for pattern, entry in _REPEATING.items():
        mask = int("".join("0" if digit == "x" else "F" for digit in pattern), 16)
        tables.setdefault(mask, {})[int(pattern.replace("x", "0"), 16)] = entry
    return tables


_REPEATERS: Final = _repeaters()


def public_vr(tag: int) -> str | None:
    """The VR of a standard attribute, also of repeating groups (50xx, 60xx); None for what PS3.6 does not have."""
    vr = PUBLIC_VRS.get(tag)
    if vr is not None:
        return vr
    entry = _repeating(tag)
    return None if entry is None else entry[0]


def _repeating(tag: int) -> _Entry | None:
    """The entry of an attribute in a repeating group."""
    if tag >> 16 & 1:
        return None
    found = (table.get(tag & mask) for mask, table in _REPEATERS.items())
    return next((entry for entry in found if entry is not None), None)


@lru_cache(maxsize=4096)
def private_vr(creator: str, group: int, element: int) -> str | None:
    """The VR of a private attribute by its Private Creator (PS3.5 7.8.1); any block number. None when unknown."""
    known = _PRIVATE.get(creator)
    if known is None:
        return None
    for key in (
        f"{group:04X}{element:04X}",
        f"{group:04X}xx{element & 0xFF:02X}",
        f"{group >> 8:02X}xxxx{element & 0xFF:02X}",
    ):
        if key in known:
            return known[key][0].replace("_", " or ")
    return None


@lru_cache(maxsize=16_384)
def tag_of(keyword: str) -> str | None:
    """8 hex digits of a keyword ("PatientName"), or None. Exact case, as PS3.6 writes it."""
    tag = _TAGS.get(keyword)
    return None if tag is None else f"{tag:08X}"


@lru_cache(maxsize=16_384)
def keyword_of(tag: str) -> str:
    """The keyword of 8 hex digits, also in repeating groups; empty for private and unknown attributes."""
    number = int(tag, 16)
    entry = _PUBLIC.get(number) or _repeating(number)
    return entry[4] if entry is not None else _LATER.get(number, ("", ""))[1]


@lru_cache(maxsize=16_384)
def vr_of(tag: str) -> str | None:
    """The VR of 8 hex digits of a standard attribute, the first where there are several; None for others."""
    vr = public_vr(int(tag, 16))
    return None if vr is None else vr[:2]


def uid_name(uid: str) -> str:
    """What PS3.6 A calls a UID ("CT Image Storage"); empty for what it does not have."""
    entry = _UIDS.get(uid)
    return "" if entry is None else entry[0]
