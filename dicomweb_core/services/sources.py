"""A stored file as the layout's offsets count it: as it lies, or inflated (PS3.5 A.5)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from dicomweb_core.codecs.window import InflatedSource
from dicomweb_core.services.site import Site
from dicomweb_core.storage.instances import BlobReader, StoredInstance
from dicomweb_core.values.blobs import ByteSource, InstanceLayout


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
    """The bytes that the spans of `layout` are about, open within the block.

    Raises NotFound, Gone, Superseded, CorruptBlob.
    """
    reader = site.instances.open(stored)
    try:
        if layout.deflated:
            yield (inflation or Inflation()).resumed(site, reader, layout)
        else:
            yield reader
    finally:
        reader.close()
