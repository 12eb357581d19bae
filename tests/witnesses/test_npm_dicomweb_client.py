"""npm `dicomweb-client` (what OHIF and Slim speak through) against the served archive over a real socket.

Installs the package from the npm registry into a temporary directory; skipped where there is no Node or no registry.
"""

from __future__ import annotations

import base64
import json
import shutil
import subprocess
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.encaps import generate_frames

from tests.clients import file_bytes
from tests.served import Served
from tests.witnesses.test_every_file import cleaned

pytestmark = pytest.mark.slow

PACKAGES = ["dicomweb-client@0.11.3", "xhr2@0.2.1"]
CT, JPEG_LS, RLE, JPEG_2000 = "CT_small.dcm", "MR_small_jpeg_ls_lossless.dcm", "SC_rgb_rle_2frame.dcm", "693_J2KI.dcm"
BULK = "liver_1frame.dcm"

PROGRAM = """
global.XMLHttpRequest = require('xhr2');
const { createHash } = require('crypto');
const { api } = require('dicomweb-client');
const [address, calls] = [process.argv[2], JSON.parse(require('fs').readFileSync(0))];
const client = new api.DICOMwebClient({ url: address });
const form = bytes => ({ ffd8: 'JPEG', '8950': 'PNG' })[bytes.subarray(0, 2).toString('hex')];
const shown = value => value instanceof ArrayBuffer
  ? { bytes: value.byteLength, form: form(Buffer.from(value)),
      sha256: createHash('sha256').update(Buffer.from(value)).digest('hex'),
      contentType: value.contentType, transferSyntaxUID: value.transferSyntaxUID }
  : Array.isArray(value) ? value.map(shown) : value;
(async () => {
  const answers = [];
  for (const [name, options] of calls) {
    if (options.files) {
      options.datasets = options.files.map(file => new Uint8Array(Buffer.from(file, 'base64')).buffer);
    }
    try {
      const value = await client[name](options);
      const fetched = name === 'buildInstanceWadoURIUrl' ? await (await fetch(value)).arrayBuffer() : value;
      answers.push({ value: shown(fetched) });
    } catch (error) {
      answers.push({ error: String(error.message), status: error.status });
    }
  }
  console.log(JSON.stringify(answers));
})();
"""


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The program beside the installed packages."""
    if shutil.which("node") is None or shutil.which("npm") is None:
        pytest.skip("there is no Node here")
    folder = tmp_path_factory.mktemp("npm")
    (folder / "package.json").write_text('{"private": true}')
    command = ["npm", "install", "--no-audit", "--no-fund", *PACKAGES]
    installed = subprocess.run(command, cwd=folder, capture_output=True, timeout=100, check=False)
    if installed.returncode:
        pytest.skip("the npm registry cannot be reached")
    (folder / "calls.js").write_text(PROGRAM)
    return folder / "calls.js"


class Archive:
    """A served archive, called through the JavaScript client."""

    def __init__(self, program: Path, address: str) -> None:
        self._command = ["node", str(program), address]

    def call(self, *calls: tuple[str, dict[str, Any]]) -> list[Any]:
        """The values that the client's promises resolved to."""
        done = subprocess.run(
            self._command, input=json.dumps(calls), capture_output=True, text=True, timeout=100, check=True
        )
        answers = json.loads(done.stdout.splitlines()[-1])  # behind what the client logs
        for answer in answers:
            assert "error" not in answer, answer
        return [answer.get("value") for answer in answers]


@pytest.fixture(scope="module")
def archive(program: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Archive]:
    store = tmp_path_factory.mktemp("archive")
    with Served("--store", str(store), "--workers", "2") as served:
        archive = Archive(program, served.address)
        names = (CT, JPEG_LS, RLE, JPEG_2000, BULK)
        (answer,) = archive.call(
            ("storeInstances", {"files": [base64.b64encode(file_bytes(name)).decode() for name in names]})
        )
        assert len(json.loads(answer)["00081199"]["Value"]) == len(names)
        yield archive


def data_set(name: str) -> Dataset:
    path = pydicom.data.get_testdata_file(name)
    assert isinstance(path, str)
    return pydicom.dcmread(path)


def uids(data: Dataset) -> dict[str, Any]:
    return {
        "studyInstanceUID": str(data.StudyInstanceUID),
        "seriesInstanceUID": str(data.SeriesInstanceUID),
        "sopInstanceUID": str(data.SOPInstanceUID),
    }


def digest(content: bytes) -> str:
    return sha256(content).hexdigest()


def test_searches(archive: Archive) -> None:
    data = data_set(CT)
    study = str(data.StudyInstanceUID)
    studies, series, instances, none = archive.call(
        ("searchForStudies", {"queryParams": {"PatientID": str(data.PatientID), "includefield": "StudyDescription"}}),
        ("searchForSeries", {"studyInstanceUID": study}),
        ("searchForInstances", {"studyInstanceUID": study, "seriesInstanceUID": str(data.SeriesInstanceUID)}),
        ("searchForStudies", {"queryParams": {"StudyDate": "19000101-19000102"}}),
    )
    assert [found["0020000D"]["Value"] for found in studies] == [[study]]
    assert series[0]["0020000E"]["Value"] == [data.SeriesInstanceUID]
    assert instances[0]["00080018"]["Value"] == [data.SOPInstanceUID]
    assert none == []


def test_metadata_at_three_levels(archive: Archive) -> None:
    ref = uids(data_set(CT))
    answers = archive.call(
        ("retrieveStudyMetadata", ref), ("retrieveSeriesMetadata", ref), ("retrieveInstanceMetadata", ref)
    )
    for metadata in answers:
        (found,) = metadata if isinstance(metadata, list) else [metadata]
        assert found["00080018"]["Value"] == [ref["sopInstanceUID"]]


@pytest.mark.parametrize("name", [JPEG_LS, RLE, JPEG_2000])
def test_frames_as_stored(archive: Archive, name: str) -> None:
    """OHIF names no transfer syntax or all of them, and takes what is stored."""
    data = data_set(name)
    expected = list(generate_frames(data.PixelData, number_of_frames=int(data.get("NumberOfFrames", 1))))
    syntax = str(data.file_meta.TransferSyntaxUID)
    numbers = list(range(1, len(expected) + 1))
    types = [
        {"mediaType": "image/jls", "transferSyntaxUID": "1.2.840.10008.1.2.4.80"},
        {"mediaType": "image/x-dicom-rle", "transferSyntaxUID": "1.2.840.10008.1.2.5"},
        {"mediaType": "image/jp2", "transferSyntaxUID": "1.2.840.10008.1.2.4.91"},
    ]
    (frames,) = archive.call(
        ("retrieveInstanceFrames", {**uids(data), "frameNumbers": numbers, "mediaTypes": types}),
    )
    assert [frame["sha256"] for frame in frames] == [digest(frame) for frame in expected]
    # The client calls the parameter of the first part its own, quotation marks included if there were any.
    assert {frame["transferSyntaxUID"] for frame in frames} == {syntax}


@pytest.mark.parametrize("name", [CT, JPEG_LS])
def test_frames_without_compression(archive: Archive, name: str) -> None:
    """Without media types the client asks for octets: Explicit VR Little Endian."""
    data = data_set(name)
    (frames,) = archive.call(("retrieveInstanceFrames", {**uids(data), "frameNumbers": [1]}))
    assert frames[0]["sha256"] == digest(data.pixel_array.astype("<i2").tobytes())


def test_instances_series_and_studies(archive: Archive) -> None:
    data = data_set(CT)
    ref = uids(data)
    instance, series, study = archive.call(("retrieveInstance", ref), ("retrieveSeries", ref), ("retrieveStudy", ref))
    assert instance["sha256"] == digest(cleaned(file_bytes(CT)))
    assert series == [instance]
    assert study == [instance]


def test_bulk_data_by_its_uri(archive: Archive) -> None:
    data = data_set(BULK)
    (metadata,) = archive.call(("retrieveInstanceMetadata", uids(data)))
    (found,) = metadata if isinstance(metadata, list) else [metadata]
    uri = found["7FE00010"]["BulkDataURI"]
    whole, part = archive.call(
        ("retrieveBulkData", {"BulkDataURI": uri}),
        (
            "retrieveBulkData",
            {"BulkDataURI": uri, "mediaTypes": [{"mediaType": "application/octet-stream"}]},
        ),
    )
    assert whole[0]["sha256"] == part[0]["sha256"] == digest(data.PixelData)


PICTURES = [
    ("retrieveInstanceRendered", {}, "JPEG"),
    ("retrieveInstanceRendered", {"mediaTypes": [{"mediaType": "image/png"}]}, "PNG"),
    ("retrieveInstanceThumbnail", {}, "JPEG"),
    ("retrieveInstanceThumbnail", {"mediaTypes": [{"mediaType": "image/png"}]}, "PNG"),
    ("retrieveInstanceFramesRendered", {"frameNumbers": [2], "mediaTypes": [{"mediaType": "image/png"}]}, "PNG"),
    ("retrieveInstanceFramesThumbnail", {"frameNumbers": [2]}, "JPEG"),
    ("buildInstanceWadoURIUrl", {"contentType": "image/png"}, "PNG"),
]


def test_pictures(archive: Archive) -> None:
    ref = uids(data_set(RLE))
    answers = archive.call(*((name, {**ref, **options}) for name, options, _ in PICTURES))
    pictures = [answer[0] if isinstance(answer, list) else answer for answer in answers]
    assert [picture["form"] for picture in pictures] == [form for _, _, form in PICTURES]


def test_the_url_of_the_uri_service(archive: Archive) -> None:
    """Without options it has `transferSyntax=*`."""
    (content,) = archive.call(("buildInstanceWadoURIUrl", uids(data_set(JPEG_LS))))
    assert content["sha256"] == digest(cleaned(file_bytes(JPEG_LS)))
