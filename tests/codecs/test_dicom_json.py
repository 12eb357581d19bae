"""Reading and writing the DICOM JSON Model (PS3.18 F)."""

# ruff: noqa: E501, SIM905 - tables read better as rows

from __future__ import annotations

import base64
import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dicomweb_core.codecs.dicom_json import dump, normalised, read, with_urls
from dicomweb_core.errors import InvalidPayload, TooLarge
from dicomweb_core.values.attributes import INSTANCE_URL
from dicomweb_core.values.limits import Limits

LIMITS = Limits()


def attribute(content: object, tag: str = "00091001") -> object:
    """What the reader makes of one attribute."""
    (dataset,) = read(json.dumps([{tag: content}]).encode(), LIMITS)
    return dataset[tag]


def b64(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")


def kept(vr: str, *values: object) -> pytest.ParameterSet:  # type: ignore[name-defined]
    return pytest.param({"vr": vr, "Value": list(values)}, {"vr": vr, "Value": list(values)}, id=f"{vr} {values}")


TAKEN = [
    *(kept(vr, "A") for vr in ("AE", "AS", "CS", "DA", "DT", "LO", "LT", "SH", "ST", "TM", "UC", "UI", "UR", "UT")),
    kept("LO", "a", None, "b"),
    kept("LT", "a\\b"),
    kept("AT", "0020000D", None),
    *(kept(vr, -1) for vr in ("FL", "FD", "SL", "SS", "DS", "IS", "SV")),
    *(kept(vr, 1, None, 65535) for vr in ("US", "UL", "UV", "DS", "IS", "SV")),
    *(kept(vr, 1.5, -1e-40, "NaN", "Infinity", "-Infinity") for vr in ("FL", "FD")),
    kept("DS", 1.25, "1.250", "+1", ".5"),
    kept("IS", "+12", 12, "12"),
    kept("SV", -(2**63), 2**63 - 1, "-9223372036854775808"),
    kept("UV", 2**64 - 1, "18446744073709551615"),
    kept("PN", {"Alphabetic": "A^B", "Ideographic": "山^太", "Phonetic": "やま"}, None, {"Phonetic": "x"}),
    kept("SQ", {}, {"00100010": {"vr": "PN"}}),
    *(
        pytest.param({"vr": vr, "InlineBinary": b64(bytes(8))}, {"vr": vr, "InlineBinary": b64(bytes(8))}, id=f"JSN-16 {vr}")
        for vr in ("OB", "OD", "OF", "OL", "OV", "OW", "UN")
    ),
    *(
        pytest.param({"vr": vr, "BulkDataURI": "http://x"}, {"vr": vr, "BulkDataURI": "http://x"}, id=f"JSN-17 {vr}")
        for vr in "DS FL FD IS LT OB OD OF OL OV OW SL SS ST SV UC UL UN US UT UV".split()
    ),
    pytest.param({"vr": "LO"}, {"vr": "LO"}, id="JSN-08 empty"),
    pytest.param({"vr": "LO", "Value": []}, {"vr": "LO"}, id="JSN-08 no values"),
    pytest.param({"vr": "LO", "Value": [""]}, {"vr": "LO"}, id="JSN-08 one empty text"),
    pytest.param({"vr": "US", "Value": [None]}, {"vr": "US"}, id="JSN-08 one null"),
    pytest.param({"vr": "OB", "Value": []}, {"vr": "OB"}, id="JSN-08 OB without values"),
    pytest.param({"vr": "SQ", "Value": []}, {"vr": "SQ"}, id="JSN-08 no items"),
    pytest.param({"vr": "OB", "InlineBinary": ""}, {"vr": "OB"}, id="JSN-08 no bytes"),
    pytest.param({"vr": "LO", "Value": ["a", "", "b"]}, {"vr": "LO", "Value": ["a", None, "b"]}, id="JSN-09 empty text"),
    pytest.param({"vr": "PN", "Value": [{}, {"Alphabetic": ""}]}, {"vr": "PN", "Value": [None, None]}, id="JSN-10 empty"),
    pytest.param({"vr": "PN", "Value": [{"Alphabetic": "A", "Phonetic": None}]}, {"vr": "PN", "Value": [{"Alphabetic": "A"}]}, id="JSN-10 null group"),
    pytest.param({"vr": "PN", "Value": [{"Alphabetic": "A=B=C"}]}, {"vr": "PN", "Value": [{"Alphabetic": "A", "Ideographic": "B", "Phonetic": "C"}]}, id="JSN-10 three groups in one"),
    pytest.param({"vr": "PN", "Value": [{"Alphabetic": "A\\B"}]}, {"vr": "PN", "Value": [{"Alphabetic": "A"}, {"Alphabetic": "B"}]}, id="JSN-21 PN"),
    *(
        pytest.param({"vr": vr, "Value": ["a\\b", "c"]}, {"vr": vr, "Value": ["a", "b", "c"]}, id=f"JSN-21 {vr}")
        for vr in ("SH", "LO", "UC", "CS", "DS", "IS")
    ),
    pytest.param({"vr": "AT", "Value": ["0020000d"]}, {"vr": "AT", "Value": ["0020000D"]}, id="JSN-11 lower case"),
    pytest.param({"vr": "US", "Value": [1.0]}, {"vr": "US", "Value": [1]}, id="JSN-12 integral float"),
    pytest.param({"vr": "US", "InlineBinary": b64(b"\x01\x00\x02\x01")}, {"vr": "US", "Value": [1, 258]}, id="JSN-16 LUT data"),
    pytest.param({"vr": "FL", "InlineBinary": b64(b"\x00\x00\x80\x3f\x00\x00\xc0\x7f")}, {"vr": "FL", "Value": [1.0, "NaN"]}, id="JSN-22 FL bytes"),
    pytest.param({"vr": "OB", "InlineBinary": "AA==\n"}, {"vr": "OB", "InlineBinary": "AA=="}, id="base64 with a line end"),
    pytest.param({"vr": "LO", "Value": ["a"], "keyword": "X"}, {"vr": "LO", "Value": ["a"]}, id="unknown member"),
]  # fmt: skip


@pytest.mark.parametrize(("given_", "expected"), TAKEN)
def test_what_is_taken(given_: object, expected: object) -> None:
    result = attribute(given_)
    assert result == expected
    assert json.dumps(result) == json.dumps(expected)  # also 1 is not 1.0


REFUSED = [
    ("A50 no object", 1),
    ("A50 null", None),
    ("JSN-06 no vr", {"Value": ["a"]}),
    ("A50 vr null", {"vr": None}),
    ("A50 vr unknown", {"vr": "ZZ"}),
    ("A50 vr lower case", {"vr": "lo"}),
    ("A50 vr a list", {"vr": ["LO"]}),
    ("JSN-06 Value and InlineBinary", {"vr": "OB", "Value": [1], "InlineBinary": "AA=="}),
    ("JSN-06 Value and BulkDataURI", {"vr": "US", "Value": [1], "BulkDataURI": "x"}),
    ("JSN-06 InlineBinary and BulkDataURI", {"vr": "OB", "InlineBinary": "AA==", "BulkDataURI": "x"}),
    ("JSN-07 Value a text", {"vr": "LO", "Value": "a"}),
    ("JSN-07 Value null", {"vr": "LO", "Value": None}),
    ("JSN-07 Value an object", {"vr": "SQ", "Value": {}}),
    ("A50 number for LO", {"vr": "LO", "Value": [1]}),
    ("A50 list for LO", {"vr": "LO", "Value": [["a"]]}),
    ("A50 object for UI", {"vr": "UI", "Value": [{}]}),
    ("two LT", {"vr": "LT", "Value": ["a", "b"]}),
    ("JSN-10 PN a text", {"vr": "PN", "Value": ["A^B"]}),
    ("JSN-10 PN unknown group", {"vr": "PN", "Value": [{"Latin": "A"}]}),
    ("JSN-10 PN group a number", {"vr": "PN", "Value": [{"Alphabetic": 1}]}),
    ("JSN-10 PN = in several groups", {"vr": "PN", "Value": [{"Alphabetic": "A=B", "Phonetic": "C"}]}),
    ("JSN-10 PN four groups", {"vr": "PN", "Value": [{"Alphabetic": "A=B=C=D"}]}),
    ("JSN-11 AT short", {"vr": "AT", "Value": ["0020000"]}),
    ("JSN-11 AT a number", {"vr": "AT", "Value": [2097165]}),
    ("JSN-12 US a text", {"vr": "US", "Value": ["1"]}),
    ("JSN-12 US true", {"vr": "US", "Value": [True]}),
    ("JSN-12 US fraction", {"vr": "US", "Value": [1.5]}),
    ("JSN-12 US negative", {"vr": "US", "Value": [-1]}),
    ("JSN-12 US 65536", {"vr": "US", "Value": [65536]}),
    ("JSN-12 SS 32768", {"vr": "SS", "Value": [32768]}),
    ("JSN-12 SL", {"vr": "SL", "Value": [-(2**31) - 1]}),
    ("JSN-12 UL", {"vr": "UL", "Value": [2**32]}),
    ("JSN-12 FL a text", {"vr": "FL", "Value": ["1.5"]}),
    ("JSN-12 FL too large", {"vr": "FL", "Value": [1e39]}),
    ("JSN-12 FD an object", {"vr": "FD", "Value": [{}]}),
    ("JSN-13 DS true", {"vr": "DS", "Value": [True]}),
    ("JSN-13 IS fraction", {"vr": "IS", "Value": [1.5]}),
    ("JSN-14 SV beyond", {"vr": "SV", "Value": [2**63]}),
    ("JSN-14 UV beyond", {"vr": "UV", "Value": [2**64]}),
    ("JSN-14 UV far beyond", {"vr": "UV", "Value": [10**30]}),
    ("JSN-14 UV text beyond", {"vr": "UV", "Value": ["18446744073709551616"]}),
    ("JSN-14 SV text", {"vr": "SV", "Value": ["x"]}),
    ("JSN-15 OW with values", {"vr": "OW", "Value": [1, 2]}),
    ("JSN-15 UN with a text", {"vr": "UN", "Value": ["a"]}),
    ("JSN-16 InlineBinary of LO", {"vr": "LO", "InlineBinary": "AA=="}),
    ("A50 bad base64", {"vr": "OB", "InlineBinary": "A"}),
    ("A50 base64 without padding", {"vr": "OB", "InlineBinary": "AA"}),
    ("A50 base64 with other characters", {"vr": "OB", "InlineBinary": "A*A=="}),
    ("A50 base64 not ASCII", {"vr": "OB", "InlineBinary": "AAé="}),
    ("A50 InlineBinary a list", {"vr": "OB", "InlineBinary": ["AA=="]}),
    ("JSN-16 OF of 6 bytes", {"vr": "OF", "InlineBinary": b64(bytes(6))}),
    *((f"JSN-17 {vr}", {"vr": vr, "BulkDataURI": "x"}) for vr in "AE AS AT CS DA DT LO PN SH SQ TM UI UR".split()),
    ("JSN-17 not a text", {"vr": "OB", "BulkDataURI": 1}),
    ("JSN-17 empty", {"vr": "OB", "BulkDataURI": ""}),
    ("A35 CR LF in URI", {"vr": "OB", "BulkDataURI": "http://x\r\nX: y"}),
    ("JSN-09 item null", {"vr": "SQ", "Value": [None]}),
    ("item a text", {"vr": "SQ", "Value": ["x"]}),
]


@pytest.mark.parametrize("content", [content for _, content in REFUSED], ids=[name for name, _ in REFUSED])
def test_what_is_refused_is_named_by_its_path(content: object) -> None:
    with pytest.raises(InvalidPayload, match="Attribute 00091001 "):
        attribute(content)
    nested = {"00400275": {"vr": "SQ", "Value": [{}, {"0009100f": content}]}}
    with pytest.raises(InvalidPayload, match="Attribute 00400275/1/0009100F "):
        normalised(nested, LIMITS)


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(text, id=f"A50 {text[:20]!r}")
        for text in (
            *(b"", b"{", b"[1,]", b'[{"00100010":{"vr":"PN"},}]', b"[NaN]", b"[1e400]", b"\xff\xfe[\x00]\x00", b"\xef\xbb\xbf[]"),
            *(b'["\\ud800"]', b'["\xff"]', b'["\x01"]', b"[" * 100_000, b'{"a":' * 100_000, b'"text"', b"[1]", b"null", b"[[]]"),
            *(b"[{}] x", b"'x'", b'[{"00100010":{"vr":"DS","Value":[01]}}]', b'[{"00100010":{"vr":"FD","Value":[Infinity]}}]'),
            *(b'[{"00100010":{"vr":"PN"},"00100010":{"vr":"PN"}}]', b'[{"00100010":{"vr":"PN","vr":"PN"}}]'),
            *(b'[{"00100010":{"vr":"PN"},"0010\\u00310010":{"vr":"PN"}}]', b'[{"0008001a":{"vr":"UI"},"0008001A":{"vr":"UI"}}]'),
            *(b'[{"PatientName":{"vr":"PN"}}]', b'[{"0010001":{"vr":"PN"}}]', b'[{"0010,010":{"vr":"PN"}}]', b'[{"":{}}]'),
        )
    ],
)  # fmt: skip
def test_texts_that_are_not_the_model(text: bytes) -> None:
    with pytest.raises(InvalidPayload):
        read(text, LIMITS)


def test_one_object_is_taken_as_an_array_of_one_JSN_01() -> None:
    assert read(b'{"00100010":{"vr":"PN"}}', LIMITS) == [{"00100010": {"vr": "PN"}}]
    assert read(b"[]", LIMITS) == []
    assert read(b"[{},{}]", LIMITS) == [{}, {}]


def test_tags_come_out_in_upper_case_and_ascending_JSN_02_JSN_03() -> None:
    text = b'[{"7fe00010":{"vr":"OW"},"0008001a":{"vr":"UI"},"00400275":{"vr":"SQ","Value":[{"0020000e":{"vr":"UI"},"00080060":{"vr":"CS"}}]}}]'
    (dataset,) = read(text, LIMITS)
    assert list(dataset) == ["0008001A", "00400275", "7FE00010"]
    assert list(dataset["00400275"]["Value"][0]) == ["00080060", "0020000E"]


@pytest.mark.parametrize("tag", ["00000002", "00020010", "00080000", "7FE00000", "FFFEE000", "FFFCFFFC"])
def test_what_is_no_attribute_of_a_data_set_is_left_out_JSN_04_JSN_05(tag: str) -> None:
    assert normalised({tag: {"vr": "UL", "Value": [1]}, "00080060": {"vr": "CS"}}, LIMITS) == {"00080060": {"vr": "CS"}}


def test_private_blocks_keep_their_numbers_JSN_20() -> None:
    dataset = {"00090042": {"vr": "LO", "Value": ["ACME"]}, "00094201": {"vr": "LO", "Value": ["x"]}}
    assert read(dump(dataset), LIMITS) == [dataset]


def nested_to(depth: int) -> bytes:
    return b'{"00400275":{"vr":"SQ","Value":[' * depth + b"{}" + b"]}}" * depth


def test_sequences_nest_to_the_limit_and_no_deeper_A50() -> None:
    assert read(nested_to(LIMITS.sequence_depth), LIMITS)
    with pytest.raises(TooLarge) as caught:
        read(nested_to(LIMITS.sequence_depth + 1), LIMITS)
    assert caught.value.limit == "sequence_depth"


def test_the_number_of_elements_is_limited_A50() -> None:
    limits = Limits(elements=100)
    assert read(dump({"00400275": {"vr": "SQ", "Value": [{}] * 98}}), limits)
    for dataset in (
        {"00400275": {"vr": "SQ", "Value": [{}] * 99}},
        {f"0009{n:04X}": {"vr": "LO"} for n in range(0x1000, 0x1064)},
    ):
        with pytest.raises(TooLarge) as caught:
            read(dump(dataset), limits)
        assert caught.value.limit == "elements"


def test_the_text_is_limited_A50() -> None:
    with pytest.raises(TooLarge) as caught:
        read(b" " * 101, Limits(model_bytes=100))
    assert caught.value.limit == "model_bytes"


def test_errors_do_not_quote_values() -> None:
    with pytest.raises(InvalidPayload) as caught:
        attribute({"vr": "PN", "Value": ["SECRET^NAME"]}, "00100010")
    assert "SECRET" not in caught.value.detail


def test_output_is_utf8_and_keys_stand_as_given_JSN_18() -> None:
    assert dump({"00100010": {"vr": "PN", "Value": [{"Alphabetic": "Äneas"}]}}) == (
        '{"00100010":{"vr":"PN","Value":[{"Alphabetic":"Äneas"}]}}'.encode()
    )
    assert dump([{}, {}]) == b"[{},{}]"
    assert dump(iter([{}])) == b"[{}]"


def test_a_text_that_is_not_unicode_is_refused_not_written_A50() -> None:
    with pytest.raises(InvalidPayload):
        dump({"00100010": {"vr": "LO", "Value": ["\ud800"]}})


def test_the_url_of_the_instance_is_spliced_into_stored_text() -> None:
    stored = b'{"7FE00010":{"vr":"OW","BulkDataURI":"' + INSTANCE_URL + b'/bulkdata/7FE00010"}}'
    assert json.loads(with_urls(stored, 'https://h/"studies"/é')) == {
        "7FE00010": {"vr": "OW", "BulkDataURI": 'https://h/"studies"/é/bulkdata/7FE00010'}
    }
    assert with_urls(b"{}", "x") == b"{}"


_scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.sampled_from(["1", "A=B"])
_json = st.recursive(
    _scalars,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["Alphabetic", "00100020", "x"]), inner)
    ),
    max_leaves=6,
)
_vrs = "AE AS AT CS DA DS DT FD FL IS LO LT OB OD OF OL OV OW PN SH SL SQ SS ST SV TM UC UI UL UN UR US UT UV".split()
_attributes = st.fixed_dictionaries(
    {"vr": st.sampled_from(_vrs)},
    optional={"Value": st.lists(_json, max_size=3), "InlineBinary": _json, "BulkDataURI": _json},
)


@given(st.dictionaries(st.sampled_from(["00100010", "0009100a", "00400275"]), _attributes | _json, max_size=3))
def test_whatever_comes_in_is_refused_or_stable_and_valid(dataset: dict[str, object]) -> None:
    try:
        once = normalised(dataset, LIMITS)
    except InvalidPayload:
        return
    assert read(dump(once), LIMITS) == [once]

    def constant(name: str) -> float:
        raise AssertionError(name)

    json.loads(dump(once), parse_constant=constant)
    for content in once.values():
        assert len(content) <= 2
        assert content.get("Value") != []


@pytest.mark.parametrize(
    ("token", "expected"),
    [
        ("1.000000", "1.000000"),
        ("1E2", "1E2"),
        ("-0", "-0"),
        ("1.5", 1.5),
        ("7", 7),
        ("0.33333333333333330", 1 / 3),
    ],
)
def test_a_number_of_ds_keeps_its_spelling_if_it_fits_JSN_13(token: str, expected: float | str) -> None:
    """PS3.5 Table 6.2-1: 16 bytes. What is longer is a number that has to be written anew."""
    text = f'{{"00280030":{{"vr":"DS","Value":[{token}]}},"00091001":{{"vr":"FD","Value":[{token}]}}}}'
    (dataset,) = read(text.encode(), LIMITS)
    assert dataset["00280030"]["Value"] == [expected]
    assert dataset["00091001"]["Value"] == [float(token)]
    assert type(dataset["00091001"]["Value"][0]) in (int, float)


@pytest.mark.parametrize("number", ["9" * 20, "9" * 300, "-" + "9" * 19, "18446744073709551615"])
def test_integers_beyond_64_bits_are_what_they_are_without_any_ds(number: str) -> None:
    def taken(other_vr: str) -> object:
        text = f'{{"00091001":{{"vr":"FD","Value":[{number}]}},"00091002":{{"vr":"{other_vr}"}}}}'
        return read(text.encode(), LIMITS)[0]["00091001"]

    assert taken("DS") == taken("LO")
    assert dump({"00091001": taken("DS")})  # type: ignore[dict-item]


def test_deep_nesting_is_refused_also_beside_a_ds_A32() -> None:
    with pytest.raises(InvalidPayload):
        read(b'{"00280030":{"vr":"DS","x":' + b"[" * 1000 + b"]" * 1000 + b"}}", LIMITS)


def test_no_float_is_lost() -> None:
    values = [5e-324, 1.7976931348623157e308, -0.0, 0.1, 1e22]
    (dataset,) = read(dump({"00091001": {"vr": "FD", "Value": values}}), LIMITS)
    assert dataset["00091001"]["Value"] == values
    assert math.copysign(1, dataset["00091001"]["Value"][2]) == -1
