"""Phrases as HTML. The only place where a text of the object becomes markup: through `escaped`."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from html import escape
from typing import Final

from dicomweb_core.rendering.reports.heading import Group
from dicomweb_core.rendering.reports.phrases import CodedEntry, Phrase, ReferencedInstance, Tabulated, Unit, Words
from dicomweb_core.values.uids import is_uid

Link = Callable[[str, str, tuple[int, ...]], str | None]
"""SOP Class UID, SOP Instance UID and frame numbers (1-based, empty: all) -> URL of the instance or its frames in this
archive, without query, or None when it has none. It is called with UIDs and positive numbers only."""

_LINKED_FRAMES: Final = 32
_LEGAL_FRAME: Final = 1 << 31
_LANGUAGE: Final = re.compile("[A-Za-z]{2,3}(?:-[A-Za-z0-9]{2,8}){0,4}")


def escaped(text: str) -> str:
    """For content and for attribute values in double quotes."""
    return escape(text, quote=True)


def language_attribute(tag: str) -> str:
    """` lang="..."` of an RFC 5646 language, or nothing."""
    return f' lang="{tag}"' if _LANGUAGE.fullmatch(tag) else ""


def heading_html(groups: Iterable[Group], link: Link) -> Iterable[str]:
    """The groups as sections with definition lists."""
    for title, lines in groups:
        yield f"<section><h2>{escaped(title)}</h2><dl>"
        for label, phrases in lines:
            yield f"<div><dt>{escaped(label)}</dt><dd>{phrases_html(phrases, link)}</dd></div>"
        yield "</dl></section>\n"


def name_html(entry: CodedEntry) -> str:
    """A concept name: its meaning, the code as a title."""
    title = f' title="{escaped(entry.code)}"' if entry.code else ""
    return f'<span dir="auto"{title}>{escaped(entry.readable)}</span>'


def phrases_html(phrases: Iterable[Phrase], link: Link) -> str:
    """One after the other, with spaces."""
    return " ".join(_phrase(phrase, link) for phrase in phrases)


def _phrase(phrase: Phrase, link: Link) -> str:
    match phrase:
        case Words(text, tone):
            return f'<span class="{tone.value}" dir="auto">{escaped(text)}</span>'
        case CodedEntry(value, scheme, _):
            title = f' title="{escaped(phrase.code)}"' if phrase.code else ""
            return f'<data value="{escaped(f"{scheme}:{value}")}" dir="auto"{title}>{escaped(phrase.readable)}</data>'
        case Unit(entry):
            title = ", ".join(dict.fromkeys(part for part in (entry.meaning, entry.value, entry.scheme) if part))
            return f'<data value="{escaped(entry.value)}" title="{escaped(title)}">{escaped(entry.symbol)}</data>'
        case ReferencedInstance():
            return _reference(phrase, link)
        case Tabulated(columns, names, rows):
            return _table(columns, names, rows)


def _reference(phrase: ReferencedInstance, link: Link) -> str:
    title = phrase.class_name
    if phrase.frames:
        shown = ", ".join(map(str, phrase.frames[:_LINKED_FRAMES]))
        more = len(phrase.frames) - _LINKED_FRAMES
        title += f", frame{'s' if len(phrase.frames) > 1 else ''} {shown}" + (f" and {more} more" if more > 0 else "")
    words = escaped(", ".join((title, *phrase.details)))
    url = _url(phrase, link)
    if url is None:
        return f'<span>{words}</span> <span class="note">{escaped(phrase.instance_uid[:64])}</span>'
    # A person who follows the link wants to see the instance, not to download it.
    target = escaped(f"{url}/rendered")
    if not phrase.pictured:
        return f'<a href="{target}">{words}</a>'
    picture = f'<img loading="lazy" src="{escaped(f"{url}/thumbnail")}" alt="">'
    return f'<figure><a href="{target}">{picture}<span>{words}</span></a></figure>'


def _url(phrase: ReferencedInstance, link: Link) -> str | None:
    if not (is_uid(phrase.class_uid) and is_uid(phrase.instance_uid)):
        return None
    frames = tuple(number for number in phrase.frames if 0 < number < _LEGAL_FRAME)[:_LINKED_FRAMES]
    return link(phrase.class_uid, phrase.instance_uid, frames)


def _table(columns: tuple[str, ...], names: tuple[str, ...], rows: tuple[tuple[str, ...], ...]) -> str:
    if not rows:
        return '<span class="note">a table without values</span>'
    named = any(names)
    parts = ["<table>"]
    if any(columns):
        parts.append("<thead><tr>" + "<td></td>" * named)
        parts += [f'<th scope="col" dir="auto">{escaped(column)}</th>' for column in columns]
        parts.append("</tr></thead>")
    parts.append("<tbody>")
    for name, row in zip(names, rows, strict=True):
        parts.append("<tr>" + (f'<th scope="row" dir="auto">{escaped(name)}</th>' if named else ""))
        parts += [f'<td dir="auto">{escaped(cell)}</td>' for cell in row]
        parts.append("</tr>")
    parts.append("</tbody></table>")
    return "".join(parts)
