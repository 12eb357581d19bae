"""The URL of the service, as a table: what the environ says, whom we trust, what comes out (PS3.18 8.2; A36, A38)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dicomweb_core.errors import BadRequest
from dicomweb_wsgi.base_url import TrustedProxies, base_url, parse_mount, parse_public_url

PROXY = "10.0.0.7"
TRUSTED = ("10.0.0.0/8", "fd00::/8")


def environ_of(**changes: str) -> dict[str, str]:
    environ = {
        "wsgi.url_scheme": "http",
        "HTTP_HOST": "pacs.example.org",
        "SERVER_NAME": "127.0.0.1",
        "SERVER_PORT": "80",
        "SCRIPT_NAME": "",
        "REMOTE_ADDR": "203.0.113.9",
    }
    names = {"scheme": "wsgi.url_scheme", "host": "HTTP_HOST", "name": "SERVER_NAME", "port": "SERVER_PORT"}
    names |= {"script": "SCRIPT_NAME", "peer": "REMOTE_ADDR", "forwarded": "HTTP_FORWARDED"}
    names |= {f"x_{part}": f"HTTP_X_FORWARDED_{part.upper()}" for part in ("proto", "host", "port", "prefix")}
    return environ | {names[key]: value for key, value in changes.items()}


def url_of(mount: str = "", trusted: tuple[str, ...] = TRUSTED, **changes: str) -> str:
    return base_url(environ_of(**changes), TrustedProxies.parse(trusted), mount)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        pytest.param({}, "http://pacs.example.org", id="Host"),
        pytest.param({"host": "pacs.example.org:8042"}, "http://pacs.example.org:8042", id="Host with port"),
        pytest.param({"port": "8042"}, "http://pacs.example.org:8042", id="port put back"),
        pytest.param({"host": "a:9000", "port": "8042"}, "http://a:9000", id="the port of Host wins"),
        pytest.param({"host": "a:80", "port": "8042"}, "http://a", id="default port left out"),
        pytest.param({"scheme": "https", "port": "443"}, "https://pacs.example.org", id="https default port"),
        pytest.param({"scheme": "https", "host": "a:80"}, "https://a:80", id="port 80 is no default of https"),
        pytest.param({"host": "a:", "port": "8042"}, "http://a:8042", id="empty port"),
        pytest.param({"host": "[::1]:8042"}, "http://[::1]:8042", id="IPv6"),
        pytest.param({"host": "", "port": "8042"}, "http://127.0.0.1:8042", id="no Host"),
        pytest.param({"host": "", "name": "::1", "port": "8042"}, "http://[::1]:8042", id="no Host, IPv6"),
        pytest.param({"host": "", "name": "", "port": ""}, "http://localhost", id="nothing at all"),
        pytest.param({"script": "/pacs"}, "http://pacs.example.org/pacs", id="SCRIPT_NAME"),
        pytest.param({"script": "/pacs/"}, "http://pacs.example.org/pacs", id="A38 SCRIPT_NAME ends in a slash"),
        pytest.param({"script": "/"}, "http://pacs.example.org", id="A38 SCRIPT_NAME is a slash"),
        pytest.param({"script": "/\xc3\xa9 x"}, "http://pacs.example.org/%C3%A9%20x", id="SCRIPT_NAME is encoded"),
    ],
)
def test_without_proxy(changes: dict[str, str], expected: str) -> None:
    assert url_of(**changes) == expected
    assert url_of("/dicom-web", **changes) == f"{expected}/dicom-web"


FORWARDED = {"x_proto": "https", "x_host": "evil.example", "x_port": "444", "x_prefix": "/evil"}


@pytest.mark.parametrize(
    ("trusted", "peer", "believed"),
    [
        pytest.param((), PROXY, False, id="A36 nobody is trusted"),
        pytest.param(TRUSTED, "203.0.113.9", False, id="A36 another peer"),
        pytest.param(TRUSTED, "", False, id="A36 a Unix socket is no address"),
        pytest.param(TRUSTED, "10.evil", False, id="A36 no address"),
        pytest.param(TRUSTED, PROXY, True, id="in the network"),
        pytest.param(TRUSTED, "::ffff:10.0.0.7", True, id="IPv4 in IPv6"),
        pytest.param(TRUSTED, "fd00::1", True, id="IPv6"),
        pytest.param(("fe80::/10",), "fe80::1%eth0", True, id="IPv6 with zone"),
        pytest.param((PROXY,), PROXY, True, id="one address"),
        pytest.param((PROXY,), "10.0.0.8", False, id="A36 its neighbour"),
        pytest.param(("unix",), "", True, id="Unix socket"),
        pytest.param(("unix",), PROXY, False, id="A36 Unix sockets only"),
        pytest.param(("*",), "203.0.113.9", True, id="everyone"),
        pytest.param(("*",), "", True, id="everyone, Unix socket"),
    ],
)
def test_whom_we_believe(trusted: tuple[str, ...], peer: str, believed: bool) -> None:
    url = url_of(trusted=trusted, peer=peer, **FORWARDED)
    assert url == ("https://evil.example:444/evil" if believed else "http://pacs.example.org")
    by_rfc = url_of(trusted=trusted, peer=peer, forwarded="proto=https;host=evil.example")
    assert by_rfc == ("https://evil.example" if believed else "http://pacs.example.org")


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        pytest.param({"x_proto": "https"}, "https://pacs.example.org", id="proto"),
        pytest.param({"x_proto": "HTTPS"}, "https://pacs.example.org", id="proto in capitals"),
        pytest.param({"x_proto": "http, https"}, "https://pacs.example.org", id="last proto"),
        pytest.param({"x_proto": "https", "port": "8042"}, "https://pacs.example.org", id="inner port not put back"),
        pytest.param({"x_host": "a.org", "port": "8042"}, "http://a.org", id="host"),
        pytest.param({"x_host": "a.org:8080"}, "http://a.org:8080", id="host with port"),
        pytest.param({"x_host": "evil.org, a.org"}, "http://a.org", id="A36 last host"),
        pytest.param({"x_host": "a.org", "x_port": "8080"}, "http://a.org:8080", id="host and port"),
        pytest.param({"x_host": "a.org:1", "x_port": "2"}, "http://a.org:1", id="port of host wins"),
        pytest.param({"x_proto": "https", "x_port": "443"}, "https://pacs.example.org", id="default port"),
        pytest.param({"x_prefix": "/pacs"}, "http://pacs.example.org/pacs", id="prefix"),
        pytest.param({"x_prefix": "/pacs/"}, "http://pacs.example.org/pacs", id="prefix with slash"),
        pytest.param({"x_prefix": "/"}, "http://pacs.example.org", id="prefix of a slash"),
        pytest.param({"x_prefix": "/a", "script": "/b"}, "http://pacs.example.org/a/b", id="prefix before SCRIPT_NAME"),
        pytest.param({"x_proto": "javascript"}, "http://pacs.example.org", id="A36 proto javascript"),
        pytest.param({"x_host": "evil@a.org"}, "http://pacs.example.org", id="A36 userinfo"),
        pytest.param({"x_host": "a b"}, "http://pacs.example.org", id="A36 space"),
        pytest.param({"x_host": "a/b"}, "http://pacs.example.org", id="A36 path in host"),
        pytest.param({"x_port": "0"}, "http://pacs.example.org", id="A36 port 0"),
        pytest.param({"x_port": "65536"}, "http://pacs.example.org", id="A36 port too large"),
        pytest.param({"x_port": "٨"}, "http://pacs.example.org", id="A36 port in other digits"),
        pytest.param({"x_prefix": "//evil/.."}, "http://pacs.example.org", id="A36 prefix with two slashes"),
        pytest.param({"x_prefix": "/a/../b"}, "http://pacs.example.org", id="A36 prefix with dots"),
        pytest.param({"x_prefix": "evil.org"}, "http://pacs.example.org", id="A36 prefix without slash"),
        pytest.param({"x_prefix": "/a?b"}, "http://pacs.example.org", id="A36 prefix with query"),
        pytest.param({"x_prefix": '/a"b'}, "http://pacs.example.org", id="A36 prefix with quote"),
        pytest.param({"forwarded": "for=1.2.3.4;proto=https;host=a.org"}, "https://a.org", id="Forwarded"),
        pytest.param({"forwarded": 'For="[::1]:1"; Host="a.org:81"'}, "http://a.org:81", id="Forwarded, quoted"),
        pytest.param({"forwarded": "host=evil.org, host=a.org"}, "http://a.org", id="A36 the nearest hop"),
        pytest.param({"forwarded": "host=evil.org, for=_x"}, "http://pacs.example.org", id="A36 only the nearest hop"),
        pytest.param({"forwarded": 'for="x, host=evil.org'}, "http://pacs.example.org", id="A36 open quote"),
        pytest.param({"forwarded": "host=a.org,"}, "http://a.org", id="comma at the end"),
        pytest.param({"forwarded": "nonsense"}, "http://pacs.example.org", id="A36 no pairs"),
        pytest.param(
            {"forwarded": "host=evil.org", "x_proto": "https"}, "https://pacs.example.org", id="A36 both kinds"
        ),
    ],
)
def test_behind_a_trusted_proxy(changes: dict[str, str], expected: str) -> None:
    assert url_of(peer=PROXY, **changes) == expected


@pytest.mark.parametrize(
    "host",
    ["a b", "evil@a.org", "a.org/x", "a.org:http", "a.org:99999", "a.org:0", "a\r\nb", "a:1:2", "[::1", "[xyz]", "a,b",
     "javascript:alert(1)", "<script>", "a?b", "a#b", "\xe9.org", "a" * 300, "[1.2.3.4]", "[::%eth0]"],
)  # fmt: skip
def test_a_malformed_host_is_refused_A36(host: str) -> None:
    with pytest.raises(BadRequest):
        url_of(host=host)


SAFE = set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~:/[]!$&'()*+,;=@%")


@given(st.text(alphabet=st.characters(max_codepoint=255)), st.text(), st.text(), st.text(), st.text(), st.text())
def test_whatever_a_proxy_says_the_result_is_a_url_A36(
    script: str, proto: str, host: str, port: str, prefix: str, forwarded: str
) -> None:
    said = {"x_proto": proto, "x_host": host, "x_port": port, "x_prefix": prefix}
    for headers in (said, {"forwarded": forwarded}):
        url = url_of(peer=PROXY, script=script, **headers)
        assert url.startswith(("http://", "https://"))
        assert set(url) <= SAFE
        assert not url.endswith("/")


@pytest.mark.parametrize(
    ("text", "mount"),
    [("", ""), ("/", ""), ("dicom-web", "/dicom-web"), ("/dicom-web", "/dicom-web"), ("/a/b/", "/a/b")],
)
def test_mounts(text: str, mount: str) -> None:
    assert parse_mount(text) == mount


@pytest.mark.parametrize("text", ["/a b", "/a?b", "/../x", "/a//b", "/a%2Fb", "/é"])
def test_no_mounts(text: str) -> None:
    with pytest.raises(ValueError, match="mount"):
        parse_mount(text)


@pytest.mark.parametrize("text", ["https://a.org/dicom-web", "http://a.org:8042", "http://[::1]:8042/x"])
def test_public_urls(text: str) -> None:
    assert parse_public_url(text) == text
    assert parse_public_url(text + "/") == text


@pytest.mark.parametrize(
    "text", ["", "a.org", "ftp://a.org", "https://", "https://a.org?x=1", "https://u@a.org", "https://a.org/a b", "//a"]
)
def test_no_public_urls(text: str) -> None:
    with pytest.raises(ValueError):
        parse_public_url(text)


@pytest.mark.parametrize("text", ["", "everyone", "10.0.0.0/99", "10.0.0"])
def test_no_proxies(text: str) -> None:
    with pytest.raises(ValueError):
        TrustedProxies.parse([text])
