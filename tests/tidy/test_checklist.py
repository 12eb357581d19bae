"""Every line of the conformance checklist is named by a test, or is open for a reason.

A line is named as `COM-07`, `COM_07` or `U007` anywhere in a test file: in the name of a test, the id of a case, a
comment.
"""

from __future__ import annotations

import re
from pathlib import Path

TESTS = Path(__file__).parents[1]

GROUPS = {
    "COM": 46,  # requests, URIs, parameters, negotiation, headers: PS3.18 chapter 8
    "MUL": 11,  # multipart: 8.6.1.2
    "JSN": 23,  # DICOM JSON Model: Annex F
    "XML": 11,  # Native DICOM Model: PS3.19 A.1
    "RET": 15,  # retrieve instances: 10.4
    "MET": 7,  # retrieve metadata: 10.4
    "BLK": 21,  # retrieve bulk data, pixel data, frames: 10.4
    "STO": 34,  # store: 10.5, Annex I
    "SEA": 44,  # search: 8.3.4, 10.6, PS3.4 C
    "CAP": 7,  # capabilities: 8.9, Annexes G and H
    "DEL": 4,  # delete: an extension
    "REN": 31,  # rendered resources: 8.3.5, 10.4
    "THU": 8,  # thumbnails and volume rendering: 8.3.5, 10.4
    "URI": 22,  # URI Service: chapter 9
}
"""How many lines each group has."""

WORKLIST = 118
"""How many lines the checklist of the Worklist Service has, U001 and so on: 11, PS3.4 CC."""

LINES = {f"{group}-{number:02}" for group, count in GROUPS.items() for number in range(1, count + 1)}
LINES |= {f"U{number:03}" for number in range(1, WORKLIST + 1)}

OPEN = {
    "COM-44": "optional: a status report is JSON, and HTML only for a client that names text/html and no JSON",
    "RET-10": "optional: answers are streamed, none is too large",
    "RET-11": "optional, and 8.5 has 206 for Range alone: a partial answer is 200 with a Warning that counts",
    "SEA-08": "optional: a search that is too broad is cut with a Warning, not refused",
    "SEA-23": "does not apply: the three kinds of matching are supported (SEA-24, SEA-25, SEA-26)",
    "SEA-44": "optional: pages are by limit and offset",
    "URI-11": "optional: instances are not de-identified; anonymize=yes is refused with 406, never ignored",
    "THU-04": "optional: a thumbnail is sent, no redirect to a rendered resource",
    "THU-06": "optional: volumes are not rendered",
    "THU-07": "does not apply: volumes are not rendered (THU-06)",
    "THU-08": "does not apply: volumes are not rendered (THU-06)",
    "U042": "does not apply: every attribute that a workitem may have is stored, private ones too",
    "U111": "does not apply: fuzzymatching is supported",
    "U115": "does not apply: the server makes no workitems itself; an application sends it requests as others do",
    "U116": "does not apply: there is no DIMSE gateway",
}
"""What no test shows, and why. A line leaves this list with the test that names it."""


def named() -> dict[str, list[str]]:
    """Every line that a test file names, and the files."""
    found: dict[str, list[str]] = {}
    for path in sorted(TESTS.rglob("*.py")):
        if path == Path(__file__):
            continue
        text = path.read_text(encoding="utf-8")
        lines = set(re.findall(r"(?<![A-Za-z0-9])U[0-9]{3}(?![A-Za-z0-9])", text))
        for group, number in set(re.findall(r"(?<![A-Za-z0-9])([A-Z]{3})[-_]([0-9]{2})(?![0-9])", text)):
            if group in GROUPS:
                lines.add(f"{group}-{number}")
        for line in lines:
            found.setdefault(line, []).append(path.relative_to(TESTS).as_posix())
    return found


def test_every_line_is_named_or_open() -> None:
    assert sorted(LINES - named().keys() - OPEN.keys()) == []


def test_what_a_test_names_is_not_open() -> None:
    assert {line: files for line, files in named().items() if line in OPEN} == {}


def test_nothing_else_is_named_or_open() -> None:
    assert {line: files for line, files in named().items() if line not in LINES} == {}
    assert OPEN.keys() <= LINES
    assert all(OPEN.values())
