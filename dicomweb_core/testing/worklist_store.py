"""Proof that a worklist store keeps its promise: inherit `WorklistStoreConformance` and say how to make a store.

    class TestMyStore(WorklistStoreConformance):
        def make_store(self):
            return MyStore(...)

With pytest that is all. Without, `instance_store.failures(TestMyStore)` runs everything and says what failed.
"""

# ruff: noqa: N802 - names carry the IDs of the attacks they stand against
from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import replace

from dicomweb_core.errors import DICOMwebError, Gone
from dicomweb_core.storage.worklists import WorklistStore, WorklistTransaction
from dicomweb_core.testing.blob_reader import raises
from dicomweb_core.testing.store_calls import at_once
from dicomweb_core.testing.workitem_samples import (
    claim,
    in_state,
    numbered,
    put,
    queue,
    report,
    subscribe,
    uid_of,
    workitem,
)
from dicomweb_core.testing.worklist_contents import FILTER, WorklistContentConformance
from dicomweb_core.testing.worklist_queues import WorklistQueueConformance
from dicomweb_core.values.workitems import (
    EventType,
    Generator,
    Origin,
    Subscription,
    WorkitemState,
)


class Refused(DICOMwebError):
    """What a decision of these tests raises."""


class WorklistStoreConformance(WorklistContentConformance, WorklistQueueConformance):
    """Every sentence of `storage.worklists` as tests."""

    # -- decisions --

    def test_a_decision_sees_what_it_wrote_and_gives_its_result(self) -> None:
        with self.opened(workitem(1), workitem(2)) as store:

            def decide(transaction: WorklistTransaction) -> str:
                transaction.put(workitem(3))
                transaction.put(in_state(workitem(1), WorkitemState.CANCELED))
                transaction.remove(uid_of(2))
                transaction.subscribe(Subscription(uid_of(3), "A"))
                transaction.put_generator(Generator("B"))
                found = transaction.get(uid_of(1))
                assert found is not None
                assert found.state is WorkitemState.CANCELED
                assert transaction.get(uid_of(2)) is None
                assert transaction.was_deleted(uid_of(2))
                assert list(transaction.uids()) == [uid_of(1), uid_of(3)]
                assert transaction.subscriptions(uid_of(3)) == (Subscription(uid_of(3), "A"),)
                assert list(transaction.subscriptions_of("A")) == [Subscription(uid_of(3), "A")]
                assert transaction.generators() == (Generator("B"),)
                return "decided"

            assert store.transact(decide) == "decided"

    def test_nobody_sees_a_decision_before_it_is_made_and_everybody_afterwards(self) -> None:
        with self.opened(workitem(1), workitem(2)) as store:
            looks: list[object] = []

            def decide(transaction: WorklistTransaction) -> None:
                _write_everything(transaction)
                looker = threading.Thread(target=lambda: looks.append(_all_outside(store)))
                looker.start()
                looker.join(30)

            before = _all_outside(store)
            store.transact(decide)
            assert looks
            assert all(look == before for look in looks)
            after = at_once(2, lambda _: _all_outside(store))
            assert after[0] == after[1] != before

    def test_an_exception_undoes_everything_and_passes_through(self) -> None:
        with self.opened(workitem(1), workitem(2)) as store:
            store.transact(_write_everything)
            put(store, workitem(2))
            before = _all(store)

            def decide(transaction: WorklistTransaction) -> None:
                transaction.put(in_state(workitem(1), WorkitemState.CANCELED))
                transaction.put(workitem(7))
                transaction.remove(uid_of(2))
                transaction.subscribe(Subscription(uid_of(1), "B"))
                transaction.unsubscribe(uid_of(1), "A")
                transaction.put_generator(Generator("E"))
                transaction.remove_generator("C", filtered=False)
                transaction.queue("A", report(1))
                transaction.queue("F", report(1))
                transaction.discard("D")
                raise Refused("By order.")

            for _ in range(2):
                assert raises(Refused, lambda: store.transact(decide))
            assert _all(store) == before
            store.transact(lambda transaction: transaction.put(workitem(7)))
            assert store.get(uid_of(7)) == workitem(7)

    def test_of_sixteen_claiming_exactly_one_wins_A80(self) -> None:
        with self.opened(*(workitem(number) for number in range(10))) as store:
            for number in range(10):
                uid = uid_of(number)
                seen = at_once(16, lambda n, uid=uid: store.transact(claim(uid, f"2.25.{n}")))  # type: ignore[misc]
                winner = store.get(uid).transaction_uid
                assert set(seen) == {winner}, "a loser does not see who won"
            assert Counter(one.report.workitem for one in store.queued("WATCHER")) == Counter(map(uid_of, range(10)))

    def test_of_sixteen_creating_exactly_one_creates(self) -> None:
        with self.opened() as store:

            def create(number: int) -> bool:
                def decide(transaction: WorklistTransaction) -> bool:
                    free = transaction.get(uid_of(1)) is None
                    if free:
                        transaction.put(workitem(1, station=f"ST{number}"))
                    return free

                return store.transact(decide)

            created = at_once(16, create)
            assert Counter(created) == {True: 1, False: 15}
            assert store.get(uid_of(1)) == workitem(1, station=f"ST{created.index(True)}")

    def test_no_update_is_lost_and_a_failing_decision_undoes_its_own_only(self) -> None:
        with self.opened(workitem(0)) as store:

            def count(number: int) -> int:
                refused = 0
                for turn in range(12):
                    try:
                        store.transact(_counting(fails=(number + turn) % 3 == 0))
                    except Refused:
                        refused += 1
                return refused

            refused = sum(at_once(8, count))
            assert refused == 32
            assert store.get(uid_of(0)).changed == 64
            assert numbered(store.queued("A", limit=1_000)) == list(range(1, 65))

    def test_creating_and_subscribing_to_all_at_once_leaves_nothing_unsubscribed(self) -> None:
        for _ in range(3):
            with self.opened() as store:

                def act(number: int, store: WorklistStore = store) -> None:
                    if number == 3:
                        store.transact(_subscribe_to_all)
                    else:
                        for one in range(10):
                            store.transact(_creating(100 * number + one))

                at_once(4, act)

                def decide(transaction: WorklistTransaction) -> None:
                    subscribed = [one.workitem for one in transaction.subscriptions_of("ALL")]
                    assert subscribed == list(transaction.uids())
                    assert len(subscribed) == 30

                store.transact(decide)

    # -- reports --

    def test_reports_of_a_workitem_come_to_all_in_the_order_of_commits(self) -> None:
        with self.opened(workitem(0)) as store:
            receivers = ("A", "B", "C")
            done = threading.Event()
            followed: dict[str, list[int]] = {receiver: [] for receiver in receivers}

            def act(number: int) -> None:
                if number < len(receivers):
                    followed[receivers[number]] = _follow(store, receivers[number], done)
                else:
                    for _ in range(15):
                        store.transact(_counting(receivers))
                    if store.get(uid_of(0)).changed == 60:
                        done.set()

            at_once(7, act)
            assert all(counts == list(range(1, 61)) for counts in followed.values())

    def test_nobody_sees_half_of_a_decision(self) -> None:
        with self.opened(workitem(0)) as store:
            done = threading.Event()

            def act(number: int) -> int:
                if number == 0:
                    for turn in range(40):
                        queue(store, "A", *(3 * turn + one for one in range(3)))
                    done.set()
                    return 0
                halves = 0
                while not done.is_set():
                    halves += len(store.queued("A", limit=1_000)) % 3
                return halves

            assert sum(at_once(3, act)) == 0

    # -- lifetime --

    def test_close_is_idempotent_and_everything_stays_U117(self) -> None:
        store = self.make_store()
        put(store, workitem(1), workitem(2), workitem(3))
        claimed = replace(in_state(workitem(3), WorkitemState.IN_PROGRESS, "2.25.77"), performer="CT1")
        put(store, claimed)
        store.transact(_write_everything)
        subscribe(store, Subscription(uid_of(3), "A", deletion_lock=True, origin=Origin.FILTERED_WORKLIST))
        queue(store, "A", *range(5))
        store.delivered("A", store.queued("A")[2].sequence)
        before = _all(store)
        store.close()
        store.close()
        again = self.reopen_store(store)
        if again is None:
            return
        try:
            assert _all(again) == before
            assert again.get(uid_of(3)) == claimed
            assert raises(Gone, lambda: again.get(uid_of(2)))
            latest = again.latest()
            queue(again, "A", 9)
            assert again.queued("A")[-1].sequence > latest
        finally:
            again.close()


def _write_everything(transaction: WorklistTransaction) -> None:
    """A write of every kind, beginning with workitems 1 and 2."""
    transaction.put(in_state(workitem(1), WorkitemState.IN_PROGRESS, "2.25.5"))
    transaction.put(workitem(5))
    transaction.remove(uid_of(2))
    transaction.subscribe(Subscription(uid_of(1), "A", deletion_lock=True))
    transaction.put_generator(Generator("C"))
    transaction.put_generator(Generator("C", filter=FILTER, filter_text="text"))
    transaction.queue("D", report(1, EventType.PROGRESS_REPORT))


def _all_outside(store: WorklistStore) -> object:
    """What reads see without a decision."""
    queues = {receiver: store.queued(receiver) for receiver in sorted(store.receivers())}
    return list(store.candidates(())), queues, store.latest()


def _all(store: WorklistStore) -> object:
    """Everything there is."""

    def decide(transaction: WorklistTransaction) -> object:
        uids = list(transaction.uids())
        subscriptions = [transaction.subscriptions(uid) for uid in uids]
        of_receivers = [list(transaction.subscriptions_of(receiver)) for receiver in "ABCDEF"]
        deleted = [transaction.was_deleted(uid_of(number)) for number in range(10)]
        return uids, subscriptions, of_receivers, transaction.generators(), deleted

    return _all_outside(store), store.transact(decide)


def _counting(receivers: tuple[str, ...] = ("A",), *, fails: bool = False) -> Callable[[WorklistTransaction], None]:
    """A decision: counts in workitem 0, reports the count, and then fails or not."""

    def decide(transaction: WorklistTransaction) -> None:
        found = transaction.get(uid_of(0))
        assert found is not None
        count = int(found.changed) + 1
        transaction.put(replace(found, changed=count))
        for receiver in receivers:
            transaction.queue(receiver, report(0, count=count))
        if fails:
            raise Refused("By order.")

    return decide


def _subscribe_to_all(transaction: WorklistTransaction) -> None:
    transaction.put_generator(Generator("ALL"))
    for uid in transaction.uids():
        transaction.subscribe(Subscription(uid, "ALL", origin=Origin.WORKLIST))


def _creating(number: int) -> Callable[[WorklistTransaction], None]:
    def decide(transaction: WorklistTransaction) -> None:
        transaction.put(workitem(number))
        for generator in transaction.generators():
            transaction.subscribe(Subscription(uid_of(number), generator.receiver, origin=Origin.WORKLIST))

    return decide


def _follow(store: WorklistStore, receiver: str, done: threading.Event) -> list[int]:
    """The counts of the reports of a receiver as a hub gets them: asks for the latest number, then for what is new."""
    counts: list[int] = []
    after = seen = 0
    while True:
        finished = done.is_set()
        latest = store.latest()
        if latest != seen:
            seen = latest
            while page := store.queued(receiver, after=after, limit=10):
                counts += numbered(page)
                after = page[-1].sequence
                store.delivered(receiver, after)
        elif finished:
            return counts
        else:
            time.sleep(0.001)
