"""Every example of the README runs as it is printed."""

from __future__ import annotations

import json
import re
from io import BytesIO
from pathlib import Path
from typing import Any

import pydicom
import pytest

from dicomweb_core import Request
from dicomweb_wsgi.command_line import main
from tests.clients import file_bytes

README = (Path(__file__).parents[2] / "README.md").read_text()
PYTHON = re.findall(r"```python\n(.*?)```", README, flags=re.S)
SHELL = re.findall(r"```sh\n(.*?)```", README, flags=re.S)


def test_there_are_two_commands_to_begin_with() -> None:
    assert [len(block.strip().splitlines()) for block in SHELL[:2]] == [1, 1]
    assert "serve --sample" in SHELL[0]
    assert "pytest" in SHELL[1]


def test_the_library_example_stores_searches_and_reads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "ct.dcm").write_bytes(file_bytes("CT_small.dcm"))
    (tmp_path / "mr.dcm").write_bytes(file_bytes("MR_small.dcm"))
    names: dict[str, object] = {}
    exec(PYTHON[0], names)
    printed = capsys.readouterr().out
    assert printed.startswith("2 stored, []")
    assert "['CT'] 32768 bytes in the first frame" in printed
    assert "['MR'] 8192 bytes in the first frame" in printed
    assert names["part10"] in (file_bytes("CT_small.dcm"), file_bytes("MR_small.dcm"))
    assert len(PYTHON[0].strip().splitlines()) <= 25


def test_the_wsgi_example_is_an_application(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    exec(PYTHON[1], names)
    assert callable(names["app"])


def test_the_example_of_authorize_refuses_and_narrows() -> None:
    names: dict[str, Any] = {}
    exec(PYTHON[2], names)
    server = names["server"]
    for name, ward in (("CT_small.dcm", "WARD-7"), ("MR_small.dcm", "WARD-8")):
        dataset = pydicom.dcmread(BytesIO(file_bytes(name)))
        dataset.IssuerOfPatientID = ward
        buffer = BytesIO()
        dataset.save_as(buffer)
        assert server.store([buffer.getvalue()]).failed == []

    def asked(method: str, path: str, **headers: str) -> tuple[int, bytes]:
        sent = tuple(headers.items())
        response = server.handle(Request(method, path, headers=sent, base_url="http://archive"))
        return response.status, b"".join(response.body)

    assert asked("GET", "/studies")[0] == 401
    everything, ward = (json.loads(asked("GET", "/studies", **{"X-User": user})[1]) for user in ("admin", "ward-7"))
    assert [len(everything), len(ward)] == [2, 1]
    study = f"/studies/{everything[0]['0020000D']['Value'][0]}"
    assert [asked("DELETE", study, **{"X-User": user})[0] for user in ("reader", "admin")] == [403, 204]


def test_the_worklist_example_performs(capsys: pytest.CaptureFixture[str]) -> None:
    exec(PYTHON[3], {})
    states = ("SCHEDULED", "IN PROGRESS", "COMPLETED")
    assert capsys.readouterr().out.splitlines() == [f"{state} ['Liver']" for state in states]


@pytest.mark.parametrize(
    "command",
    ["serve", "import", "verify", "stats", "worklist create", "worklist list", "worklist watch"],
)
def test_every_command_of_the_readme_is_understood(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    lines = [line for block in SHELL for line in block.splitlines() if line.startswith(f"dicomweb {command}")]
    assert lines
    with pytest.raises(SystemExit) as left:
        main([*command.split(), "--help"])
    assert left.value.code == 0
    described = capsys.readouterr().out
    for option in re.findall(r"--[a-z-]+", " ".join(lines)):
        assert option in described


def test_every_test_the_architecture_names_is_there() -> None:
    root = Path(__file__).parents[2]
    text = (root / "dicomweb_core" / "ARCHITECTURE.md").read_text()
    named = set(re.findall(r"`((?:tests|dicomweb_core/testing)/[a-z_0-9/]*(?:\.py)?)`", text))
    assert len(named) > 8
    assert [place for place in sorted(named) if not (root / place).exists()] == []
