"""Subscribe, unsubscribe, suspend (PS3.18 11.10 to 11.12, PS3.4 CC.2.3). All in one decision of the store."""

from __future__ import annotations

from urllib.parse import quote, urlsplit

from dicomweb_core.errors import Forbidden, NoSuchWorkitem
from dicomweb_core.rules.negotiation import Accept
from dicomweb_core.rules.subscriptions import (
    Subscribing,
    generated,
    granted,
    refuse_filters,
    subscribed,
    suspended,
    target_of,
    unsubscribed,
)
from dicomweb_core.rules.targets import Target
from dicomweb_core.rules.workitem_codes import Code
from dicomweb_core.rules.workitem_queries import parse_filter
from dicomweb_core.rules.workitem_reports import state_report
from dicomweb_core.rules.worklist_parameters import deletion_lock_parameter
from dicomweb_core.services.report_queues import queue_reports
from dicomweb_core.services.scopes import Scope
from dicomweb_core.services.site import Site
from dicomweb_core.services.workitems import known, warnings
from dicomweb_core.storage.worklists import WorklistTransaction
from dicomweb_core.values.messages import Request, Response
from dicomweb_core.values.workitems import Generator, Origin, Subscription, Workitem


def subscribe(site: Site, request: Request, target: Target, accept: Accept, scope: Scope) -> Response:
    """Subscribe (PS3.18 11.10): 201 with the URL of the notification connection.

    Raises InvalidQuery, WorkitemRefused, Gone; Forbidden for a subscription to the worklist out of a scope, because
    its reports would not be narrowed.
    """
    policy = site.worklist_policy
    lock, texts = granted(deletion_lock_parameter(request.query), locks=policy.deletion_locks)
    origin = target_of(target.workitem)
    receiver = target.subscriber
    if origin is Origin.WORKITEM:

        def decide(transaction: WorklistTransaction) -> None:
            workitem = known(transaction, target.workitem, scope)
            if workitem is None:
                raise NoSuchWorkitem("There is no such workitem.", code=Code.NO_SUCH_WORKITEM)
            current = next((one for one in transaction.subscriptions(workitem.uid) if one.receiver == receiver), None)
            made = subscribed(workitem.uid, receiver, current, deletion_lock=lock)
            _apply(site, transaction, receiver, workitem, made)
    else:
        if scope.keys:
            raise Forbidden("Only single workitems can be subscribed to by this request.")
        generator = Generator(receiver, lock)
        if origin is Origin.FILTERED_WORKLIST:
            if not policy.filtered_subscriptions:
                raise refuse_filters()
            generator = Generator(receiver, lock, *parse_filter(request.query, site.limits))

        def decide(transaction: WorklistTransaction) -> None:
            _generate(site, transaction, generator)

    site.decide(decide)
    url = notification_url(site.event_channel_url, request.base_url, receiver)
    return Response(201, (("Content-Location", url), ("Location", url), *warnings(request, texts)))


def unsubscribe(site: Site, request: Request, target: Target, accept: Accept, scope: Scope) -> Response:
    """Unsubscribe (PS3.18 11.11): 200. Who is subscribed to nothing any more gets no reports any more, also none that
    wait for him. Raises NoSuchWorkitem when there is no such subscription."""
    origin = target_of(target.workitem)
    receiver = target.subscriber

    def decide(transaction: WorklistTransaction) -> None:
        generator = _generator(transaction, receiver, origin)
        if origin is Origin.WORKITEM:
            present = [one for one in transaction.subscriptions(target.workitem) if one.receiver == receiver]
        else:
            present = list(transaction.subscriptions_of(receiver))
        ending = unsubscribed(origin, present, generator)
        if ending.generator is not None:
            transaction.remove_generator(receiver, filtered=ending.generator is Origin.FILTERED_WORKLIST)
        for subscription in ending.subscriptions:
            transaction.unsubscribe(subscription.workitem, receiver)
        if not _has_any(transaction, receiver):
            transaction.discard(receiver)

    site.required_worklist.transact(decide)
    return Response(200)


def suspend(site: Site, request: Request, target: Target, accept: Accept, scope: Scope) -> Response:
    """Suspend Global Subscription (PS3.18 11.12): 200. Raises WorkitemRefused."""
    origin = target_of(target.workitem)
    receiver = target.subscriber

    def decide(transaction: WorklistTransaction) -> None:
        ending = suspended(origin, _generator(transaction, receiver, origin))
        transaction.remove_generator(receiver, filtered=ending.generator is Origin.FILTERED_WORKLIST)

    site.required_worklist.transact(decide)
    return Response(200)


def notification_url(channel_url: str | None, base_url: str, receiver: str) -> str:
    """Where an AE opens its notification connection (PS3.18 8.10.4, Table 11.10.3-2): at the URL that the site has for
    that, or beside its requests, with `ws`, or `wss` behind HTTPS."""
    scheme, colon, rest = base_url.partition("://")
    if channel_url is not None:
        host = urlsplit(base_url).hostname or ""
        root = channel_url.replace("{host}", f"[{host}]" if ":" in host else host).rstrip("/")
    else:
        root = {"http": "ws", "https": "wss"}.get(scheme.lower(), scheme) + colon + rest
    return f"{root}/subscribers/{quote(receiver, safe='')}"


def _generate(site: Site, transaction: WorklistTransaction, generator: Generator) -> None:
    transaction.put_generator(generator)
    present = {one.workitem: one for one in transaction.subscriptions_of(generator.receiver)}
    for uid in tuple(transaction.uids()):
        workitem = transaction.get(uid)
        if workitem is not None:
            made = generated(generator, workitem, present.get(uid))
            _apply(site, transaction, generator.receiver, workitem, made)


def _apply(site: Site, transaction: WorklistTransaction, receiver: str, workitem: Workitem, made: Subscribing) -> None:
    if made.subscription is not None:
        transaction.subscribe(made.subscription)
    if made.reported:
        queue_reports(transaction, (receiver,), (state_report(workitem),), site.limits)


def _generator(transaction: WorklistTransaction, receiver: str, origin: Origin) -> Generator | None:
    """The one of this kind; None for a single workitem."""
    if origin is Origin.WORKITEM:
        return None
    filtered = origin is Origin.FILTERED_WORKLIST
    of_kind = (one for one in transaction.generators() if (one.filter is not None) is filtered)
    return next((one for one in of_kind if one.receiver == receiver), None)


def _has_any(transaction: WorklistTransaction, receiver: str) -> bool:
    left: Subscription | None = next(iter(transaction.subscriptions_of(receiver)), None)
    return left is not None or any(one.receiver == receiver for one in transaction.generators())
