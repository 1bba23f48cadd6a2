"""Limits of the study's server: how often one may ask, and how much a request may carry."""

from __future__ import annotations

from dataclasses import dataclass, field
from time import monotonic
from typing import TYPE_CHECKING

from streaming_metrics.study.replies import Refusal, natural, shown
from streaming_metrics.study.web import fail_after

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

    from streaming_metrics.study.web import Request


@dataclass(frozen=True)
class Rate:
    """Rate of requests: so many a second over time, ``burst`` at once."""

    per_second: float
    burst: int


@dataclass(frozen=True)
class Limits:
    """Limits of a server.

    Args:
        rater: requests of one rater's link: a page that loads its next images asks in bursts.
        raters: requests of all links together.
        stranger: requests by unknown links, all together: guesses take nothing from those who have a link.
        body: bytes of a request's body.
        seconds: that a body may take to come.
    """

    rater: Rate = Rate(30, 200)
    raters: Rate = Rate(1000, 2000)
    stranger: Rate = Rate(10, 50)
    body: int = 8192
    seconds: float = 10.0


@dataclass
class Buckets:
    """Token buckets by key: each fills at the rate, holds a burst, and gives one token a request.

    Example:
        >>> time = 0.0
        >>> buckets = Buckets(Rate(per_second=2, burst=1), clock=lambda: time)
        >>> buckets.take("a"), buckets.take("a"), buckets.take("b")
        (0.0, 0.5, 0.0)
    """

    rate: Rate
    clock: Callable[[], float] = monotonic
    _levels: dict[Hashable, tuple[float, float]] = field(default_factory=dict)

    def take(self, key: Hashable = None) -> float:
        """Take a token and return 0, or return the seconds until there is one."""
        now = self.clock()
        level, before = self._levels.get(key, (self.rate.burst, now))
        level = min(self.rate.burst, level + (now - before) * self.rate.per_second)
        taken = level >= 1
        self._levels[key] = (level - taken, now)
        return 0.0 if taken else (1 - level) / self.rate.per_second

    def spend(self, key: Hashable = None) -> None:
        """Take a token.

        Raises:
            Refusal: 429, where there is none.
        """
        if wait := self.take(key):
            expected = f"at most {self.rate.per_second:g} requests a second"
            raise Refusal(429, expected, "more", "wait as long as Retry-After says and send it again.", wait)


async def read_body(request: Request, limits: Limits) -> bytes:
    """Return the body of a request that is JSON; what is too long is refused before it is read.

    Raises:
        Refusal: 415, 413 or 408.
    """
    _check_headers(request, limits)
    body = bytearray()
    try:
        with fail_after(limits.seconds):
            async for chunk in request.stream():
                body += chunk
                if len(body) > limits.body:
                    raise _too_long(limits, "more")
    except TimeoutError as error:
        raise Refusal(408, f"the body within {limits.seconds:g} s", "a part of it", "send it again.", 1) from error
    return bytes(body)


def _check_headers(request: Request, limits: Limits) -> None:
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json":
        raise Refusal(415, "Content-Type: application/json", shown(kind), "send the answer as JSON.")
    length = request.headers.get("content-length", "0")
    if (size := natural(length)) is None or size > limits.body:
        raise _too_long(limits, f"Content-Length {shown(length)}")


def _too_long(limits: Limits, got: str) -> Refusal:
    return Refusal(413, f"a body of at most {limits.body} bytes", got, "send one answer at a time.")
