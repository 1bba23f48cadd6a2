"""Significant support of samples: where a kernel density estimate of them is above the band of its own bootstrap."""

from __future__ import annotations

from dataclasses import dataclass
from math import pi
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from streaming_metrics.pairwise.chunks import parts

if TYPE_CHECKING:
    from collections.abc import Iterator

AT_ONCE = 1 << 22
"""Distances that are held at a time."""
BALLOON = 5
"""Neighbours a dimension of the balloon estimator of the bandwidth."""


@dataclass(frozen=True, eq=False)
class Support:
    """Significant support of rows: what is nearer to them than their bandwidth, so often that it is no accident.

    Densities are up to one constant factor of the width and the bandwidth, which compares with nothing.

    Args:
        rows: ``(n, D)`` float64.
        bandwidth: of the cosine kernel, beyond which it is 0.
        band: half the width of the confidence band of the density, uniform over the rows.
        is_significant: which of the rows are in it, bool ``(n,)``.
    """

    rows: Tensor
    bandwidth: Tensor
    band: Tensor
    is_significant: Tensor

    @classmethod
    def of(cls, rows: Tensor, draws: Tensor, alpha: float) -> Support:
        """Return the support of rows.

        Args:
            rows: ``(n, D)`` float64, n > 5·D.
            draws: ``(repeats, n)`` int64, rows of each bootstrap sample.
            alpha: how likely the band does not hold the density.
        """
        bandwidth = balloon_bandwidth(rows)
        times = torch.stack(
            [torch.bincount(draw, minlength=len(rows)) for draw in (torch.arange(len(rows)), *draws)], 1
        )
        densities = cosine_densities(rows, rows, bandwidth, times.to(rows))
        apart = (densities[:, 1:] - densities[:, :1]).abs().amax(0)
        band = apart.quantile(1 - alpha)
        return cls(rows, bandwidth, band, densities[:, 0] > band)

    def holds(self, points: Tensor) -> Tensor:
        """Return which points ``(m, D)`` are in it, bool ``(m,)``."""
        once = self.rows.new_ones(len(self.rows), 1)
        return cosine_densities(points, self.rows, self.bandwidth, once)[:, 0] > self.band


def cosine_densities(points: Tensor, rows: Tensor, bandwidth: Tensor, times: Tensor) -> Tensor:
    """Return ``(1/n) Σ_j times_jb cos(π d(y_i, x_j) / 2h)`` over the rows nearer than h, float64 ``(m, B)``."""
    found = [
        (distances * (pi / 2) / bandwidth).cos_().mul_(distances <= bandwidth) @ times
        for _, distances in _distances(points, rows)
    ]
    return torch.cat(found) / len(rows)


def balloon_bandwidth(rows: Tensor) -> Tensor:
    """Return the median distance ``()`` of a row to the 5·D-th nearest of the rows after it."""
    n, k = len(rows), BALLOON * rows.shape[1]
    place = torch.arange(n, device=rows.device)
    kth = [
        distances.masked_fill_(place <= place[part, None], torch.inf).kthvalue(k).values
        for part, distances in _distances(rows[: n - k], rows)
    ]
    return torch.cat(kth).sort().values[(n - k) // 2 - 1]


def _distances(points: Tensor, rows: Tensor) -> Iterator[tuple[slice, Tensor]]:
    """Yield the distances of some points at a time to all rows, by differences, float64."""
    for part in parts(len(points), max(1, AT_ONCE // max(len(rows), 1))):
        yield part, torch.cdist(points[part], rows, compute_mode="donot_use_mm_for_euclid_dist")
