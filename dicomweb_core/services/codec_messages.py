"""Messages between the server and a process that runs codecs: a header, a little JSON, raw bytes.

No pickle: a codec that was taken over must not be able to run anything in the server. What arrives is checked as if a
client had sent it.
"""

from __future__ import annotations

import io
import json
import struct
from collections.abc import Mapping
from dataclasses import fields
from typing import Any, Final, NamedTuple

from dicomweb_core.values.pixels import ImagePixel

START: Final = b"STRT"
"""To the process: its `Limits`. From it: it is ready."""
DECODE: Final = b"DECO"
ENCODE: Final = b"ENCO"
DONE: Final = b"DONE"
"""The frame that was asked for."""
REFUSED: Final = b"REFU"
"""The codec raised one of the errors that the server knows by name, or another, which has none."""

READ_BYTES: Final = 65_536
"""What a reader takes at once from its pipe, or more."""

_HEADER: Final = struct.Struct("<4sIQ")
_MOST_WORDS: Final = 65_536
"""Bytes of the JSON of one message."""
_IN_ONE_PIECE: Final = 262_144
_TYPES: Final[Mapping[str, type]] = {"int": int, "bool": bool, "str": str}
_MEMBERS: Final = {member.name: _TYPES[str(member.type)] for member in fields(ImagePixel)}


class Message(NamedTuple):
    """`kind` is one of the constants of this module."""

    kind: bytes
    words: dict[str, Any]
    payload: bytes = b""


class NotAMessage(Exception):
    """The other end closed the pipe, or wrote what is no message."""


def send(pipe: io.RawIOBase, message: Message) -> None:
    """Writes the whole message; waits while the pipe is full. Raises OSError when the other end is gone."""
    words = json.dumps(message.words, separators=(",", ":")).encode()
    head = _HEADER.pack(message.kind, len(words), len(message.payload)) + words
    if len(message.payload) <= _IN_ONE_PIECE:
        # Each write wakes the other end: a copy is cheaper.
        _write(pipe, head + message.payload)
    else:
        _write(pipe, head)
        _write(pipe, message.payload)


def receive(pipe: io.BufferedReader, *, most_bytes: int) -> Message:
    """The next message, with a payload of up to so many bytes; waits for it. Raises NotAMessage and OSError."""
    kind, of_words, of_payload = _HEADER.unpack(_read(pipe, _HEADER.size))
    if of_words > _MOST_WORDS or of_payload > most_bytes:
        raise NotAMessage("A length is beyond what can be.")
    try:
        words = json.loads(_read(pipe, of_words))
    except (ValueError, RecursionError):
        raise NotAMessage("The words are no JSON.") from None
    if not isinstance(words, dict):
        raise NotAMessage("The words are no object.")
    return Message(kind, words, _read(pipe, of_payload))


def image_words(image: ImagePixel) -> dict[str, Any]:
    """An image as JSON can carry it."""
    return {name: getattr(image, name) for name in _MEMBERS}


def image_of(words: object) -> ImagePixel:
    """Undoes `image_words`. Raises NotAMessage when a member is missing, unknown, or not of its type."""
    if not isinstance(words, dict) or words.keys() != _MEMBERS.keys():
        raise NotAMessage("The members of an image are wrong.")
    if any(type(words[name]) is not kind for name, kind in _MEMBERS.items()):
        raise NotAMessage("A member of an image is not of its type.")
    return ImagePixel(**words)


def _write(pipe: io.RawIOBase, data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        # A pipe that is not to wait would return None; ours do wait.
        rest = rest[pipe.write(rest) or 0 :]


def _read(pipe: io.BufferedReader, size: int) -> bytes:
    data = pipe.read(size)
    if len(data) != size:
        raise NotAMessage("The other end is gone.")
    return data
