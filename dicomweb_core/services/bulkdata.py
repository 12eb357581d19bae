"""Retrieve bulk data and pixel data (PS3.18 10.4.1.1.5, 10.4.1.1.6). Each value is negotiated for itself."""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Callable, Iterator
from functools import lru_cache, partial
from typing import Any, Final, NamedTuple

import orjson

from dicomweb_core.codecs.byte_order import WORD_BYTES, swapped, word_bytes
from dicomweb_core.codecs.frame_index import joined, read_chunks
from dicomweb_core.errors import InvalidFrame, NotAcceptable, NotFound
from dicomweb_core.rules.negotiation import Accept, Offer, choose
from dicomweb_core.services.answers import multipart_answer, part_answer
from dicomweb_core.services.parts import Chunks, Part
from dicomweb_core.services.pixel_forms import (
    NOTHING,
    OCTETS,
    MadeForms,
    choose_form,
    made_forms,
    pixel_offers,
)
from dicomweb_core.services.pixels import NATIVE, frame_part
from dicomweb_core.services.site import Site
from dicomweb_core.services.sources import Inflation, bits_allocated, open_source, spans_reader
from dicomweb_core.services.transcoding import Transcoding
from dicomweb_core.storage.instances import StoredInstance
from dicomweb_core.values.attributes import BINARY_VRS, PIXEL_DATA
from dicomweb_core.values.blobs import BulkValue, FrameIndex, InstanceLayout, Span
from dicomweb_core.values.messages import HeaderList, Response
from dicomweb_core.values.resources import InstanceRef, Ref
from dicomweb_core.values.transfer_syntaxes import EXPLICIT_VR_LITTLE_ENDIAN, transfer_syntax

_FAILURE_BYTES: Final = 65_536
"""What a frame that cannot be made counts for, among those made before an answer begins."""


class Value(NamedTuple):
    """A bulk value of an instance: the forms it can be sent in, and the parts it is then sent as."""

    offers: tuple[Offer, ...]
    parts: Callable[[Offer], Iterator[Part]]
    forms: MadeForms = NOTHING
    """What could be made of it, and what is missing for more."""
    first_frame: Callable[[Offer], int] = lambda _offer: 0
    """Makes the first frame if frames have to be made for an offer, and says its bytes; it is in the cache then.
    Raises InvalidFrame, MissingCodec."""
    frames_of: tuple[InstanceRef, int] | None = None
    """Which instance and version, if it is the frames of an image."""


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
    """One bulk value. Compressed pixel data are a part for each codestream (PS3.18 8.7.3.3.2), all else is one: also
    the frames of an image without compression, in as many bytes as they have, without a pad byte behind them."""
    frames = layout.frames
    if frames is not None and value.path == frames.element:
        return _pixel_value(site, stored, layout, frames, value, base_url, inflation)
    if value.encapsulated and value.path in PIXEL_DATA:
        # Fragments that nobody can tell apart are no codestream, whatever is asked for.
        return Value((), lambda _offer: iter(()))
    essence = document_type(layout) if value.path == ENCAPSULATED_DOCUMENT else OCTETS

    def whole(offer: Offer) -> Iterator[Part]:
        media_type = NATIVE if value.path in PIXEL_DATA else offer.item
        yield _whole_part(site, stored, layout, value, media_type, base_url, inflation)

    return Value(value_offers(essence), whole)


def _whole_part(
    site: Site,
    stored: StoredInstance,
    layout: InstanceLayout,
    value: BulkValue,
    media_type: str,
    base_url: str,
    inflation: Inflation | None,
) -> Part:
    """The value as it is stored, little endian."""
    in_place = not transfer_syntax(stored.transfer_syntax_uid).big_endian
    return Part(
        media_type,
        partial(value_chunks, site, stored, layout, value, inflation),
        value.length,
        f"{base_url}/{stored.ref.path}/bulkdata/{value.path}",
        spans_reader(site, stored, layout, lambda: (Span(value.offset, value.length),)) if in_place else None,
    )


def _pixel_value(
    site: Site,
    stored: StoredInstance,
    layout: InstanceLayout,
    frames: FrameIndex,
    value: BulkValue,
    base_url: str,
    inflation: Inflation | None,
) -> Value:
    uid = stored.transfer_syntax_uid
    forms = made_forms(uid, layout, site.limits)
    offers = pixel_offers(
        uid, forms.syntaxes, encapsulated=frames.encapsulated, single=frames.count == 1, single_native=True
    )
    location = f"{base_url}/{stored.ref.path}"

    def parts(offer: Offer) -> Iterator[Part]:
        if offer.stored and frames.encapsulated:
            for number in range(1, frames.count + 1):
                yield frame_part(site, stored, layout, frames, number, base_url)
        elif offer.stored:
            yield _whole_part(site, stored, layout, value, NATIVE, base_url, inflation)
        elif offer.transfer_syntax == EXPLICIT_VR_LITTLE_ENDIAN:
            transcoding = Transcoding(site, stored, layout, EXPLICIT_VR_LITTLE_ENDIAN)
            bits = forms.native.frame_bits if forms.native is not None else 0
            length = (bits * frames.count + 7) // 8
            yield Part(NATIVE, partial(_decoded, transcoding, length), length, f"{location}/bulkdata/{value.path}")
        else:
            transcoding = Transcoding(site, stored, layout, offer.transfer_syntax or "")
            for index in range(frames.count):
                chunks = partial(_one_frame, transcoding, index)
                yield Part(offer.content_type, chunks, None, f"{location}/frames/{index + 1}")

    def first_frame(offer: Offer) -> int:
        if offer.stored or offer.transfer_syntax is None:
            return 0
        return len(Transcoding(site, stored, layout, offer.transfer_syntax).frame(0).data)

    return Value(offers, parts, forms, first_frame, (stored.ref, stored.version))


def _decoded(transcoding: Transcoding, length: int) -> Chunks:
    """All frames without padding between them or behind them (PS3.18 8.7.3.3.1 note 2), `length` bytes together."""
    made = transcoding.all_frames()
    if made.native_bytes != length:
        raise InvalidFrame("The frames do not have the size that their data set says.")
    yield from joined(made.frames, made.image.frame_bits)


def _one_frame(transcoding: Transcoding, index: int) -> Chunks:
    yield transcoding.frame(index, keep=False).data


@lru_cache(maxsize=16)
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
    offer = choose_form(accept, value.offers, value.forms)
    if not offer.multipart:
        return _single(next(value.parts(offer)))
    parts = list(value.parts(offer))
    return multipart_answer(parts, parts[0].essence if parts else OCTETS)


def retrieve_values(site: Site, ref: Ref, accept: Accept, base_url: str, *, pixels_only: bool) -> Response:
    """All bulk data, or pixel data, of all instances below `ref` (PS3.18 10.4.3.3.5, 10.4.3.3.6).

    A value that cannot be sent in an acceptable form is left out and counted in a Warning; if that is all of them,
    raises NotAcceptable. Whether frames can be made is known as far as `Limits.decoded_ahead_bytes` reach. Raises
    NotFound, Gone. Without any bulk data the answer is a message of no parts.
    """
    chosen = _Chosen(accept, site.limits.decoded_ahead_bytes)
    sendable = missing = 0
    root: str | None = None
    for stored in site.instances.instances(ref):
        for value in values_of(site, stored, base_url, pixels_only=pixels_only):
            offer = chosen.proven_form_of(value)
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
    offer = choose_form(accept, value.offers, value.forms)
    return None if offer.multipart else _single(next(value.parts(offer)))


def _single(part: Part) -> Response:
    """A value as a single part. A document may be a page with a script: a browser keeps it and does not run it."""
    return part_answer(part, headers=_SANDBOX if part.essence in _TO_BE_KEPT else ())


class _Chosen:
    """Chooses the form of each value in a multipart answer; the choice depends on its offers alone."""

    def __init__(self, accept: Accept, room: int) -> None:
        """`room`: bytes of first frames to be made before the answer begins."""
        self._accept = accept
        self._room = room
        self._by_offers: dict[int, tuple[tuple[Offer, ...], Offer | None]] = {}
        self._broken: set[tuple[InstanceRef, int]] = set()
        self.refusal: NotAcceptable | None = None

    def form_of(self, value: Value) -> Offer | None:
        """None when no form is acceptable, or the frames cannot be made in it; `refusal` says why."""
        if value.frames_of in self._broken:
            return None
        # Alike values have the very same offers: comparing a dozen of them takes longer than choosing one.
        key = id(value.offers)
        if key not in self._by_offers:
            try:
                offers = [offer for offer in value.offers if offer.multipart]
                found: Offer | None = choose_form(self._accept, offers, value.forms)
            except NotAcceptable as error:
                found, self.refusal = None, error
            self._by_offers[key] = (value.offers, found)
        return self._by_offers[key][1]

    def proven_form_of(self, value: Value) -> Offer | None:
        """The same; as long as there is room it is seen whether the first frame can be made."""
        offer = self.form_of(value)
        if offer is None or self._room <= 0:
            return offer
        try:
            self._room -= value.first_frame(offer)
        except NotAcceptable as error:
            self.refusal = error
            self._room -= _FAILURE_BYTES
            if value.frames_of is not None:
                self._broken.add(value.frames_of)
            return None
        return offer


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


_TO_BE_KEPT: Final = SAFE_DOCUMENT_TYPES - {"application/pdf"}
_SANDBOX: Final = (
    ("Content-Disposition", 'attachment; filename="document"'),
    ("Content-Security-Policy", "sandbox; default-src 'none'"),
)


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
