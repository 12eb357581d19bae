"""Which of the two transactions of the URI Service a request is (PS3.18 9.3, 9.1.2.2.1)."""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum
from typing import Final, NamedTuple

from dicomweb_core.errors import NotAcceptable
from dicomweb_core.rules.negotiation import ANY, DICOM_ONLY, Accept, MediaRange

DICOM: Final = "application/dicom"
_ANY_APPLICATION: Final = "application/*"


class Form(Enum):
    """What is asked for: an instance as it is (9.4), or rendered (9.5)."""

    DICOM = "DICOM"
    RENDERED = "rendered"


class Preference(NamedTuple):
    """An element of a list with qualities."""

    value: str
    """A media type without parameters, or a character set, in lower case."""
    q: float = 1.0


def form_of(content_types: Sequence[Preference], accept: Accept) -> Form:
    """What a request with this `contentType` is about; without `contentType` what it accepts says it, and whoever
    accepts anything gets what is rendered (9.3).

    Parameters of accepted media types do not count here (9.1.3). Raises NotAcceptable when `contentType` is
    application/dicom and that is not accepted.
    """
    ranges = [accepted for accepted in accept.parameter or accept.header if not accepted.multipart]
    if any(preference.value == DICOM and preference.q for preference in content_types):
        if not _quality_of_dicom(ranges):
            raise NotAcceptable("contentType is application/dicom, and it is not accepted.", available=(DICOM,))
        return Form.DICOM
    if content_types:
        return Form.RENDERED
    named = any(accepted.item in (DICOM, _ANY_APPLICATION) for accepted in ranges)
    rendered = max((accepted.q for accepted in ranges if _may_be_rendered(accepted)), default=0)
    quality = _quality_of_dicom(ranges)
    return Form.DICOM if named and quality and quality >= rendered else Form.RENDERED


def _quality_of_dicom(ranges: Sequence[MediaRange]) -> int:
    """Of the most specific range (RFC 9110 12.5.1), in thousandths."""
    for item in (DICOM, _ANY_APPLICATION, ANY):
        qualities = [accepted.q for accepted in ranges if accepted.item == item]
        if qualities:
            return max(qualities)
    return 0


def _may_be_rendered(accepted: MediaRange) -> bool:
    return accepted.item not in DICOM_ONLY and accepted.item != _ANY_APPLICATION
