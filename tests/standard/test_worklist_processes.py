"""Several processes over one worklist: races to claim, and events that a killed process leaves to others."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from dicomweb_core.values.events import Event
from dicomweb_lmdb import LMDBWorklistStore
from tests.rules.made_workitems import sent
from tests.standard.test_worklist_states import INCORRECT
from tests.standard.worklist_processes import uid_of
from tests.worklists import ALL, WorklistClient, value, warning

_ROOT = Path(__file__).parents[2]
Process = subprocess.Popen[str]


@contextmanager
def process(path: Path, *words: object) -> Iterator[Process]:
    """Killed at the end of the block, if it lives until then."""
    paths = os.pathsep.join(map(str, (_ROOT, _ROOT / "adapters", _ROOT / "backends")))
    started = subprocess.Popen(
        [sys.executable, "-m", "tests.standard.worklist_processes", str(path), *map(str, words)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=_ROOT, env=os.environ | {"PYTHONPATH": paths},
    )  # fmt: skip
    with started:
        try:
            yield started
        finally:
            started.kill()


def line(of: Process) -> str:
    assert of.stdout is not None
    return of.stdout.readline().rstrip("\n")


def begin(*processes: Process) -> None:
    for one in processes:
        assert line(one) == "ready"
    for one in processes:
        assert one.stdin is not None
        one.stdin.write("go\n")
        one.stdin.flush()


def race(path: Path, processes: int, workitems: int) -> None:
    """All claim all; one watches in the middle of it and one from here."""
    client = WorklistClient(LMDBWorklistStore(path))
    for aet in ("HERE", "THERE"):
        client.subscribe(ALL, aet)
    for number in range(workitems):
        assert client.send("POST", "/workitems", sent(SOPInstanceUID=uid_of(number))).status == 201
    here: list[Event] = []

    def watch() -> None:
        for event in client.server.events("HERE"):
            here.append(event)
            if len(here) == 2 * workitems:
                return

    watching = threading.Thread(target=watch)
    watching.start()
    with process(path, "watch", "THERE", 2 * workitems) as there:
        said = _claim(path, processes, workitems)
        output, _ = there.communicate(timeout=60)
    watching.join(60)

    winners = Counter(number for number, status, _ in said if status == 200)
    assert winners == Counter(range(workitems)), "a workitem has not exactly one winner"
    refused = Counter((status, text) for _, status, text in said if status != 200)
    assert refused == Counter({(400, warning(INCORRECT)): (processes - 1) * workitems})
    told_here = [
        (one.report.workitem, one.sequence, one.sequence % 65_536, value(one.report.attributes, "00741000"))
        for one in here
    ]
    ready, *lines = output.splitlines()
    assert ready == "ready"
    told_there = [
        (uid, int(sequence), int(message), state)
        for uid, sequence, message, state in (one.split(" ", 3) for one in lines)
    ]
    for told in (told_here, told_there):
        sequences = [sequence for _, sequence, *_ in told]
        assert sequences == sorted(set(sequences)), "not once each, or not in order"
        assert all(message == sequence % 65_536 for _, sequence, message, _ in told)
        by_workitem: dict[str, list[str]] = {}
        for uid, _, _, state in told:
            by_workitem.setdefault(uid, []).append(state)
        assert by_workitem == {uid_of(number): ["SCHEDULED", "IN PROGRESS"] for number in range(workitems)}
    assert [one[0] for one in told_here] == [one[0] for one in told_there], "two receivers, two orders"
    client.server.close()


def _claim(path: Path, processes: int, workitems: int) -> list[tuple[int, int, str]]:
    """Number, status and Warning of every claim."""
    if processes == 0:
        return []
    outputs: list[str] = []
    with _all(path, processes, workitems) as claiming:
        begin(*claiming)
        reading = [threading.Thread(target=lambda one=one: outputs.append(one.communicate()[0])) for one in claiming]  # type: ignore[misc]
        for thread in reading:
            thread.start()
        for thread in reading:
            thread.join(100)
    words = [one.split(" ", 2) for output in outputs for one in output.splitlines()]
    return [(int(number), int(status), text) for number, status, text in words]


@contextmanager
def _all(path: Path, processes: int, workitems: int) -> Iterator[list[Process]]:
    if processes == 0:
        yield []
        return
    with process(path, "claim", processes, workitems) as one, _all(path, processes - 1, workitems) as others:
        yield [one, *others]


@pytest.mark.slow
def test_of_eight_processes_one_wins_each_of_a_thousand_workitems_A80_U102_U112(tmp_path: Path) -> None:
    race(tmp_path, 8, 1_000)


def killed_again_and_again(path: Path, rounds: int) -> None:
    """Processes that change and watch are killed; at the end every event was told, and what was acknowledged once."""
    client = WorklistClient(LMDBWorklistStore(path))
    client.subscribe(ALL)
    client.server.close()
    chance = random.Random(5)
    claimed: list[str] = []
    told: list[tuple[int, str, str]] = []
    for turn in range(rounds):
        with process(path, "change", turn * 1_000) as changing, process(path, "watch", "WATCH", 10_000) as watching:
            assert line(watching) == "ready"
            for _ in range(chance.randrange(5, 15)):
                claimed.append(line(changing))
                uid, sequence, _, state = line(watching).split(" ", 3)
                told.append((int(sequence), uid, state))
            for one in chance.sample([changing, watching], 2):
                one.kill()
            assert changing.stdout is not None
            assert watching.stdout is not None
            claimed += changing.stdout.read().split()
            for rest in watching.stdout.read().splitlines():
                if len(words := rest.split(" ", 3)) == 4:
                    told.append((int(words[1]), words[0], words[3]))
    client = WorklistClient(LMDBWorklistStore(path))
    for event in client.server.events("WATCH", timeout=0):
        told.append((event.sequence, event.report.workitem, value(event.report.attributes, "00741000")))
    first = dict.fromkeys(told)
    assert list(first) == sorted(first), "out of order but for what came again"
    assert len({sequence for sequence, *_ in first}) == len(first), "another event of the same number"
    states: dict[str, list[str]] = {}
    for _, uid, state in first:
        states.setdefault(uid, []).append(state)
    assert {uid: states[uid] for uid in claimed} == {uid: ["SCHEDULED", "IN PROGRESS"] for uid in claimed}
    stored = {item.uid: item.state.value for item in client.worklist.candidates(())}
    assert stored == {uid: reached[-1] for uid, reached in states.items()}, "told and stored are not the same"
    assert list(client.server.events("WATCH", timeout=0)) == []
    client.server.close()


@pytest.mark.slow
def test_what_a_killed_process_has_not_told_another_one_tells_A70(tmp_path: Path) -> None:
    killed_again_and_again(tmp_path, 5)
