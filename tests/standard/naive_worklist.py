"""A model of the Worklist Service that is as naive as it can be: what PS3.18 11 and PS3.4 CC say, in ifs and dicts.

It shares no code with the server, and is compared with it in `test_worklist_machine`. Where the standard leaves
something open it does what the decisions in ARCHITECTURE.md and `rules/subscriptions.py` say.
"""

from __future__ import annotations

from dataclasses import dataclass, field

ALL, FILTERED = "1.2.840.10008.5.1.4.34.5", "1.2.840.10008.5.1.4.34.5.1"

MISSING = "The Transaction UID is missing."
INCORRECT = "The Transaction UID is incorrect."
CHANGE = "The submitted request is inconsistent with the state of the UPS Instance."
UPDATE = "The submitted request is inconsistent with the current state of the Workitem."
UNCLAIMED = "The target URI did not reference a claimed Workitem."
ALREADY = "The UPS is already in the requested state of {}."
CREATED_MODIFIED = "The Workitem was created with modifications."

FINAL = ("COMPLETED", "CANCELED")
RESTARTED = (ALL, 4, "RESTARTED")

Answer = tuple[int, str]
"""Status, and the text of a Warning or nothing."""
Content = tuple[str | int, ...]
"""UID, type and what else is in an event."""


@dataclass(eq=False)
class Waiting:
    """An event for an AE. `sequence` and `text` are those of the server, once it has told them."""

    content: Content
    sequence: int = 0
    text: bytes = b""


@dataclass
class Item:
    """A workitem."""

    uid: str
    label: str
    station: str
    state: str = "SCHEDULED"
    owner: str | None = None
    readiness: str = "READY"
    progress: str = ""
    reason: str = ""
    performed: bool = False

    def report(self) -> Content:
        canceled = self.state == "CANCELED"
        return (self.uid, 1, self.state, self.readiness, self.reason if canceled else "", "110513" if canceled else "")

    def assigned(self) -> Content:
        return (self.uid, 5, self.station)


@dataclass
class Subscribed:
    lock: bool
    by: str
    """`one`, `all` or `filter`."""


@dataclass
class Naive:
    """The server. Its methods are requests."""

    items: dict[str, Item] = field(default_factory=dict)
    removed: set[str] = field(default_factory=set)
    subscriptions: dict[tuple[str, str], Subscribed] = field(default_factory=dict)
    """By AE and UID."""
    worklists: dict[str, bool] = field(default_factory=dict)
    """AE -> with lock"""
    filters: dict[str, tuple[bool, str, str]] = field(default_factory=dict)
    """AE -> with lock, attribute, value"""
    queues: dict[str, list[Waiting]] = field(default_factory=dict)
    swept: bool = False

    # -- events --

    def tell(self, aet: str, *contents: Content) -> None:
        self.queues.setdefault(aet, []).extend(map(Waiting, contents))

    def tell_all(self, uid: str, *contents: Content) -> None:
        for aet, about in list(self.subscriptions):
            if about == uid:
                self.tell(aet, *contents)

    def forget(self, aet: str, up_to: int) -> None:
        self.queues[aet] = [one for one in self.queues.get(aet, []) if not 0 < one.sequence <= up_to]

    def matches(self, aet: str, item: Item) -> bool:
        if aet not in self.filters:
            return False
        _, attribute, value = self.filters[aet]
        return {"WorklistLabel": item.label, "ProcedureStepState": item.state}[attribute] == value

    # -- workitems --

    def create(self, uid: str, label: str | None, station: str) -> Answer:
        if uid in self.items or uid in self.removed or uid in (ALL, FILTERED):
            return 409, ""
        item = self.items[uid] = Item(uid, label or "Default", station)
        for aet in sorted({*self.worklists, *self.filters}):
            by_filter = self.matches(aet, item)
            if aet in self.worklists or by_filter:
                lock = self.worklists.get(aet, False) or (by_filter and self.filters[aet][0])
                self.subscriptions[aet, uid] = Subscribed(lock, "all" if aet in self.worklists else "filter")
                self.tell(aet, item.report(), *([item.assigned()] if station else []))
        if not self.swept:
            self.swept = True
            self.purge()
        return 201, "" if label else CREATED_MODIFIED

    def missing(self, uid: str) -> Answer | None:
        if uid in self.items:
            return None
        return (410 if uid in self.removed else 404), ""

    def update(self, uid: str, owner: str | None, what: str, value: str) -> Answer:
        if (answer := self.missing(uid)) is not None:
            return answer
        item = self.items[uid]
        if item.state in FINAL:
            return 400, UPDATE
        if item.state == "SCHEDULED" and owner is not None:
            return 409, UNCLAIMED
        if item.state == "IN PROGRESS" and owner != item.owner:
            return 400, UPDATE
        if what == "forbidden":
            return 400, ""
        matched = {aet for aet in self.filters if self.matches(aet, item)}
        if what == "performed":
            item.performed = True
        elif getattr(item, what) != value:
            setattr(item, what, value)
            if what == "readiness":
                self.tell_all(uid, item.report())
            elif what == "progress":
                self.tell_all(uid, (uid, 3, value))
            elif what == "station":
                self.tell_all(uid, item.assigned())
        self.begin_to_match(item, matched)
        return 200, ""

    def begin_to_match(self, item: Item, matched: set[str]) -> None:
        for aet in sorted(self.filters):
            if aet not in matched and self.matches(aet, item) and (aet, item.uid) not in self.subscriptions:
                self.subscriptions[aet, item.uid] = Subscribed(self.filters[aet][0], "filter")
                self.tell(aet, item.report())

    def move(self, item: Item, state: str) -> None:
        item.state = state
        self.tell_all(item.uid, item.report())

    def change(self, uid: str, state: str, owner: str | None) -> Answer:
        if (answer := self.missing(uid)) is not None:
            return answer
        item = self.items[uid]
        matched = {aet for aet in self.filters if self.matches(aet, item)}
        if state not in ("SCHEDULED", "IN PROGRESS", *FINAL):
            return 400, ""
        if state == "SCHEDULED":
            return 409, CHANGE
        if owner is None:
            return 400, MISSING
        if item.state != "SCHEDULED" and owner != item.owner:
            return 400, INCORRECT
        if state == item.state and state in FINAL:
            return 200, ALREADY.format(state)
        if state == "IN PROGRESS" and item.state == "SCHEDULED":
            item.owner = owner
        elif item.state != "IN PROGRESS" or state == "IN PROGRESS" or (state == "COMPLETED" and not item.performed):
            return 409, CHANGE
        self.move(item, state)
        self.begin_to_match(item, matched)
        return 200, ""

    def request_cancellation(self, uid: str, requester: str, reason: str) -> Answer:
        if (answer := self.missing(uid)) is not None:
            return answer
        item = self.items[uid]
        matched = {aet for aet in self.filters if self.matches(aet, item)}
        if item.state == "COMPLETED":
            return 409, ""
        if item.state == "CANCELED":
            return 202, ALREADY.format("CANCELED")
        if item.state == "IN PROGRESS":
            self.tell_all(uid, (uid, 2, requester or "UNKNOWN", reason))
            return 202, ""
        item.reason = reason
        self.move(item, "IN PROGRESS")
        self.move(item, "CANCELED")
        self.begin_to_match(item, matched)
        return 202, ""

    def search(self, state: str, label: str) -> list[str]:
        found = [item for item in self.items.values() if state in ("", item.state) and label in ("", item.label)]
        return sorted(item.uid for item in found)

    def purge(self) -> int:
        locked = {uid for (_, uid), one in self.subscriptions.items() if one.lock}
        gone = {uid for uid, item in self.items.items() if item.state in FINAL and uid not in locked}
        self.removed |= gone
        self.items = {uid: item for uid, item in self.items.items() if uid not in gone}
        self.subscriptions = {key: one for key, one in self.subscriptions.items() if key[1] not in gone}
        return len(gone)

    # -- subscriptions --

    def subscribe(self, aet: str, uid: str, lock: bool) -> Answer:
        if (answer := self.missing(uid)) is not None:
            return answer
        self.subscriptions[aet, uid] = Subscribed(lock, "one")
        self.tell(aet, self.items[uid].report())
        return 201, ""

    def subscribe_worklist(self, aet: str, lock: bool, filter_: tuple[str, str] | None) -> Answer:
        if filter_ is None:
            self.worklists[aet] = lock
        else:
            self.filters[aet] = (lock, *filter_)
        for uid, item in sorted(self.items.items()):
            if filter_ is None or self.matches(aet, item):
                self.subscriptions.setdefault((aet, uid), Subscribed(lock, "filter" if filter_ else "all"))
                if lock:
                    self.tell(aet, item.report())
        return 201, ""

    def unsubscribe(self, aet: str, uid: str) -> Answer:
        mine = {about: one for (whose, about), one in self.subscriptions.items() if whose == aet}
        generator = None
        if uid == ALL:
            generator, ended = self.worklists.pop(aet, None), set(mine)
        elif uid == FILTERED:
            generator = self.filters.pop(aet, None)
            ended = {about for about, one in mine.items() if one.by == "filter"}
        else:
            ended = {uid} & set(mine)
        if generator is None and not ended:
            return 404, ""
        for about in ended:
            del self.subscriptions[aet, about]
        if aet not in self.worklists and aet not in self.filters and set(mine) == ended:
            self.queues.pop(aet, None)
        return 200, ""

    def suspend(self, aet: str, uid: str) -> Answer:
        if uid not in (ALL, FILTERED):
            return 400, ""
        table: dict[str, bool] | dict[str, tuple[bool, str, str]] = self.worklists if uid == ALL else self.filters
        if aet not in table:
            return 404, ""
        del table[aet]
        return 200, ""

    def restart(self) -> None:
        """Told to all who have a subscription, or events that wait; not twice in a row."""
        self.swept = False
        known = {aet for aet, _ in self.subscriptions} | {*self.worklists, *self.filters}
        for aet in sorted(known | {aet for aet, queue in self.queues.items() if queue}):
            queue = self.queues.get(aet)
            if not queue or queue[-1].content != RESTARTED:
                self.tell(aet, RESTARTED)
