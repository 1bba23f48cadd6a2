"""Mode table: what each mode of the real side holds of real and of generated samples."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import inf

import torch
from scipy.special import ndtri
from torch import Tensor

from streaming_metrics.measures.bins import two_proportions


@dataclass(frozen=True, eq=False)
class ModeTable:
    """Table of the modes: a row for each of M, on the CPU, the same on every rank.

    Args:
        real, fake: ``(M,)`` int64, samples in each mode.
        real_distance, fake_distance: ``(M,)`` float64, their mean distance to the mode's centre; NaN where there are
            none.
        alpha: level of tests and intervals.
        is_labelled: whether modes are labels, rather than k-means cells of the real features.
        real_examples, fake_examples: ``(M, k)`` int64, ids of those nearest to the centre, -1 where there are fewer.

    Example:
        >>> table = ModeTable.of(torch.tensor([50, 50]), torch.tensor([0, 40]), *torch.ones(2, 2).double())
        >>> table.fake_share.tolist(), table.is_missing.tolist(), table.is_fewer.tolist()
        ([0.0, 1.0], [True, False], [True, False])
    """

    real: Tensor
    fake: Tensor
    real_distance: Tensor
    fake_distance: Tensor
    alpha: float = 0.05
    is_labelled: bool = False
    real_examples: Tensor = field(default_factory=lambda: torch.empty(0, 0, dtype=torch.int64))
    fake_examples: Tensor = field(default_factory=lambda: torch.empty(0, 0, dtype=torch.int64))

    @classmethod
    def of(
        cls,
        real: Tensor,
        fake: Tensor,
        real_distances: Tensor,
        fake_distances: Tensor,
        alpha: float = 0.05,
        *,
        is_labelled: bool = False,
    ) -> ModeTable:
        """Return the table of counts and sums of distances."""
        real, fake, real_sums, fake_sums = (t.cpu() for t in (real, fake, real_distances, fake_distances))
        return cls(real, fake, real_sums / real, fake_sums / fake, alpha, is_labelled)

    def __len__(self) -> int:
        return len(self.real)

    @property
    def real_share(self) -> Tensor:
        """Each mode's share of the real samples, float64 ``(M,)``."""
        return self.real.double() / self.real.sum()

    @property
    def fake_share(self) -> Tensor:
        """Each mode's share of the generated samples, float64 ``(M,)``."""
        return self.fake.double() / self.fake.sum()

    @property
    def interval(self) -> tuple[Tensor, Tensor]:
        """Ends of Wilson's interval of each mode's generated share, of coverage 1 − alpha, float64 ``(M,)``."""
        n, z = self.fake.sum().double(), self._quantile
        middle = (self.fake_share + z**2 / (2 * n)) / (1 + z**2 / n)
        reach = z / (1 + z**2 / n) * (self.fake_share * (1 - self.fake_share) / n + z**2 / (4 * n**2)).sqrt()
        return (middle - reach).clamp(min=0), (middle + reach).clamp(max=1)

    @property
    def is_mode(self) -> Tensor:
        """Which rows are modes of the real side: those that hold a real sample, bool ``(M,)``."""
        return self.real > 0

    @property
    def is_missing(self) -> Tensor:
        """Which modes hold no generated sample, bool ``(M,)``."""
        return self.is_mode & (self.fake == 0)

    @property
    def is_fewer(self) -> Tensor:
        """Which modes hold significantly fewer generated samples than real ones, bool ``(M,)``."""
        return self._differs & (self.fake_share < self.real_share)

    @property
    def is_more(self) -> Tensor:
        """Which modes hold significantly more generated samples than real ones, bool ``(M,)``."""
        return self._differs & (self.fake_share > self.real_share)

    @property
    def distance_ratio(self) -> float:
        """Mean distance of generated samples to their mode's centre over that of as many real ones of these modes;
        infinite where none is in a mode.
        """
        held = self.is_mode & (self.fake > 0)
        fake, real = ((self.fake * distance)[held].sum() for distance in (self.fake_distance, self.real_distance))
        if not held.any():
            return inf
        return float(fake / real) if fake or real else 1.0

    @property
    def by_shortfall(self) -> Tensor:
        """Places of the modes of the real side, int64, that which lacks generated samples most first."""
        signed = self._z * (self.fake_share - self.real_share).sign()
        order = signed.argsort(stable=True)
        return order[self.is_mode[order]]

    @property
    def _quantile(self) -> float:
        return float(ndtri(1 - self.alpha / 2))

    @property
    def _differs(self) -> Tensor:
        return self._z > self._quantile

    @property
    def _z(self) -> Tensor:
        return two_proportions(self.real.double(), self.fake.double())
