"""Retrieve Capabilities (PS3.18 8.9, Annexes G and H)."""

from __future__ import annotations

from typing import Any

import pytest
from lxml import etree

from dicomweb_core import OriginServer
from dicomweb_core.rules.targets import RESOURCES
from dicomweb_memory import MemoryInstanceStore
from tests.clients import BASE, Client

WADL = "{http://wadl.dev.java.net/2009/02}"


def described(node: Any, path: str = "") -> set[tuple[str, str]]:
    """(method, path) of everything below a node of the JSON form."""
    found = {(method["@name"], path) for method in node.get("method", [])}
    for child in node.get("resource", []):
        found |= described(child, f"{path}/{child['@path']}")
    return found


def test_every_routed_method_is_described_CAP_01_CAP_03_CAP_04(memory_client: Client) -> None:
    answer = memory_client.request("OPTIONS", "/", Accept="application/json")
    assert answer.status == 200
    resources = answer.json["application"]["resources"]
    assert resources["@base"] == BASE
    routed = {(method, row.template.replace("*", "")) for row in RESOURCES for method in row.methods}
    assert described(resources) == routed


def test_described_methods_are_answered_CAP_04(memory_client: Client) -> None:
    resources = memory_client.request("OPTIONS", "/", Accept="application/json").json["application"]["resources"]
    names = {"{study}": "1.2", "{series}": "1.3", "{instance}": "1.4", "{frames}": "1", "{bulkdata}": "7FE00010"}
    for method, path in sorted(described(resources)):
        for name, value in names.items():
            path = path.replace(name, value)
        assert memory_client.request(method, path).status not in (405, 500, 501), (method, path)


def test_wadl_CAP_02(memory_client: Client) -> None:
    answer = memory_client.request("OPTIONS", "/", Accept="application/vnd.sun.wadl+xml")
    assert answer.header("Content-Type") == "application/vnd.sun.wadl+xml"
    root = etree.fromstring(answer.content)
    assert root.tag == WADL + "application"
    (resources,) = root
    assert resources.get("base") == BASE
    search = resources.find(f"{WADL}resource[@path='studies']/{WADL}method[@id='searchForStudies']")
    names = {param.get("name") for param in search.iter(WADL + "param")}
    assert {"limit", "offset", "includefield", "PatientName", "00100010"} <= names


def test_metadata_say_that_fields_can_be_chosen_CAP_03(memory_client: Client) -> None:
    answer = memory_client.request("OPTIONS", "/", Accept="application/vnd.sun.wadl+xml")
    methods = [
        method
        for method in etree.fromstring(answer.content).iter(WADL + "method")
        if "includefield" in {param.get("name") for param in method.iter(WADL + "param")}
    ]
    assert sorted({method.get("id") for method in methods}) == [
        "retrieveMetadata", "searchForInstances", "searchForSeries", "searchForStudies",
    ]  # fmt: skip
    assert len([method for method in methods if method.get("id") == "retrieveMetadata"]) == 3


def test_json_form_lists_what_may_repeat_CAP_05(memory_client: Client) -> None:
    description = memory_client.request("OPTIONS", "/studies", Accept="application/json").json

    def check(name: str, node: Any) -> None:
        repeatable = {"resource", "method", "param", "option", "representation", "response"}
        assert isinstance(node, list) == (name in repeatable), name
        for child in node if isinstance(node, list) else [node]:
            for key, value in child.items():
                if key.startswith("@"):
                    assert isinstance(value, str)
                else:
                    check(key, value)

    check("application", description["application"])


def test_subtree_of_a_resource(memory_client: Client) -> None:
    resources = memory_client.request("OPTIONS", "/series", Accept="application/json").json["application"]["resources"]
    assert described(resources) == {("GET", "/series")}


def test_other_types_are_not_acceptable(memory_client: Client) -> None:
    assert memory_client.request("OPTIONS", "/", Accept="image/png").status == 406


@pytest.mark.parametrize(
    ("origins", "origin", "allowed"),
    [
        pytest.param({"https://viewer.example"}, "https://viewer.example", "https://viewer.example", id="listed"),
        pytest.param({"https://viewer.example"}, "https://evil-viewer.example", None, id="A40 suffix"),
        pytest.param({"https://viewer.example"}, "null", None, id="A40 null"),
        pytest.param({"*"}, "https://any.example", "*", id="any"),
        pytest.param(set(), "https://viewer.example", None, id="off"),
    ],
)
def test_preflight_is_answered_as_preflight_CAP_07(origins: set[str], origin: str, allowed: str | None) -> None:

    def refuse(_access: object) -> None:
        raise AssertionError("a preflight carries no credentials")

    server = OriginServer(instances=MemoryInstanceStore(), cors_origins=origins, authorize=refuse)
    answer = Client(server).request("OPTIONS", "/studies", Origin=origin, Access_Control_Request_Method="GET")
    assert answer.status == 204
    assert answer.header("Access-Control-Allow-Origin") == allowed
    if allowed:
        assert "Accept" in (answer.header("Access-Control-Allow-Headers") or "")
        assert "POST" in (answer.header("Access-Control-Allow-Methods") or "")
    assert answer.header("Access-Control-Allow-Credentials") is None


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),
        ({"If_None_Match": '"x"'}, 200),
        ({"If_Modified_Since": "Fri, 01 Jan 2100 00:00:00 GMT"}, 200),
        ({"If_None_Match": "*"}, 304),
        ({"If_None_Match": '"x", {etag}'}, 304),
    ],
    ids=str,
)
def test_the_description_is_left_out_only_for_who_has_it_CAP_06(
    memory_client: Client, headers: dict[str, str], status: int
) -> None:
    etag = memory_client.request("OPTIONS", "/", Accept="application/json").header("ETag")
    assert etag
    headers = {name: value.format(etag=etag) for name, value in headers.items()}
    answer = memory_client.request("OPTIONS", "/", Accept="application/json", **headers)
    assert (answer.status, bool(answer.content)) == (status, status == 200)
    assert answer.header("ETag") == etag
    assert memory_client.request("OPTIONS", "/studies", Accept="application/json").header("ETag") != etag
