"""Cross-origin requests of browsers (the Fetch standard's CORS protocol)."""

from __future__ import annotations

from typing import Final
from urllib.parse import urlsplit

from dicomweb_core.values.messages import HeaderList, Request

_ALLOW_HEADERS: Final = "Accept, Accept-Charset, Authorization, Content-Type, If-Match, If-None-Match, If-Range, Range"
_EXPOSE: Final = (
    "Accept-Ranges, Allow, Content-Disposition, Content-Encoding, Content-Location, Content-Range, ETag, "
    "Link, Location, Retry-After, Warning"
)
_PREFLIGHT_SECONDS: Final = 86_400
"""How long a browser may remember a permission. What it permits is methods and header names, never an answer."""


def is_preflight(request: Request) -> bool:
    """Whether an OPTIONS request asks for permission, not for capabilities (CAP-07)."""
    return (
        request.method == "OPTIONS"
        and request.header("Origin") is not None
        and request.header("Access-Control-Request-Method") is not None
    )


def varies_by_origin(origins: frozenset[str]) -> bool:
    """Whether answers to other origins, and to none, have other headers: then caches have to know, always."""
    return bool(origins) and "*" not in origins


def admits_page(request: Request, origins: frozenset[str]) -> bool:
    """Whether what sent a request may use it: no page at all, one of our own origin, or one that is allowed.

    For what a page must not even begin, CORS or not: browsers open a WebSocket to anywhere and send an Origin with it
    (RFC 6455 10.2); with other requests they say at least whether the page is foreign (`Sec-Fetch-Site`).
    """
    if "*" in origins:
        return True
    origin = request.header("Origin")
    if origin is None:
        return (request.header("Sec-Fetch-Site") or "none").lower() in ("none", "same-origin")
    own = urlsplit(request.base_url)
    return origin.lower() == f"{own.scheme}://{own.netloc}".lower() or (origin in origins and origin != "null")


def cross_origin_headers(request: Request, origins: frozenset[str], methods: tuple[str, ...] = ()) -> HeaderList:
    """What lets a page of an allowed origin read the answer; nothing for others. `methods` are those of a preflight.

    An origin is compared whole: no suffixes, no patterns. `null` is the origin of anybody's sandbox and never allowed
    by name. `*` allows every origin; no answer ever allows credentials.
    """
    origin = request.header("Origin")
    if origin is None:
        return ()
    if "*" in origins:
        allowed = "*"
    elif origin in origins and origin != "null":
        allowed = origin
    else:
        return ()
    if not methods:
        return (("Access-Control-Allow-Origin", allowed), ("Access-Control-Expose-Headers", _EXPOSE))
    return (
        ("Access-Control-Allow-Origin", allowed),
        ("Access-Control-Allow-Methods", ", ".join(methods)),
        ("Access-Control-Allow-Headers", _ALLOW_HEADERS),
        ("Access-Control-Max-Age", str(_PREFLIGHT_SECONDS)),
    )
