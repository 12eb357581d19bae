"""What the steps of rendering hand on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Samples = NDArray[np.uint8] | NDArray[np.uint16]


@dataclass(frozen=True, slots=True)
class Picture:
    """Samples as a display gets them: 0 is black, the largest value of the type is white.

    `samples` has the shape (rows, columns) for grayscale P-Values or (rows, columns, 3) for RGB.
    """

    samples: Samples
    icc_profile: bytes | None = None
    """Of RGB samples; None: sRGB is assumed and nothing is embedded."""
    pixel_aspect: float = 1.0
    """Height of a pixel divided by its width: vertical over horizontal, as Pixel Aspect Ratio has it (PS3.3
    C.7.6.3.1.7)."""

    @property
    def rows(self) -> int:
        """In pixels."""
        return int(self.samples.shape[0])

    @property
    def columns(self) -> int:
        """In pixels."""
        return int(self.samples.shape[1])


class Motion(NamedTuple):
    """How pictures follow each other."""

    frame_seconds: float
    """How long each is shown."""
    frame_count: int
