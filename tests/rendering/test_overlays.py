"""Overlay planes beside pydicom's, and those that no real file here has."""

from __future__ import annotations

import base64
from typing import Any

import numpy as np
import pytest

from dicomweb_core.rendering.overlays import overlay
from dicomweb_core.values.attributes import Attributes
from tests.rendering.gray_frames import made_frame, no_bulk, real_frame
from tests.witnesses.real_files import name_of, real_files

REAL = [path for path in real_files() if name_of(path) in ("MR-SIEMENS-DICOM-WithOverlays.dcm", "examples_overlay.dcm")]


def test_both_real_files_are_there() -> None:
    assert len(REAL) == 2


@pytest.mark.parametrize("path", REAL, ids=name_of)
def test_real_overlays_are_those_of_pydicom(path: Any) -> None:
    found = real_frame(path)
    plane = overlay(found.attributes, 0x6000, found.bulk, found.frame)
    assert plane is not None
    expected = found.dataset.overlay_array(0x6000)
    assert (plane.group, plane.top, plane.left) == (0x6000, 0, 0)
    assert 0 < expected.sum() == plane.mask.sum()
    assert (plane.mask == (expected != 0)).all()


def made_overlay(mask: Any, group: int = 0x6000, **values: Any) -> Attributes:
    """Attributes of an overlay; frames lie behind one another without padding."""
    mask = np.asarray(mask, np.uint8)
    fields = {
        "0010": mask.shape[-2],
        "0011": mask.shape[-1],
        "0100": 1,
        "0102": 0,
        **({"0015": mask.shape[0]} if mask.ndim == 3 else {}),
        **{tag.removeprefix("x"): value for tag, value in values.items()},
    }
    packed = np.packbits(mask.reshape(-1), bitorder="little").tobytes()
    found: Attributes = {
        f"{group:04X}{tag}": {"vr": "US", "Value": value if isinstance(value, list) else [value]}
        for tag, value in fields.items()
        if value is not None
    }
    found[f"{group:04X}3000"] = {"vr": "OW", "InlineBinary": base64.b64encode(packed).decode()}
    return found


FRAME = made_frame(np.zeros((3, 4), np.uint8))
MASK = [[1, 0, 1], [0, 1, 1]]


@pytest.mark.parametrize(
    ("origin", "expected"),
    [
        ([1, 1], [[1, 0, 1, 0], [0, 1, 1, 0], [0, 0, 0, 0]]),
        ([2, 3], [[0, 0, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]]),
        ([0, -1], [[1, 0, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0]]),
        ([99, 99], [[0] * 4] * 3),
    ],
)
def test_origin_is_row_and_column_from_1_and_may_be_outside(origin: list[int], expected: list[list[int]]) -> None:
    plane = overlay(made_overlay(MASK, x0050=origin), 0x6000, no_bulk, FRAME)
    assert plane is not None
    assert plane.over(3, 4).astype(int).tolist() == expected


def test_frames_of_an_overlay_follow_one_another_from_its_first_frame() -> None:
    masks = [[[1, 0, 0]], [[0, 1, 0]], [[0, 0, 1]]]
    attributes = made_overlay(masks, x0051=4)
    shown = [overlay(attributes, 0x6000, no_bulk, FRAME, number) for number in (3, 4, 5, 6, 7)]
    assert [None if plane is None else plane.mask.astype(int).tolist() for plane in shown] == [None, *masks, None]


def test_an_overlay_without_frames_lies_upon_all() -> None:
    assert overlay(made_overlay(MASK), 0x6000, no_bulk, FRAME, 17) is not None


def test_bits_of_the_pixels_that_no_sample_uses_are_an_overlay() -> None:
    cells = np.array([[0x1FFF, 0x0FFF], [0x8000, 0x3123]], np.uint16)
    frame = made_frame(cells, bits_stored=12)
    attributes: Attributes = {
        "00280102": {"vr": "US", "Value": [11]},
        "60020100": {"vr": "US", "Value": [16]},
        "60020102": {"vr": "US", "Value": [12]},
    }
    plane = overlay(attributes, 0x6002, no_bulk, frame)
    assert plane is not None
    assert plane.mask.astype(int).tolist() == [[1, 0], [0, 1]]
    assert overlay(attributes, 0x6002, no_bulk, None) is None
    for bit in (0, 11, 16, -1, 1e9):
        attributes["60020102"]["Value"] = [bit]
        assert overlay(attributes, 0x6002, no_bulk, frame) is None


@pytest.mark.parametrize(
    "broken",
    [
        made_overlay(MASK, x0010=0),
        made_overlay(MASK, x0010=None),
        made_overlay(MASK, x0010=65_535, x0011=65_535),
        made_overlay(MASK, x0010=9),
        made_overlay(MASK, x0015=4_000_000_000, x0051=-4_000_000),
        made_overlay(MASK, x0100=16),
        {**made_overlay(MASK), "60003000": {"vr": "OW"}},
        {**made_overlay(MASK), "60003000": {"vr": "OW", "InlineBinary": "!"}},
    ],
)
def test_broken_planes_are_left_out_A22(broken: Attributes) -> None:
    assert overlay(broken, 0x6000, no_bulk, FRAME) is None
