"""How the samples of an image lie in its frames (Image Pixel Module, PS3.3 C.7.6.3; PS3.5 8)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, NamedTuple

from dicomweb_core.errors import InvalidFrame

HALF_CHROMINANCE: Final = frozenset({"YBR_FULL_422", "YBR_PARTIAL_422"})
"""Native, two pixels share a pair of chrominances: Y Y Cb Cr (PS3.3 C.7.6.3.1.2)."""


@dataclass(frozen=True, slots=True)
class ImagePixel:
    """What a data set says about each of its frames. Sizes are in pixels and bits.

    Of native frames it is exact. Of codestreams it is what the sender wrote beside them: the codestream itself may
    say otherwise.
    """

    rows: int
    columns: int
    samples: int
    """Samples per Pixel (0028,0002)."""
    bits_allocated: int
    bits_stored: int
    signed: bool = False
    """Pixel Representation (0028,0103) is 1."""
    photometric: str = "MONOCHROME2"
    """Photometric Interpretation (0028,0004)."""
    planar: bool = False
    """Planar Configuration (0028,0006) is 1: a plane for each sample."""
    floating: bool = False
    """Float or Double Float Pixel Data (7FE0,0008), (7FE0,0009)."""

    @property
    def high_bit(self) -> int:
        """High Bit (0028,0102): always Bits Stored - 1 in what we write (PS3.5 8.1.1)."""
        return self.bits_stored - 1

    @property
    def frame_bits(self) -> int:
        """Bits of a native frame, without padding at its end (PS3.5 8.2)."""
        samples = 2 if self.samples == 3 and self.photometric in HALF_CHROMINANCE else self.samples
        return self.rows * self.columns * samples * self.bits_allocated

    @property
    def frame_bytes(self) -> int:
        """Bytes that hold a native frame begun at bit 0."""
        return (self.frame_bits + 7) // 8

    @classmethod
    def of(cls, traits: Mapping[str, str | int], element: str = "7FE00010") -> ImagePixel:
        """From `InstanceLayout.traits`; `element` is the tag of the pixel data.

        Raises InvalidFrame, naming the attribute, when a size is missing or no image can have it.
        """
        floating = element != "7FE00010"
        bits = {"7FE00008": 32, "7FE00009": 64}.get(element) or _positive(traits, "bits_allocated", "Bits Allocated")
        stored = traits.get("bits_stored")
        image = cls(
            rows=_positive(traits, "rows", "Rows"),
            columns=_positive(traits, "columns", "Columns"),
            samples=_positive(traits, "samples", "Samples per Pixel"),
            bits_allocated=bits,
            bits_stored=stored if isinstance(stored, int) and 0 < stored <= bits and not floating else bits,
            signed=traits.get("pixel_representation") == 1,
            photometric=str(traits.get("photometric", "")).strip(" \0") or "MONOCHROME2",
            planar=traits.get("planar") == 1,
            floating=floating,
        )
        if image.rows > 65_535 or image.columns > 65_535 or image.samples > 255 or bits > 64:
            raise InvalidFrame("Rows, Columns, Samples per Pixel or Bits Allocated are larger than any image's.")
        return image


def _positive(traits: Mapping[str, str | int], name: str, shown: str) -> int:
    value = traits.get(name)
    if not isinstance(value, int) or value <= 0:
        raise InvalidFrame(f"{shown} is missing or not a positive number.")
    return value


class NativeFrame(NamedTuple):
    """One frame that is not compressed: little endian, begun at bit 0, exactly `image.frame_bytes` long."""

    data: bytes
    image: ImagePixel
