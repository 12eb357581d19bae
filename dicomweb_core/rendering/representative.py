"""Which frame stands for an object that has several, where one picture is asked for (PS3.18 8.3.5, thumbnails)."""

from __future__ import annotations

import math
from typing import Final

from dicomweb_core.rendering import segmentation
from dicomweb_core.rendering.frame_attributes import finite_number
from dicomweb_core.values.attributes import Attributes, first_text

_NUMBER_OF_FRAMES: Final = "00280008"
_REPRESENTATIVE_FRAME: Final = "00286010"
_ORGANIZATION: Final = "00209311"
_SEGMENTS: Final = "00620002"
_ROWS: Final = "00280010"
_COLUMNS: Final = "00280011"
_MATRIX_COLUMNS: Final = "00480006"
_MATRIX_ROWS: Final = "00480007"


def representative(attributes: Attributes) -> int:
    """The index (0-based) of the frame that stands for the object; 0 for objects of one frame.

    Representative Frame Number (0028,6010) if the object has one; of a segmentation a frame in the middle of what is
    segmented; of tiles in full order the one in the middle of the slide; else the middle frame: volumes show most
    there, and a cine run has contrast medium, which it lacks at its begin. For a slide, which level stands for it is
    not decided here.
    """
    count = finite_number(attributes, _NUMBER_OF_FRAMES)
    frames = int(count) if count is not None and 1 <= count < 1 << 31 else 1
    if frames == 1:
        return 0
    named = finite_number(attributes, _REPRESENTATIVE_FRAME)
    if named is not None and 1 <= named <= frames:
        return int(named) - 1
    if _SEGMENTS in attributes:
        return min(segmentation.representative_frame(attributes), frames - 1)
    if first_text(attributes, _ORGANIZATION).strip(" \0").upper() == "TILED_FULL":
        return min(_middle_tile(attributes), frames - 1)
    return frames // 2


def _middle_tile(attributes: Attributes) -> int:
    """Of the first focal plane and optical path: tiles lie row by row (PS3.3 C.7.6.17.3)."""
    rows, columns, high, wide = (
        finite_number(attributes, tag) for tag in (_ROWS, _COLUMNS, _MATRIX_ROWS, _MATRIX_COLUMNS)
    )
    if not rows or not columns or not high or not wide or min(rows, columns, high, wide) < 1:
        return 0
    down, across = math.ceil(high / rows), math.ceil(wide / columns)
    return (down // 2) * across + across // 2
