"""Color frames as a display shows them (PS3.3 C.7.6.3.1.2, C.7.6.19, C.8.16.2.1.1.1): 8-bit RGB with its profile."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from dicomweb_core.errors import CannotRender
from dicomweb_core.rendering.frame_attributes import pixel_aspect
from dicomweb_core.rendering.grayscale import render_grayscale
from dicomweb_core.rendering.icc import in_color_space, stored_profile
from dicomweb_core.rendering.lookup_tables import Bulk
from dicomweb_core.rendering.palettes import Palette, first_mapped, has_palette, palette
from dicomweb_core.rendering.photometric import MODELS, ColorModel, Plane
from dicomweb_core.rendering.pictures import Picture
from dicomweb_core.rendering.stored_values import Cells, Coding, cells_of, coding_of, stored_values
from dicomweb_core.values.attributes import Attributes, first_text
from dicomweb_core.values.limits import Limits
from dicomweb_core.values.pixels import HALF_CHROMINANCE, ImagePixel, NativeFrame
from dicomweb_core.values.renderings import Rendering

_PALETTE_COLOR: Final = "PALETTE COLOR"
_PIXEL_PRESENTATION: Final = "00089205"
_TABLE_BITS: Final = 16


def is_color(image: ImagePixel, attributes: Attributes) -> bool:
    """Whether a frame goes through `render_color`: all that is not grayscale, and grayscale with a supplemental
    palette. `attributes` are those of the frame (`frame_attributes`)."""
    if _photometric(image) not in ("MONOCHROME1", "MONOCHROME2"):
        return True
    return _has_supplemental_palette(attributes)


def render_color(
    frame: NativeFrame, attributes: Attributes, bulk: Bulk, rendering: Rendering, *, limits: Limits | None = None
) -> Picture:
    """The frame in RGB, of the size it has, in the color space that `rendering` asks for (see `icc.in_color_space`).

    `attributes` are those of the frame (`frame_attributes`). The window counts only below a supplemental palette.
    Raises CannotRender when the frame is not one of color or its palette is broken, and what `bulk` raises.
    """
    photometric = _photometric(frame.image)
    if photometric in ("MONOCHROME1", "MONOCHROME2"):
        if not _has_supplemental_palette(attributes):
            raise CannotRender("The Photometric Interpretation of the frame is that of a grayscale image.")
        samples = _supplemental(frame, attributes, bulk, rendering)
    elif photometric == _PALETTE_COLOR:
        samples = _through_palette(frame, attributes, bulk)
    elif photometric in MODELS:
        samples = _true_color(frame, attributes, bulk, MODELS[photometric])
    else:
        raise CannotRender("The Photometric Interpretation of the frame is none that can be shown.")
    profile = stored_profile(attributes, bulk, limits or Limits())
    picture = Picture(samples, profile, pixel_aspect(attributes))
    return in_color_space(picture, rendering.color_space)


def _photometric(image: ImagePixel) -> str:
    return image.photometric.strip().upper()


def _has_supplemental_palette(attributes: Attributes) -> bool:
    return first_text(attributes, _PIXEL_PRESENTATION).strip().upper() in ("COLOR", "MIXED") and has_palette(attributes)


def _true_color(frame: NativeFrame, attributes: Attributes, bulk: Bulk, model: ColorModel) -> NDArray[np.uint8]:
    image = frame.image
    if image.samples != model.samples:
        raise CannotRender(f"Samples per Pixel must be {model.samples} with this Photometric Interpretation.")
    if image.floating or image.bits_allocated not in (8, 16, 32):
        raise CannotRender("Bits Allocated of an image of several samples must be 8, 16 or 32.")
    if len(frame.data) != image.frame_bytes:
        raise CannotRender("The pixel data of the frame are not as long as Rows, Columns and Bits Allocated say.")
    shape = (image.rows, image.columns, 3)
    cells: Cells = np.frombuffer(frame.data, f"<u{image.bits_allocated // 8}")
    coding = coding_of(image, attributes, cells)._replace(signed=False)
    peak = (1 << coding.stored) - 1
    if coding.stored < coding.allocated:
        cells = (cells >> coding.shift) & cells.dtype.type(peak)
    elif _photometric(image) == "RGB" and cells.dtype == np.uint8 and not image.planar:
        return cells.reshape(shape)
    rgb = np.empty(shape, np.uint8)
    pixels = rgb.reshape(-1, 3)
    if image.photometric in HALF_CHROMINANCE:
        if cells.size % 4:
            raise CannotRender("Columns must be even where two pixels share their chrominance.")
        first, second, *chrominances = cells.reshape(-1, 4).T
        model.to_rgb((first, *chrominances), peak, pixels[0::2])
        model.to_rgb((second, *chrominances), peak, pixels[1::2])
        return rgb
    planes = tuple(cells.reshape(image.samples, -1) if image.planar else cells.reshape(-1, image.samples).T)
    model.to_rgb(planes, peak, pixels)
    if _photometric(image) == "ARGB" and has_palette(attributes):
        _lay_over(pixels, planes[0], palette(attributes, bulk, signed=False))
    return rgb


def _lay_over(rgb: NDArray[np.uint8], alpha: Plane, colors: Palette) -> None:
    """Where the alpha plane is not 0 it selects a color."""
    chosen = alpha != 0
    rgb[chosen] = colors.colors_of(alpha[chosen])


def _through_palette(frame: NativeFrame, attributes: Attributes, bulk: Bulk) -> NDArray[np.uint8]:
    cells = _indexes(frame)
    coding = coding_of(frame.image, attributes, cells)
    colors = palette(attributes, bulk, signed=coding.signed)
    return colors.colors_of(_all_values(coding)).take(cells, axis=0, mode="wrap")


def _indexes(frame: NativeFrame) -> Cells:
    cells = cells_of(frame)
    if cells.dtype.kind != "u" or cells.dtype.itemsize * 8 > _TABLE_BITS:
        raise CannotRender("Bits Allocated of an image with a palette must be 8 or 16.")
    return cells


def _all_values(coding: Coding) -> NDArray[Any]:
    """Stored value of every cell there can be."""
    bits = max(8, coding.allocated)
    return stored_values(np.arange(1 << bits, dtype=f"<u{bits // 8}"), coding)


def _supplemental(frame: NativeFrame, attributes: Attributes, bulk: Bulk, rendering: Rendering) -> NDArray[np.uint8]:
    """Stored values from the first one mapped upwards are those of the palette, those below are grayscale
    (PS3.3 C.8.16.2.1.1.1)."""
    cells = _indexes(frame)
    coding = coding_of(frame.image, attributes, cells)
    first = first_mapped(attributes, signed=coding.signed)
    values = _all_values(coding)
    mapped = values >= first
    colored = mapped.take(cells, mode="wrap")
    gray = np.asarray(render_grayscale(_without(frame, cells, colored), attributes, bulk, rendering).samples)
    rgb: NDArray[np.uint8] = np.repeat(gray[:, :, None], 3, axis=2).astype(np.uint8, copy=False)
    if colored.any():
        colors = palette(attributes, bulk, signed=coding.signed)
        rgb[colored] = colors.colors_of(values).take(cells[colored], axis=0)
    return rgb


def _without(frame: NativeFrame, cells: Cells, colored: NDArray[np.bool_]) -> NativeFrame:
    """The frame with some gray that is there anyway in place of colors, which a default window must not see."""
    if frame.image.bits_allocated < 8 or not colored.any():
        return frame
    remaining = cells[~colored]
    instead = remaining.flat[0] if remaining.size else cells.dtype.type(0)
    return NativeFrame(np.where(colored, instead, cells).astype(cells.dtype).tobytes(), frame.image)
