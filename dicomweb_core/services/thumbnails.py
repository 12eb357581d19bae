"""Retrieve thumbnails (PS3.18 10.4.1.1.4): one small picture of a study, series, instance or frame, without a text of
the patient."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from typing import Final

from dicomweb_core.errors import NotAcceptable, NotFound
from dicomweb_core.rendering.icons import icon
from dicomweb_core.rendering.raster import rendered_types
from dicomweb_core.rules.negotiation import Accept, Offer, choose
from dicomweb_core.rules.object_kinds import Kind
from dicomweb_core.rules.rendering_parameters import parse_rendering
from dicomweb_core.services.answers import part_answer
from dicomweb_core.services.object_pictures import names_burned_in
from dicomweb_core.services.parts import Part
from dicomweb_core.services.picture_cache import PictureKey
from dicomweb_core.services.pictures import encoded, picture_of, representative
from dicomweb_core.services.render import frame_indexes, source_url
from dicomweb_core.services.rendered_instance import RenderedInstance
from dicomweb_core.services.site import Site
from dicomweb_core.values.attributes import first_text
from dicomweb_core.values.messages import Response
from dicomweb_core.values.renderings import Rendering, Viewport
from dicomweb_core.values.resources import InstanceRef, Ref, SeriesRef

SIDE: Final = 256
"""Width and height that a thumbnail has at most, unless the client says otherwise."""

_SHOWN: Final = frozenset({Kind.IMAGE, Kind.SEGMENTATION, Kind.PARAMETRIC_MAP})
"""What stands for a study or series before all others."""
_DRAWN: Final = frozenset({Kind.STRUCTURE_SET, Kind.WAVEFORM})
"""What is drawn without its words."""
_LARGEST_ICON: Final = 1_024
_MODALITY: Final = "00080060"


def retrieve_thumbnail(
    site: Site, ref: Ref, numbers: tuple[int, ...], accept: Accept, query: str, base_url: str
) -> Response:
    """The frame in the middle of the object in the middle of the first series with images; of `numbers` (1-based) the
    first. What cannot be shown, or says of itself that names are burned into it, has a sheet of paper with the letters
    of its modality.

    Raises NotFound, Gone, InvalidQuery, NotAcceptable for the media type, CorruptBlob.
    """
    rendering, _warnings = parse_rendering(query, thumbnail=True)
    viewport = rendering.viewport or Viewport(SIDE, SIDE)
    offer = choose(accept, _offers())
    instance = _representative(site, ref)
    indexes = frame_indexes(instance, numbers)
    index = indexes[0] if indexes else representative(instance) if _has_picture(instance) else 0
    data = _encoded(instance, index, offer.item, replace(rendering, viewport=viewport))
    location = (
        source_url(instance, index, base_url) if instance.frame_count else f"{base_url}/{instance.stored.ref.path}"
    )
    return part_answer(Part.of(data, offer.item, location))


def _encoded(instance: RenderedInstance, index: int, media_type: str, rendering: Rendering) -> bytes:
    site, stored = instance.site, instance.stored
    state = stored.version if instance.kind is Kind.IMAGE else site.instances.version(stored.ref.of_study)
    key = PictureKey(stored.ref, state, index, media_type, rendering, thumbnail=True)

    def make() -> bytes:
        return _made(instance, index, media_type, rendering)

    return site.picture_cache.find_or_make(key, make)


def _made(instance: RenderedInstance, index: int, media_type: str, rendering: Rendering) -> bytes:
    if _has_picture(instance) and not names_burned_in(instance.attributes):
        try:
            return encoded(picture_of(instance, index, rendering), media_type, rendering.quality)
        except NotAcceptable:
            pass
    viewport = rendering.viewport or Viewport(SIDE, SIDE)
    side = min(viewport.width, viewport.height, _LARGEST_ICON)
    return encoded(icon(first_text(instance.attributes, _MODALITY), side), media_type, rendering.quality)


def _has_picture(instance: RenderedInstance) -> bool:
    return instance.kind in _DRAWN or _is_shown(instance)


def _is_shown(instance: RenderedInstance) -> bool:
    return instance.kind in _SHOWN and instance.has_frames


def _representative(site: Site, ref: Ref) -> RenderedInstance:
    """The instance itself; of more, the one in the middle of the first series with images, else the first that is
    drawn, else the first of all."""
    if isinstance(ref, InstanceRef):
        return RenderedInstance(site, site.instances.get(ref))
    rows = site.instances.instances(ref)
    first = drawn = None
    series: SeriesRef | None = None
    found: list[InstanceRef] = []
    for stored in rows:
        if series is not None and stored.ref.of_series != series:
            break
        instance = RenderedInstance(site, stored)
        first = first or instance
        if _is_shown(instance):
            series = stored.ref.of_series
            found.append(stored.ref)
        elif drawn is None and instance.kind in _DRAWN:
            drawn = instance
    if found:
        return RenderedInstance(site, site.instances.get(found[len(found) // 2]))
    if first is None:
        raise NotFound("There is no instance.")
    return drawn or first


@lru_cache(maxsize=1)
def _offers() -> tuple[Offer, ...]:
    types = rendered_types()
    return tuple(Offer(media_type, default=media_type == types[0]) for media_type in types)
