"""Rendering: `render_grayscale` beside pydicom's own steps on the same frame.

The same frame in memory, the two in turns; medians in ms and the median of the paired ratios. `cold` makes the table
anew for every frame, as when each slice of a series has its own window or rescale.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from pydicom import Dataset, dcmread
from pydicom.data import get_testdata_file
from pydicom.pixels import apply_modality_lut, apply_voi_lut

from dicomweb_core.rendering import grayscale
from dicomweb_core.rendering.grayscale import render_grayscale
from dicomweb_core.values.pixels import ImagePixel, NativeFrame
from dicomweb_core.values.renderings import Rendering

ROUNDS = 31


class Case(NamedTuple):
    """A frame and the attributes it is rendered with."""

    frame: NativeFrame
    dataset: Dataset
    stored: Any


def case(tiles: int, dtype: str, stored_bits: int, **values: Any) -> Case:
    """Of 128 * `tiles` rows and columns, from a real slice."""
    slice_ = np.asarray(dcmread(str(get_testdata_file("CT_small.dcm"))).pixel_array)
    stored = np.tile(slice_, (tiles, tiles)).astype(dtype)
    image = ImagePixel(*stored.shape, 1, stored.itemsize * 8, stored_bits, stored.dtype.kind == "i", floating=False)
    dataset = Dataset()
    dataset.BitsStored, dataset.PixelRepresentation = stored_bits, int(image.signed)
    dataset.PhotometricInterpretation = "MONOCHROME2"
    for keyword, value in values.items():
        setattr(dataset, keyword, value)
    return Case(NativeFrame(stored.tobytes(), image), dataset, stored)


def voi_lut() -> list[Dataset]:
    """Of 4096 entries, as mammograms have it."""
    item = Dataset()
    item.LUTDescriptor = [4096, 0, 12]
    item.LUTData = (np.sqrt(np.arange(4096) / 4095) * 4095).astype(int).tolist()
    item["LUTData"].VR = "US"
    return [item]


def cases() -> dict[str, Case]:
    """What is shown."""
    ct = {"RescaleSlope": 1, "RescaleIntercept": -1024}
    window = {"WindowCenter": 40, "WindowWidth": 400}
    return {
        "CT 512, linear": case(4, "<i2", 16, **ct, **window),
        "CT 512, sigmoid": case(4, "<i2", 16, **ct, **window, VOILUTFunction="SIGMOID"),
        "CT 512, no window": case(4, "<i2", 16, **ct),
        "12 bits, padding": case(4, "<u2", 12, **window, PixelPaddingValue=0),
        "MG 2048, VOI LUT": case(16, "<u2", 12, VOILUTSequence=voi_lut()),
        "CR 2048, linear": case(16, "<u2", 12, **window),
        "32 bits 512": case(4, "<i4", 32, **ct, **window),
    }


def by_pydicom(given: Case) -> object:
    """Modality and VOI LUT, then 8 bits."""
    values = apply_voi_lut(apply_modality_lut(given.stored, given.dataset), given.dataset)
    low, high = values.min(), values.max()
    return ((values - low) * (255 / (high - low))).astype(np.uint8)


def milliseconds(call: Callable[[], object]) -> float:
    begun = time.perf_counter()
    call()
    return (time.perf_counter() - begun) * 1e3


def main() -> None:
    print(f"{'':20}{'kept':>8}{'cold':>8}{'pydicom':>9}{'ratio':>8}")
    for name, given in cases().items():
        attributes = given.dataset.to_json_dict()
        warm, cold, peer = [], [], []

        def render(given: Case = given, attributes: Any = attributes) -> object:
            return render_grayscale(given.frame, attributes, lambda _path: b"", Rendering())

        render()
        for _ in range(ROUNDS):
            warm.append(milliseconds(render))
            peer.append(milliseconds(lambda given=given: by_pydicom(given)))
            grayscale._table.cache_clear()
            cold.append(milliseconds(render))
        ratio = statistics.median(ours / theirs for ours, theirs in zip(warm, peer, strict=True))
        figures = [statistics.median(times) for times in (warm, cold, peer)]
        print(f"{name:20}{figures[0]:8.2f}{figures[1]:8.2f}{figures[2]:9.2f}{ratio:8.2f}")


if __name__ == "__main__":
    main()
