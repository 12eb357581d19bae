"""The query of the URI Service as a value (PS3.18 9.1.2)."""

from __future__ import annotations

from urllib.parse import quote, urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dicomweb_core.errors import InvalidQuery
from dicomweb_core.rules.uri_forms import Preference
from dicomweb_core.rules.uri_parameters import (
    RULES,
    Region,
    RenderedRequest,
    URIRequest,
    Window,
    names_request_type,
    parse_uri_request,
)
from dicomweb_core.values.resources import InstanceRef

TARGET = "requestType=WADO&studyUID=1.2&seriesUID=1.3&objectUID=1.4"
REF = InstanceRef("1.2", "1.3", "1.4")


def test_every_parameter_arrives() -> None:
    query = urlencode(
        {
            "contentType": "image/jpeg, image/png;q=0.5",
            "charset": "UTF-8, *;q=.1",
            "frameNumber": "7",
            "imageAnnotation": "patient,technique",
            "imageQuality": "80",
            "rows": "300",
            "columns": "400",
            "region": "0.3,0.4,0.5,0.6",
            "windowCenter": "-1000",
            "windowWidth": "2.5E+3",
            "transferSyntax": "1.2.840.10008.1.2.4.70",
            "anonymize": "yes",
        }
    )
    assert parse_uri_request(f"{query}&{TARGET}") == URIRequest(
        REF,
        RenderedRequest(
            content_types=(Preference("image/jpeg"), Preference("image/png", 0.5)),
            charsets=(Preference("utf-8"), Preference("*", 0.1)),
            frame_number=7,
            annotations=("patient", "technique"),
            image_quality=80,
            rows=300,
            columns=400,
            region=Region(0.3, 0.4, 0.5, 0.6),
            window=Window(-1000, 2500),
        ),
        transfer_syntax="1.2.840.10008.1.2.4.70",
        anonymize=True,
    )


def test_a_presentation_state_is_of_the_same_study() -> None:
    request = parse_uri_request(TARGET + "&presentationSeriesUID=1.5&presentationUID=1.6")
    assert request.rendered.presentation_state == InstanceRef("1.2", "1.5", "1.6")


@pytest.mark.parametrize("other", ["frameNumber=1", "windowCenter=1&windowWidth=2"])
def test_what_a_presentation_state_excludes_URI_19(other: str) -> None:
    with pytest.raises(InvalidQuery, match="exclude each other"):
        parse_uri_request(f"{TARGET}&presentationSeriesUID=1.5&presentationUID=1.6&{other}")


def test_nothing_asked_is_nothing() -> None:
    assert parse_uri_request(TARGET) == URIRequest(REF)


@given(st.dictionaries(st.sampled_from([rule.name for rule in RULES]), st.text(max_size=20)), st.text(max_size=30))
def test_whatever_comes_is_parsed_or_refused(values: dict[str, str], rest: str) -> None:
    """And an error never quotes what it got: a UID or a name may be in it."""
    query = "&".join([TARGET, *(f"{name}={quote(value)}" for name, value in values.items()), quote(rest, safe="&=%")])
    assert names_request_type(query)
    refusal = ""
    try:
        region = parse_uri_request(query).rendered.region
        assert region is None or (0 <= region.x_min < region.x_max <= 1 and 0 <= region.y_min < region.y_max <= 1)
    except InvalidQuery as error:
        refusal = error.detail
    assert not any(len(value) > 9 and value in refusal for value in values.values())


@given(*[st.floats(0, 1)] * 4)
def test_a_region_is_a_rectangle_of_the_image_URI_17(x_min: float, y_min: float, x_max: float, y_max: float) -> None:
    query = f"{TARGET}&region={x_min:.30f},{y_min:.30f},{x_max:.30f},{y_max:.30f}"
    # Compared as written, with 30 places.
    legal = float(f"{x_min:.30f}") < float(f"{x_max:.30f}") and float(f"{y_min:.30f}") < float(f"{y_max:.30f}")
    if legal:
        region = parse_uri_request(query).rendered.region
        assert region == pytest.approx((x_min, y_min, x_max, y_max), abs=1e-29)
    else:
        with pytest.raises(InvalidQuery, match="region"):
            parse_uri_request(query)
