"""Retrieve Capabilities (PS3.18 8.9, Annexes G and H), generated from the table that routes requests."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final
from xml.sax.saxutils import quoteattr

import orjson

from dicomweb_core.rendering.raster import rendered_types
from dicomweb_core.rules.negotiation import Accept, Offer, choose
from dicomweb_core.rules.rendering_parameters import RULES as RENDERING_RULES
from dicomweb_core.rules.targets import Resource, Transaction, resources
from dicomweb_core.rules.uri_parameters import RULES
from dicomweb_core.rules.workitem_requirements import requirements
from dicomweb_core.services.answers import single_answer
from dicomweb_core.services.event_channel import EVENT_STREAM
from dicomweb_core.services.rendered_documents import REPORT_TYPES, SVG
from dicomweb_core.services.site import Site
from dicomweb_core.services.store_request import SUPPORTED as STORED_TYPES
from dicomweb_core.services.workitem_request import SUPPORTED as WORKITEM_TYPES
from dicomweb_core.values.messages import HeaderList, Response
from dicomweb_core.values.queries import Level

WADL: Final = "application/vnd.sun.wadl+xml"
WADL_NAMESPACE: Final = "http://wadl.dev.java.net/2009/02"

OFFERS: Final = (
    Offer(WADL, multipart=False, transfer_syntax=None, default=True),
    Offer("application/json", multipart=False, transfer_syntax=None),
)

_METADATA: Final = ("application/dicom+json", 'multipart/related; type="application/dicom+xml"')
_DICOM: Final = (
    'multipart/related; type="application/dicom"',
    'multipart/related; type="application/dicom"; transfer-syntax=*',
)
_BULK: Final = ('multipart/related; type="application/octet-stream"', 'multipart/related; type="image/*"')

MEDIA_TYPES: Final[dict[Transaction, tuple[str, ...]]] = {
    Transaction.SEARCH: _METADATA,
    Transaction.STORE: (*_METADATA, "application/dicom+xml"),
    Transaction.RETRIEVE_INSTANCES: (*_DICOM, "application/dicom", "application/zip"),
    Transaction.RETRIEVE_METADATA: _METADATA,
    Transaction.RETRIEVE_FRAMES: (*_BULK, "application/octet-stream"),
    Transaction.RETRIEVE_BULKDATA_VALUE: (*_BULK, "application/octet-stream"),
    Transaction.RETRIEVE_BULKDATA: _BULK,
    Transaction.RETRIEVE_PIXEL_DATA: _BULK,
    Transaction.DELETE: (),
    Transaction.CREATE_WORKITEM: (),
    Transaction.RETRIEVE_WORKITEM: (*_METADATA, "application/dicom+xml"),
    Transaction.UPDATE_WORKITEM: (),
    Transaction.CHANGE_WORKITEM_STATE: (),
    Transaction.REQUEST_CANCELLATION: (),
    Transaction.SEARCH_WORKITEMS: _METADATA,
    Transaction.SUBSCRIBE: (),
    Transaction.UNSUBSCRIBE: (),
    Transaction.SUSPEND: (),
    Transaction.OPEN_EVENT_CHANNEL: (EVENT_STREAM, "application/dicom+json"),
}
"""What each transaction can answer with, the default first; of what is rendered the libraries say it."""

STATUSES: Final[dict[Transaction, tuple[str, str]]] = {
    Transaction.SEARCH: ("200", "400 406"),
    Transaction.STORE: ("200 202", "400 406 409 413 415 503"),
    Transaction.DELETE: ("204", "403 404 410"),
    Transaction.CREATE_WORKITEM: ("201", "400 403 409 413 415 503"),
    Transaction.UPDATE_WORKITEM: ("200", "400 403 404 409 410 413 415 503"),
    Transaction.CHANGE_WORKITEM_STATE: ("200", "400 404 409 410 413 415 503"),
    Transaction.REQUEST_CANCELLATION: ("202", "400 404 409 410 413 415 503"),
    Transaction.SEARCH_WORKITEMS: ("200 204", "400 406"),
    Transaction.SUBSCRIBE: ("201", "400 403 404 410 503"),
    Transaction.UNSUBSCRIBE: ("200", "400 404 503"),
    Transaction.SUSPEND: ("200", "400 404 503"),
    Transaction.OPEN_EVENT_CHANNEL: ("101 200", "400 403 426 501 503"),
}
_SENT: Final = {
    Transaction.STORE: STORED_TYPES,
    Transaction.CREATE_WORKITEM: WORKITEM_TYPES,
    Transaction.UPDATE_WORKITEM: WORKITEM_TYPES,
    Transaction.CHANGE_WORKITEM_STATE: WORKITEM_TYPES,
    Transaction.REQUEST_CANCELLATION: WORKITEM_TYPES,
}
"""What each transaction takes."""

_RETRIEVE_STATUSES: Final = ("200", "400 404 406 410")

SEARCH_KEYS: Final[dict[Level, tuple[tuple[str, str, bool], ...]]] = {
    Level.STUDY: (
        ("00080020", "StudyDate", False),
        ("00080030", "StudyTime", False),
        ("00080050", "AccessionNumber", False),
        ("00080061", "ModalitiesInStudy", False),
        ("00080090", "ReferringPhysicianName", False),
        ("00100010", "PatientName", False),
        ("00100020", "PatientID", False),
        ("0020000D", "StudyInstanceUID", True),
        ("00200010", "StudyID", False),
    ),
    Level.SERIES: (
        ("00080060", "Modality", False),
        ("0020000E", "SeriesInstanceUID", True),
        ("00200011", "SeriesNumber", False),
        ("00400244", "PerformedProcedureStepStartDate", False),
        ("00400245", "PerformedProcedureStepStartTime", False),
        ("00400275.00400009", "RequestAttributesSequence.ScheduledProcedureStepID", False),
        ("00400275.00401001", "RequestAttributesSequence.RequestedProcedureID", False),
    ),
    Level.INSTANCE: (
        ("00080016", "SOPClassUID", True),
        ("00080018", "SOPInstanceUID", True),
        ("00200013", "InstanceNumber", False),
    ),
}
"""The matching attributes a server has to support (PS3.18 Table 10.6.1-5): tag, keyword, takes a list."""

_FLAGS: Final = ("fuzzymatching", "emptyvaluematching", "multiplevaluematching")

Node = dict[str, Any]

_INCLUDE_FIELD: Final[Node] = {
    "@name": "includefield",
    "@style": "query",
    "@repeating": "true",
    "option": [{"@value": "all"}],
}


def capabilities(site: Site, resource: Resource, accept: Accept, base_url: str, headers: HeaderList) -> Response:
    """The description of a resource and all below it; of the root: of everything. Raises NotAcceptable."""
    offer = choose(accept, OFFERS)
    description = describe(site, resource, base_url)
    if offer.item == WADL:
        return single_answer(to_wadl(description).encode(), WADL, headers=headers)
    return single_answer(orjson.dumps(description), "application/json", headers=headers)


def describe(site: Site, root: Resource, base_url: str) -> Node:
    """The description as the JSON form of WADL (PS3.18 G.2): attributes are `@name`, what may repeat is a list."""
    tree: Node = {"@base": base_url, "resource": []}
    for resource in resources(worklist=site.worklist is not None):
        if resource.template == "/" or not f"{resource.template}/".startswith(root.template.rstrip("/") + "/"):
            continue
        node = tree
        for segment in resource.template.strip("/").split("/"):
            children = node.setdefault("resource", [])
            name = segment.replace("*", "")
            found = next((child for child in children if child["@path"] == name), None)
            if found is None:
                found = {"@path": name}
                children.append(found)
            node = found
        methods = [_method(resource, method, what) for method, what in resource.methods.items() if _offered(site, what)]
        if methods:
            node["method"] = methods
    return {"application": {"@xmlns": WADL_NAMESPACE, "resources": tree}}


def _offered(site: Site, transaction: Transaction) -> bool:
    return transaction is not Transaction.DELETE or site.allow_delete


def _method(resource: Resource, method: str, transaction: Transaction) -> Node:
    media_types = _media_types(transaction)
    params: list[Node] = []
    if media_types:
        options = [{"@value": media_type} for media_type in media_types]
        params.append({"@name": "Accept", "@style": "header", "@default": media_types[0], "option": options})
    if media_types and transaction is not Transaction.RETRIEVE_BY_URI:
        params.append({"@name": "accept", "@style": "query"})
        params.append({"@name": "charset", "@style": "query", "option": [{"@value": "utf-8"}]})
    if transaction is Transaction.RETRIEVE_BY_URI:
        params += _uri_params()
    if transaction in (Transaction.RETRIEVE_RENDERED, Transaction.RETRIEVE_THUMBNAIL):
        thumbnail = transaction is Transaction.RETRIEVE_THUMBNAIL
        params += [
            {"@name": rule.name, "@style": "query"} for rule in RENDERING_RULES if rule.of_thumbnails or not thumbnail
        ]
    params += _worklist_params(transaction)
    if resource.level is not None and transaction is Transaction.SEARCH:
        params += _search_params(resource.level)
    if transaction is Transaction.RETRIEVE_METADATA:
        params.append(_INCLUDE_FIELD)
    request: Node = {"param": params} if params else {}
    sent = _SENT.get(transaction)
    if sent is not None:
        request["representation"] = [{"@mediaType": media_type} for media_type in sent]
    success, failure = STATUSES.get(transaction, _RETRIEVE_STATUSES)
    response: list[Node] = [{"@status": success}, {"@status": failure}]
    if media_types:
        response[0]["representation"] = [{"@mediaType": media_type} for media_type in media_types]
    names = {Level.STUDY: "searchForStudies", Level.SERIES: "searchForSeries", Level.INSTANCE: "searchForInstances"}
    is_search = transaction is Transaction.SEARCH and resource.level is not None
    node: Node = {"@name": method, "@id": names[resource.level] if is_search and resource.level else transaction.value}
    if request:
        node["request"] = request
    node["response"] = response
    return node


def _media_types(transaction: Transaction) -> tuple[str, ...]:
    pictures = rendered_types()
    written = (SVG, *REPORT_TYPES)
    match transaction:
        case Transaction.RETRIEVE_RENDERED:
            several = tuple(f'multipart/related; type="{item}"' for item in (*pictures, *written))
            return (*pictures, *written, "video/*", *several)
        case Transaction.RETRIEVE_THUMBNAIL:
            return pictures
        case Transaction.RETRIEVE_BY_URI:
            return ("application/dicom", *pictures, *written, "video/*")
    return MEDIA_TYPES[transaction]


def _uri_params() -> list[Node]:
    params: list[Node] = []
    for rule in RULES:
        param: Node = {"@name": rule.name, "@style": "query"}
        if rule.required:
            param["@required"] = "true"
        params.append(param)
    return params


_WORKLIST_PARAMS: Final[dict[Transaction, tuple[str, ...]]] = {
    Transaction.CREATE_WORKITEM: ("workitem",),
    Transaction.UPDATE_WORKITEM: ("transaction-uid",),
    Transaction.CHANGE_WORKITEM_STATE: ("requester",),
    Transaction.REQUEST_CANCELLATION: ("requester",),
    Transaction.SUBSCRIBE: ("deletionlock", "filter"),
}


def _worklist_params(transaction: Transaction) -> list[Node]:
    if transaction is not Transaction.SEARCH_WORKITEMS:
        return [{"@name": name, "@style": "query"} for name in _WORKLIST_PARAMS.get(transaction, ())]
    paged: list[Node] = [{"@name": name, "@style": "query", "@type": "xs:int"} for name in ("limit", "offset")]
    flags: list[Node] = [
        {"@name": flag, "@style": "query", "@type": "xs:boolean", "@default": "false"} for flag in _FLAGS
    ]
    keys: list[Node] = [
        {"@name": name, "@style": "query"}
        for row in requirements().values()
        if row.match in ("R", "U") and row.vr != "SQ"
        for name in (row.keyword, row.tag)
    ]
    return [*paged, _INCLUDE_FIELD, *flags, *keys]


def _search_params(level: Level) -> list[Node]:
    params: list[Node] = [
        {"@name": "limit", "@style": "query", "@type": "xs:int"},
        {"@name": "offset", "@style": "query", "@type": "xs:int"},
        _INCLUDE_FIELD,
    ]
    params += [{"@name": flag, "@style": "query", "@type": "xs:boolean", "@default": "false"} for flag in _FLAGS]
    for key_level in (Level.STUDY, Level.SERIES, Level.INSTANCE):
        if key_level > level:
            break
        for tag, keyword, repeating in SEARCH_KEYS[key_level]:
            for name in (keyword, tag):
                param: Node = {"@name": name, "@style": "query"}
                if repeating:
                    param["@repeating"] = "true"
                params.append(param)
    return params


def to_wadl(description: Node) -> str:
    """The XML form of what `describe` made."""
    pieces = ['<?xml version="1.0" encoding="UTF-8"?>\n']
    pieces.extend(_elements("application", description["application"], 0))
    return "".join(pieces)


def _elements(name: str, node: Node, depth: int) -> Iterator[str]:
    attributes = "".join(f" {key[1:]}={quoteattr(value)}" for key, value in node.items() if key.startswith("@"))
    children = [(key, value) for key, value in node.items() if not key.startswith("@")]
    indent = "  " * depth
    if not children:
        yield f"{indent}<{name}{attributes}/>\n"
        return
    yield f"{indent}<{name}{attributes}>\n"
    for key, value in children:
        for child in value if isinstance(value, list) else [value]:
            yield from _elements(key, child, depth + 1)
    yield f"{indent}</{name}>\n"
