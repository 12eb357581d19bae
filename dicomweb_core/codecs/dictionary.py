"""The data dictionary (PS3.6): keywords, tags and VRs of standard attributes."""

from __future__ import annotations

from functools import lru_cache

from pydicom import datadict


@lru_cache(maxsize=8192)
def vr_of(tag: str) -> str | None:
    """The VR of a standard tag (8 upper-case hex digits), the first if it has several; None if unknown or private."""
    try:
        vr = datadict.dictionary_VR(int(tag, 16))
    except KeyError:
        return None
    return vr[:2]


@lru_cache(maxsize=8192)
def tag_of(keyword: str) -> str | None:
    """The tag of a keyword as 8 upper-case hex digits, None if there is no such keyword."""
    tag = datadict.tag_for_keyword(keyword)
    return None if tag is None else f"{tag:08X}"


@lru_cache(maxsize=8192)
def keyword_of(tag: str) -> str:
    """The keyword of a standard tag of 8 upper-case hex digits, an empty text if it has none."""
    return datadict.keyword_for_tag(int(tag, 16))
