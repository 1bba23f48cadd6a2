"""Class distances: how far each class's generated samples are from its real ones, where a class has few of either.

Covariances of a class are singular, or nearly so, in all features. So features are projected on the few directions in
which all real ones vary most, as many as the smallest class allows; in these, a delete-one jackknife takes the bias of
the Fréchet distance away and gives its error, and the distances of all classes are drawn towards each other.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch

from streaming_metrics.statistics import Bank
from streaming_metrics.statistics.eigenvectors import symmetric_eigenvectors
from streaming_metrics.verdicts.group_means import GroupMeans
from streaming_metrics.verdicts.shrunken_means import ShrunkenMeans

if TYPE_CHECKING:
    from torch import Tensor

    from streaming_metrics.measures.gaussian import Gaussian
    from streaming_metrics.measures.kept_rows import KeptRows

LEAST = 10
"""Samples of a class on either side; classes with fewer are left out."""
PER_DIMENSION = 10
"""Samples of the smallest class for each direction."""
MOST_DIMENSIONS = 16
PARTS = 50
"""The most parts of a class's samples that are left out in turn."""


@dataclass(frozen=True, eq=False)
class ClassDistances:
    """Distances of classes: Fréchet distances in a few directions of the real features, without their bias, shrunken.

    They are comparable with each other, and not with FID: what lies outside of these directions is not seen.

    Args:
        table: of each class the distance; ``raw`` holds it before it was drawn towards the others.
        real, fake: ``(G,)`` int64, samples of each.
        dimensions: number of directions.
        explained: the share of all real variance that they hold.
        left_out: classes with too few samples.
    """

    table: ShrunkenMeans
    real: Tensor
    fake: Tensor
    dimensions: int
    explained: float
    left_out: int


def class_distances(real: KeptRows, fake: KeptRows, gaussian: Gaussian) -> ClassDistances | None:
    """Return the distances of classes; None where labels are not kept, or not two classes have enough samples;
    collective.

    Args:
        real, fake: features with labels.
        gaussian: of all real features.
    """
    if real.labels is None or fake.labels is None:
        return None
    num_labels = max(real.num_labels, fake.num_labels)
    counts = torch.stack([side.comm.sum(torch.bincount(_labels(side), minlength=num_labels)) for side in (real, fake)])
    counts = counts.cpu()
    enough = (counts >= LEAST).all(0)
    if enough.sum() < 2:
        return None
    fewest = int(counts[:, enough].min())
    dimensions = min(max(fewest // PER_DIMENSION, 2), MOST_DIMENSIONS, real.rows.shape[1])
    values, vectors = symmetric_eigenvectors(gaussian.covariance)
    leading = real.comm.broadcast(vectors[:, -dimensions:].contiguous())
    sides = [_by_class(side, leading, enough) for side in (real, fake)]
    estimates = torch.tensor([jackknifed(x, y) for x, y in zip(*sides)], dtype=torch.float64)
    distances, errors = real.comm.broadcast(estimates).cpu().T
    n, m = counts[0, enough], counts[1, enough]
    samples = (n * m / (n + m)).double()
    pooled = (errors.square() * samples).mean()  # errors grow with distances: weights by each one's own would be biased
    labels = enough.nonzero()[:, 0]
    columns = (labels, m, distances, (pooled / samples).sqrt())
    raw = GroupMeans(*(np.asarray(column) for column in columns))
    explained = float(values[-dimensions:].sum() / values.sum())
    left_out = int((counts.sum(0) > 0).sum()) - len(labels)
    return ClassDistances(ShrunkenMeans.of(raw), n, m, dimensions, explained, left_out)


def _labels(kept: KeptRows) -> Tensor:
    assert kept.labels is not None
    return kept.labels


def _by_class(kept: KeptRows, leading: Tensor, enough: Tensor) -> list[Tensor]:
    """Return each class's projected rows, in the order of ids, the same on every rank; collective."""
    bank = Bank(leading.shape[1], labels=len(enough))
    rows = kept.along(leading).float()
    whole = bank.replicate({"rows": rows, "index": kept.index, "labels": _labels(kept)}, kept.comm)
    order = whole["index"].argsort(stable=True)
    rows, labels = whole["rows"][order].double().cpu(), whole["labels"][order].cpu()  # small matrices, one by one
    return [rows[labels == label] for label in enough.nonzero()[:, 0]]


class Fitted(NamedTuple):
    """Means ``(…, d)`` and covariances ``(…, d, d)``."""

    mean: Tensor
    covariance: Tensor


def jackknifed(x: Tensor, y: Tensor) -> tuple[float, float]:
    """Return the Fréchet distance of rows ``(n, d)`` and ``(m, d)`` without its bias, and its standard error.

    ``F − Σ_sides (g − 1)·(mean_j F_−j − F)``, where F_−j is of a side without the j-th of g parts, samples where there
    are no more than 50. The error is that of both sides.

    Example:
        >>> x = torch.linspace(-1, 1, 50, dtype=torch.float64)[:, None]
        >>> value, error = jackknifed(x, x + 2)
        >>> round(value, 2), error < 0.7
        (3.98, True)
    """
    both = _fitted(x), _fitted(y)
    whole = _distance(*both)
    value, variance = whole, torch.zeros_like(whole)
    for rows, other in ((x, both[1]), (y, both[0])):
        left = _distance(other, _without_each(rows))
        g = len(left)
        value = value - (g - 1) * (left.mean() - whole)
        variance = variance + (g - 1) / g * (left - left.mean()).square().sum()
    return float(value), float(variance.sqrt())


def _fitted(rows: Tensor) -> Fitted:
    return Fitted(rows.mean(0), torch.cov(rows.T).view(rows.shape[1], rows.shape[1]))


def _without_each(rows: Tensor) -> Fitted:
    """Return what is fitted to the rows without each part in turn."""
    n, parts = len(rows), min(len(rows), PARTS)
    centred = rows - rows.mean(0)
    part = torch.arange(n, device=rows.device) % parts
    sizes = torch.bincount(part, minlength=parts).to(rows)[:, None]
    sums = rows.new_zeros(parts, rows.shape[1]).index_add_(0, part, centred)
    products = rows.new_zeros(parts, rows.shape[1], rows.shape[1])
    products.index_add_(0, part, centred[:, :, None] * centred[:, None, :])
    left = n - sizes
    mean = -sums / left
    scatter = centred.T @ centred - products - left[:, :, None] * mean[:, :, None] * mean[:, None, :]
    return Fitted(rows.mean(0) + mean, scatter / (left - 1)[:, :, None])


def _distance(one: Fitted, several: Fitted) -> Tensor:
    """Return the Fréchet distances ``(…)`` of one Gaussian from others."""
    values, vectors = symmetric_eigenvectors(one.covariance)
    root = vectors * values.clamp(min=0).sqrt()
    shared = torch.linalg.eigvalsh(root.T @ several.covariance @ root).clamp(min=0).sqrt().sum(-1)
    traces = one.covariance.trace() + several.covariance.diagonal(dim1=-2, dim2=-1).sum(-1)
    return (one.mean - several.mean).square().sum(-1) + traces - 2 * shared
