"""Hostile Accept headers (A34): refused or ignored, soon."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dicomweb_core.errors import BadRequest, NotAcceptable
from dicomweb_core.rules.negotiation import Accept, Offer, choose
from dicomweb_core.values.limits import Limits

OFFERS = tuple(
    Offer(item, multipart, f"1.2.{n}", default=n == 1)
    for item in ("application/dicom", "image/jpeg", "image/jls")
    for multipart in (True, False)
    for n in range(4)
)
WIDE = Limits(accept_bytes=1 << 24)

HEADERS = [
    pytest.param(",".join(f"a/b{n}" for n in range(10_000)), id="A34 10,000 ranges"),
    pytest.param(",".join(f"image/jpeg;transfer-syntax=1.2.{n};q=0.{n}" for n in range(10, 10_000)), id="A34 syntaxes"),
    pytest.param("*/*," * 100_000, id="A34 the same range"),
    pytest.param("," * 300_000, id="A34 commas"),
    pytest.param(";" * 300_000, id="A34 semicolons"),
    pytest.param("a/b" + ";" * 300_000, id="A34 empty parameters"),
    pytest.param("a/b" + "; x=1" * 200_000, id="A34 parameters"),
    pytest.param('"' * 1_000_000, id="A34 quotes"),
    pytest.param('a/b;x="' + '\\"' * 500_000, id="A34 escaped quotes"),
    pytest.param('"\\",' * 250_000, id="A34 quotes and commas"),
    pytest.param("a/b" + " " * 1_000_000 + "x", id="A34 blanks"),
    pytest.param("a/b; x=" + " " * 1_000_000 + '"', id="A34 blanks in front of a quote"),
    pytest.param("a" * 1_000_000, id="A34 one token"),
    pytest.param("a/b;q=0." + "0" * 1_000_000, id="A34 digits"),
    pytest.param("multipart/related;type=" + "/" * 1_000_000, id="A34 slashes"),
]


@pytest.mark.parametrize("header", HEADERS)
def test_long_headers_cost_little(header: str) -> None:
    begin = time.process_time()
    for accept in (Accept.parse(header, None, WIDE), Accept.parse(None, header, WIDE)):
        try:
            assert choose(accept, OFFERS) in OFFERS
        except (NotAcceptable, BadRequest):
            pass
    assert time.process_time() - begin < 5


@pytest.mark.parametrize("size", [16_385, 100_000])
def test_headers_beyond_the_limit_are_refused_unread_A34(size: int) -> None:
    with pytest.raises(BadRequest):
        Accept.parse("*/*," * (size // 4 + 1), None, Limits())
    with pytest.raises(BadRequest):
        Accept.parse("*/*", "*/*," * (size // 4 + 1), Limits())


_pieces = st.sampled_from(
    [
        *(
            "*/*",
            "*",
            "/",
            ",",
            ";",
            " ",
            '"',
            "\\",
            "=",
            "q",
            "type",
            "transfer-syntax",
            "multipart/related",
            "image/*",
        ),
        *(
            "0.5",
            "1.2.1",
            "application/dicom",
            "application/dicom+json",
            "application/json",
            "\r\n",
            "\x00",
            "é",
            "NaN",
        ),
        *("q=", "type=", "image/png"),
    ]
)


@given(st.lists(_pieces, max_size=25).map("".join), st.none() | st.lists(_pieces, max_size=8).map("".join))
def test_any_header_yields_an_offer_or_our_refusal_A34(header: str, parameter: str | None) -> None:
    try:
        assert choose(Accept.parse(header, parameter), OFFERS) in OFFERS
    except (NotAcceptable, BadRequest):
        pass
