"""What is kept of generated samples, by measure: before the sides that it is compared with are frozen, and after.

    python benchmarks/kept.py --samples 1000 2000 --width 2048 --classes 1000

Bytes of one rank's states of the generated side for each measure alone, at two numbers of samples, so that what grows
with them is told from what does not; without the count and the sketch of distinct samples (64 KiB), which every side
of every metric has. "Frozen" is once every other side is: then a measure that binds keeps no features.
"""

from __future__ import annotations

import argparse
import warnings
from typing import TYPE_CHECKING

import torch
from harness.common import table

from streaming_metrics import Features, GenerativeMetrics
from streaming_metrics.measures.registry import as_measures
from streaming_metrics.statistics import Count, Distinct

if TYPE_CHECKING:
    from collections.abc import Iterable

    from streaming_metrics import Measure

MEASURES = (
    "fid",
    "is",
    "vendi",
    "kid",
    "kid(capacity=1000)",
    "prdc",
    "prdc(recall=False)",
    "ndb",
    "authpct",
    "mmd",
    "intra_fid(classes=10)",
)
BATCH, LABELS = 500, 10
HEAD = ["measure", "N", "kept, nothing frozen", "a sample", "kept, frozen", "a sample"]


def features_of(n: int, width: int, classes: int) -> Features:
    """Return features of n samples."""
    return Features(torch.randn(n, width), torch.randn(n, classes), labels=torch.arange(n) % LABELS)


def kept(measure: Measure, n: int, width: int, classes: int, *, frozen: bool) -> int:
    """Return the bytes that are held of n generated samples."""
    metric = GenerativeMetrics([measure], extractor=None, num_features=width, num_classes=classes)
    for role in metric.roles:
        if frozen and role != "fake":
            metric.update(features_of(max(BATCH, LABELS), width, classes), role=role)
            metric.freeze(role)
    for start in range(0, n, BATCH):
        metric.update(features_of(min(BATCH, n - start), width, classes), real=False)
    return held(metric)


def held(metric: GenerativeMetrics) -> int:
    """Return the bytes that a metric holds of generated samples, without the count and the sketch of distinct ones."""
    states = metric._states.of("fake")
    measured = (state for slot, state in states.items() if not isinstance(slot.statistic, Count | Distinct))
    return sum(tensor.nbytes for state in measured for tensor in state.values())


def lines_of(measures: Iterable[str], samples: tuple[int, int], width: int, classes: int) -> list[list[str]]:
    """Return the rows of the table: each measure at both numbers of samples, and the bytes that one more takes."""
    lines = []
    for text in measures:
        (measure,) = as_measures(text)
        cells = []
        for frozen in (False, True):
            held = [kept(measure, n, width, classes, frozen=frozen) for n in samples]
            cells += [f"{held[0]:,} → {held[1]:,}", f"{(held[1] - held[0]) / (samples[1] - samples[0]):,.0f}"]
        lines.append([text, f"{samples[0]:,} → {samples[1]:,}", *cells])
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samples", type=int, nargs=2, default=(1000, 2000))
    parser.add_argument("--width", type=int, default=2048)
    parser.add_argument("--classes", type=int, default=1000)
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    torch.manual_seed(0)
    print(table(HEAD, lines_of(MEASURES, tuple(options.samples), options.width, options.classes)))


if __name__ == "__main__":
    main()
