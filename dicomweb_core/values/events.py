"""Events on their way to a subscriber (PS3.18 8.10.5): what an adapter that sends them has to know."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, Protocol

from dicomweb_core.values.workitems import EventReport


class Event(NamedTuple):
    """A report as it is sent. Sent again, after a connection was lost, it has the same sequence number and text."""

    sequence: int
    """Ascends for each receiver in the order of commits; numbers are left out."""
    report: EventReport
    text: bytes
    """The data set that is sent, DICOM JSON, the elements of the command included."""


class EventFeed(Protocol):
    """The events of one AE for one of its listeners. Every listener of an AE gets each event.

    What is taken and not acknowledged comes again to the next one that listens. For one thread at a time.
    """

    @property
    def receiver(self) -> str:
        """AE title."""

    @property
    def ended(self) -> bool:
        """Whether the server stops, and nothing more comes. To be looked at once in a second."""

    def take(self, limit: int = 100) -> tuple[Event, ...]:
        """The next events; none if there are none now, or so many lie before them that are not for this listener that
        it is better told again. Reads storage; raises StorageUnavailable."""

    def notify(self, call: Callable[[], None]) -> None:
        """Has `call` called whenever there may be more to take, from any thread; it must not block. One at a time."""

    def acknowledge(self, sequence: int) -> None:
        """The listener has every event up to this sequence number: the AE need not get them again."""

    def close(self) -> None:
        """Ends listening; subscriptions and deletion locks stay (U093). Idempotent."""
