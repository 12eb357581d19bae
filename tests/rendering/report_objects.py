"""Structured reports as the DICOM JSON Model, made of content items; and what an HTML document must be like."""

from __future__ import annotations

from html.parser import HTMLParser
from typing import Any

from dicomweb_core.values.attributes import Attribute, Attributes

HEADINGS = ("h1", "h2", "h3", "h4", "h5", "h6")
VOID = {"meta", "img", "br"}
LEGAL = {
    "html": {"lang"},
    "head": set(),
    "meta": {"charset", "name", "content"},
    "title": set(),
    "style": set(),
    "body": set(),
    "header": set(),
    "main": {"lang"},
    "section": {"id", "class", "lang"},
    **{tag: {"dir", "lang", "aria-level"} for tag in HEADINGS},
    **{tag: set() for tag in ("dl", "dt", "dd", "figure", "table", "thead", "tbody", "tr", "p")},
    "div": {"id", "class"},
    "span": {"class", "dir", "title"},
    "data": {"value", "dir", "title"},
    "a": {"href"},
    "img": {"loading", "src", "alt"},
    "th": {"scope", "dir"},
    "td": {"dir"},
}
"""The elements and attributes that our documents consist of: no script, no event handler, no frame, no form."""


class Page(HTMLParser):
    """A document that is checked while it is read: every element legal, closed in order; ids unique, anchors there."""

    def __init__(self, content: bytes) -> None:
        super().__init__(convert_charrefs=True)
        self.text = ""
        """What is to be read, elements separated by one space."""
        self.ids: list[str] = []
        self.links: list[str] = []
        self.pictures: list[str] = []
        self.titles: list[str] = []
        self.headings: list[tuple[str, str]] = []
        self.depth = 0
        self._open: list[str] = []
        self._heading = False
        self.feed(content.decode("utf-8"))
        self.close()
        self.text = " ".join(self.text.split())
        assert not self._open, self._open
        assert len(set(self.ids)) == len(self.ids)
        for link in self.links:
            assert not link.startswith("#") or link[1:] in self.ids, link

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag in LEGAL, tag
        assert {name for name, _ in attrs} <= LEGAL[tag], (tag, attrs)
        found = dict(attrs)
        assert len(found) == len(attrs)
        parent = self._open[-1] if self._open else ""
        if parent == "dl":
            assert tag == "div"
        if tag in ("dt", "dd"):
            assert parent == "div"
        for name, place in (("id", self.ids), ("href", self.links), ("src", self.pictures), ("title", self.titles)):
            if found.get(name) is not None:
                place.append(str(found[name]))
        self.text += " "
        if tag in HEADINGS:
            self.headings.append((tag, ""))
            self._heading = True
        if tag not in VOID:
            self._open.append(tag)
            self.depth = max(self.depth, len(self._open))

    def handle_endtag(self, tag: str) -> None:
        assert self._open[-1:] == [tag]
        self._open.pop()
        self.text += " "
        self._heading = self._heading and tag not in HEADINGS

    def handle_data(self, data: str) -> None:
        if self._open and self._open[-1] in ("style", "title"):
            return
        self.text += data
        if self._heading:
            tag, words = self.headings[-1]
            self.headings[-1] = tag, words + data

    def handle_comment(self, data: str) -> None:
        raise AssertionError("a comment")

    def handle_pi(self, data: str) -> None:
        raise AssertionError("a processing instruction")


def value(vr: str, *values: Any) -> Attribute:
    """An attribute with values."""
    return {"vr": vr, "Value": list(values)}


def code(meaning: str, number: str = "1", scheme: str = "99TEST") -> Attribute:
    """A code sequence of one item."""
    item = {"00080100": value("SH", number), "00080102": value("SH", scheme), "00080104": value("LO", meaning)}
    return value("SQ", item)


def content_item(
    value_type: str, name: str = "", *contained: Attributes, how: str = "CONTAINS", **tags: Any
) -> Attributes:
    """A content item; `tags` are attributes by their 8 hex digits after an underscore."""
    item = {"0040A010": value("CS", how), "0040A040": value("CS", value_type)}
    if name:
        item["0040A043"] = code(name)
    if contained:
        item["0040A730"] = value("SQ", *contained)
    return item | {tag[1:]: attribute for tag, attribute in tags.items()}


def text_item(name: str, text: str, *contained: Attributes, how: str = "CONTAINS") -> Attributes:
    """A TEXT."""
    return content_item("TEXT", name, *contained, how=how, _0040A160=value("UT", text))


def reference_to(*identifier: int, how: str = "INFERRED FROM") -> Attributes:
    """A relationship by reference."""
    return {"0040A010": value("CS", how), "0040DB73": value("UL", *identifier)}


def referenced(class_uid: str, instance_uid: str, **tags: Attribute) -> Attribute:
    """Referenced SOP Sequence."""
    item = {"00081150": value("UI", class_uid), "00081155": value("UI", instance_uid)}
    return value("SQ", item | {tag[1:]: attribute for tag, attribute in tags.items()})


def report(*contained: Attributes, title: str = "Report", **tags: Attribute) -> Attributes:
    """A document."""
    root = content_item("CONTAINER", title, *contained, _0040A050=value("CS", "SEPARATE"))
    del root["0040A010"]
    return {
        "00080016": value("UI", "1.2.840.10008.5.1.4.1.1.88.33"),
        **root,
        **{tag[1:]: attribute for tag, attribute in tags.items()},
    }
