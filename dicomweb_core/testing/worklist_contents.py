"""Tests of what is in a worklist store: workitems, subscriptions, generators, and searches."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from dicomweb_core.errors import Gone, NotFound
from dicomweb_core.rules.matching import matches
from dicomweb_core.storage.worklists import WorklistStore, WorklistTransaction
from dicomweb_core.testing.store_calls import at_once
from dicomweb_core.testing.workitem_samples import (
    CODE_VALUE,
    LABEL,
    PATIENT_ID,
    START,
    STATE,
    STATION_NAME,
    WorklistMaker,
    in_state,
    put,
    queue,
    remove,
    subscribe,
    text,
    uid_of,
    with_attribute,
    workitem,
)
from dicomweb_core.values.queries import (
    AllValues,
    AnyUID,
    CombinedRange,
    EmptyValue,
    MatchKey,
    Range,
    SingleValue,
    Universal,
    Wildcard,
    WithinItem,
)
from dicomweb_core.values.workitems import Generator, Origin, Subscription, Workitem, WorkitemState

FILTER = (
    MatchKey(STATE, "CS", SingleValue("SCHEDULED")),
    MatchKey("00080018", "UI", AnyUID(frozenset({uid_of(1), uid_of(2)}))),
    MatchKey(STATION_NAME, "SQ", WithinItem((MatchKey(CODE_VALUE, "SH", Wildcard("C?*")),))),
    MatchKey(START, "DT", Range("20260101000000000000+0100", None), timezone=-60),
    MatchKey("00100010", "PN", SingleValue("Müller^?"), fuzzy=True),
    MatchKey("00100030", "DA", CombinedRange("00100032", "20000101000000000000", None)),
    MatchKey("00100040", "CS", EmptyValue()),
    MatchKey("00091001", "UN", AllValues(("a", "b")), creator="ACME"),
    MatchKey("00741204", "LO", Universal()),
)
"""Every kind of condition."""


class WorklistContentConformance(WorklistMaker):
    """What is there, and what is found."""

    # -- workitems --

    def test_what_was_put_can_be_got(self) -> None:
        full = replace(workitem(1, WorkitemState.IN_PROGRESS), transaction_uid="2.25.7", performer="CT1", changed=1.25)
        with self.opened(full, workitem(2)) as store:
            assert store.get(full.uid) == full
            assert store.transact(lambda transaction: transaction.get(full.uid)) == full
            assert store.get(uid_of(2)) == workitem(2)

    def test_put_takes_the_place_of_what_was_there(self) -> None:
        with self.opened(workitem(1), workitem(2)) as store:
            changed = workitem(1, WorkitemState.COMPLETED, start="20270101", station="MR")
            put(store, changed)
            assert store.get(uid_of(1)) == changed
            assert list(store.candidates(())) == [workitem(2), changed]

    def test_what_was_never_there_is_not_found(self) -> None:
        with self.opened(workitem(1)) as store:
            assert _missing(store, uid_of(2)) is NotFound
            assert _missing(store, uid_of(1)[:-1]) is NotFound

    def test_what_was_removed_is_gone_until_it_is_put_again(self) -> None:
        with self.opened(workitem(1), workitem(2), workitem(3)) as store:
            remove(store, 1)
            remove(store, 1)
            remove(store, 9)
            assert [_missing(store, uid_of(number)) for number in (1, 2, 9)] == [Gone, None, NotFound]
            assert _uids(store) == [uid_of(2), uid_of(3)]
            put(store, workitem(1))
            assert _missing(store, uid_of(1)) is None
            assert store.get(uid_of(1)) == workitem(1)

    def test_removal_takes_the_subscriptions_and_leaves_the_reports(self) -> None:
        with self.opened(workitem(1), workitem(2)) as store:
            subscribe(store, *(Subscription(uid_of(number), one) for number in (1, 2) for one in ("A", "B")))
            queue(store, "A", 1, 2)
            remove(store, 1)
            assert store.transact(lambda transaction: transaction.subscriptions(uid_of(1))) == ()
            left = store.transact(lambda transaction: list(transaction.subscriptions_of("A")))
            assert left == [Subscription(uid_of(2), "A")]
            assert len(store.queued("A")) == 2
            put(store, workitem(1))
            assert store.transact(lambda transaction: transaction.subscriptions(uid_of(1))) == ()

    def test_nobody_else_can_change_what_is_stored(self) -> None:
        given = workitem(1)
        with self.opened(given) as store:
            given.attributes[LABEL]["Value"][0] = "Changed"
            store.get(given.uid).attributes.clear()
            next(iter(store.candidates(()))).attributes.clear()

            def decide(transaction: WorklistTransaction) -> None:
                found = transaction.get(given.uid)
                assert found is not None
                found.attributes.clear()

            store.transact(decide)
            assert store.get(given.uid) == workitem(1)

    def test_uids_ascend_and_the_transaction_may_write_meanwhile(self) -> None:
        with self.opened(*(workitem(number) for number in reversed(range(2_500)))) as store:

            def decide(transaction: WorklistTransaction) -> list[str]:
                seen = []
                for uid in transaction.uids():
                    seen.append(uid)
                    number = int(uid[5:]) - 10_000
                    if number % 3 == 0:
                        transaction.remove(uid)
                    elif number % 3 == 1:
                        transaction.put(workitem(number, WorkitemState.CANCELED))
                return seen

            assert store.transact(decide) == [uid_of(number) for number in range(2_500)]
            assert _uids(store) == [uid_of(number) for number in range(2_500) if number % 3]

    # -- subscriptions and generators --

    def test_subscriptions_both_ways(self) -> None:
        with self.opened(workitem(1), workitem(11), replace(workitem(1), uid=uid_of(1) + "1")) as store:
            uids = [uid_of(1), uid_of(1) + "1", uid_of(11)]
            made = [
                Subscription(uid, receiver, receiver == "AB", Origin(origin))
                for uid, origin in zip(uids, ("workitem", "worklist", "filtered worklist"), strict=True)
                for receiver in ("A", "AB", "ABC", "Ä")
            ]
            subscribe(store, *reversed(made))

            def decide(transaction: WorklistTransaction) -> None:
                for uid in uids:
                    assert list(transaction.subscriptions(uid)) == [one for one in made if one.workitem == uid]
                for receiver in ("A", "AB", "ABC", "Ä", "B", ""):
                    expected = [one for one in made if one.receiver == receiver]
                    assert list(transaction.subscriptions_of(receiver)) == expected
                assert transaction.subscriptions(uid_of(2)) == ()

            store.transact(decide)

    def test_a_subscription_takes_the_place_of_the_one_before(self) -> None:
        with self.opened(workitem(1)) as store:
            subscribe(store, Subscription(uid_of(1), "A", deletion_lock=True, origin=Origin.WORKLIST))
            subscribe(store, Subscription(uid_of(1), "A"), Subscription(uid_of(1), "B"))

            def unsubscribe(transaction: WorklistTransaction) -> None:
                assert transaction.subscriptions(uid_of(1))[0] == Subscription(uid_of(1), "A")
                transaction.unsubscribe(uid_of(1), "B")
                transaction.unsubscribe(uid_of(1), "C")
                transaction.unsubscribe(uid_of(2), "A")

            store.transact(unsubscribe)
            assert store.transact(lambda transaction: transaction.subscriptions(uid_of(1))) == (
                Subscription(uid_of(1), "A"),
            )

    def test_subscriptions_of_a_receiver_may_be_taken_away_while_they_are_listed(self) -> None:
        with self.opened(*(workitem(number) for number in range(20))) as store:
            subscribe(store, *(Subscription(uid_of(number), "A") for number in range(20)))

            def decide(transaction: WorklistTransaction) -> int:
                count = 0
                for one in transaction.subscriptions_of("A"):
                    transaction.unsubscribe(one.workitem, "A")
                    count += 1
                return count

            assert store.transact(decide) == 20
            assert store.transact(lambda transaction: list(transaction.subscriptions_of("A"))) == []

    def test_generators_one_of_each_kind_and_receiver(self) -> None:
        filtered = Generator("A", deletion_lock=True, filter=FILTER, filter_text="PatientName=M%C3%BCller")
        with self.opened() as store:
            for one in (Generator("B"), filtered, Generator("A"), Generator("AB", filter=(), filter_text="")):
                store.transact(lambda transaction, one=one: transaction.put_generator(one))  # type: ignore[misc]
            expected = (Generator("A"), filtered, Generator("AB", filter=()), Generator("B"))
            assert store.transact(lambda transaction: transaction.generators()) == expected

            def change(transaction: WorklistTransaction) -> None:
                transaction.put_generator(Generator("B", deletion_lock=True))
                transaction.remove_generator("A", filtered=False)
                transaction.remove_generator("B", filtered=True)

            store.transact(change)
            left = (filtered, Generator("AB", filter=()), Generator("B", deletion_lock=True))
            assert store.transact(lambda transaction: transaction.generators()) == left

    # -- searches --

    def test_candidates_come_by_start_and_uid(self) -> None:
        starts = ("202602", "20260101", "2027", "20260101", "20260131235959.5", "2025123124", None, "20260101000000")
        made = [workitem(number, start=start) for number, start in enumerate(starts) if start != "2025123124"]
        with self.opened(*reversed(made)) as store:
            dated = [one.uid for one in store.candidates(()) if "Value" in one.attributes[START]]
            assert dated == [uid_of(number) for number in (1, 3, 7, 4, 0, 2)]
            assert len(list(store.candidates(()))) == len(made)

    def test_candidates_are_never_too_few_and_follow_every_change(self) -> None:
        made = {one.uid: one for one in _variety()}
        with self.opened(*made.values()) as store:
            _check_searches(store, made)
            for number in range(0, 40, 3):
                made[uid_of(number)] = workitem(number, WorkitemState.COMPLETED, start="20260701", station="XA")
            put(store, *made.values())
            remove(store, *range(1, 40, 5))
            for number in range(1, 40, 5):
                del made[uid_of(number)]
            _check_searches(store, made)

    def test_a_search_holds_nothing_and_misses_nothing_while_others_write(self) -> None:
        made = [workitem(number, start=f"2026010{number % 9 + 1}") for number in range(300)]
        with self.opened(*made) as store:
            search = iter(store.candidates((MatchKey(STATE, "CS", SingleValue("SCHEDULED")),)))
            seen = [next(search)]
            at_once(2, lambda n: put(store, workitem(1_000 + n, start="2025")))
            for number, one in enumerate(search):
                seen.append(one)
                if number < 50:
                    put(store, workitem(2_000 + number, start="20260102"))
                    remove(store, 3 * number + 1)
            uids = [one.uid for one in seen]
            assert len(set(uids)) == len(uids), "seen twice"
            left = {uid_of(number) for number in range(300) if not (number % 3 == 1 and number < 150)}
            assert left <= set(uids), "missed"
            assert seen == sorted(seen, key=lambda one: (one.attributes[START]["Value"][0], one.uid))


def _missing(store: WorklistStore, uid: str) -> type[NotFound] | None:
    """Whether a workitem is missing, and why. Store and transaction have to agree."""
    found, deleted = store.transact(lambda transaction: (transaction.get(uid), transaction.was_deleted(uid)))
    raised: type[NotFound] | None = None
    try:
        store.get(uid)
    except NotFound as error:
        raised = type(error)
    assert (found is None) is (raised is not None)
    assert deleted is (raised is Gone)
    return raised


def _uids(store: WorklistStore) -> list[str]:
    return store.transact(lambda transaction: list(transaction.uids()))


def _variety() -> Iterator[Workitem]:
    states = tuple(WorkitemState)
    for number in range(40):
        made = workitem(
            number,
            states[number % 4],
            start=f"202601{number % 28 + 1:02}{number % 24:02}{('', '+1400', '-1200')[number % 3]}",
            station=f"ST{number % 5}",
            label=("Größe", "Label " + "x" * 120 + "y" * (number % 2))[number % 2],
            patient_id=f"P{number // 4}",
        )
        yield with_attribute(made, "00080201", text("SH", "+0900")) if number % 7 == 0 else made
    yield with_attribute(workitem(40), START, text("DT", "20260105", "20270101"))
    yield with_attribute(workitem(41), START, text("DT", "soon"))
    stations = [{CODE_VALUE: text("SH", code)} for code in ("ST1", " ST2 ")]
    yield with_attribute(workitem(42), STATION_NAME, {"vr": "SQ", "Value": stations})
    yield with_attribute(workitem(43), STATION_NAME, {"vr": "SQ"})
    yield in_state(with_attribute(workitem(44), PATIENT_ID, text("LO", None)), WorkitemState.CANCELED)


def _check_searches(store: WorklistStore, made: dict[str, Workitem]) -> None:
    everything = list(store.candidates(()))
    assert {one.uid: one for one in everything} == made
    order = [one.uid for one in everything]
    for keys in _SEARCHES:
        found = [one for one in store.candidates(keys) if matches(keys, one.attributes)]
        expected = [uid for uid in order if matches(keys, made[uid].attributes)]
        assert [one.uid for one in found] == expected, keys
        assert all(made[one.uid] == one for one in found)


def _station(*keys: MatchKey) -> MatchKey:
    return MatchKey(STATION_NAME, "SQ", WithinItem(keys))


_STATES = tuple((MatchKey(STATE, "CS", SingleValue(state.value)),) for state in WorkitemState)
_STATION = _station(MatchKey(CODE_VALUE, "SH", SingleValue("ST1")))

_SEARCHES: tuple[tuple[MatchKey, ...], ...] = (
    *_STATES,
    (_STATION,),
    (*_STATES[0], _STATION),
    (*_STATES[2], _STATION, MatchKey(PATIENT_ID, "LO", SingleValue("P9"))),
    (_station(MatchKey(CODE_VALUE, "SH", SingleValue("ST2")), MatchKey("00080102", "SH", SingleValue("99LOCAL"))),),
    (_station(MatchKey(CODE_VALUE, "SH", Wildcard("ST*"))),),
    (MatchKey(STATION_NAME, "SQ", EmptyValue()),),
    (_station(MatchKey(CODE_VALUE, "SH", EmptyValue())),),
    (MatchKey(STATION_NAME, "SQ", WithinItem((MatchKey(CODE_VALUE, "SH", Universal()),))),),
    (MatchKey(LABEL, "LO", SingleValue("Gro\u0308ße")),),
    (MatchKey(LABEL, "LO", SingleValue("Label " + "x" * 120)),),
    (MatchKey(LABEL, "LO", Wildcard("*bel*")),),
    (MatchKey(PATIENT_ID, "LO", SingleValue("P3")),),
    (MatchKey(PATIENT_ID, "LO", SingleValue("P1")), MatchKey(PATIENT_ID, "LO", Wildcard("P1*"))),
    (MatchKey(PATIENT_ID, "LO", AllValues(("P3",))),),
    (MatchKey(PATIENT_ID, "LO", AllValues(("P3", "P4"))),),
    (MatchKey(PATIENT_ID, "LO", EmptyValue()),),
    (MatchKey("00080018", "UI", AnyUID(frozenset({uid_of(3), uid_of(4), uid_of(99), ""}))),),
    (MatchKey("00080018", "UI", SingleValue(uid_of(8))), *_STATES[0]),
    (MatchKey(START, "DT", SingleValue("20260103020000000000")),),
    (MatchKey(START, "DT", Range("20260103000000000000", "20260109235959999999")),),
    (MatchKey(START, "DT", Range("20260103000000000000+1400", "20260109235959999999-1200")),),
    (MatchKey(START, "DT", Range("20260103000000000000", None), timezone=840), *_STATES[1]),
    (MatchKey(START, "DT", Range(None, "20260109235959999999"), timezone=-720), _STATION),
    (MatchKey(START, "DT", Range("20260103000000000000", None)), MatchKey(START, "DT", Range(None, "20260104"))),
    (MatchKey(START, "DT", Range("20261231000000000000", None)),),
    (MatchKey(START, "DT", Range("20260110000000000000+0900", "20260110235959999999+0900")),),
    (MatchKey(START, "DT", EmptyValue()),),
)
