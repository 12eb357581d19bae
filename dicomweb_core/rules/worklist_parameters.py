"""Query parameters of the worklist that name something (PS3.18 11; the editions have spelled them differently).

A name counts without hyphens, underscores and case. Where PS3.18 prints `?{workitem}` some clients send name and value,
some the value alone: without the name, a parameter that is a UID and has no value is taken for it.
"""

from __future__ import annotations

from typing import Final, NamedTuple
from urllib.parse import unquote

from dicomweb_core.errors import InvalidQuery
from dicomweb_core.rules.subscriptions import parse_deletion_lock
from dicomweb_core.values.messages import Request
from dicomweb_core.values.uids import is_uid

_WORKITEM: Final = frozenset({"workitem", "affectedsopinstanceuid"})
_TRANSACTION_UID: Final = frozenset({"transactionuid", "transaction"})
_REQUESTER: Final = frozenset({"requester"})
_DELETION_LOCK: Final = frozenset({"deletionlock"})
_AFTER: Final = frozenset({"after"})
_WAIT: Final = frozenset({"wait"})


def workitem_parameter(query: str, *, bare: bool) -> str | None:
    """The workitem that a query names, None if it names none (PS3.18 11.4.1.2). `bare`: without the name, too.

    Raises InvalidQuery.
    """
    return _value(query, _WORKITEM, "workitem") or (_bare_uid(query) if bare else None)


def transaction_uid_parameter(query: str) -> str | None:
    """The Transaction UID of an Update, None if the query has none (PS3.18 11.6.1.2). It may be none.

    Raises InvalidQuery, which does not quote it.
    """
    return _value(query, _TRANSACTION_UID, "transaction-uid") or _bare_uid(query)


def requester_parameter(query: str) -> str | None:
    """The AE title of who asks, as it was sent. Raises InvalidQuery."""
    return _value(query, _REQUESTER, "requester")


def deletion_lock_parameter(query: str) -> bool:
    """Whether a subscription is to have a deletion lock (PS3.18 11.10.1.2).

    Raises InvalidQuery, InvalidWorkitemRequest.
    """
    return parse_deletion_lock(_value(query, _DELETION_LOCK, "deletionlock"))


class Listening(NamedTuple):
    """How a client wants to have events. All of it is ours: PS3.18 8.10.4 has no parameters."""

    after: int
    """The sequence number of the last one it has got; 0 if it does not say."""
    wait: float
    """Seconds to wait for one if there is none."""


def listening_parameters(request: Request) -> Listening:
    """From the parameters `after` and `wait`; a client of Server-Sent Events says the former in Last-Event-ID.

    Raises InvalidQuery.
    """
    after = _value(request.query, _AFTER, "after") or request.header("Last-Event-ID") or "0"
    wait = _value(request.query, _WAIT, "wait") or "0"
    for text, shown in ((after, "after"), (wait, "wait")):
        if not (text.isascii() and text.isdecimal() and len(text) < 20):
            raise InvalidQuery(f"The parameter {shown} is not a number.")
    return Listening(int(after), float(wait))


def _value(query: str, names: frozenset[str], shown: str) -> str | None:
    found = {
        _decoded(value)
        for name, equals, value in (pair.partition("=") for pair in query.split("&"))
        if equals and _decoded(name).replace("-", "").replace("_", "").lower() in names
    }
    if len(found) > 1:
        raise InvalidQuery(f"The parameter {shown} is given more than once.")
    return next(iter(found), None)


def _bare_uid(query: str) -> str | None:
    found = {_decoded(pair.rstrip("=")) for pair in query.split("&")}
    uids = {text for text in found if is_uid(text) and "." in text}
    if len(uids) > 1:
        raise InvalidQuery("The query has more than one UID without a name.")
    return next(iter(uids), None)


def _decoded(raw: str) -> str:
    """By the rules of a URI, not of a form (RFC 3986 2.1)."""
    try:
        return unquote(raw, errors="strict")
    except UnicodeError as error:
        raise InvalidQuery("The query is not UTF-8 (PS3.18 8.3.4.1).") from error
