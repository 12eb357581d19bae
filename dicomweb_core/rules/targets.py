"""Which resource a path names and which transaction a method asks of it (PS3.18 8.2, Table 10.3-2).

One table routes requests and generates the Capabilities Description (8.9), so the two cannot disagree.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from types import MappingProxyType
from typing import Final

from dicomweb_core.errors import BadRequest, MethodNotAllowed, NotFound, TooLarge
from dicomweb_core.rules.subscriptions import parse_receiver
from dicomweb_core.rules.uri_parameters import URIRequest, names_request_type, parse_uri_request
from dicomweb_core.rules.worklist_parameters import requester_parameter, workitem_parameter
from dicomweb_core.values.limits import Limits
from dicomweb_core.values.queries import Level
from dicomweb_core.values.resources import InstanceRef, Ref, SeriesRef, StudyRef
from dicomweb_core.values.uids import parse_uid


class Transaction(Enum):
    """What is asked. The value is the id of the method in the Capabilities Description."""

    CAPABILITIES = "retrieveCapabilities"
    SEARCH = "search"
    STORE = "storeInstances"
    RETRIEVE_INSTANCES = "retrieveInstances"
    RETRIEVE_METADATA = "retrieveMetadata"
    RETRIEVE_FRAMES = "retrieveFrames"
    RETRIEVE_BULKDATA_VALUE = "retrieveBulkdataValue"
    RETRIEVE_BULKDATA = "retrieveBulkdata"
    RETRIEVE_PIXEL_DATA = "retrievePixelData"
    RETRIEVE_RENDERED = "retrieveRendered"
    RETRIEVE_THUMBNAIL = "retrieveThumbnail"
    RETRIEVE_BY_URI = "retrieveByURI"
    DELETE = "delete"
    CREATE_WORKITEM = "createWorkitem"
    RETRIEVE_WORKITEM = "retrieveWorkitem"
    UPDATE_WORKITEM = "updateWorkitem"
    CHANGE_WORKITEM_STATE = "changeWorkitemState"
    REQUEST_CANCELLATION = "requestWorkitemCancellation"
    SEARCH_WORKITEMS = "searchForWorkitems"
    SUBSCRIBE = "subscribe"
    UNSUBSCRIBE = "unsubscribe"
    SUSPEND = "suspendGlobalSubscription"
    OPEN_EVENT_CHANNEL = "openNotificationConnection"


WORKLIST_TRANSACTIONS: Final = frozenset(
    {
        Transaction.CREATE_WORKITEM,
        Transaction.RETRIEVE_WORKITEM,
        Transaction.UPDATE_WORKITEM,
        Transaction.CHANGE_WORKITEM_STATE,
        Transaction.REQUEST_CANCELLATION,
        Transaction.SEARCH_WORKITEMS,
        Transaction.SUBSCRIBE,
        Transaction.UNSUBSCRIBE,
        Transaction.SUSPEND,
        Transaction.OPEN_EVENT_CHANNEL,
    }
)
"""Those of the Worklist Service (PS3.18 11)."""


@dataclass(frozen=True, slots=True)
class Resource:
    """A row of the table: a path template and what each method asks there."""

    template: str
    methods: Mapping[str, Transaction]
    level: Level | None = None
    """Of the entities a search here returns."""


@dataclass(frozen=True, slots=True)
class Target:
    """A parsed request line: every UID in it is one, every frame number is positive."""

    transaction: Transaction
    resource: Resource
    ref: Ref | None = None
    frames: tuple[int, ...] = ()
    """Frame numbers, 1-based, in the order asked for."""
    bulk_path: str = ""
    """What stands behind `/bulkdata/`, see `BulkValue.path`."""
    uri: URIRequest | None = None
    """The query of a request to the URI Service; `ref` is the instance it names."""
    workitem: str = ""
    """UID of a workitem, or of the worklist that is subscribed to. Of a Create empty unless the URL has it."""
    subscriber: str = ""
    """AE title that a subscription is for, without spaces around it."""
    requester: str = ""
    """AE title of who asks, where the URL says it."""


_STUDY: Final = "/studies/{study}"
_SERIES: Final = _STUDY + "/series/{series}"
_INSTANCE: Final = _SERIES + "/instances/{instance}"


def _resource(template: str, level: Level | None = None, /, **methods: Transaction) -> Resource:
    return Resource(template, MappingProxyType(methods), level)


def _retrievable(template: str, *, store: bool = False) -> tuple[Resource, ...]:
    methods = {"GET": Transaction.RETRIEVE_INSTANCES, "DELETE": Transaction.DELETE}
    if store:
        methods["POST"] = Transaction.STORE
    return (
        Resource(template, MappingProxyType(methods)),
        _resource(template + "/metadata", GET=Transaction.RETRIEVE_METADATA),
        _resource(template + "/bulkdata", GET=Transaction.RETRIEVE_BULKDATA),
        _resource(template + "/pixeldata", GET=Transaction.RETRIEVE_PIXEL_DATA),
        *_rendered(template),
    )


def _rendered(template: str) -> tuple[Resource, ...]:
    return (
        _resource(template + "/rendered", GET=Transaction.RETRIEVE_RENDERED),
        _resource(template + "/thumbnail", GET=Transaction.RETRIEVE_THUMBNAIL),
    )


RESOURCES: Final[tuple[Resource, ...]] = (
    _resource("/"),
    _resource("/studies", Level.STUDY, GET=Transaction.SEARCH, POST=Transaction.STORE),
    *_retrievable(_STUDY, store=True),
    _resource(_STUDY + "/series", Level.SERIES, GET=Transaction.SEARCH),
    _resource(_STUDY + "/instances", Level.INSTANCE, GET=Transaction.SEARCH),
    *_retrievable(_SERIES),
    _resource(_SERIES + "/instances", Level.INSTANCE, GET=Transaction.SEARCH),
    *_retrievable(_INSTANCE),
    _resource(_INSTANCE + "/frames/{frames}", GET=Transaction.RETRIEVE_FRAMES),
    *_rendered(_INSTANCE + "/frames/{frames}"),
    _resource(_INSTANCE + "/bulkdata/{bulkdata*}", GET=Transaction.RETRIEVE_BULKDATA_VALUE),
    _resource("/series", Level.SERIES, GET=Transaction.SEARCH),
    _resource("/instances", Level.INSTANCE, GET=Transaction.SEARCH),
    _resource("/wado", GET=Transaction.RETRIEVE_BY_URI),
)

_WORKITEM: Final = "/workitems/{workitem}"
_SUBSCRIBER: Final = _WORKITEM + "/subscribers/{subscriber}"

WORKLIST_RESOURCES: Final[tuple[Resource, ...]] = (
    _resource("/workitems", GET=Transaction.SEARCH_WORKITEMS, POST=Transaction.CREATE_WORKITEM),
    # some clients update with PUT
    _resource(
        _WORKITEM,
        GET=Transaction.RETRIEVE_WORKITEM,
        POST=Transaction.UPDATE_WORKITEM,
        PUT=Transaction.UPDATE_WORKITEM,
    ),
    _resource(_WORKITEM + "/state", PUT=Transaction.CHANGE_WORKITEM_STATE),
    _resource(_WORKITEM + "/state/{requester}", PUT=Transaction.CHANGE_WORKITEM_STATE),
    _resource(_WORKITEM + "/cancelrequest", POST=Transaction.REQUEST_CANCELLATION),
    _resource(_WORKITEM + "/cancelrequest/{requester}", POST=Transaction.REQUEST_CANCELLATION),
    _resource(_SUBSCRIBER, POST=Transaction.SUBSCRIBE, DELETE=Transaction.UNSUBSCRIBE),
    _resource(_SUBSCRIBER + "/suspend", POST=Transaction.SUSPEND),
    _resource("/subscribers/{subscriber}", GET=Transaction.OPEN_EVENT_CHANNEL),
    _resource("/ws/subscribers/{subscriber}", GET=Transaction.OPEN_EVENT_CHANNEL),
)
"""Of a server with a worklist (PS3.18 Table 11.1.1-1, 8.10.4). A path with the AE title of who asks is older than the
parameter `requester` and still used, as is `/ws` before the one of notification connections."""


@dataclass(slots=True)
class _Node:
    """A path segment in the tree of templates: literal children, and at most one that takes any segment."""

    literal: dict[str, _Node] = field(default_factory=dict)
    variable: tuple[str, _Node] | None = None
    resource: Resource | None = None


def _tree(resources: tuple[Resource, ...]) -> _Node:
    root = _Node()
    for resource in resources:
        node = root
        for segment in filter(None, resource.template.split("/")):
            if segment.startswith("{"):
                if node.variable is None:
                    node.variable = (segment.strip("{}"), _Node())
                node = node.variable[1]
            else:
                node = node.literal.setdefault(segment, _Node())
        node.resource = resource
    return root


_ROOTS: Final = {False: _tree(RESOURCES), True: _tree(RESOURCES + WORKLIST_RESOURCES)}
"""By whether there is a worklist."""
_BASE: Final = next(resource for resource in RESOURCES if resource.template == "/")
_URI_SERVICE: Final = next(
    resource for resource in RESOURCES if Transaction.RETRIEVE_BY_URI in resource.methods.values()
)
_BULK_PATH: Final = re.compile(r"[0-9A-Fa-f]{8}(?:/[0-9]{1,9}/[0-9A-Fa-f]{8}){0,64}")


def resources(*, worklist: bool) -> tuple[Resource, ...]:
    """The rows of a server with or without a worklist."""
    return RESOURCES + WORKLIST_RESOURCES if worklist else RESOURCES


def find_resource(path: str, *, worklist: bool = False) -> tuple[Resource, dict[str, str]]:
    """The resource a decoded path names, and the text of its variables. Empty segments do not count.

    Raises NotFound.
    """
    node = _ROOTS[worklist]
    variables: dict[str, str] = {}
    segments = [segment for segment in path.split("/") if segment]
    for position, segment in enumerate(segments):
        child = node.literal.get(segment)
        if child is None:
            if node.variable is None:
                raise NotFound(f"There is no resource at {_shown(path)}.")
            name, child = node.variable
            if name.endswith("*"):
                variables[name[:-1]] = "/".join(segments[position:])
                node = child
                break
            variables[name] = segment
        node = child
    if node.resource is None:
        raise NotFound(f"There is no resource at {_shown(path)}.")
    return node.resource, variables


def parse_target(method: str, path: str, limits: Limits, query: str = "", *, worklist: bool = False) -> Target:
    """What a request line asks for. HEAD asks what GET asks; OPTIONS asks for capabilities anywhere.

    Of the query only what names the target is parsed here: all of the URI Service (PS3.18 9.1.2), which answers at
    `/wado`, and at the root if there is a `requestType`; of the worklist the workitem and who asks. Raises NotFound,
    MethodNotAllowed, InvalidUID, InvalidQuery, BadRequest, TooLarge.
    """
    resource, variables = find_resource(path, worklist=worklist)
    if resource is _BASE and method in ("GET", "HEAD") and names_request_type(query):
        resource = _URI_SERVICE
    if method == "OPTIONS":
        return Target(Transaction.CAPABILITIES, resource)
    transaction = resource.methods.get("GET" if method == "HEAD" else method)
    if transaction is None:
        raise MethodNotAllowed(f"{_shown(method)} does not apply to this resource.", allowed=allowed_methods(resource))
    if transaction is Transaction.RETRIEVE_BY_URI:
        uri = parse_uri_request(query)
        return Target(transaction, resource, uri.ref, uri=uri)
    if transaction in WORKLIST_TRANSACTIONS:
        return _worklist_target(transaction, resource, variables, query)
    ref = _reference(variables)
    if "frames" in variables:
        return Target(transaction, resource, ref, frames=parse_frame_list(variables["frames"], limits))
    if transaction is Transaction.RETRIEVE_BULKDATA_VALUE:
        if not _BULK_PATH.fullmatch(variables["bulkdata"]):
            raise NotFound("There is no bulk data of that name: tags are 8 hexadecimal digits.")
        return Target(transaction, resource, ref, bulk_path=variables["bulkdata"].upper())
    return Target(transaction, resource, ref)


def allowed_methods(resource: Resource) -> tuple[str, ...]:
    """For the Allow header (RFC 9110 10.2.1)."""
    head = ("HEAD",) if "GET" in resource.methods else ()
    return (*resource.methods, *head, "OPTIONS")


def parse_frame_list(text: str, limits: Limits) -> tuple[int, ...]:
    """Frame numbers, 1-based, in the order given (PS3.18 10.1.1); any order is taken, for clients send any.

    Raises BadRequest, TooLarge.
    """
    numbers = text.split(",")
    if len(numbers) > limits.frame_list:
        raise TooLarge(
            f"The frame list names {len(numbers)} frames; at most {limits.frame_list} are allowed.",
            limit="frame_list",
            ceiling=limits.frame_list,
        )
    for number in numbers:
        if not (number.isascii() and number.isdecimal() and len(number) <= 10 and int(number) > 0):
            raise BadRequest(f"{_shown(number)} is not a frame number: frames count from 1 (PS3.18 10.1.1).")
    return tuple(map(int, numbers))


def _worklist_target(transaction: Transaction, resource: Resource, variables: Mapping[str, str], query: str) -> Target:
    uid = variables.get("workitem")
    if transaction in (Transaction.CREATE_WORKITEM, Transaction.SEARCH_WORKITEMS):
        uid = workitem_parameter(query, bare=transaction is Transaction.CREATE_WORKITEM)
        if uid and transaction is Transaction.SEARCH_WORKITEMS:
            # the URL of a Create, read
            transaction = Transaction.RETRIEVE_WORKITEM
    subscriber = variables.get("subscriber")
    requester = requester_parameter(query) or variables.get("requester")
    return Target(
        transaction,
        resource,
        workitem=parse_uid(uid, "The workitem UID") if uid else "",
        subscriber="" if subscriber is None else parse_receiver(subscriber),
        requester="" if requester is None else parse_receiver(requester),
    )


def _reference(variables: dict[str, str]) -> Ref | None:
    match variables:
        case {"study": study, "series": series, "instance": instance}:
            return InstanceRef.parse(study, series, instance)
        case {"study": study, "series": series}:
            return SeriesRef.parse(study, series)
        case {"study": study}:
            return StudyRef.parse(study)
    return None


def _shown(text: str) -> str:
    """The text as an error may quote it: short and printable."""
    return ascii(text if len(text) <= 80 else text[:80] + "…")
