"""A contact sheet: every DICOM file below some folders as `/rendered` shows it, on one PNG.

    python benchmarks/contact_sheet.py sheet.png [folder ...]

Without folders: the files that pydicom, pydicom-data and pynetdicom install. Below each picture is the name of its
file. What cannot be rendered has its thumbnail and a red frame; objects without anything to see are counted, not shown,
after the first of their SOP class.
"""

from __future__ import annotations

import importlib.util
import io
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from PIL import Image, ImageDraw

from dicomweb_core import OriginServer, Request
from dicomweb_memory import MemoryInstanceStore

CELL = 192
CAPTION = 14
COLUMNS = 10
REFUSED = (200, 30, 30)


class Cell(NamedTuple):
    """A picture with its frame and name."""

    image: Image.Image
    sop_class: str
    refused: bool


def files(folders: Iterable[str]) -> Iterator[Path]:
    """What begins like Part 10, by name."""
    for folder in folders:
        for path in sorted(Path(folder).rglob("*")):
            if path.is_file() and path.open("rb").read(132)[128:] == b"DICM":
                yield path


def installed() -> list[str]:
    """Folders of the packages that ship files for tests."""
    found = [importlib.util.find_spec(name) for name in ("pydicom", "data_store", "pynetdicom")]
    places = [Path(place) for spec in found if spec for place in spec.submodule_search_locations or ()]
    return [str(place / folder) for place in places for folder in ("data", "tests/dicom_files")]


def answer(server: OriginServer, url: str, query: str = "") -> tuple[int, bytes]:
    """Status and payload."""
    response = server.handle(Request("GET", url, query, (("Accept", "image/png"),), io.BytesIO(), ""))
    return response.status, response.body.read()


def cells(path: Path) -> Iterator[Cell]:
    """One for each instance in a file."""
    server = OriginServer(instances=MemoryInstanceStore())
    server.store([path])
    side = CELL - 6
    for found in server.search_instances():
        url = "/" + str(found["00081190"]["Value"][0]).lstrip("/")
        image = Image.new("RGB", (CELL, CELL + CAPTION), (24, 24, 48))
        status, content = answer(server, url + "/rendered", f"viewport={side},{side}")
        if status != 200:
            image.paste(REFUSED, (0, 0, CELL, CELL))
            _status, content = answer(server, url + "/thumbnail", f"viewport={side},{side}")
        shown = Image.open(io.BytesIO(content)).convert("RGB")
        image.paste(shown, ((CELL - shown.width) // 2, (CELL - shown.height) // 2))
        ImageDraw.Draw(image).text((2, CELL + 1), path.name[:32], fill=(255, 255, 255))
        yield Cell(image, str(found["00080016"]["Value"][0]), status != 200)


def main(target: str, folders: list[str]) -> None:
    """Writes the sheet."""
    shown: list[Image.Image] = []
    left_out: Counter[str] = Counter()
    for path in files(folders or installed()):
        for cell in cells(path):
            if not cell.refused or not left_out[cell.sop_class]:
                shown.append(cell.image)
            left_out[cell.sop_class] += cell.refused
    rows = -(-len(shown) // COLUMNS)
    height = CELL + CAPTION
    sheet = Image.new("RGB", (COLUMNS * CELL, max(1, rows) * height))
    for place, image in enumerate(shown):
        sheet.paste(image, (place % COLUMNS * CELL, place // COLUMNS * height))
    sheet.save(target)
    print(f"{len(shown)} objects on {target}")
    for sop_class, count in left_out.items():
        if count:
            print(f"{count} of SOP class {sop_class} cannot be rendered")


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
