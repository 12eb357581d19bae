"""What changes places between big and little endian (PS3.5 7.3, 8.1.1, A.3)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

import numpy as np

WORD_BYTES: Final = {
    "AT": 2, "OW": 2, "SS": 2, "US": 2,
    "FL": 4, "OF": 4, "OL": 4, "SL": 4, "UL": 4,
    "FD": 8, "OD": 8, "OV": 8, "SV": 8, "UV": 8,
}  # fmt: skip
"""How many bytes change places together when the byte order of a value changes, by VR; others do not change.
AT is two numbers. Pixel data have a rule of their own: `word_bytes`."""


def word_bytes(vr: str, bits_allocated: int) -> int:
    """How many bytes of pixel data change places together when the byte order changes; 1 for none.

    Cells of up to 8 bits lie in 16-bit words if the VR is OW (PS3.5 8.1.1, A.3); larger cells are words themselves,
    also where a writer chose OB for them or OW for 32 bits.
    """
    if bits_allocated <= 8:
        return 2 if vr == "OW" else 1
    return bits_allocated // 8 if bits_allocated in (16, 32, 64) else 1


def swapped(chunks: Iterable[bytes], word: int) -> Iterator[bytes]:
    """The bytes of each word reversed. Every chunk but the last has whole words; an incomplete word stays as it is."""
    if word == 1:
        yield from chunks
        return
    for chunk in chunks:
        whole = len(chunk) // word * word
        yield np.frombuffer(chunk, f"<u{word}", whole // word).byteswap().tobytes() + chunk[whole:]
