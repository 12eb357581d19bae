"""Reading and writing the Native DICOM Model (PS3.19 A.1, PS3.18 F.3.1)."""

# ruff: noqa: E501 - tables read better as rows

from __future__ import annotations

import base64
import re
import time
import xml.etree.ElementTree as ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dicomweb_core.codecs.dicom_json import dump, normalised
from dicomweb_core.codecs.dicom_xml import NAMESPACE, from_xml, to_xml
from dicomweb_core.errors import InvalidPayload, TooLarge
from dicomweb_core.values.attributes import Attributes
from dicomweb_core.values.limits import Limits

LIMITS = Limits()


def document(inside: str, *, root: str = f'NativeDicomModel xmlns="{NAMESPACE}" xml:space="preserve"') -> bytes:
    return f'<?xml version="1.0" encoding="UTF-8"?><{root}>{inside}</{root.split()[0]}>'.encode()


def written(attributes: Attributes) -> str:
    """What stands between the tags of the root."""
    match = re.search(r"<NativeDicomModel [^>]*>(.*)</NativeDicomModel>", to_xml(attributes).decode(), re.DOTALL)
    assert match is not None
    return match[1]


WRITTEN = [
    ("XML-04 XML-05 XML-07", {"00080060": {"vr": "CS", "Value": ["CT"]}}, '<DicomAttribute tag="00080060" vr="CS" keyword="Modality"><Value number="1">CT</Value></DicomAttribute>'),
    ("XML-04 unknown", {"00080003": {"vr": "UN"}}, '<DicomAttribute tag="00080003" vr="UN"/>'),
    ("XML-04 repeating group", {"60020010": {"vr": "US", "Value": [3]}}, '<DicomAttribute tag="60020010" vr="US" keyword="OverlayRows"><Value number="1">3</Value></DicomAttribute>'),
    ("XML-04 group length", {"00080000": {"vr": "UL", "Value": [3]}}, ""),
    ("XML-08 empty", {"00100020": {"vr": "LO"}}, '<DicomAttribute tag="00100020" vr="LO" keyword="PatientID"/>'),
    ("XML-08 empty among several", {"00080008": {"vr": "CS", "Value": ["A", None, "B"]}}, '<DicomAttribute tag="00080008" vr="CS" keyword="ImageType"><Value number="1">A</Value><Value number="2"/><Value number="3">B</Value></DicomAttribute>'),
    ("XML-06 private", {"00090010": {"vr": "LO", "Value": ['A&"<C']}, "000910FF": {"vr": "US", "Value": [1]}}, '<DicomAttribute tag="000900FF" vr="US" privateCreator="A&amp;&quot;&lt;C"><Value number="1">1</Value></DicomAttribute>'),
    ("XML-06 private without creator", {"00091001": {"vr": "US"}}, '<DicomAttribute tag="00091001" vr="US"/>'),
    ("XML-06 creator of nothing", {"00090010": {"vr": "LO", "Value": ["A"]}}, '<DicomAttribute tag="00090010" vr="LO"><Value number="1">A</Value></DicomAttribute>'),
    ("XML-09 PN", {"00100010": {"vr": "PN", "Value": [{"Alphabetic": "A^B^C^D^E", "Ideographic": "山^太", "Phonetic": "や"}]}}, '<DicomAttribute tag="00100010" vr="PN" keyword="PatientName"><PersonName number="1"><Alphabetic><FamilyName>A</FamilyName><GivenName>B</GivenName><MiddleName>C</MiddleName><NamePrefix>D</NamePrefix><NameSuffix>E</NameSuffix></Alphabetic><Ideographic><FamilyName>山</FamilyName><GivenName>太</GivenName></Ideographic><Phonetic><FamilyName>や</FamilyName></Phonetic></PersonName></DicomAttribute>'),
    ("XML-09 PN with gaps", {"00100010": {"vr": "PN", "Value": [{"Alphabetic": "^^C"}, None]}}, '<DicomAttribute tag="00100010" vr="PN" keyword="PatientName"><PersonName number="1"><Alphabetic><MiddleName>C</MiddleName></Alphabetic></PersonName><PersonName number="2"/></DicomAttribute>'),
    ("XML-09 PN with carets at the end", {"00100010": {"vr": "PN", "Value": [{"Alphabetic": "A^^"}]}}, '<DicomAttribute tag="00100010" vr="PN" keyword="PatientName"><PersonName number="1"><Alphabetic><FamilyName>A</FamilyName><MiddleName></MiddleName></Alphabetic></PersonName></DicomAttribute>'),
    ("XML-10 bulk data", {"7FE00010": {"vr": "OW", "BulkDataURI": 'http://h/?a=1&b="2"'}}, '<DicomAttribute tag="7FE00010" vr="OW" keyword="PixelData"><BulkData uri="http://h/?a=1&amp;b=&quot;2&quot;"/></DicomAttribute>'),
    ("XML-11 inline binary", {"00281101": {"vr": "OW", "InlineBinary": "AAA="}}, '<DicomAttribute tag="00281101" vr="OW" keyword="RedPaletteColorLookupTableDescriptor"><InlineBinary>AAA=</InlineBinary></DicomAttribute>'),
    ("AT", {"00280009": {"vr": "AT", "Value": ["00181063"]}}, '<DicomAttribute tag="00280009" vr="AT" keyword="FrameIncrementPointer"><Value number="1">00181063</Value></DicomAttribute>'),
    ("SQ", {"00400275": {"vr": "SQ", "Value": [{}, {"00400007": {"vr": "LO"}}]}}, '<DicomAttribute tag="00400275" vr="SQ" keyword="RequestAttributesSequence"><Item number="1"></Item><Item number="2"><DicomAttribute tag="00400007" vr="LO" keyword="ScheduledProcedureStepDescription"/></Item></DicomAttribute>'),
    ("text escaped", {"00104000": {"vr": "LT", "Value": [' a<b>&"c"\r\n\t ']}}, '<DicomAttribute tag="00104000" vr="LT" keyword="PatientComments"><Value number="1"> a&lt;b&gt;&amp;"c"&#13;\n\t </Value></DicomAttribute>'),
    ("A14 control characters", {"00100020": {"vr": "LO", "Value": ["a\x00\x1b\x08\ufffe\x7f"]}}, '<DicomAttribute tag="00100020" vr="LO" keyword="PatientID"><Value number="1">a\ufffd\ufffd\ufffd\ufffd\x7f</Value></DicomAttribute>'),
]  # fmt: skip


@pytest.mark.parametrize(("attributes", "expected"), [row[1:] for row in WRITTEN], ids=[row[0] for row in WRITTEN])
def test_what_is_written(attributes: Attributes, expected: str) -> None:
    assert written(attributes) == expected
    ElementTree.fromstring(to_xml(attributes))


def test_the_root_has_its_namespace_and_preserves_space_XML_01_XML_02() -> None:
    text = to_xml({})
    root = ElementTree.fromstring(text)
    assert root.tag == "{http://dicom.nema.org/PS3.19/models/NativeDICOM}NativeDicomModel"
    assert root.attrib == {"{http://www.w3.org/XML/1998/namespace}space": "preserve"}
    assert text.startswith(b'<?xml version="1.0" encoding="UTF-8"?>')


VALUE = '<DicomAttribute tag="{tag}" vr="{vr}">{inside}</DicomAttribute>'
READ = [
    ("wrong case, no namespace", document('<DicomAttribute Tag="0020000d" VR="ui" Keyword="x"><Value Number="1">1.2</Value></DicomAttribute>', root="NativeDicomModel"), {"0020000D": {"vr": "UI", "Value": ["1.2"]}}),
    ("prefix", document('<n:DicomAttribute tag="00080060" vr="CS"/>', root=f'n:NativeDicomModel xmlns:n="{NAMESPACE}"'), {"00080060": {"vr": "CS"}}),
    ("vr of the dictionary", document('<DicomAttribute tag="00080060"/><DicomAttribute tag="00280106"/><DicomAttribute tag="7FE00010"/><DicomAttribute tag="00091001"/>'), {"00080060": {"vr": "CS"}, "00091001": {"vr": "UN"}, "00280106": {"vr": "US"}, "7FE00010": {"vr": "OB"}}),
    ("numbers decide the order", document(VALUE.format(tag="00080008", vr="CS", inside='<Value number="2">B</Value><Value number="1">A</Value>')), {"00080008": {"vr": "CS", "Value": ["A", "B"]}}),
    ("no numbers", document(VALUE.format(tag="00080008", vr="CS", inside="<Value>B</Value><Value/>")), {"00080008": {"vr": "CS", "Value": ["B", None]}}),
    ("indented", document('\n <DicomAttribute tag="00280010" vr="US">\n  <Value number="1"> 512 </Value>\n </DicomAttribute>\n'), {"00280010": {"vr": "US", "Value": [512]}}),
    ("comments, PIs and CDATA", document('<!-- c --><?p i?><DicomAttribute tag="00100020" vr="LO"><Value number="1">a<!-- c -->b<![CDATA[<&]]></Value></DicomAttribute>'), {"00100020": {"vr": "LO", "Value": ["ab<&"]}}),
    ("CR", document(VALUE.format(tag="00104000", vr="LT", inside='<Value number="1">a&#13;\nb</Value>')), {"00104000": {"vr": "LT", "Value": ["a\r\nb"]}}),
    ("latin-1", '<?xml version="1.0" encoding="ISO-8859-1"?><NativeDicomModel><DicomAttribute tag="00100020" vr="LO"><Value>é</Value></DicomAttribute></NativeDicomModel>'.encode("latin-1"), {"00100020": {"vr": "LO", "Value": ["é"]}}),
    ("UTF-16 with its mark", '<?xml version="1.0" encoding="UTF-16"?><NativeDicomModel><DicomAttribute tag="00100020" vr="LO"><Value>é</Value></DicomAttribute></NativeDicomModel>'.encode("utf-16"), {"00100020": {"vr": "LO", "Value": ["é"]}}),
    ("UTF-8 with a mark", b"\xef\xbb\xbf" + document(""), {}),
    ("FD", document(VALUE.format(tag="00189074", vr="FD", inside="<Value>1</Value><Value>-1.5e-3</Value><Value>NaN</Value>")), {"00189074": {"vr": "FD", "Value": [1, -0.0015, "NaN"]}}),
    ("JSN-13 DS keeps its text", document(VALUE.format(tag="00280030", vr="DS", inside="<Value>0.50</Value><Value>0.5</Value><Value>+1</Value>")), {"00280030": {"vr": "DS", "Value": ["0.50", 0.5, "+1"]}}),
    ("JSN-14 SV keeps precision", document(VALUE.format(tag="00720082", vr="SV", inside="<Value>9223372036854775807</Value>")), {"00720082": {"vr": "SV", "Value": ["9223372036854775807"]}}),
    ("JSN-04 JSN-05 left out", document('<DicomAttribute tag="00020010" vr="UI"/><DicomAttribute tag="00080000" vr="UL"/>'), {}),
    ("two creators", document('<DicomAttribute tag="00090001" vr="LO" privateCreator="A"/><DicomAttribute tag="00090001" vr="SH" privateCreator="B"/><DicomAttribute tag="00090002" vr="US" privateCreator="A"/>'), {"00090010": {"vr": "LO", "Value": ["A"]}, "00090011": {"vr": "LO", "Value": ["B"]}, "00091001": {"vr": "LO"}, "00091002": {"vr": "US"}, "00091101": {"vr": "SH"}}),
    ("one creator, two blocks", document('<DicomAttribute tag="00090001" vr="LO" privateCreator="A"/><DicomAttribute tag="00090001" vr="SH" privateCreator="A"/>'), {"00090010": {"vr": "LO", "Value": ["A"]}, "00090011": {"vr": "LO", "Value": ["A"]}, "00091001": {"vr": "LO"}, "00091101": {"vr": "SH"}}),
    ("blocks that are taken", document('<DicomAttribute tag="00090001" vr="LO" privateCreator="A"/><DicomAttribute tag="00090010" vr="LO"><Value>B</Value></DicomAttribute><DicomAttribute tag="00091105" vr="US"/>'), {"00090010": {"vr": "LO", "Value": ["B"]}, "00090012": {"vr": "LO", "Value": ["A"]}, "00091105": {"vr": "US"}, "00091201": {"vr": "LO"}}),
    ("a block number beside a creator", document('<DicomAttribute tag="00092342" vr="LO" privateCreator="A"/>'), {"00090010": {"vr": "LO", "Value": ["A"]}, "00091042": {"vr": "LO"}}),
    ("privateCreator of a standard attribute", document('<DicomAttribute tag="00100020" vr="LO" privateCreator="A"/>'), {"00100020": {"vr": "LO"}}),
]  # fmt: skip


@pytest.mark.parametrize(("text", "expected"), [row[1:] for row in READ], ids=[row[0] for row in READ])
def test_what_is_read(text: bytes, expected: Attributes) -> None:
    assert from_xml(text, LIMITS) == expected


REFUSED = [
    ("empty", b""),
    ("no XML", b"text"),
    ("JSON", b"[{}]"),
    ("cut", document("")[:-3]),
    ("another root", document("", root="DicomAttribute")),
    ("A53 another namespace", document("", root='NativeDicomModel xmlns="urn:x"')),
    ("A53 another namespace inside", document('<DicomAttribute xmlns="urn:x" tag="00100020" vr="LO"/>')),
    ("another element", document("<Item/>")),
    ("no tag", document('<DicomAttribute vr="LO"/>')),
    ("bad tag", document('<DicomAttribute tag="PatientID" vr="LO"/>')),
    ("bad vr", document('<DicomAttribute tag="00100020" vr="ZZ"/>')),
    ("twice", document('<DicomAttribute tag="00100020" vr="LO"/><DicomAttribute tag="00100020" vr="LO"/>')),
    *(
        (name, document(VALUE.format(tag="00091001", vr=vr, inside=inside)))
        for name, vr, inside in [
            ("two kinds", "LO", "<Value/><InlineBinary/>"),
            ("two InlineBinary", "OB", "<InlineBinary/><InlineBinary/>"),
            ("XML-11 InlineBinary of LO", "LO", "<InlineBinary>AAAA</InlineBinary>"),
            ("bad base64", "OB", "<InlineBinary>A</InlineBinary>"),
            ("BulkData with a uuid", "OB", '<BulkData uuid="1"/>'),
            ("BulkData of LO", "LO", '<BulkData uri="x"/>'),
            ("JSN-15 Value of OB", "OB", "<Value>1</Value>"),
            ("Value of PN", "PN", "<Value>A</Value>"),
            ("PersonName of LO", "LO", "<PersonName/>"),
            ("Item of LO", "LO", "<Item/>"),
            ("Value of SQ", "SQ", "<Value>a</Value>"),
            ("unknown content", "LO", "<Values/>"),
            ("elements in a value", "LO", "<Value><b/></Value>"),
            ("unknown group", "PN", "<PersonName><Latin/></PersonName>"),
            ("unknown component", "PN", "<PersonName><Alphabetic><Name/></Alphabetic></PersonName>"),
            ("a group twice", "PN", "<PersonName><Alphabetic/><Alphabetic/></PersonName>"),
            ("a number twice", "LO", '<Value number="1"/><Value number="1"/>'),
            ("a gap", "LO", '<Value number="1"/><Value number="3"/>'),
            ("a huge number", "LO", '<Value number="999999999999999999999"/>'),
            ("some numbers", "LO", '<Value number="1"/><Value/>'),
            ("US a text", "US", "<Value>x</Value>"),
            ("US too large", "US", "<Value>65536</Value>"),
            ("US in other digits", "US", "<Value>١</Value>"),
            ("FD a text", "FD", "<Value>1,5</Value>"),
            ("FD hexadecimal", "FD", "<Value>0x1p3</Value>"),
            ("FD of another platform", "FD", "<Value>1.#INF</Value>"),
            ("FL too large", "FL", "<Value>1e39</Value>"),
            ("FD too large", "FD", "<Value>1e999</Value>"),
        ]
    ),
]  # fmt: skip


@pytest.mark.parametrize("text", [row[1] for row in REFUSED], ids=[row[0] for row in REFUSED])
def test_what_is_refused(text: bytes) -> None:
    with pytest.raises(InvalidPayload):
        from_xml(text, LIMITS)


LAUGHS = "".join(f'<!ENTITY l{n + 1} "{10 * f"&l{n};"}">' for n in range(9))
BODY = '<NativeDicomModel><DicomAttribute tag="00100020" vr="LO"><Value>{}</Value></DicomAttribute></NativeDicomModel>'
ATTACKS = [
    ("doctype", "<!DOCTYPE NativeDicomModel>" + BODY.format("a")),
    ("external DTD", '<!DOCTYPE x SYSTEM "http://127.0.0.1:9/x.dtd">' + BODY.format("a")),
    ("file entity", '<!DOCTYPE x [<!ENTITY f SYSTEM "file:///etc/passwd">]>' + BODY.format("&f;")),
    ("http entity", '<!DOCTYPE x [<!ENTITY f SYSTEM "http://127.0.0.1:9/">]>' + BODY.format("&f;")),
    ("parameter entity", '<!DOCTYPE x [<!ENTITY % p SYSTEM "file:///etc/passwd"> %p;]>' + BODY.format("a")),
    ("billion laughs", f'<!DOCTYPE x [<!ENTITY l0 "ha">{LAUGHS}]>' + BODY.format("&l9;")),
    ("quadratic blow-up", f'<!DOCTYPE x [<!ENTITY a "{"a" * 100_000}">]>' + BODY.format("&a;" * 10_000)),
    ("undeclared entity", BODY.format("&x;")),
    ("NUL", BODY.format("a\x00")),
    ("NUL reference", BODY.format("&#0;")),
    ("control character", BODY.format("\x1b")),
    ("depth", "<NativeDicomModel>" + "<DicomAttribute>" * 100_000),
    ("depth of sequences", "<NativeDicomModel>" + '<DicomAttribute tag="00400275" vr="SQ"><Item>' * 120 + "</Item></DicomAttribute>" * 120 + "</NativeDicomModel>"),
    ("UTF-7", '<?xml version="1.0" encoding="UTF-7"?>+ADwAIQ-DOCTYPE x+AD4-' + BODY.format("a")),
    ("unknown encoding", '<?xml version="1.0" encoding="x-evil"?>' + BODY.format("a")),
    ("UTF-16 declared, UTF-8 sent", '<?xml version="1.0" encoding="UTF-16"?>' + BODY.format("a")),
    ("ASCII declared, UTF-8 sent", '<?xml version="1.0" encoding="US-ASCII"?>' + BODY.format("é")),
    ("many attributes", "<NativeDicomModel><DicomAttribute " + " ".join(f'a{n}=""' for n in range(300_000)) + "/></NativeDicomModel>"),
    ("many namespaces", "<NativeDicomModel " + " ".join(f'xmlns:a{n}="urn:{n}"' for n in range(20_000)) + "><x/></NativeDicomModel>"),
]  # fmt: skip


@pytest.mark.parametrize("text", [row[1] for row in ATTACKS], ids=["A53 " + row[0] for row in ATTACKS])
def test_attacks_are_refused_soon(text: str) -> None:
    begin = time.process_time()
    with pytest.raises((InvalidPayload, TooLarge)):
        from_xml(text.encode(), LIMITS)
    assert time.process_time() - begin < 5


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-32"])
def test_a_doctype_cannot_hide_in_an_encoding_A53(encoding: str) -> None:
    text = '<!DOCTYPE x [<!ENTITY f SYSTEM "file:///etc/passwd">]>' + BODY.format("&f;")
    with pytest.raises(InvalidPayload):
        from_xml(text.encode(encoding), LIMITS)


@pytest.mark.parametrize(
    "inside",
    [
        '<xi:include xmlns:xi="http://www.w3.org/2001/XInclude" href="file:///etc/passwd" parse="text"/>',
        '<DicomAttribute tag="00100020" vr="LO"><Value><xi:include xmlns:xi="http://www.w3.org/2001/XInclude" href="file:///etc/passwd"/></Value></DicomAttribute>',
    ],
)
def test_nothing_is_included_A53(inside: str) -> None:
    with pytest.raises(InvalidPayload):
        from_xml(document(inside), LIMITS)


def test_style_sheets_and_schemas_are_not_followed_A53() -> None:
    text = (
        '<?xml-stylesheet type="text/xsl" href="file:///etc/passwd"?><NativeDicomModel '
        'xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xsi:noNamespaceSchemaLocation="http://127.0.0.1:9/"/>'
    )
    assert from_xml(text.encode(), LIMITS) == {}


def test_the_text_is_limited_A53() -> None:
    with pytest.raises(TooLarge) as caught:
        from_xml(document(" " * 1000), Limits(model_bytes=1000))
    assert caught.value.limit == "model_bytes"


@pytest.mark.parametrize(
    "inside",
    ['<DicomAttribute tag="00400275" vr="SQ">' + "<Item/>" * 100 + "</DicomAttribute>", "<DicomAttribute/>" * 101],
)
def test_the_number_of_elements_is_limited_A53(inside: str) -> None:
    with pytest.raises(TooLarge) as caught:
        from_xml(document(inside), Limits(elements=100))
    assert caught.value.limit == "elements"


def test_sequences_nest_to_the_limit() -> None:
    def nested(depth: int) -> Attributes:
        dataset: Attributes = {}
        for _ in range(depth):
            dataset = {"00400275": {"vr": "SQ", "Value": [dataset]}}
        return dataset

    deepest = nested(LIMITS.sequence_depth)
    assert from_xml(to_xml(deepest), LIMITS) == deepest
    with pytest.raises(TooLarge):
        from_xml(to_xml(nested(LIMITS.sequence_depth + 1)), LIMITS)
    assert to_xml(nested(5000)).count(b"<Item ") == 5000


def test_errors_name_the_path_and_no_value() -> None:
    inside = '<DicomAttribute tag="00400275" vr="SQ"><Item/><Item><DicomAttribute tag="00280010" vr="US"><Value>SECRET</Value></DicomAttribute></Item></DicomAttribute>'
    with pytest.raises(InvalidPayload, match="00400275/1/00280010") as caught:
        from_xml(document(inside), LIMITS)
    assert "SECRET" not in caught.value.detail


# -- JSN-23: the same data set as JSON and as XML ----------------------------------------------------------------------

_characters = st.characters(codec="utf-8", exclude_categories=["Cs"], exclude_characters="\\^=\x00").filter(
    lambda c: c in "\t\n\r" or (ord(c) >= 0x20 and c not in "\ufffe\uffff")
)
_text = st.text(_characters | st.sampled_from("<>&\"' \r\n"), min_size=1, max_size=8)
_group = st.lists(_text | st.just(""), min_size=1, max_size=6).map("^".join).filter(bool)
_values: dict[str, st.SearchStrategy[object]] = {
    **dict.fromkeys(("LO", "SH", "UC", "CS", "UI", "DA"), _text),
    "AT": st.integers(0, 2**32 - 1).map("{:08X}".format),
    "PN": st.dictionaries(st.sampled_from(["Alphabetic", "Ideographic", "Phonetic"]), _group, min_size=1),
    "FD": st.floats(allow_nan=False, allow_infinity=False) | st.sampled_from(["NaN", "Infinity", "-Infinity"]),
    "FL": st.floats(width=32, allow_nan=False, allow_infinity=False),
    "US": st.integers(0, 65535),
    "SL": st.integers(-(2**31), 2**31 - 1),
    "DS": st.floats(allow_nan=False, allow_infinity=False) | st.sampled_from(["1.50", "+1", " 1 ", ".5", "1E2"]),
    "IS": st.integers(-(2**31), 2**31 - 1) | st.sampled_from(["+1", "007"]),
    "SV": st.integers(-(2**53), 2**53) | st.integers(2**53 + 1, 2**63 - 1).map(str),
}
_attribute = st.one_of(
    *(
        st.lists(values | st.none(), min_size=1, max_size=3).map(lambda v, vr=vr: {"vr": vr, "Value": v})
        for vr, values in _values.items()
    ),
    _text.map(lambda v: {"vr": "LT", "Value": [v]}),
    st.sampled_from([{"vr": "LO"}, {"vr": "SQ"}, {"vr": "OB"}, {"vr": "PN"}]),
    st.binary(min_size=1, max_size=9).map(lambda v: {"vr": "OB", "InlineBinary": base64.b64encode(v).decode()}),
    st.just({"vr": "OW", "BulkDataURI": "http://h/a?b&c=%20'\""}),
)
_PUBLIC = ["00080060", "00100010", "00100020", "00180050", "00400275", "00540014", "7FE00010", "00080003"]
_PRIVATE = ["00091001", "000910FF", "00091102", "00231001"]
_CREATORS = {"00090010": "ACME", "00090011": "<OTHER> & 'Co'", "00230010": "ACME"}


def _datasets(items: st.SearchStrategy[Attributes]) -> st.SearchStrategy[Attributes]:
    sequence = st.lists(items, max_size=3).map(lambda v: {"vr": "SQ", "Value": v})
    return st.dictionaries(st.sampled_from(_PUBLIC + _PRIVATE), _attribute | sequence, max_size=5).map(_with_creators)


def _with_creators(dataset: Attributes) -> Attributes:
    """With the creators of the blocks that are used, and those before them: blocks are assigned in order."""
    for tag in [tag for tag in dataset if tag in _PRIVATE]:
        for creator, name in _CREATORS.items():
            if creator[:4] == tag[:4] and creator[6:] <= tag[4:6]:
                dataset[creator] = {"vr": "LO", "Value": [name]}
    for creator in [tag for tag in dataset if tag in _CREATORS]:
        dataset.setdefault(f"{creator[:4]}{creator[6:]}01", {"vr": "US"})
    return normalised(dataset, LIMITS)


@given(st.recursive(st.just({}), _datasets, max_leaves=6))
def test_a_data_set_is_the_same_as_json_and_as_xml_JSN_23(dataset: Attributes) -> None:
    text = to_xml(dataset)
    ElementTree.fromstring(text)
    assert dump(from_xml(text, LIMITS)) == dump(dataset)


@given(_text | st.text(max_size=20))
def test_whatever_the_text_it_is_well_formed_xml(value: str) -> None:
    dataset: Attributes = {
        "00090010": {"vr": "LO", "Value": [value]},
        "00091001": {"vr": "LT", "Value": [value]},
        "00100010": {"vr": "PN", "Value": [{"Alphabetic": value}]},
        "7FE00010": {"vr": "OW", "BulkDataURI": value},
    }
    ElementTree.fromstring(to_xml(dataset))
