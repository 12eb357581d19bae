"""A contact sheet: every DICOM file below some folders as `/rendered` shows it, on one PNG.

    python benchmarks/contact_sheet.py sheet.png [folder ...]

Without folders: the files that pydicom and pydicom-data install. What cannot be rendered has its thumbnail and a red
frame. Rows of the sheet are printed with the names in them.
"""

from __future__ import annotations

import importlib.util
import io
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from PIL import Image

from dicomweb_core import OriginServer, Request
from dicomweb_memory import MemoryInstanceStore

CELL = 160
COLUMNS = 12


def files(folders: Iterable[str]) -> Iterator[Path]:
    """What begins like Part 10, by name."""
    for folder in folders:
        for path in sorted(Path(folder).rglob("*")):
            if path.is_file() and path.open("rb").read(132)[128:] == b"DICM":
                yield path


def installed() -> list[str]:
    """Folders of the packages that ship files for tests."""
    found = [importlib.util.find_spec(name) for name in ("pydicom", "data_store")]
    places = [Path(place) for spec in found if spec for place in spec.submodule_search_locations or ()]
    return [str(place / "data") for place in places]


def answer(server: OriginServer, url: str, query: str = "") -> tuple[int, bytes]:
    """Status and payload."""
    response = server.handle(Request("GET", url, query, (("Accept", "image/png"),), io.BytesIO(), ""))
    return response.status, response.body.read()


def pictures(path: Path) -> Iterator[Image.Image]:
    """A cell for each instance in a file."""
    server = OriginServer(instances=MemoryInstanceStore())
    server.store([path])
    for found in server.search_instances():
        url = "/" + str(found["00081190"]["Value"][0]).lstrip("/")
        cell = Image.new("RGB", (CELL, CELL), (24, 24, 48))
        status, content = answer(server, url + "/rendered", f"viewport={CELL - 6},{CELL - 6}")
        if status != 200:
            cell.paste((200, 30, 30), (0, 0, CELL, CELL))
            _status, content = answer(server, url + "/thumbnail", f"viewport={CELL - 6},{CELL - 6}")
        shown = Image.open(io.BytesIO(content)).convert("RGB")
        cell.paste(shown, ((CELL - shown.width) // 2, (CELL - shown.height) // 2))
        yield cell


def main(target: str, folders: list[str]) -> None:
    """Writes the sheet."""
    cells = [(path.name, cell) for path in files(folders or installed()) for cell in pictures(path)]
    rows = -(-len(cells) // COLUMNS)
    sheet = Image.new("RGB", (COLUMNS * CELL, max(1, rows) * CELL))
    for place, (_name, cell) in enumerate(cells):
        sheet.paste(cell, (place % COLUMNS * CELL, place // COLUMNS * CELL))
    sheet.save(target)
    for row in range(rows):
        print(f"{row + 1:3}: " + ", ".join(name for name, _ in cells[row * COLUMNS :][:COLUMNS]))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
