"""GIF and PNG to native frames: colours as RGB, without transparency (PS3.18 Table 10.5.2-1)."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from io import BytesIO
from typing import Any, Final

from dicomweb_core.errors import InvalidFrame, MissingCodec, TooLarge
from dicomweb_core.values.limits import Limits
from dicomweb_core.values.pixels import ImagePixel

_PNG: Final = b"\x89PNG\r\n\x1a\n"
_GIF: Final = (b"GIF87a", b"GIF89a")
_COLOUR_TYPES: Final = {0: 1, 2: 3, 3: 3, 4: 1, 6: 3}
"""Of PNG -> samples: grey, RGB, palette, grey with alpha, RGB with alpha."""


@dataclass(frozen=True, slots=True)
class Raster:
    """An image file of one or more frames of the same size. `frames` decodes them, one at a time; it raises
    InvalidFrame."""

    image: ImagePixel
    count: int
    frames: Callable[[], Iterator[bytes]]


def open_raster(data: bytes, limits: Limits) -> Raster:
    """By the header of a file; nothing is decoded yet.

    Raises InvalidFrame for what is no such file, MissingCodec, and TooLarge when a frame would be larger than
    `Limits.frame_bytes`.
    """
    if data.startswith(_PNG):
        return _open_png(data, limits)
    if data.startswith(_GIF):
        return _open_gif(data, limits)
    raise InvalidFrame("The image is neither GIF nor PNG.")


def _open_png(data: bytes, limits: Limits) -> Raster:
    if len(data) < 33 or data[12:16] != b"IHDR":
        raise InvalidFrame("The PNG file is cut short.")
    columns, rows, depth, colour = struct.unpack_from(">IIBB", data, 16)
    if colour not in _COLOUR_TYPES or depth not in (1, 2, 4, 8, 16):
        raise InvalidFrame("The PNG file has a broken header.")
    if data.find(b"acTL", 33, data.find(b"IDAT", 33)) >= 0:
        raise InvalidFrame("The PNG file is an animation.")
    image = _image(rows, columns, _COLOUR_TYPES[colour], 16 if depth == 16 else 8, limits)
    try:
        import imagecodecs
    except ImportError:
        raise MissingCodec("PNG needs the package imagecodecs, which is not installed here.") from None

    def frames() -> Iterator[bytes]:
        try:
            pixels: Any = imagecodecs.png_decode(data)
        except Exception as error:
            raise InvalidFrame("The PNG file cannot be decoded.") from error
        pixels = pixels.reshape(*pixels.shape[:2], -1)[:, :, : image.samples]
        if pixels.shape != (rows, columns, image.samples) or pixels.itemsize * 8 != image.bits_allocated:
            raise InvalidFrame("The PNG file is not what its header says.")
        yield pixels.astype(f"<u{image.bits_allocated // 8}").tobytes()

    return Raster(image, 1, frames)


def _open_gif(data: bytes, limits: Limits) -> Raster:
    if len(data) < 13:
        raise InvalidFrame("The GIF file is cut short.")
    columns, rows = struct.unpack_from("<HH", data, 6)
    image = _image(rows, columns, 3, 8, limits)
    try:
        from PIL import Image, ImageSequence
    except ImportError:
        raise MissingCodec("GIF needs the package Pillow, which is not installed here.") from None

    def opened() -> Image.Image:
        try:
            return Image.open(BytesIO(data), formats=("GIF",))
        except Exception as error:
            raise InvalidFrame("The GIF file cannot be read.") from error

    def frames() -> Iterator[bytes]:
        with opened() as file:
            try:
                for frame in ImageSequence.Iterator(file):
                    if frame.size != (columns, rows):
                        raise InvalidFrame("The images of the GIF file are of different sizes.")
                    yield frame.convert("RGB").tobytes()
            except (InvalidFrame, GeneratorExit):
                raise
            except Exception as error:
                raise InvalidFrame("The GIF file cannot be decoded.") from error

    with opened() as file:
        if file.size != (columns, rows):
            raise InvalidFrame("The images of the GIF file are larger than it says.")
        try:
            count: int = getattr(file, "n_frames", 1)
        except Exception as error:
            raise InvalidFrame("The GIF file cannot be read.") from error
    if count > limits.frames:
        raise TooLarge("The GIF file has too many images.", limit="frames", ceiling=limits.frames)
    return Raster(image, count, frames)


def _image(rows: int, columns: int, samples: int, bits: int, limits: Limits) -> ImagePixel:
    if not (0 < rows < 65_536 and 0 < columns < 65_536):
        raise InvalidFrame("The image has a size that no image of DICOM has.")
    image = ImagePixel(
        rows=rows,
        columns=columns,
        samples=samples,
        bits_allocated=bits,
        bits_stored=bits,
        photometric="RGB" if samples == 3 else "MONOCHROME2",
    )
    if image.frame_bytes > limits.frame_bytes:
        raise TooLarge("An image is too large.", limit="frame_bytes", ceiling=limits.frame_bytes)
    return image
