"""All notification connections of a process, in one thread: a subscriber costs a socket and no thread (PS3.18 8.10)."""

from __future__ import annotations

import atexit
import contextlib
import logging
import selectors
import socket
import threading
import time
from collections import deque
from functools import partial
from typing import Final, Protocol

from dicomweb_core.errors import Overloaded
from dicomweb_wsgi.event_channel import EventChannel

logger = logging.getLogger("dicomweb_wsgi")

_TURN_SECONDS: Final = 1.0
"""Between two turns of what has nothing to do."""
_READ_BYTES: Final = 16_384
_SEND_BUFFER_BYTES: Final = 262_144
"""Of a socket, in the kernel: a client that does not read is noticed early."""
_LAST_SECONDS: Final = 1.0
"""For the last words when the process ends."""


class Entry(Protocol):
    """A socket in the loop of a hub. Its methods are called in the thread of the hub."""

    @property
    def socket(self) -> socket.socket:
        """The same one for ever."""

    def advance(self, *, readable: bool, now: float) -> int:
        """Does what can be done without waiting; the `selectors` events to wait for, 0 for none. Called when one of
        them came, when `EventHub.soon` was, and about once in a second. Raises OSError at its end."""

    def last_words(self, now: float) -> None:
        """What there is to say before the end of the process; one turn follows."""

    def close(self) -> None:
        """Frees everything. Idempotent."""


class Connection:
    """A notification connection and its socket, which it owns."""

    def __init__(self, connected: socket.socket, channel: EventChannel) -> None:
        connected.setblocking(False)
        with contextlib.suppress(OSError):
            connected.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER_BYTES)
            # events are small, and waited for
            connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket = connected
        self._channel = channel
        self._shut = False

    def advance(self, *, readable: bool, now: float) -> int:
        """One turn: read, take events, write."""
        channel = self._channel
        # what has not come may only not have been read yet, after something has kept the whole loop waiting
        if (readable or channel.overdue(now)) and not channel.full:
            with contextlib.suppress(BlockingIOError):
                channel.received(self.socket.recv(_READ_BYTES), now)
        channel.tick(now)
        channel.fill(now)
        while channel.buffer:
            try:
                sent = self.socket.send(channel.buffer)
            except BlockingIOError:
                break
            del channel.buffer[:sent]
            channel.fill(now)
        if channel.half_closed and not channel.buffer and not self._shut:
            self._shut = True
            self.socket.shutdown(socket.SHUT_WR)
        if channel.over or channel.expired(now):
            raise ConnectionAbortedError("The notification connection has ended.")
        reading = 0 if channel.full else selectors.EVENT_READ
        return reading | (selectors.EVENT_WRITE if channel.buffer else 0)

    def tell(self) -> None:
        """There may be events. From any thread."""
        self._channel.tell()

    def last_words(self, now: float) -> None:
        """The server goes away."""
        self._channel.go_away(now)

    def close(self) -> None:
        """The feed too."""
        self.socket.close()
        self._channel.feed.close()


class EventHub:
    """The loop. Its thread begins with the first connection, so a hub may cross a fork before that."""

    def __init__(self, most: int) -> None:
        """`most` is how many notification connections there may be."""
        self._most = most
        self._lock = threading.Lock()
        self._entries: set[Entry] = set()
        self._new: deque[Entry] = deque()
        self._due: deque[Entry] = deque()
        self._waker: socket.socket | None = None
        self._awake = False
        self._closed = False
        self._selector: selectors.BaseSelector

    @property
    def full(self) -> bool:
        """Whether there is no place for another connection."""
        return self._closed or len(self._entries) >= self._most

    def require_place(self) -> None:
        """Raises Overloaded when there is no place for another connection, or the loop cannot begin."""
        if self.full:
            raise Overloaded("There are too many notification connections.")
        try:
            self._begin()
        except (OSError, RuntimeError) as error:
            raise Overloaded("There is no room for notification connections now.") from error

    def connect(self, connected: socket.socket, channel: EventChannel) -> None:
        """Takes over a socket and a channel, which are closed when one of them ends. Behind `require_place`."""
        connection = Connection(connected, channel)
        self.add(connection)
        channel.feed.notify(partial(self._tell, connection))

    def add(self, entry: Entry) -> None:
        """Into the loop. From any thread."""
        self._begin()
        self._new.append(entry)
        self._wake()

    def soon(self, entry: Entry) -> None:
        """An entry has something to do. From any thread; of one that was closed it has no effect."""
        self._due.append(entry)
        self._wake()

    def close(self) -> None:
        """Ends the loop and everything in it, soon. Idempotent."""
        self._closed = True
        self._wake()

    def _tell(self, connection: Connection) -> None:
        connection.tell()
        self.soon(connection)

    def _wake(self) -> None:
        if not self._awake and self._waker is not None:
            self._awake = True
            with contextlib.suppress(OSError):
                self._waker.send(b"\0")

    def _begin(self) -> None:
        with self._lock:
            if self._waker is not None:
                return
            waking, waker = socket.socketpair()
            waking.setblocking(False)
            waker.setblocking(False)
            self._selector = selectors.DefaultSelector()
            self._selector.register(waking, selectors.EVENT_READ, None)
            thread = threading.Thread(target=self._run, args=(waking,), name="dicomweb event hub", daemon=True)
            thread.start()
            # last: what fails before it can be begun again
            self._waker = waker
            atexit.register(self._finish, thread)

    def _finish(self, thread: threading.Thread) -> None:
        self.close()
        thread.join(_LAST_SECONDS)

    def _run(self, waking: socket.socket) -> None:
        turn = time.monotonic()
        while not self._closed:
            for key, events in self._selector.select(_TURN_SECONDS):
                if key.data is None:
                    with contextlib.suppress(OSError):
                        waking.recv(_READ_BYTES)
                else:
                    self._advance(key.data, readable=bool(events & selectors.EVENT_READ))
            # before the queues are looked at: who appends from here on wakes again
            self._awake = False
            while self._new:
                entry = self._new.popleft()
                self._entries.add(entry)
                self._advance(entry)
            # what is due again meanwhile waits for those that can be read
            for _ in range(len(self._due)):
                self._advance(self._due.popleft())
            if time.monotonic() - turn >= _TURN_SECONDS:
                turn = time.monotonic()
                for entry in tuple(self._entries):
                    self._advance(entry)
        for entry in tuple(self._entries):
            entry.last_words(time.monotonic())
            self._advance(entry)
        for entry in (*self._entries, *self._new):
            self._drop(entry)

    def _advance(self, entry: Entry, *, readable: bool = False) -> None:
        """Whatever happens on one connection is its own end at most."""
        if entry not in self._entries:
            return
        try:
            self._watch(entry, entry.advance(readable=readable, now=time.monotonic()))
        except OSError:
            self._drop(entry)
        except Exception:
            logger.exception("A notification connection failed")
            self._drop(entry)

    def _watch(self, entry: Entry, events: int) -> None:
        watched = self._selector.get_map().get(entry.socket)
        if watched is None:
            if events:
                self._selector.register(entry.socket, events, entry)
        elif not events:
            self._selector.unregister(entry.socket)
        elif watched.events != events:
            self._selector.modify(entry.socket, events, entry)

    def _drop(self, entry: Entry) -> None:
        self._entries.discard(entry)
        if entry.socket.fileno() >= 0 and entry.socket in self._selector.get_map():
            self._selector.unregister(entry.socket)
        try:
            entry.close()
        except Exception:
            logger.exception("A notification connection could not be closed properly")
