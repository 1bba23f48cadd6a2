"""Gaussians fitted to features, and the Fréchet distance between two of them.

D. C. Dowson, B. V. Landau, "The Fréchet distance between multivariate normal distributions", 1982.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

import torch
from scipy.linalg import get_lapack_funcs
from torch import Tensor

from streaming_metrics.measures.eigenvalues import symmetric_eigenvalues

if TYPE_CHECKING:
    from streaming_metrics.measures.base import Side, Sides
    from streaming_metrics.statistics import Moments, State

NEGATIVE_ROUNDING = 1e-6
ROUNDING = 2.0**-48
BLOCK = 128
(pivoted_cholesky,) = get_lapack_funcs(("pstrf",), dtype="float64")


class Root(NamedTuple):
    """Square root L of a covariance, ``L·Lᵀ = Σ``, with a column for each dimension that the features spread in.

    Args:
        factor: ``(D, r)`` float64, L with its rows in ``order``: a lower triangle.
        order: ``(D,)`` int64, which feature each row is.
    """

    factor: Tensor
    order: Tensor

    @property
    def rank(self) -> int:
        return self.factor.shape[1]


def square_root(covariance: Tensor, rank: int) -> Root:
    """Return the root of a covariance, float64 ``(D, D)``, which has at most the given rank.

    Cholesky's factor, features of large variance first, so that small ones are not made of differences of large ones;
    where the matrix is singular, the one with pivots, which takes the largest variance that is left for each next
    column, and stops where rounding alone accounts for it: the square root would make 1e-8 of its 1e-16. It costs
    ``D·r²``, on the CPU.
    """
    if rank >= len(covariance):
        order = covariance.diagonal().argsort(descending=True, stable=True)
        factor, failed = torch.linalg.cholesky_ex(_sorted(covariance, order))
        if not failed:
            return Root(factor, order)
    least = ROUNDING * float(covariance.norm())
    factor, pivots, found, _ = pivoted_cholesky(covariance.cpu().numpy(), tol=least, lower=1)
    factor, order = torch.from_numpy(factor[:, : min(rank, found)]).tril(), torch.from_numpy(pivots - 1).long()
    return Root(factor.to(covariance), order.to(covariance.device))


def congruent(covariance: Tensor, root: Root) -> Tensor:
    """Return the lower triangle of ``LᵀCL``, float64 ``(r, r)``, in blocks.

    It is symmetric, and L a triangle: with what both spare, a quarter of the plain products is left to do, ``n³``. They
    are written as rows of the transpose, which are whole in memory.

    Args:
        covariance: ``(D, D)`` float64, C.
        root: L.
    """
    factor, covariance = root.factor, _sorted(covariance, root.order)
    upper = factor.new_zeros(root.rank, root.rank)
    for start in range(0, root.rank, BLOCK):
        rows = slice(start, start + BLOCK)
        left = factor[start:, rows].T @ covariance[start:, start:]
        for first in range(start, root.rank, 2 * BLOCK):
            columns = slice(first, first + 2 * BLOCK)
            torch.mm(left[:, first - start :], factor[first:, columns], out=upper[rows, columns])
    return upper.T


@dataclass(frozen=True)
class Gaussian:
    """Gaussian fitted to the features of one side; its root is made when it is first asked for, and kept.

    Args:
        moments: of which features.
        state: theirs, over all ranks.
        num_samples: N.
    """

    moments: Moments
    state: State
    num_samples: int

    @property
    def mean(self) -> Tensor:
        """``(D,)`` float64."""
        return self.moments.mean(self.state)

    @property
    def covariance(self) -> Tensor:
        """``(D, D)`` float64."""
        return self.moments.covariance(self.state)

    @property
    def scatter(self) -> Tensor:
        """``(D, D)`` float64, the covariance times :attr:`freedom`."""
        return self.moments.scatter(self.state)

    @property
    def freedom(self) -> Tensor:
        """N − 1, float64 ``()``."""
        return self.moments.count(self.state) - 1

    @property
    def trace(self) -> Tensor:
        """Sum of the variances, float64 ``()``."""
        return self.scatter.trace() / self.freedom

    @property
    def rank(self) -> int:
        """The most dimensions that so many samples can spread in."""
        return min(self.num_samples - 1, self.moments.num_features)

    @cached_property
    def root(self) -> Root:
        return square_root(self.covariance, self.rank)


def frechet_distance(x: Gaussian, y: Gaussian, *, eigenvalues: Tensor | None = None) -> Tensor:
    """Return ``‖μx − μy‖² + tr Σx + tr Σy − 2·Σ sqrt(eig(LᵀCL))``, float64 ``()``, at least 0.

    ``L·Lᵀ`` is the covariance of lower rank, C the other: ``LᵀCL`` is symmetric and has the eigenvalues of ΣxΣy that
    are not 0, so no complex square root of a matrix is taken, and none of what rounding makes of 0. Which rank is lower
    is read off the numbers of samples, and where features spread in fewer dimensions than these allow, off the
    eigenvalues: one that rounding alone accounts for shows that C may have no variance where L has.

    Args:
        x, y: the sides.
        eigenvalues: of ``LᵀΣyL`` with the root of x, ascending, where they are known.

    Example:
        >>> import torch
        >>> from streaming_metrics.statistics import Moments
        >>> def fitted(variance: float, mean: float) -> Gaussian:
        ...     state = torch.tensor([[9.0, mean], [mean, 8 * variance]], dtype=torch.float64)
        ...     return Gaussian(Moments(1), {"moments": state}, num_samples=9)
        >>> frechet_distance(fitted(1.0, mean=0.0), fitted(4.0, mean=2.0))
        tensor(5., dtype=torch.float64)
    """
    lower, higher = (y, x) if y.rank < x.rank else (x, y)
    if eigenvalues is None or lower is y:
        eigenvalues = _eigenvalues(higher, lower.root)
    if (eigenvalues[:1] <= ROUNDING * eigenvalues[-1:]).any() and higher.root.rank < lower.root.rank:
        eigenvalues = _eigenvalues(lower, higher.root)
    total = x.trace + y.trace
    distance = (x.mean - y.mean).square().sum() + total - 2 * eigenvalues.clamp(min=0).sqrt().sum()
    rounding = (distance < 0) & (distance >= -NEGATIVE_ROUNDING * total)
    return torch.where(rounding, torch.zeros_like(distance), distance)


def _eigenvalues(x: Gaussian, root: Root) -> Tensor:
    """Return the eigenvalues of ``LᵀΣxL``, ascending."""
    return symmetric_eigenvalues(congruent(x.scatter, root)) / x.freedom


def _sorted(covariance: Tensor, order: Tensor) -> Tensor:
    return covariance[order.unsqueeze(1), order]


def gaussian_of(side: Side, moments: Moments) -> Gaussian:
    """Return the Gaussian fitted to a side's features; its root is kept while the side stays as it is."""
    return side.once(moments, lambda: Gaussian(moments, side[moments], side.num_samples))


def distance_of(sides: Sides, moments: Moments) -> Tensor:
    """Return the Fréchet distance between real and generated samples, made once for all measures of these moments."""
    real, fake = sides.real, sides.fake
    return fake.once(
        ("distance", moments), lambda: frechet_distance(gaussian_of(real, moments), gaussian_of(fake, moments))
    )
