"""Encapsulated documents (PS3.3 A.45): how they are sent, and a page that says what they are.

The document itself is the sender's: it is never rewritten. What it is called follows from the SOP Class and from how
its bytes begin; MIME Type of Encapsulated Document (0042,0012) is asked only when the SOP Class says nothing.

A PDF may contain JavaScript. Viewers run it apart from the page and its origin, so a PDF is sent `inline`; sites that
do not want that send it as attachment.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Final, NamedTuple

from dicomweb_core.errors import CannotRender
from dicomweb_core.rendering.reports.documents import Document, utf8_chunks
from dicomweb_core.rendering.reports.heading import Group, Line, heading
from dicomweb_core.rendering.reports.html import page
from dicomweb_core.rendering.reports.html_phrases import escaped
from dicomweb_core.rendering.reports.html_style import HTML_HEADERS
from dicomweb_core.rendering.reports.phrases import Words, coded_entries
from dicomweb_core.rendering.reports.plain_text import text_document
from dicomweb_core.rendering.reports.wording import line, text
from dicomweb_core.values.attributes import Attributes

HEAD_BYTES: Final = 1024
"""How much of a document `document_form` looks at."""

_SANDBOX: Final = "sandbox; default-src 'none'"
_ENCAPSULATED_DOCUMENT: Final = "00420011"


class DocumentForm(NamedTuple):
    """The headers of a document that is sent as it is."""

    media_type: str
    disposition: str
    """Content-Disposition, with a file name that says nothing of the patient."""
    csp: str
    """Content-Security-Policy; empty for PDF: the viewers of browsers are pages themselves, which one may break."""

    @property
    def headers(self) -> tuple[tuple[str, str], ...]:
        """All but Content-Type."""
        policy = (("Content-Security-Policy", self.csp),) if self.csp else ()
        return (("Content-Disposition", self.disposition), ("X-Content-Type-Options", "nosniff"), *policy)


def _is_pdf(head: bytes) -> bool:
    return head.startswith(b"%PDF-")


def _is_xml(head: bytes) -> bool:
    """Of any encoding that a byte order mark or the first `<` gives away (XML 1.0 F)."""
    for mark, encoding in ((b"\xff\xfe", "utf-16-le"), (b"\xfe\xff", "utf-16-be"), (b"\xef\xbb\xbf", "utf-8")):
        if head.startswith(mark):
            return head[len(mark) :].decode(encoding, "replace").lstrip().startswith("<")
    return head.lstrip().startswith(b"<")


def _is_stl(head: bytes) -> bool:
    """Binary STL has no magic: 80 free bytes and a count."""
    return head.startswith(b"solid") or (len(head) >= 84 and not _is_markup(head))


def _is_text(head: bytes) -> bool:
    return b"\0" not in head and not _is_markup(head)


def _is_markup(head: bytes) -> bool:
    return _is_xml(head) or head.startswith((b"%PDF-", b"%!PS", b"PK\x03\x04", b"MZ"))


class _Kind(NamedTuple):
    media_type: str
    file_name: str
    is_one: Callable[[bytes], bool]
    is_inline: bool = False


_PDF: Final = _Kind("application/pdf", "document.pdf", _is_pdf, is_inline=True)
_CDA: Final = _Kind("text/xml", "document.xml", _is_xml)
_STL: Final = _Kind("model/stl", "model.stl", _is_stl)
_OBJ: Final = _Kind("model/obj", "model.obj", _is_text)
_MTL: Final = _Kind("model/mtl", "material.mtl", _is_text)

_BY_CLASS: Final = {
    "1.2.840.10008.5.1.4.1.1.104.1": _PDF,
    "1.2.840.10008.5.1.4.1.1.104.2": _CDA,
    "1.2.840.10008.5.1.4.1.1.104.3": _STL,
    "1.2.840.10008.5.1.4.1.1.104.4": _OBJ,
    "1.2.840.10008.5.1.4.1.1.104.5": _MTL,
}
"""The storage classes of PS3.4 B.5 for encapsulated documents."""

_BY_MIME: Final = {
    "application/pdf": _PDF,
    "text/xml": _CDA,
    "application/xml": _CDA,
    "model/stl": _STL,
    "application/sla": _STL,
    "model/obj": _OBJ,
    "model/mtl": _MTL,
}
"""What other classes may state."""

_UNKNOWN: Final = DocumentForm("application/octet-stream", 'attachment; filename="document.bin"', _SANDBOX)
_ESSENCE: Final = re.compile(r"\s*([a-z]+/[a-z0-9.+-]+)\s*(?:;.*)?", re.DOTALL)


def document_form(sop_class_uid: str, stated_mime: str, head: bytes) -> DocumentForm:
    """How the document that begins with `head` (`HEAD_BYTES`, fewer if it is shorter) is sent.

    What does not begin as its kind must is `application/octet-stream`, an attachment.
    """
    kind = _BY_CLASS.get(sop_class_uid)
    if kind is None:
        essence = _ESSENCE.fullmatch(stated_mime.lower()) if len(stated_mime) <= 256 else None
        kind = _BY_MIME.get(essence[1]) if essence else None
    if kind is None or not kind.is_one(head):
        return _UNKNOWN
    if kind.is_inline:
        return DocumentForm(kind.media_type, f'inline; filename="{kind.file_name}"', "")
    return DocumentForm(kind.media_type, f'attachment; filename="{kind.file_name}"', _SANDBOX)


def is_encapsulated(attributes: Attributes) -> bool:
    """Whether the object contains a document."""
    return _ENCAPSULATED_DOCUMENT in attributes


def render_document_html(attributes: Attributes, *, url: str) -> Document:
    """A page about an encapsulated document, with a link to it at `url`. Of the document itself nothing is in it.

    Raises CannotRender when the object contains no document.
    """
    title, groups = _described(attributes)
    body: Iterator[str] = iter((f'<p><a href="{escaped(url)}">Open the document</a></p>',))
    pieces = page(title, groups, body, lambda *instance: None)
    return Document(utf8_chunks(pieces), "text/html; charset=utf-8", HTML_HEADERS)


def render_document_text(attributes: Attributes, *, url: str) -> Document:
    """The same as plain text. Raises CannotRender when the object contains no document."""
    title, groups = _described(attributes)
    return text_document(title, groups, iter((f"The document: {line(url)}\n",)))


_CONTENT: Final = (
    ("Title", "00420010"),
    ("Media type", "00420012"),
    ("Bytes", "00420015"),
    ("Burned in annotation", "00280301"),
)


def _described(attributes: Attributes) -> tuple[str, list[Group]]:
    if not is_encapsulated(attributes):
        raise CannotRender("The object contains no encapsulated document (0042,0011).")
    names = coded_entries(attributes, "0040A043")
    content: list[Line] = [(label, [Words(value)]) for label, tag in _CONTENT if (value := line(text(attributes, tag)))]
    groups = [*heading(attributes), Group("Content", content)]
    return names[0].readable if names else "Document", [group for group in groups if group.lines]
