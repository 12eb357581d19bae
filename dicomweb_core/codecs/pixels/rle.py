"""Native frames to RLE (PS3.5 G)."""

from __future__ import annotations

import struct

import numpy as np
from numpy.typing import NDArray

from dicomweb_core.codecs.pixels.samples import samples_of
from dicomweb_core.errors import InvalidFrame
from dicomweb_core.values.pixels import NativeFrame

_LONGEST = 128
"""Bytes of one run (G.3.1)."""

_OCTETS_AT_A_TIME = 1 << 15
"""So much of a plane is packed in one go, and at least a row: the indexes into it take many times its size."""

MOST_SEGMENTS = 15
"""Segments that the header has room for (G.5)."""


def encode_rle(frame: NativeFrame) -> bytes:
    """Header and segments: of each sample its plane, of each plane its bytes from the most significant one (G.2).

    The frame has whole bytes, and at most `MOST_SEGMENTS` of them in a pixel. Raises InvalidFrame when a segment would
    begin behind 4 GiB.
    """
    samples = samples_of(frame)
    width = samples.dtype.itemsize
    planes = samples.reshape(*samples.shape[:2], 1) if samples.ndim == 2 else samples
    segments = []
    for sample in range(planes.shape[2]):
        plane = np.ascontiguousarray(planes[:, :, sample])
        bytes_of_plane = plane.view(np.uint8).reshape(*plane.shape, width)
        for byte in reversed(range(width)):
            segments.append(_segment(bytes_of_plane[:, :, byte]))
    offsets = [64]
    for segment in segments[:-1]:
        offsets.append(offsets[-1] + len(segment))
    if offsets[-1] > 0xFFFFFFFF:
        raise InvalidFrame("The frame is too large for RLE.")
    header = struct.pack("<16L", len(segments), *offsets, *[0] * (MOST_SEGMENTS - len(segments)))
    return b"".join((header, *segments))


def _segment(plane: NDArray[np.uint8]) -> bytes:
    """One segment of even length (G.3)."""
    rows = max(1, _OCTETS_AT_A_TIME // plane.shape[1])
    packed = [_packed(np.ascontiguousarray(plane[first : first + rows])) for first in range(0, plane.shape[0], rows)]
    if sum(map(len, packed)) % 2:
        packed.append(b"\0")
    return b"".join(packed)


def _packed(rows: NDArray[np.uint8]) -> bytes:
    """The runs of these rows; none crosses the end of a row (G.3)."""
    octets = rows.reshape(-1)
    replicated = _in_replicate_runs(rows)
    bounds = _run_bounds(rows, replicated)
    starts, lengths = bounds[:-1], bounds[1:] - bounds[:-1]
    if int(lengths.max()) > _LONGEST:
        starts, lengths = _split(starts, lengths)
    more = lengths - 1
    skipped = more * replicated[starts]  # octets that a replicate run stands for without holding them
    sizes = more - skipped + 2
    ends = sizes.cumsum()
    places = ends - sizes
    size = int(ends[-1])

    # Each octet of the segment is the one behind its predecessor, but for those skipped; headers stand for the one
    # before their run until they are written.
    steps = np.ones(size, np.intp)
    steps[places[1:]] = skipped[:-1]
    steps[0] = -1
    packed = octets.take(steps.cumsum(out=steps), mode="wrap")
    # A replicate run is told by the negative of what a literal run is told by.
    packed[places] = more - 2 * skipped
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


def _run_bounds(rows: NDArray[np.uint8], replicated: NDArray[np.bool_]) -> NDArray[np.intp]:
    """Indexes at which a replicate run or a literal run begins; at last the one behind all of them."""
    octets = rows.reshape(-1)
    begins = np.empty(octets.size + 1, np.bool_)
    np.not_equal(octets[1:], octets[:-1], out=begins[1:-1])
    begins[1:-1] &= replicated[1:]
    begins[1:-1] |= replicated[1:] != replicated[:-1]
    begins[:: rows.shape[1]] = True
    return begins.nonzero()[0]


def _split(starts: NDArray[np.intp], lengths: NDArray[np.intp]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """The same runs, none of them longer than `_LONGEST`."""
    pieces = (lengths + (_LONGEST - 1)) // _LONGEST
    run = np.repeat(np.arange(starts.size), pieces)
    piece = np.arange(run.size) - np.repeat(np.cumsum(pieces) - pieces, pieces)
    return starts[run] + piece * _LONGEST, np.minimum(lengths[run] - piece * _LONGEST, _LONGEST)
