"""In which transfer syntaxes the pixel data of an instance can be sent: as stored, and made anew without loss."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from dicomweb_core.codecs.pixels.decoding import missing_decoder, native_image
from dicomweb_core.codecs.pixels.encoding import encodable_in, missing_encoder
from dicomweb_core.errors import InvalidFrame, MissingCodec, NotAcceptable
from dicomweb_core.rules.negotiation import Accept, Offer, choose
from dicomweb_core.values.blobs import InstanceLayout
from dicomweb_core.values.limits import Limits
from dicomweb_core.values.pixels import ImagePixel
from dicomweb_core.values.transfer_syntaxes import EXPLICIT_VR_LITTLE_ENDIAN, TRANSFER_SYNTAXES, transfer_syntax

OCTETS: Final = "application/octet-stream"

LOSSLESS: Final = tuple(s.uid for s in TRANSFER_SYNTAXES.values() if s.encapsulated and s.lossy is False)
"""The transfer syntaxes of codestreams that nothing is lost in."""


@dataclass(frozen=True, slots=True)
class MadeForms:
    """What can be made of the frames of an instance."""

    native: ImagePixel | None = None
    """How they lie without compression; None if nothing can be made of them."""
    syntaxes: tuple[str, ...] = ()
    """UIDs of transfer syntaxes, Explicit VR Little Endian first if that is not the stored form; the stored form is
    not among them."""
    lacking: tuple[tuple[str, str], ...] = ()
    """UIDs that a codec is missing for, each with the sentence that says which."""


NOTHING: Final = MadeForms()


def made_forms(stored_uid: str, layout: InstanceLayout, limits: Limits) -> MadeForms:
    """What can be made of these frames here. Frames of more than `Limits.frame_bytes` are sent as they are stored."""
    frames = layout.frames
    image = image_of(layout)
    if frames is None or image is None:
        return NOTHING
    return _made_forms(stored_uid, image, frames.encapsulated, limits.frame_bytes)


def image_of(layout: InstanceLayout) -> ImagePixel | None:
    """What the data set says about its frames; None if it is not enough to read or write any."""
    frames = layout.frames
    if frames is None:
        return None
    try:
        image = ImagePixel.of(layout.traits, frames.element)
    except InvalidFrame:
        return None
    # Some pixel data are not subsampled though they say so: then nobody knows what they are.
    return image if frames.encapsulated or frames.frame_bits == image.frame_bits else None


@lru_cache(maxsize=1_024)
def _made_forms(stored_uid: str, image: ImagePixel, encapsulated: bool, frame_bytes: int) -> MadeForms:
    native = image
    if encapsulated:
        if transfer_syntax(stored_uid).video:
            return NOTHING
        missing = missing_decoder(stored_uid)
        if missing is not None:
            return MadeForms(lacking=tuple((uid, missing) for uid in (EXPLICIT_VR_LITTLE_ENDIAN, *LOSSLESS)))
        try:
            native = native_image(image, stored_uid)
        except InvalidFrame:
            return NOTHING
    if native.frame_bytes > frame_bytes:
        return NOTHING
    encodable = () if native.floating else tuple(uid for uid in encodable_in(native) if uid != stored_uid)
    lacking = tuple((uid, sentence) for uid in LOSSLESS if (sentence := missing_encoder(uid)) is not None)
    return MadeForms(native, (EXPLICIT_VR_LITTLE_ENDIAN, *encodable) if encapsulated else encodable, lacking)


@lru_cache(maxsize=1_024)
def stored_offers(stored_uid: str, *, encapsulated: bool, single: bool) -> tuple[Offer, ...]:
    """The forms in which pixel data can be sent without being made anew (PS3.18 8.7.3.3). `single` says whether they
    would be a single part."""
    forms = (True, False) if single else (True,)
    if not encapsulated:
        uid = EXPLICIT_VR_LITTLE_ENDIAN
        return tuple(Offer(OCTETS, multipart=form, transfer_syntax=uid, default=True, stored=True) for form in forms)
    media_type = transfer_syntax(stored_uid).media_type
    offers = []
    for form in forms:
        if media_type != OCTETS:
            offers.append(Offer(media_type, multipart=form, transfer_syntax=stored_uid, default=True, stored=True))
        # Clients ask for octets with transfer-syntax=* and mean: as it is stored.
        offers.append(Offer(OCTETS, multipart=form, transfer_syntax=stored_uid, stored=True))
    return tuple(offers)


@lru_cache(maxsize=1_024)
def pixel_offers(
    stored_uid: str, made: tuple[str, ...], *, encapsulated: bool, single: bool, single_native: bool
) -> tuple[Offer, ...]:
    """The stored form, then those that can be `made`, each under its media type (PS3.18 Table 8.7.3-5). `single` says
    whether codestreams would be a single part, `single_native` whether native frames would be."""
    offers = list(
        stored_offers(stored_uid, encapsulated=encapsulated, single=single if encapsulated else single_native)
    )
    for uid in made:
        alone = single_native if uid == EXPLICIT_VR_LITTLE_ENDIAN else single
        for multipart in (True, False) if alone else (True,):
            offers.append(Offer(transfer_syntax(uid).media_type, multipart=multipart, transfer_syntax=uid))
    return tuple(offers)


def prefers_stored(accept: Accept, offers: Sequence[Offer]) -> Offer | None:
    """The stored form, where it is clear without looking further that it is preferred to all that could be made."""
    if accept.parameter or any(accepted.q != 1000 for accepted in accept.header):
        return None
    try:
        return choose(accept, offers)
    except NotAcceptable:
        return None


def choose_form(accept: Accept, offers: Sequence[Offer], forms: MadeForms) -> Offer:
    """`choose`; where a form was meant that a missing codec would give, MissingCodec says which."""
    try:
        return choose(accept, offers)
    except NotAcceptable as error:
        item = offers[0].item if offers else OCTETS
        sentences = _missing(accept, forms, dicom=item == "application/dicom")
        if not sentences:
            raise
        raise MissingCodec(f"{error.detail} {' '.join(sentences)}", available=error.available) from None


def _missing(accept: Accept, forms: MadeForms, *, dicom: bool) -> list[str]:
    sentences: dict[str, None] = {}
    for uid, sentence in forms.lacking:
        item = "application/dicom" if dicom else transfer_syntax(uid).media_type
        offers = [Offer(item, multipart=multipart, transfer_syntax=uid) for multipart in (True, False)]
        try:
            choose(accept, offers)
        except NotAcceptable:
            continue
        sentences[sentence] = None
    return list(sentences)
