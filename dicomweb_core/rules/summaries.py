"""Placeholder until the rules of summaries arrive: how the attributes of a study or series come to be."""

from __future__ import annotations

import orjson


def merge(kept: bytes, new: bytes) -> bytes:
    """`kept` with those attributes of `new` that are absent or empty in it. `kept` itself when nothing is added."""
    if kept == new:
        return kept
    attributes = orjson.loads(kept)
    changed = False
    for tag, attribute in orjson.loads(new).items():
        if attribute.get("Value") and not attributes.get(tag, {}).get("Value"):
            attributes[tag] = attribute
            changed = True
        elif tag not in attributes:
            attributes[tag] = attribute
            changed = True
    return orjson.dumps(dict(sorted(attributes.items()))) if changed else kept
