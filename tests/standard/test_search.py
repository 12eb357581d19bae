"""Search (PS3.18 10.6) over both backends, from the URL to the payload."""

from __future__ import annotations

import re
from functools import cache
from typing import Any, NamedTuple

import pytest
from lxml import etree
from pydicom.dataset import Dataset

from dicomweb_core import InstanceStore, Limits, OriginServer
from tests.clients import ANY_DICOM, BASE, JSON, Client
from tests.made import made, path, uid

XML = 'multipart/related; type="application/dicom+xml"'
NATIVE_MODEL = "{http://dicom.nema.org/PS3.19/models/NativeDICOM}"
CT, SR = "1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.5.1.4.1.1.88.11"

Numbers = tuple[int, ...]
"""Of a study, a series or an instance; a prefix stands for all below it."""


def request_attributes(step: str, procedure: str) -> list[Dataset]:
    item = Dataset()
    item.ScheduledProcedureStepID = step
    item.RequestedProcedureID = procedure
    return [item]


STUDIES: dict[Numbers, dict[str, Any]] = {
    (1,): {
        "StudyDate": "20200115", "StudyTime": "101530", "AccessionNumber": "ACC-1", "PatientName": "Doe^John",
        "ReferringPhysicianName": "Roe^Jane", "PatientID": "PAT1", "StudyID": "S1", "StudyDescription": "Head",
    },
    (2,): {
        "StudyDate": "20210630", "StudyTime": "2359", "AccessionNumber": "ACC-22", "PatientName": "Poe^Edgar",
        "ReferringPhysicianName": "Moe^Max", "PatientID": "PAT22", "StudyID": "S22",
    },
}  # fmt: skip
SERIES: dict[Numbers, dict[str, Any]] = {
    (1, 1): {
        "Modality": "CT", "SeriesNumber": 7, "PerformedProcedureStepStartDate": "20200116",
        "PerformedProcedureStepStartTime": "0800", "RequestAttributesSequence": request_attributes("STEP1", "PROC1"),
        "SeriesDescription": "Axial",
    },
    (1, 2): {
        "Modality": "SR", "SeriesNumber": 8, "PerformedProcedureStepStartDate": "20200117",
        "PerformedProcedureStepStartTime": "0930", "RequestAttributesSequence": request_attributes("STEP2", "PROC2"),
    },
    (2, 1): {"Modality": "CT", "SeriesNumber": 9},
}  # fmt: skip
INSTANCES: dict[Numbers, dict[str, Any]] = {
    (1, 1, 1): {"SOPClassUID": CT, "InstanceNumber": 1, "Rows": 16},
    (1, 1, 2): {"SOPClassUID": CT, "InstanceNumber": 2, "Rows": 16},
    (1, 2, 1): {"SOPClassUID": SR, "InstanceNumber": 1},
    (2, 1, 1): {"SOPClassUID": CT, "InstanceNumber": 3, "KVP": 120},
}


FILES = [made(*ref, **STUDIES[ref[:1]], **SERIES[ref[:2]], **own) for ref, own in INSTANCES.items()]


@pytest.fixture
def archive(client: Client) -> Client:
    """Two studies, three series, four instances."""
    assert client.store(*FILES).status == 200
    return client


class Resource(NamedTuple):
    """A row of Table 10.6.1-1: path, depth of what it returns, which levels its keys must match (10.6.1-4)."""

    path: str
    depth: int
    within: Numbers
    key_levels: tuple[int, ...]


STUDY, SERIES_LEVEL, INSTANCE = 1, 2, 3
RESOURCES = {
    "SEA-01 studies": Resource("/studies", STUDY, (), (STUDY,)),
    "SEA-01 studies/series": Resource(path(1) + "/series", SERIES_LEVEL, (1,), (SERIES_LEVEL,)),
    "SEA-01 studies/series/instances": Resource(path(1, 1) + "/instances", INSTANCE, (1, 1), (INSTANCE,)),
    "SEA-02 studies/instances": Resource(path(1) + "/instances", INSTANCE, (1,), (SERIES_LEVEL, INSTANCE)),
    "SEA-02 series": Resource("/series", SERIES_LEVEL, (), (STUDY, SERIES_LEVEL)),
    "SEA-02 instances": Resource("/instances", INSTANCE, (), (STUDY, SERIES_LEVEL, INSTANCE)),
}
UNIQUE_KEY = {STUDY: "0020000D", SERIES_LEVEL: "0020000E", INSTANCE: "00080018"}


def entities(resource: Resource, *prefixes: Numbers) -> list[str]:
    """UIDs of the entities of a resource that contain an instance below one of the prefixes, in order of arrival."""
    inside = [ref for ref in INSTANCES if ref[: len(resource.within)] == resource.within]
    wanted = [ref for ref in inside if any(ref[: len(prefix)] == prefix for prefix in prefixes)]
    return list(dict.fromkeys(uid(*ref[: resource.depth]) for ref in wanted))


def found(resource: Resource, answer: Any) -> list[str]:
    return [result[UNIQUE_KEY[resource.depth]]["Value"][0] for result in answer.json]


def numbers(answer: Any, tag: str = "00200013") -> list[int]:
    return [result[tag]["Value"][0] for result in answer.json]


@pytest.mark.parametrize("resource", RESOURCES.values(), ids=RESOURCES)
def test_resources(archive: Client, resource: Resource) -> None:
    answer = archive.get(resource.path)
    assert answer.status == 200  # SEA-05
    assert found(resource, answer) == entities(resource, ())


KEYS = [
    # Table 10.6.1-5: attribute, tag, a value, whose it is
    (STUDY, "StudyDate", "00080020", "20200115", (1,)),
    (STUDY, "StudyDate", "00080020", "20210101-20211231", (2,)),
    (STUDY, "StudyTime", "00080030", "101530", (1,)),
    (STUDY, "StudyTime", "00080030", "2300-", (2,)),
    (STUDY, "AccessionNumber", "00080050", "ACC-1", (1,)),
    (STUDY, "ModalitiesInStudy", "00080061", "SR", (1,)),
    (STUDY, "ReferringPhysicianName", "00080090", "moe^max", (2,)),
    (STUDY, "PatientName", "00100010", "Doe*", (1,)),
    (STUDY, "PatientID", "00100020", "PAT22", (2,)),
    (STUDY, "StudyInstanceUID", "0020000D", uid(2), (2,)),
    (STUDY, "StudyID", "00200010", "S1", (1,)),
    (SERIES_LEVEL, "Modality", "00080060", "SR", (1, 2)),
    (SERIES_LEVEL, "SeriesInstanceUID", "0020000E", uid(1, 2), (1, 2)),
    (SERIES_LEVEL, "SeriesNumber", "00200011", "7", (1, 1)),
    (SERIES_LEVEL, "PerformedProcedureStepStartDate", "00400244", "20200116", (1, 1)),
    (SERIES_LEVEL, "PerformedProcedureStepStartTime", "00400245", "0900-1000", (1, 2)),
    (SERIES_LEVEL, "RequestAttributesSequence.ScheduledProcedureStepID", "00400275.00400009", "STEP1", (1, 1)),
    (SERIES_LEVEL, "RequestAttributesSequence.RequestedProcedureID", "00400275.00401001", "PROC2", (1, 2)),
    (INSTANCE, "SOPClassUID", "00080016", SR, (1, 2, 1)),
    (INSTANCE, "SOPInstanceUID", "00080018", uid(1, 1, 2), (1, 1, 2)),
    (INSTANCE, "InstanceNumber", "00200013", "2", (1, 1, 2)),
]  # fmt: skip


@pytest.mark.parametrize(
    ("resource", "keyword", "tag", "value", "whose"),
    [
        pytest.param(resource, keyword, tag, value, whose, id=f"SEA-13 SEA-14 {name} {keyword}={value}")
        for name, resource in RESOURCES.items()
        for level, keyword, tag, value, whose in KEYS
        if level in resource.key_levels
    ],
)
def test_keys_of_a_resource(
    archive: Client, resource: Resource, keyword: str, tag: str, value: str, whose: Numbers
) -> None:
    for name in (keyword, tag, tag.lower()):  # SEA-09
        assert found(resource, archive.get(f"{resource.path}?{name}={value}")) == entities(resource, whose), name


@pytest.mark.parametrize(
    ("query", "studies"),
    [
        pytest.param("PatientID=PAT*", [1, 2], id="SEA-16 run"),
        pytest.param("PatientID=PAT1*", [1], id="SEA-16 empty run"),
        pytest.param("PatientID=*22", [2], id="SEA-16 run in front"),
        pytest.param("PatientID=P*T?", [1], id="SEA-16 run and character"),
        pytest.param("PatientID=PAT?", [1], id="SEA-16 one character"),
        pytest.param("PatientID=PAT??", [2], id="SEA-16 two characters"),
        pytest.param("PatientID=PAT1?", [], id="SEA-16 exactly one"),
        pytest.param("PatientID=pat*", [], id="SEA-15 case"),
        pytest.param("PatientName=dOE*", [1], id="SEA-15 names"),
        pytest.param("PatientID=*", [1, 2], id="SEA-17 universal"),
        pytest.param("PatientID=", [1, 2], id="SEA-17 empty"),
        pytest.param("StudyDate=-20201231", [1], id="SEA-18 open"),
        pytest.param("StudyDate=20200115-20210630", [1, 2], id="SEA-18 inclusive"),
        pytest.param("StudyDate=20200115-20210630&StudyTime=1016-2359", [2], id="SEA-19 one interval"),
        pytest.param(f"StudyInstanceUID={uid(2)},{uid(3)}", [2], id="SEA-12 list"),
        pytest.param(f"StudyInstanceUID={uid(2)}%2C{uid(1)}", [1, 2], id="SEA-12 encoded list"),
        pytest.param("PatientID=PAT1&StudyID=S22", [], id="all keys have to match"),
        pytest.param("fuzzymatching=true&PatientName=john", [1], id="SEA-24"),
        pytest.param("emptyvaluematching=true&StudyDescription=%22%22", [2], id="SEA-25"),
        pytest.param("multiplevaluematching=true&ModalitiesInStudy=CT%5CSR", [1], id="SEA-26"),
    ],
)
def test_matching(archive: Client, query: str, studies: list[int]) -> None:
    answer = archive.get(f"/studies?{query}")
    assert [result["0020000D"]["Value"][0] for result in answer.json] == [uid(study) for study in studies]
    assert answer.header("Warning") is None


def test_sequence_keys_match_within_one_item_SEA_10_SEA_20(archive: Client) -> None:
    item = "RequestAttributesSequence"
    both = f"{item}.00400009=STEP1&00400275.RequestedProcedureID="
    assert len(archive.get(f"/series?{both}PROC1").json) == 1
    assert archive.get(f"/series?{both}PROC2").json == []


@pytest.mark.parametrize(
    "query",
    [
        pytest.param("StudyDate=yesterday", id="SEA-07 value"),
        pytest.param("PatientNmae=x", id="SEA-07 keyword"),
        pytest.param("SOPInstanceUID=1.2", id="SEA-07 key of a deeper level"),
        pytest.param("00091001=x", id="SEA-11 private without creator"),
        *(pytest.param(f"{name}={value}", id=f"SEA-43 {name}={value}")
          for name in ("limit", "offset") for value in ("x", "-1", "1.5", "", "1,2", "%2B1")),
    ],
)  # fmt: skip
def test_syntax_errors(memory_client: Client, query: str) -> None:
    answer = memory_client.get(f"/studies?{query}")
    assert answer.status == 400
    assert query.partition("=")[0] in answer.json["detail"]


@pytest.mark.parametrize("accept", [None, "*/*", "application/*", "application/dicom+json", "application/json"])
def test_json_is_the_default_SEA_03(archive: Client, accept: str | None) -> None:
    answer = archive.get("/studies", accept)
    assert answer.header("Content-Type") == JSON
    assert isinstance(answer.json, list)


def test_xml_says_the_same_SEA_04_XML_03(archive: Client) -> None:
    results = archive.get("/instances").json
    answer = archive.get("/instances", XML)
    assert answer.status == 200
    assert len(answer.parts) == len(results) == 4
    for (headers, content), result in zip(answer.parts, results, strict=True):
        assert headers["content-type"] == "application/dicom+xml"
        root = etree.fromstring(content)
        assert root.tag == NATIVE_MODEL + "NativeDicomModel"
        attributes = {attribute.get("tag"): attribute for attribute in root}
        assert set(attributes) == set(result)
        for tag in ("00080018", "0020000D", "00200013", "00081190"):
            (value,) = attributes[tag]
            assert value.text == str(result[tag]["Value"][0])


NO_MATCH = ["/studies?PatientID=nobody", f"/studies/{uid(9)}/series", "/instances?limit=0", "/studies?offset=2"]


@pytest.mark.parametrize("target", NO_MATCH)
def test_no_result_SEA_06_SEA_40(archive: Client, target: str) -> None:
    answer = archive.get(target)
    assert (answer.status, answer.header("Content-Type"), answer.content) == (200, JSON, b"[]")
    in_xml = archive.get(target, XML)
    assert (in_xml.status, in_xml.parts) == (200, [])  # MUL-10
    strict = Client(OriginServer(instances=archive.server.site.instances, status_of_no_match=204))
    answer = strict.get(target)
    assert (answer.status, answer.header("Content-Type"), answer.content) == (204, None, b"")
    assert strict.get("/studies").status == 200


def test_a_malformed_uid_in_the_path_is_no_empty_result(memory_client: Client) -> None:
    assert memory_client.get("/studies/1.2.x/series").status == 400


# -- what is returned ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("resource", RESOURCES.values(), ids=RESOURCES)
def test_retrieve_urls_lead_to_what_was_found_SEA_33(archive: Client, resource: Resource) -> None:
    for result in archive.get(resource.path).json:
        (url,) = result["00081190"]["Value"]
        assert url.startswith(BASE + "/studies/")
        instances = archive.get(url, ANY_DICOM).parts
        whose = result[UNIQUE_KEY[resource.depth]]["Value"][0]
        depth = whose.count(".") - 2
        assert len(instances) == sum(uid(*ref[:depth]) == whose for ref in INSTANCES)


def counts(client: Client) -> dict[str, tuple[Any, ...]]:
    """Of each study: series, instances, modalities; of each series: instances."""
    studies = {
        study["0020000D"]["Value"][0]: (
            *study["00201206"]["Value"],
            *study["00201208"]["Value"],
            tuple(sorted(study["00080061"].get("Value", ()))),
        )
        for study in client.get("/studies").json
    }
    return studies | {
        series["0020000E"]["Value"][0]: tuple(series["00201209"]["Value"]) for series in client.get("/series").json
    }


def test_counts_follow_what_is_stored_and_deleted_SEA_34_SEA_35(archive: Client) -> None:
    before = {
        uid(1): (2, 3, ("CT", "SR")),
        uid(2): (1, 1, ("CT",)),
        uid(1, 1): (2,),
        uid(1, 2): (1,),
        uid(2, 1): (1,),
    }
    assert counts(archive) == before
    archive.store(made(2, 1, 2, Modality="CT"), made(2, 2, 1, Modality="PT"), made(2, 2, 1, Modality="PT"))
    assert counts(archive) == before | {uid(2): (2, 3, ("CT", "PT")), uid(2, 1): (2,), uid(2, 2): (1,)}
    archive.request("DELETE", path(1, 2))
    archive.request("DELETE", path(2, 2, 1))
    assert counts(archive) == {
        uid(1): (1, 2, ("CT",)),
        uid(2): (1, 2, ("CT",)),
        uid(1, 1): (2,),
        uid(2, 1): (2,),
    }


@pytest.mark.parametrize("syntax", ["1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.4.80"])
def test_the_transfer_syntax_is_returned_SEA_38(client: Client, syntax: str) -> None:
    client.store(made(syntax=syntax, frames=[b"\xff\xd8\xff\xf7"]))
    (result,) = client.get("/instances").json
    assert result["00083002"] == {"vr": "UI", "Value": [syntax]}
    assert result["00080056"] == {"vr": "CS", "Value": ["ONLINE"]}


@pytest.mark.parametrize(
    ("target", "there", "missing"),
    [
        pytest.param("/studies?includefield=StudyDescription", "00081030", "0008103E", id="SEA-27 keyword"),
        pytest.param("/studies?includefield=00081030", "00081030", "", id="SEA-27 tag"),
        pytest.param("/series?includefield=00081030,SeriesDescription", "00081030 0008103E", "", id="SEA-27 list"),
        pytest.param("/series?includefield=00081030&includefield=SeriesDescription", "00081030 0008103E", "",
                     id="SEA-27 repeated"),
        pytest.param("/studies?includefield=SeriesDescription,Rows", "00100020", "0008103E 00280010",
                     id="SEA-29 of studies"),
        pytest.param("/series?includefield=SOPClassUID,Rows", "0008103E", "00080016 00280010", id="SEA-29 of series"),
        pytest.param("/studies?includefield=all", "00081030", "0008103E", id="SEA-28 of studies"),
        pytest.param(f"/instances?includefield=all&SOPInstanceUID={uid(1, 1, 1)}",
                     "00081030 0008103E 00280010 00400275", "", id="SEA-28 of instances"),
        pytest.param("/studies?StudyDescription=H*", "00081030", "", id="SEA-30"),
        pytest.param("/studies?includefield=nonsense", "00100020", "", id="SEA-27 unknown"),
    ],
)  # fmt: skip
def test_returned_attributes(archive: Client, target: str, there: str, missing: str) -> None:
    result = archive.get(target).json[0]
    assert set(there.split()) <= set(result)
    assert not set(missing.split()) & set(result)
    assert list(result) == sorted(result)


def test_attributes_that_are_only_in_the_metadata_SEA_27(archive: Client) -> None:
    results = archive.get("/instances?includefield=KVP").json
    assert [result.get("00180060", {}).get("Value") for result in results] == [None, None, None, [120]]
    assert found(RESOURCES["SEA-02 instances"], archive.get("/instances?KVP=120")) == [uid(2, 1, 1)]


# -- pages -------------------------------------------------------------------------------------------------------------


def remaining(answer: Any) -> int:
    """By the Warning of PS3.18 8.3.4.4.1; 0 without."""
    text = answer.header("Warning")
    if text is None:
        return 0
    match = re.fullmatch(f"299 {re.escape(BASE)}: There are ([0-9]+) additional results that can be requested", text)
    assert match, text
    return int(match[1])


@pytest.mark.parametrize("query", ["", "KVP=&", "SliceLocation=*&"], ids=["by index", "by matching", "by matching 2"])
@pytest.mark.parametrize(
    ("limit", "offset", "expected", "left"),
    [
        (3, 0, [1, 2, 3], 4),
        (3, 3, [4, 5, 6], 1),
        (3, 6, [7], 0),
        (7, 0, [1, 2, 3, 4, 5, 6, 7], 0),
        (100, 5, [6, 7], 0),
        (3, 7, [], 0),
        (3, 10**20, [], 0),
        (0, 0, [], 7),
    ],
)
def test_limit_and_offset_SEA_39_SEA_40_SEA_41_COM_45(
    client: Client, query: str, limit: int, offset: int, expected: list[int], left: int
) -> None:
    client.store(*(made(1, 1, number, InstanceNumber=number) for number in range(1, 8)))
    answer = client.get(f"/instances?{query}limit={limit}&offset={offset}")
    assert answer.status == 200
    assert numbers(answer) == expected
    assert remaining(answer) == left


@pytest.mark.parametrize("resource", ["/studies", "/series", "/instances"])
@pytest.mark.parametrize("query", ["", "PatientID=P*&", "PatientComments=*&"])
def test_pages_neither_repeat_nor_lose_SEA_42(client: Client, resource: str, query: str) -> None:
    client.store(*(made(number % 4 + 1, number, number, PatientID="P1") for number in range(1, 14)))
    whole = client.get(f"{resource}?{query}").json
    assert client.get(f"{resource}?{query}").json == whole
    assert len(whole) == (4 if resource == "/studies" else 13)
    pages: list[Any] = []
    while len(pages) < len(whole):
        answer = client.get(f"{resource}?{query}limit=3&offset={len(pages)}")
        pages += answer.json
        assert remaining(answer) == len(whole) - len(pages)
    assert pages == whole


@pytest.mark.parametrize("resource", ["/studies", "/series", "/instances"])
def test_pages_while_others_store_A63_SEA_42(client: Client, resource: str) -> None:
    """Instances of new studies and of those that were seen, with UIDs and dates before and after."""
    for study in (20, 10, 30, 40):
        client.store(*(made(study, series, 1, StudyDate="20200101") for series in (2, 1)))
    key = {"/studies": STUDY, "/series": SERIES_LEVEL, "/instances": INSTANCE}[resource]
    before = [result[UNIQUE_KEY[key]]["Value"][0] for result in client.get(resource).json]
    seen: list[str] = []
    for arriving in range(100):
        answer = client.get(f"{resource}?limit=3&offset={len(seen)}")
        if not answer.json:
            break
        seen += [result[UNIQUE_KEY[key]]["Value"][0] for result in answer.json]
        if arriving < 4:
            client.store(
                made(arriving + 1, 1, 1, StudyDate="19990101"),
                made(arriving + 50, 1, 1, StudyDate="20300101"),
                made(20, 1, arriving + 2),
                made(10, arriving + 3, 1),
            )
    assert len(seen) == len(set(seen))
    assert set(before) <= set(seen)
    assert set(seen) == {result[UNIQUE_KEY[key]]["Value"][0] for result in client.get(resource).json}


@cache
def many() -> list[bytes]:
    return [made(1, 1, number, InstanceNumber=number, PatientComments="x") for number in range(1, 151)]


@pytest.mark.parametrize("query", ["", "?PatientComments=*", "?limit=1000000"])
@pytest.mark.parametrize(
    ("limits", "most"),
    [(Limits(search_results=50), 50), (Limits(search_bytes=20_000), 60)],
    ids=["search_results", "search_bytes"],
)
def test_an_unfiltered_search_is_capped_and_says_so_A62_SEA_41(
    store: InstanceStore, limits: Limits, most: int, query: str
) -> None:
    client = Client(OriginServer(instances=store, limits=limits))
    client.store(*many())
    answer = client.get(f"/instances{query}")
    shown = numbers(answer)
    assert shown == list(range(1, len(shown) + 1))
    assert 0 < len(shown) <= most
    assert len(answer.content) < limits.search_bytes + 2_000
    assert remaining(answer) == 150 - len(shown)
    joined = "&" if query else "?"
    following = client.get(f"/instances{query}{joined}offset={len(shown)}")
    assert numbers(following)[0] == len(shown) + 1
