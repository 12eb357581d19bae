"""Pictures of objects that there is nothing to see of: a sheet of paper with the letters of their modality."""

from __future__ import annotations

import re
from types import MappingProxyType
from typing import Final

import numpy as np
from numpy.typing import NDArray

from dicomweb_core.rendering.pictures import Picture

_GROUND, _PAPER, _INK, _EDGE = 0x28, 0xEC, 0x30, 0x90
_LETTERS: Final = re.compile(r"[A-Z0-9]{1,8}")
_ROWS, _COLUMNS = 7, 5
_SMALLEST: Final = 16

_FONT: Final = MappingProxyType(
    {
        "A": "0E11111F111111", "B": "1E11111E11111E", "C": "0E11101010110E", "D": "1E11111111111E",
        "E": "1F10101E10101F", "F": "1F10101E101010", "G": "0E11101713110F", "H": "1111111F111111",
        "I": "0E04040404040E", "J": "0702020202120C", "K": "11121418141211", "L": "1010101010101F",
        "M": "111B1515111111", "N": "11111915131111", "O": "0E11111111110E", "P": "1E11111E101010",
        "Q": "0E11111115120D", "R": "1E11111E141211", "S": "0F10100E01011E", "T": "1F040404040404",
        "U": "1111111111110E", "V": "11111111110A04", "W": "1111111515150A", "X": "11110A040A1111",
        "Y": "1111110A040404", "Z": "1F01020408101F", "0": "0E11131519110E", "1": "040C040404040E",
        "2": "0E11010204081F", "3": "1F02040201110E", "4": "02060A121F0202", "5": "1F101E0101110E",
        "6": "0608101E11110E", "7": "1F010204080808", "8": "0E11110E11110E", "9": "0E11110F01020C",
    }
)  # fmt: skip
"""Seven rows of five pixels, a byte each."""


def icon(modality: str, side: int) -> Picture:
    """A square picture of `side` pixels (at least 16). `modality` is drawn if it is a defined term of one to eight
    capital letters and digits (PS3.3 C.7.3.1.1.1); anything else is not, so that no text of a patient gets here."""
    side = max(_SMALLEST, side)
    samples = np.full((side, side), _GROUND, np.uint8)
    top, left = side // 10, side // 6
    sheet = samples[top : side - top, left : side - left]
    sheet[:] = _PAPER
    fold = sheet.shape[1] // 4
    corner = np.arange(fold)[:, None] < np.arange(fold)[None, :]
    sheet[:fold, -fold:][corner] = _GROUND
    sheet[:fold, -fold:][~corner] = _EDGE
    letters = modality.strip().upper()
    if _LETTERS.fullmatch(letters):
        _draw(sheet, letters)
    return Picture(samples)


def _draw(sheet: NDArray[np.uint8], letters: str) -> None:
    """The letters in the middle of the sheet, as large as they fit."""
    columns = len(letters) * (_COLUMNS + 1) - 1
    scale = max(1, min(sheet.shape[1] * 8 // 10 // columns, sheet.shape[0] // 3 // _ROWS))
    text = np.zeros((_ROWS, columns), bool)
    for place, letter in enumerate(letters):
        rows = np.frombuffer(bytes.fromhex(_FONT[letter]), np.uint8)
        text[:, place * (_COLUMNS + 1) :][:, :_COLUMNS] = np.unpackbits(rows[:, None], axis=1)[:, -_COLUMNS:]
    drawn = text.repeat(scale, 0).repeat(scale, 1)[: sheet.shape[0], : sheet.shape[1]]
    top, left = (sheet.shape[0] - drawn.shape[0]) // 2, (sheet.shape[1] - drawn.shape[1]) // 2
    sheet[top : top + drawn.shape[0], left : left + drawn.shape[1]][drawn] = _INK
