"""Door to Starlette and anyio, which the extra ``[study]`` brings: what the study's server uses of them."""

from __future__ import annotations

REMEDY = "serving a study: expected Starlette and uvicorn, got {}. Remedy: pip install 'streaming-metrics[study]'."

try:
    from anyio import fail_after as fail_after
    from starlette.applications import Starlette as Starlette
    from starlette.concurrency import run_in_threadpool as run_in_threadpool
    from starlette.exceptions import HTTPException as HTTPException
    from starlette.requests import ClientDisconnect as ClientDisconnect
    from starlette.requests import Request as Request
    from starlette.responses import RedirectResponse as RedirectResponse
    from starlette.responses import Response as Response
    from starlette.responses import StreamingResponse as StreamingResponse
    from starlette.routing import Route as Route
    from starlette.types import ASGIApp as ASGIApp
    from starlette.types import Message as Message
    from starlette.types import Receive as Receive
    from starlette.types import Scope as Scope
    from starlette.types import Send as Send
except ImportError as error:
    raise ImportError(REMEDY.format(error)) from error
