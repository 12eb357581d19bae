"""Processes for the tests of the worklist in LMDB.

`python -m tests.conformance.worklist_writer path write first` writes until it is killed. For each number from `first`
on one decision puts a workitem, subscribes to it and queues two reports, then the number is printed; every third is
removed again, and printed with a minus.

`python -m tests.conformance.worklist_writer path claim first` waits for a line, then claims the workitems 0 to 199 and
prints the numbers of those it has won and, each with a minus less one, of those somebody else has.

`python -m tests.conformance.worklist_writer path follow seconds` listens for A, and delivers what it is told; it counts
for so many seconds once it is killed.
"""

from __future__ import annotations

import sys

from dicomweb_core.storage.worklists import WorklistTransaction
from dicomweb_core.testing.workitem_samples import claim, remove, report, uid_of, workitem
from dicomweb_core.values.workitems import Subscription
from dicomweb_lmdb import LMDBWorklistStore

WORKITEMS = 200


def write(store: LMDBWorklistStore, first: int) -> None:
    """Until it is killed."""
    number = first
    while True:

        def decide(transaction: WorklistTransaction, number: int = number) -> None:
            transaction.put(workitem(number))
            transaction.subscribe(Subscription(uid_of(number), "A", deletion_lock=True))
            transaction.queue("A", report(number, count=number))
            transaction.queue("B", report(number, count=number))

        store.transact(decide)
        sys.stdout.write(f"{number}\n")
        sys.stdout.flush()
        if number % 3 == 0:
            remove(store, number)
            sys.stdout.write(f"-{number}\n")
            sys.stdout.flush()
        number += 1


def compete(store: LMDBWorklistStore, name: str) -> None:
    """With all others who do the same."""
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    sys.stdin.readline()
    for number in range(WORKITEMS):
        mine = f"2.25.{name}.{number}"
        won = store.transact(claim(uid_of(number), mine)) == mine
        sys.stdout.write(f"{number if won else -number - 1}\n")
    sys.stdout.flush()


def follow(store: LMDBWorklistStore) -> None:
    """As it is told."""
    for line in sys.stdin:
        what, _, number = line.strip().partition(" ")
        match what:
            case "listen":
                sys.stdout.write(f"{store.listen('A')}\n")
            case "queued":
                sys.stdout.write(f"{[one.sequence for one in store.queued('A', int(number))]}\n")
            case "deliver":
                store.delivered("A", int(number))
                sys.stdout.write("delivered\n")
            case "look":
                sys.stdout.write(f"{store.latest()}\n")
            case "leave":
                store.unlisten("A")
                sys.stdout.write("left\n")
        sys.stdout.flush()


def main() -> None:
    """See above."""
    path, what, first = sys.argv[1:]
    if what == "follow":
        follow(LMDBWorklistStore(path, lease_seconds=float(first)))
        return
    store = LMDBWorklistStore(path)
    if what == "write":
        write(store, int(first))
    compete(store, first)
    store.close()


if __name__ == "__main__":
    main()
