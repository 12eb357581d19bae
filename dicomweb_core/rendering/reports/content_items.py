"""The content tree of a structured report in the order of reading (PS3.3 C.17.3). No recursion, bounded."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from dicomweb_core.errors import CannotRender
from dicomweb_core.rendering.reports.phrases import CodedEntry, coded_entries
from dicomweb_core.rendering.reports.wording import items, keyword, whole_numbers
from dicomweb_core.values.attributes import Attributes
from dicomweb_core.values.limits import Limits

CONTENT_SEQUENCE: Final = "0040A730"
_REFERENCED_ITEM: Final = "0040DB73"


@dataclass(frozen=True, slots=True)
class ContentItem:
    """One node of the tree."""

    attributes: Attributes
    depth: int
    """0 is the root."""
    relationship: str
    """To the item that it is in, a term of PS3.3 Table C.17.3-8; empty for the root."""
    value_type: str
    """A term of PS3.3 Table C.17.3-7; empty for a reference to another item of the document."""
    name: CodedEntry | None
    anchor: int
    """Not 0: the number by which references call this item."""
    target: Target | None
    """The item that this one refers to (by-reference relationship, PS3.3 C.17.3.2.5), otherwise None."""

    @property
    def is_container(self) -> bool:
        """Whether it is a heading of others."""
        return self.value_type == "CONTAINER"

    @property
    def is_continuous(self) -> bool:
        """Whether what it contains is one running text (PS3.3 C.18.8.1.1)."""
        return keyword(self.attributes, "0040A050") == "CONTINUOUS"


@dataclass(frozen=True, slots=True)
class Target:
    """What a by-reference relationship points to. `anchor` is 0 when there is no such item."""

    anchor: int
    name: CodedEntry | None = None


_NOWHERE: Final = Target(0)


def is_report(attributes: Attributes) -> bool:
    """Whether the object is a document with a content tree."""
    return bool(items(attributes, CONTENT_SEQUENCE)) or keyword(attributes, "0040A040") == "CONTAINER"


class ContentTree:
    """A tree that is within the limits. Iterating it gives its items, each before those that it contains.

    Raises CannotRender when there is no tree or when it passes a ceiling.
    """

    __slots__ = ("_anchors", "_root", "_targets")

    def __init__(self, attributes: Attributes, limits: Limits) -> None:
        if not is_report(attributes):
            raise CannotRender("The object has no content tree (0040,A730), so it is no structured report.")
        self._root = attributes
        # by identity: equal items at different places are different items
        self._anchors: dict[int, int] = {}
        self._targets: dict[int, Target] = {}
        for count, (item, depth) in enumerate(_walk(attributes), 1):
            if count > limits.report_items or depth > limits.report_depth:
                raise CannotRender(
                    f"The content tree has more than {limits.report_items} items, or more than {limits.report_depth} "
                    "in one another."
                )
            if _REFERENCED_ITEM in item and "0040A040" not in item:
                self._targets[id(item)] = self._resolve(whole_numbers(item, _REFERENCED_ITEM))

    def __iter__(self) -> Iterator[ContentItem]:
        anchors = dict(self._anchors)
        for item, depth in _walk(self._root):
            target = self._targets.get(id(item))
            yield ContentItem(
                attributes=item,
                depth=depth,
                relationship=keyword(item, "0040A010") if depth else "",
                value_type="" if target else keyword(item, "0040A040") or ("" if depth else "CONTAINER"),
                name=_name(item),
                anchor=anchors.pop(id(item), 0),
                target=target,
            )

    def _resolve(self, identifier: tuple[int, ...]) -> Target:
        """By the ordinals of items from the root, which is 1 (PS3.3 C.17.3.2.5)."""
        if not identifier or identifier[0] != 1:
            return _NOWHERE
        item: Any = self._root
        for ordinal in identifier[1:]:
            # not `items`: that copies all of them for each step
            content = item.get(CONTENT_SEQUENCE, {})
            children = content.get("Value") if content.get("vr") == "SQ" else None
            if not isinstance(children, list) or not 1 <= ordinal <= len(children):
                return _NOWHERE
            item = children[ordinal - 1]
            if not isinstance(item, dict):
                return _NOWHERE
        return Target(self._anchors.setdefault(id(item), len(self._anchors) + 1), _name(item))


def _walk(root: Attributes) -> Iterator[tuple[Attributes, int]]:
    yield root, 0
    open_items = [iter(items(root, CONTENT_SEQUENCE))]
    while open_items:
        item = next(open_items[-1], None)
        if item is None:
            open_items.pop()
            continue
        yield item, len(open_items)
        open_items.append(iter(items(item, CONTENT_SEQUENCE)))


def _name(item: Attributes) -> CodedEntry | None:
    entries = coded_entries(item, "0040A043")
    return entries[0] if entries else None
