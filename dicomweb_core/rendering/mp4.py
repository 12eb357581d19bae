"""MP4 of AV1 (ISO/IEC 14496-12; AV1 Codec ISO Media File Format Binding), written in fragments.

Pillow makes short AVIF image sequences, which are such tracks under another name. What is around them is written here,
so that a video of any length needs the memory of a fragment, and begins before it has ended.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from io import BytesIO
from itertools import chain
from typing import Any, Final, NamedTuple

from dicomweb_core.errors import CannotRender
from dicomweb_core.rendering.pictures import Motion, Picture

_TIMESCALE: Final = 90_000
"""Units of time in a second."""
_FRAMES: Final = 16
_FRAGMENT_BYTES: Final = 32 << 20
"""Of samples that are held for one fragment, unless a frame has more."""
_HEAD: Final = 78
"""Bytes of a VisualSampleEntry before the boxes in it."""
_TEMPORAL_DELIMITER: Final = b"\x12\x00"
"""An OBU that samples should not have (AV1 in ISOBMFF 2.4): they are apart anyway."""
_KEY_FRAME: Final = 0x02000000
_OTHER_FRAME: Final = 0x01010000
"""Depends on others; is no sync sample."""
_MATRIX: Final = struct.pack(">9I", 0x10000, 0, 0, 0, 0x10000, 0, 0, 0, 0x40000000)
_INSIDE: Final = (b"moov", b"trak", b"mdia", b"minf", b"stbl")


class _Fragment(NamedTuple):
    """Some frames, the first of which needs no other."""

    entry: bytes
    """The sample entry, which says how to decode them."""
    samples: tuple[bytes, ...]


def encode_mp4(pictures: Iterable[Picture], motion: Motion, quality: int) -> Iterator[bytes]:
    """A chunk for each fragment. `quality` is 1 to 100. Raises CannotRender when the pictures are not of one size."""
    coming = iter(pictures)
    first = next(coming)
    size = first.columns, first.rows
    ticks = max(1, min(round(motion.frame_seconds * _TIMESCALE), 0xFFFFFFFF))
    most = max(1, min(_FRAMES, _FRAGMENT_BYTES // (3 * first.rows * first.columns)))
    done = 0
    group: list[Picture] = []
    for picture in chain((first,), coming):
        if (picture.columns, picture.rows) != size:
            raise CannotRender("The frames of a video must be of one size.")
        group.append(picture)
        if len(group) == most:
            yield _written(_encoded(group, quality), size, ticks, done, most, motion.frame_count)
            done += len(group)
            group = []
    if group:
        yield _written(_encoded(group, quality), size, ticks, done, most, motion.frame_count)


def _encoded(group: list[Picture], quality: int) -> _Fragment:
    from PIL import Image

    # Of one image Pillow makes no sequence.
    images: list[Any] = [
        Image.fromarray(picture.samples).convert("RGB") for picture in (group * 2)[: max(2, len(group))]
    ]
    buffer = BytesIO()
    options = {"quality": quality, "speed": 8, "subsampling": "4:2:0", "max_threads": 1}
    images[0].save(buffer, "AVIF", save_all=True, append_images=images[1:], **options)
    file = buffer.getvalue()
    boxes = dict(_boxes(file, 0, len(file)))
    sizes = struct.unpack_from(f">{len(images)}I", boxes[b"stsz"], 12)
    (at,) = struct.unpack_from(">I", boxes[b"stco"], 8)
    samples = []
    for size in sizes[: len(group)]:
        samples.append(file[at : at + size].removeprefix(_TEMPORAL_DELIMITER))
        at += size
    entry = boxes[b"stsd"][16:]
    kept = b"".join(_box(kind, inner) for kind, inner in _boxes(entry, _HEAD, len(entry)) if kind in (b"av1C", b"colr"))
    return _Fragment(_box(b"av01", entry[:_HEAD], kept), tuple(samples))


def _boxes(data: bytes, at: int, end: int) -> Iterator[tuple[bytes, bytes]]:
    """Kinds and contents, also of those that are inside others."""
    while at < end:
        size, kind = struct.unpack_from(">I4s", data, at)
        if kind in _INSIDE:
            yield from _boxes(data, at + 8, at + size)
        else:
            yield kind, data[at + 8 : at + size]
        at += size


def _written(fragment: _Fragment, size: tuple[int, int], ticks: int, done: int, most: int, frame_count: int) -> bytes:
    """The fragment behind `done` frames, with the head of the file if it is the first."""
    head = b"" if done else _movie(fragment.entry, size, ticks, frame_count)
    lengths = struct.pack(f">{len(fragment.samples)}I", *map(len, fragment.samples))
    flags = 0x000205  # offset of the data, flags of the first sample, sizes
    data_at = 8 + 16 + 8 + 20 + 20 + 24 + len(lengths) + 8  # of boxes: moof, mfhd, traf, tfhd, tfdt, trun, and mdat
    run = struct.pack(">IIiI", flags, len(fragment.samples), data_at, _KEY_FRAME) + lengths
    track = _box(
        b"traf",
        _box(b"tfhd", struct.pack(">III", 0x020008, 1, ticks)),  # offsets from the moof; a duration for all
        _box(b"tfdt", struct.pack(">IQ", 1 << 24, done * ticks)),
        _box(b"trun", run),
    )
    moof = _box(b"moof", _box(b"mfhd", struct.pack(">II", 0, done // most + 1)), track)
    assert len(moof) + 8 == data_at
    return head + moof + _box(b"mdat", *fragment.samples)


def _movie(entry: bytes, size: tuple[int, int], ticks: int, frame_count: int) -> bytes:
    """File type, and a movie without samples of its own."""
    columns, rows = size
    no_times = bytes(8)
    duration = struct.pack(">IQ", 1 << 24, frame_count * ticks)
    table = _box(
        b"stbl",
        _box(b"stsd", struct.pack(">II", 0, 1), entry),
        *(_box(kind, bytes(8)) for kind in (b"stts", b"stsc", b"stco")),
        _box(b"stsz", bytes(12)),
    )
    media = _box(
        b"mdia",
        _box(b"mdhd", struct.pack(">I8sIIHH", 0, no_times, _TIMESCALE, 0, 0x55C4, 0)),  # no language
        _box(b"hdlr", struct.pack(">II4s12sx", 0, 0, b"vide", b"")),
        _box(
            b"minf",
            _box(b"vmhd", struct.pack(">I8x", 1)),
            _box(b"dinf", _box(b"dref", struct.pack(">II", 0, 1), _box(b"url ", struct.pack(">I", 1)))),
            table,
        ),
    )
    track_head = struct.pack(">I8sIII8xHHHH", 7, no_times, 1, 0, 0, 0, 0, 0, 0)
    track = _box(b"tkhd", track_head, _MATRIX, struct.pack(">II", columns << 16, rows << 16))
    extends = _box(b"trex", struct.pack(">IIIIII", 0, 1, 1, ticks, 0, _OTHER_FRAME))
    movie_head = struct.pack(">I8sIIIH10x", 0, no_times, _TIMESCALE, 0, 0x10000, 0x100)
    return _box(b"ftyp", b"iso6", bytes(4), b"iso6mp41av01") + _box(
        b"moov",
        _box(b"mvhd", movie_head, _MATRIX, bytes(24), struct.pack(">I", 2)),
        _box(b"trak", track, media),
        _box(b"mvex", _box(b"mehd", duration), extends),
    )


def _box(kind: bytes, *contents: bytes) -> bytes:
    content = b"".join(contents)
    return struct.pack(">I4s", 8 + len(content), kind) + content
