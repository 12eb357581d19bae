"""Retrieve frames, pixel data and bulk data (PS3.18 10.4.1.1.5, 10.4.1.1.6)."""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Iterable, Iterator
from itertools import chain, islice
from typing import Any, Final, NamedTuple

import orjson

from dicomweb_core.codecs.byte_order import swapped, word_bytes
from dicomweb_core.codecs.frame_index import read_chunks, read_frame, read_native_little_endian
from dicomweb_core.errors import NotAcceptable, NotFound
from dicomweb_core.rules.negotiation import Accept, Offer, choose
from dicomweb_core.services.answers import multipart_answer, part_answer
from dicomweb_core.services.parts import Chunks, Part
from dicomweb_core.services.site import Site
from dicomweb_core.services.sources import open_source
from dicomweb_core.storage.instances import StoredInstance
from dicomweb_core.values.attributes import BINARY_VRS, PIXEL_DATA
from dicomweb_core.values.blobs import BulkValue, FrameIndex, InstanceLayout, Span
from dicomweb_core.values.messages import HeaderList, Response
from dicomweb_core.values.resources import InstanceRef, Ref
from dicomweb_core.values.transfer_syntaxes import EXPLICIT_VR_LITTLE_ENDIAN, TransferSyntax, transfer_syntax

OCTETS: Final = "application/octet-stream"
ENCAPSULATED_DOCUMENT: Final = "00420011"

COUNTED_VALUES: Final = 10_000
"""How many values are looked at before the answer begins; a later one that cannot be sent cuts the connection."""


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
    parts = [frame_part(site, stored, layout, frames, number, base_url) for number in numbers]
    return _answer(parts, offer)


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
    site: Site, stored: StoredInstance, layout: InstanceLayout, frames: FrameIndex, number: int, base_url: str
) -> Part:
    """One frame, 1-based. Native frames are little endian and begin at bit 0; codestreams are as stored."""
    location = f"{base_url}/{stored.ref.path}/frames/{number}"
    media_type, _root = _labels(stored, frames)
    return Part(
        media_type, lambda: frame_chunks(site, stored, layout, frames, number - 1), frames.length(number - 1), location
    )


def frame_chunks(site: Site, stored: StoredInstance, layout: InstanceLayout, frames: FrameIndex, index: int) -> Chunks:
    """The bytes of one frame, 0-based index. Raises NotFound, Gone, CorruptBlob."""
    syntax = transfer_syntax(stored.transfer_syntax_uid)
    with open_source(site, stored, layout) as source:
        if frames.encapsulated or not syntax.big_endian:
            yield from read_frame(source, frames, index, site.limits.chunk_bytes)
        else:
            pixel = layout.bulk_value(frames.element)
            vr = pixel.vr if pixel is not None else "OW"
            bits = int(layout.traits.get("bits_allocated", 0))
            yield from read_native_little_endian(
                source, frames, index, site.limits.chunk_bytes, vr=vr, bits_allocated=bits
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
        parts = list(parts_of(site, stored, layout, value, base_url))
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


def value_part(site: Site, stored: StoredInstance, layout: InstanceLayout, value: BulkValue, base_url: str) -> Part:
    """One bulk value that is not encapsulated. An encapsulated document has its own media type (PS3.18 10.5.1.4)."""
    media_type = OCTETS
    if value.path == ENCAPSULATED_DOCUMENT:
        media_type = document_type(layout)
    location = f"{base_url}/{stored.ref.path}/bulkdata/{value.path}"
    return Part(media_type, lambda: _value(site, stored, layout, value), value.length, location)


SAFE_DOCUMENT_TYPES: Final = frozenset({"application/pdf", "text/xml", "model/stl", "model/obj", "model/mtl"})
"""Of encapsulated documents. Any other stored MIME type is not repeated: it is the sender's word."""


def document_type(layout: InstanceLayout) -> str:
    """The media type of an Encapsulated Document (0042,0011)."""
    stated = str(layout.traits.get("mime", "")).strip().lower()
    return stated if stated in SAFE_DOCUMENT_TYPES else OCTETS


def _value(site: Site, stored: StoredInstance, layout: InstanceLayout, value: BulkValue) -> Chunks:
    word = 1
    if transfer_syntax(stored.transfer_syntax_uid).big_endian:
        if value.path in PIXEL_DATA:
            word = word_bytes(value.vr, int(layout.traits.get("bits_allocated", 0)))
        else:
            word = WORD_BYTES.get(value.vr, 1)
    chunk_bytes = site.limits.chunk_bytes // 8 * 8
    with open_source(site, stored, layout) as source:
        yield from swapped(read_chunks(source, Span(value.offset, value.length), chunk_bytes), word)


WORD_BYTES: Final = {
    "OW": 2, "US": 2, "SS": 2, "OL": 4, "OF": 4, "UL": 4, "SL": 4, "FL": 4, "OV": 8, "OD": 8, "UV": 8, "SV": 8, "FD": 8,
}  # fmt: skip
"""How many bytes change places together when the byte order of a value changes (PS3.5 7.3)."""


def parts_of(
    site: Site, stored: StoredInstance, layout: InstanceLayout, value: BulkValue, base_url: str
) -> Iterator[Part]:
    """The items of a bulk value: one, under the URL its metadata give it, or one for each codestream."""
    frames = layout.frames
    if frames is not None and frames.encapsulated and value.path == frames.element:
        for number in range(1, frames.count + 1):
            yield frame_part(site, stored, layout, frames, number, base_url)
    elif not value.encapsulated:
        part = value_part(site, stored, layout, value, base_url)
        if value.path in PIXEL_DATA:
            part = part._replace(media_type=f"{OCTETS}; transfer-syntax={EXPLICIT_VR_LITTLE_ENDIAN}")
        yield part


class _Wanted(NamedTuple):
    """A bulk value and whose it is."""

    stored: StoredInstance
    layout: InstanceLayout
    value: BulkValue

    @property
    def items(self) -> int:
        """How many parts it makes; none if its frames cannot be told apart."""
        frames = self.layout.frames
        if frames is not None and frames.encapsulated and self.value.path == frames.element:
            return frames.count
        return 0 if self.value.encapsulated else 1


def _bulk_values(site: Site, ref: Ref, *, bulk: bool) -> Iterator[_Wanted]:
    """All below `ref`, or only the pixel data."""
    for stored in site.instances.instances(ref):
        layout = stored.layout
        for value in layout.bulk:
            if bulk or value.path in PIXEL_DATA:
                yield _Wanted(stored, layout, value)


class _ChosenForms:
    """Chooses the form of each bulk value; many values can be had in the same forms."""

    def __init__(self, accept: Accept, *, single: bool) -> None:
        self._accept = accept
        self._single = single
        self._by_offers: dict[tuple[Offer, ...], Offer | NotAcceptable] = {}

    def form_of(self, wanted: _Wanted) -> Offer:
        """Raises NotAcceptable."""
        if not wanted.items:
            raise NotAcceptable("The frames of the pixel data cannot be told apart.")
        if wanted.value.path in PIXEL_DATA:
            offers = pixel_offers(wanted.stored, wanted.layout, single=self._single)
        else:
            document = wanted.value.path == ENCAPSULATED_DOCUMENT
            offers = _value_offers(document_type(wanted.layout) if document else OCTETS)
            offers = tuple(offer for offer in offers if offer.multipart or self._single)
        found = self._by_offers.get(offers)
        if found is None:
            try:
                found = choose(self._accept, offers)
            except NotAcceptable as error:
                found = error
            self._by_offers[offers] = found
        if isinstance(found, NotAcceptable):
            raise found
        return found

    def count(self, values: Iterable[_Wanted]) -> tuple[int, int]:
        """How many values there are, and how many of them cannot be sent. Raises NotAcceptable if that is all."""
        total = missing = 0
        refusal: NotAcceptable | None = None
        for wanted in values:
            total += 1
            try:
                self.form_of(wanted)
            except NotAcceptable as error:
                missing += 1
                refusal = error
        if refusal is not None and missing == total:
            raise refusal
        return total, missing


def retrieve_pixel_data(site: Site, ref: Ref, accept: Accept, base_url: str, *, bulk: bool) -> Response:
    """The pixel data, or with `bulk` all bulk data, of all instances below `ref` as multipart (PS3.18 10.4.3.3.6).

    Each value is negotiated for itself (8.7.8.1). One that cannot be sent in any acceptable form is left out and
    counted in a Warning; if that is all of them, raises NotAcceptable. Raises NotFound, Gone.
    """
    one = isinstance(ref, InstanceRef)
    forms = _ChosenForms(accept, single=one and sum(v.items for v in _bulk_values(site, ref, bulk=bulk)) == 1)
    total, missing = forms.count(islice(_bulk_values(site, ref, bulk=bulk), COUNTED_VALUES))
    found = _sendable(site, _bulk_values(site, ref, bulk=bulk), forms, missing, base_url)
    first = next(found, None)
    if first is None:
        choose(accept, tuple(offer for offer in _value_offers(OCTETS) if offer.multipart))
        return multipart_answer((), OCTETS)
    part, offer = first
    if not offer.multipart:
        return part_answer(part)
    warning: HeaderList = ()
    if missing:
        text = f"299 {base_url}: {missing} of {total} values cannot be sent in an acceptable form"
        warning = (("Warning", text),)
    parts = chain((part,), (other for other, _ in found))
    return multipart_answer(list(parts) if one else parts, part.media_type.split(";")[0], headers=warning)


def _sendable(
    site: Site, values: Iterable[_Wanted], forms: _ChosenForms, announced: int, base_url: str
) -> Iterator[tuple[Part, Offer]]:
    """The items of all values that can be sent. Raises NotAcceptable when more than `announced` cannot."""
    missing = 0
    for wanted in values:
        try:
            offer = forms.form_of(wanted)
        except NotAcceptable:
            missing += 1
            if missing > announced:
                raise
            continue
        for part in parts_of(site, wanted.stored, wanted.layout, wanted.value, base_url):
            # Pixel data keep their own type where octets are asked for: it tells how to read them.
            octets = offer.item == OCTETS and wanted.value.path == ENCAPSULATED_DOCUMENT
            yield (part._replace(media_type=OCTETS) if octets else part), offer
