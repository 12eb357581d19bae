"""What happens to workitems, as it comes: connections that are opened again, duplicates dropped (PS3.18 8.10)."""

from __future__ import annotations

import json
import logging
import random
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Self

from dicomweb_worklist.datasets import STATE, Attributes, EventType, first, text
from dicomweb_worklist.errors import ConnectionLost, MissingLibrary, Refused, ServerFailed, Untrusted, WorklistError
from dicomweb_worklist.polling import Polling
from dicomweb_worklist.transport import OpensNotifications, Texts, Transport

_logger: Final = logging.getLogger("dicomweb_worklist")

_COMMAND_GROUP: Final = "0000"
_MESSAGE_ID, _WORKITEM, _EVENT_TYPE = "00000110", "00001000", "00001002"
_READINESS: Final = "00404041"
_REMEMBERED: Final = 4096
"""Events of earlier connections by which those that are sent again are known."""
_WAIT: Final = 10.0
"""Seconds between two looks at whether the stream was closed."""
_FIRST_PAUSE: Final = 0.1
_LONGEST_PAUSE: Final = 30.0
_NO_WEBSOCKET: Final = (426, 501)


@dataclass(frozen=True, slots=True)
class Event:
    """A report of an event (PS3.4 CC.2.4)."""

    type: EventType | int
    """An int if it is none of the five."""
    workitem: str
    """Its UID; of a status of the server the UID of the worklist."""
    message_id: int
    attributes: Attributes
    """The event information, without command elements."""

    @property
    def state(self) -> str:
        """Procedure Step State of a state report, otherwise empty."""
        return text(self.attributes, STATE)

    @property
    def readiness(self) -> str:
        """Input Readiness State of a state report, otherwise empty."""
        return text(self.attributes, _READINESS)


def parse_event(report: Mapping[str, Any]) -> Event:
    """From the data set that is sent. Raises ValueError when it does not say what happened to what."""
    number, workitem = first(report, _EVENT_TYPE), text(report, _WORKITEM)
    if not isinstance(number, int) or not workitem:
        raise ValueError("An event report has no Event Type ID, or no Affected SOP Instance UID.")
    message_id = first(report, _MESSAGE_ID)
    return Event(
        EventType(number) if number in list(EventType) else number,
        workitem,
        message_id if isinstance(message_id, int) else 0,
        {tag: element for tag, element in report.items() if not tag.startswith(_COMMAND_GROUP)},
    )


class EventStream:
    """Iterates events. Used by one thread, but for `close`.

    A connection that is lost, or cannot be opened, is opened again for ever, after pauses that grow to half a
    minute; `connections` counts those that were opened. A server that keeps what it could not deliver sends it then;
    one that does not may have lost something: when the count grows, search, or subscribe again.

    An event counts as taken when the next one is asked for; until then a server that waits for that sends it
    again to the next who connects. So events should be taken quickly: one that is worked on for minutes lets the
    server think that we are gone. What is sent again is known by its text and dropped, within one stream.

    Over WebSockets, or by long polling where the transport or the server (426, 501) has none. Iteration raises
    Refused, NotFound and the like when the server wants us to have no events; Untrusted, MissingLibrary.
    """

    def __init__(
        self,
        transport: Transport,
        aetitle: str,
        given_url: Callable[[], str | None] = lambda: None,
        *,
        timeout: float | None = None,
        websocket: bool = True,
    ) -> None:
        self.connections = 0
        self._transport = transport
        self._aetitle = aetitle
        self._given_url = given_url
        self._timeout = timeout
        self._opener = transport if websocket and isinstance(transport, OpensNotifications) else None
        self._polling = Polling(transport, aetitle)
        self._channel: Texts | None = None
        self._opened_url: str | None = None
        self._pending: deque[Event] = deque()
        self._now: list[str] = []
        self._earlier: dict[str, None] = {}
        self._failures = 0
        self._closed = threading.Event()
        self._receiving = threading.Lock()

    def open(self) -> Self:
        """Connects now, which otherwise the first event that is asked for does: a server that keeps nothing for those
        who are not connected tells the state at a subscription only to who is. Raises as iteration does; what is only
        lost for the moment is left to iteration."""
        if self._channel is None and not self._closed.is_set():
            try:
                self._channel = self._connected()
            except ConnectionLost as error:
                self._lost(error)
        return self

    def close(self) -> None:
        """Ends the iteration, at once or, where it is polled for, within ten seconds. Idempotent. From any thread."""
        self._closed.set()
        channel = self._channel
        if channel is None:
            return
        if self._receiving.acquire(blocking=False):
            try:
                channel.close()
            finally:
                self._receiving.release()
        else:
            channel.interrupt()  # the thread that receives closes it

    def __enter__(self) -> Self:
        return self.open()

    def __exit__(self, *_: object) -> None:
        self.close()

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Event:
        deadline = None if self._timeout is None else time.monotonic() + self._timeout
        while not self._closed.is_set():
            if self._pending:
                return self._pending.popleft()
            left = _WAIT if deadline is None else deadline - time.monotonic()
            try:
                if self._channel is None:
                    self._channel = self._connected()
                with self._receiving:
                    texts = [] if self._closed.is_set() else self._channel.receive(max(0.0, min(left, _WAIT)))
                self._failures = 0
            except ConnectionLost as error:
                self._lost(error)
                self._closed.wait(max(0.0, min(self._pause(), left)))
                texts = []
            self._take(texts)
            if not self._pending and left <= 0:
                break
        self.close()
        raise StopIteration

    def _take(self, texts: list[str]) -> None:
        for one in texts:
            try:
                report = json.loads(one)
                event = parse_event(report if isinstance(report, dict) else {})
            except (ValueError, RecursionError) as error:
                _logger.warning("A message on the notification connection is no event: %s", error)
                continue
            # As it would be spelled here: what came over a WebSocket may be sent again to a poll.
            known = json.dumps(report, sort_keys=True)
            if known not in self._earlier:
                self._pending.append(event)
            self._now.append(known)
            del self._now[:-_REMEMBERED]

    def _lost(self, error: ConnectionLost) -> None:
        _logger.info("%s", error)
        if self._channel is not None:
            self._channel.close()
        self._channel = None
        self._failures += 1
        for known in self._now:
            self._earlier.pop(known, None)
            self._earlier[known] = None
        self._now.clear()
        while len(self._earlier) > _REMEMBERED:
            del self._earlier[next(iter(self._earlier))]

    def _pause(self) -> float:
        """Doubles from failure to failure; by chance shorter, that not all clients come back in the same moment."""
        longest = min(_LONGEST_PAUSE, _FIRST_PAUSE * 2.0 ** min(self._failures - 1, 16))
        return longest * random.uniform(0.5, 1.0)

    def _connected(self) -> Texts:
        channel = self._polling if self._opener is None else self._websocket()
        self.connections += 1
        return channel

    def _websocket(self) -> Texts:
        assert self._opener is not None
        failures: list[WorklistError] = []
        urls = self._opener.notification_urls(self._given_url(), self._aetitle)
        for url in sorted(urls, key=lambda one: one != self._opened_url):
            try:
                channel = self._opener.open_notifications(url)
                self._opened_url = url
                return channel
            except (Refused, Untrusted, MissingLibrary):
                raise
            except WorklistError as error:
                if error.status in _NO_WEBSOCKET:
                    self._opener = None
                    return self._polling
                failures.append(error)
        for failure in failures:
            if isinstance(failure, (ConnectionLost, ServerFailed)):
                raise ConnectionLost(str(failure)) from failure  # it may be better next time
        raise failures[0]
