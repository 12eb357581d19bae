"""A stored file as the layout's offsets count it: as it lies, or inflated (PS3.5 A.5)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from dicomweb_core.codecs.window import InflatedSource
from dicomweb_core.errors import StorageUnavailable
from dicomweb_core.services.site import Site
from dicomweb_core.storage.instances import BlobReader, StoredInstance
from dicomweb_core.values.blobs import ByteSource, InstanceLayout


def open_stored(site: Site, stored: StoredInstance) -> BlobReader:
    """The Part 10 file that `stored` is about, and no other that has taken its place since.

    Raises NotFound, Gone, CorruptBlob, and StorageUnavailable if it was replaced: asking again helps.
    """
    reader = site.instances.open(stored.ref)
    try:
        # Versions are never reused: the same before and after means that this is what was opened.
        if site.instances.get(stored.ref).version != stored.version:
            raise StorageUnavailable("The instance was replaced while it was being read.")
    except BaseException:
        reader.close()
        raise
    return reader


class Inflation:
    """How far a deflated file has been inflated, kept between its openings: parts in ascending order cost one pass
    together. Holds no more than a window of bytes, and nothing open."""

    def __init__(self) -> None:
        self._inflated: InflatedSource | None = None

    def resumed(self, site: Site, reader: BlobReader, layout: InstanceLayout) -> InflatedSource:
        """The inflated file, read from `reader` from now on."""
        if self._inflated is None:
            self._inflated = InflatedSource(reader, layout.dataset_offset, site.limits)
        self._inflated.resume(reader)
        return self._inflated


@contextmanager
def open_source(
    site: Site, stored: StoredInstance, layout: InstanceLayout, inflation: Inflation | None = None
) -> Iterator[ByteSource]:
    """The bytes that the spans of `layout` are about, open within the block. Raises as `open_stored`."""
    reader = open_stored(site, stored)
    try:
        if layout.deflated:
            yield (inflation or Inflation()).resumed(site, reader, layout)
        else:
            yield reader
    finally:
        reader.close()
