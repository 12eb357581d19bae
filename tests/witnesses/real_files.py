"""Every DICOM file that installed packages ship: real input without the internet."""

from __future__ import annotations

import importlib.util
from functools import lru_cache
from pathlib import Path


@lru_cache
def real_files() -> tuple[Path, ...]:
    """All files of pydicom, pydicom-data and pynetdicom that begin like Part 10 files, without duplicates."""
    roots = []
    for package, folder in [("pydicom", "data"), ("pynetdicom", "tests/dicom_files"), ("data_store", "data")]:
        spec = importlib.util.find_spec(package)
        if spec is not None and spec.submodule_search_locations:
            roots += [Path(place) / folder for place in spec.submodule_search_locations]
    found: dict[bytes, Path] = {}
    for root in roots:
        for path in sorted(root.rglob("*")):
            if path.is_file() and path.suffix not in (".py", ".pyc"):
                with path.open("rb") as file:
                    head = file.read(132)
                    if head[128:] == b"DICM":
                        found.setdefault(head + file.read(), path)
    return tuple(found.values())


def name_of(path: Path) -> str:
    """The file's name, as tests and tables call it."""
    return path.name
