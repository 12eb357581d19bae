"""Placeholder until the frame index is merged."""

from __future__ import annotations

from collections.abc import Mapping

from dicomweb_core.values.attributes import Attributes
from dicomweb_core.values.blobs import BulkValue, ByteSource, FrameIndex, Span
from dicomweb_core.values.limits import Limits


def index_frames(
    source: ByteSource,
    attributes: Attributes,
    pixel: BulkValue | None,
    *,
    transfer_syntax_uid: str,
    basic_offset_table: Span | None,
    fragments: bytes,
    limits: Limits,
    bulk: Mapping[str, BulkValue] | None = None,
) -> tuple[FrameIndex | None, tuple[str, ...]]:
    """Nothing."""
    return None, ()
