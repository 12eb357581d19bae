"""Specific Character Set (0008,0005): bytes to text (PS3.3 C.12.1.1.2, PS3.5 6.1).

Decoding never fails and never makes a lone surrogate. What a set does not define becomes U+FFFD and is reported.
8-bit bytes where only the default repertoire is declared are read as Latin-1: every byte keeps a place of its own.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

UNICODE_TERM: Final = "ISO_IR 192"
"""What (0008,0005) says in JSON: its text is UTF-8 whatever the file was (PS3.18 F.2)."""

_ALONE: Final = {"ISO_IR 192": "utf_8", "GB18030": "gb18030", "GBK": "gbk"}
"""Sets without code extensions (PS3.3 Table C.12-5)."""

_ASCII, _ROMAJI = "ascii", "romaji"
_RIGHT: Final = {
    "100": "latin_1",
    "101": "iso8859_2",
    "109": "iso8859_3",
    "110": "iso8859_4",
    "144": "iso8859_5",
    "127": "iso8859_6",
    "126": "iso8859_7",
    "138": "iso8859_8",
    "148": "iso8859_9",
    "203": "iso8859_15",
    "166": "tis_620",
    "13": "shift_jis",
    "149": "euc_kr",
    "58": "gb2312",
}
"""Python's name of the set whose bytes have the high bit (G1), by registration number (PS3.3 Tables C.12-2 to -4)."""

_DESIGNATIONS: Final = {
    b"(B": (0, _ASCII),
    b"(J": (0, _ROMAJI),
    b"$B": (0, "X0208"),
    b"$@": (0, "X0208"),
    b"$(B": (0, "X0208"),
    b"$(D": (0, "X0212"),
    b")I": (1, "shift_jis"),
    b"-A": (1, "latin_1"),
    b"-B": (1, "iso8859_2"),
    b"-C": (1, "iso8859_3"),
    b"-D": (1, "iso8859_4"),
    b"-L": (1, "iso8859_5"),
    b"-G": (1, "iso8859_6"),
    b"-F": (1, "iso8859_7"),
    b"-H": (1, "iso8859_8"),
    b"-M": (1, "iso8859_9"),
    b"-b": (1, "iso8859_15"),
    b"-T": (1, "tis_620"),
    b"$)C": (1, "euc_kr"),
    b"$)A": (1, "gb2312"),
}
"""Escape sequences without the escape: which half they fill, and with what (PS3.3 Tables C.12-3, C.12-4)."""

_ESCAPE: Final = re.compile(rb"\x1b(\$[()][A-Za-z]|\$[A-Z@]|[()\-][A-Za-z])")
_RUNS: Final = re.compile(rb"[\x80-\xff]+|[\x21-\x7e]+|[\x00-\x20\x7f]")
_CONTROLS: Final = b"\t\n\x0b\x0c\r"
"""Each ends all designations (PS3.5 6.1.2.5.3)."""
VALUES: Final = b"\\" + _CONTROLS
"""Ends of designations in multi-valued text."""
PERSON_NAMES: Final = b"\\^=" + _CONTROLS
"""Ends of designations in PN."""
PARAGRAPHS: Final = _CONTROLS
"""Ends of designations in LT, ST and UT, where a backslash is a character (PS3.5 6.2)."""

_OVERLINE: Final = {0x7E: "\u203e"}
_YEN_AND_OVERLINE: Final = {0x5C: "\u00a5", 0x7E: "\u203e"}
_DEFAULT_TERMS: Final = frozenset({"", "ISO_IR 6", "ISO 2022 IR 6"})
_TERM: Final = re.compile(r"ISO[ _\-]?(2022)?[ _\-]?(?:IR)?[ _\-]?([0-9]+)")


@dataclass(frozen=True, slots=True)
class CharacterSet:
    """What the values of (0008,0005) mean together. Get one from `character_set`."""

    codec: str = "latin_1"
    """Python's name of the set before any escape."""
    declared: bool = False
    """Whether anything but the default repertoire was declared."""
    extended: bool = False
    """Whether escape sequences switch sets (PS3.5 6.1.2.5)."""
    romaji: bool = False
    """Whether 0x5C is a yen sign and 0x7E an overline when they are no delimiters (ISO-IR 14)."""
    right: str = ""
    """Python's name of the set in G1 before any escape; empty when there is none."""
    unknown: tuple[str, ...] = ()
    """Terms that are no Defined Term; they count as the default repertoire."""
    plain: bool = True
    """Whether bytes below 0x80 are ASCII whatever they are."""

    def decode(self, value: bytes, ends: bytes) -> tuple[str, bool]:
        """The text, and whether every byte was defined.

        `ends` is VALUES, PERSON_NAMES or PARAGRAPHS. A backslash in the text of the first two is a delimiter, never
        half of a character.
        """
        if self.extended and b"\x1b" in value:
            return self._decode_escapes(value, ends)
        faithful = self.declared or value.isascii()
        try:
            text = value.decode(self.codec)
        except UnicodeDecodeError:
            text, faithful = value.decode(self.codec, "replace"), False
        if self.romaji:
            text = text.translate(_OVERLINE if b"\\" in ends else _YEN_AND_OVERLINE)
        return text, faithful

    def _decode_escapes(self, value: bytes, ends: bytes) -> tuple[str, bool]:
        start = (_ROMAJI if self.romaji else _ASCII, self.right)
        left, right = start
        latest = self.right
        faithful = True
        out: list[str] = []
        for index, piece in enumerate(_ESCAPE.split(value)):
            if index % 2:
                half, charset = _DESIGNATIONS.get(piece, (2, ""))
                if half == 0:
                    left = charset
                elif half == 1:
                    right = latest = charset
                else:
                    faithful = False
                continue
            for run in _RUNS.findall(piece):
                if run[0] >= 0x80:
                    # Writers forget to designate again behind a delimiter: then the latest set is meant.
                    text, defined = _right_text(run, right or latest)
                elif len(run) == 1 and run in _CONTROLS:
                    text, defined, (left, right) = run.decode("ascii"), True, start
                elif run[0] <= 0x20 or run == b"\x7f":
                    text, defined = run.decode("ascii"), True
                elif left in ("X0208", "X0212"):
                    text, defined, ended = _pairs(run, left, ends)
                    if ended:
                        left, right = start
                else:
                    text, defined = _left_text(run, left, ends), True
                    if any(end in run for end in ends):
                        left, right = start
                faithful = faithful and defined
                out.append(text)
        return "".join(out), faithful


def _left_text(run: bytes, left: str, ends: bytes) -> str:
    text = run.decode("ascii")
    if left == _ROMAJI:
        return text.translate(_OVERLINE if b"\\" in ends else _YEN_AND_OVERLINE)
    return text


def _right_text(run: bytes, right: str) -> tuple[str, bool]:
    if not right:
        return run.decode("latin_1"), False
    try:
        return run.decode(right), True
    except UnicodeDecodeError:
        return run.decode(right, "replace"), False


def _pairs(run: bytes, left: str, ends: bytes) -> tuple[str, bool, bool]:
    """Two bytes a character (JIS X 0208, 0212). An odd byte at the end can only be a delimiter that no escape
    sequence went before; whether it is one comes last."""
    tail = run[len(run) & ~1 :]
    paired = run[: len(run) & ~1]
    escape = b"\x1b$B" if left == "X0208" else b"\x1b$(D"
    codec = "iso2022_jp" if left == "X0208" else "iso2022_jp_2"
    defined = not tail or tail in ends
    try:
        text = (escape + paired).decode(codec)
    except UnicodeDecodeError:
        text, defined = "\ufffd" * (len(paired) // 2), False
    return text + tail.decode("ascii"), defined, bool(tail) and tail in ends


@lru_cache(maxsize=256)
def character_set(value: bytes) -> CharacterSet:
    """What a value of (0008,0005) means. Common misspellings are understood; unknown terms are in `unknown`."""
    terms = [term.strip(" \0").upper() for term in value.decode("latin_1").split("\\")]
    if terms[0].replace("-", "") in ("UTF8", "ISOIR192"):
        terms[0] = UNICODE_TERM
    match = _TERM.fullmatch(terms[0])
    if match is not None and match[2] == "192":
        terms[0] = UNICODE_TERM
    if terms[0] in _ALONE:
        return CharacterSet(codec=_ALONE[terms[0]], declared=True, unknown=_strangers(terms[1:]))
    numbers = [_number(term) for term in terms]
    first = numbers[0] or "6"
    declared = any(number is not None and number != "6" for number in numbers)
    extended = declared and (len(terms) > 1 or "2022" in terms[0])
    right = _RIGHT.get(first, "")
    # JIS kanji have no bytes with the high bit: without escapes there is only the default repertoire.
    codec = right or "latin_1"
    romaji = first == "13"
    return CharacterSet(codec, declared, extended, romaji, right, _strangers(terms), not (extended or romaji))


def _number(term: str) -> str | None:
    """The registration number of a Defined Term ("100"), "6" for an empty one, None for what is none."""
    if term in _DEFAULT_TERMS:
        return "6"
    match = _TERM.fullmatch(term)
    if match is None:
        return None
    return match[2] if match[2] in _RIGHT or match[2] in ("6", "87", "159") else None


def _strangers(terms: list[str]) -> tuple[str, ...]:
    return tuple(term[:16] for term in terms if _number(term) is None and term not in _ALONE)


DEFAULT: Final = CharacterSet()
"""When (0008,0005) is absent or empty: ISO-IR 6."""
