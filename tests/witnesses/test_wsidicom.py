"""wsidicom's web client opens a whole-slide image over a real socket and reads regions of it."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.uid import JPEGBaseline8Bit

from tests.served import Served

wsidicom = pytest.importorskip("wsidicom")

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]

TILE = 128
STUDY, SERIES, FRAME_OF_REFERENCE = "2.999.70.1", "2.999.70.2", "2.999.70.3"
WHOLE_SLIDE = "1.2.840.10008.5.1.4.1.1.77.1.6"
SYNTAXES = {"JPEG": "1.2.840.10008.1.2.4.50", "JPEG 2000": "1.2.840.10008.1.2.4.90"}


def code(value: str, scheme: str, meaning: str) -> Dataset:
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, scheme, meaning
    return item


def level(number: int, columns: int, rows: int) -> tuple[Dataset, np.ndarray]:
    """A level of a pyramid, TILED_FULL, a baseline JPEG a tile, and the picture its tiles decode to."""
    down = 2**number
    y, x = np.mgrid[0 : rows * TILE, 0 : columns * TILE] * down
    picture = np.stack([x % 251, y % 241, (x + y) % 239], -1).astype(np.uint8)
    tiles = []
    for row in range(rows):
        for column in range(columns):
            tile = picture[row * TILE : (row + 1) * TILE, column * TILE : (column + 1) * TILE]
            stream = io.BytesIO()
            Image.fromarray(tile).save(stream, "JPEG", quality=95, subsampling=1)
            tiles.append(stream.getvalue())
            with Image.open(stream) as decoded:
                tile[:] = np.asarray(decoded)
    data = Dataset()
    data.file_meta = FileMetaDataset()
    data.file_meta.TransferSyntaxUID = JPEGBaseline8Bit
    data.SOPClassUID, data.SOPInstanceUID = WHOLE_SLIDE, f"2.999.70.4.{number}"
    data.StudyInstanceUID, data.SeriesInstanceUID, data.FrameOfReferenceUID = STUDY, SERIES, FRAME_OF_REFERENCE
    data.PatientName, data.PatientID, data.Modality = "Slide^Whole", "WSI", "SM"
    data.StudyDate = data.StudyTime = data.AccessionNumber = data.StudyID = ""
    data.SeriesNumber, data.InstanceNumber = 1, number + 1
    data.ImageType = [
        "ORIGINAL" if not number else "DERIVED",
        "PRIMARY",
        "VOLUME",
        "NONE" if not number else "RESAMPLED",
    ]
    data.DimensionOrganizationType = "TILED_FULL"
    data.Rows = data.Columns = TILE
    data.TotalPixelMatrixColumns, data.TotalPixelMatrixRows = columns * TILE, rows * TILE
    data.NumberOfFrames, data.NumberOfOpticalPaths, data.TotalPixelMatrixFocalPlanes = len(tiles), 1, 1
    data.SamplesPerPixel, data.PlanarConfiguration, data.PhotometricInterpretation = 3, 0, "YBR_FULL_422"
    data.BitsAllocated, data.BitsStored, data.HighBit, data.PixelRepresentation = 8, 8, 7, 0
    data.ImagedVolumeWidth, data.ImagedVolumeHeight, data.ImagedVolumeDepth = 1.0, 1.0, 0.001
    data.ContainerIdentifier, data.FocusMethod, data.ExtendedDepthOfField = "SLIDE", "AUTO", "NO"
    data.ImageOrientationSlide = [0, -1, 0, -1, 0, 0]
    data.LossyImageCompression = "01"
    origin = Dataset()
    origin.XOffsetInSlideCoordinateSystem, origin.YOffsetInSlideCoordinateSystem = 10.0, 10.0
    data.TotalPixelMatrixOriginSequence = [origin]
    measures, shared = Dataset(), Dataset()
    measures.SliceThickness, measures.PixelSpacing = 0.001, [0.0005 * down, 0.0005 * down]
    shared.PixelMeasuresSequence = [measures]
    data.SharedFunctionalGroupsSequence = [shared]
    path = Dataset()
    path.OpticalPathIdentifier = "0"
    path.IlluminationTypeCodeSequence = [code("111744", "DCM", "Brightfield illumination")]
    path.IlluminationColorCodeSequence = [code("R-102C0", "SRT", "Full Spectrum")]
    data.OpticalPathSequence = [path]
    specimen = Dataset()
    specimen.SpecimenIdentifier, specimen.SpecimenUID = "SPECIMEN", "2.999.70.5"
    data.SpecimenDescriptionSequence = [specimen]
    data.PixelData = encapsulate(tiles)
    data["PixelData"].is_undefined_length = True
    return data, picture


@pytest.fixture(scope="module")
def slide(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, list[np.ndarray]]]:
    """The address of an archive with a slide of three levels, and the levels as pictures."""
    levels = [level(0, 8, 4), level(1, 4, 2), level(2, 2, 1)]
    folder = tmp_path_factory.mktemp("slide")
    files: list[str] = []
    for data, _ in levels:
        path = folder / f"{data.SOPInstanceUID}.dcm"
        data.save_as(path, enforce_file_format=True)
        files.append(str(path))
    with Served("--store", str(tmp_path_factory.mktemp("archive") / "store")) as served:
        for file in files:
            status, answer = served.request(
                "POST", "/studies", Path(file).read_bytes(), {"Content-Type": "application/dicom"}
            )
            assert status == 200, answer
        yield served.address, [picture for _, picture in levels]


@pytest.mark.parametrize("syntax", sorted(SYNTAXES))
def test_a_slide_is_opened_and_read(slide: tuple[str, list[np.ndarray]], syntax: str) -> None:
    """In its own transfer syntax and in one that the server makes."""
    address, pictures = slide
    client = wsidicom.WsiDicomWebClient.create_client(address)
    with wsidicom.WsiDicom.open_web(client, STUDY, SERIES, requested_transfer_syntax=SYNTAXES[syntax]) as opened:
        assert [(size.width, size.height) for size in (level.size for level in opened.pyramids[0])] == [
            (picture.shape[1], picture.shape[0]) for picture in pictures
        ]
        for number, place, size in [(0, (100, 50), (300, 200)), (1, (0, 0), (512, 256)), (2, (7, 9), (100, 90))]:
            region = np.asarray(opened.read_region(place, number, size).convert("RGB")).astype(int)
            expected = pictures[number][place[1] : place[1] + size[1], place[0] : place[0] + size[0]]
            # Pixels were decoded by one JPEG library here and another there.
            assert np.abs(region - expected).mean() < 1.0
