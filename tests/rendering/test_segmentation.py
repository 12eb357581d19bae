"""Segmentations: colours, sources, and pixels where they belong."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageCms
from pydicom import Dataset, dcmread
from pydicom.data import get_testdata_file
from pydicom.pixels import pixel_array

from dicomweb_core.errors import CannotRender, DICOMwebError
from dicomweb_core.rendering.colormaps import cielab_color, distinct_color
from dicomweb_core.rendering.frame_attributes import frame_attributes
from dicomweb_core.rendering.pictures import Picture
from dicomweb_core.rendering.planes import SourceImage, frame_shows_plane
from dicomweb_core.rendering.segmentation import (
    frames_beside,
    referenced_images,
    render_segments,
    representative_frame,
    segment_colors,
    segment_of,
    source_of,
)
from dicomweb_core.values.attributes import Attributes
from dicomweb_core.values.limits import Limits
from tests.rendering.gray_frames import made_attributes, made_frame, no_bulk, real_frame
from tests.rendering.hostile import broken_objects

LIMITS = Limits()
RED, GREEN = [35579, 53662, 50858], [57553, 12524, 53711]
"""sRGB red and green as CIELab of the standard."""


def item(**values: Any) -> Dataset:
    found = Dataset()
    for keyword, value in values.items():
        setattr(found, keyword, value)
    return found


def plane(z: float, *, x: float = 0.0, segment: int | None = None, source: str = "") -> Dataset:
    found = item(PlanePositionSequence=[item(ImagePositionPatient=[x, 0, z])])
    if segment is not None:
        found.SegmentIdentificationSequence = [item(ReferencedSegmentNumber=segment)]
    if source:
        reference = item(ReferencedSOPClassUID="1.2.840.10008.5.1.4.1.1.2", ReferencedSOPInstanceUID=source)
        found.DerivationImageSequence = [item(SourceImageSequence=[reference])]
    return found


def made_segmentation(kind: str, planes: list[Dataset], spacing: float = 1.0, **values: Any) -> Attributes:
    shared = item(
        PlaneOrientationSequence=[item(ImageOrientationPatient=[1, 0, 0, 0, 1, 0])],
        PixelMeasuresSequence=[item(PixelSpacing=[spacing, spacing], SliceThickness=2)],
    )
    segments = [
        item(SegmentNumber=1, RecommendedDisplayCIELabValue=RED),
        item(SegmentNumber=2, RecommendedDisplayCIELabValue=GREEN),
    ]
    return made_attributes(
        SegmentationType=kind,
        NumberOfFrames=len(planes),
        SegmentSequence=segments,
        SharedFunctionalGroupsSequence=[shared],
        PerFrameFunctionalGroupsSequence=planes,
        **values,
    )


def image_plane(z: float = 0.0, x: float = 0.0, spacing: float = 1.0) -> Attributes:
    return made_attributes(
        ImagePositionPatient=[x, 0, z],
        ImageOrientationPatient=[1, 0, 0, 0, 1, 0],
        PixelSpacing=[spacing, spacing],
        SliceThickness=2,
    )


def is_red(rgb: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    return (rgb[..., 0].astype(int) - rgb[..., 1]) > 40


@pytest.mark.parametrize("name", ["liver.dcm", "liver_1frame.dcm"])
def test_mask_over_black_is_what_pydicom_decodes(name: str) -> None:
    path = Path(str(get_testdata_file(name)))
    dataset = dcmread(path)
    attributes = without_pixels(dcmread(path))
    for index in range(dataset.get("NumberOfFrames", 1)):
        found = real_frame(path, index)
        picture = render_segments({index: found.frame}, attributes, None, bulk=no_bulk, limits=LIMITS)
        mask = pixel_array(path, index=index).astype(bool)
        assert mask.any()
        assert np.array_equal(picture.samples.any(axis=2), mask)
        assert (217, 130, 101) in {tuple(color) for color in picture.samples[mask].tolist()}


def without_pixels(dataset: Dataset) -> Attributes:
    del dataset.PixelData
    found: Attributes = dataset.to_json_dict()
    return found


def test_color_of_the_real_segment_and_its_source() -> None:
    attributes = without_pixels(dcmread(str(get_testdata_file("liver.dcm"))))
    assert segment_colors(attributes) == {1: (217, 130, 101)}
    uid = "1.2.392.200103.20080913.113635.2.2009.6.22.21.43.10.23433.1"
    assert source_of(attributes, 0) == SourceImage("1.2.840.10008.5.1.4.1.1.2", uid)
    assert len({source_of(attributes, index) for index in range(3)}) == 3
    assert representative_frame(attributes) == 1


def test_cielab_of_known_colors() -> None:
    for lab, expected in ((RED, (255, 0, 0)), (GREEN, (0, 255, 0))):
        color = cielab_color(lab)
        assert color is not None
        assert max(abs(ours - known) for ours, known in zip(color, expected, strict=True)) <= 6


@pytest.mark.parametrize(
    "lab", [[65535, 32896, 32896], [0, 32896, 32896], [41661, 41167, 40792], [45000, 36000, 28000]]
)
def test_cielab_is_that_of_littlecms(lab: list[int]) -> None:
    profile = ImageCms.buildTransform(ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB"), "LAB", "RGB")
    lightness, *signed = (round(part / 257) for part in lab)
    pixel = Image.frombytes("LAB", (1, 1), bytes([lightness, *(part ^ 128 for part in signed)]))
    converted = ImageCms.applyTransform(pixel, profile)
    assert converted is not None
    color = cielab_color(lab)
    assert color is not None
    # LittleCMS gets 8 bits of each component here.
    assert max(abs(ours - theirs) for ours, theirs in zip(color, converted.getpixel((0, 0)), strict=True)) <= 4


@pytest.mark.parametrize("values", [None, [], [1, 2], [1, 2, 70_000], [1.5, 2, 3], ["1", 2, 3], {"a": 1}])
def test_what_is_no_cielab_value_is_no_color(values: object) -> None:
    assert cielab_color(values) is None


def test_distinct_colors_differ() -> None:
    colors = [distinct_color(index) for index in range(60)]
    assert len(set(colors)) == 60
    assert all(max(color) > 150 for color in colors)


def test_binary_over_its_image_is_tinted_inside_sharp_at_the_edge_and_untouched_outside() -> None:
    mask = np.zeros((8, 8), np.uint8)
    mask[2:6, 2:6] = 1
    source = Picture(np.full((8, 8), 100, np.uint8))
    attributes = made_segmentation("BINARY", [plane(0, segment=1)])
    frame = made_frame(mask, bits_allocated=1, bits_stored=1)
    rgb = render_segments({0: frame}, attributes, source, bulk=no_bulk, limits=LIMITS).samples
    assert np.array_equal(is_red(rgb), mask.astype(bool))
    assert rgb[0, 0].tolist() == [100, 100, 100]
    assert rgb[3, 3].tolist() == [154, 65, 65]  # 100 * 0.65 + 0.35 * (255, 0, 0)
    assert rgb[2, 2, 0] > 240
    assert source.samples[3, 3] == 100


def test_fraction_is_how_much_of_the_color() -> None:
    attributes = made_segmentation("FRACTIONAL", [plane(0, segment=1)], MaximumFractionalValue=200)
    frame = made_frame(np.array([[0, 100, 200, 255]], np.uint8))
    bare = render_segments({0: frame}, attributes, None, bulk=no_bulk, limits=LIMITS).samples
    assert bare[0, :, 0].tolist() == [0, 128, 255, 255]
    over = render_segments(
        {0: frame}, attributes, Picture(np.full((1, 4), 50, np.uint8)), bulk=no_bulk, limits=LIMITS
    ).samples
    assert over[0, :, 0].tolist() == [50, 112, 173, 173]


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_label_map_has_the_color_of_each_segment(dtype: type[np.unsignedinteger[Any]]) -> None:
    labels = np.zeros((6, 9), dtype)
    labels[:, 3:6], labels[:, 6:] = 1, 2
    attributes = made_segmentation("LABELMAP", [plane(0)])
    rgb = render_segments({0: made_frame(labels)}, attributes, None, bulk=no_bulk, limits=LIMITS).samples
    assert rgb[2, 1].tolist() == [0, 0, 0]
    assert rgb[2, 4, 0] > 150
    assert rgb[2, 4, 1] < 30
    assert rgb[2, 7, 1] > 150
    assert rgb[2, 7, 0] < 30
    assert segment_of(attributes, 0) is None


def test_label_map_with_a_palette_has_the_colors_of_the_palette() -> None:
    labels = np.full((3, 3), 1, np.uint8)
    descriptor, blue = [4, 0, 8], [0, 255, 0, 0]
    attributes = made_segmentation("LABELMAP", [plane(0)])
    for channel, entries in zip("123", ([0] * 4, [0] * 4, blue), strict=True):
        attributes[f"0028110{channel}"] = {"vr": "US", "Value": descriptor}
        attributes[f"0028120{channel}"] = {"vr": "OW", "Value": entries}
    frame = made_frame(labels, photometric="PALETTE COLOR")
    rgb = render_segments({0: frame}, attributes, None, bulk=no_bulk, limits=LIMITS).samples
    assert rgb[1, 1].tolist() == [0, 0, 204]


def test_padding_of_a_label_map_is_no_segment() -> None:
    attributes = made_segmentation("LABELMAP", [plane(0)], PixelPaddingValue=7, PixelRepresentation=0)
    frame = made_frame(np.array([[7, 1]], np.uint8))
    rgb = render_segments({0: frame}, attributes, None, bulk=no_bulk, limits=LIMITS).samples
    assert rgb.any(axis=2).tolist() == [[False, True]]


def test_mask_of_a_coarser_grid_lands_where_it_lies_in_the_patient() -> None:
    """The mask has pixels of 2 mm and begins at x = 4 mm; the image has pixels of 1 mm from x = 0 on."""
    attributes = made_segmentation("BINARY", [plane(0, x=4.5, segment=1)], spacing=2.0)
    mask = np.zeros((3, 3), np.uint8)
    mask[1, 1] = 1  # centre at x = 6.5, y = 2: from 5.5 to 7.5, from 1 to 3
    source = Picture(np.full((10, 12), 100, np.uint8))
    rgb = render_segments({0: made_frame(mask)}, attributes, source, image_plane(), bulk=no_bulk, limits=LIMITS).samples
    assert sorted(map(tuple, np.argwhere(is_red(rgb)[[2]]).tolist())) == [(0, 6), (0, 7)]
    assert not is_red(rgb)[[0, 4, 5]].any()


def test_source_that_lies_across_is_left_out() -> None:
    attributes = made_segmentation("BINARY", [plane(0, segment=1)])
    across = made_attributes(
        ImagePositionPatient=[0, 0, 0], ImageOrientationPatient=[0, 1, 0, 0, 0, -1], PixelSpacing=[1, 1]
    )
    source = Picture(np.full((4, 4), 100, np.uint8))
    picture = render_segments(
        {0: made_frame(np.eye(4, dtype=np.uint8))}, attributes, source, across, bulk=no_bulk, limits=LIMITS
    )
    assert picture.samples[0, 3].tolist() == [0, 0, 0]
    assert picture.samples[0, 0, 0] == 255


def test_all_segments_of_a_slice_make_one_picture() -> None:
    planes = [plane(0, segment=1), plane(5, segment=1), plane(5, segment=2), plane(0, segment=2)]
    attributes = made_segmentation("BINARY", planes)
    assert frames_beside(attributes, 1) == (1, 2)
    assert frames_beside(attributes, 3) == (0, 3)
    left, right = np.array([[1, 0, 0]], np.uint8), np.array([[0, 0, 1]], np.uint8)
    frames = {1: made_frame(left), 2: made_frame(right)}
    rgb = render_segments(frames, attributes, None, bulk=no_bulk, limits=LIMITS).samples
    assert rgb[0].argmax(axis=1).tolist() == [0, 0, 1]
    assert rgb[0, 1].tolist() == [0, 0, 0]


def test_representative_frame_is_amid_the_richest_slices() -> None:
    planes = [plane(z, segment=1) for z in range(9)] + [plane(z, segment=2) for z in (5, 6, 7)]
    assert representative_frame(made_segmentation("BINARY", planes)) == 6
    apart = [plane(z, segment=1) for z in range(3)] + [plane(z, segment=2) for z in range(10, 17)]
    assert representative_frame(made_segmentation("BINARY", apart)) == 6


def test_tiles_of_a_segment_come_before_those_of_the_next() -> None:
    attributes = made_segmentation("BINARY", [])
    del attributes["52009230"]
    attributes["00280008"] = {"vr": "IS", "Value": [12]}
    assert [segment_of(attributes, index) for index in (0, 5, 6, 11)] == [1, 1, 2, 2]


def test_source_named_by_series_is_found_by_its_place() -> None:
    attributes = made_segmentation("BINARY", [plane(4, segment=1)])
    reference = item(ReferencedSOPClassUID="1.2.3", ReferencedSOPInstanceUID="1.2.3.4")
    attributes |= made_attributes(ReferencedSeriesSequence=[item(ReferencedInstanceSequence=[reference])])
    assert source_of(attributes, 0) is None
    assert referenced_images(attributes) == (SourceImage("1.2.3", "1.2.3.4"),)
    frame = frame_attributes(attributes, 0)
    assert [z for z in range(10) if frame_shows_plane(frame, image_plane(z))] == [3, 4, 5]


def test_frame_of_a_multi_frame_source_is_named() -> None:
    attributes = made_segmentation("BINARY", [plane(0, segment=1, source="1.2.3.4")])
    reference = attributes["52009230"]["Value"][0]["00089124"]["Value"][0]["00082112"]["Value"][0]
    reference["00081160"] = {"vr": "IS", "Value": [17]}
    assert source_of(attributes, 0) == SourceImage("1.2.840.10008.5.1.4.1.1.2", "1.2.3.4", 17)


def test_picture_beyond_the_limit_is_refused_A22() -> None:
    attributes = made_segmentation("BINARY", [plane(0, segment=1)])
    with pytest.raises(CannotRender, match="rendered_pixels"):
        render_segments(
            {0: made_frame(np.zeros((8, 8), np.uint8))},
            attributes,
            None,
            bulk=no_bulk,
            limits=Limits(rendered_pixels=63),
        )


@pytest.mark.parametrize("kind", ["BINARY", "FRACTIONAL", "LABELMAP"])
def test_wrong_objects_are_shown_or_refused(kind: str) -> None:
    planes = [plane(0, segment=1, source="1.2"), plane(1, segment=2, source="1.3")]
    attributes = made_segmentation(kind, planes, MaximumFractionalValue=255, PixelPaddingValue=9)
    frame, source = made_frame(np.eye(4, dtype=np.uint8)), Picture(np.zeros((4, 4), np.uint8))
    pictures = 0
    for broken in broken_objects(attributes, most=300):
        try:
            source_of(broken, 1)
            representative_frame(broken)
            frames_beside(broken, 0)
            picture = render_segments({1: frame}, broken, source, image_plane(1), bulk=no_bulk, limits=LIMITS)
        except DICOMwebError:
            continue
        assert picture.samples.shape == (4, 4, 3)
        pictures += 1
    assert pictures > 250
