"""Native frames as arrays (PS3.5 8.1, 8.2; PS3.3 C.7.6.3.1.3)."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from dicomweb_core.values.pixels import NativeFrame

Samples = NDArray[Any]
"""(rows, columns), or (rows, columns, samples) when there is more than one sample."""


def samples_of(frame: NativeFrame) -> Samples:
    """A read-only view of the frame's samples, signed as they are; of whole bytes only (8, 16, 32 or 64 bits).

    Planes stay where they are: the samples of a planar frame are not next to each other in memory.
    """
    image = frame.image
    kind = "i" if image.signed else "u"
    samples = np.frombuffer(frame.data, dtype=f"<{kind}{image.bits_allocated // 8}")
    if image.samples == 1:
        return samples.reshape(image.rows, image.columns)
    if image.planar:
        return samples.reshape(image.samples, image.rows, image.columns).transpose(1, 2, 0)
    return samples.reshape(image.rows, image.columns, image.samples)


def bits_needed(samples: Samples) -> int:
    """The fewest bits that hold every value, with its sign if the array has one; at least 1."""
    highest = int(samples.max())
    if samples.dtype.kind == "u":
        return max(1, highest.bit_length())
    return max(highest, ~int(samples.min()), 0).bit_length() + 1
