"""Presentation states made of keywords, and what they make of made images."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from pydicom import Dataset

from dicomweb_core.rendering.pictures import Picture
from dicomweb_core.rendering.presentation_state import GRAYSCALE, presentation_state, render_state
from dicomweb_core.values.attributes import Attributes
from dicomweb_core.values.limits import Limits
from dicomweb_core.values.pixels import NativeFrame
from dicomweb_core.values.renderings import Rendering, Viewport
from tests.rendering.gray_frames import made_frame, no_bulk

IMAGE = "2.999.1"
OTHER = "2.999.2"


def item(**values: Any) -> Dataset:
    """A data set of keywords."""
    dataset = Dataset()
    for keyword, value in values.items():
        setattr(dataset, keyword, value)
    return dataset


def referring(uid: str = IMAGE, frames: list[int] | None = None) -> list[Dataset]:
    """Referenced Image Sequence."""
    reference = item(ReferencedSOPClassUID="1.2.840.10008.5.1.4.1.1.7", ReferencedSOPInstanceUID=uid)
    if frames:
        reference.ReferencedFrameNumber = frames
    return [reference]


def state_attributes(**values: Any) -> Attributes:
    """Of a Grayscale Softcopy Presentation State about IMAGE. Keys like `x60001001` are tags of CS values."""
    dataset = item(
        SOPClassUID=GRAYSCALE,
        ReferencedSeriesSequence=[item(SeriesInstanceUID="2.999", ReferencedImageSequence=referring())],
    )
    for keyword, value in values.items():
        if keyword.startswith("x6"):
            dataset.add_new(int(keyword[1:], 16), "CS", value)
        else:
            setattr(dataset, keyword, value)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        attributes: Attributes = dataset.to_json_dict()
    return attributes


def area(left: int, top: int, right: int, bottom: int, mode: str = "SCALE TO FIT", **values: Any) -> list[Dataset]:
    """Displayed Area Selection Sequence: corners in columns and rows from 1, inclusive."""
    return [
        item(
            DisplayedAreaTopLeftHandCorner=[left, top],
            DisplayedAreaBottomRightHandCorner=[right, bottom],
            PresentationSizeMode=mode,
            **({"PresentationPixelAspectRatio": [1, 1]} | values),
        )
    ]


def graphic(kind: str, data: list[float], units: str = "PIXEL", filled: str = "N", **values: Any) -> Dataset:
    """An item of Graphic Object Sequence."""
    return item(
        GraphicAnnotationUnits=units,
        GraphicDimensions=2,
        NumberOfGraphicPoints=len(data) // 2,
        GraphicData=[float(number) for number in data],
        GraphicType=kind,
        GraphicFilled=filled,
        **values,
    )


def drawn(*objects: Dataset, layer: str = "L", **values: Any) -> list[Dataset]:
    """Graphic Annotation Sequence of graphic and text objects."""
    texts = [found for found in objects if "UnformattedTextValue" in found]
    graphics = [found for found in objects if "UnformattedTextValue" not in found]
    found = item(GraphicLayer=layer, **values)
    if texts:
        found.TextObjectSequence = texts
    if graphics:
        found.GraphicObjectSequence = graphics
    return [found]


def shown(
    stored: Any,
    attributes: Attributes,
    *,
    image: Attributes | None = None,
    number: int = 1,
    size: tuple[int, int] | None = None,
    limits: Limits | None = None,
    frame: NativeFrame | None = None,
    rendering: Rendering | None = None,
    bits: int = 8,
) -> Picture:
    """What a state makes of a made image of these samples."""
    own: Attributes = {"00080018": {"vr": "UI", "Value": [IMAGE]}, **(image or {})}
    state = presentation_state(attributes, no_bulk)
    rendering = rendering or Rendering(viewport=Viewport(*size) if size else None)
    frame = frame or made_frame(np.asarray(stored))
    return render_state(frame, own, number, state, no_bulk, rendering, limits or Limits(), bits=bits)


def levels(*arguments: Any, **values: Any) -> Any:
    """The samples of what is `shown`, as lists."""
    return shown(*arguments, **values).samples.tolist()
