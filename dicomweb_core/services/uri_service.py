"""The URI Service (PS3.18 chapter 9), WADO-URI of older editions: one instance, named by query parameters."""

from __future__ import annotations

from typing import Final

import orjson

from dicomweb_core.errors import CannotRender, InvalidQuery, NotAcceptable, NotFound
from dicomweb_core.rules.negotiation import Accept, MediaRange, Offer, is_acceptable
from dicomweb_core.rules.object_kinds import Kind
from dicomweb_core.rules.rendering_parameters import rendering_of
from dicomweb_core.rules.uri_forms import DICOM, Form, form_of
from dicomweb_core.rules.uri_parameters import RenderedRequest, URIRequest
from dicomweb_core.services.answers import part_answer
from dicomweb_core.services.parts import Part
from dicomweb_core.services.pictures import encoded_picture, representative
from dicomweb_core.services.render import choose_offer, offers_of, single_answer, source_url, warning_headers
from dicomweb_core.services.rendered_instance import RenderedInstance
from dicomweb_core.services.retrieve import retrieve_instances
from dicomweb_core.services.site import Site
from dicomweb_core.storage.instances import StoredInstance
from dicomweb_core.values.attributes import INSTANCE_URL
from dicomweb_core.values.messages import Response
from dicomweb_core.values.resources import InstanceRef

AVAILABLE: Final = (DICOM,)
"""Forms of an instance that is not rendered."""

_NUMBER_OF_FRAMES: Final = "00280008"


def retrieve_by_uri(site: Site, request: URIRequest, accept: Accept, base_url: str) -> Response:
    """The instance as a Part 10 file, or rendered (9.3).

    Raises InvalidQuery, NotFound, Gone, NotAcceptable, CorruptBlob.
    """
    form = form_of(request.rendered.content_types, accept)
    if form is Form.DICOM:
        return _retrieve_dicom(site, request, base_url)
    stored = site.instances.get(request.ref)
    _check_against_instance(site, stored, request.rendered)
    _refuse_anonymization(request)
    return render(site, stored, request.rendered, accept, base_url)


def render(site: Site, stored: StoredInstance, request: RenderedRequest, accept: Accept, base_url: str) -> Response:
    """The instance in one of the rendered types of the request (9.5); `request` fits the instance.

    Raises NotAcceptable, InvalidQuery, CorruptBlob.
    """
    instance = RenderedInstance(site, stored)
    indexes = (request.frame_number - 1,) if request.frame_number is not None else ()
    offer = _offer(instance, indexes, request, accept)
    rendering, warnings = rendering_of(request)
    if request.presentation_state is None:
        return single_answer(instance, offer, indexes, rendering, warnings, base_url)
    if not instance.has_frames:
        raise CannotRender("The instance has no frames that a presentation state could be applied to.")
    state = RenderedInstance(site, site.instances.get(request.presentation_state))
    index = representative(instance)
    data = encoded_picture(instance, index, offer.item, rendering, state)
    part = Part.of(data, offer.item, source_url(instance, index, base_url))
    return part_answer(part, headers=warning_headers(warnings, base_url))


def _offer(instance: RenderedInstance, indexes: tuple[int, ...], request: RenderedRequest, accept: Accept) -> Offer:
    """The first of the media types of contentType, by their quality, that there is and that is accepted (9.5)."""
    offers = [offer for offer in offers_of(instance, indexes) if not offer.multipart]
    if not request.content_types or not offers:
        return choose_offer(instance, indexes, accept, single_only=True)
    for preference in sorted(request.content_types, key=lambda preference: -preference.q):
        wanted = MediaRange(preference.value, explicit="*" not in preference.value)
        for offer in offers if preference.q else ():
            if is_acceptable(Accept((wanted,)), offer) and is_acceptable(accept, offer):
                return offer
    raise NotAcceptable(
        "None of the media types of contentType can be produced for this instance and is accepted.",
        available=tuple(map(str, offers)),
    )


def _retrieve_dicom(site: Site, request: URIRequest, base_url: str) -> Response:
    if request.rendered.window is not None:
        raise InvalidQuery("windowCenter and windowWidth do not apply to application/dicom (PS3.18 9.5.1.2.6).")
    site.instances.get(request.ref)
    _refuse_anonymization(request)
    # Without a transfer syntax it means here what it means everywhere: Explicit VR Little Endian (9.4.2.4), and what
    # is compressed with loss stays as it is.
    wanted = MediaRange(DICOM, transfer_syntax=request.transfer_syntax)
    try:
        response = retrieve_instances(site, request.ref, Accept((wanted,)), base_url)
    except NotAcceptable as error:
        error.available = tuple(form for form in error.available if form.startswith(DICOM + ";")) or AVAILABLE
        raise
    # This service does without parameters of media types (9.1.3).
    headers = tuple((name, DICOM if name == "Content-Type" else value) for name, value in response.headers)
    return Response(response.status, headers, response.body)


def _refuse_anonymization(request: URIRequest) -> None:
    """Never ignored, as an unknown parameter would be: whoever asks for it counts on it (9.4.1.2.1)."""
    if request.anonymize:
        raise NotAcceptable("Instances are not de-identified here: anonymize=yes is refused (PS3.18 9.4.2.3).")


def _check_against_instance(site: Site, stored: StoredInstance, request: RenderedRequest) -> None:
    """Raises InvalidQuery for a frame that is not there (9.5.2.1) and an unknown presentation state (9.5.1.2.7)."""
    number = request.frame_number
    if number is not None:
        frames = stored.layout.frames
        if frames is None or number > frames.count:
            count = frames.count if frames is not None else 0
            raise InvalidQuery(f"The instance has {count} frames; frameNumber is beyond (PS3.18 9.5.2.1).")
        if frames.count == 1 and not _is_multi_frame(site, stored.ref):
            raise InvalidQuery("The instance is not a multi-frame one: frameNumber does not apply (PS3.18 9.5.2.1).")
    if request.presentation_state is not None:
        try:
            state = RenderedInstance(site, site.instances.get(request.presentation_state))
            if state.kind is not Kind.PRESENTATION_STATE:
                raise NotFound
        except NotFound as error:
            raise InvalidQuery("There is no presentation state of these UIDs (PS3.18 9.5.1.2.7).") from error


def _is_multi_frame(site: Site, ref: InstanceRef) -> bool:
    """Whether it has Number of Frames (0028,0008): one frame of a multi-frame object is frame 1, a single-frame
    object has no frame numbers."""
    texts = (text.replace(INSTANCE_URL, b"") for _, text in site.instances.metadata(ref))
    return any(_NUMBER_OF_FRAMES in orjson.loads(text) for text in texts)
