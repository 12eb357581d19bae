"""A stored instance as rendering wants it: its attributes, bulk values and frames, each read when it is needed."""

from __future__ import annotations

from functools import cached_property
from typing import Final

import orjson

from dicomweb_core.errors import CannotRender, NotFound, Superseded
from dicomweb_core.rules.object_kinds import kind_of
from dicomweb_core.services.bulkdata import ENCAPSULATED_DOCUMENT, value_chunks
from dicomweb_core.services.picture_cache import ParsedAttributes
from dicomweb_core.services.site import Site
from dicomweb_core.services.transcoding import Transcoding
from dicomweb_core.storage.instances import StoredInstance
from dicomweb_core.values.attributes import INSTANCE_URL, Attributes
from dicomweb_core.values.pixels import NativeFrame
from dicomweb_core.values.transfer_syntaxes import EXPLICIT_VR_LITTLE_ENDIAN, transfer_syntax

_NUMBER_OF_FRAMES: Final = "number_of_frames"
_DOCUMENT_TYPE: Final = "mime"


class RenderedInstance:
    """One instance that is being rendered. Used by one thread; holds nothing open.

    What reads raises NotFound, Gone, Superseded and CorruptBlob.
    """

    def __init__(self, site: Site, stored: StoredInstance) -> None:
        self.site = site
        self.stored = stored
        self.layout = stored.layout
        self.frame_count = self.layout.frames.count if self.layout.frames is not None else 0
        """As many as there are. A video has one, of all its frames."""
        self.kind = kind_of(
            stored.sop_class_uid,
            frames=self.frame_count > 0,
            video=self.frame_count > 0 and transfer_syntax(stored.transfer_syntax_uid).video,
            # A short document is in the metadata: its type tells that there is one.
            document=self.layout.bulk_value(ENCAPSULATED_DOCUMENT) is not None or _DOCUMENT_TYPE in self.layout.traits,
        )

        self.shown: tuple[tuple[RenderedInstance, int], ...] | None = None
        """Of a presentation state, once it is known: images and 0-based frame indexes."""

    @property
    def has_frames(self) -> bool:
        """Whether there are frames that can be decoded one by one."""
        return self.frame_count > 0 and not transfer_syntax(self.stored.transfer_syntax_uid).video

    @property
    def is_multi_frame(self) -> bool:
        """Whether the object counts its frames, be it only one."""
        return self.frame_count > 1 or _NUMBER_OF_FRAMES in self.layout.traits

    @cached_property
    def attributes(self) -> Attributes:
        """The data set, without the URL of the instance in its BulkDataURIs; not to be changed."""
        stored = self.stored
        key = (stored.ref, stored.version)
        return self.site.attributes_cache.find_or_make(key, self._parsed).attributes

    @cached_property
    def _transcoding(self) -> Transcoding:
        return Transcoding(self.site, self.stored, self.layout, EXPLICIT_VR_LITTLE_ENDIAN)

    def frame(self, index: int) -> NativeFrame:
        """A decoded frame, 0-based index. Raises NotAcceptable when it cannot be decoded."""
        # What lies there as it is wanted is not kept a second time.
        keep = transfer_syntax(self.stored.transfer_syntax_uid).encapsulated
        made = self._transcoding.frame(index, keep=keep)
        return NativeFrame(made.data, made.image)

    def bulk(self, path: str) -> bytes:
        """A bulk value, little endian: see `rendering.lookup_tables.Bulk`. Raises CannotRender for one that is longer
        than `Limits.frame_bytes`."""
        value = self.layout.bulk_value(path)
        if value is None or value.encapsulated:
            raise NotFound("The instance has no such bulk value.")
        if value.length > self.site.limits.frame_bytes:
            raise CannotRender("A value of the object is too long to be rendered.")
        return b"".join(value_chunks(self.site, self.stored, self.layout, value))

    def _parsed(self) -> ParsedAttributes:
        _ref, text = next(self.site.instances.metadata(self.stored.ref))
        if self.site.instances.get(self.stored.ref).version != self.stored.version:
            raise Superseded("The instance was replaced while it was being rendered.")
        return ParsedAttributes(orjson.loads(text.replace(INSTANCE_URL, b"")), len(text))
