"""The command `dicomweb` as people use it: processes, exit codes, one-line errors."""

from __future__ import annotations

import contextlib
import http.client
import io
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from dicomweb_core import OriginServer
from dicomweb_core.testing.samples import sample
from dicomweb_lmdb import LMDBInstanceStore
from dicomweb_wsgi.command_line import main
from dicomweb_wsgi.importing import files_below, sample_folder
from dicomweb_wsgi.serving import is_loopback
from dicomweb_wsgi.stores import CannotRun
from tests.clients import file_bytes, multipart
from tests.rules.made_workitems import sent
from tests.served import ROOT, Served

STOPS = (signal.SIGTERM, signal.SIGINT)
SAMPLES = [sample(1 + number // 4, 1 + number // 2, number) for number in range(8)]


class Done(NamedTuple):
    """What a command printed, and its exit code."""

    stdout: str
    stderr: str
    code: int


def run(*arguments: str, expect: int = 0) -> Done:
    """Runs `dicomweb` to its end, in this process."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            code = main(arguments)
        except SystemExit as stopped:
            code = int(stopped.code or 0)
    done = Done(out.getvalue(), err.getvalue(), code)
    assert done.code == expect, done
    return done


def run_process(program: list[str], *arguments: str) -> Done:
    """The same in a process of its own."""
    roots = os.pathsep.join(str(ROOT / place) for place in ("", "adapters", "backends"))
    done = subprocess.run(
        [sys.executable, *program, *arguments],
        env=os.environ | {"PYTHONPATH": roots},
        capture_output=True,
        text=True,
        timeout=60,
    )
    return Done(done.stdout, done.stderr, done.returncode)


def refused(*arguments: str) -> str:
    """The one line that says why it could not be done."""
    done = run(*arguments, expect=2)
    assert done.stdout == ""
    (line,) = done.stderr.splitlines()
    assert line.startswith("dicomweb: error: ")
    return line


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eight instances in two studies, and what else lies in folders."""
    root = tmp_path_factory.mktemp("files")
    for number, item in enumerate(SAMPLES):
        place = root / f"study{number // 4}"
        place.mkdir(exist_ok=True)
        (place / f"{number}.dcm").write_bytes(item.part10)
    (root / "README.txt").write_text("not DICOM")
    (root / "empty").touch()
    (root / "image.png").write_bytes(b"\x89PNG" + bytes(500))
    (root / "DICOMDIR").write_bytes(dicomdir())
    (root / "study0" / "loop").symlink_to(root)
    (root / "again").symlink_to(root / "study1")
    return root


def dicomdir() -> bytes:
    """The beginning of a DICOMDIR (PS3.10 8): the File Meta Information names its SOP class."""
    return bytes(128) + b"DICM" + b"\x02\x00\x02\x00UI\x14\x001.2.840.10008.1.3.10" + bytes(100)


def search(served: Served, path: str) -> list[dict[str, Any]]:
    status, payload = served.request("GET", path)
    assert status == 200
    results: list[dict[str, Any]] = json.loads(payload)
    return results


# -- usage ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("command", [(), ("serve",), ("import",), ("verify",), ("stats",)])
def test_help_can_be_had(command: tuple[str, ...]) -> None:
    done = run(*command, "--help")
    assert "--" in done.stdout
    assert done.stderr == ""


@pytest.mark.parametrize(
    "arguments",
    [
        (), ("dance",), ("import",), ("import", "--store", "x"), ("verify",), ("stats", "--store"),
        ("serve", "--port", "x"), ("serve", "--port", "65536"), ("serve", "--port", "-1"),
        ("serve", "--workers", "0"), ("serve", "--threads", "many"), ("serve", "--mount", "/a b"),
        ("serve", "--public-url", "ftp://x"), ("serve", "--trusted-proxy", "proxy"), ("serve", "--server", "apache"),
        ("serve", "--on-duplicate", "panic"), ("serve", "--inline-bytes", "-1"), ("import", "--inline-bytes", "1k"),
        ("serve", "--cors-origin", "viewer.example"), ("serve", "--cors-origin", "https://viewer.example/"),
        ("serve", "--event-url", "http://x/events"), ("serve", "--event-url", "wss://x?y"),
    ],
)  # fmt: skip
def test_wrong_usage_is_one_line(arguments: tuple[str, ...]) -> None:
    assert "--help" in refused(*arguments)


@pytest.mark.parametrize("command", ["verify", "stats"])
def test_a_store_that_is_not_there(command: str, tmp_path: Path) -> None:
    missing = tmp_path / "nowhere"
    assert str(missing) in refused(command, "--store", str(missing))
    assert not missing.exists()


def test_a_store_that_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    for command in (("verify",), ("stats",), ("import", str(tmp_path)), ("serve", "--port", "0")):
        said = refused(command[0], "--store", str(tmp_path / "file"), *command[1:])
        assert str(tmp_path / "file") in said


def test_a_path_that_is_not_there_imports_nothing(folder: Path, tmp_path: Path) -> None:
    store = str(tmp_path / "store")
    assert "nowhere" in refused("import", "--store", store, str(folder), str(tmp_path / "nowhere"))
    assert "instances 0" in run("stats", "--store", store).stdout


@pytest.mark.parametrize(("module", "extra"), [("lmdb", "[lmdb]"), ("gunicorn", "[server]"), ("waitress", "[server]")])
def test_a_missing_extra_is_named(module: str, extra: str, tmp_path: Path) -> None:
    # A module of that name that is not there for Python, as if it were not installed.
    program = (
        f"import sys; sys.modules[{module!r}] = None\n"
        "from dicomweb_wsgi.command_line import main\n"
        "sys.exit(main(sys.argv[1:]))"
    )
    arguments = ["--store", str(tmp_path / "s")] if module == "lmdb" else ["--server", module]
    done = run_process(["-c", program], "serve", "--port", "0", *arguments)
    assert done.code == 2, done.stderr
    (line,) = done.stderr.splitlines()
    assert f"dicomweb-core{extra}" in line


# -- import, verify, stats --------------------------------------------------------------------------------------


def test_import_sums_up(folder: Path, tmp_path: Path) -> None:
    store = str(tmp_path / "store")
    first = run("import", "--store", store, str(folder))
    # study1 is reached twice, by its name and by a link: its files count once.
    assert first.stderr == "8 stored, 0 already there, 0 refused, 4 skipped (not DICOM)\n"
    again = run("import", "--store", store, str(folder / "again"))
    assert again.stderr.startswith("0 stored, 4 already there, 0 refused")
    counts = dict(line.split() for line in run("stats", "--store", store).stdout.splitlines())
    size = sum(len(item.part10) for item in SAMPLES)
    assert counts == {"studies": "2", "series": "4", "instances": "8", "bytes": str(size)}
    verified = run("verify", "--store", store)
    assert (verified.stdout, verified.stderr) == ("", "8 instances checked, 0 problems\n")


def test_refused_files_are_named_with_the_reason(tmp_path: Path) -> None:
    files = tmp_path / "files"
    files.mkdir()
    (files / "good.dcm").write_bytes(SAMPLES[0].part10)
    (files / "cut.dcm").write_bytes(SAMPLES[1].part10[:-10])
    for number in range(30):
        (files / f"junk{number}.dcm").write_bytes(bytes(128) + b"DICM" + bytes(number))
    done = run("import", "--store", str(tmp_path / "store"), str(files), expect=1)
    lines = done.stderr.splitlines()
    assert lines[-1].startswith("1 stored, 0 already there, 31 refused, 0 skipped")
    assert len([line for line in lines if line.startswith("refused ")]) == 31
    assert re.fullmatch(rf"refused {re.escape(str(files))}/cut\.dcm: .+ \([0-9A-F]{{4}}\)", lines[0]), lines[0]
    with Served(str(files), "--workers", "1") as served:
        *first, more, summed_up = served.log().splitlines()
    assert first == lines[:20]
    assert more.startswith("... and 11 more refused")
    assert summed_up == lines[-1]


@pytest.mark.parametrize(("policy", "code", "kept"), [("keep", 1, 0), ("ignore", 0, 0), ("replace", 0, 1)])
def test_duplicates_are_a_policy(policy: str, code: int, kept: int, tmp_path: Path) -> None:
    versions = [SAMPLES[0].part10, SAMPLES[0].part10[:-2] + b"\x55\x55"]
    for number, content in enumerate(versions):
        (tmp_path / f"{number}.dcm").write_bytes(content)
    store = str(tmp_path / "store")
    run("import", "--store", store, str(tmp_path / "0.dcm"))
    run("import", "--store", store, "--on-duplicate", policy, str(tmp_path / "1.dcm"), expect=code)
    with contextlib.closing(LMDBInstanceStore(store)) as instances:
        assert OriginServer(instances=instances).instance(*SAMPLES[0].ref) == versions[kept]


@pytest.mark.parametrize(("size", "form"), [("0", "BulkDataURI"), ("100", "Value"), (None, "Value")])
def test_what_is_inline_is_decided_when_it_is_imported(size: str | None, form: str, tmp_path: Path) -> None:
    (tmp_path / "ct.dcm").write_bytes(file_bytes("CT_small.dcm"))
    store = str(tmp_path / "store")
    run("import", "--store", store, *(("--inline-bytes", size) if size else ()), str(tmp_path / "ct.dcm"))
    with contextlib.closing(OriginServer(instances=LMDBInstanceStore(store))) as server:
        (study,) = server.search_studies()
        (metadata,) = server.metadata(study["0020000D"]["Value"][0])
    assert set(metadata["00280030"]) == {"vr", form}
    assert set(metadata["7FE00010"]) == {"vr", "BulkDataURI"}


def test_damage_is_found(folder: Path, tmp_path: Path) -> None:
    store = tmp_path / "store"
    large = tmp_path / "large.dcm"
    large.write_bytes(sample(9, 9, 9, rows=300, columns=300).part10)
    run("import", "--store", str(store), str(large), str(folder))
    content = max((path for path in store.rglob("*") if path.suffix == ".dcm"), key=lambda path: path.stat().st_size)
    content.chmod(0o600)
    with content.open("r+b") as file:
        file.seek(-1_000, os.SEEK_END)
        file.write(b"damaged")
    done = run("verify", "--store", str(store), expect=1)
    (line,) = done.stdout.splitlines()
    assert sample(9, 9, 9).ref.path in line
    assert done.stderr.endswith("1 problems\n")


def test_files_come_sorted_and_folders_once(folder: Path) -> None:
    found = [os.path.relpath(path, folder) for path in files_below([str(folder), str(folder / "study0")])]
    # `again` is the first way to study1; `loop` leads back to the folder itself.
    assert found == [
        "DICOMDIR", "README.txt", "again/4.dcm", "again/5.dcm", "again/6.dcm", "again/7.dcm", "empty", "image.png",
        "study0/0.dcm", "study0/1.dcm", "study0/2.dcm", "study0/3.dcm",
    ]  # fmt: skip


def test_pipes_are_not_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    assert list(files_below([str(tmp_path)])) == []


def test_folders_a_thousand_deep_are_no_recursion(tmp_path: Path) -> None:
    deep = tmp_path / "top" / "/".join("d" * (sys.getrecursionlimit() + 100))
    # Path.mkdir(parents=True) and os.makedirs recurse.
    subprocess.run(["mkdir", "-p", str(deep)], check=True)
    (deep / "file").touch()
    try:
        assert list(files_below([str(tmp_path / "top")])) == [str(deep / "file")]
    finally:
        # What removes temporary folders walks them recursively.
        (deep / "file").unlink()
        while deep != tmp_path:
            deep.rmdir()
            deep = deep.parent


def test_the_module_is_the_command_too(folder: Path, tmp_path: Path) -> None:
    store = str(tmp_path / "store")
    program = ["-m", "dicomweb_wsgi"]
    assert run_process(program, "import", "--store", store, str(folder)).code == 0
    assert "instances 8" in run_process(program, "stats", "--store", store).stdout
    assert run_process(program, "import", "--store", store, "/no/such/file").code == 2


@pytest.mark.skipif(os.name != "posix", reason="signals")
def test_ctrl_c_while_the_command_is_loaded_is_no_traceback() -> None:
    roots = os.pathsep.join(str(ROOT / place) for place in ("", "adapters", "backends"))
    # says on standard error what it has loaded
    command = [sys.executable, "-X", "importtime", "-c", "import dicomweb_command; dicomweb_command.main()"]
    with subprocess.Popen(
        command, env=os.environ | {"PYTHONPATH": roots}, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stderr is not None
        while "dicomweb_core.errors" not in process.stderr.readline():
            assert process.poll() is None
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=20)
    assert process.returncode == -signal.SIGINT
    assert "Traceback" not in errors


def test_an_interrupted_import_says_so_by_its_exit_code(tmp_path: Path) -> None:
    samples = sample_folder()
    assert samples is not None
    roots = os.pathsep.join(str(ROOT / place) for place in ("", "adapters", "backends"))
    command = [sys.executable, "-m", "dicomweb_wsgi", "import", "--store", str(tmp_path / "store"), samples]
    with subprocess.Popen(
        command, env=os.environ | {"PYTHONPATH": roots}, stderr=subprocess.PIPE, text=True
    ) as process:
        while not (tmp_path / "store" / "data.mdb").exists():
            assert process.poll() is None
            time.sleep(0.01)
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=20)
    assert (process.returncode, errors) == (130, "")
    run("verify", "--store", str(tmp_path / "store"))


# -- serve ------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module", params=["gunicorn", "waitress", "werkzeug"])
def served(request: pytest.FixtureRequest, folder: Path) -> Iterator[Served]:
    """The folder, served from memory."""
    with Served(str(folder), "--server", request.param, "--workers", "3") as running:
        yield running


def test_a_folder_is_served_from_memory(served: Served) -> None:
    assert served.mount == "/dicom-web"
    found = search(served, f"/instances?StudyInstanceUID={SAMPLES[0].ref.study}")
    assert len(found) == 4
    (url,) = search(served, "/studies?limit=1")[0]["00081190"]["Value"]
    assert url.startswith(served.address + "/studies/")


def test_memory_is_the_memory_of_one_process(served: Served) -> None:
    content_type, payload = multipart(sample(7, 7, 7).part10)
    assert served.request("POST", "/studies", payload, {"Content-Type": content_type})[0] == 200
    for _ in range(8):
        assert len(search(served, f"/instances?StudyInstanceUID={sample(7, 7, 7).ref.study}")) == 1


def test_forwarding_headers_are_not_believed_A36(served: Served) -> None:
    assert forwarded_url(served).startswith(f"http://127.0.0.1:{served.port}/")


@pytest.mark.parametrize("kind", ["gunicorn", "waitress", "werkzeug"])
def test_forwarding_headers_of_a_declared_proxy_are_believed_A36(kind: str, folder: Path) -> None:
    with Served(str(folder), "--server", kind, "--trusted-proxy", "127.0.0.0/8") as behind:
        assert forwarded_url(behind).startswith("https://a.org/dicom-web/studies/")


def forwarded_url(served: Served) -> str:
    """The URL of a study, as asked for through a proxy that says https://a.org."""
    headers = {"X-Forwarded-Proto": "https", "X-Forwarded-Host": "a.org"}
    _, payload = served.request("GET", "/studies?limit=1", headers=headers)
    (url,) = json.loads(payload)[0]["00081190"]["Value"]
    return str(url)


def test_queries_are_not_logged_A94(served: Served) -> None:
    for target in ("/studies?PatientName=SECRET", "/studies/SECRET", "/SECRET"):
        served.request("GET", target)
    assert "SECRET" not in served.log()


def test_what_a_store_keeps_is_there_after_a_restart(folder: Path, tmp_path: Path) -> None:
    store = str(tmp_path / "store")
    content_type, payload = multipart(sample(7, 7, 7).part10)
    with Served(str(folder), "--store", store, "--workers", "2") as first:
        assert first.request("POST", "/studies", payload, {"Content-Type": content_type})[0] == 200
    with Served("--store", store, "--workers", "2") as second:
        assert len(search(second, "/instances")) == 9
        # Import beside the running server; its workers see it at once.
        (tmp_path / "more.dcm").write_bytes(sample(8, 8, 8).part10)
        run("import", "--store", store, str(tmp_path / "more.dcm"))
        for _ in range(6):
            assert len(search(second, "/instances")) == 10
        run("verify", "--store", store)
        assert "instances 10" in run("stats", "--store", store).stdout


def workitems(served: Served) -> list[str]:
    """UIDs of all."""
    status, payload = served.request("GET", "/workitems")
    return [found["00080018"]["Value"][0] for found in json.loads(payload)] if status == 200 else [str(status)]


def create_workitem(served: Served, uid: str) -> int:
    dataset = json.dumps(sent()).encode()
    headers = {"Content-Type": "application/dicom+json"}
    return served.request("POST", f"/workitems?workitem={uid}", dataset, headers)[0]


def test_a_worklist_is_served_and_kept(tmp_path: Path) -> None:
    store = str(tmp_path / "store")
    with Served("--store", store, "--workers", "2") as first:
        for uid in ("2.25.1", "2.25.2"):
            assert create_workitem(first, uid) == 201
        for _ in range(4):
            assert workitems(first) == ["2.25.1", "2.25.2"]
    with Served("--store", store) as second:
        assert create_workitem(second, "2.25.1") == 409
        assert workitems(second) == ["2.25.1", "2.25.2"]
        run("verify", "--store", store)
    with Served("--store", store, "--no-worklist") as third:
        assert workitems(third) == ["404"]


def test_a_worklist_in_memory(served: Served) -> None:
    assert create_workitem(served, "2.25.1") == 201
    for _ in range(4):
        assert workitems(served) == ["2.25.1"]


@pytest.mark.parametrize("kind", ["gunicorn", "waitress", "werkzeug"])
@pytest.mark.parametrize("how", STOPS)
def test_it_stops_when_told(kind: str, how: signal.Signals) -> None:
    with Served("--server", kind) as served:
        served.request("GET", "/studies")
        served.process.send_signal(how)
        assert served.process.wait(20) == 0


def test_ctrl_c_reaches_every_process_and_nothing_is_said() -> None:
    for _ in range(3):
        with Served("--workers", "2") as served:
            os.killpg(served.process.pid, signal.SIGINT)
            assert served.process.wait(20) == 0
            assert served.log() == ""


@pytest.mark.parametrize(
    ("how", "later"),
    [
        (signal.SIGTERM, 0),
        (signal.SIGINT, 0.03),
        (signal.SIGTERM, 0.06),
        *(pytest.param(how, later, marks=pytest.mark.slow) for later in (0.01, 0.02, 0.04) for how in STOPS),
    ],
)
def test_it_stops_while_its_workers_begin(tmp_path: Path, how: signal.Signals, later: float) -> None:
    with Served("--store", str(tmp_path / "store"), "--workers", "4") as served:
        time.sleep(later)
        served.process.send_signal(how)
        assert served.process.wait(20) == 0
        assert "Traceback" not in served.log()


def test_samples_are_real_files() -> None:
    assert sample_folder() is not None
    with Served("--sample") as served:
        studies = search(served, "/studies")
        assert len(studies) > 20
        status, _ = served.request("GET", "/instances?Modality=CT&limit=1")
        assert status == 200


def test_delete_can_be_switched_off(folder: Path) -> None:
    target = "/" + SAMPLES[0].ref.path
    with Served(str(folder)) as served:
        assert served.request("DELETE", target)[0] == 204
    with Served(str(folder), "--no-delete") as served:
        assert served.request("DELETE", target)[0] == 405
        assert len(search(served, "/instances")) == 8


def test_site_settings_reach_the_server(folder: Path) -> None:
    origin = {"Origin": "https://viewer.example"}
    with Served(str(folder), "--cors-origin", "https://viewer.example", "--mount", "/dicom-web") as served:
        connection = http.client.HTTPConnection("127.0.0.1", served.port, timeout=20)
        connection.request("GET", "/dicom-web/studies?limit=1", headers=origin)
        response = connection.getresponse()
        response.read()
        assert response.headers["Access-Control-Allow-Origin"] == "https://viewer.example"
        connection.request("GET", "/studies", headers=origin)
        response = connection.getresponse()
        response.read()
        connection.close()
        assert response.status == 404


# -- exposure ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "", "192.0.2.1"])
def test_other_machines_are_not_served_by_accident_A93(host: str) -> None:
    assert "--allow-unauthenticated" in refused("serve", "--host", host, "--port", "0")


def test_other_machines_are_served_on_purpose_A93() -> None:
    with Served("--host", "0.0.0.0", "--allow-unauthenticated") as served:
        assert served.request("GET", "/studies")[0] == 200


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.9.10", "::1", "localhost"])
def test_this_machine_is_loopback_A93(host: str) -> None:
    assert is_loopback(host)


@pytest.mark.parametrize(
    "host", ["0.0.0.0", "::", "", "10.0.0.1", "192.0.2.1", "fe80::1", "::ffff:10.0.0.1", "8.8.8.8"]
)
def test_other_addresses_are_not_A93(host: str) -> None:
    assert not is_loopback(host)


def test_an_unknown_host_is_said_to_be_one() -> None:
    with pytest.raises(CannotRun, match="not known"):
        is_loopback("no such host")


def test_a_port_in_use_is_one_line() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert str(port) in refused("serve", "--port", str(port))


def test_clients_that_stall_do_not_stop_the_others_A30(folder: Path) -> None:
    with Served(str(folder), "--threads", "4") as served:
        stalled = []
        try:
            for _ in range(3):
                client = socket.create_connection(("127.0.0.1", served.port), 20)
                client.sendall(
                    b"POST /dicom-web/studies HTTP/1.1\r\nHost: a\r\nContent-Type: multipart/related; boundary=b\r\n"
                    b"Content-Length: 1000000\r\n\r\n--b\r\n"
                )
                stalled.append(client)
            assert len(search(served, "/instances")) == 8
        finally:
            for client in stalled:
                client.close()
