"""A stored file as the layout's offsets count it: as it lies, or inflated (PS3.5 A.5)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from dicomweb_core.codecs.window import InflatedSource
from dicomweb_core.services.site import Site
from dicomweb_core.storage.instances import StoredInstance
from dicomweb_core.values.blobs import ByteSource, InstanceLayout


@contextmanager
def open_source(site: Site, stored: StoredInstance, layout: InstanceLayout) -> Iterator[ByteSource]:
    """The bytes that the spans of `layout` are about, open within the block. Raises NotFound, Gone, CorruptBlob."""
    reader = site.instances.open(stored)
    try:
        if layout.deflated:
            yield InflatedSource(reader, layout.dataset_offset, site.limits)
        else:
            yield reader
    finally:
        reader.close()
