"""Cines as MP4 of AV1: fragments that read on their own, and show what was put in."""

from __future__ import annotations

import shutil
import struct
import subprocess
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from dicomweb_core.errors import CannotRender
from dicomweb_core.rendering.pictures import Motion, Picture
from dicomweb_core.rendering.raster import encode, moving_types

pytestmark = pytest.mark.skipif("video/mp4" not in moving_types(), reason="Pillow has no AVIF here")

CONTAINERS = (b"moov", b"trak", b"mdia", b"minf", b"stbl", b"mvex", b"moof", b"traf")


def boxes(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Kinds and contents in their order; what does not add up raises."""
    at = 0
    while at < len(data):
        size, kind = struct.unpack_from(">I4s", data, at)
        assert 8 <= size <= len(data) - at
        content = data[at + 8 : at + size]
        if kind in CONTAINERS:
            yield kind, b""
            yield from boxes(content)
        else:
            yield kind, content
        at += size


def ramp(number: int, rows: int = 48, columns: int = 65) -> NDArray[np.uint8]:
    samples = np.add.outer(np.arange(rows) * 3, np.arange(columns) + number).astype(np.uint8)
    samples[:8] = number * 6
    return samples


def made(count: int, *, color: bool = False, seconds: float = 0.1) -> list[bytes]:
    pictures = (Picture(np.dstack([ramp(n), 255 - ramp(n), ramp(0)]) if color else ramp(n)) for n in range(count))
    return list(encode(pictures, "video/mp4", None, Motion(seconds, count)))


@pytest.mark.parametrize("count", [1, 2, 16, 17, 40])
def test_fragments_follow_each_other_without_a_gap(count: int) -> None:
    chunks = made(count, seconds=0.04)
    assert len(chunks) == -(-count // 16)
    content = b"".join(chunks)
    found = list(boxes(content))
    assert [kind for kind, _ in found][:2] == [b"ftyp", b"moov"]
    times = [struct.unpack(">Q", value[4:])[0] for kind, value in found if kind == b"tfdt"]
    assert times == [3_600 * 16 * number for number in range(len(chunks))]
    assert struct.unpack(">Q", dict(found)[b"mehd"][4:])[0] == 3_600 * count
    start = total = 0
    for chunk in chunks:
        start = chunk.index(b"moof") - 4
        run = dict(boxes(chunk))[b"trun"]
        samples, offset = struct.unpack_from(">Ii", run, 4)
        sizes = struct.unpack_from(f">{samples}I", run, 16)
        assert chunk[start + offset - 4 : start + offset] == b"mdat"
        assert start + offset + sum(sizes) == len(chunk)
        total += samples
    assert total == count


def test_what_is_no_video() -> None:
    with pytest.raises(CannotRender, match="one size"):
        list(encode([Picture(ramp(0)), Picture(ramp(0)[1:])], "video/mp4", None, Motion(0.1, 2)))
    with pytest.raises(CannotRender, match="rows or columns"):
        list(encode([Picture(ramp(0, 1, 9_000))], "video/mp4", None, Motion(0.1, 1)))


def test_quality_changes_the_size() -> None:
    sizes = [
        sum(map(len, encode((Picture(ramp(n)) for n in range(8)), "video/mp4", quality, Motion(0.1, 8))))
        for quality in (5, 50, 100)
    ]
    assert sizes == sorted(set(sizes))


def test_a_long_video_needs_the_memory_of_a_fragment() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (128, 128), np.uint8)
    pictures = (Picture(np.roll(noise, turn, 0)) for turn in range(200))
    tracemalloc.start()
    try:
        size = sum(len(chunk) for chunk in encode(pictures, "video/mp4", None, Motion(0.1, 200)))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert size > 10 * noise.size
    assert peak < 80 * noise.size  # of 600 as RGB


@pytest.mark.parametrize("color", [False, True], ids=["gray", "color"])
@pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="ffmpeg is not installed")
def test_ffmpeg_shows_the_same(tmp_path: Path, color: bool) -> None:
    file = tmp_path / "cine.mp4"
    file.write_bytes(b"".join(made(40, color=color)))
    command = ["ffmpeg", "-v", "error", "-i", file, "-f", "rawvideo", "-pix_fmt", "rgb24", "-"]
    done = subprocess.run(command, check=True, capture_output=True, timeout=60)
    assert not done.stderr
    frames = np.frombuffer(done.stdout, np.uint8).reshape(40, 48, 65, 3)
    for number, frame in enumerate(frames):
        gray = ramp(number)
        expected = np.dstack([gray, 255 - gray, ramp(0)]) if color else np.dstack([gray] * 3)
        assert np.abs(frame.astype(int) - expected).mean() < 3, number


def test_each_fragment_begins_with_a_key_frame() -> None:
    for chunk in made(33):
        assert dict(boxes(chunk))[b"mdat"][0] >> 3 & 15 == 1  # a sequence header OBU (AV1 5.3.2)
