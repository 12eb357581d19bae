"""Instances as one ZIP archive, an extension: `application/zip` (not in PS3.18 8.7).

Without `transfer-syntax` every instance is in the archive as it is stored; with it, as for multipart/related.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Final, NamedTuple

from dicomweb_core.codecs.zip_writer import ZipEntry, write_zip, zip_length
from dicomweb_core.rules.negotiation import ANY, Accept, MediaRange
from dicomweb_core.services.answers import started
from dicomweb_core.services.parts import Part
from dicomweb_core.values.messages import Body, HeaderList, Response
from dicomweb_core.values.resources import InstanceRef, Ref

ZIP: Final = "application/zip"
_DICOM: Final = "application/dicom"
_COVERING: Final = (ZIP, "application/*", ANY)


class ZippedInstance(NamedTuple):
    """An instance and the item it becomes."""

    ref: InstanceRef
    part: Part


def zip_is_chosen(accept: Accept, can_be_sent: Callable[[Accept], bool]) -> bool:
    """Whether the client names `application/zip`, and nothing that it prefers can be sent. `can_be_sent` tells whether
    some instance of the answer has a form that is accepted so. Among equals the archive is preferred."""
    ranges = accept.parameter if any(map(_is_zip, accept.parameter)) else accept.header
    quality = max((accepted.q for accepted in ranges if _is_zip(accepted)), default=0)
    if not quality or not any(accepted.q for accepted in accept.header if accepted.item in _COVERING):
        return False
    better = tuple(accepted for accepted in ranges if accepted.q > quality and not _is_zip(accepted))
    return not can_be_sent(Accept(better)) and can_be_sent(accepted_inside(accept))


def accepted_inside(accept: Accept) -> Accept:
    """What is accepted of the instances in the archive, as if they were parts of multipart/related."""
    return Accept(_inside(accept.parameter) or _inside(accept.header))


def zip_answer(instances: Iterable[ZippedInstance], ref: Ref, *, headers: HeaderList = ()) -> Response:
    """The archive. Its length is said when `instances` is a sequence and each knows its own.

    The beginning of the first instance is read before the status is decided.
    """
    entries: Iterable[ZipEntry] = (_entry(instance) for instance in instances)
    length = None
    if isinstance(instances, Sequence):
        entries = list(entries)
        known = [(entry.name, entry.length) for entry in entries if entry.length is not None]
        if len(known) == len(entries):
            length = zip_length(known)
    # A UID cannot end the quoted string, and means nothing to a file system.
    disposition = ("Content-Disposition", f'attachment; filename="{ref[-1]}.zip"')
    body = Body(started(write_zip(entries)), length=length)
    return Response(200, (("Content-Type", ZIP), disposition, *headers), body)


def entry_name(ref: InstanceRef) -> str:
    """Where an instance is in an archive: nothing but UIDs, so that no text of a patient names a file. The same in
    the archive of a study, a series and an instance."""
    return f"{ref.study}/{ref.series}/{ref.instance}.dcm"


def _entry(instance: ZippedInstance) -> ZipEntry:
    return ZipEntry(entry_name(instance.ref), instance.part.length, instance.part.open)


def _is_zip(accepted: MediaRange) -> bool:
    return accepted.item == ZIP and not accepted.multipart


def _inside(ranges: Sequence[MediaRange]) -> tuple[MediaRange, ...]:
    return tuple(
        replace(accepted, item=_DICOM, multipart=True, transfer_syntax=accepted.transfer_syntax or "*")
        for accepted in ranges
        if _is_zip(accepted)
    )
