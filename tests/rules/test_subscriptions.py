"""Subscriptions to workitems: the table of PS3.4 CC.2.3-2, generators, filters (PS3.18 11.10 to 11.12)."""

from __future__ import annotations

from dataclasses import replace
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dicomweb_core.errors import (
    BadRequest,
    InvalidQuery,
    InvalidWorkitemRequest,
    NoSuchWorkitem,
    TooLarge,
)
from dicomweb_core.http_status import status_of
from dicomweb_core.rules.subscriptions import (
    TRANSITIONS,
    Occasion,
    Standing,
    Subscribing,
    Transition,
    generated,
    granted,
    may_be_deleted,
    of_changed,
    of_created,
    parse_deletion_lock,
    parse_receiver,
    refuse_filters,
    subscribed,
    suspended,
    target_of,
    unsubscribed,
)
from dicomweb_core.rules.workitem_queries import parse_filter
from dicomweb_core.values.limits import Limits
from dicomweb_core.values.queries import AnyUID, Condition, MatchKey, Range, SingleValue, Wildcard, WithinItem
from dicomweb_core.values.workitems import (
    FILTERED_WORKLIST,
    WORKLIST,
    Generator,
    Origin,
    Subscription,
    Workitem,
    WorkitemState,
)
from tests.entities import attributes
from tests.rules.made_workitems import UID, code, of, update, workitem

NS, L, U = Standing
INIT, SILENT = True, False
LIMITS = Limits()
LABEL = "00741202"


def labelled(label: str) -> tuple[MatchKey, ...]:
    return (MatchKey(LABEL, "LO", SingleValue(label)),)


# -- the table ----------------------------------------------------------------------------------------------------

CELLS = [
    # U084
    (Occasion.CREATED_LOCKED, NS, L, INIT),
    (Occasion.CREATED_UNLOCKED, NS, U, INIT),
    # another generator of the same AE came first
    (Occasion.CREATED_LOCKED, L, L, SILENT),
    (Occasion.CREATED_LOCKED, U, L, SILENT),
    (Occasion.CREATED_UNLOCKED, L, L, SILENT),
    (Occasion.CREATED_UNLOCKED, U, U, SILENT),
    # U082, U085
    (Occasion.WORKLIST_LOCKED, NS, L, INIT),
    (Occasion.WORKLIST_LOCKED, L, L, INIT),
    (Occasion.WORKLIST_LOCKED, U, U, INIT),
    # U083, U085
    (Occasion.WORKLIST_UNLOCKED, NS, U, SILENT),
    (Occasion.WORKLIST_UNLOCKED, L, L, SILENT),
    (Occasion.WORKLIST_UNLOCKED, U, U, SILENT),
    # U081
    (Occasion.WORKITEM_LOCKED, NS, L, INIT),
    (Occasion.WORKITEM_LOCKED, L, L, INIT),
    (Occasion.WORKITEM_LOCKED, U, L, INIT),
    # U081, U091
    (Occasion.WORKITEM_UNLOCKED, NS, U, INIT),
    (Occasion.WORKITEM_UNLOCKED, L, U, INIT),
    (Occasion.WORKITEM_UNLOCKED, U, U, INIT),
    # U086, U087
    *((Occasion.UNSUBSCRIBE_WORKITEM, standing, NS, SILENT) for standing in Standing),
    *((Occasion.UNSUBSCRIBE_WORKLIST, standing, NS, SILENT) for standing in Standing),
]


@pytest.mark.parametrize(
    ("occasion", "before", "after", "reported"), CELLS, ids=[f"{o.value}, {b.value}" for o, b, *_ in CELLS]
)
def test_a_cell_of_the_subscription_table(
    occasion: Occasion, before: Standing, after: Standing, reported: bool
) -> None:
    assert TRANSITIONS[occasion, before] == Transition(after, reported)


def test_every_cell_is_in_this_table() -> None:
    assert [(occasion, before) for occasion, before, *_ in CELLS if (occasion, before) not in TRANSITIONS] == []
    assert len(CELLS) == len(TRANSITIONS)


# -- one workitem -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("lock", [True, False])
@pytest.mark.parametrize("before", [None, Subscription(UID, "RIS"), Subscription(UID, "RIS", True, Origin.WORKLIST)])
def test_a_subscription_to_a_workitem_is_specific_and_reported_U081_U091(
    before: Subscription | None, lock: bool
) -> None:
    wanted = Subscription(UID, "RIS", lock, Origin.WORKITEM)
    found = subscribed(UID, "RIS", before, deletion_lock=lock)
    assert found == Subscribing(None if before == wanted else wanted, True)
    assert subscribed(UID, "RIS", wanted, deletion_lock=lock) == Subscribing(None, True)


def test_the_end_of_one_subscription_U086_U089() -> None:
    one = Subscription(UID, "RIS", True, Origin.WORKLIST)
    assert unsubscribed(Origin.WORKITEM, [one]) == (None, (one,))
    with pytest.raises(NoSuchWorkitem) as refused:
        unsubscribed(Origin.WORKITEM, [])
    assert status_of(refused.value) == 404


# -- the worklist -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("lock", "current", "expected"),
    [
        pytest.param(True, None, (Subscription(UID, "RIS", True, Origin.WORKLIST), True), id="U082"),
        pytest.param(False, None, (Subscription(UID, "RIS", False, Origin.WORKLIST), False), id="U083"),
        pytest.param(True, Subscription(UID, "RIS", False), (None, True), id="U085 U082 specific, without lock"),
        pytest.param(False, Subscription(UID, "RIS", True), (None, False), id="U085 specific, with lock"),
        pytest.param(
            True, Subscription(UID, "RIS", True, Origin.FILTERED_WORKLIST), (None, True), id="U085 of a filter"
        ),
    ],
)
def test_what_the_worklist_makes_of_what_is_there(
    lock: bool, current: Subscription | None, expected: tuple[Subscription | None, bool]
) -> None:
    assert generated(Generator("RIS", lock), workitem(), current) == expected


def test_a_filter_makes_what_matches_only_U090() -> None:
    item = workitem(WorklistLabel="CT")
    made = generated(Generator("RIS", True, labelled("CT")), item, None)
    assert made == (Subscription(UID, "RIS", True, Origin.FILTERED_WORKLIST), True)
    assert generated(Generator("RIS", False, labelled("CT")), item, None).reported is False
    assert generated(Generator("RIS", True, labelled("MR")), item, None) == (None, False)


@pytest.mark.parametrize(
    ("generators", "expected"),
    [
        pytest.param([], (), id="none"),
        pytest.param([Generator("A", True)], (("A", True, Origin.WORKLIST),), id="U084 with lock"),
        pytest.param(
            [Generator("A"), Generator("B", False, labelled("CT")), Generator("C", True, labelled("MR"))],
            (("A", False, Origin.WORKLIST), ("B", False, Origin.FILTERED_WORKLIST)),
            id="U084 U090",
        ),
        pytest.param(
            [Generator("A"), Generator("A", True, labelled("CT"))],
            (("A", True, Origin.WORKLIST),),
            id="both of one AE, the filter has the lock",
        ),
        pytest.param(
            [Generator("A", True, labelled("CT")), Generator("A")],
            (("A", True, Origin.WORKLIST),),
            id="both of one AE, the other way round",
        ),
    ],
)
def test_who_is_subscribed_to_a_new_workitem(
    generators: list[Generator], expected: tuple[tuple[str, bool, Origin], ...]
) -> None:
    made = of_created(workitem(WorklistLabel="CT"), generators)
    assert made == tuple(Subscription(UID, *rest) for rest in expected)


def test_a_filter_sees_what_begins_to_match_and_never_takes_back_U090() -> None:
    before = workitem(WorklistLabel="MR")
    after = of(update(before, WorklistLabel="CT"))
    generators = [Generator("A", True, labelled("CT")), Generator("B"), Generator("C", False, labelled("MR"))]
    mine = Subscription(UID, "A", True, Origin.FILTERED_WORKLIST)
    assert of_changed(before, after, [], generators) == (mine,)
    assert of_changed(before, after, [Subscription(UID, "A")], generators) == ()
    # U086: who has left stays away while it goes on matching
    again = of(update(after, ProcedureStepLabel="New"))
    assert of_changed(after, again, [], generators) == ()


def test_a_filter_by_state_sees_a_claim_U090() -> None:
    keys = (MatchKey("00741000", "CS", SingleValue("IN PROGRESS")),)
    before, after = workitem(), workitem(WorkitemState.IN_PROGRESS)
    assert [one.receiver for one in of_changed(before, after, [], [Generator("A", False, keys)])] == ["A"]


SPECIFIC, OF_ALL, OF_FILTER = (Subscription(f"1.{n}", "A", True, origin) for n, origin in enumerate(Origin))


def test_the_end_of_the_worklist_is_the_end_of_everything_U087() -> None:
    everything = (SPECIFIC, OF_ALL, OF_FILTER)
    assert unsubscribed(Origin.WORKLIST, everything, Generator("A")) == (Origin.WORKLIST, everything)
    assert unsubscribed(Origin.WORKLIST, everything) == (None, everything)


def test_the_end_of_a_filter_is_the_end_of_what_it_made() -> None:
    everything = (SPECIFIC, OF_ALL, OF_FILTER)
    made = unsubscribed(Origin.FILTERED_WORKLIST, everything, Generator("A", filter=labelled("CT")))
    assert made == (Origin.FILTERED_WORKLIST, (OF_FILTER,))


def test_suspension_ends_the_generator_only_U088() -> None:
    assert suspended(Origin.WORKLIST, Generator("A", True)) == (Origin.WORKLIST, ())


def test_what_is_not_there_cannot_end_U089() -> None:
    for target in (Origin.WORKLIST, Origin.FILTERED_WORKLIST):
        with pytest.raises(NoSuchWorkitem):
            unsubscribed(target, [])
        with pytest.raises(NoSuchWorkitem):
            suspended(target, None)
    with pytest.raises(NoSuchWorkitem):
        unsubscribed(Origin.FILTERED_WORKLIST, [SPECIFIC, OF_ALL])
    with pytest.raises(InvalidWorkitemRequest) as refused:
        suspended(Origin.WORKITEM, None)
    assert refused.value.code == 0xC314


def test_targets() -> None:
    targets = [target_of(uid) for uid in (WORKLIST, FILTERED_WORKLIST, UID)]
    assert targets == [Origin.WORKLIST, Origin.FILTERED_WORKLIST, Origin.WORKITEM]


@pytest.mark.parametrize("state", list(WorkitemState))
def test_a_lock_keeps_a_final_workitem_U092(state: WorkitemState) -> None:
    item = Workitem(UID, state, {})
    assert may_be_deleted(item, [Subscription(UID, "A", False)]) is state.final
    assert may_be_deleted(item, []) is state.final
    assert may_be_deleted(item, [Subscription(UID, "A", False), Subscription(UID, "B", True)]) is False


def test_a_site_without_locks_or_filters_says_so_U076_U077() -> None:
    assert granted(True, locks=True) == (True, ())
    assert granted(False, locks=False) == (False, ())
    assert granted(True, locks=False) == (False, ("Deletion Lock not granted.",))
    refusal = refuse_filters()
    assert (status_of(refusal), refusal.warning) == (403, "Filtered Worklist Subscriptions are not supported.")


# -- a naive model ------------------------------------------------------------------------------------------------

ACTIONS = ["all+lock", "all", "one+lock", "one", "-one", "-all", "suspend"]


@given(st.lists(st.sampled_from([*ACTIONS, "new"]), max_size=20))
def test_any_sequence_ends_where_a_naive_model_does(actions: list[str]) -> None:
    """One AE, one workitem that is there or comes; what Table CC.2.3-2 says in words."""
    item: Workitem | None = None
    generator: Generator | None = None
    current: Subscription | None = None
    lock: bool | None = None  # of the model: None is not subscribed
    everything: bool | None = None
    for action in actions:
        wanted = action.endswith("+lock")
        if action == "new" and item is None:
            item, lock = workitem(), everything
            (current,) = of_created(item, [generator]) if generator else (None,)
        elif action.startswith("all"):
            everything = wanted
            generator = Generator("A", wanted)
            if item is not None:
                lock = wanted if lock is None else lock
                current = generated(generator, item, current).subscription or current
        elif action.startswith("one") and item is not None:
            lock = wanted
            current = subscribed(UID, "A", current, deletion_lock=wanted).subscription or current
        elif action in ("-one", "-all"):
            target = Origin.WORKITEM if action == "-one" else Origin.WORKLIST
            lock, everything = None, (None if action == "-all" else everything)
            own = generator if action == "-all" else None
            if current is None and own is None:
                continue
            ending = unsubscribed(target, [current] if current else [], own)
            current = None if current in ending.subscriptions else current
            generator = None if ending.generator else generator
        elif action == "suspend" and generator is not None:
            everything = None
            generator = None if suspended(Origin.WORKLIST, generator).generator else generator
        assert (None if current is None else current.deletion_lock) is lock
        assert (None if generator is None else generator.deletion_lock) is everything


# -- parameters ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("text", "expected"), [(None, False), ("true", True), ("false", False)])
def test_deletion_lock_U074(text: str | None, expected: bool) -> None:
    assert parse_deletion_lock(text) is expected


@pytest.mark.parametrize("text", ["", "True", "1", "yes", "false "])
def test_no_deletion_lock_U074(text: str) -> None:
    with pytest.raises(BadRequest):
        parse_deletion_lock(text)


@pytest.mark.parametrize(
    ("text", "title"), [("RIS", "RIS"), (" RIS A ", "RIS A"), ("A" * 16, "A" * 16), ("a/b", "a/b")]
)
def test_ae_titles_U075(text: str, title: str) -> None:
    assert parse_receiver(text) == title


@pytest.mark.parametrize("text", ["", " ", "A" * 17, "A\\B", "A\n", "Ä", "\x7f"])
def test_no_ae_titles_U075(text: str) -> None:
    with pytest.raises(BadRequest):
        parse_receiver(text)


STATION = "ScheduledStationNameCodeSequence.CodeValue"
TWO: dict[str, Condition] = {
    LABEL: SingleValue("CT 1"),
    "00404025": WithinItem((MatchKey("00080100", "SH", SingleValue("A,B")),)),
}


@pytest.mark.parametrize(
    "query",
    [
        pytest.param(f"deletionlock=true&filter=WorklistLabel=CT%201,{STATION}=A%2CB", id="U079 U080 raw"),
        pytest.param(f"filter=WorklistLabel=CT%201,{STATION}=A,B", id="U080 a comma that no attribute follows"),
        pytest.param("filter=" + quote(f"WorklistLabel=CT 1,{STATION}=A,B", safe=""), id="U079 U080 encoded"),
        pytest.param(f"filter=WorklistLabel%3DCT%201,{STATION}%3DA%2CB", id="U079 half encoded"),
        pytest.param("FILTER=" + quote(f"{LABEL}=CT 1,00404025.00080100=A,B", safe=""), id="U079 by tag"),
        pytest.param(f"deletionlock=false&WorklistLabel=CT%201&{STATION}=A%2CB", id="U079 plain parameters"),
        pytest.param(f"requester=X&foo=1&WorklistLabel=CT%201&{STATION}=A,B", id="U079 others are ignored"),
    ],
)
def test_a_filter_in_every_spelling(query: str) -> None:
    keys, text = parse_filter(query, LIMITS)
    assert {key.tag: key.condition for key in keys} == TWO
    assert parse_filter(text, LIMITS) == (keys, text)


@pytest.mark.parametrize(
    ("query", "condition"),
    [
        pytest.param("filter=ProcedureStepState=IN%20PROGRESS", SingleValue("IN PROGRESS"), id="state"),
        pytest.param("filter=ProcedureStepState=*D", SingleValue("*D"), id="U105 no wildcard in a state"),
        pytest.param("filter=ProcedureStepLabel=*D", Wildcard("*D"), id="U105 wildcard"),
        pytest.param(
            "filter=ScheduledProcedureStepStartDateTime=20240101080000+0100-20240102080000-0500",
            Range("20240101080000000000+0100", "20240102080000999999-0500"),
            id="U110 plus is plus",
        ),
        pytest.param(
            "filter=" + quote("ScheduledProcedureStepStartDateTime=20240101-", safe=""),
            Range("20240101000000000000", None),
            id="U110 open",
        ),
        pytest.param("SpecificCharacterSet=ISO_IR%20192&PatientID=1", SingleValue("1"), id="a character set is no key"),
        pytest.param("filter=SOPInstanceUID=1.2,1.3", AnyUID(frozenset({"1.2", "1.3"})), id="list of UIDs"),
        pytest.param(
            "filter=GenderIdentitySequence.EffectiveStartDateTime=2024",
            WithinItem((MatchKey("0040A034", "DT", SingleValue("20240101000000000000")),)),
            id="U105 an attribute of a later edition",
        ),
    ],
)
def test_values_of_a_filter(query: str, condition: Condition) -> None:
    (key,) = parse_filter(query, LIMITS)[0]
    assert key.condition == condition


@pytest.mark.parametrize(
    "query",
    [
        "",
        "filter=",
        "filter",
        "deletionlock=true",
        "deletionlock=true&filter=",
        "foo=1",
        "SpecificCharacterSet=ISO_IR%20192",
    ],
)
def test_a_filter_is_needed_U078(query: str) -> None:
    with pytest.raises(BadRequest):
        parse_filter(query, LIMITS)


@pytest.mark.parametrize(
    "query",
    [
        "filter=foo=1",
        "filter=StudyDate=2020",
        "filter==B",
        "filter=WorklistLabel=A&filter=WorklistLabel=B",
        "filter=TransactionUID=2.25.1",
        "filter=00081195=2.25.1",
        "filter=WorklistLabel=A,WorklistLabel=B",
        "filter=ScheduledStationNameCodeSequence.CodeMeaning=A",
        "filter=WorklistLabel=%ZZ",
        "filter=WorklistLabel=%FF",
        "filter=WorklistLabel=%00",
        "filter=SOPInstanceUID=x",
        "WorklistLabell=A",
        "filter=" + ".".join(["ScheduledStationNameCodeSequence"] * 99) + "=A",
    ],
)
def test_a_filter_that_is_not_understood_is_refused(query: str) -> None:
    with pytest.raises(InvalidQuery) as refused:
        parse_filter(query, LIMITS)
    assert "2.25.1" not in str(refused.value)


def test_a_filter_has_ceilings() -> None:
    with pytest.raises(TooLarge):
        parse_filter("filter=" + "A" * 100, replace(LIMITS, uri_bytes=100))
    with pytest.raises(InvalidQuery):
        parse_filter("filter=WorklistLabel=A,ProcedureStepLabel=B", replace(LIMITS, search_keys=1))


@given(st.text(max_size=60))
def test_no_query_raises_anything_else(text: str) -> None:
    for query in (text, f"filter={text}", f"filter=WorklistLabel={text}", f"filter=WorklistLabel%3D{text}"):
        try:
            keys, again = parse_filter(query, LIMITS)
        except BadRequest:
            continue
        assert parse_filter(again, LIMITS) == (keys, again)


def test_a_filter_is_matched_as_a_search_is_U090() -> None:
    keys, _ = parse_filter(f"filter=WorklistLabel=CT*,{STATION}=CAD01", LIMITS)
    item = workitem(WorklistLabel="CT 1", ScheduledStationNameCodeSequence=[code("X"), code("CAD01")])
    assert of_created(item, [Generator("A", False, keys)])
    other = replace(item, attributes=item.attributes | attributes(WorklistLabel="MR"))
    assert not of_created(other, [Generator("A", False, keys)])
