"""Media types as they stand in headers (RFC 9110 8.3.1, PS3.18 8.7)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dicomweb_core.errors import BadRequest
from dicomweb_core.values.media_types import MediaType, split_list


@pytest.mark.parametrize(
    ("text", "essence", "params"),
    [
        pytest.param("application/dicom", "application/dicom", (), id="bare"),
        pytest.param("Application/DICOM+JSON", "application/dicom+json", (), id="COM-18 case of the type"),
        pytest.param("a/b; Transfer-SYNTAX=1.2", "a/b", (("transfer-syntax", "1.2"),), id="COM-18 case of a name"),
        pytest.param("a/b; charset=UTF-8", "a/b", (("charset", "UTF-8"),), id="case of a value is kept"),
        pytest.param('m/r; type="application/dicom"', "m/r", (("type", "application/dicom"),), id="COM-17 quotes"),
        pytest.param("m/r; type=application/dicom", "m/r", (("type", "application/dicom"),), id="COM-17 no quotes"),
        pytest.param("m/r;type=*/*;q=0.5", "m/r", (("type", "*/*"), ("q", "0.5")), id="wildcard without quotes"),
        pytest.param('a/b; x="1,2;3=\\"4\\\\"', "a/b", (("x", '1,2;3="4\\'),), id="quoted delimiters"),
        pytest.param(" a/b ;; x = 1 ; ; y=2 ;", "a/b", (("x", "1"), ("y", "2")), id="blanks and empty parameters"),
        pytest.param("a/b; x=", "a/b", (("x", ""),), id="empty value"),
        pytest.param('a/b; x=""', "a/b", (("x", ""),), id="empty quoted value"),
        pytest.param("a/b; x=1; X=1", "a/b", (("x", "1"),), id="the same twice"),
        pytest.param("a/b; boundary=--=_a:b/c?", "a/b", (("boundary", "--=_a:b/c?"),), id="odd boundary"),
        pytest.param("*/*", "*/*", (), id="range"),
    ],
)
def test_what_is_read(text: str, essence: str, params: tuple[tuple[str, str], ...]) -> None:
    parsed = MediaType.parse(text)
    assert parsed.essence == essence
    assert parsed.params == params
    assert MediaType.parse(str(parsed)) == parsed


@pytest.mark.parametrize(
    "text",
    [
        *("", " ", "a", "a/", "/b", "a/b/c", "a b/c", "a/b x", "a/b; x", "a/b; =1", 'a/b; x="1', 'a/b; x="1"2'),
        *("a/b; x=1; x=2", "a/b\r\nX: y", "a/b; x=\n", 'a/b; x="\x00"', "a/b, c/d", "é/b", 'a/b; x=1"2'),
    ],
)
def test_what_is_refused_A33(text: str) -> None:
    with pytest.raises(BadRequest):
        MediaType.parse(text)


def test_parameters_are_found_by_name() -> None:
    parsed = MediaType.parse("a/b; type=x; q=1")
    assert parsed.param("q") == "1"
    assert parsed.param("charset") is None


def test_only_values_that_need_quotes_get_them() -> None:
    parsed = MediaType(
        "multipart", "related", (("type", "application/dicom"), ("transfer-syntax", "1.2"), ("x", 'a"\\'))
    )
    assert str(parsed) == r'multipart/related; type="application/dicom"; transfer-syntax=1.2; x="a\"\\"'


@pytest.mark.parametrize(
    ("text", "elements"),
    [
        ("", []),
        (" , ,", []),
        ("a/b", ["a/b"]),
        ("a/b , c/d;q=0.5,", ["a/b", "c/d;q=0.5"]),
        ('a/b; x="1,2", c/d', ['a/b; x="1,2"', "c/d"]),
        (r'a/b; x="1\",2", c/d', [r'a/b; x="1\",2"', "c/d"]),
        ('a/b; x="1, c/d', ['a/b; x="1, c/d']),
    ],
)
def test_lists_are_split_at_commas_outside_of_quotes(text: str, elements: list[str]) -> None:
    assert split_list(text) == elements


_values = st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=10)


@given(st.dictionaries(st.sampled_from(["type", "boundary", "x"]), _values))
def test_what_is_written_reads_the_same(params: dict[str, str]) -> None:
    media_type = MediaType("a", "b", tuple(params.items()))
    assert MediaType.parse(str(media_type)) == media_type
    assert split_list(f"{media_type}, {media_type}") == [str(media_type)] * 2
