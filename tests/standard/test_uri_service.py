"""The URI Service (PS3.18 chapter 9), over both backends."""

from __future__ import annotations

import io
from functools import cache
from itertools import permutations
from urllib.parse import quote

import pydicom
import pytest

from dicomweb_core import Access, OriginServer
from dicomweb_core.rules.uri_parameters import RULES
from dicomweb_core.values.resources import InstanceRef
from tests.clients import BASE, Client
from tests.made import made, path, uid
from tests.standard.test_rendered import picture, ramp, report

ELE = "1.2.840.10008.1.2.1"
IMPLICIT = "1.2.840.10008.1.2"
JPEG = "1.2.840.10008.1.2.4.50"
DICOM = "application/dicom"
FRAMES = (b"abcd", b"zyxw")

PLAIN, MULTI_FRAME, LOSSY, ONE_OF_MANY, DOCUMENT, REPORT = 1, 2, 3, 4, 5, 6
"""Numbers of the instances of the only series."""


def query(number: int = MULTI_FRAME, **parameters: str) -> str:
    given = {"requestType": "WADO", "studyUID": uid(1), "seriesUID": uid(1, 1), "objectUID": uid(1, 1, number)}
    return "&".join(f"{name}={value}" for name, value in (given | parameters).items())


@cache
def files() -> tuple[bytes, ...]:
    single = pydicom.dcmread(io.BytesIO(made(number=PLAIN, frames=FRAMES[:1])))
    del single.NumberOfFrames
    buffer = io.BytesIO()
    single.save_as(buffer)
    return (
        buffer.getvalue(),
        made(number=MULTI_FRAME, frames=FRAMES, syntax=IMPLICIT),
        made(number=LOSSY, frames=[b"\xff\xd8\xff\xd9"], syntax=JPEG),
        made(number=ONE_OF_MANY, frames=FRAMES[:1]),
        made(number=DOCUMENT),
        report(REPORT, 1),
    )


@pytest.fixture
def archive(client: Client) -> Client:
    assert client.store(*files()).status == 200
    return client


@pytest.mark.parametrize("root", ["/", "/wado", "/wado/"])
@pytest.mark.parametrize(
    ("content_type", "accept"),
    [
        pytest.param(DICOM, None, id="URI-06 contentType"),
        pytest.param(DICOM, "*/*", id="URI-06 contentType, anything accepted"),
        pytest.param("application%2Fdicom", "image/avif,image/webp,*/*;q=0.8", id="URI-06 escaped, in an img"),
        pytest.param(None, DICOM, id="URI-06 Accept"),
        pytest.param(None, f"{DICOM}; transfer-syntax=1.2.3", id="URI-10 parameters of accepted types do not count"),
        pytest.param(None, f"{DICOM}, */*;q=0.1", id="URI-06 Accept, other things less"),
    ],
)
def test_an_instance_as_a_single_part(archive: Client, root: str, content_type: str | None, accept: str | None) -> None:
    parameters = {"contentType": content_type} if content_type else {}
    answer = archive.get(f"{root}?{query(ONE_OF_MANY, **parameters)}", accept)
    assert answer.status == 200
    assert answer.header("Content-Type") == DICOM
    assert answer.header("Content-Location") == BASE + path(1, 1, ONE_OF_MANY)
    assert answer.content == made(number=ONE_OF_MANY, frames=FRAMES[:1])


JPEG_TYPE, PNG, HTML, TEXT = "image/jpeg", "image/png", "text/html; charset=utf-8", "text/plain; charset=utf-8"


@pytest.mark.parametrize(
    ("number", "content_type", "accept", "expected"),
    [
        pytest.param(PLAIN, None, None, JPEG_TYPE, id="URI-05 nothing said"),
        pytest.param(PLAIN, None, "*/*", JPEG_TYPE, id="URI-05 anything accepted"),
        pytest.param(PLAIN, None, f"{DICOM};q=0.5, image/jpeg", JPEG_TYPE, id="rendered preferred"),
        pytest.param(PLAIN, None, "text/html,application/xhtml+xml,*/*;q=0.8", JPEG_TYPE, id="URI-05 a browser"),
        pytest.param(PLAIN, "image/jpeg", "*/*", JPEG_TYPE, id="URI-22 JPEG"),
        pytest.param(PLAIN, "image/png,+image/jpeg;q=0.5", None, PNG, id="list"),
        pytest.param(PLAIN, "image/jpeg;q=0.5,image/png", None, PNG, id="list by quality"),
        pytest.param(PLAIN, "image/tiff,image/png", None, PNG, id="the first that there is"),
        pytest.param(PLAIN, "image/png,image/jpeg", "image/jpeg", JPEG_TYPE, id="the first that is accepted"),
        pytest.param(MULTI_FRAME, None, None, JPEG_TYPE, id="multi-frame: its representative"),
        pytest.param(MULTI_FRAME, "image/gif", None, "image/gif", id="multi-frame: an animation"),
        pytest.param(REPORT, None, None, HTML, id="URI-22 a report"),
        pytest.param(REPORT, "text/plain", None, TEXT, id="URI-22 a report as text"),
        pytest.param(PLAIN, "image/jpeg", DICOM, None, id="contradiction"),
        pytest.param(PLAIN, "image/tiff", "*/*", None, id="no such type"),
        pytest.param(PLAIN, "text/html", None, None, id="no report"),
        pytest.param(PLAIN, "application/dicom%2Bjson", None, None, id="no metadata here (8.7.3.2)"),
        pytest.param(PLAIN, DICOM, "image/jpeg", None, id="DICOM not accepted"),
        pytest.param(PLAIN, DICOM, f"{DICOM};q=0, */*", None, id="DICOM excluded"),
        pytest.param(PLAIN, None, 'multipart/related; type="image/jpeg"', None, id="never multipart"),
        pytest.param(DOCUMENT, None, None, None, id="nothing to see"),
    ],
)
def test_rendered_as_a_single_part(
    archive: Client, number: int, content_type: str | None, accept: str | None, expected: str | None
) -> None:
    parameters = {"contentType": content_type} if content_type else {}
    answer = archive.get("/wado?" + query(number, **parameters), accept)
    assert answer.status == (200 if expected else 406)
    if expected:
        assert answer.header("Content-Type") == expected
        assert (answer.header("Content-Location") or "").startswith(BASE + path(1, 1, number))
    else:
        assert len(answer.json["detail"]) > 20


def test_a_frame_is_selected_URI_13(archive: Client) -> None:
    frames = [archive.get("/wado?" + query(contentType=PNG, frameNumber=str(number))) for number in (1, 2)]
    same = [archive.get(f"{path(1, 1, MULTI_FRAME)}/frames/{number}/rendered", PNG) for number in (1, 2)]
    assert [frame.content for frame in frames] == [frame.content for frame in same]
    assert frames[0].content != frames[1].content


@pytest.mark.parametrize(
    ("parameters", "shape"),
    [
        pytest.param({"rows": "32"}, (32, 64), id="URI-15 rows alone"),
        pytest.param({"columns": "32"}, (16, 32), id="URI-15 columns alone"),
        pytest.param({"rows": "4", "columns": "64"}, (4, 8), id="URI-15 both"),
        pytest.param({"region": "0.25,0,0.75,0.5"}, (2, 4), id="URI-16 region"),
        pytest.param({"region": "0.5,0,1,1", "rows": "8"}, (8, 8), id="REN-27 URI-16 region, then size"),
    ],
)
def test_sizes_and_regions(memory_client: Client, parameters: dict[str, str], shape: tuple[int, int]) -> None:
    memory_client.store(ramp())
    answer = memory_client.get("/wado?" + query(1, contentType=PNG, **parameters))
    assert picture(answer).shape == shape


def test_a_window_and_warnings(memory_client: Client) -> None:
    memory_client.store(ramp())
    answer = memory_client.get("/wado?" + query(1, contentType=PNG, windowCenter="100", windowWidth="1"))
    assert set(picture(answer).reshape(-1).tolist()) == {0, 255}
    answer = memory_client.get("/wado?" + query(1, annotation="weather"))
    assert "weather" in (answer.header("Warning") or "")


@pytest.mark.parametrize(
    ("change", "status"),
    [
        pytest.param({"requestType": ""}, 400, id="URI-01 empty"),
        pytest.param({"requestType": "wado"}, 400, id="URI-01 other case"),
        pytest.param({"requestType": "QIDO"}, 400, id="URI-01 other"),
        pytest.param({"studyUID": ""}, 400, id="URI-02 studyUID empty"),
        pytest.param({"seriesUID": "1..2"}, 400, id="URI-02 seriesUID is none"),
        pytest.param({"objectUID": f"{uid(1)},{uid(2)}"}, 400, id="URI-02 two in objectUID"),
        pytest.param({"objectUID": uid(9, 9, 9)}, 404, id="URI-03 unknown instance"),
        pytest.param({"seriesUID": uid(9)}, 404, id="URI-03 of another series"),
        pytest.param({"studyUID": uid(9)}, 404, id="URI-03 of another study"),
    ],
)
@pytest.mark.parametrize("content_type", [DICOM, "image/jpeg"])
def test_the_target(archive: Client, change: dict[str, str], status: int, content_type: str) -> None:
    assert archive.get("/wado?" + query(contentType=content_type, **change)).status == status


@pytest.mark.parametrize("missing", ["requestType", "studyUID", "seriesUID", "objectUID"])
def test_required_parameters_URI_01_URI_02(archive: Client, missing: str) -> None:
    pairs = query(contentType=DICOM).split("&")
    answer = archive.get("/wado?" + "&".join(pair for pair in pairs if not pair.startswith(missing)))
    assert answer.status == 400
    assert missing in answer.json["detail"]


@pytest.mark.parametrize("name", [rule.name for rule in RULES])
def test_no_parameter_is_given_twice(archive: Client, name: str) -> None:
    value = {"requestType": "WADO", "contentType": DICOM}.get(name, "1")
    pairs = query(contentType=DICOM) + f"&{name}={value}&{name.upper()}={value}"
    answer = archive.get("/wado?" + pairs)
    assert answer.status == 400
    assert "more than once" in answer.json["detail"]


def test_a_deleted_instance_is_gone_URI_03(archive: Client) -> None:
    assert archive.request("DELETE", path(1, 1, MULTI_FRAME)).status == 204
    for content_type in (DICOM, "image/jpeg"):
        assert archive.get("/wado?" + query(contentType=content_type)).status == 410


def test_parameters_in_any_order_URI_04(archive: Client) -> None:
    pairs = query(ONE_OF_MANY, contentType=DICOM).split("&")
    for order in permutations(pairs):
        assert archive.get("/?" + "&".join(order)).status == 200


@pytest.mark.parametrize(
    ("number", "asked", "expected"),
    [
        pytest.param(MULTI_FRAME, None, ELE, id="URI-07 implicit becomes explicit"),
        pytest.param(MULTI_FRAME, ELE, ELE, id="URI-08 explicit"),
        pytest.param(MULTI_FRAME, IMPLICIT, IMPLICIT, id="URI-08 as stored"),
        pytest.param(MULTI_FRAME, "*", IMPLICIT, id="any, as npm dicomweb-client says it"),
        pytest.param(LOSSY, None, JPEG, id="URI-07 lossy stays lossy"),
        pytest.param(LOSSY, JPEG, JPEG, id="URI-08 lossy as stored"),
    ],
)
def test_transfer_syntax_sent(archive: Client, number: int, asked: str | None, expected: str) -> None:
    parameters = {"transferSyntax": asked} if asked else {}
    answer = archive.get("/wado?" + query(number, contentType=DICOM, **parameters))
    assert answer.status == 200
    data = pydicom.dcmread(io.BytesIO(answer.content))
    assert data.file_meta.TransferSyntaxUID == expected
    assert data.SOPInstanceUID == uid(1, 1, number)
    if number == MULTI_FRAME:
        assert data.PixelData == b"".join(FRAMES)


@pytest.mark.parametrize(
    ("value", "status"),
    [("abc", 400), ("", 400), ("**", 400), (f"{ELE},{IMPLICIT}", 400), (f"{ELE}&transferSyntax={ELE}", 400),
     ("1.2.840.10008.1.2.4.999", 406)],
)  # fmt: skip
def test_transfer_syntaxes_that_are_refused_URI_09(archive: Client, value: str, status: int) -> None:
    answer = archive.get("/wado?" + query(contentType=DICOM, transferSyntax=value))
    assert answer.status == status
    if status == 406:
        assert f"{DICOM}; transfer-syntax={ELE}" in answer.json["available"]


@pytest.mark.parametrize(
    "value",
    [f"{DICOM};transfer-syntax={ELE}", "image/jpeg;charset=utf-8", f"{DICOM},image/jpeg", "jpeg", "image/jpeg;q=2",
     "image/jpeg;q=x", "", ",", ",".join(["image/jpeg"] * 1000)],
)  # fmt: skip
def test_content_types_that_are_refused_URI_10(archive: Client, value: str) -> None:
    answer = archive.get("/wado?" + query(contentType=quote(value)))
    assert answer.status == 400
    assert "contentType" in answer.json["detail"]


@pytest.mark.parametrize("name", ["anonymize", "anonymity", "ANONYMIZE", "%61nonymize"])
@pytest.mark.parametrize("content_type", [DICOM, "image/jpeg"])
def test_deidentification_is_refused_and_never_ignored_URI_12(archive: Client, name: str, content_type: str) -> None:
    answer = archive.get("/wado?" + query(contentType=content_type) + f"&{name}=yes")
    assert answer.status == 406
    assert "de-identified" in answer.json["detail"]
    for value in ("no", "Yes", "", "yes,yes"):
        assert archive.get("/wado?" + query(contentType=content_type) + f"&{name}={value}").status == 400


@pytest.mark.parametrize(
    ("number", "parameters", "problem"),
    [
        pytest.param(MULTI_FRAME, "frameNumber=1", None, id="URI-14 first"),
        pytest.param(MULTI_FRAME, "frameNumber=2", None, id="URI-14 last"),
        pytest.param(MULTI_FRAME, "frameNumber=3", "frameNumber", id="URI-14 beyond"),
        pytest.param(MULTI_FRAME, "frameNumber=0", "frameNumber", id="URI-14 zero"),
        pytest.param(MULTI_FRAME, "frameNumber=1,2", "frameNumber", id="URI-14 two"),
        pytest.param(MULTI_FRAME, "frameNumber=" + "9" * 400, "frameNumber", id="URI-14 A20 enormous"),
        pytest.param(ONE_OF_MANY, "frameNumber=1", None, id="URI-14 the only one of a multi-frame instance"),
        pytest.param(PLAIN, "frameNumber=1", "frameNumber", id="URI-14 single-frame instance"),
        pytest.param(DOCUMENT, "frameNumber=1", "frameNumber", id="URI-14 no image"),
        pytest.param(PLAIN, "region=0,0,1,1", None, id="URI-17 all"),
        pytest.param(PLAIN, "region=0.25,.5,1.,1e0", None, id="URI-17 part"),
        pytest.param(PLAIN, "region=0,0,1", "region", id="URI-17 three values"),
        pytest.param(PLAIN, "region=0,0,1,1,1", "region", id="URI-17 five values"),
        pytest.param(PLAIN, "region=0,0,,1,1", "region", id="URI-17 an empty value"),
        pytest.param(PLAIN, "region=0.5,0,0.5,1", "region", id="URI-17 no width"),
        pytest.param(PLAIN, "region=0,0.6,1,0.5", "region", id="URI-17 upside down"),
        pytest.param(PLAIN, "region=0,0,1,1.1", "region", id="URI-17 beyond the image"),
        pytest.param(PLAIN, "region=-0.1,0,1,1", "region", id="URI-17 before the image"),
        pytest.param(PLAIN, "region=nan,0,1,1", "region", id="URI-17 A26 not a number"),
        pytest.param(PLAIN, "region=0,0,1e-99,1", None, id="URI-17 A26 tiny"),
        pytest.param(PLAIN, "windowCenter=40&windowWidth=400", None, id="URI-18 both"),
        pytest.param(PLAIN, "windowCenter=-40.5&windowWidth=1", None, id="URI-18 narrowest"),
        pytest.param(PLAIN, "windowCenter=40", "windowWidth", id="URI-18 centre alone"),
        pytest.param(PLAIN, "windowWidth=40", "windowCenter", id="URI-18 width alone"),
        pytest.param(PLAIN, "windowCenter=a&windowWidth=400", "windowCenter", id="URI-18 no number"),
        pytest.param(PLAIN, "windowCenter=inf&windowWidth=400", "windowCenter", id="URI-18 A26 infinity"),
        pytest.param(PLAIN, "windowCenter=40&windowWidth=0", "windowWidth", id="URI-18 A26 width 0"),
        pytest.param(PLAIN, "windowCenter=40&windowWidth=1e308", "windowWidth", id="URI-18 A26 width 1e308"),
        pytest.param(
            PLAIN,
            f"windowCenter=40&windowWidth=400&presentationSeriesUID={uid(1, 1)}&presentationUID={uid(1, 1, DOCUMENT)}",
            "presentationUID", id="URI-19 with a presentation state"),
        pytest.param(
            PLAIN, f"presentationSeriesUID={uid(1, 1)}&presentationUID={uid(1, 1, DOCUMENT)}",
            "presentation state", id="URI-21 no presentation state"),
        pytest.param(PLAIN, f"presentationUID={uid(1, 1, DOCUMENT)}", "presentationSeriesUID",
            id="presentation state without its series"),
        pytest.param(PLAIN, f"presentationSeriesUID={uid(1, 1)}&presentationUID=1.2", "presentation state",
            id="unknown presentation state"),
        pytest.param(PLAIN, "rows=10", None, id="rows alone"),
        pytest.param(PLAIN, "rows=10&columns=20", None, id="rows and columns"),
        pytest.param(PLAIN, "rows=0", "rows", id="no rows"),
        pytest.param(PLAIN, "columns=1000000000", "columns", id="A26 columns beyond all images"),
        pytest.param(PLAIN, "columns=-1", "columns", id="negative columns"),
        pytest.param(PLAIN, "imageQuality=1", None, id="worst quality"),
        pytest.param(PLAIN, "imagequality=100", None, id="best quality, lower case"),
        pytest.param(PLAIN, "imageQuality=0", "imageQuality", id="A26 quality 0"),
        pytest.param(PLAIN, "imageQuality=101", "imageQuality", id="A26 quality 101"),
        pytest.param(PLAIN, "annotation=patient,technique", None, id="annotation"),
        pytest.param(PLAIN, "imageAnnotation=patient", None, id="imageAnnotation"),
        pytest.param(PLAIN, "annotation=", "imageAnnotation", id="no annotation"),
        pytest.param(PLAIN, "annotation=" + "a," * 10_000, "imageAnnotation", id="A26 many annotations"),
        pytest.param(PLAIN, "charset=utf-8,iso-8859-1;q=0.5", None, id="charset"),
        pytest.param(PLAIN, "charset=utf-8;q=7", "charset", id="charset of a strange quality"),
        pytest.param(PLAIN, "unknown=1", None, id="an unknown parameter is ignored (8.3)"),
        pytest.param(PLAIN, "columns=%ff", "columns", id="no UTF-8"),
    ],
)  # fmt: skip
def test_how_an_instance_shall_be_rendered(archive: Client, number: int, parameters: str, problem: str | None) -> None:
    """What is not legal is refused with the name of it."""
    answer = archive.get(f"/wado?{query(number, contentType='image/jpeg')}&{parameters}")
    if problem is None:
        assert (answer.status, answer.header("Content-Type")) == (200, "image/jpeg")
    else:
        assert answer.status == 400
        assert problem in answer.json["detail"]


@pytest.mark.parametrize(("content_type", "accept"), [(DICOM, "*/*"), (None, DICOM)])
def test_windows_do_not_apply_to_dicom_URI_20(archive: Client, content_type: str | None, accept: str) -> None:
    parameters = {"contentType": content_type} if content_type else {}
    assert archive.get("/wado?" + query(windowCenter="40", windowWidth="400", **parameters), accept).status == 400


def test_the_root_is_what_it_was_without_request_type(archive: Client) -> None:
    assert archive.get("/").status == 405
    assert archive.get("/?studyUID=1.2").status == 405
    assert archive.get("/?x=requestType").status == 405
    assert archive.get("/?REQUESTTYPE=").status == 400
    assert archive.request("OPTIONS", "/?" + query()).status == 200


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
def test_other_methods(archive: Client, method: str) -> None:
    answer = archive.request(method, "/wado?" + query())
    assert answer.status == 405
    assert answer.header("Allow") == "GET, HEAD, OPTIONS"
    assert archive.request(method, "/?" + query()).status == 405


def test_head_is_answered_as_get(archive: Client) -> None:
    target = "/wado?" + query(contentType=DICOM)
    assert archive.request("HEAD", target).headers == archive.get(target).headers


def test_the_instance_is_what_authorize_is_asked_about_A91(archive: Client) -> None:
    asked: list[object] = []

    def note(access: Access) -> None:
        asked.append(access.target.ref)

    client = Client(OriginServer(instances=archive.server.site.instances, authorize=note))
    for root in ("/", "/wado"):
        assert client.get(f"{root}?{query(contentType=DICOM)}").status == 200
    assert asked == [InstanceRef(uid(1), uid(1, 1), uid(1, 1, MULTI_FRAME))] * 2


@pytest.mark.parametrize("content_type", [DICOM, "image/jpeg"])
def test_a_study_out_of_scope_is_not_found_A91(archive: Client, content_type: str) -> None:
    def narrow(_access: Access) -> dict[str, str]:
        return {"PatientID": "SOMEBODY-ELSE"}

    client = Client(OriginServer(instances=archive.server.site.instances, authorize=narrow))
    assert client.get("/wado?" + query(contentType=content_type)).status == 404
    assert client.get("/?" + query(contentType=content_type, anonymize="yes")).status == 404


def test_capabilities_name_every_parameter(memory_client: Client) -> None:
    answer = memory_client.request("OPTIONS", "/wado", Accept="application/json")
    (resource,) = answer.json["application"]["resources"]["resource"]
    (method,) = resource["method"]
    params = {param["@name"]: param for param in method["request"]["param"] if param["@style"] == "query"}
    assert list(params) == [rule.name for rule in RULES]
    required = [name for name, param in params.items() if param.get("@required") == "true"]
    assert required == ["requestType", "studyUID", "seriesUID", "objectUID"]
