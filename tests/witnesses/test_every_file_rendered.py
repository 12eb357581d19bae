"""Every real file can be looked at, or it is said why not; never 500."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from PIL import Image

from dicomweb_core import OriginServer
from dicomweb_memory import MemoryInstanceStore
from tests.clients import Client
from tests.witnesses.real_files import name_of, real_files

DAMAGED = "JPEG2000-embedded-sequence-delimiter.dcm"


@pytest.mark.parametrize("path", real_files(), ids=name_of)
def test_rendered_and_thumbnail(path: Path) -> None:
    client = Client(OriginServer(instances=MemoryInstanceStore()))
    if client.store(path.read_bytes()).status not in (200, 202):
        return
    for found in client.get("/instances").json:
        url = found["00081190"]["Value"][0]
        answer = client.get(url + "/rendered")
        if answer.status == 200:
            _check(answer.header("Content-Type") or "", answer.content)
        else:
            assert answer.status == 406
            assert "00280010" not in _tags(client, url) or path.name == DAMAGED, answer.json["detail"]
        thumbnail = client.get(url + "/thumbnail")
        assert thumbnail.status == 200
        assert max(_check("image/jpeg", thumbnail.content)) == 256


def _tags(client: Client, url: str) -> set[str]:
    """Tags of what has pixel data; of anything else none."""
    (attributes,) = client.get(url + "/metadata").json
    return set(attributes) if attributes.keys() & {"7FE00010", "7FE00008", "7FE00009"} else set()


def _check(media_type: str, content: bytes) -> tuple[int, int]:
    if not media_type.startswith("image/"):
        assert media_type == "text/html; charset=utf-8"
        assert content.startswith(b"<!DOCTYPE html>")
        return 0, 0
    with Image.open(io.BytesIO(content)) as image:
        image.load()
        return image.size
