"""`/rendered` end to end: a CT slice of 512 x 512 pixels of 16 bits as JPEG through `OriginServer.handle`.

Beside it what is needed at least, in turns with it: a LUT by numpy, applied, and Pillow's JPEG. Medians in ms and the
median of the paired ratios: `made` without the cache of pictures, `kept` from it, `304` with the tag of the first.
"""

from __future__ import annotations

import io
import statistics
import tempfile
import time
from collections.abc import Callable
from functools import partial

import numpy as np
from PIL import Image
from pydicom import dcmread
from pydicom.data import get_testdata_file

from dicomweb_core import Limits, OriginServer, Request
from dicomweb_lmdb import LMDBInstanceStore

ROUNDS = 12
SLICES = 20
CENTER, WIDTH = 40.0, 400.0


def main() -> None:
    """Prints a line for each way."""
    dataset = dcmread(str(get_testdata_file("CT_small.dcm")))
    pixels = np.tile(dataset.pixel_array, (4, 4))
    dataset.Rows, dataset.Columns = pixels.shape
    dataset.WindowCenter, dataset.WindowWidth = CENTER, WIDTH
    slices, files = [], []
    for number in range(SLICES):
        slices.append(np.roll(pixels, 7 * number))
        dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = f"1.2.3.{number + 1}"
        dataset.PixelData = slices[-1].tobytes()
        buffer = io.BytesIO()
        dataset.save_as(buffer)
        files.append(buffer.getvalue())
    series = f"/studies/{dataset.StudyInstanceUID}/series/{dataset.SeriesInstanceUID}"
    intercept = float(dataset.RescaleIntercept)

    def bare(number: int) -> None:
        stored = np.arange(1 << 16, dtype=np.uint16).view(np.int16).astype(np.float32) + np.float32(intercept)
        levels = np.clip((stored - (CENTER - 0.5)) / (WIDTH - 1) + 0.5, 0, 1) * 255
        samples = np.take(np.rint(levels).astype(np.uint8), slices[number].view(np.uint16), mode="wrap")
        Image.fromarray(samples).save(io.BytesIO(), "JPEG", quality=90)

    for name, limits in (("made", Limits(picture_cache_bytes=0)), ("kept", Limits())):
        with tempfile.TemporaryDirectory() as folder:
            server = OriginServer(instances=LMDBInstanceStore(folder), limits=limits)
            server.store(files)
            compare(name, partial(get, server, series), bare)
            if name == "kept":
                tags = [get(server, series, number) for number in range(SLICES)]
                compare("304", partial(get_again, server, series, tags), bare)
            server.close()


def get(server: OriginServer, series: str, number: int, tag: str = "") -> str:
    """The tag of a rendered slice."""
    headers = (("Accept", "image/jpeg"), *((("If-None-Match", tag),) if tag else ()))
    path = f"{series}/instances/1.2.3.{number + 1}/rendered"
    response = server.handle(Request("GET", path, "", headers, io.BytesIO(), "http://archive.example"))
    response.body.read()
    assert response.status == (304 if tag else 200)
    return response.header("ETag") or ""


def get_again(server: OriginServer, series: str, tags: list[str], number: int) -> None:
    """The same by a client that has it."""
    get(server, series, number, tags[number])


def compare(name: str, ours: Callable[[int], object], bare: Callable[[int], None]) -> None:
    """Both in turns."""
    pairs = []
    for _ in range(ROUNDS):
        for number in range(SLICES):
            begin = time.perf_counter()
            ours(number)
            middle = time.perf_counter()
            bare(number)
            pairs.append((middle - begin, time.perf_counter() - middle))
    ratio = statistics.median(one / other for one, other in pairs)
    medians = [1000 * statistics.median(times) for times in zip(*pairs, strict=True)]
    print(f"{name:>5}: {medians[0]:6.3f} ms, bare {medians[1]:6.3f} ms, ratio {ratio:5.2f}")


if __name__ == "__main__":
    main()
