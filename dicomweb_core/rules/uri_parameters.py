"""The query of a URI Service request (PS3.18 9.1.2, Tables 9.4.1-1 and 9.5.1-1): a table of parameters, each with its
spellings, its transaction and its grammar.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import Decimal
from types import MappingProxyType
from typing import Any, Final, NamedTuple
from urllib.parse import unquote, unquote_to_bytes

from dicomweb_core.errors import BadRequest, InvalidQuery
from dicomweb_core.rules.uri_forms import DICOM, Form, Preference
from dicomweb_core.values.media_types import MediaType, split_list
from dicomweb_core.values.resources import InstanceRef
from dicomweb_core.values.uids import is_uid


class Region(NamedTuple):
    """A rectangle of the image, in fractions of its width and height: 0 <= min < max <= 1 (9.5.2.4)."""

    x_min: float
    y_min: float
    x_max: float
    y_max: float


class Window(NamedTuple):
    """Window Center and Width of the linear function, in the output of the Modality LUT (9.5.2.2)."""

    center: float
    width: float


@dataclass(frozen=True, slots=True)
class RenderedRequest:
    """How an instance shall be rendered. What is None or empty was not asked for."""

    content_types: tuple[Preference, ...] = ()
    """Media types without parameters, in the order given."""
    charsets: tuple[Preference, ...] = ()
    frame_number: int | None = None
    """1-based; of a multi-frame instance."""
    annotations: tuple[str, ...] = ()
    """`patient`, `technique`, and keywords this server does not know."""
    image_quality: int | None = None
    """1 to 100, 100 is best (8.3.5.1.2)."""
    rows: int | None = None
    """The most the result may have; its aspect ratio is that of the image or region (9.5.2.5)."""
    columns: int | None = None
    region: Region | None = None
    window: Window | None = None
    presentation_state: InstanceRef | None = None


@dataclass(frozen=True, slots=True)
class URIRequest:
    """A parsed query of the URI Service."""

    ref: InstanceRef
    rendered: RenderedRequest = field(default_factory=RenderedRequest)
    """The parameters of the rendered transaction, also when an instance is asked for as it is."""
    transfer_syntax: str | None = None
    """A UID, or `*`."""
    anonymize: bool = False


class Rule(NamedTuple):
    """A parameter: what it is called and what it may be. `parse` raises ValueError for what it may not be."""

    name: str
    parse: Callable[[str], object]
    grammar: str
    """What a legal value is, for errors."""
    section: str
    form: Form | None = None
    """The transaction it belongs to; None for both."""
    spellings: tuple[str, ...] = ()
    """Names of older editions and of the wild."""
    required: bool = False


def _word(*allowed: str) -> Callable[[str], str]:
    def parse(text: str) -> str:
        if text not in allowed:
            raise ValueError(text)
        return text

    return parse


def _uid(text: str) -> str:
    if not is_uid(text):
        raise ValueError(text)
    return text


def _uid_or_any(text: str) -> str:
    """`*` is what npm dicomweb-client says for: as it is stored."""
    return text if text == "*" else _uid(text)


def _count(most: int) -> Callable[[str], int]:
    def parse(text: str) -> int:
        if not (_DIGITS.fullmatch(text) and 0 < int(text) <= most):
            raise ValueError(text)
        return int(text)

    return parse


def _decimal(text: str) -> float:
    if not _DECIMAL.fullmatch(text):
        raise ValueError(text)
    return float(text)


def _width(text: str) -> float:
    width = _decimal(text)
    if width < 1:
        raise ValueError(text)
    return width


def _region(text: str) -> Region:
    # Compared as they were written: two bounds that differ must not become the same float.
    bounds = [Decimal(bound) for bound in text.split(",", 4) if _DECIMAL.fullmatch(bound)]
    if len(bounds) != 4 or text.count(",") != 3:
        raise ValueError(text)
    x_min, y_min, x_max, y_max = bounds
    region = Region(*map(float, bounds))
    if not (0 <= x_min < x_max <= 1 and 0 <= y_min < y_max <= 1) or region[0] == region[2] or region[1] == region[3]:
        raise ValueError(text)
    return region


def _keywords(text: str) -> tuple[str, ...]:
    keywords = text.split(",")
    if len(keywords) > _MOST_ELEMENTS or not all(map(_KEYWORD.fullmatch, keywords)):
        raise ValueError(text)
    return tuple(dict.fromkeys(keywords))


def _media_types(text: str) -> tuple[Preference, ...]:
    return _preferences(text, _media_type)


def _charsets(text: str) -> tuple[Preference, ...]:
    return _preferences(text, _charset)


def _preferences(text: str, parse: Callable[[str], tuple[str, str]]) -> tuple[Preference, ...]:
    # Clients write a blank as `+`, and no name begins with one.
    elements = split_list(_PLUS_FOR_BLANK.sub(" ", text))
    if not 0 < len(elements) <= _MOST_ELEMENTS:
        raise ValueError(text)
    found = []
    for element in elements:
        value, q = parse(element)
        if not _QUALITY.fullmatch(q):
            raise ValueError(text)
        found.append(Preference(value, float(q)))
    return tuple(found)


def _media_type(text: str) -> tuple[str, str]:
    parsed = MediaType.parse(text)
    if parsed.param("transfer-syntax") is not None or parsed.param("charset") is not None:
        raise ValueError(text)
    return parsed.essence, parsed.param("q") or "1"


def _charset(text: str) -> tuple[str, str]:
    match = _CHARSET.fullmatch(text)
    if match is None:
        raise ValueError(text)
    return match[1].lower(), match[2] or "1"


_DIGITS: Final = re.compile(r"[0-9]{1,10}")
_DECIMAL: Final = re.compile(r"[+-]?(?:[0-9]{1,32}(?:\.[0-9]{0,32})?|\.[0-9]{1,32})(?:[eE][+-]?[0-9]{1,2})?")
_KEYWORD: Final = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,63}")
_QUALITY: Final = re.compile(r"0(?:\.[0-9]{0,9})?|1(?:\.0{0,9})?|\.[0-9]{1,9}")
_CHARSET: Final = re.compile(r"([A-Za-z0-9!#$%&'+^_`{}~*.:-]{1,64})(?:[ \t]*;[ \t]*q[ \t]*=[ \t]*([0-9.]{1,11}))?")
_PLUS_FOR_BLANK: Final = re.compile(r"(?<=[,;])\++")
_MOST_ELEMENTS: Final = 64
_MOST_PIXELS: Final = 65_535

_LIST_OF_TYPES: Final = "a list of media types without transfer-syntax and charset"
_COUNT: Final = "a positive integer"
_PIXELS: Final = f"an integer from 1 to {_MOST_PIXELS}"
_NUMBER: Final = "a decimal number"

RULES: Final[tuple[Rule, ...]] = (
    Rule("requestType", _word("WADO"), "WADO", "9.1.2.1.1", required=True),
    Rule("studyUID", _uid, "a UID", "9.1.2.1.2", required=True),
    Rule("seriesUID", _uid, "a UID", "9.1.2.1.3", required=True),
    Rule("objectUID", _uid, "a UID", "9.1.2.1.4", required=True),
    Rule("contentType", _media_types, _LIST_OF_TYPES, "9.1.2.2.1"),
    Rule("charset", _charsets, "a list of character sets", "9.1.2.2.2"),
    Rule("anonymize", _word("yes"), "yes", "9.4.1.2.1", Form.DICOM, spellings=("anonymity",)),
    Rule("transferSyntax", _uid_or_any, "a UID", "9.4.1.2.3", Form.DICOM),
    Rule("frameNumber", _count(10**10), _COUNT, "9.5.1.2.1", Form.RENDERED),
    Rule(
        "imageAnnotation",
        _keywords,
        "patient, technique or both",
        "9.5.1.2.2",
        Form.RENDERED,
        spellings=("annotation",),
    ),
    Rule("imageQuality", _count(100), "an integer from 1 to 100", "9.5.1.2.3", Form.RENDERED),
    Rule("rows", _count(_MOST_PIXELS), _PIXELS, "9.5.1.2.4", Form.RENDERED),
    Rule("columns", _count(_MOST_PIXELS), _PIXELS, "9.5.1.2.4", Form.RENDERED),
    Rule("region", _region, "xmin,ymin,xmax,ymax with 0 <= min < max <= 1", "9.5.1.2.5", Form.RENDERED),
    Rule("windowCenter", _decimal, _NUMBER, "9.5.1.2.6", Form.RENDERED),
    Rule("windowWidth", _width, "a decimal number, at least 1", "9.5.1.2.6", Form.RENDERED),
    Rule("presentationSeriesUID", _uid, "a UID", "9.5.1.2.7", Form.RENDERED),
    Rule("presentationUID", _uid, "a UID", "9.5.1.2.7", Form.RENDERED),
)
"""Every parameter. Upper and lower case of a name do not matter, for clients write both."""

TOGETHER: Final = (("windowCenter", "windowWidth"), ("presentationSeriesUID", "presentationUID"))
"""Both or none (9.5.2.2, 9.5.1.2.7)."""

NOT_TOGETHER: Final = (("presentationUID", "windowCenter"), ("presentationUID", "frameNumber"))
"""A presentation state has its own windows and says itself which frames (9.5.1.2.6, 9.5.1.2.7)."""

_RULE_OF: Final = MappingProxyType(
    {spelling.lower(): rule for rule in RULES for spelling in (rule.name, *rule.spellings)}
)


def names_request_type(query: str) -> bool:
    """Whether a query asks for the URI Service: there is a parameter `requestType`, of whatever value."""
    return any(_name(pair.partition("=")[0]) == "requesttype" for pair in query.split("&"))


def parse_uri_request(query: str) -> URIRequest:
    """The part of the URL behind `?`, as it was sent. Parameters stand in any order (9.1.2.1); unknown ones do not
    count (8.3).

    Raises InvalidQuery, which names the parameter but does not quote its value.
    """
    found = _values(query)
    values: dict[str, Any] = {rule.name: _parsed(rule, found[rule.name]) for rule in RULES if rule.name in found}
    for rule in RULES:
        if rule.required and rule.name not in values:
            raise InvalidQuery(f"The parameter {rule.name} is missing (PS3.18 {rule.section}).")
    for first, second in TOGETHER:
        if (first in values) is not (second in values):
            raise InvalidQuery(f"The parameters {first} and {second} are given both or not at all (PS3.18 9.5).")
    for first, second in NOT_TOGETHER:
        if first in values and second in values:
            raise InvalidQuery(f"The parameters {first} and {second} exclude each other (PS3.18 9.5).")
    content_types: tuple[Preference, ...] = values.get("contentType", ())
    named = {preference.value for preference in content_types if preference.q}
    if DICOM in named and len(named) > 1:
        raise InvalidQuery("The parameter contentType names DICOM and rendered media types (PS3.18 8.7.5).")
    ref = InstanceRef(values["studyUID"], values["seriesUID"], values["objectUID"])
    return URIRequest(ref, _rendered(values, ref), values.get("transferSyntax"), "anonymize" in values)


def _rendered(values: dict[str, Any], ref: InstanceRef) -> RenderedRequest:
    window = state = None
    if "windowCenter" in values:
        window = Window(values["windowCenter"], values["windowWidth"])
    if "presentationUID" in values:
        state = InstanceRef(ref.study, values["presentationSeriesUID"], values["presentationUID"])
    return RenderedRequest(
        content_types=values.get("contentType", ()),
        charsets=values.get("charset", ()),
        frame_number=values.get("frameNumber"),
        annotations=values.get("imageAnnotation", ()),
        image_quality=values.get("imageQuality"),
        rows=values.get("rows"),
        columns=values.get("columns"),
        region=values.get("region"),
        window=window,
        presentation_state=state,
    )


def _values(query: str) -> dict[str, str]:
    """Decoded values by the names of the table."""
    found: dict[str, str] = {}
    for pair in query.split("&"):
        name, _, raw = pair.partition("=")
        rule = _RULE_OF.get(_name(name))
        if rule is None:
            continue
        if rule.name in found:
            raise InvalidQuery(f"The parameter {rule.name} is given more than once.")
        try:
            found[rule.name] = unquote_to_bytes(raw).decode("utf-8")
        except UnicodeError as error:
            raise InvalidQuery(f"The parameter {rule.name} is not UTF-8 (PS3.18 8.3.1).") from error
    return found


def _name(raw: str) -> str:
    return unquote(raw, errors="replace").lower()


def _parsed(rule: Rule, text: str) -> object:
    try:
        return rule.parse(text)
    except (ValueError, BadRequest):
        raise InvalidQuery(f"The parameter {rule.name} is not {rule.grammar} (PS3.18 {rule.section}).") from None
