"""Scripted raters: what a page does, without a person: many at once over HTTP, patient with a server that goes away."""

from __future__ import annotations

import asyncio
import random
import signal
import subprocess
import time
from dataclasses import dataclass, field
from functools import partial
from typing import IO, TYPE_CHECKING, Any

import httpx

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    Start = Callable[[], subprocess.Popen[str]]

PATIENCE = 60.0
"""Seconds that a rater tries before giving up."""
AGAIN = {408, 429, 503}
PAUSE = 0.05
"""Seconds before the first try again; each next pause is twice as long, up to a second."""


class Serving:
    """A study's server in a process of its own, at one port whenever it is started.

    Args:
        command: that starts it, but for the port at its end.
        errors: file that its stderr goes to; to ours where None.
    """

    def __init__(self, command: Sequence[str], errors: IO[str] | None = None) -> None:
        self._command, self._errors, self._port = command, errors, "0"
        self.links: list[str] = []
        self.admin = ""

    def start(self) -> subprocess.Popen[str]:
        """Start it, and return once it has told the links."""
        interruptible = partial(signal.signal, signal.SIGINT, signal.SIG_DFL)  # whoever runs this ignores it or not
        command = [*self._command, self._port]
        server = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=self._errors, text=True, preexec_fn=interruptible
        )
        assert server.stdout
        told = []
        for line in server.stdout:
            told.append(line.split()[-1])
            if line.startswith("admin page"):
                self.admin = self.admin or told[-1]
                break
        self.links = [link for link in told if "/r/" in link]
        if not self.links:
            raise RuntimeError(f"the server did not start: {self._command}")
        self._port = self.links[0].split("/")[2].rpartition(":")[2]
        return server


def end(server: subprocess.Popen[str]) -> None:
    """Kill a server (SIGKILL), and wait until it is gone."""
    server.kill()
    with server:
        server.wait()


@dataclass
class Ledger:
    """Ledger of a run, kept by the raters' side alone.

    Args:
        acknowledged: the answer of each (link, trial) that the server said was saved.
        seconds: that each acknowledged request took, from its sending.
        waits: seconds from the first try of each answer to its acknowledgement.
        retries: requests that were sent again.
        away: seconds from each kill to the next answer of the server.
    """

    acknowledged: dict[tuple[str, int], float] = field(default_factory=dict)
    seconds: list[float] = field(default_factory=list)
    waits: list[float] = field(default_factory=list)
    retries: int = 0
    away: list[float] = field(default_factory=list)


@dataclass
class Rater:
    """Rater: opens a link, consents, looks at every image and answers at random.

    Args:
        http: client.
        link: ending in a slash.
        ledger: written to.
    """

    http: httpx.AsyncClient
    link: str
    ledger: Ledger

    async def rate(self) -> None:
        """Answer all that is left of the link."""
        choice = random.Random(self.link)
        await self._patient("POST", "consent", json={})
        session = (await self._patient("GET", "session")).json()
        while session["done"] < session["total"]:
            trials = (await self._patient("GET", f"trials?from={session['done']}&count=20")).json()
            for trial in trials:
                for item in trial["items"]:
                    await self._patient("GET", item)
                session["done"] = await self._answer(trial, choice)

    async def _answer(self, trial: dict[str, Any], choice: random.Random) -> int:
        answer = float(choice.choice(answers_to(trial)))
        begun = time.perf_counter()
        body = {"number": trial["number"], "answer": answer, "reaction_ms": 1000 * choice.random(), "shown_ms": None}
        reply = await self._patient("POST", "answers", json=body)
        self.ledger.waits.append(time.perf_counter() - begun)
        self.ledger.seconds.append(reply.elapsed.total_seconds())
        assert reply.json()["saved"] == trial["number"]
        self.ledger.acknowledged[self.link, trial["number"]] = answer
        return reply.json()["done"]

    async def _patient(self, method: str, path: str, **options: Any) -> httpx.Response:
        """Return the answer to a request, which is sent again while the server is away or asks to wait."""
        until, pause = time.monotonic() + PATIENCE, PAUSE
        while True:
            try:
                reply = await self.http.request(method, self.link + path, **options)
                if reply.status_code not in AGAIN:
                    return reply.raise_for_status()
                pause = float(reply.headers.get("retry-after", PAUSE))
            except httpx.TransportError:
                if time.monotonic() > until:
                    raise
            self.ledger.retries += 1
            await asyncio.sleep(pause * random.uniform(0.5, 1.5))
            pause = min(2 * pause, 1.0)


def answers_to(trial: dict[str, Any]) -> Sequence[float]:
    """Return what may be answered to a trial as a page is told of it."""
    if trial["kind"] == "preference":
        return (0, 0.5, 1) if trial["ties"] else (0, 1)
    return (0, 1) if trial["kind"] == "categorisation" else range(1, trial["scale"] + 1)


async def rate_and_kill(links: Sequence[str], start: Start, kills: int, each: int) -> Ledger:
    """Let raters answer at once, and kill the server (SIGKILL) and start it again in between.

    Args:
        links: one a rater.
        start: starts the server at the links' address.
        kills: how often, evenly spread over the answers.
        each: answers of a rater.

    Returns:
        What the raters saw.
    """
    ledger, server = Ledger(), start()
    try:
        await _until_there(links[0])
        raters = asyncio.gather(*(_browse(link, ledger) for link in links))
        for kill in range(1, kills + 1):
            await _until_answered(ledger, kill * len(links) * each // (kills + 1), raters)
            killed = time.perf_counter()
            end(server)
            server = await asyncio.to_thread(start)  # raters go on trying meanwhile
            await _until_there(links[0])
            ledger.away.append(time.perf_counter() - killed)
        await raters
    finally:
        end(server)
    return ledger


def _browser() -> httpx.AsyncClient:
    return httpx.AsyncClient(timeout=10, trust_env=False, verify=False)


async def _browse(link: str, ledger: Ledger) -> None:
    async with _browser() as http:
        await Rater(http, link, ledger).rate()


async def _until_there(link: str) -> None:
    until = time.monotonic() + PATIENCE
    async with _browser() as http:
        while time.monotonic() < until:
            try:
                (await http.get(link + "session")).raise_for_status()
                return
            except httpx.TransportError:
                await asyncio.sleep(0.01)
    raise TimeoutError(f"the server did not answer within {PATIENCE:g} s")


async def _until_answered(ledger: Ledger, count: int, raters: asyncio.Future[Any]) -> None:
    while len(ledger.acknowledged) < count and not raters.done():
        await asyncio.sleep(0.002)
    if raters.done():
        raters.result()
