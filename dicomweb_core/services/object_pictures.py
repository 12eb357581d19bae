"""Pictures of objects that are no images of their own: segmentations and contours over their source, parametric maps,
waveforms."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Final

from dicomweb_core.errors import NotAcceptable, NotFound
from dicomweb_core.rendering import contours, segmentation
from dicomweb_core.rendering.annotation import annotate
from dicomweb_core.rendering.contours import contours_on
from dicomweb_core.rendering.frame_attributes import frame_attributes
from dicomweb_core.rendering.geometry import Interpolation, place
from dicomweb_core.rendering.icc import in_color_space
from dicomweb_core.rendering.parametric_map import render_parametric_map
from dicomweb_core.rendering.pictures import Picture
from dicomweb_core.rendering.planes import SourceImage, frame_shows_plane, plane_of
from dicomweb_core.rendering.structure_set import render_structure_set
from dicomweb_core.rendering.waveform import render_waveform
from dicomweb_core.services.image_pictures import ShownFrame, image_picture
from dicomweb_core.services.references import find_instance
from dicomweb_core.services.rendered_instance import RenderedInstance
from dicomweb_core.values.attributes import Attributes, first_text
from dicomweb_core.values.renderings import ColorSpace, Rendering

_SHEET_WIDTH: Final = 1_200
"""Pixels of a drawing whose size nobody asked for."""
_WIDEST_SHEET: Final = 4_096
_BURNED_IN_ANNOTATION: Final = "00280301"
_SOURCES: Final = 256
"""Images that are looked at for the one that lies where a frame lies."""
_SEGMENTS: Final = 256
"""Frames that are laid over one picture."""


def names_burned_in(attributes: Attributes) -> bool:
    """Whether an image says that its pixels tell who the patient is: Burned In Annotation (0028,0301)."""
    return first_text(attributes, _BURNED_IN_ANNOTATION).strip(" \0").upper() == "YES"


def segmentation_picture(instance: RenderedInstance, index: int, rendering: Rendering) -> Picture:
    """All segments where frame `index` (0-based) lies, over the image they were drawn on if that is in the study."""
    attributes = instance.attributes
    beside = [frame for frame in segmentation.frames_beside(attributes, index) if frame < instance.frame_count]
    frames = {frame: instance.frame(frame) for frame in (beside or [index])[:_SEGMENTS]}
    source = _source_of_segments(instance, index)
    if source is not None and not _may_be_under(source, rendering):
        source = None
    picture = segmentation.render_segments(
        frames,
        attributes,
        None if source is None else _under(source, rendering),
        None if source is None else frame_attributes(source.image.attributes, source.frame),
        bulk=instance.bulk,
        limits=instance.site.limits,
    )
    return _placed(instance, index, picture, rendering, Interpolation.SMOOTH if source else Interpolation.NEAREST)


def map_picture(instance: RenderedInstance, index: int, rendering: Rendering) -> Picture:
    """A frame of a parametric map in colour."""
    attributes = frame_attributes(instance.attributes, index)
    limits = instance.site.limits
    picture = render_parametric_map(instance.frame(index), attributes, instance.bulk, rendering, limits=limits)
    return _placed(instance, index, picture, rendering)


def structure_set_picture(instance: RenderedInstance, index: int, rendering: Rendering) -> Picture:
    """Contours over the image that most of them lie on, or on a plain ground if it is not in the study."""
    attributes, limits = instance.attributes, instance.site.limits
    for source in _found(instance, contours.referenced_images(attributes)):
        of_image = frame_attributes(source.image.attributes, source.frame)
        if plane_of(of_image) is None or not _may_be_under(source, rendering):
            continue
        try:
            under = _under(source, rendering)
        except NotAcceptable:
            continue
        picture = contours_on(attributes, of_image, under, bulk=instance.bulk, limits=limits)
        return _placed(instance, index, picture, rendering)
    width = _sheet_width(rendering)
    picture = render_structure_set(
        attributes,
        bulk=instance.bulk,
        width=width,
        limits=limits,
        font_paths=instance.site.font_paths,
        texts=rendering.texts,
    )
    return _placed(instance, index, picture, rendering)


def waveform_picture(instance: RenderedInstance, index: int, rendering: Rendering) -> Picture:
    """The plot of a waveform."""
    site, width = instance.site, _sheet_width(rendering)
    picture = render_waveform(
        instance.attributes,
        bulk=instance.bulk,
        width=width,
        limits=site.limits,
        font_paths=site.font_paths,
        texts=rendering.texts,
    )
    return _placed(instance, index, picture, rendering)


def _placed(
    instance: RenderedInstance,
    index: int,
    picture: Picture,
    rendering: Rendering,
    interpolation: Interpolation = Interpolation.SMOOTH,
) -> Picture:
    site = instance.site
    placed = place(in_color_space(picture, rendering.color_space), rendering, site.limits, interpolation)
    attributes = frame_attributes(instance.attributes, index)
    return annotate(placed, attributes, rendering.annotations, font_paths=site.font_paths)


def _sheet_width(rendering: Rendering) -> int:
    return _SHEET_WIDTH if rendering.viewport is None else min(rendering.viewport.width, _WIDEST_SHEET)


def _source_of_segments(instance: RenderedInstance, index: int) -> ShownFrame | None:
    attributes = instance.attributes
    named = segmentation.source_of(attributes, index)
    found = next(_found(instance, [named] if named else []), None)
    if found is not None:
        return found
    frame = frame_attributes(attributes, index)
    if plane_of(frame) is None:
        return None
    images = _found(instance, segmentation.referenced_images(attributes))
    return next((image for image in images if _lies_there(frame, image)), None)


def _under(source: ShownFrame, rendering: Rendering) -> Picture:
    """In sRGB: so are the colours that are laid over it."""
    return image_picture(source, Rendering(window=rendering.window, color_space=ColorSpace.SRGB))


def _may_be_under(source: ShownFrame, rendering: Rendering) -> bool:
    return rendering.texts or not names_burned_in(source.image.attributes)


def _lies_there(frame: Attributes, image: ShownFrame) -> bool:
    return frame_shows_plane(frame, frame_attributes(image.image.attributes, image.frame))


def _found(instance: RenderedInstance, sources: Iterable[SourceImage]) -> Iterator[ShownFrame]:
    """Those of the sources that are in the study and can be decoded."""
    site, study = instance.site, instance.stored.ref.of_study
    for source in islice(sources, _SOURCES):
        ref = find_instance(site, study, source.sop_instance_uid)
        if ref is None:
            continue
        try:
            image = RenderedInstance(site, site.instances.get(ref))
        except NotFound:
            continue
        frame = (source.frame_number or 1) - 1
        if image.has_frames and 0 <= frame < image.frame_count:
            yield ShownFrame(image, frame)
