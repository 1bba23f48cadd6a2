"""Directions of the difference: where generated features vary less, or more, than real ones, and what that adds to FID.

The optimal map from one Gaussian to the other is symmetric. Along its axes the Fréchet distance is a sum of distances
in one dimension, one for each axis: how much each adds is exact, and nothing is counted twice.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor

from streaming_metrics.measures.extremes import highest
from streaming_metrics.statistics.eigenvectors import symmetric_eigenvectors

if TYPE_CHECKING:
    from streaming_metrics.distributed.comm import Comm
    from streaming_metrics.measures.frechet_errors import Coupling
    from streaming_metrics.measures.kept_rows import KeptRows

VANISHED = 1e-6
"""Share of the largest stretch below which generated features do not vary along an axis at all."""
ROUNDING = 1e-9
"""Share of the variance of both sides below which a part of the distance is none."""
EXAMPLES = 4
"""Samples of each side to look at for a direction."""
NOBODY = torch.empty(0, dtype=torch.int64)


class Axes(NamedTuple):
    """Axes of the optimal map, the one that adds most first.

    Args:
        vectors: ``(D, D)`` float64, orthonormal columns.
        real_spread, fake_spread: ``(D,)``, standard deviations along them.
        parts: ``(D,)``, what each adds to the distance: the squared difference of the two.
        shift: ``()``, what the difference of means adds.
        outside: ``()``, what generated variance adds where real features have none at all.
    """

    vectors: Tensor
    real_spread: Tensor
    fake_spread: Tensor
    parts: Tensor
    shift: Tensor
    outside: Tensor


def axes_of(coupling: Coupling) -> Axes:
    """Return the axes: ``FID = ‖μx − μy‖² + Σ_k (σx,k − σy,k)²``, and what is outside of the real features' span.

    With ``T = Σ τ_k v_k v_kᵀ`` the map from real to generated features, ``E‖Tx − x‖² = Σ (τ_k − 1)² v_kᵀΣx v_k``, and
    ``σy,k = τ_k·σx,k``. Axes along which generated features do not vary are those of the real variance there.
    """
    factor, real = coupling.to_fake, coupling.x.covariance
    stretch, vectors = symmetric_eigenvectors(factor @ factor.T)
    stretch = stretch.clamp(min=0)
    gone = int((stretch <= VANISHED * stretch[-1:]).sum())
    if gone:
        unseen = vectors[:, :gone]
        vectors = torch.cat([unseen @ symmetric_eigenvectors(unseen.T @ real @ unseen)[1], vectors[:, gone:]], 1)
        stretch[:gone] = 0
    spread = ((real @ vectors) * vectors).sum(0).clamp(min=0).sqrt()
    moved = stretch * spread
    parts = (spread - moved).square()
    order = parts.argsort(descending=True, stable=True)
    shift = (coupling.x.mean - coupling.y.mean).square().sum()
    outside = (coupling.y.trace - moved.square().sum()).clamp(min=0)
    return Axes(vectors[:, order], spread[order], moved[order], parts[order], shift, outside)


def is_negligible(part: Tensor, coupling: Coupling) -> Tensor:
    """Return whether parts ``(…)`` of a distance are rounding alone."""
    return part <= ROUNDING * (coupling.x.trace + coupling.y.trace)


@dataclass(frozen=True, eq=False)
class Directions:
    """The directions that add most to the Fréchet distance, that which adds most first; on the CPU.

    Args:
        distance: Fréchet distance, the sum of ``shift``, ``outside`` and the parts of all directions.
        shift: what the difference of means adds.
        outside: what generated variance adds where real features have none.
        vectors: ``(K, D)`` float64, directions of unit length.
        parts: ``(K,)``, what each adds.
        real_spread, fake_spread: ``(K,)``, standard deviations along them.
        real_examples, fake_examples: ``(K, k)`` int64, ids of the samples that lie farthest along them, -1 where there
            are fewer; ``(K, 0)`` where no features are kept.
        shift_real_examples, shift_fake_examples: ``(k,)``, those that lie farthest against and along the difference of
            means, none where there is no difference.
        total: number of all directions.
        spanned: how many of all so many generated samples can vary in, at most.
    """

    distance: float
    shift: float
    outside: float
    vectors: Tensor
    parts: Tensor
    real_spread: Tensor
    fake_spread: Tensor
    real_examples: Tensor
    fake_examples: Tensor
    shift_real_examples: Tensor
    shift_fake_examples: Tensor
    total: int
    spanned: int

    def __len__(self) -> int:
        return len(self.parts)

    @property
    def is_missing(self) -> Tensor:
        """Along which of them generated features vary less than real ones, bool ``(K,)``."""
        return self.fake_spread < self.real_spread


def directions_of(
    coupling: Coupling,
    real: KeptRows | None,
    fake: KeptRows | None,
    comm: Comm,
    n: int = 6,
    among: Tensor | None = None,
) -> Directions:
    """Return the n directions that add most to the distance, fewer where others add nothing; collective.

    Args:
        coupling: of both sides.
        real, fake: features that are kept of them.
        comm: the ranks.
        n: how many.
        among: ids of the generated samples that may be shown; None for all.
    """
    axes = axes_of(coupling)
    # LAPACK differs between hosts: rank 0 decides
    n = min(n, int(comm.broadcast((~is_negligible(axes.parts, coupling)).sum())))
    apart = comm.broadcast((coupling.y.mean - coupling.x.mean) * ~is_negligible(axes.shift, coupling))
    vectors = comm.broadcast(_pointing(axes.vectors[:, :n], apart).contiguous())
    told = (axes.real_spread[:n], axes.fake_spread[:n], axes.parts[:n], axes.shift.view(1), axes.outside.view(1))
    told = comm.broadcast(torch.cat([*told, coupling.distance.view(1)])).cpu()
    k = vectors.shape[1]
    real_spread, fake_spread, parts, rest = told.split([k, k, k, 3])
    centre = coupling.x.mean
    vectors = _towards_the_longer_tail(vectors, real, fake, centre, fake_spread < real_spread, comm)
    of = partial(_examples, comm=comm, centre=centre)
    return Directions(
        float(rest[2]),
        float(rest[0]),
        float(rest[1]),
        vectors.T.cpu(),
        parts,
        real_spread,
        fake_spread,
        of(real, vectors),
        of(fake, vectors, among=among),
        of(real, -apart[:, None])[0] if apart.any() else NOBODY,
        of(fake, apart[:, None], among=among)[0] if apart.any() else NOBODY,
        len(axes.parts),
        coupling.y.rank,
    )


def _pointing(vectors: Tensor, apart: Tensor) -> Tensor:
    """Return directions that point from the real mean to the generated one, so that no sign is LAPACK's."""
    return vectors * torch.where(apart @ vectors < 0, -1.0, 1.0)


def _towards_the_longer_tail(
    vectors: Tensor, real: KeptRows | None, fake: KeptRows | None, centre: Tensor, missing: Tensor, comm: Comm
) -> Tensor:
    """Return directions with the sign in which the wider side reaches farther: there is what one side alone shows."""
    if real is None or fake is None:
        return vectors
    skews = torch.stack([_third_moment(side, vectors, centre) for side in (real, fake)])
    skews = comm.sum(skews)
    wider = torch.where(missing.to(skews.device), skews[0], skews[1])
    return comm.broadcast(vectors * torch.where(wider < 0, -1.0, 1.0))


def _third_moment(kept: KeptRows, vectors: Tensor, centre: Tensor) -> Tensor:
    return kept.along(vectors, centre).pow(3).sum(0)


def _examples(
    kept: KeptRows | None, vectors: Tensor, *, comm: Comm, centre: Tensor, among: Tensor | None = None
) -> Tensor:
    if kept is None:
        return torch.empty(vectors.shape[1], 0, dtype=torch.int64)
    return highest(kept.along(vectors, centre), kept.index, EXAMPLES, comm, among)
