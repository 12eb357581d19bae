"""Native frames to RLE (PS3.5 G)."""

from __future__ import annotations

import struct

import numpy as np
from numpy.typing import NDArray

from dicomweb_core.codecs.pixels.arrays import samples_of
from dicomweb_core.values.pixels import NativeFrame

_LONGEST = 128
"""Bytes of one run (G.3.1)."""

MOST_SEGMENTS = 15
"""Segments that the header has room for (G.5)."""


def encode_rle(frame: NativeFrame) -> bytes:
    """Header and segments: of each sample its plane, of each plane its bytes from the most significant one (G.2).

    The frame has whole bytes, and at most `MOST_SEGMENTS` of them in a pixel.
    """
    samples = samples_of(frame)
    width = samples.dtype.itemsize
    planes = samples.reshape(*samples.shape[:2], 1) if samples.ndim == 2 else samples
    segments = []
    for sample in range(planes.shape[2]):
        plane = np.ascontiguousarray(planes[:, :, sample])
        bytes_of_plane = plane.view(np.uint8).reshape(*plane.shape, width)
        for byte in reversed(range(width)):
            segments.append(_packed(np.ascontiguousarray(bytes_of_plane[:, :, byte])))
    offsets = [64]
    for segment in segments[:-1]:
        offsets.append(offsets[-1] + len(segment))
    header = struct.pack("<16L", len(segments), *offsets, *[0] * (MOST_SEGMENTS - len(segments)))
    return b"".join((header, *segments))


def _packed(rows: NDArray[np.uint8]) -> bytes:
    """One segment of even length; no run crosses the end of a row (G.3)."""
    octets = rows.reshape(-1)
    replicated = _in_replicate_runs(rows)
    starts = _run_starts(rows, replicated)
    lengths = np.diff(starts, append=octets.size)
    if int(lengths.max()) > _LONGEST:
        starts, lengths = _split(starts, lengths)
    replicates = replicated[starts]
    sizes = np.where(replicates, 2, lengths + 1)
    ends = np.cumsum(sizes)
    places = ends - sizes
    size = int(ends[-1])

    packed = np.zeros(size + size % 2, np.uint8)
    packed[places] = np.where(replicates, 257 - lengths, lengths - 1)
    replicate_places = places[replicates] + 1
    packed[replicate_places] = octets[starts[replicates]]
    literal = np.ones(size, np.bool_)
    literal[places] = False
    literal[replicate_places] = False
    packed[:size][literal] = octets[~replicated]
    return packed.tobytes()


def _in_replicate_runs(rows: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Which bytes, counted through all rows, are one of three or more equal ones side by side in their row."""
    replicated = np.zeros(rows.shape, np.bool_)
    if rows.shape[1] >= 3:
        same = rows[:, 1:] == rows[:, :-1]
        triple = same[:, 1:] & same[:, :-1]
        replicated[:, :-2] = triple
        replicated[:, 1:-1] |= triple
        replicated[:, 2:] |= triple
    return replicated.reshape(-1)


def _run_starts(rows: NDArray[np.uint8], replicated: NDArray[np.bool_]) -> NDArray[np.intp]:
    """Indexes at which a replicate run or a literal run begins."""
    octets = rows.reshape(-1)
    begins = np.empty(octets.size, np.bool_)
    begins[0] = True
    np.not_equal(octets[1:], octets[:-1], out=begins[1:])
    begins &= replicated
    begins[1:] |= replicated[1:] != replicated[:-1]
    begins[:: rows.shape[1]] = True
    return np.flatnonzero(begins)


def _split(starts: NDArray[np.intp], lengths: NDArray[np.intp]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """The same runs, none of them longer than `_LONGEST`."""
    pieces = (lengths + (_LONGEST - 1)) // _LONGEST
    run = np.repeat(np.arange(starts.size), pieces)
    piece = np.arange(run.size) - np.repeat(np.cumsum(pieces) - pieces, pieces)
    return starts[run] + piece * _LONGEST, np.minimum(lengths[run] - piece * _LONGEST, _LONGEST)
