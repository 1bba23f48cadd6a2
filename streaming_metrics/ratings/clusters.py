"""Clusters: variances of judgements that share raters and prompts. Parity target: one-way sandwich by hand."""

from __future__ import annotations

from itertools import chain, product
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
    clustering has but one cluster: what differs between raters cannot be told from one. A row may belong to several
    clusters of one clustering, as a comparison does to both of its items: two rows then go together where they share
    any, ``V_unit = V_member − V_pair`` (Aronow, Samii and Assenova 2015).

    Args:
        influence: ``(n, p)``: how far each row moves each estimate; ``(x − mean) / n`` for a mean.
        clusters: labels ``(n,)``, one or two clusterings; a label that is a frozenset names one or two clusters.

    Example:
        >>> clustered_covariance(np.array([[1.0], [-1.0], [1.0], [-1.0]]), [0, 0, 1, 1])
        array([[0.]])
    """
    rows = np.asarray(influence, dtype=np.float64)
    one, *rest = [[_members(label) for label in labels] for labels in clusters]
    if not rest:
        return _shared(rows, one)
    ways = _shared(rows, one), _shared(rows, rest[0])
    total = ways[0] + ways[1] - _shared(rows, [tuple(product(*pair)) for pair in zip(one, rest[0])])
    return _no_less(total, np.maximum(*(np.diag(way) for way in ways)))


def _shared(rows: Floats, members: Sequence[tuple[Any, ...]]) -> Floats:
    """Return the variance of rows that go together where they share any of their one or two members."""
    alone = _one_way(rows, members)
    if max(map(len, members), default=1) == 1:
        return alone
    twice: list[tuple[Any, ...]] = [
        (pair,) if len(pair) > 1 else () for pair in members
    ]  # rows that share both were counted twice
    return alone - _one_way(rows, twice, least=1)


def _one_way(rows: Floats, members: Sequence[tuple[Any, ...]], least: int = 2) -> Floats:
    codes = {label: number for number, label in enumerate(dict.fromkeys(chain.from_iterable(members)))}
    if len(codes) < least:
        return np.full((rows.shape[1],) * 2, nan)
    sums = np.zeros((len(codes), rows.shape[1]))
    for place in range(max(map(len, members))):
        has = [number for number, labels in enumerate(members) if len(labels) > place]
        np.add.at(sums, [codes[members[number][place]] for number in has], rows[has])
    return len(codes) / max(1, len(codes) - 1) * sums.T @ sums


def _members(label: Any) -> tuple[Any, ...]:
    return tuple(sorted(label)) if isinstance(label, frozenset) else (label,)


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
    """Return the degrees of freedom of a clustered variance: one less than its fewest clusters.

    Of rows that belong to two clusters each, as many rows' worth: half of these clusters.
    """
    return min(_count(labels) for labels in clusters) - 1


def _count(labels: Labels) -> int:
    members = [_members(label) for label in labels]
    return len(set(chain.from_iterable(members))) // max(map(len, members), default=1)


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
