"""Pictures as files of the rendered media types (PS3.18 Table 8.7.4-1)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import cache
from importlib.util import find_spec
from io import BytesIO
from types import MappingProxyType
from typing import Any, Final, NamedTuple

import numpy as np

from dicomweb_core.errors import CannotRender, MissingCodec
from dicomweb_core.rendering.gif import encode_gif
from dicomweb_core.rendering.icc import in_color_space
from dicomweb_core.rendering.jp2 import encode_jp2, encode_jph
from dicomweb_core.rendering.mp4 import encode_mp4
from dicomweb_core.rendering.pictures import Motion, Picture
from dicomweb_core.rendering.png import encode_png
from dicomweb_core.values.renderings import ColorSpace

JPEG: Final = "image/jpeg"
GIF: Final = "image/gif"
MP4: Final = "video/mp4"

_QUALITY: Final = 90
_VIDEO_SIDE: Final = 8_192
"""Of the largest pictures that a level of AV1 has."""
_FULL_CHROMINANCE: Final = 90
"""From this quality on colors are not halved: edges of stains and of colored flow stay where they are."""


class RasterFormat(NamedTuple):
    """A media type, and what pictures it takes."""

    encode: Callable[[Picture, int | None], bytes]
    library: str = "PIL"
    """Which library it needs; empty for none."""
    feature: str = ""
    """Of the library."""
    side: int = 0xFFFF
    """The most rows and columns."""
    bits: int = 8
    """The most of a sample."""
    profiles: bool = True
    """Whether an ICC profile can be embedded."""


class MovingFormat(NamedTuple):
    """A media type of several pictures one after the other."""

    encode: Callable[[Iterable[Picture], Motion, int | None], Iterator[bytes]]
    pictures: RasterFormat
    """What it takes, and which library it needs."""


def encode(
    pictures: Iterable[Picture], media_type: str, quality: int | None, motion: Motion | None = None
) -> Iterator[bytes]:
    """A file in chunks: of one picture (one chunk), or, with `motion`, of all of them, made as it is read.

    `quality` is 1 to 100, where 100 is best. It does not count for image/png, image/gif and image/jph. Without it
    image/jpeg, image/webp, image/avif and video/mp4 have 90, image/jp2 and image/jxl lose nothing. Samples of 16 bits
    become 8 where the media type has no more, and colors become sRGB where it embeds no profile. `motion` does not
    count for a media type without motion (`has_animation`). Raises MissingCodec, and CannotRender when a picture is
    too large for the media type.
    """
    moving = MOVING.get(media_type) if motion is not None else None
    form = FORMATS[media_type] if moving is None else moving.pictures
    if not _is_available(form):
        raise MissingCodec(f"{media_type} needs Pillow or imagecodecs (extra `pixels`), which is not installed here.")
    fitting = (_fitting(picture, form, media_type) for picture in pictures)
    if moving is not None and motion is not None:
        yield from moving.encode(fitting, motion, quality)
    else:
        yield form.encode(next(fitting), quality)


def rendered_types() -> tuple[str, ...]:
    """The media types of one picture that `encode` can make here, the preferred first."""
    return tuple(media_type for media_type, form in FORMATS.items() if _is_available(form))


def moving_types() -> tuple[str, ...]:
    """The media types of several pictures one after the other that `encode` can make here."""
    return tuple(media_type for media_type, form in MOVING.items() if _is_available(form.pictures))


def embeds_profiles(media_type: str) -> bool:
    """Whether it can carry an ICC profile (PS3.18 8.3.5.1.5)."""
    return media_type in FORMATS and FORMATS[media_type].profiles


def has_animation(media_type: str) -> bool:
    """Whether it can show all frames of a multi-frame object one after the other."""
    return media_type in MOVING


def depth_of(media_type: str) -> int:
    """The most bits of a sample, 8 or 16."""
    return FORMATS[media_type].bits


def _jpeg(picture: Picture, quality: int | None) -> bytes:
    """Baseline (process 1), Huffman coded."""
    quality = quality or _QUALITY
    subsampling = "4:4:4" if quality >= _FULL_CHROMINANCE else "4:2:0"
    options: dict[str, Any] = {"subsampling": subsampling} if picture.samples.ndim == 3 else {}
    return _saved(picture, "JPEG", quality=quality, progressive=False, **options)


def _webp(picture: Picture, quality: int | None) -> bytes:
    return _saved(picture, "WEBP", quality=quality or _QUALITY, method=2)


def _avif(picture: Picture, quality: int | None) -> bytes:
    return _saved(picture, "AVIF", quality=quality or _QUALITY, speed=8, subsampling="4:4:4", max_threads=1)


def _gif(picture: Picture, _quality: int | None) -> bytes:
    return b"".join(encode_gif((picture,), None))


def _moving_gif(pictures: Iterable[Picture], motion: Motion, _quality: int | None) -> Iterator[bytes]:
    return encode_gif(pictures, motion.frame_seconds)


def _moving_mp4(pictures: Iterable[Picture], motion: Motion, quality: int | None) -> Iterator[bytes]:
    return encode_mp4(pictures, motion, quality or _QUALITY)


def _jxl(picture: Picture, quality: int | None) -> bytes:
    import imagecodecs

    if quality in (None, 100):
        return bytes(imagecodecs.jpegxl_encode(picture.samples, lossless=True, effort=2, numthreads=1))
    # As cjxl has it for its parameter -q.
    distance = 0.1 + (100 - quality) * 0.09 if quality >= 30 else 53 / 3000 * quality**2 - 23 / 20 * quality + 25
    return bytes(imagecodecs.jpegxl_encode(picture.samples, distance=distance, effort=3, numthreads=1))


def _saved(picture: Picture, name: str, **options: Any) -> bytes:
    from PIL import Image

    buffer = BytesIO()
    Image.fromarray(picture.samples).save(buffer, name, icc_profile=picture.icc_profile or b"", **options)
    return buffer.getvalue()


FORMATS: Final = MappingProxyType(
    {
        JPEG: RasterFormat(_jpeg, side=65_500),
        "image/png": RasterFormat(encode_png, library="", side=1 << 24, bits=16),
        GIF: RasterFormat(_gif, profiles=False),
        "image/jp2": RasterFormat(encode_jp2, "imagecodecs", "JPEG2K", bits=16),
        "image/jph": RasterFormat(encode_jph, "imagecodecs", "HTJ2K", bits=16),
        "image/jxl": RasterFormat(_jxl, "imagecodecs", "JPEGXL", bits=16, profiles=False),
        "image/webp": RasterFormat(_webp, feature="webp", side=16_383),
        "image/avif": RasterFormat(_avif, feature="avif"),
    }
)
"""In order of preference."""


MOVING: Final = MappingProxyType(
    {
        GIF: MovingFormat(_moving_gif, FORMATS[GIF]),
        MP4: MovingFormat(_moving_mp4, FORMATS["image/avif"]._replace(side=_VIDEO_SIDE, profiles=False)),
    }
)
"""In order of preference."""


@cache
def _is_available(form: RasterFormat) -> bool:
    library, feature = form.library, form.feature
    if library and find_spec(library) is None:
        return False
    if library == "imagecodecs":
        import imagecodecs

        return bool(getattr(imagecodecs, feature).available)
    if feature:
        from PIL import features

        return bool(features.check(feature))
    return True


def _fitting(picture: Picture, form: RasterFormat, media_type: str) -> Picture:
    if max(picture.rows, picture.columns) > form.side:
        raise CannotRender(f"The picture has more than {form.side} rows or columns, the most of {media_type}.")
    if picture.icc_profile is not None and picture.samples.ndim == 3 and not form.profiles:
        # Without a profile sRGB is assumed.
        picture = in_color_space(picture, ColorSpace.SRGB)
    samples: Any = picture.samples
    if samples.dtype.itemsize * 8 > form.bits:
        samples = (samples >> 8).astype(np.uint8)
    return Picture(np.ascontiguousarray(samples), picture.icc_profile if form.profiles else None)
