"""What clients send as Accept, word for word, and what they get (PS3.18 8.7).

Each header was taken from the client itself, by running it or from its source. Cells that need pixels decoded or
encoded are None here; `test_client_accepts_transcoded` has them.
"""

# ruff: noqa: E501 - tables read better as rows

from __future__ import annotations

import io
from functools import lru_cache
from urllib.parse import quote

import pydicom
import pytest

from dicomweb_core import OriginServer
from dicomweb_memory import MemoryInstanceStore
from tests.clients import Answer, Client, file_bytes
from tests.standard.test_retrieve import url_of

ELE, J50, J2K, RLE = (
    "1.2.840.10008.1.2.1",
    "1.2.840.10008.1.2.4.50",
    "1.2.840.10008.1.2.4.90",
    "1.2.840.10008.1.2.5",
)
FILES = {
    ELE: "CT_small.dcm",
    J50: "SC_rgb_small_odd_jpeg.dcm",
    J2K: "MR_small_jp2klossless.dcm",
    RLE: "MR_small_RLE.dcm",
}
"""A file by the transfer syntax it is stored in."""

TARGETS = {
    "search": "/studies",
    "metadata": "{instance}/metadata",
    "instance": "{instance}",
    "series": "{series}",
    "frames": "{instance}/frames/1",
    "bulk": "{instance}/bulkdata/7FE00010",
    "pixeldata": "{instance}/pixeldata",
}
PIXELS = ("frames", "bulk", "pixeldata")


def related(item: str, syntax: str = "") -> str:
    return f'multipart/related; type="{item}"' + (f"; transfer-syntax={syntax}" if syntax else "")


def eight(octets: str) -> str:
    """dicom-microscopy-viewer: everything it can decode, the JPEG that is stored most often last."""
    of_jpeg = "1.2.840.10008.1.2.4."
    items = [("jls", "80"), ("jls", "81"), ("jp2", "90"), ("jp2", "91"), ("jpx", "92"), ("jpx", "93")]
    listed = [related(f"image/{name}", of_jpeg + number) for name, number in items]
    return ", ".join([*listed, related("application/octet-stream", octets), related("image/jpeg", J50)])


CHROME = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,image/apng,*/*;q=0.8,application/signed-exchange;v=b3;q=0.7"
FIREFOX = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"
URL_CONNECTION = "text/html, image/gif, image/jpeg, *; q=.2, */*; q=.2"
OHIF_THREE = "multipart/related; type=application/pdf; q=0.6,multipart/related; type=image/jls; q=1,multipart/related; type=application/octet-stream; q=0.5"

# -- expectations --

JSON = "application/dicom+json"
XML = "multipart: application/dicom+xml"
NO = "406"


def part(item: str, syntax: str) -> str:
    return f"multipart: {item}; transfer-syntax={syntax}"


OCTETS = part("application/octet-stream", ELE)
JPEG, JP2, DICOM_RLE = part("image/jpeg", J50), part("image/jp2", J2K), part("image/dicom-rle", RLE)
STORED_FRAME = (OCTETS, JPEG, JP2, DICOM_RLE)
STORED_INSTANCE = tuple(part("application/dicom", syntax) for syntax in FILES)
BY_DEFAULT = (*STORED_INSTANCE[:2], None, None)
"""Explicit VR Little Endian, but for what is lossy (PS3.18 8.7.3.4 note 2)."""

Cells = tuple[str | None, str | None, str | None, str | None]
CLIENTS: list[tuple[str, tuple[str, ...], str | None, Cells]] = [
    # client, resources, Accept, what comes of a file stored in ELE, JPEG baseline, JPEG 2000 lossless, RLE
    ("curl, wget, requests, fetch", ("search", "metadata"), "*/*", (JSON,) * 4),
    ("curl, wget, requests, fetch", ("instance", "series"), "*/*", BY_DEFAULT),
    ("curl, wget, requests, fetch", PIXELS, "*/*", STORED_FRAME),
    ("urllib3 and http.client: none", ("search", "metadata"), None, (JSON,) * 4),
    ("urllib3 and http.client: none", ("instance", "series"), None, BY_DEFAULT),
    ("urllib3 and http.client: none", PIXELS, None, STORED_FRAME),
    ("Chrome, address bar", ("search", "metadata"), CHROME, (JSON,) * 4),
    ("Chrome, address bar", ("instance", "series"), CHROME, BY_DEFAULT),
    ("Chrome, address bar", PIXELS, CHROME, STORED_FRAME),
    ("Firefox, address bar", ("search", "metadata"), FIREFOX, (JSON,) * 4),
    ("Firefox, address bar", ("instance",), FIREFOX, BY_DEFAULT),
    ("java.net.URLConnection", ("search", "metadata"), URL_CONNECTION, (JSON,) * 4),
    ("java.net.URLConnection", ("instance", "series"), URL_CONNECTION, BY_DEFAULT),
    ("axios", ("search", "metadata"), "application/json, text/plain, */*", (JSON,) * 4),
    ("axios", ("frames",), "application/json, text/plain, */*", STORED_FRAME),
    ("OHIF", ("search", "metadata"), f"{JSON}, multipart/related; type=application/octet-stream; transfer-syntax=*", (JSON,) * 4),
    ("OHIF as configured elsewhere", ("search", "metadata"), f"{JSON},application/json,multipart/related;type=application/dicom;transfer-syntax=*", (JSON,) * 4),
    ("OHIF as configured elsewhere", ("instance",), f"{JSON},application/json,multipart/related;type=application/dicom;transfer-syntax=*", STORED_INSTANCE),
    ("OHIF, cornerstone", PIXELS, "multipart/related; type=application/octet-stream; transfer-syntax=*", STORED_FRAME),
    ("OHIF with quotes", PIXELS, 'multipart/related; type="application/octet-stream"; transfer-syntax="*"', STORED_FRAME),
    ("OHIF with any", PIXELS, "multipart/related; type=*/*; transfer-syntax=*", STORED_FRAME),
    ("OHIF with requestTransferSyntaxUID", PIXELS, f'multipart/related; type="image/jp2"; transfer-syntax="{J2K}"; transfer-syntax="*"', (None, None, JP2, None)),
    ("OHIF with requestTransferSyntaxUID, without quotes", PIXELS, f"multipart/related; type=image/dicom-rle; transfer-syntax={RLE}; transfer-syntax=*", (None, None, None, DICOM_RLE)),
    ("dicomweb-client (Python)", ("search", "metadata"), "application/dicom+json, application/json", (JSON,) * 4),
    ("dicomweb-client (Python), MONAI Label, Slicer", ("series", "instance"), related("application/dicom"), BY_DEFAULT),
    ("dicomweb-client (Python)", ("series", "instance"), related("application/dicom", "*"), STORED_INSTANCE),
    ("dicomweb-client (Python)", ("instance",), related("application/dicom", J2K), (None, None, STORED_INSTANCE[2], None)),
    ("dicomweb-client (Python), MONAI Label", PIXELS, related("*/*"), STORED_FRAME),
    ("dicomweb-client (Python and JavaScript)", PIXELS, related("application/octet-stream"), (OCTETS, None, None, None)),
    ("dicomweb-client (Python)", PIXELS, related("image/jpeg"), (None, JPEG, None, None)),
    ("dicomweb-client (Python)", PIXELS, f"{related('image/jp2')}, {related('image/jpeg')}", (None, JPEG, JP2, None)),
    ("dicomweb-client (Python)", PIXELS, f"{related('application/octet-stream')}, {related('image/jpeg')}", (OCTETS, JPEG, None, None)),
    ("dicomweb-client (Python), wsidicom", PIXELS, related("image/jpeg", J50), (NO, JPEG, NO, NO)),
    ("dicomweb-client (Python), wsidicom", PIXELS, related("image/jp2", J2K), (None, None, JP2, None)),
    ("wsidicom", PIXELS, related("application/octet-stream", ELE), (OCTETS, None, None, None)),
    ("wsidicom", PIXELS, related("image/x-dicom-rle", RLE), (None, None, None, DICOM_RLE)),
    ("dicomweb-client (Python)", PIXELS, related("image/dicom-rle", RLE), (None, None, None, DICOM_RLE)),
    ("dicomweb-client (JavaScript)", ("search", "metadata"), JSON, (JSON,) * 4),
    ("dicomweb-client (JavaScript)", PIXELS, related("application/octet-stream", "*"), STORED_FRAME),
    ("dicomweb-client (JavaScript)", PIXELS, related("image/*", "*"), (None, JPEG, JP2, DICOM_RLE)),
    ("Slim, dicom-microscopy-viewer", PIXELS, eight("*"), STORED_FRAME),
    ("Slim, dicom-microscopy-viewer of before", PIXELS, eight(ELE), (OCTETS, JPEG, JP2, None)),
    ("dcm4che wadors, Orthanc's tests", ("instance", "series"), "multipart/related;type=application/dicom;transfer-syntax=*", STORED_INSTANCE),
    ("Weasis", ("instance", "series"), 'multipart/related;type="application/dicom";transfer-syntax=*', STORED_INSTANCE),
    ("Weasis", ("search",), URL_CONNECTION, (JSON,) * 4),
    ("Java clients with a boundary", ("instance",), f'multipart/related; type="application/dicom";transfer-syntax={J2K};q=0.9;boundary=B, multipart/related; type="application/dicom";transfer-syntax={RLE};q=0.5;boundary=B', (None, None, STORED_INSTANCE[2], None)),
    ("dcm4che wadors", ("metadata",), "multipart/related;type=application/dicom+xml", (XML,) * 4),
    ("dcm4che wadors", PIXELS, "multipart/related;type=image/jpeg", (None, JPEG, None, None)),
    # What asks for something else than the resource has.
    ("an instance as JSON", ("instance", "frames"), JSON, (NO,) * 4),
    ("metadata as pictures", ("search", "metadata"), related("image/jpeg"), (NO,) * 4),
    ("frames as instances", PIXELS, related("application/dicom", "*"), (NO,) * 4),
    ("frames as lossy JPEG of 12 bits", PIXELS, related("image/jpeg", "1.2.840.10008.1.2.4.51"), (NO,) * 4),
]  # fmt: skip


@lru_cache
def client_of(syntax: str) -> tuple[Client, str]:
    """A server with one file, and where its instance is."""
    client, content = Client(OriginServer(instances=MemoryInstanceStore())), file_bytes(FILES[syntax])
    assert client.store(content).status == 200
    return client, url_of(content)


def ask(stored: str, resource: str, accept: str | None, query: str = "") -> Answer:
    client, url = client_of(stored)
    target = TARGETS[resource].format(instance=url, series=url.rpartition("/instances/")[0])
    return client.get(target + query, accept)


def outcome(answer: Answer) -> str:
    """As the tables have it: the status, or the type of the only part, whose content is what its type says."""
    if answer.status != 200:
        return str(answer.status)
    content_type = answer.header("Content-Type") or ""
    if not content_type.startswith("multipart/"):
        return content_type
    ((headers, content),) = answer.parts
    assert f'type="{headers["content-type"].partition(";")[0]}"' in content_type
    check_content(headers["content-type"], content)
    return f"multipart: {headers['content-type']}"


SIGNATURES = {J50: b"\xff\xd8\xff", J2K: b"\xff\x4f\xff\x51", RLE: b"\x02\x00\x00\x00"}


def check_content(content_type: str, content: bytes) -> None:
    item, _, syntax = content_type.partition("; transfer-syntax=")
    if item == "application/dicom":
        assert pydicom.dcmread(io.BytesIO(content), stop_before_pixels=True).file_meta.TransferSyntaxUID == syntax
    elif syntax in SIGNATURES:
        assert content.startswith(SIGNATURES[syntax])


@pytest.mark.parametrize(
    ("resources", "accept", "cells"),
    [pytest.param(*row[1:], id=f"{row[0]}: {'/'.join(row[1])} as {(row[2] or '')[:90]}") for row in CLIENTS],
)
def test_clients_get_what_they_ask_for(resources: tuple[str, ...], accept: str | None, cells: Cells) -> None:
    for resource in resources:
        for stored, expected in zip(FILES, cells, strict=True):
            if expected is None:
                continue
            answer = ask(stored, resource, accept)
            assert outcome(answer) == expected, f"{resource} of {stored}"
            if answer.status == 406:
                assert answer.json["available"]


def test_a_pdf_among_bulk_data_is_no_mixture_with_rendered_types() -> None:
    """A configuration that OHIF ships. A PDF as multipart is bulk data, no rendered type (PS3.18 8.7.5)."""
    assert ask(ELE, "frames", OHIF_THREE).status == 200
    assert ask(ELE, "frames", "application/pdf, application/octet-stream").status == 400


# -- the accept parameter (PS3.18 8.3.3.1) -----------------------------------------------------------------------

DICOM_STORED = related("application/dicom", "*")
PARAMETERS = [
    ("metadata", f"?accept={JSON}", JSON),
    ("metadata", "?accept=application/dicom%2Bjson", JSON),
    ("metadata", "?accept=application%2Fdicom%2Bjson", JSON),
    ("metadata", "?accept=application/json", JSON),
    ("metadata", '?accept=multipart/related;type="application/dicom%2Bxml"', XML),
    ("metadata", '?accept=multipart/related;type="application/dicom+xml"', XML),
    ("metadata", "?accept=multipart/related;type=application/dicom+xml", XML),
    ("metadata", f"?accept={quote(related('application/dicom+xml'), safe='')}", XML),
    ("metadata", f"?includefield=PatientName&accept={JSON}&accept=image/unheard-of", JSON),
    ("instance", f"?accept={quote(DICOM_STORED, safe='')}", STORED_INSTANCE[2]),
    ("instance", "?accept=multipart/related;type=%22application/dicom%22;transfer-syntax=*", STORED_INSTANCE[2]),
    ("instance", "?accept=multipart/related;+type=application/dicom;+transfer-syntax=*", STORED_INSTANCE[2]),
    ("instance", f"?accept=application/dicom;transfer-syntax={J2K}", f"application/dicom; transfer-syntax={J2K}"),
    ("frames", "?accept=multipart/related;type=image/jp2", JP2),
    ("frames", f"?accept=image/jp2;transfer-syntax={J2K}", f"image/jp2; transfer-syntax={J2K}"),
    ("frames", "?accept=image/jp2", f"image/jp2; transfer-syntax={J2K}"),
    ("frames", "?accept=multipart/related;type=image/gif", JP2),  # the header counts, which takes anything
    ("frames", "?accept=", JP2),
    ("frames", "?Accept=image/gif", JP2),  # names are case-sensitive
]


@pytest.mark.parametrize(("resource", "query", "expected"), PARAMETERS, ids=[row[1] for row in PARAMETERS])
def test_the_accept_parameter_in_every_spelling_COM_08(resource: str, query: str, expected: str) -> None:
    assert outcome(ask(J2K, resource, "*/*", query)) == expected
    assert outcome(ask(J2K, resource, None, query)) == expected


@pytest.mark.parametrize("charset", ["utf-8", "UTF-8", "nonsense", "x-user-defined", "utf-7", "", "%22"])
@pytest.mark.parametrize("resource", ["search", "metadata", "instance", "frames"])
def test_a_charset_that_is_not_supported_changes_nothing_MET_07(charset: str, resource: str) -> None:
    expected = ask(ELE, resource, "*/*").header("Content-Type")
    answer = ask(ELE, resource, "*/*", f"?charset={quote(charset)}")
    assert answer.status == 200
    assert (answer.header("Content-Type") or "").partition("boundary")[0] == (expected or "").partition("boundary")[0]
    if resource in ("search", "metadata"):
        assert outcome(ask(ELE, resource, f'{JSON}; charset="{charset or "x"}"')) == JSON
        assert answer.json
