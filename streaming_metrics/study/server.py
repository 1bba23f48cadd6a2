"""Server of a study: shows raters their trials, and acknowledges an answer once it is on the disk.

A rater is known by the token of a link alone: no cookies, no names, no addresses. Items are asked for by trial and
place, both numbers, so no path reaches the file system, and nothing that a page is told says which condition an item is
of, what is real, or which trials check attention.
"""

from __future__ import annotations

import logging
import sqlite3
from typing import TYPE_CHECKING

from streaming_metrics.study.admin import Admin
from streaming_metrics.study.guard import Guard, Hosts
from streaming_metrics.study.limits import Buckets, Limits, read_body
from streaming_metrics.study.replies import Refusal, refuse, reply
from streaming_metrics.study.sessions import Sessions
from streaming_metrics.study.web import (
    ClientDisconnect,
    HTTPException,
    RedirectResponse,
    Response,
    Route,
    Starlette,
    run_in_threadpool,
)

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from streaming_metrics.study.plan import StudyPlan
    from streaming_metrics.study.records import Rater
    from streaming_metrics.study.store import Store
    from streaming_metrics.study.trial import Trial
    from streaming_metrics.study.web import ASGIApp, Request

    Order = Callable[[int], Sequence[Trial]]
    Handler = Callable[[Rater, Request], Response]
    Endpoint = Callable[[Request], Awaitable[Response]]

NOTICE = "This is a study in which people judge images. Open the link that was given to you.\n"
TRY_AGAIN = 2
"""Seconds after which a page may send an answer again that could not be written."""

log = logging.getLogger(__name__)


def application(
    store: Store,
    plan: StudyPlan,
    hosts: Hosts | None = None,
    limits: Limits | None = None,
    order: Order | None = None,
) -> ASGIApp:
    """Return a study's server.

    Args:
        store: with the study's items and raters in it.
        plan: that the store was begun with.
        hosts: by which it may be called; those of this machine alone unless told.
        limits: of rates and sizes.
        order: the trials of a rater slot, where not those of the plan.
    """
    hosts = hosts or Hosts.of("127.0.0.1")
    sessions = Sessions(store, plan, order or _planned(plan))
    admin = Admin(store, lambda slot: len(sessions.trials(slot)), hosts.url)
    app = Starlette(routes=_Doors(store, limits or Limits()).routes(sessions, admin), exception_handlers=HANDLERS)
    app.router.redirect_slashes = False
    return Guard(app, hosts)


def _planned(plan: StudyPlan) -> Order:
    from streaming_metrics.study.order import trials

    return lambda slot: trials(plan, slot)


class _Doors:
    """Doors of the server: who may come in by which, and how often."""

    def __init__(self, store: Store, limits: Limits) -> None:
        self._store, self._limits = store, limits
        self._each, self._all, self._strangers = map(Buckets, (limits.rater, limits.raters, limits.stranger))

    def routes(self, sessions: Sessions, admin: Admin) -> list[Route]:
        here = "/r/{token}"
        return [
            Route("/", self._notice),
            Route(here, self._to_page),
            Route(here + "/", self._rated(sessions.index)),
            Route(here + "/session", self._rated(sessions.session)),
            Route(here + "/consent", self._rated(sessions.consent), methods=["POST"]),
            Route(here + "/trials", self._rated(sessions.some_trials)),
            Route(here + "/item/{trial}/{place}", self._rated(sessions.item)),
            Route(here + "/answers", self._rated(sessions.answer), methods=["POST"]),
            Route(here + "/{file}", self._rated(sessions.file)),
            Route("/admin", self._administered(admin.page)),
            Route("/admin/{file}", self._administered(admin.file)),
        ]

    async def _notice(self, request: Request) -> Response:  # noqa: ARG002
        self._strangers.spend()
        return Response(NOTICE, media_type="text/plain")

    async def _to_page(self, request: Request) -> Response:
        """Lead to the address with a slash, from which the page's relative ones start."""
        self._strangers.spend()
        return RedirectResponse(request.url.path.rpartition("/")[2] + "/")

    def _rated(self, handler: Handler) -> Endpoint:
        """Return the endpoint of a handler that is given the rater; in a thread, since it waits for the disk."""

        async def endpoint(request: Request) -> Response:
            rater = await run_in_threadpool(self._store.rater, request.path_params["token"])
            if rater is None:
                raise self._unknown()
            self._each.spend(rater.slot)
            self._all.spend()
            if request.method == "POST":
                request.state.body = await read_body(request, self._limits)
            return await run_in_threadpool(handler, rater, request)

        return endpoint

    def _administered(self, handler: Callable[[Request], Response]) -> Endpoint:
        async def endpoint(request: Request) -> Response:
            known = await run_in_threadpool(self._store.is_admin, request.query_params.get("token", ""))
            if not known:
                raise self._unknown()
            return await run_in_threadpool(handler, request)

        return endpoint

    def _unknown(self) -> Refusal:
        """Refuse who has no link; guesses are few, and take nothing from those who have one."""
        self._strangers.spend()
        return Refusal(404, "a link of this study", "another", "open the link as it was given to you.")


async def _not_written(request: Request, error: Exception) -> Response:
    log.error("the store could not be used: %s", error)
    again = Refusal(503, "a store that can be written", "an error of its disk", "send it again.", TRY_AGAIN)
    return await refuse(request, again)


async def _failed(request: Request, error: Exception) -> Response:  # noqa: ARG001
    return reply({"error": "expected an answer, got an error of this server. Remedy: tell who runs the study."}, 500)


async def _left(request: Request, error: Exception) -> Response:  # noqa: ARG001
    return reply({"error": "expected the whole request, got a part. Remedy: send it again."}, 400)


HANDLERS = {HTTPException: refuse, sqlite3.Error: _not_written, ClientDisconnect: _left, Exception: _failed}
