"""Images as a presentation state of their study shows them (PS3.18 8.3.5.1.6)."""

from __future__ import annotations

from dicomweb_core.errors import CannotRender, InvalidUID, NotFound
from dicomweb_core.rendering.annotation import annotate
from dicomweb_core.rendering.frame_attributes import frame_attributes
from dicomweb_core.rendering.geometry import place
from dicomweb_core.rendering.pictures import Picture
from dicomweb_core.rendering.presentation_state import (
    PresentationState,
    ReferencedImage,
    display_order,
    presentation_state,
    render_state,
)
from dicomweb_core.services.image_pictures import ShownFrame
from dicomweb_core.services.rendered_instance import RenderedInstance
from dicomweb_core.values.renderings import Rendering
from dicomweb_core.values.resources import InstanceRef


def state_of(instance: RenderedInstance) -> PresentationState:
    """What a presentation state says. Raises CannotRender."""
    return presentation_state(instance.attributes, instance.bulk)


def shown_frames(instance: RenderedInstance) -> tuple[ShownFrame, ...]:
    """The frames that a presentation state shows, in the prescribed order, of those images that are in the archive.

    Raises CannotRender when there are none.
    """
    if instance.shown is None:
        found = [shown for image in state_of(instance).images for shown in _frames_of(instance, image)]
        if not found:
            raise CannotRender("None of the images that the presentation state refers to is here.")
        order = display_order([frame_attributes(image.attributes, frame) for image, frame in found])
        instance.shown = tuple(found[place] for place in order)
    return tuple(ShownFrame(*shown) for shown in instance.shown)


def state_picture(instance: RenderedInstance, index: int, rendering: Rendering) -> Picture:
    """What the presentation state shows at a place (0-based) of its order."""
    return picture_through(instance, shown_frames(instance)[index], rendering)


def picture_through(instance: RenderedInstance, shown: ShownFrame, rendering: Rendering) -> Picture:
    """One frame through a presentation state; then region and viewport, annotations last (9.5.1.2, 8.3.5.1.1)."""
    image, frame = shown
    limits, font_paths = instance.site.limits, instance.site.font_paths
    state = state_of(instance)
    attributes = frame_attributes(image.attributes, frame)
    through = Rendering(viewport=None if rendering.region else rendering.viewport, color_space=rendering.color_space)
    picture = render_state(
        image.frame(frame), attributes, frame + 1, state, image.bulk, through, limits,
        bits=rendering.bits, font_paths=font_paths,
    )  # fmt: skip
    if rendering.region is not None:
        picture = place(picture, rendering, limits)
    return annotate(picture, attributes, rendering.annotations, font_paths=font_paths)


def _frames_of(instance: RenderedInstance, referenced: ReferencedImage) -> list[ShownFrame]:
    """Frames of one reference; none of an image that is not here, or has none."""
    study = instance.stored.ref.study
    try:
        ref = InstanceRef.parse(study, referenced.series_instance_uid, referenced.sop_instance_uid)
        image = RenderedInstance(instance.site, instance.site.instances.get(ref))
    except (NotFound, InvalidUID):
        return []
    if not image.has_frames:
        return []
    numbers = referenced.frames or range(1, image.frame_count + 1)
    return [ShownFrame(image, number - 1) for number in numbers if 1 <= number <= image.frame_count]
