"""Paired comparison: whether two scores of the same seeds and the same real samples differ.

Noise that both share cancels in the difference of the influence values, so that it tells apart what two intervals of
their own cannot.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import hypot, nan, sqrt
from typing import TYPE_CHECKING, Literal, TypeAlias

import numpy as np
from scipy.stats import norm

if TYPE_CHECKING:
    from streaming_metrics.verdicts.evidence import Evidence

ROUNDING = 1e-9
"""Share of scores and their errors below which a paired error is rounding: the same samples in other batches."""
Verdict: TypeAlias = Literal["better", "worse", "undecided"]


@dataclass(frozen=True)
class Comparison:
    """Comparison of two scores of the same samples: ``difference = one − other``, its interval and p-value.

    Args:
        key: of the scores.
        difference: of the bias-corrected scores; NaN where one has no such value.
        error: its standard error, over the samples that both share.
        z: difference in standard errors, where these are more than rounding; 0 where both are the same.
        low, high: interval of the difference.
        p_value: two-sided, of no difference.
        alpha: the interval covers with a probability of 1 − alpha.
        correlation: of the influence values of generated samples.
        gain: by how much the interval of :func:`unpaired` would be wider.
        better: ``"lower"`` or ``"higher"``.
    """

    key: str
    difference: float
    error: float
    z: float
    low: float
    high: float
    p_value: float
    alpha: float
    correlation: float
    gain: float
    better: str = "lower"

    def verdict(self, threshold: float | None = None) -> Verdict:
        """Return whether the one is better than the other, or neither is told.

        Args:
            threshold: standard errors from which on it is told; by default those of ``alpha``.
        """
        least = float(norm.isf(self.alpha / 2)) if threshold is None else threshold
        if not abs(self.z) >= least:  # NaN is undecided
            return "undecided"
        return "better" if (self.z < 0) == (self.better == "lower") else "worse"


def paired(one: Evidence, other: Evidence, alpha: float = 0.05, threshold: float | None = None) -> Comparison:
    """Return the comparison of two scores of the same generated ids, and of the same real samples.

    ``var(ψ_one − ψ_other)/N``, and the same of the real side, which nearly cancels; the normal distribution.

    Args:
        one, other: of one key.
        alpha: of the interval.
        threshold: standard errors of the interval's half-width, where looks before the last one ask for more.

    Raises:
        ValueError: where keys, ids, numbers of samples or what is random differ: nothing is unpaired silently.
    """
    _refuse_unlike(one, other)
    correlation = _correlation(one.fake.values, other.fake.values)
    return _compared(one, other, one.fake.minus(other.fake).error, correlation, alpha, threshold)


def unpaired(one: Evidence, other: Evidence, alpha: float = 0.05) -> Comparison:
    """Return the comparison of two scores whose generated samples have nothing in common: honest, and wider.

    The real samples are the same ones, whose noise cancels as in :func:`paired`.

    Args:
        one, other: of one key; of any numbers of generated samples.
        alpha: of the interval.

    Raises:
        ValueError: where keys, or real samples, differ.
    """
    _refuse_unlike(one, other)
    return _compared(one, other, hypot(one.fake.error, other.fake.error), 0.0, alpha, None)


def _refuse_unlike(one: Evidence, other: Evidence) -> None:
    if (one.key, one.better) != (other.key, other.better):
        raise ValueError(f"paired: expected scores of one measure, got {one.key!r} and {other.key!r}.")
    if (one.real is None) != (other.real is None):
        raise ValueError(
            "paired: expected real features behind both scores or neither, got them of one. Remedy: measure both "
            "against the same real images or the same reference."
        )
    if one.both != other.both:
        raise ValueError(
            "paired: expected both scores given the reference, or both with either side random: the bias of the real "
            "side is left in one alone. Remedy: the same both= for both."
        )


def _compared(
    one: Evidence, other: Evidence, fake_error: float, correlation: float, alpha: float, threshold: float | None
) -> Comparison:
    both = () if one.real is None or other.real is None else (one.real, other.real)
    real_error = both[0].minus(both[1]).error if both else 0.0
    error = hypot(fake_error, real_error)
    apart = hypot(one.fake.error, other.fake.error, real_error)
    difference = one.value - other.value
    told = max(error, ROUNDING * max(apart, abs(one.value), abs(other.value)))
    z = _ratio(difference, told)
    half = (float(norm.isf(alpha / 2)) if threshold is None else threshold) * told
    return Comparison(
        one.key,
        difference,
        error,
        z,
        difference - half,
        difference + half,
        float(2 * norm.sf(abs(z))),
        alpha,
        correlation,
        _ratio(apart, told) if error else 1.0,
        one.better,
    )


def _ratio(difference: float, error: float) -> float:
    """Return difference / error, 0 where both are 0."""
    if error == 0:
        return 0.0 if difference == 0 else np.inf * np.sign(difference)
    return difference / error


def _correlation(x: np.ndarray, y: np.ndarray) -> float:
    if not len(x):
        return nan
    x, y = x - x.mean(), y - y.mean()
    norms = sqrt(float(x @ x) * float(y @ y))
    return float(x @ y) / norms if norms else nan
