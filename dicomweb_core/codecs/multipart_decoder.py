"""multipart/related from chunks of bytes to events (RFC 2387, RFC 2046 5.1.1, PS3.18 8.6.1.2). No I/O.

Taken as well: text before the first and after the last boundary, LF alone as line end, blanks behind a boundary,
folded headers, no line end behind the last boundary, a last boundary without its `--`, no parts at all.
Content-Length of a part is not believed: boundaries decide. Codings of a part are not undone.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum, auto
from typing import Final

from dicomweb_core.errors import BadRequest, InvalidPayload, TooLarge
from dicomweb_core.values.limits import Limits
from dicomweb_core.values.media_types import MediaType
from dicomweb_core.values.messages import Buffer, HeaderList

_MAX_BOUNDARY: Final = 70
# RFC 2046 allows fewer characters, but nothing depends on that; never a line end, and no space as the last.
_BOUNDARY: Final = re.compile(r"[\x20-\x7e]*[\x21-\x7e]")
# What makes a boundary of `--boundary`: the closing dashes, blanks, a line end; and that without its last bytes.
_DELIMITER_END: Final = rb"(--)?[ \t]{0,256}\r?\n"
_BEGUN_DELIMITER_END: Final = re.compile(rb"-|(--)?[ \t]{0,256}\r?")
_HEADER: Final = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+)[ \t]*:[ \t]*([^\x00-\x08\x0a-\x1f\x7f]*)")


@dataclass(frozen=True, slots=True)
class PartStart:
    """A part begins. `media_type` is its Content-Type, or None when there is none that can be read."""

    headers: HeaderList
    media_type: MediaType | None

    def header(self, name: str) -> str | None:
        """The first value of a header, or None when absent. Any case of `name`."""
        wanted = name.lower()
        return next((value for key, value in self.headers if key.lower() == wanted), None)


@dataclass(frozen=True, slots=True)
class PartData:
    """Bytes of the part, never empty, lent until the next `feed` or `end`."""

    data: Buffer


@dataclass(frozen=True, slots=True)
class PartEnd:
    """The part is complete: its bytes were followed by a boundary."""


Event = PartStart | PartData | PartEnd


def boundary_of(content_type: MediaType) -> bytes:
    """The boundary a multipart Content-Type names. Raises BadRequest when it is missing or not one (8.6.1.2.1)."""
    boundary = content_type.param("boundary")
    if not boundary:
        raise BadRequest("The multipart Content-Type has no boundary.")
    if len(boundary) > _MAX_BOUNDARY or _BOUNDARY.fullmatch(boundary) is None:
        raise BadRequest("The boundary is not 1 to 70 characters of ASCII (PS3.18 8.6.1.2.1).")
    return boundary.encode("ascii")


class _State(Enum):
    PREAMBLE = auto()
    HEADERS = auto()
    CONTENT = auto()
    EPILOGUE = auto()


class _Delimiter(Enum):
    """A boundary: whether another part follows (RFC 2046 5.1.1)."""

    NONE = auto()
    OPEN = auto()
    CLOSE = auto()


class MultipartDecoder:
    """A message being read. At most a boundary or one header line is held back between chunks.

    A part that is not followed by a boundary is never reported complete. Every iterator must be exhausted before
    the next call. After an exception the decoder is of no further use.
    """

    def __init__(self, boundary: bytes, limits: Limits) -> None:
        self._needle = b"\n--" + boundary
        self._delimiter_line = re.compile(re.escape(self._needle) + _DELIMITER_END)
        self._limits = limits
        self._state = _State.PREAMBLE
        # A boundary is one at the begin of a line only; the message itself begins a line.
        self._buffer = b"\n"
        self._position = 0
        self._content = 1
        self._bare_lf = False
        self._discarded = 0
        self._parts = 0
        self._headers: list[tuple[str, str]] = []
        self._header_bytes = 0

    def feed(self, data: bytes) -> Iterator[Event]:
        """What the next chunk brings. Raises InvalidPayload and TooLarge."""
        if not data:
            return iter(())
        self._buffer = self._buffer[self._position :] + data if self._position < len(self._buffer) else data
        self._content -= self._position
        self._position = 0
        return self._events(at_end=False)

    def end(self) -> Iterator[Event]:
        """What was held back, now that the message is over.

        Raises InvalidPayload when it has no boundary, or ends in a part that no boundary follows.
        """
        yield from self._events(at_end=True)
        match self._state:
            case _State.PREAMBLE:
                raise InvalidPayload("The multipart payload does not contain its boundary.")
            case _State.CONTENT:
                raise InvalidPayload(f"The payload ends within part {self._parts}: the closing boundary is missing.")
            case _State.HEADERS if not self._parts or self._headers or self._position < len(self._buffer):
                raise InvalidPayload(f"The payload ends within the headers of part {self._parts + 1}.")

    def _events(self, *, at_end: bool) -> Iterator[Event]:
        while True:
            if self._state is _State.HEADERS:
                start = self._read_headers()
                if start is None:
                    return
                yield start
                continue
            if self._state is _State.EPILOGUE:
                self._discard(self._position, len(self._buffer))
                self._position = len(self._buffer)
                return
            begin = self._content
            found = self._find_delimiter(at_end=at_end)
            end = self._content
            if self._state is _State.PREAMBLE:
                self._discard(begin, end)
            elif end > begin:
                yield PartData(memoryview(self._buffer)[begin:end])
            if found is _Delimiter.NONE:
                return
            if self._state is _State.CONTENT:
                yield PartEnd()
            else:
                self._discarded = 0
                # How the first boundary ends its line tells whether a CR before the others belongs to them.
                self._bare_lf = self._buffer[self._position - 2 : self._position] not in (b"\r\n", b"\r")
            self._state = _State.EPILOGUE if found is _Delimiter.CLOSE else _State.HEADERS

    def _find_delimiter(self, *, at_end: bool) -> _Delimiter:
        """What the next boundary is, with `_position` behind it; NONE with it at what the next chunk decides.

        `_content` is then where the content that is certain ends.
        """
        buffer = self._buffer
        delimiter, begin, behind = _Delimiter.NONE, -1, len(buffer)
        text = buffer.find(self._needle, self._position)
        if text >= 0:
            line = self._delimiter_line.search(buffer, text)
            if line is not None:
                begin, behind = line.span()
                delimiter = _closing_or_not(line)
            else:
                # Only the last one can be a boundary whose line has not ended: no line end may follow it.
                text = buffer.rfind(self._needle)
                begun = _BEGUN_DELIMITER_END.fullmatch(buffer, text + len(self._needle))
                if begun is not None and not (at_end and begun[0] == b"-"):
                    begin = text
                    delimiter = _closing_or_not(begun) if at_end else _Delimiter.NONE
        undecided = self._line_end(begin) if begin >= 0 else behind if at_end else self._possible_delimiter()
        self._content = max(self._content, undecided)
        self._position = undecided if delimiter is _Delimiter.NONE else behind
        return delimiter

    def _line_end(self, line_feed: int) -> int:
        """Where the line end begins that has its LF there: a CR before it counts if it is content."""
        carriage_return = line_feed > self._content and self._buffer[line_feed - 1] == 0x0D
        return line_feed - 1 if carriage_return and not self._bare_lf else line_feed

    def _possible_delimiter(self) -> int:
        """Where a boundary may begin of which the chunk has only the first bytes; the end if there is none."""
        buffer = self._buffer
        line_feed = buffer.rfind(b"\n", max(self._position, len(buffer) - len(self._needle) + 1))
        if line_feed >= 0 and self._needle.startswith(buffer[line_feed:]):
            return self._line_end(line_feed)
        return len(buffer) - 1 if buffer.endswith(b"\r") and not self._bare_lf else len(buffer)

    def _read_headers(self) -> PartStart | None:
        """The start of a part once all its headers are there."""
        while (line_feed := self._buffer.find(b"\n", self._position)) >= 0:
            line = self._buffer[self._position : line_feed].removesuffix(b"\r")
            self._check_header_bytes(line_feed + 1)
            self._header_bytes += line_feed + 1 - self._position
            if not line:
                # The LF stays: a boundary may follow at once.
                self._position, self._content = line_feed, line_feed + 1
                return self._part_start()
            self._position = line_feed + 1
            self._add_header(line)
        self._check_header_bytes(len(self._buffer))
        return None

    def _add_header(self, line: bytes) -> None:
        folded = line[:1] in (b" ", b"\t")
        match = _HEADER.fullmatch(b"x:" + line if folded else line)
        if match is None or (folded and not self._headers):
            raise InvalidPayload(f"Part {self._parts + 1} has a malformed header line.")
        value = _decoded(match[2]).rstrip(" \t")
        if folded:
            name, before = self._headers[-1]
            self._headers[-1] = (name, f"{before} {value}".strip())
            return
        self._headers.append((match[1].decode("ascii"), value))
        if len(self._headers) > self._limits.multipart_headers:
            raise self._too_large("multipart_headers", f"Part {self._parts + 1} has too many headers")

    def _part_start(self) -> PartStart:
        self._parts += 1
        if self._parts > self._limits.multipart_parts:
            raise self._too_large("multipart_parts", "The payload has too many parts")
        start = PartStart(tuple(self._headers), _media_type(self._headers))
        self._headers.clear()
        self._header_bytes = 0
        self._state = _State.CONTENT
        return start

    def _check_header_bytes(self, end: int) -> None:
        if self._header_bytes + end - self._position > self._limits.multipart_header_bytes:
            raise self._too_large("multipart_header_bytes", f"The headers of part {self._parts + 1} are too long")

    def _discard(self, begin: int, end: int) -> None:
        self._discarded += end - begin
        if self._discarded > self._limits.multipart_preamble_bytes:
            raise self._too_large("multipart_preamble_bytes", "There is too much text outside of the parts")

    def _too_large(self, limit: str, what: str) -> TooLarge:
        ceiling: int = getattr(self._limits, limit)
        return TooLarge(f"{what}: at most {ceiling} are allowed.", limit=limit, ceiling=ceiling)


def _closing_or_not(delimiter_end: re.Match[bytes]) -> _Delimiter:
    return _Delimiter.CLOSE if delimiter_end[1] else _Delimiter.OPEN


def _decoded(value: bytes) -> str:
    try:
        return value.decode("utf-8")
    except UnicodeDecodeError:
        return value.decode("latin-1")


def _media_type(headers: list[tuple[str, str]]) -> MediaType | None:
    text = next((value for name, value in headers if name.lower() == "content-type"), None)
    try:
        return None if text is None else MediaType.parse(text)
    except BadRequest:
        return None
