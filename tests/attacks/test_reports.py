"""Documents as weapons: stored XSS, types that lie (A14, A27), trees without end (A28)."""

from __future__ import annotations

import copy
import random
import time
from typing import Any

import lxml.html
import pytest

from dicomweb_core.errors import CannotRender
from dicomweb_core.rendering.reports.encapsulated import document_form, render_document_html
from dicomweb_core.rendering.reports.html import render_report_html
from dicomweb_core.rendering.reports.pdf import render_report_pdf
from dicomweb_core.rendering.reports.plain_text import render_report_text
from dicomweb_core.values.attributes import Attributes
from dicomweb_core.values.limits import Limits
from tests.rendering.report_objects import (
    LEGAL,
    Page,
    code,
    content_item,
    reference_to,
    referenced,
    report,
    text_item,
    value,
)
from tests.rendering.test_reports import VALUES

HOSTILE = [
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "' onmouseover='alert(1)",
    "</style><script>alert(1)</script>",
    "</title></head><body onload=alert(1)>",
    "</dd></dl></section></main><iframe srcdoc=x>",
    "<!-- ",
    "<![CDATA[ ]]>",
    "&lt;script&gt;",
    "javascript:alert(1)",
    "{{7*7}}${7*7}%s%n",
    "&#60;b&#62;&amp",
    "<svg/onload=alert(1)>",
]
INVISIBLE = "a\x00\x01\x1b[31m\x7f\x85\u202e\u2066\ufeff\ud800\ufffe\ufdd0b"


def no_link(class_uid: str, instance_uid: str, frames: tuple[int, ...]) -> None:
    return None


def a_link(class_uid: str, instance_uid: str, frames: tuple[int, ...]) -> str:
    return f"/instances/{instance_uid}"


def everything() -> Attributes:
    """A report with every value type in it, names, observers, references to items."""
    items = [
        content_item(kind, f"name {kind}", text_item("in", "it", how="HAS X"), **tags) for kind, tags, *_ in VALUES
    ]
    return report(
        *items,
        reference_to(1, 2),
        content_item("CONTAINER", "of all", *copy.deepcopy(items), _0040A050=value("CS", "CONTINUOUS")),
        _00100010=value("PN", {"Alphabetic": "Doe^J", "Ideographic": "山", "Phonetic": "や"}),
        _00100020=value("LO", "7"),
        _0040A491=value("CS", "COMPLETE"),
        _0040A073=value("SQ", {"0040A075": value("PN", {"Alphabetic": "House"}), "0040A030": value("DT", "2026")}),
        _0040A078=value("SQ", {"0040A123": value("PN", {"Alphabetic": "House"})}),
        _0040A375=value("SQ", {"00081115": value("SQ", {"00081199": referenced("1.2", "1.3")})}),
        _0040A504=value("SQ", {"0040DB00": value("CS", "2000"), "00081105": value("CS", "DCMR")}),
    )


def with_texts(dataset: Any, text: str, *, spared: tuple[str, ...]) -> Any:
    """A copy in which every text is another; attributes in `spared` keep theirs."""
    if isinstance(dataset, dict):
        return {
            key: entry if key in spared or key == "vr" else with_texts(entry, text, spared=spared)
            for key, entry in dataset.items()
        }
    if isinstance(dataset, list):
        return [with_texts(entry, text, spared=spared) for entry in dataset]
    return text if isinstance(dataset, str) else dataset


def both(attributes: Attributes, limits: Limits = Limits()) -> tuple[bytes, str]:  # noqa: B008 (frozen)
    html = b"".join(render_report_html(attributes, link=a_link, limits=limits).content)
    return html, b"".join(render_report_text(attributes, limits=limits).content).decode("utf-8")


@pytest.mark.parametrize("text", HOSTILE)
@pytest.mark.parametrize("spared", [("0040A040", "0040A050"), ()], ids=["in values", "in terms too"])
def test_no_text_becomes_markup_A14_A27_A28(text: str, spared: tuple[str, ...]) -> None:
    html, plain = both(with_texts(everything(), text, spared=spared))
    page = Page(html)
    assert " ".join(text.split()) in page.text
    assert text in plain
    assert all(link.startswith(("/instances/", "#item-")) for link in page.links + page.pictures)
    tree = lxml.html.document_fromstring(html)
    assert {element.tag for element in tree.iter()} <= set(LEGAL)
    assert not [name for element in tree.iter() for name in element.attrib if name.startswith("on")]


def test_what_cannot_be_seen_is_not_sent_A14() -> None:
    html, plain = both(with_texts(everything(), INVISIBLE, spared=("0040A040",)))
    for content in (html.decode("utf-8"), plain):
        assert "a[31m\ufffd\ufffd\ufffdb" in content
        assert not set(content) & (set(INVISIBLE) - set("a[31mb"))
        assert all(character >= " " or character == "\n" for character in content)


def test_the_text_document_has_no_line_that_a_value_forged_A14() -> None:
    _, plain = both(report(text_item("Finding\r\nPatient", "x\u2028y\vz"), title="T\nPatient"))
    lines = plain.split("\n")
    assert lines[0] == "T Patient"
    assert "Finding Patient: x" in lines


@pytest.mark.parametrize("seed", range(40))
def test_garbage_in_any_attribute_is_no_accident_A28(seed: int) -> None:
    chance = random.Random(seed)
    garbage = [None, 0, -1, 2**63, 1.5, float("nan"), float("inf"), "", "x", "1", {}, {"Alphabetic": None}, True]

    def spoil(dataset: Any) -> None:
        for attribute in dataset.values():
            if chance.random() < 0.08:
                attribute["vr"] = chance.choice(["SQ", "PN", "LO", "UI", "DA", "US", "FD", "UN", "??"])
            if chance.random() < 0.08:
                attribute["Value"] = [chance.choice(garbage) for _ in range(chance.randrange(4))]
            if chance.random() < 0.02:
                attribute["BulkDataURI"] = "x"
                attribute.pop("Value", None)
            for entry in attribute.get("Value", []) if attribute["vr"] == "SQ" else []:
                if isinstance(entry, dict) and all(isinstance(inner, dict) for inner in entry.values()):
                    spoil(entry)

    attributes = copy.deepcopy(everything())
    spoil(attributes)
    try:
        html, plain = both(attributes)
    except CannotRender:
        return
    Page(html)
    assert plain
    if seed < 8:  # slow
        assert b"".join(render_report_pdf(attributes).content).endswith(b"%%EOF\n")


def test_cycles_by_reference_are_links_A28() -> None:
    attributes = report(
        text_item("A", "a", reference_to(1, 2), reference_to(1, 1), reference_to(1, 1, 2)),
        text_item("B", "b", reference_to(1, 1), reference_to(1)),
    )
    html, plain = both(attributes)
    assert Page(html).links == ["#item-1", "#item-2", "#item-3", "#item-2", "#item-4"]
    assert plain.count("See (inferred from)") == 5


def test_a_document_that_refers_to_itself_A28() -> None:
    uid = "1.2.840.10008.5.1.4.1.1.88.33"
    itself = report(content_item("COMPOSITE", _00081199=referenced(uid, "1.2.3")), _00080018=value("UI", "1.2.3"))
    html, _ = both(itself)
    assert Page(html).links == ["/instances/1.2.3/rendered"]


def nested(depth: int) -> Attributes:
    item = text_item("deepest", "the end")
    for number in range(depth - 1):
        item = content_item("CONTAINER" if number % 3 else "TEXT", f"n{number}", item)
    return report(item)


def test_a_deep_tree_is_shown_without_deep_markup_A28() -> None:
    html, plain = both(nested(1000))
    page = Page(html)
    assert page.depth < 150
    assert "the end" in page.text
    assert "level 1000" in page.text
    assert "level 1000: deepest: the end" in plain
    # a parser that gives up at some depth gets there too
    assert "the end" in lxml.html.document_fromstring(html).text_content()


@pytest.mark.parametrize("limits", [Limits(report_depth=9), Limits(report_items=9)], ids=["depth", "items"])
def test_a_tree_beyond_the_limits_is_refused_before_the_first_byte_A28(limits: Limits) -> None:
    both(nested(8), limits)
    for render in (lambda a: render_report_html(a, link=no_link, limits=limits), None):
        with pytest.raises(CannotRender, match="content tree has more than"):
            render(nested(10)) if render else render_report_text(nested(10), limits=limits)


def test_a_tree_that_contains_itself_is_refused_A28() -> None:
    loop = text_item("a", "b")
    loop["0040A730"] = value("SQ", loop)
    with pytest.raises(CannotRender):
        render_report_html(report(loop), link=no_link)


def test_the_work_grows_with_the_size_and_no_faster_A28() -> None:
    wide = [text_item("n", "x") for _ in range(5_000)]
    references = [reference_to(1, number, how="CONTAINS") for number in range(5_000, 0, -1)]
    words = text_item("one word", "y" * 1_000_000)
    table = {"0040A808": value("SQ", *({"0040A804": value("UL", n * 7), "0040A805": value("UL", n), "00720076": value("FL", n)} for n in range(1, 5_000)))}  # fmt: skip  # noqa: E501
    attributes = report(*wide, *references, words, content_item("TABLE", _0040A801=value("SQ", table)))
    began = time.process_time()
    html, plain = both(attributes)
    assert time.process_time() - began < 5
    assert len(html) < 8_000_000
    assert len(plain) < 3_000_000


def test_a_table_of_claimed_size_allocates_nothing_A28() -> None:
    table = {
        "0040A802": value("UL", 0xFFFFFFFF),
        "0040A803": value("UL", 0xFFFFFFFF),
        "0040A808": value(
            "SQ",
            {"0040A804": value("UL", 1), "0040A805": value("UL", 0xFFFFFFFF), "00720066": value("LO", "there")},
        ),
    }
    html, plain = both(report(content_item("TABLE", _0040A801=value("SQ", table))))
    assert "there" in plain
    assert len(html) < 20_000


PDF, CDA, STL, OBJ, MTL = (f"1.2.840.10008.5.1.4.1.1.104.{number}" for number in range(1, 6))
LIES = [
    (PDF, "application/pdf", b"<html><script>alert(1)</script>%PDF-1.4"),
    (PDF, "text/html", b"<!DOCTYPE html>"),
    (PDF, "application/pdf", b"\n%PDF-1.4"),
    (PDF, "application/pdf", b""),
    (CDA, "text/xml", b"MZ\x90"),
    (CDA, "text/xml", b""),
    (STL, "model/stl", b"<html>" + bytes(100)),
    (STL, "model/stl", b"short"),
    (OBJ, "text/html", b"  <script>"),
    (MTL, "image/svg+xml", b"\xff\xfe" + "<svg>".encode("utf-16-le")),
    (OBJ, "model/obj", b"\x00\x01"),
    ("1.2.3", "text/html", b"<html>"),
    ("1.2.3", "image/svg+xml", b"<svg onload=alert(1)>"),
    ("1.2.3", "application/pdf", b"<html>"),
    ("1.2.3", "application/pdf\r\nX: y", b"GIF89a"),
    ("", "a" * 100_000 + "/", b""),
]


@pytest.mark.parametrize(("sop_class", "stated", "head"), LIES)
def test_a_document_that_is_not_what_it_says_is_octets_to_keep_A27(sop_class: str, stated: str, head: bytes) -> None:
    form = document_form(sop_class, stated, head)
    assert form.media_type == "application/octet-stream"
    assert form.disposition.startswith("attachment;")
    assert form.csp == "sandbox; default-src 'none'"
    assert ("X-Content-Type-Options", "nosniff") in form.headers


@pytest.mark.parametrize("sop_class", [PDF, CDA, STL, OBJ, MTL, "1.2.3"])
@pytest.mark.parametrize("stated", ["text/html", "image/svg+xml", "application/xhtml+xml", "text/xml", ""])
@pytest.mark.parametrize("head", [b"<html>", b"<?xml version='1.0'?><html xmlns='http://www.w3.org/1999/xhtml'>", b"x"])
def test_nothing_but_a_pdf_is_inline_and_no_page_is_sandboxed_less_A27(
    sop_class: str, stated: str, head: bytes
) -> None:
    form = document_form(sop_class, stated, head)
    assert form.media_type in ("text/xml", "application/octet-stream", "model/obj", "model/mtl")
    assert form.disposition.startswith("attachment;")
    assert form.csp.startswith("sandbox;")


@pytest.mark.parametrize("text", HOSTILE)
def test_the_page_about_a_document_is_harmless_A27(text: str) -> None:
    attributes = {
        "00420010": value("ST", text),
        "00420011": {"vr": "OB", "InlineBinary": ""},
        "00420012": value("LO", text),
        "0040A043": code(text),
    }
    page = Page(b"".join(render_document_html(attributes, url="/b?x=1").content))
    assert page.links == ["/b?x=1"]
    assert page.text.count(text) == 3
