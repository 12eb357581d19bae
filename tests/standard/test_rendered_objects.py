"""Segmentations, parametric maps, structure sets and waveforms as rendered resources, end to end."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest

from dicomweb_core import OriginServer
from dicomweb_core.rendering import fonts
from dicomweb_memory import MemoryInstanceStore
from tests.clients import Client
from tests.made import path
from tests.standard.made_objects import COLUMNS, ROWS, ct, parametric_map, segmentation, structure_set, waveform
from tests.standard.test_rendered import picture

MASK = np.zeros((ROWS, COLUMNS), np.bool_)
MASK[5:15, 8:20] = True
CORNERS = [(4.0, 6.0), (20.0, 6.0), (20.0, 16.0), (4.0, 16.0)]

OBJECTS: dict[str, tuple[Callable[..., bytes], str]] = {
    "image": (lambda **more: ct(1, **more), path(1, 1, 1)),
    "segmentation": (lambda **more: segmentation(MASK, [1], **more), path(1, 2, 1)),
    "parametric map": (lambda **more: parametric_map(MASK.astype(np.float32) * 100, **more), path(1, 3, 1)),
    "structure set": (lambda **more: structure_set(CORNERS, 1, **more), path(1, 4, 1)),
    "waveform": (lambda **more: waveform(**more), path(1, 5, 1)),
}
BIG = "viewport=600,600"
CHROME = "image/avif,image/webp,image/apng,image/svg+xml,image/*,*/*;q=0.8"


@pytest.fixture
def without_system_fonts(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A machine without fonts but the one whose path this is."""
    found = [place for place in fonts.script().paths if place]
    if not found:
        pytest.skip("no font here")
    fonts._paths.cache_clear()
    monkeypatch.setattr(fonts, "_folders", list)
    yield Path(found[0])
    fonts._paths.cache_clear()


@pytest.mark.parametrize("kind", OBJECTS)
def test_texts_are_set_in_the_fonts_of_the_site(without_system_fonts: Path, kind: str) -> None:
    make, target = OBJECTS[kind]
    text = "Ψάρι"
    more: dict[str, Any] = {"PatientName": text, "SpecificCharacterSet": "ISO_IR 192"}
    pictures = []
    for paths in ((), (without_system_fonts,)):
        client = Client(OriginServer(instances=MemoryInstanceStore(), font_paths=paths))
        assert client.store(make(**more)).status == 200
        pictures.append(picture(client.get(f"{target}/rendered?{BIG}&annotation=patient", "image/png")))
    assert not fonts.script().has_glyphs(text)
    assert (pictures[0] != pictures[1]).any()


@pytest.mark.parametrize("kind", OBJECTS)
@pytest.mark.parametrize("keyword", ["patient", "technique"])
def test_annotations_on_every_kind_REN_10(memory_client: Client, kind: str, keyword: str) -> None:
    make, target = OBJECTS[kind]
    memory_client.store(make(PatientName="Doe^Jane", PatientID="7", StudyDescription="Chest"))
    plain = picture(memory_client.get(f"{target}/rendered?{BIG}", "image/png")).astype(int)
    answer = memory_client.get(f"{target}/rendered?{BIG}&annotation={keyword}", "image/png")
    assert answer.header("Warning") is None
    annotated = picture(answer)
    changed = np.argwhere((annotated != plain).reshape(*plain.shape[:2], -1).any(axis=2))
    assert len(changed) > 100
    top, left = changed.min(axis=0)
    if keyword == "patient":
        assert top < plain.shape[0] / 8
        assert left < plain.shape[1] / 8
    else:
        assert changed[:, 1].max() > plain.shape[1] * 7 / 8


@pytest.mark.parametrize(
    ("accept", "content_type"),
    [
        pytest.param(None, "image/jpeg", id="nothing said"),
        pytest.param("image/png", "image/png", id="PNG"),
        pytest.param("image/svg+xml", "image/svg+xml", id="SVG"),
        pytest.param("image/svg+xml, image/png;q=0.9", "image/svg+xml", id="rather SVG"),
        pytest.param(CHROME, "image/jpeg", id="an img of a browser"),
    ],
)
def test_media_types_of_a_waveform_REN_04(memory_client: Client, accept: str | None, content_type: str) -> None:
    memory_client.store(waveform())
    answer = memory_client.get(OBJECTS["waveform"][1] + "/rendered", accept)
    assert (answer.status, answer.header("Content-Type")) == (200, content_type)


def test_a_waveform_as_svg_is_harmless(memory_client: Client) -> None:
    target = OBJECTS["waveform"][1] + "/rendered"
    memory_client.store(waveform(PatientName="Doe^Jane"))
    answer = memory_client.get(target, "image/svg+xml")
    assert "default-src 'none'" in (answer.header("Content-Security-Policy") or "")
    assert answer.header("X-Content-Type-Options") == "nosniff"
    root = ElementTree.fromstring(answer.content.decode("utf-8"))
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    assert len(root.findall("{*}polyline")) >= 2
    assert {"I", "II"} <= {text.text for text in root.findall("{*}text")}
    assert b"Doe" not in answer.content
    annotated = memory_client.get(target + "?annotation=patient", "image/svg+xml")
    assert annotated.content == answer.content
    assert "patient" in (annotated.header("Warning") or "")
    assert memory_client.get(target + "?iccprofile=srgb", "image/svg+xml").status == 400


def test_waveforms_of_a_study_as_svg(memory_client: Client) -> None:
    memory_client.store(waveform(), ct(1))
    answer = memory_client.get(path(1) + "/rendered", 'multipart/related; type="image/svg+xml"')
    ((headers, content),) = answer.parts
    assert headers["content-type"] == "image/svg+xml"
    assert content.startswith(b"<?xml")
    assert "1 of 2" in (answer.header("Warning") or "")
    assert memory_client.get(path(1, 1, 1) + "/rendered", "image/svg+xml").status == 406


def test_a_waveform_without_samples_as_svg(memory_client: Client) -> None:
    memory_client.store(waveform(WaveformSequence=[]))
    answer = memory_client.get(OBJECTS["waveform"][1] + "/rendered", "image/svg+xml")
    assert answer.status == 406
    assert len(answer.json["detail"]) > 30
