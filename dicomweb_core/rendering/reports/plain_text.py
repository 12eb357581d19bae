"""A structured report as plain text (PS3.18 Table 8.7.4-1, text/plain): UTF-8, LF, lines of 78 columns where words
allow it, two columns of indent for each level."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from dicomweb_core.rendering.reports.content_items import ContentItem, ContentTree
from dicomweb_core.rendering.reports.documents import Document, utf8_chunks
from dicomweb_core.rendering.reports.heading import Group, heading
from dicomweb_core.rendering.reports.items_worded import label_of, relationship_of
from dicomweb_core.rendering.reports.phrases import CodedEntry, Phrase, ReferencedInstance, Tabulated, Unit, Words
from dicomweb_core.rendering.reports.value_types import value_of
from dicomweb_core.values.attributes import Attributes
from dicomweb_core.values.limits import Limits

_LIMITS: Final = Limits()
_COLUMNS: Final = 78
_INDENTED: Final = 16
"""Levels that are indented; deeper ones have their number before them."""

TEXT_HEADERS: Final = (("X-Content-Type-Options", "nosniff"), ("Referrer-Policy", "no-referrer"))


class Heading(str):
    """A line that names what is below it."""


def render_report_text(attributes: Attributes, *, limits: Limits = _LIMITS) -> Document:
    """The document of a structured report or key object selection.

    Raises CannotRender when the object has no content tree or one that is too large.
    """
    tree = ContentTree(attributes, limits)
    title = label_of(next(iter(tree)))
    return text_document(title, heading(attributes), content_lines(tree))


def text_document(title: str, groups: list[Group], body: Iterator[str]) -> Document:
    """A title, the groups and a body of lines."""
    return Document(utf8_chunks(_document(title, groups, body)), "text/plain; charset=utf-8", TEXT_HEADERS)


def _document(title: str, groups: list[Group], body: Iterator[str]) -> Iterator[str]:
    yield from wrapped(title)
    yield "=" * min(len(title), _COLUMNS) + "\n"
    for group in groups:
        yield f"\n{group.title}\n"
        yield from group_lines(group)
    yield "\n" + "-" * _COLUMNS + "\n"
    yield from body


def group_lines(group: Group) -> Iterator[str]:
    """What is under its title."""
    for label, phrases in group.lines:
        yield from wrapped(f"{label}: {_joined(phrases)}", 2)


def wrapped(text: str, indent: int = 0) -> Iterator[str]:
    """Lines that end in LF; what is longer than a line begins the next two columns further right."""
    margin = " " * indent
    for number, paragraph in enumerate(text.split("\n")):
        room = _COLUMNS - indent
        line: list[str] = []
        length = 0
        hanging = "  " if number else ""
        for word in paragraph.split(" "):
            if line and length + len(word) + len(hanging) > room:
                yield f"{margin}{hanging}{' '.join(line)}\n"
                hanging = "  "
                line, length = [], 0
            line.append(word)
            length += len(word) + 1
        yield f"{margin}{hanging}{' '.join(line)}".rstrip() + "\n"


def content_lines(tree: ContentTree) -> Iterator[str]:
    """All that is below the root; names of containers are a `Heading`, behind an empty line."""
    running: list[str] = []
    running_depth = 0
    continuous: list[bool] = []
    for item in tree:
        del continuous[item.depth :]
        in_prose = bool(continuous) and continuous[-1] and item.target is None and not item.is_container
        if in_prose and not item.anchor:
            running.append(_joined(value_of(item.attributes, item.value_type)))
            running_depth = item.depth
        else:
            if running:
                yield from wrapped(" ".join(running), _indent(running_depth))
                running = []
            if item.depth or not item.is_container:
                yield from _lines(item)
        continuous.append(item.is_container and item.is_continuous)
    if running:
        yield from wrapped(" ".join(running), _indent(running_depth))


def _lines(item: ContentItem) -> Iterator[str]:
    anchor = f"[{item.anchor}] " if item.anchor else ""
    level = f"level {item.depth}: " if item.depth > _INDENTED else ""
    relationship = relationship_of(item)
    label = f"{level}{anchor}{label_of(item)}" + (f" ({relationship})" if relationship else "")
    if item.is_container:
        yield "\n"
        yield from map(Heading, wrapped(label, _indent(item.depth)))
        return
    if item.target is None:
        value = _joined(value_of(item.attributes, item.value_type))
    elif item.target.anchor:
        name = f" {item.target.name.readable}" if item.target.name else ""
        value = f"[{item.target.anchor}]{name}"
    else:
        value = "(an item that the document does not have)"
    yield from wrapped(f"{label}: {value}", _indent(item.depth))


def _indent(depth: int) -> int:
    return 2 * max(min(depth, _INDENTED) - 1, 0)


def _joined(phrases: list[Phrase]) -> str:
    return " ".join(map(_phrase, phrases))


def _phrase(phrase: Phrase) -> str:
    match phrase:
        case Words(text, tone):
            return f"({text})" if tone.value == "note" else text
        case CodedEntry():
            return phrase.readable + (f" ({phrase.code})" if phrase.code else "")
        case Unit(entry):
            return entry.symbol
        case ReferencedInstance():
            frames = f"frame {', '.join(map(str, phrase.frames))}" if phrase.frames else ""
            return ", ".join(filter(None, (phrase.class_name, frames, *phrase.details, phrase.instance_uid[:64])))
        case Tabulated(columns, names, rows):
            table = [("", *columns)] if any(columns) else []
            table += [(name, *row) for name, row in zip(names, rows, strict=True)]
            return "".join("\n" + " | ".join(row).removeprefix(" | ") for row in table) or "(a table without values)"
