"""A measure of your own, outside of the library: do generated samples hold the classes as often as real ones do?

It keeps a count of each class that a classifier names, of each side, and is a function of these alone; so it streams,
merges and adds up over ranks like those of the library. Once its class is there, its name works too.

Run: python examples/own_measure.py [--short]
"""

import argparse
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from torch import Tensor

from streaming_metrics import Features, GenerativeMetrics, Measure, Scalar, Spec
from streaming_metrics.measures import Sides
from streaming_metrics.measures.base import Prepared, Results, width
from streaming_metrics.statistics import State, Statistic, Sums
from streaming_metrics.statistics.sums import Shapes


@dataclass(frozen=True)
class ClassCounts(Sums):
    """Samples of each class that logits put first.

    Args:
        num_classes: C.
    """

    num_classes: int
    column = "logits"

    @property
    def name(self) -> str:
        return f"class_counts_{self.num_classes}"

    @property
    def shapes(self) -> Shapes:
        return {"counts": ((self.num_classes,), torch.int64)}

    def sums_of(self, features: Features) -> State:
        """Return the counts of a batch."""
        return {"counts": torch.bincount(self.rows_of(features).argmax(1), minlength=self.num_classes)}


@dataclass(frozen=True)
class ClassGap(Measure):
    """Total variation of the shares of classes, ``½ Σ_c |p_c − q_c|``: 0 for equal shares, 1 for no class in common."""

    label: ClassVar[str] = "class_gap"
    column: ClassVar[str] = "logits"

    @property
    def scalars(self) -> tuple[Scalar, ...]:
        return (Scalar("class_gap", "Total variation of classes", "lower"),)

    def statistics(self, spec: Spec) -> Mapping[str, tuple[Statistic, ...]]:
        """Return what is kept of each role: equal statistics of several measures are kept once."""
        counts = (ClassCounts(width(spec, "ClassGap", "logits")),)
        return {"real": counts, "fake": counts}

    def check(self, sides: Sides) -> None:
        """Raise NotEnoughSamples where there are none."""
        for side in sides:
            side.require(1, "ClassGap")

    def compute(self, sides: Sides, prepared: Prepared, results: Results) -> dict[str, Tensor]:
        """Return the value of all ranks' counts."""
        statistic = ClassCounts(width(sides.spec, "ClassGap", "logits"))
        real, fake = (side[statistic]["counts"].double() / side.num_samples for side in (sides.real, sides.fake))
        return {"class_gap": (real - fake).abs().sum() / 2}


parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--short", action="store_true", help="one generator that forgets digits instead of three")
forgotten = [3] if parser.parse_args().short else [1, 3, 5]

digits = load_digits()
pixels = digits.data / 16
classifier = LogisticRegression(max_iter=1000).fit(pixels, digits.target)


def features_of(rows: np.ndarray) -> Features:
    """Return the features of some digits, with the logits of their ten classes."""
    logits = classifier.decision_function(rows)
    return Features(pool=torch.from_numpy(rows).float(), logits=torch.from_numpy(logits).float())


# By its class, or by its name: the same measure.
metric = GenerativeMetrics("fid,class_gap", extractor=None, num_features=64, num_classes=10)
assert metric.measures[1] == ClassGap()

# Every other digit is "real". A "generator" that has forgotten the last k digits gives the others of the second half.
metric.update(features_of(pixels[0::2]), real=True)
metric.freeze_real()
for k in [0, *forgotten]:
    metric.reset()
    metric.update(features_of(pixels[1::2][digits.target[1::2] < 10 - k]), real=False)
    scores = metric.compute()
    print(f"{k} digits forgotten: " + ", ".join(f"{key} {value:.4f}" for key, value in scores.items()))
print(metric.signature())
