"""A structured report as PDF (PS3.18 Table 8.7.4-1, application/pdf): A4, what the plain text says, in all scripts."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Final, NamedTuple

from dicomweb_core.errors import CannotRender
from dicomweb_core.rendering.fonts import Script, line_height, script, shown
from dicomweb_core.rendering.pdf import HEIGHT, WIDTH, PDFPage, SetText, write_pdf
from dicomweb_core.rendering.pillow import require_pillow
from dicomweb_core.rendering.reports.content_items import ContentTree
from dicomweb_core.rendering.reports.documents import Document
from dicomweb_core.rendering.reports.heading import heading
from dicomweb_core.rendering.reports.items_worded import label_of
from dicomweb_core.rendering.reports.plain_text import Heading, content_lines, group_lines
from dicomweb_core.values.attributes import Attributes
from dicomweb_core.values.limits import Limits

_LIMITS: Final = Limits()
_MARGIN: Final = 160
_EM: Final = 30
"""10.8 points."""
_HEADING: Final = 36
_TITLE: Final = 50
_SMALL: Final = 24
_MOST_INDENTED: Final = 40
_LETTERS: Final = 1_000
_INDENT: Final = 20
"""Of a leading space of plain text, of which there are two for each level."""
_LINES: Final = (HEIGHT - 2 * _MARGIN) // line_height(_EM)
"""The most that have place on a page."""
_HEADERS: Final = (
    ("Content-Disposition", 'inline; filename="report.pdf"'),
    ("X-Content-Type-Options", "nosniff"),
    ("Referrer-Policy", "no-referrer"),
)


class _Line(NamedTuple):
    """What is to be set, `indent` spaces from the margin. Without text it is space, or a rule if `size` is 0."""

    text: str
    size: int
    indent: int = 0


def render_report_pdf(
    attributes: Attributes, *, font_paths: tuple[str, ...] = (), limits: Limits = _LIMITS
) -> Document:
    """The document of a structured report or key object selection.

    Raises CannotRender when the object has no content tree, one that is too large, or more than `Limits.report_pages`;
    MissingCodec without Pillow.
    """
    require_pillow()
    tree = ContentTree(attributes, limits)
    title = label_of(next(iter(tree)))
    lines = list(islice(_lines(title, attributes, tree), limits.report_pages * _LINES + 1))
    letters = script(font_paths).suiting(line.text for line in lines)
    pages = list(islice(_pages(_fitted(lines, letters)), limits.report_pages + 1))
    if len(pages) > limits.report_pages:
        raise CannotRender(
            f"The report has more than {limits.report_pages} pages (report_pages); it can be had as text/html."
        )
    numbered = (_numbered(page, number, len(pages), title, letters) for number, page in enumerate(pages, 1))
    return Document(write_pdf(numbered, shown(title), _MARGIN, letters), "application/pdf", _HEADERS)


def _lines(title: str, attributes: Attributes, tree: ContentTree) -> Iterator[_Line]:
    yield from _of_letters(title, _TITLE)
    for group in heading(attributes):
        yield _Line("", _EM)
        yield _Line(group.title, _HEADING)
        yield from _of_text(group_lines(group))
    yield _Line("", _EM)
    yield _Line("", 0)
    yield from _of_text(content_lines(tree))


def _of_text(pieces: Iterable[str]) -> Iterator[_Line]:
    for piece in pieces:
        text = piece.rstrip("\n")
        stripped = text.lstrip(" ")
        size = _HEADING if isinstance(piece, Heading) else _EM
        yield from _of_letters(stripped, size, min(len(text) - len(stripped), _MOST_INDENTED))


def _of_letters(text: str, size: int, indent: int = 0) -> Iterator[_Line]:
    """One line, or several of a text longer than `shown` takes."""
    for start in range(0, max(1, len(text)), _LETTERS):
        yield _Line(shown(text[start : start + _LETTERS]), size, indent)


def _fitted(lines: Iterable[_Line], letters: Script) -> Iterator[_Line]:
    """Those that are too wide for the page in parts: between words, and where there are none, letters."""
    for line in lines:
        rest = line.text
        room = WIDTH - 2 * _MARGIN - line.indent * _INDENT
        while rest and letters.width(rest, line.size) > room:
            fits = _fitting(rest, line.size, room, letters)
            yield line._replace(text=rest[:fits].rstrip())
            rest = rest[fits:].lstrip()
        if rest or not line.text:
            yield line._replace(text=rest)


def _fitting(text: str, size: int, room: int, letters: Script) -> int:
    """How many letters have place; one at least."""
    fits, too_many = 1, len(text)
    while too_many - fits > 1:
        middle = (fits + too_many) // 2
        if letters.width(text[:middle], size) <= room:
            fits = middle
        else:
            too_many = middle
    space = text.rfind(" ", 1, fits + 1)
    return space if space > 0 else fits


def _pages(lines: Iterable[_Line]) -> Iterator[list[SetText | int]]:
    """Lines at their places; a number is the row of a rule."""
    page: list[SetText | int] = []
    top = _MARGIN
    for line in lines:
        height = line_height(line.size or _EM)
        if top + height > HEIGHT - _MARGIN:
            yield page
            page, top = [], _MARGIN
            if not line.text:
                continue
        if not line.size:
            page.append(top + height // 2)
        elif line.text:
            page.append(SetText(line.text, _MARGIN + line.indent * _INDENT, top, line.size))
        top += height
    yield page


def _numbered(page: list[SetText | int], number: int, count: int, title: str, letters: Script) -> PDFPage:
    """With a foot that says which page of which document it is."""
    foot = f"{number} / {count}"
    left = WIDTH - _MARGIN - letters.width(foot, _SMALL)
    top = HEIGHT - _MARGIN + line_height(_SMALL)
    name = letters.clipped(title, _SMALL, left - 2 * _MARGIN)
    texts = [place for place in page if isinstance(place, SetText)]
    rules = tuple(place for place in page if isinstance(place, int))
    foots = [SetText(foot, left, top, _SMALL), *([SetText(name, _MARGIN, top, _SMALL)] if name else [])]
    return PDFPage((*texts, *foots), rules)
