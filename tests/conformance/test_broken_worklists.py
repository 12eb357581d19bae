"""The kit finds broken worklist stores: each mutant breaks one promise, and a test of the kit says so."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import TypeVar

import pytest

from dicomweb_core.errors import NotFound
from dicomweb_core.rules.matching import matches
from dicomweb_core.storage.worklists import WorklistStore
from dicomweb_core.testing.instance_store import failures
from dicomweb_core.testing.worklist_store import WorklistStoreConformance
from dicomweb_core.values.queries import MatchKey
from dicomweb_core.values.workitems import EventReport, QueuedReport, Subscription, Workitem, WorkitemState
from dicomweb_memory import MemoryWorklistStore
from dicomweb_memory.worklist import MemoryWorklistTransaction, _Stored

T = TypeVar("T")


class ReadsThenWrites(MemoryWorklistStore):
    """Decides beside others, and writes what it decided over what they did: the commonest bug."""

    def transact(self, decide: Callable[[MemoryWorklistTransaction], T]) -> T:
        transaction = MemoryWorklistTransaction(self._state)
        result = decide(transaction)
        time.sleep(0.001)
        self._state = transaction.state
        return result


class UndoesNothing(MemoryWorklistStore):
    def transact(self, decide: Callable[[MemoryWorklistTransaction], T]) -> T:
        with self._lock:
            transaction = MemoryWorklistTransaction(self._state)
            try:
                return decide(transaction)
            finally:
                self._state = transaction.state


class SwallowsExceptions(MemoryWorklistStore):
    def transact(self, decide: Callable[[MemoryWorklistTransaction], T]) -> T:
        try:
            return super().transact(decide)
        except Exception:
            return None  # type: ignore[return-value]


class ShowsWhatIsUndecided(MemoryWorklistStore):
    def transact(self, decide: Callable[[MemoryWorklistTransaction], T]) -> T:
        with self._lock:
            before = self._state
            transaction = MemoryWorklistTransaction(before)
            transaction._own("workitems", "removed", "subscriptions", "generators", "queues")
            self._state = transaction.state
            try:
                return decide(transaction)
            except BaseException:
                self._state = before
                raise


class ShowsOneReportAfterTheOther(MemoryWorklistStore):
    def transact(self, decide: Callable[[MemoryWorklistTransaction], T]) -> T:
        class Showing(MemoryWorklistTransaction):
            def queue(inner, receiver: str, report: EventReport) -> None:  # noqa: N805
                super().queue(receiver, report)
                self._state = replace(inner.state, queues=dict(inner.state.queues))
                time.sleep(0.0005)

        with self._lock:
            transaction = Showing(self._state)
            result = decide(transaction)
            self._state = transaction.state
            return result


class _Transaction(MemoryWorklistStore):
    """A store whose transactions are broken."""

    kind: type[MemoryWorklistTransaction]

    def transact(self, decide: Callable[[MemoryWorklistTransaction], T]) -> T:
        with self._lock:
            transaction = self.kind(self._state)
            result = decide(transaction)
            self._state = transaction.state
            return result


def _broken(kind: type[MemoryWorklistTransaction]) -> type[MemoryWorklistStore]:
    return type(kind.__name__, (_Transaction,), {"kind": kind})


class LeavesSubscriptionsBehind(MemoryWorklistTransaction):
    def remove(self, uid: str) -> None:
        left = self.subscriptions(uid)
        super().remove(uid)
        for one in left:
            self.subscribe(one)


class RemovesReportsToo(MemoryWorklistTransaction):
    def remove(self, uid: str) -> None:
        super().remove(uid)
        self.state.queues = {}


class RemembersNothing(MemoryWorklistTransaction):
    def remove(self, uid: str) -> None:
        super().remove(uid)
        self.state.removed = {}


class StaysGone(MemoryWorklistTransaction):
    def put(self, workitem: Workitem) -> None:
        before = dict(self.state.removed)
        super().put(workitem)
        self.state.removed = before


class KeepsTheFirstSubscription(MemoryWorklistTransaction):
    def subscribe(self, subscription: Subscription) -> None:
        if (subscription.workitem, subscription.receiver) not in self.state.subscriptions:
            super().subscribe(subscription)


class OneGeneratorPerReceiver(MemoryWorklistTransaction):
    def put_generator(self, generator):  # type: ignore[no-untyped-def]
        self.remove_generator(generator.receiver, filtered=generator.filter is None)
        super().put_generator(generator)


class QueuesInFront(MemoryWorklistTransaction):
    def queue(self, receiver: str, report: EventReport) -> None:
        super().queue(receiver, report)
        *before, last = self.state.queues[receiver]
        self.state.queues[receiver] = (last, *before)


class CountsFromOneAgain(MemoryWorklistTransaction):
    def queue(self, receiver: str, report: EventReport) -> None:
        self.state.latest = max((one.sequence for one in self.state.queues.get(receiver, ())), default=0)
        super().queue(receiver, report)


class LosesTransactionUIDs(MemoryWorklistTransaction):
    def put(self, workitem: Workitem) -> None:
        super().put(replace(workitem, transaction_uid=None))


class ListsAsTheyCome(MemoryWorklistTransaction):
    def uids(self) -> Iterator[str]:
        return iter(list(self.state.workitems))


class ListsWhatChanges(MemoryWorklistTransaction):
    def subscriptions_of(self, receiver: str) -> Iterator[Subscription]:
        self._own("subscriptions")
        return (one for one in self.state.subscriptions.values() if one.receiver == receiver)


class SharesItsAttributes(MemoryWorklistStore):
    class _Shared(_Stored):
        shared: Workitem

        def read(self) -> Workitem:
            return self.shared

    def transact(self, decide: Callable[[MemoryWorklistTransaction], T]) -> T:
        class Sharing(MemoryWorklistTransaction):
            def put(self, workitem: Workitem) -> None:
                super().put(workitem)
                stored = self.state.workitems[workitem.uid]
                shared = SharesItsAttributes._Shared(stored.start, stored.workitem, stored.text)
                object.__setattr__(shared, "shared", workitem)
                self.state.workitems[workitem.uid] = shared

        with self._lock:
            transaction = Sharing(self._state)
            result = decide(transaction)
            self._state = transaction.state
            return result


class SearchesByUID(MemoryWorklistStore):
    def candidates(self, keys: tuple[MatchKey, ...]) -> Iterator[Workitem]:
        return iter(sorted(super().candidates(keys), key=lambda one: one.uid))


class IndexesTheFirstStateOnly(MemoryWorklistStore):
    """An index that does not follow changes of state."""

    def __init__(self) -> None:
        super().__init__()
        self._first: dict[str, WorkitemState] = {}

    def candidates(self, keys: tuple[MatchKey, ...]) -> Iterator[Workitem]:
        for one in super().candidates(keys):
            then = self._first.setdefault(one.uid, one.state)
            if matches(keys[:1], one.attributes | {"00741000": {"vr": "CS", "Value": [then.value]}}):
                yield one


class SearchesWithoutTimezones(MemoryWorklistStore):
    def candidates(self, keys: tuple[MatchKey, ...]) -> Iterator[Workitem]:
        local = tuple(key._replace(timezone=None) for key in keys)
        return (one for one in super().candidates(keys) if matches(local, one.attributes))


class LockedWhileItSearches(MemoryWorklistStore):
    def candidates(self, keys: tuple[MatchKey, ...]) -> Iterator[Workitem]:
        with self._lock:
            yield from super().candidates(keys)

    def transact(self, decide: Callable[[MemoryWorklistTransaction], T]) -> T:
        if not self._lock.acquire(timeout=0.2):
            raise TimeoutError
        self._lock.release()
        return super().transact(decide)


class ForgetsBelongingToOthers(MemoryWorklistStore):
    def delivered(self, receiver: str, up_to: int) -> None:
        for one in self.receivers():
            super().delivered(one, up_to)


class RedeliversForEver(MemoryWorklistStore):
    def delivered(self, receiver: str, up_to: int) -> None:
        pass


class SkipsAReport(MemoryWorklistStore):
    def queued(self, receiver: str, after: int = 0, limit: int = 100) -> tuple[QueuedReport, ...]:
        return super().queued(receiver, after + 1 if after else 0, limit)


class LatestComesBeforeTheReport(MemoryWorklistStore):
    """A counter beside the transaction: who asks is told too early, and looks in vain."""

    def __init__(self) -> None:
        super().__init__()
        self._counter = 0

    def transact(self, decide: Callable[[MemoryWorklistTransaction], T]) -> T:
        def counting(transaction: MemoryWorklistTransaction) -> T:
            self._counter += 1
            return decide(transaction)

        return super().transact(counting)

    def latest(self) -> int:
        return self._counter


class ForgetsReceiversWithReportsOnly(MemoryWorklistStore):
    def receivers(self) -> tuple[str, ...]:
        return tuple(one for one in super().receivers() if one not in self._state.queues)


class NeverCounts(MemoryWorklistTransaction):
    def queue_length(self, receiver: str) -> int:
        return min(1, super().queue_length(receiver))


class ForgetsTheNewest(MemoryWorklistTransaction):
    def shorten(self, receiver: str, leave: int, instead: EventReport) -> None:
        queue = self.state.queues.get(receiver, ())
        if len(queue) > leave:
            self._own("queues")
            self.state.queues[receiver] = (*queue[:leave], replace(queue[-1], report=instead))


class ForgetsWithoutAWord(MemoryWorklistTransaction):
    def shorten(self, receiver: str, leave: int, instead: EventReport) -> None:
        super().shorten(receiver, leave, instead)
        if self.queue_length(receiver) > leave:
            self.state.queues[receiver] = self.state.queues[receiver][1:]


class ListsFinalsByUID(MemoryWorklistTransaction):
    def finals(self, before: float) -> Iterator[str]:
        return iter(sorted(super().finals(before)))


class ListsFinalsWithOthers(MemoryWorklistTransaction):
    def finals(self, before: float) -> Iterator[str]:
        found = sorted((one.workitem.changed, uid) for uid, one in self.state.workitems.items())
        return iter([uid for changed, uid in found if changed < before])


class BeginsBehindWhatIsThere(MemoryWorklistStore):
    def listen(self, receiver: str) -> int:
        return self.latest()


class KnowsTheFirstNewsOnly(MemoryWorklistStore):
    def receivers_since(self, sequence: int) -> tuple[str, ...]:
        return super().receivers_since(sequence)[:1]


class SaysNotFoundOfWhatIsGone(MemoryWorklistStore):
    def get(self, uid: str) -> Workitem:
        try:
            return super().get(uid)
        except NotFound as error:
            raise NotFound(error.detail) from error


MUTANTS: tuple[tuple[type[MemoryWorklistStore], str], ...] = (
    (ReadsThenWrites, "of_sixteen_claiming_exactly_one_wins_A80"),
    (ReadsThenWrites, "of_sixteen_creating_exactly_one_creates"),
    (ReadsThenWrites, "no_update_is_lost_and_a_failing_decision_undoes_its_own_only"),
    (ReadsThenWrites, "creating_and_subscribing_to_all_at_once_leaves_nothing_unsubscribed"),
    (UndoesNothing, "an_exception_undoes_everything_and_passes_through"),
    (UndoesNothing, "no_update_is_lost_and_a_failing_decision_undoes_its_own_only"),
    (SwallowsExceptions, "an_exception_undoes_everything_and_passes_through"),
    (ShowsWhatIsUndecided, "nobody_sees_a_decision_before_it_is_made_and_everybody_afterwards"),
    (ShowsOneReportAfterTheOther, "nobody_sees_half_of_a_decision"),
    (_broken(LeavesSubscriptionsBehind), "removal_takes_the_subscriptions_and_leaves_the_reports"),
    (_broken(RemovesReportsToo), "removal_takes_the_subscriptions_and_leaves_the_reports"),
    (_broken(RemembersNothing), "what_was_removed_is_gone_until_it_is_put_again"),
    (_broken(StaysGone), "what_was_removed_is_gone_until_it_is_put_again"),
    (_broken(KeepsTheFirstSubscription), "a_subscription_takes_the_place_of_the_one_before"),
    (_broken(OneGeneratorPerReceiver), "generators_one_of_each_kind_and_receiver"),
    (_broken(QueuesInFront), "queues_are_in_order_and_apart"),
    (_broken(CountsFromOneAgain), "discard_forgets_one_queue_and_the_numbers_go_on"),
    (_broken(CountsFromOneAgain), "what_was_delivered_does_not_come_again"),
    (_broken(LosesTransactionUIDs), "what_was_put_can_be_got"),
    (_broken(ListsAsTheyCome), "uids_ascend_and_the_transaction_may_write_meanwhile"),
    (_broken(ListsWhatChanges), "subscriptions_of_a_receiver_may_be_taken_away_while_they_are_listed"),
    (SharesItsAttributes, "nobody_else_can_change_what_is_stored"),
    (SearchesByUID, "candidates_come_by_start_and_uid"),
    (IndexesTheFirstStateOnly, "candidates_are_never_too_few_and_follow_every_change"),
    (SearchesWithoutTimezones, "candidates_are_never_too_few_and_follow_every_change"),
    (LockedWhileItSearches, "a_search_holds_nothing_and_misses_nothing_while_others_write"),
    (ForgetsBelongingToOthers, "what_was_delivered_does_not_come_again"),
    (RedeliversForEver, "what_was_delivered_does_not_come_again"),
    (SkipsAReport, "reports_come_in_pages"),
    (LatestComesBeforeTheReport, "nobody_sees_a_decision_before_it_is_made_and_everybody_afterwards"),
    (ForgetsReceiversWithReportsOnly, "receivers_are_those_with_anything"),
    (_broken(NeverCounts), "a_queue_is_counted_and_its_last_report_known"),
    (_broken(ForgetsTheNewest), "a_queue_is_shortened_from_its_beginning"),
    (_broken(ForgetsWithoutAWord), "a_queue_is_shortened_from_its_beginning"),
    (_broken(ListsFinalsByUID), "final_workitems_are_found_by_their_age_and_may_be_removed_meanwhile"),
    (_broken(ListsFinalsWithOthers), "final_workitems_are_found_by_their_age_and_may_be_removed_meanwhile"),
    (BeginsBehindWhatIsThere, "who_listens_begins_behind_what_was_delivered"),
    (KnowsTheFirstNewsOnly, "who_has_news_is_known"),
    (SaysNotFoundOfWhatIsGone, "what_was_removed_is_gone_until_it_is_put_again"),
)


@pytest.mark.parametrize(("mutant", "test"), MUTANTS, ids=lambda one: getattr(one, "__name__", None))
def test_the_kit_finds_a_broken_worklist(mutant: type[MemoryWorklistStore], test: str) -> None:
    class Kit(WorklistStoreConformance):
        def make_store(self) -> WorklistStore:
            return mutant()

    assert set(failures(Kit, f"test_{test}")) == {f"test_{test}"}


def test_the_kit_finds_a_worklist_that_is_empty_when_reopened() -> None:
    class Kit(WorklistStoreConformance):
        def make_store(self) -> WorklistStore:
            return MemoryWorklistStore()

        def reopen_store(self, store: WorklistStore) -> WorklistStore:
            return MemoryWorklistStore()

    test = "test_close_is_idempotent_and_everything_stays_U117"
    assert set(failures(Kit, test)) == {test}


def test_what_is_the_same_under_another_name_passes_the_kit() -> None:
    class Same(MemoryWorklistTransaction):
        pass

    class Kit(WorklistStoreConformance):
        def make_store(self) -> WorklistStore:
            return _broken(Same)()

    assert failures(Kit) == {}
