"""A candidate of a search as attributes (PS3.4 C.2.2.2, C.4.1.1.3.2): what it stores, and what is computed over it."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import orjson

from dicomweb_core.values.attributes import INSTANCE_URL, Attributes
from dicomweb_core.values.candidates import Candidate, InstanceSummary


def attributes_of(candidate: Candidate) -> Attributes:
    """All attributes of a candidate at its level and above, for `matching`. Not ascending; not to be changed.

    What a study or series is known by counts for everything in it, also where an instance says otherwise.
    """
    study, series, instance = candidate
    attributes: Attributes = {} if instance is None else instance_attributes(instance)
    if series is not None:
        attributes.update(parsed(series.attributes))
    attributes.update(parsed(study.attributes) if series is not None else orjson.loads(study.attributes))
    attributes.update(computed(candidate))
    return attributes


def computed(candidate: Candidate) -> Attributes:
    """The attributes that are not in any data set, for all levels of the candidate, and its UIDs."""
    study, series, instance = candidate
    attributes: Attributes = {
        "00080056": {"vr": "CS", "Value": ["ONLINE"]},
        "00080061": _attribute("CS", study.modalities),
        "00080062": _attribute("UI", study.sop_classes),
        "0020000D": {"vr": "UI", "Value": [study.ref.study]},
        "00201206": {"vr": "IS", "Value": [study.series]},
        "00201208": {"vr": "IS", "Value": [study.instances]},
    }
    if series is not None:
        attributes["0020000E"] = {"vr": "UI", "Value": [series.ref.series]}
        attributes["00201209"] = {"vr": "IS", "Value": [series.instances]}
    if instance is not None:
        attributes["00080018"] = {"vr": "UI", "Value": [instance.ref.instance]}
        if instance.transfer_syntax_uid:
            attributes["00083002"] = {"vr": "UI", "Value": [instance.transfer_syntax_uid]}
    return attributes


def instance_attributes(instance: InstanceSummary) -> Attributes:
    """The attributes of an instance: all of them if its metadata were asked for."""
    if not instance.metadata:
        return _loads(instance.attributes)
    return _loads(instance.metadata.replace(INSTANCE_URL, b""))


@lru_cache(maxsize=256)
def parsed(text: bytes) -> Attributes:
    """A text that many candidates share. Not to be changed."""
    return _loads(text)


def _loads(text: bytes) -> Attributes:
    attributes: Attributes = orjson.loads(text)
    return attributes


def _attribute(vr: str, values: tuple[str, ...]) -> dict[str, Any]:
    return {"vr": vr, "Value": list(values)} if values else {"vr": vr}
