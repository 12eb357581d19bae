"""Subscribe, unsubscribe and suspend over HTTP, on both backends (PS3.18 11.10 to 11.12, PS3.4 Table CC.2.3-2)."""

from __future__ import annotations

from urllib.parse import quote

import pytest

from dicomweb_core.rules.workitem_changes import WorklistPolicy
from dicomweb_core.storage.worklists import WorklistStore
from tests.rules.made_workitems import code
from tests.worklists import ALL, FILTERED, UID, WorklistClient, warning

SECOND, THIRD = "2.25.2", "2.25.3"
LOCK = "?deletionlock=true"


@pytest.fixture
def client(worklist: WorklistStore) -> WorklistClient:
    made = WorklistClient(worklist)
    made.create(UID, WorklistLabel="A")
    made.create(SECOND, WorklistLabel="B, C")
    return made


def locks(client: WorklistClient, aet: str = "WATCH") -> dict[str, bool]:
    """The workitems that an AE is subscribed to, and whether it has a lock."""
    return client.worklist.transact(
        lambda transaction: {one.workitem: one.deletion_lock for one in transaction.subscriptions_of(aet)}
    )


def unsubscribe(client: WorklistClient, target: str) -> int:
    return client.request("DELETE", f"/workitems/{target}/subscribers/WATCH").status


def suspend(client: WorklistClient, target: str) -> int:
    return client.request("POST", f"/workitems/{target}/subscribers/WATCH/suspend").status


@pytest.mark.parametrize(
    ("base", "url"),
    [
        ("http://archive.example/dicom-web", "ws://archive.example/dicom-web/subscribers/WATCH%201"),
        ("https://archive.example:8443", "wss://archive.example:8443/subscribers/WATCH%201"),
    ],
)
def test_subscribe_says_where_to_connect_U072(client: WorklistClient, base: str, url: str) -> None:
    client.base_url = base
    answer = client.subscribe(aet="WATCH%201")
    assert (answer.status, answer.content) == (201, b"")
    assert answer.header("Content-Location") == answer.header("Location") == url


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        pytest.param("POST", f"/workitems/{THIRD}/subscribers/A", 404, id="U073"),
        pytest.param("POST", f"/workitems/{UID}/subscribers/A?deletionlock=yes", 400, id="U074"),
        pytest.param("POST", f"/workitems/{UID}/subscribers/A?deletionlock=", 400, id="U074 empty"),
        pytest.param("POST", f"/workitems/{UID}/subscribers/{'A' * 17}", 400, id="U075 long"),
        pytest.param("POST", f"/workitems/{UID}/subscribers/%20", 400, id="U075 empty"),
        pytest.param("POST", f"/workitems/{UID}/subscribers/A%5CB", 400, id="U075 backslash"),
        pytest.param("POST", f"/workitems/{FILTERED}/subscribers/A", 400, id="U078"),
        pytest.param("POST", f"/workitems/{FILTERED}/subscribers/A?filter=", 400, id="U078 empty"),
        pytest.param("POST", f"/workitems/{FILTERED}/subscribers/A?filter=NoSuch=1", 400, id="U078 unknown"),
        pytest.param("DELETE", f"/workitems/{UID}/subscribers/A", 404, id="U089"),
        pytest.param("DELETE", f"/workitems/{ALL}/subscribers/A", 404, id="U089 worklist"),
        pytest.param("DELETE", f"/workitems/{FILTERED}/subscribers/A", 404, id="U089 filtered"),
        pytest.param("POST", f"/workitems/{ALL}/subscribers/A/suspend", 404, id="U089 suspend"),
        pytest.param("POST", f"/workitems/{UID}/subscribers/A/suspend", 400, id="suspend a workitem"),
    ],
)
def test_refused(client: WorklistClient, method: str, path: str, status: int) -> None:
    assert client.request(method, path).status == status
    assert locks(client, "A") == {}
    assert list(client.worklist.receivers()) == []


def test_a_site_grants_no_locks_U076(worklist: WorklistStore) -> None:
    client = WorklistClient(worklist, worklist_policy=WorklistPolicy(deletion_locks=False))
    client.create()
    answer = client.subscribe(query=LOCK)
    assert (answer.status, answer.header("Warning")) == (201, warning("Deletion Lock not granted."))
    assert locks(client) == {UID: False}


def test_a_site_has_no_filters_U077(worklist: WorklistStore) -> None:
    client = WorklistClient(worklist, worklist_policy=WorklistPolicy(filtered_subscriptions=False))
    answer = client.subscribe(FILTERED, query="?filter=WorklistLabel=A")
    assert answer.status == 403
    assert answer.header("Warning") == warning("Filtered Worklist Subscriptions are not supported.")


@pytest.mark.parametrize(
    ("query", "uids"),
    [
        pytest.param("?filter=WorklistLabel=A", {UID}, id="U079 raw"),
        pytest.param("?deletionlock=false&filter=WorklistLabel%3DA", {UID}, id="U079 encoded"),
        pytest.param("?WorklistLabel=A", {UID}, id="U079 parameters"),
        pytest.param("?filter=WorklistLabel=A,ProcedureStepState=SCHEDULED", {UID}, id="U079 two"),
        pytest.param("?filter=" + quote("WorklistLabel=A,ProcedureStepState=COMPLETED"), set(), id="U079 two encoded"),
        pytest.param("?filter=WorklistLabel=B%2C%20C", {SECOND}, id="U080 comma"),
        pytest.param("?filter=ScheduledStationNameCodeSequence.CodeValue=CT1", {THIRD}, id="U080 sequence"),
    ],
)
def test_a_filter_matches_U079_U080_U090(client: WorklistClient, query: str, uids: set[str]) -> None:
    client.create(THIRD, ScheduledStationNameCodeSequence=[code("CT1")])
    assert client.subscribe(FILTERED, query=query).status == 201
    assert set(locks(client)) == uids


def test_a_filter_is_about_new_and_changed_workitems_U090(client: WorklistClient) -> None:
    client.subscribe(FILTERED, query="?filter=WorklistLabel=A")
    client.create(THIRD, WorklistLabel="A")
    client.create("2.25.4", WorklistLabel="Z")
    assert set(locks(client)) == {UID, THIRD}
    assert client.told() == [(THIRD, 1, "SCHEDULED")]
    client.update("", SECOND, WorklistLabel="A")
    assert set(locks(client)) == {UID, SECOND, THIRD}
    assert client.told() == [(SECOND, 1, "SCHEDULED")]
    client.update("", UID, WorklistLabel="Z")
    assert set(locks(client)) == {UID, SECOND, THIRD}
    assert unsubscribe(client, FILTERED) == 200
    assert locks(client) == {}


def test_who_subscribes_to_a_workitem_is_told_its_state_U081(client: WorklistClient) -> None:
    client.subscribe(aet="OTHER")
    client.reports("OTHER")
    for _ in range(2):
        assert client.subscribe().status == 201
        assert client.told() == [(UID, 1, "SCHEDULED")]
    assert client.reports("OTHER") == []


@pytest.mark.parametrize(
    ("query", "lock", "told"),
    [
        pytest.param(LOCK, True, [(UID, 1, "SCHEDULED"), (SECOND, 1, "SCHEDULED")], id="U082"),
        pytest.param("?deletionlock=false", False, [], id="U083"),
        pytest.param("", False, [], id="U083 without parameter"),
    ],
)
def test_subscription_to_the_worklist_U082_U083_U084(
    client: WorklistClient, query: str, lock: bool, told: list[tuple[str, int, str]]
) -> None:
    assert client.subscribe(ALL, query=query).status == 201
    assert locks(client) == {UID: lock, SECOND: lock}
    assert client.told() == told
    client.create(THIRD)
    assert locks(client) == {UID: lock, SECOND: lock, THIRD: lock}
    assert client.told() == [(THIRD, 1, "SCHEDULED")]


def test_the_worklist_leaves_locks_of_workitems_U085_U091(client: WorklistClient) -> None:
    client.subscribe(UID, query=LOCK)
    client.subscribe(SECOND)
    client.subscribe(ALL)
    assert locks(client) == {UID: True, SECOND: False}
    client.subscribe(ALL, query=LOCK)
    assert locks(client) == {UID: True, SECOND: False}
    client.subscribe(UID, query="?deletionlock=false")
    assert locks(client) == {UID: False, SECOND: False}


def test_one_workitem_is_silenced_U086(client: WorklistClient) -> None:
    client.subscribe(ALL)
    assert unsubscribe(client, UID) == 200
    for uid in (UID, SECOND):
        assert client.change("IN PROGRESS", uid=uid).status == 200
    assert client.told() == [(SECOND, 1, "IN PROGRESS")]
    assert unsubscribe(client, UID) == 404


def test_the_end_of_a_subscription_to_the_worklist_ends_all_U087(client: WorklistClient) -> None:
    client.subscribe(UID, query=LOCK)
    client.subscribe(ALL, query=LOCK)
    assert unsubscribe(client, ALL) == 200
    assert locks(client) == {}
    assert list(client.worklist.receivers()) == []
    client.create(THIRD)
    assert client.reports() == []
    assert unsubscribe(client, ALL) == 404


@pytest.mark.parametrize(("target", "query"), [(ALL, LOCK), (FILTERED, LOCK + "&filter=WorklistLabel=A")])
def test_suspension_keeps_what_is_there_U088(client: WorklistClient, target: str, query: str) -> None:
    client.subscribe(target, query=query)
    present = locks(client)
    client.reports()
    assert suspend(client, target) == 200
    assert suspend(client, target) == 404
    client.create(THIRD, WorklistLabel="A")
    assert locks(client) == present
    client.change("IN PROGRESS")
    assert client.told() == [(UID, 1, "IN PROGRESS")]


def test_both_subscriptions_of_an_ae_to_the_worklist_are_kept_apart(client: WorklistClient) -> None:
    client.subscribe(ALL)
    client.subscribe(FILTERED, query="?filter=WorklistLabel=A")
    assert suspend(client, ALL) == 200
    client.create(THIRD, WorklistLabel="A")
    client.create("2.25.4", WorklistLabel="Z")
    assert set(locks(client)) == {UID, SECOND, THIRD}


def test_reports_of_changes_in_order_U098_U099_U100(client: WorklistClient) -> None:
    client.subscribe()
    client.reports()
    client.update(ProcedureStepLabel="New")
    assert client.told() == []
    client.update(InputReadinessState="INCOMPLETE", ScheduledStationNameCodeSequence=[code("CT1")])
    assert [kind for _, kind, _ in client.told()] == [1, 5]
    client.change("IN PROGRESS")
    client.change("CANCELED")
    assert client.told() == [(UID, 1, "IN PROGRESS"), (UID, 1, "CANCELED")]


def test_a_lock_keeps_a_final_workitem_retrievable_U025(client: WorklistClient) -> None:
    client.subscribe(query=LOCK)
    client.change("IN PROGRESS")
    client.change("CANCELED")
    assert client.get(f"/workitems/{UID}").status == 200
    assert locks(client) == {UID: True}
