"""What do standard errors cost an epoch's report, in time and memory?

    python benchmarks/errors_cost.py --samples 10000 --page docs/verdicts.md

The real side frozen, as from a monitor's second epoch on: a reset, the updates with features of generated samples in
batches, and a compute, of measures as they are and with their errors, in turns. Beside it what the networks take for
so many images, of 96 pixels through EfficientNet-Lite0 and of 299 through Inception (random weights), by some of them:
an epoch's report is both together. Seconds are the processor's, the least of the turns.
"""

from __future__ import annotations

import argparse
import time
import warnings
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from harness.common import table
from harness.inputs import draw_features, draw_images, reference_weights
from harness.page import markdown, write_part

from streaming_metrics import FID, IS, KID, PRDC, Features, GenerativeMetrics
from streaming_metrics.extractors import EfficientNetLite0, InceptionV3
from streaming_metrics.measures.errors import with_errors

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from streaming_metrics import Measure

BATCH, CLASSES, IMAGES = 500, 1008, 128
MIB = 2**20
CASES: dict[str, list[Measure]] = {"FID": [FID()], "FID, KID, IS, PRDC": [FID(), KID(), IS(), PRDC()]}
HEAD = ["measures", "s", "with errors, s", "more kept, MiB", "report with EfficientNet-Lite0", "report with Inception"]


def seconds_of(run: Callable[[], object], turns: int) -> float:
    """Return the least processor seconds of some turns."""
    found = []
    for _ in range(turns):
        start = time.process_time()
        run()
        found.append(time.process_time() - start)
    return min(found)


class Epoch:
    """One epoch of a metric whose real side is frozen."""

    def __init__(self, measures: Sequence[Measure], real: Features, fake: Features) -> None:
        self.fake = fake
        self.metric = GenerativeMetrics(
            measures, extractor=None, num_features=fake.column("pool").shape[1], num_classes=CLASSES
        )
        for batch in batches(real):
            self.metric.update(batch, real=True)
        self.metric.freeze_real()

    def __call__(self) -> None:
        self.metric.reset()
        for batch in batches(self.fake):
            self.metric.update(batch, real=False)
        self.metric.compute()

    @property
    def kept(self) -> int:
        """Bytes of both sides."""
        return sum(tensor.nbytes for tensor in self.metric.metric_state.values())


def batches(features: Features) -> list[Features]:
    n = len(features)
    return [
        Features(
            features.column("pool")[i : i + BATCH],
            features.column("logits")[i : i + BATCH],
            torch.arange(i, min(i + BATCH, n)),
        )
        for i in range(0, n, BATCH)
    ]


def features_of(n: int, width: int, seed: int) -> Features:
    logits = 2 * torch.randn(n, CLASSES, generator=torch.Generator().manual_seed(seed))
    return Features(draw_features(n, width, seed=seed, shift=0.1 * seed), logits)


def network_seconds(n: int) -> dict[str, float]:
    """Return the processor seconds of n images through each network."""
    with reference_weights(None) as weights:
        networks = {96: EfficientNetLite0(), 299: InceptionV3(weights)}
    names = ("EfficientNet-Lite0", "Inception")
    found = {}
    for name, (side, network) in zip(names, networks.items()):
        images = draw_images(IMAGES, side, side)
        found[name] = n / IMAGES * seconds_of(partial(network, images), 1)
    return found


def row_of(name: str, samples: int, width: int, turns: int, networks: dict[str, float]) -> list[str]:
    """Return a row of the table."""
    sides = features_of(samples, width, 0), features_of(samples, width, 1)
    plain, told = Epoch(CASES[name], *sides), Epoch(with_errors(CASES[name]), *sides)
    without, with_them = (seconds_of(epoch, turns) for epoch in (plain, told))
    more = (told.kept - plain.kept) / MIB
    reports = [f"× {(taken + with_them) / (taken + without):.3f}" for taken in networks.values()]
    return [name, f"{without:.1f}", f"{with_them:.1f}", f"{more:.1f}", *reports]


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samples", type=int, default=10_000)
    parser.add_argument("--width", type=int, default=2048)
    parser.add_argument("--turns", type=int, default=2)
    parser.add_argument("--page", type=Path, help="write the table into this page")
    options = parser.parse_args(arguments)
    warnings.simplefilter("ignore")
    networks = network_seconds(options.samples)
    rows = [row_of(name, options.samples, options.width, options.turns, networks) for name in CASES]
    print(table(HEAD, rows))
    if options.page:
        write_part(options.page, "cost of errors", markdown(HEAD, rows))


if __name__ == "__main__":
    main()
