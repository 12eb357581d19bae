"""The payload of a transaction of the worklist: one data set, JSON or XML (PS3.18 11.1.3)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple

from dicomweb_core.codecs import dicom_json
from dicomweb_core.codecs.dicom_xml import from_xml
from dicomweb_core.codecs.multipart_decoder import boundary_of
from dicomweb_core.errors import InvalidPayload, TooLarge, UnsupportedMediaType
from dicomweb_core.services.request_parts import coding_refusal, request_parts
from dicomweb_core.values.attributes import Attributes
from dicomweb_core.values.limits import Limits
from dicomweb_core.values.media_types import MediaType
from dicomweb_core.values.messages import Buffer, Request

SUPPORTED: Final = (
    "application/dicom+json",
    "application/dicom+xml",
    'multipart/related; type="application/dicom+xml"',
)
"""Content-Types of a request, the preferred first."""

_XML: Final = frozenset({"application/dicom+xml", "application/xml", "text/xml"})
_JSON: Final = frozenset({"application/dicom+json", "application/json"})
_AFFECTED_SOP_INSTANCE_UID: Final = "00001000"
_RECEIVED_BYTES: Final = 256 << 10


class SentDataset(NamedTuple):
    """What was sent. The attributes are as `codecs.dicom_json.normalised` promises."""

    attributes: Attributes
    affected_uid: str = ""
    """(0000,1000), which does not belong into a data set; some clients of Create have it there."""


def sent_dataset(request: Request, limits: Limits, *, optional: bool = False) -> SentDataset:
    """The only data set of a request; if it is `optional` and there is no payload, an empty one.

    Raises InvalidPayload, UnsupportedMediaType, TooLarge, BadRequest, ClientDisconnected.
    """
    if optional and not (request.header("Content-Type") or "").startswith("multipart/"):
        text = _received(_chunks(request), limits)
        if not text:
            return SentDataset({})
        return _dataset(text, _checked(request).essence, limits)
    content_type = _checked(request)
    if content_type.essence != "multipart/related":
        return _dataset(_received(_chunks(request), limits), content_type.essence, limits)
    root = (content_type.param("type") or "").lower()
    found: list[SentDataset] = []
    for part in request_parts(boundary_of(content_type), _chunks(request), limits):
        if found:
            raise InvalidPayload("The request has more than one data set (PS3.18 11.1.3).")
        refusal = coding_refusal(part.start)
        if refusal is not None:
            raise refusal
        essence = root if part.start.media_type is None else part.start.media_type.essence
        if essence not in _XML | _JSON:
            raise UnsupportedMediaType("The part is no data set in JSON or XML.", supported=SUPPORTED)
        found.append(_dataset(_received(part.content, limits), essence, limits))
    if not found:
        raise InvalidPayload("The request has no data set.")
    return found[0]


def _checked(request: Request) -> MediaType:
    """The Content-Type. Raises UnsupportedMediaType, BadRequest."""
    coding = request.header("Content-Encoding")
    if coding is not None and coding.strip().lower() not in ("", "identity"):
        raise UnsupportedMediaType("Content-Encoding is not supported in requests.", supported=SUPPORTED)
    text = request.header("Content-Type")
    if text is None:
        raise UnsupportedMediaType("The request has no Content-Type.", supported=SUPPORTED)
    found = MediaType.parse(text)
    essence = found.essence
    if essence == "multipart/related":
        essence = (found.param("type") or "").lower()
    if essence not in _XML | _JSON:
        raise UnsupportedMediaType("This Content-Type cannot be a workitem.", supported=SUPPORTED)
    return found


def _chunks(request: Request) -> Iterator[bytes]:
    while data := request.body.read(_RECEIVED_BYTES):
        yield data


def _received(chunks: Iterable[Buffer], limits: Limits) -> bytes:
    text = bytearray()
    for data in chunks:
        if len(text) + len(data) > limits.workitem_bytes:
            ceiling = limits.workitem_bytes
            raise TooLarge("The data set of the request is too long.", limit="workitem_bytes", ceiling=ceiling)
        text += data
    return bytes(text)


def _dataset(text: bytes, essence: str, limits: Limits) -> SentDataset:
    if not text.strip():
        raise InvalidPayload("The request has no data set.")
    if essence in _XML:
        return SentDataset(from_xml(text, limits))
    given = dicom_json.parse(text, limits)
    if len(given) != 1:
        raise InvalidPayload(f"The request has {len(given)} data sets, and not one (PS3.18 11.1.3).")
    affected = given[0].get(_AFFECTED_SOP_INSTANCE_UID) if isinstance(given[0], dict) else None
    values = affected.get("Value") if isinstance(affected, dict) else None
    uid = values[0] if isinstance(values, list) and values and isinstance(values[0], str) else ""
    return SentDataset(dicom_json.normalised(given[0], limits), uid)
