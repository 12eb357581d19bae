"""Retrieve frames (PS3.18 10.4.1.1.6)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import pairwise
from typing import Final

from dicomweb_core.errors import InvalidFrame, NotAcceptable, NotFound, TooLarge
from dicomweb_core.rules.negotiation import Accept, MediaRange, Offer
from dicomweb_core.services.answers import multipart_answer, part_answer
from dicomweb_core.services.parts import Chunks, Part
from dicomweb_core.services.pixel_forms import (
    OCTETS,
    choose_form,
    made_forms,
    pixel_offers,
    prefers_stored,
    stored_offers,
)
from dicomweb_core.services.site import Site
from dicomweb_core.services.sources import Inflation, open_source, read_stored_frame, spans_reader
from dicomweb_core.services.transcoding import Transcoding
from dicomweb_core.storage.instances import StoredInstance
from dicomweb_core.values.blobs import FrameIndex, InstanceLayout
from dicomweb_core.values.messages import HeaderList, Response
from dicomweb_core.values.resources import InstanceRef
from dicomweb_core.values.transfer_syntaxes import EXPLICIT_VR_LITTLE_ENDIAN, transfer_syntax

NATIVE: Final = f"{OCTETS}; transfer-syntax={EXPLICIT_VR_LITTLE_ENDIAN}"
"""Content-Type of pixel data that are not compressed."""


def retrieve_frames(site: Site, ref: InstanceRef, numbers: tuple[int, ...], accept: Accept, base_url: str) -> Response:
    """The frames asked for, a part each in the order asked for; a single part for one frame if that is preferred.

    Frames that cannot be made in the form that was chosen are left out and counted in a Warning, as far as that is
    known before the first byte (`Limits.decoded_ahead_bytes`); if that is all of them, raises NotAcceptable.
    Raises NotFound (also for a frame number beyond the last), Gone, CorruptBlob.
    """
    stored = site.instances.get(ref)
    layout = stored.layout
    frames = layout.frames
    if frames is None:
        raise NotFound("The instance has no frames.")
    beyond = [number for number in numbers if number > frames.count]
    if beyond:
        raise NotFound(f"The instance has {frames.count} frames; there is no frame {beyond[0]}.")
    offer = _chosen(site, stored, layout, frames, accept, single=len(numbers) == 1)
    _check_order(site, layout, numbers)
    if not offer.stored:
        return _made_answer(site, stored, layout, offer, numbers, base_url)
    inflation = Inflation()
    parts = [frame_part(site, stored, layout, frames, number, base_url, inflation) for number in numbers]
    if not offer.multipart:
        return part_answer(parts[0])
    return multipart_answer(parts, parts[0].essence)


def _chosen(
    site: Site, stored: StoredInstance, layout: InstanceLayout, frames: FrameIndex, accept: Accept, *, single: bool
) -> Offer:
    uid = stored.transfer_syntax_uid
    offers = stored_offers(uid, encapsulated=frames.encapsulated, single=single)
    preferred = prefers_stored(accept, offers)
    if preferred is not None:
        return preferred
    forms = made_forms(uid, layout, site.limits)
    encapsulated = frames.encapsulated
    offers = pixel_offers(uid, forms.syntaxes, encapsulated=encapsulated, single=single, single_native=single)
    return choose_form(accept, offers, forms)


def _check_order(site: Site, layout: InstanceLayout, numbers: tuple[int, ...]) -> None:
    """Raises TooLarge: every step back in a deflated data set inflates it anew."""
    if not layout.deflated:
        return
    passes = sum(number <= before for before, number in pairwise(numbers))
    if passes * layout.dataset_length > site.limits.inflated_bytes:
        raise TooLarge(
            "The frames of this deflated instance have to be asked for in ascending order.",
            limit="inflated_bytes",
            ceiling=site.limits.inflated_bytes,
        )


# -- as stored ---------------------------------------------------------------------------------------------------------


def frame_part(
    site: Site,
    stored: StoredInstance,
    layout: InstanceLayout,
    frames: FrameIndex,
    number: int,
    base_url: str,
    inflation: Inflation | None = None,
) -> Part:
    """One frame, 1-based. Native frames are little endian and begin at bit 0; codestreams are as stored."""
    return Part(
        _media_type(stored, frames),
        lambda: frame_chunks(site, stored, layout, number - 1, inflation),
        frames.length(number - 1),
        f"{base_url}/{stored.ref.path}/frames/{number}",
        _ranged(site, stored, layout, frames, number - 1),
    )


def _ranged(
    site: Site, stored: StoredInstance, layout: InstanceLayout, frames: FrameIndex, index: int
) -> Callable[[int, int], Chunks] | None:
    """`Part.ranged` of a frame whose bytes are sent as they lie in the file."""
    if not frames.encapsulated and (frames.frame_bits % 8 or transfer_syntax(stored.transfer_syntax_uid).big_endian):
        return None
    return spans_reader(site, stored, layout, lambda: frames.fragments(index))


def frame_chunks(
    site: Site, stored: StoredInstance, layout: InstanceLayout, index: int, inflation: Inflation | None = None
) -> Chunks:
    """The bytes of one frame, 0-based index. Raises NotFound, Gone, Superseded, CorruptBlob."""
    with open_source(site, stored, layout, inflation) as source:
        yield from read_stored_frame(site, source, stored.transfer_syntax_uid, layout, index)


def stored_frames(
    site: Site, stored: StoredInstance, layout: InstanceLayout, numbers: Iterable[int]
) -> Iterator[bytes]:
    """Frames as stored, 1-based numbers. Raises NotFound, Gone, Superseded, CorruptBlob."""
    inflation = Inflation()
    for number in numbers:
        yield b"".join(frame_chunks(site, stored, layout, number - 1, inflation))


def frames_in(
    site: Site, stored: StoredInstance, layout: InstanceLayout, numbers: Iterable[int], transfer_syntax_uid: str
) -> Iterator[bytes]:
    """Frames in just this transfer syntax, 1-based numbers. Raises NotAcceptable, MissingCodec, and as reading does."""
    item = transfer_syntax(transfer_syntax_uid).media_type
    accept = Accept((MediaRange(item, transfer_syntax=transfer_syntax_uid),))
    assert layout.frames is not None
    offer = _chosen(site, stored, layout, layout.frames, accept, single=True)
    if offer.stored:
        yield from stored_frames(site, stored, layout, numbers)
    else:
        transcoding = Transcoding(site, stored, layout, transfer_syntax_uid)
        for number in numbers:
            yield transcoding.frame(number - 1).data


def _media_type(stored: StoredInstance, frames: FrameIndex) -> str:
    """Content-Type of a part with a frame: what the bytes are, under whatever type they were asked for."""
    if not frames.encapsulated:
        return NATIVE
    return f"{transfer_syntax(stored.transfer_syntax_uid).media_type}; transfer-syntax={stored.transfer_syntax_uid}"


# -- made anew ---------------------------------------------------------------------------------------------------------


def _made_answer(
    site: Site, stored: StoredInstance, layout: InstanceLayout, offer: Offer, numbers: tuple[int, ...], base_url: str
) -> Response:
    transcoding = Transcoding(site, stored, layout, offer.transfer_syntax or EXPLICIT_VR_LITTLE_ENDIAN)
    parts: list[Part] = []
    refusal: NotAcceptable | None = None
    room = site.limits.decoded_ahead_bytes
    length: int | None = None
    missing = 0
    for number in numbers:
        location = f"{base_url}/{stored.ref.path}/frames/{number}"
        if room <= 0:
            parts.append(Part(offer.content_type, _made_later(transcoding, number, length), length, location))
            continue
        try:
            frame = transcoding.frame(number - 1)
        except NotAcceptable as error:
            refusal = error
            missing += 1
            continue
        room -= len(frame.data)
        length = len(frame.data) if offer.transfer_syntax == EXPLICIT_VR_LITTLE_ENDIAN else None
        parts.append(Part.of(frame.data, offer.content_type, location))
    if refusal is not None and not parts:
        raise refusal
    if not offer.multipart:
        return part_answer(parts[0])
    warning: HeaderList = ()
    if missing:
        warning = (("Warning", f"299 {base_url}: {missing} of {len(numbers)} frames cannot be sent in this form"),)
    return multipart_answer(parts, offer.item, headers=warning)


def _made_later(transcoding: Transcoding, number: int, length: int | None) -> Callable[[], Chunks]:
    """Opens a frame when its turn comes; what fails then cuts the answer."""

    def chunks() -> Chunks:
        data = transcoding.frame(number - 1).data
        if length is not None and len(data) != length:
            raise InvalidFrame(f"Frame {number} does not have the size of those before it.")
        yield data

    return chunks
