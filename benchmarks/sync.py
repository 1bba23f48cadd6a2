"""What does computing over ranks cost? FID of two 2048-wide sides, beside torchmetrics, in one run, taking turns.

    python benchmarks/sync.py --ranks 2 4 --repeats 3

Prints, per rank: bytes of the tensors handed to collectives, to send and to receive into (an all-reduce's tensor is
both); bytes of tensors alive at once beyond the states; seconds.
"""

from __future__ import annotations

import argparse
import sys
import time
import warnings
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any
from unittest import mock

import torch
import torch.distributed as dist
from common import MIB, machine, on_ranks, table
from torch import Tensor, nn

sys.path.append(str(Path(__file__).parents[1] / "tests"))

from live_bytes import LiveBytes

if TYPE_CHECKING:
    from collections.abc import Callable

WIDTH, BATCH = 2048, 16
OURS, THEIRS = "streaming_metrics", "torchmetrics"


class Identity(nn.Module):
    """Features that are given as they are; torchmetrics asks for the width, and shows a blank image first."""

    num_features = WIDTH

    def forward(self, features: Tensor) -> Tensor:
        return features if features.ndim == 2 else torch.zeros(len(features), WIDTH)


class Payload:
    """Adds up the bytes that this rank hands to collectives."""

    def __enter__(self) -> Payload:
        self.total = 0
        self._patches = [mock.patch.object(dist, name, self._counted(name)) for name in ("all_reduce", "all_gather")]
        for patch in self._patches:
            patch.start()
        return self

    def __exit__(self, *_: object) -> None:
        for patch in self._patches:
            patch.stop()

    def _counted(self, name: str) -> Callable[..., Any]:
        original = getattr(dist, name)

        def counted(*args: Any, **kwargs: Any) -> Any:
            handed = [args[0]] if name == "all_reduce" else [*args[0], args[1]]
            self.total += sum(tensor.nbytes for tensor in handed)
            return original(*args, **kwargs)

        return counted


def ours(rank: int) -> Callable[[], Any]:
    from streaming_metrics import FID, GenerativeMetrics

    metric = fed(GenerativeMetrics([FID()], extractor=None, num_features=WIDTH), rank)
    return lambda: [metric._side(role, metric._gather_ranks()) for role in ("real", "fake")]


def theirs(rank: int) -> Callable[[], Any]:
    from torchmetrics.image.fid import FrechetInceptionDistance

    metric = fed(FrechetInceptionDistance(feature=Identity()).set_dtype(torch.float64), rank)

    def sync() -> None:
        metric.sync()
        metric.unsync()

    return sync


def fed(metric: Any, rank: int) -> Any:
    generator = torch.Generator().manual_seed(rank)
    for real in (True, False):
        metric.update(torch.randn(BATCH, WIDTH, generator=generator), real=real)
    return metric


def measure(rank: int, repeats: int) -> dict[str, tuple[int, int, float]]:
    """Return bytes handed over, bytes alive and median seconds of each, on one rank."""
    warnings.simplefilter("ignore")
    syncs = {OURS: ours(rank), THEIRS: theirs(rank)}
    spent, seconds = {}, {name: [] for name in syncs}
    for name, sync in syncs.items():
        with Payload() as payload, LiveBytes() as live:
            sync()
        spent[name] = payload.total, live.peak
    for _ in range(repeats):
        for name, sync in syncs.items():
            dist.barrier()
            start = time.perf_counter()
            sync()
            seconds[name].append(time.perf_counter() - start)
    return {name: (*spent[name], median(seconds[name])) for name in syncs}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ranks", type=int, nargs="+", default=[2, 4])
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    rows = []
    for world_size in options.ranks:
        everyone = on_ranks(world_size, measure, options.repeats)
        worst = {name: [max(figures) for figures in zip(*(rank[name] for rank in everyone))] for name in (OURS, THEIRS)}
        for name, (handed, alive, seconds) in worst.items():
            rows.append([world_size, name, handed / MIB, alive / MIB, seconds])
        rows.append([world_size, "ratio", *(b / a for a, b in zip(worst[OURS], worst[THEIRS]))])
    print(machine())
    print(f"Two sides of {WIDTH} features over gloo, one thread a rank; the worst rank, median of {options.repeats}")
    print(table(["ranks", "library", "MiB to collectives", "MiB alive beyond states", "seconds"], rows))


if __name__ == "__main__":
    main()
