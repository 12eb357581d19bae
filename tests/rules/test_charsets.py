"""Which character set (PS3.18 8.8.5, Annex D)."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.charset import convert_encodings

from dicomweb_core.rules.charsets import CHARSETS, UTF_8, Charset, selected_charset
from dicomweb_core.rules.negotiation import Accept, Offer

JSON = "application/dicom+json"
OFFER = Offer(JSON)


def chosen(accept: str | None, parameter: str | None, header: str | None) -> tuple[str, bool] | None:
    """Name, and whether it is all the client takes; None is UTF-8."""
    found = selected_charset(replace(Accept.parse(accept), charset_parameter=parameter, charset_header=header), OFFER)
    return (found.charset.name, found.alone) if found else None


LATIN1, GREEK = "ISO-8859-1", "ISO-8859-7"


@pytest.mark.parametrize(
    ("accept", "parameter", "header", "expected"),
    [
        pytest.param(None, None, None, None, id="COM-30 UTF-8 in the end"),
        pytest.param(f"{JSON}; charset={LATIN1}", GREEK, "TIS-620", (LATIN1, True), id="COM-30 media type first"),
        pytest.param(f"{JSON}; charset=klingon", GREEK, "TIS-620", (GREEK, True), id="COM-30 then the parameter"),
        pytest.param(JSON, "klingon", "TIS-620", ("TIS-620", True), id="COM-30 then Accept-Charset"),
        pytest.param(JSON, "klingon", "orcish", None, id="COM-29 unsupported"),
        pytest.param(f"application/dicom+xml; charset={LATIN1}, {JSON}", None, None, None, id="of another media type"),
        pytest.param(f"{JSON}; charset={LATIN1}; q=0.5, {JSON}; charset={GREEK}", None, None, (GREEK, True), id="q"),
        pytest.param(None, f"{LATIN1};q=0.5,{GREEK}", None, (GREEK, True), id="COM-30 q in the parameter"),
        pytest.param(None, None, f"{LATIN1};q=0.5, {GREEK};q=0.9", (GREEK, True), id="COM-30 q in the header"),
        pytest.param(None, None, f"{LATIN1}, utf-8;q=0.7, *;q=0.7", (LATIN1, False), id="UTF-8 would do"),
        pytest.param(None, None, f"{LATIN1}, utf-8", None, id="UTF-8 among equals"),
        pytest.param(None, None, f"{LATIN1};q=0, *", None, id="refused"),
        pytest.param(None, None, "*", None, id="any"),
        pytest.param(None, "ISO_IR 100", None, (LATIN1, True), id="a Defined Term"),
        pytest.param(None, None, '"ISO_IR 100"', (LATIN1, True), id="a Defined Term in quotes"),
        pytest.param(None, "iso-8859-1", None, (LATIN1, True), id="any case"),
        pytest.param(None, "ISO_IR 192", LATIN1, None, id="UTF-8 by its Defined Term"),
        pytest.param(None, None, "x" * 2000, None, id="COM-29 too long"),
        pytest.param(None, None, f"{LATIN1};q=1.5.5, {GREEK}", None, id="COM-29 malformed"),
        pytest.param(None, "", "", None, id="COM-29 empty"),
    ],
)
def test_the_character_set(
    accept: str | None, parameter: str | None, header: str | None, expected: tuple[str, bool] | None
) -> None:
    assert chosen(accept, parameter, header) == expected


@pytest.mark.parametrize("charset", CHARSETS, ids=lambda charset: charset.name)
def test_a_row_of_annex_D_can_be_written_and_is_what_its_terms_say_COM_32(charset: Charset) -> None:
    """What we write in it DICOM software reads by the Defined Terms: pydicom is the witness."""
    letters = {"ISO-8859-5": "Жук", "ISO-8859-6": "قبا", "ISO-8859-7": "Διον", "ISO-8859-8": "שרו", "TIS-620": "นาม",
               "ISO-2022-JP": "山田", "ISO-2022-KR": "김희중", "GB18030": "王小东", "GBK": "王小东"}  # fmt: skip
    text = letters.get(charset.name, "é" if charset.name != "ISO-8859-2" else "ž")
    assert text.encode(charset.codec).decode(charset.codec) == text
    if not charset.name.startswith("ISO-2022"):  # MIME and DICOM use different escapes
        assert text.encode(charset.codec).decode(convert_encodings(list(charset.terms))[0]) == text
    found = chosen(None, charset.name, None)
    assert found == (None if charset is UTF_8 else (charset.name, True))


@given(st.text(max_size=60), st.text(max_size=60))
def test_any_text_is_a_wish_or_none(parameter: str, header: str) -> None:
    found = chosen(None, parameter, header)
    assert found is None or found[0] in {charset.name for charset in CHARSETS}
