"""What does each measure cost, and all of them beside the core four? Time of an epoch's features, and what is kept.

    python benchmarks/measures_cost.py --samples 2000 --width 2048 --repeats 3 --page docs/speed.md

All other sides are frozen, as they are from a monitor's second epoch on; an epoch is then a reset, the updates with
generated features in batches, and a compute. FID, KID, IS and PRDC in one metric take turns with every measure of this
library in one metric; then each measure is timed alone. Measures that train networks, or build complexes, are timed
alone only, and named. Features are drawn; those of pixels are of random images. Seconds are the processor's, to which
other programs on the machine add little.
"""

from __future__ import annotations

import argparse
import time
import warnings
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

import torch
from harness.common import PeakMemory, machine
from harness.inputs import draw_features
from harness.page import markdown, write_part
from harness.stored import Store, Stored, tickets
from kept import held

from streaming_metrics import GenerativeMetrics, Spec
from streaming_metrics.extractors import resolve
from streaming_metrics.measures.catalogue import entries, needed_of
from streaming_metrics.measures.sizes import size

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from streaming_metrics import Measure

BATCH, LABELS, CLASSES, SIDE = 500, 10, 1008, 32
ROLES = ("real", "fake", "train", "heldout")
ASIDE = ("wasserstein_critic", "geometry_score")
"""Measures that train a network, or build complexes: not in the sum."""
REACH = 1.5
HEAD = ("measure", "update, ms", "compute, ms", "memory at its peak", "kept, nothing frozen", "kept, frozen")


class Drawn:
    """Features of n samples of each role, by number, as networks would have made them.

    Args:
        n: samples of a role.
        width: of the features; captions' embeddings are as wide.
    """

    def __init__(self, n: int, width: int) -> None:
        self.n, count = n, n * len(ROLES)
        generator = torch.Generator().manual_seed(0)
        parts = [draw_features(n, width, seed=place, shift=0.1 * (place == 1)) for place in range(len(ROLES))]
        pool, logits = torch.cat(parts), 2 * torch.randn(count, CLASSES, generator=generator)
        text = pool + torch.randn(count, width, generator=generator)
        spec = Spec(width, CLASSES, {"text": width})
        self.networks: dict[str, Any] = {"drawn": Stored("drawn", spec, {"pool": pool, "logits": logits, "text": text})}
        own = dict.fromkeys(entry.network for entry in entries() if entry.network)
        store = Store([resolve(name) for name in own if name])
        store.add(torch.randint(0, 256, (count, 3, SIDE, SIDE), dtype=torch.uint8, generator=generator))
        self.networks |= store.stored

    def give(self, metric: GenerativeMetrics, role: str) -> None:
        """Update a metric with the samples of a role, in batches."""
        start = ROLES.index(role) * self.n
        for places in torch.arange(start, start + self.n).split(BATCH):
            metric.update(tickets(places), role=role, labels=places % LABELS, captions=places)

    def metric(self, measures: Sequence[Measure], *, frozen: bool) -> GenerativeMetrics:
        """Return a metric of some measures, which has seen every side but the generated one."""
        metric = GenerativeMetrics(measures, extractor=dict(self.networks))
        for role in metric.roles:
            if role != "fake":
                self.give(metric, role)
                if frozen:
                    metric.freeze(role)
        return metric

    def epoch(self, metric: GenerativeMetrics) -> dict[str, Tensor]:
        """Measure the generated samples anew."""
        metric.reset()
        self.give(metric, "fake")
        return metric.compute()


def every_measure() -> list[Measure]:
    """Return every measure of this library, with its defaults."""
    found = []
    for entry in entries():
        needed = needed_of(entry.cls)
        if needed in ([], ["classes"]):
            found.append(replace(entry.measure, **dict.fromkeys(needed, LABELS)))
    return found


def bench(measures: Sequence[Measure], n: int, width: int, repeats: int) -> tuple[dict[str, float], list[list[str]]]:
    """Return the seconds of an epoch of the core, and of all, and the table of single measures."""
    drawn = Drawn(n, width)
    core = [measure for measure in measures if measure.group == "core"]
    summed = [measure for measure in measures if measure.label not in ASIDE]
    metrics = {"core": drawn.metric(core, frozen=True), "all": drawn.metric(summed, frozen=True)}
    for metric in metrics.values():
        drawn.epoch(metric)  # binds, and remembers what depends on the frozen sides alone
    turns: dict[str, list[float]] = {name: [] for name in metrics}
    for name, metric in [*metrics.items()] * repeats:
        start = time.process_time()
        drawn.epoch(metric)
        turns[name].append(time.process_time() - start)
    seconds = {name: median(of) for name, of in turns.items()}
    return seconds, [line_of(measure, drawn, repeats) for measure in measures]


def line_of(measure: Measure, drawn: Drawn, repeats: int) -> list[str]:
    """Return the row of one measure, alone in its metric."""
    open_metric, metric = (drawn.metric([measure], frozen=frozen) for frozen in (False, True))
    drawn.give(open_metric, "fake")
    drawn.epoch(metric)
    updates, computes = [], []
    for _ in range(1 if measure.label in ASIDE else repeats):
        metric.reset()
        start = time.process_time()
        drawn.give(metric, "fake")
        updates.append(time.process_time() - start)
        with PeakMemory() as memory:
            start = time.process_time()
            metric.compute()
            computes.append(time.process_time() - start)
    times = (f"{1e3 * median(of):.3g}" for of in (updates, computes))
    sizes = (size(memory.beyond), size(held(open_metric)), size(held(metric)))
    return [f"`{measure.describe()}`", *times, *sizes]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samples", type=int, default=2000, help="of each role")
    parser.add_argument("--width", type=int, default=2048)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--page", type=Path, help="a page of Markdown to write the table into")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    seconds, rows = bench(every_measure(), options.samples, options.width, options.repeats)
    ratio = seconds["all"] / seconds["core"]
    verdict = "reached" if ratio <= REACH else "SHORT"
    told = (
        f"{machine()}, {torch.get_num_threads()} threads, {options.samples} samples a role, {options.width} wide; "
        f"seconds of the processor: FID, KID, IS and PRDC {seconds['core']:.2f}, all measures but {', '.join(ASIDE)} "
        f"{seconds['all']:.2f}, {ratio:.2f}× (at most {REACH}×: {verdict})."
    )
    table = markdown(HEAD, rows)
    print(f"{told}\n\n{table}")
    if options.page:
        write_part(options.page, "cost of measures", f"{told}\n\n{table}")


if __name__ == "__main__":
    main()
