"""What only a worklist on a disk can do wrong: processes, forks, kills, no room (A70-A75)."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import lmdb
import pytest

from dicomweb_core.errors import Gone, NotFound, OutOfSpace, StorageUnavailable
from dicomweb_core.storage.worklists import WorklistTransaction
from dicomweb_core.testing.store_calls import at_once
from dicomweb_core.testing.workitem_samples import (
    START,
    claim,
    numbered,
    put,
    queue,
    remove,
    subscribe,
    text,
    uid_of,
    with_attribute,
    workitem,
)
from dicomweb_core.values.workitems import Generator, Subscription, Workitem, WorkitemState
from dicomweb_lmdb import LMDBInstanceStore, LMDBWorklistStore
from tests.conformance.worklist_writer import WORKITEMS

_ROOT = Path(__file__).parents[2]


def _process(path: Path, what: str, first: int) -> subprocess.Popen[str]:
    paths = os.pathsep.join(map(str, (_ROOT, _ROOT / "adapters", _ROOT / "backends")))
    return subprocess.Popen(
        [sys.executable, "-m", "tests.conformance.worklist_writer", str(path), what, str(first)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=_ROOT, env=os.environ | {"PYTHONPATH": paths},
    )  # fmt: skip


def test_the_folder_of_instances_is_refused_with_the_reason(tmp_path: Path) -> None:
    instances = LMDBInstanceStore(tmp_path)
    with pytest.raises(StorageUnavailable, match="need one each"):
        LMDBWorklistStore(tmp_path)
    LMDBWorklistStore(tmp_path / "worklist").close()
    instances.close()


# -- processes --


def test_of_eight_processes_exactly_one_claims_each_workitem_A80(tmp_path: Path) -> None:
    store = LMDBWorklistStore(tmp_path)
    put(store, *(workitem(number) for number in range(WORKITEMS)))
    processes = [_process(tmp_path, "claim", name) for name in range(1, 9)]
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    said: dict[int, list[int]] = {}
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    for name, process in enumerate(processes, 1):
        output, _ = process.communicate(timeout=120)
        assert process.returncode == 0
        said[name] = [int(line) for line in output.splitlines()]
        assert [number if number >= 0 else -number - 1 for number in said[name]] == list(range(WORKITEMS))
    won = {number: name for name, numbers in said.items() for number in numbers if number >= 0}
    assert sum(number >= 0 for numbers in said.values() for number in numbers) == WORKITEMS
    for number in range(WORKITEMS):
        assert store.get(uid_of(number)).transaction_uid == f"2.25.{won[number]}.{number}"
    reports = store.queued("WATCHER", limit=10_000)
    assert Counter(one.report.workitem for one in reports) == Counter(uid_of(number) for number in range(WORKITEMS))
    assert len(set(won.values())) > 1, "they did not compete"
    store.close()


def test_what_one_process_does_another_sees_at_once_A73(tmp_path: Path) -> None:
    store = LMDBWorklistStore(tmp_path)
    with _process(tmp_path, "write", 1) as process:
        assert process.stdout is not None
        for number in range(1, 30):
            while process.stdout.readline() != f"{number}\n":
                pass
            assert store.latest() >= 2 * number
            assert numbered(store.queued("A", limit=1_000))[:number] == list(range(1, number + 1))
        process.kill()
        process.stdout.read()
    store.close()


def test_a_fork_while_other_threads_decide_A73(tmp_path: Path) -> None:
    store = LMDBWorklistStore(tmp_path)
    put(store, workitem(0))
    stop = threading.Event()
    errors: list[BaseException] = []

    def count(transaction: WorklistTransaction) -> None:
        found = transaction.get(uid_of(0))
        assert found is not None
        transaction.put(replace(found, changed=found.changed + 1))

    def work(_: int) -> int:
        done = 0
        try:
            while not stop.is_set():
                store.transact(count)
                store.delivered("A", store.latest())
                done += 1
        except BaseException as error:
            errors.append(error)
        return done

    done: list[int] = []
    threads = [threading.Thread(target=lambda number=n: done.append(work(number))) for n in range(3)]  # type: ignore[misc]
    for thread in threads:
        thread.start()
    for _ in range(6):
        child = os.fork()
        if child == 0:
            status = 1
            try:
                store.transact(count)
                queue(store, "A", 1)
                store.close()
                status = 0
            finally:
                os._exit(status)
        assert os.waitpid(child, 0)[1] == 0
    stop.set()
    for thread in threads:
        thread.join(30)
        assert not thread.is_alive()
    assert errors == []
    assert store.get(uid_of(0)).changed == sum(done) + 6
    store.close()


# -- kills --


def _kill_round(path: Path, first: int, moment: float) -> tuple[set[int], set[int]]:
    """What a process that was killed had acknowledged as written, and as removed."""
    with _process(path, "write", first) as process:
        assert process.stdout is not None
        lines = [process.stdout.readline()]
        time.sleep(moment)
        process.send_signal(signal.SIGKILL)
        lines += process.stdout.readlines()
    numbers = [int(line) for line in lines if line.endswith("\n")]
    return {number for number in numbers if number > 0}, {-number for number in numbers if number < 0}


def _kill_and_look(path: Path, rounds: int) -> None:
    chosen = random.Random(rounds)
    written: list[int] = []
    removed: set[int] = set()
    for turn in range(rounds):
        first = 1_000 * (turn + 1)
        new, gone = _kill_round(path, first, chosen.uniform(0.0, 0.1))
        removed |= gone
        store = LMDBWorklistStore(path)
        reports = numbered(store.queued("A", limit=100_000))
        assert numbered(store.queued("B", limit=100_000)) == reports, "half of a decision is there"
        assert reports == sorted(reports)
        assert set(reports) >= new | set(written), "an acknowledged decision is lost"
        assert len(set(reports) - new - set(written)) <= 1, "more than what was under way"
        written = reports

        def look(transaction: WorklistTransaction) -> tuple[list[str], list[str]]:
            return list(transaction.uids()), [one.workitem for one in transaction.subscriptions_of("A")]

        uids, subscribed = store.transact(look)
        assert uids == subscribed, "half of a decision is there"
        assert sorted(one.uid for one in store.candidates(())) == sorted(uids)
        for number in written:
            if number in removed:
                with pytest.raises(Gone):
                    store.get(uid_of(number))
            elif number % 3:
                assert store.get(uid_of(number)) == workitem(number)
        store.close()


def test_a_killed_writer_loses_nothing_it_acknowledged_and_leaves_nothing_half_A70(tmp_path: Path) -> None:
    _kill_and_look(tmp_path, 5)


@pytest.mark.slow
def test_many_killed_writers_lose_nothing_A70(tmp_path: Path) -> None:
    _kill_and_look(tmp_path, 30)


# -- commits of many --


def test_decisions_of_many_threads_share_a_commit(tmp_path: Path) -> None:
    store = LMDBWorklistStore(tmp_path)
    at_once(16, lambda number: [put(store, workitem(100 * number + one)) for one in range(10)])
    store.close()
    environment = lmdb.open(str(tmp_path), readonly=True, max_dbs=20)
    commits = environment.info()["last_txnid"]
    environment.close()
    assert commits < 120, "each of 160 decisions had a commit of its own"


def test_a_decision_that_is_refused_before_it_writes_does_not_make_the_others_run_again(tmp_path: Path) -> None:
    store = LMDBWorklistStore(tmp_path)
    runs = Counter[int]()

    def act(number: int) -> None:
        def decide(transaction: WorklistTransaction) -> None:
            runs[number] += 1
            if number % 2:
                raise Gone("By order.")
            transaction.put(workitem(number))

        if number % 2:
            with pytest.raises(Gone):
                store.transact(decide)
        else:
            store.transact(decide)

    at_once(12, act)
    assert runs == Counter(range(12))
    store.close()


def test_what_a_decision_raises_comes_to_the_thread_that_asked_for_it(tmp_path: Path) -> None:
    store = LMDBWorklistStore(tmp_path)

    def act(number: int) -> None:
        def decide(transaction: WorklistTransaction) -> None:
            transaction.put(workitem(number))
            time.sleep(0.002)
            if number % 3 == 0:
                raise (KeyboardInterrupt, NotFound)[number % 2](f"{number}")

        if number % 3 == 0:
            with pytest.raises((KeyboardInterrupt, NotFound), match=f"^{number}$"):
                store.transact(decide)
        else:
            store.transact(decide)

    at_once(12, act)
    expected = [uid_of(number) for number in range(12) if number % 3]
    assert store.transact(lambda transaction: list(transaction.uids())) == expected
    store.close()


# -- delivery --


def test_what_was_delivered_leaves_the_disk_soon_and_when_the_store_is_closed(tmp_path: Path) -> None:
    store = LMDBWorklistStore(tmp_path / "a")
    queue(store, "A", 1, 2, 3)
    queue(store, "B", 1)
    store.delivered("A", store.latest())
    assert list(store.receivers()) == ["B"]
    time.sleep(1.1)
    store.latest()
    assert _queued_on_disk(tmp_path / "a") == 1
    store.delivered("B", store.latest())
    store.close()
    other = LMDBWorklistStore(tmp_path / "a")
    assert list(other.receivers()) == []
    other.close()


def test_listeners_stay_on_disk_although_a_decision_looks_at_its_store(tmp_path: Path) -> None:
    store = LMDBWorklistStore(tmp_path, lease_seconds=1)
    queue(store, "A", 1)
    store.listen("A")
    counted_until = time.time() + 1

    def decide(_: WorklistTransaction) -> None:
        # when it is time to say again who listens, which cannot be done here
        time.sleep(0.3)
        store.latest()

    store.transact(decide)
    store.latest()
    kept = store.transact(lambda transaction: transaction.deliver("A", store.latest(), counted_until + 0.1))
    assert kept == 0
    store.close()


def test_a_process_that_was_killed_while_the_clock_was_wrong_does_not_count_for_years(tmp_path: Path) -> None:
    store = LMDBWorklistStore(tmp_path)
    queue(store, "A", 1)
    now, last = time.time(), store.latest()
    store.transact(lambda transaction: transaction.listen("killed", now + 1e8, {"A": 0}))
    assert store.transact(lambda transaction: transaction.deliver("A", last, now)) == last
    assert _kept(store) == 0
    store.close()


def test_who_polls_for_ae_titles_that_nobody_has_leaves_nothing_on_disk_A82(tmp_path: Path) -> None:
    store = LMDBWorklistStore(tmp_path)
    queue(store, "A", 1)
    for number in range(20):
        store.listen(f"B{number}")
        store.delivered(f"B{number}", 1)
        store.unlisten(f"B{number}")
    store.close()
    with lmdb.open(str(tmp_path), max_dbs=32) as environment, environment.begin() as txn:
        for table in (b"delivered", b"listening", b"processes", b"lengths"):
            with txn.cursor(environment.open_db(table, txn=txn)) as cursor:
                assert not [key for key in cursor.iternext(values=False) if key.startswith(b"B")]


class Follower:
    """Another process that listens for A."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process

    def ask(self, what: str, number: int = 0) -> str:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(f"{what} {number}\n")
        self.process.stdin.flush()
        return self.process.stdout.readline().strip()


def _kept(store: LMDBWorklistStore) -> int:
    """How many reports for A are on disk."""
    # what is due to be written is written on such an occasion
    store.latest()
    return store.transact(lambda transaction: transaction.queue_length("A"))


def _until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.02)


@pytest.mark.parametrize("how", ["delivers", "leaves", "is killed"])
def test_what_one_process_delivers_stays_for_others_that_listen_U101(tmp_path: Path, how: str) -> None:
    store = LMDBWorklistStore(tmp_path)
    queue(store, "A", *range(10))
    last = store.latest()
    with _process(tmp_path, "follow", 2) as process:
        follower = Follower(process)
        assert follower.ask("listen") == "0"
        assert store.listen("A") == 0
        store.delivered("A", last)
        assert store.queued("A", 0) == ()
        # that it was delivered is known there, and who listens already gets it all the same
        _until(lambda: bool(store.latest() and follower.ask("look")) and follower.ask("listen") == str(last))
        assert _kept(store) == 10
        assert follower.ask("queued", 3) == str(list(range(4, last + 1)))
        match how:
            case "delivers":
                follower.ask("deliver", last - 2)
                _until(lambda: bool(follower.ask("look")) and _kept(store) == 2)
                assert follower.ask("queued", 0) == str([last - 1, last])
                follower.ask("deliver", last)
            case "leaves":
                follower.ask("leave")
            case _:
                process.kill()
        _until(lambda: (how == "is killed" or bool(follower.ask("look"))) and _kept(store) == 0)
        process.kill()
    assert store.listen("A") == last
    store.close()


def _queued_on_disk(path: Path) -> int:
    """As another process sees it."""
    counting = (
        "import sys; from dicomweb_lmdb import LMDBWorklistStore; s = LMDBWorklistStore(sys.argv[1]);"
        "print(sum(len(s.queued(r)) for r in s.receivers()))"
    )
    paths = os.pathsep.join(map(str, (_ROOT, _ROOT / "backends")))
    done = subprocess.run(
        [sys.executable, "-c", counting, str(path)], env=os.environ | {"PYTHONPATH": paths},
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    return int(done.stdout)


# -- room and format --


def test_a_full_map_refuses_and_loses_nothing_A71(tmp_path: Path) -> None:
    store = LMDBWorklistStore(tmp_path, map_size=2 << 20)
    stored = 0
    while _fits(store, stored):
        stored += 1
    assert 10 < stored < 300
    assert len(list(store.candidates(()))) == stored
    with pytest.raises(OutOfSpace):
        put(store, _large(9_000))
    # What is there can still be read. (In a map as full as this one a removal may not fit either.)
    assert store.get(uid_of(0)) == _large(0)
    store.close()


def test_where_one_decision_does_not_fit_others_do_A71(tmp_path: Path) -> None:
    store = LMDBWorklistStore(tmp_path, map_size=2 << 20)
    huge = with_attribute(workitem(1), "00404051", text("LT", "x" * (3 << 20)))

    def act(number: int) -> bool:
        try:
            put(store, huge if number == 0 else workitem(100 + number))
        except OutOfSpace:
            return False
        return True

    assert at_once(8, act) == [False, *[True] * 7]
    assert len(list(store.candidates(()))) == 7
    store.close()


def _large(number: int) -> Workitem:
    return with_attribute(workitem(number), "00404051", text("LT", "x" * 20_000))


def _fits(store: LMDBWorklistStore, number: int) -> bool:
    try:
        put(store, _large(number))
    except OutOfSpace:
        return False
    return True


def test_a_closed_store_says_so(tmp_path: Path) -> None:
    store = LMDBWorklistStore(tmp_path)
    put(store, workitem(1))
    search = iter(store.candidates(()))
    store.close()
    for call in (lambda: store.get(uid_of(1)), lambda: put(store, workitem(2)), store.latest, lambda: next(search)):
        with pytest.raises(StorageUnavailable):
            call()


def test_an_archive_is_no_worklist(tmp_path: Path) -> None:
    LMDBInstanceStore(tmp_path).close()
    with pytest.raises(StorageUnavailable, match="another version"):
        LMDBWorklistStore(tmp_path)
    LMDBInstanceStore(tmp_path).close()


def test_a_search_left_open_does_not_make_the_file_grow_A73(tmp_path: Path) -> None:
    store = LMDBWorklistStore(tmp_path)
    put(store, *(workitem(number) for number in range(200)))
    search = iter(store.candidates(()))
    next(search)

    def overwrite(times: int) -> int:
        for turn in range(times):
            put(store, with_attribute(_large(1), START, text("DT", f"2026010{turn % 9 + 1}")))
        return os.stat(tmp_path / "data.mdb").st_size

    before = overwrite(20)
    assert overwrite(100) <= before + (1 << 17), "freed pages are not used again"
    store.close()


def test_the_index_holds_nothing_of_what_was_removed(tmp_path: Path) -> None:
    store = LMDBWorklistStore(tmp_path)
    put(store, *(workitem(number, tuple(WorkitemState)[number % 4]) for number in range(20)))
    subscribe(store, *(Subscription(uid_of(number), "A") for number in range(20)))
    store.transact(claim(uid_of(0), "2.25.1"))
    store.transact(lambda transaction: transaction.put_generator(Generator("A")))
    put(store, *(workitem(number, start="2027", station="MR", label="L", patient_id="P") for number in range(10)))
    remove(store, *range(20))
    store.close()
    environment = lmdb.open(str(tmp_path), readonly=True, max_dbs=20)
    with environment.begin() as txn:
        left = {
            name: txn.stat(environment.open_db(name.encode(), txn=txn, create=False))["entries"]
            for name in ("workitems", "terms", "subscriptions", "subscribed", "removed", "generators", "queues")
        }
    environment.close()
    assert left == {"workitems": 0, "terms": 0, "subscriptions": 0, "subscribed": 0, "removed": 20} | {
        "generators": 1, "queues": 1,
    }  # fmt: skip
