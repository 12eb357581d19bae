"""Structured reports as HTML and plain text (PS3.18 Table 8.7.4-1, PS3.3 C.17, C.18)."""

from __future__ import annotations

import base64
import hashlib
import re
from typing import Any

import pytest

from dicomweb_core.codecs.part10_reader import BytesSource, read_part10
from dicomweb_core.errors import CannotRender
from dicomweb_core.rendering.reports.html import render_report_html
from dicomweb_core.rendering.reports.plain_text import render_report_text
from dicomweb_core.values.attributes import Attributes
from dicomweb_core.values.limits import Limits
from tests.rendering.report_objects import (
    Page,
    code,
    content_item,
    reference_to,
    referenced,
    report,
    text_item,
    value,
)
from tests.witnesses.real_files import name_of, real_files

CT, SR, ECG = "1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.5.1.4.1.1.88.11", "1.2.840.10008.5.1.4.1.1.9.1.1"
REAL_REPORTS = [path for path in real_files() if re.search("report|SR", path.name)]


def link(class_uid: str, instance_uid: str, frames: tuple[int, ...]) -> str | None:
    """An archive that has everything but what ends in 404."""
    if instance_uid.endswith("404"):
        return None
    return f"/instances/{instance_uid}" + (f"/frames/{','.join(map(str, frames))}" if frames else "")


def html_of(attributes: Attributes) -> Page:
    return Page(b"".join(render_report_html(attributes, link=link).content))


def text_of(attributes: Attributes) -> str:
    return b"".join(render_report_text(attributes).content).decode("utf-8")


def words_of(text: str) -> str:
    return " ".join(text.split())


def number(amount: Any, unit: str = "mm", meaning: str = "millimeter", scheme: str = "UCUM") -> Attributes:
    return {"0040A30A": value("DS", amount), "004008EA": code(meaning, unit, scheme)}


CELLS = [
    {"0040A805": value("UL", 1), "00720050": value("CS", "DT"), "00720063": value("DT", "20200401163901", "20200402")},
    {"0040A805": value("UL", 2), "00720050": value("CS", "FL"), "00720076": value("FL", 100.5, 90.25)},
    {"0040A804": value("UL", 2), "0040A805": value("UL", 3), "00720080": code("Stopped")},
]
TABLE = {
    "0040A802": value("UL", 2),
    "0040A803": value("UL", 3),
    "0040A807": value(
        "SQ",
        {"0040A805": value("UL", 1), "0040A043": code("Time")},
        {"0040A805": value("UL", 2), "0040A043": code("Current"), "004008EA": code("milliampere", "mA", "UCUM")},
    ),
    "0040A808": value("SQ", *CELLS),
}

# value type, attributes, what HTML says, what the text says (None: the same)
VALUES: list[tuple[str, dict[str, Any], str, str | None]] = [
    ("TEXT", {"_0040A160": value("UT", "first line\r\nsecond < line")}, "first line second < line", None),
    ("CODE", {"_0040A168": code("Lung", "39607008", "SCT")}, "Lung", "Lung (39607008, SCT)"),
    ("NUM", {"_0040A300": value("SQ", number(12.5))}, "12.5 mm", None),
    ("NUM", {"_0040A300": value("SQ", number(0.9, "{ratio}", "ratio"))}, "0.9 ratio", None),
    ("NUM", {"_0040A300": value("SQ", number(5, "1", "no units"))}, "5 no units", None),
    ("NUM", {"_0040A300": value("SQ", number("1E500", "mm2", "x", "99X"))}, "1E500 x", None),
    ("NUM", {"_0040A300": value("SQ"), "_0040A301": code("Not a number")}, "Not a number", "Not a number (1, 99TEST)"),
    ("NUM", {"_0040A300": value("SQ", {"0040A162": value("SL", 1), "0040A163": value("UL", 3)})}, "1/3", None),
    ("NUM", {"_0040A300": value("SQ", {"0040A161": value("FD", 2.0)})}, "2", None),
    ("PNAME", {"_0040A123": value("PN", {"Alphabetic": "Doe^Jane^M^Dr^PhD"})}, "Doe, Jane M, Dr, PhD", None),
    ("DATE", {"_0040A121": value("DA", "20261122")}, "2026-11-22", None),
    ("TIME", {"_0040A122": value("TM", "070907.0705")}, "07:09:07.0705", None),
    ("DATETIME", {"_0040A120": value("DT", "20261122101500.000000+0130")}, "2026-11-22 10:15:00 +01:30", None),
    ("DATETIME", {"_0040A120": value("DT", "2026-0500")}, "2026 -05:00", None),
    ("DATETIME", {"_0040A120": value("DT", "202611")}, "2026-11", None),
    ("DATETIME", {"_0040A120": value("DT", "soon")}, "soon", None),
    ("UIDREF", {"_0040A124": value("UI", "1.2.3.4")}, "1.2.3.4", None),
    ("UIDREF", {"_0040A124": value("UI", CT)}, "CT Image Storage", None),
    ("IMAGE", {"_00081199": referenced(CT, "1.2.5")}, "CT Image Storage", "CT Image Storage, 1.2.5"),
    (
        "IMAGE",
        {"_00081199": referenced(CT, "1.2.5", _00081160=value("IS", 2, 7), _0062000B=value("US", 4))},
        "CT Image Storage, frames 2, 7, segment 4",
        "CT Image Storage, frame 2, 7, segment 4, 1.2.5",
    ),
    (
        "COMPOSITE",
        {"_00081199": referenced(SR, "1.404")},
        "Basic Text SR Storage 1.404",
        "Basic Text SR Storage, 1.404",
    ),
    (
        "WAVEFORM",
        {"_00081199": referenced(ECG, "1.6", _0040A0B0=value("US", 1, 2, 1, 0))},
        "12-lead ECG Waveform Storage, channel 1/2, channel 1/0",
        "12-lead ECG Waveform Storage, channel 1/2, channel 1/0, 1.6",
    ),
    (
        "SCOORD",
        {"_00700022": value("FL", 1.5, 2.0, 3.0, 4.0), "_00700023": value("CS", "POLYLINE")},
        "polyline (1.5, 2) (3, 4) column, row",
        "polyline (1.5, 2) (3, 4) (column, row)",
    ),
    (
        "SCOORD",
        {"_00700022": value("FL", *([1] * 40)), "_00700023": value("CS", "MULTIPOINT")},
        "points " + "(1, 1) " * 16 + "and 4 more points column, row",
        "points " + "(1, 1) " * 16 + "(and 4 more points) (column, row)",
    ),
    (
        "SCOORD3D",
        {"_00700022": value("FL", 1, -2, 3), "_00700023": value("CS", "POINT")},
        "point (1, -2, 3) in mm, of the patient",
        "point (1, -2, 3) (in mm, of the patient)",
    ),
    (
        "TCOORD",
        {"_0040A130": value("CS", "SEGMENT"), "_0040A138": value("DS", 0.5, 2)},
        "segment from 0.5, 2 s",
        None,
    ),
    ("TCOORD", {"_0040A130": value("CS", "POINT"), "_0040A132": value("UL", 34)}, "point 34 samples", None),
    ("TCOORD", {"_0040A130": value("CS", "BEGIN"), "_0040A13A": value("DT", "2026")}, "from 2026", None),
    (
        "TABLE",
        {"_0040A801": value("SQ", TABLE)},
        "Time Current [mA] 2020-04-01 16:39:01 100.5 2020-04-02 90.25 Stopped",
        "Time | Current [mA] | 2020-04-01 16:39:01 | 100.5 | 2020-04-02 | 90.25 | Stopped",
    ),
    ("FUTURE", {"_0040A160": value("UT", "what a later edition says")}, "what a later edition says", None),
    ("TEXT", {}, "no value", "(no value)"),
    (
        "TEXT",
        {"_0040A160": {"vr": "UT", "BulkDataURI": "x"}},
        "a value too large to be shown here",
        "(a value too large to be shown here)",
    ),
]


@pytest.mark.parametrize(
    ("value_type", "tags", "in_html", "in_text"), VALUES, ids=[f"{n} {case[0]}" for n, case in enumerate(VALUES)]
)
def test_every_value_type_is_readable_REN_05_REN_06(
    value_type: str, tags: dict[str, Any], in_html: str, in_text: str | None
) -> None:
    attributes = report(content_item(value_type, "The concept", **tags))
    assert f"The concept {in_html}" in html_of(attributes).text
    assert f"The concept: {in_text or in_html}" in words_of(text_of(attributes))


def test_the_patient_and_the_state_of_the_document_stand_above_it_REN_05() -> None:
    name = {"Alphabetic": "Yamada^Tarou", "Ideographic": "山田^太郎", "Phonetic": "やまだ^たろう"}
    observer = {
        "0040A027": value("LO", "Clinic"),
        "0040A030": value("DT", "20260102030405"),
        "0040A075": value("PN", {"Alphabetic": "House^G"}),
    }
    evidence = {
        "00081115": value(
            "SQ",
            {
                "0020000E": value("UI", "1.1"),
                "00081199": value("SQ", {"00081150": value("UI", CT)}, {"00081150": value("UI", CT)}),
            },
        )
    }
    attributes = report(
        text_item("Finding", "none"),
        title="Chest report",
        _00100010=value("PN", name),
        _00100020=value("LO", "ID-7"),
        _00100030=value("DA", "19700131"),
        _00100040=value("CS", "F"),
        _00081030=value("LO", "Thorax"),
        _00080020=value("DA", "20260101"),
        _00080030=value("TM", "1200"),
        _0040A491=value("CS", "COMPLETE"),
        _0040A493=value("CS", "VERIFIED"),
        _0040A073=value("SQ", observer),
        _0040A375=value("SQ", evidence),
    )
    page, text = html_of(attributes), text_of(attributes)
    for label, expected in (
        ("Name", "Yamada, Tarou (山田 太郎; やまだ たろう)"),
        ("Patient ID", "ID-7"),
        ("Birth date", "1970-01-31"),
        ("Sex", "Female"),
        ("Description", "Thorax"),
        ("Date", "2026-01-01 12:00"),
        ("Kind", "Comprehensive SR Storage"),
        ("Completion", "Complete"),
        ("Verification", "Verified"),
        ("Verified by", "House, G, Clinic, 2026-01-02 03:04:05"),
        ("Evidence", "2 × CT Image Storage in 1 series"),
    ):
        assert f"{label} {expected}" in page.text
        assert f"  {label}: {expected}\n" in text
    assert page.headings[0] == ("h1", "Chest report")
    assert text.startswith("Chest report\n============\n")


def test_headings_go_down_with_the_containers() -> None:
    inner = content_item("CONTAINER", "Inner", text_item("Detail", "d"))
    attributes = report(content_item("CONTAINER", "Outer", text_item("Before", "b"), inner, text_item("After", "a")))
    page = html_of(attributes)
    assert page.headings == [("h1", "Report"), ("h2", "Document"), ("h2", "Outer"), ("h3", "Inner")]
    assert [words_of(line) for line in text_of(attributes).split("-" * 78)[1].split("\n") if line] == [
        "Outer", "Before: b", "Inner", "Detail: d", "After: a",
    ]  # fmt: skip


def test_continuous_content_is_one_running_text() -> None:
    length = content_item("NUM", "Length", _0040A300=value("SQ", number(3, "cm", "centimeter")))
    prose = content_item(
        "CONTAINER", "Finding", text_item("x", "A mass of"), length, text_item("y", "was seen."),
        _0040A050=value("CS", "CONTINUOUS"),
    )  # fmt: skip
    assert "\nFinding\n  A mass of 3 cm was seen.\n" in text_of(report(prose))
    assert b'class="continuous"' in b"".join(render_report_html(report(prose), link=link).content)


def test_images_are_thumbnails_in_links_where_the_archive_has_them() -> None:
    page = html_of(
        report(
            content_item("IMAGE", _00081199=referenced(CT, "1.2.5")),
            content_item("IMAGE", _00081199=referenced(CT, "1.2.6", _00081160=value("IS", 3, 0, -1))),
            content_item("IMAGE", _00081199=referenced(CT, "1.404")),
            content_item("COMPOSITE", _00081199=referenced(SR, "1.2.7")),
            content_item("IMAGE", _00081199=referenced(CT, "../../etc")),
        )
    )
    assert page.pictures == ["/instances/1.2.5/thumbnail", "/instances/1.2.6/frames/3/thumbnail"]
    assert page.links == [
        "/instances/1.2.5/rendered", "/instances/1.2.6/frames/3/rendered", "/instances/1.2.7/rendered",
    ]  # fmt: skip
    assert "1.404" in page.text


def test_a_key_object_selection_shows_its_images() -> None:
    selection = report(
        text_item("Key Object Description", "look at these"),
        content_item("IMAGE", _00081199=referenced(CT, "1.2.5")),
        title="Of Interest",
        _00080016=value("UI", "1.2.840.10008.5.1.4.1.1.88.59"),
    )
    page = html_of(selection)
    assert page.headings[0] == ("h1", "Of Interest")
    assert page.pictures == ["/instances/1.2.5/thumbnail"]
    assert "Key Object Description look at these" in page.text


def test_codes_tell_value_and_scheme_to_those_who_ask() -> None:
    page = html_of(report(content_item("CODE", "Site", _0040A168=code("Lung", "39607008", "SCT"))))
    assert "39607008, SCT" in page.titles


@pytest.mark.parametrize(
    ("tag", "expected"), [("de-CH", b'<main lang="de-CH">'), ('de" x="', b"<main>"), ("", b"<main>")]
)
def test_the_language_of_the_content_is_marked(tag: str, expected: bytes) -> None:
    language = content_item("CODE", how="HAS CONCEPT MOD", _0040A168=code("Language", tag, "RFC5646"))
    language["0040A043"] = code("Language of Content Item and Descendants", "121049", "DCM")
    assert expected in b"".join(render_report_html(report(language), link=link).content)


def test_items_by_reference_are_anchors() -> None:
    attributes = report(
        text_item("First", "one", reference_to(1, 2)),
        text_item("Second", "two", text_item("Third", "three", reference_to(1, 2, 1)), reference_to(1)),
        text_item("Fourth", "four", reference_to(1, 2), reference_to(1, 9), reference_to(2), reference_to(1, 0)),
    )
    page, text = html_of(attributes), text_of(attributes)
    assert page.links == ["#item-1", "#item-2", "#item-3", "#item-1"]
    assert page.text.count("an item that the document does not have") == 3
    assert "  See (inferred from): [1] Second\n" in text
    assert "[1] Second: two\n" in text


def test_the_policy_permits_our_style_and_nothing_else_REN_05() -> None:
    document = render_report_html(report(), link=link)
    content = b"".join(document.content)
    style = re.search(b"<style>(.*?)</style>", content, re.DOTALL)
    assert style is not None
    digest = base64.b64encode(hashlib.sha256(style[1]).digest()).decode()
    policy = dict(document.headers)["Content-Security-Policy"]
    assert set(policy.split("; ")) == {
        "default-src 'none'", "img-src 'self'", "base-uri 'none'", "form-action 'none'", f"style-src 'sha256-{digest}'",
    }  # fmt: skip
    assert document.media_type == "text/html; charset=utf-8"


@pytest.mark.parametrize("path", REAL_REPORTS, ids=name_of)
def test_real_reports_are_shown_whole_REN_05_REN_06(path: Any) -> None:
    attributes = read_part10(BytesSource(path.read_bytes()), Limits()).attributes
    page, text = html_of(attributes).text, words_of(text_of(attributes))
    said = [words_of(item) for item in said_in(attributes)]
    assert said
    for words in said:
        assert words in page
        assert words in text


def said_in(attributes: Attributes) -> list[str]:
    """Texts and meanings of codes of the content tree."""
    found: list[str] = []
    for item in attributes.get("0040A730", {}).get("Value", []):
        found += item.get("0040A160", {}).get("Value", [])
        for entry in item.get("0040A168", {}).get("Value", []):
            found += entry["00080104"]["Value"]
        found += said_in(item)
    return found


def test_there_are_real_reports() -> None:
    assert {name_of(path) for path in REAL_REPORTS} >= {"reportsi.dcm", "test-SR.dcm"}


def test_what_is_no_report_is_refused() -> None:
    for render in (lambda a: render_report_html(a, link=link), render_report_text):
        with pytest.raises(CannotRender, match="no structured report"):
            render({"00080016": value("UI", CT)})


def test_lines_of_text_are_78_columns_where_words_allow_it() -> None:
    long = " ".join(["word"] * 200)
    attributes = report(content_item("CONTAINER", "A", text_item("B", long)), text_item("C", "x" * 200))
    lines = text_of(attributes).split("\n")
    assert [line.strip() for line in lines if len(line) > 78] == ["x" * 200]
    assert sum(line.count("word") for line in lines) == 200
