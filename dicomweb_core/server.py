"""The origin server: a request becomes a target, is authorised, and becomes a transaction (PS3.18 8.1)."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from typing import Final
from urllib.parse import parse_qsl, urlsplit

import orjson

from dicomweb_core.errors import (
    BadRequest,
    ClientDisconnected,
    DICOMwebError,
    InvalidQuery,
    MethodNotAllowed,
    NotAcceptable,
    Overloaded,
    StorageUnavailable,
    Unauthorized,
    UnsupportedMediaType,
    URITooLong,
)
from dicomweb_core.http_status import status_of
from dicomweb_core.rules.cross_origin import cross_origin_headers, is_preflight
from dicomweb_core.rules.negotiation import Accept
from dicomweb_core.rules.query_parser import parse_metadata_fields, parse_query
from dicomweb_core.rules.targets import Target, Transaction, allowed_methods, find_resource, parse_target
from dicomweb_core.services import bulkdata, capabilities, pixels, retrieve, search, store_request, uri_service
from dicomweb_core.services.calls import Calls
from dicomweb_core.services.codec import CodecInProcess, FrameCodec
from dicomweb_core.services.frame_cache import FrameCache
from dicomweb_core.services.site import Access, Authorize, Scope, Site, allow_all
from dicomweb_core.storage.instances import InstanceStore, OnDuplicate
from dicomweb_core.values.limits import Limits
from dicomweb_core.values.messages import Body, HeaderList, Request, Response
from dicomweb_core.values.resources import InstanceRef, SeriesRef, StudyRef

logger: Final = logging.getLogger("dicomweb_core")

_NO_SNIFFING: Final = ("X-Content-Type-Options", "nosniff")


class OriginServer(Calls):
    """A DICOMweb origin server over a store. Thread-safe; holds nothing but its arguments.

    `handle` speaks HTTP values; the calls inherited from `Calls` are the same transactions as Python.
    """

    def __init__(
        self,
        *,
        instances: InstanceStore,
        limits: Limits | None = None,
        authorize: Authorize = allow_all,
        on_duplicate: OnDuplicate = OnDuplicate.KEEP,
        cors_origins: Iterable[str] = (),
        allow_delete: bool = True,
        keep_preamble: bool = False,
        send_retired_syntaxes: bool = True,
        status_of_no_match: int = 200,
        relative_urls: bool = False,
        require_accept: bool = False,
        codec: FrameCodec | None = None,
    ) -> None:
        """`require_accept` answers 406 to a request without Accept header, as PS3.18 8.7.7 has it. `codec` None:
        frames are decoded and encoded in this process. See `Site` for the other choices of a site."""
        limits = limits or Limits()
        super().__init__(
            Site(
                instances=instances,
                limits=limits,
                authorize=authorize,
                on_duplicate=on_duplicate,
                keep_preamble=keep_preamble,
                send_retired_syntaxes=send_retired_syntaxes,
                status_of_no_match=status_of_no_match,
                allow_delete=allow_delete,
                relative_urls=relative_urls,
                codec=codec or CodecInProcess(limits),
                frame_cache=FrameCache(limits.frame_cache_bytes),
            )
        )
        self._cors_origins = frozenset(cors_origins)
        self._require_accept = require_accept

    def handle(self, request: Request) -> Response:
        """Answers a request. The caller closes the response's body.

        Raises only ClientDisconnected. A HEAD request gets the answer to GET; the caller leaves its body out.
        """
        try:
            if is_preflight(request):
                return self._preflight(request)
            response = self._answer(request)
        except ClientDisconnected:
            raise
        except DICOMwebError as error:
            response = error_response(error)
        except Exception:
            logger.exception("Unexpected failure in %s", request.method)
            response = error_response(DICOMwebError("The server failed unexpectedly."))
        headers = (*response.headers, _NO_SNIFFING, *cross_origin_headers(request, self._cors_origins))
        return Response(response.status, headers, response.body)

    def _preflight(self, request: Request) -> Response:
        try:
            methods = allowed_methods(find_resource(request.path)[0])
        except DICOMwebError as error:
            return error_response(error)
        return Response(204, cross_origin_headers(request, self._cors_origins, methods))

    def _answer(self, request: Request) -> Response:
        limits = self.site.limits
        if len(request.path) + len(request.query) > limits.uri_bytes:
            raise URITooLong(
                f"The URL is longer than {limits.uri_bytes} bytes.", limit="uri_bytes", ceiling=limits.uri_bytes
            )
        target = parse_target(request.method, request.path, limits, request.query)
        scope = Scope.of(self.site.authorize(Access(target, request)), limits)
        accept = self._accept(request)
        base_url = urlsplit(request.base_url).path.rstrip("/") if self.site.relative_urls else request.base_url
        request = Request(request.method, request.path, request.query, request.headers, request.body, base_url)
        return _TRANSACTIONS[target.transaction](self.site, request, target, accept, scope)

    def _accept(self, request: Request) -> Accept:
        header = request.header("Accept")
        parameter = None
        if "accept=" in request.query:
            try:
                pairs = parse_qsl(request.query, keep_blank_values=True, errors="strict")
            except ValueError as error:
                raise InvalidQuery("The query string is not percent-encoded UTF-8.") from error
            values = [value for name, value in pairs if name == "accept"]
            parameter = ",".join(values) if values else None
        if header is None and parameter is None and self._require_accept:
            raise NotAcceptable("The request has no Accept header (PS3.18 8.7.7).")
        return Accept.parse(header, parameter, self.site.limits)


Answer = Callable[[Site, Request, Target, Accept, Scope], Response]


def _search(site: Site, request: Request, target: Target, accept: Accept, scope: Scope) -> Response:
    level, within = target.resource.level, target.ref
    assert level is not None
    assert not isinstance(within, InstanceRef)
    query = parse_query(level, within, request.query, site.limits)
    return search.search(site, query, accept, request.base_url, scope)


def _store(site: Site, request: Request, target: Target, accept: Accept, scope: Scope) -> Response:
    study = target.ref if isinstance(target.ref, StudyRef) else None
    return store_request.store(site, request, study, accept, scope)


def _retrieve_instances(site: Site, request: Request, target: Target, accept: Accept, scope: Scope) -> Response:
    ref = _required(site, target, scope)
    return retrieve.retrieve_instances(site, ref, accept, request.base_url)


def _retrieve_metadata(site: Site, request: Request, target: Target, accept: Accept, scope: Scope) -> Response:
    ref = _required(site, target, scope)
    fields = parse_metadata_fields(request.query, site.limits)
    return retrieve.retrieve_metadata(site, ref, accept, request.base_url, fields)


def _retrieve_frames(site: Site, request: Request, target: Target, accept: Accept, scope: Scope) -> Response:
    ref = _required(site, target, scope)
    assert isinstance(ref, InstanceRef)
    return pixels.retrieve_frames(site, ref, target.frames, accept, request.base_url)


def _retrieve_bulkdata_value(site: Site, request: Request, target: Target, accept: Accept, scope: Scope) -> Response:
    ref = _required(site, target, scope)
    assert isinstance(ref, InstanceRef)
    return bulkdata.retrieve_value(site, ref, target.bulk_path, accept, request.base_url)


def _retrieve_bulkdata(site: Site, request: Request, target: Target, accept: Accept, scope: Scope) -> Response:
    ref = _required(site, target, scope)
    return bulkdata.retrieve_values(site, ref, accept, request.base_url, pixels_only=False)


def _retrieve_pixel_data(site: Site, request: Request, target: Target, accept: Accept, scope: Scope) -> Response:
    ref = _required(site, target, scope)
    return bulkdata.retrieve_values(site, ref, accept, request.base_url, pixels_only=True)


def _retrieve_by_uri(site: Site, request: Request, target: Target, accept: Accept, scope: Scope) -> Response:
    _required(site, target, scope)
    assert target.uri is not None
    return uri_service.retrieve_by_uri(site, target.uri, accept, request.base_url)


def _delete(site: Site, request: Request, target: Target, accept: Accept, scope: Scope) -> Response:
    if not site.allow_delete:
        allowed = tuple(method for method in allowed_methods(target.resource) if method != "DELETE")
        raise MethodNotAllowed("Deleting is switched off on this server.", allowed=allowed)
    site.instances.delete(_required(site, target, scope))
    return Response(204)


def _capabilities(site: Site, request: Request, target: Target, accept: Accept, scope: Scope) -> Response:
    allow = (("Allow", ", ".join(allowed_methods(target.resource))),)
    return capabilities.capabilities(site, target.resource, accept, request.base_url, allow)


_TRANSACTIONS: Final[dict[Transaction, Answer]] = {
    Transaction.SEARCH: _search,
    Transaction.STORE: _store,
    Transaction.RETRIEVE_INSTANCES: _retrieve_instances,
    Transaction.RETRIEVE_METADATA: _retrieve_metadata,
    Transaction.RETRIEVE_FRAMES: _retrieve_frames,
    Transaction.RETRIEVE_BULKDATA_VALUE: _retrieve_bulkdata_value,
    Transaction.RETRIEVE_BULKDATA: _retrieve_bulkdata,
    Transaction.RETRIEVE_PIXEL_DATA: _retrieve_pixel_data,
    Transaction.RETRIEVE_BY_URI: _retrieve_by_uri,
    Transaction.DELETE: _delete,
    Transaction.CAPABILITIES: _capabilities,
}


def _required(site: Site, target: Target, scope: Scope) -> StudyRef | SeriesRef | InstanceRef:
    if target.ref is None:
        raise BadRequest("The target names no study.")
    site.require(target.ref, scope)
    return target.ref


def error_response(error: DICOMwebError) -> Response:
    """A Status Report as JSON (PS3.18 8.6.3): what went wrong in one sentence, and what would be possible."""
    report: dict[str, object] = {"error": type(error).__name__, "detail": error.detail}
    headers: HeaderList = (("Content-Type", "application/json"),)
    match error:
        case NotAcceptable(available=available) if available:
            report["available"] = available
        case UnsupportedMediaType(supported=supported):
            report["supported"] = supported
        case MethodNotAllowed(allowed=allowed):
            headers += (("Allow", ", ".join(allowed)),)
        case Unauthorized(challenge=challenge):
            headers += (("WWW-Authenticate", challenge),)
        case StorageUnavailable() | Overloaded():
            headers += (("Retry-After", "10"),)
    return Response(status_of(error), headers, Body.of(orjson.dumps(report)))
