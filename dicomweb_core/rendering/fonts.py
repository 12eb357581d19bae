"""Lines of text in the fonts that are there, whatever their script.

Pillow's own font has Latin letters only. For other scripts the usual folders of the system are searched for well-known
fonts, behind the files and folders that a site names (`font_paths`). A line may be set in several fonts. Letters that
no font has are shown as a replacement; `has_glyphs` says so before. Arabic, Hebrew and Indic letters are joined and
ordered only where Pillow has Raqm, as its wheels do.
"""

from __future__ import annotations

import math
import os
import sys
import unicodedata
from collections.abc import Iterable, Iterator
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np

from dicomweb_core.rendering import pillow
from dicomweb_core.rendering.inks import Coverage

if TYPE_CHECKING:
    from PIL.ImageFont import FreeTypeFont

KNOWN_FONTS: Final = (
    "dejavusans.ttf",
    "notosans-regular.ttf",
    "notosanscjk-regular.ttc",
    "notosanscjkjp-regular.otf",
    "notosansjp-regular.otf",
    "notosanskr-regular.otf",
    "notosanssc-regular.otf",
    "notosanstc-regular.otf",
    "sourcehansans-regular.ttc",
    "hiragino sans gb.ttc",
    "applesdgothicneo.ttc",
    "pingfang.ttc",
    "arial unicode.ttf",
    "yugothr.ttc",
    "msgothic.ttc",
    "malgun.ttf",
    "msyh.ttc",
    "segoeui.ttf",
    "ipaexg.ttf",
    "ipagp.ttf",
    "ipag.ttf",
    "takaopgothic.ttf",
    "vl-pgothic-regular.ttf",
    "nanumgothic.ttf",
    "un-dotum.ttf",
    "wqy-microhei.ttc",
    "wqy-zenhei.ttc",
    "droidsansfallbackfull.ttf",
    "droidsansfallback.ttf",
    "freesans.ttf",
    "notosansarabic-regular.ttf",
    "notosanshebrew-regular.ttf",
    "notosansdevanagari-regular.ttf",
    "notosansthai-regular.ttf",
    "garuda.ttf",
    "unifont.ttf",
    "unifont.otf",
)
"""File names in lower case, the best first."""

REPLACEMENT: Final = "?"
"""Stands for a letter that no font has. Never its number: nobody reads that."""

_ENTRIES: Final = 50_000
"""Of folders: what is looked at in one search."""
_FONTS: Final = 24
_SUFFIXES: Final = (".ttf", ".otf", ".ttc", ".otc")
_LETTERS: Final = 1_024
"""Of one line."""
_WIDEST: Final = 16_384
_JOINERS: Final = "\u200c\u200d"
_ASCENT: Final = 1.05
_DESCENT: Final = 0.3
"""In em, of letters with marks above and below."""
_SMALL: Final = 24
"""Up to this em strokes are thinner than a pixel: they are strengthened."""
_PROBE: Final = 24
_MISSING: Final = "\U0010fffd"


class SetLine(NamedTuple):
    """A line of text, set: two coverages of the same shape."""

    letters: Coverage
    outlined: Coverage
    """Letters and the outline around them."""


class Script(NamedTuple):
    """Fonts to set text in, the preferred first. The empty path is Pillow's own."""

    paths: tuple[str, ...]

    def has_glyphs(self, text: str) -> bool:
        """Whether there is a glyph for every letter."""
        return all(_font_of(self.paths, letter) is not None for letter in shown(text))

    def suiting(self, texts: Iterable[str]) -> Script:
        """The same fonts, in front the one that has the most letters of these texts: they look alike then."""
        letters = set().union(*texts)
        missing = {path: sum(not _has_glyph(path, letter) for letter in letters) for path in self.paths}
        best = min(self.paths, key=missing.__getitem__)
        return Script((best, *(path for path in self.paths if path != best)))

    def width(self, text: str, size: int) -> int:
        """In pixels, without the outline."""
        return math.ceil(sum(_loaded(path, size).getlength(run) for path, run in _runs(self.paths, shown(text))))

    def clipped(self, text: str, size: int, widest: int) -> str:
        """The text, or as much of it as fits into `widest` pixels with an ellipsis behind; empty when nothing does."""
        text = shown(text)
        if self.width(text, size) <= widest:
            return text
        fits, too_many = 0, len(text)
        while too_many - fits > 1:
            middle = (fits + too_many) // 2
            if self.width(text[:middle].rstrip() + "...", size) <= widest:
                fits = middle
            else:
                too_many = middle
        return text[:fits].rstrip() + "..." if fits else ""

    def line(self, text: str, size: int, outline: int = 0) -> SetLine:
        """The text in one line; `size` is the em, `outline` the width of the outline, both in pixels.

        The height depends on the size only, not on the text (`line_height`).
        """
        runs = _runs(self.paths, shown(text))
        width = min(self.width(text, size), _WIDEST) + 2 * outline + 2
        height = line_height(size, outline)
        strokes = (0, outline) if outline else (0,)
        images = [pillow.Image.new("L", (width, height), 0) for _ in strokes]
        left, baseline = float(outline + 1), outline + math.ceil(size * _ASCENT)
        for path, run in runs:
            if left >= width:
                break
            font = _loaded(path, size)
            for image, stroke in zip(images, strokes, strict=True):
                draw = pillow.ImageDraw.Draw(image)
                draw.text((left, baseline), run, fill=255, font=font, anchor="ls", stroke_width=stroke)
            left += font.getlength(run)
        letters, outlined = np.asarray(images[0]), np.asarray(images[-1])
        if size <= _SMALL:
            letters = np.minimum(letters.astype(np.uint16) * 3 // 2, 255).astype(np.uint8)
        # Hinting moves letters, but not their outlines.
        return SetLine(letters, np.maximum(letters, outlined))


def line_height(size: int, outline: int = 0) -> int:
    """Rows of a line set in this size."""
    return math.ceil(size * (_ASCENT + _DESCENT)) + 2 * outline


def script(font_paths: tuple[str, ...] = ()) -> Script:
    """The fonts there are: Pillow's own, those in `font_paths` (files, or folders), those of the system.

    Searched once for each `font_paths`; the answer is kept.
    """
    return Script(_paths(font_paths))


def shown(text: str) -> str:
    """The text as one line: no control and no format characters, which could turn its order, and not too long."""
    kept = (
        " " if letter.isspace() else letter
        for letter in text[: 4 * _LETTERS]
        if letter.isspace() or letter in _JOINERS or unicodedata.category(letter) not in ("Cc", "Cf", "Cs", "Co", "Cn")
    )
    return "".join(islice(kept, _LETTERS))


@lru_cache(maxsize=8)
def _paths(font_paths: tuple[str, ...]) -> tuple[str, ...]:
    own = [path for place in font_paths for path in _fonts_at(Path(place))]
    rank = {name: order for order, name in enumerate(KNOWN_FONTS)}
    found: dict[str, Path] = {}
    for path in islice((path for folder in _folders() for path in _files(folder)), _ENTRIES):
        if path.name.lower() in rank:
            found.setdefault(path.name.lower(), path)
    system = [str(found[name]) for name in sorted(found, key=rank.__getitem__)]
    usable = [path for path in dict.fromkeys(own + system) if _opens(path)]
    return ("", *usable[:_FONTS])


def _fonts_at(place: Path) -> list[str]:
    if not place.is_dir():
        return [str(place)]
    return sorted(str(path) for path in islice(_files(place), _ENTRIES) if path.suffix.lower() in _SUFFIXES)


def _files(folder: Path) -> Iterator[Path]:
    for place, _folders, names in os.walk(folder):
        for name in names:
            yield Path(place) / name


def _folders() -> list[Path]:
    home = Path(os.path.expanduser("~"))
    if sys.platform == "win32":
        return [Path(os.environ.get("WINDIR", r"C:\Windows")) / "Fonts"]
    if sys.platform == "darwin":
        return [home / "Library/Fonts", Path("/Library/Fonts"), Path("/System/Library/Fonts")]
    return [home / ".local/share/fonts", home / ".fonts", Path("/usr/local/share/fonts"), Path("/usr/share/fonts")]


def _opens(path: str) -> bool:
    try:
        _loaded(path, _PROBE)
    except (OSError, ValueError):
        return False
    return True


@lru_cache(maxsize=256)
def _loaded(path: str, size: int) -> FreeTypeFont:
    if path:
        return pillow.ImageFont.truetype(path, size)
    own: Any = pillow.ImageFont.load_default(size)
    return own  # type: ignore[no-any-return]  # a FreeTypeFont whenever a size is given


@lru_cache(maxsize=16_384)
def _has_glyph(path: str, letter: str) -> bool:
    """Whether it is drawn otherwise than a letter that no font has."""
    if letter.isspace() or letter in _JOINERS or unicodedata.combining(letter):
        return True
    font = _loaded(path, _PROBE)
    drawn, missing = (font.getmask(text, mode="L") for text in (letter, _MISSING))
    return drawn.getbbox() is not None and (drawn.size != missing.size or bytes(drawn) != bytes(missing))


@lru_cache(maxsize=16_384)
def _font_of(paths: tuple[str, ...], letter: str) -> str | None:
    return next((path for path in paths if _has_glyph(path, letter)), None)


def _runs(paths: tuple[str, ...], text: str) -> list[tuple[str, str]]:
    """(font, text) from left to right. One font for all of it where one has all of it: letters look alike and join."""
    for path in paths:
        if all(_has_glyph(path, letter) for letter in text):
            return [(path, text)] if text else []
    runs: list[tuple[str, str]] = []
    for letter in text:
        font = _font_of(paths, letter)
        path, letter = ("", REPLACEMENT) if font is None else (font, letter)
        neutral = letter.isspace() or letter in _JOINERS or bool(unicodedata.combining(letter))
        if runs and (runs[-1][0] == path or neutral):
            runs[-1] = (runs[-1][0], runs[-1][1] + letter)
        else:
            runs.append((path, letter))
    return runs
