"""Codecs that crash, eat memory or never end (A25): each costs its own frame."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import werkzeug.test

from dicomweb_core import OriginServer
from dicomweb_core.codecs.pixels.encoding import encode
from dicomweb_core.errors import InvalidFrame
from dicomweb_core.services.codec_processes import CodecProcesses
from dicomweb_core.values.limits import Limits
from dicomweb_core.values.pixels import ImagePixel, NativeFrame
from dicomweb_memory import MemoryInstanceStore
from dicomweb_wsgi import wsgi_application
from tests.made import made, path
from tests.served import Served
from tests.services.test_codec_processes import (
    FAULTY,
    IMAGE,
    JPEG_2000,
    about,
    children,
    echo,
    eventually,
    gone,
    open_files,
)

LIMITS = Limits(codec_seconds=1.0, codec_memory_bytes=128 << 20, frame_bytes=1 << 20)
PATIENT = Limits(codec_seconds=30)
FAILED = r"^The codec failed on this frame\.$"

FAULTS = [
    pytest.param(b"signal SIGSEGV", id="SIGSEGV"),
    pytest.param(b"signal SIGBUS", id="SIGBUS"),
    pytest.param(b"signal SIGABRT", id="SIGABRT"),
    pytest.param(b"signal SIGKILL", id="SIGKILL"),
    pytest.param(b"signal SIGSTOP", id="stopped"),
    pytest.param(b"sleep 30", id="sleeps"),
    pytest.param(b"spin", id="never ends"),
    pytest.param(b"allocate 300000000", id="memory at once"),
    pytest.param(b"exit 0", id="exit 0"),
    pytest.param(b"exit 3", id="exit 3"),
    pytest.param(b"write nonsense nonsense nonsense", id="nonsense"),
    pytest.param(b"write DONE\xff\xff\xff\xff\0\0\0\0\0\0\0\0", id="words of 4 GiB"),
    pytest.param(b"write DONE\2\0\0\0\0\0\0\0\0\0\0\x7f{}", id="frame of 2 to the 63"),
    pytest.param(b"write DONE\2\0\0\0\0\0\0\0\0\0\0\0{}", id="no image"),
    pytest.param(b'write DONE\x0c\0\0\0\0\0\0\0\0\0\0\0{"image":[]}', id="no members"),
    pytest.param(b"write DONE\2\0\0\0\0\0\0\0\0\0\0\0[]", id="no object"),
    pytest.param(b"write DONE\2\0\0\0\0\0\0\0\0\0\0\0{\xff", id="no JSON"),
    pytest.param(b"write DONE\x20\x4e\0\0\0\0\0\0\0\0\0\0" + b"[" * 20_000, id="deep JSON"),
    pytest.param(b"write STRT\2\0\0\0\0\0\0\0\0\0\0\0{}", id="another kind"),
    pytest.param(b"write DONE\2\0\0\0\x10\0\0\0\0\0\0\0{}cut", id="cut off"),
    pytest.param(b"short", id="frame too short"),
    pytest.param(b"long 49", id="frame too long"),
    pytest.param(b"long 2000000", id="frame beyond its ceiling"),
]


@pytest.fixture
def codec() -> Iterator[CodecProcesses]:
    with contextlib.closing(CodecProcesses(LIMITS, program=FAULTY)) as codec:
        yield codec


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_costs_its_frame_A25(codec: CodecProcesses, fault: bytes) -> None:
    before, began = children(), time.monotonic()
    with pytest.raises(InvalidFrame, match=FAILED):
        codec.decode(fault, JPEG_2000, IMAGE)
    assert time.monotonic() - began < 10
    assert children() == before, "what failed has ended and was buried"
    echo(codec)


@pytest.mark.parametrize("fault", [b"signal SIGSEGV", b"spin", b"write nonsense", b"short"])
def test_a_fault_of_a_process_that_did_others_costs_its_frame_A25(codec: CodecProcesses, fault: bytes) -> None:
    echo(codec)
    with pytest.raises(InvalidFrame, match=FAILED):
        codec.decode(fault, JPEG_2000, IMAGE)
    assert codec.process_ids == ()
    echo(codec)


def test_a_fault_while_encoding_A25(codec: CodecProcesses) -> None:
    for fault in (b"signal SIGSEGV", b"allocate 300000000"):
        with pytest.raises(InvalidFrame, match=FAILED):
            codec.encode(NativeFrame(fault.ljust(48, b"\0"), IMAGE), JPEG_2000)
    echo(codec)


def test_the_process_at_work_is_killed_by_others_A25(codec: CodecProcesses) -> None:
    """One that did other frames before may have died of them, so this frame has another try, alone."""
    with ThreadPoolExecutor(1) as threads:
        for codestream, outcome in ((b"sleep 0.6", InvalidFrame), (b"sleep 0.7", None)):
            if outcome is None:
                echo(codec)
            at_work = threads.submit(codec.decode, codestream, JPEG_2000, IMAGE)
            while not codec.process_ids:
                time.sleep(0.01)
            time.sleep(0.4)
            os.kill(codec.process_ids[0], signal.SIGSEGV)
            error = at_work.exception()
            assert isinstance(error, outcome) if outcome else error is None
    echo(codec)


def test_what_an_earlier_frame_left_behind_is_not_held_against_a_later_one_A25(codec: CodecProcesses) -> None:
    echo(codec)
    (pid,) = codec.process_ids
    assert codec.decode(b"crash-if-used", JPEG_2000, IMAGE).data == (b"crash-if-used" * 4)[:48]
    assert codec.process_ids != (pid,)


def test_memory_that_leaks_away_is_got_back_A25(codec: CodecProcesses) -> None:
    echo(codec)
    pids = codec.process_ids
    codec.decode(b"keep 70000000", JPEG_2000, IMAGE)
    # Half of the ceiling is gone: it ends by itself before a good frame fails of it.
    echo(codec)
    assert codec.process_ids != pids


def test_what_killed_a_process_is_not_tried_again_A25(codec: CodecProcesses) -> None:
    def refused(codestream: bytes) -> float:
        began = time.perf_counter()
        with pytest.raises(InvalidFrame, match=FAILED):
            codec.decode(codestream, JPEG_2000, IMAGE)
        return time.perf_counter() - began

    refused(b"signal SIGSEGV")
    assert codec.process_ids == ()
    for _ in range(100):
        assert refused(b"signal SIGSEGV") < 0.1
    assert codec.process_ids == (), "nothing was begun for it"
    refused(b"signal  SIGSEGV")
    echo(codec)
    pids = codec.process_ids
    assert refused(b"signal SIGSEGV") < 0.1
    with pytest.raises(InvalidFrame):
        codec.decode(b"signal SIGSEGV", "1.2.840.10008.1.2.5", IMAGE)
    assert codec.process_ids != pids, "as another transfer syntax it is something else"


def test_one_that_never_ends_does_not_hold_up_its_neighbours_A25() -> None:
    with (
        ThreadPoolExecutor(8) as threads,
        contextlib.closing(CodecProcesses(PATIENT, processes=2, program=FAULTY)) as codec,
    ):
        echo(codec)
        spinning = threads.submit(codec.decode, b"spin", JPEG_2000, IMAGE)
        time.sleep(0.1)
        for done in [threads.submit(echo, codec, b"frame %d" % number) for number in range(50)]:
            done.result()
        assert not spinning.done()
        codec.close()
        assert isinstance(spinning.exception(), InvalidFrame)


def test_good_frames_among_bad_ones_with_eight_threads_A25() -> None:
    files, before, threads_before = open_files(), children(), threading.active_count()
    bad = [b"signal SIGSEGV %d", b"exit 1%d", b"write nonsense %d", b"long 1%d", b"invalid %d"]

    def frame(number: int) -> bool:
        if number % 8:
            echo(codec, b"frame %d" % number)
            return True
        try:
            codec.decode(bad[number // 8 % len(bad)] % number, JPEG_2000, IMAGE)
        except InvalidFrame:
            return False
        return True

    with (
        contextlib.closing(CodecProcesses(PATIENT, processes=2, program=FAULTY)) as codec,
        ThreadPoolExecutor(8) as threads,
    ):
        outcomes = list(threads.map(frame, range(80)))
    assert outcomes == [bool(number % 8) for number in range(80)]
    assert (open_files(), children(), threading.active_count()) == (files, before, threads_before)


def test_an_interrupt_in_the_middle_of_a_frame_does_not_shift_the_answers_A25(codec: CodecProcesses) -> None:
    class Interrupt(BaseException):
        pass

    def interrupt(*_: object) -> None:
        raise Interrupt

    echo(codec)
    earlier = signal.signal(signal.SIGALRM, interrupt)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.1)
        with pytest.raises(Interrupt):
            codec.decode(b"sleep 0.3", JPEG_2000, IMAGE)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, earlier)
    echo(codec, b"another")
    assert about(codec)["pid"] == codec.process_ids[0]


RLE = "1.2.840.10008.1.2.5"
NATIVE_FRAME = 'multipart/related; type="application/octet-stream"'


def test_a_server_answers_for_the_frame_and_goes_on_A25() -> None:
    with contextlib.closing(
        OriginServer(
            instances=MemoryInstanceStore(), limits=LIMITS, codec=CodecProcesses(LIMITS, processes=2, program=FAULTY)
        )
    ) as origin:
        http = werkzeug.test.Client(wsgi_application(origin, mount="/dicom-web"))

        def get(path: str, accept: str) -> werkzeug.test.TestResponse:
            return http.get("/dicom-web" + path, headers={"Accept": accept})

        codestreams = [b"good", b"signal SIGSEGV", b"fine", b"spin", b"well", b"allocate 300000000"]
        origin.store([made(syntax=RLE, frames=codestreams)])
        frames = path(1, 1, 1) + "/frames/"
        for number, codestream in enumerate(codestreams, 1):
            answer = get(f"{frames}{number}", NATIVE_FRAME)
            assert answer.status_code == (200 if number % 2 else 406), number
            if number % 2:
                assert codestream in answer.data
            else:
                assert answer.json is not None
                assert "The codec failed on this frame." in str(answer.json)
            stored = get(f"{frames}{number}", f"{NATIVE_FRAME}; transfer-syntax=*, image/dicom-rle")
            assert stored.status_code == 200, "as it is stored it can be had"
        assert get(frames + "1,3,5", NATIVE_FRAME).status_code == 200
        some = get(frames + "1,2,3", NATIVE_FRAME)
        assert (some.status_code, "Warning" in some.headers) == (200, True), "what is missing is said"
        assert b"good" in some.data
        assert b"fine" in some.data
        assert get(path(1, 1, 1) + "/metadata", "application/dicom+json").status_code == 200


def test_the_codec_process_of_dicomweb_serve_is_killed_A25(tmp_path: Path) -> None:
    """A real one: the command line isolates codecs unless it is told otherwise."""
    pixels = bytes(range(4))
    file = tmp_path / "file.dcm"
    codestream = encode(NativeFrame(pixels, ImagePixel(2, 2, 1, 8, 8)), RLE, Limits())
    file.write_bytes(made(syntax=RLE, frames=[codestream] * 50))
    with Served("--server", "waitress", str(file)) as served:

        def frame(number: int) -> None:
            status, content = served.request(
                "GET", f"{path(1, 1, 1)}/frames/{number}", headers={"Accept": NATIVE_FRAME}
            )
            assert status == 200
            assert pixels in content

        def codec_processes() -> list[int]:
            tasks = Path(f"/proc/{served.process.pid}/task").iterdir()
            return [int(pid) for task in tasks for pid in (task / "children").read_text().split()]

        frame(1)
        (first,) = codec_processes()
        os.kill(first, signal.SIGSEGV)
        frame(2)
        (second,) = codec_processes()
        assert second != first
    eventually(lambda: gone(second))


def test_dicomweb_serve_without_codec_processes(tmp_path: Path) -> None:
    file = tmp_path / "file.dcm"
    pixels = bytes(range(4))
    file.write_bytes(made(syntax=RLE, frames=[encode(NativeFrame(pixels, ImagePixel(2, 2, 1, 8, 8)), RLE, Limits())]))
    with Served("--server", "waitress", "--codec-processes", "0", str(file)) as served:
        status, content = served.request("GET", f"{path(1, 1, 1)}/frames/1", headers={"Accept": NATIVE_FRAME})
        assert (status, pixels in content) == (200, True)
        tasks = Path(f"/proc/{served.process.pid}/task").iterdir()
        assert [task.name for task in tasks if (task / "children").read_text()] == []
