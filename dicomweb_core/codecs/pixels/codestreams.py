"""What a codestream is, by its own header (PS3.5 8.2)."""

from __future__ import annotations

from dicomweb_core.codecs.pixels.codestream import HTJ2K, JPEG, JPEG_2000, JPEG_LS, JPEG_XL, Codestream
from dicomweb_core.codecs.pixels.jpeg2000_header import describe_jpeg2000
from dicomweb_core.codecs.pixels.jpeg_header import describe_jpeg
from dicomweb_core.codecs.pixels.jpegxl_header import describe_jpegxl
from dicomweb_core.errors import InvalidFrame

__all__ = ["HTJ2K", "JPEG", "JPEG_2000", "JPEG_LS", "JPEG_XL", "Codestream", "describe"]

_BEGINNINGS = (
    (b"\xff\xd8", describe_jpeg),
    (b"\xff\x4f", describe_jpeg2000),
    (b"\xff\x0a", describe_jpegxl),
    (b"\0\0\0\x0cjP  \r\n\x87\n", describe_jpeg2000),
    (b"\0\0\0\x0cJXL \r\n\x87\n", describe_jpegxl),
)


def describe(codestream: bytes) -> Codestream:
    """Of a JPEG, JPEG-LS, JPEG 2000, HTJ2K or JPEG XL codestream, or of a JP2, JPH or JXL file, by its header.

    Nothing is decoded, nothing allocated by what the header claims. Raises InvalidFrame for anything else, for a
    broken header, and for what no DICOM frame has: animations, palettes, subsampled JPEG 2000 components.
    """
    for beginning, parse in _BEGINNINGS:
        if codestream.startswith(beginning):
            return parse(codestream)
    raise InvalidFrame("The bytes do not begin like a codestream of any transfer syntax.")
