"""Objects that are wrong in one place."""

from __future__ import annotations

import copy
import random
from collections.abc import Iterator
from typing import Any

from dicomweb_core.values.attributes import Attributes

JUNK: tuple[Any, ...] = (
    None,
    {},
    {"Value": []},
    {"Value": [None]},
    {"Value": ["<script>\x00&\ud800"]},
    {"Value": [0]},
    {"Value": [-1, -1, -1]},
    {"Value": [65535, 65535, 65535]},
    {"Value": [2**31 - 1]},
    {"Value": [1e308, -1e308, 1e-308, 1e308, 1e308, 1e308]},
    {"Value": ["NaN", "Infinity", "-Infinity"]},
    {"Value": [{}]},
    {"Value": [{"00080100": {"vr": "SH", "Value": [7]}}]},
    {"Value": [[1, 2], [3]]},
    {"Value": "text"},
    {"InlineBinary": "AAE="},
    {"InlineBinary": "not base64 at all!"},
    {"BulkDataURI": "http://elsewhere/"},
)
"""Instead of an attribute. None: it is absent."""


def broken_objects(attributes: Attributes, *, most: int) -> Iterator[Attributes]:
    """Copies with one attribute, at any depth, replaced by junk; that many of all there are, always the same."""
    places = list(_places(attributes))
    pairs = [(place, junk) for place in places for junk in JUNK]
    for place, junk in random.Random(7).sample(pairs, min(most, len(pairs))):
        broken = copy.deepcopy(attributes)
        holder: Any = broken
        for step in place[:-1]:
            holder = holder[step]
        if junk is None:
            del holder[place[-1]]
        else:
            holder[place[-1]] = {"vr": holder[place[-1]]["vr"], **junk}
        yield broken


def _places(attributes: Attributes) -> Iterator[tuple[Any, ...]]:
    pending: list[tuple[tuple[Any, ...], Attributes]] = [((), attributes)]
    while pending:
        path, level = pending.pop()
        for tag, attribute in level.items():
            yield (*path, tag)
            if attribute["vr"] == "SQ":
                pending += [
                    ((*path, tag, "Value", place), item) for place, item in enumerate(attribute.get("Value", []))
                ]
