"""The rendering parameters of a query (PS3.18 8.3.5.1), a case for each rule and each way to break it."""

from __future__ import annotations

from contextlib import suppress
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dicomweb_core.errors import InvalidQuery
from dicomweb_core.rules.rendering_parameters import RULES, decimal, keywords, parse_rendering, positive
from dicomweb_core.values.renderings import ColorSpace, Rendering, Viewport, VOIFunction, Window

LINEAR, EXACT, SIGMOID = VOIFunction.LINEAR, VOIFunction.LINEAR_EXACT, VOIFunction.SIGMOID


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        pytest.param("", Rendering(), id="nothing"),
        pytest.param("accept=image/png&charset=utf-8", Rendering(), id="parameters of others"),
        pytest.param("windows=1&Window=1&VIEWPORT=0&_&=&&", Rendering(), id="COM names are case-sensitive"),
        pytest.param("annotation=patient", Rendering(annotations=("patient",)), id="REN-10 patient"),
        pytest.param("annotation=technique,patient", Rendering(annotations=("patient", "technique")), id="REN-10 both"),
        pytest.param("annotation=patient,patient", Rendering(annotations=("patient",)), id="REN-10 twice"),
        pytest.param(
            "annotation=patient%2Ctechnique", Rendering(annotations=("patient", "technique")), id="REN-10 %2C"
        ),
        pytest.param("quality=1", Rendering(quality=1), id="REN-13 lowest"),
        pytest.param("quality=100", Rendering(quality=100), id="REN-13 highest"),
        pytest.param("%71uality=8%35", Rendering(quality=85), id="COM percent-encoded"),
        pytest.param("viewport=512,256", Rendering(viewport=Viewport(512, 256)), id="REN-15 size"),
        pytest.param(
            "viewport=100,100,0,0,256,256", Rendering(viewport=Viewport(100, 100, 0, 0, 256, 256)), id="REN-16 crop"
        ),
        pytest.param(
            "viewport=100,100,1.5,2e1,+25.25,256",
            Rendering(viewport=Viewport(100, 100, 1.5, 20, 25.25, 256)),
            id="REN-16 decimals",
        ),
        pytest.param(
            "viewport=100,100,,,-512",
            Rendering(viewport=Viewport(100, 100, 0, 0, 512, None, flip_horizontal=True)),
            id="REN-17 mirrored",
        ),
        pytest.param(
            "viewport=100,100,,,,-256",
            Rendering(viewport=Viewport(100, 100, 0, 0, None, 256, flip_vertical=True)),
            id="REN-17 upside down",
        ),
        pytest.param(
            "viewport=100,100,-5,-6,-7,-8",
            Rendering(viewport=Viewport(100, 100, 5, 6, 7, 8, True, True)),
            id="REN-17 absolute values",
        ),
        pytest.param(
            "viewport=512,512,,,512,512",
            Rendering(viewport=Viewport(512, 512, 0, 0, 512, 512)),
            id="REN-18 elided corner",
        ),
        pytest.param("viewport=512,512,10", Rendering(viewport=Viewport(512, 512, 10)), id="REN-18 elided behind"),
        pytest.param("viewport=512,512,,10", Rendering(viewport=Viewport(512, 512, 0, 10)), id="REN-18 elided between"),
        pytest.param(
            "viewport=9999999999,1", Rendering(viewport=Viewport(9_999_999_999, 1)), id="A26 seen by geometry"
        ),
        pytest.param("window=40,400,linear", Rendering(window=Window(40, 400, LINEAR)), id="REN-22 linear"),
        pytest.param("window=-40.5,1,linear", Rendering(window=Window(-40.5, 1, LINEAR)), id="REN-22 narrowest linear"),
        pytest.param("window=0,0.5,linear-exact", Rendering(window=Window(0, 0.5, EXACT)), id="REN-22 linear-exact"),
        pytest.param("window=1e3,5E-2,sigmoid", Rendering(window=Window(1000, 0.05, SIGMOID)), id="REN-22 sigmoid"),
        pytest.param("window=1e308,1e308,linear", Rendering(window=Window(1e308, 1e308, LINEAR)), id="A26 1e308"),
        pytest.param("iccprofile=no", Rendering(color_space=ColorSpace.NO), id="REN-25 no"),
        pytest.param("iccprofile=yes", Rendering(color_space=ColorSpace.YES), id="REN-25 yes"),
        pytest.param("iccprofile=srgb", Rendering(color_space=ColorSpace.SRGB), id="REN-25 srgb"),
        pytest.param("iccprofile=adobergb", Rendering(color_space=ColorSpace.ADOBE_RGB), id="REN-25 adobergb"),
        pytest.param("iccprofile=rommrgb", Rendering(color_space=ColorSpace.ROMM_RGB), id="REN-25 rommrgb"),
        pytest.param(
            "window=40,400,linear&viewport=64,64&accept=image/png&quality=5&annotation=technique&iccprofile=yes",
            Rendering(Window(40, 400, LINEAR), None, Viewport(64, 64), 5, ("technique",), ColorSpace.YES),
            id="all of them",
        ),
    ],
)
def test_legal_parameters(query: str, expected: Rendering) -> None:
    assert parse_rendering(query) == (expected, ())


ILL_FORMED = {
    "REN-11": ["annotation", "annotation=", "annotation=,", "annotation=patient,", "annotation=a b", "annotation=1"],
    "REN-11 A26": ["annotation=" + "a" * (1 << 20), "annotation=" + "a," * (1 << 19) + "a", "annotation=%0d%0ax"],
    "REN-13": [
        "quality",
        "quality=",
        "quality=0",
        "quality=101",
        "quality=-1",
        "quality=1.0",
        "quality=85,",
        "quality=1e1",
    ],
    "REN-13 A26": ["quality=abc", "quality=" + "9" * 5000, "quality=%C2%B2", "quality=%D9%A1", "quality=1%0A"],
    "REN-20": [
        "viewport",
        "viewport=",
        "viewport=100",
        "viewport=100,",
        "viewport=,100",
        "viewport=100,100,",
        "viewport=100,100,,,",
        "viewport=100,100,,,1,",
        "viewport=100,100,0,0,1,1,1",
        "viewport=100,100,0,0,1,1,",
        "viewport=-100,100",
        "viewport=100.5,100",
        "viewport=100,100,0,0,0,1",
        "viewport=100,100,0,0,1,0",
        "viewport=100,100,0,0,-0,1",
        "viewport=100,100,0,0,0e5",
        "viewport=100;100",
        "viewport=100,%20100",
    ],
    "REN-20 A26": [
        "viewport=0,100",
        "viewport=100,0",
        "viewport=1e9,1e9",
        "viewport=-1,-1",
        "viewport=99999999999,1",
        "viewport=100,100,nan",
        "viewport=100,100,inf",
        "viewport=100,100,1e999",
        "viewport=100,100," + "1" * 17,
        "viewport=" + "," * 100_000,
    ],
    "REN-23": [
        "window",
        "window=",
        "window=40",
        "window=40,400",
        "window=40,400,",
        "window=40,,linear",
        "window=,400,linear",
        "window=40,400,linear,",
        "window=40,400,LINEAR",
        "window=40,400,linear_exact",
        "window=40,400,cubic",
        "window=40,0x10,linear",
        "window=40,400.,linear",
        "window=40,.5,sigmoid",
        "window=40,0.9,linear",
        "window=40,0,linear-exact",
        "window=40,0,sigmoid",
        "window=40,-1,sigmoid",
    ],
    "REN-23 A26": [
        "window=,,",
        "window=nan,400,linear",
        "window=40,nan,linear",
        "window=40,infinity,linear",
        "window=40,1e309,linear",
        "window=1e999,400,linear",
        "window=40,-400,linear",
        "window=40,1_000,linear",
        "window=%00,400,linear",
        "window=4%FF,400,linear",
    ],
    "REN-25": [
        "iccprofile",
        "iccprofile=",
        "iccprofile=NO",
        "iccprofile=sRGB",
        "iccprofile=no,yes",
        "iccprofile=unknown",
    ],
}


@pytest.mark.parametrize(
    "query",
    [pytest.param(query, id=f"{line} {query[:40]}") for line, queries in ILL_FORMED.items() for query in queries],
)
def test_ill_formed_parameters_are_refused(query: str) -> None:
    name, _, value = query.partition("=")
    with pytest.raises(InvalidQuery) as refused:
        parse_rendering("accept=image/png&" + query)
    assert f"parameter {name} is not" in refused.value.detail
    assert len(refused.value.detail) < 250
    assert len(value) < 8 or value not in refused.value.detail


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
def test_a_parameter_is_given_once(rule: Any) -> None:
    legal = {"annotation": "patient", "quality": "5", "viewport": "5,5", "window": "1,1,linear", "iccprofile": "no"}
    legal["bits"] = "16"
    pair = f"{rule.name}={legal[rule.name]}"
    parse_rendering(pair)
    with pytest.raises(InvalidQuery, match=f"{rule.name} is given more than once"):
        parse_rendering(f"{pair}&{pair}")


@pytest.mark.parametrize(
    ("query", "known", "values"),
    [
        ("annotation=patient,study", ("patient",), "study"),
        ("annotation=Patient", (), "Patient"),
        ("annotation=x-1,technique,y_2,x-1", ("technique",), "x-1, y_2"),
    ],
)
def test_unsupported_annotations_are_ignored_with_a_warning_REN_12(
    query: str, known: tuple[str, ...], values: str
) -> None:
    rendering, warnings = parse_rendering(query)
    assert rendering.annotations == known
    assert warnings == (f"The following annotation values are not supported: {values}",)


def test_a_warning_fits_into_a_header_REN_12() -> None:
    _, (warning,) = parse_rendering("annotation=" + ",".join(f"{'a' * 60}{number}" for number in range(64)))
    assert len(warning) < 8192
    with pytest.raises(InvalidQuery):
        parse_rendering("annotation=" + ",".join(f"a{number}" for number in range(65)))


CROPS = ["10", ",10", ",,10", ",,,10", "0,0,1,1", ",,-10"]


@pytest.mark.parametrize("resource", ["presentation_state", "thumbnail"])
def test_presentation_states_and_thumbnails_have_a_size_only_REN_21_THU_05(resource: str) -> None:
    found, _ = parse_rendering("viewport=64,32", **{resource: True})
    assert found == Rendering(viewport=Viewport(64, 32), texts=resource != "thumbnail")
    for crop in CROPS:
        assert parse_rendering(f"viewport=64,32,{crop}")[0].viewport is not None
        with pytest.raises(InvalidQuery, match="viewport is not vw,vh"):
            parse_rendering(f"viewport=64,32,{crop}", **{resource: True})


@pytest.mark.parametrize("window", ["40,400,linear", "", "nonsense"])
def test_a_presentation_state_has_its_own_window_REN_24_REN_30(window: str) -> None:
    with pytest.raises(InvalidQuery, match="window does not apply to a presentation state"):
        parse_rendering(f"window={window}", presentation_state=True)


def test_a_presentation_state_is_annotated_as_others_are() -> None:
    found, _ = parse_rendering("annotation=patient&quality=5&iccprofile=yes", presentation_state=True)
    assert found == Rendering(annotations=("patient",), quality=5, color_space=ColorSpace.YES)


def test_what_does_not_apply_to_a_thumbnail_does_not_count_THU_02() -> None:
    query = "annotation=patient&quality=0&window=,,&iccprofile=x&viewport=9,9&annotation=technique"
    assert parse_rendering(query, thumbnail=True) == (Rendering(viewport=Viewport(9, 9), texts=False), ())


@pytest.mark.parametrize("text", ["0", "-0", "+1", "007", "1.50", "-1.5e-3", "1E+2", "1234567890123456"])
def test_decimals(text: str) -> None:
    assert decimal(text) == float(text)


@pytest.mark.parametrize(
    "text", ["", ".", "1.", ".5", "e5", "1e", "--1", "1 ", "١", "1_0", "0x1", "nan", "12345678901234567"]
)
def test_what_is_no_decimal(text: str) -> None:
    with pytest.raises(ValueError, match="not a decimal number"):
        decimal(text)


@given(st.text(max_size=30))
def test_a_text_is_read_or_refused(text: str) -> None:
    for read in (decimal, positive, keywords):
        with suppress(ValueError):
            read(text)


@given(
    st.sampled_from([rule.name for rule in RULES]),
    st.text(max_size=40) | st.text(alphabet="0123456789,.-+einflar%", max_size=40),
    st.booleans(),
)
def test_every_query_is_understood_or_refused_A26(name: str, value: str, encoded: bool) -> None:
    try:
        found, _ = parse_rendering(f"{name}={quote(value) if encoded else value}")
    except InvalidQuery:
        return
    if found.viewport is not None:
        assert found.viewport.width > 0
        assert found.viewport.crop_width is None or 0 < found.viewport.crop_width < float("inf")
    if found.window is not None:
        assert 0 < found.window.width < float("inf")
