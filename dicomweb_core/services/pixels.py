"""Retrieve frames, pixel data and bulk data (PS3.18 10.4.1.1.5, 10.4.1.1.6)."""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Iterator
from itertools import pairwise
from typing import Any, Final

import orjson

from dicomweb_core.codecs.byte_order import swapped, word_bytes
from dicomweb_core.codecs.frame_index import read_chunks, read_frame, read_native_little_endian
from dicomweb_core.errors import NotAcceptable, NotFound, TooLarge
from dicomweb_core.rules.negotiation import Accept, Offer, choose
from dicomweb_core.services.answers import multipart_answer, part_answer
from dicomweb_core.services.parts import Chunks, Part
from dicomweb_core.services.site import Site
from dicomweb_core.services.sources import Inflation, open_source
from dicomweb_core.storage.instances import StoredInstance
from dicomweb_core.values.attributes import BINARY_VRS, PIXEL_DATA
from dicomweb_core.values.blobs import BulkValue, FrameIndex, InstanceLayout, Span
from dicomweb_core.values.messages import Response
from dicomweb_core.values.resources import InstanceRef, Ref
from dicomweb_core.values.transfer_syntaxes import EXPLICIT_VR_LITTLE_ENDIAN, TransferSyntax, transfer_syntax

OCTETS: Final = "application/octet-stream"


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
    return _answer(parts, offer)


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
    inflation: Inflation,
) -> Part:
    """One frame, 1-based. Native frames are little endian and begin at bit 0; codestreams are as stored."""
    location = f"{base_url}/{stored.ref.path}/frames/{number}"
    media_type, _root = _labels(stored, frames)
    return Part(
        media_type,
        lambda: frame_chunks(site, stored, layout, frames, number - 1, inflation),
        frames.length(number - 1),
        location,
    )


def frame_chunks(
    site: Site,
    stored: StoredInstance,
    layout: InstanceLayout,
    frames: FrameIndex,
    index: int,
    inflation: Inflation | None = None,
) -> Chunks:
    """The bytes of one frame, 0-based index. Raises NotFound, Gone, CorruptBlob, StorageUnavailable."""
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


def _labels(stored: StoredInstance, frames: FrameIndex | None) -> tuple[str, str]:
    """Content-Type of a part with pixel data, and its essence."""
    if frames is None or not frames.encapsulated:
        return f"{OCTETS}; transfer-syntax={EXPLICIT_VR_LITTLE_ENDIAN}", OCTETS
    syntax: TransferSyntax = transfer_syntax(stored.transfer_syntax_uid)
    return f"{syntax.media_type}; transfer-syntax={syntax.uid}", syntax.media_type


def _answer(parts: list[Part], offer: Offer) -> Response:
    if not offer.multipart:
        return part_answer(parts[0])
    root = parts[0].media_type.split(";")[0] if parts else OCTETS
    return multipart_answer(parts, root)


def retrieve_bulkdata_value(site: Site, ref: InstanceRef, path: str, accept: Accept, base_url: str) -> Response:
    """The value of one element, little endian. Encapsulated pixel data come as their frames.

    Raises NotFound, Gone, NotAcceptable, CorruptBlob.
    """
    stored = site.instances.get(ref)
    layout = stored.layout
    value = layout.bulk_value(path)
    if value is None:
        content = _inline_value(site, ref, path)
        part = Part.of(content, OCTETS, f"{base_url}/{ref.path}/bulkdata/{path}")
        return _answer([part], choose(accept, _value_offers(OCTETS)))
    if value.encapsulated and layout.frames is not None and path == layout.frames.element:
        parts = list(pixel_parts(site, stored, layout, base_url))
        return _answer(parts, choose(accept, pixel_offers(stored, layout, single=len(parts) == 1)))
    part = value_part(site, stored, layout, value, base_url)
    essence = part.media_type.split(";")[0]
    offer = choose(accept, _value_offers(essence))
    return _answer([part._replace(media_type=OCTETS) if offer.item == OCTETS else part], offer)


def bulkdata_value(site: Site, ref: InstanceRef, path: str) -> bytes:
    """The value of one binary element that is not encapsulated, little endian. Raises NotFound, Gone, CorruptBlob."""
    stored = site.instances.get(ref)
    layout = stored.layout
    value = layout.bulk_value(path.upper())
    if value is None:
        return _inline_value(site, ref, path.upper())
    if value.encapsulated:
        raise NotFound("The element is encapsulated pixel data: it is retrieved frame by frame.")
    return b"".join(_value(site, stored, layout, value))


def _value_offers(essence: str) -> tuple[Offer, ...]:
    types = dict.fromkeys((essence, OCTETS))
    return tuple(
        Offer(item, multipart=multipart, transfer_syntax=None, default=True, stored=True)
        for item in types
        for multipart in (True, False)
    )


def _inline_value(site: Site, ref: InstanceRef, path: str) -> bytes:
    """A binary value that the metadata carry inline can be had under its URL too. Raises NotFound."""
    _ref, text = next(site.instances.metadata(ref))
    steps = path.split("/")
    node: Any = orjson.loads(text.replace(b"\x01", b""))
    for position, step in enumerate(steps):
        if position % 2 == 0:
            node = node.get(step)
            if not isinstance(node, dict):
                raise NotFound("The instance has no such element.")
        else:
            items = node.get("Value", [])
            if node.get("vr") != "SQ" or int(step) >= len(items):
                raise NotFound("The instance has no such item.")
            node = items[int(step)]
    if node.get("vr") not in BINARY_VRS:
        raise NotFound("The element is not bulk data; its value is in the metadata.")
    return b64decode(node.get("InlineBinary", ""))


def value_part(
    site: Site,
    stored: StoredInstance,
    layout: InstanceLayout,
    value: BulkValue,
    base_url: str,
    inflation: Inflation | None = None,
) -> Part:
    """One bulk value that is not encapsulated. An encapsulated document has its own media type (PS3.18 10.5.1.4)."""
    media_type = OCTETS
    if value.path == "00420011":
        media_type = document_type(layout)
    location = f"{base_url}/{stored.ref.path}/bulkdata/{value.path}"
    return Part(media_type, lambda: _value(site, stored, layout, value, inflation), value.length, location)


SAFE_DOCUMENT_TYPES: Final = frozenset({"application/pdf", "text/xml", "model/stl", "model/obj", "model/mtl"})
"""Of encapsulated documents. Any other stored MIME type is not repeated: it is the sender's word."""


def document_type(layout: InstanceLayout) -> str:
    """The media type of an Encapsulated Document (0042,0011)."""
    stated = str(layout.traits.get("mime", "")).strip().lower()
    return stated if stated in SAFE_DOCUMENT_TYPES else OCTETS


def _value(
    site: Site,
    stored: StoredInstance,
    layout: InstanceLayout,
    value: BulkValue,
    inflation: Inflation | None = None,
) -> Chunks:
    word = 1
    if transfer_syntax(stored.transfer_syntax_uid).big_endian:
        if value.path in PIXEL_DATA:
            word = word_bytes(value.vr, bits_allocated(layout))
        else:
            word = WORD_BYTES.get(value.vr, 1)
    chunk_bytes = site.limits.chunk_bytes // 8 * 8
    with open_source(site, stored, layout, inflation) as source:
        yield from swapped(read_chunks(source, Span(value.offset, value.length), chunk_bytes), word)


def bits_allocated(layout: InstanceLayout) -> int:
    """Bits Allocated (0028,0100), 0 if the data set does not say it as a number."""
    bits = layout.traits.get("bits_allocated")
    return bits if isinstance(bits, int) else 0


WORD_BYTES: Final = {
    "OW": 2, "US": 2, "SS": 2, "OL": 4, "OF": 4, "UL": 4, "SL": 4, "FL": 4, "OV": 8, "OD": 8, "UV": 8, "SV": 8, "FD": 8,
}  # fmt: skip
"""How many bytes change places together when the byte order of a value changes (PS3.5 7.3)."""


def pixel_parts(
    site: Site, stored: StoredInstance, layout: InstanceLayout, base_url: str, inflation: Inflation | None = None
) -> Iterator[Part]:
    """The top-level pixel data of an instance: a part for all native frames, or a part for each codestream."""
    frames = layout.frames
    inflation = inflation or Inflation()
    if frames is not None and frames.encapsulated:
        for number in range(1, frames.count + 1):
            yield frame_part(site, stored, layout, frames, number, base_url, inflation)
        return
    for tag in PIXEL_DATA:
        value = layout.bulk_value(tag)
        if value is not None and not value.encapsulated:
            part = value_part(site, stored, layout, value, base_url, inflation)
            yield part._replace(media_type=f"{OCTETS}; transfer-syntax={EXPLICIT_VR_LITTLE_ENDIAN}")


def bulk_parts(site: Site, stored: StoredInstance, layout: InstanceLayout, base_url: str) -> Iterator[Part]:
    """All bulk values of an instance, under the URLs its metadata give them."""
    inflation = Inflation()
    for value in layout.bulk:
        if value.path in PIXEL_DATA:
            yield from pixel_parts(site, stored, layout, base_url, inflation)
        elif not value.encapsulated:
            yield value_part(site, stored, layout, value, base_url, inflation)


def retrieve_pixel_data(site: Site, ref: Ref, accept: Accept, base_url: str, *, bulk: bool) -> Response:
    """The pixel data, or with `bulk` all bulk data, of all instances below `ref` as multipart (PS3.18 10.4.3.3.6).

    Raises NotFound, Gone, NotAcceptable.
    """
    make = bulk_parts if bulk else pixel_parts
    rows = site.instances.instances(ref)
    first = next(rows, None)
    if first is None:
        raise NotFound("There are no instances.")
    if isinstance(ref, InstanceRef):
        layout = first.layout
        parts = list(make(site, first, layout, base_url))
        single = len(parts) == 1
        return _answer(parts, choose(accept, _pixel_or_value_offers(first, layout, single=single)))
    choose(accept, _pixel_or_value_offers(first, first.layout, single=False))

    def all_parts() -> Iterator[Part]:
        yield from make(site, first, first.layout, base_url)
        for row in rows:
            layout = row.layout
            try:
                choose(accept, _pixel_or_value_offers(row, layout, single=False))
            except NotAcceptable:
                continue
            yield from make(site, row, layout, base_url)

    return multipart_answer(all_parts(), _labels(first, first.layout.frames)[1])


def _pixel_or_value_offers(stored: StoredInstance, layout: InstanceLayout, *, single: bool) -> tuple[Offer, ...]:
    return pixel_offers(stored, layout, single=single)
