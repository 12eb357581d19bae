"""Encapsulated documents (PS3.3 A.45): their type, and the pages about them."""

from __future__ import annotations

import pytest

from dicomweb_core.errors import CannotRender
from dicomweb_core.rendering.reports.encapsulated import (
    document_form,
    render_document_html,
    render_document_text,
)
from tests.rendering.report_objects import Page, code, report, value

PDF, CDA, STL, OBJ, MTL = (f"1.2.840.10008.5.1.4.1.1.104.{number}" for number in range(1, 6))
PRIVATE = "1.2.3"

FORMS = [
    (PDF, "application/pdf", b"%PDF-1.7\n", "application/pdf", "inline"),
    (PDF, "", b"%PDF-1.4", "application/pdf", "inline"),
    (CDA, "text/XML", b'<?xml version="1.0"?><ClinicalDocument/>', "text/xml", "attachment"),
    (CDA, "text/xml", b"\xef\xbb\xbf<ClinicalDocument/>", "text/xml", "attachment"),
    (CDA, "text/xml", b"\xff\xfe" + "<?xml?>".encode("utf-16-le"), "text/xml", "attachment"),
    (STL, "model/stl", bytes(80) + b"\1\0\0\0" + bytes(50), "model/stl", "attachment"),
    (STL, "model/stl", b"solid part\nfacet normal 0 0 1", "model/stl", "attachment"),
    (OBJ, "model/obj", b"# cube\nv 0 0 0\n", "model/obj", "attachment"),
    (MTL, "model/mtl", b"newmtl red\nKd 1 0 0\n", "model/mtl", "attachment"),
    (PRIVATE, "application/pdf; x=1", b"%PDF-2.0", "application/pdf", "inline"),
    (PRIVATE, "model/stl", b"solid x", "model/stl", "attachment"),
]


@pytest.mark.parametrize(("sop_class", "stated", "head", "media_type", "disposition"), FORMS)
def test_documents_have_the_type_of_their_class_and_content_REN_05(
    sop_class: str, stated: str, head: bytes, media_type: str, disposition: str
) -> None:
    form = document_form(sop_class, stated, head)
    assert form.media_type == media_type
    assert form.disposition.partition(";")[0] == disposition
    assert bool(form.csp) == (disposition == "attachment")


def test_a_page_says_what_the_document_is_and_where_REN_05_REN_06() -> None:
    attributes = {
        **report(),
        "00100010": value("PN", {"Alphabetic": "Doe^Jane"}),
        "00420010": value("ST", "Discharge letter of Jane Doe"),
        "00420011": {"vr": "OB", "BulkDataURI": "x"},
        "00420012": value("LO", "application/pdf"),
        "0040A043": code("Discharge summary"),
    }
    document = render_document_html(attributes, url="/bulkdata/00420011?a=1&b=2")
    content = b"".join(document.content)
    page = Page(content)
    assert page.links == ["/bulkdata/00420011?a=1&b=2"]
    assert "Title Discharge letter of Jane Doe" in page.text
    assert "Media type application/pdf" in page.text
    assert b"<title>Discharge summary</title>" in content
    text = b"".join(render_document_text(attributes, url="/x").content).decode()
    assert "  Title: Discharge letter of Jane Doe\n" in text
    assert text.endswith("The document: /x\n")


def test_what_contains_no_document_is_refused() -> None:
    for render in (render_document_html, render_document_text):
        with pytest.raises(CannotRender, match="no encapsulated document"):
            render(report(), url="/x")
