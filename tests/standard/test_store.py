"""Store (PS3.18 10.5) over both backends."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from dicomweb_core import InstanceStore, Limits, OnDuplicate, OriginServer
from dicomweb_core.errors import CorruptBlob, OutOfSpace, StorageUnavailable
from dicomweb_core.testing.faults import Fault, FaultyStore
from tests.clients import ANY_DICOM, BASE, Client, file_bytes, multipart
from tests.made import made, path, uid

CT = file_bytes("CT_small.dcm")
MR = file_bytes("MR_small.dcm")
CT_STUDY = "1.3.6.1.4.1.5962.1.2.1.20040119072730.12322"
CT_INSTANCE = "1.3.6.1.4.1.5962.1.1.1.1.1.20040119072730.12322"


def reasons(module: dict[str, dict[str, list[dict[str, dict[str, list[int]]]]]]) -> list[int]:
    failed = module.get("00081198", {}).get("Value", []) + module.get("0008119A", {}).get("Value", [])
    return [item["00081197"]["Value"][0] for item in failed]


def other(instance: bytes) -> bytes:
    """The same instance with other pixels."""
    return instance[:-500] + bytes([instance[-500] ^ 1]) + instance[-499:]


def test_several_studies_at_once_STO_01_STO_16_STO_32(client: Client) -> None:
    answer = client.store(CT, MR)
    assert answer.status == 200
    assert len(answer.json["00081199"]["Value"]) == 2
    assert len(client.get("/studies").json) == 2
    for item in answer.json["00081199"]["Value"]:
        retrieved = client.get(item["00081190"]["Value"][0], ANY_DICOM)
        assert retrieved.parts[0][1] in (CT, MR)


def test_report_of_one_study_STO_02_STO_22_STO_23_STO_24_STO_30(client: Client) -> None:
    answer = client.store(CT, study=CT_STUDY)
    assert answer.status == 200
    assert answer.header("Content-Type") == "application/dicom+json"
    assert answer.header("Location") == f"{BASE}/studies/{CT_STUDY}"
    module = answer.json
    assert module["00081190"] == {"vr": "UR", "Value": [f"{BASE}/studies/{CT_STUDY}"]}
    (item,) = module["00081199"]["Value"]
    assert item["00081150"]["Value"] == ["1.2.840.10008.5.1.4.1.1.2"]
    assert item["00081155"]["Value"] == [CT_INSTANCE]
    assert item["00081190"]["Value"][0].endswith(f"/instances/{CT_INSTANCE}")
    assert "00081198" not in module


def test_single_part_STO_07(client: Client) -> None:
    assert client.request("POST", "/studies", CT, Content_Type="application/dicom").status == 200
    assert len(client.get("/instances").json) == 1


def test_instance_of_another_study_STO_19_STO_25(client: Client) -> None:
    answer = client.store(MR, study=CT_STUDY)
    assert answer.status == 409
    assert reasons(answer.json) == [0xA901]
    assert client.get("/studies").json == []


def test_one_bad_part_never_sinks_the_others_STO_17_STO_27(client: Client) -> None:
    answer = client.store(b"not DICOM at all", CT, CT[:3000], MR)
    assert answer.status == 202
    assert len(answer.json["00081199"]["Value"]) == 2
    assert reasons(answer.json) == [0xC000, 0xC000]
    assert len(client.get("/studies").json) == 2


def test_nothing_readable_STO_18(client: Client) -> None:
    answer = client.store(b"not DICOM at all")
    assert answer.status == 400
    assert reasons(answer.json) == [0xC000]


@pytest.mark.parametrize("content_type", ["text/plain", "multipart/form-data; boundary=x", "application/json"])
def test_content_type_STO_20(client: Client, content_type: str) -> None:
    answer = client.request("POST", "/studies", b"x", Content_Type=content_type)
    assert answer.status == 415
    assert answer.json["supported"]


def test_same_bytes_twice_STO_33(client: Client) -> None:
    assert client.store(CT).status == 200
    assert client.store(CT).status == 200
    assert client.store(CT, CT).status == 200
    assert len(client.get("/instances").json) == 1


@pytest.mark.parametrize(
    ("policy", "status", "kept"),
    [(OnDuplicate.KEEP, 409, CT), (OnDuplicate.REPLACE, 200, other(CT)), (OnDuplicate.IGNORE, 202, CT)],
)
def test_other_bytes_under_the_same_uid_A16(
    server: OriginServer, policy: OnDuplicate, status: int, kept: bytes
) -> None:
    client = Client(OriginServer(instances=server.site.instances, on_duplicate=policy))
    client.store(CT)
    answer = client.store(other(CT))
    assert answer.status == status
    if status == 409:
        assert reasons(answer.json) == [0x0111]
    assert client.get(f"/studies/{CT_STUDY}", ANY_DICOM).parts[0][1] == kept


def test_report_as_xml_STO_31(client: Client) -> None:
    answer = client.store(CT, Accept='multipart/related; type="application/dicom+xml"')
    ((headers, xml),) = answer.parts
    assert headers["content-type"] == "application/dicom+xml"
    assert b'keyword="ReferencedSOPSequence"' in xml
    assert CT_INSTANCE.encode() in xml


def test_response_type_impossible_is_refused_before_storing(client: Client) -> None:
    assert client.store(CT, Accept="image/png").status == 406
    assert client.get("/studies").json == []


def test_truncated_payload_keeps_what_came_whole(client: Client) -> None:
    content_type, body = multipart(CT, MR)
    answer = client.request("POST", "/studies", body[:-4000], Content_Type=content_type)
    assert answer.status == 202
    assert len(answer.json["00081199"]["Value"]) == 1
    assert len(client.get("/instances").json) == 1


def test_foreign_preamble_is_zeroed_and_tiff_kept_A01(client: Client) -> None:
    pe = b"MZ" + bytes(range(1, 127)) + CT[128:]
    tiff = b"II*\0" + bytes(range(1, 125)) + MR[128:]
    assert client.store(pe, tiff).status == 200
    stored = {part[:4]: part for _, part in client.get(f"/studies/{CT_STUDY}", ANY_DICOM).parts}
    assert stored == {bytes(4): bytes(128) + CT[128:]}
    study = client.get("/studies?Modality=MR").json[0]["0020000D"]["Value"][0]
    assert client.get(f"/studies/{study}", ANY_DICOM).parts[0][1] == tiff


@pytest.mark.parametrize(
    ("content_type", "part_type"),
    [
        ('multipart/related; type="application/dicom"; boundary={}', "application/dicom"),
        ("multipart/related; type=application/dicom; boundary={}", "application/dicom"),
        ('Multipart/Related; Boundary="{}"; TYPE="Application/DICOM"', "Application/DICOM"),
        ("multipart/related; boundary={}", "application/dicom; transfer-syntax=1.2.840.10008.1.2.1"),
        ('multipart/related; type="application/dicom"; boundary={}', "application/octet-stream"),
    ],
)
def test_part_10_files_in_parts_STO_03(client: Client, content_type: str, part_type: str) -> None:
    boundary, body = multipart(CT, MR, media_type=part_type)
    answer = client.request(
        "POST", "/studies", body, Content_Type=content_type.format(boundary.rpartition("boundary=")[2])
    )
    assert answer.status == 200
    assert client.get(f"/studies/{CT_STUDY}", ANY_DICOM).parts[0][1] == CT
    assert len(client.get("/instances").json) == 2


@pytest.mark.parametrize(
    "name",
    [
        "CT_small.dcm",
        "MR_small_implicit.dcm",
        "MR_small_bigendian.dcm",
        "image_dfl.dcm",
        "rtplan.dcm",
        "JPEG2000.dcm",
        "SC_rgb_rle_2frame.dcm",
        "test-SR.dcm",
        "waveform_ecg.dcm",
        "liver.dcm",
    ],
)
def test_nothing_is_coerced_STO_29(client: Client, name: str) -> None:
    """So no Original Attributes Sequence is due: not in what is stored, not in the report."""
    sent = file_bytes(name)
    answer = client.store(sent)
    assert answer.status == 200
    (item,) = answer.json["00081199"]["Value"]
    assert not {"00081196", "04000561"} & set(item)
    ((_, stored),) = client.get(item["00081190"]["Value"][0], ANY_DICOM).parts
    assert stored[128:] == sent[128:]


def test_an_instance_beyond_the_ceiling_fails_alone_STO_21_STO_28(store: InstanceStore) -> None:
    client = Client(OriginServer(instances=store, limits=Limits(instance_bytes=len(MR))))
    assert len(CT) > len(MR)
    answer = client.store(CT, MR)
    assert answer.status == 202
    assert reasons(answer.json) == [0xA700]
    assert len(client.get("/instances").json) == 1
    answer = client.store(CT)
    assert answer.status == 409
    assert reasons(answer.json) == [0xA700]


def test_what_searches_would_have_to_carry_has_a_ceiling_A06(store: InstanceStore) -> None:
    client = Client(OriginServer(instances=store, limits=Limits(summary_bytes=1_000)))
    answer = client.store(made(1, PatientID="x" * 1_000), made(2, ImageComments="x" * 1_000))
    assert answer.status == 202
    assert reasons(answer.json) == [0xA700]
    (failed,) = answer.json["00081198"]["Value"]
    assert failed["00081155"]["Value"] == [uid(1, 1, 1)]
    assert len(client.get("/instances").json) == 1


@pytest.mark.parametrize("parts", [1, 2, 3])
def test_a_payload_beyond_the_ceiling_STO_21(store: InstanceStore, parts: int) -> None:
    """413 when nothing came whole before the ceiling; else what did is stored and reported."""
    client = Client(OriginServer(instances=store, limits=Limits(request_bytes=len(MR) + 9_000, chunk_bytes=4_096)))
    content_type, body = multipart(*(CT, CT, CT)[:parts])
    answer = client.request("POST", "/studies", body, Content_Type=content_type)
    assert answer.status == 413
    assert answer.json["error"] == "TooLarge"
    assert client.request("POST", "/studies", CT, Content_Type="application/dicom").status == 413
    assert client.get("/instances").json == []
    answer = client.store(MR, CT)
    assert answer.status == 202
    assert reasons(answer.json) == [0xA700]
    assert len(client.get("/instances").json) == 1


def test_a_duplicate_that_is_ignored_is_a_warning_STO_26(server: OriginServer) -> None:
    client = Client(OriginServer(instances=server.site.instances, on_duplicate=OnDuplicate.IGNORE))
    client.store(CT)
    answer = client.store(other(CT), MR)
    assert answer.status == 202  # STO-17
    warnings = {
        item["00081155"]["Value"][0]: item.get("00081196", {}).get("Value") for item in answer.json["00081199"]["Value"]
    }
    assert warnings.pop(CT_INSTANCE) == [0xB006]
    assert list(warnings.values()) == [None]
    assert "00081198" not in answer.json


def failing(fault: Fault, **options: Any) -> Callable[[InstanceStore], OriginServer]:
    return lambda store: OriginServer(instances=FaultyStore(store, fault), **options)


def narrowed(store: InstanceStore) -> OriginServer:
    return OriginServer(instances=store, authorize=lambda _access: {"PatientID": "nobody"})


def plain(store: InstanceStore) -> OriginServer:
    return OriginServer(instances=store)


REPLACED_SERIES = made(1, 2, 1, SOPInstanceUID=uid(1, 1, 1))


@pytest.mark.parametrize(
    ("make", "sent", "study", "reason"),
    [
        pytest.param(plain, b"no DICOM", None, 0xC000, id="STO-28 not understood"),
        pytest.param(plain, MR[:3_000], None, 0xC000, id="STO-28 cut off"),
        pytest.param(plain, made(2), uid(1), 0xA901, id="STO-28 other study"),
        pytest.param(plain, made(1, 1, 1, PatientID="other"), None, 0x0111, id="STO-28 duplicate"),
        pytest.param(plain, REPLACED_SERIES, None, 0x0111, id="STO-28 in another series"),
        pytest.param(narrowed, made(3), None, 0x0124, id="STO-28 not authorised"),
        pytest.param(failing(Fault("commit", 2, OutOfSpace("full"))), made(4), None, 0xA700, id="STO-28 no room"),
        pytest.param(failing(Fault("stage", 2, OutOfSpace("full"))), made(4), None, 0xA700, id="STO-28 no room at all"),
        pytest.param(failing(Fault("write", 3, OutOfSpace("full"))), made(4), None, 0xA700, id="STO-28 no more room"),
        pytest.param(failing(Fault("seal", 2, CorruptBlob("damaged"))), made(4), None, 0x0110,
                     id="STO-28 processing failure"),
    ],
)  # fmt: skip
def test_failure_reasons(
    store: InstanceStore, make: Callable[[InstanceStore], OriginServer], sent: bytes, study: str | None, reason: int
) -> None:
    server = make(store)
    if make is narrowed:
        Client(plain(store)).store(made())
    else:
        assert Client(server).store(made()).status == 200
    answer = Client(server).store(sent, study=study)
    assert answer.status == (400 if reason == 0xC000 else 409)
    assert reasons(answer.json) == [reason]
    assert len(Client(plain(store)).get("/instances").json) == 1
    (item,) = [*answer.json.get("00081198", {}).get("Value", []), *answer.json.get("0008119A", {}).get("Value", [])]
    assert item["00741048"]["Value"][0]["00000902"]["Value"][0]


def test_a_store_that_fails_after_some_were_stored_STO_17_STO_28(store: InstanceStore) -> None:
    faulty = failing(Fault("commit", 2, StorageUnavailable("away")), limits=Limits(pending_instances=1))
    answer = Client(faulty(store)).store(made(1), made(2), made(3))
    assert answer.status == 202
    assert reasons(answer.json) == [0x0110]
    assert len(Client(plain(store)).get("/instances").json) == 2


@pytest.mark.parametrize("method", ["stage", "commit"])
def test_a_store_that_is_away_STO_21(store: InstanceStore, method: str) -> None:
    answer = Client(failing(Fault(method, error=StorageUnavailable("away")))(store)).store(CT)
    assert answer.status == 503
    assert answer.header("Retry-After")


@pytest.mark.parametrize(
    "changes",
    [{"SOPClassUID": "1.2.3.4.5.6.7"}, {"syntax": "1.2.3.4.5.6.7", "frames": [b"??"]}],
    ids=["SOP class", "transfer syntax"],
)
def test_what_is_unknown_is_stored_all_the_same_STO_28(client: Client, changes: dict[str, Any]) -> None:
    """So 0122H and C122H never occur: an archive keeps what it cannot show."""
    sent = made(**changes)
    assert client.store(sent).status == 200
    ((_, stored),) = client.get(path(1, 1, 1), ANY_DICOM).parts
    assert stored == sent
