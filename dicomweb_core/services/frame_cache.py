"""What is made of stored bytes, kept for the next request; what many ask for at once is made once."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from threading import Event, Lock
from typing import Final, Generic, NamedTuple, TypeVar

from dicomweb_core.values.pixels import ImagePixel
from dicomweb_core.values.resources import InstanceRef

_ENTRY_BYTES: Final = 1_024
"""What an entry takes beside its bytes, about."""

Key = TypeVar("Key")
Made = TypeVar("Made")


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


class _Flight(Generic[Made]):
    """What one thread is making and others wait for."""

    __slots__ = ("error", "landed", "made")

    def __init__(self) -> None:
        self.landed = Event()
        self.made: Made | None = None
        self.error: Exception | None = None


class MadeOnce(Generic[Key, Made]):
    """The things used last, up to so many bytes. Used by many threads at once; they are made outside of its lock."""

    def __init__(self, ceiling: int, weigh: Callable[[Made], int]) -> None:
        """`ceiling` in bytes; `weigh` says the bytes of one thing. One of more than a quarter of the ceiling is not
        kept."""
        self._ceiling = ceiling
        self._weigh = weigh
        self._lock = Lock()
        self._kept: OrderedDict[Key, Made] = OrderedDict()
        self._bytes = 0
        self._flights: dict[Key, _Flight[Made]] = {}

    def find(self, key: Key) -> Made | None:
        """The thing if it is kept."""
        with self._lock:
            return self._found(key)

    def find_or_make(self, key: Key, make: Callable[[], Made]) -> Made:
        """The thing, kept or made now; who comes while it is being made waits for it.

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
                    flight = self._flights[key] = _Flight[Made]()
            if leads:
                return self._make(key, flight, make)
            flight.landed.wait()
            if flight.error is not None:
                raise flight.error
            if flight.made is not None:
                return flight.made

    def _make(self, key: Key, flight: _Flight[Made], make: Callable[[], Made]) -> Made:
        try:
            flight.made = make()
            return flight.made
        except Exception as error:
            flight.error = error
            raise
        finally:
            with self._lock:
                del self._flights[key]
                if flight.made is not None:
                    self._keep(key, flight.made)
            flight.landed.set()

    def _found(self, key: Key) -> Made | None:
        made = self._kept.get(key)
        if made is not None:
            self._kept.move_to_end(key)
        return made

    def _keep(self, key: Key, made: Made) -> None:
        weight = self._weigh(made) + _ENTRY_BYTES
        if weight > self._ceiling // 4:
            return
        self._kept[key] = made
        self._bytes += weight
        while self._bytes > self._ceiling:
            _, dropped = self._kept.popitem(last=False)
            self._bytes -= self._weigh(dropped) + _ENTRY_BYTES


class FrameCache(MadeOnce[FrameKey, MadeFrame]):
    """Frames in forms they are not stored in."""

    def __init__(self, ceiling: int) -> None:
        """`ceiling` in bytes. A frame of more than a quarter of it is not kept."""
        super().__init__(ceiling, lambda frame: len(frame.data))
