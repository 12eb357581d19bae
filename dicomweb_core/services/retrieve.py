"""Retrieve instances and metadata (PS3.18 10.4.1.1.1, 10.4.1.1.2)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import chain
from typing import Final

from dicomweb_core.codecs.dicom_json import with_urls
from dicomweb_core.codecs.json_numbers import selected
from dicomweb_core.errors import NotAcceptable
from dicomweb_core.rules.negotiation import Accept, Offer, choose
from dicomweb_core.services import bulkdata
from dicomweb_core.services.answers import HELD_BYTES, JOIN_BYTES, multipart_answer, part_answer, text_answer
from dicomweb_core.services.instance_forms import DICOM, ChosenForms, instance_part
from dicomweb_core.services.parts import Chunks, Part
from dicomweb_core.services.pixel_forms import OCTETS
from dicomweb_core.services.site import Site
from dicomweb_core.services.texts import TextForm
from dicomweb_core.services.zip_answer import ZIP, ZippedInstance, accepted_inside, zip_answer, zip_is_chosen
from dicomweb_core.storage.instances import StoredInstance
from dicomweb_core.values.attributes import INSTANCE_URL
from dicomweb_core.values.messages import HeaderList, Response
from dicomweb_core.values.resources import InstanceRef, Ref

JSON: Final = "application/dicom+json"
XML: Final = "application/dicom+xml"

LISTED_INSTANCES: Final = 10_000
"""An answer of up to this many instances is listed first, to say its length; a longer one is sent as it is read."""

METADATA_OFFERS: Final = (
    Offer(JSON, multipart=False, transfer_syntax=None, default=True),
    Offer(XML, multipart=True, transfer_syntax=None),
)


def retrieve_instances(site: Site, ref: Ref, accept: Accept, base_url: str) -> Response:
    """All instances below `ref`, as stored or in another transfer syntax without loss, as parts or in a ZIP archive.

    An instance that cannot be sent in any acceptable form is left out and counted in a Warning; if that is all of
    them, raises NotAcceptable. Whether frames can be made is known before the first byte as far as
    `Limits.decoded_ahead_bytes` reach. Raises NotFound, Gone, CorruptBlob before the first byte.
    """
    single = isinstance(ref, InstanceRef)
    rows = site.instances.instances(ref)
    listed, rest = _listed(rows, LISTED_INSTANCES)
    chosen = ChosenForms(site, accept, single=single)
    zipped = zip_is_chosen(accept, lambda ranges: _has_form(ChosenForms(site, ranges, single=single), listed))
    if zipped:
        chosen = ChosenForms(site, accepted_inside(accept), single=False)
    elif _wants_bulk_data(chosen, listed):
        return bulkdata.retrieve_values(site, ref, accept, base_url, pixels_only=False)
    sent, refusal = _sendable(chosen, listed, site.limits.decoded_ahead_bytes)
    if refusal is not None and not sent:
        refusal.available = (*refusal.available, ZIP)
        raise refusal
    if not sent[0][1].multipart:
        return part_answer(instance_part(site, *sent[0], base_url))
    warning: HeaderList = ()
    if len(sent) < len(listed):
        missing = len(listed) - len(sent)
        text = f"299 {base_url}: {missing} of {len(listed)} instances cannot be sent in an acceptable form"
        warning = (("Warning", text),)
    parts: Iterable[tuple[InstanceRef, Part]]
    if rest is None and all(offer.transfer_syntax == row.transfer_syntax_uid for row, offer in sent):
        parts = [(row.ref, instance_part(site, row, offer, base_url)) for row, offer in sent]
    else:
        parts = _all_parts(site, chain((row for row, _ in sent), rest or ()), chosen, base_url)
    return _zipped(parts, ref, warning) if zipped else _multipart(parts, warning)


def _zipped(parts: Iterable[tuple[InstanceRef, Part]], ref: Ref, warning: HeaderList) -> Response:
    entries = (ZippedInstance(*one) for one in parts)
    return zip_answer(list(entries) if isinstance(parts, list) else entries, ref, headers=warning)


def _multipart(parts: Iterable[tuple[InstanceRef, Part]], warning: HeaderList) -> Response:
    only = (part for _, part in parts)
    return multipart_answer(list(only) if isinstance(parts, list) else only, DICOM, headers=warning)


def _has_form(chosen: ChosenForms, listed: list[StoredInstance]) -> bool:
    for row in listed:
        try:
            chosen.form_of(row)
        except NotAcceptable:
            continue
        return True
    return False


def _wants_bulk_data(chosen: ChosenForms, listed: list[StoredInstance]) -> bool:
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


def _sendable(
    chosen: ChosenForms, listed: list[StoredInstance], room: int
) -> tuple[list[tuple[StoredInstance, Offer]], NotAcceptable | None]:
    """The instances that have an acceptable form, and why another has none. First frames are made until `room` bytes
    of them have been."""
    sent = []
    refusal = None
    for row in listed:
        try:
            offer, made = chosen.proven_form_of(row) if room > 0 else (chosen.form_of(row), 0)
        except NotAcceptable as error:
            refusal = error
        else:
            sent.append((row, offer))
            room -= made
    return sent, refusal


def _all_parts(
    site: Site, rows: Iterable[StoredInstance], chosen: ChosenForms, base_url: str
) -> Iterator[tuple[InstanceRef, Part]]:
    """A part each; first frames are made before its headers are sent, so that another form can take its place."""
    for row in rows:
        offer, _ = chosen.proven_form_of(row)
        yield row.ref, instance_part(site, row, offer, base_url)


def retrieve_metadata(
    site: Site, ref: Ref, accept: Accept, base_url: str, fields: frozenset[str] | None = None
) -> Response:
    """The metadata of all instances below `ref`: one JSON array, or a part of XML each.

    `fields` are tags at the top of the data sets, None for all. A text that the character set asked for cannot
    represent is refused as long as the status is open: within the first `HELD_BYTES` of JSON, the first part of XML.
    Raises NotFound, Gone, NotAcceptable.
    """
    offer = choose(accept, METADATA_OFFERS)
    form = TextForm.of(accept, offer)
    rows = ((row, served_text(text, base_url, row)) for row, text in site.instances.metadata(ref))
    if fields is not None:
        rows = ((row, selected(text, fields)) for row, text in rows)
    if offer.item == JSON:
        location = (("Content-Location", f"{base_url}/{ref.path}/metadata"),)
        return text_answer(_json_array((text for _, text in rows), form), form.media_type, headers=location)
    parts = (
        Part.of(form.xml(text, decided=place > 0), form.media_type, f"{base_url}/{row.path}/metadata")
        for place, (row, text) in enumerate(rows)
    )
    return multipart_answer(parts, XML)


def _json_array(texts: Iterator[bytes], form: TextForm) -> Chunks:
    separator = b"["
    pieces: list[bytes] = []
    size = sent = 0
    for stored in texts:
        text = form.json(stored, decided=sent > HELD_BYTES)
        pieces += (separator, text)
        separator = b","
        size += len(text)
        if size > JOIN_BYTES:
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
