"""The command `dicomweb worklist`, over HTTP and on a store."""

from __future__ import annotations

import io
import json
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from dicomweb_lmdb import LMDBWorklistStore
from dicomweb_worklist import Patient, WorklistClient, new_uid, new_workitem, performed_procedure, progress
from tests.adapters.test_command_line import refused, run
from tests.client.worklists import SEGMENT, STATION
from tests.served import Served


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A server over a store; its folder is `served.store`."""
    folder = tmp_path_factory.mktemp("store")
    with Served("--store", str(folder), "--workers", "1") as running:
        running.store = str(folder)
        yield running


@pytest.fixture(params=["url", "store"])
def where(request: pytest.FixtureRequest, served: Served) -> tuple[str, str]:
    """How the command finds the worklist. Both are the same one."""
    return ("--url", served.address) if request.param == "url" else ("--store", served.store)


@pytest.fixture
def client(served: Served) -> Iterator[WorklistClient]:
    with WorklistClient.at(served.address, aetitle="OTHER") as made:
        yield made


def file_of(folder: Path, content: Any) -> str:
    place = folder / "workitems.json"
    place.write_text(json.dumps(content))
    return str(place)


def test_create_list_and_show(where: tuple[str, str], tmp_path: Path) -> None:
    label = f"Segment {new_uid()}"
    file = file_of(tmp_path, [new_workitem(label, patient=Patient("Doe^Jane")), new_workitem(label, priority="HIGH")])
    uids = run("worklist", "create", file, *where).stdout.splitlines()
    assert len(set(uids)) == 2

    lines = run("worklist", "list", f"ProcedureStepLabel={label}", *where).stdout.splitlines()
    assert sorted(line.split()[0] for line in lines) == sorted(uids)
    assert all("SCHEDULED" in line and line.endswith(label) for line in lines)
    only = ("ProcedureStepLabel=" + label, "ScheduledProcedureStepPriority=HIGH")
    assert run("worklist", "list", *only, *where).stdout.split()[0] == uids[1]
    assert len(run("worklist", "list", only[0], "--limit", "1", *where).stdout.splitlines()) == 1
    (line,) = run("worklist", "list", *only, "--json", *where).stdout.splitlines()
    assert json.loads(line)["00080018"]["Value"] == [uids[1]]

    shown = json.loads(run("worklist", "show", uids[0], *where).stdout)
    assert shown["00100010"]["Value"] == [{"Alphabetic": "Doe^Jane"}]
    assert run("worklist", "list", "ProcedureStepLabel=nothing", *where).stdout == ""


def test_create_from_stdin(where: tuple[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    text = json.dumps(new_workitem("von stdin: Größe"))
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(text.encode())))
    (uid,) = run("worklist", "create", "-", *where).stdout.splitlines()
    assert "Gr\\u00f6\\u00dfe" in run("worklist", "show", uid, *where).stdout
    assert "Größe" in run("worklist", "list", f"SOPInstanceUID={uid}", *where).stdout


def test_the_workitems_before_a_bad_one_are_created(where: tuple[str, str], tmp_path: Path) -> None:
    good, bad = new_workitem("good"), new_workitem("bad", priority="SOON")
    done = run("worklist", "create", file_of(tmp_path, [good, bad, good]), *where, expect=2)
    (uid,) = done.stdout.splitlines()
    assert run("worklist", "show", uid, *where).stdout
    (line,) = done.stderr.splitlines()
    assert "workitem 2 of 3" in line
    assert "ScheduledProcedureStepPriority" in line


@pytest.mark.parametrize("content", ["", "{", "7", "[1]", '{"00741204": NaN}', "[" * 100_000])
def test_what_is_no_data_set(content: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text(content)
    assert "JSON" in refused("worklist", "create", str(tmp_path / "file"))
    assert "missing" in refused("worklist", "create", str(tmp_path / "missing"))


def test_what_cannot_be_done_is_one_line(where: tuple[str, str]) -> None:
    assert "no such workitem" in refused("worklist", "show", "2.25.1", *where)
    assert "NoSuchThing" in refused("worklist", "list", "NoSuchThing=1", *where)
    assert "no AE title" in refused("worklist", "watch", "--aet", "A" * 17, *where)
    assert "a workitem, or" in refused("worklist", "watch", "2.25.1", "--filter", "PatientID=1", *where)
    assert "no such workitem" in refused("worklist", "watch", "2.25.1", *where)


def test_nobody_is_there(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as gone:
        address = f"http://127.0.0.1:{gone.getsockname()[1]}/dicom-web"
    assert address in refused("worklist", "list", "--url", address)
    assert "not the URL" in refused("worklist", "list", "--url", "ftp://somewhere")
    assert "there is no store" in refused("worklist", "list", "--store", str(tmp_path / "nowhere"))
    assert not (tmp_path / "nowhere").exists()


@pytest.mark.parametrize(
    "arguments",
    [
        (), ("dance",), ("create",), ("show",), ("list", "Name"), ("list", "=1"), ("list", "--limit", "x"),
        ("list", "--url", "http://x", "--store", "y"), ("watch", "--timeout", "soon"), ("watch", "--filter", "x"),
    ],
)  # fmt: skip
def test_wrong_usage_is_one_line(arguments: tuple[str, ...]) -> None:
    assert "--help" in refused("worklist", *arguments)


@pytest.mark.parametrize("command", [(), ("list",), ("create",), ("show",), ("watch",)])
def test_help_can_be_had(command: tuple[str, ...]) -> None:
    assert "--" in run("worklist", *command, "--help").stdout


def test_watch_says_what_happened(served: Served, client: WorklistClient) -> None:
    label = f"Watched {new_uid()}"
    watch = ("worklist", "watch", "--keep", "--timeout", "0", "--store", served.store, "--aet", "KEPT")
    watch = (*watch, "--filter", f"ProcedureStepLabel={label}")
    assert run(*watch).stdout == ""
    uid = client.create(new_workitem(label, readiness="INCOMPLETE", station=STATION))
    claim = client.claim(uid)
    client.update(uid, progress(40, "half\x1b[31m of it\nnot a line"), claim)
    client.request_cancellation(uid, "wrong patient")
    client.complete(claim, performed_procedure(SEGMENT, STATION))
    lines = run(*watch).stdout.splitlines()
    assert [line.split("  ", 2)[1:] for line in lines] == [
        [uid, "SCHEDULED, inputs INCOMPLETE"],
        [uid, "assigned to First of them"],
        [uid, "IN PROGRESS, inputs INCOMPLETE"],
        [uid, "progress 40 %: half�[31m of it�not a line"],
        [uid, "cancellation requested by OTHER: wrong patient"],
        [uid, "COMPLETED, inputs INCOMPLETE"],
    ]
    assert run(*watch).stdout == ""
    client.create(new_workitem(label))
    report = json.loads(run(*watch, "--json").stdout)
    assert report["00001002"]["Value"] == [1]
    assert report["00741000"]["Value"] == ["SCHEDULED"]


def test_watch_unsubscribes_at_the_end(served: Served, client: WorklistClient) -> None:
    uid = client.create(new_workitem("a"))
    watch = ("worklist", "watch", uid, "--timeout", "0", "--store", served.store, "--aet", "BRIEF")
    assert "SCHEDULED" in run(*watch).stdout
    assert "BRIEF" not in receivers(served)
    run(*watch, "--keep")
    assert "BRIEF" in receivers(served)


@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGTERM])
def test_watch_is_stopped(served: Served, client: WorklistClient, stop: signal.Signals) -> None:
    uid = client.create(new_workitem("a"))
    aetitle = f"STOPPED {stop.value}"
    roots = {"PYTHONPATH": ":".join(sys.path)}
    command = [sys.executable, "-m", "dicomweb_wsgi", "worklist", "watch", uid, "--url", served.address]
    with subprocess.Popen(
        [*command, "--aet", aetitle], env=roots, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as watching:
        assert watching.stdout is not None
        assert watching.stderr is not None
        assert "SCHEDULED" in watching.stdout.readline()
        client.claim(uid)
        assert "IN PROGRESS" in watching.stdout.readline()
        watching.send_signal(stop)
        assert watching.wait(20) == 130
        assert watching.stderr.read() == ""
    assert aetitle not in receivers(served)


def receivers(served: Served) -> set[str]:
    """Who is subscribed to anything."""
    worklist = LMDBWorklistStore(Path(served.store) / "worklist")
    try:
        return set(worklist.receivers())
    finally:
        worklist.close()
