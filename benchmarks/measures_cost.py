"""What does each measure cost, and all of them beside the core four? Time of an epoch, and what is kept.

    python benchmarks/measures_cost.py --samples 2000 --width 2048 --repeats 3 --page docs/speed.md

All other sides are frozen, as they are from a monitor's second epoch on; an epoch is then a reset, the updates with
generated samples in batches, and a compute. FID, KID, IS and PRDC in one metric take turns with every measure of this
library in one metric, and with all but the older ones: once on features that are drawn, so that measures alone take
time; once from images of 96 pixels, which the extractor takes most of the time for, as it does in a monitor. Each
measure is then timed alone, on features. Measures that train networks, or build complexes, are timed alone only, and
named; from images, so are those of captions' embeddings, which the extractor has none of. Images are of noise. Seconds
are the processor's, to which other programs on the machine add little, and the least of the turns.
"""

from __future__ import annotations

import argparse
import time
import warnings
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from harness.common import PeakMemory, machine
from harness.inputs import draw_features
from harness.page import markdown, write_part
from harness.stored import Store, Stored, tickets
from kept import held

from streaming_metrics import FID, GenerativeMetrics, Spec
from streaming_metrics.extractors import EfficientNetLite0, resolve
from streaming_metrics.measures.catalogue import entries, needed_of
from streaming_metrics.measures.sizes import size

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from streaming_metrics import Measure

BATCH, LABELS, CLASSES, SIDE = 500, 10, 1008, 32
ROLES = ("real", "fake", "train", "heldout")
ASIDE = ("wasserstein_critic", "geometry_score", "fld", "fkea", "ken")
"""Measures that train a network, fit mixtures, build complexes, or decompose matrices of 8000 rows: not in the sum."""
CAPTIONED = ("r_precision", "score", "sfid")
"""Measures of columns that EfficientNet-Lite0 does not make: only of features."""
OLDER = ("vendi", "mmd", "intra_fid", "ndb", "authpct")
"""Measures that were there before the others: the sum is also given without them."""
PIXELS = 96
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
        columns = {"pool": pool, "logits": logits, "text": text, "spatial": pool.flip(1), "score": pool[:, :1]}
        spec = Spec(width, CLASSES, {"text": width, "spatial": width, "score": 1})
        self.networks: dict[str, Any] = {"drawn": Stored("drawn", spec, columns)}
        own = dict.fromkeys(entry.network for entry in entries() if entry.network and not entry.is_of_weights)
        store = Store([resolve(name) for name in own if name])
        store.add(torch.randint(0, 256, (count, 3, SIDE, SIDE), dtype=torch.uint8, generator=generator))
        self.networks |= store.stored

    def images(self, places: Tensor) -> Tensor:
        """Return what is measured of samples by number."""
        return tickets(places)

    def give(self, metric: GenerativeMetrics, role: str) -> None:
        """Update a metric with the samples of a role, in batches."""
        start = ROLES.index(role) * self.n
        for places in torch.arange(start, start + self.n).split(BATCH):
            metric.update(self.images(places), role=role, labels=places % LABELS, captions=places)

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


class Pictures(Drawn):
    """Images of n samples of each role, by number, and the networks that see them.

    Args:
        n: samples of a role.
        side: pixels of the images, and of the input of EfficientNet-Lite0.
    """

    def __init__(self, n: int, side: int) -> None:
        self.n, self.side = n, side
        self.networks = {"efficientnet": EfficientNetLite0(side=side)}

    def images(self, places: Tensor) -> Tensor:
        """Draw images, the same of the same numbers."""
        generator = torch.Generator().manual_seed(int(places[0]))
        return torch.randint(0, 256, (len(places), 3, self.side, self.side), dtype=torch.uint8, generator=generator)


def every_measure(network: str) -> list[Measure]:
    """Return every measure of images of this library, with its defaults; those whose own network has weights read the
    one of that name, but for FID by another name.
    """
    found = []
    for entry in entries():
        needed = needed_of(entry.cls)
        is_again = entry.is_of_weights and (isinstance(entry.measure, FID) or entry.measure.column != "pool")
        if needed in ([], ["classes"]) and not entry.of_clips and not is_again:
            on = {"on": network} if entry.is_of_weights else {}
            found.append(replace(entry.measure, **dict.fromkeys(needed, LABELS), **on))
    return found


def sums(measures: Sequence[Measure], drawn: Drawn, repeats: int, aside: Sequence[str]) -> dict[str, float]:
    """Return the seconds of an epoch of the core, of all but the older measures, and of all; in turns, the least."""
    summed = [measure for measure in measures if measure.label not in aside]
    chosen = {
        "core": [measure for measure in measures if measure.group == "core"],
        "all but older": [measure for measure in summed if measure.label not in OLDER],
        "all": summed,
    }
    metrics = {name: drawn.metric(some, frozen=True) for name, some in chosen.items()}
    for metric in metrics.values():
        drawn.epoch(metric)  # binds, and remembers what depends on the frozen sides alone
    seconds = dict.fromkeys(metrics, float("inf"))
    for name, metric in [*metrics.items()] * repeats:
        start = time.process_time()
        drawn.epoch(metric)
        seconds[name] = min(seconds[name], time.process_time() - start)
    return seconds


def verdict(seconds: dict[str, float], aside: Sequence[str]) -> str:
    """Return what is told of the sums: how many times what the core takes."""

    def times(name: str) -> str:
        ratio = seconds[name] / seconds["core"]
        return f"{seconds[name]:.2f} s, {ratio:.2f}× ({'reached' if ratio <= REACH else 'SHORT'})"

    return (
        f"FID, KID, IS and PRDC {seconds['core']:.2f} s; all measures but {', '.join(aside)} {times('all')}; without "
        f"the older {', '.join(OLDER)} {times('all but older')}"
    )


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
    times = (f"{1e3 * min(of):.3g}" for of in (updates, computes))
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
    measures, drawn = every_measure("drawn"), Drawn(options.samples, options.width)
    from_features = verdict(sums(measures, drawn, options.repeats, ASIDE), ASIDE)
    pictures, aside = Pictures(options.samples, PIXELS), ASIDE + CAPTIONED
    from_images = verdict(sums(every_measure("efficientnet"), pictures, 1, aside), aside)
    rows = [line_of(measure, drawn, options.repeats) for measure in measures]
    told = (
        f"{machine()}, {torch.get_num_threads()} threads, {options.samples} samples a role; seconds of the processor, "
        f"at most {REACH}× what the core takes:\n\n- from images of {PIXELS} pixels, EfficientNet-Lite0 at that size: "
        f"{from_images}.\n- on features {options.width} wide: {from_features}."
    )
    table = markdown(HEAD, rows)
    print(f"{told}\n\n{table}")
    if options.page:
        write_part(options.page, "cost of measures", f"{told}\n\n{table}")


if __name__ == "__main__":
    main()
