"""The transactions of the Worklist Service, as a client sends them (PS3.18 chapter 11)."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from ssl import SSLContext
from typing import Final, NamedTuple, Self
from urllib.parse import quote

from dicomweb_worklist.answers import expected, log_warnings, says_we_own_it
from dicomweb_worklist.claims import Claim
from dicomweb_worklist.datasets import (
    PROGRESS,
    STATE,
    TRANSACTION_UID,
    Attributes,
    Dataset,
    WorkitemState,
    attributes_of,
    first,
    new_uid,
    received,
    text,
    uid_of,
)
from dicomweb_worklist.dialect import Dialect
from dicomweb_worklist.errors import (
    AlreadyExists,
    Conflict,
    LostClaim,
    ServerFailed,
    warnings_of,
)
from dicomweb_worklist.event_stream import EventStream
from dicomweb_worklist.http_transport import HTTPTransport
from dicomweb_worklist.retries import Attempts, attempted
from dicomweb_worklist.targets import (
    FILTERED_WORKLIST,
    WORKLIST,
    Filters,
    checked_aetitle,
    match_parameters,
    query_of,
    uid_in_location,
    websocket_url,
    workitem_path,
)
from dicomweb_worklist.transport import Answer, Headers, Transport

_JSON: Final = "application/dicom+json"
_PAGE: Final = 100
_LABEL, _START, _PATIENT_ID = "00741204", "00404005", "00100020"
_NO_LOCK: Final = "deletion lock not granted"


class Subscribed(NamedTuple):
    """What a server says to a subscription."""

    url: str | None
    """Of the notification connection; None when it did not say."""
    deletion_lock: bool
    """Whether a lock that was asked for was granted."""
    warnings: tuple[str, ...]


class WorklistClient:
    """A client of one worklist. Thread-safe.

    Methods raise a `WorklistError`. What is safe to be repeated is, when the connection is lost (`Attempts`): only a
    request for cancellation is sent once. Data sets are dicts in the DICOM JSON Model, or have `to_json_dict`.
    """

    def __init__(
        self,
        transport: Transport,
        *,
        aetitle: str = "",
        dialect: Dialect | None = None,
        attempts: Attempts | None = None,
    ) -> None:
        """`aetitle` is ours: who asks for changes, and who is subscribed. Raises ValueError if it is none."""
        self.aetitle = checked_aetitle(aetitle)
        self._transport = transport
        self._dialect = dialect or Dialect()
        self._attempts = attempts or Attempts()
        self._notification_url: str | None = None

    @classmethod
    def at(
        cls,
        url: str,
        *,
        aetitle: str = "",
        headers: Mapping[str, str] | None = None,
        timeout: float = 30.0,
        tls: SSLContext | None = None,
        dialect: Dialect | None = None,
    ) -> Self:
        """A client over HTTP; see `HTTPTransport`. `url` is the service root, as `http://host/dicom-web`."""
        transport = HTTPTransport(url, headers=headers, timeout=timeout, tls=tls)
        return cls(transport, aetitle=aetitle, dialect=dialect)

    def close(self) -> None:
        """Closes the transport. Idempotent."""
        self._transport.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # -- workitems ------------------------------------------------------------------------------------------------

    def create(self, dataset: Dataset, uid: str | None = None) -> str:
        """Create (PS3.18 11.4). The UID of the workitem: `uid`, that of the data set, or a new one.

        Who has to know it over a crash of its own gives it. Raises AlreadyExists, InvalidRequest.
        """
        attributes = attributes_of(dataset)
        uid = uid or uid_of(attributes) or None
        made = uid or new_uid()

        def request(again: bool) -> Answer:
            answer = self._send("POST", f"/workitems?workitem={quote(made)}", attributes)
            try:
                return expected(answer, 201, 200)
            except Conflict as error:
                # The first time may have arrived. A UID that we made is ours, one that was given has to be looked at.
                if again and (uid is None or self._is_there(made, attributes)):
                    return Answer(201)
                raise AlreadyExists(str(error), status=error.status, code=error.code, warnings=error.warnings) from None

        answer = attempted(request, self._attempts)
        log_warnings(answer)
        return uid_in_location(answer) or made

    def retrieve(self, uid: str) -> Attributes:
        """Retrieve (PS3.18 11.5): the workitem. Raises NotFound, Gone."""
        answer = attempted(lambda _: expected(self._send("GET", workitem_path(uid)), 200), self._attempts)
        found = received(answer)
        if len(found) != 1:
            raise ServerFailed(f"The answer has {len(found)} workitems, and not one.", status=answer.status)
        return found[0]

    def update(self, uid: str, changes: Dataset, claim: Claim | None = None) -> tuple[str, ...]:
        """Update (PS3.18 11.6): what changes of the data set, sequences whole. Warnings of the server, if it has any.

        Without a claim while the workitem is SCHEDULED, with it afterwards. Raises LostClaim, Conflict, NotFound,
        InvalidRequest; ValueError for the claim of another workitem.
        """
        if claim is not None and claim.workitem != uid:
            raise ValueError("This is the claim of another workitem.")
        attributes, path = attributes_of(changes), workitem_path(uid)
        if claim is not None:
            if self._dialect.transaction_uid_in_query:
                path += f"?transaction-uid={quote(claim.transaction_uid)}"
            if self._dialect.transaction_uid_in_dataset:
                attributes |= _transaction_uid(claim)
        answer = attempted(lambda _: expected(self._send("POST", path, attributes), 200, 204), self._attempts)
        return warnings_of(answer)

    def claim(self, workitem: str | Claim) -> Claim:
        """Change State to IN PROGRESS (PS3.18 11.7): from then on only who has the claim may change the workitem.

        A `Claim` that may have been sent before, by a process that crashed, is taken up again. Raises LostClaim
        when another performer was first, Conflict, NotFound; ConnectionLost when nobody knows, then try the same again.
        """
        claim = workitem if isinstance(workitem, Claim) else Claim.of(workitem)

        def request(again: bool) -> Answer:
            answer = self._change_state(claim, WorkitemState.IN_PROGRESS)
            try:
                return expected(answer, 200, 204)
            except Conflict as error:
                # An earlier attempt may have arrived, of this process or of the one that saved the claim.
                if (again or claim is workitem) and says_we_own_it(error, by_text=again):
                    return answer
                raise

        attempted(request, self._attempts)
        return claim

    def complete(self, claim: Claim, performed: Dataset | None = None) -> tuple[str, ...]:
        """Change State to COMPLETED (PS3.18 11.7), after an Update with `performed` if that is given.

        Warnings of the server, if it has any. Raises Incomplete when the workitem lacks what a completed one
        must have (see `performed_procedure`), LostClaim, Conflict, NotFound.
        """
        return self._finish(claim, WorkitemState.COMPLETED, performed)

    def cancel(self, claim: Claim, reason: str = "", codes: Iterable[Attributes] = ()) -> tuple[str, ...]:
        """Change State to CANCELED (PS3.18 11.7), with why, in words and as coded items (see `coded`).

        What the workitem says of its progress is kept. Warnings and errors are as of `complete`.
        """
        why, progress = _reason(reason, codes), None
        if why:
            item = first(self.retrieve(claim.workitem), PROGRESS) or {}
            progress = {PROGRESS: {"vr": "SQ", "Value": [dict(sorted((item | why).items()))]}}
        return self._finish(claim, WorkitemState.CANCELED, progress)

    def request_cancellation(
        self,
        uid: str,
        reason: str = "",
        codes: Iterable[Attributes] = (),
        *,
        contact_uri: str = "",
        contact_name: str = "",
    ) -> tuple[str, ...]:
        """Request Cancellation (PS3.18 11.8), of a workitem that is not ours.

        It is canceled if nobody has claimed it; otherwise the performer is told, and may cancel it or not. Warnings of
        the server, as that it is CANCELED already. Raises Conflict when it is COMPLETED, NotFound. Sent once: a
        ConnectionLost leaves open whether the performer was told.
        """
        payload = _reason(reason, codes)
        for tag, vr, value in (("0074100A", "UR", contact_uri), ("0074100C", "LO", contact_name)):
            if value:
                payload[tag] = {"vr": vr, "Value": [value]}
        path = self._requested(f"{workitem_path(uid)}/cancelrequest")
        answer = attempted(
            lambda _: expected(self._send("POST", path, payload or None), 202, 200), self._attempts, idempotent=False
        )
        return warnings_of(answer)

    def search(
        self,
        filters: Filters | None = None,
        *,
        limit: int | None = None,
        offset: int = 0,
        includefield: Iterable[str] = (),
        fuzzymatching: bool = False,
        page: int = _PAGE,
    ) -> Iterator[Attributes]:
        """Search (PS3.18 11.9): `limit` results behind the first `offset`, all that match without one.

        Reads `page` results at a time, as they are asked for, until the server has no more: it may give fewer at a time
        than it is asked for. What leaves the matches meanwhile makes those behind it move forward, and some of them
        be missed: who changes what it finds takes one page at a time, or a list() of all before. Raises InvalidRequest.
        """
        if page < 1 or offset < 0 or (limit is not None and limit < 0):
            raise ValueError("A page has at least one result; limit and offset are not negative.")
        parameters = match_parameters(filters or {})
        parameters += [f"includefield={quote(field, safe='.')}" for field in includefield]
        if fuzzymatching:
            parameters.append("fuzzymatching=true")
        return self._pages(parameters, limit, offset, page)

    # -- subscriptions and events ---------------------------------------------------------------------------------

    def subscribe(
        self, uid: str | None = None, *, filter: Filters | None = None, deletion_lock: bool = False
    ) -> Subscribed:
        """Subscribe (PS3.18 11.10) our AE title to a workitem, to what matches a filter, or to the whole worklist.

        With a deletion lock the server keeps workitems when they are final, until the subscription ends.
        Raises NotFound, Refused, InvalidRequest.
        """
        if uid is not None and filter is not None:
            raise ValueError("A subscription is to a workitem, or has a filter.")
        parameters = ["deletionlock=true"] if deletion_lock else []
        if filter is not None:
            if self._dialect.filter_parameter:
                # A comma that is not encoded would end the pair.
                parameters.append("filter=" + ",".join(match_parameters(filter, comma="%2C")))
            else:
                parameters += match_parameters(filter)
        path = self._subscriber(uid, filtered=filter is not None) + query_of(parameters)
        answer = attempted(lambda _: expected(self._send("POST", path), 201, 200), self._attempts)
        url = websocket_url(answer)
        self._notification_url = url or self._notification_url
        warnings = warnings_of(answer)
        refused = any(_NO_LOCK in warning.lower() for warning in warnings)
        return Subscribed(url, deletion_lock and not refused, warnings)

    def unsubscribe(self, uid: str | None = None, *, filtered: bool = False) -> None:
        """Unsubscribe (PS3.18 11.11) from a workitem, the filtered worklist, or the worklist with all that is in it.

        Raises NotFound when there is no such subscription.
        """
        self._end("DELETE", self._subscriber(uid, filtered=filtered))

    def suspend(self, *, filtered: bool = False) -> None:
        """Suspend Global Subscription (PS3.18 11.12): workitems that are made from now on are not subscribed to.

        Raises NotFound when there is no such subscription.
        """
        self._end("POST", f"{self._subscriber(None, filtered=filtered)}/suspend")

    def events(self, *, timeout: float | None = None, websocket: bool = True) -> EventStream:
        """What happens to the workitems that our AE title is subscribed to (PS3.18 8.10); see `EventStream`.

        It ends when nothing happened for `timeout` seconds, if that is given, or when it is closed. `websocket`
        False: by long polling, which is an extension.
        """
        if not self.aetitle:
            raise ValueError("Events are sent to an AE title: WorklistClient(..., aetitle=...).")
        return EventStream(
            self._transport, self.aetitle, lambda: self._notification_url, timeout=timeout, websocket=websocket
        )

    # -- how --------------------------------------------------------------------------------------------------------

    def _send(self, method: str, path: str, dataset: Attributes | None = None) -> Answer:
        headers: Headers = (("Accept", _JSON),)
        if dataset is None:
            return self._transport.send(method, path, headers)
        payload = [dataset] if self._dialect.payload_in_array else dataset
        body = json.dumps(payload, allow_nan=False, separators=(",", ":")).encode()
        return self._transport.send(method, path, (*headers, ("Content-Type", _JSON)), body)

    def _change_state(self, claim: Claim, state: WorkitemState) -> Answer:
        payload = {STATE: {"vr": "CS", "Value": [state.value]}} | _transaction_uid(claim)
        return self._send(
            "PUT", self._requested(f"{workitem_path(claim.workitem)}/state"), dict(sorted(payload.items()))
        )

    def _finish(self, claim: Claim, state: WorkitemState, changes: Dataset | None) -> tuple[str, ...]:
        warnings: tuple[str, ...] = ()
        if changes is not None:
            try:
                warnings = self.update(claim.workitem, changes, claim)
            except LostClaim:
                raise
            except Conflict:
                # What was finished before a crash of ours takes no changes any more; that it is ours is asked below.
                if text(self.retrieve(claim.workitem), STATE) != state:
                    raise
        answer = attempted(lambda _: expected(self._change_state(claim, state), 200, 204), self._attempts)
        return warnings + warnings_of(answer)

    def _end(self, method: str, path: str) -> None:
        def request(again: bool) -> Answer:
            answer = self._send(method, path)
            # The first time may have arrived; the second finds nothing.
            return answer if again and answer.status == 404 else expected(answer, 200, 204)

        attempted(request, self._attempts)

    def _is_there(self, uid: str, sent: Attributes) -> bool:
        """Whether a workitem is the one that we sent, as far as it can be told."""
        stored = self.retrieve(uid)
        return all(first(stored, tag) == first(sent, tag) for tag in (_LABEL, _START, _PATIENT_ID))

    def _pages(self, parameters: list[str], limit: int | None, offset: int, page: int) -> Iterator[Attributes]:
        seen: set[str] = set()
        before: list[Attributes] = []
        left = limit
        while left is None or left > 0:
            size = page if left is None else min(page, left)
            path = "/workitems" + query_of([*parameters, f"limit={size}", f"offset={offset}"])
            found = self._found(path)
            # A server that does not page sends the same again; one that changed meanwhile may send some again.
            new = [one for one in found if uid_of(one) not in seen]
            if not new or found == before:
                return
            seen.update(uid for uid in map(uid_of, new) if uid)
            yield from new if left is None else new[:left]
            left = None if left is None else left - len(new)
            offset += len(found)
            before = found

    def _found(self, path: str) -> list[Attributes]:
        answer = attempted(lambda _: expected(self._send("GET", path), 200, 204), self._attempts)
        log_warnings(answer)
        return received(answer)

    def _subscriber(self, uid: str | None, *, filtered: bool) -> str:
        if not self.aetitle:
            raise ValueError("Subscriptions are of an AE title: WorklistClient(..., aetitle=...).")
        if uid is not None and filtered:
            raise ValueError("A subscription is to a workitem, or has a filter.")
        target = uid or (FILTERED_WORKLIST if filtered else WORKLIST)
        return f"{workitem_path(target)}/subscribers/{quote(self.aetitle, safe='')}"

    def _requested(self, path: str) -> str:
        """With who requests it, as editions from 2026 on want it."""
        if not (self.aetitle and self._dialect.requester_parameter):
            return path
        return f"{path}?requester={quote(self.aetitle, safe='')}"


def _transaction_uid(claim: Claim) -> Attributes:
    return {TRANSACTION_UID: {"vr": "UI", "Value": [claim.transaction_uid]}}


def _reason(reason: str, codes: Iterable[Attributes]) -> Attributes:
    """Procedure Step Discontinuation Reason Code Sequence, Reason For Cancellation."""
    items = list(codes)
    found: Attributes = {"0074100E": {"vr": "SQ", "Value": items}} if items else {}
    return found | ({"00741238": {"vr": "LT", "Value": [reason]}} if reason else {})
