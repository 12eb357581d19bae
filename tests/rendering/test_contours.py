"""RT Structure Sets: known contours land on known pixels."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from pydicom import Dataset, dcmread
from pydicom.data import get_testdata_file

from dicomweb_core.errors import CannotRender, DICOMwebError
from dicomweb_core.rendering.contours import contours_on, referenced_images, regions_of
from dicomweb_core.rendering.pictures import Picture
from dicomweb_core.rendering.planes import SourceImage, plane_of
from dicomweb_core.rendering.structure_set import render_structure_set
from dicomweb_core.values.attributes import Attributes
from dicomweb_core.values.limits import Limits
from tests.rendering.gray_frames import made_attributes, no_bulk
from tests.rendering.hostile import broken_objects

LIMITS = Limits()
CT = "1.2.840.10008.5.1.4.1.1.2"


def contour(points: Any, kind: str = "CLOSED_PLANAR", image: str = "") -> Dataset:
    found = Dataset()
    found.ContourGeometricType = kind
    found.ContourData = [round(float(number), 6) for number in np.asarray(points).reshape(-1)]
    if image:
        reference = Dataset()
        reference.ReferencedSOPClassUID, reference.ReferencedSOPInstanceUID = CT, image
        found.ContourImageSequence = [reference]
    return found


def structure_set(*contours: Dataset, color: Any = (255, 0, 0), name: str = "PTV", frame: str = "1.9") -> Attributes:
    region, shown = Dataset(), Dataset()
    region.ROINumber, region.ROIName, region.ReferencedFrameOfReferenceUID = 5, name, frame
    shown.ReferencedROINumber, shown.ROIDisplayColor = 5, list(color)
    shown.ContourSequence = list(contours)
    return made_attributes(StructureSetROISequence=[region], ROIContourSequence=[shown])


def image(
    *, position: Any = (0, 0, 0), orientation: Any = (1, 0, 0, 0, 1, 0), spacing: Any = (1, 1), frame: str = "1.9"
) -> Attributes:
    return made_attributes(
        SOPInstanceUID="1.2.3",
        FrameOfReferenceUID=frame,
        ImagePositionPatient=[round(float(number), 6) for number in position],
        ImageOrientationPatient=[round(float(number), 9) for number in orientation],
        PixelSpacing=list(spacing),
        SliceThickness=3,
        Rows=40,
        Columns=50,
    )


def drawn(structures: Attributes, attributes: Attributes, size: tuple[int, int] = (40, 50)) -> np.ndarray[Any, Any]:
    """Pixels that are mostly in the colour of the region."""
    picture = contours_on(structures, attributes, Picture(np.zeros(size, np.uint8)), bulk=no_bulk, limits=LIMITS)
    return np.asarray(picture.samples[..., 0] > 128)


def square(top: int, left: int, bottom: int, right: int) -> np.ndarray[Any, Any]:
    """The outline of a square of pixels, its corners included."""
    found = np.zeros((40, 50), bool)
    found[[top, bottom], left : right + 1] = True
    found[top : bottom + 1, [left, right]] = True
    return found


COSINE, SINE = np.cos(0.5), np.sin(0.5)
ORIENTATIONS = {
    "axial": (1, 0, 0, 0, 1, 0),
    "axial, feet first prone": (-1, 0, 0, 0, -1, 0),
    "coronal": (1, 0, 0, 0, 0, -1),
    "sagittal": (0, 1, 0, 0, 0, -1),
    "oblique": (COSINE, SINE, 0, 0, 0, -1),
    "double oblique": (COSINE, SINE, 0, -SINE * COSINE, COSINE * COSINE, SINE),
}


@pytest.mark.parametrize("orientation", ORIENTATIONS.values(), ids=ORIENTATIONS)
@pytest.mark.parametrize("spacing", [(1.0, 1.0), (0.5, 2.0)])
def test_square_lands_on_its_pixels(orientation: tuple[float, ...], spacing: tuple[float, float]) -> None:
    position = np.array([-110.5, 20.25, 300.0])
    across, down = np.array(orientation[:3]) * spacing[1], np.array(orientation[3:]) * spacing[0]
    corners = [(10, 5), (10, 30), (33, 30), (33, 5)]  # row, column
    points = [position + column * across + row * down for row, column in corners]
    found = drawn(structure_set(contour(points)), image(position=position, orientation=orientation, spacing=spacing))
    assert np.array_equal(found, square(10, 5, 33, 30))


def test_open_line_is_not_closed() -> None:
    points = [[5, 10, 0], [30, 10, 0], [30, 33, 0]]
    found = drawn(structure_set(contour(points, "OPEN_PLANAR")), image())
    assert found[10, 5:31].all()
    assert found[10:34, 30].all()
    assert not found[20:30, 10:25].any()


def test_point_is_a_cross() -> None:
    found = drawn(structure_set(contour([[20, 15, 0]], "POINT")), image())
    assert found[15, 16:25].all()
    assert found[11:20, 20].all()
    assert not found[12, 22]


@pytest.mark.parametrize(("z", "seen"), [(0.0, True), (1.4, True), (-1.4, True), (1.7, False), (-3.0, False)])
def test_contours_within_half_a_slice_are_seen(z: float, seen: bool) -> None:
    points = [[5, 10, z], [30, 10, z], [30, 33, z]]
    assert drawn(structure_set(contour(points)), image()).any() == seen


def test_contour_that_names_the_image_is_seen_wherever_it_lies() -> None:
    points = [[5, 10, 2], [30, 10, 2], [30, 33, 2]]
    assert drawn(structure_set(contour(points, image="1.2.3")), image()).any()
    assert not drawn(structure_set(contour(points, image="1.2.4")), image()).any()


def test_contour_that_crosses_the_plane_is_not_drawn_as_if_it_lay_in_it() -> None:
    points = [[5, 10, -20], [30, 10, -20], [30, 10, 20], [5, 10, 20]]
    assert not drawn(structure_set(contour(points)), image()).any()


def test_contours_of_another_frame_of_reference_are_not_drawn() -> None:
    points = [[5, 10, 0], [30, 10, 0], [30, 33, 0]]
    assert not drawn(structure_set(contour(points), frame="1.8"), image()).any()


def test_enlarged_picture_has_the_contour_where_its_pixels_went() -> None:
    points = [[5, 10, 0], [30, 10, 0], [30, 33, 0], [5, 33, 0]]
    found = drawn(structure_set(contour(points)), image(), (120, 150))
    rows, columns = np.nonzero(found)
    # Pixel n of the image became pixels 3 n to 3 n + 2 of the picture.
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (31, 100, 16, 91)


def test_color_and_picture_are_those_of_object_and_image() -> None:
    points = [[5, 10, 0], [30, 10, 0], [30, 33, 0], [5, 33, 0]]
    under = Picture(np.full((40, 50), 90, np.uint8))
    picture = contours_on(
        structure_set(contour(points), color=(10, 200, 30)), image(), under, bulk=no_bulk, limits=LIMITS
    )
    assert picture.samples[10, 20].tolist() == [10, 200, 30]
    assert picture.samples[0, 0].tolist() == [90, 90, 90]
    assert (under.samples == 90).all()


def test_contour_data_may_be_bulk() -> None:
    structures = structure_set(contour([[5, 10, 0], [30, 10, 0], [30, 33, 0], [5, 33, 0]]))
    place = structures["30060039"]["Value"][0]["30060040"]["Value"][0]
    text = "\\".join(str(number) for number in place["30060050"]["Value"]).encode() + b" "
    place["30060050"] = {"vr": "DS", "BulkDataURI": "http://x/bulkdata/30060039/0/30060040/0/30060050"}
    asked: list[str] = []

    def bulk(path: str) -> bytes:
        asked.append(path)
        return text

    picture = contours_on(structures, image(), Picture(np.zeros((40, 50), np.uint8)), bulk=bulk, limits=LIMITS)
    assert np.array_equal(picture.samples[..., 0] > 128, square(10, 5, 33, 30))
    assert asked == ["30060039/0/30060040/0/30060050"]


def test_images_with_most_regions_come_first() -> None:
    points = [[5, 10, 0], [30, 10, 0], [30, 33, 0]]
    one = structure_set(*(contour(points, image=f"1.2.{number}") for number in range(1, 8)))
    two = structure_set(*(contour(points, image=f"1.2.{number}") for number in (3, 4, 5)))
    one["30060039"]["Value"] += two["30060039"]["Value"]
    found = referenced_images(one)
    assert found[0] == SourceImage(CT, "1.2.4")
    assert {image.sop_instance_uid for image in found[:3]} == {"1.2.3", "1.2.4", "1.2.5"}
    assert len(found) == 7


def test_image_without_a_place_is_refused() -> None:
    attributes = image()
    del attributes["00200032"]
    with pytest.raises(CannotRender, match="lies"):
        drawn(structure_set(contour([[0, 0, 0]])), attributes)


@pytest.mark.parametrize(
    ("tag", "values"),
    [
        ("00200032", [1, 2]),
        ("00200032", ["NaN", 0, 0]),
        ("00200032", [1e300, 0, 0]),
        ("00200037", [0, 0, 0, 0, 0, 0]),
        ("00200037", [1, 0, 0, 1, 0, 0]),
        ("00280030", [0, 1]),
        ("00280030", [-1, 1]),
    ],
)
def test_place_that_cannot_be_meant_is_none(tag: str, values: list[Any]) -> None:
    assert plane_of({**image(), tag: {"vr": "DS", "Value": values}}) is None


def test_real_structure_set_is_shown_without_its_images() -> None:
    attributes = dcmread(str(get_testdata_file("rtstruct.dcm")), force=True).to_json_dict()
    assert [(region.name, region.color) for region in regions_of(attributes)] == [
        ("patient", (220, 160, 120)),
        ("Isocenter 1", (255, 64, 255)),
        ("Isocenter 2", (255, 64, 255)),
    ]
    picture = render_structure_set(attributes, bulk=no_bulk, width=870, limits=LIMITS)
    assert picture.samples.shape == (600, 870, 3)
    body = np.argwhere((picture.samples[:, :600] == (220, 160, 120)).all(axis=2))
    # 400 mm by 300 mm, over all of the view.
    high, wide = body.max(axis=0) - body.min(axis=0)
    assert (wide, high) == pytest.approx((528, 396), abs=2)


def test_structure_set_without_contours_is_refused() -> None:
    with pytest.raises(CannotRender, match="no contours"):
        render_structure_set({}, bulk=no_bulk, width=300, limits=LIMITS)


def test_contours_beyond_the_limit_are_refused() -> None:
    structures = structure_set(contour(np.zeros((11, 3))), contour(np.zeros((11, 3))))
    with pytest.raises(CannotRender, match="contour_points"):
        render_structure_set(structures, bulk=no_bulk, width=300, limits=Limits(contour_points=21))
    render_structure_set(structures, bulk=no_bulk, width=300, limits=Limits(contour_points=22))


def test_contours_far_outside_cost_nothing_A24() -> None:
    points = [[-9e6, 9e6, 0], [9e6, -9e6, 0], [9e6, 9e6, 0]] * 20
    found = drawn(structure_set(contour(points)), image())
    assert found.shape == (40, 50)


@pytest.mark.slow
def test_lines_beyond_all_measure_are_refused_not_drawn_for_minutes() -> None:
    tangle = np.random.default_rng(0).uniform(0, 40, (400_000, 3))
    tangle[:, 2] = 0
    structures = structure_set(contour(tangle))
    with pytest.raises(CannotRender, match="too many and too long"):
        drawn(structures, image(), (400, 500))
    with pytest.raises(CannotRender, match="too many and too long"):
        render_structure_set(structures, bulk=no_bulk, width=600, limits=LIMITS)


def test_wrong_objects_are_shown_or_refused() -> None:
    structures = structure_set(
        contour([[5, 10, 0], [30, 10, 0], [30, 33, 0]], image="1.2.3"), contour([[20, 15, 0]], "POINT"), name="<b>&"
    )
    under = Picture(np.zeros((40, 50), np.uint8))
    pictures = 0
    for broken in broken_objects(structures, most=250):
        try:
            referenced_images(broken)
            contours_on(broken, image(), under, bulk=lambda path: b"1\\x\\3", limits=LIMITS)
            render_structure_set(broken, bulk=lambda path: b"\xff", width=60, limits=LIMITS)
        except DICOMwebError:
            continue
        pictures += 1
    assert pictures > 150
    for broken in broken_objects(image(), most=250):
        try:
            contours_on(structures, broken, under, bulk=no_bulk, limits=LIMITS)
        except DICOMwebError:
            continue
