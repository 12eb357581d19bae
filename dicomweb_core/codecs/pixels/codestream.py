"""What the header of a codestream says, before a sample of it is decoded."""

from __future__ import annotations

from typing import Final, NamedTuple

from dicomweb_core.errors import InvalidFrame

JPEG: Final = "JPEG"
JPEG_LS: Final = "JPEG-LS"
JPEG_2000: Final = "JPEG 2000"
HTJ2K: Final = "HTJ2K"
JPEG_XL: Final = "JPEG XL"


class Codestream(NamedTuple):
    """What stands in the header. What it does not say is not guessed but for `photometric`."""

    family: str
    """JPEG, JPEG_LS, JPEG_2000, HTJ2K or JPEG_XL of this module."""
    media_type: str
    """Of the bare codestream as bulk data (PS3.18 Table 8.7.3-4)."""
    transfer_syntax_uid: str
    """The narrowest transfer syntax that frames like this one may be stored in (PS3.5 A.4)."""
    rows: int
    columns: int
    samples: int
    """Components."""
    bits: int
    """Precision: what Bits Stored should be."""
    signed: bool
    lossless: bool
    """The header promises that nothing was lost when it was encoded. False also where it cannot say (JPEG XL)."""
    photometric: str
    """Photometric Interpretation (0028,0004) that is true of the codestream; a monochrome one is MONOCHROME2."""
    colour_certain: bool = False
    """Markers or component names say so; else `photometric` is what is usual for three components."""
    scans: bool = False
    """The components or their bits come in several scans (JPEG)."""
    coded: int = 0
    """Where the header ends: behind the first SOS of JPEG, at the first SOT of JPEG 2000, 0 for JPEG XL."""
    start: int = 0
    """Where the bare codestream begins: not 0 in a file of boxes (JP2, JPH)."""
    end: int | None = None
    """Where it ends, None at the end of all."""

    @property
    def bits_allocated(self) -> int:
        """The least usual Bits Allocated (0028,0100) that holds a sample."""
        return 1 if self.bits == 1 else 8 if self.bits <= 8 else 16 if self.bits <= 16 else 32


def cut_short(family: str) -> InvalidFrame:
    return InvalidFrame(f"The {family} codestream is cut short or broken in its header.")
