"""A notification connection without a socket: our side against a client's, the clock in our hands (PS3.18 8.10.5)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from websockets.client import ClientProtocol
from websockets.frames import Frame, Opcode
from websockets.http11 import Request as HandshakeRequest
from websockets.protocol import State
from websockets.server import ServerProtocol
from websockets.uri import parse_uri

from dicomweb_core.errors import StorageUnavailable
from dicomweb_core.values.events import Event
from dicomweb_core.values.workitems import EventReport, EventType
from dicomweb_wsgi.event_channel import (
    BUFFERED_BYTES,
    CLOSING_SECONDS,
    MESSAGE_BYTES,
    PING_SECONDS,
    PONG_SECONDS,
    EventChannel,
)


class Queue:
    """A feed of as many events as a test puts into it."""

    receiver = "WATCH"

    def __init__(self, count: int = 0, size: int = 10) -> None:
        self.events = [self.event(number, size) for number in range(1, count + 1)]
        self.acknowledged = 0
        self.closed = self.ended = self.broken = False

    @staticmethod
    def event(number: int, size: int = 10) -> Event:
        return Event(number, EventReport("2.25.1", EventType.STATE_REPORT, {}), f"{number:{size}}".encode())

    def take(self, limit: int = 100) -> tuple[Event, ...]:
        if self.broken:
            raise StorageUnavailable("Broken by order.")
        taken, self.events = self.events[:limit], self.events[limit:]
        return tuple(taken)

    def notify(self, call: Callable[[], None]) -> None:
        call()

    def acknowledge(self, sequence: int) -> None:
        self.acknowledged = sequence

    def close(self) -> None:
        self.closed = True


class Connected:
    """Both ends after the handshake. `now` is the time of our side."""

    def __init__(self, feed: Queue) -> None:
        self.client = ClientProtocol(parse_uri("ws://localhost/"))
        self.client.send_request(self.client.connect())
        server = ServerProtocol(max_size=MESSAGE_BYTES)
        for data in self.client.data_to_send():
            server.receive_data(data)
        (request,) = server.events_received()
        assert isinstance(request, HandshakeRequest)
        server.send_response(server.accept(request))
        self.now = 1_000.0
        self.feed = feed
        self.channel = EventChannel(server, feed, self.now)
        self.frames: list[Frame] = []
        self.held = b""
        """What the client has to say, as long as the network is slow."""
        self.client.receive_data(bytes(self.channel.buffer))
        self.channel.buffer.clear()
        assert self.client.state is State.OPEN
        self.client.events_received()

    def turn(self, seconds: float = 0, *, answers: bool = True) -> None:
        """Time goes by; what is there is sent; the client reads, and its answers arrive, or do not yet."""
        self.now += seconds
        self.channel.tick(self.now)
        while True:
            self.channel.fill(self.now)
            if not self.channel.buffer:
                break
            self.client.receive_data(bytes(self.channel.buffer))
            self.channel.buffer.clear()
            self.frames += [event for event in self.client.events_received() if isinstance(event, Frame)]
            self.held += b"".join(self.client.data_to_send())
            if answers and self.held:
                held, self.held = self.held, b""
                self.channel.received(held, self.now)

    def say(self, *frames: Any) -> None:
        for frame in frames:
            frame(self.client)
        data = b"".join(self.client.data_to_send())
        if data:
            self.channel.received(data, self.now)

    @property
    def texts(self) -> list[int]:
        return [int(frame.data) for frame in self.frames if frame.opcode is Opcode.TEXT]

    @property
    def close_code(self) -> int | None:
        return None if self.client.close_rcvd is None else self.client.close_rcvd.code


def test_events_are_texts_in_order_and_acknowledged_by_pongs() -> None:
    connected = Connected(Queue(250))
    connected.turn(answers=False)
    assert connected.texts == list(range(1, 251))
    assert connected.feed.acknowledged == 0, "acknowledged before the client has answered"
    connected.turn()
    connected.channel.received(connected.held, connected.now)
    assert connected.feed.acknowledged == 250


def test_what_no_pong_has_answered_is_not_acknowledged() -> None:
    connected = Connected(Queue(10))
    connected.turn()
    assert connected.feed.acknowledged == 10
    connected.feed.events.append(Queue.event(11))
    connected.channel.tell()
    connected.turn(answers=False)
    assert connected.texts[-1] == 11
    # a pong of its own, and one that repeats an old answer
    connected.say(lambda client: client.send_pong(b"11x"), lambda client: client.send_pong(b"10"))
    assert connected.feed.acknowledged == 10


def test_one_pong_may_answer_several_pings() -> None:
    connected = Connected(Queue(10))
    connected.turn(answers=False)
    for number in (11, 12):
        connected.feed.events.append(Queue.event(number))
        connected.channel.tell()
        connected.turn(answers=False)
    connected.say(lambda client: client.send_pong(b"12"))
    assert connected.feed.acknowledged == 12
    connected.turn(PONG_SECONDS + 1)
    assert connected.close_code is None


def test_a_client_that_does_not_answer_gets_no_more_than_a_thousand_events_A82() -> None:
    connected = Connected(Queue(5_000))
    connected.turn(answers=False)
    assert connected.texts == list(range(1, 1_001))
    connected.channel.received(connected.held, connected.now)
    connected.held = b""
    connected.turn()
    assert connected.texts == list(range(1, 5_001))
    assert connected.feed.acknowledged == 5_000


def test_what_a_slow_client_has_not_read_is_bounded_and_it_is_told_to_come_again_A82() -> None:
    connected = Connected(Queue(2_000, size=1_000))
    channel = connected.channel
    channel.buffer.clear()
    channel.fill(connected.now)
    before = len(channel.buffer)
    assert BUFFERED_BYTES <= before < 3 * BUFFERED_BYTES
    assert channel.full
    channel.fill(connected.now)
    assert len(channel.buffer) == before
    channel.tick(connected.now + PONG_SECONDS - 1)
    assert not channel.half_closed
    channel.tick(connected.now + PONG_SECONDS + 1)
    assert channel.half_closed
    assert not channel.expired(connected.now + PONG_SECONDS + 1)
    assert channel.expired(connected.now + PONG_SECONDS + 1 + CLOSING_SECONDS + 1)
    unread = bytes(channel.buffer)
    assert b"\x88" + bytes([len("Read faster.") + 2]) + (1013).to_bytes(2, "big") in unread


def test_quiet_connections_are_pinged_and_dead_ones_closed() -> None:
    connected = Connected(Queue())
    for _ in range(5):
        connected.turn(PING_SECONDS + 1)
    assert [frame.opcode for frame in connected.frames] == [Opcode.PING] * 5
    assert connected.close_code is None
    connected.turn(PING_SECONDS + 1, answers=False)
    connected.turn(PONG_SECONDS - 1, answers=False)
    assert connected.close_code is None
    connected.turn(2, answers=False)
    assert connected.close_code == 1011


def test_what_a_client_says_is_ignored_within_bounds_A82() -> None:
    connected = Connected(Queue(1))
    connected.turn()
    connected.say(
        lambda client: client.send_text(b"hello"),
        lambda client: client.send_binary(bytes(1_000)),
        lambda client: client.send_text(b"in ", fin=False),
        lambda client: client.send_continuation(b"pieces", fin=True),
    )
    connected.feed.events.append(Queue.event(2))
    connected.channel.tell()
    connected.turn()
    assert connected.texts == [1, 2]
    connected.say(lambda client: client.send_text(bytes(MESSAGE_BYTES + 1)))
    connected.turn()
    assert connected.close_code == 1009


def test_a_message_in_endless_pieces_is_too_large_A82() -> None:
    connected = Connected(Queue())
    connected.say(lambda client: client.send_text(bytes(60_000), fin=False))
    connected.turn()
    assert connected.close_code is None
    connected.say(lambda client: client.send_continuation(bytes(60_000), fin=False))
    connected.turn()
    assert connected.close_code == 1009


def test_a_flood_of_pings_is_answered_as_far_as_it_is_read_A82() -> None:
    connected = Connected(Queue())
    for number in range(1_000):
        connected.say(lambda client, number=number: client.send_ping(b"%d" % number))
        if connected.channel.full:
            break
    assert len(connected.channel.buffer) < BUFFERED_BYTES + 1_000
    connected.turn()
    assert connected.frames[0].opcode is Opcode.PONG
    assert connected.close_code is None


def test_what_is_no_websocket_frame_ends_the_connection() -> None:
    connected = Connected(Queue(1))
    connected.channel.received(b"GET / HTTP/1.1\r\n\r\n", connected.now)
    connected.turn()
    assert connected.close_code == 1002
    assert connected.feed.acknowledged == 0


def test_a_client_that_says_goodbye_is_answered() -> None:
    connected = Connected(Queue(1))
    connected.turn()
    connected.say(lambda client: client.send_close(1000))
    connected.turn()
    assert connected.close_code == 1000
    assert connected.channel.half_closed
    connected.channel.received(b"", connected.now)
    assert connected.channel.over


def test_a_connection_that_is_lost_is_over() -> None:
    connected = Connected(Queue(1))
    connected.channel.received(b"", connected.now)
    assert connected.channel.over
    connected.channel.fill(connected.now)
    assert connected.feed.acknowledged == 0


def test_when_the_server_stops_clients_are_told() -> None:
    connected = Connected(Queue(3))
    connected.turn()
    connected.feed.ended = True
    connected.turn(1)
    assert connected.close_code == 1001
    assert connected.client.state is not State.OPEN


def test_events_that_cannot_be_read_end_the_connection_and_are_not_lost() -> None:
    connected = Connected(Queue(3))
    connected.feed.broken = True
    connected.turn()
    assert connected.close_code == 1011
    assert connected.feed.acknowledged == 0
    assert len(connected.feed.events) == 3
