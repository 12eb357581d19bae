"""Waveforms as a plot: ECG on its paper, everything else as traces below one another (PS3.3 A.34, C.10.9).

Nothing of the patient is in the plot: names of channels, units, scales and times only.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from types import MappingProxyType
from typing import Final, NamedTuple

from dicomweb_core.errors import CannotRender
from dicomweb_core.rendering import ecg, stacked_traces
from dicomweb_core.rendering.fonts import script
from dicomweb_core.rendering.lookup_tables import Bulk
from dicomweb_core.rendering.pictures import Picture
from dicomweb_core.rendering.sheets import Sheet, draw, plain, svg
from dicomweb_core.rendering.waveform_samples import MultiplexGroup, multiplex_groups
from dicomweb_core.values.attributes import Attributes, first_text
from dicomweb_core.values.limits import Limits

_SOP_CLASS: Final = "00080016"
_WAVEFORM: Final = "1.2.840.10008.5.1.4.1.1.9."


class Kind(NamedTuple):
    """What is usual for recordings of a SOP class."""

    title: str
    seconds: float
    """At most shown, from the begin."""
    electrocardiogram: bool = False


KINDS: Final = MappingProxyType(
    {
        _WAVEFORM + "1.1": Kind("12-lead ECG", 10, True),
        _WAVEFORM + "1.2": Kind("ECG", 10, True),
        _WAVEFORM + "1.3": Kind("Ambulatory ECG", 10, True),
        _WAVEFORM + "1.4": Kind("ECG", 10, True),
        _WAVEFORM + "2.1": Kind("Hemodynamic waveforms", 10),
        _WAVEFORM + "3.1": Kind("Cardiac electrophysiology waveforms", 10),
        _WAVEFORM + "4.1": Kind("Voice audio", math.inf),
        _WAVEFORM + "4.2": Kind("Audio", math.inf),
        _WAVEFORM + "5.1": Kind("Arterial pulse waveform", 10),
        _WAVEFORM + "6.1": Kind("Respiratory waveform", 60),
        _WAVEFORM + "6.2": Kind("Respiratory waveforms", 60),
        _WAVEFORM + "7.1": Kind("Electroencephalogram", 10),
        _WAVEFORM + "7.2": Kind("Electromyogram", 10),
        _WAVEFORM + "7.3": Kind("Electrooculogram", 10),
        _WAVEFORM + "7.4": Kind("Sleep electroencephalogram", 30),
        _WAVEFORM + "8.1": Kind("Body position waveform", math.inf),
    }
)
"""SOP Class UID -> kind."""
_OTHER: Final = Kind("Waveforms", math.inf)
_WHOLE_PAGE: Final = 0.99
"""Of 10 s: shorter recordings are not cut into four columns."""


def render_waveform_svg(attributes: Attributes, *, bulk: Bulk, limits: Limits) -> bytes:
    """The plot as an SVG document (UTF-8), of the size of paper; it loads nothing, runs nothing and needs no library.

    ECG: 25 mm for a second and 10 mm for a millivolt (less when it does not fit; it is written below), as an array of
    3 by 4 leads with a rhythm strip if all twelve were recorded for 10 s, else a row for each lead. Recordings longer
    than what is usual for their kind (`KINDS`) are shown from their begin; the text below says so. Raises CannotRender
    for what has no samples that can be read, or too many.
    """
    return svg(waveform_sheet(attributes, bulk=bulk, limits=limits))


def render_waveform(
    attributes: Attributes,
    *,
    bulk: Bulk,
    width: int,
    limits: Limits,
    font_paths: tuple[str, ...] = (),
    texts: bool = True,
) -> Picture:
    """The same plot as RGB, `width` pixels wide. Texts that would be too small to read are left out: so are all
    without `texts`. `font_paths`: see `fonts.script`. Raises MissingCodec besides."""
    return draw(waveform_sheet(attributes, bulk=bulk, limits=limits), width, limits, script(font_paths), texts=texts)


def waveform_sheet(attributes: Attributes, *, bulk: Bulk, limits: Limits) -> Sheet:
    """The plot before it is written or drawn. Raises CannotRender."""
    kind = KINDS.get(first_text(attributes, _SOP_CLASS).strip(" \0"), _OTHER)
    groups = multiplex_groups(attributes, bulk, limits)
    groups = tuple(group for group in groups if group.original) or groups
    for group in groups:
        leads = ecg.twelve_leads(group) if kind.electrocardiogram else None
        if leads is not None and group.duration >= ecg.PAGE_SECONDS * _WHOLE_PAGE:
            return ecg.twelve_lead_sheet(group, leads, kind.title)
    channels = _named(groups, limits)
    if kind.electrocardiogram and all(channel.unit in ecg.MILLIVOLTS for _, channel, _ in channels):
        return ecg.stacked_sheet(channels, kind.title)
    return stacked_traces.stacked_sheet(channels, kind.title, kind.seconds)


def _named(groups: Sequence[MultiplexGroup], limits: Limits) -> list[stacked_traces.Named]:
    """All channels in their order, by the name of the lead, what they measure, their label or their number."""
    found: list[stacked_traces.Named] = []
    for group in groups:
        for channel in group.channels:
            name = ecg.lead_of(channel) or plain(channel.label) or plain(channel.source)
            found.append((group, channel, name or f"Channel {len(found) + 1}"))
    if len(found) > limits.waveform_channels:
        raise CannotRender(f"The waveform has more than {limits.waveform_channels} channels (limit waveform_channels).")
    return found
