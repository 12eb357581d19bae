"""Every real file can be looked at, at every level and in every form, or it is said why not; never 500."""

from __future__ import annotations

import io
import warnings
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import pydicom
import pytest
from PIL import Image
from pydicom.dataset import FileDataset
from pydicom.uid import UID

from dicomweb_core import OriginServer
from dicomweb_memory import MemoryInstanceStore
from tests.clients import Answer, Client
from tests.rendering.report_objects import Page
from tests.witnesses.real_files import name_of, real_files

LARGE = 300_000
"""Samples of all frames above which a file is rendered in CI only."""

DAMAGED = "JPEG2000-embedded-sequence-delimiter.dcm"
"""Its codestream was cut out of another."""

MISCOUNTED = {"badVR.dcm": 15}
"""Number of Frames is no number: as many as there are."""

PICTURE = "picture"
DOCUMENT = "document"
NOTHING = "406"
FORMS = {
    "12-lead ECG Waveform Storage": PICTURE,
    "Basic Text SR Storage": DOCUMENT,
    "Comprehensive SR Storage": DOCUMENT,
    "RT Plan Storage": NOTHING,
}
"""SOP class of objects without frames -> what `/rendered` gives; of all others without frames nothing."""

ANYTHING = (None, "*/*")
SIDE = 256

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:pydicom")


def read(content: bytes) -> FileDataset:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return pydicom.dcmread(io.BytesIO(content))


@lru_cache(maxsize=1)
def stored(path: Path) -> tuple[Client, str] | None:
    """A server with the file in it, and the URL of the instance below the service root; None if it is refused."""
    return served(path.read_bytes())


def served(content: bytes) -> tuple[Client, str] | None:
    client = Client(OriginServer(instances=MemoryInstanceStore()))
    if client.store(content).status not in (200, 202):
        return None
    (found,) = client.get("/instances").json
    return client, found["00081190"]["Value"][0].removeprefix(client.base_url)


class Traits(NamedTuple):
    """What is expected of a file, as pydicom reads it."""

    frames: int
    """0 for an object without pixel data."""
    samples: int
    """Of all frames."""
    size: tuple[int, int] | None
    """Width and height of each picture; None if they are not those of frames."""
    form: str


@lru_cache
def traits(path: Path) -> Traits:
    data = read(path.read_bytes())
    sop_class = UID(data.get("SOPClassUID", "")).name
    if "PixelData" not in data or not data.get("Rows"):
        return Traits(0, 0, None, FORMS.get(sop_class, NOTHING))
    stated = str(data.get("NumberOfFrames", 1) or 1)
    frames = int(stated) if stated.isdecimal() else MISCOUNTED[path.name]
    samples = frames * data.Rows * data.Columns * data.SamplesPerPixel
    return Traits(frames, samples, (data.Columns, data.Rows), NOTHING if path.name == DAMAGED else PICTURE)


def ends(prefix: str, frames: int) -> list[str]:
    """Of the first and the last frame."""
    return [f"{prefix}{number}" for number in sorted({min(1, frames), frames}) if number]


FILES = [
    pytest.param(path, id=name_of(path), marks=[pytest.mark.slow] if traits(path).samples > LARGE else [])
    for path in real_files()
]


def check_picture(content: bytes, media_type: str, size: tuple[int, int] | None) -> None:
    """Complete, of this type and (width, height)."""
    with Image.open(io.BytesIO(content)) as image:
        image.load()
        assert Image.MIME[str(image.format)] == media_type
        assert size is None or image.size == size


def check_refusal(answer: Answer) -> None:
    """With a sentence that says why, in the form of errors that was asked for."""
    assert answer.status == 406
    text = answer.content.decode()
    reason = text.partition("<p>")[2].partition("</p>")[0] if text.startswith("<!DOCTYPE") else answer.json["detail"]
    assert reason.endswith(".")
    assert len(reason) > 30


@pytest.mark.parametrize("path", FILES)
def test_single_parts_REN_01_REN_02(path: Path) -> None:
    """The instance, its first and its last frame."""
    found = stored(path)
    if found is None:
        return
    client, url = found
    frames, _samples, _size, form = traits(path)
    for place in ["", *ends("/frames/", frames)]:
        for accept in (*ANYTHING, "image/jpeg", "image/png", "text/html"):
            answer = client.get(f"{url}{place}/rendered", accept)
            wanted = DOCUMENT if accept == "text/html" else PICTURE
            if form == NOTHING or (accept not in ANYTHING and form != wanted):
                check_refusal(answer)
                continue
            assert answer.status == 200, answer.content
            if form == PICTURE:
                media_type = answer.header("Content-Type") or ""
                assert media_type == ("image/jpeg" if accept in ANYTHING else accept)
                check_picture(answer.content, media_type, traits(path).size)
            else:
                assert answer.header("Content-Type") == "text/html; charset=utf-8"
                assert Page(answer.content).text
    beyond = client.get(f"{url}/frames/{frames + 1}/rendered")
    assert beyond.status == 404


@pytest.mark.parametrize("path", FILES)
def test_several_parts_of_every_level_REN_01_REN_09(path: Path) -> None:
    found = stored(path)
    if found is None:
        return
    client, url = found
    frames, _samples, _size, form = traits(path)
    series, study = url.rpartition("/instances/")[0], url.rpartition("/series/")[0]
    several = {
        'multipart/related; type="image/jpeg"': (PICTURE, "image/jpeg"),
        'multipart/related; type="text/html"': (DOCUMENT, "text/html"),
    }
    for level in (study, series, url):
        for accept, (wanted, media_type) in several.items():
            answer = client.get(level + "/rendered", accept)
            if form != wanted:
                check_refusal(answer)
                continue
            assert answer.status == 200, answer.content
            assert len(answer.parts) == (max(frames, 1) if wanted == PICTURE else 1)
            for headers, content in answer.parts:
                assert headers["content-type"].startswith(media_type)
                if wanted == PICTURE:
                    check_picture(content, media_type, traits(path).size)
                else:
                    assert Page(content).text
    for level in (study, series):
        for accept in ("image/jpeg", "image/png", "text/html"):
            check_refusal(client.get(level + "/rendered", accept))
        answer = client.get(level + "/rendered", "*/*")
        if form == NOTHING:
            check_refusal(answer)
        else:
            assert answer.status == 200
            assert answer.parts


@pytest.mark.parametrize("path", FILES)
def test_thumbnails_THU_01(path: Path) -> None:
    found = stored(path)
    if found is None:
        return
    client, url = found
    series, study = url.rpartition("/instances/")[0], url.rpartition("/series/")[0]
    frames = traits(path).frames
    for target in (study, series, url, *ends(url + "/frames/", frames)):
        for accept in ANYTHING:
            answer = client.get(target + "/thumbnail", accept)
            assert answer.status == 200
            check_picture(answer.content, "image/jpeg", None)
            assert max(Image.open(io.BytesIO(answer.content)).size) == SIDE
        answer = client.get(target + "/thumbnail?viewport=40,24", "image/png")
        assert answer.status == 200
        check_picture(answer.content, "image/png", None)
        width, height = Image.open(io.BytesIO(answer.content)).size
        assert width <= 40
        assert height <= 24
        assert width == 40 or height == 24
        check_refusal(client.get(target + "/thumbnail", "text/html"))


@pytest.mark.parametrize("path", FILES)
def test_thumbnails_show_nothing_of_the_patient_THU_02(path: Path) -> None:
    """Another name, number and date of birth: the same bytes, also if they are asked for."""
    found = stored(path)
    if found is None:
        return
    data = read(path.read_bytes())
    data.SpecificCharacterSet = "ISO_IR 100"
    data.PatientName, data.PatientID, data.PatientBirthDate = "Another^Name^Of^A^Patient", "77777777", "19010203"
    buffer = io.BytesIO()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            data.save_as(buffer)
    except (ValueError, TypeError, AttributeError):
        return
    another = served(buffer.getvalue())
    if another is None:
        return
    for query in ("", "?annotation=patient,technique"):
        thumbnails = [client.get(f"{url}/thumbnail{query}").content for client, url in (found, another)]
        assert thumbnails[0] == thumbnails[1]


def test_annotations_would_have_shown_it() -> None:
    """So the test above can fail."""
    pictures = []
    for name in ("A^B", "Another^Name"):
        data = read(next(path for path in real_files() if path.name == "CT_small.dcm").read_bytes())
        data.PatientName = name
        buffer = io.BytesIO()
        data.save_as(buffer)
        found = served(buffer.getvalue())
        assert found is not None
        pictures.append(found[0].get(found[1] + "/rendered?annotation=patient").content)
    assert pictures[0] != pictures[1]


def test_all_of_them_at_once() -> None:
    """One archive with all files: studies of several kinds are answered too, with what is left out in a Warning."""
    server = OriginServer(instances=MemoryInstanceStore())
    server.store([path for path in real_files() if traits(path).samples <= LARGE])
    client = Client(server)
    statuses = set()
    for study in client.get("/studies").json:
        url = study["00081190"]["Value"][0]
        answer = client.get(url + "/rendered", "*/*", Range="bytes=0-")
        statuses.add(answer.status)
        if answer.status == 200:
            assert answer.parts
        else:
            check_refusal(answer)
        assert client.get(url + "/thumbnail").status == 200
    assert statuses == {200, 406}
