"""What a site decides: storage, ceilings, who may do what. Everything else the standard decides."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple, TypeVar
from urllib.parse import urlsplit

import orjson

from dicomweb_core.errors import NotFound
from dicomweb_core.rules.targets import Target
from dicomweb_core.rules.workitem_changes import WorklistPolicy
from dicomweb_core.services.codec import CodecInProcess, FrameCodec
from dicomweb_core.services.event_feeds import EventFeeds
from dicomweb_core.services.frame_cache import FrameCache
from dicomweb_core.services.picture_cache import AttributesCache, PictureCache, WindowCache
from dicomweb_core.services.scopes import Scope
from dicomweb_core.services.worklist_upkeep import Sweep
from dicomweb_core.storage.instances import InstanceStore, OnDuplicate
from dicomweb_core.storage.worklists import WorklistStore, WorklistTransaction
from dicomweb_core.values.attributes import Attributes
from dicomweb_core.values.limits import Limits
from dicomweb_core.values.messages import Request
from dicomweb_core.values.resources import Ref, StudyRef

T = TypeVar("T")


class Access(NamedTuple):
    """What `authorize` is asked about: the parsed, canonical target and the request it came from."""

    target: Target
    request: Request


Authorize = Callable[[Access], Mapping[str, str] | None]
"""Refuses by raising Unauthorized or Forbidden; allows by returning None; or narrows the request to the studies that
match, by returning match keys of the Study level as in a search: `{"IssuerOfPatientID": "WARD-7"}`. What is outside
does not exist for this request: it is not found, not listed, not counted, and nothing can be stored there. The same
keys narrow the worklist; a workitem without such an attribute is outside."""


def allow_all(_access: Access) -> None:
    """Everybody may do everything: for servers behind an authenticating proxy, and tests."""


DEFAULT_LIMITS = Limits()
DEFAULT_WORKLIST_POLICY = WorklistPolicy()


@dataclass(frozen=True, slots=True)
class Site:
    """The decisions of a site, handed to every transaction."""

    instances: InstanceStore
    limits: Limits = DEFAULT_LIMITS
    authorize: Authorize = allow_all
    on_duplicate: OnDuplicate = OnDuplicate.KEEP
    keep_preamble: bool = False
    """Store the 128 bytes before `DICM` as they came, whatever they are (PS3.10 7.1)."""
    send_retired_syntaxes: bool = True
    """Let `transfer-syntax=*` return Implicit VR and Big Endian instances as they were stored. PS3.18 8.7.3.4 wants
    them converted; False does that."""
    status_of_no_match: int = 200
    """Of a search without results: 200 with an empty list, or 204 (PS3.18 10.6.3.1)."""
    allow_delete: bool = True
    relative_urls: bool = False
    """Leave scheme and host out of URLs in answers."""
    font_paths: tuple[str, ...] = ()
    """Files and folders of fonts for texts in pictures, looked at before those of the system."""
    codec: FrameCodec = field(default_factory=lambda: CodecInProcess(DEFAULT_LIMITS))
    """Where frames are decoded and encoded."""
    frame_cache: FrameCache = field(default_factory=lambda: FrameCache(DEFAULT_LIMITS.frame_cache_bytes))
    picture_cache: PictureCache = field(default_factory=lambda: PictureCache(DEFAULT_LIMITS.picture_cache_bytes))
    attributes_cache: AttributesCache = field(
        default_factory=lambda: AttributesCache(DEFAULT_LIMITS.attributes_cache_bytes)
    )
    window_cache: WindowCache = field(default_factory=WindowCache)
    worklist: WorklistStore | None = None
    """None: there is no Worklist Service."""
    worklist_policy: WorklistPolicy = DEFAULT_WORKLIST_POLICY
    feeds: EventFeeds | None = None
    """Who listens for the events of the worklist in this process; None without a worklist."""
    cors_origins: frozenset[str] = frozenset()
    """Web sites whose pages may use this server; `*` for all."""
    sweep: Sweep = field(default_factory=Sweep)
    """Of the worklist."""
    event_channel_url: str | None = None
    """Service root of notification connections where it is another than that of requests: `ws://{host}:8043/dicom-web`;
    `{host}` stands for the host that the client has named."""

    @property
    def required_worklist(self) -> WorklistStore:
        """The worklist; nothing leads here without one."""
        assert self.worklist is not None
        return self.worklist

    @property
    def required_feeds(self) -> EventFeeds:
        """Who listens; nothing leads here without a worklist."""
        assert self.feeds is not None
        return self.feeds

    def root_of(self, base_url: str) -> str:
        """What URLs in answers begin with: the URL of the service, or only its path."""
        return urlsplit(base_url).path.rstrip("/") if self.relative_urls else base_url

    def decide(self, decision: Callable[[WorklistTransaction], T]) -> T:
        """`WorklistStore.transact`; who listens in this process is told at once of what it queued."""
        result = self.required_worklist.transact(decision)
        self.required_feeds.wake()
        return result

    def require(self, ref: Ref, scope: Scope) -> None:
        """Raises NotFound if the study is outside the scope, or unknown."""
        if scope.keys:
            summary = self.instances.study(StudyRef(ref.study))
            attributes: Attributes = orjson.loads(summary.attributes)
            if not scope.admits(attributes):
                raise NotFound("The study does not exist.")
