"""Entity tags, conditions and ranges (RFC 9110 8.8.3, 13, 14)."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dicomweb_core.errors import RangeNotSatisfiable
from dicomweb_core.rules.preconditions import (
    EntityTag,
    if_match_holds,
    if_range_holds,
    known_tag,
    names_any,
    parse_tags,
)
from dicomweb_core.rules.ranges import content_range, parse_ranges
from dicomweb_core.values.blobs import Span

STRONG, WEAK = EntityTag("a"), EntityTag("a", weak=True)


@pytest.mark.parametrize(
    ("text", "tags"),
    [
        ('"a"', ['"a"']),
        ('W/"a"', ['W/"a"']),
        ('"a", W/"b" ,"c"', ['"a"', 'W/"b"', '"c"']),
        (', ,"a",, "b",', ['"a"', '"b"']),
        ('""', ['""']),
        ('"a,b"', ['"a,b"']),
        ("a", []),
        ('w/"a"', []),
        ('"a" "b"', []),
        ('"x", "a', ['"x"']),
        ("", []),
        ("*", []),
        ('"a b"', []),
    ],
)
def test_a_list_of_tags_is_read_as_far_as_it_is_one(text: str, tags: list[str]) -> None:
    assert [str(tag) for tag in parse_tags(text)] == tags


@given(st.lists(st.builds(EntityTag, st.text("abc,!#;= \x7f\"é".replace(" ", "").replace('"', "").replace("\x7f", "")),
                          st.booleans()), max_size=20))  # fmt: skip
def test_what_is_written_is_read(tags: list[EntityTag]) -> None:
    assert list(parse_tags(", ".join(map(str, tags)))) == tags


@pytest.mark.parametrize(
    ("header", "tag", "matches"),
    [
        # RFC 9110 8.8.3.2: strong comparison
        ('"a"', STRONG, True),
        ('W/"a"', WEAK, False),
        ('"a"', WEAK, False),
        ('W/"a"', STRONG, False),
        ('"b", "a"', STRONG, True),
        ('"b"', STRONG, False),
        ("*", STRONG, True),
        ("*", None, True),
        ('"a"', None, False),
        ("nonsense", STRONG, False),
    ],
)
def test_if_match_compares_strongly(header: str, tag: EntityTag | None, matches: bool) -> None:
    assert if_match_holds(header, tag) is matches


@pytest.mark.parametrize(
    ("header", "found"),
    [('"a"', '"a"'), ('W/"a"', 'W/"a"'), ('"b", W/"a"', 'W/"a"'), ('"b"', None), ("*", None), ("a", None)],
)
def test_if_none_match_compares_weakly(header: str, found: str | None) -> None:
    tag = known_tag(header, ("a", "z"))
    assert (str(tag) if tag else None) == found


@pytest.mark.parametrize(
    ("header", "tag", "holds"),
    [
        ('"a"', STRONG, True),
        (' "a" ', STRONG, True),
        ('"b"', STRONG, False),
        ('W/"a"', WEAK, False),
        ('"a"', WEAK, False),
        ('"a", "b"', STRONG, False),
        ("Fri, 01 Jan 2100 00:00:00 GMT", STRONG, False),
        ('"a"', None, False),
    ],
)
def test_if_range_takes_one_strong_tag(header: str, tag: EntityTag | None, holds: bool) -> None:
    assert if_range_holds(header, tag) is holds


def test_a_star_is_any() -> None:
    assert names_any(" * ")
    assert not names_any('"*"')


def test_ten_thousand_tags_cost_nothing_and_match_nothing_A39() -> None:
    many = ", ".join(f'"{number}"' for number in range(10_000)) + ', "a"'
    begin = time.perf_counter()
    assert known_tag(many, ("a",)) is None
    assert not if_match_holds(many, STRONG)
    assert time.perf_counter() - begin < 0.1
    assert known_tag(", " * 8_000 + '"a"', ("a",)) == STRONG


# -- ranges --


@pytest.mark.parametrize(
    ("header", "spans"),
    [
        ("bytes=0-0", [(0, 1)]),
        ("bytes=5-9", [(5, 5)]),
        ("bytes=5-", [(5, 95)]),
        ("bytes=-1", [(99, 1)]),
        ("bytes=-1000", [(0, 100)]),
        ("bytes=0-1000", [(0, 100)]),
        ("bytes=99-99999999999999999999", [(99, 1)]),
        ("Bytes = 0-0", [(0, 1)]),
        ("bytes=0-0, -1", [(0, 1), (99, 1)]),
        ("bytes=50-59,0-9", [(50, 10), (0, 10)]),
        ("bytes=0-9,200-300", [(0, 10)]),
        ("bytes=0-0,,1-1,", [(0, 1), (1, 1)]),
        # overlapping
        ("bytes=0-9,9-19", []),
        ("bytes=5-,-90", []),
        ("bytes=0-,0-,0-,0-", []),
        # too many
        ("bytes=" + ",".join(f"{n}-{n}" for n in range(0, 18, 2)), []),
        # malformed
        ("bytes=5-2", []),
        ("bytes=", []),
        ("bytes=-", []),
        ("bytes=a-b", []),
        ("bytes=--1", []),
        ("bytes=0-0;1-1", []),
        ("bytes 0-0", []),
        ("bytes=0-0, x", []),
        ("bytes=²-³", []),
        ("items=0-0", []),
        ("", []),
        ("bytes=" + "9" * 1000 + "-", []),
    ],
)
def test_ranges_A29(header: str, spans: list[tuple[int, int]]) -> None:
    assert list(parse_ranges(header, 100)) == [Span(*span) for span in spans]


@pytest.mark.parametrize(
    ("header", "size"),
    [("bytes=100-", 100), ("bytes=100-200,300-", 100), ("bytes=-0", 100), ("bytes=0-", 0), ("bytes=-5", 0)],
)
def test_ranges_of_which_nothing_exists_A29(header: str, size: int) -> None:
    with pytest.raises(RangeNotSatisfiable) as caught:
        parse_ranges(header, size)
    assert caught.value.size == size


@given(st.text("bytes=0123456789-, ", max_size=30) | st.from_regex(r"bytes=([0-9]{0,3}-[0-9]{0,3},?){1,9}"))
def test_a_range_is_inside_and_none_overlap_A29(header: str) -> None:
    try:
        spans = parse_ranges(header, 50)
    except RangeNotSatisfiable:
        return
    covered = [position for span in spans for position in range(span.offset, span.offset + span.length)]
    assert len(covered) == len(set(covered))
    assert set(covered) <= set(range(50))
    for span in spans:
        assert content_range(span, 50) == f"bytes {span.offset}-{span.offset + span.length - 1}/50"
