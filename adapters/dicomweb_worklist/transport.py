"""What carries requests to a server: anything with `send`."""

from __future__ import annotations

from typing import NamedTuple, Protocol, runtime_checkable

Headers = tuple[tuple[str, str], ...]


class Answer(NamedTuple):
    """One HTTP response, its payload whole."""

    status: int
    headers: Headers = ()
    body: bytes = b""

    def values(self, name: str) -> tuple[str, ...]:
        """Of a header that may come several times. Any case of `name`."""
        return tuple(value for key, value in self.headers if key.lower() == name.lower())

    def header(self, name: str) -> str | None:
        """The first value of a header; None when it is absent."""
        return next(iter(self.values(name)), None)


class Transport(Protocol):
    """Sends requests to one service. Used by several threads at once."""

    def send(self, method: str, path: str, headers: Headers, body: bytes = b"", *, patience: float = 0.0) -> Answer:
        """The answer to a request. `path` is below the service root, percent-encoded, with its query, and begins with a
        slash. `patience` is for how many seconds the server may hold the answer back on purpose.

        Raises ConnectionLost when there is no answer.
        """

    def close(self) -> None:
        """Frees what is held. Idempotent."""


class Texts(Protocol):
    """An open notification connection. Used by one thread, but for `interrupt`."""

    def receive(self, wait: float) -> list[str]:
        """Texts of messages that came, in order; none when nothing came for so many seconds.

        Calling it says that those of the last call have been taken. Raises ConnectionLost.
        """

    def interrupt(self) -> None:
        """From any thread: has `receive` end as soon as it can, as if the connection were lost."""

    def close(self) -> None:
        """Ends the connection; what the last call of `receive` gave does not count as taken. Idempotent."""


@runtime_checkable
class OpensNotifications(Protocol):
    """A transport that can open notification connections (PS3.18 8.10.4), too."""

    def notification_urls(self, given: str | None, aetitle: str) -> tuple[str, ...]:
        """Where the connection of an AE may be, the likeliest first. `given` is what a subscription said."""

    def open_notifications(self, url: str) -> Texts:
        """Opens one. Raises ConnectionLost, and what `error_of` makes of an answer that refuses it."""
