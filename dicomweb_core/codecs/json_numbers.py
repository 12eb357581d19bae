"""JSON numbers with their spelling: `1.000000` of a DS is not 1.0 to whoever compares texts (PS3.18 F.2.3)."""

from __future__ import annotations

import json
from collections.abc import Set
from typing import Any

import orjson

from dicomweb_core.errors import InvalidPayload
from dicomweb_core.values.attributes import Attributes


class SpelledNumber(float):
    """A number that JSON would write otherwise than `text`."""

    __slots__ = ("text",)
    text: str

    @classmethod
    def of(cls, text: str) -> float:
        """A plain float where JSON has this text anyway. `text` is a JSON number."""
        number = float(text)
        if orjson.dumps(number) == text.encode():
            return number
        spelled = cls(number)
        spelled.text = text
        return spelled


def parsed(text: bytes) -> Any:
    """What JSON text says. Where it has DS attributes, numbers may be `SpelledNumber`. Raises InvalidPayload."""
    try:
        value = orjson.loads(text)
        if b'"DS"' in text:
            del value
            value = json.loads(text, parse_float=SpelledNumber.of, parse_int=_integer)
    except orjson.JSONDecodeError as error:
        raise InvalidPayload(f"This is not JSON: {error.msg} (at character {error.pos}).") from error
    except RecursionError:
        raise InvalidPayload("The JSON is nested too deep.") from None
    return value


def with_number_texts(text: bytes) -> Attributes:
    """The data set of stored JSON text, each number as the text that stands there.

    Such text is nested as deep as `part10_levels.DEEPEST` allows, and no deeper.
    """
    attributes: Attributes = json.loads(text, parse_float=str, parse_int=str)
    return attributes


def selected(text: bytes, tags: Set[str]) -> bytes:
    """The attributes at the top of stored JSON text that have these tags (8 upper-case hex digits)."""
    chosen = orjson.dumps({tag: content for tag, content in orjson.loads(text).items() if tag in tags})
    if b'"DS"' not in chosen:
        return chosen
    dataset = json.loads(text, parse_float=SpelledNumber.of, parse_int=_integer)
    return orjson.dumps({tag: content for tag, content in dataset.items() if tag in tags}, default=_token)


def _token(number: object) -> orjson.Fragment:
    if isinstance(number, SpelledNumber):
        return orjson.Fragment(number.text)
    raise TypeError


def _integer(text: str) -> int | float:
    """Beyond 64 bits a float, as orjson has it. `-0` is one, for its sign's sake."""
    if len(text) <= 20 and text != "-0":
        number = int(text)
        if -(1 << 63) <= number < 1 << 64:
            return number
    return SpelledNumber.of(text)
