"""Which content coding (RFC 9110 12.5.3), and the codings themselves."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from dicomweb_core.codecs.content_codings import AVAILABLE, compressed, compressed_chunks
from dicomweb_core.rules.content_coding import Coding, choose_coding, is_text

BOTH = ("zstd", "gzip")


@pytest.mark.parametrize(
    ("header", "coding"),
    [
        (None, Coding()),
        ("", Coding()),
        ("gzip", Coding("gzip")),
        ("GZIP", Coding("gzip")),
        ("x-gzip", Coding("gzip")),
        ("gzip, deflate, br, zstd", Coding("zstd")),
        ("gzip;q=1.0, zstd;q=0.5", Coding("gzip")),
        ("zstd;q=0, *", Coding("gzip")),
        ("*", Coding("zstd")),
        ("*;q=0", Coding()),
        ("identity", Coding()),
        ("identity;q=1, gzip;q=0.5", Coding()),
        ("identity;q=0.5, gzip;q=0.5", Coding("gzip")),
        ("identity;q=0, gzip", Coding("gzip", required=True)),
        ("*;q=0, gzip", Coding("gzip", required=True)),
        ("identity;q=0", Coding()),
        ("br", Coding()),
        ("gzip;q=0", Coding()),
        ("gzip ; q=0.001", Coding("gzip")),
        # malformed: as if absent
        ("gzip;q=2.5", Coding()),
        ("gzip;q=1.2345", Coding()),
        ("gzip;q=x", Coding()),
        ("gzip;q=-1", Coding()),
        ("gzip;level=9", Coding()),
        ("gzip zstd", Coding()),
        ("gzip," * 300, Coding()),
    ],
)
def test_the_coding_COM_36(header: str | None, coding: Coding) -> None:
    assert choose_coding(header, BOTH) == coding


def test_nothing_available_is_no_coding_COM_36() -> None:
    assert choose_coding("gzip, zstd, *", ()) == Coding()
    assert choose_coding("zstd, gzip;q=0.1", ("gzip",)) == Coding("gzip")


@pytest.mark.parametrize(
    ("content_type", "text"),
    [
        ("application/dicom+json", True),
        ("application/dicom+json; charset=ISO-8859-1", True),
        ("application/json", True),
        ("application/dicom+xml", True),
        ('multipart/related; type="application/dicom+xml"; boundary=b', True),
        ("application/vnd.sun.wadl+xml", True),
        ("text/html; charset=utf-8", True),
        ("text/event-stream", False),
        ("application/dicom; transfer-syntax=1.2.840.10008.1.2.1", False),
        ("application/octet-stream; transfer-syntax=1.2.840.10008.1.2.1", False),
        ("image/jpeg", False),
        ("video/mp4", False),
        ("application/pdf", False),
        ('multipart/related; type="application/dicom"; boundary=b', False),
        ('multipart/related; type="application/octet-stream"; boundary=b', False),
        ("", False),
    ],
)
def test_only_texts_are_compressed_COM_36(content_type: str, text: bool) -> None:
    assert is_text(content_type) is text


def decompressed(data: bytes, coding: str) -> bytes:
    if coding == "gzip":
        return gzip.decompress(data)
    return zstandard.ZstdDecompressor().decompressobj().decompress(data)


@pytest.mark.parametrize("coding", BOTH)
@given(chunks=st.lists(st.binary(max_size=50)))
def test_what_is_compressed_comes_back(coding: str, chunks: list[bytes]) -> None:
    assert set(AVAILABLE) == set(BOTH)
    whole = b"".join(chunks)
    assert decompressed(b"".join(compressed_chunks(chunks, coding)), coding) == whole
    assert decompressed(compressed(whole, coding), coding) == whole


@pytest.mark.parametrize("coding", BOTH)
def test_the_first_chunk_can_be_read_before_the_second_is_made(coding: str) -> None:
    made: list[int] = []

    def chunks() -> Iterator[bytes]:
        for number in range(3):
            made.append(number)
            yield b"%d" % number * 1000

    stream = compressed_chunks(chunks(), coding)
    first = next(stream)
    reader = zlib.decompressobj(31) if coding == "gzip" else zstandard.ZstdDecompressor().decompressobj()
    assert reader.decompress(first) == b"0" * 1000
    assert made == [0]
    stream.close()  # type: ignore[attr-defined]


def test_closing_closes_the_source() -> None:
    closed: list[bool] = []

    def chunks() -> Iterator[bytes]:
        try:
            while True:
                yield b"x" * 1000
        finally:
            closed.append(True)

    stream = compressed_chunks(chunks(), "gzip")
    next(stream)
    stream.close()  # type: ignore[attr-defined]
    assert closed == [True]
