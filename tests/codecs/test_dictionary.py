"""The data dictionary where pydicom's ends (PS3.6 6)."""

from __future__ import annotations

import pytest

from dicomweb_core.codecs.dictionary import TAG_TEXT, keyword_of, public_vr, tag_of, vr_of

LATER = [
    ("00100011", "SQ", "PersonNamesToUseSequence"),
    ("00100012", "LT", "NameToUse"),
    ("00100016", "UT", "PronounComment"),
    ("00100041", "SQ", "GenderIdentitySequence"),
    ("00100047", "UR", "SexParametersForClinicalUseCategoryReference"),
    ("0040A034", "DT", "EffectiveStartDateTime"),
]


@pytest.mark.parametrize(("tag", "vr", "keyword"), LATER)
def test_attributes_of_later_editions_are_known(tag: str, vr: str, keyword: str) -> None:
    assert (vr_of(tag), tag_of(keyword), keyword_of(tag)) == (vr, tag, keyword)
    assert public_vr(int(tag, 16)) == vr
    assert TAG_TEXT[int(tag, 16)] == tag


@pytest.mark.parametrize("keyword", ["", "patientname", "NoSuchAttribute"])
def test_what_is_no_keyword_has_no_tag(keyword: str) -> None:
    assert tag_of(keyword) is None


@pytest.mark.parametrize("tag", ["00091001", "00100017"])
def test_what_is_no_attribute_has_no_keyword(tag: str) -> None:
    assert keyword_of(tag) == ""
