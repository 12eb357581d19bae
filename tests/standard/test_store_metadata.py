"""Store of metadata and bulk data (PS3.18 10.5.1.4, Tables 10.5.2-1 and 10.5.4-1)."""

from __future__ import annotations

import base64
import io
import json
import socket
from collections.abc import Callable, Sequence
from typing import Any

import imagecodecs
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from pydicom import FileDataset, dcmread
from pydicom.encaps import generate_frames

from dicomweb_core import OriginServer
from dicomweb_memory import MemoryInstanceStore
from tests.clients import ANY_DICOM, BASE, JSON, Client, file_bytes, multipart
from tests.made import SECONDARY_CAPTURE, path, uid
from tests.metadata_messages import (
    OCTETS,
    XML,
    Bulk,
    Model,
    comments,
    dataset,
    image,
    joined,
    message,
    pixel_data,
    post,
    reasons,
    xml_of,
)

JPEG = "1.2.840.10008.1.2.4."
NATIVE = "1.2.840.10008.1.2.1"
FOUR = bytes([1, 2, 3, 4])
GREY = np.arange(48, dtype="u1").reshape(6, 8)
COLOUR = np.arange(144, dtype="u1").reshape(6, 8, 3)


def kept(client: Client, number: int = 1) -> FileDataset:
    """The instance as it is stored now."""
    ((_, content),) = client.get(path(1, 1, number), ANY_DICOM).parts
    return dcmread(io.BytesIO(content))


@pytest.mark.parametrize("kind", [pytest.param(JSON, id="STO-04"), pytest.param(XML, id="STO-05")])
def test_metadata_and_bulk_data_become_an_instance(client: Client, kind: str) -> None:
    model = image(X00100010="ignored", X00100020="P-1")
    model["00100010"] = {"vr": "LO", "Value": ["text"]}
    answer = post(client, [model], Bulk(FOUR), kind=kind)
    assert answer.status == 200, answer.content
    (item,) = answer.json["00081199"]["Value"]
    assert item["00081150"]["Value"] == [SECONDARY_CAPTURE]
    assert item["00081155"]["Value"] == [uid(1, 1, 1)]
    stored = kept(client)
    assert (stored.PatientID, stored.Rows, stored.PixelData) == ("P-1", 2, FOUR)
    assert client.get(f"{path(1, 1, 1)}/frames/1", "application/octet-stream").content == FOUR
    assert len(client.get("/instances?PatientID=P-1").json) == 1


def test_json_is_one_array_of_all_data_sets_STO_09(client: Client) -> None:
    answer = post(client, [image(1, uri="a"), image(2, uri="b")], Bulk(FOUR, "a"), Bulk(FOUR[::-1], "b"))
    assert answer.status == 200
    assert [kept(client, number).PixelData for number in (1, 2)] == [FOUR, FOUR[::-1]]


def test_xml_is_a_document_for_each_data_set_STO_09(client: Client) -> None:
    answer = post(client, [image(1, uri="a"), image(2, uri="b")], Bulk(FOUR, "a"), Bulk(FOUR[::-1], "b"), kind=XML)
    assert answer.status == 200
    assert [kept(client, number).PixelData for number in (1, 2)] == [FOUR, FOUR[::-1]]


def test_one_object_is_an_array_of_one(client: Client) -> None:
    content_type, payload = message(JSON, [json.dumps(dataset()).encode()])
    assert client.request("POST", "/studies", payload, Content_Type=content_type).status == 200


@pytest.mark.parametrize("kind", [JSON, XML])
def test_single_part_without_bulk_data(client: Client, kind: str) -> None:
    metadata = json.dumps([dataset(1), dataset(2)]).encode() if kind == JSON else xml_of(dataset(1))
    assert client.request("POST", "/studies", metadata, Content_Type=kind).status == 200
    assert len(client.get("/instances").json) == (2 if kind == JSON else 1)


@pytest.mark.parametrize(("kind", "alias"), [(JSON, "application/json"), (XML, "application/xml"), (XML, "text/xml")])
def test_other_names_of_metadata_parts(memory_client: Client, kind: str, alias: str) -> None:
    metadata = json.dumps([dataset()]).encode() if kind == JSON else xml_of(dataset())
    content_type, payload = joined(kind, [f"Content-Type: {alias}\r\n\r\n".encode() + metadata])
    assert memory_client.request("POST", "/studies", payload, Content_Type=content_type).status == 200


@pytest.mark.parametrize("bulk_first", [False, True])
def test_bulk_data_follow_their_metadata_MUL_08(memory_client: Client, bulk_first: bool) -> None:
    """A message in the other order is understood too."""
    parts = [
        b"Content-Type: application/dicom+json\r\n\r\n" + json.dumps([image()]).encode(),
        b"Content-Type: application/octet-stream\r\nContent-Location: pixels\r\n\r\n" + FOUR,
    ]
    content_type, payload = joined(JSON, parts[::-1] if bulk_first else parts)
    assert memory_client.request("POST", "/studies", payload, Content_Type=content_type).status == 200
    assert kept(memory_client).PixelData == FOUR


@pytest.mark.parametrize(
    ("uri", "location", "headers"),
    [
        pytest.param("http://a/b?c", "http://a/b?c", "", id="MUL-09 the same URL"),
        pytest.param("../bulk/1", "../bulk/1", "", id="the same relative reference"),
        pytest.param(f"{BASE}/studies/x/1", "studies/x/1", "", id="relative to the URL of the request"),
        pytest.param("/dicom-web/1", f"{BASE}/1", "", id="of the same server"),
        pytest.param("cid:a%2Bb@c", "", "Content-ID: <a+b@c>\r\n", id="by Content-ID"),
    ],
)
def test_parts_are_found_by_name(memory_client: Client, uri: str, location: str, headers: str) -> None:
    answer = post(memory_client, [image(uri=uri)], Bulk(FOUR, location, headers=headers))
    assert answer.status == 200, answer.content
    assert kept(memory_client).PixelData == FOUR


def test_two_data_sets_share_a_part(memory_client: Client) -> None:
    assert post(memory_client, [image(1), image(2)], Bulk(FOUR)).status == 200
    assert [kept(memory_client, number).PixelData for number in (1, 2)] == [FOUR, FOUR]


def test_bulk_data_inside_sequences(memory_client: Client) -> None:
    item = {"00281201": {"vr": "OW", "BulkDataURI": "b"}, "00281408": {"vr": "OW", "BulkDataURI": "a"}}
    model = dataset(X00081140={"vr": "SQ", "Value": [{}, item]})
    assert post(memory_client, [model], Bulk(b"abcd", "a"), Bulk(b"efghij", "b")).status == 200
    second = kept(memory_client).ReferencedImageSequence[1]
    assert (second[0x00281408].value, second[0x00281201].value) == (b"abcd", b"efghij")


def test_file_meta_information_is_made_here_STO_10(client: Client) -> None:
    model = image(X00020003={"vr": "UI", "Value": ["9.9"]}, X00020016="PEER")
    assert post(client, [model], Bulk(FOUR)).status == 200
    meta = kept(client).file_meta
    assert meta.MediaStorageSOPClassUID == SECONDARY_CAPTURE
    assert meta.MediaStorageSOPInstanceUID == uid(1, 1, 1)
    assert meta.TransferSyntaxUID == NATIVE
    assert "SourceApplicationEntityTitle" not in meta


def test_text_is_stored_as_utf8(client: Client) -> None:
    model = dataset(X00080005={"vr": "CS", "Value": ["ISO_IR 100"]}, X00080070="Ärzte 東京")
    assert post(client, [model]).status == 200
    stored = kept(client)
    assert (stored.SpecificCharacterSet, stored.Manufacturer) == ("ISO_IR 192", "Ärzte 東京")


def test_capabilities_name_what_can_be_stored(memory_client: Client) -> None:
    described = memory_client.request("OPTIONS", "/studies", Accept="application/vnd.sun.wadl+xml").content.decode()
    for kind in (JSON, XML):
        assert f"<representation mediaType='multipart/related; type=\"{kind}\"'/>" in described
        assert f'<representation mediaType="{kind}"/>' in described


def test_data_sets_can_be_stored_from_python() -> None:
    server = OriginServer(instances=MemoryInstanceStore())
    report = server.store_metadata([image(1), dataset(2), image(3, uri="missing")], {"pixels": FOUR})
    assert [item.ref.instance for item in report.stored] == [uid(1, 1, 1), uid(1, 1, 2)]
    assert [(item.source, item.sop_instance_uid) for item in report.failed] == [("3", uid(1, 1, 3))]
    jpeg = ("image/jpeg", imagecodecs.jpeg8_encode(GREY))
    assert server.store_metadata([dataset(4, X7FE00010=pixel_data())], {"pixels": jpeg}).status == 200


# -- what fails, fails alone ---------------------------------------------------------------------------------------


def test_a_bulk_data_uri_without_a_part_fails_its_instance_alone_STO_34(client: Client) -> None:
    answer = post(client, [image(1, uri="here"), image(2, uri="elsewhere")], Bulk(FOUR, "here"))
    assert answer.status == 202
    (failed,) = answer.json["00081198"]["Value"]
    assert failed["00081155"]["Value"] == [uid(1, 1, 2)]
    assert comments(answer) == [
        "Part 1: The BulkDataURI of 7FE00010 names no part of this request, and others are not followed."
    ]
    assert len(client.get("/instances").json) == 1


def test_a_bulk_data_uri_is_never_dereferenced_STO_34(memory_client: Client) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.settimeout(0.2)
        uri = f"http://127.0.0.1:{listening.getsockname()[1]}/pixels"
        assert post(memory_client, [image(uri=uri)]).status == 400
        with pytest.raises(TimeoutError):
            listening.accept()


@pytest.mark.parametrize("tag", ["00080016", "00080018", "0020000D", "0020000E"])
def test_a_data_set_without_a_uid_fails_alone(memory_client: Client, tag: str) -> None:
    bad = dataset(1)
    del bad[tag]
    answer = post(memory_client, [bad, dataset(2)])
    assert answer.status == 202
    assert len(comments(answer)) == 1
    assert len(memory_client.get("/instances").json) == 1


def test_a_data_set_of_another_study_is_refused(memory_client: Client) -> None:
    answer = post(memory_client, [dataset()], target=f"/studies/{uid(2)}")
    assert answer.status == 409
    assert reasons(answer) == [0xA901]


def test_the_same_instance_twice(memory_client: Client) -> None:
    assert post(memory_client, [dataset(), dataset()]).status == 200
    assert post(memory_client, [dataset(X00100020="other")]).status == 409


def test_part10_files_and_metadata_do_not_mix(memory_client: Client) -> None:
    part10 = Bulk(file_bytes("CT_small.dcm"), media_type="application/dicom")
    answer = post(memory_client, [dataset()], part10)
    assert answer.status == 202
    assert comments(answer) == ["Part 2: Part 10 files and metadata are not stored by one request."]
    content_type, payload = multipart(json.dumps([dataset()]).encode(), media_type=JSON)
    answer = memory_client.request(
        "POST", "/studies", payload, Content_Type=content_type.replace(JSON, "application/dicom")
    )
    assert answer.status == 400


def test_parts_that_nothing_refers_to_are_reported_once(memory_client: Client) -> None:
    answer = post(memory_client, [image()], Bulk(FOUR), Bulk(FOUR, "b"), Bulk(FOUR, "c"))
    assert answer.status == 202
    assert comments(answer) == ["Part 3: No data set refers to this bulk data part, nor to 1 others."]


def test_bulk_data_alone_are_no_instance(memory_client: Client) -> None:
    content_type, payload = message(JSON, [], [Bulk(FOUR)])
    assert memory_client.request("POST", "/studies", payload, Content_Type=content_type).status == 400
    assert memory_client.request("POST", "/studies", b"[]", Content_Type=JSON).status == 400


@pytest.mark.parametrize("kind", [JSON, XML])
def test_a_message_that_is_cut_off_stores_nothing(memory_client: Client, kind: str) -> None:
    metadata = json.dumps([dataset()]).encode() if kind == JSON else xml_of(dataset())
    content_type, payload = message(kind, [metadata], [Bulk(FOUR)])
    assert memory_client.request("POST", "/studies", payload[:-10], Content_Type=content_type).status == 400
    assert memory_client.get("/instances").json == []


# -- pixel data (Table 10.5.2-1) -----------------------------------------------------------------------------------

CODESTREAMS: list[tuple[str, str, bytes, str]] = [
    # media type, transfer syntax, codestream, photometric interpretation
    ("image/jpeg", JPEG + "50", imagecodecs.jpeg8_encode(GREY), "MONOCHROME2"),
    ("image/jpeg", JPEG + "50", imagecodecs.jpeg8_encode(COLOUR, subsampling="422"), "YBR_FULL_422"),
    ("image/jpeg", JPEG + "57", imagecodecs.ljpeg_encode(GREY, bitspersample=8), "MONOCHROME2"),
    ("image/jls", JPEG + "80", imagecodecs.jpegls_encode(GREY), "MONOCHROME2"),
    ("image/jls", JPEG + "81", imagecodecs.jpegls_encode(GREY, level=2), "MONOCHROME2"),
    ("image/jp2", JPEG + "90", imagecodecs.jpeg2k_encode(COLOUR, reversible=True, codecformat="j2k"), "YBR_RCT"),
    ("image/jp2", JPEG + "91", imagecodecs.jpeg2k_encode(COLOUR, level=40, codecformat="j2k"), "YBR_ICT"),
    ("image/jphc", JPEG + "201", imagecodecs.htj2k_encode(GREY), "MONOCHROME2"),
    ("image/jphc", JPEG + "202", imagecodecs.htj2k_encode(GREY, tlm=True, tilepart=1), "MONOCHROME2"),
    ("image/jxl", JPEG + "112", imagecodecs.jpegxl_encode(GREY), "MONOCHROME2"),
]
CODESTREAM_CASES = [pytest.param(*case, id=f"{case[0]} {case[1][-3:]} {case[3]}") for case in CODESTREAMS]


@pytest.mark.parametrize(("media_type", "syntax", "codestream", "photometric"), CODESTREAM_CASES)
def test_codestreams_are_kept_and_described_STO_06_STO_13_STO_15(
    memory_client: Client, media_type: str, syntax: str, codestream: bytes, photometric: str
) -> None:
    answer = post(memory_client, [dataset(X7FE00010=pixel_data())], Bulk(codestream, media_type=media_type))
    assert answer.status == 200, answer.content
    stored = kept(memory_client)
    assert stored.file_meta.TransferSyntaxUID == syntax
    (frame,) = generate_frames(stored.PixelData, number_of_frames=1)
    assert frame == codestream + b"\0" * (len(codestream) % 2)
    colour = photometric != "MONOCHROME2"
    assert (stored.Rows, stored.Columns, stored.SamplesPerPixel) == (6, 8, 3 if colour else 1)
    assert (stored.BitsAllocated, stored.BitsStored, stored.HighBit, stored.PixelRepresentation) == (8, 8, 7, 0)
    assert stored.PhotometricInterpretation == photometric
    assert ("PlanarConfiguration" in stored) == colour
    lossy = syntax in (JPEG + "50", JPEG + "81", JPEG + "91")
    assert stored.get("LossyImageCompression") == ("01" if lossy else None)
    assert ("LossyImageCompressionMethod" in stored) == lossy


@pytest.mark.parametrize(
    ("media_type", "file", "syntax"),
    [
        ("image/jp2", imagecodecs.jpeg2k_encode(GREY, reversible=True, codecformat="jp2"), JPEG + "90"),
        ("image/jpx", imagecodecs.jpeg2k_encode(GREY, reversible=True, codecformat="jp2"), JPEG + "90"),
    ],
)
def test_codestreams_are_taken_out_of_their_boxes_STO_13(
    memory_client: Client, media_type: str, file: bytes, syntax: str
) -> None:
    answer = post(memory_client, [dataset(X7FE00010=pixel_data())], Bulk(file, media_type=media_type))
    assert answer.status == 200, answer.content
    stored = kept(memory_client)
    (frame,) = generate_frames(stored.PixelData, number_of_frames=1)
    assert stored.file_meta.TransferSyntaxUID == syntax
    assert frame.startswith(b"\xff\x4f\xff\x51")
    assert (imagecodecs.jpeg2k_decode(frame) == GREY).all()


@pytest.mark.parametrize(
    ("media_type", "syntax", "method"),
    [
        ("video/mpeg", JPEG + "101", "ISO_13818_2"),
        ("video/mpeg; transfer-syntax=1.2.840.10008.1.2.4.100", JPEG + "100", "ISO_13818_2"),
        ("video/mp4", JPEG + "102", "ISO_14496_10"),
        ('video/mp4; transfer-syntax="1.2.840.10008.1.2.4.104"', JPEG + "104", "ISO_14496_10"),
        ("video/H265", JPEG + "107", "ISO_23008_2"),
    ],
)
def test_video_is_one_part_and_kept_STO_13(memory_client: Client, media_type: str, syntax: str, method: str) -> None:
    video = bytes(range(256)) * 1000
    model = image(X00280008={"vr": "IS", "Value": [25]})
    assert post(memory_client, [model], Bulk(video, media_type=media_type)).status == 200
    stored = kept(memory_client)
    assert (stored.file_meta.TransferSyntaxUID, stored.NumberOfFrames) == (syntax, 25)
    assert stored.PixelData[20:] == video
    assert (stored.LossyImageCompression, stored.LossyImageCompressionMethod) == ("01", method)


@pytest.mark.parametrize(
    ("stated", "stored"),
    [
        pytest.param({"media_type": f"image/jpeg; transfer-syntax={JPEG}51"}, JPEG + "51", id="of the part"),
        pytest.param({"media_type": "image/jpeg; transfer-syntax=*"}, JPEG + "50", id="any"),
        pytest.param({"media_type": f"{OCTETS}; transfer-syntax={JPEG}50"}, JPEG + "50", id="octets"),
    ],
)
def test_the_transfer_syntax_a_part_says(memory_client: Client, stated: dict[str, str], stored: str) -> None:
    codestream = imagecodecs.jpeg8_encode(GREY)
    assert post(memory_client, [dataset(X7FE00010=pixel_data())], Bulk(codestream, **stated)).status == 200
    assert kept(memory_client).file_meta.TransferSyntaxUID == stored


def test_htj2k_that_is_said_to_be_rpcl_may_lack_its_markers(memory_client: Client) -> None:
    part = Bulk(imagecodecs.htj2k_encode(GREY), media_type=f"image/jphc; transfer-syntax={JPEG}202")
    assert post(memory_client, [dataset(X7FE00010=pixel_data())], part).status == 200
    assert kept(memory_client).file_meta.TransferSyntaxUID == JPEG + "202"


@pytest.mark.parametrize("media_type", ["image/jpeg", OCTETS])
def test_the_transfer_syntax_that_metadata_say_de_facto(memory_client: Client, media_type: str) -> None:
    model = dataset(X7FE00010=pixel_data(), X00020010={"vr": "UI", "Value": [JPEG + "51"]})
    assert post(memory_client, [model], Bulk(imagecodecs.jpeg8_encode(GREY), media_type=media_type)).status == 200
    assert kept(memory_client).file_meta.TransferSyntaxUID == JPEG + "51"


def test_rle_needs_its_attributes(memory_client: Client) -> None:
    file = dcmread(io.BytesIO(file_bytes("SC_rgb_rle.dcm")))
    (frame,) = generate_frames(file.PixelData, number_of_frames=1)
    model = image(
        rows=file.Rows, columns=file.Columns, X00280002={"vr": "US", "Value": [3]}, X00280006={"vr": "US", "Value": [0]}
    )
    model["00280004"]["Value"] = ["RGB"]
    assert post(memory_client, [model], Bulk(frame, media_type="image/dicom-rle")).status == 200
    stored = kept(memory_client)
    assert stored.file_meta.TransferSyntaxUID == "1.2.840.10008.1.2.5"
    assert (stored.pixel_array == file.pixel_array).all()


FRAMES = [imagecodecs.jpeg8_encode(GREY + number) for number in range(3)]


@pytest.mark.parametrize(
    "locations",
    [
        pytest.param(["pixels"] * 3, id="STO-11 the same name"),
        pytest.param([f"pixels/frames/{number}" for number in (1, 2, 3)], id="STO-11 numbered"),
    ],
)
@pytest.mark.parametrize("stated", [None, 3])
def test_a_part_for_each_compressed_frame(memory_client: Client, locations: Sequence[str], stated: int | None) -> None:
    model = dataset(X7FE00010=pixel_data())
    if stated:
        model["00280008"] = {"vr": "IS", "Value": [stated]}
    parts = [Bulk(frame, location, "image/jpeg") for frame, location in zip(FRAMES, locations, strict=True)]
    assert post(memory_client, [model], *parts).status == 200
    assert kept(memory_client).NumberOfFrames == 3
    for number, frame in enumerate(FRAMES, 1):
        ((_, sent),) = memory_client.get(f"{path(1, 1, 1)}/frames/{number}", "*/*").parts
        assert sent.removesuffix(b"\0") == frame.removesuffix(b"\0")


def test_frames_are_numbered_not_in_order_of_arrival(memory_client: Client) -> None:
    parts = [Bulk(FRAMES[n - 1], f"pixels/frames/{n}", "image/jpeg") for n in (3, 1, 2)]
    assert post(memory_client, [dataset(X7FE00010=pixel_data())], *parts).status == 200
    frames = generate_frames(kept(memory_client).PixelData, number_of_frames=3)
    assert [frame.rstrip(b"\0") for frame in frames] == [frame.rstrip(b"\0") for frame in FRAMES]


def test_what_a_server_sends_can_be_stored_as_it_is(memory_client: Client) -> None:
    """Metadata, and frames under the Content-Location they are retrieved with."""
    parts = [Bulk(frame, media_type="image/jpeg") for frame in FRAMES]
    assert post(memory_client, [dataset(X7FE00010=pixel_data())], *parts).status == 200
    url = path(1, 1, 1)
    models = memory_client.get(f"{url}/metadata").json
    answer = memory_client.get(f"{url}/frames/1,2,3", 'multipart/related; type="image/jpeg"; transfer-syntax=*')
    sent = [Bulk(content, head["content-location"], head["content-type"]) for head, content in answer.parts]
    second = Client(OriginServer(instances=MemoryInstanceStore()))
    assert post(second, models, *sent).status == 200
    assert kept(second).PixelData == kept(memory_client).PixelData


# -- images that no transfer syntax has ----------------------------------------------------------------------------


def saved(picture: Image.Image, form: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, form, **options)
    return buffer.getvalue()


RGB = Image.fromarray(COLOUR)
PICTURES: dict[str, tuple[Callable[[], bytes], Any]] = {
    "PNG grey": (lambda: saved(Image.fromarray(GREY), "PNG"), GREY),
    "PNG RGB": (lambda: saved(RGB, "PNG"), COLOUR),
    "PNG RGB with alpha": (lambda: saved(RGB.convert("RGBA"), "PNG"), COLOUR),
    "PNG grey with alpha": (lambda: saved(Image.fromarray(GREY).convert("LA"), "PNG"), GREY),
    "PNG grey of 16 bits": (lambda: imagecodecs.png_encode(GREY.astype("u2") * 999), GREY.astype("u2") * 999),
    "PNG RGB of 16 bits": (lambda: imagecodecs.png_encode(COLOUR.astype("u2") * 400), COLOUR.astype("u2") * 400),
    "PNG with a palette": (
        lambda: saved(RGB.quantize(8), "PNG", transparency=1),
        np.asarray(RGB.quantize(8).convert("RGB")),
    ),
    "GIF": (lambda: saved(RGB.quantize(256), "GIF"), np.asarray(RGB.quantize(256).convert("RGB"))),
}


@pytest.mark.parametrize("name", PICTURES)
def test_gif_and_png_become_native_STO_14_STO_15(memory_client: Client, name: str) -> None:
    make, expected = PICTURES[name]
    media_type = "image/" + name[:3].lower()
    answer = post(memory_client, [dataset(X7FE00010=pixel_data())], Bulk(make(), media_type=media_type))
    assert answer.status == 200, answer.content
    stored = kept(memory_client)
    assert stored.file_meta.TransferSyntaxUID == NATIVE
    assert stored.PhotometricInterpretation == ("RGB" if expected.ndim == 3 else "MONOCHROME2")
    assert stored.BitsAllocated == stored.BitsStored == expected.itemsize * 8
    assert (stored.pixel_array == expected).all()
    assert "LossyImageCompression" not in stored


def test_an_animation_is_a_frame_for_each_image_STO_14(memory_client: Client) -> None:
    pictures = [Image.fromarray(np.full((6, 8, 3), 50 * number, "u1")) for number in range(4)]
    gif = saved(pictures[0], "GIF", save_all=True, append_images=pictures[1:])
    assert post(memory_client, [dataset(X7FE00010=pixel_data())], Bulk(gif, media_type="image/gif")).status == 200
    stored = kept(memory_client)
    assert stored.NumberOfFrames == 4
    assert [int(frame.flat[0]) for frame in stored.pixel_array] == [0, 50, 100, 150]


# -- documents -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [JSON, XML])
@pytest.mark.parametrize("stated", [None, "application/pdf"])
def test_documents_come_in_their_own_media_type_STO_12(memory_client: Client, kind: str, stated: str | None) -> None:
    model = dataset(X00420011=pixel_data("document"))
    if stated:
        model["00420012"] = {"vr": "LO", "Value": [stated]}
    answer = post(memory_client, [model], Bulk(b"%PDF-1.7 odd", "document", "application/pdf"), kind=kind)
    assert answer.status == 200, answer.content
    stored = kept(memory_client)
    assert stored.MIMETypeOfEncapsulatedDocument == "application/pdf"
    assert stored.EncapsulatedDocument == b"%PDF-1.7 odd"


def test_a_document_of_xml_among_xml_metadata_STO_12(memory_client: Client) -> None:
    model = dataset(X00420011=pixel_data("document"))
    answer = post(memory_client, [model], Bulk(b"<ClinicalDocument/>", "document", "text/xml"), kind=XML)
    assert answer.status == 200, answer.content
    assert kept(memory_client).MIMETypeOfEncapsulatedDocument == "text/xml"


def test_a_document_that_is_not_what_the_metadata_say_is_refused_STO_12(memory_client: Client) -> None:
    model = dataset(X00420011=pixel_data("document"), X00420012="text/xml")
    answer = post(memory_client, [model], Bulk(b"%PDF", "document", "application/pdf"))
    assert (answer.status, reasons(answer)) == (409, [0xA900])


# -- generated data sets -------------------------------------------------------------------------------------------

TEXT = st.text(
    st.characters(exclude_categories=["Cc", "Cs"], exclude_characters="\\=^\ufffe\uffff"), min_size=1, max_size=12
).filter(lambda text: text.strip(" \0") == text)
NUMBER = {
    "US": st.integers(0, 2**16 - 1),
    "SS": st.integers(-(2**15), 2**15 - 1),
    "UL": st.integers(0, 2**32 - 1),
    "SL": st.integers(-(2**31), 2**31 - 1),
    "FL": st.floats(width=32, allow_nan=False, allow_infinity=False).map(lambda number: float(str(np.float32(number)))),
    "FD": st.floats(allow_nan=False, allow_infinity=False),
    "AT": st.integers(0, 2**32 - 1).map(lambda tag: f"{tag:08X}"),
}
VALUES: dict[str, st.SearchStrategy[Any]] = {
    **dict.fromkeys(("LO", "SH", "UC", "ST", "UT"), TEXT),
    **NUMBER,
    "DA": st.dates().map(lambda date: date.strftime("%Y%m%d").zfill(8)),
    "UI": st.lists(st.integers(0, 999), min_size=2, max_size=8).map(lambda arcs: ".".join(map(str, arcs))),
    "PN": st.dictionaries(st.sampled_from(["Alphabetic", "Ideographic", "Phonetic"]), TEXT, min_size=1),
}


def attribute_of(vr: str) -> st.SearchStrategy[Model]:
    most = 1 if vr in ("ST", "UT") else 4
    return st.lists(VALUES[vr], max_size=most).map(lambda values: {"vr": vr, "Value": values} if values else {"vr": vr})


def inline(content: bytes) -> Model:
    return {"vr": "OB", "InlineBinary": base64.b64encode(content).decode()} if content else {"vr": "OB"}


BINARY = st.binary(max_size=20).map(lambda content: inline(content + b"\0" * (len(content) % 2)))
LEAVES = st.one_of(BINARY, *map(attribute_of, VALUES))
TAGS = st.integers(0x00091001, 0x000910FF).map(lambda tag: f"{tag:08X}")
CREATOR = {"00090010": {"vr": "LO", "Value": ["TEST"]}}


def with_creator(attributes: Model) -> Model:
    return dict(sorted({**CREATOR, **attributes}.items()))


MODELS = st.recursive(
    st.dictionaries(TAGS, LEAVES, max_size=5).map(with_creator),
    lambda items: st.dictionaries(
        TAGS,
        LEAVES
        | st.lists(items, max_size=3).map(lambda values: {"vr": "SQ", "Value": values} if values else {"vr": "SQ"}),
        max_size=5,
    ).map(with_creator),
    max_leaves=12,
)


@given(MODELS)
def test_any_metadata_come_back_as_they_were_sent(generated: Model) -> None:
    client = Client(OriginServer(instances=MemoryInstanceStore()))
    model = dict(sorted({**dataset(), **generated}.items()))
    answer = post(client, [model])
    assert answer.status == 200, answer.content
    (stored,) = client.get(f"{path(1, 1, 1)}/metadata").json
    assert stored.pop("00080005") == {"vr": "CS", "Value": ["ISO_IR 192"]}
    assert stored == model


@given(MODELS)
def test_any_metadata_go_through_xml(generated: Model) -> None:
    """Out of one server as Native DICOM Model and into another: the same DICOM JSON."""
    first, second = (Client(OriginServer(instances=MemoryInstanceStore())) for _ in range(2))
    post(first, [{**dataset(), **generated}])
    url = f"{path(1, 1, 1)}/metadata"
    ((_, text),) = first.get(url, f'multipart/related; type="{XML}"').parts
    assert second.request("POST", "/studies", text, Content_Type=XML).status == 200
    assert second.get(url).json == first.get(url).json
