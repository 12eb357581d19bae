"""Inside a process that runs codecs: messages in at standard input, out at standard output, with ceilings."""

from __future__ import annotations

import io
import os
import signal
import sys
from collections.abc import Callable
from typing import Any, Final, NamedTuple

from dicomweb_core.errors import InvalidFrame, MissingCodec
from dicomweb_core.services.codec_messages import (
    DECODE,
    DONE,
    READ_BYTES,
    REFUSED,
    START,
    Message,
    NotAMessage,
    image_of,
    image_words,
    receive,
    send,
)
from dicomweb_core.values.limits import Limits
from dicomweb_core.values.pixels import ImagePixel, NativeFrame

if sys.platform != "win32":
    import resource

Decode = Callable[[bytes, str, ImagePixel, Limits], NativeFrame]
Encode = Callable[[NativeFrame, str, Limits], bytes]

_OPEN_FILES: Final = 32
_NO_TIME: Final = 86_400.0


class _Pipes(NamedTuple):
    requests: io.BufferedReader
    answers: io.RawIOBase


def serve(decode: Decode, encode: Encode) -> None:
    """Answers until standard input ends, or the memory that is left would not do for another frame."""
    pipes = _own_pipes()
    first = receive(pipes.requests, most_bytes=0)
    limits = Limits(**first.words)
    _be_deaf_to_signals()
    begun_with = _address_space()
    _set_ceilings(begun_with, limits)
    send(pipes.answers, Message(START, {"pid": os.getpid()}))
    # Up to here the server's standard error shows why no process starts; codecs have nothing to say there.
    _to_nowhere(2)
    while _address_space() - begun_with < limits.codec_memory_bytes // 2:
        try:
            request = receive(pipes.requests, most_bytes=sys.maxsize)
        except NotAMessage:
            return
        _end_without_server(limits.codec_seconds)
        send(pipes.answers, _answer(request, limits, decode, encode))
        _end_without_server(0)


def _answer(request: Message, limits: Limits, decode: Decode, encode: Encode) -> Message:
    image, uid = image_of(request.words["image"]), request.words["transfer_syntax"]
    try:
        if request.kind == DECODE:
            frame = decode(request.payload, uid, image, limits)
            return Message(DONE, {"image": image_words(frame.image)}, frame.data)
        return Message(DONE, {}, encode(NativeFrame(request.payload, image), uid, limits))
    except (InvalidFrame, MissingCodec) as error:
        return Message(REFUSED, {"error": type(error).__name__, "detail": error.detail})
    except MemoryError:
        raise
    except Exception as error:
        return Message(REFUSED, {"error": type(error).__name__, "detail": ""})


def _own_pipes() -> _Pipes:
    """The pipes to the server, out of reach of libraries that read standard input or print."""
    requests, answers = os.dup(0), os.dup(1)
    _to_nowhere(0)
    _to_nowhere(1)
    return _Pipes(io.BufferedReader(io.FileIO(requests, "rb"), READ_BYTES), io.FileIO(answers, "wb"))


def _to_nowhere(descriptor: int) -> None:
    nowhere = os.open(os.devnull, os.O_RDWR)
    os.dup2(nowhere, descriptor)
    os.close(nowhere)


def _be_deaf_to_signals() -> None:
    """Who stops the server sends these to all its processes; the server still finishes what it has begun. This one
    ends with its standard input."""
    for name in ("SIGINT", "SIGTERM", "SIGHUP"):
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.SIG_IGN)


def _end_without_server(seconds: float) -> None:
    """A codec that never ends while the server is killed would stay for ever: the alarm ends the process, also inside
    a library. Later than the server would; 0 takes it back."""
    if hasattr(signal, "setitimer"):
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.setitimer(signal.ITIMER_REAL, min(2 * seconds + 1, _NO_TIME) if seconds else 0)


def _address_space() -> int:
    """Bytes of address space in use; 0 where the system does not tell."""
    try:
        with open("/proc/self/statm", "rb") as statm:
            return int(statm.read().split()[0]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return 0


def _set_ceilings(begun_with: int, limits: Limits) -> None:
    if sys.platform == "win32":
        # There is a deadline, but no ceiling for memory.
        return
    ceilings: dict[str, int] = {
        "RLIMIT_AS": begun_with + limits.codec_memory_bytes,
        "RLIMIT_CORE": 0,
        "RLIMIT_FSIZE": 0,
        "RLIMIT_NOFILE": _OPEN_FILES,
    }
    for name, ceiling in ceilings.items():
        which: Any = getattr(resource, name, None)
        if which is None:
            continue
        _, hard = resource.getrlimit(which)
        ceiling = ceiling if hard == resource.RLIM_INFINITY else min(ceiling, hard)
        try:
            resource.setrlimit(which, (ceiling, ceiling))
        except (OSError, ValueError):
            # macOS knows RLIMIT_AS and refuses it.
            continue
