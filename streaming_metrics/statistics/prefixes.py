"""Prefixes: states of a statistic for nested random subsets of the samples, by which values are extrapolated."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import accumulate
from typing import TYPE_CHECKING, ClassVar

import torch

from streaming_metrics.statistics.blocks import Blocks
from streaming_metrics.statistics.index import cluster_of, hashed, shifted

if TYPE_CHECKING:
    from torch import Tensor

    from streaming_metrics.statistics.base import State

SHARES = 0.10611991238229682, 0.33516854200728413, 1.0
"""Of the samples, that the nested subsets hold: see :data:`WEIGHTS`."""
WEIGHTS = 0.09662243561581416, 0.491409526828355, 0.41196803755583045
"""Of the subsets, in a line that is fitted over the inverse of their sizes.

With them three subsets stand for 15 whose sizes go evenly from a tenth to all of the samples, as is usual. Nodes and
weights are those of the Gauss-Radau quadrature of the 15 inverse sizes, so the intercept of the line is the same for
any values that are a polynomial of third degree in them.
"""


@dataclass(frozen=True)
class Prefixes(Blocks):
    """States of a statistic, one of each share of the samples by which a nested subset is larger than the one before.

    Samples are in the order of a hash of their ids, and a subset is all up to a share of the hash's range, so that it
    depends neither on order, batches and ranks nor on how many there will be. The sizes are near ``share·N``, and are
    kept: ``prefix_sizes (3,) int64``. Three states take the room of three; 15 would take five times that.

    Args:
        statistic: additive, its state of one shape whatever the samples.
        cluster: how many consecutive ids come together.

    Example:
        >>> from streaming_metrics.features import Features
        >>> from streaming_metrics.statistics import Moments
        >>> prefixes = Prefixes(Moments(1))
        >>> features = Features(pool=torch.arange(100.0).view(100, 1), index=torch.arange(100))
        >>> state = prefixes.update(prefixes.empty(), features)
        >>> [int(Moments(1).count(one)) for one in prefixes.nested(state)]
        [13, 28, 100]
    """

    blocks: int = field(default=len(SHARES), init=False)

    sizes: ClassVar[str] = "prefix_sizes"

    @property
    def name(self) -> str:
        return f"prefixes_{self.blocks}_{self.cluster}_{self.statistic.name}"

    def block_of(self, index: Tensor) -> Tensor:
        keys = hashed(hashed(cluster_of(index, self.cluster)))  # in no reservoir's order, nor a half's
        edges = torch.tensor(SHARES[:-1], dtype=torch.float64, device=keys.device)
        return torch.bucketize(shifted(keys, 11).double() / 2**53, edges, right=True)

    def nested(self, state: State) -> list[State]:
        """Return the states of the nested subsets, from the smallest to that of all samples."""
        return [*accumulate((self.one(state, block) for block in range(self.blocks)), self._both)]

    def counts(self, state: State) -> Tensor:
        """Return the sizes ``(3,)`` of the nested subsets, float64."""
        return state[self.sizes].cumsum(0).double()


def intercept(sizes: Tensor, values: Tensor) -> Tensor:
    """Return what the values of nested subsets are extrapolated to for infinite size: where the line that is fitted to
    them over ``1 / size``, by :data:`WEIGHTS`, meets 0.

    Args:
        sizes, values: ``(3,)`` float64.

    Example:
        >>> sizes = torch.tensor([100.0, 300.0, 1000.0]).double()
        >>> round(intercept(sizes, 2 + 50 / sizes).item(), 12)
        2.0
    """
    x, weights = 1 / sizes, torch.tensor(WEIGHTS, dtype=torch.float64, device=sizes.device)
    x_mean, mean = weights @ x, weights @ values
    slope = (weights * (x - x_mean)) @ (values - mean) / (weights @ (x - x_mean).square())
    return mean - slope * x_mean
