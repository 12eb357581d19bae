"""ICC profiles of stored images, and the `iccprofile` parameter (PS3.3 C.11.15, PS3.18 8.3.5.1.5).

Conversions are made by LittleCMS, as Pillow has it.
"""

from __future__ import annotations

import io
import struct
from dataclasses import replace
from functools import cache, lru_cache
from types import MappingProxyType, ModuleType
from typing import Any, Final

import numpy as np

from dicomweb_core.errors import MissingCodec
from dicomweb_core.rendering.frame_attributes import sequence_items
from dicomweb_core.rendering.icc_profiles import adobe_rgb_profile, gray_profile, romm_rgb_profile, srgb_profile
from dicomweb_core.rendering.lookup_tables import Bulk, value_bytes
from dicomweb_core.rendering.pictures import Picture
from dicomweb_core.values.attributes import Attributes, first_text
from dicomweb_core.values.limits import Limits
from dicomweb_core.values.renderings import ColorSpace

_ICC_PROFILE: Final = "00282000"
_COLOR_SPACE: Final = "00282002"
_OPTICAL_PATH_SEQUENCE: Final = "00480105"
_OPTICAL_PATH_IDENTIFIER: Final = "00480106"

_HEADER_BYTES: Final = 128
_CLASSES: Final = frozenset({b"scnr", b"mntr", b"prtr", b"spac"})
_CONNECTION_SPACES: Final = frozenset({b"XYZ ", b"Lab "})
_MOST_TAGS: Final = 1_000
_TRANSFORMS: Final = 8
_PERCEPTUAL: Final = 0
_MOST_INTENT: Final = 3

WELL_KNOWN: Final = MappingProxyType(
    {
        ColorSpace.SRGB: srgb_profile,
        ColorSpace.ADOBE_RGB: adobe_rgb_profile,
        ColorSpace.ROMM_RGB: romm_rgb_profile,
    }
)
"""Spaces that can be asked for -> their profile."""

_DEFINED_TERMS: Final = MappingProxyType({"ADOBERGB": adobe_rgb_profile, "ROMMRGB": romm_rgb_profile})
"""Color Space (0028,2002) -> profile; SRGB is what is assumed anyway."""


def stored_profile(attributes: Attributes, bulk: Bulk, limits: Limits) -> bytes | None:
    """The profile of the samples of a frame, cut to the size its header states: that of the root, else of its optical
    path (PS3.3 C.8.12.5), else that of its Color Space. `attributes` are those of the frame.

    None where there is none, or one that is malformed or longer than `Limits.icc_profile_bytes`: sRGB is assumed
    then. Raises what `bulk` raises.
    """
    places = [attributes]
    path = _optical_path(attributes)
    if path is not None:
        places.append(path)
    for place in places:
        profile = _sound(value_bytes(place.get(_ICC_PROFILE, {}), bulk), limits)
        if profile is not None:
            return profile
    for place in places:
        known = _DEFINED_TERMS.get(first_text(place, _COLOR_SPACE).strip().upper())
        if known is not None:
            return known()
    return None


def in_color_space(picture: Picture, space: ColorSpace | None) -> Picture:
    """The picture as `iccprofile` asks for it.

    | value | samples | profile |
    |---|---|---|
    | None | as they are | the one the picture has, if any |
    | NO | as they are | none |
    | YES | as they are | the one the picture has, else that of sRGB; of grayscale, gray with the curve of sRGB |
    | others | RGB, converted to that space | of that space |

    A profile that LittleCMS refuses is taken for sRGB. Converted samples have 8 bits. Raises MissingCodec when a
    conversion is needed and Pillow is not installed.
    """
    if space is None:
        return picture
    if space is ColorSpace.NO:
        return replace(picture, icc_profile=None)
    if space is ColorSpace.YES:
        assumed = gray_profile() if picture.samples.ndim == 2 else srgb_profile()
        return replace(picture, icc_profile=picture.icc_profile or assumed)
    target = WELL_KNOWN[space]()
    samples: Any = picture.samples
    if samples.dtype != np.uint8:
        samples = ((samples.astype(np.uint32) * 0xFF + 0x7FFF) // 0xFFFF).astype(np.uint8)
    if samples.ndim == 2:
        samples = np.repeat(samples[:, :, None], 3, axis=2)
        source = srgb_profile()
    else:
        source = picture.icc_profile or srgb_profile()
    if source != target:
        transform = _transform(source, target) or (target != srgb_profile() and _transform(srgb_profile(), target))
        if transform:
            samples = _applied(transform, samples)
    return Picture(samples, target, picture.pixel_aspect)


def _optical_path(attributes: Attributes) -> Attributes | None:
    """The item of the frame's Optical Path Identifier, else the first."""
    paths = sequence_items(attributes, _OPTICAL_PATH_SEQUENCE)
    wanted = first_text(attributes, _OPTICAL_PATH_IDENTIFIER)
    for path in paths:
        if wanted and first_text(path, _OPTICAL_PATH_IDENTIFIER) == wanted:
            return path
    return paths[0] if paths else None


def _sound(profile: bytes, limits: Limits) -> bytes | None:
    """Whether it can be sent to browsers: header and table of tags of an RGB profile (ICC.1:2010 7)."""
    if not _HEADER_BYTES + 4 <= len(profile) <= limits.icc_profile_bytes:
        return None
    size, tags = struct.unpack_from(">I", profile)[0], struct.unpack_from(">I", profile, _HEADER_BYTES)[0]
    if not _HEADER_BYTES + 4 + 12 * tags <= size <= len(profile) or not 0 < tags <= _MOST_TAGS:
        return None
    if profile[36:40] != b"acsp" or profile[16:20] != b"RGB " or profile[12:16] not in _CLASSES:
        return None
    if profile[20:24] not in _CONNECTION_SPACES:
        return None
    for place in range(_HEADER_BYTES + 4, _HEADER_BYTES + 4 + 12 * tags, 12):
        start, length = struct.unpack_from(">II", profile, place + 4)
        if start + length > size:
            return None
    return profile[:size]


@cache
def _image_cms() -> ModuleType | None:
    try:
        from PIL import ImageCms, features
    except ImportError:
        return None
    return ImageCms if features.check("littlecms2") else None


@lru_cache(maxsize=_TRANSFORMS)
def _transform(source: bytes, target: bytes) -> Any:
    """Of 8-bit RGB by the rendering intent of the source; None where LittleCMS refuses one of them."""
    library = _image_cms()
    if library is None:
        raise MissingCodec("Converting colors needs Pillow with LittleCMS (extra `pixels`), which is not installed.")
    intent = struct.unpack_from(">I", source, 64)[0]
    try:
        profiles = [library.ImageCmsProfile(io.BytesIO(profile)) for profile in (source, target)]
        return library.buildTransform(*profiles, "RGB", "RGB", intent if intent <= _MOST_INTENT else _PERCEPTUAL)
    except Exception:
        # The library raises what it likes for a malformed profile; such a one does not count.
        return None


def _applied(transform: Any, samples: Any) -> Any:
    from PIL import Image

    image = Image.fromarray(np.ascontiguousarray(samples))
    return np.asarray(transform.apply(image))
