"""Fifty raters at once, and a server that is killed twice: is any acknowledged judgement lost, or kept twice?

    python benchmarks/study_load.py [--raters 50] [--each 20] [--kills 2] [--folder FOLDER]

Scripted raters open their links of a real server (``streaming-metrics study serve``) on loopback, look at every image,
and answer as fast as they are answered. In between the server gets SIGKILL and is started again. What raters were told
was saved is then looked for in the store. Exits with 1 where one is missing, differs, or is there twice.
"""

from __future__ import annotations

import argparse
import asyncio
import sqlite3
import sys
import tempfile
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
from harness.scripted_raters import Ledger, Serving, end, rate_and_kill
from PIL import Image

from streaming_metrics.study.store import Store

CONDITIONS, IMAGES, SIDE = ("a", "b", "c"), 24, 64
PLAN = """
name = "load"
raters = {raters}
[checks]
every = 0
[conditions]
{conditions}
[[task]]
kind = "preference"
per_rater = {first}
[[task]]
kind = "opinion"
per_rater = {second}
"""


def write_study(folder: Path, raters: int, each: int) -> Path:
    """Write a plan of images of noise and return its file."""
    noise = np.random.default_rng(0)
    for condition in CONDITIONS:
        (folder / condition).mkdir(parents=True)
        for index in range(IMAGES):
            pixels = noise.integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(folder / condition / f"{index:02}.png")
    conditions = "\n".join(f'{name} = "{name}/"' for name in CONDITIONS)
    plan = folder / "STUDY.toml"
    plan.write_text(PLAN.format(raters=raters, conditions=conditions, first=each // 2, second=each - each // 2))
    return plan


def missing(store: Store, links: list[str], ledger: Ledger) -> tuple[int, int]:
    """Return how many acknowledged answers are not in the store as they were acknowledged, and how many are twice."""
    pseudonyms = {progress.slot: progress.pseudonym for progress in store.progress()}
    kept = {(judgement.rater, judgement.trial): judgement.answer for judgement in store.judgements()}
    raters = {link: pseudonyms[store.rater(link.split("/")[-2]).slot] for link in links}  # type: ignore[union-attr]
    lost = sum(kept.get((raters[link], number)) != answer for (link, number), answer in ledger.acknowledged.items())
    with closing(sqlite3.connect(store.path)) as raw:
        rows, distinct = raw.execute("SELECT COUNT(*), COUNT(DISTINCT rater || ' ' || trial) FROM answers").fetchone()
    return lost, rows - distinct


def run(folder: Path, raters: int, each: int, kills: int) -> dict[str, Any]:
    """Return the figures of one run."""
    plan = write_study(folder, raters, each)
    serving = Serving([sys.executable, "-m", "streaming_metrics", "study", "serve", str(plan), "--port"])
    end(serving.start())  # packs the images, which reads them with PyTorch: once
    links, begun = serving.links, time.perf_counter()
    ledger = asyncio.run(rate_and_kill(links, serving.start, kills, each))
    seconds = time.perf_counter() - begun
    with Store.open(folder / "load.sqlite") as store:
        lost, twice = missing(store, links, ledger)
        finished = sum(progress.finished is not None for progress in store.progress())
    p50, p99 = (1000 * float(np.percentile(ledger.seconds, q)) for q in (50, 99))
    return {
        "raters": raters,
        "acknowledged": len(ledger.acknowledged),
        "finished raters": finished,
        "seconds": seconds,
        "answers a second": len(ledger.acknowledged) / (seconds - sum(ledger.away)),
        "p50 ms": p50,
        "p99 ms": p99,
        "longest wait s": max(ledger.waits),
        "kills": kills,
        "back after s": max(ledger.away, default=0.0),
        "retries": ledger.retries,
        "lost": lost,
        "twice": twice,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--raters", type=int, default=50)
    parser.add_argument("--each", type=int, default=20)
    parser.add_argument("--kills", type=int, default=2)
    parser.add_argument("--folder", type=Path, help="of the study; one that is kept, on the disk that is asked about")
    asked = parser.parse_args()
    from harness.common import machine, table

    with tempfile.TemporaryDirectory() as scratch:
        found = run(asked.folder or Path(scratch), asked.raters, asked.each, asked.kills)
    print(machine())
    print(table([*found], [[*found.values()]]))
    whole = asked.raters * asked.each
    sys.exit(found["lost"] + found["twice"] > 0 or found["acknowledged"] != whole)


if __name__ == "__main__":
    main()
