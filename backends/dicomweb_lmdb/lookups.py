"""From refs to ids and rows, in one transaction (PS3.18 10.1.1)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import lmdb

from dicomweb_core.errors import Gone, NotFound
from dicomweb_core.values.queries import Level
from dicomweb_core.values.resources import InstanceRef, Ref, SeriesRef, StudyRef
from dicomweb_lmdb.environment import View
from dicomweb_lmdb.keys import deleted_key, member_of, pack_id, pack_member, pack_pair, pair_of, uid_key
from dicomweb_lmdb.rows import FileRow, InstanceRow, SeriesRow, StudyRow


class Place(NamedTuple):
    """Ids of something stored, None below its level."""

    study: int
    series: int | None = None
    instance: int | None = None


def study_id(view: View, uid: str) -> int | None:
    """The id of a study."""
    found = view.txn.get(uid_key(Level.STUDY, uid), db=view.tables.terms)
    return member_of(found) if found is not None else None


def series_id(view: View, study: int, uid: str) -> int | None:
    """The id of a series of a study; the same UID may be in other studies too."""
    with view.txn.cursor(view.tables.terms) as same_uid, view.txn.cursor(view.tables.series_of_study) as of_study:
        if not same_uid.set_key(uid_key(Level.SERIES, uid)):
            return None
        for member in same_uid.iternext_dup():
            if of_study.set_key_dup(pack_id(study), member):
                return member_of(member)
    return None


def place_of_instance(view: View, uid: str) -> tuple[int, int, int] | None:
    """Ids of study, series and instance of a SOP Instance UID, wherever it is."""
    found = view.txn.get(uid_key(Level.INSTANCE, uid), db=view.tables.terms)
    if found is None:
        return None
    instance = member_of(found)
    arrived = view.txn.get(pack_id(instance), db=view.tables.arrivals)
    assert arrived is not None
    return (*pair_of(arrived), instance)


def find(view: View, ref: Ref) -> Place:
    """Raises NotFound, Gone."""
    study = study_id(view, ref.study)
    if study is not None:
        if isinstance(ref, StudyRef):
            return Place(study)
        if isinstance(ref, SeriesRef):
            series = series_id(view, study, ref.series)
            if series is not None:
                return Place(study, series)
        else:
            place = place_of_instance(view, ref.instance)
            if place is not None and place[0] == study and series_has_uid(view, place[1], ref.series):
                return Place(*place)
    if view.txn.get(deleted_key(ref), db=view.tables.deleted) is not None:
        raise Gone("It was deleted.")
    raise NotFound("It is not stored here.")


def find_instance(view: View, ref: InstanceRef) -> tuple[int, int]:
    """Ids of series and instance. Raises NotFound, Gone."""
    place = find(view, ref)
    assert place.series is not None
    assert place.instance is not None
    return place.series, place.instance


def series_has_uid(view: View, series: int, uid: str) -> bool:
    """Whether the series with this id has this UID."""
    with view.txn.cursor(view.tables.terms) as cursor:
        return cursor.set_key_dup(uid_key(Level.SERIES, uid), pack_member(series))


def members(view: View, table: lmdb._Database, owner: int, first: int = 0) -> Iterator[int]:
    """The ids below an id, ascending, from one on."""
    with view.txn.cursor(table) as cursor:
        if cursor.set_range_dup(pack_id(owner), pack_member(first)):
            for member in cursor.iternext_dup():
                yield member_of(member)


def study_row(view: View, study: int) -> StudyRow | None:
    """None when it was deleted meanwhile."""
    packed = view.txn.get(pack_id(study), db=view.tables.studies)
    return StudyRow.unpack(packed) if packed is not None else None


def series_row(view: View, series: int) -> SeriesRow | None:
    """None when it was deleted meanwhile."""
    packed = view.txn.get(pack_id(series), db=view.tables.series)
    return SeriesRow.unpack(packed) if packed is not None else None


def instance_row(view: View, series: int, instance: int) -> InstanceRow | None:
    """None when it was deleted meanwhile."""
    packed = view.txn.get(pack_pair(series, instance), db=view.tables.instances)
    return InstanceRow.unpack(packed) if packed is not None else None


def file_row(view: View, series: int, instance: int) -> FileRow | None:
    """None when it was deleted meanwhile."""
    packed = view.txn.get(pack_pair(series, instance), db=view.tables.files)
    return FileRow.unpack(packed) if packed is not None else None
