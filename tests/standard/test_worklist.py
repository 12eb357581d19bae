"""Create, Retrieve, Update and Search of workitems over HTTP, on both backends (PS3.18 11)."""

from __future__ import annotations

import json
import re
from typing import Any
from urllib.parse import quote

import pytest
from lxml import etree

from dicomweb_core import Limits, OriginServer
from dicomweb_core.codecs.dicom_xml import to_xml
from dicomweb_core.errors import Forbidden
from dicomweb_core.rules.targets import RESOURCES, WORKLIST_RESOURCES
from dicomweb_core.rules.workitem_changes import WorklistPolicy
from dicomweb_core.services.site import Access
from dicomweb_core.storage.worklists import WorklistStore
from dicomweb_core.values.attributes import Attributes
from dicomweb_memory import MemoryInstanceStore
from tests.clients import BASE, JSON, Client, multipart
from tests.entities import attributes
from tests.rules.made_workitems import OURS, THEIRS, code, sent
from tests.standard.test_capabilities import described
from tests.worklists import ALL, FILTERED, MULTIPART_XML, UID, URL, XML, WorklistClient, value, warning

CREATED_MODIFIED = "The Workitem was created with modifications."
OTHER_UID = "2.25.2"


@pytest.fixture
def client(worklist: WorklistStore) -> WorklistClient:
    return WorklistClient(worklist)


# -- the service --------------------------------------------------------------------------------------------------


def test_without_a_worklist_there_is_no_such_resource(memory_client: Client) -> None:
    for row in WORKLIST_RESOURCES:
        path = row.template.format(workitem=UID, subscriber="A", requester="A")
        for method in ("GET", "POST", "PUT", "DELETE", "OPTIONS"):
            assert memory_client.request(method, path).status == 404


def test_capabilities_describe_the_worklist(client: WorklistClient) -> None:
    answer = client.request("OPTIONS", "/", Accept="application/json")
    resources = answer.json["application"]["resources"]
    rows = RESOURCES + WORKLIST_RESOURCES
    assert described(resources) == {(method, row.template.replace("*", "")) for row in rows for method in row.methods}
    answer = client.request("OPTIONS", "/workitems", Accept="application/vnd.sun.wadl+xml")
    names = {param.get("name") for param in etree.fromstring(answer.content).iter("{*}param")}
    assert {"workitem", "transaction-uid", "requester", "deletionlock", "filter", "WorklistLabel"} <= names


@pytest.mark.parametrize(
    ("method", "target", "seen"),
    [
        ("POST", f"/workitems?workitem={UID}", (UID, "", "")),
        ("POST", "/workitems", ("", "", "")),
        ("GET", f"/workitems/{UID}", (UID, "", "")),
        ("POST", f"/workitems/{UID}?transaction-uid={OURS}", (UID, "", "")),
        ("PUT", f"/workitems/{UID}/state/PERF", (UID, "", "PERF")),
        ("POST", f"/workitems/{UID}/cancelrequest?requester=RIS%20A", (UID, "", "RIS A")),
        ("POST", f"/workitems/{ALL}/subscribers/WATCH", (ALL, "WATCH", "")),
        ("DELETE", f"/workitems/{UID}/subscribers/%20WATCH", (UID, "WATCH", "")),
        ("POST", f"/workitems/{FILTERED}/subscribers/WATCH/suspend", (FILTERED, "WATCH", "")),
    ],
)
def test_authorize_sees_the_workitem_and_the_ae_titles(
    worklist: WorklistStore, method: str, target: str, seen: tuple[str, str, str]
) -> None:
    asked: list[tuple[str, str, str]] = []

    def refuse(access: Access) -> None:
        asked.append((access.target.workitem, access.target.subscriber, access.target.requester))
        raise Forbidden("No.")

    client = WorklistClient(worklist, authorize=refuse)
    assert client.request(method, target).status == 403
    assert asked == [seen]


def test_a_request_sees_only_what_it_is_narrowed_to(worklist: WorklistStore) -> None:
    whole = WorklistClient(worklist)
    whole.create(UID, PatientID="ANN")
    whole.create(OTHER_UID, PatientID="BOB")
    client = WorklistClient(worklist, authorize=lambda access: {"PatientID": "ANN"})
    assert client.get(f"/workitems/{UID}").status == 200
    assert [value(found, "00080018") for found in client.get("/workitems").json] == [UID]
    assert client.get(f"/workitems/{OTHER_UID}").status == 404
    assert client.update("", OTHER_UID, ProcedureStepLabel="New").status == 404
    assert client.change("IN PROGRESS", uid=OTHER_UID).status == 404
    assert client.send("POST", f"/workitems/{OTHER_UID}/cancelrequest").status == 404
    assert client.subscribe(OTHER_UID).status == 404
    assert client.subscribe(ALL).status == client.subscribe(FILTERED, query="?filter=PatientID=BOB").status == 403
    assert client.create("2.25.3", PatientID="BOB").status == 403
    assert whole.get("/workitems/2.25.3").status == 404


def test_what_is_read_is_never_kept(client: WorklistClient) -> None:
    client.bring("SCHEDULED")
    for target in (f"/workitems/{UID}", "/workitems", f"/workitems/{OTHER_UID}"):
        assert client.get(target).header("Cache-Control") == "no-store"
    etag = client.get(f"/workitems/{UID}").header("ETag")
    assert etag
    answer = client.get(f"/workitems/{UID}", If_None_Match=etag)
    assert (answer.status, answer.header("Cache-Control")) == (304, "no-store")
    client.update(ProcedureStepLabel="New")
    assert client.get(f"/workitems/{UID}", If_None_Match=etag).status == 200
    assert client.get(f"/workitems/{UID}", Range="bytes=0-0").content == b"["


# -- create -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("target", "named"),
    [
        pytest.param(f"/workitems?workitem={UID}", {}, id="U001"),
        pytest.param("/workitems", {"SOPInstanceUID": UID}, id="U002"),
        pytest.param("/workitems/", {"x00001000": ("UI", UID)}, id="U002 in a command element"),
        pytest.param(f"/workitems?AffectedSOPInstanceUID={UID}", {}, id="U003 older name"),
        pytest.param(f"/workitems?{UID}", {}, id="U003 bare"),
        pytest.param(f"/workitems?{UID}=&accept=application/dicom%2Bjson", {"SOPInstanceUID": UID}, id="U003 both"),
    ],
)
def test_create_says_where_the_workitem_is(client: WorklistClient, target: str, named: dict[str, Any]) -> None:
    answer = client.send("POST", target, sent(**named))
    assert (answer.status, answer.content) == (201, b"")
    assert answer.header("Location") == answer.header("Content-Location") == URL
    assert answer.header("Warning") is None
    stored = client.workitem()
    assert value(stored, "00080016") == "1.2.840.10008.5.1.4.34.6.1"
    assert value(stored, "00080018") == UID  # U012


def test_create_without_uid_gets_one(client: WorklistClient) -> None:
    urls = [client.send("POST", "/workitems", sent()).header("Location") or "" for _ in range(2)]
    assert urls[0] != urls[1]
    for url in urls:
        assert re.fullmatch(re.escape(BASE) + r"/workitems/2\.25\.[1-9][0-9]{20,38}", url)
        assert client.get(url).status == 200


@pytest.mark.parametrize(
    ("target", "values", "status"),
    [
        pytest.param(f"/workitems?workitem={UID}", {"SOPInstanceUID": OTHER_UID}, 400, id="U004"),
        pytest.param(f"/workitems?workitem={UID}", {"x00001000": ("UI", OTHER_UID)}, 400, id="U004 command element"),
        pytest.param(f"/workitems?workitem={UID}&workitem={OTHER_UID}", {}, 400, id="U004 twice"),
        pytest.param("/workitems?workitem=1.2.x", {}, 400, id="no UID"),
        pytest.param("/workitems", {"SOPInstanceUID": "x"}, 400, id="no UID in the data set"),
        pytest.param("/workitems", {"ProcedureStepState": "IN PROGRESS"}, 400, id="U006"),
        pytest.param("/workitems", {"ProcedureStepState": ...}, 400, id="U006 missing"),
        pytest.param("/workitems", {"InputReadinessState": ...}, 400, id="U007 missing"),
        pytest.param("/workitems", {"ProcedureStepLabel": None}, 400, id="U007 empty"),
        pytest.param("/workitems", {"TransactionUID": OURS}, 400, id="U009"),
        pytest.param("/workitems", {"ProcedureStepProgressInformationSequence": {}}, 400, id="U010"),
        pytest.param(f"/workitems?workitem={ALL}", {}, 409, id="U014"),
        pytest.param(f"/workitems?workitem={FILTERED}", {}, 409, id="U014 filtered"),
        pytest.param("/workitems", {"ScheduledProcedureStepPriority": "URGENT"}, 400, id="U020"),
    ],
)
def test_create_is_refused(client: WorklistClient, target: str, values: dict[str, Any], status: int) -> None:
    answer = client.send("POST", target, sent(**values))
    assert answer.status == status
    assert OURS not in answer.content.decode()
    assert client.get("/workitems").status == 204


@pytest.mark.parametrize(
    ("values", "strict", "status", "text"),
    [
        pytest.param({}, False, 201, None, id="complete"),
        pytest.param({"WorklistLabel": None}, False, 201, CREATED_MODIFIED, id="U011"),
        pytest.param({"PatientSex": ...}, False, 201, CREATED_MODIFIED, id="U008 lenient"),
        pytest.param({"PatientSex": ...}, True, 400, None, id="U008 strict"),
    ],
)
def test_create_says_what_it_has_modified(
    worklist: WorklistStore, values: dict[str, Any], strict: bool, status: int, text: str | None
) -> None:
    client = WorklistClient(worklist, worklist_policy=WorklistPolicy(strict_types=strict, worklist_label="Ours"))
    answer = client.create(**values)
    assert (answer.status, answer.header("Warning")) == (status, text and warning(text))
    if status == 201:
        assert value(client.workitem(), "00741202") == ("Ours" if "WorklistLabel" in values else "Room 3")
        assert "00100040" in client.workitem()


def test_the_server_says_when_it_was_modified_U013_U039(client: WorklistClient) -> None:
    client.create(ScheduledProcedureStepModificationDateTime="19990101")
    created = value(client.workitem(), "00404010")
    assert re.fullmatch(r"20[0-9]{12}\.[0-9]{6}\+0000", created)
    assert client.update(ScheduledProcedureStepModificationDateTime="19990101", ProcedureStepLabel="New").status == 200
    assert value(client.workitem(), "00404010") > created


def as_json(*datasets: Attributes) -> bytes:
    return json.dumps(datasets).encode()


ONE = sent(SOPInstanceUID=UID, PatientName="Größe^Zoë=山田", PatientID="1")


@pytest.mark.parametrize(
    ("content_type", "body", "status"),
    [
        pytest.param(JSON, as_json(ONE), 201, id="U016 array"),
        pytest.param(JSON, json.dumps(ONE).encode(), 201, id="U016 object"),
        pytest.param("application/json", as_json(ONE), 201, id="U016 application/json"),
        pytest.param(XML, to_xml(ONE), 201, id="U017 XML"),
        pytest.param(*multipart(to_xml(ONE), media_type=XML), 201, id="U017 multipart"),
        pytest.param(*multipart(as_json(ONE), media_type=JSON), 201, id="U017 JSON in multipart"),
        pytest.param(JSON, as_json(ONE, ONE), 400, id="U015 two"),
        pytest.param(JSON, b"[]", 400, id="U015 none"),
        pytest.param(JSON, b"", 400, id="U015 empty"),
        pytest.param(JSON, b"[1]", 400, id="U015 no object"),
        pytest.param(XML, b"", 400, id="U015 empty XML"),
        pytest.param(JSON, b"{", 400, id="broken JSON"),
        pytest.param(XML, b"<NativeDicomModel", 400, id="broken XML"),
        pytest.param(*multipart(to_xml(ONE), to_xml(ONE), media_type=XML), 400, id="U015 two parts"),
        pytest.param(*multipart(media_type=XML), 400, id="U015 no part"),
        pytest.param("application/dicom", b"DICM", 415, id="U018"),
        pytest.param('multipart/related; type="application/dicom"; boundary=b', b"--b--", 415, id="U018 multipart"),
        pytest.param(None, as_json(ONE), 415, id="U018 no type"),
        pytest.param(JSON, as_json(ONE | {"00104000": {"vr": "LT", "BulkDataURI": "x"}}), 400, id="U019"),
        pytest.param(JSON, as_json(ONE | attributes(PatientComments="x" * 9_000)), 413, id="too large"),
    ],
)
def test_payloads(worklist: WorklistStore, content_type: str | None, body: bytes, status: int) -> None:
    client = WorklistClient(worklist, limits=Limits(workitem_bytes=8_000))
    headers = {} if content_type is None else {"Content_Type": content_type}
    answer = client.request("POST", "/workitems", body, **headers)
    assert answer.status == status, answer.content
    if status == 201:
        assert client.workitem()["00100010"] == ONE["00100010"]
    else:
        assert client.get("/workitems").status == 204


def test_a_workitem_does_not_grow_without_end(worklist: WorklistStore) -> None:
    client = WorklistClient(worklist, limits=Limits(workitem_bytes=8_000))
    client.bring("SCHEDULED")
    assert client.update(PatientComments="x" * 4_000).status == 200
    before = client.workitem()
    assert client.update(AdditionalPatientHistory="x" * 4_000).status == 413
    assert client.workitem() == before


# -- retrieve -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("state", ["SCHEDULED", "IN PROGRESS", "COMPLETED", "CANCELED"])
@pytest.mark.parametrize("accept", [None, JSON, XML, MULTIPART_XML])
def test_retrieve_never_contains_the_transaction_uid_U021_U022_U023(
    client: WorklistClient, state: str, accept: str | None
) -> None:
    client.bring(state)
    answer = client.get(f"/workitems/{UID}", accept)
    assert answer.status == 200
    text = answer.content
    if accept in (None, JSON):
        assert answer.header("Content-Type") == JSON
        assert len(answer.json) == 1
    if accept == MULTIPART_XML:
        ((headers, text),) = answer.parts
        assert (headers["content-type"], headers["content-location"]) == (XML, URL)
    else:
        assert answer.header("Content-Location") == URL
    if accept in (XML, MULTIPART_XML):
        (uid,) = etree.fromstring(text).xpath("//*[@tag='00080018']/*/text()")
        assert uid == UID
    assert b"00081195" not in answer.content
    assert OURS.encode() not in answer.content


def test_other_forms_are_not_acceptable_U018_U026(client: WorklistClient) -> None:
    client.bring("SCHEDULED")
    for target in (f"/workitems/{UID}", "/workitems"):
        assert client.get(target, "image/png").status == 406
        overridden = client.get(f"{target}?accept={quote(MULTIPART_XML)}", f"{JSON};q=0.5, {MULTIPART_XML}")
        assert overridden.status == 200
        assert len(overridden.parts) == 1
    assert client.get(f"/workitems/{UID}?accept={XML}", "*/*").header("Content-Type") == XML


@pytest.mark.parametrize(
    ("target", "status"),
    [
        ("/workitems/2.25.9", 404),
        (f"/workitems/{ALL}", 404),
        ("/workitems/1.2.x", 400),
        (f"/workitems?workitem={UID}", 200),
        (f"/workitems/{UID}/", 200),
        (f"/workitems/{UID}/state", 405),
        (f"/workitems/{UID}/nothing", 404),
    ],
)
def test_retrieve_U024(client: WorklistClient, target: str, status: int) -> None:
    client.bring("SCHEDULED")
    assert client.get(target).status == status


# -- update -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["POST", "PUT"])
@pytest.mark.parametrize("xml", [False, True])
def test_update_of_a_scheduled_workitem_U027(client: WorklistClient, method: str, xml: bool) -> None:
    client.bring("SCHEDULED")
    before = client.workitem()
    change = attributes(ProcedureStepLabel="Größe", CommentsOnTheScheduledProcedureStep=None)
    send = client.send_xml if xml else client.send
    answer = send(method, f"/workitems/{UID}", change)
    assert (answer.status, answer.content) == (200, b"")
    after = client.workitem()
    assert after["00741204"] == change["00741204"]
    assert set(before) <= set(after)
    assert {tag for tag in before if before[tag] != after[tag]} == {"00741204", "00404010"}


@pytest.mark.parametrize(
    "query",
    [
        pytest.param(f"?transaction-uid={OURS}", id="U029"),
        pytest.param(f"?Transaction-uid={OURS}", id="U030 Transaction-uid"),
        pytest.param(f"?transaction={OURS}", id="U030 transaction"),
        pytest.param(f"?TransactionUid={OURS}", id="U030 TransactionUid"),
        pytest.param(f"?transaction_uid={OURS}", id="U030 transaction_uid"),
        pytest.param(f"?{OURS}", id="U030 bare"),
        pytest.param("", id="U030 in the data set"),
        pytest.param(f"?transaction-uid={OURS}&charset=utf-8", id="U030 both"),
    ],
)
def test_update_by_the_owner(client: WorklistClient, query: str) -> None:
    client.bring("IN PROGRESS")
    proof = {} if query and "charset" not in query else {"TransactionUID": OURS}
    assert client.update(query, ProcedureStepLabel="New", **proof).status == 200
    assert value(client.workitem(), "00741204") == "New"
    assert b"00081195" not in client.get(f"/workitems/{UID}").content


def test_two_transaction_uids_are_none(client: WorklistClient) -> None:
    client.bring("IN PROGRESS")
    for query in (f"?transaction-uid={OURS}&transaction-uid={THEIRS}", f"?transaction-uid={THEIRS}"):
        answer = client.update(query, ProcedureStepLabel="New", TransactionUID=OURS)
        assert answer.status == 400
        assert OURS not in answer.content.decode()
        assert THEIRS not in answer.content.decode()
    assert value(client.workitem(), "00741204") == "Registration"


@pytest.mark.parametrize(
    "values",
    [
        pytest.param({"ProcedureStepState": "COMPLETED"}, id="U034"),
        pytest.param({"PatientID": "other"}, id="U035"),
        pytest.param({"ProcedureStepLabel": "New", "PatientName": "Other"}, id="U036"),
        pytest.param({"ProcedureStepLabel": None}, id="U038"),
    ],
)
def test_update_is_refused_as_a_whole(client: WorklistClient, values: dict[str, Any]) -> None:
    client.bring("SCHEDULED")
    before = client.workitem()
    answer = client.update(**values)
    assert answer.status == 400
    assert answer.json["offending"]
    assert client.workitem() == before


def test_update_replaces_sequences_and_blanks_U037_U038(client: WorklistClient) -> None:
    client.create(ScheduledStationNameCodeSequence=[code("A"), code("B")], ScheduledStationClassCodeSequence=code())
    change = {"ScheduledStationNameCodeSequence": [code("C")], "ScheduledStationClassCodeSequence": None}
    assert client.update(**change).status == 200
    stored = client.workitem()
    assert [value(item, "00080100") for item in stored["00404025"]["Value"]] == ["C"]
    assert stored["00404026"] == {"vr": "SQ"}


def test_update_is_idempotent_U040(client: WorklistClient) -> None:
    client.create()
    client.subscribe()
    assert client.update(InputReadinessState="UNAVAILABLE").status == 200
    before = client.workitem()
    client.reports()
    assert client.update(InputReadinessState="UNAVAILABLE").status == 200
    assert client.workitem() == before
    assert client.reports() == []


def test_urls_are_relative_where_they_can_be(worklist: WorklistStore) -> None:
    client = WorklistClient(worklist, relative_urls=True)
    assert client.create().header("Location") == f"/dicom-web/workitems/{UID}"
    assert (client.subscribe().header("Content-Location") or "").startswith("ws://archive.example/dicom-web/")
    assert client.get("/subscribers/WATCH", JSON).header("Link") == '</dicom-web/subscribers/WATCH?after=1>; rel="next"'


def test_closing_the_server_closes_the_worklist(worklist: WorklistStore) -> None:
    server = OriginServer(instances=MemoryInstanceStore(), worklist=worklist)
    server.close()
    server.close()
