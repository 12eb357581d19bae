"""Store of metadata and bulk data (PS3.18 10.5.1.4): DICOM JSON or Native DICOM Model, and the parts they refer to.

What arrives is kept until the message is complete: metadata as text, bulk data in a staged blob. Then each data set is
written as a Part 10 file and stored like any other, so that everything is checked that is checked there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from typing import Any, Final, NamedTuple

from dicomweb_core.codecs import dicom_json
from dicomweb_core.codecs.dicom_xml import from_xml
from dicomweb_core.codecs.multipart_decoder import PartStart, boundary_of
from dicomweb_core.codecs.part10_writer import BulkLookup, Piece, write_part10
from dicomweb_core.errors import (
    CorruptBlob,
    InvalidDataset,
    InvalidPayload,
    NotAcceptable,
    TooLarge,
    UnsupportedMediaType,
)
from dicomweb_core.rules.bulk_references import PartName
from dicomweb_core.services.bulk_parts import BulkParts
from dicomweb_core.services.bulk_values import value_pieces, with_document_type
from dicomweb_core.services.pixel_parts import PIXEL_DATA, PixelForm, pixel_form
from dicomweb_core.services.request_parts import RequestPart, coding_refusal, request_parts
from dicomweb_core.services.site import Site
from dicomweb_core.services.store import StoreBatch, store_instance
from dicomweb_core.values.attributes import Attributes, first_text
from dicomweb_core.values.limits import Limits
from dicomweb_core.values.media_types import MediaType
from dicomweb_core.values.messages import Buffer
from dicomweb_core.values.uids import is_uid

METADATA_TYPES: Final = ("application/dicom+json", "application/dicom+xml")
"""Content-Types of a store request, or of its first part, that are metadata."""

_SPELLINGS: Final = {
    "application/json": "application/dicom+json",
    "application/xml": "application/dicom+xml",
    "text/xml": "application/dicom+xml",
}
"""Other Content-Types of a metadata part. A document may have them too: then the part is not the first, and named."""

_TRANSFER_SYNTAX: Final = "00020010"


class _Document(NamedTuple):
    """Text of metadata: an XML document is one data set, a JSON array any number."""

    source: str
    media_type: str
    text: bytearray


class _Given(NamedTuple):
    """One data set, not yet checked."""

    source: str
    read: Callable[[], Attributes]
    """Raises InvalidPayload, TooLarge."""
    uids: tuple[str, str]
    """SOP Class and SOP Instance UID as far as they can be seen, else empty."""
    transfer_syntax_uid: str | None
    """What (0002,0010) says. It does not belong there; some clients send it."""


def store_metadata(
    batch: StoreBatch, site: Site, content_type: MediaType, chunks: Iterator[bytes], request_url: str
) -> None:
    """Every data set of a request into the batch; one that cannot be stored fails alone.

    Raises, before anything is stored: InvalidPayload, BadRequest when the message or its JSON cannot be read;
    TooLarge, ClientDisconnected, StorageUnavailable.
    """
    with closing(BulkParts(site, request_url)) as bulk:
        if content_type.essence == "multipart/related":
            parts = request_parts(boundary_of(content_type), chunks, site.limits)
            root = (content_type.param("type") or "").lower()
            documents = _received(batch, bulk, parts, root, site.limits)
        else:
            text = _text(chunks, site.limits.model_bytes)
            documents = [_Document("1", content_type.essence, text)]
        bulk.seal()
        # All JSON is parsed before the first data set is stored: what is no JSON refuses the whole request.
        given = [dataset for document in documents for dataset in _datasets(document, site.limits)]
        if len(given) > site.limits.multipart_parts:
            ceiling = site.limits.multipart_parts
            raise TooLarge("The request has too many data sets.", limit="multipart_parts", ceiling=ceiling)
        _store_all(batch, site, bulk, given)


def store_datasets(
    batch: StoreBatch,
    site: Site,
    datasets: Iterable[Attributes],
    bulk_data: Mapping[str, bytes | tuple[str, bytes]],
) -> None:
    """Data sets in memory into the batch. `bulk_data` is the content of each BulkDataURI, octets or
    (media type, content). Raises BadRequest for what is no media type, TooLarge, StorageUnavailable."""
    with closing(BulkParts(site, "")) as bulk:
        for number, (uri, content) in enumerate(bulk_data.items(), 1):
            media_type, data = (None, content) if isinstance(content, bytes) else content
            bulk.begin(number, None if media_type is None else MediaType.parse(media_type), PartName(uri, None))
            bulk.write(data)
        bulk.seal()
        _store_all(
            batch,
            site,
            bulk,
            (_given(str(number), dataset, site.limits) for number, dataset in enumerate(datasets, 1)),
        )


def _store_all(batch: StoreBatch, site: Site, bulk: BulkParts, given: Iterable[_Given]) -> None:
    refused = 0
    for dataset in given:
        refused += not _store(batch, site, bulk, dataset)
    if not refused:
        _report_unused(batch, bulk)


def _received(
    batch: StoreBatch, bulk: BulkParts, parts: Iterator[RequestPart], root: str, limits: Limits
) -> list[_Document]:
    """The metadata; bulk data parts are in `bulk` then. A part that can be neither is reported at once."""
    documents: list[_Document] = []
    room = limits.model_bytes
    for number, start, content in parts:
        name = PartName(start.header("Content-Location"), start.header("Content-ID"))
        media_type = _metadata_type(start, name, root if number == 1 else None)
        refusal = coding_refusal(start)
        if refusal is None and start.media_type is not None and start.media_type.essence == "application/dicom":
            refusal = UnsupportedMediaType("Part 10 files and metadata are not stored by one request.")
        if refusal is None and media_type is None and not (name.location or name.content_id):
            refusal = InvalidPayload("A bulk data part has no Content-Location.")
        if refusal is not None:
            batch.fail(refusal, str(number))
        elif media_type is not None:
            text = _text(content, room)
            room -= len(text)
            documents.append(_Document(str(number), media_type, text))
        else:
            bulk.begin(number, start.media_type, name)
            for data in content:
                bulk.write(data)
    return documents


def _metadata_type(part: PartStart, name: PartName, root: str | None) -> str | None:
    """Which metadata a part is, None if it is bulk data. `root` is the type of the message, for its first part."""
    if part.media_type is None:
        return root
    essence = part.media_type.essence
    if essence in _SPELLINGS:
        is_bulk = root is None and (name.location or name.content_id)
        return None if is_bulk else _SPELLINGS[essence]
    return essence if essence in METADATA_TYPES else None


def _text(content: Iterator[Buffer] | Iterator[bytes], room: int) -> bytearray:
    text = bytearray()
    for data in content:
        if len(text) + len(data) > room:
            raise TooLarge("The metadata of the request are too long.", limit="model_bytes", ceiling=room)
        text += data
    return text


def _datasets(document: _Document, limits: Limits) -> Iterator[_Given]:
    if document.media_type == "application/dicom+xml":
        text = bytes(document.text)
        yield _Given(document.source, lambda: from_xml(text, limits), ("", ""), None)
        return
    for dataset in dicom_json.parse(bytes(document.text), limits):
        yield _given(document.source, dataset, limits)


def _given(source: str, dataset: object, limits: Limits) -> _Given:
    uids = _seen_uid(dataset, "00080016"), _seen_uid(dataset, "00080018")
    syntax = _seen_uid(dataset, _TRANSFER_SYNTAX) or None
    return _Given(source, lambda: dicom_json.normalised(dataset, limits), uids, syntax)


def _seen_uid(dataset: Any, tag: str) -> str:
    """A UID of a data set in which nothing may be what it should be."""
    attribute = dataset.get(tag) if isinstance(dataset, Mapping) else None
    values = attribute.get("Value") if isinstance(attribute, Mapping) else None
    value = values[0] if isinstance(values, list) and values else None
    return value if isinstance(value, str) and is_uid(value) else ""


def _store(batch: StoreBatch, site: Site, bulk: BulkParts, given: _Given) -> bool:
    """Whether the data set could be written, so that it is known which parts it refers to."""
    sop_class_uid, sop_instance_uid = given.uids
    try:
        attributes = given.read()
        sop_class_uid, sop_instance_uid = _uid(attributes, "00080016"), _uid(attributes, "00080018")
        complete = with_document_type(attributes, bulk)
        form = pixel_form(complete, bulk, given.transfer_syntax_uid, site.limits)
        file = write_part10(
            form.attributes,
            transfer_syntax_uid=form.transfer_syntax_uid,
            sop_class_uid=sop_class_uid,
            sop_instance_uid=sop_instance_uid,
            bulk=_lookup(form, bulk),
        )
        store_instance(batch, file, given.source)
    except (InvalidPayload, NotAcceptable, TooLarge, CorruptBlob) as error:
        batch.fail(error, given.source, sop_class_uid=sop_class_uid, sop_instance_uid=sop_instance_uid)
        return False
    return True


def _uid(attributes: Attributes, tag: str) -> str:
    uid = first_text(attributes, tag)
    if not is_uid(uid):
        raise InvalidDataset(f"{tag} is missing or not a UID (PS3.5 9.1).")
    return uid


def _lookup(form: PixelForm, bulk: BulkParts) -> BulkLookup:
    def lookup(path: str, uri: str) -> Sequence[Piece]:
        return form.pieces if path == PIXEL_DATA else value_pieces(path, _vr_at(form.attributes, path), uri, bulk)

    return lookup


def _vr_at(attributes: Attributes, path: str) -> str:
    """The VR of an attribute that is there, by its tag, inside sequences `TAG/item/TAG`."""
    *items, tag = path.split("/")
    for sequence, index in zip(items[::2], items[1::2], strict=True):
        attributes = attributes[sequence]["Value"][int(index)]
    vr: str = attributes[tag]["vr"]
    return vr


def _report_unused(batch: StoreBatch, bulk: BulkParts) -> None:
    """One failure for all parts that no data set refers to: what was sent is not lost in silence."""
    unused = list(bulk.unused())
    if unused:
        detail = f"No data set refers to this bulk data part{f', nor to {len(unused) - 1} others' * (len(unused) > 1)}."
        batch.fail(InvalidPayload(detail), str(unused[0].number))
