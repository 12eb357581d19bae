"""Which frame stands for an object."""

from __future__ import annotations

from typing import Any

import pytest

from dicomweb_core.rendering.representative import representative
from tests.rendering.gray_frames import made_attributes

SLIDE = {"DimensionOrganizationType": "TILED_FULL", "Rows": 100, "Columns": 100}


@pytest.mark.parametrize(
    ("values", "index"),
    [
        ({}, 0),
        ({"NumberOfFrames": 1}, 0),
        ({"NumberOfFrames": 2}, 1),
        ({"NumberOfFrames": 101}, 50),
        ({"NumberOfFrames": 101, "FrameTime": 40}, 50),
        ({"NumberOfFrames": 101, "RepresentativeFrameNumber": 7}, 6),
        ({"NumberOfFrames": 101, "RepresentativeFrameNumber": 102}, 50),
        ({"NumberOfFrames": 101, "RepresentativeFrameNumber": 0}, 50),
        # 5 by 4 tiles: the third row, the third column
        ({"NumberOfFrames": 20, "TotalPixelMatrixRows": 450, "TotalPixelMatrixColumns": 400, **SLIDE}, 10),
        # the same with two focal planes: in the first of them
        ({"NumberOfFrames": 40, "TotalPixelMatrixRows": 450, "TotalPixelMatrixColumns": 400, **SLIDE}, 10),
        ({"NumberOfFrames": 9, "TotalPixelMatrixRows": 450, "TotalPixelMatrixColumns": 400, **SLIDE}, 8),
    ],
)
def test_representative_frame(values: dict[str, Any], index: int) -> None:
    assert representative(made_attributes(**values)) == index


@pytest.mark.parametrize("count", ["x", "-3", "1e99", "NaN", None, {}])
def test_number_of_frames_that_is_none_means_one(count: Any) -> None:
    assert representative({"00280008": {"vr": "IS", "Value": [count]}}) == 0
