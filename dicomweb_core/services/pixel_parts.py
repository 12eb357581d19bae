"""Pixel data of a data set from bulk data parts: transfer syntax, and what follows for the data set (PS3.18 10.5.2)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Final, NamedTuple

from dicomweb_core.codecs.part10_writer import Piece
from dicomweb_core.codecs.pixels.codestreams import JPEG_XL, Codestream, describe
from dicomweb_core.codecs.pixels.raster import open_raster
from dicomweb_core.errors import InvalidDataset, InvalidFrame, MissingCodec, TooLarge
from dicomweb_core.rules.image_pixel import check_native, completed, with_frames, with_lossy_compression
from dicomweb_core.rules.pixel_media_types import (
    CODESTREAM_TYPES,
    FIXED_TYPES,
    RASTER_TYPES,
    VIDEO_TYPES,
    common_syntax,
    stated_syntax,
)
from dicomweb_core.rules.store_report import FailureReason
from dicomweb_core.services.bulk_parts import BulkPart, BulkParts
from dicomweb_core.services.bulk_values import OCTETS, referenced_parts
from dicomweb_core.values.attributes import Attributes
from dicomweb_core.values.limits import Limits
from dicomweb_core.values.pixels import ImagePixel
from dicomweb_core.values.transfer_syntaxes import EXPLICIT_VR_LITTLE_ENDIAN, transfer_syntax

PIXEL_DATA: Final = "7FE00010"

_HEADER_BYTES: Final = 64 << 10
"""Where the header of a codestream ends, as a rule."""


class PixelForm(NamedTuple):
    """A data set made ready to be written."""

    attributes: Attributes
    transfer_syntax_uid: str = EXPLICIT_VR_LITTLE_ENDIAN
    pieces: Sequence[Piece] = ()
    """Top-level Pixel Data (7FE0,0010) if they are a BulkDataURI: one piece, or the frames, a piece each."""


def pixel_form(attributes: Attributes, bulk: BulkParts, elsewhere: str | None, limits: Limits) -> PixelForm:
    """The form the media types of the parts lead to; `elsewhere` is a transfer syntax the data set itself names.

    Raises InvalidDataset when parts and attributes contradict each other, MissingCodec, and TooLarge.
    """
    uri = attributes.get(PIXEL_DATA, {}).get("BulkDataURI")
    if uri is None:
        return PixelForm(attributes)
    parts = referenced_parts(PIXEL_DATA, uri, bulk)
    essences = {part.media_type.essence for part in parts}
    if len(essences) > 1:
        raise _mismatch("The frames are of different media types.")
    essence = essences.pop()
    stated = {stated_syntax(media_type, elsewhere) for media_type in {part.media_type for part in parts}}
    if len(stated) > 1:
        raise _mismatch("The frames are of different transfer syntaxes.")
    syntax = stated.pop()
    if essence in RASTER_TYPES:
        return _raster(attributes, parts, bulk, limits)
    if essence in VIDEO_TYPES:
        return _video(attributes, parts, bulk, syntax or VIDEO_TYPES[essence], essence)
    if essence in FIXED_TYPES:
        return _frames(attributes, parts, bulk, FIXED_TYPES[essence])
    if essence in CODESTREAM_TYPES:
        return _codestreams(attributes, parts, bulk, syntax, CODESTREAM_TYPES[essence], limits)
    if essence != OCTETS:
        raise InvalidDataset(
            "The media type of the pixel data is none that can be stored (PS3.18 Table 10.5.2-1).",
            reason=FailureReason.TRANSFER_SYNTAX_NOT_SUPPORTED,
        )
    return _octets(attributes, parts, bulk, syntax, limits)


def _octets(
    attributes: Attributes, parts: Sequence[BulkPart], bulk: BulkParts, stated: str | None, limits: Limits
) -> PixelForm:
    """Native pixels, but for a part that names another transfer syntax."""
    syntax = transfer_syntax(stated or EXPLICIT_VR_LITTLE_ENDIAN)
    if not syntax.encapsulated:
        if len(parts) > 1:
            attributes = with_frames(attributes, len(parts))
        check_native(attributes, sum(part.length for part in parts))
        return PixelForm(attributes, pieces=[bulk.piece(part) for part in parts])
    if syntax.video:
        return _video(attributes, parts, bulk, syntax.uid, syntax.media_type.lower())
    families = CODESTREAM_TYPES.get(syntax.media_type)
    if families is None:
        return _frames(attributes, parts, bulk, syntax.uid)
    return _codestreams(attributes, parts, bulk, syntax.uid, families, limits)


def _frames(attributes: Attributes, parts: Sequence[BulkPart], bulk: BulkParts, syntax: str) -> PixelForm:
    """Frames that say nothing of themselves."""
    attributes = with_frames(attributes, len(parts))
    return PixelForm(attributes, syntax, [bulk.piece(part) for part in parts])


def _video(attributes: Attributes, parts: Sequence[BulkPart], bulk: BulkParts, syntax: str, essence: str) -> PixelForm:
    if len(parts) > 1:
        raise _mismatch("A video is one part (PS3.18 10.5.1.4).")
    return PixelForm(with_lossy_compression(attributes, essence), syntax, [bulk.piece(parts[0])])


def _codestreams(
    attributes: Attributes,
    parts: Sequence[BulkPart],
    bulk: BulkParts,
    stated: str | None,
    families: tuple[str, ...],
    limits: Limits,
) -> PixelForm:
    """Codestreams are taken out of files of boxes (JP2, JPH), and otherwise stay as they are."""
    narrowest: list[str] = []
    pieces: list[Piece] = []
    lossy: str | None = None
    for number, part in enumerate(parts, 1):
        found = _described(part, bulk, limits, number)
        if found.family not in families:
            raise _mismatch(f"Frame {number} is {found.family}, which is not what its part says it is.")
        attributes = completed(attributes, _image(found))
        narrowest.append(found.transfer_syntax_uid)
        pieces.append(bulk.piece(part, found.start, None if found.end is None else found.end - found.start))
        if not found.lossless and (found.family != JPEG_XL or found.photometric == "XYB"):
            lossy = found.family
    syntax = common_syntax(narrowest, stated)
    attributes = with_frames(attributes, len(parts))
    if lossy is not None:
        attributes = with_lossy_compression(attributes, lossy)
    return PixelForm(attributes, syntax, pieces)


def _image(found: Codestream) -> ImagePixel:
    return ImagePixel(
        rows=found.rows,
        columns=found.columns,
        samples=found.samples,
        bits_allocated=found.bits_allocated,
        bits_stored=found.bits,
        signed=found.signed,
        photometric=found.photometric,
    )


def _described(part: BulkPart, bulk: BulkParts, limits: Limits, number: int) -> Codestream:
    """By the first bytes if they are enough; else with one frame in memory."""
    head = bulk.read(part, 0, _HEADER_BYTES)
    try:
        return describe(head)
    except InvalidFrame as error:
        if part.length <= len(head):
            raise _mismatch(f"Frame {number}: {error.detail}") from error
    try:
        return describe(_whole(part, bulk, limits))
    except InvalidFrame as error:
        raise _mismatch(f"Frame {number}: {error.detail}") from error


def _raster(attributes: Attributes, parts: Sequence[BulkPart], bulk: BulkParts, limits: Limits) -> PixelForm:
    """GIF and PNG, decoded when they are written: an animation is a frame for each of its images."""
    pieces: list[Piece] = []
    count = 0
    for number, part in enumerate(parts, 1):
        try:
            raster = open_raster(_whole(part, bulk, limits), limits)
        except MissingCodec as error:
            raise InvalidDataset(error.detail, reason=FailureReason.TRANSFER_SYNTAX_NOT_SUPPORTED) from error
        except InvalidFrame as error:
            raise _mismatch(f"Image {number}: {error.detail}") from error
        attributes = completed(attributes, raster.image, native=True)
        count += raster.count
        size = raster.count * raster.image.frame_bytes
        bulk.grow(size)
        pieces.append(Piece(size, _decoding(part, bulk, number, limits)))
    return PixelForm(with_frames(attributes, count), pieces=pieces)


def _decoding(part: BulkPart, bulk: BulkParts, number: int, limits: Limits) -> Callable[[], Iterator[bytes]]:
    def frames() -> Iterator[bytes]:
        try:
            yield from open_raster(_whole(part, bulk, limits), limits).frames()
        except InvalidFrame as error:
            raise _mismatch(f"Image {number}: {error.detail}") from error

    return frames


def _whole(part: BulkPart, bulk: BulkParts, limits: Limits) -> bytes:
    if part.length > limits.frame_bytes:
        raise TooLarge("A frame is too large.", limit="frame_bytes", ceiling=limits.frame_bytes)
    return bulk.read(part, 0, part.length)


def _mismatch(problem: str) -> InvalidDataset:
    return InvalidDataset(problem, reason=FailureReason.DATA_SET_MISMATCH)
