"""Delete of study, series, instance: an extension, as deployed servers do it."""

from __future__ import annotations

import pytest

from dicomweb_core import OriginServer
from tests.clients import ANY_DICOM, Client
from tests.standard.test_retrieve import BIG_ENDIAN, CT, stored, url_of


@pytest.mark.parametrize("level", [1, 2, 3], ids=["study", "series", "instance"])
def test_deleted_is_gone_and_no_longer_found_DEL_01_DEL_02_DEL_03_RET_07_COM_42(client: Client, level: int) -> None:
    url = stored(client, CT, BIG_ENDIAN)
    target = "/".join(url.split("/")[: 1 + 2 * level])
    assert client.request("DELETE", target).status == 204
    for gone in (url, url + "/metadata", url + "/frames/1", target):
        assert client.get(gone, "*/*").status == 410, gone
    assert client.request("DELETE", target).status == 410
    assert client.get("/instances").json[0]["00080018"]["Value"] == [url_of(BIG_ENDIAN).rsplit("/")[-1]]
    assert len(client.get("/studies").json) == 1
    assert client.get("/".join(url_of(BIG_ENDIAN).split("/")[:3]), ANY_DICOM).status == 200


def test_deleting_what_never_was_DEL_01(client: Client) -> None:
    assert client.request("DELETE", "/studies/1.2.3").status == 404


def test_stored_again_after_delete(client: Client) -> None:
    url = stored(client, CT)
    client.request("DELETE", url)
    assert client.store(CT).status == 200
    assert client.get(url, ANY_DICOM).parts[0][1] == CT


def test_switched_off_DEL_04_COM_41(server: OriginServer) -> None:
    client = Client(OriginServer(instances=server.site.instances, allow_delete=False))
    url = stored(client, CT)
    answer = client.request("DELETE", url)
    assert answer.status == 405
    assert answer.header("Allow") == "GET, HEAD, OPTIONS"
    assert client.get(url, ANY_DICOM).status == 200
