"""Reading multipart/related (PS3.18 8.6.1.2, RFC 2046 5.1.1)."""

from __future__ import annotations

import email.parser
import email.policy
from collections.abc import Iterable, Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dicomweb_core.codecs.multipart_decoder import Event, MultipartDecoder, PartData, PartEnd, PartStart, boundary_of
from dicomweb_core.codecs.multipart_encoder import PART_END, closing, new_boundary, part_head
from dicomweb_core.errors import BadRequest, InvalidPayload, TooLarge
from dicomweb_core.values.limits import Limits
from dicomweb_core.values.media_types import MediaType

Part = tuple[tuple[tuple[str, str], ...], bytes]
DICOM = (("Content-Type", "application/dicom"),)


def events(chunks: Iterable[bytes], boundary: bytes = b"B", limits: Limits | None = None) -> Iterator[Event]:
    decoder = MultipartDecoder(boundary, limits or Limits())
    for chunk in chunks:
        yield from decoder.feed(chunk)
    yield from decoder.end()


def parts(chunks: Iterable[bytes], boundary: bytes = b"B", limits: Limits | None = None) -> list[Part]:
    """The complete parts; asserts that events come in their order."""
    found: list[Part] = []
    headers: tuple[tuple[str, str], ...] | None = None
    content = b""
    for event in events(chunks, boundary, limits):
        match event:
            case PartStart():
                assert headers is None
                headers, content = event.headers, b""
            case PartData():
                assert headers is not None
                assert len(event.data) > 0
                content += bytes(event.data)
            case PartEnd():
                assert headers is not None
                found.append((headers, content))
                headers = None
    assert headers is None
    return found


def bytewise(data: bytes) -> list[bytes]:
    return [data[i : i + 1] for i in range(len(data))]


def chunked(data: bytes, sizes: list[int]) -> list[bytes]:
    chunks, position = [], 0
    for size in sizes:
        chunks.append(data[position : position + size])
        position += size
    return [*chunks, data[position:]]


HEAD = b"Content-Type: application/dicom\r\n\r\n"
TWO = [(DICOM, b"one"), (DICOM, b"two")]

TOLERATED = [
    pytest.param(b"--B\r\n" + HEAD + b"one\r\n--B\r\n" + HEAD + b"two\r\n--B--\r\n", TWO, id="MUL-02 strict"),
    pytest.param(b"\r\n--B\r\n" + HEAD + b"one\r\n--B\r\n" + HEAD + b"two\r\n--B--\r\n", TWO, id="preamble CRLF"),
    pytest.param(b"--B\r\n" + HEAD + b"one\r\n--B\r\n" + HEAD + b"two\r\n--B--", TWO, id="no CRLF at the end"),
    pytest.param(b"Hi --B\r\n--BB\r\n--B\r\n" + HEAD + b"one\r\n--B--\r\n", TWO[:1], id="preamble text"),
    pytest.param(b"--B\r\n" + HEAD + b"one\r\n--B--\r\n--B\r\n\r\nno part", TWO[:1], id="epilogue text"),
    pytest.param(b"--B \t\r\n" + HEAD + b"one\r\n--B  \r\n" + HEAD + b"two\r\n--B-- \r\n", TWO, id="padding"),
    pytest.param((b"--B\n" + HEAD + b"one\n--B\n" + HEAD + b"two\n--B--\n").replace(b"\r", b""), TWO, id="LF only"),
    pytest.param(b"--B\nA: b\n\n\r\n--B--\n", [((("A", "b"),), b"\r")], id="LF only, content ends in CR"),
    pytest.param(b"--B\r\n" + HEAD + b"one\n--B--", TWO[:1], id="CRLF first, LF later"),
    pytest.param(b"--B\r\n" + HEAD + b"one\r\n--B", TWO[:1], id="last boundary without dashes"),
    pytest.param(b"--B\r\n" + HEAD + b"one\r\n--B\r\n", TWO[:1], id="last boundary without dashes, CRLF"),
    pytest.param(b"--B--\r\n", [], id="MUL-10 no parts"),
    pytest.param(b"\r\n--B--", [], id="MUL-10 no parts, preamble CRLF"),
    pytest.param(b"--B\r\n" + HEAD + b"\r\n--B--", [(DICOM, b"")], id="empty part"),
    pytest.param(b"--B\r\n" + HEAD + b"--B--", [(DICOM, b"")], id="empty part that shares its line end"),
    pytest.param(b"--B\r\n\r\nx\r\n--B--", [((), b"x")], id="part without headers"),
    pytest.param(b"--B\r\ncontent-TYPE:a/b\r\n\r\nx\r\n--B--", [((("content-TYPE", "a/b"),), b"x")], id="header case"),
    pytest.param(
        b"--B\r\nA: application/dicom;\r\n\ttransfer-syntax=1.2\r\n \r\n\r\nx\r\n--B--",
        [((("A", "application/dicom; transfer-syntax=1.2"),), b"x")],
        id="A32 folded header",
    ),
    pytest.param(
        b"--B\r\nContent-Length: 9\r\n\r\nx\r\n--B--", [((("Content-Length", "9"),), b"x")], id="A32 lying length"
    ),
    pytest.param(b"--B\r\nA: \xe9\xff\r\n\r\nx\r\n--B--", [((("A", "éÿ"),), b"x")], id="latin-1 header"),
    pytest.param(
        b"--B\r\nContent-Type: multipart/mixed; boundary=C\r\n\r\n--C\r\n\r\nx\r\n--C--\r\n\r\n--B--",
        [((("Content-Type", "multipart/mixed; boundary=C"),), b"--C\r\n\r\nx\r\n--C--\r\n")],
        id="A32 nested multipart is content",
    ),
]

CONTENT = [
    *(b"--B", b"a--B\r\n", b"x\r\n--BX\r\ny", b"x\r\n--B--X\r\ny", b"x\r\n--B-\r\ny", b"\r\n--", b"\r\n", b"\r", b"\n"),
    *(b"\r\r\n\n", b"\r\n--B  x\r\n", b"\r\n-\r\n--\r\n---B\r\n", b"\r\n--B\rx", b"\r--B--\r\n", b"\r\n--\r\n--BB--"),
    *(b"\r\n--B" + b" " * 300 + b"\r\n", b"\r\n --B--\r\n", b"\r\n--b--\r\n", b"--B-- x"),
]


@pytest.mark.parametrize(("message", "expected"), TOLERATED)
def test_forms_of_a_message(message: bytes, expected: list[Part]) -> None:
    assert parts([message]) == expected
    assert parts(bytewise(message)) == expected


@pytest.mark.parametrize("content", CONTENT, ids=repr)
def test_what_only_resembles_a_boundary_is_content_A32(content: bytes) -> None:
    message = b"--B\r\n" + HEAD + b"." + content + b"\r\n--B--\r\n"
    assert parts([message]) == [(DICOM, b"." + content)]
    assert parts(bytewise(message)) == [(DICOM, b"." + content)]


@pytest.mark.parametrize(
    "message",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"--", id="less than a boundary"),
        pytest.param(b"--B", id="only an opening boundary"),
        pytest.param(b"--B\r\n", id="only an opening line"),
        pytest.param(b"x--B--\r\n", id="boundary inside a line"),
        pytest.param(b"--C\r\n\r\nx\r\n--C--\r\n", id="another boundary"),
        pytest.param(b"--B\r\n" + HEAD + b"one", id="A32 no final boundary"),
        pytest.param(b"--B\r\n" + HEAD + b"one\r\n--", id="cut in the final boundary"),
        pytest.param(b"--B\r\n" + HEAD + b"one\r\n--B-", id="cut in the final dashes"),
        pytest.param(b"--B\r\n" + HEAD + b"one\r\n--C--\r\n", id="final boundary of another"),
        pytest.param(b"--B\r\nContent-Type: a/b\r\n", id="cut behind a header"),
        pytest.param(b"--B\r\n" + HEAD + b"x\r\n--B\r\nCont", id="cut in a header"),
        pytest.param(b"--B\r\nno colon\r\n\r\nx\r\n--B--", id="header without colon"),
        pytest.param(b"--B\r\n folded: first\r\n\r\nx\r\n--B--", id="A32 folded line without header"),
        pytest.param(b"--B\r\nA: \x00\r\n\r\nx\r\n--B--", id="A32 NUL in header"),
        pytest.param(b"--B\r\nA: \rx\r\n\r\nx\r\n--B--", id="A35 CR in header"),
        pytest.param(b"--B\r\nA b: x\r\n\r\nx\r\n--B--", id="blank in header name"),
        pytest.param(b"--B\r\n--B--\r\n", id="boundary instead of headers"),
    ],
)
def test_broken_messages_are_refused(message: bytes) -> None:
    with pytest.raises(InvalidPayload):
        parts([message])
    with pytest.raises(InvalidPayload):
        parts(bytewise(message))


@pytest.mark.parametrize("cut", range(1, 92))
def test_a_message_cut_anywhere_never_completes_a_part_it_cuts(cut: int) -> None:
    message = b"--B\r\n" + HEAD + b"first\r\n--B\r\n" + HEAD + b"second"
    decoder = MultipartDecoder(b"B", Limits())
    found = list(decoder.feed(message[:cut]))
    rest: list[Event] = []
    boundary = message.index(b"\n--B\r") + 4
    if boundary <= cut <= boundary + 2:
        rest.extend(decoder.end())  # nothing is missing of the first part, and nothing is there of another
    else:
        with pytest.raises(InvalidPayload):
            rest.extend(decoder.end())
    ends = sum(isinstance(event, PartEnd) for event in found + rest)
    assert ends == (1 if cut >= boundary else 0)


@pytest.mark.parametrize(
    ("message", "limit"),
    [
        pytest.param(b"\r\n".join([b"x" * 1000] * 100), "multipart_preamble_bytes", id="preamble"),
        pytest.param(b"--B--\r\n" + b"x" * 70_000, "multipart_preamble_bytes", id="epilogue"),
        pytest.param(b"--B\r\nA: " + b"x" * 20_000, "multipart_header_bytes", id="one long header"),
        pytest.param(b"--B\r\n" + b"A:\r\n" + b" x\r\n" * 20_000, "multipart_header_bytes", id="folds"),
        pytest.param(b"--B\r\n" + b"A: b\r\n" * 100, "multipart_headers", id="many headers"),
        pytest.param(b"--B\r\n\r\n" * 100_001, "multipart_parts", id="many empty parts"),
    ],
)
def test_ceilings_A32(message: bytes, limit: str) -> None:
    with pytest.raises(TooLarge) as caught:
        parts([message])
    assert caught.value.limit == limit
    assert caught.value.ceiling == getattr(Limits(), limit)


def test_preamble_and_epilogue_have_a_ceiling_each() -> None:
    assert parts([b"x" * 60_000 + b"\r\n--B--\r\n" + b"x" * 60_000]) == []


def test_the_ceiling_of_the_preamble_counts_chunks_together() -> None:
    with pytest.raises(TooLarge):
        parts([b"x" * 1000] * 66)


def test_data_in_a_chunk_is_not_copied() -> None:
    decoder = MultipartDecoder(b"B", Limits())
    list(decoder.feed(b"--B\r\n\r\n"))
    list(decoder.feed(b"first"))
    chunk = b"d" * 1000
    (event,) = decoder.feed(chunk)
    assert isinstance(event, PartData)
    assert isinstance(event.data, memoryview)
    assert event.data.obj is chunk


def test_no_more_than_a_boundary_is_held_back() -> None:
    decoder = MultipartDecoder(b"B" * 70, Limits())
    list(decoder.feed(b"--" + b"B" * 70 + b"\r\n\r\n"))
    received = 0
    data = (b"x" * 100 + b"\r\n--" + b"B" * 69) * 20
    for number, chunk in enumerate(bytewise(data), 1):
        received += sum(len(event.data) for event in decoder.feed(chunk) if isinstance(event, PartData))
        assert number - received <= 70 + 8


def test_the_start_of_a_part_carries_its_media_type_and_headers() -> None:
    message = b"--B\r\ncontent-type: Application/DICOM; transfer-syntax=1.2.3\r\nContent-Location: http://x/\r\n\r\n"
    start = next(events([message]))
    assert isinstance(start, PartStart)
    assert start.media_type == MediaType("application", "dicom", (("transfer-syntax", "1.2.3"),))
    assert start.header("CONTENT-LOCATION") == "http://x/"
    assert start.header("Content-ID") is None


@pytest.mark.parametrize("head", [b"", b"Content-Type: nonsense\r\n", b"Content-Type: a/b; x=1; x=2\r\n"])
def test_a_part_without_a_readable_content_type_has_no_media_type_A32(head: bytes) -> None:
    start = next(events([b"--B\r\n" + head + b"\r\nx\r\n--B--"]))
    assert isinstance(start, PartStart)
    assert start.media_type is None


@pytest.mark.parametrize(
    ("content_type", "boundary"),
    [
        ("multipart/related; boundary=abc", b"abc"),
        ('multipart/related; boundary="a b;c,d=e"; type="application/dicom"', b"a b;c,d=e"),
        ("multipart/related; boundary=a=b:c/d?e", b"a=b:c/d?e"),
        ('Multipart/Related; BOUNDARY="AbC"', b"AbC"),
        (r'multipart/related; boundary="a\"b"', b'a"b'),
        ("multipart/related; boundary=" + "x" * 70, b"x" * 70),
    ],
)
def test_boundary_of_a_content_type_A32(content_type: str, boundary: bytes) -> None:
    assert boundary_of(MediaType.parse(content_type)) == boundary


@pytest.mark.parametrize(
    "parameter",
    ["", "; boundary", "; boundary=", '; boundary=""', "; boundary=" + "x" * 71, '; boundary="x "', "; boundary=é"],
)
def test_illegal_boundaries_are_refused_A32(parameter: str) -> None:
    with pytest.raises(BadRequest):
        boundary_of(MediaType.parse("multipart/related" + parameter))


_fragments = st.sampled_from(
    [b"\r\n", b"\n", b"\r", b"--", b"-", b"B", b"--B", b"\r\n--B", b"\r\n--Bx", b" ", b"x", b"\xff\x00"]
)
_contents = st.lists(_fragments, max_size=12).map(b"".join) | st.binary(max_size=200)


@given(st.lists(_contents, max_size=5), st.lists(st.integers(0, 40), max_size=30))
def test_any_parts_in_any_chunks_come_back(contents: list[bytes], sizes: list[int]) -> None:
    boundary = new_boundary()
    message = b"".join(part_head(boundary, DICOM) + content + PART_END for content in contents) + closing(boundary)
    assert parts(chunked(message, sizes), boundary) == [(DICOM, content) for content in contents]


@given(st.lists(_fragments, max_size=40).map(b"".join), st.lists(st.integers(0, 9), max_size=60))
def test_chunks_do_not_matter_even_in_hostile_text(text: bytes, sizes: list[int]) -> None:
    def outcome(chunks: list[bytes]) -> object:
        try:
            return parts(chunks)
        except InvalidPayload as error:
            return error.detail

    assert outcome(chunked(b"--B\r\n\r\n" + text, sizes)) == outcome([b"--B\r\n\r\n" + text])


_lines = st.lists(st.sampled_from([b"\n", b"--", b"B", b"x", b"-- B", b"\xfe"]), max_size=9).map(b"".join)


@given(st.lists(_lines, min_size=1, max_size=4))
def test_it_agrees_with_the_parser_of_the_standard_library(contents: list[bytes]) -> None:
    """Python's email package reads the same parts out of the same message."""
    contents = [b"." + content for content in contents]
    boundary = b"boundary"
    message = b"".join(part_head(boundary, DICOM) + content + PART_END for content in contents) + closing(boundary)
    parsed = email.parser.BytesParser(policy=email.policy.compat32).parsebytes(
        b'MIME-Version: 1.0\r\nContent-Type: multipart/related; boundary="boundary"\r\n\r\n' + message
    )
    assert [content for _, content in parts([message], boundary)] == [
        part.get_payload(decode=True) for part in parsed.walk() if not part.is_multipart()
    ]
