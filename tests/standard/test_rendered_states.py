"""Presentation states as rendered resources and in the URI Service (PS3.18 8.3.5.1.6, 9.5.1.2.7), end to end."""

from __future__ import annotations

import numpy as np
import pydicom
import pytest

from tests.clients import BASE, Client
from tests.made import made, path, uid
from tests.standard.test_rendered import RAMP, picture, ramp
from tests.standard.test_uri_service import query

STATE = path(1, 2, 1)
IMAGE_CLASS = "1.2.840.10008.5.1.4.1.1.7"


def state(*numbers: int) -> bytes:
    """A grayscale presentation state over images of series 1: from 0 to 127 all gray levels, inverted."""
    series = pydicom.Dataset()
    series.SeriesInstanceUID = uid(1, 1)
    series.ReferencedImageSequence = []
    for number in numbers:
        image = pydicom.Dataset()
        image.ReferencedSOPClassUID, image.ReferencedSOPInstanceUID = IMAGE_CLASS, uid(1, 1, number)
        series.ReferencedImageSequence.append(image)
    window = pydicom.Dataset()
    window.WindowCenter, window.WindowWidth, window.VOILUTFunction = "63.5", "127", "LINEAR_EXACT"
    area = pydicom.Dataset()
    area.DisplayedAreaTopLeftHandCorner, area.DisplayedAreaBottomRightHandCorner = [1, 1], [8, 4]
    area.PresentationSizeMode, area.PresentationPixelAspectRatio = "SCALE TO FIT", ["1", "1"]
    return made(
        1, 2, 1, SOPClassUID="1.2.840.10008.5.1.4.1.1.11.1", Modality="PR", ReferencedSeriesSequence=[series],
        SoftcopyVOILUTSequence=[window], PresentationLUTShape="INVERSE", DisplayedAreaSelectionSequence=[area],
    )  # fmt: skip


EXPECTED = 255 - np.rint(np.clip(np.frombuffer(RAMP, np.uint8).reshape(4, 8) / 127, 0, 1) * 255)


@pytest.fixture
def client(memory_client: Client) -> Client:
    assert memory_client.store(ramp(1), ramp(2, frames=2), state(2, 1, 99)).status == 200
    return memory_client


def test_all_referenced_images_are_shown_REN_29(client: Client) -> None:
    answer = client.get(STATE + "/rendered", 'multipart/related; type="image/png"')
    assert answer.status == 200
    assert len(answer.parts) == 3
    assert np.abs(picture(answer.parts[0][1]).astype(int) - EXPECTED).max() <= 1
    assert answer.parts[0][0]["content-location"] == BASE + STATE
    assert client.get(STATE + "/rendered").header("Content-Type") == "image/jpeg"


@pytest.mark.parametrize(
    "target",
    [
        pytest.param(STATE + "/rendered?window=1,2,linear", id="REN-24"),
        pytest.param(STATE + "/frames/1/rendered", id="REN-30"),
        pytest.param(STATE + "/rendered?viewport=8,8,1,1,2,2", id="REN-21"),
    ],
)
def test_what_a_state_decides_itself(client: Client, target: str) -> None:
    assert client.get(target).status == 400


def test_a_state_without_its_images(memory_client: Client) -> None:
    memory_client.store(state(1))
    answer = memory_client.get(STATE + "/rendered")
    assert answer.status == 406
    assert "images" in answer.json["detail"]
    before = memory_client.get(path(1) + "/rendered")
    assert before.status == 406
    memory_client.store(ramp(1))
    assert memory_client.get(STATE + "/rendered").status == 200


def test_a_state_is_applied_by_the_uri_service_URI_21(client: Client) -> None:
    named = {"presentationSeriesUID": uid(1, 2), "presentationUID": uid(1, 2, 1)}
    found = picture(client.get("/wado?" + query(1, contentType="image/png", **named)))
    assert np.abs(found.astype(int) - EXPECTED).max() <= 1
    part = picture(client.get("/wado?" + query(1, contentType="image/png", region="0,0,0.5,1", **named)))
    assert np.array_equal(part, found[:, :4])  # REN-27: first the state, then the region
