"""Hostile parameters and objects behind rendered resources, end to end (A26, A27, A28): never 5xx, nothing runs."""

from __future__ import annotations

import io
import time
import tracemalloc
from typing import Any

import pydicom
import pytest
from PIL import Image
from pydicom.dataset import Dataset

from tests.clients import Answer, Client
from tests.made import made, path, uid
from tests.rendering.report_objects import Page

SIZE = {"Rows": 4, "Columns": 8}
RAMP = bytes(range(0, 256, 8))
IMAGE = path(1, 1, 1)
SR_CLASS = "1.2.840.10008.5.1.4.1.1.88.33"
STATE_CLASS = "1.2.840.10008.5.1.4.1.1.11.1"
SEGMENTATION_CLASS = "1.2.840.10008.5.1.4.1.1.66.4"
PDF, CDA, STL = (f"1.2.840.10008.5.1.4.1.1.104.{number}" for number in (1, 2, 3))
BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8"

SCRIPT = "<script>alert(1)</script>"
TEXTS = [
    SCRIPT,
    '"><img src=x onerror=alert(1)>',
    "</style></title></dd><iframe srcdoc=x>",
    "javascript:alert(1)",
    "<!--",
    "]]><x:script xmlns:x='http://www.w3.org/1999/xhtml'>alert(1)</x:script>",
]

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:pydicom")


def ramp(**values: Any) -> bytes:
    return made(1, 1, 1, frames=[RAMP], **SIZE | values)


def check_picture(answer: Answer, size: tuple[int, int] | None = (8, 4)) -> None:
    assert answer.status == 200, answer.content
    with Image.open(io.BytesIO(answer.content)) as image:
        image.load()
        assert size is None or image.size == size


def check_refusal(answer: Answer, status: int, *forbidden: str) -> None:
    """Said why, without what was sent."""
    assert answer.status == status
    assert len(answer.json["detail"]) < 500
    assert not any(text in answer.json["detail"] for text in forbidden)


# -- A26: parameters ---------------------------------------------------------------------------------------------------

REFUSED = {
    "window": [
        "", ",,", "40", "40,400", "40,400,", "40,400,cubic", "40,400,LINEAR", "40,0,linear", "40,0,linear-exact",
        "40,-1,sigmoid", "nan,400,linear", "40,nan,linear", "inf,1,linear", "1e999,1,sigmoid", "40,1e-400,linear",
        "40,400,linear,1", "0x10,1,linear", "４０,400,linear", "9" * 50_000 + ",1,linear", "%00,1,linear", "%FF",
    ],
    "viewport": [
        "", ",", "8", "0,8", "8,0", "-1,8", "8,-8", "1.5,8", "1e2,8", "1000000000,1000000000", "8,8,", "8,8,0,0,",
        "8,8,8,0", "8,8,100,100,1,1", "8,8,0,0,0,1", "8,8,nan", "8,8,inf,0,1,1", "8,8,0,0,1,1,1", "8,8,a,b,c,d",
        "%D9%A8,8", "9" * 5_000 + ",8", "65536,65536",
    ],
    "quality": ["", "0", "101", "-1", "abc", "1.5", "1e1", "%B2", "99999999999999999999", "1,2"],
    "iccprofile": ["", "unknown", "SRGB", "yes,no", "../srgb", "%00"],
    "annotation": ["", ",", "patient,", "a" * 50_000, "a," * 25_000 + "a", "%3Cscript%3E", "%0D%0AX:%20y"],
}  # fmt: skip
"""Parameter -> values that are refused (8.3.5.1)."""

SHOWN = [
    ("window=0,1e308,linear", (8, 4)),
    ("window=-1e308,1e308,linear-exact", (8, 4)),
    ("window=1e308,1e308,sigmoid", (8, 4)),
    ("window=0,1e-300,sigmoid", (8, 4)),
    ("window=127.5,1,linear", (8, 4)),
    ("viewport=1,1", (1, 1)),
    ("viewport=1000000000,4", (8, 4)),
    ("viewport=8,4,0,0,-8,-4", (8, 4)),
    ("viewport=8,8,-4,-2", (8, 4)),
    ("viewport=8,8,7.999999,3.999999", (8, 8)),
    ("viewport=8,8,0,0,1e15,1e15", (8, 4)),
    ("viewport=3,3,0,0,0.001,0.001", (3, 3)),
    ("quality=1", (8, 4)),
    ("annotation=" + ",".join(f"x{number}" for number in range(60)), (8, 4)),
    ("window&viewpoint=&=&&&unknown=" + "x" * 50_000, None),
]


@pytest.fixture
def image(memory_client: Client) -> Client:
    assert memory_client.store(ramp()).status == 200
    return memory_client


@pytest.mark.parametrize("name", REFUSED)
@pytest.mark.parametrize("target", [IMAGE, IMAGE + "/frames/1", path(1, 1), path(1)])
def test_ill_formed_parameters_are_refused_at_every_level_A26(image: Client, name: str, target: str) -> None:
    for value in REFUSED[name]:
        began = time.process_time()
        answer = image.get(f"{target}/rendered?{name}={value}")
        assert time.process_time() - began < 0.5
        check_refusal(answer, 400, *([value] if len(value) > 6 else []))
        assert name in answer.json["detail"]
        assert "X" not in {header for header, _value in answer.headers}


@pytest.mark.parametrize("name", ["annotation", "unknown"])
def test_a_list_of_a_megabyte_is_not_looked_at_A26(image: Client, name: str) -> None:
    check_refusal(image.get(f"{IMAGE}/rendered?{name}=" + "a," * 500_000), 414)


@pytest.mark.parametrize(("query", "size"), SHOWN, ids=[query[:40] for query, _ in SHOWN])
def test_extreme_parameters_still_give_a_picture_A26(image: Client, query: str, size: tuple[int, int] | None) -> None:
    answer = image.get(f"{IMAGE}/rendered?{query}")
    if size is None:
        check_refusal(answer, 400)  # a window without a value is one that is ill-formed
    else:
        check_picture(answer, size)


def test_an_enormous_viewport_allocates_nothing_A26(image: Client) -> None:
    image.get(f"{IMAGE}/rendered")
    tracemalloc.start()
    for viewport in ("65535,65535", "1000000000,1000000000", "2147483647,2147483647,0,0,1,1"):
        check_refusal(image.get(f"{IMAGE}/rendered?viewport={viewport}"), 400)
        assert image.get(f"{IMAGE}/thumbnail?viewport={viewport}").status in (200, 400)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 16 << 20


def lut(descriptor: list[int], data: bytes) -> Dataset:
    item = Dataset()
    item.add_new(0x00283002, "US", descriptor)
    item.add_new(0x00283006, "OW", data)
    return item


OBJECTS: dict[str, dict[str, Any]] = {
    "rescale slope 0": {"RescaleSlope": "0", "RescaleIntercept": "5"},
    "rescale 1e308": {"RescaleSlope": "1e308", "RescaleIntercept": "-1e308"},
    "rescale type LUT and no slope": {"RescaleIntercept": "1e30", "RescaleType": "HU"},
    "window width 0": {"WindowCenter": "0", "WindowWidth": "0"},
    "window width negative": {"WindowCenter": "0", "WindowWidth": "-5"},
    "more centers than widths": {"WindowCenter": ["1", "2", "3"], "WindowWidth": "1e-30"},
    "VOI LUT of no data": {"VOILUTSequence": [lut([256, 0, 8], b"")]},
    "VOI LUT of 0 entries": {"VOILUTSequence": [lut([0, 0, 16], b"\0\0")]},
    "VOI LUT of 65,536 entries": {"VOILUTSequence": [lut([0, 0, 16], bytes(131_072))]},
    "VOI LUT of 2^24 bytes": {"VOILUTSequence": [lut([65_535, 65_535, 16], bytes(1 << 24))]},
    "VOI LUT of 255 bits": {"VOILUTSequence": [lut([4, 0, 255], bytes(8))]},
    "VOI LUT item empty": {"VOILUTSequence": [Dataset()]},
    "VOI LUT descriptor of one": {"VOILUTSequence": [lut([4], bytes(8))]},
    "modality LUT of no data": {"ModalityLUTSequence": [lut([256, 0, 16], b"")], "RescaleSlope": "2"},
    "modality LUT begins at the end": {"ModalityLUTSequence": [lut([2, 65_535, 16], bytes(4))]},
    "modality LUT empty": {"ModalityLUTSequence": []},
    "presentation LUT shape": {"PresentationLUTShape": "<script>"},
    "padding beyond all values": {"PixelPaddingValue": 65_535, "PixelPaddingRangeLimit": 0},
    "all is padding": {"PixelPaddingValue": 0, "PixelPaddingRangeLimit": 255},
    "aspect 0": {"PixelAspectRatio": ["0", "0"]},
    "aspect enormous": {"PixelAspectRatio": ["1", "2147483647"]},
    "spacing 0": {"PixelSpacing": ["0", "1e-300"]},
    "spacing enormous": {"PixelSpacing": ["1e300", "1e-300"]},
    "frame time": {"FrameTime": "1e308"},
    "profile": {"ICCProfile": b"x" * 200},
    "pixel presentation": {"PixelPresentation": "COLOR"},
    "a name without end": {"PatientName": "^" * 60 + "\u202e", "PatientID": "x" * 64},
}


@pytest.mark.parametrize("values", OBJECTS.values(), ids=OBJECTS)
def test_objects_that_cannot_be_meant_A26(memory_client: Client, values: dict[str, Any]) -> None:
    assert memory_client.store(ramp(**values)).status == 200
    for query in ("", "?window=100,50,sigmoid", "?annotation=patient,technique", "?iccprofile=adobergb"):
        check_picture(memory_client.get(f"{IMAGE}/rendered{query}", "image/png"))
    answer = memory_client.get(f"{IMAGE}/rendered?viewport=16,16", "image/png")
    assert answer.status == 200
    width, height = Image.open(io.BytesIO(answer.content)).size
    assert max(width, height) == 16
    assert memory_client.get(f"{IMAGE}/thumbnail").status == 200


# -- A27: documents ----------------------------------------------------------------------------------------------------


def coded(meaning: str) -> Dataset:
    code = Dataset()
    code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning = "1", "99T", meaning
    return code


def text_item(text: str, *, how: str = "CONTAINS") -> Dataset:
    item = Dataset()
    item.RelationshipType, item.ValueType, item.TextValue = how, "TEXT", text
    item.ConceptNameCodeSequence = [coded(text[:64])]
    return item


def by_reference(*identifier: int) -> Dataset:
    item = Dataset()
    item.RelationshipType = "INFERRED FROM"
    item.ReferencedContentItemIdentifier = list(identifier)
    return item


def referring(class_uid: str, instance_uid: str, value_type: str = "COMPOSITE") -> Dataset:
    item, reference = Dataset(), Dataset()
    reference.ReferencedSOPClassUID, reference.ReferencedSOPInstanceUID = class_uid, instance_uid
    item.RelationshipType, item.ValueType = "CONTAINS", value_type
    item.ReferencedSOPSequence = [reference]
    return item


def report(*items: Dataset, number: int = 1, **values: Any) -> bytes:
    fields = {
        "SOPClassUID": SR_CLASS, "Modality": "SR", "ValueType": "CONTAINER", "ContinuityOfContent": "SEPARATE",
        "ConceptNameCodeSequence": [coded("Report")], "ContentSequence": list(items),
        "SpecificCharacterSet": "ISO_IR 192",
    }  # fmt: skip
    return made(1, 1, number, **fields | values)


def document(sop_class: str, stated: str, content: bytes, title: str = "Title") -> bytes:
    return made(
        1, 1, 1, SOPClassUID=sop_class, MIMETypeOfEncapsulatedDocument=stated, DocumentTitle=title, Modality="DOC",
        EncapsulatedDocument=content + b"\0" * (len(content) % 2), EncapsulatedDocumentLength=len(content),
        SpecificCharacterSet="ISO_IR 192",
    )  # fmt: skip


def check_page(answer: Answer) -> Page:
    """A page of ours: no script can run in it, whatever is in it, and it is nothing else by its head."""
    assert answer.status == 200, answer.content
    assert answer.header("Content-Type") == "text/html; charset=utf-8"
    assert answer.header("X-Content-Type-Options") == "nosniff"
    policy = {part.split()[0]: part.split()[1:] for part in (answer.header("Content-Security-Policy") or "").split(";")}
    assert policy["default-src"] == ["'none'"]
    assert "script-src" not in policy
    assert policy["base-uri"] == policy["form-action"] == ["'none'"]
    assert "'unsafe-inline'" not in policy.get("style-src", [])
    return Page(answer.content)


@pytest.mark.parametrize("text", TEXTS)
def test_a_hostile_report_is_text_A27(memory_client: Client, text: str) -> None:
    hostile = report(
        text_item(text), ConceptNameCodeSequence=[coded(text[:64])], PatientName=text.replace("=", "")[:64],
        InstitutionName=text[:64], StudyDescription=text[:64],
    )  # fmt: skip
    assert memory_client.store(hostile).status == 200
    for accept in (None, "text/html", BROWSER):
        page = check_page(memory_client.get(IMAGE + "/rendered", accept))
        assert text in page.text
        assert not page.pictures
        assert all(link.startswith("#") for link in page.links)
    plain = memory_client.get(IMAGE + "/rendered", "text/plain")
    assert plain.header("Content-Type") == "text/plain; charset=utf-8"
    assert plain.header("X-Content-Type-Options") == "nosniff"
    xml = memory_client.get(IMAGE + "/rendered", "text/xml")
    assert xml.header("X-Content-Type-Options") == "nosniff"
    assert b"<script" not in xml.content
    assert b"<x:script" not in xml.content
    assert memory_client.get(IMAGE + "/thumbnail").header("Content-Type") == "image/jpeg"


PAGE = b"<!DOCTYPE html><html><script>alert(document.cookie)</script></html>"
SVG = b"<svg xmlns='http://www.w3.org/2000/svg' onload='alert(1)'/>"
ACTIVE_PDF = b"%PDF-1.7\n1 0 obj<</OpenAction<</S/JavaScript/JS(app.alert(1))>>>>endobj"
HTML_IN_XML = b"<?xml version='1.0'?><html xmlns='http://www.w3.org/1999/xhtml'><script>alert(1)</script></html>"
DOCUMENTS = [
    (PDF, "text/html", PAGE),
    (PDF, "application/pdf", PAGE),
    (PDF, "application/pdf", b"\n" + ACTIVE_PDF),
    (PDF, "text/html", ACTIVE_PDF),
    (PDF, "application/pdf", ACTIVE_PDF),
    (CDA, "text/html", PAGE),
    (CDA, "text/xml", HTML_IN_XML),
    (CDA, "image/svg+xml", SVG),
    (CDA, "text/xml", b"<?xml-stylesheet href='javascript:alert(1)'?><ClinicalDocument/>"),
    (STL, "model/stl", PAGE),
    (STL, "text/html", b"solid " + PAGE),
    ("2.999.1", "text/html", PAGE),
    ("2.999.1", "application/xhtml+xml", HTML_IN_XML),
    ("2.999.1", "image/svg+xml", SVG),
    ("2.999.1", "application/pdf", SVG),
    ("2.999.1", "text/html\r\nSet-Cookie: a=b", PAGE),
    ("2.999.1", "multipart/related", PAGE),
]
HARMLESS = {"application/octet-stream", "application/pdf", "text/xml", "model/stl"}


@pytest.mark.parametrize("padding", [0, 4_000], ids=["in the metadata", "behind a BulkDataURI"])
@pytest.mark.parametrize(("sop_class", "stated", "content"), DOCUMENTS)
def test_a_hostile_document_never_runs_here_A27(
    memory_client: Client, sop_class: str, stated: str, content: bytes, padding: int
) -> None:
    """As a page about it, as itself, as bulk data, in parts: never as a page, and to be kept unless it is a PDF."""
    content += b" " * padding
    hostile = document(sop_class, stated, content, SCRIPT)
    assert memory_client.store(hostile).status == 200
    page = check_page(memory_client.get(IMAGE + "/rendered", BROWSER))
    assert SCRIPT in page.text
    accepts = ["application/pdf", "text/xml", "model/stl", "application/octet-stream", "text/html", "*/*", stated]
    accepts += [f'multipart/related; type="{accept}"' for accept in accepts[:-1]]
    targets = ("/rendered", "/bulkdata/00420011", "/bulkdata", "/thumbnail")
    sent = 0
    for target in targets:
        for accept in accepts:
            if "\r" in accept:
                continue
            answer = memory_client.get(IMAGE + target, accept)
            assert answer.status in (200, 206, 400, 406)
            assert answer.header("X-Content-Type-Options") == "nosniff"
            assert answer.header("Set-Cookie") is None
            if answer.status == 200:
                sent += check_documents(answer, content)
    assert sent
    study = memory_client.get(path(1) + "/rendered")
    assert study.status == 200
    check_documents(study, content)


def check_documents(answer: Answer, hostile: bytes) -> bool:
    """Wherever the hostile bytes are, they are called something harmless. Whether they are there."""
    whole = answer.header("Content-Type") or ""
    if whole.startswith("multipart/"):
        types = [headers["content-type"].partition(";")[0] for headers, part in answer.parts if hostile in part]
        assert set(types) <= HARMLESS
        return bool(types)
    if hostile not in answer.content:
        return False
    essence = whole.partition(";")[0]
    assert essence in HARMLESS
    if essence == "application/pdf":
        return True
    if essence != "application/octet-stream":
        assert (answer.header("Content-Disposition") or "").startswith("attachment")
        assert "sandbox" in (answer.header("Content-Security-Policy") or "")
    return True


# -- A28: trees --------------------------------------------------------------------------------------------------------


def test_cycles_by_reference_end_A28(memory_client: Client) -> None:
    first, second = text_item("first"), text_item("second")
    first.ContentSequence = [by_reference(1, 2), by_reference(1, 1), by_reference(1, 1, 1), by_reference(1)]
    second.ContentSequence = [by_reference(1, 1), by_reference(1, 999), by_reference(0), by_reference(*range(500))]
    assert memory_client.store(report(first, second)).status == 200
    page = check_page(memory_client.get(IMAGE + "/rendered"))
    assert page.text.count("first") < 20
    assert memory_client.get(IMAGE + "/rendered", "text/plain").status == 200


def test_documents_that_refer_to_themselves_and_each_other_A28(memory_client: Client) -> None:
    one = report(referring(SR_CLASS, uid(1, 1, 1)), referring(SR_CLASS, uid(1, 1, 2)), number=1)
    other = report(referring(SR_CLASS, uid(1, 1, 1)), referring(SR_CLASS, uid(1, 1, 1), "IMAGE"), number=2)
    assert memory_client.store(one, other).status == 200
    for number in (1, 2):
        page = check_page(memory_client.get(path(1, 1, number) + "/rendered"))
        links = [link for link in page.links if not link.startswith("#")]
        assert links
        assert all(link.startswith(memory_client.base_url) for link in links)
    assert len(memory_client.get(path(1) + "/rendered").parts) == 2


@pytest.mark.parametrize("depth", [20, 60])
def test_deep_trees_are_shown_A28(memory_client: Client, depth: int) -> None:
    item = text_item("the end")
    for level in range(depth):
        outer = text_item(f"level {level}")
        outer.ContentSequence = [item]
        item = outer
    assert memory_client.store(report(item)).status == 200
    page = check_page(memory_client.get(IMAGE + "/rendered"))
    assert "the end" in page.text
    assert page.depth < 150


def test_a_wide_tree_of_references_is_no_bomb_A28(memory_client: Client) -> None:
    """Each item refers to the next: as text they would double with every level."""
    items = []
    for number in range(1, 400):
        item = text_item(f"item {number}")
        item.ContentSequence = [by_reference(1, number + 1), by_reference(1, number + 1)]
        items.append(item)
    assert memory_client.store(report(*items)).status == 200
    began = time.process_time()
    answer = memory_client.get(IMAGE + "/rendered")
    check_page(answer)
    assert time.process_time() - began < 3
    assert len(answer.content) < 1 << 20


def state(*references: tuple[str, str], series: str) -> bytes:
    shown = Dataset()
    shown.SeriesInstanceUID = series
    shown.ReferencedImageSequence = []
    for class_uid, instance_uid in references:
        image = Dataset()
        image.ReferencedSOPClassUID, image.ReferencedSOPInstanceUID = class_uid, instance_uid
        shown.ReferencedImageSequence.append(image)
    return made(1, 1, 1, SOPClassUID=STATE_CLASS, Modality="PR", ReferencedSeriesSequence=[shown])


def test_a_presentation_state_of_itself_A28(memory_client: Client) -> None:
    assert memory_client.store(state((STATE_CLASS, uid(1, 1, 1)), series=uid(1, 1))).status == 200
    for level in (IMAGE, path(1, 1), path(1)):
        check_refusal(memory_client.get(level + "/rendered"), 406)
        assert memory_client.get(level + "/thumbnail").status == 200


def test_a_segmentation_of_itself_A28(memory_client: Client) -> None:
    source, derivation, group = Dataset(), Dataset(), Dataset()
    source.ReferencedSOPClassUID, source.ReferencedSOPInstanceUID = SEGMENTATION_CLASS, uid(1, 1, 1)
    derivation.SourceImageSequence = [source]
    group.DerivationImageSequence = [derivation]
    series = Dataset()
    series.SeriesInstanceUID = uid(1, 1)
    series.ReferencedInstanceSequence = [source]
    segmentation = ramp(
        SOPClassUID=SEGMENTATION_CLASS, Modality="SEG", SegmentationType="FRACTIONAL", MaximumFractionalValue=255,
        PerFrameFunctionalGroupsSequence=[group], ReferencedSeriesSequence=[series], SegmentSequence=[Dataset()],
    )  # fmt: skip
    assert memory_client.store(segmentation).status == 200
    for target in ("/rendered", "/frames/1/rendered"):
        answer = memory_client.get(IMAGE + target)
        assert answer.status in (200, 406)
    assert memory_client.get(IMAGE + "/thumbnail").status == 200


def test_pydicom_wrote_what_was_meant() -> None:
    """The objects above are what they are said to be."""
    data = pydicom.dcmread(io.BytesIO(report(text_item(SCRIPT))))
    assert data.ContentSequence[0].TextValue == SCRIPT
    assert pydicom.dcmread(io.BytesIO(document(PDF, "text/html", PAGE))).EncapsulatedDocument.startswith(PAGE)
