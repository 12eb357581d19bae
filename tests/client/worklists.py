"""Worklists to be clients of."""

from __future__ import annotations

from dicomweb_core import OriginServer, WorklistPolicy
from dicomweb_memory import MemoryInstanceStore, MemoryWorklistStore
from dicomweb_worklist import Answer, Code, ConnectionLost, OriginTransport
from dicomweb_worklist.transport import Headers

SEGMENT = Code("SEG", "99TEST", "Segmentation")
STATION = Code("GPU1", "99TEST", "First of them")


def origin(**policy: bool) -> OriginServer:
    """A server over an empty worklist in memory."""
    return OriginServer(
        instances=MemoryInstanceStore(), worklist=MemoryWorklistStore(), worklist_policy=WorklistPolicy(**policy)
    )


class LosingTransport(OriginTransport):
    """To a server that does what is asked, while some answers do not arrive: those of the requests so numbered."""

    def __init__(self, server: OriginServer, *lost: int, sent: bool = True, status: int | None = None) -> None:
        super().__init__(server)
        self.requests: list[tuple[str, str]] = []
        self._lost, self._sent, self._status = lost, sent, status

    def send(self, method: str, path: str, headers: Headers, body: bytes = b"", *, patience: float = 0.0) -> Answer:
        self.requests.append((method, path.partition("?")[0].rpartition("/")[2]))
        is_lost = len(self.requests) in self._lost
        if is_lost and not self._sent:
            raise ConnectionLost("Nobody is there.", sent=False)
        answer = super().send(method, path, headers, body, patience=patience)
        if is_lost and self._status is not None:
            return Answer(self._status)
        if is_lost:
            raise ConnectionLost("The answer is lost.")
        return answer


class OtherServer:
    """Answers as it is told, one after the other, and keeps what it was asked."""

    def __init__(self, *answers: Answer) -> None:
        self._answers = list(answers)
        self.requests: list[tuple[str, str, bytes]] = []

    def send(self, method: str, path: str, headers: Headers, body: bytes = b"", *, patience: float = 0.0) -> Answer:
        self.requests.append((method, path, body))
        return self._answers.pop(0)

    def close(self) -> None:
        """Nothing is held."""
