"""Composite instances made in code: Part 10 files (PS3.10 7) with the records that match them.

Nothing here is read from elsewhere, so a test knows every byte. All is a function of the arguments.
"""

from __future__ import annotations

import random
import struct
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Final, NamedTuple

import orjson

from dicomweb_core.storage.instances import InstanceRecord
from dicomweb_core.values.attributes import INSTANCE_URL, Attributes
from dicomweb_core.values.blobs import BulkValue, FrameIndex, InstanceLayout
from dicomweb_core.values.resources import InstanceRef

EXPLICIT_LITTLE_ENDIAN: Final = "1.2.840.10008.1.2.1"
CT_IMAGE: Final = "1.2.840.10008.5.1.4.1.1.2"
MULTI_FRAME_GRAYSCALE_WORD: Final = "1.2.840.10008.5.1.4.1.1.7.3"

_EXAMPLES: Final = "2.999.10"
"""Below the arc for examples: no real instance has such a UID."""
_LONG_FORM: Final = frozenset({"OB", "OW", "SQ", "UN", "UT"})
_STUDY_TAGS: Final = (
    *("00080020", "00080030", "00080050", "00080090", "00100010", "00100020"),
    *("00100030", "00100040", "0020000D", "00200010"),
)
_SERIES_TAGS: Final = ("00080060", "0008103E", "0020000E", "00200011")
_INSTANCE_TAGS: Final = ("00080016", "00080018", "00200013", "00280008", "00280010", "00280011", "00280100")


class Element(NamedTuple):
    """A data element: tag in 8 upper-case hex digits, VR, values; bytes for the binary VRs."""

    tag: str
    vr: str
    values: tuple[str | int, ...] | bytes


@dataclass(frozen=True, slots=True)
class Sample:
    """One instance: the file and the record made of it."""

    part10: bytes
    record: InstanceRecord

    @property
    def ref(self) -> InstanceRef:
        """Whose file it is."""
        return self.record.ref

    @property
    def pixels(self) -> bytes:
        """The Pixel Data, all frames."""
        span = InstanceLayout.unpack(self.record.layout).bulk[0]
        return self.part10[span.offset : span.offset + span.length]


def study_uid(study: int) -> str:
    """The Study Instance UID of a study by number."""
    return f"{_EXAMPLES}.{study}"


def sample_ref(study: int = 1, series: int = 1, instance: int = 1) -> InstanceRef:
    """The ref of a sample by numbers."""
    return InstanceRef(study_uid(study), f"{_EXAMPLES}.{study}.{series}", f"{_EXAMPLES}.{study}.{series}.{instance}")


def sample(
    study: int = 1,
    series: int = 1,
    instance: int = 1,
    *,
    ref: InstanceRef | None = None,
    patient_id: str | None = None,
    patient_name: str | None = None,
    study_date: str | None = None,
    modality: str = "CT",
    description: str = "",
    rows: int = 4,
    columns: int = 4,
    frames: int = 1,
    seed: int = 0,
) -> Sample:
    """An instance of one series of one study, all counted from 1. Another `seed` gives other pixels.

    What is not given follows from the numbers: study 7 is of patient P7, Sample^Seven-like names, a date of its own.
    """
    ref = ref or sample_ref(study, series, instance)
    sop_class = CT_IMAGE if frames == 1 else MULTI_FRAME_GRAYSCALE_WORD
    pixels = random.Random(f"{ref.instance} {seed}").randbytes(rows * columns * 2 * frames)
    dataset = [
        Element("00080005", "CS", ("ISO_IR 192",)),
        Element("00080016", "UI", (sop_class,)),
        Element("00080018", "UI", (ref.instance,)),
        Element("00080020", "DA", (study_date or f"{2000 + study // 336 % 100:04}{study // 28 % 12 + 1:02}"
                                   f"{study % 28 + 1:02}",)),
        Element("00080030", "TM", (f"{study % 24:02}0000",)),
        Element("00080050", "SH", (f"A{study}",)),
        Element("00080060", "CS", (modality,)),
        Element("00080090", "PN", ()),
        Element("0008103E", "LO", (description,) if description else ()),
        Element("00100010", "PN", (patient_name or f"Sample^Patient{study}",)),
        Element("00100020", "LO", (patient_id or f"P{study}",)),
        Element("00100030", "DA", ()),
        Element("00100040", "CS", ("O",)),
        Element("0020000D", "UI", (ref.study,)),
        Element("0020000E", "UI", (ref.series,)),
        Element("00200010", "SH", (str(study),)),
        Element("00200011", "IS", (series,)),
        Element("00200013", "IS", (instance,)),
        Element("00280002", "US", (1,)),
        Element("00280004", "CS", ("MONOCHROME2",)),
        *([Element("00280008", "IS", (frames,))] if frames > 1 else []),
        Element("00280010", "US", (rows,)),
        Element("00280011", "US", (columns,)),
        Element("00280100", "US", (16,)),
        Element("00280101", "US", (16,)),
        Element("00280102", "US", (15,)),
        Element("00280103", "US", (0,)),
        Element("7FE00010", "OW", pixels),
    ]  # fmt: skip
    return _instance(ref, sop_class, dataset, frame_bits=rows * columns * 16, frames=frames)


def archive(studies: int, series: int = 1, instances: int = 1, *, seed: int = 0) -> Iterator[Sample]:
    """Samples of every study, series and instance by number, in this order."""
    for study in range(1, studies + 1):
        for one in range(1, series + 1):
            for instance in range(1, instances + 1):
                yield sample(study, one, instance, seed=seed)


def with_ref(made: Sample, ref: InstanceRef) -> Sample:
    """The same file under a record with another ref: what a store must not mistake for the first."""
    return Sample(made.part10, replace(made.record, ref=ref))


def part10(dataset: bytes, sop_class_uid: str, sop_instance_uid: str, transfer_syntax_uid: str) -> bytes:
    """Preamble of zeros, File Meta Information (PS3.10 7.1), then the encoded data set."""
    meta = b"".join(
        encode(element)
        for element in (
            Element("00020001", "OB", b"\x00\x01"),
            Element("00020002", "UI", (sop_class_uid,)),
            Element("00020003", "UI", (sop_instance_uid,)),
            Element("00020010", "UI", (transfer_syntax_uid,)),
            Element("00020012", "UI", (_EXAMPLES,)),
        )
    )
    return bytes(128) + b"DICM" + encode(Element("00020000", "UL", (len(meta),))) + meta + dataset


def encode(element: Element) -> bytes:
    """A data element in Explicit VR Little Endian (PS3.5 7.1.2), padded to even length."""
    if isinstance(element.values, bytes):
        value = element.values
    elif element.vr == "US":
        value = struct.pack(f"<{len(element.values)}H", *element.values)
    elif element.vr == "UL":
        value = struct.pack(f"<{len(element.values)}I", *element.values)
    else:
        value = "\\".join(map(str, element.values)).encode()
    if len(value) % 2:
        value += b"\x00" if element.vr in ("UI", "OB", "UN") else b" "
    head = struct.pack("<HH", int(element.tag[:4], 16), int(element.tag[4:], 16)) + element.vr.encode()
    if element.vr in _LONG_FORM:
        return head + struct.pack("<xxI", len(value)) + value
    return head + struct.pack("<H", len(value)) + value


def attributes_of(elements: list[Element]) -> Attributes:
    """The DICOM JSON Model (PS3.18 F.2) of elements; binary values become a BulkDataURI."""
    made: Attributes = {}
    for tag, vr, values in elements:
        if isinstance(values, bytes):
            made[tag] = {"vr": vr, "BulkDataURI": f"{INSTANCE_URL.decode()}/bulkdata/{tag}"}
        elif not values:
            made[tag] = {"vr": vr}
        else:
            made[tag] = {"vr": vr, "Value": [{"Alphabetic": v} for v in values] if vr == "PN" else list(values)}
    return made


def _instance(ref: InstanceRef, sop_class: str, dataset: list[Element], *, frame_bits: int, frames: int) -> Sample:
    encoded = b"".join(encode(element) for element in dataset)
    data = part10(encoded, sop_class, ref.instance, EXPLICIT_LITTLE_ENDIAN)
    pixels = dataset[-1].values
    assert isinstance(pixels, bytes)
    offset = len(data) - len(pixels) - len(pixels) % 2
    layout = InstanceLayout(
        dataset_offset=len(data) - len(encoded),
        bulk=(BulkValue("7FE00010", "OW", offset, len(pixels)),),
        frames=FrameIndex(frames, offset=offset, frame_bits=frame_bits),
        dataset_length=len(encoded),
        traits={"photometric": "MONOCHROME2", "bits_allocated": 16, "sop_class": sop_class},
    )
    attributes = attributes_of(dataset)
    record = InstanceRecord(
        ref=ref,
        sop_class_uid=sop_class,
        transfer_syntax_uid=EXPLICIT_LITTLE_ENDIAN,
        size=len(data),
        study=_text(attributes, _STUDY_TAGS),
        series=_text(attributes, _SERIES_TAGS),
        instance=_text(attributes, _INSTANCE_TAGS),
        # The mark is a raw byte in stored text, where JSON writes an escape.
        metadata=orjson.dumps(attributes).replace(b"\\u0001", INSTANCE_URL),
        layout=layout.pack(),
    )
    return Sample(data, record)


def _text(attributes: Attributes, tags: tuple[str, ...] | list[str]) -> bytes:
    return orjson.dumps({tag: attributes[tag] for tag in tags if tag in attributes})
