"""The URL under which a client reaches the service (PS3.18 8.2): what every URL in an answer begins with.

It is the configured public URL; else what a trusted proxy says (RFC 7239 `Forwarded`, `X-Forwarded-*`); else the
Host the client named. Nothing a client sends is believed about a proxy unless its address was declared one.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final, NamedTuple, Self
from urllib.parse import quote

from dicomweb_core.errors import BadRequest

_Network = ipaddress.IPv4Network | ipaddress.IPv6Network

_DEFAULT_PORT: Final = {"http": "80", "https": "443"}
_AUTHORITY: Final = re.compile(r"(?P<host>[A-Za-z0-9._~-]{1,255}|\[[0-9A-Fa-f:.]{2,45}\])(?::(?P<port>[0-9]{0,5}))?")
_PREFIX: Final = re.compile(r"(?:/[A-Za-z0-9._~!$&'()*+,;=:@%-]+)*/?")
_PUBLIC_URL: Final = re.compile(r"(?P<scheme>https?)://(?P<authority>[^/?#]+)(?P<path>/[^?#]*)?")
_EVENT_URL: Final = re.compile(r"wss?://(?:\{host\}|[^/?#\s{}]+)(?::[0-9]{1,5})?(?:/[^?#\s]*)?")
_ORIGIN: Final = re.compile(r"\*|[a-z][a-z0-9+.-]*://[^/?#@\s]+")
_FORWARDED_PAIR: Final = re.compile(
    r"""[ \t]*([!#$%&'*+.^_`|~0-9A-Za-z-]+)=("(?:[^"\\]|\\.)*"|[^ \t",;]*)[ \t]*(;|,|$)"""
)
_QUOTED_PAIR: Final = re.compile(r"\\(.)")
_NO_URL_ENCODING_IN_PATH: Final = "/!$&'()*+,;=:@~"


class Authority(NamedTuple):
    """Host and port of a URL, checked. `port` is empty when none was given."""

    host: str
    port: str

    @classmethod
    def parse(cls, text: str) -> Self:
        """Of a Host header: name or address, in brackets if it is IPv6, and perhaps a port. Raises ValueError."""
        match = _AUTHORITY.fullmatch(text)
        if match is None:
            raise ValueError("not a host with an optional port")
        host, port = match["host"], match["port"] or ""
        if host.startswith("["):
            ipaddress.IPv6Address(host[1:-1])
        if port and not 0 < int(port) < 65536:
            raise ValueError("no such port")
        return cls(host, port)


@dataclass(frozen=True, slots=True)
class TrustedProxies:
    """Whose word about forwarding counts: the addresses from which a proxy connects to this server."""

    networks: tuple[_Network, ...] = ()
    everyone: bool = False
    local_sockets: bool = False

    @classmethod
    def parse(cls, texts: Sequence[str]) -> Self:
        """Addresses and networks (`10.0.0.0/8`); `unix` for peers on a Unix socket; `*` for every peer.

        `*` is only right where nothing but the proxy can connect. Raises ValueError.
        """
        networks = tuple(ipaddress.ip_network(text, strict=False) for text in texts if text not in ("*", "unix"))
        return cls(networks, everyone="*" in texts, local_sockets="*" in texts or "unix" in texts)

    def __bool__(self) -> bool:
        return self.everyone or self.local_sockets or bool(self.networks)

    def __contains__(self, remote_address: str) -> bool:
        """Whether a peer with this REMOTE_ADDR is trusted. Peers on a Unix socket have no address."""
        try:
            address = ipaddress.ip_address(remote_address.partition("%")[0])
        except ValueError:
            return self.local_sockets
        if self.everyone:
            return True
        mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
        return any(address in network or (mapped is not None and mapped in network) for network in self.networks)


class Forwarding(NamedTuple):
    """What a proxy said about the request it received; empty texts where it said nothing usable."""

    scheme: str = ""
    authority: Authority | None = None
    port: str = ""
    prefix: str = ""


def parse_mount(text: str) -> str:
    """The path of the service below the application, `/dicom-web`, or empty. Raises ValueError."""
    if text.strip("/") == "":
        return ""
    mount = "/" + text.strip("/")
    if not _PREFIX.fullmatch(mount) or "%" in mount or ".." in mount:
        raise ValueError(f"not a URL path to mount at: {text}")
    return mount


def parse_public_url(text: str) -> str:
    """The URL of the service as clients see it, the mount included, without a slash at the end. Raises ValueError."""
    match = _PUBLIC_URL.fullmatch(text)
    if match is None:
        raise ValueError(f"not an http or https URL without query: {text}")
    Authority.parse(match["authority"])
    if not _PREFIX.fullmatch(match["path"] or ""):
        raise ValueError(f"not a path without dots, empty segments and spaces: {text}")
    return text.rstrip("/")


def parse_event_url(text: str) -> str:
    """The URL of notification connections as clients see it, without a slash at the end; `{host}` stands for the host
    that the client has named. Raises ValueError."""
    if not _EVENT_URL.fullmatch(text):
        raise ValueError(f"not a ws or wss URL without query: {text}")
    return text.rstrip("/")


def parse_origin(text: str) -> str:
    """A web site as browsers name it (RFC 6454 6.2), or `*`. Raises ValueError."""
    origin = text.lower()
    if not _ORIGIN.fullmatch(origin):
        raise ValueError(f"not scheme://host or scheme://host:port, without a slash at the end: {text}")
    return origin


def base_url(environ: Mapping[str, Any], proxies: TrustedProxies, mount: str) -> str:
    """The URL of the service root for this request, without a slash at the end.

    A malformed Host raises BadRequest (RFC 9112 3.2); malformed forwarding headers count as absent.
    """
    said: tuple[str, ...] = ()
    if proxies and environ.get("REMOTE_ADDR", "") in proxies:
        said = tuple(
            environ.get(name, "")
            for name in (
                "HTTP_X_FORWARDED_PROTO",
                "HTTP_X_FORWARDED_HOST",
                "HTTP_X_FORWARDED_PORT",
                "HTTP_X_FORWARDED_PREFIX",
                "HTTP_FORWARDED",
            )
        )
    return _compose(
        environ.get("wsgi.url_scheme", "http"),
        environ.get("HTTP_HOST", ""),
        environ.get("SERVER_NAME", ""),
        str(environ.get("SERVER_PORT", "")),
        environ.get("SCRIPT_NAME", ""),
        mount,
        said,
    )


@lru_cache(maxsize=512)
def _compose(
    scheme: str, host: str, server_name: str, server_port: str, script_name: str, mount: str, said: tuple[str, ...]
) -> str:
    forwarding = _forwarding(*said) if any(said) else Forwarding()
    authority = forwarding.authority or _named_authority(host, server_name)
    scheme = forwarding.scheme or scheme
    port = authority.port or forwarding.port
    if not port and forwarding == Forwarding():
        # Some clients and proxies leave the port out; the one this server listens on is then what they reached.
        port = server_port
    colon_port = "" if port in ("", _DEFAULT_PORT.get(scheme)) else f":{port}"
    path = quote(script_name.strip("/").encode("latin-1"), safe=_NO_URL_ENCODING_IN_PATH)
    return f"{scheme}://{authority.host}{colon_port}{forwarding.prefix}{'/' if path else ''}{path}{mount}"


def _named_authority(host: str, server_name: str) -> Authority:
    if not host:
        bare_ipv6 = ":" in server_name and not server_name.startswith("[")
        return Authority(f"[{server_name}]" if bare_ipv6 else server_name or "localhost", "")
    try:
        return Authority.parse(host)
    except ValueError:
        raise BadRequest("The Host header is malformed.") from None


def _forwarding(proto: str, host: str, port: str, prefix: str, forwarded: str) -> Forwarding:
    """Of each header the last value: the one the trusted peer wrote itself, those before may be anybody's.

    `Forwarded` counts only where no X-Forwarded-* is present: a proxy that writes one kind may pass on the other.
    """
    if proto or host or port or prefix:
        proto, host, port, prefix = (_last(value) for value in (proto, host, port, prefix))
    else:
        element = _last_forwarded(forwarded)
        proto, host = element.get("proto", ""), element.get("host", "")
    return Forwarding(
        scheme=proto.lower() if proto.lower() in _DEFAULT_PORT else "",
        authority=_authority_or_none(host),
        port=port if port.isascii() and port.isdigit() and len(port) < 6 and 0 < int(port) < 65536 else "",
        prefix=prefix.rstrip("/") if _PREFIX.fullmatch(prefix) and ".." not in prefix else "",
    )


def _authority_or_none(host: str) -> Authority | None:
    try:
        return Authority.parse(host)
    except ValueError:
        return None


def _last(value: str) -> str:
    return value.rpartition(",")[2].strip(" \t")


def _last_forwarded(header: str) -> dict[str, str]:
    """The parameters of the last element (RFC 7239 4), names in lower case; empty if any element is malformed."""
    element: dict[str, str] = {}
    position = 0
    while position < len(header):
        match = _FORWARDED_PAIR.match(header, position)
        if match is None:
            return {}
        name, value, separator = match.groups()
        if value.startswith('"'):
            value = _QUOTED_PAIR.sub(r"\1", value[1:-1])
        element[name.lower()] = value
        position = match.end()
        if separator == "," and position < len(header):
            element = {}
    return element
