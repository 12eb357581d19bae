"""The command `dicomweb` as people use it: processes, exit codes, one-line errors."""

from __future__ import annotations

import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from dicomweb_core.testing.samples import sample
from dicomweb_wsgi.importing import files_below, sample_folder
from dicomweb_wsgi.serving import is_loopback
from dicomweb_wsgi.stores import CannotRun
from tests.clients import multipart
from tests.served import ROOT, Served

SAMPLES = [sample(1 + number // 4, 1 + number // 2, number) for number in range(8)]


def run(*arguments: str, expect: int = 0, **environ: str) -> subprocess.CompletedProcess[str]:
    """Runs `dicomweb` to its end."""
    roots = os.pathsep.join(str(ROOT / place) for place in ("", "adapters", "backends"))
    done = subprocess.run(
        [sys.executable, "-m", "dicomweb_wsgi", *arguments],
        env=os.environ | {"PYTHONPATH": roots} | environ,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert "Traceback" not in done.stderr, done.stderr
    assert done.returncode == expect, done.stderr
    return done


def refused(*arguments: str, **environ: str) -> str:
    """The one line that says why it could not be done."""
    done = run(*arguments, expect=2, **environ)
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


def search(served: Served, path: str) -> list[dict[str, object]]:
    status, payload = served.request("GET", path)
    assert status == 200
    results: list[dict[str, object]] = json.loads(payload)
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
        ("serve", "--on-duplicate", "panic"),
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
        refused(command[0], "--store", str(tmp_path / "file"), *command[1:])


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
    roots = os.pathsep.join(str(ROOT / place) for place in ("", "adapters", "backends"))
    arguments = ["--store", str(tmp_path / "s")] if module == "lmdb" else ["--server", module]
    done = subprocess.run(
        [sys.executable, "-c", program, "serve", "--port", "0", *arguments],
        env=os.environ | {"PYTHONPATH": roots},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 2, done.stderr
    (line,) = done.stderr.splitlines()
    assert f"dicomweb-core{extra}" in line


# -- import, verify, stats --------------------------------------------------------------------------------------


def test_import_sums_up(folder: Path, tmp_path: Path) -> None:
    store = str(tmp_path / "store")
    first = run("import", "--store", store, str(folder))
    # study1 is reached twice, by its name and by a link: its files count once.
    assert first.stderr == "8 stored, 0 already there, 0 refused, 4 skipped (not DICOM)\n"
    again = run("import", "--store", store, str(folder / "study0"))
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
    assert lines[0].startswith("1 stored, 0 already there, 31 refused, 0 skipped")
    assert len([line for line in lines if line.startswith("refused ")]) == 20
    assert re.fullmatch(rf"refused {re.escape(str(files))}/cut\.dcm: .+ \([0-9A-F]{{4}}\)", lines[1]), lines[1]
    assert lines[-1] == "... and 11 more refused"


@pytest.mark.parametrize(("policy", "code", "kept"), [("keep", 1, 0), ("ignore", 0, 0), ("replace", 0, 1)])
def test_duplicates_are_a_policy(policy: str, code: int, kept: int, tmp_path: Path) -> None:
    versions = [SAMPLES[0].part10, SAMPLES[0].part10[:-2] + b"\x55\x55"]
    for number, content in enumerate(versions):
        (tmp_path / f"{number}.dcm").write_bytes(content)
    store = str(tmp_path / "store")
    run("import", "--store", store, str(tmp_path / "0.dcm"))
    run("import", "--store", store, "--on-duplicate", policy, str(tmp_path / "1.dcm"), expect=code)
    with Served("--store", store) as served:
        connection = http.client.HTTPConnection("127.0.0.1", served.port, timeout=20)
        connection.request(
            "GET", f"{served.mount}/{SAMPLES[0].ref.path}", headers={"Accept": "application/dicom; transfer-syntax=*"}
        )
        content = connection.getresponse().read()
        connection.close()
    assert content == versions[kept]


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
    # As deep as the length of a path allows.
    deep = tmp_path
    while len(str(deep)) < 3_900:
        deep = deep / "d"
        deep.mkdir()
    (deep / "file").touch()
    assert list(files_below([str(tmp_path)])) == [str(deep / "file")]


# -- serve ------------------------------------------------------------------------------------------------------


@pytest.fixture(params=["gunicorn", "waitress", "werkzeug"])
def kind(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


def test_a_folder_is_served_from_memory(kind: str, folder: Path) -> None:
    with Served(str(folder), "--server", kind, "--workers", "3") as served:
        assert served.mount == "/dicom-web"
        assert len(search(served, "/instances")) == 8
        (url,) = search(served, "/studies")[0]["00081190"]["Value"]  # type: ignore[index, call-overload]
        assert url.startswith(served.address + "/studies/")
        # What is stored into one process is found there: memory has one worker.
        content_type, payload = multipart(sample(7, 7, 7).part10)
        assert served.request("POST", "/studies", payload, {"Content-Type": content_type})[0] == 200
        for _ in range(8):
            assert len(search(served, "/instances")) == 9


def test_what_a_store_keeps_is_there_after_a_restart(kind: str, folder: Path, tmp_path: Path) -> None:
    store = str(tmp_path / "store")
    content_type, payload = multipart(sample(7, 7, 7).part10)
    with Served(str(folder), "--store", store, "--server", kind, "--workers", "2") as served:
        assert served.request("POST", "/studies", payload, {"Content-Type": content_type})[0] == 200
    with Served("--store", store, "--server", kind, "--workers", "2") as served:
        assert len(search(served, "/instances")) == 9
        # Import beside the running server; its workers see it at once.
        (tmp_path / "more.dcm").write_bytes(sample(8, 8, 8).part10)
        run("import", "--store", store, str(tmp_path / "more.dcm"))
        for _ in range(6):
            assert len(search(served, "/instances")) == 10
        run("verify", "--store", store)
        assert "instances 10" in run("stats", "--store", store).stdout


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
def test_it_stops_when_told(kind: str, how: signal.Signals) -> None:
    with Served("--server", kind) as served:
        served.request("GET", "/studies")
        served.process.send_signal(how)
        assert served.process.wait(20) == 0


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


def test_forwarding_headers_are_believed_from_a_declared_proxy_only_A36(kind: str, folder: Path) -> None:
    headers = {"X-Forwarded-Proto": "https", "X-Forwarded-Host": "a.org", "Accept": "application/dicom+json"}
    for proxy, expected in (((), "http://127.0.0.1:"), (("--trusted-proxy", "127.0.0.0/8"), "https://a.org/")):
        with Served(str(folder), "--server", kind, *proxy) as served:
            _, payload = served.request("GET", "/studies?limit=1", headers=headers)
        (url,) = json.loads(payload)[0]["00081190"]["Value"]
        assert url.startswith(expected)


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


def test_queries_are_not_logged_A94(kind: str, folder: Path) -> None:
    with Served(str(folder), "--server", kind) as served:
        for target in ("/studies?PatientName=SECRET", "/studies/SECRET", "/SECRET"):
            served.request("GET", target)
        assert "SECRET" not in served.log()
