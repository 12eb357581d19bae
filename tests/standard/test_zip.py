"""ZIP archives of instances, retrieved and stored: an extension, `application/zip`."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator

import pydicom
import pytest

from dicomweb_core import Access, Limits, OriginServer
from dicomweb_core.errors import CorruptBlob, DICOMwebError
from dicomweb_core.services import retrieve
from dicomweb_core.testing.faults import Fault, FaultyStore
from dicomweb_memory import MemoryInstanceStore
from tests.clients import Answer, Client
from tests.made import made, path, uid

ZIP = "application/zip"
MULTIPART = 'multipart/related; type="application/dicom"'
ELE = "1.2.840.10008.1.2.1"
IMPLICIT = "1.2.840.10008.1.2"
JPEG = "1.2.840.10008.1.2.4.50"

FILES = {
    (1, 1, 1): made(1, 1, 1, frames=[b"abcd"]),
    (1, 1, 2): made(1, 1, 2, frames=[b"abcd"], syntax=IMPLICIT),
    (1, 2, 1): made(1, 2, 1, frames=[b"\xff\xd8\xff\xd9"], syntax=JPEG),
    (2, 1, 1): made(2, 1, 1),
}


def name_of(study: int, series: int, number: int) -> str:
    return f"{uid(study)}/{uid(study, series)}/{uid(study, series, number)}.dcm"


def unzipped(answer: Answer) -> dict[str, bytes]:
    assert answer.status == 200, answer.content
    assert answer.header("Content-Type") == ZIP
    with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
        assert archive.testzip() is None
        return {name: archive.read(name) for name in archive.namelist()}


def zipped(*files: bytes, method: int = zipfile.ZIP_DEFLATED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        for number, content in enumerate(files):
            archive.writestr(f"IMAGES/{number}", content)
    return buffer.getvalue()


def send(client: Client, archive: bytes, target: str = "/studies", content_type: str = ZIP) -> Answer:
    return client.request("POST", target, archive, Content_Type=content_type)


@pytest.fixture
def archive(client: Client) -> Client:
    assert client.store(*FILES.values()).status == 200
    return client


@pytest.mark.parametrize("target", [(1,), (1, 1), (1, 1, 2), (1, 2, 1), (2,)])
def test_everything_below_the_target_as_stored(archive: Client, target: tuple[int, ...]) -> None:
    answer = archive.get(path(*target), ZIP)
    expected = {name_of(*key): content for key, content in FILES.items() if key[: len(target)] == target}
    assert unzipped(answer) == expected
    assert answer.length == len(answer.content)
    assert answer.header("Content-Disposition") == f'attachment; filename="{uid(*target)}.zip"'
    assert answer.header("Warning") is None


@pytest.mark.parametrize(
    ("accept", "parameter", "expected"),
    [
        pytest.param(ZIP, "", ZIP, id="named"),
        pytest.param("APPLICATION/ZIP", "", ZIP, id="case"),
        pytest.param(f"{ZIP}, */*", "", ZIP, id="named beside anything"),
        pytest.param(f"{ZIP}, {MULTIPART};q=0.9", "", ZIP, id="preferred"),
        pytest.param(f"{ZIP};q=0.5, {MULTIPART}", "", MULTIPART, id="second choice"),
        pytest.param(f"{ZIP};q=0.5, {MULTIPART}; transfer-syntax=1.2.3", "", ZIP, id="the first choice cannot be had"),
        pytest.param(f"{ZIP};q=0, {MULTIPART}", "", MULTIPART, id="excluded"),
        pytest.param("*/*", "", MULTIPART, id="never by a wildcard"),
        pytest.param(None, f"accept={ZIP}", ZIP, id="in a link"),
        pytest.param("text/html,application/xhtml+xml,*/*;q=0.8", f"accept={ZIP}", ZIP, id="in a link of a browser"),
        pytest.param(f"{ZIP}; transfer-syntax=*", "", ZIP, id="as stored, said so"),
    ],
)
def test_negotiation(archive: Client, accept: str | None, parameter: str, expected: str) -> None:
    for target in (path(1), path(1, 1), path(1, 1, 1)):
        answer = archive.get(f"{target}?{parameter}", accept)
        assert answer.status == 200
        assert (answer.header("Content-Type") or "").startswith(expected)


@pytest.mark.parametrize(
    "accept", [f"{ZIP};q=0", f"{ZIP}; transfer-syntax=1.2.3", f'multipart/related; type="{ZIP}"', "application/*"]
)
def test_what_is_not_acceptable_names_the_archive(archive: Client, accept: str) -> None:
    answer = archive.get(path(1), accept)
    assert answer.status == 406
    assert ZIP in answer.json["available"]


def test_a_transfer_syntax_applies_to_every_instance(archive: Client) -> None:
    answer = archive.get(path(1, 1), f"{ZIP}; transfer-syntax={ELE}")
    found = {name: pydicom.dcmread(io.BytesIO(content)) for name, content in unzipped(answer).items()}
    assert found.keys() == {name_of(1, 1, 1), name_of(1, 1, 2)}
    assert {data.file_meta.TransferSyntaxUID for data in found.values()} == {ELE}
    assert {data.PixelData for data in found.values()} == {b"abcd"}


def test_what_cannot_be_sent_so_is_left_out_and_counted(archive: Client) -> None:
    answer = archive.get(path(1), f"{ZIP}; transfer-syntax={JPEG}")
    assert unzipped(answer) == {name_of(1, 2, 1): FILES[1, 2, 1]}
    assert "2 of 3 instances" in (answer.header("Warning") or "")


def test_retired_syntaxes_can_be_kept_from_the_wire(archive: Client) -> None:
    server = OriginServer(instances=archive.server.site.instances, send_retired_syntaxes=False)
    (content,) = unzipped(Client(server).get(path(1, 1, 2), ZIP)).values()
    assert pydicom.dcmread(io.BytesIO(content)).file_meta.TransferSyntaxUID == ELE


def test_unknown_and_deleted(archive: Client) -> None:
    assert archive.get(path(9), ZIP).status == 404
    assert archive.request("DELETE", path(2)).status == 204
    assert archive.get(path(2), ZIP).status == 410


def test_a_long_answer_is_sent_as_it_is_read(archive: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retrieve, "LISTED_INSTANCES", 2)
    answer = archive.get(path(1), ZIP)
    assert answer.length is None
    assert len(unzipped(answer)) == 3


def test_what_breaks_on_the_way_cuts_the_answer() -> None:
    """Nothing is shortened silently: without the directory no reader takes it for whole."""
    store = MemoryInstanceStore()
    assert Client(OriginServer(instances=store)).store(*FILES.values()).status == 200
    broken = FaultyStore(store, Fault("read", nth=3, error=CorruptBlob("The content is broken."), always=True))
    client = Client(OriginServer(instances=broken))
    with pytest.raises(CorruptBlob):
        client.get(path(1), ZIP)
    assert client.get(path(1), ZIP).status == 500  # the first instance: before the status line


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED], ids=["stored", "deflated"])
@pytest.mark.parametrize("content_type", [ZIP, "application/x-zip-compressed", "Application/ZIP; charset=binary"])
def test_store(client: Client, method: int, content_type: str) -> None:
    answer = send(client, zipped(*FILES.values(), method=method), content_type=content_type)
    assert answer.status == 200
    assert len(answer.json["00081199"]["Value"]) == len(FILES)
    for key, content in FILES.items():
        assert unzipped(client.get(path(*key), ZIP)) == {name_of(*key): content}


def test_what_was_retrieved_can_be_stored(archive: Client) -> None:
    other = Client(OriginServer(instances=MemoryInstanceStore()))
    assert send(other, archive.get(path(1), ZIP).content).status == 200
    assert unzipped(other.get(path(1), ZIP)) == unzipped(archive.get(path(1), ZIP))


def test_folders_are_nothing_and_other_files_are_failures(client: Client) -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("DICOM/", b"")
        archive.writestr("DICOM/1/2/3", FILES[1, 1, 1])
        archive.writestr("README.TXT", b"Insert the disc into a drive.")
        archive.writestr("empty", b"")
    answer = send(client, buffer.getvalue())
    assert answer.status == 202
    assert len(answer.json["00081199"]["Value"]) == 1
    failed = [item["00741048"]["Value"][0]["00000902"]["Value"][0] for item in answer.json["0008119A"]["Value"]]
    assert [text.partition(":")[0] for text in failed] == ["Part 3", "Part 4"]
    assert all("not a Part 10 file" in text for text in failed)


def test_instances_of_another_study_than_that_of_the_url(client: Client) -> None:
    answer = send(client, zipped(*FILES.values()), f"/studies/{uid(1)}")
    assert answer.status == 202
    assert len(answer.json["00081199"]["Value"]) == 3
    (failed,) = answer.json["00081198"]["Value"]
    assert failed["00081197"]["Value"] == [0xA901]


def test_what_authorize_narrows_away_cannot_be_stored_in_an_archive_A91() -> None:
    def narrow(_access: Access) -> dict[str, str]:
        return {"PatientID": "MINE"}

    client = Client(OriginServer(instances=MemoryInstanceStore(), authorize=narrow))
    answer = send(client, zipped(made(1, PatientID="MINE"), made(2, PatientID="YOURS")))
    assert answer.status == 202
    (failed,) = answer.json["00081198"]["Value"]
    assert failed["00081155"]["Value"] == [uid(2, 1, 1)]
    assert failed["00081197"]["Value"] == [0x0124]


@pytest.mark.parametrize("files", [(), (b"",)], ids=["empty", "empty file"])
def test_an_archive_without_an_instance(client: Client, files: tuple[bytes, ...]) -> None:
    assert send(client, zipped(*files)).status == 400


def test_bytes_before_the_archive_do_not_count(client: Client) -> None:
    """As in an archive that unpacks itself."""
    assert send(client, b"MZ" + bytes(5000) + zipped(*FILES.values())).status == 200


def test_zip64_from_others_is_read(client: Client) -> None:
    buffer = io.BytesIO()
    with (
        zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive,
        archive.open("1", "w", force_zip64=True) as file,
    ):
        file.write(FILES[1, 1, 1])
    assert send(client, buffer.getvalue()).status == 200


def test_a_streamed_archive_of_others_is_read(client: Client) -> None:
    """With data descriptors, as tools write into a pipe."""

    class Pipe(io.RawIOBase):
        def __init__(self) -> None:
            self.chunks: list[bytes] = []

        def writable(self) -> bool:
            return True

        def write(self, data: bytes) -> int:  # type: ignore[override]  # any buffer
            self.chunks.append(bytes(data))
            return len(data)

    pipe = Pipe()
    with zipfile.ZipFile(pipe, "w", zipfile.ZIP_DEFLATED) as archive:
        for number, content in enumerate(FILES.values()):
            archive.writestr(str(number), content)
    assert send(client, b"".join(pipe.chunks)).status == 200


def staged_errors() -> Iterator[tuple[str, Fault]]:
    error = DICOMwebError("The medium is broken.")
    yield "write", Fault("write", error=error)
    yield "seal", Fault("seal", error=error)
    yield "read", Fault("read", error=error)


@pytest.mark.parametrize("fault", [fault for _, fault in staged_errors()], ids=[name for name, _ in staged_errors()])
def test_a_broken_medium_is_a_failure_of_the_server(fault: Fault) -> None:
    store = MemoryInstanceStore()
    client = Client(OriginServer(instances=FaultyStore(store, fault)))
    assert send(client, zipped(*FILES.values())).status == 500
    assert store.statistics().instances == 0


def test_the_payload_has_a_ceiling(client: Client) -> None:
    limited = Client(OriginServer(instances=client.server.site.instances, limits=Limits(request_bytes=1000)))
    assert send(limited, zipped(*FILES.values(), method=zipfile.ZIP_STORED)).status == 413
    assert client.get("/instances").json == []
