"""Retrieve bulk data and pixel data (PS3.18 10.4.1.1.5, 10.4.1.1.6). Each value is negotiated for itself."""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Callable, Iterator
from typing import Any, Final, NamedTuple

import orjson

from dicomweb_core.codecs.byte_order import WORD_BYTES, swapped, word_bytes
from dicomweb_core.codecs.frame_index import read_chunks
from dicomweb_core.errors import NotAcceptable, NotFound
from dicomweb_core.rules.negotiation import Accept, Offer, choose
from dicomweb_core.services.answers import multipart_answer, part_answer
from dicomweb_core.services.parts import Chunks, Part
from dicomweb_core.services.pixels import NATIVE, OCTETS, bits_allocated, frame_part, pixel_offers
from dicomweb_core.services.site import Site
from dicomweb_core.services.sources import Inflation, open_source, spans_reader
from dicomweb_core.storage.instances import StoredInstance
from dicomweb_core.values.attributes import BINARY_VRS, PIXEL_DATA
from dicomweb_core.values.blobs import BulkValue, InstanceLayout, Span
from dicomweb_core.values.messages import HeaderList, Response
from dicomweb_core.values.resources import InstanceRef, Ref
from dicomweb_core.values.transfer_syntaxes import transfer_syntax


class Value(NamedTuple):
    """A bulk value of an instance: the forms it can be sent in, and the parts it is then sent as."""

    offers: tuple[Offer, ...]
    parts: Callable[[Offer], Iterator[Part]]


def values_of(site: Site, stored: StoredInstance, base_url: str, *, pixels_only: bool) -> Iterator[Value]:
    """The bulk values of an instance, or only its top-level pixel data."""
    layout = stored.layout
    inflation = Inflation()
    for value in layout.bulk:
        if value.path in PIXEL_DATA or not pixels_only:
            yield value_of(site, stored, layout, value, base_url, inflation)


def value_of(
    site: Site,
    stored: StoredInstance,
    layout: InstanceLayout,
    value: BulkValue,
    base_url: str,
    inflation: Inflation | None = None,
) -> Value:
    """One bulk value. Compressed pixel data are a part for each codestream (PS3.18 8.7.3.3.2), all else is one."""
    frames = layout.frames
    if frames is not None and frames.encapsulated and value.path == frames.element:

        def codestreams(_offer: Offer) -> Iterator[Part]:
            for number in range(1, frames.count + 1):
                yield frame_part(site, stored, layout, frames, number, base_url)

        return Value(pixel_offers(stored, layout, single=frames.count == 1), codestreams)
    if value.encapsulated and value.path in PIXEL_DATA:
        # Fragments that nobody can tell apart are no codestream, whatever is asked for.
        return Value((), lambda _offer: iter(()))
    essence = document_type(layout) if value.path == ENCAPSULATED_DOCUMENT else OCTETS
    location = f"{base_url}/{stored.ref.path}/bulkdata/{value.path}"

    def whole(offer: Offer) -> Iterator[Part]:
        media_type = NATIVE if value.path in PIXEL_DATA else offer.item
        in_place = not transfer_syntax(stored.transfer_syntax_uid).big_endian
        yield Part(
            media_type,
            lambda: value_chunks(site, stored, layout, value, inflation),
            value.length,
            location,
            spans_reader(site, stored, layout, lambda: (Span(value.offset, value.length),)) if in_place else None,
        )

    return Value(value_offers(essence), whole)


def value_offers(essence: str) -> tuple[Offer, ...]:
    """As its own media type or as octets."""
    return tuple(
        Offer(item, multipart=multipart, transfer_syntax=None, default=True, stored=True)
        for item in dict.fromkeys((essence, OCTETS))
        for multipart in (True, False)
    )


def retrieve_value(site: Site, ref: InstanceRef, path: str, accept: Accept, base_url: str) -> Response:
    """The value of one element, little endian. Raises NotFound, Gone, NotAcceptable, CorruptBlob."""
    stored = site.instances.get(ref)
    layout = stored.layout
    found = layout.bulk_value(path)
    if found is None:
        content = inline_value(site, ref, path)
        location = f"{base_url}/{ref.path}/bulkdata/{path}"
        value = Value(value_offers(OCTETS), lambda offer: iter([Part.of(content, offer.item, location)]))
    else:
        value = value_of(site, stored, layout, found, base_url)
    offer = choose(accept, value.offers)
    if not offer.multipart:
        return part_answer(next(value.parts(offer)))
    parts = list(value.parts(offer))
    return multipart_answer(parts, parts[0].essence if parts else OCTETS)


def retrieve_values(site: Site, ref: Ref, accept: Accept, base_url: str, *, pixels_only: bool) -> Response:
    """All bulk data, or pixel data, of all instances below `ref` (PS3.18 10.4.3.3.5, 10.4.3.3.6).

    A value that cannot be sent in an acceptable form is left out and counted in a Warning; if that is all of them,
    raises NotAcceptable. Raises NotFound, Gone. Without any bulk data the answer is a message of no parts.
    """
    chosen = _Chosen(accept)
    sendable = missing = 0
    root: str | None = None
    for stored in site.instances.instances(ref):
        for value in values_of(site, stored, base_url, pixels_only=pixels_only):
            offer = chosen.form_of(value)
            if offer is None:
                missing += 1
                continue
            sendable += 1
            if root is None:
                root = next(value.parts(offer)).essence
    if isinstance(ref, InstanceRef) and sendable + missing == 1:
        alone = _single_part(site, ref, accept, base_url, pixels_only=pixels_only)
        if alone is not None:
            return alone
    if not sendable:
        if chosen.refusal is not None:
            raise chosen.refusal
        choose(accept, [offer for offer in value_offers(OCTETS) if offer.multipart])
    warning: HeaderList = ()
    if missing:
        text = f"{missing} of {sendable + missing} values cannot be sent in an acceptable form"
        warning = (("Warning", f"299 {base_url}: {text}"),)
    parts = _all_parts(site, ref, chosen, base_url, pixels_only=pixels_only)
    return multipart_answer(parts, root or OCTETS, headers=warning)


def _all_parts(site: Site, ref: Ref, chosen: _Chosen, base_url: str, *, pixels_only: bool) -> Iterator[Part]:
    for stored in site.instances.instances(ref):
        for value in values_of(site, stored, base_url, pixels_only=pixels_only):
            offer = chosen.form_of(value)
            if offer is not None:
                yield from value.parts(offer)


def _single_part(site: Site, ref: InstanceRef, accept: Accept, base_url: str, *, pixels_only: bool) -> Response | None:
    """The only value of an instance as a single part, if that is what is preferred (Table 10.4.4-1)."""
    value = next(values_of(site, site.instances.get(ref), base_url, pixels_only=pixels_only), None)
    if value is None:
        return None  # replaced meanwhile
    offer = choose(accept, value.offers)
    return None if offer.multipart else part_answer(next(value.parts(offer)))


class _Chosen:
    """Chooses the form of each value in a multipart answer; the choice depends on its offers alone."""

    def __init__(self, accept: Accept) -> None:
        self._accept = accept
        self._by_offers: dict[tuple[Offer, ...], Offer | None] = {}
        self.refusal: NotAcceptable | None = None

    def form_of(self, value: Value) -> Offer | None:
        """None when no form is acceptable; `refusal` says why."""
        if value.offers not in self._by_offers:
            try:
                found: Offer | None = choose(self._accept, [o for o in value.offers if o.multipart])
            except NotAcceptable as error:
                found, self.refusal = None, error
            self._by_offers[value.offers] = found
        return self._by_offers[value.offers]


def bulkdata_value(site: Site, ref: InstanceRef, path: str) -> bytes:
    """The value of one binary element that is not encapsulated, little endian. Raises NotFound, Gone, CorruptBlob."""
    stored = site.instances.get(ref)
    layout = stored.layout
    value = layout.bulk_value(path.upper())
    if value is None:
        return inline_value(site, ref, path.upper())
    if value.encapsulated:
        raise NotFound("The element is encapsulated pixel data: it is retrieved frame by frame.")
    return b"".join(value_chunks(site, stored, layout, value))


def inline_value(site: Site, ref: InstanceRef, path: str) -> bytes:
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


ENCAPSULATED_DOCUMENT: Final = "00420011"

SAFE_DOCUMENT_TYPES: Final = frozenset({"application/pdf", "text/xml", "model/stl", "model/obj", "model/mtl"})
"""Of encapsulated documents. Any other stored MIME type is not repeated: it is the sender's word."""


def document_type(layout: InstanceLayout) -> str:
    """The media type of an Encapsulated Document (0042,0011)."""
    stated = str(layout.traits.get("mime", "")).strip().lower()
    return stated if stated in SAFE_DOCUMENT_TYPES else OCTETS


def value_chunks(
    site: Site, stored: StoredInstance, layout: InstanceLayout, value: BulkValue, inflation: Inflation | None = None
) -> Chunks:
    """The bytes of a value, numbers little endian. Raises NotFound, Gone, Superseded, CorruptBlob."""
    word = 1
    if transfer_syntax(stored.transfer_syntax_uid).big_endian:
        if value.path in PIXEL_DATA:
            word = word_bytes(value.vr, bits_allocated(layout))
        else:
            word = WORD_BYTES.get(value.vr, 1)
    chunk_bytes = site.limits.chunk_bytes // 8 * 8
    with open_source(site, stored, layout, inflation) as source:
        yield from swapped(read_chunks(source, Span(value.offset, value.length), chunk_bytes), word)
