"""A client for tests: requests as values into a server, answers read by independent means."""

from __future__ import annotations

import io
import json
from dataclasses import dataclass
from email.message import Message
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pydicom.data

from dicomweb_core import OriginServer, Request
from dicomweb_core.values.messages import Response

BASE = "http://archive.example/dicom-web"
JSON = "application/dicom+json"
ANY_DICOM = 'multipart/related; type="application/dicom"; transfer-syntax=*'
OCTETS = 'multipart/related; type="application/octet-stream"'


@dataclass(frozen=True)
class Answer:
    """A response, read whole."""

    status: int
    headers: tuple[tuple[str, str], ...]
    content: bytes
    length: int | None

    def header(self, name: str) -> str | None:
        values = [value for key, value in self.headers if key.lower() == name.lower()]
        return ", ".join(values) if values else None

    @property
    def json(self) -> Any:
        """Strictly: no NaN, no Infinity, UTF-8."""

        def refuse(token: str) -> None:
            raise ValueError(f"{token} is not JSON")

        return json.loads(self.content.decode("utf-8"), parse_constant=refuse)

    @property
    def parts(self) -> list[tuple[dict[str, str], bytes]]:
        """Headers (lower case) and content of each part, by the standard library's MIME parser."""
        content_type = self.header("Content-Type") or ""
        assert content_type.startswith("multipart/related"), content_type
        return split_multipart(content_type, self.content)


def split_multipart(content_type: str, content: bytes) -> list[tuple[dict[str, str], bytes]]:
    message = Message()
    message["Content-Type"] = content_type
    boundary = message.get_boundary()
    assert boundary is not None
    delimiter = b"--" + boundary.encode()
    assert content.startswith(delimiter)
    assert content.rstrip(b"\r\n").endswith(delimiter + b"--")
    parts = []
    for piece in (b"\r\n" + content).split(b"\r\n" + delimiter)[1:-1]:
        assert piece.startswith(b"\r\n")
        head, _, body = piece[2:].partition(b"\r\n\r\n")
        headers = dict(line.split(": ", 1) for line in head.decode("ascii").split("\r\n"))
        parts.append(({name.lower(): value for name, value in headers.items()}, body))
    return parts


class Client:
    """Sends requests to a server without a socket."""

    def __init__(self, server: OriginServer, base_url: str = BASE) -> None:
        self.server = server
        self.base_url = base_url

    def open(self, method: str, target: str, body: bytes = b"", **headers: str) -> Response:
        """A response that was not read. To be closed."""
        path, _, query = target.removeprefix(self.base_url).partition("?")
        return self.server.handle(
            Request(
                method,
                unquote(path),
                query,
                tuple((name.replace("_", "-"), value) for name, value in headers.items()),
                io.BytesIO(body),
                self.base_url,
            )
        )

    def request(self, method: str, target: str, body: bytes = b"", **headers: str) -> Answer:
        response = self.open(method, target, body, **headers)
        content = response.body.read()
        if response.body.length is not None:
            assert response.body.length == len(content)
        return Answer(response.status, response.headers, content, response.body.length)

    def get(self, target: str, accept: str | None = None, **headers: str) -> Answer:
        if accept is not None:
            headers["Accept"] = accept
        return self.request("GET", target, **headers)

    def store(self, *instances: bytes, study: str | None = None, **headers: str) -> Answer:
        target = f"/studies/{study}" if study else "/studies"
        content_type, body = multipart(*instances)
        headers.setdefault("Content_Type", content_type)
        return self.request("POST", target, body, **headers)


def multipart(*instances: bytes, media_type: str = "application/dicom") -> tuple[str, bytes]:
    """Content-Type and payload of a store request."""
    boundary = "a-boundary-of-the-tests"
    parts = [
        b"--" + boundary.encode() + b"\r\nContent-Type: " + media_type.encode() + b"\r\n\r\n" + instance + b"\r\n"
        for instance in instances
    ]
    return (
        f'multipart/related; type="{media_type}"; boundary={boundary}',
        b"".join(parts) + b"--" + boundary.encode() + b"--\r\n",
    )


def file_bytes(name: str) -> bytes:
    """A file that pydicom ships."""
    path = pydicom.data.get_testdata_file(name, download=False)
    assert isinstance(path, str), f"pydicom ships no {name}"
    return Path(path).read_bytes()
