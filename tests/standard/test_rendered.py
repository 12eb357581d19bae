"""Rendered resources (PS3.18 10.4.1.1.3, 8.3.5.1), end to end; Pillow reads the pictures."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pydicom
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageSequence

from dicomweb_core.errors import NotFound
from dicomweb_core.rendering.raster import rendered_types
from tests.clients import BASE, Answer, Client, file_bytes
from tests.made import made, path, uid

SIZE = {"Rows": 4, "Columns": 8}
RAMP = bytes(range(0, 256, 8))
OTHER = bytes(range(255, 0, -8))
VIDEO = made(1, 2, 1, syntax="1.2.840.10008.1.2.4.102", frames=[b"\0\0\0\x18ftypmp42", b"moov"])
SR_CLASS = "1.2.840.10008.5.1.4.1.1.88.11"
PDF_CLASS = "1.2.840.10008.5.1.4.1.1.104.1"


def ramp(number: int = 1, series: int = 1, frames: int = 1, **values: Any) -> bytes:
    """8 columns and 4 rows of a gray ramp; every second frame runs the other way."""
    return made(1, series, number, frames=[RAMP, OTHER] * (frames // 2) + [RAMP] * (frames % 2), **SIZE | values)


def report(number: int = 1, series: int = 3) -> bytes:
    code = pydicom.Dataset()
    code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning = "1", "99T", "Findings"
    item = pydicom.Dataset()
    item.RelationshipType, item.ValueType, item.TextValue = "CONTAINS", "TEXT", "<b>größer</b>"
    item.ConceptNameCodeSequence = [code]
    return made(
        1, series, number, SOPClassUID=SR_CLASS, Modality="SR", ValueType="CONTAINER", ContinuityOfContent="SEPARATE",
        ConceptNameCodeSequence=[code], ContentSequence=[item], SpecificCharacterSet="ISO_IR 192",
    )  # fmt: skip


def document() -> bytes:
    return made(
        1, 4, 1, SOPClassUID=PDF_CLASS, Modality="DOC", MIMETypeOfEncapsulatedDocument="application/pdf",
        EncapsulatedDocument=b"%PDF-1.4 tiny", EncapsulatedDocumentLength=13, DocumentTitle="A title",
    )  # fmt: skip


def picture(answer: Answer | bytes) -> NDArray[np.uint8]:
    content = answer if isinstance(answer, bytes) else answer.content
    image = Image.open(io.BytesIO(content))
    return np.asarray(image.convert("RGB") if image.mode == "P" else image)


@pytest.fixture
def client(memory_client: Client) -> Client:
    assert memory_client.store(ramp(1), ramp(2, frames=3), VIDEO, report(), document()).status == 200
    return memory_client


ONE, CINE = path(1, 1, 1), path(1, 1, 2)


@pytest.mark.parametrize(
    ("target", "accept", "kinds"),
    [
        pytest.param(path(1), None, ["image/jpeg"] * 4 + ["video/mp4", "text/html", "text/html"], id="study"),
        pytest.param(path(1, 1), 'multipart/related; type="image/png"', ["image/png"] * 4, id="series"),
        pytest.param(CINE, 'multipart/related; type="image/jpeg"', ["image/jpeg"] * 3, id="instance"),
        pytest.param(CINE + "/frames/3,1", None, ["image/jpeg"] * 2, id="frames"),
    ],
)
def test_parts_of_every_level_REN_01_MUL_06(client: Client, target: str, accept: str | None, kinds: list[str]) -> None:
    answer = client.get(target + "/rendered", accept)
    assert answer.status == 200
    parts = answer.parts
    assert [headers["content-type"].partition(";")[0] for headers, _ in parts] == kinds
    for headers, content in parts:
        location = headers["content-location"]
        assert "/rendered" not in location
        assert client.get(location, "*/*").status == 200
        if headers["content-type"].startswith("image/"):
            assert picture(content).shape == (4, 8)


def test_locations_of_parts_are_sources_MUL_06(client: Client) -> None:
    parts = client.get(path(1, 1) + "/rendered").parts
    places = [headers["content-location"].removeprefix(BASE) for headers, _ in parts]
    # Number of Frames is 1 in the first: a multi-frame object of one frame.
    assert places == [ONE + "/frames/1", *(f"{CINE}/frames/{number}" for number in (1, 2, 3))]


@pytest.mark.parametrize(
    ("target", "accept", "content_type"),
    [
        pytest.param(ONE, None, "image/jpeg", id="REN-02 nothing said"),
        pytest.param(ONE, "*/*", "image/jpeg", id="REN-02 anything"),
        pytest.param(ONE, "image/*", "image/jpeg", id="REN-02 any image"),
        pytest.param(ONE, "image/avif,image/webp,*/*;q=0.8", "image/webp", id="REN-02 an img of a browser"),
        pytest.param(ONE, "image/png", "image/png", id="REN-03 PNG"),
        pytest.param(ONE, "image/gif", "image/gif", id="REN-03 GIF"),
        pytest.param(ONE, "image/jp2", "image/jp2", id="REN-04 JP2"),
        pytest.param(ONE, "image/jph", "image/jph", id="REN-04 JPH"),
        pytest.param(ONE, "image/jxl", "image/jxl", id="REN-04 JXL"),
        pytest.param(CINE, None, "image/jpeg", id="REN-04 multi-frame: its representative"),
        pytest.param(CINE + "/frames/2", None, "image/jpeg", id="REN-01 a frame"),
        pytest.param(CINE, "video/mp4", "video/mp4", id="REN-04 frames as video"),
        pytest.param(CINE + "/frames/1,3", "video/*", "video/mp4", id="REN-04 some frames as video"),
        pytest.param(ONE, "video/mp4", None, id="REN-04 a single frame is no video"),
        pytest.param(CINE + "/frames/2", "video/mp4", None, id="REN-04 one of several is none"),
        pytest.param(CINE, 'multipart/related; type="video/mp4"', None, id="frames are no videos"),
        pytest.param(path(1, 2, 1), None, "video/mp4", id="REN-04 video"),
        pytest.param(path(1, 2, 1), "video/*", "video/mp4", id="REN-04 any video"),
        pytest.param(path(1, 3, 1), None, "text/html; charset=utf-8", id="REN-05 report"),
        pytest.param(path(1, 4, 1), None, "text/html; charset=utf-8", id="REN-05 document"),
        pytest.param(path(1, 3, 1), "text/plain", "text/plain; charset=utf-8", id="REN-06 report as text"),
        pytest.param(path(1, 3, 1), "text/xml", "text/xml", id="REN-06 report as XML"),
        pytest.param(path(1, 3, 1), "application/pdf", "application/pdf", id="REN-06 report as PDF"),
        pytest.param(path(1, 4, 1), "text/plain", "text/plain; charset=utf-8", id="REN-06 document as text"),
        pytest.param(path(1, 4, 1), "text/xml", "text/xml", id="REN-06 document as XML"),
        pytest.param(path(1, 4, 1), "application/pdf", "application/pdf", id="REN-06 PDF"),
        pytest.param(ONE, "image/jpeg; transfer-syntax=*", None, id="COM-27 transfer syntax"),
        pytest.param(path(1), "image/jpeg", None, id="REN-09 study"),
        pytest.param(path(1, 3), "text/html", None, id="REN-09 series of one"),
        pytest.param(CINE + "/frames/1,2", "image/jpeg", None, id="several frames as one JPEG"),
        pytest.param(path(1, 3, 1), "image/jpeg", None, id="a report as JPEG"),
    ],
)
def test_media_types(client: Client, target: str, accept: str | None, content_type: str | None) -> None:
    answer = client.get(target + "/rendered", accept)
    assert answer.status == (406 if content_type is None else 200)
    if content_type is None:
        assert b"image/png" in answer.content or b"text/plain" in answer.content
    else:
        assert answer.header("Content-Type") == content_type


def test_video_is_not_decoded(client: Client) -> None:
    answer = client.get(path(1, 2, 1) + "/rendered", "image/jpeg")
    assert answer.status == 406
    assert "video" in answer.json["detail"]
    whole = client.get(path(1, 2, 1) + "/rendered")
    assert whole.content == b"\0\0\0\x18ftypmp42moov"
    assert client.get(path(1, 2, 1) + "/rendered", None, Range="bytes=4-7").content == b"ftyp"


def test_texts_are_utf_8_whatever_is_asked_for_COM_28(client: Client) -> None:
    for accept in ("text/html", "text/plain"):
        answer = client.get(path(1, 3, 1) + "/rendered?charset=koi8-r", accept)
        assert answer.status == 200
        assert "größer" in answer.content.decode("utf-8")
    page = client.get(path(1, 3, 1) + "/rendered", "text/html")
    assert "default-src 'none'" in (page.header("Content-Security-Policy") or "")
    assert b"<b>" not in page.content


def test_a_page_leads_to_the_document(client: Client) -> None:
    page = client.get(path(1, 4, 1) + "/rendered").content.decode()
    url = page.split('href="')[1].split('"')[0]
    assert client.get(url, "text/html,*/*;q=0.8").content == b"%PDF-1.4 tiny"


def test_jpeg_is_baseline_of_8_bits_and_huffman_codes_REN_07(client: Client) -> None:
    for target in (ONE, CINE + "/frames/1"):
        content = client.get(target + "/rendered", "image/jpeg").content
        assert content.count(b"\xff\xc0") == 1
        frame = content.index(b"\xff\xc0")
        assert content[frame + 4] == 8
        assert content[frame + 9] == 1
        assert not any(bytes((0xFF, marker)) in content[: frame + 20] for marker in (0xC1, 0xC2, 0xC3, 0xC9))


def test_an_animation_shows_all_frames_REN_04(client: Client) -> None:
    image = Image.open(io.BytesIO(client.get(CINE + "/rendered", "image/gif").content))
    shown = [np.asarray(frame.convert("L")).tobytes() for frame in ImageSequence.Iterator(image)]
    assert shown == [RAMP, OTHER, RAMP]
    assert image.info["loop"] == 0
    assert image.info["duration"] == 100
    chosen = Image.open(io.BytesIO(client.get(CINE + "/frames/2,1/rendered", "image/gif").content))
    assert [np.asarray(frame.convert("L")).tobytes() for frame in ImageSequence.Iterator(chosen)] == [OTHER, RAMP]


@pytest.mark.parametrize(("values", "milliseconds"), [({"FrameTime": "40"}, 40), ({"CineRate": "5"}, 200)])
def test_an_animation_has_the_speed_of_the_object(
    memory_client: Client, values: dict[str, str], milliseconds: int
) -> None:
    memory_client.store(ramp(frames=2, **values))
    image = Image.open(io.BytesIO(memory_client.get(ONE + "/rendered", "image/gif").content))
    assert image.info["duration"] == milliseconds


def test_a_multi_frame_object_is_represented_by_its_middle(client: Client) -> None:
    middle = picture(client.get(CINE + "/rendered", "image/png"))
    assert middle.tobytes() == OTHER
    assert client.get(CINE + "/rendered").header("Content-Location") == f"{BASE}{CINE}/frames/2"


@pytest.mark.parametrize(
    "name",
    [
        "CT_small.dcm",  # MONOCHROME2
        "MR_small.dcm",
        "examples_palette.dcm",
        "examples_rgb_color.dcm",
        "examples_ybr_color.dcm",
        "SC_ybr_full_422_uncompressed.dcm",
        "US1_J2KR.dcm",  # YBR_RCT
        "liver_1frame.dcm",  # segmentation of 1 bit
    ],
)
def test_photometric_interpretations_REN_08(memory_client: Client, name: str) -> None:
    memory_client.store(file_bytes(name))
    (found,) = memory_client.get("/instances").json
    answer = memory_client.get(found["00081190"]["Value"][0] + "/rendered")
    assert answer.status == 200
    assert picture(answer).std() > 1


@pytest.mark.parametrize(
    "query",
    [
        pytest.param("annotation=", id="REN-11"),
        pytest.param("annotation=patient,", id="REN-11 a keyword is empty"),
        pytest.param("quality=0", id="REN-13"),
        pytest.param("quality=101", id="REN-13 more than 100"),
        pytest.param("quality=9.5", id="REN-13 no integer"),
        pytest.param("viewport=8", id="REN-20"),
        pytest.param("viewport=8,8,20,20", id="REN-20 outside"),
        pytest.param("viewport=0,8", id="REN-20 nothing"),
        pytest.param("viewport=1000000000,1000000000", id="REN-20 A26 huge"),
        pytest.param("window=40,400", id="REN-23"),
        pytest.param("window=40,400,cubic", id="REN-23 function"),
        pytest.param("window=x,400,linear", id="REN-23 no number"),
        pytest.param("window=40,nan,linear", id="REN-23 A26 NaN"),
        pytest.param("iccprofile=cmyk", id="REN-25 unknown"),
        pytest.param("bits=12", id="bits"),
    ],
)
def test_ill_formed_parameters(client: Client, query: str) -> None:
    answer = client.get(f"{ONE}/rendered?{query}")
    assert answer.status == 400
    assert query.partition("=")[0] in answer.json["detail"]


def test_annotations_are_drawn_upon_the_placed_picture_REN_10_REN_28(memory_client: Client) -> None:
    memory_client.store(ramp(PatientName="Doe^Jane", PatientID="7", StudyDescription="Chest"))
    plain = picture(memory_client.get(f"{ONE}/rendered?viewport=400,400", "image/png"))
    seen = {
        keyword: picture(memory_client.get(f"{ONE}/rendered?viewport=400,400&annotation={keyword}", "image/png"))
        for keyword in ("patient", "technique")
    }
    for annotated in seen.values():
        # The letters are those of the final picture, not enlarged with its 8 columns.
        assert annotated.shape == plain.shape == (200, 400)
        assert 20 < np.count_nonzero(annotated != plain) < plain.size / 4
    assert (seen["patient"] != seen["technique"]).any()


def test_unsupported_annotations_are_told_REN_12(client: Client) -> None:
    answer = client.get(f"{ONE}/rendered?annotation=patient,weather")
    assert answer.status == 200
    warning = answer.header("Warning") or ""
    assert warning.startswith(f"299 {BASE}: ")
    assert "weather" in warning
    assert "patient" not in warning


@pytest.mark.parametrize("media_type", ["image/jpeg", "image/jp2", "image/jxl", "image/webp", "image/avif"])
def test_quality_changes_what_loses_REN_14(memory_client: Client, media_type: str) -> None:
    memory_client.store(file_bytes("CT_small.dcm"))
    (found,) = memory_client.get("/instances").json
    url = found["00081190"]["Value"][0] + "/rendered"
    sizes = [len(memory_client.get(f"{url}?quality={quality}", media_type).content) for quality in (10, 50, 95)]
    assert sizes == sorted(set(sizes))


@pytest.mark.parametrize(
    ("viewport", "expected"),
    [
        pytest.param("16,16", np.repeat(np.repeat(np.frombuffer(RAMP, np.uint8).reshape(4, 8), 2, 0), 2, 1).shape,
                     id="REN-15 up"),
        pytest.param("4,4", (2, 4), id="REN-15 down"),
        pytest.param("4,4,0,0,4,4", (4, 4), id="REN-16 crop"),
        pytest.param("8,4,,,,-4", (4, 8), id="REN-18 elided"),
    ],
)  # fmt: skip
def test_viewports(client: Client, viewport: str, expected: tuple[int, int]) -> None:
    assert picture(client.get(f"{ONE}/rendered?viewport={viewport}", "image/png")).shape == expected


def test_crops_and_mirrors_are_exact_REN_16_REN_17_REN_19(client: Client) -> None:
    source = np.frombuffer(RAMP, np.uint8).reshape(4, 8)
    seen = {
        query: picture(client.get(f"{ONE}/rendered?{query}", "image/png"))
        for query in ("", "viewport=4,2,2,1,4,2", "viewport=8,4,,,-8", "viewport=8,4,,,8,-4")
    }
    for found, expected in zip(seen.values(), (source, source[1:3, 2:6], source[:, ::-1], source[::-1]), strict=True):
        assert np.array_equal(found, expected)


@pytest.mark.parametrize("function", ["linear", "linear-exact", "sigmoid"])
def test_windows_are_applied_REN_22(client: Client, function: str) -> None:
    found = picture(client.get(f"{ONE}/rendered?window=128,64,{function}", "image/png")).astype(float)
    x = np.frombuffer(RAMP, np.uint8).reshape(4, 8).astype(float)
    expected = {
        "linear": np.clip((x - 127.5) / 63 + 0.5, 0, 1) * 255,
        "linear-exact": np.clip((x - 128) / 64 + 0.5, 0, 1) * 255,
        "sigmoid": 255 / (1 + np.exp(-4 * (x - 128) / 64)),
    }[function]
    assert np.abs(found - expected).max() <= 0.5 + 1e-9


@pytest.mark.parametrize("space", ["no", "yes", "srgb", "adobergb", "rommrgb"])
@pytest.mark.parametrize("media_type", ["image/jpeg", "image/png"])
def test_profiles_are_embedded_REN_25(client: Client, space: str, media_type: str) -> None:
    answer = client.get(f"{ONE}/rendered?iccprofile={space}", media_type)
    assert answer.status == 200
    assert bool(Image.open(io.BytesIO(answer.content)).info.get("icc_profile")) is (space != "no")


@pytest.mark.parametrize(("space", "status"), [("yes", 400), ("srgb", 400), ("no", 200)])
@pytest.mark.parametrize("media_type", ["image/gif", "image/jxl"])
def test_a_profile_where_none_can_be_REN_26(client: Client, space: str, status: int, media_type: str) -> None:
    assert client.get(f"{ONE}/rendered?iccprofile={space}", media_type).status == status


def test_the_grayscale_pipeline_has_its_order_REN_31(memory_client: Client) -> None:
    # 2x + 10, then the window of the object (0 to 255 in exact steps), then MONOCHROME1.
    memory_client.store(
        ramp(
            PhotometricInterpretation="MONOCHROME1", RescaleSlope="2", RescaleIntercept="10", RescaleType="US",
            WindowCenter="127.5", WindowWidth="255", VOILUTFunction="LINEAR_EXACT",
        )
    )  # fmt: skip
    found = picture(memory_client.get(f"{ONE}/rendered", "image/png"))
    x = np.frombuffer(RAMP, np.uint8).reshape(4, 8).astype(int)
    assert np.array_equal(found, 255 - np.clip(2 * x + 10, 0, 255))


@pytest.mark.parametrize("function", ["linear-exact", "sigmoid"])
def test_a_window_next_to_nothing_is_a_threshold_A26(client: Client, function: str) -> None:
    found = picture(client.get(f"{ONE}/rendered?window=128,5e-324,{function}", "image/png"))
    x = np.frombuffer(RAMP, np.uint8).reshape(4, 8)
    assert np.array_equal(found, np.where(x == 128, 128, np.where(x > 128, 255, 0)))


def test_gray_levels_of_16_bits_where_there_are_as_many(memory_client: Client) -> None:
    memory_client.store(file_bytes("CT_small.dcm"))
    (found,) = memory_client.get("/instances").json
    url = found["00081190"]["Value"][0] + "/rendered?bits=16"
    deep = picture(memory_client.get(url, "image/png"))
    assert deep.dtype == np.uint16
    assert len(np.unique(deep)) > 256
    assert picture(memory_client.get(url, "image/jpeg")).dtype == np.uint8


@pytest.mark.parametrize(
    ("target", "query", "status"),
    [
        (path(1, 1, 9), "", 404),
        (CINE + "/frames/4", "", 404),
        (CINE + "/frames/0", "", 400),
        (path(1, 3, 1) + "/frames/1", "", 404),
        (path(1, 5, 1), "", 404),
    ],
)
@pytest.mark.parametrize("resource", ["rendered", "thumbnail"])
def test_what_is_not_there(client: Client, target: str, query: str, status: int, resource: str) -> None:
    assert client.get(f"{target}/{resource}?{query}").status == status


def test_what_cannot_be_rendered_is_counted(client: Client) -> None:
    client.store(ramp(3, PhotometricInterpretation="HSV"), made(1, 1, 4, Modality="CT"))
    answer = client.get(path(1, 1) + "/rendered", 'multipart/related; type="image/jpeg"')
    assert len(answer.parts) == 4
    assert "2 of 6" in (answer.header("Warning") or "")
    assert answer.header("ETag") is None
    for number in (3, 4):
        refused = client.get(path(1, 1, number) + "/rendered")
        assert refused.status == 406
        assert len(refused.json["detail"]) > 30


def test_the_same_picture_again_is_not_made_again(client: Client) -> None:
    first = client.get(ONE + "/rendered")
    again = client.get(ONE + "/rendered", None, If_None_Match=first.header("ETag") or "")
    assert again.status == 304
    cache = client.server.site.picture_cache
    before = len(cache._kept)
    assert client.get(ONE + "/rendered").content == first.content
    assert len(cache._kept) == before
    client.store(ramp(8))
    changed = client.get(ONE + "/rendered", None, If_None_Match=first.header("ETag") or "")
    assert changed.content == first.content


def test_a_library_that_fails_is_a_refusal(client: Client, caplog: pytest.LogCaptureFixture) -> None:
    """Whatever numpy thinks of an object: no 500, and somebody can read why."""
    client.store(ramp(7, PixelAspectRatio=["1", "1"]))
    shown = client.server.site.attributes_cache
    assert client.get(path(1, 1, 7) + "/rendered", "image/png").status == 200
    key = next(key for key in shown._kept if key[0].instance == uid(1, 1, 7))
    shown._kept[key].attributes["00282000"] = 7  # type: ignore[assignment]  # no attribute is a number
    shown._kept[key].attributes["00281050"] = 7  # type: ignore[assignment]
    answer = client.get(path(1, 1, 7) + "/rendered?quality=30", "image/jpeg")
    assert answer.status == 406
    assert "could not be rendered" in caplog.text


def test_every_type_that_is_described_is_made(client: Client) -> None:
    assert rendered_types()[0] == "image/jpeg"
    for media_type in rendered_types():
        answer = client.get(ONE + "/rendered", media_type)
        assert (answer.status, answer.header("Content-Type")) == (200, media_type)


def test_python_calls_give_arrays(memory_client: Client) -> None:
    server = memory_client.server
    memory_client.store(file_bytes("CT_small.dcm"), ramp(2, frames=2))
    dataset = pydicom.dcmread(io.BytesIO(file_bytes("CT_small.dcm")))
    uids = (str(dataset.StudyInstanceUID), str(dataset.SeriesInstanceUID), str(dataset.SOPInstanceUID))
    assert np.array_equal(server.pixels(*uids), dataset.pixel_array)
    units = server.pixels(*uids, rescale=True)
    assert np.array_equal(units, dataset.pixel_array * dataset.RescaleSlope + dataset.RescaleIntercept)
    answer = memory_client.get(f"{path_of(uids)}/rendered?window=40,400,linear&viewport=64,64", "image/png")
    assert np.array_equal(server.render(*uids, window="40,400,linear", viewport="64,64"), picture(answer))
    assert server.render(*uids, bits=16).dtype == np.uint16
    second = (uid(1), uid(1, 1), uid(1, 1, 2))
    assert server.render(*second, 2).tobytes() == OTHER
    assert server.pixels(*second, 2).tobytes() == OTHER
    for frame in (0, 3):
        with pytest.raises(NotFound):
            server.render(*second, frame)
        with pytest.raises(NotFound):
            server.pixels(*second, frame)


def path_of(uids: tuple[str, str, str]) -> str:
    return "/studies/{}/series/{}/instances/{}".format(*uids)
