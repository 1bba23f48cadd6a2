"""Replies of the study's server: JSON, and refusals that say what was expected, what came, and the remedy."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from streaming_metrics.study.web import HTTPException, Response

if TYPE_CHECKING:
    from streaming_metrics.study.web import Request

SHOWN = 60
"""Characters of what came that a refusal repeats."""
OF_ROUTER = {
    404: ("an address of this study", "open the link as it was given to you."),
    405: ("a method that the header Allow names", "use one of these."),
}


class Refusal(HTTPException):
    """Refusal of a request, with the status that it is answered with."""

    def __init__(self, status: int, expected: str, got: str, remedy: str, retry_after: float | None = None) -> None:
        headers = None if retry_after is None else {"Retry-After": str(max(1, round(retry_after + 0.5)))}
        super().__init__(status, f"expected {expected}, got {got}. Remedy: {remedy}", headers)


def reply(content: Any, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """Return a JSON response, in ASCII: a lone surrogate that came in a request must not break the answer to it."""
    text = json.dumps(content, allow_nan=False)
    return Response(text, status, headers, "application/json")


def shown(value: object) -> str:
    """Return what came, in ASCII and cut short.

    Example:
        >>> shown("5"), shown([[]]), shown(chr(0x1F600)).isascii(), len(shown("x" * 999))
        ("'5'", 'a list', True, 60)
    """
    if isinstance(value, dict | list):
        return {dict: "an object", list: "a list"}[type(value)]
    text = ascii(value)
    return text if len(text) <= SHOWN else text[: SHOWN - 1] + "~"


def natural(text: str) -> int | None:
    """Return the natural number, of at most nine digits, that a text is; else None.

    Example:
        >>> natural("12"), natural("-1"), natural(chr(0x663)), natural("9" * 5000)
        (12, None, None, None)
    """
    return int(text) if text.isascii() and text.isdecimal() and len(text) <= 9 else None


async def refuse(request: Request, error: Exception) -> Response:
    """Answer with a refusal; one that the router made gets our words."""
    assert isinstance(error, HTTPException)
    text = error.detail
    if not isinstance(error, Refusal):
        expected, remedy = OF_ROUTER.get(error.status_code, ("a request that this server takes", "reload the page."))
        text = f"expected {expected}, got {shown(request.method)} of another. Remedy: {remedy}"
    return reply({"error": text}, error.status_code, dict(error.headers or {}))
