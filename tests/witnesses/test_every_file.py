"""Every real file, end to end: stored, found, retrieved byte for byte, frame by frame as pydicom extracts them."""

from __future__ import annotations

import warnings
from pathlib import Path

import pydicom
import pytest
from pydicom.dataset import FileDataset
from pydicom.encaps import generate_frames
from pydicom.uid import UID

from dicomweb_core import OriginServer
from dicomweb_memory import MemoryInstanceStore
from tests.clients import ANY_DICOM, Client
from tests.witnesses.real_files import name_of, real_files

NO_INSTANCE = "no SOP instance: a DICOMDIR or a file without Study, Series or SOP Instance UID"

REFUSED = {
    "MR_truncated.dcm": "cut off inside Pixel Data",
    "rtplan_truncated.dcm": "cut off inside a sequence",
    "bad_sequence.dcm": "its Study Instance UID is 64 hexadecimal digits, no UID",
}
"""File -> why it is refused. A file that changes sides fails the test."""


def is_instance(data: FileDataset) -> bool:
    uids = [data.get(keyword) for keyword in ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "SOPClassUID")]
    return all(uids)


def read(path: Path) -> FileDataset:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return pydicom.dcmread(path)


def cleaned(content: bytes) -> bytes:
    """The file with the preamble the archive keeps: zeros unless it is a TIFF header."""
    return content if content[:4] in (b"II*\0", b"MM\0*") else bytes(128) + content[128:]


@pytest.mark.parametrize("path", real_files(), ids=name_of)
def test_stored_found_and_retrieved(path: Path) -> None:
    content = path.read_bytes()
    data = read(path)
    client = Client(OriginServer(instances=MemoryInstanceStore()))
    answer = client.store(content)
    if path.name in REFUSED or not is_instance(data):
        assert answer.status in (400, 409), REFUSED.get(path.name, NO_INSTANCE)
        assert client.get("/instances").json == []
        return
    assert answer.status == 200, answer.content.decode()
    study, series, instance = data.StudyInstanceUID, data.SeriesInstanceUID, data.SOPInstanceUID
    (found,) = client.get(f"/studies?StudyInstanceUID={study}").json
    assert found["00201208"]["Value"] == [1]
    assert client.get(f"/studies/{study}/series").json[0]["0020000E"]["Value"] == [series]
    (found,) = client.get(f"/studies/{study}/series/{series}/instances?includefield=all").json
    assert found["00080018"]["Value"] == [instance]
    url = f"/studies/{study}/series/{series}/instances/{instance}"
    assert found["00081190"]["Value"] == [client.base_url + url]
    ((_, retrieved),) = client.get(url, ANY_DICOM).parts
    assert retrieved == cleaned(content)
    check_frames(client, url, data)


def check_frames(client: Client, url: str, data: FileDataset) -> None:
    if not any(keyword in data for keyword in ("PixelData", "FloatPixelData", "DoubleFloatPixelData")):
        assert client.get(url + "/frames/1", "*/*").status == 404
        return
    frames = expected_frames(data)
    for number, frame in enumerate(frames, 1):
        ((_, sent),) = client.get(f"{url}/frames/{number}", "*/*").parts
        assert sent == frame, f"frame {number}"
    assert client.get(f"{url}/frames/{len(frames) + 1}", "*/*").status == 404


def expected_frames(data: FileDataset) -> list[bytes]:
    """As pydicom has them: codestreams, or slices of the native value in little endian."""
    syntax = UID(data.file_meta.TransferSyntaxUID)
    stated = str(data.get("NumberOfFrames", 1) or 1)
    count = int(stated) if stated.isdecimal() else 1_000_000  # badVR.dcm says 1A: as many as there are
    if syntax.name == syntax or (syntax.is_compressed and not syntax.is_deflated):
        return list(generate_frames(data.PixelData, number_of_frames=count))
    for keyword in ("PixelData", "FloatPixelData", "DoubleFloatPixelData"):
        if keyword in data:
            value = bytes(data[keyword].value)
    bits = data.Rows * data.Columns * data.SamplesPerPixel * data.BitsAllocated
    if data.get("PhotometricInterpretation") == "YBR_FULL_422":
        bits = bits // 3 * 2
    if syntax == pydicom.uid.ExplicitVRBigEndian:
        word = data.BitsAllocated // 8 if data.BitsAllocated > 8 else 2 if data["PixelData"].VR == "OW" else 1
        value = b"".join(value[at : at + word][::-1] for at in range(0, len(value), word))
    if bits % 8:
        text = "".join(f"{byte:08b}"[::-1] for byte in value)
        frames = [text[number * bits : (number + 1) * bits] for number in range(count)]
        padded = [frame + "0" * (-bits % 8) for frame in frames]
        return [bytes(int(p[i : i + 8][::-1], 2) for i in range(0, len(p), 8)) for p in padded]
    size = bits // 8
    return [value[number * size : (number + 1) * size] for number in range(min(count, len(value) // size))]


def test_all_of_them_in_one_archive() -> None:
    """Real files repeat SOP Instance UIDs: each is stored, or refused as a duplicate; every listing works."""
    server = OriginServer(instances=MemoryInstanceStore())
    report = server.store(real_files())
    reasons = {item.reason for item in report.failed}
    assert len(report.stored) > 150
    assert reasons <= {0x0111, 0xC000, 0xA900}
    client = Client(server)
    for study in client.get("/studies?includefield=all").json:
        assert client.get(f"/studies/{study['0020000D']['Value'][0]}/metadata").status == 200
    assert len(client.get("/instances?includefield=all").json) == len({item.ref for item in report.stored})
