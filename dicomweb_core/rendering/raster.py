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
from dicomweb_core.rendering.pictures import Picture
from dicomweb_core.rendering.png import encode_png
from dicomweb_core.values.renderings import ColorSpace

JPEG: Final = "image/jpeg"
GIF: Final = "image/gif"

_QUALITY: Final = 90
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
    animated: bool = False


def encode(
    pictures: Iterable[Picture], media_type: str, quality: int | None, *, frame_seconds: float | None = None
) -> Iterator[bytes]:
    """A file in chunks: of one picture (one chunk), or, with `frame_seconds`, an animation of all of them, made one at
    a time.

    `quality` is 1 to 100, where 100 is best. It does not count for image/png, image/gif and image/jph. Without it
    image/jpeg, image/webp and image/avif have 90, image/jp2 and image/jxl lose nothing. Samples of 16 bits become 8
    where the media type has no more, and colors become sRGB where it embeds no profile. Raises MissingCodec, and
    CannotRender when the picture is too large for it.
    """
    form = _required(media_type)
    fitting = (_fitting(picture, form, media_type) for picture in pictures)
    if form.animated and frame_seconds is not None:
        yield from encode_gif(fitting, frame_seconds)
    else:
        yield form.encode(next(fitting), quality)


def rendered_types() -> tuple[str, ...]:
    """The media types that `encode` can make here, the preferred first."""
    return tuple(media_type for media_type in FORMATS if _is_available(media_type))


def embeds_profiles(media_type: str) -> bool:
    """Whether it can carry an ICC profile (PS3.18 8.3.5.1.5)."""
    return FORMATS[media_type].profiles


def has_animation(media_type: str) -> bool:
    """Whether it can show all frames of a multi-frame object one after the other."""
    return FORMATS[media_type].animated


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
        GIF: RasterFormat(_gif, profiles=False, animated=True),
        "image/jp2": RasterFormat(encode_jp2, "imagecodecs", "JPEG2K", bits=16),
        "image/jph": RasterFormat(encode_jph, "imagecodecs", "HTJ2K", bits=16),
        "image/jxl": RasterFormat(_jxl, "imagecodecs", "JPEGXL", bits=16, profiles=False),
        "image/webp": RasterFormat(_webp, feature="webp", side=16_383),
        "image/avif": RasterFormat(_avif, feature="avif"),
    }
)
"""In order of preference."""


def _required(media_type: str) -> RasterFormat:
    if not _is_available(media_type):
        raise MissingCodec(f"{media_type} needs Pillow or imagecodecs (extra `pixels`), which is not installed here.")
    return FORMATS[media_type]


@cache
def _is_available(media_type: str) -> bool:
    library, feature = FORMATS[media_type].library, FORMATS[media_type].feature
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
