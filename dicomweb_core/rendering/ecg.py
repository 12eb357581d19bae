"""Electrocardiograms on their paper: squares of 1 and 5 mm, 25 mm for a second, 10 mm for a millivolt."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Final, NamedTuple

import numpy as np

from dicomweb_core.rendering.colormaps import Color
from dicomweb_core.rendering.sheets import Area, Grid, Line, Mark, Sheet, Text
from dicomweb_core.rendering.traces import envelope, trace
from dicomweb_core.rendering.waveform_samples import Channel, Filters, MultiplexGroup

MILLIVOLTS: Final = MappingProxyType(
    {"V": 1e3, "mV": 1.0, "uV": 1e-3, "µV": 1e-3, "nV": 1e-6, "MV": 1.0, "UV": 1e-3, "mv": 1.0}
)
"""Unit as it is written -> millivolts."""

ROWS: Final = (("I", "aVR", "V1", "V4"), ("II", "aVL", "V2", "V5"), ("III", "aVF", "V3", "V6"))
"""The usual arrangement of twelve leads, 2.5 s each, below one another at the same times."""
RHYTHM: Final = "II"
"""Lead that is shown in full below."""
PAGE_SECONDS: Final = 10.0

_LEAD: Final = re.compile(r"\b(aV[RLF]|V[1-9]R?|I{1,3})\b", re.IGNORECASE)
_CODES: Final = MappingProxyType(
    {
        1: "I",
        2: "II",
        3: "V1",
        4: "V2",
        5: "V3",
        6: "V4",
        7: "V5",
        8: "V6",
        61: "III",
        62: "aVR",
        63: "aVL",
        64: "aVF",
    }
)
"""Last number of the codes of MDC (2:1) and SCP-ECG (5.6.3-9-1) -> lead (PS3.16 CID 3001)."""
_CODE: Final = re.compile(r"(?:2:|5\.6\.3-9-)(\d{1,3})")

SPEED: Final = 25.0
"""Millimetres for a second."""
_GAINS: Final = (10.0, 5.0, 2.5, 1.25, 0.625)
"""Millimetres for a millivolt: the first at which the traces fit."""
_LEFT: Final = 10.0
_RIGHT: Final = 10.0
_TOP: Final = 10.0
_FOOT: Final = 10.0
_PITCH: Final = 30.0
_OFFSET: Final = 0.5
"""Millivolts of median beyond which a trace is moved to its row: an electrode's offset, no signal."""
_FITTING: Final = 0.8
"""Of the distance between rows that a trace may go up or down: rows may overlap a little."""

_PAPER: Final[Color] = (255, 252, 250)
_FINE_LINE: Final[Color] = (250, 222, 217)
_LINE: Final[Color] = (240, 178, 170)
_INK: Final[Color] = (20, 20, 30)
_FAINT: Final[Color] = (110, 110, 125)
_TRACE_WIDTH: Final = 0.25
_TEXT_SIZE: Final = 3.6


class Strip(NamedTuple):
    """A channel on a stretch of paper."""

    group: MultiplexGroup
    channel: Channel
    name: str
    row: int
    start: float
    """Seconds from the begin of the page."""
    seconds: float


def lead_of(channel: Channel) -> str | None:
    """The name of an ECG lead (`I`, `aVR`, `V1`), by its code, else by meaning or label; None for other channels."""
    code = _CODE.fullmatch(channel.source_code)
    if code is not None and int(code[1]) in _CODES:
        return _CODES[int(code[1])]
    for text in (channel.source, channel.label):
        found = _LEAD.search(text)
        if found is not None:
            name = found[1].upper()
            return "a" + name[1:] if name.startswith("AV") else name
    return None


def twelve_leads(group: MultiplexGroup) -> Mapping[str, Channel] | None:
    """The twelve leads by name, or None when one is missing or has no voltage."""
    found: dict[str, Channel] = {}
    for channel in group.channels:
        name = lead_of(channel)
        if name is not None and channel.unit in MILLIVOLTS:
            found.setdefault(name, channel)
    return found if all(name in found for row in ROWS for name in row) else None


def twelve_lead_sheet(group: MultiplexGroup, leads: Mapping[str, Channel], title: str) -> Sheet:
    """Three rows of four leads and a rhythm strip: the first 10 s."""
    column = PAGE_SECONDS / len(ROWS[0])
    strips = [
        Strip(group, leads[name], name, row, place * column, column)
        for row, names in enumerate(ROWS)
        for place, name in enumerate(names)
    ]
    strips.append(Strip(group, leads[RHYTHM], RHYTHM, len(ROWS), 0.0, PAGE_SECONDS))
    return _paper(strips, title, _PITCH)


def stacked_sheet(channels: Sequence[tuple[MultiplexGroup, Channel, str]], title: str) -> Sheet:
    """A row for each channel: its first 10 s. All must have voltages."""
    pitch = min(_PITCH, max(5.0, 200.0 / len(channels) // 5 * 5))
    strips = [
        Strip(group, channel, name, row, 0.0, PAGE_SECONDS) for row, (group, channel, name) in enumerate(channels)
    ]
    return _paper(strips, title, pitch)


def _paper(strips: Sequence[Strip], title: str, pitch: float) -> Sheet:
    rows = max(strip.row for strip in strips) + 1
    width = _LEFT + PAGE_SECONDS * SPEED + _RIGHT
    height = _TOP + math.ceil(rows * pitch / 5) * 5 + _FOOT
    begin = min(strip.group.offset for strip in strips)
    zeros = [_zero(strip) for strip in strips]
    reach = pitch * _FITTING
    highest = max(_peak(strip, zero) for strip, zero in zip(strips, zeros, strict=True))
    gain = next((gain for gain in _GAINS if highest * gain <= reach), _GAINS[-1])
    marks: list[Mark] = [
        Grid(0, 0, width, height, 1.0, _FINE_LINE, 0.08),
        Grid(0, 0, width, height, 5.0, _LINE, 0.15),
    ]
    for row in range(rows):
        marks.append(_calibration(_middle(row, pitch), gain))
    size = min(_TEXT_SIZE, pitch * 0.5)
    for strip, zero in zip(strips, zeros, strict=True):
        left, middle = _LEFT + strip.start * SPEED, _middle(strip.row, pitch)
        to_page = begin - strip.group.offset
        marks += trace(
            strip.group,
            strip.channel,
            (strip.start + to_page, strip.start + to_page + strip.seconds),
            (left, strip.seconds * SPEED, middle),
            gain=gain * MILLIVOLTS[strip.channel.unit],
            zero=zero / MILLIVOLTS[strip.channel.unit],
            color=_INK,
            width=_TRACE_WIDTH,
            reach=pitch * 1.2,
        )
        if strip.start:
            marks += [Line(np.array([[left, middle + y], [left, middle + y * 1.5]]), _FAINT, 0.3) for y in (-6, 6)]
        marks.append(Text(left + 1.5 if strip.start else 2.0, middle - min(pitch * 0.4, 11.5), strip.name, size, _INK))
    caption = _caption(strips, gain)
    marks.append(Area(0, height - 7, width, 7, _PAPER))
    marks.append(Text(_LEFT, height - 2.4, caption, _TEXT_SIZE, _INK))
    names = ", ".join(dict.fromkeys(strip.name for strip in strips))
    return Sheet(width, height, marks, title, f"{title}. Leads {names}. {caption}.", _PAPER)


def _middle(row: int, pitch: float) -> float:
    return _TOP + round((row + 0.5) * pitch)


def _calibration(middle: float, gain: float) -> Line:
    """A pulse of 1 mV and 0.2 s before each row."""
    points = [[1.5, 0], [3.0, 0], [3.0, -gain], [8.0, -gain], [8.0, 0], [9.5, 0]]
    return Line(np.array([[x, middle + y] for x, y in points]), _INK, _TRACE_WIDTH)


def _shown(strip: Strip) -> tuple[int, int]:
    return 0, min(len(strip.group.samples), max(1, round(PAGE_SECONDS * strip.group.frequency)))


def _values(strip: Strip) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    """Millivolts of the page, without gaps."""
    _, values = envelope(strip.group, strip.channel, *_shown(strip), 2500)
    found = values[np.isfinite(values)] * MILLIVOLTS[strip.channel.unit]
    return found if len(found) else np.zeros(1)


def _zero(strip: Strip) -> float:
    median = float(np.median(_values(strip)))
    return median if abs(median) > _OFFSET else 0.0


def _peak(strip: Strip, zero: float) -> float:
    """Millivolts that all but a thousandth of the trace stay within."""
    return float(np.quantile(np.abs(_values(strip) - zero), 0.999))


def _caption(strips: Sequence[Strip], gain: float) -> str:
    group = max((strip.group for strip in strips), key=lambda group: group.duration)
    parts = [f"{SPEED:g} mm/s", f"{gain:g} mm/mV"]
    filters = {strip.channel.filters for strip in strips}
    if len(filters) == 1:
        parts += _filters(next(iter(filters)))
    parts.append(f"sampled at {group.frequency:g} Hz")
    shown = min(PAGE_SECONDS, group.duration)
    parts.append(f"0 to {shown:g} s" + (f" of {group.duration:g} s" if group.duration > shown * 1.001 else ""))
    return "; ".join(parts)


def _filters(filters: Filters) -> list[str]:
    found = []
    if filters.low is not None and filters.high is not None and 0 < filters.low < filters.high:
        found.append(f"filter {filters.low:g} to {filters.high:g} Hz")
    if filters.notch is not None and filters.notch > 0:
        found.append(f"notch {filters.notch:g} Hz")
    return found
