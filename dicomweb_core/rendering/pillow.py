"""Pillow, which is optional (extra `pixels`). Its modules are found here when `require_pillow` returns."""

from __future__ import annotations

from dicomweb_core.errors import MissingCodec

try:
    from PIL import Image, ImageDraw, ImageFont
except ImportError:
    _installed = False
else:
    _installed = True

__all__ = ["Image", "ImageDraw", "ImageFont", "require_pillow"]


def require_pillow() -> None:
    """Raises MissingCodec when it is not installed."""
    if not _installed:
        raise MissingCodec("To draw upon pictures needs Pillow, which is not installed here.")
