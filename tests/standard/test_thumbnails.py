"""Thumbnails (PS3.18 10.4.1.1.4, 10.4.3.3.4, 8.3.5.2), end to end; Pillow reads the pictures."""

from __future__ import annotations

import io

import numpy as np
import pydicom
import pytest

from dicomweb_core import OriginServer
from dicomweb_core.rendering.icons import icon
from dicomweb_memory import MemoryInstanceStore
from tests.clients import BASE, Client
from tests.made import made, path
from tests.standard.made_objects import COLUMNS, ROWS, ct, segmentation, structure_set, waveform
from tests.standard.test_rendered import document, picture, ramp, report

MASK = np.zeros((ROWS, COLUMNS), np.bool_)
MASK[5:15, 8:20] = True
CORNERS = [(4.0, 6.0), (20.0, 6.0), (20.0, 16.0), (4.0, 16.0)]
DRAWN = {
    "segmentation": (segmentation(MASK, [1]), path(1, 2, 1)),
    "structure set": (structure_set(CORNERS, 1), path(1, 4, 1)),
    "waveform": (waveform(), path(1, 5, 1)),
}


@pytest.fixture
def client(memory_client: Client) -> Client:
    names = {"PatientName": "Doe^Jane", "PatientID": "7"}
    series = [ramp(number, PixelSpacing=["1", "1"], **names) for number in (1, 2, 3)]
    assert memory_client.store(report(1, 3), *series, ramp(1, 2, frames=5, **names), document()).status == 200
    return memory_client


@pytest.mark.parametrize(
    ("target", "source"),
    [
        pytest.param(path(1), path(1, 1, 2) + "/frames/1", id="THU-01 study: first series with images, its middle"),
        pytest.param(path(1, 2), path(1, 2, 1) + "/frames/3", id="THU-01 series: the middle frame"),
        pytest.param(path(1, 1, 3), path(1, 1, 3) + "/frames/1", id="THU-01 instance"),
        pytest.param(path(1, 2, 1) + "/frames/2", path(1, 2, 1) + "/frames/2", id="THU-01 frame"),
        pytest.param(path(1, 3), path(1, 3, 1), id="THU-01 a series without images"),
        pytest.param(path(1, 4, 1), path(1, 4, 1), id="THU-01 a document"),
    ],
)
def test_all_levels_have_one(client: Client, target: str, source: str) -> None:
    answer = client.get(target + "/thumbnail")
    assert answer.status == 200
    assert answer.header("Content-Location") == BASE + source
    assert max(picture(answer).shape[:2]) == 256


@pytest.mark.parametrize(
    ("accept", "content_type"),
    [
        pytest.param(None, "image/jpeg", id="THU-03"),
        pytest.param("*/*", "image/jpeg", id="THU-03 anything"),
        pytest.param("image/png", "image/png", id="another type"),
        pytest.param('multipart/related; type="image/jpeg"', None, id="one image only"),
        pytest.param("text/html", None, id="no document"),
    ],
)
@pytest.mark.parametrize("target", [path(1), path(1, 3, 1)])
def test_media_types(client: Client, target: str, accept: str | None, content_type: str | None) -> None:
    answer = client.get(target + "/thumbnail", accept)
    assert answer.status == (200 if content_type else 406)
    if content_type:
        assert answer.header("Content-Type") == content_type


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        pytest.param("viewport=64,64", (32, 64), id="THU-05"),
        pytest.param("viewport=64,8", (8, 16), id="THU-05 low"),
        pytest.param("viewport=64,64&window=1,1,linear&annotation=patient&quality=500", (32, 64), id="others ignored"),
        pytest.param("viewport=64,64,0,0,2,2", 400, id="REN-21 crop"),
        pytest.param("viewport=64", 400, id="ill-formed"),
        pytest.param("viewport=0,64", 400, id="nothing"),
    ],
)
def test_viewport(client: Client, query: str, expected: tuple[int, int] | int) -> None:
    answer = client.get(path(1, 1, 1) + "/thumbnail?" + query, "image/png")
    if isinstance(expected, int):
        assert answer.status == expected
    else:
        assert picture(answer).shape == expected


def test_no_text_of_the_patient_THU_02(client: Client) -> None:
    asked = client.get(path(1, 1, 1) + "/thumbnail?annotation=patient", "image/png")
    assert asked.content == client.get(path(1, 1, 1) + "/thumbnail", "image/png").content
    assert b"Doe" not in asked.content
    client.store(ramp(9, 1, BurnedInAnnotation="YES", Modality="US"))
    hidden = picture(client.get(path(1, 1, 9) + "/thumbnail", "image/png"))
    assert np.array_equal(hidden, icon("US", 256).samples)


def test_what_cannot_be_shown_has_the_letters_of_its_modality(client: Client) -> None:
    client.store(made(1, 5, 1, Modality="RTPLAN"))
    found = picture(client.get(path(1, 5, 1) + "/thumbnail?viewport=100,40", "image/png"))
    assert np.array_equal(found, icon("RTPLAN", 40).samples)
    assert not np.array_equal(found, icon("SR", 40).samples)


@pytest.mark.parametrize("modality", ["DOE JANE", "ÄÖ", "DOE^JANE", "TOOLONGNAME", ""])
def test_other_texts_are_not_drawn_THU_02(modality: str) -> None:
    assert np.array_equal(icon(modality, 64).samples, icon("", 64).samples)


@pytest.mark.parametrize("side", [1, 16, 17, 64, 1024])
def test_icons_of_all_sizes(side: int) -> None:
    samples = icon("XA", side).samples
    assert samples.shape == (max(16, side),) * 2
    assert len(np.unique(samples)) >= 3


@pytest.mark.parametrize("kind", DRAWN)
def test_what_is_drawn_has_a_small_picture(memory_client: Client, kind: str) -> None:
    content, target = DRAWN[kind]
    memory_client.store(content)
    found = picture(memory_client.get(target + "/thumbnail", "image/png"))
    assert found.ndim == 3
    assert max(found.shape[:2]) == 256
    assert np.ptp(found.astype(int), axis=2).max() > 50  # an icon is gray


@pytest.mark.parametrize("side", [100, 1000])
@pytest.mark.parametrize("kind", ["structure set", "waveform"])
def test_no_text_in_drawings_THU_02(kind: str, side: int) -> None:
    """The same drawing with other names of its regions and leads looks the same, however large it is."""
    pictures = []
    for name in ("Doe^Jane", "X"):
        client = Client(OriginServer(instances=MemoryInstanceStore()))
        dataset = pydicom.dcmread(io.BytesIO(DRAWN[kind][0]))
        dataset.PatientName = name
        if kind == "waveform":
            for channel in dataset.WaveformSequence[0].ChannelDefinitionSequence:
                channel.ChannelLabel = name
                del channel.ChannelSourceSequence
        else:
            dataset.StructureSetROISequence[0].ROIName = name
        changed = io.BytesIO()
        dataset.save_as(changed)
        client.store(changed.getvalue())
        pictures.append(picture(client.get(f"{DRAWN[kind][1]}/thumbnail?viewport={side},{side}", "image/png")))
        rendered = picture(client.get(f"{DRAWN[kind][1]}/rendered?viewport=1000,1000", "image/png"))
        pictures.append(rendered)
    assert np.array_equal(pictures[0], pictures[2])
    assert not np.array_equal(pictures[1], pictures[3])


@pytest.mark.parametrize("kind", ["segmentation", "structure set"])
def test_images_with_names_in_them_are_not_under_drawings_THU_02(memory_client: Client, kind: str) -> None:
    content, target = DRAWN[kind]
    memory_client.store(content)
    alone = memory_client.get(target + "/thumbnail", "image/png").content
    memory_client.store(ct(1, BurnedInAnnotation="YES"))
    assert memory_client.get(target + "/thumbnail", "image/png").content == alone
    other = Client(OriginServer(instances=MemoryInstanceStore()))
    other.store(content, ct(1, BurnedInAnnotation="NO"))
    assert other.get(target + "/thumbnail", "image/png").content != alone


def test_images_stand_for_a_study_before_drawings_THU_01(memory_client: Client) -> None:
    memory_client.store(report(1, 0), structure_set(CORNERS, 1), waveform())
    assert memory_client.get(path(1) + "/thumbnail").header("Content-Location") == BASE + path(1, 4, 1)
    memory_client.store(ramp(1, 9))
    assert memory_client.get(path(1) + "/thumbnail").header("Content-Location") == BASE + path(1, 9, 1) + "/frames/1"
