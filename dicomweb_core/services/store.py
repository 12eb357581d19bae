"""The Store transaction (PS3.18 10.5): bytes stream into staged blobs, are read and checked there, then committed."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from dicomweb_core.codecs.part10_reader import ReadInstance, read_part10
from dicomweb_core.errors import (
    CorruptBlob,
    DICOMwebError,
    Forbidden,
    InvalidDataset,
    NotFound,
    OutOfSpace,
    StorageUnavailable,
    TooLarge,
)
from dicomweb_core.rules.store_report import FailedItem, FailureReason, StoredItem, StoreReport, WarningReason
from dicomweb_core.rules.summaries import summarise
from dicomweb_core.services.scopes import EVERYTHING, Scope
from dicomweb_core.services.site import Site
from dicomweb_core.storage.instances import InstanceRecord, Outcome, Pending, StagedBlob
from dicomweb_core.values.limits import Limits
from dicomweb_core.values.messages import Buffer
from dicomweb_core.values.resources import InstanceRef, StudyRef

PREAMBLE_BYTES: Final = 128
_TIFF: Final = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")

REFUSALS: Final = {
    Outcome.DUPLICATE: (
        FailureReason.DUPLICATE_INSTANCE,
        "An instance with this SOP Instance UID and other content is stored already; it was kept.",
    ),
    Outcome.ELSEWHERE: (
        FailureReason.DUPLICATE_INSTANCE,
        "This SOP Instance UID belongs to an instance of another series or study.",
    ),
    Outcome.OUT_OF_SPACE: (FailureReason.OUT_OF_RESOURCES, "The storage is full."),
}


def clean_preamble(preamble: bytes) -> bytes:
    """The preamble as it is kept: zeros and TIFF headers (PS3.10 7.1) stay, anything else becomes zeros.

    A preamble can make a DICOM file an executable or a web page at the same time (PS3.10 7.5).
    """
    return preamble if preamble.startswith(_TIFF) else bytes(len(preamble))


class InstanceIntake:
    """Takes one instance in as chunks of bytes. `finish` or `discard` ends it."""

    def __init__(self, site: Site) -> None:
        """Raises OutOfSpace, StorageUnavailable."""
        self._site = site
        self._blob: StagedBlob = site.instances.stage()
        self._preamble: bytes | None = None if site.keep_preamble else b""
        self._size = 0

    def write(self, data: Buffer) -> None:
        """The next bytes. Raises TooLarge, OutOfSpace, StorageUnavailable."""
        self._size += len(data)
        if self._size > self._site.limits.instance_bytes:
            raise TooLarge(
                f"The instance is larger than {self._site.limits.instance_bytes} bytes.",
                limit="instance_bytes",
                ceiling=self._site.limits.instance_bytes,
            )
        if self._preamble is None:
            self._blob.write(data)
            return
        self._preamble += data
        if len(self._preamble) >= PREAMBLE_BYTES:
            head, self._preamble = self._preamble, None
            self._blob.write(clean_preamble(head[:PREAMBLE_BYTES]))
            self._blob.write(memoryview(head)[PREAMBLE_BYTES:])

    def finish(self) -> tuple[StagedBlob, ReadInstance, int]:
        """The sealed blob, what it says, its size in bytes. Raises InvalidDataset, TooLarge: then it is discarded."""
        if self._preamble:
            self._blob.write(self._preamble)
        reader = self._blob.seal()
        try:
            return self._blob, read_part10(reader, self._site.limits), reader.size
        except DICOMwebError:
            self._blob.discard()
            raise
        finally:
            reader.close()

    def discard(self) -> None:
        """Forgets the bytes."""
        self._blob.discard()


class StoreBatch:
    """The instances of one store request on their way into the store, and the report about them.

    Commits when what is pending would take too much memory, and at the end; `report` is complete after `finish`.
    """

    def __init__(self, site: Site, *, study: StudyRef | None = None, scope: Scope = EVERYTHING) -> None:
        self._site = site
        self._study = study
        self._scope = scope
        self._pending: list[Pending] = []
        self._sources: list[str] = []
        self._record_bytes = 0
        self._blob_bytes = 0
        self._unavailable: StorageUnavailable | None = None
        self.report = StoreReport()

    def begin(self) -> InstanceIntake:
        """A place for the next instance. Raises OutOfSpace, StorageUnavailable."""
        return InstanceIntake(self._site)

    def add(self, intake: InstanceIntake, source: str) -> None:
        """Reads and checks the instance taken in, and puts it among the pending or the failed."""
        try:
            blob, instance, size = intake.finish()
        except (InvalidDataset, TooLarge, StorageUnavailable, CorruptBlob) as error:
            intake.discard()
            self.fail(error, source)
            return
        refusal = self._refusal(instance)
        if refusal is not None:
            blob.discard()
            reason, detail = refusal
            self.report.failed.append(
                FailedItem(reason, detail, instance.sop_class_uid, instance.sop_instance_uid, source)
            )
            return
        try:
            record = record_of(instance, size, self._site.limits)
        except TooLarge as error:
            blob.discard()
            self.fail(error, source, sop_class_uid=instance.sop_class_uid, sop_instance_uid=instance.sop_instance_uid)
            return
        self._pending.append(Pending(blob, record))
        self._sources.append(source)
        self._record_bytes += len(record.metadata) + len(record.layout)
        self._blob_bytes += min(size, 65_536)
        limits = self._site.limits
        if (
            self._record_bytes >= limits.pending_record_bytes
            or self._blob_bytes >= limits.pending_blob_bytes
            or len(self._pending) >= limits.pending_instances
        ):
            self._commit()

    def fail(self, error: DICOMwebError, source: str, *, sop_class_uid: str = "", sop_instance_uid: str = "") -> None:
        """Notes an input of which nothing was stored. UIDs are empty where they are not known."""
        match error:
            case InvalidDataset():
                reason = error.reason
            case TooLarge() | OutOfSpace():
                reason = FailureReason.OUT_OF_RESOURCES
            case Forbidden():
                reason = FailureReason.NOT_AUTHORIZED
            case StorageUnavailable():
                self._unavailable = error
                reason = FailureReason.PROCESSING_FAILURE
            case CorruptBlob():
                reason = FailureReason.PROCESSING_FAILURE
            case _:
                reason = FailureReason.CANNOT_UNDERSTAND
        self.report.failed.append(FailedItem(reason, error.detail, sop_class_uid, sop_instance_uid, source))

    def finish(self) -> StoreReport:
        """Commits what is pending; the report. Raises StorageUnavailable when nothing at all was stored."""
        self._commit()
        if self._unavailable is not None and not self.report.stored:
            raise self._unavailable
        return self.report

    def abandon(self) -> None:
        """Forgets what is pending. What an earlier commit made durable stays."""
        pending, self._pending = self._pending, []
        for item in pending:
            item.blob.discard()

    def _refusal(self, instance: ReadInstance) -> tuple[int, str] | None:
        if self._study is not None and instance.study_uid != self._study.study:
            return FailureReason.STUDY_MISMATCH, "The Study Instance UID is not that of the request URL."
        if not self._scope.admits(instance.attributes):
            return FailureReason.NOT_AUTHORIZED, "Storing in this study is not allowed."
        if self._scope.keys:
            # The study may exist with other attributes than this instance claims for it.
            try:
                self._site.require(StudyRef(instance.study_uid), self._scope)
            except NotFound as error:
                try:
                    self._site.instances.study(StudyRef(instance.study_uid))
                except NotFound:
                    return None
                return FailureReason.NOT_AUTHORIZED, error.detail
        return None

    def _commit(self) -> None:
        pending, self._pending = self._pending, []
        sources, self._sources = self._sources, []
        self._record_bytes = self._blob_bytes = 0
        if not pending:
            return
        try:
            outcomes = self._site.instances.commit(pending, on_duplicate=self._site.on_duplicate)
        except StorageUnavailable as error:
            # Nothing of this group is in the store; what earlier groups stored is, and has to be reported.
            for item, source in zip(pending, sources, strict=True):
                item.blob.discard()
                reason = (
                    FailureReason.OUT_OF_RESOURCES
                    if isinstance(error, OutOfSpace)
                    else FailureReason.PROCESSING_FAILURE
                )
                self._refused(item.record, reason, error.detail, source)
            if not isinstance(error, OutOfSpace):
                self._unavailable = error
            return
        for item, outcome, source in zip(pending, outcomes, sources, strict=True):
            if outcome.refused:
                self._refused(item.record, *REFUSALS[outcome], source)
            else:
                warning = WarningReason.ELEMENTS_DISCARDED if outcome is Outcome.IGNORED else None
                already = outcome in (Outcome.ALREADY_STORED, Outcome.IGNORED)
                self.report.stored.append(StoredItem(item.record.ref, item.record.sop_class_uid, warning, already))

    def _refused(self, record: InstanceRecord, reason: int, detail: str, source: str) -> None:
        self.report.failed.append(FailedItem(reason, detail, record.sop_class_uid, record.ref.instance, source))


def record_of(instance: ReadInstance, size: int, limits: Limits) -> InstanceRecord:
    """Everything later answers need, made before the commit: one strange instance can never break them.

    Raises TooLarge when each search that finds the instance would have to carry too much.
    """
    summaries = summarise(instance.attributes)
    if max(map(len, summaries)) > limits.summary_bytes:
        raise TooLarge(
            f"The attributes that searches return are more than {limits.summary_bytes} bytes of JSON.",
            limit="summary_bytes",
            ceiling=limits.summary_bytes,
        )
    return InstanceRecord(
        ref=InstanceRef(instance.study_uid, instance.series_uid, instance.sop_instance_uid),
        sop_class_uid=instance.sop_class_uid,
        transfer_syntax_uid=instance.transfer_syntax_uid,
        size=size,
        study=summaries.study,
        series=summaries.series,
        instance=summaries.instance,
        metadata=instance.metadata,
        layout=instance.layout.pack(),
    )


def store_instance(batch: StoreBatch, chunks: Iterable[Buffer], source: str) -> None:
    """One instance from chunks of bytes into the batch. Raises what the chunks raise."""
    try:
        intake = batch.begin()
    except StorageUnavailable as error:
        for _ in chunks:
            pass  # the rest of the request is behind these bytes
        batch.fail(error, source)
        return
    try:
        refusal: DICOMwebError | None = None
        for chunk in chunks:
            if refusal is None:
                try:
                    intake.write(chunk)
                except (TooLarge, StorageUnavailable) as error:
                    refusal = error
                    intake.discard()
    except BaseException:
        intake.discard()
        raise
    if refusal is not None:
        batch.fail(refusal, source)
    else:
        batch.add(intake, source)
