"""Lines of the checklist of the Worklist Service that need many values each, on both backends."""

from __future__ import annotations

import threading

import pytest

from dicomweb_core.rules.workitem_changes import WorklistPolicy
from dicomweb_core.storage.worklists import WorklistStore
from dicomweb_core.values.attributes import Attributes
from tests.entities import attributes
from tests.rules.made_workitems import OURS, code, performed, performer
from tests.worklists import ALL, UID, WorklistClient, value, warning

PERFORMED = "UnifiedProcedureStepPerformedProcedureSequence"
PROGRESS = "ProcedureStepProgressInformationSequence"


@pytest.fixture
def client(worklist: WorklistStore) -> WorklistClient:
    return WorklistClient(worklist)


# -- update -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("xml", [False, True])
def test_an_update_in_another_character_set_keeps_the_rest_U043(client: WorklistClient, xml: bool) -> None:
    client.create(SpecificCharacterSet="ISO_IR 192", PatientName="Yamada^Tarou=山田^太郎", WorklistLabel="Röntgen")
    before = client.workitem()
    send = client.send_xml if xml else client.send
    change = attributes(SpecificCharacterSet="ISO_IR 100", ProcedureStepLabel="Schädel")
    assert send("POST", f"/workitems/{UID}", change).status == 200
    after = client.workitem()
    assert value(after, "00080005") == "ISO_IR 192"
    assert value(after, "00741204") == "Schädel"
    assert {tag for tag in after if after[tag] != before.get(tag)} == {"00741204", "00404010"}


def test_what_the_table_does_not_name_is_stored(client: WorklistClient) -> None:
    own = attributes(x00091001=("LO", "ours"), x00090010=("LO", "MAKER"), PregnancyStatus=1)
    client.create()
    assert client.send("POST", f"/workitems/{UID}", own).header("Warning") is None
    assert own.items() <= client.workitem().items()


# -- final states -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    [
        *("PerformedStationNameCodeSequence", "PerformedProcedureStepStartDateTime"),
        *("PerformedProcedureStepEndDateTime", "PerformedWorkitemCodeSequence", "OutputInformationSequence"),
    ],
)
def test_a_completed_workitem_has_each_of_them_U052(client: WorklistClient, name: str) -> None:
    client.bring("IN PROGRESS")
    proof = f"?transaction-uid={OURS}"
    assert client.update(proof, UID, **{PERFORMED: performed(**{name: ...})}).status == 200
    answer = client.change("COMPLETED")
    assert (answer.status, answer.json["status"]) == (409, "C304")
    assert answer.json["offending"] == [f"{PERFORMED}.{name}"]
    assert value(client.workitem(), "00741000") == "IN PROGRESS"
    assert client.update(proof, UID, **{PERFORMED: performed()}).status == 200
    assert client.change("COMPLETED").status == 200


def test_a_site_may_want_to_know_why_U056(worklist: WorklistStore) -> None:
    client = WorklistClient(worklist, worklist_policy=WorklistPolicy(strict_reasons=True))
    client.bring("IN PROGRESS")
    answer = client.change("CANCELED")
    assert answer.status == 409
    assert answer.header("Warning") == warning(
        "The submitted request is inconsistent with the state of the UPS Instance."
    )
    why = attributes(ProcedureStepDiscontinuationReasonCodeSequence=code("110514"))
    assert client.update(f"?{OURS}", UID, **{PROGRESS: why}).status == 200
    assert client.change("CANCELED").status == 200


# -- events -------------------------------------------------------------------------------------------------------


def test_every_progress_is_told_whole_U099(client: WorklistClient) -> None:
    client.bring("IN PROGRESS")
    client.subscribe()
    client.reports()
    contact = attributes(ContactURI="tel:+43000", ContactDisplayName="Desk 2")
    progress: Attributes = {}
    for more in (
        attributes(ProcedureStepProgress=60),
        attributes(ProcedureStepProgressDescription="registering"),
        attributes(ProcedureStepCommunicationsURISequence=contact),
    ):
        progress = dict(sorted({**progress, **more}.items()))
        assert client.update(f"?{OURS}", UID, **{PROGRESS: progress}).status == 200
        (report,) = client.reports()
        assert (report.type, report.attributes) == (3, attributes(**{PROGRESS: progress}))
    progress["00404052"] = {"vr": "DT", "Value": ["20240506080000"]}
    assert client.update(f"?{OURS}", UID, **{PROGRESS: progress}).status == 200
    assert client.reports() == [], "a time of cancellation is no progress"


def test_who_is_assigned_is_told_one_by_one_U100(client: WorklistClient) -> None:
    client.subscribe(ALL)
    two = [performer("P1", "Radiology"), performer("P2", "Surgery")]
    client.create(ScheduledStationNameCodeSequence=code("CT1"), ScheduledHumanPerformersSequence=two)
    state, *assigned = client.reports()
    assert state.type == 1
    station = attributes(ScheduledStationNameCodeSequence=code("CT1"))
    expected = [
        station | attributes(HumanPerformerCodeSequence=code(who), HumanPerformerOrganization=where)
        for who, where in (("P1", "Radiology"), ("P2", "Surgery"))
    ]
    assert [(one.type, one.attributes) for one in assigned] == [(5, dict(sorted(one.items()))) for one in expected]
    client.update("", UID, ScheduledHumanPerformersSequence=two[1:])
    (again,) = client.reports()
    assert (again.type, again.attributes) == (5, assigned[1].attributes)


def test_events_of_a_workitem_come_in_the_order_of_what_happened_U102(client: WorklistClient) -> None:
    client.subscribe(ALL)
    uids = [f"2.25.{number}" for number in range(100, 116)]
    life = ["SCHEDULED", "IN PROGRESS", *(f"step {number}" for number in range(5)), "CANCELED"]
    told: dict[str, list[str]] = {}

    def perform(uid: str) -> None:
        client.create(uid)
        client.change("IN PROGRESS", uid=uid)
        for number in range(5):
            progress = attributes(ProcedureStepProgressDescription=f"step {number}")
            client.update(f"?{OURS}", uid, **{PROGRESS: progress})
        client.change("CANCELED", uid=uid)

    performing = [threading.Thread(target=perform, args=(uid,)) for uid in uids]
    for one in performing:
        one.start()
    events = client.server.events("WATCH")
    for _ in range(len(uids) * len(life)):
        report = next(events).report
        what = value(report.attributes, "00741000") or value(value(report.attributes, "00741002"), "00741006")
        told.setdefault(report.workitem, []).append(what)
    for one in performing:
        one.join()
    assert told == dict.fromkeys(told, life)
    assert sorted(told) == uids
