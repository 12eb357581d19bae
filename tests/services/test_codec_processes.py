"""Codecs in real child processes: what they are given, what comes back, how many there are and when they end."""

from __future__ import annotations

import contextlib
import gc
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from dicomweb_core.errors import InvalidFrame, MissingCodec, Overloaded
from dicomweb_core.services.codec_child import program_of
from dicomweb_core.services.codec_processes import CodecProcesses
from dicomweb_core.values.limits import Limits
from dicomweb_core.values.pixels import ImagePixel, NativeFrame
from tests.served import ROOT

FAULTY = program_of("tests.services.faulty_codec")
IMAGE = ImagePixel(rows=4, columns=6, samples=1, bits_allocated=16, bits_stored=12, signed=True, photometric="ÄÖ")
JPEG_2000 = "1.2.840.10008.1.2.4.90"


@pytest.fixture
def codec() -> Iterator[CodecProcesses]:
    with contextlib.closing(CodecProcesses(Limits(codec_seconds=20), program=FAULTY)) as codec:
        yield codec


def echo(codec: CodecProcesses, text: bytes = b"echo") -> None:
    """One frame there and back."""
    assert codec.decode(text, JPEG_2000, IMAGE) == ((text * 48)[:48], IMAGE)


def about(codec: CodecProcesses) -> dict[str, object]:
    """What the process says about itself."""
    told = json.loads(codec.decode(b"about", JPEG_2000, IMAGE).data)
    assert isinstance(told, dict)
    return told


def children() -> set[int]:
    """Processes begun by this one and not yet buried."""
    found = set()
    for task in Path("/proc/self/task").iterdir():
        with contextlib.suppress(FileNotFoundError):
            found |= {int(pid) for pid in (task / "children").read_text().split()}
    return found


def open_files() -> int:
    gc.collect()
    return len(os.listdir("/proc/self/fd"))


def eventually(condition: Callable[[], bool]) -> None:
    until = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.01)


def gone(pid: int) -> bool:
    """Ended, whoever has to bury it."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except (FileNotFoundError, ProcessLookupError):
        return True


def test_a_frame_there_and_back(codec: CodecProcesses) -> None:
    echo(codec)
    assert codec.encode(NativeFrame(b"echo".ljust(48, b"\0"), IMAGE), JPEG_2000) == (b"echo" * 12)[::-1]


def test_frames_larger_than_a_pipe(codec: CodecProcesses) -> None:
    image = ImagePixel(rows=2048, columns=2048, samples=1, bits_allocated=16, bits_stored=16)
    codestream = bytes(range(256)) * 20_000
    assert codec.decode(codestream, JPEG_2000, image).data == (codestream * 2)[: image.frame_bytes]


def test_nothing_is_begun_before_it_is_needed_and_then_it_stays(codec: CodecProcesses) -> None:
    before = children()
    assert codec.process_ids == ()
    echo(codec)
    (pid,) = codec.process_ids
    assert children() - before == {pid}
    echo(codec, b"again")
    assert codec.process_ids == (pid,) == (about(codec)["pid"],)


def test_the_process_gets_what_codecs_need_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_PASSWORD", "secret")
    limits = Limits(frame_bytes=47_110)
    with contextlib.closing(CodecProcesses(limits, program=FAULTY)) as codec:
        told = about(codec)
    assert told["limits"] == 47_110
    assert told["transfer_syntax"] == JPEG_2000
    assert told["core"] == 0
    assert "secret" not in json.dumps(told)
    # Nowhere three times, two pipes, and the folder that is being listed.
    assert told["open"] == 6
    modules = told["modules"]
    assert isinstance(modules, list)
    assert not {"pydicom", "lxml", "orjson", "dicomweb_core.server", "dicomweb_core.rules"} & set(modules)


@pytest.mark.parametrize(
    ("codestream", "error", "detail"),
    [
        (b"invalid The codestream ends early.", InvalidFrame, "The codestream ends early."),
        (b"missing Needs a library.", MissingCodec, "Needs a library."),
        (b"other", InvalidFrame, "The codec failed on this frame."),
        (b"bug", InvalidFrame, "The codec failed on this frame."),
    ],
)
def test_errors_of_the_codec_arrive_and_the_process_stays(
    codec: CodecProcesses, codestream: bytes, error: type[Exception], detail: str
) -> None:
    echo(codec)
    pids = codec.process_ids
    with pytest.raises(error) as raised:
        codec.decode(codestream, JPEG_2000, IMAGE)
    assert str(raised.value) == detail
    echo(codec)
    assert codec.process_ids == pids


def test_what_a_library_prints_is_no_answer(codec: CodecProcesses, capfd: pytest.CaptureFixture[str]) -> None:
    assert codec.decode(b"print", JPEG_2000, IMAGE).data == (b"print" * 48)[:48]
    assert capfd.readouterr() == ("", "")


def test_eight_threads_share_two_processes() -> None:
    with (
        contextlib.closing(CodecProcesses(Limits(codec_seconds=20), processes=2, program=FAULTY)) as codec,
        ThreadPoolExecutor(8) as threads,
    ):
        before = children()
        for done in [threads.submit(echo, codec, b"frame %d" % number) for number in range(400)]:
            done.result()
        assert 1 <= len(codec.process_ids) <= 2
        assert children() - before == set(codec.process_ids)


def test_two_at_once_and_the_others_in_the_order_they_came() -> None:
    order = []

    def decode(codec: CodecProcesses, name: str, seconds: str) -> None:
        codec.decode(f"sleep {seconds}".encode(), JPEG_2000, IMAGE)
        order.append(name)

    with contextlib.closing(CodecProcesses(Limits(codec_seconds=20), program=FAULTY)) as codec:
        echo(codec)
        threads = []
        for name in "ABCDE":
            threads.append(threading.Thread(target=decode, args=(codec, name, "0.3" if name == "A" else "0.01")))
            threads[-1].start()
            time.sleep(0.03)
        for thread in threads:
            thread.join()
    assert "".join(order) == "ABCDE"


def test_who_waits_too_long_is_told_so() -> None:
    with (
        contextlib.closing(CodecProcesses(Limits(codec_seconds=0.6), program=FAULTY)) as codec,
        ThreadPoolExecutor(4) as threads,
    ):
        echo(codec)
        sleepers = [threads.submit(codec.decode, b"sleep 0.4", JPEG_2000, IMAGE) for _ in range(3)]
        errors = [sleeper.exception() for sleeper in sleepers]
        assert [type(error) for error in errors if error] == [Overloaded]
        echo(codec)


def test_a_line_has_an_end() -> None:
    with (
        contextlib.closing(CodecProcesses(Limits(codec_seconds=20), program=FAULTY)) as codec,
        ThreadPoolExecutor(80) as threads,
    ):
        first = threads.submit(codec.decode, b"sleep 1", JPEG_2000, IMAGE)
        time.sleep(0.1)
        others = [threads.submit(echo, codec) for _ in range(70)]
        refused = [type(error) for other in others if (error := other.exception())]
        assert refused == [Overloaded] * (70 - 64)
        assert first.exception() is None


def test_close_leaves_no_process_no_thread_and_no_pipe() -> None:
    files, before, threads = open_files(), children(), threading.active_count()
    codec = CodecProcesses(Limits(codec_seconds=20), processes=3, program=FAULTY)
    with ThreadPoolExecutor(3) as pool:
        for done in [pool.submit(codec.decode, b"sleep 0.2", JPEG_2000, IMAGE) for _ in range(3)]:
            done.result()
    assert len(codec.process_ids) == 3
    assert open_files() == files + 6
    codec.close()
    codec.close()
    assert (codec.process_ids, children(), open_files(), threading.active_count()) == ((), before, files, threads)
    with pytest.raises(Overloaded):
        codec.decode(b"echo", JPEG_2000, IMAGE)


def test_close_while_a_frame_is_decoded() -> None:
    before, files = children(), open_files()
    codec = CodecProcesses(Limits(codec_seconds=20), program=FAULTY)
    with ThreadPoolExecutor(1) as threads:
        waiting = threads.submit(codec.decode, b"sleep 15", JPEG_2000, IMAGE)
        eventually(lambda: bool(codec.process_ids))
        time.sleep(0.4)
        codec.close()
        assert isinstance(waiting.exception(5), InvalidFrame)
    assert (children(), open_files()) == (before, files)


def test_an_idle_process_that_was_killed_is_replaced_unnoticed(codec: CodecProcesses) -> None:
    echo(codec)
    (pid,) = codec.process_ids
    os.kill(pid, 9)
    eventually(lambda: gone(pid))
    echo(codec)
    assert codec.process_ids != (pid,)


def test_signals_that_stop_the_server_leave_the_process_at_work(codec: CodecProcesses) -> None:
    for number, name in enumerate(("SIGINT", "SIGTERM", "SIGHUP")):
        codec.decode(b"signal %s" % name.encode(), JPEG_2000, IMAGE)
        echo(codec, b"%d" % number)
    assert about(codec)["pid"] == codec.process_ids[0]


def test_a_process_that_does_not_start_is_no_fault_of_the_frame(
    capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    files, before = open_files(), children()
    for program in (["/nowhere/python"], [sys.executable, "-c", "raise SystemExit('no such library')"]):
        with contextlib.closing(CodecProcesses(Limits(), program=program)) as codec:
            for _ in range(2):
                with pytest.raises(MissingCodec, match=r"^Codecs cannot be run here: their process does not start\.$"):
                    codec.decode(b"echo", JPEG_2000, IMAGE)
    assert "no such library" in capfd.readouterr().err, "the server's log says why"
    assert "does not start" in caplog.text
    assert (open_files(), children()) == (files, before)


FORKING = """
import os, sys
from dicomweb_core.services.codec_child import program_of
from dicomweb_core.services.codec_processes import CodecProcesses
from dicomweb_core.values.limits import Limits
from tests.services.test_codec_processes import about, echo, gone, eventually

codec = CodecProcesses(Limits(codec_seconds=20), processes=2, program=program_of("tests.services.faulty_codec"))
echo(codec)
(first,) = codec.process_ids
files = len(os.listdir("/proc/self/fd"))
child = os.fork()
if child == 0:
    assert codec.process_ids == ()
    assert len(os.listdir("/proc/self/fd")) == files - 2, "the pipes of the other process are closed"
    echo(codec)
    (own,) = codec.process_ids
    assert own != first and about(codec)["pid"] == own
    codec.close()
    assert gone(own) and not gone(first)
    os._exit(7)
_, status = os.waitpid(child, 0)
assert os.waitstatus_to_exitcode(status) == 7
echo(codec)
assert codec.process_ids == (first,)

child = os.fork()
if child == 0:
    # Lives longer than its parent and never uses a codec.
    os.close(1)
    os.close(2)
    eventually(lambda: gone(first))
    os._exit(0)
print(first, child, flush=True)
os._exit(0)  # without close
"""


def test_after_a_fork_each_process_has_children_of_its_own() -> None:
    done = run_program(FORKING)
    assert done.returncode == 0, done.stderr
    first, forked = map(int, done.stdout.split())
    eventually(lambda: gone(first) and gone(forked))


ORPHANING = """
import os, threading, time
from dicomweb_core.services.codec_child import program_of
from dicomweb_core.services.codec_processes import CodecProcesses
from dicomweb_core.values.limits import Limits
from tests.services.test_codec_processes import IMAGE, echo

codec = CodecProcesses(Limits(codec_seconds=0.5), program=program_of("tests.services.faulty_codec"))
echo(codec)
print(*codec.process_ids, flush=True)
threading.Thread(target=codec.decode, args=(b"spin", "1.2", IMAGE)).start()
time.sleep(0.2)
os.kill(os.getpid(), 9)
"""


def test_a_codec_that_never_ends_does_not_survive_a_server_that_was_killed() -> None:
    done = run_program(ORPHANING)
    assert done.returncode == -9, done.stderr
    pid = int(done.stdout)
    assert not gone(pid)
    eventually(lambda: gone(pid))


def run_program(text: str) -> subprocess.CompletedProcess[str]:
    roots = os.pathsep.join(str(ROOT / place) for place in ("", "adapters", "backends"))
    return subprocess.run(
        [sys.executable, "-c", text],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env=os.environ | {"PYTHONPATH": roots},
    )
