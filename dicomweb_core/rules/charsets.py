"""In which character set a text is sent (PS3.18 8.8, Annex D)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from types import MappingProxyType
from typing import Final, NamedTuple

from dicomweb_core.rules.negotiation import ALIASES, Accept, Offer


class Charset(NamedTuple):
    """A row of Table D-1."""

    name: str
    """The preferred name of IANA."""
    terms: tuple[str, ...]
    """Specific Character Set (0008,0005)."""
    codec: str
    """Its name in Python."""


UTF_8: Final = Charset("UTF-8", ("ISO_IR 192",), "utf-8")

CHARSETS: Final = (
    UTF_8,
    Charset("ISO-8859-1", ("ISO_IR 100",), "iso8859_1"),
    Charset("ISO-8859-2", ("ISO_IR 101",), "iso8859_2"),
    Charset("ISO-8859-3", ("ISO_IR 109",), "iso8859_3"),
    Charset("ISO-8859-4", ("ISO_IR 110",), "iso8859_4"),
    Charset("ISO-8859-5", ("ISO_IR 144",), "iso8859_5"),
    Charset("ISO-8859-6", ("ISO_IR 127",), "iso8859_6"),
    Charset("ISO-8859-7", ("ISO_IR 126",), "iso8859_7"),
    Charset("ISO-8859-8", ("ISO_IR 138",), "iso8859_8"),
    Charset("ISO-8859-9", ("ISO_IR 148",), "iso8859_9"),
    Charset("ISO-8859-15", ("ISO_IR 203",), "iso8859_15"),
    Charset("TIS-620", ("ISO_IR 166",), "tis_620"),
    Charset("ISO-2022-JP", ("ISO 2022 IR 13", "ISO 2022 IR 87"), "iso2022_jp"),
    Charset("ISO-2022-KR", ("ISO 2022 IR 6", "ISO 2022 IR 149"), "iso2022_kr"),
    Charset("GB18030", ("GB18030",), "gb18030"),
    Charset("GBK", ("GBK",), "gbk"),
)
"""Those that can be written. ISO-2022-CN cannot."""

_BY_NAME: Final = MappingProxyType(
    {name.lower(): charset for charset in CHARSETS for name in (charset.name, "\\".join(charset.terms))}
    | {"utf8": UTF_8, "latin1": CHARSETS[1]}
)
_ELEMENT: Final = re.compile(r'[ \t]*+"?([^",;]++)"?[ \t]*+(?:;[ \t]*+[qQ]=([01](?:\.[0-9]{0,3}+)?+)[ \t]*+)?(?:,|\Z)')
_LONGEST: Final = 1_024


class Selected(NamedTuple):
    """What a text is sent in."""

    charset: Charset
    alone: bool
    """Whether the client takes nothing else: then what the character set lacks cannot be sent (8.8.5)."""


def selected_charset(accept: Accept, offer: Offer) -> Selected | None:
    """The character set of an answer in this form; None is UTF-8, as nearly everybody wants it.

    The order is that of 8.8.5: the parameter of the media type, the `charset` query parameter, Accept-Charset. What is
    unknown, malformed or longer than a kilobyte is ignored, and so are wildcards where they may not stand.
    """
    of_type = [
        (r.charset, r.q)
        for r in sorted((*accept.parameter, *accept.header), key=lambda r: -r.q)
        if r.charset is not None and r.q and ALIASES.get(offer.item, offer.item) == r.item
    ]
    if not of_type and accept.charset_parameter is None and accept.charset_header is None:
        return None
    sources = (of_type, list(_listed(accept.charset_parameter)), list(_listed(accept.charset_header)))
    chosen = next((found for source in sources if (found := _best(source)) is not None), UTF_8)
    if chosen is UTF_8:
        return None
    others = [name.lower() for source in sources for name, q in source if q]
    return Selected(chosen, not any(name == "*" or _BY_NAME.get(name) is UTF_8 for name in others))


def _best(wanted: list[tuple[str, int]]) -> Charset | None:
    """Of highest quality; among equals UTF-8, then the first."""
    known = [(q, charset) for name, q in wanted if q and (charset := _BY_NAME.get(name.lower())) is not None]
    best = max((q for q, _ in known), default=0)
    equals = [charset for q, charset in known if q == best]
    if not equals:
        return None
    return UTF_8 if UTF_8 in equals else equals[0]


def _listed(text: str | None) -> Iterator[tuple[str, int]]:
    """Names and qualities in thousandths, up to the first that is malformed."""
    position = 0
    while text is not None and position < len(text) <= _LONGEST:
        match = _ELEMENT.match(text, position)
        if match is None:
            return
        yield match[1].strip(" \t"), min(int(float(match[2] or 1) * 1000 + 0.5), 1000)
        position = match.end()
