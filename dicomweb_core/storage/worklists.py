"""What a backend for the worklist promises (PS3.18 11, PS3.4 CC). Prove yours with `dicomweb_core.testing`.

What has to happen together happens in one `transact`: a decision reads and writes in isolation from all others, of all
threads and processes, and its events are queued with it. Outside of it, reads see what was committed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Protocol, TypeVar

from dicomweb_core.values.queries import MatchKey
from dicomweb_core.values.workitems import EventReport, Generator, QueuedReport, Subscription, Workitem

T = TypeVar("T")


class WorklistTransaction(Protocol):
    """What a decision sees and does. Valid within `transact` only; it sees its own writes."""

    def get(self, uid: str) -> Workitem | None:
        """None when there is none; then `was_deleted` says whether there was."""

    def was_deleted(self, uid: str) -> bool:
        """Whether a workitem of this UID was removed and is remembered (410)."""

    def put(self, workitem: Workitem) -> None:
        """Creates it, or takes the place of the one with this UID."""

    def remove(self, uid: str) -> None:
        """Removes the workitem and its subscriptions and remembers its UID. Queued reports stay."""

    def uids(self) -> Iterator[str]:
        """Of all workitems, in ascending order."""

    def finals(self, before: float) -> Iterator[str]:
        """UIDs of workitems in a final state that were changed last before a time (`Workitem.changed`), by this time.
        The transaction may remove them meanwhile."""

    def subscriptions(self, uid: str) -> tuple[Subscription, ...]:
        """To a workitem, by receiver in ascending order."""

    def subscriptions_of(self, receiver: str) -> Iterator[Subscription]:
        """Of an AE, by workitem in ascending order."""

    def subscribe(self, subscription: Subscription) -> None:
        """Takes the place of the one of this receiver to this workitem."""

    def unsubscribe(self, uid: str, receiver: str) -> None:
        """Without effect if there is none."""

    def generators(self) -> tuple[Generator, ...]:
        """All, by receiver, those without filter first."""

    def put_generator(self, generator: Generator) -> None:
        """Takes the place of the one of this receiver and this kind, filtered or not."""

    def remove_generator(self, receiver: str, *, filtered: bool) -> None:
        """Without effect if there is none."""

    def queue(self, receiver: str, report: EventReport) -> None:
        """Appends to what the receiver will get."""

    def queue_length(self, receiver: str) -> int:
        """How many reports are queued for a receiver. What was delivered may count a little longer."""

    def last_queued(self, receiver: str) -> EventReport | None:
        """The report queued last; None when nothing is queued. What was delivered may count a little longer."""

    def shorten(self, receiver: str, leave: int, instead: EventReport) -> None:
        """Forgets the oldest reports of a receiver, all but `leave`; `instead` is queued in the place of the last one
        forgotten. Without effect if there are not more."""

    def discard(self, receiver: str) -> None:
        """Forgets what is queued for a receiver."""


class WorklistStore(Protocol):
    """Workitems, subscriptions, reports to be delivered. Used by many threads and processes at once."""

    def transact(self, decide: Callable[[WorklistTransaction], T]) -> T:
        """Runs a decision; what it did is durable and visible at once when this returns.

        An exception out of `decide` undoes everything and passes through. `decide` may be run more than once and does
        nothing but through its argument; no decision waits for a client. Raises StorageUnavailable.
        """

    def get(self, uid: str) -> Workitem:
        """Raises NotFound, Gone."""

    def candidates(self, keys: tuple[MatchKey, ...]) -> Iterator[Workitem]:
        """Those that may match, too many is allowed, too few never; by Scheduled Procedure Step Start DateTime as it is
        written (`rules.workitem_terms.start_of`), then by UID. Holds no transaction while it is suspended: what is
        written meanwhile may be seen as it was or as it is; if its start moves, twice or not at all."""

    def queued(self, receiver: str, after: int = 0, limit: int = 100) -> tuple[QueuedReport, ...]:
        """The next reports of a receiver behind a sequence number, ascending."""

    def listen(self, receiver: str) -> int:
        """Somebody listens in this process: what other processes deliver from now on stays until `delivered` has been
        said of it here, too. The sequence number up to which reports were delivered already, to whomever: where who
        begins to listen begins. May be called again. Raises StorageUnavailable."""

    def unlisten(self, receiver: str) -> None:
        """Nobody listens in this process any more."""

    def delivered(self, receiver: str, up_to: int) -> None:
        """Forgets the reports of a receiver up to this sequence number. Need not be durable, other processes may see
        them a little longer: they come at least once."""

    def receivers(self) -> Iterable[str]:
        """AE titles with a subscription, a generator, or something queued."""

    def latest(self) -> int:
        """Grows with every report queued, for any receiver: cheap enough to be asked every few milliseconds."""

    def receivers_since(self, sequence: int) -> Iterable[str]:
        """AE titles with a report behind a sequence number in their queue. More of them is allowed, fewer is not."""

    def close(self) -> None:
        """Frees what is held. Idempotent. Nothing acknowledged depends on it."""
