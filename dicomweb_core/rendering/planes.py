"""Where the pixels of a frame lie in the patient (PS3.3 C.7.6.2.1.1), and which images an object is made from."""

from __future__ import annotations

import math
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from dicomweb_core.rendering.frame_attributes import finite_number, frame_attributes, numbers, sequence_items
from dicomweb_core.values.attributes import Attributes, first_text

_POSITION: Final = "00200032"
_ORIENTATION: Final = "00200037"
_PIXEL_SPACING: Final = "00280030"
_SLICE_THICKNESS: Final = "00180050"
_FRAME_OF_REFERENCE: Final = "00200052"
_FARTHEST: Final = 1e7
"""Millimetres; no scanner's coordinates are larger."""
_PARALLEL: Final = 0.999
"""Cosine of an angle between planes that still show the same: 2.5 degrees."""
_SAME_GRID: Final = 0.1
"""Pixels between corners."""

_DERIVATION_IMAGES: Final = "00089124"
_SOURCE_IMAGES: Final = "00082112"
_SOP_CLASS: Final = "00081150"
_SOP_INSTANCE: Final = "00081155"
_FRAME_NUMBERS: Final = "00081160"


class SourceImage(NamedTuple):
    """An image, or a frame of one, that an object refers to."""

    sop_class_uid: str
    sop_instance_uid: str
    frame_number: int | None = None
    """1-based; None: the whole instance."""


class Plane(NamedTuple):
    """The pixels of a frame in the patient. Lengths are millimetres in the patient's coordinates."""

    position: NDArray[np.float64]
    """Centre of the first pixel."""
    row: NDArray[np.float64]
    """Unit vector along a row: of increasing column index."""
    column: NDArray[np.float64]
    """Unit vector along a column: of increasing row index."""
    spacing: tuple[float, float]
    """Between rows, between columns: the order of Pixel Spacing (0028,0030)."""
    thickness: float | None

    @property
    def normal(self) -> NDArray[np.float64]:
        """Unit vector out of the plane."""
        return np.cross(self.row, self.column)

    def pixels(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """Column and row (0.0 is the centre of the first pixel) of points of shape (n, 3), projected on the plane."""
        offset = points - self.position
        return np.stack([offset @ self.row / self.spacing[1], offset @ self.column / self.spacing[0]], axis=1)

    def distances(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """Of points of shape (n, 3) from the plane, signed."""
        return np.asarray((points - self.position) @ self.normal)


def plane_of(attributes: Attributes) -> Plane | None:
    """The plane of a frame (`frame_attributes`); None when position, orientation or spacing cannot be meant."""
    position, orientation = numbers(attributes, _POSITION), numbers(attributes, _ORIENTATION)
    spacing = numbers(attributes, _PIXEL_SPACING)
    if len(position) != 3 or len(orientation) != 6 or len(spacing) != 2:
        return None
    if not all(math.isfinite(n) and abs(n) <= _FARTHEST for n in (*position, *orientation)):
        return None
    if not all(1e-6 <= n <= 1e6 for n in spacing):
        return None
    row, column = np.array(orientation[:3]), np.array(orientation[3:])
    lengths = [float(np.linalg.norm(vector)) for vector in (row, column)]
    if not all(abs(length - 1) < 0.01 for length in lengths) or abs(float(row @ column)) > 0.01:
        return None
    thickness = finite_number(attributes, _SLICE_THICKNESS)
    return Plane(
        np.array(position),
        row / lengths[0],
        column / lengths[1],
        (spacing[0], spacing[1]),
        thickness if thickness is not None and 0 < thickness <= _FARTHEST else None,
    )


def parallel(one: Plane, other: Plane) -> bool:
    """Whether both show the same cut, if they lie at the same place."""
    return abs(float(one.normal @ other.normal)) >= _PARALLEL


def same_grid(one: Plane, other: Plane, shape: tuple[int, int]) -> bool:
    """Whether the pixels of two frames of that shape lie on each other."""
    corners = np.array([[0.0, 0.0], [shape[1] - 1.0, 0.0], [0.0, shape[0] - 1.0]])
    steps = np.stack([other.row * other.spacing[1], other.column * other.spacing[0]])
    return bool(np.abs(one.pixels(other.position + corners @ steps) - corners).max() <= _SAME_GRID)


def frame_shows_plane(frame: Attributes, image: Attributes) -> bool:
    """Whether a frame lies where an image of its Frame of Reference does: parallel, and nearer than half a slice.

    Both are attributes of frames (`frame_attributes`). The way to a source image for objects that name only its series.
    """
    one, other = plane_of(frame), plane_of(image)
    if one is None or other is None or not parallel(one, other):
        return False
    references = [first_text(attributes, _FRAME_OF_REFERENCE) for attributes in (frame, image)]
    if all(references) and references[0] != references[1]:
        return False
    reach = max(one.thickness or 0.0, other.thickness or 0.0, 0.02) / 2
    return abs(float(other.distances(one.position[None])[0])) <= reach


def derivation_source(attributes: Attributes, index: int) -> SourceImage | None:
    """The first image that frame `index` (0-based) says it was derived from: Derivation Image Sequence of its
    functional groups, else Source Image Sequence of the object when it names just one. None when neither says."""
    frame = frame_attributes(attributes, index)
    for derivation in sequence_items(frame, _DERIVATION_IMAGES):
        for item in sequence_items(derivation, _SOURCE_IMAGES):
            found = source_image(item, index=None)
            if found is not None:
                return found
    items = sequence_items(attributes, _SOURCE_IMAGES)
    return source_image(items[0], index=index) if len(items) == 1 else None


def source_image(item: Attributes, *, index: int | None = None) -> SourceImage | None:
    """What an item with Referenced SOP Class and Instance UID names. Of several Referenced Frame Numbers the one at
    `index`, else the first."""
    instance = first_text(item, _SOP_INSTANCE).strip(" \0")
    if not instance:
        return None
    frames: Any = [int(n) for n in numbers(item, _FRAME_NUMBERS) if math.isfinite(n) and 1 <= n < 1 << 31]
    number = None
    if frames:
        number = frames[index] if index is not None and index < len(frames) else frames[0]
    return SourceImage(first_text(item, _SOP_CLASS).strip(" \0"), instance, number)
