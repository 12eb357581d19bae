"""How a picture is to be made (PS3.18 8.3.5.1 and 9.5.1.2), parsed: nothing in it can be ill-formed."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import NamedTuple


class VOIFunction(Enum):
    """VOI LUT Function (0028,1056); the value is its spelling in the `window` parameter (PS3.18 8.3.5.1.4)."""

    LINEAR = "linear"
    LINEAR_EXACT = "linear-exact"
    SIGMOID = "sigmoid"


class Window(NamedTuple):
    """In units of the Modality LUT's output, for example HU (PS3.3 C.11.2.1.2). `width` is at least 1 for LINEAR,
    above 0 for the others."""

    center: float
    width: float
    function: VOIFunction = VOIFunction.LINEAR


class Viewport(NamedTuple):
    """Largest width and height of the picture, and what of the source is shown (PS3.18 8.3.5.1.3).

    `left`, `top`, `crop_width`, `crop_height` are in source pixels, not negative; None is to the edge.
    """

    width: int
    height: int
    left: float = 0.0
    top: float = 0.0
    crop_width: float | None = None
    crop_height: float | None = None
    flip_horizontal: bool = False
    flip_vertical: bool = False


class Region(NamedTuple):
    """Fractions of the picture: 0 <= left < right <= 1, 0 <= top < bottom <= 1 (PS3.18 9.5.1.2.5)."""

    left: float
    top: float
    right: float
    bottom: float


class ColorSpace(Enum):
    """The `iccprofile` parameter (PS3.18 8.3.5.1.5)."""

    NO = "no"
    YES = "yes"
    SRGB = "srgb"
    ADOBE_RGB = "adobergb"
    ROMM_RGB = "rommrgb"


@dataclass(frozen=True, slots=True)
class Rendering:
    """What a request says about the picture. Absent parameters are None, or empty."""

    window: Window | None = None
    region: Region | None = None
    viewport: Viewport | None = None
    quality: int | None = None
    """1 to 100, of media types with loss."""
    annotations: tuple[str, ...] = ()
    """`patient`, `technique`, in this order; no others."""
    color_space: ColorSpace | None = None
    bits: int = 8
    """8 or 16: of grayscale samples in a media type that has as many."""
    texts: bool = True
    """False: no names, numbers and images that say of themselves that there are some in them (thumbnails)."""
