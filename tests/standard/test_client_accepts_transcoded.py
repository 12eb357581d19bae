"""The cells of `test_client_accepts` that need pixels decoded or encoded (PS3.18 8.7.3, 8.7.8.2).

Rows of one header over files stored in Explicit VR Little Endian, JPEG baseline, JPEG 2000 lossless and RLE.
"""

# ruff: noqa: E501 - tables read better as rows

from __future__ import annotations

import pytest

from tests.standard.test_client_accepts import (
    CHROME,
    ELE,
    FILES,
    FIREFOX,
    J2K,
    J50,
    JP2,
    JPEG,
    OCTETS,
    OHIF_THREE,
    PIXELS,
    RLE,
    STORED_FRAME,
    STORED_INSTANCE,
    URL_CONNECTION,
    Cells,
    ask,
    eight,
    outcome,
    part,
    related,
)

pytest.importorskip("imagecodecs")
pytest.importorskip("dicomweb_core.services.transcoding")

JLS, J70 = "1.2.840.10008.1.2.4.80", "1.2.840.10008.1.2.4.70"
AS_JLS, AS_JP2, AS_RLE = part("image/jls", JLS), part("image/jp2", J2K), part("image/dicom-rle", RLE)
AS_J70 = part("image/jpeg", J70)
NATIVE = part("application/dicom", ELE)
NATIVE_BY_DEFAULT = (NATIVE, STORED_INSTANCE[1], NATIVE, NATIVE)
"""What is lossy stays as it is stored: there is nothing to be gained (PS3.18 8.7.3.4 note 2)."""

CLIENTS: list[tuple[str, tuple[str, ...], str | None, Cells]] = [
    ("curl, wget, requests, fetch", ("instance", "series"), "*/*", NATIVE_BY_DEFAULT),
    ("urllib3 and http.client: none", ("instance", "series"), None, NATIVE_BY_DEFAULT),
    ("Chrome, address bar", ("instance",), CHROME, NATIVE_BY_DEFAULT),
    ("Firefox, address bar", ("instance",), FIREFOX, NATIVE_BY_DEFAULT),
    ("java.net.URLConnection", ("instance",), URL_CONNECTION, NATIVE_BY_DEFAULT),
    ("OHIF with requestTransferSyntaxUID", PIXELS, f'multipart/related; type="image/jp2"; transfer-syntax="{J2K}"; transfer-syntax="*"', (AS_JP2, None, JP2, AS_JP2)),
    ("OHIF as it ships for dcm4chee", PIXELS, OHIF_THREE, (AS_JLS, None, AS_JLS, AS_JLS)),
    ("dicomweb-client (Python), MONAI Label, Slicer", ("series", "instance"), related("application/dicom"), NATIVE_BY_DEFAULT),
    ("dicomweb-client (Python)", ("instance",), related("application/dicom", J2K), (STORED_INSTANCE[2], None, STORED_INSTANCE[2], STORED_INSTANCE[2])),
    ("dicomweb-client (Python)", ("instance",), related("application/dicom", ELE), (NATIVE,) * 4),
    ("dicomweb-client (Python and JavaScript)", PIXELS, related("application/octet-stream"), (OCTETS,) * 4),
    ("dicomweb-client (Python)", PIXELS, f"{related('application/octet-stream')}, {related('image/jpeg')}", (OCTETS, JPEG, OCTETS, OCTETS)),
    ("dicomweb-client (Python)", PIXELS, f"{related('image/jp2')}, {related('image/jpeg')}", (None, JPEG, JP2, None)),
    ("dicomweb-client (Python), dcm4che wadors: JPEG means the lossless one", PIXELS, related("image/jpeg"), (AS_J70, JPEG, AS_J70, AS_J70)),
    ("dicomweb-client (Python), wsidicom", PIXELS, related("image/jp2", J2K), (AS_JP2, None, JP2, AS_JP2)),
    ("wsidicom", PIXELS, related("application/octet-stream", ELE), (OCTETS,) * 4),
    ("wsidicom", PIXELS, related("image/x-dicom-rle", RLE), (AS_RLE, None, AS_RLE, AS_RLE)),
    ("wsidicom, dicomweb-client (Python): not by loss", PIXELS, related("image/jpeg", J50), ("406", JPEG, "406", "406")),
    ("dicomweb-client (JavaScript)", PIXELS, related("image/x-jls"), (AS_JLS, None, AS_JLS, AS_JLS)),
    ("OHIF, cornerstone: never transcoded", PIXELS, "multipart/related; type=application/octet-stream; transfer-syntax=*", STORED_FRAME),
    ("Slim, dicom-microscopy-viewer of before", PIXELS, eight(ELE), (*STORED_FRAME[:3], OCTETS)),
]  # fmt: skip


@pytest.mark.parametrize(
    ("resources", "accept", "cells"),
    [pytest.param(*row[1:], id=f"{row[0]}: {'/'.join(row[1])} as {(row[2] or '')[:90]}") for row in CLIENTS],
)
def test_clients_get_what_they_ask_for(resources: tuple[str, ...], accept: str | None, cells: Cells) -> None:
    for resource in resources:
        for stored, expected in zip(FILES, cells, strict=True):
            if expected is not None:
                assert outcome(ask(stored, resource, accept)) == expected, f"{resource} of {stored}"
