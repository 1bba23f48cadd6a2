"""Linear probes: classifiers trained on moments of labelled features, in closed form, and tested with each sample left
out.

Parity targets: scikit-learn's ``LinearDiscriminantAnalysis(solver="lsqr", shrinkage=s)`` and ``RidgeClassifier``.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import cached_property
from math import inf
from typing import TYPE_CHECKING, Literal, TypeAlias

import torch
from torch import Tensor

from streaming_metrics.statistics import ClassSums, LinearProbe, Moments

if TYPE_CHECKING:
    from collections.abc import Mapping

    from streaming_metrics.measures.base import Side

Kind: TypeAlias = Literal["lda", "ridge"]
ROUNDING = 1e-7
"""Share of a mean by which features that are kept in float32 may be wrong."""
COLLAPSED = 1e-8
"""Share of the variance of all samples below which that within classes is taken as this share."""
LEAST = 1e-150
"""Variance of features that are all zero."""


@dataclass(frozen=True, eq=False)
class ClassMoments:
    """Moments of labelled rows, float64: all that a linear probe is trained on.

    Args:
        counts: samples of each class ``(C,)``.
        mean: of all ``(D,)``.
        offsets: means of classes less that ``(C, D)``; zeros where they are equal up to rounding, or a class is empty.
        scatter: ``Σ (x − mean)(x − mean)ᵀ``, ``(D, D)``.
    """

    counts: Tensor
    mean: Tensor
    offsets: Tensor
    scatter: Tensor

    @classmethod
    def of(cls, side: Side, moments: Moments, sums: ClassSums) -> ClassMoments:
        """Return the moments of a side."""
        counts, mean = sums.counts(side[sums]), moments.mean(side[moments])
        offsets = sums.means(side[sums]) - mean
        is_apart = (counts > 0) & (offsets.abs() > ROUNDING * mean.abs()).any(1)
        return cls(counts, mean, offsets * is_apart.unsqueeze(1), moments.scatter(side[moments]))

    @property
    def shares(self) -> Tensor:
        """Each class's share of the samples ``(C,)``."""
        return self.counts / self.counts.sum()

    def covariance(self) -> Tensor:
        """Return that of all samples ``(D, D)``, with ddof 0."""
        return self.scatter / self.counts.sum()

    def covariance_within(self) -> Tensor:
        """Return that within classes, their mean by share ``(D, D)``."""
        return self.covariance() - (self.shares.unsqueeze(1) * self.offsets).T @ self.offsets

    def floor(self) -> float:
        """Return the least mean variance that is told from rounding."""
        width = len(self.mean)
        apart = self.scatter.trace() / (self.counts.sum() * width)
        return max(COLLAPSED * float(apart), float((ROUNDING * self.mean).square().mean()), LEAST)


@dataclass(frozen=True, eq=False)
class Fit(ABC):
    """A probe as it was trained: it scores any rows, and those that it was trained on as if each had been left out.

    A covariance Σ is shrunk to ``Σs = (1 − s)·Σ + s·(tr Σ / D)·1``, which is invertible however few the samples, and
    does not depend on the scale of the features.

    Args:
        moments: of the rows.
        shrinkage: s.
    """

    moments: ClassMoments
    shrinkage: float

    @cached_property
    def probe(self) -> LinearProbe:
        """The classifier."""
        weights, at_mean = self._linear()
        return LinearProbe(weights, at_mean - weights @ self.moments.mean, self.moments.counts > 0)

    @abstractmethod
    def _linear(self) -> tuple[Tensor, Tensor]:
        """Return its weights ``(C, D)``, and its scores ``(C,)`` at the mean of all rows."""

    @abstractmethod
    def _covariance(self) -> Tensor:
        """Return the covariance that is shrunk ``(D, D)``, of which nobody else has need."""

    @abstractmethod
    def _left_out(self, slopes: Tensor, labels: Tensor, norms: Tensor) -> Tensor:
        """Return scores ``(N, C)`` of rows, each left out, by what they are along the directions ``(N, C)``."""

    def norms(self, rows: Tensor) -> Tensor:
        """Return the squared Mahalanobis norms of rows, about the mean of all, ``(N,)``."""
        return self._whitened(rows.double() - self.moments.mean).square().sum(1)

    def left_out(self, rows: Tensor, labels: Tensor, norms: Tensor) -> Tensor:
        """Return scores of rows that it was trained on, float64 ``(N, C)``, each by the probe trained without it.

        The shares of classes and the amount of shrinkage stay those of all rows: without one, its class would be the
        rarer, and be told of features that say nothing. A class of which nothing else is left is not known: −∞.

        Args:
            rows: ``(N, D)``.
            labels: ``(N,)``.
            norms: of :meth:`norms`; all that costs much.
        """
        slopes = (rows.double() - self.moments.mean) @ self._directions.T
        scores = self._left_out(slopes, labels, norms.unsqueeze(1))
        is_alone = (self.moments.counts[labels] == 1).unsqueeze(1)
        return scores.masked_fill(is_alone & one_hot(labels, scores.shape[1]).bool(), -inf)

    @cached_property
    def _factor(self) -> Tensor:
        """The Cholesky factor L of the shrunk covariance, lower ``(D, D)``."""
        shrunk = self._covariance()
        level = shrunk.diagonal().mean().clamp(min=self.moments.floor())
        shrunk.mul_(1 - self.shrinkage).diagonal().add_(self.shrinkage * level)
        return torch.linalg.cholesky(shrunk)

    @cached_property
    def _offsets(self) -> Tensor:
        """The whitened offsets of classes ``(C, D)``."""
        return self._whitened(self.moments.offsets)

    def _whitened(self, rows: Tensor) -> Tensor:
        """Return ``L⁻¹·x`` of centred rows ``(N, D)``."""
        return torch.linalg.solve_triangular(self._factor, rows.T, upper=False).T

    @cached_property
    def _directions(self) -> Tensor:
        """``Σs⁻¹`` times the offsets of classes ``(C, D)``."""
        return torch.linalg.solve_triangular(self._factor.T, self._offsets.T, upper=True).T


class LDA(Fit):
    """Linear discriminant analysis: log-posteriors of classes, up to a constant, with one shrunk covariance within
    classes, and the classes' shares as priors.
    """

    def _linear(self) -> tuple[Tensor, Tensor]:
        at_mean = self.moments.shares.log() - self._offsets.square().sum(1) / 2
        return self._directions, at_mean.where(self.moments.counts > 0, 0.0)

    def _covariance(self) -> Tensor:
        return self.moments.covariance_within()

    def _left_out(self, slopes: Tensor, labels: Tensor, norms: Tensor) -> Tensor:
        """Without a sample at d from the mean of its class of n_c, that mean moves by ``−d / (n_c − 1)``, and the
        scatter loses ``n_c / (n_c − 1)·ddᵀ``: its inverse is Sherman and Morrison's.
        """
        counts, between = self.moments.counts, self._offsets @ self._offsets.T
        is_own = one_hot(labels, len(counts)).bool()
        to_mean = norms - slopes[is_own].unsqueeze(1)
        beside = to_mean - slopes + between[labels]  # dᵀΣs⁻¹ times the way from each class's mean
        own = beside[is_own].unsqueeze(1)
        ratio = (counts / (counts - 1).clamp(min=1))[labels].unsqueeze(1)
        lost = (1 - self.shrinkage) / counts.sum() * ratio
        others = norms - 2 * slopes + between.diagonal() + lost * beside.square() / (1 - lost * own)
        return self.moments.shares.log() - others.where(~is_own, ratio.square() * own / (1 - lost * own)) / 2


class Ridge(Fit):
    """Ridge regression of one-hot labels, with an intercept that is not penalised.

    Its penalty is ``s / (1 − s)·tr(S) / D``, S the scatter of the rows.
    """

    def _linear(self) -> tuple[Tensor, Tensor]:
        return self._scale.unsqueeze(1) * self._directions, self.moments.shares

    def _covariance(self) -> Tensor:
        return self.moments.covariance()

    def _left_out(self, slopes: Tensor, labels: Tensor, norms: Tensor) -> Tensor:
        """Without a sample of leverage h, its residual is what it was, over ``1 − h``; the intercept is then moved to
        where the shares of classes are those of all samples.
        """
        n, shares = self.moments.counts.sum(), self.moments.shares
        targets = one_hot(labels, len(shares))
        leverage = 1 / n + (1 - self.shrinkage) / n * norms
        left_out = (shares + self._scale * slopes - leverage * targets) / (1 - leverage)
        return left_out + (targets - shares) / (n - 1)

    @property
    def _scale(self) -> Tensor:
        return (1 - self.shrinkage) * self.moments.shares


FITS: Mapping[Kind, type[Fit]] = {"lda": LDA, "ridge": Ridge}


def one_hot(labels: Tensor, classes: int) -> Tensor:
    """Return labels as float64 rows ``(N, C)`` with a 1 each."""
    return torch.nn.functional.one_hot(labels, classes).double()
