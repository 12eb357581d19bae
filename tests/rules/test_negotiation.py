"""Which representation a client gets (PS3.18 8.7.5 - 8.7.8), by what real clients send."""

# ruff: noqa: E501 - tables read better as rows

from __future__ import annotations

import pytest

from dicomweb_core.errors import BadRequest, NotAcceptable
from dicomweb_core.rules.negotiation import DEFAULT_TRANSFER_SYNTAXES, Accept, Offer, choose
from dicomweb_core.values.limits import Limits

ELE = "1.2.840.10008.1.2.1"
J50, J70, JLS, JLS_NEAR = (
    "1.2.840.10008.1.2.4.50",
    "1.2.840.10008.1.2.4.70",
    "1.2.840.10008.1.2.4.80",
    "1.2.840.10008.1.2.4.81",
)
J2K, J2K_LOSSY, RLE = "1.2.840.10008.1.2.4.90", "1.2.840.10008.1.2.4.91", "1.2.840.10008.1.2.5"
DICOM, JSON, XML, OCTETS = (
    "application/dicom",
    "application/dicom+json",
    "application/dicom+xml",
    "application/octet-stream",
)

# -- what servers offer --

METADATA = (Offer(JSON, default=True), Offer(XML, multipart=True))
STUDY = (Offer(DICOM, True, JLS, stored=True), Offer(DICOM, True, ELE, default=True), Offer(OCTETS, True, ELE))
INSTANCE = (*STUDY, Offer(DICOM, False, JLS, stored=True), Offer(DICOM, False, ELE))
LOSSY_STUDY = (Offer(DICOM, True, J50, default=True, stored=True),)
NATIVE_FRAMES = (
    Offer(OCTETS, True, ELE, default=True, stored=True),
    Offer("image/jls", True, JLS),
    Offer("image/jp2", True, J2K),
    Offer("image/dicom-rle", True, RLE),
)


def frames_of(item: str, syntax: str) -> tuple[Offer, ...]:
    return (
        Offer(item, True, syntax, stored=True),
        Offer(OCTETS, True, syntax, stored=True),
        Offer(OCTETS, True, ELE, default=True),
        Offer("image/jls", True, JLS),
        Offer("image/jp2", True, J2K),
        Offer("image/jpeg", True, J70),
        Offer(item, False, syntax, stored=True),
    )


JPEG_FRAMES, J2K_FRAMES, NEAR_FRAMES = (
    frames_of("image/jpeg", J50),
    frames_of("image/jp2", J2K_LOSSY),
    frames_of("image/jls", JLS_NEAR),
)
RENDERED = (Offer("image/jpeg", default=True), Offer("image/png"), Offer("image/gif"), Offer("image/jpeg", True))
DOCUMENT = (Offer("application/pdf", True, default=True, stored=True), Offer(OCTETS, True, ELE))
NONE = None


def related(item: str, syntax: str | None = None, *, quotes: bool = True, q: str = "") -> str:
    name = f'"{item}"' if quotes else item
    return (
        f"multipart/related; type={name}"
        + (f"; transfer-syntax={syntax}" if syntax else "")
        + (f"; q={q}" if q else "")
    )


D_M_V = ", ".join(related(item, syntax) for item, syntax in [("image/jls", JLS), ("image/jls", JLS_NEAR), ("image/jp2", J2K), ("image/jp2", J2K_LOSSY), ("image/jpx", "1.2.840.10008.1.2.4.92"), ("image/jpx", "1.2.840.10008.1.2.4.93"), (OCTETS, ELE), ("image/jpeg", J50)])  # fmt: skip

# name, offers, Accept, index of the chosen offer or None for 406
CLIENTS = [
    ("COM-07 no Accept, metadata", METADATA, None, 0),
    ("COM-07 no Accept, study", STUDY, None, 1),
    ("empty Accept", METADATA, " ", 0),
    ("COM-15 curl", STUDY, "*/*", 1),
    ("COM-15 any of a category without default", JPEG_FRAMES[:1] + JPEG_FRAMES[3:], "*/*", 0),
    ("COM-15 java.net", METADATA, "text/html, image/gif, image/jpeg, *; q=.2, */*; q=.2", 0),
    ("browser", METADATA, "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,image/apng,*/*;q=0.8,application/signed-exchange;v=b3;q=0.7", 0),
    ("axios", METADATA, "application/json, text/plain, */*", 0),
    ("dicomweb-client search", METADATA, "application/dicom+json, application/json", 0),
    ("JSON by its other name", METADATA, "application/json", 0),
    ("A34 OHIF search", METADATA, "application/dicom+json, multipart/related; type=application/octet-stream; transfer-syntax=*", 0),
    ("JSON with charset", METADATA, "application/dicom+json; charset=utf-8", 0),
    ("JSON with transfer syntax", METADATA, "application/dicom+json; transfer-syntax=*", 0),
    ("JSON as multipart", METADATA, related(JSON), 0),
    ("XML", METADATA, related(XML), 1),
    ("COM-17 XML without quotes", METADATA, related(XML, quotes=False), 1),
    ("XML as single part", METADATA, XML, NONE),
    ("application/*", METADATA, "application/*", 0),
    ("multipart of anything", METADATA, "multipart/related", 1),
    ("COM-12 q", METADATA, f"application/dicom+json;q=0.5, {related(XML)};q=0.9", 1),
    ("COM-12 missing q is 1", METADATA, f"application/dicom+json;q=0.9, {related(XML)}", 1),
    ("COM-12 q in front of parameters", METADATA, f"application/dicom+json;q=0.9, multipart/related;q=1.0;type={XML}", 1),
    ("COM-13 most specific", METADATA, f"*/*;q=0.9, application/dicom+json;q=0.1, {related(XML)};q=0.5", 1),
    ("COM-13 order does not matter", METADATA, f"{related(XML)};q=0.5, application/dicom+json;q=0.1, */*;q=0.9", 1),
    ("COM-16 q=0", METADATA, "application/dicom+json;q=0", NONE),
    ("COM-16 q=0 and any", METADATA, "application/dicom+json;q=0, application/*, multipart/*", 1),
    ("COM-16 q=0 for all others", METADATA, "application/dicom+json, */*;q=0", 0),
    ("COM-14 nonsense ignored", METADATA, "nonsense, a/b/c, application/dicom+json, ;;", 0),
    ("COM-14 A34 q=2", METADATA, f"application/dicom+json;q=2, {related(XML)};q=0.1", 1),
    ("COM-14 A34 q=1.5", METADATA, f"application/dicom+json;q=1.5, {related(XML)};q=0.1", 1),
    ("COM-14 A34 q=NaN", METADATA, f"application/dicom+json;q=NaN, {related(XML)};q=0.1", 1),
    ("COM-14 A34 q=-1", METADATA, f"application/dicom+json;q=-1, {related(XML)};q=0.1", 1),
    ("COM-14 only nonsense", METADATA, "nonsense", NONE),
    ("COM-14 unknown transfer syntax form", STUDY, related(DICOM, "x.y"), NONE),
    ("COM-14 multipart/form-data", STUDY, "multipart/form-data", NONE),
    ("COM-16 wrong type", METADATA, "image/png", NONE),
    ("COM-16 single part for a study", STUDY, DICOM, NONE),
    ("COM-18 case", STUDY, 'MULTIPART/Related; TYPE="Application/DICOM"; Transfer-Syntax=*', 0),
    ("COM-23 default", STUDY, related(DICOM), 1),
    ("COM-19 explicit", STUDY, related(DICOM, JLS), 0),
    ("COM-19 explicit little endian", STUDY, related(DICOM, ELE), 1),
    ("COM-19 what is not offered", STUDY, related(DICOM, J2K), NONE),
    ("A34 unknown transfer syntax", STUDY, related(DICOM, "1.2.3.4"), NONE),
    ("COM-22 implicit", STUDY, related(DICOM, "1.2.840.10008.1.2"), NONE),
    ("COM-20 any", STUDY, related(DICOM, "*"), 0),
    ("COM-20 any, in quotes", STUDY, related(DICOM, '"*"'), 0),
    ("COM-17 no quotes, any", STUDY, related(DICOM, "*", quotes=False), 0),
    ("COM-21 ranked", STUDY, f"{related(DICOM, JLS, q='0.5')}, {related(DICOM, ELE, q='0.9')}", 1),
    ("COM-21 ranked, first not offered", STUDY, f"{related(DICOM, J2K)}, {related(DICOM, JLS, q='0.5')}, {related(DICOM, q='0.2')}", 0),
    ("COM-21 explicit outranks any", STUDY, f"{related(DICOM, '*', q='0.9')}, {related(DICOM, JLS, q='0.1')}", 1),
    ("equal: stored", STUDY, f"{related(DICOM, ELE)}, {related(DICOM, JLS)}", 0),
    ("equal: stored, also when offered last", STUDY[::-1], related(DICOM, "*"), 2),
    ("equal: the first offered", METADATA, f"{related(XML)}, {JSON}", 0),
    ("q=0 of a type excludes every syntax of it", STUDY, f"{related('*/*', '*')}, {related(DICOM, q='0')}", 2),
    ("COM-13 multipart of anything is more specific than anything", (JPEG_FRAMES[0], JPEG_FRAMES[6]), "*/*;q=0.9, multipart/related;q=0.1", 1),
    ("A34 multipart/*", STUDY, "multipart/*", 1),
    ("multipart of */*", STUDY, related("*/*"), 1),
    ("multipart of */* as stored", STUDY, related("*/*", "*"), 0),
    ("lossy only", LOSSY_STUDY, related(DICOM), 0),
    ("octet-stream of instances", STUDY, related(OCTETS), 2),
    ("single part of an instance", INSTANCE, DICOM, 4),
    ("single part of an instance as stored", INSTANCE, f"{DICOM}; transfer-syntax=*", 3),
    ("any prefers the default", INSTANCE, "*/*", 1),
    ("native frames, python client", NATIVE_FRAMES, related("*/*"), 0),
    ("native frames, default", NATIVE_FRAMES, related(OCTETS), 0),
    ("native frames, transcoded", NATIVE_FRAMES, related("image/jls"), 1),
    ("native frames, old name", NATIVE_FRAMES, related("image/x-jls"), 1),
    ("native frames, old name RLE", NATIVE_FRAMES, related("image/x-dicom-rle"), 3),
    ("native frames, old name JPEG 2000", NATIVE_FRAMES, related("image/dicom+jp2"), 2),
    ("native frames, older name JPEG-LS", NATIVE_FRAMES, related("image/dicom+jpeg-ls"), 1),
    ("native frames, any image", NATIVE_FRAMES, related("image/*"), 1),
    ("frames, eight listed, JPEG last", JPEG_FRAMES, D_M_V, 0),
    ("frames, eight listed, JPEG 2000", J2K_FRAMES, D_M_V, 0),
    ("frames, eight listed, native", NATIVE_FRAMES, D_M_V, 0),
    ("frames, OHIF", JPEG_FRAMES, "multipart/related; type=application/octet-stream; transfer-syntax=*", 1),
    ("frames, OHIF with JPEG-LS", JPEG_FRAMES, f'multipart/related; type="image/jls"; q=1, {related(OCTETS, "*")};q=0.1', 3),
    ("frames, JPEG without syntax: stored", JPEG_FRAMES, related("image/jpeg"), 0),
    ("frames, JPEG without syntax, other stored", J2K_FRAMES, related("image/jpeg"), 5),
    ("frames, older JPEG name", JPEG_FRAMES, related("image/dicom+jpeg"), 0),
    ("frames, octets without syntax", JPEG_FRAMES, related(OCTETS), 2),
    ("frames, JPEG-LS without syntax is lossless", NEAR_FRAMES, related("image/jls"), 3),
    ("frames, JPEG-LS near lossless", NEAR_FRAMES, related("image/jls", JLS_NEAR), 0),
    ("frames, any image", JPEG_FRAMES, related("image/*"), 0),
    ("frames, single part", JPEG_FRAMES, "image/jpeg", 6),
    ("frames, single part, any image", JPEG_FRAMES, "image/*", 6),
    ("frames, wsidicom probe", JPEG_FRAMES, related("image/jp2", J2K_LOSSY), NONE),
    ("frames, python client with several", JPEG_FRAMES, f"{related('image/jp2', J2K)}, {related('image/jpeg', J50)}", 0),
    ("rendered, default", RENDERED, "*/*", 0),
    ("rendered, any image", RENDERED, "image/*", 0),
    ("rendered, PNG", RENDERED, "image/png", 1),
    ("rendered, img element", RENDERED, "image/avif,image/webp,image/apng,image/svg+xml,image/*,*/*;q=0.8", 0),
    ("rendered, PNG before any", RENDERED, "image/png,image/*;q=0.8,*/*;q=0.5", 1),
    ("rendered, multipart", RENDERED, related("image/jpeg"), 3),
    ("COM-27 rendered with transfer syntax", RENDERED, f"image/jpeg; transfer-syntax={J50}", NONE),
    ("COM-27 rendered with any transfer syntax", RENDERED, "image/jpeg; transfer-syntax=*", NONE),
    ("document in its own type", DOCUMENT, f"{related('application/pdf')}, {related(OCTETS)}", 0),
    ("document as octets", DOCUMENT, related(OCTETS), 1),
]  # fmt: skip


@pytest.mark.parametrize(("offers", "header", "chosen"), [row[1:] for row in CLIENTS], ids=[row[0] for row in CLIENTS])
def test_what_a_client_gets(offers: tuple[Offer, ...], header: str | None, chosen: int | None) -> None:
    if chosen is None:
        with pytest.raises(NotAcceptable) as caught:
            choose(Accept.parse(header), offers)
        assert set(caught.value.available) == set(map(str, offers))
    else:
        assert choose(Accept.parse(header), offers) is offers[chosen]


PARAMETER = [
    ("COM-08 selects", METADATA, "*/*", related(XML), 1),
    ("COM-08 without header", METADATA, None, related(XML), 1),
    ("COM-08 lost plus", METADATA, "*/*", 'multipart/related; type="application/dicom xml"', 1),
    ("COM-08 not compatible with the header", METADATA, JSON, related(XML), 0),
    ("COM-08 header excludes it", METADATA, f"{related(XML)};q=0, {JSON}", related(XML), 0),
    ("COM-08 compatible with multipart of anything", METADATA, f"{JSON}, multipart/related", related(XML), 1),
    ("COM-08 compatible but for the transfer syntax", STUDY, related(DICOM), related(DICOM, "*"), 0),
    ("COM-10 before the header", METADATA, f"{JSON}, {related(XML)};q=0.1", related(XML), 1),
    ("COM-10 in a browser", INSTANCE, "text/html,application/xml;q=0.9,*/*;q=0.8", f"{DICOM}; transfer-syntax=*", 3),
    ("COM-12 q of the parameter", METADATA, "*/*", f"{JSON};q=0.1, {related(XML)};q=0.2", 1),
    ("COM-09 wildcard", METADATA, related(XML), "*/*", 1),
    ("COM-09 wildcard of a type", METADATA, f"{JSON};q=0.1, {related(XML)}", "application/*", 1),
    ("COM-09 wildcard that the header allows", METADATA, f"*/*;q=0.1, {related(XML)}", "application/*", 1),
    ("COM-09 wildcard of parts", METADATA, f"{JSON}, {related(XML)};q=0.1", related("*/*"), 0),
    ("COM-14 what is not offered", METADATA, "*/*", "image/png", 0),
    ("COM-14 nonsense", METADATA, related(XML), "nonsense", 1),
    ("empty", METADATA, related(XML), "", 1),
    ("COM-16 nothing of both", METADATA, "image/png", "image/png", NONE),
]  # fmt: skip


@pytest.mark.parametrize(
    ("offers", "header", "parameter", "chosen"), [row[1:] for row in PARAMETER], ids=[row[0] for row in PARAMETER]
)
def test_the_accept_parameter(
    offers: tuple[Offer, ...], header: str | None, parameter: str, chosen: int | None
) -> None:
    if chosen is None:
        with pytest.raises(NotAcceptable):
            choose(Accept.parse(header, parameter), offers)
    else:
        assert choose(Accept.parse(header, parameter), offers) is offers[chosen]


MIXED = [
    ("instances", STUDY, f"{related(DICOM)}, image/png", True),
    ("metadata", METADATA, "application/dicom+json, text/html", True),
    ("rendered", RENDERED, "image/png, application/dicom", True),
    ("by multipart", JPEG_FRAMES, f"{related(OCTETS)}, {related('image/gif')}", True),
    ("types that are both", JPEG_FRAMES, f"{related('image/jpeg')}, {related(OCTETS)}", False),
    ("wildcards", RENDERED, "image/png, application/*, */*", False),
    ("excluded", STUDY, f"{related(DICOM)}, image/png;q=0", False),
    ("HTTP libraries", METADATA, "application/json, text/plain, */*", False),
    ("a document that is bulk data", DOCUMENT, f"{related('application/pdf')}, {related(OCTETS)}", False),
    ("another document", DOCUMENT, f"{related('text/plain')}, {related(OCTETS)}", True),
]  # fmt: skip


@pytest.mark.parametrize(
    ("offers", "header", "refused"), [row[1:] for row in MIXED], ids=["COM-11 " + row[0] for row in MIXED]
)
def test_dicom_and_rendered_types_do_not_mix(offers: tuple[Offer, ...], header: str, refused: bool) -> None:
    if refused:
        with pytest.raises(BadRequest):
            choose(Accept.parse(header), offers)
        with pytest.raises(BadRequest):
            choose(Accept.parse("*/*", header), offers)
    else:
        assert choose(Accept.parse(header), offers) in offers


@pytest.mark.parametrize(
    ("item", "syntax"), [(item, syntax) for item, syntaxes in DEFAULT_TRANSFER_SYNTAXES.items() for syntax in syntaxes]
)
def test_every_type_has_its_default_transfer_syntax_COM_23(item: str, syntax: str) -> None:
    offers = (Offer(item, True, "1.2.3"), Offer(item, True, syntax))
    assert choose(Accept.parse(related(item)), offers) is offers[1]


def test_an_offer_says_how_it_is_written() -> None:
    assert Offer(DICOM, True, ELE).content_type == "application/dicom; transfer-syntax=1.2.840.10008.1.2.1"
    assert (
        str(Offer(DICOM, True, ELE))
        == 'multipart/related; type="application/dicom"; transfer-syntax=1.2.840.10008.1.2.1'
    )
    assert str(Offer(JSON)) == Offer(JSON).content_type == JSON
    assert str(Offer(XML, True)) == 'multipart/related; type="application/dicom+xml"'


def test_charset_is_kept_for_later() -> None:
    assert Accept.parse("application/dicom+json; charset=latin1").header[0].charset == "latin1"


@pytest.mark.parametrize(("header", "parameter"), [("a" * 101, None), (None, "a" * 101)])
def test_the_length_is_limited_A34(header: str | None, parameter: str | None) -> None:
    with pytest.raises(BadRequest):
        Accept.parse(header, parameter, Limits(accept_bytes=100))
