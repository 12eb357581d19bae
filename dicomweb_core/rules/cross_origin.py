"""Cross-origin requests of browsers (the Fetch standard's CORS protocol)."""

from __future__ import annotations

from typing import Final

from dicomweb_core.values.messages import HeaderList, Request

_ALLOW_HEADERS: Final = "Accept, Accept-Charset, Authorization, Content-Type, If-None-Match, Range"
_EXPOSE: Final = "Allow, Content-Encoding, Content-Location, Content-Range, ETag, Location, Retry-After, Warning"


def is_preflight(request: Request) -> bool:
    """Whether an OPTIONS request asks for permission, not for capabilities (CAP-07)."""
    return (
        request.method == "OPTIONS"
        and request.header("Origin") is not None
        and request.header("Access-Control-Request-Method") is not None
    )


def cross_origin_headers(request: Request, origins: frozenset[str], methods: tuple[str, ...] = ()) -> HeaderList:
    """What lets a page of an allowed origin read the answer; nothing for others. `methods` are those of a preflight.

    An origin is compared whole: no suffixes, no patterns. `*` allows every origin, and never with credentials.
    """
    origin = request.header("Origin")
    if not origins or origin is None:
        return ()
    if "*" in origins:
        allowed = "*"
    elif origin in origins:
        allowed = origin
    else:
        return (("Vary", "Origin"),)
    headers: list[tuple[str, str]] = [("Access-Control-Allow-Origin", allowed)]
    if allowed != "*":
        headers.append(("Vary", "Origin"))
    if methods:
        headers += [
            ("Access-Control-Allow-Methods", ", ".join(methods)),
            ("Access-Control-Allow-Headers", _ALLOW_HEADERS),
            ("Access-Control-Max-Age", "86400"),
        ]
    else:
        headers.append(("Access-Control-Expose-Headers", _EXPOSE))
    return tuple(headers)
