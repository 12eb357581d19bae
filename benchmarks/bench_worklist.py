"""The worklist in LMDB: durable creations and changes of state, searches of 100,000 workitems, events. A line each.

python benchmarks/bench_worklist.py [workitems] [directory]
"""

from __future__ import annotations

import io
import json
import multiprocessing
import shutil
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path

from dicomweb_core import OriginServer, Request, Response
from dicomweb_core.rules.matching import matches
from dicomweb_core.storage.worklists import WorklistTransaction
from dicomweb_core.testing.workitem_samples import (
    CODE_VALUE,
    PATIENT_ID,
    START,
    STATE,
    STATION_NAME,
    report,
    text,
    with_attribute,
    workitem,
)
from dicomweb_core.testing.workitem_samples import claim as claiming
from dicomweb_core.values.queries import AnyUID, MatchKey, Range, SingleValue, Wildcard, WithinItem
from dicomweb_core.values.workitems import Subscription, Workitem, WorkitemState
from dicomweb_lmdb import LMDBWorklistStore
from dicomweb_memory import MemoryInstanceStore

_BATCH = 1_000
_STATIONS = 50


def measure(name: str, call: Callable[[], object], *, repeats: int = 200) -> None:
    """The best and the median time of a call."""
    times = []
    for _ in range(repeats):
        begin = time.perf_counter()
        call()
        times.append(time.perf_counter() - begin)
        if sum(times) > 3:
            break
    times.sort()
    print(f"{name:<66} {times[0] * 1e6:>9.0f} µs best {times[len(times) // 2] * 1e6:>9.0f} µs median")


def rate(name: str, decisions: int, threads: int, act: Callable[[int], object]) -> None:
    """Decisions in a second, of so many threads."""
    running = [
        threading.Thread(target=lambda first=first: [act(number) for number in range(first, decisions, threads)])  # type: ignore[misc]
        for first in range(threads)
    ]
    begin = time.perf_counter()
    for thread in running:
        thread.start()
    for thread in running:
        thread.join()
    spent = time.perf_counter() - begin
    print(f"{f'{name}, {threads} threads':<66} {decisions / spent:>9.0f} a second")


def made(number: int) -> Workitem:
    """About 2 kB of JSON; one of four states, one of 50 stations, one of 28 days."""
    state = tuple(WorkitemState)[number % 4]
    start = f"202601{number % 28 + 1:02}{number % 24:02}{number % 60:02}00"
    station = f"ST{number // 4 % _STATIONS}"
    one = workitem(number, state, start=start, station=station, patient_id=f"P{number // 3}")
    return with_attribute(one, "00404051", text("LT", "An instruction to the performer. " * 30))


def build(store: LMDBWorklistStore, workitems: int) -> None:
    """Many in a decision."""
    begin = time.perf_counter()
    for first in range(0, workitems, _BATCH):

        def decide(transaction: WorklistTransaction, first: int = first) -> None:
            for number in range(first, first + _BATCH):
                transaction.put(made(number))

        store.transact(decide)
    spent = time.perf_counter() - begin
    print(f"{f'build, {workitems} workitems, {_BATCH} a decision':<66} {workitems / spent:>9.0f} a second")


def search(store: LMDBWorklistStore, workitems: int) -> None:
    """The first 100 matches, and all of them."""
    state = MatchKey(STATE, "CS", SingleValue("SCHEDULED"))
    station = MatchKey(STATION_NAME, "SQ", WithinItem((MatchKey(CODE_VALUE, "SH", SingleValue("ST7")),)))
    nowhere = MatchKey(STATION_NAME, "SQ", WithinItem((MatchKey(CODE_VALUE, "SH", SingleValue("ST999")),)))
    day = MatchKey(START, "DT", Range("20260113000000000000", "20260113235959999999"))
    patient = MatchKey(PATIENT_ID, "LO", SingleValue(f"P{workitems // 6}"))
    uid = MatchKey("00080018", "UI", AnyUID(frozenset({made(workitems // 2).uid})))

    def found(*keys: MatchKey) -> Iterator[Workitem]:
        return (one for one in store.candidates(keys) if matches(keys, one.attributes))

    def first_100(*keys: MatchKey) -> list[Workitem]:
        return list(islice(found(*keys), 100))

    for title, keys in (
        ("state and station", (state, station)),
        ("state, station and day", (state, station, day)),
        ("state", (state,)),
        ("state and day", (state, day)),
        ("day", (day,)),
        ("patient", (patient,)),
        ("UID", (uid,)),
        ("state and a station without workitems", (state, nowhere)),
        ("state and station with wildcard", (state, MatchKey("00741202", "LO", Wildcard("*list*")))),
    ):
        measure(f"search by {title}, first {len(first_100(*keys))}", lambda keys=keys: first_100(*keys))  # type: ignore[misc]
    everything = (state, station)
    measure(f"search by state and station, all {len(list(found(*everything)))}", lambda: list(found(*everything)))


def decide(store: LMDBWorklistStore, workitems: int) -> None:
    """Durable decisions, one or two reports each."""
    for threads in (1, 8):
        first = workitems + 10_000 * threads
        count = 500 if threads == 1 else 2_000
        items = [made(4 * (first + number)) for number in range(count)]

        def create(number: int, items: list[Workitem] = items) -> None:
            def creating(transaction: WorklistTransaction) -> None:
                transaction.put(items[number])
                transaction.subscribe(Subscription(items[number].uid, "WATCHER"))
                transaction.queue("WATCHER", report(number))

            store.transact(creating)

        def claim(number: int, items: list[Workitem] = items) -> None:
            store.transact(claiming(items[number].uid, "2.25.1"))

        rate("create", count, threads, create)
        rate("change state", count, threads, claim)
        rate("refuse a change of state", count, threads, claim)


def read(store: LMDBWorklistStore) -> None:
    """What is asked again and again."""
    uid = made(77).uid
    measure("get", lambda: store.get(uid), repeats=2000)
    measure("latest", store.latest, repeats=5000)
    measure("100 reports", lambda: store.queued("WATCHER"), repeats=500)
    after = store.latest()
    measure("no new report", lambda: store.queued("WATCHER", after=after), repeats=5000)
    measure("delivered", lambda: store.delivered("NOBODY", after), repeats=5000)


def ask(server: OriginServer, method: str, target: str, dataset: object = None) -> Response:
    """An answer over HTTP values, read."""
    path, _, query = target.partition("?")
    body = b"" if dataset is None else json.dumps(dataset).encode()
    headers = (("Content-Type", "application/dicom+json"), ("Accept", "application/dicom+json")) if dataset else ()
    response = server.handle(Request(method, path, query, headers, io.BytesIO(body)))
    response.body.read()
    assert response.status < 300, response.status
    return response


def change(uid: str, state: str) -> tuple[str, str, object]:
    """A request to change the state."""
    values = {"00741000": {"vr": "CS", "Value": [state]}, "00081195": {"vr": "UI", "Value": ["2.25.1"]}}
    return "PUT", f"/workitems/{uid}/state", values


def over_http(server: OriginServer, store: LMDBWorklistStore) -> None:
    """The same with everything that a request needs."""
    keys = "ProcedureStepState=SCHEDULED&ScheduledStationNameCodeSequence.CodeValue=ST7"
    measure("HTTP: search by state and station, first 100", lambda: ask(server, "GET", f"/workitems?{keys}&limit=100"))
    measure("HTTP: search by state and station, all", lambda: ask(server, "GET", f"/workitems?{keys}"))
    measure("HTTP: retrieve", lambda: ask(server, "GET", f"/workitems/{made(77).uid}"))
    scheduled = [one.uid for one in islice(store.candidates((MatchKey(STATE, "CS", SingleValue("SCHEDULED")),)), 4_000)]
    for threads, count in ((1, 500), (8, 2_000)):
        uids, scheduled = scheduled[:count], scheduled[count:]
        rate(
            "HTTP: change state",
            count,
            threads,
            lambda number, uids=uids: ask(server, *change(uids[number], "IN PROGRESS")),
        )  # type: ignore[misc]
    for subscribers, uid in zip((100, 1_000, 10_000), scheduled, strict=False):
        many_subscribers(server, store, uid, subscribers)
    after = store.latest()
    measure("receivers_since, none", lambda: list(store.receivers_since(after)), repeats=5000)


def many_subscribers(server: OriginServer, store: LMDBWorklistStore, uid: str, subscribers: int) -> None:
    """One change that all of them are told."""

    def subscribe(transaction: WorklistTransaction) -> None:
        for number in range(subscribers):
            transaction.subscribe(Subscription(uid, f"AE{number}"))

    store.transact(subscribe)
    before = store.latest()
    measure(
        f"HTTP: change state, {subscribers} subscribers", lambda: ask(server, *change(uid, "IN PROGRESS")), repeats=1
    )
    measure(f"receivers_since, {subscribers} reports", lambda: list(store.receivers_since(before)))


def _change_all(path: str, uids: list[str], times: multiprocessing.Queue[list[float]]) -> None:
    store = LMDBWorklistStore(path)
    server = OriginServer(instances=MemoryInstanceStore(), worklist=store)
    found = []
    for uid in uids:
        ask(server, *change(uid, "IN PROGRESS"))
        found.append(time.monotonic())
        time.sleep(0.02)
    times.put(found)
    server.close()


def across(server: OriginServer, store: LMDBWorklistStore, path: Path) -> None:
    """From the answer in one process to the event in another."""
    chosen = list(islice(store.candidates((MatchKey(STATE, "CS", SingleValue("SCHEDULED")),)), 300))
    uids = [one.uid for one in chosen]
    store.transact(lambda transaction: [transaction.subscribe(Subscription(uid, "OTHER")) for uid in uids])
    context = multiprocessing.get_context("spawn")
    times: multiprocessing.Queue[list[float]] = context.Queue()
    changing = context.Process(target=_change_all, args=(str(path), uids, times))
    changing.start()
    arrived = [time.monotonic() for _ in islice(server.events("OTHER"), len(uids))]
    late = sorted(max(0.0, there - here) for here, there in zip(times.get(), arrived, strict=True))
    changing.join()
    median, worst = late[len(late) // 2] * 1e3, late[len(late) * 99 // 100] * 1e3
    print(f"{'answer in one process, event in another':<66} {median:>9.1f} ms median {worst:>8.1f} ms 99 %")


def main() -> None:
    """Builds, measures, removes."""
    workitems = int(sys.argv[1]) if len(sys.argv) > 1 else 100_000
    root = Path(tempfile.mkdtemp(dir=sys.argv[2] if len(sys.argv) > 2 else None))
    try:
        store = LMDBWorklistStore(root / "worklist")
        build(store, workitems)
        size = (root / "worklist" / "data.mdb").stat().st_blocks * 512
        print(f"{'size of data.mdb':<66} {size / 1e6:>9.0f} MB")
        search(store, workitems)
        decide(store, workitems)
        read(store)
        server = OriginServer(instances=MemoryInstanceStore(), worklist=store)
        over_http(server, store)
        across(server, store, root / "worklist")
        server.close()
        measure("open a store", lambda: LMDBWorklistStore(root / "worklist").close(), repeats=20)
    finally:
        shutil.rmtree(root)


if __name__ == "__main__":
    main()
