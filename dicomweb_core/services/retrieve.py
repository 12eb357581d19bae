"""Retrieve instances and metadata (PS3.18 10.4.1.1.1, 10.4.1.1.2)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from dicomweb_core.codecs.dicom_json import with_urls
from dicomweb_core.codecs.explicit_little_endian import to_explicit_little_endian
from dicomweb_core.errors import NotAcceptable
from dicomweb_core.rules.negotiation import Accept, Offer, choose
from dicomweb_core.services import bulkdata
from dicomweb_core.services.answers import HELD_BYTES, multipart_answer, part_answer, text_answer
from dicomweb_core.services.parts import Chunks, Part, read_blob
from dicomweb_core.services.pixels import OCTETS
from dicomweb_core.services.site import Site
from dicomweb_core.services.sources import open_source
from dicomweb_core.services.texts import TextForm
from dicomweb_core.storage.instances import StoredInstance
from dicomweb_core.values.attributes import INSTANCE_URL
from dicomweb_core.values.messages import HeaderList, Response
from dicomweb_core.values.resources import InstanceRef, Ref
from dicomweb_core.values.transfer_syntaxes import EXPLICIT_VR_LITTLE_ENDIAN, transfer_syntax

DICOM: Final = "application/dicom"
JSON: Final = "application/dicom+json"
XML: Final = "application/dicom+xml"

LISTED_INSTANCES: Final = 10_000
"""An answer of up to this many instances is listed first, to say its length; a longer one is sent as it is read."""

METADATA_OFFERS: Final = (
    Offer(JSON, multipart=False, transfer_syntax=None, default=True),
    Offer(XML, multipart=True, transfer_syntax=None),
)
_RETIRED: Final = frozenset({"1.2.840.10008.1.2", "1.2.840.10008.1.2.2"})


def retrieve_instances(site: Site, ref: Ref, accept: Accept, base_url: str) -> Response:
    """All instances below `ref`, as stored or in Explicit VR Little Endian.

    An instance that cannot be sent in any acceptable form is left out and counted in a Warning; if that is all of
    them, raises NotAcceptable. Raises NotFound, Gone, CorruptBlob before the first byte.
    """
    single = isinstance(ref, InstanceRef)
    rows = site.instances.instances(ref)
    listed, rest = _listed(rows, LISTED_INSTANCES)
    chosen = _ChosenForms(site, accept, single=single)
    if _wants_bulk_data(chosen, listed):
        return bulkdata.retrieve_values(site, ref, accept, base_url, pixels_only=False)
    parts: list[Part] = []
    missing = 0
    refusal: NotAcceptable | None = None
    for row in listed:
        try:
            offer = chosen.form_of(row)
        except NotAcceptable as error:
            missing += 1
            refusal = error
        else:
            parts.append(instance_part(site, row, offer, base_url))
            if not offer.multipart:
                return part_answer(parts[0])
    if refusal is not None and not parts:
        raise refusal
    warning: HeaderList = ()
    if missing:
        text = f"299 {base_url}: {missing} of {len(listed)} instances cannot be sent in an acceptable form"
        warning = (("Warning", text),)
    if rest is None:
        return multipart_answer(parts, DICOM, headers=warning)
    return multipart_answer(_all_parts(site, parts, rest, chosen, base_url), DICOM, headers=warning)


def _wants_bulk_data(chosen: _ChosenForms, listed: list[StoredInstance]) -> bool:
    """Whether octets are asked for: the bulk data, as older clients have it (Table 10.4.4-1 note 2)."""
    try:
        return chosen.form_of(listed[0]).item == OCTETS
    except NotAcceptable:
        return False


def _listed(rows: Iterator[StoredInstance], count: int) -> tuple[list[StoredInstance], Iterator[StoredInstance] | None]:
    """The first rows, and the iterator over the others if there are any."""
    listed: list[StoredInstance] = []
    for row in rows:
        # The layout of a large instance is not needed here, and there may be thousands.
        large = len(row.packed_layout) + len(row.locator) > 4096
        listed.append(row._replace(packed_layout=b"", locator=b"") if large else row)
        if len(listed) == count:
            return listed, rows
    return listed, None


def _all_parts(
    site: Site, parts: Iterable[Part], rest: Iterator[StoredInstance], chosen: _ChosenForms, base_url: str
) -> Iterator[Part]:
    yield from parts
    for row in rest:
        yield instance_part(site, row, chosen.form_of(row), base_url)


class _ChosenForms:
    """Chooses the form of each instance; the choice depends on its transfer syntax alone."""

    def __init__(self, site: Site, accept: Accept, *, single: bool) -> None:
        self._site = site
        self._accept = accept
        self._single = single
        self._by_syntax: dict[str, Offer | NotAcceptable] = {}

    def form_of(self, row: StoredInstance) -> Offer:
        """Raises NotAcceptable."""
        uid = row.transfer_syntax_uid
        found = self._by_syntax.get(uid)
        if found is None:
            try:
                found = choose(self._accept, instance_offers(self._site, uid, single=self._single))
            except NotAcceptable as error:
                found = error
            self._by_syntax[uid] = found
        if isinstance(found, NotAcceptable):
            raise found
        return found


def instance_offers(site: Site, stored_uid: str, *, single: bool) -> tuple[Offer, ...]:
    """The forms in which an instance stored in this transfer syntax can be sent (PS3.18 8.7.3.4)."""
    syntax = transfer_syntax(stored_uid)
    offers: list[Offer] = []
    send_stored = site.send_retired_syntaxes or stored_uid not in _RETIRED
    for multipart in (True, False) if single else (True,):
        if not syntax.encapsulated:
            # Explicit VR Little Endian stays the default of the type; it needs no decoding here.
            offers.append(
                Offer(
                    DICOM,
                    multipart=multipart,
                    transfer_syntax=EXPLICIT_VR_LITTLE_ENDIAN,
                    default=True,
                    stored=stored_uid == EXPLICIT_VR_LITTLE_ENDIAN or not send_stored,
                )
            )
        if send_stored and stored_uid != EXPLICIT_VR_LITTLE_ENDIAN:
            offers.append(
                Offer(
                    DICOM,
                    multipart=multipart,
                    transfer_syntax=stored_uid,
                    # What cannot be had in the default syntax is sent as it is (8.7.3.4 note 2).
                    default=syntax.encapsulated,
                    stored=True,
                )
            )
    offers.append(Offer(OCTETS, multipart=True, transfer_syntax=EXPLICIT_VR_LITTLE_ENDIAN))
    return tuple(offers)


def instance_part(site: Site, row: StoredInstance, offer: Offer, base_url: str) -> Part:
    """One instance in the chosen form. As stored its length is known, converted it is not."""
    location = f"{base_url}/{row.ref.path}"
    media_type = f"{DICOM}; transfer-syntax={offer.transfer_syntax}"
    if offer.transfer_syntax == row.transfer_syntax_uid:
        open_blob = lambda: site.instances.open(row)  # noqa: E731
        chunk_bytes = site.limits.chunk_bytes
        return Part(
            media_type,
            lambda: read_blob(open_blob, chunk_bytes),
            row.size,
            location,
            ranged=lambda offset, length: read_blob(open_blob, chunk_bytes, offset, length),
        )
    return Part(media_type, lambda: _converted(site, row), None, location)


def _converted(site: Site, row: StoredInstance) -> Chunks:
    stored = site.instances.get(row.ref)
    layout = stored.layout
    with open_source(site, stored, layout) as source:
        yield from to_explicit_little_endian(
            source, layout.dataset_offset, transfer_syntax_uid=stored.transfer_syntax_uid, limits=site.limits
        )


def retrieve_metadata(site: Site, ref: Ref, accept: Accept, base_url: str) -> Response:
    """The metadata of all instances below `ref`: one JSON array, or a part of XML each.

    A text that the character set asked for cannot represent is refused as long as the status is open: within the
    first `HELD_BYTES` of JSON, the first part of XML. Raises NotFound, Gone, NotAcceptable.
    """
    offer = choose(accept, METADATA_OFFERS)
    rows = site.instances.metadata(ref)
    form = TextForm.of(accept, offer)
    if offer.item == JSON:
        location = (("Content-Location", f"{base_url}/{ref.path}/metadata"),)
        return text_answer(_json_array(rows, base_url, form), form.media_type, headers=location)
    parts = (
        Part.of(
            form.xml(served_text(text, base_url, row), decided=place > 0),
            form.media_type,
            f"{base_url}/{row.path}/metadata",
        )
        for place, (row, text) in enumerate(rows)
    )
    return multipart_answer(parts, XML)


def _json_array(rows: Iterator[tuple[InstanceRef, bytes]], base_url: str, form: TextForm) -> Chunks:
    separator = b"["
    pieces: list[bytes] = []
    size = sent = 0
    for ref, text in rows:
        text = form.json(served_text(text, base_url, ref), decided=sent > HELD_BYTES)
        pieces += (separator, text)
        separator = b","
        size += len(text)
        if size > 256 << 10:
            yield b"".join(pieces)
            pieces.clear()
            sent += size
            size = 0
    pieces.append(b"]" if separator == b"," else b"[]")
    yield b"".join(pieces)


def served_text(text: bytes, base_url: str, ref: InstanceRef) -> bytes:
    """Stored metadata text with the URL of its instance put in."""
    if INSTANCE_URL not in text:
        return text
    return with_urls(text, f"{base_url}/{ref.path}")
