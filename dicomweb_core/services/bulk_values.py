"""Values of a data set from the bulk data parts it refers to, pixel data excepted (PS3.18 10.5.1.4)."""

from __future__ import annotations

from codecs import getincrementaldecoder
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from dicomweb_core.codecs.byte_order import WORD_BYTES
from dicomweb_core.codecs.part10_writer import Piece
from dicomweb_core.errors import InvalidDataset
from dicomweb_core.rules.store_report import FailureReason
from dicomweb_core.services.bulk_parts import BulkPart, BulkParts
from dicomweb_core.values.attributes import BINARY_VRS, Attributes, first_text

OCTETS: Final = "application/octet-stream"

_ENCAPSULATED_DOCUMENT: Final = "00420011"
_MIME_TYPE: Final = "00420012"
_PIXEL_DATA: Final = "7FE00010"
_TEXT_VRS: Final = frozenset({"DS", "IS", "LT", "ST", "UC", "UT"})
_SAME_TYPE: Final = {"application/xml": "text/xml", "application/stl": "model/stl"}


def referenced_parts(path: str, uri: str, bulk: BulkParts) -> Sequence[BulkPart]:
    """The parts of a value, at least one. Raises InvalidDataset when there is none: nothing is ever fetched."""
    parts = bulk.parts_of(uri)
    if not parts:
        raise InvalidDataset(f"The BulkDataURI of {path} names no part of this request, and others are not followed.")
    return parts


def value_pieces(path: str, vr: str, uri: str, bulk: BulkParts) -> list[Piece]:
    """The value of any element but pixel data: the bytes of its part.

    Raises InvalidDataset, also when there are several parts, or no whole number of words, and TooLarge.
    """
    parts = referenced_parts(path, uri, bulk)
    if len(parts) > 1:
        raise InvalidDataset(f"Several parts have the name that the BulkDataURI of {path} has.")
    part = parts[0]
    if vr not in BINARY_VRS and part.media_type.essence not in (OCTETS, "text/plain"):
        raise InvalidDataset(f"The part of {path} is not application/octet-stream (PS3.18 10.5.1.4).")
    if part.length % WORD_BYTES.get(vr, 1):
        raise InvalidDataset(f"The part of {path} has a length that no value of VR {vr} has.")
    if path.endswith(_PIXEL_DATA) and part.media_type.essence != OCTETS:
        raise InvalidDataset(f"Compressed pixel data inside a sequence are not supported ({path}).")
    piece = bulk.piece(part)
    if vr in _TEXT_VRS:
        return [Piece(piece.length, lambda: _utf8(path, piece.open()))]
    return [piece]


def with_document_type(attributes: Attributes, bulk: BulkParts) -> Attributes:
    """The attributes with the MIME Type of the Encapsulated Document (0042,0012): that of its part, if it is missing.

    Raises InvalidDataset when the data set says another.
    """
    uri = attributes.get(_ENCAPSULATED_DOCUMENT, {}).get("BulkDataURI")
    if uri is None:
        return attributes
    sent = bulk.media_type_of(uri)
    if sent in (None, OCTETS):
        return attributes
    assert sent is not None
    stated = first_text(attributes, _MIME_TYPE).partition(";")[0].strip().lower()
    if not stated:
        return dict(sorted({**attributes, _MIME_TYPE: {"vr": "LO", "Value": [sent]}}.items()))
    if _SAME_TYPE.get(stated, stated) != _SAME_TYPE.get(sent, sent):
        raise InvalidDataset(
            "MIME Type of Encapsulated Document (0042,0012) is not the media type of the part.",
            reason=FailureReason.DATA_SET_MISMATCH,
        )
    return attributes


def _utf8(path: str, chunks: Iterable[bytes]) -> Iterator[bytes]:
    """Text as it is, if it is UTF-8: what the data set will say of all its text."""
    decoder = getincrementaldecoder("utf-8")()
    try:
        for chunk in chunks:
            decoder.decode(chunk)
            yield chunk
        decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        raise InvalidDataset(f"The part of {path} is not text in UTF-8.") from None
