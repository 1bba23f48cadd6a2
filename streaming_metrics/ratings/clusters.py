"""Clusters: variances of judgements that share raters and prompts. Parity target: one-way sandwich by hand."""

from __future__ import annotations

from math import nan, sqrt
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.stats import t as student

from streaming_metrics.ratings.estimate import Estimate

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike, NDArray

    Floats = NDArray[np.float64]
    Labels = Sequence[Any] | NDArray[Any]


def clustered_covariance(influence: ArrayLike, *clusters: Labels) -> Floats:
    """Return the covariance ``(p, p)`` of estimates whose rows of influence share clusters.

    ``V = V_rater + V_unit − V_both``, each ``G/(G − 1) · Σ_g s_g s_gᵀ`` of the sums ``s_g`` of influence within its
    clusters (Cameron, Gelbach and Miller 2011); its diagonal is never below that of either alone. NaN where a
    clustering has but one cluster: what differs between raters cannot be told from one.

    Args:
        influence: ``(n, p)``: how far each row moves each estimate; ``(x − mean) / n`` for a mean.
        clusters: labels ``(n,)``, one or two clusterings.

    Example:
        >>> clustered_covariance(np.array([[1.0], [-1.0], [1.0], [-1.0]]), [0, 0, 1, 1])
        array([[0.]])
    """
    rows = np.asarray(influence, dtype=np.float64)
    codes = [_coded(labels) for labels in clusters]
    ways = [_one_way(rows, code) for code in codes]
    if len(ways) == 1:
        return ways[0]
    total = ways[0] + ways[1] - _one_way(rows, _coded(list(zip(*codes))))
    return _no_less(total, np.maximum(*(np.diag(way) for way in ways)))


def _coded(labels: Labels) -> NDArray[np.int64]:
    """Return a number for each label, the same for equal ones."""
    numbers: dict[Any, int] = {}
    return np.array([numbers.setdefault(label, len(numbers)) for label in labels], dtype=np.int64)


def _one_way(rows: Floats, code: NDArray[np.integer]) -> Floats:
    count = int(code.max(initial=-1)) + 1
    if count < 2:
        return np.full((rows.shape[1],) * 2, nan)
    sums = np.zeros((count, rows.shape[1]))
    np.add.at(sums, code, rows)
    return count / (count - 1) * sums.T @ sums


def _no_less(total: Floats, least: Floats) -> Floats:
    """Return the nearest covariance without negative directions whose variances are not below ``least``."""
    if not np.isfinite(total).all():
        return np.full_like(total, nan)
    values, vectors = np.linalg.eigh((total + total.T) / 2)
    total = (vectors * np.maximum(values, 0.0)) @ vectors.T
    own = np.diag(total)
    scale = np.sqrt(np.divide(least, own, out=np.ones_like(own), where=own > 0))
    scale = np.maximum(scale, 1.0)
    return total * np.outer(scale, scale) + np.diag(np.where(own > 0, 0.0, least))


def degrees_of_freedom(*clusters: Labels) -> int:
    """Return the degrees of freedom of a clustered variance: one less than its fewest clusters."""
    return min(len(set(labels)) for labels in clusters) - 1


def interval(value: float, variance: float, freedom: int, confidence: float = 0.95) -> tuple[float, float]:
    """Return the ends of Student's interval; NaN where there is no variance or no freedom."""
    if freedom < 1 or not np.isfinite(variance):
        return nan, nan
    reach = float(student.ppf((1 + confidence) / 2, freedom)) * sqrt(max(variance, 0.0))
    return value - reach, value + reach


def clustered_mean(values: ArrayLike, raters: Labels, units: Labels, confidence: float = 0.95) -> Estimate:
    """Return a mean whose interval knows that judgements share raters and prompts.

    Args:
        values: ``(n,)``.
        raters, units: who judged, and what (prompt or item), ``(n,)``.
        confidence: of the interval, Student's with one degree of freedom less than raters or units, the fewer.

    Example:
        >>> clustered_mean([1.0, 2.0, 3.0, 4.0], [0, 0, 1, 1], [0, 1, 2, 3]).value
        2.5
    """
    x = np.asarray(values, dtype=np.float64)
    counted = len(x), len(set(raters))
    if not len(x):
        return Estimate(nan, nan, nan, *counted, confidence)
    mean = float(x.mean())
    variance = float(clustered_covariance(((x - mean) / len(x))[:, None], raters, units)[0, 0])
    ends = interval(mean, variance, degrees_of_freedom(raters, units), confidence)
    return Estimate(mean, *ends, *counted, confidence)
