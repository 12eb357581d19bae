"""Which part of a picture is shown, and how large (PS3.18 8.3.5.1.3, 9.5.1.2.4, 9.5.1.2.5)."""

from __future__ import annotations

import math
from dataclasses import replace
from enum import Enum
from functools import cache
from types import ModuleType
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from dicomweb_core.errors import InvalidQuery, MissingCodec
from dicomweb_core.rendering.pictures import Picture
from dicomweb_core.values.limits import Limits
from dicomweb_core.values.renderings import Region, Rendering, Viewport

_REDUCING_GAP: Final = 2.0
"""Shrinking by more than twice this begins with whole boxes: much faster, and not to be seen."""
_WHOLE: Final = 1e-6
"""Edges this near to a whole pixel are meant to be there."""


class Interpolation(Enum):
    """What comes between samples when a picture is scaled."""

    SMOOTH = "smooth"
    NEAREST = "nearest"
    """No values that are not there already: of masks and labels."""


class Box(NamedTuple):
    """Part of a picture in its pixels, from its upper left corner; never empty."""

    left: float
    top: float
    right: float
    bottom: float

    @property
    def width(self) -> float:
        """In pixels."""
        return self.right - self.left

    @property
    def height(self) -> float:
        """In pixels."""
        return self.bottom - self.top


def place(
    picture: Picture, rendering: Rendering, limits: Limits, interpolation: Interpolation = Interpolation.SMOOTH
) -> Picture:
    """The region of the picture, of that what the viewport crops, flipped and scaled to fit the viewport.

    Without a viewport nothing is scaled: a pixel stays a pixel whatever its aspect, and a region has whole pixels.
    With one, pixels are made square (those that are less dense are multiplied) and the result touches the viewport in
    width or height, with the aspect ratio of what is cropped (rounded, at least 1 x 1). A crop that is partly outside
    is cut to what is inside.

    Raises InvalidQuery when the crop is outside the picture or the result has more than `Limits.rendered_pixels` and
    more than its source, and MissingCodec when scaling needs Pillow and it is not installed.
    """
    box = Box(0.0, 0.0, float(picture.columns), float(picture.rows))
    if rendering.region is not None:
        box = _of_region(box, rendering.region)
    viewport = rendering.viewport
    if viewport is None:
        return replace(picture, samples=_cut(picture.samples, _whole_pixels(box)))
    box = _of_viewport(box, viewport)
    width, height = fitted_size(box, viewport, picture.pixel_aspect)
    source_pixels = max(1.0, box.width) * max(1.0, box.height)
    if width * height > max(limits.rendered_pixels, source_pixels):
        raise InvalidQuery(
            f"The viewport makes a picture of more than {limits.rendered_pixels} pixels (rendered_pixels)."
        )
    samples = scaled(picture.samples, box, width, height, interpolation)
    if viewport.flip_horizontal:
        # Twice as fast as a copy with a negative stride.
        samples = samples.take(np.arange(width - 1, -1, -1), axis=1)
    if viewport.flip_vertical:
        samples = samples[::-1]
    return Picture(np.ascontiguousarray(samples), picture.icc_profile)


def fitted_size(box: Box, viewport: Viewport, pixel_aspect: float = 1.0) -> tuple[int, int]:
    """Width and height of the largest picture of `box` in the viewport, of square pixels."""
    width = box.width * max(1.0, 1 / pixel_aspect)
    height = box.height * max(1.0, pixel_aspect)
    factor = min(viewport.width / width, viewport.height / height)
    fit = (_rounded(width * factor), viewport.width), (_rounded(height * factor), viewport.height)
    across, down = (min(size, most) for size, most in fit)
    return across, down


def scaled(
    samples: NDArray[Any], box: Box, width: int, height: int, interpolation: Interpolation = Interpolation.SMOOTH
) -> NDArray[Any]:
    """The part of samples (rows, columns) or (rows, columns, 3), uint8 or uint16, in another size.

    Samples outside the box do not bleed into it. Of the same size they are exactly what they were. Raises MissingCodec.
    """
    box = _snapped(box)
    if box.width == width and box.height == height and box == (cut := _whole_pixels(box)):
        return _cut(samples, cut)
    if interpolation is Interpolation.NEAREST:
        return _nearest(samples, box, width, height)
    outer = Box(math.floor(box.left), math.floor(box.top), math.ceil(box.right), math.ceil(box.bottom))
    inner = Box(box.left - outer.left, box.top - outer.top, box.right - outer.left, box.bottom - outer.top)
    part = np.ascontiguousarray(_cut(samples, outer))
    if part.dtype == np.uint8:
        return _resized(part, inner, width, height)
    found = _resized(part.astype(np.float32), inner, width, height)
    levels: NDArray[Any] = np.clip(np.rint(found), 0, np.iinfo(samples.dtype).max).astype(samples.dtype)
    return levels


def _of_region(box: Box, region: Region) -> Box:
    return Box(region.left * box.right, region.top * box.bottom, region.right * box.right, region.bottom * box.bottom)


def _of_viewport(box: Box, viewport: Viewport) -> Box:
    """Pixels of the viewport count from the corner of `box`."""
    left, top = box.left + viewport.left, box.top + viewport.top
    right = box.right if viewport.crop_width is None else min(box.right, left + viewport.crop_width)
    bottom = box.bottom if viewport.crop_height is None else min(box.bottom, top + viewport.crop_height)
    if not (left < right and top < bottom):
        raise InvalidQuery("The parameter viewport crops what is outside the image (PS3.18 8.3.5.1.3).")
    return Box(left, top, right, bottom)


def _snapped(box: Box) -> Box:
    """Without the noise of floating point numbers."""
    edges = [float(round(edge)) if abs(edge - round(edge)) < _WHOLE else edge for edge in box]
    snapped = Box(*edges)
    return snapped if snapped.width > 0 and snapped.height > 0 else box


def _whole_pixels(box: Box) -> Box:
    """The nearest edges between pixels, with at least one pixel between them."""
    left = min(_nearest_edge(box.left), math.ceil(box.right) - 1)
    top = min(_nearest_edge(box.top), math.ceil(box.bottom) - 1)
    return Box(left, top, max(left + 1, _nearest_edge(box.right)), max(top + 1, _nearest_edge(box.bottom)))


def _nearest_edge(position: float) -> int:
    return math.floor(position + 0.5)


def _rounded(size: float) -> int:
    return max(1, math.floor(size + 0.5))


def _cut(samples: NDArray[Any], box: Box) -> NDArray[Any]:
    """A view; the edges are whole."""
    left, top, right, bottom = map(int, box)
    return samples[top:bottom, left:right]


def _nearest(samples: NDArray[Any], box: Box, width: int, height: int) -> NDArray[Any]:
    """The sample under the middle of each pixel of the result."""
    rows = np.minimum(box.top + (np.arange(height) + 0.5) * (box.height / height), samples.shape[0] - 1)
    columns = np.minimum(box.left + (np.arange(width) + 0.5) * (box.width / width), samples.shape[1] - 1)
    taken: NDArray[Any] = samples.take(rows.astype(np.intp), axis=0).take(columns.astype(np.intp), axis=1)
    return taken


def _resized(samples: NDArray[Any], box: Box, width: int, height: int) -> NDArray[Any]:
    """Bicubic over what each pixel covers (antialiased)."""
    library = _image()
    if library is None:
        raise MissingCodec("Scaling pictures needs Pillow (extra `pixels`), which is not installed.")
    image = library.fromarray(samples)
    method = library.Resampling.BICUBIC
    return np.asarray(image.resize((width, height), method, box=tuple(box), reducing_gap=_REDUCING_GAP))


@cache
def _image() -> ModuleType | None:
    try:
        from PIL import Image
    except ImportError:
        return None
    return Image
