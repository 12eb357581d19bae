"""ICC profiles of well-known color spaces, made here (ICC.1:2001-04, version 2: matrix and tone curves).

The bytes are always the same: no dates, nothing of the machine.
"""

from __future__ import annotations

import struct
from functools import cache
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

_D50: Final = (0.9642, 1.0, 0.8249)
"""XYZ of the profile connection space, as the header spells it."""
_CURVE_POINTS: Final = 1024
_DATE: Final = (2020, 1, 1, 0, 0, 0)

Chromaticity = tuple[float, float]
Matrix = NDArray[np.float64]

_BRADFORD: Final = np.array([[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]])
"""XYZ to cone responses."""


class Primaries(NamedTuple):
    """x, y of red, green, blue and white."""

    red: Chromaticity
    green: Chromaticity
    blue: Chromaticity
    white: Chromaticity


_SRGB: Final = Primaries((0.64, 0.33), (0.30, 0.60), (0.15, 0.06), (0.3127, 0.3290))
"""IEC 61966-2-1."""
_ADOBE_RGB: Final = Primaries((0.64, 0.33), (0.21, 0.71), (0.15, 0.06), (0.3127, 0.3290))
"""Adobe RGB (1998) Color Image Encoding 4.3.1."""
_ROMM_RGB: Final = Primaries((0.7347, 0.2653), (0.1596, 0.8404), (0.0366, 0.0001), (0.3457, 0.3585))
"""ISO 22028-2."""


@cache
def srgb_profile() -> bytes:
    """Of sRGB (IEC 61966-2-1)."""
    return _rgb_profile("sRGB IEC61966-2.1", _SRGB, _table(_srgb_light(_codes())))


@cache
def adobe_rgb_profile() -> bytes:
    """Of Adobe RGB (1998): gamma 563/256."""
    return _rgb_profile("Compatible with Adobe RGB (1998)", _ADOBE_RGB, struct.pack(">4sxxxxIHxx", b"curv", 1, 563))


@cache
def romm_rgb_profile() -> bytes:
    """Of ROMM RGB (ISO 22028-2): gamma 1.8 above a straight toe."""
    codes = _codes()
    light = np.where(codes < 1 / 32, codes / 16, codes**1.8)
    return _rgb_profile("ISO 22028-2 ROMM RGB", _ROMM_RGB, _table(light))


@cache
def gray_profile() -> bytes:
    """Of gray levels that are meant as those of sRGB."""
    tags = {b"wtpt": _xyz(_D50), b"kTRC": _table(_srgb_light(_codes()))}
    return _profile("Gray with the tone curve of sRGB", b"GRAY", tags)


def _codes() -> NDArray[np.float64]:
    return np.linspace(0.0, 1.0, _CURVE_POINTS)


def _srgb_light(codes: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.where(codes <= 0.04045, codes / 12.92, ((codes + 0.055) / 1.055) ** 2.4)


def _rgb_profile(name: str, primaries: Primaries, curve: bytes) -> bytes:
    columns = _colorants(primaries).T
    tags = {b"wtpt": _xyz(_D50)}
    tags |= {tag: _xyz(column) for tag, column in zip((b"rXYZ", b"gXYZ", b"bXYZ"), columns, strict=True)}
    tags |= dict.fromkeys((b"rTRC", b"gTRC", b"bTRC"), curve)
    return _profile(name, b"RGB ", tags)


def _colorants(primaries: Primaries) -> Matrix:
    """Columns are XYZ of red, green and blue, adapted to D50; they add up to it."""
    red, green, blue, white = (np.array([x / y, 1.0, (1 - x - y) / y]) for x, y in primaries)
    matrix = np.stack([red, green, blue], axis=1)
    matrix = matrix * np.linalg.solve(matrix, white)
    cones = (_BRADFORD @ np.array(_D50)) / (_BRADFORD @ white)
    adapted: Matrix = np.linalg.solve(_BRADFORD, cones[:, None] * (_BRADFORD @ matrix))
    return adapted


def _xyz(values: Any) -> bytes:
    """XYZType."""
    return struct.pack(">4sxxxx3i", b"XYZ ", *(round(float(value) * 65536) for value in values))


def _table(light: NDArray[np.float64]) -> bytes:
    """curveType."""
    return struct.pack(">4sxxxxI", b"curv", len(light)) + np.rint(light * 0xFFFF).astype(">u2").tobytes()


def _profile(name: str, space: bytes, tags: dict[bytes, bytes]) -> bytes:
    """Header, table of tags, their data; equal data are there once (ICC.1:2001-04 6)."""
    text = name.encode("ascii") + b"\0"
    # Nothing in Unicode, nothing in the script code of another system.
    described = struct.pack(">4sxxxxI", b"desc", len(text)) + text + bytes(4 + 4 + 2 + 1 + 67)
    tags = {b"desc": described, b"cprt": b"text\0\0\0\0No copyright, use freely\0", **tags}
    start = 128 + 4 + 12 * len(tags)
    table, data, places = struct.pack(">I", len(tags)), b"", dict[bytes, int]()
    for tag, value in tags.items():
        if value not in places:
            places[value] = start + len(data)
            data += value + bytes(-len(value) % 4)
        table += struct.pack(">4sII", tag, places[value], len(value))
    header = struct.pack(
        ">I4s4s4s4s4s6H4s4sI4s4s8sI3i4s44x",
        start + len(data),
        bytes(4),
        b"\x02\x10\0\0",
        b"mntr",
        space,
        b"XYZ ",
        *_DATE,
        b"acsp",
        bytes(4),
        0,
        bytes(4),
        bytes(4),
        bytes(8),
        0,
        *(round(value * 65536) for value in _D50),
        bytes(4),
    )
    return header + table + data
