"""Which representation a client gets: content negotiation (PS3.18 8.7.5 - 8.7.8, RFC 9110 12.5.1)."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from types import MappingProxyType
from typing import Final

from dicomweb_core.errors import BadRequest, NotAcceptable
from dicomweb_core.values.limits import Limits
from dicomweb_core.values.media_types import MediaType, split_list
from dicomweb_core.values.uids import is_uid

ANY: Final = "*/*"
EXPLICIT_VR_LITTLE_ENDIAN: Final = "1.2.840.10008.1.2.1"

ALIASES: Final = MappingProxyType(
    {
        "application/json": "application/dicom+json",
        "image/x-jls": "image/jls",
        "image/x-jpeg-ls": "image/jls",
        "image/x-dicom-rle": "image/dicom-rle",
        "image/dicom+jpeg": "image/jpeg",
        "image/dicom+jpeg-ls": "image/jls",
        "image/dicom+jls": "image/jls",
        "image/dicom+rle": "image/dicom-rle",
        "image/dicom+jp2": "image/jp2",
        "image/dicom+jpx": "image/jpx",
    }
)
"""Names of older editions and of the wild, and what they are called now (PS3.18 8.7.3.3.2 note)."""

DEFAULT_TRANSFER_SYNTAXES: Final = MappingProxyType(
    {
        "application/dicom": (EXPLICIT_VR_LITTLE_ENDIAN,),
        "application/octet-stream": (EXPLICIT_VR_LITTLE_ENDIAN,),
        "image/jpeg": ("1.2.840.10008.1.2.4.70",),
        "image/dicom-rle": ("1.2.840.10008.1.2.5",),
        "image/jls": ("1.2.840.10008.1.2.4.80",),
        "image/jp2": ("1.2.840.10008.1.2.4.90",),
        "image/jpx": ("1.2.840.10008.1.2.4.92",),
        "image/jphc": ("1.2.840.10008.1.2.4.201",),
        "image/jxl": ("1.2.840.10008.1.2.4.110",),
        "video/mpeg": ("1.2.840.10008.1.2.4.101",),
        "video/mp4": ("1.2.840.10008.1.2.4.102", "1.2.840.10008.1.2.4.102.1"),
        "video/h265": ("1.2.840.10008.1.2.4.107",),
    }
)
"""What a media type means without a `transfer-syntax` parameter (PS3.18 8.7.3, Tables 8.7.3-2, -4 and -5)."""

STORED_BY_DEFAULT: Final = frozenset({"image/jpeg", "video/mpeg", "video/mp4", "video/h265"})
"""Media types whose stored form is meant as well when no transfer syntax is named: clients that ask for `image/jpeg`
mean the JPEG that is there, and no server encodes video anew."""

DICOM_ONLY: Final = frozenset(
    {"application/dicom", "application/dicom+json", "application/dicom+xml", "application/octet-stream"}
    | {"image/jls", "image/dicom-rle", "image/jpx", "image/jphc"}
)
"""Types that are DICOM or bulk data types and not rendered types (PS3.18 8.7.3)."""

RENDERED_ONLY: Final = frozenset(
    {"image/gif", "image/png", "image/jph", "text/html", "text/plain", "text/xml", "text/rtf", "application/pdf"}
)
"""Types that are rendered types and not DICOM types (PS3.18 Table 8.7.4-1)."""

DOCUMENTS: Final = frozenset({"application/pdf", "text/xml"})
"""Rendered types that, as multipart, are bulk data: of an Encapsulated Document (PS3.18 8.7.3.3)."""

_CACHED_TEXT: Final = 1_024
_QUALITY: Final = re.compile(r"(?:[01]|[01]?\.[0-9]{1,9}|[01]\.)")
# OHIF with `requestTransferSyntaxUID` writes the UID and `*` into one media type: the first one is what it asks for.
_SECOND_SYNTAX: Final = re.compile(
    r"""(;[ \t]*+transfer-syntax[ \t]*+=[^;]*+);[ \t]*+transfer-syntax[ \t]*+=[ \t]*+"?\*"?[ \t]*+(?=;|\Z)""",
    re.IGNORECASE,
)
# In a query `+` means a space, and clients forget to encode it.
_LOST_PLUS: Final = re.compile(r"(?<=/dicom) (?=json|xml)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class MediaRange:
    """One element of an Accept header (PS3.18 8.7.3.5). `item` is the type of a single part or of every part.

    `multipart/related` without `type` and `multipart/*` have the item `*/*`.
    """

    item: str
    multipart: bool = False
    transfer_syntax: str | None = None
    """A UID, `*`, or None when not given."""
    charset: str | None = None
    q: int = 1000
    """Quality in thousandths; 0 excludes."""
    explicit: bool = True
    """Whether the item is a media type and not a wildcard."""
    alias: bool = False
    """Whether it was given under another name, see `ALIASES`."""


@dataclass(frozen=True, slots=True)
class Accept:
    """What a client accepts. Ranges of the `accept` parameter are preferred to those of the header (8.7.8.1)."""

    header: tuple[MediaRange, ...]
    parameter: tuple[MediaRange, ...] = ()
    charset_header: str | None = None
    """Accept-Charset as it came."""
    charset_parameter: str | None = None
    """The `charset` query parameter, decoded."""

    @classmethod
    def parse(cls, header: str | None, parameter: str | None = None, limits: Limits | None = None) -> Accept:
        """From the Accept header and the decoded `accept` query parameter; without a header as `*/*`.

        Elements that are malformed are left out (8.7.7), as are wildcards in the parameter (8.3.3.1).
        Raises BadRequest when one of them is longer than `Limits.accept_bytes`.
        """
        ceiling = (limits or _LIMITS).accept_bytes
        size = len(header or "") + len(parameter or "")
        if size > ceiling and max(len(header or ""), len(parameter or "")) > ceiling:
            raise BadRequest(f"The list of accepted media types is longer than {ceiling} bytes.")
        return (_parsed if size <= _CACHED_TEXT else _parsed.__wrapped__)(header, parameter)


@dataclass(frozen=True, slots=True)
class Offer:
    """A representation that can be produced. `item` is the type of a single part or of every part."""

    item: str
    multipart: bool = False
    transfer_syntax: str | None = None
    """Of application/dicom, application/octet-stream and compressed types; None where there is no such thing."""
    default: bool = False
    """Whether it is what `*/*` yields for this target (8.7.7), and what its type means without a transfer syntax:
    that may be a lossy one when the pixel data cannot be had otherwise (8.7.3.4 note 2)."""
    stored: bool = False
    """Whether it can be sent without transcoding."""

    @property
    def content_type(self) -> str:
        """Content-Type of the single part, or of each part. The UID is without quotes: clients keep them."""
        return f"{self.item}; transfer-syntax={self.transfer_syntax}" if self.transfer_syntax else self.item

    def __str__(self) -> str:
        """As it would stand in an Accept header."""
        if not self.multipart:
            return self.content_type
        syntax = f"; transfer-syntax={self.transfer_syntax}" if self.transfer_syntax else ""
        return f'multipart/related; type="{self.item}"{syntax}'


def choose(accept: Accept, offers: Sequence[Offer]) -> Offer:
    """The offer of highest quality; among equals a stored one, then the first of `offers` (8.7.8.1, 8.7.8.2).

    Raises NotAcceptable, which names the offers, and BadRequest when DICOM and rendered types are mixed (8.7.5).
    """
    if accept.parameter:
        compatible = tuple(r for r in accept.parameter if any(_covers(h, r) for h in accept.header))
        _refuse_mixture(compatible, offers)
        best = _best(compatible, offers)
        if best is not None:
            return best
    _refuse_mixture(accept.header, offers)
    best = _best(accept.header, offers)
    if best is None:
        raise NotAcceptable(
            "None of the accepted media types can be produced for this resource.",
            available=tuple(dict.fromkeys(map(str, offers))),
        )
    return best


def is_acceptable(accept: Accept, offer: Offer) -> bool:
    """Whether a client takes it at all. Raises BadRequest as `choose` does."""
    try:
        choose(accept, (replace(offer, default=True),))
    except NotAcceptable:
        return False
    return True


@lru_cache(maxsize=512)
def _parsed(header: str | None, parameter: str | None) -> Accept:
    ranges = _ranges(header) if header is not None and header.strip() else (_ANYTHING,)
    if parameter is None:
        return Accept(ranges)
    wanted = _ranges(_LOST_PLUS.sub("+", parameter))
    return Accept(ranges, tuple(r for r in wanted if r.explicit))


def _ranges(text: str) -> tuple[MediaRange, ...]:
    found = (_media_range(element) for element in dict.fromkeys(split_list(text)))
    return tuple(dict.fromkeys(r for r in found if r is not None))


def _media_range(text: str) -> MediaRange | None:
    if text[0] == "*" and (len(text) == 1 or text[1] in "; \t"):
        text = ANY + text[1:]  # java.net.HttpURLConnection sends a lone asterisk
    if "*" in text:
        text = _SECOND_SYNTAX.sub(r"\1", text)
    try:
        parsed = MediaType.parse(text)
    except BadRequest:
        return None
    multipart = parsed.type == "multipart"
    item = parsed.essence
    if multipart:
        if parsed.subtype not in ("related", "*"):
            return None
        item = (parsed.param("type") or ANY).strip().lower()
    quality = parsed.param("q")
    syntax = parsed.param("transfer-syntax")
    major, slash, minor = item.partition("/")
    if not (slash and major and minor) or (major == "*" != minor):
        return None
    if quality is not None and not (_QUALITY.fullmatch(quality) and float(quality) <= 1):
        return None
    if syntax is not None and not (syntax == "*" or is_uid(syntax)):
        return None
    return MediaRange(
        item=ALIASES.get(item, item),
        multipart=multipart,
        transfer_syntax=syntax,
        charset=parsed.param("charset"),
        q=1000 if quality is None else _thousandths(float(quality)),
        explicit=minor != "*",
        alias=item in ALIASES,
    )


def _thousandths(quality: float) -> int:
    return max(int(quality * 1000 + 0.5), 1 if quality else 0)


def _best(ranges: Sequence[MediaRange], offers: Sequence[Offer]) -> Offer | None:
    best: Offer | None = None
    best_rank = (0, False)
    has_default = any(offer.default for offer in offers)
    has_multipart_default = any(offer.default and offer.multipart for offer in offers)
    for offer in offers:
        specificity, quality = -1, 0
        for accepted in ranges:
            if (
                accepted.item == ANY
                and accepted.transfer_syntax is None
                and not offer.default
                and accepted.q
                and (has_multipart_default if accepted.multipart else has_default)
            ):
                continue
            found = _specificity(accepted, offer)
            if found > specificity or (found == specificity >= 0 and accepted.q > quality):
                specificity, quality = found, accepted.q
        rank = (quality, offer.stored)
        if quality and rank > best_rank:
            best, best_rank = offer, rank
    return best


def _specificity(accepted: MediaRange, offer: Offer) -> int:
    """How specifically a range matches an offer (RFC 9110 12.5.1); -1 if it does not."""
    item = offer.item.lower()  # video/H265
    item = ALIASES.get(item, item)
    if accepted.item == item:
        # JSON is one array and never multipart (Table 10.4.4-1 note 1), though Table 10.5.4-1 lists it as such.
        if accepted.multipart is not offer.multipart and item != "application/dicom+json":
            return -1
        of_item = 9
    elif accepted.explicit:
        return -1
    elif accepted.item == ANY:
        if accepted.multipart and not offer.multipart:
            return -1
        of_item = 3 if accepted.multipart else 0
    elif accepted.multipart is offer.multipart and item.startswith(accepted.item[:-1]):
        of_item = 6
    else:
        return -1
    of_syntax = _syntax_specificity(accepted, offer, item)
    return of_item + of_syntax if of_syntax >= 0 else -1


def _syntax_specificity(accepted: MediaRange, offer: Offer, item: str) -> int:
    wanted, offered = accepted.transfer_syntax, offer.transfer_syntax
    if wanted is None:
        defaults = DEFAULT_TRANSFER_SYNTAXES.get(item)
        if (
            not accepted.explicit
            or not accepted.q
            or offered is None
            or defaults is None
            or offered in defaults
            or offer.default
            or (offer.stored and item in STORED_BY_DEFAULT)
        ):
            return 1
        return -1
    if offered is None:
        # For JSON and XML it says how InlineBinary is encoded (8.7.3.5 note); rendered types have none (8.7.4).
        return 0 if item in _SYNTAX_IMPLIED and wanted in ("*", EXPLICIT_VR_LITTLE_ENDIAN) else -1
    if wanted == "*":
        return 0
    return 2 if wanted == offered else -1


def _covers(header: MediaRange, parameter: MediaRange) -> bool:
    """Whether a range of the header allows what the `accept` parameter names (8.3.3.1)."""
    if not header.q:
        return False
    if header.item == ANY:
        return parameter.multipart or not header.multipart
    if header.multipart is not parameter.multipart and header.item != "application/dicom+json":
        return False
    return header.item == parameter.item or (not header.explicit and parameter.item.startswith(header.item[:-1]))


def _refuse_mixture(ranges: Sequence[MediaRange], offers: Sequence[Offer]) -> None:
    """A rendered type that is offered beside DICOM types is bulk data here (Encapsulated Document, 8.7.3.3)."""
    if len(ranges) < 2:
        return
    # Not by an alias: HTTP libraries of browsers send `application/json, text/plain, */*` with every request.
    named = {r.item for r in ranges if r.q and not r.alias and not (r.multipart and r.item in DOCUMENTS)}
    rendered = named & RENDERED_ONLY
    if not rendered or not named & DICOM_ONLY:
        return
    offered = {offer.item for offer in offers}
    if rendered - offered or not offered & DICOM_ONLY:
        raise BadRequest("DICOM and rendered media types are accepted in one request (PS3.18 8.7.5).")


_SYNTAX_IMPLIED: Final = frozenset({"application/dicom+json", "application/dicom+xml", "application/octet-stream"})
_ANYTHING: Final = MediaRange(ANY, explicit=False)
_LIMITS: Final = Limits()
