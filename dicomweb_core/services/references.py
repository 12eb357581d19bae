"""Instances that an object refers to by their SOP Instance UID alone."""

from __future__ import annotations

from dicomweb_core.rules.query_parser import parse_query
from dicomweb_core.services.site import Site
from dicomweb_core.values.queries import Level
from dicomweb_core.values.resources import InstanceRef, StudyRef
from dicomweb_core.values.uids import is_uid


def find_instance(site: Site, study: StudyRef, instance_uid: str) -> InstanceRef | None:
    """The instance of this study with the UID, or None. Of other studies it finds none: they may be none of the
    reader's business."""
    if not is_uid(instance_uid):
        return None
    query = parse_query(Level.INSTANCE, study, f"SOPInstanceUID={instance_uid}", site.limits)
    rows = (candidate.instance for candidate in site.instances.candidates(query))
    return next((row.ref for row in rows if row is not None and row.ref.instance == instance_uid), None)
