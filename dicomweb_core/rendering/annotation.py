"""Who and what a picture shows, burned into its corners (PS3.18 8.3.5.1.1)."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import replace
from itertools import zip_longest
from typing import Final, NamedTuple

from dicomweb_core.rendering.fonts import Script, line_height, script
from dicomweb_core.rendering.frame_attributes import finite_number, sequence_items
from dicomweb_core.rendering.inks import BLACK, WHITE, blend
from dicomweb_core.rendering.pictures import Picture, Samples
from dicomweb_core.rendering.pillow import require_pillow
from dicomweb_core.values.attributes import Attributes, first_text, first_value

KEYWORDS: Final = ("patient", "technique")
"""Values of the `annotation` parameter that are understood."""

_SMALLEST: Final = 10
"""The smallest em that can be read, in pixels."""
_LARGEST: Final = 160
_SHARE: Final = 36
"""Of the shorter side of a picture is the em."""
_MACROS: Final = ("00189112", "00189114", "00189325", "00189321", "00189301", "00189314", "00189329", "00189226")
"""Functional groups that hold technique: MR timing and echo, CT X-ray details, exposure, acquisition, kernel, types."""


class _Lines(NamedTuple):
    """Texts of the corners, from the edge inwards at the top, downwards at the bottom."""

    top_left: list[str]
    top_right: list[str]
    bottom_left: list[str]
    bottom_right: list[str]


class _Row(NamedTuple):
    """What stands in one line, at the left and at the right."""

    top: int
    left: str
    right: str


class _Type(NamedTuple):
    """The letters, their em and their outline in pixels."""

    script: Script
    size: int
    outline: int

    @property
    def height(self) -> int:
        return line_height(self.size)


def annotate(
    picture: Picture, attributes: Attributes, annotations: Collection[str], *, font_paths: tuple[str, ...] = ()
) -> Picture:
    """The picture with what `annotations` ask for burned in; the picture itself when that is nothing.

    `patient`: name in all its groups, ID, birth date, sex and age at the top left. `technique`: institution, study
    and equipment at the top right, series and how it was acquired at the bottom left, image at the bottom right.
    `attributes` are those of the frame (`frame_attributes`). The size of the letters goes with that of the picture;
    they are white with a black outline. Lines that are too wide end in an ellipsis, those that find no place are left
    out from the last: nothing overlaps, and nothing is smaller than can be read. Of names in a script that no font
    has the other groups are shown. `font_paths`: see `fonts.script`. Raises MissingCodec without Pillow.
    """
    if not any(keyword in annotations for keyword in KEYWORDS):
        return picture
    require_pillow()
    size = max(_SMALLEST, min(_LARGEST, round(min(picture.rows, picture.columns) / _SHARE)))
    letters = _Type(script(tuple(font_paths)), size, max(1, size // 10))
    lines = _Lines([], [], [], [])
    if "patient" in annotations:
        lines.top_left.extend(_filled(_patient(attributes, letters.script)))
    if "technique" in annotations:
        lines.top_right.extend(_filled(_study(attributes)))
        lines.bottom_left.extend(_filled(_acquisition(attributes)))
        lines.bottom_right.extend(_filled(_image(attributes)))
    samples = picture.samples.copy()
    margin = max(2, size // 2)
    for row in _rows(lines, picture.rows, letters, margin):
        _draw_row(samples, row, letters, margin)
    return replace(picture, samples=samples)


def _rows(lines: _Lines, height: int, letters: _Type, margin: int) -> list[_Row]:
    """As many as find a place one below the other; where there is none for top and bottom, half of them each."""
    most = max((height - 2 * margin) // letters.height, 1 if height >= letters.size else 0)
    above = max(len(lines.top_left), len(lines.top_right))
    below = max(len(lines.bottom_left), len(lines.bottom_right))
    above = min(above, most - min(below, most // 2))
    below = min(below, most - above)
    start = margin if height >= letters.height + 2 * margin else (height - letters.height) // 2
    top = [
        _Row(start + number * letters.height, left, right)
        for number, (left, right) in enumerate(
            zip_longest(lines.top_left[:above], lines.top_right[:above], fillvalue="")
        )
    ]
    bottom = zip_longest(lines.bottom_left[:below][::-1], lines.bottom_right[:below][::-1], fillvalue="")
    end = height - margin
    return top + [_Row(end - (number + 1) * letters.height, *pair) for number, pair in enumerate(bottom)]


def _draw_row(samples: Samples, row: _Row, letters: _Type, margin: int) -> None:
    """Both as wide as they are where there is room; else one may take half, or what the other leaves."""
    room = samples.shape[1] - 2 * margin
    gap = letters.size if row.left and row.right else 0
    widths = [letters.script.width(text, letters.size) for text in (row.left, row.right)]
    half = (room - gap) // 2
    for text, other, is_right in ((row.left, widths[1], False), (row.right, widths[0], True)):
        shown = letters.script.clipped(text, letters.size, max(half, room - gap - other)) if text else ""
        if shown:
            found = letters.script.line(shown, letters.size, letters.outline)
            border = letters.outline + 1
            left = samples.shape[1] - margin - found.letters.shape[1] + border if is_right else margin - border
            blend(samples, found.outlined, left, row.top - letters.outline, BLACK)
            blend(samples, found.letters, left, row.top - letters.outline, WHITE)


def _filled(lines: list[str]) -> list[str]:
    return [line.strip() for line in lines if line.strip()]


def _joined(*parts: str, by: str = "  ") -> str:
    return by.join(part.strip() for part in parts if part.strip())


def _patient(attributes: Attributes, letters: Script) -> list[str]:
    identifier = first_text(attributes, "00100020").strip()
    age = first_text(attributes, "00101010").strip().lstrip("0")
    return [
        *_name(attributes, letters),
        f"ID {identifier}" if identifier else "",
        _joined(_date(attributes, "00100030"), first_text(attributes, "00100040"), age),
    ]


def _name(attributes: Attributes, letters: Script) -> list[str]:
    """The groups of the name that can be shown; the alphabetic one, or else the first, when none can."""
    value = first_value(attributes, "00100010")
    groups = value if isinstance(value, dict) else {"Alphabetic": value} if isinstance(value, str) else {}
    names = [
        _written(groups[key], ", " if key == "Alphabetic" else " ")
        for key in ("Alphabetic", "Ideographic", "Phonetic")
        if isinstance(groups.get(key), str) and groups[key].strip(" ^")
    ]
    return [name for name in names if letters.has_glyphs(name)] or names[:1]


def _written(name: str, after_family: str) -> str:
    """Family name, given, middle; prefix and suffix behind (PS3.5 6.2.1.1)."""
    family, *others = (part.strip() for part in name.split("^"))
    given, middle, prefix, suffix = (*others, "", "", "", "")[:4]
    return _joined(_joined(family, _joined(given, middle, by=" "), by=after_family), prefix, suffix, by=" ")


def _study(attributes: Attributes) -> list[str]:
    time = first_text(attributes, "00080030").strip()
    shown_time = f"{time[:2]}:{time[2:4]}" if time[:4].isdecimal() and len(time) >= 4 else ""
    model = _joined(*(first_text(attributes, tag) for tag in ("00080070", "00081090")), by=" ")
    return [
        first_text(attributes, "00080080"),
        first_text(attributes, "00081030"),
        _joined(_date(attributes, "00080020"), shown_time),
        _joined(first_text(attributes, "00080060"), model),
    ]


def _acquisition(attributes: Attributes) -> list[str]:
    number = first_text(attributes, "00200011").strip()
    series = _joined(f"Se {number}" if number else "", first_text(attributes, "0008103E"), by=": ")
    part = _joined(*(first_text(attributes, tag) for tag in ("00180015", "00185101", "00200062", "00200060")))
    return [series, part, *(_joined(*(write(attributes) for write in line)) for line in _TECHNIQUE)]


def _image(attributes: Attributes) -> list[str]:
    number = first_text(attributes, "00200013").strip()
    return [f"Im {number}" if number else ""]


def _quantity(template: str, *tags: str) -> Callable[[Attributes], str]:
    """Writes the first of these that is a number, where it is found first: in the root, or in a functional group."""

    def write(attributes: Attributes) -> str:
        for tag in tags:
            places = [attributes, *(item for macro in _MACROS for item in sequence_items(attributes, macro)[:1])]
            for place in places:
                number = finite_number(place, tag)
                if number is not None and abs(number) < 1e7:
                    return template.format(f"{number:.2f}".rstrip("0").rstrip("."))
        return ""

    return write


_TECHNIQUE: Final = (
    (
        _quantity("{} kV", "00180060"),
        _quantity("{} mA", "00181151", "00189330"),
        _quantity("{} mAs", "00181152", "00189332"),
    ),
    (
        _quantity("TR {}", "00180080"),
        _quantity("TE {}", "00180081", "00189082"),
        _quantity("TI {}", "00180082", "00189079"),
        _quantity("FA {}", "00181314"),
        _quantity("{} T", "00180087"),
    ),
    (_quantity("{} mm", "00180050"), _quantity("Loc {}", "00201041")),
)
"""Lines of what there is of it."""


def _date(attributes: Attributes, tag: str) -> str:
    """As ISO 8601 has it, where it is one; else as it is."""
    text = first_text(attributes, tag).strip()
    return f"{text[:4]}-{text[4:6]}-{text[6:]}" if len(text) == 8 and text.isdecimal() else text
