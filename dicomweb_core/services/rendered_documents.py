"""What is written and not drawn, as rendered resources: structured reports and encapsulated documents (PS3.18 Table
8.7.4-1, text), and plots as SVG."""

from __future__ import annotations

import logging
from base64 import b64decode
from collections.abc import Callable, Iterator
from typing import Final, NamedTuple

from dicomweb_core.errors import CannotRender, DICOMwebError
from dicomweb_core.rendering.pillow import has_pillow
from dicomweb_core.rendering.reports.documents import Document
from dicomweb_core.rendering.reports.encapsulated import (
    HEAD_BYTES,
    DocumentForm,
    document_form,
    render_document_html,
    render_document_text,
)
from dicomweb_core.rendering.reports.html import render_report_html
from dicomweb_core.rendering.reports.html_phrases import Link
from dicomweb_core.rendering.reports.pdf import render_report_pdf
from dicomweb_core.rendering.reports.plain_text import render_report_text
from dicomweb_core.rendering.waveform import render_waveform_svg
from dicomweb_core.rules.object_kinds import Kind
from dicomweb_core.services.bulkdata import ENCAPSULATED_DOCUMENT, value_chunks
from dicomweb_core.services.parts import Part
from dicomweb_core.services.picture_cache import PictureKey
from dicomweb_core.services.pixel_forms import OCTETS
from dicomweb_core.services.references import find_instance
from dicomweb_core.services.rendered_instance import RenderedInstance
from dicomweb_core.services.retrieve import served_text
from dicomweb_core.services.sources import spans_reader
from dicomweb_core.services.texts import TextForm
from dicomweb_core.values.attributes import first_value
from dicomweb_core.values.blobs import Span
from dicomweb_core.values.messages import HeaderList
from dicomweb_core.values.renderings import Rendering
from dicomweb_core.values.resources import InstanceRef
from dicomweb_core.values.transfer_syntaxes import transfer_syntax

logger: Final = logging.getLogger("dicomweb_core")

HTML: Final = "text/html"
TEXT: Final = "text/plain"
XML: Final = "text/xml"
SVG: Final = "image/svg+xml"
PDF: Final = "application/pdf"
REPORT_TYPES: Final = (HTML, TEXT, XML, PDF)
"""Media types of a report, the default first; the last where Pillow is."""

_SVG_HEADERS: Final[HeaderList] = (("Content-Security-Policy", "sandbox; default-src 'none'"),)
_DOCUMENT_LENGTH: Final = "00420015"
_LINKS: Final = 10_000
"""Instances that are looked up for one document."""


class DocumentPart(NamedTuple):
    """A document as an item of an answer, and the headers that keep it harmless."""

    part: Part
    headers: HeaderList


def is_written(instance: RenderedInstance, media_type: str) -> bool:
    """Whether `document_part` makes it of the whole instance, not `encoded_picture` of a frame."""
    return instance.kind in (Kind.REPORT, Kind.DOCUMENT) or media_type == SVG


def document_types(instance: RenderedInstance) -> tuple[str, ...]:
    """The media types a report or document can be had in, the default first: a page about it, plain text, the document
    itself, and the data set in XML (PS3.19 A.1)."""
    if instance.kind is Kind.REPORT:
        return REPORT_TYPES if has_pillow() else REPORT_TYPES[:-1]
    own = _form_of(instance).media_type
    itself = () if own == OCTETS else (own,)
    return tuple(dict.fromkeys((HTML, TEXT, *itself, XML)))


def document_part(instance: RenderedInstance, media_type: str, base_url: str) -> DocumentPart:
    """A report or document in one of its `document_types`, or a waveform as SVG. Raises CannotRender, and what reading
    raises."""
    location = f"{base_url}/{instance.stored.ref.path}"
    if media_type == SVG:
        return DocumentPart(Part.of(_plot(instance), SVG, location), _SVG_HEADERS)
    if instance.kind is Kind.DOCUMENT and media_type == _form_of(instance).media_type:
        return _itself(instance, location)
    if media_type == XML:
        _ref, text = next(instance.site.instances.metadata(instance.stored.ref))
        content = TextForm(XML).xml(served_text(text, base_url, instance.stored.ref))
        return DocumentPart(Part.of(content, XML, location), ())
    make = _maker(instance, media_type, base_url)
    document = make()
    return DocumentPart(Part(document.media_type, lambda: make().content, None, location), document.headers)


def _plot(instance: RenderedInstance) -> bytes:
    """From the cache or made now."""
    key = PictureKey(instance.stored.ref, instance.stored.version, 0, SVG, Rendering())

    def make() -> bytes:
        try:
            return render_waveform_svg(instance.attributes, bulk=instance.bulk, limits=instance.site.limits)
        except DICOMwebError:
            raise
        except Exception as error:
            logger.exception("A waveform could not be plotted")
            raise CannotRender("The plot could not be made of what the object says.") from error

    return instance.site.picture_cache.find_or_make(key, make)


def _maker(instance: RenderedInstance, media_type: str, base_url: str) -> Callable[[], Document]:
    attributes = instance.attributes
    limits = instance.site.limits
    if instance.kind is Kind.REPORT:
        if media_type == TEXT:
            return lambda: render_report_text(attributes, limits=limits)
        if media_type == PDF:
            return lambda: render_report_pdf(attributes, font_paths=instance.site.font_paths, limits=limits)
        link = _links(instance, base_url)
        return lambda: render_report_html(attributes, link=link, limits=limits)
    own = _form_of(instance).media_type
    url = f"{base_url}/{instance.stored.ref.path}"
    url += f"/bulkdata/{ENCAPSULATED_DOCUMENT}" if own == OCTETS else f"/rendered?accept={own}"
    if media_type == TEXT:
        return lambda: render_document_text(attributes, url=url)
    return lambda: render_document_html(attributes, url=url)


def _form_of(instance: RenderedInstance) -> DocumentForm:
    stated = str(instance.layout.traits.get("mime", ""))
    return document_form(instance.stored.sop_class_uid, stated, b"".join(_read(instance, HEAD_BYTES)))


def _itself(instance: RenderedInstance, location: str) -> DocumentPart:
    """The bytes of the document, without the byte that pads it to an even length."""
    stored, layout = instance.stored, instance.layout
    form = _form_of(instance)
    value = layout.bulk_value(ENCAPSULATED_DOCUMENT)
    if value is None:
        content = _inline(instance)
        if not content:
            raise CannotRender("The object contains no encapsulated document (0042,0011).")
        return DocumentPart(
            Part.of(content[: _length(instance, len(content))], form.media_type, location), form.headers
        )
    length = _length(instance, value.length)
    ranged = None
    if not transfer_syntax(stored.transfer_syntax_uid).big_endian:
        ranged = spans_reader(instance.site, stored, layout, lambda: (Span(value.offset, length),))
    part = Part(form.media_type, lambda: _read(instance, length), length, location, ranged)
    return DocumentPart(part, form.headers)


def _length(instance: RenderedInstance, there: int) -> int:
    """In bytes: Encapsulated Document Length (0042,0015) where it can be meant."""
    stated = first_value(instance.attributes, _DOCUMENT_LENGTH)
    return there - 1 if stated == there - 1 else there


def _inline(instance: RenderedInstance) -> bytes:
    """A short document, which is in the metadata."""
    text = instance.attributes.get(ENCAPSULATED_DOCUMENT, {}).get("InlineBinary", "")
    return b64decode(text)


def _read(instance: RenderedInstance, length: int) -> Iterator[bytes]:
    """The first bytes of the document."""
    value = instance.layout.bulk_value(ENCAPSULATED_DOCUMENT)
    if value is None:
        yield _inline(instance)[:length]
        return
    for chunk in value_chunks(instance.site, instance.stored, instance.layout, value):
        yield chunk[:length]
        length -= len(chunk)
        if length <= 0:
            return


def _links(instance: RenderedInstance, base_url: str) -> Link:
    """URLs of instances that a report refers to, of the same study: others may be none of the reader's business."""
    study = instance.stored.ref.of_study
    site = instance.site
    found: dict[str, InstanceRef | None] = {}

    def link(_sop_class_uid: str, instance_uid: str, frames: tuple[int, ...]) -> str | None:
        if instance_uid not in found:
            if len(found) >= _LINKS:
                return None
            found[instance_uid] = find_instance(site, study, instance_uid)
        ref = found[instance_uid]
        if ref is None:
            return None
        url = f"{base_url}/{ref.path}"
        return f"{url}/frames/{','.join(map(str, frames))}" if frames else url

    return link
