"""Structured reports as PDF (PS3.18 Table 8.7.4-1): what the plain text says, to be seen and to be searched."""

from __future__ import annotations

import re
import shutil
import subprocess
import zlib
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from dicomweb_core.codecs.part10_reader import BytesSource, read_part10
from dicomweb_core.errors import CannotRender
from dicomweb_core.rendering.pdf import HEIGHT, WIDTH
from dicomweb_core.rendering.reports.pdf import render_report_pdf
from dicomweb_core.values.attributes import Attributes
from dicomweb_core.values.limits import Limits
from tests.rendering.report_objects import report, text_item
from tests.rendering.test_reports import REAL_REPORTS, text_of, words_of
from tests.witnesses.real_files import name_of

OBJECT = re.compile(rb"(\d+) 0 obj\n(.*?)\nendobj\n", re.DOTALL)


class Read:
    """A file read by its cross-reference table."""

    def __init__(self, content: bytes) -> None:
        start = int(content.rpartition(b"startxref\n")[2].partition(b"\n")[0])
        count = int(content[start:].split(maxsplit=3)[2])
        rows = content[start:].split(b"\n")[3 : count + 2]
        self.objects = {}
        for number, row in enumerate(rows, 1):
            found = OBJECT.match(content, int(row[:10]))
            assert found is not None
            assert int(found[1]) == number
            self.objects[number] = found[2]
        self.pages = [self.objects[number] for number in self._named(self.objects[2], b"Kids")]
        self.catalog = self.objects[1]

    def _named(self, content: bytes, name: bytes) -> list[int]:
        found = re.search(rb"/" + name + rb" \[?((?:\d+ 0 R ?)+)", content)
        assert found is not None
        return [int(number) for number in re.findall(rb"(\d+) 0 R", found[1])]

    def stream(self, number: int) -> bytes:
        """What is in a stream; its length is as stated."""
        head, data = self.objects[number].split(b"\nstream\n", 1)
        data = data.removesuffix(b"\nendstream")
        assert b"/Length %d " % len(data) in head
        return zlib.decompress(data)

    def text(self, page: bytes) -> str:
        """Lines of text as a viewer finds them."""
        fonts = {}
        for name, number in re.findall(rb"/F(\d+) (\d+) 0 R", page):
            (meaning,) = self._named(self.objects[int(number)], b"ToUnicode")
            pairs = re.findall(rb"<([0-9A-F]{2})> <([0-9A-F]{4,8})>", self.stream(meaning))
            fonts[name] = {code: bytes.fromhex(units.decode()).decode("utf-16-be") for code, units in pairs}
        lines = []
        for line in self.stream(self._named(page, b"Contents")[0]).split(b"Tz\n")[1:]:
            runs = re.findall(rb"/F(\d+) [\d.]+ Tf <([0-9A-F]*)> Tj", line)
            lines.append("".join(fonts[name][code] for name, run in runs for code in re.findall(rb"..", run)))
        return "\n".join(lines)

    def picture(self, page: bytes) -> NDArray[np.uint8]:
        """What is to be seen."""
        return np.frombuffer(self.stream(self._named(page, b"Picture")[0]), np.uint8).reshape(HEIGHT, WIDTH)


def pdf_of(attributes: Attributes) -> bytes:
    return b"".join(render_report_pdf(attributes).content)


@pytest.mark.parametrize("path", REAL_REPORTS, ids=name_of)
def test_a_real_report_says_what_its_plain_text_says_REN_06(path: Path) -> None:
    attributes = read_part10(BytesSource(path.read_bytes()), Limits()).attributes
    read = Read(pdf_of(attributes))
    text = "".join(read.text(page).rpartition(f"{number} / ")[0] for number, page in enumerate(read.pages, 1))
    plain = re.sub(r"^(=+|-{78})$", "", text_of(attributes), flags=re.MULTILINE)
    assert words_of(text) == words_of(plain)
    for page in read.pages:
        assert 0.005 < (read.picture(page) < 128).mean() < 0.2


ARABIC = "محمد علي"
SCRIPTS = f"Größe 42 µm², Παπαδόπουλος, 山田^太郎, {ARABIC}, 홍길동, 𝑥"


def test_every_script_is_there_to_be_searched() -> None:
    read = Read(pdf_of(report(text_item("Finding", SCRIPTS), title=SCRIPTS)))
    assert SCRIPTS.replace(ARABIC, ARABIC[::-1]) in read.text(read.pages[0])  # as it is seen
    title = re.search(rb"/Title <FEFF([0-9A-F]+)>", b"".join(read.objects.values()))
    assert title is not None
    assert bytes.fromhex(title[1].decode()).decode("utf-16-be") == SCRIPTS


@pytest.mark.parametrize(
    "text", ["x" * 2_000, "word " * 400, "山" * 700, "\n".join(map(str, range(150))), "\n" + " " * 300 + "x"]
)
def test_what_is_long_is_on_more_lines_and_pages(text: str) -> None:
    read = Read(pdf_of(report(text_item("Finding", text))))
    found = "".join(read.text(page).rpartition(f"{number} / ")[0] for number, page in enumerate(read.pages, 1))
    assert re.sub(r"\s", "", text) in re.sub(r"\s", "", found)
    for page in read.pages:
        picture = read.picture(page)
        assert (picture[:, :150] == 255).all()
        assert (picture[:, -150:] == 255).all()


def test_hostile_texts_are_text_A27() -> None:
    hostile = ") Tj ET /JS (app.alert(1)) <</S/JavaScript>> endstream endobj %%EOF <script>"
    content = pdf_of(report(text_item(hostile[:64], hostile), title=hostile))
    assert content.startswith(b"%PDF-")
    assert content.count(b"%%EOF") == 1
    for word in (b"JavaScript", b"/JS", b"/OpenAction", b"/URI", b"script>"):
        assert word not in content
    read = Read(content)
    assert hostile in words_of(read.text(read.pages[0]))


def test_more_pages_than_there_may_be_are_refused_A28() -> None:
    long = report(*(text_item("Finding", "x") for _ in range(200)))
    assert len(Read(pdf_of(long)).pages) == 5
    assert b"".join(render_report_pdf(long, limits=Limits(report_pages=5)).content)
    with pytest.raises(CannotRender, match="report_pages"):
        render_report_pdf(long, limits=Limits(report_pages=4))
    with pytest.raises(CannotRender):
        render_report_pdf({})


@pytest.mark.skipif(shutil.which("pdftotext") is None, reason="poppler is not installed")
def test_poppler_reads_the_same(tmp_path: Path) -> None:
    file = tmp_path / "report.pdf"
    file.write_bytes(pdf_of(report(text_item("Finding", "Größe 山田 4.2 mm"))))
    found = subprocess.run(["pdftotext", file, "-"], check=True, capture_output=True, timeout=60)
    assert not found.stderr
    assert "Finding: Größe 山田 4.2 mm" in words_of(found.stdout.decode())
