"""A client of the Worklist Service, UPS-RS (PS3.18 chapter 11), over HTTP or in the process of the server.

from dicomweb_worklist import WorklistClient, new_workitem

client = WorklistClient.at("http://127.0.0.1:8042/dicom-web", aetitle="SEGMENTER")
claim = client.claim(client.create(new_workitem("Segment the liver")))

Needs nothing but Python; events over a WebSocket need `websockets`.
"""

from dicomweb_worklist.claims import Claim
from dicomweb_worklist.client import Subscribed, WorklistClient
from dicomweb_worklist.datasets import Attributes, EventType, WorkitemState, new_uid, state_of, text, uid_of
from dicomweb_worklist.dialect import Dialect
from dicomweb_worklist.errors import (
    AlreadyExists,
    Conflict,
    ConnectionLost,
    Gone,
    Incomplete,
    InvalidRequest,
    LostClaim,
    MissingLibrary,
    NotFound,
    Refused,
    ServerFailed,
    Untrusted,
    WorklistError,
)
from dicomweb_worklist.event_stream import Event, EventStream
from dicomweb_worklist.http_transport import HTTPTransport
from dicomweb_worklist.origin_transport import OriginTransport
from dicomweb_worklist.retries import Attempts
from dicomweb_worklist.transport import Answer, Transport
from dicomweb_worklist.workitems import Code, Instances, Patient, coded, new_workitem, performed_procedure, progress

__all__ = [
    "AlreadyExists",
    "Answer",
    "Attempts",
    "Attributes",
    "Claim",
    "Code",
    "Conflict",
    "ConnectionLost",
    "Dialect",
    "Event",
    "EventStream",
    "EventType",
    "Gone",
    "HTTPTransport",
    "Incomplete",
    "Instances",
    "InvalidRequest",
    "LostClaim",
    "MissingLibrary",
    "NotFound",
    "OriginTransport",
    "Patient",
    "Refused",
    "ServerFailed",
    "Subscribed",
    "Transport",
    "Untrusted",
    "WorkitemState",
    "WorklistClient",
    "WorklistError",
    "coded",
    "new_uid",
    "new_workitem",
    "performed_procedure",
    "progress",
    "state_of",
    "text",
    "uid_of",
]
