"""JSON numbers keep their spelling, whichever attributes are wanted."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dicomweb_core.codecs.json_numbers import selected, with_number_texts
from dicomweb_core.codecs.part10_reader import BytesSource, read_part10
from dicomweb_core.errors import InvalidDataset
from dicomweb_core.values.limits import Limits
from tests.witnesses.real_files import real_files

_texts = st.text(max_size=6) | st.sampled_from(['"', "DS", '"DS"', '\\"DS\\"', "1.0"])
_values = st.one_of(
    st.lists(_texts, max_size=3),
    st.lists(
        st.none() | st.integers(-(1 << 63), (1 << 64) - 1) | st.floats(allow_nan=False, allow_infinity=False),
        max_size=3,
    ),
    st.lists(st.none() | st.dictionaries(st.sampled_from(["Alphabetic", "Phonetic"]), _texts), max_size=2),
)
_tags = st.sampled_from(
    ["00080005", "00080018", "00091001", "00100010", "00100020", "00400275", "7FE00010", "FFFE0001"]
)
_flat = st.one_of(
    st.builds(lambda vr, value: {"vr": vr, "Value": value}, st.sampled_from(["LO", "PN", "DS"]), _values),
    st.builds(lambda text: {"vr": "OB", "InlineBinary": text}, _texts),
    st.just({"vr": "SQ"}),
)
_datasets = st.recursive(
    st.dictionaries(_tags, _flat, max_size=4),
    lambda items: st.dictionaries(
        _tags, _flat | st.lists(items, max_size=3).map(lambda value: {"vr": "SQ", "Value": value}), max_size=5
    ),
    max_leaves=12,
)


@given(_datasets, st.frozensets(_tags))
def test_what_is_selected_is_what_was_there(dataset: dict[str, Any], tags: frozenset[str]) -> None:
    expected = orjson.dumps({tag: content for tag, content in dataset.items() if tag in tags})
    assert selected(orjson.dumps(dataset), tags) == expected


def test_every_attribute_of_a_real_file_can_be_had_alone_as_it_is_spelled() -> None:
    spelled = 0
    for path in real_files():
        try:
            text = read_part10(BytesSource(path.read_bytes()), Limits()).metadata.replace(b"\x01", b"\\u0001")
        except InvalidDataset:
            continue
        whole = with_number_texts(text)
        assert selected(text, whole.keys()) == text, path.name
        spelled += text != orjson.dumps(orjson.loads(text))
        for tag in list(whole)[:: 1 + len(whole) // 6]:
            assert with_number_texts(selected(text, {tag})) == {tag: whole[tag]}, path.name
    assert spelled > 20


@pytest.mark.parametrize("token", ["1.000000", "-0", "1E2", "1.50", "0.12345678901234", "7"])
def test_numbers_keep_their_spelling_next_to_others(token: str) -> None:
    text = (
        b'{"00080005":{"vr":"CS"},"00280030":{"vr":"DS","Value":[%b,null,"+1"]},"00281050":{"vr":"FD","Value":[0.1]}}'
    )
    text %= token.encode()
    assert selected(text, {"00280030"}) == b'{"00280030":{"vr":"DS","Value":[%b,null,"+1"]}}' % token.encode()
    assert selected(text, {"00280030", "00080005", "00281050", "00100010"}) == text
    assert with_number_texts(text)["00280030"]["Value"] == [token, None, "+1"]
