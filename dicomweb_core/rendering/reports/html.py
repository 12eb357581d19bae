"""A structured report as an HTML document (PS3.18 Table 8.7.4-1, text/html; PS3.3 A.35).

Containers are sections with headings, other items are terms and descriptions, each within the item that it belongs
to. Everything that the object says is escaped; there is no script, and the policy sent along forbids it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from dicomweb_core.rendering.reports.content_items import CONTENT_SEQUENCE, ContentItem, ContentTree
from dicomweb_core.rendering.reports.documents import Document, utf8_chunks
from dicomweb_core.rendering.reports.heading import Group, heading
from dicomweb_core.rendering.reports.html_phrases import (
    Link,
    escaped,
    heading_html,
    language_attribute,
    name_html,
    phrases_html,
)
from dicomweb_core.rendering.reports.html_style import HTML_HEADERS, STYLE
from dicomweb_core.rendering.reports.items_worded import label_of, language_of, relationship_of
from dicomweb_core.rendering.reports.value_types import value_of
from dicomweb_core.values.attributes import Attributes
from dicomweb_core.values.limits import Limits

_LIMITS: Final = Limits()

_NESTED: Final = 40
"""Levels that become nested elements: browsers flatten or give up some hundred elements deep. What is deeper stands
in the last level, with the number of its own."""


def render_report_html(attributes: Attributes, *, link: Link, limits: Limits = _LIMITS) -> Document:
    """The document of a structured report or key object selection, UTF-8.

    Raises CannotRender when the object has no content tree or one that is too large.
    """
    tree = ContentTree(attributes, limits)
    title = label_of(next(iter(tree)))
    pieces = page(title, heading(attributes), _content(tree, link), link, language=language_of(attributes))
    return Document(utf8_chunks(pieces), "text/html; charset=utf-8", HTML_HEADERS)


def page(title: str, groups: list[Group], body: Iterator[str], link: Link, *, language: str = "") -> Iterator[str]:
    """A whole page. The title has no name of a patient in it: titles stay in histories and lists of windows."""
    yield (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escaped(title)}</title><style>{STYLE}</style></head>\n<body>"
        f'<header><h1 dir="auto"{language_attribute(language)}>{escaped(title)}</h1>\n'
    )
    yield from heading_html(groups, link)
    yield f"</header>\n<main{language_attribute(language)}>"
    yield from body
    yield "</main>\n</body></html>\n"


class _Level:
    """An element that is open, and whether a list is open in it."""

    __slots__ = ("closing", "in_list")

    def __init__(self, closing: str) -> None:
        self.closing = closing
        self.in_list = False

    def list_open(self, wanted: bool) -> str:
        """What opens or closes the list, if anything has to."""
        if wanted == self.in_list:
            return ""
        self.in_list = wanted
        return "<dl>" if wanted else "</dl>\n"

    def close(self) -> str:
        """The end of the element."""
        return self.list_open(False) + self.closing


def _content(tree: ContentTree, link: Link) -> Iterator[str]:
    levels: list[_Level] = []
    for item in tree:
        depth = min(item.depth, _NESTED)
        while len(levels) > depth:
            yield levels.pop().close()
        is_section = item.is_container or not levels
        if levels:
            yield levels[-1].list_open(not is_section)
        if is_section:
            yield _section(item, link)
            levels.append(_Level("</section>\n"))
        else:
            yield _term(item, link)
            levels.append(_Level("</dd></div>\n"))
    while levels:
        yield levels.pop().close()


def _section(item: ContentItem, link: Link) -> str:
    classes = ' class="continuous"' if item.is_continuous else ""
    opening = f"<section{_identifier(item)}{classes}{language_attribute(language_of(item.attributes))}>"
    if item.depth == 0:
        # a root that is no container is not legal, but what it says is said
        value = value_of(item.attributes, item.value_type)
        return opening + (f"<div>{phrases_html(value, link)}</div>" if value else "")
    rank = min(item.depth + 1, 6)
    level = f' aria-level="{item.depth + 1}"' if item.depth >= 6 else ""
    return f"{opening}<h{rank}{level}>{_label(item)}{_relationship(item)}</h{rank}>\n"


def _term(item: ContentItem, link: Link) -> str:
    if item.target is None:
        value = phrases_html(value_of(item.attributes, item.value_type), link)
    elif item.target.anchor:
        name = name_html(item.target.name) if item.target.name else "another item"
        value = f'<a href="#item-{item.target.anchor}">{name}</a>'
    else:
        value = '<span class="note">an item that the document does not have</span>'
    classes = ' class="picture"' if _is_picture(item) else ""
    return f"<div{_identifier(item)}{classes}><dt>{_label(item)}{_relationship(item)}</dt><dd>{value}"


def _is_picture(item: ContentItem) -> bool:
    """Whether nothing but an image is there: a key object selection has many, which stand side by side."""
    is_image = item.value_type in ("IMAGE", "WAVEFORM") and CONTENT_SEQUENCE not in item.attributes
    return is_image and item.name is None and item.relationship == "CONTAINS"


def _identifier(item: ContentItem) -> str:
    return f' id="item-{item.anchor}"' if item.anchor else ""


def _label(item: ContentItem) -> str:
    return name_html(item.name) if item.name else escaped(label_of(item))


def _relationship(item: ContentItem) -> str:
    words = relationship_of(item)
    if item.depth > _NESTED:
        words = f"level {item.depth} {words}".strip()
    return f' <span class="relationship">{escaped(words)}</span>' if words else ""
