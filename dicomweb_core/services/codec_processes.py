"""Codecs in processes of their own: one that crashes, eats memory or never ends costs a frame, not the server."""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import os
import threading
import time
import weakref
from collections import OrderedDict, deque
from collections.abc import Iterator, Sequence
from typing import Final

from dicomweb_core.errors import InvalidFrame, MissingCodec, Overloaded
from dicomweb_core.services.codec_child import CodecChild, CodecDied, Deadlines, program_of
from dicomweb_core.services.codec_messages import (
    DECODE,
    DONE,
    ENCODE,
    REFUSED,
    Message,
    NotAMessage,
    image_of,
    image_words,
)
from dicomweb_core.values.limits import Limits
from dicomweb_core.values.pixels import ImagePixel, NativeFrame

logger: Final = logging.getLogger("dicomweb_core")

_FAILED: Final = "The codec failed on this frame."
_WORKER: Final = "dicomweb_core.services.codec_worker"
_WAITING_PER_PROCESS: Final = 64
_KILLERS: Final = 1024
"""Digests kept of what ended a process."""
_KILLER_SECONDS: Final = 600.0
"""So long it is refused unseen; then it may try again, for the machine may only have been busy."""

_living: weakref.WeakSet[CodecProcesses] = weakref.WeakSet()


class CodecProcesses:
    """A `FrameCodec` whose codecs run in up to `processes` child processes, begun when they are needed.

    A frame whose process crashes, passes `Limits.codec_memory_bytes` or `Limits.codec_seconds`, or answers rubbish
    raises InvalidFrame; others are not touched. After a fork the new process begins its own children.
    """

    def __init__(self, limits: Limits, *, processes: int = 1, program: Sequence[str] | None = None) -> None:
        """`program` is run instead of the worker: where `sys.executable` is no Python, and in tests."""
        self._limits = limits
        self._processes = max(processes, 1)
        self._program = tuple(program or program_of(_WORKER))
        self._begin()
        _living.add(self)

    def _begin(self) -> None:
        self._children: set[CodecChild] = set()
        self._lock = threading.Lock()
        self._idle: list[CodecChild] = []
        self._closed = False
        self._line = _Line(self._processes, _WAITING_PER_PROCESS * self._processes)
        self._deadlines = Deadlines(self._limits.codec_seconds)
        self._killers = _Killers()

    @property
    def process_ids(self) -> tuple[int, ...]:
        """Of the child processes that live now."""
        return tuple(child.pid for child in list(self._children) if child.alive())

    def decode(self, codestream: bytes, transfer_syntax_uid: str, image: ImagePixel) -> NativeFrame:
        """See `FrameCodec`. Also raises Overloaded when too many wait."""
        words = {"transfer_syntax": transfer_syntax_uid, "image": image_words(image)}
        answer = self._ask(Message(DECODE, words, codestream), most_bytes=self._limits.frame_bytes)
        return NativeFrame(answer.payload, image_of(answer.words["image"]))

    def encode(self, frame: NativeFrame, transfer_syntax_uid: str) -> bytes:
        """See `FrameCodec`. Also raises Overloaded when too many wait."""
        words = {"transfer_syntax": transfer_syntax_uid, "image": image_words(frame.image)}
        # What cannot be compressed grows a little.
        return self._ask(Message(ENCODE, words, frame.data), most_bytes=2 * len(frame.data) + 65_536).payload

    def close(self) -> None:
        """Ends all child processes, also those at work, whose frames are lost. Idempotent."""
        with self._lock:
            self._closed = True
            idle = self._idle
            self._idle = []
            for child in list(self._children):
                # One at work is freed by the thread that waits for it.
                child.kill()
        for child in idle:
            self._end(child)
        self._deadlines.close()

    def _begin_after_fork(self) -> None:
        inherited, closed = list(self._children), self._closed
        self._begin()
        self._closed = closed
        for child in inherited:
            child.forget()

    def _ask(self, request: Message, *, most_bytes: int) -> Message:
        if self._killers.knows(request):
            raise InvalidFrame(_FAILED)
        with self._line.place(self._limits.codec_seconds):
            return self._of_answer(self._answer(request, most_bytes))

    def _answer(self, request: Message, most_bytes: int) -> Message:
        child = self._take()
        while True:
            try:
                answer = _checked(request, child.ask(request, most_bytes=most_bytes))
            except BaseException as error:
                self._end(child)
                if not isinstance(error, (CodecDied, NotAMessage)):
                    raise
                late = isinstance(error, CodecDied) and error.late
                if child.frames > 1 and not late and not self._closed:
                    # It may have died of an earlier frame: a frame is judged by a process of its own.
                    child = self._start()
                    continue
                logger.warning("A codec %s; its frame is refused", "took too long" if late else "crashed")
                self._killers.add(request)
                raise InvalidFrame(_FAILED) from None
            self._give_back(child)
            return answer

    def _of_answer(self, answer: Message) -> Message:
        if answer.kind == DONE:
            return answer
        error, detail = answer.words.get("error"), str(answer.words.get("detail"))
        if error == InvalidFrame.__name__:
            raise InvalidFrame(detail)
        if error == MissingCodec.__name__:
            raise MissingCodec(detail)
        logger.error("A codec raised %.100r", error)
        raise InvalidFrame(_FAILED)

    def _take(self) -> CodecChild:
        while True:
            with self._lock:
                child = self._idle.pop() if self._idle else None
            if child is None:
                return self._start()
            if child.alive():
                return child
            self._end(child)

    def _give_back(self, child: CodecChild) -> None:
        with self._lock:
            if not self._closed:
                self._idle.append(child)
                return
        self._end(child)

    def _start(self) -> CodecChild:
        with self._lock:
            if self._closed:
                raise Overloaded("The server is closing.")
        try:
            child = CodecChild(self._program, self._limits, self._deadlines)
        except (CodecDied, OSError):
            logger.exception("The process for codecs does not start")
            raise MissingCodec("Codecs cannot be run here: their process does not start.") from None
        with self._lock:
            self._children.add(child)
        # Closed since: the first to be given back, or killed with the others.
        return child

    def _end(self, child: CodecChild) -> None:
        child.end()
        self._children.discard(child)


class _Line:
    """So many at once, the others wait in the order they came."""

    def __init__(self, places: int, most_waiting: int) -> None:
        self._lock = threading.Lock()
        self._free = places
        self._waiting: deque[threading.Event] = deque()
        self._most_waiting = most_waiting

    @contextlib.contextmanager
    def place(self, seconds: float) -> Iterator[None]:
        """Waits up to so many seconds. Raises Overloaded."""
        self._enter(seconds)
        try:
            yield
        finally:
            self._leave()

    def _enter(self, seconds: float) -> None:
        with self._lock:
            if self._free:
                self._free -= 1
                return
            if len(self._waiting) >= self._most_waiting:
                raise Overloaded("Too many frames wait for a codec.")
            turn = threading.Event()
            self._waiting.append(turn)
        try:
            come = turn.wait(min(seconds, threading.TIMEOUT_MAX))
        except BaseException:
            if not self._give_up(turn):
                self._leave()
            raise
        if not come and self._give_up(turn):
            raise Overloaded("Codecs are busy with other frames for too long.")

    def _give_up(self, turn: threading.Event) -> bool:
        """Leaves the line; False if the turn came in the meantime and is kept."""
        with self._lock:
            if turn in self._waiting:
                self._waiting.remove(turn)
                return True
        return False

    def _leave(self) -> None:
        with self._lock:
            if self._waiting:
                # The place goes to the first: who comes now cannot be faster.
                self._waiting.popleft().set()
            else:
                self._free += 1


class _Killers:
    """What ended a process, by digest: it is not tried again and again, for starting a process takes long."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._until: OrderedDict[bytes, float] = OrderedDict()

    def add(self, request: Message) -> None:
        """From now on it is known for a while."""
        digest = _digest(request)
        with self._lock:
            self._until[digest] = time.monotonic() + _KILLER_SECONDS
            self._until.move_to_end(digest)
            if len(self._until) > _KILLERS:
                self._until.popitem(last=False)

    def knows(self, request: Message) -> bool:
        """Whether exactly this ended a process a short while ago."""
        # Nothing is computed as long as codecs are well.
        if not self._until:
            return False
        digest = _digest(request)
        with self._lock:
            until = self._until.get(digest)
            if until is None or until > time.monotonic():
                return until is not None
            del self._until[digest]
            return False


def _digest(request: Message) -> bytes:
    digest = hashlib.sha256(json.dumps([request.kind.decode(), request.words]).encode() + b"\0")
    digest.update(request.payload)
    return digest.digest()


def _checked(request: Message, answer: Message) -> Message:
    """The answer. Raises NotAMessage if it is not one to this request."""
    if answer.kind == REFUSED:
        return answer
    if answer.kind != DONE:
        raise NotAMessage("The kind is wrong.")
    if request.kind == DECODE and len(answer.payload) != image_of(answer.words.get("image")).frame_bytes:
        raise NotAMessage("The frame is not as long as it says.")
    return answer


def _after_fork() -> None:
    for codec in list(_living):
        codec._begin_after_fork()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
