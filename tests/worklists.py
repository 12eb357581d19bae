"""A client of the Worklist Service, and what the tests of it send."""

from __future__ import annotations

import json
from typing import Any

from dicomweb_core import OriginServer
from dicomweb_core.codecs.dicom_xml import to_xml
from dicomweb_core.storage.worklists import WorklistStore, WorklistTransaction
from dicomweb_core.values.attributes import Attributes
from dicomweb_core.values.workitems import EventReport
from dicomweb_memory import MemoryInstanceStore
from tests.clients import BASE, JSON, Answer, Client
from tests.entities import attributes
from tests.rules.made_workitems import OURS, performed, sent

UID = "2.25.1"
XML = "application/dicom+xml"
MULTIPART_XML = f'multipart/related; type="{XML}"'
URL = f"{BASE}/workitems/{UID}"
ALL, FILTERED = "1.2.840.10008.5.1.4.34.5", "1.2.840.10008.5.1.4.34.5.1"
DONE = attributes(UnifiedProcedureStepPerformedProcedureSequence=performed())
"""What has to be there before a workitem is completed."""


def warning(text: str) -> str:
    """As the standard prints it: no quotes, a colon (PS3.18 11.4.3.2)."""
    return f"299 {BASE}: {text}"


class WorklistClient(Client):
    """Talks to a server over a worklist."""

    def __init__(self, worklist: WorklistStore, **choices: Any) -> None:
        super().__init__(OriginServer(instances=MemoryInstanceStore(), worklist=worklist, **choices))
        self.worklist = worklist

    def send(self, method: str, target: str, dataset: Attributes | None = None, **headers: str) -> Answer:
        """A data set in JSON, or no payload."""
        if dataset is None:
            return self.request(method, target, **headers)
        return self.request(method, target, json.dumps(dataset).encode(), **{"Content_Type": JSON, **headers})

    def send_xml(self, method: str, target: str, dataset: Attributes) -> Answer:
        return self.request(method, target, to_xml(dataset), Content_Type=XML)

    def create(self, uid: str = UID, /, **values: Any) -> Answer:
        return self.send("POST", f"/workitems?workitem={uid}", sent(**values))

    def change(self, state: str, transaction_uid: str | None = OURS, uid: str = UID, query: str = "") -> Answer:
        values = {} if transaction_uid is None else {"TransactionUID": transaction_uid}
        return self.send("PUT", f"/workitems/{uid}/state{query}", attributes(ProcedureStepState=state, **values))

    def update(self, query: str = "", uid: str = UID, /, **values: Any) -> Answer:
        return self.send("POST", f"/workitems/{uid}{query}", attributes(**values))

    def workitem(self, uid: str = UID) -> Attributes:
        """What Retrieve answers, which it must."""
        answer = self.get(f"/workitems/{uid}")
        assert answer.status == 200, answer.content
        (found,) = answer.json
        assert isinstance(found, dict)
        return found

    def bring(self, state: str | None, uid: str = UID) -> None:
        """A workitem to a state; OURS is its Transaction UID unless it is SCHEDULED. None: there is none."""
        if state is None:
            return
        assert self.create(uid).status == 201
        if state == "SCHEDULED":
            return
        assert self.change("IN PROGRESS", uid=uid).status == 200
        if state != "IN PROGRESS":
            assert self.send("POST", f"/workitems/{uid}?transaction-uid={OURS}", DONE).status == 200
            assert self.change(state, uid=uid).status == 200
        assert value(self.workitem(uid), "00741000") == state

    def subscribe(self, target: str = UID, aet: str = "WATCH", query: str = "") -> Answer:
        return self.request("POST", f"/workitems/{target}/subscribers/{aet}{query}")

    def reports(self, aet: str = "WATCH") -> list[EventReport]:
        """What is queued for an AE, which is then delivered."""
        queued = self.worklist.queued(aet)
        if queued:
            self.worklist.delivered(aet, queued[-1].sequence)
        return [one.report for one in queued]

    def told(self, aet: str = "WATCH") -> list[tuple[str, int, str]]:
        """UID, type and state of the reports."""
        return [(one.workitem, int(one.type), value(one.attributes, "00741000")) for one in self.reports(aet)]

    def delete(self, uid: str = UID) -> None:
        """As the sweep of old workitems does."""

        def decide(transaction: WorklistTransaction) -> None:
            transaction.remove(uid)

        self.worklist.transact(decide)


def value(found: Attributes, tag: str) -> Any:
    """The first value, or an empty text."""
    values = found.get(tag, {}).get("Value") or [""]
    return values[0]
