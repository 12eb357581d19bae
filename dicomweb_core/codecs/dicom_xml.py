"""Native DICOM Model (PS3.19 A.1) <-> Attributes, by the mapping of PS3.18 F.3.1.

Private attributes are `gggg00ee` with their creator in XML and `ggggXXee` beside a creator attribute in JSON: blocks
are dropped on writing and assigned anew, from 10H, on reading. A creator whose block is empty, and a private attribute
without a creator, keep their number. Characters that XML 1.0 cannot carry (2.2) become U+FFFD; CR is `&#13;`.
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType
from typing import Any, Final

from lxml import etree

from dicomweb_core.codecs.dicom_json import NON_FINITE, normalised
from dicomweb_core.codecs.dictionary import keyword_of, vr_of
from dicomweb_core.errors import InvalidPayload, TooLarge
from dicomweb_core.values.attributes import Attribute, Attributes, first_text
from dicomweb_core.values.limits import Limits

NAMESPACE: Final = "http://dicom.nema.org/PS3.19/models/NativeDICOM"

_HEAD: Final = f'<?xml version="1.0" encoding="UTF-8"?>\n<NativeDicomModel xmlns="{NAMESPACE}" xml:space="preserve">'
_PIECES: Final = 10_000
"""Of text, kept until they are joined: each takes more memory than its characters."""
_GROUPS: Final = ("Alphabetic", "Ideographic", "Phonetic")
_COMPONENTS: Final = ("FamilyName", "GivenName", "MiddleName", "NamePrefix", "NameSuffix")
_ESCAPED: Final = MappingProxyType(
    {"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "\r": "&#13;", "\n": "&#10;", "\t": "&#9;"}
)
_TO_ESCAPE_IN_TEXT: Final = re.compile("[&<>\r\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")
_TO_ESCAPE_IN_ATTRIBUTE: Final = re.compile('[&<>"\x00-\x1f\ud800-\udfff\ufffe\uffff]')
_DECLARATION: Final = re.compile(r"\s*<\?xml\s[^>]*?\?>")
_ENCODING: Final = re.compile(rb"""<\?xml\s[^>]{0,200}?encoding\s*=\s*["']([A-Za-z0-9._-]{1,40})["']""")
_ENCODINGS: Final = MappingProxyType(
    {"utf-8": "utf-8", "utf8": "utf-8", "us-ascii": "ascii", "ascii": "ascii", "iso-8859-1": "latin-1"}
)
# libxml2 takes quadratic time for attributes of one element; the model has at most four.
_MANY_ATTRIBUTES: Final = re.compile(
    r"""<[^ \t\r\n/<>]++(?:[ \t\r\n]++[^ \t\r\n=<>"']++[ \t\r\n]*+=[ \t\r\n]*+(?:"[^"<]*+"|'[^'<]*+')){33}"""
)
_TAG: Final = re.compile(r"[0-9A-Fa-f]{8}")
_INTEGER: Final = re.compile(r"-?(?:0|[1-9][0-9]{0,18})")
_DECIMAL: Final = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]{1,3})?")


def to_xml(attributes: Attributes) -> bytes:
    """The document of one data set, UTF-8."""
    document = io.BytesIO()
    pieces = [_HEAD]
    # What is still to be written, the next last: text, or attributes of an item.
    pending: list[Iterator[str | Attributes]] = [_dataset(attributes)]
    while pending:
        piece = next(pending[-1], None)
        if piece is None:
            pending.pop()
        elif isinstance(piece, str):
            pieces.append(piece)
        else:
            if len(pieces) > _PIECES:
                document.write("".join(pieces).encode("utf-8"))
                pieces.clear()
            pending.append(_dataset(piece))
    pieces.append("</NativeDicomModel>\n")
    document.write("".join(pieces).encode("utf-8"))
    return document.getvalue()


def from_xml(text: bytes, limits: Limits) -> Attributes:
    """The data set of one document, as `dicom_json.normalised` promises.

    Takes attribute names in any case, a missing namespace and a missing `vr` of a standard attribute.
    Raises InvalidPayload, also for any document type declaration, and TooLarge.
    """
    root = _parsed(text, limits)
    _check(_local_name(root) == "NativeDicomModel", "The root is not NativeDicomModel")
    dataset: dict[str, Any] = {}
    count = 0
    pending: list[tuple[etree._Element, dict[str, Any], str]] = [(root, dataset, "")]
    while pending:
        parent, given, path = pending.pop()
        count += len(parent) + sum(map(len, parent))
        if count > limits.elements:
            raise TooLarge("Too many elements and values in XML.", limit="elements", ceiling=limits.elements)
        blocks = _Blocks()
        private: list[tuple[etree._Element, str, str]] = []
        for element in parent:
            tag, creator = _tag(element, path)
            if creator is None:
                blocks.reserve(tag)
                _add(given, tag, _attribute(element, tag, path), path)
            else:
                private.append((element, tag, creator))
        for element, tag, creator in private:
            number = blocks.number(tag, creator, given, path)
            _add(given, number, _attribute(element, number, path), path)
        for tag, attribute in given.items():
            for index, item in enumerate(attribute.pop("Item", ())):
                pending.append((item, attribute["Value"][index], f"{path}{tag}/{index}/"))
    return normalised(dataset, limits)


# -- writing ------------------------------------------------------------------------------------------------------


def _dataset(attributes: Attributes) -> Iterator[str | Attributes]:
    creators = {tag: first_text(attributes, _creator_tag(tag)) for tag in attributes if _is_private(tag)}
    used = {_creator_tag(tag) for tag, creator in creators.items() if creator}
    for tag, attribute in attributes.items():
        if tag.endswith("0000") or tag in used:
            continue
        vr = attribute["vr"]
        creator = creators.get(tag)
        if creator:
            name = f'tag="{tag[:4]}00{tag[6:]}" vr="{vr}" privateCreator="{_quotable(creator)}"'
        else:
            keyword = keyword_of(tag)
            name = f'tag="{tag}" vr="{vr}"' + (f' keyword="{keyword}"' if keyword else "")
        if len(attribute) == 1:
            yield f"<DicomAttribute {name}/>"
            continue
        yield f"<DicomAttribute {name}>"
        yield from _content(vr, attribute)
        yield "</DicomAttribute>"


def _content(vr: str, attribute: Attribute) -> Iterator[str | Attributes]:
    if "InlineBinary" in attribute:
        yield f"<InlineBinary>{attribute['InlineBinary']}</InlineBinary>"
    elif "BulkDataURI" in attribute:
        yield f'<BulkData uri="{_quotable(attribute["BulkDataURI"])}"/>'
    elif vr == "SQ":
        for number, item in enumerate(attribute["Value"], 1):
            yield f'<Item number="{number}">'
            yield item
            yield "</Item>"
    elif vr == "PN":
        for number, name in enumerate(attribute["Value"], 1):
            yield _person_name(number, name or {})
    else:
        for number, value in enumerate(attribute["Value"], 1):
            empty = value is None or value == ""
            yield f'<Value number="{number}"/>' if empty else f'<Value number="{number}">{_text(str(value))}</Value>'


def _person_name(number: int, name: Mapping[str, str]) -> str:
    groups = "".join(f"<{group}>{_components(name[group])}</{group}>" for group in _GROUPS if name.get(group))
    return f'<PersonName number="{number}">{groups}</PersonName>' if groups else f'<PersonName number="{number}"/>'


def _components(group: str) -> str:
    """Empty components are left out but for the last: it keeps carets at the end. A sixth stays in the fifth."""
    values = group.split("^", len(_COMPONENTS) - 1)
    return "".join(
        f"<{component}>{_text(value)}</{component}>"
        for position, (component, value) in enumerate(zip(_COMPONENTS, values, strict=False), 1)
        if value or position == len(values)
    )


def _text(value: str) -> str:
    return _TO_ESCAPE_IN_TEXT.sub(_escape, value)


def _quotable(value: str) -> str:
    return _TO_ESCAPE_IN_ATTRIBUTE.sub(_escape, value)


def _escape(match: re.Match[str]) -> str:
    return _ESCAPED.get(match[0], "\ufffd")


def _is_private(tag: str) -> bool:
    """Whether it is a private attribute in a block that has, or could have, a creator (PS3.5 7.8.1)."""
    return tag[3] in "13579BDF" and "10" <= tag[4:6] <= "FF"


def _is_creator(tag: str) -> bool:
    return tag[3] in "13579BDF" and tag[4:6] == "00" and "10" <= tag[6:] <= "FF"


def _creator_tag(tag: str) -> str:
    return f"{tag[:4]}00{tag[4:6]}"


# -- reading ------------------------------------------------------------------------------------------------------


def _parsed(text: bytes, limits: Limits) -> etree._Element:
    if len(text) > limits.model_bytes:
        raise TooLarge(
            f"An XML text is longer than {limits.model_bytes} bytes.", limit="model_bytes", ceiling=limits.model_bytes
        )
    document = _decoded(text)
    # Character data has no such text in an element: there, `<` is escaped.
    _check("<!DOCTYPE" not in document and "<!ENTITY" not in document, "There is a document type declaration")
    _check(_MANY_ATTRIBUTES.search(document) is None, "An XML element has too many attributes")
    declaration = _DECLARATION.match(document)
    parser = etree.XMLParser(
        encoding="utf-8",
        resolve_entities=False,
        load_dtd=False,
        no_network=True,
        huge_tree=False,
        remove_comments=True,
        remove_pis=True,
    )
    try:
        return etree.fromstring(document[declaration.end() if declaration else 0 :].encode("utf-8"), parser)
    except etree.XMLSyntaxError as error:
        line, column = error.position
        raise InvalidPayload(f"This is not well-formed XML (line {line}, column {column}).") from error


def _decoded(text: bytes) -> str:
    """By what the document says of itself; of encodings in which ASCII hides only UTF-16 with its mark is read."""
    if text.startswith((b"\xff\xfe", b"\xfe\xff")):
        encoding = "utf-16"
    else:
        declared = _ENCODING.match(text.removeprefix(b"\xef\xbb\xbf").lstrip())
        name = declared[1].decode("ascii").lower() if declared else "utf-8"
        _check(name in _ENCODINGS, "The encoding of the XML is not supported: use UTF-8")
        encoding = _ENCODINGS[name]
    try:
        return text.decode(encoding).removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        raise InvalidPayload("The XML is not in the encoding it declares.") from error


def _check(holds: bool, otherwise: str) -> None:
    if not holds:
        raise InvalidPayload(f"{otherwise}.")


def _local_name(element: etree._Element) -> str:
    """The name without its namespace, which is ours or none."""
    return _local(str(element.tag))


def _local(name: str) -> str:
    namespace, _, local = name[1:].rpartition("}") if name.startswith("{") else ("", "", name)
    _check(namespace in ("", NAMESPACE), "An element is in a foreign namespace")
    return local


def _names(element: etree._Element) -> dict[str, str]:
    """XML attributes by name in lower case."""
    return {str(name).lower(): str(value) for name, value in element.items()}


def _tag(element: etree._Element, path: str) -> tuple[str, str | None]:
    """The tag in upper case, and the creator of a private attribute."""
    _check(_local_name(element) == "DicomAttribute", f"There is an element that is not DicomAttribute at {path or '/'}")
    names = _names(element)
    tag = names.get("tag", "").upper()
    _check(_TAG.fullmatch(tag) is not None, f"A DicomAttribute at {path or '/'} has no tag of 8 hexadecimal digits")
    creator = names.get("privatecreator", "").strip(" ")
    return tag, creator if creator and tag[3] in "13579BDF" else None


def _add(given: dict[str, Any], tag: str, attribute: Attribute, path: str) -> None:
    _check(tag not in given, f"Attribute {path}{tag} occurs twice")
    given[tag] = attribute


class _Blocks:
    """The private blocks of one data set (PS3.5 7.8.1)."""

    def __init__(self) -> None:
        self._reserved: set[str] = set()
        self._of_creator: dict[tuple[str, str], list[str]] = {}

    def reserve(self, tag: str) -> None:
        """Keeps the block of an attribute that stands under its own number."""
        if _is_creator(tag):
            self._reserved.add(tag)
        elif _is_private(tag):
            self._reserved.add(_creator_tag(tag))

    def number(self, tag: str, creator: str, given: dict[str, Any], path: str) -> str:
        """The free number of an attribute in a block of its creator, which is made if need be.

        A creator may have several blocks: an attribute that occurs twice is in two of them.
        """
        group = tag[:4]
        blocks = self._of_creator.setdefault((group, creator), [])
        for block in blocks:
            if f"{group}{block}{tag[6:]}" not in given:
                return f"{group}{block}{tag[6:]}"
        block = self._new_block(group, path)
        blocks.append(block)
        given[f"{group}00{block}"] = {"vr": "LO", "Value": [creator]}
        return f"{group}{block}{tag[6:]}"

    def _new_block(self, group: str, path: str) -> str:
        for number in range(0x10, 0x100):
            tag = f"{group}00{number:02X}"
            if tag not in self._reserved:
                self._reserved.add(tag)
                return tag[6:]
        raise InvalidPayload(f"Group {path}{group} has more private blocks than there are numbers.")


def _attribute(element: etree._Element, tag: str, path: str) -> Attribute:
    """As DICOM JSON; of a sequence with the elements of its items under `Item`."""
    vr = (_names(element).get("vr") or vr_of(tag) or "UN").upper()
    attribute: Attribute = {"vr": vr}
    children = list(element)
    if not children:
        return attribute
    kinds = {_local(name) for name in {str(child.tag) for child in children}}
    where = f"Attribute {path}{tag}"
    _check(len(kinds) == 1, f"{where} has contents of several kinds")
    kind = kinds.pop()
    match kind:
        case "Item":
            _check(vr == "SQ", f"{where} has items and is not SQ")
            attribute["Item"] = _numbered(children, where)
            attribute["Value"] = [{} for _ in attribute["Item"]]
        case "Value" | "PersonName":
            _check((vr == "PN") == (kind == "PersonName"), f"{where} has contents that its VR does not allow")
            read = _read_person_name if kind == "PersonName" else _READERS.get(vr, _read_text)
            attribute["Value"] = [read(child, where) for child in _numbered(children, where)]
        case "InlineBinary" | "BulkData":
            _check(len(children) == 1, f"{where} has several {kind}")
            attribute |= _binary(children[0], kind, where)
        case _:
            raise InvalidPayload(f"{where} has contents that are none of PS3.19 A.1.")
    return attribute


def _numbered(children: list[etree._Element], where: str) -> list[etree._Element]:
    """In the order of their `number`, which counts from 1 without gaps; as they stand when none has one."""
    numbers = [child.get("number") or child.get("Number") for child in children]
    if not any(numbers):
        return children
    known = [int(number) for number in numbers if number and _INTEGER.fullmatch(number)]
    _check(sorted(known) == list(range(1, len(children) + 1)), f"{where} has values that are not numbered from 1")
    return [child for _, child in sorted(zip(known, children, strict=True), key=lambda numbered: numbered[0])]


def _binary(child: etree._Element, kind: str, where: str) -> Attribute:
    if kind == "InlineBinary":
        return {"InlineBinary": _read_text(child, where) or ""}
    uri = _names(child).get("uri")
    _check(bool(uri), f"{where} has BulkData without a uri")
    return {"BulkDataURI": uri}


def _read_text(element: etree._Element, where: str) -> str | None:
    _check(len(element) == 0, f"{where} has a value with elements in it")
    return element.text or None


def _read_integer(element: etree._Element, where: str) -> int | None:
    text = (_read_text(element, where) or "").strip().removeprefix("+")
    if not text:
        return None
    _check(_INTEGER.fullmatch(text) is not None, f"{where} has a value that is not an integer")
    return int(text)


def _read_float(element: etree._Element, where: str) -> float | str | None:
    text = (_read_text(element, where) or "").strip()
    if not text or text in NON_FINITE:
        return text or None
    _check(_DECIMAL.fullmatch(text) is not None, f"{where} has a value that is not a number")
    return int(text) if _INTEGER.fullmatch(text) else float(text)


def _read_number_or_text(element: etree._Element, where: str) -> float | str | None:
    """A number only if it is written as the text is: the text is what the data set has (F.2.3)."""
    text = _read_text(element, where)
    if text is None or _DECIMAL.fullmatch(text) is None:
        return text
    number = int(text) if _INTEGER.fullmatch(text) else float(text)
    exact = isinstance(number, float) or abs(number) <= 1 << 53  # beyond, readers of JSON lose digits
    return number if exact and str(number) == text else text


def _read_person_name(element: etree._Element, where: str) -> dict[str, str]:
    name: dict[str, str] = {}
    for group in element:
        kind = _local_name(group)
        _check(kind in _GROUPS and kind not in name, f"{where} has a person name with an unknown group")
        values = [""] * len(_COMPONENTS)
        last = 0
        for component in group:
            local = _local_name(component)
            _check(local in _COMPONENTS, f"{where} has a person name with an unknown component")
            position = _COMPONENTS.index(local)
            values[position] = _read_text(component, where) or ""
            last = max(last, position)
        name[kind] = "^".join(values[: last + 1])
    return name


_READERS: Final[Mapping[str, Callable[[etree._Element, str], Any]]] = MappingProxyType(
    {
        **dict.fromkeys(("SL", "SS", "UL", "US"), _read_integer),
        **dict.fromkeys(("FL", "FD"), _read_float),
        **dict.fromkeys(("DS", "IS", "SV", "UV"), _read_number_or_text),
    }
)
