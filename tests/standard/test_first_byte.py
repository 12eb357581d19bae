"""Long answers begin early: counted in rows that the store had to give before the first chunk, not in time."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from dicomweb_core import InstanceStore, OriginServer, Request, Response
from dicomweb_core.services.answers import HELD_BYTES
from tests.clients import ANY_DICOM, BASE, JSON
from tests.made import made, path
from tests.standard.test_retrieve import XML

INSTANCES = 100
COMMENT = "x" * 10_000


class Counted:
    """A store that counts the rows it gave."""

    def __init__(self, store: InstanceStore) -> None:
        self._store = store
        self.rows = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    def metadata(self, within: Any) -> Iterator[Any]:
        return self._counted(self._store.metadata(within))

    def instances(self, within: Any) -> Iterator[Any]:
        return self._counted(self._store.instances(within))

    def _counted(self, rows: Iterator[Any]) -> Iterator[Any]:
        for row in rows:
            self.rows += 1
            yield row


@pytest.fixture
def counted(store: InstanceStore) -> Counted:
    OriginServer(instances=store).store(made(1, 1, number, ImageComments=COMMENT) for number in range(1, INSTANCES + 1))
    return Counted(store)


@pytest.fixture
def begun(counted: Counted) -> Iterator[Callable[[str, str], tuple[Response, bytes]]]:
    """Asks, and takes the first chunk."""
    responses: list[Response] = []

    def begin(target: str, accept: str) -> tuple[Response, bytes]:
        server = OriginServer(instances=counted)  # type: ignore[arg-type]  # the calls it counts, and the store's own
        name, _, query = target.partition("?")
        response = server.handle(Request("GET", name, query, (("Accept", accept),), io.BytesIO(), BASE))
        responses.append(response)
        return response, bytes(next(iter(response.body)))

    yield begin
    for response in responses:
        response.body.close()


Begin = Callable[[str, str], tuple[Response, bytes]]


@pytest.mark.parametrize(
    ("target", "accept", "rows"),
    [
        pytest.param(f"{path(1)}/metadata", JSON, HELD_BYTES // len(COMMENT) + 12, id="metadata as JSON"),
        pytest.param(f"{path(1)}/metadata", XML, 2, id="metadata as XML"),
        pytest.param(
            f"{path(1)}/metadata?includefield=ImageComments", JSON, HELD_BYTES // len(COMMENT) + 12, id="fields"
        ),
    ],
)
def test_a_long_answer_begins_before_all_is_read(
    counted: Counted, begun: Begin, target: str, accept: str, rows: int
) -> None:
    response, first = begun(target, accept)
    assert response.status == 200
    assert response.body.length is None
    assert first
    assert counted.rows <= rows < INSTANCES
    rest = b"".join(bytes(chunk) for chunk in response.body)
    assert counted.rows == INSTANCES
    assert (first + rest).count(COMMENT.encode()) == INSTANCES
    if accept == JSON:
        assert len(json.loads(first + rest)) == INSTANCES


def test_a_short_answer_says_its_length(counted: Counted, begun: Begin) -> None:
    response, first = begun(f"{path(1)}/metadata?includefield=PatientName", JSON)
    assert response.body.length == len(first)
    assert len(json.loads(first)) == INSTANCES


def test_instances_that_are_sent_as_stored_say_their_length(counted: Counted, begun: Begin) -> None:
    response, first = begun(path(1), ANY_DICOM)
    assert response.body.length is not None
    assert response.body.length > len(first)
