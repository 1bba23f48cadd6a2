"""Study of the demo's epochs: a real server on this machine, and simulated raters who answer it over HTTP.

No person judges here. The simulated raters look at the pixels that the server sends: how far an image is from the
nearest real one, plus noise, leniency, a side that they favour and lapses. They know neither epoch nor condition.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import torch

from streaming_metrics.images.decode import decode
from streaming_metrics.images.encode import png_of
from streaming_metrics.ratings.simulated import SimulatedRaters
from streaming_metrics.study.store import Store
from streaming_metrics.study.template import Template, epochs_in

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from torch import Tensor

    from streaming_metrics.ratings.simulated import SimulatedRater

KINDS = ("preference", "opinion", "categorisation")
EPOCHS, RATERS, INATTENTIVE, IMAGES = 6, 20, 1, 20
AT_ONCE, AHEAD = 8, 25
SIMULATED = "simulated.sqlite"
"""The raters' answers; people's have another file."""
RETRIES = 50


class Eye:
    """Eye of simulated raters: how good an image looks, by its distance to the nearest real one.

    Args:
        real: ``(N, C, H, W)`` uint8; of grey images, C is 1.

    Example:
        >>> real = torch.randint(0, 256, (50, 1, 8, 8), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
        >>> eye = Eye(real)
        >>> eye.quality(real[0].expand(3, -1, -1)) > eye.quality(255 - real[0].expand(3, -1, -1))
        True
    """

    def __init__(self, real: Tensor) -> None:
        self._colours, self._points = real.shape[1], real.flatten(1).float()
        among = torch.cdist(self._points, self._points).fill_diagonal_(torch.inf).min(1).values
        self._mean, self._std = among.mean(), among.std()

    def quality(self, image: Tensor) -> float:
        """Return how good an image ``(3, H, W)`` uint8 looks: real ones are around 1, with a spread of 1.

        An image is not compared with itself.
        """
        distances = (self._points - image[: self._colours].flatten().float()).norm(dim=1)
        return float(1 + (self._mean - distances[distances > 0].min()) / self._std)


class Raters:
    """Simulated raters of a served study, over HTTP as a page is.

    Args:
        eye: with which all of them look.
        seed: of what they draw.
    """

    def __init__(self, eye: Eye, seed: int) -> None:
        self.eye = eye
        self.raters = SimulatedRaters(RATERS, inattentive=INATTENTIVE, seed=seed).make()

    def answer_all(self, links: Sequence[str]) -> int:
        """Let each rater answer all trials of its link; return how many answers were acknowledged."""
        with ThreadPoolExecutor(AT_ONCE) as pool:
            return sum(pool.map(self._answer, links, self.raters))

    def _answer(self, link: str, rater: SimulatedRater) -> int:
        session = json.loads(_get(f"{link}session"))
        _post(f"{link}consent", {})
        for first in range(session["done"], session["total"], AHEAD):
            for trial in json.loads(_get(f"{link}trials?from={first}&count={AHEAD}")):
                _post(f"{link}answers", self._judged(link, trial, rater))
        return session["total"] - session["done"]

    def _judged(self, link: str, trial: dict[str, Any], rater: SimulatedRater) -> dict[str, Any]:
        qualities = [self.eye.quality(decode(_get(link + item))) for item in trial["items"]]
        seen = {name: trial[name] for name in ("scale", "ties", "exposure_ms")}
        answer = rater.answer(trial["kind"], qualities, **seen)
        timed = {} if trial["exposure_ms"] is None else {"shown_ms": trial["exposure_ms"]}
        return {"number": trial["number"], "answer": answer, "reaction_ms": rater.reaction_ms(), **timed}


def run(folder: Path, samples: Path, real: Tensor, log: Path, seed: int, name: str = "digits") -> None:
    """Plan a study of the kept samples, serve it, let simulated raters answer, and show what it says.

    Args:
        folder: for all that is written.
        samples: of the measured epochs, as the monitor kept them.
        real: ``(N, C, H, W)`` uint8.
        log: of the monitor's values, a CSVLogger's file.
        seed: of the raters and of the order of trials.
        name: of the plan.
    """
    plan, store, started = folder / f"{name}.toml", folder / SIMULATED, time.perf_counter()
    _write_real(real, folder / "real")
    conditions = {"real": str(folder / "real"), **epochs_in(samples, EPOCHS)}
    plan.write_text(Template(plan, conditions, KINDS, seed=seed).text(), encoding="utf-8")
    with Store.open(store) as opened:
        opened.note("raters_are", "simulated")
    print(f"\nStudy of {len(conditions) - 1} epochs, {plan}: {RATERS} simulated raters answer. No person judges.")
    with _served(plan, store) as links:
        count = Raters(Eye(real), seed).answer_all(links)
    print(f"{count:,} answers acknowledged in {time.perf_counter() - started:.0f} s.")
    command = ["study", "results", str(plan), "--store", str(store), "--json", str(folder / "results.json")]
    command += ["--report", str(folder / "report.html"), "--beside", str(log), "--half-width", "0.1"]
    subprocess.run([sys.executable, "-m", "streaming_metrics", *command], check=True)
    print(f"\nAll of it in one page: {folder / 'report.html'}; as JSON: {folder / 'results.json'}")
    print(f"People answer the same study with: streaming-metrics study serve {plan}")


def forget(folder: Path) -> None:
    """Remove an earlier run's study, whose answers belong to other images.

    Raises:
        FileExistsError: where people have answered it.
    """
    if given := sorted(file.name for file in folder.glob("*.sqlite") if file.name != SIMULATED):
        raise FileExistsError(
            f"--study: expected an earlier study of simulated raters alone in {folder}, got people's answers to it, "
            f"{', '.join(given)}. Remedy: --out with another folder, or move them elsewhere."
        )
    shutil.rmtree(folder, ignore_errors=True)


def _write_real(real: Tensor, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for number, image in enumerate(real[:: max(1, len(real) // IMAGES)][:IMAGES]):
        (folder / f"{number:04d}.png").write_bytes(png_of(image.expand(3, -1, -1)))


@contextmanager
def _served(plan: Path, store: Path) -> Iterator[list[str]]:
    """Yield the raters' links of the real server, which runs in a process of its own meanwhile."""
    command = [sys.executable, "-u", "-m", "streaming_metrics", "study", "serve", str(plan)]
    server = subprocess.Popen([*command, "--store", str(store), "--port", "0"], stdout=subprocess.PIPE, text=True)
    assert server.stdout is not None
    try:
        links = []
        for line in server.stdout:
            if line.startswith("rater "):
                links.append(line.split(": ", 1)[1].strip())
            if line.startswith("admin page"):
                break
        if not links:
            raise RuntimeError(f"{plan}: expected a server, got none: see what it says above.")
        yield links
    finally:
        server.terminate()
        server.wait(timeout=30)
        server.stdout.close()


def _get(url: str) -> bytes:
    return _answered(Request(url))


def _post(url: str, body: dict[str, Any]) -> bytes:
    return _answered(Request(url, json.dumps(body).encode(), {"Content-Type": "application/json"}))


def _answered(request: Request) -> bytes:
    """Return what the server says; one that asks to be asked later is."""
    for _ in range(RETRIES):
        try:
            with urlopen(request, timeout=60) as reply:
                return reply.read()
        except HTTPError as error:
            with error:
                if error.code not in (429, 503):
                    raise RuntimeError(f"{request.full_url}: {error.code}: {error.read().decode()}") from error
                time.sleep(float(error.headers.get("Retry-After", "1")))
    raise RuntimeError(f"{request.full_url}: expected an answer, got none in {RETRIES} tries.")
