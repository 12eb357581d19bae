"""From the answer of a transaction to what leaves the server: conditions, content coding, ranges (RFC 9110 8, 13, 14).

The order is that of RFC 9110 13.2.2: the transaction would succeed, the conditions hold, then the range. A range is one
of the bytes without content coding, so what is asked for in ranges is not compressed.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing
from importlib.metadata import PackageNotFoundError, version
from typing import Final

from dicomweb_core.codecs import multipart_encoder as multipart
from dicomweb_core.codecs.content_codings import PIECE_BYTES, compressed, compressed_chunks
from dicomweb_core.errors import PreconditionFailed
from dicomweb_core.rules.content_coding import SMALLEST, Coding, choose_coding, is_text
from dicomweb_core.rules.preconditions import EntityTag, if_match_holds, if_range_holds, known_tag, names_any
from dicomweb_core.rules.ranges import content_range, parse_ranges
from dicomweb_core.services.answers import started
from dicomweb_core.services.parts import Chunks
from dicomweb_core.values.blobs import Span
from dicomweb_core.values.messages import Body, Request, Response


def _versions(*distributions: str) -> tuple[str | None, ...]:
    found: list[str | None] = []
    for name in distributions:
        try:
            found.append(version(name))
        except PackageNotFoundError:
            found.append(None)
    return tuple(found)


_MADE_BY: Final = (1, *_versions("dicomweb-core", "imagecodecs", "Pillow"))
"""What makes answers of stored bytes: another version may make others of the same. The number is counted up when this
code does, between versions."""

_BOUNDARY: Final = re.compile(r"\Amultipart/[^;]+;.* boundary=([0-9a-f]+)\Z")
"""As `multipart_encoder` writes it."""

_READING: Final = frozenset({"GET", "HEAD", "OPTIONS"})


def validator(state: bytes, request: Request, *choices: object) -> str:
    """The opaque part of the tag of an answer that is a function of stored content, the request and `choices`.

    It is known before the answer is made. `state` is of `InstanceStore.version`: who does not know it cannot compute
    the tag.
    """
    accepted = (request.header("Accept"), request.header("Accept-Charset"))
    told = (_MADE_BY, state, request.path, request.query, request.base_url, *accepted, *choices)
    return hashlib.blake2b(repr(told).encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()


def not_modified(request: Request, opaque: str, codings: tuple[str, ...]) -> Response | None:
    """304 if the client says that it has this answer, before it is made.

    `*` is not looked at here: whether there is an answer only the transaction knows.
    """
    held = request.header("If-None-Match")
    if held is None or request.header("If-Match") is not None:
        return None
    coding = _coding(request, codings)
    names = () if coding.required else (opaque,)
    tag = known_tag(held, (*names, _coded(opaque, coding.name)))
    return None if tag is None else Response(304, (("ETag", str(tag)),))


def refuse_conditional_change(request: Request) -> None:
    """Raises PreconditionFailed for If-Match in a request that changes something: our tags are of representations, and
    what they say of the present state of a resource can be outdated when the change is made."""
    if request.method in _READING:
        return
    condition = request.header("If-Match")
    if condition is not None and not names_any(condition):
        raise PreconditionFailed("If-Match with entity tags cannot be promised for requests that change something.")


def delivered(request: Request, response: Response, opaque: str | None, codings: tuple[str, ...]) -> Response:
    """The response to this request that an answer becomes.

    `opaque` is what `validator` gave; without it the tag is made of what lies in memory. Raises PreconditionFailed,
    RangeNotSatisfiable, and what reading the first bytes raises.
    """
    try:
        if request.method not in _READING or response.status != 200:
            return _encoded(request, response, codings)
        return _represented(request, response, opaque, codings)
    except BaseException:
        response.body.close()
        raise


def _represented(request: Request, response: Response, opaque: str | None, codings: tuple[str, ...]) -> Response:
    several = (response.header("Content-Type") or "").startswith("multipart/")
    wanted = request.header("Range") if request.method == "GET" else None
    plain = response
    if wanted is None:
        response = _encoded(request, response, codings)
    coding = None if response is plain else response.header("Content-Encoding")
    if opaque is not None and plain.header("Warning") is not None:
        # Something is left out. It may be there next time.
        opaque = None
    elif opaque is None and plain.body.content is not None:
        opaque = _digest(plain, plain.body.content)
    # A boundary is another one each time, and two machines need not compress alike.
    tag = None if opaque is None else EntityTag(_coded(opaque, coding), several or coding is not None)
    _check_if_match(request, tag)
    headers = response.headers if tag is None else (*response.headers, ("ETag", str(tag)))
    if _is_known(request, tag):
        response.body.close()
        kept = tuple((name, value) for name, value in headers if name in ("ETag", "Content-Location"))
        return Response(304, kept)
    body = response.body
    if body.length is not None and coding is None and not several:
        headers = (*headers, ("Accept-Ranges", "bytes"))
        validated = request.header("If-Range")
        if wanted is not None and (validated is None or if_range_holds(validated, tag)):
            spans = parse_ranges(wanted, body.length)
            if spans and (len(spans) == 1 or body.ranged is not None):
                return _partial(Response(206, headers, body), spans, body.length)
    if body.ranged is not None and body.content is None and request.method != "HEAD":
        body = Body(started(iter(body)), length=body.length, close=body.close)
    return Response(200, headers, body)


def _digest(response: Response, content: bytes) -> str:
    """Of an answer in memory. A boundary says nothing."""
    headers = repr(response.headers).encode()
    boundary = _BOUNDARY.search(response.header("Content-Type") or "")
    if boundary is not None:
        headers, content = (text.replace(boundary[1].encode(), b"") for text in (headers, content))
    return hashlib.blake2b(content, key=hashlib.blake2b(headers).digest(), digest_size=16).hexdigest()


def _check_if_match(request: Request, tag: EntityTag | None) -> None:
    condition = request.header("If-Match")
    if condition is not None and not if_match_holds(condition, tag):
        raise PreconditionFailed("The resource is not, or no longer, in the state that If-Match names.")


def _is_known(request: Request, tag: EntityTag | None) -> bool:
    held = request.header("If-None-Match")
    if held is None:
        return False
    return names_any(held) or (tag is not None and known_tag(held, (tag.opaque,)) is not None)


def _coding(request: Request, codings: tuple[str, ...]) -> Coding:
    return choose_coding(request.header("Accept-Encoding"), codings) if codings else Coding()


def _coded(opaque: str, coding: str | None) -> str:
    return opaque if coding is None else f"{opaque}-{coding}"


def _encoded(request: Request, response: Response, codings: tuple[str, ...]) -> Response:
    """With the content coding that the client prefers, if that is worth it."""
    body = response.body
    if not is_text(response.header("Content-Type") or ""):
        return response
    coding = _coding(request, codings)
    if coding.name is None:
        return response
    if body.length is not None and body.length < (1 if coding.required else SMALLEST):
        return response
    if body.content is not None and len(body.content) <= PIECE_BYTES:
        encoded = Body.of(compressed(body.content, coding.name))
    else:
        encoded = Body(compressed_chunks(body, coding.name), close=body.close)
    return Response(response.status, (*response.headers, ("Content-Encoding", coding.name)), encoded)


def _partial(whole: Response, spans: Sequence[Span], size: int) -> Response:
    """206 with these spans (RFC 9110 15.3.7)."""
    body = whole.body
    if len(spans) == 1:
        (span,) = spans
        chunks = body.ranged(*span) if body.ranged is not None else _sliced(body, span)
        headers = (*whole.headers, ("Content-Range", content_range(span, size)))
        return Response(206, headers, Body(started(chunks), length=span.length, close=body.close))
    boundary = multipart.new_boundary()
    content_type = whole.header("Content-Type") or "application/octet-stream"
    heads = [
        multipart.part_head(boundary, (("Content-Type", content_type), ("Content-Range", content_range(span, size))))
        for span in spans
    ]
    length = multipart.message_length(
        boundary, [(len(head), span.length) for head, span in zip(heads, spans, strict=True)]
    )
    of_message = ("Content-Type", f"multipart/byteranges; boundary={boundary.decode('ascii')}")
    headers = (of_message, *(header for header in whole.headers if header[0] != "Content-Type"))
    chunks = started(_several(body, heads, spans, boundary))
    return Response(206, headers, Body(chunks, length=length, close=body.close))


def _several(body: Body, heads: Sequence[bytes], spans: Sequence[Span], boundary: bytes) -> Chunks:
    assert body.ranged is not None
    for head, span in zip(heads, spans, strict=True):
        with ExitStack() as stack:
            chunks = body.ranged(*span)
            close = getattr(chunks, "close", None)
            if close is not None:
                stack.callback(close)
            # With the first content: what fails, fails before it.
            yield head + next(chunks, b"")
            yield from chunks
        yield multipart.PART_END
    yield multipart.closing(boundary)


def _sliced(body: Body, span: Span) -> Iterator[bytes]:
    """A span of what can only be read from its beginning."""
    before, wanted = span
    with closing(body):
        for chunk in body:
            piece = chunk[before : before + wanted]
            before -= min(before, len(chunk))
            wanted -= len(piece)
            if piece:
                yield piece
            if not wanted:
                return
