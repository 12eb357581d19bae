"""Softcopy presentation states: which images they show, and how (PS3.3 C.11, PS3.4 N.2, PS3.18 8.3.5.1.6)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any, Final, NamedTuple

import numpy as np

from dicomweb_core.errors import CannotRender
from dicomweb_core.rendering.color import render_color
from dicomweb_core.rendering.displayed_area import (
    displayed_area,
    place_samples,
    placement,
    spatial_transformation,
    tile_origin,
)
from dicomweb_core.rendering.fonts import script
from dicomweb_core.rendering.frame_attributes import finite_number, numbers, sequence_items
from dicomweb_core.rendering.graphics import MOST_OBJECTS, Canvas, draw_graphic, draw_text, inks_of
from dicomweb_core.rendering.grayscale import identity_window, render_grayscale
from dicomweb_core.rendering.icc import in_color_space, stored_profile
from dicomweb_core.rendering.inks import WHITE, Ink, blend, ink_of
from dicomweb_core.rendering.lookup_tables import Bulk
from dicomweb_core.rendering.overlays import GROUPS, Overlay, overlay
from dicomweb_core.rendering.palettes import palette
from dicomweb_core.rendering.pictures import Picture, Samples
from dicomweb_core.rendering.pillow import require_pillow
from dicomweb_core.rendering.shutters import SHAPE, shutter, shutter_ink
from dicomweb_core.values.attributes import Attributes, first_text
from dicomweb_core.values.limits import Limits
from dicomweb_core.values.pixels import NativeFrame
from dicomweb_core.values.renderings import ColorSpace, Rendering

_STORAGE: Final = "1.2.840.10008.5.1.4.1.1.11."
GRAYSCALE: Final = _STORAGE + "1"
COLOR: Final = _STORAGE + "2"
PSEUDO_COLOR: Final = _STORAGE + "3"
XA_XRF_GRAYSCALE: Final = _STORAGE + "5"
PRESENTATION_STATES: Final = frozenset({GRAYSCALE, COLOR, PSEUDO_COLOR, XA_XRF_GRAYSCALE})
"""SOP classes that are applied here. Of the XA/XRF one without its mask subtraction and edge enhancement."""

_SOP_CLASS: Final = "00080016"
_SOP_INSTANCE: Final = "00080018"
_REFERENCED_SERIES: Final = "00081115"
_REFERENCED_IMAGES: Final = "00081140"
_REFERENCED_CLASS: Final = "00081150"
_REFERENCED_INSTANCE: Final = "00081155"
_REFERENCED_FRAMES: Final = "00081160"
_SERIES: Final = "0020000E"
_MODALITY_LUT: Final = ("00283000", "00281052", "00281053", "00281054")
_VOI_LUT: Final = ("00283010", "00281050", "00281051", "00281055", "00281056")
_PRESENTATION_LUT: Final = ("20500010", "20500020")
_SOFTCOPY_VOI: Final = "00283110"
_DISPLAYED_AREAS: Final = "0070005A"
_ANNOTATIONS: Final = "00700001"
_TEXTS: Final = "00700008"
_GRAPHICS: Final = "00700009"
_LAYERS: Final = "00700060"
_LAYER: Final = "00700002"
_LAYER_ORDER: Final = "00700062"
_LAYER_COLOR: Final = ("00700066", "00700401")
_ACTIVATION: Final = 0x1001
_SHUTTER_GROUP: Final = "00181623"
_ICC: Final = ("00282000", "00282002")
_OF_THE_IMAGE: Final = frozenset({*_MODALITY_LUT, *_VOI_LUT, *_PRESENTATION_LUT, "00409096"})
"""What an image says of its own display: a presentation state replaces all of it, also by nothing."""


class ReferencedImage(NamedTuple):
    """An image that a presentation state is about."""

    series_instance_uid: str
    sop_class_uid: str
    sop_instance_uid: str
    frames: tuple[int, ...] = ()
    """1-based; empty: all."""


@dataclass(frozen=True, slots=True)
class PresentationState:
    """A presentation state, read. What it has for one frame is looked up when that is rendered."""

    attributes: Attributes
    bulk: Bulk
    """Of the presentation state itself."""
    images: tuple[ReferencedImage, ...]
    """In the order of its references, without repetition."""

    def items(self, sequence: str, sop_instance_uid: str, number: int) -> list[Attributes]:
        """The items of a sequence that apply to a frame (1-based)."""
        found = sequence_items(self.attributes, sequence)
        return [item for item in found if _applies(item, sop_instance_uid, number)]


def presentation_state(attributes: Attributes, bulk: Bulk) -> PresentationState:
    """Read a presentation state. Raises CannotRender when its class is not among `PRESENTATION_STATES`, or when it
    refers to no image."""
    if first_text(attributes, _SOP_CLASS) not in PRESENTATION_STATES:
        raise CannotRender("Presentation states of this SOP Class are not applied here.")
    images = dict.fromkeys(
        image for series in sequence_items(attributes, _REFERENCED_SERIES) for image in _referenced(series)
    )
    if not images:
        raise CannotRender("The presentation state refers to no image.")
    return PresentationState(attributes, bulk, tuple(images))


def render_state(
    frame: NativeFrame,
    attributes: Attributes,
    number: int,
    state: PresentationState,
    bulk: Bulk,
    rendering: Rendering,
    limits: Limits,
    *,
    bits: int = 8,
    font_paths: tuple[str, ...] = (),
) -> Picture:
    """Frame `number` (1-based) of an image as the presentation state shows it, in its final size.

    `attributes` are those of the frame (`frame_attributes`), `bulk` those of its image. Of `rendering` the size of the
    viewport and the colour space count: crop, window and region do not go with a presentation state, or come behind.
    Every stage that the state does not have is the identity, whatever the image says. Grayscale becomes RGB where
    something coloured is drawn upon it. Raises CannotRender, also for a picture of more than `Limits.rendered_pixels`,
    and MissingCodec without Pillow.
    """
    require_pillow()
    uid = first_text(attributes, _SOP_INSTANCE)
    picture = _values(frame, attributes, uid, number, state, bulk, limits, bits)
    area = next(iter(state.items(_DISPLAYED_AREAS, uid, number)), {})
    tile = tile_origin(attributes, number, picture.rows, picture.columns)
    shown = displayed_area(area, picture.rows, picture.columns, picture.pixel_aspect, tile)
    spatial = spatial_transformation(state.attributes)
    most_pixels = max(limits.rendered_pixels, picture.rows * picture.columns)
    place = placement(shown, spatial, rendering.viewport, most_pixels)
    layers = _layers(state, attributes, uid, number, bulk, frame)
    if picture.icc_profile is not None and (layers or SHAPE in state.attributes):
        # Inks are sRGB.
        picture = in_color_space(picture, ColorSpace.SRGB)
    samples: Any = picture.samples
    if samples.ndim == 2 and _colored(layers):
        samples = np.repeat(samples[:, :, np.newaxis], 3, axis=2)
    samples = place_samples(_shuttered(samples, state, shown.aspect), place)
    canvas = Canvas(samples, place, script(font_paths), tile)
    for layer in layers:
        _draw_layer(canvas, layer, picture.rows, picture.columns)
    return in_color_space(Picture(samples, picture.icc_profile), rendering.color_space)


def display_order(frames: Sequence[Attributes]) -> list[int]:
    """Indexes of the frames, given by their attributes in the order of references, in the order they are shown in
    (PS3.18 8.3.5.1.6): by Dimension Index Values, else by Image Position (Patient), else by Image Position (Volume) -
    each only when all frames have it - else as given."""
    for tag, least in (("00209157", 1), ("00200032", 3), ("00209301", 3)):
        keys = [numbers(frame, tag) for frame in frames]
        if keys and all(len(key) >= least and all(abs(part) < 1e300 for part in key) for key in keys):
            if tag == "00200032":
                keys = [_along_normal(frame, key) for frame, key in zip(frames, keys, strict=True)]
            return sorted(range(len(frames)), key=lambda index: keys[index])
    return list(range(len(frames)))


def _along_normal(frame: Attributes, position: list[float]) -> list[float]:
    """The distance along the normal of the image plane, then the position itself (to settle ties)."""
    direction = numbers(frame, "00200037")
    if len(direction) != 6 or not all(abs(part) <= 2 for part in direction):
        return [0.0, *position[::-1]]
    normal = np.cross(direction[:3], direction[3:])
    return [round(float(np.dot(normal, position[:3])), 4), *position[::-1]]


class _Layer(NamedTuple):
    ink: Ink
    planes: list[Overlay]
    graphics: list[Attributes]
    texts: list[Attributes]


def _values(
    frame: NativeFrame,
    attributes: Attributes,
    uid: str,
    number: int,
    state: PresentationState,
    bulk: Bulk,
    limits: Limits,
    bits: int,
) -> Picture:
    """The frame through the lookup tables of the state, in its own matrix."""
    own = {tag: value for tag, value in attributes.items() if tag not in _OF_THE_IMAGE}
    profile = stored_profile(_picked(state.attributes, _ICC), state.bulk, limits)
    if frame.image.photometric.strip().upper() not in ("MONOCHROME1", "MONOCHROME2"):
        picture = render_color(frame, own, bulk, Rendering(), limits=limits)
        return picture if profile is None else replace(picture, icc_profile=profile)
    own |= _picked(state.attributes, (*_MODALITY_LUT, *_PRESENTATION_LUT))
    for item in state.items(_SOFTCOPY_VOI, uid, number)[:1]:
        own |= _picked(item, _VOI_LUT)
    frame = NativeFrame(frame.data, replace(frame.image, photometric="MONOCHROME2"))
    window = None if any(tag in own for tag in _VOI_LUT) else identity_window(frame, own, state.bulk)
    if first_text(state.attributes, _SOP_CLASS) != PSEUDO_COLOR:
        return render_grayscale(frame, own, state.bulk, Rendering(window=window), bits=bits)
    picture = render_grayscale(frame, own, state.bulk, Rendering(window=window), bits=16)
    colors = palette(state.attributes, state.bulk, signed=False).colors
    indexes = (picture.samples.astype(np.uint32) * (len(colors) - 1) + 0x7FFF) // 0xFFFF
    return Picture(colors.take(indexes, axis=0), profile, picture.pixel_aspect)


def _picked(attributes: Attributes, tags: Iterable[str]) -> Attributes:
    return {tag: attributes[tag] for tag in tags if tag in attributes}


def _shuttered(samples: Samples, state: PresentationState, aspect: float) -> Samples:
    covered = shutter(state.attributes, state.bulk, samples.shape[0], samples.shape[1], aspect)
    if covered is None:
        return samples
    samples = samples.copy()
    blend(samples, covered.astype(np.uint8) * np.uint8(255), 0, 0, shutter_ink(state.attributes))
    return samples


def _layers(
    state: PresentationState, attributes: Attributes, uid: str, number: int, bulk: Bulk, frame: NativeFrame
) -> list[_Layer]:
    """Those that show something, from the lowest to the highest; what is used without being declared is the highest, in
    white."""
    declared = sequence_items(state.attributes, _LAYERS)
    declared.sort(key=lambda item: finite_number(item, _LAYER_ORDER) or 0.0)
    inks = {_name(item): ink_of(item, *_LAYER_COLOR, WHITE) or WHITE for item in declared}
    layers = {name: _Layer(ink, [], [], []) for name, ink in inks.items()}
    for name, plane in _activated(state, attributes, bulk, frame, number):
        layers.setdefault(name, _Layer(WHITE, [], [], [])).planes.append(plane)
    for item in state.items(_ANNOTATIONS, uid, number):
        layer = layers.setdefault(_name(item), _Layer(WHITE, [], [], []))
        layer.graphics.extend(sequence_items(item, _GRAPHICS))
        layer.texts.extend(sequence_items(item, _TEXTS))
    return [layer for layer in layers.values() if layer.planes or layer.graphics or layer.texts]


def _colored(layers: list[_Layer]) -> bool:
    """Whether anything is drawn in a colour."""
    objects = (item for layer in layers for item in (*layer.graphics, *layer.texts))
    styled = (ink for item in islice(objects, MOST_OBJECTS) for ink in inks_of(item))
    return any(layer.ink.rgb for layer in layers) or any(ink.rgb for ink in styled)


def _name(item: Attributes) -> str:
    return first_text(item, _LAYER).strip().upper()


def _activated(
    state: PresentationState, attributes: Attributes, bulk: Bulk, frame: NativeFrame, number: int
) -> list[tuple[str, Overlay]]:
    """Overlays with their layers (PS3.3 C.11.7): those of the state, else those of the image with the same group.

    One that is a bitmap shutter is none.
    """
    found = []
    for group in GROUPS:
        layer = first_text(state.attributes, f"{group:04X}{_ACTIVATION:04X}").strip().upper()
        if not layer or finite_number(state.attributes, _SHUTTER_GROUP) == group:
            continue
        if f"{group:04X}3000" in state.attributes:
            plane = overlay(state.attributes, group, state.bulk, None)
        else:
            plane = overlay(attributes, group, bulk, frame, number)
        if plane is not None:
            found.append((layer, plane))
    return found


def _draw_layer(canvas: Canvas, layer: _Layer, rows: int, columns: int) -> None:
    for plane in layer.planes:
        whole: Any = plane.over(rows, columns).astype(np.uint8) * np.uint8(255)
        coverage: Any = place_samples(whole, canvas.place)
        blend(canvas.samples, coverage, 0, 0, layer.ink)
    for item in layer.graphics:
        draw_graphic(canvas, item, layer.ink)
    for item in layer.texts:
        draw_text(canvas, item, layer.ink)


def _referenced(series: Attributes) -> list[ReferencedImage]:
    return [
        ReferencedImage(first_text(series, _SERIES), first_text(item, _REFERENCED_CLASS), uid, _frames(item))
        for item in sequence_items(series, _REFERENCED_IMAGES)
        if (uid := first_text(item, _REFERENCED_INSTANCE))
    ]


def _frames(item: Attributes) -> tuple[int, ...]:
    return tuple(int(number) for number in numbers(item, _REFERENCED_FRAMES) if 1 <= number <= 1 << 31)


def _applies(item: Attributes, sop_instance_uid: str, number: int) -> bool:
    """An item without references applies to all images."""
    references = sequence_items(item, _REFERENCED_IMAGES)
    if not references:
        return True
    for reference in references:
        if first_text(reference, _REFERENCED_INSTANCE) == sop_instance_uid:
            frames = _frames(reference)
            if not frames or number in frames:
                return True
    return False
