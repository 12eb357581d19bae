"""Search of workitems over HTTP, on both backends (PS3.18 11.9, PS3.4 CC.2.8)."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import pytest
from lxml import etree

from dicomweb_core.codecs.dictionary import tag_of
from dicomweb_core.storage.worklists import WorklistStore
from tests.entities import attributes
from tests.rules.made_workitems import OURS, code, performer
from tests.worklists import MULTIPART_XML, UID, WorklistClient, value, warning


@pytest.fixture
def client(worklist: WorklistStore) -> WorklistClient:
    return WorklistClient(worklist)


@pytest.fixture
def filled(client: WorklistClient) -> WorklistClient:
    """Five workitems in the order of their starts."""
    for number in range(1, 6):
        answer = client.create(
            f"2.25.{number}",
            ScheduledProcedureStepStartDateTime=f"2024050{number}080000+0100",
            PatientID=f"P{number % 2}",
            PatientName="Doe^Jane",
            PatientComments="none",
            ScheduledStationNameCodeSequence=[code(f"CT{number}")],
        )
        assert answer.status == 201
    client.change("IN PROGRESS", uid="2.25.4")
    return client


def found(client: WorklistClient, query: str) -> list[int]:
    answer = client.get(f"/workitems?{query}")
    if answer.status == 204:
        assert answer.content == b""
        return []
    assert answer.status == 200, answer.content
    return [int(value(item, "00080018").removeprefix("2.25.")) for item in answer.json]


@pytest.mark.parametrize(
    ("query", "numbers"),
    [
        pytest.param("", [1, 2, 3, 4, 5], id="all"),
        pytest.param("SOPInstanceUID=2.25.2", [2], id="U105 uid"),
        pytest.param("ProcedureStepState=SCHEDULED", [1, 2, 3, 5], id="U105 state"),
        pytest.param("00741000=IN%20PROGRESS", [4], id="U105 tag"),
        pytest.param("ProcedureStepState=IN+PROGRESS", [4], id="U105 form"),
        pytest.param("ProcedureStepState=IN*", [], id="U105 no wildcard"),
        pytest.param("PatientID=P1&ProcedureStepState=SCHEDULED", [1, 3, 5], id="U105 both"),
        pytest.param("ScheduledStationNameCodeSequence.CodeValue=CT3", [3], id="U105 sequence"),
        pytest.param("00404025.00080100=CT3", [3], id="U105 sequence by tag"),
        pytest.param("ScheduledProcedureStepStartDateTime=20240503-", [3, 4, 5], id="U110 open end"),
        pytest.param("ScheduledProcedureStepStartDateTime=-20240502235959", [1, 2], id="U110 open start"),
        pytest.param("ScheduledProcedureStepStartDateTime=20240502080000+0100", [2], id="U110 plus"),
        pytest.param("ScheduledProcedureStepStartDateTime=20240502080000%2B0100", [2], id="U110 encoded"),
        pytest.param("PatientName=doe&fuzzymatching=true", [1, 2, 3, 4, 5], id="fuzzy"),
        pytest.param("PatientID=P9", [], id="U108"),
        pytest.param("offset=5", [], id="U108 offset"),
        pytest.param("limit=2&offset=1", [2, 3], id="U109"),
        pytest.param("limit=0", [], id="U109 none"),
    ],
)
def test_search(filled: WorklistClient, query: str, numbers: list[int]) -> None:
    assert found(filled, query) == numbers


def test_search_says_what_is_left_U109(filled: WorklistClient) -> None:
    answer = filled.get("/workitems?limit=2&ProcedureStepState=SCHEDULED&foo=1")
    assert [text for name, text in answer.headers if name == "Warning"] == [
        warning("The parameter foo is not supported and has been ignored."),
        warning("There are 2 additional results that can be requested"),
    ]


@pytest.mark.parametrize("size", [1, 2, 3])
def test_pages_are_the_whole_U109(filled: WorklistClient, size: int) -> None:
    for query in ("", "&ProcedureStepState=SCHEDULED", "&PatientName=doe&fuzzymatching=true"):
        pages = [found(filled, f"limit={size}&offset={offset}{query}") for offset in range(0, 6, size)]
        assert [number for page in pages for number in page] == found(filled, query.lstrip("&"))


@pytest.mark.parametrize(
    "query",
    [
        "NoSuchKeyword=1", "TransactionUID=2.25.4711", "00081195=2.25.4711", "PatientID=1&PatientID=2", "limit=x",
        "fuzzymatching=yes", "ScheduledStationNameCodeSequence.CodeMeaning=x", "PatientID=%FF",
    ],
)  # fmt: skip
def test_search_is_refused_U107(filled: WorklistClient, query: str) -> None:
    assert filled.get(f"/workitems?{query}").status == 400


def test_search_returns_what_the_table_says_U106_U107(filled: WorklistClient) -> None:
    plain = filled.get("/workitems?SOPInstanceUID=2.25.4").json[0]
    assert plain["00380010"] == {"vr": "LO"}
    assert "00104000" not in plain
    every = filled.get("/workitems?SOPInstanceUID=2.25.4&includefield=all")
    assert set(plain) <= set(every.json[0])
    assert "00104000" in every.json[0]
    asked = filled.get("/workitems?SOPInstanceUID=2.25.4&includefield=TransactionUID")
    assert asked.json == [plain]
    for answer in (every, filled.get("/workitems?includefield=all", MULTIPART_XML)):
        assert OURS.encode() not in answer.content
        assert b"00081195" not in answer.content


def test_search_in_xml_has_a_part_for_each(filled: WorklistClient) -> None:
    answer = filled.get("/workitems?PatientID=P1", MULTIPART_XML)
    uids = [etree.fromstring(text).xpath("//*[@tag='00080018']/*/text()") for _, text in answer.parts]
    assert uids == [["2.25.1"], ["2.25.3"], ["2.25.5"]]


KEYS: list[tuple[str, str, str]] = [
    ("SOPInstanceUID", UID, "2.25.9"),
    ("ProcedureStepState", "SCHEDULED", "COMPLETED"),
    ("InputReadinessState", "READY", "UNAVAILABLE"),
    ("ScheduledProcedureStepPriority", "MEDIUM", "HIGH"),
    ("ScheduledProcedureStepStartDateTime", "20240506-20240507", "20240507-"),
    ("ExpectedCompletionDateTime", "20240506090000", "20240506090001"),
    ("ProcedureStepLabel", "Reg*", "*xx*"),
    ("WorklistLabel", "Room ?", "Room"),
    ("ScheduledStationNameCodeSequence.CodeValue", "CT1", "CT"),
    ("ScheduledStationNameCodeSequence.CodingSchemeDesignator", "99SITE", "DCM"),
    ("ScheduledStationClassCodeSequence.CodeValue", "CLASS", "x"),
    ("ScheduledStationGeographicLocationCodeSequence.CodeValue", "WING", "x"),
    ("ScheduledWorkitemCodeSequence.CodeValue", "WORK", "x"),
    ("ScheduledHumanPerformersSequence.HumanPerformerCodeSequence.CodeValue", "P1", "P2"),
    ("PatientName", "doe*", "roe*"),
    ("PatientID", "4711", "4712"),
    ("IssuerOfPatientID", "SITE", "OTHER"),
    ("PatientBirthDate", "19700101", "19700102"),
    ("PatientSex", "F", "M"),
    ("AdmissionID", "A1", "A2"),
    ("IssuerOfAdmissionIDSequence.LocalNamespaceEntityID", "ADT", "x"),
    ("ReferencedRequestSequence.AccessionNumber", "ACC1", "ACC2"),
    ("ReferencedRequestSequence.IssuerOfAccessionNumberSequence.LocalNamespaceEntityID", "RIS", "x"),
    ("ReferencedRequestSequence.RequestedProcedureID", "RP1", "RP2"),
    ("ReferencedRequestSequence.RequestingService", "Ward 7", "Ward 8"),
    ("ReplacedProcedureStepSequence.ReferencedSOPInstanceUID", "2.25.77", "2.25.78"),
]
"""Key, a value that matches, one that does not: PS3.4 Table CC.2.5-3, match type R."""


def searched() -> dict[str, Any]:
    request = attributes(
        StudyInstanceUID="2.25.5",
        AccessionNumber="ACC1",
        IssuerOfAccessionNumberSequence=attributes(LocalNamespaceEntityID="RIS"),
        RequestedProcedureID="RP1",
        RequestingService="Ward 7",
        OrderPlacerIdentifierSequence=None,
        OrderFillerIdentifierSequence=None,
        RequestedProcedureDescription=None,
        RequestedProcedureCodeSequence=None,
    )
    replaced = attributes(ReferencedSOPClassUID="1.2.840.10008.5.1.4.34.6.1", ReferencedSOPInstanceUID="2.25.77")
    return {
        "ExpectedCompletionDateTime": "20240506090000",
        "ScheduledStationNameCodeSequence": code("CT1"),
        "ScheduledStationClassCodeSequence": code("CLASS"),
        "ScheduledStationGeographicLocationCodeSequence": code("WING"),
        "ScheduledWorkitemCodeSequence": code("WORK"),
        "ScheduledHumanPerformersSequence": performer("P1"),
        "PatientName": "Doe^Jane",
        "PatientID": "4711",
        "IssuerOfPatientID": "SITE",
        "PatientBirthDate": "19700101",
        "PatientSex": "F",
        "AdmissionID": "A1",
        "IssuerOfAdmissionIDSequence": attributes(LocalNamespaceEntityID="ADT"),
        "ReferencedRequestSequence": request,
        "ReplacedProcedureStepSequence": replaced,
    }


def test_search_by_every_key_that_has_to_be_there_U105(client: WorklistClient) -> None:
    assert client.create(**searched()).status == 201
    for number in range(2, 5):
        client.create(f"2.25.{number}", ScheduledProcedureStepStartDateTime="2020", InputReadinessState="INCOMPLETE")
    for name, right, wrong in KEYS:
        tags = ".".join(tag_of(part) or "" for part in name.split("."))
        for spelling in (name, tags):
            answer = client.get(f"/workitems?{spelling}={quote(right, safe='*?')}")
            assert answer.status == 200, (spelling, answer.content)
            assert UID in [value(one, "00080018") for one in answer.json], spelling
            answer = client.get(f"/workitems?{spelling}={quote(wrong, safe='*?')}")
            assert answer.status in (200, 204), (spelling, answer.content)
            others = answer.json if answer.status == 200 else []
            assert UID not in [value(one, "00080018") for one in others], spelling
