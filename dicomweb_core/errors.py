"""Everything that can go wrong, by what went wrong. No HTTP here: `http_status` maps once.

The classes carry evidence as attributes. `str(error)` is one English sentence that names the offending part and is
safe to show to a client: it never quotes attribute values of a patient, paths of the machine, or a traceback.
"""

from __future__ import annotations


class DICOMwebError(Exception):
    """Root of the family. `detail` is the sentence shown to the client."""

    def __init__(self, detail: str = "") -> None:
        super().__init__(detail)
        self.detail = detail


class BadRequest(DICOMwebError):
    """The request is malformed (PS3.18 8.5, 400)."""


class InvalidUID(BadRequest):
    """A text that is not a DICOM UID (PS3.5 9.1) stands where one must."""


class InvalidQuery(BadRequest):
    """A query parameter has a value that its grammar or its VR does not allow (PS3.18 8.3)."""


class InvalidPayload(BadRequest):
    """A payload (multipart, JSON, XML) cannot be read as what it claims to be."""


class InvalidDataset(InvalidPayload):
    """Bytes that are not a readable DICOM data set (PS3.5, PS3.10).

    `reason` is the Failure Reason (0008,1197) a store reports for it (PS3.18 Table I.2-2).
    """

    def __init__(self, detail: str, *, reason: int = 0xC000) -> None:
        super().__init__(detail)
        self.reason = reason


class Unauthorized(DICOMwebError):
    """No or invalid credentials. `challenge` is the WWW-Authenticate value (RFC 9110 11.6.1)."""

    def __init__(self, detail: str = "Credentials are required.", *, challenge: str = "Basic") -> None:
        super().__init__(detail)
        self.challenge = challenge


class Forbidden(DICOMwebError):
    """Understood and refused."""


class NotFound(DICOMwebError):
    """The target does not exist."""


class Gone(NotFound):
    """The target existed and was deleted, and the server knows it."""


class MethodNotAllowed(DICOMwebError):
    """The resource exists, the method does not apply. `allowed` are the methods that do."""

    def __init__(self, detail: str, *, allowed: tuple[str, ...]) -> None:
        super().__init__(detail)
        self.allowed = allowed


class UpgradeRequired(DICOMwebError):
    """The resource is a notification connection, which a plain request cannot open (RFC 9110 15.5.22)."""


class NotOffered(DICOMwebError):
    """What the standard has and this server, as it runs here, cannot do (RFC 9110 15.6.2)."""


class NotAcceptable(DICOMwebError):
    """Nothing the client accepts can be produced. `available` are the media types that can."""

    def __init__(self, detail: str, *, available: tuple[str, ...] = ()) -> None:
        super().__init__(detail)
        self.available = available


class InvalidFrame(NotAcceptable):
    """The pixel data of a frame cannot be read as what they claim to be, so no other form of them can be made.
    As they are stored they can be sent."""


class MissingCodec(NotAcceptable):
    """A form that needs a library which is not installed here. `detail` names it."""


class CannotRender(NotAcceptable):
    """There is nothing to see in the object, or it cannot be shown; `detail` says why."""


class PreconditionFailed(DICOMwebError):
    """A condition of the request (If-Match, If-Unmodified-Since) does not hold (RFC 9110 13)."""


class RangeNotSatisfiable(DICOMwebError):
    """No byte of the requested ranges exists (RFC 9110 14). `size` is that of the whole representation."""

    def __init__(self, detail: str, *, size: int) -> None:
        super().__init__(detail)
        self.size = size


class UnsupportedMediaType(DICOMwebError):
    """The payload's Content-Type is not one this transaction takes. `supported` are those it does."""

    def __init__(self, detail: str, *, supported: tuple[str, ...] = ()) -> None:
        super().__init__(detail)
        self.supported = supported


class TooLarge(DICOMwebError):
    """A ceiling of `Limits` was passed. `limit` is its name, `ceiling` its value."""

    def __init__(self, detail: str, *, limit: str = "", ceiling: int = 0) -> None:
        super().__init__(detail)
        self.limit = limit
        self.ceiling = ceiling


class URITooLong(TooLarge):
    """The request target is longer than `Limits.uri_bytes`."""


class Conflict(DICOMwebError):
    """Well-formed, but the present state does not allow it."""


class WorkitemRefused(DICOMwebError):
    """What the data, the state or the lock of a workitem do not allow, or a subscription to it (PS3.4 CC.2).

    `code` is the status of the DIMSE response, `warning` the text for a Warning header, empty if there is none.
    `offending` are dotted keywords of attributes. No Transaction UID is ever in any of them.
    """

    def __init__(self, detail: str, *, code: int, warning: str = "", offending: tuple[str, ...] = ()) -> None:
        super().__init__(detail)
        self.code = code
        self.warning = warning
        self.offending = offending


class InvalidWorkitemRequest(WorkitemRefused, BadRequest):
    """The data set is not what the transaction takes, or the Transaction UID is missing or incorrect; also an Update of
    a final workitem (PS3.18 11.6.2)."""


class WorkitemConflict(WorkitemRefused, Conflict):
    """The present state of the workitem does not allow it."""


class NoSuchWorkitem(WorkitemRefused, NotFound):
    """There is no such workitem, or no such subscription."""


class SubscriptionRefused(WorkitemRefused, Forbidden):
    """Understood, and this server does not offer it or not to this AE (PS3.18 11.10.3)."""


class StorageUnavailable(DICOMwebError):
    """The storage cannot be reached or cannot be written now; trying again later may help."""


class Superseded(StorageUnavailable):
    """The instance was replaced while it was being retrieved. Asking again gets the new one."""


class OutOfSpace(StorageUnavailable):
    """The storage is full (disk, quota or map)."""


class Overloaded(DICOMwebError):
    """More is asked for at once than can be done; trying again later may help."""


class CorruptBlob(DICOMwebError):
    """Stored bytes are not the bytes that were stored: wrong checksum, missing or short content."""


class ClientDisconnected(DICOMwebError):
    """The client went away before its request was complete. There is nobody to answer."""
