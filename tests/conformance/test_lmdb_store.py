"""What only a store on a disk can do wrong: processes, forks, kills, damage, no room, strange files (A70-A75)."""

from __future__ import annotations

import multiprocessing
import os
import random
import resource
import signal
import subprocess
import sys
import threading
import time
import zlib
from pathlib import Path

import lmdb
import pytest

from dicomweb_core.errors import CorruptBlob, Gone, NotFound, OutOfSpace, StorageUnavailable
from dicomweb_core.storage.instances import OnDuplicate, Outcome, Pending
from dicomweb_core.testing.blob_reader import check_blob_reader
from dicomweb_core.testing.samples import Sample, archive, sample, sample_ref
from dicomweb_core.testing.store_calls import at_once, put, refs, staged
from dicomweb_core.values.queries import Level, Query
from dicomweb_lmdb import LMDBInstanceStore

_ROOT = Path(__file__).parents[2]
_LARGE = 200
"""Rows and columns of an instance that is too large for the tables."""


def _large(study: int = 1, series: int = 1, instance: int = 1, seed: int = 0) -> Sample:
    return sample(study, series, instance, rows=_LARGE, columns=_LARGE, seed=seed)


def _content_files(path: Path) -> list[Path]:
    return sorted((path / "blobs").rglob("*.dcm"))


def _environment() -> dict[str, str]:
    return os.environ | {"PYTHONPATH": os.pathsep.join(map(str, (_ROOT, _ROOT / "adapters", _ROOT / "backends")))}


# -- processes --


def _store_many(path: str, first: int) -> None:
    store = LMDBInstanceStore(path)
    at_once(4, lambda n: [put(store, [sample(first + n, 1, one), _large(first + n, 2, one)]) for one in range(1, 6)])
    store.close()


def test_two_processes_with_four_threads_each_A73(tmp_path: Path) -> None:
    spawn = multiprocessing.get_context("spawn")
    processes = [spawn.Process(target=_store_many, args=(str(tmp_path / "store"), first)) for first in (10, 20)]
    for process in processes:
        process.start()
    store = LMDBInstanceStore(tmp_path / "store")
    while any(process.is_alive() for process in processes):
        seen = refs(store.candidates(Query(Level.INSTANCE)))
        assert len(seen) == len(set(seen))
        time.sleep(0.02)
    for process in processes:
        process.join()
        assert process.exitcode == 0
    assert store.statistics()[:3] == (8, 16, 80)
    assert list(store.verify()) == []
    for ref in refs(store.candidates(Query(Level.INSTANCE))):
        made = sample(*map(int, ref.instance.split(".")[3:])) if ref.series.endswith(".1") else None
        if made is not None:
            check_blob_reader(store.open(ref), made.part10)
    store.close()


def test_a_fork_after_use_A73(tmp_path: Path) -> None:
    store = LMDBInstanceStore(tmp_path)
    put(store, [sample(1), _large(2)])
    reader = store.open(_large(2).ref)
    children = []
    for number in range(3):
        child = os.fork()
        if child == 0:
            status = 1
            try:
                put(store, [sample(10 + number), _large(20 + number)])
                check_blob_reader(store.open(sample(1).ref), sample(1).part10)
                store.close()
                status = 0
            finally:
                os._exit(status)
        children.append(child)
    put(store, [sample(30), _large(31)])
    for child in children:
        assert os.waitpid(child, 0)[1] == 0
    check_blob_reader(reader, _large(2).part10)
    assert store.statistics().instances == 10
    assert list(store.verify()) == []
    store.close()


def test_a_fork_while_other_threads_store_and_read_A73(tmp_path: Path) -> None:
    store = LMDBInstanceStore(tmp_path)
    put(store, [sample(1)])
    stop = threading.Event()
    errors: list[BaseException] = []

    def work(number: int) -> None:
        study = 100 * number
        try:
            while not stop.is_set():
                study += 1
                put(store, [sample(study)])
                store.get(sample(1).ref)
                list(store.candidates(Query(Level.STUDY)).page(0, 10))
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in (1, 2)]
    for thread in threads:
        thread.start()
    for number in range(8):
        child = os.fork()
        if child == 0:
            status = 1
            try:
                put(store, [sample(5000 + number)])
                status = 0
            finally:
                os._exit(status)
        assert os.waitpid(child, 0)[1] == 0
    stop.set()
    for thread in threads:
        thread.join(30)
    assert errors == []
    assert list(store.verify()) == []
    assert store.get(sample(5007).ref)
    store.close()


# -- kills --


def _kill_round(path: Path, first: int, rows: int, moment: float) -> tuple[set[int], set[int]]:
    """Studies acknowledged as stored, and as deleted, by a process that was killed."""
    command = [sys.executable, "-m", "tests.conformance.lmdb_writer", str(path), str(first), str(rows)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=_ROOT, env=_environment(), text=True) as process:
        assert process.stdout is not None
        lines = [process.stdout.readline()]
        time.sleep(moment)
        process.send_signal(signal.SIGKILL)
        lines += process.stdout.readlines()
    # A line cut by the kill was not acknowledged.
    numbers = [int(line) for line in lines if line.endswith("\n")]
    return {number for number in numbers if number > 0}, {-number for number in numbers if number < 0}


def _kill_and_look(path: Path, rounds: int) -> None:
    chosen = random.Random(rounds)
    stored: set[int] = set()
    deleted: set[int] = set()
    for number in range(rounds):
        rows = (4, _LARGE)[number % 2]
        new, gone = _kill_round(path, 1000 * (number + 1), rows, chosen.uniform(0.0, 0.15))
        stored |= new
        deleted |= gone
        begin = time.monotonic()
        store = LMDBInstanceStore(path)
        assert time.monotonic() - begin < 2, "the store does not open at once"
        assert list(store.verify()) == []
        for study in new - gone:
            for one in range(1, 4):
                made = sample(study, 1, one, rows=rows, columns=rows)
                try:
                    check_blob_reader(store.open(made.ref), made.part10)
                except Gone:
                    assert study == max(new) - 1, "an acknowledged instance is gone"  # its deletion was under way
        for study in gone:
            with pytest.raises(Gone):
                store.study(sample_ref(study).of_study)
        for found in store.candidates(Query(Level.STUDY)):
            assert found.study.instances == 3, "half of a commit is visible"
        in_use = sum(1 for ref in refs(store.candidates(Query(Level.INSTANCE))) if store.get(ref).size > 65_536)
        assert len(_content_files(path)) == in_use, "files that nothing names were not swept"
        store.close()
    assert stored


def test_a_killed_writer_loses_nothing_it_acknowledged_A70(tmp_path: Path) -> None:
    _kill_and_look(tmp_path, 5)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_writer_killed_again_and_again_A70(tmp_path: Path) -> None:
    _kill_and_look(tmp_path, 40)


def test_what_was_staged_and_not_committed_is_swept_after_death_A70(tmp_path: Path) -> None:
    store = LMDBInstanceStore(tmp_path)
    put(store, [_large(1)])
    code = (
        "import os, sys; from tests.conformance.test_lmdb_store import _large, staged, LMDBInstanceStore;"
        "store = LMDBInstanceStore(sys.argv[1]); blobs = [staged(store, _large(n)) for n in range(2, 7)]; os._exit(0)"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], cwd=_ROOT, env=_environment(), check=True)
    assert len(_content_files(tmp_path)) == 6
    mine = staged(store, _large(9))
    LMDBInstanceStore(tmp_path / "other").close()
    _sweep_by_another_process(tmp_path)
    assert len(_content_files(tmp_path)) == 2, "what is in use and what a living writer has staged stays"
    assert store.commit([Pending(mine, _large(9).record)], on_duplicate=OnDuplicate.KEEP) == [Outcome.STORED]
    assert list(store.verify()) == []
    store.close()
    assert list((tmp_path / "writers").iterdir()) == []


def _sweep_by_another_process(path: Path) -> None:
    code = "import sys; from dicomweb_lmdb import LMDBInstanceStore; LMDBInstanceStore(sys.argv[1]).close()"
    subprocess.run([sys.executable, "-c", code, str(path)], cwd=_ROOT, env=_environment(), check=True)


def test_files_do_not_accumulate(tmp_path: Path) -> None:
    store = LMDBInstanceStore(tmp_path)
    for seed in range(10):
        put(store, [_large(seed=seed)], OnDuplicate.REPLACE)
        put(store, [_large(seed=seed)], OnDuplicate.KEEP)
        put(store, [_large(seed=seed + 100)], OnDuplicate.KEEP)
        staged(store, _large(2)).discard()
        staged(store, _large(3))  # forgotten: nobody discards it
    assert len(_content_files(tmp_path)) == 1
    store.delete(_large().ref)
    assert _content_files(tmp_path) == []
    store.close()
    store = LMDBInstanceStore(tmp_path)
    assert list((tmp_path / "blobs").iterdir()) == []
    store.close()


# -- damage --


def _flip(path: Path, at: int) -> None:
    with open(path, "r+b") as file:
        file.seek(at)
        byte = file.read(1)[0]
        file.seek(at)
        file.write(bytes((byte ^ 4,)))


@pytest.mark.parametrize("at", [0, 65_535, 65_536, 80_100])
def test_a_flipped_bit_of_a_large_blob_is_never_served_A72(tmp_path: Path, at: int) -> None:
    store = LMDBInstanceStore(tmp_path)
    made = _large()
    put(store, [made, sample(2)])
    _flip(_content_files(tmp_path)[0], at)
    reader = store.open(made.ref)
    with pytest.raises(CorruptBlob):
        reader.read(at, 1)
    with pytest.raises(CorruptBlob):
        reader.read(0, reader.size)
    untouched = 70_000 if at < 65_536 else 100
    assert reader.read(untouched, 10) == made.part10[untouched : untouched + 10]
    reader.close()
    assert [problem.ref for problem in store.verify()] == [made.ref]
    assert put(store, [made]) == [Outcome.ALREADY_STORED]
    assert list(store.verify()) == [], "storing the same bytes again repairs"
    check_blob_reader(store.open(made.ref), made.part10)
    assert len(_content_files(tmp_path)) == 1
    store.close()


def test_a_flipped_bit_of_a_small_blob_is_never_served_A72(tmp_path: Path) -> None:
    store = LMDBInstanceStore(tmp_path)
    made = sample(rows=20, columns=20)
    put(store, [made])
    store.close()
    data = (tmp_path / "data.mdb").read_bytes()
    at = data.index(made.pixels)
    _flip(tmp_path / "data.mdb", at + 5)
    store = LMDBInstanceStore(tmp_path)
    with pytest.raises(CorruptBlob):
        store.open(made.ref).read(0, 10)
    assert [problem.ref for problem in store.verify()] == [made.ref]
    store.close()


def test_a_missing_or_short_file_is_corrupt_A72(tmp_path: Path) -> None:
    store = LMDBInstanceStore(tmp_path)
    made = _large()
    put(store, [made])
    (file,) = _content_files(tmp_path)
    os.truncate(file, 1000)
    with pytest.raises(CorruptBlob):
        store.open(made.ref)
    file.unlink()
    with pytest.raises(CorruptBlob):
        store.open(made.ref)
    assert [problem.ref for problem in store.verify()] == [made.ref]
    assert list(store.metadata(made.ref)), "the rest of the store goes on"
    assert store.delete(made.ref) == 1
    store.close()


def test_a_symlink_a_fifo_or_a_directory_is_not_read_A75(tmp_path: Path) -> None:
    store = LMDBInstanceStore(tmp_path / "store")
    made = _large()
    put(store, [made])
    (file,) = _content_files(tmp_path / "store")
    secret = tmp_path / "secret"
    secret.write_bytes(made.part10)
    makers = (lambda: file.symlink_to(secret), lambda: os.mkfifo(file), lambda: file.mkdir())
    for make in makers:
        if file.is_dir():
            file.rmdir()
        else:
            file.unlink()
        make()
        with pytest.raises(CorruptBlob):
            store.open(made.ref)
        assert len(list(store.verify())) == 1
    store.close()


def test_paths_are_not_made_of_uids_A75(tmp_path: Path) -> None:
    store = LMDBInstanceStore(tmp_path)
    put(store, [_large()])
    for file in _content_files(tmp_path):
        assert file.relative_to(tmp_path).as_posix().count("/") == 3
        assert "2.999" not in str(file.relative_to(tmp_path))
    assert oct(_content_files(tmp_path)[0].stat().st_mode & 0o777) == "0o600"
    store.close()


def test_a_store_of_another_format_is_not_touched(tmp_path: Path) -> None:
    LMDBInstanceStore(tmp_path).close()
    environment = lmdb.open(str(tmp_path), max_dbs=20, map_size=1 << 30)
    with environment.begin(write=True) as txn:
        txn.put(b"format", b"1", db=environment.open_db(b"store", txn=txn))
    environment.close()
    with pytest.raises(StorageUnavailable, match="another version"):
        LMDBInstanceStore(tmp_path)


# -- no room --


def test_a_full_map_refuses_and_the_store_goes_on_A71(tmp_path: Path) -> None:
    store = LMDBInstanceStore(tmp_path, map_size=4 << 20)
    stored = 0
    while _fits(store, sample(stored + 1, rows=100, columns=100)):
        stored += 1
    assert 10 < stored < 300
    assert store.statistics().instances == stored
    check_blob_reader(store.open(sample(1).ref), sample(1, rows=100, columns=100).part10)
    assert list(store.verify()) == []
    with pytest.raises(OutOfSpace):
        put(store, [sample(9000, rows=100, columns=100)])
    store.close()


def _fits(store: LMDBInstanceStore, made: Sample) -> bool:
    try:
        put(store, [made])
    except OutOfSpace:
        return False
    return True


_NO_ROOM_FOR_FILES = """
import resource, sys
from pathlib import Path
from tests.conformance.test_lmdb_store import LMDBInstanceStore, OutOfSpace, _content_files, put, sample
store = LMDBInstanceStore(sys.argv[1])
put(store, [sample(n) for n in range(1, 40)])
resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20))
blob = store.stage()
try:
    for _ in range(40):
        blob.write(bytes(100_000))
    raise SystemExit("no error")
except OutOfSpace:
    pass
blob.discard()
assert store.get(sample(1).ref)
assert not _content_files(Path(sys.argv[1])), "what was written in part stays"
assert list(store.verify()) == []
store.close()
"""


def test_a_file_that_does_not_fit_leaves_nothing_A71(tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-c", _NO_ROOM_FOR_FILES, str(tmp_path)], cwd=_ROOT, env=_environment(), check=True)


def test_when_there_is_no_room_to_flush_one_is_refused_and_the_others_are_stored_A71(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = LMDBInstanceStore(tmp_path)
    flushed = os.fdatasync
    calls = []

    def no_room_for_the_second(descriptor: int) -> None:
        calls.append(descriptor)
        if len(calls) == 2:
            raise OSError(28, "No space left on device")
        flushed(descriptor)

    monkeypatch.setattr(os, "fdatasync", no_room_for_the_second)
    pending = []
    for study in (1, 2, 3):
        blob = staged(store, _large(study))
        assert blob.wait_until_durable() is (study != 2)  # type: ignore[attr-defined]
        pending.append(Pending(blob, _large(study).record))
    outcomes = store.commit(pending, on_duplicate=OnDuplicate.KEEP)
    assert outcomes == [Outcome.STORED, Outcome.OUT_OF_SPACE, Outcome.STORED]
    assert len(_content_files(tmp_path)) == 2
    with pytest.raises(NotFound):
        store.get(_large(2).ref)
    assert list(store.verify()) == []
    store.close()


@pytest.mark.parametrize("failing", ["fdatasync", "fsync", "pwrite", "open"])
def test_a_broken_medium_commits_nothing_and_heals_A71(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failing: str
) -> None:
    store = LMDBInstanceStore(tmp_path)
    put(store, [_large(1)])

    def broken(*_: object, **__: object) -> int:
        raise OSError(5, "Input/output error")

    with monkeypatch.context() as patched:
        patched.setattr(os, failing, broken)
        with pytest.raises(StorageUnavailable):
            put(store, [_large(2), sample(3)])
    assert store.statistics().instances == 1
    assert put(store, [_large(2), sample(3)]) == [Outcome.STORED, Outcome.STORED]
    assert len(_content_files(tmp_path)) == 2
    assert list(store.verify()) == []
    store.close()


# -- long life --


def test_an_iterator_left_open_does_not_make_the_file_grow_A73(tmp_path: Path) -> None:
    store = LMDBInstanceStore(tmp_path)
    put(store, list(archive(1, 1, 300)))
    iterators = [store.instances(sample_ref(1).of_study), iter(store.candidates(Query(Level.INSTANCE)))]
    for iterator in iterators:
        next(iterator)
    made = [sample(5, rows=170, columns=170, seed=seed) for seed in range(2)]

    def overwrite(times: int) -> int:
        for turn in range(times):
            put(store, [made[turn % 2]], OnDuplicate.REPLACE)
        return os.stat(tmp_path / "data.mdb").st_size

    before = overwrite(20)
    assert overwrite(200) <= before + (1 << 20), "freed pages are not used again"
    store.close()


def test_descriptors_are_given_back(tmp_path: Path) -> None:
    def descriptors() -> int:
        return len(os.listdir("/proc/self/fd"))

    before = descriptors()
    store = LMDBInstanceStore(tmp_path)
    put(store, [_large(1), sample(2)])
    while_open = descriptors()
    for seed in range(5):
        put(store, [_large(3, 1, one, seed=seed) for one in range(1, 5)], OnDuplicate.REPLACE)
        for stored in store.instances(_large(3).ref.of_study):
            reader = store.open(stored.ref)
            reader.read(0, 10)
            reader.close()
        staged(store, _large(4)).discard()
    deadline = time.monotonic() + 10
    while descriptors() > while_open and time.monotonic() < deadline:
        time.sleep(0.01)
    assert descriptors() == while_open
    store.close()
    assert descriptors() == before


def test_pending_instances_hold_no_descriptors(tmp_path: Path) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    store = LMDBInstanceStore(tmp_path)
    put(store, [_large(1)])
    in_use = len(os.listdir("/proc/self/fd"))
    resource.setrlimit(resource.RLIMIT_NOFILE, (in_use + 40, hard))
    try:
        assert set(put(store, [_large(2, 1, one) for one in range(1, 150)])) == {Outcome.STORED}
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    store.close()


def test_checksums_are_crc_32() -> None:
    from dicomweb_lmdb.blobs import checksums_of

    assert checksums_of(b"123456789") == zlib.crc32(b"123456789").to_bytes(4, sys.byteorder)


def test_a_closed_store_says_so(tmp_path: Path) -> None:
    store = LMDBInstanceStore(tmp_path)
    put(store, [sample()])
    store.close()
    with pytest.raises(StorageUnavailable):
        store.get(sample().ref)
