"""Open the notification connection of an AE (PS3.18 8.10.4), and two other ways to its events.

A WebSocket is the adapter's to open: the answer is 101 with the feed. Where that cannot be, the same events come as
Server-Sent Events (`Accept: text/event-stream`) or as a list (`application/dicom+json`): extensions, for clients behind
servers and proxies that let no WebSocket through. Both say how far a client has got with the next request.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing
from typing import Final
from urllib.parse import quote

from dicomweb_core.errors import Forbidden, Overloaded, UpgradeRequired
from dicomweb_core.rules.cross_origin import admits_page
from dicomweb_core.rules.negotiation import Accept
from dicomweb_core.rules.targets import Target
from dicomweb_core.rules.worklist_parameters import Listening, listening_parameters
from dicomweb_core.services.answers import single_answer, started
from dicomweb_core.services.event_listening import WaitingFeed
from dicomweb_core.services.retrieve import JSON
from dicomweb_core.services.scopes import Scope
from dicomweb_core.services.site import Site
from dicomweb_core.values.events import Event
from dicomweb_core.values.messages import Body, Request, Response

EVENT_STREAM: Final = "text/event-stream"

_RETRY_MILLISECONDS: Final = 500
_RETRY_CROWDED_MILLISECONDS: Final = 5_000
"""Between the streams of who found no place to wait at."""
_AT_ONCE: Final = 1_000
"""Events in one list, or about as many in one stream: then the client says what it has got."""


def open_channel(site: Site, request: Request, target: Target, accept: Accept, scope: Scope) -> Response:
    """The events of an AE. Raises Forbidden for pages of foreign origins, UpgradeRequired, Overloaded, InvalidQuery."""
    if not admits_page(request, site.cors_origins):
        raise Forbidden("Pages of this origin may not listen here.")
    listening = listening_parameters(request)
    if _asks_for_websocket(request):
        feed = site.required_feeds.open(target.subscriber, after=listening.after, scope=scope)
        return Response(101, (), Body(close=feed.close), feed)
    accepted = {one.item for one in (*accept.parameter, *accept.header) if one.explicit and one.q and not one.multipart}
    if EVENT_STREAM in accepted:
        return _stream(site, request, target, listening, scope)
    if JSON in accepted:
        return _list(site, request, target, listening, scope)
    raise UpgradeRequired(
        "Notifications come over a WebSocket (PS3.18 8.10.4). Without one, accept text/event-stream or "
        "application/dicom+json."
    )


def _asks_for_websocket(request: Request) -> bool:
    """Whether the connection is to become a WebSocket (RFC 6455 4.1)."""
    upgrades, options = (request.header(name) or "" for name in ("Upgrade", "Connection"))
    return request.method == "GET" and _lists("websocket", upgrades) and _lists("upgrade", options)


def _lists(token: str, value: str) -> bool:
    return token in {element.strip().lower() for element in value.split(",")}


def _stream(site: Site, request: Request, target: Target, listening: Listening, scope: Scope) -> Response:
    limits = site.limits

    def chunks() -> Iterator[bytes]:
        with (
            ExitStack() as places,
            closing(
                WaitingFeed(site.required_feeds.open(target.subscriber, after=listening.after, scope=scope))
            ) as waiting,
        ):
            try:
                places.enter_context(site.required_feeds.place())
            except Overloaded:
                # A browser that is refused does not come again (HTML 9.2.3): it gets what there is, and comes later.
                yield _events(waiting.take(0, _AT_ONCE), retry=_RETRY_CROWDED_MILLISECONDS)
                return
            yield _events((), retry=_RETRY_MILLISECONDS)
            deadline = time.monotonic() + limits.event_stream_seconds
            sent = 0
            while sent < _AT_ONCE and (left := deadline - time.monotonic()) > 0:
                events = waiting.take(min(left, limits.event_keep_alive_seconds))
                if waiting.ended:
                    return
                sent += len(events)
                yield _events(events) or b":\n\n"

    headers = (("Content-Type", EVENT_STREAM), ("X-Accel-Buffering", "no"))
    if request.method == "HEAD":
        return Response(200, headers)
    return Response(200, headers, Body(started(chunks())))


def _events(events: Sequence[Event], *, retry: int | None = None) -> bytes:
    """As a stream has them, behind after how many milliseconds the client may ask for the next stream."""
    told = b"" if retry is None else b"retry: %d\n\n" % retry
    return told + b"".join(b"id: %d\ndata: %b\n\n" % (event.sequence, event.text) for event in events)


def _list(site: Site, request: Request, target: Target, listening: Listening, scope: Scope) -> Response:
    seconds = 0.0 if request.method == "HEAD" else min(listening.wait, site.limits.event_wait_seconds)
    feeds = site.required_feeds
    with closing(WaitingFeed(feeds.open(target.subscriber, after=listening.after, scope=scope))) as waiting:
        events = waiting.take(0, _AT_ONCE)
        if not events and seconds:
            with feeds.place():
                events = waiting.take(seconds, _AT_ONCE)
    after = events[-1].sequence if events else waiting.feed.acknowledged
    following = f"{site.root_of(request.base_url)}/subscribers/{quote(target.subscriber, safe='')}?after={after}"
    text = b"[" + b",".join(event.text for event in events) + b"]"
    return single_answer(text, JSON, headers=(("Link", f'<{following}>; rel="next"'),))
