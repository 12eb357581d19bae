"""Store (PS3.18 10.5) over both backends."""

from __future__ import annotations

import pytest

from dicomweb_core import OnDuplicate, OriginServer
from tests.clients import ANY_DICOM, BASE, Client, file_bytes, multipart

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
