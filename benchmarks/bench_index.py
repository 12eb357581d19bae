"""The LMDB index at 100,000 studies, and durable commits. One line per case.

python benchmarks/bench_index.py [studies] [directory]
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from dicomweb_core.storage.instances import OnDuplicate, Pending
from dicomweb_core.testing.samples import Sample, sample, sample_ref
from dicomweb_core.values.queries import Level, MatchKey, Query, Range, SingleValue, Wildcard
from dicomweb_lmdb import LMDBInstanceStore

_COMMIT = 1_000


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
    print(f"{name:<58} {times[0] * 1e6:>10.0f} µs best {times[len(times) // 2] * 1e6:>10.0f} µs median")


def commit(store: LMDBInstanceStore, samples: list[Sample]) -> None:
    """Stores all, durably."""
    pending = []
    for made in samples:
        blob = store.stage()
        blob.write(made.part10)
        blob.seal().close()
        pending.append(Pending(blob, made.record))
    outcomes = store.commit(pending, on_duplicate=OnDuplicate.KEEP)
    assert not any(outcome.refused for outcome in outcomes)


def build(store: LMDBInstanceStore, studies: int) -> None:
    """One instance a study, and one study of 20 series with 50 instances each."""
    spent, batch = 0.0, []
    for study in range(1, studies + 1):
        date = f"{2000 + study % 20}{study // 20 % 12 + 1:02}{study // 240 % 28 + 1:02}"
        batch.append(
            sample(
                study,
                modality=("CT", "MR", "CR")[study % 3],
                study_date=date,
                patient_id=f"P{study // 2}",
                patient_name=f"Family{study // 100}^Given{study}",
            )
        )
        if len(batch) == _COMMIT or study == studies:
            begin = time.perf_counter()
            commit(store, batch)
            spent += time.perf_counter() - begin
            batch = []
    print(f"{f'build, {studies} studies, {_COMMIT} a commit':<58} {studies / spent:>10.0f} instances/s")
    commit(store, [sample(studies + 1, series, one) for series in range(1, 21) for one in range(1, 51)])


def search(store: LMDBInstanceStore, studies: int) -> None:
    """The searches of the measure of speed: ids, and the rows of a page."""
    days = Range("20070301", "20070310")

    def page(query: Query, offset: int, limit: int) -> Callable[[], object]:
        return lambda: list(store.candidates(query).page(offset, limit))

    def by(level: Level, *keys: MatchKey) -> Query:
        return Query(level, keys=keys)

    patient = MatchKey("00100020", "LO", SingleValue(f"P{studies // 4}"))
    date = MatchKey("00080020", "DA", days)
    quarter = MatchKey("00080020", "DA", Range("20070301", "20070530"))
    modality = MatchKey("00080061", "CS", SingleValue("CT"))
    name = MatchKey("00100010", "PN", Wildcard(f"FAMILY{studies // 200}*"))
    whole = sample_ref(studies + 1)
    for title, query, offset, limit in (
        ("studies by PatientID", by(Level.STUDY, patient), 0, 100),
        ("instances by PatientID", by(Level.INSTANCE, patient), 0, 100),
        ("studies of 10 days", by(Level.STUDY, date), 0, 100),
        ("studies of 90 days with modality, 25", by(Level.STUDY, quarter, modality), 0, 25),
        ("studies with modality, 25", by(Level.STUDY, modality), 0, 25),
        ("series with modality of study, 25", by(Level.SERIES, modality), 0, 25),
        ("studies by name prefix", by(Level.STUDY, name), 0, 100),
        ("studies, 25 at the middle", Query(Level.STUDY), studies // 2, 25),
        ("series, 25 at the middle", Query(Level.SERIES), studies // 2, 25),
        ("instances, 50 at the middle", Query(Level.INSTANCE), studies // 2, 50),
        ("series of a study (20)", Query(Level.SERIES, within=whole.of_study), 0, 100),
        ("instances of a series (50)", Query(Level.INSTANCE, within=whole.of_series), 0, 100),
        ("instances of a study (1,000), 50 at 500", Query(Level.INSTANCE, within=whole.of_study), 500, 50),
    ):
        found = store.candidates(query)
        size = len(list(found.page(offset, limit)))
        measure(f"{title}: {size} of {len(found)}{'' if found.exact else ', inexact'}", page(query, offset, limit))


def retrieve(store: LMDBInstanceStore, studies: int) -> None:
    """One instance, and the metadata of a study."""
    ref = sample_ref(studies // 2)
    measure("get", lambda: store.get(ref), repeats=2000)

    def read() -> None:
        reader = store.open(ref)
        reader.read(0, reader.size)
        reader.close()

    measure("open and read 2 kB", read, repeats=2000)
    measure("metadata of 1,000 instances", lambda: list(store.metadata(sample_ref(studies + 1).of_study)))
    commit(store, [sample(studies + 2, rows=512, columns=513)])
    large = sample_ref(studies + 2)

    def frame() -> None:
        reader = store.open(large)
        reader.read(1_000, 524_288)
        reader.close()

    measure("open and read a frame of 512 KiB", frame, repeats=1000)


def commits(store: LMDBInstanceStore, studies: int) -> None:
    """Durable commits, as a store request makes them."""
    first = studies + 10
    for rows, each in ((24, 1), (24, 100), (500, 1), (500, 10)):
        made = sample(rows=rows, columns=rows)
        batches = []
        for number in range(200 // each + 5):
            first += 1
            refs = [sample_ref(first, 1, one) for one in range(1, each + 1)]
            batches.append(
                [Sample(made.part10, replace(sample(ref=ref).record, size=len(made.part10))) for ref in refs]
            )
            del number
        begin = time.perf_counter()
        for batch in batches:
            commit(store, batch)
        spent = time.perf_counter() - begin
        count = sum(map(len, batches))
        title = f"store {len(made.part10)} bytes, {each} a commit"
        print(f"{title:<58} {count / spent:>10.0f} instances/s {count * len(made.part10) / spent / 1e6:>8.0f} MB/s")


def main() -> None:
    """Builds, measures, removes."""
    studies = int(sys.argv[1]) if len(sys.argv) > 1 else 100_000
    root = Path(tempfile.mkdtemp(dir=sys.argv[2] if len(sys.argv) > 2 else None))
    try:
        store = LMDBInstanceStore(root / "store")
        build(store, studies)
        print(f"{'size of data.mdb':<58} {os.stat(root / 'store' / 'data.mdb').st_blocks * 512 / 1e6:>10.0f} MB")
        search(store, studies)
        retrieve(store, studies)
        commits(store, studies)
        store.close()
        measure("open a store", lambda: LMDBInstanceStore(root / "store").close(), repeats=20)
    finally:
        shutil.rmtree(root)


if __name__ == "__main__":
    main()
