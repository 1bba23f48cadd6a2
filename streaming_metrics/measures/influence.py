"""Influence of samples on a score: from values of each sample in the order of ids, as evidence and as an error."""

from __future__ import annotations

from math import nan
from typing import TYPE_CHECKING

from streaming_metrics.verdicts.evidence import Influence

if TYPE_CHECKING:
    from torch import Tensor

    from streaming_metrics.measures.base import Side
    from streaming_metrics.statistics import Bank, Reservoir
    from streaming_metrics.statistics.reservoir import Drawn


def drawn_of(side: Side, reservoir: Reservoir) -> Drawn | None:
    """Return the rows that are kept of a side; None where they are not drawn from all of its samples."""
    drawn = reservoir.read(side[reservoir])
    return drawn if drawn.num_samples == side.num_samples and len(drawn.rows) > 1 else None


def ids_of(side: Side, bank: Bank) -> Tensor:
    """Return the ids of all rows that a side's bank holds, ascending, int64 ``(n,)``; collective."""
    index = side[bank]["index"]
    return side.comm.gather(index, side.comm.counts(len(index))).sort().values


def influence_of(index: Tensor, values: Tensor, cluster: int = 1) -> Influence:
    """Return the influence ``(n,)`` of n samples, of which the score is, in the order of their ids."""
    return Influence(index.cpu().numpy(), values.double().cpu().numpy(), len(index), cluster)


def error_of_mean(values: Tensor, n: float | None = None) -> Tensor:
    """Return the standard error of the mean of values ``(N,)``: their deviation (ddof 1) over √n, by default √N.

    NaN of fewer than 2.

    Example:
        >>> import torch
        >>> error_of_mean(torch.tensor([1.0, 2.0, 3.0, 4.0])).item()
        0.6454...
    """
    values = values.double()
    if len(values) < 2:
        return values.new_tensor(nan)
    return values.std() / (len(values) if n is None else n) ** 0.5


def kernel_influences(
    sums: tuple[Tensor, Tensor, Tensor], real_ids: Tensor, fake_ids: Tensor, cluster: int
) -> tuple[Influence, Influence]:
    """Return the influences of real and of generated samples on an unbiased squared MMD: ``2·(k̄ own − k̄ across)``.

    Args:
        sums: what :func:`~streaming_metrics.measures.kernel.u_statistic` is made of.
        real_ids, fake_ids: ascending.
        cluster: how many consecutive generated ids depend on each other.
    """
    real, fake, cross = sums
    n, m = len(real), len(fake)
    fake_cross, real_cross = cross.split([m, n])
    of_real, of_fake = 2 * (real / (n - 1) - real_cross / m), 2 * (fake / (m - 1) - fake_cross / n)
    return influence_of(real_ids, of_real), influence_of(fake_ids, of_fake, cluster)
