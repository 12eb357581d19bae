"""An embeddable DICOMweb origin server (PS3.18): store, search and retrieve over pluggable storage.

from dicomweb_core import OriginServer
from dicomweb_memory import MemoryInstanceStore

server = OriginServer(instances=MemoryInstanceStore())
server.store(["ct.dcm"])
server.search_studies({"PatientName": "DOE*"})
"""

from dicomweb_core.errors import DICOMwebError, Forbidden, NotFound, Unauthorized
from dicomweb_core.rules.store_report import FailedItem, StoredItem, StoreReport
from dicomweb_core.rules.targets import Target
from dicomweb_core.rules.workitem_changes import WorklistPolicy
from dicomweb_core.server import OriginServer
from dicomweb_core.services.codec_processes import CodecProcesses
from dicomweb_core.services.site import Access, Authorize, allow_all
from dicomweb_core.storage.instances import InstanceStore, OnDuplicate
from dicomweb_core.storage.worklists import WorklistStore
from dicomweb_core.values.events import Event
from dicomweb_core.values.limits import Limits
from dicomweb_core.values.messages import Body, Request, Response

__all__ = [
    "Access",
    "Authorize",
    "Body",
    "CodecProcesses",
    "DICOMwebError",
    "Event",
    "FailedItem",
    "Forbidden",
    "InstanceStore",
    "Limits",
    "NotFound",
    "OnDuplicate",
    "OriginServer",
    "Request",
    "Response",
    "StoreReport",
    "StoredItem",
    "Target",
    "Unauthorized",
    "WorklistPolicy",
    "WorklistStore",
    "allow_all",
]
