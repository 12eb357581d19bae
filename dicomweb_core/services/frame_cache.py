"""Frames made of stored ones, kept for the next request; what many ask for at once is made once."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from threading import Event, Lock
from typing import Final, NamedTuple

from dicomweb_core.values.pixels import ImagePixel
from dicomweb_core.values.resources import InstanceRef

_ENTRY_BYTES: Final = 1_024
"""What an entry takes beside its bytes, about."""


class FrameKey(NamedTuple):
    """Which frame, and in which form. `version` is that of the stored bytes, `frame` a 0-based index."""

    ref: InstanceRef
    version: int
    frame: int
    transfer_syntax_uid: str


class MadeFrame(NamedTuple):
    """A frame in a form it is not stored in, and what the data set beside it must say."""

    data: bytes
    image: ImagePixel


class _Flight:
    """A frame that one thread is making and others wait for."""

    __slots__ = ("error", "frame", "landed")

    def __init__(self) -> None:
        self.landed = Event()
        self.frame: MadeFrame | None = None
        self.error: Exception | None = None


class FrameCache:
    """The frames used last, up to so many bytes. Used by many threads at once; frames are made outside of its lock."""

    def __init__(self, ceiling: int) -> None:
        """`ceiling` in bytes. A frame of more than a quarter of it is not kept."""
        self._ceiling = ceiling
        self._lock = Lock()
        self._kept: OrderedDict[FrameKey, MadeFrame] = OrderedDict()
        self._bytes = 0
        self._flights: dict[FrameKey, _Flight] = {}

    def find(self, key: FrameKey) -> MadeFrame | None:
        """The frame if it is kept."""
        with self._lock:
            return self._found(key)

    def find_or_make(self, key: FrameKey, make: Callable[[], MadeFrame]) -> MadeFrame:
        """The frame, kept or made now; who comes while it is being made waits for it.

        What `make` raises is raised to all who wait, and not kept. If the one who makes it is interrupted (anything
        but an Exception), one of those who wait takes its place.
        """
        while True:
            with self._lock:
                found = self._found(key)
                if found is not None:
                    return found
                flight = self._flights.get(key)
                leads = flight is None
                if flight is None:
                    flight = self._flights[key] = _Flight()
            if leads:
                return self._make(key, flight, make)
            flight.landed.wait()
            if flight.error is not None:
                raise flight.error
            if flight.frame is not None:
                return flight.frame

    def _make(self, key: FrameKey, flight: _Flight, make: Callable[[], MadeFrame]) -> MadeFrame:
        try:
            flight.frame = make()
            return flight.frame
        except Exception as error:
            flight.error = error
            raise
        finally:
            with self._lock:
                del self._flights[key]
                if flight.frame is not None:
                    self._keep(key, flight.frame)
            flight.landed.set()

    def _found(self, key: FrameKey) -> MadeFrame | None:
        frame = self._kept.get(key)
        if frame is not None:
            self._kept.move_to_end(key)
        return frame

    def _keep(self, key: FrameKey, frame: MadeFrame) -> None:
        if len(frame.data) + _ENTRY_BYTES > self._ceiling // 4:
            return
        self._kept[key] = frame
        self._bytes += len(frame.data) + _ENTRY_BYTES
        while self._bytes > self._ceiling:
            _, dropped = self._kept.popitem(last=False)
            self._bytes -= len(dropped.data) + _ENTRY_BYTES
