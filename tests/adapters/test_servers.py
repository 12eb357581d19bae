"""The WSGI adapter through the proof kit, over real sockets, on every WSGI server we name."""

from __future__ import annotations

import http.client
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import ClassVar

import pytest

from dicomweb_core.testing.adapter import AdapterProof

SOURCE_ROOTS = [Path(__file__).parents[2] / name for name in (".", "adapters", "backends")]


@contextmanager
def served(kind: str, mount: str, log: Path) -> Iterator[tuple[str, int]]:
    listener = socket.create_server(("127.0.0.1", 0))
    address = listener.getsockname()
    environ = os.environ | {"PYTHONPATH": os.pathsep.join(map(str, SOURCE_ROOTS))}
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("servers.py")), kind, str(listener.fileno()), mount],
            pass_fds=[listener.fileno()],
            env=environ,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    # From here on only the server listens: who connects before it is ready waits, or is refused and tries again.
    listener.close()
    try:
        deadline = time.monotonic() + 20
        while True:
            try:
                with closing(http.client.HTTPConnection(*address, timeout=5)) as client:
                    client.request("GET", "/")
                    client.getresponse().read()
                break
            except (OSError, http.client.HTTPException):
                assert process.poll() is None, log.read_text()
                assert time.monotonic() < deadline, "the server did not come up"
                time.sleep(0.05)
        yield address
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@pytest.fixture(scope="class")
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    cls = request.cls
    with served(cls.kind, cls.root, tmp_path_factory.mktemp(cls.kind) / "log") as cls.address:
        yield


@pytest.mark.usefixtures("server")
class OnAServer(AdapterProof):
    kind: ClassVar[str]


class TestGunicornThreads(OnAServer):
    kind = "gunicorn_gthread"


class TestGunicornThreadsMounted(OnAServer):
    kind = "gunicorn_gthread"
    root = "/dicom-web"


class TestGunicornSync(OnAServer):
    kind = "gunicorn_sync"


class TestWaitress(OnAServer):
    kind = "waitress"
    root = "/dicom-web"
    answers_early = False
    sees_clients_leave = False
    opens_websockets = False


class TestCheroot(OnAServer):
    kind = "cheroot"
    root = "/dicom-web"
    answers_early = False
    opens_websockets = False


class TestWerkzeug(OnAServer):
    kind = "werkzeug"
