"""The DICOM files that pydicom, pydicom-data and pynetdicom install, and data sets made in code."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

import pynetdicom
from pydicom.data import get_testdata_files

from dicomweb_core.codecs.part10_reader import BytesSource, ReadInstance, read_part10
from dicomweb_core.codecs.window import InflatedSource
from dicomweb_core.errors import DICOMwebError
from dicomweb_core.values.blobs import ByteSource
from dicomweb_core.values.limits import Limits


@lru_cache(maxsize=1)
def installed_files() -> tuple[Path, ...]:
    """One of each name, by name."""
    paths = [Path(name) for name in get_testdata_files()]
    paths += Path(pynetdicom.__file__).parent.rglob("*.dcm")
    return tuple(sorted({path.name: path for path in paths if path.is_file()}.values(), key=lambda path: path.name))


def readable_files() -> Iterator[tuple[Path, bytes, ReadInstance]]:
    """Those that are instances: path, content, and what the reader found."""
    for path in installed_files():
        content = path.read_bytes()
        try:
            yield path, content, read_part10(BytesSource(content), Limits())
        except DICOMwebError:
            continue


def source_of(content: bytes, instance: ReadInstance) -> ByteSource:
    """The bytes that the layout is about."""
    source = BytesSource(content)
    if not instance.layout.deflated:
        return source
    return InflatedSource(source, instance.layout.dataset_offset, Limits())


def part10(dataset: bytes, transfer_syntax_uid: str) -> bytes:
    """A file with a minimal File Meta Information."""
    uid = transfer_syntax_uid.encode()
    uid += b"\0" * (len(uid) % 2)
    meta = struct.pack("<HH2sH", 2, 0x10, b"UI", len(uid)) + uid
    return bytes(128) + b"DICM" + struct.pack("<HH2sHI", 2, 0, b"UL", 4, len(meta)) + meta + dataset
