"""Writing multipart/related (PS3.18 8.6.1.2)."""

from __future__ import annotations

import re

import pytest
import requests
from dicomweb_client.api import DICOMwebClient

from dicomweb_core.codecs.multipart_encoder import (
    PART_END,
    closing,
    content_type,
    message_length,
    new_boundary,
    part_head,
)
from dicomweb_core.errors import BadRequest


def test_boundaries_are_legal_long_and_never_the_same_MUL_02() -> None:
    boundaries = {new_boundary() for _ in range(1000)}
    assert len(boundaries) == 1000
    assert all(re.fullmatch(rb"[0-9a-zA-Z]{22,70}", boundary) for boundary in boundaries)


def test_the_message_names_its_root_type_and_boundary_MUL_01_MUL_07() -> None:
    assert content_type(b"xyz", "application/dicom") == 'multipart/related; type="application/dicom"; boundary=xyz'


def test_content_type_is_the_first_header_of_a_part_MUL_03() -> None:
    headers = (
        ("Content-Location", "http://x/1"),
        ("Content-Length", "5"),
        ("Content-Type", "a/b; transfer-syntax=1.2"),
    )
    assert part_head(b"B", headers) == (
        b"--B\r\nContent-Type: a/b; transfer-syntax=1.2\r\nContent-Location: http://x/1\r\nContent-Length: 5\r\n\r\n"
    )


def test_a_message_without_parts_is_its_end_MUL_10() -> None:
    assert closing(b"B") == b"--B--\r\n"
    assert message_length(b"B", []) == 7


def test_the_length_is_known_before_the_message_is_written_MUL_05() -> None:
    boundary = new_boundary()
    contents = [b"", b"x", b"\r\n--", b"y" * 1000]
    heads = [part_head(boundary, (("Content-Type", "a/b"), ("X", "y" * i))) for i in range(1, 5)]
    message = b"".join(h + c + PART_END for h, c in zip(heads, contents, strict=True)) + closing(boundary)
    assert message_length(boundary, [(len(h), len(c)) for h, c in zip(heads, contents, strict=True)]) == len(message)


@pytest.mark.parametrize(
    "value", ["", " ", "a\r\nX: y", "a\nb", "a\rb", "a\x00b", "a\x85b", "a\u2028b", "é", "a\x7f", " a", "a\t"]
)
def test_no_value_can_end_its_header_A35(value: str) -> None:
    with pytest.raises(BadRequest):
        part_head(b"B", (("Content-Type", "a/b"), ("Content-Location", value)))
    with pytest.raises(BadRequest):
        part_head(b"B", (("Content-Type", "a/b"), ("X" + value + ":", "y")))


def test_the_python_client_reads_our_messages() -> None:
    boundary = new_boundary()
    contents = [b"\r\n", b"one\r\n--", b"\x00" * 99]
    response = requests.Response()
    response.status_code = 200
    response.headers["Content-Type"] = content_type(boundary, "application/octet-stream")
    head = part_head(boundary, (("Content-Type", "application/octet-stream; transfer-syntax=1.2.840.10008.1.2.1"),))
    response._content = b"".join(head + content + PART_END for content in contents) + closing(boundary)
    client = DICOMwebClient("http://localhost")
    assert list(client._decode_multipart_message(response, stream=False)) == contents
