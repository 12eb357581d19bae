"""RT Structure Sets: the contours of their regions of interest, over an image (PS3.3 C.8.8.5, C.8.8.6)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from dicomweb_core.errors import CannotRender
from dicomweb_core.rendering.colormaps import Color, distinct_color
from dicomweb_core.rendering.frame_attributes import finite_number, numbers, sequence_items
from dicomweb_core.rendering.layers import RGB, check_size, line_coverage, rgb_of, tint_by
from dicomweb_core.rendering.lookup_tables import Bulk
from dicomweb_core.rendering.pictures import Picture
from dicomweb_core.rendering.planes import Plane, SourceImage, plane_of, source_image
from dicomweb_core.values.attributes import Attribute, Attributes, first_text
from dicomweb_core.values.limits import Limits

_REGIONS: Final = "30060020"
_REGION_NUMBER: Final = "30060022"
_REGION_NAME: Final = "30060026"
_REGION_CONTOURS: Final = "30060039"
_DISPLAY_COLOR: Final = "3006002A"
_REFERENCED_REGION: Final = "30060084"
_CONTOURS: Final = "30060040"
_GEOMETRIC_TYPE: Final = "30060042"
_CONTOUR_DATA: Final = "30060050"
_CONTOUR_IMAGES: Final = "30060016"
_REFERENCED_FRAMES: Final = "30060010"
_REFERENCED_STUDIES: Final = "30060012"
_REFERENCED_SERIES: Final = "30060014"
_SOP_INSTANCE: Final = "00080018"
_FRAME_OF_REFERENCE: Final = "00200052"
_REGION_FRAME_OF_REFERENCE: Final = "30060024"

_FARTHEST: Final = 1e7
_NO_THICKNESS: Final = 1.0
"""Millimetres: of images without Slice Thickness."""
_IN_PLANE: Final = 0.1
"""Millimetres that a contour may be uneven."""
_CLOSED: Final = ("CLOSED_PLANAR", "CLOSEDPLANAR_XOR")
_POINT: Final = "POINT"

Points = NDArray[np.float64]
"""Of shape (points, 3): x, y and z in the patient, millimetres."""


class Region(NamedTuple):
    """A region of interest (ROI)."""

    number: int
    name: str
    color: Color
    frame_of_reference: str
    """UID, or empty."""
    contours: tuple[tuple[str, Attributes], ...]
    """Path of each in the object, and its item."""


class Contour(NamedTuple):
    """One contour that can be drawn."""

    points: Points
    kind: str
    """Contour Geometric Type (3006,0042)."""
    images: frozenset[str]
    """SOP Instance UIDs of Contour Image Sequence."""

    @property
    def closed(self) -> bool:
        """Whether the last point is joined to the first."""
        return self.kind in _CLOSED


def regions_of(attributes: Attributes) -> tuple[Region, ...]:
    """The regions that have contours, in their order, with ROI Display Color or a distinct one."""
    described: dict[float, Attributes] = {}
    for item in sequence_items(attributes, _REGIONS):
        number = finite_number(item, _REGION_NUMBER)
        if number is not None:
            described.setdefault(number, item)
    found = []
    for place, item in _indexed(attributes, _REGION_CONTOURS):
        number = finite_number(item, _REFERENCED_REGION)
        region = described.get(number, {}) if number is not None else {}
        contours = tuple(
            (f"{_REGION_CONTOURS}/{place}/{_CONTOURS}/{index}", contour) for index, contour in _indexed(item, _CONTOURS)
        )
        if contours:
            found.append(
                Region(
                    int(number) if number is not None and abs(number) < 1 << 31 else place + 1,
                    first_text(region, _REGION_NAME).strip(" \0") or f"ROI {place + 1}",
                    _display_color(item) or distinct_color(place),
                    first_text(region, _REGION_FRAME_OF_REFERENCE).strip(" \0"),
                    contours,
                )
            )
    return tuple(found)


def counted(regions: tuple[Region, ...], limits: Limits) -> tuple[Region, ...]:
    """The same; raises CannotRender when they are too many for one picture."""
    if len(regions) > limits.contour_regions:
        raise CannotRender(f"There are more than {limits.contour_regions} regions of interest (limit contour_regions).")
    return regions


def contours_of(region: Region, bulk: Bulk, limits: Limits, spent: list[int]) -> Iterator[Contour]:
    """The contours of a region; those whose points cannot be read are left out.

    `spent` has one number, the points read so far for this picture. Raises CannotRender when they are too many.
    """
    for path, item in region.contours:
        points = _points(item.get(_CONTOUR_DATA, {}), f"{path}/{_CONTOUR_DATA}", bulk, limits)
        if points is None:
            continue
        spent[0] += len(points)
        if spent[0] > limits.contour_points:
            raise CannotRender(f"The contours have more than {limits.contour_points} points (limit contour_points).")
        images = frozenset(found.sop_instance_uid for found in _images(item))
        yield Contour(points, first_text(item, _GEOMETRIC_TYPE).strip(" \0").upper(), images)


def referenced_images(attributes: Attributes) -> tuple[SourceImage, ...]:
    """The images that contours were drawn on, each once: those with most contours first, equal ones as they come.

    Of Contour Image Sequence of the contours; without any, all of Referenced Frame of Reference Sequence.
    """
    counts: dict[SourceImage, int] = {}
    for region in regions_of(attributes):
        for image in {image: None for _, item in region.contours for image in _images(item)}:
            counts[image] = counts.get(image, 0) + 1
    if counts:
        return _from_the_middle(counts)
    return tuple(
        found
        for frame in sequence_items(attributes, _REFERENCED_FRAMES)
        for study in sequence_items(frame, _REFERENCED_STUDIES)
        for series in sequence_items(study, _REFERENCED_SERIES)
        for found in _images(series)
    )


def _from_the_middle(counts: dict[SourceImage, int]) -> tuple[SourceImage, ...]:
    """Images with most regions first; of those with equally many the middle one first, as they lie in the object."""
    order = list(counts)
    most = max(counts.values())
    best = [place for place, image in enumerate(order) if counts[image] == most]
    middle = best[len(best) // 2]
    places = sorted(range(len(order)), key=lambda place: (-counts[order[place]], abs(place - middle)))
    return tuple(order[place] for place in places)


def contours_on(
    attributes: Attributes,
    image_attributes: Attributes,
    picture: Picture,
    *,
    bulk: Bulk,
    limits: Limits,
) -> Picture:
    """The picture with the contours that lie on it: closed and open lines, and points as crosses.

    `attributes` are those of the structure set, `image_attributes` of the image's frame (`frame_attributes`), whose
    whole frame `picture` shows, enlarged or not. On it lie contours that name the image, and those parallel to it
    within half a slice, of the same Frame of Reference. Raises CannotRender when the image does not say where it lies.
    """
    plane = plane_of(image_attributes)
    if plane is None:
        raise CannotRender("The image does not say where it lies in the patient, so contours cannot be drawn on it.")
    check_size(picture.rows, picture.columns, limits)
    instance = first_text(image_attributes, _SOP_INSTANCE).strip(" \0")
    reference = first_text(image_attributes, _FRAME_OF_REFERENCE).strip(" \0")
    scale = _scale(picture, image_attributes)
    spent = [0]
    rgb = rgb_of(picture)
    for region in counted(regions_of(attributes), limits):
        if region.frame_of_reference and reference and region.frame_of_reference != reference:
            continue
        lines = [
            (contour, (plane.pixels(contour.points) + 0.5) * scale - 0.5)
            for contour in contours_of(region, bulk, limits, spent)
            if _lies_on(contour, plane, instance)
        ]
        _draw(rgb, lines, region.color)
    return Picture(rgb, pixel_aspect=picture.pixel_aspect)


def draw_lines(rgb: RGB, lines: list[Points], color: Color, width: float) -> None:
    """Lines of (column, row) points in a colour, in place."""
    if lines:
        tint_by(rgb, line_coverage((rgb.shape[0], rgb.shape[1]), lines, width), color)


def contour_lines(contour: Contour, pixels: Points, reach: float) -> list[Points]:
    """What to draw for a contour whose points are at these (column, row) places: a closed or open line, or a cross of
    that reach for each point."""
    if contour.kind == _POINT or len(pixels) == 1:
        across, down = np.array([reach, 0.0]), np.array([0.0, reach])
        return [np.stack([point - arm, point + arm]) for point in pixels for arm in (across, down)]
    if contour.closed:
        pixels = np.concatenate([pixels, pixels[:1]])
    return [pixels]


def _draw(rgb: RGB, contours: list[tuple[Contour, Points]], color: Color) -> None:
    """Lines only: a filling would hide what is contoured."""
    width = max(1.0, min(rgb.shape[:2]) / 400)
    draw_lines(
        rgb, [line for contour, pixels in contours for line in contour_lines(contour, pixels, 5 * width)], color, width
    )


def _lies_on(contour: Contour, plane: Plane, instance: str) -> bool:
    if instance and instance in contour.images:
        return True
    distances = plane.distances(contour.points)
    even = float(distances.max() - distances.min()) <= max(_IN_PLANE, (plane.thickness or _NO_THICKNESS) / 2)
    if contour.images and instance and not even:
        return False
    return even and abs(float(distances.mean())) <= (plane.thickness or _NO_THICKNESS) / 2 + 1e-3


def _scale(picture: Picture, image_attributes: Attributes) -> NDArray[np.float64]:
    """Picture pixels per image pixel: across, down."""
    rows, columns = (finite_number(image_attributes, tag) for tag in ("00280010", "00280011"))
    if not rows or not columns or rows < 1 or columns < 1:
        return np.ones(2)
    return np.array([picture.columns / columns, picture.rows / rows])


def _points(attribute: Attribute, path: str, bulk: Bulk, limits: Limits) -> Points | None:
    values: Any = attribute.get("Value")
    if "BulkDataURI" in attribute:
        values = bulk(path).strip(b" \0").split(b"\\", 3 * limits.contour_points + 1)
    if not isinstance(values, list) or len(values) < 3:
        return None
    try:
        found = np.array(values, np.float64)
    except (ValueError, TypeError, OverflowError):
        return None
    if found.ndim != 1:
        return None
    found = found[: len(found) // 3 * 3].reshape(-1, 3)
    return found if bool(np.all(np.abs(found) <= _FARTHEST)) else None


def _display_color(item: Attributes) -> Color | None:
    found = numbers(item, _DISPLAY_COLOR)
    if len(found) != 3 or not all(0 <= part <= 255 for part in found):
        return None
    return int(found[0]), int(found[1]), int(found[2])


def _images(item: Attributes) -> list[SourceImage]:
    return [found for found in map(source_image, sequence_items(item, _CONTOUR_IMAGES)) if found is not None]


def _indexed(attributes: Attributes, tag: str) -> list[tuple[int, Attributes]]:
    """Items with their index in the object: paths count the ill-formed ones too."""
    values = attributes.get(tag, {}).get("Value")
    if not isinstance(values, list):
        return []
    return [(index, item) for index, item in enumerate(values) if isinstance(item, dict) and item]
