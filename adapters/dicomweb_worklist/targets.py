"""Which URL names what, in requests and in answers (PS3.18 Table 11.1.1-1)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final
from urllib.parse import quote, unquote, urlsplit

from dicomweb_worklist.errors import InvalidRequest
from dicomweb_worklist.transport import Answer

Filters = Mapping[str, str | Sequence[str]]
"""Match keys: keywords, tags, or paths of them with dots -> a value, or UIDs of which one has to match."""

WORKLIST: Final = "1.2.840.10008.5.1.4.34.5"
"""The worklist as a target of subscriptions (PS3.4 CC.3.1.2)."""
FILTERED_WORKLIST: Final = "1.2.840.10008.5.1.4.34.5.1"
"""Those workitems that match a filter (PS3.4 CC.2.3.2)."""


def workitem_path(uid: str) -> str:
    """Below the service root. Raises InvalidRequest for an empty UID, which would name all workitems."""
    if not uid:
        raise InvalidRequest("The UID of the workitem is empty.")
    return f"/workitems/{quote(uid, safe='')}"


def query_of(parameters: Iterable[str]) -> str:
    """With its question mark; empty if there are none."""
    joined = "&".join(parameters)
    return f"?{joined}" if joined else ""


def match_parameters(filters: Filters, *, comma: str = ",") -> list[str]:
    """Percent-encoded `name=value`. Between UIDs of a list is a `comma`, which is not encoded in the query of a search,
    unlike those within values (PS3.18 8.3.4.1)."""
    return [f"{quote(name, safe='.')}={_listed(value, comma)}" for name, value in filters.items()]


def uid_in_location(answer: Answer) -> str | None:
    """Of a workitem that was created: a server that is not told the UID as it wants it makes its own."""
    for name in ("Location", "Content-Location"):
        path = urlsplit(answer.header(name) or "").path.rstrip("/")
        parent, _, last = path.rpartition("/")
        if parent.endswith("/workitems"):
            return unquote(last)
    return None


def websocket_url(answer: Answer) -> str | None:
    """Of the notification connection. It is Content-Location (PS3.18 11.10.3.2); some servers have it in Location."""
    found = (answer.header(name) for name in ("Content-Location", "Location"))
    return next((url for url in found if url and url.startswith(("ws:", "wss:"))), None)


def checked_aetitle(aetitle: str) -> str:
    """Without spaces around it (PS3.5 6.2). Raises ValueError."""
    aetitle = aetitle.strip(" ")
    if len(aetitle) > 16 or "\\" in aetitle or not all(" " <= one <= "~" for one in aetitle):
        raise ValueError(f"{aetitle!r} is no AE title: up to 16 characters of ASCII, no backslash.")
    return aetitle


def _listed(value: str | Sequence[str], comma: str) -> str:
    return quote(value, safe="") if isinstance(value, str) else comma.join(quote(one, safe="") for one in value)
