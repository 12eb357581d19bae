"""Who listens for events in this process, and what they have got (PS3.18 8.10).

The queues of the store are the only buffer: a listener takes from them what it can send, so a slow one costs nothing
but its place. One thread looks for news while somebody listens; what other processes queue is seen through the store.
"""

from __future__ import annotations

import logging
import os
import threading
import weakref
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import Final

from dicomweb_core.errors import NotFound, Overloaded, StorageUnavailable
from dicomweb_core.rules.workitem_reports import event_text
from dicomweb_core.services.scopes import EVERYTHING, Scope
from dicomweb_core.storage.worklists import WorklistStore
from dicomweb_core.values.events import Event
from dicomweb_core.values.workitems import WORKLIST, QueuedReport

logger = logging.getLogger("dicomweb_core")

LOOKING_SECONDS: Final = 0.01
"""Between two looks for what other processes have queued."""
NOTICED_SECONDS: Final = 1.0
"""How long somebody may wait without looking whether the server stops."""
_AFTER_A_FAILURE_SECONDS: Final = 1.0
_LOOKED_AT: Final = 1_000
"""Reports in one go that a narrowed listener may not see: others wait for their turn meanwhile."""


class Feed:
    """An `EventFeed` over a worklist."""

    def __init__(self, feeds: EventFeeds, receiver: str, scope: Scope) -> None:
        self.receiver = receiver
        self.acknowledged = 0
        """Up to here the AE need not get events again, as far as this listener is concerned."""
        self._feeds = feeds
        self._scope = scope
        self._given = self._read = 0
        """What the listener was given last, and what was looked at last: some may be outside of its scope."""
        self._notify: Callable[[], None] = _nothing

    def begin(self, after: int) -> None:
        """Behind this sequence number: up to it the AE has got everything."""
        self._given = self._read = self.acknowledged = after
        self._feeds.forget_delivered(self.receiver)

    @property
    def ended(self) -> bool:
        """Whether the server stops."""
        return self._feeds.ended

    def take(self, limit: int = 100) -> tuple[Event, ...]:
        """The next events that the listener may see. None, and told again, after many that it may not."""
        events: list[Event] = []
        passed_over = 0
        while len(events) < limit and not self.ended:
            if passed_over >= _LOOKED_AT:
                self._notify()
                break
            try:
                queued = self._feeds.worklist.queued(self.receiver, self._read, limit - len(events))
            except StorageUnavailable:
                if self._feeds.ended:
                    break
                raise
            if not queued:
                break
            seen = [one for one in queued if self._admits(one)]
            events += [Event(one.sequence, one.report, event_text(one)) for one in seen]
            passed_over += len(queued) - len(seen)
            self._read = queued[-1].sequence
        if events:
            self._given = events[-1].sequence
        elif self.acknowledged >= self._given:
            self.acknowledge(self._read)
        return tuple(events)

    def notify(self, call: Callable[[], None]) -> None:
        """Also called at once, for what is there already."""
        self._notify = call
        call()

    def acknowledge(self, sequence: int) -> None:
        """Forgotten is what all listeners of the AE in this process have got."""
        if sequence >= self._given:
            # what was passed over since is for nobody here
            sequence = self._read
        if sequence > self.acknowledged:
            self.acknowledged = sequence
            self._feeds.forget_delivered(self.receiver)

    def close(self) -> None:
        """Idempotent."""
        self._notify = _nothing
        self._feeds.leave(self)

    def tell(self) -> None:
        """There may be more to take, or the server stops."""
        self._notify()

    def _admits(self, queued: QueuedReport) -> bool:
        """Whether the listener may know of the workitem, as it is now."""
        uid = queued.report.workitem
        if not self._scope.keys or uid == WORKLIST:
            return True
        try:
            return self._scope.admits(self._feeds.worklist.get(uid).attributes)
        except NotFound:
            return False


class EventFeeds:
    """The listeners of a process. Its thread runs while somebody listens. The child of a fork begins without any."""

    def __init__(self, worklist: WorklistStore, *, waiting: int) -> None:
        """`waiting` is how many listeners may keep threads of the server waiting."""
        self.worklist = worklist
        self.ended = False
        """Whether the server stops."""
        self._waiting = waiting
        self.reset()
        _all.add(self)

    def reset(self) -> None:
        """For the child of a fork, where no other thread exists: who listens does so in the parent."""
        self._lock = threading.Lock()
        self._by_receiver: dict[str, set[Feed]] = {}
        self._woken = threading.Event()
        self._watching = False
        self._places = threading.Semaphore(self._waiting)

    def open(self, receiver: str, *, after: int = 0, scope: Scope = EVERYTHING) -> Feed:
        """Listens. `after` acknowledges what another connection has got, up to that sequence number; one that was never
        given, as by a worklist in memory that is gone, acknowledges nothing."""
        feed = Feed(self, receiver, scope)
        with self._lock:
            self._by_receiver.setdefault(receiver, set()).add(feed)
            if not self._watching and not self.ended:
                self._watching = True
                threading.Thread(target=self._watch, name="dicomweb events", daemon=True).start()
        try:
            delivered = self.worklist.listen(receiver)
            feed.begin(max(delivered, after) if after <= self.worklist.latest() else delivered)
        except BaseException:
            feed.close()
            raise
        return feed

    def leave(self, feed: Feed) -> None:
        """What the others have got is all that counts now."""
        with self._lock:
            others = self._by_receiver.get(feed.receiver, set())
            left = feed in others
            others.discard(feed)
            if left and not others:
                del self._by_receiver[feed.receiver]
                self.worklist.unlisten(feed.receiver)
        if left and others:
            self.forget_delivered(feed.receiver)

    def forget_delivered(self, receiver: str) -> None:
        """Takes from the queue what every listener in this process has got. What fails is done with the next.

        Nothing once the server stops: a listener that goes with it was cut off, it has not left the rest to others.
        """
        with self._lock:
            up_to = min((feed.acknowledged for feed in self._by_receiver.get(receiver, ())), default=0)
        if up_to > 0 and not self.ended:
            with suppress(StorageUnavailable):
                self.worklist.delivered(receiver, up_to)

    def wake(self) -> None:
        """Something was queued in this process: no need to wait until it is found."""
        if self._watching:
            self._woken.set()

    @contextmanager
    def place(self) -> Iterator[None]:
        """Of a listener who keeps a thread waiting. Raises Overloaded when there is none left."""
        if not self._places.acquire(blocking=False):
            raise Overloaded("Too many listeners keep this server waiting; those of a WebSocket do not.")
        try:
            yield
        finally:
            self._places.release()

    def end(self) -> None:
        """Ends all feeds; what was not acknowledged stays queued. Takes no lock, so a signal handler may call it: it is
        noticed within `NOTICED_SECONDS`. Idempotent."""
        self.ended = True

    def close(self) -> None:
        """Ends all feeds and tells those who wait. Idempotent."""
        self.end()
        with self._lock:
            listening = self._listening(self._by_receiver)
        for feed in listening:
            feed.tell()

    def _listening(self, receivers: Iterable[str]) -> list[Feed]:
        return [feed for receiver in receivers for feed in self._by_receiver.get(receiver, ())]

    def _watch(self) -> None:
        seen: int | None = None
        pause = LOOKING_SECONDS
        while True:
            self._woken.wait(pause)
            self._woken.clear()
            if not self._needed():
                return
            try:
                seen = self._look(seen)
                pause = LOOKING_SECONDS
            except Exception:
                if not self._needed():
                    return
                if pause == LOOKING_SECONDS:
                    # once, however long it lasts
                    logger.exception("The worklist cannot be watched for events")
                pause = _AFTER_A_FAILURE_SECONDS

    def _needed(self) -> bool:
        """Whether somebody listens. If not, the thread that asks has to end."""
        with self._lock:
            self._watching = bool(self._by_receiver) and not self.ended
            return self._watching

    def _look(self, seen: int | None) -> int:
        """Tells those for whom there is news behind what was seen; what is there now."""
        latest = self.worklist.latest()
        if latest != seen:
            receivers = self._by_receiver.keys() if seen is None else set(self.worklist.receivers_since(seen))
            with self._lock:
                listening = self._listening(receivers)
            for feed in listening:
                feed.tell()
        return latest


def _nothing() -> None:
    """Nobody is to be told."""


_all: Final[weakref.WeakSet[EventFeeds]] = weakref.WeakSet()


def _after_fork() -> None:
    for feeds in _all:
        feeds.reset()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
