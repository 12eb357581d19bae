"""Events by long polling over any transport: an extension of dicomweb-core, for where there is no WebSocket.

`GET {s}/subscribers/{AE}?after=<sequence>&wait=<seconds>` is answered with a JSON array of what an event is on a
notification connection, and the URL of the next request in a Link header; `after` says what has been taken.
"""

from __future__ import annotations

import json
import math
import re
import time
from typing import Final
from urllib.parse import quote, urlsplit

from dicomweb_worklist.datasets import received
from dicomweb_worklist.errors import ConnectionLost, ServerFailed, error_of
from dicomweb_worklist.transport import Transport

MOST_WAIT: Final = 30
"""Seconds that a server holds an answer back."""
_LEAST_WAIT: Final = 1.0
_NOT_IMPLEMENTED: Final = 501
_NEXT: Final = re.compile(r'<([^>]*)>\s*;[^,<]*\brel="?next\b', re.IGNORECASE)


class Polling:
    """See `Texts`."""

    def __init__(self, transport: Transport, aetitle: str) -> None:
        self._transport = transport
        self._path = f"/subscribers/{quote(aetitle, safe='')}"
        self._query = "after=0"

    def receive(self, wait: float) -> list[str]:
        """See `Texts`; waits for whole seconds. Raises ConnectionLost, and what `error_of` makes of a refusal."""
        seconds = max(0, min(MOST_WAIT, math.ceil(wait)))
        kept = [pair for pair in self._query.split("&") if not pair.startswith("wait=")]
        path = f"{self._path}?{'&'.join([*kept, f'wait={seconds}'])}"
        began = time.monotonic()
        answer = self._transport.send("GET", path, (("Accept", "application/dicom+json"),), patience=seconds)
        if answer.status >= 500 and answer.status != _NOT_IMPLEMENTED:
            raise ConnectionLost(f"The server has no events at the moment ({answer.status}).")
        if answer.status not in (200, 204):
            raise error_of(answer)
        found = received(answer)
        following = _NEXT.search(", ".join(answer.values("Link")))
        if following is not None:
            # The query only: the address may be another one than ours, behind a proxy.
            self._query = urlsplit(following.group(1)).query or self._query
        elif found:
            raise ServerFailed("The server does not say how to go on with events (Link).", status=answer.status)
        if not found and seconds:
            # A server that does not hold its answer back is not asked all the time.
            time.sleep(max(0.0, min(_LEAST_WAIT, wait) - (time.monotonic() - began)))
        return [json.dumps(one, ensure_ascii=False, separators=(",", ":")) for one in found]

    def interrupt(self) -> None:
        """A request under way ends by itself."""

    def close(self) -> None:
        """Nothing is open between two requests."""
