"""Frames: one of 2,000 against one of one, and transcoding against the bare codec. One line per case.

python benchmarks/bench_frames.py [directory]

Requests are answered in process (`OriginServer.handle`) from LMDB; what a socket adds is the same for every server.
"""

from __future__ import annotations

import io
import random
import shutil
import sys
import tempfile
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from itertools import count
from pathlib import Path
from statistics import median
from typing import Any

import imagecodecs
import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.uid import UID

from dicomweb_core import OriginServer, Request
from dicomweb_core.values.limits import Limits
from dicomweb_lmdb import LMDBInstanceStore

ELE, RLE, JPEG, JPEG_LS = (
    "1.2.840.10008.1.2.1",
    "1.2.840.10008.1.2.5",
    "1.2.840.10008.1.2.4.50",
    "1.2.840.10008.1.2.4.80",
)
JPEG_2000, HTJ2K, JPEG_LOSSLESS = "1.2.840.10008.1.2.4.90", "1.2.840.10008.1.2.4.201", "1.2.840.10008.1.2.4.70"
FRAMES = 2_000
IN_TURN = 10


def instance(number: int, syntax: str, codestreams: list[bytes], pixels: np.ndarray) -> tuple[bytes, str]:
    """A multi-frame secondary capture and the path of the instance."""
    data = Dataset()
    data.file_meta = FileMetaDataset()
    data.file_meta.TransferSyntaxUID = UID(syntax)
    data.SOPClassUID = "1.2.840.10008.5.1.4.1.1.7.4" if pixels.ndim == 3 else "1.2.840.10008.5.1.4.1.1.7.3"
    data.StudyInstanceUID, data.SeriesInstanceUID, data.SOPInstanceUID = "2.999.1", "2.999.2", f"2.999.3.{number}"
    data.PatientID = data.PatientName = "BENCH"
    data.Rows, data.Columns = pixels.shape[:2]
    data.SamplesPerPixel = 3 if pixels.ndim == 3 else 1
    data.PhotometricInterpretation = "YBR_FULL_422" if pixels.ndim == 3 else "MONOCHROME2"
    if pixels.ndim == 3:
        data.PlanarConfiguration = 0
    data.BitsAllocated = data.BitsStored = pixels.itemsize * 8
    data.HighBit, data.PixelRepresentation = data.BitsStored - 1, 0
    data.NumberOfFrames = len(codestreams)
    data.PixelData = b"".join(codestreams) if syntax == ELE else encapsulate(codestreams)
    data["PixelData"].VR = "OW" if syntax == ELE else "OB"
    data["PixelData"].is_undefined_length = syntax != ELE
    stream = io.BytesIO()
    data.save_as(stream, enforce_file_format=True)
    return stream.getvalue(), f"/studies/2.999.1/series/2.999.2/instances/2.999.3.{number}"


def timed(call: Callable[[], object]) -> float:
    """Seconds of one call."""
    begin = time.perf_counter()
    call()
    return time.perf_counter() - begin


def ratio(pairs: Sequence[tuple[float, float]]) -> float:
    """The median of the ratios of calls made one after the other: what slows the machine slows both."""
    return median(ours / other for ours, other in pairs)


def line(name: str, value: str) -> None:
    print(f"{name:<64} {value}")


def frames_of_many(server: OriginServer) -> None:
    """A random frame of 2,000 compressed ones beside the frame of a single one."""
    rng = np.random.default_rng(1)
    tile = (rng.normal(0, 12, (256, 256, 3)).cumsum(0) + 128).clip(0, 255).astype(np.uint8)
    codestream = imagecodecs.jpeg8_encode(tile, level=85)
    many, path = instance(1, JPEG, [codestream] * FRAMES, tile)
    one, single = instance(2, JPEG, [codestream], tile)
    assert [len(server.store([content]).stored) for content in (many, one)] == [1, 1]
    accept = (("Accept", 'multipart/related; type="image/jpeg"; transfer-syntax=*'),)
    numbers = random.Random(1)

    def get(target: str) -> None:
        response = server.handle(Request("GET", target, headers=accept))
        assert response.status == 200
        response.body.read()

    pairs = []
    for _ in range(2_000):
        of_many = timed(lambda: get(f"{path}/frames/{numbers.randint(1, FRAMES)}"))
        pairs.append((of_many, timed(lambda: get(f"{single}/frames/1"))))
    of_many, of_one = (median(times) for times in zip(*pairs, strict=True))
    line(f"a random frame of {FRAMES}, JPEG 256 x 256", f"{of_many * 1e6:8.0f} µs")
    line("the frame of a single-frame instance", f"{of_one * 1e6:8.0f} µs   ratio {ratio(pairs):.2f}")


def transcoding(server: OriginServer) -> None:
    """Frames through the server beside as many bare codec calls, in turns."""
    rng = np.random.default_rng(2)
    numbers = count(10)
    for size in (512, 1_024):
        pixels = (rng.normal(0, 20, (size, size)).cumsum(1) + 2_000).clip(0, 4_095).astype(np.uint16)
        native = pixels.tobytes()
        sources: dict[str, tuple[bytes, Callable[[bytes], Any]]] = {
            JPEG_LS: (imagecodecs.jpegls_encode(pixels), imagecodecs.jpegls_decode),
            JPEG_2000: (imagecodecs.jpeg2k_encode(pixels, level=0, codecformat="j2k"), imagecodecs.jpeg2k_decode),
            HTJ2K: (imagecodecs.htj2k_encode(pixels), imagecodecs.htj2k_decode),
            JPEG_LOSSLESS: (imagecodecs.jpeg8_encode(pixels, lossless=True, predictor=1), imagecodecs.jpeg8_decode),
        }
        encoders: dict[str, Callable[[], Any]] = {
            JPEG_LS: lambda: imagecodecs.jpegls_encode(pixels),  # noqa: B023
            JPEG_2000: lambda: imagecodecs.jpeg2k_encode(pixels, level=0, codecformat="j2k"),  # noqa: B023
            HTJ2K: lambda: imagecodecs.htj2k_encode(pixels),  # noqa: B023
        }
        for syntax, (codestream, decode) in sources.items():
            content, path = instance(next(numbers), syntax, [codestream] * IN_TURN, pixels)
            assert server.store([content]).stored
            bare = lambda c=codestream, d=decode: d(c)  # noqa: E731
            compare(server, f"{size} x {size} x 16, {syntax} -> native", path, ELE, bare, native)
        content, path = instance(next(numbers), ELE, [native] * IN_TURN, pixels)
        assert server.store([content]).stored
        for syntax, encode in encoders.items():
            compare(server, f"{size} x {size} x 16, native -> {syntax}", path, syntax, encode, None)


def compare(
    server: OriginServer, name: str, path: str, target: str, bare: Callable[[], Any], expected: bytes | None
) -> None:
    """Server and bare call by turns; the ratio of the medians."""
    accept = (("Accept", f'multipart/related; type="*/*"; transfer-syntax={target}'),)
    target = f"{path}/frames/{','.join(map(str, range(1, IN_TURN + 1)))}"

    def get(take: Callable[[Iterable[bytes]], Any] = deque(maxlen=0).extend) -> Any:
        response = server.handle(Request("GET", target, headers=accept))
        assert response.status == 200
        return take(response.body)

    def bare_frames() -> None:
        for _ in range(IN_TURN):
            bare()

    assert expected is None or get(b"".join).count(expected) == IN_TURN
    pairs: list[tuple[float, float]] = []
    begin = time.perf_counter()
    while len(pairs) < 5 or (len(pairs) < 51 and time.perf_counter() - begin < 4):
        pairs.append((timed(get), timed(bare_frames)))
    of_one = median(ours for ours, _ in pairs) / IN_TURN
    line(name, f"{of_one * 1e3:8.2f} ms a frame   bare codec x {ratio(pairs):.2f}")


def main() -> None:
    folder = Path(tempfile.mkdtemp(dir=sys.argv[1] if len(sys.argv) > 1 else None))
    try:
        store = LMDBInstanceStore(folder / "archive")
        # Without a cache: each request decodes.
        server = OriginServer(instances=store, limits=Limits(frame_cache_bytes=0))
        frames_of_many(server)
        transcoding(server)
        server.close()
    finally:
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
