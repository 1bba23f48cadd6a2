"""Projection: features of both sides on the two directions in which the real ones vary most."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from streaming_metrics.measures.base import Side
    from streaming_metrics.statistics import Bank

MOST = 256
"""Samples of each side that are projected, by default."""


@dataclass(frozen=True, eq=False)
class Projection:
    """Projection of a sample of both sides' features onto two principal components of the real ones.

    Directions, signs and samples depend on the real samples and on ids alone: against the same real side, generated
    samples move on a map that stays.

    Args:
        real_ids, fake_ids: ``(n,)``, ``(m,)`` int64, ascending.
        real, fake: ``(n, 2)``, ``(m, 2)`` float64, the mean of the real ones at 0.
        explained: ``(2,)`` float64, the shares of the real ones' variance that the components hold.
    """

    real_ids: Tensor
    fake_ids: Tensor
    real: Tensor
    fake: Tensor
    explained: Tensor


def project(bank: Bank, real: Side, fake: Side, most: int = MOST) -> Projection | None:
    """Return the projection of at most ``most`` samples of each side; None of fewer than 2 real ones, or no generated
    one; collective.
    """
    states = real.gather(bank, most), fake.gather(bank, most)
    (real_ids, fake_ids), (rows, fakes) = ([state[key].cpu() for state in states] for key in ("index", "rows"))
    if len(rows) < 2 or not len(fakes):
        return None
    mean = rows.double().mean(0)
    directions, explained = principal_components(rows.double() - mean)
    placed, fake_placed = ((side.double() - mean) @ directions for side in (rows, fakes))
    shared = map(real.comm.broadcast, (placed, fake_placed, explained))  # LAPACK may differ between hosts
    return Projection(real_ids, fake_ids, *shared)


def principal_components(centred: Tensor) -> tuple[Tensor, Tensor]:
    """Return the first two directions ``(D, 2)`` of centred rows ``(n, D)``, and their shares of the variance ``(2,)``.

    The largest entry of a direction is positive. Where there is no second one, or no variance, it is 0.

    Example:
        >>> directions, explained = principal_components(torch.tensor([[-2.0, 0.0], [2.0, 0.0]]).double())
        >>> directions.T.tolist(), explained.tolist()
        ([[1.0, 0.0], [0.0, 0.0]], [1.0, 0.0])
    """
    _, scales, directions = torch.linalg.svd(centred, full_matrices=False)
    total, shown = scales.square().sum(), directions[:2]
    is_there = scales[:2] > 1e-9 * scales[0]
    largest = shown.gather(1, shown.abs().argmax(1, keepdim=True))
    shown = shown * torch.where(largest < 0, -1.0, 1.0) * is_there[:, None]
    shares = torch.where(is_there, scales[:2].square() / total, 0)
    padding = 2 - len(shown)
    return torch.nn.functional.pad(shown, (0, 0, 0, padding)).T, torch.nn.functional.pad(shares, (0, padding))
