"""Bandwidths: Gaussian kernels of many widths of the same squared distances."""

from __future__ import annotations

from dataclasses import dataclass
from math import log, pi

import torch
from torch import Tensor

LARGEST, RUNGS, LADDERS = 4.0, 8, 2
"""The ladders of :meth:`Bandwidths.around`: from 4 to 1/54 of a scale, in steps of 2^¼."""


@dataclass(frozen=True, eq=False)
class Bandwidths:
    """Widths w of ``exp(−d² / 2w²)``, in ladders: a rung is the one above over √2, so that its kernel is that squared.

    Args:
        tops: ``(t,)`` float64, the largest width of each ladder.
        rungs: widths of a ladder.

    Example:
        >>> bandwidths = Bandwidths(torch.tensor([4.0, 3.0]).double(), rungs=3)
        >>> [round(width, 3) for width in bandwidths.widths.tolist()]
        [4.0, 2.828, 2.0, 3.0, 2.121, 1.5]
        >>> nearest, sums = bandwidths.summed(torch.tensor([[5.0, 5.0, 21.0]]).double())
        >>> nearest, sums[:2, 0]  # 2 + exp(-16/32), 2 + exp(-16/16)
        (tensor([5.], dtype=torch.float64), tensor([2.6065, 2.3679], dtype=torch.float64))
    """

    tops: Tensor
    rungs: int = 1

    @classmethod
    def around(cls, scale: float) -> Bandwidths:
        """Return 32 widths, for features whose coordinates vary by about ``scale``."""
        exponents = [-4.0 * ladder - between for ladder in range(LADDERS) for between in (0, 0.25)]
        return cls(scale * LARGEST * torch.tensor(exponents, dtype=torch.float64, device="cpu").exp2(), RUNGS)

    def __len__(self) -> int:
        return len(self.tops) * self.rungs

    @property
    def widths(self) -> Tensor:
        """All of them, ``(k,)`` float64, ladder by ladder."""
        rungs = torch.arange(self.rungs, dtype=torch.float64, device=self.tops.device)
        return (self.tops.unsqueeze(1) * (-rungs / 2).exp2()).flatten()

    def kernels(self, squared: Tensor) -> Tensor:
        """Return ``exp(−d² / 2w²)`` of each width, ``(k, n)``, of squared distances ``(n,)`` float64."""
        widths = self.widths.to(squared.device).unsqueeze(1)
        return (squared / (2 * widths)).div_(-widths).exp_()  # width² alone may be beyond float64

    def summed(self, squared: Tensor) -> tuple[Tensor, Tensor]:
        """Return each row's smallest squared distance ``(n,)``, and the sums ``(k, n)`` of its kernels over theirs.

        Args:
            squared: ``(n, m)`` float64, m ≥ 1.
        """
        nearest = squared.amin(1)
        excess = squared - nearest.unsqueeze(1)
        sums = squared.new_empty(len(self), len(squared))
        for ladder, top in enumerate(self.tops.tolist()):
            kernels = (excess / (2 * top)).div_(-top).exp_()
            for rung in range(self.rungs):
                torch.sum(kernels, 1, out=sums[ladder * self.rungs + rung])
                kernels.square_()
        return nearest, sums

    def log_densities(self, nearest: Tensor, sums: Tensor, num_points: int, num_features: int) -> Tensor:
        """Return the logarithm of the density that m points have at each row, nats, ``(k, n)``.

        It is ``log (1/m) Σ_j N(x; y_j, w²·1)``.

        Args:
            nearest, sums: what :meth:`summed` returns.
            num_points: m.
            num_features: D, the width of rows and points.
        """
        widths = self.widths.to(sums.device).unsqueeze(1)
        exponents = nearest / (2 * widths) / widths
        return sums.log() - exponents - log(num_points) - num_features * (widths.log() + log(2 * pi) / 2)
