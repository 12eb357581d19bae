"""A codec worker whose codec does what the codestream says: for `CodecProcesses(program=program_of(...))`."""

from __future__ import annotations

import json
import os
import resource
import signal
import sys
import time

from dicomweb_core.errors import InvalidFrame, MissingCodec, NotFound
from dicomweb_core.services.codec_serving import serve
from dicomweb_core.values.limits import Limits
from dicomweb_core.values.pixels import ImagePixel, NativeFrame

_frames = 0


def decode(codestream: bytes, transfer_syntax_uid: str, image: ImagePixel, limits: Limits) -> NativeFrame:
    global _frames
    _frames += 1
    command, _, argument = codestream.partition(b" ")
    match command:
        case b"signal":
            os.kill(os.getpid(), signal.Signals[argument.decode()])
        case b"crash-if-used" if _frames > 1:
            os.kill(os.getpid(), signal.SIGSEGV)
        case b"sleep":
            time.sleep(float(argument))
        case b"spin":
            while True:
                pass
        case b"stop":
            os.kill(os.getpid(), signal.SIGSTOP)
        case b"allocate":
            bytes(int(argument))
        case b"keep":
            globals()["kept"] = bytes(int(argument))
        case b"exit":
            os._exit(int(argument))
        case b"print":
            os.write(1, b"a library that prints\n" * 10_000)
        case b"write":
            for descriptor in range(3, 32):
                try:
                    os.write(descriptor, argument)
                except OSError:
                    continue
            os._exit(0)
        case b"short":
            return NativeFrame(b"\1" * (image.frame_bytes - 1), image)
        case b"long":
            return NativeFrame(bytes(int(argument)), image)
        case b"invalid":
            raise InvalidFrame(argument.decode())
        case b"missing":
            raise MissingCodec(argument.decode())
        case b"other":
            raise NotFound("of the codec")
        case b"bug":
            raise ZeroDivisionError
        case b"about":
            about = {
                "environment": dict(os.environ),
                "open": len(os.listdir("/proc/self/fd")),
                "core": resource.getrlimit(resource.RLIMIT_CORE)[0],
                "modules": sorted(sys.modules),
                "pid": os.getpid(),
                "limits": limits.frame_bytes,
                "transfer_syntax": transfer_syntax_uid,
            }
            text = json.dumps(about).encode()
            return NativeFrame(text, ImagePixel(1, len(text), 1, 8, 8))
    times = image.frame_bytes // max(len(codestream), 1) + 1
    return NativeFrame((codestream * times)[: image.frame_bytes], image)


def encode(frame: NativeFrame, transfer_syntax_uid: str, limits: Limits) -> bytes:
    return decode(frame.data[:64].rstrip(b"\0"), transfer_syntax_uid, frame.image, limits).data[::-1]


def main() -> None:
    """Like `codec_worker.main`."""
    serve(decode, encode)
