"""Fréchet distance between Gaussians fitted to features.

M. Heusel et al., "GANs trained by a two time-scale update rule converge to a local Nash equilibrium", NeurIPS 2017;
D. C. Dowson, B. V. Landau, "The Fréchet distance between multivariate normal distributions", 1982.
Parity target: pytorch-fid and torch-fidelity.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import torch
from scipy.linalg import get_lapack_funcs
from torch import Tensor

from streaming_metrics.measures.base import BiasWarning, Evidence, Measure, Roles, Side, width
from streaming_metrics.statistics import Moments

if TYPE_CHECKING:
    from streaming_metrics.features import Spec
    from streaming_metrics.statistics import Statistic

NEGATIVE_ROUNDING = 1e-6
ROUNDING = 2.0**-48
BLOCK = 256
(pivoted_cholesky,) = get_lapack_funcs(("pstrf",), dtype="float64")


def square_root(covariance: Tensor, rank: int) -> Tensor:
    """Return L, float64 ``(D, r)``, with ``L·Lᵀ = covariance``, which has at most the given rank.

    Cholesky's factor; where the matrix is singular, the one with pivots, which takes the largest variance that is left
    for each next column, and stops where rounding alone accounts for it: the square root would make 1e-8 of its 1e-16.
    It costs ``D·r²``, on the CPU.
    """
    if rank >= len(covariance):
        factor, failed = torch.linalg.cholesky_ex(covariance)
        if not failed:
            return factor
    least = ROUNDING * float(covariance.norm())
    factor, order, found, _ = pivoted_cholesky(covariance.cpu().numpy(), tol=least, lower=1)
    rank = min(rank, found)
    root = covariance.new_zeros(len(covariance), rank)
    root[torch.from_numpy(order - 1).long()] = torch.from_numpy(factor[:, :rank]).tril().to(root)
    return root


def congruent(covariance: Tensor, root: Tensor) -> Tensor:
    """Return the lower triangle of ``LᵀCL``, float64 ``(r, r)``, in blocks of columns.

    It is symmetric, and L mostly a triangle: with what both spare, a third of the plain products is left to do. They
    are written as rows of the transpose, which are whole in memory.

    Args:
        covariance: ``(D, D)`` float64, C.
        root: ``(D, r)`` float64, L.
    """
    is_triangle = root.shape[0] == root.shape[1] and not root.triu(1).any()
    upper = root.new_zeros(root.shape[1], root.shape[1])
    for start in range(0, root.shape[1], BLOCK):
        first, rows = start if is_triangle else 0, slice(start, start + BLOCK)
        left = root[first:, rows].T @ covariance[first:, first:]
        torch.mm(left, root[first:, start:], out=upper[rows, start:])
    return upper.T


def frechet_distance(mean_x: Tensor, root_x: Tensor, mean_y: Tensor, covariance_y: Tensor, rank_y: int) -> Tensor:
    """Return ``‖μx − μy‖² + tr Σx + tr Σy − 2·Σ sqrt(eig(LᵀΣyL))`` with ``Σx = L·Lᵀ``, float64 ``()``, at least 0.

    The product ``LᵀΣyL`` is symmetric and has the eigenvalues of ΣxΣy: no complex square root of a matrix is taken. It
    has no more non-zero eigenvalues than either covariance, so what rounding adds beyond those is left out.

    Args:
        mean_x, mean_y: ``(D,)`` float64.
        root_x: ``(D, r)`` float64, L, see :func:`square_root`.
        covariance_y: ``(D, D)`` float64.
        rank_y: the most that Σy's rank can be: samples less one, or D.

    Example:
        >>> eye, zeros = torch.eye(3, dtype=torch.float64), torch.zeros(3, dtype=torch.float64)
        >>> frechet_distance(zeros, eye, zeros + 1, 4 * eye, rank_y=3)
        tensor(6., dtype=torch.float64)
    """
    trace_x, trace_y = root_x.square().sum(), covariance_y.trace()
    eigenvalues = torch.linalg.eigvalsh(congruent(covariance_y, root_x), UPLO="L")
    shared = eigenvalues[max(0, len(eigenvalues) - rank_y) :].clamp(min=0).sqrt().sum()
    distance = (mean_x - mean_y).square().sum() + trace_x + trace_y - 2 * shared
    rounding = (distance < 0) & (distance >= -NEGATIVE_ROUNDING * (trace_x + trace_y))
    return torch.where(rounding, torch.zeros_like(distance), distance)


@dataclass(frozen=True)
class FID(Measure):
    """Fréchet Inception Distance: Fréchet distance between Gaussians fitted to real and generated features.

    ``‖μr − μf‖² + tr(Σr + Σf − 2(Σr Σf)^½)`` with unbiased covariances (ddof 1). Range [0, ∞), lower is better.
    Reported as ``fid`` for the reference Inception, else as ``fd_<tag>``.

    Raises:
        NotEnoughSamples: at compute, with fewer than 2 samples a side.

    Warns:
        BiasWarning: with no more samples than features, where the value is defined but far too high.

    Example:
        >>> import torch
        >>> from streaming_metrics import GenerativeMetrics
        >>> metric = GenerativeMetrics([FID()], extractor=None, num_features=1)
        >>> metric.update(torch.tensor([[0.0], [2.0], [4.0]]), real=True)
        >>> metric.update(torch.tensor([[3.0], [5.0], [7.0]]), real=False)
        >>> metric.compute()
        {'fd_features': tensor(9., dtype=torch.float64)}
    """

    label: ClassVar[str] = "fid"

    @property
    def keys(self) -> tuple[str, ...]:
        return ("fid",)

    def statistics(self, spec: Spec) -> Roles[tuple[Statistic, ...]]:
        moments = (self._moments(spec),)
        return Roles(moments, moments)

    def check(self, real: Side, fake: Side) -> None:
        for side in (real, fake):
            side.require(2, "FID")

    def prepare(self, real: Side, spec: Spec) -> Tensor:
        moments = self._moments(spec)
        return square_root(moments.covariance(real[moments]), real.num_samples - 1)

    def compute(self, evidence: Evidence) -> dict[str, Tensor]:
        moments = self._moments(evidence.spec)
        for side in (evidence.real, evidence.fake):
            _warn_if_few(side, moments.num_features)
        real, fake = evidence.real[moments], evidence.fake[moments]
        mean_x, mean_y = moments.mean(real), moments.mean(fake)
        rank_y = evidence.fake.num_samples - 1
        return {"fid": frechet_distance(mean_x, evidence.prepared, mean_y, moments.covariance(fake), rank_y)}

    def _moments(self, spec: Spec) -> Moments:
        return Moments(width(spec, "FID", "num_features"))


def _warn_if_few(side: Side, num_features: int) -> None:
    if side.num_samples <= num_features:
        warnings.warn(
            f"FID from {side.num_samples} {side.role} samples of {num_features} features: the covariance is singular "
            "and the value is biased upwards. Remedy: more samples than features (10,000 or more), or a smaller layer.",
            BiasWarning,
            stacklevel=2,
        )
