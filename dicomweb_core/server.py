"""The origin server: a request becomes a target, is authorised, and becomes a transaction (PS3.18 8.1)."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from os import PathLike, fspath
from typing import Final
from urllib.parse import parse_qsl

from dicomweb_core.codecs.content_codings import AVAILABLE
from dicomweb_core.errors import (
    BadRequest,
    ClientDisconnected,
    DICOMwebError,
    InvalidQuery,
    MethodNotAllowed,
    NotAcceptable,
    URITooLong,
)
from dicomweb_core.rules.cross_origin import cross_origin_headers, is_preflight, varies_by_origin
from dicomweb_core.rules.negotiation import Accept
from dicomweb_core.rules.query_parser import parse_metadata_fields, parse_query
from dicomweb_core.rules.targets import (
    WORKLIST_TRANSACTIONS,
    Target,
    Transaction,
    allowed_methods,
    find_resource,
    parse_target,
)
from dicomweb_core.rules.workitem_changes import WorklistPolicy
from dicomweb_core.services import (
    bulkdata,
    capabilities,
    event_channel,
    pixels,
    render,
    retrieve,
    search,
    store_request,
    thumbnails,
    uri_service,
    workitems,
    worklist_subscriptions,
)
from dicomweb_core.services.calls import Calls
from dicomweb_core.services.codec import CodecInProcess, FrameCodec
from dicomweb_core.services.delivery import delivered, not_modified, refuse_conditional_change, validator
from dicomweb_core.services.event_feeds import EventFeeds
from dicomweb_core.services.frame_cache import FrameCache
from dicomweb_core.services.picture_cache import AttributesCache, PictureCache
from dicomweb_core.services.scopes import Scope
from dicomweb_core.services.site import Access, Authorize, Site, allow_all
from dicomweb_core.status_report import error_response
from dicomweb_core.storage.instances import InstanceStore, OnDuplicate
from dicomweb_core.storage.worklists import WorklistStore
from dicomweb_core.values.limits import Limits
from dicomweb_core.values.messages import Request, Response
from dicomweb_core.values.resources import InstanceRef, SeriesRef, StudyRef

logger: Final = logging.getLogger("dicomweb_core")

_NO_SNIFFING: Final = ("X-Content-Type-Options", "nosniff")
_NOT_KEPT: Final = ("Cache-Control", "no-store")
_NEGOTIATED: Final = "Accept, Accept-Charset, Accept-Encoding"
_CODINGS: Final = ("zstd", "gzip")


class OriginServer(Calls):
    """A DICOMweb origin server over a store. Thread-safe; holds its arguments and bounded caches (see `Limits`).

    `handle` speaks HTTP values; the calls inherited from `Calls` are the same transactions as Python.
    """

    def __init__(
        self,
        *,
        instances: InstanceStore,
        worklist: WorklistStore | None = None,
        worklist_policy: WorklistPolicy | None = None,
        event_channel_url: str | None = None,
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
        font_paths: Iterable[str | PathLike[str]] = (),
        codec: FrameCodec | None = None,
        cache_control: str = "private, no-cache",
        content_codings: Sequence[str] = _CODINGS,
    ) -> None:
        """Without `worklist` there is no Worklist Service. Of several servers over it in one process only one may have
        listeners: what it has delivered is gone for those of the others. `event_channel_url` is the service root of its
        notification connections if that is not the one of requests, see `Site`. `codec` None: frames are decoded and
        encoded in this process. `require_accept` answers 406 to a request without Accept header, as PS3.18 8.7.7 has
        it.

        `cache_control` is what caches may do with what is read: by default a browser keeps it for its user and asks
        each time whether it still holds, which costs no retrieval. Errors and reports are never kept.
        `content_codings` are those that texts may be compressed with, the preferred first; `zstd` needs the library.
        The size of a compressed text tells how much it repeats. Where a page of another origin can make a user's
        browser search, with values of its own beside ones it is to guess, and somebody can see sizes on the wire
        (BREACH), give `()`: no cookies, no such page.
        `font_paths` are files and folders of fonts for texts in pictures: Pillow's own has ASCII only; without these,
        those of the system are looked for.
        See `Site` for the other choices of a site. Raises ValueError for an unknown content coding.
        """
        if not set(content_codings) <= set(_CODINGS):
            raise ValueError(f"content codings are {' and '.join(_CODINGS)}")
        limits = limits or Limits()
        self._cors_origins = frozenset(cors_origins)
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
                font_paths=tuple(fspath(place) for place in font_paths),
                codec=codec or CodecInProcess(limits),
                frame_cache=FrameCache(limits.frame_cache_bytes),
                picture_cache=PictureCache(limits.picture_cache_bytes),
                attributes_cache=AttributesCache(limits.attributes_cache_bytes),
                worklist=worklist,
                worklist_policy=worklist_policy or WorklistPolicy(),
                feeds=EventFeeds(worklist, waiting=limits.waiting_listeners) if worklist is not None else None,
                cors_origins=self._cors_origins,
                event_channel_url=event_channel_url,
            )
        )
        self._codings = tuple(coding for coding in content_codings if coding in AVAILABLE)
        self._kept = ("Cache-Control", cache_control)
        self._vary = ("Vary", _NEGOTIATED + (", Origin" if varies_by_origin(self._cors_origins) else ""))
        self._require_accept = require_accept
        self._has_worklist = worklist is not None

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
            response = error_response(error, request)
        except Exception:
            logger.exception("Unexpected failure in %s", request.method)
            response = error_response(DICOMwebError("The server failed unexpectedly."), request)
        kept = self._kept if request.method in _READ and response.status < 400 else _NOT_KEPT
        if _NOT_KEPT in response.headers:
            kept = _NOT_KEPT
        of_origin = cross_origin_headers(request, self._cors_origins)
        own = (header for header in response.headers if header not in (_NO_SNIFFING, _NOT_KEPT))
        headers = (*own, _NO_SNIFFING, kept, self._vary, *of_origin)
        return Response(response.status, headers, response.body, response.feed)

    def _preflight(self, request: Request) -> Response:
        try:
            methods = allowed_methods(find_resource(request.path, worklist=self._has_worklist)[0])
        except DICOMwebError as error:
            return error_response(error)
        return Response(204, (("Vary", "Origin"), *cross_origin_headers(request, self._cors_origins, methods)))

    def _answer(self, request: Request) -> Response:
        limits = self.site.limits
        if len(request.path) + len(request.query) > limits.uri_bytes:
            raise URITooLong(
                f"The URL is longer than {limits.uri_bytes} bytes.", limit="uri_bytes", ceiling=limits.uri_bytes
            )
        target = parse_target(request.method, request.path, limits, request.query, worklist=self._has_worklist)
        scope = Scope.of(self.site.authorize(Access(target, request)), limits)
        accept = self._accept(request)
        base_url = request.base_url if target.transaction in _OF_EVENTS else self.site.root_of(request.base_url)
        request = Request(request.method, request.path, request.query, request.headers, request.body, base_url)
        refuse_conditional_change(request)
        opaque = None
        if target.transaction in _OF_STORED:
            ref = _required(target)
            self.site.require(ref, scope)
            if request.method in _READ:
                # Of the state before the answer is made: a tag may be older than what it stands for, never newer.
                rendered = target.transaction in _OF_SEVERAL
                version = self.site.instances.version(StudyRef(ref.study) if rendered else ref)
                opaque = validator(version, request, scope.keys, self.site.send_retired_syntaxes)
                unchanged = not_modified(request, opaque, self._codings)
                if unchanged is not None:
                    return unchanged
        response = _TRANSACTIONS[target.transaction](self.site, request, target, accept, scope)
        response = delivered(request, response, opaque, self._codings)
        if target.transaction in WORKLIST_TRANSACTIONS:
            # Workitems change, and whoever may see one now may not later.
            response = replace(response, headers=(*response.headers, _NOT_KEPT))
        return response

    def _accept(self, request: Request) -> Accept:
        header = request.header("Accept")
        parameter = charset = None
        if "accept=" in request.query or "charset=" in request.query:
            # What is wrong with a charset is ignored (8.3.3.2).
            errors = "strict" if "accept=" in request.query else "replace"
            try:
                pairs = parse_qsl(request.query, keep_blank_values=True, errors=errors)
            except ValueError as error:
                raise InvalidQuery("The query string is not percent-encoded UTF-8.") from error
            parameter = ",".join(value for name, value in pairs if name == "accept") or None
            charset = ",".join(value for name, value in pairs if name == "charset") or None
        charsets = request.header("Accept-Charset")
        if header is None and parameter is None and self._require_accept:
            raise NotAcceptable("The request has no Accept header (PS3.18 8.7.7).")
        accept = Accept.parse(header, parameter, self.site.limits)
        if charset is None and charsets is None:
            return accept
        return replace(accept, charset_header=charsets, charset_parameter=charset)


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
    ref = _required(target)
    return retrieve.retrieve_instances(site, ref, accept, request.base_url)


def _retrieve_metadata(site: Site, request: Request, target: Target, accept: Accept, scope: Scope) -> Response:
    ref = _required(target)
    fields = parse_metadata_fields(request.query, site.limits)
    return retrieve.retrieve_metadata(site, ref, accept, request.base_url, fields)


def _retrieve_frames(site: Site, request: Request, target: Target, accept: Accept, scope: Scope) -> Response:
    ref = _required(target)
    assert isinstance(ref, InstanceRef)
    return pixels.retrieve_frames(site, ref, target.frames, accept, request.base_url)


def _retrieve_bulkdata_value(site: Site, request: Request, target: Target, accept: Accept, scope: Scope) -> Response:
    ref = _required(target)
    assert isinstance(ref, InstanceRef)
    return bulkdata.retrieve_value(site, ref, target.bulk_path, accept, request.base_url)


def _retrieve_bulkdata(site: Site, request: Request, target: Target, accept: Accept, scope: Scope) -> Response:
    ref = _required(target)
    return bulkdata.retrieve_values(site, ref, accept, request.base_url, pixels_only=False)


def _retrieve_pixel_data(site: Site, request: Request, target: Target, accept: Accept, scope: Scope) -> Response:
    ref = _required(target)
    return bulkdata.retrieve_values(site, ref, accept, request.base_url, pixels_only=True)


def _retrieve_rendered(site: Site, request: Request, target: Target, accept: Accept, scope: Scope) -> Response:
    ref = _required(target)
    return render.retrieve_rendered(site, ref, target.frames, accept, request.query, request.base_url)


def _retrieve_thumbnail(site: Site, request: Request, target: Target, accept: Accept, scope: Scope) -> Response:
    ref = _required(target)
    return thumbnails.retrieve_thumbnail(site, ref, target.frames, accept, request.query, request.base_url)


def _retrieve_by_uri(site: Site, request: Request, target: Target, accept: Accept, scope: Scope) -> Response:
    assert target.uri is not None
    return uri_service.retrieve_by_uri(site, target.uri, accept, request.base_url)


def _delete(site: Site, request: Request, target: Target, accept: Accept, scope: Scope) -> Response:
    if not site.allow_delete:
        allowed = tuple(method for method in allowed_methods(target.resource) if method != "DELETE")
        raise MethodNotAllowed("Deleting is switched off on this server.", allowed=allowed)
    site.instances.delete(_required(target))
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
    Transaction.RETRIEVE_RENDERED: _retrieve_rendered,
    Transaction.RETRIEVE_THUMBNAIL: _retrieve_thumbnail,
    Transaction.RETRIEVE_BY_URI: _retrieve_by_uri,
    Transaction.DELETE: _delete,
    Transaction.CAPABILITIES: _capabilities,
    Transaction.CREATE_WORKITEM: workitems.create,
    Transaction.RETRIEVE_WORKITEM: workitems.retrieve,
    Transaction.UPDATE_WORKITEM: workitems.update,
    Transaction.CHANGE_WORKITEM_STATE: workitems.change_state,
    Transaction.REQUEST_CANCELLATION: workitems.request_cancellation,
    Transaction.SEARCH_WORKITEMS: workitems.search,
    Transaction.SUBSCRIBE: worklist_subscriptions.subscribe,
    Transaction.UNSUBSCRIBE: worklist_subscriptions.unsubscribe,
    Transaction.SUSPEND: worklist_subscriptions.suspend,
    Transaction.OPEN_EVENT_CHANNEL: event_channel.open_channel,
}


_READ: Final = frozenset({"GET", "HEAD", "OPTIONS"})
_OF_STORED: Final = (
    frozenset(_TRANSACTIONS) - {Transaction.SEARCH, Transaction.STORE, Transaction.CAPABILITIES} - WORKLIST_TRANSACTIONS
)
"""What names something that has to be there, inside the scope of the request."""


_OF_SEVERAL: Final = frozenset(
    {Transaction.RETRIEVE_RENDERED, Transaction.RETRIEVE_THUMBNAIL, Transaction.RETRIEVE_BY_URI}
)
"""Whose answers may show what other instances of the study say."""


_OF_EVENTS: Final = frozenset({Transaction.SUBSCRIBE, Transaction.OPEN_EVENT_CHANNEL})
"""Where scheme and host count, also if URLs are relative: a notification connection has another scheme than ours, and
only pages of our own origin may open it."""


def _required(target: Target) -> StudyRef | SeriesRef | InstanceRef:
    if target.ref is None:
        raise BadRequest("The target names no study.")
    return target.ref
