"""Frames of a cine asked for one by one have the brightness of each other (PS3.18 10.4.1.1.3), end to end."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pydicom
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageSequence

from tests.clients import Client
from tests.made import made, path
from tests.standard.test_rendered import picture

DEEP: dict[str, Any] = {"BitsAllocated": 16, "BitsStored": 12, "HighBit": 11}
VALUES = np.array([[0, 100, 200, 300], [0, 400, 800, 2000], [0, 10, 20, 1000]], "<u2").reshape(3, 2, 2)
"""The frame in the middle has the widest range."""
TARGET = path(1, 1, 1)


def expected(frame: int, top: float = 2000) -> NDArray[Any]:
    levels: NDArray[Any] = np.rint(np.clip(VALUES[frame] / top, 0, 1) * 255)
    return levels


def cine(**values: Any) -> bytes:
    return made(frames=[frame.tobytes() for frame in VALUES], **DEEP | values)


def test_frames_one_by_one_have_one_window(memory_client: Client) -> None:
    memory_client.store(cine())
    alone = [picture(memory_client.get(f"{TARGET}/frames/{number}/rendered", "image/png")) for number in (1, 3, 2)]
    for found, frame in zip(alone, (0, 2, 1), strict=True):
        assert np.abs(found - expected(frame)).max() <= 1
    together = memory_client.get(f"{TARGET}/rendered", 'multipart/related; type="image/png"').parts
    animated = Image.open(io.BytesIO(memory_client.get(f"{TARGET}/rendered", "image/gif").content))
    for frame, (part, shown) in enumerate(zip(together, ImageSequence.Iterator(animated), strict=True)):
        assert np.abs(picture(part[1]) - expected(frame)).max() <= 1
        assert np.abs(np.asarray(shown.convert("L")) - expected(frame)).max() <= 1


def test_the_window_is_that_of_the_version(memory_client: Client) -> None:
    memory_client.store(cine())
    first = memory_client.get(f"{TARGET}/frames/1/rendered", "image/png").content
    memory_client.request("DELETE", TARGET)
    memory_client.store(made(frames=[frame.tobytes() for frame in VALUES[[0, 2, 1]]], **DEEP))
    again = picture(memory_client.get(f"{TARGET}/frames/1/rendered", "image/png"))
    assert np.abs(again - expected(0, 1000)).max() <= 1
    assert not np.array_equal(again, picture(first))


@pytest.mark.parametrize(
    ("of_frames", "top"),
    [
        pytest.param((200, None, 400), 2000, id="frames with a window keep it"),
        pytest.param((None, 100, None), 300, id="the representative has one: the others are by themselves"),
    ],
)
def test_windows_of_frames(memory_client: Client, of_frames: tuple[int | None, ...], top: float) -> None:
    groups = []
    for width in of_frames:
        group = pydicom.Dataset()
        if width is not None:
            window = pydicom.Dataset()
            window.WindowCenter, window.WindowWidth, window.VOILUTFunction = width / 2, width, "LINEAR_EXACT"
            group.FrameVOILUTSequence = [window]
        groups.append(group)
    memory_client.store(cine(PerFrameFunctionalGroupsSequence=groups))
    for frame, width in enumerate(of_frames):
        found = picture(memory_client.get(f"{TARGET}/frames/{frame + 1}/rendered", "image/png"))
        highest = width or (top if frame < 2 else VALUES[frame].max())
        assert np.abs(found - expected(frame, highest)).max() <= 1
