"""Modality, VOI and Presentation LUTs (PS3.3 C.11.1.1, C.11.2.1.1, C.11.4.1)."""

from __future__ import annotations

import binascii
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from dicomweb_core.rendering.frame_attributes import sequence_items
from dicomweb_core.values.attributes import Attribute, Attributes

Bulk = Callable[[str], bytes]
"""Path of a bulk value (`00283010/0/00283006`) -> its bytes, little endian. What it raises passes through."""

_DESCRIPTOR: Final = "00283002"
_DATA: Final = "00283006"
_BULKDATA: Final = "/bulkdata/"
_MOST_ENTRIES: Final = 65_536


@dataclass(frozen=True, slots=True)
class LookupTable:
    """Entry n is what the input `first` + n becomes. Inputs below and above get the first and the last entry."""

    first: int
    bits: int
    """Of each entry, 1 to 16: the highest output is 2 ** bits - 1."""
    words: bytes
    """Entries of 16 bits, little endian; bytes, so that tables compare and hash by content."""

    @property
    def entries(self) -> NDArray[np.uint16]:
        """At least one."""
        return np.frombuffer(self.words, "<u2")

    @property
    def highest(self) -> int:
        """The largest output there can be."""
        return (1 << self.bits) - 1

    def outputs(self, inputs: NDArray[np.float64]) -> NDArray[np.uint16]:
        """What inputs (not NaN) become; between two whole numbers the nearer one counts."""
        entries = self.entries
        indexes = np.rint(inputs)
        indexes -= self.first
        np.clip(indexes, 0, len(entries) - 1, out=indexes)
        return entries.take(indexes.astype(np.intp))


def lookup_table(attributes: Attributes, sequence: str, bulk: Bulk, *, signed: bool) -> LookupTable | None:
    """The LUT in the first item of a sequence, or None: absent, or broken, and then as if it were absent.

    Broken is: no or ill-formed LUT Descriptor, more than 65,536 entries or fewer than one, entries of more than 16
    bits, less data than the descriptor says. More data are cut. `signed`: inputs may be negative, so the first input
    value mapped is read as signed whatever its VR is.
    """
    items = sequence_items(attributes, sequence)
    descriptor = items[0].get(_DESCRIPTOR, {}).get("Value") if items else None
    if not isinstance(descriptor, list) or len(descriptor) != 3 or not all(type(n) is int for n in descriptor):
        return None
    count, first, bits = descriptor
    if not -0x8000 <= count <= 0xFFFF or not -0x8000 <= first <= 0xFFFF or not 1 <= bits <= 16:
        return None
    count = (count & 0xFFFF) or _MOST_ENTRIES
    entries = _entries(value_bytes(items[0].get(_DATA, {}), bulk), count, bits)
    if entries is None:
        return None
    first &= 0xFFFF
    if signed and first & 0x8000:
        first -= 0x10000
    # Some writers state fewer bits than their entries have.
    return LookupTable(first, max(bits, int(entries.max()).bit_length()), entries.tobytes())


def value_bytes(attribute: Attribute, bulk: Bulk) -> bytes:
    """The bytes of a binary value, wherever it is: numbers (of 16 bits) in Value, InlineBinary, or behind a
    BulkDataURI. Empty when there is none, or none that can be read. Raises what `bulk` raises."""
    if "Value" in attribute:
        return _word_bytes(attribute["Value"])
    inline = attribute.get("InlineBinary")
    if isinstance(inline, str):
        try:
            return binascii.a2b_base64(inline)
        except ValueError:
            return b""
    uri = attribute.get("BulkDataURI")
    if isinstance(uri, str) and _BULKDATA in uri:
        return bulk(uri.rpartition(_BULKDATA)[2])
    return b""


def _word_bytes(values: Any) -> bytes:
    try:
        words = np.array(values, np.int64)
    except (ValueError, TypeError, OverflowError):
        return b""
    if words.ndim != 1 or not words.size or words.min() < -0x8000 or words.max() > 0xFFFF:
        return b""
    return words.astype("<u2").tobytes()


def _entries(data: bytes, count: int, bits: int) -> NDArray[np.uint16] | None:
    """Entries of up to 8 bits may lie two in a word (PS3.3 C.11.1.1.1): the length of the data tells."""
    if len(data) >= 2 * count:
        return np.frombuffer(data, "<u2", count)
    if bits <= 8 and len(data) >= count:
        return np.frombuffer(data, np.uint8, count).astype("<u2")
    return None
