"""Data sets as texts in the character set that was asked for (PS3.18 8.8.5)."""

from __future__ import annotations

from typing import NamedTuple

from dicomweb_core.codecs.dicom_xml import to_xml
from dicomweb_core.codecs.json_numbers import with_number_texts
from dicomweb_core.codecs.text_charsets import ascii_json, can_write, with_character_set, xml_in
from dicomweb_core.errors import NotAcceptable
from dicomweb_core.rules.charsets import Selected, selected_charset
from dicomweb_core.rules.negotiation import Accept, Offer


class TextForm(NamedTuple):
    """How data sets are written in an answer."""

    item: str
    selected: Selected | None = None
    """None is UTF-8."""

    @classmethod
    def of(cls, accept: Accept, offer: Offer) -> TextForm:
        """What the client wants of this form."""
        return cls(offer.item, selected_charset(accept, offer))

    @property
    def media_type(self) -> str:
        """Content-Type of a text, or of each part."""
        return self.item if self.selected is None else f"{self.item}; charset={self.selected.charset.name}"

    def json(self, text: bytes, *, decided: bool = False) -> bytes:
        """A data set in DICOM JSON: characters beyond ASCII escaped, unless it is UTF-8 as it is stored.

        What the character set lacks raises NotAcceptable where the client takes no other, and the status is not yet
        `decided`; else it is escaped, and (0008,0005) goes on to say Unicode.
        """
        return text if self.selected is None else ascii_json(self._fitting(text, decided=decided))

    def xml(self, text: bytes, *, decided: bool = False) -> bytes:
        """The same in XML, from DICOM JSON; it is encoded, and escapes are character references."""
        if self.selected is None:
            return to_xml(with_number_texts(text))
        document = to_xml(with_number_texts(self._fitting(text, decided=decided)))
        return xml_in(document, self.selected.charset.name, self.selected.charset.codec)

    def _fitting(self, text: bytes, *, decided: bool) -> bytes:
        assert self.selected is not None
        charset, alone = self.selected
        if can_write(text, charset.codec):
            return with_character_set(text, charset.terms)
        if alone and not decided:
            raise NotAcceptable(
                f"The text has characters that {charset.name} cannot represent (PS3.18 8.8.5).",
                available=(f"{self.item}; charset=UTF-8",),
            )
        return text
