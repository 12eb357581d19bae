"""In which transfer syntaxes an instance can be sent, which one it is sent in, and its bytes then (PS3.18 8.7.3.4)."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from typing import Final, NamedTuple

from dicomweb_core.codecs.transcoded_part10 import LONGEST_VALUE, transcoded_part10
from dicomweb_core.errors import NotAcceptable, Superseded
from dicomweb_core.rules.negotiation import Accept, MediaRange, Offer, choose
from dicomweb_core.services.parts import Chunks, Part, read_blob
from dicomweb_core.services.pixel_forms import LOSSLESS, NOTHING, OCTETS, MadeForms, choose_form, made_forms
from dicomweb_core.services.site import Site
from dicomweb_core.services.sources import open_source
from dicomweb_core.services.transcoding import Transcoding
from dicomweb_core.storage.instances import StoredInstance
from dicomweb_core.values.attributes import PIXEL_DATA
from dicomweb_core.values.blobs import InstanceLayout
from dicomweb_core.values.transfer_syntaxes import (
    DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN,
    EXPLICIT_VR_BIG_ENDIAN,
    EXPLICIT_VR_LITTLE_ENDIAN,
    IMPLICIT_VR_LITTLE_ENDIAN,
    TRANSFER_SYNTAXES,
    transfer_syntax,
)

DICOM: Final = "application/dicom"

_CONVERTED: Final = (EXPLICIT_VR_LITTLE_ENDIAN, DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN)
"""What a data set without codestreams can always be written in."""
_RETIRED: Final = frozenset({IMPLICIT_VR_LITTLE_ENDIAN, EXPLICIT_VR_BIG_ENDIAN})
_OF_IMAGES: Final = tuple(uid for uid, syntax in TRANSFER_SYNTAXES.items() if syntax.encapsulated)


class InstanceForms(NamedTuple):
    """What can be made of a stored instance. `made` are UIDs; the stored one is not among them."""

    stored_uid: str
    made: tuple[str, ...]
    image: bool = True
    """Whether there are pixel data, so that transfer syntaxes of images mean something."""
    frames: MadeForms = NOTHING


def instance_forms(site: Site, stored_uid: str, layout: InstanceLayout) -> InstanceForms:
    """The forms of one instance."""
    syntax = transfer_syntax(stored_uid)
    frames = layout.frames
    if not any(value.path in PIXEL_DATA for value in layout.bulk):
        # What has no pixel data is encoded like any other data set, also in a transfer syntax of images.
        return InstanceForms(stored_uid, _CONVERTED if syntax.known else (), image=False)
    converted = () if syntax.encapsulated else _CONVERTED
    if frames is None or _says_otherwise(layout) or any(v.encapsulated and "/" in v.path for v in layout.bulk):
        return InstanceForms(stored_uid, converted)
    forms = made_forms(stored_uid, layout, site.limits)
    made = forms.syntaxes
    if syntax.encapsulated and forms.native is not None:
        if forms.native.frame_bits * frames.count > LONGEST_VALUE * 8:
            made = tuple(uid for uid in made if uid != EXPLICIT_VR_LITTLE_ENDIAN)
        else:
            made = (*_CONVERTED, *(uid for uid in made if uid != EXPLICIT_VR_LITTLE_ENDIAN))
    return InstanceForms(stored_uid, converted + made, frames=forms)


def _says_otherwise(layout: InstanceLayout) -> bool:
    """Whether Number of Frames (0028,0008) is not how many there are: a copy would have to repeat that."""
    stated = str(layout.traits.get("number_of_frames", "")).strip(" \0")
    return layout.frames is not None and stated.isdecimal() and int(stated) != layout.frames.count


@lru_cache(maxsize=256)
def instance_offers(
    stored_uid: str, made: tuple[str, ...], *, single: bool, send_stored: bool, image: bool = True
) -> tuple[Offer, ...]:
    """The offers of an instance. What it means not to name a transfer syntax is Explicit VR Little Endian, but for
    pixel data that are lossy or cannot be had so: then it is the stored one (8.7.3.4 note 2)."""
    syntax = transfer_syntax(stored_uid)
    stored_by_default = EXPLICIT_VR_LITTLE_ENDIAN not in made or (
        image and syntax.encapsulated and syntax.lossy is not False
    )
    offers: list[Offer] = []
    for multipart in (True, False) if single else (True,):
        if send_stored:
            default = stored_by_default or stored_uid == EXPLICIT_VR_LITTLE_ENDIAN
            offers.append(Offer(DICOM, multipart, stored_uid, default=default, stored=True))
        for uid in made:
            default = uid == EXPLICIT_VR_LITTLE_ENDIAN and not (stored_by_default and send_stored)
            if uid != stored_uid:
                offers.append(Offer(DICOM, multipart, uid, default=default, stored=default and not send_stored))
    offers.append(Offer(OCTETS, multipart=True, transfer_syntax=EXPLICIT_VR_LITTLE_ENDIAN))
    return tuple(offers)


class ChosenForms:
    """Chooses the form of each instance of an answer, one decision for all that are alike."""

    def __init__(self, site: Site, accept: Accept, *, single: bool) -> None:
        """`single`: the target is one instance, which may be a single part, and gets no other form than is named."""
        self._site = site
        self._accept = accept
        self._single = single
        self._by_syntax: dict[str, Offer | None] = {}
        self._by_forms: dict[InstanceForms, Offer | NotAcceptable] = {}

    def form_of(self, row: StoredInstance) -> Offer:
        """Raises NotAcceptable. Whether the frames can really be made in it is seen when they are."""
        uid = row.transfer_syntax_uid
        if uid not in self._by_syntax:
            self._by_syntax[uid] = self._by_syntax_alone(uid)
        found = self._by_syntax[uid]
        if found is not None:
            return found
        layout = row.layout if row.packed_layout else self._site.instances.get(row.ref).layout
        return self._of(instance_forms(self._site, uid, layout))

    def proven_form_of(self, row: StoredInstance) -> tuple[Offer, int]:
        """The same, and bytes of the first frame if it had to be made: it is in the cache then. If it cannot be made,
        the form in which it is stored, where that is acceptable. Raises NotAcceptable."""
        offer = self.form_of(row)
        if not makes_frames(row, offer):
            return offer, 0
        try:
            stored = self._site.instances.get(row.ref)
            if stored.layout.frames is None:
                return offer, 0
            first = Transcoding(self._site, stored, stored.layout, frames_syntax(offer)).frame(0)
        except NotAcceptable as error:
            try:
                return self._of(InstanceForms(row.transfer_syntax_uid, ())), 0
            except NotAcceptable:
                raise error from None
        return offer, len(first.data)

    def _by_syntax_alone(self, uid: str) -> Offer | None:
        """The form if it is the same for whatever is stored in this transfer syntax; None if one has to look."""
        sure = (uid,) if transfer_syntax(uid).encapsulated else (uid, *_CONVERTED)
        possible = (*_CONVERTED, *LOSSLESS)
        try:
            offer = choose(self._accept, self._offers(InstanceForms(uid, possible)))
        except NotAcceptable:
            return None
        return offer if offer.item == OCTETS or offer.transfer_syntax in sure else None

    def _of(self, forms: InstanceForms) -> Offer:
        found = self._by_forms.get(forms)
        if found is None:
            try:
                found = choose_form(self._accept, self._offers(forms), forms.frames)
            except NotAcceptable as error:
                found = error if forms.image or self._single else self._of_no_image(forms, error)
            self._by_forms[forms] = found
        if isinstance(found, NotAcceptable):
            raise found
        return found

    def _of_no_image(self, forms: InstanceForms, error: NotAcceptable) -> Offer | NotAcceptable:
        """What has no pixel data goes beside images in Explicit VR Little Endian, when only their transfer syntaxes
        are accepted (8.7.8.1: each part for itself)."""
        try:
            offer = choose(self._accept, [Offer(DICOM, True, uid) for uid in _OF_IMAGES])
        except NotAcceptable:
            return error
        return replace(offer, transfer_syntax=EXPLICIT_VR_LITTLE_ENDIAN)

    def _offers(self, forms: InstanceForms) -> tuple[Offer, ...]:
        uid = forms.stored_uid
        send_stored = self._site.send_retired_syntaxes or uid not in _RETIRED
        return instance_offers(uid, forms.made, single=self._single, send_stored=send_stored, image=forms.image)


def makes_frames(row: StoredInstance, offer: Offer) -> bool:
    """Whether the frames of an image are made anew for this form."""
    return (
        offer.item == DICOM
        and offer.transfer_syntax != row.transfer_syntax_uid
        and (
            transfer_syntax(row.transfer_syntax_uid).encapsulated
            or transfer_syntax(offer.transfer_syntax or "").encapsulated
        )
    )


def frames_syntax(offer: Offer) -> str:
    """The transfer syntax of the frames in a data set of this form."""
    uid = offer.transfer_syntax or EXPLICIT_VR_LITTLE_ENDIAN
    return uid if transfer_syntax(uid).encapsulated else EXPLICIT_VR_LITTLE_ENDIAN


def instance_part(site: Site, row: StoredInstance, offer: Offer, base_url: str) -> Part:
    """One instance in the chosen form. As stored its length is known, otherwise it is not."""
    location = f"{base_url}/{row.ref.path}"
    media_type = f"{DICOM}; transfer-syntax={offer.transfer_syntax}"
    if offer.transfer_syntax == row.transfer_syntax_uid:
        open_blob = lambda: site.instances.open(row)  # noqa: E731
        chunk_bytes = site.limits.chunk_bytes
        return Part(
            media_type,
            lambda: read_blob(open_blob, chunk_bytes),
            row.size,
            location,
            ranged=lambda offset, length: read_blob(open_blob, chunk_bytes, offset, length),
        )
    return Part(media_type, lambda: made_instance(site, row, offer), None, location)


def made_instance(site: Site, row: StoredInstance, offer: Offer) -> Chunks:
    """The Part 10 file in a form it is not stored in, its first frame made before the first chunk.

    Raises NotFound, Gone, Superseded, CorruptBlob, InvalidFrame, MissingCodec.
    """
    stored = site.instances.get(row.ref)
    if stored.version != row.version:
        raise Superseded("The instance was replaced while it was being retrieved.")
    layout = stored.layout
    pixels = None
    if layout.frames is not None and makes_frames(row, offer):
        pixels = Transcoding(site, stored, layout, frames_syntax(offer)).all_frames()
    with open_source(site, stored, layout) as source:
        yield from transcoded_part10(
            source,
            layout.dataset_offset,
            transfer_syntax_uid=stored.transfer_syntax_uid,
            target_uid=offer.transfer_syntax or EXPLICIT_VR_LITTLE_ENDIAN,
            limits=site.limits,
            pixels=pixels,
        )


def instance_in(site: Site, stored: StoredInstance, transfer_syntax_uid: str) -> Part:
    """One instance in just this transfer syntax. Raises NotAcceptable, MissingCodec."""
    accept = Accept((MediaRange(DICOM, transfer_syntax=transfer_syntax_uid),))
    return instance_part(site, stored, ChosenForms(site, accept, single=True).form_of(stored), "")
