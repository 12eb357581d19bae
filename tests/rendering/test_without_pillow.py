"""The extra `pixels` is optional: what needs Pillow says so, everything else works."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]

PROGRAM = """
import sys
sys.modules["PIL"] = None
import numpy as np
from dicomweb_core.errors import MissingCodec
from dicomweb_core.rendering.color import render_color
from dicomweb_core.rendering.geometry import place
from dicomweb_core.values.limits import Limits
from dicomweb_core.values.pixels import ImagePixel, NativeFrame
from dicomweb_core.values.renderings import ColorSpace, Rendering, Viewport

frame = NativeFrame(bytes(12), ImagePixel(2, 2, 3, 8, 8, photometric="YBR_FULL"))
for space in (None, ColorSpace.NO, ColorSpace.YES, ColorSpace.SRGB):
    picture = render_color(frame, {}, None, Rendering(color_space=space))
    assert picture.samples.shape == (2, 2, 3)
assert place(picture, Rendering(viewport=Viewport(1, 1, 0, 0, 1, 1)), Limits()).rows == 1
for refused in (
    lambda: render_color(frame, {}, None, Rendering(color_space=ColorSpace.ADOBE_RGB)),
    lambda: place(picture, Rendering(viewport=Viewport(5, 5)), Limits()),
):
    try:
        refused()
    except MissingCodec as error:
        assert "Pillow" in error.detail
    else:
        raise AssertionError("not refused")
"""


def test_color_is_rendered_but_neither_scaled_nor_converted() -> None:
    subprocess.run([sys.executable, "-c", PROGRAM], check=True, env={"PYTHONPATH": str(ROOT)})
