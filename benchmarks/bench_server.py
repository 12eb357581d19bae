"""`dicomweb serve` over a real socket: one worker, LMDB, durable. One line per case.

python benchmarks/bench_server.py [directory]

Retrieval is compared with the same WSGI server sending the same bytes from memory, in pairs.
"""

from __future__ import annotations

import http.client
import io
import os
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parents[1] / place) for place in ("", "adapters", "backends")]

from dicomweb_core.testing.samples import Sample, sample
from tests.clients import ANY_DICOM, multipart
from tests.served import Served

FROM_MEMORY = """
import sys
from gunicorn.app.base import BaseApplication
size = int(sys.argv[2])
chunks = [bytes([n % 255]) * (1 << 19) for n in range(size >> 19)] + [bytes(size % (1 << 19))]
def app(environ, start_response):
    start_response("200 OK", [("Content-Type", "application/octet-stream"), ("Content-Length", str(size))])
    return iter(chunks)
class Server(BaseApplication):
    def load_config(self):
        for key, value in dict(bind="127.0.0.1:%s" % sys.argv[1], worker_class="gthread", threads=8).items():
            self.cfg.set(key, value)
    def load(self):
        return app
Server().run()
"""


class Connection:
    """One keep-alive connection, answers read whole into one buffer."""

    def __init__(self, port: int, mount: str = "") -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        self._mount = mount
        self._buffer = bytearray(1 << 20)

    def size_of(self, path: str, accept: str = "*/*", *, body: bytes | None = None, content_type: str = "") -> int:
        """Bytes of the answer."""
        headers = {"Accept": accept} | ({"Content-Type": content_type} if content_type else {})
        self._connection.request("POST" if body else "GET", self._mount + path, body, headers)
        response = self._connection.getresponse()
        assert response.status == 200, (path, response.status, response.read(500))
        size = 0
        while count := response.readinto(self._buffer):
            size += count
        return size


def median_of(call: Callable[[], object], repeats: int) -> float:
    """Median seconds of a call."""
    times = []
    for _ in range(repeats):
        begin = time.perf_counter()
        call()
        times.append(time.perf_counter() - begin)
    return statistics.median(times)


def line(name: str, text: str) -> None:
    print(f"{name:<52} {text}", flush=True)


def ct(series: int, number: int) -> Sample:
    """512 x 512 x 16."""
    return sample(1, series, number, rows=512, columns=512)


def store_rate(connection: Connection, samples: list[Sample], together: int) -> float:
    """Instances a second, durable, `together` in a request."""
    bodies = [multipart(*(s.part10 for s in samples[at : at + together])) for at in range(0, len(samples), together)]
    begin = time.perf_counter()
    for content_type, body in bodies:
        connection.size_of("/studies", body=body, content_type=content_type)
    return len(samples) / (time.perf_counter() - begin)


def real_header_series(count: int) -> Iterator[bytes]:
    """A series of real CT headers (250 elements each) with identities of their own."""
    import pydicom
    from pydicom.data import get_testdata_file

    data = pydicom.dcmread(str(get_testdata_file("CT_small.dcm")))
    data.StudyInstanceUID, data.SeriesInstanceUID = "2.25.77", "2.25.78"
    for number in range(count):
        data.SOPInstanceUID = data.file_meta.MediaStorageSOPInstanceUID = f"2.25.79.{number}"
        data.InstanceNumber = number
        file = io.BytesIO()
        data.save_as(file)
        yield file.getvalue()


def from_memory(port: int, size: int) -> threading.Thread:
    """The bare server, in a process of its own: it holds as many bytes and sends them."""
    import subprocess

    process = subprocess.Popen([sys.executable, "-c", FROM_MEMORY, str(port), str(size)], stderr=subprocess.DEVNULL)
    thread = threading.Thread(target=process.wait, daemon=True)
    thread.process = process  # type: ignore[attr-defined]
    for _ in range(100):
        try:
            Connection(port).size_of("/")
            return thread
        except OSError:
            time.sleep(0.05)
    raise RuntimeError("the bare server did not start")


def main(folder: str) -> None:
    with Served("--store", os.path.join(folder, "store"), "--workers", "1") as served:
        connection = Connection(served.port, served.mount)
        for together, series in ((1, 1), (10, 2)):
            rate = store_rate(connection, [ct(series, n) for n in range(100 * series)], together)
            line(f"store CT 0.5 MB, {together} a request", f"{rate:8.0f} instances/s")
        small = [sample(2, 1, n) for n in range(2_000)]
        line("store 2 kB, 100 a request", f"{store_rate(connection, small, 100):8.0f} instances/s")
        instances = list(real_header_series(1_000))
        for at in range(0, 1_000, 100):
            content_type, body = multipart(*instances[at : at + 100])
            connection.size_of("/studies", body=body, content_type=content_type)
        seconds = median_of(lambda: connection.size_of("/studies/2.25.77/series/2.25.78/metadata"), 9)
        line("metadata of a series of 1,000 CT", f"{seconds * 1e3:8.1f} ms")
        port = served.port + 1
        path = "/" + ct(1, 1).ref.of_study.path
        size = connection.size_of(path, ANY_DICOM)
        bare = from_memory(port, size)
        try:
            direct = Connection(port)
            ratios, rates = [], []
            for _ in range(7):
                ours = median_of(lambda: connection.size_of(path, ANY_DICOM), 1)
                theirs = median_of(lambda: direct.size_of("/"), 1)
                ratios.append(theirs / ours)
                rates.append(size / ours / 1e6)
            line(
                f"retrieve a study of {size >> 20} MiB",
                f"{statistics.median(rates):8.0f} MB/s, {statistics.median(ratios):.2f} of the same bytes from memory",
            )
        finally:
            bare.process.terminate()  # type: ignore[attr-defined]
        ref = ct(1, 5).ref
        cases = [
            ("studies by PatientID", "/studies?PatientID=P1", "*/*"),
            ("instances of a series (100)", f"/{ref.of_series.path}/instances", "*/*"),
            ("instance CT 0.5 MB", f"/{ref.path}", ANY_DICOM),
            ("instance 2 kB", f"/{small[5].ref.path}", ANY_DICOM),
            ("frame of a CT 0.5 MB", f"/{ref.path}/frames/1", "application/octet-stream"),
            ("metadata of an instance", f"/{ref.path}/metadata", "*/*"),
        ]
        for name, path, accept in cases:
            seconds = median_of(lambda path=path, accept=accept: connection.size_of(path, accept), 300)  # type: ignore[misc]
            line(name, f"{1 / seconds:8.0f} requests/s, {seconds * 1e6:.0f} µs")


if __name__ == "__main__":
    if len(sys.argv) > 1:
        main(sys.argv[1])
    else:
        with tempfile.TemporaryDirectory() as temporary:
            main(temporary)
