"""How long is the way of a batch, and of a number? Calls of this library's functions, and the files they are in.

    python benchmarks/calls.py [--before benchmarks/calls_before.json] [--json FILE] [--top 10]

Of FID, KID, IS and PRDC on one rank: ``update`` of given features, ``update`` of images through a small module,
``compute()``; and of one batch of a training's validation, real and generated, what a training with one batch more
calls in addition. Of several batches the one in the middle counts: now and then a batch makes room for those to come.
benchmarks/harness/tracer.py says what a call is. With ``--before``, what an earlier run wrote stands beside.
"""

from __future__ import annotations

import argparse
import json
import logging
import warnings
from collections import Counter
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import torch
from harness.common import table
from harness.tracer import calls_of
from lightning.pytorch import LightningModule, Trainer
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

import streaming_metrics
from streaming_metrics import FID, IS, KID, PRDC, Features, GenerativeMetrics
from streaming_metrics.monitor import GenerationMonitor

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

Calls: TypeAlias = Counter[tuple[str, str]]
Counts: TypeAlias = dict[str, dict[str, int]]

WIDTH, CLASSES, SIDE, BATCH, BATCHES, ENOUGH = 8, 5, 8, 16, 5, 4
MEASURES = [FID(), KID(subsets=5, subset_size=16), IS(splits=2), PRDC(k=3)]
QUIET = ("enable_progress_bar", "enable_model_summary", "enable_checkpointing", "logger")


class Network(nn.Module):
    """Small network of a user's: mean colours of each half as features, the first of them as logits."""

    def forward(self, images: Tensor) -> Features:
        pool = nn.functional.adaptive_avg_pool2d(images.float(), (2, 1)).flatten(1) / 255
        return Features(pool, pool[:, :CLASSES])


class Model(LightningModule):
    """Small generative model: a layer's noise."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(4, 3 * SIDE * SIDE)

    def sample(self, n: int) -> Tensor:
        return self.layer(torch.randn(n, 4)).sigmoid().view(n, 3, SIDE, SIDE)

    def training_step(self, batch: list[Tensor]) -> Tensor:
        return (self.sample(len(batch[0])) - batch[0] / 255).square().mean()

    def validation_step(self, batch: list[Tensor]) -> None:
        """Nothing: the monitor looks at the batch."""

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.1)


def traced(run: Callable[[], Any]) -> Calls:
    return calls_of(run, streaming_metrics)


def middle(calls: Sequence[Calls]) -> Calls:
    """Return the trace with the median number of calls."""
    return sorted(calls, key=lambda counter: counter.total())[len(calls) // 2]


def draw_features() -> Features:
    return Features(torch.randn(BATCH, WIDTH), torch.randn(BATCH, CLASSES))


def draw_images(n: int = BATCH) -> Tensor:
    return torch.randint(0, 256, (n, 3, SIDE, SIDE), dtype=torch.uint8)


def of_features() -> GenerativeMetrics:
    """Return a metric over given features that has taken some, real and generated."""
    metric = GenerativeMetrics(MEASURES, extractor=None, num_features=WIDTH, num_classes=CLASSES)
    for _ in range(BATCHES):
        metric.update(draw_features(), real=True)
        metric.update(draw_features(), real=False)
    return metric


def of_update(metric: GenerativeMetrics, draw: Callable[[], Tensor | Features], batches: int) -> Calls:
    metric.update(draw(), real=False)
    drawn = [draw() for _ in range(batches)]
    return middle([traced(lambda batch=batch: metric.update(batch, real=False)) for batch in drawn])


def of_compute() -> Calls:
    of_features().compute()
    return traced(of_features().compute)


def of_training(real: int, fake: int) -> Calls:
    """Return what an epoch of one step calls, with so many batches of either side in its validation."""
    torch.manual_seed(0)
    monitor = GenerationMonitor(MEASURES, Network(), num_samples=fake * BATCH, batch_size=BATCH, log_images=0)
    trainer = Trainer(
        accelerator="cpu", max_epochs=1, num_sanity_val_steps=0, callbacks=[monitor], **dict.fromkeys(QUIET, False)
    )
    train, val = (DataLoader(TensorDataset(draw_images(n)), batch_size=BATCH) for n in (BATCH, real * BATCH))
    return traced(lambda: trainer.fit(Model(), train, val))


def of_one_more(train: Callable[[int], Calls], batches: int) -> Calls:
    """Return what one batch more calls in addition, once there are enough for a ``compute`` that grows no longer."""
    return middle([more - fewer for fewer, more in pairwise(train(n) for n in range(ENOUGH, ENOUGH + batches + 1))])


def bench(batches: int = BATCHES) -> dict[str, Calls]:
    """Return the calls of each question."""
    warnings.simplefilter("ignore")
    torch.manual_seed(0)
    return {
        "update, features": of_update(of_features(), draw_features, batches),
        "update, images": of_update(GenerativeMetrics(MEASURES, Network()), draw_images, batches),
        "compute": of_compute(),
        "monitor, a real batch": of_one_more(lambda n: of_training(n, 2), batches),
        "monitor, a generated batch": of_one_more(lambda n: of_training(2, n), batches),
    }


def counts(calls: dict[str, Calls]) -> Counts:
    return {
        question: {"calls": counter.total(), "files": len({file for file, _ in counter})}
        for question, counter in calls.items()
    }


def report(now: Counts, before: Counts | None = None) -> str:
    """Return the table; beside what was before, where that is given."""
    head, rows = ["question", "calls", "files"], [[name, *now[name].values()] for name in now]
    if before is not None:
        head += ["calls before", "files before", "calls now / before"]
        rows = [
            [*row, *(before[name].values()), f"{now[name]['calls'] / before[name]['calls']:.2f}"]
            for row, name in zip(rows, now)
        ]
    return table(head, rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, help="also write the counts here")
    parser.add_argument("--before", type=Path, help="what --json wrote earlier, to compare with")
    parser.add_argument(
        "--top", type=int, default=0, help="also the functions that are called most, so many a question"
    )
    options = parser.parse_args()
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    calls = bench()
    now = counts(calls)
    print(report(now, json.loads(options.before.read_text()) if options.before else None))
    for question, counter in calls.items() if options.top else ():
        print(f"\n{question}")
        print(table(["file", "function", "calls"], [[*key, n] for key, n in counter.most_common(options.top)]))
    if options.json:
        options.json.write_text(json.dumps(now, indent=1) + "\n")


if __name__ == "__main__":
    main()
