"""Attributes and bulk values -> a Part 10 file: Explicit VR Little Endian, UTF-8 (PS3.10 7, PS3.5 7.1.2, PS3.18 F)."""

from __future__ import annotations

import re
import struct
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Final, NamedTuple

from dicomweb_core.codecs.explicit_vr import (
    ITEM,
    ITEM_DELIMITATION,
    SEQUENCE_DELIMITATION,
    UNDEFINED_LENGTH,
    element_header,
    item_header,
)
from dicomweb_core.codecs.file_meta_writer import file_meta
from dicomweb_core.codecs.value_encoder import encode_value
from dicomweb_core.errors import InvalidDataset
from dicomweb_core.values.attributes import BULK_VRS, Attribute, Attributes
from dicomweb_core.values.transfer_syntaxes import TransferSyntax, transfer_syntax

CHUNK_BYTES: Final = 65_536
"""Small elements are gathered to chunks of about this size."""

_LONGEST_VALUE: Final = 0xFFFFFFFE
_TAG: Final = re.compile(r"[0-9A-Fa-f]{8}")
_SPECIFIC_CHARACTER_SET: Final = 0x00080005
_PIXEL_DATA: Final = "7FE00010"
_TRANSFER_SYNTAX_NOT_SUPPORTED: Final = 0xC122


class Piece(NamedTuple):
    """A value, or one frame of encapsulated pixel data. `open` gives exactly `length` bytes, in chunks."""

    length: int
    open: Callable[[], Iterable[bytes]]


class _Element(NamedTuple):
    tag: int
    path: str
    """As in `BulkValue.path`."""
    attribute: Attribute


_Step = _Element | bytes
"""What is written next: an element, or bytes as they are."""
BulkLookup = Callable[[str, str], Sequence[Piece]]


def write_part10(
    attributes: Attributes,
    *,
    transfer_syntax_uid: str,
    sop_class_uid: str,
    sop_instance_uid: str,
    bulk: BulkLookup,
) -> Iterator[bytes]:
    """The file in chunks. `attributes` is the whole data set; group lengths and groups below 0004 are left out.

    `bulk(path, uri)` gives the value a BulkDataURI stands for, little endian, in pieces that follow one another;
    of top-level Pixel Data in an encapsulated transfer syntax the frames in order, a piece each. It may raise what its
    caller understands.
    Raises InvalidDataset, naming the attribute, also after the first chunks.
    """
    syntax = transfer_syntax(transfer_syntax_uid)
    if syntax.implicit or syntax.big_endian or syntax.deflated:
        raise InvalidDataset(f"A data set cannot be written in {syntax.name}.", reason=_TRANSFER_SYNTAX_NOT_SUPPORTED)
    return _chunks(file_meta(transfer_syntax_uid, sop_class_uid, sop_instance_uid), attributes, syntax, bulk)


def _chunks(head: bytes, attributes: Attributes, syntax: TransferSyntax, bulk: BulkLookup) -> Iterator[bytes]:
    gathered = bytearray(head)
    with_character_set = {**attributes, "00080005": {"vr": "CS"}}
    open_items: list[Iterator[_Step]] = [_elements(with_character_set, "")]
    while open_items:
        step = next(open_items[-1], None)
        if step is None:
            open_items.pop()
        elif isinstance(step, bytes):
            gathered += step
        elif step.attribute.get("vr") == "SQ":
            open_items.append(_sequence(step))
        elif "BulkDataURI" in step.attribute:
            yield bytes(gathered)
            gathered.clear()
            yield from _bulk_element(step, syntax, bulk)
        else:
            gathered += _element(step)
        if len(gathered) >= CHUNK_BYTES:
            yield bytes(gathered)
            gathered.clear()
    if gathered:
        yield bytes(gathered)


def _elements(attributes: Attributes, parent: str) -> Iterator[_Element]:
    """In ascending order. Text is UTF-8, and where Specific Character Set stands it says so."""
    for name in sorted(attributes, key=str.upper):
        if not _TAG.fullmatch(name):
            raise InvalidDataset("An attribute is not named by the 8 hex digits of its tag (PS3.18 F.2.2).")
        tag = int(name, 16)
        if tag < 0x00040000 or tag & 0xFFFF == 0 or tag >= 0xFFFC0000:
            continue
        attribute = attributes[name]
        if tag == _SPECIFIC_CHARACTER_SET:
            attribute = {"vr": "CS", "Value": ["ISO_IR 192"]}
        if not isinstance(attribute, dict):
            raise InvalidDataset(f"{name} is not an object with a VR (PS3.18 F.2.2).")
        yield _Element(tag, f"{parent}{name.upper()}", attribute)


def _sequence(element: _Element) -> Iterator[_Step]:
    """Sequence and items have undefined lengths: nothing has to be known before it is written."""
    items: Any = element.attribute.get("Value", [])
    if not isinstance(items, list) or not all(item is None or isinstance(item, dict) for item in items):
        raise InvalidDataset(f"{element.path} is not a sequence of items (PS3.18 F.2.2).")
    yield element_header(element.tag, "SQ", UNDEFINED_LENGTH if items else 0)
    for index, item in enumerate(items):
        yield ITEM
        yield from _elements(item or {}, f"{element.path}/{index}/")
        yield ITEM_DELIMITATION
    if items:
        yield SEQUENCE_DELIMITATION


def _element(element: _Element) -> bytes:
    vr = _vr(element)
    value = encode_value(element.path, vr, element.attribute)
    return element_header(element.tag, vr, len(value)) + value


def _vr(element: _Element) -> str:
    vr = element.attribute.get("vr")
    if not isinstance(vr, str) or len(vr) != 2 or not vr.isascii():
        raise InvalidDataset(f"{element.path} has no VR (PS3.18 F.2.2).")
    return vr


def _bulk_element(element: _Element, syntax: TransferSyntax, bulk: BulkLookup) -> Iterator[bytes]:
    vr, uri = _vr(element), element.attribute["BulkDataURI"]
    if vr not in BULK_VRS or not isinstance(uri, str):
        raise InvalidDataset(f"{element.path} of VR {vr!r} cannot be a BulkDataURI (PS3.18 F.2.2).")
    pieces = bulk(element.path, uri)
    if element.path == _PIXEL_DATA and syntax.encapsulated:
        yield from _encapsulated(element.tag, pieces)
        return
    length = sum(piece.length for piece in pieces)
    if length > _LONGEST_VALUE:
        raise InvalidDataset(f"The value of {element.path} is too long for a data element (PS3.5 7.1.1).")
    yield element_header(element.tag, vr, length + length % 2)
    for piece in pieces:
        yield from piece.open()
    if length % 2:
        yield b"\0" if vr.startswith("O") or vr == "UN" else b" "


def _encapsulated(tag: int, frames: Sequence[Piece]) -> Iterator[bytes]:
    """One fragment a frame behind a Basic Offset Table (PS3.5 A.4); the table is empty if an offset does not fit."""
    lengths = [frame.length + frame.length % 2 for frame in frames]
    if max(lengths, default=0) > _LONGEST_VALUE:
        raise InvalidDataset("A frame of the Pixel Data (7FE0,0010) is too long for a fragment (PS3.5 A.4).")
    offsets, end = [], 0
    for length in lengths:
        offsets.append(end)
        end += 8 + length
    table = struct.pack(f"<{len(offsets)}I", *offsets) if offsets and offsets[-1] <= UNDEFINED_LENGTH else b""
    yield element_header(tag, "OB", UNDEFINED_LENGTH) + item_header(len(table)) + table
    for frame, length in zip(frames, lengths, strict=True):
        yield item_header(length)
        yield from frame.open()
        if frame.length % 2:
            yield b"\0"
    yield SEQUENCE_DELIMITATION
