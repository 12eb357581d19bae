"""The transactions as Python calls that return values, for applications that embed the server."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, BinaryIO
from urllib.parse import urlencode

import numpy as np
import orjson
from numpy.typing import NDArray

from dicomweb_core.codecs.pixels.samples import samples_of
from dicomweb_core.errors import InvalidDataset, NotFound
from dicomweb_core.rendering.frame_attributes import frame_attributes
from dicomweb_core.rendering.grayscale import modality_values
from dicomweb_core.rendering.stored_values import cells_of, coding_of, stored_values
from dicomweb_core.rules.query_parser import parse_query
from dicomweb_core.rules.rendering_parameters import parse_rendering
from dicomweb_core.rules.store_report import StoreReport
from dicomweb_core.rules.subscriptions import parse_receiver
from dicomweb_core.services import bulkdata, pixels, retrieve
from dicomweb_core.services.event_listening import Listener, iterate
from dicomweb_core.services.instance_forms import instance_in
from dicomweb_core.services.metadata_request import store_datasets
from dicomweb_core.services.parts import read_blob
from dicomweb_core.services.pictures import picture_count, picture_of
from dicomweb_core.services.rendered_instance import RenderedInstance
from dicomweb_core.services.scopes import EVERYTHING
from dicomweb_core.services.search import find
from dicomweb_core.services.site import Site
from dicomweb_core.services.store import StoreBatch, store_instance
from dicomweb_core.services.worklist_upkeep import announce_restart, purge
from dicomweb_core.values.attributes import Attributes
from dicomweb_core.values.events import Event
from dicomweb_core.values.messages import Buffer
from dicomweb_core.values.queries import Level
from dicomweb_core.values.resources import InstanceRef, Ref, SeriesRef, StudyRef

Source = str | os.PathLike[str] | bytes | bytearray | memoryview | BinaryIO
Filters = Mapping[str, str | int | Sequence[str]]


class Calls:
    """Python calls over a site. `authorize` is not asked: who holds this object is the site."""

    def __init__(self, site: Site) -> None:
        self.site = site

    # -- store ------------------------------------------------------------------------------------------------

    def store(self, sources: Iterable[Source], *, study: str | None = None) -> StoreReport:
        """Stores Part 10 files given as paths, bytes or binary file objects; one bad one does not stop the others.

        `FailedItem.source` is the path, or the 1-based position. Durable on return if the store is. Raises
        StorageUnavailable when nothing could be stored at all.
        """
        batch = StoreBatch(self.site, study=StudyRef.parse(study) if study is not None else None)
        try:
            for position, source in enumerate(sources, 1):
                self._store_one(batch, source, position)
            return batch.finish()
        except BaseException:
            batch.abandon()
            raise

    def store_metadata(
        self,
        datasets: Iterable[Attributes],
        bulk_data: Mapping[str, bytes | tuple[str, bytes]] | None = None,
        *,
        study: str | None = None,
    ) -> StoreReport:
        """Stores data sets given as DICOM JSON dicts; files are made of them (PS3.18 10.5.1.4).

        `bulk_data` has what each BulkDataURI stands for: bytes, or a media type and bytes, as in
        `("image/jpeg", codestream)`. `FailedItem.source` is the 1-based position. Raises StorageUnavailable.
        """
        batch = StoreBatch(self.site, study=StudyRef.parse(study) if study is not None else None)
        try:
            store_datasets(batch, self.site, datasets, bulk_data or {})
            return batch.finish()
        except BaseException:
            batch.abandon()
            raise

    def _store_one(self, batch: StoreBatch, source: Source, position: int) -> None:
        if isinstance(source, bytes | bytearray | memoryview):
            store_instance(batch, (source,), str(position))
        elif isinstance(source, str | os.PathLike):
            name = os.fspath(source)
            try:
                with open(name, "rb") as file:
                    store_instance(batch, self._chunks(file), name)
            except OSError as error:
                reason = error.strerror or "unreadable"
                batch.fail(InvalidDataset(f"The file cannot be read: {reason}.", reason=0x0110), name)
        else:
            store_instance(batch, self._chunks(source), str(position))

    def _chunks(self, file: BinaryIO) -> Iterator[Buffer]:
        while data := file.read(self.site.limits.chunk_bytes):
            yield data

    # -- search -----------------------------------------------------------------------------------------------

    def search_studies(self, filters: Filters | None = None, **options: str | int | bool) -> list[Attributes]:
        """Studies as DICOM JSON dicts. `filters` are attributes as in a search URL, a sequence of UIDs any of which
        matches; `options` its other parameters: limit, offset, includefield, fuzzymatching... Raises InvalidQuery."""
        return self._search(Level.STUDY, None, filters, options)

    def search_series(
        self, study: str | None = None, filters: Filters | None = None, **options: str | int | bool
    ) -> list[Attributes]:
        """Series of a study, or of all. See `search_studies`."""
        return self._search(Level.SERIES, StudyRef.parse(study) if study else None, filters, options)

    def search_instances(
        self,
        study: str | None = None,
        series: str | None = None,
        filters: Filters | None = None,
        **options: str | int | bool,
    ) -> list[Attributes]:
        """Instances of a series, of a study, or of all. See `search_studies`."""
        within: StudyRef | SeriesRef | None = None
        if study and series:
            within = SeriesRef.parse(study, series)
        elif study:
            within = StudyRef.parse(study)
        return self._search(Level.INSTANCE, within, filters, options)

    def _search(
        self,
        level: Level,
        within: StudyRef | SeriesRef | None,
        filters: Filters | None,
        options: Mapping[str, str | int | bool],
    ) -> list[Attributes]:
        pairs = [*(filters or {}).items(), *options.items()]
        query = parse_query(level, within, urlencode([(name, _text(value)) for name, value in pairs]), self.site.limits)
        page = find(self.site, query, "", EVERYTHING)
        results: list[Attributes] = orjson.loads(b"[" + b",".join(page.results) + b"]")
        return results

    # -- retrieve ---------------------------------------------------------------------------------------------

    def metadata(
        self, study: str, series: str | None = None, instance: str | None = None, *, base_url: str = ""
    ) -> list[Attributes]:
        """The metadata of every instance of a study, series or instance. BulkDataURIs begin with `base_url`.

        Raises NotFound, Gone, InvalidUID.
        """
        rows = self.site.instances.metadata(_ref(study, series, instance))
        return [orjson.loads(retrieve.served_text(text, base_url, ref)) for ref, text in rows]

    def instance(self, study: str, series: str, instance: str, *, transfer_syntax: str | None = None) -> bytes:
        """The Part 10 file as stored, or in a transfer syntax given by its UID.

        Raises NotFound, Gone, InvalidUID, CorruptBlob, NotAcceptable.
        """
        ref = InstanceRef.parse(study, series, instance)
        if transfer_syntax is not None:
            stored = self.site.instances.get(ref)
            return b"".join(instance_in(self.site, stored, transfer_syntax).open())
        return b"".join(read_blob(lambda: self.site.instances.open(ref), self.site.limits.chunk_bytes))

    def frames(
        self,
        study: str,
        series: str,
        instance: str,
        numbers: Sequence[int] | None = None,
        *,
        transfer_syntax: str | None = None,
    ) -> list[bytes]:
        """Frames as stored: codestreams, or native little endian samples; or all in the transfer syntax with this UID,
        "1.2.840.10008.1.2.1" for native samples. Numbers are 1-based; None means all.

        Raises NotFound, Gone, InvalidUID, CorruptBlob, NotAcceptable.
        """
        stored = self.site.instances.get(InstanceRef.parse(study, series, instance))
        layout = stored.layout
        frames = layout.frames
        if frames is None:
            raise NotFound("The instance has no frames.")
        wanted = range(1, frames.count + 1) if numbers is None else numbers
        for number in wanted:
            if not 1 <= number <= frames.count:
                raise NotFound(f"The instance has {frames.count} frames; there is no frame {number}.")
        if transfer_syntax is None:
            return list(pixels.stored_frames(self.site, stored, layout, wanted))
        return list(pixels.frames_in(self.site, stored, layout, wanted, transfer_syntax))

    def render(
        self, study: str, series: str, instance: str, frame: int = 1, **parameters: str | int
    ) -> NDArray[np.uint8] | NDArray[np.uint16]:
        """The picture of a frame (1-based), as `/rendered` encodes it: (rows, columns) gray or (rows, columns, 3) RGB.

        `parameters` are those of the URL: `window="40,400,linear"`, `viewport="512,512"`, `annotation="patient"`,
        `iccprofile="srgb"`; `bits=16` gives gray levels of 16 bits. Raises NotFound, Gone, InvalidUID, InvalidQuery,
        CorruptBlob, CannotRender.
        """
        shown = RenderedInstance(self.site, self.site.instances.get(InstanceRef.parse(study, series, instance)))
        rendering, _warnings = parse_rendering(urlencode(parameters))
        if not 1 <= frame <= max(1, picture_count(shown)):
            raise NotFound(f"There are {picture_count(shown)} pictures of the instance; there is no picture {frame}.")
        return picture_of(shown, frame - 1, rendering).samples

    def pixels(self, study: str, series: str, instance: str, frame: int = 1, *, rescale: bool = False) -> NDArray[Any]:
        """The stored values of a frame (1-based): (rows, columns), or (rows, columns, samples) of more than one, as the
        data set has their Photometric Interpretation once they are decoded. With `rescale` those of grayscale after
        the Modality LUT, in its units, as float64: Hounsfield units of a CT, also of an enhanced one.

        Raises NotFound, Gone, InvalidUID, CorruptBlob, NotAcceptable.
        """
        shown = RenderedInstance(self.site, self.site.instances.get(InstanceRef.parse(study, series, instance)))
        if not 1 <= frame <= shown.frame_count:
            raise NotFound(f"The instance has {shown.frame_count} frames; there is no frame {frame}.")
        native = shown.frame(frame - 1)
        if native.image.samples > 1:
            return samples_of(native)
        attributes = frame_attributes(shown.attributes, frame - 1)
        if rescale:
            return modality_values(native, attributes, shown.bulk)
        cells = cells_of(native)
        return stored_values(cells, coding_of(native.image, attributes, cells))

    def bulkdata(self, study: str, series: str, instance: str, path: str) -> bytes:
        """The value of a binary element, little endian; `path` is what stands behind `/bulkdata/` in a BulkDataURI.

        Raises NotFound, Gone, InvalidUID, CorruptBlob.
        """
        return bulkdata.bulkdata_value(self.site, InstanceRef.parse(study, series, instance), path)

    # -- worklist ---------------------------------------------------------------------------------------------

    def events(self, aetitle: str, *, timeout: float | None = None) -> Iterator[Event]:
        """The events for an AE title, as they come: what waits first, then what happens. An event counts as delivered
        when the next one is asked for. Ends when none came for `timeout` seconds, never without.

        Raises BadRequest for what is no AE title, StorageUnavailable.
        """
        return iterate(self.site.required_feeds, parse_receiver(aetitle), timeout)

    def on_event(self, aetitle: str, call: Callable[[Event], object]) -> Listener:
        """Has `call` called for each event for an AE title, in order, in a thread of its own, until the listener that
        is returned is closed. An event counts as delivered when the call returns; if it raises, it is repeated later.
        """
        return Listener(self.site.required_feeds, parse_receiver(aetitle), call)

    def end_events(self) -> None:
        """Ends iterators, callbacks, streams and notification connections: the first thing to do when a server stops.
        A signal handler may do it. What was not delivered waits."""
        if self.site.feeds is not None:
            self.site.feeds.end()

    def announce_restart(self) -> int:
        """Tells every AE that is subscribed that this server was restarted (PS3.4 CC.2.4.3); how many AEs.

        To be called once when a server begins, not once in each of its processes. Raises StorageUnavailable.
        """
        return announce_restart(self.site.required_worklist)

    def purge_workitems(self) -> int:
        """Removes the final workitems that `WorklistPolicy` lets go; how many. Also done from time to time when
        workitems are created. Raises StorageUnavailable."""
        return purge(self.site.required_worklist, self.site.worklist_policy, time.time())

    # -- delete -----------------------------------------------------------------------------------------------

    def delete(self, study: str, series: str | None = None, instance: str | None = None) -> int:
        """Deletes a study, series or instance; how many instances. Raises NotFound, Gone, InvalidUID."""
        return self.site.instances.delete(_ref(study, series, instance))

    def close(self) -> None:
        """Closes the stores and frees the codecs."""
        self.site.codec.close()
        self.site.instances.close()
        if self.site.feeds is not None:
            self.site.feeds.close()
        if self.site.worklist is not None:
            self.site.worklist.close()


def _ref(study: str, series: str | None, instance: str | None) -> Ref:
    if series is None:
        return StudyRef.parse(study)
    if instance is None:
        return SeriesRef.parse(study, series)
    return InstanceRef.parse(study, series, instance)


def _text(value: str | int | bool | Sequence[str]) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str | int):
        return str(value)
    return ",".join(value)
