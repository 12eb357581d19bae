"""The frames of a stored instance in another transfer syntax, made one at a time."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain
from typing import Final

from dicomweb_core.codecs.pixels.encoding import encoded_image
from dicomweb_core.codecs.transcoded_part10 import NewFrames
from dicomweb_core.errors import InvalidFrame, NotFound
from dicomweb_core.services.frame_cache import FrameKey, MadeFrame
from dicomweb_core.services.pixel_forms import image_of
from dicomweb_core.services.site import Site
from dicomweb_core.services.sources import Inflation, open_source, read_stored_frame
from dicomweb_core.storage.instances import StoredInstance
from dicomweb_core.values.blobs import ByteSource, InstanceLayout
from dicomweb_core.values.pixels import NativeFrame
from dicomweb_core.values.transfer_syntaxes import EXPLICIT_VR_LITTLE_ENDIAN

_UNREADABLE: Final = "The data set does not say how its frames lie, so they can only be sent as they are stored."


class Transcoding:
    """One instance on its way into one transfer syntax. Used by one thread; holds nothing open.

    Everything raises NotFound, Gone, Superseded and CorruptBlob as reading does, InvalidFrame when a frame cannot be
    read, and MissingCodec.
    """

    def __init__(self, site: Site, stored: StoredInstance, layout: InstanceLayout, transfer_syntax_uid: str) -> None:
        """`transfer_syntax_uid` is that of an encapsulated form, or Explicit VR Little Endian: native frames."""
        image = image_of(layout)
        if layout.frames is None:
            raise NotFound("The instance has no frames.")
        if image is None:
            raise InvalidFrame(_UNREADABLE)
        self.transfer_syntax_uid = transfer_syntax_uid
        self._site = site
        self._stored = stored
        self._layout = layout
        self._frames = layout.frames
        self._image = image
        self._inflation = Inflation()

    def frame(self, index: int, *, keep: bool = True) -> MadeFrame:
        """One frame by its 0-based index, from the cache; if it is not there, made and, with `keep`, put there."""

        def make() -> MadeFrame:
            with open_source(self._site, self._stored, self._layout, self._inflation) as source:
                return self._made(source, index)

        cache, key = self._site.frame_cache, self._key(index)
        return cache.find_or_make(key, make) if keep else cache.find(key) or make()

    def all_frames(self) -> NewFrames:
        """All of them, the first made now. They do not enter the cache: who reads a whole instance reads it once.

        A frame that is not like the first raises InvalidFrame in its turn.
        """
        made = self._one_by_one()
        first = next(made)
        image, made = first.image, chain([first], made)
        del first

        def alike() -> Iterator[bytes]:
            for number, frame in enumerate(made, 1):
                if frame.image != image:
                    raise InvalidFrame(f"Frame {number} is of another kind than the first.")
                data = frame.data
                del frame
                yield data
                del data

        return NewFrames(image, self._frames.count, alike())

    def _one_by_one(self) -> Iterator[MadeFrame]:
        with open_source(self._site, self._stored, self._layout, self._inflation) as source:
            for index in range(self._frames.count):
                yield self._site.frame_cache.find(self._key(index)) or self._made(source, index)

    def _key(self, index: int) -> FrameKey:
        return FrameKey(self._stored.ref, self._stored.version, index, self.transfer_syntax_uid)

    def _made(self, source: ByteSource, index: int) -> MadeFrame:
        ceiling = self._site.limits.frame_bytes
        if self._frames.length(index) > ceiling:
            raise InvalidFrame(f"Frame {index + 1} has more than {ceiling} bytes.")
        uid = self._stored.transfer_syntax_uid
        stored = b"".join(read_stored_frame(self._site, source, uid, self._layout, index))
        native = NativeFrame(stored, self._image)
        if self._frames.encapsulated:
            native = self._site.codec.decode(stored, uid, self._image)
        if len(native.data) != native.image.frame_bytes:
            raise InvalidFrame(f"Frame {index + 1} does not have the size that its data set says.")
        if self.transfer_syntax_uid == EXPLICIT_VR_LITTLE_ENDIAN:
            return MadeFrame(native.data, native.image)
        encoded = self._site.codec.encode(native, self.transfer_syntax_uid)
        return MadeFrame(encoded, encoded_image(native.image, self.transfer_syntax_uid))
