"""PDF 1.4 (ISO 32000-1), as little of it as pages of text need: each page a picture of its lines, and the same lines
as text that is not drawn, so that they can be searched, copied and read aloud.

A picture has every script that `fonts.Script` has, joined and ordered as it should be, and needs no font in the file.
The text is in Type 3 fonts of empty glyphs, 256 in each, which say what they mean by a ToUnicode CMap: no viewer has to
look for a font. Letters that are read from the right are in the order in which they are seen, as viewers want it.
"""

from __future__ import annotations

import unicodedata
import zlib
from collections.abc import Iterable, Iterator
from itertools import groupby
from operator import itemgetter
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from dicomweb_core.rendering.fonts import Script, line_height

DPI: Final = 200
WIDTH, HEIGHT = 1654, 2339
"""A4 in pixels."""
_POINTS: Final = 72 / DPI
_EM: Final = 1000
"""Units of a glyph in its em."""
_ADVANCE: Final = 500
"""Of every glyph that is not drawn; scaled so that a line is as wide as what is drawn of it."""
_HEAD: Final = b"%PDF-1.4\n%\xe2\xe3\xcf\xd3\n"
"""The second line says that the file is binary."""
_CATALOG, _PAGES, _GLYPH = 1, 2, 3
_FIRST_FREE: Final = 4

_TO_UNICODE: Final = """/CIDInit /ProcSet findresource begin 12 dict begin begincmap
/CMapName /Letters def /CMapType 2 def
1 begincodespacerange <00> <FF> endcodespacerange
{}endcmap CMapName currentdict /CMap defineresource pop end end
"""
_MAPPED: Final = 100
"""Letters of one list of a CMap."""
_FONT: Final = 256
"""Letters of one font."""
_NEUTRAL: Final = frozenset({"WS", "ON", "CS", "ES", "NSM"})
"""Bidirectional categories between letters that are read from the right."""


class SetText(NamedTuple):
    """One line of text on a page. In pixels from the upper left corner; `size` is the em."""

    text: str
    left: int
    top: int
    size: int


class PDFPage(NamedTuple):
    """Lines of text, and horizontal rules at these rows."""

    texts: tuple[SetText, ...]
    rules: tuple[int, ...] = ()


def write_pdf(pages: Iterable[PDFPage], title: str, margin: int, script: Script) -> Iterator[bytes]:
    """The file, a chunk for each page; rules end at the margins. `title` is that of the document."""
    writer = _Writer()
    yield _HEAD
    for page in pages:
        yield writer.page(page, margin, script)
    yield writer.end(title)


class _Writer:
    """Numbers the objects, and knows at which byte each begins."""

    def __init__(self) -> None:
        self._at = len(_HEAD)
        self._offsets: dict[int, int] = {}
        self._free = _FIRST_FREE
        self._pages: list[int] = []
        self._letters: dict[str, int] = {}
        """Letter -> its place in all fonts together."""
        self._fonts: list[int] = []

    def page(self, page: PDFPage, margin: int, script: Script) -> bytes:
        """The next one."""
        text = "".join(self._hidden(line, script) for line in page.texts)
        drawing = f"q {WIDTH * _POINTS:.2f} 0 0 {HEIGHT * _POINTS:.2f} 0 0 cm /Picture Do Q\nBT 3 Tr\n{text}ET\n"
        levels = zlib.compress(_picture(page, margin, script).tobytes(), 6)
        picture = self._stream(
            f"/Type /XObject /Subtype /Image /Width {WIDTH} /Height {HEIGHT} /ColorSpace /DeviceGray"
            " /BitsPerComponent 8",
            levels,
        )
        picture_number = self._free - 1
        contents = self._stream("", zlib.compress(drawing.encode("ascii")))
        contents_number = self._free - 1
        named = " ".join(f"/F{place} {number} 0 R" for place, number in enumerate(self._fonts))
        self._pages.append(self._free)
        resources = f"<< /XObject << /Picture {picture_number} 0 R >> /Font << {named} >> >>"
        found = self._object(
            f"<< /Type /Page /Parent {_PAGES} 0 R /MediaBox [0 0 {WIDTH * _POINTS:.2f} {HEIGHT * _POINTS:.2f}]"
            f" /Resources {resources} /Contents {contents_number} 0 R >>".encode("ascii")
        )
        return picture + contents + found

    def end(self, title: str) -> bytes:
        """Fonts, and what refers to all pages."""
        letters = list(self._letters)
        fonts = b"".join(
            self._font(number, letters[place * _FONT : (place + 1) * _FONT]) for place, number in enumerate(self._fonts)
        )
        kids = " ".join(f"{number} 0 R" for number in self._pages)
        found = fonts + self._stream(
            "", f"{_ADVANCE} 0 0 0 {_ADVANCE} {_EM} d1".encode("ascii"), number=_GLYPH, packed=False
        )
        found += self._object(f"<< /Type /Pages /Count {len(self._pages)} /Kids [{kids}] >>".encode("ascii"), _PAGES)
        view = "/ViewerPreferences << /DisplayDocTitle true >>"
        found += self._object(f"<< /Type /Catalog /Pages {_PAGES} 0 R {view} >>".encode("ascii"), _CATALOG)
        info = self._free
        found += self._object(f"<< /Title <FEFF{_utf_16(title)}> >>".encode("ascii"))
        table = f"xref\n0 {self._free}\n0000000000 65535 f \n"
        table += "".join(f"{self._offsets[number]:010} 00000 n \n" for number in range(1, self._free))
        trailer = f"trailer << /Size {self._free} /Root {_CATALOG} 0 R /Info {info} 0 R >>"
        return found + f"{table}{trailer}\nstartxref\n{self._at}\n%%EOF\n".encode("ascii")

    def _hidden(self, line: SetText, script: Script) -> str:
        """The operators that put the text where it is drawn."""
        size = line.size * _POINTS
        scale = 100 * script.width(line.text, line.size) / (len(line.text) * line.size * _ADVANCE / _EM)
        bottom = HEIGHT - line.top - line_height(line.size) * 0.8
        places = [divmod(self._place(letter), _FONT) for letter in _as_seen(line.text)]
        runs = [
            f"/F{font} {size:.2f} Tf <{''.join(f'{code:02X}' for _, code in run)}> Tj\n"
            for font, run in groupby(places, itemgetter(0))
        ]
        return f"1 0 0 1 {line.left * _POINTS:.2f} {bottom * _POINTS:.2f} Tm {scale:.2f} Tz\n{''.join(runs)}"

    def _place(self, letter: str) -> int:
        place = self._letters.setdefault(letter, len(self._letters))
        if place >= len(self._fonts) * _FONT:
            self._fonts.append(self._free)
            self._free += 1
        return place

    def _font(self, number: int, letters: list[str]) -> bytes:
        mapped = [f"<{code:02X}> <{_utf_16(letter)}>\n" for code, letter in enumerate(letters)]
        lists = [mapped[at : at + _MAPPED] for at in range(0, len(mapped), _MAPPED)]
        meaning = "".join(f"{len(part)} beginbfchar\n{''.join(part)}endbfchar\n" for part in lists)
        meanings = self._stream("", zlib.compress(_TO_UNICODE.format(meaning).encode("ascii")))
        names, widths = "/g " * _FONT, f"{_ADVANCE} " * _FONT
        return meanings + self._object(
            f"<< /Type /Font /Subtype /Type3 /FontBBox [0 0 {_ADVANCE} {_EM}] /FontMatrix [{1 / _EM} 0 0 {1 / _EM} 0 0]"
            f" /CharProcs << /g {_GLYPH} 0 R >> /Encoding << /Type /Encoding /Differences [0 {names}] >>"
            f" /FirstChar 0 /LastChar {_FONT - 1} /Widths [{widths}] /ToUnicode {self._free - 1} 0 R >>".encode(
                "ascii"
            ),
            number,
        )

    def _stream(self, entries: str, data: bytes, *, number: int | None = None, packed: bool = True) -> bytes:
        filters = " /Filter /FlateDecode" if packed else ""
        head = f"<< {entries}{filters} /Length {len(data)} >>\nstream\n".encode("ascii")
        return self._object(head + data + b"\nendstream", number)

    def _object(self, content: bytes, number: int | None = None) -> bytes:
        if number is None:
            number = self._free
            self._free += 1
        found = b"%d 0 obj\n%b\nendobj\n" % (number, content)
        self._offsets[number] = self._at
        self._at += len(found)
        return found


def _picture(page: PDFPage, margin: int, script: Script) -> NDArray[np.uint8]:
    levels = np.full((HEIGHT, WIDTH), 255, np.uint8)
    for line in page.texts:
        letters = script.line(line.text, line.size).letters[:, : WIDTH - line.left]
        part = levels[line.top : line.top + letters.shape[0], line.left : line.left + letters.shape[1]]
        np.minimum(part, 255 - letters[: part.shape[0]], out=part)
    for row in page.rules:
        levels[row : row + 2, margin : WIDTH - margin] = 160
    return levels


def _as_seen(text: str) -> str:
    """Runs of letters that are read from the right, reversed."""
    found: list[str] = []
    run: list[str] = []
    end = 0
    for letter in text:
        kind = unicodedata.bidirectional(letter)
        if kind in ("R", "AL"):
            run.append(letter)
            end = len(run)
        elif run and kind in _NEUTRAL:
            run.append(letter)
        else:
            found += [*run[:end][::-1], *run[end:], letter]
            run = []
    return "".join([*found, *run[:end][::-1], *run[end:]])


def _utf_16(text: str) -> str:
    return text.encode("utf-16-be").hex().upper()
