"""Names and technique burned into pictures (PS3.18 8.3.5.1.1)."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dicomweb_core.rendering.annotation import annotate
from dicomweb_core.rendering.fonts import Script, script
from dicomweb_core.rendering.pictures import Picture
from dicomweb_core.values.attributes import Attributes
from tests.rendering.gray_frames import made_attributes

GRAY = 120


def blank(rows: int = 512, columns: int = 512, dtype: type = np.uint8) -> Picture:
    return Picture(np.full((rows, columns), GRAY, dtype))


def described(name: str = "Doe^Jane", **values: Any) -> Attributes:
    return made_attributes(
        **{
            "PatientName": name,
            "PatientID": "X-17",
            "PatientBirthDate": "19700131",
            "PatientSex": "F",
            "InstitutionName": "General Hospital",
            "StudyDescription": "Thorax",
            "StudyDate": "20240229",
            "Modality": "CT",
            "SeriesNumber": 3,
            "SeriesDescription": "Lung",
            "KVP": 120,
            "SliceLocation": -12.5,
            "InstanceNumber": 9,
            **values,
        }
    )


def quarters(picture: Picture) -> dict[str, int]:
    """How many pixels of each quarter are drawn."""
    rows, columns = picture.rows // 2, picture.columns // 2
    drawn = picture.samples != GRAY
    parts = (drawn[:rows, :columns], drawn[:rows, columns:], drawn[rows:, :columns], drawn[rows:, columns:])
    return dict(zip(("tl", "tr", "bl", "br"), (int(part.sum()) for part in parts), strict=True))


def test_each_keyword_has_its_corners_REN_10() -> None:
    patient = quarters(annotate(blank(), described(), ("patient",)))
    assert patient["tl"] > 500
    assert patient["tr"] == patient["bl"] == patient["br"] == 0
    technique = quarters(annotate(blank(), described(), ("technique",)))
    assert technique["tl"] == 0
    assert min(technique["tr"], technique["bl"], technique["br"]) > 50


def test_absent_keyword_nothing_is_drawn_REN_10() -> None:
    picture = blank()
    assert annotate(picture, described(), ()) is picture
    assert annotate(picture, described(), ("banana",)) is picture


PATIENT = {
    "PatientName": "Roe^Richard",
    "PatientID": "999",
    "PatientBirthDate": "19990101",
    "PatientSex": "M",
    "PatientAge": "077Y",
    "OtherPatientIDs": "123",
    "PatientAddress": "Somewhere",
}


@pytest.mark.parametrize("keyword", sorted(PATIENT))
def test_nothing_of_the_patient_is_drawn_without_patient_REN_10(keyword: str) -> None:
    before = annotate(blank(), described(), ("technique",)).samples
    after = annotate(blank(), described(**{keyword: PATIENT[keyword]}), ("technique",)).samples
    assert (before == after).all()


@pytest.mark.parametrize("keyword", ["PatientName", "PatientID", "PatientBirthDate", "PatientSex", "PatientAge"])
def test_patient_shows_each_of_these_REN_10(keyword: str) -> None:
    before = annotate(blank(), described(), ("patient",)).samples
    after = annotate(blank(), described(**{keyword: PATIENT[keyword]}), ("patient",)).samples
    assert (before != after).any()


@pytest.mark.parametrize(
    "change",
    [
        {"InstitutionName": "Other"},
        {"StudyDescription": "Other"},
        {"StudyDate": "20200101"},
        {"StudyTime": "101112"},
        {"Modality": "MR"},
        {"ManufacturerModelName": "Other"},
        {"SeriesDescription": "Other"},
        {"KVP": 80},
        {"EchoTime": 3.5},
        {"SliceLocation": 7},
        {"InstanceNumber": 8},
    ],
    ids=lambda change: next(iter(change)),
)
def test_technique_shows_each_of_these_REN_10(change: dict[str, Any]) -> None:
    before = annotate(blank(), described(), ("technique",)).samples
    assert (before != annotate(blank(), described(**change), ("technique",)).samples).any()


def test_technique_of_enhanced_objects_is_in_functional_groups() -> None:
    echo = {"00189114": {"vr": "SQ", "Value": [{"00189082": {"vr": "FD", "Value": [3.5]}}]}}
    plain = annotate(blank(), described(EchoTime=3.5), ("technique",)).samples
    assert (annotate(blank(), described() | echo, ("technique",)).samples == plain).all()


@pytest.mark.parametrize("level", [0, 128, 255])
def test_letters_can_be_read_on_any_background(level: int) -> None:
    picture = Picture(np.full((512, 512), level, np.uint8))
    found = annotate(picture, described(), ("patient",)).samples
    assert (found > 220).sum() > 200
    assert (found < 35).sum() > 200


@pytest.mark.parametrize("side", [256, 512, 1024, 4096])
def test_letters_grow_with_the_picture(side: int) -> None:
    drawn = annotate(blank(side, side), described(), ("patient",)).samples != GRAY
    rows = np.flatnonzero(drawn.any(axis=1))
    assert 0.07 * side < rows.max() - rows.min() < 0.2 * side


@pytest.mark.parametrize("shape", [(16, 400), (400, 20), (64, 64), (100, 60), (1, 1), (9, 9), (30, 1000)])
def test_nothing_overlaps_on_small_pictures(shape: tuple[int, int]) -> None:
    attributes = described("Doe" * 20, StudyDescription="Thorax " * 20, SeriesDescription="Lung " * 20)
    both = annotate(blank(*shape), attributes, ("patient", "technique"))
    assert both.samples.shape == shape
    if shape[0] >= 64 and shape[1] >= 60:
        assert all(quarters(both).values()), "each corner has something"
        assert (both.samples != GRAY)[-12:].any(), "the last line stands at the bottom"
        # Between left and right at least a column is free in the rows of both.
        assert ((both.samples == GRAY)[: shape[0] // 3].all(axis=0)).any()


def test_wide_lines_are_clipped_by_an_ellipsis() -> None:
    letters = script()
    clipped = letters.clipped("W" * 200, 14, 300)
    assert clipped.endswith("W...")
    assert letters.width(clipped, 14) <= 300 < letters.width(clipped.replace("...", "W..."), 14)
    assert letters.clipped("short", 14, 300) == "short"
    assert letters.clipped("W" * 200, 14, 5) == ""
    drawn = annotate(blank(), described("W" * 64), ("patient", "technique")).samples != GRAY
    assert not drawn[:, -4:].any()


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("rgb", [False, True])
def test_every_kind_of_picture(dtype: type, rgb: bool) -> None:
    samples = np.full((200, 200, 3) if rgb else (200, 200), GRAY, dtype)
    picture = Picture(samples, b"profile" if rgb else None, 0.5)
    found = annotate(picture, described(), ("patient",))
    assert (found.icc_profile, found.pixel_aspect) == (picture.icc_profile, 0.5)
    assert found.samples.dtype == dtype
    assert found.samples.max() == np.iinfo(dtype).max
    assert (samples == GRAY).all(), "the picture itself is not touched"


# -- names --

NAMES = {
    "Latin": "Buc^Jérôme",
    "Greek": "Διονυσιος",
    "Cyrillic": "Люкceмбypг",
    "Hebrew": "שרון^דבורה",
    "Arabic": "قباني^لنزار",
    "Japanese": "Yamada^Tarou=山田^太郎=やまだ^たろう",
    "Korean": "Hong^Gildong=洪^吉洞=홍^길동",
    "Chinese": "Wang^XiaoDong=王^小東",
}
SAMPLES = {
    "Latin": "é",
    "Greek": "Δ",
    "Cyrillic": "Л",
    "Hebrew": "ש",
    "Arabic": "ق",
    "Japanese": "山や",
    "Korean": "홍",
    "Chinese": "東",
}


@pytest.mark.parametrize("language", sorted(NAMES))
def test_every_group_of_a_name_is_shown_REN_10(language: str) -> None:
    if not script().has_glyphs(SAMPLES[language]):
        pytest.skip(f"no font here has {language} letters")
    groups = NAMES[language].split("=")
    without_name = annotate(blank(), described(""), ("patient",)).samples != GRAY
    seen = set()
    for count in range(1, len(groups) + 1):
        drawn = annotate(blank(), described("=".join(groups[:count])), ("patient",)).samples != GRAY
        rows = np.flatnonzero(drawn.any(axis=1)).max()
        assert rows > np.flatnonzero(without_name.any(axis=1)).max() + 12 * (count - 1)
        seen.add(drawn.tobytes())
    assert len(seen) == len(groups)


def test_groups_that_no_font_has_are_left_out() -> None:
    # No font has letters of the private use planes.
    strange = "\u0378\u0379"
    plain = annotate(blank(), described("Doe^Jane"), ("patient",)).samples
    assert (
        annotate(blank(), described(f"Doe^Jane=𐑐{strange}𞤀"), ("patient",)).samples == plain
    ).all() or script().has_glyphs("𐑐𞤀")
    only = Script(("",))
    assert not only.has_glyphs("山田")
    assert only.width("山田", 20) == only.width("??", 20) > 0


@pytest.mark.parametrize(
    "attributes",
    [
        {},
        {"00100010": {"vr": "PN"}},
        {"00100010": {"vr": "PN", "Value": [None]}},
        {"00100010": {"vr": "PN", "Value": ["Doe^Jane"]}},
        {"00100010": {"vr": "PN", "Value": [{"Alphabetic": 7, "Ideographic": None}]}},
        {"00100010": {"vr": "PN", "Value": [{"Alphabetic": "^" * 500}]}},
        {"00100020": {"vr": "LO", "Value": ["\x00\x1b\u202e\ud800" * 5_000]}},
        {"00180060": {"vr": "DS", "Value": ["nan"]}, "00201041": {"vr": "DS", "Value": [1e308]}},
    ],
)
def test_whatever_the_object_says_never_fails_A26(attributes: Attributes) -> None:
    assert annotate(blank(), attributes, ("patient", "technique")).samples.shape == (512, 512)


def test_without_pillow_modules_are_importable_and_say_what_is_missing() -> None:
    program = """
import sys
sys.modules["PIL"] = None
import numpy as np
from dicomweb_core.errors import MissingCodec
from dicomweb_core.rendering import presentation_state
from dicomweb_core.rendering.annotation import annotate
from dicomweb_core.rendering.pictures import Picture
picture = Picture(np.zeros((9, 9), np.uint8))
assert annotate(picture, {}, ()) is picture
try:
    annotate(picture, {}, ("patient",))
except MissingCodec as error:
    assert "Pillow" in error.detail
else:
    raise SystemExit("no error")
"""
    found = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, cwd=Path(__file__).parents[2]
    )
    assert found.returncode == 0, found.stderr
