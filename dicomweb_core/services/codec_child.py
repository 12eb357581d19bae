"""One process that runs codecs, seen from the server: started, asked, killed when its time is over."""

from __future__ import annotations

import contextlib
import dataclasses
import io
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from dicomweb_core.services.codec_messages import READ_BYTES, START, Message, NotAMessage, receive, send
from dicomweb_core.values.limits import Limits

if sys.platform == "linux":
    import fcntl

_PIPE_BYTES: Final = 1 << 20
"""What Linux lets anybody have: fewer turns of reader and writer."""
_START_SECONDS: Final = 60.0
_END_SECONDS: Final = 5.0
_KEPT_VARIABLES: Final = ("LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "PYTHONHOME", "PATH", "SYSTEMROOT", "TMPDIR", "LANG")
"""What a library needs to be found. Passwords of the site stay in the server."""

# The package without its __init__, which would import the whole server: 13 MB instead of 83, 50 ms instead of 800.
_START_MODULE: Final = """\
import sys, types, importlib
package = types.ModuleType("dicomweb_core")
package.__path__ = [sys.argv[2]]
sys.modules["dicomweb_core"] = package
importlib.import_module(sys.argv[1]).main()
"""


def program_of(module: str) -> tuple[str, ...]:
    """The command that runs `main` of a module in a Python like this one."""
    return (sys.executable, "-B", "-P", "-c", _START_MODULE, module, str(Path(__file__).parents[1]))


class CodecDied(Exception):
    """The process ended, was killed or wrote what is no answer. `late`: because its time was over."""

    def __init__(self, *, late: bool) -> None:
        super().__init__("late" if late else "died")
        self.late = late


class CodecChild:
    """A process of ours. Used by one thread at a time; `kill` by any."""

    def __init__(self, program: Sequence[str], limits: Limits, deadlines: Deadlines) -> None:
        """Starts it and waits until it is ready. Raises CodecDied and OSError when it does not start."""
        self._limits = limits
        self._deadlines = deadlines
        self._process = subprocess.Popen(
            program,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            bufsize=0,
            env=_environment(),
            process_group=0 if os.name == "posix" else None,
        )
        self._requests = _raw(self._process.stdin)
        self._answers: io.BufferedReader = io.BufferedReader(_raw(self._process.stdout), READ_BYTES)
        for pipe in (self._requests, self._answers):
            _widen(pipe.fileno())
        self.frames = 0
        """Frames it was asked for since it began."""
        self.late = False
        self._ask(Message(START, dataclasses.asdict(limits)), _START_SECONDS, most_bytes=0)

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    def alive(self) -> bool:
        """Whether it can be asked."""
        return self._process.poll() is None

    def ask(self, request: Message, *, most_bytes: int) -> Message:
        """Its answer, with a payload of up to so many bytes. Raises CodecDied; the process has ended then."""
        self.frames += 1
        return self._ask(request, self._limits.codec_seconds, most_bytes=most_bytes)

    def kill(self) -> None:
        """Ends it at once, whatever it does. The thread that waits for its answer gets CodecDied."""
        self._process.kill()

    def end(self) -> None:
        """Ends it and frees what it held. Idempotent."""
        self._process.kill()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(_END_SECONDS)
        self._requests.close()
        self._answers.close()

    def forget(self) -> None:
        """After a fork, in the new process: the child belongs to the old one, and must see when that ends."""
        # Below the buffer, whose lock a thread may hold that is not in this process.
        self._requests.close()
        self._answers.raw.close()
        self._process.poll()

    def _ask(self, request: Message, seconds: float, *, most_bytes: int) -> Message:
        try:
            with self._deadlines.guard(self, seconds):
                send(self._requests, request)
                return receive(self._answers, most_bytes=most_bytes)
        except (NotAMessage, OSError, ValueError):
            # ValueError: closed by another thread.
            self.end()
            raise CodecDied(late=self.late) from None
        except BaseException:
            # An interrupt in the middle of a message: what is left of it would be the next frame's answer.
            self.end()
            raise


class Deadlines:
    """Kills processes whose time is over. One thread, begun with the first; it works on every system, and also when
    the process is stopped or hangs in a read."""

    def __init__(self, tick: float) -> None:
        """`tick`: seconds, no guard is shorter. While there is work the thread looks so often, so that nobody has to
        wake it."""
        self._tick = min(max(tick, 0.001), 1.0)
        self._changed = threading.Condition()
        self._due: dict[CodecChild, float] = {}
        self._thread: threading.Thread | None = None
        self._asleep = False
        self._closed = False

    @contextlib.contextmanager
    def guard(self, child: CodecChild, seconds: float) -> Iterator[None]:
        """Kills the child, marked `late`, if this is not left in time."""
        with self._changed:
            self._due[child] = time.monotonic() + seconds
            if self._thread is None and not self._closed:
                self._thread = threading.Thread(target=self._watch, name="dicomweb-codec-deadlines", daemon=True)
                self._thread.start()
            elif self._asleep:
                self._changed.notify()
        try:
            yield
        finally:
            with self._changed:
                self._due.pop(child, None)

    def close(self) -> None:
        """Ends the thread. Idempotent."""
        with self._changed:
            self._closed = True
            self._changed.notify()
            thread = self._thread
        if thread is not None:
            thread.join()

    def _watch(self) -> None:
        with self._changed:
            while not self._closed:
                now = time.monotonic()
                for child in [child for child, due in self._due.items() if due <= now]:
                    child.late = True
                    child.kill()
                    del self._due[child]
                self._asleep = not self._due
                self._changed.wait(None if self._asleep else min(self._tick, min(self._due.values()) - now))


def _environment() -> dict[str, str]:
    kept = {name: os.environ[name] for name in _KEPT_VARIABLES if name in os.environ}
    path = os.pathsep.join(os.path.abspath(place) for place in sys.path)
    # One frame, one core: the server decides how many frames at once.
    return kept | {"PYTHONPATH": path, "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}


def _raw(pipe: object) -> io.FileIO:
    assert isinstance(pipe, io.FileIO)
    return pipe


def _widen(descriptor: int) -> None:
    if sys.platform == "linux":
        with contextlib.suppress(OSError):
            fcntl.fcntl(descriptor, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
