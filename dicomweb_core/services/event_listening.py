"""Listening for events with a thread that waits: iterators, callbacks, streams (PS3.18 8.10)."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from types import TracebackType
from typing import Final, Self

from dicomweb_core.errors import StorageUnavailable
from dicomweb_core.services.event_feeds import NOTICED_SECONDS, EventFeeds, Feed
from dicomweb_core.values.events import Event

logger = logging.getLogger("dicomweb_core")

_RETRY_SECONDS: Final = (1.0, 60.0)
"""How long a report waits that a callback has failed on, at first and at most."""


class WaitingFeed:
    """A feed whose thread waits for the next events. To be closed."""

    def __init__(self, feed: Feed) -> None:
        self.feed = feed
        self._ended = False
        self._news = threading.Event()
        feed.notify(self._news.set)

    @property
    def ended(self) -> bool:
        """Whether nothing more comes."""
        return self._ended or self.feed.ended

    def take(self, seconds: float | None, limit: int = 100) -> tuple[Event, ...]:
        """The next events; none if none came for so long, or if there will be none any more. None: for ever."""
        deadline = None if seconds is None else time.monotonic() + seconds
        while True:
            self._news.clear()
            events = self.feed.take(limit)
            if events or self.ended:
                return events
            left = NOTICED_SECONDS if deadline is None else deadline - time.monotonic()
            if left <= 0:
                return ()
            self._news.wait(min(left, NOTICED_SECONDS))

    def end(self) -> None:
        """Nothing more comes; wakes who waits. From any thread."""
        self._ended = True
        self._news.set()

    def close(self) -> None:
        """Idempotent."""
        self.feed.close()


def iterate(feeds: EventFeeds, receiver: str, timeout: float | None) -> Iterator[Event]:
    """Events as they come; ends when none came for so many seconds. One is acknowledged when the next is asked for."""
    with closing(WaitingFeed(feeds.open(receiver))) as waiting:
        while events := waiting.take(timeout):
            for event in events:
                yield event
                waiting.feed.acknowledge(event.sequence)
                if waiting.ended:
                    return


class Listener:
    """Calls back for each event of an AE, in order, in a thread of its own, until it is closed.

    An event is acknowledged when the call returns; if it raises, that is logged and the call repeated later.
    """

    def __init__(self, feeds: EventFeeds, receiver: str, call: Callable[[Event], object]) -> None:
        self._waiting = WaitingFeed(feeds.open(receiver))
        self._call = call
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._listen, name=f"dicomweb listener {receiver}", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Returns when no call is under way any more. Idempotent."""
        self._closed.set()
        self._waiting.end()
        if threading.current_thread() is not self._thread:
            self._thread.join()

    def _listen(self) -> None:
        with closing(self._waiting) as waiting:
            while not waiting.ended:
                for event in self._taken():
                    if not self._called(event):
                        return
                    waiting.feed.acknowledge(event.sequence)

    def _taken(self) -> tuple[Event, ...]:
        try:
            return self._waiting.take(None)
        except StorageUnavailable:
            logger.exception("The events for a callback cannot be read; it is tried again")
            self._closed.wait(_RETRY_SECONDS[0])
            return ()

    def _called(self, event: Event) -> bool:
        pause, longest = _RETRY_SECONDS
        while not self._closed.is_set():
            try:
                self._call(event)
                return True
            except Exception:
                logger.exception("A callback for events has failed; it is called again")
            self._closed.wait(pause)
            pause = min(2 * pause, longest)
        return False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
