"""HTTPS and WSS, with a certificate that is made for the test."""

from __future__ import annotations

import shutil
import ssl
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from websockets.http11 import Request, Response
from websockets.sync.server import ServerConnection, serve

from dicomweb_worklist import Untrusted, WorklistClient
from tests.client.test_event_streams import idle, report

OPENSSL = shutil.which("openssl")
WORKITEM = {"00080018": {"vr": "UI", "Value": ["2.25.1"]}}


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of localhost, signed by itself; its key is beside it."""
    if OPENSSL is None:
        pytest.skip("openssl is not installed")
    place = tmp_path_factory.mktemp("tls") / "certificate.pem"
    request = ("req", "-x509", "-nodes", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-days", "2")
    names = ("-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost")
    files = ("-out", str(place), "-keyout", str(place.with_name("key.pem")))
    subprocess.run([OPENSSL, *request, *names, *files], check=True, capture_output=True)
    return place


@pytest.fixture(scope="module")
def url(certificate: Path) -> Iterator[str]:
    """A server of one workitem and one event."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, certificate.with_name("key.pem"))

    def answer(connection: ServerConnection, request: Request) -> Response | None:
        if "Upgrade" in request.headers:
            return None
        return connection.respond(200, '[{"00080018": {"vr": "UI", "Value": ["2.25.1"]}}]')

    def handle(connection: ServerConnection) -> None:
        connection.send(report(1))
        idle(connection)

    with serve(handle, "localhost", 0, ssl=context, process_request=answer) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"https://localhost:{server.socket.getsockname()[1]}/s"
        server.shutdown()
        thread.join()


def test_a_server_that_is_trusted(url: str, certificate: Path) -> None:
    context = ssl.create_default_context(cafile=str(certificate))
    with WorklistClient.at(url, aetitle="ME", tls=context) as client, client.events(timeout=5) as events:
        assert client.retrieve("2.25.1") == WORKITEM
        assert next(events).message_id == 1


def test_one_that_waits_is_woken(url: str, certificate: Path) -> None:
    context = ssl.create_default_context(cafile=str(certificate))
    with WorklistClient.at(url, aetitle="ME", tls=context) as client, client.events() as events:
        waiting = threading.Thread(target=lambda: list(events))
        waiting.start()
        waiting.join(0.2)
        events.close()
        waiting.join(5)
        assert not waiting.is_alive()


def test_one_that_is_not_is_not_talked_to(url: str) -> None:
    with WorklistClient.at(url, aetitle="ME") as client:
        with pytest.raises(Untrusted, match="not trusted"):
            client.retrieve("2.25.1")
        with pytest.raises(Untrusted, match="not trusted"):
            next(client.events())
