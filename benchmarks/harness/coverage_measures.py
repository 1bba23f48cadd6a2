"""Coverage of the intervals of measures other than FID: simulated, so that what they should hold is known.

Each case draws features anew, scores them by the public metric with ``se=True``, and asks how often the interval of a
value holds its mean over draws, which is the value at that number of samples: and the root mean square of the error
over the deviation of the value. The mean is of the same draws, so that coverage is known to about 0.015 with 200.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch

from streaming_metrics import (
    IS,
    KID,
    MMD,
    PRDC,
    AMScore,
    Features,
    GenerativeMetrics,
    Modes,
    ModeScore,
    Vendi,
)
from streaming_metrics.measures.errors import with_error

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from streaming_metrics import Measure

HEAD = ["case", "value", "mean", "SE / SD", "covers"]


class Coverage(NamedTuple):
    """How well a value's interval holds its mean over draws."""

    case: str
    key: str
    mean: float
    ratio: float
    share: float

    @property
    def cells(self) -> list[str]:
        """Cells of a table under :data:`HEAD`."""
        return [self.case, self.key, f"{self.mean:.4g}", f"{self.ratio:.2f}", f"{self.share:.3f}"]


@dataclass(frozen=True)
class Case:
    """Case of a simulation.

    Args:
        name: what it is called.
        measure: with its error.
        real, fake: draw features, by a generator.
        is_real_fixed: whether the real side is drawn once.
    """

    name: str
    measure: Measure
    real: Callable[[torch.Generator], Features]
    fake: Callable[[torch.Generator], Features]
    is_real_fixed: bool = True


def normal(n: int, width: int, shift: float = 0.0, scale: float = 1.0) -> Callable[[torch.Generator], Features]:
    """Return a draw of Gaussian rows, whose column i has a deviation of ``scale / √(i + 1)``."""

    def draw(generator: torch.Generator) -> Features:
        rows = torch.randn(n, width, generator=generator)
        return Features(shift + scale * rows / torch.arange(1, width + 1).sqrt(), index=torch.arange(n))

    return draw


def predicted(n: int, classes: int, sure: float = 3.0) -> Callable[[torch.Generator], Features]:
    """Return a draw of logits of so many classes, some shown more often than others."""

    def draw(generator: torch.Generator) -> Features:
        shown = torch.multinomial(torch.arange(1.0, classes + 1), n, replacement=True, generator=generator)
        logits = torch.randn(n, classes, generator=generator)
        logits[torch.arange(n), shown] += sure * torch.rand(n, generator=generator)
        return Features(logits=logits, index=torch.arange(n))

    return draw


def prompted(n: int, each: int, width: int) -> Callable[[torch.Generator], Features]:
    """Return a draw of rows of which ``each`` consecutive ones share a prompt, and half of their variance."""

    def draw(generator: torch.Generator) -> Features:
        prompts = torch.randn(n // each, width, generator=generator).repeat_interleave(each, 0)
        return Features((prompts + torch.randn(n, width, generator=generator)) / 2**0.5 + 0.2, index=torch.arange(n))

    return draw


def cases() -> list[Case]:
    """Return the cases that are published."""
    real, near = normal(400, 8), normal(400, 8, 0.2)
    few = normal(500, 4)
    logits, labels = predicted(1000, 20), predicted(1000, 20, 4.0)
    balls, wide = PRDC(k=5, se=True, f1=True), PRDC(k=5, se=True, both=True, f1=True)
    return [
        Case("KID, all samples, apart", KID(subsets=None), real, near, False),
        Case("KID, all samples, equal laws", KID(subsets=None), real, real, False),
        Case("KID, mean of 50 subsets", KID(50, 100, se=True), real, near, False),
        Case("KID, 4 a prompt, by samples", KID(subsets=None), real, prompted(400, 4, 8), False),
        Case("KID, 4 a prompt, by prompts", KID(subsets=None, cluster=4), real, prompted(400, 4, 8), False),
        Case("MMD", MMD(permutations=0, se=True, most=400), real, near, False),
        Case("IS, one split", IS(splits=1, se=True), logits, logits),
        Case("IS, 10 splits", IS(se=True), logits, logits),
        Case("mode score, jackknife", with_error(ModeScore()), labels, logits),
        Case("AM score, jackknife", with_error(AMScore()), labels, logits),
        Case("modes, jackknife", with_error(Modes(modes=10)), few, normal(500, 4, 0.3)),
        Case("balls, real fixed", balls, normal(500, 4), normal(400, 4, 0.3)),
        Case("balls, real fixed, told as both", wide, normal(500, 4), normal(400, 4, 0.3)),
        Case("balls, real random, as if fixed", balls, normal(500, 4), normal(400, 4, 0.3), False),
        Case("balls, real random", wide, normal(500, 4), normal(400, 4, 0.3), False),
        Case("balls, near all covered", wide, normal(300, 4), normal(900, 4), False),
        Case("Vendi, q = 1", Vendi(se=True), real, normal(500, 8, 0.3)),
        Case("Vendi, q = 2", Vendi(2, se=True), real, normal(500, 8, 0.3)),
    ]


def covered(case: Case, draws: int = 200, seed: int = 0) -> list[Coverage]:
    """Return how often the intervals of a case's values hold their means over draws, and how wide the errors are."""
    generator = torch.Generator().manual_seed(seed)
    fixed = case.real(generator) if case.is_real_fixed else None
    rows: list[dict[str, float]] = []
    for _ in range(draws):
        real = case.real(generator) if fixed is None else fixed
        rows.append(_scored(case.measure, real, case.fake(generator)))
    return [
        _coverage(case, key, error, rows)
        for scalar in case.measure.scalars
        if scalar.about and scalar.spread_of
        for key, error in [(scalar.spread_of, scalar.key)]
    ]


def _scored(measure: Measure, real: Features, fake: Features) -> dict[str, float]:
    widths = [rows.shape[1] if rows is not None else None for rows in map(real.column, ("pool", "logits"))]
    metric = GenerativeMetrics([measure], extractor=None, num_features=widths[0], num_classes=widths[1])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        metric.update(real, real=True)
        metric.update(fake, real=False)
        return dict(zip(measure.keys, (value.item() for value in metric.compute().values())))


def _coverage(case: Case, key: str, error: str, rows: Sequence[dict[str, float]]) -> Coverage:
    values, errors = (np.array([row[name] for row in rows]) for name in (key, error))
    [scalar] = [scalar for scalar in case.measure.scalars if scalar.key == key]
    ends = np.array([scalar.interval(value, width) for value, width in zip(values, errors)])
    mean, deviation = values.mean(), values.std(ddof=1)
    ratio = float(np.sqrt((errors**2).mean()) / deviation) if deviation else float("nan")
    return Coverage(case.name, key, float(mean), ratio, float(((ends[:, 0] <= mean) & (mean <= ends[:, 1])).mean()))
