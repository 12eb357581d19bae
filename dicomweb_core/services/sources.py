"""A stored file as the layout's offsets count it: as it lies, or inflated (PS3.5 A.5)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

from dicomweb_core.codecs.frame_index import read_chunks, read_frame, read_native_little_endian
from dicomweb_core.codecs.window import InflatedSource
from dicomweb_core.services.parts import Chunks, within
from dicomweb_core.services.site import Site
from dicomweb_core.storage.instances import BlobReader, StoredInstance
from dicomweb_core.values.blobs import ByteSource, InstanceLayout, Span
from dicomweb_core.values.transfer_syntaxes import transfer_syntax


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


def spans_reader(
    site: Site, stored: StoredInstance, layout: InstanceLayout, spans: Callable[[], Iterable[Span]]
) -> Callable[[int, int], Chunks] | None:
    """`Part.ranged` of what is sent as it lies in these spans; None where they are not in the file as it is."""
    if layout.deflated:
        return None

    def ranged(offset: int, length: int) -> Chunks:
        with open_source(site, stored, layout) as source:
            for span in within(spans(), offset, length):
                yield from read_chunks(source, span, site.limits.chunk_bytes)

    return ranged


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


def read_stored_frame(
    site: Site, source: ByteSource, transfer_syntax_uid: str, layout: InstanceLayout, index: int
) -> Iterator[bytes]:
    """The bytes of one frame in chunks, 0-based index. Native frames are little endian and begin at bit 0, codestreams
    are as stored. Raises IndexError, CorruptBlob."""
    frames = layout.frames
    if frames is None:
        raise IndexError(index)
    chunk_bytes = site.limits.chunk_bytes
    if frames.encapsulated or not transfer_syntax(transfer_syntax_uid).big_endian:
        return read_frame(source, frames, index, chunk_bytes)
    pixel = layout.bulk_value(frames.element)
    vr = pixel.vr if pixel is not None else "OW"
    return read_native_little_endian(source, frames, index, chunk_bytes, vr=vr, bits_allocated=bits_allocated(layout))


def bits_allocated(layout: InstanceLayout) -> int:
    """Bits Allocated (0028,0100), 0 if the data set does not say it as a number."""
    bits = layout.traits.get("bits_allocated")
    return bits if isinstance(bits, int) else 0
