"""Store over HTTP (PS3.18 10.5.1): the request payload, part by part, and the response."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from dicomweb_core.codecs.dicom_json import dump
from dicomweb_core.codecs.dicom_xml import to_xml
from dicomweb_core.codecs.multipart_decoder import PartStart, boundary_of
from dicomweb_core.errors import (
    ClientDisconnected,
    DICOMwebError,
    InvalidPayload,
    TooLarge,
    UnsupportedMediaType,
)
from dicomweb_core.rules.negotiation import Accept, Offer, choose
from dicomweb_core.rules.store_report import response_module
from dicomweb_core.services.answers import multipart_answer, single_answer
from dicomweb_core.services.metadata_request import METADATA_TYPES, store_metadata
from dicomweb_core.services.parts import Part
from dicomweb_core.services.request_parts import coding_refusal, request_parts
from dicomweb_core.services.scopes import Scope
from dicomweb_core.services.site import Site
from dicomweb_core.services.store import StoreBatch, store_instance
from dicomweb_core.services.zip_request import ZIP_TYPES, store_zip
from dicomweb_core.values.limits import Limits
from dicomweb_core.values.media_types import MediaType
from dicomweb_core.values.messages import Readable, Request, Response
from dicomweb_core.values.resources import StudyRef

SUPPORTED: Final = (
    'multipart/related; type="application/dicom"',
    'multipart/related; type="application/dicom+json"',
    'multipart/related; type="application/dicom+xml"',
    "application/dicom",
    "application/dicom+json",
    "application/dicom+xml",
    "application/zip",
)
"""Content-Types of a store request (PS3.18 Table 10.5.4-1). Single parts are an extension (B.21 has one), as is ZIP."""

RESPONSE_OFFERS: Final = (
    Offer("application/dicom+json", multipart=False, transfer_syntax=None, default=True),
    Offer("application/dicom+xml", multipart=True, transfer_syntax=None),
    Offer("application/dicom+xml", multipart=False, transfer_syntax=None),
)


def store(site: Site, request: Request, study: StudyRef | None, accept: Accept, scope: Scope) -> Response:
    """Stores what the request contains and reports on each instance.

    Raises BadRequest, UnsupportedMediaType, NotAcceptable, TooLarge before anything is stored, and
    ClientDisconnected, StorageUnavailable.
    """
    offer = choose(accept, RESPONSE_OFFERS)
    _check_coding(request)
    content_type = _content_type(request)
    batch = StoreBatch(site, study=study, scope=scope)
    chunks = _chunks(request.body, site.limits)
    root = _root(content_type)
    try:
        if root in METADATA_TYPES:
            store_metadata(batch, site, content_type, chunks, request.base_url + request.path)
        elif content_type.essence == "multipart/related":
            _store_parts(batch, boundary_of(content_type), chunks, site.limits)
        elif content_type.essence in ZIP_TYPES:
            store_zip(batch, site, chunks)
        else:
            store_instance(batch, chunks, "1")
        report = batch.finish()
    except BaseException:
        batch.abandon()
        raise
    if not report.stored and not report.failed:
        raise InvalidPayload("The request contains no instance.")
    module = response_module(report, request.base_url)
    headers: tuple[tuple[str, str], ...] = ()
    if report.study is not None:
        url = f"{request.base_url}/studies/{report.study}"
        headers = (("Location", url), ("Content-Location", url))
    if offer.item == "application/dicom+json":
        return single_answer(dump(module), "application/dicom+json", status=report.status, headers=headers)
    xml = to_xml(module)
    if not offer.multipart:
        return single_answer(xml, "application/dicom+xml", status=report.status, headers=headers)
    part = Part.of(xml, "application/dicom+xml")
    return multipart_answer([part], "application/dicom+xml", status=report.status, headers=headers)


def _check_coding(request: Request) -> None:
    coding = request.header("Content-Encoding")
    if coding is not None and coding.strip().lower() not in ("", "identity"):
        raise UnsupportedMediaType("Content-Encoding is not supported on store requests.", supported=SUPPORTED)


def _content_type(request: Request) -> MediaType:
    """Raises UnsupportedMediaType, BadRequest."""
    text = request.header("Content-Type")
    if text is None:
        raise UnsupportedMediaType("The request has no Content-Type.", supported=SUPPORTED)
    content_type = MediaType.parse(text)
    if _root(content_type) not in ("application/dicom", *METADATA_TYPES) and content_type.essence not in ZIP_TYPES:
        raise UnsupportedMediaType("This Content-Type cannot be stored.", supported=SUPPORTED)
    return content_type


def _root(content_type: MediaType) -> str:
    """The media type of the first part, or of the only one; Part 10 if the message does not say it."""
    if content_type.essence != "multipart/related":
        return content_type.essence
    return (content_type.param("type") or "application/dicom").lower()


def _chunks(body: Readable, limits: Limits) -> Iterator[bytes]:
    """The payload. Raises TooLarge, ClientDisconnected."""
    total = 0
    while data := body.read(min(limits.chunk_bytes, 256 << 10)):
        total += len(data)
        if total > limits.request_bytes:
            raise TooLarge(
                f"The payload is larger than {limits.request_bytes} bytes.",
                limit="request_bytes",
                ceiling=limits.request_bytes,
            )
        yield data


def _store_parts(batch: StoreBatch, boundary: bytes, chunks: Iterator[bytes], limits: Limits) -> None:
    """Every part into the batch. A payload that breaks off, is too large or cannot be read further ends the batch with
    a failure of its own; what came whole before it counts. Raises InvalidPayload if no part began, TooLarge if none
    came whole."""
    number = whole = 0
    try:
        for part in request_parts(boundary, chunks, limits):
            number = part.number
            refusal = _part_refusal(part.start)
            if refusal is None:
                store_instance(batch, part.content, str(number))
            else:
                for _ in part.content:
                    pass
                batch.fail(refusal, str(number))
            whole += 1
    except ClientDisconnected:
        raise
    except (InvalidPayload, TooLarge) as error:
        if number == 0 or (whole == 0 and isinstance(error, TooLarge)):
            raise
        batch.fail(error, str(number))


def _part_refusal(part: PartStart) -> DICOMwebError | None:
    if part.media_type is not None and part.media_type.essence not in ("application/dicom", "application/octet-stream"):
        return UnsupportedMediaType("The part is not application/dicom.")
    return coding_refusal(part)
