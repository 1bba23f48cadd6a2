"""Stages of ``streaming-metrics``: runs a command line, and prints as JSON how many seconds each part of it took.

    python benchmarks/harness/stages.py compare REAL FAKE --json - --quiet

What is in brackets runs beside the others, in the workers.
"""

from __future__ import annotations

import json
import os
import resource
import sys
import time
from collections import defaultdict
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

TAKEN: dict[str, float] = defaultdict(float)


def timed(name: str, call: Callable[..., Any], within: str = "") -> Callable[..., Any]:
    """Return a function that adds its seconds to a stage, and takes them from the one that it runs within."""

    @wraps(call)
    def run(*args: Any, **kwargs: Any) -> Any:
        start = time.perf_counter()
        try:
            return call(*args, **kwargs)
        finally:
            passed = time.perf_counter() - start
            TAKEN[name] += passed
            TAKEN[within] -= passed

    return run


def waited(name: str, batches: Callable[..., Iterator[Any]]) -> Callable[..., Iterator[Any]]:
    """Return an iterator's function that adds what each step takes to a stage."""

    def run(*args: Any, **kwargs: Any) -> Iterator[Any]:
        iterator = batches(*args, **kwargs)
        step = timed(name, lambda: next(iterator, None))
        while (batch := step()) is not None:
            yield batch

    return run


def since_start() -> float:
    """Return the seconds since this process was started."""
    ticks = float(Path("/proc/self/stat").read_text().rpartition(")")[2].split()[19])
    uptime = float(Path("/proc/uptime").read_text().split()[0])
    return uptime - ticks / os.sysconf("SC_CLK_TCK")


def instrument() -> None:
    """Time the parts of the library."""
    from streaming_metrics import GenerativeMetrics
    from streaming_metrics.cli.reading import ImageReader
    from streaming_metrics.cli.scoring import Job, Network
    from streaming_metrics.extractors import InceptionV3, resize

    for name, function in list(resize.RESIZES.items()):
        resize.RESIZES[name] = timed("resize", function, within="network")
    patched: list[tuple[type, str, str, str]] = [
        (InceptionV3, "extract", "network", "statistics, checks and digests"),
        (
            GenerativeMetrics,
            "update",
            "statistics, checks and digests",
            "sources, workers and what holds them together",
        ),
        (GenerativeMetrics, "compute", "compute", "sources, workers and what holds them together"),
        (Network, "load", "loading of the network", "sources, workers and what holds them together"),
        (Job, "compare", "sources, workers and what holds them together", ""),
    ]
    for cls, method, stage, within in patched:
        setattr(cls, method, timed(stage, getattr(cls, method), within))
    ImageReader.batches = waited("waiting for decoded images", ImageReader.batches)  # pyright: ignore


def main() -> None:
    sys.path.insert(0, str(Path(__file__).parents[2]))
    from streaming_metrics.cli import app

    instrument()
    TAKEN["start-up: imports"] = since_start()
    try:
        app(sys.argv[1:], standalone_mode=False)
    finally:
        TAKEN["sources, workers and what holds them together"] -= TAKEN["waiting for decoded images"]
        usage = resource.getrusage(resource.RUSAGE_CHILDREN)
        TAKEN["(processor time of the workers that decode)"] = usage.ru_utime + usage.ru_stime
        TAKEN.pop("", None)
        print(json.dumps(TAKEN))


if __name__ == "__main__":
    main()
