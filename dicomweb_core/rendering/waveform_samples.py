"""Waveform Data as quantities (PS3.3 C.10.9, C.10.10)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from dicomweb_core.errors import CannotRender
from dicomweb_core.rendering.frame_attributes import finite_number, sequence_items
from dicomweb_core.rendering.lookup_tables import Bulk, value_bytes
from dicomweb_core.values.attributes import Attribute, Attributes, first_text, first_value
from dicomweb_core.values.limits import Limits

_GROUPS: Final = "54000100"
_ORIGINALITY: Final = "003A0004"
_TIME_OFFSET: Final = "00181068"
_CHANNEL_COUNT: Final = "003A0005"
_SAMPLE_COUNT: Final = "003A0010"
_FREQUENCY: Final = "003A001A"
_GROUP_LABEL: Final = "003A0020"
_CHANNELS: Final = "003A0200"
_CHANNEL_LABEL: Final = "003A0203"
_CHANNEL_SOURCE: Final = "003A0208"
_SENSITIVITY: Final = "003A0210"
_SENSITIVITY_UNITS: Final = "003A0211"
_CORRECTION: Final = "003A0212"
_BASELINE: Final = "003A0213"
_TIME_SKEW: Final = "003A0214"
_SAMPLE_SKEW: Final = "003A0215"
_LOW_FILTER: Final = "003A0220"
_HIGH_FILTER: Final = "003A0221"
_NOTCH_FILTER: Final = "003A0222"
_BITS_ALLOCATED: Final = "54001004"
_INTERPRETATION: Final = "54001006"
_PADDING: Final = "5400100A"
_DATA: Final = "54001010"
_CODE_VALUE: Final = "00080100"
_CODE_MEANING: Final = "00080104"

SAMPLE_TYPES: Final = MappingProxyType(
    {
        "SB": (8, "i1"),
        "UB": (8, "u1"),
        "MB": (8, "u1"),
        "AB": (8, "u1"),
        "SS": (16, "<i2"),
        "US": (16, "<u2"),
        "SL": (32, "<i4"),
        "UL": (32, "<u4"),
        "SV": (64, "<i8"),
        "UV": (64, "<u8"),
    }
)
"""Waveform Sample Interpretation (5400,1006) -> Waveform Bits Allocated, type of the samples as they lie."""

_LARGEST: Final = 1e15
"""Of a sensitivity or a baseline; beyond it and below its inverse they are garbage."""


class Filters(NamedTuple):
    """Hertz; None where the object does not say."""

    low: float | None
    high: float | None
    notch: float | None


@dataclass(frozen=True, slots=True)
class Channel:
    """One channel of a multiplex group: what its samples mean."""

    index: int
    """0-based, of the samples."""
    label: str
    """Channel Label, or empty."""
    source: str
    """Code Meaning of Channel Source Sequence, or empty."""
    source_code: str
    unit: str
    """UCUM code of Channel Sensitivity Units Sequence; empty: the values are as they are stored."""
    factor: float
    baseline: float
    delay: float
    """Seconds from the time of the sample to when this channel was really sampled."""
    filters: Filters


@dataclass(frozen=True, slots=True)
class MultiplexGroup:
    """Channels sampled together."""

    label: str
    original: bool
    """Waveform Originality is not DERIVED."""
    offset: float
    """Seconds from the begin of the acquisition."""
    frequency: float
    """Samples of each channel in a second."""
    channels: tuple[Channel, ...]
    samples: NDArray[Any]
    """As they lie: shape (samples, channels), read-only."""
    interpretation: str
    padding: int | None

    @property
    def duration(self) -> float:
        """Seconds."""
        return len(self.samples) / self.frequency

    def stored(self, channel: Channel, first: int, last: int) -> NDArray[np.float64]:
        """Stored values of samples `first` to `last` (not included); NaN where they are padding."""
        cells = self.samples[first:last, channel.index]
        values: NDArray[np.float64]
        if self.interpretation == "MB":
            values = _MU_LAW[cells]
        elif self.interpretation == "AB":
            values = _A_LAW[cells]
        else:
            values = cells.astype(np.float64)
        if self.padding is not None:
            values[cells == self.padding] = math.nan
        return values

    def quantities(self, channel: Channel, first: int, last: int) -> NDArray[np.float64]:
        """The same in the unit of the channel (PS3.3 C.10.9.1.4.3)."""
        values = self.stored(channel, first, last)
        values *= channel.factor
        values += channel.baseline
        return values


def multiplex_groups(attributes: Attributes, bulk: Bulk, limits: Limits) -> tuple[MultiplexGroup, ...]:
    """The groups of Waveform Sequence whose samples can be read. Raises CannotRender when there are none, saying what
    is wrong with the first. What `bulk` raises passes through."""
    values = attributes.get(_GROUPS, {}).get("Value")
    items = list(enumerate(values)) if isinstance(values, list) else []
    found: list[MultiplexGroup] = []
    refusals: list[CannotRender] = []
    for index, item in items:
        if isinstance(item, dict):
            try:
                found.append(_group(item, f"{_GROUPS}/{index}", bulk, limits))
            except CannotRender as refusal:
                refusals.append(refusal)
    if not found:
        raise refusals[0] if refusals else CannotRender("The object has no Waveform Sequence.")
    return tuple(found)


def _group(item: Attributes, path: str, bulk: Bulk, limits: Limits) -> MultiplexGroup:
    interpretation = first_text(item, _INTERPRETATION).strip(" \0").upper()
    bits = finite_number(item, _BITS_ALLOCATED)
    if interpretation not in SAMPLE_TYPES or bits != SAMPLE_TYPES[interpretation][0]:
        raise CannotRender("Waveform Sample Interpretation and Waveform Bits Allocated are not a pair that PS3.3 has.")
    dtype = np.dtype(SAMPLE_TYPES[interpretation][1])
    channels = finite_number(item, _CHANNEL_COUNT)
    frequency = finite_number(item, _FREQUENCY)
    if channels is None or channels < 1 or not channels.is_integer():
        raise CannotRender("Number of Waveform Channels is missing or not a positive number.")
    if channels > limits.waveform_channels:
        raise CannotRender(f"The waveform has more than {limits.waveform_channels} channels (limit waveform_channels).")
    if frequency is None or not 1e-6 <= frequency <= 1e9:
        raise CannotRender("Sampling Frequency is missing or not a positive number.")
    count = finite_number(item, _SAMPLE_COUNT) or 0.0
    if count * channels * dtype.itemsize > limits.waveform_bytes:
        raise CannotRender(f"Waveform Data have more than {limits.waveform_bytes} bytes (limit waveform_bytes).")
    data = _data(item.get(_DATA, {}), f"{path}/{_DATA}", bulk)
    # A recording that was cut off is shown as far as it goes.
    rows = min(len(data) // (int(channels) * dtype.itemsize), int(max(count, 0)))
    if rows < 1:
        raise CannotRender("Waveform Data have no samples.")
    samples = np.frombuffer(data, dtype, rows * int(channels)).reshape(rows, int(channels))
    definitions = sequence_items(item, _CHANNELS)
    offset = finite_number(item, _TIME_OFFSET) or 0.0
    return MultiplexGroup(
        label=first_text(item, _GROUP_LABEL).strip(" \0"),
        original=first_text(item, _ORIGINALITY).strip(" \0").upper() != "DERIVED",
        offset=offset / 1000 if abs(offset) < _LARGEST else 0.0,
        frequency=frequency,
        channels=tuple(
            _channel(definitions[index] if index < len(definitions) else {}, index, frequency)
            for index in range(int(channels))
        ),
        samples=samples,
        interpretation=interpretation,
        padding=_padding(item, dtype),
    )


def _channel(item: Attributes, index: int, frequency: float) -> Channel:
    sensitivity, correction, baseline = (finite_number(item, tag) for tag in (_SENSITIVITY, _CORRECTION, _BASELINE))
    source, units = (_first_item(item, tag) for tag in (_CHANNEL_SOURCE, _SENSITIVITY_UNITS))
    factor = (1.0 if sensitivity is None else sensitivity) * (1.0 if correction is None else correction)
    meant = 1 / _LARGEST <= abs(factor) <= _LARGEST
    seconds, samples = finite_number(item, _TIME_SKEW), finite_number(item, _SAMPLE_SKEW)
    delay = seconds if seconds is not None else (samples or 0.0) / frequency
    return Channel(
        index=index,
        label=first_text(item, _CHANNEL_LABEL).strip(" \0"),
        source=first_text(source, _CODE_MEANING).strip(" \0"),
        source_code=first_text(source, _CODE_VALUE).strip(" \0"),
        unit=first_text(units, _CODE_VALUE).strip(" \0") if meant and sensitivity is not None else "",
        factor=factor if meant else 1.0,
        baseline=baseline if meant and baseline is not None and abs(baseline) <= _LARGEST else 0.0,
        delay=delay if abs(delay) <= 1.0 else 0.0,
        filters=Filters(*(finite_number(item, tag) for tag in (_LOW_FILTER, _HIGH_FILTER, _NOTCH_FILTER))),
    )


def _first_item(attributes: Attributes, tag: str) -> Attributes:
    items = sequence_items(attributes, tag)
    return items[0] if items else {}


def _data(attribute: Attribute, path: str, bulk: Bulk) -> bytes:
    return bulk(path) if "BulkDataURI" in attribute else value_bytes(attribute, bulk)


def _padding(item: Attributes, dtype: np.dtype[Any]) -> int | None:
    """Waveform Padding Value (5400,100A): OB or OW, of the size of a sample."""
    if "InlineBinary" in item.get(_PADDING, {}):
        data = value_bytes(item[_PADDING], _no_bulk)
        return int(np.frombuffer(data, dtype, 1)[0]) if len(data) >= dtype.itemsize else None
    value = first_value(item, _PADDING)
    return value if type(value) is int else None


def _no_bulk(path: str) -> bytes:
    return b""


def _expanded_mu_law() -> NDArray[np.float64]:
    """G.711: 14 bits in 8, all bits inverted; here scaled to 16 bits as is usual."""
    code = ~np.arange(256) & 0xFF
    magnitude = ((((code & 0x0F) << 3) + 0x84) << (code >> 4 & 7)) - 0x84
    return np.where(code & 0x80, -magnitude, magnitude).astype(np.float64)


def _expanded_a_law() -> NDArray[np.float64]:
    """G.711: 13 bits in 8, even bits inverted; here scaled to 16 bits as is usual."""
    code = np.arange(256) ^ 0x55
    segment, mantissa = code >> 4 & 7, (code & 0x0F) << 4
    magnitude = np.where(segment == 0, mantissa + 8, (mantissa + 0x108) << np.maximum(segment - 1, 0))
    return np.where(code & 0x80, magnitude, -magnitude).astype(np.float64)


_MU_LAW: Final = _expanded_mu_law()
_A_LAW: Final = _expanded_a_law()
