"""The transactions of the Worklist Service about workitems (PS3.18 11.4 to 11.9).

What a request does to a workitem is decided inside `WorklistStore.transact`, with the reports it makes. No answer has
the Transaction UID: it is no attribute of a `Workitem`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import Final, NamedTuple
from uuid import uuid4

from dicomweb_core.errors import Forbidden, Gone, InvalidWorkitemRequest, NoSuchWorkitem, NotFound, TooLarge
from dicomweb_core.rules.matching import matches
from dicomweb_core.rules.negotiation import Accept, Offer, choose
from dicomweb_core.rules.query_parameters import REMAINING
from dicomweb_core.rules.subscriptions import of_changed, of_created
from dicomweb_core.rules.targets import Target
from dicomweb_core.rules.workitem_changes import (
    Change,
    cancellation_requested,
    created,
    state_changed,
    uid_of,
    updated,
)
from dicomweb_core.rules.workitem_codes import Code
from dicomweb_core.rules.workitem_reports import state_report
from dicomweb_core.rules.workitem_requirements import returned
from dicomweb_core.rules.workitem_search import WorkitemQuery, parse_workitem_query
from dicomweb_core.rules.worklist_parameters import transaction_uid_parameter
from dicomweb_core.services.answers import multipart_answer, single_answer
from dicomweb_core.services.parts import Part
from dicomweb_core.services.report_queues import queue_reports
from dicomweb_core.services.retrieve import JSON, METADATA_OFFERS, XML
from dicomweb_core.services.scopes import Scope
from dicomweb_core.services.site import Site
from dicomweb_core.services.texts import TextForm
from dicomweb_core.services.workitem_request import sent_dataset
from dicomweb_core.storage.worklists import WorklistStore, WorklistTransaction
from dicomweb_core.values.attributes import json_text
from dicomweb_core.values.messages import HeaderList, Request, Response
from dicomweb_core.values.workitems import Workitem

WORKITEM_OFFERS: Final = (*METADATA_OFFERS, Offer(XML, multipart=False, transfer_syntax=None))

Decision = Callable[[Workitem | None], Change]
"""What a request makes of the workitem that is stored."""


class Page(NamedTuple):
    """One answer to a search: results as DICOM JSON texts, and how many matches follow behind them."""

    results: list[bytes]
    remaining: int


def create(site: Site, request: Request, target: Target, accept: Accept, scope: Scope) -> Response:
    """Create (PS3.18 11.4): 201 with the URL of the workitem. Without UID it gets one of ours.

    Raises WorkitemRefused, Forbidden, and what a payload raises.
    """
    sent = sent_dataset(request, site.limits)
    if target.workitem and sent.affected_uid and target.workitem != sent.affected_uid:
        raise InvalidWorkitemRequest(
            "The workitem UID in the URL and the AffectedSOPInstanceUID of the data set differ.",
            code=Code.INVALID_VALUE,
        )
    uid = uid_of(target.workitem or sent.affected_uid, sent.attributes) or f"2.25.{uuid4().int}"
    now = _now()

    def decide(transaction: WorklistTransaction) -> Change:
        stored = transaction.get(uid)
        remembered = stored is None and transaction.was_deleted(uid)
        change = created(stored, uid, sent.attributes, now, site.worklist_policy, remembered=remembered)
        workitem = _kept(site, change, scope)
        if workitem is not None:
            transaction.put(workitem)
            for subscription in of_created(workitem, transaction.generators()):
                transaction.subscribe(subscription)
                queue_reports(transaction, (subscription.receiver,), change.reports, site.limits)
        return change

    change = site.decide(decide)
    site.sweep.in_time(site.required_worklist, site.worklist_policy)
    url = workitem_url(request, uid)
    return Response(201, (("Location", url), ("Content-Location", url), *warnings(request, change.warnings)))


def retrieve(site: Site, request: Request, target: Target, accept: Accept, scope: Scope) -> Response:
    """Retrieve (PS3.18 11.5). Raises NotFound, Gone, NotAcceptable."""
    offer = choose(accept, WORKITEM_OFFERS)
    workitem = _found(site.required_worklist, target.workitem)
    if not scope.admits(workitem.attributes):
        raise NoSuchWorkitem("There is no such workitem.", code=Code.NO_SUCH_WORKITEM)
    form = TextForm.of(accept, offer)
    url = workitem_url(request, target.workitem)
    text = json_text(workitem.attributes)
    located = (("Content-Location", url),)
    if offer.item == JSON:
        return single_answer(b"[" + form.json(text) + b"]", form.media_type, headers=located)
    xml = form.xml(text)
    if offer.multipart:
        return multipart_answer([Part.of(xml, form.media_type, url)], XML, headers=located)
    return single_answer(xml, form.media_type, headers=located)


def update(site: Site, request: Request, target: Target, accept: Accept, scope: Scope) -> Response:
    """Update (PS3.18 11.6): 200. Raises NoSuchWorkitem, Gone, WorkitemRefused, and what a payload raises."""
    given = transaction_uid_parameter(request.query)
    attributes = sent_dataset(request, site.limits).attributes
    now = _now()
    return _change(
        site,
        request,
        target,
        scope,
        lambda stored: updated(stored, attributes, given, now, site.worklist_policy),
    )


def change_state(site: Site, request: Request, target: Target, accept: Accept, scope: Scope) -> Response:
    """Change State (PS3.18 11.7): 200. Raises NoSuchWorkitem, Gone, WorkitemRefused, and what a payload raises."""
    attributes = sent_dataset(request, site.limits).attributes
    now = _now()
    performer = target.requester or None
    return _change(
        site,
        request,
        target,
        scope,
        lambda stored: state_changed(stored, attributes, now, site.worklist_policy, performer=performer),
    )


def request_cancellation(site: Site, request: Request, target: Target, accept: Accept, scope: Scope) -> Response:
    """Request Cancellation (PS3.18 11.8): 202, which says that it was accepted, not that it is canceled.

    Raises NoSuchWorkitem, Gone, WorkitemRefused, and what a payload raises.
    """
    attributes = sent_dataset(request, site.limits, optional=True).attributes
    now = _now()
    requester = target.requester or None
    return _change(
        site,
        request,
        target,
        scope,
        lambda stored: cancellation_requested(stored, attributes, requester, now, site.worklist_policy),
        status=202,
    )


def search(site: Site, request: Request, target: Target, accept: Accept, scope: Scope) -> Response:
    """Search (PS3.18 11.9): a page of results, 204 if nothing matches. Raises NotAcceptable, InvalidQuery."""
    offer = choose(accept, METADATA_OFFERS)
    query = parse_workitem_query(request.query, site.limits)
    page = find(site, query, scope)
    texts = [*query.warnings]
    if page.remaining:
        texts.append(REMAINING.format(remaining=page.remaining))
    headers = warnings(request, texts)
    if not page.results:
        return Response(204, headers)
    form = TextForm.of(accept, offer)
    if offer.item == JSON:
        return single_answer(b"[" + b",".join(map(form.json, page.results)) + b"]", form.media_type, headers=headers)
    parts = [Part.of(form.xml(text), form.media_type) for text in page.results]
    return multipart_answer(parts, XML, headers=headers)


def find(site: Site, query: WorkitemQuery, scope: Scope) -> Page:
    """The workitems of a search between its offset and its limit, by start, then by UID.

    A page ends early where `Limits` ends it; what follows is counted in `remaining`.
    """
    limit = site.limits.search_results if query.limit is None else min(query.limit, site.limits.search_results)
    results: list[bytes] = []
    size = matched = 0
    for workitem in site.required_worklist.candidates(query.keys):
        if not (matches(query.keys, workitem.attributes) and scope.admits(workitem.attributes)):
            continue
        matched += 1
        if matched > query.offset and len(results) < limit and size < site.limits.search_bytes:
            found = returned(workitem.attributes, query.keys, query.include, everything=query.include_all)
            results.append(json_text(found))
            size += len(results[-1])
    return Page(results, max(0, matched - query.offset - len(results)))


def known(transaction: WorklistTransaction, uid: str, scope: Scope) -> Workitem | None:
    """The workitem if there is one inside the scope. Raises Gone if there was one."""
    stored = transaction.get(uid)
    if stored is None and transaction.was_deleted(uid):
        raise Gone("The workitem was deleted.")
    return stored if stored is not None and scope.admits(stored.attributes) else None


def workitem_url(request: Request, uid: str) -> str:
    """Where a workitem is retrieved."""
    return f"{request.base_url}/workitems/{uid}"


def warnings(request: Request, texts: Iterable[str]) -> HeaderList:
    """Warning headers, one for each text (PS3.18 11.4.3.2)."""
    return tuple(("Warning", f"299 {request.base_url}: {text}") for text in texts)


def _change(
    site: Site, request: Request, target: Target, scope: Scope, decision: Decision, *, status: int = 200
) -> Response:
    uid = target.workitem

    def decide(transaction: WorklistTransaction) -> Change:
        stored = known(transaction, uid, scope)
        change = decision(stored)
        subscriptions = transaction.subscriptions(uid)
        workitem = _kept(site, change, scope)
        if workitem is not None:
            transaction.put(workitem)
        receivers = [subscription.receiver for subscription in subscriptions]
        queue_reports(transaction, receivers, change.reports, site.limits)
        if stored is not None and workitem is not None:
            for begun in of_changed(stored, workitem, subscriptions, transaction.generators()):
                transaction.subscribe(begun)
                queue_reports(transaction, (begun.receiver,), (state_report(workitem),), site.limits)
        return change

    change = site.decide(decide)
    return Response(status, (("Content-Location", workitem_url(request, uid)), *warnings(request, change.warnings)))


def _kept(site: Site, change: Change, scope: Scope) -> Workitem | None:
    """The workitem to be stored, if there is one. Raises TooLarge, and Forbidden if it is outside of the scope."""
    workitem = change.workitem
    if workitem is None:
        return None
    if not scope.admits(workitem.attributes):
        raise Forbidden("The workitem would be outside of what this request may see.")
    ceiling = site.limits.workitem_bytes
    if len(json_text(workitem.attributes)) > ceiling:
        raise TooLarge("The workitem would be too large.", limit="workitem_bytes", ceiling=ceiling)
    return workitem


def _found(worklist: WorklistStore, uid: str) -> Workitem:
    try:
        return worklist.get(uid)
    except Gone:
        raise
    except NotFound:
        raise NoSuchWorkitem("There is no such workitem.", code=Code.NO_SUCH_WORKITEM) from None


def _now() -> datetime:
    return datetime.now(UTC)
