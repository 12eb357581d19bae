"""wsidicom's web client opens a whole-slide image over a real socket and reads regions of it."""

from __future__ import annotations

import io
from collections.abc import Iterator

import numpy as np
import pytest
from PIL import Image
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.uid import UID, JPEG2000Lossless, JPEGBaseline8Bit

from tests.served import Served

wsidicom = pytest.importorskip("wsidicom")

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]

TILE = 128
STUDY, FRAME_OF_REFERENCE = "2.999.70.1", "2.999.70.3"
WHOLE_SLIDE = "1.2.840.10008.5.1.4.1.1.77.1.6"
SERIES = {JPEGBaseline8Bit: "2.999.70.2.1", JPEG2000Lossless: "2.999.70.2.2"}
"""Transfer syntax of a slide -> its series."""


def code(value: str, scheme: str, meaning: str) -> Dataset:
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, scheme, meaning
    return item


def encoded(tile: np.ndarray, syntax: UID) -> bytes:
    stream = io.BytesIO()
    if syntax == JPEGBaseline8Bit:
        Image.fromarray(tile).save(stream, "JPEG", quality=95, subsampling=1)
    else:
        Image.fromarray(tile).save(stream, "JPEG2000", irreversible=False, mct=1, no_jp2=True)
    return stream.getvalue()


def level(syntax: UID, number: int, columns: int, rows: int) -> tuple[Dataset, np.ndarray]:
    """A level of a pyramid, TILED_FULL, a codestream a tile, and the picture its tiles decode to."""
    down = 2**number
    y, x = np.mgrid[0 : rows * TILE, 0 : columns * TILE] * down
    picture = np.stack([x % 251, y % 241, (x + y) % 239], -1).astype(np.uint8)
    tiles = []
    for row in range(rows):
        for column in range(columns):
            tile = picture[row * TILE : (row + 1) * TILE, column * TILE : (column + 1) * TILE]
            tiles.append(encoded(tile, syntax))
            with Image.open(io.BytesIO(tiles[-1])) as decoded:
                tile[:] = np.asarray(decoded)
    data = Dataset()
    data.file_meta = FileMetaDataset()
    data.file_meta.TransferSyntaxUID = syntax
    data.SOPClassUID, data.SOPInstanceUID = WHOLE_SLIDE, f"{SERIES[syntax]}.{number}"
    data.StudyInstanceUID, data.SeriesInstanceUID, data.FrameOfReferenceUID = STUDY, SERIES[syntax], FRAME_OF_REFERENCE
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
    if syntax == JPEG2000Lossless:
        data.PhotometricInterpretation = "YBR_RCT"
    data.BitsAllocated, data.BitsStored, data.HighBit, data.PixelRepresentation = 8, 8, 7, 0
    data.ImagedVolumeWidth, data.ImagedVolumeHeight, data.ImagedVolumeDepth = 1.0, 1.0, 0.001
    data.ContainerIdentifier, data.FocusMethod, data.ExtendedDepthOfField = "SLIDE", "AUTO", "NO"
    data.ImageOrientationSlide = [0, -1, 0, -1, 0, 0]
    data.LossyImageCompression = "01" if syntax == JPEGBaseline8Bit else "00"
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


PYRAMID = [(8, 4), (4, 2), (2, 1)]
"""Columns and rows of tiles, level by level."""


@pytest.fixture(scope="module")
def slides(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, dict[UID, list[np.ndarray]]]]:
    """The address of an archive with a slide in each transfer syntax, and their levels as pictures."""
    folder = tmp_path_factory.mktemp("slides")
    pictures: dict[UID, list[np.ndarray]] = {}
    with Served("--store", str(folder / "store")) as served:
        for syntax in SERIES:
            for number, size in enumerate(PYRAMID):
                data, picture = level(syntax, number, *size)
                pictures.setdefault(syntax, []).append(picture)
                data.save_as(folder / "file", enforce_file_format=True)
                content_type = {"Content-Type": "application/dicom"}
                status, answer = served.request("POST", "/studies", (folder / "file").read_bytes(), content_type)
                assert status == 200, answer
        yield served.address, pictures


@pytest.mark.parametrize("syntax", SERIES, ids=lambda syntax: syntax.name)
def test_a_slide_is_opened_and_read(slides: tuple[str, dict[UID, list[np.ndarray]]], syntax: UID) -> None:
    """It learns the transfer syntax from Available Transfer Syntax UID (0008,3002) of the search."""
    address, pictures = slides[0], slides[1][syntax]
    client = wsidicom.WsiDicomWebClient.create_client(address)
    with wsidicom.WsiDicom.open_web(client, STUDY, SERIES[syntax]) as opened:
        sizes = [level.size for level in opened.pyramids[0]]
        assert [(size.height, size.width) for size in sizes] == [picture.shape[:2] for picture in pictures]
        for number, place, size in [(0, (100, 50), (300, 200)), (1, (0, 0), (512, 256)), (2, (7, 9), (100, 90))]:
            region = np.asarray(opened.read_region(place, number, size).convert("RGB")).astype(int)
            expected = pictures[number][place[1] : place[1] + size[1], place[0] : place[0] + size[0]]
            # Pixels were decoded by one library here and another there.
            assert np.abs(region - expected).mean() < 1.0
