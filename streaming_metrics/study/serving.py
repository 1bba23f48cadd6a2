"""Serving a study: its server on a port of this machine, the links in the terminal, and no log of who came."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

from streaming_metrics.study.guard import Hosts, is_loopback
from streaming_metrics.study.schema import StoreRefused
from streaming_metrics.study.server import application
from streaming_metrics.study.web import REMEDY

try:
    import uvicorn
except ImportError as error:
    raise ImportError(REMEDY.format(error)) from error

if TYPE_CHECKING:
    from collections.abc import Callable

    from streaming_metrics.study.limits import Limits
    from streaming_metrics.study.plan import StudyPlan
    from streaming_metrics.study.server import Order
    from streaming_metrics.study.store import Store
    from streaming_metrics.study.web import ASGIApp

WARNING = (
    "warning: bound to {host}: who reaches this machine over the network and has a link can answer, and what is sent "
    "can be read on its way. Remedy: leave --host out, and let a proxy with HTTPS lead to it, named by --public-url."
)
TOLD_BEFORE = "admin page: its link was told at the first start. Remedy, where it is lost: --new-admin-link."
CONNECTIONS, GRACE, IDLE = 1000, 5, 30
"""Connections at once, at most; seconds that running requests get at the end; that a silent connection is kept."""
HEADERS = 16384
"""Bytes of a request's headers, at most."""


def serve(
    store: Store,
    plan: StudyPlan,
    host: str = "127.0.0.1",
    port: int = 8000,
    public_url: str | None = None,
    *,
    new_admin_link: bool = False,
    limits: Limits | None = None,
    order: Order | None = None,
    say: Callable[[str], None] = print,
) -> None:
    """Serve a study until Ctrl-C or SIGTERM; running requests are answered first.

    Args:
        store: with the study's items and raters in it.
        plan: that the store was begun with.
        host: name or address to bind to; 127.0.0.1 is reached from this machine alone.
        port: 0 takes a free one.
        public_url: under which a proxy shows the server; links begin with it.
        new_admin_link: make a new link of the admin page; the earlier one opens it no more.
        limits: of rates and sizes.
        order: the trials of a rater slot, where not those of the plan.
        say: is told the links, line by line, once they can be opened.

    Raises:
        OSError: where the port is taken.
        ValueError: where the public URL is none.
    """
    hosts = Hosts.of(host, public_url)
    app = application(store, plan, hosts, limits, order)
    with _bound(host, port) as listening:
        url = hosts.url or f"http://{_in_url(host)}:{listening.getsockname()[1]}"
        lines = _lines(store, url, new_admin_link) + [WARNING.format(host=host)] * (not is_loopback(host))
        server = uvicorn.Server(configuration(app))
        with server.capture_signals():  # from the first link told on: Ctrl-C in a loop half made leaves a traceback
            for line in lines:
                say(line)
            server.run(sockets=[listening])


def configuration(app: ASGIApp) -> uvicorn.Config:
    """Return how uvicorn runs the server: without a log of accesses, and without its name in answers."""
    return uvicorn.Config(
        app,
        http="h11",
        ws="none",
        lifespan="off",
        loop="asyncio",
        access_log=False,
        server_header=False,
        proxy_headers=False,
        log_level="warning",
        limit_concurrency=CONNECTIONS,
        timeout_keep_alive=IDLE,
        timeout_graceful_shutdown=GRACE,
        h11_max_incomplete_event_size=HEADERS,
    )


def _bound(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=CONNECTIONS)
    except OSError as error:
        remedy = "Remedy: another --port, or --port 0 for any that is free."
        raise OSError(error.errno, f"expected a free port {port} at {host}, got: {error.strerror}. {remedy}") from error


def _in_url(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _lines(store: Store, url: str, new_admin_link: bool) -> list[str]:
    """Return what is said once the port is bound: the links."""
    try:
        lines = [f"rater {slot}: {url}/r/{token}/" for slot, token in enumerate(store.tokens(), 1)]
    except StoreRefused as error:
        lines = [f"warning: {error}"]
    token = store.new_admin_token() if new_admin_link else store.admin_token()
    return [*lines, f"admin page: {url}/admin?token={token}" if token else TOLD_BEFORE]
