"""Hostile searches through the whole server (A14, A15, A34, A35, A37, A38, A60-A65): every backend answers alike."""

from __future__ import annotations

import threading
import time
from urllib.parse import quote

import pytest

from dicomweb_core import OriginServer
from dicomweb_core.rules.targets import RESOURCES
from dicomweb_core.testing.samples import archive, sample
from dicomweb_lmdb import LMDBInstanceStore
from dicomweb_memory import MemoryInstanceStore
from tests.attacks.test_server_poison import part10
from tests.cases import case
from tests.clients import JSON, Client
from tests.crawl import no_failure
from tests.part10_bytes import element

VALUES = [
    *("'", "''", "' OR '1'='1", "%", "_", "\\", "\\\\", "*" * 100, "*a" * 100, "?" * 64, "*?" * 40, ".*", "[a-z]*"),
    *("(a+)+$", "\0", "a\0b", "\r\nX: y", "\x1b[31m", "\u202e", "\ufffe", "\ufeff", "\ud7ff", "\U0010ffff", "é", "é"),
    *("=", "^", "^^^^", "a=b=c=d", "-", "--", "20200101-", "-20200101", "20200102-20200101", "99999999", "0000", "24"),
    *(
        "1e999",
        "NaN",
        "-1",
        "1" * 70,
        "1.2.3",
        "1.2.3,1.2.4",
        ",",
        "," * 500,
        "1..2",
        "../x",
        "\xff",
        "\xff\xff",
        "\x01",
    ),
    *('""', '"', "{}", "${jndi:ldap://x}", "</script>", "1\\2", "a\\b", "true", "CT", "ct", "Sample^*", "P1", "*1"),
]
ATTRIBUTES = [
    "PatientName", "PatientID", "StudyDate", "StudyTime", "AccessionNumber", "ModalitiesInStudy", "StudyInstanceUID",
    "StudyID", "PatientBirthDate", "StudyDescription", "PatientComments", "Modality", "00100020", "SeriesNumber",
    "SeriesInstanceUID", "SOPInstanceUID", "SOPClassUID", "InstanceNumber", "Rows", "PatientSize", "00091001",
    "00400275.00400009", "ReferencedStudySequence.ReferencedSOPInstanceUID", "NumberOfStudyRelatedInstances",
    "TimezoneOffsetFromUTC", "SpecificCharacterSet", "PixelData", "RetrieveURL", "limit", "offset", "includefield",
    "fuzzymatching", "accept", "charset", "x", "00090010",
]  # fmt: skip


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> tuple[Client, Client]:
    """The same instances in a store of each backend; nothing here changes them."""
    tmp_path = tmp_path_factory.mktemp("both")
    evil = part10(
        100,
        element(0x00100010, "PN", b"O'Neil^%_\\*"), element(0x00100020, "LO", b"%_'\\?* "),
        element(0x00104000, "LT", b"a\0b\r\nc "), element(0x00081030, "LO", b"\x1b[31m "),
    )  # fmt: skip
    clients = tuple(
        Client(OriginServer(instances=store))
        for store in (MemoryInstanceStore(), LMDBInstanceStore(tmp_path / "store"))
    )
    for client in clients:
        assert client.store(*(one.part10 for one in archive(3, 2, 2)), evil).status == 200
    return clients  # type: ignore[return-value]


@pytest.mark.parametrize("name", ATTRIBUTES)
def test_any_value_has_the_same_answer_over_each_backend_A60_A61_A65(both: tuple[Client, Client], name: str) -> None:
    begin = time.process_time()
    for value in VALUES:
        text = quote(value, safe="") if value != "\xff" else "%FF%fe"
        for level in ("studies", "instances"):
            for extra in ("", "&fuzzymatching=true&emptyvaluematching=true&multiplevaluematching=true"):
                answers = [no_failure(client.get(f"/{level}?{name}={text}{extra}", JSON)) for client in both]
                assert answers[0].status == answers[1].status
                assert answers[0].content == answers[1].content, (name, value)
                assert answers[0].headers == answers[1].headers
                assert isinstance(answers[0].json, list | dict)
    assert time.process_time() - begin < 10


@pytest.mark.parametrize(
    "query",
    [
        "&".join(f"x{n}=1" for n in range(8000)),
        "&".join("x" * 7 + f"{n}=1" for n in range(3000)),
        "a%0d%0aX:=1",
        "%00=1", "=1", "&&&", "a=%FF", "%FF=a", "%=1", "x=%", "PatientID=%", "PatientID=" + "1" * 60_000,
        "PatientID=%00", "includefield=" + ",".join(["00400275." * 16 + "00400009"] * 100),
        "includefield=" + "all," * 5000, "includefield=%0d%0aX", "limit=1e18", "limit=-1", "limit=0", "limit=1&limit=2",
        "offset=" + "9" * 30, "offset=999999999999999999", "limit=" + "9" * 18, "fuzzymatching=maybe",
        "accept=" + "*/*," * 4000, "accept=%0d%0a", "accept=application/dicom%2Bxml", "accept=a/b;q=NaN",
        "charset=utf-7", "charset=%0d%0a", "&".join(f"{0x00100020 + n:08X}=1" for n in range(5000)),
        "\ud800=1", "PatientID=\ud800", "\u00e9=1", "PatientID=\u00e9",
    ],
    ids=lambda query: ascii(query[:30]),
)  # fmt: skip
def test_any_query_is_answered_in_small_headers_A35_A61(both: tuple[Client, Client], query: str) -> None:
    for level in ("studies", "series", "instances"):
        answers = [no_failure(client.get(f"/{level}?{query}")) for client in both]
        assert answers[0].status == answers[1].status
        assert answers[0].content == answers[1].content
        headers = answers[0].headers
        assert len(headers) <= 20
        assert sum(len(name) + len(value) for name, value in headers) < 8192
        assert isinstance(answers[0].json, list | dict)


@pytest.mark.parametrize("accept", [
    *("", ",", "*/*", "*", "a", "/", "text/html", "application/dicom+json;q=NaN", "application/dicom+json;q=2"),
    *("application/dicom+json;q=0", "*/*;q=0", "multipart/*", 'multipart/related; type="', "application/*;q=-1"),
    *("application/dicom+json\r\nX: y", "a/b\0", "\ud800/x", "é/é", "a/b;" * 3000, "*/*," * 3000, "x" * 20_000),
    *('multipart/related; type="application/dicom"; transfer-syntax=1.2.3.4', "application/dicom;transfer-syntax=*"),
    *('multipart/related; type="application/octet-stream"; transfer-syntax="*"', "image/jpeg;transfer-syntax=..."),
], ids=lambda accept: ascii(accept[:20]))  # fmt: skip
def test_any_accept_on_every_resource_A34_A35(memory_client: Client, accept: str) -> None:
    memory_client.store(sample(1, 1, 1).part10)
    for template in (resource.template for resource in RESOURCES):
        answer = no_failure(memory_client.get(filled(template), accept))
        if answer.status >= 400 and accept == "text/html":
            assert answer.content.startswith(b"<!DOCTYPE html>")
        elif answer.status >= 400:
            assert isinstance(answer.json["detail"], str)


def filled(template: str) -> str:
    study, series, instance = sample(1, 1, 1).ref
    values = {"{study}": study, "{series}": series, "{instance}": instance, "{frames}": "1", "{bulkdata*}": "7FE00010"}
    for name, value in values.items():
        template = template.replace(name, value)
    return template


METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT", "get", "", "\r\n", "\ud800")


@pytest.mark.parametrize("template", [resource.template for resource in RESOURCES] + ["/nothing"])
def test_every_method_on_every_resource_A37(template: str) -> None:
    for method in METHODS:
        with case(ascii(method)):
            check_method(template, method)


def check_method(template: str, method: str) -> None:
    client = Client(OriginServer(instances=MemoryInstanceStore()))
    client.store(sample(1, 1, 1).part10)
    answer = no_failure(client.request(method, filled(template), b"x", X_HTTP_Method_Override="DELETE"))
    if answer.status == 405:
        allowed = (answer.header("Allow") or "").split(", ")
        assert allowed[-1] == "OPTIONS"
        assert method not in allowed
    options = client.request("OPTIONS", filled(template))
    if template != "/nothing":
        assert options.status == 200
        assert (method in (options.header("Allow") or "").split(", ")) == (answer.status != 405)
    if method != "DELETE":
        assert len(client.get("/instances").json) == 1


@pytest.mark.parametrize("uid", [
    "", ".", "..", "1..2", "1.", ".1", "1" * 65, "a", "1.2.a", "%2e%2e", "../..", "..%2f..", "1.2%00", "1.2\n", "1.2 ",
    "١.٢", "１.２", "1.2;x=y", "1.2\\1.3", "1.2,1.3", "\ud800", "\u202e1.2", "*", "1.2?", "/etc/passwd", "1.2/../../x",
], ids=ascii)  # fmt: skip
def test_what_is_no_uid_never_finds_anything_A15_A38(both: tuple[Client, Client], uid: str) -> None:
    study, series, _ = sample(1, 1, 1).ref
    for path in (
        f"/studies/{uid}",
        f"/studies/{study}/series/{uid}",
        f"/studies/{study}/series/{series}/instances/{uid}",
    ):
        for suffix in ("", "/metadata", "/bulkdata", "/frames/1", "/bulkdata/7FE00010"):
            for method in ("GET", "DELETE", "POST"):
                answers = [no_failure(client.request(method, path + suffix, Accept="*/*")) for client in both]
                assert answers[0].status == answers[1].status
                assert answers[0].content == answers[1].content
                if uid not in ("", "1.2?"):
                    assert answers[0].status >= 400
    for client in both:
        assert len(client.get("/instances").json) == 13


@pytest.mark.parametrize("frames", [
    "0", "-1", "1-", "1,1,1", "1,999999999", "99999999999999999999", "1,", ",1", ",", "1,,2", "1.0", "+1", " 1", "0x1",
    "1e3", "١", "²", "1," * 5000 + "1", "1," * 10_001 + "1", "1" * 60_000, "\0", "1/metadata", "all", "\ud800",
], ids=lambda frames: ascii(frames[:20]))  # fmt: skip
def test_frame_lists_A20(memory_client: Client, frames: str) -> None:
    memory_client.store(sample(1, 1, 1, frames=3).part10)
    url = f"/{sample(1, 1, 1).ref.path}"
    begin = time.process_time()
    answer = no_failure(memory_client.get(f"{url}/frames/{frames}", "*/*"))
    assert time.process_time() - begin < 5
    good = set(frames) <= set("1,") and not set(frames.split(",")) - {"1"} and frames.count(",") < 10_000
    assert (answer.status == 200) is good
    if good:
        assert len(answer.parts) == frames.count(",") + 1


def test_pages_while_others_write_neither_repeat_nor_lose_A63(server: OriginServer) -> None:
    client = Client(server)
    kept = [sample(n, 1, 1) for n in range(1, 41)]
    client.store(*(one.part10 for one in kept))
    stop = threading.Event()
    failures: list[object] = []

    def disturb() -> None:
        number = 1000
        while not stop.is_set():
            number += 1
            other = sample(number, 1, 1)
            for answer in (client.store(other.part10), client.request("DELETE", f"/studies/{other.ref.study}")):
                if answer.status not in (200, 204):
                    failures.append(answer)

    writer = threading.Thread(target=disturb)
    writer.start()
    try:
        for _ in range(15):
            seen: list[str] = []
            for offset in range(0, 40, 7):
                page = no_failure(client.get(f"/studies?limit=7&offset={offset}")).json
                seen += [one["0020000D"]["Value"][0] for one in page]
            ours = [uid for uid in seen if uid in {one.ref.study for one in kept}]
            assert ours == [one.ref.study for one in kept]
    finally:
        stop.set()
        writer.join()
    assert not failures


def test_a_page_of_large_results_is_bounded_and_says_so_A62(client: Client) -> None:
    heavy = [part10(number, element(0x0040A160, "UT", b"a" * 200_000)) for number in range(100, 200)]
    assert client.store(*heavy).status == 200
    answer = client.get("/instances?includefield=all")
    assert len(answer.content) < 17 << 20
    assert 0 < len(answer.json) < 100
    assert f"There are {100 - len(answer.json)} additional results" in (answer.header("Warning") or "")
