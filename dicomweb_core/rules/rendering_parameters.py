"""The rendering parameters of a query (PS3.18 8.3.5.1): a table of parameters, each with its grammar.

A parameter that does not apply to the resource is one that is not supported, and does not count (8.3).
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from types import MappingProxyType
from typing import Any, Final, NamedTuple
from urllib.parse import unquote, unquote_to_bytes

from dicomweb_core.errors import InvalidQuery
from dicomweb_core.rules.uri_parameters import RenderedRequest
from dicomweb_core.values.renderings import ColorSpace, Region, Rendering, Viewport, VOIFunction, Window

UNSUPPORTED_ANNOTATIONS: Final = "The following annotation values are not supported: {values}"
"""Warning (8.3.5.1.1)."""

ANNOTATIONS: Final = ("patient", "technique")
"""Keywords that are supported, in the order in which `Rendering.annotations` has them."""


class Rule(NamedTuple):
    """A parameter. `parse` raises ValueError for what it may not be."""

    name: str
    parse: Callable[[str], Any]
    grammar: str
    """What a legal value is, for errors."""
    section: str
    of_thumbnails: bool = False
    """Whether it applies to thumbnails (8.3.5.2)."""
    of_presentation_states: bool = True
    """Whether a presentation state may be the target; else it is refused (8.3.5.1.6)."""


def decimal(text: str) -> float:
    """A finite number, of 16 characters at most (5.1.1). Raises ValueError."""
    if len(text) > _MOST_DECIMAL or not _DECIMAL.fullmatch(text):
        raise ValueError("not a decimal number")
    number = float(text)
    if not math.isfinite(number):
        raise ValueError("not a decimal number")
    return number


def positive(text: str) -> int:
    """An integer of at least 1. Raises ValueError."""
    if not _DIGITS.fullmatch(text) or int(text) < 1:
        raise ValueError(text)
    return int(text)


def keywords(text: str) -> tuple[str, ...]:
    """A list of one or more keywords, each once. Raises ValueError."""
    found = text.split(",", _MOST_KEYWORDS)
    if len(found) > _MOST_KEYWORDS or not all(map(_KEYWORD.fullmatch, found)):
        raise ValueError(text)
    return tuple(dict.fromkeys(found))


def _quality(text: str) -> int:
    quality = positive(text)
    if quality > 100:
        raise ValueError(text)
    return quality


def _bits(text: str) -> int:
    if text not in ("8", "16"):
        raise ValueError(text)
    return int(text)


def _window(text: str) -> Window:
    center, width, function = text.split(",", 3)
    window = Window(decimal(center), decimal(width), VOIFunction(function))
    # PS3.3 C.11.2.1.2
    if window.width < 1 if window.function is VOIFunction.LINEAR else window.width <= 0:
        raise ValueError(text)
    return window


def _viewport(text: str) -> Viewport:
    parts = text.split(",", 6)
    # Only inner values may be left out.
    if not 2 <= len(parts) <= 6 or not parts[-1]:
        raise ValueError(text)
    left, top, across, down = (decimal(part) if part else None for part in [*parts[2:], *[""] * 4][:4])
    if across == 0 or down == 0:
        raise ValueError(text)
    return Viewport(
        positive(parts[0]),
        positive(parts[1]),
        left=abs(left or 0.0),
        top=abs(top or 0.0),
        crop_width=None if across is None else abs(across),
        crop_height=None if down is None else abs(down),
        flip_horizontal=across is not None and across < 0,
        flip_vertical=down is not None and down < 0,
    )


def _size(text: str) -> Viewport:
    """A viewport without a crop."""
    width, height = text.split(",", 2)
    return Viewport(positive(width), positive(height))


_ANY_SIZE: Final = 1 << 31
_MOST_DECIMAL: Final = 16
_MOST_KEYWORDS: Final = 64
_DECIMAL: Final = re.compile(r"[+-]?[0-9]+(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?")
_DIGITS: Final = re.compile(r"[0-9]{1,10}")
_KEYWORD: Final = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,63}")

RULES: Final[tuple[Rule, ...]] = (
    Rule("annotation", keywords, "a list of keywords", "8.3.5.1.1"),
    Rule("quality", _quality, "an integer from 1 to 100", "8.3.5.1.2"),
    Rule("viewport", _viewport, "vw,vh or vw,vh,sx,sy,sw,sh", "8.3.5.1.3", of_thumbnails=True),
    Rule(
        "window",
        _window,
        "center,width,function with a function of linear, linear-exact and sigmoid and a width that it allows",
        "8.3.5.1.4",
        of_presentation_states=False,
    ),
    Rule("iccprofile", ColorSpace, "no, yes, srgb, adobergb or rommrgb", "8.3.5.1.5"),
    Rule("bits", _bits, "8 or 16", "8.3.5"),
)
"""Every parameter. `bits` is ours: of the grayscale samples of a media type that can have 16."""

_SIZE: Final = Rule("viewport", _size, "vw,vh, the one form for this resource", "8.3.5.1.3")
"""Of thumbnails and presentation states."""

_RULE_OF: Final = MappingProxyType({rule.name: rule for rule in RULES})


def parse_rendering(
    query: str, *, presentation_state: bool = False, thumbnail: bool = False
) -> tuple[Rendering, tuple[str, ...]]:
    """How a picture is to be made, from the part of the URL behind `?` as it was sent, and the texts of warnings.

    `presentation_state`: the target is one; `thumbnail`: the resource is `/thumbnail`. Parameters that are not in the
    table are not looked at. Raises InvalidQuery, which names the parameter but does not quote its value.
    """
    values: dict[str, Any] = {}
    for name, text in _given(query, thumbnail=thumbnail).items():
        rule = _RULE_OF[name]
        if presentation_state and not rule.of_presentation_states:
            raise InvalidQuery(f"The parameter {name} does not apply to a presentation state (PS3.18 {rule.section}).")
        if name == "viewport" and (presentation_state or thumbnail):
            rule = _SIZE
        values[name] = _parsed(rule, text)
    asked = values.get("annotation", ())
    unsupported = [keyword for keyword in asked if keyword not in ANNOTATIONS]
    rendering = Rendering(
        window=values.get("window"),
        viewport=values.get("viewport"),
        quality=values.get("quality"),
        annotations=tuple(keyword for keyword in ANNOTATIONS if keyword in asked),
        color_space=values.get("iccprofile"),
        bits=values.get("bits", 8),
        texts=not thumbnail,
    )
    return rendering, _about(unsupported)


def rendering_of(request: RenderedRequest) -> tuple[Rendering, tuple[str, ...]]:
    """The same from the parameters of the URI Service (9.5.1.2)."""
    viewport = None
    if request.rows is not None or request.columns is not None:
        # A side that is not given follows from the other (9.5.2.5).
        viewport = Viewport(request.columns or _ANY_SIZE, request.rows or _ANY_SIZE)
    unsupported = [keyword for keyword in request.annotations if keyword not in ANNOTATIONS]
    rendering = Rendering(
        window=None if request.window is None else Window(*request.window),
        region=None if request.region is None else Region(*request.region),
        viewport=viewport,
        quality=request.image_quality,
        annotations=tuple(keyword for keyword in ANNOTATIONS if keyword in request.annotations),
    )
    return rendering, _about(unsupported)


def _about(unsupported: list[str]) -> tuple[str, ...]:
    return (UNSUPPORTED_ANNOTATIONS.format(values=", ".join(unsupported)),) if unsupported else ()


def _given(query: str, *, thumbnail: bool) -> dict[str, str]:
    """Decoded values of the parameters that apply."""
    found: dict[str, str] = {}
    for pair in query.split("&"):
        raw_name, _, raw = pair.partition("=")
        rule = _RULE_OF.get(unquote(raw_name, errors="replace"))
        if rule is None or (thumbnail and not rule.of_thumbnails):
            continue
        if rule.name in found:
            raise InvalidQuery(f"The parameter {rule.name} is given more than once.")
        try:
            found[rule.name] = unquote_to_bytes(raw).decode("utf-8")
        except UnicodeError as error:
            raise InvalidQuery(f"The parameter {rule.name} is not UTF-8 (PS3.18 8.3.1).") from error
    return found


def _parsed(rule: Rule, text: str) -> Any:
    try:
        return rule.parse(text)
    except ValueError:
        raise InvalidQuery(f"The parameter {rule.name} is not {rule.grammar} (PS3.18 {rule.section}).") from None
