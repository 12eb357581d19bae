"""Data sets that the client builds are what PS3.4 asks for: a server that is strict takes them."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from dicomweb_worklist import (
    Instances,
    OriginTransport,
    Patient,
    WorklistClient,
    new_workitem,
    performed_procedure,
    progress,
    text,
)
from tests.client.worklists import SEGMENT, STATION, origin

CT = "1.2.840.10008.5.1.4.1.1.2"
INPUTS = Instances(
    "1.2", "1.2.3", [(CT, "1.2.3.4"), (CT, "1.2.3.5")], retrieve_url="http://archive.example/studies/1.2"
)
OUTPUTS = Instances("1.2", "1.2.9", [(CT, "1.2.9.1")], retrieve_aetitle="ARCHIVE")


@pytest.fixture
def client() -> WorklistClient:
    return WorklistClient(OriginTransport(origin(strict_types=True, strict_reasons=True)), aetitle="ME")


def test_the_smallest_one_is_complete(client: WorklistClient) -> None:
    made = new_workitem("Segment", worklist="GPU")
    assert list(made) == sorted(made)
    found = client.retrieve(client.create(made))
    assert {tag: found[tag] for tag in made.keys() & found.keys()} == {tag: made[tag] for tag in made if tag in found}
    assert abs(datetime.now(UTC) - datetime.strptime(text(found, "00404005"), "%Y%m%d%H%M%S%z")).total_seconds() < 60


def test_everything_can_be_said(client: WorklistClient) -> None:
    uid = client.create(
        new_workitem(
            "Segment",
            worklist="GPU",
            priority="HIGH",
            readiness="INCOMPLETE",
            workitem_code=SEGMENT,
            station=STATION,
            station_class=STATION,
            location=STATION,
            patient=Patient("Doe^Jane", "P1", "HOSPITAL", "19800131", "F"),
            study="1.2",
            comments="fast",
            inputs=[INPUTS],
            attributes={"00404011": {"vr": "DT", "Value": ["20240506"]}},
        )
    )
    filters = {
        "PatientName": "Doe^J*",
        "PatientID": "P1",
        "IssuerOfPatientID": "HOSPITAL",
        "PatientBirthDate": "19800131",
        "PatientSex": "F",
        "ScheduledWorkitemCodeSequence.CodeValue": SEGMENT.value,
        "ScheduledStationNameCodeSequence.CodeValue": STATION.value,
        "ScheduledStationClassCodeSequence.CodeValue": STATION.value,
        "ScheduledStationGeographicLocationCodeSequence.CodeValue": STATION.value,
        "InputReadinessState": "INCOMPLETE",
        "ScheduledProcedureStepPriority": "HIGH",
        "ExpectedCompletionDateTime": "20240506",
        "InputInformationSequence.ReferencedSOPSequence.ReferencedSOPInstanceUID": "1.2.3.5",
    }
    assert [text(one, "00080018") for one in client.search(filters)] == [uid]


def test_what_was_performed_is_enough(client: WorklistClient) -> None:
    claim = client.claim(client.create(new_workitem("Segment", worklist="GPU")))
    client.update(claim.workitem, progress(50, "half of it", contact_uri="tel:1"), claim)
    start = datetime(2024, 5, 6, 7, 8, tzinfo=UTC)
    done = performed_procedure(SEGMENT, STATION, start=start, outputs=[OUTPUTS], description="CNN")
    client.complete(claim, done)
    (item,) = client.retrieve(claim.workitem)["00741216"]["Value"]
    assert item == done["00741216"]["Value"][0]
    assert text(item, "00404050") == "20240506070800+0000"


def test_nothing_need_come_out(client: WorklistClient) -> None:
    claim = client.claim(client.create(new_workitem("Segment", worklist="GPU")))
    client.complete(claim, performed_procedure(SEGMENT, STATION))
    (item,) = client.retrieve(claim.workitem)["00741216"]["Value"]
    assert item["00404033"] == {"vr": "SQ"}


def test_inputs_are_somewhere() -> None:
    with pytest.raises(ValueError, match="retrieve"):
        new_workitem("Segment", inputs=[INPUTS._replace(retrieve_url="")])
