"""`/rendered` end to end: CT slices of 512 x 512 pixels of 16 bits as JPEG, through `OriginServer.handle` in this
process, and from `dicomweb serve` over a socket.

    python benchmarks/bench_rendered.py

Beside it, in turns with it, what is needed at least: a LUT by numpy, applied, and Pillow's JPEG, of a slice that is in
memory. That is `bare` in this process, `bare http` behind the HTTP server of `dicomweb serve` with nothing else in it.
Medians in ms and medians of the paired ratios: `made` is the first request for each slice, `kept` the second, `304` one
with its tag.
"""

from __future__ import annotations

import http.client
import io
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from itertools import pairwise
from pathlib import Path

import numpy as np
from PIL import Image
from pydicom import dcmread
from pydicom.data import get_testdata_file

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT)]

from dicomweb_core import OriginServer, Request
from dicomweb_lmdb import LMDBInstanceStore
from tests.clients import multipart
from tests.served import Served

SLICES = 120
TOGETHER = 20
"""Slices in a store request."""
CENTER, WIDTH = 40.0, 400.0

Ask = Callable[[str, dict[str, str]], tuple[int, str]]
"""Gets a resource below the service root with these headers: status and tag of the answer, whose body is read."""

BARE_SERVER = """
import sys
from gunicorn.app.base import BaseApplication
from benchmarks.bench_rendered import Slices
slices = Slices()
def app(environ, start_response):
    picture = slices.bare()
    start_response("200 OK", [("Content-Type", "image/jpeg"), ("Content-Length", str(len(picture)))])
    return [picture]
class Server(BaseApplication):
    def load_config(self):
        for key, value in dict(bind="127.0.0.1:%s" % sys.argv[1], worker_class="gthread", threads=8).items():
            self.cfg.set(key, value)
    def load(self):
        return app
Server().run()
"""


class Slices:
    """A series of them, and the least that any server has to do."""

    def __init__(self) -> None:
        self._dataset = dcmread(str(get_testdata_file("CT_small.dcm")))
        self._pixels = np.tile(self._dataset.pixel_array, (4, 4))
        self._intercept = float(self._dataset.RescaleIntercept)
        self._dataset.Rows, self._dataset.Columns = self._pixels.shape
        self._dataset.WindowCenter, self._dataset.WindowWidth = CENTER, WIDTH
        self.series = f"/studies/{self._dataset.StudyInstanceUID}/series/{self._dataset.SeriesInstanceUID}"

    def file(self, number: int) -> bytes:
        """Part 10."""
        uid = f"1.2.3.{number + 1}"
        self._dataset.SOPInstanceUID = self._dataset.file_meta.MediaStorageSOPInstanceUID = uid
        self._dataset.PixelData = np.roll(self._pixels, 7 * number).tobytes()
        buffer = io.BytesIO()
        self._dataset.save_as(buffer)
        return buffer.getvalue()

    def bare(self) -> bytes:
        """A slice as JPEG, from an array in memory."""
        stored = np.arange(1 << 16, dtype=np.uint16).view(np.int16).astype(np.float32) + np.float32(self._intercept)
        levels = np.clip((stored - (CENTER - 0.5)) / (WIDTH - 1) + 0.5, 0, 1) * 255
        samples = np.take(np.rint(levels).astype(np.uint8), self._pixels.view(np.uint16), mode="wrap")
        buffer = io.BytesIO()
        Image.fromarray(samples).save(buffer, "JPEG", quality=90)
        return buffer.getvalue()


def main() -> None:
    """Prints a line for each way."""
    slices = Slices()
    batches = [[slices.file(at + n) for n in range(TOGETHER)] for at in range(0, SLICES, TOGETHER)]
    with tempfile.TemporaryDirectory() as folder:
        server = OriginServer(instances=LMDBInstanceStore(folder))
        for files in batches:
            server.store(files)
        compare("handle", slices, partial(ask_here, server), {"bare": slices.bare})
        server.close()
    with tempfile.TemporaryDirectory() as folder, Served("--store", folder, "--workers", "1") as served:
        for files in batches:
            content_type, body = multipart(*files)
            status, _ = served.request("POST", "/studies", body, {"Content-Type": content_type})
            assert status == 200
        port = served.port + 1
        command = [sys.executable, "-c", BARE_SERVER, str(port)]
        with subprocess.Popen(command, cwd=ROOT, stderr=subprocess.DEVNULL) as process:
            try:
                others = {"bare": slices.bare, "bare http": partial(ask_there, answering(port), "", "/", {})}
                ours = partial(ask_there, answering(served.port), served.mount)
                compare("http", slices, ours, others)
            finally:
                process.terminate()


def answering(port: int) -> http.client.HTTPConnection:
    """A connection that stays open, once a server is there."""
    for _ in range(100):
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        try:
            connection.connect()
        except OSError:
            time.sleep(0.1)
        else:
            return connection
    raise RuntimeError("the server did not start")


def ask_here(server: OriginServer, path: str, headers: dict[str, str]) -> tuple[int, str]:
    """In this process."""
    request = Request("GET", path, "", tuple(headers.items()), io.BytesIO(), "http://archive.example")
    response = server.handle(request)
    response.body.read()
    return response.status, response.header("ETag") or ""


def ask_there(
    connection: http.client.HTTPConnection, mount: str, path: str, headers: dict[str, str]
) -> tuple[int, str]:
    """Over a connection that stays open."""
    connection.request("GET", mount + path, headers=headers)
    response = connection.getresponse()
    response.read()
    return response.status, response.headers["ETag"] or ""


def compare(way: str, slices: Slices, ask: Ask, others: dict[str, Callable[[], object]]) -> None:
    """All in turns, a line for each pass over the slices."""
    tags: dict[str, str] = {}
    for name in ("made", "kept", "304"):
        rounds: list[list[float]] = []
        for number in range(SLICES):
            path = f"{slices.series}/instances/1.2.3.{number + 1}/rendered"
            headers = {"Accept": "image/jpeg"} | ({"If-None-Match": tags[path]} if name == "304" else {})
            marks = [time.perf_counter()]
            status, tags[path] = ask(path, headers)
            marks.append(time.perf_counter())
            for other in others.values():
                other()
                marks.append(time.perf_counter())
            rounds.append([1000 * (end - begin) for begin, end in pairwise(marks)])
            assert status == (304 if name == "304" else 200)
        ours, *theirs = map(statistics.median, zip(*rounds, strict=True))
        beside = []
        for place, other in enumerate(others):
            ratio = statistics.median(times[0] / times[place + 1] for times in rounds)
            beside.append(f"{other} {theirs[place]:5.2f} ms, ratio {ratio:4.2f}")
        print(f"{way:>6} {name}: {ours:5.2f} ms; {'; '.join(beside)}", flush=True)


if __name__ == "__main__":
    main()
