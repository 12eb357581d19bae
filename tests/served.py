"""`dicomweb serve` as a process, for tests over a real socket."""

from __future__ import annotations

import contextlib
import http.client
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import Self

ROOT = Path(__file__).parents[1]


class Served:
    """A running server; `port` is where. Leaving the block stops it."""

    def __init__(self, *arguments: str) -> None:
        self.arguments = arguments
        environment = dict(os.environ, PYTHONPATH=os.pathsep.join(str(ROOT / p) for p in ("", "adapters", "backends")))
        command = [sys.executable, "-m", "dicomweb_wsgi", "serve", "--port", "0", *arguments]
        self._log = tempfile.TemporaryFile()  # noqa: SIM115  # closed by __exit__
        self.process = subprocess.Popen(
            command, env=environment, stdout=subprocess.PIPE, stderr=self._log, text=True, start_new_session=True
        )
        assert self.process.stdout is not None
        for line in self.process.stdout:
            found = re.search(r"http://[\d.]+:(\d+)(/dicom-web)", line)
            if found:
                self.port, self.mount = int(found.group(1)), found.group(2)
                break
        else:
            self._log.seek(0)
            raise AssertionError(self._log.read().decode())

    @property
    def address(self) -> str:
        """The service root."""
        return f"http://127.0.0.1:{self.port}{self.mount}"

    def request(
        self, method: str, path: str, body: bytes | Iterable[bytes] | None = None, headers: dict[str, str] | None = None
    ) -> tuple[int, bytes]:
        """Status and payload."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=120)
        try:
            chunked = body is not None and not isinstance(body, bytes)
            connection.request(method, self.mount + path, body, headers or {}, encode_chunked=chunked)
            response = connection.getresponse()
            return response.status, response.read()
        finally:
            connection.close()

    def log(self) -> str:
        """What the server has written to standard error so far."""
        # pread: the server writes where this file's offset is.
        return os.pread(self._log.fileno(), 1 << 20, 0).decode()

    def pids(self) -> list[int]:
        """Of the server, its workers and their codecs."""
        found = [self.process.pid]
        for pid in found:
            # Threads and processes come and go.
            with contextlib.suppress(OSError):
                for thread in Path(f"/proc/{pid}/task").iterdir():
                    with contextlib.suppress(OSError):
                        found += map(int, (thread / "children").read_text().split())
        return found

    def peak_memory(self) -> dict[int, int]:
        """Peak resident bytes of each process."""
        peaks = {}
        for pid in self.pids():
            status = Path(f"/proc/{pid}/status").read_text()
            found = re.search(r"VmHWM:\s+(\d+) kB", status)
            peaks[pid] = int(found.group(1)) * 1024 if found else 0
        return peaks

    def kill(self) -> None:
        """SIGKILL to every process at once; none of them holds a lock or writes any more when this returns."""
        pids = self.pids()
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        deadline = time.monotonic() + 30
        while any(map(_runs, pids)) and time.monotonic() < deadline:
            time.sleep(0.005)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                self.kill()
        assert self.process.stdout is not None
        self.process.stdout.close()
        self._log.close()


def _runs(pid: int) -> bool:
    """A process that is killed may still have to finish what it asked of the disk: any of its threads, and while one
    does, all have their files and locks."""
    for thread in Path(f"/proc/{pid}/task").glob("*"):
        with contextlib.suppress(OSError):
            if (thread / "stat").read_text().rpartition(")")[2].split()[0] not in ("Z", "X"):
                return True
    return False
