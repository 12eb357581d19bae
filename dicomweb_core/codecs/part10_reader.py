"""A Part 10 file as everything later answers need: attributes, their JSON text, and where the bulk data lie.

One pass over the headers (`part10_scanner`); pixel data and other large values are not read. A file that comes
through gives legal DICOM JSON (PS3.18 F); what is odd in it is said in `warnings`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from dicomweb_core.codecs.file_meta import FileMeta, read_file_meta
from dicomweb_core.codecs.frame_index import index_frames
from dicomweb_core.codecs.part10_scanner import Scan, scan
from dicomweb_core.codecs.window import InflatedSource, Window
from dicomweb_core.errors import InvalidDataset, TooLarge
from dicomweb_core.values.attributes import INSTANCE_URL, Attributes, first_value, json_text
from dicomweb_core.values.blobs import ByteSource, InstanceLayout
from dicomweb_core.values.limits import Limits
from dicomweb_core.values.transfer_syntaxes import TransferSyntax, transfer_syntax
from dicomweb_core.values.uids import is_uid


class BytesSource:
    """A file in memory."""

    __slots__ = ("_content", "size")

    def __init__(self, content: bytes) -> None:
        self._content = content
        self.size = len(content)

    def read(self, offset: int, length: int, /) -> bytes:
        """Exactly these bytes. Raises ValueError beyond the end."""
        if offset < 0 or length < 0 or offset + length > self.size:
            raise ValueError("read beyond the end of the file")
        return self._content[offset : offset + length]


@dataclass(frozen=True, slots=True)
class ReadInstance:
    """What a Part 10 file contains."""

    study_uid: str
    series_uid: str
    sop_instance_uid: str
    sop_class_uid: str
    transfer_syntax_uid: str
    attributes: Attributes
    """The whole data set, ascending. The value of a BulkDataURI is `\\x01/bulkdata/<path>`."""
    metadata: bytes
    """`attributes` as JSON text. `INSTANCE_URL` stands, as a raw byte, where the URL of the instance goes."""
    layout: InstanceLayout
    warnings: tuple[str, ...]
    """Sentences about what is odd; without values of the patient."""


_UIDS: Final = (
    ("0020000D", "Study Instance UID (0020,000D)"),
    ("0020000E", "Series Instance UID (0020,000E)"),
    ("00080018", "SOP Instance UID (0008,0018)"),
    ("00080016", "SOP Class UID (0008,0016)"),
)

_TRAITS: Final = (
    ("photometric", "00280004"),
    ("bits_allocated", "00280100"),
    ("bits_stored", "00280101"),
    ("samples", "00280002"),
    ("number_of_frames", "00280008"),
    ("rows", "00280010"),
    ("columns", "00280011"),
    ("planar", "00280006"),
    ("pixel_representation", "00280103"),
    ("lossy", "00282110"),
    ("mime", "00420012"),
)
"""Name in `InstanceLayout.traits` and tag."""

_LONGEST_TRAIT: Final = 128


def read_part10(source: ByteSource, limits: Limits) -> ReadInstance:
    """Reads the headers of a Part 10 file; the source is read forwards.

    Raises InvalidDataset for what is no readable instance: no prefix, a broken or cut structure, no UIDs. Raises
    TooLarge beyond a ceiling of `limits`, and what `source.read` raises.
    """
    window = Window(source)
    meta = read_file_meta(window)
    syntax = transfer_syntax(meta.transfer_syntax_uid)
    inflated = InflatedSource(source, meta.dataset_offset, limits) if syntax.deflated else None
    if inflated is not None:
        window = Window(inflated, meta.dataset_offset, forwards=True)
    else:
        window.refill(meta.dataset_offset)
    found = scan(window, limits, implicit=syntax.implicit, big_endian=syntax.big_endian)
    study, series, instance, sop_class = (_uid(found.attributes, tag, name) for tag, name in _UIDS)
    metadata = _metadata(found, limits)
    frames, about_frames = index_frames(
        inflated or source,
        found.attributes,
        found.pixel,
        transfer_syntax_uid=syntax.uid,
        basic_offset_table=found.basic_offset_table,
        fragments=found.fragments,
        limits=limits,
        bulk={value.path: value for value in found.bulk},
    )
    layout = InstanceLayout(
        dataset_offset=meta.dataset_offset,
        bulk=found.bulk,
        frames=frames,
        deflated=syntax.deflated,
        dataset_length=found.end - meta.dataset_offset,
        traits=_traits(found.attributes),
    )
    warnings = (*_about_meta(meta, syntax, instance, sop_class), *found.warnings, *about_frames)
    return ReadInstance(study, series, instance, sop_class, syntax.uid, found.attributes, metadata, layout, warnings)


def _uid(attributes: Attributes, tag: str, name: str) -> str:
    values = attributes.get(tag, {}).get("Value")
    if not values:
        raise InvalidDataset(f"The data set has no {name}.")
    if len(values) > 1 or not isinstance(values[0], str) or not is_uid(values[0]):
        raise InvalidDataset(f"{name} is not a UID (PS3.5 9.1).")
    return values[0]


def _metadata(found: Scan, limits: Limits) -> bytes:
    text = json_text(found.attributes)
    if found.bulk:
        # A quotation mark inside a string is escaped, so this is the key and nothing else.
        text = text.replace(b'"BulkDataURI":"\\u0001', b'"BulkDataURI":"' + INSTANCE_URL)
    if len(text) > limits.metadata_bytes:
        raise TooLarge(
            f"The attributes of the data set are more than {limits.metadata_bytes} bytes of JSON.",
            limit="metadata_bytes",
            ceiling=limits.metadata_bytes,
        )
    return text


def _traits(attributes: Attributes) -> dict[str, str | int]:
    traits: dict[str, str | int] = {}
    for name, tag in _TRAITS:
        if tag in attributes:
            value = first_value(attributes, tag)
            if isinstance(value, int) or (isinstance(value, str) and len(value) <= _LONGEST_TRAIT):
                traits[name] = value
    return traits


def _about_meta(meta: FileMeta, syntax: TransferSyntax, instance: str, sop_class: str) -> tuple[str, ...]:
    """Where the File Meta Information disagrees; the data set is right."""
    warnings = []
    if meta.sop_instance_uid != instance:
        warnings.append("Media Storage SOP Instance UID (0002,0003) is not the SOP Instance UID of the data set.")
    if meta.sop_class_uid != sop_class:
        warnings.append("Media Storage SOP Class UID (0002,0002) is not the SOP Class UID of the data set.")
    if not syntax.known:
        warnings.append("The transfer syntax is not known; its data set was read as Explicit VR Little Endian.")
    return tuple(warnings)
