"""Frames of images as they are, before they are placed: under what other objects draw, or by themselves."""

from __future__ import annotations

from typing import NamedTuple

from dicomweb_core.errors import CorruptBlob, NotAcceptable
from dicomweb_core.rendering.color import is_color, render_color
from dicomweb_core.rendering.frame_attributes import frame_attributes
from dicomweb_core.rendering.grayscale import default_window, render_grayscale
from dicomweb_core.rendering.pictures import Picture
from dicomweb_core.rendering.representative import representative
from dicomweb_core.services.picture_cache import SteadyWindow
from dicomweb_core.services.rendered_instance import RenderedInstance
from dicomweb_core.values.renderings import Rendering, Window


class ShownFrame(NamedTuple):
    """A frame (0-based index) of an image."""

    image: RenderedInstance
    frame: int


def image_picture(shown: ShownFrame, rendering: Rendering) -> Picture:
    """A frame of the size it has, with the profile it has; of `rendering` count the window, the bits of grayscale and
    the colour space of colour.

    Frames without a window of their own share that of the representative frame: a cine does not flicker, whether its
    frames are asked for together or one by one. Raises NotAcceptable, and what reading raises.
    """
    image, index = shown
    frame = image.frame(index)
    attributes = frame_attributes(image.attributes, index)
    if is_color(frame.image, attributes):
        return render_color(frame, attributes, image.bulk, rendering, limits=image.site.limits)
    steady = (lambda: _steady_window(image)) if image.frame_count > 1 else None
    return render_grayscale(frame, attributes, image.bulk, rendering, bits=rendering.bits, otherwise=steady)


def _steady_window(image: RenderedInstance) -> Window | None:
    """Of the representative frame; made once for a version of the instance. None if that frame has its own, or cannot
    be decoded."""
    stored = image.stored

    def make() -> SteadyWindow:
        index = min(representative(image.attributes), image.frame_count - 1)
        try:
            frame = image.frame(index)
            attributes = frame_attributes(image.attributes, index)
            if is_color(frame.image, attributes):
                return SteadyWindow(None)
            return SteadyWindow(default_window(frame, attributes, image.bulk))
        except (NotAcceptable, CorruptBlob):
            return SteadyWindow(None)

    return image.site.window_cache.find_or_make((stored.ref, stored.version), make).window
