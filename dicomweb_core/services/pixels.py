"""Retrieve frames (PS3.18 10.4.1.1.6)."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Final

from dicomweb_core.codecs.frame_index import read_frame, read_native_little_endian
from dicomweb_core.errors import NotFound, TooLarge
from dicomweb_core.rules.negotiation import Accept, Offer, choose
from dicomweb_core.services.answers import multipart_answer, part_answer
from dicomweb_core.services.parts import Chunks, Part
from dicomweb_core.services.site import Site
from dicomweb_core.services.sources import Inflation, open_source, spans_reader
from dicomweb_core.storage.instances import StoredInstance
from dicomweb_core.values.blobs import FrameIndex, InstanceLayout
from dicomweb_core.values.messages import Response
from dicomweb_core.values.resources import InstanceRef
from dicomweb_core.values.transfer_syntaxes import EXPLICIT_VR_LITTLE_ENDIAN, transfer_syntax

OCTETS: Final = "application/octet-stream"
NATIVE: Final = f"{OCTETS}; transfer-syntax={EXPLICIT_VR_LITTLE_ENDIAN}"
"""Content-Type of pixel data that are not compressed."""


def retrieve_frames(site: Site, ref: InstanceRef, numbers: tuple[int, ...], accept: Accept, base_url: str) -> Response:
    """The frames asked for, a part each in the order asked for; a single part for one frame if that is preferred.

    Raises NotFound (also for a frame number beyond the last), Gone, NotAcceptable, CorruptBlob.
    """
    stored = site.instances.get(ref)
    layout = stored.layout
    frames = layout.frames
    if frames is None:
        raise NotFound("The instance has no frames.")
    beyond = [number for number in numbers if number > frames.count]
    if beyond:
        raise NotFound(f"The instance has {frames.count} frames; there is no frame {beyond[0]}.")
    offer = choose(accept, pixel_offers(stored, layout, single=len(numbers) == 1))
    _check_order(site, layout, numbers)
    inflation = Inflation()
    parts = [frame_part(site, stored, layout, frames, number, base_url, inflation) for number in numbers]
    if not offer.multipart:
        return part_answer(parts[0])
    return multipart_answer(parts, parts[0].essence)


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


def pixel_offers(stored: StoredInstance, layout: InstanceLayout, *, single: bool) -> tuple[Offer, ...]:
    """The forms in which pixel data stored so can be sent without decoding (PS3.18 8.7.3.3)."""
    syntax = transfer_syntax(stored.transfer_syntax_uid)
    forms = (True, False) if single else (True,)
    if layout.frames is None or not layout.frames.encapsulated:
        return tuple(
            Offer(OCTETS, multipart=form, transfer_syntax=EXPLICIT_VR_LITTLE_ENDIAN, default=True, stored=True)
            for form in forms
        )
    offers = []
    for form in forms:
        if syntax.media_type != OCTETS:
            offers.append(
                Offer(
                    syntax.media_type,
                    multipart=form,
                    transfer_syntax=stored.transfer_syntax_uid,
                    default=True,
                    stored=True,
                )
            )
        # Clients ask for octets with transfer-syntax=* and mean: as it is stored.
        offers.append(Offer(OCTETS, multipart=form, transfer_syntax=stored.transfer_syntax_uid, stored=True))
    return tuple(offers)


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
        lambda: frame_chunks(site, stored, layout, frames, number - 1, inflation),
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
    site: Site,
    stored: StoredInstance,
    layout: InstanceLayout,
    frames: FrameIndex,
    index: int,
    inflation: Inflation | None = None,
) -> Chunks:
    """The bytes of one frame, 0-based index. Raises NotFound, Gone, Superseded, CorruptBlob."""
    syntax = transfer_syntax(stored.transfer_syntax_uid)
    with open_source(site, stored, layout, inflation) as source:
        if frames.encapsulated or not syntax.big_endian:
            yield from read_frame(source, frames, index, site.limits.chunk_bytes)
        else:
            pixel = layout.bulk_value(frames.element)
            vr = pixel.vr if pixel is not None else "OW"
            yield from read_native_little_endian(
                source, frames, index, site.limits.chunk_bytes, vr=vr, bits_allocated=bits_allocated(layout)
            )


def _media_type(stored: StoredInstance, frames: FrameIndex) -> str:
    """Content-Type of a part with a frame: what the bytes are, under whatever type they were asked for."""
    if not frames.encapsulated:
        return NATIVE
    return f"{transfer_syntax(stored.transfer_syntax_uid).media_type}; transfer-syntax={stored.transfer_syntax_uid}"


def bits_allocated(layout: InstanceLayout) -> int:
    """Bits Allocated (0028,0100), 0 if the data set does not say it as a number."""
    bits = layout.traits.get("bits_allocated")
    return bits if isinstance(bits, int) else 0
