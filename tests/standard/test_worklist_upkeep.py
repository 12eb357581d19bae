"""Bounded queues, news of a restart, the end of old workitems, on both backends (PS3.4 CC.2.1.3, CC.2.4.3)."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

import pytest

from dicomweb_core import Limits
from dicomweb_core.rules.workitem_changes import WorklistPolicy
from dicomweb_core.storage.worklists import WorklistStore
from dicomweb_lmdb import LMDBWorklistStore
from dicomweb_memory import MemoryWorklistStore
from tests.worklists import ALL, FILTERED, UID, WorklistClient, value

SECOND, THIRD = "2.25.2", "2.25.3"
LOCK = "?deletionlock=true"
RESTARTED = (ALL, 4, "")


def last(number: int) -> list[tuple[str, int, str]]:
    """State Reports of the latest of many subscriptions."""
    return [(UID, 1, "SCHEDULED")] * number


# -- queues -------------------------------------------------------------------------------------------------------


def test_a_full_queue_loses_its_oldest_tenth_and_says_so(worklist: WorklistStore) -> None:
    client = WorklistClient(worklist, limits=Limits(queued_reports=20))
    client.create()
    for count in range(1, 21):
        client.subscribe()
        assert len(worklist.queued("WATCH")) == count
    before = worklist.queued("WATCH")
    client.subscribe()
    after = worklist.queued("WATCH")
    assert len(after) == 20
    assert after[0].report.type == 4
    assert after[0].sequence == before[1].sequence, "where the last one was that is lost"
    assert after[1:19] == before[2:]
    for _ in range(30):
        client.subscribe()
        assert len(worklist.queued("WATCH")) <= 20
    told = client.told()
    assert told[0] == RESTARTED
    assert told.count(RESTARTED) == 1
    assert told[1:] == last(len(told) - 1)


def test_who_listens_does_not_lose_what_was_read_already(worklist: WorklistStore) -> None:
    client = WorklistClient(worklist, limits=Limits(queued_reports=10))
    client.create()
    for _ in range(5):
        client.subscribe()
    events = client.server.events("WATCH", timeout=0)
    numbers = [next(events).sequence for _ in range(5)]
    for _ in range(20):
        client.subscribe()
    rest = list(events)
    assert [one.report.type for one in rest] == [4, *[1] * (len(rest) - 1)]
    assert numbers[-1] < rest[0].sequence
    assert rest[-1].sequence == worklist.latest()


def test_a_queue_that_is_full_for_one_is_not_for_others(worklist: WorklistStore) -> None:
    client = WorklistClient(worklist, limits=Limits(queued_reports=10))
    client.create()
    client.subscribe(aet="OTHER")
    for _ in range(30):
        client.subscribe()
    assert client.told("OTHER") == [(UID, 1, "SCHEDULED")]


def test_who_is_subscribed_to_nothing_more_gets_nothing_more(worklist: WorklistStore) -> None:
    client = WorklistClient(worklist)
    client.create(UID)
    client.create(SECOND)
    client.subscribe(UID)
    client.subscribe(SECOND)
    client.request("DELETE", f"/workitems/{UID}/subscribers/WATCH")
    assert len(worklist.queued("WATCH")) == 2
    client.request("DELETE", f"/workitems/{SECOND}/subscribers/WATCH")
    assert client.reports() == []
    assert list(worklist.receivers()) == []


# -- restart ------------------------------------------------------------------------------------------------------


def test_a_restart_is_told_once_to_each_ae_U104(worklist: WorklistStore) -> None:
    client = WorklistClient(worklist)
    assert client.server.announce_restart() == 0
    client.create()
    client.subscribe(UID, "ONE")
    client.subscribe(ALL, "ALL")
    client.subscribe(FILTERED, "SOME", "?filter=PatientID=NOBODY")
    assert client.server.announce_restart() == 3
    assert client.server.announce_restart() == 0, "one that waits already is enough"
    assert client.told("ONE") == [(UID, 1, "SCHEDULED"), RESTARTED]
    assert client.told("SOME") == [RESTARTED]
    (report,) = client.reports("ALL")
    texts = {tag: value(report.attributes, tag) for tag in report.attributes}
    assert texts == {"00741242": "RESTARTED", "00741244": "WARM START", "00741246": "WARM START"}
    client.subscribe(UID, "ONE")
    client.create(SECOND, PatientID="NOBODY")
    assert client.server.announce_restart() == 3
    assert client.told("ONE") == [(UID, 1, "SCHEDULED"), RESTARTED]


# -- old workitems ------------------------------------------------------------------------------------------------


def aged(worklist: WorklistStore, seconds: float, uid: str = UID) -> None:
    """Lets a workitem have been changed last so long ago."""
    stored = worklist.get(uid)
    worklist.transact(lambda transaction: transaction.put(replace(stored, changed=time.time() - seconds)))


@pytest.mark.parametrize("state", ["SCHEDULED", "IN PROGRESS", "COMPLETED", "CANCELED"])
def test_what_is_final_goes_when_its_time_is_over(worklist: WorklistStore, state: str) -> None:
    client = WorklistClient(worklist, worklist_policy=WorklistPolicy(retention_seconds=3_600))
    client.subscribe(ALL)
    client.bring(state)
    told = len(worklist.queued("WATCH"))
    aged(worklist, 3_500)
    assert client.server.purge_workitems() == 0
    aged(worklist, 3_700)
    final = state in ("COMPLETED", "CANCELED")
    assert client.server.purge_workitems() == final
    assert client.server.purge_workitems() == 0
    assert client.get(f"/workitems/{UID}").status == (410 if final else 200)
    assert client.create().status == 409
    assert len(worklist.queued("WATCH")) == told, "what happened to it is still told"
    assert client.subscribe().status == (410 if final else 201)


def test_without_a_policy_everything_is_kept(worklist: WorklistStore) -> None:
    client = WorklistClient(worklist)
    client.bring("COMPLETED")
    aged(worklist, 1e9)
    assert client.server.purge_workitems() == 0


@pytest.mark.parametrize("target", [UID, ALL, FILTERED])
def test_a_lock_keeps_a_final_workitem_until_it_is_released_U092_U091(worklist: WorklistStore, target: str) -> None:
    client = WorklistClient(worklist, worklist_policy=WorklistPolicy(retention_seconds=0))
    client.bring("COMPLETED")
    aged(worklist, 10)
    client.subscribe(target, query=f"{LOCK}&WorklistLabel=Room%203")
    client.subscribe(aet="NOLOCK")
    assert client.server.purge_workitems() == 0
    if target == UID:
        client.subscribe(query="?deletionlock=false")
    else:
        assert client.request("DELETE", f"/workitems/{target}/subscribers/WATCH").status == 200
    assert client.server.purge_workitems() == 1
    assert client.get(f"/workitems/{UID}").status == 410


def test_a_lock_is_not_held_for_ever_A81(worklist: WorklistStore) -> None:
    policy = WorklistPolicy(retention_seconds=60, lock_seconds=3_600)
    client = WorklistClient(worklist, worklist_policy=policy)
    client.subscribe(ALL, query=LOCK)
    client.bring("CANCELED")
    aged(worklist, 3_500)
    assert client.server.purge_workitems() == 0
    aged(worklist, 3_700)
    assert client.server.purge_workitems() == 1


def test_many_go_in_several_decisions(worklist: WorklistStore) -> None:
    client = WorklistClient(worklist, worklist_policy=WorklistPolicy(retention_seconds=0))
    client.bring("COMPLETED")
    stored = replace(worklist.get(UID), changed=1.0)
    uids = [f"2.25.{number}" for number in range(100, 550)]
    worklist.transact(lambda transaction: [transaction.put(replace(stored, uid=uid)) for uid in uids])
    client.subscribe(uids[7], query=LOCK)
    aged(worklist, 10)
    assert client.server.purge_workitems() == 450
    assert client.get(f"/workitems/{uids[7]}").status == 200
    assert client.get(f"/workitems/{uids[8]}").status == 410


def test_who_creates_sweeps_U092(worklist: WorklistStore) -> None:
    before = WorklistClient(worklist)
    before.bring("COMPLETED")
    before.create(SECOND)
    aged(worklist, 100)
    client = WorklistClient(worklist, worklist_policy=WorklistPolicy(retention_seconds=60))
    assert client.get(f"/workitems/{UID}").status == 200
    client.create(THIRD)
    assert client.get(f"/workitems/{UID}").status == 410
    assert client.get(f"/workitems/{SECOND}").status == 200


# -- a restart changes nothing ------------------------------------------------------------------------------------


def test_a_restart_changes_nothing_U117(tmp_path: Path) -> None:
    client = WorklistClient(LMDBWorklistStore(tmp_path))
    client.subscribe(ALL, "ALL", LOCK)
    client.subscribe(FILTERED, "SOME", "?filter=WorklistLabel=Room%203,PatientID=A%2CB*")
    client.bring("IN PROGRESS")
    client.create(SECOND, PatientID="A,BC")
    client.subscribe(UID, "ONE", LOCK)
    client.bring("COMPLETED", THIRD)
    client.delete(THIRD)
    told = {aet: client.worklist.queued(aet) for aet in ("ALL", "SOME", "ONE")}
    client.server.close()

    again = WorklistClient(LMDBWorklistStore(tmp_path))
    assert {aet: again.worklist.queued(aet) for aet in told} == told
    assert again.change("COMPLETED", "2.25.9").status == 400
    assert again.change("IN PROGRESS").status == 409, "the Transaction UID is known"
    assert again.get(f"/workitems/{THIRD}").status == 410
    for aet in told:
        again.reports(aet)
    again.create("2.25.4", PatientID="A,B")
    again.create("2.25.5", PatientID="A")
    again.change("CANCELED")
    assert [uid for uid, *_ in again.told("ALL")] == ["2.25.4", "2.25.5", UID]
    assert [uid for uid, *_ in again.told("SOME")] == ["2.25.4"]
    assert again.told("ONE") == [(UID, 1, "CANCELED")]
    locks = again.worklist.transact(lambda transaction: transaction.subscriptions(UID))
    assert {one.receiver: one.deletion_lock for one in locks} == {"ALL": True, "ONE": True}
    again.server.close()


def test_a_worklist_in_memory_is_gone_with_its_process() -> None:
    client = WorklistClient(MemoryWorklistStore())
    client.create()
    client.server.close()
    assert WorklistClient(MemoryWorklistStore()).get(f"/workitems/{UID}").status == 404
