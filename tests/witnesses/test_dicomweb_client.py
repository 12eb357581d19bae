"""`dicomweb-client` against the served LMDB archive over a real socket: an independent reading of the protocol."""

from __future__ import annotations

import io
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pydicom
import pytest
from dicomweb_client import DICOMwebClient
from PIL import Image
from pydicom.dataset import Dataset
from pydicom.encaps import generate_frames

from tests.clients import file_bytes

ROOT = Path(__file__).parents[2]
FILES = ["CT_small.dcm", "MR_small_jpeg_ls_lossless.dcm", "SC_rgb_rle_2frame.dcm", "rtdose.dcm", "693_J2KI.dcm"]


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Of a server with two workers over a store on disk."""
    store = tmp_path_factory.mktemp("archive")
    environment = dict(os.environ, PYTHONPATH=os.pathsep.join(str(ROOT / p) for p in ("", "adapters", "backends")))
    command = [sys.executable, "-m", "dicomweb_wsgi", "serve", "--store", str(store), "--port", "0", "--workers", "2"]
    process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert process.stdout is not None
    for line in process.stdout:
        found = re.search(r"http://[\d.]+:\d+/dicom-web", line)
        if found:
            yield found.group()
            break
    else:
        pytest.fail("the server said no address")
    process.terminate()
    process.wait(20)
    process.stdout.close()


@pytest.fixture(scope="module")
def client(address: str) -> DICOMwebClient:
    return DICOMwebClient(address)


@pytest.fixture(scope="module")
def files(client: DICOMwebClient) -> dict[str, Dataset]:
    """Stored through the client."""
    found = {name: pydicom.dcmread(io.BytesIO(file_bytes(name))) for name in FILES}
    answer = client.store_instances(list(found.values()))
    assert len(answer.ReferencedSOPSequence) == len(FILES)
    return found


def uids(data: Dataset) -> tuple[str, str, str]:
    return data.StudyInstanceUID, data.SeriesInstanceUID, data.SOPInstanceUID


def test_search_studies_with_filters_and_fields(client: DICOMwebClient, files: dict[str, Dataset]) -> None:
    ct = files["CT_small.dcm"]
    (found,) = client.search_for_studies(search_filters={"PatientID": ct.PatientID}, fields=["StudyDescription"])
    assert found["0020000D"]["Value"] == [ct.StudyInstanceUID]
    assert found["00081030"]["Value"] == [ct.StudyDescription]
    assert client.search_for_studies(search_filters={"StudyDate": "19000101-19000102"}) == []
    assert len(client.search_for_studies(fuzzymatching=True, search_filters={"PatientName": "compressedsamples"})) >= 1


def test_paging_returns_each_study_once(client: DICOMwebClient, files: dict[str, Dataset]) -> None:
    studies = {data.StudyInstanceUID for data in files.values()}
    seen = [
        client.search_for_studies(limit=1, offset=offset)[0]["0020000D"]["Value"][0] for offset in range(len(studies))
    ]
    assert sorted(seen) == sorted(studies)
    remaining = client.search_for_studies(limit=1, get_remaining=True)
    assert {study["0020000D"]["Value"][0] for study in remaining} == studies


def test_search_series_and_instances(client: DICOMwebClient, files: dict[str, Dataset]) -> None:
    for data in files.values():
        study, series, instance = uids(data)
        assert series in [found["0020000E"]["Value"][0] for found in client.search_for_series(study)]
        found = client.search_for_instances(study, series)
        assert instance in [item["00080018"]["Value"][0] for item in found]
        assert client.search_for_instances(search_filters={"SOPInstanceUID": instance})
    assert client.search_for_series(search_filters={"Modality": "CT"})


def test_retrieve_at_every_level(client: DICOMwebClient, files: dict[str, Dataset]) -> None:
    for name, data in files.items():
        study, series, instance = uids(data)
        original = pydicom.dcmread(io.BytesIO(file_bytes(name)))
        whole = client.retrieve_instance(study, series, instance)
        assert whole.PixelData == original.PixelData
        assert whole.file_meta.TransferSyntaxUID == original.file_meta.TransferSyntaxUID
        assert instance in [item.SOPInstanceUID for item in client.retrieve_series(study, series)]
        assert instance in [item.SOPInstanceUID for item in client.iter_study(study)]


def test_metadata_at_every_level(client: DICOMwebClient, files: dict[str, Dataset]) -> None:
    for data in files.values():
        study, series, instance = uids(data)
        metadata = Dataset.from_json(client.retrieve_instance_metadata(study, series, instance))
        assert metadata.PatientName == data.PatientName
        assert instance in [item["00080018"]["Value"][0] for item in client.retrieve_series_metadata(study, series)]
        assert instance in [item["00080018"]["Value"][0] for item in client.retrieve_study_metadata(study)]


def test_frames(client: DICOMwebClient, files: dict[str, Dataset]) -> None:
    data = files["SC_rgb_rle_2frame.dcm"]
    first, second = generate_frames(data.PixelData, number_of_frames=2)
    rle = (("image/dicom-rle", "1.2.840.10008.1.2.5"),)
    assert client.retrieve_instance_frames(*uids(data), [1, 2], media_types=rle) == [first, second]
    assert list(client.iter_instance_frames(*uids(data), [2, 1], media_types=rle)) == [second, first]
    ct = files["CT_small.dcm"]
    (frame,) = client.retrieve_instance_frames(*uids(ct), [1])
    assert frame == ct.PixelData[: ct.Rows * ct.Columns * 2]


def test_bulkdata(client: DICOMwebClient, files: dict[str, Dataset]) -> None:
    ct = files["CT_small.dcm"]
    metadata = client.retrieve_instance_metadata(*uids(ct))
    (content,) = client.retrieve_bulkdata(metadata["7FE00010"]["BulkDataURI"])
    assert content == ct.PixelData
    assert list(client.iter_bulkdata(metadata["7FE00010"]["BulkDataURI"])) == [content]


def test_delete(client: DICOMwebClient, files: dict[str, Dataset]) -> None:
    data = pydicom.dcmread(io.BytesIO(file_bytes("MR_small.dcm")))
    data.StudyInstanceUID, data.SOPInstanceUID = "2.25.1", "2.25.2"
    data.file_meta.MediaStorageSOPInstanceUID = "2.25.2"
    client.store_instances([data])
    assert client.search_for_studies(search_filters={"StudyInstanceUID": "2.25.1"})
    client.delete_instance(*uids(data))
    assert client.search_for_studies(search_filters={"StudyInstanceUID": "2.25.1"}) == []


TRANSCODED = {
    "image/jls": "1.2.840.10008.1.2.4.80",
    "image/jp2": "1.2.840.10008.1.2.4.90",
    "image/dicom-rle": "1.2.840.10008.1.2.5",
    "application/octet-stream": "1.2.840.10008.1.2.1",
}


@pytest.mark.parametrize("media_type", TRANSCODED)
@pytest.mark.parametrize("name", ["CT_small.dcm", "MR_small_jpeg_ls_lossless.dcm", "SC_rgb_rle_2frame.dcm"])
def test_instances_and_frames_in_another_transfer_syntax(
    client: DICOMwebClient, files: dict[str, Dataset], name: str, media_type: str
) -> None:
    data, syntax = files[name], TRANSCODED[media_type]
    made = client.retrieve_instance(*uids(data), media_types=(("application/dicom", syntax),))
    assert made.file_meta.TransferSyntaxUID == syntax
    assert (made.pixel_array == data.pixel_array).all()
    numbers = list(range(1, int(data.get("NumberOfFrames", 1)) + 1))
    frames = client.retrieve_instance_frames(*uids(data), numbers, media_types=((media_type, syntax),))
    if syntax == "1.2.840.10008.1.2.1":
        assert b"".join(frames) == made.PixelData[: sum(map(len, frames))]
    else:
        padded = [frame + b"\0" * (len(frame) % 2) for frame in frames]
        assert padded == list(generate_frames(made.PixelData, number_of_frames=len(numbers)))


def test_series_and_study_in_another_transfer_syntax(client: DICOMwebClient, files: dict[str, Dataset]) -> None:
    data = files["693_J2KI.dcm"]
    for found in (
        client.retrieve_series(*uids(data)[:2], media_types=(("application/dicom", "1.2.840.10008.1.2.1"),)),
        client.retrieve_study(uids(data)[0], media_types=(("application/dicom", "1.2.840.10008.1.2.1"),)),
    ):
        (made,) = [one for one in found if one.SOPInstanceUID == data.SOPInstanceUID]
        assert made.file_meta.TransferSyntaxUID == "1.2.840.10008.1.2.1"
        assert (made.pixel_array == data.pixel_array).all()


@pytest.mark.parametrize(("media_type", "form"), [(None, "JPEG"), ("image/png", "PNG"), ("image/gif", "GIF")])
def test_pictures(client: DICOMwebClient, files: dict[str, Dataset], media_type: str | None, form: str) -> None:
    data = files["SC_rgb_rle_2frame.dcm"]
    wanted = None if media_type is None else (media_type,)
    for content in (
        client.retrieve_instance_rendered(*uids(data), media_types=wanted, params={"viewport": "64,48"}),
        client.retrieve_instance_frames_rendered(*uids(data), [2], media_types=wanted),
    ):
        assert Image.open(io.BytesIO(content)).format == form


def test_series_and_studies_are_deleted(client: DICOMwebClient, files: dict[str, Dataset]) -> None:
    """The last test of this file: it takes away what the others read."""
    client.delete_series(*uids(files["rtdose.dcm"])[:2])
    client.delete_study(files["SC_rgb_rle_2frame.dcm"].StudyInstanceUID)
    left = {found["0020000D"]["Value"][0] for found in client.search_for_studies()}
    assert not left & {files[name].StudyInstanceUID for name in ("rtdose.dcm", "SC_rgb_rle_2frame.dcm")}
