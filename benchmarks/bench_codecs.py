"""Codecs: `decode` and `encode` beside the bare call of the library on the same bytes.

The same frame in memory, the two in turns, the median of the paired ratios: what our checks and conversions cost. One
line per case. RLE has no encoder in imagecodecs: its peer is pylibjpeg-rle where installed.
"""

from __future__ import annotations

import statistics
import time
import zlib
from collections.abc import Callable
from typing import Any

import imagecodecs
import numpy as np
from pydicom import dcmread
from pydicom.data import get_testdata_file

from dicomweb_core.codecs.pixels.decoding import decode
from dicomweb_core.codecs.pixels.encoding import encodable_in, encode, encoded_image
from dicomweb_core.values.limits import Limits
from dicomweb_core.values.pixels import ImagePixel, NativeFrame
from dicomweb_core.values.transfer_syntaxes import TRANSFER_SYNTAXES

ROUNDS = 11
LIMITS = Limits()
DICOM = "1.2.840.10008.1.2"
Bare = Callable[[], object]


def frames() -> dict[str, tuple[Any, ImagePixel]]:
    """Kind -> samples and what a data set says of them: 512 x 512, from a real slice."""
    slice_ = np.tile(np.asarray(dcmread(str(get_testdata_file("CT_small.dcm"))).pixel_array), (4, 4)).astype("<i2")
    stored = np.clip(slice_, 0, 4095).astype("<u2")
    grey = (stored >> 4).astype("u1")
    colour = np.stack([grey, grey[::-1], grey[:, ::-1]], axis=2)
    return {
        "16 signed": (slice_, ImagePixel(512, 512, 1, 16, 16, True)),
        "16, 12 stored": (stored, ImagePixel(512, 512, 1, 16, 12)),
        "8": (grey, ImagePixel(512, 512, 1, 8, 8)),
        "RGB 8": (np.ascontiguousarray(colour), ImagePixel(512, 512, 3, 8, 8, photometric="RGB")),
    }


def bare_encoders(samples: Any, image: ImagePixel) -> dict[str, Bare]:
    """Arc of the transfer syntax -> the encoder of the library, without anything around it."""
    unsigned = samples.view(samples.dtype.str.replace("i", "u"))
    colour, bits = image.samples == 3, image.bits_stored
    ic = imagecodecs
    jpeg = {"lossless": True, "predictor": 1, "bitspersample": bits, "colorspace": "RGB" if colour else None}
    j2k = {"level": 0, "codecformat": "J2K", "reversible": True, "bitspersample": bits, "mct": colour, "numthreads": 1}
    jxl = {"lossless": True, "effort": 2, "bitspersample": bits, "usecontainer": False}
    return {
        ".4.70": lambda: ic.jpeg8_encode(unsigned, **jpeg),
        ".4.80": lambda: ic.jpegls_encode(unsigned),
        ".4.90": lambda: ic.jpeg2k_encode(samples, **j2k),
        ".4.110": lambda: ic.jpegxl_encode(unsigned, **jxl),
        ".4.201": lambda: ic.htj2k_encode(samples, reversible=True, rgb=colour),
        ".8.1": lambda: bare_deflate(samples.tobytes()),
        **bare_rle_encoder(samples.tobytes(), image),
    }


def bare_deflate(native: bytes) -> bytes:
    """isal if installed, as we do, or zlib."""
    try:
        from isal import isal_zlib
    except ImportError:
        return zlib.compress(native, 6, -zlib.MAX_WBITS)
    return bytes(isal_zlib.compress(native, 2, -zlib.MAX_WBITS))


def bare_rle_encoder(native: bytes, image: ImagePixel) -> dict[str, Bare]:
    """pylibjpeg-rle takes color by plane for color by pixel: good enough to measure with."""
    try:
        from rle.rle import encode_frame
    except ImportError:
        return {}
    return {".5": lambda: encode_frame(native, image.rows, image.columns, image.samples, image.bits_allocated, "<")}


def bare_decoders(codestream: bytes, samples: Any) -> dict[str, Bare]:
    """Arc of the transfer syntax -> the decoder of the library, and the bytes of its array."""
    ic = imagecodecs
    return {
        ".4.70": lambda: ic.jpeg8_decode(codestream).tobytes(),
        ".4.80": lambda: ic.jpegls_decode(codestream).tobytes(),
        ".4.90": lambda: ic.jpeg2k_decode(codestream).tobytes(),
        ".4.110": lambda: ic.jpegxl_decode(codestream).tobytes(),
        ".4.201": lambda: ic.htj2k_decode(codestream).tobytes(),
        ".5": lambda: ic.dicomrle_decode(codestream, samples.dtype),
        ".8.1": lambda: zlib.decompress(codestream, -zlib.MAX_WBITS),
    }


def compared(ours: Bare, bare: Bare) -> tuple[float, float]:
    """Seconds of ours, and how many times the bare call that is; both medians of pairs taken in turns."""
    pairs = []
    for _ in range(ROUNDS):
        begin = time.perf_counter()
        ours()
        between = time.perf_counter()
        bare()
        pairs.append((between - begin, time.perf_counter() - between))
    return statistics.median(our for our, _ in pairs), statistics.median(our / peer for our, peer in pairs)


def line(kind: str, uid: str, verb: str, result: tuple[float, float], samples: Any) -> None:
    """One case."""
    seconds, ratio = result
    name = TRANSFER_SYNTAXES[uid].name
    print(f"{kind:14} {name:48} {verb}  {seconds * 1e3:7.2f} ms {samples.size / seconds / 1e6:7.1f} MS/s  x{ratio:.3f}")


def main() -> None:
    """Prints the table."""
    for kind, (samples, image) in frames().items():
        frame = NativeFrame(samples.tobytes(), image)
        encoders = bare_encoders(samples, image)
        for uid in encodable_in(image):
            arc = uid.removeprefix(DICOM)
            codestream = encode(frame, uid, LIMITS)
            said = encoded_image(image, uid)
            if arc in encoders:
                line(kind, uid, "encode", compared(lambda: encode(frame, uid, LIMITS), encoders[arc]), samples)  # noqa: B023
            bare = bare_decoders(codestream, samples)
            if arc in bare:
                ours = lambda: decode(codestream, uid, said, LIMITS)  # noqa: B023, E731
                line(kind, uid, "decode", compared(ours, bare[arc]), samples)


if __name__ == "__main__":
    main()
