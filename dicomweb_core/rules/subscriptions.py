"""Who is told of a workitem, and who keeps it from being deleted (PS3.4 CC.2.3, Table CC.2.3-2).

Only the subscription of an AE to a workitem decides. One to the worklist is a generator: it makes subscriptions, to
the workitems that are there and to those that come. What the standard leaves open:

* A filter makes subscriptions also to workitems that begin to match, and never ends one.
* To unsubscribe from the filtered worklist ends what the filter has made; from the worklist, everything of the AE but
  its filter.
* Locks and reports of a filter are those of the worklist.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import Enum
from types import MappingProxyType
from typing import Final, NamedTuple

from dicomweb_core.errors import BadRequest, InvalidWorkitemRequest, NoSuchWorkitem, SubscriptionRefused
from dicomweb_core.rules.matching import matches
from dicomweb_core.rules.workitem_codes import Code
from dicomweb_core.values.workitems import (
    FILTERED_WORKLIST,
    WORKLIST,
    Generator,
    Origin,
    Subscription,
    Workitem,
)

LOCK_NOT_GRANTED: Final = "Deletion Lock not granted."
FILTERS_NOT_SUPPORTED: Final = "Filtered Worklist Subscriptions are not supported."


class Standing(Enum):
    """Of an AE with a workitem."""

    NONE = "not subscribed"
    LOCKED = "subscribed with lock"
    UNLOCKED = "subscribed without lock"


class Occasion(Enum):
    """What may change a standing. Filters are as the worklist."""

    CREATED_LOCKED = "workitem created, worklist subscribed with lock"
    CREATED_UNLOCKED = "workitem created, worklist subscribed without lock"
    WORKLIST_LOCKED = "subscribe worklist with lock"
    WORKLIST_UNLOCKED = "subscribe worklist without lock"
    WORKITEM_LOCKED = "subscribe workitem with lock"
    WORKITEM_UNLOCKED = "subscribe workitem without lock"
    UNSUBSCRIBE_WORKITEM = "unsubscribe workitem"
    UNSUBSCRIBE_WORKLIST = "unsubscribe worklist"


class Transition(NamedTuple):
    """A cell of the table. `reported`: the AE, and no other, gets a State Report of the workitem."""

    standing: Standing
    reported: bool = False


_N, _L, _U = Standing
_INITIAL: Final = True

# Columns: not subscribed, with lock, without lock. The State Reports of a subscription to the worklist with lock are
# those of CC.2.4.3, for every workitem; Table CC.2.3-2 has them only where there was no subscription.
_ROWS: Final[tuple[tuple[Occasion, Transition, Transition, Transition], ...]] = (
    # with or without lock because of another subscription of the AE to the worklist, filtered or not
    (Occasion.CREATED_LOCKED, Transition(_L, _INITIAL), Transition(_L), Transition(_L)),
    (Occasion.CREATED_UNLOCKED, Transition(_U, _INITIAL), Transition(_L), Transition(_U)),
    (Occasion.WORKLIST_LOCKED, Transition(_L, _INITIAL), Transition(_L, _INITIAL), Transition(_U, _INITIAL)),
    (Occasion.WORKLIST_UNLOCKED, Transition(_U), Transition(_L), Transition(_U)),
    (Occasion.WORKITEM_LOCKED, Transition(_L, _INITIAL), Transition(_L, _INITIAL), Transition(_L, _INITIAL)),
    (Occasion.WORKITEM_UNLOCKED, Transition(_U, _INITIAL), Transition(_U, _INITIAL), Transition(_U, _INITIAL)),
    (Occasion.UNSUBSCRIBE_WORKITEM, Transition(_N), Transition(_N), Transition(_N)),
    (Occasion.UNSUBSCRIBE_WORKLIST, Transition(_N), Transition(_N), Transition(_N)),
)

TRANSITIONS: Final[Mapping[tuple[Occasion, Standing], Transition]] = MappingProxyType(
    {(row[0], standing): cell for row in _ROWS for standing, cell in zip(Standing, row[1:], strict=True)}
)

_SUBSCRIBE: Final = {
    (Origin.WORKITEM, True): Occasion.WORKITEM_LOCKED,
    (Origin.WORKITEM, False): Occasion.WORKITEM_UNLOCKED,
    (Origin.WORKLIST, True): Occasion.WORKLIST_LOCKED,
    (Origin.WORKLIST, False): Occasion.WORKLIST_UNLOCKED,
    (Origin.FILTERED_WORKLIST, True): Occasion.WORKLIST_LOCKED,
    (Origin.FILTERED_WORKLIST, False): Occasion.WORKLIST_UNLOCKED,
}


class Subscribing(NamedTuple):
    """What becomes of an AE and a workitem."""

    subscription: Subscription | None
    """To be stored in the place of the present one; None: what is stored stays."""
    reported: bool
    """Whether the AE, and no other, gets a State Report now."""


class Ending(NamedTuple):
    """What an AE gives up."""

    generator: Origin | None
    """To be removed: WORKLIST or FILTERED_WORKLIST."""
    subscriptions: tuple[Subscription, ...]
    """To be removed."""


def target_of(uid: str) -> Origin:
    """Which kind of subscription the UID in a URL is about (PS3.18 11.10.1.1)."""
    return {WORKLIST: Origin.WORKLIST, FILTERED_WORKLIST: Origin.FILTERED_WORKLIST}.get(uid, Origin.WORKITEM)


def parse_deletion_lock(text: str | None) -> bool:
    """None when the parameter is not there. Raises InvalidWorkitemRequest (PS3.18 11.10.1.2)."""
    if text not in (None, "true", "false"):
        raise InvalidWorkitemRequest(
            "The parameter deletionlock is neither true nor false (PS3.18 11.10.1.2).", code=Code.INVALID_ARGUMENT
        )
    return text == "true"


def parse_receiver(text: str) -> str:
    """An AE title, decoded, without the spaces around it that mean nothing (PS3.5 6.2). Raises BadRequest."""
    title = text.strip(" ")
    if not title or len(text) > 16 or not title.isascii() or not title.isprintable() or "\\" in title:
        raise BadRequest("The subscriber is not an AE title of 1 to 16 characters (PS3.5 6.2).")
    return title


def granted(wanted: bool, *, locks: bool) -> tuple[bool, tuple[str, ...]]:
    """Whether a subscription gets a deletion lock, and the warnings (B301). `locks`: whether the site gives any."""
    return (False, (LOCK_NOT_GRANTED,)) if wanted and not locks else (wanted, ())


def refuse_filters() -> SubscriptionRefused:
    """What a site that supports no filters raises (PS3.18 11.10.3)."""
    return SubscriptionRefused(FILTERS_NOT_SUPPORTED, code=Code.NO_SUCH_WORKITEM, warning=FILTERS_NOT_SUPPORTED)


def applies(generator: Generator, workitem: Workitem) -> bool:
    """Whether a generator is about a workitem."""
    return generator.filter is None or matches(generator.filter, workitem.attributes)


def subscribed(uid: str, receiver: str, current: Subscription | None, *, deletion_lock: bool) -> Subscribing:
    """A subscription to one workitem; again, to get or release the lock. It is specific from then on."""
    return _subscribing(uid, receiver, current, Origin.WORKITEM, _SUBSCRIBE[Origin.WORKITEM, deletion_lock])


def generated(generator: Generator, workitem: Workitem, current: Subscription | None) -> Subscribing:
    """What a new subscription to the worklist makes of a workitem that is there. None of both if it does not match."""
    if not applies(generator, workitem):
        return Subscribing(None, False)
    origin = _origin(generator)
    occasion = _SUBSCRIBE[origin, generator.deletion_lock]
    return _subscribing(workitem.uid, generator.receiver, current, origin, occasion)


def of_created(workitem: Workitem, generators: Iterable[Generator]) -> tuple[Subscription, ...]:
    """Those to a new workitem, one for each AE: with lock if any of its generators is. All get a State Report."""
    found: dict[str, Subscription] = {}
    for generator in generators:
        if applies(generator, workitem):
            _add(found, generator, workitem)
    return tuple(found.values())


def of_changed(
    before: Workitem, after: Workitem, subscriptions: Iterable[Subscription], generators: Iterable[Generator]
) -> tuple[Subscription, ...]:
    """Those of filters that a workitem begins to match, as if it were new. Who is subscribed stays as he is, and who
    has unsubscribed from it stays so as long as it matches. All get a State Report, and not those of the change."""
    present = {subscription.receiver for subscription in subscriptions}
    found: dict[str, Subscription] = {}
    for generator in generators:
        may_begin = generator.filter is not None and generator.receiver not in present
        if may_begin and applies(generator, after) and not applies(generator, before):
            _add(found, generator, after)
    return tuple(found.values())


def unsubscribed(target: Origin, subscriptions: Iterable[Subscription], generator: Generator | None = None) -> Ending:
    """What ends. `subscriptions` are those of the AE, to the workitem or to all; `generator` the one of this target.

    Raises NoSuchWorkitem when there is nothing to end.
    """
    of_filter = target is Origin.FILTERED_WORKLIST
    occasion = Occasion.UNSUBSCRIBE_WORKITEM if target is Origin.WORKITEM else Occasion.UNSUBSCRIBE_WORKLIST
    ended = tuple(
        one
        for one in subscriptions
        if TRANSITIONS[occasion, standing(one)].standing is Standing.NONE
        and (not of_filter or one.origin is Origin.FILTERED_WORKLIST)
    )
    if not ended and generator is None:
        raise NoSuchWorkitem("There is no such subscription.", code=Code.NO_SUCH_WORKITEM)
    return Ending(None if generator is None else target, ended)


def suspended(target: Origin, generator: Generator | None) -> Ending:
    """The generator ends, what it has made stays (PS3.18 11.12). Raises InvalidWorkitemRequest, NoSuchWorkitem."""
    if target is Origin.WORKITEM:
        raise InvalidWorkitemRequest(
            "Only subscriptions to the worklist can be suspended (PS3.18 11.12).", code=Code.NOT_APPROPRIATE
        )
    if generator is None:
        raise NoSuchWorkitem("There is no such subscription.", code=Code.NO_SUCH_WORKITEM)
    return Ending(target, ())


def may_be_deleted(workitem: Workitem, subscriptions: Iterable[Subscription]) -> bool:
    """Whether a workitem is final and nobody holds a deletion lock on it (PS3.4 CC.2.1.3)."""
    return workitem.state.final and not any(subscription.deletion_lock for subscription in subscriptions)


def standing(current: Subscription | None) -> Standing:
    """The column of the table."""
    if current is None:
        return Standing.NONE
    return Standing.LOCKED if current.deletion_lock else Standing.UNLOCKED


def _subscribing(
    uid: str, receiver: str, current: Subscription | None, origin: Origin, occasion: Occasion
) -> Subscribing:
    cell = TRANSITIONS[occasion, standing(current)]
    made = Subscription(uid, receiver, cell.standing is Standing.LOCKED, origin)
    if current is not None and origin is not Origin.WORKITEM:
        # a generator leaves what is there, and what made it
        return Subscribing(None, cell.reported)
    return Subscribing(None if made == current else made, cell.reported)


def _origin(generator: Generator) -> Origin:
    return Origin.WORKLIST if generator.filter is None else Origin.FILTERED_WORKLIST


def _add(found: dict[str, Subscription], generator: Generator, workitem: Workitem) -> None:
    before = found.get(generator.receiver)
    occasion = Occasion.CREATED_LOCKED if generator.deletion_lock else Occasion.CREATED_UNLOCKED
    lock = TRANSITIONS[occasion, standing(before)].standing is Standing.LOCKED
    of_worklist = generator.filter is None or (before is not None and before.origin is Origin.WORKLIST)
    origin = Origin.WORKLIST if of_worklist else Origin.FILTERED_WORKLIST
    found[generator.receiver] = Subscription(workitem.uid, generator.receiver, lock, origin)
