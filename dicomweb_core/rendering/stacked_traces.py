"""Channels below one another on a common time axis, each with its name, its range and its unit."""

from __future__ import annotations

import math
from collections.abc import Sequence
from types import MappingProxyType
from typing import Final, NamedTuple

import numpy as np

from dicomweb_core.rendering.colormaps import Color
from dicomweb_core.rendering.ecg import MILLIVOLTS
from dicomweb_core.rendering.sheets import Line, Mark, Sheet, Text
from dicomweb_core.rendering.traces import envelope, trace
from dicomweb_core.rendering.waveform_samples import Channel, MultiplexGroup

Named = tuple[MultiplexGroup, Channel, str]
"""A channel with the name that is shown."""

_UNITS: Final = MappingProxyType(
    {
        "uV": "µV",
        "mm[Hg]": "mmHg",
        "cm[H2O]": "cmH2O",
        "Cel": "°C",
        "[degF]": "°F",
        "deg": "°",
        "{count}": "",
        "1": "",
        "{no units}": "",
    }
)
"""UCUM code -> how people write it; others as they are."""

_WIDTH: Final = 270.0
_LEFT: Final = 40.0
_RIGHT: Final = 8.0
_TOP: Final = 8.0
_FOOT: Final = 16.0
_HEIGHT: Final = 150.0
"""Of all rows together, if that gives each of them a height within the next two."""
_LEAST_ROW: Final = 4.0
_LARGEST_ROW: Final = 50.0
_TEXT_SIZE: Final = 3.4
_BUCKETS: Final = 2000
_USED: Final = 0.88
"""Of the height of a row."""

_PAPER: Final[Color] = (255, 255, 255)
_TIME_LINE: Final[Color] = (222, 226, 232)
_ROW_LINE: Final[Color] = (236, 239, 243)
_INK: Final[Color] = (25, 28, 36)
_FAINT: Final[Color] = (95, 100, 112)
_TRACE: Final[Color] = (20, 70, 140)


class Axis(NamedTuple):
    """What a row shows, in the unit of its channel."""

    low: float
    """At its lower end."""
    span: float
    """Above 0."""
    step: float
    """Between marks; 0.0: it has none, only its scale is written below."""


def stacked_sheet(channels: Sequence[Named], title: str, seconds: float) -> Sheet:
    """The first `seconds` of all channels, or all there is when it is less.

    Voltages have the same scale in all rows, so that amplitudes can be compared; other quantities have an axis each.
    """
    begin = min(group.offset for group, _, _ in channels)
    length = max(group.offset + group.duration for group, _, _ in channels) - begin
    shown = max(min(seconds, length), 1e-9)
    pitch = min(_LARGEST_ROW, max(_LEAST_ROW, _HEIGHT / len(channels)))
    rows = pitch * len(channels)
    axes = _axes(channels, begin + shown)
    wide = _WIDTH - _LEFT - _RIGHT
    marks: list[Mark] = _time_axis(shown, wide, rows)
    for row, ((group, channel, name), axis) in enumerate(zip(channels, axes, strict=True)):
        top = _TOP + row * pitch
        lag = begin - group.offset
        marks.append(Line(np.array([[_LEFT, top + pitch], [_LEFT + wide, top + pitch]]), _TIME_LINE, 0.15))
        marks += _axis_marks(axis, channel, top, pitch, wide)
        marks += trace(
            group,
            channel,
            (lag, lag + shown),
            (_LEFT, wide, top + pitch / 2),
            gain=pitch * _USED / axis.span,
            zero=axis.low + axis.span / 2,
            color=_TRACE,
            width=0.25,
            reach=pitch / 2,
        )
        size = min(_TEXT_SIZE, pitch * 0.7)
        marks.append(Text(2.0, top + pitch / 2 + size * 0.35, _short(name), size, _INK))
    names = ", ".join(dict.fromkeys(name for _, _, name in channels[:64]))
    caption = _caption(channels, axes, shown, length, pitch)
    marks.append(Text(_LEFT, _TOP + rows + _FOOT - 3, caption, _TEXT_SIZE, _FAINT))
    return Sheet(_WIDTH, _TOP + rows + _FOOT, marks, title, f"{title}. Channels {names}. {caption}.", _PAPER)


def shown_unit(unit: str) -> str:
    """As people write it."""
    return _UNITS.get(unit, unit)


def _axes(channels: Sequence[Named], end: float) -> list[Axis]:
    extents = [_extent(group, channel, end - group.offset) for group, channel, _ in channels]
    voltages = [
        (high - low) * MILLIVOLTS[channel.unit]
        for (_, channel, _), (low, high) in zip(channels, extents, strict=True)
        if channel.unit in MILLIVOLTS
    ]
    return [
        _voltage_axis(low, high, max(voltages) / MILLIVOLTS[channel.unit])
        if channel.unit in MILLIVOLTS
        else _round_axis(low, high)
        for (_, channel, _), (low, high) in zip(channels, extents, strict=True)
    ]


def _extent(group: MultiplexGroup, channel: Channel, seconds: float) -> tuple[float, float]:
    """Between them is all but a thousandth at either end."""
    last = max(1, min(len(group.samples), round(seconds * group.frequency)))
    _, values = envelope(group, channel, 0, last, _BUCKETS)
    finite = values[np.isfinite(values)]
    if not len(finite):
        return 0.0, 0.0
    low, high = np.quantile(finite, (0.001, 0.999))
    return float(low), float(high)


def _voltage_axis(low: float, high: float, span: float) -> Axis:
    span = max(span, (abs(low) + abs(high)) * 1e-9) or 1.0
    return Axis((low + high - span) / 2, span, 0.0)


def _round_axis(low: float, high: float) -> Axis:
    """From a round number to another; from 0 on when that is not far away."""
    if 0 < low < 0.5 * high:
        low = 0.0
    if high - low <= (abs(low) + abs(high)) * 1e-9:
        low, high = low - (abs(low) or 1.0) / 2, high + (abs(high) or 1.0) / 2
    step = _round_number((high - low) / 3)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return Axis(first * step, (last - first) * step, step)


def _axis_marks(axis: Axis, channel: Channel, top: float, pitch: float, wide: float) -> list[Mark]:
    if not axis.step or pitch < 2.5 * _TEXT_SIZE:
        return []
    marks: list[Mark] = []
    unit = shown_unit(channel.unit)
    steps = round(axis.span / axis.step)
    every = steps if pitch < 6 * _TEXT_SIZE else 1
    for place in range(0, steps + 1, max(every, 1)):
        value = axis.low + place * axis.step
        y = top + pitch * (0.5 + _USED * (0.5 - place / steps))
        marks.append(Line(np.array([[_LEFT, y], [_LEFT + wide, y]]), _ROW_LINE, 0.12))
        text = f"{value:.6g} {unit}".strip() if place == steps else f"{value:.6g}"
        marks.append(Text(_LEFT - 1.5, y + 1.0, text, _TEXT_SIZE * 0.85, _FAINT, "end"))
    return marks


def _time_axis(shown: float, wide: float, rows: float) -> list[Mark]:
    step = _round_step(shown / 12)
    marks: list[Mark] = []
    for tick in np.arange(0, shown * 1.0001, step).tolist():
        x, bottom = _LEFT + tick / shown * wide, _TOP + rows
        marks.append(Line(np.array([[x, _TOP], [x, bottom]]), _TIME_LINE, 0.15))
        marks.append(Text(x, bottom + 4.5, _time(tick, step), _TEXT_SIZE, _FAINT, "middle"))
    return marks


def _round_step(least: float) -> float:
    """Seconds: a round number; above a minute what clocks have."""
    for step in (60.0, 120.0, 300.0, 600.0, 1800.0, 3600.0, 7200.0, 14400.0):
        if step / 2 < least <= step:
            return step
    return _round_number(least)


def _round_number(least: float) -> float:
    """The smallest 1, 2 or 5 times a power of ten that is not less (but for rounding)."""
    power = 10.0 ** math.floor(math.log10(least))
    return next(factor * power for factor in (1, 2, 5, 10) if factor * power >= least * 0.999)


def _time(seconds: float, step: float) -> str:
    if step < 60:
        return f"{seconds:.6g} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if step < 3600 else f"{minutes // 60} h"


def _short(name: str) -> str:
    return name if len(name) <= 20 else name[:19] + "…"


def _caption(channels: Sequence[Named], axes: Sequence[Axis], shown: float, length: float, pitch: float) -> str:
    scales = {
        f"{axis.span / (pitch * _USED):.3g} {shown_unit(channel.unit)}/mm"
        for (_, channel, _), axis in zip(channels, axes, strict=True)
        if not axis.step
    }
    frequencies = sorted({group.frequency for group, _, _ in channels})
    parts = [
        f"0 to {shown:.6g} s" + (f" of {length:.6g} s" if length > shown * 1.001 else ""),
        "sampled at " + " and ".join(f"{frequency:g}" for frequency in frequencies[:4]) + " Hz",
        *sorted(scales)[:4],
    ]
    return "; ".join(parts)
