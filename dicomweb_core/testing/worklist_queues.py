"""Proof that reports wait for their receivers as a worklist store promises; a part of `WorklistStoreConformance`."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any

from dicomweb_core.storage.worklists import WorklistTransaction
from dicomweb_core.testing.workitem_samples import (
    in_state,
    numbered,
    put,
    queue,
    remove,
    report,
    subscribe,
    uid_of,
    workitem,
)
from dicomweb_core.testing.worklist_contents import FILTER
from dicomweb_core.values.workitems import (
    EventReport,
    EventType,
    Generator,
    QueuedReport,
    Subscription,
    WorkitemState,
)


class WorklistQueueConformance:
    """The sentences of `storage.worklists` about reports, and about workitems that may be removed."""

    opened: Any
    """A context with a store that has the workitems given; of `WorklistContentConformance`."""

    def test_queues_are_in_order_and_apart(self) -> None:
        with self.opened() as store:
            began = time.time()
            assert store.queued("A") == ()
            numbers = [store.latest()]
            for count in range(1, 7):
                queue(store, ("A", "AB", "ABC")[count % 3], count, 10 + count)
                numbers.append(store.latest())
            assert numbers == sorted(set(numbers)), "latest does not grow with each report"
            for receiver, counts in (("ABC", [2, 12, 5, 15]), ("A", [3, 13, 6, 16]), ("AB", [1, 11, 4, 14]), ("B", [])):
                found = store.queued(receiver)
                assert numbered(found) == counts
                sequences = [one.sequence for one in found]
                assert sequences == sorted(set(sequences))
                assert all(0 < sequence <= store.latest() for sequence in sequences)
                assert all(began - 1 <= one.queued <= time.time() + 1 for one in found)
            full = EventReport(uid_of(1), EventType.ASSIGNED, workitem(1).attributes)
            store.transact(lambda transaction: transaction.queue("D", full))
            assert store.queued("D")[0].report == full

    def test_reports_come_in_pages(self) -> None:
        with self.opened() as store:
            queue(store, "A", *range(250))
            queue(store, "B", 1)
            assert numbered(store.queued("A")) == list(range(100))
            seen: list[QueuedReport] = []
            while page := store.queued("A", after=seen[-1].sequence if seen else 0, limit=7):
                assert len(page) <= 7
                seen += page
            assert numbered(tuple(seen)) == list(range(250))
            assert store.queued("A", after=seen[-1].sequence) == ()
            assert store.queued("A", limit=0) == ()

    def test_what_was_delivered_does_not_come_again(self) -> None:
        with self.opened() as store:
            queue(store, "A", *range(10))
            queue(store, "AB", 1, 2)
            sequences = [one.sequence for one in store.queued("A")]
            store.delivered("A", sequences[3])
            assert numbered(store.queued("A")) == [4, 5, 6, 7, 8, 9]
            store.delivered("A", sequences[1])
            assert numbered(store.queued("A", after=sequences[5])) == [6, 7, 8, 9]
            store.delivered("A", 1 << 40)
            store.delivered("C", 1)
            assert store.queued("A") == ()
            assert numbered(store.queued("AB")) == [1, 2]
            queue(store, "A", 77)
            assert numbered(store.queued("A")) == [77]
            assert store.queued("A")[0].sequence > sequences[-1], "a sequence number was used again"

    def test_who_listens_begins_behind_what_was_delivered(self) -> None:
        with self.opened() as store:
            queue(store, "A", *range(5))
            queue(store, "B", 77)
            begin = store.listen("A")
            assert numbered(store.queued("A", begin)) == [0, 1, 2, 3, 4]
            store.delivered("A", store.queued("A", begin)[2].sequence)
            assert numbered(store.queued("A", store.listen("A"))) == [3, 4]
            store.unlisten("A")
            store.unlisten("A")
            store.unlisten("NOBODY")
            queue(store, "A", 5)
            assert numbered(store.queued("A", store.listen("A"))) == [3, 4, 5]
            assert numbered(store.queued("B", store.listen("B"))) == [77]

    def test_discard_forgets_one_queue_and_the_numbers_go_on(self) -> None:
        with self.opened() as store:
            queue(store, "A", 1, 2)
            queue(store, "AB", 3)
            latest = store.latest()
            store.transact(lambda transaction: transaction.discard("A"))
            assert store.queued("A") == ()
            assert numbered(store.queued("AB")) == [3]
            assert store.latest() == latest

            def decide(transaction: WorklistTransaction) -> None:
                transaction.queue("A", report(1, count=4))
                transaction.discard("A")
                transaction.queue("A", report(1, count=5))

            store.transact(decide)
            assert numbered(store.queued("A")) == [5]
            assert store.queued("A")[0].sequence > latest

    def test_receivers_are_those_with_anything(self) -> None:
        with self.opened(workitem(1)) as store:
            assert list(store.receivers()) == []
            subscribe(store, Subscription(uid_of(1), "SUB"), Subscription(uid_of(1), "SUBA"))
            store.transact(lambda transaction: transaction.put_generator(Generator("GEN", filter=FILTER)))
            queue(store, "QUEUE", 1)
            queue(store, "SUB", 1)
            assert sorted(store.receivers()) == ["GEN", "QUEUE", "SUB", "SUBA"]
            remove(store, 1)
            assert sorted(store.receivers()) == ["GEN", "QUEUE", "SUB"]
            store.delivered("QUEUE", store.latest())
            store.transact(lambda transaction: transaction.discard("SUB"))
            store.transact(lambda transaction: transaction.remove_generator("GEN", filtered=True))
            assert list(store.receivers()) == []

    def test_a_queue_is_counted_and_its_last_report_known(self) -> None:
        with self.opened() as store:

            def look(receiver: str) -> tuple[int, EventReport | None]:
                found: tuple[int, EventReport | None] = store.transact(
                    lambda transaction: (transaction.queue_length(receiver), transaction.last_queued(receiver))
                )
                return found

            assert look("A") == (0, None)
            queue(store, "A", *range(7))
            queue(store, "AB", 8)
            queue(store, "B", 9)
            assert look("A") == (7, report(1, count=6))
            assert look("AB") == (1, report(1, count=8))
            store.transact(lambda transaction: transaction.discard("A"))
            assert look("A") == (0, None)
            queue(store, "A", 1)
            assert look("A") == (1, report(1, count=1))
            assert look("B") == (1, report(1, count=9))

    def test_a_queue_is_shortened_from_its_beginning(self) -> None:
        with self.opened() as store:
            queue(store, "A", *range(10))
            queue(store, "B", *range(10))
            sequences = [one.sequence for one in store.queued("A")]
            for _ in range(2):
                # again it has no effect: one stands for all that was forgotten
                store.transact(lambda transaction: transaction.shorten("A", 4, report(1, count=77)))
                left = store.queued("A")
                assert numbered(left) == [77, 6, 7, 8, 9]
                assert [one.sequence for one in left] == sequences[5:]
                store.transact(lambda transaction: transaction.shorten("A", 5, report(1, count=78)))
            assert store.transact(lambda transaction: transaction.queue_length("A")) == 5
            assert numbered(store.queued("B")) == list(range(10))
            queue(store, "A", 10)
            assert numbered(store.queued("A")) == [77, 6, 7, 8, 9, 10]
            assert store.transact(lambda transaction: transaction.queue_length("A")) == 6

    def test_who_has_news_is_known(self) -> None:
        with self.opened() as store:
            assert list(store.receivers_since(0)) == []
            queue(store, "A", 1)
            first = store.latest()
            assert set(store.receivers_since(0)) == {"A"}
            queue(store, "B", 2)
            queue(store, "C", 3, 4)
            assert {"A", "B", "C"} <= set(store.receivers_since(0))
            assert {"B", "C"} <= set(store.receivers_since(first))
            assert set(store.receivers_since(store.latest())) == set()
            store.transact(lambda transaction: transaction.shorten("C", 1, report(1, count=5)))
            assert "C" in set(store.receivers_since(first))
            store.transact(lambda transaction: transaction.discard("B"))
            queue(store, "B", 6)
            assert set(store.receivers_since(store.latest() - 1)) == {"B"}

    def test_final_workitems_are_found_by_their_age_and_may_be_removed_meanwhile(self) -> None:
        states = tuple(WorkitemState)
        made = [replace(in_state(workitem(number), states[number % 4]), changed=100.0 - number) for number in range(20)]
        with self.opened(*made) as store:

            def finals(before: float) -> list[str]:
                found: list[str] = store.transact(lambda transaction: list(transaction.finals(before)))
                return found

            aged = [one.uid for one in sorted(made, key=lambda one: one.changed) if one.state.final]
            assert finals(1_000.0) == aged
            assert finals(90.5) == [one.uid for one in made[::-1] if one.state.final and one.changed < 90.5]
            put(store, *(one for one in made if not one.state.final))
            remove(store, 3)

            def purge(transaction: WorklistTransaction) -> None:
                for uid in transaction.finals(90.0):
                    transaction.remove(uid)

            store.transact(purge)
            assert finals(90.0) == []
            assert finals(1_000.0) == [uid for uid in aged if uid in {uid_of(n) for n in range(11)} - {uid_of(3)}]
