"""Pictures of stored objects: for each kind of object the function that shows one frame of it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import Final, NamedTuple

from dicomweb_core.codecs.dictionary import uid_name
from dicomweb_core.errors import CannotRender, DICOMwebError, TooLarge
from dicomweb_core.rendering.annotation import annotate
from dicomweb_core.rendering.frame_attributes import finite_number, frame_attributes, numbers
from dicomweb_core.rendering.geometry import place
from dicomweb_core.rendering.icc import in_color_space
from dicomweb_core.rendering.pictures import Motion, Picture
from dicomweb_core.rendering.raster import depth_of, encode
from dicomweb_core.rendering.representative import representative as representative_frame
from dicomweb_core.rules.object_kinds import Kind
from dicomweb_core.services.image_pictures import ShownFrame, image_picture
from dicomweb_core.services.object_pictures import (
    map_picture,
    segmentation_picture,
    structure_set_picture,
    waveform_picture,
)
from dicomweb_core.services.picture_cache import PictureKey
from dicomweb_core.services.rendered_instance import RenderedInstance
from dicomweb_core.services.state_pictures import picture_through, shown_frames, state_picture
from dicomweb_core.values.renderings import Rendering

logger: Final = logging.getLogger("dicomweb_core")

_FRAME_TIME: Final = "00181063"
_FRAME_TIME_VECTOR: Final = "00181065"
_RATES: Final = ("00082144", "00180040")
"""Recommended Display Frame Rate, Cine Rate: frames a second."""
_FRAME_SECONDS: Final = 0.1
_LONGEST_FRAME: Final = 10.0


class _Depiction(NamedTuple):
    """How objects of a kind are shown."""

    count: Callable[[RenderedInstance], int]
    """How many pictures it has. Raises CannotRender."""
    show: Callable[[RenderedInstance, int, Rendering], Picture]
    """One of them, 0-based."""


def picture_count(instance: RenderedInstance) -> int:
    """How many pictures there are of an object: frames, or the images that a presentation state shows. 0 if it is of
    no kind that pictures are made of. Raises CannotRender."""
    depiction = _DEPICTIONS.get(instance.kind)
    return 0 if depiction is None else depiction.count(instance)


def representative(instance: RenderedInstance) -> int:
    """The index (0-based) of the picture that stands for all of them."""
    count = picture_count(instance)
    if count <= 1 or instance.kind is Kind.PRESENTATION_STATE:
        return count // 2
    return min(representative_frame(instance.attributes), count - 1)


def picture_of(
    instance: RenderedInstance, index: int, rendering: Rendering, through: RenderedInstance | None = None
) -> Picture:
    """One picture (0-based index) as it is to be shown; `through` a presentation state, if one is given.

    Raises CannotRender and other kinds of NotAcceptable that say why there is no picture, InvalidQuery when the
    parameters do not fit it, and what reading raises. Nothing else: whatever a library thinks of the values of an
    object, the answer is that it cannot be rendered.
    """
    try:
        depiction = _DEPICTIONS.get(instance.kind)
        if depiction is None or not 0 <= index < depiction.count(instance):
            raise refusal_of(instance)
        if through is not None:
            return picture_through(through, ShownFrame(instance, index), rendering)
        return depiction.show(instance, index, rendering)
    except TooLarge as error:
        raise CannotRender(error.detail) from error
    except DICOMwebError:
        raise
    except Exception as error:
        logger.exception("A frame of %s could not be rendered", uid_name(instance.stored.sop_class_uid))
        raise CannotRender("The picture could not be made of what the object says.") from error


def encoded_picture(
    instance: RenderedInstance,
    index: int,
    media_type: str,
    rendering: Rendering,
    through: RenderedInstance | None = None,
) -> bytes:
    """The same as a file, from the cache or made now."""
    if rendering.bits > depth_of(media_type):
        rendering = replace(rendering, bits=depth_of(media_type))
    alone = instance.kind is Kind.IMAGE and through is None
    stored, versions = instance.stored, instance.site.instances.version
    state = stored.version if alone else versions(stored.ref.of_study)
    applied = through.stored.ref if through is not None else None
    key = PictureKey(stored.ref, state, index, media_type, rendering, applied)

    def make() -> bytes:
        return encoded(picture_of(instance, index, rendering, through), media_type, rendering.quality)

    return instance.site.picture_cache.find_or_make(key, make)


def encoded(picture: Picture, media_type: str, quality: int | None) -> bytes:
    """A picture as a file. Raises MissingCodec, and CannotRender when the media type cannot hold it."""
    return b"".join(_encoded((picture,), media_type, quality))


def animation(
    instance: RenderedInstance, indexes: Sequence[int], media_type: str, rendering: Rendering
) -> Iterator[bytes]:
    """Frames (0-based indexes) one after the other as one animated file, made as it is read."""
    rendering = replace(rendering, bits=8)
    pictures = (picture_of(instance, index, rendering) for index in indexes)
    return _encoded(pictures, media_type, rendering.quality, Motion(frame_seconds(instance), len(indexes)))


def frame_seconds(instance: RenderedInstance) -> float:
    """How long a frame is shown: Frame Time, else the mean of Frame Time Vector, else a rate, else a tenth second."""
    attributes = instance.attributes
    time = finite_number(attributes, _FRAME_TIME)
    if time is None and (vector := numbers(attributes, _FRAME_TIME_VECTOR)[1:]):
        time = sum(vector) / len(vector)
    if time is not None and 0 < time <= _LONGEST_FRAME * 1000:
        return time / 1000
    rates = (finite_number(attributes, tag) for tag in _RATES)
    return next((1 / rate for rate in rates if rate is not None and rate >= 1 / _LONGEST_FRAME), _FRAME_SECONDS)


def refusal_of(instance: RenderedInstance) -> CannotRender:
    """Why there is nothing to see of an object of no kind that is shown."""
    name = uid_name(instance.stored.sop_class_uid)
    named = f"An object of the SOP class {name}" if name else "An object of this SOP class"
    return CannotRender(f"{named} cannot be rendered here: {_REASONS.get(instance.kind, 'it has no pixel data')}.")


def _encoded(
    pictures: Iterator[Picture] | Sequence[Picture], media_type: str, quality: int | None, motion: Motion | None = None
) -> Iterator[bytes]:
    try:
        yield from encode(pictures, media_type, quality, motion)
    except DICOMwebError:
        raise
    except Exception as error:
        logger.exception("A picture could not be encoded as %s", media_type)
        raise CannotRender(f"The picture could not be encoded as {media_type}.") from error


def _image(instance: RenderedInstance, index: int, rendering: Rendering) -> Picture:
    picture = image_picture(ShownFrame(instance, index), rendering)
    if picture.samples.ndim == 2:
        picture = in_color_space(picture, rendering.color_space)
    attributes = frame_attributes(instance.attributes, index)
    site = instance.site
    return annotate(
        place(picture, rendering, site.limits), attributes, rendering.annotations, font_paths=site.font_paths
    )


def _frames(instance: RenderedInstance) -> int:
    return instance.frame_count


def _one(_instance: RenderedInstance) -> int:
    return 1


def _shown(instance: RenderedInstance) -> int:
    return len(shown_frames(instance))


_DEPICTIONS: Final = MappingProxyType(
    {
        Kind.IMAGE: _Depiction(_frames, _image),
        Kind.SEGMENTATION: _Depiction(_frames, segmentation_picture),
        Kind.PARAMETRIC_MAP: _Depiction(_frames, map_picture),
        Kind.STRUCTURE_SET: _Depiction(_one, structure_set_picture),
        Kind.WAVEFORM: _Depiction(_one, waveform_picture),
        Kind.PRESENTATION_STATE: _Depiction(_shown, state_picture),
    }
)
"""Kinds that pictures are made of."""

_REASONS: Final = MappingProxyType({Kind.VIDEO: "video is sent as it is stored and not decoded"})
