"""Rank correlation: whether a computed measure puts checkpoints into the order that people do. Parity target: SciPy."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf, nan, sqrt
from typing import TYPE_CHECKING

import numpy as np
from scipy.stats import norm, rankdata

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import ArrayLike, NDArray

    Floats = NDArray[np.float64]

FEWEST = 4
"""Checkpoints below which a rank correlation has no interval: three points are in order by chance too often."""
DRAWS = 400


@dataclass(frozen=True)
class Correlated:
    """Rank correlation with its interval; NaN where it cannot be told."""

    value: float
    low: float = nan
    high: float = nan


@dataclass(frozen=True)
class RankCorrelation:
    """Rank correlations of people's scores and a computed measure over checkpoints.

    Args:
        spearman: of ranks, in [−1, 1].
        kendall: share of pairs in the same order less that in the other, τ-b, in [−1, 1].
        checkpoints: how many.
        note: why there is no interval, or no correlation; empty where there are both.
    """

    spearman: Correlated
    kendall: Correlated
    checkpoints: int
    note: str = ""


def rank_correlation(
    scores: ArrayLike,
    measured: ArrayLike,
    covariance: ArrayLike | None = None,
    spreads: ArrayLike | None = None,
    *,
    confidence: float = 0.95,
    seed: int = 0,
) -> RankCorrelation:
    """Return Spearman's ρ and Kendall's τ-b between people's scores and a measure over checkpoints.

    ``tanh(atanh r ± z √(v_checkpoints + v_judges))``. The first variance is that of drawing so few checkpoints,
    ``(1 + ρ²/2)/(n − 3)`` (Bonett and Wright 2000) or ``0.437/(n − 4)`` (Fieller, Hartley and Pearson 1957); the
    second that of ``atanh r`` where the scores are drawn anew from their covariance over raters and prompts, and the
    measure from its own standard errors: judging the same checkpoints again. Where the order is wholly the same,
    ``r`` is taken half a step inside. Checkpoints of one training follow one another: read the interval as that of
    checkpoints as different as these, not of another training. Noise of judgements pulls ``r`` towards 0.

    Args:
        scores: ``(n,)`` of people, e.g. mean opinions or strengths.
        measured: ``(n,)`` of a measure, turned so that higher is better.
        covariance: ``(n, n)`` of the scores; None where it is not known.
        spreads: ``(n,)`` standard errors of the measure; None where they are not known.
        confidence: of the intervals.
        seed: of the draws.

    Raises:
        ValueError: unless there are as many scores as values, all finite.

    Example:
        >>> found = rank_correlation([1.0, 2.1, 2.9, 4.2, 4.8], [-90.0, -40.0, -41.0, -20.0, -9.0])
        >>> round(found.spearman.value, 2), round(found.kendall.value, 2), found.spearman.low < found.spearman.value
        (0.9, 0.8, True)
    """
    x, y = (np.asarray(one, dtype=np.float64) for one in (scores, measured))
    if x.shape != y.shape or x.ndim != 1 or not np.isfinite([x, y]).all():
        raise ValueError(
            f"rank_correlation: expected as many finite values as scores, (n,) each, got {x.shape} and {y.shape}. "
            "Remedy: leave out the checkpoints that lack one of them."
        )
    n = len(x)
    if n < 2 or np.ptp(x) == 0 or np.ptp(y) == 0:
        why = f"{n} checkpoints" if n < 2 else "all values are the same"
        return RankCorrelation(Correlated(nan), Correlated(nan), n, f"no order to compare: {why}")
    found = float(_rho(x, y)), float(_tau(x, y))
    if n < FEWEST:
        few = f"{n} checkpoints are too few for an interval; {FEWEST} are needed, and ten say something"
        return RankCorrelation(Correlated(found[0]), Correlated(found[1]), n, few)
    drawn = _draws(x, y, covariance, spreads, seed)
    own = (1 + found[0] ** 2 / 2) / (n - 3), 0.437 / (n - 4) if n > 4 else inf
    steps = 3 / (n * (n * n - 1)), 2 / (n * (n - 1))
    both = [
        _interval(r, variance, step, np.empty(0) if drawn is None else of(*drawn), confidence)
        for r, variance, step, of in zip(found, own, steps, (_rho, _tau))
    ]
    return RankCorrelation(both[0], both[1], n)


def beside(
    scores: Mapping[str, float],
    measured: Mapping[str, Mapping[str, float]],
    covariance: ArrayLike | None = None,
    spreads: Mapping[str, Mapping[str, float]] | None = None,
) -> dict[str, RankCorrelation]:
    """Return the rank correlation of each measure with people's scores, over the checkpoints that have both.

    Args:
        scores: people's, by condition.
        measured: values by measure and condition, turned so that higher is better.
        covariance: of the scores, in their order.
        spreads: standard errors by measure and condition.
    """
    full = None if covariance is None else np.array(covariance, dtype=np.float64)  # None becomes NaN
    places = {name: place for place, name in enumerate(scores)}
    found = {}
    for key, values in measured.items():
        names = [name for name in scores if np.isfinite(values.get(name, nan)) and np.isfinite(scores[name])]
        at, own = [places[name] for name in names], (spreads or {}).get(key, {})
        errors = [own.get(name, 0.0) for name in names]
        of = None if full is None else full[np.ix_(at, at)]
        found[key] = rank_correlation([scores[name] for name in names], [values[name] for name in names], of, errors)
    return found


def _draws(
    x: Floats, y: Floats, covariance: ArrayLike | None, spreads: ArrayLike | None, seed: int
) -> tuple[Floats, Floats] | None:
    """Return scores and values ``(DRAWS, n)`` as they might have come out; None where nothing is known of errors."""
    n, rng = len(x), np.random.default_rng(seed)
    of = np.zeros((n, n)) if covariance is None else np.nan_to_num(np.asarray(covariance, dtype=np.float64))
    own = np.zeros(n) if spreads is None else np.nan_to_num(np.asarray(spreads, dtype=np.float64))
    if not of.any() and not own.any():
        return None
    variances, vectors = np.linalg.eigh((of + of.T) / 2)
    factor = vectors * np.sqrt(np.maximum(variances, 0.0))
    return x + rng.standard_normal((DRAWS, n)) @ factor.T, y + rng.standard_normal((DRAWS, n)) * own


def _interval(r: float, variance: float, step: float, drawn: Floats, confidence: float) -> Correlated:
    inside = np.arctanh(np.clip([r, *drawn], step - 1, 1 - step))
    judged = float(np.var(inside[1:])) if len(drawn) else 0.0
    reach = float(norm.ppf((1 + confidence) / 2)) * sqrt(variance + judged)
    low, high = np.tanh([inside[0] - reach, inside[0] + reach])
    return Correlated(r, min(float(low), r), max(float(high), r))


def _rho(x: Floats, y: Floats) -> Floats:
    """Return Spearman's ρ along the last axis."""
    first, second = (ranks - ranks.mean(-1, keepdims=True) for ranks in (rankdata(x, axis=-1), rankdata(y, axis=-1)))
    return (first * second).sum(-1) / np.sqrt((first**2).sum(-1) * (second**2).sum(-1))


def _tau(x: Floats, y: Floats) -> Floats:
    """Return Kendall's τ-b along the last axis."""
    first, second = (np.sign(one[..., :, None] - one[..., None, :]) for one in (x, y))
    both = (-2, -1)
    return (first * second).sum(both) / np.sqrt((first**2).sum(both) * (second**2).sum(both))
