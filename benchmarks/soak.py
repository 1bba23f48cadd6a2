"""Does memory grow over a long run? Epochs of update, compute and reset, the real side frozen, on 1 rank and on 2.

    python benchmarks/soak.py --epochs 300

Prints what is resident after the first ten epochs and after the last, and the tensors alive; exits with 1 where the
resident memory of any rank has grown by 1 % or more.
"""

from __future__ import annotations

import argparse
import gc
import os
import sys
import warnings
from typing import Any

import torch
from harness.common import MIB, machine, on_ranks, rss, table

from streaming_metrics import FID, IS, KID, PRDC, Features, GenerativeMetrics

WARM, LIMIT = 10, 0.01
SAMPLES, WIDTH, CLASSES, BATCH = 500, 64, 20, 96


def soak(rank: int, world_size: int, epochs: int, **options: Any) -> list[tuple[int, int]]:
    """Return resident bytes and living tensors after every tenth epoch, on one rank."""
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    measures = [FID(), KID(subsets=20, subset_size=100), IS(), PRDC()]
    metric = GenerativeMetrics(measures, extractor=None, num_features=WIDTH, num_classes=CLASSES, **options)
    generator = torch.Generator().manual_seed(rank)
    give(metric, generator, real=True, n=SAMPLES // world_size)
    metric.freeze_real()
    seen = []
    for epoch in range(epochs):
        give(metric, generator, real=False, n=SAMPLES // world_size - epoch % 7)
        metric.compute()
        metric.reset()
        if (epoch + 1) % WARM == 0:
            seen.append((rss(), living_tensors()))
    return seen


def give(metric: GenerativeMetrics, generator: torch.Generator, real: bool, n: int) -> None:
    for start in range(0, n, BATCH):
        size = min(BATCH, n - start)
        pool, logits = (torch.randn(size, width, generator=generator) for width in (WIDTH, CLASSES))
        metric.update(Features(pool, logits), real=real)


def living_tensors() -> int:
    gc.collect()
    return sum(issubclass(type(thing), torch.Tensor) for thing in gc.get_objects())


def growth(seen: list[tuple[int, int]]) -> float:
    """Return by which part the resident memory grew after the first epochs."""
    return seen[-1][0] / seen[0][0] - 1


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--epochs", type=int, default=300)
    epochs = parser.parse_args().epochs
    os.environ["TORCH_FR_BUFFER_SIZE"] = "0"  # torch's log of the last 2000 collectives: 2 MiB that fill up, then stay
    rows, worst = [], 0.0
    for world_size in (1, 2):
        for rank, seen in enumerate(on_ranks(world_size, soak, world_size, epochs)):
            (early, few), (late, many) = seen[0], seen[-1]
            worst = max(worst, growth(seen))
            sizes = [f"{size / MIB:.1f}" for size in (early, late)]
            rows.append([world_size, rank, *sizes, f"{growth(seen):+.2%}", few, many])
    print(machine())
    print(f"{epochs} epochs, {SAMPLES} samples a side of {WIDTH} features; FID, KID, IS, PRDC; real side frozen")
    head = ["ranks", "rank", f"MiB after {WARM}", f"MiB after {epochs}", "growth", "tensors before", "after"]
    print(table(head, rows))
    sys.exit(worst >= LIMIT)


if __name__ == "__main__":
    main()
