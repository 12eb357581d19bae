"""Who may import whom: the table of the architecture, compared with the imports that are there."""

from __future__ import annotations

import ast
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

from tests.cases import case

ROOT = Path(__file__).parents[2]

CORE_RINGS = {
    "errors": set(),
    "values": {"errors", "values"},
    "codecs": {"errors", "values", "codecs"},
    "rules": {"errors", "values", "codecs.dictionary", "rules"},
    "rendering": {"errors", "values", "codecs.dictionary", "codecs.pixels", "rendering"},
    "storage": {"errors", "values", "storage"},
    "services": {"errors", "values", "codecs", "rules", "rendering", "storage", "services"},
    "http_status": {"errors"},
    "status_report": {"errors", "values", "http_status"},
    "server": {"errors", "values", "codecs", "rules", "storage", "services", "status_report"},
    "testing": {"errors", "values", "codecs", "rules", "storage", "services", "testing", "server"},
}
"""Ring of the core -> what of the core it may import."""

OUTSIDE = ("dicomweb_memory", "dicomweb_lmdb", "dicomweb_wsgi", "dicomweb_worklist")

BACKEND = {
    "errors",
    "values",
    "storage",
    "rules.matching",
    "rules.summaries",
    "rules.index_terms",
    "rules.workitem_terms",
}
ADAPTER = {"errors", "values", "status_report", "storage", "rules.store_report"}

FOREIGN = {
    "pydicom": {"dicomweb_core/codecs/dictionary.py"},
    "imagecodecs": {"dicomweb_core/codecs/pixels/", "dicomweb_core/rendering/"},
    "PIL": {"dicomweb_core/codecs/pixels/", "dicomweb_core/rendering/"},
    "lxml": {"dicomweb_core/codecs/dicom_xml.py"},
    "zstandard": {"dicomweb_core/codecs/content_codings.py"},
    "isal": {
        "dicomweb_core/codecs/content_codings.py",
        "dicomweb_core/codecs/pixels/",
        "dicomweb_core/rendering/png.py",
        "backends/",
    },
    "werkzeug": {"adapters/"},
    "websockets": {"adapters/"},
    "gunicorn": {"adapters/"},
    "waitress": {"adapters/"},
    "tqdm": {"adapters/"},
    "lmdb": {"backends/dicomweb_lmdb/"},
}
"""Library -> the only places that may import it."""


def modules(folder: str) -> list[Path]:
    return sorted((ROOT / folder).rglob("*.py"))


@cache
def imports(path: Path) -> list[str]:
    """Full names of imported modules; `from a import b` counts as a.b when a.b is a module of ours."""
    found = []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"relative import in {path}"
            assert node.module is not None
            for alias in node.names:
                name = f"{node.module}.{alias.name}"
                is_module = (ROOT / (name.replace(".", "/") + ".py")).exists()
                found.append(name if is_module else node.module)
    return found


def allowed(name: str, permitted: set[str]) -> bool:
    inner = name.removeprefix("dicomweb_core").lstrip(".")
    return any(inner == place or inner.startswith(place + ".") for place in permitted)


def test_rings_point_inwards() -> None:
    for path in modules("dicomweb_core"):
        with case(path.relative_to(ROOT)):
            check_ring(path)


def check_ring(path: Path) -> None:
    ring = path.relative_to(ROOT / "dicomweb_core").parts[0].removesuffix(".py")
    if ring == "__init__":
        return
    for name in imports(path):
        if name.split(".")[0] == "dicomweb_core":
            assert allowed(name, CORE_RINGS[ring]), f"{path.name} imports {name}"
        assert (
            not name.startswith(("dicomweb_memory", "dicomweb_lmdb", "dicomweb_wsgi", "dicomweb_worklist"))
            or ring == "testing"
        )


@pytest.mark.parametrize(("folder", "permitted"), [("backends", BACKEND), ("adapters", ADAPTER)])
def test_backends_and_adapters_know_little_of_the_core(folder: str, permitted: set[str]) -> None:
    for path in modules(folder):
        for name in imports(path):
            if name == "dicomweb_core":
                continue  # the public names
            if name.startswith("dicomweb_core"):
                assert allowed(name, permitted), f"{path.name} imports {name}"


def test_the_client_knows_no_server_but_in_one_module() -> None:
    ours = {"dicomweb_core", *OUTSIDE} - {"dicomweb_worklist"}
    for path in modules("adapters/dicomweb_worklist"):
        found = {name for name in imports(path) if name.split(".")[0] in ours}
        assert found == ({"dicomweb_core"} if path.name == "origin_transport.py" else set()), path.name


def test_the_client_needs_nothing_but_python() -> None:
    program = (
        "import sys, dicomweb_worklist as client\n"
        "client.WorklistClient.at('http://127.0.0.1:8042/dicom-web', aetitle='ME').events()\n"
        "others = {name.partition('.')[0] for name in sys.modules} - sys.stdlib_module_names\n"
        "assert others <= {'__main__', 'dicomweb_worklist', 'sitecustomize'}, others"
    )
    command = [sys.executable, "-S", "-c", program]
    subprocess.run(command, check=True, env={"PYTHONPATH": str(ROOT / "adapters")})


@pytest.mark.parametrize("library", sorted(FOREIGN))
def test_foreign_libraries_stay_in_their_place(library: str) -> None:
    for path in [*modules("dicomweb_core"), *modules("adapters"), *modules("backends")]:
        place = path.relative_to(ROOT).as_posix()
        for name in imports(path):
            if name.split(".")[0] == library:
                assert any(place.startswith(allowed_place) for allowed_place in FOREIGN[library]), place


def test_the_core_loads_neither_werkzeug_nor_lmdb_nor_the_codecs_of_pydicom() -> None:
    program = (
        "import sys, dicomweb_core, dicomweb_memory\n"
        "assert not {'werkzeug', 'lmdb', 'gunicorn', 'waitress', 'websockets', 'pydicom'} & set(sys.modules)"
    )
    path = f"{ROOT}:{ROOT / 'backends'}"
    subprocess.run([sys.executable, "-c", program], check=True, env={"PYTHONPATH": path})


def test_rooms_stay_small() -> None:
    for path in [*modules("dicomweb_core"), *modules("adapters"), *modules("backends")]:
        with case(path.relative_to(ROOT)):
            check_size(path)


def check_size(path: Path) -> None:
    text = path.read_text()
    assert text.count("\n") <= 450, f"{path.name} has {text.count(chr(10))} lines: a noun is missing"
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef):
            lines = (node.end_lineno or 0) - node.lineno + 1
            assert lines <= 75, f"{path.name}: {node.name} has {lines} lines"
