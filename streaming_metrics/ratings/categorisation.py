"""Categorisation: how well people tell generated from real images at a glance. Parity target: closed forms by SciPy."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from math import nan
from typing import TYPE_CHECKING

import numpy as np
from scipy.stats import norm

from streaming_metrics.ratings.clusters import clustered, interval
from streaming_metrics.ratings.estimate import Estimate
from streaming_metrics.ratings.judgement import of_one_task
from streaming_metrics.ratings.preference import share

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from streaming_metrics.ratings.judgement import Judgement
    from streaming_metrics.ratings.judgements import Judgements

    Floats = NDArray[np.float64]

FRAME_MS = 17.0


@dataclass(frozen=True)
class Detections:
    """Detections of real images among generated ones; ``+`` adds what others counted.

    Args:
        hits, misses: real images called real, and called fake.
        false_alarms, correct_rejections: generated images called real, and called fake.

    Example:
        >>> seen = Detections(40, 10, 0, 0) + Detections(0, 0, 25, 25)
        >>> round(seen.dprime, 3), round(seen.bias, 3), seen.accuracy
        (0.821, -0.41, 0.65)
    """

    hits: int = 0
    misses: int = 0
    false_alarms: int = 0
    correct_rejections: int = 0

    def __add__(self, other: Detections) -> Detections:
        return Detections(*(a + b for a, b in zip(self.counts, other.counts)))

    @property
    def counts(self) -> tuple[int, int, int, int]:
        """Hits, misses, false alarms, correct rejections."""
        return self.hits, self.misses, self.false_alarms, self.correct_rejections

    @property
    def rates(self) -> tuple[float, float]:
        """Hit and false alarm rate, log-linear corrected, ``(k + ½)/(n + 1)`` (Hautus 1995), so never 0 or 1."""
        real, fake = self.hits + self.misses, self.false_alarms + self.correct_rejections
        return (self.hits + 0.5) / (real + 1), (self.false_alarms + 0.5) / (fake + 1)

    @property
    def dprime(self) -> float:
        """Sensitivity ``d′ = z(H) − z(F)``; 0 is chance."""
        hit, alarm = norm.ppf(self.rates)
        return float(hit - alarm)

    @property
    def bias(self) -> float:
        """Criterion ``c = −(z(H) + z(F))/2``; below 0 where "real" is said too readily."""
        hit, alarm = norm.ppf(self.rates)
        return float(-(hit + alarm) / 2)

    @property
    def accuracy(self) -> float:
        """Mean of the shares of real and of generated images that were told; NaN without either."""
        real, fake = self.hits + self.misses, self.false_alarms + self.correct_rejections
        return (self.hits / real + self.correct_rejections / fake) / 2 if real and fake else nan


@dataclass(frozen=True)
class Categorisation:
    """Categorisation of one condition's images among real ones, at one exposure.

    Args:
        condition: the generated one.
        exposure_ms: as asked for; None where images stayed until the answer.
        accuracy: mean of both shares told right, so that it does not depend on how many were real.
        fooled: share of the generated images that were called real.
        dprime, bias: sensitivity and criterion of all raters' answers together.
        detections: the counts.
    """

    condition: str
    exposure_ms: float | None
    accuracy: Estimate
    fooled: Estimate
    dprime: Estimate
    bias: Estimate
    detections: Detections


def categorise(judgements: Judgements, confidence: float = 0.95) -> list[Categorisation]:
    """Return how well each generated condition is told from the real images, at each exposure.

    ``d′ = z(H) − z(F)`` of all raters' answers together, by the delta method: an answer moves it by
    ``(y − H)/(n φ(z(H)))``, and these are summed within raters and within prompts or items. Raters with different
    criteria make the d′ of all together smaller than the mean of their own. Real images of an exposure are shared by
    all conditions.

    Args:
        judgements: those of categorisations are read, without attention checks.
        confidence: of the intervals.
    """
    rows = of_one_task("categorise", (row for row in judgements if row.kind == "categorisation"))
    found = []
    names = dict.fromkeys(row.conditions[0] for row in rows if row.truth == 0)
    for name in names:
        for time in sorted({row.exposure_ms for row in rows if row.conditions[0] == name}, key=lambda ms: ms or 0):
            at = [row for row in rows if row.exposure_ms == time and (row.truth == 1 or row.conditions[0] == name)]
            found.append(_categorisation(name, time, at, confidence))
    return found


def _categorisation(name: str, time: float | None, rows: Sequence[Judgement], confidence: float) -> Categorisation:
    answers, real = (np.array([getattr(row, field) for row in rows]) for field in ("answer", "truth"))
    is_real = real == 1
    hits, alarms = int(answers[is_real].sum()), int(answers[~is_real].sum())
    counted = Detections(hits, int(is_real.sum()) - hits, alarms, int((~is_real).sum()) - alarms)
    raters, units = [row.rater for row in rows], [row.unit for row in rows]
    fakes = [row for row in rows if row.truth == 0]
    fooled = share([row.answer for row in fakes], [row.rater for row in fakes], [row.unit for row in fakes], confidence)
    if not is_real.any():
        none = Estimate(nan, nan, nan, len(rows), len(set(raters)), confidence)
        return Categorisation(name, time, none, fooled, none, none, counted)
    rates = counted.rates
    raw = np.where(is_real, (answers - rates[0]) / is_real.sum(), (answers - rates[1]) / (~is_real).sum())
    slopes = np.where(is_real, *(1 / norm.pdf(norm.ppf(rate)) for rate in rates))
    signs = np.where(is_real, 1.0, -1.0)
    influence = np.stack([signs * raw / 2, signs * raw * slopes, -raw * slopes / 2], 1)
    covariance, freedoms = clustered(influence, raters, units)
    values = counted.accuracy, counted.dprime, counted.bias
    accuracy, dprime, bias = (
        Estimate(value, *interval(value, variance, freedom, confidence), len(rows), len(set(raters)), confidence)
        for value, variance, freedom in zip(values, np.diag(covariance).tolist(), freedoms.tolist())
    )
    return Categorisation(name, time, accuracy.within(0, 1), fooled, dprime, bias, counted)


def exposure_needed(found: Sequence[Categorisation], dprime: float = 1.0) -> float | None:
    """Return the exposure in milliseconds at which one condition reaches a d′, between two that were measured.

    None outside of what was measured: nothing is extrapolated.
    """
    points = sorted((one.exposure_ms, one.dprime.value) for one in found if one.exposure_ms is not None)
    for (before, low), (after, high) in pairwise(points):
        if low <= dprime <= high and high > low:
            return before + (after - before) * (dprime - low) / (high - low)
    return None


def lasted_wrong(judgements: Judgements, tolerance_ms: float = FRAME_MS) -> list[Judgement]:
    """Return the judgements whose measured exposure is off the asked one by more than a frame of 60 Hz."""
    timed = (row for row in judgements if row.exposure_ms is not None and row.shown_ms is not None)
    return [row for row in timed if abs((row.shown_ms or 0) - (row.exposure_ms or 0)) > tolerance_ms]
