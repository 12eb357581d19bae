"""Store requests of metadata and bulk data parts (PS3.18 10.5.1.4), written by hand."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, NamedTuple
from xml.sax.saxutils import quoteattr

from tests.clients import JSON, Answer, Client
from tests.made import SECONDARY_CAPTURE, uid

XML = "application/dicom+xml"
OCTETS = "application/octet-stream"

Model = dict[str, Any]
"""A data set as DICOM JSON."""


class Bulk(NamedTuple):
    """A bulk data part."""

    content: bytes
    location: str = "pixels"
    media_type: str = OCTETS
    headers: str = ""
    """More header lines, each with its line end."""


def dataset(number: int = 1, **attributes: Any) -> Model:
    """The UIDs of `tests.made` and attributes as `XX00100010="value"` or a whole attribute; VRs of texts are LO."""
    model = {
        "00080016": {"vr": "UI", "Value": [SECONDARY_CAPTURE]},
        "00080018": {"vr": "UI", "Value": [uid(1, 1, number)]},
        "0020000D": {"vr": "UI", "Value": [uid(1)]},
        "0020000E": {"vr": "UI", "Value": [uid(1, 1)]},
    }
    for name, value in attributes.items():
        model[name[1:]] = value if isinstance(value, dict) else {"vr": "LO", "Value": [value]}
    return dict(sorted(model.items()))


def pixel_data(uri: str = "pixels", vr: str = "OB") -> Model:
    return {"vr": vr, "BulkDataURI": uri}


def image(number: int = 1, *, uri: str = "pixels", rows: int = 2, columns: int = 2, **attributes: Any) -> Model:
    """A monochrome image of 8 bits."""
    numbers = {
        "00280002": 1,
        "00280010": rows,
        "00280011": columns,
        "00280100": 8,
        "00280101": 8,
        "00280102": 7,
        "00280103": 0,
    }
    described: Model = {f"X{tag}": {"vr": "US", "Value": [value]} for tag, value in numbers.items()}
    described["X00280004"] = {"vr": "CS", "Value": ["MONOCHROME2"]}
    return dataset(number, **{**described, "X7FE00010": pixel_data(uri), **attributes})


def xml_of(model: Model) -> bytes:
    """A Native DICOM Model of attributes with texts, numbers and BulkDataURIs (PS3.19 A.1)."""
    content = []
    for tag, attribute in model.items():
        uri = attribute.get("BulkDataURI")
        inside = f"<BulkData uri={quoteattr(uri)}/>" if uri else ""
        for number, value in enumerate(attribute.get("Value", []), 1):
            inside += f'<Value number="{number}">{value}</Value>'
        content.append(f'<DicomAttribute tag="{tag}" vr="{attribute["vr"]}">{inside}</DicomAttribute>')
    namespace = "http://dicom.nema.org/PS3.19/models/NativeDICOM"
    return f'<NativeDicomModel xmlns="{namespace}" xml:space="preserve">{"".join(content)}</NativeDicomModel>'.encode()


def message(kind: str, metadata: Sequence[bytes], bulk: Sequence[Bulk] = ()) -> tuple[str, bytes]:
    """Content-Type and payload: parts of metadata, then bulk data parts."""
    parts = [f"Content-Type: {kind}\r\n\r\n".encode() + text for text in metadata]
    for part in bulk:
        location = f"Content-Location: {part.location}\r\n" if part.location else ""
        head = f"Content-Type: {part.media_type}\r\n{location}{part.headers}\r\n"
        parts.append(head.encode() + part.content)
    return joined(kind, parts)


def joined(kind: str, parts: Sequence[bytes]) -> tuple[str, bytes]:
    """Parts with their headers as a message."""
    payload = b"".join(b"--B\r\n" + part + b"\r\n" for part in parts) + b"--B--\r\n"
    return f'multipart/related; type="{kind}"; boundary=B', payload


def post(client: Client, models: Sequence[Any], *bulk: Bulk, kind: str = JSON, target: str = "/studies") -> Answer:
    """Stores data sets: JSON in one part, XML in a part each."""
    metadata = [json.dumps(models).encode()] if kind == JSON else [xml_of(model) for model in models]
    content_type, payload = message(kind, metadata, bulk)
    return client.request("POST", target, payload, Content_Type=content_type)


def comments(answer: Answer) -> list[str]:
    """What the report says of each failure, in words."""
    failed = [item for tag in ("00081198", "0008119A") for item in answer.json.get(tag, {}).get("Value", [])]
    return [item["00741048"]["Value"][0]["00000902"]["Value"][0] for item in failed]


def reasons(answer: Answer) -> list[int]:
    """The Failure Reason of each failure."""
    failed = [item for tag in ("00081198", "0008119A") for item in answer.json.get(tag, {}).get("Value", [])]
    return [item["00081197"]["Value"][0] for item in failed]
