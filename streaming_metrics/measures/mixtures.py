"""Mixtures of isotropic Gaussians around given centres, their widths fitted to other rows."""

from __future__ import annotations

from dataclasses import dataclass
from math import log, pi
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from streaming_metrics.measures.perceptron import adam_of_gradients
from streaming_metrics.pairwise.chunks import parts

if TYPE_CHECKING:
    from collections.abc import Iterator

RATE, EPOCHS, BATCH = 0.5, 50, 10_000
"""Of Adam, which fits the widths."""
NEAREST = 1e-3
"""Added to squared distances, so that no width is 0 where a centre is a copy."""
FAR = 0.9**2
"""Share of their squared distances to the mean of the rows at which the background sees these while it is fitted."""
NARROWEST, WIDEST = -40.0, 20.0
"""Ends of the logarithms of variances."""
NEAR_COPIES = 1e-6
"""Share of their squared lengths below which squared distances are too inexact by products."""
AT_ONCE = 1 << 22
"""Pairs whose distances are worked on at a time."""


@dataclass(frozen=True, eq=False)
class Mixture:
    """Mixture ``(1/M) Σ_j N(x; c_j, v_j·1)`` of M Gaussians of their own widths.

    Args:
        centres: ``(M, D)`` float64.
        logs: logarithms of the variances, float64 ``(M,)``.
    """

    centres: Tensor
    logs: Tensor

    @classmethod
    def fitted(cls, centres: Tensor, rows: Tensor) -> Mixture:
        """Return the mixture around centres ``(M, D)`` whose widths make rows ``(n, D)`` likely, float64.

        Widths start where each centre makes the row that is nearest to it likeliest, and follow Adam for 50 epochs,
        beside one more Gaussian around the mean of the rows, which keeps rows far from all centres from deciding, and
        is then left out. Distances are kept meanwhile, 8 bytes a pair.
        """
        d = rows.shape[1]
        batches = [squared_distances(batch, centres) for batch in rows.split(BATCH)]
        nearest = torch.stack([squared.amin(0) for squared in batches]).amin(0)
        logs, background = ((nearest + NEAREST) / d).log(), rows.new_zeros(())
        from_mean = [FAR * squared_distances(batch, rows.mean(0, keepdim=True)) for batch in rows.split(BATCH)]

        def gradients(step: int) -> tuple[Tensor, Tensor]:
            place = step % len(batches)
            logs.clamp_(NARROWEST, WIDEST)
            return _gradients(batches[place], from_mean[place], logs, background, d)

        adam_of_gradients([logs, background], gradients, EPOCHS * len(batches), rate=lambda step: RATE)  # noqa: ARG005
        return cls(centres, logs.clamp_(NARROWEST, WIDEST))

    def log_likelihoods(self, rows: Tensor) -> Tensor:
        """Return ``log p(x)`` of rows ``(n, D)``, nats, float64 ``(n,)``."""
        m, d = self.centres.shape
        chunks = (squared_distances(rows[part], self.centres) for part in _parts(len(rows), m))
        return torch.cat([_logs_of(squared, self.logs, d).logsumexp(1) - log(m) for squared in chunks])


def squared_distances(rows: Tensor, centres: Tensor) -> Tensor:
    """Return ``‖x_i − c_j‖²``, float64 ``(n, M)``, by products; of near copies by differences, for widths reach 0."""
    norms = rows.square().sum(1).unsqueeze(1) + centres.square().sum(1)
    squared = torch.addmm(norms, rows, centres.T, alpha=-2)
    i, j = (squared < NEAR_COPIES * norms).nonzero(as_tuple=True)
    for part in parts(len(i), max(1, AT_ONCE // rows.shape[1])):
        squared[i[part], j[part]] = (rows[i[part]] - centres[j[part]]).square_().sum(1)
    return squared


def _logs_of(squared: Tensor, logs: Tensor, d: int) -> Tensor:
    """Return ``log N(x_i; c_j, v_j·1)``, ``(n, M)``."""
    return torch.addcmul(-d / 2 * (logs + log(2 * pi)), squared, (-logs).exp(), value=-0.5)


def _gradients(squared: Tensor, origin: Tensor, logs: Tensor, background: Tensor, d: int) -> tuple[Tensor, Tensor]:
    """Return the gradients of ``−mean_i log p(x_i) / D`` by the logarithms of variances, and by the background's.

    With r_ij the share of component j in p(x_i), it is ``Σ_i r_ij·(D − ‖x_i − c_j‖² / v_j) / (2·n·D)``.
    """
    n, m = squared.shape
    found = torch.zeros_like(logs), torch.zeros_like(background)
    for part in _parts(n, m):
        sides = (squared[part], logs, log(m)), (origin[part], background.view(1), 0.0)
        components = [_logs_of(distances, width, d).sub_(weight) for distances, width, weight in sides]
        peak = torch.maximum(*(component.amax(1, keepdim=True) for component in components))
        shares = [component.sub_(peak).exp_() for component in components]
        scale = 1 / torch.stack([share.sum(1) for share in shares]).sum(0)
        for share, (distances, width, _), gradient in zip(shares, sides, found):
            moved = d * (scale @ share) - scale @ share.mul_(distances) * (-width).exp()
            gradient += (moved / (2 * n * d)).view_as(gradient)
    return found


def _parts(n: int, m: int) -> Iterator[slice]:
    yield from parts(n, max(1, AT_ONCE // max(m, 1)))
