"""Channels below one another on a common time axis, each with its name, its range and its unit."""

from __future__ import annotations

import math
from collections.abc import Sequence
from types import MappingProxyType
from typing import Final, NamedTuple

import numpy as np

from dicomweb_core.rendering.colormaps import Color
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
_LEFT: Final = 48.0
_RIGHT: Final = 8.0
_TOP: Final = 8.0
_FOOT: Final = 16.0
_HEIGHT: Final = 150.0
"""Of all rows together, if that gives each of them a height within the next two."""
_LEAST_ROW: Final = 4.0
_LARGEST_ROW: Final = 50.0
_TEXT_SIZE: Final = 3.4
_BUCKETS: Final = 2000

_PAPER: Final[Color] = (255, 255, 255)
_TIME_LINE: Final[Color] = (222, 226, 232)
_ROW_LINE: Final[Color] = (236, 239, 243)
_INK: Final[Color] = (25, 28, 36)
_FAINT: Final[Color] = (95, 100, 112)
_TRACE: Final[Color] = (20, 70, 140)


class _Extent(NamedTuple):
    low: float
    high: float


def stacked_sheet(channels: Sequence[Named], title: str, seconds: float) -> Sheet:
    """The first `seconds` of all channels, or all there is when it is less. Channels of the same unit have the same
    scale: their amplitudes can be compared."""
    begin = min(group.offset for group, _, _ in channels)
    length = max(group.offset + group.duration for group, _, _ in channels) - begin
    shown = max(min(seconds, length), 1e-9)
    pitch = min(_LARGEST_ROW, max(_LEAST_ROW, _HEIGHT / len(channels)))
    rows = pitch * len(channels)
    extents = [_extent(group, channel, shown) for group, channel, _ in channels]
    spans = _spans([channel for _, channel, _ in channels], extents)
    wide = _WIDTH - _LEFT - _RIGHT
    marks: list[Mark] = _time_axis(shown, wide, rows)
    for row, ((group, channel, name), extent) in enumerate(zip(channels, extents, strict=True)):
        top = _TOP + row * pitch
        gain = pitch * 0.9 / spans[channel.unit]
        zero = (extent.low + extent.high) / 2
        lag = begin - group.offset
        marks.append(Line(np.array([[_LEFT, top + pitch], [_LEFT + wide, top + pitch]]), _ROW_LINE, 0.15))
        marks += trace(
            group,
            channel,
            (lag, lag + shown),
            (_LEFT, wide, top + pitch / 2),
            gain=gain,
            zero=zero,
            color=_TRACE,
            width=0.25,
            reach=pitch / 2,
        )
        marks += _row_texts(name, channel, zero, pitch / 2 / gain, top, pitch)
    names = ", ".join(dict.fromkeys(name for _, _, name in channels[:64]))
    caption = _caption(channels, shown, length, pitch, spans)
    marks.append(Text(_LEFT, _TOP + rows + _FOOT - 3, caption, _TEXT_SIZE, _FAINT))
    return Sheet(_WIDTH, _TOP + rows + _FOOT, marks, title, f"{title}. Channels {names}. {caption}.", _PAPER)


def shown_unit(unit: str) -> str:
    """As people write it."""
    return _UNITS.get(unit, unit)


def _extent(group: MultiplexGroup, channel: Channel, seconds: float) -> _Extent:
    last = max(1, min(len(group.samples), round(seconds * group.frequency)))
    _, values = envelope(group, channel, 0, last, _BUCKETS)
    finite = values[np.isfinite(values)]
    if not len(finite):
        return _Extent(0.0, 0.0)
    return _Extent(*(float(bound) for bound in np.quantile(finite, (0.001, 0.999))))


def _spans(channels: Sequence[Channel], extents: Sequence[_Extent]) -> dict[str, float]:
    """Unit -> the quantity that the height of a row stands for, above 0."""
    found: dict[str, float] = {}
    for channel, extent in zip(channels, extents, strict=True):
        found[channel.unit] = max(found.get(channel.unit, 0.0), extent.high - extent.low)
    return {unit: span if span > 0 and math.isfinite(1 / span) else 1.0 for unit, span in found.items()}


def _time_axis(shown: float, wide: float, rows: float) -> list[Mark]:
    step = _round_step(shown / 12)
    marks: list[Mark] = []
    for tick in np.arange(0, shown * 1.0001, step).tolist():
        x, bottom = _LEFT + tick / shown * wide, _TOP + rows
        marks.append(Line(np.array([[x, _TOP], [x, bottom]]), _TIME_LINE, 0.15))
        marks.append(Text(x, bottom + 4.5, _time(tick, step), _TEXT_SIZE, _FAINT, "middle"))
    return marks


def _round_step(least: float) -> float:
    """1, 2 or 5 times a power of ten seconds; above a minute what clocks have."""
    for step in (60.0, 120.0, 300.0, 600.0, 1800.0, 3600.0, 7200.0, 14400.0):
        if step / 2 < least <= step:
            return step
    power = 10.0 ** math.floor(math.log10(least))
    return next(factor * power for factor in (1, 2, 5, 10) if factor * power >= least * 0.999)


def _time(seconds: float, step: float) -> str:
    if step < 60:
        return f"{seconds:.6g} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if step < 3600 else f"{minutes // 60} h"


def _row_texts(name: str, channel: Channel, zero: float, half: float, top: float, pitch: float) -> list[Mark]:
    size = min(_TEXT_SIZE, pitch * 0.7)
    marks: list[Mark] = [Text(2.0, top + pitch / 2 + size * 0.35, _short(name), size, _INK)]
    if pitch >= 4 * _TEXT_SIZE:
        unit = shown_unit(channel.unit)
        bounds = ((zero + half, top + size), (zero - half, top + pitch - 0.8))
        marks += [
            Text(_LEFT - 1.5, y, f"{value:.3g} {unit}".strip(), size * 0.85, _FAINT, "end") for value, y in bounds
        ]
    return marks


def _short(name: str) -> str:
    return name if len(name) <= 20 else name[:19] + "…"


def _caption(channels: Sequence[Named], shown: float, length: float, pitch: float, spans: dict[str, float]) -> str:
    scales = [f"{span / (pitch * 0.9):.3g} {shown_unit(unit)}/mm" for unit, span in spans.items() if shown_unit(unit)]
    frequencies = sorted({group.frequency for group, _, _ in channels})
    parts = [
        f"0 to {shown:.6g} s" + (f" of {length:.6g} s" if length > shown * 1.001 else ""),
        "sampled at " + " and ".join(f"{frequency:g}" for frequency in frequencies[:4]) + " Hz",
        *scales[:4],
    ]
    return "; ".join(parts)
