"""Requests to a server in the same process, without a socket."""

from __future__ import annotations

from io import BytesIO
from typing import TYPE_CHECKING
from urllib.parse import unquote

from dicomweb_worklist.errors import ConnectionLost
from dicomweb_worklist.transport import Answer, Headers

if TYPE_CHECKING:
    from dicomweb_core import OriginServer


class OriginTransport:
    """To an `OriginServer`, which stays whose it is: `close` does nothing to it. Events come by long polling."""

    def __init__(self, server: OriginServer, *, base_url: str = "http://localhost") -> None:
        """`base_url` is what URLs in answers begin with."""
        self._server = server
        self._base_url = base_url

    def send(self, method: str, path: str, headers: Headers, body: bytes = b"", *, patience: float = 0.0) -> Answer:
        """See `Transport`. The server itself ends what it holds back."""
        # Not at the top: where this is not used dicomweb-core need not be installed.
        from dicomweb_core import Request

        place, _, query = path.partition("?")
        request = Request(method, unquote(place), query, headers, BytesIO(body), self._base_url)
        response = self._server.handle(request)
        try:
            content = response.body.read()
        except Exception as error:
            raise ConnectionLost("The answer of the server broke off.") from error
        return Answer(response.status, response.headers, content)

    def close(self) -> None:
        """Nothing is held."""
