"""The program `codec_processes` runs: the codecs of this package, and as little else as can be.

There may be several such processes beside each process of the server.
"""

from __future__ import annotations

from dicomweb_core.codecs.pixels.decoding import decode
from dicomweb_core.codecs.pixels.encoding import encode
from dicomweb_core.services.codec_serving import serve


def main() -> None:
    """Answers until standard input ends."""
    serve(decode, encode)
