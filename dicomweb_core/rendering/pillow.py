"""Pillow, which is optional (extra `pixels`). Its modules are found here when `require_pillow` returns."""

from __future__ import annotations

from dicomweb_core.errors import MissingCodec

try:
    from PIL import Image, ImageDraw, ImageFont
except ImportError:
    _installed = False
else:
    _installed = True

__all__ = ["Image", "ImageDraw", "ImageFont", "has_pillow", "require_pillow"]


def has_pillow() -> bool:
    """Whether it is installed."""
    return _installed


def require_pillow() -> None:
    """Raises MissingCodec when it is not installed."""
    if not _installed:
        raise MissingCodec("To draw upon pictures needs Pillow, which is not installed here.")
