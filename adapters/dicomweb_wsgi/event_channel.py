"""One notification connection: a WebSocket (RFC 6455) that is fed with events (PS3.18 8.10.5). No input or output here.

A report counts as delivered when the pong of a ping that was sent behind it is back: every WebSocket answers pings by
itself and in order, and the standard has no other acknowledgement. So a report whose connection was lost comes again.
"""

from __future__ import annotations

from collections import deque
from typing import Final

from websockets.frames import CloseCode, Frame, Opcode
from websockets.protocol import State
from websockets.server import ServerProtocol

from dicomweb_core.errors import DICOMwebError
from dicomweb_core.values.events import EventFeed

MESSAGE_BYTES: Final = 65_536
"""Of what a client sends. It has nothing to say; a larger message ends the connection (1009)."""

BUFFERED_BYTES: Final = 65_536
"""Of what is to be sent: with more, no events are taken and nothing is read."""

PING_SECONDS: Final = 20.0
"""Between pings of a quiet connection, so that what lies between does not forget it."""

PONG_SECONDS: Final = 20.0
"""Within which a ping is answered, or the connection is closed."""

CLOSING_SECONDS: Final = 5.0
"""Within which a connection that is being closed has to be."""

_IN_FLIGHT: Final = 1_000
"""Events that were sent and are not acknowledged."""

_FAILED: Final = CloseCode.INTERNAL_ERROR
_SLOW: Final = CloseCode.TRY_AGAIN_LATER


class EventChannel:
    """The protocol of one connection, for one thread at a time. `now` is monotonic, in seconds."""

    def __init__(self, protocol: ServerProtocol, feed: EventFeed, now: float) -> None:
        """The handshake of the protocol was made, its answer is not sent yet."""
        self.feed = feed
        self.buffer = bytearray()
        """What is to be sent next."""
        self.half_closed = False
        """Whether nothing more is sent behind the buffer."""
        self._protocol = protocol
        self._news = True
        self._pings: deque[tuple[bytes, int, float]] = deque()
        """Those not answered: the payload names the last event before it; how many were in flight then, and when."""
        self._given = 0
        self._in_flight = 0
        self._pinged = now
        self._closing: float | None = None
        self._collect()

    @property
    def full(self) -> bool:
        """Whether nothing more should be read."""
        return len(self.buffer) >= BUFFERED_BYTES

    def overdue(self, now: float) -> bool:
        """Whether a pong should have come by now."""
        return bool(self._pings) and now - self._pings[0][2] > PONG_SECONDS

    @property
    def over(self) -> bool:
        """Whether the client has ended the connection."""
        return self._protocol.state is State.CLOSED

    def tell(self) -> None:
        """There may be events. From any thread."""
        self._news = True

    def received(self, data: bytes, now: float) -> None:
        """What the client sent; nothing is the end."""
        if data:
            self._protocol.receive_data(data)
        else:
            self._protocol.receive_eof()
        for event in self._protocol.events_received():
            if isinstance(event, Frame) and event.opcode is Opcode.PONG:
                self._answered(bytes(event.data))
        if self._protocol.state is not State.OPEN and self._closing is None:
            self._closing = now
        self._collect()

    def fill(self, now: float) -> None:
        """Puts events into the buffer while there are some, and room for them."""
        while self._news and self._protocol.state is State.OPEN and not self.full and self._in_flight < _IN_FLIGHT:
            # before the look: what comes during it is told again
            self._news = False
            try:
                events = self.feed.take(min(100, _IN_FLIGHT - self._in_flight))
            except DICOMwebError:
                self.close(_FAILED, "The events cannot be read now.", now)
                return
            if not events:
                return
            self._news = True
            for event in events:
                self._protocol.send_text(event.text)
            self._given = events[-1].sequence
            self._in_flight += len(events)
            self._ping(now)
            self._collect()

    def tick(self, now: float) -> None:
        """To be called about once in a second: pings, and closes what does not answer them."""
        if self._protocol.state is not State.OPEN:
            return
        if self.feed.ended:
            self.go_away(now)
        elif self.overdue(now):
            slow = bool(self.buffer)
            self.close(_SLOW if slow else _FAILED, "Read faster." if slow else "No pong came.", now)
        elif not self._pings and now - self._pinged > PING_SECONDS:
            self._ping(now)
            self._collect()

    def expired(self, now: float) -> bool:
        """Whether closing has taken too long."""
        return self._closing is not None and now - self._closing > CLOSING_SECONDS

    def go_away(self, now: float) -> None:
        """The server stops: the client may come again later."""
        self.close(CloseCode.GOING_AWAY, "The server stops.", now)

    def close(self, code: CloseCode, reason: str, now: float) -> None:
        """Begins to close. Idempotent."""
        if self._protocol.state is State.OPEN:
            self._protocol.fail(code, reason)
            self._closing = now
            self._collect()

    def _ping(self, now: float) -> None:
        payload = str(self._given).encode()
        self._protocol.send_ping(payload)
        self._pings.append((payload, self._in_flight, now))
        self._pinged = now

    def _answered(self, payload: bytes) -> None:
        """A pong may answer several pings; one that answers none means nothing."""
        if all(ping != payload for ping, *_ in self._pings):
            return
        ping = b""
        while ping != payload:
            ping, in_flight, _ = self._pings.popleft()
        self._in_flight -= in_flight
        self._pings = deque((other, count - in_flight, sent) for other, count, sent in self._pings)
        self._news = True
        self.feed.acknowledge(int(payload))

    def _collect(self) -> None:
        for data in self._protocol.data_to_send():
            if data:
                self.buffer += data
            else:
                self.half_closed = True
