"""Guard around the study's server: which hosts and origins it answers, and the headers that each response carries."""

from __future__ import annotations

import ipaddress
import socket
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from streaming_metrics.study.replies import reply

if TYPE_CHECKING:
    from collections.abc import Mapping

    from streaming_metrics.study.web import ASGIApp, Message, Receive, Response, Scope, Send

SECURITY = {
    "Content-Security-Policy": "default-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'; object-src 'none'",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",  # a link is a secret, and must not travel in a header
    "Permissions-Policy": "camera=(), display-capture=(), geolocation=(), microphone=(), payment=(), usb=()",
    "Cross-Origin-Opener-Policy": "same-origin",  # with the next two a page's clock is good to 5 µs, not to 100
    "Cross-Origin-Embedder-Policy": "require-corp",
    "Cross-Origin-Resource-Policy": "same-origin",
    "X-Robots-Tag": "noindex, nofollow",
}
ANOTHER_HOST = "expected a host that this study is served as, got another. Remedy: serve it with --public-url."
ANOTHER_SITE = "expected a request of the study's own page, got one of another site. Remedy: open the link itself."
LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
SAFE_METHODS = frozenset({"GET", "HEAD"})


@dataclass(frozen=True)
class Hosts:
    """Hosts by which a server may be called: a page of another name that leads here (DNS rebinding) is refused.

    Args:
        names: as in the header Host, without the port.
        addresses: whether any IP address will do: no one else's name is one.
        url: the public URL, where a proxy stands in between.

    Example:
        >>> hosts = Hosts.of("127.0.0.1", "https://study.example.org/")
        >>> [hosts.allow(host) for host in ("127.0.0.1:8000", "study.example.org", "evil.example.com", "")]
        [True, True, False, False]
    """

    names: frozenset[str]
    addresses: bool = False
    url: str | None = None

    @classmethod
    def of(cls, host: str, public_url: str | None = None) -> Hosts:
        """Return the hosts of a server that is bound to ``host`` and known as ``public_url``.

        Raises:
            ValueError: where the public URL is none.
        """
        names = LOOPBACK | {host.lower()} | (set() if is_loopback(host) else {socket.gethostname().lower()})
        if public_url is None:
            return cls(names, not is_loopback(host))
        parts = urlsplit(public_url)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
            remedy = "Remedy: --public-url https://… as raters open it."
            raise ValueError(f"expected a public URL like https://study.example.org, got {public_url!r}. {remedy}")
        return cls(names | {parts.hostname}, not is_loopback(host), public_url.rstrip("/"))

    def allow(self, host: str) -> bool:
        """Return whether a request with this header Host is for us."""
        name = _hostname(host)
        return bool(name) and (name in self.names or (self.addresses and _address(name) is not None))

    def allow_origin(self, headers: Mapping[str, str]) -> bool:
        """Return whether what writes comes from our own page, or from no page at all."""
        site, origin = headers.get("sec-fetch-site"), headers.get("origin")
        if site not in (None, "same-origin", "none"):
            return False
        if origin in (None, "null"):
            return origin is None or site == "same-origin"
        return (place := _netloc(origin)) is not None and place in {
            headers.get("host", "").lower(),
            _netloc(self.url or ""),
        }


class Guard:
    """Guard: an ASGI application around another."""

    def __init__(self, app: ASGIApp, hosts: Hosts) -> None:
        self._app, self._hosts = app, hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return

        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*_added(message["headers"]), *message["headers"]]
            await send(message)

        refused = self._refused(scope)
        await (refused or self._app)(scope, receive, send_guarded)

    def _refused(self, scope: Scope) -> Response | None:
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        host = headers.get("host", "")
        if not self._hosts.allow(host):
            names = ", ".join(sorted(self._hosts.names))
            return reply(
                {"error": f"expected one of the hosts {names}, got another. Remedy: --public-url names one."}, 421
            )
        if scope["method"] not in SAFE_METHODS and not self._hosts.allow_origin(headers):
            return reply(
                {"error": "expected a request of the study's own page, got one of another site. Remedy: none."}, 403
            )
        return None


def _added(headers: list[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    """Return the headers that each response gets; nothing is stored in between, unless the response says so."""
    names = {name.lower() for name, _ in headers}
    added = SECURITY if b"cache-control" in names else {**SECURITY, "Cache-Control": "no-store"}
    return [(name.lower().encode(), value.encode()) for name, value in added.items()]


def is_loopback(host: str) -> bool:
    """Return whether only this machine reaches a server that is bound to ``host``."""
    address = _address(host)
    return host == "localhost" if address is None else address.is_loopback


def _address(name: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(name)
    except ValueError:
        return None


def _hostname(host: str) -> str:
    """Return the name in a header Host, "" where it is none."""
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""


def _netloc(origin: str) -> str | None:
    """Return host and port of a URL, None where it has none."""
    try:
        return urlsplit(origin).netloc.lower() or None
    except ValueError:
        return None
