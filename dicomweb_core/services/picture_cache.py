"""Pictures as they are sent, and parsed attributes, kept for the next request."""

from __future__ import annotations

from typing import Final, NamedTuple

from dicomweb_core.services.frame_cache import MadeOnce
from dicomweb_core.values.attributes import Attributes
from dicomweb_core.values.renderings import Rendering, Window
from dicomweb_core.values.resources import InstanceRef

_PARSED: Final = 8
"""Bytes in memory for a byte of JSON, about."""
_WINDOWS_BYTES: Final = 1 << 20
"""A thousand windows, about."""


class PictureKey(NamedTuple):
    """Which picture."""

    ref: InstanceRef
    state: int | bytes
    """The version of the instance; of its study, where a picture shows other instances too."""
    frame: int
    """0-based index."""
    media_type: str
    rendering: Rendering
    through: InstanceRef | None = None
    """A presentation state."""
    thumbnail: bool = False


class PictureCache(MadeOnce[PictureKey, bytes]):
    """Encoded pictures."""

    def __init__(self, ceiling: int) -> None:
        """`ceiling` in bytes. A picture of more than a quarter of it is not kept."""
        super().__init__(ceiling, len)


class ParsedAttributes(NamedTuple):
    """A data set, not to be changed. `text_bytes` is the length of its JSON text."""

    attributes: Attributes
    text_bytes: int


class AttributesCache(MadeOnce[tuple[InstanceRef, int], ParsedAttributes]):
    """Data sets by instance and version."""

    def __init__(self, ceiling: int) -> None:
        """`ceiling` in bytes. A data set of more than a quarter of it is not kept."""
        super().__init__(ceiling, lambda parsed: parsed.text_bytes * _PARSED)


class SteadyWindow(NamedTuple):
    """What all frames of an instance without a window of their own are shown with; None: each as it is."""

    window: Window | None


class WindowCache(MadeOnce[tuple[InstanceRef, int], SteadyWindow]):
    """Windows by instance and version."""

    def __init__(self) -> None:
        super().__init__(_WINDOWS_BYTES, lambda _window: 0)
