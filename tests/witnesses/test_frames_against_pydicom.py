"""Frames of every installed file, compared with what pydicom makes of the same bytes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.encaps import generate_frames

from dicomweb_core.codecs.frame_index import read_frame, read_native_little_endian
from dicomweb_core.codecs.part10_reader import ReadInstance
from dicomweb_core.values.blobs import FrameIndex
from dicomweb_core.values.transfer_syntaxes import EXPLICIT_VR_BIG_ENDIAN, transfer_syntax
from tests.samples import readable_files, source_of

CHUNK_BYTES = 1_000
FILES = [pytest.param(*file, id=file[0].name) for file in readable_files() if file[2].layout.frames is not None]

# What has pixel data in the files but no frame index, each for a reason that a warning says.
WITHOUT_FRAMES: dict[str, str] = {}


def test_enough_files_were_compared() -> None:
    syntaxes = {transfer_syntax(file.values[2].transfer_syntax_uid).name for file in FILES}
    assert len(FILES) > 120
    assert len(syntaxes) >= 10


def test_every_file_with_pixel_data_has_frames_or_a_warning() -> None:
    without = {
        path.name: instance.warnings
        for path, _, instance in readable_files()
        if instance.layout.frames is None and "7FE00010" in instance.attributes
    }
    assert all(warnings for warnings in without.values()), without
    assert set(without) == set(WITHOUT_FRAMES)


@pytest.mark.parametrize(("path", "content", "instance"), FILES)
def test_frames_are_those_of_pydicom(path: Path, content: bytes, instance: ReadInstance) -> None:
    dataset = pydicom.dcmread(path)
    frames = instance.layout.frames
    assert frames is not None
    text = str(instance.attributes.get("00280008", {}).get("Value", [1])[0])
    # One file says "1A": then there are as many as the data hold.
    number = int(text) if text.isdecimal() else None
    if frames.encapsulated:
        expected = list(generate_frames(dataset.PixelData, number_of_frames=number))
    else:
        expected = native_frames(dataset, number)
    assert read_frames(content, instance, frames) == expected


def read_frames(content: bytes, instance: ReadInstance, frames: FrameIndex) -> list[bytes]:
    source = source_of(content, instance)
    if instance.transfer_syntax_uid != EXPLICIT_VR_BIG_ENDIAN:
        return [b"".join(read_frame(source, frames, index, CHUNK_BYTES)) for index in range(frames.count)]
    pixel = instance.layout.bulk_value(frames.element)
    assert pixel is not None
    bits = int(instance.layout.traits["bits_allocated"])
    return [
        b"".join(read_native_little_endian(source, frames, index, CHUNK_BYTES, vr=pixel.vr, bits_allocated=bits))
        for index in range(frames.count)
    ]


def native_frames(dataset: pydicom.Dataset, number: int | None) -> list[bytes]:
    """Slices of the value, made little endian by numpy's dtypes, not by ours."""
    value, bits = dataset.PixelData, dataset.BitsAllocated
    samples = 2 if dataset.PhotometricInterpretation == "YBR_FULL_422" else dataset.SamplesPerPixel
    size, rest = divmod(dataset.Rows * dataset.Columns * samples * bits, 8)
    assert rest == 0
    if dataset.file_meta.TransferSyntaxUID == EXPLICIT_VR_BIG_ENDIAN:
        word = 2 if bits <= 8 and dataset["PixelData"].VR == "OW" else max(bits // 8, 1)
        value = np.frombuffer(value, f">u{word}").astype(f"<u{word}").tobytes()
    return [value[index * size : (index + 1) * size] for index in range(number or len(value) // size)]


@pytest.mark.parametrize(
    ("little", "big"),
    [
        ("rtdose.dcm", "rtdose_expb.dcm"),
        ("OBXXXX1A.dcm", "OBXXXX1A_expb.dcm"),
        ("MR_small.dcm", "MR_small_expb.dcm"),
        ("liver.dcm", "liver_expb.dcm"),
        ("SC_rgb_32bit_2frame.dcm", "SC_rgb_expb_32bit_2frame.dcm"),
        ("emri_small.dcm", "emri_small_big_endian.dcm"),
    ],
)
def test_big_endian_files_have_the_frames_of_their_little_endian_siblings(little: str, big: str) -> None:
    files = {
        path.name: (content, instance) for path, content, instance in readable_files() if path.name in (little, big)
    }
    read = []
    for name in (little, big):
        content, instance = files[name]
        assert instance.layout.frames is not None
        read.append(read_frames(content, instance, instance.layout.frames))
    assert read[0] == read[1]
