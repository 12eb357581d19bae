"""The notification connection of an AE as HTTP values, on both backends (PS3.18 8.10.4, 8.10.5): lists and streams of
events, who may listen, what is acknowledged."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest

from dicomweb_core import Limits
from dicomweb_core.errors import Forbidden
from dicomweb_core.services.site import Access
from dicomweb_core.storage.worklists import WorklistStore
from dicomweb_memory import MemoryWorklistStore
from tests.clients import BASE, JSON, Answer
from tests.entities import attributes
from tests.rules.made_workitems import code
from tests.worklists import ALL, UID, WorklistClient, value

SECOND = "2.25.2"
STREAM = "text/event-stream"
WEBSOCKET = {"Upgrade": "websocket", "Connection": "keep-alive, Upgrade"}
SHORT = Limits(event_stream_seconds=0.05, event_keep_alive_seconds=0.02, event_wait_seconds=0.05)


@pytest.fixture
def client(worklist: WorklistStore) -> WorklistClient:
    """Everything is subscribed by WATCH, nothing has happened."""
    made = WorklistClient(worklist, limits=SHORT)
    made.subscribe(ALL)
    return made


def listed(client: WorklistClient, query: str = "", aet: str = "WATCH", **headers: str) -> Answer:
    answer = client.get(f"/subscribers/{aet}{query}", JSON, **headers)
    assert answer.status == 200, answer.content
    assert answer.header("Content-Type") == JSON
    assert answer.header("Cache-Control") == "no-store"
    return answer


def following(answer: Answer) -> str:
    """The query of the next request for a list."""
    link = answer.header("Link") or ""
    assert link.startswith(f"<{BASE}/subscribers/")
    assert link.endswith('>; rel="next"')
    return "?" + link[1:].partition(">")[0].partition("?")[2]


def about(events: list[Any]) -> list[tuple[str, int, str]]:
    """UID, type and state of events as they are sent."""
    return [(value(one, "00001000"), value(one, "00001002"), value(one, "00741000")) for one in events]


class Sent(NamedTuple):
    """An event of a stream."""

    id: int
    data: str


def parsed(text: str) -> Iterator[Sent | str]:
    """Events and comments of a stream, as the HTML standard has it (9.2.6)."""
    assert text.endswith("\n\n")
    for block in text.removesuffix("\n\n").split("\n\n"):
        fields = dict(line.partition(": ")[::2] for line in block.split("\n") if not line.startswith(":"))
        assert fields.keys() in ({"id", "data"}, {"retry"}, set())
        yield Sent(int(fields["id"]), fields["data"]) if "id" in fields else block


def streamed(client: WorklistClient, aet: str = "WATCH", **headers: str) -> list[Sent | str]:
    """A stream, to its end."""
    answer = client.get(f"/subscribers/{aet}", STREAM, **headers)
    assert (answer.status, answer.header("Content-Type")) == (200, STREAM)
    return list(parsed(answer.content.decode()))


def events_of(stream: list[Sent | str]) -> list[Sent]:
    return [one for one in stream if isinstance(one, Sent)]


# -- what is sent -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/subscribers/WATCH", "/ws/subscribers/WATCH", "/subscribers/%20WATCH%20"])
def test_an_event_is_one_json_object_U095_U096_U097(client: WorklistClient, path: str) -> None:
    client.create()
    (sent,) = events_of(list(parsed(client.get(path, STREAM).content.decode())))
    event = json.loads(sent.data)
    assert list(event) == ["00000002", "00000110", "00001000", "00001002", "00404041", "00741000"]
    assert event == {
        "00000002": {"vr": "UI", "Value": ["1.2.840.10008.5.1.4.34.6.1"]},
        "00000110": {"vr": "US", "Value": [sent.id]},
        "00001000": {"vr": "UI", "Value": [UID]},
        "00001002": {"vr": "US", "Value": [1]},
        "00404041": {"vr": "CS", "Value": ["READY"]},
        "00741000": {"vr": "CS", "Value": ["SCHEDULED"]},
    }
    assert client.get(path, JSON).json == [event]


def test_every_type_of_event_is_sent_in_ascending_order_U096_U103(client: WorklistClient) -> None:
    client.create(ScheduledStationNameCodeSequence=code("CT1"))
    client.change("IN PROGRESS")
    progress = attributes(ProcedureStepProgress="60", ProcedureStepProgressDescription="registering")
    client.update("?transaction-uid=2.25.4711", ProcedureStepProgressInformationSequence=progress)
    client.send("POST", f"/workitems/{UID}/cancelrequest?requester=RIS", attributes(ReasonForCancellation="wrong"))
    client.change("CANCELED")
    client.server.announce_restart()
    events = listed(client).json
    assert [value(one, "00001002") for one in events] == [1, 5, 1, 3, 2, 1, 4]
    for event in events:
        assert list(event) == sorted(event)
        assert value(event, "00000002") == "1.2.840.10008.5.1.4.34.6.1"
        assert 0 <= value(event, "00000110") < 1 << 16
    numbers = [value(one, "00000110") for one in events]
    assert numbers == sorted(set(numbers))
    assert value(events[2], "00404041") == "READY"
    assert value(value(events[3], "00741002"), "00741006") == "registering"
    assert value(events[4], "00741236") == "RIS"
    assert [event["00741242"] for event in events[6:]] == [{"vr": "CS", "Value": ["RESTARTED"]}]


# -- a list -------------------------------------------------------------------------------------------------------


def test_a_list_comes_again_until_the_next_one_acknowledges_it(client: WorklistClient) -> None:
    empty = listed(client)
    assert (empty.json, following(empty)) == ([], "?after=0")
    client.create()
    client.create(SECOND)
    first = listed(client)
    assert about(first.json) == [(UID, 1, "SCHEDULED"), (SECOND, 1, "SCHEDULED")]
    assert listed(client).content == first.content
    client.change("IN PROGRESS")
    second = listed(client, following(first))
    assert about(second.json) == [(UID, 1, "IN PROGRESS")]
    assert listed(client).content == second.content, "what was acknowledged came again"
    last = listed(client, following(second))
    assert last.json == []
    assert following(last) == following(second)
    assert client.worklist.queued("WATCH") == ()


def test_a_long_list_comes_in_pieces_and_nothing_is_missing(client: WorklistClient) -> None:
    client.subscribe()
    uids = [f"2.25.{number}" for number in range(10, 40)]
    for uid in uids:
        client.create(uid)
    # 30 subscriptions again and again are 1,050 reports: more than one list has
    for _ in range(34):
        client.subscribe(ALL, query="?deletionlock=true")
    found, query = [], ""
    while events := (answer := listed(client, query)).json:
        assert len(events) <= 1_000
        found += [value(one, "00000110") for one in events]
        query = following(answer)
    assert len(found) == 30 * 35
    assert found == sorted(set(found))


@pytest.mark.parametrize("query", ["after=x", "after=-1", "after=1.5", "after=" + "9" * 20, "wait=x", "wait=-1",
                                   "wait=1e3", "after=1&after=2", "after=%FF", "wait=inf"])  # fmt: skip
@pytest.mark.parametrize("accept", [JSON, STREAM])
def test_what_is_no_number_is_refused(client: WorklistClient, query: str, accept: str) -> None:
    client.create()
    assert client.get(f"/subscribers/WATCH?{query}", accept).status == 400
    assert len(client.reports()) == 1


def test_a_wrong_last_event_id_is_refused(client: WorklistClient) -> None:
    assert client.get("/subscribers/WATCH", STREAM, Last_Event_ID="x").status == 400


def test_a_number_that_was_never_given_acknowledges_nothing(client: WorklistClient) -> None:
    client.create()
    answer = listed(client, "?after=4711")
    assert about(answer.json) == [(UID, 1, "SCHEDULED")]
    assert about([json.loads(one.data) for one in events_of(streamed(client, Last_Event_ID="4711"))]) == [
        (UID, 1, "SCHEDULED")
    ]
    empty = listed(client, following(answer))
    assert empty.json == []
    assert following(listed(client, "?after=4711")) in ("?after=0", "?after=1"), "a client would skip what comes"


def test_no_answer_waits_longer_than_the_site_allows(client: WorklistClient) -> None:
    begin = time.monotonic()
    assert listed(client, "?wait=100").json == []
    assert time.monotonic() - begin < 50


def test_a_list_waits_for_the_next_event(worklist: WorklistStore) -> None:
    client = WorklistClient(worklist)
    client.subscribe(ALL)
    answers: list[Answer] = []
    listening = threading.Thread(target=lambda: answers.append(listed(client, "?wait=20")))
    listening.start()
    client.create()
    listening.join()
    assert about(answers[0].json) == [(UID, 1, "SCHEDULED")]


def test_too_many_who_wait_are_refused_and_places_become_free(worklist: WorklistStore) -> None:
    client = WorklistClient(worklist, limits=Limits(waiting_listeners=2))
    client.subscribe(ALL)
    one, two = (client.open("GET", "/subscribers/WATCH", Accept=STREAM) for _ in range(2))
    answer = client.get("/subscribers/WATCH?wait=20", JSON)
    assert (answer.status, answer.header("Retry-After")) == (503, "10")
    assert listed(client).json == [], "who does not wait needs no place"
    upgraded = client.open("GET", "/subscribers/WATCH", **WEBSOCKET)
    assert upgraded.status == 101
    upgraded.body.close()
    client.create()
    assert len(listed(client, "?wait=20").json) == 1
    for response in (one, two, one):
        response.body.close()
    again = client.open("GET", "/subscribers/WATCH", Accept=STREAM)
    assert again.status == 200
    again.body.close()


def test_a_stream_without_a_place_has_what_there_is_and_asks_to_come_later(worklist: WorklistStore) -> None:
    client = WorklistClient(worklist, limits=Limits(waiting_listeners=1))
    client.subscribe(ALL)
    waiting = client.open("GET", "/subscribers/WATCH", Accept=STREAM)
    assert streamed(client) == ["retry: 5000"]
    client.create()
    retry, sent = streamed(client)
    assert isinstance(sent, Sent)
    assert (retry, about([json.loads(sent.data)])) == ("retry: 5000", [(UID, 1, "SCHEDULED")])
    assert streamed(client, **{"Last-Event-ID": str(sent.id)}) == ["retry: 5000"]
    waiting.body.close()


def test_head_waits_for_nothing(client: WorklistClient) -> None:
    client.create()
    for accept in (JSON, STREAM):
        assert client.request("HEAD", "/subscribers/WATCH?wait=20", Accept=accept).status == 200
    assert len(listed(client).json) == 1


def test_head_opens_no_websocket(client: WorklistClient) -> None:
    assert client.request("HEAD", "/subscribers/WATCH", **WEBSOCKET).status == 426


# -- a stream -----------------------------------------------------------------------------------------------------


def test_a_stream_says_how_to_go_on_lives_and_ends(client: WorklistClient) -> None:
    retry, *rest = streamed(client)
    assert retry == "retry: 500"
    assert rest
    assert set(rest) == {":"}, "nothing but signs of life"


def test_a_stream_has_what_waits_and_what_happens(worklist: WorklistStore) -> None:
    client = WorklistClient(worklist)
    client.subscribe(ALL)
    client.create()
    response = client.open("GET", "/subscribers/WATCH", Accept=STREAM)
    assert response.header("X-Accel-Buffering") == "no"
    assert response.body.length is None
    chunks = iter(response.body)
    assert next(chunks) == b"retry: 500\n\n"
    found = []
    for state in ("SCHEDULED", "IN PROGRESS", "CANCELED"):
        if state != "SCHEDULED":
            client.change(state)
        (sent,) = parsed(next(chunks).decode())
        assert isinstance(sent, Sent)
        assert about([json.loads(sent.data)]) == [(UID, 1, state)]
        found.append(sent)
    response.body.close()
    assert events_of(streamed(WorklistClient(worklist, limits=SHORT))) == found, "not acknowledged: again, the same"
    rest = streamed(WorklistClient(worklist, limits=SHORT), Last_Event_ID=str(found[1].id))
    assert events_of(rest) == found[2:]


def test_a_server_that_is_closed_ends_its_streams(worklist: WorklistStore) -> None:
    client = WorklistClient(worklist)
    chunks = iter(client.open("GET", "/subscribers/WATCH", Accept=STREAM).body)
    next(chunks)
    closing = threading.Timer(0.02, client.server.close)
    closing.start()
    assert list(chunks) == []
    closing.join()


# -- who may listen -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("accept", "headers"),
    [
        pytest.param(None, {}, id="U094 nothing said"),
        pytest.param("*/*", {}, id="U094 anything"),
        pytest.param("text/html", {}, id="U094 a browser"),
        pytest.param(None, {"Upgrade": "websocket"}, id="U094 without Connection"),
        pytest.param(None, {"Connection": "Upgrade", "Upgrade": "h2c"}, id="U094 another protocol"),
    ],
)
def test_without_a_websocket_it_is_said_what_to_do_U094(
    client: WorklistClient, accept: str | None, headers: dict[str, str]
) -> None:
    answer = client.get("/subscribers/WATCH", accept, **headers)
    assert (answer.status, answer.header("Upgrade")) == (426, "websocket")
    assert b"WebSocket" in answer.content


@pytest.mark.parametrize(
    ("headers", "admitted"),
    [
        ({}, True),
        ({"Origin": "http://archive.example"}, True),
        ({"Origin": "HTTP://Archive.example"}, True),
        ({"Origin": "https://viewer.example"}, True),
        ({"Sec_Fetch_Site": "same-origin"}, True),
        ({"Sec_Fetch_Site": "none"}, True),
        ({"Origin": "https://evil.example"}, False),
        ({"Origin": "http://archive.example.evil.example"}, False),
        ({"Origin": "http://archive.example:8080"}, False),
        ({"Origin": "https://archive.example"}, False),
        ({"Origin": "null"}, False),
        ({"Sec_Fetch_Site": "cross-site"}, False),
        ({"Sec_Fetch_Site": "same-site"}, False),
    ],
)
@pytest.mark.parametrize("way", [{"Accept": JSON}, {"Accept": STREAM}, WEBSOCKET])
@pytest.mark.parametrize("relative_urls", [False, True])
def test_pages_of_foreign_origins_may_not_listen_A82(
    headers: dict[str, str], admitted: bool, way: dict[str, str], relative_urls: bool
) -> None:
    client = WorklistClient(
        MemoryWorklistStore(), limits=SHORT, cors_origins=["https://viewer.example"], relative_urls=relative_urls
    )
    response = client.open("GET", "/subscribers/WATCH", **headers, **way)
    assert response.status == ((101 if way is WEBSOCKET else 200) if admitted else 403)
    response.body.close()


def test_with_all_origins_allowed_every_page_may_listen(worklist: WorklistStore) -> None:
    client = WorklistClient(worklist, cors_origins=["*"])
    assert listed(client, Origin="https://evil.example").json == []


def test_who_listens_for_another_ae_needs_permission_U118(worklist: WorklistStore) -> None:
    def authorize(access: Access) -> None:
        if access.request.header("Authorization") != f"AE {access.target.subscriber}":
            raise Forbidden("This AE title is not yours.")

    client = WorklistClient(worklist, limits=SHORT, authorize=authorize)
    subscribed = f"/workitems/{ALL}/subscribers/WATCH"
    assert client.request("POST", subscribed, Authorization="AE WATCH").status == 201
    assert client.request("POST", subscribed, Authorization="AE EVIL").status == 403
    for path in ("/subscribers/WATCH", "/ws/subscribers/WATCH", "/subscribers/%20WATCH"):
        for way in ({"Accept": JSON}, {"Accept": STREAM}, WEBSOCKET):
            for owner, statuses in (("WATCH", (200, 101)), ("EVIL", (403,)), ("", (403,))):
                response = client.open("GET", path, Authorization=f"AE {owner}", **way)
                assert response.status in statuses
                response.body.close()


@pytest.mark.parametrize("title", ["A" * 17, "%20", "A%5CB", "A%0D%0AB", "%00", "%C3%84"])
def test_what_is_no_ae_title_cannot_listen(client: WorklistClient, title: str) -> None:
    assert client.get(f"/subscribers/{title}", JSON).status in (400, 404)
