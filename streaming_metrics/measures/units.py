"""Units: the columns of the features in which the two sides differ most, and the samples that excite them most."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from streaming_metrics.measures.extremes import highest
from streaming_metrics.statistics import Moments

if TYPE_CHECKING:
    from streaming_metrics.measures.base import Side, Sides
    from streaming_metrics.statistics import Bank

ROUNDING = 2.0**-40
"""Means that are relatively so close are equal: sums in float64 are rounded, those of constant features too."""
EXAMPLES = 4
"""Samples of each side to look at for a unit."""


@dataclass(frozen=True, eq=False)
class Units:
    """Units of a network in which real and generated samples differ most, that which differs most first.

    Args:
        places: ``(U,)`` int64, columns of the features.
        difference: ``(U,)`` float64, ``(μf − μr) / sqrt((σr² + σf²) / 2)``; infinite where a unit is constant on both
            sides, and not the same.
        real_examples, fake_examples: ``(U, k)`` int64, ids of the samples in which the unit is highest, -1 where there
            are fewer; ``(U, 0)`` where no features are kept.
    """

    places: Tensor
    difference: Tensor
    real_examples: Tensor
    fake_examples: Tensor

    def __len__(self) -> int:
        return len(self.places)


def units_apart(sides: Sides, bank: Bank | None, n: int, among: Tensor | None = None) -> Units | None:
    """Return the n units in which the sides differ most; None where neither moments nor features of both are kept, or a
    side is empty; collective.

    Args:
        sides: of one network, over all ranks; banks still sharded.
        bank: that measures keep of both sides, where they do; one of another column than ``pool`` is not looked at.
        n: how many units.
        among: ids of the generated samples that may be shown; None for all.
    """
    pair = sides.real, sides.fake
    bank = bank if bank is not None and bank.column == "pool" else None
    if not all(side.num_samples for side in pair):
        return None
    moments = [_moments(side, sides.spec.num_features, bank) for side in pair]
    if None in moments:
        return None
    (real, real_variance), (fake, fake_variance) = moments  # pyright: ignore[reportGeneralTypeIssues]
    difference = standardised_difference(real, real_variance, fake, fake_variance)
    places = difference.abs().argsort(descending=True, stable=True)[:n]
    examples = [_examples(side, bank, places, ids) for side, ids in zip(pair, (None, among))]
    return Units(places, difference[places], *examples)


def standardised_difference(real: Tensor, real_variance: Tensor, fake: Tensor, fake_variance: Tensor) -> Tensor:
    """Return the difference of means over the root of the mean variance, 0 where means are equal up to rounding.

    Example:
        >>> standardised_difference(*torch.tensor([[1.0, 1.0, 1.0], [4.0, 0.0, 0.0], [3.0, 1.0, 0.0], [4.0, 0.0, 0.0]]))
        tensor([1., 0., -inf])
    """
    apart = fake - real
    is_equal = apart.abs() <= ROUNDING * torch.maximum(real.abs(), fake.abs())
    return torch.where(is_equal, 0, apart / ((real_variance + fake_variance) / 2).sqrt())


def _moments(side: Side, num_features: int | None, bank: Bank | None) -> tuple[Tensor, Tensor] | None:
    """Return mean and variance of each feature, float64 ``(D,)``, on the CPU: of moments where they are kept."""
    moments = None if num_features is None else Moments(num_features)
    if moments is not None and moments in side.states:
        state = side[moments]
        return moments.mean(state).cpu(), (moments.scatter(state).diagonal() / side.num_samples).cpu()
    if bank is None:
        return None
    rows, comm = side[bank]["rows"], side.comm
    n = sum(comm.counts(len(rows)))
    mean = comm.sum(rows.sum(0, dtype=torch.float64)) / n
    variance = comm.sum(sum(((part.double() - mean).square().sum(0) for part in rows.split(4096)), mean * 0)) / n
    return mean.cpu(), variance.cpu()


def _examples(side: Side, bank: Bank | None, places: Tensor, among: Tensor | None) -> Tensor:
    if bank is None:
        return torch.empty(len(places), 0, dtype=torch.int64)
    state = side[bank]
    return highest(state["rows"][:, places.to(state["rows"].device)], state["index"], EXAMPLES, side.comm, among)
