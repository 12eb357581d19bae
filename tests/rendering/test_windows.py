"""The VOI LUT functions beside their formulas (PS3.3 C.11.2.1.2, C.11.2.1.3), and the default window."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dicomweb_core.rendering.windows import apply_window, file_window, range_window, spread_window
from dicomweb_core.values.renderings import VOIFunction, Window

LINEAR, EXACT, SIGMOID = VOIFunction.LINEAR, VOIFunction.LINEAR_EXACT, VOIFunction.SIGMOID


def by_the_standard(x: float, window: Window) -> float:
    """From 0 to 1, case by case as PS3.3 writes it."""
    c, w, function = window
    if function is SIGMOID:
        exponent = -4 * (x - c) / w
        return 0.0 if exponent > 700 else 1 / (1 + math.exp(exponent))
    if function is EXACT:
        if x <= c - w / 2:
            return 0.0
        return 1.0 if x > c + w / 2 else (x - c) / w + 0.5
    if x <= c - 0.5 - (w - 1) / 2:
        return 0.0
    return 1.0 if x > c - 0.5 + (w - 1) / 2 else (x - (c - 0.5)) / (w - 1) + 0.5


numbers = st.floats(-1e6, 1e6)
windows = st.one_of(
    st.builds(Window, numbers, st.floats(1, 1e6), st.just(LINEAR)),
    st.builds(Window, numbers, st.floats(1e-3, 1e6), st.sampled_from([EXACT, SIGMOID])),
)


@given(values=st.lists(numbers, min_size=1, max_size=20), window=windows)
def test_functions_are_those_of_the_standard_REN_22(values: list[float], window: Window) -> None:
    array = np.array(values)
    apply_window(array, window)
    # 1e-6 of a width is far below a 16-bit gray level; where the slope is infinite both sides are right.
    for value, shown in zip(values, array.tolist(), strict=True):
        near = [by_the_standard(value + off, window) for off in (-1e-7, 0.0, 1e-7)]
        assert min(near) - 1e-6 <= shown <= max(near) + 1e-6


@pytest.mark.parametrize(
    ("window", "value", "expected"),
    [
        (Window(40, 400, LINEAR), -160, 0.0),
        (Window(40, 400, LINEAR), 239, 1.0),
        (Window(40, 400, LINEAR), 39.5, 0.5),
        (Window(40, 400, EXACT), -160, 0.0),
        (Window(40, 400, EXACT), 240, 1.0),
        (Window(40, 400, EXACT), 40, 0.5),
        (Window(40, 400, SIGMOID), 40, 0.5),
        (Window(40, 400, SIGMOID), 140, 1 / (1 + math.exp(-1))),
        (Window(128, 1, LINEAR), 127.5, 0.0),
        (Window(128, 1, LINEAR), 127.6, 1.0),
        (Window(0, 1e-30, SIGMOID), -1e30, 0.0),
        (Window(0, 1e-30, SIGMOID), 1e30, 1.0),
        (Window(0, 10, LINEAR), math.inf, 1.0),
        (Window(0, 10, SIGMOID), -math.inf, 0.0),
    ],
)
def test_corners_of_the_functions(window: Window, value: float, expected: float) -> None:
    array = np.array([value], np.float64)
    with np.errstate(over="ignore"):
        apply_window(array, window)
    assert array[0] == pytest.approx(expected, abs=1e-12)


def file_values(center: Any, width: Any, function: str | None = None) -> dict[str, Any]:
    values: dict[str, Any] = {"00281050": {"vr": "DS", "Value": center}, "00281051": {"vr": "DS", "Value": width}}
    if function is not None:
        values["00281056"] = {"vr": "CS", "Value": [function]}
    return values


@pytest.mark.parametrize(
    ("center", "width", "function", "expected"),
    [
        ([40], [400], None, Window(40, 400, LINEAR)),
        (["40.0"], ["+400"], None, Window(40, 400, LINEAR)),
        ([40, 600], [400, 2000], "SIGMOID", Window(40, 400, SIGMOID)),
        ([40], [400], "LINEAR_EXACT", Window(40, 400, EXACT)),
        ([40], [400], "CUBIC", Window(40, 400, LINEAR)),
        ([0.5], [0.25], None, Window(0.5, 0.25, EXACT)),
        ([40, 600], [0, 2000], None, Window(600, 2000, LINEAR)),
        ([40, 600], [400], None, Window(40, 400, LINEAR)),
    ],
)
def test_window_of_a_file(center: Any, width: Any, function: str | None, expected: Window) -> None:
    assert file_window(file_values(center, width, function)) == expected


@pytest.mark.parametrize("width", [[0], [-5], ["NaN"], [1e308], ["1e400"], ["Infinity"], [None], [], ["wide"], [1e-40]])
def test_garbage_width_is_no_window_A26(width: Any) -> None:
    assert file_window(file_values([40], width)) is None


@pytest.mark.parametrize("center", [["NaN"], [1e308], ["-Infinity"], [None], [], ["middle"], [{}]])
def test_garbage_center_is_no_window_A26(center: Any) -> None:
    assert file_window(file_values(center, [400])) is None


@pytest.mark.parametrize("function", [EXACT, SIGMOID])
def test_a_width_next_to_nothing_is_a_threshold_A26(function: VOIFunction) -> None:
    values = np.array([-1e300, 4.0, 5.0, 6.0, 1e300])
    with np.errstate(over="ignore"):
        apply_window(values, Window(5, 5e-324, function))
    assert values.tolist() == pytest.approx([0, 0, 0.5, 1, 1], abs=1e-9)


def ends(window: Window | None) -> tuple[float, float]:
    assert window is not None
    assert window.function is EXACT
    return window.center - window.width / 2, window.center + window.width / 2


@given(st.lists(st.integers(-32_768, 32_767), min_size=2, max_size=900, unique=True))
def test_default_window_of_fewer_than_1000_pixels_is_their_full_range(values: list[int]) -> None:
    assert ends(spread_window(np.array(values, np.float64))) == pytest.approx((min(values), max(values)))


def test_stray_pixels_do_not_darken_the_rest() -> None:
    tissue, strays = np.arange(10_000.0), np.full(10, 60_000.0)
    assert ends(spread_window(np.concatenate([tissue, strays]))) == pytest.approx((10, 9_999), abs=2)


def test_bright_pixels_that_are_not_far_off_stay_in_the_window() -> None:
    tissue, bright = np.arange(10_000.0), np.full(10, 19_000.0)
    assert ends(spread_window(np.concatenate([tissue, bright]))) == (0, 19_000)


def test_bright_structure_of_more_than_a_few_pixels_stays_in_the_window() -> None:
    tissue, contrast = np.arange(10_000.0), np.full(30, 60_000.0)
    assert ends(spread_window(np.concatenate([tissue, contrast]))) == (0, 60_000)


def test_single_bright_spots_on_nothing_are_seen() -> None:
    values = np.zeros(100_000)
    values[5] = 900
    assert ends(spread_window(values)) == (0, 900)


def test_counts_stand_for_that_many_pixels() -> None:
    values, counts = np.array([60_000.0, 0, 500, 1_000]), np.array([1, 9_000, 9_000, 9_000])
    each = np.repeat(values, counts)
    assert spread_window(values, counts) == spread_window(each)
    assert ends(spread_window(values, counts)) == (0, 1_000)


@pytest.mark.parametrize("values", [[], [7.0], [7.0, 7.0], [5e-324, 0.0]])
def test_nothing_between_lowest_and_highest_is_no_window(values: list[float]) -> None:
    assert spread_window(np.array(values, np.float64)) is None


def test_range_of_all_there_is_in_double_precision_is_finite() -> None:
    window = range_window(-1.7e308, 1.7e308)
    assert window is not None
    values = np.array([-1.7e308, 0.0, 1.7e308])
    with np.errstate(over="ignore"):
        apply_window(values, window)
    assert values.tolist() == [0.0, 0.5, 1.0]
