"""A small CT series and what is drawn on it, made with pydicom: study 1, series 1 and others."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset

from tests.made import made, uid

CLASSES = "1.2.840.10008.5.1.4.1.1."
CT, SEG, MAP, STRUCTURES, ECG = (CLASSES + end for end in ("2", "66.4", "30", "481.3", "9.1.2"))
ROWS, COLUMNS = 24, 32
SPACING = 2.0
"""Millimetres between rows and between columns."""
ORIGIN = (-10.0, 20.0)
"""x and y of the centre of the first pixel."""
FRAME_OF_REFERENCE = uid(77)
GRAY = np.add.outer(np.arange(ROWS) * 4, np.arange(COLUMNS) * 2).astype(np.uint8)
"""What the CT shows."""
AXIAL = [1, 0, 0, 0, 1, 0]


def item(**values: Any) -> Dataset:
    """An item of a sequence."""
    found = Dataset()
    for keyword, value in values.items():
        setattr(found, keyword, value)
    return found


def height(number: int) -> float:
    """z of a slice, in millimetres."""
    return 5.0 * number


def reference(number: int) -> Dataset:
    """To a slice of the CT."""
    return item(ReferencedSOPClassUID=CT, ReferencedSOPInstanceUID=uid(1, 1, number))


def ct(number: int, gray: NDArray[np.uint8] = GRAY, **values: Any) -> bytes:
    """A slice with these gray levels."""
    return made(
        1, 1, number, frames=[gray.tobytes()],
        SOPClassUID=CT, Modality="CT", Rows=ROWS, Columns=COLUMNS, FrameOfReferenceUID=FRAME_OF_REFERENCE,
        ImagePositionPatient=[*ORIGIN, height(number)], ImageOrientationPatient=AXIAL,
        PixelSpacing=[SPACING, SPACING], SliceThickness=5,
        **values,
    )  # fmt: skip


def segmentation(
    mask: NDArray[np.bool_], slices: Sequence[int], *, columns: int = 0, named: bool = True, **values: Any
) -> bytes:
    """The same mask on each of these slices of the CT, moved to the right by `columns`. Each frame names its slice, or
    the object only the slices it is about."""
    x, y = ORIGIN[0] + columns * SPACING, ORIGIN[1]
    series = item(SeriesInstanceUID=uid(1, 1), ReferencedInstanceSequence=[reference(number) for number in slices])
    color = item(
        SegmentNumber=1, SegmentLabel="A", SegmentAlgorithmType="MANUAL",
        RecommendedDisplayCIELabValue=[35_000, 53_000, 50_000],
    )  # fmt: skip
    groups = [
        item(
            DerivationImageSequence=[item(SourceImageSequence=[reference(number)])] if named else [],
            PlanePositionSequence=[item(ImagePositionPatient=[x, y, height(number)])],
            SegmentIdentificationSequence=[item(ReferencedSegmentNumber=1)],
        )
        for number in slices
    ]
    shared = item(
        PlaneOrientationSequence=[item(ImageOrientationPatient=AXIAL)],
        PixelMeasuresSequence=[item(PixelSpacing=[SPACING, SPACING], SliceThickness=5)],
    )
    bits = np.packbits(np.concatenate([mask.reshape(-1)] * len(slices)), bitorder="little").tobytes()
    return made(
        1, 2, 1, frames=[bits],
        SOPClassUID=SEG, Modality="SEG", Rows=mask.shape[0], Columns=mask.shape[1], NumberOfFrames=len(slices),
        BitsAllocated=1, BitsStored=1, HighBit=0, SegmentationType="BINARY", SegmentSequence=[color],
        FrameOfReferenceUID=FRAME_OF_REFERENCE, SharedFunctionalGroupsSequence=[shared],
        PerFrameFunctionalGroupsSequence=groups, ReferencedSeriesSequence=[series],
        **values,
    )  # fmt: skip


def parametric_map(values: NDArray[np.float32], **others: Any) -> bytes:
    """One frame of these quantities."""
    mapping = item(
        RealWorldValueFirstValueMapped=0, RealWorldValueLastValueMapped=1000, RealWorldValueSlope=1.0,
        RealWorldValueIntercept=0.0, LUTLabel="ADC",
    )  # fmt: skip
    mapping["RealWorldValueFirstValueMapped"].VR = mapping["RealWorldValueLastValueMapped"].VR = "US"
    shared = item(RealWorldValueMappingSequence=[mapping])
    return made(
        1, 3, 1,
        SOPClassUID=MAP, Modality="OT", SamplesPerPixel=1, PhotometricInterpretation="MONOCHROME2",
        NumberOfFrames=1, Rows=values.shape[0], Columns=values.shape[1], BitsAllocated=32,
        SharedFunctionalGroupsSequence=[shared], PerFrameFunctionalGroupsSequence=[Dataset()],
        FloatPixelData=values.astype("<f4").tobytes(),
        **others,
    )  # fmt: skip


def structure_set(corners: Sequence[tuple[float, float]], number: int, **values: Any) -> bytes:
    """A closed green contour through these (column, row) places of a slice of the CT."""
    points = [
        coordinate
        for column, row in corners
        for coordinate in (ORIGIN[0] + column * SPACING, ORIGIN[1] + row * SPACING, height(number))
    ]
    contour = item(
        ContourImageSequence=[reference(number)], ContourGeometricType="CLOSED_PLANAR",
        NumberOfContourPoints=len(corners), ContourData=points,
    )  # fmt: skip
    return made(
        1, 4, 1,
        SOPClassUID=STRUCTURES, Modality="RTSTRUCT",
        StructureSetROISequence=[
            item(ROINumber=1, ROIName="Doe Jane", ReferencedFrameOfReferenceUID=FRAME_OF_REFERENCE)
        ],
        ROIContourSequence=[item(ReferencedROINumber=1, ROIDisplayColor=[0, 255, 0], ContourSequence=[contour])],
        **values,
    )  # fmt: skip


def waveform(**values: Any) -> bytes:
    """Two leads of an ECG, 10 seconds of them."""
    samples = np.stack([np.arange(1000) % 100 * 10, np.arange(1000) % 50 * -20], axis=1).astype("<i2")
    channels = [
        item(
            ChannelSourceSequence=[item(CodeValue=code, CodingSchemeDesignator="MDC", CodeMeaning=name)],
            ChannelSensitivity="1", ChannelSensitivityCorrectionFactor="1", ChannelBaseline="0", WaveformBitsStored=16,
            ChannelSensitivityUnitsSequence=[item(CodeValue="uV", CodingSchemeDesignator="UCUM", CodeMeaning="uV")],
        )
        for code, name in (("2:1", "Lead I"), ("2:2", "Lead II"))
    ]  # fmt: skip
    group = item(
        WaveformOriginality="ORIGINAL", NumberOfWaveformChannels=2, NumberOfWaveformSamples=1000,
        SamplingFrequency="100", ChannelDefinitionSequence=channels, WaveformBitsAllocated=16,
        WaveformSampleInterpretation="SS", WaveformData=samples.tobytes(),
    )  # fmt: skip
    group["WaveformData"].VR = "OW"
    values.setdefault("WaveformSequence", [group])
    return made(1, 5, 1, SOPClassUID=ECG, Modality="ECG", **values)
