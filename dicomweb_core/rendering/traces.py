"""A channel as a line on a sheet, with no more points than there are places to see them."""

from __future__ import annotations

import math
from typing import Final

import numpy as np
from numpy.typing import NDArray

from dicomweb_core.rendering.colormaps import Color
from dicomweb_core.rendering.sheets import Line
from dicomweb_core.rendering.waveform_samples import Channel, MultiplexGroup

_FINEST: Final = 0.1
"""Millimetres on the sheet that one lowest and one highest value stand for."""
_SLICE: Final = 1 << 18
"""Samples that are floating point numbers at the same time."""


def envelope(
    group: MultiplexGroup, channel: Channel, first: int, last: int, buckets: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Sample indexes and quantities of samples `first` to `last` (not included): all, or if they are more than twice
    the buckets, the lowest and the highest of each bucket, in their order. Nothing that stands out is lost. NaN is a
    gap."""
    count = last - first
    if count <= 2 * buckets:
        return np.arange(first, last, dtype=np.float64), group.quantities(channel, first, last)
    indexes: list[NDArray[np.float64]] = []
    values: list[NDArray[np.float64]] = []
    edges = np.linspace(first, last, buckets + 1).astype(np.int64)
    step = max(1, _SLICE * buckets // count)
    for begin in range(0, buckets, step):
        places = edges[begin : begin + step + 1]
        found = group.quantities(channel, int(places[0]), int(places[-1]))
        starts = places[:-1] - places[0]
        lows, highs = np.fmin.reduceat(found, starts), np.fmax.reduceat(found, starts)
        rising = _rising(found, starts, lows, highs)
        pairs = np.where(rising[:, None], np.stack([lows, highs], 1), np.stack([highs, lows], 1))
        widths = np.diff(places)
        middle = (places[:-1] + widths * 0.25)[:, None] + widths[:, None] * np.array([0.0, 0.5])
        indexes.append(middle.reshape(-1))
        values.append(pairs.reshape(-1))
    return np.concatenate(indexes), np.concatenate(values)


def trace(
    group: MultiplexGroup,
    channel: Channel,
    span: tuple[float, float],
    box: tuple[float, float, float],
    *,
    gain: float,
    zero: float,
    color: Color,
    width: float,
    reach: float,
) -> list[Line]:
    """The lines of a channel between two times (seconds from the begin of the group).

    `box` is left edge, width and middle line on the sheet; `gain` is millimetres for one unit, `zero` the quantity on
    the middle line. Nothing is farther than `reach` from it. One line for each stretch without a gap.
    """
    left, wide, middle = box
    first, last = (round(time * group.frequency) for time in span)
    first, last = max(first, 0), min(last, len(group.samples))
    if first >= last:
        return []
    indexes, values = envelope(group, channel, first, last, max(1, int(wide / _FINEST)))
    seconds = indexes / group.frequency + channel.delay - span[0]
    across = np.clip(left + seconds / (span[1] - span[0]) * wide, left, left + wide)
    with np.errstate(all="ignore"):
        down = middle - np.clip((values - zero) * gain, -reach, reach)
    points = np.stack([across, down], axis=1)
    gaps = np.flatnonzero(np.isnan(down))
    pieces = np.split(points, gaps)
    lines = [piece[1:] if len(piece) and math.isnan(piece[0, 1]) else piece for piece in pieces]
    return [Line(piece, color, width) for piece in lines if len(piece) > 1]


def _rising(
    found: NDArray[np.float64], starts: NDArray[np.int64], lows: NDArray[np.float64], highs: NDArray[np.float64]
) -> NDArray[np.bool_]:
    """Whether the lowest value of each bucket comes before its highest, judged by its ends."""
    ends = np.append(starts[1:], len(found)) - 1
    with np.errstate(invalid="ignore"):
        return np.asarray(np.abs(found[starts] - lows) + np.abs(found[ends] - highs)) <= np.asarray(
            np.abs(found[starts] - highs) + np.abs(found[ends] - lows)
        )
