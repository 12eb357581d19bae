"""Events of the worklist over WebSockets, from `dicomweb serve` with four workers on LMDB. One line per case.

python benchmarks/bench_events.py [subscribers]
"""

from __future__ import annotations

import http.client
import json
import statistics
import sys
import tempfile
import threading
import time
from contextlib import ExitStack, closing
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from websockets.sync.client import ClientConnection, connect

from tests.rules.made_workitems import OURS, sent
from tests.served import Served
from tests.worklists import ALL

_JSON = {"Content-Type": "application/dicom+json"}
_CHANGES = 200


class Asking:
    """A client of the HTTP side, with one connection."""

    def __init__(self, served: Served) -> None:
        self._served = served
        self._connection = http.client.HTTPConnection("127.0.0.1", served.port)

    def ask(self, method: str, path: str, dataset: object = None) -> int:
        body = None if dataset is None else json.dumps(dataset).encode()
        self._connection.request(method, self._served.mount + path, body, {} if body is None else _JSON)
        answer = self._connection.getresponse()
        answer.read()
        return answer.status

    def create(self, uid: str) -> None:
        assert self.ask("POST", f"/workitems?workitem={uid}", sent()) == 201

    def claim(self, uid: str) -> None:
        change = {"00741000": {"vr": "CS", "Value": ["IN PROGRESS"]}, "00081195": {"vr": "UI", "Value": [OURS]}}
        assert self.ask("PUT", f"/workitems/{uid}/state", change) == 200

    def close(self) -> None:
        self._connection.close()


def told(name: str, seconds: list[float]) -> None:
    ordered = sorted(seconds)
    middle, late = statistics.median(ordered), ordered[len(ordered) * 99 // 100]
    print(f"{name:<72} {middle * 1e3:>8.1f} ms median {late * 1e3:>8.1f} ms p99")


def arrivals(connection: ClientConnection, count: int, into: list[float]) -> None:
    """When each of so many events arrives."""
    for _ in range(count):
        connection.recv(timeout=60)
        into.append(time.perf_counter())


def memory(served: Served) -> float:
    """MiB of all processes: what is shared counts once (proportional set size)."""
    total = 0
    for pid in served.pids():
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                total += int(line.split()[1])
    return total / 1_024


def latency(served: Served) -> None:
    """From the beginning of a request, and from its answer, to the event at a subscriber; each request over another
    connection, and so of any worker."""
    with closing(Asking(served)) as asking:
        asking.ask("POST", f"/workitems/{ALL}/subscribers/LATENCY")
        for number in range(_CHANGES):
            asking.create(f"2.25.1{number:05}")
    with connect(f"ws://127.0.0.1:{served.port}{served.mount}/subscribers/LATENCY") as connection:
        arrivals(connection, _CHANGES, [])
        whole, after = [], []
        for number in range(_CHANGES):
            with closing(Asking(served)) as asking:
                begun = time.perf_counter()
                asking.claim(f"2.25.1{number:05}")
                answered = time.perf_counter()
            arrived: list[float] = []
            arrivals(connection, 1, arrived)
            whole.append(arrived[0] - begun)
            after.append(max(0.0, arrived[0] - answered))
    told("change of state: from the request to the event", whole)
    told("change of state: from the answer to the event", after)


def idle(served: Served, count: int) -> None:
    """What subscribers cost who have nothing to do, and how soon one event reaches all of them."""
    for number in range(50):
        served.request("GET", f"/workitems?limit={number + 1}")
    before = memory(served)
    root = f"ws://127.0.0.1:{served.port}{served.mount}/subscribers"
    with ExitStack() as stack, closing(Asking(served)) as asking:
        begun = time.perf_counter()
        connections = [stack.enter_context(connect(f"{root}/IDLE{number}")) for number in range(count)]
        connected = time.perf_counter() - begun
        print(f"{f'{count} subscribers connect':<72} {connected * 1e3 / count:>8.1f} ms each")
        time.sleep(2)
        grown = memory(served) - before
        print(f"{f'{count} idle subscribers, all processes':<72} {grown:>8.1f} MiB more ({before:.0f} before)")
        asking.create("2.25.3")
        for number in range(count):
            asking.ask("POST", f"/workitems/2.25.3/subscribers/IDLE{number}")
        for connection in connections:
            connection.recv(timeout=60)
        arrived: list[float] = []
        threads = [threading.Thread(target=arrivals, args=(connection, 1, arrived)) for connection in connections]
        for thread in threads:
            thread.start()
        begun = time.perf_counter()
        asking.claim("2.25.3")
        for thread in threads:
            thread.join()
        told(f"one event to {count} subscribers, from the request", [one - begun for one in arrived])


def throughput(served: Served) -> None:
    """As many changes as four clients make, and one subscriber who gets all of their events."""
    with closing(Asking(served)) as asking:
        asking.ask("POST", f"/workitems/{ALL}/subscribers/MANY")
    with connect(f"ws://127.0.0.1:{served.port}{served.mount}/subscribers/MANY") as connection:

        def create(first: int) -> None:
            with closing(Asking(served)) as asking:
                for number in range(_CHANGES):
                    asking.create(f"2.25.2{first}{number:05}")

        clients = [threading.Thread(target=create, args=(first,)) for first in range(4)]
        begun = time.perf_counter()
        for client in clients:
            client.start()
        arrived: list[float] = []
        arrivals(connection, 4 * _CHANGES, arrived)
        for client in clients:
            client.join()
        rate = len(arrived) / (arrived[-1] - begun)
        print(f"{'creates by four clients, each told to a subscriber':<72} {rate:>8.0f} /s")


def main(subscribers: int = 500) -> None:
    with tempfile.TemporaryDirectory() as folder:
        with Served("--store", folder, "--workers", "4", "--codec-processes", "0") as served:
            latency(served)
            throughput(served)
        with Served("--store", folder, "--workers", "4", "--codec-processes", "0") as served:
            idle(served, subscribers)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:2]))
