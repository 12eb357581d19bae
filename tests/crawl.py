"""Everything that can be asked about what a server holds, asked: no answer may fail, all text must be well-formed."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from typing import Any

from tests.clients import ANY_DICOM, JSON, OCTETS, Answer, Client

XML = 'multipart/related; type="application/dicom+xml"'
LITTLE_ENDIAN = 'multipart/related; type="application/dicom"; transfer-syntax=1.2.840.10008.1.2.1'
QUERIES = ("", "includefield=all", "includefield=all&fuzzymatching=true&PatientName=x", "PatientName=*a*",
           "StudyDate=19000101-", "includefield=00091002&includefield=00400275")  # fmt: skip


def crawl(client: Client) -> int:
    """Asks for searches, metadata and bytes of everything stored; how many instances there are.

    Raises AssertionError for an answer that is an error, no strict JSON, no well-formed XML, or does not list what is
    stored.
    """
    instances = _refs(client)
    for query in QUERIES:
        for level in ("studies", "series", "instances"):
            found = fine(client.get(f"/{level}?{query}", JSON)).json
            assert isinstance(found, list)
            assert len(xml_parts(client.get(f"/{level}?{query}", XML))) == len(found)
    for study in sorted({ref[0] for ref in instances}):
        below = [ref for ref in instances if ref[0] == study]
        _crawl_group(client, f"/studies/{study}", len(below))
        for series in sorted({ref[1] for ref in below}):
            count = sum(ref[1] == series for ref in below)
            _crawl_group(client, f"/studies/{study}/series/{series}", count)
    for study, series, instance in instances:
        _crawl_instance(client, f"/studies/{study}/series/{series}/instances/{instance}")
    return len(instances)


def fine(answer: Answer) -> Answer:
    """The answer, if it is 200."""
    assert answer.status == 200, (answer.status, answer.content[:300])
    return answer


def no_failure(answer: Answer) -> Answer:
    """The answer, if the server has not failed."""
    assert answer.status < 500, (answer.status, answer.content[:300])
    assert b"Traceback" not in answer.content[:10_000]
    for name, value in answer.headers:
        assert value.isprintable(), (name, value)
        assert len(value) < 4096, name
    return answer


def xml_parts(answer: Answer) -> list[ElementTree.Element]:
    """Roots of the documents, read by the standard library."""
    return [ElementTree.fromstring(content) for _, content in fine(answer).parts] if answer.content else []


def _refs(client: Client) -> list[tuple[str, str, str]]:
    found = fine(client.get("/instances")).json
    return [tuple(one[tag]["Value"][0] for tag in ("0020000D", "0020000E", "00080018")) for one in found]  # type: ignore[misc]


def _crawl_group(client: Client, url: str, count: int) -> None:
    assert len(fine(client.get(f"{url}/metadata", JSON)).json) == count
    assert len(xml_parts(client.get(f"{url}/metadata", XML))) == count
    assert len(fine(client.get(f"{url}/instances?includefield=all")).json) == count
    assert len(fine(client.get(url, ANY_DICOM)).parts) == count
    for suffix, accept in (("", LITTLE_ENDIAN), ("/bulkdata", OCTETS), ("/pixeldata", OCTETS)):
        no_failure(client.get(url + suffix, accept))


def _crawl_instance(client: Client, url: str) -> None:
    (metadata,) = fine(client.get(f"{url}/metadata", JSON)).json
    (root,) = xml_parts(client.get(f"{url}/metadata", XML))
    assert root.tag.endswith("NativeDicomModel")
    for uri in bulk_data_uris(metadata):
        assert uri.startswith(client.base_url + url + "/bulkdata/")
        fine(client.get(uri, "*/*"))
    original = fine(client.get(url, ANY_DICOM)).parts[0][1]
    assert original[128:132] == b"DICM"
    no_failure(client.get(url, "application/dicom"))
    for suffix in ("/frames/1", "/frames/2", "/frames/1,1", "/bulkdata", "/pixeldata", "/bulkdata/00100010"):
        no_failure(client.get(url + suffix, OCTETS))
        no_failure(client.get(url + suffix, "*/*"))
    converted = no_failure(client.get(url, LITTLE_ENDIAN))
    if converted.status == 200:
        _same_elements(original, converted.parts[0][1])


def bulk_data_uris(metadata: dict[str, Any]) -> Iterator[str]:
    """At all depths."""
    pending: list[Any] = [metadata]
    while pending:
        for attribute in pending.pop().values():
            if "BulkDataURI" in attribute:
                yield attribute["BulkDataURI"]
            if attribute["vr"] == "SQ":
                pending += attribute.get("Value", [])


def _same_elements(original: bytes, converted: bytes) -> None:
    """Whether the conversion is readable and says the same: a server makes the same metadata of it."""
    from dicomweb_core import OriginServer
    from dicomweb_memory import MemoryInstanceStore

    models = []
    for content in (original, converted):
        other = OriginServer(instances=MemoryInstanceStore())
        report = other.store([content])
        assert not report.failed, report.failed
        ref = report.stored[0].ref
        models.append(other.metadata(*ref)[0])
    assert list(models[1]) == list(models[0])
