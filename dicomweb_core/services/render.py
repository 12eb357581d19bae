"""Retrieve rendered resources (PS3.18 10.4.1.1.3): pictures of frames, pages of reports, videos as they are."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from typing import Final, NamedTuple

from dicomweb_core.errors import CannotRender, InvalidQuery, NotAcceptable, NotFound
from dicomweb_core.rendering.raster import embeds_profiles, has_animation, moving_types, rendered_types
from dicomweb_core.rules.negotiation import Accept, Offer, choose
from dicomweb_core.rules.object_kinds import Kind
from dicomweb_core.rules.rendering_parameters import UNSUPPORTED_ANNOTATIONS, parse_rendering
from dicomweb_core.services.answers import multipart_answer, part_answer, text_answer
from dicomweb_core.services.parts import Chunks, Part
from dicomweb_core.services.pictures import animation, encoded_picture, picture_count, refusal_of, representative
from dicomweb_core.services.pixels import frame_part
from dicomweb_core.services.rendered_documents import SVG, document_part, document_types, is_written
from dicomweb_core.services.rendered_instance import RenderedInstance
from dicomweb_core.services.site import Site
from dicomweb_core.values.messages import HeaderList, Response
from dicomweb_core.values.renderings import ColorSpace, Rendering
from dicomweb_core.values.resources import InstanceRef, Ref
from dicomweb_core.values.transfer_syntaxes import transfer_syntax

_DOCUMENTS: Final = frozenset({Kind.REPORT, Kind.DOCUMENT})
_LEAST_BYTES: Final = 128 << 10
"""What a picture counts for at least, among those made before an answer begins."""


def retrieve_rendered(
    site: Site, ref: Ref, numbers: tuple[int, ...], accept: Accept, query: str, base_url: str
) -> Response:
    """What there is to see of an instance, of some of its frames (1-based `numbers`), of a series or a study.

    A study or series is always multipart, a part for each frame or document (Table 10.4.4-1). A multi-frame instance
    as a single part is an animation in a media type that has them, else its representative frame. What cannot be
    rendered is left out of a multipart answer and counted in a Warning, as far as it is known before the first byte
    (`Limits.decoded_ahead_bytes`); if that is all, raises CannotRender or another NotAcceptable that says why.
    Raises NotFound (also for a frame number beyond the last), Gone, InvalidQuery, BadRequest, CorruptBlob.
    """
    if not isinstance(ref, InstanceRef):
        rendering, warnings = parse_rendering(query)
        return _several(site, lambda: _items_below(site, ref, accept), rendering, warnings, base_url)
    instance = RenderedInstance(site, site.instances.get(ref))
    rendering, warnings = parse_rendering(query, presentation_state=instance.kind is Kind.PRESENTATION_STATE)
    indexes = frame_indexes(instance, numbers)
    offer = choose_offer(instance, indexes, accept)
    if offer.multipart:
        return _several(site, lambda: _items_of(instance, offer, indexes), rendering, warnings, base_url)
    return single_answer(instance, offer, indexes, rendering, warnings, base_url)


def frame_indexes(instance: RenderedInstance, numbers: tuple[int, ...]) -> tuple[int, ...]:
    """0-based indexes of the frames that the target names; empty if it is the instance.

    Raises NotFound, and InvalidQuery for frames of a presentation state (8.3.5.1.6).
    """
    if numbers and instance.kind is Kind.PRESENTATION_STATE:
        raise InvalidQuery("A presentation state has no frames that could be named (PS3.18 8.3.5.1.6).")
    if numbers and not instance.frame_count:
        raise NotFound("The instance has no frames.")
    beyond = [number for number in numbers if number > instance.frame_count]
    if beyond:
        raise NotFound(f"The instance has {instance.frame_count} frames; there is no frame {beyond[0]}.")
    return tuple(number - 1 for number in numbers)


def choose_offer(
    instance: RenderedInstance, indexes: tuple[int, ...], accept: Accept, *, single_only: bool = False
) -> Offer:
    """In which form an instance or frames of it are sent. Raises NotAcceptable that says what there is instead."""
    offers = offers_of(instance, indexes)
    if single_only:
        offers = tuple(offer for offer in offers if not offer.multipart)
    if not offers:
        raise refusal_of(instance)
    try:
        return choose(accept, offers)
    except NotAcceptable as error:
        if instance.kind is not Kind.VIDEO:
            raise
        raise CannotRender(refusal_of(instance).detail, available=error.available) from error


def offers_of(instance: RenderedInstance, indexes: tuple[int, ...] = ()) -> tuple[Offer, ...]:
    """The forms an instance or frames of it can be rendered in; none of an object that there is nothing to see of."""
    if instance.kind in _DOCUMENTS:
        return _offers(document_types(instance))
    if instance.kind is Kind.WAVEFORM:
        # Last: browsers that take it for an image take anything else, and only pictures have a viewport.
        return _offers((*rendered_types(), SVG))
    if instance.kind is Kind.VIDEO:
        return _offers((transfer_syntax(instance.stored.transfer_syntax_uid).media_type,))
    if count := len(indexes) or picture_count(instance):
        return _offers(rendered_types(), moving_types() if count > 1 else (), animations_only=len(indexes) > 1)
    return ()


def single_answer(
    instance: RenderedInstance,
    offer: Offer,
    indexes: tuple[int, ...],
    rendering: Rendering,
    warnings: Sequence[str],
    base_url: str,
) -> Response:
    """An instance or frames of it as a single part. Raises CannotRender, InvalidQuery, and what reading raises."""
    _check_profile(offer, rendering)
    if offer.item == SVG and rendering.annotations:
        warnings = (*warnings, UNSUPPORTED_ANNOTATIONS.format(values=", ".join(rendering.annotations)))
    headers = warning_headers(warnings, base_url)
    location = f"{base_url}/{instance.stored.ref.path}"
    if is_written(instance, offer.item):
        part, of_document = document_part(instance, offer.item, base_url)
        headers = (*of_document, *headers)
        if part.length is not None:
            return part_answer(part, headers=headers)
        of_document = (("Content-Location", location), *headers)
        return text_answer(part.open(), part.media_type, headers=of_document)
    if instance.kind is Kind.VIDEO:
        return part_answer(_video(instance, base_url), headers=headers)
    shown = indexes or range(picture_count(instance))
    if len(shown) > 1 and has_animation(offer.item):
        cine = Part(offer.item, lambda: animation(instance, shown, offer.item, rendering), None, location)
        return part_answer(cine, headers=headers)
    index = indexes[0] if indexes else representative(instance)
    data = encoded_picture(instance, index, offer.item, rendering)
    return part_answer(Part.of(data, offer.item, source_url(instance, index, base_url)), headers=headers)


def source_url(instance: RenderedInstance, index: int, base_url: str) -> str:
    """The resource that a picture shows (8.6.1.2): a frame, or the instance if it does not count its frames."""
    url = f"{base_url}/{instance.stored.ref.path}"
    return f"{url}/frames/{index + 1}" if instance.is_multi_frame else url


# -- several parts -----------------------------------------------------------------------------------------------------


class _Item(NamedTuple):
    """A part to be: a frame (0-based index), or all of a document or video."""

    instance: RenderedInstance
    offer: Offer
    frame: int | None = None


_Items = Callable[[], Iterator[_Item | NotAcceptable]]
"""What an answer consists of, as often as it is asked; for each object that has no acceptable form the reason."""


def _several(site: Site, items: _Items, rendering: Rendering, warnings: Sequence[str], base_url: str) -> Response:
    """A multipart answer. What is sent as it is asked for is tried first, as far as there is room for that."""
    room = site.limits.decoded_ahead_bytes
    broken: set[tuple[InstanceRef, int | None]] = set()
    refusal: NotAcceptable | InvalidQuery | None = None
    root = ""
    missing = count = 0
    for item in items():
        count += 1
        if isinstance(item, NotAcceptable):
            refusal = item
            missing += 1
            continue
        _check_profile(item.offer, rendering)
        try:
            room -= max(_LEAST_BYTES, _made_ahead(item, rendering, base_url)) if room > 0 else 0
        except (NotAcceptable, InvalidQuery) as error:
            refusal = error
            room -= _LEAST_BYTES
            missing += 1
            broken.add((item.instance.stored.ref, item.frame))
        else:
            root = root or item.offer.item
    if refusal is not None and missing == count:
        raise refusal
    headers = warning_headers(warnings, base_url)
    if missing:
        headers = (*headers, ("Warning", f"299 {base_url}: {missing} of {count} pictures or documents cannot be sent"))

    def parts() -> Iterator[Part]:
        for item in items():
            if not isinstance(item, NotAcceptable) and (item.instance.stored.ref, item.frame) not in broken:
                yield _part(item, rendering, base_url)

    return multipart_answer(parts(), root, headers=headers)


def _items_of(instance: RenderedInstance, offer: Offer, indexes: tuple[int, ...]) -> Iterator[_Item]:
    if not picture_count(instance) or is_written(instance, offer.item):
        yield _Item(instance, offer)
        return
    for index in indexes or range(picture_count(instance)):
        yield _Item(instance, offer, index)


def _items_below(site: Site, ref: Ref, accept: Accept) -> Iterator[_Item | NotAcceptable]:
    chosen: dict[tuple[Offer, ...], Offer | NotAcceptable] = {}
    for stored in site.instances.instances(ref):
        instance = RenderedInstance(site, stored)
        try:
            offers = tuple(offer for offer in offers_of(instance) if offer.multipart)
        except CannotRender as error:
            yield error
            continue
        if not offers:
            yield refusal_of(instance)
            continue
        if offers not in chosen:
            try:
                chosen[offers] = choose(accept, offers)
            except NotAcceptable as error:
                chosen[offers] = error
        found = chosen[offers]
        if isinstance(found, NotAcceptable):
            yield found
        else:
            yield from _items_of(instance, found, ())


def _made_ahead(item: _Item, rendering: Rendering, base_url: str) -> int:
    """Bytes of a picture that is made now; it is in the cache then. Raises NotAcceptable, InvalidQuery."""
    if item.frame is not None:
        return len(encoded_picture(item.instance, item.frame, item.offer.item, rendering))
    if is_written(item.instance, item.offer.item):
        document_part(item.instance, item.offer.item, base_url)
    return 0


def _part(item: _Item, rendering: Rendering, base_url: str) -> Part:
    instance, offer, index = item
    if is_written(instance, offer.item):
        return document_part(instance, offer.item, base_url).part
    if index is None:
        return _video(instance, base_url)

    def picture() -> Chunks:
        yield encoded_picture(instance, index, offer.item, rendering)

    return Part(offer.item, picture, None, source_url(instance, index, base_url))


def _video(instance: RenderedInstance, base_url: str) -> Part:
    """The codestream as it is stored."""
    stored, layout = instance.stored, instance.layout
    assert layout.frames is not None
    part = frame_part(instance.site, stored, layout, layout.frames, 1, base_url)
    return part._replace(media_type=part.essence, location=f"{base_url}/{stored.ref.path}")


@lru_cache(maxsize=64)
def _offers(
    types: tuple[str, ...], moving: tuple[str, ...] = (), *, animations_only: bool = False
) -> tuple[Offer, ...]:
    """Each type as a single part and as several, the first by default, and types of motion as a single part.
    `animations_only`: a single part has to show several frames."""
    offers = []
    for media_type in types:
        default = media_type == types[0]
        if not animations_only or media_type in moving:
            offers.append(Offer(media_type, multipart=False, default=default))
        offers.append(Offer(media_type, multipart=True, default=default))
    offers += [Offer(media_type, multipart=False) for media_type in moving if media_type not in types]
    return tuple(offers)


def _check_profile(offer: Offer, rendering: Rendering) -> None:
    """Raises InvalidQuery for a profile in a media type that has none (8.3.5.1.5)."""
    if rendering.color_space in (None, ColorSpace.NO) or not offer.item.startswith(("image/", "video/")):
        return
    if not embeds_profiles(offer.item):
        raise InvalidQuery(f"{offer.item} cannot have the profile that iccprofile asks for (PS3.18 8.3.5.1.5).")


def warning_headers(warnings: Sequence[str], base_url: str) -> HeaderList:
    """A header for each text."""
    return tuple(("Warning", f"299 {base_url}: {text}") for text in warnings)
