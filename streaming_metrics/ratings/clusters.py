"""Clusters: variances of judgements that share raters and prompts. Parity target: the jackknife by hand."""

from __future__ import annotations

from itertools import chain, product
from math import nan, sqrt
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from scipy.stats import t as student

from streaming_metrics.ratings.estimate import Estimate

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike, NDArray

    Floats = NDArray[np.float64]
    Labels = Sequence[Any] | NDArray[Any]

LEAST = 2
"""Clusters of which a variance between them can be told."""
NOTHING = 1e-9
"""Share of a variance that rounding may leave where there is none."""


class Clustered(NamedTuple):
    """Covariance of estimates whose rows share clusters, and how many degrees of freedom each variance has.

    Args:
        covariance: ``(p, p)``; NaN where it cannot be told.
        freedom: ``(p,)``, for Student's t; NaN likewise.
    """

    covariance: Floats
    freedom: Floats


def clustered(influence: ArrayLike, *clusters: Labels) -> Clustered:
    """Return the covariance of estimates whose rows of influence share clusters, by the jackknife.

    Of one clustering ``V = (G − 1)/G · Σ_g s_g s_gᵀ``, ``s_g`` the sum of influence within a cluster over ``1 − n_g/n``
    (what the estimates move by without it; MacKinnon, Nielsen and Webb 2023). Of raters and units ``V = V_both +
    (V_rater − V_both)⁺ + (V_unit − V_both)⁺`` (Cameron, Gelbach and Miller 2011, whose sum has no ``⁺``, the part
    without negative directions, and may be below either). NaN where a clustering has but one cluster: what differs
    between raters cannot be told from one. Degrees of freedom are Satterthwaite's of these parts, of ``(Σ n_g²)² /
    Σ n_g⁴`` clusters, which is fewer than G where some are large. Of the ways that were simulated
    (``benchmarks/human_intervals.py``) this one covers best.

    A row may belong to two clusters of one clustering, as a comparison does to both of its items: two rows then go
    together where they share any, ``V_unit = V_member − V_pair`` (Aronow, Samii and Assenova 2015).

    Args:
        influence: ``(n, p)``: how far each row moves each estimate; ``(x − mean) / n`` for a mean.
        clusters: labels ``(n,)``, one or two clusterings; a label that is a frozenset names one or two clusters.

    Example:
        >>> found = clustered(np.array([[1.0], [-1.0], [1.0], [-1.0]]), [0, 0, 1, 1])
        >>> found.covariance.tolist(), found.freedom.tolist()
        ([[0.0]], [1.0])
    """
    rows = np.asarray(influence, dtype=np.float64)
    members = [[_members(label) for label in labels] for labels in clusters]
    ways = [_way(rows, labels) for labels in members]
    if len(ways) == 1:
        return Clustered(ways[0].covariance, np.full(rows.shape[1], ways[0].clusters - 1))
    if any(np.isnan(way.covariance).any() for way in ways):
        return Clustered(np.full((rows.shape[1],) * 2, nan), np.full(rows.shape[1], nan))
    both = _way(rows, [tuple(product(*pair)) for pair in zip(*members)])
    shared = _positive(both.covariance)
    more = [_positive(way.covariance - shared) for way in ways]
    total = shared + more[0] + more[1]
    spent = np.diag(shared) ** 2 / max(both.clusters - 1, 1)
    for way, part in zip(ways, more):
        counts = np.diag(part) > NOTHING * np.diag(total)
        spent = spent + counts * np.diag(way.covariance) ** 2 / max(way.clusters - 1, NOTHING)
    fewest = min(way.clusters for way in ways) - 1
    freedom = np.divide(np.diag(total) ** 2, spent, out=np.full(len(total), fewest), where=spent > 0)
    return Clustered(total, np.maximum(freedom, 1.0))


def clustered_covariance(influence: ArrayLike, *clusters: Labels) -> Floats:
    """Return the covariance of :func:`clustered` alone."""
    return clustered(influence, *clusters).covariance


class _Way(NamedTuple):
    """Covariance of one clustering, and the number of clusters of one size that it is worth."""

    covariance: Floats
    clusters: float


def _way(rows: Floats, members: Sequence[tuple[Any, ...]]) -> _Way:
    """Return the covariance of rows that go together where they share any of their one or two members."""
    alone = _one_way(rows, members)
    if (most := max(map(len, members), default=1)) == 1:
        return alone
    twice = [(pair,) if len(pair) > 1 else () for pair in members]  # rows that share both were counted twice
    return _Way(alone.covariance - _one_way(rows, twice, least=1).covariance, alone.clusters / most)


def _one_way(rows: Floats, members: Sequence[tuple[Any, ...]], least: int = LEAST) -> _Way:
    codes = {label: number for number, label in enumerate(dict.fromkeys(chain.from_iterable(members)))}
    if len(codes) < least:
        return _Way(np.full((rows.shape[1],) * 2, nan), len(codes))
    sums, sizes = np.zeros((len(codes), rows.shape[1])), np.zeros(len(codes))
    for place in range(max(map(len, members))):
        has = [number for number, labels in enumerate(members) if len(labels) > place]
        within = [codes[members[number][place]] for number in has]
        np.add.at(sums, within, rows[has])
        np.add.at(sizes, within, 1.0)
    sums /= np.maximum(1 - sizes / len(rows), 1 / len(rows))[:, None]
    return _Way((len(codes) - 1) / len(codes) * sums.T @ sums, float((sizes**2).sum() ** 2 / (sizes**4).sum()))


def _members(label: Any) -> tuple[Any, ...]:
    return tuple(sorted(label)) if isinstance(label, frozenset) else (label,)


def _positive(matrix: Floats) -> Floats:
    """Return the part of a symmetric matrix without its negative directions."""
    values, vectors = np.linalg.eigh((matrix + matrix.T) / 2)
    return (vectors * np.maximum(values, 0.0)) @ vectors.T


def interval(value: float, variance: float, freedom: float, confidence: float = 0.95) -> tuple[float, float]:
    """Return the ends of Student's interval; NaN where there is no variance or no freedom."""
    if not (freedom >= 1 and np.isfinite(variance)):
        return nan, nan
    reach = float(student.ppf((1 + confidence) / 2, freedom)) * sqrt(max(variance, 0.0))
    return value - reach, value + reach


def clustered_mean(values: ArrayLike, raters: Labels, units: Labels, confidence: float = 0.95) -> Estimate:
    """Return a mean whose interval knows that judgements share raters and prompts; none where all values are alike.

    Args:
        values: ``(n,)``.
        raters, units: who judged, and what (prompt or item), ``(n,)``.
        confidence: of the interval, Student's with the degrees of freedom of :func:`clustered`.

    Example:
        >>> clustered_mean([1.0, 2.0, 3.0, 4.0], [0, 0, 1, 1], [0, 1, 2, 3]).value
        2.5
    """
    x = np.asarray(values, dtype=np.float64)
    counted = len(x), len(set(raters))
    if not len(x):
        return Estimate(nan, nan, nan, *counted, confidence)
    mean = float(x.mean())
    return estimated(mean, (x - mean) / len(x) if np.ptp(x) > 0 else 0 * x, raters, units, confidence)


def estimated(
    value: float,
    influence: Floats,
    raters: Labels,
    units: Labels,
    confidence: float = 0.95,
    judgements: int | None = None,
) -> Estimate:
    """Return an estimate with the interval that its rows' influence ``(n,)`` gives it; none where no row moves it.

    Args:
        value: of the estimate.
        influence: how far each row moves it.
        raters, units: of the rows.
        confidence: of the interval.
        judgements: how many it is of, where not of all rows.
    """
    if not influence.any():  # by how much others would differ is not told by a variance of 0
        return Estimate(
            value, nan, nan, len(influence) if judgements is None else judgements, len(set(raters)), confidence
        )
    found = clustered(influence[:, None], raters, units)
    ends = interval(value, float(found.covariance[0, 0]), float(found.freedom[0]), confidence)
    return Estimate(value, *ends, len(influence) if judgements is None else judgements, len(set(raters)), confidence)
