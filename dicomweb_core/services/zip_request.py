"""Store of a ZIP archive of Part 10 files, an extension: `application/zip` (not in PS3.18 10.5)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from typing import Final

from dicomweb_core.codecs.zip_reader import ZippedFile, unzipped, zipped_files
from dicomweb_core.errors import CorruptBlob, InvalidDataset, InvalidPayload, TooLarge, UnsupportedMediaType
from dicomweb_core.services.site import Site
from dicomweb_core.services.store import PREAMBLE_BYTES, StoreBatch, store_instance
from dicomweb_core.storage.instances import BlobReader

ZIP_TYPES: Final = frozenset({"application/zip", "application/x-zip-compressed"})
"""Content-Types of such a request; browsers on Windows send the second."""


def store_zip(batch: StoreBatch, site: Site, chunks: Iterator[bytes]) -> None:
    """Every file of the archive into the batch, whatever its name and folder; what is no Part 10 file is a failure.

    The archive is staged first, for its directory is at its end: while it is read it takes room beside the instances.
    Raises InvalidPayload and TooLarge before anything is stored, OutOfSpace, StorageUnavailable, and what the chunks
    raise.
    """
    staged = site.instances.stage()
    try:
        for chunk in chunks:
            staged.write(chunk)
        with closing(staged.seal()) as reader:
            for file in zipped_files(reader, site.limits):
                try:
                    store_instance(batch, _part10(site, reader, file), str(file.number))
                except (InvalidPayload, TooLarge, UnsupportedMediaType, CorruptBlob) as error:
                    batch.fail(error, str(file.number))
    finally:
        staged.discard()


def _part10(site: Site, reader: BlobReader, file: ZippedFile) -> Iterator[bytes]:
    """The content of the file. Raises InvalidDataset at once when it does not begin like a Part 10 file: whatever else
    is in an archive is not unpacked."""
    chunks = unzipped(reader, file, site.limits)
    begin = b""
    while len(begin) < PREAMBLE_BYTES + 4 and (chunk := next(chunks, None)) is not None:
        begin += chunk
    if begin[PREAMBLE_BYTES : PREAMBLE_BYTES + 4] != b"DICM":
        raise InvalidDataset("The entry of the archive is not a Part 10 file.")
    yield begin
    yield from chunks
