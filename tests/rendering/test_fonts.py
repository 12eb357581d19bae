"""Fonts of a site, and lines set in them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from dicomweb_core.rendering.fonts import Script, line_height, script, shown


def test_pillows_own_font_has_latin_letters_wherever_we_are() -> None:
    own = Script(("",))
    assert own.has_glyphs("Doe, Jane 1970-01-31 (X/17)")
    assert not own.has_glyphs("山")
    assert own.line("Doe", 20).letters.max() == 255


def test_fonts_of_the_site_come_before_those_of_the_system(tmp_path: Path) -> None:
    system = [path for path in script().paths if path.endswith(".ttf")]
    if not system:
        pytest.skip("no font here to copy")
    copy = tmp_path / "folder" / "Site.ttf"
    copy.parent.mkdir()
    copy.write_bytes(Path(system[0]).read_bytes())
    assert script((str(copy),)).paths[:2] == ("", str(copy))
    assert script((str(tmp_path),)).paths[:2] == ("", str(copy))


def test_what_is_no_font_is_left_out(tmp_path: Path) -> None:
    (tmp_path / "broken.ttf").write_bytes(b"\0\1\0\0 no font")
    assert script((str(tmp_path), str(tmp_path / "absent.otf"))).paths == script().paths


def test_a_line_may_be_set_in_several_fonts() -> None:
    letters = script()
    if not letters.has_glyphs("山ق"):
        pytest.skip("no fonts here for both")
    assert letters.width("山ق", 20) == pytest.approx(letters.width("山", 20) + letters.width("ق", 20), abs=1)


def test_no_controls_no_format_characters_one_line() -> None:
    assert shown("a\x00b\u202ec\nd\te\u200df") == "abc d e\u200df"
    assert len(shown("x" * 100_000)) == 1_024


@pytest.mark.parametrize("size", [9, 20, 100])
@pytest.mark.parametrize("outline", [0, 2])
def test_letters_lie_within_their_outline_and_the_line(size: int, outline: int) -> None:
    line = script().line("Ågjy|", size, outline)
    assert line.letters.shape == line.outlined.shape
    assert line.letters.shape[0] == line_height(size, outline)
    assert (line.outlined >= line.letters).all()
    assert not np.concatenate([line.letters[0], line.letters[-1], line.letters[:, 0], line.letters[:, -1]]).any()
