"""DICOM files of folders into a store: found in sorted order, stored in groups, summed up."""

from __future__ import annotations

import importlib.util
import os
import stat
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Final, Protocol

from dicomweb_core import FailedItem, StoreReport

_FILES_A_CALL: Final = 100
_HEAD_BYTES: Final = 2_048
_DICOMDIR_META: Final = b"\x02\x00\x02\x00UI\x14\x001.2.840.10008.1.3.10"
"""Media Storage SOP Class UID of a DICOMDIR (PS3.10 8): an index of files, not an instance."""


class Storing(Protocol):
    """The part of an origin server that is needed here."""

    def store(self, sources: Iterable[str]) -> StoreReport:
        """Stores Part 10 files; one bad one does not stop the others."""


@dataclass(slots=True)
class ImportReport:
    """What became of the files. `skipped` are no DICOM files, `already_stored` are among the `accepted`."""

    accepted: int = 0
    already_stored: int = 0
    skipped: int = 0
    refused: list[FailedItem] = field(default_factory=list)

    def lines(self, *, most_refusals: int | None = None) -> Iterator[str]:
        """For a person: the refused files with the reason, all or the first so many, then a sum."""
        for item in self.refused[:most_refusals]:
            yield f"refused {item.source}: {item.detail} ({item.reason:04X})"
        if most_refusals and len(self.refused) > most_refusals:
            yield f"... and {len(self.refused) - most_refusals} more refused, which dicomweb import names"
        yield (
            f"{self.accepted - self.already_stored} stored, {self.already_stored} already there, "
            f"{len(self.refused)} refused, {self.skipped} skipped (not DICOM)"
        )


def import_files(server: Storing, paths: Sequence[str]) -> ImportReport:
    """Stores every DICOM file at or below the paths. Shows progress on a terminal.

    A path that does not exist raises FileNotFoundError before anything is stored; StorageUnavailable as the store.
    """
    for path in paths:
        os.stat(path)
    report = ImportReport()
    files = _dicom_files(_progress(files_below(paths)), report)
    while group := list(islice(files, _FILES_A_CALL)):
        stored = server.store(group)
        report.accepted += len(stored.stored)
        report.already_stored += sum(item.already_stored for item in stored.stored)
        report.refused += stored.failed
    return report


def files_below(paths: Iterable[str]) -> Iterator[str]:
    """Regular files at or below the paths, each folder's in order of name. Links are followed, no folder twice."""
    seen: set[tuple[int, int]] = set()
    pending = list(paths)[::-1]
    while pending:
        path = pending.pop()
        try:
            status = os.stat(path)
        except OSError:
            yield path  # a dangling link or a race: whoever opens it says why it cannot be read
            continue
        if stat.S_ISREG(status.st_mode):
            yield path
        elif stat.S_ISDIR(status.st_mode) and (status.st_dev, status.st_ino) not in seen:
            seen.add((status.st_dev, status.st_ino))
            try:
                names = sorted(os.listdir(path), reverse=True)
            except OSError:
                yield path
                continue
            pending += [os.path.join(path, name) for name in names]


def sample_folder() -> str | None:
    """The folder of real DICOM files that pydicom brings along for its tests; None if it is not there."""
    # Only looked for: pydicom is the core's to import.
    spec = importlib.util.find_spec("pydicom")
    for location in (spec.submodule_search_locations if spec else None) or ():
        folder = Path(location, "data", "test_files")
        if folder.is_dir():
            return str(folder)
    return None


def _dicom_files(paths: Iterable[str], report: ImportReport) -> Iterator[str]:
    for path in paths:
        try:
            with open(path, "rb") as file:
                head = file.read(_HEAD_BYTES)
        except OSError:
            yield path  # counted as refused, with the reason
            continue
        if head[128:132] == b"DICM" and _DICOMDIR_META not in head:
            yield path
        else:
            report.skipped += 1


def _progress(paths: Iterator[str]) -> Iterable[str]:
    if not sys.stderr.isatty():
        return paths
    try:
        from tqdm import tqdm
    except ImportError:
        return paths
    bar: Iterable[str] = tqdm(paths, unit=" files", desc="Importing", file=sys.stderr, dynamic_ncols=True)
    return bar
