"""What a backend for composite instances promises (PS3.18 10). Prove yours with `dicomweb_core.testing`.

Three rules hold for every method:
* A store is used by many threads at once, and by many processes if its medium is shared. No call holds a transaction
  or lock when it has returned or while a generator it returned is suspended.
* Iterators read in batches. What is added or deleted meanwhile may or may not be seen; nothing is seen twice, and
  nothing that was there from beginning to end is missed.
* A study, series or instance exists exactly as long as it contains a committed instance.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import NamedTuple, Protocol

from dicomweb_core.values.blobs import InstanceLayout
from dicomweb_core.values.candidates import Candidate as Candidate
from dicomweb_core.values.candidates import InstanceSummary as InstanceSummary
from dicomweb_core.values.candidates import SeriesSummary as SeriesSummary
from dicomweb_core.values.candidates import StudySummary as StudySummary
from dicomweb_core.values.messages import Buffer
from dicomweb_core.values.queries import Query
from dicomweb_core.values.resources import InstanceRef, Ref, StudyRef


class BlobReader(Protocol):
    """An open blob. The content never changes, also if the instance is deleted or replaced meanwhile."""

    @property
    def size(self) -> int:
        """In bytes."""

    def read(self, offset: int, length: int) -> bytes:
        """Exactly these bytes, their checksums compared first. Raises CorruptBlob, ValueError beyond the end."""

    def close(self) -> None:
        """Idempotent."""


class StagedBlob(Protocol):
    """Bytes on their way into the store, on their final medium but not visible. Used by one thread."""

    def write(self, data: Buffer) -> None:
        """Appends. The buffer is the caller's again on return. Raises OutOfSpace, StorageUnavailable."""

    def seal(self) -> BlobReader:
        """No more writes; what was written can be read. May begin to make it durable. The caller closes it."""

    def discard(self) -> None:
        """Forgets the bytes. Idempotent; without effect after a commit that kept them."""


@dataclass(frozen=True, slots=True)
class InstanceRecord:
    """All that later answers need of an instance, made before it is committed. Texts are DICOM JSON objects."""

    ref: InstanceRef
    sop_class_uid: str
    transfer_syntax_uid: str
    size: int
    """Bytes of the Part 10 file."""
    study: bytes
    """Attributes of the Patient and Study levels, see `rules.summaries`."""
    series: bytes
    """Attributes of the Series level."""
    instance: bytes
    """Those attributes of the Instance level that a search returns by default."""
    metadata: bytes
    """The whole data set (PS3.18 10.4.1.1.2), `INSTANCE_URL` where the URL of the instance goes."""
    layout: bytes
    """`InstanceLayout.pack()`."""


class Pending(NamedTuple):
    """A sealed blob and its record, to be committed."""

    blob: StagedBlob
    record: InstanceRecord


class OnDuplicate(Enum):
    """What to do when an instance is already there with other bytes. Identical bytes always succeed."""

    KEEP = "keep"
    """Refuse the new one and say so."""
    REPLACE = "replace"
    """The new one takes its place, whole."""
    IGNORE = "ignore"
    """Keep the first and report success."""


class Outcome(Enum):
    """What became of one pending instance."""

    STORED = "stored"
    ALREADY_STORED = "already stored"
    """The same bytes were there."""
    REPLACED = "replaced"
    IGNORED = "ignored"
    """Other bytes were there, and stay (OnDuplicate.IGNORE)."""
    DUPLICATE = "duplicate"
    """Other bytes were there, and stay (OnDuplicate.KEEP): refused."""
    ELSEWHERE = "elsewhere"
    """The SOP Instance UID belongs to another series or study: refused under every policy."""
    OUT_OF_SPACE = "out of space"
    """There was no room: refused."""

    @property
    def refused(self) -> bool:
        """Whether the instance is not represented in the store as sent or by policy."""
        return self in (Outcome.DUPLICATE, Outcome.ELSEWHERE, Outcome.OUT_OF_SPACE)


class StoredInstance(NamedTuple):
    """A committed instance, less its texts. `packed_layout` is `InstanceLayout.pack()`.

    `locator` is the store's own note of where the bytes lie; it may be left out.
    """

    ref: InstanceRef
    sop_class_uid: str
    transfer_syntax_uid: str
    size: int
    packed_layout: bytes
    version: int
    """Changes whenever the bytes under this ref change; never reused."""
    locator: bytes = b""

    @property
    def layout(self) -> InstanceLayout:
        """Where things lie in the file."""
        return InstanceLayout.unpack(self.packed_layout)


class Candidates(Protocol):
    """The entities that may match, in the total order of the store: each level by time of arrival.

    An entity keeps its place for life, new ones come last, so pages (PS3.18 8.3.4.4) neither repeat nor lose
    entities when others arrive. A deletion moves those behind it forward.
    """

    @property
    def exact(self) -> bool:
        """Whether every candidate matches: the store has compared by `rules`, nothing is left to compare."""

    def __len__(self) -> int:
        """How many there are."""

    def __iter__(self) -> Iterator[Candidate]:
        """All, in order."""

    def page(self, offset: int, limit: int) -> Iterator[Candidate]:
        """At most `limit`, after the first `offset`. Cheap also deep into a large store."""


class Statistics(NamedTuple):
    """What a store contains. `bytes` is the sum of the Part 10 files."""

    studies: int
    series: int
    instances: int
    bytes: int


class Problem(NamedTuple):
    """What `verify` found. `ref` is None where no instance is concerned."""

    ref: InstanceRef | None
    description: str


class InstanceStore(Protocol):
    """Composite instances: their bytes, their records and the index over them."""

    def stage(self) -> StagedBlob:
        """A place for the bytes of one instance. Raises OutOfSpace, StorageUnavailable."""

    def commit(self, pending: Sequence[Pending], *, on_duplicate: OnDuplicate) -> list[Outcome]:
        """Makes all of them visible and durable at once, one outcome each, in order; refused blobs are discarded.

        On return every accepted instance survives a power cut; before, none is visible. An instance may occur twice
        among the pending: the second meets the first. Raises StorageUnavailable when nothing was committed.
        """

    def get(self, ref: InstanceRef) -> StoredInstance:
        """Raises NotFound, Gone."""

    def open(self, instance: InstanceRef | StoredInstance) -> BlobReader:
        """The Part 10 file: as it is now, or just the bytes of this StoredInstance, which its layout is about.

        Raises NotFound, Gone, CorruptBlob (the content is missing), and Superseded when the bytes of a
        StoredInstance have been replaced since.
        """

    def instances(self, within: Ref) -> Iterator[StoredInstance]:
        """All below, series by series, each in order of arrival. Raises NotFound or Gone before the first."""

    def metadata(self, within: Ref) -> Iterator[tuple[InstanceRef, bytes]]:
        """`InstanceRecord.metadata` of all below, in the same order. Raises NotFound or Gone before the first."""

    def version(self, within: Ref) -> bytes:
        """A token that is another one after anything below was added, replaced or deleted, and never comes again.

        At most 64 bytes that nobody outside can guess, the same in every process and after reopening. It may change
        more often than what it stands for. Cheap, however much is below. Raises NotFound, Gone.
        """

    def study(self, ref: StudyRef) -> StudySummary:
        """Raises NotFound, Gone."""

    def candidates(self, query: Query) -> Candidates:
        """Those that may match; too many is allowed, too few never. An unknown `within` gives none.

        Which entities are below `query.within` is exact in any case; limit and offset are not the store's.
        """

    def delete(self, within: Ref) -> int:
        """Deletes all below; how many instances. Durable on return. Open readers go on. Raises NotFound, Gone."""

    def statistics(self) -> Statistics:
        """Counts of what is committed."""

    def verify(self) -> Iterator[Problem]:
        """Reads everything and compares checksums and index; nothing yielded means nothing is wrong."""

    def close(self) -> None:
        """Frees what is held. Idempotent. Nothing acknowledged depends on it."""
