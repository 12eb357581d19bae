"""The cache of made frames: made once for all who ask, bounded, and never another instance's."""

from __future__ import annotations

import time
from collections.abc import Callable
from threading import Barrier, Event, Lock, Thread

import pytest

from dicomweb_core import Limits, OnDuplicate, OriginServer
from dicomweb_core.errors import InvalidFrame
from dicomweb_core.services.codec import CodecInProcess
from dicomweb_core.services.frame_cache import FrameCache, FrameKey, MadeFrame
from dicomweb_core.values.pixels import ImagePixel, NativeFrame
from dicomweb_core.values.resources import InstanceRef
from dicomweb_memory import MemoryInstanceStore
from tests.clients import OCTETS, Client
from tests.made import EXPLICIT, made, path, rle

RLE = "1.2.840.10008.1.2.5"
IMAGE = ImagePixel(2, 2, 1, 8, 8)


def key(index: int, version: int = 1) -> FrameKey:
    return FrameKey(InstanceRef("1.2", "1.3", "1.4"), version, index, EXPLICIT)


def frame(size: int, fill: bytes = b"x") -> MadeFrame:
    return MadeFrame(fill * size, IMAGE)


def unexpected() -> MadeFrame:
    raise AssertionError("the frame is kept and must not be made")


class CountingCodec(CodecInProcess):
    """The real codecs; counts, and takes its time."""

    def __init__(self, pause: float = 0.0) -> None:
        super().__init__(Limits())
        self.decoded: list[str] = []
        self._pause = pause
        self._lock = Lock()

    def decode(self, codestream: bytes, transfer_syntax_uid: str, image: ImagePixel) -> NativeFrame:
        with self._lock:
            self.decoded.append(transfer_syntax_uid)
        time.sleep(self._pause)
        return super().decode(codestream, transfer_syntax_uid, image)


def together(count: int, act: Callable[[int], None]) -> None:
    """`count` threads that begin at the same time; returns when all have ended."""
    barrier = Barrier(count)

    def run(number: int) -> None:
        barrier.wait(10)
        act(number)

    threads = [Thread(target=run, args=(number,), daemon=True) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
        assert not thread.is_alive(), "a thread hangs"


# -- through a server --------------------------------------------------------------------------------------------------


def served(codec: CountingCodec, limits: Limits | None = None, *frames: bytes) -> tuple[Client, str]:
    """A client of a server that has one RLE image, and the path of it."""
    server = OriginServer(instances=MemoryInstanceStore(), codec=codec, limits=limits, on_duplicate=OnDuplicate.REPLACE)
    client = Client(server)
    client.store(made(syntax=RLE, frames=[rle(f) for f in frames or (b"abcd",)]))
    return client, path(1, 1, 1)


def test_ten_viewers_decode_once() -> None:
    codec = CountingCodec(pause=0.05)
    client, url = served(codec)
    answers: list[bytes] = []

    def view(_number: int) -> None:
        answers.append(client.get(f"{url}/frames/1", "application/octet-stream").content)

    together(10, view)
    assert answers == [b"abcd"] * 10
    assert codec.decoded == [RLE]


def test_each_frame_and_each_form_is_made_once() -> None:
    codec = CountingCodec()
    client, url = served(codec, None, b"abcd", b"efgh")
    for _ in range(2):
        parts = client.get(f"{url}/frames/2,1,2", OCTETS).parts
        assert [content for _, content in parts] == [b"efgh", b"abcd", b"efgh"]
    assert len(codec.decoded) == 2
    client.get(f"{url}/frames/1", "image/jls")
    assert len(codec.decoded) == 3


def test_what_was_replaced_is_not_served() -> None:
    client, url = served(CountingCodec())
    assert client.get(f"{url}/frames/1", "application/octet-stream").content == b"abcd"
    client.store(made(syntax=RLE, frames=[rle(b"ABCD")]))
    assert client.get(f"{url}/frames/1", "application/octet-stream").content == b"ABCD"
    client.request("DELETE", url)
    assert client.get(f"{url}/frames/1", "application/octet-stream").status in (404, 410)


def test_reading_whole_instances_does_not_fill_the_cache() -> None:
    codec = CountingCodec()
    client, url = served(codec, None, b"abcd", b"efgh", b"ijkl")
    accept = f'multipart/related; type="application/dicom"; transfer-syntax={EXPLICIT}'
    assert client.get(url, accept).status == 200
    assert client.get(f"{url}/pixeldata", OCTETS).status == 200
    before = len(codec.decoded)
    client.get(f"{url}/frames/3", OCTETS)
    assert len(codec.decoded) == before + 1  # the last frame was not kept
    client.get(f"{url}/pixeldata", OCTETS)
    assert len(codec.decoded) == before + 2  # of three frames the first and the last were in the cache


def test_without_room_every_frame_is_made_anew() -> None:
    codec = CountingCodec()
    client, url = served(codec, Limits(frame_cache_bytes=0))
    for _ in range(3):
        assert client.get(f"{url}/frames/1", "application/octet-stream").content == b"abcd"
    assert len(codec.decoded) == 3


# -- by itself ---------------------------------------------------------------------------------------------------------


def test_an_error_goes_to_all_who_wait_and_is_not_kept() -> None:
    cache = FrameCache(1 << 20)
    made_by: list[int] = []
    errors: list[Exception] = []

    def ask(number: int) -> None:
        def make() -> MadeFrame:
            made_by.append(number)
            time.sleep(0.2)  # long enough for the others to arrive
            raise InvalidFrame("broken")

        try:
            cache.find_or_make(key(0), make)
        except InvalidFrame as error:
            errors.append(error)

    together(10, ask)
    assert [error.detail for error in errors] == ["broken"] * 10
    assert len(made_by) == 1
    assert cache.find(key(0)) is None
    assert cache.find_or_make(key(0), lambda: frame(3)).data == b"xxx"


@pytest.mark.parametrize("interruption", [GeneratorExit, KeyboardInterrupt, SystemExit])
def test_who_waits_takes_over_from_one_that_is_interrupted(interruption: type[BaseException]) -> None:
    cache = FrameCache(1 << 20)
    leading, others_wait = Event(), Event()
    got: list[bytes] = []

    def interrupted() -> MadeFrame:
        leading.set()
        assert others_wait.wait(10)
        raise interruption

    def lead() -> None:
        with pytest.raises(interruption):
            cache.find_or_make(key(0), interrupted)

    def follow() -> None:
        got.append(cache.find_or_make(key(0), lambda: frame(3)).data)

    leader = Thread(target=lead)
    followers = [Thread(target=follow, daemon=True) for _ in range(3)]
    leader.start()
    assert leading.wait(10)
    for thread in followers:
        thread.start()
    time.sleep(0.05)
    others_wait.set()
    for thread in (leader, *followers):
        thread.join(10)
        assert not thread.is_alive(), "a thread hangs"
    assert got == [b"xxx"] * 3


def test_different_frames_are_made_at_the_same_time() -> None:
    cache = FrameCache(1 << 20)
    both = Barrier(2)

    def make() -> MadeFrame:
        both.wait(10)  # broken unless the other is being made too
        return frame(1)

    together(2, lambda number: cache.find_or_make(key(number), make) and None)


def test_those_used_last_are_kept() -> None:
    """Ten frames of 10,000 bytes into room for about nine."""
    cache = FrameCache(100_000)
    for index in range(9):
        cache.find_or_make(key(index), lambda: frame(10_000))
    assert cache.find_or_make(key(0), unexpected).data == b"x" * 10_000
    cache.find_or_make(key(9), lambda: frame(10_000))
    assert cache.find(key(1)) is None  # the one that was used longest ago
    assert cache.find(key(0)) is not None
    kept = [index for index in range(10) if cache.find(key(index)) is not None]
    assert sum(10_000 for _ in kept) <= 100_000
    assert len(kept) == 9


def test_what_is_larger_than_a_quarter_is_not_kept() -> None:
    cache = FrameCache(100_000)
    cache.find_or_make(key(0), lambda: frame(10))
    cache.find_or_make(key(1), lambda: frame(25_000))
    assert cache.find(key(1)) is None
    assert cache.find(key(0)) is not None
    cache.find_or_make(key(2), lambda: frame(23_000))
    assert cache.find(key(2)) is not None


def test_small_frames_count_too() -> None:
    """A frame of one byte takes more than a byte of memory."""
    cache = FrameCache(100_000)
    for index in range(1_000):
        cache.find_or_make(key(index), lambda: frame(1))
    assert sum(cache.find(key(index)) is not None for index in range(1_000)) < 200


def test_versions_are_different_frames() -> None:
    cache = FrameCache(1 << 20)
    cache.find_or_make(key(0, version=1), lambda: frame(1, b"a"))
    assert cache.find_or_make(key(0, version=2), lambda: frame(1, b"b")).data == b"b"
    assert cache.find_or_make(key(0, version=1), unexpected).data == b"a"
