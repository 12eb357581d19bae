"""Hostile multipart payloads (A32): time and memory stay bounded, nothing incomplete is called complete."""

from __future__ import annotations

import time
import tracemalloc
from collections.abc import Callable, Iterator

import pytest

from dicomweb_core.codecs.multipart_decoder import MultipartDecoder, PartData, PartEnd
from dicomweb_core.codecs.multipart_encoder import part_head
from dicomweb_core.errors import InvalidPayload, TooLarge
from dicomweb_core.values.limits import Limits

MEGABYTE = 1 << 20
HEAD = part_head(b"B", (("Content-Type", "application/dicom"),))


def repeated(piece: bytes, total: int = 10 * MEGABYTE, chunk: int = 64 << 10) -> Iterator[bytes]:
    """`total` bytes of a repeated piece, in chunks that do not end where pieces do."""
    block = piece * (chunk // len(piece) + 2)
    sent = 0
    while sent < total:
        offset = sent % len(piece)
        yield block[offset : offset + chunk]
        sent += chunk


def decoded(chunks: Iterator[bytes], boundary: bytes = b"B") -> tuple[int, int]:
    """Bytes of content and complete parts."""
    decoder = MultipartDecoder(boundary, Limits())
    content = complete = 0
    for chunk in chunks:
        for event in decoder.feed(chunk):
            content += len(event.data) if isinstance(event, PartData) else 0
            complete += isinstance(event, PartEnd)
    for event in decoder.end():
        complete += isinstance(event, PartEnd)
    return content, complete


CONTENTS = {
    "zeros": b"\x00" * 1000,
    "CR LF dashes": b"\r\n--",
    "dashes": b"-",
    "line feeds": b"\n",
    "carriage returns": b"\r",
    "boundary of one byte more": b"\r\n--Bx",
    "boundary and blanks": b"\r\n--B" + b" " * 257,
    "boundary and a word": b"\r\n--B x",
    "boundary and dashes": b"\r\n--B--x",
    "boundary in a line": b"--B--",
}


@pytest.mark.parametrize("piece", CONTENTS.values(), ids=["A32 " + name for name in CONTENTS])
def test_content_that_resembles_boundaries_costs_little_time(piece: bytes) -> None:
    begin = time.process_time()
    content = b"".join(repeated(piece))

    def message() -> Iterator[bytes]:
        yield HEAD
        yield from (content[i : i + (64 << 10)] for i in range(0, len(content), 64 << 10))
        yield b".\r\n--B--"

    assert decoded(message()) == (len(content) + 1, 1)
    assert time.process_time() - begin < 5


@pytest.mark.parametrize("length", [20_000, pytest.param(200_000, marks=pytest.mark.slow)])
@pytest.mark.parametrize("piece", CONTENTS.values(), ids=["A32 " + name for name in CONTENTS])
def test_content_byte_by_byte_costs_time_by_its_length(piece: bytes, length: int) -> None:
    begin = time.process_time()
    content = (piece * length)[:length]

    def message() -> Iterator[bytes]:
        yield HEAD
        yield from (content[i : i + 1] for i in range(len(content)))
        yield b".\r\n--B--"

    assert decoded(message()) == (len(content) + 1, 1)
    assert time.process_time() - begin < length / 20_000


ENDLESS: dict[str, Callable[[], Iterator[bytes]]] = {
    "preamble": lambda: repeated(b"x", 100 * MEGABYTE),
    "preamble of boundaries of others": lambda: repeated(b"\r\n--Bx\r\n", 100 * MEGABYTE),
    "epilogue": lambda: repeated(b"--B--\r\n", 100 * MEGABYTE),
    "one header": lambda: repeated(HEAD[:10] + b"x" * 100_000, 10 * MEGABYTE),
    "headers": lambda: repeated(b"--B\r\n" + b"A: b\r\n" * 100_000, 10 * MEGABYTE),
    "empty parts": lambda: repeated(b"--B\r\n\r\n\r\n", 20 * MEGABYTE),
}


@pytest.mark.parametrize("chunks", ENDLESS.values(), ids=["A32 endless " + name for name in ENDLESS])
def test_what_never_ends_is_refused(chunks: Callable[[], Iterator[bytes]]) -> None:
    begin = time.process_time()
    with pytest.raises(TooLarge):
        decoded(chunks())
    assert time.process_time() - begin < 5


def test_memory_does_not_grow_with_the_content_A32() -> None:
    def message() -> Iterator[bytes]:
        yield HEAD
        yield from repeated(b"\r\n--B?" * 7, 6 * MEGABYTE)

    tracemalloc.start()
    try:
        with pytest.raises(InvalidPayload):
            decoded(message())
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < MEGABYTE


@pytest.mark.parametrize("length", [1, 7, 70])
def test_a_truncated_upload_is_never_complete_A32(length: int) -> None:
    """Every cut of a message of one part, also inside its closing boundary."""
    boundary = b"b" * length
    message = part_head(boundary, (("Content-Type", "application/dicom"),)) + b"\r\n--b\r\n" * 9 + b"\r\n--" + boundary
    if length == 1:
        message = message.replace(b"\r\n--b\r\n" * 9, b"\r\n--c\r\n" * 9)
    for cut in range(len(message)):
        with pytest.raises(InvalidPayload):
            decoded(iter([message[:cut]]), boundary)
    assert decoded(iter([message + b"--"]), boundary)[1] == 1
