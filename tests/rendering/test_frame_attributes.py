"""Functional groups: what holds for one frame (PS3.3 C.7.6.16)."""

from __future__ import annotations

import time
from typing import Any

import pytest

from dicomweb_core.rendering.frame_attributes import finite_number, frame_attributes, numbers, pixel_aspect
from dicomweb_core.values.attributes import Attributes

CENTER, WIDTH, SLOPE, VOI_LUT = "00281050", "00281051", "00281053", "00283010"
FRAME_VOI, TRANSFORMATION, MEASURES, REAL_WORLD = "00289132", "00289145", "00289110", "00409096"


def ds(*values: Any) -> dict[str, Any]:
    return {"vr": "DS", "Value": list(values)}


def sq(*items: Attributes) -> dict[str, Any]:
    return {"vr": "SQ", "Value": list(items)}


def window(center: float) -> Attributes:
    return {FRAME_VOI: sq({CENTER: ds(center), WIDTH: ds(100)})}


def enhanced(root: Attributes, shared: Attributes, *frames: Attributes) -> Attributes:
    return {**root, "52009229": sq(shared), "52009230": sq(*frames)}


ROOT: Attributes = {CENTER: ds(1), WIDTH: ds(10)}


@pytest.mark.parametrize(
    ("attributes", "expected"),
    [
        (ROOT, 1),
        (enhanced(ROOT, {}, {}, {}), 1),
        (enhanced(ROOT, window(2), {}, {}), 2),
        (enhanced(ROOT, window(2), window(3), window(4)), 4),
        (enhanced(ROOT, window(2), window(3)), 2),
        (enhanced({}, {}, window(3), window(4)), 4),
    ],
    ids=["root", "root, empty groups", "shared", "per frame", "per frame, but not this one", "only per frame"],
)
def test_window_of_the_second_frame_comes_from_the_innermost_level(attributes: Attributes, expected: float) -> None:
    assert finite_number(frame_attributes(attributes, 1), CENTER) == expected


def test_groups_are_left_out_and_other_attributes_stay() -> None:
    merged = frame_attributes(enhanced({"00100010": {"vr": "PN"}}, window(2), window(3)), 0)
    assert "00100010" in merged
    assert not {"52009229", "52009230"} & set(merged)


def test_window_of_the_frame_is_not_overruled_by_a_lut_of_the_object() -> None:
    merged = frame_attributes(enhanced({VOI_LUT: sq({"00283002": {"vr": "US"}})}, {}, window(3)), 0)
    assert VOI_LUT not in merged


def test_rescale_of_the_frame_replaces_the_modality_lut_of_the_object() -> None:
    root = {"00283000": sq({"00283002": {"vr": "US"}})}
    merged = frame_attributes(enhanced(root, {TRANSFORMATION: sq({SLOPE: ds(2)})}, {}), 0)
    assert "00283000" not in merged
    assert finite_number(merged, SLOPE) == 2


def test_other_macros_stay_sequences_of_all_their_items() -> None:
    root, frame = {REAL_WORLD: sq({"x": ds(0)})}, {REAL_WORLD: sq({"y": ds(1)}, {"z": ds(2)})}
    assert frame_attributes(enhanced(root, {}, frame), 0)[REAL_WORLD] == frame[REAL_WORLD]


@pytest.mark.parametrize(
    "malformed",
    [
        {"vr": "SQ"},
        {"vr": "SQ", "Value": []},
        {"vr": "SQ", "Value": [None]},
        {"vr": "LO", "Value": ["x"]},
        {"vr": "SQ", "Value": [{FRAME_VOI: {"vr": "SQ"}}]},
        {"vr": "SQ", "Value": [{FRAME_VOI: {"vr": "SQ", "Value": [None]}}]},
        {"vr": "UN", "InlineBinary": "AAAA"},
    ],
)
@pytest.mark.parametrize("group", ["52009229", "52009230"])
def test_ill_formed_groups_are_as_if_absent_A22(group: str, malformed: dict[str, Any]) -> None:
    assert finite_number(frame_attributes({**ROOT, group: malformed}, 0), CENTER) == 1


@pytest.mark.parametrize("index", [-1, 2, 1 << 70])
def test_index_beyond_the_frames_leaves_what_is_shared(index: int) -> None:
    assert finite_number(frame_attributes(enhanced(ROOT, window(2), window(3), window(4)), index), CENTER) == 2


def test_merging_one_frame_of_2000_touches_no_other() -> None:
    class Untouchable(dict[str, Any]):
        def items(self) -> Any:
            raise AssertionError("another frame was read")

    frames: list[Any] = [Untouchable() for _ in range(2_000)]
    frames[1_234] = window(7)
    attributes = enhanced(ROOT, {}, *frames)
    begun = time.perf_counter()
    merged = frame_attributes(attributes, 1_234)
    assert time.perf_counter() - begun < 0.05
    assert finite_number(merged, CENTER) == 7


def test_numbers_may_be_texts_and_what_is_none_is_nan() -> None:
    found = numbers({CENTER: ds("+1.50", 2, None, "abc", True, {}, "1e400", 10**400)}, CENTER)
    assert found[:2] == [1.5, 2.0]
    assert [str(number) for number in found[2:]] == ["nan", "nan", "1.0", "nan", "inf", "nan"]
    assert finite_number({CENTER: ds("Infinity")}, CENTER) is None
    assert finite_number({CENTER: {"vr": "DS"}}, CENTER) is None


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({}, 1.0),
        ({"00280030": ds(0.5, 0.25)}, 2.0),
        ({"00280030": ds(0.5, 0.5001)}, 1.0),
        ({"00280034": {"vr": "IS", "Value": [4, 3]}}, 4 / 3),
        ({"00280034": {"vr": "IS", "Value": ["4", "3"]}}, 4 / 3),
        ({"00280030": ds(1, 1), "00280034": {"vr": "IS", "Value": [4, 3]}}, 1.0),
        ({"00181164": ds(0.2, 0.1)}, 2.0),
        ({"00280030": ds(0, 1)}, 1.0),
        ({"00280030": ds("NaN", 1)}, 1.0),
        ({"00280030": ds(-1, 1)}, 1.0),
        ({"00280030": ds(1e308, 1e-308)}, 1.0),
        ({"00280030": ds(1000, 1)}, 1.0),
        ({"00280030": ds(1)}, 1.0),
    ],
)
def test_aspect_of_pixels_is_height_over_width(values: Attributes, expected: float) -> None:
    assert pixel_aspect(values) == pytest.approx(expected)


def test_pixel_measures_of_a_frame_give_its_aspect() -> None:
    attributes = enhanced({"00280034": ds(1, 1)}, {MEASURES: sq({"00280030": ds(3, 1)})}, {})
    assert pixel_aspect(frame_attributes(attributes, 0)) == 3.0
