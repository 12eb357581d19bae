"""What stands above the content of a document: patient, study, document, observers, evidence (PS3.3 C.17.2)."""

from __future__ import annotations

from collections import Counter
from typing import Final, NamedTuple

from dicomweb_core.rendering.reports.phrases import Phrase, Words, coded_entries
from dicomweb_core.rendering.reports.wording import items, keyword, line, text, texts
from dicomweb_core.values.attributes import Attributes

Line = tuple[str, list[Phrase]]
"""A label and what is said."""


class Group(NamedTuple):
    """Lines under a title; none is empty."""

    title: str
    lines: list[Line]


_TERMS: Final = {
    "00100040": {"M": "Male", "F": "Female", "O": "Other"},
    "0040A491": {"PARTIAL": "Partial", "COMPLETE": "Complete"},
    "0040A493": {"UNVERIFIED": "Unverified", "VERIFIED": "Verified"},
    "0040A496": {"PRELIMINARY": "Preliminary", "FINAL": "Final"},
}
"""Terms as words."""

_PATIENT: Final = (
    ("Name", ("00100010",)),
    ("Patient ID", ("00100020",)),
    ("Issuer of patient ID", ("00100021",)),
    ("Birth date", ("00100030",)),
    ("Sex", ("00100040",)),
)
_STUDY: Final = (
    ("Description", ("00081030",)),
    ("Date", ("00080020", "00080030")),
    ("Accession number", ("00080050",)),
    ("Study ID", ("00200010",)),
    ("Referring physician", ("00080090",)),
    ("Institution", ("00080080",)),
)
_DOCUMENT: Final = (
    ("Kind", ("00080016",)),
    ("Series", ("00200011", "0008103E")),
    ("Number", ("00200013",)),
    ("Content date", ("00080023", "00080033")),
    ("Completion", ("0040A491", "0040A492")),
    ("Verification", ("0040A493",)),
    ("Preliminary", ("0040A496",)),
    ("Made with", ("00080070", "00081090")),
)
_GROUPS: Final = (("Patient", _PATIENT), ("Study", _STUDY), ("Document", _DOCUMENT))
"""Title, and labels with the tags whose values follow them."""

_EVIDENCE: Final = (
    ("Evidence", "0040A375"),
    ("Other evidence", "0040A385"),
    ("Earlier documents", "0040A360"),
    ("Identical documents", "0040A525"),
)
"""Label and sequence of the Hierarchical SOP Instance Reference Macro (PS3.3 C.17.2.1)."""


def heading(attributes: Attributes) -> list[Group]:
    """The groups that say something."""
    groups = [(title, _lines(attributes, table)) for title, table in _GROUPS]
    groups[2][1].extend(_document_lines(attributes))
    return [Group(title, lines) for title, lines in groups if lines]


def _lines(attributes: Attributes, table: tuple[tuple[str, tuple[str, ...]], ...]) -> list[Line]:
    found: list[Line] = []
    for label, tags in table:
        words = [_term(tag, value) for tag in tags for value in texts(attributes, tag)]
        if words:
            # a date and its time are one
            separator = " " if label.lower().endswith("date") else ", "
            found.append((label, [Words(separator.join(words))]))
    return found


def _term(tag: str, value: str) -> str:
    return _TERMS.get(tag, {}).get(value, line(value))


def _document_lines(attributes: Attributes) -> list[Line]:
    found: list[Line] = []
    for item in items(attributes, "0040A073"):
        found.append(("Verified by", [_joined(item, "0040A075", "0040A027", "0040A030")]))
    for item in items(attributes, "0040A078"):
        found.append(("Author", [_joined(item, "0040A123", "00081010", "00080080"), *coded_entries(item, "0040A170")]))
    for item in items(attributes, "0040A07A"):
        role = text(item, "0040A080").lower()
        found.append(("Participant", [_joined(item, "0040A123", "00081010", "0040A082", also=role)]))
    for item in items(attributes, "0040A07C"):
        found.append(("Custodian", [_joined(item, "00080080")]))
    for item in items(attributes, "0040A370"):
        found.append(("Request", [_joined(item, "00321060", "00080050", "00401001")]))
    for label, tag in _EVIDENCE:
        found += [(label, [Words(summary)]) for summary in _evidence(attributes, tag)]
    for item in items(attributes, "0040A504"):
        found.append(("Template", [_joined(item, "0040DB00", "00080105")]))
    return [(label, phrases) for label, phrases in found if phrases != [Words("")]]


def _joined(item: Attributes, *tags: str, also: str = "") -> Words:
    return Words(", ".join([line(value) for tag in tags for value in texts(item, tag)] + [also] * bool(also)))


def _evidence(attributes: Attributes, tag: str) -> list[str]:
    """How many instances of what kind, in how many series."""
    kinds: Counter[str] = Counter()
    series_uids = set()
    for study in items(attributes, tag):
        for series in items(study, "00081115"):
            series_uids.add(keyword(series, "0020000E"))
            kinds.update(text(item, "00081150") or "Instance" for item in items(series, "00081199"))
    if not kinds:
        return []
    counts = ", ".join(f"{count} × {kind}" for kind, count in sorted(kinds.items()))
    return [f"{counts} in {len(series_uids)} series"]
